"""Panel: slices of one array. What is cut off for one series is cut off for all, and nothing is copied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.series.calendar import Calendar
from forecast.series.panel import Panel, Windows

quick = settings(max_examples=100, deadline=None)
STEPS = Calendar.of("step")
DAYS = Calendar.of("D")
BEFORE_1970 = int((np.datetime64("1960-02-27") - np.datetime64("1970-01-01")).astype(int))


def lists(panel: Panel) -> list[list[float]]:
    return [panel.values(s).tolist() for s in range(len(panel))]


def ragged(calendar: Calendar, start: int | list[int] = 0) -> Panel:
    return Panel.of([[1, 2, 3, 4], [5, 6], [7, 8, 9]], calendar, ids=["b", "a", "007"], start=start)


def test_a_panel_holds_its_series_end_to_end() -> None:
    panel = ragged(STEPS)
    assert panel.y.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert lists(panel) == [[1, 2, 3, 4], [5, 6], [7, 8, 9]]
    assert panel.lengths.tolist() == [4, 2, 3]
    assert panel.ids.tolist() == ["b", "a", "007"]
    assert len(Panel.of([], STEPS)) == 0
    assert Panel.of([[], [1]], STEPS).ids.tolist() == ["0", "1"]


def test_times_go_on_across_1970() -> None:
    panel = Panel.of([[1, 2, 3]], DAYS, start=-1)
    assert panel.times(0).astype("datetime64[D]").astype(str).tolist() == ["1969-12-31", "1970-01-01", "1970-01-02"]
    assert panel.end.tolist() == [2]


# On an integer calendar time is only a count: each series ends at its own end

def test_on_integers_every_series_loses_its_own_last_steps() -> None:
    panel = ragged(STEPS, start=[0, 50, -9])
    assert lists(panel.drop_last(1)) == [[1, 2, 3], [5], [7, 8]]
    assert lists(panel.drop_last(3)) == [[1], [], []]
    assert lists(panel.last(2)) == [[3, 4], [5, 6], [8, 9]]
    assert panel.last(2).start.tolist() == [2, 50, -8]


# On a calendar of time there is one newest moment

@pytest.mark.parametrize("start", [0, BEFORE_1970])
def test_on_a_calendar_all_series_are_cut_at_one_moment(start: int) -> None:
    panel = ragged(DAYS, start)
    assert panel.newest.tolist() == [start + 4] * 3
    assert lists(panel.drop_last(0)) == lists(panel)
    assert lists(panel.drop_last(1)) == [[1, 2, 3], [5, 6], [7, 8, 9]]
    assert lists(panel.drop_last(2)) == [[1, 2], [5, 6], [7, 8]]
    assert lists(panel.drop_last(9)) == [[], [], []]


@pytest.mark.parametrize("start", [0, BEFORE_1970])
def test_a_series_that_ended_early_has_little_or_nothing_in_the_newest_steps(start: int) -> None:
    newest = ragged(DAYS, start).last(2)
    assert lists(newest) == [[3, 4], [], [9]]
    assert newest.start.tolist() == [start + 2, start + 2, start + 2]
    assert newest.times(0)[0] == newest.times(2)[0]


def test_a_series_that_begins_late_is_empty_before_it_begins() -> None:
    panel = ragged(DAYS, [0, 3, 10])
    assert lists(panel.before(4)) == [[1, 2, 3, 4], [5], []]
    assert lists(panel.before(np.array([1, 5, 12]))) == [[1], [5, 6], [7, 8]]
    assert panel.before(4).end.tolist() == [4, 4, 10]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-20, 20)), min_size=1, max_size=4), st.integers(0, 8),
       st.booleans())
@quick
def test_what_was_known_and_what_came_are_together_what_there_is(shapes: list[tuple[int, int]], steps: int,
                                                                 timed: bool) -> None:
    panel = Panel.of([np.arange(n) + 10.0 * n for n, _ in shapes], DAYS if timed else STEPS,
                     start=[s for _, s in shapes])
    known, came = panel.drop_last(steps), panel.last(steps)
    now = max(n + s for n, s in shapes)
    for k, (n, start) in enumerate(shapes):
        cut = now - steps - start if timed else n - steps
        kept = [value for t, value in enumerate(panel.values(k)) if t < cut]
        assert known.values(k).tolist() == kept
        assert known.values(k).tolist() + came.values(k).tolist() == panel.values(k).tolist()
        assert known.end[k] == came.start[k]


def test_rolled_is_the_panel_as_it_stood_at_each_point() -> None:
    panel = ragged(DAYS)
    rolled = panel.rolled([2, 0])
    assert lists(rolled) == lists(panel.drop_last(2)) + lists(panel)
    assert rolled.ids.tolist() == ["b", "a", "007"] * 2
    assert rolled.end.tolist() == [2, 2, 2, 4, 2, 3]


def test_series_are_taken_by_position_or_by_mask() -> None:
    panel = ragged(STEPS, start=[1, 2, 3])
    assert lists(panel.take([2, 0])) == [[7, 8, 9], [1, 2, 3, 4]]
    assert panel.take([2, 0]).start.tolist() == [3, 1]
    assert panel.take(np.array([False, True, False])).ids.tolist() == ["a"]


def test_no_value_is_copied_and_nothing_given_is_changed() -> None:
    values = [np.array([1.0, 2.0, 3.0]), np.array([4.0])]
    panel = Panel.of(values, DAYS)
    before = [a.copy() for a in (panel.y, panel.first, panel.stop, panel.start)]
    for other in (panel.drop_last(1), panel.last(1), panel.before(2), panel.take([1]), panel.rolled([0, 1])):
        assert other.y is panel.y
    for array, copy in zip((panel.y, panel.first, panel.stop, panel.start), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    panel.y[0] = 9
    assert values[0][0] == 1


def test_the_panel_at_some_windows_has_a_row_for_each_that_ends_at_its_cut() -> None:
    panel = Panel.of([[1, 2, 3, 4], [5, 6]], Calendar.of("step"), ids=["a", "b"], start=[10, 20])
    rows = panel.at(Windows(panel.first[[1, 0, 0]], np.array([5, 3, 1]), np.array([1, 0, 0])))
    assert [rows.values(r).tolist() for r in range(3)] == [[5], [1, 2, 3], [1]]
    assert (rows.ids.tolist(), rows.end.tolist()) == (["b", "a", "a"], [21, 13, 11])


def test_series_with_other_values_leave_the_rest_and_the_marks_of_filling_as_they_were() -> None:
    panel = replace(Panel.of([[1, 2, 3], [4, 5], [6]], Calendar.of("step"), start=7),
                    filled=np.array([False, True, False, True, False, False]))
    other = panel.replaced({2: np.array([60.0]), 0: np.array([10.0, 20.0, 30.0])})
    assert [other.values(s).tolist() for s in range(3)] == [[10, 20, 30], [4, 5], [60]]
    assert np.isnan([*other.truth[other.first], other.truth[other.first[0] + 1]]).tolist() == [False, True, False, True]
    assert (other.start.tolist(), panel.values(0).tolist()) == ([7, 7, 7], [1, 2, 3])
    assert other.as_truth().values(0)[[0, 2]].tolist() == [10, 30]


def test_recent_points_keep_their_times_and_what_follows_goes_behind() -> None:
    panel = Panel.of([[1, 2, 3], [4]], Calendar.of("step"), start=[0, 2])
    recent = panel.recent(2)
    assert (recent.values(0).tolist(), recent.start.tolist(), recent.end.tolist()) == ([2, 3], [1, 2], [3, 3])
    longer = recent.extended(np.array([[8.0, 9.0], [5.0, 6.0]]))
    assert [longer.values(s).tolist() for s in range(2)] == [[2, 3, 8, 9], [4, 5, 6]]
    assert longer.start.tolist() == [1, 2]


def test_a_panel_ended_on_truth_forgets_what_was_filled_in_behind_its_last_measured_value() -> None:
    filled = np.array([False, False, True, True, True])
    panel = replace(Panel.of([[1, 2, 3], [4, 5]], STEPS), filled=filled)
    assert panel.ended_on_truth().lengths.tolist() == [2, 0]
