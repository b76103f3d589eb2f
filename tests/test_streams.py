"""Standard streams that are closed or full: words are lost, a result that is lost is said, and a file is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = f"{sys.executable} -m forecast"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("date,y\n" + "".join(f"2024-01-{k + 1:02},{10 + k % 7}\n" for k in range(31)))
    return tmp_path


def shell(folder: Path, line: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a line in which `forecast` is the program."""
    ended = subprocess.run(["bash", "-c", line.replace("forecast", PROGRAM, 1)], cwd=folder, capture_output=True,
                           text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("lost", ["2>&-", "2>/dev/full"])
def test_lost_words_lose_no_forecast(folder: Path, lost: str) -> None:
    assert shell(folder, f"forecast predict a.csv -o z.csv {lost}")[0] == 0
    assert len((folder / "z.csv").read_text().splitlines()) == 15
    assert shell(folder, f"forecast check nowhere.csv -q {lost}")[0] == 3


@pytest.mark.parametrize("line", ["predict a.csv -q -o z.csv", "predict a.csv -o -", "check a.csv", "--version",
                                  "--help", "train --help", "help cron"])
@pytest.mark.parametrize("lost", [">&-", ">/dev/full"])
def test_a_lost_result_is_said_in_one_line(folder: Path, line: str, lost: str) -> None:
    code, _, words = shell(folder, f"forecast {line} {lost}")
    assert code == 9
    assert words.splitlines()[-1].startswith("standard output: cannot write: ")
    assert "Traceback" not in words
    assert "bug" not in words


def test_nothing_to_say_needs_no_stream(folder: Path) -> None:
    assert shell(folder, "forecast models >&- 2>&- <&-")[0] == 0
    assert shell(folder, "forecast predict a.csv -o z.csv >&- 2>&- <&-")[0] == 0
    assert (folder / "z.csv").read_text().startswith("date,yhat")


def test_a_closed_standard_input_is_no_data(folder: Path) -> None:
    code, _, words = shell(folder, "forecast predict - <&-")
    assert (code, words.count("\n")) == (3, 1)
    assert words.startswith("<stdin>: cannot be read")
