"""What the prior is worth as a start: steps until a loss is reached, from the prior and from random weights.

    python tests/benchmarks/tuning.py FOLDER [--only WORD] [--longer N]

The prior is tuned as in `forecast train`: its steps, its look at held-out windows. The same network begins at random,
with a schedule N times as long (4). The last horizon of each series is cut off first and never looked at. Printed are
the loss of the prior as it came, the best loss of each, and the share of the tuning's steps after which each of the
two had come to the best loss of the tuning; "never" where it did not. One thread, one seed."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from forecast.config import Config
from forecast.model.plan import make_plan
from forecast.model.prior import Prior, shipped
from forecast.reading.reader import read_panel
from forecast.series.windows import evenly, windows_of
from forecast.system import machine
from forecast.training.loop import Course, Epoch
from forecast.training.torch_prior import TorchPrior
from forecast.training.tuning import RATE, STEPS, Lessons, tune

SETS = {"m1_quarterly_train.csv": (8, 4), "m1_monthly_train.csv": (18, 12), "m4_weekly.csv": (13, 52),
        "m4_hourly.csv": (48, 24), "monthly-sunspots.csv": (12, 12)}    # horizon, season
SERIES = 200                                                            # of a file, spread evenly


def lessons(path: Path, horizon: int, season: int) -> tuple[Lessons, Lessons]:
    """Windows to learn from, and those held out."""
    panel = read_panel(path).panel.drop_last(horizon).with_values()[0]
    panel = panel.take(evenly(len(panel), SERIES))
    plan = make_plan(Config().override({"model.horizon": str(horizon), "model.season": str(season)}, source="set"),
                     panel)
    known = panel.drop_last(plan.validation)
    sizes = {"horizon": horizon, "min_context": plan.min_context}
    return (Lessons(known, windows_of(known, **sizes), (season, 0), horizon),
            Lessons(panel, windows_of(panel, newest=plan.validation, **sizes), (season, 0), horizon))


def looks(prior: Prior, known: Lessons, held_out: Lessons, steps: int) -> list[Epoch]:
    course = Course(Config().train, 0, steps, RATE, None, None, torch.device("cpu"))
    return list(tune(prior, known, held_out, course))


def at_random() -> Prior:
    torch.manual_seed(0)
    return Prior({name: t.detach().numpy() for name, t in TorchPrior().state_dict().items()})


def reached(epochs: list[Epoch], goal: float) -> str:
    """The share of the tuning's steps."""
    return next((f"{e.steps / STEPS:.2f}" for e in epochs if e.valid_loss <= goal), "never")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--longer", type=int, default=4)
    options = parser.parse_args()
    machine.set_up("cpu", 1)
    heads = ("as it came", "tuned", "random", "longer", "tuned at", "random at")
    print(f"{'set':24s}" + "".join(f"{head:>11s}" for head in heads))
    for name, (horizon, season) in SETS.items():
        if options.only not in name:
            continue
        if not (options.folder / name).is_file():
            print(f"{name:24s} not in {options.folder}")
            continue
        known, held_out = lessons(options.folder / name, horizon, season)
        one = looks(shipped(), known, held_out, STEPS)
        other = looks(at_random(), known, held_out, STEPS)
        longer = looks(at_random(), known, held_out, options.longer * STEPS)
        goal = one[-1].best_loss
        print(f"{name:24s} {one[0].valid_loss:10.4f} {goal:10.4f} {other[-1].best_loss:10.4f} "
              f"{longer[-1].best_loss:10.4f} {reached(one, goal):>10s} {reached(longer, goal):>10s}", flush=True)


if __name__ == "__main__":
    main()
