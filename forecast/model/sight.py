"""Sight: what the prior sees of a series: points that its cell reads, and a query for each step of the horizon.

The season is known and handed over: the network need not find it. One network so serves any season and any horizon."""

# B series  N points  L points read by the cell  G points a step  T = L / G steps  H horizon

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.units import normalised, window_loc_scale

GROUP = 4                                   # points that the cell reads in one step
LENGTHS = (16, 32, 64, 128, 256)            # points that the cell reads, the least of these that holds the series
POINT = 7                                   # numbers that tell of a point: four of its own, and three of its age
OWN: Bools = np.tile(np.arange(POINT) < 4, GROUP)                       # those of each point of a step
BACK = 4                                    # seasons that a query looks back on
FAR = 2                                     # seasons of the longer kind that it looks back on
QUERY = 4 * BACK + 3 * FAR + 15              # numbers in a query
FLAT = 1e-6                                 # share of the spread below which a step from season to season is none


@dataclass(frozen=True)
class Sight:
    """Some series as the prior sees them. A forecast y = loc + scale (base + unit f), f being what the network says."""

    points: Floats                          # (B, T, G * POINT)
    queries: Floats                         # (B, H, QUERY)
    base: Floats                            # (B, H) the seasonal naive forecast, in units of loc and scale
    unit: Floats                            # (B, 1) mean step from season to season, in units of scale
    loc: Floats                             # (B, 1)
    scale: Floats                           # (B, 1), 0 for a series that never moved

    def restored(self, said: Floats) -> Floats:
        """What the network says (B, H, Q) in the values it was shown."""
        z = self.base[..., None] + self.unit[..., None] * said
        return np.asarray(self.loc[..., None] + self.scale[..., None] * z)


def look(values: Floats, season: int, second: int, horizon: int, *, from_zero: NDArray[np.bool_] | bool
         ) -> Sight:
    """At series (B, N) that end together, NaN where missing or not yet begun. `from_zero`: values are counted from a
    zero that means something (not so for logarithms)."""
    values = _deep_enough(values, season, second)
    n = values.shape[1]
    read = values[:, -LENGTHS[-1]:]
    loc, scale = window_loc_scale(read, season)
    z = normalised(values, loc, scale)
    there = ~np.isnan(z)
    step = z[:, season:] - z[:, :-season]                               # from season to season
    unit = _mean(np.abs(step[:, -LENGTHS[-1]:]))
    unit = np.where(np.isfinite(unit) & (unit > FLAT), unit, 1.0)
    length = np.maximum(np.count_nonzero(np.cumsum(there, axis=1) > 0, axis=1), 1)[:, None]
    above = np.where(from_zero & (scale > 0), loc / np.where(scale > 0, scale, 1.0), 0.0)
    lowest = np.nan_to_num(np.nanmin(np.where(there, values, np.inf), axis=1, keepdims=True))
    kind = np.concatenate([np.log(unit), np.arcsinh(above), from_zero * np.float64(lowest >= 0) * np.ones_like(unit),
                           np.log(length) / 3, np.log(length / season) / 3, np.log(season) / 3 * np.ones_like(unit)],
                          axis=1)
    points = _points(z, unit, season, int(length.max(initial=1)))
    base, queries = _queries(z, unit, season, second, horizon, n)
    queries = np.concatenate([queries, np.repeat(kind[:, None], horizon, axis=1)], axis=2)
    return Sight(points, queries, base, unit, loc, scale)


def reach(season: int, second: int) -> int:
    """Points that a sight may look back on."""
    return LENGTHS[-1] + max(BACK * season, FAR * second) + season


def points_read(values: Floats) -> Ints:
    """(B,) how many points the cell reads of each series (B, N), by how many there are."""
    there = np.count_nonzero(np.cumsum(~np.isnan(values), axis=1) > 0, axis=1)
    return np.asarray(np.array(LENGTHS)[np.minimum(np.searchsorted(LENGTHS, there), len(LENGTHS) - 1)])


def _deep_enough(values: Floats, season: int, second: int) -> Floats:
    """With so many points as a sight may look back on, NaN before the series."""
    deep = reach(season, second)
    values = values[:, -deep:]
    return np.pad(values, ((0, 0), (deep - values.shape[1], 0)), constant_values=np.nan)


def _points(z: Floats, unit: Floats, season: int, longest: int) -> Floats:
    """(B, T, G * POINT): each point's value, its step from a season before, whether each is there, its age."""
    length = next((n for n in LENGTHS if n >= longest), LENGTHS[-1])
    step = (z - np.pad(z[:, :-season], ((0, 0), (season, 0)), constant_values=np.nan)) / unit
    age = np.arange(length, 0, -1.0) / season
    when = np.broadcast_to(np.stack([np.log1p(age), np.sin(2 * np.pi * age), np.cos(2 * np.pi * age)], axis=1),
                           (len(z), length, 3))
    z, step = z[:, -length:], step[:, -length:]
    told = np.concatenate([np.nan_to_num(z)[..., None], np.clip(np.nan_to_num(step), -30, 30)[..., None],
                           ~np.isnan(z)[..., None], ~np.isnan(step)[..., None], when], axis=2)
    return told.reshape(len(z), length // GROUP, GROUP * POINT)


def _queries(z: Floats, unit: Floats, season: int, second: int, horizon: int, n: int) -> tuple[Floats, Floats]:
    """The seasonal naive forecast (B, H), and what each step of the horizon asks by (B, H, ...)."""
    ahead = np.arange(1, horizon + 1)
    first = n - 1 + ahead - -(-ahead // season) * season               # the same phase of the last season
    same = np.stack([z[:, first - k * season] for k in range(BACK)], axis=2)                # (B, H, BACK)
    means = np.concatenate([_mean(z[:, n - (k + 1) * season:n - k * season]) for k in range(BACK)], axis=1)
    last = _last(z)
    base = _first_known(same, np.where(np.isnan(means[:, :1]), last, means[:, :1]))
    ends = np.pad(base, ((0, 0), (1, 1)), mode="wrap" if horizon >= season > 1 else "edge")
    beside = (ends[:, :-2] + ends[:, 2:]) / 2
    line = _line(z[:, -LENGTHS[-1]:], ahead) - last
    drift = [np.nan_to_num(means[:, :1] - means[:, k:k + 1]) / k * np.ceil(ahead / season) for k in (1, 2)]
    far = _far(z, second, season, ahead, n) if second else np.full((len(z), horizon, 2 * FAR), np.nan)

    def said(part: Floats) -> Floats:
        return np.arcsinh(np.nan_to_num(part - base[..., None]) / unit[..., None])

    def flat(part: Floats) -> Floats:
        return np.repeat(part[:, None], horizon, axis=1)

    whole = np.log(ahead)[:, None] / 3, (ahead / season)[:, None] / 4, ((ahead - 1) % season / season)[:, None]
    told = [said(same), (~np.isnan(same)).astype(np.float64),
            said(flat(means)), flat((~np.isnan(means)).astype(np.float64)),
            said(far), (~np.isnan(far[..., :FAR])).astype(np.float64),
            said(beside[..., None]), said(flat(last)), np.arcsinh(line / unit)[..., None],
            *(np.arcsinh(d / unit)[..., None] for d in drift), base[..., None],
            *(np.broadcast_to(w, (len(z), horizon, 1)) for w in whole)]
    return base, np.concatenate(told, axis=2)


def _far(z: Floats, second: int, season: int, ahead: Ints, n: int) -> Floats:
    """(B, H, 2 * FAR) the same phase of the longer season, and the mean of a season around it."""
    first = n - 1 + ahead - -(-ahead // second) * second
    where = [first - k * second for k in range(FAR)]
    total = np.cumsum(np.nan_to_num(z), axis=1)
    count = np.cumsum(~np.isnan(z), axis=1)
    means = []
    for at in where:
        high, low = np.minimum(at + season // 2, n - 1), np.maximum(at + season // 2 - season, 0)
        known = count[:, high] - count[:, low]
        means.append(np.where(known > 0, (total[:, high] - total[:, low]) / np.maximum(known, 1), np.nan))
    return np.stack([z[:, at] for at in where] + means, axis=2)


def _first_known(same: Floats, other: Floats) -> Floats:
    """(B, H): the newest value that is there, else the other (B, 1)."""
    result = np.broadcast_to(np.nan_to_num(other), same.shape[:2])
    for k in reversed(range(same.shape[2])):
        result = np.where(np.isnan(same[..., k]), result, same[..., k])
    return np.asarray(result)


def _last(z: Floats) -> Floats:
    """(B, 1) the last value that is there; 0 where none is."""
    there = ~np.isnan(z)
    at = z.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    return np.asarray(np.nan_to_num(z[np.arange(len(z)), at])[:, None])


def _line(z: Floats, ahead: Ints) -> Floats:
    """(B, H): the line of least squares through the points, prolonged."""
    there = (~np.isnan(z)).astype(np.float64)
    t, known, count = np.arange(-z.shape[1] + 1.0, 1.0), np.nan_to_num(z), np.maximum(there.sum(axis=1), 1)
    center, level = (there @ t) / count, known.sum(axis=1) / count
    away = (t - center[:, None]) * there
    slope = (away * known).sum(axis=1) / np.maximum((away ** 2).sum(axis=1), 1)
    return np.asarray((level - slope * center)[:, None] + slope[:, None] * ahead)


def _mean(values: Floats) -> Floats:
    """(B, 1) mean of what is there, NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=1, keepdims=True))
