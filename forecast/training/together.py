"""Together: several trainings side by side, each on threads of its own, their epochs in one stream."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import TypeVar

import torch

from forecast.system import signals
from forecast.training.loop import Epoch

T = TypeVar("T")


def together(jobs: Sequence[Callable[[], Generator[Epoch, None, T]]], workers: int, threads: int
             ) -> Generator[Epoch, None, list[T]]:
    """Run several trainings on `threads` threads, `workers` of them at a time; their epochs come as they are made.

    What each comes to does not depend on the others: every training draws from generators of its own. They run beside
    the main thread, which is free to hear a signal: an exception there lets each come to the end of its epoch. One that
    got lost on its way is heard at the next epoch."""
    queue, stopped = SimpleQueue[Epoch | None](), threading.Event()

    def drain(job: Callable[[], Generator[Epoch, None, T]]) -> T:
        torch.set_flush_denormal(True)
        torch.set_num_threads(max(1, threads // workers))
        try:
            with closing(job()) as epochs:                              # as it closes it may save, and meet a full disk
                while not stopped.is_set():
                    queue.put(next(epochs))
        except StopIteration as end:
            result: T = end.value
            return result
        except BaseException:
            stopped.set()                                               # the others need not go on
            raise
        finally:
            queue.put(None)
        raise InterruptedError

    # Filters of warnings belong to the process: threads that set and restore them would leave each other's behind.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore", RuntimeWarning)
        futures = [pool.submit(drain, job) for job in jobs]
        try:
            going = len(jobs)
            while going:
                signals.check()
                if (epoch := queue.get()) is None:
                    going -= 1
                else:
                    yield epoch
        finally:
            stopped.set()
            for future in futures:
                future.cancel()
            torch.set_num_threads(threads)
    failures = [f.exception() for f in futures if not f.cancelled() and f.exception()]
    for failure in failures:
        if failure is not None and not isinstance(failure, InterruptedError):
            raise failure
    return [future.result() for future in futures]
