"""What is said of a training's time before it begins: of which amounts of work it is made up. No clock is asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forecast.config import Config
from forecast.model.predictor import ROWS, Predictor
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.training import expecting
from forecast.training.expecting import Expected, expect


def waves(series: int, length: int) -> Panel:
    rng = np.random.default_rng(0)
    return Panel.of([np.sin(np.arange(length)) + rng.normal(size=length) for _ in range(series)], Calendar.of("D"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit takes 100 seconds, and to ask at a window takes one."""
    monkeypatch.setattr(expecting, "pace", lambda predictor, known: 100.0)
    monkeypatch.setattr(expecting, "asking", lambda predictor, known, windows: float)
    monkeypatch.setattr(expecting, "SCORING", 0.0)


def wanted(panel: Panel, rows: int = 0, share: float = 1.0, spent: float = 0.0, **settings: object) -> Expected:
    given = {name.replace("_", ".", 1): value for name, value in settings.items()}
    return expect(Predictor.new(Config().override(given, source="test"), panel), panel, rows, share=share, spent=spent)


def parts(panel: Panel, rows: int = 0, share: float = 1.0, **settings: object) -> dict[str, float]:
    return wanted(panel, rows, share, **settings).parts


@pytest.mark.usefixtures("counted")
def test_forecasters_are_weighed_at_no_more_windows_than_are_held_out() -> None:
    one = parts(waves(1, 70))                                           # a horizon of 14, 28 held out: 15 windows
    assert one["weighing"] == 15 + 15
    assert parts(waves(300, 70))["weighing"] == 600 + 1000              # two a series, and as many as set the widths


@pytest.mark.usefixtures("counted")
def test_a_backtest_takes_as_long_as_its_forecasts() -> None:
    assert parts(waves(1, 70), rows=8)["backtest"] == 8
    assert parts(waves(1, 70))["backtest"] == 0


@pytest.mark.usefixtures("counted")
def test_a_final_fit_takes_a_quarter_of_the_steps_and_less_where_there_are_few_windows() -> None:
    assert parts(waves(30, 70))["final fit"] == 25
    assert parts(waves(1, 70))["final fit"] == 100 * expecting.TAKEN
    assert parts(waves(1, 70))["training"] == 100 * expecting.EARLY     # of which what only gets worse ends early
    assert parts(waves(30, 70), train_final_fit=False)["final fit"] == 0


@pytest.mark.usefixtures("counted")
def test_a_training_that_goes_on_from_another_takes_its_share() -> None:
    assert parts(waves(30, 70), share=0.5)["training"] == 50


@pytest.mark.usefixtures("counted")
def test_a_limit_is_for_all_that_is_done_and_what_is_over_counts() -> None:
    panel = waves(30, 70)
    whole = sum(parts(panel, rows=8).values())                          # 125 of them trainings
    limited = wanted(panel, rows=8, spent=20, train_time_limit=whole - 50)
    assert sum(limited.parts.values()) + 20 == pytest.approx(whole - 50)
    assert limited.limit == pytest.approx((125 - 70) / 1.25)            # the rest is for the final fit
    assert limited.parts["training"] == limited.limit
    assert parts(panel, rows=8, train_time_limit=whole + 500)["training"] == 100


@pytest.mark.usefixtures("counted")
def test_a_limit_that_leaves_no_time_for_a_first_look_trains_nothing_and_the_least_is_known() -> None:
    panel = waves(30, 70)
    short = wanted(panel, spent=20, train_time_limit=30)
    assert short.is_too_short
    assert (short.parts["training"], short.parts["final fit"]) == (0, 0)
    least = wanted(panel, spent=20, train_time_limit=short.least + 1e-6)
    assert not least.is_too_short
    assert 0 < least.parts["training"] < 10


def seconds_of(monkeypatch: pytest.MonkeyPatch, length: Callable[[int], float]) -> Callable[[int], float]:
    """What `asking` makes of a machine that takes so long for so many windows."""
    clock = [0.0]

    def said_at(predictor: object, panel: object, windows: object, names: object) -> None:
        clock[0] += length(len(windows))                                # type: ignore[arg-type]

    monkeypatch.setattr(expecting, "said_at", said_at)
    monkeypatch.setattr(expecting, "workers", lambda: 2)
    monkeypatch.setattr(expecting.time, "perf_counter", lambda: clock[0])
    panel = waves(30, 70)
    predictor = Predictor.new(Config(), panel)
    return expecting.asking(predictor, panel, expecting.held_out_windows(predictor.plan, panel))


def test_what_many_windows_take_is_told_by_few(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = seconds_of(monkeypatch, lambda windows: 0.05 + 0.01 * windows)
    assert seconds(100) == pytest.approx(0.05 + 1.0)
    assert seconds(2 * ROWS) == pytest.approx(0.05 + 0.01 * ROWS)       # two blocks on two cores
    slow = seconds_of(monkeypatch, lambda windows: 2.0 * windows)
    assert slow(100) == pytest.approx(200)


def test_without_a_window_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = waves(30, 70)
    predictor = Predictor.new(Config(), panel)
    none = expecting.held_out_windows(predictor.plan, panel).take(np.empty(0, dtype=np.int64))
    monkeypatch.setattr(expecting, "said_at", None)                     # would fail
    assert expecting.asking(predictor, panel, none)(100) == 0
