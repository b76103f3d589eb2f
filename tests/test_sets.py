"""--set is never passed over in silence: it counts, or the command says that it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.test_cli import Run, run, trained_projects, whole

__all__ = ["run", "trained_projects", "whole"]
EVERY = ("train data.csv", "predict data.csv", "evaluate data.csv", "compare data.csv", "check data.csv", "explain",
         "replay last", "diff", "models", "init data.csv", "help", "help cron")


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize(("text", "said"), [("foo", "--set foo: write it as section.name=value"),
                                            ("train.lrr=3", "Did you mean 'train.lr'?"),
                                            ("train.steps=x", "train.steps takes a whole number")])
def test_what_is_no_setting_is_refused_by_every_command(run: Run, command: str, text: str, said: str) -> None:
    ended = run(*command.split(), "--set", text)
    assert (ended.code, said in ended.err) == (2, True)
    assert run("--set", text, *command.split()).code == 2


@pytest.mark.parametrize("command", ["explain", "replay last", "diff", "models", "help"])
def test_a_command_without_settings_takes_none(run: Run, command: str) -> None:
    ended = run(*command.split(), "--set", "train.lr=0.1")
    assert ended.code == 2
    assert f"--set train.lr: has no effect on forecast {command.split()[0]}" in ended.err


@pytest.mark.usefixtures("whole")
def test_predict_with_a_trained_model_takes_the_settings_of_reading_alone(run: Run, tmp_path: Path) -> None:
    ended = run("predict", "--set", "model.hidden=3")
    assert (ended.code, "it is trained already" in ended.err) == (2, True)
    data = tmp_path / "data.csv"
    data.write_text(data.read_text().rpartition(",")[0] + ",-7\n")
    assert "1 cell read as missing" in run("predict", "--set", "data.missing=-7").err
    assert run("replay", "predictions.csv").code == 0


@pytest.mark.usefixtures("whole")
def test_what_the_prior_was_set_to_is_kept_for_a_replay(run: Run, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".forecast")
    document = json.loads(run("predict", "data.csv", "--set", "model.horizon=3", "--json").out)
    assert document["horizon"] == 3
    assert run("replay", "predictions.csv").code == 0
