"""Width factors: near 1 for honest forecasts, wide enough for overconfident ones, never narrower."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.model.calibration import (
    USUAL_FACTOR,
    WIDEST,
    mean_above_median,
    mean_factor,
    tracked,
    widened,
    widths,
)
from forecast.series.arrays import Floats
from forecast.series.forecast import quantile_grid

quick = settings(max_examples=30, deadline=None)
GRID = quantile_grid((80.0, 95.0))
MIDDLE = GRID.index(0.5)
NORMAL = np.array([NormalDist().inv_cdf(q) for q in GRID])


def forecasts(windows: int, *, spread: float, horizon: int = 3, seed: int = 0) -> tuple[Floats, Floats]:
    """Quantiles of N(median, spread), and truths drawn from N(median, 1)."""
    rng = np.random.default_rng(seed)
    median = rng.normal(100, 20, size=(windows, horizon, 1))
    return median + spread * NORMAL, median[:, :, 0] + rng.normal(size=(windows, horizon))


def test_honest_forecasts_are_left_nearly_alone() -> None:
    factors = widths(*forecasts(20_000, spread=1.0), GRID)
    np.testing.assert_allclose(factors, 1.0, atol=0.05)


@pytest.mark.parametrize("spread", [0.4, 0.8])
def test_new_truths_fall_below_each_quantile_as_often_as_it_says(spread: float) -> None:
    factors = widths(*forecasts(5_000, spread=spread), GRID)
    values, truth = forecasts(20_000, spread=spread, seed=1)
    below = (truth[:, :, None] <= widened(values, factors, GRID)).mean(axis=0)
    np.testing.assert_allclose(below, np.tile(GRID, (3, 1)), atol=0.02)
    np.testing.assert_allclose(factors[:, [0, -1]], 1 / spread, rtol=0.1)


def test_factors_by_hand() -> None:
    """Nine windows, truths .5, 1, ... 4.5 away from the median on either side, both ends at 1."""
    values = np.tile([-1.0, 0.0, 1.0], (9, 1, 1))
    truth = np.arange(1.0, 10.0)[:, None] / 2 * np.where(np.arange(9) % 2, -1, 1)[:, None]
    factors = widths(values, truth, (0.1, 0.5, 0.9))
    up = 0.5 + 4.0 * 0.8 * 10 / 9                                       # 8/9 of the way from .5 to 4.5
    np.testing.assert_allclose(factors, [[up, 1.0, up]])


def test_both_ends_of_a_band_and_all_steps_bear_one_factor() -> None:
    values, truth = forecasts(300, spread=0.5)
    truth += 1.0                                                        # one end alone is missed
    factors = widths(values, truth, GRID)
    np.testing.assert_array_equal(factors, factors[[0, 0, 0]])
    np.testing.assert_array_equal(factors, factors[:, ::-1])
    assert (factors[0, [0, -1]] > 1.2).all()


@given(st.integers(0, 400), st.integers(0, 5))
@quick
def test_no_band_is_made_narrower(windows: int, seed: int) -> None:
    assert (widths(*forecasts(windows, spread=10.0, seed=seed), GRID) == 1).all()


def test_factors_stay_below_their_bound() -> None:
    assert widths(*forecasts(200, spread=0.001), GRID).max() == WIDEST


def test_missing_truths_do_not_count() -> None:
    values, truth = forecasts(50, spread=0.5)
    holed = np.concatenate([truth, np.full((10, 3), np.nan)])
    np.testing.assert_array_equal(widths(np.concatenate([values, values[:10]]), holed, GRID),
                                  widths(values, truth, GRID))


@pytest.mark.parametrize("windows", [0, 1, 200])
def test_nothing_to_learn_from_leaves_everything_alone(windows: int) -> None:
    values, truth = forecasts(windows, spread=1.0)
    assert (widths(values, truth * np.nan, GRID) == 1).all()
    assert (widths(0 * values, truth, GRID) == 1).all()


@given(st.integers(0, 1000))
@quick
def test_the_median_is_untouched_and_quantiles_ascend(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.sort(rng.normal(size=(4, 3, len(GRID))), axis=-1)
    wide = widened(values, rng.uniform(0.3, WIDEST, size=(3, len(GRID))), GRID)
    np.testing.assert_array_equal(wide[:, :, MIDDLE], values[:, :, MIDDLE])
    assert (np.diff(wide, axis=-1) >= 0).all()


def test_what_was_given_is_left_as_it_was() -> None:
    values, truth = forecasts(300, spread=0.5)
    copies = values.copy(), truth.copy()
    widened(values, widths(values, truth, GRID), GRID)
    np.testing.assert_array_equal(values, copies[0])
    np.testing.assert_array_equal(truth, copies[1])


def test_a_tracked_band_widens_with_misses_narrows_without_and_rests_where_it_holds() -> None:
    assert tracked([0.5] * 10, 0.2) == pytest.approx(np.exp(0.3))
    assert tracked([0.0] * 10, 0.2) == pytest.approx(np.exp(-0.2))
    assert tracked([0.1, 0.3] * 10, 0.2) == pytest.approx(1.0)
    assert tracked([], 0.2) == 1.0
    assert tracked([0.5] * 10, 0.2, 1.5) == pytest.approx(1.5 * np.exp(0.3))
    assert tracked([1.0] * 100, 0.2) == pytest.approx(3.0)
    assert tracked([0.0] * 100, 0.2) == pytest.approx(0.5)


def stream(issues: int, *, change: int, seed: int, track: bool) -> Floats:
    """The coverage of each issue of 14 values whose spread doubles at `change`, by a band of 80 % for the spread
    before."""
    rng, reach = np.random.default_rng(seed), NormalDist().inv_cdf(0.9)
    misses: list[float] = []
    for k in range(issues):
        factor = tracked(misses[-100:], 0.2) if track else 1.0
        misses.append(float((np.abs(rng.normal(size=14)) > reach * factor / (2 if k >= change else 1)).mean()))
    return 1 - np.array(misses)


def test_a_tracked_band_finds_its_coverage_again_where_a_fixed_one_does_not() -> None:
    with_factor, fixed = (np.mean([stream(110, change=40, seed=s, track=t) for s in range(20)], axis=0)
                          for t in (True, False))
    assert with_factor[5:40].mean() == pytest.approx(0.8, abs=0.02)
    assert fixed[40:].mean() < 0.65
    assert with_factor[40:60].mean() < 0.65                             # it takes its time
    assert with_factor[80:].mean() == pytest.approx(0.8, abs=0.05)


def skewed(windows: int, times: float, noise: float) -> tuple[Floats, Floats]:
    """Bands (W, 4, Q) whose mean lies above the median, and truths that lie so many times as far above it."""
    values = np.tile(np.exp(np.array([NormalDist().inv_cdf(q) for q in quantile_grid((80.0, 95.0))])), (windows, 4, 1))
    lift = mean_above_median(values, quantile_grid((80.0, 95.0)))
    return values, 1 + times * lift + noise * np.random.default_rng(0).normal(size=(windows, 4))


def factor_of(values: Floats, truth: Floats, independent: float) -> float:
    return mean_factor(values, truth, np.ones(len(values)), quantile_grid((80.0, 95.0)), independent=independent)


def test_the_mean_lies_where_it_was_seen_to_lie() -> None:
    for times in (0.0, 0.5, 2.0):
        assert factor_of(*skewed(50, times, 0.0), 50) == pytest.approx(times)
        assert factor_of(*skewed(5_000, times, 1.0), 5_000) == pytest.approx(times, abs=0.1)
    assert factor_of(*skewed(50, 9.0, 0.0), 50) == 3


def test_the_less_is_known_of_the_mean_the_nearer_it_is_to_the_usual() -> None:
    sure, less, hardly = (factor_of(*skewed(200, 2.0, 1.0), independent) for independent in (200, 10, 0.01))
    assert USUAL_FACTOR < hardly < less < sure < 2.2
    assert hardly == pytest.approx(USUAL_FACTOR, abs=0.2)
    values, truth = skewed(20, 1.0, 0.0)
    assert factor_of(values, np.full_like(truth, np.nan), 20) == USUAL_FACTOR
    truth[:10] = np.nan
    assert factor_of(values, truth, 20) == pytest.approx(1)             # what is missing does not count
