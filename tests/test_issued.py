"""What was issued, beside what came true: recomputed here by plain loops."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from forecast.errors import GateError, RequestError
from forecast.ledger.issue import Block, by_weight
from forecast.ledger.issued import Drift, beside_naive, came_true, drift_of, known_before
from forecast.ledger.ledger import FILE, Ledger
from forecast.ledger.options import Options
from forecast.methods.baselines import SeasonalNaive
from forecast.scoring.backtest import evaluate
from forecast.series.calendar import Calendar
from forecast.series.forecast import quantile_grid
from forecast.series.panel import Panel
from forecast.showing.layout import table_lines
from forecast.showing.tables import score_table
from forecast.store.run import load
from forecast.tasks.evaluate import judge_drift
from forecast.tasks.promises import Promises, since
from forecast.tasks.teller import Silent
from tests import days
from tests.conftest import waves
from tests.test_cli import Run, run
from tests.test_ledger import draft

__all__ = ["run"]

LEVELS = (80.0,)


def block(panel: Panel, number: int, *, horizon: int = 3, off: float = 0.0, model: str = "a") -> Block:
    told = SeasonalNaive(6, quantile_grid(LEVELS)).predict(panel, horizon)
    return Block(number, model, panel.ids, panel.end, told.source, LEVELS, told.values + off)


def test_rows_are_joined_by_id_and_time_and_hold_what_was_said(panel: Panel) -> None:
    blocks = [block(panel.drop_last(k), 10 - k) for k in (1, 2, 5)]
    shuffled = panel.take([2, 0, 1])
    told = came_true(blocks, shuffled, levels=LEVELS)
    truth = {(panel.ids[s], int(panel.start[s]) + k): v for s in range(3) for k, v in enumerate(panel.values(s))}
    expected = set()
    for b in blocks:
        for s in range(3):
            for h in range(3):
                if (b.ids[s], b.ends[s] + h) in truth:
                    expected.add((b.ids[s], b.ends[s] - 1, h + 1, truth[b.ids[s], b.ends[s] + h], *b.values[s, h]))
    rows = told.frame
    found = set(zip(shuffled.ids[rows["series"]], rows["cutoff"], rows["step"], rows["y"], rows["yhat_lo_80"],
                    rows["yhat"], rows["yhat_hi_80"], strict=True))
    assert found == expected
    assert (told.rows, told.matched) == (27, len(expected)) == (27, 18)


def test_of_several_issues_about_one_cutoff_the_newest_counts_even_where_it_says_less(panel: Panel) -> None:
    known = panel.drop_last(3)
    newest = block(known.take([1]), 3, horizon=2, off=1.0, model="b")
    told = came_true([newest, block(known, 2), block(known, 1, off=9.0)], panel, levels=LEVELS)
    assert told.rows == 2 + 2 * 3
    assert told.frame.groupby("series")["model"].agg(set).tolist() == [{"a"}, {"b"}, {"a"}]
    assert told.frame.groupby("series").size().tolist() == [3, 2, 3]


def test_bands_are_those_of_every_issue_that_counts_and_what_was_passed_over_is_counted(panel: Panel) -> None:
    known = panel.drop_last(4)
    wide = SeasonalNaive(6, quantile_grid((80.0, 95.0))).predict(known, 3)
    full = Block(1, "a", panel.ids, known.end, wide.source, (80.0, 95.0), wide.values)
    look = block(known, 2, horizon=2)
    told = came_true([full, look], panel, levels=(80.0, 95.0))
    assert (told.levels, told.passed, told.rows) == ((80.0, 95.0), {2: 6}, 9)
    told = came_true([full, block(panel.drop_last(3), 2)], panel, levels=(80.0, 95.0))
    assert (told.levels, told.passed, told.rows) == ((80.0,), {}, 18)
    assert "yhat_lo_95" not in told.frame


def test_only_the_time_asked_for_and_only_measured_truth_is_scored(panel: Panel) -> None:
    filled = np.zeros(len(panel.y), dtype=bool)
    filled[panel.stop[0] - 2] = True                                    # a hole that was filled
    patched = replace(panel, filled=filled)
    told = came_true([block(panel.drop_last(k), 10 - k) for k in (3, 4)], patched, levels=LEVELS,
                     since=panel.newest - 2)
    ordinals = told.frame["cutoff"] + told.frame["step"]
    assert (ordinals >= panel.end[told.frame["series"]] - 2).all()
    assert told.matched == 3 * (2 + 1) - 2
    assert told.rows == 3 * (2 + 1)


def test_nothing_come_true_is_an_empty_frame(panel: Panel) -> None:
    for blocks in ([], [block(panel, 1)], [block(replace(panel, ids=panel.ids + "x"), 1)]):
        told = came_true(blocks, panel, levels=LEVELS)
        assert (told.matched, len(told.frame)) == (0, 0)


def test_seasonal_naive_beside_it_knows_nothing_from_behind_the_cutoff() -> None:
    panel = waves()
    told = came_true([block(panel.drop_last(k), 10 - k, off=1.0) for k in (2, 4)], panel, levels=LEVELS)
    naive = beside_naive(told, panel, 6)
    for row in naive.itertuples():
        assert row.yhat == panel.values(row.series)[row.cutoff + row.step - 6]
    assert len(naive) == told.matched
    changed = panel.y.copy()
    for s in range(3):
        changed[panel.stop[s] - 2:panel.stop[s]] += 1000                # behind both cutoffs, or behind one
    other = beside_naive(told, replace(panel, y=changed), 6)
    early = naive["cutoff"] == (panel.end - 5)[naive["series"]]
    late = naive["cutoff"] == (panel.end - 3)[naive["series"]]
    assert early.sum() == 3 * 3
    assert late.sum() == 3 * 2
    assert other["yhat"].equals(naive["yhat"])


def test_drift_is_the_ratio_and_its_least_by_students_t(panel: Panel) -> None:
    random = np.random.default_rng(0)
    cutoffs = np.repeat(np.arange(40, 80), 2)
    frame = pd.DataFrame({"series": 0, "cutoff": cutoffs, "y": 0.0, "yhat": random.normal(0, 1, 80)})
    known = panel.drop_last(60)
    lagged = np.abs(known.values(0)[6:] - known.values(0)[:-6])
    by_cutoff = frame["yhat"].abs().groupby(frame["cutoff"]).mean() / lagged.mean()
    drift = drift_of(frame, known, season=6, live=by_cutoff.mean(), promised=0.5, windows=5,
                     horizon=4)
    apart = 1 + 39 // 4
    error = min(by_cutoff.std(ddof=1), 2 * 0.5) * (1 / apart + 1 / 5) ** 0.5
    least = (by_cutoff.mean() - student.ppf(0.95, apart - 1) * error) / 0.5
    assert (drift.ratio, drift.least) == (pytest.approx(by_cutoff.mean() / 0.5), pytest.approx(least))
    assert drift_of(frame[:4], known, season=6, live=1.0, promised=1.0, windows=5, horizon=4).least is None


def test_a_drift_is_seldom_told_where_there_is_none_and_nearly_always_where_errors_doubled(panel: Panel) -> None:
    """Daily forecasts of 7 steps over 12 weeks, promised by 4 windows; forecasts of one day share its error."""
    random, alarms = np.random.default_rng(1), {1.0: 0, 2.0: 0}
    known, cutoff, step = panel.drop_last(60), *(a.ravel() for a in np.mgrid[100:184, 1:8])
    for _ in range(80):
        promised = np.abs(random.normal(size=4 * 7)).mean()
        for size in alarms:
            error = size * random.normal(size=300)[cutoff + step]
            frame = pd.DataFrame({"series": 0, "cutoff": cutoff, "y": 0.0, "yhat": error})
            scale = np.abs(known.values(0)[6:] - known.values(0)[:-6]).mean()
            drift = drift_of(frame, known, season=6, live=np.abs(error).mean() / scale, promised=promised / scale,
                             windows=4, horizon=7)
            assert drift.least is not None
            alarms[size] += drift.least > 1 and drift.ratio > 1.1
    assert alarms[1.0] <= 0.05 * 80
    assert alarms[2.0] >= 0.95 * 80


def test_a_change_of_level_does_not_hide_behind_the_spread_that_it_makes(panel: Panel) -> None:
    known, errors = panel.drop_last(60), np.array([1.0, 1.1, 0.9, 40.0, 9.0])
    scale = np.abs(known.values(0)[6:] - known.values(0)[:-6]).mean()
    frame = pd.DataFrame({"series": 0, "cutoff": np.arange(100, 105), "y": 0.0, "yhat": scale * errors})
    drift = drift_of(frame, known, season=6, live=10.4, promised=1.0, windows=4, horizon=1)
    assert drift.least is not None
    assert drift.least > 5


# evaluate --issued

@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a daily file, a model trained on its first 100 days, and an issue for each of 12 more."""
    folder = tmp_path_factory.mktemp("lived") / "project"
    shutil.copytree(days.trained(), folder)
    for day in range(101, 113):
        days.grow(folder, day)
        days.issue(folder)
    days.grow(folder, 130)
    return folder


@pytest.fixture
def project(lived: Path, tmp_path: Path) -> Path:
    shutil.copytree(lived, tmp_path / "project")
    return tmp_path / "project"


def test_evaluate_issued_is_what_plain_loops_say(run: Run, project: Path) -> None:
    ended = run("-C", project, "evaluate", "--issued", "--json", "--predictions", "rows.csv")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["issues"], told["rows"], told["matched"], told["cutoffs"]) == (12, 72, 72, 12)
    data = pd.read_csv(project / "data.csv").pivot(index="date", columns="store", values="sales")
    ledger = Ledger(project / ".forecast" / FILE)
    errors, naive, inside = {"a": [], "b": []}, {"a": [], "b": []}, {"a": [], "b": []}
    for issue in ledger.issues():
        for b in ledger.blocks(issue):
            for s, name in enumerate(b.ids):
                past = data[name][:issue.cutoff_text].to_numpy()
                future = data[name].to_numpy()[len(past):len(past) + 3]
                errors[name] += list(future - b.values[s, :, 2])
                naive[name] += list(future - past[-7:-4])
                inside[name] += list((b.values[s, :, 1] <= future) & (future <= b.values[s, :, 3]))
    first = data[:ledger.issues()[0].cutoff_text]
    scale = {n: first[n].diff(7).abs().mean() for n in "ab"}
    for who, found in (("issued", errors), ("seasonal_naive", naive)):
        mase = np.mean([np.mean(np.abs(found[n])) / scale[n] for n in "ab"])
        assert told["models"][who]["mase"] == pytest.approx(mase)
        assert told["models"][who]["bias"] == pytest.approx(np.mean([-np.mean(found[n]) for n in "ab"]))
        steps = np.mean([np.abs(np.array(found[n])).reshape(-1, 3).mean(axis=0) for n in "ab"], axis=0)
        assert told["models"][who]["mae_by_step"] == pytest.approx(steps.tolist())
    assert told["models"]["issued"]["coverage_80"] == pytest.approx(np.mean([np.mean(inside[n]) for n in "ab"]))
    (model,) = [load(f) for f in (project / ".forecast" / "runs").iterdir()]
    promised = next(iter(model.metrics["models"].values()))
    assert told["promised"]["mase"] == pytest.approx(promised["mase"])
    assert told["promised"]["coverage_95"] == pytest.approx(promised["coverage_95"])
    assert told["drift"]["ratio"] == pytest.approx(told["models"]["issued"]["mase"] / promised["mase"])
    assert len(pd.read_csv(project / "rows.csv")) == 72
    assert set(pd.read_csv(project / "metrics-issued.csv")["series"]) == {"a", "b"}


def test_evaluate_issued_says_live_beside_promised_and_fails_over_a_gate(run: Run, project: Path) -> None:
    ended = run("-C", project, "evaluate", "--issued", "--last", "17d")
    assert ended.code == 0, ended.err
    for words in (" issues: the truth is known for 6 of 6 rows", "seasonal_naive", "promised", "80% covers"):
        assert words in ended.err + ended.out
    assert run("-C", project, "evaluate", "--issued", "--fail-over", "mase=0.01").code == 6
    assert run("-C", project, "evaluate", "--issued", "--fail-over", "drift=99", "--fail-over", "mase=99").code == 0
    assert run("-C", project, "evaluate", "--fail-over", "drift=1").code == 2
    assert run("-C", project, "evaluate", "--last", "3d").code == 2
    assert run("-C", project, "evaluate", "--issued", "--last", "soon").code == 2


class Noted(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines = list[tuple[str, str]]()

    def say(self, label: str, text: str) -> None:
        self.lines.append((label, text))

    def warn(self, label: str, text: str) -> None:
        self.lines.append((label, text))


def test_only_a_drift_beyond_chance_fails() -> None:
    with pytest.raises(GateError, match="drift is 2, over the limit"):
        judge_drift(Drift(2.0, 1.0, 2.0, 1.2), 1.5)
    for drift, limit, words in ((Drift(2.0, 1.0, 2.0, 0.9), 1.5, "may be chance"), (None, 1.5, "no promised MASE"),
                                (Drift(2.0, 1.0, 2.0, None), 1.5, "fewer than three"),
                                (Drift(2.0, 1.0, 2.0, 1.2), 2.5, "")):
        told = Noted()
        judge_drift(drift, limit, told)
        assert [words in text for _, text in told.lines] == [True] * bool(words)


def test_runs_without_a_backtest_are_scored_but_not_compared(run: Run, project: Path) -> None:
    whole = json.loads(run("-C", project, "evaluate", "--issued", "--json").out)
    days.grow(project, 113)
    days.train(project, "--seed", "5")
    (gone,) = {i.run for i in Ledger(project / ".forecast" / FILE).issues()}
    days.issue(project)
    days.grow(project, 130)
    shutil.rmtree(project / ".forecast" / "runs" / gone)
    ended = run("-C", project, "evaluate", "--issued", "--json", "--fail-over", "drift=0.01")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["matched"], told["compared"]) == (78, 6)
    assert "fewer than three forecasts" in ended.err
    (kept,) = (name for name in told["runs"] if name != gone)
    for name, value in told["runs"][kept]["promised"].items():
        assert told["promised"][name] == pytest.approx(value)
    assert told["drift"]["ratio"] == pytest.approx(told["runs"][kept]["live"]["mase"] / told["promised"]["mase"])
    assert whole["compared"] == whole["matched"]
    said = run("-C", project, "evaluate", "--issued").out
    assert "72 rows are of runs whose backtest is not there" in said


def test_what_was_forecast_in_hindsight_is_said_and_not_scored(run: Run, project: Path) -> None:
    ended = run("-C", project, "predict", "--as-of", days.DAYS[90], "-o", "-")
    assert f"{days.DAYS[90]}: the model has seen what came after (data to {days.DAYS[99]})" in ended.err
    ended = run("-C", project, "predict", "--as-of", days.DAYS[99], "-o", "-")
    assert "has seen what came after" not in ended.err
    ended = run("-C", project, "evaluate", "--issued", "--json")
    told = json.loads(ended.out)
    assert (told["issues"], told["left_out"]) == (13, {"hindsight": 1, "unknown": 0})
    assert "1 issue made --as-of a time whose future their run had seen" in ended.err
    days.train(project, "--seed", "5")
    (old,) = {i.run for i in Ledger(project / ".forecast" / FILE).issues()}
    shutil.rmtree(project / ".forecast" / "runs" / old)
    ended = run("-C", project, "evaluate", "--issued", "--json")
    told = json.loads(ended.out)
    assert (told["issues"], told["left_out"]) == (12, {"hindsight": 0, "unknown": 2})
    assert "what it had seen is unknown" in ended.err


def test_a_look_hides_nothing_of_what_was_published(run: Run, project: Path) -> None:
    options = ("--as-of", days.DAYS[104], "--horizon", "2", "--levels", "80", "-o", "-")
    assert run("-C", project, "predict", *options).code == 0
    ended = run("-C", project, "evaluate", "--issued", "--json")
    told = json.loads(ended.out)
    assert (told["rows"], told["passed_over"]) == (72, 4)
    assert "coverage_95" in told["models"]["issued"]
    assert "passed over" in ended.err
    assert "4 rows of 1 issue: " in ended.err
    options = ("--as-of", days.DAYS[118], "--levels", "80", "-o", "-")
    assert run("-C", project, "predict", *options).code == 0
    ended = run("-C", project, "evaluate", "--issued")
    assert "95% not scored: not in every issue" in ended.err


def test_what_is_scored_of_the_kept_time_is_the_same_once_the_ledger_is_pruned(run: Run, tmp_path: Path,
                                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(days.trained(), tmp_path, dirs_exist_ok=True)
    ended = run("models", "prune", "--ledger", "2y")
    assert (ended.code, "0 issues made before" in ended.err) == (0, True)
    assert not (tmp_path / ".forecast" / FILE).exists()
    for day in range(101, 113):
        monkeypatch.setenv("FORECAST_NOW", f"{days.DAYS[day]}T04:16:12")
        days.grow(tmp_path, day)
        days.issue(tmp_path, f"{day}.csv")
    days.grow(tmp_path, 115)
    ways = ("evaluate", "--issued", "--json", "--last", "8d")
    before = json.loads(run(*ways).out)
    assert json.loads(run("models", "prune", "--ledger", "5d", "--json").out)["issues"]["removed"] == 0
    monkeypatch.setattr("forecast.ledger.adaptation.MOST", 1)
    ended = run("models", "prune", "--ledger", "5d")                    # from the 107th on, and two that reach there
    assert "4 issues made before 2026-04-18T04:16:12Z removed from the ledger, 8 left; 0.1 MB -> " in ended.err
    assert "2 older issues: forecast times since then, or" in ended.err
    after = json.loads(run(*ways).out)
    assert after == before
    assert (after["issues"], after["how"][:9]) == (8, "8 issues:")
    assert run("-C", tmp_path, "replay", "102.csv").code == 4
    assert run("-C", tmp_path, "replay", "111.csv").code == 0


def test_a_longer_look_stands_in_for_nothing_that_is_published_every_day(run: Run, project: Path) -> None:
    whole = json.loads(run("-C", project, "evaluate", "--issued", "--json").out)
    for day in (103, 104):
        options = ("--as-of", days.DAYS[day], "--horizon", "9", "-o", "look.csv")
        assert run("-C", project, "predict", *options).code == 0
    told = json.loads(run("-C", project, "evaluate", "--issued", "--json").out)
    assert (told["issues"], told["rows"], told["passed_over"]) == (14, 72, 2 * 2 * 9)
    assert told["models"] == whole["models"]


def test_scores_too_wide_for_the_terminal_leave_out_the_least_and_say_so(panel: Panel) -> None:
    told = came_true([block(panel.drop_last(3), 1)], panel, levels=LEVELS)
    scores = evaluate(told.frame, known_before(told, panel), season=6, levels=LEVELS)
    table = score_table(scores)
    assert table_lines(table, None)[0].split()[:2] == ["MAE", "RMSE"]
    narrow = table_lines(table, 40)
    assert max(map(len, narrow)) <= 40
    assert narrow[0].split()[:2] == ["MAE", "MASE(m=6)"]
    assert {"RMSE,", "sMAPE;"} <= set(" ".join(narrow).split())          # what was left out is said


def test_of_many_runs_the_newest_are_shown() -> None:
    told = {"rows": 1, "live": {"mase": 1.0}, "promised": {}, "compared": False}
    runs = {f"2026090{day}T041500Z-lstm-0000": told for day in (7, 6, 5, 4, 3, 2, 1)}  # the newest speaks first
    promises = Promises({"bias": 0.0}, {}, runs, None, [], cutoffs=7, beside=7, compared=0)
    shown = [line.split()[0] for line in promises.words() if line.startswith("2026")]
    assert shown == sorted(runs)[-5:]


def test_the_usual_request_speaks_then_the_longest_then_the_newest(tmp_path: Path) -> None:
    panel = waves()
    daily = [draft(panel.drop_last(k), tmp_path, horizon=3).issue for k in (3, 2, 1)]
    look, longer = (draft(panel.drop_last(1), tmp_path, horizon=h).issue for h in (5, 9))
    again = [replace(daily[2], run="newer", options=Options(adapt={"80": f})) for f in (1.1, 1.2)]
    every = [replace(i, number=k) for k, i in enumerate([*daily, look, longer, *again])]
    assert [i.number for i in by_weight(every) if i.cutoff == daily[2].cutoff] == [2, 4, 3, 6, 5]
    assert again[0].request == again[1].request != daily[2].request == daily[0].request


def test_evaluate_issued_before_anything_came_true_or_was_issued(run: Run, project: Path) -> None:
    lines = (project / "data.csv").read_text().splitlines(keepends=True)
    (project / "data.csv").write_text("".join(line for line in lines if line[2:12] < "2026-04-11" or line[0] == "s"))
    assert run("-C", project, "evaluate", "--issued", "-q").err == ""
    ended = run("-C", project, "evaluate", "--issued", "-q", "--fail-over", "mase=0.01")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "wait       nothing to score yet: --fail-over was held against nothing\n"
    shutil.move(project / "data.csv", project / "other.csv")
    ended = run("-C", project, "evaluate", "other.csv", "--issued")
    assert ended.code == 2
    assert "data.csv; --model RUN takes all of a run" in ended.err
    assert run("-C", project, "evaluate", "other.csv", "--issued", "--model", "live").code == 0
    (project / ".forecast" / FILE).write_bytes(b"scribble" * 1000)
    ended = run("-C", project, "evaluate", "other.csv", "--issued")
    assert ended.code == 4
    assert "is not a ledger. Move it away" in ended.err


def test_integer_steps_have_a_last_in_steps_and_none_in_days() -> None:
    panel = waves()
    first = since("5", panel)
    assert first is not None
    assert first.tolist() == (panel.end - 5).tolist()
    with pytest.raises(RequestError, match="Give a number of steps"):
        since("5d", panel)
    daily = Panel.of([[1.0] * 10], Calendar.of("D"), start=100)
    first = since("2d", daily)
    assert first is not None
    assert first.tolist() == [108]


def test_the_sample_behind_mase_ends_before_the_first_forecast_of_each_series(panel: Panel) -> None:
    told = came_true([block(panel.drop_last(4).take([0]), 2), block(panel.drop_last(8).take([1]), 1)], panel,
                     levels=LEVELS)
    known = known_before(told, panel)
    assert (panel.end - known.end).tolist() == [4, 8, 0]


def test_a_file_whose_columns_have_names_of_ours_is_written_and_scored(
        run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stamps = pd.date_range("2026-01-01", periods=60).strftime("%Y-%m-%d")
    rows = [f'"{shop}",{day},{10 + k % 7}' for shop in ("a,b", "c") for k, day in enumerate(stamps)]
    scores = []
    for names in ("shop,day,sold", "yhat,cutoff,source", "series,y,ordinal", "model,step,yhat_lo_80"):
        (tmp_path / "w.csv").write_text("\n".join([names, *rows]) + "\n")
        given = [text for pair in zip(("--id", "--time", "--target"), names.split(","), strict=True) for text in pair]
        ended = run("predict", "w.csv", *given, "--model", "prior", "--horizon", 5, "--as-of", stamps[49],
                    "-o", "asof.csv")
        assert ended.code == 0, ended.err
        ended = run("evaluate", "w.csv", *given, "--forecast", "asof.csv", "--json")
        assert ended.code == 0, ended.err
        told = json.loads(ended.out)
        assert "10 of 10 rows" in told["how"]
        scores.append(told["models"]["forecast"]["mae"])
    assert len(set(scores)) == 1
