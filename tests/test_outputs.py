"""Outputs: what a command writes never takes the place of what it reads, of the store's own, or of a model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from forecast.errors import DiskError, RequestError
from forecast.system.datasource import DataSource, guard
from forecast.tasks.workspace import Workspace
from tests.test_cli import Run, run, succeed
from tests.test_whatif import FAST, PLAN, rows

__all__ = ["run"]
WEATHER = "day,heat\n" + "".join(f"2026-0{month}-{day:02},{day % 9}\n" for month in (1, 2, 3) for day in range(1, 29))
WRITERS = {                                                             # each path that a command writes
    "predict -o": ("predict --future plan.csv -o", ".csv"), "plot": ("predict --future plan.csv --plot", ".png"),
    "paths": ("predict --future plan.csv --samples 2 -o", ".csv"),
    "past": ("predict --as-of 2026-02-01..2026-02-02 -o", ".csv"),
    "whatif": ("whatif --future plan.csv --instead plan.csv -o", ".csv"), "future": ("future -o", ".csv"),
    "metrics": ("evaluate -o", ".json"), "backtest": ("evaluate --predictions", ".csv"),
    "drawn": ("evaluate --plot", ".png"), "report": ("report --future plan.csv -o", ".html"),
    "explain": ("explain --future plan.csv -o", ".png"), "compare": ("compare shops.csv --budget 9s -o", ".json"),
    "compared": ("compare shops.csv --budget 9s --plot", ".png"), "tune": ("tune shops.csv --budget 9s -o", ".json"),
    "study": ("tune shops.csv --budget 9s --study", ".journal"), "check": ("check shops.csv -o", ".csv"),
    "rejects": ("check shops.csv --rejects", ".csv"), "merge": ("merge part.csv -o", ".csv")}
STATUS = {f"status of {name}": (f"{line} --status-file", ".prom")
          for name, line in (("train", "train shops.csv"), ("predict", "predict"), ("evaluate", "evaluate"))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    for name, text in (("shops.csv", rows()), ("plan.csv", PLAN), ("weather.csv", WEATHER), ("part.csv", rows()),
                       ("forecast.toml", '[data]\ncovariates = ["weather.csv"]\n')):
        (folder / name).write_text(text)
    succeed("-C", folder, "train", "shops.csv", "-q", *FAST, "--known", "promo,sky", "--past", "visits,heat")
    succeed("-C", folder, "predict", "--future", "plan.csv", "-q")
    return folder


def contents() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize("writer", [*WRITERS, *STATUS])
def test_no_output_takes_the_place_of_what_is_read_or_kept(run: Run, folder: Path, writer: str) -> None:
    line, ending = (WRITERS | STATUS)[writer]
    reads = ["part.csv"] if writer == "merge" else ["shops.csv", "weather.csv"]
    reads += ["plan.csv"] * ("plan.csv" in line)
    model = next(Path(".forecast/runs").iterdir()) / "config.json"
    kept = ["forecast.toml", ".forecast/ledger.db", ".forecast/live", model]
    link = folder / f"link{ending}"
    for target in [*reads, *kept]:
        link.symlink_to(folder / target)
        before = contents()
        ended = run(*line.split(), link.name)
        assert (ended.code, contents() == before) == (2, True), (target, ended.err)
        assert "written" in ended.err or "belongs to the store" in ended.err, (target, ended.err)
        link.unlink()


@pytest.mark.parametrize("writer", [*WRITERS, *STATUS])
def test_a_folder_and_a_place_where_no_file_can_be_are_refused_before_any_work(run: Run, folder: Path, writer: str
                                                                              ) -> None:
    line, ending = (WRITERS | STATUS)[writer]
    (folder / f"d{ending}").mkdir()
    (folder / "file").write_text("")
    places = [f"none/x{ending}", f"file/x{ending}", "", "  "] + [f"d{ending}"] * (writer != "check")   # its folder
    before = contents()
    for place in places:
        ended = run(*line.split(), place)
        assert (ended.code, contents() == before) == (2, True), (place, ended.err)
        assert len(ended.err.splitlines()) == 1


def test_a_model_that_lies_elsewhere_is_not_written_into(run: Run, folder: Path) -> None:
    model = folder / "elsewhere"
    shutil.copytree(next((folder / ".forecast/runs").iterdir()), model)
    for place in ("elsewhere/history.csv", "elsewhere/new.csv", "elsewhere/"):
        ended = run("predict", "shops.csv", "--future", "plan.csv", "--model", "elsewhere", "-o", place)
        assert ended.code == 2, ended.err
        assert "written into a model" in ended.err or "holds what is no forecast" in ended.err


def test_a_folder_around_the_store_is_not_replaced(run: Run, folder: Path) -> None:
    (folder / "own").mkdir()
    shutil.move(".forecast", "own/.forecast")
    ended = run("--store", "own/.forecast", "predict", "--future", "plan.csv", "-o", "own/")
    assert (ended.code, "holds what is no forecast, such as .forecast" in ended.err) == (2, True), ended.err
    ended = run("--store", "own/new", "predict", "shops.csv", "-o", "own/new/")
    assert (ended.code, "belongs to the store" in ended.err) == (2, True), ended.err


def test_a_study_of_the_store_may_go_on(folder: Path) -> None:
    workspace = Workspace.at(folder, environment={})
    with pytest.raises(RequestError, match="belongs to the store"):
        workspace.guard([folder / ".forecast/studies/x.json"], [])
    workspace.guard([folder / "x.json", None], workspace.inputs(workspace.source("shops.csv")))


def test_a_folder_that_takes_no_file_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard([tmp_path / "x.csv"], [DataSource("d.csv")])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DiskError, match="no file may be made in this folder"):
        guard([tmp_path / "x.csv"], [DataSource("d.csv")])


def test_an_empty_folder_or_store_is_not_taken_for_the_default(run: Run, folder: Path) -> None:
    for line in (["-C", "", "models"], ["models", "-C", ""], ["--store", " ", "models"], ["models", "--store", ""]):
        ended = run(*line)
        assert (ended.code, "nothing is named" in ended.err) == (2, True), ended.err
