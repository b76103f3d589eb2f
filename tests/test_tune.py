"""forecast tune: what is tried, what is given up, what outlives a kill, and what may be said of it in the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from forecast.cli import main
from forecast.errors import DataError, RequestError
from forecast.series.arrays import Floats
from forecast.tasks import tune as task
from forecast.tasks.trials import Bench, Limits, search, split
from forecast.tasks.tuned import Judgement, Tuned, toml_of
from forecast.tasks.workspace import Workspace
from forecast.training.search import (
    DONE,
    FAILED,
    HOPELESSLY,
    RATE,
    RUNNING,
    WAITING,
    Dimension,
    Study,
    Tried,
    chance,
    is_hopeless,
    space,
)
from tests.conftest import quick, shops, waves

pytest.importorskip("optuna")

FEW = {"model.horizon": 4, "model.season": (6,), "model.hidden": 4, "model.layers": 1, "model.members": 1,
       "model.prior": False, "model.blend": False, "train.steps": 4, "train.threads": 1, "train.batch": 32,
       "backtest.windows": 3}
FLAGS = [word for key, value in FEW.items() for word in (
    "--set", f"{key}={str(value).lower().strip('(),')}")]


DAYS = {"cutoffs": 6, "series": 1}


def series(count: int = 100, *, newest: float = 1.0) -> str:
    """A file of season 6; the newest 20 values, times a factor."""
    t = np.arange(count)
    y = 20 + 0.1 * t + 3 * np.sin(2 * np.pi * t / 6) + np.random.default_rng(0).normal(0, 0.5, count)
    y[-20:] *= newest
    return "time,y\n" + "".join(f"{k},{v:.6f}\n" for k, v in zip(t, y, strict=True))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(series())
    return path


def tuned(file: Path, *, trials: int | None = 2, budget: str = "10m", **changes: Any) -> Tuned:
    request = {name: changes.pop(name) for name in ("study", "jobs") if name in changes}
    workspace = Workspace.at(file.parent, flags=FEW | changes, environment={})
    return task.tune(workspace, task.Request(file, trials=trials, budget=budget, **request))


def called(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["tune", *map(str, arguments), *FLAGS])
    return int(ended.value.code or 0)


# what is tried

def test_the_first_trial_is_the_default_and_the_next_ones_change_one_thing_each(data: Path) -> None:
    trials = [t for t in tuned(data, trials=3).trials if t.state != WAITING]
    assert [len(t.changes) for t in trials] == [0, 1, 1]
    assert trials[1].changes.keys() != trials[2].changes.keys()
    assert all(t.state in (DONE, HOPELESSLY) for t in trials)


def test_what_is_given_is_not_tried_and_a_logarithm_only_of_positive_series() -> None:
    config, panel = quick(), waves()
    parts = split(config, panel)
    keys = {d.key: d for d in space(config, parts.known, parts.plan, {"model.cell": "lstm", RATE: 0.01})}
    assert "model.cell" not in keys
    assert RATE not in keys
    assert "log" in keys["model.transform"].values
    below = replace(panel, y=panel.y - 2 * np.nanmax(panel.y))
    parts = split(config, below)
    values = {d.key: d.values for d in space(config, parts.known, parts.plan, {})}
    assert "log" not in values["model.transform"]
    assert "covariates" not in values


def test_covariates_are_tried_off_where_there_are_some() -> None:
    parts = split(quick(model_blend=True), shops(length=120))
    assert {d.key: d.values for d in space(quick(model_blend=True), parts.known, parts.plan, {})}["covariates"] == (
        "on", "off")


def test_windows_lie_one_after_the_other_and_the_unseen_are_the_newest() -> None:
    panel = waves(1, 200)
    parts = split(quick(), panel)
    ends = [int(parts.searched.end.max()) - k for k in parts.cutoffs] + [int(panel.end.max()) - k for k in parts.unseen]
    assert np.diff(ends).tolist() == [4] * (len(ends) - 1)
    assert ends[-1] + 4 == panel.end.max()
    assert len(parts.unseen) >= 5
    assert parts.searched.end.max() == panel.end.max() - parts.unseen[0]
    assert parts.known.end.max() == ends[0]


@pytest.mark.parametrize(("count", "length", "cutoffs"), [(3, 150, 5), (40, 150, 5), (3, 60, 3)])
def test_several_series_are_judged_on_as_many_days_as_one_where_the_data_allow(count: int, length: int, cutoffs: int
                                                                               ) -> None:
    panel = waves(1, length).take(np.zeros(count, dtype=np.int64))
    parts = split(quick(), panel)
    assert len(parts.unseen) >= cutoffs
    assert parts.unseen[-1] == 4
    bench = Bench(quick(), parts.panel, parts.unseen, parts.plan)
    assert len(bench.naive) == count * len(parts.unseen)                # all series at each


def test_data_too_short_for_windows_of_both_kinds_are_refused() -> None:
    with pytest.raises(DataError, match="too short for a search"):
        split(quick(), waves(1, 20))


def test_the_lines_for_the_settings_file_are_the_settings_of_the_trial() -> None:
    changes = {"model.cell": "gru", "model.hidden": 8, RATE: 0.0042, "model.transform": "none"}
    read = tomllib.loads("\n".join(toml_of(changes, "y")))
    assert {f"{section}.{key}": value for section, keys in read.items() for key, value in keys.items()} == changes


def test_without_covariates_the_lines_name_the_target() -> None:
    assert tomllib.loads("\n".join(toml_of({"covariates": "off"}, 'a "b"'))) == {"data": {"target": 'a "b"'}}


# the search does not see the newest windows

def test_what_the_search_finds_does_not_depend_on_the_unseen_windows(tmp_path: Path) -> None:
    found = []
    for name, factor in (("a", 1.0), ("b", 3.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.csv").write_text(series(newest=factor))
        found.append(tuned(tmp_path / name / "data.csv", trials=3))
    one, other = found
    assert one.unseen == other.unseen == [20, 16, 12, 8, 4]
    for mine, theirs in zip(one.trials, other.trials, strict=True):
        assert mine.changes == theirs.changes
        np.testing.assert_array_equal(mine.errors, theirs.errors)
        np.testing.assert_array_equal(mine.first, theirs.first)
    assert one.naive == other.naive
    windows = [Bench(quick(), waves(1, 200), [8, 4], split(quick(), waves(1, 200)).plan)] * 2
    assert windows[0].naive.tolist() == windows[1].naive.tolist()


# what is given up, and what fails

class Fake(Bench):
    """A bench whose errors are known: 1 for the defaults, and what `of` says of changes."""

    def errors(self, changes: Mapping[str, Any], watch: Any, *, share: float = 1.0, seed: int | None = None) -> Floats:
        watch()
        ASKED.append((dict(changes), share))
        said = {"good": 0.5, "bad": 2.0, "usual": 1.0}[changes.get("model.cell", "usual")]
        if said == 0.5 and share == 1.0 and FAILS:
            raise FAILS[0]
        return np.full(12, said) + np.linspace(0, 0.1, 12)


ASKED: list[tuple[dict[str, Any], float]] = []
FAILS: list[Exception] = []
CELLS = (Dimension("model.cell", "usual", ("usual", "bad", "good")),)


@pytest.fixture
def bench() -> Bench:
    ASKED.clear()
    FAILS.clear()
    return Fake(quick(), waves(), [4], split(quick(), waves()).plan)


def searched(path: Path, bench: Bench, trials: int | None, watch: Any = lambda: None) -> tuple[Study, str]:
    study = Study.opened(path, CELLS, {"data": "x"}, seed=0)
    return study, search(study, bench, Limits(time.monotonic() + 600, trials, 0.0), watch, lambda tried: None)


def test_a_trial_worse_than_the_best_after_a_quarter_of_the_steps_is_given_up_there(tmp_path: Path, bench: Bench
                                                                                    ) -> None:
    study, _ = searched(tmp_path / "s", bench, 2)
    assert [t.state for t in study.trials()] == [DONE, HOPELESSLY]
    assert ASKED == [({}, 0.25), ({}, 1.0), ({"model.cell": "bad"}, 0.25)]


@pytest.mark.parametrize("error", [MemoryError(), DataError("every network diverged"), RuntimeError("a\nb"),
                                   FloatingPointError()], ids=lambda e: type(e).__name__)
def test_a_trial_that_fails_has_its_reason_and_the_search_goes_on_to_its_end(tmp_path: Path, bench: Bench,
                                                                             error: Exception) -> None:
    FAILS.append(error)
    study, spent = searched(tmp_path / "s", bench, 12)
    failed = [t for t in study.trials() if t.state == FAILED]
    assert failed
    assert all(t.changes == {"model.cell": "good"} and t.reason for t in failed)
    assert spent in ("trials", "settings")
    best = study.best()
    assert best is not None
    assert best.changes == {}


def test_a_search_ends_when_every_setting_was_tried(tmp_path: Path, bench: Bench) -> None:
    study, spent = searched(tmp_path / "s", bench, None)
    assert spent == "settings"
    best = study.best()
    assert best is not None
    assert best.changes == {"model.cell": "good"}
    assert sum(t.state == DONE for t in study.trials()) == 2


def test_few_windows_give_nothing_up_and_equal_errors_are_no_reason_to() -> None:
    best = Tried(0, DONE, {}, 1.0, first=np.ones(2))
    assert not is_hopeless(np.full(2, 9.0), best)
    assert not is_hopeless(np.ones(12), replace(best, first=np.ones(12)))
    assert is_hopeless(np.full(12, 9.0), replace(best, first=np.ones(12)))
    assert not is_hopeless(np.full(12, 9.0), None)


# what is beyond chance

def test_the_chance_is_that_of_wilcoxon_and_equal_errors_are_pure_chance() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 15))
    assert chance(a, b) == pytest.approx(stats.wilcoxon(a, b, alternative="less").pvalue)
    assert chance(a, a) >= 0.5


def test_better_takes_all_seeds_and_the_windows_and_each_look_makes_it_harder() -> None:
    usual = [np.ones(6)] * 3
    better = [np.full(6, 0.9) - 0.01 * np.arange(6)] * 3
    assert Judgement(usual, better, 1.0, looks=1, **DAYS).is_better             # p = 1/64
    assert not Judgement(usual, better, 1.0, looks=4, **DAYS).is_better         # over 0.05 / 4
    assert not Judgement(usual, [*better[:2], np.full(6, 1.05)], 1.0, looks=1, **DAYS).is_better
    assert not Judgement([np.ones(4)], [np.full(4, 0.5)], 1.0, looks=1, **DAYS).is_better
    assert not Judgement(better, usual, 1.0, looks=1, **DAYS).is_better
    many = [np.full(60, 0.9) - 0.01 * np.arange(60)] * 3
    assert Judgement([np.ones(60)] * 3, many, 1.0, looks=1, cutoffs=5, series=12).is_better
    assert not Judgement([np.ones(60)] * 3, many, 1.0, looks=1, cutoffs=1, series=60).is_better     # all of one day


def test_settings_that_are_no_better_are_called_better_at_most_one_time_in_twenty() -> None:
    random = np.random.default_rng(0)
    called_better = [Judgement(*(list(random.gamma(2, size=(3, 12))) for _ in "ab"), 1.0, looks=1, **DAYS).is_better
                     for _ in range(400)]
    assert np.mean(called_better) < 0.05


# what outlives an interruption

def test_ctrl_c_ends_with_what_is_known_and_the_trial_is_tried_again(tmp_path: Path, bench: Bench) -> None:
    looks = iter(range(100))

    def interrupted() -> None:
        if next(looks) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "s", bench, None, interrupted)
    study, _ = searched(tmp_path / "s", bench, 1)
    bad = [(t.number, t.state) for t in study.trials() if t.changes == {"model.cell": "bad"}]
    assert bad[0] == (1, FAILED)
    assert [state for _, state in bad[1:]] == [HOPELESSLY]


def test_a_search_interrupted_twice_goes_on_with_all_that_is_left(tmp_path: Path, bench: Bench) -> None:
    for _ in range(2):
        looks = iter(range(100))

        def interrupted(looks: Any = looks) -> None:
            if next(looks) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "s", bench, None, interrupted)
    before = [(t.number, t.score) for t in Study.joined(tmp_path / "s", (), seed=0).trials() if t.state == DONE]
    study, spent = searched(tmp_path / "s", bench, None)
    best = study.best()
    assert spent == "settings"
    assert best is not None
    assert best.changes == {"model.cell": "good"}
    done = [(t.number, t.score) for t in study.trials() if t.state == DONE]
    assert done[:len(before)] == before != []
    assert RUNNING not in {t.state for t in study.trials()}


def test_the_command_says_what_is_known_when_it_is_interrupted(data: Path, monkeypatch: pytest.MonkeyPatch,
                                                               capfd: pytest.CaptureFixture[str]) -> None:
    errors, count = Bench.errors, [0]

    def interrupting(*arguments: Any, **keywords: Any) -> Floats:
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return errors(*arguments, **keywords)

    monkeypatch.setattr(Bench, "errors", interrupting)
    assert called("-C", data.parent, data, "--json") == 130
    said = json.loads(capfd.readouterr().out)
    assert [t["state"] for t in said["trials"]] == ["done", "failed"]
    assert said["words"]["more"] == "the same command goes on from here"
    assert said["judgement"] is None


def done_in(journal: Path) -> int:
    """Trials that are done, by the events of a journal."""
    text = journal.read_text() if journal.exists() else ""
    return text.count('"state":1,"values":[')


def test_a_search_killed_twice_goes_on_and_keeps_every_trial_that_was_done(data: Path) -> None:
    journal = data.parent / "my.journal"
    line = [sys.executable, "-m", "forecast", "-C", str(data.parent), "tune", str(data), "--study", str(journal),
            *FLAGS]
    kept: list[float] = []
    for kill in (1, 2):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])})
        while done_in(journal) < kill and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with journal.open("a") as torn:                                     # as a kill in the middle of a line leaves it
        torn.write('{"op_code":8,"wor')
    kept = [t.score for t in Study.joined(_untorn(journal), (), seed=0).trials() if t.state == DONE]
    again = tuned(data, trials=1, study=str(journal), **{"model.season": (6,)})
    scores = [t.score for t in again.trials if t.state == DONE]
    assert scores[:len(kept)] == kept
    assert len(kept) >= 2
    assert len([t for t in again.trials if t.state in (DONE, HOPELESSLY)]) >= len(kept) + 1
    assert RUNNING not in {t.state for t in again.trials}
    assert again.trials[0].changes == {}


def _untorn(journal: Path) -> Path:
    """A copy without its last line."""
    copy = journal.with_suffix(".copy")
    copy.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    return copy


def test_a_study_of_other_data_or_of_another_request_is_refused_and_stays_as_it_was(data: Path) -> None:
    journal = data.parent / "my.journal"
    tuned(data, trials=1, study="my.journal")
    before = journal.read_bytes()
    data.write_text(series(101))
    with pytest.raises(RequestError, match="study of other data"):
        tuned(data, trials=1, study="my.journal")
    data.write_text(series())
    with pytest.raises(RequestError, match="study of another request: settings"):
        tuned(data, trials=1, study="my.journal", **{"train.seed": 5})
    assert journal.read_bytes() == before
    assert tuned(data, trials=1, study="my.journal").trials[0].number == 0


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"{}\n", b"[1]\n", b"\xff\x00", b'{"op_code":99}\n',
                                     b'{"op_code":4,"study_id":7}\n'])
def test_a_file_that_is_no_study_is_refused_and_stays_as_it_was(data: Path, content: bytes) -> None:
    file = data.parent / "other"
    file.write_bytes(content)
    with pytest.raises(RequestError, match="not a study of forecast tune"):
        tuned(data, study="other")
    assert file.read_bytes() == content


def test_a_budget_that_is_too_short_is_refused_with_one_that_would_do(data: Path) -> None:
    with pytest.raises(RequestError, match=r"too short: the defaults alone.*Give \d+[sm] or more"):
        tuned(data, budget="0.01s")


def test_a_budget_without_room_for_one_trial_and_its_judging_is_refused_at_once(
        data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task._Work, "_guessed", lambda work: 800.0)     # a trial takes 1,000 s, a judging 1,760 s
    with pytest.raises(RequestError, match="1000 s, and to judge anything takes 1760 s more"):
        tuned(data, budget="2700s")


def test_a_folder_is_no_study_and_a_study_that_goes_on_says_what_it_holds(data: Path, capfd: pytest.CaptureFixture[str]
                                                                        ) -> None:
    with pytest.raises(RequestError, match=r"--study \.: is a folder"):
        tuned(data, study=".")
    for told in (False, True):
        assert called("-C", data.parent, data, "--trials", 2, "--study", "a.journal") == 0
        said = " ".join(capfd.readouterr().err.split())                 # how many depends on what was proposed twice
        assert bool(re.search(r"goes on with \d trials of before, \d of them done", said)) == told


def test_without_the_package_the_line_that_installs_it_is_said(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RequestError, match="pip install optuna"):
        tuned(data)


def test_two_processes_share_the_trials(data: Path) -> None:
    found = tuned(data, trials=3, jobs=2)
    ended = [t for t in found.trials if t.state != WAITING]
    assert [t.number for t in ended] == [0, 1, 2]
    assert all(t.state in (DONE, HOPELESSLY) for t in ended)
    assert ended[0].changes == {}


# what is said

def test_the_table_stands_beside_seasonal_naive_and_the_verdict_is_plain(data: Path, capfd: pytest.CaptureFixture[str]
                                                                         ) -> None:
    assert called("-C", data.parent, data, "--trials", 2, "-o", "out.json") == 0
    said = capfd.readouterr()
    assert "seasonal_naive" in said.out
    assert "the defaults" in said.out
    assert any(line.startswith("certain") for line in said.out.splitlines())
    assert "next       forecast train" in said.out
    content = json.loads((data.parent / "out.json").read_text())
    assert content["trials"][0]["changes"] == {}
    assert content["default"] == content["trials"][0]["score"]
    assert len(content["unseen"]) == 5


def test_the_best_settings_are_judged_on_unseen_windows_with_some_seeds(data: Path, monkeypatch: pytest.MonkeyPatch
                                                                        ) -> None:
    errors, asked = Bench.errors, list[tuple[dict[str, Any], int | None]]()

    def favouring(self: Bench, changes: Mapping[str, Any], watch: Any, **keywords: Any) -> Floats:
        if len(self.cutoffs) == 5:
            asked.append((dict(changes), keywords["seed"]))
        return errors(self, {}, watch, **keywords) * (0.5 if changes else 1.0)

    monkeypatch.setattr(Bench, "errors", favouring)
    found = tuned(data)
    assert found.best is not None
    assert found.best.changes
    assert [seed for _, seed in asked] == [0, 0, 1, 1, 2, 2]
    assert found.judgement is not None
    assert found.is_better
    assert (found.judgement.cutoffs, found.judgement.series) == (5, 1)
    assert "on 5 windows (5 cutoffs of 1 series) that the search had not seen" in found.verdict
    assert "better than the defaults beyond chance" in found.verdict
    assert any("--set" in text for label, text in found.words if label == "next")
    asked.clear()
    again = tuned(data, trials=1)
    assert again.best is not None
    if again.best.number == found.best.number:
        assert asked == []                                              # what was judged is kept
