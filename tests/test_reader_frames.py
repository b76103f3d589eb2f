"""Frames: read as the CSV file of the same data is, to the bit; every bad cell named by the position of its row."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.config import DataConfig
from forecast.errors import DataError, RequestError
from forecast.reading.contract import Contract
from forecast.reading.frames import decimals_of, read_frame
from forecast.reading.reader import Reading, read_panel
from forecast.reading.sources.frames import as_frame

DAYS = pd.date_range("2024-01-01", periods=60, freq="D")
HOURS = pd.date_range("2024-03-29 05:00", periods=60, freq="h", tz="Europe/Berlin")      # the 31st has 23 of them
Y = (50 + 10 * np.sin(np.arange(60) / 7 * 2 * np.pi)).round(2)


def read(frame: pd.DataFrame, contract: Contract | None = None, **options: Any) -> Reading:
    return read_frame(frame, DataConfig(**options), contract)


def refused(frame: pd.DataFrame, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(frame, **options)
    assert caught.value.problem.file == "<frame>"
    return caught.value


def days(y: Any = Y, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"ds": DAYS[:len(y)], "y": y} | columns)


def long(**columns: Any) -> pd.DataFrame:
    parts = [pd.DataFrame({"store": name, "date": DAYS, "sales": Y + k}) for k, name in enumerate(("007", "b c"))]
    return pd.concat(parts, ignore_index=True).assign(**columns)


def decimals(values: Any) -> list[decimal.Decimal]:
    return [decimal.Decimal(f"{v:.2f}") for v in values]


ALIKE: dict[str, Callable[[], pd.DataFrame]] = {
    "one series": days,
    "long": long,
    "ids that are numbers": lambda: long(store=np.repeat([7, 5], 60)),
    "ids that are categories": lambda: long().astype({"store": pd.CategoricalDtype(["z", "b c", "007"])}),
    "texts of the old kind": lambda: long().astype({"store": object}),
    "two levels of an index": lambda: long().set_index(["store", "date"]),
    "wide": lambda: pd.DataFrame({"date": DAYS, "north": Y, "south": np.arange(60)}),
    "an index of times": lambda: days().set_index("ds"),
    "whole numbers": lambda: days(np.arange(60) % 7 + 20),
    "floats that are whole": lambda: days(np.arange(60) % 7 + 20.0),
    "many digits": lambda: days(Y / 3),
    "small and large": lambda: days(np.where(np.arange(60) % 2, 1e-5, 3e9)),
    "float32": lambda: days(Y.astype("float32")),
    "Int64": lambda: days(pd.array([*range(30), None, *range(29)], dtype="Int64")),
    "Float64": lambda: days(pd.array([*Y[:30], None, *Y[31:]], dtype="Float64")),
    "of Arrow": lambda: pd.DataFrame({"ds": DAYS + pd.Timedelta("6h"), "y": Y}).astype(
        {"ds": "timestamp[us][pyarrow]", "y": "double[pyarrow]"}),
    "missing": lambda: days(np.where(np.arange(60) == 30, np.nan, Y)),
    "numbers as objects": lambda: days(pd.Series([*map(int, Y[:30]), None, *Y[31:]], dtype=object)),
    "Decimal": lambda: days(decimals(Y)),
    "Decimal among floats": lambda: days([*decimals(Y[:30]), *Y[30:]]),
    "numbers as text": lambda: days([f"{v:.3f} kW" for v in Y]),
    "category of numbers": lambda: days(pd.Series((np.arange(60) % 7).astype(float)).astype("category")),
    "sparse": lambda: days(pd.arrays.SparseArray(Y)),
    "dates as text": lambda: days().assign(ds=DAYS.strftime("%d.%m.%Y")),
    "dates as objects": lambda: days().assign(ds=pd.Series(DAYS.date, dtype=object)),
    "nanoseconds": lambda: days().astype({"ds": "datetime64[ns]"}),
    "seconds": lambda: days().assign(ds=pd.date_range("2024-01-01", periods=60, freq="15min").astype("datetime64[s]")),
    "halves of a second": lambda: days().assign(ds=pd.date_range("2024-01-01", periods=60, freq="500ms")),
    "UTC": lambda: days().assign(ds=HOURS.tz_convert("UTC")),
    "an offset": lambda: days().assign(ds=HOURS.tz_convert(timezone(timedelta(hours=-3, minutes=-30)))),
    "years": lambda: pd.DataFrame({"year": range(1960, 2020), "y": Y}),
    "dates as numbers": lambda: days().assign(ds=DAYS.strftime("%Y%m%d").astype(int)),
    "steps": lambda: days().assign(ds=np.arange(60)),
    "an index of steps": lambda: pd.DataFrame({"y": Y}, index=pd.RangeIndex(5, 65, name="time")),
    "spread": lambda: pd.DataFrame({"year": DAYS.year, "month": DAYS.month, "day": DAYS.day, "y": Y}),
    "months": lambda: days().assign(ds=pd.period_range("2015-01", periods=60, freq="M")),
    "quarters": lambda: days().assign(ds=pd.period_range("2005Q1", periods=60, freq="Q")),
    "years as periods": lambda: pd.DataFrame({"year": pd.period_range("1960", periods=60, freq="Y"), "y": Y}),
    "hours as periods": lambda: days().assign(ds=pd.period_range("2024-01-01", periods=60, freq="h")),
    "newest first": lambda: days()[::-1],
    "shuffled": lambda: long().sample(frac=1, random_state=1).sort_values("store", kind="stable"),
    "a gap": lambda: days().drop(index=[30, 31]),
    "a column that is not used": lambda: long(note="x", done=True),
    "blank rows": lambda: days().astype({"y": "Float64"}).reindex(range(63)),
}


def as_file(frame: pd.DataFrame, path: Path) -> str:
    """The frame as `to_csv` writes it, its index where that says something."""
    named = isinstance(frame.index, pd.MultiIndex) or frame.index.name is not None
    frame.to_csv(path, index=named)
    return str(path)


@pytest.mark.parametrize("kind", ALIKE)
def test_a_frame_is_read_as_its_file_is(kind: str, tmp_path: Path) -> None:
    frame = ALIKE[kind]()
    before = frame.copy(deep=True)
    ours, theirs = read(frame), read_panel(as_file(frame, tmp_path / "data.csv"))
    pd.testing.assert_frame_equal(frame, before)
    for name in ("y", "first", "stop", "start"):
        assert getattr(ours.panel, name).tobytes() == getattr(theirs.panel, name).tobytes(), name
    assert ours.panel.ids.tolist() == theirs.panel.ids.tolist()
    assert [(r.kind, r.count) for r in ours.repairs] == [(r.kind, r.count) for r in theirs.repairs]
    for name in (f.name for f in fields(Contract)):
        assert getattr(ours.contract, name) == getattr(theirs.contract, name), name


@pytest.mark.parametrize("kind", ["long", "wide", "Float64", "years", "months", "UTC", "ids that are numbers"])
def test_a_later_file_is_read_by_the_contract_of_a_frame_and_the_other_way_round(kind: str, tmp_path: Path) -> None:
    frame = ALIKE[kind]()
    file = as_file(frame, tmp_path / "data.csv")
    ours, theirs = read(frame).contract, read_panel(file).contract
    for later in (read_panel(file, contract=ours), read(frame, theirs), read(frame, ours)):
        assert [note for note in later.notes if "training" in note or "history" in note] == []
        assert later.contract.was_revised(ours.ids[0], 0, later.panel.values(0)) is False


def test_a_zone_that_stamps_know_counts_as_if_it_had_been_named(tmp_path: Path) -> None:
    hours, noons = days().assign(ds=HOURS), days().assign(ds=DAYS.tz_localize("Europe/Berlin"))
    for frame in (hours, noons):
        file = as_file(frame, tmp_path / "data.csv")
        ours, theirs = read(frame), read_panel(file, DataConfig(tz="Europe/Berlin"))
        form = replace(theirs.contract.time_format, offset="")          # of some months it has but one
        assert ours.contract == replace(theirs.contract, time_format=form)
        assert ours.panel.start.tolist() == theirs.panel.start.tolist()
    assert read(noons).contract.calendar.freq == "D"                    # 23 hours long was one of these days
    elsewhere = read(hours.assign(ds=HOURS.tz_convert("Asia/Tokyo")), read(hours).contract)
    assert elsewhere.panel.start.tolist() == read(hours).panel.start.tolist()


def test_stamps_without_a_zone_beside_a_contract_with_one_are_told() -> None:
    naive = days().assign(ds=HOURS.tz_localize(None))
    [note] = read(naive, read(days().assign(ds=HOURS.tz_convert("UTC"))).contract).notes[:1]
    assert "in training as %Y-%m-%d %H:%M:%S%z" in note


def test_weeks_are_named_by_their_first_day() -> None:
    frame = days().assign(ds=pd.period_range("2024-01-01", periods=60, freq="W"))
    assert (read(frame).contract.calendar.freq, read(frame).span[0]) == ("W-MON", "2024-01-01")


def test_years_that_begin_in_july_are_written_as_days() -> None:
    frame = days().assign(ds=pd.period_range("1970", periods=60, freq="Y-JUN"))
    assert read(frame).span[0] == "1969-07-01"


def test_an_index_without_a_name_only_counts_the_rows_unless_it_tells_times() -> None:
    assert read(days()[10:]).contract.time == "ds"
    assert read(pd.DataFrame({"y": Y}, index=DAYS)).contract.time == "time"
    assert read(pd.DataFrame({"y": Y}, index=DAYS.strftime("%Y-%m-%d"))).contract.time == "time"
    assert read(days().set_index("ds", drop=False)).contract.time == "ds"
    assert read(pd.DataFrame({"y": Y}, index=pd.MultiIndex.from_product([["a", "b"], DAYS[:30]]))).contract.id == "id"


def test_a_code_for_missing_is_read_as_in_a_file() -> None:
    coded = days(np.where(np.arange(60) % 20 == 5, -9999.0, Y))
    assert refused(coded).code == "missing_code"
    reading = read(coded, missing=("-9999",))
    assert {r.kind: r.count for r in reading.repairs} == {"missing_words": 3, "missing": 3}
    assert reading.panel.y.min() > 30


def test_whole_numbers_too_long_for_a_float_are_told() -> None:
    [repair] = read(days(np.arange(60) + 2**60)).repairs
    assert (repair.kind, repair.count) == ("rounded", 59)               # 2**60 itself is one


def with_one(value: Any, row: int = 12) -> pd.DataFrame:
    return days([*Y[:row], value, *Y[row + 1:]])


BAD: dict[str, tuple[Callable[[], pd.DataFrame], str, int | None, str | None]] = {
    "infinite": (lambda: with_one(np.inf), "not_finite", 12, "y"),
    "infinite and nullable": (lambda: with_one(np.inf).astype({"y": "Float64"}), "not_finite", 12, "y"),
    "too large": (lambda: with_one(1e305), "not_finite", 12, "y"),
    "a word": (lambda: with_one("soon"), "not_a_number", 12, "y"),
    "a thing": (lambda: with_one({"a": 1}), "not_a_number", 12, "y"),
    "a truth among numbers": (lambda: with_one(True), "not_a_number", 12, "y"),
    "truths": (lambda: days(Y > 50), "wrong_type", None, "y"),
    "truths with gaps": (lambda: days(pd.array(Y > 50, dtype="boolean")), "wrong_type", None, "y"),
    "times for numbers": (lambda: days(DAYS), "wrong_type", None, "y"),
    "complex": (lambda: days(Y + 1j), "wrong_type", None, "y"),
    "lengths of time": (lambda: days(ds=DAYS - DAYS[0]), "wrong_type", None, "ds"),
    "no time": (lambda: days(ds=[*DAYS[:20], pd.NaT, *DAYS[21:]]), "no_time", 20, "ds"),
    "no date": (lambda: days(ds=[*DAYS[:20].strftime("%Y-%m-%d"), "soon", *DAYS[21:].strftime("%Y-%m-%d")]),
                "not_a_date", 20, "ds"),
    "nanoseconds": (lambda: days(ds=[*DAYS[:59], pd.Timestamp("2024-02-29 00:00:00.000000001")]), "too_fine", 59, "ds"),
    "a year of no record": (lambda: days(ds=np.array([*DAYS[:59].to_numpy("M8[s]"), np.datetime64("9999-01-01", "s")])),
                            "year", 59, "ds"),
    "no id": (lambda: long(store=["a"] * 60 + ["b"] * 59 + [None]), "no_id", 119, "store"),
    "twice": (lambda: pd.concat([days(), days()[-1:]]), "duplicate_time", 60, "ds"),
    "a step back": (lambda: pd.concat([days(), days()[3:4]]), "backward_step", 60, "ds"),
    "beside the grid": (lambda: days(ds=[*DAYS[:20], DAYS[20] + pd.Timedelta("1h"), *DAYS[21:]]), "off_grid", 20, "ds"),
    "no value": (lambda: days([None] * 60), "all_missing", None, None),
    "one row": (lambda: days(Y[:1]), "too_short", 0, None),
    "no rows": (lambda: days(Y[:0]), "no_rows", None, None),
    "no columns": (lambda: pd.DataFrame(index=range(3)), "no_columns", None, None),
    "two levels of headers": (lambda: pd.DataFrame(np.ones((3, 1)), columns=[["a"], ["b"]]), "headers", None, None),
    "a column twice": (lambda: pd.DataFrame(np.c_[Y, Y], index=DAYS, columns=["y", "y"]), "several_targets", None,
                       None),
    "two that may be meant": (lambda: days(sales=Y), "several_targets", None, None),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_cell_is_refused_by_the_position_of_its_row_and_its_column(kind: str) -> None:
    make, code, row, column = BAD[kind]
    error = refused(make())
    assert (error.code, error.row) == (code, row)
    assert column in (None, error.column)
    assert str(error).startswith("<frame>" + ("" if row is None else f":{row}"))


def test_bad_rows_are_set_aside_where_that_is_asked_for() -> None:
    reading = read(with_one("soon"), bad_rows="quarantine")
    assert [(p.row, p.code) for p in reading.rejects] == [(12, "not_a_number")]
    assert reading.panel.filled is not None
    assert np.flatnonzero(reading.panel.filled).tolist() == [12]


def test_nothing_that_is_read_shares_memory_with_the_frame() -> None:
    frame = days()
    reading = read(frame)
    frame.loc[:, "y"] = 0.0
    assert reading.panel.y.tolist() == Y.tolist()


def test_equal_data_have_one_identity_and_others_have_another() -> None:
    assert read(days()).sha256 == read(days().astype({"y": "Float64"})).sha256
    assert read(days()).sha256 != read(with_one(1.5)).sha256
    gap, filled = days().drop(index=[30]), days()
    filled.loc[30, "y"] = (Y[29] + Y[31]) / 2                           # what the gap is filled with, and yet measured
    assert read(gap).sha256 != read(filled).sha256


class Columnar:
    """What polars and Arrow look like from here."""

    def to_pandas(self) -> pd.DataFrame:
        return days()


def test_a_series_and_what_turns_into_a_frame_are_frames() -> None:
    assert read(as_frame(pd.Series(Y, index=DAYS.rename("ds")))).panel.y.tolist() == Y.tolist()
    assert read(as_frame(Columnar())).panel.y.tolist() == Y.tolist()
    assert read(as_frame(pa.table({"ds": DAYS, "y": Y}))).panel.y.tolist() == Y.tolist()
    for other in ([1, 2], {"y": Y}, Y, None, pd.DataFrame):
        with pytest.raises(RequestError, match="data are a path or a data frame"):
            as_frame(other)


@given(st.lists(st.floats(-1e12, 1e12) | st.integers(-10**6, 10**6).map(lambda n: n / 100), min_size=1, max_size=20))
def test_decimals_are_those_of_the_numbers_as_written(values: list[float]) -> None:
    def written(value: float) -> int:
        text, _, power = repr(value).partition("e")
        return min(17, max(0, len(text.partition(".")[2]) - int(power or 0)))

    assert decimals_of(np.array(values)) == max(map(written, values))
