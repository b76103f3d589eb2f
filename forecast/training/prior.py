"""Training of the prior, from one seed: `python -m forecast.training.prior FOLDER [STEPS [SEED [WORKERS]]]`.

It goes on from what it finds in the folder, and may be stopped at any time. Every step learns from new series, drawn in
other processes by their number: how many those are changes nothing."""

# B series  N points  H horizon

from __future__ import annotations

import argparse
import time
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import DataError
from forecast.model.sight import look
from forecast.series.arrays import Floats, Ints
from forecast.system import machine
from forecast.system.files import write_bytes
from forecast.training.torch_prior import TorchPrior, loss
from forecast.training.world import World, draw_season

Array = NDArray[np.float32]
LESSONS, SERIES = 2, 128                    # of a step: lessons of one season and length, series in each
RATE, WARM, DECAY = 2e-3, 200, 1e-3         # the highest learning rate, steps up to it, AdamW's weight decay
LAST_RATE = 1e-5
KEPT = .999                                 # of the running mean of the weights
SAVED = 500                                 # steps between two checkpoints
AHEAD = 12                                  # lessons drawn in advance
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "prior.safetensors"


@dataclass(frozen=True)
class Lesson:
    """Some series as the prior sees them, and what came after, in the units of the sight."""

    points: Array                           # (B, T, G * POINT)
    queries: Array                          # (B, H, QUERY)
    target: Array                           # (B, H), NaN where missing


def lesson(number: int, seed: int, count: int = SERIES) -> Lesson:
    """The lesson of this number: `count` series of one season, half of them shorter than the others, some as
    logarithms, some upside down."""
    rng = np.random.default_rng((seed, number))
    season, second = draw_season(rng)
    horizon = round(_size(rng, 3, max(24, min(2.5 * season, 96))))
    points = _points(rng, season, second)
    values = World(rng, season, second).series(count, points + horizon)
    values[np.isnan(values[:, :points]).all(axis=1), 0] = 1.0
    logs = (np.nan_to_num(values, nan=np.inf).min(axis=1) > 0) & (rng.random(count) < .4)
    values[logs] = np.log(values[logs])
    down = ~logs & (rng.random(count) < .15)
    values[down] *= -1
    past, truth = values[:, :points], values[:, points:]
    sight = look(_begun(rng, past), season, second, horizon, from_zero=~logs[:, None] & (rng.random((count, 1)) < .9))
    scale = np.where(sight.scale > 0, sight.scale, 1.0)
    target = ((truth - sight.loc) / scale - sight.base) / sight.unit
    return Lesson(*(np.ascontiguousarray(array, dtype=np.float32) for array in (sight.points, sight.queries, target)))


def _points(rng: np.random.Generator, season: int, second: int) -> int:
    """How many points the longest series of a lesson have."""
    if season == 1:
        return round(_size(rng, 6, 256))
    if second and rng.random() < .7:
        return round(_size(rng, max(2 * season, .7 * second), 2.1 * second))
    return round(_size(rng, max(8, 1.2 * season), 256))


def _begun(rng: np.random.Generator, past: Floats) -> Floats:
    """The past (B, N), NaN before the series began; half of them are as long as can be."""
    count, points = past.shape
    begun = np.exp(rng.uniform(np.log(3), np.log(max(points, 4)), count)).round()
    length: Ints = np.where(rng.random(count) < .5, points, begun).astype(np.int64)
    past = np.where(np.arange(points) < points - length[:, None], np.nan, past)
    past[np.isnan(past).all(axis=1), -1] = 1.0
    return past


def _size(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _quiet() -> None:
    """In a process that draws lessons."""
    warnings.simplefilter("ignore", RuntimeWarning)
    np.seterr(all="ignore")


def lessons(begin: int, end: int, seed: int, workers: int) -> Iterator[Lesson]:
    """Those from one number up to another, in their order."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        waiting: deque[Future[Lesson]] = deque()
        for number in range(begin, end):
            waiting.append(pool.submit(lesson, number, seed))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)


class Course:
    """The network in training, its optimiser and the running mean of its weights: all that a checkpoint holds."""

    def __init__(self, steps: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.model, self.mean, self.steps, self.done = TorchPrior(), TorchPrior(), steps, 0
        self.mean.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=DECAY)

    def step(self, some: list[Lesson]) -> float:
        """One step of AdamW on some lessons; their mean loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.zero_grad()
        total = 0.0
        for one in some:
            part = loss(self.model(_tensor(one.points), _tensor(one.queries)), _tensor(one.target)) / len(some)
            torch.autograd.backward(part)
            total += part.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        share = min(KEPT, self.done / (self.done + 10))
        with torch.no_grad():
            for mean, newest in zip(self.mean.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(newest, 1 - share)
        return total

    def _rate(self) -> float:
        """Up in a line, then down along a cosine."""
        warm = min(1.0, (self.done + 1) / WARM)
        return LAST_RATE + RATE * warm * (.5 + .5 * float(np.cos(np.pi * self.done / self.steps)))

    def save(self, folder: Path) -> None:
        """A checkpoint, and the weights as they stand, in float16. Raises DiskError."""
        arrays = {f"{name}/{key}": value.numpy() for name, model in (("model", self.model), ("mean", self.mean))
                  for key, value in model.state_dict().items()}
        arrays |= {f"adam/{k}/{key}": np.asarray(value) for k, state in self.optimizer.state_dict()["state"].items()
                   for key, value in state.items()}
        arrays["done"] = np.array([self.done, self.steps])
        write_bytes(folder / CHECKPOINT, safetensors.numpy.save({k: np.array(v, order="C") for k, v in arrays.items()}))
        weights = {key: value.numpy().astype(np.float16) for key, value in self.mean.state_dict().items()}
        write_bytes(folder / WEIGHTS, safetensors.numpy.save(weights, {"steps": str(self.done)}))

    def load(self, folder: Path) -> None:
        """What a checkpoint holds, where there is one of a course of as many steps."""
        if not (folder / CHECKPOINT).is_file():
            return
        arrays = safetensors.numpy.load_file(folder / CHECKPOINT)
        done, steps = arrays.pop("done").tolist()
        if steps != self.steps:
            raise DataError(f"is of a training of {steps} steps", file=str(folder / CHECKPOINT), code="checkpoint",
                            hint="Train as many steps, or in another folder")
        for name, model in (("model", self.model), ("mean", self.mean)):
            model.load_state_dict({k.removeprefix(name + "/"): torch.from_numpy(v)
                                   for k, v in arrays.items() if k.startswith(name + "/")})
        state = self.optimizer.state_dict()
        for name in (k for k in arrays if k.startswith("adam/")):
            _, k, key = name.split("/")
            state["state"].setdefault(int(k), {})[key] = torch.from_numpy(arrays[name])
        self.optimizer.load_state_dict(state)
        self.done = done


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array)


def train(folder: Path, *, steps: int, seed: int, workers: int = 1) -> Iterator[str]:
    """Train, with a checkpoint and a line about it every SAVED steps; the weights are left in the folder.

    Raises DataError for a checkpoint of another training, DiskError."""
    machine.set_up("cpu", 1)
    course = Course(steps, seed)
    course.load(folder)
    some: list[Lesson] = []
    losses, since = deque[float](maxlen=SAVED), time.monotonic()
    for one in lessons(LESSONS * course.done, LESSONS * steps, seed, workers):
        some.append(one)
        if len(some) < LESSONS:
            continue
        losses.append(course.step(some))
        some = []
        if course.done % SAVED == 0 or course.done == steps:
            course.save(folder)
            yield f"step {course.done} of {steps} · loss {np.mean(losses):.4f} · {time.monotonic() - since:.0f} s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, usual in (("steps", 40_000), ("seed", 0), ("workers", 1)):
        parser.add_argument(name, type=int, nargs="?", default=usual)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for line in train(asked.folder, steps=asked.steps, seed=asked.seed, workers=asked.workers):
        print(line, flush=True)
