"""Adaptation: bands recalibrated from what was really issued, and how often it was missed.

Reads the ledger and the data, changes neither; the factors go into the issue's options, from where a replay takes
them."""

# S series  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, groupby

import numpy as np

from forecast.ledger.issue import Issue, by_weight
from forecast.ledger.ledger import Ledger
from forecast.model.calibration import tracked
from forecast.series.arrays import Floats
from forecast.series.forecast import Forecast, band_quantiles
from forecast.series.panel import Panel

FEWEST = 5                                                              # issues before a factor is set
MOST = 100                                                              # only the newest issues count
OPEN = 20                                                               # issues without a factor that count: all of
                                                                        # them miss alike, so more tell nothing more


@dataclass(frozen=True)
class Track:
    """How the band of one level has held. `missed`: the share of `values` outside, in so many issues."""

    level: float                    # percent
    issues: int
    values: int
    missed: float | None            # None: no values
    factor: float | None            # on both distances from the median; None: too few issues


@dataclass(frozen=True)
class Count:
    """Of one cutoff: how many values have come true, how many of them lay outside the band, and the factor that the
    band bore (None: as trained)."""

    values: int = 0
    missed: int = 0
    factor: float | None = None


def tracks(ledger: Ledger, issue: Issue, known: Panel) -> list[Track]:
    """How each band of `issue` has held in the issues before it, about the same file and subject, whatever the run.

    known: all series of the file as known at the issue's cutoff; values and issues of later cutoffs do not count. A
    series counts once for a cutoff, in the issue that speaks for it (by_weight). Issues of parts of the series
    (--series, --shard) are counted together, so that every part gets the same factors. Raises ModelError for a damaged
    ledger, BusyError, DiskError."""
    counts: dict[float, list[Count]] = {level: [] for level in issue.levels}        # the newest first
    for same_cutoff in _before(ledger, issue):
        wanted = [level for level, past in counts.items() if not _enough(past)]
        if not wanted:
            break
        for level, count in _counted(ledger, same_cutoff, known, wanted).items():
            if count.values:
                counts[level].append(count)
    return [_track(level, past[::-1]) for level, past in counts.items()]


def _before(ledger: Ledger, issue: Issue) -> Iterator[list[Issue]]:
    """The issues of each earlier cutoff, the newest cutoff first; of one cutoff, the issue that speaks for it first."""
    past = [i for i in ledger.issues() if (i.place, i.subject) == (issue.place, issue.subject)
            and i.cutoff < issue.cutoff]
    past = sorted(by_weight(past), key=lambda i: i.cutoff, reverse=True)
    for _, same in groupby(past, key=lambda i: i.cutoff):
        yield list(same)


def _counted(ledger: Ledger, issues: Sequence[Issue], known: Panel, levels: Sequence[float]) -> dict[float, Count]:
    """How each band held in the issues of one cutoff. They come by weight; a series counts in the first."""
    place = {name: s for s, name in enumerate(known.ids)}
    is_counted = {level: np.zeros(len(known), dtype=bool) for level in levels}
    counts = {level: Count() for level in levels}
    for issue in issues:
        for block in ledger.blocks(issue):
            position = np.array([place.get(i, -1) for i in block.ids], dtype=np.int64)
            there = np.flatnonzero(position >= 0)
            series = position[there]
            truth = known.truth_at(series, block.ends[there, None] + np.arange(issue.horizon))      # (S, H)
            for level in (x for x in levels if x in issue.levels):
                low, high = (block.at(q)[there] for q in band_quantiles(level))
                usable = ~np.isnan(truth) & ~is_counted[level][series, None]
                outside = usable & ((truth < low) | (truth > high))
                is_counted[level][series] = True
                before = counts[level]
                counts[level] = Count(before.values + int(usable.sum()), before.missed + int(outside.sum()),
                                      before.factor if before.values else _borne(issue, level))
    return counts


def _borne(issue: Issue, level: float) -> float | None:
    factor = (issue.options.adapt or {}).get(f"{level:g}")
    return None if factor is None else float(factor)


def _enough(counts: Sequence[Count]) -> bool:
    return len(counts) == MOST or sum(c.factor is None for c in counts) == OPEN


def _track(level: float, counts: Sequence[Count]) -> Track:
    """counts: the oldest issue first. The factor of the oldest one that counts stands for all issues before it."""
    if len(counts) == MOST:
        counts = list(dropwhile(lambda c: c.factor is None, counts))
    values = sum(c.values for c in counts)
    missed = sum(c.missed for c in counts) / values if values else None
    if len(counts) < FEWEST:
        return Track(level, len(counts), values, missed, None)
    factor = tracked([c.missed / c.values for c in counts], 1 - level / 100, counts[0].factor or 1.0)
    return Track(level, len(counts), values, missed, round(factor, 6))


def factors_of(held: Sequence[Track]) -> dict[str, float]:
    """By level, as the options of an issue keep them; empty where nothing is to be changed."""
    return {f"{t.level:g}": t.factor for t in held if t.factor is not None}


def adapted(forecast: Forecast, factors: Mapping[str, float]) -> Forecast:
    """The forecast with both ends of each band moved to `factor` times their distance from the median; levels without a
    factor stay.

    A band that would end inside a narrower one is made as wide as that: the quantiles ascend, and the inner band is
    what its factor says."""
    if not factors:
        return forecast
    values, middle = forecast.values.copy(), forecast.quantiles.index(0.5)
    median: Floats = values[:, :, middle]
    for level, factor in factors.items():
        for quantile in band_quantiles(float(level)):
            k = forecast.quantiles.index(quantile)
            values[:, :, k] = median + (values[:, :, k] - median) * factor
    values[:, :, middle:] = np.maximum.accumulate(values[:, :, middle:], axis=2)
    values[:, :, middle::-1] = np.minimum.accumulate(values[:, :, middle::-1], axis=2)
    return replace(forecast, values=values)
