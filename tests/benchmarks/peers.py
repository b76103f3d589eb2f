"""What other libraries forecast for the windows of `accuracy.py`. Runs inside their own environment (`make peers`).

    .venv-peers/bin/python tests/benchmarks/peers.py JOB NAME OUT

JOB is a folder of series.parquet (id, y: all values, in order), windows.parquet (id, cutoff: points known) and
job.json (horizon, season, context). OUT.parquet gets id, cutoff, step, yhat and, from those that have them, lo_80,
hi_80, lo_95, hi_95, in the order of the windows; OUT.json seconds, CPU seconds and a note on how it was run. Imports
are not timed. Time is counted in steps, so no peer sees a calendar."""

# S series  K windows  H horizon

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

LEVELS = (80, 95)
MOST = 1_000                            # newest points that a statistical model is given: it fits each window anew
STEPS = 1_000                           # training steps of a neural one; everything else by its own defaults
NEURAL = ("LSTM", "NHITS")


class Job(NamedTuple):
    values: dict[str, Any]              # id -> (T,) all values
    windows: list[tuple[str, int]]      # K of id and points known
    horizon: int
    season: int
    context: int


class Said(NamedTuple):
    columns: dict[str, Any]             # yhat, lo_80 ...: (K * H,) each
    fit: float                          # seconds, of all where it does both at once
    predict: float | None
    cpu: float                          # seconds of all threads, of both
    note: str


def read(folder: Path) -> Job:
    series, windows = (pd.read_parquet(folder / f"{name}.parquet") for name in ("series", "windows"))
    values = {str(name): part.to_numpy() for name, part in series.groupby("id", sort=False)["y"]}
    return Job(values, list(windows.itertuples(index=False, name=None)),
               **json.loads((folder / "job.json").read_text()))


def long(parts: list[Any]) -> pd.DataFrame:
    """Arrays as Nixtla's frame, the k-th under the id k: their results come sorted by it."""
    sizes = [len(part) for part in parts]
    return pd.DataFrame({"unique_id": np.repeat(np.arange(len(parts)), sizes),
                         "ds": np.concatenate([np.arange(n) for n in sizes]), "y": np.concatenate(parts)})


def statistical(job: Job, name: str) -> Said:
    """One fit a window, on one core."""
    from statsforecast import StatsForecast, models

    frame = long([job.values[i][max(0, cutoff - MOST):cutoff] for i, cutoff in job.windows])
    start, cpu = time.perf_counter(), time.process_time()
    made = StatsForecast(models=[getattr(models, name)(season_length=job.season)], freq=1, n_jobs=1).forecast(
        df=frame, h=job.horizon, level=list(LEVELS))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    bands = {f"{side}_{level}": made[f"{name}-{side}-{level}"].to_numpy() for level in LEVELS for side in ("lo", "hi")}
    return Said({"yhat": made[name].to_numpy()} | bands, seconds, None, cpu,
                f"season {job.season}, fitted at each window on at most its newest {MOST:,} points")


def neural(job: Job, name: str) -> Said:
    """One fit on what all series knew at their first cutoffs, then a forecast of every window."""
    from neuralforecast import NeuralForecast, models

    known: dict[str, int] = {}
    for i, cutoff in job.windows:
        known[i] = min(cutoff, known.get(i, cutoff))
    model = getattr(models, name)(h=job.horizon, input_size=job.context, max_steps=STEPS, accelerator="cpu",
                                  logger=False, enable_checkpointing=False, enable_progress_bar=False)
    forecaster = NeuralForecast(models=[model], freq=1)
    start, cpu = time.perf_counter(), time.process_time()
    forecaster.fit(long([job.values[i][:cutoff] for i, cutoff in known.items()]))
    fitted = time.perf_counter()
    made = forecaster.predict(long([job.values[i][max(0, cutoff - job.context):cutoff] for i, cutoff in job.windows]))
    seconds, cpu = time.perf_counter() - fitted, time.process_time() - cpu
    return Said({"yhat": made[name].to_numpy()}, fitted - start, seconds, cpu,
                f"defaults, input_size {job.context}, max_steps {STEPS:,}, one seed; no bands by default")


def main() -> None:
    job, name, out = read(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
    said = (neural if name in NEURAL else statistical)(job, name)
    ids, cutoffs = zip(*job.windows, strict=True)
    keys = {"id": pd.Categorical(ids).repeat(job.horizon), "cutoff": np.repeat(cutoffs, job.horizon),
            "step": np.tile(np.arange(1, job.horizon + 1), len(ids))}
    pd.DataFrame(keys | said.columns).to_parquet(out.with_suffix(".parquet"), index=False)
    out.with_suffix(".json").write_text(json.dumps({        # written last: where it is, the forecasts are whole
        "fit": said.fit, "predict": said.predict, "cpu": said.cpu, "note": said.note}))


if __name__ == "__main__":
    main()
