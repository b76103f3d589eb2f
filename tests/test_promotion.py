"""Promotion: a worse run does not take the place of a better one, and only what neither has seen decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.artifact import Run
from forecast.contract import Contract
from forecast.network import Network
from forecast.predictor import Predictor
from forecast.promotion import is_worse, judged, unseen_steps
from forecast.series import Panel
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
    assert f"error {told.new:.4g}, OLD {told.live:.4g}, in 3 windows" in told.reason


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


@pytest.mark.parametrize("other", [{"targets": ("z",)}, {"calendar": "D"}])
def test_a_model_of_other_data_is_not_compared(known: Predictor, other: dict[str, Any]) -> None:
    if "calendar" in other:
        other = {"calendar": replace(waves().calendar, freq="D", kind="fixed", every=86_400_000_000)}
    assert "other data" in verdict(known, new=5.0, live=0.0, **other).reason


def test_what_is_new_is_counted_from_the_last_point_seen_of_any_series_that_was_met(known: Predictor) -> None:
    panel = waves(length=LENGTH)
    assert unseen_steps(known, panel) == NEW
    known = replace(known, seen={**known.seen, "s1": known.seen["s1"] + 5})
    assert unseen_steps(known, panel) == NEW - 5
    stranger = replace(panel, ids=np.array(["x", "s1", "y"], dtype=object))
    assert unseen_steps(known, stranger) == NEW - 5


@pytest.mark.parametrize(("new", "old", "worse"), [
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], False),
    ([1.04, 1.04, 1.04], [1.0, 1.0, 1.0], False),                       # within the margin
    ([1.2, 1.21, 1.19], [1.0, 1.0, 1.0], True),
    ([5.0, 0.5, 0.5], [1.0, 1.0, 1.0], False),                          # one bad pair is chance
    ([1.4], [1.0], False), ([1.6], [1.0], True),                        # alone
    ([0.0, 0.0], [0.0, 0.0], False), ([1.0, 1.0], [0.0, 0.0], True),
])
def test_worse_means_beyond_margin_and_chance(new: list[float], old: list[float], worse: bool) -> None:
    assert is_worse(np.array(new), np.array(old)) is worse
