"""The door for Python: the numbers, checks and store of the commands, from data frames."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import forecast
from forecast.config import SETTINGS
from forecast.door.keywords import Asked, Settings
from forecast.door.words import spoken
from forecast.errors import DataError, ForecastError, GateError, ModelError, RequestError, StaleError
from tests.test_cli import Run, run

__all__ = ["run"]
TINY = {"train.steps": 5, "model.hidden": 4, "model.members": 1, "train.threads": 1}
DAYS = pd.date_range("2024-01-01", periods=80, freq="D")


@pytest.fixture(autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


def values(seed: int, count: int = 80) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (50 + 10 * np.sin(np.arange(count) / 7 * 2 * np.pi) + random.normal(0, 1, count)).round(2)


def one(seed: int = 1, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"ds": DAYS, "y": values(seed)} | columns)


def long() -> pd.DataFrame:
    parts = [pd.DataFrame({"store": name, "date": DAYS, "sales": values(k)}) for k, name in enumerate(("007", "b c"))]
    return pd.concat(parts, ignore_index=True)


def trained(data: Any, *, horizon: int = 7, **more: Any) -> forecast.Model:
    return forecast.train(data, horizon=horizon, settings=TINY, **more)


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> forecast.Model:
    """A model of the first 60 days."""
    return trained(long()[long()["date"] < DAYS[60]], store=tmp_path_factory.mktemp("shops"))


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {                       # how each is read: test_reader_frames.py
    "long": lambda: long().astype({"store": "category"}),
    "two levels": lambda: long().set_index(["store", "date"]),
    "wide": lambda: pd.DataFrame({"date": DAYS, "north": values(1), "south": values(2)}),
    "months": lambda: pd.DataFrame({"y": values(1)}, index=pd.period_range("2015-01", periods=80, freq="M", name="ds")),
    "whole steps": lambda: one(ds=np.arange(80)),
    "in UTC": lambda: one(ds=pd.date_range("2024-03-29", periods=80, freq="h", tz="UTC")),
    "gaps": lambda: one().drop(index=[30, 31]).astype({"y": "Float64"}).replace({"y": {values(1)[40]: pd.NA}}),
}


# numbers

@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_and_a_file_of_the_same_data_give_the_same_forecasts(kind: str, capfd: pytest.CaptureFixture[str]
                                                                     ) -> None:
    frame = FRAMES[kind]()
    before = frame.copy(deep=True)
    frame.to_csv("data.csv", index=frame.index.names != [None])
    models = [trained(data, store=store) for data, store in ((frame, "one"), ("data.csv", "two"))]
    ours, theirs = (model.predict(mean=True).drop(columns="model") for model in models)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert models[0].metrics == models[1].metrics != {}
    pd.testing.assert_frame_equal(frame, before)
    assert capfd.readouterr() == ("", "")


def test_a_frame_gives_what_the_commands_write(run: Run) -> None:
    long().to_csv("data.csv", index=False)
    sets = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    assert run("train", "data.csv", "--horizon", "7", *sets).code == 0
    assert run("predict").code == 0
    model = trained(long(), store="other")
    written = pd.read_csv("predictions.csv", dtype={"store": str}, parse_dates=["date", "cutoff"])
    written = written.astype({"date": "datetime64[us]", "cutoff": "datetime64[us]"})
    for made in (model.predict(), forecast.load().predict()):           # ours, and the command's own model
        pd.testing.assert_frame_equal(made.drop(columns="model"), written.drop(columns="model"), check_exact=True)
    assert run("--store", "other", "predict", "data.csv", "-o", "again.csv").code == 0      # and the other way round
    assert pd.read_csv("again.csv")["yhat"].tolist() == written["yhat"].tolist()
    assert "DATA must be named" in run("--store", "other", "predict").err


def test_newer_data_are_forecast_and_scored_by_the_model_as_it_is(shops: forecast.Model) -> None:
    ahead = shops.predict(long(), horizon=3, levels=80)
    assert ahead["date"].tolist() == 2 * list(pd.date_range("2024-03-21", periods=3))
    assert list(ahead) == ["store", "date", "yhat", "yhat_lo_80", "yhat_hi_80", "cutoff", "model", "source"]
    assert [str(kind) for kind in ahead.dtypes] == ["str", "datetime64[us]", *3 * ["float64"], "datetime64[us]", "str",
                                                    "str"]
    scores = shops.evaluate(long(), baselines="drift")
    assert "as it is: every test point is newer than its training data" in scores.how
    assert scores.summary["model"].tolist()[1:] == ["seasonal_naive", "drift"]


def test_scores_are_frames_and_a_dict_of_the_same_numbers(shops: forecast.Model) -> None:
    scores = shops.evaluate(windows=2)
    part = scores.predictions[scores.predictions["model"] == scores.summary["model"][0]]
    assert scores.own["mae"] == pytest.approx(np.mean(np.abs(part["y"] - part["yhat"])), abs=1e-5)
    assert scores.metrics["models"][scores.summary["model"][0]]["mae"] == scores.own["mae"]
    assert set(scores.per_series["series"]) == {"007", "b c"}
    assert list(scores.predictions)[:3] == ["store", "date", "cutoff"]
    assert (scores.windows, scores.by_step["step"].max(), part["cutoff"].nunique()) == (2, 7, 2)
    assert "seasonal_naive" in repr(scores)
    assert list(Path().iterdir()) == []                                 # nothing is written


def lstm(tmp_path: Path, **settings: Any) -> forecast.Model:
    """A model whose network alone serves."""
    return forecast.train(long(), horizon=7, store=tmp_path, settings=TINY | {"model.blend": False,
                                                                            "model.skip": False} | settings)


def test_a_look_inside_obeys_the_equations_of_the_cell(tmp_path: Path) -> None:
    inside = lstm(tmp_path).explain("b c")
    units = inside.gates.set_index(["layer", "unit", "step"]).sort_index()
    assert inside.cell == "lstm"
    assert set(inside.gates["layer"]) == {"l0"}
    for unit in range(4):
        one = units.loc["l0", unit]
        before = one["cell"].shift(1, fill_value=0.0)
        np.testing.assert_allclose(one["cell"], one["forget"] * before + one["input"] * one["candidate"], atol=1e-12)
        np.testing.assert_allclose(one["hidden"], one["output"] * np.tanh(one["cell"]), atol=1e-12)
    assert inside.gates["end"].max() == DAYS[-1]
    assert len(set(inside.decoder["end"]) - set(DAYS)) == inside.decoder["step"].nunique() > 0
    assert inside.influence[["whole", "network"]].sum().round(9).tolist() == [1, 1]
    assert inside.influence["lag"].tolist() == list(range(1, len(inside.influence) + 1))
    assert inside.summary["series"] == "b c"
    assert "forget" in repr(inside) or "memory" in repr(inside)


def test_a_look_inside_is_drawn_where_one_says_and_nowhere_else(tmp_path: Path) -> None:
    inside = lstm(tmp_path / "store").explain()
    assert inside.series == "007"
    assert not list(Path().iterdir())
    drawn = inside.draw(tmp_path / "cell.png")
    assert drawn.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RequestError, match="a picture is written as"):
        inside.draw(tmp_path / "cell.pdf")
    assert not list(Path().iterdir())


def test_a_look_inside_of_a_gru_with_attention_has_its_gates_and_weights(tmp_path: Path) -> None:
    inside = lstm(tmp_path, **{"model.cell": "gru", "model.attention": True}).explain(frame=long()[:70])
    assert {"update", "reset", "candidate", "hidden"} <= set(inside.gates)
    assert inside.attention is not None
    np.testing.assert_allclose(inside.attention.sum(axis=1), 1)
    assert inside.gates["end"].max() == DAYS[69]


def test_a_look_at_a_series_that_is_not_there_names_those_that_are(shops: forecast.Model) -> None:
    with pytest.raises(RequestError, match="there is no series west"):
        shops.explain("west")
    with pytest.raises(RequestError, match="there is no series 8"):
        shops.explain(8)


def test_an_id_that_is_a_number_names_its_series() -> None:
    frame = pd.concat([pd.DataFrame({"store": k, "date": DAYS, "sales": values(k)}) for k in (7, 8)])
    for asked in (8, [8], "8"):
        assert forecast.predict(frame, horizon=2, series=asked)["store"].unique().tolist() == ["8"]


def test_what_is_asked_of_a_forecast_is_done(shops: forecast.Model) -> None:
    model, frame = shops, long()
    assert model.predict(series="b c")["store"].unique().tolist() == ["b c"]
    assert model.predict(as_of=DAYS[50])["cutoff"].unique().tolist() == [DAYS[50]]
    assert (model.predict(round=True)["yhat"] % 1 == 0).all()
    assert model.predict(frame.assign(sales=-frame["sales"]), nonnegative=True)["yhat"].min() == 0
    assert model.predict(horizon=np.int64(9))["date"].nunique() == 9
    with pytest.raises(StaleError):
        model.predict(max_age="1d")
    with pytest.raises(DataError, match="another unit"):
        model.predict(frame.assign(sales=frame["sales"].where(frame["date"] < DAYS[60], frame["sales"] * 1000)))


@pytest.mark.parametrize("place", ["column", "index"])
def test_times_of_a_zone_come_back_in_that_zone(place: str) -> None:
    hours = pd.date_range("2024-03-29", periods=80, freq="h", tz="Europe/Berlin")       # summer time begins on the 31st
    frame = pd.DataFrame({"y": values(1)}, index=hours.rename("ds"))
    trained(frame.reset_index() if place == "column" else frame, horizon=3)
    made = forecast.load().predict(frame)
    assert made["ds"].tolist() == list(pd.date_range(hours[-1], periods=4, freq="h")[1:])
    assert str(made["ds"].dt.tz) == str(made["cutoff"].dt.tz) == "Europe/Berlin"
    elsewhere = forecast.load().predict(frame.tz_convert("Asia/Tokyo"))
    assert str(elsewhere["ds"].dt.tz) == "Asia/Tokyo"
    assert elsewhere["ds"].tolist() == made["ds"].tolist()
    assert forecast.load().predict(frame, as_of=hours[70].tz_convert("UTC"))["cutoff"].unique().tolist() == [hours[70]]


def test_days_of_a_zone_begin_at_its_midnights() -> None:
    days = pd.date_range("2024-02-01", periods=58, freq="D", tz="Europe/Berlin")
    made = trained(one()[:58].assign(ds=days), horizon=5).predict()
    assert made["ds"].tolist() == list(pd.date_range("2024-03-30", periods=5, freq="D", tz="Europe/Berlin"))
    assert made["ds"].diff()[2] == pd.Timedelta("23h")


def test_an_offset_comes_back_as_it_was() -> None:
    hours = pd.date_range("2024-03-29 00:00-03:30", periods=80, freq="h")
    made = trained(one(ds=hours), horizon=2).predict()
    assert made["ds"].map(str).tolist() == ["2024-04-01 08:00:00-03:30", "2024-04-01 09:00:00-03:30"]


# the store

def test_a_model_stays_what_it_is_when_another_one_goes_live() -> None:
    first = trained(one(), name="first")
    before = first.predict()
    second = trained(one(2), season=5, promote="always")
    assert (first.is_live, second.is_live, second.season, second.levels) == (False, True, 5, (80.0, 95.0))
    pd.testing.assert_frame_equal(first.predict(), before)
    assert forecast.load("first").id == first.id == first.record.id == first.folder.name
    assert (repr(second)[:7], "(live)" in repr(second), "(not live)" in repr(first)) == ("<Model ", True, True)
    assert trained(one(), promote="never").is_live is False


def test_a_run_that_does_not_reach_its_least_skill_is_refused_and_kept() -> None:
    with pytest.raises(GateError) as caught:
        trained(one(), min_skill=0.99)
    assert "min_skill=0.99" in str(caught.value)
    name = re.search(r"forecast\.load\('(.*?)'\)", str(caught.value.hint)).group(1)     # type: ignore[union-attr]
    assert forecast.load(name).is_live is False


def test_a_forecast_is_kept_in_the_ledger_where_that_is_asked_for_and_a_frame_never_is(run: Run) -> None:
    one().to_csv("data.csv", index=False)
    model = trained("data.csv")
    assert model.predict().attrs["issue"] is None
    assert not Path(".forecast/ledger.sqlite").exists()
    kept = model.predict(record=True).attrs
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", kept["issue"])
    assert kept["fingerprint"] == model.predict(one()).attrs["fingerprint"]
    assert run("evaluate", "--issued").code == 0
    with pytest.raises(RequestError, match="no place that the ledger could name"):
        model.predict(one(), record=True)


def test_settings_of_the_project_count_and_keywords_stand_above_them() -> None:
    Path("forecast.toml").write_text("[model]\nhorizon = 3\nhidden = 4\nmembers = 1\n[train]\nsteps = 5\n")
    assert forecast.train(one()).horizon == 3
    assert forecast.train(one(), horizon=4).horizon == 4


def test_a_killed_training_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def left() -> list[Path]:
        return [path for path in Path(".forecast/resume").rglob("*") if path.is_file()]

    with monkeypatch.context() as broken:
        broken.setattr("forecast.tasks.train._kept", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(one())
    assert left()
    resumed = trained(one(), resume=True)
    assert left() == []                                                 # what was left was of these very data
    assert resumed.predict()["yhat"].tolist() == trained(one(), store="b").predict()["yhat"].tolist()


def test_what_a_program_of_another_format_left_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as older:
        older.setattr("forecast.store.run.FORMAT", 5)
        older.setattr("forecast.tasks.train._kept", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(one())
    before = set(Path(".forecast/resume").iterdir())
    with monkeypatch.context() as broken:
        broken.setattr("forecast.tasks.train._kept", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(one(), resume=True)
    assert len(set(Path(".forecast/resume").iterdir()) - before) == 1   # begun anew, in a place of its own


# reading and checking

def test_a_file_is_read_as_the_commands_read_it_and_said_what_was_mended() -> None:
    read = forecast.read(one().drop(index=[30, 31]))
    assert (list(read), len(read), read.attrs["frequency"]) == (["ds", "y"], 80, "D")
    assert read.attrs["repairs"] == ["2 missing days -> linear (fill=)"]
    Path("data.csv").write_text("ds;y\n" + "".join(f"{d:%d.%m.%Y};1,{k}\n" for k, d in enumerate(DAYS)))
    assert forecast.read(Path("data.csv"))["y"].tolist()[-1] == 1.79
    assert "dates read as %d.%m.%Y" in forecast.read("data.csv").attrs["notes"]
    with pytest.raises(DataError) as caught:
        forecast.read("data.csv", decimal=".")
    assert (caught.value.row, caught.value.column) == (2, "y")


def test_a_check_says_everything_and_raises_nothing_for_data() -> None:
    good = forecast.check(one().drop(index=[30, 31]))
    assert (good.outcome, good.is_usable, good.frequency, good.series, good.rows) == ("repaired", True, "D", 1, 78)
    assert good.columns == {"id": None, "time": "ds", "target": ["y"]}
    assert [(r.kind, r.count, r.flag) for r in good.repairs] == [("gaps", 2, "fill")]
    assert [p.row for p in good.repairs[0].examples] == [30]
    assert forecast.check(one()).outcome == "exact"
    bad = forecast.check(pd.concat([one(), one()[-1:]]))
    assert (bad.outcome, bad.is_usable, bad.columns, bad.rows) == ("refused", False, None, None)
    assert [(p.code, p.row, p.hint) for p in bad.problems] == [
        ("duplicate_time", 80, "Try duplicates='last', mean or sum")]
    assert "first on row 79" in str(bad)
    assert forecast.check("nowhere.csv").problems[0].code == "no_file"


# what goes wrong

BAD: dict[str, tuple[Any, type[ForecastError], dict[str, Any]]] = {
    "infinite": (one(y=[*values(1, 79), np.inf]), DataError, {"code": "not_finite", "row": 79, "column": "y"}),
    "no time": (one(ds=[pd.NaT, *DAYS[1:]]), DataError, {"row": 0, "column": "ds"}),
    "too short": (one()[:3], DataError, {"code": "too_short"}),
    "no frame": ([1, 2, 3], RequestError, {"code": "no_data"}),
    "nothing": (None, RequestError, {"code": "no_data"}),
    "no file": ("nowhere.csv", DataError, {"code": "no_file"}),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_raise_the_errors_of_the_commands(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    data, error, told = BAD[kind]
    with pytest.raises(error) as raised:
        trained(data)
    assert {name: getattr(raised.value, name) for name in told} == told
    assert "--" not in str(raised.value)                                # keywords, not flags
    assert capfd.readouterr() == ("", "")


def test_a_wrong_request_names_the_near_word(shops: forecast.Model) -> None:
    for call, hint in ((lambda: forecast.train(one(), horizn=7), "horizon"),
                       (lambda: forecast.train(one(), settings={"train.lrr": 1}), "lr"),
                       (lambda: shops.predict(nonegative=True), "nonnegative")):
        with pytest.raises(RequestError) as raised:
            call()                                                      # type: ignore[no-untyped-call]
        assert (raised.value.code, raised.value.hint) == ("unknown_setting", f"Did you mean {hint}=?")
    with pytest.raises(RequestError, match=r"horizon='soon': model\.horizon takes a whole number"):
        forecast.train(one(), horizon="soon")                           # type: ignore[arg-type]
    with pytest.raises(RequestError, match="quick and best exclude each other"):
        forecast.train(one(), quick=True, best=True)
    with pytest.raises(RequestError, match="levels=70: this model was trained for 80,95"):
        shops.predict(levels=(70,))
    with pytest.raises(RequestError, match="there is no 'foo'") as raised:
        shops.predict(foo=1)                                            # type: ignore[call-arg]
    assert {"horizon", "levels", "mean", "record", "nonnegative"} <= set(str(raised.value.hint).split("Known: ")[1]
                                                                        .split(", "))
    with pytest.raises(ModelError):
        forecast.load("nobody")
    with pytest.raises(RequestError, match="a model is named by a text, not by None"):
        forecast.load(None)                                             # type: ignore[arg-type]


def test_a_column_that_separates_the_series_is_told_in_one_problem() -> None:
    checked = forecast.check(long().rename(columns={"store": "place"}))
    assert len(checked.problems) == 1
    assert "id='place'" in str(checked.problems[0])


@pytest.mark.parametrize(("flags", "keywords"), [
    ("Try --decimal ','", "Try decimal=','"),
    ("Try --decimal . or --decimal ','", "Try decimal='.' or decimal=','"),
    ("Give the step with --freq, or bring", "Give the step with freq=, or bring"),
    ("Try --tz with the zone's name, or --duplicates mean", "Try tz= with the zone's name, or duplicates='mean'"),
    ("--id shop, or --id none if all", "id='shop', or id='none' if all"),
    ("Name it with --time; columns: a", "Name it with time=; columns: a"),
    ("--fill zero if no row means none, or --max-gap N", "fill='zero' if no row means none, or max_gap=N"),
    ("--bad-rows quarantine sets", "bad_rows='quarantine' sets"),
    ("Try --date-format '%d.%m' or '%m.%d'", "Try date_format='%d.%m' or '%m.%d'"),
    ("or --accept-scale if they are right", "or accept_scale=True if they are right"),
    ("--missing -9999,none keeps it", "missing='-9999,none' keeps it"),
    ("a shorter --horizon; one of 12", "a shorter horizon=; one of 12"),
    ("skill 0.1 is below --min-skill 0.2", "skill 0.1 is below min_skill=0.2"),
    ("Lower the learning rate: --set train.lr=0.0005", "Lower the learning rate: settings={'train.lr': '0.0005'}"),
    ("--freq 'x' is not a step", "freq='x' is not a step")])
def test_flags_are_said_as_keywords(flags: str, keywords: str) -> None:
    assert spoken(flags) == keywords


def test_every_flag_that_a_text_below_the_command_line_names_becomes_a_keyword_that_exists() -> None:
    package = Path(forecast.__file__).parent
    known = {*Settings.__annotations__, *Asked.__annotations__, *forecast.Model.predict.__annotations__,
             *forecast.train.__annotations__, "accept_scale", "max_age", "settings", "nonnegative", "device"}
    for file in (f for wing in ("reading", "series", "model", "training") for f in (package / wing).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                assert not re.search("--[a-z]", spoken(node.value)), node.value
                named = {w.replace("-", "_") for w in re.findall(r"--([a-z][a-z-]*)", node.value)}
                assert named - {"set", "no_final_fit", "budget", "cells", "study"} <= known, (file.name, node.value)


def test_the_keywords_are_the_settings() -> None:
    assert set(Settings.__annotations__) == {key.split(".")[1] for key in SETTINGS} | {"quick", "best"}


# beside other things in a process

def test_two_threads_use_two_models_and_train_two_more() -> None:
    models = [trained(one(k), store=f"s{k}") for k in (1, 2)]
    alone = [model.predict()["yhat"].tolist() for model in models]
    told: dict[int, list[list[float]]] = {0: [], 1: []}

    def work(k: int) -> None:
        told[k] += [models[k].predict()["yhat"].tolist() for _ in range(3)]
        told[k] += [trained(one(k + 1), store=f"t{k}").predict()["yhat"].tolist()]

    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {k: [alone[k]] * 4 for k in (0, 1)}


def test_what_torch_was_set_to_it_is_set_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(1)
    torch.set_flush_denormal(False)
    torch.manual_seed(7)
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    trained(one())
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.get_deterministic_debug_mode()) == (2, 1)
    assert torch.utils.deterministic.fill_uninitialized_memory is True
    torch.set_deterministic_debug_mode(mode)
    assert sys.float_info.min / 2 > 0                                   # denormals are no longer flushed


def test_import_loads_nothing_heavy_and_the_door_is_listed() -> None:
    code = ("import sys, forecast\nfrom forecast import __all__ as names\nassert set(names) <= set(dir(forecast))\n"
            "loaded = {'numpy', 'pandas', 'torch', 'typer', 'pyarrow', 'forecast.api'} & sys.modules.keys()\n"
            "from forecast import DataError, train\nassert issubclass(DataError, forecast.ForecastError)\n"
            "assert not hasattr(forecast, 'nothing')\nsys.exit(str(loaded or '') + 'torch' * ('torch' in sys.modules))")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == ""


def test_the_notebook_of_the_handbook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(forecast.__file__).parent / "help" / "python.md").read_text()
    script = re.search(r"```python\n(.*?)```", page, flags=re.DOTALL).group(1)             # type: ignore[union-attr]
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("FORECAST_TRAIN_EFFORT", "0.05")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "seasonal_naive" in ended.stdout
    assert Path("north.png").stat().st_size > 10_000
