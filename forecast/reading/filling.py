"""Filling: rows laid on their calendar, lone absurd values read as missing, edges cut, holes filled by the rule.

Rows are in order of series and time by now, each on the grid and once."""

# N rows  S series

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from forecast.config import DataConfig
from forecast.errors import DataError, Problem
from forecast.reading.codes import REAL, is_classic
from forecast.reading.rows import Repair, Rows
from forecast.reading.spikes import find_spikes
from forecast.series.arrays import Bools, Floats, Ints, any_of
from forecast.series.calendar import Calendar
from forecast.text import counted, listed, quoted

LISTED = 20_000                     # problems of a kind listed one by one
SHOWN = 3                           # spikes named in the message itself
ROUNDING = 1e-12                    # below this share of its neighbours, a point between them is 0


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


@dataclass(frozen=True)
class _Laid:
    y: Floats
    first: Ints
    stop: Ints
    start: Ints
    places: Ints | None = None      # position of each row in y, ascending; None: rows and y are one
    spikes: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))   # positions in y, read as missing

    @property
    def at(self) -> Ints:
        return np.arange(self.y.size) if self.places is None else self.places


def _laid_out(rows: Rows, calendar: Calendar) -> _Laid:
    """Values at their ordinals, NaN between."""
    size = len(rows.ids)
    edges = np.flatnonzero(~rows.same) + 1
    heads, tails = np.concatenate([[0], edges]), np.concatenate([edges, [rows.codes.size]]) - 1
    start, lengths = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    start[rows.codes[heads]] = begin = calendar.nearest(rows.times[heads])
    lengths[rows.codes[heads]] = calendar.nearest(rows.times[tails]) - begin + 1
    stop = np.cumsum(lengths)
    first = stop - lengths
    total = int(stop[-1]) if size else 0
    if total == rows.codes.size:
        return _Laid(rows.values, first, stop, start)
    at = calendar.nearest(rows.times) + (first - start)[rows.codes]
    y = np.full(total, np.nan)
    y[at] = rows.values
    return _Laid(y, first, stop, start, at)


def _without_spikes(rows: Rows, laid: _Laid, options: DataConfig) -> tuple[_Laid, list[Repair]]:
    """Lone absurd values read as missing, each named."""
    spikes = find_spikes(laid.y, laid.first, laid.stop) if options.spikes == "missing" else laid.spikes
    if REAL in (options.missing or ()):                             # what may be a code was said to be real
        spikes = spikes[[not (is_classic(v) or (laid.y == v).sum() > 1) for v in laid.y[spikes]]]
    if not spikes.size:
        return laid, []
    problems = tuple(_spike(rows, row) for row in np.searchsorted(laid.at, spikes[:LISTED]).tolist())
    named = ", ".join(f"{p.message} (line {p.row})" for p in problems[:SHOWN])
    more = f" and {spikes.size - SHOWN:,} more" if spikes.size > SHOWN else ""
    y = laid.y.copy()
    y[spikes] = np.nan
    return replace(laid, y=y, spikes=spikes), [
        Repair("spikes", spikes.size, f"{counted(spikes.size, 'value')} absurdly far from all around read as missing: "
               f"{named}{more}", "--spikes", problems, _of_the_newest_step(laid, spikes))]


def _of_the_newest_step(laid: _Laid, at: Ints) -> int:
    """How many of these positions in y are of the last step of all series."""
    series = np.searchsorted(laid.stop, at, side="right")
    lengths = laid.stop - laid.first
    newest = (laid.start + lengths)[lengths > 0].max() - 1
    return int((laid.start[series] + at - laid.first[series] == newest).sum())


def _spike(rows: Rows, row: int) -> Problem:
    value = f"{rows.values[row]:.10g}"
    return Problem("spike", f"{value} at {rows.text(row)}{rows.of_series(row)}", rows.file, rows.line(row),
                   rows.column_of(row), value)


def laid_out(rows: Rows, calendar: Calendar, options: DataConfig, repairs: Sequence[Repair]) -> Regular:
    """Rows in order of series and time on the calendar: lone absurd values missing, edges without a value cut off,
    holes inside filled by the rule. Raises DataError where no value is left."""
    laid, lone = _without_spikes(rows, _laid_out(rows, calendar), options)
    mended = [*repairs, *lone]
    unknown = np.isnan(laid.y)
    if not unknown.any():
        return Regular(laid.y, laid.first, laid.stop, laid.start, calendar, tuple(mended))
    first, stop, start, said = _trimmed(rows, laid, unknown)
    mended += said
    inside = _between(first, stop, laid.y.size)
    holes = unknown & inside
    cells = np.flatnonzero(np.isnan(rows.values) & inside[laid.at])
    if cells.size:
        mended.append(Repair("missing", cells.size, f"{counted(cells.size, 'missing value')} -> {options.fill}",
                             "--fill", tuple(_missing_value(rows, int(r)) for r in cells[:100])))
    filled = _fill(laid.y, holes, inside, options.fill)
    invented = _invented(laid, holes, options.fill)[inside] if holes.any() and options.fill != "mask" else None
    if inside.all():
        return Regular(filled, first, stop, start, calendar, tuple(mended), invented)
    ends = np.cumsum(stop - first)
    return Regular(filled[inside], ends - (stop - first), ends, start, calendar, tuple(mended), invented)


def _missing_value(rows: Rows, row: int) -> Problem:
    return Problem("missing_value", f"no value at {rows.text(row)}{rows.of_series(row)}", rows.file, rows.line(row),
                   rows.column_of(row))


def _invented(laid: _Laid, holes: Bools, rule: str) -> Bools:
    """Points that were filled in and are no truth. Filled with zeros, only those in place of a spike: no row may well
    mean zero."""
    if rule != "zero":
        return holes
    spikes = np.zeros(laid.y.size, dtype=bool)
    spikes[laid.spikes] = True
    return holes & spikes


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
        line, behind = np.interp(at, known, y[known]), np.searchsorted(known, at)
        beside = np.maximum(np.abs(y[known[behind - 1]]), np.abs(y[known[behind]]))
        filled[at] = np.where(np.abs(line) <= ROUNDING * beside, 0.0, line)
    return filled


def describe_constant(y: Floats, first: Ints, stop: Ints, ids: Sequence[str]) -> str:
    """Which series never change, in words; empty where all do."""
    lengths = stop - first
    some = np.flatnonzero(lengths > 1)
    if not some.size:
        return ""
    flat = some[~any_of(np.append(False, y[1:] != y[:-1]), first[some] + 1, stop[some])]
    return f"constant: {listed([ids[k] for k in flat], 5)}" if flat.size else ""
