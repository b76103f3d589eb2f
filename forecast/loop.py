"""Loop: one network on its way from blank to trained, an Epoch at a time; and several of them side by side.

Which networks there are, and what becomes of them, is training.py's business."""

# W windows  B batch  L context  H horizon

from __future__ import annotations

import copy
import math
import threading
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from forecast.batch import Batch
from forecast.checkpoint import Arrays, Place
from forecast.config import TrainConfig
from forecast.model import RecurrentForecaster, pinball
from forecast.network import Network, Shape
from forecast.scaling import Units
from forecast.series import Ints, Panel, Windows
from forecast.windows import AllWindows

WARM_UP = 0.1                       # share of the schedule in which the learning rate rises
ALIKE = 1.02                        # a last loss so near to the best one is as good
ROWS = 1024                         # windows brought to unit size at a time
ABSURD = 30.0                       # units of its context from which on a target teaches nothing
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
    rough: bool = False             # the cell's products in bfloat16
    member: int = 0
    members: int = 1
    place: Place = field(default_factory=Place)     # where to leave what it takes to go on after an interruption


@dataclass(frozen=True)
class Material:
    """Windows of a panel, and the units they are brought to."""

    panel: Panel
    windows: Windows | AllWindows
    units: Units
    context: int
    horizon: int

    def take(self, which: Ints) -> Material:
        return replace(self, windows=self.windows.take(which))

    def batch(self) -> Batch:
        """All of it, with targets; NaN for those that teach nothing."""
        count = len(self.windows)
        return Batch.joined((self._block(self.windows.take(np.arange(begin, min(begin + ROWS, count))))
                             for begin in range(0, max(1, count), ROWS)), count)

    def _block(self, windows: Windows) -> Batch:
        """`batch` of some windows, few enough to stay in the processor's cache."""
        batch = self.units.batch(self.panel, windows, context=self.context, horizon=self.horizon)
        with np.errstate(invalid="ignore"):
            return replace(batch, target=np.where(np.abs(batch.target) > ABSURD, np.nan, batch.target))

    def tensors(self, device: torch.device) -> Batch:
        """`batch` in float32 on a device."""
        with np.errstate(over="ignore"):                                # a loc may be; the network sees no loc
            return self.batch().map(lambda array: torch.from_numpy(array.astype(np.float32)).to(device))


@dataclass(frozen=True)
class Learned:
    """What a training came to. `steps` 0: nothing better than the closed forms it began with."""

    network: Network
    steps: int
    schedule: int                   # steps that the schedule took
    rate: float = 1.0               # share of the learning rate at which it came to a number
    diverged: bool = False          # the loss was no number, in each attempt from its first steps on


@dataclass
class _Loop:
    """Weights, their running average and AdamW's moments: what one training carries along.

    AdamW (Loshchilov & Hutter 2019) is torch's function: its class imports two seconds of compiler."""

    network: Network                                                    # the closed forms are its, the rest is new
    material: Material
    course: Course
    rate: float = 1.0                                                   # share of the course's learning rate
    origin: Network | None = None                                       # whose trained weights it begins with

    def __post_init__(self) -> None:
        course = self.course
        with _SEEDING:
            torch.manual_seed(course.seed)
            model = RecurrentForecaster(self.network.shape, course.memory)
        if self.origin is not None:
            model.load(self.origin)
        model.load(self.network, CLOSED_FORMS)
        self.average = copy.deepcopy(model).to(course.device).eval()
        self.model = model.to(course.device).seeded(course.seed).train()
        self.model.rough = course.rough
        self.trained: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.means: list[Tensor] = [p for p in self.average.parameters() if p.requires_grad]
        self.moments = [[torch.zeros_like(p) for p in self.trained] for _ in range(2)]
        self.counts = [torch.zeros((), device=course.device) for _ in self.trained]
        self.order: tuple[int, Ints] = -1, np.empty(0, dtype=np.int64)  # which pass, its windows as they come
        self.quantiles = torch.tensor(self.network.shape.quantiles, dtype=torch.float32, device=course.device)
        self.batch = min(course.train.batch, len(self.material.windows))
        self.steps, self.start = 0, time.monotonic()

    def run(self, steps: int) -> float:
        """Take so many steps and give their mean loss; the windows are gathered and normalised once for all of them."""
        train = self.course.train
        sample, losses = self._sample(steps), []
        for step in range(steps):
            batch = sample.take(slice(step * self.batch, (step + 1) * self.batch))
            self.model.zero_grad(set_to_none=True)
            loss = pinball(self.model(batch), batch.target, self.quantiles)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.trained, train.clip)
            self._descend(self.rate * self.course.lr * one_cycle(self.progress))
            self.steps += 1
            keep = min(train.averaging, self.steps / (self.steps + 9))  # a short run is not an average of its start
            with torch.no_grad():
                torch._foreach_lerp_(self.means, self.trained, 1 - keep)
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def valid_loss(self, held_out: Batch) -> float:
        """The averaged weights' on held-out windows."""
        with torch.no_grad():
            return float(pinball(self.average(held_out), held_out.target, self.quantiles))

    def closed_loss(self, held_out: Batch) -> float:
        """The same of the closed forms alone."""
        return float(pinball(self.average.closed(held_out), held_out.target, self.quantiles))

    def state(self) -> Arrays:
        """All that goes on changing, to be taken up by `restore`."""
        state: Arrays = {"seconds": np.array(self.seconds), "steps": np.array(self.steps)}
        assert self.model.random is not None
        return state | {name: t.detach().cpu().numpy() for name, t in self._tensors().items()} | {
            "dropout": self.model.random.get_state().numpy()}

    def restore(self, state: Arrays) -> None:
        """Go on where `state` was taken. Raises KeyError, ValueError or RuntimeError for that of another training."""
        self.steps = int(state["steps"])
        self.start = time.monotonic() - float(state["seconds"])
        assert self.model.random is not None
        self.model.random.set_state(torch.from_numpy(state["dropout"].copy()))
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(torch.from_numpy(state[name]))

    def _tensors(self) -> dict[str, Tensor]:
        lists = {"trained": self.trained, "means": self.means, "first": self.moments[0], "second": self.moments[1],
                 "counts": self.counts}
        return {f"{name}.{k}": tensor for name, some in lists.items() for k, tensor in enumerate(some)}

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

    def _sample(self, steps: int) -> Batch:
        """Windows for the next steps: every window once before any comes again."""
        count, first, drawn = len(self.material.windows), self.steps * self.batch, list[Ints]()
        for number in range(first // count, -(-(first + steps * self.batch) // count)):
            begin, end = first - number * count, first + steps * self.batch - number * count
            drawn.append(self._order(number)[max(begin, 0):min(end, count)])
        return self.material.take(np.concatenate(drawn)).tensors(self.course.device)

    def _order(self, number: int) -> Ints:
        """The windows of one pass in the order in which they are taken, as far as the schedule reaches: of millions of
        windows it takes a part. It hangs on the seed and the pass alone, so that to go on takes the steps' number."""
        if self.order[0] != number:
            count = len(self.material.windows)
            most = min(count, self.course.steps * self.batch)
            random = np.random.default_rng([self.course.seed, number])
            self.order = number, random.choice(count, most, replace=False)
        return self.order[1]


def one_cycle(progress: float) -> float:
    """Share of the highest learning rate: up in the first tenth of the way, then down along a cosine (Smith & Topin
    2018), so that training ends at rest wherever it is told to end."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return max(1e-4, 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


@dataclass
class _Look:
    """The best of the looks at the held-out windows so far."""

    best: Network
    number: int = -1                # of the last look
    best_epoch: int = 0
    best_steps: int = 0
    best_loss: float = math.inf
    skip_loss: float = math.inf     # to be bettered

    def state(self) -> Arrays:
        numbers = np.array([self.number, self.best_epoch, self.best_steps, self.best_loss, self.skip_loss])
        return {"look": numbers} | {f"best.{name}": t for name, t in self.best.tensors.items()}

    @classmethod
    def restored(cls, state: Arrays, shape: Shape) -> _Look:
        number, epoch, steps, best_loss, skip_loss = state["look"].tolist()
        best = Network(shape, {name: state[f"best.{name}"] for name in shape.tensors})
        return cls(best, int(number), int(epoch), int(steps), best_loss, skip_loss)


def learn(network: Network, material: Material, held_out: Material, course: Course, *, skip: bool,
          origin: Network | None = None) -> Generator[Epoch, None, Learned]:
    """Train to the end of the schedule, looking at the held-out windows now and then; epoch 0 is the closed forms, or
    what it goes on from.

    The averaged weights of the last look stay, unless an earlier one was clearly better: then those do. They must
    better the linear `skip` where there is one. A loss that is no number ends an attempt; the next one is calmer."""
    left = course.place.load()
    if left and "done" in left:
        steps, schedule, rate, diverged = left["done"].tolist()
        return Learned(_network_of(left, network.shape), int(steps), int(schedule), rate, bool(diverged))
    held_out_batch = held_out.tensors(course.device)
    learned = Learned(network, 0, 0, diverged=True)
    for attempt in range(int(left["attempt"]) if left else 0, 1 + RETRIES):
        loop = _Loop(network, material, course, CALMER ** attempt, origin)
        learned = yield from _attempt(loop, held_out_batch, left, attempt=attempt, skip=skip)
        left = None
        if not learned.diverged:
            break
    learned = replace(learned, diverged=learned.diverged and not learned.steps, rate=loop.rate)
    done = np.array([learned.steps, learned.schedule, learned.rate, learned.diverged])
    course.place.save({"done": done} | _arrays_of(learned.network))
    return learned


def _attempt(loop: _Loop, held_out: Batch, left: Arrays | None, *, attempt: int, skip: bool
             ) -> Generator[Epoch, None, Learned]:
    course, total = loop.course, loop.course.steps
    size = course.train.epoch_steps
    epochs = math.ceil(total / size)
    look = _Look(loop.average.network())
    if left:
        loop.restore(left)
        look = _Look.restored(left, loop.network.shape)
    if left and any(bool(torch.isnan(p).any()) for p in loop.trained):
        return Learned(look.best, look.best_steps, loop.steps, diverged=True)
    for number in range(look.number + 1, epochs + 1):
        train_loss = loop.run(min(size, total - loop.steps)) if number else math.nan
        valid_loss = loop.valid_loss(held_out)
        look.number = number
        if number == 0 and skip:
            look.skip_loss = look.best_loss = loop.closed_loss(held_out) if loop.origin else valid_loss
        done = number == epochs or (loop.progress >= 1 and number > 0)
        last = done and valid_loss <= look.best_loss * ALIKE and valid_loss < look.skip_loss
        if number and (valid_loss < look.best_loss or last):
            look.best_epoch, look.best_loss, look.best_steps = number, valid_loss, loop.steps
            look.best = loop.average.network()
        yield from _left(course.place, Epoch(
            "train", number, epochs, loop.steps, train_loss, valid_loss, look.best_loss, look.best_epoch, loop.seconds,
            course.member, course.members),
            lambda: loop.state() | look.state() | {"attempt": np.array(attempt)})
        if number and math.isnan(train_loss + valid_loss):
            return Learned(look.best, look.best_steps, loop.steps, diverged=True)
        if done:
            break
    return Learned(look.best, look.best_steps, loop.steps)


def relearn(network: Network, material: Material, course: Course, steps: int, rate: float = 1.0,
            origin: Network | None = None) -> Generator[Epoch, None, Network]:
    """`steps` steps of the course's schedule from a fresh or the given start, without a look at other windows; fewer
    where the loss is no number."""
    left = course.place.load()
    if left and "done" in left:
        return _network_of(left, network.shape)
    loop, size = _Loop(network, material, course, rate, origin), course.train.epoch_steps
    if left:
        loop.restore(left)
    epochs = math.ceil(steps / size)
    for number in range(math.ceil(loop.steps / size) + 1, epochs + 1):
        loss = loop.run(min(size, steps - loop.steps))
        yield from _left(course.place, Epoch(
            "final fit", number, epochs, loop.steps, loss, math.nan, math.nan, number, loop.seconds, course.member,
            course.members), loop.state)
        if math.isnan(loss):
            break
    learned = loop.average.network()
    course.place.save({"done": np.array(1)} | _arrays_of(learned))
    return learned


def _left(place: Place, epoch: Epoch, state: Callable[[], Arrays]) -> Generator[Epoch, None, None]:
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


def together(jobs: Sequence[Callable[[], Generator[Epoch, None, T]]], workers: int, threads: int
             ) -> Generator[Epoch, None, list[T]]:
    """Run several trainings on `threads` threads, `workers` of them at a time; their epochs come as they are made.

    What each comes to does not depend on the others: every training draws from generators of its own. They run beside
    the main thread, which is free to hear a signal: an exception there lets each come to the end of its epoch."""
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
        except BaseException:
            stopped.set()                                               # the others need not go on
            raise
        finally:
            epochs.close()
            queue.put(None)
        raise InterruptedError

    # Filters of warnings belong to the process: threads that set and restore them would leave each other's behind.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore", RuntimeWarning)
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
    failures = [f.exception() for f in futures if not f.cancelled() and f.exception()]
    for failure in failures:
        if failure is not None and not isinstance(failure, InterruptedError):
            raise failure
    return [future.result() for future in futures]
