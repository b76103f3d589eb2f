"""Numbers: one way of writing for a column; what may be two numbers is asked about, what is none is named."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.reading.parsing.numbers import LARGEST, NumberStyle, most_decimals, read_numbers
from tests.tables import DAYS, changed, column, days, read, refused, repairs

COUNT = range(40)


def test_digits_become_the_nearest_float() -> None:
    texts = ["0", "-0", "+5", "1.", ".5", "1e5", "1E-5", "007", "0.1", "123456789.123456789", "2.2250738585072014e-308"]
    numbers = read_numbers(pa.array(texts))
    np.testing.assert_array_equal(numbers.values, [float(t) for t in texts])
    assert not numbers.faults


@pytest.mark.parametrize(("texts", "decimals"), [
    (["1.25", "-0.5"], 2), (["1.25", "7"], 2), (["7", "12"], 0), ([".5", "5."], 1), (["1e-3", "0.5"], 3),
    (["1.5E2", "0.25"], 2), (["1.0", "0.1234567890123456789"], 17)])
def test_digits_behind_the_point_are_the_most_of_any_cell_of_any_piece(texts: list[str], decimals: int) -> None:
    cells = pa.array(["9.123456", *texts, "9.1234567"]).slice(1, len(texts))
    assert most_decimals(cells) == decimals
    assert most_decimals(pa.chunked_array([cells.slice(0, 1), cells.slice(1), cells.slice(0, 0)])) == decimals


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-LARGEST, LARGEST, allow_nan=False), min_size=1, max_size=20))
def test_what_is_written_is_what_is_read(values: list[float]) -> None:
    numbers = read_numbers(pa.array([repr(v) for v in values]), decimal=".")
    np.testing.assert_array_equal(numbers.values, values)
    slow = read_numbers(pa.array([f" {v!r} " for v in values]), decimal=".")
    np.testing.assert_array_equal(slow.values, values)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-10**9, 10**9), min_size=3, max_size=20),
       st.sampled_from([(",", "."), (".", ","), (",", " "), (".", "'"), (",", ""), (".", "")]), st.integers(0, 4))
def test_every_style_is_right_or_in_doubt(cents: list[int], marks: tuple[str, str], places: int) -> None:
    decimal, group = marks
    values = [c / 10**places for c in cents]
    texts = [f"{v:,.{places}f}".replace(",", "\0").replace(".", decimal).replace("\0", group) for v in values]
    numbers = read_numbers(pa.array(texts), comma_parted=decimal == "." and group != ".")
    if numbers.undecided or numbers.faults:
        return
    assert numbers.values == pytest.approx(values)


@pytest.mark.parametrize("cell", [
    "abc", "12a", "1.2.3", "--5", "0x1F", "1e", "TRUE", "12:30", "2020-01-01", "５", "1_000", "+-3", "#REF!", "<=5",
    "5%", "$5", "(5)", "5 kg", "inf", "-Infinity", "1e309", "-1e309", "1.1e300",
    "-2e300"])
def test_a_cell_that_is_no_number_is_refused_at_its_line(cell: str) -> None:
    error = refused(changed(days(), 6, lambda line: line[:11] + cell))
    assert (error.problem.row, error.problem.column) == (6, "value")
    assert error.problem.code in ("not_a_number", "not_finite")


@pytest.mark.parametrize("word", ["", "NA", "N/A", "#N/A", "nan", "NaN", "null", "NULL", "None", "none", "missing", "-",
                                  "?", ".", "..", " "])
def test_missing_words_are_filled_and_counted(word: str) -> None:
    reading = read(changed(days(), 6, lambda line: line[:11] + word))
    assert reading.panel.y[4] == 4.5                                    # the straight line between its neighbours
    assert repairs(reading)["missing"] == 1
    assert reading.repairs[-1].examples[0].row == 6


def test_missing_at_the_edges_is_cut_and_counted() -> None:
    values = ["", *range(38), "NA"]
    reading = read(column(DAYS, values))
    assert reading.panel.y.tolist() == list(range(38))
    assert repairs(reading)["edges"] == 2
    assert str(reading.panel.times(0)[0])[:10] == "2020-01-02"


def test_fill_rules() -> None:
    text = changed(days(), 6, lambda line: line[:11])
    assert [read(text, fill=rule).panel.y[4] for rule in ("linear", "zero", "ffill")] == [4.5, 0.0, 3.5]
    assert math.isnan(read(text, fill="mask").panel.y[4])


@pytest.mark.parametrize(("cells", "mark", "expected", "words"), [
    ([f"{k},5" for k in COUNT], ";", 0.5, "decimal comma"),
    ([f"{k + 1}.234,50" for k in COUNT], ";", 1234.5, 'decimal comma, thousands "."'),
    ([f'"{k + 1},234.5"' for k in COUNT], ",", 1234.5, 'thousands ","'),
    ([f'"{k + 1},234"' for k in COUNT], ",", 1234, 'thousands ","'),
    ([f"{k + 1} 234,5" for k in COUNT], ";", 1234.5, 'decimal comma, thousands " "'),
    ([f"{k + 1}'234.5" for k in COUNT], ",", 1234.5, 'thousands "\'"'),
    ([f"${k}.25" for k in COUNT], ",", 0.25, '"$" taken off'),
    ([f"{k}.25 €" for k in COUNT], ";", 0.25, '"€" taken off'),
    ([f"{k}.5%" for k in COUNT], ",", 0.5, '"%" taken off'),
    ([f"{k}.5 kW" for k in COUNT], ",", 0.5, '"kW" taken off'),
    ([f"({k + 1})" if k % 3 == 0 else str(k) for k in COUNT], ",", -1, "(5) read as -5"),
    ([f"−{k}.5" for k in COUNT], ",", -0.5, "")])
def test_one_way_of_writing_for_the_whole_column(cells: list[str], mark: str, expected: float, words: str) -> None:
    reading = read(column(DAYS, cells, mark=mark, header=f"date{mark}value"))
    assert reading.panel.y[0] == expected
    assert not words or words in reading.notes


@pytest.mark.parametrize(("cells", "mark"), [
    ([f"{k + 1}.234" for k in COUNT], ";"), ([f"{k + 1},234" for k in COUNT], ";"),
    (["1.234" if k == 5 else str(1000 + k) for k in COUNT], ","), (["1.234", "999"] * 20, ",")])
def test_three_digits_behind_a_mark_are_asked_about(cells: list[str], mark: str) -> None:
    text = column(DAYS, cells, mark=mark, header=f"date{mark}value")
    error = refused(text)
    assert error.problem.code == "ambiguous_number"
    assert "--decimal" in (error.problem.hint or "")
    for decimal in (".", ","):
        assert np.isfinite(read(text, decimal=decimal).panel.y).all()


def test_three_decimals_between_commas_are_decimals() -> None:
    assert read(column(DAYS, [f"{k}.234" for k in COUNT])).panel.y[1] == 1.234


def test_both_marks_in_one_column_are_refused_at_the_rarer() -> None:
    cells = [f"{k}.5" for k in COUNT]
    cells[7] = "7,5"
    error = refused(column(DAYS, cells, mark=";", header="date;value"))
    assert (error.problem.row, error.problem.hint) == (9, "Write all numbers of the column one way")    # no flag does


def test_a_told_decimal_mark_holds() -> None:
    cells = [f"{k},5" for k in COUNT]
    assert refused(column(DAYS, cells, mark=";", header="date;value"), decimal=".").problem.row == 2


def test_too_small_and_too_many_digits_are_said() -> None:
    cells: list[object] = list(COUNT)
    cells[5], cells[6] = "1e-400", "12345678901234567890123"
    assert repairs(read(column(DAYS, cells), spikes="keep")) == {"underflow": 1, "rounded": 1}


def test_a_power_may_have_any_number_of_digits() -> None:
    numbers = read_numbers(pa.array(["1e" + "0" * 5000 + "2", "1e-" + "9" * 5000, "2.5"]))
    assert numbers.values.tolist() == [100, 0, 2.5]
    assert (numbers.underflows, numbers.decimals) == (1, 17)


def test_decimals_are_those_written() -> None:
    written = {"1": 0, "1.5": 1, "2.50": 2, "1e-3": 3, "1.5e2": 0, "0.1234567890123456789": 17}
    assert {t: read_numbers(pa.array([t])).decimals for t in written} == written


def test_the_style_of_the_first_file_is_used_for_the_next() -> None:
    first = read(column(DAYS, [f"{k}.234,50" for k in range(1, 41)], mark=";", header="date;value"))
    assert first.contract.numbers == NumberStyle(",", ".")
    text = column(DAYS, [f"{k}.234" for k in range(1, 41)], mark=";", header="date;value")
    later = read(text, contract=first.contract)
    assert later.panel.y[0] == 1234
