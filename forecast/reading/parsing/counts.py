"""Counts: times that are counted from a beginning without a date: year 1 month 1 as `1-01`, `Month 13`, `d_1941`.

%N is a year counted so, %K a month, %i a step. A counted year N is kept as the year 2000 + N; it is written as it was
read."""

# N cells

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

LEAST = 13                          # months that tell a year and its month from a month and its day
LATEST = 3                          # a counted year with which a file may begin
MOST = 5_000                        # cells looked at
EVEN = 0.9                          # share of steps that must be one month
_YEAR_MONTH = re.compile(r"(\d{1,3})([-/])(0[1-9]|1[0-2]|[1-9])")
_SPELT = re.compile(r"(y(?:ear|r)?[ ._-]?)(\d{1,3})([ ,._/-]*m(?:onth|o)?[ ._-]?)(0[1-9]|1[0-2]|[1-9])",
                    re.IGNORECASE)
_WORDS = re.compile(r"([^\W\d_]{1,12}[ ._#-]?)(0|[1-9]\d{0,8})")
_PERIOD = re.compile(r"(day|d|week|wk|w|month|mth|m|quarter|qtr|year|yr|y|period|p|step|t|time|hour|h|tag|woche|monat|"
                     r"jahr|jour|semaine|mois|dia|día|semana|mes)[ ._#-]?", re.IGNORECASE)
_DATED = re.compile(r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|fy|cy)", re.IGNORECASE)
_MONTH = re.compile(r"(month|mth|m|monat|mois|mes)[ ._#-]?", re.IGNORECASE)


def counted_pattern(cells: Sequence[str]) -> str:
    """The pattern by which these cells (N,), distinct and in the order of the file, are counted; "" where they are
    not."""
    cells = cells[:MOST]
    for shape in (_YEAR_MONTH, _SPELT):
        if pattern := _of_years(shape, cells):
            return pattern
    return _of_steps(cells)


def _of_years(shape: re.Pattern[str], cells: Sequence[str]) -> str:
    """A year and its month, where the months follow each other: then they are neither days nor years."""
    found = [shape.fullmatch(cell) for cell in cells]
    matches = [match for match in found if match]
    if len(matches) < max(2, EVEN * len(cells)) or (shape is _YEAR_MONTH and len(matches) < LEAST):
        return ""
    *before, year, between, month = (set(some) for some in zip(*(match.groups() for match in matches), strict=True))
    if len(between) > 1 or any(len(some) > 1 for some in before) or min(map(int, year)) > LATEST or not month:
        return ""
    counts = np.array([12 * int(match.groups()[-3]) + int(match.groups()[-1]) for match in matches])
    if np.mean(np.abs(np.diff(counts)) == 1) < EVEN:
        return ""
    return f"{''.join(before[0]) if before else ''}%N{between.pop()}%m"


def _of_steps(cells: Sequence[str]) -> str:
    """One word, and how many of it: months make years, all else is plain steps."""
    matches = [match for cell in cells if (match := _WORDS.fullmatch(cell))]
    words = {match[1] for match in matches}
    if len(matches) < max(2, EVEN * len(cells)) or len(words) > 1:
        return ""
    word = words.pop()
    counts = np.array([int(match[2]) for match in matches])
    is_even = np.mean(np.abs(np.diff(counts)) == 1) >= EVEN
    if _MONTH.fullmatch(word) and is_even and counts.min() > 0 and counts.max() < 2_000:
        return f"{word}%K"
    return f"{word}%i" if _PERIOD.fullmatch(word) or (is_even and not _DATED.match(word)) else ""


def may_be_quarters(sample: Sequence[str]) -> bool:
    """2014.1 to 2014.4, in more years than one."""
    return all(re.fullmatch(r"(1[5-9]|2[01])\d\d[-./][1-4]", t) for t in sample) and len({t[:4] for t in sample}) > 1
