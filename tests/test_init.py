"""forecast init: what it writes is read back as it was found, and nothing is written over."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import pytest

from forecast.config import SETTINGS
from forecast.reading.reader import read_panel
from forecast.series.calendar import Calendar
from forecast.system.datasource import DataSource
from forecast.tasks.init import SCHEDULES, crontab, max_age_of, rhythm_of, settled, systemd
from tests.test_cli import AIR, SHOPS, Run, run

__all__ = ["run"]
DAYS = [f"2024-01-{k:02}" for k in range(1, 31)]


def settings(folder: Path) -> dict[str, dict[str, object]]:
    return tomllib.loads((folder / "forecast.toml").read_text())


def test_the_columns_found_are_written_and_every_comment_is_a_setting(run: Run, tmp_path: Path) -> None:
    ended = run("init", SHOPS, "--fill", "zero")
    assert ended.code == 0
    written = settings(tmp_path)
    assert written["data"] == {"id": "store", "time": "date", "target": "sales", "fill": "zero"}
    assert written["model"] == written["train"] == {}
    text = (tmp_path / "forecast.toml").read_text()
    open_lines = text.replace("\n# ", "\n").split("\n[data]\n")[1]
    known = tomllib.loads("[data]\n" + open_lines.replace("= ...", '= "..."'))
    assert {f"{s}.{k}" for s, keys in known.items() for k in keys} <= set(SETTINGS)
    assert run("train", SHOPS, "--dry-run").code == 0


@pytest.mark.parametrize(("header", "row", "columns"), [
    ("when,how much", "{day},{k}", {"time": "when", "target": "how much"}),
    ("day,a,b", "{day},{k},{k}", {"time": "day"}),                      # wide: the series are left open
    ("time,\"a\"\"b\\\"", "{day},{k}", {"time": "time", "target": 'a"b\\'}),
    ("time,\"a,b\"", "{day},{k}", {"time": "time", "target": "a,b"}),
    ("ds,unique_id,y,\u00fc", "{day},x,{k},1", {"id": "unique_id", "time": "ds", "target": "y"}),
])
def test_any_name_is_read_back(run: Run, tmp_path: Path, header: str, row: str, columns: dict[str, str]) -> None:
    (tmp_path / "d.csv").write_text("\n".join([header, *(row.format(day=d, k=k % 7) for k, d in enumerate(DAYS))]))
    before = run("check", "d.csv", "--json").out
    assert run("init", "d.csv").code == 0
    assert settings(tmp_path)["data"] == columns
    assert json.loads(run("check", "d.csv", "--json").out)[0]["columns"] == json.loads(before)[0]["columns"]


def test_columns_that_would_be_read_otherwise_are_left_to_be_found(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    source = DataSource(str(path))
    path.write_text("\n".join(["a,b", *(f"{d},{k}" for k, d in enumerate(DAYS))]))
    reading = read_panel(path)
    assert tomllib.loads(settled(reading, {"data.fill": "zero"}, source))["data"] == {"time": "a", "target": "b",
                                                                                      "fill": "zero"}
    path.write_text(path.read_text().replace("b", "c"))
    assert tomllib.loads(settled(reading, {"data.fill": "zero"}, source))["data"] == {"fill": "zero"}


def test_a_file_that_is_there_is_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "forecast.toml").write_text("[model]\nhorizon = 5\n")
    ended = run("init", AIR, "--fill", "zero")
    assert (ended.code, ended.err) == (
        2, "forecast.toml: is there already, and takes up no other settings. Change it by hand, or move it\n")
    assert (tmp_path / "forecast.toml").read_text() == "[model]\nhorizon = 5\n"
    again = run("init", AIR)
    assert (again.code, "kept       forecast.toml   as it is there already" in again.err) == (0, True)
    assert (tmp_path / "forecast.toml").read_text() == "[model]\nhorizon = 5\n"
    (tmp_path / "forecast.toml").unlink()
    assert again.out == run("init", AIR).out
    said = " ".join(again.err.split())
    assert "once, by hand: until then the line of predict ends with exit 4, for there is no model" in said
    assert run("predict", "-q").code == 4                                # so it does


def test_data_that_cannot_be_read_leave_nothing(run: Run, tmp_path: Path) -> None:
    assert run("init", "nothing.csv").code == 3
    assert run("init", "-").code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_lines_run_as_they_stand(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "a b%c"
    folder.mkdir()
    document = json.loads(run("-C", folder, "--store", "st", "init", AIR, "--json").out)
    train, predict, evaluate = (shlex.split(line.replace(r"\%", "%"))[5:] for line in document["crontab"])
    words = train[train.index("-C"):]
    assert words == ["-C", str(folder), "--store", str(folder / "st"), "train", str(AIR), "-q", "--wait", "1h",
                     "--min-skill", "0", "--status-file", "forecast-a-b-c-train.prom", ">/dev/null"]
    assert run(*words[:-1], "--dry-run").code == 0
    assert predict[predict.index("predict"):-1] == [
        "predict", "-q", "--adapt", "--max-age", "62d", "-o", "predictions.csv", "--status-file",
        "forecast-a-b-c-predict.prom"]
    assert evaluate[evaluate.index("evaluate"):-1] == [
        "evaluate", "--issued", "-q", "--last", "2y", "--fail-over", "drift=1.5", "--status-file",
        "forecast-a-b-c-evaluate.prom"]
    units = document["systemd"]
    assert " --min-skill 0 --status-file forecast-a-b-c-train.prom\n" in units["forecast-a-b-c-train.service"]
    assert "\nOnFailure=forecast-failed@%n.service\n" in units["forecast-a-b-c-evaluate.service"]
    assert "\nExecStart=" in units["forecast-failed@.service"]
    assert " predict -q --adapt --max-age 62d -o " in units["forecast-a-b-c-predict.service"]
    assert run(*predict[predict.index("-C"):-1]).code == 4              # no model yet, and no wrong word
    assert document["file"] == str(folder / "forecast.toml")


def test_what_is_printed_can_be_pasted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sales").mkdir()
    lines = run("-C", "sales", "init", AIR).out.splitlines()
    assert lines[:2] == ["", "# crontab -e"]
    assert [line for line in lines if line.startswith("# /etc")] == [
        f"# /etc/systemd/system/forecast-{name}" for name in (
            "sales-train.service", "sales-train.timer", "sales-predict.service", "sales-predict.timer",
            "sales-evaluate.service", "sales-evaluate.timer", "failed@.service")]


def test_times_of_the_day_without_a_zone_are_said_to_count_as_utc(run: Run, tmp_path: Path) -> None:
    for zone, said in (("", True), ("Z", False)):
        rows = "".join(f"2026-09-{d:02}T{h:02}:00{zone},{h}\n" for d in (1, 2, 3) for h in range(24))
        (tmp_path / "hours.csv").write_text("time,y\n" + rows)
        assert ("--max-age takes the times for UTC" in run("init", "hours.csv").err) == said
        (tmp_path / "forecast.toml").unlink()


def test_units_quote_what_systemd_would_expand() -> None:
    units = systemd({"train": ["f", "a b%c", 'x"\\y', "$HOME"], "predict": ["f"], "evaluate": ["f"]}, "day",
                    Path("/a%b"), "me")
    assert r'ExecStart=f "a b%%c" "x\"\\y" "$$HOME"' in units["forecast-a-b-train.service"]
    assert "\nUser=me\n" in units["forecast-a-b-predict.service"]
    assert "Persistent=true" in units["forecast-a-b-train.timer"]
    assert "in /a%%b" in units["forecast-a-b-predict.timer"]
    assert len(units) == 7


@pytest.mark.parametrize(("freq", "rhythm"), [("30min", "hour"), ("h", "hour"), ("D", "day"), ("B", "day"),
                                              ("W-SUN", "week"), ("MS", "week"), ("QS", "week"), ("step", "day")])
def test_the_schedule_follows_the_step(freq: str, rhythm: str) -> None:
    assert rhythm_of(Calendar.of(freq)) == rhythm
    assert max_age_of(Calendar.of(freq)) == {"30min": "2h", "h": "2h", "D": "2d", "B": "4d", "W-SUN": "14d",
                                             "MS": "62d", "QS": "186d", "step": "2d"}[freq]
    lines = crontab({"train": ["f"], "predict": ["g", "50%"], "evaluate": ["h"]}, rhythm)
    assert lines[0].startswith(SCHEDULES[rhythm][0][0] + " ")
    assert lines[1].endswith(r"g '50\%' >/dev/null") or lines[1].endswith(r"g 50\% >/dev/null")
