"""README is the documentation: its examples run, and it names every command, exit code, metric and column."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
from pathlib import Path

import pytest

from forecast import errors
from forecast.cli import COMMANDS
from forecast.cli.program import program
from forecast.formulas import METRICS
from tests.test_cli import Run, run

__all__ = ["run"]
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_session_in_readme_runs_as_it_stands_and_says_what_it_shows(run: Run, tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.setenv("FORECAST_TRAIN_EFFORT", "0.05")                 # what is shown does not depend on it
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL):
        for example in block.split("$ ")[1:]:
            line, *shown = example.splitlines()
            program, *arguments = shlex.split(line)
            assert program == "forecast"
            ended = run(*arguments)
            assert ended.code == 0, ended.err
            for text in shown:
                if text.strip() and "..." not in text:
                    assert text in (ended.out + ended.err).splitlines(), f"{line}: {text}"


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    table = set(re.findall(r"^\| `forecast (\w+)", README, flags=re.MULTILINE))
    assert table == {row.name for row in COMMANDS}


def test_every_flag_that_readme_names_exists() -> None:
    group = program()
    known = {option for command in [group, *(group.get_command(None, row.name) for row in COMMANDS)]
             for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h", "--version", "--only", "--variants", "--full", "--protocol"}
    prose = re.sub(r"```.*?```|`(python|pip|make)[^`]*`", "", README, flags=re.DOTALL)
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"`([^`]*)`", prose)))) <= known


def test_every_exit_code_an_error_can_give_is_documented() -> None:
    documented = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", README, flags=re.MULTILINE)
                  for code in row.split(",")}
    kinds = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.ForecastError)]
    assert {c.exit_code for c in kinds} | {0, 5, 130, 143} == documented


def test_every_metric_is_documented_with_its_formula() -> None:
    for name, metric in METRICS.items():
        row = f"| {name} | {metric.formula} | {metric.unit} |".replace("|y", "\\|y").replace("f|", "f\\|")
        assert any(name == r.split("|")[1].strip() for r in README.splitlines() if r.startswith("| ")), name
        assert metric.formula.replace("|", "\\|") in README, row
