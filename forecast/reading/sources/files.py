"""Source: where the bytes come from (a file, standard input, a compressed file) and what text they are.

It hands over UTF-8 without a byte order mark, whatever came in; what the text means is dialect.py's business."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import stat
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from forecast.errors import DataError
from forecast.reading.sources.database import open_database
from forecast.reading.sources.encoding import CHUNK, decode
from forecast.reading.sources.folders import FolderColumns, parts_of
from forecast.reading.sources.workbook import ENCRYPTED, Sheet, is_workbook, read_sheet
from forecast.system.addresses import is_database, shown
from forecast.text import counted, quoted, safe

MAX_BYTES = 16 << 30                # of text; more than fits beside a model in most machines
MAX_STREAM = 4 << 30                # from a pipe, whose end nobody knows
FIFO_WAIT = 5.0                     # seconds for a program to open the other end of a named pipe
PIECE_ROWS = 1 << 16                # of a Parquet file
FREE_GROWTH = 256 << 20             # a compressed file may grow to this size whatever its ratio
MAX_RATIO = 200                     # beyond that, more than this is no longer plausible for a table
LARGE = 32 << 20                    # bytes of text that are not kept when its columns are read
WORKBOOK = "xlsx"                   # the encoding of a workbook's text, which it has none of its own
_URL = re.compile(r"(?:.*/)?(?:https?|ftps?|s3a?|gs|az|abfss?|hdfs|sftp|ssh|file|postgres(?:ql)?|mysql)[:]/{1,2}(?!$)")
_MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip"}
_ENDINGS = {".gz": "gz", ".zst": "zst", ".zip": "zip"}
_NOT_TABLES = {b"%PDF": "a PDF", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"\xd0\xcf\x11\xe0": "an old "
               "Excel workbook", b"BZh": "a bzip2 file", b"\xfd7zXZ": "an xz file", b"7z\xbc\xaf": "a 7z archive",
               b"SQLite f": "a database", b"\x89HDF": "an HDF5 file", b"\x7fELF": "a program"}


class Text:
    """A text as UTF-8 bytes. Where it can be read `again`, a large one may be let go of until it is asked for."""

    def __init__(self, data: bytes, again: Callable[[], bytes] | None = None) -> None:
        self._data: bytes | None = data
        self._again = again
        self.last = data[-1:]

    @property
    def data(self) -> bytes:
        if self._data is None:
            assert self._again is not None
            self._data = self._again()
        return self._data

    def let_go(self) -> None:
        """Give the memory of the text back to what follows."""
        if self._again is not None and self._data is not None and len(self._data) >= LARGE:
            self._data = None


class Readable(Protocol):
    """Columns that are apart already, read by position."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any: ...


@dataclass(frozen=True)
class Source:
    """The text of one file; for Parquet, a frame and a database it is empty and `columns` reads the table."""

    file: str
    text: Text
    hashed: Callable[[], str]       # the SHA-256 of the file's bytes, found while its text is read
    encoding: str
    notes: tuple[str, ...] = ()
    columns: Readable | None = None
    sheet: Sheet | None = None      # of the workbook that the text was made from

    @property
    def data(self) -> bytes:
        return self.text.data

    @property
    def sha256(self) -> str:
        return self.hashed()


@dataclass(frozen=True)
class Columns:
    """A Parquet file, of which only the columns asked for are read, as text is: in pieces, and up to a limit."""

    file: str
    parquet: Any                    # pyarrow.parquet.ParquetFile
    limit: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.parquet.schema_arrow.names)

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any:
        """The wanted columns, at these positions in a pyarrow.Table, or their first rows. Raises DataError."""
        names = [self.names[k] for k in wanted]
        try:
            table = pa.Table.from_batches(self._pieces(names, rows), self._schema(names))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unsound(error, self.file) from error
        at = {self._kept(names)[k]: k for k in range(table.num_columns)}
        return table.select([at[k] for k in wanted])

    def _kept(self, names: Sequence[str]) -> list[int]:
        """Positions of all columns of these names; a name may stand twice."""
        return [k for k, name in enumerate(self.names) if name in names]

    def _schema(self, names: Sequence[str]) -> Any:
        return pa.schema([self.parquet.schema_arrow.field(k) for k in self._kept(names)])

    def _pieces(self, names: Sequence[str], rows: int | None) -> Iterator[Any]:
        size, left = 0, rows
        for piece in self.parquet.iter_batches(batch_size=rows or PIECE_ROWS, columns=names):
            piece = piece.select([k for k, name in enumerate(piece.schema.names) if name in names])  # "a" brings "a.b"
            size += sum(_bytes_as_text(column) for column in piece.columns)
            if size > self.limit:
                raise _grown(self.file, self.limit)
            yield piece if left is None else piece[:left]
            left = None if left is None else left - piece.num_rows
            if left is not None and left <= 0:
                return


def open_source(path: str | os.PathLike[str], encoding: str | None = None, *, sheet: str | None = None,
                decimal: str | None = None) -> Source:
    """Read and decode. sheet, decimal: of a workbook, which to read, and how its numbers are to be written.

    Raises DataError for what is no readable table of text."""
    file = os.fspath(path)
    if is_database(file):
        return _database(file, sheet)
    if _URL.match(file):
        raise DataError("is an address on a network; files only", file=_without_password(file), code="url",
                        hint="Download it first")
    if file != "-" and Path(file).is_dir():
        return _folder(file, sheet)
    try:
        if file == "-":
            file = "<stdin>"
            raw = _limited(_standard_input(), file, _stream_limit())
        else:
            raw = _read(Path(file), file)
        if raw.startswith(b"PK") and is_workbook(raw):
            return _workbook(raw, file, sheet, decimal)
        if sheet is not None:
            raise DataError(f"is no Excel workbook, so it has no sheet {quoted(sheet)}", file=file, code="no_sheet",
                            hint="Leave --sheet out")
        return _opened(raw, file, encoding, again=file != "<stdin>" and Path(file).is_file())
    except MemoryError as error:
        raise DataError("does not fit into memory", file=file, code="too_large",
                        hint="Keep fewer columns or rows") from error


def _opened(raw: bytes, file: str, encoding: str | None, *, again: bool = False) -> Source:
    hashed = _hashing(raw)
    raw, packed = _unpacked(raw, file)
    if raw[:4] == b"PAR1":
        return Source(file, Text(b""), hashed, "parquet", packed, _parquet(raw, file))
    data, name, notes = decode(raw, file, encoding)
    text = Text(data, (lambda: _same(file, encoding, hashed())) if again else None)
    return Source(file, text, hashed, name, packed + notes)


def _database(name: str, sheet: str | None) -> Source:
    """A table or a query. Raises RequestError, DataError."""
    if sheet is not None:
        raise DataError(f"is a database, so it has no sheet {quoted(sheet)}", file=shown(name), code="no_sheet",
                        hint="Leave --sheet out")
    columns = open_database(name)
    return Source(shown(name), Text(b""), columns.sha256, "database", (), columns)


def _folder(file: str, sheet: str | None) -> Source:
    """A folder of Parquet files. Raises DataError."""
    if sheet is not None:
        raise DataError(f"is a folder, so it has no sheet {quoted(sheet)}", file=file, code="no_sheet",
                        hint="Leave --sheet out")
    columns = FolderColumns(file, parts_of(Path(file)), lambda path: _parquet(pa.memory_map(str(path)), str(path)))
    before = [(part.path.stat().st_size, part.path.stat().st_mtime_ns) for part in columns.parts]

    def hashed() -> str:
        digest = columns.sha256()
        if before != [(part.path.stat().st_size, part.path.stat().st_mtime_ns) for part in columns.parts]:
            raise _changing(file)
        return digest

    notes = (f"a folder of {counted(len(columns.parts), 'Parquet file')}, in the order of their names",)
    return Source(file, Text(b""), hashed, "parquet", notes, columns)


def _workbook(raw: bytes, file: str, asked: str | None, decimal: str | None) -> Source:
    limit = min(MAX_BYTES, max(FREE_GROWTH, MAX_RATIO * len(raw)))
    sheet = read_sheet(raw, file, asked, decimal, limit)
    return Source(file, Text(sheet.text), _hashing(raw), WORKBOOK, sheet.notes, sheet=sheet)


def _hashing(raw: bytes) -> Callable[[], str]:
    """A function that gives the hash. Of a large file it is computed while the text is read."""
    if len(raw) < CHUNK:
        digest = hashlib.sha256(raw).hexdigest()
        return lambda: digest
    return ThreadPoolExecutor(1).submit(lambda: hashlib.sha256(raw).hexdigest()).result


def _same(file: str, encoding: str | None, sha256: str) -> bytes:
    """The text of a file once more. Raises DataError where it is another by now."""
    fresh = _opened(_read(Path(file), file), file, encoding)
    if fresh.sha256 != sha256:
        raise _changing(file)
    return fresh.data


def _changing(file: str) -> DataError:
    return DataError("changed while it was read", file=file, code="changing", hint="Run again when it is complete")


def _without_password(url: str) -> str:
    return safe(re.sub(r"(:/{1,2})[^/@]*@", r"\1", url))


def _read(path: Path, file: str) -> bytes:
    """The whole file; refused when it changes meanwhile."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise DataError("is a device, not a file", file=file, code="device", hint="Name a file, or - for a pipe")
        if stat.S_ISFIFO(mode) and not Path(os.path.realpath(path)).name.startswith("pipe:["):
            return _limited(_fifo(path, file), file, _stream_limit())
        with path.open("rb") as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                return _limited(iter(lambda: stream.read(CHUNK), b""), file, _stream_limit())
            if before.st_size > MAX_BYTES:
                raise DataError(f"has {before.st_size:,} bytes; {MAX_BYTES:,} at most", file=file, code="too_large")
            raw = stream.read()
            after = os.fstat(stream.fileno())
    except FileNotFoundError as error:
        raise DataError("no such file", file=file, code="no_file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=safe(file),
                        code="unreadable") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(raw) != before.st_size:
        raise _changing(file)
    return raw


def _standard_input() -> Iterator[bytes]:
    try:
        yield from iter(lambda: sys.stdin.buffer.read(CHUNK), b"")
    except (OSError, AttributeError) as error:                      # closed: Python has no stream for it
        why = getattr(error, "strerror", None) or "it is closed"
        raise DataError(f"cannot be read: {why}", file="<stdin>", code="unreadable",
                        hint="Pass the data on: cat FILE | forecast ... -") from error


def _fifo(path: Path, file: str) -> Iterator[bytes]:
    """What a program writes into a named pipe, refused where none does."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(handle, "rb", buffering=0) as stream:
        until = time.monotonic() + FIFO_WAIT
        while not (first := stream.read(CHUNK)):                    # None: a writer is there, and has not written yet
            if first is None:
                break
            if time.monotonic() > until:
                raise DataError("is a pipe that nothing writes to", file=file, code="no_writer",
                                hint=f"Start the writer, or pass its output on: cat {quoted(file)} | forecast ... -")
            time.sleep(0.02)
        os.set_blocking(handle, True)
        yield first or b""
        yield from iter(lambda: stream.read(CHUNK), b"")


def _stream_limit() -> int:
    """The most bytes of a stream, which may be endless. While its chunks are joined they are in memory twice."""
    try:
        free = next(int(line.split()[1]) << 10 for line in Path("/proc/meminfo").read_text().splitlines()
                    if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return MAX_STREAM
    return min(MAX_STREAM, free // 4)


def _limited(chunks: Iterator[bytes], file: str, limit: int) -> bytes:
    """All chunks in one piece; refused once they exceed the limit, however much would follow."""
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
        if len(whole) > limit:
            raise DataError(f"holds more than {limit:,} bytes of text", file=file, code="too_large",
                            hint="If that is right, write it to a plain file first")
    return bytes(whole)


def _unpacked(raw: bytes, file: str) -> tuple[bytes, tuple[str, ...]]:
    kind = next((kind for magic, kind in _MAGIC.items() if raw.startswith(magic)), None)
    named = _ENDINGS.get(Path(file).suffix.lower())
    if named and named != kind and raw:
        raise DataError(f"is called {Path(file).suffix} but is not compressed that way", file=file, code="bad_archive")
    if raw.startswith(b"\xd0\xcf\x11\xe0") and ENCRYPTED in raw:
        raise DataError("is protected by a password", file=file, code="password", hint="Save it in Excel without one")
    for magic, what in _NOT_TABLES.items():
        if raw.startswith(magic):
            raise DataError(f"is {what}, not a table of text", file=file, code="not_text", hint="Export it as CSV")
    if kind is None:
        return raw, ()
    limit = min(MAX_BYTES, max(FREE_GROWTH, MAX_RATIO * len(raw)))
    try:
        whole = _limited(_STREAMS[kind](raw, file), file, limit)
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"is damaged: {safe(error)[:80]}", file=file, code="bad_archive",
                        hint="Copy or download it again") from error
    if any(whole.startswith(magic) for magic in _MAGIC):
        raise DataError("is compressed twice", file=file, code="bad_archive", hint="Decompress it once")
    return whole, (f"{kind}: {len(whole):,} bytes",)


def _gz(raw: bytes, file: str) -> Iterator[bytes]:
    with gzip.open(io.BytesIO(raw)) as stream:
        yield from iter(lambda: stream.read(CHUNK), b"")


def _zst(raw: bytes, file: str) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(raw), "zstd") as stream:
        yield from iter(lambda: stream.read(CHUNK), b"")


def _zip(raw: bytes, file: str) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        if any(m.filename.startswith("xl/") for m in members):
            raise DataError("is a workbook of a kind that is not read", file=file, code="not_text",
                            hint="Save it as .xlsx, or export the sheet as CSV")
        if len(members) != 1:
            raise DataError(f"holds {len(members)} files; one is needed", file=file, code="bad_archive",
                            hint="Unzip it and name the table")
        with archive.open(members[0]) as stream:
            yield from _pieces(stream)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(CHUNK), b"")


_STREAMS = {"gz": _gz, "zst": _zst, "zip": _zip}


def _parquet(raw: Any, file: str) -> Columns:
    """raw: bytes, or a file that is mapped into memory."""
    import pyarrow.parquet as pq  # only Parquet files pay for it

    try:
        stream = pa.BufferReader(raw) if isinstance(raw, bytes) else raw
        texts = [field.name for field in pq.read_schema(stream) if _is_text(field.type)]
        opened = pq.ParquetFile(stream, read_dictionary=texts)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unsound(error, file) from error
    limit = min(MAX_BYTES, max(FREE_GROWTH, MAX_RATIO * (len(raw) if isinstance(raw, bytes) else raw.size())))
    if sum(opened.metadata.row_group(k).total_byte_size for k in range(opened.num_row_groups)) > limit:
        raise _grown(file, limit)                                   # a single page may be as large
    return Columns(file, opened, limit)


def _grown(file: str, limit: int) -> DataError:
    return DataError(f"holds more than {limit:,} bytes in the columns used", file=file, code="too_large",
                     hint="If that is right, write it as CSV")


def _unsound(error: Exception, file: str) -> DataError:
    return DataError(f"is no sound Parquet file: {safe(error)[:80]}", file=file, code="bad_archive")


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _bytes_as_text(column: Any) -> int:
    """What a column holds once repeated texts are written out."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    return int(pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0) + 4 * len(column)
