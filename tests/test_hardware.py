"""The machine is asked what it can do by doing it; where it cannot, a request is refused and a default gives way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from forecast.model.network import Shape
from forecast.system import machine
from forecast.system.machine import is_fast_in_bfloat16, works_in_bfloat16
from forecast.training import torch_network
from forecast.training.torch_cells import CELLS
from forecast.training.torch_network import is_rough
from tests.test_cli import AIR, LEAN, Run, run

__all__ = ["run"]
CPU = torch.device("cpu")


class Missing(torch.nn.LSTM):
    """A kernel that a processor lacks."""

    def forward(self, x, hx=None):                                      # type: ignore[no-untyped-def,override]
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor")
        return super().forward(x, hx)


class MissingBackward(torch.nn.LSTM):
    """A kernel that goes forward alone."""

    def forward(self, x, hx=None):                                      # type: ignore[no-untyped-def,override]
        hidden, state = super().forward(x, hx)
        if torch.is_autocast_enabled("cpu"):
            hidden.register_hook(_raise)
        return hidden, state


def _raise(_: torch.Tensor) -> None:
    raise RuntimeError("could not create a primitive descriptor")


class Wrong(torch.nn.LSTM):
    """A kernel that comes to something else."""

    def forward(self, x, hx=None):                                      # type: ignore[no-untyped-def,override]
        hidden, state = super().forward(x, hx)
        return hidden * (1.1 if torch.is_autocast_enabled("cpu") else 1.0), state


class Exact(torch.nn.LSTM):
    """A kernel that takes no notice."""

    def forward(self, x, hx=None):                                      # type: ignore[no-untyped-def,override]
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float(), hx)


@pytest.mark.parametrize(("cell", "works"), [(Missing, False), (MissingBackward, False), (Wrong, False), (Exact, True)])
def test_a_trial_tells_what_can_be_trained(cell: type[torch.nn.LSTM], works: bool) -> None:
    drawn = torch.random.get_rng_state()
    assert works_in_bfloat16(cell, CPU) == works
    assert torch.equal(torch.random.get_rng_state(), drawn)             # and nothing random is used up by it


def test_the_default_takes_bfloat16_only_where_a_trial_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    large = Shape("lstm", context=8, segment=4, horizon=2, hidden=64, layers=1, quantiles=(0.5,))
    assert is_rough("auto", large, CPU) == is_fast_in_bfloat16(CPU) <= works_in_bfloat16(torch.nn.LSTM, CPU)
    for flag in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, flag, lambda: True)
    monkeypatch.setattr(torch.nn, "LSTM", Missing)
    assert not is_fast_in_bfloat16.__wrapped__(CPU)
    monkeypatch.setattr(torch.nn, "LSTM", Exact)
    assert is_fast_in_bfloat16.__wrapped__(CPU)


@pytest.mark.parametrize("command", [("train", "gone.csv"), ("train", "gone.csv", "--dry-run"),
                                     ("evaluate", "gone.csv"), ("compare", "gone.csv", "--cells", "rnn,lstm")])
def test_bfloat16_that_the_machine_cannot_do_is_refused_before_the_data_are_looked_at(
        run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    rough, plain = ("--set", "train.precision=bfloat16"), ("--set", "train.precision=auto")
    monkeypatch.setattr(torch_network, "CELLS", CELLS | {"lstm": Missing})
    monkeypatch.setattr(machine, "works_in_bfloat16", lambda cell, _: cell is not Missing)
    ended = run(*command, *rough, "--json")
    error = json.loads(ended.err)["error"]
    assert (ended.code, error["code"], "train.precision=auto" in error["hint"]) == (2, "no_bfloat16", True)
    assert run(*command, *plain).code == 3                              # the file is not there


def test_a_run_that_was_trained_in_bfloat16_is_scored_where_it_cannot_be_trained(
        run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines, rough = AIR.read_text().splitlines(keepends=True), ("--set", "train.precision=bfloat16")
    (tmp_path / "early.csv").write_text("".join(lines[:121]))
    monkeypatch.setattr(torch_network, "CELLS", CELLS | {"lstm": Exact})
    assert run("train", "early.csv", *LEAN, *rough).code == 0
    monkeypatch.setattr(machine, "works_in_bfloat16", lambda *_: False)
    assert "as it is" in run("evaluate", AIR).err
    (tmp_path / "forecast.toml").write_text('[train]\nprecision = "bfloat16"\n')
    assert run("evaluate", AIR).code == 0
    assert "nothing was trained" in run("evaluate", "early.csv").err
    assert run("evaluate", "early.csv", "--horizon", "6").code == 2     # it would have to be trained anew
