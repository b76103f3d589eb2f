"""Apart: a search in several processes that share the journal of its study."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path

from forecast.errors import DataError
from forecast.system import machine
from forecast.tasks.trials import Bench, Limits, Watch, search
from forecast.training.search import REPEATED, RUNNING, WAITING, Dimension, Study, Tried

APART = 7919                            # between the seeds of what the processes try at random
POLL = 0.3                              # seconds between two looks at what the others have done


def side_by_side(study: Study, path: Path, bench: Bench, limits: Limits, *, jobs: int, watch: Watch,
                 tell: Callable[[Tried], None]) -> str:
    """Search in so many processes; says what ended it. Whatever `watch` raises ends them, too. The trial of a process
    that is killed is to be tried again."""
    ended = {t.number for t in study.trials() if t.state not in (RUNNING, WAITING)}
    workers = _started(study, path, bench, limits, jobs)
    try:
        while True:
            alive = any(worker.is_alive() for worker in workers)
            for trial in study.trials():
                if trial.state not in (RUNNING, WAITING) and trial.number not in ended:
                    ended.add(trial.number)
                    if trial.reason != REPEATED:
                        tell(trial)
            if not alive:
                break
            watch()
            time.sleep(POLL)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
        study.release()
    if all(worker.exitcode for worker in workers):
        raise DataError(f"every process of the search ended early (exit code {workers[0].exitcode})", code="killed",
                        hint="Give --jobs 1; a killed process may have been out of memory")
    return "time" if time.monotonic() >= limits.end - 2 * limits.typical else "trials"


def _started(study: Study, path: Path, bench: Bench, limits: Limits, jobs: int) -> list[SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    quotas = [None if limits.trials is None else limits.trials // jobs + (k < limits.trials % jobs)
              for k in range(jobs)]
    workers = [context.Process(target=_work, daemon=True, args=(
        path, study.dimensions, bench, replace(limits, trials=quota), bench.config.train.seed + APART * k))
        for k, quota in enumerate(quotas) if quota != 0]
    for worker in workers:
        worker.start()
    return workers


def _work(path: Path, dimensions: Sequence[Dimension], bench: Bench, limits: Limits, seed: int) -> None:
    """One of the processes. It ends with the one that began it; ctrl-C is that one's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    machine.prepare(threads=1)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)

    search(Study.joined(path, dimensions, seed=seed), bench, limits, watch, lambda tried: None)
