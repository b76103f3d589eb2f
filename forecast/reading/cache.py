"""Cache: readings of large files kept in the store, so that a file that has not changed is not parsed again.

It is never believed over the file. An entry counts only for the very bytes that lie there now (their SHA-256 is taken
each time), and only by the same settings, contract, program, libraries and time zones. Where an entry is damaged or
unreadable, the file is parsed. Where one cannot be written, none is, and nothing is said of it."""

# P points  S series

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import stat
import sys
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast import __version__
from forecast.config import DataConfig
from forecast.errors import ForecastError, Problem
from forecast.reading import portions
from forecast.reading.contract import Contract
from forecast.reading.parsing.zones import USUAL
from forecast.reading.reader import Reading, Repair
from forecast.reading.remarks import AHEAD, NOT_OVER
from forecast.reading.sheets import beside_at
from forecast.series.covariates import Covariates
from forecast.series.panel import Panel
from forecast.system import clock
from forecast.system.files import CACHE, make_folders, remove_file, replacing

LEAST = 4_000_000                   # bytes of a file: a smaller one is parsed in a tenth of a second
KEPT = 8                            # entries, the newest
MOST = 2 << 30                      # bytes of all of them
SPARE = 8                           # times its size must be free, so that no output lacks room for it
ENDING = ".reading"
DIGEST = 32
HEAD = 48                           # bytes of six sizes
_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError, RecursionError,
           ForecastError)           # what a damaged store or entry may raise
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Entry:
    """Where the reading of a file by these settings and contract is kept; a later one takes its place."""

    place: Path
    file: str
    key: bytes                      # everything that a reading depends on but the file


def read_cached(path: str | os.PathLike[str], options: DataConfig, contract: Contract | None = None, *,
                store: Path) -> Reading:
    """What `read_panel` returns or raises, to the bit; from the store where it has been read before."""
    file = os.fspath(path)
    entry = _entry(file, options, contract, store) if is_large(file) else None
    if entry is not None:
        kept = _kept(entry) or (contract and _as_first_read(file, options, contract, store))
        if kept:
            return kept
    reading = portions.read_whole(path, options, contract)
    if entry is not None and not _is_of_its_hour(reading):
        with contextlib.suppress(*_DAMAGE):
            _keep(entry, reading)
    return reading


def _as_first_read(file: str, options: DataConfig, contract: Contract, store: Path) -> Reading | None:
    """The reading of a file by the contract that was found in it: made from its first reading, which had no contract.

    The two are the same but for what is said (a test holds all kinds of files to it)."""
    entry = _entry(file, options, None, store)
    first = _kept(entry) if entry is not None else None
    if first is None or first.contract != contract:
        return None
    return dataclasses.replace(first, contract=dataclasses.replace(contract, marks=()), choices=(), rescaled=(),
                               notes=tuple(note for note in first.notes if note not in first.choices))


def is_large(file: str | os.PathLike[str]) -> bool:
    """Whether this is a file of some size. A pipe cannot be read twice, and - is one, even where a file has that
    name."""
    if os.fspath(file) == "-":
        return False
    try:
        status = os.stat(file)
    except (OSError, ValueError):                                   # read_panel says what is wrong with it
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size >= LEAST


def _is_of_its_hour(reading: Reading) -> bool:
    """Whether another day may read the file otherwise: it has rows in the future, a last day that is not
    over, or years of two digits."""
    told = any(word in note for note in reading.notes for word in (AHEAD, NOT_OVER))
    return told or "%y" in reading.contract.time_format.pattern


def _entry(file: str, options: DataConfig, contract: Contract | None, store: Path) -> _Entry | None:
    """None where it cannot be told what the reading depends on."""
    asked = _plain([Path(file).suffix.lower(), options, contract])
    name = hashlib.sha256(os.fsencode(os.path.realpath(file)) + b"\0" + asked).hexdigest()[:16]
    others = [path for _, path in beside_at(file, options, contract)]
    zones = (*USUAL, options.tz or (contract and contract.tz) or "")
    try:
        beside = _program() + _rules(zones) + b"%d" % clock.now().year    # which two-digit years are plausible
        beside += b"".join((_sha256(path) or "").encode() for path in others) + _package()
    except (OSError, ForecastError):
        return None
    return _Entry(store / CACHE / f"{name}{ENDING}", file, hashlib.sha256(asked + beside).digest())


@functools.cache
def _program() -> bytes:
    """Every line of this program, and the versions of what it reads with."""
    files = sorted(Path(__file__).parent.parent.rglob("*.py"))
    lines = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    return _plain([__version__, lines, sys.version, sys.byteorder, np.__version__, pa.__version__])


def _package() -> bytes:
    """The version of the holidays that are known here."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("holidays").encode()
    return b""


def _rules(zones: tuple[str, ...]) -> bytes:
    """What this machine's time zone database says of them today; where it has none, what the package tzdata says."""
    package = importlib.util.find_spec("tzdata")
    inside = (package.submodule_search_locations or []) if package else []
    folders = [*zoneinfo.TZPATH, *(f"{folder}/zoneinfo" for folder in inside)]
    rules = (Path(folder, zone) for zone in zones for folder in folders)
    return b"\0".join(file.read_bytes() for file in rules if file.is_file())


def _kept(entry: _Entry) -> Reading | None:
    """The reading kept, if it is of this file as it lies there now."""
    try:
        with open(entry.place, "rb", opener=_plain_file) as stream:
            size = int(np.fromfile(stream, np.int64, 1)[0])
            if size != os.stat(entry.file).st_size or os.fstat(stream.fileno()).st_size > MOST:
                return None                                         # no need to take the hash of the file
            whole = np.fromfile(stream, np.uint8)
        sha256 = _sha256(entry.file)
        body = whole[DIGEST:]
        if sha256 is None or whole[:DIGEST].tobytes() != _digest(entry, sha256, body):
            return None
        reading, made = _reading(body, entry.file, sha256)
        return reading if made <= clock.now().timestamp() else None
    except _DAMAGE:
        return None


def _plain_file(name: str, flags: int) -> int:
    """A descriptor of a plain file: a link may lead anywhere, and a pipe may keep us waiting."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no file")
    return descriptor


def _sha256(file: str) -> str | None:
    """Of its bytes; None where they change meanwhile."""
    with open(file, "rb") as stream:
        before = os.fstat(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        after = os.fstat(stream.fileno())
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return digest if same else None


def _digest(entry: _Entry, sha256: str, *parts: NDArray[Any]) -> bytes:
    digest = hashlib.sha256(entry.key + sha256.encode())
    for part in parts:
        digest.update(part.data)
    return digest.digest()


def _reading(body: Bytes, file: str, sha256: str) -> tuple[Reading, float]:
    """An entry's body as it was written, and the time it was: sizes, arrays, words."""
    points, series, filled, rows, columns, static = map(int, body[:HEAD].view(np.int64))
    has_more = rows + columns + static > 0
    beside = [8 * rows * columns, *[8 * series * has_more] * 3, 8 * series * static]
    ends = np.cumsum([HEAD, 8 * points, 8 * series, 8 * series, 8 * series, *beside, points * filled])
    y, first, stop, start, *more, invented = (body[a:b] for a, b in pairwise(ends))
    words = json.loads(body[ends[-1]:].tobytes())
    contract = Contract.from_dict(words["contract"])
    covariates = _covariates(contract, more, columns, static, series) if has_more else None
    panel = Panel(y.view(np.float64), first.view(np.int64), stop.view(np.int64), start.view(np.int64),
                  np.array(words["ids"], dtype=object), contract.calendar, invented.view(np.bool_) if filled else None,
                  covariates, np.arange(series) if has_more else None)
    repairs = tuple(Repair(**r | {"examples": _problems(r["examples"], file)}) for r in words["repairs"])
    return Reading(panel, contract, words["rows"], sha256, tuple(words["notes"]), repairs, file,
                   _problems(words["rejects"], file), tuple(words["choices"]),
                   _problems(words["rescaled"], file), words["content"]), float(words["made"])


def _covariates(contract: Contract, arrays: Sequence[Bytes], columns: int, static: int, series: int) -> Covariates:
    values, first, start, stop, fixed = arrays
    return Covariates(contract.columns, values.view(np.float64).reshape(-1, columns), first.view(np.int64),
                      start.view(np.int64), stop.view(np.int64), fixed.view(np.float64).reshape(series, static))


def _problems(listed: list[dict[str, Any]], file: str) -> tuple[Problem, ...]:
    return tuple(Problem(**fields | {"file": file}) for fields in listed)


def _keep(entry: _Entry, reading: Reading) -> None:
    """Raises OSError or DiskError where the store does not take it, TypeError or ValueError for what JSON does not."""
    panel = reading.panel
    beside = panel.beside
    arrays = [panel.y, panel.first, panel.stop, panel.start,
              *([] if beside is None else [beside.values, beside.first, beside.start, beside.stop, beside.static]),
              *([] if panel.filled is None else [panel.filled])]
    problems = *reading.rejects, *reading.rescaled, *(p for repair in reading.repairs for p in repair.examples)
    if panel.calendar != reading.contract.calendar or {p.file for p in problems} - {reading.file}:
        return                                                      # an entry keeps one of each for both
    words = _plain({"made": clock.now().timestamp(), "contract": reading.contract, "ids": panel.ids.tolist(),
                    "rows": reading.rows, "notes": reading.notes, "choices": reading.choices,
                    "rejects": reading.rejects, "repairs": reading.repairs, "rescaled": reading.rescaled,
                    "content": reading.content})
    shape = (0, 0, 0) if beside is None else (*beside.values.shape, beside.static.shape[1])
    sizes = np.array([panel.y.size, len(panel), panel.filled is not None, *shape], dtype=np.int64)
    parts = [sizes, *map(np.ascontiguousarray, arrays), np.frombuffer(words, np.uint8)]
    size = sum(part.nbytes for part in parts)
    folder = entry.place.parent
    if size > MOST // 2 or shutil.disk_usage(folder.parent).free < SPARE * size:
        return
    if make_folders(folder):
        folder.chmod(0o700)                                         # the file may not be for everybody's eyes
    if entry.place.is_symlink():
        remove_file(entry.place)                                    # else the link would be written through
    with replacing(entry.place) as stream:
        stream.write(os.stat(entry.file).st_size.to_bytes(8, sys.byteorder))
        stream.write(_digest(entry, reading.sha256, *parts))
        for part in parts:
            stream.write(part.data)
    _tidy(folder)


def readings(store: Path) -> list[int]:
    """The sizes in bytes of the readings kept in a store, the newest first."""
    with contextlib.suppress(OSError):
        return [status.st_size for status, _ in _newest(store / CACHE)]
    return []


def _newest(folder: Path) -> list[tuple[os.stat_result, Path]]:
    return sorted(((f.lstat(), f) for f in folder.glob("*" + ENDING)), key=lambda entry: -entry[0].st_mtime_ns)


def _tidy(folder: Path) -> None:
    """Remove all but the newest entries. Whoever is reading one that goes has it open, and reads on."""
    left = MOST
    for k, (status, file) in enumerate(_newest(folder)):
        left -= status.st_size
        if k >= KEPT or left < 0:
            remove_file(file)


def _plain(content: Any) -> bytes:
    """Strict JSON, dataclasses by their fields. Raises TypeError or ValueError for what it cannot write."""
    return json.dumps(content, allow_nan=False, default=_fields).encode("ascii")


def _fields(whole: Any) -> dict[str, Any]:
    return {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
