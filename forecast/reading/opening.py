"""Opening: the bytes of a source become its used columns as text, once dialect and roles are found.

What the cells mean is not asked here, beyond the glance that finds the columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.contract import Contract
from forecast.reading.names import with_joined_ids
from forecast.reading.parsing.dialect import Dialect, find_dialect, split
from forecast.reading.parsing.records import find_records
from forecast.reading.parsing.table import (
    Table,
    aligned,
    below,
    check_lines,
    escapes_quotes,
    from_columns,
    read_table,
    without_spaces,
)
from forecast.reading.roles import KNOWN, NO_ID, Like, Roles, find_beside, find_roles
from forecast.reading.sources.files import Source, Text
from forecast.reading.turned import Turned, turned
from forecast.series.ids import listed_names, names_in

Find = Callable[[str, Sequence[str], Sequence[Sequence[str]]], Roles]   # of a file, its headers and first rows
SAMPLE_ROWS = 1000
SAMPLE_BYTES = 1 << 17
SPARE_COLUMNS = 20                  # looked at, when rows repeat, for one that tells series apart


@dataclass(frozen=True)
class Opened:
    """A file whose columns can be read. dialect: None for Parquet and for frames."""

    source: Source
    dialect: Dialect | None
    roles: Roles
    events: bool = False            # rows at times of their own, which hardly repeat

    @property
    def has_header(self) -> bool:
        return self.dialect is None or self.dialect.has_header

    @property
    def names(self) -> tuple[str, ...]:
        """All headers."""
        if self.source.columns is not None:
            return tuple(self.source.columns.names)
        assert self.dialect is not None
        return self.dialect.names

    def used(self) -> list[int]:
        """Positions of the columns that have a role."""
        return sorted({*self.roles.ids, *self.roles.time, *self.roles.targets, *(k for _, k in self.roles.beside)})

    def read(self, wanted: Sequence[int], *, set_aside: bool) -> Table:
        """These columns; where several name the series, joined in the place of the first of them. Raises DataError."""
        roles, columns = self.roles, self.source.columns
        if columns is not None:
            table = from_columns(columns.read(wanted), self.source.file, columns.names, wanted)
            if isinstance(columns, Turned):
                table = dataclasses.replace(table, lines=columns.lines)
        else:
            assert self.dialect is not None
            again = {*(() if roles.id is None else roles.ids if self.events else (*roles.ids, *roles.time))}
            table = read_table(self.source.text, self.dialect, self.source.file, wanted, set_aside=set_aside,
                               repeated=again - {*roles.targets} if len(roles.time) == 1 else ())
        if len(roles.ids) > 1 and set(roles.ids) <= set(wanted):
            return with_joined_ids(table, roles.ids, spaced=self.dialect is not None and self.dialect.skip_space)
        return table

    def spare(self) -> Table:
        """Columns without a role."""
        return self.read(list(self.roles.spare)[:SPARE_COLUMNS], set_aside=True)


def open_columns(source: Source, find: Find) -> Opened:
    """Data that are columns already, and which of them is which. Raises DataError."""
    columns = source.columns
    assert columns is not None
    head = from_columns(columns.read(range(len(columns.names)), SAMPLE_ROWS), source.file, columns.names,
                        range(len(columns.names)))
    sample = list(zip(*(head.columns[k].to_pylist() for k in range(len(columns.names))), strict=True))
    return Opened(source, None, find(source.file, columns.names, sample))


def open_table(source: Source, options: DataConfig, contract: Contract | None) -> tuple[Opened, Table]:
    """The file and its used columns. Raises DataError where rows are broken or there are none."""
    return _with_rows(_opened(source, options, _named_by(options, contract),
                              partial(find_roles, options=options, contract=contract)), options)


def open_beside(source: Source, options: DataConfig, like: Like) -> tuple[Opened, Table]:
    """A file of covariates that stands beside another one, and its used columns. Raises DataError."""
    ids = names_in(like.id) if like.id is not None else []
    named = [name for name in (*ids, *like.time, *(name for _, name in like.wanted)) if name]
    options = dataclasses.replace(options, turn=False, header_line=None)        # these tell of the main file
    return _with_rows(_opened(source, options, named, partial(find_beside, like=like)), options)


def _with_rows(opened: Opened, options: DataConfig) -> tuple[Opened, Table]:
    table = opened.read(opened.used(), set_aside=options.bad_rows == "quarantine")
    opened.source.text.let_go()
    if not table.rows:
        if table.faults:
            raise DataError(table.faults[0], more=table.faults[1:])
        raise DataError("has a header and no rows", file=opened.source.file, code="no_rows")
    return opened, table


def _opened(source: Source, options: DataConfig, named: Sequence[str], find: Find) -> Opened:
    if source.columns is not None:
        return _turned(source, None, options, find) if options.turn else open_columns(source, find)
    known = (*KNOWN, *(n.lower() for n in named))
    if source.sheet is not None:
        options = dataclasses.replace(options, delimiter=",")       # a workbook's text has no other
    data, dialect = _plain_dialect(source, options, known)
    if data is not source.data:
        source = dataclasses.replace(source, text=Text(data))
    if options.turn:
        return _turned(source, dialect, options, find)
    roles = find(source.file, dialect.names, _sample(source.data, dialect))
    return Opened(source, dialect, roles, options.every is not None)


def _turned(source: Source, dialect: Dialect | None, options: DataConfig, find: Callable[..., Roles]) -> Opened:
    """The columns of the turned table. Raises DataError."""
    if dialect is None:
        assert source.columns is not None
        every = range(len(source.columns.names))
        table = from_columns(source.columns.read(every), source.file, source.columns.names, every)
    else:
        table = read_table(source.text, dialect, source.file, range(dialect.fields),
                           set_aside=options.bad_rows == "quarantine")
    if not table.rows:
        raise DataError("has a header and no rows", file=source.file, code="no_rows")
    columns, said = turned(table, options.id)
    source = dataclasses.replace(source, columns=columns, notes=(*source.notes, said))
    named = dataclasses.replace(options, id=listed_names(columns.names[:-2]) if columns.ids else NO_ID)
    return dataclasses.replace(open_columns(source, partial(find, options=named)), dialect=dialect)


def _plain_dialect(source: Source, options: DataConfig, known: Sequence[str]) -> tuple[bytes, Dialect]:
    """The text with its rarer habits undone (escaped quotes, columns of spaces, spaces before quotes), and its dialect.

    What is undone moves no line."""
    first = options.header_line

    def dialect_of(data: bytes) -> Dialect:
        dialect = find_dialect(data, source.file, delimiter=options.delimiter, known=known, given=first is not None)
        return dialect if not above else dataclasses.replace(dialect, above=(*above, *dialect.above))

    check_lines(source.data, source.file)
    data, above = below(source.data, first, source.file) if first is not None else (source.data, ())
    if b"\\" in data and b'\\"' in data:                            # the search for one byte is quick
        doubled = data.replace(b'\\"', b'""')
        if escapes_quotes(data, dialect_of(doubled)):
            data = doubled
    head = data[:SAMPLE_BYTES]
    if options.delimiter is None and b"  " in head and not set(b',;\t|"') & set(head):
        data = aligned(data)
    dialect = dialect_of(data)
    tight = without_spaces(data, dialect)
    return (data, dialect) if tight is data else (tight, dataclasses.replace(dialect_of(tight), skip_space=True))


def _named_by(options: DataConfig, contract: Contract | None) -> list[str]:
    given = [name for text in (options.id, options.time, options.target) if text for name in names_in(text)]
    if contract is not None and contract.has_header:
        given += [name for name in (*contract.id_names, *contract.time_columns, *contract.targets) if name]
    return given


def _sample(data: bytes, dialect: Dialect) -> list[list[str]]:
    """The first rows: enough to tell what a column holds."""
    body = data[dialect.offset:dialect.offset + SAMPLE_BYTES]
    records = find_records(body, dialect.delimiter, dialect.quote)
    whole = len(records) - (len(body) == SAMPLE_BYTES)                  # the last one may be cut
    rows = [split(records.text(r), dialect.delimiter, dialect.quote, skip_space=dialect.skip_space)
            for r in range(min(whole, SAMPLE_ROWS))]
    return [row for row in rows if len(row) == dialect.fields]
