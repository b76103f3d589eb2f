"""What a large folder of Parquet files costs: `python tests/benchmarks/folders.py` builds one of 2,000 files and 40
million rows, hour by hour of 20,000 meters, in a temporary place; trains on the first hundredth of it, and forecasts
all of it into another folder. It prints the peak of memory and the seconds of that forecast.

--by id: each file holds some series whole. --by time: each file holds some hours of all series."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HOUR = np.timedelta64(1, "h")
BEGIN = np.datetime64("2025-01-01", "us")
LEAN = ("--quick", "--set", "train.steps=20", "--set", "model.members=1", "--set", "model.prior=false")


def write(path: Path, first: int, series: int, begin: int, hours: int) -> None:
    """A file of `series` meters from the `first` on, and of `hours` from hour `begin` on, meter by meter."""
    rng = np.random.default_rng([first, begin])
    at = begin + np.arange(hours)
    values = (60 + 20 * np.sin(2 * np.pi * at / 24)) * (1 + np.arange(first, first + series)[:, None] % 7)
    names = pa.array([f"meter-{k:06d}" for k in range(first, first + series)])
    ids = pa.DictionaryArray.from_arrays(np.repeat(np.arange(series, dtype=np.int32), hours), names)
    pq.write_table(pa.table({"id": ids, "time": np.tile(BEGIN + at * HOUR, series),
                             "y": np.round(values + rng.normal(0, 5, values.shape), 2).ravel()}), path)


def build(place: Path, asked: argparse.Namespace, files: int) -> None:
    """The first `files` of all files."""
    place.mkdir()
    for k in range(files):
        if asked.by == "id":
            each = asked.series // asked.files
            write(place / f"{k:05d}.parquet", k * each, each, 0, asked.hours)
        else:
            begin, end = (asked.hours * n // asked.files for n in (k, k + 1))
            if end > begin:
                write(place / f"{k:05d}.parquet", 0, asked.series, begin, end - begin)


def forecast(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "forecast", "-C", folder, "-q", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--series", type=int, default=20_000)
    parser.add_argument("--hours", type=int, default=2_000)
    parser.add_argument("--by", choices=("id", "time"), default="id")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        build(place / "all", asked, asked.files)
        part = argparse.Namespace(**vars(asked) | {"series": max(1, asked.series // 100), "files": 1, "by": "id"})
        build(place / "part", part, 1)
        forecast(place, "train", "part", *LEAN)
        began = time.perf_counter()
        pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "forecast", "-C", str(place), "-q",
                                                      "predict", "all", "-o", "out/"])
        _, status, used = os.wait4(pid, 0)
        assert status == 0
        seconds, busy = time.perf_counter() - began, used.ru_utime + used.ru_stime
        print(f"{asked.files:,} files by {asked.by}, {asked.series * asked.hours / 1e6:,.0f} million rows: peak "
              f"{used.ru_maxrss / 1024:,.0f} MiB, {seconds:.0f} s, {busy:.0f} s of CPU")


if __name__ == "__main__":
    main()
