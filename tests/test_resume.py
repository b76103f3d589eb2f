"""Broken off anywhere and gone on with: the same model to the bit; a signal ends `forecast train` soon and cleanly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.resume import PHASES, SIGNALS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


def experiment(name: str, tmp_path: Path) -> dict[str, Any]:
    """What tests/resume.py counted, which is also shown."""
    command = [sys.executable, "-m", "tests.resume", name, str(tmp_path / "place")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    print(f"\n{name}: {found}")
    return found


def test_of_200_trainings_killed_at_random_times_all_come_to_the_same_bits(tmp_path: Path) -> None:
    found = experiment("kills", tmp_path)
    assert found["problems"] == []
    assert found["bit-identical"] == found["trainings"] == 200
    assert found["kills"] >= 200
    went_on = sum(n for networks, n in found["networks with a checkpoint"].items() if int(networks))
    assert went_on > 100                                                # otherwise it all began anew, and proves little


def test_a_signal_in_any_phase_ends_train_soon_and_resume_comes_to_the_same_weights(tmp_path: Path) -> None:
    found = experiment("signals", tmp_path)
    assert found["problems"] == []
    assert found["signals"] == 3 * len(PHASES) * len(SIGNALS)
    assert found["longest"] < 5
    assert found["resumed"]["final fit: from checkpoints"] == 3 * len(SIGNALS)


def test_a_signal_at_any_time_from_its_start_on_ends_the_program_without_a_traceback(tmp_path: Path) -> None:
    found = experiment("program", tmp_path)
    assert found["problems"] == []
    assert found["longest"] < 5
    assert {143, 130} <= {int(code) for code in found["ends"]}
