"""Promotion: a worse run does not take the place of a better one, and only what neither has seen decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.methods.baselines import BASELINES
from forecast.model.knowledge import Knowledge
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.reading.contract import Contract
from forecast.scoring.backtest import backtest
from forecast.series.panel import Panel
from forecast.store.promotion import is_worse, judged, outdone
from forecast.store.run import Run
from tests.conftest import altered, quick, trained, waves

LENGTH, NEW = 90, 12                                                    # points of the longest series; of them new


def contract_of(panel: Panel, **changes: Any) -> Contract:
    return replace(Contract(id="id", time="t", targets=("y",), layout="long", decimals=1, calendar=panel.calendar),
                   **changes)


def run_of(predictor: Predictor, contract: Contract) -> Run:
    return Run("OLD", Path("OLD"), predictor, contract, {}, {})


def spoiled(predictor: Predictor, offset: float) -> Predictor:
    """The same model, wrong by so many units of each window."""
    network = predictor.members[0].network
    skip = network.tensors["skip"].copy()
    skip[-1] += offset
    return altered(predictor, network=Network.blank(network.shape).replace(
        skip=skip, offset=network.tensors["offset"]), steps=0)


@pytest.fixture(scope="module")
def known() -> Predictor:
    """Trained on all but the newest NEW points."""
    return trained(quick(train_steps=0), waves(length=LENGTH).drop_last(NEW))


def verdict(known: Predictor, *, new: float, live: float, panel: Panel | None = None, **contract: Any) -> Any:
    panel = panel or waves(length=LENGTH)
    old = run_of(spoiled(known, live), contract_of(panel, **contract))
    return judged(spoiled(known, new), old, panel, contract_of(panel), cutoffs=[16, 12, 8, 4], plan=known.plan)


def test_a_run_that_is_worse_on_what_neither_has_seen_is_refused_and_the_numbers_are_told(known: Predictor) -> None:
    told = verdict(known, new=2.0, live=0.0)
    assert not told.passed
    assert told.windows == 3                                            # the one 16 back reaches into what it has seen
    assert told.new > 2 * told.live
    assert f"its error is {told.new:.4g}, that of OLD is {told.live:.4g}, on 3 past windows" in told.reason


@pytest.mark.parametrize(("new", "live"), [(0.0, 2.0), (0.0, 0.0)])
def test_a_run_as_good_or_better_passes(known: Predictor, new: float, live: float) -> None:
    assert verdict(known, new=new, live=live).passed


def test_where_nothing_is_new_to_the_live_model_the_run_passes_uncompared_and_fewer_steps_than_a_horizon_do(
        known: Predictor) -> None:
    panel = waves(length=LENGTH)
    assert not verdict(known, new=5.0, live=0.0, panel=panel.drop_last(NEW - 3)).passed
    told = verdict(known, new=5.0, live=0.0, panel=panel.drop_last(NEW))
    assert told.passed
    assert told.new is None
    assert "cannot be compared" in told.reason
    assert not verdict(known, new=5.0, live=0.0, panel=panel.drop_last(NEW - 4)).passed


def test_a_live_run_that_has_seen_all_speaks_with_its_networks_of_before_the_final_fit(known: Predictor) -> None:
    panel = waves(length=LENGTH)
    as_it_was = tuple(m.network for m in known.members)
    live = replace(spoiled(known, 9.0), validated_networks=as_it_was, knowledge=Knowledge(
        dict.fromkeys(panel.ids, LENGTH)), validated_knowledge=known.knowledge.later(-known.plan.validation))
    contract = contract_of(panel)
    told = judged(spoiled(known, 5.0), run_of(live, contract), panel, contract, cutoffs=[8, 4], plan=known.plan)
    assert not told.passed
    assert (told.windows, "before its final fit" in told.reason) == (2, True)
    assert told.live == pytest.approx(verdict(known, new=0.0, live=0.0).live, rel=0.2)
    assert judged(known, run_of(live, contract), panel, contract, cutoffs=[8, 4], plan=known.plan).passed


def test_a_model_clearly_worse_than_a_simple_forecast_in_its_own_backtest_is_told_by_which(known: Predictor) -> None:
    panel = waves(length=LENGTH)
    makers = {"lstm": lambda _: spoiled(known, 5.0), "good": lambda _: known,
              **{name: lambda _, make=make: make(6) for name, make in BASELINES.items()
                 if name in ("naive", "seasonal_naive")}}
    frame = backtest(panel, makers, horizon=4, cutoffs=[12, 8, 4], levels=())
    before = panel.drop_last(12)
    assert outdone(frame, "lstm", before, 6) == "seasonal_naive"        # of season 6: naive is worse
    assert outdone(frame, "good", before, 6) is None


def test_where_little_happens_to_say_0_for_ever_is_not_better_than_bands_that_hold() -> None:
    counts = np.random.default_rng(0).poisson(0.2, 100).astype(float)
    panel = Panel.of([counts], waves().calendar, ids=["s0"])
    rows = [(model, 0, 60 + 5 * (h // 5), h % 5 + 1, counts[60 + h], yhat, low, high)
            for model, yhat, low, high in (("lstm", 1.0, 0.0, 1.0), ("naive", 0.0, -9.0, 9.0)) for h in range(40)]
    frame = pd.DataFrame(rows, columns=["model", "series", "cutoff", "step", "y", "yhat", "yhat_lo_80", "yhat_hi_80"])
    assert is_worse(*(np.array(frame[frame["model"] == m].eval("abs(y - yhat)")) for m in ("lstm", "naive")))
    assert outdone(frame, "lstm", panel.drop_last(40), 6) is None
    busy = Panel.of([counts + 1], waves().calendar, ids=["s0"])
    assert outdone(frame, "lstm", busy.drop_last(40), 6) == "naive"


@pytest.mark.parametrize("other", [{"targets": ("z",)}, {"calendar": "D"}])
def test_a_model_of_other_data_is_not_compared(known: Predictor, other: dict[str, Any]) -> None:
    if "calendar" in other:
        other = {"calendar": replace(waves().calendar, freq="D", kind="fixed", every=86_400_000_000)}
    assert "other data" in verdict(known, new=5.0, live=0.0, **other).reason


def test_what_is_new_is_counted_from_the_last_point_seen_of_any_series_that_was_met(known: Predictor) -> None:
    panel = waves(length=LENGTH)
    assert known.unseen_steps(panel) == NEW
    known = replace(known, knowledge=Knowledge({"s1": known.knowledge.ends["s1"] + 5}).over(known.knowledge))
    assert known.unseen_steps(panel) == NEW - 5
    stranger = replace(panel, ids=np.array(["x", "s1", "y"], dtype=object))
    assert known.unseen_steps(stranger) == NEW - 5


@pytest.mark.parametrize(("new", "old", "worse"), [
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], False),
    ([1.04, 1.04, 1.04], [1.0, 1.0, 1.0], False),                       # within the margin
    ([1.2, 1.21, 1.19], [1.0, 1.0, 1.0], True),
    ([3.0, 0.5, 0.5], [1.0, 1.0, 1.0], False),                          # one bad pair is chance
    ([1.3, 1.0, 1.2, 1.1], [1.0, 1.0, 1.0, 1.1], True),
    ([1.4], [1.0], False), ([1.6], [1.0], True),                        # alone
    ([0.0, 0.0], [0.0, 0.0], False), ([1.0, 1.0], [0.0, 0.0], True), ([0.0, 1.0], [0.0, 0.0], True),
])
def test_worse_means_beyond_margin_and_chance(new: list[float], old: list[float], worse: bool) -> None:
    assert is_worse(np.array(new), np.array(old)) is worse
