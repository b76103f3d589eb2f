"""forecast doctor: each thing that can be wrong is found, named, and decides the exit code."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from forecast.store.record import DataRecord, RunRecord
from forecast.store.store import Store
from forecast.tasks.doctor import data_of
from tests.test_cli import Run, run
from tests.test_models import MONDAY, OTHER, TUESDAY, made, store

__all__ = ["made", "run", "store"]


def findings(run: Run, *arguments: object) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code, and (outcome, message) of the last finding of each check."""
    ended = run("doctor", "--json", *arguments)
    document: dict[str, Any] = json.loads(ended.out)
    assert document["exit"] == ended.code
    return ended.code, {f["check"]: (f["outcome"], f["message"]) for f in document["findings"]}


def test_a_whole_store_is_well(run: Run, store: Store) -> None:
    before = sorted(f.name for f in store.folder.iterdir())
    code, found = findings(run)
    assert code == 0
    assert {outcome for outcome, _ in found.values()} == {"ok"}
    assert found["live"][1] == TUESDAY
    assert found["runs"][1].startswith("3 runs agree")
    assert "torch" in found["versions"][1]
    assert sorted(f.name for f in store.folder.iterdir()) == before
    assert run("doctor", "-q").out == run("doctor", "-q").err == ""


def test_before_the_first_train_all_is_well_and_nothing_is_made(run: Run, tmp_path: Path) -> None:
    code, found = findings(run)
    assert (code, found["store"][0]) == (0, "ok")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run_id", [TUESDAY, OTHER])
def test_a_changed_byte_in_any_run_is_named_and_exits_4(run: Run, store: Store, run_id: str) -> None:
    weights = store.runs / run_id / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ended = run("doctor")
    assert ended.code == 4
    assert f"{run_id}/weights.safetensors: differs from its checksum" in ended.out
    assert (f"ok    live       {TUESDAY}" in ended.out) == (run_id != TUESDAY)
    assert run("doctor", "-q").err.startswith("bad        runs: ")


def test_a_live_run_that_is_gone_exits_4_and_names_the_way_back(run: Run, store: Store) -> None:
    shutil.rmtree(store.runs / TUESDAY)
    code, found = findings(run)
    assert (code, found["live"][0]) == (4, "bad")
    assert "forecast models rollback" in found["live"][1]
    assert run("models", "rollback").code == 0
    assert findings(run)[0] == 0


def test_a_store_that_cannot_be_written_exits_9(run: Run, tmp_path: Path, store: Store,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert findings(run, "--store", "file/store")[0] == 9

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("forecast.system.files.os.fsync", full)
    code, found = findings(run)
    assert (code, found["store"][0]) == (9, "bad")
    assert "No space left" in found["store"][1]


def test_a_setting_that_is_none_exits_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "forecast.toml").write_text("[train]\nlernrate = 1\n")
    code, found = findings(run)
    assert (code, found["settings"][0]) == (2, "bad")


def test_an_old_or_missing_library_exits_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=99.1", "nothing-of-that-name>=1", 'ruff; extra'])
    code, found = findings(run)
    assert code == 1
    for words in ("is older than 99.1", "nothing-of-that-name is missing"):
        assert words in found["versions"][1]


def test_what_is_worth_knowing_is_said_and_exits_0(run: Run, store: Store) -> None:
    store.runs.chmod(0o777)
    with store.lock():
        (store.runs / (MONDAY + ".partial")).mkdir()
        code, found = findings(run)
    assert code == 0
    assert {check for check, (outcome, _) in found.items() if outcome == "note"} == {"leftovers", "access", "lock"}
    assert MONDAY in found["leftovers"][1]


def test_a_live_run_of_tomorrow_and_a_training_file_that_is_gone_are_told() -> None:
    record = RunRecord(created="2999-01-01T00:00:00Z", data=DataRecord(path="/no/such.csv"))
    assert [f.check for f in data_of(record)] == ["data", "clock"]
    assert list(data_of(RunRecord(created="2020-01-01T00:00:00Z"))) == []


def test_a_spoilt_history_is_found(run: Run, store: Store) -> None:
    history = store.folder / "promotions.jsonl"
    history.write_text(history.read_text() + "{half a li\n")
    code, found = findings(run)
    assert (code, found["history"][0]) == (4, "bad")
    assert f"line {len(store.history()) + 1} tells no promotion" in found["history"][1]


def test_a_folder_in_the_place_of_the_live_pointer_is_a_fault_of_the_model(run: Run, store: Store) -> None:
    (store.folder / "live").unlink()
    (store.folder / "live").mkdir()
    assert (run("predict").code, findings(run)[0]) == (4, 4)
    assert "is a folder, and has to be a file" in run("models").err


@pytest.mark.parametrize("command", ["train a.csv", "predict", "models", "check a.csv", "help", "replay last"])
def test_a_file_in_the_place_of_the_store_is_told(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "a.csv").write_text("date,y\n2024-01-01,1\n2024-01-02,2\n")
    ended = run("--store", "a.csv", *command.split())
    assert (ended.code, "a.csv: is a file, and the store has to be a folder" in ended.err) == (9, True)
    assert findings(run, "--store", "a.csv")[0] == 9
