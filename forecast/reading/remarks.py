"""Remarks: what a reading assumed, what differs from the training file and what was mended, in words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Problem
from forecast.reading.contract import Contract
from forecast.reading.filling import Regular, describe_constant
from forecast.reading.parsing.dates import FIRST_YEAR, Times
from forecast.reading.parsing.dialect import Dialect
from forecast.reading.parsing.numbers import Numbers
from forecast.reading.parsing.table import Table
from forecast.reading.parsing.timeformat import ZERO
from forecast.reading.roles import Roles
from forecast.reading.rows import Repair, Rows
from forecast.reading.scales import APART, Change, find_changes
from forecast.reading.sources.files import Source
from forecast.series.calendar import DAY
from forecast.series.panel import Panel
from forecast.system import clock
from forecast.text import counted, listed, quoted, safe, shorten

LISTED = 1_000                      # series named one by one
EARLY = 6                           # series that end early, named in a note
SHORT = 3                           # rows below which a series is named
AHEAD = "in the future"             # stands in a note that another day would not make
NOT_OVER = "is not over yet"        # the same
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True)
class Parsed:
    """Everything that was found on the way through a file."""

    source: Source
    dialect: Dialect | None
    roles: Roles
    table: Table
    ids: Sequence[str]
    times: Times
    numbers: Sequence[Numbers]
    aside: int                      # rows set aside
    rejects: tuple[Problem, ...]


def notes_of_cells(parsed: Parsed, contract: Contract | None) -> tuple[str, ...]:
    """What was assumed of the text and its cells, in words, short."""
    of_text = [*parsed.source.notes, *(parsed.dialect.notes if parsed.dialect else ()), *parsed.roles.choices,
               *parsed.roles.notes(parsed.table.names)]
    styles = sorted({n.style.words() for n in parsed.numbers} - {""})
    cut = parsed.source.text.last not in (b"\n", b"\r", b"")
    end = "no line break behind the last row: is the file complete?" if cut else ""
    return tuple(note for note in (*of_text, *_of_times(parsed.times, contract), *styles, end) if note)


def notes_of_series(panel: Panel, contract: Contract | None) -> tuple[str, ...]:
    """What the series are like, and what is not as in the training file, in words, short."""
    flat = describe_constant(panel.y, panel.first, panel.stop, list(panel.ids))
    short = [str(name) for name in panel.ids[panel.lengths < SHORT]]
    few = f"fewer than {SHORT} rows: {listed(short, 5)}" if short else ""
    notes = (flat, few, _early_ends(panel), _renamed(panel), _not_over(panel))
    return (*(note for note in notes if note), *(_differences(contract, panel) if contract else ()))


def _early_ends(panel: Panel) -> str:
    """Which series end before the others, and how far, in words."""
    early = np.flatnonzero((panel.lengths > 0) & (panel.behind > 0))
    if not early.size:
        return ""
    unit, behind = panel.calendar.unit, panel.behind[early].tolist()
    named = [f"{shorten(safe(str(panel.ids[s])), 30)} by {counted(n, unit.removesuffix('s'), unit)}"
             for s, n in list(zip(early.tolist(), behind, strict=True))[:EARLY]]
    more = f" and {early.size - EARLY:,} more" if early.size > EARLY else ""
    return f"{counted(early.size, 'series ends', 'series end')} before the others: {', '.join(named)}{more}"


def _not_over(panel: Panel) -> str:
    """Whether the newest day, or month named by its first day, goes on by the clock: its value may be a part."""
    calendar = panel.calendar
    is_day = calendar.kind == "business" or (calendar.kind == "fixed" and calendar.every == DAY)
    is_month = calendar.kind == "month" and calendar.day == 1
    at_midnight = calendar.clock == 0 and (calendar.kind != "fixed" or calendar.phase % DAY == 0)
    if not len(panel) or calendar.tz is not None or not at_midnight or not (is_day or is_month):
        return ""
    last = int(panel.end.max())
    begin, after = calendar.times(np.array([last - 1, last])).astype("datetime64[us]")
    end = begin + np.timedelta64(1, "D") if is_day else after
    now = np.datetime64(int(clock.now().timestamp()), "s")
    unit = calendar.unit.removesuffix("s")
    return f"the newest {unit}, {str(begin)[:10]}, {NOT_OVER}: is its value whole?" if begin <= now < end else ""


def _renamed(panel: Panel) -> str:
    """Ids that differ in capitals, spaces or leading zeros alone, where one begins behind the end of the other."""
    alike = defaultdict[str, list[int]](list)
    for s, name in enumerate(panel.ids.tolist()):
        alike[_ZEROS.sub("", "".join(str(name).casefold().split()))].append(s)
    if len(alike) == len(panel):
        return ""
    ordered = (sorted(same, key=lambda s: int(panel.start[s])) for same in alike.values() if len(same) > 1)
    pairs = [(a, b) for same in ordered for a, b in pairwise(same) if panel.end[a] <= panel.start[b]]
    named = [f"{quoted(panel.ids[a], 30)} ends before {quoted(panel.ids[b], 30)} begins" for a, b in pairs]
    more = f" and {len(named) - 3:,} more" if len(named) > 3 else ""
    return f"one series under two names? {', '.join(named[:3])}{more}" if named else ""


def _of_times(times: Times, contract: Contract | None) -> list[str]:
    form, notes = times.format, []
    counts = form.pattern if "%N" in form.pattern or "%K" in form.pattern else ""
    if counts:
        first = f"{form.text(times.values[:1])[0]} is {np.datetime_as_string(times.values[0], unit='M')}"
        notes.append(f"times are counted from year 1, kept as {ZERO + 1} ({first}), and written as they were")
    elif not form.is_integer and not form.pattern.startswith("%Y-%m"):
        notes.append(f"dates read as {form.pattern}")
    if contract is not None and form.pattern != contract.time_format.pattern:
        notes.append(f"dates are written as {form.pattern}, in training as {contract.time_format.pattern}")
    if "%z" in form.pattern and times.utc and not form.offset:
        notes.append("UTC offsets differ: times are written in UTC (--tz keeps local time)")
    if form.is_integer and times.stamps.size and times.stamps.min() >= FIRST_YEAR:
        days = times.stamps.min() >= 20_000 and times.stamps.max() <= 80_000
        notes.append("times read as plain numbers (--date-format "
                     + ("excel if they are days of a spreadsheet)" if days else "says how dates are written)"))
    return [*notes, "" if counts else _ahead(times)]


def _ahead(times: Times) -> str:
    """Rows that lie in the future, in words."""
    if times.format.is_integer or not times.stamps.size:
        return ""
    now = int(clock.now().timestamp()) * 1_000_000
    later = int((times.stamps > now + DAY).sum())
    return f"{counted(later, 'row')} {AHEAD}, until {str(times.values.max())[:10]}" if later else ""


def _differences(contract: Contract, panel: Panel) -> tuple[str, ...]:
    """What is not as in the training file, and does not stand in the way."""
    notes = []
    if contract.layout != "single":
        before, now = set(contract.ids), set(panel.ids)
        new = [i for i in panel.ids if i not in before]
        gone = [i for i in contract.ids if i not in now]
        notes += [f"{counted(len(new), 'series')} not seen in training: {listed(new, 4)}"] if new else []
        notes += [f"{counted(len(gone), 'series')} of the training file not there: {listed(gone, 4)}"] if gone else []
    revised = [name for s, (name, start) in enumerate(zip(panel.ids, panel.start.tolist(), strict=True))
               if contract.was_revised(name, start, panel.values(s))]
    if revised:
        notes.append(f"history of {counted(len(revised), 'series')} differs from the training file: "
                     f"{listed(revised, 4)}")
    end = int(panel.end.max()) - 1
    if contract.last is not None and end < contract.last:
        newest, trained = contract.time_text(panel.calendar.times([end, contract.last]))
        notes.append(f"history ends {newest}, before the end of the training file ({trained})")
    size = usual_size(panel.y)
    if contract.size and size is not None:
        ratio = size / contract.size
        if ratio > 100 or ratio < 0.01:
            notes.append(f"values are {ratio:,.4g} times the size of those the model learned from: another unit?")
    return tuple(notes)


def rescaled_in(regular: Regular, rows: Rows, contract: Contract | None) -> tuple[Problem, ...]:
    """Series whose newest values seem to be in another unit than their past: those that a contract does not know, and
    those it knew otherwise, where they are now beyond all that it knows."""
    ends = [None if contract is None else contract.known_until(name) for name in rows.ids]
    first, stop, start = regular.first, regular.stop, regular.start
    known = np.array([begin if end is None else end for end, begin in zip(ends, start.tolist(), strict=True)])
    new = np.array([contract is not None and end is None for end in ends], dtype=bool)
    truth = regular.y if regular.filled is None else np.where(regular.filled, np.nan, regular.y)
    changes = find_changes(truth, first, stop, np.clip(first + known - start, first, stop), new=new)
    if contract is not None:
        found = {change.series for change in changes}
        older = [c for c in find_changes(truth, first, stop, first, new=new) if c.series not in found]
        changes += [c for c in older if _is_new_to(contract, c, regular, str(rows.ids[c.series]))]
        changes.sort(key=lambda change: change.series)
    return tuple(_rescaled(regular, rows, change) for change in changes[:LISTED])


def _is_new_to(contract: Contract, change: Change, regular: Regular, name: str) -> bool:
    """Whether a series was revised, and lies from this change on beyond all values that the contract knows."""
    first, stop, start = (int(a[change.series]) for a in (regular.first, regular.stop, regular.start))
    if contract.low is None or contract.high is None or not contract.was_revised(name, start, regular.y[first:stop]):
        return False
    sizes = sorted((abs(contract.low), abs(contract.high)))
    least, most = sizes[0] if contract.low * contract.high > 0 else 0.0, sizes[1]
    now = float(np.nanmedian(np.abs(regular.y[change.at:stop])))
    return now > APART * most if change.factor > 1 else now < least / APART


def words_of(rescaled: Sequence[Problem], most: int = 3) -> tuple[str, ...]:
    """These series as notes: the first by name, then how many more there are."""
    more = (f"and so in {len(rescaled) - most:,} series more",) if len(rescaled) > most else ()
    return (*(f"{p.message} (line {p.row})" for p in rescaled[:most]), *more)


def _rescaled(regular: Regular, rows: Rows, change: Change) -> Problem:
    ordinal = int(regular.start[change.series] + change.at - regular.first[change.series])
    own = np.flatnonzero(rows.codes == change.series)
    row = int(own[np.argmax(regular.calendar.nearest(rows.times[own]) == ordinal)])
    size = f"{float(f'{max(change.factor, 1 / change.factor):.3g}'):,.15g}"
    words = f"about {size if change.factor > 1 else f'1/{size}'} times those before: another unit"
    return Problem("rescaled", f"from {rows.text(row)} on the values{rows.of_series(row)} are {words}", rows.file,
                   rows.line(row), rows.column_of(row), f"{rows.values[row]:.10g}",
                   "Bring them to one unit, or --accept-scale if they are right")


def usual_size(y: NDArray[np.float64]) -> float | None:
    """The median size of what is known, of some 100,000 values spread over all; None where nothing is known."""
    some = y[::max(1, y.size // 100_000)]
    known = some[~np.isnan(some)]
    if not known.size:
        known = y[~np.isnan(y)]
    return float(np.median(np.abs(known))) if known.size else None


def _alike(ids: Sequence[str]) -> list[str]:
    """Ids that differ from another id by spaces alone."""
    plain = {text for text in ids if text == text.strip()}
    return [text for text in ids if text not in plain and text.strip() in plain]


def repairs_of(parsed: Parsed, regular: Regular) -> tuple[Repair, ...]:
    """Everything mended, in the order it happened."""
    footers, alike = parsed.table.left_out, _alike(parsed.ids)
    under, rounded = sum(n.underflows for n in parsed.numbers), sum(n.rounded for n in parsed.numbers)
    midnights, words = parsed.times.midnights, _missing_words(parsed.numbers)
    above, second = _lines_left_out(parsed)
    mended = (
        Repair("preamble", len(above), f"{counted(len(above), 'line')} above the header left out", None, above),
        Repair("second_header", len(second), f"{counted(len(second), 'row')} below the header left out: no data in it",
               None, second),
        Repair("similar_ids", len(alike), f"{counted(len(alike), 'id')} differing from another in spaces only, kept "
               f"apart: {', '.join(quoted(i) for i in alike[:3])}", "--id"),
        Repair("footer", len(footers), f"{counted(len(footers), 'line')} below or between the rows left out", None,
               footers),
        Repair("quarantined", parsed.aside, f"{counted(parsed.aside, 'bad row')} set aside", "--bad-rows",
               parsed.rejects),
        Repair("midnight", midnights, f"{counted(midnights, 'stamp')} at 24:00 -> 00:00 of the next day"),
        Repair("underflow", under, f"{counted(under, 'value')} too small for a float -> 0"),
        Repair("rounded", rounded, f"{counted(rounded, 'whole number')} of more digits than a float holds -> rounded"),
        Repair("missing_words", sum(words.values()), f"{counted(sum(words.values()), 'cell')} read as missing: "
               f"{', '.join(quoted(w) for w in sorted(words)[:6])}", "--missing"))
    return (*(repair for repair in mended if repair.count), *regular.repairs)


def _lines_left_out(parsed: Parsed) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Lines above the header, and further header rows."""
    dialect, file = parsed.dialect, parsed.table.file
    if dialect is None:
        return (), ()
    return (tuple(Problem("preamble", f"left out: {quoted(text, 60)}", file, line) for line, text in dialect.above),
            tuple(Problem("second_header", f"left out: {text}", file, line) for line, text in dialect.second))


def _missing_words(numbers: Sequence[Numbers]) -> Counter[str]:
    words = Counter[str]()
    for column in numbers:
        words.update({word: count for word, count in column.missing.items() if word})
    return words
