"""The store: runs by id, prefix, name, path or live; a part of a run is no run."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from forecast import registry
from forecast.errors import ModelError
from forecast.registry import Store
from forecast.storage import to_json, write_text

MONDAY, TUESDAY, OTHER = "20260914T041512Z-lstm-7f3a", "20260915T041512Z-lstm-1c9e", "20260915T050000Z-gru-0000"


def run(store: Store, run_id: str, *, name: str | None = None, manifest: bool = True) -> None:
    folder = store.runs / run_id
    folder.mkdir(parents=True)
    write_text(folder / "run.json", to_json({"name": name}))
    if manifest:
        write_text(folder / "manifest.json", "{}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    run(store, TUESDAY, name="shops")
    run(store, MONDAY, name="shops")
    run(store, OTHER)
    return store


def test_runs_come_oldest_first(store: Store) -> None:
    assert store.ids() == [MONDAY, TUESDAY, OTHER]


def test_ids_sort_by_the_time_they_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        at = datetime(2026, 9, 19, 23, 59, 59)

        @classmethod
        def now(cls, zone: object) -> datetime:
            return cls.at

    monkeypatch.setattr(registry, "datetime", Clock)
    first = Store(tmp_path).new_id("lstm")
    Clock.at = datetime(2026, 9, 20)
    second = Store(tmp_path).new_id("gru")
    assert re.fullmatch(r"20260919T235959Z-lstm-[0-9a-f]{4}", first)
    assert first < second


def test_two_ids_of_one_moment_differ(tmp_path: Path) -> None:
    assert len({Store(tmp_path).new_id("lstm") for _ in range(20)}) > 1


def test_parts_of_runs_are_no_runs(store: Store) -> None:
    run(store, "20260916T000000Z-lstm-aaaa.partial")
    run(store, "20260917T000000Z-lstm-bbbb", manifest=False)
    write_text(store.runs / "notes.txt", "x")
    assert store.ids() == [MONDAY, TUESDAY, OTHER]


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Store(tmp_path / "no").ids() == []
    assert Store(tmp_path / "no").live() is None
    with pytest.raises(ModelError, match="Train one"):
        Store(tmp_path / "no").find("live")
    with pytest.raises(ModelError, match="none; train one"):
        Store(tmp_path / "no").find("x")


def test_the_promoted_run_is_live_until_another_is(store: Store) -> None:
    for run_id in (MONDAY, TUESDAY):
        store.promote(run_id)
        assert store.live() == run_id
        assert store.find("live") == store.runs / run_id


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_pointer_names_no_run(store: Store, content: bytes) -> None:
    (store.folder / "live").write_bytes(content)
    assert store.live() is None


def test_a_pointer_of_bytes_that_are_no_text_names_no_run_there_is(store: Store) -> None:
    (store.folder / "live").write_bytes(b"\xff\xfe")
    assert store.live() not in store.ids()


@pytest.mark.parametrize(("name", "found"), [
    (MONDAY, MONDAY), ("20260914", MONDAY), ("20260915T05", OTHER), ("shops", TUESDAY),
])
def test_a_run_is_found_by_id_unique_prefix_or_the_newest_of_its_name(store: Store, name: str, found: str) -> None:
    assert store.find(name) == store.runs / found


def test_a_whole_id_is_not_a_prefix_of_another(store: Store) -> None:
    run(store, MONDAY + "0")
    assert store.find(MONDAY) == store.runs / MONDAY


def test_a_run_is_found_by_path(store: Store) -> None:
    assert store.find(str(store.runs / MONDAY)) == store.runs / MONDAY


def test_an_ambiguous_prefix_is_refused_naming_its_runs_only(store: Store) -> None:
    with pytest.raises(ModelError, match="'20260915' names 2 models") as caught:
        store.find("20260915")
    assert caught.value.exit_code == 4
    assert caught.value.problem.hint == f"Models here: {TUESDAY}, {OTHER}"


@pytest.mark.parametrize("name", ["nothing", "", "lstm"])
def test_a_missing_name_is_answered_with_those_there_are(store: Store, name: str) -> None:
    with pytest.raises(ModelError, match=f"there is no model '{name}'") as caught:
        store.find(name)
    assert caught.value.problem.hint == f"Models here: {MONDAY}, {TUESDAY}, {OTHER}"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"name": 5}'])
def test_a_damaged_run_does_not_hide_the_others(store: Store, content: bytes) -> None:
    (store.runs / OTHER / "run.json").write_bytes(content)
    assert store.find("shops") == store.runs / TUESDAY
    (store.runs / OTHER / "run.json").unlink()
    assert store.find("shops") == store.runs / TUESDAY


def test_the_lock_stands_in_the_store(store: Store) -> None:
    with store.lock():
        assert (store.folder / "lock").is_file()
