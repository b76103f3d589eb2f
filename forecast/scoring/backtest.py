"""Backtesting: what a forecaster would have said at past cutoffs, beside what came true; and the scores of that.

The panel handed to a forecaster ends at the cutoff, so nothing later is in its reach. The backtest frame has a row for
each series, cutoff and step whose truth is known:
    model · series (position in the panel) · cutoff (ordinal of the last time known) · step (1 .. H) · y · yhat ·
    yhat_lo_80, yhat_hi_80, ... · source"""

# S series  K cutoffs  R = K S rows of a rolled panel  H horizon

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import DataError
from forecast.scoring import metrics
from forecast.scoring.formulas import REFERENCE, SIMPLE
from forecast.series.arrays import Floats, Ints, finite_sums
from forecast.series.forecast import Forecast, Forecaster, band_quantiles, in_parts
from forecast.series.panel import Panel
from forecast.system.engine import Engine


def backtest(panel: Panel, makers: Mapping[str, Callable[[Panel], Forecaster]], *, horizon: int,
             cutoffs: Sequence[int], levels: Sequence[float], refit: str = "never",
             engine: Engine | None = None) -> pd.DataFrame:
    """Forecasts of each maker at each cutoff (steps back from the newest time), as one frame.

    A maker gets what was known at the first cutoff and returns a forecaster, which then forecasts at every cutoff
    from what was known there; with refit="each" it is asked anew at each cutoff. An engine works for all but
    the simple ones, who are done before it has begun."""
    groups = [cutoffs] if refit == "never" else [[k] for k in cutoffs]
    frames = []
    for name, make in makers.items():
        for group in groups:
            forecaster = make(panel.drop_last(group[0]))
            helped = None if name in SIMPLE else engine
            frames.append(_issued(panel, name, forecaster, horizon, group, levels, helped))
    frame = pd.concat(frames, ignore_index=True)
    if frame.empty:
        raise DataError("no forecast of the backtest has a truth to be scored by", code="no_truth",
                        hint="Give a shorter --horizon, or another --windows")
    return frame


def _issued(panel: Panel, name: str, forecaster: Forecaster, horizon: int, cutoffs: Sequence[int],
            levels: Sequence[float], engine: Engine | None) -> pd.DataFrame:
    rolled = panel.rolled(cutoffs)
    series = np.tile(np.arange(len(panel)), len(cutoffs))
    has_past = finite_sums(panel.y, rolled.first, rolled.stop)[1] > 0
    rows = np.flatnonzero(has_past & (rolled.stop < panel.stop[series]) & ~rolled.ends_in_a_hole)
    (forecast,) = in_parts(forecaster, rolled.take(rows), horizon, size=max(1, len(rows)), engine=engine)
    return frame_of(forecast, name, series[rows], panel, levels)


def frame_of(forecast: Forecast, name: str, series: Ints, panel: Panel, levels: Sequence[float]) -> pd.DataFrame:
    """A forecast whose row r is about `series[r]` of the panel, with the panel's truth; steps without one left out."""
    at = forecast.panel.stop[:, None] + np.arange(forecast.horizon)     # (R, H)
    inside = at < panel.stop[series][:, None]
    truth = np.where(inside, panel.truth[np.where(inside, at, 0)], np.nan)
    known = ~np.isnan(truth)
    row, step = np.nonzero(known)
    columns: dict[str, Any] = {
        "model": pd.Categorical.from_codes(np.zeros(len(row), dtype=np.int8), pd.Index([name])),
        "series": series[row], "cutoff": (forecast.panel.end - 1)[row], "step": step + 1,
        "y": truth[known], "yhat": forecast.point[known]}
    for level in levels:
        low, high = forecast.band(level)
        columns[f"yhat_lo_{level:g}"], columns[f"yhat_hi_{level:g}"] = low[known], high[known]
    sources = pd.Categorical(forecast.source)
    columns["source"] = pd.Categorical.from_codes(sources.codes[row], sources.categories)
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Scores:
    """The metrics of a backtest: `per_series` has a row for each model and series, `by_step` one for each model and
    step, `summary` one for each model; `left_out` counts the series where a metric is undefined."""

    per_series: pd.DataFrame
    by_step: pd.DataFrame
    summary: pd.DataFrame
    left_out: dict[str, int]
    season: int
    windows: int
    levels: tuple[float, ...]
    reference_name: str = REFERENCE
    independent: float = 1.0                # windows that share no value, over all series

    @property
    def name(self) -> str:
        """The forecaster that is scored: the first."""
        return str(self.summary["model"].iloc[0])

    @property
    def own(self) -> dict[str, Any]:
        """Its metrics over all series."""
        return self._row(self.name)

    @property
    def reference(self) -> dict[str, Any] | None:
        """Those of what its skill is measured against; None where that is not beside it."""
        return self._row(self.reference_name) if self.reference_name in set(self.summary["model"]) else None

    @property
    def covered(self) -> dict[float, tuple[float, float, float]]:
        """By band: the share of values that it covers, and between which shares the true one lies, with 95 %
        confidence. The steps of one window count as one trial: they are right or wrong together."""
        shares = {level: float(self.own[f"coverage_{level:g}"]) for level in self.levels}
        return {level: (share, *metrics.likely_share(share, self.independent)) for level, share in shares.items()
                if share == share}

    def _row(self, name: str) -> dict[str, Any]:
        row = self.summary[self.summary["model"] == name].iloc[0]
        return {str(key): value for key, value in row.items()}


def evaluate(frame: pd.DataFrame, known: Panel, *, season: int, levels: Sequence[float],
             reference: str | None = None) -> Scores:
    """Score a backtest frame. `known` is the panel before the first cutoff: the sample behind MASE's scale.

    Metrics are per series, then averaged over the series where they are defined. Skill is 1 - (mean MASE / that of
    `reference`), by MAE where no series has a MASE; `better_on` counts the series with a smaller MAE. By default the
    reference is the better one of the simple forecasts that are there."""
    scale = metrics.seasonal_scale(known.truth, known.first, known.stop, season)
    models = list(dict.fromkeys(frame["model"]))
    parts = {name: frame[frame["model"] == name] for name in models}
    per_series = pd.concat([_per_series(part, name, known, scale, levels) for name, part in parts.items()],
                           ignore_index=True)
    per_series = per_series[per_series["n"] > 0].reset_index(drop=True)
    by_step = pd.concat([_by_step(part, name) for name, part in parts.items()], ignore_index=True)
    reference = reference or _better(per_series)
    summary = pd.DataFrame([_summary(per_series, name, reference) for name in models])
    first = per_series[per_series["model"] == models[0]] if models else per_series
    left_out = {m: int(first[m].isna().sum()) for m in ("mase", "wape") if m in first}
    windows = frame["cutoff"].nunique() if known.calendar.is_time else int(
        frame.groupby(["model", "series"], observed=True)["cutoff"].nunique().max() if len(frame) else 0)
    return Scores(per_series, by_step, summary, left_out, season, int(windows), tuple(levels), reference,
                  _independent(parts[models[0]]) if models else 1.0)


def _independent(part: pd.DataFrame) -> float:
    """How many windows of one forecaster's rows share no value, over all series."""
    values = np.stack([part["series"], part["cutoff"] + part["step"]], axis=1)
    return len(np.unique(values, axis=0)) / max(int(part["step"].max()), 1) if len(part) else 1.0


def _better(per_series: pd.DataFrame) -> str:
    """The simple forecaster with the least mean MASE (MAE where there is none)."""
    there = per_series[per_series["model"].isin(SIMPLE)]
    by = "mase" if there["mase"].notna().any() else "mae"
    means = there.groupby("model", observed=True)[by].mean()
    return min((name for name in SIMPLE if name in means), key=lambda name: means[name], default=REFERENCE)


def _per_series(part: pd.DataFrame, name: str, known: Panel, scale: Floats, levels: Sequence[float]) -> pd.DataFrame:
    y, yhat = part["y"].to_numpy(), part["yhat"].to_numpy()
    which: dict[str, Any] = {"series": part["series"].to_numpy(), "n": len(known)}
    table = {"model": name, "series": np.arange(len(known)),
             "n": np.bincount(which["series"], minlength=len(known)),
             "mae": metrics.mae(y, yhat, **which), "rmse": metrics.rmse(y, yhat, **which),
             "mase": metrics.mase(y, yhat, **which, scale=scale), "smape": metrics.smape(y, yhat, **which),
             "wape": metrics.wape(y, yhat, **which), "bias": metrics.bias(y, yhat, **which)}
    bounds: dict[float, Floats] = {0.5: yhat}
    for level in levels:
        low, high = part[f"yhat_lo_{level:g}"].to_numpy(), part[f"yhat_hi_{level:g}"].to_numpy()
        table[f"coverage_{level:g}"] = metrics.coverage(y, low, high, **which)
        table[f"width_{level:g}"] = metrics.width(y, low, high, **which)
        bounds |= dict(zip(band_quantiles(level), (low, high), strict=True))
    quantiles = sorted(bounds)
    table["wql"] = metrics.wql(y, np.stack([bounds[q] for q in quantiles], axis=1), quantiles, **which)
    return pd.DataFrame(table)


def _by_step(part: pd.DataFrame, name: str) -> pd.DataFrame:
    """Mean absolute error at each step, per series and then averaged."""
    error = pd.DataFrame({"series": part["series"], "step": part["step"], "mae": (part["y"] - part["yhat"]).abs()})
    mean = error.groupby(["step", "series"])["mae"].mean().groupby("step").mean()
    return pd.DataFrame({"model": name, "step": mean.index, "mae": mean.to_numpy()})


def _summary(per_series: pd.DataFrame, name: str, reference: str) -> dict[str, Any]:
    own = per_series[per_series["model"] == name].set_index("series")
    row: dict[str, Any] = {"model": name, "series": len(own), "rows": int(own["n"].sum())}
    row |= {m: metrics.mean_over_series(own[m].to_numpy())[0] for m in own.columns if m not in ("model", "n")}
    other = per_series[per_series["model"] == reference].set_index("series")
    if len(other):
        by = "mase" if own["mase"].notna().any() and other["mase"].notna().any() else "mae"
        theirs = other[by].mean()
        row["skill"] = float(1 - own[by].mean() / theirs) if theirs > 0 else float("nan")
        row["better_on"] = int((own["mae"] < other["mae"].reindex(own.index)).sum())
    return row
