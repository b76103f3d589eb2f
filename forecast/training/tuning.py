"""Tuning: the prior goes on learning from the user's own series, and stays tuned where held-out windows are better off.

It sees each window as the prior does, half of them as logarithms where all is positive; far fewer steps lead to what a
network begun at random would need many for."""

# B windows  H horizon

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adamw import adamw

from forecast.model.prior import LEAST, Prior, Tuned, shapes
from forecast.model.sight import GROUP, LENGTHS, POINT, QUERY, look, points_read, reach
from forecast.series.arrays import Floats, Ints
from forecast.series.panel import Panel, Windows
from forecast.series.units import without_absurd
from forecast.series.windows import AllWindows, contexts, evenly, targets
from forecast.training.checkpoints import Arrays
from forecast.training.learning import is_lost, passed_on, steps_of, whole_schedule
from forecast.training.loop import SEEDING, Course, Epoch, Underway, one_cycle
from forecast.training.torch_prior import TorchPrior, loss

STEPS, RATE = 600, 1e-3                     # of a tuning, before train.effort; its highest learning rate
BATCH, FEWEST = 128, 16                     # windows of a step; of few windows there are a quarter, but not fewer
LOOKED_AT = 250                             # held-out windows behind a look
KEPT = 4_000_000                            # numbers of windows that are brought to what the network sees once for all
ASKED = 64                                  # steps of a long horizon that a batch is asked for
BETTER = 0.995                              # share of the prior's loss on held-out windows from which on it is tuned
SHARE = 0.75                                # of the way from the prior to what it was tuned to, where that is better


@dataclass(frozen=True)
class Shown:
    """Some windows as the network is shown them, in units of their sight."""

    points: NDArray[np.float32]             # (B, T, G * POINT)
    queries: NDArray[np.float32]            # (B, H, QUERY)
    target: NDArray[np.float32]             # (B, H)
    read: Ints                              # (B,) of T, the last steps that the cell reads

    def take(self, which: Ints) -> Shown:
        """Of so many points as the longest of these windows needs."""
        read = self.read[which]
        return Shown(self.points[which, -int(read.max()):], self.queries[which], self.target[which], read)

    def asked(self, ahead: Ints) -> tuple[NDArray[np.float32], ...]:
        """Points, and queries and targets of some steps of the horizon."""
        return self.points, self.queries[:, ahead], self.target[:, ahead]


@dataclass(frozen=True)
class Lessons:
    """Windows of a panel as the prior sees them, with what came after; seasons as in Prior.predict."""

    panel: Panel
    windows: Windows | AllWindows
    seasons: tuple[int, int]
    horizon: int

    def __len__(self) -> int:
        return len(self.windows)

    def at(self, which: Ints, logs: NDArray[np.bool_]) -> Shown:
        """Some windows; as logarithms where `logs` says so and all is positive."""
        return self._shown(which, logs) if self._all is None else self._all.take(2 * which + logs)

    @cached_property
    def _all(self) -> Shown | None:
        """Of few windows each one twice, as values and as logarithms: they come again and again. None of many."""
        both = np.arange(2 * len(self))
        if both.size * (LENGTHS[-1] * POINT + self.horizon * QUERY) > KEPT:
            return None
        return self._shown(both // 2, both % 2 == 1)

    def _shown(self, which: Ints, logs: NDArray[np.bool_]) -> Shown:
        windows = self.windows.take(which)
        past = without_absurd(contexts(self.panel.truth, windows, reach(*self.seasons)))
        truth = targets(self.panel.truth, windows, self.horizon)
        read = points_read(past) // GROUP
        logs = logs & (np.minimum(_least(past), _least(truth)) > 0)
        past[logs], truth[logs] = np.log(past[logs]), np.log(truth[logs])
        sight = look(past, *self.seasons, self.horizon, from_zero=~logs[:, None])
        scale = np.where(sight.scale > 0, sight.scale, 1.0)
        target = ((truth - sight.loc) / scale - sight.base) / sight.unit
        target[np.count_nonzero(~np.isnan(past), axis=1) < LEAST] = np.nan
        target = np.where(np.isfinite(target), target, np.nan)
        return Shown(sight.points.astype(np.float32), sight.queries.astype(np.float32), target.astype(np.float32), read)


def batch_of(windows: int) -> int:
    """How many of so many windows there are in a step."""
    return int(np.clip(windows // 4, FEWEST, BATCH))


class _Loop(Underway):
    """The network on its way, its running mean and AdamW's moments."""

    def __init__(self, prior: Prior, lessons: Lessons, course: Course) -> None:
        self.lessons, self.course = lessons, course
        with SEEDING:                                                   # the first weights are drawn, too
            model = TorchPrior()
        model.load_state_dict({name: torch.from_numpy(t.astype(np.float32)) for name, t in prior.tensors.items()})
        self.model, self.mean = model.to(course.device), copy.deepcopy(model).to(course.device)
        self.weights: list[Tensor]
        self.means: list[Tensor]
        self.weights, self.means = [*self.model.parameters()], [*self.mean.parameters()]
        self.moments = [[torch.zeros_like(p) for p in self.weights] for _ in range(2)]
        self.counts = [torch.zeros((), device=course.device) for _ in self.weights]
        self.batch = batch_of(len(lessons))
        self.own, self.weight = course.team.part(self.batch)
        self.steps, self.start, self.spent = 0, time.monotonic(), 0.0

    def run(self, steps: int) -> float:
        """Take so many steps; their mean loss."""
        train, losses = self.course.train, list[Tensor]()
        for _ in range(steps):
            random = np.random.default_rng([self.course.seed, self.steps])
            which = random.integers(0, len(self.lessons), self.batch)
            logs = random.random(self.batch) < .5
            ahead = np.sort(random.permutation(self.lessons.horizon)[:ASKED])
            self.model.zero_grad(set_to_none=True)
            value = self._loss(self.model, self.lessons.at(which[self.own], logs[self.own]), ahead)
            torch.autograd.backward(value)
            gradients = [p.grad for p in self.weights if p.grad is not None]
            value, self.spent = self.course.team.average(gradients, self.weight, value.detach(), self.seconds)
            nn.utils.clip_grad_norm_(self.weights, train.clip)
            first, second = self.moments
            adamw(self.weights, gradients, first, second, [], self.counts, fused=True, amsgrad=False,
                  beta1=0.9, beta2=0.999, lr=self.course.lr * one_cycle(self.progress),
                  weight_decay=1e-3, eps=1e-8, maximize=False)
            self.steps += 1
            keep = min(train.averaging, self.steps / (self.steps + 9))
            with torch.no_grad():
                torch._foreach_lerp_(self.means, self.weights, 1 - keep)
            losses.append(value)
        return float(np.mean([float(each) for each in losses]))         # a device is waited for once

    def look(self, held_out: Lessons) -> float:
        """Loss of the running mean on held-out windows, of values and of logarithms."""
        which = evenly(len(held_out), LOOKED_AT)
        total = 0.0
        with torch.no_grad():
            for logs in (False, True):
                shown = held_out.at(which, np.full(len(which), logs))
                total += float(self._loss(self.mean, shown, evenly(held_out.horizon, ASKED))) / 2
        return self.course.team.mean(total, self.course.device)

    def share(self, prior: Prior, best: Prior, best_loss: float, held_out: Lessons) -> float:
        """How far from the prior the best look is to speak: all the way, or less where that is no worse."""
        weights = prior.towards(best, SHARE).tensors
        self.mean.load_state_dict({name: torch.from_numpy(t) for name, t in weights.items()})
        return SHARE if self.look(held_out) <= best_loss else 1.0

    def _loss(self, model: TorchPrior, shown: Shown, ahead: Ints) -> Tensor:
        points, queries, target = (torch.from_numpy(a).to(self.course.device) for a in shown.asked(ahead))
        return loss(model(points, queries), target)

    def prior(self) -> Prior:
        return Prior({name: t.detach().to("cpu", copy=True).numpy() for name, t in self.mean.state_dict().items()})

    def state(self) -> Arrays:
        """All that goes on changing, to be taken up by `restore`."""
        return {"seconds": np.array(self.seconds), "steps": np.array(self.steps)} | {
            name: t.detach().cpu().numpy() for name, t in self._tensors().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on where `state` was taken."""
        self.steps, self.start = int(state["steps"]), time.monotonic() - float(state["seconds"])
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(torch.from_numpy(np.asarray(state[name])))

    def _tensors(self) -> dict[str, Tensor]:
        lists: dict[str, list[Tensor]] = {"weights": self.weights, "means": self.means, "first": self.moments[0],
                                          "second": self.moments[1], "counts": self.counts}
        return {f"{name}.{k}": tensor for name, some in lists.items() for k, tensor in enumerate(some)}


def tune(prior: Prior, lessons: Lessons, held_out: Lessons, course: Course) -> Generator[Epoch, None, Tuned]:
    """Train the prior to the end of the schedule, or until it is lost, looking at held-out windows now and then;
    epoch 0 is the prior.

    The best look stays, if it is better than the prior by more than a trifle. An interrupted tuning is gone on from
    what the course's place holds of it."""
    left = course.place.load() or {}
    if "done" in left:
        steps, schedule = (int(n) for n in left["done"])
        return Tuned(_of(left), steps, schedule, float(left["share"]))
    loop, size = _Loop(prior, lessons, course), course.train.epoch_steps
    epochs, number = math.ceil(course.steps / size), 0
    best, best_loss, best_epoch, best_steps, is_over = prior, math.inf, 0, 0, False
    if left:
        loop.restore(left)
        best = _of(left)
        number, best_epoch, best_steps = (int(n) for n in left["looks"][:3])
        best_loss, is_over = float(left["looks"][3]), bool(left["looks"][4])
        number += 1
    while number <= epochs and not is_over:
        train_loss = loop.run(min(size, course.steps - loop.steps)) if number else math.nan
        valid_loss = loop.look(held_out)
        if number and math.isnan(train_loss + valid_loss):
            break
        if valid_loss < best_loss * (BETTER if best_epoch == 0 and number else 1.0):
            best_loss, best_epoch, best_steps = valid_loss, number, loop.steps
            best = loop.prior() if number else prior
        is_over = number > 0 and (loop.progress >= 1 or is_lost(valid_loss, best_loss, number - best_epoch))
        looks = {"looks": np.array([number, best_epoch, best_steps, best_loss, is_over])} | _best(best)
        yield from passed_on(course.place, Epoch(
            "train", number, epochs, loop.steps, train_loss, valid_loss, best_loss, best_epoch, loop.seconds,
            course.member, course.members, course.whole, is_prior=True), partial(_state, loop, looks))
        number += 1
    schedule = whole_schedule(loop.steps, loop.progress)
    share = loop.share(prior, best, best_loss, held_out) if best_steps else 1.0
    course.place.save({"done": np.array([best_steps, schedule]), "share": np.array(share)} | _best(best))
    return Tuned(best, best_steps, schedule, share)


def retune(prior: Prior, lessons: Lessons, course: Course, steps: int) -> Generator[Epoch, None, Prior]:
    """The prior tuned anew on these windows, so many steps of the course's schedule, without a look at others."""
    left = course.place.load() or {}
    if "done" in left:
        return _of(left)
    loop = _Loop(prior, lessons, course)
    if left:
        loop.restore(left)
    yield from steps_of(loop, steps, is_prior=True)
    course.place.save({"done": np.array([steps])} | _best(loop.prior()))
    return loop.prior()


def _state(loop: _Loop, looks: Arrays) -> Arrays:
    return loop.state() | looks


def _best(prior: Prior) -> Arrays:
    return {f"best.{name}": np.asarray(t, dtype=np.float32) for name, t in prior.tensors.items()}


def _of(left: Mapping[str, NDArray[np.generic]]) -> Prior:
    return Prior({name: np.asarray(left[f"best.{name}"], dtype=np.float32) for name in shapes()})


def _least(values: Floats) -> Floats:
    """(B,) the least value that is there; infinity where none is."""
    return np.asarray(np.where(np.isnan(values), np.inf, values).min(axis=1))
