"""How long the program takes to say something, as a ratio to importing typer (the floor) in the same run.

    python tests/benchmarks/startup.py [RUNS]

Each command runs RUNS times (default 15), turn by turn with the floor, so that a busy machine slows both; what is
printed are medians, their ratio, and the spread from the 10 % to the 90 % quantile. Goal: --help at most twice."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    'python -c "import typer"': (sys.executable, "-c", "import typer"),
    "forecast --help": (sys.executable, "-m", "forecast", "--help"),
    "forecast --version": (sys.executable, "-m", "forecast", "--version"),
    "forecast train --help": (sys.executable, "-m", "forecast", "train", "--help"),
    "forecast train --bogus": (sys.executable, "-m", "forecast", "train", "--bogus"),
    'python -c "import torch"': (sys.executable, "-c", "import torch"),
}


def seconds(command: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for command in COMMANDS.values():
        seconds(command)                                                # once to warm the disk
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    floor = statistics.median(next(iter(taken.values())))
    print(f"{'':<26}  median   ratio   10 %..90 %    ({runs} runs each, load {os.getloadavg()[0]:.1f})")
    for name, times in taken.items():
        low, high = (statistics.quantiles(times, n=10)[k] for k in (0, -1))
        middle = statistics.median(times)
        print(f"{name:<26}  {middle:5.3f} s  {middle / floor:5.2f}   {low:.3f}..{high:.3f} s")


if __name__ == "__main__":
    main()
