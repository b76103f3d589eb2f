"""What no forecast may say, and who may speak for a series."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.model.guard import History, Phases, kept, silenced, thickened
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel

GRID = (0.025, 0.1, 0.5, 0.9, 0.975)


def panel_of(*series: list[float] | Floats) -> Panel:
    return Panel.of(series, Calendar.of("step"))


def quantiles(median: float, spread: float, horizon: int = 3) -> Floats:
    """(1, H, Q)."""
    return np.broadcast_to(median + spread * np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), (1, horizon, 5)).copy()


def test_the_history_of_each_series_is_its_own() -> None:
    panel = panel_of([1.0, np.nan, 3.0], [], [-2.5, 0.0], [7.0])
    history = History.of(panel)
    np.testing.assert_array_equal(history.low, [1, np.nan, -2.5, 7])
    np.testing.assert_array_equal(history.high, [3, np.nan, 0, 7])
    assert history.whole.tolist() == [True, False, False, True]
    rolled = History.of(panel.take([3, 0, 0, 2]))
    np.testing.assert_array_equal(rolled.high, [7, 3, 3, 0])


def test_points_that_were_filled_in_are_no_history() -> None:
    panel = Panel(**{**vars(panel_of([1.0, 2.5, 4.0])), "filled": np.array([False, True, False])})
    assert History.of(panel).whole.tolist() == [True]


def test_nothing_falls_below_0_where_nothing_ever_was_unless_it_may() -> None:
    history = History.of(panel_of([0.5, 4.0, 2.2]))
    assert kept(quantiles(1, 2), history).min() == 0
    assert kept(quantiles(1, 2), history, negative=True).min() == -3
    below = History.of(panel_of([-0.5, 4.0, 2.2]))
    assert kept(quantiles(1, 2), below).min() == -3


def test_quantiles_are_whole_where_all_values_were() -> None:
    counts, sizes = History.of(panel_of([0.0, 3.0, 1.0])), History.of(panel_of([0.0, 3.0, 1.1]))
    assert kept(quantiles(0.4, 0.8), counts)[0, 0].tolist() == [0, 0, 0, 1, 2]
    assert kept(quantiles(0.4, 0.8), sizes)[0, 0].tolist() == pytest.approx([0, 0, 0.4, 1.2, 2.0])


def test_no_band_leads_beyond_three_ranges_and_a_constant_stays_exact() -> None:
    history = History.of(panel_of([10.0, 12.0], [5.0, 5.0]))
    bounded = kept(np.concatenate([quantiles(11, 50), quantiles(9, 1)]), history)
    assert (bounded[0].min(), bounded[0].max()) == (4, 18)
    assert np.unique(bounded[1]).tolist() == [5]


def test_what_is_left_of_a_sum_that_should_be_0_is_0() -> None:
    history = History.of(panel_of([0.25, -1000.5]))
    assert kept(np.full((1, 1, 5), -8.9e-14), history).tolist() == [[[0] * 5]]
    assert kept(np.full((1, 1, 5), 1e-3), history).max() == 1e-3


def test_who_leaves_what_the_series_ever_showed_has_no_say_in_it() -> None:
    history = History.of(panel_of([10.0, 20.0]))
    medians = np.array([[[15.0, 39.0]], [[15.0, 41.0]], [[-11.0, 15.0]]])          # ranges of 10: from -10 to 40
    silent = silenced(medians, np.empty((0, 1, 2)), history, np.array([100.0]))
    assert silent[:, 0].tolist() == [False, True, True]


def test_who_stands_far_from_all_others_has_no_say_and_small_quarrels_do_not_count() -> None:
    history = History.of(panel_of([0.0, 100.0]))
    others = np.full((3, 1, 4), 50.0) + np.array([0.0, 1.0, -1.0])[:, None, None]
    far = np.full((1, 1, 4), 80.0)
    medians = np.concatenate([others, far])
    witnesses = np.full((2, 1, 4), 51.0)
    assert silenced(medians, witnesses, history, np.array([2.0]))[:, 0].tolist() == [False, False, False, True]
    assert not silenced(medians, witnesses, history, np.array([10.0])).any()        # three usual errors away


def test_a_series_that_moves_has_no_band_of_no_width_and_other_bands_are_left_alone() -> None:
    panel = panel_of([1.0, 3.0, 2.0, 4.0, 3.5], [5.0, 5.0, 5.0])
    flat = np.concatenate([quantiles(3, 0), quantiles(5, 0)])
    mended = thickened(flat, panel, History.of(panel), GRID)
    assert mended[0, 0, -1] - mended[0, 0, 0] == pytest.approx(2 * 0.05 * 1.5)      # of a median step of 1.5
    assert np.ptp(mended[1]) == 0
    wide = np.concatenate([quantiles(3, 1), quantiles(5, 0)])
    np.testing.assert_array_equal(thickened(wide, panel, History.of(panel), GRID), wide)


def test_whole_numbers_that_move_have_a_band_after_rounding_and_seldom_counts_need_none() -> None:
    panel = panel_of([10.0, 12.0, 14.0], [0.0] * 40 + [1.0] + [0.0] * 9)
    narrow = np.concatenate([quantiles(15, 0.2), quantiles(0, 0.01)])
    bounded = kept(thickened(narrow, panel, History.of(panel), GRID), History.of(panel))
    assert bounded[0, 0].tolist() == [14, 14, 15, 16, 16]
    assert np.ptp(bounded[1]) == 0


NIGHT = np.array([0.0, 0.0, 3.0, 9.0, 4.0, 0.0])
CLOUDS = np.random.default_rng(0).uniform(0.2, 1.0, 60)


def test_a_phase_that_never_moved_stands_still_and_the_spread_follows_the_others() -> None:
    sun = np.tile(NIGHT, 10) * CLOUDS
    phases = Phases.of(panel_of(sun[:-2]), 6, 8)                        # ahead: phases 4, 5, 0, 1, 2, 3, 4, 5
    assert phases is not None
    np.testing.assert_array_equal(phases.still[0], [np.nan, 0, 0, 0, np.nan, np.nan, np.nan, 0])
    weighed = phases.weighed(quantiles(1, 1, 8), 2)
    assert np.ptp(weighed[0], axis=1)[[1, 2, 3, 7]].tolist() == [0] * 4
    assert np.ptp(weighed[0, 5]) > np.ptp(weighed[0, 0]) > 0            # noon varies more than the evening


@pytest.mark.parametrize("series", [
    np.tile(NIGHT, 4) * CLOUDS[:24],                                    # too few days to tell
    np.concatenate([np.zeros(54), [3, 3, 3, 3, 3, 3]]),                 # it stood still everywhere, then moved for good
    CLOUDS], ids=["few", "a change", "no night"])
def test_a_phase_is_not_taken_for_still_without_days_that_show_it(series: Floats) -> None:
    assert Phases.of(panel_of(series), 6, 6) is None
