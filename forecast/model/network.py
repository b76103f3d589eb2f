"""Network: the recurrent forecaster as numpy computes it, in float64, without torch. The twin is torch_network.py.

Everything here is in normalised units; which window, which units and which series are others' business."""

# B batch  L context  C channels  T segments  D hidden  E = D, or 2 D in both directions  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.model.cells import CELLS, Gates, Weights, scan
from forecast.model.skip import design, linear
from forecast.series.arrays import Floats
from forecast.series.batch import Batch

Tensors = Mapping[str, NDArray[np.float32]]
CHANNELS = 2                                                            # value, and whether it is there
BLOCK = 64          # rows computed together, always: in a fixed shape, a row's bits do not depend on its neighbours
DIRECTIONS = ("", "_reverse")                                           # as torch calls them


@dataclass(frozen=True)
class Shape:
    """The sizes that fix every weight."""

    cell: str
    context: int
    segment: int
    hidden: int
    layers: int
    horizon: int
    quantiles: tuple[float, ...]
    dropout: float = 0.0
    bidirectional: bool = False
    attention: bool = False

    @property
    def steps(self) -> int:
        """T, the steps the cell takes through a context."""
        return self.context // self.segment

    @property
    def directions(self) -> tuple[str, ...]:
        return DIRECTIONS if self.bidirectional else DIRECTIONS[:1]

    @property
    def encoded(self) -> int:
        """E, the size of what all directions say at one step."""
        return self.hidden * len(self.directions)

    @cached_property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every array of weights, as in weights.safetensors."""
        cell, d, e, h, q = CELLS[self.cell], self.hidden, self.encoded, self.horizon, len(self.quantiles)
        rows = cell.blocks * d
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            for direction in self.directions:
                end = f"l{layer}{direction}"
                shapes |= {f"cell.weight_ih_{end}": (rows, e if layer else self.segment * CHANNELS),
                           f"cell.weight_hh_{end}": (rows, d), f"cell.bias_ih_{end}": (rows,),
                           f"cell.bias_hh_{end}": (rows,)}
                if cell.peepholes:
                    shapes[f"cell.peephole_{end}"] = (3, d)
        shapes |= {"head.weight": (h * q, e), "head.bias": (h * q,)}
        if self.attention:
            shapes |= {"attention.query.weight": (d, e), "attention.key.weight": (d, e), "attention.step": (h, d),
                       "attention.value": (h, e, q)}
        return shapes | {"skip": (self.context + 1, h), "offset": (h, q)}

    @property
    def parameters(self) -> int:
        """Weights that are trained: all but the closed forms."""
        return sum(int(np.prod(s)) for name, s in self.tensors.items() if name not in ("skip", "offset"))


@dataclass(frozen=True)
class Seen:
    """What the network did on its way: for a look inside."""

    hidden: Floats                      # (B, T, E) of the last layer
    gates: dict[str, Gates]             # "l0", "l0_reverse", ... -> gate -> (B, T, D), in the order of time
    attention: Floats | None            # (B, H, T) weights of the steps for each step of the horizon, sum 1
    linear: Floats                      # (B, H) what the linear skip says


@dataclass(frozen=True)
class Network:
    """Weights and their shape; `forward` equals RecurrentForecaster of torch_network.py with the same weights."""

    shape: Shape
    tensors: Tensors

    @classmethod
    def blank(cls, shape: Shape) -> Network:
        """All weights 0."""
        return cls(shape, {name: np.zeros(s, np.float32) for name, s in shape.tensors.items()})

    def replace(self, **tensors: Floats) -> Network:
        """A copy with some weights changed."""
        return Network(self.shape, {**self.tensors, **{k: v.astype(np.float32) for k, v in tensors.items()}})

    @property
    def is_finite(self) -> bool:
        return all(bool(np.isfinite(t).all()) for t in self.tensors.values())

    @cached_property
    def _float64(self) -> dict[str, Floats]:
        return {name: t.astype(np.float64) for name, t in self.tensors.items()}

    def forward(self, batch: Batch) -> Floats:
        """Quantiles of the next H steps (B, H, Q), ascending, in the batch's units."""
        result = np.empty((len(batch), self.shape.horizon, len(self.shape.quantiles)))
        for begin in range(0, len(batch), BLOCK):
            rows = batch.take(slice(begin, begin + BLOCK))
            result[begin:begin + BLOCK] = self.look(rows.map(_filled))[0][:len(rows)]
        return result

    def linear(self, batch: Batch) -> Floats:
        """What the linear skip forecasts without the network, and the spread of its errors: (B, H, Q)."""
        k = self._float64
        return np.sort(linear(design(batch), k["skip"])[..., None] + k["offset"], axis=-1)

    def look(self, batch: Batch) -> tuple[Floats, Seen]:
        """`forward` for one block of any size, with what was seen on the way."""
        shape, k = self.shape, self._float64
        point: Floats = linear(design(batch), k["skip"])                # (B, H)
        hidden, gates = self._encode(channels(batch))
        learned = summary(hidden, shape.hidden) @ k["head.weight"].T + k["head.bias"]
        learned = learned.reshape(len(batch), shape.horizon, -1)      # (B, H, Q)
        weights = None
        if shape.attention:
            weights = self._attend(hidden)
            read = weights @ hidden                                     # (B, H, E)
            learned = learned + np.matmul(read.swapaxes(0, 1), k["attention.value"]).swapaxes(0, 1)
        quantiles = point[..., None] + k["offset"] + learned
        return np.sort(quantiles, axis=-1), Seen(hidden, gates, weights, point)

    def _encode(self, context: Floats) -> tuple[Floats, dict[str, Gates]]:
        """Channels (B, L, C) -> hidden of the last layer (B, T, E), gates by layer and direction."""
        shape, seen = self.shape, dict[str, Gates]()
        steps = context.reshape(len(context), shape.steps, shape.segment * CHANNELS)        # (B, T, segment * C)
        for layer in range(shape.layers):
            outputs = []
            for direction in shape.directions:
                order = slice(None, None, -1 if direction else 1)
                hidden, _, gates = scan(shape.cell, steps[:, order], self.weights(f"l{layer}{direction}"))
                outputs.append(hidden[:, order])
                seen[f"l{layer}{direction}"] = {name: gate[:, order] for name, gate in gates.items()}
            steps = np.concatenate(outputs, axis=-1)
        return steps, seen

    def weights(self, end: str) -> Weights:
        """Of one layer in one direction: "l0", "l0_reverse"."""
        k = self._float64
        return Weights(k[f"cell.weight_ih_{end}"], k[f"cell.weight_hh_{end}"], k[f"cell.bias_ih_{end}"],
                       k[f"cell.bias_hh_{end}"], k.get(f"cell.peephole_{end}"))

    def _attend(self, hidden: Floats) -> Floats:
        """(B, T, E) -> (B, H, T): how much each step of the horizon reads from each step of the context."""
        k, d = self._float64, self.shape.hidden
        asked = (summary(hidden, d) @ k["attention.query.weight"].T)[:, None] + k["attention.step"]     # (B, H, D)
        keys = hidden @ k["attention.key.weight"].T                                                     # (B, T, D)
        score = asked @ keys.swapaxes(1, 2) / np.sqrt(d)
        score = np.exp(score - score.max(axis=-1, keepdims=True))
        return np.asarray(score / score.sum(axis=-1, keepdims=True))


def channels(batch: Batch) -> Floats:
    """What a cell reads at each point of the context (B, L, C): the value or 0, and 1 or 0 for whether it is there."""
    there = ~np.isnan(batch.context)
    return np.stack([np.nan_to_num(batch.context), there.astype(batch.context.dtype)], axis=-1)


def _filled(rows: Floats) -> Floats:
    """Rows (B, ...) filled up with 0 to a block."""
    block = np.zeros((BLOCK, *rows.shape[1:]))
    block[:len(rows)] = rows
    return block


def summary(hidden: Floats, d: int) -> Floats:
    """Where each direction ends: forward at the last step, backward at the first. (B, T, E) -> (B, E)."""
    return np.concatenate([hidden[:, -1, :d], hidden[:, 0, d:]], axis=-1)
