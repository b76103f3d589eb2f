from __future__ import annotations

import numpy as np

from forecast.model.knowledge import Knowledge
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel


def two(calendar: str, *, ids: tuple[str, str] = ("a", "b")) -> Panel:
    return Panel.of([np.arange(10.0), np.arange(6.0)], Calendar.of(calendar), ids=ids, start=[0, 4])


def test_on_a_calendar_what_tells_of_one_series_tells_of_all_and_by_count_each_is_known_apart() -> None:
    known = Knowledge({"a": 7, "b": 5})
    assert known.reach(two("D")).tolist() == [7, 7]
    assert known.reach(two("step")).tolist() == [7, 5]
    assert (known.unseen_steps(two("D")), known.unseen_steps(two("step"))) == (3, 3)
    assert Knowledge({"b": 4}).unseen_steps(two("step", ids=("x", "b"))) == 6


def test_a_series_never_met_bounds_nothing() -> None:
    assert Knowledge({"z": 99}).unseen_steps(two("step")) == np.iinfo(np.int64).max
    assert not Knowledge({"z": 99}).has_met(two("step"))


def test_knowledge_exceeds_a_panel_that_ends_before_it() -> None:
    known = Knowledge.of(two("step"))
    assert known.ends == {"a": 10, "b": 10}
    assert [known.exceeds(panel) for panel in (two("step"), two("step").drop_last(1))] == [False, True]
    assert (known.reaches_behind(9), known.reaches_behind(10), Knowledge().reaches_behind(-5)) == (True, False, False)


def test_an_older_one_adds_its_series_and_its_later_ends() -> None:
    own, older = Knowledge({"a": 5, "b": 5}), Knowledge({"b": 8, "c": 3})
    assert own.over(older).ends == {"b": 5, "c": 3, "a": 5}
    assert own.at_least(older).ends == {"a": 5, "b": 8}
    assert own.later(2).ends == {"a": 7, "b": 7}
