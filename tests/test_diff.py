"""Why a forecast differs from the one before: parts that add up, each zero where its cause is absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.ledger.reissue import BySeries, taken_apart, total_of
from tests import days
from tests.test_cli import Run, run

__all__ = ["run"]
PARTS = ("revised", "new_data", "new_plans", "new_model", "since")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(days.trained(), tmp_path / "project")
    days.grow(tmp_path / "project", 101)
    days.issue(tmp_path / "project", "old.csv")
    return tmp_path / "project"


def apart(run: Run, project: Path, *arguments: str) -> dict[str, Any]:
    ended = run("-C", project, "diff", "--json", *arguments)
    assert ended.code == 0, ended.err
    told: dict[str, Any] = json.loads(ended.out)
    for step in [*told["series"], told["total"]]:
        assert step["before"] + sum(step[p] for p in PARTS) == pytest.approx(step["now"], rel=1e-12)
    for key in ("before", "now", *PARTS):
        assert told["total"][key] == pytest.approx(sum(s[key] for s in told["series"]), abs=1e-9)
    return told


def medians(folder: Path, name: str) -> pd.Series:
    return pd.read_csv(folder / name).set_index(["store", "date"])["yhat"]


def test_new_data_alone_make_the_whole_change(run: Run, project: Path) -> None:
    days.grow(project, 102)
    days.issue(project, "new.csv")
    told = apart(run, project)
    old, new = medians(project, "old.csv"), medians(project, "new.csv")
    common = old.index.intersection(new.index)
    assert len(common) == told["total"]["steps"] == 4
    assert told["total"]["before"] == pytest.approx(old[common].sum())
    assert told["total"]["now"] == pytest.approx(new[common].sum())
    assert told["total"]["new_data"] == pytest.approx(new[common].sum() - old[common].sum())
    assert told["total"]["new_data"] != 0
    assert all(told["total"][p] == 0 for p in ("revised", "new_plans", "new_model", "since"))
    assert [s["series"] for s in told["series"]] == ["a", "b"]


def test_a_revision_a_new_day_and_a_new_model_are_told_apart(run: Run, project: Path) -> None:
    days.grow(project, 102)
    text = (project / "data.csv").read_text()
    (project / "data.csv").write_text(text.replace("b,2026-04-10,", "b,2026-04-10,9"))
    days.issue(project, "same_model.csv")
    days.train(project, "--seed", "5")
    days.issue(project, "new.csv")
    told = apart(run, project, "new.csv", "old.csv")
    by_name = {s["series"]: s for s in told["series"]}
    assert by_name["a"]["revised"] == 0
    assert all(by_name["b"][p] != 0 for p in ("revised", "new_data", "new_model"))
    assert told["total"]["since"] == 0
    same = apart(run, project, "same_model.csv", "old.csv")
    assert same["total"]["new_model"] == 0
    assert same["total"]["revised"] == told["total"]["revised"]
    only = apart(run, project)                                          # the last two issues: another model, same data
    assert (only["total"]["new_data"], only["total"]["revised"]) == (0, 0)
    assert only["total"]["new_model"] == pytest.approx(
        medians(project, "new.csv").sum() - medians(project, "same_model.csv").sum())
    (project / "data.csv").write_text(text)                             # taken back after the newer issue
    assert apart(run, project, "same_model.csv", "old.csv")["total"]["since"] != 0


def test_it_is_said_in_words_and_where_there_is_nothing_to_compare(run: Run, project: Path) -> None:
    ended = run("-C", project, "diff")
    assert ended.code == 2
    assert "it is the first of its file. Forecast again when the data have grown" in ended.err
    days.grow(project, 102)
    days.issue(project, "new.csv")
    ended = run("-C", project, "diff")
    assert ended.out.startswith("4 common steps of 2 series: ")
    assert " = new data " in ended.out
    assert ended.out.splitlines()[1].split() == ["series", "before", "now", "change", "new", "data"]
    days.grow(project, 110)
    days.issue(project, "late.csv")
    ended = run("-C", project, "diff")
    assert ended.code == 3
    assert "tell of no common time" in ended.err


def test_where_earlier_issues_are_of_no_use_it_is_said_why(run: Run, project: Path) -> None:
    assert run("-C", project, "predict", "--series", "a", "-o", "a.csv").code == 0
    ended = run("-C", project, "diff", "last")
    assert (ended.code, ended.out) == (2, "")
    assert "those before it tell of other columns, other --series or another --shard. Name OLD" in ended.err
    assert run("-C", project, "predict", "--horizon", "2", "-o", "b.csv").code == 0
    assert "those before it say the same: neither the data nor the model had changed" in run(
        "-C", project, "diff", "last").err


def test_a_file_that_is_no_longer_what_was_written_is_said(run: Run, project: Path) -> None:
    days.grow(project, 102)
    days.issue(project, "new.csv")
    assert apart(run, project, "new.csv", "old.csv")["changed"] == []
    (project / "new.csv").write_text((project / "new.csv").read_text() + "\n")
    ended = run("-C", project, "diff", "new.csv", "old.csv")
    assert ended.code == 0
    assert "new.csv is no longer what was written" in ended.err
    assert apart(run, project, "new.csv")["changed"] == ["new.csv"]


def test_the_parts_are_the_differences_between_neighbours_over_common_steps() -> None:
    def told(end: int, *values: float) -> BySeries:
        return BySeries({"a": (end, np.array(values)[:, None])})

    chain = [told(10, 1, 2, 3), told(10, 1, 2, 4), told(11, 5, 5, 9), told(11, 6, 6, 9), told(11, 7, 7, 9),
             told(11, 7, 8, 9)]
    (step,) = taken_apart(chain, (0,) * 6)
    assert (step.steps, step.before, step.now) == (2, 5, 15)
    assert [getattr(step, p) for p in PARTS] == [1, 4, 2, 2, 1]
    assert total_of([step, step]).now == 30
    assert taken_apart([told(10, 1.0), *chain[1:]], (0,) * 6) == []
    assert taken_apart([BySeries({"b": (10, np.ones((3, 1)))}), *chain[1:]], (0,) * 6) == []
