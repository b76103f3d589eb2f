"""The world: synthetic series to learn forecasting from, seeded, many at a time. Nothing in it was ever recorded.

A series is a level, a season and noise, each drawn from a family that is found in real series, put together by sums or
by products:

    level   trends (straight, bending, changing their slope), random walks with and without memory of their slope,
            shifts, long cycles, returns to a mean
    season  mixtures of waves, free patterns, spikes and plateaus, which drift and grow; a second, longer one
    noise   Student's t, dependent in time, calm and stormy by turns or by season
    then    exponentiated, counted (Poisson), mostly zero, rounded, clipped at 0, with outliers and holes

Sizes are drawn log-uniformly, so that each order of magnitude is as common as any other."""

# B series  N steps  m season

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.series.arrays import Floats

SEASONS = ((1, 0, .22), (4, 0, .13), (5, 0, .03), (6, 0, .02), (7, 0, .07), (7, 365, .05), (12, 0, .20), (13, 0, .02),
           (24, 0, .04), (24, 168, .11), (48, 336, .03), (96, 672, .01), (52, 0, .07), (0, 0, .05))
#          steps of a season (0: any), of a second one (0: none), and the share of lessons that have them


@dataclass(frozen=True)
class World:
    """Series of one season, drawn from a generator of random numbers."""

    rng: np.random.Generator
    season: int
    second: int = 0                         # a longer season, a multiple of steps too; 0 for none

    def series(self, count: int, length: int) -> Floats:
        """(B, N), NaN where missing."""
        parts = self._standard(self._level(count, length)) * self._some(count, .93)
        season = self._season(count, length, self.season) * self._some(count, .8) * self._size(count, .05, 3)
        if self.second and length > self.second // 2:
            season = season + self._long_season(count, length) * self._some(count, .7) * self._size(count, .1, 2)
        noise = self._noise(count, length) * self._size(count, .01, 1.5)
        values = self._scaled(parts * self._size(count, .1, 10), season, noise)
        return self._with_holes(self._with_outliers(values))

    # ---- level

    def _level(self, count: int, length: int) -> Floats:
        """(B, N) a sum of some of the kinds, each of a size of its own."""
        steps = np.arange(length) / length
        kinds: tuple[tuple[float, Callable[[], Floats]], ...] = (
            (.45, lambda: self._normal(count, 1) * steps),
            (.15, lambda: self._bend(count, steps)),
            (.30, lambda: self._broken(count, length)),
            (.45, lambda: self._walk(count, length)),
            (.25, lambda: self._walk_of_slopes(count, length)),
            (.12, lambda: self._shifts(count, length)),
            (.25, lambda: self._cycle(count, length)),
            (.25, lambda: self._returning(count, length)),
        )
        total = np.zeros((count, length))
        for share, kind in kinds:
            rows = np.flatnonzero(self.rng.random(count) < share)
            if rows.size:
                part = kind()[rows]
                total[rows] += self._standard(part) * self._size(rows.size, .1, 3)
        return total

    def _bend(self, count: int, steps: Floats) -> Floats:
        """A trend that dies out, or takes off: a (1 - exp(-r t)) for r above and below 0."""
        rate = self._normal(count, 1) * 4
        return self._normal(count, 1) * np.expm1(rate * steps) / np.where(np.abs(rate) > .1, rate, .1)

    def _broken(self, count: int, length: int) -> Floats:
        """A line that changes its slope at one to four places."""
        slope = np.zeros((count, length))
        for _ in range(4):
            where = self.rng.integers(0, length, (count, 1))
            slope += (np.arange(length) >= where) * self._normal(count, 1) * self._some(count, .6)
        return np.cumsum(slope + self._normal(count, 1), axis=1)

    def _walk(self, count: int, length: int) -> Floats:
        """A random walk, with a drift in half of them."""
        steps = self._tailed(count, length) + self._normal(count, 1) * self._size(count, .03, 1) * self._some(count, .5)
        return np.cumsum(steps, axis=1)

    def _walk_of_slopes(self, count: int, length: int) -> Floats:
        """The slope itself is a walk that returns to its mean, slowly or soon."""
        slope = self._decaying(self._normal(count, length), 1 - self._size(count, .005, .5))
        mean = self._normal(count, 1) * slope.std(axis=1, keepdims=True) * self._some(count, .5)
        return np.cumsum(slope + mean, axis=1)

    def _shifts(self, count: int, length: int) -> Floats:
        """Steps up or down, one to three."""
        total = np.zeros((count, length))
        for share in (1, .3, .2):
            where = self.rng.integers(1, length, (count, 1))
            total += (np.arange(length) >= where) * self._normal(count, 1) * self._some(count, share)
        return total

    def _cycle(self, count: int, length: int) -> Floats:
        """Waves longer than a season whose phase wanders."""
        least = max(4.0, 1.5 * self.season)
        period = self._size(count, least, max(2 * least, length))
        speed = 2 * np.pi / period * (1 + .3 * self._normal(count, length) * self._some(count, .7))
        phase = self.rng.uniform(0, 2 * np.pi, (count, 1))
        return np.sin(phase + np.cumsum(speed, axis=1)) * (1 + .5 * self._smooth(count, length, period))

    def _returning(self, count: int, length: int) -> Floats:
        """An AR(1) process around its mean."""
        return self._decaying(self._tailed(count, length), 1 - self._size(count, .01, .6))

    # ---- season

    def _season(self, count: int, length: int, m: int) -> Floats:
        """(B, N) a pattern of mean 0 and spread 1 that drifts to another, and grows or shrinks."""
        if m == 1:
            return np.zeros((count, length))
        phase = (np.arange(length) + self.rng.integers(0, m, (count, 1))) % m
        first, other = self._pattern(count, m), self._pattern(count, m)
        shift = np.abs(self._normal(count, 1)) * self._some(count, .5) * .5
        turn = np.arange(length) / length * shift
        grown = np.exp(self._normal(count, 1) * .5 * self._some(count, .4) * (np.arange(length) / length - .5))
        rows = np.arange(count)[:, None]
        pattern = first[rows, phase] * np.cos(turn) + other[rows, phase] * np.sin(turn)
        seasons = -(-length // m) + 1
        each = self._normal(count, seasons)[:, np.arange(length) // m]  # seasons are stronger or weaker by turns
        each = each * self._size(count, .02, .5) * self._some(count, .4)
        return np.asarray(pattern * grown * (1 + each))

    def _pattern(self, count: int, m: int) -> Floats:
        """(B, m) a mixture of waves, free values, spikes and a plateau."""
        phases = np.arange(m)
        total = np.zeros((count, m))
        decay = self._size(count, .5, 3)
        for k in range(1, min(m // 2, 8) + 1):
            angle = 2 * np.pi * k * phases / m + self.rng.uniform(0, 2 * np.pi, (count, 1))
            total += np.sin(angle) * self._normal(count, 1) / k ** decay
        total = self._standard(total) * self._some(count, .75) * self._size(count, .3, 1)
        total += self._normal(count, m) * self._some(count, .4) * self._size(count, .1, 1)
        total += (self.rng.random((count, m)) < 1.5 / m) * self._normal(count, m) * self._some(count, .2) * 3
        width, start = self.rng.integers(1, max(2, m // 2), (count, 1)), self.rng.integers(0, m, (count, 1))
        total += ((phases - start) % m < width) * self._normal(count, 1) * self._some(count, .3) * 2
        return self._standard(total)

    def _long_season(self, count: int, length: int) -> Floats:
        """The second season: a smooth wave over it, or a pattern of blocks (the days of a week), or the main pattern
        stronger in some blocks than in others."""
        m, blocks = self.second, max(2, self.second // self.season)
        phase = (np.arange(length) + self.rng.integers(0, m, (count, 1))) % m
        rows = np.arange(count)[:, None]
        wave = self._season(count, length, m)
        block = np.minimum(phase // self.season, blocks - 1)
        if blocks > 8:                                                  # a year of weeks: smooth alone
            return wave
        levels = self._pattern(count, blocks)[rows, block]
        stronger = self._season(count, length, self.season) * self._pattern(count, blocks)[rows, block]
        kind = self.rng.random((count, 3)) * (self.rng.random((count, 3)) < .6)
        return self._standard(kind[:, :1] * wave + kind[:, 1:2] * levels + kind[:, 2:] * stronger)

    # ---- noise

    def _noise(self, count: int, length: int) -> Floats:
        """(B, N) of spread 1 or so: tailed, dependent, calm and stormy by turns."""
        noise = self._tailed(count, length)
        memory = self.rng.uniform(-.4, .8, (count, 1)) * self._some(count, .35)
        noise = self._decaying(noise, memory) * np.sqrt(1 - memory ** 2)
        storm = np.exp(self._smooth(count, length, self._size(count, 5, 60)) * .7 * self._some(count, .25))
        if self.season > 1:
            phase = np.arange(length) % self.season
            storm = storm * np.exp(self._pattern(count, self.season) * .5 * self._some(count, .2))[:, phase]
        return noise * storm

    def _tailed(self, count: int, length: int) -> Floats:
        """Student's t of 3 to very many degrees of freedom, of spread 1."""
        freedom = self._size(count, 3, 60)
        chi = self.rng.standard_gamma(np.broadcast_to(freedom / 2, (count, length))) * 2 / freedom
        tailed = self._normal(count, length) / np.sqrt(np.maximum(chi, 1e-6))
        return np.clip(tailed / np.sqrt(freedom / (freedom - 2 + 1e-9)), -30, 30)

    # ---- putting together

    def _scaled(self, level: Floats, season: Floats, noise: Floats) -> Floats:
        """Sums; products (the exponential of sums); counts; mostly zeros."""
        count, length = level.shape
        total = level + season + noise
        spread = total.std(axis=1, keepdims=True) + 1e-9
        kind = self.rng.random((count, 1))
        grown = np.exp(np.clip(total / spread * self._size(count, .03, 1), -12, 12))
        grown /= grown.mean(axis=1, keepdims=True)
        above = total / spread - (total / spread).min(axis=1, keepdims=True) + self._size(count, .01, 30)
        values = np.where(kind < .5, grown, np.where(kind < .85, above, total / spread + 3 * self._normal(count, 1)))
        clipped = np.maximum(values - np.quantile(values, .3, axis=1, keepdims=True), 0)
        values = np.where((self._some(count, .03) > 0), clipped, values)
        counts, rows = np.asarray(self.rng.random(count)), np.arange(count)
        few = rows[(counts < .07) & (kind[:, 0] < .5)]                  # counted: Poisson around the rate
        values[few] = self.rng.poisson(np.minimum(grown[few] * self._size(few.size, .3, 100), 1e6))
        rare = rows[(counts >= .07) & (counts < .14)]                   # mostly zero
        chance = np.clip(grown[rare] * self._size(rare.size, .05, .7), 0, 1)
        mean = self._size(rare.size, .1, 10)
        sizes = 1 + np.asarray(self.rng.poisson(mean, (length, rare.size, 1)))[:, :, 0].T
        values[rare] = (self.rng.random((rare.size, length)) < chance) * sizes
        round_ = self._some(count, .15) > 0
        grid = values.std(axis=1, keepdims=True) / self._size(count, 2, 50) + 1e-9
        return np.asarray(np.where(round_ & (counts[:, None] >= .14), np.round(values / grid) * grid, values))

    def _with_outliers(self, values: Floats) -> Floats:
        """In one series of twenty some values are far off."""
        off = (self.rng.random(values.shape) < .02) & (self._some(len(values), .06) > 0)
        size = values.std(axis=1, keepdims=True) * self.rng.standard_t(2, values.shape) * 3
        moved = values + size
        lowest = values.min(axis=1, keepdims=True)
        return np.where(off, np.where(lowest >= 0, np.abs(moved), moved), values)

    def _with_holes(self, values: Floats) -> Floats:
        """In one series of six values are missing, alone or in a stretch."""
        count, length = values.shape
        alone = (self.rng.random(values.shape) < self._size(count, .01, .3)) & (self._some(count, .12) > 0)
        begin = self.rng.integers(0, length, (count, 1))
        steps = np.arange(length)
        stretch = (steps >= begin) & (steps < begin + length * self.rng.uniform(0, .3, (count, 1)))
        stretch &= self._some(count, .06) > 0
        return np.where(alone | stretch, np.nan, values)

    # ---- random numbers

    def _normal(self, count: int, length: int) -> Floats:
        return self.rng.standard_normal((count, length))

    def _some(self, count: int, share: float) -> Floats:
        """(B, 1) 1 in this share of the series, else 0."""
        return (self.rng.random((count, 1)) < share).astype(np.float64)

    def _size(self, count: int, low: float, high: float) -> Floats:
        """(B, 1) drawn so that its logarithm is uniform."""
        return np.exp(self.rng.uniform(np.log(low), np.log(high), (count, 1)))

    def _smooth(self, count: int, length: int, period: Floats) -> Floats:
        """A smooth process of spread 1 or so that forgets in about `period` (B, 1) steps."""
        memory = np.exp(-3 / period)
        return self._decaying(self._decaying(self._normal(count, length), memory), memory) * (1 - memory) ** 1.5 * 2

    @staticmethod
    def _decaying(shocks: Floats, memory: Floats) -> Floats:
        """x[t] = memory x[t - 1] + shock[t] along each row; the memory (B, 1) is below 1."""
        result = np.empty(shocks.shape[::-1])
        last, keep = np.zeros(len(shocks)), memory[:, 0]
        for t, shock in enumerate(np.ascontiguousarray(shocks.T)):
            last = keep * last + shock
            result[t] = last
        return result.T

    @staticmethod
    def _standard(values: Floats) -> Floats:
        """Each row with mean 0 and spread 1, or all 0."""
        values = values - values.mean(axis=1, keepdims=True)
        spread = values.std(axis=1, keepdims=True)
        return values / np.where(spread > 1e-9, spread, 1.0)


def draw_season(rng: np.random.Generator) -> tuple[int, int]:
    """A season and a second one (0 for none), as often as SEASONS says."""
    shares = np.array([share for *_, share in SEASONS])
    m, second, _ = SEASONS[rng.choice(len(SEASONS), p=shares / shares.sum())]
    return m or round(float(np.exp(rng.uniform(np.log(2), np.log(100))))), second
