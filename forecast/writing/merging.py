"""Merging: files of forecasts, each some series of a whole, one behind the other in one file: the bytes that one
process would have written."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

from forecast.errors import DataError
from forecast.system.files import disk_errors, replacing, to_json


def merge(files: Sequence[Path], output: Path, *, rows_at_once: int) -> None:
    """Put files of the output's ending together, in this order. rows_at_once: how many one process writes at a time,
    which Parquet keeps. Atomic. Raises DataError for files of other columns, DiskError."""
    kind = next(ending for ending in MERGERS if output.name.lower().endswith(ending))
    with replacing(output) as file, disk_errors(output):
        MERGERS[kind](files, file, rows_at_once)


def _csv(files: Sequence[Path], into: BinaryIO, _: int) -> None:
    _lines(files, lambda path: path.open("rb"), into)


def _packed_csv(files: Sequence[Path], into: BinaryIO, _: int) -> None:
    with gzip.GzipFile(fileobj=into, mode="wb", filename="", mtime=0) as packed:
        _lines(files, gzip.open, packed)


def _lines(files: Sequence[Path], opened: Callable[[Path], Any], into: Any) -> None:
    """The header of the first one, and what stands below the header in each."""
    header = None
    for path in files:
        with opened(path) as file:
            own = file.readline()
            if header is None:
                into.write(header := own)
            _check(own == header, path, files[0])
            shutil.copyfileobj(file, into, 1 << 20)


def _check(is_same: bool, path: Path, first: Path) -> None:
    if not is_same:
        raise DataError(f"has other columns than {first}", file=str(path), code="foreign")


def _json(files: Sequence[Path], into: BinaryIO, _: int) -> None:
    into.write(to_json([row for path in files for row in json.loads(path.read_text("utf-8"))]).encode())


def _parquet(files: Sequence[Path], into: BinaryIO, rows_at_once: int) -> None:
    schema = pyarrow.parquet.read_schema(files[0])
    for path in files[1:]:
        _check(pyarrow.parquet.read_schema(path).equals(schema, check_metadata=True), path, files[0])
    with pyarrow.parquet.ParquetWriter(into, schema) as writer:
        for table in _resliced(files, rows_at_once):
            writer.write_table(table)


def _resliced(files: Sequence[Path], rows: int) -> Iterator[pa.Table]:
    """The rows of all files, so many at a time."""
    held: list[pa.Table] = []
    for path in files:
        with pyarrow.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                held.append(file.read_row_group(group))
                while (count := sum(table.num_rows for table in held)) >= rows:
                    whole = pa.concat_tables(held).combine_chunks()
                    yield whole.slice(0, rows).combine_chunks()
                    held = [whole.slice(rows, count - rows)]
    if sum(table.num_rows for table in held):
        yield pa.concat_tables(held).combine_chunks()


MERGERS: dict[str, Callable[[Sequence[Path], BinaryIO, int], None]] = {
    ".csv.gz": _packed_csv, ".csv": _csv, ".parquet": _parquet, ".json": _json}
