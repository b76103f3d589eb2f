"""RecurrentForecaster: the network as torch trains it, equal to Network of network.py with the same weights.

A recurrent encoder over segments of the context and a decoder over those of the horizon, on top of a linear skip.
Everything here is in normalised units; which window, which units and which series are others' business."""

# B batch  L context  C channels  T segments of it  H horizon  U segments of it  D hidden  E = D, or 2 D in both
# directions  Q quantiles

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forecast.errors import RequestError
from forecast.model.cells import CELLS as CELL_TABLE
from forecast.model.channels import channels
from forecast.model.network import STEPS, Network, Shape
from forecast.model.skip import said
from forecast.series.arrays import Floats
from forecast.series.batch import Batch
from forecast.system import machine
from forecast.training.torch_cells import CELLS, open_gates


class RecurrentForecaster(nn.Module):
    """A batch of tensors -> quantiles of the next H steps (B, H, Q), ascending (in training: as they come).

        forecast = skip(context) + offset + head(d_u),   d_u = decoder(position_u, d_{u-1}),   d_0 = encoder(context)

    The encoder reads segments of the context, the decoder writes segments of the horizon; a flat head takes all of it
    from the encoder's last state. `skip` (L+1, H) is a linear forecast from context to horizon and `offset` (H, Q) the
    spread of its errors; both are set from closed forms. `tuned` is what training adds to the skip. The head starts at
    zero, so that the untrained network is the linear forecast and training can only leave it for something better
    (skip: Zeng et al. 2023, DLinear; segments as steps, read and written: Lin et al. 2023, SegRNN)."""

    def __init__(self, shape: Shape, memory: float | None = None) -> None:
        """memory: the longest memory, in steps of the cell, for chrono initialisation; None for forget bias 1."""
        super().__init__()
        self.shape = shape
        self.random: torch.Generator | None = None
        self.rough = False                                              # the cell's products in bfloat16 while training
        quantiles = len(shape.quantiles)
        points = shape.segment * (shape.channels + shape.before)
        self.embedding = nn.Linear(points, shape.hidden) if shape.embedding else None
        self.cell = CELLS[shape.cell](shape.inputs, shape.hidden, shape.layers, batch_first=True,
                                      bidirectional=shape.bidirectional)
        open_gates(shape.cell, self.cell, shape.hidden, memory)
        self.attention = ATTENTION[shape.head](shape) if shape.attention else None
        if shape.head == "flat":
            self.head = nn.Linear(shape.encoded, shape.horizon * quantiles)
        else:
            self.decoder = CELLS[shape.cell](shape.hidden, shape.hidden, shape.layers, batch_first=True)
            open_gates(shape.cell, self.decoder, shape.hidden)
            self.positions = nn.Parameter(torch.randn(shape.ahead, shape.hidden))
            self.bridge = _bridge(shape) if shape.bidirectional else None
            read = shape.hidden + (shape.encoded if shape.attention else 0)
            self.head = nn.Linear(read, shape.segment * quantiles)
        self.tuned = nn.Parameter(torch.zeros(shape.context + 1, shape.horizon)) if shape.tuned else None
        self.skip = nn.Parameter(torch.zeros(shape.context + 1, shape.horizon), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros(shape.horizon, quantiles), requires_grad=False)
        if shape.around:
            self._with_covariates(shape)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def _with_covariates(self, shape: Shape) -> None:
        """All that they need beside wider segments; it changes nothing at first but the decoder's steps."""
        self.effects = nn.Parameter(torch.zeros(shape.around, shape.horizon), requires_grad=False)
        if self.tuned is not None:
            self.tuned_effects = nn.Parameter(torch.zeros(shape.around, shape.horizon))
        if shape.head == "decoder":
            count = shape.segment * shape.known                         # of nothing torch would warn
            self.known = nn.Linear(max(1, count), shape.hidden, bias=False)
            self.known.weight = nn.Parameter(self.known.weight.detach()[:, :count])
        directions = shape.layers * len(shape.directions)
        self.first = nn.Parameter(torch.zeros(CELL_TABLE[shape.cell].states, directions, shape.hidden, shape.static))
        self.steps = StepHead(shape, self.head.in_features)

    def forward(self, batch: Batch) -> Tensor:
        with torch.autocast(batch.context.device.type, torch.bfloat16, enabled=self.rough and self.training):
            learned = self._flat(batch) if self.shape.head == "flat" else self._from_segments(batch)
        quantiles: Tensor = self._line(batch)[..., None] + self.offset + learned
        return quantiles if self.training else quantiles.sort(dim=-1).values

    def _line(self, batch: Batch) -> Any:
        """What the linear skip says (B, H), as training changed it."""
        weights, effects = self.skip, self.effects if self.shape.around else None
        if self.tuned is None:
            return said(batch, weights, effects)
        return said(batch, weights + self.tuned, None if effects is None else effects + self.tuned_effects)

    def closed(self, batch: Batch) -> Tensor:
        """What the closed forms say without the network (B, H, Q), ascending."""
        point = said(batch, self.skip, self.effects if self.shape.around else None)
        quantiles: Tensor = point[..., None] + self.offset
        return quantiles.sort(dim=-1).values

    def _encode(self, batch: Batch) -> tuple[Tensor, Any]:
        """Hidden (B, T, E), and the last state."""
        seen = channels(batch, self.shape.channels)                     # (B, L, C)
        seen = torch.cat([seen, batch.before], dim=-1) if self.shape.around else seen
        steps = seen.reshape(len(batch), self.shape.steps, -1)          # (B, T, segment * C)
        hidden, state = self.cell(steps if self.embedding is None else self.embedding(steps).relu(), self._first(batch))
        return hidden.to(batch.context.dtype), state

    def _first(self, batch: Batch) -> Any:
        """The state with which the encoder begins: what static covariates make of it; None for 0."""
        if not self.shape.around:
            return None
        states = (batch.static @ self.first.transpose(2, 3)).unbind()   # each (layers * directions, B, D)
        return states[0] if len(states) == 1 else tuple(states)

    def _flat(self, batch: Batch) -> Tensor:
        """What is learned (B, H, Q), from the last state to the whole horizon at once."""
        hidden, _ = self._encode(batch)
        with torch.autocast(hidden.device.type, enabled=False):
            ends = torch.cat([hidden[:, -1, :self.shape.hidden], hidden[:, 0, self.shape.hidden:]], dim=-1)
            read = self._dropped(ends)
            learned: Tensor = self.head(read).reshape(len(ends), self.shape.horizon, -1)
            learned = learned if self.attention is None else learned + self.attention(hidden, ends)
            return learned + self.steps(read[:, None], batch) if self.shape.around else learned

    def _from_segments(self, batch: Batch) -> Tensor:
        """What is learned (B, H, Q), a segment from each state of the decoder, whose last one is cut."""
        shape = self.shape
        hidden, state = self._encode(batch)
        decoded = self.decoder(self.asked(batch), self._handed(state))[0].to(hidden.dtype)          # (B, U, D)
        with torch.autocast(hidden.device.type, enabled=False):
            if self.attention is not None:
                decoded = torch.cat([decoded, self.attention(hidden, decoded)], dim=-1)
            read = self._dropped(decoded)
            learned: Tensor = self.head(read)                           # (B, U, segment * Q)
            learned = learned.reshape(len(decoded), shape.ahead * shape.segment, -1)[:, :shape.horizon]
            return learned + self.steps(read, batch) if shape.around else learned

    def asked(self, batch: Batch) -> Tensor:
        """What the decoder reads at each segment of the horizon (B, U, D): its learned position, and what is known of
        the segment's steps."""
        shape = self.shape
        if not shape.around:
            return self.positions.expand(len(batch), -1, -1)
        known = nn.functional.pad(batch.ahead, (0, 0, 0, shape.ahead * shape.segment - shape.horizon))
        told: Tensor = self.positions + self.known(known.reshape(len(batch), shape.ahead, -1))
        return told

    def _handed(self, state: Any) -> Any:
        """The state with which the decoder begins, from the encoder's last one, as torch has them: (layers, B, D)."""
        if self.bridge is None:
            return state
        each = [state] if isinstance(state, Tensor) else list(state)    # (layers * 2, B, D)
        pairs = [s.unflatten(0, (self.shape.layers, 2)).transpose(1, 2).flatten(2) for s in each]   # (layers, B, 2 D)
        handed = [pair.to(k.dtype) @ k.transpose(1, 2) for pair, k in zip(pairs, self.bridge, strict=True)]
        return handed[0] if isinstance(state, Tensor) else tuple(handed)

    def _dropped(self, read: Tensor) -> Tensor:
        """In training, a share of what the head reads put to 0 (Srivastava et al. 2014), drawn from a generator of its
        own: networks trained side by side do not disturb each other."""
        share = self.shape.dropout
        if not self.training or share == 0:
            return read
        kept = torch.rand(read.shape, generator=self.random, device=read.device) >= share
        return read * kept / (1 - share)

    def seeded(self, seed: int) -> RecurrentForecaster:
        """Itself, drawing from a generator of its own."""
        self.random = torch.Generator(self.head.weight.device).manual_seed(seed)
        return self

    def network(self) -> Network:
        """The weights as they stand, for numpy."""
        return Network(self.shape, {k: v.detach().to("cpu", copy=True).numpy() for k, v in self.state_dict().items()})

    def load(self, network: Network, names: tuple[str, ...] | None = None) -> RecurrentForecaster:
        """Take over the weights (of these names), and return itself."""
        chosen = {k: torch.from_numpy(np.asarray(v)) for k, v in network.tensors.items() if names is None or k in names}
        self.load_state_dict(chosen, strict=names is None)
        return self


class StepHead(nn.Module):
    """What each step of the horizon makes of its covariates, in the light of what the head reads (B, U, R): (B, H, Q).
    It says nothing at first.

        W relu(W_r read_u + W_t told_h + b), one b for each place in a segment"""

    def __init__(self, shape: Shape, read: int) -> None:
        super().__init__()
        self.horizon, self.segment = shape.horizon, shape.segment
        self.read = nn.Linear(read, STEPS, bias=False)
        self.told = nn.Linear(shape.around + shape.known, STEPS, bias=False)
        self.bias = nn.Parameter(torch.zeros(shape.segment, STEPS))
        self.head = nn.Linear(STEPS, len(shape.quantiles), bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, read: Tensor, batch: Batch) -> Tensor:
        told = self.told(torch.cat([batch.around, batch.ahead], dim=-1))                            # (B, H, S)
        seen, horizon = self.read(read), self.horizon
        seen = seen if len(seen[0]) == 1 else seen.repeat_interleave(self.segment, dim=1)[:, :horizon]
        places = self.bias.repeat(-(-horizon // self.segment), 1)[:horizon]
        learned: Tensor = self.head((told + seen + places).relu())
        return learned


def is_rough(precision: str, shape: Shape, device: torch.device) -> bool:
    """Whether a cell's products are taken in bfloat16, by train.precision. Others than the LSTM's kernel gain nothing
    by it, nor do small ones. Raises RequestError where it was asked for and the machine cannot."""
    if precision == "bfloat16":
        check_bfloat16(shape.cell, device)
    if precision != "auto":
        return precision == "bfloat16"
    return shape.cell == "lstm" and shape.hidden >= 64 and machine.is_fast_in_bfloat16(device)


def check_bfloat16(cell: str, device: torch.device) -> None:
    """Raises RequestError where a cell's products cannot be taken in bfloat16 on this device while it is trained."""
    if not machine.works_in_bfloat16(CELLS[cell], device):
        raise RequestError(f"train.precision=bfloat16: the {device.type} here cannot train the cell {cell} in it",
                           code="no_bfloat16", hint="Use --set train.precision=auto, which then takes float32")


def forward_on(network: Network, device: torch.device) -> Callable[[Batch], Floats]:
    """`network.forward` on a device: in float64 (to 1e-9 of numpy's numbers), in float32 where it has no other."""
    kind = torch.float32 if device.type == "mps" else torch.float64
    model = RecurrentForecaster(network.shape).load(network).to(device, kind).eval()

    def forward(batch: Batch) -> Floats:
        with torch.inference_mode():
            values: Tensor = model(batch.map(lambda array: torch.from_numpy(array).to(device, kind)))
        return np.asarray(values.double().cpu().numpy())

    return forward


class Attention(nn.Module):
    """Each step of the decoder weighs all steps of the context and reads from them (Bahdanau et al. 2015; the score is
    the scaled product of Vaswani et al. 2017): softmax_t(W_q d_u . W_k h_t / sqrt(D)), (B, U, E)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.query = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.key = nn.Linear(shape.encoded, shape.hidden, bias=False)

    def forward(self, hidden: Tensor, decoded: Tensor) -> Tensor:
        return _read(self.query(decoded), self.key(hidden), hidden)


class FlatAttention(nn.Module):
    """The same for a flat head: each step of the horizon asks softmax_t((W_q h_T + s_h) . W_k h_t / sqrt(D)). What it
    reads counts nothing at first."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, e = shape.hidden, shape.encoded
        self.query = nn.Linear(e, d, bias=False)
        self.key = nn.Linear(e, d, bias=False)
        self.step = nn.Parameter(torch.randn(shape.horizon, d) / math.sqrt(d))
        self.value = nn.Parameter(torch.zeros(shape.horizon, e, len(shape.quantiles)))

    def forward(self, hidden: Tensor, ends: Tensor) -> Tensor:
        read = _read(self.query(ends)[:, None] + self.step, self.key(hidden), hidden)               # (B, H, E)
        return torch.matmul(read.transpose(0, 1), self.value).transpose(0, 1)


ATTENTION: dict[str, Callable[[Shape], nn.Module]] = {"decoder": Attention, "flat": FlatAttention}


def _read(asked: Tensor, keys: Tensor, hidden: Tensor) -> Tensor:
    """What those who ask (B, N, D) read of the steps (B, T, E), by their keys (B, T, D): (B, N, E)."""
    score = asked @ keys.transpose(1, 2) / math.sqrt(asked.shape[-1])
    return score.softmax(dim=-1) @ hidden


def _bridge(shape: Shape) -> nn.Parameter:
    """From where both directions end to where the decoder begins, for each array of the state and each layer."""
    bound = shape.encoded ** -0.5
    size = CELL_TABLE[shape.cell].states, shape.layers, shape.hidden, shape.encoded
    return nn.Parameter(torch.empty(size).uniform_(-bound, bound))


def pinball(forecast: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Mean over what is there of max(q (y - f), (q - 1)(y - f)) (Koenker & Bassett 1978), times 2 so that the median
    counts as its absolute error. forecast (B, H, Q), target (B, H) with NaN where missing, quantiles (Q,)."""
    there = ~torch.isnan(target)
    error = torch.nan_to_num(target)[..., None] - forecast
    loss = 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(dim=-1)
    return (loss * there).sum() / there.sum().clamp(min=1)
