"""Changes of level: found where there is one, undone before it, with room for a return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.levels import find_changes, levelled, with_return
from forecast.series.panel import Panel

T = np.arange(210)
WEEK = np.array([0.0, 3.0, 8.0, 4.0, -2.0, -6.0, -7.0])[T % 7]


def noise(seed: int, size: float = 1.0) -> Floats:
    return np.random.default_rng(seed).normal(0, size, len(T))


def panel_of(*series: Floats) -> Panel:
    return Panel.of(series, Calendar.of("D"))


@given(st.integers(3, 150), st.sampled_from([-60.0, -25.0, 25.0, 400.0]), st.integers(0, 50))
def test_a_change_of_level_is_found_where_it_came_and_undone_before_it(steps: int, size: float, seed: int) -> None:
    sane = 100 + WEEK + noise(seed)
    changed = sane + np.repeat([0.0, size], [len(T) - steps, steps])
    level, changes = levelled(panel_of(changed), 7)
    assert abs(int(changes.steps[0]) - steps) <= 1
    assert changes.after[0] - changes.before[0] == pytest.approx(size, abs=12)
    assert np.median(np.abs(level.values(0) - (sane + size))) < 4


def test_a_level_at_another_scale_is_undone_by_a_factor() -> None:
    sane = (100 + WEEK + noise(1)) * 1.0
    level, changes = levelled(panel_of(np.where(T >= 180, sane / 20, sane)), 7)
    assert (changes.steps[0], changes.shift[0]) == (30, 0)
    assert changes.factor[0] == pytest.approx(1 / 20, rel=0.05)
    np.testing.assert_allclose(level.values(0), sane / 20, rtol=0.05)


HONEST: dict[str, Callable[[int], Floats]] = {
    "noise": lambda seed: noise(seed),
    "week": lambda seed: 100 + WEEK + noise(seed),
    "trend": lambda seed: 0.5 * T + noise(seed),
    "trend that bends": lambda seed: np.maximum(0, T - 150) * 4.0 + noise(seed),
    "growth": lambda seed: np.exp(0.02 * T + noise(seed, 0.05)),
    "random walk": lambda seed: np.cumsum(noise(seed)),
    "heavy tails": lambda seed: np.cumsum(np.random.default_rng(seed).standard_t(2.5, len(T))),
    "one spike": lambda seed: 100 + noise(seed) + np.where(T == 190, 500, 0),
    "a dip that is over": lambda seed: 100 + noise(seed) - np.where((T >= 150) & (T < 157), 50, 0),
    "mostly zero": lambda seed: np.random.default_rng(seed).poisson(0.2, len(T)).astype(float),
    "levels that come and go": lambda seed: 100 + noise(seed) + 50 * (np.sin(T / 9) > 0),
    "constant": lambda seed: np.full(len(T), 5.0),
}


@pytest.mark.parametrize("kind", HONEST)
def test_what_is_no_change_of_level_is_left_alone_to_the_bit(kind: str) -> None:
    panel = panel_of(*(HONEST[kind](seed) for seed in range(25)))
    level, changes = levelled(panel, 7)
    assert len(changes.series) <= (1 if kind == "heavy tails" else 0)
    assert kind == "heavy tails" or level is panel


def test_series_do_not_see_each_other_and_what_came_after_a_cut_is_not_seen() -> None:
    sane, changed = 100 + WEEK + noise(0), 100 + WEEK + noise(1) - np.where(T >= 190, 60, 0)
    together = panel_of(sane, changed[-90:], changed)
    level, changes = levelled(together, 7)
    assert changes.steps.tolist() == [0, 20, 20]
    assert level.y[:len(together.y)].tolist() == together.y.tolist()
    for s in range(3):
        np.testing.assert_array_equal(level.values(s), levelled(together.take([s]), 7)[0].values(0))
    assert find_changes(replace(together, stop=together.stop - 20), 7).steps.tolist() == [0, 0, 0]


def test_what_was_filled_in_stays_marked_in_a_levelled_series() -> None:
    panel = panel_of(100 + noise(2) - np.where(T >= 190, 60, 0))
    filled = np.zeros(len(T), dtype=bool)
    filled[[40, 195]] = True
    level, _ = levelled(replace(panel, filled=filled), 7)
    assert np.isnan(level.truth[level.first[0]:level.stop[0]]).nonzero()[0].tolist() == [40, 195]


def test_bands_keep_room_for_a_return_by_the_rule_of_succession() -> None:
    grid = (0.025, 0.1, 0.5, 0.9, 0.975)
    stays = np.array([[[-2.0, -1.3, 0.0, 1.3, 2.0]]])
    soon, late = (with_return(stays, np.array([k]), stays + 100, grid)[0, 0] for k in (3, 500))
    assert soon[2] == late[2] == 0.0                                    # the median stays
    assert soon[3] > 50                                                 # one time in five it returns: 90 % is beyond
    np.testing.assert_allclose(late, stays[0, 0], atol=0.1)             # in 500 steps it has not
    between = with_return(stays, np.array([18]), stays + 100, grid)[0, 0]       # one time in twenty
    assert between[3] < 5
    assert between[4] > 90
