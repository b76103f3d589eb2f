"""README and the handbook are the documentation: their sessions run, and what they name is there."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from forecast import errors
from forecast.cli import COMMANDS
from forecast.cli.help import flags_of
from forecast.cli.program import program
from forecast.config import SETTINGS
from forecast.scoring.formulas import METRICS
from forecast.system.monitor import HELP as MONITORED
from forecast.tasks.help import TOPICS, page_of
from forecast.writing.layouts import LAYOUTS
from tests.test_cli import Run, run, succeed

__all__ = ["run"]
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {"README": README} | {name: page_of(name, flags_of).text for name in TOPICS}
ELSEWHERE = {"--protocol", "--variants", "--full", "--peers", "--keep", "--data", "--dev",
             "--wrap", "--nproc-per-node"}                              # of benchmarks, and of others


def commands() -> dict[str, Any]:
    group = program()
    return {row.name: group.get_command(None, row.name) for row in COMMANDS}


def options(commands: list[Any]) -> set[str]:
    return {option for command in commands for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)} | {"-h", "--help"}


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and a model of AirPassengers, one forecast of which was issued."""
    folder = tmp_path_factory.mktemp("lived_in")
    shutil.copytree(ROOT / "data", folder / "data")
    for line in ("train data/airpassengers.csv -q --set train.effort=0.05", "predict -q"):
        succeed("-C", folder, *line.split())
    return folder


def sessions(text: str) -> list[tuple[str, list[str]]]:
    """Command lines of a page that are to run, and what each shows."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [(line, shown) for block in blocks for line, *shown in
            (example.splitlines() for example in block.split("$ ")[1:])]


def follow(run: Run, text: str, folder: Path) -> None:
    """Run the sessions of a page: every line shown must be said; `...` stands for anything. What they write in a clone
    is nothing that git would see."""
    data = {file: file.read_bytes() for file in (folder / "data").iterdir()}
    for line, shown in sessions(text):
        program, *arguments = shlex.split(line)
        assert program == "forecast"
        ended = run(*arguments)
        assert ended.code == 0, ended.err
        for expected in filter(None, map(str.strip, shown)):
            like = ".*".join(re.escape(part) for part in expected.split("..."))
            assert any(re.fullmatch(like, said.strip()) for said in (ended.out + ended.err).splitlines()), (
                f"{line}: {expected}")
    ignored = [pattern.strip("/") for pattern in (ROOT / ".gitignore").read_text().splitlines()]
    written = {file.name for file in folder.iterdir()} - {"data"}
    assert [name for name in written if not any(fnmatch(name, pattern) for pattern in ignored)] == []
    assert {file: file.read_bytes() for file in (folder / "data").iterdir()} == data


def test_the_session_in_readme_runs_as_it_stands_and_says_what_it_shows(run: Run, tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.setenv("FORECAST_TRAIN_EFFORT", "0.05")                 # what is shown does not depend on it
    follow(run, README, tmp_path)


@pytest.mark.parametrize("name", [name for name in TOPICS if sessions(PAGES[name])])
def test_the_sessions_in_the_handbook_run_and_say_what_they_show(run: Run, lived_in: Path, tmp_path: Path, name: str,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(lived_in, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("FORECAST_TRAIN_EFFORT", "0.05")
    follow(run, PAGES[name], tmp_path)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone has a repository")
def test_the_repository_holds_no_file_that_git_is_told_to_ignore() -> None:
    listed = subprocess.run(["git", "ls-files", "--cached", "--ignored", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    assert listed.stdout == ""


def test_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 250


def test_readme_lists_every_command_and_no_other() -> None:
    assert set(re.findall(r"^\| `forecast ([\w-]+)", README, flags=re.MULTILINE)) == set(commands())


def test_readme_links_every_topic_in_its_own_words_and_every_link_leads_to_a_file() -> None:
    rows = [f"| [{name}](forecast/help/{name}.md) | {page_of(name).summary} |" for name in TOPICS]
    assert [line for line in README.splitlines() if "](forecast/help/" in line and line.startswith("| [")] == rows
    for page, text in PAGES.items():
        folder = ROOT if page == "README" else ROOT / "forecast" / "help"
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert (folder / link).exists(), f"{page}: {link}"


def test_every_topic_that_a_page_names_exists() -> None:
    for page, text in PAGES.items():
        assert set(re.findall(r"`forecast help ([\w-]+)`", text)) <= set(TOPICS), page


def prose(text: str) -> str:
    """What stands between backticks, but for the lines of other programs."""
    text = re.sub(r"```.*?```", lambda block: "`" + block.group().strip("`\n").replace("`", "") + "`", text,
                  flags=re.DOTALL)
    return "\n".join(span for span in re.findall(r"`([^`]*)`", text) if not re.match(r"python |pip |make ", span))


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_names_is_an_option_of_some_command(page: str) -> None:
    known = options([program(), *commands().values()]) | ELSEWHERE
    named = set(re.findall(r"(?<![\w.-])--[a-z][a-z-]*", prose(PAGES[page])))
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_flag_that_follows_a_command_is_an_option_of_that_command(page: str) -> None:
    for name, command in commands().items():
        called = rf"(?:^|forecast (?:(?:-C|--store) \S+ )?){name} ([^\n]*)"
        for line in re.findall(called, prose(PAGES[page]), flags=re.MULTILINE):
            named = set(re.findall(r"(?<![\w.-])--[a-z][a-z-]*", line.split("#")[0]))
            assert named - options([command]) == set(), f"{page}: {name} {line}"


def test_every_setting_that_a_page_names_exists() -> None:
    sections = "|".join({key.split(".")[0] for key in SETTINGS})
    for page, text in PAGES.items():
        named = set(re.findall(rf"(?<![\w/])(?:{sections})\.[a-z]\w*\b", prose(text)))
        other = (".py", ".csv", ".predict", ".evaluate", ".future", ".explain", ".whatif")     # and a Model.
        assert {name for name in named if not name.endswith(other)} <= set(SETTINGS), page
        for variable in re.findall(r"FORECAST_([A-Z]+_[A-Z_]+)=", text):
            assert variable.lower().replace("_", ".", 1) in SETTINGS, page


def test_the_settings_page_tells_every_setting_with_the_flags_that_commands_have_for_it() -> None:
    known, page = options(list(commands().values())), PAGES["settings"]
    for key, setting in SETTINGS.items():
        assert setting.meaning in re.search(rf"^- \*\*{key}\*\*.*", page, flags=re.MULTILINE).group()   # type: ignore[union-attr]
        assert set(flags_of(key)) <= known
    of_settings = {flag for key in SETTINGS for flag in flags_of(key)}
    assert {"--horizon", "--quick", "--best", "--no-final-fit", "--refit", "--tz"} <= of_settings
    layers = "- **model.layers** (`--layers`): stacked recurrent layers. Takes a whole number from 1 to 16. Default: 1."
    assert layers in page.splitlines()
    assert "**train.steps**: " in page                                  # which has no flag


def test_every_exit_code_an_error_can_give_is_documented() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["exit-codes"], flags=re.MULTILINE)}
    kinds = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.ForecastError)]
    assert {c.exit_code for c in kinds} | {0, 5, 130, 143} == documented == set(errors.EXIT_CODES)


def test_every_exit_code_that_a_page_names_exists() -> None:
    for page, text in PAGES.items():
        for code in re.findall(r"exit(?: code)? (\d+)", re.sub(r"\s+", " ", text)):
            assert int(code) in errors.EXIT_CODES, page


def test_every_metric_is_documented_with_its_formula_and_no_other() -> None:
    table = PAGES["metrics"].split("## The metrics")[1].split("##")[0].replace("\\|", "¦")
    rows = [[cell.strip().replace("¦", "|") for cell in row.split("|")[1:4]]
            for row in table.splitlines() if row.startswith("| ")]
    assert rows[1:] == [[name, metric.formula, metric.unit] for name, metric in METRICS.items()]


def test_every_layout_and_monitored_number_is_documented() -> None:
    layouts = PAGES["output"].split("| `--layout` | columns |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", layouts, flags=re.MULTILINE)) == set(LAYOUTS)
    assert set(re.findall(r"^- `(forecast_\w+)`", PAGES["cron"], flags=re.MULTILINE)) == set(MONITORED)


def test_the_columns_of_a_forecast_are_those_in_the_handbook(lived_in: Path) -> None:
    table = PAGES["output"].split("| column | meaning |")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")]
    header = (lived_in / "predictions.csv").read_text().splitlines()[0].split(",")
    assert header == ["Month", *named]


def test_the_files_of_a_run_are_those_in_the_handbook(lived_in: Path) -> None:
    table = PAGES["store"].split("| file | what it holds |")[1].split("\n\n")[0]
    run = next((lived_in / ".forecast" / "runs").iterdir())
    assert set(re.findall(r"^\| `([\w.]+)`", table, flags=re.MULTILINE)) == set(os.listdir(run))
