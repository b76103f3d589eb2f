"""Smoothing by hand, against loops over one series and one candidate, and on series whose future is known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.methods import fitting, smoothing
from forecast.methods.baselines import Baseline, HoltWinters, Naive, SeasonalNaive, Theta
from forecast.methods.fitting import Aligned, Fit, Gains, Kind, State
from forecast.series.arrays import Bools, Floats
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel

Method = Callable[..., tuple[Floats, Floats, Bools]]

quick = settings(max_examples=10, deadline=None)
STEPS = Calendar.of("step")
NONE = np.nan
BOTH: tuple[Baseline, ...] = (Theta(4), HoltWinters(4))
each = pytest.mark.parametrize("method", [smoothing.theta, smoothing.holt_winters])
each_baseline = pytest.mark.parametrize("baseline", BOTH, ids=lambda b: b.name)
KINDS = [Kind(False, 0), Kind(True, 0), Kind(False, 5), Kind(True, 5)]          # 5 does not divide STEPS


def panel_of(*series: list[float] | Floats) -> Panel:
    return Panel.of(series, STEPS)


def aligned_of(*series: Floats, m: int = 4) -> Aligned:
    stop = np.cumsum([len(y) for y in series])
    return next(fitting.aligned(np.concatenate(series), stop - [len(y) for y in series], stop, m))


def above_anchor(series: Aligned) -> Floats:
    return np.where(series.seen, series.y - series.anchor, 0)


def one(value: float) -> Floats:
    return np.array([[value]])


def gains_of(series: Aligned, z: Floats, kind: Kind) -> Gains:
    return smoothing.found_gains(series, z, smoothing.begun_gains(series, z, kind)[0], kind)


def gains(alpha: float, beta: float, gamma: float, phi: float) -> Gains:
    return one(alpha), one(beta), one(gamma), one(phi)


def served(method: Method, y: list[float] | Floats, horizon: int, season: int) -> tuple[Floats, Floats]:
    values = np.asarray(y, dtype=float)
    point, sigma, able = method(values, np.array([0]), np.array([len(values)]),
                                horizon=horizon, season=season)
    assert able.tolist() == [True]
    return point[0], sigma[0]


def airpassengers() -> Floats:
    with (Path(__file__).parents[1] / "data/airpassengers.csv").open(encoding="utf-8") as file:
        return np.array([float(row["Passengers"]) for row in csv.DictReader(file)])


def wavy(seed: int, length: int, season: int = 4) -> Floats:
    random, t = np.random.default_rng(seed), np.arange(length)
    return 50 + 0.2 * t + 8 * np.sin(2 * np.pi * t / season) + random.normal(0, 2, length) + random.normal(
        0, 1, length).cumsum()


# The recursions, against three lines each

def test_errors_without_trend_and_season_are_those_of_simple_exponential_smoothing() -> None:
    y, level, expected = wavy(0, 20), 3.0, []
    series = aligned_of(y)
    z = above_anchor(series)[-20:, 0]
    for value in z:
        expected.append(value - level)
        level = 0.3 * value + 0.7 * level
    state = State.of(np.array([[[3.0]]]), gains(0.3, 0, 0, 1), Kind(False, 0))
    found = [e.item() for _, e in fitting.errors(series, above_anchor(series), gains(0.3, 0, 0, 1), state)]
    assert found == pytest.approx(expected)
    assert state.level.item() == pytest.approx(level)


def test_errors_with_a_trend_are_those_of_damped_holt() -> None:
    y, level, trend, expected = wavy(1, 20), 3.0, 0.5, []
    series = aligned_of(y)
    for value in above_anchor(series)[-20:, 0]:
        expected.append(value - level - 0.9 * trend)
        old, level = level, 0.4 * value + 0.6 * (level + 0.9 * trend)
        trend = 0.25 * (level - old) + 0.75 * 0.9 * trend                   # beta* = beta / alpha
    weights = gains(0.4, 0.1, 0, 0.9)
    state = State.of(np.array([[[3.0]], [[0.5]]]), weights, Kind(True, 0))
    found = [e.item() for _, e in fitting.errors(series, above_anchor(series), weights, state)]
    assert found == pytest.approx(expected)
    assert state.trend is not None
    assert state.trend.item() == pytest.approx(trend)


def plain(z: list[float], states: list[float], alpha: float, beta: float, gamma: float, phi: float,
          later: tuple[float, ...] = ()) -> tuple[list[float], list[float]]:
    """Errors of damped Holt-Winters, the season's positions counted from the end; nothing moves where a value is
    missing. And its forecasts behind z, where the errors are those of `later`."""
    level, trend, *season = states
    found, forecasts = [], []
    for t, value in enumerate([*z, *later], -len(z)):
        forecast = level + phi * trend + season[t % len(season)]
        e = value if t >= 0 else 0.0 if np.isnan(value) else value - forecast
        level, trend = level + phi * trend + alpha * e, phi * trend + beta * e
        season[t % len(season)] += gamma * e
        (found if t < 0 else forecasts).append(e if t < 0 else forecast)
    return found, forecasts


@pytest.mark.parametrize("missing", [(), (3, 4, 11)])
def test_errors_with_a_season_are_those_of_holt_winters(missing: tuple[int, ...]) -> None:
    y, states, weights = wavy(2, 22), [3.0, 0.5, 4.0, -1.0, -5.0, 2.0, 1.0], (0.4, 0.1, 0.2, 0.9)
    y[list(missing)] = NONE
    series = aligned_of(y)
    state = State.of(np.array(states)[:, None, None], gains(*weights), KINDS[3])
    found = [e.item() for _, e in fitting.errors(series, above_anchor(series), gains(*weights), state)]
    z = np.where(np.isnan(y), NONE, above_anchor(series)[-22:, 0])
    assert found == pytest.approx(plain(list(z), states, *weights)[0])


def test_candidates_and_series_of_different_lengths_are_each_on_their_own() -> None:
    series = aligned_of(wavy(3, 70), wavy(4, 22), wavy(5, 40))
    some = smoothing.gains_of(np.random.default_rng(0).normal(size=(4, 5, 3)), KINDS[3])
    states = np.random.default_rng(1).normal(size=(7, 3))
    found = fitting.squares(series, above_anchor(series), some, states, KINDS[3])
    for g in range(5):
        for b in range(3):
            z = above_anchor(series)[series.begin[b]:, b]
            e, _ = plain(list(z), list(states[:, b]), *(w[g, b] for w in some))
            assert found[g, b] == pytest.approx(sum(x * x for x in e))


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_first_states_have_smaller_errors(kind: Kind) -> None:
    series = aligned_of(wavy(6, 90), wavy(7, 30), np.where(np.arange(30) % 5 == 1, NONE, wavy(8, 30)))
    weights = gains(0.3, 0.05, 0.1, 0.9)
    z = above_anchor(series)
    states = smoothing.first_states(series, z, weights, kind)
    least = fitting.squares(series, z, weights, states, kind)
    for k in range(kind.states):
        for step in (-0.1, 0.1):
            moved = states.copy()
            moved[k] += step
            assert (fitting.squares(series, z, weights, moved, kind) > least - 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_path_goes_on_without_errors_and_is_as_unsure_as_errors_would_move_it(kind: Kind) -> None:
    series = aligned_of(wavy(9, 40))
    z = above_anchor(series)
    weights = gains_of(series, z, kind)
    fit = smoothing.smoothed(series, z, weights, kind, 9)
    level, *rest = smoothing.first_states(series, z, weights, kind)[:, 0]
    states = [level, rest.pop(0) if kind.damped else 0.0, *(rest or [0.0])]
    values, (alpha, beta, gamma, phi) = list(z[series.begin[0]:, 0]), (w.item() for w in weights)
    quiet, moved = (np.array(plain(values, states, alpha, beta, gamma, phi, (first, *[0.0] * 8))[1])
                    for first in (0.0, 1.0))
    assert fit.path[:, 0] == pytest.approx(quiet)
    assert fit.variance[:, 0] / fit.variance[0, 0] == pytest.approx(1 + np.cumsum((moved - quiet) ** 2))


def test_gains_found_are_no_worse_than_any_on_the_grid_by_hand() -> None:
    series, kind = aligned_of(wavy(10, 60)), Kind(True, 4)
    z = above_anchor(series)

    def least(*weights: float) -> float:
        given = gains(*weights)
        return fitting.squares(series, z, given, smoothing.first_states(series, z, given, kind), kind).item()

    tried = [least(a, a * b, (1 - a) * c, phi) for a in (0.02, 0.3, 0.9) for b in (0.05, 0.5) for c in (0.05, 0.5)
             for phi in (0.7, 0.95)]
    found = least(*(w.item() for w in gains_of(series, z, kind)))
    assert found < min(tried)


# The Theta method, against one series and one alpha at a time

def plain_line(t: Floats, z: Floats) -> tuple[float, float]:
    if len(t) < 2:
        return float(z[0]) if len(z) else 0.0, 0.0
    slope, intercept = np.polyfit(t, z, 1)
    return float(intercept), float(slope)


def plain_theta(y: Floats, horizon: int, spent: int = 0) -> tuple[Floats, Floats, float]:
    """Fiorucci et al. 2016: for each alpha the first level and c = 1 - 1 / theta by least squares. Of the best of them
    the forecasts, sigma when `spent` parameters more have been fitted, and the mean squared error."""
    n, seen = len(y), ~np.isnan(y)
    t = np.arange(1, n + 1)
    lines = [plain_line(t[:k][seen[:k]], y[:k][seen[:k]]) for k in range(n)]
    stood_in = [y[:k][seen[:k]][-1] for k in t]                         # the value before a missing one
    settled = t > min(smoothing.SETTLED, seen.sum() // 4)
    scored, tried = seen & settled, []
    for alpha in smoothing.ALPHAS[:, 0]:
        q = 1 - alpha

        def drift(k: int, line: tuple[float, float], alpha: float = alpha, q: float = q) -> float:
            return q ** (k - 1) * line[0] + (1 - q ** k) / alpha * line[1]

        levels = [0.0]
        for value in stood_in:
            levels.append(alpha * value + q * levels[-1])
        design = np.array([[q ** (k - 1), drift(k, lines[k - 1])] for k in t])
        target = np.array(stood_in) - levels[:-1]
        first, c = np.linalg.lstsq(design[scored], target[scored], rcond=None)[0]
        if not 0 <= c <= 1:
            c = min(max(c, 0), 1)
            first = (design[scored, 0] @ (target - c * design[:, 1])[scored]) / (design[scored, 0] @ design[scored, 0])
        known = levels[:-1] + design @ [first, c]
        square = ((y - known)[scored] ** 2).sum()
        places, values, level, future = list(t[seen]), list(y[seen]), levels[-1] + first * q ** n, []
        for k in range(n + 1, n + horizon + 1):
            future.append(level + c * drift(k, plain_line(np.array(places), np.array(values))))
            level = alpha * future[-1] + q * level
            places.append(k)
            values.append(future[-1])
        growth = [1.0]
        for h in range(1, horizon):
            pairs = [s for s in range(n - h) if scored[s + h] and settled[s]]
            later = [(y[s + h] - known[s] - h * c * lines[s][1]) ** 2 for s in pairs]
            ratio = np.mean(later) / (square / scored.sum()) if 2 * len(pairs) >= scored.sum() else 0
            growth.append(max(growth[-1], 1 + h * alpha ** 2, ratio))
        variance = square / max(scored.sum() - 3 - spent, 1) * np.array(growth)
        tried.append((square, np.array(future), np.sqrt(variance), square / scored.sum()))
    return min(tried, key=lambda one: one[0])[1:]


@pytest.mark.parametrize(("length", "missing"), [(30, 0.0), (30, 0.2), (7, 0.0), (11, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_theta_is_the_best_of_all_alphas_one_by_one(seed: int, length: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    y = 20 + random.normal(0, 1, length).cumsum() + random.normal(0, 1) * np.arange(length)
    y[1:-1][random.random(length - 2) < missing] = NONE
    point, sigma, _ = plain_theta(y, 5)
    assert served(smoothing.theta, y, 5, 1)[0] == pytest.approx(point, rel=1e-5)
    assert served(smoothing.theta, y, 5, 1)[1] == pytest.approx(sigma, rel=1e-4)


def test_each_season_of_theta_is_weighed_in_the_units_of_the_series() -> None:
    y = wavy(15, 35, 5)
    series = aligned_of(y, m=5)
    none, added, times = smoothing._theta(series, 5, 5)
    shift, factor = (fitting.seasonal_indices(series, 5, multiplicative=m)[:, 0] for m in (False, True))
    scaled = y / series.unit
    for fit, adjusted, parameters, s, f in ((none, scaled, 3, 0, 1), (added, scaled - np.tile(shift, 7), 7, shift, 1),
                                            (times, scaled / np.tile(factor, 7), 7, 0, factor)):
        point, sigma, mean_square = plain_theta(adjusted, 5, parameters - 3)
        assert fit.path[:, 0] + series.anchor == pytest.approx(point * f + s)
        assert fit.variance[:, 0] == pytest.approx((sigma * f) ** 2)
        likelihood = 35 * np.log(mean_square) + (14 * np.log(f).sum() if fit is times else 0)
        assert fit.misfit.item() == pytest.approx(likelihood + 2 * parameters)


def test_a_season_of_almost_nothing_is_not_divided_by() -> None:
    y = np.tile([1e-4, 1.0, 1.0, 1.0], 8) * np.random.default_rng(0).uniform(0.9, 1.1, 32)
    assert smoothing._theta(aligned_of(y), 4, 1)[2].misfit.item() == np.inf


@each
def test_a_straight_line_goes_on_as_one(method: Method) -> None:
    """theta is free: at its largest the whole line goes on. The classical theta of 2 would go on at half the slope."""
    point, sigma = served(method, 5 + 2.0 * np.arange(40), 6, 1)
    assert point == pytest.approx(5 + 2.0 * np.arange(40, 46), rel=0.01)
    assert sigma == pytest.approx([0] * 6, abs=0.3)


# The season

def plain_decomposition(y: Floats, m: int, *, multiplicative: bool) -> list[float]:
    half = m // 2
    ends = 0.5 if m % 2 == 0 else 1.0
    found: list[list[float]] = [[] for _ in range(m)]
    for t in range(half, len(y) - half):
        around = y[t - half:t + half + 1].copy()
        around[[0, -1]] *= ends
        trend = around.sum() / m
        found[(t - len(y)) % m].append(y[t] / trend if multiplicative else y[t] - trend)
    means = np.array([np.mean(f) for f in found])
    return list(means / means.mean() if multiplicative else means - means.mean())


@pytest.mark.parametrize("m", [2, 3, 4, 7, 12])
@pytest.mark.parametrize("multiplicative", [False, True])
def test_seasonal_indices_are_those_of_classical_decomposition(m: int, multiplicative: bool) -> None:
    long, short = wavy(11, 71, m), wavy(12, 31, m)
    series = aligned_of(long, short, m=m)
    found = fitting.seasonal_indices(series, m, multiplicative=multiplicative)
    for b, y in enumerate((long, short)):
        expected = plain_decomposition(y, m, multiplicative=multiplicative)
        assert found[:, b] == pytest.approx(np.array(expected) / (1 if multiplicative else series.unit[b]))


@each
@pytest.mark.parametrize("season", [[3.0, -2.0, 8.0, -9.0], [30.0, 20.0, 80.0, 10.0]])
def test_a_perfect_season_goes_on(method: Method, season: list[float]) -> None:
    point, sigma = served(method, np.tile(season, 8)[:30], 9, 4)
    assert point == pytest.approx(np.tile(season, 10)[30:39], abs=1e-4)
    assert sigma == pytest.approx([0] * 9, abs=1e-4)


@each
def test_a_season_that_grows_with_the_level_goes_on_growing(method: Method) -> None:
    t = np.arange(72)
    y = 100 * 1.01 ** t * np.tile([0.5, 1.5, 1.2, 0.8], 18)
    assert served(method, y[:60], 12, 4)[0] == pytest.approx(y[60:], rel=0.04)


@each
def test_a_season_too_weak_to_see_is_left_alone(method: Method) -> None:
    y = np.random.default_rng(0).normal(100, 1, 200)
    point, _ = served(method, y, 12, 12)
    assert np.ptp(point) < 0.6


@each
def test_a_season_is_seen_in_two_of_them(method: Method) -> None:
    season = np.array([5.0, 40, 20, 10, 60, 5, 30, 80])
    point, _ = served(method, np.tile(season, 2) + np.random.default_rng(1).normal(0, 1, 16), 8, 8)
    assert np.abs(point - season).mean() < 3


# Variants and their weights

def test_the_mean_weighs_variants_by_how_well_they_fit_and_widens_where_they_differ() -> None:
    low, high = (Fit(np.array([[value]]), np.array([[1.0]]), np.array([misfit]))
                 for value, misfit in ((0.0, 7.0), (4.0, 7.0 + 2 * np.log(3))))
    point, variance = fitting.mean_of([low, high])
    assert point.item() == pytest.approx(1.0)                           # weights 3/4 and 1/4
    assert variance.item() == pytest.approx(1 + 0.75 * 1 + 0.25 * 9)


def test_a_variant_that_does_not_apply_has_no_weight() -> None:
    good, bad = (Fit(np.array([[v]]), np.array([[v]]), np.array([m])) for v, m in ((2.0, 5.0), (9.0, np.inf)))
    assert [a.item() for a in fitting.mean_of([good, bad])] == [2.0, 2.0]


def test_a_parameter_must_explain_more_than_it_costs_and_there_are_fewer_than_values() -> None:
    few, more, all_of_them = (fitting.akaike(np.array([2.0]), np.array([10]), k).item() for k in (2, 5, 10))
    assert (more - few, all_of_them) == (pytest.approx(6), np.inf)
    assert fitting.akaike(np.array([0.5]), np.array([10]), 5).item() == pytest.approx(more - 10 * np.log(4))


# Missing values, short and long series

@each
def test_a_missing_end_is_forecast_over(method: Method) -> None:
    y = wavy(13, 60)
    near, sigma = served(method, y, 12, 4)
    far, later = served(method, np.concatenate([y, [NONE] * 3]), 9, 4)
    assert np.array_equal(far, near[3:])
    assert np.array_equal(later, sigma[3:])


@each
def test_missing_values_leave_a_perfect_season_as_it_was(method: Method) -> None:
    y = np.tile([3.0, -2.0, 8.0, -9.0], 12)
    holes = np.where(np.random.default_rng(0).random(48) < 0.2, NONE, y)
    holes[:2] = NONE
    assert served(method, holes, 8, 4)[0] == pytest.approx(y[:8], abs=0.05)


@each
def test_what_is_older_than_is_read_does_not_matter(method: Method) -> None:
    y = wavy(14, fitting.LONGEST + 50)
    other = y.copy()
    other[:50] = 1e6
    assert np.array_equal(served(method, y, 5, 4)[0], served(method, other, 5, 4)[0])


SHORT = [3.0, 9.0, 4.0, 2.0, 4.0, 8.0, 5.0, 1.0, 3.0, 8.0]


@each_baseline
@pytest.mark.parametrize(("length", "source"), [(3, "naive"), (4, "seasonal_naive"), (7, "seasonal_naive"), (8, "own")])
def test_less_than_two_seasons_are_left_to_the_seasonal_naive_forecast(
        baseline: Baseline, length: int, source: str) -> None:
    forecast = baseline.predict(panel_of(SHORT[:length]), 6)
    assert forecast.source.tolist() == [baseline.name if source == "own" else source]
    simple = {"naive": Naive(), "seasonal_naive": SeasonalNaive(4)}
    if source in simple:
        assert np.array_equal(forecast.values, simple[source].predict(panel_of(SHORT[:length]), 6).values)


@pytest.mark.parametrize("baseline", [Theta(1), HoltWinters(1)], ids=lambda b: b.name)
@pytest.mark.parametrize(("series", "own"), [(SHORT[:5], False), (SHORT[:6], True), ([*SHORT[:5], NONE, NONE], False),
                                             ([*SHORT, *[NONE] * (fitting.LONGEST + 1)], False)])
def test_without_a_season_six_values_are_needed_and_an_end_in_sight(
        baseline: Baseline, series: list[float], own: bool) -> None:
    assert baseline.predict(panel_of(series), 3).source.tolist() == [baseline.name if own else "naive"]


# Units, neighbours, extremes

@each_baseline
@quick
@given(power=st.integers(-400, 400), factor=st.floats(0.1, 10), seed=st.integers(0, 50))
def test_units_do_not_matter(baseline: Baseline, power: int, factor: float, seed: int) -> None:
    y = wavy(seed, 33)
    values = baseline.predict(panel_of(y), 6).values
    assert np.array_equal(baseline.predict(panel_of(np.ldexp(y, power)), 6).values, np.ldexp(values, power))
    assert baseline.predict(panel_of(factor * y), 6).values == pytest.approx(factor * values, rel=1e-4)


@each
def test_a_series_among_longer_ones_is_as_it_is_alone_to_the_bit(method: Method) -> None:
    series = [wavy(k, length) for k, length in enumerate((500, 130, 64, 65, 63, 9, 29, 200))]
    series[4][5:9] = NONE
    stop = np.cumsum([len(y) for y in series])
    point, sigma, _ = method(np.concatenate(series), stop - [len(y) for y in series], stop,
                             horizon=7, season=4)
    for s, y in enumerate(series):
        alone = served(method, y, 7, 4)
        assert np.array_equal(point[s], alone[0])
        assert np.array_equal(sigma[s], alone[1])


@each
def test_the_forecast_is_the_same_however_many_are_moved_at_a_time(
        method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    series = [wavy(k, 40 + k) for k in range(7)]
    stop = np.cumsum([len(y) for y in series])
    given = np.concatenate(series), stop - [len(y) for y in series], stop
    at_once = method(*given, horizon=5, season=4)[0]
    monkeypatch.setattr(fitting, "BLOCK", 2)
    monkeypatch.setattr(fitting, "CELLS", 20)
    assert np.array_equal(method(*given, horizon=5, season=4)[0], at_once)


def extremes() -> list[Floats]:
    random, t = np.random.default_rng(3), np.arange(60)
    return [np.zeros(60), np.where(t == 30, 1e12, 1.0), (random.random(60) < 0.1) * 5.0,
            10 ** random.uniform(-150, 150, 60), np.where(t < 30, 0.0, 5.0), np.exp(t), -np.exp(t),
            1e9 + random.normal(0, 1e-4, 60), np.full(60, 1e-310),
            np.where(t % 4 == 0, 1e-300, 1.0), np.where(t < 40, NONE, 3.0 * t), np.full(60, 1e300) * random.random(60)]


@each_baseline
def test_nothing_is_too_odd_for_a_finite_forecast(baseline: Baseline) -> None:
    with np.errstate(all="raise", under="ignore"):
        together = baseline.predict(panel_of(*extremes()), 40)
        alone = [baseline.predict(panel_of(y), 40) for y in extremes()]
    for forecast in (together, *alone):
        assert np.isfinite(forecast.values).all()
        assert (np.diff(forecast.values, axis=2) >= 0).all()


def test_a_logarithm_that_runs_away_is_held_back() -> None:
    y = np.array([1.0, 1, 1, 1, 2, 8, 64, 1024, 32768, 2.0 ** 21])
    point, _ = served(smoothing.holt_winters, y, 300, 1)
    assert point.max() < 2.0 ** 21 * 2.0 ** 21 * 1.01


# How good they are

@each_baseline
def test_bands_cover_a_wandering_season_about_as_often_as_they_say(baseline: Baseline) -> None:
    y = np.array([wavy(k, 88) for k in range(150)])
    forecast = baseline.predict(panel_of(*y[:, :80]), 8)
    low, high = forecast.band(80)
    assert ((low <= y[:, 80:]) & (y[:, 80:] <= high)).mean() == pytest.approx(0.80, abs=0.06)


@pytest.mark.parametrize(("baseline", "error"), [(Theta(12), 0.773), (HoltWinters(12), 0.872)], ids=["theta", "hw"])
def test_airpassengers_over_five_years_has_the_known_error(baseline: Baseline, error: float) -> None:
    """MASE; seasonal naive has 1.440, AutoTheta of statsforecast 2.1.1 0.799, its AutoETS 1.197."""
    y = airpassengers()
    scale = np.abs(y[12:84] - y[:72]).mean()
    forecast = baseline.predict(panel_of(y).rolled([60, 48, 36, 24, 12]), 12).point
    assert np.abs(forecast - y[84:].reshape(5, 12)).mean() / scale == pytest.approx(error, abs=0.03)
