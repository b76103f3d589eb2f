"""Screens: what every command says fits the terminal, and nothing is lost where there is none."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from forecast.cli import COMMANDS, console
from forecast.cli.console import Console, trained_words
from forecast.cli.helping import EXAMPLES
from forecast.cli.program import program
from forecast.cli.session import Session
from forecast.cli.streams import columns_of
from forecast.showing.layout import Table, folded, table_lines, wrapped
from forecast.showing.progress import Progress, line, thinned
from forecast.tasks.workspace import Workspace
from forecast.training.loop import Epoch
from tests.test_cli import DATA, LEAN, Run, run, succeed

__all__ = ["run"]
SCORES = Table(["", "MAE", "RMSE", "MASE(m=12)", "80% covers", "skill"],
               [["holt_winters+linear", "16.9", "22.1", "0.58", "79%", "+53%"],
                ["seasonal_naive", "36.98", "41.85", "1.266", "54%", "0%"]], ["RMSE", "80% covers"])


# words

def test_a_long_line_goes_on_below_itself_and_no_word_is_parted() -> None:
    path = "/a/path/that/is/longer/than/the/terminal/is/wide/forecast.csv"
    text = f"horizon 12, context 36 in segments of 12, {path} season 12"
    lines = folded("plan", text, 44).splitlines()
    assert lines[0].startswith("plan       horizon 12")
    assert all(line.startswith(" " * 11) for line in lines[1:])
    assert all(len(line) <= 44 for line in lines if path not in line)
    assert " ".join(line[11:] for line in lines) == text


def test_what_wide_gaps_part_stays_together_where_it_can() -> None:
    text = "bands   80 %: covers 79%   95 %: covers 100%   (by 4 windows)"
    assert wrapped(text, 34, indent=8) == "bands   80 %: covers 79%\n        95 %: covers 100%\n        (by 4 windows)"


def test_a_line_that_fits_or_goes_to_no_terminal_is_left_as_it_is() -> None:
    assert folded("a", "b   c", 40) == "a          b   c"
    assert "\n" not in folded("plan", "word " * 200, None)
    assert "\n" not in folded("plan", "word " * 200, 0)


def test_wide_characters_count_as_two_columns() -> None:
    lines = wrapped("東京 " * 20, 40, indent=4).splitlines()
    assert max(map(cell_len, lines)) <= 40 < cell_len("東京 " * 20)


# tables

def test_a_table_that_fits_is_a_grid() -> None:
    assert table_lines(SCORES, None)[:2] == [
        "                       MAE   RMSE  MASE(m=12)  80% covers  skill",
        "holt_winters+linear   16.9   22.1        0.58         79%   +53%"]


def test_what_is_spared_is_left_out_first_and_said() -> None:
    assert table_lines(SCORES, 60) == [
        "                       MAE  MASE(m=12)  80% covers  skill",
        "holt_winters+linear   16.9        0.58         79%   +53%",
        "seasonal_naive       36.98       1.266         54%     0%",
        "(left out: RMSE; -v shows them)"]


def test_whole_it_goes_on_in_a_second_table() -> None:
    lines = table_lines(SCORES, 50, whole=True)
    assert [line.split() for line in lines if line and line[0] == " "] == [
        ["MAE", "RMSE", "MASE(m=12)"], ["80%", "covers", "skill"]]
    assert max(map(len, lines)) <= 50


def test_where_two_columns_are_too_wide_each_row_is_a_list() -> None:
    assert table_lines(Table(["model", "MASE", "name"], [["20260919T041512Z-lstm-7f3a", "0.812", ""]]), 28) == [
        "20260919T041512Z-lstm-7f3a", "  MASE 0.812"]


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_parts_no_word_of_a_result(width: int, monkeypatch: pytest.MonkeyPatch,
                                                      capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr(Console, "width", width)
    shown = Console(Session(Workspace.at()))
    shown.table(Table(["model", "MASE", "skill", "serves"],
                        [["20260919T041512Z-lstm-7f3a", "0.812", "+19%", "lstm+linear"]]))
    shown.result("  repaired  5 missing days in 1 series, the longest 3 -> linear   (--fill)")
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert all(len(line) <= width for line in lines)
    assert {"20260919T041512Z-lstm-7f3a", "lstm+linear", "+19%", "linear", "(--fill)"} <= set(" ".join(lines).split())


# progress

def steady(factor: float) -> Iterator[tuple[float, float, float]]:
    """(moment, time left as said, as it is) of a command whose parts take `factor` times what was expected."""
    parts = {"preparing": 5.0, "training": 60.0, "weighing": 5.0, "backtest": 10.0, "final fit": 60.0}
    total, now = factor * sum(parts.values()), 0.0
    progress = Progress(parts, now)
    for name, seconds in parts.items():
        progress.begin(name, now)
        for k in range(1, 21):
            now += factor * seconds / 20
            if name in ("training", "final fit"):
                progress.advance(k / 20, now)
            yield now, progress.left(now), total - now


def test_the_time_left_is_that_of_all_parts_and_never_grows_where_the_machine_is_as_expected() -> None:
    said = list(steady(1.0))
    assert all(left == pytest.approx(true, abs=0.1) for _, left, true in said)


def test_a_machine_that_is_slower_than_expected_is_noticed_in_the_first_part_and_counted_in_all() -> None:
    said = list(steady(3.0))
    late = [(left, true) for now, left, true in said if now > 0.15 * said[-1][0]]
    assert all(left == pytest.approx(true, rel=0.34, abs=6) for left, true in late)


def test_the_share_that_is_done_ends_at_one() -> None:
    progress = Progress({"training": 10.0, "backtest": 10.0}, 0.0)
    progress.advance(0.5, 5.0)
    assert progress.share(5.0) == pytest.approx(0.25)
    progress.begin("backtest", 10.0)
    assert progress.share(20.0) == pytest.approx(1.0)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_the_line_of_progress_fits_and_keeps_the_time_left(width: int) -> None:
    progress = Progress({"training": 100.0, "final fit": 40.0}, 0.0)
    progress.advance(0.25, 25.0)
    text = line(progress, "epoch 5/20", [0.9, 0.7, 0.6, 0.512], 25.0, width=width, plain=False)
    assert cell_len(text) < width
    assert text.startswith("training ")
    assert width < 40 or " 18%  1:55 left" in text
    assert width < 80 or text.endswith("loss 0.512 █▄▂▁  epoch 5/20")
    ascii = line(progress, "", [0.9, 0.5], 25.0, width=width, plain=True)
    assert ascii.isascii()


def test_losses_are_thinned_to_the_first_the_last_and_some_between() -> None:
    assert thinned([float(k) for k in range(100)], 4) == [0, 33, 66, 99]
    assert thinned([1.0, float("nan"), 2.0]) == [1.0, 2.0]


# every command

@pytest.fixture(scope="session")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two data files and a model, two forecasts of which were issued."""
    folder = tmp_path_factory.mktemp("used")
    shutil.copy(DATA / "airpassengers.csv", folder / "data.csv")
    rows = (DATA / "airpassengers.csv").read_text().splitlines()
    (folder / "bad.csv").write_text("\n".join([*rows[:20], "1950-08,twelve", *rows[21:]]) + "\n")
    succeed("-C", folder, "train", "data.csv", "-q", *LEAN)
    for day in ("1960-10", "1960-11"):
        succeed("-C", folder, "predict", "-q", "--as-of", day)
    return folder


SCREENS = ("models", "models show live", "check data.csv bad.csv", "diff", "predict", "explain", "doctor",
           "evaluate --horizon 12", "help", "replay last", "predict --as-of 1960-10..1960-12 -o past.csv")
LONG = re.compile(r"\S{30,}")                                           # a path, or a line of bars


@pytest.mark.parametrize("line", SCREENS)
def test_every_screen_fits_60_80_and_120_columns_and_is_whole_without_a_terminal(
        run: Run, used: Path, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    said: list[Callable[[int | None], str]] = []

    def noted(label: str, text: str, width: int | None) -> str:
        said.append(lambda width: folded(label, text, width))
        return folded(label, text, width)

    def noted_line(text: str, width: int | None, *, indent: int) -> str:
        said.append(lambda width: wrapped(text, width, indent=indent))
        return wrapped(text, width, indent=indent)

    def noted_table(table: Table, width: int | None, *, whole: bool) -> list[str]:
        said.append(lambda width: "\n".join(table_lines(table, width, whole=True)))
        return table_lines(table, width, whole=whole)

    for name, note in (("folded", noted), ("wrapped", noted_line), ("table_lines", noted_table)):
        monkeypatch.setattr(console, name, note)
    ended = run(*line.split())
    assert ended.code in (0, 3, 5), ended.err
    shown = [row for text in (ended.out + ended.err).splitlines() for row in [text.rstrip()]]
    whole = [row.rstrip() for say in said for row in say(None).splitlines()]
    assert sorted(whole) == sorted(shown)                              # all that is said is laid out by one file
    for width in (60, 80, 120):
        lines = [row for say in said for row in say(width).splitlines()]
        assert [row for row in lines if cell_len(row) > width and not LONG.search(row)] == []
        assert set(" ".join(whole).split()) <= set(" ".join(lines).split())     # no word is cut or lost


def test_an_error_is_folded_at_a_terminal_and_one_line_elsewhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("train", "no.csv", "--season", "weekly").err.count("\n") == 1
    monkeypatch.setattr("forecast.cli.failing.columns_of", lambda stream: 60)
    lines = run("train", "no.csv", "--season", "weekly").err.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_page_of_help_fits_and_shows_the_common_options_first(run: Run, width: int,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("", *(row.name for row in COMMANDS)):
        page = run(*command.split(), "--help").out
        assert [row for row in page.splitlines() if len(row) > width] == []
        assert "..." not in page.split("Options:")[0].replace("FILE...", "").replace("[ARGS]...", "")
        assert "\n  forecast" in page.split("Examples:")[1]
        assert width < 80 or len(page.splitlines()) <= 62, command


def test_the_other_options_stand_in_groups_behind_help_v(run: Run) -> None:
    short, long = run("train", "--help").out, run("train", "--help", "-v").out
    assert "--dayfirst" not in short
    assert "More: other options (4), reading the file (22)" in " ".join(short.split())
    heads = re.findall(r"^(\w[\w ]*):$", long, flags=re.MULTILINE)
    assert heads == ["Arguments", "Common options", "Other options", "Reading the file", "Model and training",
                     "Global options", "Examples"]
    assert {"--dayfirst", "--hidden", "--debug"} <= set(re.findall(r"--[\w-]+", long))
    assert run("-v", "train", "--help").out == long


@pytest.mark.parametrize(("name", "example"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_the_examples_of_help_are_read_as_they_stand(name: str, example: str) -> None:
    command, *words = shlex.split(example)
    assert name in ("", command)
    made = program().get_command(None, command)
    assert made.make_context(command, words).params


def test_columns_that_are_asked_for_count_without_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert columns_of(io.StringIO()) is None
    monkeypatch.setenv("COLUMNS", "72")
    assert columns_of(io.StringIO()) == 72
    monkeypatch.setenv("COLUMNS", "0")
    assert columns_of(io.StringIO()) is None


def test_the_prior_is_no_network_among_those_that_were_trained() -> None:
    def ended(best: int, *, is_prior: bool = False) -> Epoch:
        return Epoch("train", 12, 12, 300, 0.5, 0.4, 0.4, best, 1.0, members=2, is_prior=is_prior)

    assert trained_words([ended(9), ended(0, is_prior=True)]) == (
        "12 epochs, weights of epoch 9; the prior, unchanged: tuning it made it no better")
    assert trained_words([ended(0), ended(0), ended(7, is_prior=True)]) == (
        "2 networks, 12 epochs each, 2 of them ended no better than they began and are not used; "
        "the prior, tuned: weights of epoch 7 of 12")


def test_what_a_training_told_of_its_file_is_told_again_only_where_it_has_changed(run: Run, tmp_path: Path) -> None:
    first = date(2024, 1, 1)
    rows = [f"{first + timedelta(k)},{10 + k % 7},{k % 2}\n" for k in range(84) if k != 20]
    (tmp_path / "d.csv").write_text("date,y,flag\n" + "".join(rows))
    assert "1 missing day -> linear" in run("train", "d.csv", *LEAN).err
    for command in (("predict",), ("evaluate", "d.csv"), ("explain",)):
        said = run(*command).err
        assert "model " in said
        assert not {"read", "repaired"} & {line.split()[0] for line in said.splitlines()}, command
        assert "not used: flag" in run(*command, "-v").err
    (tmp_path / "d.csv").write_text("date,y,flag\n" + "".join(rows[:40] + rows[41:]))
    assert "repaired   2 missing days" in run("predict").err


# terminals as they come

def at_a_terminal(folder: Path, *arguments: str, size: tuple[int, int] = (0, 0), **environment: str) -> tuple[str, int]:
    """What a terminal of this size (rows, columns) shows of a call, and the exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    given = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PAGER", "COLUMNS")} | {"TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-m", "forecast", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
                          cwd=folder, env=given | environment, start_new_session=True) as program:
        os.close(theirs)
        late = threading.Timer(100, os.killpg, (program.pid, signal.SIGKILL))
        late.start()
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:                                                 # the other end has been closed
            os.close(ours)
        late.cancel()
    return shown.decode().replace("\r\n", "\n"), program.returncode


@pytest.mark.parametrize(("size", "environment"), [
    ((0, 0), {}), ((24, 20), {}), ((24, 80), {"TERM": "dumb"}), ((24, 80), {"COLUMNS": "x"}),
    ((24, 80), {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})])
def test_no_terminal_breaks_a_screen(used: Path, tmp_path: Path, size: tuple[int, int],
                                     environment: dict[str, str]) -> None:
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    shown, code = at_a_terminal(tmp_path, "models", size=size, **environment)
    assert code == 0
    assert "live" in shown
    assert "\x1b" not in shown
    widest = max(map(len, shown.splitlines()))
    assert widest <= (80 if size[1] != 20 else 26)                      # a run's id is 26 characters long


def test_at_a_terminal_a_training_shows_how_far_it_is_and_leaves_no_line_of_it_behind(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("time,y\n" + "".join(f"{t},{10 + t % 6}\n" for t in range(60)))
    words = ("train", "d.csv", "--horizon", "4", "--season", "6", *LEAN)
    shown, code = at_a_terminal(tmp_path, *words, size=(24, 80))
    assert code == 0
    assert re.search(r"\w+ +[━─]+ +\d+%  \d+:\d\d left", shown)
    dumb, code = at_a_terminal(tmp_path, *words, size=(24, 80), TERM="dumb")
    assert code == 0
    assert "\x1b" not in dumb


def test_where_the_locale_knows_no_bars_losses_and_series_are_drawn_in_ascii(used: Path, tmp_path: Path) -> None:
    shutil.copytree(used, tmp_path, dirs_exist_ok=True)
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    shown, code = at_a_terminal(tmp_path, "predict", size=(24, 80), **plain)
    assert code == 0
    assert re.search(r"Passengers +[_.\-~=+*# ]+\|[_.\-~=+*# ]+ +next", " ".join(shown.split()))
