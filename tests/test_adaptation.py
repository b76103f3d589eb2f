"""Bands recalibrated from what was issued: misses counted by hand, nothing from later, quantiles that ascend."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.ledger.adaptation import FEWEST, OPEN, adapted, factors_of, tracks
from forecast.ledger.issue import Block, Draft, Issue, issue_of
from forecast.ledger.ledger import FILE, Ledger
from forecast.ledger.options import Options
from forecast.model.calibration import RATE
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.system.datasource import DataSource
from tests import days
from tests.test_cli import Run, run
from tests.test_ledger import CONTRACT

__all__ = ["run"]

TRUTH = Panel.of([np.arange(200.0), np.arange(200.0)], Calendar.of("step"), ids=["a", "b"])


def issued(folder: Path, cutoff: int, *, off: float = 0.0, levels: tuple[float, ...] = (80.0,), ids: str = "ab",
           run: str = "run", record: bool = True, horizon: int = 2, factor: float | None = None) -> Issue:
    """An issue at a cutoff: bands of +-1 for 80 %, +-2 for 95 %, around the truth and `off` beside it for b."""
    known = TRUTH.before(cutoff + 1)
    told = issue_of(run=run, source=DataSource(str(folder / "d.csv")), store=folder, file_sha256="", panel=known,
                    contract=CONTRACT, issued="2026-01-01T00:00:00Z", version="1", horizon=horizon, levels=levels,
                    options=Options(adapt={"80": factor} if factor else None, others={"ids": ids, "off": off}))
    grid = quantile_grid(levels)
    part = known.take([s for s, name in enumerate("ab") if name in ids])
    away = np.array([{0.025: -2, 0.1: -1, 0.5: 0, 0.9: 1, 0.975: 2}[q] for q in grid])
    middle = part.end[:, None] + np.arange(horizon) + np.where(part.ids == "b", off, 0.0)[:, None]
    made = Draft(told, known)
    made.add(Forecast(part, grid, middle[:, :, None] + away, np.full(len(part), "x", dtype=object)), 2)
    return Ledger(folder / FILE).record(made)[0] if record else told


def test_misses_are_counted_over_what_has_come_true_by_the_cutoff(tmp_path: Path) -> None:
    for cutoff in range(10, 17):
        issued(tmp_path, cutoff, off=1.5)
    asked = issued(tmp_path, 16, record=False)
    (track,) = tracks(Ledger(tmp_path / FILE), asked, TRUTH.before(17))
    assert (track.issues, track.values, track.missed) == (6, 5 * 4 + 2, 0.5)    # of cutoff 15 one step has come true
    assert track.factor == pytest.approx(np.exp(RATE * 6 * (0.5 - 0.2)), abs=1e-6)
    asked = issued(tmp_path, 14, record=False)                          # what came later says nothing
    (track,) = tracks(Ledger(tmp_path / FILE), asked, TRUTH.before(15))
    assert (track.issues, track.values, track.factor) == (4, 3 * 4 + 2, None)
    assert factors_of([track]) == {}


def test_the_newest_issue_of_a_cutoff_counts_whatever_the_run_and_parts_are_one(tmp_path: Path) -> None:
    for cutoff in range(10, 10 + FEWEST):
        issued(tmp_path, cutoff, off=1.5)
        issued(tmp_path, cutoff, off=0.0, ids="b", run="other")
    asked = issued(tmp_path, 30, record=False)
    (track,) = tracks(Ledger(tmp_path / FILE), asked, TRUTH.before(31))
    assert (track.issues, track.values, track.missed) == (FEWEST, FEWEST * 4, 0.0)


def test_each_band_is_told_by_the_issues_that_have_it(tmp_path: Path) -> None:
    for cutoff in range(10, 20):
        issued(tmp_path, cutoff, off=1.5, levels=(80.0, 95.0) if cutoff % 2 else (80.0,))
    asked = issued(tmp_path, 30, levels=(80.0, 95.0), record=False)
    inner, outer = tracks(Ledger(tmp_path / FILE), asked, TRUTH.before(31))
    assert (inner.level, inner.issues, inner.missed) == (80.0, 10, 0.5)
    assert (outer.level, outer.issues, outer.missed) == (95.0, 5, 0.0)
    assert factors_of([inner, outer]) == {"80": inner.factor, "95": outer.factor}


def test_of_issues_without_a_factor_the_newest_twenty_count(tmp_path: Path) -> None:
    for cutoff in range(10, 20 + OPEN):
        issued(tmp_path, cutoff, off=9.0 if cutoff < 20 else 0.0)
    ledger, asked = Ledger(tmp_path / FILE), issued(tmp_path, 50, record=False)
    (track,) = tracks(ledger, asked, TRUTH.before(51))
    assert (track.issues, track.missed) == (OPEN, 0.0)
    assert track.factor == pytest.approx(np.exp(-RATE * OPEN * 0.2), abs=1e-6)


def test_values_that_were_filled_in_are_no_truth(tmp_path: Path) -> None:
    for cutoff in range(10, 20):
        issued(tmp_path, cutoff)
    blind = dataclasses.replace(TRUTH, filled=np.ones(len(TRUTH.y), dtype=bool))
    (track,) = tracks(Ledger(tmp_path / FILE), issued(tmp_path, 50, record=False), blind.before(51))
    assert (track.issues, track.missed, track.factor) == (0, None, None)


def test_the_factor_of_the_oldest_issue_that_counts_stands_for_those_before_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.ledger.adaptation.MOST", 10)
    for cutoff in range(10, 30):                                        # of the newest 10, 4 without a factor lead
        issued(tmp_path, cutoff, factor=1.7 if cutoff >= 24 else None, off=9.0)
    (track,) = tracks(Ledger(tmp_path / FILE), issued(tmp_path, 50, record=False), TRUTH.before(51))
    assert (track.issues, track.missed) == (6, 0.5)
    assert track.factor == pytest.approx(1.7 * np.exp(RATE * 6 * 0.3), abs=1e-5)


class Remembered:
    """A ledger in memory, of one series."""

    def __init__(self) -> None:
        self.kept: list[tuple[Issue, Block]] = []

    def issues(self) -> list[Issue]:
        return [issue for issue, _ in self.kept]

    def blocks(self, issue: Issue) -> list[Block]:
        return [self.kept[issue.number - 1][1]]


def coverage(truth: NDArray[np.float64], *, adapt_from: int, horizon: int = 4) -> NDArray[np.float64]:
    """Of the issue of each cutoff, around 0, by a band that suits a spread of 1 until it is adapted."""
    panel, ledger, shares = Panel.of([truth], Calendar.of("step"), ids=["a"]), Remembered(), []
    reach = 1.2816 * np.array([-1.0, 0.0, 1.0])
    plain = issued(Path("."), 10, record=False)
    for cutoff in range(10, len(truth) - horizon):
        asked = dataclasses.replace(plain, cutoff=cutoff, number=cutoff - 9, horizon=horizon, series=1)
        if cutoff >= adapt_from:
            found = tracks(cast("Ledger", ledger), asked, panel.before(cutoff + 1))
            asked = dataclasses.replace(asked, options=Options(adapt=factors_of(found)))
        factor = (asked.options.adapt or {}).get("80", 1.0)
        values = np.broadcast_to(reach * factor, (1, horizon, 3))
        ledger.kept.append((asked, Block(asked.number, "run", np.array(["a"], dtype=object), np.array([cutoff + 1]),
                                         np.array(["x"], dtype=object), (80.0,), values)))
        shares.append(np.mean(np.abs(truth[cutoff + 1:cutoff + 1 + horizon]) <= reach[2] * factor))
    return np.array(shares)


@pytest.mark.slow
def test_coverage_is_found_again_and_kept_longer_than_the_memory_reaches() -> None:
    truth = np.random.default_rng(0).normal(size=(6, 320)) * np.where(np.arange(320) < 60, 1, 2)
    fixed, found = (np.mean([coverage(y, adapt_from=k) for y in truth], axis=0) for k in (999, 0))
    assert fixed[60:].mean() < 0.6
    assert found[:40].mean() == pytest.approx(0.8, abs=0.05)
    for begin in (100, 150, 200, 250):
        assert found[begin:begin + 50].mean() == pytest.approx(0.8, abs=0.05)


@pytest.mark.slow
def test_turned_on_late_it_neither_overshoots_nor_swings() -> None:
    truth = 2 * np.random.default_rng(1).normal(size=(6, 320))
    found = np.mean([coverage(y, adapt_from=150) for y in truth], axis=0)
    assert found[:130].mean() < 0.6
    for begin in (145, 195, 245):
        assert found[begin:begin + 50].mean() == pytest.approx(0.8, abs=0.05)


def test_a_band_is_what_its_factor_says_and_quantiles_ascend() -> None:
    grid, values = quantile_grid((80.0, 95.0)), np.array([[[1.0, 4.0, 6.0, 7.0, 9.0]]])
    panel = TRUTH.take([0])
    told = Forecast(panel, grid, values, np.array(["x"], dtype=object))
    assert adapted(told, {"80": 1.5, "95": 2.0}).values.tolist() == [[[-4.0, 3.0, 6.0, 7.5, 12.0]]]
    assert adapted(told, {"80": 3.0, "95": 0.5}).values.tolist() == [[[0.0, 0.0, 6.0, 9.0, 9.0]]]
    assert adapted(told, {"80": 0.5}).values.tolist() == [[[1.0, 5.0, 6.0, 6.5, 9.0]]]
    assert values.tolist() == [[[1.0, 4.0, 6.0, 7.0, 9.0]]]
    assert adapted(told, {}) is told


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Seven issues of seven days; the eighth has come."""
    shutil.copytree(days.trained(), tmp_path / "project")
    for day in range(101, 108):
        days.grow(tmp_path / "project", day)
        days.issue(tmp_path / "project", f"{day}.csv")
    days.grow(tmp_path / "project", 108)
    return tmp_path / "project"


def test_bands_follow_the_misses_and_are_made_again_identically(run: Run, project: Path) -> None:
    ended = run("-C", project, "predict", "--adapt", "--json", "-o", "new.csv")
    assert ended.code == 0, ended.err
    told = {f"{t['level']:g}": t for t in json.loads(ended.out)["adapted"]}
    truth = pd.read_csv(project / "data.csv")
    assert run("-C", project, "predict", "-o", "plain.csv").code == 0
    new, plain = pd.read_csv(project / "new.csv"), pd.read_csv(project / "plain.csv")
    for level in ("80", "95"):
        misses = []
        for day in range(101, 108):
            both = pd.read_csv(project / f"{day}.csv").merge(truth, on=["store", "date"])
            misses.append(1 - both["sales"].between(both[f"yhat_lo_{level}"], both[f"yhat_hi_{level}"]).mean())
        factor = np.exp(0.1 * sum(m - (1 - int(level) / 100) for m in misses))
        assert told[level]["factor"] == pytest.approx(factor, abs=1e-6)
        assert (told[level]["issues"], told[level]["values"]) == (7, 2 * (5 * 3 + 2 + 1))
        assert factor != pytest.approx(1, abs=0.01)
        for end in (f"yhat_lo_{level}", f"yhat_hi_{level}"):
            np.testing.assert_allclose(new[end] - new["yhat"], factor * (plain[end] - plain["yhat"]), atol=1e-4)
    days.grow(project, 112)
    for what in ("new.csv", "plain.csv"):
        again = run("-C", project, "replay", what)
        assert (again.code, again.out) == (0, "identical: 30 numbers\n"), again.err
    ended = run("-C", project, "predict", "--adapt", "--as-of", days.DAYS[107], "-o", "then.csv")
    assert "as issued before" in ended.err
    assert f"-> x {told['80']['factor']:.2f}" in ended.err
    assert (project / "then.csv").read_bytes() == (project / "new.csv").read_bytes()


def test_limits_come_after_the_bands(run: Run, project: Path) -> None:
    assert run("-C", project, "predict", "--adapt", "--nonnegative", "--round", "-o", "new.csv").code == 0
    values = pd.read_csv(project / "new.csv").filter(like="yhat").to_numpy()
    np.testing.assert_array_equal(values, np.rint(np.maximum(values, 0)))
    assert run("-C", project, "replay", "new.csv").code == 0


@pytest.mark.parametrize("what", ["none", "few", "damaged"])
def test_without_issues_enough_the_bands_stay_and_that_is_said(run: Run, project: Path, what: str) -> None:
    assert run("-C", project, "predict", "-o", "plain.csv").code == 0
    ledger = project / ".forecast" / FILE
    if what == "damaged":
        ledger.write_bytes(b"no ledger at all" * 300)
    else:
        ledger.unlink()
    if what == "few":
        for day in (104, 106, 108):
            days.grow(project, day)
            days.issue(project, "x.csv")
    ended = run("-C", project, "predict", "--adapt", "-o", "new.csv")
    assert ended.code == (5 if what == "damaged" else 0), ended.err
    assert {"none": "adapted    no band: there is no ledger yet, so nothing that was issued\n",
            "few": "adapted    95 % band: as trained, 2 of the 5 issues that it takes can be scored\n",
            "damaged": "partial    the bands are as trained, since the ledger could not be read: "}[what] in ended.err
    assert (project / "new.csv").read_bytes() == (project / "plain.csv").read_bytes()
    if what == "none":
        assert Ledger(ledger).find("last").options.adapt == {}
