"""Database: rows of forecasts in a table, found by id, time and cutoff. What stands there under the same key is
replaced, so the same forecast twice is there once. All is written in one transaction: it is there whole, or not."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from forecast.errors import DiskError, RequestError
from forecast.reading.contract import Contract
from forecast.system.addresses import Address, engine_of, said_by, shown
from forecast.text import listed, safe

PATIENCE = 60                       # seconds to wait for whoever holds the table
STAGING = "forecast_staging"        # of PostgreSQL, where rows gather until all are there; gone with the transaction
Convert = Callable[[Any], Any]                                          # a column of Arrow as the table's column has it


@contextmanager
def rows_in(address: Address, contract: Contract) -> Iterator[Callable[[Any], None]]:
    """What takes tables of Arrow in the default layout, times as stamps, and writes their rows. The table is made where
    there is none. All is there when the block ends well.

    Raises RequestError for a table that cannot take them, DiskError where the database does not; nothing is changed
    then."""
    engine = engine_of(address, writes=True)
    try:
        with _told(address, engine), engine.connect() as connection:
            if address.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")           # the driver begins none for CREATE TABLE
            else:
                connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
            found: list[_Target] = []

            def write(table: Any) -> None:
                if not found:
                    found.append(_Target.of(connection, address, contract, table.schema))
                found[0].put(connection, table)

            yield write
            for target in found:
                target.finish(connection)
            connection.commit()
    finally:
        engine.dispose()


@contextmanager
def _told(address: Address, engine: Any) -> Iterator[None]:
    """What a database says, as an error of ours."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        raise DiskError(f"cannot write: {said_by(error)}", file=shown(address.text), code="database",
                        hint="Nothing was written there, and what stood there stands") from error


@dataclass(frozen=True)
class _Target:
    """A table that rows go to, and what makes each column one of its own; `empty`: bands of other forecasts, which
    these lack."""

    table: Any
    key: tuple[str, ...]
    converts: dict[str, Convert]
    empty: tuple[str, ...]
    is_sqlite: bool

    @classmethod
    def of(cls, connection: Any, address: Address, contract: Contract, schema: Any) -> _Target:
        """Raises RequestError for a table without these columns or this key."""
        import sqlalchemy

        scheme, _, name = str(address.table).rpartition(".")
        own = {*contract.id_headers, contract.time}
        key = (*contract.id_headers, contract.time, "forecast_cutoff" if "cutoff" in own else "cutoff")
        if not sqlalchemy.inspect(connection).has_table(name, schema=scheme or None):
            _made(name, scheme or None, key, contract, schema, is_sqlite=address.is_sqlite).create(connection)
        table = sqlalchemy.Table(name, sqlalchemy.MetaData(), schema=scheme or None, autoload_with=connection)
        _check(table, connection, address, key, schema.names)
        converts = {field.name: _convert(table.columns[field.name], field, contract, address) for field in schema}
        empty = tuple(c.name for c in table.columns if c.name.startswith("yhat") and c.name not in schema.names)
        target = cls(table, key, converts, empty, address.is_sqlite)
        if not target.is_sqlite:
            target._stage(connection)
        return target

    def put(self, connection: Any, table: Any) -> None:
        """Its rows, each in the place of the one with the same key; in PostgreSQL, when all are there."""
        table = pa.table({name: convert(table.column(name)) for name, convert in self.converts.items()})
        if self.is_sqlite and table.num_rows:
            rows = table.to_pylist() if not self.empty else \
                [row | dict.fromkeys(self.empty) for row in table.to_pylist()]
            connection.execute(self._upsert(), rows)
        elif table.num_rows:
            from psycopg import sql

            text = io.BytesIO()
            pyarrow.csv.write_csv(table, text, pyarrow.csv.WriteOptions(include_header=False))
            columns = sql.SQL(", ").join(map(sql.Identifier, table.column_names))
            command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(STAGING), columns)
            with connection.connection.cursor() as cursor, cursor.copy(command) as copy:
                copy.write(text.getvalue())

    def finish(self, connection: Any) -> None:
        """What has gathered goes where it belongs."""
        if not self.is_sqlite:
            import sqlalchemy

            names = self._names
            staged = sqlalchemy.table(STAGING, *map(sqlalchemy.column, names))
            connection.execute(self._upsert(sqlalchemy.select(staged)))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.converts, *self.empty)

    def _stage(self, connection: Any) -> None:
        """A table of the same columns, without a row."""
        import sqlalchemy

        columns = [sqlalchemy.Column(name, self.table.columns[name].type) for name in self._names]
        sqlalchemy.Table(STAGING, sqlalchemy.MetaData(), *columns, prefixes=["TEMPORARY"],
                         postgresql_on_commit="DROP").create(connection)

    def _upsert(self, rows: Any = None) -> Any:
        """Of these rows, or of those handed over beside it. Columns have no types here: values go as they are."""
        import sqlalchemy
        from sqlalchemy.dialects import postgresql, sqlite

        names = self._names
        plain = sqlalchemy.table(self.table.name, *map(sqlalchemy.column, names), schema=self.table.schema)
        insert: Any = sqlite.insert(plain) if self.is_sqlite else postgresql.insert(plain).from_select(names, rows)
        return insert.on_conflict_do_update(index_elements=list(self.key), set_={
            name: insert.excluded[name] for name in names if name not in self.key})


def _made(name: str, scheme: str | None, key: tuple[str, ...], contract: Contract, schema: Any, *,
          is_sqlite: bool) -> Any:
    """A table that is not there yet. SQLite has no type for times: they are the texts of the file."""
    import sqlalchemy as sql

    def kind(type: Any) -> Any:
        if pa.types.is_timestamp(type):
            return sql.Text() if is_sqlite else sql.Date() if _is_of_days(contract) else sql.DateTime(contract.utc)
        return sql.Double() if pa.types.is_floating(type) else sql.BigInteger() if pa.types.is_integer(type) else \
            sql.Text()

    kinds = {field.name: kind(field.type) for field in schema}
    if not contract.calendar.is_time and not contract.writes_numbers:   # steps that are written with a word: Month 13
        kinds |= {n: sql.Text() for n in (contract.time, key[-1])}
    return sql.Table(name, sql.MetaData(), *(sql.Column(n, k, primary_key=n in key, autoincrement=False)
                                             for n, k in kinds.items()), schema=scheme)


def _is_of_days(contract: Contract) -> bool:
    """Whether all times are at midnight, of no zone."""
    times = contract.calendar.times(np.arange(1000)).astype("datetime64[us]")
    return not contract.utc and bool((times == times.astype("datetime64[D]")).all())


def _check(table: Any, connection: Any, address: Address, key: Sequence[str], names: Sequence[str]) -> None:
    """Raises RequestError where it lacks columns, or nothing says that the key is there once."""
    import sqlalchemy

    place, there = shown(address.text), {c.name for c in table.columns}
    if lacking := [n for n in names if n not in there]:
        raise RequestError(f"the table has no column {listed(lacking)}", file=place, code="no_column",
                           hint="Name a table that is not there, and it is made")
    inspector = sqlalchemy.inspect(connection)
    keys = [[c.name for c in table.primary_key.columns]]
    keys += [u["column_names"] for u in inspector.get_unique_constraints(table.name, schema=table.schema)]
    keys += [i["column_names"] for i in inspector.get_indexes(table.name, schema=table.schema) if i["unique"]]
    if not any(set(found) == set(key) for found in keys):
        raise RequestError(f"the table has no key of {', '.join(key)}, by which a forecast is found again", file=place,
                           code="no_key", hint="Give it that primary key, or name a table that is not there")


def _convert(column: Any, field: Any, contract: Contract, address: Address) -> Convert:
    """How cells of this kind are handed to this column. Raises RequestError where it cannot hold them as they are."""
    import sqlalchemy as sql

    kind = column.type
    is_text, is_any = isinstance(kind, sql.String), isinstance(kind, sql.types.NullType)
    if pa.types.is_timestamp(field.type) or pa.types.is_integer(field.type):
        if is_text or is_any:
            return lambda cells: pa.array(contract.time_text(cells.to_numpy()), pa.string())
        if contract.writes_numbers and isinstance(kind, sql.Integer):
            return lambda cells: cells
        if pa.types.is_timestamp(field.type) and isinstance(kind, sql.Date) and _is_of_days(contract):
            return lambda cells: _stamps(cells, pa.date32(), is_text=address.is_sqlite)
        if pa.types.is_timestamp(field.type) and isinstance(kind, sql.DateTime) and bool(kind.timezone) == contract.utc:
            exact = pa.timestamp("us", "UTC" if contract.utc else None)
            return lambda cells: _stamps(cells, exact, is_text=address.is_sqlite)
    elif pa.types.is_floating(field.type):
        if is_any or isinstance(kind, (sql.Numeric, sql.Float)):
            return lambda cells: pc.if_else(pc.is_finite(cells), cells, None)       # what is no number is NULL
    elif is_text or is_any:
        return lambda cells: cells
    raise RequestError(f"is of type {safe(kind)}, which does not hold {_held(field.type, contract)} as they are",
                       file=shown(address.text), column=column.name, code="bad_column",
                       hint="Name a table that is not there, and it is made")


def _stamps(cells: Any, type: Any, *, is_text: bool) -> Any:
    """Stamps of this type; as texts where the database has no type for them."""
    return cells.cast(type).cast(pa.string()) if is_text else cells.cast(type)


def _held(type: Any, contract: Contract) -> str:
    if pa.types.is_timestamp(type):
        return "moments in UTC" if contract.utc else "times of no zone"
    return "numbers with digits behind the point" if pa.types.is_floating(type) else \
        "whole numbers" if pa.types.is_integer(type) else "texts"
