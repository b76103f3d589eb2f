"""Predictor: plan, scaling and weights in one: a panel in, a Forecast in original units out.

Training fills it, artifact.py writes it; it never learns from what it predicts on."""

# S series  B block  L context  H horizon  Q quantiles

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.baselines import SeasonalNaive
from forecast.calibration import widened
from forecast.config import Config
from forecast.forecasts import Forecast, quantile_grid
from forecast.network import BLOCK, Network, Shape
from forecast.plan import Plan, make_plan
from forecast.scaling import TRANSFORMS, normalised, restored, series_loc_scale, window_loc_scale
from forecast.series import Floats, Panel
from forecast.windows import contexts, ends_of

ROWS = 64 * BLOCK                           # series brought to unit size and forecast at a time


@dataclass
class Predictor:
    """What a run is made of. `seen` maps each series' id to the ordinal just behind its last training point."""

    config: Config
    plan: Plan
    network: Network
    transform: str                          # "none" | "log"
    widths: Floats                          # (H, Q) calibration factors
    seen: dict[str, int]
    loc: Floats                             # (S,) per-series scaling of the series seen, in their order; else empty
    scale: Floats
    penalty: float = math.inf               # of the ridge regression behind the linear skip
    steps: int = 0                          # training steps behind the weights; 0: the linear skip alone
    schedule: int = 0                       # steps that the schedule of the learning rate took when it was validated
    forward: Callable[[Floats], Floats] | None = None   # in place of the network's own, on another device

    @classmethod
    def new(cls, config: Config, panel: Panel) -> Predictor:
        """Untrained, with the sizes settled for this panel. Raises what make_plan raises."""
        plan = make_plan(config, panel)
        shape = shape_of(config, plan)
        return cls(config=config, plan=plan, network=Network.blank(shape), transform="none",
                   widths=np.ones((plan.horizon, len(shape.quantiles))), seen={}, loc=np.empty(0), scale=np.empty(0))

    @property
    def name(self) -> str:
        """What serves: the cell, or the linear skip where training did not better it."""
        return self.config.model.cell if self.steps else "linear" if self.config.model.skip else "mean"

    @property
    def quantiles(self) -> tuple[float, ...]:
        return self.network.shape.quantiles

    def predict(self, panel: Panel, horizon: int) -> Forecast:
        """The next `horizon` steps of each series. A horizon beyond the trained one is reached by reading the median
        forecast as history; the spreads of the parts add in quadrature.

        A series that is too short, or not positive where the model needs it, is served by the seasonal naive forecast
        and says so in `source`; so is one that moved once but stood still for the whole context, which then says
        nothing of its unit. `values` are finite always."""
        values, able = self._quantiles(panel)                           # (S, H, Q)
        parts, longer = [values], panel
        while sum(p.shape[1] for p in parts) < horizon:
            longer = extended(longer, parts[-1][:, :, self.quantiles.index(0.5)])
            further, _ = self._quantiles(longer)
            parts.append(_spread_from(parts[-1][:, -1:, :], further, self.quantiles))
        values = np.concatenate(parts, axis=1)[:, :horizon]
        source = np.where(able == "", self.name, able).astype(object)
        finite = np.isfinite(values).all(axis=(1, 2))
        source[(able == "") & ~finite] = "fallback:not_finite"
        if (poor := np.flatnonzero(source != self.name)).size:
            values[poor] = SeasonalNaive(self.plan.season, self.quantiles).predict(panel.take(poor), horizon).values
        return Forecast(panel, self.quantiles, values, source)

    def _quantiles(self, panel: Panel) -> tuple[Floats, NDArray[np.object_]]:
        """(S, H, Q) forecasts of the trained horizon, and (S,) why a series can't be served ("" where it can)."""
        forward, backward = TRANSFORMS[self.transform]
        windows = ends_of(panel)
        able = np.full(len(panel), "", dtype=object)
        able[panel.lengths < self.plan.min_context] = "fallback:short"
        values = np.full((len(panel), self.plan.horizon, len(self.quantiles)), np.nan)
        forward_z = self.forward or self.network.forward
        for begin in range(0, len(panel), ROWS):
            rows = np.arange(begin, min(begin + ROWS, len(panel)))
            context = contexts(panel.y, windows.take(rows), self.plan.context)
            if self.transform == "log":
                positive = np.all(np.isnan(context) | (context > 0), axis=1)
                able[rows[~positive]] = "fallback:not_positive"
                context = np.where(positive[:, None], context, 1.0)
            empty = np.all(np.isnan(context[:, -self.plan.min_context:]), axis=1)
            able[rows[empty]] = "fallback:no_data"
            context = np.where(empty[:, None], 0.0, forward(context))
            loc, scale = self.loc_scale(context, panel.ids[rows], panel.take(rows))
            still = rows[(scale[:, 0] == 0) & (able[rows] == "")]
            able[[s for s in still if np.ptp(panel.values(s)[~np.isnan(panel.values(s))]) > 0]] = "seasonal_naive"
            z = forward_z(normalised(context, loc, scale))
            z = widened(z, self.widths, self.quantiles)
            with np.errstate(over="ignore"):
                values[rows] = backward(restored(z, loc[:, :, None], scale[:, :, None]))
        return values, able

    def loc_scale(self, context: Floats, ids: NDArray[np.object_], panel: Panel) -> tuple[Floats, Floats]:
        """(B, 1) each, in transformed units: of each window, or of each series (one not seen before: of its own past).

        context (B, L) transformed; the panel holds the same B series in original units."""
        if self.config.model.scaling == "window":
            return window_loc_scale(context, self.plan.season)
        place = {name: k for k, name in enumerate(self.seen)}
        known = np.array([place.get(i, -1) for i in ids])
        loc, scale = self.loc[known], self.scale[known]
        if (known < 0).any():
            own = self.fit_scaler(panel.take(np.flatnonzero(known < 0)))
            loc[known < 0], scale[known < 0] = own
        return loc[:, None], scale[:, None]

    def fit_scaler(self, panel: Panel) -> tuple[Floats, Floats]:
        """Per-series (loc, scale), each (S,), of transformed values."""
        with np.errstate(all="ignore"):
            y = TRANSFORMS[self.transform][0](panel.y)
        return series_loc_scale(replace(panel, y=np.where(np.isfinite(y), y, np.nan)), self.config.model.scaling)


def extended(panel: Panel, following: Floats) -> Panel:
    """Each series with `following` (S, H) put behind it."""
    return Panel.of([np.concatenate([panel.values(s), following[s]]) for s in range(len(panel))], panel.calendar,
                    ids=list(panel.ids), start=panel.start.tolist())


def _spread_from(last: Floats, further: Floats, quantiles: tuple[float, ...]) -> Floats:
    """`further` (S, H, Q) with the spread of the step it starts from, `last` (S, 1, Q), added in quadrature."""
    middle = quantiles.index(0.5)
    median = further[:, :, middle, None]
    reach = np.hypot(further - median, last - last[:, :, middle, None])
    return np.asarray(median + np.sign(np.arange(len(quantiles)) - middle) * reach)


def shape_of(config: Config, plan: Plan) -> Shape:
    """The sizes of the network that settings and plan ask for."""
    model = config.model
    return Shape(cell=model.cell, context=plan.context, segment=plan.segment, hidden=plan.hidden, layers=model.layers,
                 horizon=plan.horizon, quantiles=quantile_grid(model.levels), dropout=model.dropout,
                 bidirectional=model.bidirectional, attention=model.attention)
