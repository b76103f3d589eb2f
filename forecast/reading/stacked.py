"""Stacked: several series one below the other in a file that names no id, and the column that tells them apart."""

# N rows

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from forecast.errors import DataError
from forecast.reading.counters import CALENDAR_NAMES
from forecast.reading.parsing.dates import encoded
from forecast.reading.parsing.kinds import kind
from forecast.reading.parsing.table import Table
from forecast.reading.roles import ENTITIES, NO_ID, Roles
from forecast.reading.rows import Rows
from forecast.series.arrays import Ints
from forecast.text import listed, safe

_NOTHING = ("yes", "no", "true", "false", "y", "n", "t", "f", "am", "pm", "day", "night", "weekend", "weekday",
            "workday")
_OF_CALENDAR = re.compile(r"q[1-4]|(mon|tue|wed|thu|fri|sat|sun)([a-z]*day)?|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|"
                          r"nov|dec)[a-z]*|spring|summer|autumn|fall|winter")


def separators(rows: Rows, roles: Roles, spare: Callable[[], Table]) -> str:
    """The column left unread that tells rows of one stamp apart: several series stacked without an id."""
    if len(roles.targets) > 1 or not roles.spare:
        return ""
    table = spare()
    if table.rows != rows.codes.size:
        return ""
    stamps = np.unique(rows.stamps, return_inverse=True)[1]
    for k, cells in table.columns.items():
        groups = encoded(cells)
        codes = groups.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        count = len(groups.dictionary)
        keys = (rows.codes * count + codes) * (int(stamps.max()) + 1) + stamps
        if 2 * count <= rows.codes.size and np.unique(keys).size == keys.size:
            name = safe(table.names[k])[:40]
            if roles.id is not None:
                return f"Column '{name}' also parts the series: join it and the id into one column"
            if table.names[k].strip().lower() in CALENDAR_NAMES:
                times = [safe(table.names[t])[:40] for t in roles.time]
                return f"Column '{name}' is a part of the time: --time {','.join([*times, name])}"
            return f"Column '{name}' separates them: --id {name}"
    return ""


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
        groups = encoded(cells)
        values = [str(text) for text in groups.dictionary.to_pylist()]
        codes = groups.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        if 2 <= len(values) <= rows.codes.size // 2 and all(map(_names_a_thing, values)) and _stands_apart(codes, rows):
            column, change = safe(table.names[k])[:40], int(np.flatnonzero(np.diff(codes))[0]) + 1
            raise DataError(f"column '{column}' may separate {len(values):,} series ({listed(values, 2)})",
                            file=rows.file, row=rows.line(change), column=rows.time, code="stacked",
                            hint=f"--id {column}, or --id {NO_ID} if all rows are one series")


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
