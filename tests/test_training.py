from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forecast.config import Config
from forecast.errors import DataError, ModelError, RequestError
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.series.arrays import Ints
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.series.windows import windows_of
from forecast.system.machine import works_in_bfloat16
from forecast.training import fit as fitting
from forecast.training import learning, loop
from forecast.training.checkpoints import Checkpoints, Place
from forecast.training.fit import Training, finished, fit, refit
from forecast.training.loop import Epoch, one_cycle
from forecast.training.start import Start, kinds
from forecast.training.torch_cells import CELLS
from forecast.training.torch_network import pinball
from tests.conftest import quick, shaken, trained, waves


def chosen(predictor: Predictor) -> list[tuple[object, ...]]:
    """What a fit has settled for each member."""
    return [(m.units.transform, m.penalty, m.steps, m.schedule, m.skip) for m in predictor.members]


def losses(config: Config, panel: Panel) -> list[tuple[float, ...]]:
    epochs = list(fit(Predictor.new(config, panel), panel))
    return [tuple(np.nan_to_num([e.train_loss, e.valid_loss])) for e in epochs]


def test_the_same_seed_gives_the_same_losses_and_another_does_not(panel: Panel) -> None:
    assert losses(quick(), panel) == losses(quick(), panel)
    assert losses(quick(), panel) != losses(quick(train_seed=1), panel)


def test_the_same_fit_twice_gives_the_same_weights_to_the_bit(panel: Panel) -> None:
    one, two = trained(quick(), panel), trained(quick(), panel)
    for name, weight in one.members[0].network.tensors.items():
        np.testing.assert_array_equal(weight, two.members[0].network.tensors[name], err_msg=name)


def test_what_a_fit_was_given_is_left_as_it_was() -> None:
    panel = waves()
    before = panel.y.copy()
    trained(quick(), panel)
    np.testing.assert_array_equal(panel.y, before)


def test_the_fit_ends_on_clearly_better_weights_not_on_the_last() -> None:
    """A fit that goes on past its best look must end on what it had there."""
    panel = waves()
    predictor = Predictor.new(quick(train_lr=0.03, train_steps=150, train_seed=1), panel)
    training = Training(fit(predictor, panel))
    looks, predictor = list(training), training.result
    best = looks[-1].best_epoch
    assert 0 < best < 30                                                # else this test shows nothing
    assert looks[-1].valid_loss > 1.02 * looks[-1].best_loss
    assert predictor.members[0].steps == looks[best].steps
    assert held_out_loss(predictor, panel) == pytest.approx(looks[-1].best_loss, rel=1e-5)


def test_a_training_that_only_gets_worse_ends_and_loses_nothing_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = Panel.of([np.random.default_rng(1).gamma(2, 50, 60)], Calendar.steps())         # nothing to be learned
    settings = quick(train_lr=0.03, train_steps=60, model_blend=True, model_members=1)
    short, whole = (Training(fit(Predictor.new(settings, panel), panel)) for _ in range(2))
    looks = list(short)
    monkeypatch.setattr(learning, "LOST", math.inf)
    every = list(whole)
    for is_prior in (False, True):
        some, all_of = ([one.valid_loss for one in of if one.is_prior == is_prior] for of in (looks, every))
        assert len(some) < len(all_of) == 13
        assert some == all_of[:len(some)]
    one, other = short.result, whole.result
    assert chosen(one) == chosen(other)
    assert one.tuned is not None
    assert other.tuned is not None
    assert (one.tuned.steps, one.tuned.schedule) == (other.tuned.steps, other.tuned.schedule)
    for name, weight in other.members[0].network.tensors.items():
        np.testing.assert_array_equal(one.members[0].network.tensors[name], weight, err_msg=name)


def test_a_training_broken_off_at_its_early_end_does_not_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path
                                                               ) -> None:
    panel = Panel.of([np.random.default_rng(1).gamma(2, 50, 60)], Calendar.steps())
    settings = quick(train_lr=0.03, train_steps=60, model_blend=True, model_members=1)
    looks = list(fit(Predictor.new(settings, panel), panel, checkpoints=Checkpoints.of(tmp_path, "whole")))
    save = Place.save                                                   # all that is left behind a look, but no end
    monkeypatch.setattr(Place, "is_due", True)
    monkeypatch.setattr(Place, "save", lambda place, arrays: None if "done" in arrays else save(place, arrays))
    left = Checkpoints.of(tmp_path, "broken off")
    list(fit(Predictor.new(settings, panel), panel, checkpoints=left))
    again = list(fit(Predictor.new(settings, panel), panel, checkpoints=left))
    assert len(looks) < 2 * 13
    assert again == []


def test_a_last_look_as_good_as_the_best_is_the_one_kept() -> None:
    panel = waves()
    training = Training(fit(Predictor.new(quick(train_steps=60, train_seed=2), panel), panel))
    looks, predictor = list(training), training.result
    best = min(look.valid_loss for look in looks)
    assert best < looks[-1].valid_loss <= 1.02 * best                   # else this test shows nothing
    assert predictor.members[0].steps == 60
    assert held_out_loss(predictor, panel) == pytest.approx(looks[-1].valid_loss, rel=1e-5)


def held_out_loss(predictor: Predictor, panel: Panel) -> float:
    """The loss of the network as it stands on the windows it was validated on."""
    windows = windows_of(panel, horizon=predictor.plan.horizon, min_context=predictor.plan.min_context,
                         newest=predictor.plan.validation)
    batch = loop.Material(predictor.members[0], panel, windows).batch()
    values = torch.from_numpy(predictor.members[0].network.forward(batch))
    quantiles = torch.tensor(predictor.quantiles, dtype=torch.float64)
    return float(pinball(values, torch.from_numpy(batch.target), quantiles))


def test_a_network_that_never_helps_leaves_the_linear_skip_alone() -> None:
    panel = waves(1)
    predictor = trained(quick(train_lr=10.0, train_clip=1e6, train_steps=10, train_averaging=0.0), panel)
    assert predictor.members[0].steps == 0
    assert predictor.name == "linear"
    assert not predictor.members[0].network.tensors["head.weight"].any()


def test_the_learning_rate_rises_and_then_falls_to_nothing() -> None:
    rates = [one_cycle(k / 100) for k in range(101)]
    assert int(np.argmax(rates)) == 10
    assert np.all(np.diff(rates[:11]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)
    assert (rates[10], rates[-1]) == (1.0, 1e-4)


def test_the_final_fit_takes_as_many_steps_as_validated_best_and_is_none_of_fits(panel: Panel) -> None:
    before = Predictor.new(quick(), panel)
    training = Training(fit(before, panel))
    assert {epoch.stage for epoch in training} == {"train"}
    fitted = training.result
    assert (before.members[0].steps, len(before.knowledge)) == (0, 0)            # what it was given is as it was
    final = list(refit(fitted, panel))
    assert {epoch.stage for epoch in final} == {"final fit"}
    assert final[-1].steps == fitted.members[0].steps > 0


def test_validation_windows_are_newer_than_all_that_was_trained_on() -> None:
    """Changing the held-out part changes no weight when there is nothing to choose by it."""
    config = quick(train_steps=5, train_final_fit=False, model_transform="none")
    panel = waves(2)
    plan = Predictor.new(config, panel).plan
    other = dataclasses.replace(panel, y=panel.y.copy())
    held_out = other.last(plan.validation)
    for s in range(len(other)):
        other.y[held_out.first[s]:held_out.stop[s]] *= 1.001
    first = [e.train_loss for e in fit(Predictor.new(config, panel), panel)][1]
    second = [e.train_loss for e in fit(Predictor.new(config, other), other)][1]
    assert first == second


def test_what_lies_behind_the_end_of_a_panel_does_not_reach_a_fit() -> None:
    panel = waves(2)
    changed = dataclasses.replace(panel, y=panel.y.copy())
    for s in range(2):
        changed.y[panel.stop[s] - 8:panel.stop[s]] = -1e6
    one, two = (trained(quick(), p.drop_last(8)) for p in (panel, changed))
    assert chosen(one) == chosen(two)
    for name, weight in one.members[0].network.tensors.items():
        np.testing.assert_array_equal(weight, two.members[0].network.tensors[name], err_msg=name)


def test_the_model_beats_seasonal_naive_where_there_is_a_trend_to_learn() -> None:
    panel = waves(4, 160)
    known, truth = panel.drop_last(4), panel.last(4)
    predictor = trained(quick(train_steps=60), known)
    point = predictor.predict(known, 4).point
    actual = np.stack([truth.values(s) for s in range(4)])
    naive = np.stack([known.values(s)[-6:-2] for s in range(4)])
    assert np.abs(point - actual).mean() < 0.8 * np.abs(naive - actual).mean()


def test_a_refit_on_newer_data_keeps_the_choices_and_learns_the_data(panel: Panel) -> None:
    older = trained(quick(), panel.drop_last(10))
    predictor = finished(refit(older, panel))
    assert chosen(older) == chosen(predictor)
    np.testing.assert_array_equal(older.widths, predictor.widths)
    assert predictor.knowledge.ends == dict(zip(panel.ids, panel.end, strict=True))


@pytest.mark.parametrize("scaling", ["standard", "robust", "minmax"])
def test_scaling_by_series_trains_and_predicts_in_original_units(scaling: str, panel: Panel) -> None:
    predictor = trained(quick(model_scaling=scaling), panel)
    forecast = predictor.predict(panel, 4)
    for s in range(len(panel)):
        recent = panel.values(s)[-12:]
        assert np.all(np.abs(forecast.point[s] - recent.mean()) < 4 * np.ptp(recent))
    assert len(predictor.members[0].units.loc) == len(panel)


def test_missing_values_left_as_gaps_are_trained_around() -> None:
    panel = waves(2)
    panel.y[[10, 11, 30, 95]] = np.nan
    forecast = trained(quick(), panel).predict(panel, 4)
    assert np.isfinite(forecast.values).all()


def test_a_logarithm_chosen_on_positive_data_is_dropped_when_the_newest_are_not() -> None:
    panel = waves(1)
    predictor = trained(quick(model_transform="log"), panel.drop_last(10))
    assert predictor.members[0].units.transform == "log"
    panel.y[panel.stop[0] - 3:] = 0.0
    predictor = finished(refit(predictor, panel))
    assert predictor.transform == "none"
    assert predictor.members[0].network.is_finite
    assert predictor.predict(panel, 4).source.tolist() != ["fallback:not_positive"]


def test_a_logarithm_asked_for_is_refused_on_data_that_are_not_positive() -> None:
    panel = waves(1)
    panel.y[5] = 0.0
    with pytest.raises(DataError, match="not positive"):
        trained(quick(model_transform="log"), panel)


def broken(forecast: torch.Tensor, *_: object) -> torch.Tensor:
    return forecast.sum() * float("nan")


def test_a_final_fit_that_diverges_leaves_the_validated_network(monkeypatch: pytest.MonkeyPatch, panel: Panel) -> None:
    predictor = trained(quick(train_final_fit=False), panel)
    monkeypatch.setattr(loop, "pinball", broken)
    after = finished(refit(predictor, panel))
    assert after.name == "lstm"
    assert after.members == predictor.members


def test_a_final_fit_that_leaves_what_was_validated_is_not_taken(monkeypatch: pytest.MonkeyPatch, panel: Panel) -> None:
    predictor = trained(quick(train_final_fit=False, model_blend=True), panel)
    def mad(*given: Any) -> Generator[Epoch, None, Network]:
        learned = yield from learning.relearn(*given)
        return learned.replace(skip=60 * learned.tensors["skip"])

    sane = finished(refit(predictor, panel))
    assert (sane.kept_back, sane.members is predictor.members) == ("", False)
    monkeypatch.setattr(fitting, "relearn", mad)
    after = finished(refit(predictor, panel))
    assert "final fit" in after.kept_back
    assert after.members is predictor.members


def test_where_the_level_changed_for_good_the_forecast_is_of_the_new_one(panel: Panel) -> None:
    shifted = dataclasses.replace(panel, y=panel.y.copy())
    shifted.y[panel.stop[0] - 10:panel.stop[0]] *= 0.4
    predictor = trained(quick(model_blend=True), shifted)
    forecast = predictor.predict(shifted, 4)
    usual = np.median(panel.values(0)[-12:])
    np.testing.assert_allclose(forecast.point[0], 0.4 * usual, rtol=0.3)
    low, high = (bound[0] for bound in forecast.band(95))
    assert np.all(high > 0.8 * usual)                                   # it may return
    assert np.all(low > 0)
    assert [(r.series, r.code) for r in forecast.remarks] == [("s0", "level")]
    np.testing.assert_allclose(forecast.point[1:], predictor.predict(panel, 4).point[1:])


def test_where_most_values_are_0_last_week_is_not_merely_copied() -> None:
    random = np.random.default_rng(3)
    counts = Panel.of([random.poisson(0.3, 120).astype(float) for _ in range(4)], Calendar.of("step"))
    predictor = trained(quick(model_blend=True), counts)
    weights = dict(zip(predictor.blend.names, predictor.blend.pooled, strict=True))
    assert weights.get("seasonal_naive", 0) + weights.get("seasonal_naive_drift", 0) < 0.25
    forecast = predictor.predict(counts, 4)
    assert np.all(forecast.values >= 0)
    assert np.all(forecast.values == np.rint(forecast.values))
    assert forecast.mean is not None
    assert forecast.mean.mean() == pytest.approx(0.3, abs=0.15)


def test_a_loss_that_is_no_number_is_tried_again_more_calmly(monkeypatch: pytest.MonkeyPatch, panel: Panel) -> None:
    """The first attempt breaks at its third step; the next one, at a quarter of the rate, is whole."""
    calls, rates = [0], list[float]()

    def once(forecast: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        return broken(forecast) if calls[0] == 4 else pinball(forecast, *rest)

    descend = loop.Loop._descend

    def noted(self: loop.Loop, rate: float) -> None:
        rates.append(rate)
        descend(self, rate)

    monkeypatch.setattr(loop, "pinball", once)
    monkeypatch.setattr(loop.Loop, "_descend", noted)
    predictor = trained(quick(train_final_fit=False), panel)
    assert predictor.name == "lstm"
    assert not predictor.members[0].diverged
    assert rates[5] == pytest.approx(rates[0] / 4)                      # 5 steps to the look that found it out


def test_a_loss_that_never_is_a_number_leaves_the_linear_skip_and_says_so(monkeypatch: pytest.MonkeyPatch,
                                                                          panel: Panel) -> None:
    monkeypatch.setattr(loop, "pinball", broken)
    predictor = trained(quick(), panel)
    assert predictor.name == "linear"
    assert predictor.members[0].diverged
    assert np.isfinite(predictor.predict(panel, 4).values).all()


def test_members_trained_side_by_side_come_to_what_they_come_to_alone(panel: Panel) -> None:
    alone, beside = (trained(quick(model_blend=True, model_members=4, train_threads=n), panel) for n in (1, 2))
    assert len(alone.members) == 4
    kinds = {(m.units.transform, m.skip) for m in alone.members}        # the better two of the transformations
    assert kinds == {(t, s) for t in {transform for transform, _ in kinds} for s in (False, True)}
    assert len(kinds) == 4
    for one, two in zip(alone.members, beside.members, strict=True):
        for name, weight in one.network.tensors.items():
            np.testing.assert_array_equal(weight, two.network.tensors[name], err_msg=name)


def test_a_series_that_begins_after_the_cutoff_does_not_keep_the_others_from_training() -> None:
    usual = waves(3, calendar=Calendar.of("D"))
    series = [usual.values(s) for s in range(3)]
    late = Panel.of([*series, np.arange(10.0)], Calendar.of("D"), start=[0, 7, 14, 84])
    for cut in (0, 8, 10):
        known = late.drop_last(cut) if cut else late
        training = Training(fit(Predictor.new(quick(), known), known))
        assert len(list(training)) > 1
        assert training.result.knowledge.end <= 94 - cut


def test_a_change_of_level_in_one_series_leaves_all_bands_sane() -> None:
    panel = waves(3, 120)
    for factor in (4.0, 20.0, 1000.0):
        shifted = dataclasses.replace(panel, y=panel.y.copy())
        shifted.y[60:panel.stop[0]] *= factor
        predictor = trained(quick(model_blend=True), shifted)
        high = predictor.predict(shifted, 4).band(95)[1]
        assert np.all(high < 20 * np.array([[factor * 35], [70], [110]]))


@pytest.mark.parametrize("cell", CELLS)
def test_products_in_bfloat16_train_to_nearly_the_same_network_or_are_refused(panel: Panel, cell: str) -> None:
    if not works_in_bfloat16(CELLS[cell], torch.device("cpu")):
        with pytest.raises(RequestError, match=f"cannot train the cell {cell} in it"):
            trained(quick(train_precision="bfloat16", model_cell=cell), panel)
        return
    exact, rough = (trained(quick(train_precision=p, train_steps=40, model_cell=cell), panel)
                    for p in ("float32", "bfloat16"))
    one, two = (p.predict(panel, 4).point for p in (exact, rough))
    assert not np.array_equal(one, two)
    np.testing.assert_allclose(two, one, rtol=0.02)


def test_every_window_comes_once_before_any_comes_again_wherever_a_training_goes_on(monkeypatch: pytest.MonkeyPatch,
                                                                                     panel: Panel) -> None:
    predictor, drawn, take = Predictor.new(quick(), panel), list[list[int]](), loop.Material.take

    def told(material: loop.Material, which: Ints) -> loop.Material:
        drawn.append(which.tolist())
        return take(material, which)

    monkeypatch.setattr(loop.Material, "take", told)
    windows = windows_of(panel, horizon=4, min_context=predictor.plan.min_context)
    material = loop.Material(predictor.members[0], panel, windows)
    count, course = len(material.windows), fitting._course(predictor, 0, torch.device("cpu"), 30)
    course = dataclasses.replace(course, train=dataclasses.replace(course.train, batch=count // 3 - 1))
    whole = loop.Loop(material, course)
    for steps in (1, 5, 24):
        whole._sample(steps)
        whole.steps += steps
    flat = [w for some in drawn for w in some]
    passes = [flat[begin:begin + count] for begin in range(0, len(flat) - count + 1, count)]
    assert len(flat) == 30 * (count // 3 - 1)
    assert all(sorted(one) == list(range(count)) for one in passes)
    assert len({tuple(one) for one in passes}) == len(passes) > 5
    resumed = loop.Loop(material, course)
    resumed.steps = 6
    resumed._sample(24)
    assert drawn[-1] == drawn[-2]


def whole(config: Config, panel: Panel, checkpoints: Checkpoints) -> Generator[Epoch, None, Predictor]:
    """Fit and final fit."""
    predictor = yield from fit(Predictor.new(config, panel), panel, checkpoints=checkpoints)
    return (yield from refit(predictor, panel, checkpoints=checkpoints))


def first_epochs(config: Config, panel: Panel, checkpoints: Checkpoints, count: int) -> None:
    """A training that is broken off after so many epochs."""
    epochs = whole(config, panel, checkpoints)
    for _ in zip(range(count), epochs, strict=False):
        pass
    epochs.close()


@pytest.fixture(scope="module")
def unbroken(panel: Panel) -> Predictor:
    return trained(quick(model_blend=True, train_threads=2, model_members=3), panel)


@pytest.mark.parametrize("count", [1, 3, 8, 12, 18])
def test_a_fit_broken_off_and_resumed_is_the_fit_that_was_not_to_the_bit(count: int, panel: Panel, unbroken: Predictor,
                                                                         tmp_path: Path) -> None:
    config = quick(model_blend=True, train_threads=2, model_members=3)
    first_epochs(config, panel, checkpoints := Checkpoints.of(tmp_path, "same"), count)
    assert checkpoints.count()
    first_epochs(config, panel, checkpoints, 2)                         # and once more
    resumed = finished(whole(config, panel, checkpoints))
    for one, two in zip(unbroken.members, resumed.members, strict=True):
        for name, weight in one.network.tensors.items():
            np.testing.assert_array_equal(weight, two.network.tensors[name], err_msg=name)
    assert unbroken.blend == resumed.blend
    np.testing.assert_array_equal(unbroken.widths, resumed.widths)


def test_a_checkpoint_of_other_settings_or_that_cannot_be_read_is_none(panel: Panel, tmp_path: Path) -> None:
    one, two = (Checkpoints.of(tmp_path, quick(train_seed=s).to_dict()) for s in (0, 1))
    assert one.folder != two.folder
    first_epochs(quick(), panel, one, 3)
    for file in one.folder.iterdir():
        file.write_bytes(b"not one")
    assert losses(quick(), panel) == losses(quick(), panel)
    one.clear()
    assert not one.count()


def test_a_training_that_breaks_ends_the_others_and_is_told(monkeypatch: pytest.MonkeyPatch, panel: Panel) -> None:
    monkeypatch.setattr(loop, "one_cycle", lambda progress: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trained(quick(model_blend=True, train_threads=2), panel)


def test_without_a_series_that_reaches_the_newest_steps_seasonal_naive_serves() -> None:
    old, new = waves(1, 80).y, np.arange(5.0)
    panel = Panel.of([old, new], Calendar.of("D"), start=[0, 900])
    predictor = trained(quick(), panel)
    assert (predictor.name, predictor.members[0].penalty) == ("linear", float("inf"))
    assert np.isfinite(predictor.predict(panel, 4).values).all()


def test_a_device_that_is_not_there_is_refused(panel: Panel) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(RequestError, match="cuda"):
        list(fit(Predictor.new(quick(train_device="cuda"), panel), panel))


@pytest.mark.gpu
def test_on_a_gpu_the_same_fit_gives_forecasts_close_to_those_of_the_cpu() -> None:
    panel = waves()
    cpu = trained(quick(train_device="cpu"), panel).predict(panel, 4)
    gpu = trained(quick(train_device="cuda"), panel).predict(panel, 4)
    np.testing.assert_allclose(gpu.values, cpu.values, rtol=1e-2)


def test_time_stamps_make_no_difference_to_the_numbers() -> None:
    by_count, by_month = waves(1), waves(1, calendar=Calendar.of("MS"))
    one, two = trained(quick(), by_count), trained(quick(), by_month)
    np.testing.assert_array_equal(one.predict(by_count, 4).values, two.predict(by_month, 4).values)


def going_on(older: Predictor, panel: Panel, **changes: object) -> Predictor:
    predictor = Predictor.new(quick(train_steps=1, train_lr=1e-8, **changes), panel)
    start = Start.of(older, predictor, panel)
    return finished(refit(finished(fit(predictor, panel, start=start)), panel))


def test_a_fit_goes_on_from_validated_networks(panel: Panel) -> None:
    older = trained(quick(model_skip=False, model_transform="none"), panel.drop_last(6))
    newer = going_on(older, panel, model_skip=False, model_transform="none")
    validated, final = older.validated_networks[0].tensors, older.members[0].network.tensors
    for name in ("head.weight", "cell.weight_hh_l0"):
        assert not np.array_equal(validated[name], final[name])
        np.testing.assert_allclose(newer.validated_networks[0].tensors[name], validated[name], atol=1e-6)


@pytest.mark.parametrize("few", [0, 10_000])
def test_a_final_fit_goes_on_from_validated_weights_only_where_windows_are_many(
        few: int, panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FEW", few)
    validated = finished(fit(Predictor.new(quick(model_skip=False, model_transform="none"), panel), panel))
    calm = dataclasses.replace(validated, plan=dataclasses.replace(validated.plan, lr=1e-9))
    before, after = (p.members[0].network.tensors["head.weight"] for p in (validated, finished(refit(calm, panel))))
    assert np.allclose(before, after, atol=1e-6) == (few == 0)


def test_each_member_goes_on_from_its_like(panel: Panel) -> None:
    blank = Predictor.new(quick(), panel).members[0]
    log = dataclasses.replace(blank, units=dataclasses.replace(blank.units, transform="log"))
    bare = dataclasses.replace(blank, skip=False)
    assert kinds([blank, bare, log, blank]) == [("none", True, False, 0), ("none", False, False, 0),
                                                ("log", True, False, 0), ("none", True, False, 1)]
    assert set(kinds([log, blank, bare])) < set(kinds([blank, bare, log, blank]))


def test_a_network_that_learned_from_the_windows_of_validation_is_not_gone_on_from(panel: Panel) -> None:
    older = trained(quick(), panel)
    for known in (panel.drop_last(2), panel.drop_last(older.plan.validation)):
        with pytest.raises(ModelError, match="has learned from"):
            Start.of(older, Predictor.new(quick(), known), known)
    Start.of(older, Predictor.new(quick(), panel), panel)
    with pytest.raises(ModelError, match="another shape"):
        Start.of(older, Predictor.new(quick(model_hidden=9), panel), panel)


def test_what_a_network_has_learned_from_is_known_to_those_that_go_on_from_it() -> None:
    panel, bare = waves(2, 90), {"model_skip": False, "model_transform": "none"}
    first = trained(quick(train_steps=1, **bare), panel)
    newer = going_on(first, panel.take([1]), **bare)                    # has learned from the other series by the first
    assert newer.validated_knowledge.ends["s0"] == first.validated_knowledge.ends["s0"]
    old = dataclasses.replace(panel, stop=panel.stop - [20, 0])
    with pytest.raises(ModelError, match="has learned from"):
        Start.of(newer, Predictor.new(quick(**bare), old), old)


def test_on_a_calendar_a_series_by_another_name_is_not_new() -> None:
    panel = waves(2, 90, calendar=Calendar.of("D"))
    bare = {"model_skip": False, "model_transform": "none"}
    older = trained(quick(train_steps=1, **bare), panel)
    renamed = dataclasses.replace(panel, ids=np.array(["a", "b"], object))
    Start.of(older, Predictor.new(quick(**bare), renamed), renamed)
    short = renamed.drop_last(6)
    with pytest.raises(ModelError, match="has learned from"):
        Start.of(older, Predictor.new(quick(**bare), short), short)


def test_a_start_that_helps_no_more_than_the_skip_is_not_used(panel: Panel) -> None:
    older = trained(quick(), panel.drop_last(6))
    members = tuple(dataclasses.replace(m, network=shaken(m.network, spread=3.0), steps=1) for m in older.members)
    older = dataclasses.replace(older, members=members,
                                validated_networks=tuple(shaken(n, spread=3.0) for n in older.validated_networks))
    assert [m.steps for m in going_on(older, panel).members] == [0]


def test_spikes_are_drawn_in_where_that_is_clearly_better_and_only_there() -> None:
    random = np.random.default_rng(0)
    spiky = 50 + 5 * np.sin(np.arange(400) * 2 * np.pi / 5) + random.standard_t(1.2, 400)
    calm = 50 + 5 * np.sin(np.arange(400) * 2 * np.pi / 5) + random.normal(0, 0.5, 400)
    kinds = []
    for series in (spiky, calm):
        panel = Panel.of([series], Calendar.of("step"))
        kinds.append(trained(quick(model_horizon=5, model_season="5", train_steps=0), panel).members[0].units.transform)
    assert kinds[0] == "asinh" != kinds[1]
