"""Baselines by hand, against a plain loop over series, and what every forecaster promises."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import DataError
from forecast.methods.baselines import (
    BASELINES,
    Baseline,
    Drift,
    HoltWinters,
    Naive,
    SeasonalNaive,
    SeasonalNaiveDrift,
    Theta,
    WindowAverage,
)
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, Forecaster, quantile_grid
from forecast.series.panel import Panel

quick = settings(max_examples=25, deadline=None)
STEPS = Calendar.of("step")
SIMPLE: tuple[Baseline, ...] = (Naive(), SeasonalNaive(4), Drift(), WindowAverage(6), SeasonalNaiveDrift(4))
ALL: tuple[Baseline, ...] = (*SIMPLE, Theta(4), HoltWinters(4))
each_simple = pytest.mark.parametrize("baseline", SIMPLE, ids=lambda b: b.name)
each_baseline = pytest.mark.parametrize("baseline", ALL, ids=lambda b: b.name)
NONE = np.nan


def panel_of(*series: list[float] | Floats) -> Panel:
    return Panel.of(series, STEPS)


def point(baseline: Baseline, *values: float, horizon: int = 3) -> list[float]:
    return list(baseline.predict(panel_of(list(values)), horizon).point[0])


def sigma(baseline: Baseline, *values: float, horizon: int = 3) -> list[float]:
    """Standard deviation at each step, read off the upper end of the 80 % band."""
    forecast = baseline.predict(panel_of(list(values)), horizon)
    return list((forecast.band(80)[1] - forecast.point)[0] / NormalDist().inv_cdf(0.9))


def ragged(seed: int, *, missing: float = 0.1) -> Panel:
    """Series of 1 to 40 points, some missing, none without a value, each cut at several points: slices that overlap."""
    rng = np.random.default_rng(seed)
    series = [rng.normal(50, 10, n) + rng.normal() * np.arange(n) for n in rng.integers(9, 41, 6)]
    holes = [np.where((rng.random(len(y)) < missing) & (np.arange(len(y)) > 0), np.nan, y) for y in series]
    return panel_of(*holes).rolled([0, 1, 5, 8])


# By hand

def test_naive_repeats_the_last_value() -> None:
    assert point(Naive(), 3, 1, 7) == [7, 7, 7]


def test_seasonal_naive_repeats_the_last_season() -> None:
    assert point(SeasonalNaive(2), 9, 9, 3, 1, horizon=5) == [3, 1, 3, 1, 3]


def test_drift_goes_on_along_the_line_through_both_ends() -> None:
    assert point(Drift(), 1, 9, 5) == [7, 9, 11]


def test_window_average_is_the_mean_of_the_last_values_only() -> None:
    assert point(WindowAverage(2), 100, 4, 6) == [5, 5, 5]


def test_window_average_takes_what_there_is_of_a_shorter_series() -> None:
    assert point(WindowAverage(5), 3, 6) == [4.5, 4.5, 4.5]


def test_seasonal_naive_drift_adds_the_rise_from_season_to_season() -> None:
    assert point(SeasonalNaiveDrift(2), 1, 3, 4, 8, horizon=4) == [4 + 4, 8 + 4, 4 + 8, 8 + 8]


def test_naive_is_unsure_by_the_root_of_the_steps_ahead() -> None:
    assert sigma(Naive(), 0, 3, 3, 7) == pytest.approx([sqrt(25 / 3 * h) for h in (1, 2, 3)])


def test_seasonal_naive_is_unsure_by_the_root_of_the_seasons_ahead() -> None:
    assert sigma(SeasonalNaive(2), 0, 0, 3, 4) == pytest.approx([sqrt(12.5), sqrt(12.5), sqrt(25)])


def test_drift_is_unsure_of_its_slope_too() -> None:
    residuals = (1, -1)                                                 # of steps 4 and 2 around a slope of 3
    expected = [sqrt(sum(e * e for e in residuals) / 1 * h * (1 + h / 2)) for h in (1, 2, 3)]
    assert sigma(Drift(), 0, 4, 6) == pytest.approx(expected)


def test_window_average_is_as_unsure_at_every_step() -> None:
    assert sigma(WindowAverage(3), 50, 1, 2, 6) == pytest.approx([sqrt(7 * (1 + 1 / 3))] * 3)


def test_seasonal_naive_drift_is_unsure_of_its_trend_too() -> None:
    around = (3, 5)                                                     # rises of the two positions, 4 in the mean
    spread = sum((d - 4) ** 2 for d in around) / 1
    expected = [sqrt(spread * n * (1 + n / 2)) for n in (1, 1, 2)]
    assert sigma(SeasonalNaiveDrift(2), 1, 3, 4, 8) == pytest.approx(expected)


def test_seasonal_naive_drift_reaches_the_known_error_on_the_last_year_of_airpassengers() -> None:
    with (Path(__file__).parents[1] / "data/airpassengers.csv").open(encoding="utf-8") as file:
        y = np.array([float(row["Passengers"]) for row in csv.DictReader(file)])
    error = SeasonalNaiveDrift(12).predict(panel_of(y[:-12]), 12).point[0] - y[-12:]
    assert sqrt((error ** 2).mean()) == pytest.approx(16.839, abs=0.001)


# Perfect and constant series

def test_seasonal_naive_is_perfect_on_a_perfect_season() -> None:
    season = [3.1, -2.7, 8.0, 0.3, 5.5]
    forecast = SeasonalNaive(5).predict(panel_of(np.tile(season, 4)[:18]), 12)
    assert np.array_equal(forecast.values, np.tile(season, 8)[18:30, None].repeat(5, axis=1)[None])


def test_seasonal_naive_drift_is_perfect_on_a_season_that_rises() -> None:
    y = np.tile([3.0, -2.0, 8.0, 1.0], 8) + 0.5 * np.arange(32)
    assert SeasonalNaiveDrift(4).predict(panel_of(y[:20]), 12).point[0] == pytest.approx(y[20:])


@quick
@given(level=st.floats(-1e9, 1e9), length=st.integers(1, 30))
def test_a_constant_series_goes_on_exactly_with_bands_of_no_width(level: float, length: int) -> None:
    for baseline in ALL:
        assert (baseline.predict(panel_of(np.full(length, level)), 5).values == level).all()


@each_baseline
@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_huge_and_tiny_values_have_a_forecast_and_a_band_of_their_size(baseline: Baseline, size: float) -> None:
    y = np.random.default_rng(1).uniform(1, 2, 30)
    values = baseline.predict(panel_of(size * y), 5).values
    assert values / size == pytest.approx(baseline.predict(panel_of(y), 5).values)


# Missing values and short series

@pytest.mark.parametrize(("baseline", "expected"), [
    (Naive(), [6, 6, 6]), (Drift(), [8, 9, 10]), (WindowAverage(4), [5, 5, 5])], ids=lambda b: getattr(b, "name", ""))
def test_a_missing_end_is_stepped_over(baseline: Baseline, expected: list[float]) -> None:
    assert point(baseline, 3, 4, NONE, 6, NONE) == pytest.approx(expected)


def test_the_band_of_naive_counts_from_the_last_value_seen() -> None:
    assert sigma(Naive(), 1, 3, NONE, horizon=1) == pytest.approx([2 * sqrt(2)])


def test_a_step_across_a_hole_counts_as_the_many_steps_it_is() -> None:
    assert sigma(Naive(), 0, NONE, NONE, NONE, 4, horizon=1) == pytest.approx([2])


def test_a_missing_value_is_taken_from_the_season_before_its_own() -> None:
    assert point(SeasonalNaive(2), 1, 2, 3, NONE, horizon=4) == [3, 2, 3, 2]


def test_the_band_is_wider_where_the_value_is_a_season_older() -> None:
    wide = sigma(SeasonalNaive(2), 1, 2, 3, 4, 5, NONE, horizon=2)
    assert wide[1] == pytest.approx(wide[0] * sqrt(2))


@pytest.mark.parametrize(("baseline", "series", "source"), [
    (SeasonalNaive(4), [1, 2, 3], "naive"), (SeasonalNaive(4), [1, 2, 3, 4], "seasonal_naive"),
    (SeasonalNaive(4), [1, NONE, 3, 4], "naive"), (SeasonalNaive(4), [5, 6, 7, 8, 1, NONE, 3, 4], "seasonal_naive"),
    (SeasonalNaiveDrift(4), [1, 2, 3], "naive"), (SeasonalNaiveDrift(4), [1, 2, 3, 4, 5, 6, 7], "seasonal_naive"),
    (SeasonalNaiveDrift(4), [1, 2, 3, 4, 5, 6, 7, 8], "seasonal_naive_drift"),
    (Drift(), [1], "naive"), (Drift(), [1, 2], "drift"), (Drift(), [NONE, 2, NONE], "naive"),
    (WindowAverage(2), [1], "window_average"), (WindowAverage(2), [1, NONE, NONE], "naive")])
def test_a_method_without_the_history_it_needs_leaves_the_series_to_a_simpler_one(
        baseline: Baseline, series: list[float], source: str) -> None:
    forecast = baseline.predict(panel_of(series), 6)
    assert forecast.source.tolist() == [source]
    if source == "naive":
        assert np.array_equal(forecast.values, Naive().predict(panel_of(series), 6).values)


def test_a_method_without_a_residual_of_its_own_takes_that_of_naive() -> None:
    assert sigma(SeasonalNaive(3), 1, 3, 1, horizon=1) == [pytest.approx(2)]
    assert sigma(Drift(), 1, 3, horizon=1) == [pytest.approx(2 * sqrt(1 * (1 + 1 / 1)))]
    assert sigma(WindowAverage(1), 1, 3, horizon=1) == [pytest.approx(2 * sqrt(2))]


@each_baseline
def test_series_without_any_value_are_refused_by_name(baseline: Baseline) -> None:
    panel = Panel.of([[1.0, 2.0], [], [NONE, NONE], [4.0]], STEPS, ids=["a", "007", "b", "c"]).rolled([0, 0])
    with pytest.raises(DataError, match="series '007' has no value") as caught:
        baseline.predict(panel, 2)
    assert [p.message[8:11].strip("' ") for p in caught.value.problems] == ["007", "b"]


def test_the_last_value_of_the_series_before_is_not_borrowed() -> None:
    forecast = SeasonalNaive(3).predict(panel_of([9, 9, 9, 9], [NONE, 2, 3]), 3)
    assert forecast.source.tolist() == ["seasonal_naive", "naive"]
    assert forecast.point[1].tolist() == [3, 3, 3]


# Against a plain loop

Plain = tuple[list[float], list[float]]


def last_before(y: Floats, t: int, *, stride: int = 1) -> int | None:
    """Position of the last value at t, t - stride, ..."""
    return next((k for k in range(t, -1, -stride) if k < len(y) and not np.isnan(y[k])), None)


def walk(y: Floats) -> list[float]:
    seen = [t for t in range(len(y)) if not np.isnan(y[t])]
    return [(y[b] - y[a]) ** 2 / (b - a) for a, b in pairwise(seen)]


def root_mean(squares: list[float], lost: int = 0, *, otherwise: list[float]) -> float:
    if len(squares) - lost > 0:
        return sqrt(sum(squares) / (len(squares) - lost))
    return sqrt(sum(otherwise) / len(otherwise)) if otherwise else 0.0


def plain_naive(y: Floats, horizon: int) -> Plain:
    last = last_before(y, len(y) - 1)
    assert last is not None
    spread = root_mean(walk(y), otherwise=[])
    return [y[last]] * horizon, [spread * sqrt(len(y) - 1 + h - last) for h in range(1, horizon + 1)]


def plain_seasonal(y: Floats, horizon: int, m: int) -> Plain | None:
    if any(last_before(y, t, stride=m) is None for t in range(len(y) - m, len(y))):
        return None
    targets = range(len(y), len(y) + horizon)
    from_ = [last_before(y, t, stride=m) or 0 for t in targets]
    squares = [(b - a) ** 2 for a, b in zip(y, y[m:], strict=False) if not np.isnan(b - a)]
    spread = root_mean(squares, otherwise=walk(y))
    return [y[k] for k in from_], [spread * sqrt((t - k) / m) for t, k in zip(targets, from_, strict=True)]


def plain_drift(y: Floats, horizon: int) -> Plain | None:
    seen = [t for t in range(len(y)) if not np.isnan(y[t])]
    if len(seen) < 2:
        return None
    span = seen[-1] - seen[0]
    slope = (y[seen[-1]] - y[seen[0]]) / span
    squares = [(y[b] - y[a] - slope * (b - a)) ** 2 / (b - a) for a, b in pairwise(seen)]
    spread = root_mean(squares, 1, otherwise=walk(y))
    ahead = [len(y) - 1 + h - seen[-1] for h in range(1, horizon + 1)]
    return [y[seen[-1]] + slope * h for h in ahead], [spread * sqrt(h * (1 + h / span)) for h in ahead]


def plain_window(y: Floats, horizon: int, size: int) -> Plain | None:
    seen = [v for v in y[-size:] if not np.isnan(v)]
    if not seen:
        return None
    mean = sum(seen) / len(seen)
    spread = root_mean([(v - mean) ** 2 for v in seen], 1, otherwise=walk(y))
    return [mean] * horizon, [spread * sqrt(1 + 1 / len(seen))] * horizon


def plain_seasonal_drift(y: Floats, horizon: int, m: int) -> Plain | None:
    seasonal = plain_seasonal(y, horizon, m)
    rises = [b - a for a, b in zip(y, y[m:], strict=False)]
    recent = [d for d in rises[-m:] if not np.isnan(d)]
    if seasonal is None or len(y) < 2 * m or not recent:
        return None
    trend = sum(recent) / len(recent)
    spread = root_mean([(d - trend) ** 2 for d in rises if not np.isnan(d)], 1, otherwise=walk(y))
    ahead = [(t - (last_before(y, t, stride=m) or 0)) / m for t in range(len(y), len(y) + horizon)]
    return ([p + n * trend for p, n in zip(seasonal[0], ahead, strict=True)],
            [spread * sqrt(n * (1 + n / len(recent))) for n in ahead])


def plain(baseline: Baseline, y: Floats, horizon: int) -> Plain:
    tried = {"naive": [], "seasonal_naive": [plain_seasonal(y, horizon, 4)], "drift": [plain_drift(y, horizon)],
             "window_average": [plain_window(y, horizon, 6)],
             "seasonal_naive_drift": [plain_seasonal_drift(y, horizon, 4), plain_seasonal(y, horizon, 4)]}
    return next(filter(None, tried[baseline.name]), None) or plain_naive(y, horizon)


@each_simple
@pytest.mark.parametrize("missing", [0.0, 0.15, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_all_series_at_once_are_the_plain_loop_one_by_one(baseline: Baseline, missing: float, seed: int) -> None:
    panel = ragged(seed, missing=missing)
    forecast = baseline.predict(panel, 11)
    z = np.array([NormalDist().inv_cdf(q) for q in baseline.quantiles])
    for s in range(len(panel)):
        middle, spread = plain(baseline, panel.values(s), 11)
        assert forecast.values[s] == pytest.approx(np.array(middle)[:, None] + np.outer(spread, z), rel=1e-9, abs=1e-6)


# Promises of every forecaster

@each_baseline
def test_it_is_a_forecaster_that_keeps_the_shape(baseline: Baseline) -> None:
    forecaster: Forecaster = baseline
    panel = ragged(0)
    forecast = forecaster.predict(panel, 7)
    assert forecast.values.shape == (len(panel), 7, 5)
    assert forecast.quantiles == (0.025, 0.1, 0.5, 0.9, 0.975)
    assert np.isfinite(forecast.values).all()
    assert (np.diff(forecast.values, axis=2) >= 0).all()
    assert forecast.panel is panel


@each_baseline
def test_it_gives_the_quantiles_it_is_asked_for(baseline: Baseline) -> None:
    panel, narrow = ragged(0), BASELINES[baseline.name](4, quantile_grid((50.0,)))
    low, high = narrow.predict(panel, 3).band(50)
    outer_low, outer_high = BASELINES[baseline.name](4).predict(panel, 3).band(80)
    assert ((outer_low <= low) & (high <= outer_high)).all()


@each_baseline
def test_a_batch_equals_its_rows_one_by_one_to_the_bit(baseline: Baseline) -> None:
    panel = ragged(1)
    together = baseline.predict(panel, 9)
    for s in range(len(panel)):
        alone = baseline.predict(panel_of(panel.values(s)), 9)
        assert np.array_equal(together.values[s], alone.values[0])
        assert together.source[s] == alone.source[0]


@each_baseline
def test_values_after_the_cutoff_do_not_change_the_forecast(baseline: Baseline) -> None:
    y = np.random.default_rng(0).normal(0, 1, (3, 30))
    other = y.copy()
    other[:, 22:] = 1e6
    one, two = (baseline.predict(panel_of(*v).drop_last(8), 5) for v in (y, other))
    assert np.array_equal(one.values, two.values)


@each_simple
@quick
@given(a=st.floats(0.01, 1e4), b=st.floats(-1e5, 1e5), seed=st.integers(0, 20))
def test_units_do_not_matter(baseline: Baseline, a: float, b: float, seed: int) -> None:
    panel = ragged(seed)
    moved = baseline.predict(replace(panel, y=a * panel.y + b), 6).values
    assert moved == pytest.approx(a * baseline.predict(panel, 6).values + b, rel=1e-7, abs=1e-6 * (a + abs(b)))


@each_baseline
def test_the_panel_is_left_as_it_was(baseline: Baseline) -> None:
    panel, same = ragged(2), ragged(2)
    for array in (panel.y, panel.first, panel.stop, panel.start):
        array.setflags(write=False)
    baseline.predict(panel, 5)
    assert np.array_equal(panel.y, same.y, equal_nan=True)


@each_baseline
def test_a_panel_of_no_series_gives_a_forecast_of_none(baseline: Baseline) -> None:
    assert baseline.predict(panel_of(), 4).values.shape == (0, 4, 5)


@each_baseline
def test_the_forecast_is_the_same_however_many_series_are_gathered_at_a_time(
        baseline: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = baseline.predict(ragged(3), 6)
    monkeypatch.setattr("forecast.methods.baselines.BLOCK", 13)                 # two or three rows
    assert np.array_equal(baseline.predict(ragged(3), 6).values, at_once.values)


def test_bands_of_naive_cover_a_random_walk_as_often_as_they_say() -> None:
    y = np.random.default_rng(5).normal(0, 1, (2000, 60)).cumsum(axis=1)
    forecast: Forecast = Naive().predict(panel_of(*y[:, :50]), 10)
    low, high = forecast.band(80)
    assert ((low <= y[:, 50:]) & (y[:, 50:] <= high)).mean() == pytest.approx(0.80, abs=0.02)


@pytest.mark.parametrize("name", BASELINES)
def test_the_table_makes_each_baseline_under_its_own_name(name: str) -> None:
    baseline = BASELINES[name](12)
    assert baseline.name == name
    assert baseline.predict(panel_of(np.arange(30.0)), 2).source.tolist() == [name]


def test_every_baseline_is_in_the_table() -> None:
    assert {b.name for b in ALL} == BASELINES.keys()
