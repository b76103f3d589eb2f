"""What other libraries forecast for the windows of `accuracy.py`. Runs inside their own environment (`make peers`).

    .venv-peers/bin/python tests/benchmarks/peers.py JOB NAME OUT

JOB is a folder of series.parquet (id, y: all values, in order), windows.parquet (id, cutoff: points known) and
job.json (horizon, season, context). OUT.parquet gets id, cutoff, step, yhat and, from those that have them, lo_80,
hi_80, lo_95, hi_95, in the order of the windows; OUT.json seconds, CPU seconds and a note on how it was run. Imports
are not timed. Time is counted in steps, so no peer sees a calendar.

For `speed.py`, mostly neuralforecast's LSTM, with its own defaults but for what is said:

    peers.py --steps SIZE           JSON as steps.py has it: seconds of one of its training steps
    peers.py --fit FILE FOLDER      saves a model of five steps: 24 ahead of 42 points, id, date and sales by name
    peers.py --predict FILE FOLDER OUT.csv
                                    reads the file, loads the model, forecasts, writes; says `read` and the clock's
                                    time on stderr when the file is read
    peers.py --statistical FILE OUT.csv
                                    reads the file, fits statsforecast's AutoETS and AutoTheta to each of its series of
                                    days on two cores, and writes what they say of the next 24
    peers.py --curve FILE CONTEXT HORIZON OUT.json
                                    seconds and MASE over a training of 1,000 steps, the last HORIZON points held out"""

# S series  K windows  H horizon

from __future__ import annotations

import copy
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
QUIET = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
SERIES, POINTS = 100, 1000              # in the data of --steps, as steps.py makes them
LOOKS = (10, 30, 100, 200, 300, 500, 700, 1_000)                    # training steps at which --curve forecasts


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
    model = getattr(models, name)(h=job.horizon, input_size=job.context, max_steps=STEPS, **QUIET)
    forecaster = NeuralForecast(models=[model], freq=1)
    start, cpu = time.perf_counter(), time.process_time()
    forecaster.fit(long([job.values[i][:cutoff] for i, cutoff in known.items()]))
    fitted = time.perf_counter()
    made = forecaster.predict(long([job.values[i][max(0, cutoff - job.context):cutoff] for i, cutoff in job.windows]))
    seconds, cpu = time.perf_counter() - fitted, time.process_time() - cpu
    return Said({"yhat": made[name].to_numpy()}, fitted - start, seconds, cpu,
                f"defaults, input_size {job.context}, max_steps {STEPS:,}, one seed; no bands by default")


def steps(text: str) -> None:
    import torch
    from neuralforecast import NeuralForecast, models
    from pytorch_lightning.callbacks import Callback

    size, ended = json.loads(text), list[float]()
    clock = time.process_time if size["threads"] == 1 else time.perf_counter           # as steps.py has it

    class Ends(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            ended.append(clock())

    torch.set_num_threads(size["threads"])
    rng, wave = np.random.default_rng(0), 10 + np.sin(np.arange(POINTS) * 2 * np.pi / 24)
    model = models.LSTM(h=size["horizon"], input_size=size["context"], encoder_hidden_size=size["hidden"],
                        encoder_n_layers=size["layers"], windows_batch_size=size["batch"],
                        max_steps=size["steps"] + 2, callbacks=[Ends()], **QUIET)
    NeuralForecast(models=[model], freq=1).fit(long([wave + 0.1 * rng.normal(size=POINTS) for _ in range(SERIES)]))
    print(json.dumps((ended[-1] - ended[1]) / (len(ended) - 2)))    # two warm up


def table(file: str) -> pd.DataFrame:
    return pd.read_csv(file, parse_dates=["date"]).rename(columns={"id": "unique_id", "date": "ds", "sales": "y"})


def fit(file: str, folder: str) -> None:
    from neuralforecast import NeuralForecast, models

    forecaster = NeuralForecast(models=[models.LSTM(h=24, input_size=42, max_steps=5, **QUIET)], freq="D")
    forecaster.fit(table(file))
    forecaster.save(folder, save_dataset=False, overwrite=True)


def predict(file: str, folder: str, out: str) -> None:
    from neuralforecast import NeuralForecast

    known = table(file)
    print(f"\nread {time.monotonic()}", file=sys.stderr)
    NeuralForecast.load(folder).predict(known).to_csv(out, index=False)


def both_statistical(file: str, out: str) -> None:
    from statsforecast import StatsForecast, models

    known = table(file)
    made = StatsForecast(models=[models.AutoETS(season_length=7), models.AutoTheta(season_length=7)], freq="D",
                         n_jobs=2).forecast(df=known, h=24, level=list(LEVELS))
    made.to_csv(out, index=False)


def curve(file: str, context: str, horizon: str, out: str) -> None:
    """Weights are put aside at each look and asked at the end, so that only training is timed."""
    from neuralforecast import NeuralForecast, models
    from pytorch_lightning.callbacks import Callback

    ahead, kept = int(horizon), dict[int, tuple[float, Any]]()
    data = pd.read_csv(file)
    data.columns = pd.Index(["unique_id", "ds", "y"])
    last = data.groupby("unique_id", sort=False).cumcount(ascending=False) < ahead

    class Looks(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            if trainer.global_step in LOOKS:
                kept[trainer.global_step] = time.perf_counter() - start, copy.deepcopy(module.state_dict())

    model = models.LSTM(h=ahead, input_size=int(context), max_steps=LOOKS[-1], callbacks=[Looks()], **QUIET)
    forecaster = NeuralForecast(models=[model], freq=1)
    start = time.perf_counter()
    forecaster.fit(data[~last])
    said = []
    for seconds, weights in kept.values():
        forecaster.models[0].load_state_dict(weights)
        said.append((seconds, mase(data[~last], data[last], forecaster.predict())))
    Path(out).write_text(json.dumps(said))


def mase(known: pd.DataFrame, truth: pd.DataFrame, said: pd.DataFrame, season: int = 24) -> float:
    scale = known.groupby("unique_id")["y"].agg(lambda y: y.diff(season).abs().mean())
    both = truth.merge(said, on=["unique_id", "ds"], validate="one_to_one")
    if len(both) != len(truth):
        raise ValueError(f"{len(both)} of {len(truth)} values are forecast")
    return float(((both["y"] - both["LSTM"]).abs().groupby(both["unique_id"]).mean() / scale).mean())


MODES = {"--steps": steps, "--fit": fit, "--predict": predict, "--curve": curve, "--statistical": both_statistical}


def main() -> None:
    if sys.argv[1] in MODES:
        return MODES[sys.argv[1]](*sys.argv[2:])
    job, name, out = read(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
    said = (neural if name in NEURAL else statistical)(job, name)
    ids, cutoffs = zip(*job.windows, strict=True)
    keys = {"id": pd.Categorical(ids).repeat(job.horizon), "cutoff": np.repeat(cutoffs, job.horizon),
            "step": np.tile(np.arange(1, job.horizon + 1), len(ids))}
    pd.DataFrame(keys | said.columns).to_parquet(out.with_suffix(".parquet"), index=False)
    out.with_suffix(".json").write_text(json.dumps({        # written last: where it is, the forecasts are whole
        "fit": said.fit, "predict": said.predict, "cpu": said.cpu, "note": said.note}))
    return None


if __name__ == "__main__":
    main()
