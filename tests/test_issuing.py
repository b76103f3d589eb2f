"""predict day after day, by a clock that is told the time: what it keeps, what it refuses, what it makes up for."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.ledger.ledger import FILE, Ledger
from forecast.ledger.options import Options
from tests.days import DAYS, grow, trained
from tests.test_cli import Run, run

__all__ = ["run"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(trained(), tmp_path / "project")
    return tmp_path / "project"


def test_a_week_is_issued_scored_and_made_up_for(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, files = Ledger(project / ".forecast" / FILE), {}
    for day in range(100, 107):
        grow(project, day)
        monkeypatch.setenv("FORECAST_NOW", f"{DAYS[day]}T04:16:12")
        ended = run("-C", project, "predict", "--json", "--require-new", "--max-age", "2d", "-o", f"{day}.csv")
        assert ended.code == 0, ended.err
        files[day] = (project / f"{day}.csv").read_bytes()
        issue = ledger.find("last")
        assert json.loads(ended.out)["issue"] == issue.id
        assert (issue.issued, issue.cutoff_text) == (f"{DAYS[day]}T04:16:12Z", DAYS[day - 1])
        told = pd.read_csv(project / f"{day}.csv")
        kept = np.concatenate([b.values for b in ledger.blocks(issue)])
        columns = ["yhat_lo_95", "yhat_lo_80", "yhat", "yhat_hi_80", "yhat_hi_95"]
        assert np.array_equal(told[columns].to_numpy(), kept.reshape(-1, 5))
    assert len(ledger.issues()) == 7
    ended = run("-C", project, "predict", "-o", "again.csv")            # the same once more
    assert ended.code == 0
    assert "the data are as they were for the forecast of 2026-04-17T04:16:12Z" in ended.err
    assert "as issued before" in ended.err
    assert (project / "again.csv").read_bytes() == files[106]
    assert len(ledger.issues()) == 7
    ended = run("-C", project, "predict", "-o", "none.csv", "--require-new", "--status-file", "new.prom")
    assert (ended.code, (project / "none.csv").exists()) == (7, False)
    assert "nothing new since the issue of 2026-04-17T04:16:12Z" in ended.err
    monkeypatch.setenv("FORECAST_NOW", f"{DAYS[110]}T00:00:00")
    ended = run("-C", project, "predict", "-o", "none.csv", "--max-age", "2d", "--status-file", "age.prom")
    assert (ended.code, (project / "none.csv").exists()) == (7, False)
    assert "the newest point is 2026-04-16, 5.0 days old: more than 2.0 days" in ended.err
    for name, seconds in ("new.prom", 28 * 3_600 + 16 * 60 + 12), ("age.prom", 5 * 86_400):
        told = re.findall(r"^forecast_(data_age_seconds|exit_code)\{.*\} (.*)$", (project / name).read_text(), re.M)
        assert {key: float(value) for key, value in told} == {"exit_code": 7, "data_age_seconds": seconds}
    for day in (101, 103):                                              # as of: the same bytes, and the same issue
        assert run("-C", project, "predict", "--as-of", DAYS[day - 1], "-o", "then.csv").code == 0
        assert (project / "then.csv").read_bytes() == files[day]
    assert len(ledger.issues()) == 7
    ended = run("-C", project, "evaluate", "--issued", "--json")
    assert (ended.code, json.loads(ended.out)["matched"]) == (0, 2 * (4 * 3 + 2 + 1))


def test_a_part_or_a_look_makes_no_other_request_old(run: Run, project: Path) -> None:
    for options in (["--series", "b"], ["--shard", "1/2"], ["--shard", "2/2"], ["--levels", "80"], []):
        for code in (0, 7):
            (project / "predictions.csv").unlink(missing_ok=True)
            ended = run("-C", project, "predict", "--require-new", *options)
            assert (ended.code, (project / "predictions.csv").exists()) == (code, code == 0), ended.err


def test_a_look_elsewhere_makes_no_file_old_and_a_new_name_asks_what_any_file_was_written_with(run: Run, project: Path
                                                                                            ) -> None:
    def published(name: str) -> int:
        return run("-C", project, "predict", "-q", "--require-new", "-o", name).code

    assert run("-C", project, "predict", "-o", "-").code == 0
    assert (published("out.csv"), published("out.csv")) == (0, 7)       # what was only shown was not published
    grow(project, 101)
    assert run("-C", project, "predict", "-o", "look.csv").code == 0
    assert (published("2026-04-12.csv"), published("out.csv"), published("out.csv")) == (7, 0, 7)
    assert run("-C", project, "predict", "-o", "out.csv", "--levels", "80").code == 0
    assert (published("out.csv"), published("out.csv")) == (0, 7)       # the look that stood in its place is replaced


def test_what_adapts_its_bands_is_old_too_where_nothing_is_new(run: Run, project: Path) -> None:
    for day in range(100, 107):
        grow(project, day)
        assert [run("-C", project, "predict", "-q", "--adapt", "--require-new").code for _ in range(2)] == [0, 7]
    assert Ledger(project / ".forecast" / FILE).find("last").options.adapt


def test_a_day_that_was_missed_is_made_up_for(run: Run, project: Path) -> None:
    grow(project, 105)
    assert run("-C", project, "predict", "-o", "then.csv", "--as-of", "2026-04-12").code == 0
    (issue,) = Ledger(project / ".forecast" / FILE).issues()
    assert (issue.cutoff_text, issue.as_of) == ("2026-04-12", "2026-04-12")
    then = (project / "then.csv").read_bytes()
    grow(project, 102)
    assert run("-C", project, "predict", "-o", "day.csv").code == 0
    assert (project / "day.csv").read_bytes() == then
    assert run("-C", project, "predict", "-o", "day.csv", "--as-of", "yesterday").code == 2


@pytest.mark.parametrize("what", ["scribble", "folder", "full"])
def test_a_ledger_that_cannot_be_written_stops_no_forecast_and_is_exit_5(run: Run, project: Path, what: str,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = project / ".forecast" / FILE
    if what == "folder":
        ledger.mkdir()
    elif what == "scribble":
        ledger.write_bytes(b"no ledger at all" * 300)
    else:
        def full(*_: object, **__: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        monkeypatch.setattr(sqlite3, "connect", full)
    ended = run("-C", project, "predict", "-q", "--require-new")
    assert ended.code == 5
    assert len(pd.read_csv(project / "predictions.csv")) == 6
    assert ended.err.startswith("partial    the forecast stands, but could not be kept in the ledger: ")
    assert len(ended.err.splitlines()) == 1
    assert ended.out.strip() == f"{project}/predictions.csv"


def test_a_ledger_that_cannot_be_asked_what_is_new_is_said_and_exit_5(run: Run, project: Path) -> None:
    assert run("-C", project, "predict").code == 0
    with sqlite3.connect(project / ".forecast" / FILE) as connection:
        connection.execute("UPDATE outputs SET sha256 = ''")
    connection.close()
    ended = run("-C", project, "predict", "-q", "--require-new")
    assert ended.code == 5
    assert ended.err.startswith("partial    what has changed since the last issue is unknown: ")
    assert "a row of outputs differs from its digest" in ended.err


def test_an_empty_ledger_is_begun_anew_and_that_is_said(run: Run, project: Path) -> None:
    (project / ".forecast" / FILE).touch()
    ended = run("-C", project, "evaluate", "--issued")
    assert ended.code == 2
    assert "ledger.db is an empty file" in ended.err
    assert "no forecast of these series was issued" in ended.err
    ended = run("-C", project, "predict", "-q")
    assert ended.code == 0
    assert "ledger.db is an empty file" in ended.err
    assert len(Ledger(project / ".forecast" / FILE).issues()) == 1
    assert "empty file" not in run("-C", project, "predict").err


def test_revised_history_and_lost_series_are_said_since_the_last_issue(run: Run, project: Path) -> None:
    assert run("-C", project, "predict").code == 0
    text = (project / "data.csv").read_text()
    (project / "data.csv").write_text(text.replace("a,2026-02-01,", "a,2026-02-01,1"))
    ended = run("-C", project, "predict", "--require-new")
    assert ended.code == 0
    assert "1 series has a revised history since the last issue: a" in ended.err
    (project / "data.csv").write_text("".join(line for line in text.splitlines(keepends=True) if line[0] != "b"))
    assert "1 series vanished since the last issue: b" in run("-C", project, "predict", "-q").err


def test_a_forecast_to_standard_output_is_kept_too(run: Run, project: Path) -> None:
    ended = run("-C", project, "predict", "-o", "-", "--series", "b", "--levels", "80", "--nonnegative")
    assert ended.code == 0
    (issue,) = Ledger(project / ".forecast" / FILE).issues()
    assert (issue.series, issue.levels) == (1, (80.0,))
    assert issue.options == Options(series=("b",), nonnegative=True)
    assert os.listdir(project) == [name for name in os.listdir(project) if name != "predictions.csv"]
