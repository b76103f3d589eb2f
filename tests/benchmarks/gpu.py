"""The path of a GPU: whether it comes to what the CPU comes to, and how busy it is kept.

    python tests/benchmarks/gpu.py [--device cuda] [--steps 200]

Where that device is not here, its parts are passed over, and said so; those of the CPU run to the end. With one, all
takes less than five minutes."""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch

from forecast.config import Config
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.series.batch import Batch
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.training.fit import Training, fit
from forecast.training.torch_network import forward_on

SERIES, POINTS, HORIZON = 256, 400, 24
NEAR = 1e-6                                                             # of float64 forecasts on both
ALIKE = 0.02                                                            # between the errors of two trainings


def panel() -> Panel:
    random, t = np.random.default_rng(0), np.arange(POINTS)
    waves = 100 + 20 * np.sin(2 * np.pi * (t + random.uniform(0, 7, (SERIES, 1))) / 7)
    return Panel.of(list(waves + random.normal(0, 5, waves.shape)), Calendar.steps())


def blank(device: str, steps: int) -> Predictor:
    asked = {"model.horizon": HORIZON, "model.season": (7,), "model.members": 1, "model.blend": False,
             "model.hidden": 128, "train.steps": steps, "train.device": device, "train.final_fit": False,
             "train.precision": "float32"}
    return Predictor.new(Config().override(asked, source="gpu.py"), panel())


def same_forecasts(device: str) -> None:
    """The forward pass of a network of random weights, on numpy and on the device."""
    shape, random = blank("cpu", 1).members[0].shape, np.random.default_rng(0)
    network = Network(shape, {name: random.normal(0, 0.1, size).astype(np.float32)
                              for name, size in shape.tensors.items()})
    batch = Batch(random.normal(size=(4096, shape.context)), np.zeros((4096, 1)), np.ones((4096, 1)), None)
    forward, start = forward_on(network, torch.device(device)), time.perf_counter()
    said, taken = forward(batch), time.perf_counter() - start
    start = time.perf_counter()
    plain = network.forward(batch)
    slower, apart = time.perf_counter() - start, float(np.abs(said - plain).max())
    print(f"  forward of {len(plain):,} windows: {taken:.2f} s on {device}, {slower:.2f} s on numpy, "
          f"apart by {apart:.1e}", flush=True)
    assert apart < NEAR, "the device says something else"


def trained(device: str, steps: int) -> tuple[float, float]:
    """Seconds a step behind the first epoch, and the best loss."""
    epochs = list(Training(fit(blank(device, steps), panel())))
    of_network = [e for e in epochs if e.number]
    first, last = of_network[0], of_network[-1]
    pace = (last.seconds - first.seconds) / max(last.steps - first.steps, 1)
    print(f"  {steps} steps on {device}: {1000 * pace:.1f} ms a step, best loss {last.best_loss:.4f}", flush=True)
    return pace, last.best_loss


def waits(device: str) -> float:
    """How often a step waits for the device, which it should not: of two trainings the waits more, a step more."""
    counts = []
    for steps in (50, 100):
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            list(Training(fit(blank(device, steps), panel())))
        torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(w.message) for w in heard))
    return (counts[1] - counts[0]) / 50


def busy(device: str, steps: int) -> float:
    """The share of the time in which the device computes."""
    from torch.profiler import ProfilerActivity, profile

    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        list(Training(fit(blank(device, steps), panel())))
    total = sum(event.self_device_time_total for event in seen.key_averages())
    return float(total / 1e6 / (time.perf_counter() - start))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    print("on the CPU")
    same_forecasts("cpu")
    pace, loss = trained("cpu", given.steps)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(given.device):
        return print(f"passed over: there is no {given.device} here, so nothing was checked or measured on one")
    print(f"on {given.device}")
    same_forecasts(given.device)
    own, other = trained(given.device, given.steps)
    print(f"  {pace / own:.1f} times as fast a step; losses {loss:.4f} and {other:.4f}")
    assert abs(other / loss - 1) < ALIKE, "the device comes to another loss"
    if given.device == "cuda":
        print(f"  waits a step: {waits(given.device):.2f} (should be 0)")
        print(f"  busy {busy(given.device, given.steps):.0%} of the time")
    return None


if __name__ == "__main__":
    main()
