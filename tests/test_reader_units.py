"""Units around numbers: taken off where every cell has the same one, refused by line where not, never a bug."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ForecastError
from forecast.reading.parsing.affixes import affixes_of
from tests.tables import DAYS, changed, column, read, refused

UNITS = ["EUR", "kWh", "deg", "TEUR", "°C", "MW", "mg/l", "e", "E", "%", "pcs", "m3", "m³", "Mio. EUR", "kg CO2",
         "µg/m³", "W/m²", "k", "€", "Stück", "persons per day"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("gap", ["", " ", "\u00a0"])
def test_a_unit_behind_every_number_is_taken_off_and_said(unit: str, gap: str) -> None:
    reading = read(column(DAYS, [f"{k}.50{gap}{unit}" for k in range(40)], header="date,amount"))
    assert reading.panel.y.tolist() == [k + 0.5 for k in range(40)]
    assert f'"{unit}" taken off' in reading.notes
    assert reading.contract.decimals == 2


@pytest.mark.parametrize(("cells", "values", "unit"), [
    (["USD 1,234.50", "USD 2,234.50"], [1234.5, 2234.5], "USD"), (["$1,234.50", "-$2,234.50"], [1234.5, -2234.5], "$"),
    (["R$ 5,10", "R$ 6,20"], [5.1, 6.2], "R$"), (["Rs.500", "Rs.1,200.50"], [500, 1200.5], "Rs."),
    (["$.50", "$1.50"], [0.5, 1.5], "$"), (["1.5e3 kWh", "2e4 kWh"], [1500, 20000], "kWh"),
    (["1 234,50 kr", "2 234,50 kr"], [1234.5, 2234.5], "kr"), (["+5 °C", "-3 °C"], [5, -3], "°C"),
    (["(5 EUR)", "(6 EUR)", "7 EUR"], [-5, -6, 7], "EUR"), (["12 pcs", "0 pcs"], [12, 0], "pcs")])
def test_signs_marks_and_powers_stand_beside_units(cells: list[str], values: list[float], unit: str) -> None:
    reading = read(column(DAYS[:len(cells)], cells, mark=";", header="date;value"))
    assert reading.panel.y.tolist() == values
    assert any(f'"{unit}" taken off' in note for note in reading.notes)


@pytest.mark.parametrize(("cell", "words"), [
    ("7 MWh", 'another unit than the others ("kWh")'), ("7", 'has no unit, the others have "kWh"'),
    ("7 kwh", "another unit"), ("kWh", "not a number")])
def test_a_cell_of_another_unit_or_none_is_refused_by_line(cell: str, words: str) -> None:
    text = column(DAYS, [f"{k} kWh" for k in range(40)])
    problem = refused(changed(text, 9, lambda line: line[:11] + cell)).problem
    assert (problem.row, problem.column, problem.code) == (9, "value", "not_a_number")
    assert words in problem.message


def test_a_unit_where_the_others_have_none_is_refused_by_line() -> None:
    problem = refused(changed(column(DAYS, range(40)), 9, lambda line: line[:11] + "7 kWh")).problem
    assert (problem.row, problem.code) == (9, "not_a_number")
    assert problem.hint == "Bring all values to one unit, written in every cell or in none"


@pytest.mark.parametrize("cells", [["<5", "<6", "<7"], ["~5", "~6", "~7"], ["5 e3", "6 e3", "7 e3"],
                                   ["12:30", "13:30", "14:30"], ["5/8", "6/8", "7/8"], ["EUR .5", "EUR .6", "EUR .7"]])
def test_what_only_looks_like_a_unit_is_none(cells: list[str]) -> None:
    assert refused(column(DAYS[:3], cells)).problem.code == "not_a_number"


def test_a_point_that_belongs_to_a_unit_makes_no_fraction() -> None:
    assert refused(column(DAYS[:3], ["Rs500", "Rs.500", "Rs600"])).problem.row == 3


def test_three_digits_behind_a_mark_are_asked_about_with_a_unit_too() -> None:
    text = column(DAYS, [f"{k + 1}.234 m3" for k in range(40)], mark=";", header="date;value")
    assert refused(text).problem.code == "ambiguous_number"


def test_a_column_of_one_unit_is_found_without_its_name() -> None:
    reading = read(column(DAYS, [f"{k} TEUR" for k in range(40)], header="date,turnover"))
    assert reading.contract.targets == ("turnover",)


def test_a_later_file_must_have_the_unit_of_the_first() -> None:
    contract = read(column(DAYS, [f"{k} kWh" for k in range(40)])).contract
    assert read(column(DAYS, [f"{k} kWh" for k in range(40)]), contract=contract).panel.y[3] == 3
    for cells in ([f"{k} MWh" for k in range(40)], list(range(40))):
        with pytest.raises(ForecastError, match="kWh"):
            read(column(DAYS, cells), contract=contract)


def test_a_code_with_a_unit_is_missing_too() -> None:
    cells = [f"{-9999 if k == 7 else k} EUR" for k in range(40)]
    assert refused(column(DAYS, cells)).problem.code == "missing_code"
    assert read(column(DAYS, cells), missing=("-9999",)).panel.y[7] == 7


FORMS = ["{n}{u}", "{n} {u}", "{u}{n}", "{u} {n}", "{u}{n}{u}", "({n}{u})"]
NUMBERS = ["5", "1.5", "-3", "1,234.5", "1.234,5", "1e5", ".5", "0", "1e400", "-9999"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\""), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(TEXT | st.sampled_from(UNITS), st.sampled_from(FORMS),
       st.lists(st.sampled_from(NUMBERS), min_size=2, max_size=6), st.none() | TEXT)
def test_any_text_around_numbers_ends_in_a_reading_or_a_refusal(unit: str, form: str, numbers: list[str],
                                                               odd: str | None) -> None:
    cells = [form.format(n=n, u=unit) for n in numbers] + ([] if odd is None else [odd])
    text = "date;value\n" + "".join(f'{DAYS[k]};"{cell}"\n' for k, cell in enumerate(cells))
    with contextlib.suppress(ForecastError):                        # anything else would be a bug
        reading = read(text)
        read(text, contract=reading.contract)
        read(text, missing=(unit, cells[0]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3)), min_size=3, max_size=10),
       st.sampled_from(UNITS))
def test_a_unit_changes_no_number(values: list[float], unit: str) -> None:
    plain = read(column(DAYS[:len(values)], values), decimal=".", missing=("none",), spikes="keep")
    given_unit = read(column(DAYS[:len(values)], [f"{v!r} {unit}" for v in values]), decimal=".", missing=("none",),
                      spikes="keep")
    assert given_unit.panel.y.tolist() == plain.panel.y.tolist()


@pytest.mark.parametrize(("cell", "found"), [
    ("5", ("", "")), ("-5 kWh", ("", "kWh")), ("$5", ("$", "")), ("1e5", ("", "")), ("1e5 e", ("", "e")),
    ("abc", ("", "")), ("5 e3", ("", "")), ("1 234 kr", ("", "kr")), ("x" * 70 + "5", ("", ""))])
def test_what_stands_before_and_behind_a_number(cell: str, found: tuple[str, str]) -> None:
    assert affixes_of(cell) == found


@pytest.mark.parametrize(("cells", "decimals"), [(["(5.25)", "(6.5)", "7"], 2), (["(1e-3)", "(2)", "3"], 3),
                                                 (["1.5e-2 kWh", "2 kWh"], 3), (["1.234,5 €", "2.345,25 €"], 2)])
def test_decimals_are_those_of_the_number_alone(cells: list[str], decimals: int) -> None:
    reading = read(column(DAYS[:len(cells)], cells, mark=";", header="date;value"))
    assert reading.contract.decimals == decimals


def test_numbers_of_several_units_are_told_where_no_target_is_named() -> None:
    cells = [f"{k} {'kWh' if k % 5 else 'MWh'}" for k in range(len(DAYS))]
    error = refused(column(DAYS, cells, header="date,use"))
    assert (error.code, error.column) == ("several_units", "use")
    assert "several units stand in one column: MWh, kWh" in str(error)
