"""Levels: a change of level that came for good, found, and undone in what came before it.

A forecaster that reads across such a change learns it as if it came every week. Where one is found, the values before
it are brought to the new level, as if the series had always stood there, and the bands keep room for a return
(`with_return`)."""

# S series  T steps looked at  k steps since the change  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecast.series.arrays import Floats, Ints, median
from forecast.series.panel import Panel

LEAST_LAG = 5                       # steps across which values are compared, whole seasons of them
MOST = 600                          # newest steps looked at
FEWEST = 3                          # steps on the new level, and a quarter of the lag
CLEAR = 8.0                         # robust standard deviations of such differences: a change that chance does not make
ALIKE = 0.5                         # of the change: the least difference on the new level, and the most elsewhere
RELEASED = 0.34                     # of the change: the most that may be left of it a lag later: a step is no trend
BLOCK = 2_000_000                   # values looked at together


@dataclass(frozen=True)
class Changes:
    """What was found in each series: `steps` (S,) since the change, 0 where there is none; the values before it are
    multiplied by `factor` (S,) and then raised by `shift` (S,) to stand on the new level; `before` and `after` (S,) are
    the two levels, medians of a lag."""

    steps: Ints
    factor: Floats
    shift: Floats
    before: Floats
    after: Floats

    @property
    def series(self) -> Ints:
        """Those with a change."""
        return np.flatnonzero(self.steps)


def levelled(panel: Panel, season: int) -> tuple[Panel, Changes]:
    """The panel with every series on its newest level, and what was changed for it. Other series keep their values."""
    changes = find_changes(panel, season)
    others = {}
    for s in changes.series.tolist():
        others[s] = values = panel.values(s).copy()
        old = values[:len(values) - changes.steps[s]]
        old *= changes.factor[s]
        old += changes.shift[s]
    return panel.replaced(others), changes


def find_changes(panel: Panel, season: int) -> Changes:
    """The one change of level of each series that stands out from everything else it did, where there is one.

    z_t = y_t - y_(t - lag) stays by the change for one lag behind a step, and is what it always was before and after.
    A trend keeps z away for good, a spike for a moment, a random walk has no usual z to stand out from."""
    lag = season * -(-LEAST_LAG // season)
    none = np.zeros(len(panel), dtype=np.int64)
    changes = Changes(none, np.ones(len(panel)), np.zeros(len(panel)), np.full(len(panel), np.nan),
                    np.full(len(panel), np.nan))
    length = int(min(panel.lengths.max(initial=0), max(MOST, 8 * lag)))
    if length < 3 * lag + FEWEST:
        return changes
    size = max(1, BLOCK // length)
    for begin in range(0, len(panel), size):
        rows = np.arange(begin, min(begin + size, len(panel)))
        _look(panel, rows, length, lag, changes)
    return changes


def _look(panel: Panel, rows: Ints, length: int, lag: int, changes: Changes) -> None:
    """Enter into `changes` what these series show."""
    at = panel.stop[rows, None] - length + np.arange(length)
    inside = at >= panel.first[rows, None]
    values = np.where(inside, panel.y[np.where(inside, at, 0)], np.nan)                     # (S, T)
    least = max(FEWEST, -(-lag // 4))
    z = values[:, lag:] - values[:, :-lag]                                                  # (S, T - lag)
    some = np.count_nonzero(~np.isnan(z), axis=1) >= 2 * lag + least
    if not some.any():
        return
    rows, values, z = rows[some], values[some], z[some]
    z = z - median(z, axis=1)[:, None]
    spread = 1.4826 * median(np.abs(z), axis=1)
    with np.errstate(invalid="ignore"):
        loud = np.count_nonzero(np.abs(z) > CLEAR * spread[:, None], axis=1) >= least
    for row in np.flatnonzero(loud).tolist():
        _enter(changes, int(rows[row]), values[row], z[row], float(spread[row]), lag, least)


def _enter(changes: Changes, s: int, values: Floats, z: Floats, spread: float, lag: int, least: int) -> None:
    """The change of one series, if it has one: values (T,), z (T - lag,) around its median."""
    edge = _step(z, spread, lag, least)
    if edge is None:
        return
    begin = edge + lag                                                  # its first value on the new level
    plateau = values[begin:begin + lag]
    before, after = values[begin - lag:begin][:len(plateau)], plateau
    old, new = float(np.nanmedian(values[begin - lag:begin])), float(np.nanmedian(after))
    shift, factor = float(np.nanmedian(after - before)), 1.0
    positive = np.nanmin(values[:begin]) > 0 and np.nanmin(values[begin:]) > 0
    if positive:
        ratio = float(np.nanmedian(after / before))
        lively = np.array([_liveliness(values[begin:]), _liveliness(values[:begin])])
        gain = float(np.diff(np.log(lively[::-1]))[0]) if lively.all() else 0.0
        scaled = abs(gain - np.log(ratio)) < abs(gain)                  # its steps grew with it
        if scaled or np.nanmin(values[:begin]) + shift <= 0:
            shift, factor = 0.0, ratio
    changes.steps[s], changes.factor[s], changes.shift[s] = len(values) - begin, factor, shift
    changes.before[s], changes.after[s] = old, new


def _liveliness(values: Floats) -> float:
    """The usual size of a step from one value to the next."""
    steps = np.abs(np.diff(values))
    return float(np.nanmedian(steps)) if np.any(~np.isnan(steps)) else 0.0


def _step(z: Floats, spread: float, lag: int, least: int) -> int | None:
    """Where a step begins in z (N,), or None. A step is as high from its first value to its last, far beyond chance; it
    is over a lag later; and nothing else in the series is half as high."""
    count = len(z)
    padded = np.concatenate([z, np.full(lag - 1, np.nan)])
    windows = sliding_window_view(padded, lag)                          # (N, lag) from each place on
    there = np.count_nonzero(~np.isnan(windows), axis=1)
    enough = (there >= least) & (np.arange(count) <= count - least)
    if not enough.any():
        return None
    height = np.full(count, np.nan)
    height[enough] = np.nanmedian(windows[enough], axis=1)
    edge = int(np.nanargmax(np.abs(height)))
    edge = _first_of(z, height, edge, lag)
    high, run = height[edge], z[edge:edge + lag]
    if not abs(high) > CLEAR * spread:
        return None
    run = run[~np.isnan(run)]
    if len(run) < least or np.mean(run * np.sign(high) >= ALIKE * abs(high)) < 0.9:
        return None
    later = z[edge + lag:]
    if np.count_nonzero(~np.isnan(later)) >= least and abs(np.nanmedian(later)) > RELEASED * abs(high):
        return None
    elsewhere = np.concatenate([height[:max(0, edge - lag)], height[edge + lag:]])
    if np.any(np.abs(elsewhere[~np.isnan(elsewhere)]) > ALIKE * abs(high)):
        return None
    return edge


def _first_of(z: Floats, height: Floats, edge: int, lag: int) -> int:
    """The first place from which z stands by the step: its median is high from half a lag before on."""
    high = height[edge]
    near = np.arange(max(0, edge - lag), min(len(z), edge + lag))
    stands = z[near] * np.sign(high) >= ALIKE * abs(high)
    return int(near[np.argmax(stands)]) if stands.any() else edge


def with_return(values: Floats, steps: Ints, old: Floats, quantiles: Sequence[float]) -> Floats:
    """Quantiles (S, H, Q) that leave room for a return to the old level: with probability 1 / (k + 2), k the `steps`
    (S,) on the new one (the rule of succession, Laplace 1812), it will be as the forecasts `old` (S, H, Q) say.

    The quantiles of the mixture, its two distributions being linear between their quantiles; the median stays."""
    grid, mixed = np.asarray(quantiles), values.copy()
    middle = int(np.argmin(np.abs(grid - 0.5)))
    for s in np.flatnonzero(steps).tolist():
        chance = 1.0 / (steps[s] + 2)
        for h in range(values.shape[1]):
            mixed[s, h] = _mixture(values[s, h], old[s, h], chance, grid)
    mixed[:, :, middle] = values[:, :, middle]
    mixed[:, :, middle:] = np.maximum.accumulate(mixed[:, :, middle:], axis=-1)
    mixed[:, :, middle::-1] = np.minimum.accumulate(mixed[:, :, middle::-1], axis=-1)
    return mixed


def _mixture(stays: Floats, returns: Floats, chance: float, grid: NDArray[np.float64]) -> Floats:
    """Quantiles (Q,) of the mixture of two distributions given by theirs, straight lines between them."""
    ends = np.concatenate([[0.0], grid, [1.0]])
    both = [np.concatenate([[2 * v[0] - v[1]], v, [2 * v[-1] - v[-2]]]) for v in (stays, returns)]
    both = [v + np.arange(len(ends)) * np.spacing(np.abs(v).max()) for v in both]           # no two of them are one
    points = np.unique(np.concatenate(both))
    share = sum(weight * np.interp(points, v, ends) for weight, v in zip((1 - chance, chance), both, strict=True))
    return np.asarray(np.interp(grid, np.asarray(share), points))
