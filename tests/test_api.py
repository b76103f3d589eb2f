"""The door for Python: the numbers of the commands, from data frames."""

from __future__ import annotations

import decimal
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

import forecast
from forecast.errors import DataError, ForecastError, ModelError, RequestError
from tests.test_cli import Run, run

__all__ = ["run"]
TINY = {"train.steps": 5, "model.hidden": 4, "model.members": 1, "train.threads": 1}
DAYS = pd.date_range("2024-01-01", periods=80, freq="D")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def values(seed: int, count: int = 80) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (50 + 10 * np.sin(np.arange(count) / 7 * 2 * np.pi) + random.normal(0, 1, count)).round(2)


def long() -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"store": name, "date": DAYS, "sales": values(k)}) for k, name in
                      enumerate(("007", "b c"))], ignore_index=True)


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "long": long,
    "categories": lambda: long().assign(store=lambda f: f["store"].astype("category")),
    "nullable": lambda: long().assign(sales=lambda f: f["sales"].astype("Float64")),
    "decimals": lambda: long().assign(sales=lambda f: [decimal.Decimal(f"{v:.2f}") for v in f["sales"]]),
    "dates as text": lambda: long().assign(date=lambda f: f["date"].dt.strftime("%Y-%m-%d")),
    "two levels": lambda: long().set_index(["store", "date"]),
    "shuffled": lambda: pd.concat([part.sample(frac=1, random_state=1) for _, part in long().groupby("store")]),
    "wide": lambda: pd.DataFrame({"date": DAYS, "north": values(1), "south": values(2)}),
    "an index of times": lambda: pd.DataFrame({"y": values(1)}, index=DAYS.rename("ds")),
    "months": lambda: pd.DataFrame({"y": values(1)}, index=pd.period_range("2015-01", periods=80, freq="M", name="ds")),
    "whole steps": lambda: pd.DataFrame({"ds": np.arange(80), "y": values(1)}),
    "a gap": lambda: pd.DataFrame({"ds": DAYS, "y": values(1)}).drop(index=[30, 31]),
    "missing": lambda: pd.DataFrame({"ds": DAYS, "y": pd.array(np.where(np.arange(80) == 40, None, values(1)),
                                                               dtype="Float64")}),
}


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as somebody would write it to a file."""
    flat = frame if isinstance(frame.index, pd.RangeIndex) or (frame.index.name is None and not isinstance(
        frame.index, pd.MultiIndex)) else frame.reset_index()
    return flat


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_and_a_file_of_the_same_data_give_the_same_forecasts(kind: str, capfd: pytest.CaptureFixture[str]
                                                                     ) -> None:
    frame = FRAMES[kind]()
    before = frame.copy(deep=True)
    as_text(frame).to_csv("data.csv", index=False)
    made = [forecast.train(data, store=store, horizon=7, settings=TINY).predict(mean=True)
            for data, store in ((frame, "one"), ("data.csv", "two"))]
    one, two = (f.drop(columns="model") for f in made)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    pd.testing.assert_frame_equal(frame, before)
    assert capfd.readouterr() == ("", "")


def test_a_frame_gives_what_the_commands_write(run: Run, tmp_path: Path) -> None:
    long().to_csv("data.csv", index=False)
    sets = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    assert run("train", "data.csv", "--horizon", "7", *sets).code == 0
    assert run("predict").code == 0
    model = forecast.train(long(), store="other", horizon=7, settings=TINY)
    written = pd.read_csv("predictions.csv", dtype={"store": str}, parse_dates=["date", "cutoff"])
    made = model.predict()
    for name in ("store", "yhat", "yhat_lo_80", "yhat_hi_95"):
        assert made[name].tolist() == written[name].tolist()
    assert made["date"].tolist() == written["date"].tolist()
    assert forecast.load().predict()["yhat"].tolist() == made["yhat"].tolist()  # the command's own model
    assert (model.horizon, model.levels, model.is_live, repr(model)[:7]) == (7, (80.0, 95.0), True, "<Model ")


def test_newer_data_are_forecast_and_scored_by_the_model_as_it_is() -> None:
    frame = pd.DataFrame({"ds": DAYS, "y": values(1)})
    model = forecast.train(frame[:60], horizon=7, settings=TINY)
    ahead = model.predict(frame, horizon=3, levels=[80])
    assert ahead["ds"].tolist() == list(pd.date_range("2024-03-21", periods=3))
    assert list(ahead) == ["ds", "yhat", "yhat_lo_80", "yhat_hi_80", "cutoff", "model", "source"]
    scores = model.evaluate(frame)
    assert scores.windows >= 1
    assert set(scores.summary["model"]) >= {"seasonal_naive", "naive"}
    assert model.metrics["models"].keys() >= {"seasonal_naive", "naive"}


def test_a_file_is_read_as_the_commands_read_it_and_said_what_was_mended() -> None:
    frame = pd.DataFrame({"ds": DAYS, "y": values(1)}).drop(index=[30, 31])
    read = forecast.read(frame)
    assert len(read) == 80
    assert read.attrs["frequency"] == "D"
    assert "2 missing" in read.attrs["repairs"][0]
    checked = forecast.check(frame)
    assert (checked.outcome, checked.to_dict()["series"]) == ("repaired", 1)
    assert forecast.check(pd.DataFrame({"ds": ["2024-01-01", "soon"], "y": [1.0, 2.0]})).outcome == "refused"


INF = values(1)
INF[12] = np.inf
BAD: dict[str, tuple[Any, type[ForecastError], dict[str, Any]]] = {
    "infinite": (pd.DataFrame({"ds": DAYS, "y": INF}), DataError, {"code": "not_finite", "row": 13, "column": "y"}),
    "text": (pd.DataFrame({"ds": DAYS, "y": ["x"] * 80}), DataError, {}),
    "a step back": (pd.DataFrame({"ds": [*DAYS, DAYS[3]], "y": values(1, 81)}), DataError, {"code": "backward_step"}),
    "twice": (pd.DataFrame({"ds": [*DAYS, DAYS[-1]], "y": values(1, 81)}), DataError, {"code": "duplicate_time"}),
    "empty": (pd.DataFrame({"ds": [], "y": []}), DataError, {}),
    "no frame": ([1, 2, 3], DataError, {"code": "no_frame"}),
    "flags": (pd.DataFrame({"ds": DAYS, "y": values(1) > 50}), DataError, {}),
    "complex": (pd.DataFrame({"ds": DAYS, "y": values(1) + 1j}), DataError, {"code": "wrong_type", "column": "y"}),
    "lengths of time": (pd.DataFrame({"ds": DAYS - DAYS[0], "y": values(1)}), DataError, {"code": "wrong_type"}),
    "nothing": (None, RequestError, {"code": "no_data"}),
    "a column twice": (pd.DataFrame(np.c_[values(1), values(2)], columns=["y", "y"], index=DAYS), DataError, {}),
    "no time": (pd.DataFrame({"ds": [pd.NaT, *DAYS[1:]], "y": values(1)}), DataError, {"row": 1, "column": "ds"}),
    "several kinds": (pd.DataFrame({"ds": DAYS, "y": [*values(1, 79), {"a": 1}]}), DataError, {}),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_raise_the_errors_of_the_commands(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    data, error, told = BAD[kind]
    with pytest.raises(error) as raised:
        forecast.train(data, horizon=7, settings=TINY)
    assert {name: getattr(raised.value, name) for name in told} == told
    assert "--" not in f"{raised.value.hint}"                           # keywords, not flags
    assert capfd.readouterr() == ("", "")


def test_a_wrong_request_names_the_near_word() -> None:
    with pytest.raises(RequestError) as raised:
        forecast.train(long(), horizn=7)
    assert raised.value.hint == "Did you mean horizon=?"
    with pytest.raises(RequestError, match="takes a whole number"):
        forecast.train(long(), horizon="soon")
    with pytest.raises(ModelError):
        forecast.load("nobody")


@pytest.mark.parametrize("place", ["column", "index"])
def test_times_of_a_zone_come_back_in_that_zone(place: str) -> None:
    hours = pd.date_range("2024-03-29", periods=80, freq="h", tz="Europe/Berlin")       # summer time begins on the 31st
    frame = pd.DataFrame({"y": values(1)}, index=hours.rename("ds"))
    model = forecast.train(frame.reset_index() if place == "column" else frame, horizon=3, settings=TINY)
    made = model.predict()
    assert made["ds"].tolist() == list(pd.date_range(hours[-1], periods=4, freq="h")[1:])
    assert str(made["ds"].dt.tz) == str(made["cutoff"].dt.tz) == "Europe/Berlin"
    assert str(forecast.load().predict(frame)["ds"].dt.tz) == "Europe/Berlin"


def test_hints_speak_python() -> None:
    with pytest.raises(DataError) as raised:
        forecast.train(pd.DataFrame({"ds": [pd.NaT, *DAYS[1:]], "y": values(1)}), horizon=7, settings=TINY)
    assert "bad_rows='quarantine'" in str(raised.value.hint)


def test_two_threads_use_two_models() -> None:
    frames = [pd.DataFrame({"ds": DAYS, "y": values(k)}) for k in (1, 2)]
    models = [forecast.train(f, store=f"s{k}", horizon=7, settings=TINY) for k, f in enumerate(frames)]
    alone = [model.predict()["yhat"].tolist() for model in models]
    told: dict[int, list[list[float]]] = {0: [], 1: []}
    threads = [threading.Thread(target=lambda k=k: told[k].extend(models[k].predict()["yhat"].tolist()
                                                                  for _ in range(5))) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(said == alone[k] for k in (0, 1) for said in told[k])


def test_import_loads_nothing_heavy_and_the_door_is_listed() -> None:
    code = ("import sys, forecast\nassert {'train', 'load', 'read', 'check'} <= set(dir(forecast))\n"
            "sys.exit(str({'numpy', 'pandas', 'torch', 'typer', 'pyarrow'} & sys.modules.keys() or ''))")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == ""


def test_the_notebook_of_the_handbook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = (Path(forecast.__file__).parent / "help" / "python.md").read_text()
    script = re.search(r"```python\n(.*?)```", page, flags=re.DOTALL).group(1)             # type: ignore[union-attr]
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("FORECAST_TRAIN_EFFORT", "0.05")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "seasonal_naive" in ended.stdout
    assert (tmp_path / "north.png").stat().st_size > 10_000
