"""Beside: cells of covariates become numbers, flags or categories, laid on the calendar of the series beside them.

Which columns they are is roles.py's; what a second file or a plan holds is sheets.py's."""

# N rows  S series  C columns that change  J static

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from forecast.errors import DataError, Problem
from forecast.reading.contract import Beside
from forecast.reading.parsing.affixes import share_one_unit
from forecast.reading.parsing.coding import distinct
from forecast.reading.parsing.kinds import MISSING, kind
from forecast.reading.parsing.numbers import Fault, Faults, read_numbers
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.covariates import Column, Covariates, Role
from forecast.text import listed, quoted, shorten

YES, NO = ("yes", "true", "y", "t", "on", "1"), ("no", "false", "n", "f", "off", "0")
MOST_WORDS = 1000                   # of a column: more are no categories
KEPT_WORDS = 50                     # the most frequent, each in two rows or more; the rest are "other"
MOSTLY = 0.5                        # share of numbers among its cells that makes a column one of numbers
MOST_AHEAD = 100_000                # steps behind the last target: the longest horizon there is
ORDER: dict[Role, int] = {"known": 0, "past": 1, "static": 2}


@dataclass(frozen=True)
class Strip:
    """A covariate, row by row: values (N,), NaN where missing. `new`: words that training had not seen."""

    agreed: Beside
    values: Floats
    faults: Faults
    new: tuple[str, ...] = ()


def read_strip(cells: Any, name: str, role: Role, *, agreed: Beside | None, decimal: str | None,
               comma_parted: bool, missing: Collection[str]) -> Strip:
    """A column of text as numbers, as 0 and 1 where it says yes and no, or as categories; as it was `agreed`, where
    there was an earlier file."""
    usual = agreed or Beside(name, role)
    if not (usual.words or usual.flag):
        numbers = read_numbers(cells, decimal=decimal, comma_parted=comma_parted, missing=missing)
        is_code = any(map(str.isalpha, numbers.style.prefix))           # A1, A2, A3 are names
        if agreed is not None or not (len(numbers.faults) or numbers.undecided or is_code):
            return Strip(usual, numbers.values, numbers.faults)
    else:
        numbers = None
    codes, texts = _texts_of(cells)
    absent = np.array([kind(t) == "missing" or t in missing for t in texts], dtype=bool)
    counts = np.where(absent, 0, np.bincount(codes, minlength=len(texts)))
    present = [t for t, gone in zip(texts, absent, strict=True) if not gone]
    if usual.flag or (not usual.words and _says_yes_or_no(present)):
        return _flags(replace(usual, flag=True), codes, texts, absent)
    if numbers is not None and _are_numbers(texts, counts):
        return Strip(usual, numbers.values, numbers.faults)
    return _categories(usual, codes, texts, counts)


def _texts_of(cells: Any) -> tuple[Ints, list[str]]:
    """The distinct texts without the spaces around them, and which of them each cell is."""
    texts, codes = distinct(pc.utf8_trim_whitespace(cells))
    return codes, texts.to_pylist()


def _says_yes_or_no(texts: Sequence[str]) -> bool:
    words = {text.lower() for text in texts}
    return bool(words) and words <= {*YES, *NO}


def _are_numbers(texts: Sequence[str], counts: Ints) -> bool:
    some = {t: kind(t) for t, count in zip(texts, counts.tolist(), strict=True) if count}
    if set(some.values()) == {"text"} and share_one_unit(some):
        return True
    numeric = sum(count for t, count in zip(texts, counts.tolist(), strict=True)
                  if count and some[t] in ("integer", "number"))
    return bool(counts.sum()) and numeric >= MOSTLY * counts.sum()


def _flags(agreed: Beside, codes: Ints, texts: Sequence[str], absent: Bools) -> Strip:
    of_text = np.array([np.nan if gone else flag_of(t.lower()) for t, gone in zip(texts, absent, strict=True)])
    values = of_text[codes]
    bad = np.flatnonzero(np.isinf(values))

    def explain(row: int) -> Fault:
        text = texts[codes[row]]
        return Fault(row, text, "no_flag", f"{quoted(text)} is neither yes nor no", "Leave it empty if it is unknown")

    return Strip(agreed, np.where(np.isinf(values), np.nan, values), Faults(bad, explain))


def flag_of(text: str) -> float:
    """1, 0, or inf for neither."""
    plain = text.removesuffix(".0")
    return 1.0 if plain in YES else 0.0 if plain in NO else np.inf


def _categories(agreed: Beside, codes: Ints, texts: Sequence[str], counts: Ints) -> Strip:
    """Words by their position; the rare ones share one. Raises DataError for too many."""
    known = [str(t) for t, count in zip(texts, counts.tolist(), strict=True) if count]
    words = agreed.words
    if not words:
        if len(known) > MOST_WORDS:
            raise DataError(f"holds {len(known):,} different words: too many for categories", code="many_words",
                            column=shorten(agreed.name, 60), hint=f"At most {MOST_WORDS:,}; group them into fewer")
        often = np.argsort(-counts, kind="stable")[:KEPT_WORDS]
        least = 1 if agreed.role == "static" else 2
        words = tuple(sorted(texts[k] for k in often if counts[k] >= least)) or tuple(sorted(known))[:1]
    place = {word: k for k, word in enumerate(words)}
    of_text = np.array([place.get(t, len(words)) if count else np.nan
                        for t, count in zip(texts, counts.tolist(), strict=True)] or [np.nan])
    new = tuple(t for t in known if t not in place) if agreed.words else ()
    return Strip(replace(agreed, words=words), of_text[codes], Faults(), new)


@dataclass(frozen=True)
class Sheet:
    """Rows of covariates on the calendar: whose they are, when, and what they say.

    codes (N,) of the series; None: the rows hold for all of them · ordinals (N,); None: what never changes ·
    strips: a column each · line: where a row stands · text: its time as written"""

    file: str
    strips: tuple[Strip, ...]
    codes: Ints | None
    ordinals: Ints | None
    line: Any
    text: Any

    def problem(self, row: int, code: str, message: str, hint: str, column: str | None = None) -> Problem:
        return Problem(code, message, self.file, self.line(row), column and shorten(column, 60), None, hint)


def laid_beside(sheets: Sequence[Sheet], ids: Sequence[str], *, start: Ints, end: Ints) -> Covariates:
    """Covariates of the series (S,) that begin and end at these ordinals. What stands before a series is left out.

    Raises DataError for a static value that changes, or rows absurdly far ahead."""
    strips = ordered([s for sheet in sheets for s in sheet.strips])
    columns = tuple(Column(s.agreed.name, s.agreed.role, s.agreed.words) for s in strips)
    changing = [c.name for c in columns if c.role != "static"]
    static = [c.name for c in columns if c.role == "static"]
    first, begin, stop = _extents(sheets, start, end)
    values = np.full((int((first + stop - begin).max(initial=0)), len(changing)), np.nan)
    fixed = np.full((len(ids), len(static)), np.nan)
    for sheet in sheets:
        for strip in sheet.strips:
            if strip.agreed.role == "static":
                fixed[:, static.index(strip.agreed.name)] = _static(sheet, strip, ids)
        _put(sheet, values, changing, first, begin, stop)
    return Covariates(columns, values, first, begin, stop, fixed)


def ordered(strips: Sequence[Strip]) -> list[Strip]:
    return sorted(strips, key=lambda strip: ORDER[strip.agreed.role])


def _extents(sheets: Sequence[Sheet], start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Where the rows of each series begin in the values, and their first and last ordinals. Rows that hold for all
    series are kept once where there are no others."""
    timed = [s for s in sheets if s.ordinals is not None and s.ordinals.size
             and any(strip.agreed.role != "static" for strip in s.strips)]
    for sheet in timed:
        _check_reach(sheet, end)
    shared = [s.ordinals for s in timed if s.codes is None and s.ordinals is not None]
    if shared and len(shared) == len(timed):
        low, high = min(int(o.min()) for o in shared), max(int(o.max()) for o in shared)
        return np.zeros_like(start), np.full_like(start, low), np.full_like(start, high + 1)
    stop = start.copy()
    for sheet in timed:
        if sheet.codes is not None and sheet.ordinals is not None:
            np.maximum.at(stop, sheet.codes, sheet.ordinals + 1)
    for ordinals in shared:
        stop = np.maximum(stop, int(ordinals.max()) + 1)
    sizes = stop - start
    return np.cumsum(sizes) - sizes, start.copy(), stop


def _check_reach(sheet: Sheet, end: Ints) -> None:
    assert sheet.ordinals is not None
    ahead = sheet.ordinals - (end.max() if sheet.codes is None else end[sheet.codes])
    row = int(np.argmax(ahead))
    if ahead[row] > MOST_AHEAD:
        far = f"{quoted(sheet.text(row))} lies {int(ahead[row]):,} steps behind the last target"
        raise DataError(sheet.problem(row, "far_ahead", far, "Mend the time, or leave the row out"))


def _put(sheet: Sheet, values: Floats, names: Sequence[str], first: Ints, start: Ints, stop: Ints) -> None:
    """The rows of a sheet in their places. Of rows for one series and time the last one stays."""
    strips = [s for s in sheet.strips if s.agreed.role != "static"]
    if sheet.ordinals is None or not strips:
        return
    codes, rows, ordinals = sheet.codes, np.arange(sheet.ordinals.size), sheet.ordinals
    if codes is None:
        apart = np.unique(np.column_stack([first, start, stop]), axis=0, return_index=True)[1]
        codes, rows = np.repeat(apart, rows.size), np.tile(rows, apart.size)
        ordinals = ordinals[rows]
    at, inside = ordinals + (first - start)[codes], (ordinals >= start[codes]) & (ordinals < stop[codes])
    if not inside.all():
        at, rows = at[inside], rows[inside]
    in_order = at.size == len(values) and bool((at == np.arange(at.size)).all())
    as_they_are = rows.size == sheet.ordinals.size and sheet.codes is not None
    for strip in strips:
        some = strip.values if as_they_are else strip.values[rows]
        values[slice(None) if in_order else at, names.index(strip.agreed.name)] = some


def _static(sheet: Sheet, strip: Strip, ids: Sequence[str]) -> Floats:
    """The one value of each series (S,). Raises DataError where a series has two."""
    of_series = np.full(len(ids), np.nan)
    codes = np.zeros(strip.values.size, dtype=np.int64) if sheet.codes is None else sheet.codes
    known = np.flatnonzero(~np.isnan(strip.values))
    of_series[codes[known][::-1]] = strip.values[known][::-1]       # the first of each stays
    changed = known[strip.values[known] != of_series[codes[known]]]
    if changed.size:
        row, name = int(changed[0]), strip.agreed.name
        whose = f" in {quoted(ids[codes[row]], 30)}" if len(ids) > 1 else ""
        both = listed([shown(strip.agreed, v) for v in (of_series[codes[row]], strip.values[row])], 2)
        raise DataError(sheet.problem(row, "static_changes", f"a static value changes{whose}: {both}",
                                      f"--past {name} if it may change, --known {name} if it is known ahead", name))
    return np.full(len(ids), of_series[0]) if sheet.codes is None else of_series


def shown(agreed: Beside | Column, value: float) -> str:
    """A value as the file might write it."""
    if np.isnan(value):
        return ""
    if agreed.words:
        return agreed.words[int(value)] if value < len(agreed.words) else "other"
    return f"{value:.15g}"


def check_not_empty(sheet: Sheet) -> None:
    """Raises DataError for a column that says nothing at all."""
    for strip in sheet.strips:
        if np.isnan(strip.values).all():
            raise DataError("holds no value at all", file=sheet.file, column=shorten(strip.agreed.name, 60),
                            code="all_missing", hint=f"Leave it out of --{strip.agreed.role}")


def is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING
