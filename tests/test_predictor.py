from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from forecast.model.predictor import EXPERTS, Predictor
from forecast.model.prior import TUNED
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from tests.conftest import altered, in_units, quick, shaken, trained, waves


def random_weights(panel: Panel, **changes: object) -> Predictor:
    """Properties of the pipeline hold for any weights; no training needed."""
    predictor = Predictor.new(quick(**changes), panel)
    return altered(predictor, network=shaken(predictor.members[0].network, spread=0.3), steps=1)


def test_values_after_the_cutoff_do_not_change_the_forecast(panel: Panel) -> None:
    predictor, known = random_weights(panel), panel.drop_last(7)
    changed = dataclasses.replace(panel, y=panel.y.copy())
    for s in range(len(panel)):
        changed.y[panel.stop[s] - 7:panel.stop[s]] = 1e6
    one, two = predictor.predict(known, 4), predictor.predict(changed.drop_last(7), 4)
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize(("a", "b"), [(3.0, 0.0), (1e-6, 5.0), (1e6, -2e5), (1e150, 0.0), (1e-150, 0.0)])
def test_units_do_not_matter(a: float, b: float) -> None:
    panel = waves()
    predictor = random_weights(panel, model_transform="none")
    moved = dataclasses.replace(panel, y=a * panel.y + b)
    expected = a * predictor.predict(panel, 4).values + b
    np.testing.assert_allclose(predictor.predict(moved, 4).values, expected, rtol=1e-6)


def test_under_log_a_change_of_scale_does_not_matter(panel: Panel) -> None:
    predictor = in_units(random_weights(panel), "log", panel)
    moved = dataclasses.replace(panel, y=1e9 * panel.y)
    np.testing.assert_allclose(predictor.predict(moved, 4).values, 1e9 * predictor.predict(panel, 4).values, rtol=1e-9)


def test_series_do_not_see_each_other_to_the_bit() -> None:
    panel = waves(9, 120)
    predictor = random_weights(panel)
    together = predictor.predict(panel, 4).values
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_array_equal(predictor.predict(panel.take(order), 4).values, together[order])
    for s in range(9):
        np.testing.assert_array_equal(predictor.predict(panel.take([s]), 4).values[0], together[s])


def test_more_series_than_a_block_are_forecast_as_in_one(panel: Panel) -> None:
    predictor = random_weights(panel)
    many = panel.take(np.arange(200) % 3)
    one = predictor.predict(panel, 4).values
    np.testing.assert_array_equal(predictor.predict(many, 4).values, one[np.arange(200) % 3])


def test_a_shorter_horizon_is_the_beginning_of_the_trained_one(panel: Panel) -> None:
    predictor = random_weights(panel)
    np.testing.assert_array_equal(predictor.predict(panel, 2).values, predictor.predict(panel, 4).values[:, :2])


def test_a_longer_horizon_goes_on_from_the_median_with_bands_that_widen(predictor: Predictor, panel: Panel) -> None:
    longer, trained = predictor.predict(panel, 11), predictor.predict(panel, 4)
    np.testing.assert_array_equal(longer.values[:, :4], trained.values)
    from_median = Panel.of([np.append(panel.values(s), trained.point[s]) for s in range(len(panel))], panel.calendar)
    np.testing.assert_allclose(longer.point[:, 4:8], predictor.predict(from_median, 4).point, rtol=1e-12)
    low, high = longer.band(80)
    assert np.all((high - low)[:, 8:].mean(axis=1) > (high - low)[:, :4].mean(axis=1))
    assert np.all(np.diff(longer.values, axis=2) >= 0)


def test_a_series_too_short_falls_back_and_says_so(panel: Panel) -> None:
    predictor = random_weights(panel)
    short = Panel.of([panel.values(0), [5.0, 6.0]], panel.calendar, ids=["long", "short"])
    forecast = predictor.predict(short, 4)
    assert forecast.source.tolist() == ["lstm", "fallback:short"]
    assert forecast.point[1].tolist() == [6.0] * 4
    np.testing.assert_array_equal(forecast.values[0], predictor.predict(panel.take([0]), 4).values[0])


def test_a_log_model_falls_back_on_a_series_that_is_not_positive(panel: Panel) -> None:
    predictor = in_units(random_weights(panel), "log", panel)
    below = Panel.of([panel.values(0), panel.values(1) - 1000], panel.calendar)
    forecast = predictor.predict(below, 4)
    assert forecast.source.tolist() == ["lstm", "fallback:not_positive"]
    assert np.isfinite(forecast.values).all()


def test_forecasts_are_finite_even_when_weights_overflow(panel: Panel) -> None:
    predictor = in_units(random_weights(panel), "log", panel)
    network = predictor.members[0].network
    predictor = altered(predictor, network=network.replace(offset=1e6 + network.tensors["offset"]))     # exp is beyond
    forecast = predictor.predict(panel, 4)
    assert set(forecast.source) == {"fallback:not_finite"}
    assert np.isfinite(forecast.values).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 5.0, -3e9, 1e-12])
def test_a_constant_series_stays_exactly_constant(predictor: Predictor, value: float) -> None:
    flat = Panel.of([[value] * 40], Calendar.of("step"))
    plain = in_units(predictor, "none", flat)
    assert np.all(plain.predict(flat, 4).values == value)


def test_a_series_that_stands_still_after_it_moved_is_not_called_certain(panel: Panel) -> None:
    predictor = random_weights(panel, model_transform="none")
    still = Panel.of([[*np.sin(np.arange(40.0)), *([2.0] * 30)]], panel.calendar)
    forecast = predictor.predict(still, 4)
    low, high = forecast.band(95)
    assert forecast.source.tolist() == ["seasonal_naive"]
    assert np.all(high > low)


def test_prediction_does_not_change_the_predictor_or_the_panel(panel: Panel) -> None:
    predictor = random_weights(panel)
    before, y = {k: v.copy() for k, v in predictor.members[0].network.tensors.items()}, panel.y.copy()
    predictor.predict(panel, 9)
    assert all(np.array_equal(v, before[k]) for k, v in predictor.members[0].network.tensors.items())
    np.testing.assert_array_equal(panel.y, y)


def test_a_series_not_seen_in_training_is_scaled_by_its_own_past(panel: Panel) -> None:
    predictor = random_weights(panel, model_scaling="standard")
    new = Panel.of([panel.values(0)], panel.calendar, ids=["new"])
    np.testing.assert_allclose(predictor.predict(new, 4).values[0], predictor.predict(panel, 4).values[0], rtol=1e-12)


@pytest.mark.parametrize(("where", "value"), [(20, 1e30), (85, 1e9), (88, -1e6)])
def test_one_absurd_value_leaves_the_other_series_alone_and_its_own_near_its_level(where: int, value: float) -> None:
    panel = waves(3)
    panel.y[where] = value                                              # of s0, around 20 to 35
    predictor = trained(quick(model_blend=True), panel)
    forecast = predictor.predict(panel, 4)
    low, high = forecast.band(95)
    for s in range(3):
        usual = np.median(panel.values(s)[-18:])
        assert np.all(np.abs(forecast.point[s] - usual) < 2 * usual)
        assert np.all((high - low)[s] < 10 * usual)


def test_one_absurd_value_long_ago_does_not_carry_the_experts_away() -> None:
    y = waves(1, 90).y.copy()
    plain = Panel.of([y], Calendar.of("step"))
    predictor = random_weights(plain)
    sane = predictor.parts(plain, EXPERTS)[0]
    y[30] = 1e9
    given = predictor.parts(Panel.of([y], Calendar.of("step")), EXPERTS)[0]
    for name in EXPERTS:
        assert name == TUNED or np.abs(given[name][0, :, 2]).max() < 1e3
    linear = predictor.parts(plain, ["linear.0"])[0]["linear.0"]
    assert any(not np.array_equal(sane[name], linear) for name in EXPERTS)
