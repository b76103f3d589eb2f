"""Loop: one network on its way from blank to trained, an Epoch at a time; and several of them side by side.

Which networks there are, and what becomes of them, is training.py's business."""

# W windows  B batch  L context  H horizon

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from forecast.config import TrainConfig
from forecast.model import RecurrentForecaster, channels, pinball
from forecast.network import Network
from forecast.scaling import Units
from forecast.series import Floats, Ints, Panel
from forecast.windows import Windows, contexts, targets

WARM_UP = 0.1                       # share of the schedule in which the learning rate rises
ALIKE = 1.02                        # a last loss so near to the best one is as good
RETRIES, CALMER = 3, 0.25           # a loss that is no number: so many more attempts, each at such a share of the rate
CLOSED_FORMS = ("skip", "offset")   # what is not trained
T = TypeVar("T")
_SEEDING = threading.Lock()         # torch draws first weights from one generator for all threads


@dataclass(frozen=True)
class Epoch:
    """One look at the validation windows (stage "train"), or the same number of steps of the final fit."""

    stage: str                      # "train" | "final fit"
    number: int
    of: int
    steps: int                      # training steps so far
    train_loss: float               # mean pinball loss, normalised units; nan before the first step
    valid_loss: float               # nan in the final fit
    best_loss: float
    best_epoch: int
    seconds: float                  # since the start of this stage
    member: int = 0                 # which of
    members: int = 1                # networks that are trained side by side


@dataclass(frozen=True)
class Course:
    """How one network is to be trained."""

    train: TrainConfig
    seed: int
    steps: int                      # of the schedule of the learning rate
    lr: float                       # its peak
    memory: float | None            # longest memory for chrono initialisation, in steps of the cell
    limit: float | None             # seconds within which to come to the schedule's end
    device: torch.device
    member: int = 0
    members: int = 1


@dataclass(frozen=True)
class Material:
    """Windows of a panel, and the units they are brought to."""

    panel: Panel
    windows: Windows
    units: Units
    context: int
    horizon: int

    def take(self, which: Ints) -> Material:
        return replace(self, windows=self.windows.take(which))

    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Normalised context (W, L) and target (W, H), NaN where missing, with their loc and scale (W, 1)."""
        windows = self.windows
        context, loc, scale = self.units.read(contexts(self.panel.y, windows, self.context),
                                              self.panel.ids[windows.series], self.panel.take(windows.series))
        target = self.units.normalised(targets(self.panel.truth, windows, self.horizon), loc, scale)
        return context, target, loc, scale

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        context, target, _, _ = self.arrays()
        return (torch.from_numpy(context.astype(np.float32)).to(device),
                torch.from_numpy(target.astype(np.float32)).to(device))


@dataclass(frozen=True)
class Learned:
    """What a training came to. `steps` 0: nothing better than the closed forms it began with."""

    network: Network
    steps: int
    schedule: int                   # steps that the schedule took
    diverged: bool = False          # the loss was no number, in each attempt from its first steps on


@dataclass
class _Loop:
    """Weights, their running average, AdamW's moments and the order of the windows: what one training carries along.

    AdamW (Loshchilov & Hutter 2019) is torch's function: its class imports two seconds of compiler."""

    network: Network                                                    # the closed forms are its, the rest is new
    material: Material
    course: Course
    rate: float = 1.0                                                   # share of the course's learning rate
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        course = self.course
        with _SEEDING:
            torch.manual_seed(course.seed)
            model = RecurrentForecaster(self.network.shape, course.memory).load(self.network, CLOSED_FORMS)
        self.average = copy.deepcopy(model).to(course.device).eval()
        self.model = model.to(course.device).seeded(course.seed).train()
        self.trained: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.means: list[Tensor] = [p for p in self.average.parameters() if p.requires_grad]
        self.moments = [[torch.zeros_like(p) for p in self.trained] for _ in range(2)]
        self.counts = [torch.zeros((), device=course.device) for _ in self.trained]
        self.random, self.queue = np.random.default_rng(course.seed), np.empty(0, dtype=np.int64)
        self.quantiles = torch.tensor(self.network.shape.quantiles, dtype=torch.float32, device=course.device)
        self.batch = min(course.train.batch, len(self.material.windows))
        self.steps, self.start = 0, time.monotonic()

    def run(self, steps: int) -> float:
        """Take so many steps and give their mean loss; the windows are gathered and normalised once for all of them."""
        train = self.course.train
        context, target = self._sample(steps)
        losses = []
        for step in range(steps):
            rows = slice(step * self.batch, (step + 1) * self.batch)
            self.model.zero_grad(set_to_none=True)
            loss = pinball(self.model(channels(context[rows])), target[rows], self.quantiles)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.trained, train.clip)
            self._descend(self.rate * self.course.lr * one_cycle(self.progress))
            self.steps += 1
            keep = min(train.averaging, self.steps / (self.steps + 9))  # a short run is not an average of its start
            with torch.no_grad():
                torch._foreach_lerp_(self.means, self.trained, 1 - keep)
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def valid_loss(self, context: Tensor, target: Tensor) -> float:
        """The averaged weights' on held-out windows."""
        with torch.no_grad():
            return float(pinball(self.average(channels(context)), target, self.quantiles))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    @property
    def progress(self) -> float:
        """The share of the schedule that is done: of its steps, or of its time where that is shorter."""
        spent = self.seconds / self.course.limit if self.course.limit else 0.0
        return min(1.0, max(self.steps / max(self.course.steps, 1), spent))

    def _descend(self, rate: float) -> None:
        gradients = [p.grad for p in self.trained if p.grad is not None]
        first, second = self.moments
        adamw(self.trained, gradients, first, second, [], self.counts, fused=True, amsgrad=False, beta1=0.9,
              beta2=0.999, lr=rate, weight_decay=0.01, eps=1e-8, maximize=False)

    def _sample(self, steps: int) -> tuple[Tensor, Tensor]:
        """Windows for these steps: every window once before any comes again."""
        while len(self.queue) < steps * self.batch:
            self.queue = np.concatenate([self.queue, self.random.permutation(len(self.material.windows))])
        drawn, self.queue = np.split(self.queue, [steps * self.batch])
        return self.material.take(drawn).tensors(self.course.device)


def one_cycle(progress: float) -> float:
    """Share of the highest learning rate: up in the first tenth of the way, then down along a cosine (Smith & Topin
    2018), so that training ends at rest wherever it is told to end."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return max(1e-4, 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def learn(network: Network, material: Material, held_out: Material, course: Course, *, skip: bool
          ) -> Generator[Epoch, None, Learned]:
    """Train to the end of the schedule, looking at the held-out windows now and then; epoch 0 is the closed forms.

    The averaged weights of the last look stay, unless an earlier one was clearly better: then those do. They must
    better the linear `skip` where there is one. A loss that is no number ends an attempt; the next one is calmer."""
    context, target = held_out.tensors(course.device)
    learned = Learned(network, 0, 0, diverged=True)
    for attempt in range(1 + RETRIES):
        loop = _Loop(network, material, course, CALMER ** attempt)
        learned = yield from _attempt(loop, context, target, skip=skip)
        if not learned.diverged:
            break
    return replace(learned, diverged=learned.diverged and not learned.steps)


def _attempt(loop: _Loop, context: Tensor, target: Tensor, *, skip: bool) -> Generator[Epoch, None, Learned]:
    course, total = loop.course, loop.course.steps
    size = course.train.epoch_steps
    epochs = math.ceil(total / size)
    best_epoch, best_loss, best_steps, best = 0, math.inf, 0, loop.average.network()
    skip_loss = math.inf
    for number in range(epochs + 1):
        train_loss = loop.run(min(size, total - loop.steps)) if number else math.nan
        valid_loss = loop.valid_loss(context, target)
        if number == 0 and skip:
            skip_loss = best_loss = valid_loss
        done = number == epochs or (loop.progress >= 1 and number > 0)
        last = done and valid_loss <= best_loss * ALIKE and valid_loss < skip_loss
        if number and (valid_loss < best_loss or last):
            best_epoch, best_loss, best_steps, best = number, valid_loss, loop.steps, loop.average.network()
        yield Epoch("train", number, epochs, loop.steps, train_loss, valid_loss, best_loss, best_epoch, loop.seconds,
                    course.member, course.members)
        if number and math.isnan(train_loss + valid_loss):
            return Learned(best, best_steps, loop.steps, diverged=True)
        if done:
            break
    return Learned(best, best_steps, loop.steps)


def relearn(network: Network, material: Material, course: Course, steps: int) -> Generator[Epoch, None, Network]:
    """`steps` steps of the course's schedule from a fresh start, without a look at other windows."""
    loop, size = _Loop(network, material, course), course.train.epoch_steps
    epochs = math.ceil(steps / size)
    for number in range(1, epochs + 1):
        loss = loop.run(min(size, steps - loop.steps))
        yield Epoch("final fit", number, epochs, loop.steps, loss, math.nan, math.nan, number, loop.seconds,
                    course.member, course.members)
    return loop.average.network()


def together(jobs: Sequence[Callable[[], Generator[Epoch, None, T]]], workers: int, threads: int
                ) -> Generator[Epoch, None, list[T]]:
    """Run several trainings on `threads` threads, `workers` of them at a time; their epochs come as they are made.

    What each comes to does not depend on the others: every training draws from generators of its own."""
    if workers <= 1:
        results = []
        for job in jobs:
            results.append((yield from job()))
        return results
    queue, stopped = SimpleQueue[Epoch | None](), threading.Event()

    def drain(job: Callable[[], Generator[Epoch, None, T]]) -> T:
        torch.set_flush_denormal(True)
        torch.set_num_threads(max(1, threads // workers))
        epochs = job()
        try:
            while not stopped.is_set():
                queue.put(next(epochs))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            queue.put(None)
        raise InterruptedError

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(drain, job) for job in jobs]
        try:
            going = len(jobs)
            while going:
                if (epoch := queue.get()) is None:
                    going -= 1
                else:
                    yield epoch
        finally:
            stopped.set()
            for future in futures:
                future.cancel()
            torch.set_num_threads(threads)
    return [future.result() for future in futures]
