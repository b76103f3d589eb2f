"""Windows: as many as the formula says, none across two series, contexts and targets as a loop gathers them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.series.calendar import Calendar
from forecast.series.panel import Panel, Windows
from forecast.series.windows import contexts, ends_of, targets, windows_of

quick = settings(max_examples=100, deadline=None)
STEPS = Calendar.of("step")
DAYS = Calendar.of("D")
sizes = st.lists(st.integers(0, 9), min_size=1, max_size=4)


def numbered(lengths: list[int], calendar: Calendar = STEPS, start: int = 0) -> Panel:
    """Series s holds 100 s, 100 s + 1, ...: every value tells where it came from."""
    return Panel.of([100.0 * s + np.arange(n) for s, n in enumerate(lengths)], calendar, start=start)


def all_of(panel: Panel, *, horizon: int, min_context: int, newest: int | None = None) -> Windows:
    """All windows, laid out."""
    windows = windows_of(panel, horizon=horizon, min_context=min_context, newest=newest)
    return windows.take(np.arange(len(windows)))


def test_windows_by_hand() -> None:
    panel = numbered([5, 2, 4])
    windows = all_of(panel, horizon=2, min_context=2)
    assert windows.series.tolist() == [0, 0, 2]
    assert targets(panel.y, windows, 2).tolist() == [[2, 3], [3, 4], [202, 203]]
    np.testing.assert_array_equal(contexts(panel.y, windows, 3),
                                  [[np.nan, 0, 1], [0, 1, 2], [np.nan, 200, 201]])


@given(sizes, st.integers(1, 4), st.integers(1, 4), st.integers(1, 6))
@quick
def test_windows_are_those_of_the_loop(lengths: list[int], horizon: int, min_context: int, length: int) -> None:
    panel = numbered(lengths)
    windows = all_of(panel, horizon=horizon, min_context=min_context)
    assert len(windows) == sum(max(0, n - min_context - horizon + 1) for n in lengths)
    expected = [(s, cut) for s, n in enumerate(lengths) for cut in range(min_context, n - horizon + 1)]
    assert windows.series.tolist() == [s for s, _ in expected]
    assert windows.first.tolist() == panel.first[windows.series].tolist()
    if not len(panel.y):
        return
    gathered = zip(contexts(panel.y, windows, length), targets(panel.y, windows, horizon), expected, strict=True)
    for context, target, (s, cut) in gathered:
        series = panel.values(s)
        padded = [np.nan] * max(0, length - cut) + series[max(0, cut - length):cut].tolist()
        np.testing.assert_array_equal(context, padded)
        np.testing.assert_array_equal(target, series[cut:cut + horizon])


@given(sizes, st.integers(1, 4), st.integers(1, 4), st.data())
@quick
def test_no_window_is_cut_inside_a_gap_and_all_others_stay(lengths: list[int], horizon: int, min_context: int,
                                                           data: st.DataObject) -> None:
    panel = numbered(lengths)
    filled = data.draw(st.lists(st.booleans(), min_size=len(panel.y), max_size=len(panel.y)))
    whole = all_of(panel, horizon=horizon, min_context=min_context)
    gappy = all_of(replace(panel, filled=np.array(filled, dtype=bool)), horizon=horizon, min_context=min_context)
    expected = [(s, cut) for s, cut in zip(whole.series, whole.cut, strict=True) if not filled[cut - 1]]
    assert list(zip(gappy.series, gappy.cut, strict=True)) == expected
    assert gappy.first.tolist() == panel.first[gappy.series].tolist()


@given(sizes, st.integers(1, 3), st.integers(1, 6))
@quick
def test_no_window_crosses_two_series(lengths: list[int], horizon: int, length: int) -> None:
    panel = numbered([n + 1 for n in lengths])
    windows = all_of(panel, horizon=horizon, min_context=1)
    rows = np.concatenate([contexts(panel.y, windows, length), targets(panel.y, windows, horizon)], axis=1)
    assert (np.isnan(rows) | (rows // 100 == windows.series[:, None])).all()


@pytest.mark.parametrize("calendar", [STEPS, DAYS])
def test_the_newest_windows_have_their_whole_target_in_the_newest_steps(calendar: Calendar) -> None:
    panel = numbered([8, 8], calendar)
    windows = all_of(panel, horizon=2, min_context=2, newest=3)
    assert targets(panel.y, windows, 2).tolist() == [[5, 6], [6, 7], [105, 106], [106, 107]]


def test_training_windows_and_the_newest_ones_share_no_target() -> None:
    panel = numbered([9, 6, 3])
    early = all_of(panel.drop_last(3), horizon=2, min_context=2)
    late = all_of(panel, horizon=2, min_context=2, newest=3)
    seen = set(targets(panel.y, early, 2).ravel())
    assert seen.isdisjoint(targets(panel.y, late, 2).ravel())
    assert len(late) == 2 + 2


def test_a_series_that_ended_early_has_no_window_in_the_newest_steps() -> None:
    panel = numbered([9, 5], DAYS)
    windows = all_of(panel, horizon=2, min_context=2, newest=3)
    assert windows.series.tolist() == [0, 0]


def test_a_forecast_is_made_at_the_end_of_every_series() -> None:
    panel = numbered([4, 1, 0]).drop_last(0)
    np.testing.assert_array_equal(contexts(panel.y, ends_of(panel), 2),
                                  [[2, 3], [np.nan, 100], [np.nan, np.nan]])


def test_chosen_windows_come_in_the_order_chosen() -> None:
    panel = numbered([3, 3])
    windows = all_of(panel, horizon=1, min_context=1).take(np.array([2, 0]))
    assert targets(panel.y, windows, 1).tolist() == [[101], [1]]
    assert windows.series.tolist() == [1, 0]
    np.testing.assert_array_equal(contexts(panel.y, windows, 2), [[np.nan, 100], [np.nan, 0]])


def test_what_was_given_is_left_as_it_was() -> None:
    panel = numbered([6, 3])
    before = panel.y.copy()
    windows = all_of(panel, horizon=1, min_context=1)
    contexts(panel.y, windows, 2)[:] = -1
    contexts(panel.y, windows, 4)[:] = -1
    targets(panel.y, windows, 1)[:] = -1
    np.testing.assert_array_equal(panel.y, before)
