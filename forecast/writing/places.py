"""Place: where forecasts go, as it was named: a file, a folder of Parquet files, or a table of a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from forecast.errors import RequestError
from forecast.reading.sources.folders import parts_of, sha256_of
from forecast.system.addresses import Address, address_of, is_database, seen_from, shown
from forecast.system.datasource import DataSource, shown_path
from forecast.system.files import sha256

FOLDER = "/"                        # behind the name of a folder
PART = "part-{:06d}.parquet"        # the files of a folder, in order
_OURS = re.compile(r"part-\d{6,}\.parquet|_.*|\..*")


@dataclass(frozen=True)
class Place:
    """name: a path as the program sees it, with a / behind that of a folder; or an address, which holds no password."""

    name: str

    @classmethod
    def seen_from(cls, folder: Path, name: str) -> Place:
        """What is named in a folder. Raises RequestError for an address that names no table, and for a folder that
        holds what is no forecast."""
        if is_database(name):
            place = cls(seen_from(folder, name))
            if place.address.table is None:
                raise RequestError(f"{shown(name)}: a query cannot be written to", code="bad_address",
                                   hint="End the address with ?table=NAME")
            return place
        if not name.endswith(FOLDER):
            return cls(str(folder / name))
        _check_folder(folder / name)
        return cls(str(folder / name) + FOLDER)

    def __str__(self) -> str:
        return self.name

    @property
    def is_table(self) -> bool:
        return is_database(self.name)

    @property
    def is_folder(self) -> bool:
        return not self.is_table and self.name.endswith(FOLDER)

    @property
    def address(self) -> Address:
        return address_of(self.name)

    @property
    def path(self) -> Path | None:
        """The file or folder; None for a table."""
        return None if self.is_table else Path(self.name)

    @property
    def file(self) -> Path | None:
        """The file or folder, or that of SQLite; None for a server."""
        if self.is_table and self.address.is_sqlite:
            return Path(self.address.url.removeprefix("sqlite:///"))
        return self.path

    @property
    def identity(self) -> Path | str:
        """What the ledger knows it by."""
        return self.path or self.name

    def sha256(self) -> str | None:
        """Of what was written; None for a table, which holds other forecasts, too."""
        if self.path is None or not self.is_folder:
            return None if self.path is None else sha256(self.path)
        return sha256_of(self.path, [part.path for part in parts_of(self.path)])

    def check_apart(self, source: DataSource) -> None:
        """Raises RequestError for the very table that is read."""
        if self.is_table and source.is_database and address_of(source.name).place == self.address.place:
            raise RequestError(f"{shown(self.name)}: is the table that this command reads", code="overwrite",
                               hint="Choose another name")


def _check_folder(path: Path) -> None:
    """What stands in a folder is replaced as a whole, so it may hold nothing but a forecast."""
    if path.exists() and not path.is_dir():
        raise RequestError(f"{shown_path(str(path))}: is a file, and a folder is asked for", code="bad_ending",
                           hint="Leave the / out, or choose another -o")
    others = sorted(file.name for file in path.iterdir() if file.is_dir() or not _OURS.fullmatch(file.name)
                    ) if path.is_dir() else []
    if others:
        raise RequestError(f"{shown_path(str(path))}/: holds what is no forecast, such as {others[0]}, and all that is "
                           "in a folder would be replaced", code="overwrite",
                           hint="Choose a new one, as in -o forecasts/")
