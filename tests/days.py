"""A file that grows day by day, a model of its first hundred days, and issues made on any of them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.cli import main
from forecast.ledger.issue import Issue
from forecast.ledger.options import Options
from forecast.tasks.issuing import begin, keep
from forecast.tasks.teller import SILENT
from forecast.tasks.workspace import Workspace
from forecast.writing.layouts import Page, table_of, write_table
from forecast.writing.places import Place

DAYS = pd.date_range("2026-01-01", periods=130).strftime("%Y-%m-%d")
FAST = ("--horizon", "3", "--hidden", "4", "--set", "train.steps=5", "--set", "model.blend=false", "--set",
        "model.members=1", "-q")


def rows() -> pd.DataFrame:
    """130 days of two series."""
    random = np.random.default_rng(3)
    whole = [(name, day, round(float(size * (10 + 3 * np.sin(2 * np.pi * k / 7)) + random.normal()), 2))
             for name, size in (("a", 1), ("b", 4)) for k, day in enumerate(DAYS)]
    return pd.DataFrame(whole, columns=["store", "date", "sales"])


def grow(folder: Path, days: int) -> None:
    """data.csv as it is after so many days."""
    frame = rows()
    frame[frame["date"] <= DAYS[days - 1]].to_csv(folder / "data.csv", index=False)


def train(folder: Path, *more: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(folder), "train", "data.csv", *FAST, *more])
    assert not ended.value.code


@functools.cache
def trained() -> Path:
    """A folder with 100 days of the file, and a model of it; to be copied, not changed."""
    kept = tempfile.TemporaryDirectory(prefix="days-")
    _KEPT.append(kept)
    grow(Path(kept.name), 100)
    train(Path(kept.name))
    return Path(kept.name)


_KEPT: list[Any] = []


def issue(folder: Path, output: str = "predictions.csv", **options: Any) -> Issue:
    """What predict does with the present contents of the file: forecast, write, keep."""
    workspace = Workspace.at(folder, environment={})
    run, source = workspace.run("live"), workspace.source("data.csv")
    reading = workspace.read_for(run, source)
    draft = begin(workspace, run, source, reading, horizon=3, levels=(80.0, 95.0), options=Options(**options))
    forecast = run.predictor.predict(draft.known, 3)
    draft.add(forecast, run.contract.decimals)
    write_table(table_of(forecast, Page(run.contract, (80.0, 95.0), run.id), "default"), folder / output)
    kept = keep(workspace, SILENT, draft, Place(str(folder / output)))
    assert kept is not None
    return kept
