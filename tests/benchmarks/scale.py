"""On paper: a hundred million series a night, and ten thousand a second, from costs that are measured now.

    python -m tests.benchmarks.scale [--small 1000] [--large 4000] [--machines 100] [--cores 16]

Each phase of `predict` with the prior is measured at two sizes in this run, in seconds of the processor; what one more
series costs is the slope between them, what a call costs is the rest. A simulation then lays shards on the cores of a
cluster, some of which are slow or die, and lets series arrive one by one. Everything that is not measured is an
assumption, and is printed as one."""

from __future__ import annotations

import argparse
import heapq
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from forecast.ledger.issue import Draft, issue_of
from forecast.ledger.ledger import Ledger
from forecast.ledger.options import Options
from forecast.series.forecast import in_parts
from forecast.system.datasource import DataSource
from forecast.tasks.prior import prior_for
from forecast.tasks.workspace import Workspace
from forecast.writing.layouts import Page, writing

DAYS, HORIZON, NIGHT = 200, 14, 100_000_000
SHARD = 20_000                      # series of a shard: some seconds of a core, few enough files
SPREAD, LOST = 0.3, 0.002           # of the logarithm of a shard's time; share of shards that die half-way
VALUE = 70                          # bytes of memory for a value: 1.4 GiB for 20 million, forecast from a file
DISK = 500e6                        # bytes a second that a machine reads, and that the merge writes
RATE, USED = 10_000, 0.7            # series that arrive a second; share of the cores' time that may be used
MINUTE, THREADS = 60.0, "OPENBLAS_NUM_THREADS"
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """Seconds, or bytes, of n series: fixed + each * n."""

    fixed: float
    each: float

    @classmethod
    def through(cls, small: tuple[int, float], large: tuple[int, float]) -> Line:
        each = (large[1] - small[1]) / (large[0] - small[0])
        return cls(max(0.0, small[1] - each * small[0]), each)


def clocked(work: Callable[[], T]) -> tuple[T, float]:
    """What the work makes, and the seconds of the processor that it takes."""
    began = time.process_time()
    return work(), time.process_time() - began


def write_data(path: Path, series: int) -> None:
    random, t = np.random.default_rng(0), np.arange(DAYS)
    dates = [str(day) for day in np.datetime64("2026-01-01") + t]
    with path.open("w") as file:
        file.write("id,date,y\n")
        for s in range(series):
            y = random.uniform(10, 200) * (1 + 0.2 * np.sin(2 * np.pi * t / 7)) + random.normal(0, 5, DAYS)
            file.writelines(f"s{s:07},{date},{value:.2f}\n" for date, value in zip(dates, y.tolist(), strict=True))


def phases(folder: Path, series: int) -> dict[str, float]:
    """Seconds of each phase of one forecast of so many series, and bytes that it leaves."""
    data, out, ledger = folder / f"{series}.csv", folder / f"{series}-out.csv", Ledger(folder / f"{series}.db")
    write_data(data, series)
    source, found = DataSource(str(data)), dict[str, float]()
    (run, reading), found["read"] = clocked(lambda: prior_for(Workspace.at(folder), source, horizon=HORIZON))
    panel, page = reading.panel, Page(run.contract, run.predictor.config.model.levels, run.id)
    draft, found["fingerprint"] = clocked(lambda: Draft(issue_of(
        run=run.id, source=source, store=folder, file_sha256="", panel=panel, contract=run.contract,
        issued="2026-01-01T00:00:00Z", version="0", horizon=HORIZON, levels=page.levels, options=Options()), panel))
    parts, found["forecast"] = clocked(lambda: list(in_parts(run.predictor, panel, HORIZON)))

    def write() -> None:
        with writing(out, page, "default", panel) as put:
            for part in parts:
                put(part)

    def pack() -> None:
        for part in parts:
            draft.add(part, run.contract.decimals)

    found["write"], found["pack"] = clocked(write)[1], clocked(pack)[1]
    found["ledger"] = clocked(lambda: ledger.record(draft))[1]
    found["last issue"] = clocked(lambda: ledger.last_seen(draft.issue.place, draft.issue.subject))[1]
    return found | {"bytes in": data.stat().st_size, "bytes out": out.stat().st_size,
                    "bytes kept": ledger.path.stat().st_size}


def night(series: int, seconds: float, workers: int, random: np.random.Generator) -> tuple[float, int]:
    """(seconds until the last shard is done, shards that died): each is given to the core that is free first; one that
    dies half-way is begun again behind all others."""
    waiting, free, lost = [seconds * SHARD] * math.ceil(series / SHARD), [0.0] * workers, 0
    heapq.heapify(free)
    while waiting:
        took = waiting.pop() * random.lognormal(-SPREAD ** 2 / 2, SPREAD)
        if random.random() < LOST:
            waiting.insert(0, seconds * SHARD)
            took, lost = took / 2, lost + 1
        heapq.heapreplace(free, free[0] + took)
    return max(free), lost


def latencies(batch: int, cost: Line, cores: int, random: np.random.Generator) -> Iterator[float]:
    """How long each of a minute's batches takes from its first series to its answer, where a resident process a core
    answers them in turn."""
    free = [0.0] * cores
    for k in range(int(RATE * MINUTE / batch)):
        full = (k + 1) * batch / RATE
        took = (cost.fixed + cost.each * batch) * random.lognormal(-SPREAD ** 2 / 2, SPREAD)
        done = max(full, free[0]) + took
        heapq.heapreplace(free, done)
        yield done - k * batch / RATE


def main(small: int, large: int, machines: int, cores: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        phases(Path(name), 64)                                          # imports, and first arrays
        a, b = phases(Path(name), small), phases(Path(name), large)
    lines = {key: Line.through((small, a[key]), (large, b[key])) for key in a}
    random, million = np.random.default_rng(0), 1_000_000
    print(f"measured now at {small:,} and {large:,} series x {DAYS} days, {HORIZON} ahead, with the prior\n")
    print(f"{'a million series':<18} {'CPU s':>8} {'a call, s':>10}")
    times = [key for key in lines if not key.startswith("bytes")]
    for key in times:
        print(f"{key:<18} {lines[key].each * million:8.0f} {lines[key].fixed:10.3f}")
    whole = Line(sum(lines[key].fixed for key in times), sum(lines[key].each for key in times))
    print(f"{'together':<18} {whole.each * million:8.0f} {whole.fixed:10.3f}")
    print(f"{'--jobs':<18} {whole.each / (whole.each - lines['forecast'].each):8.1f} times one process at most: only "
          "the forecast is shared")
    for key in ("bytes in", "bytes out", "bytes kept"):
        print(f"{key:<18} {lines[key].each * million / 1e6:8.0f} MB")

    ledger, kept = lines["ledger"].each + lines["last issue"].each, lines["bytes kept"].each
    workers = machines * cores
    print(f"\n{NIGHT / 1e6:.0f} million series a night")
    print(f"one core           {whole.each * NIGHT / 3600:8.1f} h")
    print(f"one file           {lines['read'].each * NIGHT / 3600:8.1f} h to read, {VALUE * DAYS * NIGHT / 1e12:.1f} TB"
          " of memory, in every shard of it: each shard needs data of its own")
    print(f"one ledger         {ledger * NIGHT / 3600:8.2f} h of its one writer ({1 / ledger:,.0f} series a second), "
          f"{kept * NIGHT / 1e9:.1f} GB a night, {kept * NIGHT * 365 / 1e12:.1f} TB a year")
    each = whole.each + whole.fixed / SHARD
    took, lost = night(NIGHT, each, workers, random)
    moved = lines["bytes in"].each * NIGHT
    print(f"{machines} machines       {took / 60:8.1f} min for {math.ceil(NIGHT / SHARD):,} shards of {SHARD:,} on "
          f"{workers:,} cores, {each * NIGHT / (took * workers):.0%} of them busy, {lost} shards made twice")
    print(f"reading            {moved / machines / DISK / 60:8.1f} min a machine for its {moved / machines / 1e9:.0f} "
          f"GB of {moved / 1e12:.1f} TB")
    print(f"merge              {lines['bytes out'].each * NIGHT / DISK / 60:8.1f} min for one file of "
          f"{lines['bytes out'].each * NIGHT / 1e9:.0f} GB; none where shards stay parts of a folder")

    answer = Line(sum(lines[k].fixed for k in ("forecast", "write")), sum(lines[k].each for k in ("forecast", "write")))
    print(f"\n{RATE:,} series a second, answered by processes that hold the model")
    for batch in (10, 100, 1_000):
        need = math.ceil(RATE * (answer.each + answer.fixed / batch) / USED)
        found = np.sort(list(latencies(batch, answer, need, random)))
        print(f"batches of {batch:<7,} {need:8,} cores = {need / cores:.0f} machines, half within "
              f"{found[len(found) // 2] * 1000:,.0f} ms, 99 % within {found[int(0.99 * len(found))] * 1000:,.0f} ms")
    print(f"one ledger         {RATE * ledger:8.0%} of its one writer's time; "
          f"{kept * RATE * 86_400 / 1e9:,.0f} GB a day")
    print(f"\nassumed: each shard has files of its own; costs grow as measured; a core is as fast as one here; "
          f"{cores} cores a machine;\n{DISK / 1e6:.0f} MB/s of disk; {VALUE} bytes of memory a value; a shard's time "
          f"spreads by {SPREAD:.0%}, {LOST:.1%} of shards die half-way;\ncores that answer are used {USED:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    if THREADS not in os.environ:                                       # numpy asks once, when it is imported
        os.execve(sys.executable, [sys.executable, "-m", "tests.benchmarks.scale", *sys.argv[1:]],
                  os.environ | {THREADS: "1"})
    for flag, default in (("--small", 1_000), ("--large", 4_000), ("--machines", 100), ("--cores", 16)):
        parser.add_argument(flag, type=int, default=default)
    main(**vars(parser.parse_args()))
