"""Predictor: plan, scaling and weights in one: a panel in, a Forecast in original units out.

Training fills it, artifact.py writes it; it never learns from what it predicts on."""

# S series  B block  L context  H horizon  Q quantiles

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forecast.baselines import BASELINES, SeasonalNaive
from forecast.blending import Blend
from forecast.calibration import widened
from forecast.config import Config
from forecast.forecasts import Forecast, quantile_grid
from forecast.network import BLOCK, Network, Shape
from forecast.plan import Plan, make_plan
from forecast.scaling import TRANSFORMS, normalised, restored, series_loc_scale, window_loc_scale
from forecast.series import Floats, Panel
from forecast.windows import contexts, ends_of

NETWORK, LINEAR = "network", "linear"       # the two parts of the network: whole, and its skip alone
EXPERTS = ("seasonal_naive_drift", "theta", "holt_winters")
REACH = 3.0                                 # ranges of the context
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
    validated: Network | None = None        # the weights that held-out windows have seen, while a fit lasts
    schedule: int = 0                       # steps that the schedule of the learning rate took when it was validated
    blend: Blend = field(default_factory=lambda: Blend.alone(NETWORK))  # what serves, and how much
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
        """What serves most: the cell, the linear skip where training did not better it, or an expert."""
        heaviest = self.blend.names[int(np.argmax(self.blend.pooled))]
        return self.titles.get(heaviest, heaviest)

    @property
    def titles(self) -> dict[str, str]:
        """What the parts of the network are called in public."""
        linear = "linear" if self.config.model.skip else "mean"
        return {NETWORK: self.config.model.cell if self.steps else linear, LINEAR: linear}

    def shares(self, series: str) -> dict[str, float]:
        """What each forecaster weighs in the forecast of a series, by their public names."""
        weights = self.blend.weights(np.array([series], dtype=object))[:, 0]
        return {self.titles.get(name, name): float(w) for name, w in zip(self.blend.names, weights, strict=True)}

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
        source = np.array(self.blend.sources(panel.ids, self.titles), dtype=object)
        source = np.where(able == "", source, able)
        finite = np.isfinite(values).all(axis=(1, 2))
        source[(able == "") & ~finite] = "fallback:not_finite"
        if (poor := np.flatnonzero((able != "") | ~finite)).size:
            values[poor] = SeasonalNaive(self.plan.season, self.quantiles).predict(panel.take(poor), horizon).values
        return Forecast(panel, self.quantiles, values, source)

    def _quantiles(self, panel: Panel) -> tuple[Floats, NDArray[np.object_]]:
        """(S, H, Q) forecasts of the trained horizon, and (S,) why a series can't be served ("" where it can)."""
        parts, able = self.parts(panel, self.blend.names)
        return self.widened(self.blend.of_parts(parts, panel.ids)), able

    def parts(self, panel: Panel, names: Sequence[str]) -> tuple[dict[str, Floats], NDArray[np.object_]]:
        """What each of these forecasters says, (S, H, Q) in original units, and (S,) why a series can't be served."""
        own, able = self._own(panel)
        low, high = self._reach(panel)
        for name in [n for n in names if n not in own]:
            said = BASELINES[name](self.plan.season, self.quantiles).predict(panel, self.plan.horizon).values
            lost = np.any((said < low) | (said > high), axis=(1, 2), keepdims=True)
            own[name] = np.where(lost, own[LINEAR], said)
        return own, able

    def _reach(self, panel: Panel) -> tuple[Floats, Floats]:
        """(S, 1, 1) each: how far below and above a series' context an expert, which reads all of its past, may lead.
        One absurd value long ago can lead it anywhere; the linear skip then speaks in its place."""
        context = contexts(panel.y, ends_of(panel), self.plan.context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)             # a context without a value bounds nothing
            low, high = np.nanmin(context, axis=1, keepdims=True), np.nanmax(context, axis=1, keepdims=True)
        return (low - REACH * (high - low))[:, :, None], (high + REACH * (high - low))[:, :, None]

    def widened(self, values: Floats) -> Floats:
        """Bands brought to the width they had to have on held-out windows, in the units the model thinks in."""
        forward, backward = TRANSFORMS[self.transform]
        fits = np.all(values > 0, axis=(1, 2), keepdims=True) if self.transform == "log" else np.array(True)
        with np.errstate(all="ignore"):
            thought = widened(np.where(fits, forward(np.where(fits, values, 1.0)), values), self.widths, self.quantiles)
            return np.where(fits, backward(thought), thought)

    def _own(self, panel: Panel) -> tuple[dict[str, Floats], NDArray[np.object_]]:
        """The network's quantiles, and its linear skip's alone."""
        forward, backward = TRANSFORMS[self.transform]
        windows = ends_of(panel)
        able = np.full(len(panel), "", dtype=object)
        able[panel.lengths < self.plan.min_context] = "fallback:short"
        size = len(panel), self.plan.horizon, len(self.quantiles)
        own = {name: np.full(size, np.nan) for name in (NETWORK, LINEAR)}
        network = self.forward or self.network.forward
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
            z = normalised(context, loc, scale)
            for name, said in ((NETWORK, network), (LINEAR, self.network.linear)):
                with np.errstate(over="ignore"):
                    own[name][rows] = backward(restored(said(z), loc[:, :, None], scale[:, :, None]))
        return own, able

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
