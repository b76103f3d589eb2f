"""Ended: how the last runs of commands ended, as the status files in a folder say (`--status-file`), and since when a
model serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forecast.store.store import Store
from forecast.system.monitor import ENDING, GOOD, SUCCESS

LARGEST = 100_000                       # characters of a status file
LINE = re.compile(r'^forecast_(exit_code|last_run_timestamp_seconds|last_success_timestamp_seconds)'
                  r'\{task="[^"\n]*",command="(\w+)"\} (\d{1,11})$', re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """How the last run of a command ended. at: when · succeeded: when one last wrote its output; None for never."""

    command: str
    exit_code: int
    at: datetime
    succeeded: datetime | None

    @property
    def is_good(self) -> bool:
        """Whether it wrote its output."""
        return self.exit_code in GOOD


def endings(folder: Path) -> list[Ended]:
    """Of each status file in a folder, by command; a file that cannot be read, or is another's, is none."""
    return sorted(_read(folder), key=lambda e: (e.command, e.at))


def _read(folder: Path) -> Iterator[Ended]:
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(LARGEST)
        except OSError:
            continue
        found = {name: int(value) for name, _, value in LINE.findall(text)}
        if {"exit_code", "last_run_timestamp_seconds"} <= set(found):
            good = found.get(SUCCESS.removeprefix("forecast_"), 0)
            yield Ended(LINE.findall(text)[0][1], found["exit_code"], datetime.fromtimestamp(
                found["last_run_timestamp_seconds"], UTC), datetime.fromtimestamp(good, UTC) if good else None)


def serves_since(store: Store, run: str) -> str | None:
    """When a run went live, where it is the live one."""
    last = next((p for p in reversed(store.history()) if p.run == run), None)
    return last.at if last is not None and store.live() == run else None
