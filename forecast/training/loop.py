"""Loop: what one training carries along from step to step: weights, their average, moments, the order of windows.

When to stop, and what to keep, is learning.py's business."""

# W windows  B batch  L context  H horizon

from __future__ import annotations

import copy
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from forecast.config import TrainConfig
from forecast.model.member import Member
from forecast.model.network import CLOSED_FORMS, Network
from forecast.series.arrays import Ints
from forecast.series.batch import Batch
from forecast.series.panel import Panel, Windows
from forecast.series.windows import AllWindows
from forecast.training.checkpoints import Arrays, Place
from forecast.training.team import ALONE, Team
from forecast.training.torch_network import RecurrentForecaster, pinball

WARM_UP = 0.1                       # share of the schedule in which the learning rate rises
ROWS = 1024                         # windows brought to unit size at a time
ABSURD = 30.0                       # units of its context from which on a target teaches nothing
SEEDING = threading.Lock()          # torch draws first weights from one generator for all threads


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
    members: int = 1                # trainings side by side
    whole: int = 0                  # epochs of all of them together, at most
    is_prior: bool = False          # the prior tuned, rather than a network begun anew


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
    team: Team = ALONE              # who trains it
    whole: int = 0                  # epochs of all trainings, this one and those beside it


@dataclass(frozen=True)
class Material:
    """Windows of a panel, as a member sees them."""

    member: Member
    panel: Panel
    windows: Windows | AllWindows

    def take(self, which: Ints) -> Material:
        return replace(self, windows=self.windows.take(which))

    def batch(self, *, slim: bool = False) -> Batch:
        """All of it, with targets; NaN for those that teach nothing. slim: only what the linear skip reads."""
        parts = self.parts()
        return Batch.joined((part.slim for part in parts) if slim else parts, len(self.windows))

    def parts(self) -> Iterator[Batch]:
        """The same, some windows at a time."""
        count = len(self.windows)
        return (self._block(self.windows.take(np.arange(begin, min(begin + ROWS, count))))
                for begin in range(0, max(1, count), ROWS))

    def _block(self, windows: Windows) -> Batch:
        """`batch` of some windows, few enough to stay in the processor's cache."""
        batch = self.member.batch(self.panel, windows, horizon=self.member.shape.horizon)
        with np.errstate(invalid="ignore"):
            return replace(batch, target=np.where(np.abs(batch.target) > ABSURD, np.nan, batch.target))

    def tensors(self, device: torch.device) -> Batch:
        """`batch` in float32 on a device."""
        with np.errstate(over="ignore"):                                # a loc may be; the network sees no loc
            return self.batch().map(lambda array: torch.from_numpy(array.astype(np.float32)).to(device))


class Underway(ABC):
    """A training on its way: how many steps it has taken, and of which share of its course."""

    course: Course
    steps: int
    start: float                    # by the monotonic clock
    spent: float                    # seconds, by the mean of a team

    @abstractmethod
    def run(self, steps: int) -> float:
        """Take so many steps; their mean loss."""

    @abstractmethod
    def state(self) -> Arrays:
        """All that goes on changing, to be gone on from."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    @property
    def progress(self) -> float:
        """The share of the schedule that is done: of its steps, or of its time where that is shorter."""
        taken = self.seconds if self.course.team.size == 1 else self.spent
        spent = taken / self.course.limit if self.course.limit else 0.0
        return min(1.0, max(self.steps / max(self.course.steps, 1), spent))


@dataclass
class Loop(Underway):
    """Weights, their running average and AdamW's moments. The closed forms are the member's and stay.

    AdamW (Loshchilov & Hutter 2019) is torch's function: its class imports two seconds of compiler."""

    material: Material
    course: Course
    rate_factor: float = 1.0        # share of the course's learning rate
    origin: Network | None = None   # whose trained weights it begins with, in place of new ones

    def __post_init__(self) -> None:
        course, network = self.course, self.material.member.network
        with SEEDING:
            torch.manual_seed(course.seed)
            model = RecurrentForecaster(network.shape, course.memory)
        if self.origin is not None:
            model.load(self.origin)
        model.load(network, CLOSED_FORMS)
        self.average = copy.deepcopy(model).to(course.device).eval()
        self.model = model.to(course.device).seeded(course.seed).train()
        self.model.rough = course.rough
        self.trained: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.means: list[Tensor] = [p for p in self.average.parameters() if p.requires_grad]
        self.moments = [[torch.zeros_like(p) for p in self.trained] for _ in range(2)]
        self.counts = [torch.zeros((), device=course.device) for _ in self.trained]
        self.order: tuple[int, Ints] = -1, np.empty(0, dtype=np.int64)  # which pass, its windows as they come
        self.quantiles = torch.tensor(network.shape.quantiles, dtype=torch.float32, device=course.device)
        self.batch = min(course.train.batch, len(self.material.windows))
        self.own, self.weight = course.team.part(self.batch)
        self.steps, self.start, self.spent = 0, time.monotonic(), 0.0

    def run(self, steps: int) -> float:
        """Take so many steps and give their mean loss; the windows are gathered and normalised once for all of them."""
        train = self.course.train
        sample, losses, size = self._sample(steps), [], self.own.stop - self.own.start
        for step in range(steps):
            batch = sample.take(slice(step * size, (step + 1) * size))
            self.model.zero_grad(set_to_none=True)
            loss = pinball(self.model(batch), batch.target, self.quantiles)
            torch.autograd.backward(loss)
            gradients = [p.grad for p in self.trained if p.grad is not None]
            loss, self.spent = self.course.team.average(gradients, self.weight, loss.detach(), self.seconds)
            nn.utils.clip_grad_norm_(self.trained, train.clip)
            self._descend(self.rate_factor * self.course.lr * one_cycle(self.progress))
            self.steps += 1
            keep = min(train.averaging, self.steps / (self.steps + 9))  # a short run is not an average of its start
            with torch.no_grad():
                torch._foreach_lerp_(self.means, self.trained, 1 - keep)
            losses.append(loss)
        return float(torch.stack(losses).mean())

    def valid_loss(self, held_out: Batch) -> float:
        """The averaged weights' on held-out windows."""
        with torch.no_grad():
            loss = float(pinball(self.average(held_out), held_out.target, self.quantiles))
        return self.course.team.mean(loss, self.course.device)

    def closed_loss(self, held_out: Batch) -> float:
        """The same of the closed forms alone."""
        loss = float(pinball(self.average.closed(held_out), held_out.target, self.quantiles))
        return self.course.team.mean(loss, self.course.device)

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
        which = np.concatenate(drawn)
        if self.course.team.size > 1:
            which = which.reshape(-1, self.batch)[:, self.own].ravel()
        return self.material.take(which).tensors(self.course.device)

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
    2018), so that training ends at rest wherever its end is set."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return max(1e-4, 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
