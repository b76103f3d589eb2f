"""Reissue: a past issue made again and held against what was kept, and the difference of two issues taken apart."""

# S series  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import ModelError
from forecast.ledger.issue import Block
from forecast.series.forecast import Forecast
from forecast.series.panel import Panel
from forecast.writing.layouts import rounded

if TYPE_CHECKING:
    from forecast.series.arrays import Floats


Plans = Mapping[str, "tuple[int, Floats]"]     # ids -> (ordinal of the first step, what was known ahead (H, K))


@dataclass(frozen=True)
class BySeries:
    """What was said, by series: ids -> (ordinal of the first step, values (H, Q)); and what was known ahead of each,
    where it was made with covariates."""

    of: dict[str, tuple[int, Floats]]
    plans: Plans = field(default_factory=dict)

    @property
    def ends(self) -> dict[str, int]:
        return {name: end for name, (end, _) in self.of.items()}

    @classmethod
    def kept(cls, blocks: Iterable[Block]) -> BySeries:
        of, plans = dict[str, "tuple[int, Floats]"](), dict[str, "tuple[int, Floats]"]()
        for b in blocks:
            of |= {str(n): (int(end), v) for n, end, v in zip(b.ids, b.ends, b.values, strict=True)}
            if b.ahead is not None:
                plans |= {str(n): (int(end), v) for n, end, v in zip(b.ids, b.ends, b.ahead, strict=True)}
        return cls(of, plans)

    @classmethod
    def made(cls, forecast: Forecast, quantiles: Sequence[float], decimals: int) -> BySeries:
        """A forecast as predict writes it, of these quantiles."""
        chosen = forecast.values[:, :, [forecast.quantiles.index(q) for q in quantiles]]
        values = rounded(chosen.ravel(), decimals).reshape(chosen.shape)
        return cls({str(name): (int(end), values[s])
                    for s, (name, end) in enumerate(zip(forecast.panel.ids, forecast.panel.end, strict=True))})


def cut_at(panel: Panel, ends: Mapping[str, int]) -> Panel:
    """The series named, in that order, each as it was known before its end; one that is not there any more, or has no
    value before, is left out."""
    place = {str(name): s for s, name in enumerate(panel.ids)}
    there = [name for name in ends if name in place]
    cut = panel.take(np.array([place[name] for name in there], dtype=np.int64))
    return cut.before(np.array([ends[name] for name in there], dtype=np.int64)).with_values()[0]


def with_plans(known: Panel, horizon: int, *plans: Plans) -> Panel:
    """The series with what these plans knew of their horizon, the first that tells of a step; else what the file says.

    Raises ModelError where a plan has other columns than the file."""
    if known.beside is None or known.row is None or not any(plans):
        return known
    ahead = known.beside.ahead(known.row, known.end, horizon)
    for s, (name, end) in enumerate(zip(known.ids, known.end.tolist(), strict=True)):
        for first, values in [plan[str(name)] for plan in reversed(plans) if str(name) in plan]:
            if values.shape[1] != ahead.shape[2]:
                raise ModelError(f"the issue knew {values.shape[1]} columns ahead, the file has {ahead.shape[2]}",
                                 code="other_columns", hint="Name the data it was made from with --data")
            at = np.arange(max(end, first), min(end + horizon, first + len(values)))
            ahead[s, at - end] = values[at - first]
    return replace(known, beside=known.beside.with_ahead(known.row, known.end, ahead), row=np.arange(len(known)))


@dataclass(frozen=True)
class Deviation:
    """One number that came out otherwise."""

    series: str
    ordinal: int
    quantile: float
    was: float
    now: float | None               # None: the series cannot be forecast any more from that time


def deviations(kept: BySeries, made: BySeries, quantiles: Sequence[float]) -> list[Deviation]:
    """Every number of `kept` that `made` does not repeat to the last bit, series by series."""
    differing = []
    for name, (end, values) in kept.of.items():
        again = made.of.get(name)
        same = again is not None and again[0] == end and again[1].shape == values.shape
        other = again[1] if again is not None and same else np.full(values.shape, np.nan)
        for h, q in zip(*np.nonzero(other != values), strict=True):
            now = None if np.isnan(other[h, q]) else float(other[h, q])
            differing.append(Deviation(name, end + int(h), quantiles[q], float(values[h, q]), now))
    return differing


PARTS = ("revised", "new_data", "new_plans", "new_model", "since")


@dataclass(frozen=True)
class Step:
    """The change of the median of one series, summed over the time steps that both issues tell of.

    before + revised + new_data + new_plans + new_model + since = now."""

    series: str
    steps: int
    before: float
    now: float
    revised: float                  # the history before the old cutoff reads otherwise
    new_data: float                 # points came after the old cutoff
    new_plans: float                # what is known ahead reads otherwise
    new_model: float                # another run, or other options
    since: float                    # the file was revised after the newer issue


def taken_apart(chain: Sequence[BySeries], median: Sequence[int]) -> list[Step]:
    """Why the newer of two issues says otherwise, series by series.

    chain: the older issue as kept; the old model on today's file cut at the old end; the old model cut at the new
    end, with the old plans; with the new ones; the new model there; the newer issue as kept. median (6,): where the
    median stands in each. Each difference between neighbours is one part, so the parts add up. Series that one of the
    six cannot tell of are left out."""
    steps = []
    for name in chain[0].of:
        if not all(name in link.of for link in chain):
            continue
        first = max(link.of[name][0] for link in chain)
        stop = min(link.of[name][0] + len(link.of[name][1]) for link in chain)
        if stop <= first:
            continue
        sums = [float(values[first - end:stop - end, k].sum())
                for link, k in zip(chain, median, strict=True) for end, values in [link.of[name]]]
        parts = dict(zip(PARTS, np.diff(sums).tolist(), strict=True))
        steps.append(Step(name, stop - first, sums[0], sums[-1], **parts))
    return steps


def total_of(steps: Sequence[Step], name: str = "total") -> Step:
    """All series together."""
    sums = {field: float(sum(getattr(s, field) for s in steps)) for field in ("before", "now", *PARTS)}
    return Step(name, sum(s.steps for s in steps), **sums)
