from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from forecast.cli import main
from forecast.ledger.options import Options
from forecast.model.cells import CELLS
from forecast.store.store import Store
from forecast.tasks import predict
from forecast.tasks.workspace import Workspace
from forecast.text import cell_name

DATA = Path(__file__).parent.parent / "data"
AIR, SHOPS = DATA / "airpassengers.csv", DATA / "shops.csv"
FAST = ("--set", "train.steps=10", "--hidden", "8")
LEAN = (*FAST, "--set", "model.members=1", "--set", "model.blend=false")     # where any model will do


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the program in an empty folder and say how it ended."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORECAST_STORE", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture(scope="session")
def trained_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run, trained on AirPassengers by the command line."""
    store = tmp_path_factory.mktemp("trained") / "store"
    succeed("--store", store, "train", AIR, *FAST)
    return store


def succeed(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    assert not ended.value.code


@pytest.fixture(scope="session")
def trained_projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with a data.csv and a model of it: `whole`, all of AirPassengers, and `early`, its first ten years."""
    folder = tmp_path_factory.mktemp("projects")
    for name, count in (("whole", None), ("early", 121)):
        (folder / name).mkdir()
        (folder / name / "data.csv").write_text("".join(AIR.read_text().splitlines(keepends=True)[:count]))
        succeed("-C", folder / name, "train", "data.csv", *LEAN, "-q")
    return folder


@pytest.fixture
def whole(trained_projects: Path, tmp_path: Path) -> None:
    """The folder of the test has a copy of it."""
    shutil.copytree(trained_projects / "whole", tmp_path, dirs_exist_ok=True)


@pytest.fixture
def early(trained_projects: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_projects / "early", tmp_path, dirs_exist_ok=True)


@pytest.fixture
def store(trained_store: Path, tmp_path: Path) -> Path:
    """A copy of it, where `forecast` looks by default."""
    shutil.copytree(trained_store, tmp_path / ".forecast")
    return tmp_path / ".forecast"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def record(store: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((next((store / "runs").iterdir()) / "run.json").read_text())
    return content


# train

def test_train_says_what_it_assumed_and_makes_the_run_live(run: Run, tmp_path: Path) -> None:
    ended = run("train", AIR, *FAST)
    assert ended.code == 0
    live = (tmp_path / ".forecast" / "live").read_text().strip()
    for words in ("144 rows, 1 series, monthly (MS), 1949-01 .. 1960-12", "time=Month", "target=Passengers",
                  "horizon 12, context 36", "season 12 (by frequency)", f"{live}  is now live", "forecast predict"):
        assert words in ended.err
    assert "seasonal_naive" in ended.out
    assert "MASE(m=12)" in ended.out
    assert "80% width" in ended.out
    files = {f.name for f in (tmp_path / ".forecast" / "runs" / live).iterdir()}
    assert files == {"config.json", "contract.json", "series.json", "calibration.json", "metrics.json", "run.json",
                     "history.csv", "weights.safetensors", "validated.safetensors", "prior.safetensors",
                     "manifest.json"}


def test_a_training_goes_on_from_the_live_run_in_a_quarter_of_the_steps(run: Run, tmp_path: Path) -> None:
    lines = AIR.read_text().splitlines(keepends=True)
    flags = ("--hidden", "8", "--set", "train.effort=0.05", "--set", "model.skip=false", "--set", "model.transform=log",
             "--set", "model.context=24", "--promote", "always")
    data = tmp_path / "air.csv"
    data.write_text("".join(lines[:120]))
    first = run("train", data, *flags, "--from", "live")
    assert "no model is live yet: training begins anew" in first.err
    live = (tmp_path / ".forecast" / "live").read_text().strip()
    data.write_text("".join(lines))
    second = run("train", data, *flags, "--from", "live")
    assert f"1 network of {live}, in a quarter of the steps" in second.err
    members = [json.loads((folder / "config.json").read_text())["members"][0]["schedule"]
               for folder in sorted((tmp_path / ".forecast" / "runs").iterdir())]
    assert sorted(members) == [5, 20]
    runs = (tmp_path / ".forecast" / "runs").glob("*/run.json")
    assert {json.loads(file.read_text())["from"] for file in runs} == {None, live}
    other = run("train", data, *flags, "--from", live, "--set", "model.transform=none", "--promote", "never")
    assert "1 of 1 network began anew" in other.err
    data.write_text("".join(lines[:121]))                                   # the live run has learned from the test
    third = run("train", data, *flags, "--from", "live")
    assert "validated on; training begins anew" in third.err, third.err
    assert "another shape (horizon 12, not 6); training begins anew" in run(
        "train", data, *flags, "--from", "live", "--horizon", 6, "--dry-run").err
    assert run("train", data, *flags, "--from", "nobody").code == 4


def test_the_same_command_twice_gives_the_same_weights_and_predictions(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run("--store", name, "train", AIR, *FAST).code == 0
        assert run("--store", name, "predict", "-o", f"{name}.csv").code == 0
    one, two = (next((tmp_path / name / "runs").iterdir()) for name in ("one", "two"))
    assert (one / "weights.safetensors").read_bytes() == (two / "weights.safetensors").read_bytes()
    texts = [(tmp_path / f"{name}.csv").read_text().replace(folder.name, "RUN")
             for name, folder in (("one", one), ("two", two))]
    assert texts[0] == texts[1]


def test_dry_run_says_the_plan_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    ended = run("train", AIR, "--dry-run", "--json", "--horizon", "6")
    assert ended.code == 0
    assert json.loads(ended.out)["plan"]["horizon"] == 6
    assert list(tmp_path.iterdir()) == []


def test_a_preset_and_a_time_limit_are_in_the_plan(run: Run) -> None:
    quick = json.loads(run("train", AIR, "--quick", "--time-limit", "10m", "--dry-run", "--json").out)
    best = json.loads(run("train", AIR, "--best", "--dry-run", "--json").out)
    assert (quick["plan"]["members"], best["plan"]["members"]) == (1, 8)
    assert quick["plan"]["steps"] < best["plan"]["steps"]
    assert quick["settings"] == {"model.members": 1, "train.effort": 0.5, "train.preset": "quick",
                                 "train.time_limit": 600}
    assert min(quick["seconds_expected"], best["seconds_expected"]) > 0
    ended = run("train", AIR, "--quick", "--best")
    assert ended.code == 2
    assert "exclude each other" in ended.err


def test_a_limit_too_short_to_train_in_is_said_with_the_least_and_what_needs_no_training_serves(run: Run) -> None:
    ended = run("train", AIR, "--set", "train.time_limit=0.01", "--json", "-v")
    assert ended.code == 0
    assert re.search(r"limit +\S+ \S+ is too short to train in: that takes about \d", ended.err)
    assert json.loads(ended.out)["plan"]["steps"] == 0


def test_a_run_below_min_skill_is_saved_and_not_live(run: Run, store: Path) -> None:
    before = (store / "live").read_text()
    ended = run("train", AIR, *LEAN, "--min-skill", "0.99")
    assert ended.code == 6
    assert "is below --min-skill 0.99" in ended.err
    assert (store / "live").read_text() == before
    assert len(list((store / "runs").iterdir())) == 2


def test_train_quiet_says_only_where_the_run_is(run: Run, tmp_path: Path) -> None:
    ended = run("train", AIR, *LEAN, "-q")
    assert ended.err == ""
    assert Path(ended.out.strip()).is_dir()


def test_train_json_is_one_strict_document(run: Run) -> None:
    ended = run("train", AIR, *FAST, "--json")
    document = json.loads(ended.out, parse_constant=lambda text: pytest.fail(text))
    assert document["live"] is True
    assert document["metrics"]["models"]["seasonal_naive"]["skill"] == 0
    assert document["plan"]["seasons"] == [12]


def test_a_second_train_at_once_is_told_and_exits_8(run: Run, store: Path) -> None:
    with Store(store).lock():
        command = [sys.executable, "-m", "forecast", "--store", str(store), "train", str(AIR), *FAST]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 8
    assert "is writing to this store" in ended.stderr


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_trains_saves_loads_predicts_and_evaluates(run: Run, tmp_path: Path, cell: str) -> None:
    alone = ("--cell", cell, "--bidirectional", "--attention", "--layers", 2, "--set", "model.skip=false",
             "--set", "model.members=1", "--set", "train.steps=3")
    ended = run("train", AIR, *FAST, *alone)
    assert (ended.code, ended.err.count(f"{cell_name(cell)} 2x8 in both directions with attention")) == (0, 1)
    assert run("predict").code == 0
    assert {row["source"] for row in rows(tmp_path / "predictions.csv")} == {cell}
    assert run("evaluate", "--windows", 1).code == 0
    assert cell in json.loads((tmp_path / "metrics.json").read_text())["models"]


def test_torch_predicts_the_same_text_and_a_device_that_is_not_there_is_refused(run: Run, store: Path) -> None:
    assert run("predict", "-o", "-").out == run("predict", "-o", "-", "--device", "cpu").out
    for device, words in (("abacus", "takes one of auto, cpu, cuda, mps"), ("mps", "there is no such device here")):
        if device != "mps" or not torch.backends.mps.is_available():
            ended = run("predict", "--device", device)
            assert (ended.code, f"--device {device}: {words}" in ended.err) == (2, True), ended.err
    ended = run("predict", DATA, "--model", "prior", "--device", "cuda")
    assert (ended.code, "--device cuda: the prior computes on the CPU" in ended.err) == (2, True), ended.err


def test_an_unknown_cell_names_the_known_ones(run: Run) -> None:
    ended = run("train", AIR, "--cell", "transformer")
    assert ended.code == 2
    assert "lstm, gru, rnn, peephole, coupled" in ended.err


@pytest.mark.slow
def test_predictions_do_not_depend_on_threads_or_on_what_the_processor_can_do(store: Path, tmp_path: Path) -> None:
    wide = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
    machines = [{}, {"OPENBLAS_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "1"}, {"OPENBLAS_CORETYPE": "Prescott"},
                {"OPENBLAS_CORETYPE": "Haswell"}, {"NPY_DISABLE_CPU_FEATURES": wide},
                {"ATEN_CPU_CAPABILITY": "default"}, {"MKL_CBWR": "COMPATIBLE"}, {"ONEDNN_MAX_CPU_ISA": "SSE41"}]
    written = set()
    for machine in machines:
        command = [sys.executable, "-m", "forecast", "--store", str(store), "predict", "-o", "-"]
        written.add(subprocess.run(command, check=True, capture_output=True, env=os.environ | machine).stdout)
    assert len(written) == 1


# predict

def test_predict_with_no_argument_writes_the_next_year(run: Run, store: Path, tmp_path: Path) -> None:
    ended = run("predict")
    assert ended.code == 0
    table = rows(tmp_path / "predictions.csv")
    assert list(table[0]) == ["Month", "yhat", "yhat_lo_80", "yhat_hi_80", "yhat_lo_95", "yhat_hi_95", "cutoff",
                              "model", "source"]
    assert [r["Month"] for r in table] == [f"1961-{m:02}" for m in range(1, 13)]
    assert {r["cutoff"] for r in table} == {"1960-12"}
    assert {r["model"] for r in table} == {(store / "live").read_text().strip()}
    for row in table:
        numbers = [float(row[c]) for c in ("yhat_lo_95", "yhat_lo_80", "yhat", "yhat_hi_80", "yhat_hi_95")]
        assert numbers == sorted(numbers)
        assert 200 < numbers[2] < 900
    assert "12 rows = 1 series x 12 months" in ended.err


@pytest.mark.usefixtures("whole")
def test_predict_reads_the_present_contents_of_the_training_file(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "data.csv").open("a") as file:
        file.write("1961-01,450\n")
    run("predict")
    assert rows(tmp_path / "predictions.csv")[0]["Month"] == "1961-02"


def test_predict_twice_writes_the_same_bytes(run: Run, store: Path, tmp_path: Path) -> None:
    run("predict")
    before = (tmp_path / "predictions.csv").read_bytes()
    run("predict")
    assert (tmp_path / "predictions.csv").read_bytes() == before


def test_a_moved_project_finds_its_data(run: Run, trained_projects: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_projects / "whole", tmp_path / "there")
    record = json.loads(next((tmp_path / "there" / ".forecast" / "runs").glob("*/run.json")).read_text())
    assert record["data"]["path"] == str(trained_projects / "whole" / "data.csv")
    assert run("-C", "there", "predict").code == 0
    assert (tmp_path / "there" / "predictions.csv").is_file()


def test_predictions_go_to_stdout_and_nothing_else_does(run: Run, store: Path, tmp_path: Path) -> None:
    ended = run("predict", "-o", "-")
    assert len(list(csv.reader(io.StringIO(ended.out)))) == 13
    assert not (tmp_path / "predictions.csv").exists()


def test_predict_quiet_says_only_the_path(run: Run, store: Path) -> None:
    ended = run("predict", "-q")
    assert (ended.out, ended.err) == ("predictions.csv\n", "")


def test_predict_json_to_stdout_holds_the_rows(run: Run, store: Path) -> None:
    document = json.loads(run("predict", "-o", "-", "--json").out)
    assert len(document["forecasts"]) == 12
    assert document["fell_back"] == []


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet", ".json"])
def test_every_ending_holds_the_same_forecast(run: Run, store: Path, tmp_path: Path, ending: str) -> None:
    import pandas

    assert run("predict", "-o", f"out{ending}").code == 0
    path = tmp_path / f"out{ending}"
    table = {".parquet": pandas.read_parquet, ".json": pandas.read_json}.get(ending, pandas.read_csv)(path)
    run("predict", "-o", "plain.csv")
    assert table["yhat"].tolist() == [float(r["yhat"]) for r in rows(tmp_path / "plain.csv")]


def test_horizon_levels_rounding_and_clamping_are_as_asked(run: Run, store: Path, tmp_path: Path) -> None:
    assert run("predict", "--horizon", "30", "--levels", "80", "--round", "--nonnegative").code == 0
    table = rows(tmp_path / "predictions.csv")
    assert len(table) == 30
    assert "yhat_lo_95" not in table[0]
    assert all(float(r["yhat"]).is_integer() for r in table)


def test_a_level_that_was_not_trained_is_refused(run: Run, store: Path, tmp_path: Path) -> None:
    ended = run("predict", "--levels", "50")
    assert ended.code == 2
    assert "trained for 80,95" in ended.err
    assert not (tmp_path / "predictions.csv").exists()


def test_the_picture_is_a_png(run: Run, store: Path, tmp_path: Path) -> None:
    assert run("predict", "--plot", "f.png").code == 0
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_named_by_id_prefix_name_or_path(run: Run, store: Path, tmp_path: Path) -> None:
    live = (store / "live").read_text().strip()
    for name in (live, live[:20], store / "runs" / live):
        assert run("predict", "--model", name).code == 0
    ended = run("predict", "--model", "nonsense")
    assert ended.code == 4
    assert live in ended.err


def test_several_series_keep_their_ids_and_order_byte_for_byte(run: Run, tmp_path: Path) -> None:
    ended = run("train", SHOPS, *LEAN)
    assert ended.code == 0
    assert "id=store" in ended.err
    ended = run("predict")
    table = rows(tmp_path / "predictions.csv")
    order = list(dict.fromkeys(r["store"] for r in table))
    assert "007" in order
    assert order == list(dict.fromkeys(r["store"] for r in rows(SHOPS)))
    assert len(table) == 14 * len(order)
    picked = run("predict", "--series", "007", "-o", "one.csv")
    assert {r["store"] for r in rows(tmp_path / "one.csv")} == {"007"}
    assert rows(tmp_path / "one.csv") == [r for r in table if r["store"] == "007"]
    assert picked.code == 0
    assert run("predict", "--series", "nobody").code == 2


def test_in_parts_or_at_once_the_same_bytes_are_written(run: Run, tmp_path: Path) -> None:
    lines = [f"{s},{t},{9 * s + t % 6 + 1 / (s + t + 1):.3f}" for s in range(7) for t in range(2 if s == 5 else 48)]
    (tmp_path / "seven.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    settings = ["--horizon", "4", "--season", "6", "--set", "train.steps=5", "--set", "model.blend=true"]
    assert run("train", "seven.csv", *settings, "--no-final-fit").code == 0
    ways = ("--nonnegative", "--horizon", "6")
    whole = run("predict", "-o", "whole.csv", *ways)
    request = predict.Request(output="parts.csv", horizon=6, options=Options(nonnegative=True), size=2)
    parts = predict.predict(Workspace.at(tmp_path), request)
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (parts.fell_back, parts.is_partial, whole.code) == (["5"], True, 5)
    assert parts.issue is not None
    assert parts.issue.id in whole.err                                  # as issued before
    shards = []
    for k in range(1, 10):                                              # more parts than series: some are empty
        assert run("predict", "-o", "shard.csv", "--shard", f"{k}/9", *ways).code in (0, 5)
        shards += rows(tmp_path / "shard.csv")
    assert shards == rows(tmp_path / "whole.csv")


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3"])
def test_a_shard_that_is_none_is_refused(run: Run, store: Path, shard: str) -> None:
    ended = run("predict", f"--shard={shard}")
    assert ended.code == 2
    assert "--shard 1/4" in ended.err


def test_a_series_that_falls_back_is_named_and_exits_5(run: Run, tmp_path: Path) -> None:
    lines = [f"{s},{t},{v}" for s, n in (("long", 80), ("short", 2)) for t, v in enumerate(range(100, 100 + n))]
    (tmp_path / "two.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    assert run("train", "two.csv", "--horizon", "4", *FAST).code == 0
    ended = run("predict")
    assert ended.code == 5
    assert "short" in ended.err
    assert {r["source"] for r in rows(tmp_path / "predictions.csv") if r["id"] == "short"} == {"fallback:short"}


def test_a_series_without_any_value_is_named_and_left_out(run: Run, tmp_path: Path) -> None:
    lines = [f"{s},{t},{100 + t % 6 if s == 'full' else ''}" for s in ("full", "none") for t in range(60)]
    (tmp_path / "two.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    assert run("train", "two.csv", "--horizon", "4", *FAST).code == 0
    ended = run("predict")
    assert ended.code == 5
    assert "no forecast for 1 series without any value: none" in ended.err
    assert {r["id"] for r in rows(tmp_path / "predictions.csv")} == {"full"}


# evaluate

def test_evaluate_scores_two_windows_beside_seasonal_naive(run: Run, store: Path, tmp_path: Path) -> None:
    ended = run("evaluate", "--windows", "2", "--horizon", "12", "--predictions", "backtest.csv")
    assert ended.code == 0
    assert "2 of the 4 windows of the backtest that" in ended.err
    document = json.loads((tmp_path / "metrics.json").read_text())
    name, naive = next(iter(document["models"])), document["models"]["seasonal_naive"]
    model, table = document["models"][name], rows(tmp_path / "backtest.csv")
    own = [r for r in table if r["model"] == name]
    assert [r["cutoff"] for r in own] == ["1958-12"] * 12 + ["1959-12"] * 12
    errors = [abs(float(r["y"]) - float(r["yhat"])) for r in own]
    assert model["mae"] == pytest.approx(sum(errors) / 24, rel=1e-5)
    assert model["skill"] == pytest.approx(1 - model["mase"] / naive["mase"])
    inside = [float(r["yhat_lo_80"]) <= float(r["y"]) <= float(r["yhat_hi_80"]) for r in own]
    assert model["coverage_80"] == pytest.approx(sum(inside) / 24)
    assert {r["model"] for r in rows(tmp_path / "metrics.csv")} == {name, "seasonal_naive", "naive"}


@pytest.mark.usefixtures("early")
def test_evaluate_on_data_after_training_scores_the_model_as_it_is(run: Run, tmp_path: Path) -> None:
    ended = run("evaluate", AIR)
    assert "as it is: every test point is newer" in ended.err
    run("predict", "-o", "issued.csv", "--horizon", "12")
    table = rows(tmp_path / "issued.csv")
    truth = {r["Month"]: float(r["Passengers"]) for r in rows(AIR)}
    expected = sum(abs(truth[r["Month"]] - float(r["yhat"])) for r in table) / 12
    run("evaluate", AIR, "--forecast", "issued.csv")
    scores = json.loads((tmp_path / "metrics-forecast.json").read_text())["models"]
    assert scores["forecast"]["mae"] == pytest.approx(expected)
    assert list(scores) == ["forecast", "seasonal_naive", "naive"]


@pytest.mark.usefixtures("whole")
def test_evaluate_never_scores_a_model_as_it_is_on_what_it_has_seen(run: Run) -> None:
    ended = run("evaluate", "--windows", "1", "--step", "6", "--horizon", "6")
    assert "as it is" not in ended.err
    assert "fitted before the first cutoff" in ended.err


def test_evaluate_right_after_train_shows_the_backtest_of_the_run_and_trains_nothing(run: Run, store: Path,
                                                                                    tmp_path: Path) -> None:
    ended = run("evaluate", "--metrics", "mae,mase", "--baselines", "drift")
    shown = json.loads((tmp_path / "metrics.json").read_text())["models"]
    held = json.loads(next((store / "runs").glob("*/metrics.json")).read_text())["models"]
    name = next(iter(held))
    assert "the backtest that" in ended.err
    assert "nothing was trained" in ended.err
    assert "to fit" not in ended.err
    assert [shown[name][m] for m in ("mae", "mase")] == pytest.approx([held[name][m] for m in ("mae", "mase")])
    assert "drift" in shown


@pytest.mark.usefixtures("whole")
def test_what_evaluate_will_fit_and_how_long_is_said_before(run: Run) -> None:
    ended = run("evaluate", "--windows", "1", "--horizon", "6")
    said = ended.err.splitlines()
    fit = next(k for k, line in enumerate(said) if line.startswith("to fit"))
    assert "its own backtest has another horizon" in said[fit]
    assert said[fit + 1].startswith("time       about ")


def test_evaluate_without_a_model_fits_the_settings_given(run: Run, tmp_path: Path) -> None:
    ended = run("evaluate", AIR, "--windows", "1", "--cell", "gru", *LEAN)
    assert ended.code == 0
    assert "GRU 1x8" in ended.err
    assert not (tmp_path / ".forecast").exists()
    assert {run(command).code for command in ("evaluate", "predict", "explain", "report")} == {4}   # DATA must be named


@pytest.mark.usefixtures("whole")
def test_a_test_of_n_points_has_n_minus_horizon_plus_1_windows_at_step_1(run: Run) -> None:
    ended = run("evaluate", "--test-size", "15", "--step", "1", "--horizon", "12", "--json")
    assert json.loads(ended.out)["windows"] == 4


@pytest.mark.usefixtures("whole")
def test_fail_over_exits_6_and_names_the_metric(run: Run) -> None:
    ended = run("evaluate", "--windows", "1", "--fail-over", "mase=0.0001")
    assert ended.code == 6
    assert "mase" in ended.err


@pytest.mark.usefixtures("whole")
def test_metrics_and_baselines_are_those_asked_for(run: Run, tmp_path: Path) -> None:
    assert run("evaluate", "--windows", "1", "--metrics", "mae,mase", "--baselines", "drift").code == 0
    assert list(rows(tmp_path / "metrics.csv")[0]) == ["model", "series", "n", "mae", "mase"]
    ended = run("evaluate", "--windows", "1", "--baselines", "nonsense")
    assert ended.code == 2
    assert "window_average" in ended.err


# what goes wrong

BAD = {
    "empty": ("", "is empty"),
    "header only": ("ds,y\n", "no rows"),
    "text": ("ds,y\n2020-01-01,1\n2020-01-02,many\n2020-01-03,3\n", ":3: column 'y'"),
    "twice": ("ds,y\n2020-01-01,1\n2020-01-02,2\n2020-01-02,3\n", ":4: column 'ds'"),
    "ragged": ("ds,y\n2020-01-01,1\n2020-01-02,2,9\n2020-01-03,3\n", ":3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_line_exit_3_and_leaves_nothing(run: Run, tmp_path: Path, name: str) -> None:
    text, words = BAD[name]
    (tmp_path / "bad.csv").write_text(text)
    ended = run("train", "bad.csv")
    assert ended.code == 3
    assert ended.err.startswith("bad.csv")
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
    assert len(ended.err) <= 241
    assert ended.out == ""
    assert [f.name for f in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.usefixtures("whole")
def test_bad_data_at_predict_leaves_the_old_predictions_as_they_were(run: Run, tmp_path: Path) -> None:
    run("predict")
    before = (tmp_path / "predictions.csv").read_bytes()
    with (tmp_path / "data.csv").open("a") as file:
        file.write("1961-01,oops\n")
    ended = run("predict")
    assert (ended.code, (tmp_path / "predictions.csv").read_bytes()) == (3, before)
    assert "data.csv:146" in ended.err


@pytest.mark.parametrize("command", [("predict",), ("evaluate", "--model", "live")])
def test_without_a_model_exit_4_says_how_to_get_one(run: Run, command: tuple[str, ...]) -> None:
    ended = run(*command)
    assert ended.code == 4
    assert "forecast train" in ended.err


WRONG = (("train",), ("train", AIR, "--bogus"), ("train", AIR, "--cell", "elman"), ("train", AIR, "--horizon", "none"),
         ("train", AIR, "--set", "train.lrr=1"), ("train", AIR, "-C", "nowhere"), ("nonsense",),
         ("evaluate", AIR, "--test-size", "5"), ("evaluate", AIR, "--fail-over", "mase"),
         ("evaluate", AIR, "-o", "scores.txt"), ("predict", "-o", "predictions.docx"))


@pytest.mark.parametrize("arguments", WRONG, ids=lambda a: " ".join(str(x) for x in a[:1] + a[2:]))
def test_a_wrong_request_is_one_line_and_exit_2(run: Run, arguments: tuple[object, ...], tmp_path: Path) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []


def test_errors_are_json_where_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(BAD["text"][0])
    ended = run("train", "bad.csv", "--json")
    error = json.loads(ended.err)["error"]
    assert (error["exit"], error["file"], error["row"], error["column"], error["value"]) == (
        3, "bad.csv", 3, "y", "many")
    assert json.loads(run("--json", "train", AIR, "--cell", "x").err)["error"]["exit"] == 2


def test_a_traceback_is_shown_only_with_debug(run: Run) -> None:
    assert "Traceback" in run("train", "nowhere.csv", "--debug").err
    assert "Traceback" not in run("train", "nowhere.csv").err


def test_a_bug_is_one_line_and_exit_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("forecast.reading.reader.read_panel", broken)
    ended = run("train", AIR)
    assert ended.code == 1
    assert ended.err == ("forecast: ZeroDivisionError: oh. This is a bug in forecast; --debug shows where\n")


def test_a_broken_installation_is_told_by_its_first_cause(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("libgomp.so.1: no such file")

    monkeypatch.setattr("forecast.tasks.train.import_module", broken)
    monkeypatch.setattr("forecast.tasks.train.is_large", lambda file: True)  # then torch is imported meanwhile
    ended = run("train", AIR, *LEAN)
    assert (ended.code, ended.err) == (1, "forecast: the installation is broken: libgomp.so.1: no such "
                                          "file. forecast doctor looks at all of it\n")
    assert run("train", "no.csv").code == 3


@pytest.mark.parametrize("where", ["before", "after"])
def test_global_options_stand_before_or_after_the_command(run: Run, tmp_path: Path, where: str) -> None:
    options = ("--store", "elsewhere", "-q")
    arguments = ("train", AIR, *LEAN)
    ended = run(*options, *arguments) if where == "before" else run(*arguments, *options)
    assert ended.code == 0
    assert (tmp_path / "elsewhere" / "live").is_file()
    assert ended.err == ""


def test_settings_come_from_flag_then_environment_then_file(run: Run, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def horizon(*more: str) -> int:
        return int(json.loads(run("train", AIR, "--dry-run", "--json", *more).out)["plan"]["horizon"])

    assert horizon() == 12
    (tmp_path / "forecast.toml").write_text("[model]\nhorizon = 9\n")
    assert horizon() == 9
    monkeypatch.setenv("FORECAST_MODEL_HORIZON", "8")
    assert horizon() == 8
    assert horizon("--set", "model.horizon=7") == 7
    assert horizon("--set", "model.horizon=7", "--horizon", "6") == 6


def test_text_from_a_file_reaches_the_terminal_without_an_escape_byte(run: Run, tmp_path: Path) -> None:
    hostile = "\x1b[31mred[/]\x07"
    lines = [f"{hostile},{t},{100 + t % 6}" for t in range(60)]
    (tmp_path / "h.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    ended = run("train", "h.csv", "--horizon", "4", *LEAN)
    ended_predict = run("predict")
    for text in (ended.out, ended.err, ended_predict.err):
        assert "\x1b" not in text
        assert "\x07" not in text


def test_a_terminated_train_exits_143_and_leaves_no_half_run_and_no_lock(run: Run, store: Path) -> None:
    command = [sys.executable, "-m", "forecast", "--store", str(store), "train", str(AIR), *LEAN,
               "--set", "train.steps=100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("plan"):
                break
        process.terminate()
        words = process.stderr.read()
    assert process.returncode == 143
    assert "Traceback" not in words
    assert len(list((store / "runs").iterdir())) == 1
    assert Store(store).leftovers() == []
    with Store(store).lock():                                           # nobody holds it
        pass


def test_a_full_disk_behind_stdout_exits_9(run: Run, store: Path) -> None:
    command = [sys.executable, "-m", "forecast", "--store", str(store), "predict", "-o", "-"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 9
    assert "standard output: cannot write" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reader_that_goes_away_ends_it_quietly(run: Run, store: Path) -> None:
    command = f"{sys.executable} -m forecast -q --store {store} predict -o - | true"
    ended = subprocess.run(["bash", "-c", command + "; exit ${PIPESTATUS[0]}"], capture_output=True, text=True,
                           check=False)
    assert (ended.returncode in (0, 141), ended.stderr) == (True, "")


def test_a_store_that_cannot_be_written_exits_9(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = run("--store", "file", "train", AIR, *FAST)
    assert ended.code == 9
    assert len(ended.err.splitlines()[-1]) < 240


@pytest.mark.parametrize("arguments", [("evaluate", "data.csv", "-o", "data.json"), ("predict", "-o", "data.csv"),
                                       ("evaluate", "--predictions", "metrics.csv"), ("predict", "--plot", "x.jpg"),
                                       ("train", "data.csv", "--name", "live")], ids=" ".join)
@pytest.mark.usefixtures("whole")
def test_no_file_that_is_read_is_written_over(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    before = {f.name for f in tmp_path.iterdir()}
    assert run(*arguments).code == 2
    assert (tmp_path / "data.csv").read_bytes() == AIR.read_bytes()
    assert {f.name for f in tmp_path.iterdir()} == before


def test_version_says_the_version(run: Run) -> None:
    from forecast import __version__

    ended = run("--version")
    assert (ended.code, ended.out) == (0, f"forecast {__version__}\n")


def test_forecast_toml_and_the_store_are_found_from_a_folder_below(run: Run, tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forecast.toml").write_text("[model]\nhorizon = 6\n")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert json.loads(run("train", AIR, "--dry-run", "--json").out)["plan"]["horizon"] == 6
    run("train", AIR, *LEAN)
    assert (tmp_path / ".forecast" / "live").is_file()
    run("-C", tmp_path, "--store", "other", "train", AIR, *LEAN)
    assert (tmp_path / "other" / "live").is_file()


def test_a_flag_at_its_default_stands_over_the_settings_of_a_run(run: Run, tmp_path: Path) -> None:
    run("train", AIR, "--cell", "gru", *LEAN)
    asked = ("evaluate", "--windows", "1", "--horizon", "6")            # which the run's own backtest does not hold
    assert "GRU" in run(*asked).err
    assert "LSTM" in run(*asked, "--cell", "lstm").err


def test_a_positive_series_that_ends_in_zeros_can_still_be_forecast(run: Run, tmp_path: Path) -> None:
    values = [*range(50, 130), 0, 0, 0, 0, 0]
    (tmp_path / "z.csv").write_text("ds,y\n" + "".join(f"{t},{v}\n" for t, v in enumerate(values)))
    assert run("train", "z.csv", "--horizon", "4", *FAST).code == 0
    assert run("predict").code in (0, 5)


def test_partial_forecasts_are_named_even_when_quiet(run: Run, tmp_path: Path) -> None:
    lines = [f"{s},{t},{v}" for s, n in (("long", 80), ("short", 2)) for t, v in enumerate(range(100, 100 + n))]
    (tmp_path / "two.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    run("train", "two.csv", "--horizon", "4", *FAST)
    ended = run("predict", "-q")
    assert (ended.code, ended.out) == (5, "predictions.csv\n")
    assert ended.err == "partial    1 series fell back to seasonal naive: short\n"


def test_a_model_trained_from_standard_input_needs_data_to_predict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(AIR.read_bytes())))
    assert run("train", "-", *LEAN).code == 0
    assert "trained from standard input or a data frame" in run("predict").err
    assert run("predict", AIR, "-o", "file.csv").code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(AIR.read_bytes())))
    assert run("predict", "-", "-o", "pipe.csv").code == 0
    assert Path("pipe.csv").read_bytes() == Path("file.csv").read_bytes()


def test_columns_called_like_ours_stay_the_files_own(run: Run, tmp_path: Path) -> None:
    lines = [f"m{s},{t},{50 + 3 * s + t % 6}" for s in range(2) for t in range(60)]
    (tmp_path / "own.csv").write_text("model,step,y\n" + "\n".join(lines) + "\n")
    assert run("train", "own.csv", "--id", "model", "--time", "step", "--horizon", "4", *LEAN).code == 0
    assert run("evaluate", "--windows", "1", "--predictions", "b.csv").code == 0
    table = rows(tmp_path / "b.csv")
    assert {r["model"] for r in table} == {"m0", "m1"}
    assert {r["step"] for r in table} == {"56", "57", "58", "59"}
    assert {r["forecast_step"] for r in table} == {"1", "2", "3", "4"}


@pytest.mark.usefixtures("early")
def test_issued_forecasts_are_scored_from_parquet_as_from_csv(run: Run, tmp_path: Path) -> None:
    scores = []
    for name in ("issued.csv", "issued.parquet"):
        assert run("predict", "-o", name).code == 0
        assert run("evaluate", AIR, "--forecast", name).code == 0
        scores.append(json.loads((tmp_path / "metrics-forecast.json").read_text())["models"]["forecast"])
    assert scores[0] == scores[1]
    run("evaluate", AIR, "--windows", "1")
    assert json.loads((tmp_path / "metrics-forecast.json").read_text())["season"] == 12
