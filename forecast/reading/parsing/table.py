"""Table: the wanted columns of a text, every cell as it is written, and the physical line of every row.

A row with too many or too few fields is a fault, never a guess. What cells mean is numbers.py's and dates.py's."""

# N rows

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from forecast.errors import DataError, Problem
from forecast.reading.parsing.dialect import LOOK, Dialect
from forecast.reading.parsing.records import Records, find_records
from forecast.reading.parsing.strays import without_strays
from forecast.reading.sources.files import Text
from forecast.series.arrays import Ints
from forecast.text import counted, quoted

Cells = Any                         # pyarrow.ChunkedArray of strings

MAX_LINE = 16 << 20
BLOCK = 1 << 20                     # bytes parsed at a time, at least
LISTED = 20_000                     # rows with a cell too many listed one by one
_FOOTER_RECORDS = 10
_BREAK = re.compile("\r\n|\n|\r")
ASIDE = "--bad-rows quarantine sets such rows aside"


class Lines:
    """The physical line of each of `rows`, counted when it is first asked for."""

    def __init__(self, text: Text, dialect: Dialect | None, rows: int, kept: Ints | None = None) -> None:
        self._text, self._dialect, self._rows, self._kept = text, dialect, rows, kept
        self._records: Records | None = None

    def take(self, rows: NDArray[np.bool_]) -> Lines:
        """Of these rows only."""
        at = np.flatnonzero(rows)
        return Lines(self._text, self._dialect, at.size, at if self._kept is None else self._kept[at])

    def of(self, row: int) -> int:
        if self._dialect is None:                                   # no lines in the file: rows, as in Parquet
            return row + 1
        if self._first_of_even:
            return self._first_of_even + row
        record = row if self._kept is None else int(self._kept[row])
        return int(self.records.line[record + self._dialect.body])

    @cached_property
    def _first_of_even(self) -> int:
        """The line of the first row where each row has one line of its own, as in most files; else 0."""
        assert self._dialect is not None
        data, offset, quote = self._text.data, self._dialect.offset, self._dialect.quote
        if self._kept is not None or (quote and quote.encode() in data) or _lone_returns(data):
            return 0
        body = data.count(b"\n", offset) + (data[-1:] != b"\n")
        return 1 + data.count(b"\n", 0, offset) if body == self._rows else 0

    def header(self, row: int, column: str) -> str:
        """The header over a cell of this column, where the file itself has another."""
        return column

    def text(self, row: int) -> str:
        """The row as the file writes it."""
        if self._dialect is None:
            return ""
        record = row if self._kept is None else int(self._kept[row])
        return self.records.text(record + self._dialect.body)

    @property
    def records(self) -> Records:
        if self._records is None and self._dialect is not None:
            self._records = find_records(self._text.data, self._dialect.delimiter, self._dialect.quote)
        assert self._records is not None
        return self._records


@dataclass(frozen=True)
class Table:
    """`columns[k]` holds the cells of field k for every field asked for."""

    file: str
    names: tuple[str, ...]
    columns: dict[int, Cells]
    rows: int
    lines: Lines
    faults: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = field(default=())   # footers and comments

    def without(self, columns: Collection[int]) -> Table:
        """Less cells to hold."""
        return dataclasses.replace(self, columns={k: c for k, c in self.columns.items() if k not in columns})


def read_table(text: Text, dialect: Dialect, file: str, wanted: Sequence[int], *, set_aside: bool = False,
               repeated: Collection[int] = ()) -> Table:
    """The wanted fields as text, those `repeated` as dictionaries of the texts that come again and again.

    Raises DataError for broken quotes and, unless `set_aside`, for ragged rows."""
    last = dialect.fields - 1
    nameless = dialect.has_header and not dialect.names[-1] and last not in wanted
    table = _read(text, dialect, file, [*wanted, last] if nameless else wanted, repeated, set_aside=set_aside)
    return _without_overhang(table, last, set_aside=set_aside) if nameless else table


def check_lines(data: bytes, file: str) -> None:
    """Raises DataError for a line longer than any table has, before anything is counted in it."""
    at = 0
    while len(data) - at > MAX_LINE:
        stop = at + MAX_LINE
        end = max(data.rfind(b"\n", at, stop), data.rfind(b"\r", at, stop))
        if end < 0:
            line = 1 + data.count(b"\n", 0, at) + data.count(b"\r", 0, at) - data.count(b"\r\n", 0, at)
            raise DataError(f"the line has more than {MAX_LINE:,} bytes", file=file, row=line, code="long_line")
        at = end + 1


def _without_overhang(table: Table, last: int, *, set_aside: bool) -> Table:
    """Without the last column, which has no name: where the first rows leave it empty, a delimiter ends every row. A
    cell that stands there in a later row comes of a field that was parted, by a decimal comma or a comma in a text."""
    columns = {k: cells for k, cells in table.columns.items() if k != last}
    written = np.asarray(pc.match_substring_regex(table.columns[last], r"\S"), dtype=bool)
    if not written.any() or written[:LOOK // 2].any():
        return dataclasses.replace(table, columns=columns)
    kept = ~written
    faults = tuple(Problem("extra_field", f"has {counted(last + 1, 'field')}, the header {last}: "
                           f"{quoted(table.lines.text(int(r)), 60)}", table.file, table.lines.of(int(r)), None,
                           table.lines.text(int(r))[:200], f"Quote the field that holds the delimiter; {ASIDE}")
                   for r in np.flatnonzero(written)[:LISTED])
    if not set_aside or 2 * int(written.sum()) > table.rows:
        raise DataError(faults[0], more=faults[1:])
    columns = {k: cells.filter(pa.array(kept)) for k, cells in columns.items()}
    return dataclasses.replace(table, columns=columns, rows=int(kept.sum()), lines=table.lines.take(kept),
                               faults=(*table.faults, *faults))


def _read(text: Text, dialect: Dialect, file: str, wanted: Sequence[int], repeated: Collection[int], *,
          set_aside: bool) -> Table:
    records, data, spoilt = None, text.data, tuple[Problem, ...]()
    if dialect.quote and data.find(dialect.quote.encode(), dialect.offset) >= 0:
        if set_aside:
            data, spoilt = without_strays(data, dialect.delimiter, dialect.quote, file, dialect.offset)
            text = Text(data) if spoilt else text
        records = find_records(data, dialect.delimiter, dialect.quote)
        _check_quotes(records, file)
        _check_swallowed(records, dialect, file)
    broken = records is not None and records.broken_lines
    try:
        columns = _arrow(memoryview(data)[dialect.offset:], dialect, wanted, repeated, broken_lines=broken)
        return Table(file, dialect.names, columns, _rows(columns), Lines(text, dialect, _rows(columns)), spoilt)
    except pa.ArrowInvalid:
        records = records or find_records(data, dialect.delimiter, dialect.quote)
    table = _read_ragged(records, dialect, file, wanted, repeated, set_aside=set_aside)
    return dataclasses.replace(table, faults=(*spoilt, *table.faults))


def below(data: bytes, line: int, file: str) -> tuple[bytes, tuple[tuple[int, str], ...]]:
    """A text from this physical line on, empty lines in the place of those above, and what stood there. No line moves.

    Raises DataError where it has no such line, or nothing stands there."""
    ends = [match.end() for match in itertools.islice(re.finditer(rb"\r\n|\n|\r", data), line)]
    begin = ends[line - 2] if line > 1 and len(ends) >= line - 1 else 0 if line == 1 else len(data)
    names = _BREAK.split(data[begin:begin + MAX_LINE].decode("utf-8", "replace"), 1)[0]
    if not names.strip():
        raise DataError(f"--header-line {line}: no names stand there", file=file, row=line, code="bad_header",
                        hint="Give the number of the line that names the columns, counted from 1")
    texts = _BREAK.split(data[:begin].decode("utf-8", "replace"))
    above = tuple((k, text) for k, text in enumerate(texts, 1) if text.strip())
    return b"\n" * (line - 1) + data[begin:], above


def aligned(data: bytes) -> bytes:
    """A text in columns of spaces, with one space between two fields. No line moves."""
    return re.sub(rb"(?m)^ +| +(?=\r?$)", b"", re.sub(rb"[ \t]+", b" ", data))


def escapes_quotes(data: bytes, dialect: Dialect) -> bool:
    """Whether quotes make sense only when \\" stands for a quote inside quotes."""
    plain, doubled = (find_records(text, dialect.delimiter) for text in (data, data.replace(b'\\"', b'""')))
    return plain.stray is not None and doubled.stray is None and doubled.open_quote is None


def without_spaces(data: bytes, dialect: Dialect) -> bytes:
    """The text without spaces between a delimiter and a quote, where every delimiter is followed by a space."""
    if not (dialect.skip_space and dialect.quote and dialect.quote.encode() in data):
        return data
    space = re.escape(dialect.delimiter.encode()) + b" +" + re.escape(dialect.quote.encode())
    return re.sub(space, (dialect.delimiter + dialect.quote).encode(), data)


def _rows(columns: dict[int, Cells]) -> int:
    return len(next(iter(columns.values()))) if columns else 0


def _lone_returns(data: bytes) -> bool:
    """Whether a line ends in a CR without LF."""
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def as_texts(cells: Cells) -> Cells:
    """Cells one by one, where they are kept as a dictionary."""
    return cells.cast(pa.string()) if pa.types.is_dictionary(cells.type) else cells


def _arrow(body: memoryview, dialect: Dialect, wanted: Sequence[int], repeated: Collection[int], *,
           broken_lines: bool) -> dict[int, Cells]:
    names = [str(k) for k in range(dialect.fields)]
    types = dict.fromkeys(names, pa.string()) | {str(k): pa.dictionary(pa.int32(), pa.string()) for k in repeated}
    if not len(body):
        return {k: pa.chunked_array([], types[str(k)]) for k in wanted}
    table = csv.read_csv(
        pa.BufferReader(pa.py_buffer(body)),
        read_options=csv.ReadOptions(column_names=names, block_size=min(max(BLOCK, len(body) // 64), MAX_LINE)),
        parse_options=csv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote or False,
                                       newlines_in_values=broken_lines),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False,
                                           include_columns=[str(k) for k in wanted]),
        memory_pool=_pool())
    return {k: table.column(str(k)) for k in wanted}


@lru_cache
def _pool() -> Any:
    """Memory that goes back to the system when cells are let go of: jemalloc, where Arrow was built with it."""
    if "jemalloc" not in pa.supported_memory_backends():
        return pa.default_memory_pool()
    pa.jemalloc_set_decay_ms(0)                                         # at once, not seconds later
    return pa.jemalloc_memory_pool()


def _check_quotes(records: Records, file: str) -> None:
    at = records.stray if records.stray is not None else records.open_quote
    if at is None:
        return
    data = records.data
    line = 1 + data.count(b"\n", 0, at) + data.count(b"\r", 0, at) - data.count(b"\r\n", 0, at)
    bound = max(data.rfind(b"\n", 0, at), data.rfind(b"\r", 0, at)) + 1
    shown = data[bound:bound + 400].decode("utf-8", "replace").splitlines()[0]
    what = "a quote stands inside a field or is never closed" if records.stray is not None else \
        "a quote is never closed"
    raise DataError(f"{what}: {quoted(shown, 60)}", file=file, row=line, code="stray_quote", value=shown,
                    hint='Remove it, or write "" for a quote inside quotes')


def _check_swallowed(records: Records, dialect: Dialect, file: str) -> None:
    """A record over several lines of which each alone would be a row: two stray quotes far apart."""
    if not records.broken_lines:
        return
    following = np.append(records.line[1:], 1 + records.data.count(b"\n"))
    for r in np.flatnonzero(following - records.line > 1):
        text = records.text(int(r))
        lines = [line for line in _BREAK.split(text) if line.strip()]
        if dialect.fields > 1 and len(lines) > 1 and all(_may_be_row(line, dialect) for line in lines):
            raise DataError(f"a quoted field runs over several lines and holds rows: {quoted(text, 60)}", file=file,
                            row=int(records.line[r]), code="stray_quote",
                            hint="Remove the stray quotes, or the line breaks inside the field")


def _may_be_row(line: str, dialect: Dialect) -> bool:
    """Whether a line alone has the fields of a row, its quotes taken as letters or paired from either end."""
    quote = re.escape(dialect.quote or '"')
    pair = f"{quote}[^{quote}]*{quote}"
    return dialect.fields - 1 in {text.count(dialect.delimiter)
                                  for text in (line, re.sub(pair, "", line), re.sub(pair, "", line[::-1]))}


def _read_ragged(records: Records, dialect: Dialect, file: str, wanted: Sequence[int], repeated: Collection[int], *,
                 set_aside: bool) -> Table:
    """The same, row by row: blank lines and footers left out, other misfits named."""
    fields, lengths = records.fields[dialect.body:], (records.stop - records.start)[dialect.body:]
    longest = int(lengths.max()) if lengths.size else 0
    if longest >= MAX_LINE:
        row = int(records.line[dialect.body + int(lengths.argmax())])
        raise DataError(f"the line has {longest:,} bytes; {MAX_LINE:,} at most", file=file, row=row, code="long_line")
    misfits = np.flatnonzero(fields != dialect.fields)
    blank = [int(r) for r in misfits if not records.text(dialect.body + int(r)).strip(" \t,;|")]
    misfits = np.setdiff1d(misfits, blank)
    footer = np.union1d(_footer(records, misfits, dialect), _comments(records, misfits, dialect))
    misfits = np.setdiff1d(misfits, footer)
    faults = tuple(_ragged(records, int(r), int(fields[r]), dialect, file) for r in misfits)
    if faults and not set_aside:
        raise DataError(faults[0], more=faults[1:])
    kept = np.setdiff1d(np.arange(len(fields)), np.concatenate([misfits, blank, footer]).astype(np.int64))
    start, stop = records.start[dialect.body:][kept], records.stop[dialect.body:][kept]
    view = memoryview(records.data)
    body = memoryview(b"\n".join(view[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True)))
    try:
        columns = _arrow(body, dialect, wanted, repeated, broken_lines=records.broken_lines)
    except pa.ArrowInvalid as error:
        raise DataError("cannot be parted into fields", file=file, code="bad_table",
                        hint="Try --delimiter") from error
    left_out = tuple(Problem("footer", f"left out: {quoted(records.text(dialect.body + int(r)), 60)}", file,
                             int(records.line[dialect.body + int(r)])) for r in footer)
    lines = Lines(Text(records.data), dialect, _rows(columns), kept)
    return Table(file, dialect.names, columns, _rows(columns), lines, faults, left_out)


def _footer(records: Records, misfits: Ints, dialect: Dialect) -> Ints:
    """Single-field records at the very end, behind a blank line or marked as a comment."""
    count = len(records) - dialect.body
    at = count
    while at - 1 in misfits[-_FOOTER_RECORDS:] and dialect.delimiter not in records.text(dialect.body + at - 1):
        at -= 1
    if at == count or at < 2:
        return np.empty(0, dtype=np.int64)
    first = dialect.body + at
    apart = records.line[first] - records.line[first - 1] > 1 + records.text(first - 1).count("\n")
    return np.arange(at, count) if apart or records.text(first).startswith("#") else np.empty(0, dtype=np.int64)


def _comments(records: Records, misfits: Ints, dialect: Dialect) -> Ints:
    return np.array([r for r in misfits if records.text(dialect.body + int(r)).startswith("#")], dtype=np.int64)


def _ragged(records: Records, row: int, fields: int, dialect: Dialect, file: str) -> Problem:
    text = records.text(dialect.body + row)
    more = fields > dialect.fields
    return Problem("extra_field" if more else "missing_field",
                   f"has {counted(fields, 'field')}, the header {dialect.fields}: {quoted(text, 60)}", file,
                   int(records.line[dialect.body + row]), None, text[:200],
                   f"{'Quote the field that holds the delimiter; ' if more else ''}{ASIDE}")


def from_columns(table: Any, file: str, names: Sequence[str], wanted: Sequence[int]) -> Table:
    """The same from a Parquet file whose columns are called `names`, and of which the table holds those wanted."""
    columns = {k: as_written(table.column(at)) for at, k in enumerate(wanted)}
    return Table(file, tuple(names), columns, table.num_rows, Lines(Text(b""), None, table.num_rows))


def as_written(column: Any) -> Cells:
    """Any column as the text a CSV file would hold; a missing value is an empty cell."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_timestamp(kind):
        column = _short_stamps(column)
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_null(kind):
        return pa.chunked_array([pa.array([""] * len(column), pa.string())])
    return pc.fill_null(column.cast(pa.string()), "")


def _short_stamps(column: Any) -> Any:
    """Without the zeros that all stamps share. A cast may cut silently, so what it gives is cast back and compared."""
    zone = column.type.tz
    for unit in (*([pa.date32()] if zone is None else []), pa.timestamp("s", zone), pa.timestamp("us", zone)):
        with contextlib.suppress(pa.ArrowInvalid):
            short = column.cast(unit)
            if short.cast(column.type).equals(column):
                column = short
                break
    return column if zone is None else pc.strftime(column, format="%Y-%m-%dT%H:%M:%S%z")
