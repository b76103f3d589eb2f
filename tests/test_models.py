"""forecast models, and what train asks before a run goes live."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from forecast.cli import main
from forecast.errors import ModelError
from forecast.store import run as module
from forecast.store.record import Verdict
from forecast.store.store import Store
from forecast.system.files import to_json, write_text
from forecast.tasks.train import Request, as_asked
from tests.test_artifact import CONTRACT, RECORD, save, tiny
from tests.test_cli import AIR, Ended, Run, run

__all__ = ["Ended", "main", "run"]
MONDAY, TUESDAY, OTHER = "20260914T041512Z-lstm-7f3a", "20260915T041512Z-lstm-1c9e", "20260915T050000Z-gru-0000"
SCORES = {"models": {"lstm": {"mase": 0.81234, "skill": 0.19}, "seasonal_naive": {"mase": 1.0, "skill": 0.0}}}
BARE = ("--set", "train.steps=0", "--set", "model.blend=false", "--set", "backtest.windows=1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three whole models, the second live after the first."""
    store = Store(tmp_path_factory.mktemp("made") / "store")
    for run_id, name in ((MONDAY, "shops"), (TUESDAY, None), (OTHER, "x\x1b[31m")):
        save(store.runs / run_id, tiny(), CONTRACT, record=replace(RECORD, id=run_id, name=name), metrics=SCORES,
             history="epoch\n")
    for run_id in (MONDAY, TUESDAY):
        store.promote(run_id)
    return store.folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    """A copy of it, where `forecast` looks by default."""
    shutil.copytree(made, tmp_path / ".forecast")
    return Store(tmp_path / ".forecast")


def test_the_list_says_which_serves_and_which_did(run: Run, store: Store) -> None:
    ended = run("models")
    assert ended.code == 0
    rows = {line.split()[0]: line for line in ended.out.splitlines()[1:]}
    assert list(rows) == [MONDAY, TUESDAY, OTHER]
    assert re.search(r"before +shops +0.8123 +\+19%", rows[MONDAY])
    assert " live " in rows[TUESDAY]
    assert "x\\x1b[31m" in rows[OTHER]
    assert "\x1b" not in ended.out
    document = json.loads(run("models", "--json").out)
    assert (document["live"], document["before"]) == (TUESDAY, MONDAY)
    assert [m["id"] for m in document["models"] if m["live"]] == [TUESDAY]
    assert document["models"][0]["mase"] == 0.81234


def test_a_damaged_run_does_not_hide_the_list(run: Run, store: Store) -> None:
    (store.runs / MONDAY / "metrics.json").write_text('{"models": [1]}')
    (store.runs / OTHER / "run.json").write_text("{")
    ended = run("models")
    assert (ended.code, len(ended.out.splitlines())) == (0, 4)


def test_an_empty_store_says_how_to_begin(run: Run, tmp_path: Path) -> None:
    assert "train one" in run("models").err
    for action in (("rollback",), ("prune", "--keep", 1), ("promote", "x"), ("show", "x")):
        assert run("models", *action).code == 4
    assert list(tmp_path.iterdir()) == []


def test_show_tells_what_a_run_is(run: Run, store: Store) -> None:
    ended = run("models", "show", "20260914")
    assert ended.code == 0
    for words in (MONDAY, "shops", "2026-09-19T04:15:12Z", "horizon 3", "MASE 0.8123, skill +19%", "standard input"):
        assert words in ended.out
    document = json.loads(run("models", "show", "live", "--json").out)
    assert (document["id"], document["live"]) == (TUESDAY, True)
    assert [p["run"] for p in document["promotions"]] == [TUESDAY]


def test_promote_and_rollback_move_the_pointer_and_say_so(run: Run, store: Store) -> None:
    ended = run("models", "promote", OTHER)
    assert (ended.code, store.live()) == (0, OTHER)
    assert f"{OTHER}  is now live   (before: {TUESDAY})" in ended.err
    assert json.loads(run("models", "rollback", "--json").out) == {"live": TUESDAY, "before": OTHER}
    assert run("models", "rollback", "-q").code == 0
    assert store.live() == MONDAY
    ended = run("models", "rollback")
    assert (ended.code, store.live()) == (4, MONDAY)
    assert "nothing is known to have served before" in ended.err


def test_a_damaged_run_is_not_promoted_and_not_rolled_back_to(run: Run, store: Store) -> None:
    for run_id in (OTHER, MONDAY):
        (store.runs / run_id / "history.csv").write_text("other")
    for arguments in (("promote", OTHER), ("rollback",)):
        ended = run("models", *arguments)
        assert (ended.code, store.live()) == (4, TUESDAY)
        assert "history.csv: differs from its checksum" in ended.err


def test_prune_keeps_the_newest_the_live_and_the_one_before(run: Run, store: Store) -> None:
    assert json.loads(run("models", "prune", "--keep", 0, "--json").out) == {"removed": [OTHER],
                                                                            "left": [MONDAY, TUESDAY]}
    assert sorted(d.name for d in store.runs.iterdir()) == [MONDAY, TUESDAY]
    assert run("models", "rollback").code == 0


@pytest.mark.parametrize("arguments", [("forget",), ("show",), ("list", "x"), ("prune",), ("rollback", "--keep", 1),
                                       ("list", "--ledger", "2y"), ("prune", "--ledger", "soon"),
                                       ("prune", "--keep", -1), ("promote", "x", "--wait", "soon")], ids=str)
def test_a_wrong_request_changes_nothing(run: Run, store: Store, arguments: tuple[object, ...]) -> None:
    ended = run("models", *arguments)
    assert ended.code == (4 if arguments[:2] == ("promote", "x") else 2)
    assert len(ended.err.splitlines()) == 1
    assert (store.live(), len(store.ids())) == (TUESDAY, 3)


def test_who_changes_the_store_is_told_who_holds_it_and_who_only_looks_is_not_stopped(run: Run, store: Store) -> None:
    with store.lock():
        for action in (("promote", OTHER), ("rollback",), ("prune", "--keep", 1)):
            ended = run("models", *action)
            assert ended.code == 8
            assert re.search(r"process \d+ \(forecast.*\), since \S+Z is writing to this store", ended.err)
        assert run("models").code == 0


def test_a_run_pruned_while_it_is_loaded_is_a_missing_model_and_no_bug(store: Store,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    folder, verify = store.find(OTHER), module.verify

    def verified_then_pruned(path: Path) -> None:
        verify(path)
        store.remove(OTHER)

    monkeypatch.setattr(module, "verify", verified_then_pruned)
    with pytest.raises(ModelError, match=OTHER):
        module.load(folder)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="is not a model folder"):
        module.load(folder)


# What train asks before a run goes live

def test_train_keeps_a_better_live_model_and_says_why(run: Run, tmp_path: Path) -> None:
    lines, store = AIR.read_text().splitlines(), Store(tmp_path / ".forecast")
    (tmp_path / "data.csv").write_text("\n".join(lines[:-36]) + "\n")
    assert run("train", "data.csv", *BARE).code == 0
    first = store.live()
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    worse = ("--set", "model.skip=false", *BARE[:4], "--set", "backtest.windows=3", "--status-file", "t.prom")
    ended = run("train", "data.csv", *worse)
    assert ended.code == 6
    assert re.search(rf"is saved but not live: its error is \S+, that of {first} is \S+, on 3 past windows that "
                     "neither has learned from", ended.err)
    assert f"{first} serves on" in ended.err
    assert (store.live(), len(store.ids())) == (first, 2)
    told = (tmp_path / "t.prom").read_text()
    assert 'forecast_exit_code{task="t",command="train"} 6' in told
    assert 'forecast_rows{task="t",command="train"} 144' in told
    records = [json.loads((store.runs / i / "run.json").read_text())["promotion"] for i in store.ids()]
    assert sorted(r["passed"] for r in records) == [False, True]
    (store.runs / str(first) / "history.csv").write_text("")           # one that cannot be read serves nobody
    ended = run("train", "data.csv", *worse, "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["live"], document["before"]) == (0, True, first)
    assert "history.csv: differs from its checksum" in document["promotion"]["reason"]
    assert 'last_success_timestamp_seconds{task="t",command="train"} 0' not in (tmp_path / "t.prom").read_text()


@pytest.mark.parametrize(("promote", "min_skill", "skill", "passed"), [
    ("auto", None, None, None), ("always", None, None, True), ("never", None, 0.9, False), ("auto", 0.1, 0.1, None),
    ("auto", 0.1, 0.09, False), ("auto", 0.1, None, False), ("auto", 0.1, float("nan"), False)])
@pytest.mark.parametrize("better", [True, False])
def test_what_was_asked_for_stands_over_the_comparison(promote: str, min_skill: float | None, skill: float | None,
                                                       passed: bool | None, better: bool) -> None:
    request = Request("data.csv", promote=promote, min_skill=min_skill)
    assert as_asked(request, Verdict(better, "compared"), skill).passed == (better if passed is None else passed)


def test_a_run_that_shall_not_go_live_does_not(run: Run, tmp_path: Path) -> None:
    ended = run("train", AIR, *BARE, "--promote", "never")
    assert ended.code == 0
    assert "is saved, not live; no model serves" in ended.err
    assert (Store(tmp_path / ".forecast").live(), len(Store(tmp_path / ".forecast").ids())) == (None, 1)


def test_train_says_what_a_killed_run_had_left(run: Run, tmp_path: Path) -> None:
    part = tmp_path / ".forecast" / "runs" / (MONDAY + ".partial")
    part.mkdir(parents=True)
    write_text(part / "run.json", to_json({}))
    ended = run("train", "nothing.csv")
    assert ended.code == 3
    assert f"what a killed run had left in the store: {MONDAY}.partial" in ended.err
    assert not part.exists()


@pytest.mark.parametrize("arguments", [("--promote", "perhaps"), ("--promote", "never", "--min-skill", 0),
                                       ("--wait", "soon"), ("--status-file", "status.txt")], ids=str)
def test_a_wrong_request_to_train_is_refused_before_any_work(run: Run, tmp_path: Path,
                                                             arguments: tuple[object, ...]) -> None:
    ended = run("train", AIR, *arguments)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert list(tmp_path.iterdir()) == []
