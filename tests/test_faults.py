"""What a file holds never leads to an absurd forecast in silence: the commands beside small files of each kind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from forecast.config import DataConfig
from forecast.reading.reader import read_panel
from tests.test_cli import LEAN, Run, run

__all__ = ["run"]
DAY = np.datetime64("2024-01-01")
WEEK = [50, 53, 56, 59, 66, 72, 57]


def write(path: Path, values: list[float], *, head: str = "date,flow") -> Path:
    path.write_text(head + "\n" + "".join(f"{DAY + k},{v:.10g}\n" for k, v in enumerate(values)))
    return path


def forecasts(path: Path) -> list[float]:
    with path.open() as file:
        return [float(row["yhat"]) for row in csv.DictReader(file)]


@pytest.fixture
def flow(tmp_path: Path, run: Run) -> Path:
    """A data file with a live model of its 70 days."""
    path = write(tmp_path / "flow.csv", WEEK * 10)
    assert run("train", path, *LEAN, "-q").code == 0
    return path


def test_a_code_for_missing_stops_every_command_and_the_flag_in_the_hint_mends_each(run: Run, flow: Path,
                                                                                     tmp_path: Path) -> None:
    write(flow, [*WEEK * 10, *WEEK, -9999, -9999])
    for command in ("check", "train", "predict", "evaluate"):
        ended = run(command, flow, "--json")
        assert ended.code == 3, command
        text = ended.out if command == "check" else ended.err
        assert '"missing_code"' in text, command
        assert '"row": 79' in text, command
        assert "--missing -9999 reads it as missing" in text, command
    assert run("check", flow, "--missing", "-9999").code == 0
    assert run("evaluate", flow, "--missing", "-9999", "--horizon", "3").code == 0
    ended = run("predict", flow, "--missing", "-9999")
    assert ended.code == 0
    assert '2 cells read as missing: "-9999"' in ended.err
    assert all(40 < value < 80 for value in forecasts(tmp_path / "predictions.csv"))
    assert run("replay", "predictions.csv").code == 0
    assert run("train", flow, *LEAN, "--missing", "-9999", "--promote", "always", "-q").code == 0
    assert run("predict", flow, "-q").code == 0                             # the model reads later files alike
    assert run("predict", flow, "--missing", "none", "-q").code == 0


def test_a_spike_is_a_repair_on_stderr_in_json_and_in_the_record(run: Run, tmp_path: Path) -> None:
    values = [*WEEK * 10]
    values[40] = 10**7
    path = write(tmp_path / "meter.csv", values)
    ended = run("train", path, *LEAN)
    assert "10000000 at 2024-02-10 (line 42)" in ended.err
    record = json.loads(next((tmp_path / ".forecast" / "runs").glob("*/run.json")).read_text())
    assert [r["kind"] for r in record["data"]["repairs"]] == ["spikes"]
    document = json.loads(run("predict", "--json").out)
    assert "10000000 at 2024-02-10 (line 42)" in document["repairs"][0]
    checked = json.loads(run("check", path, "--json").out)[0]
    assert (checked["outcome"], checked["repairs"][0]["examples"][0]["row"]) == ("repaired", 42)
    assert json.loads(run("check", path, "--spikes", "keep", "--json").out)[0]["outcome"] == "exact"
    assert all(40 < value < 80 for value in forecasts(tmp_path / "predictions.csv"))


def test_that_the_newest_values_were_set_aside_is_said_even_when_quiet_and_not_blamed_on_time_zones(
        run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "meter.csv", values := [*WEEK * 10])
    assert run("train", path, *LEAN, "-q").code == 0
    write(path, [*values[:40], 10**7, *values[41:]])
    assert run("predict", "-q").err == ""                                   # an older one is a plain repair
    write(path, [*values, 10**7])
    ended = run("predict", "-q")
    assert (ended.code, "1 value of the newest step read as missing" in ended.err) == (0, True)
    monkeypatch.setenv("FORECAST_NOW", "2024-03-11T08:00:00")
    ended = run("predict", "-q", "--max-age", "1d")
    assert ended.code == 7
    assert "Look at" not in ended.err
    assert "--tz" not in ended.err
    assert ended.err.count("1 value of the newest step read as missing") == 2
    assert run("predict", "-q", "--spikes", "keep", "--accept-scale", "--max-age", "1d").code == 0


def test_a_spike_is_no_truth_to_score(run: Run, tmp_path: Path) -> None:
    values = [*WEEK * 10]
    values[66] = 10**7
    path = write(tmp_path / "meter.csv", values)
    metrics = json.loads(run("evaluate", path, *LEAN, "--horizon", "7", "--windows", "1", "--json").out)
    assert metrics["models"]["seasonal_naive"]["mae"] < 1


def test_newest_rows_in_another_unit_stop_predict_and_evaluate_until_accepted(run: Run, flow: Path,
                                                                              tmp_path: Path) -> None:
    write(flow, [*WEEK * 10, *(1000 * v for v in WEEK)])
    for command in ("predict", "evaluate"):
        ended = run(command, flow, "--json")
        assert ended.code == 3
        error = json.loads(ended.err)["error"]
        assert (error["code"], error["row"], error["column"]) == ("rescaled", 72, "flow")
        assert "1,000 times" in error["message"]
        assert "2024-03-11" in error["message"]
        assert "--accept-scale" in error["hint"]
    assert not (tmp_path / "predictions.csv").exists()
    document = json.loads(run("predict", flow, "--accept-scale", "--json").out)
    assert "1,000 times" in document["notes"][0]
    assert run("evaluate", flow, "--accept-scale", "-q").code == 0
    assert run("replay", "predictions.csv").code == 0
    planned = run("train", flow, *LEAN, "--dry-run", "--json")
    assert planned.code == 0
    assert "1,000 times" in json.loads(planned.out)["data"]["notes"][0]


def test_a_unit_with_an_e_is_read_and_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "amount.csv"
    path.write_text("date,amount\n" + "".join(f"{DAY + k},{k}.50 EUR\n" for k in range(4)))
    ended = run("check", path)
    assert (ended.code, '"EUR" taken off' in ended.out) == (0, True)
    assert read_panel(path, DataConfig()).panel.y.tolist() == [0.5, 1.5, 2.5, 3.5]
    path.write_text(path.read_text() + f"{DAY + 4},4.50 TEUR\n")
    ended = run("check", path)
    assert (ended.code, "line 6" in ended.out) == (3, True)
