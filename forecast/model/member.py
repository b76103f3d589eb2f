"""Member: one network of a predictor with its own shape and units, and how it was come by."""

# H horizon

from __future__ import annotations

import math
from dataclasses import dataclass

from forecast.config import Config
from forecast.model.channels import CHANNELS
from forecast.model.network import Network, Shape
from forecast.model.plan import Plan
from forecast.series.batch import Batch
from forecast.series.covariate_units import CovariateUnits
from forecast.series.forecast import quantile_grid
from forecast.series.panel import Panel, Windows
from forecast.series.units import Units

NETWORK, LINEAR = "network", "linear"       # the two forecasters in a member: the whole, and its linear skip alone


@dataclass(frozen=True)
class Member:
    """Members may differ in everything but horizon and quantiles."""

    network: Network
    units: Units
    skip: bool = True                       # on top of a linear skip
    seed: int = 0
    penalty: float = math.inf               # of the ridge regression behind the skip
    steps: int = 0                          # training steps behind the weights; 0: the closed forms alone
    schedule: int = 0                       # steps that the schedule of the learning rate took
    rate_factor: float = 1.0                # share of the plan's learning rate at which its loss was a number
    diverged: bool = False                  # its loss was no number at any rate that was tried

    @property
    def shape(self) -> Shape:
        return self.network.shape

    def batch(self, panel: Panel, windows: Windows, *, horizon: int = 0) -> Batch:
        """What it sees of these windows of a panel."""
        shape = self.shape
        return self.units.batch(panel, windows, context=shape.context, horizon=horizon, ahead=shape.horizon)

    @property
    def reads_covariates(self) -> bool:
        return self.shape.around > 0


def part(kind: str, member: int) -> str:
    """The name of a forecaster in a member, among those of a blend: `network.0`."""
    return f"{kind}.{member}"


def shape_of(config: Config, plan: Plan, covariates: CovariateUnits | None = None) -> Shape:
    """The sizes of the network that settings and plan ask for, with these covariates."""
    model = config.model
    before, ahead, around, static = covariates.sizes if covariates else (0, 0, 0, 0)
    return Shape(cell=model.cell, context=plan.context, segment=plan.segment, hidden=plan.hidden, layers=model.layers,
                 horizon=plan.horizon, quantiles=quantile_grid(model.levels), dropout=model.dropout,
                 bidirectional=model.bidirectional, attention=model.attention, channels=len(CHANNELS), head=model.head,
                 embedding=model.embedding, tuned=model.tune_skip and model.skip, before=before, known=ahead,
                 around=around, static=static)
