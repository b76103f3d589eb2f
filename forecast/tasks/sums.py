"""Sums: what all series of a forecast come to together, at each step and as a whole: with the bands of paths, on which
errors of steps and of series cancel as they do."""

# S series  N paths  H horizon

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast.ledger.options import Options
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats
from forecast.series.forecast import Forecast, band_quantiles
from forecast.tasks.joint import AT_ONCE, PATHS, drawn_of, taken

FEWEST = 200                            # paths, however many series there are
NUMBERS = 100_000_000                   # drawn for all series, about


@dataclass(frozen=True)
class Sums:
    """expected (H,) · bands: of each level (H,) low and high of every step · whole: the same of all steps together."""

    expected: Floats
    bands: dict[float, tuple[Floats, Floats]]
    whole: dict[float, tuple[float, float]]

    @property
    def total(self) -> float:
        """What is expected over all steps."""
        return float(self.expected.sum())


def sums_of(forecast: Forecast, forecaster: Predictor, options: Options, levels: Sequence[float]) -> Sums:
    """Of one series the bands of its steps are the forecast's own; the whole is what `predict --sum all` says."""
    series, horizon = forecast.values.shape[:2]
    count = max(FEWEST, min(PATHS, AT_ONCE // horizon, NUMBERS // (series * horizon)))
    size, paths = max(1, AT_ONCE // (count * horizon)), np.zeros((count, horizon))
    for begin in range(0, series, size):
        some = taken(forecast, np.arange(begin, min(begin + size, series)))
        drawn = drawn_of(some, forecaster, options, count, seed=0, together=series > 1)
        paths += np.nansum(drawn, axis=0)
    steps, whole = {}, {}
    for level in levels:
        sides = band_quantiles(level)
        steps[level] = tuple(np.quantile(paths, sides, axis=0)) if series > 1 else tuple(
            part[0] for part in forecast.band(level))
        whole[level] = tuple(np.quantile(paths.sum(axis=1), sides).tolist())
    mean = forecast.point if forecast.mean is None else forecast.mean
    return Sums(np.nansum(mean, axis=0), steps, whole)
