"""Asked: a setting of reading that is no such thing is a wrong request, named as whoever gave it wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.errors import RequestError
from forecast.reading.asked import judge
from tests.test_cli import AIR, Run, run

__all__ = ["run"]
WRONG = [("tz", "Europe/Berlinn", "Did you mean Europe/Berlin?"), ("tz", "berlin", "Did you mean Europe/Berlin?"),
         ("tz", "new york", "Did you mean America/New_York?"), ("encoding", "utf9", "Did you mean utf-8?"),
         ("encoding", "base64", "As in utf-8"), ("freq", "fortnightly", "Known: s, min"), ("freq", "0", "Known"),
         ("freq", "dayly", "Write D"), ("every", "mounth", "Did you mean month?"),
         ("date_format", "%Q", "As in %d.%m.%Y"),
         ("delimiter", "abc", "As in ';' or tab"), ("aggregate", "summ", "Did you mean sum?")]
RIGHT = [("tz", "Europe/Berlin"), ("encoding", "CP1252"), ("freq", "30min"), ("freq", "2"), ("freq", "W-SUN"),
         ("every", "day"), ("date_format", "%d.%m.%Y"), ("delimiter", "tab"), ("delimiter", " "),
         ("aggregate", ("a=sum", "b=mean"))]


@pytest.mark.parametrize(("name", "value", "hint"), WRONG)
def test_a_value_that_is_none_is_told_with_the_nearest_and_whoever_gave_it(name: str, value: str, hint: str) -> None:
    for source, said in (("command line", f"--{name.replace('_', '-')} "), ("f.toml", f"f.toml: data.{name} "),
                         ("environment", f"environment: data.{name} ")):
        with pytest.raises(RequestError) as told:
            judge({f"data.{name}": value}, source)
        assert told.value.problem.message.startswith(said), told.value
        assert hint in (told.value.hint or ""), told.value


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_value_that_is_one_passes(name: str, value: object) -> None:
    judge({f"data.{name}": value, "data.id": "whatever", "model.season": 0}, "command line")


@pytest.mark.parametrize("flag", [("--tz", "Mars"), ("--freq", "often"), ("--encoding", "utf9"), ("--delimiter", "ab"),
                                  ("--date-format", "%Q"), ("--every", "often")])
def test_a_flag_that_cannot_be_read_is_no_fault_of_the_data(run: Run, flag: tuple[str, str]) -> None:
    for command in ("check", "predict", "train", "evaluate", "compare", "init"):
        ended = run(command, AIR, *flag)
        assert (ended.code, ended.out, ended.err.startswith(f"forecast: {flag[0]} ")) == (2, "", True), ended.err
        assert len(ended.err.splitlines()) == 1


def test_settings_of_a_file_the_environment_and_set_are_named_as_they_were_given(
        run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--set: data.tz" in run("check", AIR, "--set", "data.tz=Mars").err
    monkeypatch.setenv("FORECAST_DATA_TZ", "Mars")
    assert run("check", AIR).err.startswith("forecast: environment: data.tz")
    monkeypatch.delenv("FORECAST_DATA_TZ")
    Path("forecast.toml").write_text('[data]\ntz = "Mars"\n')
    ended = run("check", AIR)
    assert (ended.code, f"{tmp_path}/forecast.toml: data.tz" in ended.err) == (2, True), ended.err


def test_a_device_that_is_none_is_refused_by_the_prior_too(run: Run) -> None:
    ended = run("predict", AIR, "--device", "tpu")
    assert (ended.code, "--device tpu: takes one of auto, cpu, cuda, mps" in ended.err) == (2, True), ended.err
