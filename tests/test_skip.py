"""The linear skip against scikit-learn's ridge, and its limit against copying the last season by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from forecast.model.skip import PENALTIES, design, linear, moved, ridge, ridge_beside, said, seasonal_weights
from forecast.series.arrays import Floats
from forecast.series.batch import Batch

quick = settings(max_examples=50, deadline=None)


def example(windows: int = 30, length: int = 6, horizon: int = 4) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(windows, length)), rng.normal(size=(windows, horizon)), seasonal_weights(length, horizon, 3)


def with_ones(context: Floats) -> Floats:
    return np.concatenate([context, np.ones((len(context), 1))], axis=1)


@pytest.mark.parametrize(("length", "horizon", "season", "copied"), [
    (4, 2, 3, [20, 30]), (4, 5, 2, [30, 40, 30, 40, 30]), (4, 4, 4, [10, 20, 30, 40]), (4, 3, 1, [40, 40, 40]),
    (4, 3, 5, [40, 40, 40]),
])
def test_the_prior_copies_the_last_season(length: int, horizon: int, season: int, copied: list[float]) -> None:
    context = np.array([[10.0, 20.0, 30.0, 40.0]])
    assert linear(context, seasonal_weights(length, horizon, season)).tolist() == [copied]


@given(st.integers(1, 12), st.integers(1, 15), st.integers(1, 20))
@quick
def test_the_prior_is_the_three_line_loop(length: int, horizon: int, season: int) -> None:
    context = np.random.default_rng(0).normal(size=length)
    extended = list(context)
    for _ in range(horizon):
        extended.append(extended[-season if season <= length else -1])
    forecast = linear(context[None], seasonal_weights(length, horizon, season))
    assert forecast[0].tolist() == extended[length:]


@pytest.mark.parametrize("penalty", [1e-4, 0.1, 1.0, 100.0])
def test_ridge_is_scikit_learns_on_what_the_prior_leaves_over(penalty: float) -> None:
    context, target, prior = example()
    x = with_ones(context)
    alpha = penalty * np.trace(x.T @ x) / x.shape[1]
    oracle = Ridge(alpha=alpha, fit_intercept=False).fit(x, target - x @ prior)
    weights, = ridge(Batch(context, target=target), prior, [penalty])
    np.testing.assert_allclose(weights, prior + oracle.coef_.T, atol=1e-10)


def test_an_infinite_penalty_gives_the_prior_and_a_small_one_least_squares() -> None:
    context, target, prior = example()
    free, bound = ridge(Batch(context, target=target), prior, [1e-14, float("inf")])
    np.testing.assert_array_equal(bound, prior)
    np.testing.assert_allclose(free, np.linalg.lstsq(with_ones(context), target, rcond=None)[0], atol=1e-8)


def test_penalties_rise_to_the_prior() -> None:
    context, target, prior = example()
    distances = [float(np.linalg.norm(w - prior)) for w in ridge(Batch(context, target=target), prior, PENALTIES)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0


@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_with_covariates_each_step_is_a_ridge_of_its_own_on_what_it_is_told(penalty: float) -> None:
    """The normal equations of one step, context and covariates together, each with its penalty, solved as they are."""
    context, target, prior = example()
    around = np.random.default_rng(5).normal(size=(30, 4, 3))
    target = target + around @ [1.0, -2.0, 0.5]
    batches = [Batch(context[k:k + 10], target=target[k:k + 10], around=around[k:k + 10]) for k in (0, 10, 20)]
    (weights, effects), (bound, none) = ridge_beside(batches, prior, [penalty, float("inf")])
    x = with_ones(context)
    for h in range(4):
        both = np.concatenate([x, around[:, h]], axis=1)
        size = np.mean(around[:, h] ** 2)
        alone = np.r_[np.full(7, penalty * np.trace(x.T @ x / 30) / 7), np.full(3, (0.1 * penalty + 1e-6) * size)]
        expected = np.linalg.solve(both.T @ both / 30 + np.diag(alone), both.T @ (target - x @ prior)[:, h] / 30)
        np.testing.assert_allclose(np.r_[weights[:, h] - prior[:, h], effects[:, h]], expected, atol=1e-9)
    np.testing.assert_array_equal(bound, prior)
    assert none.shape == (3, 4)
    assert not none.any()


def test_a_forecast_is_moved_by_the_effects_of_its_own_step_alone() -> None:
    context, _, weights = example(2)
    around, effects = np.zeros((2, 4, 3)), np.arange(12.0).reshape(3, 4)
    around[1, 2] = [1, 0, 2]
    moved_by = said(Batch(context, around=around), weights, effects) - said(Batch(context), weights)
    np.testing.assert_allclose(moved_by, [[0] * 4, [0, 0, 2 + 2 * 10, 0]])


def test_windows_with_a_missing_target_are_left_out() -> None:
    context, target, prior = example()
    holed = target.copy()
    holed[[0, 7], [0, 3]] = np.nan
    kept = ~np.isnan(holed).any(axis=1)
    np.testing.assert_array_equal(ridge(Batch(context, target=holed), prior, [0.1])[0],
                                  ridge(Batch(context[kept], target=target[kept]), prior, [0.1])[0])


def test_without_a_whole_window_every_penalty_gives_the_prior() -> None:
    context, target, prior = example()
    for weights in ridge(Batch(context, target=target * np.nan), prior, PENALTIES):
        np.testing.assert_array_equal(weights, prior)
    told = Batch(context, target=target * np.nan, around=np.ones((len(context), 4, 3)))
    for weights, effects in ridge_beside([told, told], prior, PENALTIES):
        np.testing.assert_array_equal(weights, prior)
        assert effects.shape == (3, 4)
        assert not effects.any()


def test_constant_windows_give_finite_weights() -> None:
    _, _, prior = example()
    weights, = ridge(Batch(np.zeros((5, 6)), target=np.zeros((5, 4))), prior, [1e-4])
    assert np.isfinite(weights).all()


def test_what_was_given_is_left_as_it_was() -> None:
    given_ = example()
    copies = [a.copy() for a in given_]
    ridge(Batch(given_[0], target=given_[1]), given_[2], [0.1, float("inf")])
    for array, copy in zip(given_, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_skip_says_the_same_on_numpy_and_on_torch_and_a_missing_value_counts_as_0() -> None:
    context, _, weights = example()
    context[3, 2] = np.nan
    weights[-1] = 5.0
    ours = linear(design(Batch(context)), weights)
    theirs = linear(design(Batch(torch.from_numpy(context))), torch.from_numpy(weights))
    np.testing.assert_allclose(ours, np.where(np.isnan(context), 0, context) @ weights[:-1] + 5)
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-12)


def test_what_moves_a_forecast_is_what_its_design_changes_by() -> None:
    context, other, weights = *np.random.default_rng(1).normal(size=(2, 7, 6)), seasonal_weights(6, 4, 3)
    weights[-1] = 2.0
    np.testing.assert_allclose(moved(other - context, weights), linear(other, weights) - linear(context, weights))
