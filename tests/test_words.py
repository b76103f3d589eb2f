"""What is said is what is meant: errors name flags and remedies, each output has its name, many sources are summed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from forecast.errors import RequestError
from forecast.ledger.freshness import cutoffs_between
from forecast.series.calendar import Calendar
from forecast.showing.words import headline
from forecast.system.datasource import shown_path
from forecast.system.monitor import reported
from forecast.tasks.predict import sources_in_words
from forecast.tasks.workspace import Workspace
from tests.test_cli import AIR, LEAN, Run, rows, run, store, succeed, trained_store

__all__ = ["run", "store", "trained_store"]


@pytest.mark.parametrize(("words", "said"), [
    (("--horizon", "0"), "forecast: --horizon takes a whole number from 1 to 100,000, not '0'\n"),
    (("--cell", "ltsm"), "not 'ltsm'. Did you mean lstm?\n"),
    (("--season", "weekly"), "It is counted in steps: 7 is a week of daily data, 24 a day of hourly, 12 a year of "
                             "monthly\n"),
    (("--min-skill", "20"), "forecast: --min-skill 20: is a share of the error to be saved, at most 1. For 20 % write "
                            "--min-skill 0.2\n"),
    (("--set", "model.horizon=0"), "forecast: --set: model.horizon takes a whole number from 1 to 100,000, not '0'\n"),
])
def test_a_wrong_value_is_refused_by_its_flag_with_the_near_word(run: Run, words: tuple[str, ...], said: str) -> None:
    ended = run("train", AIR, *words)
    assert ended.code == 2
    assert ended.err.endswith(said)


@pytest.mark.parametrize(("words", "help_"), [(("predict", "-o"), "forecast predict"), (("-C",), "forecast")])
def test_an_option_without_its_value_names_the_help_of_its_command(run: Run, words: tuple[str, ...], help_: str
                                                                   ) -> None:
    ended = run(*words)
    assert (ended.code, ended.err) == (2, f"forecast: Option '{words[-1]}' requires an argument. See {help_} --help\n")


def test_a_step_in_a_word_is_answered_with_its_name(run: Run) -> None:
    ended = run("check", AIR, "--freq", "monthly")
    assert "Write MS (stamps at its start) or ME (at its end)" in ended.err
    assert [Calendar.of(freq).words for freq in ("MS", "D", "30min", "15min", "B", "step")] == [
        "monthly (MS)", "daily (D)", "half hours (30min)", "15-min steps (15min)", "business days (B)",
        "integer steps"]


def test_a_choice_may_be_written_in_capitals() -> None:
    given = Workspace.at(flags={"model.cell": "GRU", "data.fill": "Zero"}, environment={}).config
    assert (given.model.cell, given.data.fill) == ("gru", "zero")


@pytest.mark.parametrize("words", [("predict", "-o", "no/p.csv"), ("evaluate", "-o", "no/m.json"),
                                   ("explain", "-o", "no/e.png"), ("predict", "--plot", "no/p.png")])
def test_a_folder_that_is_missing_is_said_before_any_work_with_what_makes_it(run: Run, store: Path,
                                                                            words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert ended.code == 2
    assert ended.err.endswith("the folder does not exist. mkdir -p no\n")


def test_one_path_is_spelled_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    for path in ("demo/../d.csv", "./d.csv", f"{tmp_path}/d.csv", "d.csv"):
        assert shown_path(path) == "d.csv"
    assert shown_path("/else/d.csv") == "/else/d.csv"
    assert shown_path("-") == "-"
    (tmp_path / "link").symlink_to("/usr/lib")
    assert shown_path("link/../d.csv") == "link/../d.csv"               # not the d.csv of this folder


def test_an_error_names_a_file_in_the_same_way(run: Run, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "d.csv").write_text("ds,y\n2020-01-01,1\n2020-01-02,many\n")
    assert run("-C", "demo", "train", "../d.csv").err.startswith("d.csv:3: column 'y'")


def test_many_blends_are_told_by_their_parts() -> None:
    assert sources_in_words({"lstm": 3, "naive": 1}) == ["lstm 3", "naive 1"]
    many = {"lstm": 5, "lstm+theta": 2, "theta+linear": 1, "linear": 1, "prior": 1}
    assert sources_in_words(many) == ["5 blends of", "lstm in 70%", "theta in 30%", "linear in 20%", "prior in 10%"]


def test_the_title_of_a_picture_names_what_serves() -> None:
    document = {"series": "s", "shares": {"theta": 0.4, "holt_winters": 0.598, "naive": 0.002}, "used": False,
                "cell": {"kind": "lstm", "units": 16, "steps": 3, "step": {"words": "12 months"}},
                "influence": {"whole": {"half_within": {"words": "8 months"}, "lags": []}}}
    assert headline(document).startswith("s, forecast by holt_winters 60% and theta 40%; the LSTM is not used\n")


# outputs

def test_what_was_issued_and_what_is_given_are_scored_into_files_of_their_own(run: Run, store: Path, tmp_path: Path
                                                                             ) -> None:
    run("predict", "--as-of", "1959-12", "-o", "old.csv")
    assert run("evaluate").code == 0
    before = (tmp_path / "metrics.json").read_bytes()
    assert run("evaluate", "--forecast", "old.csv").code == 0
    run("evaluate", "--issued")
    assert (tmp_path / "metrics.json").read_bytes() == before
    given = json.loads((tmp_path / "metrics-forecast.json").read_text())
    assert "the truth is known for 12 of 12 rows" in given["how"]
    assert list(given["models"]) == ["forecast", "seasonal_naive", "naive"]


def test_past_forecasts_that_are_there_are_scored_again_without_training(run: Run, store: Path, tmp_path: Path) -> None:
    run("evaluate", "--predictions", "past.csv")
    told = json.loads((tmp_path / "metrics.json").read_text())
    own = next(iter(told["models"].values()))
    again = json.loads(run("evaluate", "--forecast", "past.csv", "--baselines", "drift", "--json").out)
    assert again["models"]["forecast"]["mae"] == pytest.approx(own["mae"], rel=1e-5)
    assert again["models"]["forecast"]["mae_by_step"] == pytest.approx(own["mae_by_step"], rel=1e-5)
    assert again["models"]["seasonal_naive"]["mae"] == pytest.approx(told["models"]["seasonal_naive"]["mae"])
    assert again["windows"] == told["windows"] == 4


def test_a_horizon_beyond_the_trained_one_is_said(run: Run, store: Path) -> None:
    assert "20 steps, and 12 were trained" in run("predict", "--horizon", "20").err
    assert "were trained" not in run("predict", "--horizon", "12").err


# many past days

def test_a_range_of_times_is_forecast_step_by_step_as_on_each_day(run: Run, store: Path, tmp_path: Path) -> None:
    ended = run("predict", "--as-of", "1960-10..1960-12", "-o", "past.csv")
    assert ended.code == 0
    assert "in 2 of 3 forecasts" in ended.err                          # the model had seen what came after
    past = rows(tmp_path / "past.csv")
    assert [row["cutoff"] for row in past] == ["1960-10"] * 12 + ["1960-11"] * 12 + ["1960-12"] * 12
    run("predict", "--as-of", "1960-11", "-o", "one.csv")
    assert rows(tmp_path / "one.csv") == past[12:24]


def test_the_steps_of_a_range_are_those_of_the_data(store: Path, tmp_path: Path) -> None:
    reading = Workspace.at(tmp_path).read(Workspace.at(tmp_path).source(AIR))
    panel, contract = reading.panel, reading.contract
    assert cutoffs_between(panel, contract, "1960-11", "1960-12") == ["1960-11", "1960-12"]
    assert cutoffs_between(panel, contract, "1960", "1960") == [f"1960-{k:02}" for k in range(1, 13)]
    assert cutoffs_between(panel, contract, "1960-11", "") == ["1960-11", "1960-12"]
    assert len(cutoffs_between(panel, contract, "", "")) == 144
    with pytest.raises(RequestError, match="no step of the data lies there"):
        cutoffs_between(panel, contract, "1970-01", "1971-01")


@pytest.mark.parametrize("words", [("-o", "-"), ("--require-new",), ("--plot", "p.png")])
def test_what_speaks_of_one_forecast_does_not_go_with_a_range(run: Run, store: Path, words: tuple[str, ...]) -> None:
    assert run("predict", "--as-of", "1960-10..1960-12", *words).code == 2


# models

def test_a_model_that_is_not_live_is_deleted_and_the_live_one_is_refused(run: Run, store: Path) -> None:
    live = (store / "live").read_text().strip()
    other = live[:-4] + "0000"
    shutil.copytree(store / "runs" / live, store / "runs" / other)
    ended = run("models", "delete", live)
    assert (ended.code, (store / "runs" / live).is_dir()) == (2, True)
    assert "is live, and the live model is not removed" in ended.err
    assert json.loads(run("models", "delete", other, "--json").out) == {"removed": [other], "left": [live]}
    assert not (store / "runs" / other).exists()


def test_the_first_model_has_none_before_it(run: Run, store: Path) -> None:
    shown = run("models", "show", "live").out
    assert "(the first one)" in shown
    assert "None" not in shown
    assert re.search(r"^serves +\w+ \d+%", shown, flags=re.MULTILINE)


# monitor

def test_a_monitor_learns_how_good_the_forecasts_are_and_how_old_the_data(run: Run, store: Path, tmp_path: Path
                                                                         ) -> None:
    assert run("evaluate", "--status-file", "e.prom").code == 0
    text = (tmp_path / "e.prom").read_text()
    own = next(iter(json.loads((tmp_path / "metrics.json").read_text())["models"].values()))
    numbers = {name + (level or ""): float(value) for name, level, value in
               re.findall(r'^forecast_(\w+)\{task="e",command="evaluate"(,level="\d+")?\} (\S+)$', text, re.MULTILINE)}
    assert numbers["mase"] == pytest.approx(own["mase"], rel=1e-5)
    assert numbers["skill"] == pytest.approx(own["skill"], rel=1e-5)
    assert numbers['coverage,level="80"'] == pytest.approx(own["coverage_80"], rel=1e-5)
    assert numbers["data_age_seconds"] > 60 * 365 * 86_400              # December 1960
    assert numbers["rows"] == 48


def test_what_is_not_known_is_left_out_and_a_failure_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    with reported(path, "evaluate") as status:
        status.watch({"mase": float("nan"), "skill": 0.25, "coverage_95": 0.9})
        status.numbers["drift_ratio"] = 1.5
    text = path.read_text()
    assert "forecast_mase" not in text
    assert 'forecast_drift_ratio{task="x",command="evaluate"} 1.5\n' in text
    assert text.count("# TYPE ") == text.count("# HELP ") == 7


@pytest.fixture(scope="session")
def lean_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitored")
    succeed("-C", folder, "train", AIR, "-q", *LEAN, "--status-file", "t.prom")
    return folder


def test_train_tells_a_monitor_what_its_backtest_promises(lean_store: Path) -> None:
    text = (lean_store / "t.prom").read_text()
    assert 'forecast_mase{task="t",command="train"} ' in text
    assert 'forecast_rows{task="t",command="train"} 144\n' in text


@pytest.mark.parametrize(("line", "words"), [
    ("tune d.csv --jobs x", "'--jobs': takes a whole number. See"),
    ("predict --horizon 0", "takes a number from 1. See"),
    ("tune d.csv --jobs 999", "takes a number up to 256. See")])
def test_what_is_no_number_is_refused_in_plain_words(run: Run, line: str, words: str) -> None:
    ended = run(*line.split())
    assert (ended.code, words in ended.err, "nput should" in ended.err) == (2, True, False), ended.err
