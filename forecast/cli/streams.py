"""Streams: the three that a program is started with, safe to use even where one is closed, or the disk behind it full.

Words that cannot be written are lost, and the work goes on. A result that cannot be written is DiskError."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

from forecast.errors import DiskError
from forecast.system.files import REMEDIES

USUAL = 80                                                              # columns of a terminal that does not say
CLOSED = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))


class Words(io.TextIOWrapper):
    """Text for people. What cannot be written is lost."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def columns_of(stream: TextIO) -> int | None:
    """Columns of what shows a stream: COLUMNS, before what a terminal says itself; None without both."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said):
        return int(said)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    except (OSError, ValueError):
        return USUAL


def secure() -> None:
    """Before anything is written: stderr loses what it cannot write, and a stream that is closed is open again, so that
    no file of ours takes its number. Reading or writing there fails as on a broken disk; words to stderr are lost."""
    for name, access, mode in CLOSED:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode, encoding="utf-8"))
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = Words(sys.stderr.detach(), encoding, "backslashreplace", line_buffering=True)


def write_out(text: str) -> None:
    """To stdout, now. A reader that has gone away ends the program quietly (141); a full disk is DiskError."""
    write_bytes_out(text.encode("utf-8", "backslashreplace"))


def write_bytes_out(content: bytes) -> None:
    """Bytes to stdout, as in `write_out`."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        import typer  # loaded by all but --version

        _forget()
        raise typer.Exit(141) from None
    except OSError as error:
        _forget()
        raise DiskError(f"cannot write: {os.strerror(error.errno or 0)}", file="standard output", code="disk",
                        hint=REMEDIES.get(error.errno or 0)) from error


def _forget() -> None:
    """Nothing more goes to stdout, and nothing that is left there is written at the end."""
    sys.stdout = io.TextIOWrapper(io.BytesIO())
