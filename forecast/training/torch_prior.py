"""The prior as torch trains it: the twin of model/prior.py."""

# B series  T steps  D hidden  H horizon  Q quantiles

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor, nn

from forecast.model.prior import HIDDEN, QUANTILES
from forecast.model.sight import GROUP, POINT, QUERY

MOST = 20.0                                 # a series whose target lies farther off counts as much less


class TorchPrior(nn.Module):
    """Points (B, T, G * POINT) and queries (B, H, QUERY) -> quantiles (B, H, Q). It begins as a normal distribution
    around the seasonal naive forecast, the forget gate open (bias 1)."""

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.cell = nn.LSTM(GROUP * POINT, hidden, batch_first=True)
        self.query = nn.Linear(QUERY, hidden)
        self.state = nn.Linear(hidden, hidden, bias=False)
        self.middle = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, len(QUANTILES))
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([1.2 * NormalDist().inv_cdf(q) for q in QUANTILES]))
            self.cell.get_parameter("bias_ih_l0")[hidden:2 * hidden] = 1

    def forward(self, points: Tensor, queries: Tensor) -> Tensor:
        hidden = self.cell(points)[0][:, -1]
        first = torch.relu(self.query(queries) + self.state(hidden)[:, None])
        said: Tensor = self.head(torch.relu(self.middle(first)))
        return said


def loss(said: Tensor, target: Tensor) -> Tensor:
    """Mean pinball loss (Koenker & Bassett 1978) times 2 over what is there of a target (B, H), NaN where missing. A
    series whose target is absurdly far off counts as if it were not quite so far."""
    there = ~torch.isnan(target)
    target = torch.nan_to_num(target)
    weight = there * (MOST / target.abs().amax(dim=1, keepdim=True).clamp(min=MOST))
    error = target[..., None] - said
    quantiles = torch.tensor(QUANTILES)
    pinball = 2 * torch.maximum(quantiles * error, (quantiles - 1) * error).mean(dim=-1)
    return (pinball * weight).sum() / there.sum().clamp(min=1)
