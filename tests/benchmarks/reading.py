"""Reading: seconds and memory for a long file (id, timestamp, value), beside pandas in a process of its own each.

    python -m tests.benchmarks.reading [--rows 10000000] [--folder /tmp]"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

OURS = """
from forecast.reader import read_panel
panel = read_panel(path).panel
rows, total = panel.y.size, float(panel.y.sum())
"""
THEIRS = """
import pandas as pd
frame = pd.read_csv(path)
frame["timestamp"] = pd.to_datetime(frame["timestamp"])
rows, total = len(frame), float(frame["value"].sum())
"""
AROUND = """
import json, resource, sys, time
path = sys.argv[1]
{imports}
begin = time.perf_counter()
{work}
seconds = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(seconds=seconds, peak=peak, rows=rows, total=total)))
"""
IMPORTS = {"ours": "import forecast.reader", "pandas": "import pandas"}     # not part of what is timed


def write(path: Path, rows: int) -> None:
    """Hourly series of 10,000 steps each."""
    steps = 10_000
    rng = np.random.default_rng(0)
    stamps = (np.datetime64("2020-01-01", "s") + np.arange(steps).astype("timedelta64[h]"))
    times = pa.array(stamps).cast(pa.string())
    with path.open("wb") as stream:
        for k in range(rows // steps):
            table = pa.table({"id": [f"series_{k:05}"] * steps, "timestamp": times,
                              "value": np.round(rng.gamma(2.0, 50.0, steps), 3)})
            csv.write_csv(table, stream, csv.WriteOptions(include_header=k == 0, quoting_style="none"))


def measure(name: str, work: str, path: Path) -> dict[str, float]:
    code = AROUND.format(imports=IMPORTS[name], work=work)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.csv"
        write(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 2**20:,.0f} MiB")
        work = {"pandas": THEIRS, "ours": OURS}
        runs = [{name: measure(name, code, path) for name, code in work.items()} for _ in range(options.repeats)]
        best = {name: min((run[name] for run in runs), key=lambda run: run["seconds"]) for name in work}
        for name in best:
            print(f"{name:8}{best[name]['seconds']:8.2f} s {best[name]['peak']:8,.0f} MiB at most")
        assert best["ours"]["rows"] == best["pandas"]["rows"]
        assert abs(best["ours"]["total"] / best["pandas"]["total"] - 1) < 1e-9
        print(f"ratio   {best['ours']['seconds'] / best['pandas']['seconds']:8.2f}   "
              f"{best['ours']['peak'] / best['pandas']['peak']:8.2f}")


if __name__ == "__main__":
    main()
