"""Team: the processes that share one training: each learns from its part of every batch, gradients are averaged.

All of them take the same steps from the same weights: what decides about the course of a training (losses, the time it
took) is the same number for all."""

# B windows of a batch

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from forecast.errors import RequestError
from forecast.system.ranks import rank

PATIENCE = timedelta(minutes=10)                                        # for one that reads or scores longer


@dataclass(frozen=True)
class Team:
    """So many processes, of which this is one; alone, nothing is said to anybody."""

    number: int = 0
    size: int = 1
    group: Any = None                                                   # of this training alone: several run at a time

    def another(self) -> Team:
        """The same processes for another training that runs beside. To be called by all in the same order."""
        return Team(self.number, self.size, dist.new_group()) if self.size > 1 else self

    def part(self, batch: int) -> tuple[slice, float]:
        """Which of B windows are this process's, and what its mean weighs in theirs. Fewer windows than processes are
        everybody's."""
        if batch < self.size:
            return slice(0, batch), 1 / self.size
        begin, end = (batch * k // self.size for k in (self.number, self.number + 1))
        return slice(begin, end), (end - begin) / batch

    def average(self, gradients: Sequence[Tensor], weight: float, loss: Tensor, seconds: float) -> tuple[Tensor, float]:
        """Put the mean of all into these gradients; that of the loss, and of the seconds since the training began."""
        if self.size == 1:
            return loss, seconds
        beside = torch.stack([weight * loss, torch.full_like(loss, seconds / self.size)])
        flat = torch.cat([*(weight * g.reshape(-1) for g in gradients), beside])
        dist.all_reduce(flat, group=self.group)
        sizes = [g.numel() for g in gradients]
        for gradient, mean in zip(gradients, torch.split(flat[:-2], sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return flat[-2], float(flat[-1])

    def mean(self, number: float, device: torch.device) -> float:
        """The mean of what each has."""
        if self.size == 1:
            return number
        both = torch.tensor([number / self.size], dtype=torch.float64 if device.type != "mps" else torch.float32,
                            device=device)
        dist.all_reduce(both, group=self.group)
        return float(both[0])


ALONE = Team()


@contextmanager
def joined(device: str, **same: object) -> Iterator[Team]:
    """The team that torchrun has started, if it has. same: what has to be the same for all of them.

    Raises RequestError where it is not."""
    own = rank()
    if own.of == 1:
        yield ALONE
        return
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.device_count() >= own.neighbours
    os.environ.setdefault("GLOO_LOG_LEVEL", "ERROR")
    dist.init_process_group("nccl" if on_gpus else "gloo", timeout=PATIENCE)
    try:
        everyone: list[Any] = [None] * own.of
        dist.all_gather_object(everyone, same)
        if others := sorted({name for one in everyone for name in same if one[name] != everyone[0][name]}):
            raise RequestError(f"the processes of torchrun have not the same {' and '.join(others)}", code="no_team",
                               hint="Give all machines the same file, the same version and the same flags")
        yield Team(own.number, own.of)
    finally:
        dist.destroy_process_group()
