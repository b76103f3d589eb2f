"""Killed, refused or crowded at every point: what stood before stands, and nothing is ever half there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_artifact import saved

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


def experiment(name: str, tmp_path: Path) -> dict[str, Any]:
    """What tests/crash.py counted, which is also shown."""
    command = [sys.executable, "-m", "tests.crash", name, str(saved(tmp_path / "template")), str(tmp_path / "place")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "strace: " in ended.stderr and "not permitted" in ended.stderr:
        pytest.skip(f"a process cannot be traced here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    print(f"\n{name}: {found}")
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("fault", ["kill", "full", "broken"])
def test_what_is_spoiled_at_any_system_call_is_old_or_new(tmp_path: Path, fault: str) -> None:
    found = experiment(fault, tmp_path)
    assert found["problems"] == []
    assert found["points"] > 100
    ends = set(found["ends"])
    codes = {"Model": (0, 9), "Output": (0, 9), "Issues": (0, 5), "First": (0, 5)}
    assert ends == {f"{kind} {code}" for kind in codes for code in ((-9, ) if fault == "kill" else codes[kind])}
    assert found["issues reported"] > 10 or fault == "kill"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_what_takes_its_place_is_on_disk_before_and_its_name_after(tmp_path: Path) -> None:
    """What a power cut leaves is then what a kill leaves, which is looked at above."""
    found = experiment("synced", tmp_path)
    assert found["problems"] == []
    counts = found["counts"]
    assert counts["Model renames"] >= 3                                 # the run, the promotions, the pointer
    assert counts["Output renames"] == 1
    assert counts["Issues commits"] == counts["First commits"] == 1
    assert all(counts[f"{kind} syncs"] >= 2 and counts[f"{kind} writes"] for kind in ("Model", "Output", "Issues"))


def test_of_two_writers_one_works_and_the_other_is_told_within_a_second(tmp_path: Path) -> None:
    found = experiment("pairs", tmp_path)
    assert found["problems"] == []
    assert found["pairs"] == 100
    assert found["late"] <= 5                                           # a busy machine may keep a process waiting


def test_a_reader_gets_one_model_or_the_other_while_they_change(tmp_path: Path) -> None:
    found = experiment("crowd", tmp_path)
    assert found["problems"] == []
    assert found["loads"] >= 500
    assert found["models seen"] > 5
