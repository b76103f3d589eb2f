"""How long a training step of every cell takes, as a ratio to nn.LSTM at the same shape in the same run.

    python tests/benchmarks/cells.py [RUNS] [THREADS]

A step is forward and backward through one layer in float32, denormals flushed as training does. Every cell takes RUNS
steps (default 40) with THREADS threads (default 2), turn by turn with nn.LSTM, so that a busy machine slows all; what
is printed are medians, their ratio, and the spread from the 10 % to the 90 % quantile. Goals: coupled at most 1.2 times
nn.LSTM, peephole at most 2.5 times."""

# B batch  T steps  I inputs  D hidden

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import statistics
import sys
import time

import torch
from torch import Tensor, nn

from forecast.training.torch_cells import CELLS

SHAPES = ({"B": 256, "T": 14, "I": 48, "D": 64}, {"B": 64, "T": 200, "I": 2, "D": 64})
WARM_UP = 3


def seconds(module: nn.Module, x: Tensor, above: Tensor) -> float:
    """One step; `above` is the gradient that comes from the layers above."""
    module.zero_grad()
    start = time.perf_counter()
    module(x)[0].backward(above)
    return time.perf_counter() - start


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    torch.set_flush_denormal(True)
    for shape in SHAPES:
        torch.manual_seed(0)
        x, above = torch.randn(shape["B"], shape["T"], shape["I"]), torch.randn(shape["B"], shape["T"], shape["D"])
        modules = {name: make(shape["I"], shape["D"], 1, batch_first=True) for name, make in CELLS.items()}
        taken: dict[str, list[float]] = {name: [] for name in modules}
        for run in range(WARM_UP + runs):
            for name, module in modules.items():
                step = seconds(module, x, above)
                if run >= WARM_UP:
                    taken[name].append(step)
        sizes = " ".join(f"{letter}={size}" for letter, size in shape.items())
        print(f"{sizes:<22}  median    ratio   10 %..90 %    "
              f"({runs} steps each, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f})")
        for name, times in taken.items():
            low, high = (1e3 * statistics.quantiles(times, n=10)[k] for k in (0, -1))
            middle = statistics.median(times)
            print(f"{name:<22}  {1e3 * middle:6.2f} ms  {middle / statistics.median(taken['lstm']):4.2f}   "
                  f"{low:.2f}..{high:.2f} ms")


if __name__ == "__main__":
    main()
