"""Guard: a forecast is looked at before it is issued. Who may speak for a series, and what no forecast of it may say.

A forecaster that leaves what the series ever showed, or stands far from all others, loses its say for that series. What
is left keeps to what the series is: never below 0 where nothing ever was, whole where all was whole, still where its
phase of the season has always stood still."""

# M forecasters  S series  H horizon  Q quantiles  m season  K cycles

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast.series.arrays import Bools, Floats, finite_sums, median
from forecast.series.panel import Panel
from forecast.series.windows import contexts, ends_of

MEDIAN_REACH, BAND_REACH = 2.0, 3.0     # ranges of its history beyond which no median, no end of a band, may lead
FAR = 6.0                               # usual errors, and usual distances, from the others that are too far
DUST = 1e-12                            # of the largest value: what is left of a sum that should have been 0
CYCLES, MOST_CYCLES = 5, 60             # the fewest seasons that show a phase to stand still, the most looked at
NOTHING = 0.01                          # of the history's range: a narrower band counts as of no width
THIN = 0.05                             # of a usual step: what such a band gets to either side
NEWEST = 200                            # values that a usual step is taken from


@dataclass(frozen=True)
class History:
    """What each series ever showed: its least and greatest value, whether all are whole, and how many there are, (S,)
    each."""

    low: Floats
    high: Floats
    whole: Bools
    count: Floats

    @classmethod
    def of(cls, panel: Panel) -> History:
        """Of all values of a panel; filled points are no values. A series without one has NaN, and is not whole."""
        y = panel.truth
        there = np.isfinite(y)
        low = _over(np.minimum, np.where(there, y, np.inf), panel)
        high = _over(np.maximum, np.where(there, y, -np.inf), panel)
        with np.errstate(invalid="ignore"):
            whole = _over(np.minimum, (~there | (y == np.rint(y))).astype(np.float64), panel) > 0
        known = np.isfinite(low)
        return cls(np.where(known, low, np.nan), np.where(known, high, np.nan), whole & known,
                   finite_sums(y, panel.first, panel.stop)[1])

    @property
    def range(self) -> Floats:
        return self.high - self.low

    def reach(self, ranges: float) -> tuple[Floats, Floats]:
        """(S,) each: so many ranges below the least and above the greatest value; none where one value has no range."""
        room = np.where(self.count > 1, ranges * self.range, np.inf)
        return self.low - room, self.high + room


def _over(what: np.ufunc, values: Floats, panel: Panel) -> Floats:
    """A reduction over the slice of each series (S,); an empty slice gives the value of its first place."""
    if not len(panel) or not len(values):
        return np.full(len(panel), np.inf if what is np.minimum else -np.inf)
    edges = np.stack([panel.first, np.minimum(panel.stop, len(values))], axis=1).ravel()
    reduced: Floats = what.reduceat(np.append(values, values[-1]), edges)[::2]
    empty = np.inf if what is np.minimum else -np.inf
    return np.where(panel.lengths > 0, reduced, empty)


def silenced(medians: Floats, witnesses: Floats, history: History, unit: Floats) -> Bools:
    """(M, S) who may not speak for a series: whose median leads beyond two ranges of its history, and who stands
    further from all others than six usual errors, and than six times as far as they usually do from one another.

    medians (M, S, H), NaN where a forecaster has nothing to say · witnesses (N, S, H): simple forecasts to be measured
    against beside them · unit (S,) the series' usual error, NaN where it has none."""
    low, high = history.reach(MEDIAN_REACH)
    slack = 1e-9 * np.maximum(np.abs(history.low), np.abs(history.high))
    with np.errstate(invalid="ignore"):
        left = np.any((medians < (low - slack)[:, None]) | (medians > (high + slack)[:, None]), axis=2)      # (M, S)
    voices = np.concatenate([np.where(left[:, :, None], np.nan, medians), witnesses])
    middle = median(voices, axis=0)                                     # (S, H)
    distance = np.mean(np.abs(voices - middle), axis=2)                 # (M + N, S)
    usual = np.fmax(median(distance, axis=0), unit)
    with np.errstate(invalid="ignore"):
        far = distance[:len(medians)] > FAR * np.where(np.isfinite(usual), usual, np.inf)
    return np.asarray(left | far)


def witnesses(panel: Panel, season: int, horizon: int) -> Floats:
    """(2, S, H) simple forecasts to be measured against: the last season again, and the last value; NaN where one is
    missing."""
    last = contexts(panel.y, ends_of(panel), season)                    # (S, m)
    return np.stack([last[:, np.arange(horizon) % season], np.repeat(last[:, -1:], horizon, axis=1)])


def kept(values: Floats, history: History, *, still: Floats | None = None, negative: bool = False, whole: bool = True
         ) -> Floats:
    """Quantiles (S, H, Q) as they may be issued.

    Ends of bands lead at most three ranges beyond the history. With `whole` they are whole where all values were: the
    quantiles of a rounded value are the rounded quantiles. With `negative` they may lie below 0 where nothing ever was.
    still (S, H): the value at which a phase of the season has always stood, NaN where it moves."""
    low, high = history.reach(BAND_REACH)
    if not negative:
        low = np.where(history.low >= 0, np.maximum(low, 0.0), low)
    known = ~np.isnan(low)
    bounded = np.clip(values, np.where(known, low, -np.inf)[:, None, None],
                      np.where(known, high, np.inf)[:, None, None])
    if still is not None:
        bounded = np.where(np.isnan(still)[:, :, None], bounded, still[:, :, None])
    if whole:
        bounded = np.where(history.whole[:, None, None], np.rint(bounded), bounded)
    size = np.maximum(np.abs(history.low), np.abs(history.high))
    dust = np.abs(bounded) <= (DUST * np.where(known, size, 0.0))[:, None, None]
    return np.asarray(np.where(dust, 0.0, bounded))


def thickened(values: Floats, panel: Panel, history: History, quantiles: Sequence[float]) -> Floats:
    """Quantiles (S, H, Q) whose widest band is never of no width on a series that moves: its ends stand off the median
    by a twentieth of a usual step or more, by one where all values are whole and most of them move; the inner ones in
    proportion. Bands that have a width are left alone."""
    width = np.min(values[:, :, -1] - values[:, :, 0], axis=1, initial=np.inf)
    thin = np.flatnonzero((width < NOTHING * history.range) | (history.whole & (width < 1) & (history.range > 0)))
    if not thin.size:
        return values
    grid = np.asarray(quantiles)
    share = (grid - 0.5) / max(grid[-1] - 0.5, np.finfo(float).tiny)
    step, moves = _newest_step(panel.take(thin))
    step = np.where(history.whole[thin] & moves, np.maximum(THIN * step, 1.0), THIN * step)
    least = step[:, None, None] * share
    some = values[thin]
    median = some[:, :, [int(np.argmin(np.abs(grid - 0.5)))]]
    mended = values.copy()
    mended[thin] = np.where(share < 0, np.minimum(some, median + least), np.maximum(some, median + least))
    return np.asarray(mended)


def _newest_step(panel: Panel) -> tuple[Floats, Bools]:
    """The median size of the newest steps that are any (S,), 0 for a series that never moves; and whether most are."""
    steps = np.abs(np.diff(contexts(panel.y, ends_of(panel), NEWEST), axis=1))
    moves = np.count_nonzero(steps > 0, axis=1) > 0.5 * np.count_nonzero(~np.isnan(steps), axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nan_to_num(np.nanmedian(np.where(steps > 0, steps, np.nan), axis=1)), moves


@dataclass(frozen=True)
class Phases:
    """How much the phase of the season matters at each step, (S, H) each: `weight` of the spread, 1 on average; `still`
    the value at which the phase has always stood, NaN where it moves."""

    weight: Floats
    still: Floats

    @classmethod
    def of(cls, panel: Panel, season: int, horizon: int) -> Phases | None:
        """Of the series in which some phase has stood at one value in each of the newest seasons, five or more, while
        others moved in most of them (no sun by night). None where there is no such series."""
        cycles = int(min(MOST_CYCLES, panel.lengths.max(initial=0) // season)) if season >= 4 else 0
        if cycles < CYCLES or not len(panel):
            return None
        past = contexts(panel.y, ends_of(panel), cycles * season).reshape(len(panel), cycles, season)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)             # a phase without any value
            low, high = np.nanmin(past, axis=1), np.nanmax(past, axis=1)                    # (S, m)
        seen = np.count_nonzero(~np.isnan(past), axis=1) >= CYCLES
        still = seen & (low == high)
        moved = np.mean(np.diff(past, axis=1) != 0, axis=1) > 0.5       # in most seasons
        span = np.where(still | ~seen, 0.0, high - low)
        such = np.any(moved & (span > 0), axis=1) & np.any(still, axis=1)                   # (S,)
        if not such.any():
            return None
        weight, live = np.ones_like(low), np.count_nonzero(span, axis=1)
        weight[such] = span[such] * (live[such] / span[such].sum(axis=1))[:, None]
        at = np.where(still & such[:, None], low, np.nan)
        ahead = np.arange(horizon) % season
        return cls(np.where(weight > 0, weight, 1.0)[:, ahead], at[:, ahead])

    def weighed(self, values: Floats, middle: int) -> Floats:
        """Quantiles (S, H, Q) with their distances from the median by the weight of the phase; none where it stands."""
        median = values[:, :, [middle]]
        weight = np.where(np.isnan(self.still), self.weight, 0.0)[:, :, None]
        return np.asarray(np.where(np.isnan(self.still)[:, :, None], median, self.still[:, :, None])
                          + weight * (values - median))
