"""Each metric against scikit-learn or the loop its formula is, then what all of them promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.scoring import metrics
from forecast.scoring.formulas import METRICS
from forecast.scoring.metrics import likely_share, mean_over_series, seasonal_scale
from forecast.series.arrays import Floats, Ints

S = 4
QUANTILES = (0.1, 0.5, 0.9)
quick = settings(max_examples=25, deadline=None)
Score = Callable[..., Floats]

SCORES: dict[str, Score] = {                # each as a function of one table of rows
    "mae": lambda t: metrics.mae(t["y"], t["f"], series=t["series"], n=S),
    "rmse": lambda t: metrics.rmse(t["y"], t["f"], series=t["series"], n=S),
    "bias": lambda t: metrics.bias(t["y"], t["f"], series=t["series"], n=S),
    "mase": lambda t: metrics.mase(t["y"], t["f"], series=t["series"], n=S, scale=np.arange(1.0, S + 1)),
    "smape": lambda t: metrics.smape(t["y"], t["f"], series=t["series"], n=S),
    "wape": lambda t: metrics.wape(t["y"], t["f"], series=t["series"], n=S),
    "coverage": lambda t: metrics.coverage(t["y"], t["lo"], t["hi"], series=t["series"], n=S),
    "width": lambda t: metrics.width(t["y"], t["lo"], t["hi"], series=t["series"], n=S),
    "wql": lambda t: metrics.wql(t["y"], np.stack([t["lo"], t["f"], t["hi"]], axis=1), QUANTILES, series=t["series"],
                                 n=S),
}


def rows(seed: int = 0, size: int = 60) -> dict[str, Any]:
    """Forecasts of S series in mixed order, every series at least once."""
    rng = np.random.default_rng(seed)
    f = rng.normal(10, 5, size)
    return {"y": rng.normal(10, 5, size), "f": f, "lo": f - rng.uniform(0, 6, size), "hi": f + rng.uniform(0, 6, size),
            "series": np.concatenate([np.arange(S), rng.integers(0, S, size - S)])}


def picked(table: dict[str, Any], which: Any) -> dict[str, Any]:
    return {name: column[which] for name, column in table.items()}


def loop(formula: Callable[..., float], table: dict[str, Any], *columns: str) -> list[float]:
    """`formula` of each series' own rows, one series at a time."""
    return [formula(*(table[c][table["series"] == s] for c in columns)) for s in range(S)]


@pytest.mark.parametrize(("name", "formula"), [("mae", sk.mean_absolute_error), ("rmse", sk.root_mean_squared_error)])
def test_errors_are_those_of_scikit_learn(name: str, formula: Callable[..., float]) -> None:
    assert SCORES[name](rows()) == pytest.approx(loop(formula, rows(), "y", "f"))


@pytest.mark.parametrize(("name", "columns", "formula"), [
    ("bias", "y f", lambda y, f: sum(f - y) / len(y)),
    ("smape", "y f", lambda y, f: sum(200 * abs(y - f) / (abs(y) + abs(f))) / len(y)),
    ("wape", "y f", lambda y, f: sum(abs(y - f)) / sum(abs(y))),
    ("coverage", "y lo hi", lambda y, lo, hi: sum((y >= lo) & (y <= hi)) / len(y)),
    ("width", "y lo hi", lambda y, lo, hi: sum(hi - lo) / len(y)),
])
def test_a_metric_is_its_formula_series_by_series(name: str, columns: str, formula: Callable[..., float]) -> None:
    assert SCORES[name](rows()) == pytest.approx(loop(formula, rows(), *columns.split()))


def test_mase_is_mae_in_units_of_the_scale() -> None:
    assert SCORES["mase"](rows()) == pytest.approx(SCORES["mae"](rows()) / [1, 2, 3, 4])


def test_wql_is_twice_the_pinball_losses_over_the_truth_averaged_over_quantiles() -> None:
    def formula(y: Floats, lo: Floats, f: Floats, hi: Floats) -> float:
        losses = [sk.mean_pinball_loss(y, g, alpha=q) * len(y) for q, g in zip(QUANTILES, (lo, f, hi), strict=True)]
        return float(2 * sum(losses) / len(losses) / sum(abs(y)))
    assert SCORES["wql"](rows()) == pytest.approx(loop(formula, rows(), "y", "lo", "f", "hi"))


def test_wql_of_the_median_is_wape() -> None:
    t = rows()
    assert metrics.wql(t["y"], t["f"][:, None], (0.5,), series=t["series"], n=S) == pytest.approx(SCORES["wape"](t))


@pytest.mark.parametrize("name", SCORES)
@quick
@given(seed=st.integers(0, 1000))
def test_a_score_does_not_depend_on_the_order_of_the_rows(name: str, seed: int) -> None:
    table = rows(seed)
    shuffled = picked(table, np.random.default_rng(seed).permutation(len(table["y"])))
    assert SCORES[name](shuffled) == pytest.approx(SCORES[name](table), rel=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_a_series_scores_the_same_alone_as_among_others(name: str) -> None:
    table = rows()
    for s in range(S):
        alone = SCORES[name](picked(table, table["series"] == s))
        assert alone[s] == SCORES[name](table)[s]
        assert np.isnan(np.delete(alone, s)).all()


@pytest.mark.parametrize("name", SCORES)
def test_rows_without_a_truth_are_left_out(name: str) -> None:
    table = rows()
    missing = np.arange(len(table["y"])) % 3 == 2
    with_gaps = table | {"y": np.where(missing, np.nan, table["y"])}
    assert SCORES[name](with_gaps) == pytest.approx(SCORES[name](picked(table, ~missing)), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", SCORES)
def test_a_forecast_that_is_not_a_number_does_not_pass_for_a_good_one(name: str) -> None:
    table = rows()
    broken = {"f", "lo", "hi"} & set(table)
    spoiled = table | {c: np.where(np.arange(len(table["y"])) == 0, np.nan, table[c]) for c in broken}
    assert np.isnan(SCORES[name](spoiled)).tolist() == [True, False, False, False]


@pytest.mark.parametrize("name", SCORES)
def test_inputs_are_left_as_they_were(name: str) -> None:
    table, same = rows(), rows()
    SCORES[name](table)
    assert all(np.array_equal(table[c], same[c]) for c in table)


@pytest.mark.parametrize("name", ["mae", "rmse", "bias", "width"])
@quick
@given(factor=st.floats(0.01, 1000))
def test_scores_in_units_of_the_target_grow_with_the_unit(name: str, factor: float) -> None:
    table = rows()
    other = {c: v if c == "series" else factor * v for c, v in table.items()}
    assert SCORES[name](other) == pytest.approx(factor * SCORES[name](table))


@pytest.mark.parametrize("name", ["smape", "wape", "wql", "coverage"])
@quick
@given(factor=st.floats(0.01, 1000))
def test_relative_scores_do_not_know_the_unit(name: str, factor: float) -> None:
    table = rows()
    other = {c: v if c == "series" else factor * v for c, v in table.items()}
    assert SCORES[name](other) == pytest.approx(SCORES[name](table))


@quick
@given(y=st.floats(-1e6, 1e6), f=st.floats(-1e6, 1e6))
def test_smape_stays_between_0_and_200_and_does_not_care_which_is_the_truth(y: float, f: float) -> None:
    one: dict[str, Any] = {"series": np.array([0]), "n": 1}
    score = metrics.smape(np.array([y]), np.array([f]), **one)
    assert 0 <= score <= 200 + 1e-9
    assert score == metrics.smape(np.array([f]), np.array([y]), **one)


@pytest.mark.parametrize("name", ["wape", "wql"])
def test_a_share_of_a_truth_of_zeros_is_undefined(name: str) -> None:
    table = rows() | {"y": np.zeros(60)}
    assert np.isnan(SCORES[name](table)).all()


def test_mase_is_undefined_where_its_scale_is() -> None:
    y, f, codes = np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0]), np.arange(3)
    assert metrics.mase(y, f, series=codes, n=3, scale=np.array([0.5, np.nan, 0.0])) == pytest.approx(
        [2, np.nan, np.nan], nan_ok=True)


# seasonal_scale

def plain_scale(y: Floats, m: int) -> float:
    pairs = [abs(b - a) for a, b in zip(y, y[m:], strict=False) if not np.isnan(b - a)]
    return sum(pairs) / len(pairs) if sum(pairs) > 0 else np.nan


@quick
@given(seed=st.integers(0, 1000), m=st.integers(1, 12))
def test_scale_is_the_plain_loop_on_overlapping_slices_with_gaps(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(80) < 0.1, np.nan, rng.normal(0, 3, 80))
    first = rng.integers(0, 80, 15)
    stop = first + rng.integers(0, 80 - first + 1)
    expected = [plain_scale(y[a:b], m) for a, b in zip(first, stop, strict=True)]
    assert seasonal_scale(y, first, stop, m) == pytest.approx(expected, nan_ok=True)


def scale_of(*series: list[float], m: int) -> Floats:
    sizes: Ints = np.array([len(s) for s in series])
    return seasonal_scale(np.concatenate(series), np.cumsum(sizes) - sizes, np.cumsum(sizes), m)


def test_mase_of_naive_on_its_own_past_is_1() -> None:
    y = np.random.default_rng(3).normal(0, 1, 200).cumsum()
    for m in (1, 7):
        score = metrics.mase(y[m:], y[:-m], series=np.zeros(200 - m, dtype=int), n=1, scale=scale_of(list(y), m=m))
        assert score == pytest.approx([1.0])


def test_scale_by_hand_is_that_of_neighbours_one_season_apart() -> None:
    assert scale_of([1, 5, 2, 8], [0, 0, 3], m=2) == pytest.approx([(1 + 3) / 2, 3])


def test_scale_is_undefined_for_series_that_are_short_or_constant_or_repeat_themselves() -> None:
    assert np.isnan(scale_of([4, 4, 4, 4], [1, 2, 1, 2, 1], [3, 4], [], m=2)).all()
    assert np.isnan(scale_of([1, 2], m=5)).all()
    assert len(scale_of([], m=1)) == 1


def test_the_scale_of_a_short_first_series_borrows_no_pair_from_the_next() -> None:
    assert scale_of([1], [5, 9, 2, 7], m=2) == pytest.approx([np.nan, 2.5], nan_ok=True)


def test_no_series_have_no_scales() -> None:
    assert len(seasonal_scale(np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 3)) == 0


def test_a_huge_series_does_not_blur_the_scale_of_a_small_one() -> None:
    small = [0.001, 0.003, 0.002]
    assert scale_of([1e12, -1e12, 1e12], small, m=1)[1] == scale_of(small, m=1)[0]


# mean_over_series, METRICS

def test_the_mean_leaves_out_undefined_series_and_counts_them() -> None:
    assert mean_over_series(np.array([1.0, np.nan, 4.0])) == (2.5, 2, 1)


def test_the_mean_of_no_defined_series_is_undefined() -> None:
    mean, used, left_out = mean_over_series(np.array([np.nan, np.nan]))
    assert (np.isnan(mean), used, left_out) == (True, 0, 2)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_the_table_is_a_function_here_with_its_formula_in_the_docstring(name: str) -> None:
    formula = METRICS[name].formula.split(", ")[0]
    assert formula in " ".join((getattr(metrics, name).__doc__ or "").split())


def test_every_metric_of_the_table_is_tested_above() -> None:
    assert SCORES.keys() == METRICS.keys()


@pytest.mark.parametrize(("share", "count", "low", "high"), [(0.5, 100, 0.4038, 0.5962), (1.0, 10, 0.7225, 1.0),
                                                             (0.8, 1e9, 0.8, 0.8), (0.0, 0, 0.0, 0.7935)])
def test_a_share_of_few_trials_may_have_come_about_by_chance(share: float, count: float, low: float, high: float
                                                               ) -> None:
    assert likely_share(share, count) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
