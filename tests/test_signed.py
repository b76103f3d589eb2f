"""Forecasts that somebody would sign: whole runs of the program on series that led others astray."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.test_cli import Run, run

__all__ = ["run"]
WEEK = [0.0, 40.0, 60.0, 20.0, -30.0, -60.0, -30.0]
FEW = ["--quick", "--set", "train.steps=30", "--set", "model.hidden=8"]


def daily(path: Path, values: list[float] | np.ndarray, digits: int = 0) -> Path:
    """A file of one daily series that ends on 20 July 2023."""
    days = np.datetime64("2023-07-21") - np.arange(len(values), 0, -1)
    path.write_text("ds,y\n" + "".join(f"{day},{value:.{digits}f}\n" for day, value in zip(days, values, strict=True)))
    return path


def week(level: float, count: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 8, count)
    return np.array([level + WEEK[t % 7] for t in range(count)]) + noise


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(path: Path, name: str) -> list[float]:
    return [float(row[name]) for row in rows(path)]


def test_ten_days_behind_a_change_the_forecast_is_of_the_new_level_and_says_so(run: Run, tmp_path: Path) -> None:
    values = week(1000, 200)
    values[-10:] -= 600
    daily(tmp_path / "y.csv", values)
    trained = run("train", "y.csv", *FEW)
    assert trained.code == 0
    assert "its level changed from about" in trained.err
    assert "on 2023-07-11" in trained.err
    predicted = run("predict", "--json")
    assert [(r["code"], r["series"]) for r in json.loads(predicted.out)["remarks"]] == [("level", "y")]
    yhat = column(tmp_path / "predictions.csv", "yhat")
    assert min(yhat) > 300
    assert max(yhat) < 530
    assert min(np.subtract(column(tmp_path / "predictions.csv", "yhat_hi_80"), yhat)) > 0
    assert min(column(tmp_path / "predictions.csv", "yhat_hi_95")) > 800        # it may return


def test_seventy_days_behind_a_change_bands_are_as_wide_as_the_noise(run: Run, tmp_path: Path) -> None:
    values = week(1000, 220)
    values[-70:] -= 600
    daily(tmp_path / "y.csv", values)
    assert run("train", "y.csv", *FEW).code == 0
    assert run("predict").code == 0
    low, high = (column(tmp_path / "predictions.csv", f"yhat_{side}_80") for side in ("lo", "hi"))
    assert max(np.subtract(high, low)) < 120                            # noise of 8; it was 390
    assert min(low) > 280
    assert max(high) < 560


def test_a_run_clearly_worse_than_a_simple_forecast_leaves_the_word_to_it(run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    restless = 50 + np.concatenate([random.normal(0, 9, 100), np.full(80, 3.0)])        # then it stands still
    daily(tmp_path / "y.csv", restless, digits=2)
    trained = run("train", "y.csv", *FEW)
    assert "is clearly worse than" in trained.err
    metrics = json.loads(next((tmp_path / ".forecast" / "runs").glob("*/metrics.json")).read_text())
    assert metrics["serves"] in ("naive", "seasonal_naive")
    assert metrics["models"][metrics["serves"]]["mae"] == 0
    assert run("predict").code == 0
    assert {row["source"] for row in rows(tmp_path / "predictions.csv")} == {metrics["serves"]}
    assert set(column(tmp_path / "predictions.csv", "yhat")) == {53.0}


def test_counts_are_whole_never_negative_and_have_a_mean_for_totals(run: Run, tmp_path: Path) -> None:
    counts = np.random.default_rng(2).poisson(0.4, 200)
    daily(tmp_path / "y.csv", counts)
    assert run("train", "y.csv", *FEW).code == 0
    said, quiet = run("predict").err, run("predict", "-q").err
    assert re.search(r"zeros +y: yhat, the median, is 0 at every step: .* About 0\.\d+ a step .*: --mean", said)
    ended = run("predict", "--mean")
    assert ended.code == 0
    assert "zeros" not in ended.err + quiet
    written = rows(tmp_path / "predictions.csv")
    numbers = np.array([[float(row[c]) for c in row if c.startswith("yhat") and c != "yhat_mean"] for row in written])
    assert (numbers >= 0).all()
    assert (numbers == np.rint(numbers)).all()
    means = column(tmp_path / "predictions.csv", "yhat_mean")
    assert 0.5 * 0.4 < np.mean(means) < 2 * 0.4
    assert list(written[0])[-4:] == ["yhat_mean", "cutoff", "model", "source"]


def test_below_0_only_where_something_was_or_where_it_may(run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    daily(tmp_path / "y.csv", np.abs(random.normal(0, 1, 150)), digits=3)
    assert run("train", "y.csv", *FEW).code == 0
    run("predict")
    assert min(column(tmp_path / "predictions.csv", "yhat_lo_95")) == 0
    run("predict", "--allow-negative", "-o", "below.csv")
    assert min(column(tmp_path / "below.csv", "yhat_lo_95")) < 0
    assert run("replay", "below.csv").code == 0                         # the ledger keeps what was asked for


def test_nothing_happens_by_night(run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    sun = np.tile(np.maximum(0, np.sin((np.arange(24) - 6) / 12 * np.pi)).round(6), 30)
    power = sun * random.uniform(1, 6, len(sun))
    hours = np.datetime64("2024-05-01T00") + np.arange(len(power))
    (tmp_path / "pv.csv").write_text("time,kw\n" + "".join(
        f"{str(hour).replace('T', ' ')}:00,{value:.3f}\n" for hour, value in zip(hours, power, strict=True)))
    assert run("train", "pv.csv", *FEW).code == 0
    run("predict")
    written = rows(tmp_path / "predictions.csv")
    bands = np.array([[float(row[c]) for c in ("yhat_lo_95", "yhat", "yhat_hi_95")] for row in written])
    assert (bands[:6] == 0).all()
    assert (bands >= 0).all()
    widths = bands[:, 2] - bands[:, 0]
    assert widths[12] > 2 * widths[7] > 0                               # noon, and an hour after sunrise


def test_a_series_of_one_value_has_a_band_and_skill_is_told_against_the_better_simple_forecast(
        run: Run, tmp_path: Path) -> None:
    prices = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, 140)))
    days = np.datetime64("2023-01-01") + np.arange(140)
    lines = [f"a,{day},{price:.2f}" for day, price in zip(days, prices, strict=True)] + [f"b,{days[-1]},80.5"]
    (tmp_path / "p.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    trained = run("train", "p.csv", *FEW)
    assert "how much smaller the MASE is than that of naive" in trained.out
    assert "repeating the last value" in trained.out
    metrics = json.loads(next((tmp_path / ".forecast" / "runs").glob("*/metrics.json")).read_text())
    assert metrics["skill_against"] == "naive"
    assert run("predict").code == 5
    new = [row for row in rows(tmp_path / "predictions.csv") if row["id"] == "b"]
    assert {row["source"] for row in new} == {"fallback:short"}
    assert all(float(row["yhat_lo_80"]) < 80.5 < float(row["yhat_hi_80"]) for row in new)


@pytest.mark.parametrize("layout", ["long", "quantile"])
def test_a_mean_that_has_no_column_is_refused(run: Run, layout: str) -> None:
    ended = run("predict", "--mean", "--layout", layout)
    assert ended.code == 2
    assert "--mean" in ended.err


def test_figures_and_percent_are_of_one_metric(run: Run, tmp_path: Path) -> None:
    """Of two series of different size MASE and MAE say different percents; in words it is MAE."""
    large, small = week(1000, 120, 1) * 50, week(1000, 120, 2)
    days = np.datetime64("2023-07-21") - np.arange(120, 0, -1)
    lines = [f"{name},{day},{value:.2f}" for name, values in (("large", large), ("small", small))
             for day, value in zip(days, values, strict=True)]
    (tmp_path / "two.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    said = run("train", "two.csv", *FEW).out
    pattern = r"erred by ([\d.]+) on average, repeating the last \w+ by ([\d.]+): (\d+)% (\w+)"
    own, simple, percent, way = re.search(pattern, said).groups()       # type: ignore[union-attr]
    gain = 100 * (1 - float(own) / float(simple))
    assert int(percent) == pytest.approx(abs(gain), abs=1)
    assert way == ("better" if gain >= 0 else "worse")
    assert re.search(r"skill +how much smaller the MASE is than that of \w+; below 0 it is larger; the percent in "
                     "words is by MAE, in which large series weigh most", said)     # so nobody takes one for the other
