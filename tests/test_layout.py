"""A forecast as rows: rounded as people expect, laid out four ways, and read back the same from every kind of file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecast.errors import DiskError, RequestError
from forecast.reading.contract import Contract
from forecast.reading.parsing.timeformat import TimeFormat
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, band_quantiles, quantile_grid
from forecast.series.panel import Panel
from forecast.text import from_csv_cell
from forecast.writing.layouts import (
    DIGITS,
    ENDINGS,
    LAYOUTS,
    MOST_DIGITS,
    Page,
    check_ending,
    is_typed,
    levels_of,
    rounded,
    stamps,
    table_of,
    write_csv,
    write_table,
    writing,
)
from forecast.writing.places import Place

quick = settings(max_examples=300, deadline=None)
MONTHS = Calendar.of("MS")
GRID = (0.1, 0.5, 0.9)
JANUARY = 360                                                           # 2000-01
CONTRACT = Contract(id="shop", time="month", targets=("sales",), layout="long", decimals=1, calendar=MONTHS,
                    time_format=TimeFormat("%m/%Y"))
PAGE = Page(CONTRACT, (80.0,), "20260919T041512Z-lstm-7f3a")


def forecast_of(ids: Sequence[str] = ("b", "a"), calendar: Calendar = MONTHS, start: int = JANUARY) -> Forecast:
    """Two series known for two steps and for one, two steps ahead: point 10 s + h, bands half as far on either side."""
    panel = Panel.of([[1, 2], [3]], calendar, ids=ids, start=start)
    point = np.array([[1.0, 2.0], [11.0, 12.0]])[:, :, None]
    return Forecast(panel, GRID, point + np.array([-0.5, 0.0, 0.5]), np.array(["lstm", "fallback:short"], dtype=object))


def rows_of(layout: str, page: Page = PAGE, forecast: Forecast | None = None, *, typed: bool = False) -> list[Any]:
    table = table_of(forecast or forecast_of(), page, layout, typed=typed)
    return [tuple(table.column_names), *(tuple(row.values()) for row in table.to_pylist())]


def csv_of(table: pa.Table) -> str:
    buffer = io.BytesIO()
    write_csv(table, buffer)
    return buffer.getvalue().decode()


# Rounding

def one(value: float, decimals: int = 0) -> float:
    return float(rounded(np.array([value]), decimals)[0])


@pytest.mark.parametrize(("value", "decimals", "result"), [
    (1 / 3, 0, 0.3333333), (2 / 3, 2, 0.6666667), (1234.56789, 0, 1234.568), (1234.56789, 5, 1234.56789),
    (123456789.6, 0, 123456790.0), (123456789.66, 1, 123456789.7), (-1 / 3, 0, -0.3333333), (0.0, 0, 0.0),
    (-0.0, 3, 0.0), (9.9999999, 0, 10.0), (0.1 + 0.2, 0, 0.3), (1e-20 / 3, 0, 3.333333e-21),
    (1e-300 / 3, 2, 3.333333e-301), (1e300, 2, 1e300), (999999.95, 0, 1000000.0), (1 / 3, 30, 0.333333333333),
])
def test_numbers_are_rounded_to_7_digits_or_the_targets_decimals(value: float, decimals: int, result: float) -> None:
    assert one(value, decimals) == result


def test_small_numbers_are_those_that_text_gives() -> None:
    for exponent in range(-320, 7):
        values = np.random.default_rng(0).uniform(1, 9.99, size=20) * float(f"1e{exponent}")
        assert rounded(values, 0).tolist() == [float(f"{value:.6e}") for value in values]


def test_zero_has_no_sign_and_what_is_no_number_stays() -> None:
    assert str(one(-0.0)) == "0.0"
    values = rounded(np.array([np.nan, np.inf, -np.inf]), 2)
    np.testing.assert_array_equal(values, [np.nan, np.inf, -np.inf])


def places_of(value: float, decimals: int) -> int:
    """Digits behind the point that are kept: those of 7 significant ones, or the target's up to 12."""
    exponent = Decimal(value).adjusted()
    if exponent >= MOST_DIGITS:
        return MOST_DIGITS - 1 - exponent
    return max(DIGITS - 1 - exponent, min(decimals, max(MOST_DIGITS - 1 - exponent, 0)))


@given(st.floats(min_value=1e-290, max_value=1e15), st.integers(0, 12), st.booleans())
@example(value=1000.0, decimals=0, negative=False)
@example(value=0.001, decimals=0, negative=False)
@example(value=9.9999995, decimals=0, negative=True)
@quick
def test_the_result_is_the_nearest_number_of_that_many_places(value: float, decimals: int, negative: bool) -> None:
    value = -value if negative else value
    result, places = one(value, decimals), places_of(value, decimals)
    unit = Decimal(1).scaleb(-places)
    assert abs(Decimal(result) - Decimal(value)) <= unit / 2 * (1 + Decimal("1e-3"))
    written = Decimal(repr(result))                                     # the shortest text is short
    assert -written.normalize().as_tuple().exponent <= places
    assert one(result, decimals) == result


@given(st.floats(min_value=1e-6, max_value=1e6), st.integers(-3, 3))
@quick
def test_what_differs_in_the_last_bits_is_written_alike(value: float, bits: int) -> None:
    other = value
    for _ in range(abs(bits)):
        other = float(np.nextafter(other, np.inf if bits > 0 else 0))
    assert abs(Decimal(repr(one(value))) - Decimal(repr(one(other)))) in (
        0, Decimal(1).scaleb(-places_of(value, 0)), Decimal(1).scaleb(-places_of(other, 0)))


def test_rounding_leaves_what_it_was_given() -> None:
    values = np.array([1 / 3, 1e-300, np.nan])
    copy = values.copy()
    rounded(values, 0)
    np.testing.assert_array_equal(values, copy)


# Layouts, by hand

def test_the_default_layout() -> None:
    run = PAGE.run
    assert rows_of("default") == [
        ("shop", "month", "yhat", "yhat_lo_80", "yhat_hi_80", "cutoff", "model", "source"),
        ("b", "03/2000", 1.0, 0.5, 1.5, "02/2000", run, "lstm"),
        ("b", "04/2000", 2.0, 1.5, 2.5, "02/2000", run, "lstm"),
        ("a", "02/2000", 11.0, 10.5, 11.5, "01/2000", run, "fallback:short"),
        ("a", "03/2000", 12.0, 11.5, 12.5, "01/2000", run, "fallback:short"),
    ]


def test_the_nixtla_layout() -> None:
    assert rows_of("nixtla")[:2] == [("unique_id", "ds", "forecast", "forecast-lo-80", "forecast-hi-80"),
                                     ("b", "03/2000", 1.0, 0.5, 1.5)]


def test_the_quantile_layout() -> None:
    assert rows_of("quantile")[::4] == [("shop", "month", "0.1", "0.5", "0.9"), ("a", "03/2000", 11.5, 12.0, 12.5)]


def test_the_long_layout() -> None:
    rows = rows_of("long")
    assert rows[:5] == [("shop", "month", "quantile", "value"), ("b", "03/2000", 0.1, 0.5), ("b", "03/2000", 0.5, 1.0),
                        ("b", "03/2000", 0.9, 1.5), ("b", "04/2000", 0.1, 1.5)]
    assert len(rows) == 1 + 2 * 2 * 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_row_of_every_layout_is_found_by_id_and_time(layout: str) -> None:
    header, *rows = rows_of(layout)
    assert len({row[:3] if layout == "long" else row[:2] for row in rows}) == len(rows)
    assert len(set(header)) == len(header)


def test_one_series_has_no_id_column_but_the_nixtla_layout_always_has() -> None:
    page = replace(PAGE, contract=replace(CONTRACT, id=None))
    assert [rows_of(layout, page)[0][0] for layout in LAYOUTS] == ["month", "unique_id", "month", "month"]


def test_an_unknown_layout_is_refused_with_those_there_are() -> None:
    with pytest.raises(RequestError, match="default, nixtla, quantile, long"):
        rows_of("wide")


def test_only_the_bands_asked_for_are_written() -> None:
    assert len(rows_of("default", replace(PAGE, levels=()))[0]) == 6


def test_values_are_rounded_to_the_targets_decimals() -> None:
    forecast = forecast_of()
    exact = replace(forecast, values=forecast.values * 1e7 / 3)
    assert rows_of("default", forecast=exact)[1][2] == 3333333.3
    whole = replace(PAGE, contract=replace(CONTRACT, decimals=0))
    assert rows_of("quantile", whole, exact)[1][3] == 3333333.0
    assert rows_of("long", whole, exact)[2][3] == 3333333.0


@pytest.mark.parametrize("layout", ["default", "quantile", "long"])
def test_a_file_whose_columns_are_named_like_ours_keeps_its_own(layout: str) -> None:
    page = replace(PAGE, contract=replace(CONTRACT, id="model", time="cutoff"))
    header, first, *_ = rows_of(layout, page)
    assert header[:2] == ("model", "cutoff")
    assert first[:2] == ("b", "03/2000")
    if layout == "default":
        assert header[-3:] == ("forecast_cutoff", "forecast_model", "source")
        assert first[-3:] == ("02/2000", PAGE.run, "lstm")


def test_typed_times_are_time_stamps() -> None:
    table = table_of(forecast_of(), PAGE, "default", typed=True)
    assert pa.types.is_timestamp(table["month"].type)
    assert pa.types.is_timestamp(table["cutoff"].type)
    assert str(table["month"][0].as_py()) == "2000-03-01 00:00:00"


@pytest.mark.parametrize("typed", [True, False])
def test_plain_steps_are_numbers(typed: bool) -> None:
    calendar = Calendar.of("step")
    page = replace(PAGE, contract=replace(CONTRACT, calendar=calendar))
    rows = rows_of("default", page, forecast_of(calendar=calendar, start=-3), typed=typed)
    assert [row[1] for row in rows[1:]] == [-1, 0, -2, -1]
    assert [row[5] for row in rows[1:]] == [-2, -2, -3, -3]
    assert stamps(page.contract, np.array([5])).tolist() == [5]


# Files

@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_file_is_read_back_the_same(tmp_path: Path, layout: str, ending: str) -> None:
    ids = ('ü "x", y', "007")
    table = table_of(forecast_of(ids), PAGE, layout, typed=is_typed(ending))
    path = tmp_path / f"a{ending}"
    write_table(table, path)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{ending}"]
    if ending == ".parquet":
        assert pyarrow.parquet.read_table(path).equals(table)
    elif ending == ".xlsx":
        header, *rows = pytest.importorskip("openpyxl").load_workbook(path).active.values
        assert [dict(zip(header, row, strict=True)) for row in rows] == table.to_pylist()
    elif ending == ".json":
        assert json.loads(path.read_text(encoding="utf-8")) == table.to_pylist()
    else:
        content = gzip.decompress(path.read_bytes()) if ending == ".csv.gz" else path.read_bytes()
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        texts = [{k: v if isinstance(v, str) else float(v) for k, v in row.items()} for row in table.to_pylist()]
        numbers = {k for k, v in texts[0].items() if not isinstance(v, str)}
        assert [{k: float(v) if k in numbers else v for k, v in row.items()} for row in rows] == texts


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_rows_are_the_same_bytes(tmp_path: Path, ending: str) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in "ab"]
    for path in paths:
        write_table(table_of(forecast_of(), PAGE, "default", typed=is_typed(ending)), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if ending == ".csv.gz":
        assert paths[0].read_bytes()[3:8] == bytes(5)                   # no name and no time in the header (RFC 1952)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskError):
        write_table(table_of(forecast_of(), PAGE, "default"), path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("ids", [("b", "a", "=x"), ("b", "a", "x,y")], ids=["plain", "quoted"])
def test_parts_written_one_by_one_are_the_file_of_the_whole(tmp_path: Path, layout: str, ending: str,
                                                            ids: tuple[str, ...]) -> None:
    panel = Panel.of([[1, 2], [3], [4, 5, 6]], MONTHS, ids=ids, start=[JANUARY, 5000, -7])
    source = np.array(["lstm", "fallback:short", "lstm+theta"], dtype=object)
    whole = Forecast(panel, GRID, np.sort(np.random.default_rng(0).gamma(2.0, 1e3, (3, 4, 3))), source)
    paths = [tmp_path / f"{name}{ending}" for name in "ab"]
    write_table(table_of(whole, PAGE, layout, typed=is_typed(ending)), paths[0])
    with writing(Place(str(paths[1])), PAGE, layout, whole.panel) as write:
        for s in range(3):
            write(replace(whole, panel=whole.panel.take([s]), values=whole.values[[s]], source=whole.source[[s]]))
    if ending == ".parquet":
        whole_table, parts = (pyarrow.parquet.read_table(path) for path in paths)
        assert parts.equals(whole_table)
    else:
        assert paths[1].read_bytes() == paths[0].read_bytes()


def test_a_part_that_cannot_be_laid_out_leaves_no_file(tmp_path: Path) -> None:
    forecast = forecast_of()

    def write_two() -> None:
        with writing(Place(str(tmp_path / "a.csv")), PAGE, "default", forecast.panel) as write:
            write(forecast)
            write(replace(forecast, quantiles=(0.5,)))                  # a band is asked for that is not there

    with pytest.raises(ValueError, match="not in tuple"):
        write_two()
    assert list(tmp_path.iterdir()) == []


def test_csv_by_hand() -> None:
    text = csv_of(table_of(forecast_of(), PAGE, "nixtla"))
    assert text == ("unique_id,ds,forecast,forecast-lo-80,forecast-hi-80\n"
                    "b,03/2000,1,0.5,1.5\nb,04/2000,2,1.5,2.5\na,02/2000,11,10.5,11.5\na,03/2000,12,11.5,12.5\n")


@pytest.mark.parametrize(("name", "header"), [
    ("shop", "shop"), ("the shop", "the shop"), ("shop,id", '"shop,id"'), ('a"b', '"a""b"'), ("a\nb", '"a\nb"'),
    ("=1+1", "'=1+1"), ("@x,y", "\"'@x,y\""),
])
def test_a_header_is_quoted_and_marked_only_where_it_must_be(name: str, header: str) -> None:
    page = replace(PAGE, contract=replace(CONTRACT, id=name))
    text = csv_of(table_of(forecast_of(), page, "quantile"))
    assert text.startswith(f"{header},month,0.1,0.5,0.9\n")
    assert from_csv_cell(next(csv.reader(io.StringIO(text, newline="")))[0]) == name


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_quotes_appear_only_where_a_text_needs_them(kind: pa.DataType) -> None:
    plain, special = pa.table({"a": pa.array(["x", "y z"], kind)}), pa.table({"a": pa.array(["x", 'y,"z'], kind)})
    assert csv_of(plain) == "a\nx\ny z\n"
    assert list(csv.reader(io.StringIO(csv_of(special)))) == [["a"], ["x"], ['y,"z']]


FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "'=x")


@pytest.mark.parametrize("text", FORMULAS)
def test_an_id_like_a_formula_is_marked_in_csv_and_nowhere_else(tmp_path: Path, text: str) -> None:
    table = table_of(forecast_of((text, "a")), PAGE, "default")
    rows = list(csv.DictReader(io.StringIO(csv_of(table))))
    assert rows[0]["shop"] == "'" + text
    assert from_csv_cell(rows[0]["shop"]) == text
    assert rows[2]["shop"] == "a"
    write_table(table, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())[0]["shop"] == text
    write_table(table, tmp_path / "a.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet")["shop"][0].as_py() == text


def test_numbers_are_not_marked() -> None:
    assert csv_of(pa.table({"a": [-1.5, 2.0], "b": [-1, 2]})) == "a,b\n-1.5,-1\n2,2\n"


def test_what_is_not_there_is_an_empty_cell() -> None:
    assert csv_of(pa.table({"a": ["x", None], "b": [None, 1.0]})) == "a,b\nx,\n,1\n"


def test_no_series_are_a_header_alone(tmp_path: Path) -> None:
    panel = Panel.of([], MONTHS)
    empty = Forecast(panel, GRID, np.empty((0, 2, 3)), np.empty(0, dtype=object))
    for layout in LAYOUTS:
        assert csv_of(table_of(empty, PAGE, layout)).count("\n") == 1


# Requests

@pytest.mark.parametrize("path", ["a.csv", "a.csv.gz", "b/a.parquet", "a.json", "A.CSV", "a.Json"])
def test_an_ending_that_says_what_to_write_is_taken(path: str) -> None:
    check_ending(path)


@pytest.mark.parametrize("ending", [".json", ".csv.gz", ".parquet"])
def test_an_ending_in_capitals_writes_the_same_bytes(tmp_path: Path, ending: str) -> None:
    table = pa.table({"a": ["x", "y"], "b": [1.5, 2.5]})
    for name in (f"small{ending}", f"large{ending.upper()}"):
        write_table(table, tmp_path / name)
    assert (tmp_path / f"large{ending.upper()}").read_bytes() == (tmp_path / f"small{ending}").read_bytes()
    assert is_typed(f"a{ending.upper()}") == is_typed(f"a{ending}")


def test_standard_output_is_taken_only_where_there_is_one() -> None:
    check_ending("-", stdout=True)
    with pytest.raises(RequestError):
        check_ending("-")


@pytest.mark.parametrize("path", ["a", "a.xls", "a.CSV2", "csv", "a.gz", "a.csv.", ""])
def test_an_ending_that_does_not_is_refused(path: str) -> None:
    with pytest.raises(RequestError, match=r"\.csv \.csv\.gz \.parquet \.json"):
        check_ending(path)


def test_bands_are_those_trained_or_some_of_them() -> None:
    assert levels_of(None, [80.0, 95.0]) == (80.0, 95.0)
    assert levels_of("95", [80.0, 95.0]) == (95.0,)
    assert levels_of("95, 80", [80.0, 95.0]) == (95.0, 80.0)


@pytest.mark.parametrize(("text", "words"), [
    ("90", "was trained for 80,95"), ("80,90", "was trained for 80,95"), ("nan", "was trained for 80,95"),
    ("", "takes numbers"), ("abc", "takes numbers"), ("80,", "takes numbers")])
def test_a_band_that_was_not_trained_is_refused(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        levels_of(text, [80.0, 95.0])


# The forecast itself

def test_point_ordinals_and_bands_of_a_forecast() -> None:
    forecast = forecast_of()
    assert forecast.horizon == 2
    assert forecast.point.tolist() == [[1, 2], [11, 12]]
    assert forecast.ordinals.tolist() == [[362, 363], [361, 362]]
    low, high = forecast.band(80)
    assert low.tolist() == [[0.5, 1.5], [10.5, 11.5]]
    assert high.tolist() == [[1.5, 2.5], [11.5, 12.5]]


def test_the_grid_holds_the_median_and_both_ends_of_each_band_once() -> None:
    assert quantile_grid(()) == (0.5,)
    assert quantile_grid((80.0,)) == (0.1, 0.5, 0.9)
    assert quantile_grid((95.0, 80.0, 80.0)) == (0.025, 0.1, 0.5, 0.9, 0.975)


@pytest.mark.parametrize(("level", "ends"), [(80, (0.1, 0.9)), (95, (0.025, 0.975)), (70, (0.15, 0.85)),
                                             (99.8, (0.001, 0.999)), (99.9, (0.0005, 0.9995))])
def test_the_ends_of_a_band_are_the_numbers_people_write(level: float, ends: tuple[float, float]) -> None:
    assert band_quantiles(level) == ends


@given(st.lists(st.floats(1.0, 99.8), max_size=5))
@quick
def test_every_band_finds_its_ends_in_the_grid(levels: list[float]) -> None:
    grid = quantile_grid(tuple(levels))
    assert list(grid) == sorted(set(grid))
    for level in levels:
        low, high = band_quantiles(level)
        assert low in grid
        assert high in grid
        assert low < 0.5 < high
        assert low + high == pytest.approx(1)
        assert high - low == pytest.approx(level / 100, abs=2e-6)


def values_of(forecast: Forecast) -> Floats:
    return forecast.values.copy()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_laying_out_changes_nothing(layout: str) -> None:
    forecast = forecast_of()
    before = values_of(forecast)
    table_of(forecast, PAGE, layout)
    np.testing.assert_array_equal(forecast.values, before)
