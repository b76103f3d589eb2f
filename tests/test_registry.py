"""The store: runs by id, prefix, name, path or live; a part of a run is no run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forecast.errors import DiskError, ModelError
from forecast.store import store as module
from forecast.store.store import Store
from forecast.system.files import to_json, write_text

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
    monkeypatch.setenv("FORECAST_NOW", "2026-09-19T23:59:59Z")
    first = Store(tmp_path).new_id("lstm")
    monkeypatch.setenv("FORECAST_NOW", "2026-09-20")
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


# What served before

def test_rollback_goes_back_through_what_served_and_says_when_nothing_did(store: Store) -> None:
    for run_id in (MONDAY, TUESDAY, OTHER):
        store.promote(run_id)
    assert [store.rollback(), store.live()] == [TUESDAY, TUESDAY]
    assert [store.rollback(), store.live()] == [MONDAY, MONDAY]
    with pytest.raises(ModelError, match="nothing is known to have served before") as caught:
        store.rollback()
    assert caught.value.exit_code == 4
    assert [(p.run, p.before, p.how) for p in store.history()] == [
        (MONDAY, None, "train"), (TUESDAY, MONDAY, "train"), (OTHER, TUESDAY, "train"), (TUESDAY, MONDAY, "rollback"),
        (MONDAY, None, "rollback")]


def test_what_is_promoted_after_a_rollback_goes_back_to_what_served_then(store: Store) -> None:
    for run_id in (MONDAY, TUESDAY):
        store.promote(run_id)
    store.rollback()
    store.promote(OTHER, "promote")
    assert store.rollback() == MONDAY


def test_a_promotion_that_was_cut_off_before_the_flip_never_served(store: Store,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    store.promote(MONDAY)

    def cut(path: Path, content: str) -> None:
        if path.name == "live":
            raise KeyboardInterrupt
        write_text(path, content)

    monkeypatch.setattr(module, "write_text", cut)
    with pytest.raises(KeyboardInterrupt):
        store.promote(TUESDAY)
    monkeypatch.undo()
    assert (store.live(), len(store.history())) == (MONDAY, 2)
    store.promote(OTHER)
    assert store.rollback() == MONDAY


def test_the_live_run_promoted_again_is_no_promotion(store: Store) -> None:
    for run_id in (MONDAY, TUESDAY, TUESDAY):
        store.promote(run_id)
    assert store.rollback() == MONDAY


@pytest.mark.parametrize("damage", [b"\xff\n", b"{\n", b"[1]\n", b'{"at": 1}\n', b"{}"])
def test_a_damaged_line_of_the_history_hides_no_other(store: Store, damage: bytes) -> None:
    store.promote(MONDAY)
    with (store.folder / "promotions.jsonl").open("ab") as file:
        file.write(damage)
    store.promote(TUESDAY)
    assert [p.run for p in store.history()] == [MONDAY, TUESDAY]
    assert store.rollback() == MONDAY


def test_rollback_to_a_run_that_is_gone_leaves_the_pointer(store: Store) -> None:
    for run_id in (MONDAY, TUESDAY):
        store.promote(run_id)
    store.remove(MONDAY)
    with pytest.raises(ModelError, match="is gone"):
        store.rollback()
    assert store.live() == TUESDAY


@pytest.mark.parametrize("content", ["../../etc\n", "20260914T041512Z-lstm-0000\n", "\x00\n", "a\nb\n"])
def test_a_pointer_that_names_no_run_here_is_refused(store: Store, content: str) -> None:
    (store.folder / "live").write_text(content)
    with pytest.raises(ModelError, match="no whole model here"):
        store.find("live")


# What goes

@pytest.mark.parametrize(("keep", "going"), [(0, [OTHER]), (1, []), (3, []), (99, [])])
def test_the_live_run_and_the_one_before_are_never_pruned(store: Store, keep: int, going: list[str]) -> None:
    store.promote(TUESDAY)
    store.promote(MONDAY)
    assert store.prunable(keep) == going


def test_a_removed_run_is_no_run(store: Store) -> None:
    store.remove(MONDAY)
    assert store.ids() == [TUESDAY, OTHER]
    assert [d.name for d in store.runs.iterdir() if d.name.startswith(MONDAY)] == []


def test_the_next_holder_of_the_lock_removes_what_a_killed_one_left_and_nothing_else(store: Store) -> None:
    run(store, MONDAY + ".partial", manifest=False)
    ours = [store.folder / ".live.0123abcd.tmp", store.folder / ".promotions.jsonl.0123abcd.tmp"]
    others = [store.folder / ".predictions.csv.0123abcd.tmp", store.folder / ".live.tmp", store.runs / "mine.partial"]
    for path in [*ours, *others[:2]]:
        path.write_text("part")
    others[2].mkdir()
    (store.runs / (TUESDAY + "0.partial")).symlink_to(store.runs / MONDAY)
    assert len(store.leftovers()) == 3
    with store.lock() as removed:
        assert removed == [MONDAY + ".partial", *(p.name for p in ours)]
        assert store.leftovers() == []
    assert all(path.exists() for path in others)
    assert store.ids() == [MONDAY, TUESDAY, OTHER]
    with store.lock() as removed:
        assert removed == []


def test_a_store_that_cannot_be_read_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    store.promote(MONDAY)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(DiskError, match="live: cannot read: Permission denied"):
        store.live()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DiskError, match="runs: cannot read"):
        store.ids()
