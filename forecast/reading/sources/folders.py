"""Folder: Parquet files that are one table, in the order of their names.

Folders called `column=value` give a column (Hive's names). A column that some files lack is missing in their rows; one
that is a number in one file and a text in another is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from forecast.errors import DataError, Problem
from forecast.system.files import sha256
from forecast.text import listed, safe

ENDINGS = (".parquet", ".pq")
HIDDEN = ("_", ".")                 # how the names of files begin that are no data: _SUCCESS, .crc


@dataclass(frozen=True)
class Part:
    """A file of the folder: its path, and what the names of its folders say."""

    path: Path
    values: dict[str, str | None]


def parts_of(folder: Path) -> list[Part]:
    """The Parquet files in a folder and below, by name. Raises DataError where there is none, where other data lie
    beside them, and where the names of folders do not agree."""
    paths, others = list[Path](), list[Path]()
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        for name in sorted(name for name in files if not name.startswith(HIDDEN)):
            (paths if name.lower().endswith(ENDINGS) else others).append(Path(root, name))
    if not paths:
        raise DataError("is a folder without Parquet files", file=str(folder), code="is_folder",
                        hint="Name a file in it" if others else "Name a file, or a folder of .parquet files")
    if others:
        names = listed([str(path.relative_to(folder)) for path in others], 3)
        raise DataError(f"is a folder of Parquet files in which others lie, too: {names}", file=str(folder),
                        code="mixed_folder", hint="Move these away, or name a file")
    parts = [Part(path, _values_of(path.relative_to(folder))) for path in sorted(paths)]
    first = parts[0]
    for part in parts:
        if list(part.values) != list(first.values):
            raise DataError(f"lies in folders named otherwise than those of {first.path.name}: "
                            f"{listed([*part.values]) or 'none'} in place of {listed([*first.values]) or 'none'}",
                            file=str(part.path), code="mixed_folder", hint="Name the folders alike: column=value")
    return parts


def _values_of(path: Path) -> dict[str, str | None]:
    pairs = [name.partition("=") for name in path.parts[:-1] if "=" in name]
    return {unquote(column): None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
            for column, _, value in pairs}


@dataclass(frozen=True)
class FolderColumns:
    """The columns of all files; a file is opened when its turn comes, and only the columns asked for are read.
    opened: a file's own columns, as `files.Columns` reads them."""

    folder: str
    parts: Sequence[Part]
    opened: Callable[[Path], Any]

    @cached_property
    def schema(self) -> Any:
        """The columns of all files, those of the folders' names last. Raises DataError naming the file that
        contradicts the others."""
        whole = pa.schema([])
        for part in self.parts:
            own = self.opened(part.path).parquet.schema_arrow
            own = pa.schema([pa.field(f.name, _kind(f.type)) for f in own if f.name not in part.values])
            try:
                whole = pa.unify_schemas([whole, own], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                clash = next((f.name for f in own if f.name in whole.names and not _agree(f, whole.field(f.name))), "")
                raise DataError(f"is {own.field(clash).type} here, and {whole.field(clash).type} in files before"
                                if clash else f"contradicts files before: {safe(error)[:80]}", file=str(part.path),
                                column=clash or None, code="mixed_folder",
                                hint="Write all files with one schema") from error
        return pa.schema([*whole, *(pa.field(name, _kind(pa.string())) for name in self.parts[0].values)])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any:
        """The wanted columns of all files, or their first rows. Raises DataError."""
        kind = pa.schema([self.schema.field(k) for k in wanted])
        tables, left = [], rows
        for part in self.parts:
            table = self._of_part(part, kind, left)
            tables.append(table)
            left = None if left is None else left - table.num_rows
            if left is not None and left <= 0:
                break
        return pa.concat_tables(tables)

    @cached_property
    def rows(self) -> int:
        """Of all files."""
        return sum(self.opened(part.path).parquet.metadata.num_rows for part in self.parts)

    def of_part(self, part: Part, wanted: Sequence[int]) -> Any:
        """The wanted columns of one file. Raises DataError."""
        return self._of_part(part, pa.schema([self.schema.field(k) for k in wanted]), None)

    def _of_part(self, part: Part, kind: Any, rows: int | None) -> Any:
        columns = self.opened(part.path)
        own = [name for name in columns.names if name in kind.names and name not in part.values]
        count = columns.parquet.metadata.num_rows if rows is None else min(rows, columns.parquet.metadata.num_rows)
        table = columns.read([columns.names.index(name) for name in own], rows)
        made = []
        for field in kind:
            if field.name in own:
                made.append(_cast(table.column(own.index(field.name)), field, part.path))
            else:
                made.append(_same(part.values.get(field.name), count, field.type))
        return pa.table(made, schema=kind)

    def placed(self, problem: Problem) -> Problem:
        """The problem with the file that it stands in, and its row there."""
        if problem.file != self.folder or problem.row is None:
            return problem
        counts = [self.opened(part.path).parquet.metadata.num_rows for part in self.parts]
        k = int(np.searchsorted(np.cumsum(counts), problem.row - 1, side="right"))
        return problem if k == len(counts) else replace(problem, file=str(self.parts[k].path),
                                                        row=problem.row - sum(counts[:k]))

    def sha256(self) -> str:
        """Of the names and bytes of all files."""
        return sha256_of(Path(self.folder), [part.path for part in self.parts])


def sha256_of(folder: Path, paths: Sequence[Path]) -> str:
    """Of the names and bytes of these files in a folder."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.relative_to(folder)}\0{sha256(path)}\0".encode("utf-8", "backslashreplace"))
    return whole.hexdigest()


def _kind(type: Any) -> Any:
    """A type as all files have it: texts as dictionaries, whatever the file kept them in."""
    plain = type.value_type if pa.types.is_dictionary(type) else type
    if pa.types.is_string(plain) or pa.types.is_large_string(plain):
        return pa.dictionary(pa.int32(), pa.string())
    return plain


def _agree(one: Any, other: Any) -> bool:
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _cast(column: Any, field: Any, path: Path) -> Any:
    try:
        return column.cast(field.type)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"cannot be read as {field.type}, as in the other files: {safe(error)[:80]}", file=str(path),
                        column=field.name, code="mixed_folder", hint="Write all files with one schema") from error


def _same(value: str | None, count: int, type: Any) -> Any:
    """One value for all rows; of a column that a file lacks, none."""
    if value is None or not pa.types.is_dictionary(type):
        return pa.nulls(count, type)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([value], pa.string()))
