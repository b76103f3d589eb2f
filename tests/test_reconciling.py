"""Reconciling: groups and their series agree, by the matrix of MinT, and only where that errs less."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from forecast.config import Config
from forecast.model.dependence import USUAL_BETWEEN
from forecast.model.predictor import Predictor
from forecast.model.prior import shipped
from forecast.model.reconciling import (
    MOST_SERIES,
    Agreement,
    agreement,
    by_luck_of,
    chosen,
    comparable,
    mint,
    shared_luck,
    shrunk,
    within,
)
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast
from forecast.series.panel import Panel
from forecast.tasks.groups import sharing

QUANTILES = (0.1, 0.5, 0.9)
WHOLE = np.array([[True, True]])


@dataclass
class Says:
    """A forecaster that says the mean of so many of the newest values."""

    of: int
    name = "mean"

    def predict(self, panel: Panel, horizon: int) -> Forecast:
        means = np.array([panel.values(s)[-self.of:].mean() for s in range(len(panel))])
        values = np.repeat(means[:, None], horizon, axis=1)[:, :, None] + np.array([-1.0, 0.0, 1.0])
        return Forecast(panel, QUANTILES, values, np.full(len(panel), "mean", dtype=object))


def days(series: list[Floats], *, start: int | list[int] = 0) -> Panel:
    return Panel.of(series, Calendar.of("step"), start=start)


def test_with_errors_all_alike_each_goes_a_third_of_the_way_of_a_whole_of_two() -> None:
    pull = mint(np.eye(3), WHOLE)
    assert pull == pytest.approx(np.full((2, 1), 1 / 3))                # least squares: 12 beside 4 + 5
    agreed = Agreement(WHOLE, pull)
    groups = np.array([[True, True], [True, False], [False, True]])
    shift = agreed.shift(groups, np.array([12.0 - (4.0 + 5.0)]))
    assert np.array([9.0, 4.0, 5.0]) + shift == pytest.approx([11, 5, 6])


def test_mint_is_the_projection_of_its_paper() -> None:
    rng = np.random.default_rng(0)
    parts = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], dtype=bool)
    root = rng.normal(size=(8, 8))
    w = root @ root.T
    s = np.vstack([parts, np.eye(5)])                                   # S, groups above series
    inverse = np.linalg.inv(w)
    g = np.linalg.inv(s.T @ inverse @ s) @ s.T @ inverse
    said = rng.normal(size=8)
    own = said[3:] + mint(w, parts) @ (said[:3] - parts @ said[3:])
    assert own == pytest.approx(g @ said)


def test_a_covariance_of_few_windows_is_shrunk_and_of_many_is_not() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(5_000, 1))
    errors = shared + rng.normal(size=(5_000, 3))                       # correlations of 0.5, variances of 2
    assert shrunk(errors, 5_000) == pytest.approx(np.full((3, 3), 1.0) + np.eye(3), abs=0.15)
    few = shrunk(errors, 0.5)
    assert few[0, 1] == 0
    assert few[0, 0] == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_a_whole_that_is_easier_than_its_parts_is_forecast_better_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    panel = days([100 + rng.normal(size=400) for _ in range(2)])
    found = agreement(Says(1), Says(100), panel, WHOLE, horizon=3, unseen=300)
    assert found.error == pytest.approx(np.sqrt(1 / 2), abs=0.12)               # of a mean, over the last value's
    assert not found.is_added_up
    assert "reconciled (MinT): on 40 past windows groups err" in found.words()
    series, whole = Says(1).predict(panel, 3).point, Says(100).predict(panel.summed(WHOLE), 3).point
    agreed = series.sum(axis=0) + found.shift(WHOLE, whole - series.sum(axis=0, keepdims=True))[0]
    assert np.abs(agreed - 200).max() < np.abs(series.sum(axis=0) - 200).max()


def test_where_the_whole_is_forecast_worse_the_series_are_added_up() -> None:
    rng = np.random.default_rng(0)
    found = agreement(Says(100), Says(1), days([100 + rng.normal(size=400) for _ in range(2)]), WHOLE, horizon=3,
                      unseen=300)
    assert (found.is_added_up, found.why) == (True, "")
    assert "added up from the series: on 40 past windows groups err" in found.words()


def test_without_enough_windows_that_are_new_the_series_are_added_up_and_it_is_said() -> None:
    panel = days([np.arange(60.0), np.arange(60.0)])
    for unseen, asked, why in ((6, WHOLE, "too few past windows"), (60, np.eye(2, dtype=bool), "no group has several")):
        found = agreement(Says(1), Says(1), panel, asked, horizon=4, unseen=unseen)
        assert (found.is_added_up, why in found.words()) == (True, True)


def test_series_that_ended_or_have_just_begun_are_added_up_and_the_others_reconciled() -> None:
    rng = np.random.default_rng(2)
    panel = days([100 + rng.normal(size=n) for n in (200, 200, 30, 150, 200)], start=[0, 0, 170, 0, 0])
    assert comparable(panel).tolist() == [True, True, False, False, True]
    found = agreement(Says(1), Says(100), panel, np.ones((1, 5), dtype=bool), horizon=3, unseen=100)
    assert found.parts.tolist() == [[True, True, False, False, True]]
    assert (found.pull[:, 0] > 0).tolist() == [True, True, False, False, True]


def test_how_far_series_err_together_is_measured_and_the_prior_draws_by_it() -> None:
    rng = np.random.default_rng(4)
    shared = rng.normal(size=400)
    for weight in (0.0, 0.7):
        panel = days([10 + np.sqrt(weight) * shared + np.sqrt(1 - weight) * rng.normal(size=400) for _ in range(6)])
        found = agreement(Says(50), Says(50), panel, np.ones((1, 6), dtype=bool), horizon=3, unseen=300)
        assert found.between == pytest.approx(weight, abs=0.15)
        config = Config().override({"model.horizon": 3}, source="here")
        prior = Predictor.of_prior(config, panel, shipped())
        assert sharing(prior, panel, 3, found).dependence.between == found.between
        measured = sharing(prior, panel, 3, replace(found, between=None)).dependence.between
        assert measured == pytest.approx(weight, abs=0.15)
        assert sharing(prior, panel.recent(8), 3).dependence.between == USUAL_BETWEEN      # too short to tell


def test_how_far_very_many_series_err_together_is_measured_on_some_of_them() -> None:
    rng, asked = np.random.default_rng(5), np.ones((1, MOST_SERIES + 100), dtype=bool)
    panel = days(list(rng.normal(10, 1, (asked.shape[1], 120))))
    found = agreement(Says(50), Says(50), panel, asked, horizon=3, unseen=100)
    assert (found.between, found.is_added_up) == (None, True)
    assert shared_luck(Says(50), panel, horizon=3, unseen=100) == pytest.approx(0, abs=0.02)


def test_sums_are_over_the_time_all_have_in_common() -> None:
    sums = days([np.array([1.0, 2, 3]), np.array([np.nan, 20]), np.array([5.0, 6])], start=[0, 1, 1]).summed(
        np.array([[True, True, False], [True, False, True]]))
    assert np.array_equal(sums.y, [np.nan, 23, 7, 9], equal_nan=True)
    assert (sums.start.tolist(), sums.end.tolist()) == ([1, 1], [3, 3])


def test_paths_of_a_whole_have_its_own_bands_and_the_luck_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    sums = rng.gamma(2.0, size=(1, 4_001, 1))
    own = Forecast(days([np.ones(3)]), QUANTILES, np.array([[[10.0, 20.0, 40.0]]]), np.array(["x"], dtype=object))
    paths = by_luck_of(sums, own)
    assert np.quantile(paths[0, :, 0], QUANTILES) == pytest.approx([10, 20, 40], abs=0.05)
    assert (np.argsort(paths[0, :, 0]) == np.argsort(sums[0, :, 0])).all()


def test_no_sum_is_moved_below_zero_and_parts_still_add_up() -> None:
    sums, shift = np.array([[9.0, 9.0], [1.0, 4.0], [8.0, 5.0]]), np.array([[-4.0, -4.0], [-2.0, -2.0], [-2.0, -2.0]])
    moved = within(sums, shift)
    assert moved.tolist() == [[-2.0, -4.0], [-1.0, -2.0], [-1.0, -2.0]]
    assert (sums + moved).min() == 0


def test_a_choice_is_judged_by_windows_that_it_was_not_made_of() -> None:
    rng = np.random.default_rng(3)
    errors = rng.normal(size=(6, 2, 40 + 3))                            # groups that tell nothing, and few windows
    parts = rng.random((3, 40)) < 0.5
    errors[..., :3] *= 30
    assert chosen(errors, parts, parts, independent=6).is_added_up
