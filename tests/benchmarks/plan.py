"""One training, and what was said of its time: called by speed.py plan, in a process of its own.

    python tests/benchmarks/plan.py STORE DATA [FLAG ...]

Writes one JSON document: seconds expected and taken of each part, how long it took to find what is expected, and the
most by which the time left has grown, of what it was at its least before (at a second or more)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from forecast.system import machine

machine.prepare(threads=1)                                              # as a command does, before numpy is imported

from forecast.cli import console, main  # noqa: E402
from forecast.showing.progress import Progress  # noqa: E402
from forecast.tasks import fitting, train  # noqa: E402

EXPECTED, WORKED = fitting.expected, train._worked
LEAST = 1.0                             # seconds left, below which nobody looks


class Watched(Progress):
    """A progress that keeps the time left at each of its moments."""

    kept: Watched

    def __init__(self, expected: Mapping[str, float], now: float) -> None:
        super().__init__(expected, now)
        Watched.kept, self.least, self.growth = self, self.left(now), 0.0

    def begin(self, name: str, now: float) -> None:
        super().begin(name, now)
        self.look(now)

    def advance(self, done: float, now: float) -> None:
        super().advance(done, now)
        self.look(now)

    def look(self, now: float) -> None:
        left = self.left(now)
        self.growth = max(self.growth, left / max(self.least, LEAST) - 1)
        self.least = min(self.least, left)


def watched(*arguments: str) -> dict[str, object]:
    """Train so. Raises RuntimeError where that fails."""
    console.Progress = Watched                                          # type: ignore[attr-defined]
    asked = list[float]()

    def timed(*given: Any, **named: Any) -> dict[str, float]:
        import torch  # noqa: F401                                      # what follows needs it anyway

        began, found = time.monotonic(), EXPECTED(*given, **named)
        asked.append(time.monotonic() - began)
        return found

    def ended(*given: Any) -> train.Trained:
        made = WORKED(*given)
        Watched.kept.begin("", time.monotonic())
        return made

    fitting.expected, train._worked = timed, ended
    try:
        main(["--store", arguments[0], "train", *arguments[1:]])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"exit {end.code}") from None
    progress = Watched.kept
    return {"expected": progress.expected, "taken": progress.past, "asked": asked[0], "growth": progress.growth}


if __name__ == "__main__":
    print("\n" + json.dumps(watched(*sys.argv[1:])))
