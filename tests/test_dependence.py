"""Paths: their bands are the bands of the forecast, their steps hang together as held-out windows did."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from forecast.model.dependence import Dependence, at_scores, normal_scores, paths, scores_of, shape_of
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats
from forecast.series.panel import Panel
from forecast.training.fit import finished, fit
from tests.conftest import quick, waves

QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
CRITICAL = 4.0                                                          # standard errors; missed once in 16,000 draws


def bands(series: int = 2, horizon: int = 6, *, seed: int = 0) -> Floats:
    """(S, H, Q) with a width of its own at each step, and skewed."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.5, 2.0, (series, horizon, len(QUANTILES))) * [1, 1, 1, 2, 3]
    return np.cumsum(steps, axis=2) + 10


def windows(count: int, horizon: int, *, rho: float, common: float, seed: int = 0) -> Floats:
    """Normal scores (W, H) of a known correlation."""
    root = np.linalg.cholesky(shape_of(np.arange(horizon), rho, common))
    return np.asarray(np.random.default_rng(seed).standard_normal((count, horizon)) @ root.T)


def known(rho: float = 0.8, common: float = 0.0, between: float = 0.0) -> Dependence:
    return Dependence(np.empty((0, 0)), 1.0, rho, common, between)


def learned(scores: Floats, *, independent: float | None = None) -> Dependence:
    """From windows of one series."""
    count = len(scores)
    return Dependence.of(scores, np.zeros(count, dtype=np.int64), np.arange(count), independent=independent or count)


def test_the_quantiles_of_paths_are_those_of_the_bands_to_sampling_error() -> None:
    values, count = bands(), 40_000
    drawn = paths(known(), values, QUANTILES, count=count, ids=["a", "b"], seed=3)
    for k, q in enumerate(QUANTILES):
        below = np.mean(drawn <= values[:, None, :, k], axis=1)
        assert np.abs(below - q).max() < CRITICAL * np.sqrt(q * (1 - q) / count)


def test_values_go_to_scores_and_back_also_beyond_the_outermost_quantiles() -> None:
    values = bands()
    scores = np.random.default_rng(1).uniform(-3.4, 3.4, (2, 50, 6))
    truth = at_scores(values, QUANTILES, scores)
    again = np.stack([normal_scores(values, QUANTILES, truth[:, n]) for n in range(50)], axis=1)
    np.testing.assert_allclose(again, scores, atol=1e-9)


def test_a_score_is_the_quantile_as_a_value_of_the_standard_normal() -> None:
    values = np.array([[[0.0, 10.0, 20.0]]])
    for truth, score in ((10.0, 0.0), (0.0, NormalDist().inv_cdf(0.1)), (15.0, NormalDist().inv_cdf(0.9) / 2)):
        assert normal_scores(values, (0.1, 0.5, 0.9), np.array([[truth]]))[0, 0] == pytest.approx(score)


def test_of_several_quantiles_at_the_truth_the_score_is_in_the_middle_and_a_band_of_no_width_has_none() -> None:
    zeros = np.array([[[0.0, 0.0, 0.0, 2.0, 5.0]]])
    low, _, middle, *_ = scores_of(QUANTILES)
    assert normal_scores(zeros, QUANTILES, np.zeros((1, 1)))[0, 0] == pytest.approx((low + middle) / 2)
    assert np.isnan(normal_scores(np.ones((1, 1, 5)), QUANTILES, np.ones((1, 1)))).all()
    assert np.isnan(normal_scores(bands(1, 1), QUANTILES, np.full((1, 1), np.nan))).all()


def test_the_paths_of_a_series_depend_on_the_seed_and_its_id_alone() -> None:
    values, ids = bands(3), ["a", "b", "c"]
    whole = paths(known(between=0.5), values, QUANTILES, count=20, ids=ids, seed=1)
    for together in (False, True):
        whole = paths(known(between=0.5), values, QUANTILES, count=20, ids=ids, seed=1, together=together)
        alone = paths(known(between=0.5), values[[2]], QUANTILES, count=20, ids=["c"], seed=1, together=together)
        np.testing.assert_allclose(alone[0], whole[2], rtol=1e-12)
    fewer = paths(known(between=0.5), values, QUANTILES, count=5, ids=ids, seed=1, together=True)
    np.testing.assert_allclose(fewer, whole[:, :5], rtol=1e-12)
    other = paths(known(between=0.5), values, QUANTILES, count=20, ids=ids, seed=2, together=True)
    assert np.abs(other - whole).min() > 0


def correlation(drawn: Floats) -> Floats:
    return np.asarray(np.corrcoef(drawn, rowvar=False))


@pytest.mark.parametrize("horizon", [6, 500])                           # 500: more steps than a table is made for
def test_steps_hang_together_as_the_shape_says(horizon: int) -> None:
    count = 20_000 if horizon == 6 else 2_000
    values = np.tile(np.array(scores_of(QUANTILES)), (1, horizon, 1))
    drawn = paths(known(0.8, 0.2), values, QUANTILES, count=count, ids=["a"], seed=1)[0]
    wanted = shape_of(np.arange(6), 0.8, 0.2)
    assert np.abs(correlation(drawn[:, :6]) - wanted).max() < CRITICAL / np.sqrt(count)
    assert abs(correlation(drawn[:, [0, -1]])[0, 1] - (0.2 + 0.8 * 0.8 ** (horizon - 1))) < CRITICAL / np.sqrt(count)


def test_series_hang_together_as_much_as_was_seen_and_only_where_that_is_asked_for() -> None:
    values = np.tile(np.array(scores_of(QUANTILES)), (2, 4, 1))
    for together, wanted in ((False, 0.0), (True, 0.6)):
        drawn = paths(known(between=0.6), values, QUANTILES, count=20_000, ids=["a", "b"], seed=1, together=together)
        seen = [np.corrcoef(drawn[0, :, h], drawn[1, :, h])[0, 1] for h in range(4)]
        assert np.abs(np.array(seen) - wanted).max() < CRITICAL / np.sqrt(20_000)


def test_of_many_windows_their_own_correlation_is_learned_of_few_the_shape() -> None:
    horizon, season = 8, np.cos(np.pi * np.arange(8))                   # steps that err in turns: no shape has that
    rng = np.random.default_rng(0)
    scores = 0.9 * rng.standard_normal((2_000, 1)) * season + np.sqrt(1 - 0.81) * rng.standard_normal((2_000, horizon))
    many, few = learned(scores), learned(scores[:4])
    root = many.root(horizon)
    assert many.share < 0.05 < few.share
    assert (root @ root.T)[0, 1] == pytest.approx(-0.81, abs=0.05)
    assert np.diag(root @ root.T) == pytest.approx(1)


def test_the_shape_is_that_of_the_windows_where_they_are_many_and_the_usual_one_where_there_is_none() -> None:
    many = learned(windows(4_000, 12, rho=0.5, common=0.3))
    assert (many.rho, many.common) == (pytest.approx(0.5, abs=0.06), pytest.approx(0.3, abs=0.06))
    none = learned(np.full((3, 12), np.nan))
    assert (none.rho, none.common, none.share) == (Dependence.usual().rho, Dependence.usual().common, 1.0)


def test_how_far_series_err_together_is_learned_from_those_of_one_cutoff() -> None:
    rng, cuts, count = np.random.default_rng(2), 100, 10
    shared = rng.standard_normal((cuts, 1, 3))
    scores = np.sqrt(0.4) * shared + np.sqrt(0.6) * rng.standard_normal((cuts, count, 3))
    series, cut = np.tile(np.arange(count), cuts), np.repeat(np.arange(cuts), count)
    seen = Dependence.of(scores.reshape(-1, 3), series, cut, independent=cuts * count)
    assert seen.between == pytest.approx(0.4, abs=0.06)
    alone = Dependence.of(scores.reshape(-1, 3), series, np.arange(cuts * count), independent=cuts * count)
    assert alone.between == Dependence.usual().between


def test_what_lasts_is_a_part_of_every_correlation() -> None:
    seen = learned(windows(4_000, 8, rho=0.5, common=0.0))
    for before in (seen, known(0.5, 0.2)):
        roots = [d.root(8) for d in (before, before.lasting(0.25))]
        plain, lasting = (root @ root.T for root in roots)
        assert lasting == pytest.approx(0.75 * plain + 0.25, abs=1e-3)
    again = Dependence.from_dict(seen.lasting(0.25).to_dict(), 8)
    assert again.root(8) == pytest.approx(seen.lasting(0.25).root(8), abs=1e-3)


def test_what_is_kept_comes_back_and_what_is_no_dependence_is_refused() -> None:
    kept = learned(windows(300, 5, rho=0.7, common=0.1))
    again = Dependence.from_dict(kept.to_dict(), 5)
    np.testing.assert_allclose(again.root(5), kept.root(5), atol=1e-3)
    for change in ({"share": 2}, {"rho": 1}, {"factors": [[2.0]] * 5}, {"factors": []}, {"between": -0.1}):
        with pytest.raises(ValueError, match=r"factors of other steps|correlations that are none"):
            Dependence.from_dict({**kept.to_dict(), **change} | ({"share": 0.5} if change == {"factors": []} else {}),
                                 5)
    with pytest.raises(ValueError, match="factors of other steps"):
        Dependence.from_dict(kept.to_dict(), 6)


def test_a_fit_learns_how_its_steps_are_missed_together() -> None:
    rng = np.random.default_rng(0)
    lasting = [100 + np.cumsum(rng.standard_normal(160)) for _ in range(4)]     # a random walk: errors last
    panel = Panel.of(lasting, waves().calendar)
    walk = finished(fit(Predictor.new(quick(model_horizon=6), panel), panel)).dependence
    noise = Panel.of([100 + rng.standard_normal(160) for _ in range(4)], waves().calendar)
    white = finished(fit(Predictor.new(quick(model_horizon=6), noise), noise)).dependence
    lag = [d.root(6) @ d.root(6).T for d in (walk, white)]
    assert lag[0][0, 1] > 0.7 > 0.6 > lag[1][0, 1]
