"""Spikes: a lone value absurdly far from all around it, such as 23,944 kWh among quarter hours of 0.1 kWh.

A spike lies more than 1,000 median absolute deviations from the median of its neighbourhood, and ten times as far as
any other value there. The values beside it do not: what stays far away is a new level. Where half the values are one,
as in an intermittent series, nothing is absurd. What comes again and again, as pay days do, belongs to the series, and
so does a zero."""

# N values  S series  B blocks

from __future__ import annotations

import numpy as np

from forecast.reading.rows import pieces
from forecast.series.arrays import Bools, Floats, Ints

FAR = 1_000.0                       # median deviations: no spike of a sane series
GAP = 10.0                          # times as far as the others of its neighbourhood
AROUND = 1_000                      # values in a neighbourhood, about
FEW = 8                             # values that tell nothing
SHARE = 200                         # one in so many may be a spike, and always two


def find_spikes(y: Floats, first: Ints, stop: Ints) -> Ints:
    """Positions in y (N,) of the lone absurd values of series that stand one behind the other; NaN is missing."""
    heads, tails = _blocks(first[stop > first], stop[stop > first])
    spikes = [np.empty(0, dtype=np.int64)]
    for at, to in pieces(heads, tails):
        odd = at + np.flatnonzero(_may_hold(y[heads[at]:tails[to - 1]], heads[at:to] - heads[at]))
        spikes += [heads[b] + _in_block(y[heads[b]:tails[b]]) for b in odd]
    return np.concatenate(spikes)


def _blocks(first: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Each series in even parts of about AROUND values: where they begin and end (B,)."""
    parts = np.maximum(1, (stop - first) // AROUND)
    which = np.repeat(np.arange(first.size), parts)
    number = np.arange(which.size) - np.repeat(np.cumsum(parts) - parts, parts)
    size, parts = (stop - first)[which], parts[which]
    return first[which] + size * number // parts, first[which] + size * (number + 1) // parts


def _may_hold(y: Floats, heads: Ints) -> Bools:
    """Whether each block (B,) may hold a spike: so few of its values lie far from the mean that they may be ten times
    as far from the median as all others. True for all in which a close look could find one, and for few others."""
    known = ~np.isnan(y)
    count, lengths = np.add.reduceat(known, heads, dtype=np.int64), np.diff([*heads, y.size])
    low, high = np.fmin.reduceat(y, heads), np.fmax.reduceat(y, heads)
    with np.errstate(all="ignore"):
        scaled = np.where(known, (y - np.repeat(low, lengths)) / np.repeat(high - low, lengths), 0.0)   # 0 .. 1
        mean = np.add.reduceat(scaled, heads) / count
        most = np.maximum(2, count // SHARE)
        share = most / count                                        # the mean is off by this and 1 / GAP at most
        nearest = np.maximum(mean, 1 - mean) * (share + 2 / GAP) / (1 - share - 1 / GAP)
        out = known & (np.abs(scaled - np.repeat(mean, lengths)) > np.repeat(nearest, lengths))
        odd: Bools = (count >= FEW) & (np.add.reduceat(out, heads, dtype=np.int64) <= most)
        odd &= 2 * np.add.reduceat(y == np.repeat(low, lengths), heads, dtype=np.int64) <= count
    return odd


def _in_block(y: Floats) -> Ints:
    known = np.flatnonzero(~np.isnan(y))
    away = np.abs(y[known] - np.median(y[known]))
    most = max(2, known.size // SHARE)
    rank = np.sort(np.partition(away, known.size - most - 1)[known.size - most - 1:])[::-1]     # the farthest, most + 1
    spread = np.median(away) if rank[0] >= GAP * rank[-1] else 0.0
    if spread == 0 or rank[0] <= FAR * spread:
        return known[:0]
    beside = np.zeros(y.size + 2, dtype=bool)
    beside[known[away > FAR * spread] + 1] = True
    lone = (away > FAR * spread) & ~beside[known] & ~beside[known + 2] & (y[known] != 0)
    for count in range(min(most, int(lone.sum())), 0, -1):
        spikes = away >= rank[count - 1]
        if rank[count - 1] >= GAP * rank[count] and lone[spikes].all():
            at: Ints = known[spikes]
            return at
    return known[:0]
