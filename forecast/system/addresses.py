"""Address: a table or a query of a database, as it is named on the command line; no password is ever in it.

    sqlite:///shop.db?table=sales              a file, seen from the folder; sqlite:////srv/shop.db from the root
    postgresql://user@host/db?table=sales      the password from PGPASSWORD or ~/.pgpass
    postgresql://user@host/db?query=SELECT ... all that follows is the query, as it stands"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.errors import DataError, RequestError
from forecast.text import listed, quoted, safe

KINDS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
WAIT = 8                            # seconds for a server to answer
_ADDRESS = re.compile(r"([a-z0-9+]+)://(.*)", re.IGNORECASE | re.DOTALL)
_ASKED = re.compile(r"[?&](table|query)=(.*)$", re.DOTALL)
_PASSWORD = re.compile(r"(://[^/@:?]*):[^/@?]*@|([?&]password=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """What is asked for, and where: `url` as SQLAlchemy takes it."""

    text: str
    url: str
    table: str | None
    query: str | None

    @property
    def place(self) -> tuple[str, str | None]:
        """The same for the same table, however the address is written."""
        return self.url, self.table

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")


def is_database(name: str) -> bool:
    """Whether this names a database of a kind that is read and written."""
    match = _ADDRESS.match(name)
    return match is not None and match.group(1).lower().partition("+")[0] in KINDS


def seen_from(folder: Path, name: str) -> str:
    """The same address, whose file, if it is one, is named from the root. Raises RequestError for a password."""
    if _PASSWORD.search(name):
        raise RequestError(f"{shown(name)}: there is a password in the address, which would be stored with the model",
                           code="password", hint="Leave it out: PGPASSWORD or ~/.pgpass gives it")
    scheme, _, rest = name.partition("://")
    if scheme.lower() == "sqlite" and rest.startswith("/") and not rest.startswith("//"):
        file, mark, asked = rest[1:].partition("?")
        return f"sqlite:////{str((folder / file).absolute()).lstrip('/')}{mark}{asked}"
    return name


def shown(name: str) -> str:
    """The address without a password, as messages may show it."""
    return safe(_PASSWORD.sub(lambda found: f"{found[1]}@" if found[1] else f"{found[2]}...", name))


def address_of(name: str) -> Address:
    """Raises RequestError for an address without a table or a query."""
    asked = _ASKED.search(name)
    if asked is None or not asked.group(2).strip():
        raise RequestError(f"{shown(name)}: names no table and no query", code="bad_address",
                           hint="End it with ?table=NAME, or with ?query=SELECT ...")
    scheme, _, rest = name[:asked.start()].partition("://")
    what, value = asked.group(1), asked.group(2).strip().rstrip(";")
    return Address(name, f"{KINDS[scheme.lower().partition('+')[0]]}://{rest}", value if what == "table" else None,
                   value if what == "query" else None)


def check_new_rows(name: str) -> None:
    """Raises RequestError for an address whose rows would be gone at once, or end in a place that nobody meant."""
    address = address_of(name)
    _, _, rest = address.url.partition("://")
    file, options, _ = rest.lstrip("/").partition("?")
    if address.is_sqlite and options:
        raise _unfit(name, "a file of SQLite takes no options", "Leave out all between ? and table=")
    if address.is_sqlite and (not file or file.endswith(":memory:")):
        raise _unfit(name, "names no file, so the rows would be gone at once", "Name it: sqlite:///FILE.db?table=NAME")
    if address.table is not None and re.search("[?&#=]", address.table):
        raise _unfit(name, f"{quoted(address.table)} is no name for a table", "End the address with ?table=NAME alone")


def _unfit(name: str, what: str, hint: str) -> RequestError:
    return RequestError(f"{shown(name)}: {what}", code="bad_address", hint=hint)


def engine_of(address: Address, *, writes: bool = False) -> Any:
    """SQLAlchemy's engine, for one reading or for one writing, which makes a file. Raises RequestError where what it
    needs is not installed, DataError where a file to be read is not there."""
    try:
        import sqlalchemy

        if not address.is_sqlite:
            import psycopg  # noqa: F401
    except ImportError as error:
        raise RequestError(f"databases need {'sqlalchemy' if address.is_sqlite else 'sqlalchemy and psycopg'}, which "
                           "is not installed", code="no_extra", hint="pip install sqlalchemy 'psycopg[binary]'"
                           ) from error
    try:
        url = sqlalchemy.make_url(address.url)
        if address.is_sqlite and not url.database:
            raise ValueError("it names no file")
        sqlalchemy.create_engine(url).dispose()
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise RequestError(f"{shown(address.text)}: is no address: {said_by(error)}", code="bad_address",
                           hint="As in sqlite:///shop.db?table=sales, postgresql://user@host/db?table=sales") from error
    if not address.is_sqlite:
        return sqlalchemy.create_engine(url, connect_args={"connect_timeout": WAIT}, pool_pre_ping=True,
                                        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ")
    if not writes and not Path(url.database or "").is_file():
        raise DataError("no such file", file=str(url.database), code="no_file")
    return sqlalchemy.create_engine(url, connect_args={"timeout": WAIT})


def said_by(error: Exception) -> str:
    """What the database itself says, in one line."""
    cause = str(getattr(error, "orig", None) or error).strip()
    return safe(next(iter(cause.splitlines()), type(error).__name__))[:200]


def near(names: list[str]) -> str:
    """What there is, for whoever named something else."""
    return f"There are {listed(names)}" if names else "There is none"
