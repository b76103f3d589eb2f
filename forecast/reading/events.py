"""Events: rows at any times brought to steps: orders to days, readings of every few seconds to hours.

A step without rows is 0 for sums and counts, and missing for means, last and largest values. The steps in which the
file begins and ends are left out where it holds a part of them only: a low last value would be learned, and continued.
What may be asked for is aggregates.py's."""

# N rows  G steps that hold rows  S series  M steps in all

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.aggregates import ADDING, grid_of, rule_of
from forecast.reading.codes import code_problems
from forecast.reading.parsing.dates import Times, read_times
from forecast.reading.parsing.timeformat import offset_minutes
from forecast.reading.parsing.zones import from_utc, to_utc
from forecast.reading.regular import MAX_GROWTH, once
from forecast.reading.rows import Repair, Rows
from forecast.series.arrays import Floats, Ints
from forecast.series.calendar import DAY, HOUR, MINUTE, WEEK, Calendar
from forecast.system import clock
from forecast.text import counted, listed

NEARLY = 0.01                       # share of a step that may lie outside of the file, and yet it counts as whole
NOT_OVER = "which is not over yet"  # stands in a repair that another day would not make
EVEN = 0.9                          # share of equal steps from which rows are readings of a clock, not events
LOOK = 200_000                      # rows that tell whether they are
SPARE = 1 << 22                     # sums kept side by side, whatever the number of rows
_LONG = {"last": "the last", "max": "the largest"}


@dataclass(frozen=True)
class Steps:
    """Rows of one a step, the calendar they stand on, what was mended and what there is to say."""

    rows: Rows
    calendar: Calendar
    repairs: tuple[Repair, ...]
    notes: tuple[str, ...]


def in_steps(rows: Rows, times: Times, decimals: Sequence[int], options: DataConfig) -> Steps:
    """Rows (N,) brought to the steps that the settings name. decimals: behind the mark of each target.

    Raises DataError where the stamps do not tell such steps, and where no two of them are whole."""
    calendar = _calendar(rows, times, options)
    rows, repairs = _checked(rows, calendar, options)
    ordinals = calendar.nearest(rows.times)
    low, high, cut = _whole(rows, ordinals, calendar, options)
    early = np.bincount(rows.codes[ordinals < low], minlength=len(rows.ids)) > 0
    kept = (ordinals >= low) & (ordinals <= high)
    if _usual_step(rows, calendar):
        whole = _whole_of_each(rows, ordinals, calendar, _usual_step(rows, calendar))
        cut += _cut_of_each(rows, kept & ~whole, calendar)
        kept &= whole
    inside = rows if kept.all() else rows.take(kept)
    ordinals = ordinals[kept]
    rules = [rule_of(options, str(name)) for name in rows.ids] if rows.wide else \
        [rule_of(options, rows.target)] * len(rows.ids)
    if not inside.codes.size:
        raise _too_few(rows, 0, calendar)
    merged, filled = _merged(inside, ordinals, rules, _Span(low, high, early), calendar, decimals)
    _check_written(merged, times, calendar, options)
    gone = [str(rows.ids[k]) for k in np.flatnonzero(np.bincount(inside.codes, minlength=len(rows.ids)) == 0)]
    lost = [Repair("all_missing", len(gone), f"{len(gone):,} series only in steps that are not whole: {listed(gone)}")]
    return Steps(merged, calendar, (*repairs, *cut, *(lost if gone else []), *filled),
                 _notes(inside, ordinals, rules, calendar, options))


# which steps

def _calendar(rows: Rows, times: Times, options: DataConfig) -> Calendar:
    """The steps asked for, as they lie on the stamps of these rows. Raises DataError."""
    assert options.every is not None
    grid = grid_of(options.every)
    if not rows.is_time:
        raise DataError(f"the time column holds whole numbers, and --every {options.every} needs dates", file=rows.file,
                        column=rows.time, code="no_dates", hint="--date-format says how dates are written")
    if not rows.utc:
        return grid
    if options.tz is not None and grid.kind == "fixed":                 # hours and less: a zone may be half an hour off
        shift = int(from_utc(rows.stamps[:1], options.tz)[0] - rows.stamps[0])
        return Calendar.fixed(grid.every, grid.phase - shift, options.tz)
    shift = offset_minutes(times.format.offset) * MINUTE if times.format.offset else 0
    if shift and grid.kind != "fixed":
        raise DataError(f"{options.every}s begin at the midnight of a place, and the stamps name an offset from UTC",
                        file=rows.file, column=rows.time, code="no_zone", hint="Name the place by --tz Europe/Berlin")
    return Calendar.fixed(grid.every, grid.phase - shift) if shift else grid


def _check_written(rows: Rows, times: Times, calendar: Calendar, options: DataConfig) -> None:
    """Raises DataError where the file's way of writing times cannot tell one step from the next."""
    if times.format.pattern == "excel" or (options.tz is not None and rows.utc):
        return
    first = int(calendar.nearest(rows.times[:1])[0])
    stamps = calendar.times(np.arange(first, first + 20))
    texts = times.format.text(stamps)
    if times.format.pattern in ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns"):
        return
    again = read_times(pa.array(texts, pa.string()), pattern=times.format.pattern)[0]
    if len(again.faults) or (again.stamps != stamps.astype(np.int64)).any():
        raise DataError(f"times are written as {times.format.pattern}, which does not tell the steps of --every "
                        f"{options.every}", file=rows.file, row=rows.line(0), column=rows.time, code="coarse_times",
                        hint="Give a longer step, or write the times in full")


def _whole(rows: Rows, ordinals: Ints, calendar: Calendar, options: DataConfig) -> tuple[int, int, list[Repair]]:
    """The first and the last step that lie wholly within the file, and what is left out. Raises DataError."""
    low, high = int(ordinals.min()), int(ordinals.max())
    first, last = int(rows.stamps.min()), int(rows.stamps.max())
    begin, after, start, end = (int(n) for n in calendar.times([low, low + 1, high, high + 1]).astype(np.int64))
    said = []
    now = _now(rows, options.tz)
    is_over = not start <= now < end
    if end - _covered(rows, last, calendar) > NEARLY * (end - start) or not is_over:
        why = "" if is_over else f", {NOT_OVER}"
        said.append(_cut(ordinals == high, f"the last {_unit(calendar)}, {_moment(start, calendar)}, which the "
                                                 f"file holds until {_moment(last, calendar)}{why}"))
        high -= 1
    if first - begin > NEARLY * (after - begin) and low <= high:
        said.insert(0, _cut(ordinals == low, f"the first {_unit(calendar)}, {_moment(begin, calendar)}, which "
                                                   f"the file holds from {_moment(first, calendar)} on"))
        low += 1
    if high - low < 1:
        raise _too_few(rows, high - low + 1, calendar)
    return low, high, said


def _whole_of_each(rows: Rows, ordinals: Ints, calendar: Calendar, usual: int) -> NDArray[np.bool_]:
    """Which readings of a clock (N,) lie in steps that their own series does not begin or end within."""
    first = np.full(len(rows.ids), np.iinfo(np.int64).max)
    last = np.full(len(rows.ids), np.iinfo(np.int64).min)
    np.minimum.at(first, rows.codes, rows.stamps)
    np.maximum.at(last, rows.codes, rows.stamps)
    low = -(-(first - calendar.phase) // calendar.every)
    high = (last + usual - calendar.phase) // calendar.every - 1
    return np.asarray((ordinals >= low[rows.codes]) & (ordinals <= high[rows.codes]))


def _cut_of_each(rows: Rows, lost: NDArray[np.bool_], calendar: Calendar) -> list[Repair]:
    if not lost.any():
        return []
    named = listed([str(rows.ids[k]) for k in np.unique(rows.codes[lost])], 4)
    return [_cut(lost, f"the {_unit(calendar)} within which a series begins or ends: {named}")]


def _too_few(rows: Rows, number: int, calendar: Calendar) -> DataError:
    return DataError(f"holds {counted(number, 'whole ' + _unit(calendar))}; at least 2 are needed", file=rows.file,
                     code="too_short", hint="Give more rows, or shorter steps with --every")


def _now(rows: Rows, tz: str | None) -> int:
    """The present moment on the clock of the stamps; without a zone, UTC's."""
    now = np.array([int(clock.now().timestamp() * 1_000_000)])
    return int(now[0] if rows.utc or tz is None else from_utc(now, tz)[0])


def _covered(rows: Rows, last: int, calendar: Calendar) -> int:
    """Up to when the file tells: a stamp of 10:45 among quarters of an hour stands for all until 11:00."""
    unit = int(np.gcd.reduce(rows.stamps - (calendar.phase if calendar.kind == "fixed" else 0)))
    if calendar.kind == "fixed":
        return last + int(np.gcd(unit, calendar.every))
    if unit % DAY == 0:
        days = rows.times.astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        if (days == months).all():                                  # a day of each month stands for the month
            return int((months.max() + 1).astype("datetime64[us]").astype(np.int64))
    return last + int(np.gcd(unit, DAY))


def _cut(which: NDArray[np.bool_], words: str) -> Repair:
    number = int(np.count_nonzero(which))
    return Repair("partial_step", number, f"{counted(number, 'row')} left out: {words}", "--every")


# what becomes of their rows

def _checked(rows: Rows, calendar: Calendar, options: DataConfig) -> tuple[Rows, list[Repair]]:
    """Rows without numbers that stand for missing; readings of a clock once each. Raises DataError."""
    stepped_back = (rows.codes[1:] < rows.codes[:-1]).any()
    order = np.argsort(_small(rows.codes, len(rows.ids)), kind="stable") if stepped_back else None
    grouped = rows if order is None else dataclasses.replace(
        rows, codes=np.repeat(np.arange(len(rows.ids)), np.bincount(rows.codes, minlength=len(rows.ids))),
        values=rows.values[order])
    if code_problems(dataclasses.replace(grouped, line=lambda row: row), options.missing or ()):
        codes = code_problems(rows if order is None else rows.take(order), options.missing or ())
        raise DataError(codes[0], more=codes[1:])
    if options.duplicates == "refuse" and not _usual_step(rows, calendar):
        return rows, []
    zone = None if rows.utc else options.tz                         # an hour that comes twice is no repetition
    if zone is not None:
        rows = dataclasses.replace(rows, stamps=to_utc(rows.stamps, rows.codes, zone)[0])
    rows, repairs, problems = once(rows, options.duplicates)
    if problems:
        raise DataError(problems[0], more=problems[1:])
    return rows if zone is None else dataclasses.replace(rows, stamps=from_utc(rows.stamps, zone)), repairs


def _small(codes: Ints, size: int) -> NDArray[Any]:
    """The same in as few bytes as will do: short numbers are sorted several times faster."""
    return codes.astype(np.uint16) if size <= 1 << 16 else codes


def _usual_step(rows: Rows, calendar: Calendar) -> int:
    """The step of readings that a clock makes, several in a step of the calendar; 0 for events at any times."""
    if calendar.kind != "fixed" or rows.codes.size < 8:
        return 0
    codes, stamps = rows.codes[:LOOK], rows.stamps[:LOOK]
    order = np.lexsort((stamps, codes))
    steps = np.diff(stamps[order])[np.diff(codes[order]) == 0]
    sizes, times = np.unique(steps, return_counts=True)
    usual = int(sizes[np.argmax(times)]) if sizes.size else 0
    return usual if 0 < usual < calendar.every and times.max() >= EVEN * steps.size else 0


@dataclass(frozen=True)
class _Span:
    """The first and the last whole step of the file, and which series (S,) had rows before."""

    low: int
    high: int
    early: NDArray[np.bool_]


def _merged(rows: Rows, ordinals: Ints, rules: Sequence[str], span: _Span, calendar: Calendar, decimals: Sequence[int]
            ) -> tuple[Rows, list[Repair]]:
    """One row for each series and step: those that hold rows, and for sums and counts all others too. Raises DataError
    for far more steps than rows."""
    low, size = span.low, span.high - span.low + 1
    group, keys = _groups(rows.codes * size + ordinals - low, len(rows.ids) * size)
    values = _values(rows, group, keys, rules, size, decimals)
    adding = np.array([rule in ADDING for rule in rules])
    codes, at = np.divmod(keys, size)
    heads = np.flatnonzero(np.diff(codes, prepend=-1))
    stops = np.append(heads[1:], keys.size)
    begins, ends = _reach(at, heads, stops, span.early[codes[heads]], size)
    lengths = np.where(adding[codes[heads]], ends - begins, stops - heads)
    if int(lengths.sum()) > MAX_GROWTH * rows.codes.size + 1000:
        raise DataError(f"{counted(int(lengths.sum()), _unit(calendar))} for {rows.codes.size:,} rows: nearly all "
                        "would be empty", file=rows.file, code="mostly_gaps", hint="Give longer steps with --every")
    every = np.concatenate([
        codes[a] * size + np.arange(begin, end) if adding[codes[a]] else keys[a:b]
        for a, b, begin, end in zip(*(part.tolist() for part in (heads, stops, begins, ends)), strict=True)])
    where = np.maximum(np.searchsorted(keys, every, side="right") - 1, np.repeat(heads, lengths))
    empty = keys[where] != every
    stamps = calendar.times(every % size + low).astype(np.int64)
    present, series = codes[heads], np.repeat(np.arange(heads.size), lengths)
    line = _line_of(rows, group, where, keys.size)
    merged = dataclasses.replace(rows, codes=series, stamps=stamps, values=np.where(empty, 0.0, values[where]),
                                 ids=rows.ids[present], line=line, text=lambda row: _moment(int(stamps[row]), calendar))
    return merged, _zeros(merged, empty, calendar)


def _reach(at: Ints, heads: Ints, stops: Ints, early: NDArray[np.bool_], size: int) -> tuple[Ints, Ints]:
    """The first step of each series, and the one behind its last. Where a series has no more rows at the end of the
    file, that means 0 as long as it was ever without rows before; after longer, nobody knows: there it ends.

    at (G,): steps that hold rows, counted from the first of `size` whole ones · heads, stops (S,): those of each series
    · early (S,): those that had rows before."""
    empty = np.diff(at, prepend=at[0]) - 1
    empty[heads] = np.where(early, at[heads], 0)
    longest = np.maximum.reduceat(empty, heads)
    last = at[stops - 1]
    return np.where(early, 0, at[heads]), np.where(size - 1 - last <= longest, size, last + 1)


def _groups(keys: Ints, size: int) -> tuple[Ints, Ints]:
    """Rows with one key are a group: the group of each row (N,), and the key of each group (G,), ascending."""
    if size > max(SPARE, 4 * keys.size):
        found, group = np.unique(keys, return_inverse=True)
        return group, found
    held = np.zeros(size, dtype=bool)
    held[keys] = True
    found = np.flatnonzero(held)
    place = np.zeros(size, dtype=np.int64)
    place[found] = np.arange(found.size)
    return place[keys], found


def _values(rows: Rows, group: Ints, keys: Ints, rules: Sequence[str], size: int, decimals: Sequence[int]) -> Floats:
    """What becomes of each group (G,), by the rule of its series."""
    if len(set(rules)) == 1:
        return RULES[rules[0]](rows, group, keys.size, max(decimals))
    of_series, values = np.array(rules), np.empty(keys.size)
    for rule in set(rules):
        own = of_series[keys // size] == rule
        some = max(d for d, r in zip(decimals, rules, strict=False) if r == rule)
        values[own] = RULES[rule](rows, group, keys.size, some)[own]
    return values


def _sum(rows: Rows, group: Ints, size: int, decimals: int) -> Floats:
    sums: Any = np.bincount(group, np.nan_to_num(rows.values), size)
    if decimals <= 9 and np.abs(sums).max(initial=0) < 2.0**52 / 10**decimals:
        sums = np.round(sums, decimals) + 0.0                       # in whatever order they were added
    return np.where(_count(rows, group, size, 0) > 0, sums, np.nan)


def _count(rows: Rows, group: Ints, size: int, decimals: int) -> Floats:
    known = ~np.isnan(rows.values)
    return np.bincount(group if known.all() else group[known], minlength=size).astype(np.float64)


def _mean(rows: Rows, group: Ints, size: int, decimals: int) -> Floats:
    sums: Floats = _sum(rows, group, size, decimals)
    return sums / np.maximum(_count(rows, group, size, 0), 1)


def _max(rows: Rows, group: Ints, size: int, decimals: int) -> Floats:
    most = np.full(size, -np.inf)
    np.fmax.at(most, group, rows.values)
    return np.where(np.isinf(most), np.nan, most)


def _last(rows: Rows, group: Ints, size: int, decimals: int) -> Floats:
    """The value of the newest stamp; of several with one stamp, the one furthest down in the file."""
    known = np.flatnonzero(~np.isnan(rows.values))
    newest = np.full(size, np.iinfo(np.int64).min)
    np.maximum.at(newest, group[known], rows.stamps[known])
    known = known[rows.stamps[known] == newest[group[known]]]
    values = np.full(size, np.nan)
    values[group[known]] = rows.values[known]
    return values


RULES: dict[str, Callable[[Rows, Ints, int, int], Floats]] = {
    "sum": _sum, "mean": _mean, "count": _count, "last": _last, "max": _max}


def _line_of(rows: Rows, group: Ints, where: Ints, size: int) -> Callable[[int], int]:
    """The line of a step: that of its first row, or of the last row before it; found when it is first asked for."""
    @cache
    def first() -> Ints:
        found = np.zeros(size, dtype=np.int64)
        found[group[::-1]] = np.arange(group.size)[::-1]
        return found

    return lambda row: rows.line(int(first()[where[row]]))


def _zeros(rows: Rows, empty: NDArray[np.bool_], calendar: Calendar) -> list[Repair]:
    """Steps without rows that count as 0, in words."""
    if not empty.any():
        return []
    at = np.flatnonzero(empty)
    series = np.unique(rows.codes[at])
    where = f" in {series.size:,} series" if len(rows.ids) > 1 else ""
    tails = np.append(np.flatnonzero(np.diff(rows.codes)), rows.codes.size - 1)
    early = [str(rows.ids[rows.codes[k]]) for k in tails[empty[tails]]]
    more = f"; without rows at their end: {listed(early, 4)}" if early and len(rows.ids) > 1 else ""
    number = int(at.size)
    return [Repair("empty_steps", number, f"{counted(number, _unit(calendar))} without rows{where} -> 0{more}",
                   "--aggregate")]


# what is said

def _notes(rows: Rows, ordinals: Ints, rules: Sequence[str], calendar: Calendar, options: DataConfig
           ) -> tuple[str, ...]:
    named = dict(zip(map(str, rows.ids), rules, strict=True)) if rows.wide else {rows.target: rules[0]}
    shown = [f"{_LONG.get(rule, rule)} of {name}" for name, rule in named.items()]
    notes = [f"{counted(rows.codes.size, 'row')} brought to {_unit(calendar)}s: {listed(shown, 4)}"]
    if calendar.kind == "fixed" and calendar.every % WEEK == 0:
        day = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
        notes.append(f"weeks begin on {day[(calendar.phase // DAY + 3) % 7]}")
    if rows.utc and options.tz is None and (calendar.kind != "fixed" or calendar.every > HOUR):
        notes.append(f"{_unit(calendar)}s are those of UTC or of the offset written (--tz names a place)")
    usual = _usual_step(rows, calendar)
    if usual and calendar.every % usual == 0:
        held = np.unique(rows.codes * (int(ordinals.max()) + 1) + ordinals, return_counts=True)[1]
        short = int((held < calendar.every // usual).sum())
        notes += [f"{counted(short, _unit(calendar))} of fewer than {calendar.every // usual} rows"] if short else []
    return tuple(notes)


def _unit(calendar: Calendar) -> str:
    return calendar.unit.removesuffix("s")


def _moment(number: int, calendar: Calendar) -> str:
    """2024-03-05 14:30 on the clock of the zone; 2024-03-05 where steps are days or longer."""
    number = number if calendar.tz is None else int(from_utc(np.array([number]), calendar.tz)[0])
    text = str(np.datetime64(number, "us")).replace("T", " ").removesuffix(".000000").removesuffix(":00")
    return text if calendar.kind == "fixed" and calendar.every < DAY else text.removesuffix(" 00:00")
