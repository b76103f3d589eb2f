"""Stacked: several series one below the other in a file that names no id, and the column that tells them apart."""

# N rows

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from forecast.errors import DataError
from forecast.reading.counters import CALENDAR_NAMES
from forecast.reading.head import ENTITIES, MEASURES, SLIPS, words_of
from forecast.reading.opening import Opened
from forecast.reading.parsing.coding import distinct
from forecast.reading.parsing.kinds import kind
from forecast.reading.parsing.table import Table, as_texts
from forecast.reading.roles import NO_ID, Roles
from forecast.reading.rows import Rows
from forecast.series.arrays import Ints
from forecast.series.ids import listed_names, pasted
from forecast.text import listed, quoted, safe

LONGEST_NAME = 80                   # of a column that a hint proposes
MOST_ROWS = 200_000                 # among which pairs of columns are tried
_NOTHING = ("yes", "no", "true", "false", "y", "n", "t", "f", "am", "pm", "day", "night", "weekend", "weekday",
            "workday")
_OF_CALENDAR = re.compile(r"q[1-4]|(mon|tue|wed|thu|fri|sat|sun)([a-z]*day)?|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|"
                          r"nov|dec)[a-z]*|spring|summer|autumn|fall|winter")


def separators(rows: Rows, roles: Roles, opened: Opened) -> tuple[str, dict[str, Any]]:
    """The columns left unread that tell rows of one stamp apart, as a hint and as the settings it means: several series
    stacked without an id, or a part of the time."""
    if len(roles.targets) > 1 or not roles.spare:
        return "", {}
    table = opened.spare()
    if table.rows != rows.codes.size:
        return "", {}
    apart = _apart(rows, table)
    if not apart:
        return "", {}
    names = [table.names[k] for k in apart]
    shown, is_part = "' and '".join(quoted(name, 40)[1:-1] for name in names), _is_part(table, apart[0])
    before = [opened.names[k] for k in (roles.time if is_part else roles.ids)]
    flag = "time" if is_part else "id"
    whole = listed_names([*before, *names])
    column = f"Column '{shown}' " if len(names) == 1 else f"Columns '{shown}' together "
    what = "is a part of the time" if is_part else "also parts the series" if before else "separates them"
    what = what if len(names) == 1 else what.replace("parts", "part").replace("separates", "separate")
    return f"{column}{what}: --{flag} {pasted(whole)}", {flag: whole}


def _apart(rows: Rows, table: Table) -> list[int]:
    """The first column, or the first two, by which no two rows are alike in series, stamp and these, or next to none:
    slips; [] for none."""
    stamps = np.unique(rows.stamps, return_inverse=True)[1]
    key = rows.codes * (int(stamps.max()) + 1) + stamps
    groups = {}
    for k, cells in table.columns.items():
        words, codes = distinct(cells)
        if 2 * len(words) <= rows.codes.size and _may_part(table.names[k], words[:50].to_pylist()):
            groups[k] = codes
    nearly, slips = list[int](), len(np.unique(key)) >= (1 - SLIPS) * rows.codes.size      # without any of them
    for size in (1, 2) if rows.codes.size <= MOST_ROWS else (1,):
        for some in combinations(groups, size):
            share = len(np.unique(np.column_stack([key, *(groups[k] for k in some)]), axis=0)) / rows.codes.size
            if share == 1:
                return list(some)
            nearly = nearly or (list(some) if share >= 1 - SLIPS and not slips else [])
    return nearly


def _may_part(name: str, cells: Sequence[Any]) -> bool:
    """Whether a column may name series or a part of the time: neither measures nor dates, nor a line for a name."""
    if len(name) > LONGEST_NAME:
        return False
    kinds = {kind(str(cell)) for cell in cells}
    return not kinds & {"date", "number"} and not {*words_of(name)} & {*MEASURES}


def _is_part(table: Table, column: int) -> bool:
    """Whether a column is a part of the time: by its name, or because it holds times of day."""
    cells = as_texts(table.columns[column]).slice(0, 100).to_pylist()
    return table.names[column].strip().lower() in CALENDAR_NAMES or all(kind(text) == "clock" for text in cells)


def check_stacked(rows: Rows, roles: Roles, names: Sequence[str], read: Callable[[Sequence[int]], Table]) -> None:
    """Refuse several series that stand in one file without a common stamp, and make one even series by chance.

    Raises DataError where a column of words tells them apart. Its header names things, or it stands before the time;
    and each of its values fills one block of rows, or comes again and again at even steps of its own."""
    if roles.id is not None or len(roles.targets) > 1 or not roles.spare:
        return
    likely = [k for k in roles.spare if _may_name(names[k].strip().lower(), before=k < min(roles.time))]
    if not likely:
        return
    table = read(likely)
    if table.rows != rows.codes.size:
        return
    for k, cells in table.columns.items():
        texts, codes = distinct(cells)
        values = [str(text) for text in texts.to_pylist()]
        if 2 <= len(values) <= rows.codes.size // 2 and all(map(_names_a_thing, values)) and _stands_apart(codes, rows):
            name, change = table.names[k], int(np.flatnonzero(np.diff(codes))[0]) + 1
            raise DataError(f"column '{safe(name)[:40]}' may separate {len(values):,} series ({listed(values, 2)})",
                            file=rows.file, row=rows.line(change), column=rows.time, code="stacked",
                            hint=f"--id {pasted(name)}, or --id {NO_ID} if all rows are one series",
                            remedy={"id": listed_names([name])})


def _may_name(header: str, *, before: bool) -> bool:
    """Whether a column may name series, by its header and by whether it stands before the time."""
    if header in (*CALENDAR_NAMES, "season", "holiday"):
        return False
    return before or any(word in ENTITIES for word in re.split(r"[^a-z]+", header))


def _names_a_thing(value: str) -> bool:
    """Whether a cell may name a series: words, and none of the calendar or of a switch."""
    word = value.strip().lower()
    return kind(value) == "text" and word not in _NOTHING and not _OF_CALENDAR.fullmatch(word)


def _stands_apart(codes: Ints, rows: Rows) -> bool:
    """Whether each value has one block of rows, or even steps of its own wider than those of all rows."""
    counts = np.bincount(codes)
    if counts.min() < 2:
        return False
    if int(np.count_nonzero(np.diff(codes))) == counts.size - 1:
        return True
    order = np.lexsort((rows.stamps, codes))
    steps, same = np.diff(rows.stamps[order]), np.diff(codes[order]) == 0
    own = codes[order][1:][same]
    least, most = np.full(counts.size, np.iinfo(np.int64).max), np.zeros(counts.size, dtype=np.int64)
    np.minimum.at(least, own, steps[same])
    np.maximum.at(most, own, steps[same])
    return bool(counts.min() > 2 and (least == most).all() and (least > 0).all())
