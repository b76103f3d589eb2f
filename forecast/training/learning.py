"""Learning: one network on its way from blank to trained, an Epoch at a time, with looks at held-out windows.

What an interrupted training left is gone on from, to the bit. Which networks there are is fit.py's business."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np
import torch

from forecast.model.network import Network, Shape
from forecast.series.batch import Batch
from forecast.training.checkpoints import Arrays, Place
from forecast.training.loop import Course, Epoch, Loop, Material, Underway

ALIKE = 1.02                        # a last loss so near to the best one is as good
LOST, SINCE = 1.1, 3                # a loss so many times the best one, so many looks later, was never seen to return
RETRIES, CALMER = 3, 0.25           # a loss that is no number: so many more attempts, each at such a share of the rate


@dataclass(frozen=True)
class Learned:
    """What a training came to. `steps` 0: nothing better than the closed forms it began with."""

    network: Network
    steps: int
    schedule: int                   # steps of the schedule, as its limit had it
    rate_factor: float = 1.0        # share of the learning rate at which it came to a number
    diverged: bool = False          # the loss was no number, in each attempt from its first steps on


@dataclass
class _Look:
    """The best of the looks at the held-out windows so far."""

    best: Network
    number: int = -1                # of the last look
    best_epoch: int = 0
    best_steps: int = 0
    best_loss: float = math.inf
    skip_loss: float = math.inf     # to be bettered
    is_over: bool = False           # nothing comes after it

    def state(self) -> Arrays:
        numbers = np.array([self.number, self.best_epoch, self.best_steps, self.best_loss, self.skip_loss,
                            self.is_over])
        return {"look": numbers} | {f"best.{name}": t for name, t in self.best.tensors.items()}

    @classmethod
    def restored(cls, state: Arrays, shape: Shape) -> _Look:
        number, epoch, steps, best_loss, skip_loss, is_over = state["look"].tolist()
        best = Network(shape, {name: state[f"best.{name}"] for name in shape.tensors})
        return cls(best, int(number), int(epoch), int(steps), best_loss, skip_loss, bool(is_over))


def is_lost(loss: float, best_loss: float, since: int) -> bool:
    """Whether a training gets no better than it was `since` looks ago. Whatever it did further would not be kept."""
    return since >= SINCE and loss > LOST * best_loss


def whole_schedule(steps: int, progress: float) -> int:
    """How many steps a schedule has, where so many are such a share of it."""
    return round(steps / progress) if steps else 0


def learn(material: Material, held_out: Material, course: Course, origin: Network | None = None
          ) -> Generator[Epoch, None, Learned]:
    """Train a member to the end of the schedule, or until it is lost, looking at the held-out windows now and then;
    epoch 0 is the closed forms, or the weights of `origin`, from which it goes on.

    The averaged weights of the last look stay, unless an earlier one was clearly better: then those do. They must
    better the linear skip where there is one. A loss that is no number ends an attempt; the next one is calmer."""
    network, left = material.member.network, course.place.load()
    if left and "done" in left:
        steps, schedule, rate_factor, diverged = left["done"].tolist()
        return Learned(_network_of(left, network.shape), int(steps), int(schedule), rate_factor, bool(diverged))
    held_out_batch = held_out.tensors(course.device)
    learned = Learned(network, 0, 0, diverged=True)
    for attempt in range(int(left["attempt"]) if left else 0, 1 + RETRIES):
        loop = Loop(material, course, CALMER ** attempt, origin)
        learned = yield from _attempt(loop, held_out_batch, left, attempt)
        left = None
        if not learned.diverged:
            break
    learned = replace(learned, diverged=learned.diverged and not learned.steps, rate_factor=loop.rate_factor)
    done = np.array([learned.steps, learned.schedule, learned.rate_factor, learned.diverged])
    course.place.save({"done": done} | _arrays_of(learned.network))
    return learned


def _attempt(loop: Loop, held_out: Batch, left: Arrays | None, attempt: int) -> Generator[Epoch, None, Learned]:
    course, total, member = loop.course, loop.course.steps, loop.material.member
    size = course.train.epoch_steps
    epochs = math.ceil(total / size)
    look = _Look(loop.average.network())
    if left:
        loop.restore(left)
        look = _Look.restored(left, member.shape)
    if left and any(bool(torch.isnan(p).any()) for p in loop.trained):
        return Learned(look.best, look.best_steps, loop.steps, diverged=True)
    for number in range(look.number + 1, epochs + 1) if not look.is_over else ():
        train_loss = loop.run(min(size, total - loop.steps)) if number else math.nan
        valid_loss = loop.valid_loss(held_out)
        look.number = number
        if number == 0 and member.skip:
            look.skip_loss = look.best_loss = loop.closed_loss(held_out) if loop.origin else valid_loss
        done = number == epochs or (loop.progress >= 1 and number > 0)
        last = done and valid_loss <= look.best_loss * ALIKE and valid_loss < look.skip_loss
        if number and (valid_loss < look.best_loss or last):
            look.best_epoch, look.best_loss, look.best_steps = number, valid_loss, loop.steps
            look.best = loop.average.network()
        look.is_over = done or is_lost(valid_loss, look.best_loss, number - look.best_epoch)
        yield from passed_on(course.place, Epoch(
            "train", number, epochs, loop.steps, train_loss, valid_loss, look.best_loss, look.best_epoch, loop.seconds,
            course.member, course.members, course.whole),
            lambda: loop.state() | look.state() | {"attempt": np.array(attempt)})
        if number and math.isnan(train_loss + valid_loss):
            return Learned(look.best, look.best_steps, loop.steps, diverged=True)
        if look.is_over:
            break
    return Learned(look.best, look.best_steps, whole_schedule(loop.steps, loop.progress))


def relearn(material: Material, course: Course, origin: Network | None = None) -> Generator[Epoch, None, Network]:
    """A member anew, for as many steps of the course's schedule as it bears, from new weights or those of `origin`,
    without a look at other windows; fewer steps where the loss is no number."""
    member, left = material.member, course.place.load()
    if left and "done" in left:
        return _network_of(left, member.shape)
    loop = Loop(material, course, member.rate_factor, origin)
    if left:
        loop.restore(left)
    yield from steps_of(loop, member.steps)
    learned = loop.average.network()
    course.place.save({"done": np.array(1)} | _arrays_of(learned))
    return learned


def steps_of(loop: Underway, steps: int, *, is_prior: bool = False) -> Generator[Epoch, None, None]:
    """What a final fit lacks of so many steps, without a look at other windows; fewer where the loss is no number."""
    course, size = loop.course, loop.course.train.epoch_steps
    epochs = math.ceil(steps / size)
    for number in range(math.ceil(loop.steps / size) + 1, epochs + 1):
        loss = loop.run(min(size, steps - loop.steps))
        yield from passed_on(course.place, Epoch(
            "final fit", number, epochs, loop.steps, loss, math.nan, math.nan, number, loop.seconds, course.member,
            course.members, course.whole, is_prior), loop.state)
        if math.isnan(loss):
            break


def passed_on(place: Place, epoch: Epoch, state: Callable[[], Arrays]) -> Generator[Epoch, None, None]:
    """Pass the epoch on; leave a checkpoint when its time has come, or when nobody asks for another epoch."""
    try:
        yield epoch
    except GeneratorExit:
        place.save(state())
        raise
    if place.is_due:
        place.save(state())


def _arrays_of(network: Network) -> Arrays:
    return {f"best.{name}": t for name, t in network.tensors.items()}


def _network_of(left: Arrays, shape: Shape) -> Network:
    return Network(shape, {name: left[f"best.{name}"] for name in shape.tensors})
