"""Pictures: which series are drawn, and that a picture is what its ending says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forecast.methods.baselines import SeasonalNaive
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, in_parts, quantile_grid
from forecast.series.panel import Panel
from forecast.showing.pictures import LARGEST, MOST, UNSURE, Gallery
from tests.test_cli import AIR, Run, run
from tests.test_report import table

__all__ = ["run"]


def forecast_of(count: int) -> tuple[Panel, SeasonalNaive]:
    random = np.random.default_rng(0)
    panel = Panel.of([(s + 1) * (10 + 0.1 * random.random(30)) for s in range(count)], Calendar.of("step"))
    return panel, SeasonalNaive(1, quantile_grid((80.0,)))


def gallery_of(count: int, size: int, **given: bool) -> Gallery:
    panel, naive = forecast_of(count)
    gallery = Gallery((80.0,), names=True, **given)
    for part in in_parts(naive, panel, 3, size=size):
        gallery.add(part)
    return gallery


def test_of_few_series_all_are_drawn_in_their_order() -> None:
    assert [fan.name for fan in gallery_of(MOST, 5).fans] == [str(s) for s in range(MOST)]


def test_of_many_the_largest_are_drawn_and_those_with_the_widest_bands() -> None:
    fans = gallery_of(40, 7).fans
    assert [fan.name for fan in fans if fan.note == LARGEST] == ["39", "38", "37", "36", "35", "34"]
    panel, naive = forecast_of(40)
    whole: Forecast = naive.predict(panel, 3)
    low, high = whole.band(80.0)
    doubts = (high - low).mean(axis=1) / [np.std(panel.values(s)[-18:]) for s in range(40)]
    others = [s for s in np.argsort(-doubts) if s < 34][:6]
    assert [fan.name for fan in fans if fan.note == UNSURE] == [str(s) for s in others]


def test_named_series_are_drawn_as_they_were_named() -> None:
    assert [fan.name for fan in gallery_of(20, 6, keeps_order=True).fans] == [str(s) for s in range(MOST)]


def test_in_which_parts_a_forecast_is_made_does_not_change_its_picture() -> None:
    assert [f.name for f in gallery_of(40, 7).fans] == [f.name for f in gallery_of(40, 40).fans]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_picture_is_what_its_ending_says_and_the_same_each_time(run: Run, tmp_path: Path, command: str) -> None:
    data = table(tmp_path / "data.csv", ("a<b>", "$x$", "ü"))
    for name in ("one.svg", "two.svg", "one.png"):
        assert run(command, data, "--model", "prior", "--plot", name).code == 0
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "one.svg").read_bytes()
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("command", ["predict", "evaluate", "compare"])
def test_another_ending_is_refused_before_any_work(run: Run, tmp_path: Path, command: str) -> None:
    ended = run(command, AIR, "--plot", "x.jpg")
    assert (ended.code, list(tmp_path.iterdir())) == (2, [])
    assert "--plot x.jpg: a picture is written as .png or .svg" in ended.err


def test_cells_are_compared_in_a_picture(run: Run, tmp_path: Path) -> None:
    ended = run("compare", AIR, "--cells", "gru,rnn", "--seeds", "2", "--hidden", "4", "--set", "train.steps=2",
                "--plot", "cells.svg")
    assert ended.code == 0
    assert b"<svg" in (tmp_path / "cells.svg").read_bytes()
