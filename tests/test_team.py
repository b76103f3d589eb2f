"""Several processes train one network: the losses are those of one process, and rank 0 alone speaks and writes."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from forecast.system.machine import usable_cpus
from forecast.system.ranks import Rank, rank
from forecast.training.team import ALONE, Team
from tests.test_cli import Run, run

__all__ = ["run"]
ROOT = Path(__file__).parent.parent
TINY = ("--horizon", "4", "--season", "6", "--hidden", "8", "--set", "train.steps=12", "--set", "train.epoch_steps=4",
        "--set", "train.batch=15", "--set", "model.dropout=0", "--set", "model.members=1",
        "--set", "model.transform=none")


def write_data(path: Path, add: float = 0.0) -> None:
    path.write_text("ds,y\n" + "".join(f"{t},{50 + 9 * (t % 6) + t % 7 + add}\n" for t in range(90)))


def as_rank(number: int, port: int = 0, of: int = 2) -> dict[str, str]:
    """The environment that torchrun gives to one of its processes."""
    return {"TORCHELASTIC_RUN_ID": "test", "RANK": str(number), "WORLD_SIZE": str(of), "LOCAL_RANK": str(number),
            "LOCAL_WORLD_SIZE": str(of), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def losses(store: Path) -> list[float]:
    (run_folder,) = (store / "runs").iterdir()
    with (run_folder / "history.csv").open(newline="") as file:
        return [float(row[name]) for row in sorted(csv.DictReader(file), key=lambda r: (r["stage"], r["member"],
                                                                                        int(r["number"])))
                for name in ("train_loss", "valid_loss") if row[name]]


def test_two_processes_have_the_losses_of_one_and_only_the_first_speaks_and_writes(run: Run, tmp_path: Path) -> None:
    write_data(tmp_path / "data.csv")
    assert run("--store", "one", "train", "data.csv", *TINY).code == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "forecast",
               "--store", "two", "train", "data.csv", *TINY]
    there = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=there)
    assert ended.returncode == 0, ended.stderr
    said = [line.split()[0] for line in ended.stderr.splitlines() if line.strip()]
    assert (said.count("data"), said.count("model"), ended.stdout.count("in words")) == (1, 1, 1)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) >= 10
    assert two == pytest.approx(one, rel=0.01)
    assert not (tmp_path / "two" / "resume").exists()


def test_processes_that_read_other_data_do_not_train_together(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = []
    for number in (0, 1):
        write_data(tmp_path / f"data{number}.csv", add=number)
        processes.append(subprocess.Popen(
            [sys.executable, "-m", "forecast", "train", f"data{number}.csv", *TINY], cwd=tmp_path, text=True,
            stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | as_rank(number, port) | {"PYTHONPATH": str(ROOT)}))
    (_, first), (_, second) = (process.communicate() for process in processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert "the processes of torchrun have not the same data. Give all machines the same file" in first
    assert second == ""


@pytest.mark.parametrize(("batch", "size"), [(16, 2), (7, 3), (5, 5)])
def test_a_batch_is_parted_and_its_parts_weigh_what_they_hold(batch: int, size: int) -> None:
    parts = [Team(number, size).part(batch) for number in range(size)]
    assert [k for own, _ in parts for k in range(own.start, own.stop)] == list(range(batch))
    assert [weight * batch for _, weight in parts] == pytest.approx([own.stop - own.start for own, _ in parts])


def test_fewer_windows_than_processes_are_everybodys() -> None:
    assert [Team(number, 4).part(3) for number in range(4)] == [(slice(0, 3), 0.25)] * 4
    assert ALONE.part(3) == (slice(0, 3), 1.0)


def test_other_commands_and_what_is_for_one_process_are_refused(run: Run, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path / "data.csv")
    for name, value in as_rank(0).items():
        monkeypatch.setenv(name, value)
    for command, words in ((("predict", "data.csv"), "torchrun shares a training, and predict is none. predict and"),
                           (("train", "data.csv", "--resume"), "--resume is for one process. Leave out torchrun"),
                           (("train", "-"), "standard input is for one process")):
        ended = run(*command)
        assert (ended.code, words in ended.err) == (2, True), ended.err


def test_neighbours_share_the_cores_and_a_lone_rank_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert rank() == Rank()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert usable_cpus() == 8
    for name, value in as_rank(1, of=3).items():
        monkeypatch.setenv(name, value)
    assert (rank(), usable_cpus()) == (Rank(1, 3, 1, 3), 2)
