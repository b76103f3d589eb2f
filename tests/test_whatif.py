"""whatif: what a change of the horizon makes of a forecast, and which changes are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import RequestError
from forecast.model import guard
from forecast.model.blending import Blend
from forecast.reading.changes import Change
from forecast.series.arrays import Floats
from forecast.tasks import whatif as task
from tests.conftest import quick, shops
from tests.conftest import trained as trained_on
from tests.test_cli import Run, run, succeed

__all__ = ["run"]
DAYS, FAST = 63, ("--horizon", "4", "--season", "7", "--hidden", "4", "--set", "train.steps=0")
PLAN = "shop,day,promo,sky\n" + "".join(f"{s},2026-03-0{d},0,clear\n" for s in "ab" for d in range(5, 9))


def rows() -> str:
    """Two shops up to 4 March 2026; a promotion adds 10, whatever the sky."""
    rng, lines = np.random.default_rng(0), ["shop,day,sales,promo,sky,visits"]
    for s, shop in enumerate("ab"):
        for t, day in enumerate(pd.date_range(end="2026-03-04", periods=DAYS).strftime("%Y-%m-%d")):
            promo = int((t + s) % 5 == 0)
            sky = ("clear", "rain")[int(rng.random() < 0.5)]
            lines.append(f"{shop},{day},{30 + 2 * (t % 7) + 10 * promo + rng.normal():.2f},{promo},{sky},{t % 3}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whatif")
    (folder / "shops.csv").write_text(rows())
    (folder / "plan.csv").write_text(PLAN)
    succeed("-C", folder, "train", "shops.csv", "-q", *FAST, "--known", "promo,sky", "--past", "visits")
    return folder


def test_a_change_moves_the_steps_it_names_and_the_difference_is_what_lies_between(run: Run, folder: Path) -> None:
    ended = run("whatif", "--future", "plan.csv", "--change", "promo=1 @ 2026-03-06..2026-03-07")
    assert ended.code == 0, ended.err
    found = pd.read_csv("whatif.csv")
    assert list(found)[:4] == ["shop", "day", "base", "base_lo_80"]
    moved = found["day"].isin(["2026-03-06", "2026-03-07"])
    assert (found.loc[moved, "difference"] > 2).all()
    assert found.loc[moved, "difference"].mean() > 3 * found.loc[~moved, "difference"].abs().mean()
    assert (found["difference"] - (found["changed"] - found["base"])).abs().max() < 0.5
    assert (found["difference_lo_80"] <= found["difference"]).all()
    assert "change     a: the 4 steps add up to" in ended.err


def test_what_is_changed_for_nothing_makes_no_difference_at_all(run: Run, folder: Path) -> None:
    assert run("whatif", "--future", "plan.csv", "--change", "promo=0 @ 2026-03-06").code == 0
    assert (pd.read_csv("whatif.csv")[["difference", "difference_lo_80", "difference_hi_80"]] == 0).all(axis=None)


def test_a_second_plan_says_the_same_as_the_change_that_it_makes(run: Run, folder: Path) -> None:
    (folder / "second.csv").write_text(PLAN.replace("2026-03-06,0", "2026-03-06,1"))
    by_plan = run("--json", "whatif", "--future", "plan.csv", "--instead", "second.csv")
    by_change = run("--json", "whatif", "--future", "plan.csv", "--change", "promo=1@2026-03-06")
    assert (by_plan.code, json.loads(by_plan.out)) == (0, json.loads(by_change.out))
    assert json.loads(by_plan.out)["totals"][0]["difference"] > 0


def test_the_base_is_the_forecast_of_predict_and_nothing_goes_into_the_ledger(run: Run, folder: Path) -> None:
    assert run("whatif", "--future", "plan.csv", "--change", "sky=rain @ 2026-03-05..2026-03-08").code == 0
    assert not list(folder.glob("**/ledger.db"))
    assert run("predict", "--future", "plan.csv").code == 0
    assert pd.read_csv("whatif.csv")["base"].tolist() == pd.read_csv("predictions.csv")["yhat"].tolist()


def test_a_value_that_was_never_seen_is_named_with_the_range_that_was_and_one_inside_it_is_not(
        run: Run, folder: Path) -> None:
    strange = run("whatif", "--future", "plan.csv", "--change", "promo=1000 @ 2026-03-06", "-q")
    assert "promo: 1000 lies outside of all that was seen of it (0 to 1): what it would do is unknown" in strange.err
    second = PLAN.replace("2026-03-06,0", "2026-03-06,-7")
    (folder / "second.csv").write_text(second)
    assert "promo: -7 lies outside" in run("whatif", "--future", "plan.csv", "--instead", "second.csv").err
    assert "outside" not in run("whatif", "--future", "plan.csv", "--change", "promo=1 @ 2026-03-06").err


def test_where_the_change_silences_a_forecaster_both_that_and_whose_difference_it_is_are_told(
        run: Run, folder: Path) -> None:
    (folder / "far.csv").write_text(PLAN.replace(",0,", ",1e9,"))
    told = run("predict", "--future", "far.csv").err
    guards = [line for line in told.splitlines() if "not asked, being far" in line]
    far = run("whatif", "--future", "plan.csv", "--instead", "far.csv", "-q")
    assert guards
    assert all(line in far.err for line in guards)
    assert "other forecasters serve 2 series with the change than without it" in far.err
    assert "a, b" in far.err
    assert "other forecasters" not in run("whatif", "--future", "far.csv", "--change", "sky=rain @ 2026-03-06").err


def test_where_one_side_loses_a_forecaster_both_are_served_by_those_who_can_serve_both(
        monkeypatch: pytest.MonkeyPatch) -> None:
    panel = shops(2, 60)
    predictor = trained_on(quick(model_members=2, model_blend=True, train_steps=0), panel)
    names = ("linear.0", "network.0", "theta")
    predictor = replace(predictor, blend=Blend(names, (0.5, 0.25, 0.25), (), {"s1": (0.0, 0.5, 0.5)}))
    ahead = panel.beside.ahead(panel.row, panel.end, 4)
    ahead[:, :, 0] = 1 - ahead[:, :, 0]
    other = replace(panel, beside=panel.beside.with_ahead(panel.row, panel.end, ahead), row=np.arange(2))
    usual = guard.silenced

    def silenced(medians: Floats, witnesses: Floats, *rest: Any) -> Any:
        """The first of those that read covariates may not speak where it is what the change makes of it."""
        mute = usual(medians, witnesses, *rest)
        mute[:] = False
        mute[0] = not len(witnesses) and np.any(np.abs(medians[0] - first) > 1e-9, axis=1)
        return mute

    first = predictor.parts(panel, ["linear.0"])[0]["linear.0"][:, :, predictor.quantiles.index(0.5)]
    monkeypatch.setattr(guard, "silenced", silenced)
    sides = [predictor.predict(p, 4) for p in (panel, other)]
    assert [f.voices[:, 0].tolist() for f in sides] == [[True, True], [False, False]]
    before, after, joined = task.alike(predictor, *sides)
    assert joined == ["s0"]                                             # in s1 it had no say anyway
    rest = replace(predictor, blend=Blend(names, (0.0, 0.5, 0.5), (), {}))
    np.testing.assert_allclose(before.values[0], rest.predict(panel, 4).values[0])
    np.testing.assert_allclose(after.values, rest.predict(other, 4).values)
    assert (before.values[1] == sides[0].values[1]).all()
    none_left = replace(predictor, blend=Blend(("linear.0", "theta"), (0.5, 0.5), (), {}))
    sides = [none_left.predict(p, 4) for p in (panel, other)]
    assert [f.voices[:, 0].tolist() for f in sides] == [[True, True], [False, False]]
    assert task.alike(none_left, *sides) == (*sides, [])                # theta alone knows of no change


@pytest.mark.parametrize(("asked", "words"), [
    ((), "nothing is changed. Give --change or --instead"),
    (("--change", "promo=1 @ 2026-03-09"), 'change promo: "2026-03-09" is no time of the horizon. '
                                           "The horizon is 2026-03-05..2026-03-08"),
    (("--change", "promo=1 @ 2026-03-07..2026-03-06"), "2026-03-06 comes before 2026-03-07"),
    (("--change", "visits=1 @ 2026-03-06"), "change visits: is not known ahead: its role is past"),
    (("--change", "price=1 @ 2026-03-06"), "change price: is not known ahead: the model does not read it"),
    (("--change", "promo=maybe @ 2026-03-06"), 'change promo: "maybe" is no number'),
    (("--change", "sky=snow @ 2026-03-06"), 'change sky: "snow" is none of its words. Words: clear, rain')])
def test_a_change_that_cannot_be_made_is_refused_by_name(
        run: Run, folder: Path, asked: tuple[object, ...], words: str) -> None:
    ended = run("whatif", "--future", "plan.csv", *asked)
    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert not Path("whatif.csv").exists()


def test_of_many_series_the_first_three_are_told_and_where_the_others_stand_is_said() -> None:
    totals = [task.Difference(name, 1, 2, 1, 0, 2) for name in "abcde"]
    told = task.words(task.WhatIf("run", Path("out/whatif.csv"), 20, 4, 80, totals), lambda value: f"{value:g}")
    assert [line[0] for line in told[:3]] == ["a", "b", "c"]
    assert told[3:] == ["and 2 more series: see whatif.csv"]
    assert len(task.words(task.WhatIf("run", Path("whatif.csv"), 12, 4, 80, totals[:3]), str)) == 3


@pytest.mark.parametrize(("text", "words"), [("promo 1 @ 2026-03-06", "has no ="), ("promo=1", "has no @"),
                                             ("promo=1 @ ", "names no column, or no time")])
def test_a_change_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Change.of(text)


def test_a_model_that_reads_nothing_known_ahead_has_no_change(run: Run, folder: Path) -> None:
    ended = run("whatif", "shops.csv", "--model", "prior", "--horizon", 4, "--change", "promo=1 @ 2026-03-06")
    assert (ended.code, "the model does not read it" in ended.err) == (2, True), ended.err
