"""What people and spreadsheets are shown."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import ForecastError
from forecast.text import counted, csv_cell, duration, from_csv_cell, listed, quoted, safe, shorten, sparkline


@given(st.text(st.characters()))
def test_no_control_character_is_left_in_safe_text(text: str) -> None:
    shown = safe(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069
                   or 0xD800 <= ord(c) <= 0xDFFF for c in shown)
    shown.encode("utf-8")


def test_safe_leaves_plain_text_and_names_the_rest() -> None:
    assert safe("Zürich 東京 [/] :warning:") == "Zürich 東京 [/] :warning:"
    assert safe("\x1b[31m\x9b\u202e\ud800\n") == "\\x1b[31m\\x9b\\u202e\\ud800\\x0a"


RISKY = st.sampled_from(["'", "''", "=", "'=", "''-", "\t", "\r"])


@given(st.text(max_size=6) | st.builds("{}{}".format, RISKY, st.text()))
def test_a_csv_cell_reads_back_as_it_was_and_is_no_formula(text: str) -> None:
    cell = csv_cell(text)
    assert from_csv_cell(cell) == text
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")


def test_two_texts_never_become_one_cell() -> None:
    texts = ["=1", "'=1", "''=1", "a", "'a", "-", "'-"]
    assert len({csv_cell(t) for t in texts}) == len(texts)


def test_a_quoted_cell_is_short_whatever_it_holds() -> None:
    assert len(quoted("\x1b" * 1000)) <= 42
    assert shorten("abcdef", 4) == "abc…"


def test_numbers_of_things() -> None:
    assert [counted(1, "day"), counted(1200, "day"), counted(2, "series")] == ["1 day", "1,200 days", "2 series"]
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"


def test_spans_are_written_one_way() -> None:
    assert [duration(s) for s in (0.44, 58, 60, 139.4, 3600, 7400)] == [
        "0.4 s", "58 s", "1 min", "2 min 19 s", "1 h 0 min", "2 h 3 min"]


def test_a_remedy_follows_a_sentence() -> None:
    assert str(ForecastError("Did you mean 'train'?", hint="See --help")) == "Did you mean 'train'? See --help"
    assert str(ForecastError("no such command", hint="See --help")) == "no such command. See --help"


def test_a_sparkline_has_one_bar_per_value() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, math.nan, 1]) == "▅ ▅"
    assert sparkline([-1e308, 1e308]) == "▁█"
    assert sparkline([]) == ""
