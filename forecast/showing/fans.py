"""Fans: what a picture of one series shows: its past, its forecast within bands, and forecasts made before."""

# N points of the past  H horizon  W past forecasts

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast
from forecast.series.panel import Panel

if TYPE_CHECKING:
    import pandas as pd

Bands = Mapping[float, tuple[Floats, Floats]]                           # level in percent -> lower, upper bound (H,)
FEWEST = 60                                                             # points of the past, where there are so many


@dataclass(frozen=True)
class Said:
    """One forecast: ordinals (H,) of the calendar, point (H,) and bands in original units."""

    ordinals: Ints
    point: Floats
    bands: Bands


@dataclass(frozen=True)
class Fan:
    """One series ready to be drawn. ordinals, y (N,): its past, NaN where nothing is known · ahead: the forecast, if
    there is one · before: forecasts of what is known by now, the oldest first · filled (N,): invented points."""

    name: str
    ordinals: Ints
    y: Floats
    ahead: Said | None = None
    before: tuple[Said, ...] = ()
    filled: Ints | None = None                                          # positions in y
    note: str = ""                                                      # beside the name


def past_of(panel: Panel, s: int, points: int) -> tuple[Ints, Floats, Ints]:
    """The last points of a series: ordinals (N,), values (N,), and the positions that were filled in. At least one."""
    size = max(1, min(points, int(panel.lengths[s])))
    y = panel.values(s)[-size:]
    ordinals = np.arange(int(panel.end[s]) - len(y), int(panel.end[s]))
    marks = np.zeros(0, dtype=np.int64) if panel.filled is None else np.flatnonzero(
        panel.filled[panel.stop[s] - len(y):panel.stop[s]])
    return ordinals, y, marks


def said_of(forecast: Forecast, s: int, levels: Sequence[float]) -> Said:
    """The forecast of series s, with the bands of these levels."""
    bands = {level: (low[s], high[s]) for level in levels for low, high in [forecast.band(level)]}
    return Said(forecast.ordinals[s], forecast.point[s], bands)


def joined(fan: Fan, said: Said) -> Said:
    """The forecast from the last value that is known, where it follows upon that."""
    if not np.isfinite(fan.y[-1]) or int(said.ordinals[0]) != int(fan.ordinals[-1]) + 1:
        return said
    last = fan.y[-1:]
    return Said(np.concatenate([fan.ordinals[-1:], said.ordinals]), np.concatenate([last, said.point]),
                {x: (np.concatenate([last, low]), np.concatenate([last, high]))
                 for x, (low, high) in said.bands.items()})


def fan_of(forecast: Forecast, s: int, levels: Sequence[float], *, name: str, points: int | None = None) -> Fan:
    """The forecast of series s behind its recent past: six horizons, or 60 points where that is more."""
    ordinals, y, filled = past_of(forecast.panel, s, points or max(6 * forecast.horizon, FEWEST))
    return Fan(name, ordinals, y, said_of(forecast, s, levels), filled=filled)


def before_of(frame: pd.DataFrame, levels: Sequence[float]) -> dict[int, tuple[Said, ...]]:
    """The forecasts of a backtest frame of one forecaster: series (by position) -> its forecasts, the oldest first."""
    found: dict[int, list[Said]] = {}
    columns = {"ordinal": frame["cutoff"] + frame["step"]} | {
        name: frame[name] for name in ("yhat", *(f"yhat_{end}_{x:g}" for x in levels for end in ("lo", "hi")))}
    arrays = {name: column.to_numpy() for name, column in columns.items()}
    groups: Any = frame.groupby(["series", "cutoff"], sort=True).indices
    for (series, _), rows in groups.items():
        part = {name: array[rows] for name, array in arrays.items()}
        bands = {x: (part[f"yhat_lo_{x:g}"], part[f"yhat_hi_{x:g}"]) for x in levels}
        found.setdefault(int(series), []).append(Said(part["ordinal"], part["yhat"], bands))
    return {series: tuple(said) for series, said in found.items()}
