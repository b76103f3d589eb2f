"""Completion: what a shell offers behind TAB."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forecast.cli.completing import headers
from tests.test_cli import Run, run, trained_projects

__all__ = ["run", "trained_projects"]
SHELLS = {"bash": lambda line: {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
          "zsh": lambda line: {"_TYPER_COMPLETE_ARGS": line},
          "fish": lambda line: {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}}


def offered(line: str, folder: Path, shell: str = "bash") -> str:
    asked = SHELLS[shell](line) | {"_FORECAST_COMPLETE": f"complete_{shell}"}
    ended = subprocess.run([sys.executable, "-c", "from forecast.cli import main; main()"], capture_output=True,
                           text=True, check=False, cwd=folder, env=os.environ | asked)
    assert ended.stderr == ""
    return ended.stdout.strip()


@pytest.mark.parametrize("shell", SHELLS)
def test_columns_of_the_file_given_are_offered(tmp_path: Path, shell: str) -> None:
    (tmp_path / "data.csv").write_text("store;unit price;sales\n1;2;3\n")
    found = offered("forecast train data.csv --target ", tmp_path, shell)
    assert [word in found for word in ("store", "unit price", "sales", "date")] == [True, True, True, False]


def test_the_last_of_several_columns_is_completed(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("store,price,promo\n1,2,3\n")
    assert offered("forecast train data.csv --known price,pro", tmp_path) == "price,promo"
    assert offered("forecast train nothing.csv --known pr", tmp_path) == ""


def test_runs_topics_and_choices_are_offered(trained_projects: Path, tmp_path: Path) -> None:
    live = (trained_projects / "whole/.forecast/live").read_text().strip()
    assert offered("forecast predict --model ", trained_projects / "whole").split() == ["live", live]
    assert offered("forecast -C whole models show 2", trained_projects) == live
    assert offered("forecast predict --model ", tmp_path) == "live"     # an empty store
    assert offered("forecast help rep", tmp_path) == "report"
    assert offered("forecast predict --layout q", tmp_path) == "quantile"


def test_headers_are_the_cells_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "tabs.tsv").write_text("\nid\tdate\ty\n")
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(b'"a,b",c\n'))
    (tmp_path / "binary.csv").write_bytes(b"\x00\xff\x01")
    (tmp_path / "empty.csv").write_text("")
    assert headers(tmp_path / "tabs.tsv") == ["id", "date", "y"]
    assert headers(tmp_path / "packed.csv.gz") == ["a,b", "c"]
    assert headers(tmp_path / "binary.csv") == headers(tmp_path / "empty.csv") == headers(tmp_path) == []


def test_completion_is_installed_for_the_shell_that_asks(tmp_path: Path) -> None:
    command = f"{sys.executable} -m forecast --install-completion; true"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False,
                           env=os.environ | {"HOME": str(tmp_path)})
    assert "bash completion installed" in ended.stdout, ended.stderr
    assert [f.name for f in (tmp_path / ".bash_completions").iterdir()] == ["forecast.sh"]


def test_a_shell_that_is_not_known_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("tcsh", "/bin/tcsh"))
    ended = run("--install-completion")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == ("forecast: --install-completion: tcsh is no shell that completion is made for. Run it in "
                         "bash, zsh, fish\n")
