"""Scaling: there and back for any size of numbers, per series as scikit-learn does it column by column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import preprocessing

from forecast.series import units
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.series.units import (
    TRANSFORMS,
    Units,
    median_mad,
    normalised,
    restored,
    series_loc_scale,
    window_loc_scale,
    without_absurd,
)
from forecast.series.windows import ends_of

quick = settings(max_examples=50, deadline=None)
STEPS = Calendar.of("step")
NONE = np.nan
KINDS = {"standard": preprocessing.StandardScaler, "robust": preprocessing.RobustScaler,
         "minmax": preprocessing.MinMaxScaler}
each_kind = pytest.mark.parametrize("kind", KINDS)


def back_and_forth(context: Floats, season: int = 2) -> Floats:
    loc, scale = window_loc_scale(context, season)
    return restored(normalised(context, loc, scale), loc, scale)


# Per window

def test_loc_is_the_mean_of_the_last_season_and_scale_the_spread_around_it() -> None:
    loc, scale = window_loc_scale(np.array([[9.0, 1.0, 2.0, 4.0]]), 2)
    assert loc.tolist() == [[3.0]]
    assert scale[0, 0] == pytest.approx(np.sqrt((36 + 4 + 1 + 1) / 4))


def test_a_missing_value_counts_nowhere() -> None:
    loc, scale = window_loc_scale(np.array([[NONE, 9.0, 1.0, NONE, 2.0, 4.0]]), 3)
    assert loc.tolist() == [[3.0]]
    assert scale[0, 0] == pytest.approx(np.sqrt((36 + 4 + 1 + 1) / 4))


def test_a_last_season_without_a_value_falls_back_on_all_there_is() -> None:
    assert window_loc_scale(np.array([[1.0, 3.0, NONE, NONE]]), 2)[0].tolist() == [[2.0]]


def test_a_window_without_a_value_has_neither_and_says_so_without_a_warning() -> None:
    loc, scale = window_loc_scale(np.array([[NONE, NONE], [1.0, 3.0]]), 2)
    assert np.isnan(loc[0, 0])
    assert np.isnan(scale[0, 0])
    assert (loc[1, 0], scale[1, 0]) == (2.0, 1.0)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e150, 1e-150, 3.3])
def test_a_constant_window_is_restored_exactly_whatever_is_forecast(value: float) -> None:
    context = np.array([[value, NONE, value, value]])
    loc, scale = window_loc_scale(context, 2)
    assert (loc.tolist(), scale.tolist()) == ([[value]], [[0.0]])
    assert restored(np.array([[5.0, -7.0]]), loc, scale).tolist() == [[value, value]]
    np.testing.assert_array_equal(back_and_forth(context), context)


@pytest.mark.parametrize("size", [1e-150, 1e-3, 1.0, 1e150])
def test_any_size_is_brought_to_the_same_numbers_and_back(size: float) -> None:
    context = np.array([[3.0, 1.0, 4.0, 1.0, 5.0, 9.0]])
    unit = normalised(context, *window_loc_scale(context, 2))
    np.testing.assert_allclose(normalised(context * size, *window_loc_scale(context * size, 2)), unit, rtol=1e-12)
    np.testing.assert_allclose(back_and_forth(context * size), context * size, rtol=1e-12)


@given(arrays(np.float64, (2, 5), elements=st.floats(-1e150, 1e150).filter(
    lambda v: v == 0 or abs(v) > 1e-150)), st.integers(1, 5))
@quick
def test_there_and_back_is_the_identity(context: Floats, season: int) -> None:
    tolerance = 1e-12 * np.abs(context).max(axis=1, keepdims=True)
    assert (np.abs(back_and_forth(context, season) - context) <= tolerance).all()


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150])
def test_a_transformation_and_its_inverse_are_the_identity(name: str, size: float) -> None:
    forward, backward = TRANSFORMS[name]
    values = size * np.array([1.0, 2.0, 0.5])
    np.testing.assert_allclose(backward(forward(values)), values, rtol=1e-12)


def test_windows_do_not_see_each_other() -> None:
    context = np.random.default_rng(0).normal(size=(5, 8))
    together = window_loc_scale(context, 3)
    for k in range(5):
        alone = window_loc_scale(context[[k]], 3)
        assert (alone[0][0, 0], alone[1][0, 0]) == (together[0][k, 0], together[1][k, 0])


# asinh: median, deviation from it, and spikes drawn in

def test_median_and_median_deviation_are_numpys_over_what_is_there() -> None:
    context = np.random.default_rng(0).normal(size=(200, 11))
    context[np.random.default_rng(1).random(context.shape) < 0.3] = NONE
    loc, scale = median_mad(context, 4)
    middle = np.nanmedian(context, axis=1, keepdims=True)
    np.testing.assert_allclose(loc, middle, rtol=1e-12)
    np.testing.assert_allclose(scale, 1.4826 * np.nanmedian(np.abs(context - middle), axis=1, keepdims=True))


def test_where_half_the_values_are_one_the_unit_is_the_spread_and_a_constant_window_is_exact() -> None:
    context = np.array([[0.0, 0.0, 0.0, 3.0], [7.0, 7.0, NONE, 7.0], [NONE] * 4])
    loc, scale = median_mad(context, 4)
    assert (loc[0, 0], scale[0, 0]) == (0.0, window_loc_scale(context[:1], 4)[1][0, 0])
    assert (loc[1, 0], scale[1, 0]) == (7.0, 0.0)
    assert np.isnan(loc[2, 0])


@pytest.mark.parametrize("spike", [50.0, -50.0, 5e6])
def test_a_spike_is_drawn_in_moves_no_unit_and_comes_back(spike: float) -> None:
    plain = np.random.default_rng(0).normal(100, 1, 60)
    odd = np.r_[plain[:59], 100 + spike, plain[59]]
    of, seen = Units.of("asinh", "window", 4, Panel.of([plain], STEPS)), []
    for series in (plain, odd):
        panel = Panel.of([series], STEPS)
        seen.append(of.batch(panel, ends_of(panel), context=len(series)))
        np.testing.assert_allclose(of.restored(seen[-1].known, seen[-1])[0][~np.isnan(seen[-1].context[0])],
                                   series[~np.isnan(seen[-1].context[0])], rtol=1e-9)
    assert seen[1].loc[0, 0] == pytest.approx(seen[0].loc[0, 0], abs=0.1)
    assert seen[1].scale[0, 0] == pytest.approx(seen[0].scale[0, 0], rel=0.2)
    assert np.nanmax(np.abs(seen[1].known)) < 6                         # 50 units: arsinh 50 = 4.6; 5e6 is absurd


# Per series

RAGGED: list[list[float]] = [[1, 5, 2, 8], [10, NONE, 30], [7], [4, 4, 4, 4, 4, 4], [-2, 3]]


def loc_scale_of(fitted: object, kind: str) -> tuple[float, float]:
    if kind == "standard":
        return fitted.mean_[0], fitted.scale_[0]
    if kind == "robust":
        return fitted.center_[0], fitted.scale_[0]
    return fitted.data_min_[0], fitted.data_range_[0]


@each_kind
def test_each_series_is_scaled_as_scikit_learn_scales_it_alone(kind: str) -> None:
    loc, scale = series_loc_scale(Panel.of(RAGGED, STEPS), kind)
    for s, series in enumerate(RAGGED):
        there = np.array([[v] for v in series if v == v])
        oracle = loc_scale_of(KINDS[kind]().fit(there), kind)
        flat = there.min() == there.max()
        np.testing.assert_allclose((loc[s], scale[s]), (there[0, 0], 0.0) if flat else oracle, rtol=1e-12)


@each_kind
@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150])
def test_series_of_any_size_come_back(kind: str, size: float) -> None:
    panel = Panel.of([np.array([3.0, 1.0, 4.0, 1.0, 5.0]) * size, [2.5, 2.5]], STEPS)
    loc, scale = series_loc_scale(panel, kind)
    for s in range(2):
        values = panel.values(s)
        unit = normalised(values, loc[s], scale[s])
        assert np.abs(unit).max() < 10
        np.testing.assert_allclose(restored(unit, loc[s], scale[s]), values, rtol=1e-12)


@each_kind
def test_blocks_of_series_are_scaled_as_all_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = Panel.of(RAGGED, STEPS)
    whole = series_loc_scale(panel, kind)
    monkeypatch.setattr(units, "BLOCK", 12)
    np.testing.assert_array_equal(series_loc_scale(panel, kind), whole)


@each_kind
def test_series_without_a_value_have_neither_and_do_not_disturb_the_others(kind: str) -> None:
    loc, scale = series_loc_scale(Panel.of([[NONE, NONE], [1.0, 2.0, 4.0], []], STEPS), kind)
    assert np.isnan(loc[[0, 2]]).all()
    assert np.isnan(scale[[0, 2]]).all()
    alone = series_loc_scale(Panel.of([[1.0, 2.0, 4.0]], STEPS), kind)
    assert (loc[1], scale[1]) == (alone[0][0], alone[1][0])
    assert np.isnan(series_loc_scale(Panel.of([[]], STEPS), kind)[0]).all()


def test_only_what_the_panel_reaches_is_looked_at() -> None:
    panel = Panel.of([[1.0, 3.0, 1e9], [2.0, 6.0, -1e9]], STEPS)
    loc, _ = series_loc_scale(panel.drop_last(1), "standard")
    assert loc.tolist() == [2.0, 4.0]


def test_series_are_aligned_at_their_ends() -> None:
    matrix = Panel.of([[1, 2, 3], [4], [5, 6]], STEPS).aligned()
    np.testing.assert_array_equal(matrix, [[1, NONE, NONE], [2, NONE, 5], [3, 4, 6]])


@each_kind
def test_what_was_given_is_left_as_it_was(kind: str) -> None:
    panel = Panel.of(RAGGED, STEPS)
    before = panel.y.copy()
    series_loc_scale(panel, kind)
    context = panel.y[None, :].copy()
    back_and_forth(context)
    np.testing.assert_array_equal(panel.y, before)
    np.testing.assert_array_equal(context[0], before)


def test_one_absurd_value_of_a_window_is_none_and_a_sane_window_is_left_as_it_is() -> None:
    random = np.random.default_rng(0)
    sane = np.cumsum(random.normal(size=(50, 40)), axis=1)
    np.testing.assert_array_equal(without_absurd(sane), sane)
    for place in (0, 7, 39):
        spoilt = sane.copy()
        spoilt[:, place] = 1e30
        expected = sane.copy()
        expected[:, place] = NONE
        np.testing.assert_array_equal(without_absurd(spoilt), expected)


def test_a_new_level_is_not_absurd() -> None:
    y = 1 + 0.001 * np.random.default_rng(0).normal(size=(1, 40))
    y[0, 37:] += 5
    np.testing.assert_array_equal(without_absurd(y), y)


def test_the_spikes_of_an_intermittent_series_are_left_alone() -> None:
    y = np.zeros((1, 40))
    y[0, [3, 20, 33]] = 9.0, 400.0, 5.0
    np.testing.assert_array_equal(without_absurd(y), y)


def test_units_of_a_spoilt_window_are_those_of_its_other_values() -> None:
    y = np.sin(np.arange(40.0)) + 10
    spoilt_y = np.where(np.arange(40) == 30, 1e12, y)
    panel = Panel.of([y, spoilt_y], Calendar.of("step"))
    seen = Units.of("none", "window", 6, panel).batch(panel, ends_of(panel), context=40)
    assert seen.loc[1] == pytest.approx(seen.loc[0], rel=1e-6)
    assert seen.scale[1] == pytest.approx(seen.scale[0], rel=0.05)
    assert np.nanmax(np.abs(seen.context[1])) < 3
