"""How a byte reaches disk: whole or not at all. Nothing else in the package opens a file for writing.

A file is written beside its target, synced, then renamed over it; a folder is filled under another name, synced,
then renamed. Whoever reads sees the old content or the new, never a part. What the operating system refuses
becomes DiskError; then the temporary file is gone again, and what stood before stands. Only a kill leaves something:
`.NAME.1a2b3c4d.tmp` beside a file, `NAME.partial` beside a folder."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from forecast.errors import BusyError, DiskError

REMEDIES = {errno.ENOSPC: "Free some space and run it again", errno.EDQUOT: "Free some of your quota",
            errno.EROFS: "The disk is read-only: choose another place", errno.EACCES: "Check who may write there",
            errno.EPERM: "Check who may write there", errno.ENOENT: "The folder does not exist: create it first"}
PARTIAL = ".partial"                                                    # behind the name of a folder being filled
CACHE = "cache"                                                         # the folder of a store that holds readings
ABANDONED = 86_400.0                                                    # seconds without a byte
GRACE = 0.2                                                             # seconds for one who only looks at a lock
AT_FDCWD, RENAME_EXCHANGE = -100, 2                                     # of renameat2(2)
UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP)                              # network file systems that sync no folder


@contextlib.contextmanager
def disk_errors(path: Path, doing: str = "write") -> Iterator[None]:
    """OSError while touching `path` -> DiskError (exit 9) that names it."""
    try:
        yield
    except OSError as error:
        hint = REMEDIES.get(error.errno or 0)
        if error.errno == errno.ENOENT and path.parent.is_dir():
            hint = "No file can be made in this folder: choose another place"
        raise DiskError(f"cannot {doing}: {os.strerror(error.errno or errno.EIO)}", file=str(path), code="disk",
                        hint=hint) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends well, and leaves no trace when it does not.

    The temporary file stands in the same folder (a rename across file systems would be a copy) and is created
    with O_EXCL under an unpredictable name. Who may read it is as it was, or as the umask says; a link is followed.
    Raises DiskError, also for a device, a pipe or a folder."""
    with disk_errors(path):
        target = Path(os.path.realpath(path))
        mode = _mode(target)
        _remove_abandoned(target)
        temporary = _beside(target)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if mode is not None:
                    with contextlib.suppress(OSError):                  # a file system may know no modes
                        os.fchmod(descriptor, mode)
                yield file
                file.flush()
                os.fsync(file.fileno())
            _take_place(temporary, target, is_new=mode is None)
        except BaseException:
            _unlink(temporary)
            raise


def _mode(path: Path) -> int | None:
    """Permissions of the file that stands there, None where none does."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise DiskError("is there already, and is not a file", file=str(path), code="disk", hint="Choose another name")
    return status.st_mode & 0o777


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _take_place(temporary: Path, path: Path, *, is_new: bool) -> None:
    """Rename, and see to it that this survives a power cut; where the disk refuses, what stood before comes back."""
    before = None if is_new else _second_name(path)
    try:
        os.replace(temporary, path)
        try:
            sync_folder(path.parent)
        except OSError:
            if before is not None:
                os.replace(before, path)
            elif is_new:
                path.unlink()
            raise
    finally:
        if before is not None:
            _unlink(before)


def _second_name(path: Path) -> Path | None:
    """A link to what stands there; None on a file system without links."""
    name = _beside(path)
    try:
        os.link(path, name)
    except OSError:
        return None
    return name


def _unlink(path: Path) -> None:
    """On the way out of something else: it stays where it cannot go."""
    with contextlib.suppress(OSError):
        path.unlink()


def temporaries(path: Path) -> list[Path]:
    """Temporary files of `path`: of a writer at work, or left by one that was killed."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    try:
        return sorted(path.with_name(e.name) for e in os.scandir(path.parent) if pattern.fullmatch(e.name))
    except OSError:
        return []


def _remove_abandoned(path: Path) -> None:
    for temporary in temporaries(path):
        with contextlib.suppress(OSError):
            if time.time() - temporary.lstat().st_mtime > ABANDONED:
                shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """`content` at `path`, atomically. Raises DiskError."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """UTF-8 text at `path`, atomically. Raises DiskError."""
    write_bytes(path, content.encode("utf-8"))


def _sync_all(folder: Path) -> None:
    """Have the disk hold a folder and the files in it."""
    for file in sorted(folder.iterdir()):
        _sync(file)
    sync_folder(folder)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill with files, which takes the place of `path` when the block ends well: whoever looks finds the
    files of before or these, never some of both. Nothing is left of it when it ends badly. Raises DiskError."""
    with disk_errors(path):
        target = Path(os.path.realpath(path))
        _remove_abandoned(target)
        temporary = _beside(target)
        temporary.mkdir()
        try:
            yield temporary
            _sync_all(temporary)
            _exchange(temporary, target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)                # what stood before, or what was not ended


def _exchange(one: Path, other: Path) -> None:
    """Rename `one` to `other`, and what stands there to `one`: in one step where the system can do that, else in two,
    between which a kill leaves the old files under the name of `one`'s neighbour."""
    if not other.exists():
        os.rename(one, other)
        return
    names = [AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other)]
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)       # Linux has it
    if renameat2 is not None and renameat2(*names, ctypes.c_uint(RENAME_EXCHANGE)) == 0:
        return
    aside = _beside(other)
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(aside, other)
        raise
    os.rename(aside, one)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill under another name, which becomes `path` when the block ends well. Raises DiskError."""
    partial = path.with_name(path.name + PARTIAL)
    with disk_errors(path):
        made = make_folders(path.parent)
        partial.mkdir()
        try:
            yield partial
            _sync_all(partial)
            os.rename(partial, path)
            try:
                sync_folder(path.parent)
            except OSError:
                os.rename(path, partial)
                raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            _remove_empty(made)
            raise


def remove_folder(path: Path) -> None:
    """Out of sight by one rename, then gone: whoever looks finds it whole or not at all. Raises DiskError."""
    partial = path.with_name(path.name.removesuffix(PARTIAL) + PARTIAL)
    with disk_errors(path, "remove"):
        if path != partial:
            os.rename(path, partial)
            sync_folder(path.parent)
        shutil.rmtree(partial)


def remove_file(path: Path) -> None:
    """Raises DiskError where it cannot go."""
    with disk_errors(path, "remove"):
        path.unlink(missing_ok=True)


def make_folders(folder: Path) -> list[Path]:
    """A folder with all above it, their names synced. Returns those that were not there, the innermost first."""
    made: list[Path] = []
    try:
        for missing in reversed([f for f in (folder, *folder.parents) if not f.exists()]):
            missing.mkdir(exist_ok=True)
            made.insert(0, missing)
            sync_folder(missing.parent)
    except BaseException:
        _remove_empty(made)
        raise
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(content: Any) -> str:
    """Strict JSON text: what is not finite becomes null.

    A lone surrogate (from a file name that is not UTF-8) has no UTF-8; Python's escape of it is JSON's too."""
    text = json.dumps(_strict(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _strict(content: Any) -> Any:
    if hasattr(content, "tolist"):                                      # numpy's scalars and arrays
        content = content.tolist()
    if isinstance(content, dict):
        return {str(k): _strict(v) for k, v in content.items()}
    if isinstance(content, (list, tuple)):
        return [_strict(v) for v in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def exclusive(path: Path, *, by: str = "another run", wait: float = 0.0,
              waiting: Callable[[str], None] = lambda holder: None) -> Iterator[None]:
    """Hold the kernel's lock on `path`; the kernel lets go of it when the process ends, however it ends.

    by: what others are told this process is · wait: seconds to stand in line · waiting: told once who holds it.
    Raises BusyError where another process holds it still, with what that process said of itself."""
    with disk_errors(path):
        made = make_folders(path.parent)
        descriptor = _held(path, wait, waiting)
    try:
        with disk_errors(path):
            _sign(descriptor, by)
        yield
    except BaseException:
        if made and [f.name for f in path.parent.iterdir()] == [path.name]:     # a house for nothing: it goes again
            _unlink(path)
            _remove_empty(made)
        raise
    finally:
        with contextlib.suppress(OSError):                              # the work is done, and the kernel lets go later
            os.close(descriptor)


def _held(path: Path, wait: float, waiting: Callable[[str], None]) -> int:
    """A descriptor that holds the lock on the file that stands at `path` now, whoever may have taken away another."""
    end, is_announced = time.monotonic() + max(wait, GRACE), False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
            os.close(descriptor)
            continue
        except BlockingIOError as error:
            said = _signature(descriptor)
            os.close(descriptor)
            if time.monotonic() >= end:
                raise BusyError(f"{said} is writing to this store", file=str(path), code="busy",
                                hint="Wait for it (train and models have --wait 10m), or use another --store"
                                ) from error
        except BaseException:
            os.close(descriptor)
            raise
        if wait and not is_announced:
            is_announced = True
            waiting(said)
        time.sleep(min(GRACE / 4 if not wait else GRACE, max(0.0, end - time.monotonic())))


def _sign(descriptor: int, by: str) -> None:
    """Longer than what it replaces or cut to its own length after: whoever reads finds words."""
    said = f"process {os.getpid()} ({by[:100]}), since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    content = said.encode("utf-8", "backslashreplace")
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))


def _signature(descriptor: int) -> str:
    return os.pread(descriptor, 300, 0).decode("utf-8", "replace").partition("\n")[0].strip() or "another run"


def holder(path: Path) -> str | None:
    """Who holds a lock at this moment; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signature(descriptor)
    except OSError:                                                     # a file system without locks
        return None
    finally:
        os.close(descriptor)
    return None
