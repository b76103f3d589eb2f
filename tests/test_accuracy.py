"""The scores of the accuracy benchmark, on numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.accuracy import Forecast, Series, Task, cut, laid_out, scores, seasonal_naive, times


def task(**changes: object) -> Task:
    """Series a: 1 3 2 4 | 5 3, series b: 10 10 20 20 | 10 40; two steps of each are to be forecast, season 2."""
    index = pd.MultiIndex.from_arrays([["a"] * 6 + ["b"] * 6, [*range(1, 7), *range(1, 7)]])
    series = Series(["id", "t"], index, np.array([1, 3, 2, 4, 5, 3, 10, 10, 20, 20, 10, 40], dtype=float))
    return Task("two", series, np.array([[4], [10]]), horizon=2, season=2, **changes)   # type: ignore[arg-type]


def test_scores_are_those_worked_out_by_hand() -> None:
    point = np.array([[4.0, 5.0], [30.0, 40.0]])                        # errors 1 2, scale 1; errors 20 0, scale 10
    found = scores(task(naive2=(40.0, 2.0)), Forecast(point, {80: (point - 1, point + 3)}), np.ones((2, 2), dtype=bool))
    smape = ((200 / 9 + 400 / 8) / 2 + (200 * 20 / 40 + 0) / 2) / 2
    assert found == pytest.approx({"MASE": (1.5 + 1.0) / 2, "sMAPE": smape, "OWA": (smape / 40 + 1.25 / 2) / 2,
                                   "80%": (0.5 + 0.5) / 2, "width": (4 / 1 + 4 / 10) / 2})


def test_steps_that_are_not_there_do_not_count() -> None:
    point, there = np.array([[4.0, np.nan], [30.0, 40.0]]), np.array([[True, False], [True, True]])
    assert scores(task(), Forecast(point, {}), there)["MASE"] == pytest.approx((1.0 + 1.0) / 2)


def test_squared_errors_are_in_units_of_each_series() -> None:
    point = np.array([[4.0, 5.0], [30.0, 40.0]])
    found = scores(task(unit=np.array([2.0, 10.0])), Forecast(point, {}), np.ones((2, 2), dtype=bool))
    assert found == pytest.approx({"MSE": (0.25 + 1 + 4 + 0) / 4, "MAE": (0.5 + 1 + 2 + 0) / 4})


def test_seasonal_naive_repeats_the_season_before_with_bands_as_wide_as_its_residuals() -> None:
    made = seasonal_naive(task(), 2)
    np.testing.assert_array_equal(made.point, [[2, 4], [20, 20]])
    np.testing.assert_allclose(made.bands[80][1] - made.point, 1.2815516 * np.array([[1, 1], [10, 10]]))
    longer = seasonal_naive(Task("two", task().series, np.array([[3], [0]]), horizon=3, season=1), 1)
    np.testing.assert_array_equal(longer.point, [[2, 2, 2]])            # residuals 2 and -1, sigma sqrt(2.5 h)
    np.testing.assert_allclose(longer.bands[95][1] - longer.point, 1.959964 * np.sqrt([[2.5, 5.0, 7.5]]))


def test_a_file_of_forecasts_is_joined_by_id_time_and_cutoff_in_any_order() -> None:
    rows = pd.DataFrame({"t": [6, 5, 6, 5, 5], "id": ["b", "a", "a", "b", "b"], "cutoff": [4, 4, 4, 4, 3],
                         "yhat": [4.0, 1.0, 2.0, 3.0, 9.0]})            # the last is of a window that is not asked for
    rows = rows.assign(**{f"yhat_{side}_{q}": rows["yhat"] for side in ("lo", "hi") for q in (80, 95)})
    np.testing.assert_array_equal(laid_out(task(), rows, {}).point, [[1, 2], [3, 4]])
    with pytest.raises(SystemExit, match="none of the 5 forecasts"):
        laid_out(task(), rows.assign(id="c"), {})


def test_cutoffs_are_of_the_calendar_for_stamps_and_of_each_series_for_steps() -> None:
    days = pd.to_datetime([f"2024-01-{d:02}" for d in (1, 2, 3, 4, 5, 3, 4, 1, 2, 3)]).as_unit("us")
    ids, y = [*"aaaaa", *"bb", *"ccc"], np.arange(10.0)
    stamped = Series(["id", "t"], pd.MultiIndex.from_arrays([ids, days]), y)
    np.testing.assert_array_equal(stamped.cutoffs([1, 2]), [[3, 4], [6, 7], [10, 11]])  # b ends a day early, c two
    stepped = Series(["id", "t"], pd.MultiIndex.from_arrays([ids, [1, 2, 3, 4, 5, 1, 2, 1, 2, 3]]), y)
    np.testing.assert_array_equal(stepped.cutoffs([1, 2]), [[3, 4], [5, 6], [8, 9]])
    ragged = Task("ragged", stamped, stamped.cutoffs([2, 4]), horizon=2, season=1)
    np.testing.assert_array_equal(ragged.first, [1, 3, 6, 8])
    np.testing.assert_array_equal(ragged.truth, [[1, 2], [3, 4], [6, np.nan], [8, 9]])
    np.testing.assert_array_equal(ragged.scale, [np.nan] * 3)           # one value, or none, before the first cutoff


def test_times_are_the_same_from_text_and_typed() -> None:
    stamps = pd.Series(pd.to_datetime(["1949-01-01", "1949-02-01"]))
    pd.testing.assert_series_equal(times(pd.Series(["1949-01", "1949-02"])), times(stamps))
    pd.testing.assert_series_equal(times(pd.Series(["1", "12"])), times(pd.Series([1, 12])))


def test_a_shortened_file_keeps_every_cell_of_the_rest_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("id,t,y\n007,1,1.50\n007,2,NA\n007,3,2\n8,1,\n8,2,5\n")
    assert cut(tmp_path, file, off=1).read_text() == "id,t,y\n007,1,1.50\n007,2,NA\n8,1,\n"
    assert cut(tmp_path, file, rows=2).read_text() == "id,t,y\n007,1,1.50\n007,2,NA\n"
