"""Database: the rows of a table or of a query as columns of Arrow, read through SQLAlchemy in one transaction that can
only read. All is fetched at once, so that all is of one moment, and the connection is closed."""

# N rows

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from forecast.errors import DataError
from forecast.system.addresses import Address, address_of, engine_of, near, said_by, shown
from forecast.text import safe

PIECE_ROWS = 50_000                 # fetched at a time
TEXTS = (datetime.time, datetime.timedelta, memoryview, bytes)                      # kinds of cells read as texts


@dataclass(frozen=True)
class DatabaseColumns:
    """All columns, as a table of Arrow."""

    table: Any
    names: tuple[str, ...]

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any:
        """The wanted columns, or their first rows."""
        return self.table.select(list(wanted)).slice(0, rows)

    def sha256(self) -> str:
        """Of the cells, column by column."""
        whole = hashlib.sha256()
        for column in self.table.columns:
            for text in column.cast(pa.string()).to_pylist():
                whole.update(b"\0" if text is None else text.encode("utf-8", "backslashreplace") + b"\n")
        return whole.hexdigest()


def open_database(name: str) -> DatabaseColumns:
    """Raises RequestError for an address that names nothing or needs what is not installed; DataError where nobody
    answers, or there is no such table, or the query cannot be run or would write."""
    address = address_of(name)
    engine = engine_of(address)
    try:
        with told(address), engine.connect() as connection:
            if address.is_sqlite:
                connection.exec_driver_sql("PRAGMA query_only = ON")
            else:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
            return _fetched(connection, address)
    finally:
        engine.dispose()


def _fetched(connection: Any, address: Address) -> DatabaseColumns:
    result = connection.execution_options(stream_results=True).execute(_statement(connection, address))
    if not result.returns_rows:
        raise DataError("is a query that gives no rows", file=shown(address.text), code="bad_query",
                        hint="Give one that begins with SELECT")
    names = tuple(map(str, result.keys()))
    columns: list[list[Any]] = [[] for _ in names]
    while some := result.fetchmany(PIECE_ROWS):
        for pieces, cells in zip(columns, zip(*some, strict=True), strict=True):
            pieces.append(_array(cells))
    return DatabaseColumns(pa.table([_joined(pieces) for pieces in columns], names=[str(k) for k in range(len(names))]),
                           names)


def _statement(connection: Any, address: Address) -> Any:
    """The query, or all of the table, by its primary key where it has one. Raises DataError."""
    import sqlalchemy

    if address.table is None:
        return sqlalchemy.text(str(address.query).replace(":", "\\:"))
    inspector = sqlalchemy.inspect(connection)
    schema, _, name = address.table.rpartition(".")
    kept = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    if name not in kept:
        raise DataError(f"there is no table {safe(name)}", file=shown(address.text), code="no_table", hint=near(kept))
    table = sqlalchemy.Table(name, sqlalchemy.MetaData(), schema=schema or None, autoload_with=connection)
    return sqlalchemy.select(table).order_by(*table.primary_key.columns)


@contextmanager
def told(address: Address) -> Iterator[None]:
    """What a database says, as an error of ours."""
    from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        said, where = said_by(error), shown(address.text)
        if "read-only" in said or "readonly" in said:
            raise DataError("is a query that writes", file=where, code="bad_query",
                            hint="Give one that only reads: SELECT ...") from error
        if isinstance(error, OperationalError) and not address.is_sqlite:
            raise DataError(f"the database does not answer: {said}", file=where, code="no_database",
                            hint="Look at the host, the user, and PGPASSWORD or ~/.pgpass") from error
        kind = "bad_query" if isinstance(error, DBAPIError) else "no_database"
        raise DataError(f"the database refuses: {said}", file=where, code=kind) from error


def _array(cells: Sequence[Any]) -> Any:
    """Cells of one column, of the kind that they have together; as texts where they have none in common."""
    if not any(isinstance(cell, TEXTS) for cell in cells):
        try:
            array = pa.array(cells)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
        else:
            if pa.types.is_decimal(array.type):
                return array.cast(pa.string())
            if not pa.types.is_nested(array.type):
                return array
    return pa.array([None if cell is None else repr(cell) if isinstance(cell, float) else str(cell) for cell in cells],
                    pa.string())


def _joined(pieces: list[Any]) -> Any:
    """One column of its pieces, brought to one kind."""
    kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
    kind = next(iter(kinds)) if len(kinds) == 1 else pa.float64() if kinds == {pa.int64(), pa.float64()} else \
        pa.string()
    return pa.chunked_array([piece.cast(kind) for piece in pieces], kind)
