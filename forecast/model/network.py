"""Network: the recurrent forecaster as numpy computes it, in float64, without torch. The twin is torch_network.py.

Everything here is in normalised units; which window, which units and which series are others' business."""

# B batch  L context  C channels  T segments of it  H horizon  U segments of it  D hidden  E = D, or 2 D in both
# directions  R what the head reads  Q quantiles

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.model.cells import CELLS, Gates, State, Weights, scan
from forecast.model.channels import channels
from forecast.model.skip import said
from forecast.series.arrays import Floats
from forecast.series.batch import Batch

Tensors = Mapping[str, NDArray[np.float32]]
BLOCK = 64          # rows computed together, always: in a fixed shape, a row's bits do not depend on its neighbours
DIRECTIONS = ("", "_reverse")                                           # as torch calls them
HEADS = ("decoder", "flat")     # from each state of a decoder to a segment, or from the last state to the whole horizon
STEPS = 32          # units that weigh what a step is told of covariates against what was read
CLOSED_FORMS = ("skip", "offset", "effects")                                 # what is not trained


@dataclass(frozen=True)
class Shape:
    """The sizes that fix every weight. Fields with a default are as they were before they could be chosen."""

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
    channels: int = 2
    head: str = "flat"                  # one of HEADS
    embedding: bool = False             # whether a segment is brought to D numbers before the cell reads it
    tuned: bool = False                 # whether the linear skip is trained along
    before: int = 0                     # numbers of covariates at each point of the context
    known: int = 0                      # and at each step of the horizon,
    around: int = 0                     # those that a step is told by the linear skip; 0 where no covariate is read
    static: int = 0                     # and those that stay

    @property
    def steps(self) -> int:
        """T, the steps the cell takes through a context."""
        return self.context // self.segment

    @property
    def ahead(self) -> int:
        """U, the steps a decoder takes through a horizon; the last one may lead beyond it."""
        return -(-self.horizon // self.segment)

    @property
    def directions(self) -> tuple[str, ...]:
        return DIRECTIONS if self.bidirectional else DIRECTIONS[:1]

    @property
    def encoded(self) -> int:
        """E, the size of what all directions say at one step."""
        return self.hidden * len(self.directions)

    @property
    def inputs(self) -> int:
        """Numbers that the cell reads at one step."""
        return self.hidden if self.embedding else self.segment * (self.channels + self.before)

    @cached_property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every array of weights, as in weights.safetensors."""
        d, h, q = self.hidden, self.horizon, len(self.quantiles)
        shapes = self._recurrent("cell", self.inputs, self.directions) | self._headed()
        if self.embedding:
            shapes |= {"embedding.weight": (d, self.segment * (self.channels + self.before)), "embedding.bias": (d,)}
        if self.tuned:
            shapes["tuned"] = self.context + 1, h
        if self.around:
            shapes |= self._of_covariates()
        return shapes | {"skip": (self.context + 1, h), "offset": (h, q)}

    def _of_covariates(self) -> dict[str, tuple[int, ...]]:
        """Of all that covariates need beside wider segments."""
        h, q, f = self.horizon, len(self.quantiles), self.around
        shapes = {"effects": (f, h), "first": (CELLS[self.cell].states, self.layers * len(self.directions), self.hidden,
                                               self.static),
                  "steps.read.weight": (STEPS, self.encoded if self.head == "flat" else self.hidden + (
                      self.encoded if self.attention else 0)), "steps.told.weight": (STEPS, f + self.known),
                  "steps.bias": (self.segment, STEPS), "steps.head.weight": (q, STEPS)}
        if self.head == "decoder":
            shapes["known.weight"] = self.hidden, self.segment * self.known
        return shapes | ({"tuned_effects": (f, h)} if self.tuned else {})

    def _recurrent(self, name: str, inputs: int, directions: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Of layers of the cell."""
        cell, d, shapes = CELLS[self.cell], self.hidden, dict[str, tuple[int, ...]]()
        rows = cell.blocks * d
        for end, layer in ((f"l{layer}{direction}", layer) for layer in range(self.layers) for direction in directions):
            shapes |= {f"{name}.weight_ih_{end}": (rows, d * len(directions) if layer else inputs),
                       f"{name}.weight_hh_{end}": (rows, d), f"{name}.bias_ih_{end}": (rows,),
                       f"{name}.bias_hh_{end}": (rows,)}
            if cell.peepholes:
                shapes[f"{name}.peephole_{end}"] = (3, d)
        return shapes

    def _headed(self) -> dict[str, tuple[int, ...]]:
        """Of all that comes after the encoder."""
        d, e, h, q = self.hidden, self.encoded, self.horizon, len(self.quantiles)
        query = {"attention.query.weight": (d, d if self.head == "decoder" else e), "attention.key.weight": (d, e)}
        if self.head == "flat":
            beside = query | {"attention.step": (h, d), "attention.value": (h, e, q)} if self.attention else {}
            return {"head.weight": (h * q, e), "head.bias": (h * q,)} | beside
        shapes = self._recurrent("decoder", d, DIRECTIONS[:1])
        read = d + e if self.attention else d
        shapes |= {"positions": (self.ahead, d), "head.weight": (self.segment * q, read),
                   "head.bias": (self.segment * q,)}
        if self.bidirectional:
            shapes["bridge"] = (CELLS[self.cell].states, self.layers, d, e)
        return shapes | query if self.attention else shapes

    @property
    def parameters(self) -> int:
        """Weights that are trained: all but the closed forms."""
        return sum(int(np.prod(s)) for name, s in self.tensors.items() if name not in CLOSED_FORMS)


@dataclass(frozen=True)
class Seen:
    """What the network did on its way: for a look inside."""

    hidden: Floats                      # (B, T, E) of the last layer
    gates: dict[str, Gates]             # "l0", "l0_reverse", ... -> gate -> (B, T, D), in the order of time
    decoder: dict[str, Gates]           # "l0", ... -> gate -> (B, U, D); empty where the head is flat
    decoded: list[State]                # of each layer of the decoder, the state with which it begins
    read: Floats                        # (B, U, R) what the head reads; U = 1 where it is flat
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

    @property
    def closed(self) -> Floats:
        """(L + 1, H) the linear skip in its closed form."""
        return self._float64["skip"]

    @cached_property
    def line(self) -> Floats:
        """(L + 1, H) the linear skip as the network has it: the closed form, and how training changed it."""
        return self.closed + self._float64["tuned"] if self.shape.tuned else self.closed

    @property
    def effects(self) -> Floats | None:
        """(F, H) of what a step is told, in their closed form; None where no covariate is read."""
        return self._float64.get("effects")

    @cached_property
    def all_effects(self) -> Floats | None:
        """(F, H) as the network has them."""
        return self.effects + self._float64["tuned_effects"] if self.effects is not None and self.shape.tuned else \
            self.effects

    def forward(self, batch: Batch) -> Floats:
        """Quantiles of the next H steps (B, H, Q), ascending, in the batch's units."""
        result = np.empty((len(batch), self.shape.horizon, len(self.shape.quantiles)))
        for begin in range(0, len(batch), BLOCK):
            rows = batch.take(slice(begin, begin + BLOCK))
            result[begin:begin + BLOCK] = self.look(rows.map(_filled))[0][:len(rows)]
        return result

    def linear(self, batch: Batch) -> Floats:
        """What the closed forms say, the linear skip and the spread of its errors, without the network: (B, H, Q)."""
        return np.sort(said(batch, self.closed, self.effects)[..., None] + self._float64["offset"], axis=-1)

    def look(self, batch: Batch) -> tuple[Floats, Seen]:
        """`forward` for one block of any size, with what was seen on the way."""
        shape, k = self.shape, self._float64
        point: Floats = said(batch, self.line, self.all_effects)        # (B, H)
        hidden, ends, gates = self._encode(batch)
        if shape.head == "flat":
            learned, read, weights = self._flat(hidden)
            begun, decoder = list[State](), dict[str, Gates]()
        else:
            begun = self._handed(ends)
            decoded, decoder = self._decode(batch, begun)
            learned, read, weights = self._from_segments(decoded, hidden)
        if shape.around:
            learned = learned + self._told(read, batch)
        quantiles = point[..., None] + k["offset"] + learned
        return np.sort(quantiles, axis=-1), Seen(hidden, gates, decoder, begun, read, weights, point)

    def read(self, batch: Batch) -> Floats:
        """What the cell reads at each step (B, T, I)."""
        shape, k = self.shape, self._float64
        points: Floats = channels(batch, shape.channels)
        points = np.concatenate([points, batch.before], axis=-1) if shape.around else points
        steps = points.reshape(len(batch), shape.steps, -1)
        return np.maximum(steps @ k["embedding.weight"].T + k["embedding.bias"], 0) if shape.embedding else steps

    def _encode(self, batch: Batch) -> tuple[Floats, list[State], dict[str, Gates]]:
        """Hidden of the last layer (B, T, E); by layer and direction the last states, and the gates."""
        shape, seen, ends = self.shape, dict[str, Gates](), list[State]()
        steps = self.read(batch)
        for layer in range(shape.layers):
            outputs = []
            for direction in shape.directions:
                order = slice(None, None, -1 if direction else 1)
                hidden, end, gates = scan(shape.cell, steps[:, order], self.weights(f"l{layer}{direction}"),
                                          self._first(batch, len(ends)))
                outputs.append(hidden[:, order])
                ends.append(end)
                seen[f"l{layer}{direction}"] = {name: gate[:, order] for name, gate in gates.items()}
            steps = np.concatenate(outputs, axis=-1)
        return steps, ends, seen

    def _first(self, batch: Batch, k: int) -> State | None:
        """The state with which the k-th layer and direction begins: what static covariates make of it; None for 0."""
        if not self.shape.around:
            return None
        return tuple(batch.static @ weights[k].T for weights in self._float64["first"])

    def weights(self, end: str, module: str = "cell") -> Weights:
        """Of one layer in one direction ("l0", "l0_reverse") of the encoder ("cell") or the "decoder"."""
        k = self._float64
        return Weights(k[f"{module}.weight_ih_{end}"], k[f"{module}.weight_hh_{end}"], k[f"{module}.bias_ih_{end}"],
                       k[f"{module}.bias_hh_{end}"], k.get(f"{module}.peephole_{end}"))

    # a decoder

    def asked(self, batch: Batch) -> Floats:
        """What the decoder reads at each segment of the horizon (B, U, D): its learned position, and what is known of
        the segment's steps."""
        shape, positions = self.shape, self._float64["positions"]
        if not shape.around:
            return np.broadcast_to(positions, (len(batch), *positions.shape))
        beyond = shape.ahead * shape.segment - shape.horizon
        known = np.pad(batch.ahead, ((0, 0), (0, beyond), (0, 0))).reshape(len(batch), shape.ahead, -1)
        return np.asarray(positions + known @ self._float64["known.weight"].T)

    def _handed(self, ends: list[State]) -> list[State]:
        """The state with which each layer of the decoder begins, from the encoder's last ones."""
        if not self.shape.bidirectional:
            return ends
        bridge = self._float64["bridge"].swapaxes(0, 1)                 # (layers, states, D, 2 D)
        return [tuple(np.concatenate([one, other], axis=-1) @ k.T for one, other, k in zip(*pair, weights, strict=True))
                for *pair, weights in zip(ends[::2], ends[1::2], bridge, strict=True)]

    def _decode(self, batch: Batch, begun: list[State]) -> tuple[Floats, dict[str, Gates]]:
        """Hidden of the last layer (B, U, D), gates by layer."""
        steps, seen = self.asked(batch), dict[str, Gates]()
        for layer, state in enumerate(begun):
            steps, _, seen[f"l{layer}"] = scan(self.shape.cell, steps, self.weights(f"l{layer}", "decoder"), state)
        return steps, seen

    def _from_segments(self, decoded: Floats, hidden: Floats) -> tuple[Floats, Floats, Floats | None]:
        """What is learned (B, H, Q), what the head read (B, U, R), and what each step weighs (B, H, T)."""
        shape, k, weights = self.shape, self._float64, None
        if shape.attention:
            weights = self._weighed(decoded @ k["attention.query.weight"].T, hidden)                # (B, U, T)
            decoded = np.concatenate([decoded, weights @ hidden], axis=-1)
            weights = np.repeat(weights, shape.segment, axis=1)[:, :shape.horizon]
        learned = decoded @ k["head.weight"].T + k["head.bias"]         # (B, U, segment * Q)
        learned = learned.reshape(len(decoded), shape.ahead * shape.segment, -1)[:, :shape.horizon]
        return learned, decoded, weights

    def _told(self, read: Floats, batch: Batch) -> Floats:
        """What each step makes of its covariates, in the light of what the head reads (B, U, R): (B, H, Q).

            W relu(W_r read_u + W_t told_h + b), one b for each place in a segment"""
        k, horizon = self._float64, self.shape.horizon
        told = np.concatenate([batch.around, batch.ahead], axis=-1) @ k["steps.told.weight"].T
        seen = read @ k["steps.read.weight"].T                          # (B, U, S); U = 1 of a flat head
        seen = np.repeat(seen, -(-horizon // seen.shape[1]) if seen.shape[1] == 1 else self.shape.segment, axis=1)
        places = np.resize(k["steps.bias"], (horizon, STEPS))
        return np.asarray(np.maximum(told + seen[:, :horizon] + places, 0) @ k["steps.head.weight"].T)

    # a flat head

    def _flat(self, hidden: Floats) -> tuple[Floats, Floats, Floats | None]:
        """What is learned (B, H, Q), what the head read (B, 1, E), and what each step weighs (B, H, T)."""
        shape, k, weights = self.shape, self._float64, None
        ends = summary(hidden, shape.hidden)
        learned = ends @ k["head.weight"].T + k["head.bias"]
        learned = learned.reshape(len(hidden), shape.horizon, -1)
        if shape.attention:
            asked = (ends @ k["attention.query.weight"].T)[:, None] + k["attention.step"]           # (B, H, D)
            weights = self._weighed(asked, hidden)
            read = weights @ hidden                                     # (B, H, E)
            learned = learned + np.matmul(read.swapaxes(0, 1), k["attention.value"]).swapaxes(0, 1)
        return learned, ends[:, None], weights

    def _weighed(self, asked: Floats, hidden: Floats) -> Floats:
        """How much what asks (B, N, D) reads from each step of the context: (B, T, E) -> (B, N, T), sum 1."""
        keys = hidden @ self._float64["attention.key.weight"].T         # (B, T, D)
        score = asked @ keys.swapaxes(1, 2) / np.sqrt(self.shape.hidden)
        score = np.exp(score - score.max(axis=-1, keepdims=True))
        return np.asarray(score / score.sum(axis=-1, keepdims=True))


def _filled(rows: Floats) -> Floats:
    """Rows (B, ...) filled up with 0 to a block."""
    block = np.zeros((BLOCK, *rows.shape[1:]))
    block[:len(rows)] = rows
    return block


def summary(hidden: Floats, d: int) -> Floats:
    """Where each direction ends: forward at the last step, backward at the first. (B, T, E) -> (B, E)."""
    return np.concatenate([hidden[:, -1, :d], hidden[:, 0, d:]], axis=-1)
