"""Signals: that somebody wants this program to stop, kept until it is heard.

A signal becomes an exception wherever the program happens to be. In the middle of an import or of a destructor, others
may swallow it: what works for long looks here now and then, and so does the end of the program."""

from __future__ import annotations

import signal
from types import FrameType

_heard: list[int] = []                                                  # the signals, the newest last


def listen() -> None:
    """From now on SIGINT is KeyboardInterrupt, and SIGTERM is SystemExit: both unwind, so that temporary files go and
    locks are let go. For the main thread."""
    _heard.clear()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:              # as nohup and & of a shell have it
            signal.signal(number, _hear)


def _hear(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    raise _as_exception(number)


def _as_exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def check() -> None:
    """Raise again what was heard and came to nothing."""
    if _heard:
        raise _as_exception(_heard[-1])


def answered() -> int:
    """The exit code for what was heard since `listen`: 130 or 143, 0 for nothing. From now on it counts as answered."""
    code = 128 + _heard[-1] if _heard else 0
    _heard.clear()
    return code
