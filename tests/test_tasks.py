"""Tasks without a terminal: what they are given, what they give back, and that they say nothing by themselves."""

from __future__ import annotations

import os
import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from forecast.config import Config
from forecast.errors import GateError, RequestError
from forecast.ledger.options import ALWAYS, Options
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.store.record import DataRecord, RunRecord, Verdict
from forecast.store.store import Store
from forecast.system.datasource import DataSource, guard
from forecast.tasks import evaluate, predict, replay, train
from forecast.tasks.workspace import Workspace
from tests import days
from tests.conftest import waves
from tests.test_cli import Run, run

__all__ = ["run"]
FLAGS = {"model.horizon": "3", "model.hidden": "4", "train.steps": "5", "model.blend": "false", "model.members": "1"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A hundred days of two series, and a model of them."""
    shutil.copytree(days.trained(), tmp_path / "project")
    return Workspace.at(tmp_path / "project", flags=FLAGS, environment={})


# options of an issue

def test_options_are_read_back_as_they_were_written() -> None:
    for options in (Options(), Options(series=("b", "a"), round=True, shard="1/2"), Options(adapt={}),
                    Options(adapt={"80": 1.5}, others={"later": [1]})):
        assert Options.from_dict(options.to_dict()) == options


def test_an_option_that_was_not_asked_for_is_not_written_but_for_the_first_four() -> None:
    assert Options().to_dict() == {"series": None, "nonnegative": False, "round": False, "layout": "default"}
    assert Options(adapt={}).to_dict().keys() - set(ALWAYS) == {"adapt"}
    assert Options(series=("a",)).to_dict()["series"] == ["a"]


def test_an_option_of_another_version_is_kept_as_it_is() -> None:
    told = Options().to_dict() | {"later": True}
    assert Options.from_dict(told).to_dict() == told
    with pytest.raises(TypeError):
        Options.from_dict({"adapt": 1.5})


# run.json

def test_a_record_is_read_back_as_it_was_written() -> None:
    record = RunRecord(id="r", name="n", created="2026-01-01T00:00:00Z", seconds=1.5, seed=1, threads=2, device="cpu",
                       versions={"numpy": "2"}, origin="before", promotion=Verdict(True, "better", 0.5, 0.7, 3),
                       data=DataRecord(9, 2, "ab", ("note",), ({"kind": "gap"},), "/d.csv", "../d.csv", "1", "9"))
    assert {f.name for f in fields(record) if getattr(record, f.name) == f.default} == set()
    assert RunRecord.from_dict(record.to_dict()) == record
    assert record.to_dict()["from"] == "before"


def test_what_a_record_does_not_tell_is_as_nobody_knows_it() -> None:
    assert RunRecord.from_dict({}) == RunRecord()
    assert RunRecord.from_dict({"name": 5, "loss": 1, "data": {"path": None}}) == RunRecord(name="5")


# where data come from

def test_a_source_is_named_from_its_folder_its_store_and_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "d.csv").write_text("x")
    source = DataSource.seen_from(tmp_path / "a", "d.csv")
    assert (source.path, source.identity) == (tmp_path / "a" / "d.csv", str(tmp_path / "a" / "d.csv"))
    assert source.place(tmp_path / "store") == "../a/d.csv"
    assert source.places(tmp_path / "store") == {str(tmp_path / "a" / "d.csv"), "../a/d.csv"}
    os.utime(tmp_path / "a" / "d.csv", (0, 0))
    changed = source.changed()
    assert changed is not None
    assert changed.timestamp() == 0
    assert DataSource.seen_from(tmp_path, "s3://bucket/x.csv").name == "s3://bucket/x.csv"


def test_standard_input_lies_nowhere_and_never_changes(tmp_path: Path) -> None:
    source = DataSource.seen_from(tmp_path, "-")
    assert (source.is_stdin, source.path, source.place(tmp_path), source.changed()) == (True, None, None, None)
    assert source.identity == "-"
    assert source.places(tmp_path) == {"-"}


def test_a_kept_source_moves_with_its_store_and_else_stays_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x")
    (tmp_path / "store").mkdir()
    assert DataSource.kept(tmp_path / "store", "/gone/d.csv", "../d.csv").name == str(tmp_path / "d.csv")
    assert DataSource.kept(tmp_path / "store", "/there/e.csv", "../e.csv").name == "/there/e.csv"


def test_no_output_is_an_input_or_another_output(tmp_path: Path) -> None:
    source = DataSource(str(tmp_path / "d.csv"))
    guard([tmp_path / "a", None, tmp_path / "b"], [source, DataSource("-"), None])
    for outputs in ([tmp_path / "x" / ".." / "d.csv"], [tmp_path / "a", tmp_path / "a"]):
        with pytest.raises(RequestError, match="would be written over"):
            guard(outputs, [source])


# where tasks work

def test_a_store_is_named_or_told_by_the_environment_or_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "forecast.toml").write_text("[model]\nhorizon = 6\n")
    below = Workspace.at(tmp_path / "below", environment={"FORECAST_MODEL_LAYERS": "2"}, sets=("train.seed=3",))
    assert below.store == Store(tmp_path / ".forecast")
    assert below.given == {"model.horizon": 6, "model.layers": 2, "train.seed": 3}
    assert (below.config.model.horizon, below.config.train.seed) == (6, 3)
    assert below.config is below.config                                 # settled once
    told = {"FORECAST_STORE": "told"}
    assert Workspace.at(tmp_path, environment=told).store.folder == tmp_path / "told"
    assert Workspace.at(tmp_path, store="named", environment=told).store.folder == tmp_path / "named"


def test_a_setting_that_is_wrong_is_told_when_it_is_needed(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path, flags={"model.cell": "x"}, environment={})
    assert workspace.store.ids() == []
    with pytest.raises(RequestError, match="--cell takes one of"):
        _ = workspace.config
    assert Workspace.at(tmp_path, environment={}).config == Config()


# the work

def test_a_task_says_nothing_by_itself_and_writes_what_the_command_writes(
        run: Run, workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("-C", workspace.folder, "predict", "-o", "command.csv").code == 0
    capfd.readouterr()
    predicted = predict.predict(workspace, predict.Request(output="task.csv"))
    assert capfd.readouterr() == ("", "")
    assert (workspace.folder / "task.csv").read_bytes() == (workspace.folder / "command.csv").read_bytes()
    assert (predicted.rows, predicted.series, predicted.horizon, predicted.is_partial) == (6, 2, 3, False)
    assert workspace.ledger.find("last") == predicted.issue             # one issue: the same forecast


def test_rows_that_go_nowhere_are_in_the_result(workspace: Workspace) -> None:
    before = set(workspace.folder.iterdir())
    predicted = predict.predict(workspace, predict.Request())
    assert sum(table.num_rows for table in predicted.tables) == 6
    assert [row["store"] for row in predicted.to_dict()["forecasts"]] == ["a"] * 3 + ["b"] * 3
    assert set(workspace.folder.iterdir()) == before
    written = list[bytes]()
    told = predict.predict(workspace, predict.Request(output="-"), out=written.append)
    assert written[0].decode().count("\n") == 7
    assert told.tables == []


def test_training_gives_back_the_run_it_saved_and_says_why_it_is_not_live(workspace: Workspace,
                                                                         capfd: pytest.CaptureFixture[str]) -> None:
    before = workspace.store.live()
    trained = train.train(workspace, train.Request("data.csv", name="again", min_skill=1.0))
    assert capfd.readouterr() == ("", "")
    assert (workspace.store.live(), trained.before) == (before, before)
    assert isinstance(trained.refusal, GateError)
    assert "is below --min-skill 1" in str(trained.refusal)
    run = workspace.run("again")
    assert (run.id, run.record.data.rows, run.record.promotion) == (trained.run, 200, trained.verdict)
    assert trained.to_dict()["metrics"]["models"].keys() == {trained.serves, "seasonal_naive", "naive"}


def test_a_plan_alone_saves_nothing(workspace: Workspace) -> None:
    ids = workspace.store.ids()
    planned = train.train(workspace, train.Request("data.csv", dry_run=True))
    assert (planned.run, planned.refusal, workspace.store.ids()) == ("", None, ids)
    assert planned.to_dict()["backtest_cutoffs"] == planned.cutoffs


def test_a_request_that_contradicts_itself_is_none() -> None:
    for wrong in ({"promote": "perhaps"}, {"promote": "never", "min_skill": 0.1}, {"name": "live"}):
        with pytest.raises(RequestError):
            train.Request("data.csv", **wrong)                          # type: ignore[arg-type]
    for shard in ("0/2", "3/2", "one"):
        with pytest.raises(RequestError, match="takes I/N"):
            predict.Request(options=Options(shard=shard))
    with pytest.raises(RequestError, match="no mas"):
        evaluate.Request(metrics="mas")


def test_scores_are_given_back_and_written_only_where_asked_for(workspace: Workspace) -> None:
    days.grow(workspace.folder, 110)
    found = evaluate.evaluate(workspace, evaluate.Request("data.csv", metrics="mae"))
    assert found.scores is not None
    assert found.scores.reference is not None
    assert found.scores.own["mae"] == found.to_dict()["models"][found.scores.name]["mae"]
    assert found.scores.reference["model"] == "seasonal_naive"
    evaluate.write(workspace, found)
    assert not (workspace.folder / "metrics.json").exists()
    with pytest.raises(GateError, match=r"mae is .* over the limit of 0"):
        evaluate.judge(evaluate.evaluate(workspace, evaluate.Request("data.csv", fail_over=("mae=0",))))


def test_a_replay_says_whether_all_is_identical(workspace: Workspace) -> None:
    predict.predict(workspace, predict.Request(output="p.csv"))
    same = replay.replay(workspace, "p.csv")
    assert (same.is_identical, same.difference, same.numbers) == (True, None, 30)
    text = (workspace.folder / "p.csv").read_text()
    (workspace.folder / "p.csv").write_text(text.replace("a,", "a,", 1) + "\n")
    assert "no longer what was written" in str(replay.replay(workspace, "p.csv").difference)


def test_a_backtest_of_very_many_series_takes_some_of_them_up_to_the_newest_time(
        monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = waves(1, 90).values(0), waves(1, 80).values(0)
    panel = Panel.of([short, long, short, short, short, short], Calendar.of("D"))
    told = SimpleNamespace(lines=[], say=lambda *line: told.lines.append(line))
    reading = SimpleNamespace(panel=panel)
    assert train._to_score(told, reading) is not None                   # type: ignore[arg-type]
    assert not told.lines
    monkeypatch.setattr(train, "MOST_SCORED", 3)
    some = train._to_score(told, reading)                               # type: ignore[arg-type]
    assert some.ids.tolist() == ["0", "1", "5"]                         # 1 reaches to the newest time
    assert (some.newest == panel.newest[:3]).all()
    assert told.lines == [("backtest", "of 3 of the 6 series, spread evenly over them")]
