"""Dates: cells to stamps by one format for the whole column, and stamps back to the very same writing.

A format is a pattern in the letters of strftime (`%d.%m.%Y %H:%M`), or a word for numbers that stand for times
(`integer`, `epoch_s`, `excel`). Which of two formats is meant when both fit, the step decides: see reader.py."""

# N cells; stamps are int64 microseconds since 1970-01-01, or plain integers

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.reading.parsing.coding import encoded, pieces_of
from forecast.reading.parsing.composing import Reading, compose
from forecast.reading.parsing.counts import MOST, counted_pattern, may_be_quarters
from forecast.reading.parsing.numbers import Fault, Faults
from forecast.reading.parsing.timeformat import (
    DAY,
    EPOCHS,
    EXCEL_ZERO,
    NUMERIC,
    SECOND,
    SHORT,
    TimeFormat,
    parts_of,
)
from forecast.series.arrays import Bools, Ints
from forecast.system import clock
from forecast.text import quoted

ASIDE = "--bad-rows quarantine sets such rows aside"
FIRST_YEAR, LAST_YEAR = 1500, 2200
_GROUPS = {"Y": "[0-9]{4}", "y": "[0-9]{2}", "m": "[0-9]{1,2}", "d": "[0-9]{1,2}", "H": "[0-9]{1,2}",
           "I": "[0-9]{1,2}", "M": "[0-9]{2}", "S": "[0-9]{2}", "f": "[0-9]{1,9}", "p": "[AaPp]\\.?[Mm]\\.?",
           "b": "[A-Za-z]{3,9}\\.?", "q": "[1-4]", "G": "[0-9]{4}", "V": "[0-9]{1,2}", "u": "[1-7]", "j": "[0-9]{3}",
           "N": "[0-9]{1,3}", "K": "[0-9]{1,4}", "i": "[0-9]{1,15}",
           "z": "Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2}| ?UTC| ?GMT"}
_FIXED = {"m": "[0-9]{2}", "d": "[0-9]{2}", "H": "[0-9]{2}", "V": "[0-9]{2}"}
_DIGITS = {                         # digits only: the dates that so many of them may be
    5: ("excel", "%y%j"), 6: ("%Y%m", "%y%m%d", "%d%m%y", "%m%d%y", "%G%V"), 7: ("%Y%j", "%d%m%Y", "%m%d%Y"),
    8: ("%Y%m%d", "%d%m%Y", "%m%d%Y")}
_DAYS = tuple(f"{a}{s}{b}{s}{c}" for a, b, c, seps in (
    ("%Y", "%m", "%d", "-/. "), ("%d", "%m", "%Y", "/.- "), ("%m", "%d", "%Y", "/-. "), ("%d", "%m", "%y", "/.-"),
    ("%m", "%d", "%y", "/.-"), ("%y", "%m", "%d", "/-."), ("%d", "%b", "%Y", ("-", " ", "/", "", ". ")),
    ("%d", "%b", "%y", "- /"), ("%Y", "%b", "%d", "- /")) for s in seps)
_DATES = (*_DAYS, "%b %d, %Y", "%b %d %Y", "%Y%m%d", "%Y-%j",
          "%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%m.%Y", "%b-%Y", "%b %Y", "%b/%Y", "%b. %Y", "%b-%y", "%b %y", "%Y-%b",
          "%Y %b", "%YM%m", "%Y%m", "%Y", "%YQ%q", "%Y-Q%q", "%Y Q%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "Q%q%Y",
          "%Yq%q", "%Y-q%q", "%G-W%V", "%GW%V", "%G W%V", "%G-W%V-%u")
_CLOCKS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p", "%I %p", "%H",
           "%Hh", "%H.%M")


@dataclass(frozen=True)
class Times:
    """One reading of a column. stamps (N,), 0 where at fault · utc: the stamps are UTC, not wall clock."""

    stamps: Ints
    format: TimeFormat
    faults: Faults = field(default_factory=Faults)
    utc: bool = False
    midnights: int = 0              # written as 24:00

    @property
    def values(self) -> NDArray[Any]:
        return self.stamps if self.format.is_integer else self.stamps.view("datetime64[us]")


def check_pattern(given: str) -> str:
    """A caller's format in our letters: %-d is %d, %B is %b. Raises DataError for a letter we do not know."""
    if given in NUMERIC:
        return given
    pattern = re.sub("%[-_#]", "%", given)
    for short, letters in (("%F", "%Y-%m-%d"), ("%T", "%H:%M:%S"), ("%R", "%H:%M"), ("%B", "%b"), ("%e", "%d")):
        pattern = pattern.replace(short, letters)
    used = re.findall("%(.)", pattern)
    if not used or any(x not in _GROUPS for x in used) or len(set(used)) < len(used) \
            or not {"Y", "y", "G", "N", "K", "i"} & set(used) or ("i" in used and len(used) > 1):
        raise DataError(f"--date-format {quoted(given)} is no format of a date", code="bad_date_format",
                        hint=f"As in %d.%m.%Y %H:%M, or one of {', '.join(NUMERIC)}")
    return pattern


def read_iso(cells: Any) -> Times | None:
    """The short way for 2020-01-31, 2020-01-31 12:00 and 2020-01-31T12:00:00, all of one length; else None."""
    if not len(cells):
        return None
    first = cells[0].as_py()
    pattern = {10: "%Y-%m-%d", 16: "%Y-%m-%d{}%H:%M", 19: "%Y-%m-%d{}%H:%M:%S"}.get(len(first))
    if pattern is None or first[4] != "-":
        return None
    mark = first[10:11]
    some = {cells[k].as_py()[10:11] for k in range(0, len(cells), max(1, len(cells) // 500))}
    if some != {mark}:                                              # a rare T beside spaces is the same stamp
        return None
    stamps, stop = np.empty(len(cells), dtype=np.int64), 0
    for piece in pieces_of(cells):
        texts = piece.dictionary if pa.types.is_dictionary(piece.type) else piece
        lengths = pc.min_max(pc.binary_length(texts)).as_py()
        if len(texts) and (lengths["min"], lengths["max"]) != (len(first), len(first)):
            return None
        try:
            own = pc.cast(texts, pa.timestamp("us")).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            return None
        stamps[stop:(stop := stop + len(piece))] = own if texts is piece else own[piece.indices.to_numpy()]
    return Times(stamps, TimeFormat(pattern.format(mark)))


def read_times(cells: Any, *, pattern: str | None = None, dayfirst: bool | None = None,
               date_like: bool = True, plain: bool = True) -> list[Times]:
    """The readings of the column (N,) that fit the most cells, the plainest first.

    `pattern`: the only one to try. `date_like`: the header speaks of dates, so that 43831 may be an Excel day. `plain`:
    five to eight digits that are no date may be plain numbers."""
    if pattern is None or pattern.startswith("%Y-%m-%d"):
        quick = read_iso(cells)
        if quick is not None and pattern in (None, quick.format.pattern):
            return [quick]
    kept = encoded(cells)
    texts = pc.utf8_trim_whitespace(kept.dictionary)
    where = kept.indices.to_numpy()
    patterns = [pattern] if pattern else _candidates(texts, dayfirst, date_like, plain)
    readings = [_parse(texts, p) for p in patterns]
    if pattern is None and dayfirst is None:
        patterns, readings = _without_dotted(patterns, readings)
    if not readings:
        return [_none_fits(texts, where)]
    counts = np.bincount(where, minlength=len(texts))
    fits = [int(counts[good].sum()) for _, good, *_ in readings]
    best = max(fits)
    chosen: list[tuple[str, Reading]] = []
    for p, r, n in zip(patterns, readings, fits, strict=True):
        if n == best and not any((r[0] == other[0]).all() and (r[1] == other[1]).all() for _, other in chosen):
            chosen.append((p, r))                                   # two ways to the same stamps are one reading
    return [_times(texts, where, p, r) for p, r in chosen]


def _without_dotted(patterns: list[str], readings: list[Reading]) -> tuple[list[str], list[Reading]]:
    """01.02.2020 is no month first wherever day first may be: no country writes it so."""
    good = dict(zip(patterns, (reading[1] for reading in readings), strict=True))
    kept = [p for p in patterns if not p.startswith("%m.%d.") or 2 * good.get("%d.%m." + p[6:], np.zeros(1)).sum()
            < good[p].size]
    return kept, [reading for p, reading in zip(patterns, readings, strict=True) if p in kept]


def _times(texts: Any, where: Ints, pattern: str, reading: Reading) -> Times:
    stamps, good, parts = reading
    faults = Faults(np.flatnonzero(~good[where]),
                    lambda row: _fault(row, str(texts[int(where[row])].as_py()), pattern))
    style = _style(texts.filter(pa.array(good)), pattern, parts)
    counts = np.bincount(where, minlength=len(texts))
    midnights = int(counts[parts["late"]].sum()) if "late" in parts else 0
    return Times(stamps[where], style, faults, utc=style.has_offset, midnights=midnights)


def _none_fits(texts: Any, where: Ints) -> Times:
    faults = Faults(np.arange(where.size), lambda row: _fault(row, str(texts[int(where[row])].as_py()), ""))
    return Times(np.zeros(len(where), dtype=np.int64), TimeFormat(""), faults)


def _fault(row: int, text: str, pattern: str) -> Fault:
    shown = quoted(text)
    if not text:
        return Fault(row, text, "no_time", "has no time stamp", ASIDE)
    if pattern in NUMERIC:
        return Fault(row, text, "not_a_date", f"{shown} is not a time like the others ({pattern})", None)
    others = _candidates(pa.array([text]), None, False)
    other = next((p for p in others if p not in NUMERIC and _parse(pa.array([text]), p)[1][0]), None)
    if pattern and other and other != pattern and not _impossible(text, pattern):
        return Fault(row, text, "mixed_dates", f"{shown} is written as {other}, the others as {pattern}",
                     "Write all dates one way")
    if pattern and _impossible(text, pattern):
        hint = ASIDE if _day_order(pattern) is None else "--dayfirst or --date-format if the order is another"
        return Fault(row, text, "no_such_date", f"{shown} is no day of the calendar ({pattern})", hint)
    suffix = f" (others: {pattern})" if pattern else ""
    return Fault(row, text, "not_a_date", f"{shown} is not a date{suffix}",
                 ASIDE if pattern else "--date-format says how dates are written")


def _impossible(text: str, pattern: str) -> bool:
    """Whether the text has the pattern's shape, and yet is no date."""
    return bool(re.fullmatch(_regex(pattern).strip("^$"), text))


def _candidates(texts: Any, dayfirst: bool | None, date_like: bool, plain: bool = True) -> list[str]:
    """Patterns worth parsing: those whose shape most of a sample of the distinct cells has."""
    sample = [t for t in texts[:: max(1, len(texts) // 200)].to_pylist() if t][:250]
    if not sample:
        return []
    if pattern := counted_pattern([t for t in texts[:MOST].to_pylist() if t]):
        return [pattern]
    numbers = [t for t in sample if re.fullmatch(r"[+-]?\d+(\.\d+)?", t)]
    if len(numbers) > 0.5 * len(sample):                            # the others are headers and footers
        patterns = _numeric_candidates(numbers, date_like, plain)
    else:
        shares = {p: sum(bool(_shape(p).fullmatch(t)) for t in sample) for p in _shapes_of(sample)}
        most = max(shares.values(), default=0)
        patterns = [p for p, n in shares.items() if n and n >= 0.9 * most]
        patterns += [p.replace("%m", "%q") for p in patterns if p in ("%Y-%m", "%Y/%m") and may_be_quarters(sample)]
    if dayfirst is not None:
        return [p for p in patterns if _day_order(p) in (None, dayfirst)] or patterns
    return patterns


def _day_order(pattern: str) -> bool | None:
    """True for day before month, False for month before day, None where it cannot be mistaken."""
    day, month = pattern.find("%d"), pattern.find("%m")
    return None if day < 0 or month < 0 or pattern.startswith("%Y") else day < month


def _shapes_of(sample: Sequence[str]) -> list[str]:
    """Patterns of the usual cells: a date pattern, what parts it from the clock, a clock pattern, an offset."""
    patterns: dict[str, None] = {}
    for text in dict.fromkeys((sample[0], sample[len(sample) // 2], sample[-1])):
        for date in _DATES:
            begin = _shape(date).match(text)
            if begin:
                patterns.update((p, None) for p in _with_clock(date, text[begin.end():]))
    return list(patterns)


def _with_clock(date: str, rest: str) -> list[str]:
    if not rest:
        return [date]
    if not re.search("%[dju]", date):
        return []
    parted = re.match(r"(?:T|t|[ ,_]{1,3}| - |:|-(?=\d\d:))(?=\d)", rest)
    if not parted:
        zone = re.fullmatch(_GROUPS["z"], rest)
        return [f"{date}%z"] if zone else []
    clock_text = rest[parted.end():]
    patterns = []
    for face in _CLOCKS[1:]:
        begin = _shape(face).match(clock_text)
        tail = clock_text[begin.end():] if begin else "?"
        if not tail:
            patterns.append(f"{date}{parted.group()}{face}")
        elif re.fullmatch(rf" ?(?:{_GROUPS['z']})", tail):
            gap = " " if tail[0] == " " and tail.strip() not in ("UTC", "GMT") else ""
            patterns.append(f"{date}{parted.group()}{face}{gap}%z")
    return patterns


def _numeric_candidates(sample: Sequence[str], date_like: bool, plain: bool) -> list[str]:
    """What whole numbers in a time column may stand for, by their size and number of digits."""
    if any("." in t for t in sample):
        return _fraction_candidates(sample, date_like)
    widths = {len(t) for t in sample}
    patterns = ["integer"]
    if widths == {4} and all(FIRST_YEAR <= int(t) <= LAST_YEAR for t in sample) and date_like:
        return ["%Y"]
    if widths == {10}:
        patterns = ["epoch_s", "%Y%m%d%H"]
    if widths <= {9, 10} and patterns == ["integer"]:
        patterns = ["epoch_s"]
    long = {12: ["%Y%m%d%H%M", "epoch_ms"], 13: ["epoch_ms"], 14: ["%Y%m%d%H%M%S"], 16: ["epoch_us"], 19: ["epoch_ns"]}
    if len(widths) == 1 and max(widths) in long:
        patterns = long[max(widths)]
    usual, count = Counter(len(t) for t in sample).most_common(1)[0]
    if {usual} <= widths <= {7, 8}:
        usual, count = max(widths), len(sample)
    if usual in _DIGITS and count > 0.8 * len(sample):
        return _digit_candidates(sample, usual, date_like, plain)
    possible = [p for p in patterns if p == "integer" or all(_plausible(t, p) for t in sample[:50])]
    return possible or ["integer"]


def _fraction_candidates(sample: Sequence[str], date_like: bool) -> list[str]:
    """What numbers with a point may stand for: days and hours of a spreadsheet, 2020.01, whole numbers with .0."""
    if all(re.fullmatch(r"\d+\.0", t) for t in sample):
        whole = _numeric_candidates([t[:-2] for t in sample], date_like, True)
        dates = [p if p.startswith("epoch") else f"{p}.0" for p in whole if p not in ("integer", "excel")]
        if dates:
            return dates
    if all(re.fullmatch(r"\d{5}(\.\d+)?", t) for t in sample) and date_like:
        return ["excel"]
    months = all(re.fullmatch(r"(1[5-9]|2[01])\d\d\.(0[1-9]|1[0-2])", t) for t in sample)
    return ["%Y.%m"] if months else ["%Y.%q"] if may_be_quarters(sample) else ["integer"]


def _digit_candidates(sample: Sequence[str], width: int, date_like: bool, plain: bool) -> list[str]:
    """Of five to eight digits: the dates they may be in any order of day, month and year, and whether plain numbers."""
    if width == 5 and not date_like:
        return ["integer"]
    shares = {p: sum(_plausible(t, p) for t in sample) / len(sample) for p in _DIGITS[width]}
    if width == 5 and not all(20_000 <= int(t) <= 80_000 for t in sample):
        del shares["excel"]
    dates = [p for p, share in shares.items() if share >= 0.9]
    dates = dates or [p for p, share in shares.items() if share >= 0.5 and share == max(shares.values())]
    if not dates:
        return ["integer"] if plain else []
    return dates if date_like or width == 8 else [*dates, "integer"]


def _plausible(text: str, pattern: str) -> bool:
    stamps, good, _ = _parse(pa.array([text]), pattern)
    low = 20 if pattern.startswith("epoch") else FIRST_YEAR - 1970     # integers before 1990 are counts, not seconds
    high = clock.now().year - 1969 if "%y" in pattern else LAST_YEAR - 1970
    return bool(good[0]) and low <= int(stamps[0]) / (365.2425 * DAY) <= high


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> str:
    if pattern in NUMERIC:
        floats = r"(?:\.0)?" if pattern.startswith("epoch") else ""
        whole = rf"^(?P<n>[+-]?[0-9]{{1,19}}){floats}$"
        return r"^(?P<n>[+-]?[0-9]+(?:\.[0-9]+)?)$" if pattern == "excel" else whole
    tight = re.fullmatch(r"(%[^b]|[A-Za-z])+(\.0)?", pattern) and re.search("%.%", pattern)
    pieces = []
    for part in parts_of(pattern):
        if part[0] != "%":
            pieces.append(re.escape(part))
            continue
        leading = pattern in SHORT and not pieces
        group = _FIXED.get(part[1]) if tight and not leading else None
        pieces.append(f"(?P<{part[1]}>{group or _GROUPS.get(part[1], '(?:$^)')})")
    text = "".join(pieces)
    return "^" + text.replace(r":(?P<S>[0-9]{2})\.(?P<f>[0-9]{1,9})",
                              r":(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?") + "$"


@lru_cache(maxsize=1024)
def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(_regex(pattern)[1:-1])


def _parse(texts: Any, pattern: str) -> Reading:
    """Stamps of distinct texts, which are good, and the parts seen. A day that does not exist is not good."""
    try:
        matched = pc.extract_regex(texts, _regex(pattern))
    except pa.ArrowInvalid:
        return np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=bool), {}
    good = np.asarray(pc.is_valid(matched).to_numpy(zero_copy_only=False), dtype=bool)
    names = [f.name for f in matched.type]
    parts = {name: pc.fill_null(pc.struct_field(matched, name), "") for name in names}
    if pattern in NUMERIC or "%i" in pattern:
        return _parse_numeric(parts.get("n", parts.get("i")), good, pattern)
    return compose(parts, good)


def _parse_numeric(cells: Any, good: Bools, pattern: str) -> Reading:
    cells = pc.if_else(pa.array(good), pc.replace_substring_regex(cells, "^\\+", ""), "0")
    if pattern == "excel":
        days = pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False) + EXCEL_ZERO
        return np.round(days * 86_400).astype(np.int64) * SECOND, good, {}
    try:
        numbers = pc.cast(cells, pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells), dtype=bool), {}
    if pattern == "integer" or "%i" in pattern:
        return numbers, good & (np.abs(numbers) < 2**53), {}
    if pattern == "epoch_ns":
        return numbers // 1000, good & (numbers % 1000 == 0), {}
    unit = int(EPOCHS[pattern])
    good = good & (np.abs(numbers) < 2**53 // unit)
    return np.where(good, numbers, 0) * unit, good, {}


def _style(texts: Any, pattern: str, parts: Mapping[str, Any]) -> TimeFormat:
    """The small print of the writing: padding, capitals, digits, the offset."""
    if pattern in NUMERIC or not len(texts):
        return TimeFormat(pattern)
    style = TimeFormat(pattern)
    if pattern in SHORT:
        style = replace(style, padded=bool(pc.all(pc.greater(pc.utf8_length(texts), 7)).as_py()))
    elif "%N" in pattern:
        style = replace(style, padded=not pc.any(pc.match_substring_regex(texts, r"[^0-9][1-9]$")).as_py())
    elif re.search(r"%[mdHI]|%V$", pattern):
        single = pc.any(pc.match_substring_regex(texts, r"(^|[^0-9.])[0-9]([^0-9]|$)")).as_py()
        style = replace(style, padded=not single)
    if "b" in parts:
        names = [n for n in parts["b"].to_pylist() if n]
        style = replace(style, upper=all(n.isupper() for n in names),
                        long=any(len(n.rstrip(".")) > 4 for n in names))
    if "f" in parts:
        style = replace(style, digits=min(6, max((len(f) for f in parts["f"].to_pylist() if f), default=0)))
    if "p" in parts:
        style = replace(style, sign=re.sub("[Pp](?=[.Mm])", lambda m: "A" if m.group() == "P" else "a",
                                           next((str(p) for p in parts["p"].to_pylist() if p), "AM")))
    if "z" in parts:
        offsets = set(parts["z"].filter(pc.not_equal(parts["z"], "")).to_pylist())
        style = replace(style, offset=offsets.pop() if len(offsets) == 1 else "")
    late = parts.get("late")
    return replace(style, late_midnight=late is not None and bool(late.any()))
