"""Engine: the same work on many pieces, their results in order: here, in processes of this machine, or on Ray.

Work and pieces go as multiprocessing sends them. The work goes to each worker once, pieces as they are needed, some
ahead of the one waited for. A worker that dies is followed by another, and its pieces are worked on again: nothing is
lost or doubled."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import socket
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from forecast import __version__
from forecast.errors import RequestError
from forecast.system import signals
from forecast.system.machine import prepare, usable_cpus

Work = Callable[[Any], Any]
AHEAD = 2                                                               # pieces a worker that are under way
TRIES = 3                                                               # times that workers may die at one piece
PATIENCE = 4.0                                                          # seconds for a cluster to answer
ENGINES = ("processes", "ray")
THREADS = "OMP_NUM_THREADS"
RAY = "pip install 'ray>=2.50'"
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])        # of RFC 9113: whoever speaks
SETTINGS = 4                                                            # HTTP/2, as Ray does, answers with such a frame


class Engine(Protocol):
    """Others who work; where there is none, whoever would ask it works itself."""

    def map(self, work: Work, pieces: Iterable[Any]) -> Iterator[Any]:
        """What the work makes of each piece, in order. Raises what the work raises, RequestError where workers die."""


def engine_of(jobs: int | None = None, name: str | None = None, address: str | None = None) -> Engine | None:
    """Who works: `jobs` processes, or Ray with so many, or on the cluster at an address. One process is none.
    Raises RequestError."""
    if name not in (None, *ENGINES):
        raise RequestError(f"--engine {name}: takes one of {', '.join(ENGINES)}", code="bad_setting")
    if address is not None and name != "ray":
        raise RequestError("--address goes with --engine ray", code="bad_setting")
    if jobs is not None and jobs < 1:
        raise RequestError(f"--jobs {jobs}: takes a number from 1", code="bad_setting")
    if name == "ray":
        if importlib.util.find_spec("ray") is None:
            raise RequestError("--engine ray: Ray is not installed", code="no_ray", hint=f"Install it: {RAY}")
        return Ray(jobs or usable_cpus(), address)
    jobs = jobs or (usable_cpus() if name else 1)
    return None if jobs == 1 else Processes(jobs)


def _died(tries: int) -> RequestError:
    return RequestError(f"a worker was killed {tries} times at the same place (out of memory?)", code="workers_died",
                        hint="Give fewer --jobs")


@dataclass
class _Slot:
    """A piece, and what is to come of it, once it has been handed over."""

    piece: Any
    future: Future[Any] | None = None

    @property
    def is_done(self) -> bool:
        future = self.future
        return future is not None and future.done() and not isinstance(future.exception(), BrokenProcessPool)

    def result(self) -> Any:
        assert self.future is not None
        return self.future.result()


@dataclass(frozen=True)
class Processes:
    """So many processes of this machine, each with its share of the cores."""

    jobs: int

    def map(self, work: Work, pieces: Iterable[Any]) -> Iterator[Any]:
        more, under_way, deaths = iter(pieces), deque[_Slot](), 0
        pool = self._pool(work)
        try:
            while True:
                signals.check()
                under_way.extend(map(_Slot, islice(more, AHEAD * self.jobs - len(under_way))))
                if not under_way:
                    return
                try:
                    for slot in under_way:
                        slot.future = slot.future or pool.submit(_worked, slot.piece)
                    result = under_way[0].result()
                except BrokenProcessPool:
                    deaths += 1
                    if deaths > TRIES:
                        raise _died(deaths) from None
                    pool.shutdown(wait=False)
                    pool = self._pool(work)
                    for slot in under_way:
                        slot.future = slot.future if slot.is_done else None
                    continue
                under_way.popleft()
                deaths = 0
                yield result
        finally:
            pool.shutdown(wait=not under_way, cancel_futures=True)

    def _pool(self, work: Work) -> ProcessPoolExecutor:
        threads = max(1, usable_cpus() // self.jobs)
        return ProcessPoolExecutor(self.jobs, multiprocessing.get_context("spawn"), _ready, (work, threads))


_WORK: list[Work] = []                                                  # of this worker


def _ready(work: Work, threads: int) -> None:
    """A worker begins, with its share of the threads; it ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)                        # of a terminal: the parent hears it, too
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault(THREADS, str(threads))
    prepare(threads=1)
    warnings.simplefilter("ignore", RuntimeWarning)                     # of NaN, which is looked for afterwards
    _WORK[:] = [work]


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def _worked(piece: Any) -> Any:
    return _WORK[0](piece)


@dataclass(frozen=True)
class Ray:
    """Tasks of Ray: in so many processes of this machine, or wherever the cluster at an address has room.

    A local Ray is started for the work and stopped after it: no dashboard, no word to its makers, nothing left."""

    jobs: int
    address: str | None = None

    def map(self, work: Work, pieces: Iterable[Any]) -> Iterator[Any]:
        with self._joined() as ray:
            task = ray.remote(num_cpus=1, max_retries=TRIES)(_worked_by_ray)
            shared, under_way = ray.put(work), deque[Any]()
            most = AHEAD * (self.jobs if self.address is None else int(ray.cluster_resources().get("CPU", 1)))
            for piece in pieces:
                under_way.append(task.remote(__version__, shared, piece))
                if len(under_way) >= most:
                    yield _fetched(ray, under_way.popleft())
            while under_way:
                yield _fetched(ray, under_way.popleft())

    @contextmanager
    def _joined(self) -> Iterator[Any]:
        """Ray, begun or joined; signals are heard as before, and are not left to it."""
        if self.address not in (None, "auto"):
            _check_answer(self.address.removeprefix("ray://"))          # Ray itself would try for minutes
        import ray

        try:
            with _said(**self._environment()), _heard_as_before():
                self._begin(ray)
            yield ray
        finally:
            with _heard_as_before():
                ray.shutdown()

    def _begin(self, ray: Any) -> None:
        here = {"num_cpus": self.jobs, "include_dashboard": False} if self.address is None else {}
        try:
            ray.init(address=self.address or "local", log_to_driver=False, logging_level="ERROR", **here)
        except SystemExit:                                              # of Ray's own handler, while it begins
            raise SystemExit(128 + signal.SIGTERM) from None
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RequestError(f"--engine ray: {str(error).splitlines()[0]}", code="no_cluster") from error

    def _environment(self) -> dict[str, str]:
        """What workers here inherit: where this program lies, and their share of the cores."""
        said = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        if self.address is None:
            paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
            said |= {"PYTHONPATH": os.pathsep.join(paths),
                     THREADS: os.environ.get(THREADS, str(max(1, usable_cpus() // self.jobs)))}
        return said


def _check_answer(address: str) -> None:
    """Raises RequestError where nobody answers as a cluster of Ray would, within some seconds."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as line:
            line.settimeout(PATIENCE)
            line.sendall(HELLO)
            if line.recv(9)[3:4] != bytes([SETTINGS]):
                raise OSError
    except (OSError, ValueError):
        raise RequestError(f"--address {address}: no cluster of Ray answers there", code="no_cluster",
                           hint="Give HOST:PORT of its head, auto on one of its machines, or leave it out") from None


@contextmanager
def _said(**environment: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _heard_as_before(which: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in which}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _worked_by_ray(version: str, work: Work, piece: Any) -> Any:
    if version != __version__:
        raise RequestError(f"a worker has version {__version__} of forecast, and here it is {version}",
                           code="other_version", hint="Install the same version on every machine of the cluster")
    os.environ.setdefault(THREADS, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return work(piece)


def _fetched(ray: Any, result: Any) -> Any:
    """A result, or the error of the work. Raises RequestError for a worker that died again and again."""
    signals.check()
    try:
        return ray.get(result)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (ImportError, ray.exceptions.RayError)):
            raise RequestError(f"a worker cannot begin: {str(error.cause).strip().splitlines()[-1]}", code="no_worker",
                               hint="Install the same version of forecast on every machine of the cluster") from error
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise _died(1 + TRIES) from error
