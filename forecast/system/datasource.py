"""DataSource: where data come from, and what that place is called from elsewhere. Reading them is reader.py's."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import DiskError, RequestError
from forecast.system.addresses import is_database, seen_from

if TYPE_CHECKING:
    import pandas as pd

STDIN = "-"
FRAME = "<frame>"                   # what data in memory are called


@dataclass(frozen=True)
class DataSource:
    """A file or a folder, a table of a database, standard input, or a data frame in memory; another address on a
    network is named here, and refused by whoever reads it."""

    name: str                       # a path as the program sees it, "-" for standard input, or an address
    frame: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    @classmethod
    def seen_from(cls, folder: Path, name: str | Path | pd.DataFrame) -> DataSource:
        """What a path in a folder names; a path that is absolute stays what it is, and so does a data frame."""
        if not isinstance(name, (str, Path)):
            return cls(FRAME, name)
        text = str(name)
        if is_database(text):
            return cls(seen_from(folder, text))
        return cls(text if text == STDIN or "://" in text else str(folder / name))

    @classmethod
    def kept(cls, store: Path, path: str, from_store: str | None) -> DataSource:
        """A file that was read once: as it lies from the store (which may have moved with it), else as it lay."""
        moved = None if from_store is None else store.resolve() / from_store
        return cls(os.path.normpath(moved) if moved is not None and moved.exists() else path)

    def __str__(self) -> str:
        return self.name

    @property
    def is_stdin(self) -> bool:
        return self.name == STDIN

    @property
    def path(self) -> Path | None:
        """The file, absolute; None where there is none."""
        return None if self.is_stdin or self.frame is not None or self.is_database else Path(self.name).resolve()

    @property
    def is_database(self) -> bool:
        return is_database(self.name)

    @property
    def identity(self) -> str:
        """The file, absolute, or the address; "-" where there is neither: text that can be stored."""
        return self.name if self.is_database else STDIN if self.path is None else storable(self.path)

    def place(self, store: Path) -> str | None:
        """The file as it lies from the store, so that both may move together; None where there is none."""
        return None if self.path is None else os.path.relpath(self.path, store.resolve())

    def places(self, store: Path) -> set[str]:
        """All that an issue may call it."""
        return {str(self.path), str(self.place(store))} if self.path else {self.identity}

    def changed(self) -> datetime | None:
        """When the file was last changed; None where there is none."""
        return None if self.path is None else datetime.fromtimestamp(Path(self.name).stat().st_mtime, UTC)


def storable(path: Path | str) -> str:
    """A path as text that can be stored; bytes that are no UTF-8 are written as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def place_of(output: Path | str) -> str:
    """What an output is called in the ledger: its absolute path, or its address."""
    return output if isinstance(output, str) else storable(output.resolve())


def guard(outputs: Sequence[Path | None], inputs: Sequence[DataSource | None], *, makes_folder: bool = False) -> None:
    """Before any work: no output may be an input or another output, lie in one, or have one in it, and its folder must
    be there, unless it `makes_folder`, and let files be made in it. Raises RequestError, DiskError."""
    taken = {source.path for source in inputs if source is not None and source.path is not None}
    for output in outputs:
        if output is None:
            continue
        place = output.resolve()
        if place in taken or any(other in place.parents or place in other.parents for other in taken):
            raise RequestError(f"{output}: would be written over a file that this command reads or writes",
                               code="overwrite", hint="Choose another name")
        taken.add(place)
        if not makes_folder:
            _check_parent(output)


def check_file(output: Path) -> None:
    """Raises RequestError where a folder stands in the place of a file that is to be written, DiskError for a device or
    a pipe."""
    if output.is_dir():
        raise RequestError("is a folder, and a file is to be written", file=shown_path(str(output)), code="bad_ending",
                           hint="Name a file in it, or another one")
    if output.exists() and not output.is_file():
        raise DiskError("is there already, and is not a file", file=shown_path(str(output)), code="disk",
                        hint="Choose another name")


def _check_parent(output: Path) -> None:
    name, parent = shown_path(str(output)), output.parent
    if not parent.exists():
        raise RequestError("the folder does not exist", file=name, code="no_folder",
                           hint=f"mkdir -p {shlex.quote(shown_path(str(parent)))}")
    if not parent.is_dir():
        raise RequestError(f"{shown_path(str(parent))} is a file, and has to be a folder", file=name, code="no_folder",
                           hint="Choose another name")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise DiskError("cannot write: no file may be made in this folder", file=name, code="disk",
                        hint="Check who may write there, or choose another place")


def shown_path(name: str) -> str:
    """A path in the one way in which it is shown: seen from the current folder where it lies below that, else whole,
    without detours. What is no path stays as it is."""
    if name in (STDIN, FRAME) or "://" in name:
        return name
    straight = os.path.abspath(name)
    if os.path.realpath(straight) != os.path.realpath(name):            # a detour through a link leads elsewhere
        return name
    here = os.getcwd()
    return os.path.relpath(straight, here) if straight.startswith(here.rstrip("/") + "/") else straight
