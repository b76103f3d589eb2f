"""Scores of paths: totals covered, the energy score, and what chances were worth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.model import reconciling
from forecast.scoring.joint import Cases, brier, energy_score, reliability, total_covered
from forecast.tasks import group_scores
from tests.test_cli import FAST, Run, run

__all__ = ["run"]


def test_the_energy_score_is_the_mean_of_distances_written_out() -> None:
    rng = np.random.default_rng(0)
    paths, truth = rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 2))
    off = sum(float(np.sqrt(((path - truth[0]) ** 2).sum())) for path in paths[0]) / 3
    pairs = [(0, 2), (1, 0), (2, 1)]
    apart = sum(float(np.sqrt(((paths[0, i] - paths[0, j]) ** 2).sum())) for i, j in pairs) / 3
    assert energy_score(paths, truth)[0] == pytest.approx(off - apart / 2)


def test_the_energy_score_prefers_the_dependence_that_the_truth_has() -> None:
    rng = np.random.default_rng(1)
    level = rng.normal(size=(400, 1))
    truth, alike = np.repeat(level, 8, axis=1), np.repeat(rng.normal(size=(400, 200, 1)), 8, axis=2)
    assert energy_score(alike, truth).mean() < energy_score(rng.normal(size=(400, 200, 8)), truth).mean()


def test_a_total_is_covered_where_it_lies_between_the_quantiles_of_the_totals_of_paths() -> None:
    paths = np.stack([np.arange(101.0)] * 2, axis=1)[None] / 2          # totals 0 .. 100
    for total, inside in ((9.9, False), (10.1, True), (89.9, True), (90.1, False)):
        assert total_covered(paths, np.array([[total, 0.0]]), 80)[0] == inside


def test_brier_and_reliability_of_four_chances() -> None:
    chance, happened = np.array([0.1, 0.1, 0.9, 1.0]), np.array([False, True, True, True])
    assert brier(chance, happened) == pytest.approx((0.01 + 0.81 + 0.01 + 0) / 4)
    low, high = reliability(chance, happened)
    assert (low["n"], low["chance"], low["happened"]) == (2, pytest.approx(0.1), 0.5)
    assert (high["n"], high["from"], high["to"], high["happened"]) == (2, 0.8, 1.0, 1.0)


def test_only_windows_whose_truth_is_whole_are_cases() -> None:
    rows = [(s, c, h) for s, c, steps in ((0, 5, (2, 1)), (0, 6, (1,)), (1, 5, (1, 2))) for h in steps]
    frame = pd.DataFrame(rows, columns=["series", "cutoff", "step"])
    frame["y"] = 10.0 * frame["series"] + frame["step"]
    for name in ("yhat", "yhat_lo_80", "yhat_hi_80"):
        frame[name] = frame["y"] + {"yhat": 0, "yhat_lo_80": -1, "yhat_hi_80": 0.5}[name]
    cases = Cases.of(frame, (80.0,), 2)
    assert (cases.series.tolist(), cases.cutoff.tolist()) == ([0, 1], [5, 5])
    assert cases.truth.tolist() == [[1, 2], [11, 12]]
    assert cases.values[1].tolist() == [[10, 11, 11.5], [11, 12, 12.5]]
    assert cases.ends_added_up(80).tolist() == [True, True]


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    y = 200 + np.cumsum(rng.normal(size=150))
    path = tmp_path / "walk.csv"
    path.write_text("time,y\n" + "".join(f"{t},{v:.2f}\n" for t, v in enumerate(y)))
    return path


def test_evaluate_scores_totals_paths_and_an_event(run: Run, walk: Path) -> None:
    asked = ("--horizon", 5, "--season", 1, "--windows", 10, "--step", 2, *FAST, "-o", "m.json")
    ended = run("evaluate", walk, *asked, "--event", "last > 200")
    assert ended.code == 0, ended.err
    found = json.loads(Path("m.json").read_text())["joint"]
    assert (found["windows"], found["horizon"], set(found["totals"])) == (10, 5, {"80", "95"})
    assert 0 <= found["totals"]["80"]["covers"] <= found["totals"]["95"]["covers"] <= 1
    assert found["energy"]["own"] < found["energy"]["independent"]      # the steps of a walk err together
    assert sum(b["n"] for b in found["event"]["reliability"]) == 10
    assert "totals        of 10 totals over 5 steps, covered: the 80 % band" in ended.out
    assert '"last > 200" happened in' in ended.out


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    days = pd.date_range("2025-01-01", periods=200).strftime("%Y-%m-%d")
    rows = [f"{shop},{day},{50 + 10 * np.sin(t * 2 * np.pi / 7) + rng.normal(0, 4):.2f}" for shop in "abc"
            for t, day in enumerate(days)] + [f"new,{day},7" for day in days[-5:]]
    path = tmp_path / "shops.csv"
    path.write_text("shop,day,sales\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("gain", [0.0, 10.0])                           # never reconciled, and in any case
def test_totals_of_groups_are_scored_beside_added_up_and_seasonal_naive(
        run: Run, shops: Path, monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    monkeypatch.setattr(reconciling, "GAIN", gain)
    asked = ("evaluate", shops, "--model", "prior", "--horizon", 7, "--windows", 12, "--step", 3, "--by", "all,shop")
    ended = run(*asked, "-o", "m.json", "--predictions", "p.csv")
    assert ended.code == 0, ended.err
    monkeypatch.setattr(group_scores, "AT_ONCE", 1)                     # a series at a time
    assert run(*asked, "-o", "n.json").code == 0
    assert Path("m.json").read_text() == Path("n.json").read_text()
    found = json.loads(Path("m.json").read_text())["joint"]["groups"]
    assert (found["groups"], found["windows"], found["horizon"]) == (4, 48, 7)      # one is too new to be there
    rows = pd.read_csv("p.csv")
    rows = rows[rows["shop"] != "new"]
    totals = rows.groupby(["model", "shop", "cutoff"])[["y", "yhat"]].sum().reset_index()
    whole = totals.groupby(["model", "cutoff"])[["y", "yhat"]].sum().reset_index().assign(shop="all")
    totals = pd.concat([totals, whole])
    off = (totals["y"] - totals["yhat"]).abs().groupby([totals["model"], totals["shop"]]).mean().unstack()
    ratio = (off.drop(index=["seasonal_naive", "naive"]).iloc[0] / off.loc["seasonal_naive"]).mean()
    assert found["error"]["added_up"] == pytest.approx(ratio, rel=0.1)  # medians of paths are not sums of medians
    assert 0.5 < found["totals"]["added_up"]["80"] <= found["totals"]["added_up"]["95"] <= 1
    assert (found["error"]["issued"] == found["error"]["added_up"]) == (gain == 0)
    assert ("reconciled (MinT)" in ended.out) == (gain > 0)


def test_groups_without_a_window_of_all_their_series_are_not_scored(run: Run, tmp_path: Path) -> None:
    days = pd.date_range("2025-01-01", periods=90).strftime("%Y-%m-%d").tolist()
    rows = [f"{shop},{day},{k % 5}" for shop, part in (("a", days[:-8]), ("b", days)) for k, day in enumerate(part)]
    (tmp_path / "d.csv").write_text("shop,day,sales\n" + "\n".join(rows) + "\n")
    ended = run("evaluate", "d.csv", "--model", "prior", "--horizon", 7, "--windows", 1, "--by", "all")
    assert ended.code == 0, ended.err
    assert "of 1 total of 1 group over 7 steps" in ended.out            # of b alone


@pytest.mark.parametrize(("asked", "words"), [
    (("--by", "price", "--horizon", 5), "--by price: there is no such static column"),
    (("--by", "shop", "--issued"), "--by is scored in a backtest"),
    (("--event", "max >> 3"), "at character 5"), (("--event", "max > 3", "--issued"), "is scored in a backtest"),
    (("--event", "6 in a row > 3", "--horizon", 5), "the horizon has 5 steps")])
def test_an_event_that_cannot_be_scored_is_refused(run: Run, walk: Path, asked: tuple[object, ...], words: str) -> None:
    ended = run("evaluate", walk, *asked, "--season", 1, "--windows", 2, *FAST)
    assert (ended.code, words in ended.err) == (2, True), ended.err
