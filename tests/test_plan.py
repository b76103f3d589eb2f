"""Plan: sizes as given, or by frequency and data; seasons found where they were planted, and nowhere else."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forecast.config import Config
from forecast.errors import DataError, ForecastError, RequestError
from forecast.model.plan import Plan, backtest_cutoffs, find_seasons, make_plan
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel

quick = settings(max_examples=100, deadline=None)
STEPS = Calendar.of("step")
NONE = np.nan


def config_of(**values: object) -> Config:
    """config_of(model_horizon=3) is the default with model.horizon 3."""
    return Config().override({key.replace("_", ".", 1): value for key, value in values.items()}, source="test")


def panel_of(*lengths: int, freq: str = "step") -> Panel:
    return Panel.of([np.arange(n, dtype=float) for n in lengths], Calendar.of(freq))


def planned(*lengths: int, freq: str = "step", **values: object) -> Plan:
    return make_plan(config_of(**values), panel_of(*lengths, freq=freq))


# Sizes

def test_monthly_data_are_planned_by_their_frequency() -> None:
    plan = planned(144, freq="MS")
    assert (plan.horizon, plan.seasons, plan.season_source) == (12, (12,), "by frequency")
    assert (plan.context, plan.segment, plan.min_context, plan.validation, plan.hidden) == (36, 12, 12, 24, 16)


def test_given_sizes_are_kept() -> None:
    plan = planned(200, freq="D", model_horizon=5, model_season="10,20", model_context=30, model_segment=6,
                   model_hidden=3, train_validation_size=17)
    assert (plan.horizon, plan.seasons, plan.season_source) == (5, (10, 20), "given")
    assert (plan.context, plan.segment, plan.hidden, plan.validation) == (30, 6, 3, 17)


def test_a_season_of_one_may_be_asked_for() -> None:
    assert planned(100, freq="MS", model_season=1).seasons == (1,)


def test_a_season_that_the_data_do_not_hold_twice_is_left_out() -> None:
    assert planned(24 * 10, freq="h").seasons == (24,)
    assert planned(24 * 15, freq="h").seasons == (24, 168)
    assert planned(24 * 60, freq="h").context == 2 * 168
    assert planned(600, freq="W").context == 3 * 52
    assert planned(23, freq="MS", model_horizon=2).seasons == (1,)


@given(st.integers(1, 400), st.integers(1, 30), st.none() | st.integers(1, 50), st.none() | st.integers(2, 60),
       st.none() | st.integers(1, 60), st.none() | st.integers(1, 500))
@quick
def test_any_plan_fits_its_data_and_is_plain_json(length: int, horizon: int, season: int | None, context: int | None,
                                                  segment: int | None, validation: int | None) -> None:
    config = config_of(model_horizon=horizon, model_season=season, model_context=context, model_segment=segment,
                       train_validation_size=validation)
    try:
        plan = make_plan(config, panel_of(length))
    except DataError:
        assume(False)
    assert plan.context % plan.segment == 0
    assert plan.min_context <= plan.context
    assert plan.context >= (context or 1)
    assert horizon <= plan.validation <= length - plan.min_context - horizon
    assert plan.least <= length
    assert all(type(v) in (int, float, str, tuple) for v in asdict(plan).values())
    assert all(type(s) is int for s in plan.seasons)
    assert Plan(**json.loads(json.dumps(asdict(plan))) | {"seasons": plan.seasons}) == plan


def test_units_grow_with_the_number_of_windows() -> None:
    hidden = [planned(*[100] * count, freq="D").hidden for count in (1, 100, 1000)]
    assert hidden == [16, 64, 128]


def test_integer_steps_need_a_horizon() -> None:
    with pytest.raises(RequestError, match="Give --horizon N") as caught:
        planned(100)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("lengths", [(17, 3), (5,), ()])
def test_data_too_short_are_refused_with_the_numbers(lengths: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        planned(*lengths, model_horizon=7, model_season=4)
    longest = max(lengths, default=0)
    assert caught.value.exit_code == 3
    assert f"has {longest} points; a horizon of 7 needs 18 (season 4)" in caught.value.problem.message


def test_data_just_long_enough_are_planned() -> None:
    assert planned(18, model_horizon=7, model_season=4).least == 18


# Seasons

def seasonal(season: int, cycles: int, noise: float = 0.3, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return np.tile(rng.normal(size=season), cycles) + noise * rng.normal(size=season * cycles)


@pytest.mark.parametrize("season", [7, 12, 24])
@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_a_planted_season_is_found(season: int, size: float) -> None:
    trend = 0.05 * np.arange(season * 12)
    assert find_seasons(Panel.of([size * (seasonal(season, 12) + trend)], STEPS)) == (season,)


def test_the_day_and_the_week_of_hourly_data_are_found() -> None:
    day, week = np.tile(seasonal(24, 7, 0), 8), np.tile(np.repeat([0.0, 0, 0, 0, 0, 1, 1], 24), 8)
    noise = 0.1 * np.random.default_rng(1).normal(size=len(day))
    assert find_seasons(Panel.of([day * (1 + week) + noise], STEPS)) == (24, 168)


def test_the_year_of_the_air_passengers_is_found() -> None:
    with (Path(__file__).parents[1] / "data" / "airpassengers.csv").open() as file:
        values = [float(row[-1]) for row in list(csv.reader(file))[1:]]
    assert find_seasons(Panel.of([values], STEPS)) == (12,)


def test_a_season_is_found_across_ragged_series_with_holes() -> None:
    long, short = seasonal(7, 30), seasonal(7, 3, seed=1)
    long[[5, 50, 51]] = NONE
    panel = Panel.of([long, short, [1.0], [], [NONE, NONE], [3.0] * 50], STEPS)
    assert find_seasons(panel) == (7,)


@pytest.mark.parametrize("length", [30, 100, 225, 500])
def test_noise_and_random_walks_have_no_season(length: int) -> None:
    found = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=length)
        found += sum(find_seasons(Panel.of([values], STEPS)) != (1,)
                     for values in (noise, np.cumsum(noise), np.cumsum(noise + 5)))
    assert found <= 2


def test_copies_of_a_series_say_no_more_than_one() -> None:
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=100)
        assert find_seasons(Panel.of([noise] * 5, STEPS)) == find_seasons(Panel.of([noise], STEPS))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [5.0] * 60, [NONE] * 60, list(range(60))])
def test_what_does_not_vary_has_no_season(values: list[float]) -> None:
    assert find_seasons(Panel.of([values], STEPS)) == (1,)


def test_a_season_is_said_to_be_found_in_the_data() -> None:
    plan = make_plan(config_of(model_horizon=3), Panel.of([seasonal(7, 20)], STEPS))
    assert (plan.seasons, plan.season_source) == ((7,), "found in the data")
    assert planned(100, model_horizon=3).season_source == "none found"


def test_finding_changes_nothing() -> None:
    panel = Panel.of([seasonal(7, 10), [1.0, NONE, 3.0]], STEPS)
    before = panel.y.copy()
    find_seasons(panel)
    np.testing.assert_array_equal(panel.y, before)


# Cutoffs

def cutoffs(length: int, **values: object) -> list[int]:
    panel = panel_of(length)
    config = config_of(model_season=1, model_context=2, **values)
    return backtest_cutoffs(config, panel, make_plan(config, panel))


@pytest.mark.parametrize(("test_size", "horizon"), [(24, 12), (12, 12), (20, 3)])
def test_a_test_of_n_steps_is_cut_n_minus_horizon_plus_1_times_at_step_1(test_size: int, horizon: int) -> None:
    cut = cutoffs(100, model_horizon=horizon, backtest_test_size=test_size, backtest_step=1)
    assert len(cut) == test_size - horizon + 1
    assert cut == list(range(test_size, horizon - 1, -1))


def test_cutoffs_by_hand() -> None:
    assert cutoffs(100, model_horizon=12, backtest_test_size=24) == [24, 12]
    assert cutoffs(100, model_horizon=12, backtest_test_size=30) == [30, 18]
    assert cutoffs(100, model_horizon=10, backtest_windows=3) == [30, 20, 10]
    assert cutoffs(100, model_horizon=10, backtest_windows=3, backtest_step=2) == [14, 12, 10]
    assert cutoffs(100, model_horizon=10) == [40, 30, 20, 10]


def test_by_default_as_many_windows_as_leave_most_for_training() -> None:
    assert cutoffs(60, model_horizon=10) == [20, 10]
    assert cutoffs(32, model_horizon=10) == [10]
    assert cutoffs(31, model_horizon=10) == []


@given(st.integers(8, 200), st.integers(1, 20), st.none() | st.integers(1, 9), st.none() | st.integers(1, 9),
       st.none() | st.integers(1, 60))
@quick
def test_every_forecast_lies_inside_the_data_and_leaves_enough_to_train_on(
        length: int, horizon: int, windows: int | None, step: int | None, test_size: int | None) -> None:
    try:
        cut = cutoffs(length, model_horizon=horizon, backtest_windows=windows, backtest_step=step,
                      backtest_test_size=test_size)
    except ForecastError:
        return
    assert all(type(k) is int and horizon <= k <= length - (2 + 2 * horizon) for k in cut)
    assert cut == sorted(set(cut), reverse=True)
    if windows is not None:
        assert len(cut) == windows


@pytest.mark.parametrize(("values", "said"), [
    ({"backtest_windows": 2, "backtest_test_size": 24}, "Give one of them"),
    ({"backtest_test_size": 11}, "cannot hold"),
    ({"backtest_windows": 9}, "leaves too little"), ({"backtest_test_size": 75}, "at most 74 steps"),
])
def test_contradictions_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        cutoffs(100, model_horizon=12, **values)


def test_the_longest_test_that_leaves_enough_is_taken() -> None:
    assert cutoffs(100, model_horizon=12, backtest_test_size=74)[0] == 74
