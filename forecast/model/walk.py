"""Walk: where an LSTM ends that reads some series, without a look at what it does on its way: the fast twin of scan().

Series stand side by side as columns, so that each gate is a block of rows; a step is one product, and all is done in
place. A sigmoid is half a tanh, whose halves are halves of the weights: no digit changes by that."""

# B block  T steps  I inputs of a series' own  J inputs that all series share  D hidden

from __future__ import annotations

import threading

import numpy as np

from forecast.model.cells import Weights
from forecast.series.arrays import Floats, Ints

State = tuple[Floats, Floats]                                           # twice h and twice c, each (D, B)


class Walk:
    """The LSTM of some weights, for blocks of always as many series. `own` (I,) are the places of those inputs that
    differ between series; the others, which all series share, are `shared` (T, J)."""

    def __init__(self, weights: Weights, own: Ints, shared: Floats, block: int) -> None:
        d, rows = weights.u.shape[1], np.arange(len(weights.u)).reshape(4, -1)
        order = rows[[0, 1, 3, 2]].ravel()                              # i, f, o, g: the sigmoids together
        half = np.where(np.arange(4 * d) < 3 * d, 0.5, 1.0)[:, None]
        others = np.setdiff1d(np.arange(weights.w.shape[1]), own)
        bias = shared @ weights.w[order][:, others].T + (weights.b + weights.b_u)[order]
        self._bias = half.T * bias                                      # (T, 4 D)
        self._k = half * np.concatenate([weights.u[order] / 2, weights.w[order][:, own], np.zeros((4 * d, 1))], axis=1)
        self.steps, self.hidden, self.block = len(shared), d, block
        self._empty: list[State] = [(np.zeros((d, block)), np.zeros((d, block)))]
        self._one_at_a_time = threading.Lock()

    def end(self, inputs: Floats) -> Floats:
        """(T, I, B) -> the last hidden state (B, D). Steps before any series begins, all of whose inputs are 0, are the
        same for all blocks, and taken once."""
        empty = int(np.argmax(np.append(inputs.any(axis=(1, 2)), True)))
        with self._one_at_a_time:
            nothing = np.zeros(inputs.shape[1:])
            while len(self._empty) <= empty:
                known = len(self._empty)
                self._empty.append(self._from(known - 1, self._empty[-1], nothing[None]))
            begun = self._empty[empty]
        return self._from(empty, begun, inputs[empty:])[0].T / 2

    def _from(self, t: int, state: State, inputs: Floats) -> State:
        """The state behind some steps, the first of which is step t."""
        d, k = self.hidden, self._k.copy()
        read = np.concatenate([state[0], np.zeros(inputs.shape[1:]), np.ones((1, self.block))])
        h, c, gates, free = read[:d], state[1].copy(), np.empty((4 * d, self.block)), np.empty((d, self.block))
        i, f, o, g = (gates[n * d:(n + 1) * d] for n in range(4))
        for step, some in enumerate(inputs, start=t):
            k[:, -1], read[d:-1] = self._bias[step], some
            np.matmul(k, read, out=gates)
            np.tanh(gates, out=gates)
            gates[:3 * d] += 1                                          # twice the sigmoids
            c *= f
            c *= 0.5
            c += np.multiply(i, g, out=free)                            # twice the new c
            np.multiply(c, 0.5, out=free)
            np.tanh(free, out=free)
            np.multiply(o, free, out=h)                                 # twice the new h
        return h.copy(), c
