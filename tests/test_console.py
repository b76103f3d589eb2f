from __future__ import annotations

import pytest

from forecast.cli.console import WIDE, Console, folded
from forecast.cli.session import Session
from forecast.showing.tables import plain_table
from forecast.tasks.workspace import Workspace


def test_a_long_line_goes_on_below_itself_and_no_word_is_parted() -> None:
    path = "/a/path/that/is/longer/than/the/terminal/is/wide/forecast.csv"
    text = f"horizon 12, context 36 in segments of 12, {path} season 12"
    lines = folded("plan", text, 40).splitlines()
    assert lines[0].startswith("plan       horizon 12")
    assert all(line.startswith(" " * 11) for line in lines[1:])
    assert all(len(line) <= 40 for line in lines if path not in line)
    assert " ".join(line[11:] for line in lines) == text


def test_a_line_that_fits_or_goes_to_a_file_is_left_as_it_is() -> None:
    assert folded("a", "b   c", 40) == "a          b   c"
    assert "\n" not in folded("plan", "word " * 200, WIDE)
    assert "\n" not in folded("plan", "word " * 200, 0)                   # a terminal that does not say its width


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_parts_no_word_of_a_result(width: int, monkeypatch: pytest.MonkeyPatch,
                                                      capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr(Console, "width", width)
    console = Console(Session(Workspace.at()))
    console.table(plain_table(["model", "MASE", "skill", "serves"],
                              [["20260919T041512Z-lstm-7f3a", "0.812", "+19%", "lstm+linear"]]))
    console.result("  repaired  5 missing days in 1 series, the longest 3 -> linear   (--fill)")
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert all(len(line) <= width for line in lines)
    assert {"20260919T041512Z-lstm-7f3a", "lstm+linear", "+19%", "linear", "(--fill)"} <= set(" ".join(lines).split())
