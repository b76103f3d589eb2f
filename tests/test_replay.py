"""A past output made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from forecast.ledger.reissue import BySeries, cut_at, deviations
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from tests import days
from tests.test_cli import Run, run

__all__ = ["run"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two issues of two days; the file has grown on."""
    shutil.copytree(days.trained(), tmp_path / "project")
    for day in (101, 102):
        days.grow(tmp_path / "project", day)
        days.issue(tmp_path / "project", f"{day}.csv")
    days.grow(tmp_path / "project", 110)
    return tmp_path / "project"


def test_a_past_output_is_made_again_number_for_number(run: Run, project: Path) -> None:
    for what in ("101.csv", "102.csv", "last"):
        ended = run("-C", project, "replay", what)
        assert (ended.code, ended.out) == (0, "identical: 30 numbers\n"), ended.err
    told = json.loads(run("-C", project, "replay", "101.csv", "--json").out)
    assert (told["identical"], told["data_revised"], told["cutoff"], told["numbers"]) == (True, False, "2026-04-11", 30)
    ended = run("-C", project, "replay", "nothing.csv")
    assert (ended.code, "nothing.csv: there is no such file, and no issue of this name" in ended.err) == (4, True)
    ended = run("-C", project, "replay", "data.csv")
    assert (ended.code, "data.csv: is no forecast that this store knows. Issues here: " in ended.err) == (4, True)


def test_revised_history_is_named_and_what_differs_is_shown(run: Run, project: Path) -> None:
    text = (project / "data.csv").read_text()
    (project / "data.csv").write_text(text.replace("b,2026-04-10,", "b,2026-04-10,9"))
    ended = run("-C", project, "replay", "101.csv")
    assert ended.code == 6
    assert "15 of 30 numbers differ: the history has been revised" in ended.err
    assert ended.out.startswith("b  2026-04-12  quantile 0.025: was ")
    (project / "data.csv").write_text("".join(line for line in text.splitlines(keepends=True) if line[0] != "b"))
    ended = run("-C", project, "replay", "101.csv")
    assert ended.code == 6
    assert "not forecast any more" in ended.out


def test_a_file_that_was_changed_is_told_from_an_issue_that_cannot_be_repeated(run: Run, project: Path) -> None:
    written = (project / "101.csv").read_text()
    (project / "101.csv").write_text(written.replace("lstm", "LSTM"))
    ended = run("-C", project, "replay", "101.csv")
    assert ended.code == 6
    assert "101.csv is no longer what was written. The issue itself can be made again" in ended.err
    shutil.move(project / "102.csv", project / "kept.csv")              # by its contents, wherever it lies
    assert run("-C", project, "replay", "kept.csv").code == 0


def test_a_part_of_the_series_is_repeated_and_compared_with_that_part(run: Run, project: Path) -> None:
    for day in (110, 111):
        days.grow(project, day)
        for shard in ("1/2", "2/2"):
            assert run("-C", project, "predict", "--shard", shard, "-o", f"{shard[0]}.csv").code == 0
    told = json.loads(run("-C", project, "replay", "1.csv", "--json").out)
    assert (told["identical"], told["numbers"], told["data_revised"]) == (True, 15, None)
    told = json.loads(run("-C", project, "diff", "1.csv", "--json").out)
    assert len(told["series"]) == 1


def test_a_file_of_many_past_days_is_made_again_day_by_day(run: Run, project: Path) -> None:
    assert run("-C", project, "predict", "--as-of", "2026-04-05..2026-04-07", "-o", "past.csv").code == 0
    told = json.loads(run("-C", project, "replay", "past.csv", "--json").out)
    assert (told["identical"], told["numbers"], len(told["issues"]), told["cutoff"]) == (True, 90, 3, "2026-04-07")
    text = (project / "data.csv").read_text()
    (project / "data.csv").write_text(text.replace("b,2026-04-06,", "b,2026-04-06,9"))
    told = json.loads(run("-C", project, "replay", "past.csv", "--json").out)
    assert (told["identical"], told["data_revised"], told["differ"]) == (False, True, 30)


def test_data_that_moved_are_named(run: Run, project: Path) -> None:
    shutil.move(project / "data.csv", project / "moved.csv")
    assert run("-C", project, "replay", "last").code == 3
    assert run("-C", project, "replay", "last", "--data", "moved.csv").code == 0


def test_a_panel_is_cut_where_each_series_ended() -> None:
    panel = Panel.of([[1.0, 2, 3], [4.0, 5, 6, 7], [8.0]], Calendar.of("step"), ids=["a", "b", "c"], start=[0, 2, 9])
    cut = cut_at(panel, {"b": 4, "x": 3, "a": 3, "c": 9})
    assert [(name, cut.values(s).tolist()) for s, name in enumerate(cut.ids)] == [("b", [4, 5]), ("a", [1, 2, 3])]


def test_every_number_that_differs_in_its_last_bit_is_found() -> None:
    values = np.arange(6.0).reshape(3, 2) + 0.1
    kept = BySeries({"a": (5, values), "b": (5, values)})
    other = values.copy()
    other[2, 1] = np.nextafter(other[2, 1], 9)
    assert deviations(kept, kept, (0.5, 0.9)) == []
    (found,) = deviations(kept, BySeries({"a": (5, values), "b": (5, other)}), (0.5, 0.9))
    assert (found.series, found.ordinal, found.quantile, found.was, found.now) == ("b", 7, 0.9, 5.1, other[2, 1])
    assert [d.now for d in deviations(kept, BySeries({"b": (5, values)}), (0.5, 0.9))] == [None] * 6
    assert len(deviations(kept, BySeries({"a": (6, values), "b": (5, values)}), (0.5, 0.9))) == 6
