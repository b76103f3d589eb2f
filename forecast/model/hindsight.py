"""Hindsight: what would have been said of past windows, how far off it was, and how such errors hang together."""

# S series  K cutoffs  H horizon

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.model.dependence import Dependence, normal_scores
from forecast.series.arrays import Bools, Floats
from forecast.series.forecast import Forecast, Forecaster, in_parts
from forecast.series.panel import Panel
from forecast.series.windows import evenly

MOST_SERIES = 500                   # looked at
ROWS, NUMBERS = 4_000, 100_000      # past forecasts made, about, and steps of them all
WINDOWS = (6, 40)                   # of each series: fewer tell nothing, more tell no more


def comparable(panel: Panel) -> Bools:
    """The series (S,) that a sum has a past of: they end together, and are at least half as long as usual. Others are
    added up."""
    lengths = panel.lengths
    return np.asarray((panel.behind == 0) & (2 * lengths >= np.median(lengths)))


def room_of(panel: Panel, horizon: int, unseen: int) -> int:
    """Steps that cutoffs may lie apart: no more than half of a series is forecast."""
    return min(unseen, int(panel.lengths.min()) // 2) - horizon


def cutoffs_of(room: int, horizon: int, each: int, rows: int = ROWS) -> list[int]:
    """How many steps back windows begin, the oldest first; `each` of so many forecasts are made at one of them."""
    count = int(np.clip(rows // each, *WINDOWS))
    return sorted({horizon + round(k) for k in np.linspace(0, max(room, 0), count)}, reverse=True)


def count_apart(cutoffs: Sequence[int], horizon: int) -> float:
    """How many of the windows share no value: no more than there are."""
    return min(float(len(cutoffs)), 1 + (max(cutoffs) - min(cutoffs)) / horizon)


def past_errors(forecaster: Forecaster, panel: Panel, cutoffs: Sequence[int], horizon: int) -> tuple[Floats, Floats]:
    """(K, S, H) truth less what was to be expected, at cutoffs so many steps back, and what the truth was within its
    bands, as a normal score; NaN without a truth."""
    series, begin = np.tile(np.arange(len(panel)), len(cutoffs)), 0
    errors, scores = np.empty((2, len(series), horizon))
    for part in in_parts(forecaster, panel.rolled(cutoffs), horizon):
        rows = slice(begin, begin := begin + len(part.panel))
        truth = panel.truth_at(series[rows], part.ordinals)
        errors[rows] = truth - expected(part)
        scores[rows] = normal_scores(part.values, part.quantiles, truth)
    shape = (len(cutoffs), len(panel), horizon)
    return errors.reshape(shape), scores.reshape(shape)


def expected(forecast: Forecast) -> Floats:
    """(S, H) the mean; the median of a forecaster that does not tell it."""
    return forecast.point if forecast.mean is None else forecast.mean


def hanging_together(forecaster: Forecaster, panel: Panel, horizon: int) -> Dependence | None:
    """How the errors of a forecaster that has learned from no value of the panel hang together, over the steps and
    between its series; None where there are too few past windows to tell."""
    usable = np.flatnonzero(comparable(panel))
    if not usable.size:
        return None
    rows = min(ROWS, NUMBERS // horizon)
    some = panel.take(usable[evenly(len(usable), int(np.clip(rows // WINDOWS[0], 2, MOST_SERIES)))])
    cutoffs = cutoffs_of(room_of(some, horizon, int(some.lengths.max())), horizon, len(some), rows)
    if len(cutoffs) < WINDOWS[0]:
        return None
    scores = past_errors(forecaster, some, cutoffs, horizon)[1].reshape(-1, horizon)
    series, cuts = np.tile(np.arange(len(some)), len(cutoffs)), np.repeat(cutoffs, len(some))
    return Dependence.of(scores, series, cuts, independent=len(some) * count_apart(cutoffs, horizon))
