"""Baselines: the forecasts that any model has to beat, with their textbook bands.

Points and bands follow Hyndman & Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), sections 5.2 and 5.5:
a band is Gaussian around the point, its sigma the size of the residuals inside the series. Missing values and short
series are the exceptions every method meets, and they are met alike:
- a missing value is stepped over: the value before it stands in (one season before, where the method is seasonal),
  and the band is as wide as that older value makes it;
- a method that lacks history (a season position without any value, one point for a trend) leaves the series to the
  next simpler one, which `source` names: seasonal_naive_drift, theta, holt_winters -> seasonal_naive -> naive;
- a series without any value is a DataError."""

# S series  H horizon  Q quantiles  N values of the panel  m season

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DataError, Problem
from forecast.methods import smoothing
from forecast.series.arrays import Floats, Ints, finite_sums
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel

GRID = quantile_grid((80.0, 95.0))
BLOCK = 4_000_000                   # values gathered at a time: 32 MB


@dataclass(frozen=True)
class Normal:
    """What one method says: a normal distribution per series and step, and where it has the history to say it."""

    point: Floats                   # (S, H)
    sigma: Floats                   # (S, H)
    able: NDArray[np.bool_]         # (S,)


Method = Callable[["Past", int], Normal]                                # past, horizon


class Baseline(ABC):
    """A method as a Forecaster. `methods` run from naive to its own; the last one able to serves a series."""

    name: ClassVar[str]
    quantiles: tuple[float, ...]

    @abstractmethod
    def methods(self) -> dict[str, Method]:
        """What is tried, by the name that `source` gives it; later ones win."""

    def predict(self, panel: Panel, horizon: int) -> Forecast:
        """Quantiles of the next `horizon` steps of every series, values (S, H, Q), the point their median.

        A constant series and one of a single point have bands of no width. Raises DataError naming the series that
        have no value at all."""
        past = Past(panel)
        point, sigma = np.empty((len(panel), horizon)), np.empty((len(panel), horizon))
        source = np.empty(len(panel), dtype=object)
        for name, method in self.methods().items():
            said = method(past, horizon)
            point[said.able], sigma[said.able], source[said.able] = said.point[said.able], said.sigma[said.able], name
        z = np.array([NormalDist().inv_cdf(q) for q in self.quantiles])
        values = sigma[:, :, None] * z
        values += point[:, :, None]
        values *= past.unit
        return Forecast(panel, self.quantiles, values, source)


@dataclass(frozen=True)
class Naive(Baseline):
    """The last value, for every step; sigma sqrt(h)."""

    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "naive"

    def methods(self) -> dict[str, Method]:
        return {"naive": naive}


@dataclass(frozen=True)
class SeasonalNaive(Baseline):
    """The value one season before; sigma sqrt(k + 1), k the whole seasons before the step: floor((h - 1) / m)."""

    season: int
    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "seasonal_naive"

    def methods(self) -> dict[str, Method]:
        return {"naive": naive, "seasonal_naive": lambda past, h: seasonal_naive(past, h, self.season)}


@dataclass(frozen=True)
class Drift(Baseline):
    """The line through the first and the last value; sigma sqrt(h (1 + h / (T - 1)))."""

    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "drift"

    def methods(self) -> dict[str, Method]:
        return {"naive": naive, "drift": drift}


@dataclass(frozen=True)
class WindowAverage(Baseline):
    """The mean of the last `size` values, for every step; sigma sqrt(1 + 1 / size)."""

    size: int
    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "window_average"

    def methods(self) -> dict[str, Method]:
        return {"naive": naive, "window_average": lambda past, h: window_average(past, h, self.size)}


@dataclass(frozen=True)
class SeasonalNaiveDrift(Baseline):
    """The value one season before, plus what the last season was above the one before it, per season ahead."""

    season: int
    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "seasonal_naive_drift"

    def methods(self) -> dict[str, Method]:
        return {"naive": naive, "seasonal_naive": lambda past, h: seasonal_naive(past, h, self.season),
                "seasonal_naive_drift": lambda past, h: seasonal_naive_drift(past, h, self.season)}


@dataclass(frozen=True)
class Theta(Baseline):
    """Simple exponential smoothing along a part of the trend line, around a season where the fit is for one."""

    season: int
    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "theta"

    def methods(self) -> dict[str, Method]:
        return {**simple(self.season), "theta": lambda past, h: theta(past, h, self.season)}


@dataclass(frozen=True)
class HoltWinters(Baseline):
    """Level, damped trend and season by exponential smoothing, of the values and of their logarithm."""

    season: int
    quantiles: tuple[float, ...] = GRID
    name: ClassVar[str] = "holt_winters"

    def methods(self) -> dict[str, Method]:
        return {**simple(self.season), "holt_winters": lambda past, h: holt_winters(past, h, self.season)}


class Maker(Protocol):
    """Makes a baseline for data of this season."""

    def __call__(self, season: int, quantiles: tuple[float, ...] = GRID) -> Baseline: ...


BASELINES: dict[str, Maker] = {
    Naive.name: lambda season, quantiles=GRID: Naive(quantiles),
    SeasonalNaive.name: SeasonalNaive,
    Drift.name: lambda season, quantiles=GRID: Drift(quantiles),
    WindowAverage.name: lambda season, quantiles=GRID: WindowAverage(max(season, 3), quantiles),    # 1 would be naive
    SeasonalNaiveDrift.name: SeasonalNaiveDrift,
    Theta.name: Theta,
    HoltWinters.name: HoltWinters,
}


class Past:
    """The history of a panel as the methods ask for it: where values stand, found once for all series.

    A series is a slice of the shared y (N,), so "the last value before" is one running maximum over y, and a value
    found before the slice begins belongs to another series: there is none. y is in units of a power of two near its
    largest value, which costs no digit and lets the squares of huge and of tiny values be numbers."""

    def __init__(self, panel: Panel) -> None:
        """Raises DataError naming the series without any value."""
        self.panel, self.first, self.stop = panel, panel.first, panel.stop
        finite = np.isfinite(panel.y)
        self.unit = float(np.ldexp(1.0, np.frexp(np.max(np.abs(panel.y), initial=0, where=finite))[1] - 1))
        self.y: Floats = np.where(finite, panel.y, np.nan) / self.unit
        self.places = np.where(np.isnan(self.y), -1, np.arange(len(self.y)))
        self.before = np.concatenate([[-1], np.maximum.accumulate(self.places)])    # (N + 1,) last value before t
        self.newest = self.before[self.stop]                                        # (S,)
        _refuse_empty(panel, self.newest < self.first)
        after = np.minimum.accumulate(np.where(self.places < 0, len(self.y), self.places)[::-1])[::-1]
        self.oldest = after[self.first]                                             # (S,)

    def targets(self, horizon: int) -> Ints:
        """Positions that y would have if it went on (S, H)."""
        return self.stop[:, None] + np.arange(horizon)

    def last_seasons(self, m: int) -> Iterator[tuple[slice, Ints]]:
        """Position (B, m) of the last value at each position of the season, oldest first, -1 where there is none;
        for some series at a time, which the slice names."""
        cycles = -(-len(self.y) // m)
        padded = np.full(cycles * m, -1)
        padded[:len(self.y)] = self.places
        newest = np.maximum.accumulate(padded.reshape(cycles, m), axis=0).ravel()
        for rows in _blocks(len(self.panel), m):
            asked = self.stop[rows, None] - m + np.arange(m)
            place = newest[np.maximum(asked, 0)]
            yield rows, np.where((asked >= 0) & (place >= self.first[rows, None]), place, -1)

    @cached_property
    def walk(self) -> tuple[Floats, Floats]:
        """Sum of squares and number of the steps between values next to each other (S,), (S,).

        A step across g time steps has g times the variance in a random walk, hence its square over g."""
        previous = self.before[:-1]
        have = (self.places >= 0) & (previous >= 0)
        gap = np.where(have, np.arange(len(self.y)) - previous, 1)
        squares = np.where(have, (self.y - self.y[previous]) ** 2 / gap, np.nan)
        return finite_sums(squares, self.oldest + 1, self.stop)

    def lagged(self, m: int) -> Floats:
        """y_t - y_(t-m) at t - m (N - m,); NaN where either is missing."""
        return self.y[m:] - self.y[:-m]


def naive(past: Past, horizon: int) -> Normal:
    """Last value y_T; sigma sqrt(h), sigma the RMS of y_t - y_(t-1). h counts from the last value there is."""
    steps = past.targets(horizon) - past.newest[:, None]
    point = np.repeat(past.y[past.newest][:, None], horizon, axis=1)
    return Normal(point, _rms(*past.walk)[:, None] * np.sqrt(steps), np.ones(len(point), dtype=bool))


def seasonal_naive(past: Past, horizon: int, m: int) -> Normal:
    """Last value of the same season position, n seasons back; sigma sqrt(n), sigma the RMS of y_t - y_(t-m).

    Able where each season position of m has a value. A series of one season has no such residual: those of naive
    stand in."""
    point, seasons, able = _seasonal(past, horizon, m)
    total, count = finite_sums(past.lagged(m) ** 2, past.first, past.stop - m)
    return Normal(point, _or_naive(past, total, count)[:, None] * np.sqrt(seasons), able)


def drift(past: Past, horizon: int) -> Normal:
    """y_T + h c, c = (y_T - y_1) / (T - 1), the line through both ends; sigma sqrt(h (1 + h / (T - 1))).

    sigma^2 = sum (y_t - y_(t-1) - c)^2 / (n - 1) of n residuals, one parameter fitted. Two points have no residual
    but 0: those of naive stand in. Able with two values."""
    span = past.newest - past.oldest                                    # T - 1
    slope = (past.y[past.newest] - past.y[past.oldest]) / np.maximum(span, 1)
    total, count = past.walk
    sigma = _or_naive(past, np.maximum(total - slope ** 2 * span, 0), count - 1)
    steps = past.targets(horizon) - past.newest[:, None]
    factor = np.sqrt(steps * (1 + steps / np.maximum(span, 1)[:, None]))
    return Normal(past.y[past.newest][:, None] + steps * slope[:, None], sigma[:, None] * factor, span > 0)


def window_average(past: Past, horizon: int, size: int) -> Normal:
    """Mean of the n values among the last `size` points; sigma sqrt(1 + 1/n), sigma their standard deviation (n - 1).

    A single value has none: the residuals of naive stand in. Able where the window holds a value."""
    mean, total, count = np.empty((3, len(past.panel)))
    size = min(size, max(1, int(past.panel.lengths.max(initial=1))))
    for rows in _blocks(len(past.panel), size):
        places = past.stop[rows, None] - size + np.arange(size)
        values = np.where(places >= past.first[rows, None], past.y[np.maximum(places, 0)], np.nan)
        count[rows] = np.isfinite(values).sum(axis=1)
        anchor = past.y[past.newest[rows]]                              # so that a constant's mean is exact
        mean[rows] = anchor + np.nansum(values - anchor[:, None], axis=1) / np.maximum(count[rows], 1)
        total[rows] = np.nansum((values - mean[rows, None]) ** 2, axis=1)
    sigma = _or_naive(past, total, count - 1) * np.sqrt(1 + 1 / np.maximum(count, 1))
    return Normal(np.repeat(mean[:, None], horizon, axis=1), np.repeat(sigma[:, None], horizon, axis=1), count > 0)


def seasonal_naive_drift(past: Past, horizon: int, m: int) -> Normal:
    """Seasonal naive n seasons back plus n c, c = mean(last season) - mean(the season before).

    c is the mean of the w differences y_t - y_(t-m) over the last season (w = m unless some are missing). In a
    seasonal random walk its variance is sigma^2 / w, so that the step n seasons ahead has sigma sqrt(n (1 + n / w));
    sigma^2 = sum (y_t - y_(t-m) - c)^2 / (count - 1) over the whole series. Able with two seasons, where seasonal
    naive is, and one such difference is known."""
    point, seasons, able = _seasonal(past, horizon, m)
    lagged = past.lagged(m)
    recent, width = finite_sums(lagged, past.stop - 2 * m, past.stop - m)
    trend = recent / np.maximum(width, 1)
    total, _ = finite_sums(lagged, past.first, past.stop - m)
    squares, count = finite_sums(lagged ** 2, past.first, past.stop - m)
    around = np.maximum(squares - 2 * trend * total + count * trend ** 2, 0)
    factor = np.sqrt(seasons * (1 + seasons / np.maximum(width, 1)[:, None]))
    sigma = _or_naive(past, around, count - 1)[:, None] * factor
    return Normal(point + seasons * trend[:, None], sigma, able & (past.panel.lengths >= 2 * m) & (width > 0))


def theta(past: Past, horizon: int, m: int) -> Normal:
    """The Theta method of smoothing.py."""
    return Normal(*smoothing.theta(past.y, past.first, past.stop, horizon=horizon, season=m))


def holt_winters(past: Past, horizon: int, m: int) -> Normal:
    """Holt-Winters of smoothing.py."""
    return Normal(*smoothing.holt_winters(past.y, past.first, past.stop, horizon=horizon, season=m))


def simple(m: int) -> dict[str, Method]:
    """What serves a series too short for smoothing."""
    return {"naive": naive} | ({"seasonal_naive": lambda past, h: seasonal_naive(past, h, m)} if m > 1 else {})


def _seasonal(past: Past, horizon: int, m: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """For each step the last value of its season position, how many seasons back it lies (S, H), and able (S,)."""
    place = np.empty((len(past.panel), horizon), dtype=np.int64)
    able = np.empty(len(past.panel), dtype=bool)
    for rows, season in past.last_seasons(m):
        place[rows] = season[:, np.arange(horizon) % m]
        able[rows] = np.all(season >= 0, axis=1)
    return past.y[place], (past.targets(horizon) - place) / m, able


def _rms(total: Floats, count: Floats) -> Floats:
    """Root of total / count; 0 where nothing was counted."""
    return np.sqrt(total / np.maximum(count, 1)) * (count > 0)


def _or_naive(past: Past, total: Floats, count: Floats) -> Floats:
    """Root of total / count, and naive's sigma where the method has no residual of its own."""
    return np.where(count > 0, _rms(total, count), _rms(*past.walk))


def _blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of rows such that rows x width stays within BLOCK."""
    step = max(1, BLOCK // width)
    return (slice(begin, min(begin + step, rows)) for begin in range(0, rows, step))


def _refuse_empty(panel: Panel, empty: NDArray[np.bool_]) -> None:
    names = dict.fromkeys(panel.ids[empty])
    problems = [Problem("no_values", f"series '{name}' has no value to forecast from") for name in names]
    if problems:
        raise DataError(problems[0], more=problems[1:])
