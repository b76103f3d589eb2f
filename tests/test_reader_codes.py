"""Codes for missing: numbers such as -9999 are refused and mended by one flag; honest data are never taken for them."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.config import Config
from forecast.reading.codes import codes_in, is_classic
from forecast.series.arrays import Floats
from tests.honest import honest, new_levels
from tests.tables import DAYS, changed, column, days, read, refused, repairs

FLOW = [50 + k % 7 + 0.5 * (k % 3) for k in range(40)]


def with_codes(values: list[float], **codes: float) -> str:
    """Days with these values, some of which are codes: n5=-9999 is the sixth."""
    cells: list[object] = list(values)
    for place, code in codes.items():
        cells[int(place[1:])] = code
    return column(DAYS[:len(cells)], cells, header="date,flow")


@pytest.mark.parametrize("code", [-9999, -999, -99, -99.9, -999.25, 9999, 99999, 999.9, 1e20, -1e31, -32768, 65535,
                                  -8888, -200])
def test_a_code_is_refused_naming_value_count_line_column_and_both_remedies(code: float) -> None:
    text = with_codes(FLOW, n5=code, n20=code, n21=code)
    problem = refused(text).problem
    assert (problem.code, problem.row, problem.column, problem.value) == ("missing_code", 7, "flow", f"{code:.15g}")
    assert "stands 3 times" in problem.message
    assert problem.hint == f"--missing {code:.15g} reads it as missing, --missing none keeps it"
    kept = read(text, missing=("none",)).panel.y
    assert (kept == code).sum() == 3
    mended = read(text, missing=(f"{code:.15g}",))
    assert FLOW[4] <= mended.panel.y[5] <= FLOW[6]
    assert np.sum(mended.panel.filled) == 3
    assert repairs(mended) == {"missing_words": 3, "missing": 3}


@pytest.mark.parametrize("code", [-9999, -999, -99.9, 9999, 99999, 1e20])
@pytest.mark.parametrize("at", ["n0", "n17", "n39"])
def test_a_classic_code_is_refused_where_it_stands_once(code: float, at: str) -> None:
    problem = refused(with_codes(FLOW, **{at: code})).problem
    assert "stands once" in problem.message
    assert problem.row == 2 + int(at[1:])


def test_several_codes_are_named_and_one_flag_mends_them_all() -> None:
    text = with_codes(FLOW, n3=-9999, n4=-9999, n9=9999, n12=9999, n15=-8888)
    error = refused(text)
    assert {p.value for p in error.problems} == {"-9999", "9999", "-8888"}
    assert str(error.problem.hint).startswith("--missing -9999,9999,-8888 ")
    assert read(text, missing=("-9999", "9999", "-8888")).panel.y.min() == 50


def test_a_flag_given_before_is_kept_in_the_hint() -> None:
    text = changed(with_codes(FLOW, n5=-9999), 9, lambda line: line[:11] + "<1")
    hint = refused(text, missing=("<1",)).problem.hint
    assert hint == "--missing '<1,-9999' reads it as missing, --missing '<1,none' keeps it"


def test_codes_at_the_end_shorten_the_series_and_are_counted() -> None:
    reading = read(with_codes(FLOW, n38=-9999, n39=-9999), missing=("-9999",))
    assert reading.panel.y.tolist() == FLOW[:38]
    assert repairs(reading) == {"missing_words": 2, "edges": 2}


def test_a_sensor_that_only_ever_said_its_code_is_refused() -> None:
    assert refused(column(DAYS, [-9999] * 40)).problem.code == "missing_code"


def test_the_code_of_one_series_among_many_and_of_one_column_is_named() -> None:
    rows = [f"{name},{day},{value}" for name, level in (("a", 5000), ("b", 3)) for day, value in zip(
        DAYS, [level + k % 5 for k in range(40)], strict=True)]
    rows[50] = f"b,{DAYS[10]},-99"
    rows[51] = f"b,{DAYS[11]},-99"
    problem = refused("id,ds,y\n" + "\n".join(rows) + "\n").problem
    assert (problem.row, problem.column) == (52, "y")
    assert '"b"' in problem.message
    wide = "date,north,south\n" + "".join(f"{d},{k % 5},{-9999 if k == 7 else 3 + k % 4}\n" for k, d in enumerate(DAYS))
    assert (refused(wide).problem.row, refused(wide).problem.column) == (9, "south")


def test_codes_are_found_before_duplicates_are_averaged() -> None:
    text = changed(with_codes(FLOW), 9, lambda line: f"{line}\n{line[:11]}-9999")
    assert refused(text, duplicates="mean").problem.code == "missing_code"


@pytest.mark.parametrize(("told", "cell"), [
    ("-9999", "-9999.0"), ("-9999.0", "-9999"), ("-9999", " -9999 "), ("<1", "<1"), ("n/v", "n/v"), ("1e20", "1E+20"),
    ("-9999", "−9999")])
def test_a_cell_is_missing_that_equals_one_as_text_or_as_number(told: str, cell: str) -> None:
    reading = read(changed(days(), 6, lambda line: line[:11] + cell), missing=(told,))
    assert reading.panel.y[4] == 4.5
    assert repairs(reading)["missing"] == 1


def test_a_column_that_is_mostly_such_texts_is_still_one_of_numbers() -> None:
    text = column(DAYS, ["<1" if k % 3 else k for k in range(40)], header="date,interest")
    reading = read(text, missing=("<1",))
    assert repairs(reading)["missing_words"] == 26
    assert read(text.replace("date,interest", "date,value"), missing=("<1",)).panel.y[3] == 3


def test_the_setting_is_read_from_flag_and_toml_alike_and_kept() -> None:
    flag = Config().override({"data.missing": "-9999, <1,n/a"}, source="x").data.missing
    toml = Config().override({"data.missing": [-9999, "<1", "n/a"]}, source="x").data.missing
    assert flag == toml == ("-9999", "<1", "n/a")
    config = Config().override({"data.missing": "-9999"}, source="x")
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(("code", "times", "found"), [
    (-500, 1, False), (-500, 2, True), (5e6, 1, False), (5e6, 2, True), (5000, 3, True), (1500, 3, False),
    (-99, 1, True), (-60, 2, True), (-20, 2, False), (999, 1, True), (999, 2, True), (99.9, 2, False), (0, 9, False)])
def test_how_far_and_how_often_a_number_must_stand_to_be_a_code(code: float, times: int, found: bool) -> None:
    y = np.array([50.0 + k % 21 for k in range(100)])                   # a range of 20
    y[5:5 + 3 * times:3] = code
    assert codes_in(y) == ([code] if found else [])


def test_the_only_negative_number_may_stand_nearer_than_one_of_both_signs() -> None:
    positive, signed = np.arange(100) * 37 % 100 * 50.0, np.arange(100) * 37 % 100 * 10.0 - 500
    for y, once, twice in ((positive, [], [-999]), (signed, [], [])):
        for times, found in ((1, once), (2, twice)):
            spoilt = y.copy()
            spoilt[[10, 20][:times]] = -999
            assert codes_in(spoilt) == found


def test_a_classic_number_among_large_values_is_one_of_them() -> None:
    y = 1000.0 + np.arange(100) * 37 % 100 * 30
    for code, times in ((9999, 1), (9999, 3), (99999, 1)):
        spoilt = y.copy()
        spoilt[10:10 + times] = code
        assert codes_in(spoilt) == ([code] if code > 50_000 else [])


@pytest.mark.parametrize(("y", "found"), [([5, 6, -9999], [-9999]), ([-5, 6, -9999], []), ([5, 6, 9999], []),
                                          ([5, 6, 7, 9999], [9999]), ([-9999.0], [-9999]), ([], [])])
def test_few_values_tell_only_what_is_plain(y: list[float], found: list[float]) -> None:
    assert codes_in(np.array(y, dtype=float)) == found


@pytest.mark.parametrize("seed", range(40))
def test_no_honest_series_is_refused(seed: int) -> None:
    for name, y in (*honest(seed), *new_levels(seed)):
        assert codes_in(y) == [], name


@pytest.mark.parametrize("seed", range(10))
def test_a_code_in_any_honest_series_of_small_values_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name, y in honest(seed):
        if np.abs(y).max() < 300:
            spoilt = y.copy()
            spoilt[rng.choice(y.size, 3, replace=False)] = -9999
            assert codes_in(spoilt) == [-9999], name


def test_what_is_honest_passes_the_whole_reader() -> None:
    for seed in range(3):
        for name, y in (*honest(seed), *new_levels(seed)):
            stamps = np.datetime64("2001-01-01") + np.arange(y.size)
            reading = read(column(stamps, y.tolist()), decimal=".")
            assert reading.repairs == (), name


def test_a_classic_code_is_one_by_its_number_alone() -> None:
    assert [is_classic(v) for v in (-9999.0, 9999.0, -99.9)] == [True] * 3
    assert [is_classic(v) for v in (9.99, 1000.0, 0.0)] == [False] * 3


def test_values_are_left_as_they_were() -> None:
    y: Floats = np.array([*FLOW, -9999, np.nan])
    before = y.copy()
    codes_in(y)
    np.testing.assert_array_equal(y, before)


def test_the_numbers_of_a_reading_do_not_hold_a_code_once_it_is_told() -> None:
    reading = read(with_codes(FLOW, n5=-99.99, n9=-99.99), missing=("-99.99",))
    assert (reading.contract.decimals, reading.contract.low) == (1, 50)
