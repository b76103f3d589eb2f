"""Seconds of a training step: ours, that of the plainest loop, and the least that this machine could need for it.

    python tests/benchmarks/steps.py '{"context": 168, "segment": 1, "hidden": 128, "layers": 2, "batch": 128,
                                       "horizon": 24, "threads": 2, "steps": 5}'

Prints JSON: float32, bfloat16 (the loop of `forecast train`, from gathering windows to averaging weights, by the cell's
precision), plain (nn.LSTM, Adam, MSE on tensors that are there already), and the floors gemm, full, gemm16 and full16.
One round of each in turn, after one that warms up. The GEMM floor is the step's multiplications at the rate that
torch.mm reaches on those very shapes; the full one adds five transcendentals and 92 bytes of activations (46 in
bfloat16) a unit and step of the cell, at the rates of sigmoid, tanh and copying. With one thread all seconds are of the
CPU, which a busy machine disturbs less."""

# B batch  T steps of the cell  I inputs  D hidden  H horizon  Q quantiles

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from forecast.model.channels import CHANNELS

SERIES, POINTS = 100, 1000                                              # peers.py makes as many


class Size(NamedTuple):
    """What a step's seconds depend on."""

    context: int
    segment: int
    hidden: int
    layers: int
    batch: int
    horizon: int
    threads: int
    steps: int                                                          # of one round


def ours(size: Size, precision: str) -> Iterator[None]:
    """The loop of `forecast train`, a round of steps at each `next`."""
    from forecast.config import Config
    from forecast.model.predictor import Predictor
    from forecast.series.calendar import Calendar
    from forecast.series.panel import Panel
    from forecast.series.windows import windows_of
    from forecast.system import machine
    from forecast.training.learning import relearn
    from forecast.training.loop import Course, Material

    device = machine.set_up("cpu", size.threads)
    rng, wave = np.random.default_rng(0), 10 + np.sin(np.arange(POINTS) * 2 * np.pi / 24)
    panel = Panel.of([wave + 0.1 * rng.normal(size=POINTS) for _ in range(SERIES)], Calendar.of("h"))
    settings = {"model.context": size.context, "model.segment": size.segment, "model.hidden": size.hidden,
                "model.layers": size.layers, "model.horizon": size.horizon, "train.batch": size.batch,
                "train.epoch_steps": size.steps}
    predictor = Predictor.new(Config().override(settings, source="benchmark"), panel)
    windows = windows_of(panel, horizon=size.horizon, min_context=size.context)
    member, train = predictor.members[0], predictor.config.train
    course = Course(train, 0, 10**6, 0.003, None, None, device, rough=precision == "bfloat16")
    for _ in relearn(Material(replace(member, steps=10**6), panel, windows), course):
        yield


def plain(size: Size) -> Iterator[None]:
    """What anybody would write first."""
    import torch
    from torch import nn

    x = torch.randn(size.batch, size.context // size.segment, len(CHANNELS) * size.segment)
    y = torch.randn(size.batch, size.horizon)
    lstm = nn.LSTM(x.shape[-1], size.hidden, size.layers, batch_first=True)
    head = nn.Linear(size.hidden, size.horizon)
    adam = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
    while True:
        for _ in range(size.steps):
            adam.zero_grad()
            nn.functional.mse_loss(head(lstm(x)[0][:, -1]), y).backward()
            adam.step()
        yield


def clock_of(threads: int) -> Callable[[], float]:
    return time.process_time if threads == 1 else time.perf_counter


def least(work: Callable[[], object], seconds: float = 0.15) -> float:
    """Seconds of one call, the least of many: what else the machine does is not its cost."""
    best, end = math.inf, time.perf_counter() + seconds
    work()
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def floors(size: Size) -> dict[str, float]:
    """Seconds that one step needs at least, by the machine's rates at this moment."""
    import torch

    b, t, d = size.batch, size.context // size.segment, size.hidden
    inputs = [len(CHANNELS) * size.segment] + [d] * (size.layers - 1)
    recurrent = size.layers * 3 * 2 * b * t * 4 * d * d                 # forward, and backward by input and weight
    others = sum(3 * 2 * b * t * 4 * d * i for i in inputs) - 2 * b * t * 4 * d * inputs[0]
    others += 3 * 2 * b * d * size.horizon * 5                          # the head, of Q = 5
    cells = size.layers * b * t * d
    gates = torch.randn(b, 4 * d)
    seconds = (3 * least(lambda: torch.sigmoid(gates, out=gates)) + 2 * least(lambda: torch.tanh(gates, out=gates)))
    here, there = torch.zeros(2, 16_000_000)
    copying = least(lambda: there.copy_(here)) / (2 * 4 * len(here))    # seconds a byte, read or written
    found = {}
    for name, kind, moved in (("", torch.float32, 92), ("16", torch.bfloat16, 46)):
        small, large, k = torch.randn(b, d, dtype=kind), torch.randn(b * t, d, dtype=kind), torch.randn(d, 4 * d,
                                                                                                      dtype=kind)
        out, wide = torch.mm(small, k), torch.mm(large, k)
        step = least(lambda s=small, k=k, o=out: torch.mm(s, k, out=o)) / (2 * b * d * 4 * d)
        whole = least(lambda s=large, k=k, o=wide: torch.mm(s, k, out=o)) / (2 * b * t * d * 4 * d)
        found[f"gemm{name}"] = recurrent * step + others * whole
        found[f"full{name}"] = found[f"gemm{name}"] + cells * (seconds / gates.numel() + moved * copying)
    return found


def main() -> None:
    size = Size(**json.loads(sys.argv[1]))
    loops = {"float32": ours(size, "float32"), "bfloat16": ours(size, "bfloat16"), "plain": plain(size)}
    for loop in loops.values():
        next(loop)
    found, clock = floors(size), clock_of(size.threads)
    for name, loop in loops.items():
        start = clock()
        next(loop)
        found[name] = (clock() - start) / size.steps
    after = floors(size)                                                # the rates may have changed
    print(json.dumps({name: min(value, after.get(name, value)) for name, value in found.items()}))


if __name__ == "__main__":
    main()
