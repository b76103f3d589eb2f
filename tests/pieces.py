"""Work for the workers of test_engine.py, who import nothing else of the tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from forecast.errors import DataError


def doubled(piece: int) -> int:
    time.sleep(0.01 * (piece % 3))                                      # later ones are done before earlier ones
    return 2 * piece


def fatal_once(folder: Path, piece: int) -> int:
    """The worker that comes first to piece 5 is killed there."""
    if piece == 5 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{piece}-{time.monotonic_ns()}").touch()
    return piece


def said_though_killed(folder: Path, forecaster: Any, horizon: int, piece: Any) -> Any:
    """What _said_of of forecast.py says; the first worker that is asked is killed."""
    from forecast.series.forecast import _said_of

    if not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _said_of(forecaster, horizon, piece)


def fatal(piece: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return piece


def refused(piece: int) -> int:
    raise DataError("holds a 3", file="data.csv", row=3, code="a_three") if piece == 3 else AssertionError


def threads(piece: int) -> tuple[str, int]:
    return os.environ["OMP_NUM_THREADS"], os.getpid()
