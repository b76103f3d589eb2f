"""Covariates in a batch, in a training and in a forecast: each in units of its own, none seen before it is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.explaining.effects import effects_of
from forecast.model.blending import Blend
from forecast.model.guard import History
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats
from forecast.series.covariate_units import CovariateUnits
from forecast.series.covariates import Column, Covariates
from forecast.series.panel import Panel
from forecast.series.units import Units
from forecast.series.windows import ends_of, windows_of
from forecast.showing.effects import described, draw, lines_of
from forecast.tasks.fitting import baseline_makers, own_makers, scored, tell_covariates
from forecast.tasks.teller import Silent
from forecast.training.fit import finished, fit, refit
from tests.conftest import quick, shaken, shops, waves


class Heard(Silent):
    """What is said and warned of."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def say(self, label: str, text: str) -> None:
        self.lines.append(f"{label}: {text}")

    warn = say


def same(values: Floats) -> Floats:
    return values


def with_one(column: Column, values: list[float], panel: Panel) -> Panel:
    """A panel of one series with one column beside it, from its first point on."""
    changing = column.role != "static"
    beside = Covariates((column,), np.array(values)[:, None] if changing else np.empty((len(panel.y), 0)),
                        np.array([0]), panel.start, panel.start + (len(values) if changing else len(panel.y)),
                        np.empty((1, 0)) if changing else np.array([values]))
    return replace(panel, beside=beside, row=np.array([0]))


def line(count: int) -> Panel:
    return waves(1, count)


def test_holes_of_a_column_of_the_past_are_no_business_of_what_is_known_ahead() -> None:
    panel = shops(1, 30)
    columns = (Column("promo", "known"), Column("visitors", "past"))
    values = panel.beside.values[:, [0, 2]].copy()
    values[3, 1] = np.nan
    panel = replace(panel, beside=replace(panel.beside, columns=columns, values=values, static=np.empty((1, 0))))
    units = CovariateUnits.of(panel, (6,), same)
    seen = units.beside(panel, ends_of(panel), units.usual[:, None], context=12, horizon=4, forward=same)
    assert units.holed == (False, True)
    assert (seen.before.shape[2], seen.ahead.shape[2]) == units.sizes[:2] == (5, 2)


def test_a_number_counts_in_deviations_of_its_series_from_its_last_season() -> None:
    panel = with_one(Column("price", "known"), [1, 3, 1, 3, 1, 3, 1, 9], line(6))
    units = CovariateUnits.of(panel, (2,), same)
    assert units is not None
    assert units.loc.tolist() == [[2.0]]
    assert units.scale.tolist() == [[1.0]]                              # what lies behind the end is not looked at
    seen = units.beside(panel, ends_of(panel), units.usual[:, None], context=4, horizon=2, forward=same)
    assert seen.before[0].tolist() == [[-1, -1], [1, 1], [-1, -1], [1, 1]]                  # from the season, from 2
    assert seen.ahead[0].tolist() == [[-1, -1], [7, 7]]
    #      before it, itself, behind it, a season ago, the mean; the window's unit (the logarithm of 1)
    assert seen.around[0].tolist() == [[1, -1, 7, -1, 3, 0], [-1, 7, 7, 1, 3, 0]]
    assert seen.static.tolist() == [[0]]


def test_a_window_of_twice_the_usual_unit_is_moved_half_as_far() -> None:
    panel = with_one(Column("price", "known"), [1, 3, 1, 3, 1, 3, 1, 9], line(6))
    units = CovariateUnits.of(panel, (2,), same)
    assert units is not None
    seen = units.beside(panel, ends_of(panel), 2 * units.usual[:, None], context=4, horizon=2, forward=same)
    assert seen.ahead[0].tolist() == [[-0.5, -1], [3.5, 7]]
    np.testing.assert_allclose(seen.static, np.log(0.5))


def test_flags_stay_as_they_are_and_what_is_missing_is_marked() -> None:
    panel = with_one(Column("promo", "known"), [0, 1, np.nan, 0, 0, 0, 1, np.nan], line(6))
    units = CovariateUnits.of(panel, (2,), same)
    assert units is not None
    assert units.flags == units.holed == (True,)
    seen = units.beside(panel, ends_of(panel), units.usual[:, None], context=4, horizon=2, forward=same)
    assert seen.before[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert seen.ahead[0].tolist() == [[1, 1, 1], [0, 0, 0]]


def test_a_word_is_a_flag_of_its_own_and_an_unknown_one_is_another() -> None:
    panel = with_one(Column("weather", "known", ("dry", "wet")), [0, 1, 0, 1, 0, 0, 1, 2], line(6))
    units = CovariateUnits.of(panel, (2,), same)
    assert units is not None
    seen = units.beside(panel, ends_of(panel), units.usual[:, None], context=4, horizon=2, forward=same)
    assert seen.ahead[0, :, 3:].tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("horizon", [1, 4])
def test_as_many_numbers_come_as_the_sizes_say(horizon: int) -> None:
    panel = shops()
    units = CovariateUnits.of(panel, (6, 12), same)
    assert units is not None
    seen = units.beside(panel, ends_of(panel), units.usual[:, None], context=12, horizon=horizon, forward=same)
    assert units.sizes == tuple(a.shape[-1] for a in (seen.before, seen.ahead, seen.around, seen.static))
    assert all(np.isfinite(a).all() for a in vars(seen).values())


def test_a_series_that_was_not_trained_on_has_units_of_its_own_past() -> None:
    panel = shops()
    both = CovariateUnits.of(panel, (6,), same)
    one = CovariateUnits.of(panel.take([0]), (6,), same)
    assert both is not None
    assert one is not None
    ends = ends_of(panel.take([0]))
    ours, theirs = (replace(u, flags=both.flags, holed=both.holed, loc=u.loc.copy()).beside(
        panel.take([0]), ends, np.ones((1, 1)), context=12, horizon=4, forward=same) for u in (both, replace(
            one, places={}, loc=both.loc[:1], scale=both.scale[:1])))
    np.testing.assert_allclose(ours.ahead, theirs.ahead)
    np.testing.assert_allclose(ours.before, theirs.before)


def test_units_read_back_are_the_same() -> None:
    units = CovariateUnits.of(shops(), (6,), same)
    assert units is not None
    again = CovariateUnits.from_dict(units.to_dict(), (6,))
    assert again.to_dict() == units.to_dict()
    assert (again.columns, again.lags, again.places) == (units.columns, units.lags, units.places)


def predictor_of(panel: Panel, **changes: object) -> Predictor:
    """Untrained, with random weights everywhere: nothing that it is told can leave it cold."""
    config = quick(model_horizon=5, model_season="6", **changes)
    fresh = Predictor.new(config, panel)
    return replace(fresh, members=tuple(replace(m, network=shaken(m.network, spread=0.3), steps=1)
                                        for m in fresh.members))


@given(st.integers(0, 1000), st.integers(1, 3), st.sampled_from([3, 5, 12]))
@settings(max_examples=25, deadline=None)
def test_what_was_not_known_at_the_cut_changes_no_byte_of_a_forecast(seed: int, count: int, horizon: int) -> None:
    """Past ones behind the cut, known ones behind the horizon; the trained one is 5."""
    panel = shops(count, 60, seed=seed, beyond=20)
    beside, known = panel.beside, panel.drop_last(8)
    assert beside is not None
    other = beside.values.copy()
    for s in range(count):
        cut = beside.first[s] + known.end[s] - beside.start[s]
        other[cut:beside.first[s] + beside.stop[s] - beside.start[s], 2] = 1e6 * seed
        other[cut + horizon:beside.first[s] + beside.stop[s] - beside.start[s]] = -7.0
    changed = replace(known, beside=replace(beside, values=other))
    predictor = predictor_of(known)
    np.testing.assert_array_equal(predictor.predict(known, horizon).values, predictor.predict(changed, horizon).values)


def test_what_is_known_at_the_cut_does_change_a_forecast() -> None:
    panel = shops(1, 60)
    predictor, beside = predictor_of(panel), panel.beside
    assert beside is not None
    for row, column in ((62, 0), (62, 1), (59, 2)):
        other = beside.values.copy()
        other[row, column] += 1
        changed = replace(panel, beside=replace(beside, values=other))
        assert (predictor.predict(panel, 5).values != predictor.predict(changed, 5).values).any(), (row, column)


def test_series_do_not_see_each_others_covariates() -> None:
    panel = shops()
    predictor = predictor_of(panel)
    whole = predictor.predict(panel, 5).values
    for s in range(len(panel)):
        np.testing.assert_array_equal(predictor.predict(panel.take([s]), 5).values, whole[s:s + 1])


def test_a_panel_without_covariates_makes_the_batch_it_made() -> None:
    panel = waves(2, 40)
    some = windows_of(panel, horizon=3, min_context=8).take(np.arange(4))
    batch = Units.of("none", "window", 6, panel, lags=(6,)).batch(panel, some, context=8, horizon=3, ahead=3)
    assert (batch.before, batch.ahead, batch.around, batch.static) == (None, None, None, None)


@pytest.fixture(scope="module")
def taught() -> Predictor:
    panel = shops(3, 150)
    config = quick(model_horizon=6, model_season="6", model_members=2, train_steps=40,
                   model_blend=True)
    return finished(refit(finished(fit(Predictor.new(config, panel.drop_last(12)), panel.drop_last(12))), panel))


def test_where_promotions_move_a_series_those_who_read_them_weigh_more(taught: Predictor) -> None:
    reading = sum(weight for name, weight in zip(taught.blend.names, taught.blend.pooled, strict=True)
                  if taught.is_moved_by_covariates(name))
    assert reading > 0.5
    assert [m.reads_covariates for m in taught.members] == [True, False]
    assert taught.without is not None
    assert not any(taught.is_moved_by_covariates(name) for name in taught.without.names)


def test_who_reads_no_covariates_speaks_for_a_lost_expert_where_none_are_read(taught: Predictor) -> None:
    panel = shops(1, 150)
    y = panel.y.copy()
    y[-3] = 1e9                                                         # absurd in the context: theta is lost
    panel = replace(panel, y=y)
    bare = replace(panel, beside=None, row=None)
    plain = replace(taught, blend=Blend(("theta",), (1.0,), (), {}), without=None)
    linear = plain.parts(bare, ["linear.1"])[0]["linear.1"]
    for data in (bare, panel):
        np.testing.assert_array_equal(plain.parts(data, ["theta"])[0]["theta"], linear)
    alone = replace(plain, members=plain.members[:1]).parts(bare, ["theta"])[0]["theta"]
    assert np.isfinite(alone).all()                                     # nobody can: it is kept within bounds


def test_covariates_that_do_not_help_on_held_out_windows_have_no_say() -> None:
    panel = shops(3, 150)
    assert panel.beside is not None
    noise = np.random.default_rng(0).normal(size=panel.beside.values.shape)
    panel = replace(panel, beside=replace(panel.beside, values=noise)).drop_last(12)
    config = quick(model_horizon=6, model_season="6", model_members=2, train_steps=5, model_blend=True)
    predictor = finished(fit(Predictor.new(config, panel), panel))
    assert predictor.without == predictor.blend
    assert not any(predictor.is_moved_by_covariates(name) for name in predictor.blend.names)
    other = replace(panel, beside=replace(panel.beside, values=-noise)) if panel.beside else panel
    np.testing.assert_array_equal(predictor.predict(panel, 6).values, predictor.predict(other, 6).values)


def test_a_promotion_lifts_the_step_it_stands_at(taught: Predictor) -> None:
    panel = shops(3, 150)
    beside = panel.beside
    assert beside is not None
    lifted = np.zeros((3, 6))
    values = beside.values.copy()
    for s in range(3):
        values[beside.first[s] + panel.lengths[s]:beside.first[s] + panel.lengths[s] + 6, 0] = 0
    off = replace(panel, beside=replace(beside, values=values))
    on = values.copy()
    on[beside.first + panel.lengths + 2, 0] = 1
    lifted = (taught.predict(replace(panel, beside=replace(beside, values=on)), 6).point - taught.predict(off, 6).point)
    assert (lifted.argmax(axis=1) == 2).all()
    assert (lifted[:, 2] > 3 * np.arange(1, 4)).all()                   # of 8, 16 and 24


def test_a_backtest_says_what_covariates_are_worth(taught: Predictor) -> None:
    panel = shops(3, 150)
    heard = Heard()
    makers = own_makers(taught.as_validated()) | baseline_makers(["seasonal_naive"], 6, (80.0,))
    _, scores = scored(panel, makers, plan=taught.plan, cutoffs=[12, 6], levels=(80.0,))
    tell_covariates(heard, scores)
    assert heard.lines[0].startswith("covariates: with covariates ")
    assert "they take off" in heard.lines[0]
    swapped = replace(taught, blend=taught.without, without=taught.blend)
    _, scores = scored(panel, own_makers(swapped), plan=taught.plan, cutoffs=[12, 6], levels=(80.0,))
    tell_covariates(heard, scores)
    assert heard.lines[1].endswith("they do not help on these windows")


def test_the_guard_lets_a_promotion_speak_and_silences_what_no_promotion_does(taught: Predictor) -> None:
    """All forecasters that read covariates lead far from those that do not, but not beyond what the series showed; then
    one of them leads there."""
    panel = shops(1, 150)
    blend = Blend(("network.0", "linear.0", "linear.1", "theta"), (0.25,) * 4, (), {})
    predictor, history = replace(taught, blend=blend), History.of(panel)
    calm = np.zeros((1, 6, 5)) + panel.values(0)[-6:].mean()
    high = calm + 1.2 * history.range[0]
    parts = {"network.0": high, "linear.0": high + 1, "linear.1": calm, "theta": calm + 1}
    assert predictor._silenced(panel, {k: v.copy() for k, v in parts.items()}, history) == {}
    parts["network.0"] = calm + 5 * history.range[0]
    assert list(predictor._silenced(panel, parts, history)) == ["network.0"]
    assert np.isnan(parts["network.0"]).all()
    assert np.isfinite(parts["linear.0"]).all()


def test_explain_says_what_each_covariate_moved_and_where(taught: Predictor, tmp_path: Path) -> None:
    panel = shops(3, 150).take([2])
    assert panel.beside is not None
    values = panel.beside.values.copy()
    end = panel.beside.first[2] + panel.lengths[0]
    values[end:end + 6, 0] = [0, 0, 1, 0, 0, 0]
    panel = replace(panel, beside=replace(panel.beside, values=values))
    found = effects_of(taught, panel)
    promo = next(effect for effect in found if effect.column.name == "promo")
    assert (promo.flag, promo.neutral, promo.moved.argmax()) == (True, 0.0, 2)
    assert promo.moved[2] > 8                                           # of 24
    document = described(found, [f"day {k}" for k in range(1, 7)])
    line = next(text for _, text in lines_of(document) if text.startswith("promo"))
    assert line.endswith("at day 3 (on in place of off)")
    draw(tmp_path / "effects.png", document, title="shops", target="sales")
    assert (tmp_path / "effects.png").read_bytes().startswith(b"\x89PNG")
    assert effects_of(replace(taught, without=None), panel) == ()


def test_a_final_fit_keeps_the_units_of_covariates_so_that_the_validated_networks_say_what_they_said() -> None:
    panel = shops(3, 150)
    config = quick(model_horizon=6, model_season="6", model_members=2, train_steps=20, model_blend=True)
    validated = finished(fit(Predictor.new(config, panel.drop_last(12)), panel.drop_last(12)))
    again = finished(refit(validated, panel)).as_validated()
    one, other = (p.predict(panel.drop_last(12), 6).values for p in (validated, again))
    np.testing.assert_array_equal(one, other)
