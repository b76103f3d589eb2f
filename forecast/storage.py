"""How a byte reaches disk: whole or not at all. Nothing else in the package opens a file for writing.

A file is written beside its target, synced, then renamed over it; a folder is filled under another name, synced,
then renamed. Whoever reads sees the old content or the new, never a part. What the operating system refuses
becomes DiskError, and the temporary file is gone again."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from forecast.errors import BusyError, DiskError

REMEDIES = {errno.ENOSPC: "Free some space and run it again", errno.EDQUOT: "Free some of your quota",
            errno.EROFS: "The disk is read-only: choose another place", errno.EACCES: "Check who may write there",
            errno.EPERM: "Check who may write there", errno.ENOENT: "The folder does not exist: create it first"}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """OSError while touching `path` -> DiskError (exit 9) that names it."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"cannot write: {os.strerror(error.errno or errno.EIO)}", file=str(path), code="disk",
                        hint=REMEDIES.get(error.errno or 0)) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends well, and leaves no trace when it does not.

    The temporary file stands in the same folder (a rename across file systems would be a copy) and is created
    with O_EXCL under an unpredictable name; the umask decides who may read it. Raises DiskError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with disk_errors(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """`content` at `path`, atomically. Raises DiskError."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """UTF-8 text at `path`, atomically. Raises DiskError."""
    write_bytes(path, content.encode("utf-8"))


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill under another name, which becomes `path` when the block ends well. Raises DiskError."""
    partial = path.with_name(path.name + ".partial")
    with disk_errors(path):
        partial.mkdir(parents=True)
        try:
            yield partial
            for file in sorted(partial.iterdir()):
                _sync(file)
            sync_folder(partial)
            os.rename(partial, path)
            sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    _sync(folder)


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
def exclusive(path: Path) -> Iterator[None]:
    """Hold the kernel's lock on `path`; the kernel lets go of it when the process ends, however it ends.

    Raises BusyError at once when another process holds it, with what that process wrote into the file."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with disk_errors(path):
            _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another run"
        raise BusyError(f"{holder} is writing to this store", file=str(path), code="busy",
                        hint="Wait for it to end, or use another --store") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
