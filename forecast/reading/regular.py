"""Regular: rows of (series, stamp, value) become gapless series on one calendar, every repair counted.

Refused are rows whose order, repetition or step says that the clock or the file is wrong. Cells are done with here."""

# N rows  S series

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.config import DataConfig
from forecast.errors import DataError, Problem
from forecast.reading.codes import code_problems
from forecast.reading.filling import Regular, laid_out
from forecast.reading.parsing.zones import changes_clock
from forecast.reading.rows import PIECE, Repair, Rows
from forecast.series.arrays import Bools, Ints
from forecast.series.calendar import DAY, HOUR, MINUTE, SECOND, Calendar
from forecast.text import counted, quoted

MAX_GROWTH = 50                     # grid points per row, at most, when nothing else bounds the gaps
MAX_TOLD = 10_000_000               # more of them, where --max-gap allows the gaps
FIRST_LOOK = 500_000                # rows that usually tell the step
LISTED = 20_000                     # problems of a kind listed one by one
FEW_LAST = 4                        # times as many rows must stand before a few last ones
CLOSED = 4                          # missing ones of a day of the week without any row, from which it is told
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NO_ROW = "; no row is on a "
MONDAY = 3                          # day 0 of 1970 was a Thursday
SHUFFLED = 0.3                      # share of backward steps from which rows are taken to be in no order at all


def make_regular(rows: Rows, options: DataConfig, tz: str | None = None, agreed: Calendar | None = None) -> Regular:
    """Series on the calendar their stamps tell, or on the one agreed. Raises DataError with every row in the way."""
    if not rows.codes.size:
        raise DataError("has no row with data in it", file=rows.file, code="no_rows")
    rows, repairs, problems = _in_order(rows)
    codes = code_problems(rows, options.missing or ())
    rows, merged, doubled = _without_duplicates(rows, options.duplicates)
    problems = doubled if merged else problems + doubled            # merging repeated times also settles overlaps
    if rows.codes.size < 2 and options.freq is None and agreed is None:
        raise DataError("has one row of data; at least 2 are needed", file=rows.file, row=rows.line(0),
                        code="too_short")
    calendar, off = (agreed, _beside(agreed, rows)) if agreed else _calendar(rows, options.freq, tz)
    rows_on = rows.take(_all_but(off, rows.codes.size)) if off.size else rows
    gaps = _gaps(rows_on, calendar)
    if problems and not doubled and not off.size and not gaps.before.size and not _is_sure(problems):
        problems = []                                               # in order of time, every row has its place
    beside = _beside_grid(rows, off, calendar) if off.size else []
    if any(problem.code == "irregular" for problem in beside):      # what else is amiss comes of that
        raise DataError(beside[0], more=[*beside[1:], *doubled, *codes])
    problems += beside
    problems += _changed_step(rows_on, gaps, calendar, options)
    is_ordered = not any(problem.code == "backward_step" for problem in problems)   # else gaps come of the order
    problems += [*(_long_gaps(rows_on, gaps, calendar, options) if is_ordered else []), *codes]
    if problems:
        raise DataError(problems[0], more=problems[1:])             # a gap that is filled is no reason
    return laid_out(rows_on, calendar, options, (*repairs, *merged, *_gap_repairs(rows_on, gaps, calendar, options)))


def once(rows: Rows, rule: str) -> tuple[Rows, list[Repair], list[Problem]]:
    """Rows by series and stamp, each stamp once by the rule for duplicates, and what stands in the way."""
    rows, repairs, problems = _in_order(rows)
    rows, merged, doubled = _without_duplicates(rows, rule)
    return rows, [*repairs, *merged], doubled if merged else problems + doubled


def _calendar(rows: Rows, freq: str | None, tz: str | None) -> tuple[Calendar, Ints]:
    """The grid of the first rows if all stand on it, else the one most rows stand on; and the rows beside it."""
    groups = rows.codes if len(rows.ids) > 1 else None
    if rows.codes.size > 2 * FIRST_LOOK and rows.codes[0] == rows.codes[1]:
        first = Calendar.propose(rows.times[:FIRST_LOOK], None if groups is None else groups[:FIRST_LOOK], freq=freq,
                                 tz=tz)
        if not (off := _beside(first, rows)).size:
            return first, off
    calendar = Calendar.propose(rows.times, groups, freq=freq, tz=tz)
    return calendar, _beside(calendar, rows)


def _beside(calendar: Calendar, rows: Rows) -> Ints:
    return np.flatnonzero(calendar.off_grid(rows.times))


def _in_order(rows: Rows) -> tuple[Rows, list[Repair], list[Problem]]:
    """Rows by series and stamp. A few rows that step back mean a wrong clock; all of them, another order."""
    if (rows.codes[1:] < rows.codes[:-1]).any():
        rows = rows.take(np.argsort(rows.codes, kind="stable"))
    back = np.flatnonzero((rows.stamps[1:] < rows.stamps[:-1]) & rows.same)
    if not back.size:
        return rows, [], []
    ordered = rows.take(np.lexsort((rows.stamps, rows.codes)))
    moving = int(((rows.stamps[1:] != rows.stamps[:-1]) & rows.same).sum())
    if back.size == moving:
        newest = Repair("order", back.size, "rows stand newest first -> put in order of time")
        return ordered, [newest], []
    midnight = rows.has_clock and back.size > 3 and bool((rows.stamps[back + 1] % DAY == 0).all())
    faults = [] if back.size >= SHUFFLED * moving and not midnight else _clock_faults(rows, back, midnight=midnight)
    faults = faults or _old_tails(rows, back)[:LISTED]
    message = f"{counted(back.size, 'row')} out of order -> put in order of time"
    return ordered, [Repair("order", back.size, message)], faults


def _is_sure(problems: Sequence[Problem]) -> bool:
    """Whether the clock is wrong although every row would have its place."""
    return any(p.code in ("late_midnight", "old_tail") for p in problems)


def _old_tails(rows: Rows, back: Ints) -> list[Problem]:
    """A few last rows of a series that are older than all before them, as with last year's number in January. Blocks of
    like length are files put one behind the other."""
    heads = np.concatenate([[0], np.flatnonzero(~rows.same) + 1])
    stops = np.append(heads[1:], rows.codes.size)
    series = np.searchsorted(heads, back, side="right") - 1
    alone = np.flatnonzero(np.bincount(series, minlength=heads.size)[series] == 1)
    first, tail, stop = heads[series[alone]], back[alone] + 1, stops[series[alone]]
    older = rows.stamps[stop - 1] < rows.stamps[first]
    step = np.where(tail - first > 1, rows.stamps[tail - 1] - rows.stamps[np.maximum(tail - 2, 0)], 0)
    gap = rows.stamps[tail - 1] + step - rows.stamps[tail]          # as if the rows followed those before
    a_year = rows.is_time & (np.abs(gap - 365 * DAY) <= DAY)
    short = (stop - tail) * np.where(a_year, 2, FEW_LAST) < tail - first
    return [_old_tail(rows, int(t), int(n), is_year=bool(y))
            for t, n, y in zip(tail[older & short], (stop - tail)[older & short], a_year[older & short], strict=True)]


def _old_tail(rows: Rows, row: int, count: int, *, is_year: bool) -> Problem:
    year = "; a year later they would follow" if is_year else ""
    last = f"the last {counted(count, 'row')}{rows.of_series(row)}"
    what = f"{last} step back from {rows.text(row - 1)} to {rows.text(row)}"
    return Problem("old_tail", f"{what}, before all others{year}", rows.file, rows.line(row), rows.time, rows.text(row),
                   "Mend their dates, or sort the rows by time if they are right")


def _clock_faults(rows: Rows, back: Ints, *, midnight: bool) -> list[Problem]:
    """Steps back into a stretch of time that was passed already. Whole blocks in another order are no fault."""
    edges = np.flatnonzero(~rows.same | (rows.stamps[1:] < rows.stamps[:-1])) + 1
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
    again = np.flatnonzero((rows.stamps[1:] == rows.stamps[:-1]) & rows.same) + 1
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
    return replace(merged, values=values), [said], []


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
        likely = f" ({calendar.freq})" if calendar.every % MINUTE == 0 or calendar.kind != "fixed" else ""
        return [Problem("irregular", f"the stamps have no even step: {rows.text(row)}{rows.of_series(row)} and "
                        f"{off.size - 1:,} more stand beside the most likely one{likely}", rows.file,
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
    before, missing = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for at in range(0, rows.codes.size - 1, PIECE):
        steps = np.diff(calendar.nearest(rows.times[at:at + PIECE + 1]))
        some = np.flatnonzero((steps > 1) & rows.same[at:at + PIECE])
        before.append(at + some)
        missing.append(steps[some] - 1)
    return _Gaps(np.concatenate(before), np.concatenate(missing))


def _gap_problems(rows: Rows, gaps: _Gaps, calendar: Calendar, limit: int) -> list[Problem]:
    return [Problem("gap", f"{_number_of(int(n), calendar)} missing after {rows.text(int(r))}{rows.of_series(int(r))}",
                    rows.file, rows.line(int(r) + 1), rows.time, None, _gap_hint(rows, int(r), int(n), calendar))
            for r, n in zip(gaps.before[:limit], gaps.missing[:limit], strict=True)]


def _gap_repairs(rows: Rows, gaps: _Gaps, calendar: Calendar, options: DataConfig) -> list[Repair]:
    if not gaps.before.size:
        return []
    number, series = int(gaps.missing.sum()), len(np.unique(rows.codes[gaps.before]))
    where = f" in {series:,} series" if len(rows.ids) > 1 else ""
    longest = f", the longest {int(gaps.missing.max()):,}" if gaps.before.size > 1 else ""
    unit = calendar.unit.removesuffix("s") if number == 1 else calendar.unit
    closed = "" if options.fill == "zero" else _closed_days(rows, number, calendar)
    lines = tuple(_gap_problems(rows, gaps, calendar, 100))
    clock = next((f"; {p.hint[0].lower()}{p.hint[1:]}" for p in lines if p.hint and "--tz" in p.hint), "")
    return [Repair("gaps", number, f"{number:,} missing {unit}{where}{longest} -> {options.fill}{closed}{clock}",
                   "--fill", lines)]


def _closed_days(rows: Rows, missing: int, calendar: Calendar) -> str:
    """Which days of the week have no row at all, where that is more than chance: forecasts and totals would hold what
    is sold on a day that is closed."""
    if calendar.kind != "fixed" or calendar.every != DAY or (rows.utc and calendar.phase % DAY):
        return ""                                                       # by UTC some begin on the day before
    seen = np.bincount((rows.stamps // DAY + MONDAY) % 7, minlength=7) > 0
    names = [day for day, is_seen in zip(DAYS, seen, strict=True) if not is_seen]
    if not 0 < len(names) <= 3 or missing < CLOSED * len(names):
        return ""
    return f"{NO_ROW}{' or '.join(names)}: zero if that means closed"


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
    problems = []
    for run in np.flatnonzero(stop - first >= needed):
        row, steps = int(gaps.before[first[run]]), int(gaps.missing[first[run]]) + 1
        step = _span(steps * calendar.every, calendar)
        problems.append(Problem("step_changes", f"the step changes to {step} after {rows.text(row)}"
                                f"{rows.of_series(row)}; elsewhere it is {calendar.freq}", rows.file,
                                rows.line(row + 1), rows.time, None,
                                "Bring all rows to one step, or --fill zero where no row means none"))
    return problems


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
