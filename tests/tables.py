"""Small tables as text, and their reading: for the tests of the reader."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.contract import Contract
from forecast.reading.reader import Reading, read_panel

DAYS = [date(2020, 1, 1) + timedelta(k) for k in range(40)]


def read(content: str | bytes, *, ending: str = ".csv", contract: Contract | None = None, **options: Any) -> Reading:
    """Read a text as if it stood in a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"f{ending}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_panel(path, DataConfig(**options), contract)


def refused(content: str | bytes, *, ending: str = ".csv", **options: Any) -> DataError:
    """The refusal of a text, held against what every refusal promises: a short line."""
    with pytest.raises(DataError) as caught:
        read(content, ending=ending, **options)
    line = str(caught.value)
    assert len(line) - len(caught.value.problem.file or "") <= 240
    assert "\n" not in line
    return caught.value


def column(stamps: Iterable[object], values: Iterable[object] | None = None, *, header: str = "date,value",
           mark: str = ",") -> str:
    """Two columns; values count from 0.5 where none are given."""
    stamps = list(stamps)
    values = [k + 0.5 for k in range(len(stamps))] if values is None else values
    rows = [f"{stamp}{mark}{value}" for stamp, value in zip(stamps, values, strict=True)]
    return "\n".join([header, *rows]) + "\n"


def days(form: str = "%Y-%m-%d", count: int = 40, **more: Any) -> str:
    return column([d.strftime(form) for d in DAYS[:count]], **more)


def changed(text: str, line: int, change: Callable[[str], str]) -> str:
    """The text with one physical line rewritten."""
    lines = text.split("\n")
    lines[line - 1] = change(lines[line - 1])
    return "\n".join(lines)


def written(reading: Reading, series: int = 0) -> list[str]:
    """The stamps of a series as the file writes them."""
    return reading.contract.time_text(reading.panel.times(series))


def repairs(reading: Reading) -> dict[str, int]:
    return {r.kind: r.count for r in reading.repairs}
