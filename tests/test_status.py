"""The file for a monitor: valid, whole, and true to how the run ended."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from forecast.errors import BusyError, DataError, DiskError, RequestError
from forecast.system.monitor import HELP, SUCCESS, check_status_path, reported
from tests.test_cli import AIR, Run, run

__all__ = ["run"]

SAMPLE = re.compile(r'[a-z_]+\{task="(?:[^"\\\n]|\\["\\n])*",command="[a-z]+"\} [0-9.]+')


def after(path: Path, *, rows: int | None = None, exit_code: int = 0, error: BaseException | None = None,
          command: str = "train") -> dict[str, float]:
    """The values the file holds after a block that ended so, held against the exposition format."""
    def block() -> None:
        with reported(path, command) as told:
            told.rows, told.exit_code = rows, exit_code
            if error is not None:
                raise error

    if error is None:
        block()
    else:
        with pytest.raises(type(error)):
            block()
    text = path.read_text()
    assert text.endswith("\n")
    values, lines = {}, text.splitlines()
    for help_line, type_line, sample in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name = sample.partition("{")[0]
        assert help_line == f"# HELP {name} {HELP[name]}"
        assert type_line == f"# TYPE {name} gauge"
        assert SAMPLE.fullmatch(sample), sample
        values[name] = float(sample.split()[-1])
    return values


def test_a_good_run_tells_when_how_long_and_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_NOW", "2026-09-21T14:13:20.4")
    values = after(tmp_path / "a.prom", rows=144)
    assert values.pop("forecast_duration_seconds") < 60
    assert values == {"forecast_last_run_timestamp_seconds": 1_790_000_000, SUCCESS: 1_790_000_000,
                      "forecast_exit_code": 0, "forecast_rows": 144}
    assert [f.name for f in tmp_path.iterdir()] == ["a.prom"]


def test_a_failed_run_keeps_the_stamp_of_the_last_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.prom"
    assert after(path, error=DataError("bad"))[SUCCESS] == 0
    for now, code, success in ((2000, 0, 2000), (3000, 9, 2000), (4000, 5, 4000), (5000, 3, 4000)):
        monkeypatch.setenv("FORECAST_NOW", datetime.fromtimestamp(now, UTC).isoformat())
        assert after(path, exit_code=code)[SUCCESS] == success
    path.write_bytes(b"\xff")
    assert after(path, exit_code=3)[SUCCESS] == 0


def test_a_clock_that_is_none_hides_no_other_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_NOW", "noon")
    told = after(tmp_path / "a.prom", error=RequestError("FORECAST_NOW=noon is no time"))
    assert told["forecast_exit_code"] == 2
    assert abs(told["forecast_last_run_timestamp_seconds"] - datetime.now(UTC).timestamp()) < 60


@pytest.mark.parametrize(("error", "code"), [
    (DataError("x"), 3), (BusyError("x"), 8), (DiskError("x"), 9), (KeyboardInterrupt(), 130), (SystemExit(143), 143),
    (typer.Exit(141), 141), (ValueError("x"), 1), (SystemExit("words"), 1)], ids=repr)
def test_the_exit_code_is_that_of_the_program(tmp_path: Path, error: BaseException, code: int) -> None:
    assert after(tmp_path / "a.prom", error=error)["forecast_exit_code"] == code


@pytest.mark.parametrize("name", ['a"b\\c\nd.prom', "ü.prom"])
def test_a_strange_name_is_escaped(tmp_path: Path, name: str) -> None:
    after(tmp_path / name)


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with reported(None, "train"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_ends_a_good_run_with_9_and_hides_no_other_error(tmp_path: Path) -> None:
    def block(error: Exception | None) -> None:
        with reported(tmp_path / "no" / "a.prom", "train"):
            if error is not None:
                raise error

    with pytest.raises(DiskError):
        block(None)
    with pytest.raises(DataError):
        block(DataError("bad"))


def test_a_file_of_anything_else_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "sales.prom"
    path.write_text("date,sales\n2026-01-01,5\n")
    with pytest.raises(RequestError, match="holds something else"):
        check_status_path(path)
    after(tmp_path / "ours.prom")
    (tmp_path / "empty.prom").touch()
    for name in ("ours.prom", "empty.prom", "none.prom"):
        check_status_path(tmp_path / name)


def test_only_an_ending_that_is_read_is_taken() -> None:
    check_status_path(None)
    check_status_path(Path("a.prom"))
    with pytest.raises(RequestError, match=r"end in \.prom"):
        check_status_path(Path("a.txt"))


def test_a_folder_is_refused_before_the_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.prom").mkdir()
    with pytest.raises(RequestError, match="is a folder"):
        check_status_path(tmp_path / "a.prom")
    (tmp_path / "d.csv").mkdir()
    ended = run("predict", AIR, "-o", "d.csv")
    assert (ended.code, "d.csv: is a folder" in ended.err, (tmp_path / ".forecast").exists()) == (2, True, False)
