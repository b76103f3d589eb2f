"""Beside: the parts of some work side by side, on as many threads as there are CPUs, their results in order.

Threads are enough where numpy does the work: it lets go of the interpreter's lock meanwhile."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

from forecast.system.machine import usable_cpus

A = TypeVar("A")
B = TypeVar("B")


def workers() -> int:
    """Threads to work on: the CPUs, or as many as OMP_NUM_THREADS allows."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(usable_cpus(), int(asked))) if asked.isdecimal() else usable_cpus()


def side_by_side(work: Callable[[A], B], parts: Sequence[A], most: int | None = None) -> list[B]:
    """What the work makes of each part, on at most so many threads. A part that fails ends those that have not begun.

    Filters of warnings belong to the process, and threads leave each other's behind: they are set here for all."""
    threads = min(workers() if most is None else most, len(parts))
    if threads <= 1:
        with _one_thread_each():
            return [work(part) for part in parts]
    with _one_thread_each(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(work, part) for part in parts]
            try:
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()


def _one_thread_each() -> AbstractContextManager[Any]:
    """A block in which a product of numpy's takes one thread: on two, small ones took five times the CPU's seconds.

    The program sets that before numpy is there; a notebook has numpy before it has us."""
    if "OPENBLAS_NUM_THREADS" in os.environ:
        return nullcontext()
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> Any:
    """What numpy computes with, as it is loaded."""
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()
