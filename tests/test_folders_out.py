"""Forecasts in a folder of Parquet files: parts in order, the old folder or the new one, never some of both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from forecast.config import DataConfig
from forecast.errors import DiskError
from forecast.reading.reader import read_panel
from forecast.system import files
from forecast.tasks import predict
from forecast.tasks.workspace import Workspace
from tests.test_cli import SHOPS, Run, run

__all__ = ["run"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def forecast_to(output: str, **options: object) -> None:
    predict.predict(Workspace.at(), predict.Request(SHOPS, output=output, size=3, **options))     # type: ignore[arg-type]


def test_parts_follow_each_other_and_are_the_rows_of_one_file(here: Path) -> None:
    forecast_to("out/")
    forecast_to("whole.parquet")
    assert sorted(os.listdir("out")) == [f"part-{k:06d}.parquet" for k in range(3)]
    assert [pq.read_metadata(p).num_rows for p in sorted(Path("out").iterdir())] == [3 * 14, 3 * 14, 2 * 14]
    assert pd.read_parquet("out").equals(pd.read_parquet("whole.parquet"))
    in_parts, whole = (read_panel(name, DataConfig(target="yhat")) for name in ("out/", "whole.parquet"))
    assert in_parts.panel.fingerprint() == whole.panel.fingerprint()
    assert sorted(os.listdir()) == [".forecast", "out", "whole.parquet"]


def test_a_second_forecast_takes_the_place_of_all_of_the_first(run: Run, here: Path) -> None:
    forecast_to("out/")
    assert run("predict", SHOPS, "-o", "out/", "--series", "007").code == 0
    assert os.listdir("out") == ["part-000000.parquet"]
    assert set(pd.read_parquet("out")["store"]) == {"007"}
    assert run("replay", "out/").out.startswith("identical")
    Path("out/part-000000.parquet").write_bytes(Path("out/part-000000.parquet").read_bytes() + b" ")
    assert run("replay", "out").code == 6
    assert run("predict", SHOPS, "-o", "out/", "--series", "007", "--require-new").code == 7


def test_paths_and_a_range_of_times_go_into_folders_too(run: Run, here: Path) -> None:
    assert run("predict", SHOPS, "-o", "paths/", "--samples", "3", "--series", "007").code == 0
    assert len(pd.read_parquet("paths")) == 14
    assert run("predict", SHOPS, "-o", "past/", "--as-of", "2026-06-01..2026-06-03").code == 0
    assert len(pd.read_parquet("past")) == 3 * 8 * 14


@pytest.mark.parametrize(("name", "word"), [("out/", "holds what is no forecast, such as mine.csv"),
                                            ("mine.txt/", "is a file, and a folder is asked for"),
                                            ("out", "its ending does not say"), ("no/out/", "mkdir -p no")])
def test_what_is_not_ours_is_left(run: Run, here: Path, name: str, word: str) -> None:
    Path("out").mkdir()
    Path("out/mine.csv").write_text("a\n")
    Path("mine.txt").write_text("b\n")
    ended = run("predict", SHOPS, "-o", name)
    assert (ended.code, word in ended.err) == (2, True), ended.err
    assert (Path("out/mine.csv").read_text(), Path("mine.txt").read_text()) == ("a\n", "b\n")
    assert sorted(os.listdir()) == ["mine.txt", "out"]


def test_a_folder_that_is_read_is_not_written_over(run: Run, here: Path) -> None:
    Path("in").mkdir()
    pd.read_csv(SHOPS, dtype=str)[["store", "date", "sales"]].to_parquet("in/part-000000.parquet")
    for data in ("in", "in/part-000000.parquet"):
        ended = run("predict", data, "-o", "in/")
        assert (ended.code, "would be written over" in ended.err) == (2, True), ended.err
    assert os.listdir("in") == ["part-000000.parquet"]


KILLED = """
import os, signal, sys
from pathlib import Path
from forecast.system import files
at = sys.argv[1]
def dies(*names): os.kill(os.getpid(), signal.SIGKILL)
if at == "before": files._exchange = dies
with files.replacing_folder(Path("out")) as folder:
    for k in range(3):
        (folder / f"part-{k}").write_text("new")
    if at == "within": dies()
dies()
"""


@pytest.mark.parametrize(("at", "left"), [("within", "old"), ("before", "old"), ("after", "new")])
def test_a_kill_leaves_the_old_folder_or_the_new(here: Path, at: str, left: str) -> None:
    for k in range(2):
        Path("out").mkdir(exist_ok=True)
        Path(f"out/part-{k}").write_text("old")
    ended = subprocess.run([sys.executable, "-c", KILLED, at], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [p.read_text() for p in sorted(Path("out").iterdir())] == [left] * (2 if left == "old" else 3)


@pytest.mark.parametrize("is_atomic", [True, False])
def test_folders_change_places(here: Path, monkeypatch: pytest.MonkeyPatch, is_atomic: bool) -> None:
    if not is_atomic:
        monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: object())       # a system without renameat2
    for content in ("old", "new"):
        with files.replacing_folder(here / "out") as folder:
            (folder / content).write_text(content)
    assert os.listdir() == ["out"]
    assert os.listdir("out") == ["new"]


def test_a_full_disk_leaves_what_stood_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forecast_to("out/")
    before = files.sha256(here / "out/part-000001.parquet")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(DiskError, match="No space left"):
        forecast_to("out/", levels="80")
    assert files.sha256(here / "out/part-000001.parquet") == before
    assert sorted(os.listdir()) == [".forecast", "out"]


def test_what_a_killed_writer_left_goes_after_a_day(here: Path) -> None:
    for name, age in ((".out.0a1b2c3d.tmp", 100_000), (".out.1a1b2c3d.tmp", 100)):
        Path(name).mkdir()
        Path(name, "part-000000.parquet").write_text("")
        os.utime(name, (np.datetime64("now").astype(int) - age,) * 2)
    with files.replacing_folder(here / "out"):
        pass
    assert sorted(os.listdir()) == [".out.1a1b2c3d.tmp", "out"]
