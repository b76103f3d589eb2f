"""Regular: rows of (series, stamp, value) become gapless series on one calendar, every repair counted.

Refused are rows whose order, repetition or step says that the clock or the file is wrong. Cells are done with here."""

# N rows  S series

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.calendar import DAY, HOUR, MINUTE, SECOND, Calendar
from forecast.config import DataConfig
from forecast.display import counted, listed, quoted
from forecast.errors import DataError, Problem
from forecast.reading.zones import changes_clock

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_GROWTH = 50                     # grid points per row, at most, when nothing else bounds the gaps
MAX_TOLD = 10_000_000               # more of them, where --max-gap allows the gaps
FIRST_LOOK = 500_000                # rows that usually tell the step
LISTED = 20_000                     # problems of a kind told one by one
SHUFFLED = 0.3                      # share of backward steps from which rows are taken to be in no order at all


@dataclass(frozen=True)
class Repair:
    """Something mended: how often, in words, by which flag it may be changed, and where it stands."""

    kind: str
    count: int
    message: str
    flag: str | None = None
    examples: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Checked rows. codes (N,) count series in the order of the file, ids (S,) names them."""

    codes: Ints
    stamps: Ints
    values: Floats
    ids: NDArray[np.object_]
    is_time: bool
    utc: bool
    line: Callable[[int], int]      # physical line of a row
    text: Callable[[int], str]      # its time stamp as the file writes it
    file: str
    time: str                       # header of the time column
    target: str

    def take(self, order: Ints | Bools) -> Rows:
        where = np.arange(self.codes.size)[order]
        line, text = self.line, self.text
        return Rows(self.codes[order], self.stamps[order], self.values[order], self.ids, self.is_time, self.utc,
                    lambda row: line(int(where[row])), lambda row: text(int(where[row])), self.file, self.time,
                    self.target)

    @property
    def times(self) -> NDArray[np.generic]:
        return self.stamps.view("datetime64[us]") if self.is_time else self.stamps

    @cached_property
    def has_clock(self) -> bool:
        """Stamps within the day, not days."""
        return self.is_time and self.stamps.size > 0 and bool((self.stamps % DAY != self.stamps[0] % DAY).any())

    @cached_property
    def same(self) -> Bools:
        """Whether a row and the one before it are of one series (N - 1,)."""
        same: Bools = self.codes[1:] == self.codes[:-1]
        return same

    def of_series(self, row: int) -> str:
        return f" in {quoted(self.ids[self.codes[row]], 30)}" if len(self.ids) > 1 else ""


@dataclass(frozen=True)
class Regular:
    """y (N',), first and stop (S,), start (S,) on the calendar, and what was repaired."""

    y: Floats
    first: Ints
    stop: Ints
    start: Ints
    calendar: Calendar
    repairs: tuple[Repair, ...] = field(default=())
    filled: Bools | None = None     # (N',) points invented from their neighbours


def make_regular(rows: Rows, options: DataConfig, tz: str | None = None, agreed: Calendar | None = None) -> Regular:
    """Series on the calendar their stamps tell, or on the one agreed. Raises DataError with every row in the way."""
    if not rows.codes.size:
        raise DataError("has no row with data in it", file=rows.file, code="no_rows")
    rows, repairs, problems = _in_order(rows)
    rows, merged, doubled = _without_duplicates(rows, options.duplicates)
    problems = doubled if merged else problems + doubled            # who has duplicates merged means overlaps too
    if rows.codes.size < 2 and options.freq is None and agreed is None:
        raise DataError("has one row of data; at least 2 are needed", file=rows.file, row=rows.line(0),
                        code="too_short")
    calendar = agreed or _calendar(rows, options.freq, tz)
    off = np.flatnonzero(calendar.off_grid(rows.times))
    rows_on = rows.take(_all_but(off, rows.codes.size)) if off.size else rows
    gaps = _gaps(rows_on, calendar)
    if problems and not doubled and not off.size and not gaps.before.size and not _at_midnight(problems):
        problems = []                                               # in order of time, every row has its place
    problems += _beside_grid(rows, off, calendar) if off.size else []
    problems += _changed_step(rows_on, gaps, calendar, options)
    problems += _long_gaps(rows_on, gaps, calendar, options)
    if problems:
        raise DataError(problems[0], more=[*problems[1:], *_gap_problems(rows_on, gaps, calendar)])
    laid = _laid_out(rows_on, calendar)
    return _filled(rows_on, laid, gaps, calendar, options, (*repairs, *merged))


def _calendar(rows: Rows, freq: str | None, tz: str | None) -> Calendar:
    """The grid of the first rows if all stand on it, else the one most rows stand on."""
    groups = rows.codes if len(rows.ids) > 1 else None
    if rows.codes.size > 2 * FIRST_LOOK and rows.codes[0] == rows.codes[1]:
        first = Calendar.propose(rows.times[:FIRST_LOOK], None if groups is None else groups[:FIRST_LOOK], freq=freq,
                                 tz=tz)
        if not first.off_grid(rows.times).any():
            return first
    return Calendar.propose(rows.times, groups, freq=freq, tz=tz)


def _in_order(rows: Rows) -> tuple[Rows, list[Repair], list[Problem]]:
    """Rows by series and stamp. A few rows that step back mean a wrong clock; all of them, another order."""
    if (np.diff(rows.codes) < 0).any():
        rows = rows.take(np.argsort(rows.codes, kind="stable"))
    steps, same = np.diff(rows.stamps), rows.same
    back = np.flatnonzero((steps < 0) & same)
    if not back.size:
        return rows, [], []
    ordered = rows.take(np.lexsort((rows.stamps, rows.codes)))
    moving = int(((steps != 0) & same).sum())
    if back.size == moving:
        newest = Repair("order", back.size, "rows stand newest first -> put in order of time")
        return ordered, [newest], []
    midnight = rows.has_clock and back.size > 3 and bool((rows.stamps[back + 1] % DAY == 0).all())
    faults = [] if back.size >= SHUFFLED * moving and not midnight else _clock_faults(rows, back, midnight=midnight)
    message = f"{counted(back.size, 'row')} out of order -> put in order of time"
    return ordered, [Repair("order", back.size, message)], faults


def _at_midnight(problems: Sequence[Problem]) -> bool:
    return any(p.code == "late_midnight" for p in problems)


def _clock_faults(rows: Rows, back: Ints, *, midnight: bool) -> list[Problem]:
    """Steps back into a stretch of time that was passed already. Whole blocks in another order are no fault."""
    edges = np.flatnonzero(~rows.same | (np.diff(rows.stamps) < 0)) + 1
    first, last = np.concatenate([[0], edges]), np.concatenate([edges, [rows.codes.size]]) - 1
    order = np.lexsort((rows.stamps[first], rows.codes[first]))
    first, last = first[order], last[order]
    overlaps = (rows.stamps[last[:-1]] >= rows.stamps[first[1:]]) & (rows.codes[last[:-1]] == rows.codes[first[1:]])
    if not overlaps.any():
        return []
    total, back = back.size, back[:LISTED]
    pattern = "; midnight seems to be dated a day early" if midnight else ""
    hint = "Mend the stamps, or sort the rows if they are right"
    code = "late_midnight" if midnight else "backward_step"
    return _listed([Problem(code, f"the clock steps back from {rows.text(int(r))} to {rows.text(int(r) + 1)}"
                            f"{rows.of_series(int(r))}{pattern}", rows.file, rows.line(int(r) + 1), rows.time,
                            rows.text(int(r) + 1), hint) for r in back], total)


def _listed(problems: list[Problem], total: int) -> list[Problem]:
    """The problems; of very many, the first and how many more there are."""
    rest = total - len(problems)
    return [*problems, Problem("more", f"{rest:,} more of them", problems[0].file)] if rest else problems


def _without_duplicates(rows: Rows, rule: str) -> tuple[Rows, list[Repair], list[Problem]]:
    again = np.flatnonzero((np.diff(rows.stamps) == 0) & rows.same) + 1
    if not again.size:
        return rows, [], []
    if rule == "refuse":
        return rows.take(_all_but(again, rows.codes.size)), [], _listed(_duplicates(rows, again[:LISTED]), again.size)
    heads = _all_but(again, rows.codes.size)
    group = np.cumsum(heads) - 1
    if rule == "last":
        kept = np.concatenate([np.flatnonzero(heads)[1:], [rows.codes.size]]) - 1
        values = rows.values[kept]
    else:
        known = ~np.isnan(rows.values)
        sums = np.bincount(group, np.where(known, rows.values, 0.0))
        counts = np.bincount(group, known)
        values = np.where(counts > 0, sums, np.nan) / (np.maximum(counts, 1) if rule == "mean" else 1)
    merged = rows.take(heads)
    examples = tuple(_duplicates(rows, again[:100]))
    said = Repair("duplicates", again.size, f"{counted(again.size, 'row')} repeating a stamp -> {rule}",
                  "--duplicates", examples)
    return Rows(merged.codes, merged.stamps, values, merged.ids, merged.is_time, merged.utc, merged.line, merged.text,
                merged.file, merged.time, merged.target), [said], []


def _all_but(rows: Ints, size: int) -> Bools:
    keep = np.ones(size, dtype=bool)
    keep[rows] = False
    return keep


def _duplicates(rows: Rows, again: Ints) -> list[Problem]:
    """One problem for each row that repeats the stamp of the row before it."""
    apart = (np.diff(again) != 1) | (np.diff(rows.stamps[again]) != 0) | (np.diff(rows.codes[again]) != 0)
    runs = np.concatenate([[0], np.flatnonzero(apart) + 1])
    lengths = np.diff([*runs, again.size])
    first, times = np.repeat(again[runs] - 1, lengths), np.repeat(lengths + 1, lengths)
    return [_duplicate(rows, row, start, number)
            for row, start, number in zip(again.tolist(), first.tolist(), times.tolist(), strict=True)]


def _duplicate(rows: Rows, row: int, first: int, times: int) -> Problem:
    shown = rows.text(row)
    number = "twice" if times == 2 else f"{times} times"
    cause, hint = "", "Try --duplicates last, mean or sum"
    if rows.has_clock and not rows.utc and rows.stamps[row] % DAY // HOUR in range(5):
        day = np.datetime64(int(rows.stamps[row]), "us").astype("datetime64[D]").item()
        if changes_clock(day):
            hint = "Try --tz with the zone's name, or --duplicates mean" if times == 2 else "Try --duplicates mean"
            cause = f"; looks like a DST change ({day})"
    return Problem("duplicate_time", f"{quoted(shown)} stands {number}{rows.of_series(row)}, first on line "
                   f"{rows.line(first)}{cause}", rows.file, rows.line(row), rows.time, shown, hint)


def _beside_grid(rows: Rows, off: Ints, calendar: Calendar) -> list[Problem]:
    share = off.size / rows.codes.size
    hint = "Give the step with --freq, or bring the stamps to even steps"
    if rows.utc and calendar.every >= DAY // 2:
        hint = "Try --tz with the zone's name: the UTC offset changes"
    if share > 0.2 and off.size > 2:
        row = int(off[0])
        return [Problem("irregular", f"the stamps have no even step: {rows.text(row)}{rows.of_series(row)} and "
                        f"{off.size - 1:,} more stand beside the most likely one ({calendar.freq})", rows.file,
                        rows.line(row), rows.time, rows.text(row), hint)]
    return [Problem("off_grid", f"{quoted(rows.text(int(r)))} stands beside the step of the others ({calendar.freq})"
                    f"{rows.of_series(int(r))}", rows.file, rows.line(int(r)), rows.time, rows.text(int(r)), hint)
            for r in off[:LISTED]]


@dataclass(frozen=True)
class _Gaps:
    """before (G,) rows after which steps are missing, and how many."""

    before: Ints
    missing: Ints


def _gaps(rows: Rows, calendar: Calendar) -> _Gaps:
    steps = np.diff(calendar.nearest(rows.times))
    before = np.flatnonzero((steps > 1) & rows.same)
    return _Gaps(before, steps[before] - 1)


def _gap_problems(rows: Rows, gaps: _Gaps, calendar: Calendar, limit: int = 10_000) -> list[Problem]:
    return [Problem("gap", f"{_number_of(int(n), calendar)} missing after {rows.text(int(r))}{rows.of_series(int(r))}",
                    rows.file, rows.line(int(r) + 1), rows.time, None, _gap_hint(rows, int(r), int(n), calendar))
            for r, n in zip(gaps.before[:limit], gaps.missing[:limit], strict=True)]


def _gap_hint(rows: Rows, row: int, missing: int, calendar: Calendar) -> str:
    """An hour missing at night on the day of a clock change never was."""
    if rows.has_clock and calendar.kind == "fixed" and not rows.utc and missing * calendar.every in (HOUR, HOUR // 2):
        day = np.datetime64(int(rows.stamps[row + 1]), "us").astype("datetime64[D]").item()
        if rows.stamps[row + 1] % DAY <= 4 * HOUR and changes_clock(day):
            return f"Looks like a DST change ({day}); --tz reads local time"
    return "--fill says how they are filled"


def _number_of(number: int, calendar: Calendar) -> str:
    unit = calendar.unit
    return f"1 {unit.removesuffix('s')}" if number == 1 else f"{number:,} {unit}"


def _changed_step(rows: Rows, gaps: _Gaps, calendar: Calendar, options: DataConfig) -> list[Problem]:
    """A long run of equal larger steps is another frequency, not so many gaps."""
    if not gaps.before.size or options.fill in ("zero", "mask") or options.max_gap is not None:
        return []
    breaks = np.flatnonzero((np.diff(gaps.before) != 1) | (np.diff(gaps.missing) != 0)) + 1
    first, stop = np.concatenate([[0], breaks]), np.concatenate([breaks, [gaps.before.size]])
    counts = np.bincount(rows.codes, minlength=len(rows.ids))
    needed = np.maximum(6, counts[rows.codes[gaps.before[first]]] / 20)
    found = []
    for run in np.flatnonzero(stop - first >= needed):
        row, steps = int(gaps.before[first[run]]), int(gaps.missing[first[run]]) + 1
        step = _span(steps * calendar.every, calendar)
        found.append(Problem("step_changes", f"the step changes to {step} after {rows.text(row)}"
                             f"{rows.of_series(row)}; elsewhere it is {calendar.freq}", rows.file, rows.line(row + 1),
                             rows.time, None, "Bring all rows to one step, or --fill zero where no row means none"))
    return found


def _span(size: int, calendar: Calendar) -> str:
    if calendar.kind != "fixed":
        return f"{size} {calendar.unit}"
    unit, name = next((u, n) for u, n in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "us"))
                      if size % u == 0)
    return f"{size // unit} {name}"


def _long_gaps(rows: Rows, gaps: _Gaps, calendar: Calendar, options: DataConfig) -> list[Problem]:
    """Gaps beyond --max-gap and absurd grids; without --max-gap, series that would be more than half invented."""
    if options.max_gap is not None:
        long = gaps.missing > options.max_gap
        beyond = [Problem("long_gap", f"{_number_of(int(n), calendar)} missing after {rows.text(int(r))}"
                          f"{rows.of_series(int(r))}; --max-gap allows {options.max_gap}", rows.file,
                          rows.line(int(r) + 1), rows.time, None, "Fill it in the file, or raise --max-gap")
                  for r, n in zip(gaps.before[long][:LISTED], gaps.missing[long], strict=False)]
        if beyond:
            return _listed(beyond, int(long.sum()))
    total = int(gaps.missing.sum()) + rows.codes.size
    if total > MAX_GROWTH * rows.codes.size + (1000 if options.max_gap is None else MAX_TOLD):
        worst = int(gaps.before[np.argmax(gaps.missing)])
        return [Problem("mostly_gaps", f"{_number_of(int(gaps.missing.max()), calendar)} missing after "
                        f"{rows.text(worst)}{rows.of_series(worst)}", rows.file, rows.line(worst + 1), rows.time, None,
                        "Mend the stamp if it is wrong, or give a larger step with --freq")]
    if options.fill in ("zero", "mask") or options.max_gap is not None:
        return []
    missing = np.bincount(rows.codes[gaps.before], gaps.missing, len(rows.ids))
    present = np.bincount(rows.codes, minlength=len(rows.ids))
    hollow = np.flatnonzero((missing > present) & (present > 1))
    if not hollow.size:
        return []
    row = int(gaps.before[np.argmax(np.where(np.isin(rows.codes[gaps.before], hollow), gaps.missing, 0))])
    series = int(rows.codes[row])
    return [Problem("mostly_gaps", f"{_number_of(int(missing[series]), calendar)} are missing beside "
                    f"{int(present[series]):,} present{rows.of_series(row)}, the longest gap after {rows.text(row)}",
                    rows.file, rows.line(row + 1), rows.time, None,
                    "--fill zero if no row means none, --fill mask to leave them unknown, or --max-gap N")]


@dataclass(frozen=True)
class _Laid:
    at: Ints                        # position of each row in y
    y: Floats
    first: Ints
    stop: Ints
    start: Ints


def _laid_out(rows: Rows, calendar: Calendar) -> _Laid:
    """Values at their ordinals, NaN between."""
    ordinals = calendar.nearest(rows.times)
    size = len(rows.ids)
    edges = np.flatnonzero(~rows.same) + 1
    heads, tails = np.concatenate([[0], edges]), np.concatenate([edges, [rows.codes.size]]) - 1
    start, lengths = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    start[rows.codes[heads]] = ordinals[heads]
    lengths[rows.codes[heads]] = ordinals[tails] - ordinals[heads] + 1
    stop = np.cumsum(lengths)
    first = stop - lengths
    total = int(stop[-1]) if size else 0
    if total == rows.codes.size:
        return _Laid(np.arange(total), rows.values, first, stop, start)
    at = first[rows.codes] + ordinals - start[rows.codes]
    y = np.full(total, np.nan)
    y[at] = rows.values
    return _Laid(at, y, first, stop, start)


def _filled(rows: Rows, laid: _Laid, gaps: _Gaps, calendar: Calendar, options: DataConfig,
            repairs: tuple[Repair, ...]) -> Regular:
    """Edges without a value cut off, holes inside filled by the rule."""
    found = list(repairs)
    if gaps.before.size:
        number, series = int(gaps.missing.sum()), len(np.unique(rows.codes[gaps.before]))
        where = f" in {series:,} series" if len(rows.ids) > 1 else ""
        longest = f", the longest {int(gaps.missing.max()):,}" if gaps.before.size > 1 else ""
        found.append(Repair("gaps", number, f"{_missing(number, calendar)}{where}{longest} -> {options.fill}", "--fill",
                            tuple(_gap_problems(rows, gaps, calendar, 100))))
    unknown = np.isnan(laid.y)
    if not unknown.any():
        return Regular(laid.y, laid.first, laid.stop, laid.start, calendar, tuple(found))
    first, stop, start, said = _trimmed(rows, laid, unknown)
    found += said
    inside = _between(first, stop, laid.y.size)
    holes = unknown & inside
    cells = np.flatnonzero(np.isnan(rows.values) & inside[laid.at])
    if cells.size:
        found.append(Repair("missing", cells.size, f"{counted(cells.size, 'missing value')} -> {options.fill}",
                            "--fill", tuple(_missing_value(rows, int(r)) for r in cells[:100])))
    filled = _fill(laid.y, holes, inside, options.fill)
    invented = holes[inside] if options.fill in ("linear", "ffill") and holes.any() else None
    if inside.all():
        return Regular(filled, first, stop, start, calendar, tuple(found), invented)
    ends = np.cumsum(stop - first)
    return Regular(filled[inside], ends - (stop - first), ends, start, calendar, tuple(found), invented)


def _missing_value(rows: Rows, row: int) -> Problem:
    return Problem("missing_value", f"no value at {rows.text(row)}{rows.of_series(row)}", rows.file, rows.line(row),
                   rows.target)


def _missing(number: int, calendar: Calendar) -> str:
    return f"{number:,} missing {calendar.unit.removesuffix('s') if number == 1 else calendar.unit}"


def _between(first: Ints, stop: Ints, size: int) -> Bools:
    change = np.zeros(size + 1, dtype=np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, stop, -1)
    inside: Bools = np.cumsum(change[:-1]) > 0
    return inside


def _trimmed(rows: Rows, laid: _Laid, unknown: Bools) -> tuple[Ints, Ints, Ints, list[Repair]]:
    """Each series from its first known value to its last; all that is unknown at the edges is cut and said."""
    known = np.flatnonzero(~unknown)
    low, high = np.searchsorted(known, laid.first), np.searchsorted(known, laid.stop)
    some = high > low
    if not some.any():
        raise DataError(f"column {quoted(rows.target)} holds no value at all", file=rows.file, code="all_missing")
    first = np.where(some, known[np.minimum(low, known.size - 1)], laid.stop)
    stop = np.where(some, known[np.maximum(high, 1) - 1] + 1, laid.stop)
    start = laid.start + first - laid.first
    said = []
    cut = int((first - laid.first + laid.stop - stop)[some].sum())
    if cut:
        said.append(Repair("edges", cut, f"{counted(cut, 'row')} without a value at the beginning or end of a series "
                           "-> left out"))
    if not some.all():
        names = listed(list(rows.ids[~some]), 5)
        said.append(Repair("all_missing", int((~some).sum()), f"{int((~some).sum()):,} series without any value: "
                           f"{names}"))
    return first, stop, start, said


def _fill(y: Floats, holes: Bools, inside: Bools, rule: str) -> Floats:
    if rule == "mask" or not holes.any():
        return y
    filled = y.copy()
    if rule == "zero":
        filled[holes] = 0.0
        return filled
    at, known = np.flatnonzero(holes), np.flatnonzero(inside & ~holes)
    if rule == "ffill":
        filled[at] = y[known[np.searchsorted(known, at) - 1]]
    else:
        filled[at] = np.interp(at, known, y[known])
    return filled


def describe_constant(y: Floats, first: Ints, stop: Ints, ids: Sequence[str]) -> str:
    """Which series never change, in words; empty where all do."""
    lengths = stop - first
    some = np.flatnonzero(lengths > 1)
    if not some.size:
        return ""
    change = np.concatenate([[0], np.cumsum(np.diff(y) != 0)]) if y.size else np.zeros(1)
    flat = some[change[stop[some] - 1] == change[first[some]]]
    return f"constant: {listed([ids[k] for k in flat], 5)}" if flat.size else ""
