"""The grid of time stamps: found in data, and followed into the future by its own rule."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from forecast.errors import DataError
from forecast.series.calendar import Calendar

NAMES = ("step", "7", "h", "2h", "30min", "s", "D", "2D", "B", "W-SUN", "W-WED", "2W-MON", "MS", "ME", "BME", "BMS",
         "M-15", "M-30", "2MS", "QS", "QE", "QS-FEB", "BQE", "YS", "YE", "YS-APR", "YE-JUN", "6ME")
PANDAS = ("h", "30min", "D", "B", "W-SUN", "W-WED", "MS", "ME", "BME", "BMS", "QS", "QE", "YS", "YE", "YS-APR",
          "YE-JUN")


@pytest.mark.parametrize("name", NAMES)
def test_ordinals_and_stamps_are_inverse_and_the_rule_is_found_again(name: str) -> None:
    calendar = Calendar.of(name)
    ordinals = np.arange(-700, 700)
    stamps = calendar.times(ordinals)
    assert (calendar.ordinals(stamps) == ordinals).all()
    assert (np.diff(stamps) > 0).all()
    assert Calendar.infer(stamps[500:560]) == calendar
    assert Calendar.from_dict(json.loads(json.dumps(calendar.to_dict()))) == calendar


@pytest.mark.parametrize("name", PANDAS)
def test_future_stamps_are_those_of_pandas(name: str) -> None:
    known = pd.date_range("2019-01-25", periods=60, freq=name)
    calendar = Calendar.infer(known[:36].to_numpy())
    assert calendar.freq == name
    end = calendar.ordinals(known[35:36].to_numpy())[0]
    np.testing.assert_array_equal(calendar.times(np.arange(end + 1, end + 25)), known[36:].to_numpy())


def test_the_thirtieth_stays_the_thirtieth_after_february() -> None:
    days = np.array(["2020-01-30", "2020-02-29", "2020-03-30"], dtype="datetime64[us]")
    calendar = Calendar.infer(days)
    assert calendar.freq == "M-30"
    following = calendar.times(calendar.ordinals(days)[-1] + np.arange(1, 12)).astype("datetime64[D]").astype(str)
    assert list(following)[-2:] == ["2021-01-30", "2021-02-28"]


def test_month_ends_of_short_months_are_month_ends() -> None:
    quarters = np.array(["2019-06-30", "2019-09-30", "2019-12-31"], dtype="datetime64[us]")
    assert Calendar.infer(quarters).freq == "QE"


def test_ordinal_zero_is_1970() -> None:
    for name in ("h", "D", "MS", "B"):
        assert str(Calendar.of(name).times([0])[0]).startswith("1970-01-01T00")
    assert Calendar.of("step").times([0, 5]).tolist() == [0, 5]


def test_years_far_from_ours_work() -> None:
    months = np.arange("1749-01", "1760-01", dtype="datetime64[M]").astype("datetime64[us]")
    calendar = Calendar.infer(months)
    assert calendar.freq == "MS"
    np.testing.assert_array_equal(calendar.times(calendar.ordinals(months)), months)


def test_gaps_do_not_hide_the_step_and_series_are_not_mixed() -> None:
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-05", "2020-01-06"], dtype="datetime64[us]")
    assert Calendar.infer(days).freq == "D"
    two = np.concatenate([days, days + np.timedelta64(10, "D")])
    assert Calendar.infer(two, [0] * 4 + [1] * 4).freq == "D"


def test_weekends_left_out_are_business_days() -> None:
    assert Calendar.infer(pd.bdate_range("2020-01-01", periods=30).to_numpy()).freq == "B"
    sparse = pd.bdate_range("2020-01-01", periods=30).delete([3, 11]).to_numpy()
    assert Calendar.infer(sparse).freq == "B"
    assert Calendar.infer(pd.date_range("2020-01-06", periods=5).to_numpy()).freq == "D"


def test_a_stamp_beside_the_grid_is_refused() -> None:
    days = pd.date_range("2020-01-01", periods=20).to_numpy().copy()
    days[7] += np.timedelta64(5, "h")
    with pytest.raises(DataError, match="does not stand on the grid"):
        Calendar.infer(days)
    calendar = Calendar.propose(days)
    assert calendar.freq == "D"
    assert np.flatnonzero(calendar.off_grid(days)).tolist() == [7]
    with pytest.raises(DataError):
        calendar.ordinals(days)


def test_sparse_days_are_days() -> None:
    rng = np.random.default_rng(0)
    days = np.flatnonzero(rng.random(400) < 0.4).astype("datetime64[D]").astype("datetime64[us]")
    assert Calendar.infer(days).freq == "D"


def test_one_stamp_does_not_tell_a_step_and_a_name_does() -> None:
    one = np.array(["2020-01-05"], dtype="datetime64[us]")
    with pytest.raises(DataError, match="does not tell the step"):
        Calendar.infer(one)
    assert Calendar.infer(one, freq="W").freq == "W-SUN"
    assert Calendar.infer(one, freq="D").freq == "D"


def test_a_named_month_takes_its_day_from_the_data() -> None:
    days = np.array(["2020-01-15", "2020-02-15"], dtype="datetime64[us]")
    assert Calendar.infer(days, freq="M").freq == "M-15"
    with pytest.raises(DataError):
        Calendar.infer(days, freq="MS")


@pytest.mark.parametrize("name", ["", "x", "0D", "W-XXX", "MS-99", "-1h", "99999999999h", "D-MON", "15"])
def test_unknown_names_are_refused_or_numbers(name: str) -> None:
    if name == "15":
        assert Calendar.of(name).every == 15
        return
    with pytest.raises(DataError):
        Calendar.of(name)


def test_defaults_by_frequency() -> None:
    expected = {"h": (24, (24, 168)), "D": (14, (7,)), "B": (10, (5,)), "W-SUN": (13, (52,)), "MS": (12, (12,)),
                "QS": (8, (4,)), "YS": (4, (1,)), "30min": (48, (48, 336)), "10min": (144, (144, 1008)),
                "step": (None, ())}
    assert {n: (Calendar.of(n).horizon, Calendar.of(n).seasons) for n in expected} == expected
    assert [Calendar.of(n).unit for n in ("h", "30min", "10min", "B", "QS", "2MS", "step")] == [
        "hours", "half hours", "10-min steps", "business days", "quarters", "2-month steps", "steps"]


def test_an_origin_moves_the_grid() -> None:
    calendar = Calendar.of("D", "2020-01-01T06:00")
    assert str(calendar.times([0])[0])[:16] == "1970-01-01T06:00"
    assert Calendar.of("M", "2020-03-31").freq == "ME"
