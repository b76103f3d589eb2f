"""Whoever works, results come in order and are the same bytes; a worker that dies takes nothing with it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import DataError, ForecastError, RequestError
from forecast.methods.baselines import SeasonalNaive
from forecast.series.forecast import Forecast, in_parts, quantile_grid
from forecast.system.engine import Engine, Processes, Ray, engine_of
from tests.conftest import shops
from tests.pieces import doubled, fatal, fatal_once, refused, said_though_killed, threads
from tests.test_cli import Run, run
from tests.test_merge import write_data

__all__ = ["run"]
HAS_RAY = importlib.util.find_spec("ray") is not None
NEEDS_RAY = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed (.[ray])")
PROCESSES, RAY = pytest.param(Processes(2), id="processes"), pytest.param(Ray(2), id="ray", marks=NEEDS_RAY)
RAY_LATER = pytest.param(Ray(2), id="ray", marks=[NEEDS_RAY, pytest.mark.slow])    # a Ray takes 10 s to begin and end


@pytest.mark.parametrize("engine", [PROCESSES, RAY_LATER])
def test_results_come_in_the_order_of_the_pieces(engine: Engine) -> None:
    drawn = list[int]()

    def pieces() -> Iterator[int]:
        for k in range(40):
            drawn.append(k)
            yield k

    results = engine.map(doubled, pieces())
    assert next(results) == 0
    assert len(drawn) <= 5                                              # no more are kept than workers have to do
    assert list(results) == [2 * k for k in range(1, 40)]


@pytest.mark.parametrize("engine", [PROCESSES, RAY])
def test_a_worker_that_is_killed_takes_nothing_with_it(engine: Engine, tmp_path: Path) -> None:
    assert list(engine.map(partial(fatal_once, tmp_path), range(12))) == list(range(12))
    assert (tmp_path / "died").exists()
    assert {name.split("-")[0] for name in os.listdir(tmp_path)} == {"died", *map(str, range(12))}


def test_workers_that_die_again_and_again_end_it_with_a_remedy() -> None:
    with pytest.raises(RequestError, match="a worker was killed 4 times at the same place") as raised:
        list(Processes(2).map(fatal, range(3)))
    assert raised.value.hint == "Give fewer --jobs"


@pytest.mark.parametrize("engine", [PROCESSES, RAY_LATER])
def test_what_the_work_refuses_is_refused_in_its_own_words(engine: Engine) -> None:
    with pytest.raises(DataError) as raised:
        list(engine.map(refused, [3]))
    assert (str(raised.value), raised.value.row, raised.value.code) == ("data.csv:3: holds a 3", 3, "a_three")


@pytest.mark.parametrize("engine", [PROCESSES, RAY_LATER])
def test_each_worker_has_its_share_of_the_cores(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("forecast.system.engine.usable_cpus", lambda: 6)
    said, places = zip(*engine.map(threads, range(6)), strict=True)
    assert set(said) == {"3"}
    assert os.getpid() not in places


def test_what_is_left_when_its_parent_is_gone_ends_by_itself(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = ("import os, sys, time\nfrom pathlib import Path\nfrom forecast.system.engine import Processes\n"
            "from tests.pieces import threads\n"
            "if __name__ == '__main__':\n    for _, place in Processes(2).map(threads, range(99)):\n"
            "        print(place, flush=True)\n        time.sleep(60)\n")
    (tmp_path / "long.py").write_text(code)
    there = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, tmp_path / "long.py"], stdout=subprocess.PIPE, text=True,
                          env=there) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(200):
        if not Path(f"/proc/{worker}").exists() and not is_there(worker):
            return
        time.sleep(0.05)
    pytest.fail("the worker goes on")


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("engine", [PROCESSES, RAY_LATER])
def test_pieces_make_the_parts_of_one_process_to_the_bit(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.series.forecast.PIECE", 3)
    naive = SeasonalNaive(6, quantile_grid((80.0,)))
    panel = shops(10).take([4, 2, 7, 0, 1, 3, 5, 6, 9, 8]).drop_last(3)
    alone = list(in_parts(naive, panel, 4, size=7))
    shared = list(in_parts(naive, panel, 4, size=7, engine=engine))
    assert [same(a, b) for a, b in zip(alone, shared, strict=True)] == [True, True]


@NEEDS_RAY
def test_the_file_of_ray_is_that_of_one_process_though_a_worker_is_killed(run: Run, tmp_path: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path / "data.csv")
    ways = ("predict", "data.csv", "--model", "prior", "--horizon", 4)
    assert run(*ways, "-o", "one.csv").code == 5
    monkeypatch.setattr("forecast.series.forecast.PIECE", 4)
    monkeypatch.setattr("forecast.series.forecast._said_of", partial(said_though_killed, tmp_path))
    assert run(*ways, "-o", "two.csv", "--jobs", 2, "--engine", "ray").code == 5
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def same(a: Forecast, b: Forecast) -> bool:
    return (np.array_equal(a.values, b.values) and a.source.tolist() == b.source.tolist() and a.remarks == b.remarks
            and a.panel.ids.tolist() == b.panel.ids.tolist() and a.panel.end.tolist() == b.panel.end.tolist()
            and np.array_equal(a.values if a.mean is None else a.mean, b.values if b.mean is None else b.mean))


@pytest.mark.parametrize("ways", [
    ("--jobs", 2), pytest.param(("--jobs", 2, "--engine", "ray"), marks=[NEEDS_RAY, pytest.mark.slow])])
def test_the_files_of_several_processes_are_those_of_one(run: Run, tmp_path: Path, ways: tuple[object, ...],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.series.forecast.PIECE", 4)
    write_data(tmp_path / "data.csv")
    for name, how in (("one", ()), ("two", ways)):
        assert run("predict", "data.csv", "--model", "prior", "--horizon", 4, "-o", f"{name}.csv", *how).code == 5
        ended = run("evaluate", "data.csv", "--model", "prior", "--windows", 2, "--horizon", 4, "-o",
                    f"scores-{name}.json", "--predictions", f"all-{name}.csv", *how)
        assert ended.code == 0, ended.err
    for kind in ("{}.csv", "scores-{}.json", "scores-{}.csv", "all-{}.csv"):
        assert (tmp_path / kind.format("one")).read_bytes() == (tmp_path / kind.format("two")).read_bytes()


@pytest.mark.parametrize(("asked", "words"), [
    ((0, None, None), "--jobs 0: takes a number from 1"),
    ((2, "spark", None), "--engine spark: takes one of processes, ray"),
    ((2, None, "auto"), "--address goes with --engine ray")])
def test_workers_that_cannot_be_asked_for_are_refused(asked: tuple[int, str | None, str | None], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        engine_of(*asked)


def test_one_job_is_no_engine() -> None:
    assert engine_of(1) is None
    assert engine_of(3) == engine_of(3, "processes") == Processes(3)


def test_a_ray_that_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"Ray is not installed. Install it: pip install 'ray>=2.50'"):
        engine_of(2, "ray")


def say(server: socket.socket, answer: bytes) -> None:
    with server.accept()[0] as line:
        line.sendall(answer)


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_address_at_which_no_cluster_answers_is_refused(answer: bytes | None, monkeypatch: pytest.MonkeyPatch
                                                           ) -> None:
    monkeypatch.setattr("forecast.system.engine.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if answer is None:
            server.close()
        else:
            threading.Thread(target=say, args=(server, answer), daemon=True).start()
        with pytest.raises(RequestError, match=f"--address {address}: no cluster of Ray answers there"):
            next(replace(Ray(2), address=address).map(doubled, [1]))


@NEEDS_RAY
def test_where_no_cluster_runs_auto_finds_none_and_signals_stay_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RequestError, match="--engine ray: Could not find any running Ray instance"):
        next(Ray(2, "auto").map(doubled, [1]))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_device_of_one_process_is_not_for_workers() -> None:
    from forecast.tasks.predict import Request

    with pytest.raises(RequestError, match="--device is for one process"):
        Request(engine=Processes(2), device="cpu")


def test_errors_keep_what_they_know_on_their_way() -> None:
    import pickle

    error = DataError("holds a 3", file="data.csv", row=3, hint="Try 4", remedy={"data.fill": "zero"})
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ForecastError)
    assert (again.problems, again.remedy) == (error.problems, error.remedy)
