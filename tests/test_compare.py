from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from forecast.cli import main
from forecast.config import SETTINGS
from forecast.errors import RequestError
from forecast.model.network import Shape
from forecast.model.predictor import Predictor
from forecast.series.panel import Panel
from forecast.system.durations import seconds_of
from forecast.training import loop
from forecast.training.comparison import (
    Contender,
    Trial,
    differences,
    matched,
    ranked,
    rounds,
    share,
    verdict,
)
from forecast.training.fit import fit
from forecast.training.loop import Epoch
from tests.conftest import quick

CELLS = SETTINGS["model.cell"].choices
SMALL = ("--horizon", "4", "--season", "6", "--context", "18", "--hidden", "8", "--set", "train.steps=50",
         "--set", "train.epoch_steps=5", "--set", "train.batch=32", "--set", "train.threads=1")
LSTM = Shape(cell="lstm", context=36, segment=12, hidden=64, layers=1, horizon=12, quantiles=(0.1, 0.5, 0.9))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A series of season 6 with a trend and noise, in a folder where nothing else is."""
    random = np.random.default_rng(0)
    t = np.arange(100)
    y = 20 + 0.1 * t + 3 * np.sin(2 * np.pi * t / 6) + random.normal(0, 0.5, len(t))
    path = tmp_path / "data.csv"
    path.write_text("time,y\n" + "".join(f"{k},{v:.6f}\n" for k, v in zip(t, y, strict=True)))
    return path


@pytest.fixture
def compare(data: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command on the data, and give exit code, stdout and stderr."""
    def call(*arguments: object, file: Path = data) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["-C", str(data.parent), "compare", str(file), *SMALL, *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


Compare = Callable[..., tuple[int, str, str]]


def strict(text: str) -> dict[str, Any]:
    """JSON without NaN or Infinity."""
    content: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    return content


def contender(cell: str, *scores: float) -> Contender:
    return Contender(cell, 8, 100, tuple(
        Trial(seed=k, metrics={"mase": s, "skill": 1 - s}, seconds=1.0, epochs=3, best_epoch=2, steps=10,
              hurried=False) for k, s in enumerate(scores)))


# sizes

@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("changes", [{"hidden": 16}, {}, {"hidden": 128, "horizon": 48}, {"layers": 2},
                                     {"bidirectional": True}, {"attention": True}], ids=str)
def test_every_cell_has_as_many_parameters_as_the_lstm_within_a_few_percent(cell: str, changes: dict[str, Any]) -> None:
    shape = replace(LSTM, **changes)
    assert matched(shape, cell).parameters == pytest.approx(shape.parameters, rel=0.04)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [1, 2, 9, 64])
def test_no_other_number_of_units_comes_nearer(cell: str, hidden: int) -> None:
    shape = replace(LSTM, hidden=hidden)
    best = matched(shape, cell)
    gaps = [abs(replace(best, hidden=d).parameters - shape.parameters) for d in range(1, 3 * hidden + 9)]
    assert abs(best.parameters - shape.parameters) == min(gaps)


def test_the_lstm_keeps_its_units() -> None:
    assert matched(LSTM, "lstm") == LSTM


# time

@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("90", 90), ("1.5m", 90),
                                               (" 2H ", 7200), ("1h1m1s", 3661), ("0.5", 0.5), ("2d", 172_800),
                                               ("2y", 63_072_000)])
def test_a_budget_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-5m", "5 minutes", "m", "1h30", "5m1h", "inf", "nan", "9" * 400,
                                  "1e3", "٥m"])
def test_what_is_no_budget_is_refused_with_what_it_takes(text: str) -> None:
    with pytest.raises(RequestError, match="90s, 5m, 1h30m"):
        seconds_of(text, "--budget")


@pytest.mark.parametrize(("budget", "done"), [(35, 3), (30, 3), (29, 2), (5, 1), (1000, 6)])
def test_rounds_are_begun_while_the_longest_so_far_would_end_in_time(budget: float, done: int) -> None:
    now = [0.0]
    ran = []
    for seed in rounds(range(6), budget=budget, start=0.0, clock=lambda: now[0]):
        ran.append(seed)
        now[0] += 10
    assert ran == list(range(done))


def test_the_fits_of_the_first_round_keep_the_budget_together() -> None:
    limit = share(60, spent=10, fits=5, beside=2)
    assert 10 + 5 * (limit + 2) == 60


def test_a_budget_that_leaves_nothing_to_train_in_is_refused_with_one_that_would() -> None:
    with pytest.raises(RequestError, match="Give 25s or more"):
        share(12, spent=10, fits=5, beside=2)
    assert share(25, spent=10, fits=5, beside=2) > 0


def clocked(panel: Panel, monkeypatch: pytest.MonkeyPatch, *, limit: float | None) -> list[Epoch]:
    """The epochs of a fit by a clock on which a second passes whenever it is looked at."""
    config = quick(train_steps=60, train_final_fit=False).override(
        {"train.time_limit": limit}, source="test")
    ticks = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    return list(fit(Predictor.new(config, panel), panel))


def test_training_ends_within_its_time_limit(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = clocked(panel, monkeypatch, limit=30)
    assert 1 <= epochs[-1].number < 12
    assert epochs[-1].seconds <= 40                                     # the last look, too, costs ticks of this clock
    assert clocked(panel, monkeypatch, limit=None)[-1].number == 12


def test_a_limit_that_is_not_reached_changes_nothing(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    limited, free = (clocked(panel, monkeypatch, limit=limit) for limit in (1e15, None))
    assert [e.valid_loss for e in limited] == [e.valid_loss for e in free]


# ranking

def test_the_least_mean_is_first_and_one_without_a_number_last() -> None:
    cells = [contender("a", 0.9, 0.8), contender("b", math.nan, 0.1), contender("c", 0.1, 1.0)]
    assert [c.cell for c in ranked(cells, "mase")] == ["c", "a", "b"]


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
def test_beyond_chance_is_what_a_paired_t_test_says_corrected_for_the_pairs(seeds: int) -> None:
    random, decided = np.random.default_rng(seeds), set()
    for gap in np.linspace(0, 8, 40):
        scores = random.normal(0, 1, (3, seeds)) + np.array([[0], [gap], [gap]])
        ranking = ranked([contender(name, *row) for name, row in zip("abc", scores, strict=True)], "mase")
        for d in differences(ranking, "mase"):
            a, b = (scores["abc".index(name)] for name in (d.better, d.worse))
            assert d.is_beyond_chance == (stats.ttest_rel(a, b).pvalue < 0.05 / 3)
            decided.add(d.is_beyond_chance)
    assert decided == {True, False} or seeds == 2


def test_cells_that_are_equals_are_rarely_called_different() -> None:
    random, wrong = np.random.default_rng(0), 0
    for _ in range(400):
        scores = random.normal(1, 0.1, (5, 1, 4)) + random.normal(0, 0.3, 4)            # a good seed is good for all
        ranking = ranked([contender(name, *row[0]) for name, row in zip("abcde", scores, strict=True)], "mase")
        wrong += any(d.is_beyond_chance for d in differences(ranking, "mase"))
    assert wrong / 400 < 0.08


def test_a_seed_that_is_hard_for_every_cell_hides_no_difference() -> None:
    seeds = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    ranking = [contender("a", *seeds), contender("b", *(seeds + np.array([0.5, 0.51, 0.5, 0.49, 0.5])))]
    assert [d.is_beyond_chance for d in differences(ranking, "mase")] == [True]


def test_the_verdict_names_who_is_better_and_who_cannot_be_told_apart() -> None:
    ranking = [contender("a", 1.0, 1.01, 1.0, 1.01), contender("b", 1.01, 1.0, 1.01, 1.02),
               contender("c", 2.0, 2.01, 2.0, 2.03)]
    assert verdict(ranking, differences(ranking, "mase")) == \
        "a is better than c; b is better than c; whether a is better than b may be chance"
    assert "no difference between these cells" in verdict(ranking[:2], differences(ranking[:2], "mase"))


def test_one_seed_ranks_nothing() -> None:
    ranking = [contender("a", 1.0), contender("b", 100.0)]
    found = differences(ranking, "mase")
    assert [d.is_beyond_chance for d in found] == [False]
    assert verdict(ranking, found) == "nothing: with one seed the ranking may be chance"


# the command

def test_every_cell_has_the_same_seeds_and_the_ranking_is_by_mean(compare: Compare) -> None:
    code, out, _ = compare("--cells", "rnn,gru,rnn", "--seeds", 2, "--seed", 7, "--json", "--budget", "1h")
    assert code == 0
    record = strict(out)
    assert record["seeds"] == [7, 8]
    assert sorted(row["cell"] for row in record["ranking"]) == ["gru", "rnn"]
    means = [np.mean([t["metrics"]["mase"] for t in row["trials"]]) for row in record["ranking"]]
    assert means == pytest.approx([row["mean"] for row in record["ranking"]])
    assert means == sorted(means)
    for row in record["ranking"]:
        assert [t["seed"] for t in row["trials"]] == [7, 8]
        assert row["trials"][0]["metrics"]["mase"] != row["trials"][1]["metrics"]["mase"]


def test_every_fit_has_the_same_limit_and_nothing_behind_the_first_cutoff(
        compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(predictor: Predictor, panel: Panel) -> Generator[Epoch, None, Predictor]:
        seen.append((predictor.config, predictor.members[0].network.shape, panel))
        return fit(predictor, panel)

    monkeypatch.setattr("forecast.tasks.compare.fit", spy)
    _, out, _ = compare("--cells", "lstm,rnn", "--seeds", 2, "--json", "--budget", "1h", "--windows", 3)
    record = strict(out)
    assert record["backtest_cutoffs"] == [12, 8, 4]
    assert {panel.lengths[0] for _, _, panel in seen} == {88}
    assert {config.train.time_limit for config, _, _ in seen[1:]} == {record["time_limit"]}          # [0]: linear
    assert 0 < record["time_limit"] < 3600 / 2
    trained = {(config.train.seed, shape.cell, shape.hidden, shape.parameters) for config, shape, _ in seen[1:]}
    assert trained == {(seed, row["cell"], row["hidden"], row["parameters"]) for seed in (0, 1)
                       for row in record["ranking"]}


def test_the_table_has_seasonal_naive_and_the_linear_skip_beside_the_cells(compare: Compare) -> None:
    code, out, err = compare("--cells", "gru,coupled", "--seeds", 2)
    assert code == 0
    for name in ("gru", "coupled", "seasonal_naive", "linear"):
        assert any(line[6:].startswith(f"{name} ") for line in out.splitlines()), name
    assert "MASE(m=6) ± sd" in out
    assert "certain" in out
    assert "--set model.skip=false" in out
    assert "4 backtest windows" in err
    assert "seed 1" in err


def test_untrained_cells_score_as_their_linear_skip_to_the_bit(compare: Compare) -> None:
    _, out, _ = compare("--cells", "lstm,rnn", "--seeds", 2, "--json", "--set", "train.steps=0")
    record = strict(out)
    for row in record["ranking"]:
        assert [t["metrics"] for t in row["trials"]] == [record["references"]["linear"]] * 2
        assert row["bettered_linear"] == 0
    assert [d["beyond_chance"] for d in record["differences"]] == [False]
    assert "adds nothing" in record["words"]["network"]


def test_without_the_skip_the_linear_forecast_still_stands_beside_the_cells(compare: Compare) -> None:
    code, out, _ = compare("--cells", "gru", "--seeds", 1, "--set", "model.skip=false")
    assert code == 0
    assert "network helped" not in out
    assert "model.skip" not in out
    one, other = (strict(compare("--cells", "gru", "--seeds", 1, "--json", "--set", f"model.skip={skip}")[1])
                  for skip in ("true", "false"))
    assert one["references"] == other["references"]


def test_a_comparison_writes_nothing_but_the_record_asked_for(compare: Compare, data: Path) -> None:
    assert compare("--cells", "rnn", "--seeds", 1)[0] == 0
    assert list(data.parent.iterdir()) == [data]
    code, out, err = compare("--cells", "rnn", "--seeds", 1, "-q", "-o", "record.json")
    assert (code, out.strip(), err) == (0, str(data.parent / "record.json"), "")
    assert {f.name for f in data.parent.iterdir()} == {"data.csv", "record.json"}
    record = strict((data.parent / "record.json").read_text())
    assert record["ranking"][0]["deviation"] is None


def test_one_seed_is_said_to_rank_nothing_and_json_stays_strict(compare: Compare) -> None:
    _, out, _ = compare("--cells", "rnn,gru", "--seeds", 1, "--json")
    record = strict(out)
    assert record["words"]["certain"] == "nothing: with one seed the ranking may be chance"
    assert record["differences"][0]["chance"] is None


def test_series_without_a_scale_are_ranked_by_mae(compare: Compare, data: Path) -> None:
    flat = data.parent / "flat.csv"
    flat.write_text("time,y\n" + "".join(f"{t},{10 + t % 6 + (t > 85)}\n" for t in range(100)))
    code, out, _ = compare("--cells", "rnn", "--seeds", 1, file=flat)
    assert code == 0
    assert "MAE ± sd" in out


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is refused before any work."""
    monkeypatch.setattr("forecast.tasks.compare.fit", lambda *_: pytest.fail("it trained"))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("arguments", "code", "said"), [
    (("--cells", "gru,lstn"), 2, "there is no cell 'lstn'. Known: lstm, gru, rnn, peephole, coupled"),
    (("--cells", ","), 2, "--cells names no cell"),
    (("--budget", "soon"), 2, "90s, 5m, 1h30m, 30d or plain seconds, not 'soon'"),
    (("--seeds", "0"), 2, "--seeds"),
    (("-o", "record.csv"), 2, "written as .json"),
    (("--horizon", "45"), 3, "too short"),
    (("--test-size", "95"), 2, "too little before it")], ids=str)
def test_what_cannot_be_done_is_refused_before_any_work(compare: Compare, arguments: tuple[str, ...], code: int,
                                                        said: str) -> None:
    ended, out, err = compare(*arguments)
    assert (ended, out) == (code, "")
    assert said in err


def test_a_budget_shorter_than_the_reading_is_refused(compare: Compare) -> None:
    code, _, err = compare("--budget", "0.001")
    assert code == 2
    assert "leave nothing to train in" in err
