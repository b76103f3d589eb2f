"""The prior: what it sees, what it says, and that it needs no training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import forecast
from forecast.errors import DataError, ForecastError, RequestError
from forecast.methods.baselines import SeasonalNaive
from forecast.model import prior as module
from forecast.model.cells import Weights, scan
from forecast.model.prior import QUANTILES, Prior, shapes, shipped
from forecast.model.sight import LENGTHS, OWN, Sight, look
from forecast.model.walk import Walk
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.series.windows import windows_of
from forecast.training import tuning as module_of_tuning
from forecast.training.checkpoints import Checkpoints
from forecast.training.fit import finished
from forecast.training.loop import Course
from forecast.training.prior import Course as Schooling
from forecast.training.prior import lesson
from forecast.training.torch_prior import TorchPrior
from forecast.training.tuning import Lessons, retune, tune
from forecast.training.world import World
from tests.conftest import quick, trained, waves
from tests.test_cli import Run, run

__all__ = ["run"]

DATA = Path(__file__).resolve().parents[1] / "data"
GRID = (.1, .5, .9)


def said(*series: Floats | list[float], horizon: int = 6, seasons: tuple[int, int] = (6, 0)) -> Floats:
    return shipped().predict(Panel.of(series, Calendar.steps()), horizon, seasons, GRID)


def passengers() -> Floats:
    return pd.read_csv(DATA / "airpassengers.csv").iloc[:, 1].to_numpy(dtype=np.float64)


def days(folder: Path) -> Path:
    """A file of 80 days."""
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=80), "y": waves(1, 80).values(0)})
    frame.to_csv(folder / "y.csv", index=False)
    return folder / "y.csv"


# ---- the world it was trained on

def test_a_lesson_is_the_same_for_the_same_number_and_seed_and_another_for_another() -> None:
    first, again, other = lesson(3, 0, 8), lesson(3, 0, 8), lesson(3, 1, 8)
    assert all(np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True)
               for name in ("points", "queries", "target"))
    assert first.points.shape != other.points.shape or not np.array_equal(first.points, other.points)


def test_lessons_hold_no_number_that_is_none_but_for_missing_targets() -> None:
    for number in range(25):
        some = lesson(number, 0, 16)
        assert np.isfinite(some.points).all()
        assert np.isfinite(some.queries).all()
        assert not np.isinf(some.target).any()


def test_a_world_of_a_season_repeats_itself_after_it() -> None:
    values = World(np.random.default_rng(0), 12).series(200, 120)
    steps = np.diff(values, axis=1)
    spread = np.nanstd(steps, axis=1, keepdims=True) + 1e-9
    steps = np.nan_to_num((steps - np.nanmean(steps, axis=1, keepdims=True)) / spread)
    acf = [float(np.mean(steps[:, lag:] * steps[:, :-lag])) for lag in range(1, 13)]
    assert acf[11] > 0.2
    assert acf[11] > max(acf[4:10])


# ---- what it sees

def test_what_it_stands_on_is_the_seasonal_naive_forecast() -> None:
    series = [waves(1, 60).values(0), np.arange(40.0)]
    panel = Panel.of(series, Calendar.steps())
    naive = SeasonalNaive(6, GRID).predict(panel, 8).values[:, :, 1]
    for s, values in enumerate(series):
        sight = look(values[None], 6, 0, 8, from_zero=True)
        assert sight.restored(np.zeros((1, 8, 1)))[0, :, 0] == pytest.approx(naive[s])


def test_the_cell_reads_as_many_points_as_the_series_has_and_no_fewer() -> None:
    for count, points in ((3, 16), (16, 16), (17, 32), (100, 128), (1000, LENGTHS[-1])):
        assert look(np.arange(count)[None] + 1.0, 4, 0, 2, from_zero=True).points.shape[1] * 4 == points


# ---- what it says

def test_numpy_says_what_torch_says() -> None:
    torch.manual_seed(0)
    model = TorchPrior()
    torch.nn.init.normal_(model.head.weight)
    weights = {name: t.detach().numpy() for name, t in model.state_dict().items()}
    assert {name: t.shape for name, t in weights.items()} == shapes()
    some, empty = lesson(5, 0, 12), np.zeros((12, 1))
    sight = Sight(some.points.astype(float), some.queries.astype(float), empty, empty, empty, empty)
    with torch.no_grad():
        other = model(torch.from_numpy(some.points), torch.from_numpy(some.queries)).sort(dim=-1).values.numpy()
    assert Prior(weights).forward(sight) == pytest.approx(other, abs=1e-4)


def test_the_fast_walk_ends_where_the_plain_one_ends() -> None:
    values = np.random.default_rng(0).random((64, 90))
    k = {name: t.astype(np.float64) for name, t in shipped().tensors.items()}
    for seen in (90, 20):                                               # 20 of 128 points: the walk begins with nothing
        past = np.full((64, 128), np.nan)
        past[:, -seen:] = values[:, -seen:]
        points = look(np.pad(past, ((0, 0), (200, 0)), constant_values=np.nan), 6, 0, 4, from_zero=True).points
        cell = Weights(k["cell.weight_ih_l0"], k["cell.weight_hh_l0"], k["cell.bias_ih_l0"], k["cell.bias_hh_l0"])
        _, (hidden, _), _ = scan("lstm", points, cell)
        walk = Walk(cell, np.flatnonzero(OWN), points[0][:, ~OWN], 64)
        own = np.ascontiguousarray(points[:, :, OWN].transpose(1, 2, 0))
        np.testing.assert_allclose(walk.end(own), hidden, rtol=1e-10, atol=1e-13)
        np.testing.assert_array_equal(walk.end(own), Walk(cell, np.flatnonzero(OWN), points[0][:, ~OWN], 64).end(own))


def test_a_forecast_does_not_depend_on_when_the_others_begin() -> None:
    short, long = waves(1, 140).values(0), waves(1, 250).values(0)
    alone = said(short)
    assert np.array_equal(said(long, short)[1], alone[0])
    assert np.array_equal(said(short, long)[0], alone[0])


def test_it_is_better_than_repeating_the_last_season_on_series_that_it_never_saw() -> None:
    y, own, naive = passengers(), [], []
    for cut in range(84, 133, 12):
        panel, truth = Panel.of([y[:cut]], Calendar.steps()), y[cut:cut + 12]
        own.append(np.abs(shipped().predict(panel, 12, (12, 0), GRID)[0, :, 1] - truth).mean())
        naive.append(np.abs(SeasonalNaive(12, GRID).predict(panel, 12).point[0] - truth).mean())
    assert np.mean(own) < 0.7 * np.mean(naive)


def test_it_speaks_in_the_units_of_the_series() -> None:
    y = waves(1, 70).values(0)
    assert said(1000 * y) == pytest.approx(1000 * said(y), rel=1e-9)


def test_a_forecast_does_not_depend_on_the_other_series() -> None:
    panel = waves(5, 90)
    whole = shipped().predict(panel, 6, (6, 0), GRID)
    for s in range(5):
        assert np.array_equal(shipped().predict(panel.take(np.array([s])), 6, (6, 0), GRID)[0], whole[s])


def test_series_of_all_kinds_have_a_finite_forecast_in_order() -> None:
    random = np.random.default_rng(0)
    holes = random.normal(10, 1, 50)
    holes[10:30] = np.nan
    kinds = [[1.0, 2.0, 4.0], [0.0] * 30 + [5.0], random.poisson(.2, 80).astype(float), holes, -np.arange(40.0),
             1e300 * random.random(40), 1e-300 * random.random(40), [7.0] * 20, random.normal(0, 1, 2000)]
    values = said(*kinds, horizon=40)
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=2) >= 0).all()
    assert (values[7] == 7).all()


def test_of_fewer_than_three_values_it_says_nothing() -> None:
    assert np.isnan(said([1.0, 2.0], [np.nan, 5.0, np.nan])).all()


def test_quantiles_between_its_own_lie_between_and_its_own_are_itself() -> None:
    panel = waves(1, 70)
    own = shipped().predict(panel, 6, (6, 0), QUANTILES)
    between = shipped().predict(panel, 6, (6, 0), (.005, .075, .5, .995))
    assert between[:, :, 2] == pytest.approx(own[:, :, QUANTILES.index(.5)])
    assert ((between[:, :, 1] >= own[:, :, 2]) & (between[:, :, 1] <= own[:, :, 3])).all()
    assert ((between[:, :, 0] <= own[:, :, 0]) & (between[:, :, 3] >= own[:, :, -1])).all()


@pytest.mark.parametrize("content", [None, b"", b"nothing", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_prior_that_is_missing_or_damaged_is_a_broken_installation(
        content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prior.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(module, "SHIPPED", path)
    shipped.cache_clear()
    try:
        with pytest.raises(ForecastError, match="Install forecast again") as caught:
            shipped()
    finally:
        shipped.cache_clear()
    assert (caught.value.exit_code, caught.value.code, caught.value.file) == (1, "installation", str(path))


# ---- trained, tuned

def test_its_training_goes_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path: Path) -> None:
    some = [[lesson(number, 0, 8)] for number in range(4)]
    whole, first, second = (Schooling(4, 0) for _ in range(3))
    for one in some:
        whole.step(one)
    for one in some[:2]:
        first.step(one)
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.done == 2
    for one in some[2:]:
        second.step(one)
    assert all(torch.equal(a, b) for a, b in zip(whole.mean.parameters(), second.mean.parameters(), strict=True))


def tuning(panel: Panel, steps: int = 40, place: Checkpoints | None = None) -> tuple[Lessons, Lessons, Course]:
    known = panel.drop_last(12)
    lessons = Lessons(known, windows_of(known, horizon=4, min_context=6), (6, 0), 4)
    held_out = Lessons(panel, windows_of(panel, horizon=4, min_context=6, newest=12), (6, 0), 4)
    course = Course(quick().train, 0, steps, 1e-3, None, None, torch.device("cpu"))
    return lessons, held_out, course if place is None else replace(course, place=place.at("tuned"))


def test_windows_that_are_kept_are_those_that_are_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    series = [random.gamma(2, 50, 14), random.normal(0, 5, 50), random.gamma(2, 50, 90)]
    kept, _, _ = tuning(Panel.of(series, Calendar.steps()))
    anew = replace(kept)
    which, logs = random.integers(0, len(kept), 40), random.random(40) < .5
    for some in (which, np.zeros(3, dtype=np.int64)):                   # of all lengths, of the shortest alone
        got = kept.at(some, logs[:len(some)])
        with monkeypatch.context() as patched:
            patched.setattr(module_of_tuning, "KEPT", 0)
            told = anew.at(some, logs[:len(some)])
        for one, other in ((got.points, told.points), (got.queries, told.queries), (got.target, told.target)):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert kept.at(which, logs).points.shape[1] > kept.at(np.zeros(3, dtype=np.int64), logs[:3]).points.shape[1]


def test_tuned_on_series_of_one_kind_it_says_them_better() -> None:
    random = np.random.default_rng(0)
    every = np.where(np.arange(90) % 9 == 0, 50.0, 10.0)                # it is told of a season of 6
    bursts = [every + random.normal(0, 1, 90) for _ in range(6)]
    tuned = finished(tune(shipped(), *tuning(Panel.of(bursts, Calendar.steps()))))
    assert tuned.steps > 0
    assert any(not np.array_equal(t, shipped().tensors[name]) for name, t in tuned.prior.tensors.items())


def test_part_of_the_way_to_another_prior_lies_between_them() -> None:
    there = {name: t + np.float32(1) for name, t in shipped().tensors.items()}
    other = Prior.of(there)
    assert shipped().towards(other, 1.0) is other
    for name, t in shipped().towards(other, 0.75).tensors.items():
        np.testing.assert_allclose(t, shipped().tensors[name].astype(np.float64) + 0.75, atol=2e-3)


def test_a_tuning_that_was_broken_off_is_gone_on_with_to_the_bit(tmp_path: Path) -> None:
    panel, place = waves(3, 80), Checkpoints(tmp_path)
    lessons, _, course = tuning(panel, 15, place)
    whole = finished(retune(shipped(), lessons, replace(course, place=type(course.place)()), 15))
    broken = retune(shipped(), lessons, course, 15)
    next(broken)
    broken.close()
    assert place.count() == 1
    again = finished(retune(shipped(), lessons, course, 15))
    assert all(np.array_equal(again.tensors[name], t) for name, t in whole.tensors.items())


def test_a_run_keeps_its_prior_and_one_without_a_say_has_none(run: Run, tmp_path: Path) -> None:
    file = days(tmp_path)
    flags = ("--horizon", 4, "--season", 6, "--quick", "--set", "train.steps=5")
    assert run("train", file, *flags).code == 0
    assert run("predict", "-o", "with.csv").code == 0
    assert run("replay", "with.csv").code == 0
    assert run("train", file, *flags, "--set", "model.prior=false").code == 0
    assert run("predict", "-o", "without.csv").code == 0
    assert "prior" not in (tmp_path / "without.csv").read_text()


def test_a_series_too_short_for_the_model_is_served_by_the_prior() -> None:
    panel = Panel.of([*(waves(2, 90).values(s) for s in range(2)), [3.0, 4.0, 3.0, 4.0, 3.0], [3.0, 4.0]],
                     Calendar.steps())
    forecaster = trained(quick(), panel.take(np.arange(2)))
    issued = forecaster.predict(panel, 4)
    assert issued.source.tolist()[2:] == ["prior", "fallback:short"]
    assert np.isfinite(issued.values).all()


# ---- alone

def test_data_are_forecast_without_any_model_and_the_issue_is_made_again(run: Run, tmp_path: Path) -> None:
    ended = run("predict", DATA / "airpassengers.csv")
    assert ended.code == 0, ended.err
    assert "without any training" in ended.err
    rows = pd.read_csv(tmp_path / "predictions.csv")
    assert rows["source"].unique().tolist() == ["prior"]
    assert rows["model"].str.fullmatch("prior-[0-9a-f]{8}").all()
    assert run("replay", "predictions.csv").out == "identical: 60 numbers\n"


def test_where_there_are_runs_but_none_is_live_the_prior_does_not_step_in_unasked(run: Run, tmp_path: Path) -> None:
    file = days(tmp_path)
    assert run("train", file, "--horizon", 4, "--season", 6, "--set", "train.steps=0", "--promote", "never").code == 0
    assert run("predict", file).code == 4
    assert run("predict", file, "--model", "prior", "--horizon", 4).code == 0


def test_without_data_or_a_horizon_it_says_what_is_missing(run: Run, tmp_path: Path) -> None:
    assert "DATA must be named" in run("predict", "--model", "prior").err
    pd.DataFrame({"step": range(80), "y": waves(1, 80).values(0)}).to_csv(tmp_path / "steps.csv", index=False)
    ended = run("predict", "steps.csv", "--time", "step")
    assert (ended.code, "Give --horizon N" in ended.err) == (2, True)


def test_it_is_evaluated_like_a_model_that_has_seen_nothing(run: Run) -> None:
    told = json.loads(run("evaluate", DATA / "airpassengers.csv", "--model", "prior", "--windows", 3, "--json").out)
    assert told["run"].startswith("prior-")
    assert told["models"]["prior"]["mase"] < told["models"]["seasonal_naive"]["mase"]
    assert run("evaluate", DATA / "airpassengers.csv", "--model", "prior", "--horizon", 200).code == 3


def test_python_has_it_too() -> None:
    frame = pd.read_csv(DATA / "airpassengers.csv")
    answer = forecast.predict(frame, horizon=3, levels=(50,))
    assert answer["yhat"].tolist() == pytest.approx(said(passengers(), horizon=3, seasons=(12, 0))[0, :, 1], abs=0.51)
    assert {"yhat_lo_50", "yhat_hi_50"} <= set(answer)
    with pytest.raises(DataError):
        forecast.predict(frame.assign(Passengers="none"), target="Passengers")
    with pytest.raises(RequestError):
        forecast.predict(frame, horizn=3)                               # type: ignore[call-arg]
