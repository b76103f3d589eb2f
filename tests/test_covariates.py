"""Covariates: what may be seen of columns beside the target at a cut."""

import numpy as np

from forecast.series.calendar import Calendar
from forecast.series.covariates import Column, Covariates
from forecast.series.panel import Panel
from forecast.series.windows import ends_of


def beside() -> Covariates:
    """Two series: price is known ahead, visitors are not; the second begins at ordinal 2."""
    values = np.array([[1., 10], [2, 20], [3, 30], [4, 40], [5, np.nan], [7, 70], [8, 80], [9, 90]])
    columns = (Column("price", "known"), Column("visitors", "past"), Column("region", "static", ("north", "south")))
    return Covariates(columns, values, first=np.array([0, 5]), start=np.array([0, 2]), stop=np.array([5, 5]),
                      static=np.array([[0.], [1]]))


def test_before_a_cut_all_that_changes_is_seen_and_nothing_where_no_row_is() -> None:
    seen = beside().past(np.array([1, 0]), np.array([4, 3]), 3)
    np.testing.assert_array_equal(seen, [[[np.nan] * 2, [7, 70], [8, 80]], [[1, 10], [2, 20], [3, 30]]])


def test_from_a_cut_on_only_what_is_known_ahead_is_seen() -> None:
    ahead = beside().ahead(np.array([0, 1]), np.array([3, 4]), 3)
    np.testing.assert_array_equal(ahead, [[[4.], [5], [np.nan]], [[9.], [np.nan], [np.nan]]])


def test_without_rows_nothing_is_seen() -> None:
    none = Covariates((Column("price", "known"),), np.empty((0, 1)), np.array([0]), np.array([0]), np.array([0]),
                      np.empty((1, 0)))
    assert np.isnan(none.past(np.array([0]), np.array([3]), 2)).all()
    assert np.isnan(none.ahead(np.array([0]), np.array([3]), 2)).all()


def test_a_series_keeps_its_covariates_wherever_a_panel_puts_it() -> None:
    panel = Panel.of([[1, 2, 3, 4, 5.], [6, 7, 8.]], Calendar.steps(), start=[0, 2])
    panel = Panel(**{**vars(panel), "beside": beside(), "row": np.array([0, 1])})
    for some in (panel.take([1]), panel.rolled([0, 1]).take([3]), panel.drop_last(1).take([1])):
        assert some.row is not None
        assert some.row.tolist() == [1]
    rolled = panel.rolled([1, 0])
    cuts = rolled.cuts(ends_of(rolled))
    assert rolled.row is not None
    assert rolled.row.tolist() == [0, 1, 0, 1]
    assert cuts.tolist() == [4, 4, 5, 5]
    np.testing.assert_array_equal(beside().past(rolled.row, cuts, 1)[:, 0, 0], [4, 8, 5, 9])
