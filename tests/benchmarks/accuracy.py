"""How good the forecasts are: the command line itself on real series, beside seasonal naive and other libraries.

    python tests/benchmarks/accuracy.py FOLDER [--only WORD] [--protocol NAME] [--dev] [--variants] [--best | --quick]
                                        [--peers VENV] [--peer NAME] [--keep DIR] [--peers-only]

FOLDER holds the public series named below; those that are missing are said and passed over. The protocols:
- rolling: `forecast evaluate` fits on what stands before the first cutoff and forecasts rolling windows after it.
- holdout: the last H points of each series are taken off; `forecast train` and `forecast predict` see the shortened
  file alone. M4 by its own H, MASE's m and OWA (its denominators are Naive2's on the official test, whatever the
  windows here); AirPassengers by 5 seeds.
- official: the M1 competition, its own test. The season is told.
- ltsf: ETTh1, 12/4/4 months, one forecast a time step of the test, MSE and MAE in standard deviations of the training
  part. Ours is fitted on all that stands before the test: training and validation part.
--dev moves everything to just before the test, which then is not looked at: that is where choices are made.
--variants adds a row for each change of a default in VARIANTS.

Scores are computed here, from the files that were written. MASE and sMAPE are per series, then averaged; ratio is MASE
(ltsf: MSE) over seasonal naive's; 80% and 95% are what the bands cover; width is that of the 80 % band in units of
MASE's scale, over seasonal naive's; cores are CPU seconds a second. Peers are run by peers.py, on the same windows of
the same series; their seconds are without imports. --keep DIR keeps their forecasts, and shows kept ones without
--peers."""

# S series  N values of all series  K windows  H horizon  m season

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OWN = ROOT / "data"
ROLLING: dict[str, tuple[int, int | None]] = {                          # windows: one series needs more; horizon
    "airpassengers.csv": (5, None), "monthly-sunspots.csv": (20, None), "daily-min-temperatures.csv": (20, None),
    "nab_nyc_taxi.csv": (20, None), "ETTh1.csv": (20, None), "shops.csv": (5, None), "m4_weekly.csv": (5, 13),
    "m4_hourly.csv": (3, 48)}
HOLDOUT: dict[str, tuple[int, int, tuple[float, float] | None, int]] = {    # H, m, Naive2's sMAPE and MASE, seeds
    "airpassengers.csv": (12, 12, None, 5), "m4_weekly.csv": (13, 1, (9.161, 2.777), 1),
    "m4_hourly.csv": (48, 24, (18.383, 2.395), 1)}
M1 = {"m1_yearly_train.csv": (6, 1), "m1_quarterly_train.csv": (8, 4), "m1_monthly_train.csv": (18, 12)}    # H, m
LTSF = {"ETTh1.csv": (96, 192, 336, 720)}
TRAINING, TEST = 8_640, 2_880                                           # rows of ltsf: training, validation = test
VARIANTS: dict[str, tuple[str, ...]] = {
    "1 network": ("--set", "model.members=1"),
    "8 networks, 2 x steps": ("--best",),
    "without the prior": ("--set", "model.prior=false"),
    "no blend": ("--set", "model.blend=false"),
    "bands as trained": ("--set", "model.conformal=false"),
    "linear skip alone": ("--set", "train.steps=0", "--set", "model.blend=false"),
    "no linear skip": ("--set", "model.skip=false"),
    "flat head": ("--set", "model.head=flat"),
    "no embedding": ("--set", "model.embedding=false"),
    "skip not trained": ("--set", "model.tune_skip=false"),
    "no final fit": ("--no-final-fit",),
    "never log": ("--set", "model.transform=none"),
    "per-series scaling": ("--set", "model.scaling=standard"),
    "segment of 1 point": ("--set", "model.segment=1"),
    "16 units": ("--hidden", "16"),
    "peephole": ("--cell", "peephole"),
    "coupled": ("--cell", "coupled"),
    "gru": ("--cell", "gru"),
    "rnn": ("--cell", "rnn"),
}
STATISTICAL, NEURAL = ("AutoTheta", "AutoETS", "Theta"), ("LSTM", "NHITS")
LEVELS = {80: 1.2815515655446004, 95: 1.959963984540054}                # band -> normal quantile of its upper end
COLUMNS = {"MASE": "8.3f", "MSE": "8.4f", "ratio": "7.3f", "MAE": "8.4f", "sMAPE": "8.2f", "OWA": "7.3f",
           "RMSE": "9.2f", "80%": "7.1%", "95%": "7.1%", "width": "7.2f", "fit s": "8.1f", "predict s": "10.1f",
           "cores": "6.1f"}


def times(column: pd.Series) -> pd.Series:
    """Steps as integers or times as stamps, whether a file holds them as text or typed."""
    if pd.api.types.is_string_dtype(column) and not column.str.fullmatch("[0-9]+").all():
        column = pd.to_datetime(column)
    return column.astype("datetime64[us]" if pd.api.types.is_datetime64_any_dtype(column) else np.int64)


@dataclass(frozen=True)
class Series:
    """A file as the program reads it, all series end to end."""

    columns: list[str]              # the file's own headers: id (where it has one) and time
    index: pd.MultiIndex            # N of id and time
    y: np.ndarray                   # (N,)

    @cached_property
    def start(self) -> np.ndarray:  # (S,) position of the first value of each series
        codes = self.index.get_level_values(0).to_numpy()
        return np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])

    @cached_property
    def stop(self) -> np.ndarray:   # (S,) one behind the last
        return np.r_[self.start[1:], len(self.y)]

    def cutoffs(self, back: Sequence[int]) -> np.ndarray:
        """(S, cutoffs) positions of the first value to forecast, ascending, so many steps back from the newest time of
        the file; integer steps, which are counted from 1 in each series: from each series' own end. Where a series is
        too short or ends too early for a cutoff, the position lies outside it."""
        stamps, ends = self.index.get_level_values(1), self.stop
        if pd.api.types.is_datetime64_any_dtype(stamps.dtype):
            newest = stamps.unique().sort_values()
            ends = self.stop + len(newest) - 1 - newest.get_indexer(stamps[self.stop - 1])
        return ends[:, None] - np.sort(back)[::-1]

    def where(self, frame: pd.DataFrame, time: str) -> np.ndarray:
        """(rows,) positions of a frame's ids and times; -1 where there is no such value."""
        ids = frame[self.columns[0]].astype(str) if len(self.columns) == 2 else pd.Series("", frame.index)
        return self.index.get_indexer(pd.MultiIndex.from_arrays([ids, times(frame[time])]))


@dataclass(frozen=True)
class Task:
    """Windows to forecast, and by what they are scored."""

    name: str
    series: Series
    cuts: np.ndarray                # (S, cutoffs) by Series.cutoffs
    horizon: int
    season: int                     # of MASE and of seasonal naive
    plan: dict[str, Any] = field(default_factory=dict)      # what the program would take: seasons, context
    naive2: tuple[float, float] | None = None               # its sMAPE and MASE, where OWA is defined
    unit: np.ndarray | None = None                          # (S,) what a step of ltsf's MSE is

    @cached_property
    def first(self) -> np.ndarray:  # (K,) position of the first value of each window, ascending
        return self.cuts[(self.cuts > self.series.start[:, None]) & (self.cuts < self.series.stop[:, None])]

    @cached_property
    def truth(self) -> np.ndarray:  # (K, H), NaN behind the end of a series
        at = self.first[:, None] + np.arange(self.horizon)
        stop = self.series.stop[self.of][:, None]
        return np.where(at < stop, self.series.y[np.minimum(at, stop - 1)], np.nan)

    @cached_property
    def of(self) -> np.ndarray:     # (K,) which series
        return np.searchsorted(self.series.start, self.first, side="right") - 1

    @cached_property
    def scale(self) -> np.ndarray:  # (S,) MASE's: mean |y_t - y_(t-m)| before the first cutoff; NaN where it is nothing
        ends = np.clip(self.cuts[:, 0], self.series.start, self.series.stop)
        known = [self.series.y[a:b] for a, b in zip(self.series.start, ends, strict=True)]
        sizes = [np.abs(y[self.season:] - y[:-self.season]).mean() if len(y) > self.season else 0.0 for y in known]
        return np.where(np.array(sizes) > 0, sizes, np.nan)


@dataclass(frozen=True)
class Forecast:
    point: np.ndarray                                       # (K, H), NaN where there is none
    bands: dict[int, tuple[np.ndarray, np.ndarray]]         # level -> low, high (K, H); empty where it has none
    cost: dict[str, float] = field(default_factory=dict)    # columns fit s, predict s, cores


def scores(task: Task, forecast: Forecast, there: np.ndarray) -> dict[str, float]:
    """The columns of a forecaster, over the steps that are `there` (K, H)."""
    error = np.where(there, forecast.point - task.truth, 0.0)
    if task.unit is not None:
        error = (error / task.unit[task.of][:, None])[there]
        return {"MSE": float((error ** 2).mean()), "MAE": float(np.abs(error).mean())}

    def by_series(values: np.ndarray) -> np.ndarray:
        sums, counts = (np.bincount(task.of, weights=x.sum(axis=1), minlength=len(task.series.start))
                        for x in (np.where(there, values, 0.0), there))
        return sums[counts > 0] / counts[counts > 0]

    scaled = task.scale[np.unique(task.of[there.any(axis=1)])]
    total = np.abs(task.truth) + np.abs(forecast.point)
    smape = by_series(200 * np.abs(error) / np.where(total > 0, total, 1.0)).mean()
    own = {"MASE": np.nanmean(by_series(np.abs(error)) / scaled), "sMAPE": smape}
    if task.naive2:
        own["OWA"] = (smape / task.naive2[0] + own["MASE"] / task.naive2[1]) / 2
    if len(scaled) == 1:
        own["RMSE"] = np.sqrt((error[there] ** 2).mean())
    for level, (low, high) in forecast.bands.items():
        own[f"{level}%"] = by_series((low <= task.truth) & (task.truth <= high)).mean()
    if 80 in forecast.bands:
        own["width"] = np.nanmean(by_series(forecast.bands[80][1] - forecast.bands[80][0]) / scaled)
    return {name: float(value) for name, value in own.items()}


def seasonal_naive(task: Task, season: int) -> Forecast:
    """The value one season before, the last one where there is no season; bands are normal, sigma the size of the
    residuals so far times the root of the seasons ahead (Hyndman & Athanasopoulos, 5.5)."""
    y, start, step = task.series.y, task.series.start[task.of], np.arange(task.horizon)
    lag = np.where(task.first - start > season, season, 1)              # (K,)
    point = y[(task.first - lag)[:, None] + step % lag[:, None]]
    sigma = np.zeros(len(lag))
    for m in {1, season}:
        squares = np.r_[np.zeros(m + 1), np.cumsum((y[m:] - y[:-m]) ** 2)]
        some = lag == m
        known = squares[task.first] - squares[np.minimum(start + m, task.first)]
        sigma[some] = np.sqrt(known / np.maximum(task.first - start - m, 1))[some]
    reach = sigma[:, None] * np.sqrt(step // lag[:, None] + 1)
    return Forecast(point, {level: (point - z * reach, point + z * reach) for level, z in LEVELS.items()})


# Our own command line ------------------------------------------------------------------------------------------------

def run(folder: Path, *arguments: object) -> tuple[str, float, float]:
    """Standard output, seconds and CPU seconds of `forecast ARGUMENTS`; ends the benchmark where it fails."""
    command = [sys.executable, "-m", "forecast", "-C", str(folder), *map(str, arguments)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode not in (0, 5):                                  # 5: some series fell back, which is scored
        sys.exit(f"{' '.join(command[2:])}: exit {ended.returncode}\n{ended.stderr}")
    return ended.stdout, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def read(folder: Path, file: Path) -> Series:
    run(folder, "check", file, "-o", "series.parquet")
    frame = pd.read_parquet(folder / "series.parquet")
    *keys, target = frame.columns[:3] if frame.shape[1] > 2 else frame.columns
    ids = frame[keys[0]].astype(str) if len(keys) == 2 else pd.Series("", frame.index)
    return Series(list(keys), pd.MultiIndex.from_arrays([ids, times(frame[keys[-1]])]), frame[target].to_numpy(float))


def planned(folder: Path, file: Path, *flags: object) -> dict[str, Any]:
    return dict(json.loads(run(folder, "train", file, "--dry-run", "--json", *flags)[0])["plan"])


def cut(folder: Path, file: Path, *, off: int = 0, rows: int | None = None) -> Path:
    """The file without the last `off` rows of each series, or its first `rows`; every cell as it was."""
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    groups = frame.groupby(frame.columns[0] if frame[frame.columns[0]].duplicated().any() else np.zeros(len(frame)),
                           sort=False)
    made = folder / f"{file.stem}-{rows or off}.csv"
    (frame.head(rows) if rows else groups.head(-off)).to_csv(made, index=False)
    return made


def laid_out(task: Task, frame: pd.DataFrame, cost: dict[str, float]) -> Forecast:
    """A file of our forecasts on the task's windows, joined by id, time and cutoff."""
    first = task.series.where(frame, "cutoff") + 1
    step = task.series.where(frame, task.series.columns[-1]) - first
    row = np.minimum(np.searchsorted(task.first, first), len(task.first) - 1)
    ours = (task.first[row] == first) & (step >= 0) & (step < task.horizon)
    if not ours.any():
        sys.exit(f"{task.name}: none of the {len(frame):,} forecasts is of a window that was asked for")

    def matrix(name: str) -> np.ndarray:
        values = np.full(task.truth.shape, np.nan)
        values[row[ours], step[ours]] = frame[name].to_numpy(float)[ours]
        return values

    bands = {q: (matrix(f"yhat_lo_{q}"), matrix(f"yhat_hi_{q}")) for q in LEVELS if f"yhat_lo_{q}" in frame}
    return Forecast(matrix("yhat"), bands, cost)


def evaluated(folder: Path, task: Task, file: Path, *flags: object) -> Forecast:
    out, seconds, cpu = run(folder, "evaluate", file, "--json", "--baselines", "seasonal_naive", "--predictions",
                            "backtest.parquet", *flags)
    name, said = next(iter(json.loads(out)["models"].items()))
    bands = [f"yhat_{side}_{q}" for q in LEVELS for side in ("lo", "hi")] if task.unit is None else []
    frame = pd.read_parquet(folder / "backtest.parquet", filters=[("model", "==", name)],
                            columns=[*task.series.columns, "cutoff", "yhat", *bands])
    made = laid_out(task, frame, {"fit s": seconds, "cores": cpu / seconds})
    own = scores(task, made, np.isfinite(made.point)).get("MASE", said["mase"])
    if abs(own - said["mase"]) > 0.01 * said["mase"]:
        print(f"  remark: `forecast evaluate` itself says MASE {said['mase']:.3f}, this file's scores {own:.3f}")
    return made


def trained(folder: Path, task: Task, file: Path, *flags: object) -> Forecast:
    _, fit, cpu = run(folder, "train", file, *flags)
    _, predict, more = run(folder, "predict", "-o", "predictions.csv")
    frame = pd.read_csv(folder / "predictions.csv", dtype={task.series.columns[0]: str})
    return laid_out(task, frame, {"fit s": fit, "predict s": predict, "cores": (cpu + more) / (fit + predict)})


def untrained(folder: Path, task: Task, file: Path, *flags: object) -> Forecast:
    """The prior alone, without any training."""
    _, seconds, cpu = run(folder, "predict", file, "--model", "prior", "-o", "prior.csv", *flags)
    frame = pd.read_csv(folder / "prior.csv", dtype={task.series.columns[0]: str})
    return laid_out(task, frame, {"predict s": seconds, "cores": cpu / seconds})


# The peers ------------------------------------------------------------------------------------------------------------

def peers(task: Task, asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Forecast, str]]:
    """Name, forecast and how it was made, of each peer that is kept or can be run."""
    content = task.series.y.tobytes() + task.first.astype(np.int64).tobytes() + bytes(str(task.horizon), "ascii")
    for name in asked.peer or (*(() if task.unit is not None else STATISTICAL), *NEURAL):
        key = f"{task.name.replace(' ', '-')}-{name}-{hashlib.sha256(content).hexdigest()[:8]}"
        out = (asked.keep or folder) / key
        kept = out.with_suffix(".json").is_file()
        if not kept and not asked.peers:
            continue
        if not kept and (problem := made_by_peer(task, asked.peers, name, out, folder)):
            print(f"  {name}: failed: {problem}")
            continue
        frame, said = pd.read_parquet(out.with_suffix(".parquet")), json.loads(out.with_suffix(".json").read_text())
        starts = np.repeat(task.first - task.series.start[task.of], task.horizon)
        if len(frame) != task.truth.size or not np.array_equal(frame["cutoff"], starts):
            sys.exit(f"{out}.parquet: not the windows of {task.name}; remove it")

        def matrix(column: str, frame: pd.DataFrame = frame) -> np.ndarray:
            return frame[column].to_numpy(float).reshape(task.truth.shape)

        bands = {q: (matrix(f"lo_{q}"), matrix(f"hi_{q}")) for q in LEVELS if f"lo_{q}" in frame}
        cost = {"fit s": said["fit"], "cores": said["cpu"] / (said["fit"] + (said["predict"] or 0))}
        cost |= {"predict s": said["predict"]} if said["predict"] else {}
        yield name, Forecast(matrix("yhat"), bands, cost), said["note"] + (", kept from an earlier run" if kept else "")


def made_by_peer(task: Task, venv: Path, name: str, out: Path, folder: Path) -> str:
    """Why the peer failed, or nothing."""
    ids = task.series.index.get_level_values(0).to_numpy()
    pd.DataFrame({"id": ids, "y": task.series.y}).to_parquet(folder / "series.parquet")
    pd.DataFrame({"id": ids[task.first], "cutoff": task.first - task.series.start[task.of]}).to_parquet(
        folder / "windows.parquet")
    (folder / "job.json").write_text(json.dumps({"horizon": task.horizon, "season": task.plan["seasons"][0],
                                                 "context": task.plan["context"]}))
    ended = subprocess.run([venv / "bin/python", "-W", "ignore", HERE / "peers.py", folder, name, out], cwd=folder,
                           capture_output=True, text=True, check=False)
    return (ended.stderr.strip().splitlines() or [f"exit {ended.returncode}"])[-1] if ended.returncode else ""


# The protocols --------------------------------------------------------------------------------------------------------

def rolling(name: str, file: Path, asked: argparse.Namespace, folder: Path) -> None:
    windows, given = ROLLING[name]
    flags = ("--horizon", given) if given else ()
    horizon = given or planned(folder, file)["horizon"]
    base = cut(folder, file, off=windows * horizon) if asked.dev else file
    series, plan = read(folder, base), planned(folder, base, *flags)
    cuts = series.cutoffs([horizon * k for k in range(1, windows + 1)])
    task = Task(f"{file.stem} rolling{' dev' * asked.dev}", series, cuts, horizon, plan["seasons"][0], plan)
    show(task, asked, folder, lambda extra: [evaluated(folder, task, base, *flags, "--windows", windows, *extra)])


def holdout(name: str, file: Path, asked: argparse.Namespace, folder: Path) -> None:
    horizon, season, naive2, seeds = HOLDOUT[name]
    base = cut(folder, file, off=horizon) if asked.dev else file
    short = cut(folder, base, off=horizon)
    series, plan = read(folder, base), planned(folder, short, "--horizon", horizon)
    task = Task(f"{file.stem} holdout{' dev' * asked.dev}", series, series.cutoffs([horizon]), horizon, season, plan,
                naive2)
    show(task, asked, folder, lambda extra: [
        trained(folder, task, short, "--horizon", horizon, "--seed", seed, *extra) for seed in range(seeds)],
        lambda: untrained(folder, task, short, "--horizon", horizon))


def official(name: str, file: Path, asked: argparse.Namespace, folder: Path) -> None:
    (horizon, season), whole = M1[name], folder / name
    known = cut(folder, file, off=horizon) if asked.dev else file
    test = () if asked.dev else (file.with_name(name.replace("train", "test")),)
    parts = [pd.read_csv(f, dtype=str) for f in (file, *test)]
    pd.concat(parts).sort_values(parts[0].columns[0], kind="stable").to_csv(whole, index=False)
    flags = ("--horizon", horizon, "--season", season)
    series, plan = read(folder, whole), planned(folder, known, *flags)
    task = Task(f"{file.stem.removesuffix('_train')} official{' dev' * asked.dev}", series, series.cutoffs([horizon]),
                horizon, season, plan)
    show(task, asked, folder, lambda extra: [trained(folder, task, known, *flags, *extra)],
         lambda: untrained(folder, task, known, *flags))


def ltsf(name: str, file: Path, asked: argparse.Namespace, folder: Path) -> None:
    base = cut(folder, file, rows=TRAINING + TEST * (1 if asked.dev else 2))
    series = read(folder, base)
    unit = np.array([series.y[a:a + TRAINING].std() for a in series.start])
    for horizon in LTSF[name]:
        cuts = series.cutoffs(range(horizon, TEST + 1))
        plan = planned(folder, base, "--horizon", horizon)
        task = Task(f"{file.stem} ltsf {horizon}{' dev' * asked.dev}", series, cuts, horizon, plan["seasons"][0], plan,
                    unit=unit)
        flags = ("--horizon", horizon, "--test-size", TEST, "--step", 1)
        show(task, asked, folder, lambda extra, task=task, flags=flags: [
            evaluated(folder, task, base, *flags, *extra)])


PROTOCOLS = {"rolling": (rolling, ROLLING), "holdout": (holdout, HOLDOUT), "official": (official, M1),
             "ltsf": (ltsf, LTSF)}


def show(task: Task, asked: argparse.Namespace, folder: Path,
         forecasts: Callable[[Sequence[str]], list[Forecast]], alone: Callable[[], Forecast] | None = None) -> None:
    """The table of a task: ours (`forecasts(flags)`, one a seed), the prior `alone`, seasonal naive, naive, peers."""
    naive, there = seasonal_naive(task, task.season), np.isfinite(task.truth)
    left_out = ("MSE", "MAE") if task.unit is None else ("MASE", "sMAPE", "OWA", "RMSE", "80%", "95%", "width")
    columns = {c: (int(form.split(".")[0]), form) for c, form in COLUMNS.items() if c not in left_out}
    print(f"{task.name}: {len(task.series.start)} series, {len(task.first):,} windows x {task.horizon} steps, "
          f"m = {task.season}\n{'':<22}" + "".join(f"{c:>{wide}}" for c, (wide, _) in columns.items()), flush=True)

    def row(label: str, several: Sequence[Forecast]) -> None:
        reference = scores(task, naive, there)
        own = [scores(task, f, there) | f.cost for f in several]
        mean = {c: float(np.mean([o[c] for o in own])) for c in own[0]}
        lead = "MSE" if "MSE" in mean else "MASE"
        mean["ratio"] = mean[lead] / reference[lead]
        if "width" in mean:
            mean["width"] /= reference["width"]
        cells = (format(mean[c], form) if np.isfinite(mean.get(c, np.nan)) else "-".rjust(wide)
                 for c, (wide, form) in columns.items())
        print(f"  {label:<20}" + "".join(cells), flush=True)
        if len(own) > 1:
            print(f"  {'':<20}RMSE by seed: " + " ".join(f"{o['RMSE']:.2f}" for o in own), flush=True)

    if not asked.peers_only:
        for label, flags in ({"forecast": ()} | (VARIANTS if asked.variants else {})).items():
            made = forecasts((*asked.preset, *flags))
            if label == "forecast" and not (ours := np.isfinite(made[0].point))[there].all():
                print(f"  remark: {(there & ~ours).sum():,} steps that `forecast` did not score are left out for all")
                there &= ours
            row(label + "".join(f" {p}" for p in asked.preset), made)
        if alone is not None:
            row("prior alone", [alone()])
    row("seasonal naive", [naive])
    if task.season > 1:
        row("naive", [seasonal_naive(task, 1)])
    for name, forecast, note in peers(task, asked, folder):
        row(name, [forecast])
        print(f"  {'':<20}{note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", metavar="WORD", help="sets whose name holds it")
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS, help="all by default")
    parser.add_argument("--dev", action="store_true", help="one test earlier: for choices")
    parser.add_argument("--variants", action="store_true", help="a row for each change of a default")
    for flag in ("--best", "--quick"):
        parser.add_argument(flag, dest="preset", action="append_const", const=flag, help="given to the program")
    parser.add_argument("--peers", type=Path, metavar="VENV", help="their environment, by `make peers`: .venv-peers")
    parser.add_argument("--peer", action="append", choices=(*STATISTICAL, *NEURAL), help="all by default")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where forecasts of the peers are kept")
    parser.add_argument("--peers-only", action="store_true", help="leave out the program itself")
    asked = parser.parse_args()
    asked.preset = asked.preset or []
    if not asked.folder.is_dir():
        sys.exit(f"{asked.folder}: there is no such folder; it should hold {', '.join(ROLLING)}")
    if asked.peers and not (asked.peers / "bin/python").is_file():
        sys.exit(f"{asked.peers}: there is no environment with bin/python; `make peers` sets one up in .venv-peers")
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
        asked.keep = asked.keep.resolve()
    asked.peers = asked.peers and asked.peers.absolute()
    print(f"{len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f}{'; dev: not the test' * asked.dev}")
    for name in (*ROLLING, *M1):
        if asked.only and not any(word in name for word in asked.only):
            continue
        file = next((f.resolve() for f in (asked.folder / name, OWN / name) if f.is_file()), None)
        if file is None:
            print(f"{name}: not in {asked.folder}, passed over")
            continue
        for protocol in asked.protocol or PROTOCOLS:
            protocol_of, sets = PROTOCOLS[protocol]
            if name in sets:
                with tempfile.TemporaryDirectory() as folder:
                    protocol_of(name, file, asked, Path(folder))


if __name__ == "__main__":
    main()
