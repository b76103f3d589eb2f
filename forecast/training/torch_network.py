"""RecurrentForecaster: the network as torch trains it, equal to Network of network.py with the same weights.

A recurrent cell over segments of the context, on top of a linear skip. Everything here is in normalised units; which
window, which units and which series are others' business."""

# B batch  L context  C channels  T segments  D hidden  E = D, or 2 D in both directions  H horizon  Q quantiles

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from forecast.errors import RequestError
from forecast.model.network import CHANNELS, Network, Shape
from forecast.model.skip import design, linear
from forecast.series.arrays import Floats
from forecast.series.batch import Batch
from forecast.system import machine
from forecast.training.torch_cells import CELLS, open_gates


class RecurrentForecaster(nn.Module):
    """A batch of tensors -> quantiles of the next H steps (B, H, Q), ascending (in training: as they come).

        forecast = skip(context) + offset + head(h_T),   h_t = cell(segment_t, h_{t-1})

    `skip` (L+1, H) is a linear forecast from context to horizon and `offset` (H, Q) the spread of its errors; both are
    set from closed forms, not trained. The head starts at zero, so that the untrained network is the linear forecast
    and training can only leave it for something better (skip: Zeng et al. 2023, DLinear; segments as steps: Lin et al.
    2023, SegRNN). In both directions, h_T is where each of them ends."""

    def __init__(self, shape: Shape, memory: float | None = None) -> None:
        """memory: the longest memory, in steps of the cell, for chrono initialisation; None for forget bias 1."""
        super().__init__()
        self.shape = shape
        self.cell = CELLS[shape.cell](shape.segment * CHANNELS, shape.hidden, shape.layers, batch_first=True,
                                      bidirectional=shape.bidirectional)
        self.random: torch.Generator | None = None
        self.rough = False                                              # the cell's products in bfloat16 while training
        self.head = nn.Linear(shape.encoded, shape.horizon * len(shape.quantiles))
        self.attention = Attention(shape) if shape.attention else None
        self.skip = nn.Parameter(torch.zeros(shape.context + 1, shape.horizon), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros(shape.horizon, len(shape.quantiles)), requires_grad=False)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        open_gates(shape.cell, self.cell, shape.hidden, memory)

    def forward(self, batch: Batch) -> Tensor:
        context, shape = channels(batch), self.shape                    # (B, L, C)
        segments = context.reshape(len(context), shape.steps, shape.segment * CHANNELS)     # (B, T, segment * C)
        with torch.autocast(context.device.type, torch.bfloat16, enabled=self.rough and self.training):
            hidden = self.cell(segments)[0].to(context.dtype)           # (B, T, E)
        ends = torch.cat([hidden[:, -1, :shape.hidden], hidden[:, 0, shape.hidden:]], dim=-1)
        learned = self.head(self._dropped(ends)).reshape(len(context), shape.horizon, -1)    # (B, H, Q)
        if self.attention is not None:
            learned = learned + self.attention(hidden, ends)
        quantiles: Tensor = self._linear(batch) + learned
        return quantiles if self.training else quantiles.sort(dim=-1).values

    def closed(self, batch: Batch) -> Tensor:
        """What the closed forms say without the cell (B, H, Q), ascending."""
        return self._linear(batch).sort(dim=-1).values

    def _linear(self, batch: Batch) -> Tensor:
        spread: Tensor = linear(design(batch), self.skip)[..., None] + self.offset
        return spread

    def _dropped(self, ends: Tensor) -> Tensor:
        """In training, a share of what the head sees put to 0 (Srivastava et al. 2014), drawn from a generator of its
        own: networks trained side by side do not disturb each other."""
        share = self.shape.dropout
        if not self.training or share == 0:
            return ends
        kept = torch.rand(ends.shape, generator=self.random, device=ends.device) >= share
        return ends * kept / (1 - share)

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
    """Each step of the horizon weighs all steps of the context and reads from them (Bahdanau et al. 2015; the score is
    the scaled product of Vaswani et al. 2017): softmax_t((W_q h_T + s_h) . W_k h_t / sqrt(D)). What it reads counts
    nothing at first."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, e = shape.hidden, shape.encoded
        self.query = nn.Linear(e, d, bias=False)
        self.key = nn.Linear(e, d, bias=False)
        self.step = nn.Parameter(torch.randn(shape.horizon, d) / math.sqrt(d))
        self.value = nn.Parameter(torch.zeros(shape.horizon, e, len(shape.quantiles)))

    def forward(self, hidden: Tensor, ends: Tensor) -> Tensor:
        asked = self.query(ends)[:, None] + self.step                   # (B, H, D)
        score = asked @ self.key(hidden).transpose(1, 2) / math.sqrt(asked.shape[-1])
        read = score.softmax(dim=-1) @ hidden                           # (B, H, E)
        return torch.matmul(read.transpose(0, 1), self.value).transpose(0, 1)


def channels(batch: Batch) -> Tensor:
    """What a cell reads at each point of the context (B, L, C): the value or 0, and 1 or 0 for whether it is there."""
    there = ~torch.isnan(batch.context)
    return torch.stack([torch.nan_to_num(batch.context), there.to(batch.context.dtype)], dim=-1)


def pinball(forecast: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Mean over what is there of max(q (y - f), (q - 1)(y - f)) (Koenker & Bassett 1978), times 2 so that the median
    counts as its absolute error. forecast (B, H, Q), target (B, H) with NaN where missing, quantiles (Q,)."""
    there = ~torch.isnan(target)
    error = torch.nan_to_num(target)[..., None] - forecast
    loss = 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(dim=-1)
    return (loss * there).sum() / there.sum().clamp(min=1)
