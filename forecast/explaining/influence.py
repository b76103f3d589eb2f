"""Influence: how much each past value counts for the median forecast, by occlusion on many windows of one series.

Numbers only, in normalised units; lags are counted in points of the series. What goes on inside the cell is
inspection.py's business."""

# W windows  L context  H horizon  K blocks of points

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from forecast.model.plan import Plan
from forecast.model.predictor import Predictor
from forecast.model.skip import moved
from forecast.series.arrays import Floats, Ints
from forecast.series.batch import Batch
from forecast.series.panel import Panel, Windows

MOST_WINDOWS = 64                   # of the newest part of a series that are looked at
LEAST_WINDOWS = 12                  # before points are put together in blocks
CLEAR = 1.5                         # a lag stands out by so many times the share it would have anyway
BUDGET = 8_000_000                  # occluded rows x steps x units: about a second


@dataclass(frozen=True)
class Influence:
    """Mean absolute change of the median forecast when points of the context are made neutral.

    Rows count back from the end: block k holds the `size` points from the (k * size + 1)-th on, the last one what is
    left of the `context`."""

    whole: Floats                       # (K, H) of linear skip and network together
    network: Floats                     # (K, H) of the network alone; 0 where it is not used
    size: int
    windows: int
    context: int

    def by_point(self, table: Floats) -> Floats:
        """(L, H): a block's influence parted evenly among its points."""
        edges = np.minimum(np.arange(len(table) + 1) * self.size, self.context)
        count = np.diff(edges)
        return np.asarray(np.repeat(table / count[:, None], count, axis=0))

    def by_lag(self, table: Floats) -> Floats:
        """(L + H,) share of the influence at each distance from the point read to the step forecast; [0] is 0.

        The k-th point from the end lies k + h - 1 before step h: seasonal naive has all its influence at the season."""
        return _by_distance(self.by_point(table))

    def alike(self, table: Floats) -> Floats:
        """(L + H,) the same of a model in which every point counts as much as here, but moves all steps alike.

        What a level is read from has no lag of its own, and still lies at some distance. A lag counts by what it has
        beyond this. Over a single step there is no difference to see, and this is 0."""
        points = self.by_point(table)
        if points.shape[1] == 1:
            return np.zeros(len(points) + 1)
        return _by_distance(points.sum(axis=1, keepdims=True) * points.sum(axis=0))

    def top(self, table: Floats, count: int, season: int) -> list[tuple[int, float, float]]:
        """The lags that stand out, the strongest first: lag, its share, its share if all steps were moved alike.

        Their share is that of the mean lag or more, and no lag within an eighth of a season goes further beyond what it
        would have anyway."""
        shares, alike, near = self.by_lag(table), self.alike(table), season // 8
        beyond = shares - alike
        beside = np.lib.stride_tricks.sliding_window_view(np.pad(beyond, near), 2 * near + 1).max(axis=1)
        peaks = np.flatnonzero((beyond == beside) & (shares > CLEAR * alike) & (shares * len(shares) > 1))
        chosen = peaks[np.argsort(-beyond[peaks], kind="stable")][:count]
        return [(int(k), float(shares[k]), float(alike[k])) for k in chosen[np.argsort(-shares[chosen], kind="stable")]]

    def reach(self, table: Floats, share: float = 0.5) -> int:
        """The newest points of the context that together have this share of the influence."""
        total = np.cumsum(self.by_point(table).sum(axis=1))
        return int(np.searchsorted(total, share * total[-1] * (1 - 1e-9))) + 1


    def back(self) -> list[Back]:
        """By how far back the points lie, in distances that double: 1, 2, 3 to 4, 5 to 8, ... up to the context."""
        whole, network = (self.by_point(table).sum(axis=1) for table in (self.whole, self.network))
        most, total = max(float(whole.max()), 1e-300), max(float(whole.sum()), 1e-300)
        ends = [1, *(min(2 ** k, self.context) for k in range(1, max(1, (self.context - 1).bit_length()) + 1))]
        spans = [(first, last) for first, last in zip([1, *(end + 1 for end in ends)], ends, strict=False)
                 if first <= last]
        return [Back(first, last, float(whole[first - 1:last].mean() / most),
                     float(network[first - 1:last].mean() / most), float(whole[:last].sum() / total))
                for first, last in spans]

    def still(self, share: float) -> int:
        """The farthest point back that moves the forecast by this share of what the strongest one does; 0: none."""
        moved = self.by_point(self.whole).sum(axis=1)
        far = np.flatnonzero((moved >= share * moved.max()) & (moved > 0))
        return int(far[-1]) + 1 if len(far) else 0


@dataclass(frozen=True)
class Back:
    """Points from `first` to `last` back from the end. moves, network: how far one of them moves the forecast, and the
    network's part in it, beside the point that moves it most · up_to: share of all influence, of these and nearer."""

    first: int
    last: int
    moves: float
    network: float
    up_to: float


def by_cycle(shares: Floats, season: int) -> Floats:
    """Shares by lag (L + H,) -> by the nearest multiple of the season: [1] lies within half a season of one ago."""
    return np.asarray(np.bincount((np.arange(len(shares)) + season // 2) // season, weights=shares))


def _by_distance(points: Floats) -> Floats:
    length, horizon = points.shape
    distance = np.arange(1, length + 1)[:, None] + np.arange(horizon)
    shares = np.bincount(distance.ravel(), weights=points.ravel(), minlength=length + horizon)
    return np.asarray(shares / max(float(shares.sum()), 1e-300))


def influence_of(predictor: Predictor, panel: Panel) -> Influence:
    """Make the points of each block neutral and forecast anew, on many windows of a panel of one series.

    Neutral is the mean of the longest season around the point. 0, the mean of the last season, would credit the old
    points of a growing series with the growth; the mean of near neighbours would credit the points of a smooth series
    with nothing. The window's loc and scale stay as they were, and the point counts as there, not as missing: what is
    asked is what its value says. The windows are of the newest part of the series, at all phases of the season. Points
    stand alone unless the context is too long for that in a second."""
    member = predictor.leader
    plan, network, shape = predictor.plan_of(member), member.network, member.shape
    walked = shape.layers * (shape.steps * shape.encoded + shape.ahead * shape.hidden)
    rows = max(1, BUDGET // walked) if predictor.is_used else BUDGET
    size = max(1, math.ceil(plan.context * LEAST_WINDOWS / rows))
    blocks = -(-plan.context // size)
    count = max(1, min(MOST_WINDOWS, rows // blocks))
    batch = windows_at(predictor, panel, cuts(panel, plan.context, count, _stride(panel, plan, count)))
    z: Floats = batch.context
    neutral = np.where(np.isnan(z), np.nan, _local_mean(z, plan.context if plan.seasons == (1,) else
                                                        min(plan.context, max(plan.seasons))))
    middle, skip = shape.quantiles.index(0.5), network.line if predictor.is_used else network.closed
    block = (plan.context - 1 - np.arange(plan.context)) // size        # of each point of the context
    occluded = block == np.arange(blocks)[:, None]                      # (K, L)
    whole, learned = np.zeros((2, blocks, plan.horizon))
    for w, (row, instead) in enumerate(zip(z, neutral, strict=True)):
        linear = moved(occluded * np.nan_to_num(instead - row), skip)   # (K, H) change of the linear skip
        change = linear
        if predictor.is_used:
            as_it_was = batch.take(np.full(1 + blocks, w))
            changed = np.concatenate([row[None], np.where(occluded, instead, row)])
            forecast = network.forward(replace(as_it_was, context=changed))[..., middle]
            change = forecast[1:] - forecast[0]
            learned += np.abs(change - linear)
        whole += np.abs(change)
    return Influence(whole / len(z), learned / len(z), size, len(z), plan.context)


def cuts(panel: Panel, context: int, count: int, stride: int) -> Ints:
    """Up to `count` cutoffs `stride` apart that have a whole context before them, the newest last; at least the end."""
    cut = panel.stop[0] - stride * np.arange(count)[::-1]
    return np.asarray(cut[(cut - panel.first[0] >= context) | (cut == panel.stop[0])])


def windows_at(predictor: Predictor, panel: Panel, cut: Ints) -> Batch:
    """What the leading member sees of one series before these positions (W,), in its units."""
    same = np.zeros(len(cut), dtype=np.int64)
    return predictor.leader.batch(panel, Windows(panel.first[same], cut, same))


def _stride(panel: Panel, plan: Plan, count: int) -> int:
    """Steps between windows that together span some seasons and horizons; it shares no factor with the season."""
    room = int(panel.lengths[0]) - plan.context
    stride = max(1, min(room, max(4 * max(plan.seasons), 8 * plan.horizon)) // count)
    while stride > 1 and math.gcd(stride, plan.season) > 1:
        stride -= 1
    return stride


def _local_mean(z: Floats, width: int) -> Floats:
    """(W, L) mean of the `width` points around each one, shifted inwards at the ends; 0 where none is known."""
    there = (~np.isnan(z)).astype(np.float64)
    sums, counts = (np.pad(np.cumsum(v, axis=1), ((0, 0), (1, 0))) for v in (np.nan_to_num(z), there))
    begin = np.clip(np.arange(z.shape[1]) - width // 2, 0, z.shape[1] - width)
    count = counts[:, begin + width] - counts[:, begin]
    return np.asarray((sums[:, begin + width] - sums[:, begin]) / np.maximum(count, 1))
