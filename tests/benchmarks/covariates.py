"""What covariates are worth: electricity prices, bike rentals and shops, with them and without.

    python tests/benchmarks/covariates.py FOLDER [--windows N] [--before N] [--only np,fr,bike,shops,many]

FOLDER holds epf_np.csv, epf_fr.csv and bike_hourly.csv. Each is fitted once, at the default settings, on what lies
before its first window, and then forecasts each window from what was known there. `--before 60` leaves out the newest
60 windows: whatever is chosen is chosen there. Errors are MAE, over that of seasonal naive; 1 is as good as that.
`many` is 2,000 series of three years of days with six columns known ahead: what they cost train and predict."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from forecast.config import Config
from forecast.methods.baselines import SeasonalNaive
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats, Ints
from forecast.series.calendar import Calendar
from forecast.series.covariates import Column, Covariates
from forecast.series.panel import Panel
from forecast.training.fit import finished, fit, refit

HOURS, WEEK = 24, 168
SHOPS = Path(__file__).parents[2] / "data/shops.csv"


@dataclass(frozen=True)
class Task:
    """A file, which of its columns play which part, and how it is tested."""

    file: Path
    time: str
    target: str
    known: tuple[str, ...]
    freq: str = "h"
    horizon: int = 24
    season: int = 24
    windows: int = 20
    id: str | None = None


def panel_of(task: Task, frame: pd.DataFrame) -> Panel:
    """Series with their known columns beside them; words become numbers of a category."""
    calendar, series, values, starts = Calendar.of(task.freq), [], [], []
    words = {c: tuple(sorted(set(frame[c]))) for c in task.known if not pd.api.types.is_numeric_dtype(frame[c])}
    frame = frame.assign(**{c: frame[c].map(dict(zip(w, range(len(w)), strict=True))) for c, w in words.items()})
    groups = [("", frame)] if task.id is None else list(frame.groupby(task.id, sort=False))
    groups = [(name, part) for name, part in groups if len(part) > 2 * task.windows * task.horizon]     # not a new one
    for _, part in groups:
        at = calendar.ordinals(pd.to_datetime(part[task.time]).to_numpy("datetime64[us]"))
        whole = part.set_index(at).reindex(np.arange(at[0], at[-1] + 1))
        series.append(whole[task.target].interpolate(limit_area="inside").to_numpy(np.float64))
        values.append(whole[list(task.known)].to_numpy(np.float64))
        starts.append(int(at[0]))
    panel = Panel.of(series, calendar, ids=[str(name) for name, _ in groups], start=starts)
    beside = Covariates(tuple(Column(c, "known", words.get(c, ())) for c in task.known), np.concatenate(values),
                        panel.first, panel.start, panel.start + panel.lengths, np.empty((len(panel), 0)))
    return replace(panel, beside=beside, row=np.arange(len(panel)))


def cuts(task: Task) -> list[int]:
    """Steps back from the end at which the windows begin, the earliest first."""
    return [task.horizon * k for k in range(task.windows, 0, -1)]


def fitted(task: Task, panel: Panel) -> Predictor:
    known = panel.drop_last(cuts(task)[0])
    config = Config().override({"model.horizon": task.horizon}, source="benchmark")
    return finished(refit(finished(fit(Predictor.new(config, known), known)), known))


def errors(task: Task, panel: Panel, point: Floats) -> Floats:
    """(W * S,) mean absolute error of each window of forecasts (W * S, H)."""
    rolled = panel.rolled(cuts(task))
    series = np.tile(np.arange(len(panel)), task.windows)
    truth = panel.truth_at(series, rolled.end[:, None] + np.arange(task.horizon))
    return np.asarray(np.nanmean(np.abs(point - truth), axis=1))


def boosted(task: Task, panel: Panel) -> Floats:
    """One tree ensemble for all steps, on lags of a day and a week, the known columns and the clock: (W * S, H)."""
    assert panel.beside is not None
    random, rows = np.random.default_rng(0), []
    y, z = panel.values(0), panel.beside.values
    last = len(y) - cuts(task)[0]
    some = random.choice(np.arange(WEEK, last - task.horizon), 20_000)
    tree = HistGradientBoostingRegressor(loss="absolute_error", max_iter=300, random_state=0)
    x, target = zip(*(_told(y, z, int(c), int(random.integers(task.horizon))) for c in some), strict=True)
    tree.fit(np.array(x), np.array(target))
    for back in cuts(task):
        cut = len(y) - back
        rows.append(tree.predict(np.array([_told(y, z, cut, h)[0] for h in range(task.horizon)])))
    return np.array(rows)


def _told(y: Floats, z: Floats, cut: int, h: int) -> tuple[Floats, float]:
    at = cut + h
    lags = [cut - 1, cut - HOURS + h % HOURS, cut - 2 * HOURS + h % HOURS, cut - WEEK + h]
    clock = [h, at % HOURS, at // HOURS % 7, y[cut - HOURS:cut].mean(), y[cut - WEEK:cut].mean()]
    return np.r_[y[lags], z[at], z[at - HOURS], z[at - WEEK], clock], float(y[at])


def linear_of(predictor: Predictor, panel: Panel, reads: bool) -> Floats:
    """What the linear skip of the first member of a kind says."""
    k = next(k for k, m in enumerate(predictor.members) if m.reads_covariates == reads)
    said, _ = predictor.parts(panel, [f"linear.{k}"])
    return said[f"linear.{k}"][:, :, predictor.quantiles.index(0.5)]


def show(task: Task, panel: Panel, named: Sequence[tuple[str, Floats]], seconds: float) -> None:
    naive = errors(task, panel, SeasonalNaive(task.season, (0.5,)).predict(
        panel.rolled(cuts(task)), task.horizon).values[:, :, 0]).mean()
    line = "  ".join(f"{name} {error:.3f} ({error / naive:.3f})"
                     for name, point in named for error in [errors(task, panel, point).mean()])
    print(f"{task.file.stem:12} {seconds:5.0f} s of CPU  naive {naive:.3f}  {line}", flush=True)


def measure(task: Task, panel: Panel, *, tree: bool) -> None:
    """Print one line: MAE, and in brackets its ratio to seasonal naive."""
    begun, rolled = time.process_time(), panel.rolled(cuts(task))
    predictor = fitted(task, panel)
    said = [("with", predictor.predict(rolled, task.horizon).point)]
    if (without := predictor.without_covariates()) is not None:
        said.append(("without", without.predict(rolled, task.horizon).point))
    said += [("linear", linear_of(predictor, rolled, True)), ("linear without", linear_of(predictor, rolled, False))]
    seconds = time.process_time() - begun
    show(task, panel, [*said, ("trees", boosted(task, panel))] if tree else said, seconds)


def changed(panel: Panel, how: str) -> Panel:
    """Shops whose promotions are shuffled over time, or beside which five columns of noise stand."""
    assert panel.beside is not None
    random, beside = np.random.default_rng(0), panel.beside
    if how == "shuffled":
        order: Ints = random.permutation(len(beside.values))
        return replace(panel, beside=replace(beside, values=beside.values[order]))
    noise = random.normal(size=(len(beside.values), 5))
    columns = tuple(Column(f"noise{k}", "known") for k in range(5))
    return replace(panel, beside=replace(beside, columns=columns, values=noise))


def cost(folder: str, *words: str) -> tuple[float, float]:
    """Seconds of the processor, and GiB at most, of a command."""
    process = subprocess.Popen([sys.executable, "-m", "forecast", "-C", folder, "-q", *words])
    _, status, used = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"forecast {' '.join(words)}: exit {code}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2 ** 20


def measure_many(series: int = 2_000, days: int = 3 * 365, horizon: int = 14) -> None:
    """Print a line: what train and predict cost with six covariates, and how many times as much as without."""
    random, names = np.random.default_rng(0), [f"x{k}" for k in range(6)]
    rows = series * (days + horizon)
    known = pd.DataFrame(random.normal(size=(rows, 6)).round(3), columns=names)
    day = np.tile(np.arange(days + horizon), series)
    sales = (20 + 5 * np.sin(day / 7 * 2 * np.pi) + known.sum(axis=1) + random.normal(size=rows)).round(2)
    frame = pd.DataFrame({"id": np.repeat(np.arange(series), days + horizon), "sales": sales.where(day < days),
                          "date": pd.Timestamp("2023-01-01") + pd.to_timedelta(day, "D")}).join(known)
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(f"{folder}/with.csv", index=False)
        frame.loc[day < days, ["id", "date", "sales"]].to_csv(f"{folder}/without.csv", index=False)
        of: dict[str, list[tuple[float, float]]] = {}
        for name, roles in (("without", ()), ("with", ("--known", ",".join(names)))):
            store = ("--store", name, "--seed", "0")
            of[name] = [cost(folder, "train", f"{name}.csv", "--target", "sales", *store, *roles),
                        cost(folder, "predict", *store[:2])]
    for what, few, more in zip(("train", "predict"), *of.values(), strict=True):
        print(f"many: {what:8} {more[0]:.0f} s of CPU, {more[1]:.2f} GiB with six covariates; "
              f"{more[0] / few[0]:.2f} times the seconds, {more[1] / few[1]:.2f} times the memory of none", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--windows", type=int)
    parser.add_argument("--before", type=int, default=0)
    parser.add_argument("--only", default="np,fr,bike,shops,many")
    asked = parser.parse_args()
    prices = ("cov1", "cov2")
    tasks = {"np": Task(asked.folder / "epf_np.csv", "date", "price", prices),
             "fr": Task(asked.folder / "epf_fr.csv", "date", "price", prices),
             "bike": Task(asked.folder / "bike_hourly.csv", "date_time", "users", (
                 "holiday", "workingday", "weather", "temp", "atemp", "hum", "windspeed"), windows=100),
             "shops": Task(SHOPS, "date", "sales", ("promo", "price"), "D", 14, 7, 8, "store")}
    for name in asked.only.split(","):
        if name == "many":
            measure_many()
            continue
        task = replace(tasks[name], windows=asked.windows or tasks[name].windows)
        panel = panel_of(task, pd.read_csv(task.file, dtype={"store": str})).drop_last(asked.before * task.horizon)
        measure(task, panel, tree=name in ("np", "fr", "bike"))
        for how in ("shuffled", "noise") if name == "shops" else ():
            print(how, end=" ")
            measure(task, changed(panel, how), tree=False)


if __name__ == "__main__":
    main()
