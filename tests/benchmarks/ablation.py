"""What carries the network: one network alone, under changes of a setting each, before the last horizon of the series.

    python tests/benchmarks/ablation.py FOLDER [--only WORD] [--seeds N] [--series N] [--variant NAME] [--set KEY=VALUE]

The last horizon of each series is cut off first and never looked at. Of what is left, the last windows are forecast by
one network (no blend, no final fit) that was trained on what stands before them. One thread; seconds are of the CPU.
MASE and sMAPE are means over series; relative is the mean of both over those of seasonal naive, the geometric mean over
sets at the end."""

# S series  H horizon

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from forecast.config import Config
from forecast.methods.baselines import SeasonalNaive
from forecast.model.predictor import Predictor
from forecast.reading.reader import read_panel
from forecast.scoring.metrics import seasonal_scale
from forecast.series.panel import Panel
from forecast.series.windows import evenly

OWN = Path(__file__).resolve().parents[2] / "data"
SETS: dict[str, tuple[int, int, int]] = {                               # windows, horizon, season
    "m4_hourly.csv": (1, 48, 24), "m4_weekly.csv": (1, 13, 1), "m1_monthly_train.csv": (1, 18, 12),
    "m1_quarterly_train.csv": (1, 8, 4), "ETTh1.csv": (20, 24, 24), "nab_nyc_taxi.csv": (20, 48, 48),
    "daily-min-temperatures.csv": (20, 14, 7), "monthly-sunspots.csv": (20, 12, 12), "airpassengers.csv": (3, 12, 12),
    "shops.csv": (5, 14, 7)}
ALONE: dict[str, Any] = {"model.members": 1, "model.blend": False, "train.final_fit": False, "train.threads": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {}, "linear skip alone": {"train.steps": 0}, "flat head": {"model.head": "flat"},
    "no embedding": {"model.embedding": False}, "skip fixed": {"model.tune_skip": False},
    "as before": {"model.head": "flat", "model.embedding": False, "model.tune_skip": False},
    "no skip": {"model.skip": False}, "attention": {"model.attention": True},
    "both directions": {"model.bidirectional": True}, "log": {"model.transform": "log"},
    "values": {"model.transform": "none"}, "twice the steps": {"train.effort": 2.0},
    "half the steps": {"train.effort": 0.5}, "lr .001": {"train.lr": 0.001}, "lr .003": {"train.lr": 0.003},
    "lr .01": {"train.lr": 0.01}, "64 units": {"model.hidden": 64}, "128 units": {"model.hidden": 128},
    "no averaging": {"train.averaging": 0.0}, "dropout 0": {"model.dropout": 0.0}, "dropout .3": {"model.dropout": 0.3},
}


class Score(NamedTuple):
    mase: float
    smape: float


def score(panel: Panel, known: list[Panel], forecasts: list[np.ndarray], season: int) -> Score:
    """Of forecasts (S, H) made where each known panel ends; series that go on for the whole horizon count."""
    scale, errors = seasonal_scale(known[0].truth, known[0].first, known[0].stop, season), []
    for past, forecast in zip(known, forecasts, strict=True):
        at = past.stop[:, None] + np.arange(forecast.shape[1])
        there = (at[:, -1] < panel.stop) & (past.lengths > 0)
        truth = panel.truth[np.where(there[:, None], at, 0)]
        size = np.abs(truth - forecast)
        with np.errstate(all="ignore"):
            relative = np.where(size > 0, 200 * size / (np.abs(truth) + np.abs(forecast)), 0.0)
        errors.append(np.where(there[:, None, None], np.stack([size, relative], axis=1), np.nan).mean(axis=2))
    by_series = np.nanmean(np.stack(errors), axis=0)                    # (S, 2)
    return Score(float(np.nanmean(by_series[:, 0] / np.where(scale > 0, scale, np.nan))),
                 float(np.nanmean(by_series[:, 1])))


def trial(name: str, panel: Panel, settings: dict[str, Any], seed: int) -> tuple[Score, Score, float, Predictor]:
    """Score of the network, of seasonal naive, CPU seconds, and the predictor."""
    from forecast.training.fit import finished, fit

    windows, horizon, season = SETS[name]
    panel = panel.take(np.flatnonzero(panel.drop_last(horizon * (windows + 1)).lengths)).drop_last(horizon)
    known = [panel.drop_last(horizon * k) for k in range(windows, 0, -1)]
    config = Config().override({"model.horizon": horizon, "train.seed": seed, **ALONE, **settings}, source="benchmark")
    began = time.process_time()
    predictor = finished(fit(Predictor.new(config, known[0]), known[0]))
    seconds = time.process_time() - began
    naive = SeasonalNaive(season, predictor.quantiles)
    ours = [predictor.predict(past, horizon).point for past in known]
    return (score(panel, known, ours, season),
            score(panel, known, [naive.predict(past, horizon).point for past in known], season), seconds, predictor)


def files(folder: Path, only: list[str] | None) -> Iterator[tuple[str, Path]]:
    for name in SETS:
        file = next((f for f in (folder / name, OWN / name) if f.is_file()), None)
        if file and (not only or any(word in name for word in only)):
            yield name, file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", metavar="WORD", help="sets whose name holds it")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="all by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of all variants")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--series", type=int, default=10**6, help="at most so many of a set, spread evenly")
    asked = parser.parse_args()
    common = dict(text.split("=", 1) for text in asked.set)
    relative: dict[str, list[float]] = {}
    for name, file in files(asked.folder, asked.only):
        panel = read_panel(file).panel.with_values()[0]
        panel = panel.take(evenly(len(panel), asked.series))
        for variant in asked.variant or VARIANTS:
            trials = [trial(name, panel, common | VARIANTS[variant], seed) for seed in range(asked.seeds)]
            rows = [[ours.mase, ours.smape, np.mean(np.divide(ours, naive)), cpu] for ours, naive, cpu, _ in trials]
            ours = np.array(rows).mean(axis=0)
            relative.setdefault(variant, []).append(ours[2])
            plan, member = trials[0][3].plan, trials[0][3].members[0]
            print(f"{name:<28}{variant:<20}MASE {ours[0]:7.4f}  sMAPE {ours[1]:7.3f}  relative {ours[2]:6.4f}  "
                  f"{ours[3]:5.0f} s  L {plan.context} segment {plan.segment} D {plan.hidden} lr {plan.lr:g} "
                  f"{member.units.transform} {member.steps} of {plan.steps}", flush=True)
    for variant, values in relative.items():
        print(f"{'all ' + str(len(values)):<28}{variant:<20}{'':<29}relative {np.exp(np.log(values).mean()):6.4f}")


if __name__ == "__main__":
    main()
