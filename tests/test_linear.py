"""The linear skip against scikit-learn's ridge, and its limit against copying the last season by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from forecast.linear import PENALTIES, ridge, seasonal_weights, with_intercept
from forecast.series import Floats

quick = settings(max_examples=50, deadline=None)


def example(windows: int = 30, length: int = 6, horizon: int = 4) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(windows, length)), rng.normal(size=(windows, horizon)), seasonal_weights(length, horizon, 3)


@pytest.mark.parametrize(("length", "horizon", "season", "copied"), [
    (4, 2, 3, [20, 30]), (4, 5, 2, [30, 40, 30, 40, 30]), (4, 4, 4, [10, 20, 30, 40]), (4, 3, 1, [40, 40, 40]),
    (4, 3, 5, [40, 40, 40]),
])
def test_the_prior_copies_the_last_season(length: int, horizon: int, season: int, copied: list[float]) -> None:
    context = np.array([[10.0, 20.0, 30.0, 40.0]])
    assert (with_intercept(context) @ seasonal_weights(length, horizon, season)).tolist() == [copied]


@given(st.integers(1, 12), st.integers(1, 15), st.integers(1, 20))
@quick
def test_the_prior_is_the_three_line_loop(length: int, horizon: int, season: int) -> None:
    context = np.random.default_rng(0).normal(size=length)
    extended = list(context)
    for _ in range(horizon):
        extended.append(extended[-season if season <= length else -1])
    forecast = with_intercept(context[None]) @ seasonal_weights(length, horizon, season)
    assert forecast[0].tolist() == extended[length:]


@pytest.mark.parametrize("penalty", [1e-4, 0.1, 1.0, 100.0])
def test_ridge_is_scikit_learns_on_what_the_prior_leaves_over(penalty: float) -> None:
    context, target, prior = example()
    x = with_intercept(context)
    alpha = penalty * np.trace(x.T @ x) / x.shape[1]
    oracle = Ridge(alpha=alpha, fit_intercept=False).fit(x, target - x @ prior)
    weights, = ridge(context, target, prior, [penalty])
    np.testing.assert_allclose(weights, prior + oracle.coef_.T, atol=1e-10)


def test_an_infinite_penalty_gives_the_prior_and_a_small_one_least_squares() -> None:
    context, target, prior = example()
    free, bound = ridge(context, target, prior, [1e-14, float("inf")])
    np.testing.assert_array_equal(bound, prior)
    np.testing.assert_allclose(free, np.linalg.lstsq(with_intercept(context), target, rcond=None)[0], atol=1e-8)


def test_penalties_rise_to_the_prior() -> None:
    context, target, prior = example()
    distances = [float(np.linalg.norm(w - prior)) for w in ridge(context, target, prior, PENALTIES)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0


def test_windows_with_a_missing_target_are_left_out() -> None:
    context, target, prior = example()
    holed = target.copy()
    holed[[0, 7], [0, 3]] = np.nan
    kept = ~np.isnan(holed).any(axis=1)
    np.testing.assert_array_equal(ridge(context, holed, prior, [0.1])[0],
                                  ridge(context[kept], target[kept], prior, [0.1])[0])


def test_without_a_whole_window_every_penalty_gives_the_prior() -> None:
    context, target, prior = example()
    for weights in ridge(context, target * np.nan, prior, PENALTIES):
        np.testing.assert_array_equal(weights, prior)


def test_constant_windows_give_finite_weights() -> None:
    _, _, prior = example()
    weights, = ridge(np.zeros((5, 6)), np.zeros((5, 4)), prior, [1e-4])
    assert np.isfinite(weights).all()


def test_what_was_given_is_left_as_it_was() -> None:
    given_ = example()
    copies = [a.copy() for a in given_]
    ridge(*given_, [0.1, float("inf")])
    for array, copy in zip(given_, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
