"""Recurrent cells: one step of each recurrence, written as its equations, gates returned.

The arrays are numpy's or torch's. The fast torch twins are torch_cells.py's business, and held equal to these; which
inputs come, and what is made of the hidden state, network.py's."""

# B batch  T steps  I inputs  D hidden  G blocks of D rows in the weights

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any                                                             # numpy.ndarray or torch.Tensor
State = tuple[Array, ...]                                               # each (B, D)
Gates = dict[str, Array]                                                # each (B, D) of a step, (B, T, D) of a scan


@dataclass(frozen=True)
class Weights:
    """One layer in one direction, rows in blocks of D in the order the cell states (torch's, where torch has it)."""

    w: Array                            # (G*D, I) from the input
    u: Array                            # (G*D, D) from the hidden state
    b: Array                            # (G*D,) beside w
    b_u: Array                          # (G*D,) beside u; the GRU's reset gate stands between them
    p: Array | None = None              # (3, D) diagonal weights from the cell state to i, f and o


@dataclass(frozen=True)
class Cell:
    """A row of the table: the equations, how many blocks its weights have and how many arrays its state.

    step(a, state, weights) -> (new state, gates), where a = W x + b (B, G*D) and the new state begins with h."""

    step: Callable[[Array, State, Weights], tuple[State, Gates]]
    blocks: int
    states: int
    peepholes: bool = False


def rnn(a: Array, state: State, k: Weights) -> tuple[State, Gates]:
    """h' = tanh(W x + U h + b) (Elman 1990). It has no gates: what it lets go is up to U and the slope of tanh."""
    h, = state
    h = tanh(a + h @ k.u.T + k.b_u)
    return (h,), {"slope": 1 - h * h}


def lstm(a: Array, state: State, k: Weights) -> tuple[State, Gates]:
    """Hochreiter & Schmidhuber 1997; the forget gate is Gers, Schmidhuber & Cummins 2000. Rows: i, f, g, o.

        i, f, o = sigmoid(W x + U h + b)    g = tanh(W x + U h + b)    c' = f c + i g    h' = o tanh(c')"""
    h, c = state
    i, f, g, o = blocks(a + h @ k.u.T + k.b_u, 4)
    return _memory(sigmoid(i), sigmoid(f), tanh(g), sigmoid(o), c)


def peephole(a: Array, state: State, k: Weights) -> tuple[State, Gates]:
    """The gates also see the cell (Gers & Schmidhuber 2000): i and f the old one, o the new. Rows: i, f, g, o.

        i, f = sigmoid(W x + U h + p c + b)    c' = f c + i g    o = sigmoid(W x + U h + p c' + b)"""
    h, c = state
    i, f, g, o = blocks(a + h @ k.u.T + k.b_u, 4)
    assert k.p is not None
    i, f, g = sigmoid(i + k.p[0] * c), sigmoid(f + k.p[1] * c), tanh(g)
    return _memory(i, f, g, sigmoid(o + k.p[2] * (f * c + i * g)), c)


def coupled(a: Array, state: State, k: Weights) -> tuple[State, Gates]:
    """i = 1 - f: forget only where something is put in its place (CIFG, Greff et al. 2017). Rows: f, g, o."""
    h, c = state
    f, g, o = blocks(a + h @ k.u.T + k.b_u, 3)
    f = sigmoid(f)
    return _memory(1 - f, f, tanh(g), sigmoid(o), c)


def gru(a: Array, state: State, k: Weights) -> tuple[State, Gates]:
    """Cho et al. 2014, the reset gate behind U as in cuDNN and torch. Rows: r, z, n.

        r, z = sigmoid(W x + U h + b)    n = tanh(W x + b + r (U h + b_u))    h' = (1 - z) n + z h"""
    h, = state
    r, z, n = blocks(a, 3)
    u_r, u_z, u_n = blocks(h @ k.u.T + k.b_u, 3)
    r, z = sigmoid(r + u_r), sigmoid(z + u_z)
    n = tanh(n + r * u_n)
    return ((1 - z) * n + z * h,), {"update": z, "reset": r, "candidate": n}


def _memory(i: Array, f: Array, g: Array, o: Array, c: Array) -> tuple[State, Gates]:
    """c' = f c + i g, h' = o tanh(c'): what the LSTMs share."""
    c = f * c + i * g
    return (o * tanh(c), c), {"forget": f, "input": i, "candidate": g, "output": o, "cell": c}


CELLS = {
    "rnn": Cell(rnn, blocks=1, states=1),
    "lstm": Cell(lstm, blocks=4, states=2),
    "peephole": Cell(peephole, blocks=4, states=2, peepholes=True),
    "coupled": Cell(coupled, blocks=3, states=2),
    "gru": Cell(gru, blocks=3, states=1),
}


def scan(name: str, x: Array, weights: Weights, state: State | None = None) -> tuple[Array, State, Gates]:
    """Walk along time: x (B, T, I) -> hidden (B, T, D), the last state, gates (B, T, D) each. The state starts at 0."""
    cell = CELLS[name]
    a = x @ weights.w.T + weights.b                                     # (B, T, G*D): all steps at once
    if state is None:
        state = tuple(0 * a[:, 0, :weights.u.shape[1]] for _ in range(cell.states))
    hidden, gates = [], []
    for t in range(a.shape[1]):
        state, seen = cell.step(a[:, t], state, weights)
        hidden.append(state[0])
        gates.append(seen)
    return stacked(hidden), state, {gate: stacked([g[gate] for g in gates]) for gate in gates[0]}


def blocks(rows: Array, count: int) -> list[Array]:
    """(B, count * D) -> `count` arrays (B, D)."""
    size = rows.shape[-1] // count
    return [rows[..., k * size:(k + 1) * size] for k in range(count)]


def stacked(parts: list[Array], axis: int = 1) -> Array:
    """T arrays (B, D) -> (B, T, D)."""
    if isinstance(parts[0], np.ndarray):
        return np.stack(parts, axis=axis)
    import torch

    return torch.stack(parts, dim=axis)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that nothing overflows."""
    return 0.5 + 0.5 * tanh(0.5 * x)


def tanh(x: Array) -> Array:
    """Of numpy, or of torch with its gradient."""
    return np.tanh(x) if isinstance(x, np.ndarray) else x.tanh()
