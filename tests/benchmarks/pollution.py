"""Pollution: a real file, spoilt in thousands of ways with the truth beside it, read by us and by strict pandas.

    python -m tests.benchmarks.pollution FILE.csv [--repeats 20] [--seed 0] [--list silent]

FILE has a time column, a column of numbers and perhaps an id column. Its first rows are the truth; each pollution
knows which rows it damages and on which physical line a refusal must stand. A reading is

    exact       every value of the truth, nothing else, nothing repaired
    repaired    differs at damaged rows only, and says so
    refused     an error; its line is held against the line of the damage
    silent      anything else: wrong, without a word"""

from __future__ import annotations

import argparse
import csv
import io
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.config import DataConfig
from forecast.errors import ForecastError
from forecast.reading.reader import read_panel
from tests.benchmarks import kinds

Row = list[str]
Truth = dict[str, dict[str, float]]                                 # id -> stamp -> value


@dataclass(frozen=True)
class Spoilt:
    """A polluted file. damaged: rows of the truth that it may lose or change; lines: where a refusal may point."""

    data: bytes
    damaged: frozenset[int] = frozenset()
    lines: frozenset[int] | None = None                             # None: the file as a whole is spoilt, any line
    rename: Callable[[str], str] | None = None                      # the ids as they now are
    settings: dict[str, Any] = field(default_factory=dict)          # what the reader is told


@dataclass(frozen=True)
class Base:
    """The clean table: id (may be ""), ISO stamp, number as text."""

    rows: tuple[tuple[str, str, str], ...]
    ids: bool

    @property
    def header(self) -> Row:
        return ["series_id", "date", "value"] if self.ids else ["date", "value"]

    def cells(self) -> list[Row]:
        return [list(row) if self.ids else list(row[1:]) for row in self.rows]

    def truth(self) -> Truth:
        found: Truth = {}
        for ident, stamp, value in self.rows:
            found.setdefault(ident, {})[stamp] = float(value)
        return found


def text_of(rows: list[Row], *, mark: str = ",", end: str = "\n", quote: str | None = None) -> str:
    if quote:
        rows = [[f"{quote}{cell}{quote}" for cell in row] for row in rows]
    return "".join(mark.join(row) + end for row in rows)


def whole(base: Base, change: Callable[[list[Row]], str | bytes]) -> Spoilt:
    """The same table in another writing."""
    data = change([base.header, *base.cells()])
    return Spoilt(data if isinstance(data, bytes) else data.encode())


def one_row(base: Base, rng: random.Random, change: Callable[[Row], str], *, last: bool = False) -> Spoilt:
    """One row rewritten; its line is the only place to point at."""
    rows = base.cells()
    at = len(rows) - 1 if last else rng.randrange(len(rows))
    texts = [",".join(row) for row in rows]
    texts[at] = change(rows[at])
    return Spoilt(("\n".join([",".join(base.header), *texts]) + "\n").encode(), frozenset([at]), frozenset([at + 2]))


def cell(base: Base, rng: random.Random, column: int, change: Callable[[str], str]) -> Spoilt:
    return one_row(base, rng, lambda row: ",".join(change(c) if k == column % len(row) else c
                                                   for k, c in enumerate(row)))


def inserted(base: Base, rng: random.Random, text: str, *, at: int | None = None) -> Spoilt:
    """Lines that are no rows."""
    texts = [",".join(row) for row in [base.header, *base.cells()]]
    at = rng.randrange(1, len(texts)) if at is None else at % (len(texts) + 1)
    lines = text.split("\n")
    texts[at:at] = lines
    return Spoilt(("\n".join(texts) + "\n").encode(), frozenset(), frozenset(range(at + 1, at + 1 + len(lines))))


def joined(row: Row, at: int) -> str:
    return ",".join([*row[:at], row[at] + row[at + 1], *row[at + 2:]])


def iso(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def dated(base: Base, form: str) -> Spoilt:
    def change(rows: list[Row]) -> str:
        return text_of([rows[0], *([*row[:-2], iso(row[-2]).strftime(form), row[-1]] for row in rows[1:])])
    return whole(base, change)


def numbered(base: Base, write: Callable[[str], str], mark: str = ",") -> Spoilt:
    return whole(base, lambda rows: text_of([rows[0], *([*r[:-1], write(r[-1])] for r in rows[1:])], mark=mark))


def comma(value: str) -> str:
    return value.replace(".", ",")


def moved(base: Base, order: Callable[[list[Row]], list[Row]]) -> Spoilt:
    return whole(base, lambda rows: text_of([rows[0], *order(rows[1:])]))


def without_row(base: Base, rng: random.Random) -> Spoilt:
    """A row within its series: without its first or last one, a series is as good as before."""
    rows = base.cells()
    inside = [k for k in range(1, len(rows) - 1) if base.rows[k - 1][0] == base.rows[k][0] == base.rows[k + 1][0]]
    at = rng.choice(inside)
    return Spoilt(text_of([base.header, *rows[:at], *rows[at + 1:]]).encode(), frozenset([at]), None)


def again(base: Base, rng: random.Random, *, changed: bool) -> Spoilt:
    rows = base.cells()
    at = rng.randrange(len(rows))
    row = [*rows[at][:-1], "7"] if changed else rows[at]
    rows[at + 1:at + 1] = [row]
    return Spoilt(text_of([base.header, *rows]).encode(), frozenset([at]), frozenset([at + 2, at + 3]))


def cut(base: Base, rng: random.Random) -> Spoilt:
    """Broken off inside a cell that is not the last: what is left of the row is no row."""
    rows = base.cells()
    at = rng.randrange(len(rows) // 2, len(rows))
    head = ",".join(rows[at][:-1])
    data = text_of([base.header, *rows[:at]]) + head[:rng.randrange(1, len(head))]
    return Spoilt(data.encode(), frozenset(range(at, len(rows))), frozenset([at + 2]))


def two_quotes(base: Base, rng: random.Random) -> Spoilt:
    """A quote opens one row and another closes a later one."""
    rows = base.cells()
    at = rng.randrange(len(rows) - 4)
    rows[at][0] = '"' + rows[at][0]
    to = at + rng.randrange(1, 4)
    rows[to][-1] = rows[to][-1] + '"'
    text = text_of([base.header, *rows])
    return Spoilt(text.encode(), frozenset(range(at, to + 1)), frozenset(range(at + 2, to + 3)))


def second_table(base: Base, *, header: bool, other: bool) -> Spoilt:
    rows = base.cells()
    names = ["when", "how much"] if other else base.header
    more = [[row[-2], row[-1]] for row in rows[:5]] if other else rows[:5]
    first = len(rows) + 3
    text = text_of([base.header, *rows]) + "\n" + text_of([*([names] if header else []), *more])
    lines = range(first, first + 1) if header else range(2, first + 6)
    return Spoilt(text.encode(), frozenset(range(5)), frozenset(lines))


def mixed_ends(base: Base, rng: random.Random) -> Spoilt:
    return whole(base, lambda rows: "".join(",".join(row) + rng.choice(["\n", "\r\n"]) for row in rows))


def with_notes(base: Base, rng: random.Random, note: str) -> Spoilt:
    return whole(base, lambda rows: text_of([[*rows[0], "remark"], *(
        [*row, note if rng.random() < 0.3 else "ok"] for row in rows[1:])]))


def renamed(base: Base, change: Callable[[str], str]) -> Spoilt:
    spoilt = whole(base, lambda rows: text_of([[*rows[0]], *([change(row[0]), *row[1:]] for row in rows[1:])]))
    return replace(spoilt, rename=change)


def two_columns(base: Base, names: str) -> Spoilt:
    """The series named by two columns, of which neither tells them all apart."""
    idents = list(dict.fromkeys(ident for ident, _, _ in base.rows))
    parts = {ident: (f"x/{k // 2}", f"y{k % 2}") for k, ident in enumerate(idents)}
    spoilt = whole(base, lambda rows: text_of([[*names.split(","), *rows[0][1:]], *(
        [*parts[row[0]], *row[1:]] for row in rows[1:])]))
    return replace(spoilt, rename=lambda i: f"x\\/{parts[i][0][2:]}/{parts[i][1]}")


def day_and_clock(base: Base, names: str, form: str) -> Spoilt:
    """The day and the time of day apart; the rows of a day are spread over it."""
    def change(rows: list[Row]) -> str:
        body = [[*row[:-2], iso(row[-2]).strftime(form), iso(row[-2]).strftime("%H:%M"), row[-1]] for row in rows[1:]]
        return text_of([[*rows[0][:-2], *names.split(","), rows[0][-1]], *body])
    return whole(base, change)


def turned(base: Base) -> Spoilt:
    """A row for each series, and its times as headers."""
    stamps = sorted({stamp for _, stamp, _ in base.rows})
    values = {(ident, stamp): value for ident, stamp, value in base.rows}
    idents = list(dict.fromkeys(ident for ident, _, _ in base.rows))
    rows = [[ident or "only", *(values.get((ident, stamp), "") for stamp in stamps)] for ident in idents]
    return Spoilt(text_of([["series_id", *stamps], *rows]).encode(), settings={"turn": True})


def with_bad_cell(base: Base, rng: random.Random) -> Spoilt:
    """A turned table with a word in the place of a number: its line is that of the series."""
    spoilt = turned(base)
    rows = [line.split(",") for line in spoilt.data.decode().splitlines()]
    at, column = rng.randrange(1, len(rows)), rng.randrange(1, len(rows[0]))
    rows[at][column] = "abc"
    return replace(spoilt, data=text_of(rows).encode(), damaged=frozenset([0]), lines=frozenset([at + 1]))


def old_tail(base: Base) -> Spoilt:
    """The last rows carry the year before the first."""
    rows = base.cells()
    last = len(rows) - 3
    earlier = iso(rows[0][-2]).year - 1
    for row in rows[last:]:
        row[-2] = f"{earlier}{row[-2][4:]}"
    text = text_of([base.header, *rows])
    return Spoilt(text.encode(), frozenset(range(last, len(rows))), frozenset(range(last + 2, len(rows) + 2)))


def pollutions(base: Base, rng: random.Random) -> Iterator[tuple[str, Spoilt]]:
    """Every kind once, at places of chance."""
    value, date = len(base.header) - 1, len(base.header) - 2
    row = lambda change, **more: one_row(base, rng, change, **more)                 # noqa: E731
    width = len(base.header)
    yield "as it is", whole(base, text_of)
    for place in range(width + 1):
        yield "extra delimiter", row(lambda r, p=place: ",".join([*r[:p], "", *r[p:]]))
    yield "extra delimiter, last row", row(lambda r: ",".join(r) + ",", last=True)
    yield "extra delimiters", row(lambda r: ",".join(r) + ",,,")
    for place in range(width - 1):
        yield "missing delimiter", row(lambda r, p=place: joined(r, p))
    yield "missing cell", row(lambda r: ",".join(r[:-1]))
    yield "missing first cell", row(lambda r: ",".join(r[1:]))
    yield "two rows on one line", row(lambda r: ",".join(r) + "," + ",".join(r))
    for mark in ";|\t :":
        yield "wrong delimiter in a row", row(lambda r, m=mark: m.join(r))
        yield "one wrong delimiter", row(lambda r, m=mark: m.join(r[-2:]) if width == 2 else f"{r[0]},{m.join(r[1:])}")
    for column in range(width):
        yield "quote before a cell", cell(base, rng, column, lambda c: '"' + c)
        yield "quote behind a cell", cell(base, rng, column, lambda c: c + '"')
        yield "quote inside a cell", cell(base, rng, column, lambda c: c[:1] + '"' + c[1:])
        yield "good quotes around a cell", replace(cell(base, rng, column, lambda c: f'"{c}"'), damaged=frozenset())
        yield "spaces around a cell", cell(base, rng, column, lambda c: f" {c} ")
        yield "empty cell", cell(base, rng, column, lambda c: "")
        yield "NUL byte", cell(base, rng, column, lambda c: c[:1] + "\0" + c[1:])
    yield "two stray quotes", two_quotes(base, rng)
    for word in ("n.v.", "abc", "12a", "1.2.3", "--5", "0x1F", "1e", "inf", "-inf", "1e309", "<=5", "5%", "$5", "(5)",
                 "TRUE", "12:30", "2020-01-01", "５", "1_000", "+-3", "#REF!", "5 kg"):
        yield "bad number", cell(base, rng, value, lambda c, w=word: w)
    for word in ("NA", "N/A", "nan", "null", "None", "-", "?", "."):
        yield "missing number", cell(base, rng, value, lambda c, w=word: w)
    yield "decimal comma in a cell", cell(base, rng, value, lambda c: f'"{float(c):.2f}"'.replace(".", ","))
    yield "unquoted decimal comma", cell(base, rng, value, lambda c: f"{float(c):.2f}".replace(".", ","))
    yield "thousands in a cell", replace(
        cell(base, rng, value, lambda c: f'"{float(c):,}"' if abs(float(c)) >= 1000 else c), damaged=frozenset())
    for word in ("abc", "2020-13-01", "2021-02-29", "2020-00-10", "31.04.2020", "13/13/2020", "0000-00-00", "1/2/3",
                 "20200101T", "today", "2020-1", "99999", "2020-01-01 25:00", "9999-12-31", "0001-01-01", "-", "NA"):
        yield "bad date", cell(base, rng, date, lambda c, w=word: w)
    for form in ("%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%Y/%m/%d", "%Y%m%d", "%d/%m/%y"):
        yield "a date in another format", cell(base, rng, date, lambda c, f=form: iso(c).strftime(f))
    for text in ("", "   ", "," * (width - 1), " , "):
        yield "blank line", replace(inserted(base, rng, text), lines=frozenset())
    yield "comment line", inserted(base, rng, "# a remark")
    yield "header in the middle", inserted(base, rng, ",".join(base.header))
    yield "text line", inserted(base, rng, "see next page")
    yield "page break", inserted(base, rng, "\nReport, page 2\n\n" + ",".join(base.header))
    yield "header twice", inserted(base, rng, ",".join(base.header), at=1)
    yield "units below the header", inserted(base, rng, ",".join([""] * (width - 1) + ["kW"]), at=1)
    for title in ("A title", "A title\n", "# made by hand\n# in a hurry", "A title" + "," * (width - 1),
                  "Title\n\nMore"):
        yield "preamble", inserted(base, rng, title, at=0)
    for above in ("lat,lon,height,zone\n52.5,13.4,38,GMT\n", "TOA5,CR1000,x,y,z", "a;b\nc",
                  "Station:,Berlin\nUnit:,kW"):
        yield "table above the table", inserted(base, rng, above, at=0)
    yield "units in two lines", inserted(base, rng, ",".join(["TS"] * (width - 1) + ["kW"]) + "\n" + ",".join(
        [""] * (width - 1) + ["Avg"]), at=1)
    if base.ids:                                                        # of two series one column tells them apart
        several = len({ident for ident, _, _ in base.rows}) > 2
        for names in ("store,item", "Region,Product", "country,station") if several else ("store,item",):
            yield "two columns of ids", two_columns(base, names)
    for names, form in (("Datum,Zeit von", "%d.%m.%Y"), ("day,clock", "%Y-%m-%d"), ("jour,heure", "%d/%m/%Y")):
        yield "day and clock", day_and_clock(base, names, form)
    yield "turned", turned(base)
    yield "turned, bad cell", with_bad_cell(base, rng)
    yield "old tail", old_tail(base)
    for foot in ("\nSource: an office", "Total" + "," * (width - 2) + ",123", "# end", "end"):
        yield "footer", inserted(base, rng, foot, at=-1)
    yield "no header", whole(base, lambda rows: text_of(rows[1:]))
    yield "header too short", whole(base, lambda rows: text_of([rows[0][:-1], *rows[1:]]))
    yield "header too long", whole(base, lambda rows: text_of([[*rows[0], "more"], *rows[1:]]))
    yield "unnamed column in front", whole(base, lambda rows: text_of([rows[0], *(
        [str(k), *r] for k, r in enumerate(rows[1:]))]))
    yield "counter in front", whole(base, lambda rows: text_of([["", *rows[0]], *(
        [str(k), *r] for k, r in enumerate(rows[1:]))]))
    yield "header in capitals", whole(base, lambda rows: text_of([[c.upper() for c in rows[0]], *rows[1:]]))
    yield "empty name", whole(base, lambda rows: text_of([[*rows[0][:-1], ""], *rows[1:]]))
    yield "name twice", whole(base, lambda rows: text_of([["date"] * width, *rows[1:]]))
    yield "columns in another order", whole(base, lambda rows: text_of([row[::-1] for row in rows]))
    yield "trailing delimiter everywhere", whole(base, lambda rows: text_of([[*row, ""] for row in rows]))
    yield "trailing delimiter, not in the header", whole(base, lambda rows: text_of([rows[0], *(
        [*row, ""] for row in rows[1:])]))
    for mark in ";\t|":
        yield "another delimiter", whole(base, lambda rows, m=mark: text_of(rows, mark=m))
        yield "decimal comma", numbered(base, comma, mark)
    yield "space as delimiter", whole(base, lambda rows: text_of(rows, mark=" "))
    yield "delimiter and space", whole(base, lambda rows: text_of(rows, mark=", "))
    yield "all quoted", whole(base, lambda rows: text_of(rows, quote='"'))
    yield "all quoted, another delimiter", whole(base, lambda rows: text_of(rows, quote='"', mark=";"))
    yield "all quoted, with spaces", whole(base, lambda rows: text_of(rows, quote='"', mark=", "))
    yield "single quotes", whole(base, lambda rows: text_of(rows, quote="'"))
    for end in ("\r\n", "\r", "\n\n"):
        yield "other line ends", whole(base, lambda rows, e=end: text_of(rows, end=e))
    yield "mixed line ends", mixed_ends(base, rng)
    yield "no last line end", whole(base, lambda rows: text_of(rows).rstrip("\n"))
    yield "blank lines at the end", whole(base, lambda rows: text_of(rows) + "\n\n\n")
    for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield "encoding", whole(base, lambda rows, n=name: text_of(rows).encode(n))
    yield "two marks", whole(base, lambda rows: b"\xef\xbb\xbf" + text_of(rows).encode("utf-8-sig"))
    yield "end of file as in DOS", whole(base, lambda rows: text_of(rows).encode() + b"\x1a")
    yield "a remark with commas", with_notes(base, rng, '"a, b ""c"""')
    yield "a remark over lines", with_notes(base, rng, '"first\nsecond"')
    yield "a remark in latin-1", replace(whole(base, lambda rows: text_of(
        [[*row, "caf\xe9"] for row in rows]).encode("latin-1")))
    yield "row left out", without_row(base, rng)
    yield "row twice", again(base, rng, changed=False)
    yield "row twice, other value", again(base, rng, changed=True)
    yield "newest first", moved(base, lambda rows: rows[::-1])
    yield "in no order", moved(base, lambda rows: rng.sample(rows, len(rows)))
    yield "cut off", cut(base, rng)
    yield "second table, same header", second_table(base, header=True, other=False)
    yield "second table, other header", second_table(base, header=True, other=True)
    yield "second table, no header", second_table(base, header=False, other=False)
    day = all(stamp.endswith("00:00:00") or len(stamp) == 10 for _, stamp, _ in base.rows)
    clock = "" if day else " %H:%M:%S"
    for form in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%b-%Y", "%b %d %Y", "%d %B %Y", "%d/%m/%y"):
        yield "dates in another format", dated(base, form + clock)
    yield "dates in another format", dated(base, "%Y%m%d" if day else "%Y-%m-%dT%H:%M:%SZ")
    yield "thousands", numbered(base, lambda v: f'"{float(v):,.2f}"' if float(v) == round(float(v), 2) else v)
    yield "currency", numbered(base, lambda v: f"${v}")
    yield "unit", numbered(base, lambda v: f"{v} kW")
    yield "exponents", numbered(base, lambda v: f"{float(v):.17e}")
    if base.ids:
        for change in ("NA{}", "00{}", "={}", "-{}", "{} ", "é{}", "1e{}", "'{}", "{}\u202e"):
            yield "odd ids", renamed(base, lambda i, c=change: c.format(i))
    for kind, data, damaged, lines, settings in (*kinds.events(base.rows, rng), *kinds.sheets(base.rows, rng)):
        yield kind, Spoilt(data, damaged, lines, None, settings)
    yield "nothing", Spoilt(b"", lines=None)
    yield "header only", Spoilt((",".join(base.header) + "\n").encode(), lines=None)


def load(path: Path, most: int) -> Base:
    """The first rows of a file as the truth, read with nothing but csv and float."""
    with path.open(encoding="utf-8", newline="") as stream:
        names, *rows = csv.reader(stream)
    lower = [n.lower() for n in names]
    time = next(k for k, n in enumerate(lower) if n in ("ds", "date", "timestamp", "month", "time"))
    ident = next((k for k, n in enumerate(lower) if n in ("unique_id", "id", "store", "series")), None)
    value = next(k for k in range(len(names)) if k not in (time, ident))
    integers = rows[0][time].isdigit()
    found, counts = [], Counter[str]()
    limit = most if ident is None else most // 4
    for row in rows:
        name = "" if ident is None else row[ident]
        if counts[name] >= limit or (len(counts) == 4 and name not in counts):
            continue
        stamp = str(np.datetime64("2019-03-01") + counts[name]) if integers else row[time]
        stamp = stamp if len(stamp) > 7 else stamp + "-01"
        counts[name] += 1
        found.append((name, stamp, row[value]))
    return Base(tuple(found), ident is not None)


Read = Callable[[Spoilt], tuple[Truth, bool]]


def outcome(base: Base, spoilt: Spoilt, read: Read) -> tuple[str, bool | None, str]:
    """exact, repaired, refused or silent; whether a refusal names the line; and what was said."""
    try:
        found, said = read(spoilt)
    except ForecastError as error:
        return "refused", named(error.problem.row, spoilt), str(error)
    except (ValueError, TypeError, OverflowError, KeyError, IndexError, AttributeError) as error:
        return "refused", named(line_in(str(error)), spoilt), str(error)
    truth = base.truth()
    if spoilt.rename:
        truth = {spoilt.rename(k): v for k, v in truth.items()}
    if not base.ids:
        found = {"": next(iter(found.values()))} if len(found) == 1 else found
    if matches(found, truth):
        return ("repaired" if said else "exact"), None, ""
    damaged = [base.rows[k][:2] for k in spoilt.damaged]
    for ident, stamp in damaged:
        truth.get(ident, {}).pop(stamp, None)
        found.get(ident, {}).pop(stamp, None)
    known = {k: v for k, v in found.items() if k in truth}
    same = matches(known, {k: v for k, v in truth.items() if v})
    return ("repaired" if same and said else "silent"), None, repr(found)[:200]


def matches(found: Truth, truth: Truth) -> bool:
    """Equal values at equal stamps in equal series."""
    if sorted(found) != sorted(truth):
        return False
    for ident, series in truth.items():
        mine = found[ident]
        if series.keys() != mine.keys() or any(abs(mine[t] - v) > 1e-9 * max(1, abs(v)) for t, v in series.items()):
            return False
    return True


def ours(folder: Path) -> Read:
    path = folder / "f.csv"

    def read(spoilt: Spoilt) -> tuple[Truth, bool]:
        path.write_bytes(spoilt.data)
        reading = read_panel(path, DataConfig(**spoilt.settings))
        panel = reading.panel
        found = {}
        for s, ident in enumerate(panel.ids):
            stamps = [str(t) for t in panel.times(s).astype("datetime64[s]")]
            found[str(ident)] = dict(zip(stamps, panel.values(s).tolist(), strict=True))
        return found, bool(reading.repairs)
    return read


def strict_pandas(spoilt: Spoilt) -> tuple[Truth, bool]:
    """What a careful person writes: ids as text, dates and numbers parsed or else an error."""
    is_sheet = spoilt.data[:4] == b"PK\x03\x04"
    frame = pd.read_excel(io.BytesIO(spoilt.data)) if is_sheet else pd.read_csv(io.BytesIO(spoilt.data))
    frame.columns = [str(c).strip().lower() for c in frame.columns]
    names = [str(i) for i in frame["series_id"]] if "series_id" in frame else [""] * len(frame)
    stamps = pd.to_datetime(frame["date"]).dt.tz_localize(None)
    values = pd.to_numeric(frame["value"])
    if every := spoilt.settings.get("every"):
        table = pd.DataFrame({"name": names, "value": list(values)}, index=pd.DatetimeIndex(stamps))
        freq = {"hour": "h", "day": "D", "week": "W-MON", "month": "MS"}[every]
        steps = table.groupby("name")["value"].resample(freq).sum()
        names, stamps, values = (list(part) for part in (*zip(*steps.index, strict=True), steps))
    found: Truth = {}
    for ident, stamp, number in zip(names, stamps, values, strict=True):
        if stamp.isoformat() in found.setdefault(ident, {}):
            raise ValueError("duplicate")
        found[ident][stamp.isoformat()] = float(number)
    if any(np.isnan(v) for series in found.values() for v in series.values()):
        raise ValueError("missing values")
    return found, False


def line_in(message: str) -> int | None:
    """The line that pandas names, or the row below the header that it counts from 0."""
    line, position = re.search(r"line (\d+)", message), re.search(r"position (\d+)", message)
    return int(line.group(1)) if line else int(position.group(1)) + 2 if position else None


def named(line: int | None, spoilt: Spoilt) -> bool | None:
    """Whether the line is right; None where no one line is to blame."""
    if spoilt.lines is None or not (spoilt.damaged or spoilt.lines):
        return None
    return line in spoilt.lines


def with_seconds(base: Base) -> Base:
    return replace(base, rows=tuple((i, iso(t).isoformat(), v) for i, t, v in base.rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", choices=("silent", "misnamed", "refused"))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    base = load(options.file, options.rows)
    truth = with_seconds(base)
    counts: dict[str, Counter[str]] = {"ours": Counter(), "strict pandas": Counter()}
    lines: dict[str, Counter[bool]] = {"ours": Counter(), "strict pandas": Counter()}
    with tempfile.TemporaryDirectory() as folder:
        readers = {"ours": ours(Path(folder)), "strict pandas": strict_pandas}
        for _ in range(options.repeats):
            for kind, spoilt in pollutions(base, rng):
                for name, read in readers.items():
                    result, right, said = outcome(truth, spoilt, read)
                    counts[name][result] += 1
                    if result == "refused" and right is not None:
                        lines[name][right] += 1
                    wanted = options.list == result or (options.list == "misnamed" and right is False)
                    if name == "ours" and wanted:
                        print(f"{kind}: {said}  expected {sorted(spoilt.lines or ())[:5]}")
    for name, count in counts.items():
        total = sum(count.values())
        told = lines[name][True] / max(1, lines[name].total())
        shares = [f"{k} {count[k]:,} ({count[k] / total:.1%})" for k in ("exact", "repaired", "refused", "silent")]
        print(f"{name:14} {total:,} files: {', '.join(shares)}; "
              f"right line in {told:.1%} of {lines[name].total():,} refusals")


if __name__ == "__main__":
    main()
