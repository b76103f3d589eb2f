"""The backtest table: what a default does on real series, beside seasonal naive, through the command line itself.

    python tests/benchmarks/accuracy.py FOLDER [--only NAME] [--variants]

FOLDER holds the public series named in SETS; those that are missing are said and passed over. For each, `forecast
evaluate` fits on what stands before the first cutoff and scores rolling windows after it. --variants adds a row for
each change of a default in VARIANTS. MASE and skill are the means over series; width is that of the 80 % band as a
ratio to seasonal naive's."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OWN = Path(__file__).resolve().parents[2] / "data"
MANY, FEW = ("--windows", "20"), ("--windows", "5")                      # one series needs more windows to say much
SETS: dict[str, tuple[str, ...]] = {
    "airpassengers.csv": FEW, "monthly-sunspots.csv": MANY, "daily-min-temperatures.csv": MANY,
    "nab_nyc_taxi.csv": MANY, "ETTh1.csv": MANY, "shops.csv": FEW, "m4_weekly.csv": ("--horizon", "13", *FEW),
    "m4_hourly.csv": ("--horizon", "48", "--windows", "3")}
VARIANTS: dict[str, tuple[str, ...]] = {
    "no blend": ("--set", "model.blend=false"),
    "linear skip alone": ("--set", "train.steps=0", "--set", "model.blend=false"),
    "no linear skip": ("--set", "model.skip=false"),
    "no final fit": ("--no-final-fit",),
    "never log": ("--set", "model.transform=none"),
    "per-series scaling": ("--set", "model.scaling=standard"),
    "segment of 1 point": ("--set", "model.segment=1"),
    "16 units": ("--hidden", "16"),
    "gru": ("--cell", "gru"),
    "rnn": ("--cell", "rnn"),
}


def evaluated(file: Path, arguments: tuple[str, ...]) -> tuple[dict[str, dict[str, float]], float]:
    """Scores by forecaster, and the seconds the whole command took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ended = subprocess.run([sys.executable, "-m", "forecast", "-C", folder, "evaluate", str(file.resolve()),
                                "--json", *arguments], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
    if ended.returncode:
        sys.exit(f"{file.name} {' '.join(arguments)}: exit {ended.returncode}\n{ended.stderr}")
    return json.loads(ended.stdout)["models"], seconds


def row(name: str, own: dict[str, float], naive: dict[str, float], seconds: float | None) -> str:
    width = own["width_80"] / naive["width_80"]
    took = f"{seconds:6.1f}" if seconds is not None else "     -"
    return (f"  {name:<20} {own['mase']:7.3f} {own['smape']:8.2f} {own['skill']:+8.1%} {own['coverage_80']:8.1%} "
            f"{own['coverage_95']:7.1%} {width:7.2f} {took}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--variants", action="store_true")
    asked = parser.parse_args()
    if not asked.folder.is_dir():
        sys.exit(f"{asked.folder}: there is no such folder; it should hold {', '.join(SETS)}")
    print(f"{'':<22}    MASE    sMAPE    skill  80% cov 95% cov  width  seconds   ("
          f"{len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f})")
    for name, flags in SETS.items():
        file = next((f for f in (asked.folder / name, OWN / name) if f.is_file()), None)
        if asked.only and not any(word in name for word in asked.only):
            continue
        if file is None:
            print(f"{name}: not in {asked.folder}, passed over")
            continue
        print(name)
        variants = {"default": ()} | (VARIANTS if asked.variants else {})
        for k, (variant, settings) in enumerate(variants.items()):
            models, seconds = evaluated(file, (*flags, *settings))
            own = next(iter(models.values()))
            print(row(variant, own, models["seasonal_naive"], seconds), flush=True)
            if k == 0:
                for other in ("seasonal_naive", "naive"):
                    print(row(other, models[other], models["seasonal_naive"], None), flush=True)


if __name__ == "__main__":
    main()
