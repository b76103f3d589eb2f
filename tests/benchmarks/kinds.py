"""Kinds: the rows of a table as the events that add up to them, and as the cells of an Excel sheet; whole and spoilt.

Each is (kind, bytes, rows of the truth that it damages, lines where a refusal may point or None, settings)."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import openpyxl

Row = tuple[str, str, str]                                          # id (may be ""), ISO stamp, number
Kind = tuple[str, bytes, frozenset[int], frozenset[int] | None, dict[str, Any]]
STEPS = {3600: "hour", 86_400: "day", 7 * 86_400: "week"}
WHOLE: frozenset[int] = frozenset()


def _step(rows: Sequence[Row]) -> str | None:
    first, second = (datetime.fromisoformat(row[1]) for row in rows[:2])
    seconds = int((second - first).total_seconds())
    return "month" if 27 * 86_400 < seconds < 32 * 86_400 and first.day == 1 else STEPS.get(seconds)


def _ends(rows: Sequence[Row], k: int, step: str) -> datetime:
    """The last second of a row's step."""
    begin = datetime.fromisoformat(rows[k][1])
    if step == "month":
        return (begin.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(seconds=1)
    return begin + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[step] - timedelta(
        seconds=1)


def _parts(rows: Sequence[Row], step: str, rng: random.Random) -> list[tuple[int, datetime, str]]:
    """Three events for each row: at the first second of its step, somewhere in it, and at the last second."""
    events = []
    for k, (_, stamp, value) in enumerate(rows):
        begin, end = datetime.fromisoformat(stamp), _ends(rows, k, step)
        between = begin + timedelta(seconds=rng.randrange(1, int((end - begin).total_seconds())))
        one, two = round(float(value) / 3, 2), round(float(value) / 7, 2)
        rest = round(float(value) - one - two, 9)
        events += [(k, begin, f"{one:.2f}"), (k, between, f"{two:.2f}"), (k, end, repr(rest))]
    return events


def events(rows: Sequence[Row], rng: random.Random) -> Iterator[Kind]:
    """The rows as events. Without an even step that people speak of, none."""
    step, ids = _step(rows), bool(rows[0][0])
    if step is None:
        return
    settings = {"every": step, "aggregate": ("sum",), "spikes": "keep"}
    names = ["order_id", *(["series_id"] if ids else []), "date", "value"]
    parts = _parts(rows, step, rng)

    def text(some: Sequence[tuple[int, datetime, str]], form: str = "%Y-%m-%d %H:%M:%S", mark: str = ",") -> bytes:
        lines = [[str(7001 + 3 * n), *([rows[k][0]] if ids else []), moment.strftime(form), value]
                 for n, (k, moment, value) in enumerate(some)]
        return ("\n".join(mark.join(line) for line in [names, *lines]) + "\n").encode()

    yield "events", text(parts), WHOLE, frozenset(), settings
    yield "events in no order", text(rng.sample(parts, len(parts))), WHOLE, frozenset(), settings
    yield "events, other dates", text(parts, "%d.%m.%Y %H:%M:%S", ";"), WHOLE, frozenset(), settings
    last = max(k for k in range(len(rows)) if not ids or rows[k][0] == rows[-1][0])
    short = [part for part in parts if not (part[1] > datetime.fromisoformat(rows[last][1]) and ids is False)]
    if not ids:
        yield "events that end within a step", text(short), frozenset([last]), frozenset(), settings
    at = rng.randrange(len(parts))
    for word, place in (("abc", 2), ("1.2.3", 2), ("2020-13-01", 1)):
        lines = text(parts).decode().splitlines()
        cells = lines[at + 1].split(",")
        cells[place - 3] = word
        lines[at + 1] = ",".join(cells)
        yield "a spoilt event", ("\n".join(lines) + "\n").encode(), frozenset([parts[at][0]]), frozenset([at + 2]), \
            settings


def sheets(rows: Sequence[Row], rng: random.Random) -> Iterator[Kind]:
    """The rows as cells of a sheet."""
    ids = bool(rows[0][0])
    header = [*(["series_id"] if ids else []), "date", "value"]
    at, where = rng.randrange(len(rows)), len(header)

    def book(date: Any = None, value: Any = None, *, above: Sequence[Sequence[Any]] = (), shift: int = 0,
             gap: bool = False) -> bytes:
        """The table, with another date or value in the row of chance."""
        whole = openpyxl.Workbook(write_only=True)
        sheet = whole.create_sheet("Table")
        for line in above:
            sheet.append([None] * shift + list(line))
        sheet.append([None] * shift + header)
        for k, (ident, stamp, number) in enumerate(rows):
            if gap and k == at:
                sheet.append([])
            cells = [datetime.fromisoformat(stamp), float(number)]
            if k == at:
                cells = [cells[0] if date is None else date, cells[1] if value is None else value]
            sheet.append([None] * shift + ([ident] if ids else []) + cells)
        place = io.BytesIO()
        whole.save(place)
        return place.getvalue()

    bad, line = frozenset([at]), frozenset([at + 2])
    yield "a sheet", book(), WHOLE, frozenset(), {}
    yield "a sheet, decimal comma asked for", book(), WHOLE, frozenset(), {"decimal": ","}
    yield "a sheet with a title", book(above=[["A title"], []]), WHOLE, frozenset(), {}
    yield "a sheet that begins further in", book(above=[[]], shift=where), WHOLE, frozenset(), {}
    yield "a sheet with an empty row", book(gap=True), WHOLE, frozenset(), {}
    for word in ("abc", "#REF!", "12a", True, "=A1"):
        yield "a bad number in a sheet", book(value=word), bad, line, {}
    stamp = datetime.fromisoformat(rows[at][1])
    for word in (stamp.strftime("%d.%m.%Y"), stamp.strftime("%m/%d/%Y"), "today", 3.5):
        yield "a bad date in a sheet", book(date=word), bad, line, {}
