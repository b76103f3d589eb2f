"""Files: whole or not at all, whatever fails on the way; one writer at a time; JSON that every reader takes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import BusyError, DiskError
from forecast.system import files
from forecast.system.files import (
    exclusive,
    holder,
    make_folders,
    new_folder,
    remove_folder,
    replacing,
    sha256,
    temporaries,
    to_json,
    write_bytes,
    write_text,
)

quick = settings(max_examples=50, deadline=None)
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
HOLDER = """
import sys
from pathlib import Path
from forecast.system.files import exclusive
with exclusive(Path(sys.argv[1]), by="forecast train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def failing(code: int, *, after: int = 0) -> Callable[..., Any]:
    """A system call that works `after` times and fails from then on."""
    calls = iter(range(after))

    def call(*_: Any, **__: Any) -> None:
        if next(calls, None) is None:
            raise OSError(code, os.strerror(code))

    return call


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# A file

def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"\x00\xff\n")
    write_text(tmp_path / "b", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff\n"
    assert (tmp_path / "b").read_bytes() == "é\n".encode()
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path,
                                                                      error: type[BaseException]) -> None:
    path = tmp_path / "a"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_old_file_and_ends_with_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                 call: str, code: int) -> None:
    path = tmp_path / "a"
    write_text(path, "old")
    monkeypatch.setattr(files.os, call, failing(code))
    with pytest.raises(DiskError) as caught:
        write_text(path, "new")
    monkeypatch.undo()
    assert caught.value.exit_code == 9
    assert caught.value.problem.file == str(path)
    assert os.strerror(code) in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_disk_that_fills_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text(path, "old")
    script = """
import resource, signal, sys
from pathlib import Path
from forecast.system.files import write_bytes
from forecast.errors import DiskError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), bytes(100_000))
except DiskError as error:
    sys.exit(error.exit_code)
"""
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 9
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="create it first"):
        write_text(tmp_path / "no" / "a", "x")


def test_a_file_cannot_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DiskError):
        write_text(tmp_path / "a", "x")
    assert names(tmp_path) == ["a"]


def test_the_temporary_file_stands_in_the_same_folder_and_is_synced_before_the_rename(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Any]] = []
    fsync, rename = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        file = os.fstat(descriptor)
        seen.append(("fsync", "folder" if stat.S_ISDIR(file.st_mode) else file.st_size))
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        seen.append(("replace", Path(source).parent == Path(target).parent))
        assert Path(source).read_bytes() == b"whole"
        rename(source, target)

    monkeypatch.setattr(files.os, "fsync", watched_fsync)
    monkeypatch.setattr(files.os, "replace", watched_replace)
    write_bytes(tmp_path / "a", b"whole")
    assert seen == [("fsync", 5), ("replace", True), ("fsync", "folder")]


def test_a_file_planted_under_the_temporary_name_is_not_written_to(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").write_text("untouched")
    (tmp_path / ".a.guess.tmp").symlink_to(tmp_path / "other")
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "guess")
    with pytest.raises(DiskError):
        write_text(tmp_path / "a", "x")
    assert names(tmp_path) == [".a.guess.tmp", "other"]
    assert (tmp_path / "other").read_text() == "untouched"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


@pytest.mark.parametrize("links", [True, False])
def test_where_the_rename_cannot_be_synced_what_stood_before_stands_again(tmp_path: Path, links: bool,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    monkeypatch.setattr(files.os, "fsync", failing(errno.EIO, after=1))
    with pytest.raises(DiskError):
        write_text(path, "new")
    assert names(tmp_path) == []
    path.write_text("old")
    monkeypatch.setattr(files.os, "fsync", failing(errno.EIO, after=1))
    if not links:
        monkeypatch.setattr(files.os, "link", failing(errno.EPERM))
    with pytest.raises(DiskError):
        write_text(path, "new")
    assert path.read_text() == ("old" if links else "new")              # without links it can only be whole
    assert names(tmp_path) == ["a"]


def test_a_file_system_that_syncs_no_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "fsync", failing(errno.EINVAL, after=1))
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_link_stays_and_what_it_leads_to_is_replaced_with_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "b").write_text("old")
    (tmp_path / "there" / "b").chmod(0o640)
    (tmp_path / "a").symlink_to(Path("there") / "b")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "there" / "b").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "there" / "b").stat().st_mode) == 0o640
    assert names(tmp_path / "there") == ["b"]


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(DiskError, match="not a file"):
            write_text(path, "x")
        assert not path.is_file()


def test_what_a_kill_left_a_day_ago_goes_with_the_next_write_and_what_is_younger_stays(tmp_path: Path) -> None:
    old, young, other, alien = (tmp_path / n for n in (".a.0123abcd.tmp", ".a.4567abcd.tmp", ".b.0123abcd.tmp",
                                                       ".a.mine.tmp"))
    for path in (old, young, other, alien):
        path.write_text("part")
        os.utime(path, (0, 0))
    os.utime(young)
    assert temporaries(tmp_path / "a") == [old, young]
    write_text(tmp_path / "a", "x")
    assert names(tmp_path) == sorted(["a", young.name, other.name, alien.name])


# A folder

def test_a_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "runs" / "a") as partial:
        write_text(partial / "x", "1")
        assert not (tmp_path / "runs" / "a").exists()
    assert names(tmp_path / "runs") == ["a"]
    assert (tmp_path / "runs" / "a" / "x").read_text() == "1"


def test_a_folder_whose_block_fails_leaves_no_trace(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "a") as partial:
            write_text(partial / "x", "1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


@pytest.mark.parametrize(("call", "after"), [("fsync", 0), ("fsync", 2), ("rename", 0), ("fsync", 4)])
def test_a_folder_on_a_full_disk_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str,
                                                 after: int) -> None:
    monkeypatch.setattr(files.os, call, failing(errno.ENOSPC, after=after))

    def fill() -> None:
        with new_folder(tmp_path / "a") as partial:
            write_text(partial / "x", "1")

    with pytest.raises(DiskError, match="Free some space"):
        fill()
    assert names(tmp_path) == []


def test_a_folder_does_not_replace_another(tmp_path: Path) -> None:
    def fill(text: str) -> None:
        with new_folder(tmp_path / "a") as partial:
            write_text(partial / "x", text)

    fill("old")
    with pytest.raises(DiskError):
        fill("new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a" / "x").read_text() == "old"


def test_folders_above_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "a" / "b" / "c"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []
    (tmp_path / "a").mkdir()
    assert make_folders(tmp_path / "a" / "b" / "c") == [tmp_path / "a" / "b" / "c", tmp_path / "a" / "b"]


def test_a_folder_is_removed_and_a_half_removed_one_has_the_name_of_a_part(tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        with new_folder(tmp_path / name) as partial:
            write_text(partial / "x", "1")
    remove_folder(tmp_path / "a")
    assert names(tmp_path) == ["b"]
    monkeypatch.setattr(files.shutil, "rmtree", failing(errno.EIO))
    with pytest.raises(DiskError, match="cannot remove"):
        remove_folder(tmp_path / "b")
    assert names(tmp_path) == ["b.partial"]
    monkeypatch.undo()
    remove_folder(tmp_path / "b.partial")
    assert names(tmp_path) == []


# The lock

def held(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def closed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_process_is_told_at_once_who_holds_the_lock_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    process = held(tmp_path / "store" / "lock")
    try:
        with pytest.raises(BusyError) as caught, exclusive(tmp_path / "store" / "lock"):
            pass
        assert caught.value.exit_code == 8
        assert re.search(rf"process {process.pid} \(forecast train\), since {STAMP} is writing", str(caught.value))
    finally:
        closed(process)
    with exclusive(tmp_path / "store" / "lock"):
        assert f"process {os.getpid()} " in (tmp_path / "store" / "lock").read_text()


def test_the_lock_is_free_again_after_its_block_and_names_its_last_holder_only(tmp_path: Path) -> None:
    write_text(tmp_path / "lock", "process 12345678901234567890\nand more\n")
    for _ in range(2):
        with exclusive(tmp_path / "lock", by="me"):
            assert re.fullmatch(rf"process {os.getpid()} \(me\), since {STAMP}\n", (tmp_path / "lock").read_text())


def test_who_stands_in_line_is_told_once_for_whom_and_goes_on_when_he_ends(tmp_path: Path) -> None:
    process, told = held(tmp_path / "lock"), list[str]()

    def waiting(said: str) -> None:
        told.append(said)
        closed(process)

    with exclusive(tmp_path / "lock", wait=60, waiting=waiting):
        assert holder(tmp_path / "lock") is not None                    # us
    assert [t.split()[1] for t in told] == [str(process.pid)]
    assert holder(tmp_path / "lock") is None


def test_waiting_ends_when_its_time_is_over(tmp_path: Path) -> None:
    process = held(tmp_path / "lock")
    start = time.monotonic()
    try:
        with pytest.raises(BusyError), exclusive(tmp_path / "lock", wait=0.5):
            pass
        assert 0.5 <= time.monotonic() - start < 5
        assert f"process {process.pid} " in str(holder(tmp_path / "lock"))
    finally:
        closed(process)


def test_a_lock_taken_away_with_its_folder_protects_nothing_and_is_asked_for_anew(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").write_text("")
    flock, calls = files.fcntl.flock, iter([True])

    def taken_away(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        if next(calls, False):
            (tmp_path / "lock").unlink()

    monkeypatch.setattr(files.fcntl, "flock", taken_away)
    with exclusive(tmp_path / "lock", by="me"):
        assert "(me)" in (tmp_path / "lock").read_text()


def test_a_folder_made_for_a_lock_alone_goes_with_what_failed_under_it(tmp_path: Path) -> None:
    def fail(leave: str) -> None:
        with exclusive(tmp_path / "x" / "store" / "lock"):
            if leave:
                (tmp_path / "x" / "store" / leave).mkdir()
            raise ValueError("bad")

    for leave, left in (("", []), ("runs", ["x"])):
        with pytest.raises(ValueError, match="bad"):
            fail(leave)
        assert names(tmp_path) == left


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(DiskError), exclusive(tmp_path / "lock"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_system_without_locks_is_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.fcntl, "flock", failing(errno.ENOLCK))
    with pytest.raises(DiskError), exclusive(tmp_path / "lock"):
        pass


def test_what_fails_under_the_lock_is_not_blamed_on_the_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), exclusive(tmp_path / "lock"):
        (tmp_path / "gone").read_text()


# JSON

def test_what_is_not_finite_becomes_null() -> None:
    content = {"a": [float("nan"), float("inf"), -np.inf, np.float32("nan")], "b": (1.5, None)}
    assert json.loads(to_json(content)) == {"a": [None] * 4, "b": [1.5, None]}


@pytest.mark.parametrize(("value", "text"), [
    (True, "true"), (np.True_, "true"), (np.False_, "false"), (np.int64(3), "3"), (np.float64(0.5), "0.5"),
    (np.float32(0.5), "0.5"), (1, "1"), (1.0, "1.0"), (np.str_("a"), '"a"'), (None, "null"),
])
def test_numbers_and_bools_keep_their_kind(value: object, text: str) -> None:
    assert to_json(value) == text + "\n"


def test_arrays_become_lists() -> None:
    assert json.loads(to_json({"a": np.array([[1.0, np.nan]])})) == {"a": [[1.0, None]]}


def test_a_name_that_is_not_utf8_is_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    write_text(tmp_path / "a", to_json({"data": name, "town": "Zürich\\"}))
    assert json.loads((tmp_path / "a").read_text(encoding="utf-8")) == {"data": name, "town": "Zürich\\"}


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                           | st.text(), lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3))


@given(json_values)
@quick
def test_plain_values_are_read_back_as_they_were(content: object) -> None:
    assert json.loads(to_json(content)) == content


def test_the_hash_is_sha_256(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
