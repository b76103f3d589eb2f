"""Panel: all series end to end in one flat array, and what may be asked of them; and Windows, positions in it.

A Panel is a list of slices of one array. Shortening every series, or cutting one series at many points, makes new
slices and copies no value; what lies behind a slice's end is out of reach of whoever is handed the Panel.
Nobody else makes a Panel of another one's fields: how they hang together is known here alone."""

# S series  N values  W windows  H horizon

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.series.arrays import Floats, Ints, any_of
from forecast.series.calendar import Calendar
from forecast.series.covariates import Covariates


@dataclass(frozen=True)
class Windows:
    """Where windows lie: window w looks back from `cut[w]`, not further than `first[w]`.

    first, cut (W,) positions in the panel's y: context is y[cut-L:cut], target y[cut:cut+H] · series (W,), by position
    in the panel. `first` equals panel.first[series]: it is kept, so that a context needs no more than y to be cut."""

    first: Ints
    cut: Ints
    series: Ints

    def __len__(self) -> int:
        return len(self.cut)

    def take(self, which: Ints) -> Windows:
        return Windows(self.first[which], self.cut[which], self.series[which])


@dataclass(frozen=True)
class Panel:
    """Regular series on one calendar. Series s is `y[first[s]:stop[s]]`; a missing value is NaN.

    y (N,) float64 in original units · first, stop (S,) positions in y · start (S,) the calendar's ordinal of
    `y[first]` · ids (S,) object array of str, in the order of the file, byte for byte as written there ·
    filled (N,) bool: points invented from their neighbours on both sides. They carry a context over a hole; they are no
    truth to learn or to score, and a cut among them would let the future in ·
    beside, row (S,): the covariates of the file, and whose of its series they are."""

    y: Floats
    first: Ints
    stop: Ints
    start: Ints
    ids: NDArray[np.object_]
    calendar: Calendar
    filled: NDArray[np.bool_] | None = None
    beside: Covariates | None = None
    row: Ints | None = None

    @classmethod
    def of(cls, series: Sequence[Sequence[float] | Floats], calendar: Calendar, *, ids: Sequence[str] | None = None,
           start: int | Sequence[int] = 0) -> Panel:
        """A Panel from plain lists, for tests and for callers who have arrays already."""
        arrays = [np.asarray(s, dtype=np.float64) for s in series]
        sizes = np.array([len(a) for a in arrays], dtype=np.int64)
        stop = np.cumsum(sizes)
        names = [str(i) for i in range(len(arrays))] if ids is None else list(ids)
        return cls(y=np.concatenate(arrays) if arrays else np.empty(0), first=stop - sizes,
                   stop=stop, start=np.broadcast_to(np.asarray(start, dtype=np.int64), stop.shape).copy(),
                   ids=np.array(names, dtype=object), calendar=calendar)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Ints:
        """Points per series (S,)."""
        return self.stop - self.first

    @property
    def end(self) -> Ints:
        """Ordinal just behind the last point (S,): where a forecast begins."""
        return self.start + self.lengths

    def with_values(self) -> tuple[Panel, list[str]]:
        """The series that have a value at all, and the ids of those that have none."""
        some = any_of(np.isfinite(self.y), self.first, self.stop)
        return self.take(np.flatnonzero(some)), [str(i) for i in self.ids[~some]]

    def points(self) -> tuple[Ints, Ints]:
        """Every point of every series, series by series: (series (M,), position in y (M,))."""
        return ranges(self.first, self.lengths)

    @cached_property
    def truth(self) -> Floats:
        """y (N,) with NaN where a point was filled in."""
        return self.y if self.filled is None else np.where(self.filled, np.nan, self.y)

    def truth_at(self, series: Ints, ordinal: Ints) -> Floats:
        """The truth (N, H) of these series (N,) at these ordinals (N, H); NaN where there is none."""
        at = self.first[series, None] + ordinal - self.start[series, None]
        inside = (at >= self.first[series, None]) & (at < self.stop[series, None])
        if not len(self.y):
            return np.full(ordinal.shape, np.nan)
        return np.where(inside, self.truth[np.where(inside, at, 0)], np.nan)

    @property
    def ends_in_a_hole(self) -> NDArray[np.bool_]:
        """Whether the last point of each series was filled in (S,): its panel was cut inside a gap."""
        if self.filled is None or not len(self.y):
            return np.zeros(len(self), dtype=bool)
        return self.filled[self.stop - 1] & (self.lengths > 0)

    @property
    def is_positive(self) -> bool:
        """Whether every known value is above 0; what lies behind the panel's end in its array is not looked at."""
        others = np.flatnonzero(self.y <= 0)
        return not bool(np.any(np.searchsorted(others, self.stop) > np.searchsorted(others, self.first)))

    def values(self, s: int) -> Floats:
        """The points of series s."""
        return self.y[self.first[s]:self.stop[s]]

    def aligned(self) -> Floats:
        """All series as columns, ending together, NaN before they begin: (longest, S)."""
        longest = int(self.lengths.max(initial=0))
        at = self.stop[None, :] - longest + np.arange(longest)[:, None]
        inside = at >= self.first[None, :]
        return np.where(inside, self.y[np.where(inside, at, 0)], np.nan)

    def times(self, s: int) -> NDArray[np.generic]:
        """Time stamps of series s: datetime64[us], or integers."""
        return self.calendar.times(np.arange(self.start[s], self.end[s]))

    @property
    def newest(self) -> Ints:
        """Ordinal just behind "now" for each series (S,): the newest time stamp of the panel, so that what is cut off
        for one series is cut off for all; on an integer calendar, where time is only a count, each series' own end."""
        return self.end + self.behind if self.calendar.is_time else self.end

    @property
    def behind(self) -> Ints:
        """How many steps before the newest end of all each series ends, (S,)."""
        begun = self.lengths > 0                                        # one that begins later says nothing of now
        ends = self.end[begun] if begun.any() else self.end
        return np.asarray(ends.max() - self.end if len(self) else self.end)

    def trimmed(self) -> Panel:
        """The same series over no more of the array than they span: what is done to the whole array is then done to
        them alone. No value is copied."""
        if not len(self) or not len(self.y):
            return self
        low, high = int(self.first.min()), int(self.stop.max())
        filled = None if self.filled is None else self.filled[low:high]
        return replace(self, y=self.y[low:high], first=self.first - low, stop=self.stop - low, filled=filled)

    def before(self, ordinal: int | Ints) -> Panel:
        """What was known before `ordinal` on the calendar (one for all, or one a series)."""
        return replace(self, stop=self.first + np.clip(ordinal - self.start, 0, self.lengths))

    def drop_last(self, steps: int) -> Panel:
        """The panel as it stood `steps` steps ago."""
        return self.before(self.newest - steps)

    def last(self, steps: int) -> Panel:
        """What came in the newest `steps` steps."""
        first = self.drop_last(steps).stop
        return replace(self, first=first, start=self.start + first - self.first)

    def recent(self, points: int) -> Panel:
        """The newest `points` points of each series, or all that it has."""
        first = np.maximum(self.first, self.stop - points)
        return replace(self, first=first, start=self.start + first - self.first)

    def take(self, which: NDArray[np.generic] | Sequence[int]) -> Panel:
        """The series at these positions (or under this mask), in this order."""
        index = np.asarray(which)
        return replace(self, first=self.first[index], stop=self.stop[index], start=self.start[index],
                       ids=self.ids[index], row=None if self.row is None else self.row[index])

    def rolled(self, steps_back: Sequence[int]) -> Panel:
        """The panel as it stood at several points: `len(steps_back)` shortened panels, one after the other.

        No value is copied; row k * S + s is series s as it stood `steps_back[k]` steps ago."""
        cuts = [self.drop_last(k) for k in steps_back]
        return replace(self, first=np.concatenate([c.first for c in cuts]), stop=np.concatenate([c.stop for c in cuts]),
                       start=np.concatenate([c.start for c in cuts]), ids=np.concatenate([c.ids for c in cuts]),
                       row=None if self.row is None else np.tile(self.row, len(cuts)))

    def summed(self, groups: NDArray[np.bool_]) -> Panel:
        """What the series of each group (U, S) add up to, over the time that all of these have in common; they end
        together. A sum of which a part was filled in counts as filled in."""
        inside = groups.any(axis=0)
        size = int(self.lengths[inside].min()) if inside.any() else 0
        at = self.stop[:, None] - size + np.arange(size)
        sums = Panel.of([self.y[at[group]].sum(axis=0) for group in groups], self.calendar,
                        ids=[f"group {k + 1}" for k in range(len(groups))], start=int(self.end[inside].max()) - size)
        filled = None if self.filled is None else np.concatenate([self.filled[at[group]].any(axis=0)
                                                                  for group in groups])
        return replace(sums, filled=filled)

    def at(self, windows: Windows) -> Panel:
        """A row for each window: its series as it stood at the cut. No value is copied."""
        return replace(self.take(windows.series), first=windows.first, stop=windows.cut)

    def cuts(self, windows: Windows) -> Ints:
        """The ordinals (W,) at which these windows are cut."""
        return np.asarray(self.start[windows.series] + windows.cut - self.first[windows.series])

    def ended_on_truth(self) -> Panel:
        """Each series up to its last value that was measured: what was filled in behind it knew the future."""
        stop = self.stop.copy()
        for s in np.flatnonzero(self.lengths > 0):
            known = np.flatnonzero(~np.isnan(self.truth[self.first[s]:self.stop[s]]))
            stop[s] = self.first[s] + (known[-1] + 1 if known.size else 0)
        return replace(self, stop=stop)

    def as_truth(self) -> Panel:
        """The panel without what was filled in: NaN there."""
        return replace(self, y=self.truth, filled=None)

    def mapped(self, function: Callable[[Floats], Floats]) -> Panel:
        """Every value through a function, which leaves each in its place."""
        return replace(self, y=function(self.y))

    def replaced(self, values: Mapping[int, Floats]) -> Panel:
        """Some series (by position) with other values, as many as they had."""
        if not values:
            return self
        sizes = np.array([len(v) for v in values.values()], dtype=np.int64)
        which, begin = np.array(list(values)), len(self.y) + np.cumsum(sizes) - sizes
        first, stop, filled = self.first.copy(), self.stop.copy(), self.filled
        if filled is not None:
            marks = [filled[self.first[s]:self.stop[s]] for s in values]
            filled = np.concatenate([filled, *marks])
        first[which], stop[which] = begin, begin + sizes
        return replace(self, y=np.concatenate([self.y, *values.values()]), first=first, stop=stop, filled=filled)

    def extended(self, following: Floats) -> Panel:
        """Each series with `following` (S, H) put behind it; what is beside it stays."""
        longer = Panel.of([np.concatenate([self.values(s), following[s]]) for s in range(len(self))], self.calendar,
                          ids=list(self.ids), start=self.start.tolist())
        return replace(longer, beside=self.beside, row=self.row)

    def foreseen(self, horizon: int) -> Panel:
        """With no more beside it than is known at the ends of the series when so many steps are forecast: it may be
        extended then."""
        if self.beside is None or self.row is None:
            return self
        return replace(self, beside=self.beside.as_known(self.row, self.end, horizon), row=np.arange(len(self)))

    def fingerprint(self, horizon: int = 0) -> str:
        """SHA-256 of the series as they are known: ids, first times, values, and of their covariates what is known at
        the cut, up to `horizon` steps ahead. Blank lines or another order of the rows in the file do not change it, and
        what stands behind the cut does not either."""
        digest = hashlib.sha256(json.dumps([str(i) for i in self.ids]).encode())
        for part in (self.start, self.lengths):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        for s in range(len(self)):
            values = self.values(s)
            digest.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
        if self.beside is not None and self.row is not None:
            for piece in self.beside.known_at(self.row, self.end, horizon):
                digest.update(piece)
        return digest.hexdigest()


def ranges(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """The numbers first[k], first[k] + 1, ... `count[k]` of them, for each k in turn: (k (M,), number (M,))."""
    which = np.repeat(np.arange(len(count)), count)
    return which, first[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
