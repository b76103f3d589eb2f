"""Screens: what every command says fits the terminal, and nothing is lost where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.cells import cell_len

from forecast.cli.console import Console
from forecast.cli.session import Session
from forecast.showing.layout import Table, folded, table_lines, wrapped
from forecast.showing.progress import Progress, line, thinned
from forecast.tasks.workspace import Workspace

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
    console = Console(Session(Workspace.at()))
    console.table(Table(["model", "MASE", "skill", "serves"],
                        [["20260919T041512Z-lstm-7f3a", "0.812", "+19%", "lstm+linear"]]))
    console.result("  repaired  5 missing days in 1 series, the longest 3 -> linear   (--fill)")
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
