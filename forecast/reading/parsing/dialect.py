"""Dialect: which character parts the fields, where the header stands, what stands above it.

Found from the first records of the text and checked by the table on all of them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from forecast.errors import DataError
from forecast.reading.parsing.kinds import kind
from forecast.reading.parsing.records import Records, find_records
from forecast.text import counted, listed, quoted

DELIMITERS = (",", ";", "\t", "|", " ")
NAMES = {"\t": "tab", " ": "space", ",": "comma", ";": "semicolon", "|": "pipe"}
SAMPLE = 1 << 18                    # bytes looked at
LOOK = 60                           # records looked at closely
MAX_FIELDS = 10_000
_DATA = ("integer", "number", "date", "clock")
_OTHER = ((re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{])'), "JSON"),
          (re.compile(rb"\s*<(!|\?xml|html|head|body|table|div|svg|p>)", re.IGNORECASE), "HTML or XML"))
_TITLES = 20                        # lines above a header
_SECOND = 3                         # further header rows
_FEW = 3                            # times in a header that tell a turned table
_YEAR = re.compile(r"(1[5-9]|2[01])\d\d")


@dataclass(frozen=True)
class Dialect:
    """How the text is laid out. body: records above the first row of data; offset: the byte where it begins."""

    delimiter: str
    quote: str | None
    names: tuple[str, ...]          # headers as written; "1", "2", ... where there are none
    body: int
    offset: int
    has_header: bool = True
    skip_space: bool = False        # a space follows each delimiter
    notes: tuple[str, ...] = ()
    above: tuple[tuple[int, str], ...] = ()     # lines over the header left out, and their text
    second: tuple[tuple[int, str], ...] = ()    # further header rows left out

    @property
    def fields(self) -> int:
        return len(self.names)


def find_dialect(data: bytes, file: str, *, delimiter: str | None = None, known: Sequence[str] = (),
                 given: bool = False) -> Dialect:
    """The dialect of a text. `known`: header names that are ours in any case, and so are no data. `given`: the first
    record is known to be the header.

    Raises DataError where no delimiter parts it evenly or no header stands above the rows."""
    head = _head(data)
    if not head.strip():
        raise DataError("is empty", file=file, code="empty", hint="It needs a header and rows of data")
    if other := next((name for begin, name in _OTHER if begin.match(head)), ""):
        raise DataError(f"is {other}, not a table", file=file, row=1, code="not_a_table",
                        hint="Save it as CSV: a header and one row per time")
    chosen = mark_of(delimiter) if delimiter else None
    scores = [_score(head, mark, quote) for mark in ((chosen,) if chosen else DELIMITERS) for quote in _quotes(head)]
    best = max(scores, key=lambda s: s.rank)
    if best.delimiter == " " and len(best.rows[0]) == 1:            # it parts dates from clocks alone
        best = max((s for s in scores if s.fields > 1 and len(s.rows[0]) == s.fields), key=lambda s: s.rank,
                   default=best)
    if best.fields < 2:
        raise DataError("has one column only", file=file, row=1, code="one_column",
                        hint="It needs a time and a value column; try --delimiter if something else parts them")
    if best.fields > MAX_FIELDS:
        raise DataError(f"has {best.fields:,} columns; {MAX_FIELDS:,} at most", file=file, row=1,
                        code="too_many_columns", hint="Leave out columns, or write one row per series and time")
    dialect = _with_header(best, file, known, given=given)
    notes = () if best.delimiter == "," or chosen else (f"delimiter {NAMES.get(best.delimiter, best.delimiter)}",)
    return replace(dialect, notes=notes + dialect.notes)


def split(text: str, delimiter: str, quote: str | None, *, skip_space: bool = False) -> list[str]:
    """The fields of one record."""
    if quote is None or quote not in text:
        cells = text.split(delimiter)
        return [c.lstrip(" ") for c in cells] if skip_space else cells
    lines = io.StringIO(text, newline="")
    try:
        return next(csv.reader(lines, delimiter=delimiter, quotechar=quote, skipinitialspace=skip_space), [])
    except csv.Error:
        return text.split(delimiter)


def mark_of(given: str) -> str:
    """The character that a caller names. Raises DataError where it is not one."""
    mark = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}.get(given, given)
    if len(mark) != 1 or mark in "\"\r\n" or not mark.isascii():
        raise DataError(f"--delimiter {quoted(given)} is not one character", code="bad_delimiter",
                        hint="As in ';' or tab")
    return mark


def _head(data: bytes) -> bytes:
    """The first records, cut behind a line break."""
    if len(data) <= SAMPLE:
        return data
    cut = max(data.rfind(b"\n", 0, SAMPLE), data.rfind(b"\r", 0, SAMPLE))
    return data[:cut + 1] if cut > 0 else data[:SAMPLE]


def _quotes(head: bytes) -> tuple[str | None, ...]:
    if b'"' in head:
        return ('"',)
    return ('"', "'") if b"'" in head else ('"',)


@dataclass(frozen=True)
class _Score:
    delimiter: str
    quote: str | None
    records: Records
    rows: list[list[str]]           # the first records as cells
    fields: int                     # the usual number of them
    rank: tuple[float, ...]


def _score(head: bytes, delimiter: str, quote: str | None) -> _Score:
    """How evenly a delimiter parts the records, and how many cells then look like data."""
    records = find_records(head, delimiter, quote)
    rows = [split(records.text(r), delimiter, quote, skip_space=True) for r in range(min(len(records), LOOK))]
    widths = Counter(len(row) for row in rows[len(rows) // 3:]) or Counter([1])
    fields, _ = max(widths.items(), key=lambda item: (item[1], item[0]))
    even = [row for row in rows if len(row) == fields]
    share = len(even) / max(1, len(rows))
    cells = [cell for row in even[1:] or even for cell in row[:200]]
    typed = sum(kind(cell) != "text" for cell in cells) / max(1, len(cells))
    wrapped = quote == "'" and all(
        c.strip()[:1] == c.strip()[-1:] == "'" for c in records.text(0).split(delimiter))
    clean = records.stray is None
    usable = fields > 1 and (quote == '"' or wrapped)
    rank = (usable, usable and share > 0.5, round(share * (typed + 0.25) * (1 if clean else 0.8), 2), wrapped,
            -DELIMITERS.index(delimiter) if delimiter in DELIMITERS else 0)
    return _Score(delimiter, quote, records, rows, fields, rank)


def _with_header(best: _Score, file: str, known: Sequence[str], *, given: bool) -> Dialect:
    """Find the header among the first records. Preamble above it is skipped and said; a row of data never is. `given`:
    the first record is the header, whatever it looks like."""
    rows, fields = best.rows, best.fields
    at, lowered = _header_at(best, known) if not given else (0, False)
    line = int(best.records.line[at]) if len(best.records) else 1
    header, trailing = _padded(rows, at, fields)
    body = [row for row in rows[at + 1:] if len(row) == fields]
    looks = _header_likeness(header, body, known) if not given and not _is_turned(header, body) else "header"
    if looks == "row" and at == 0:
        names = tuple(str(k + 1) for k in range(fields))
        return Dialect(best.delimiter, best.quote, names, 0, int(best.records.start[0]), has_header=False,
                       skip_space=_spaced(best), notes=("no header",))
    above = rows[:at]
    if looks != "header" or len(header) != fields or (at and not lowered and not _is_preamble(above)):
        raise _no_header(best, file, line, len(header) if given else len(rows[0]))
    notes: tuple[str, ...] = ()
    second = _second_headers(header, rows[at + 1:], fields)
    if trailing:
        notes += ("a delimiter ends every row and not the header",)
    first = at + 1 + len(second)
    offset = int(best.records.start[first]) if first < len(best.records) else len(best.records.data)
    return Dialect(best.delimiter, best.quote, tuple(cell.strip() for cell in header), first, offset,
                   skip_space=_spaced(best), notes=notes,
                   above=tuple((int(best.records.line[r]), best.records.text(r)) for r in range(at)
                               if not _EXCEL.fullmatch(best.records.text(r).strip())),
                   second=tuple((int(best.records.line[at + 1 + k]), said) for k, said in enumerate(second)))


def _header_at(best: _Score, known: Sequence[str]) -> tuple[int, bool]:
    """The first record whose names may fit the rows below, and whether it was found by a name that we know."""
    rows, fields = best.rows, best.fields
    at = 0 if _padded(rows, 0, fields)[1] else next((r for r, row in enumerate(rows) if len(row) == fields), 0)
    while at + 1 < len(rows) and _is_title(rows[at]) and _begins_table(rows, at + 1, fields, known):
        at += 1
    return _lowered(rows, at, fields, known)


def _is_preamble(above: Sequence[Sequence[str]]) -> bool:
    """Whether these lines are no table of their own: at most one of them holds a date beside a number."""
    kinds = [{kind(cell) for cell in row} for row in above if not _is_title(row)]
    return len(above) <= _TITLES and sum("date" in some and bool(some & {"integer", "number"}) for some in kinds) < 2


def _is_turned(header: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether times stand in the header, over numbers, behind names of what each row is about."""
    times = [k for k, cell in enumerate(header) if kind(cell) == "date" or _YEAR.fullmatch(cell.strip())]
    names = [k for k in range(len(header)) if k not in times]
    if len(times) < _FEW or not names or not body or any(kind(header[k]) not in ("text", "missing") for k in names):
        return False
    cells = [kind(row[k]) for row in body for k in times]
    return "text" in (kind(row[k]) for row in body for k in names) and \
        sum(k in ("integer", "number", "missing") for k in cells) > 0.8 * len(cells)


def _no_header(best: _Score, file: str, line: int, names: int) -> DataError:
    uneven = names != best.fields
    fault = f"header has {counted(names, 'name')}, rows have {best.fields}" if uneven else \
        "is neither a header nor a row of data"
    return DataError(fault, file=file, row=int(best.records.line[0]) if uneven else line, code="bad_header",
                     value=best.records.text(0)[:200],
                     hint="Write one name per column on the first line, or --header-line N where names stand on line N")


_EXCEL = re.compile("sep=.", re.IGNORECASE)     # names the delimiter; no preamble


def _lowered(rows: Sequence[Sequence[str]], at: int, fields: int, known: Sequence[str]) -> tuple[int, bool]:
    """The header, where lines above it happen to have as many fields: the first row with a name we know, if the rows
    over it have none and hold words where data follows."""
    for r in range(at, min(at + _TITLES, len(rows) - 1)):
        if not any(cell.strip().lower() in known for cell in rows[r]):
            continue
        body = [row for row in rows[r + 1:] if len(row) == fields]
        typed = [k for k, column in enumerate(zip(*body, strict=True))
                 if sum(kind(c) in _DATA for c in column) > 0.8 * len(column)]
        over = all(any(kind(row[k]) not in _DATA for k in typed if k < len(row)) or len(row) < fields
                   for row in rows[at:r])
        words = len(rows[r]) == fields and typed and all(kind(rows[r][k]) == "text" for k in typed)
        if r > at and words and over and _header_likeness(rows[r], body, known) == "header":
            return r, True
        break
    return at, False


def _begins_table(rows: Sequence[Sequence[str]], at: int, fields: int, known: Sequence[str]) -> bool:
    """Whether a header stands here, or another title."""
    body = [row for row in rows[at + 1:] if len(row) == fields]
    return len(rows[at]) == fields and (_is_title(rows[at]) or _header_likeness(rows[at], body, known) == "header")


def _padded(rows: Sequence[Sequence[str]], at: int, fields: int) -> tuple[list[str], bool]:
    """The header; with a further empty name where every row, and not the header, ends in a delimiter."""
    header, later = list(rows[at]), rows[at + 1:]
    trailing = len(header) == fields - 1 and len(later) > 1 and all(len(r) == fields and not r[-1] for r in later)
    return ([*header, ""], True) if trailing else (header, False)


def _is_title(row: Sequence[str]) -> bool:
    """At most one cell is written: a title or an empty line of a spreadsheet, where tables have several columns."""
    return sum(bool(cell.strip()) for cell in row) <= 1


def _header_likeness(header: Sequence[str], body: Sequence[Sequence[str]], known: Sequence[str]) -> str:
    """"header", "row" or "neither"."""
    kinds = [kind(cell) for cell in header]
    columns = list(zip(*body, strict=True)) if body else []
    typed = [k for k, column in enumerate(columns)
             if sum(kind(c) in _DATA for c in column) > 0.8 * sum(kind(c) != "missing" for c in column)]
    named = any(cell.strip().lower() in known for cell in header)
    if named and (not typed or any(kinds[k] not in _DATA for k in typed)):      # an id may be called "store" too
        return "header"
    if not any(k in _DATA for k in kinds):
        return "header" if any(k == "text" for k in kinds) else "neither"
    if typed and all(kinds[k] == "text" and not re.search(r"\d{3}", header[k]) for k in typed):
        return "header"
    if typed and all(kinds[k] in _DATA or kinds[k] == "missing" for k in typed):
        return "row"
    if kinds[0] in ("text", "missing") and all(k in _DATA for k in kinds[1:]) and len(set(header)) == len(header):
        return "header" if len(header) > 2 and typed and 0 in typed else "neither"
    return "neither"


def _second_headers(header: Sequence[str], rows: Sequence[Sequence[str]], fields: int) -> list[str]:
    """Further header rows, in words: the same again, or units: words only, where every later row holds data."""
    if rows and [c.strip() for c in rows[0]] == [c.strip() for c in header]:
        return ["the header again"]
    for count in range(_SECOND, 0, -1):
        if len(rows) > count and all(len(row) == fields and _is_words(row) for row in rows[:count]) \
                and _is_data([row for row in rows[count:LOOK] if len(row) == fields], rows[:count]):
            return [f"a second header row ({listed([c for c in row if c.strip()], 3)})" for row in rows[:count]]
    return []


def _is_words(row: Sequence[str]) -> bool:
    missing = any(kind(cell) == "missing" and cell.strip() for cell in row)     # "n/a" is no name
    return not missing and all(kind(cell) in ("text", "missing") and not re.search(r"\d{2}", cell) for cell in row) \
        and any(kind(cell) == "text" for cell in row)


def _is_data(later: Sequence[Sequence[str]], words: Sequence[Sequence[str]]) -> bool:
    """Whether all later rows hold data where the last word of each of these rows stands."""
    last = {max(k for k, cell in enumerate(row) if kind(cell) == "text") for row in words}
    return len(later) >= 2 and all(kind(row[k]) in (*_DATA, "missing") for row in later for k in last)


def _spaced(best: _Score) -> bool:
    """Whether a space follows every delimiter of the first records."""
    if best.delimiter == " ":
        return False
    texts = [best.records.text(r) for r in range(len(best.rows))]
    return all(text.count(best.delimiter) == text.count(best.delimiter + " ") for text in texts)
