"""Fitting: exponential smoothing of many series side by side: states, errors, and how a fit is chosen."""
# S series  N values  B series, or fits to them, side by side  T time steps  H horizon  A steps ahead  G candidates
# k parameters  K states  m season

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.series.arrays import Bools, Floats, Ints

LONGEST = 400                       # points of a series that are read, or four seasons: older ones made scores worse
SHORTEST = 6                        # values that a fit needs, and two seasons
BLOCK = 256                         # series side by side
CELLS = 1 << 15                     # series x candidates moved at a time: what a core keeps at hand
STEPS = 64                          # time steps whose products are summed at a time
NOISE = 1e-30                       # mean square of the rounding errors, in units of the largest value
Gains = tuple[Floats, Floats, Floats, Floats]                           # alpha, beta, gamma, phi, each (G, B)


@dataclass(frozen=True)
class Aligned:
    """Some series side by side, their last values together. y is in units of the largest value's power of two."""

    rows: Ints                      # (B,) which series of the caller's
    y: Floats                       # (T, B); NaN where missing, and before the series begins
    begin: Ints                     # (B,) step of the first value, ascending
    gap: Ints                       # (B,) steps missing behind the last value
    unit: Floats                    # (B,)

    @cached_property
    def seen(self) -> Bools:
        return np.isfinite(self.y)

    @cached_property
    def count(self) -> Ints:
        """Values of each series (B,)."""
        return np.asarray(self.seen.sum(axis=0))

    @cached_property
    def anchor(self) -> Floats:
        """First value (B,). Fits are to what is above it, so that a constant stays one to the bit."""
        return self.y[self.begin, np.arange(len(self.begin))]

    @cached_property
    def active(self) -> list[int]:
        """How many series have begun, step by step."""
        return [int(n) for n in np.searchsorted(self.begin, np.arange(len(self.y)), side="right")]

    @cached_property
    def whole(self) -> list[bool]:
        """Whether none that has begun misses a value, step by step."""
        return [bool(w) for w in self.seen.sum(axis=1) == self.active]

    def take(self, columns: Ints) -> Aligned:
        return replace(self, rows=self.rows[columns], y=self.y[:, columns], begin=self.begin[columns],
                       gap=self.gap[columns], unit=self.unit[columns])


@dataclass(frozen=True)
class Fit:
    """Forecasts of one variant, as deviations from the anchor, and how much it is to be believed."""

    path: Floats                    # (A, B)
    variance: Floats                # (A, B)
    misfit: Floats                  # (B,) AIC: -2 log of the weight; infinite where the variant does not apply


@dataclass(frozen=True)
class Kind:
    """What a Holt-Winters model has beside its level."""

    damped: bool                    # trend
    season: int                     # 0: none

    @property
    def states(self) -> int:
        return 1 + self.damped + self.season

    @property
    def gains(self) -> list[int]:
        """Those of alpha, beta, gamma and phi that it has a use for."""
        return [0, *([1] if self.damped else []), *([2] if self.season else []), *([3] if self.damped else [])]

    @property
    def parameters(self) -> int:
        """First states, the season's summing to zero, and the gains."""
        return 2 + 3 * self.damped + self.season


def forecast_by(method: Callable[[Aligned, int, int], list[Fit]], y: Floats, first: Ints, stop: Ints, horizon: int,
              m: int) -> tuple[Floats, Floats, Bools]:
    point, sigma, able = np.zeros((len(first), horizon)), np.zeros((len(first), horizon)), np.zeros(len(first), bool)
    for series in aligned(y, first, stop, m):
        ahead = series.gap + np.arange(horizon)[:, None]                # (H, B) positions on the path
        path, variance = mean_of(method(series, m, int(ahead.max(initial=0)) + 1))
        above, spread = (np.take_along_axis(a, ahead, axis=0) for a in (path, variance))
        point[series.rows] = (series.unit * (series.anchor + above)).T
        sigma[series.rows] = (series.unit * np.sqrt(spread)).T
        able[series.rows] = True
    return point, sigma, able


def aligned(y: Floats, first: Ints, stop: Ints, m: int) -> Iterator[Aligned]:
    """The series with enough values, each from its first value, or the oldest that is read, to its last."""
    seen = np.append(np.flatnonzero(np.isfinite(y)), len(y))
    behind = np.searchsorted(seen, stop)
    newest = seen[behind - 1]                                           # where there is one
    before = np.searchsorted(seen, np.maximum(first, np.minimum(newest, stop) + 1 - max(LONGEST, 4 * m)))
    rows = np.flatnonzero((behind - before >= max(SHORTEST, 2 * m)) & (stop - 1 - newest <= LONGEST))
    oldest = seen[before]
    rows = rows[np.argsort((oldest - newest)[rows], kind="stable")]
    width = max(1, min(BLOCK, 4_000_000 // (m + 2) ** 2))
    for some in (rows[k:k + width] for k in range(0, len(rows), width)):
        length = newest[some] - oldest[some] + 1
        steps = -(-int(length[0]) // STEPS) * STEPS
        begin = steps - length
        at = oldest[some] - begin + np.arange(steps)[:, None]
        values = np.where(np.arange(steps)[:, None] >= begin, y[np.maximum(at, 0)], np.nan)
        unit = np.ldexp(1.0, np.frexp(np.nanmax(np.abs(values), axis=0))[1] - 1)
        yield Aligned(some, values / unit, begin, stop[some] - 1 - newest[some], unit)


def mean_of(fits: list[Fit]) -> tuple[Floats, Floats]:
    """Weighted mean and variance (A, B) of the variants' forecasts, which differ where the data leave it open."""
    misfit = np.array([fit.misfit for fit in fits])
    weights = np.exp(-(misfit - misfit.min(axis=0)) / 2)
    weights /= sum(weights)
    path: Floats = sum(w * fit.path for w, fit in zip(weights, fits, strict=True))
    variance: Floats = sum(w * (fit.variance + (fit.path - path) ** 2) for w, fit in zip(weights, fits, strict=True))
    return path, variance


def akaike(mean_square: Floats, count: Ints, k: int | Ints) -> Floats:
    """AIC (B,) of k parameters fitted to n values with this mean squared error: n log of it + 2 k."""
    return np.where(count > k, count * np.log(np.maximum(mean_square, NOISE)) + 2 * k, np.inf)


def side_by_side(*which: Ints) -> tuple[Ints, Ints]:
    """Columns of several variants, those of a series next to each other: (column, variant)."""
    columns, variants = np.concatenate(which), np.repeat(np.arange(len(which)), [len(w) for w in which])
    order = np.argsort(columns, kind="stable")
    return columns[order], variants[order]


def apart(fit: Fit, chosen: Bools, columns: Ints, width: int) -> Fit:
    """The chosen columns of a fit, as one variant of all `width` series."""
    path, variance, misfit = np.zeros((len(fit.path), width)), np.zeros((len(fit.path), width)), np.full(width, np.inf)
    at = columns[chosen]
    path[:, at], variance[:, at], misfit[at] = fit.path[:, chosen], fit.variance[:, chosen], fit.misfit[chosen]
    return Fit(path, variance, misfit)


def line_through(moments: Floats) -> Floats:
    """Intercept and slope (2, ...) of the least squares line, from sums of 1, t, t^2, z, t z."""
    n, t, tt, z, tz = moments
    spread = n * tt - t * t
    slope = np.where(spread > 0, (n * tz - t * z) / np.where(spread > 0, spread, 1), 0.0)
    return np.stack([(z - slope * t) / np.maximum(n, 1), slope])


def seasonal_indices(series: Aligned, m: int, *, multiplicative: bool) -> Floats:
    """Classical decomposition (m, B): mean deviation, or ratio, from the centred moving average, by position.

    They sum to 0, or to m; position 0 is that of the first step ahead. A position that no average covers is neutral."""
    steps = -(-len(series.y) // m) * m
    y = np.full((steps, len(series.rows)), np.nan)
    y[steps - len(series.y):] = series.y
    seen, z = np.isfinite(y), y - series.anchor
    start = steps - len(series.y) + series.begin
    for t in (t for t in range(steps) if not seen[t].all()):            # a hole is bridged from one season before
        earlier = z[t - m] if t >= m else np.full(len(start), np.nan)
        z[t] = np.where(seen[t] | (t < start), z[t], np.where(np.isnan(earlier), z[t - 1], earlier))
    half = m // 2
    weights = np.full(2 * half + 1, 1 / m)
    weights[[0, -1]] /= 2 if m % 2 == 0 else 1
    inner = steps - 2 * half
    trend = sum(w * z[k:k + inner] for k, w in enumerate(weights))
    over = z[half:half + inner] - trend
    if multiplicative:
        size = series.anchor + trend
        over = np.divide(y[half:half + inner], size, out=np.full_like(size, np.nan), where=size > 0)
    cycles = np.full_like(z, np.nan)
    cycles[half:half + inner] = np.where(seen[half:half + inner], over, np.nan)
    cycles = cycles.reshape(steps // m, m, len(start))
    known = ~np.isnan(cycles)
    count = known.sum(axis=0)
    mean = np.where(count > 0, total_of(np.where(known, cycles, 0.0)) / np.maximum(count, 1), float(multiplicative))
    centre = total_of(mean) / m
    return np.asarray(mean / centre if multiplicative else mean - centre)


def total_of(a: Floats) -> Floats:
    """Sum over the first axis, one by one: of a single column, and of columns that lie apart, numpy would add up
    pairs."""
    if len(a) and a[0].size == 1:
        return np.asarray(np.cumsum(a, axis=0)[-1])
    return np.asarray(np.ascontiguousarray(a).sum(axis=0))


@dataclass
class State:
    """Where the recursion stands; season[p] belongs to the steps p, p + m, ... after the last value."""

    level: Floats                   # (G, B)
    trend: Floats | None            # (G, B)
    season: Floats | None           # (m, G, B)

    @classmethod
    def of(cls, states: Floats, gains: Gains, kind: Kind) -> State:
        """Of states (K, G, B) or (K, 1, B), as many as there are gains."""
        wide = np.broadcast_shapes(states.shape[1:], gains[0].shape)
        copy = np.array(np.broadcast_to(states, (len(states), *wide)), order="C")       # "K" would keep G innermost
        return cls(copy[0], copy[1] if kind.damped else None, copy[1 + kind.damped:] if kind.season else None)


def errors(series: Aligned, z: Floats, gains: Gains, state: State) -> Iterator[tuple[int, Floats]]:
    """One-step errors of additive Holt-Winters, step by step: (t, (G, n)) of the n series that have begun.

    z (T, B). `state` moves along. In error-correction form (Hyndman et al. 2008, ch. 2):
    e = y - l - phi b - s;  l' = l + phi b + alpha e;  b' = phi b + beta e;  s' = s + gamma e."""
    steps, n = len(z), 0
    for t in range(int(series.begin[0]), steps):
        if series.active[t] != n:
            n = series.active[t]
            alpha, beta, gamma, phi = (g[:, :n] for g in gains)
            level, trend = state.level[:, :n], None if state.trend is None else state.trend[:, :n]
            season = None if state.season is None else state.season[:, :, :n]
            e, move = np.empty_like(level), np.empty_like(level)
        if trend is not None:
            trend *= phi
            level += trend
        np.subtract(z[t, :n], level, out=e)
        if season is not None:
            now = season[(t - steps) % len(season)]
            e -= now
        if not series.whole[t]:
            e *= series.seen[t, :n]
        yield t, e
        level += np.multiply(alpha, e, out=move)
        if trend is not None:
            trend += np.multiply(beta, e, out=move)
        if season is not None:
            now += np.multiply(gamma, e, out=move)


def squares(series: Aligned, z: Floats, gains: Gains, states: Floats, kind: Kind) -> NDArray[np.float32]:
    """Sum of squared errors (G, B) from first states (K, B), for gains (G, B) or (G, 1), some at a time: to tell which
    are the best, for which the seven digits of float32 do."""
    z, states, gains = rough(z), rough(states), roughly(gains)
    total = np.zeros((len(gains[0]), z.shape[1]), dtype=np.float32)
    some = max(1, CELLS // z.shape[1])
    for k in range(0, len(total), some):
        alpha, beta, gamma, phi = (g[k:k + some] for g in gains)
        tried, square = (alpha, beta, gamma, phi), np.empty(0, dtype=np.float32)
        for _, e in errors(series, z, tried, State.of(states[:, None], tried, kind)):
            if square.shape != e.shape:
                square = np.empty_like(e)
            total[k:k + some, :e.shape[1]] += np.multiply(e, e, out=square)
    return total


def rough(a: Floats) -> Any:
    """In float32."""
    return a.astype(np.float32)


def roughly(gains: Gains) -> Gains:
    alpha, beta, gamma, phi = gains
    return rough(alpha), rough(beta), rough(gamma), rough(phi)
