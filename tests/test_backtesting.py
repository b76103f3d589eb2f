from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from forecast.methods.baselines import Naive, SeasonalNaive
from forecast.model.predictor import Predictor
from forecast.scoring.backtest import backtest, evaluate
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.tasks.fitting import tell_windows
from forecast.tasks.teller import Silent
from tests.conftest import quick, trained, waves

LEVELS = (80.0, 95.0)


@dataclass
class Spy:
    """Forecasts the last value it was shown, and remembers what that was."""

    shown: list[Panel]
    name: str = "spy"

    def predict(self, panel: Panel, horizon: int) -> Forecast:
        self.shown.append(panel)
        values = np.stack([np.full((horizon, 5), panel.values(s)[-1]) for s in range(len(panel))])
        return Forecast(panel, quantile_grid(LEVELS), values, np.full(len(panel), "spy", dtype=object))


def counting(count: int = 2, length: int = 30) -> Panel:
    return Panel.of([np.arange(length) + 100.0 * s for s in range(count)], Calendar.of("step"))


def test_nothing_after_a_cutoff_is_in_reach_of_the_forecaster() -> None:
    shown: list[Panel] = []
    made: list[Panel] = []

    def make(known: Panel) -> Spy:
        made.append(known)
        return Spy(shown)

    backtest(counting(), {"spy": make}, horizon=3, cutoffs=[9, 6, 3], levels=LEVELS)
    assert [k.lengths.tolist() for k in made] == [[21, 21]]
    assert shown[0].lengths.tolist() == [21, 21, 24, 24, 27, 27]


def test_each_row_has_the_truth_of_its_own_time() -> None:
    frame = backtest(counting(), {"spy": lambda known: Spy([])}, horizon=3, cutoffs=[6, 3], levels=LEVELS)
    first = frame[(frame["series"] == 1) & (frame["cutoff"] == 23)]
    assert first["y"].tolist() == [124.0, 125.0, 126.0]
    assert first["yhat"].tolist() == [123.0] * 3
    assert first["step"].tolist() == [1, 2, 3]
    assert len(frame) == 2 * 2 * 3


def test_with_refit_each_the_forecaster_is_made_anew_at_every_cutoff() -> None:
    made: list[int] = []

    def make(known: Panel) -> Spy:
        made.append(int(known.lengths[0]))
        return Spy([])

    once = backtest(counting(), {"spy": lambda known: Spy([])}, horizon=3, cutoffs=[6, 3], levels=LEVELS)
    each = backtest(counting(), {"spy": make}, horizon=3, cutoffs=[6, 3], levels=LEVELS, refit="each")
    assert made == [24, 27]
    pd.testing.assert_frame_equal(once, each)


def test_series_that_ended_early_or_have_not_begun_are_not_scored() -> None:
    calendar = Calendar.of("D")
    panel = Panel.of([np.arange(40.0), np.arange(20.0), np.arange(4.0)], calendar, start=[0, 0, 36])
    frame = backtest(panel, {"spy": lambda known: Spy([])}, horizon=5, cutoffs=[10, 5], levels=LEVELS)
    assert set(frame["series"]) == {0}


def test_missing_truth_is_left_out() -> None:
    panel = counting(1)
    panel.y[28] = np.nan
    frame = backtest(panel, {"spy": lambda known: Spy([])}, horizon=3, cutoffs=[3], levels=LEVELS)
    assert frame["step"].tolist() == [1, 3]


def test_scores_are_the_hand_computed_ones() -> None:
    panel = counting(2)
    frame = backtest(panel, {"spy": lambda known: Spy([]), "seasonal_naive": lambda known: SeasonalNaive(1)},
                     horizon=3, cutoffs=[6, 3], levels=LEVELS)
    scores = evaluate(frame, panel.drop_last(6), season=1, levels=LEVELS)
    spy = scores.summary.iloc[0]
    assert spy["mae"] == 2.0                                            # 1, 2, 3 steps of slope 1
    assert spy["mase"] == 2.0                                           # the naive forecast was wrong by 1 in sample
    assert spy["rmse"] == pytest.approx(np.sqrt(14 / 3))
    assert spy["coverage_80"] == 0.0
    assert spy["skill"] == 0.0
    assert spy["better_on"] == 0
    assert scores.by_step[scores.by_step["model"] == "spy"]["mae"].tolist() == [1.0, 2.0, 3.0]
    assert scores.windows == 2


def test_a_score_does_not_depend_on_the_order_of_the_rows_or_on_blocks(predictor: Predictor) -> None:
    panel = waves(5, 110)
    makers = {"lstm": lambda known: predictor, "seasonal_naive": lambda known: SeasonalNaive(6)}
    frame = backtest(panel, makers, horizon=4, cutoffs=[12, 8, 4], levels=LEVELS)
    shuffled = frame.sample(frac=1, random_state=0)
    parts = [backtest(panel.take([s]), makers, horizon=4, cutoffs=[12, 8, 4], levels=LEVELS).assign(series=s)
             for s in range(5)]
    known = panel.drop_last(12)
    one, two, three = (evaluate(f, known, season=6, levels=LEVELS).summary.set_index("model").sort_index()
                       for f in (frame, shuffled, pd.concat(parts)))
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(one, three)


def test_a_series_where_mase_is_undefined_is_left_out_and_counted() -> None:
    panel = Panel.of([np.arange(30.0), np.full(30, 7.0)], Calendar.of("step"))
    frame = backtest(panel, {"naive": lambda known: Naive()}, horizon=3, cutoffs=[3], levels=LEVELS)
    scores = evaluate(frame, panel.drop_last(3), season=1, levels=LEVELS)
    assert scores.left_out["mase"] == 1
    assert scores.summary["mase"].iloc[0] == 2.0


def test_the_summary_is_the_mean_over_series_not_over_rows() -> None:
    panel = Panel.of([np.arange(30.0), 10 * np.arange(30.0)], Calendar.of("D"), start=[0, 2])
    frame = backtest(panel, {"naive": lambda known: Naive()}, horizon=3, cutoffs=[3], levels=LEVELS)
    scores = evaluate(frame, panel.drop_last(3), season=1, levels=LEVELS)
    per = scores.per_series
    assert per["n"].tolist() == [1, 3]
    assert scores.summary["mae"].iloc[0] == pytest.approx(per["mae"].mean())


def test_what_the_backtest_was_given_is_left_as_it_was(predictor: Predictor) -> None:
    panel = waves()
    before = replace(panel, y=panel.y.copy())
    backtest(panel, {"lstm": lambda known: predictor}, horizon=4, cutoffs=[4], levels=LEVELS)
    np.testing.assert_array_equal(panel.y, before.y)


def with_a_gap(*, later: float) -> Panel:
    """20 measured points, 10 filled ones on the line to what came later, 20 more measured ones."""
    y = np.concatenate([np.arange(20.0), np.linspace(19, later, 12)[1:-1], later + np.arange(20.0)])
    filled = np.zeros(50, dtype=bool)
    filled[20:30] = True
    return replace(Panel.of([y], Calendar.of("D")), filled=filled)


def test_a_cutoff_inside_a_filled_gap_is_not_scored_and_a_filled_value_is_no_truth() -> None:
    frame = backtest(with_a_gap(later=40), {"spy": lambda known: Spy([])}, horizon=5, cutoffs=[32, 25, 18, 5],
                     levels=LEVELS)
    assert frame["cutoff"].unique().tolist() == [17, 31, 44]
    assert frame.groupby("cutoff")["step"].apply(list).to_dict() == {
        17: [1, 2], 31: [1, 2, 3, 4, 5], 44: [1, 2, 3, 4, 5]}


def test_what_came_after_a_gap_does_not_reach_a_fit_that_ends_inside_it() -> None:
    one, two = (trained(quick(model_horizon=2, model_season=(1,), model_context=4), p.drop_last(25))
                for p in (with_a_gap(later=40), with_a_gap(later=900)))
    np.testing.assert_array_equal(one.members[0].network.tensors["skip"], two.members[0].network.tensors["skip"])
    assert one.members[0].steps == two.members[0].steps


def test_windows_that_could_not_be_scored_are_told() -> None:
    panel = Panel.of([np.arange(40.0)], Calendar.of("step"))
    frame = backtest(panel, {"spy": lambda _: Spy([])}, horizon=4, cutoffs=[8, 4], levels=LEVELS)
    scores = evaluate(frame, panel.drop_last(8), season=1, levels=LEVELS)
    told: list[str] = []

    class Listening(Silent):
        def say(self, label: str, text: str) -> None:
            told.append(f"{label} {text}")

    tell_windows(Listening(), scores, [8, 4])
    assert told == []
    tell_windows(Listening(), scores, [12, 8, 4])
    assert told[0].startswith("scored on 2 of 3 windows")
