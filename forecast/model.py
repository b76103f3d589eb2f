"""RecurrentForecaster: a recurrent network over segments of the context, on top of a linear skip.

Everything here is in normalised units; which window, which units and which series are others' business."""

# B batch  L context  C channels  T segments  D hidden  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
CHANNELS = 2                                                            # value, and whether it is there


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
    dropout: float


class RecurrentForecaster(nn.Module):
    """context (B, L, C) -> quantiles of the next H steps (B, H, Q), ascending (in training: as they come).

        forecast = skip(context) + offset + head(h_T),   h_t = cell(segment_t, h_{t-1})

    `skip` (L+1, H) is a linear forecast from context to horizon and `offset` (H, Q) the spread of its errors; both are
    set from closed forms, not trained. The head starts at zero, so that the untrained network is the linear forecast
    and training can only leave it for something better (skip: Zeng et al. 2023, DLinear; segments as steps: Lin et al.
    2023, SegRNN; forget bias 1: Gers et al. 2000, Jozefowicz et al. 2015)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.cell = CELLS[shape.cell](shape.segment * CHANNELS, shape.hidden, shape.layers, batch_first=True)
        self.dropout = nn.Dropout(shape.dropout)
        self.head = nn.Linear(shape.hidden, shape.horizon * len(shape.quantiles))
        self.skip = nn.Parameter(torch.zeros(shape.context + 1, shape.horizon), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros(shape.horizon, len(shape.quantiles)), requires_grad=False)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if shape.cell == "lstm":
            self._open_forget_gates()

    def _open_forget_gates(self) -> None:
        """Forget bias 1: torch keeps two biases a gate, so one is set and the other cleared."""
        for name, bias in self.cell.named_parameters():
            if name.startswith("bias"):
                gate = slice(self.shape.hidden, 2 * self.shape.hidden)  # torch's order: input, forget, cell, output
                with torch.no_grad():
                    bias[gate] = 1.0 if "_ih_" in name else 0.0

    def forward(self, context: Tensor) -> Tensor:
        values = context[..., 0]
        linear = values @ self.skip[:-1] + self.skip[-1]                # (B, H)
        segments = context.reshape(len(context), -1, self.shape.segment * CHANNELS)         # (B, T, segment * C)
        hidden = self.dropout(self.cell(segments)[0][:, -1])            # (B, D)
        learned = self.head(hidden).reshape(len(context), self.shape.horizon, -1)           # (B, H, Q)
        quantiles: Tensor = linear[..., None] + self.offset + learned
        return quantiles if self.training else quantiles.sort(dim=-1).values


def channels(context: Tensor) -> Tensor:
    """(B, L) with NaN where missing -> (B, L, C): the value or 0, and 1 or 0 for whether it is there."""
    there = ~torch.isnan(context)
    return torch.stack([torch.nan_to_num(context), there.to(context.dtype)], dim=-1)


def pinball(forecast: Tensor, target: Tensor, quantiles: Tensor) -> Tensor:
    """Mean over what is there of max(q (y - f), (q - 1)(y - f)) (Koenker & Bassett 1978), times 2 so that the median
    counts as its absolute error. forecast (B, H, Q), target (B, H) with NaN where missing, quantiles (Q,)."""
    there = ~torch.isnan(target)
    error = torch.nan_to_num(target)[..., None] - forecast
    loss = 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(dim=-1)
    return (loss * there).sum() / there.sum().clamp(min=1)
