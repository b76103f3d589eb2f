"""Hindsight: how errors hang together on the past of data that nothing has been learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from forecast.config import Config
from forecast.methods.baselines import Naive
from forecast.model import hindsight
from forecast.model.dependence import USUAL_BETWEEN, USUAL_COMMON, Dependence
from forecast.model.hindsight import MOST_SERIES, comparable, count_apart, hanging_together, past_errors
from forecast.model.predictor import Predictor
from forecast.model.prior import shipped
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecaster
from forecast.series.panel import Panel
from forecast.tasks.prior import looking_back

HORIZON = 3


def days(series: list[Floats], **others: object) -> Panel:
    return Panel.of(series, Calendar.of("step"), **others)              # type: ignore[arg-type]


def of_prior(panel: Panel) -> Predictor:
    return Predictor.of_prior(Config().override({"model.horizon": HORIZON}, source="here"), panel, shipped())


def correlation(found: Dependence) -> Floats:
    root = found.root(HORIZON)
    return np.asarray(root @ root.T)


def test_series_that_end_together_before_1970_are_comparable_too() -> None:
    panel = Panel.of([np.arange(20.0), np.arange(19.0)], Calendar.of("MS"), start=[-200, -200])
    assert comparable(panel).tolist() == [True, False]


def test_errors_of_the_past_are_truth_less_what_was_said_then() -> None:
    panel = days([np.arange(20.0), np.arange(20.0) ** 2])
    errors, _ = past_errors(Naive(quantiles=(0.1, 0.5, 0.9)), panel, [6, 3], HORIZON)
    assert errors.shape == (2, 2, HORIZON)
    assert errors[:, 0].tolist() == [[1, 2, 3], [1, 2, 3]]              # a line runs away from its last value
    assert errors[1, 1].tolist() == [17**2 - 16**2, 18**2 - 16**2, 19**2 - 16**2]


def test_how_far_series_err_together_is_seen() -> None:
    rng = np.random.default_rng(4)
    shared = rng.normal(size=400)
    for weight in (0.0, 0.7):
        panel = days([10 + np.sqrt(weight) * shared + np.sqrt(1 - weight) * rng.normal(size=400) for _ in range(6)])
        found = looking_back(of_prior(panel), panel, HORIZON).dependence
        assert found.between == pytest.approx(weight, abs=0.15)


def test_of_very_many_series_some_are_looked_at() -> None:
    panel = days(list(np.random.default_rng(5).normal(10, 1, (MOST_SERIES + 100, 80))))
    found = hanging_together(of_prior(panel), panel, HORIZON)
    assert found is not None
    assert found.between == pytest.approx(0, abs=0.02)


def test_a_long_series_tells_no_more_than_the_windows_looked_at() -> None:
    panel = days([np.random.default_rng(9).normal(10, 1, 100_000)])
    found = looking_back(of_prior(panel), panel, HORIZON).dependence
    assert found.share > 0.5                                            # of 40 windows of noise: mostly the shape


def test_windows_apart_are_no_more_than_there_are() -> None:
    assert count_apart([60, 57, 54], 3) == 3
    assert count_apart([6, 5, 4, 3], 3) == 2
    assert count_apart([300, 3], 3) == 2


def test_the_longer_the_horizon_the_fewer_windows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = days(list(np.random.default_rng(10).normal(10, 1, (30, 80))))
    seen = list[int]()

    def noted(forecaster: Forecaster, some: Panel, cutoffs: Sequence[int], horizon: int) -> tuple[Floats, Floats]:
        seen.append(len(some) * len(cutoffs) * horizon)
        return past_errors(forecaster, some, cutoffs, horizon)

    monkeypatch.setattr(hindsight, "past_errors", noted)
    monkeypatch.setattr(hindsight, "NUMBERS", 1_000)
    for horizon in (HORIZON, 12):
        assert hanging_together(Naive(quantiles=(0.1, 0.5, 0.9)), panel, horizon) is not None
    assert seen[0] > 500
    assert max(seen) <= 1_000


def test_steps_of_noise_have_nothing_to_do_with_each_other_and_those_of_a_walk_do() -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(8, 400))
    seen = [correlation(looking_back(of_prior(panel), panel, HORIZON).dependence)[0, 1] for panel in (
        days(list(10 + noise)), days(list(100 + noise.cumsum(axis=1))))]
    assert seen[0] < 0.2
    assert seen[1] > 0.6


def test_what_is_too_short_to_tell_goes_by_the_usual() -> None:
    panel = days([np.arange(14.0), np.arange(14.0)[::-1]])
    found = looking_back(of_prior(panel), panel, HORIZON).dependence
    assert (found.between, found.common) == (USUAL_BETWEEN, USUAL_COMMON)


def test_series_without_a_value_tell_nothing() -> None:
    panel = days([np.full(60, np.nan), *np.random.default_rng(7).normal(10, 1, (2, 60))])
    found = looking_back(of_prior(panel), panel, HORIZON)
    assert found.dependence.between < USUAL_BETWEEN


def test_a_trained_model_keeps_what_held_out_windows_told() -> None:
    panel = days([np.random.default_rng(8).normal(10, 1, 60)])
    prior = of_prior(panel)
    trained = replace(prior, members=(object(),))                       # type: ignore[arg-type]
    assert looking_back(trained, panel, HORIZON) is trained
