"""Ranks: several processes, started by torchrun, that share one training. Rank 0 alone speaks and writes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from forecast.errors import RequestError

STARTED = "TORCHELASTIC_RUN_ID"                                         # set by torchrun: a lone RANK says nothing


@dataclass(frozen=True)
class Rank:
    """Which process this is, of how many; on this machine it is the one with the number `here`, of `neighbours`."""

    number: int = 0
    of: int = 1
    here: int = 0
    neighbours: int = 1


def rank() -> Rank:
    """This process's; the only one where torchrun has not started it."""
    if STARTED not in os.environ:
        return Rank()
    return Rank(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))


def check_command(command: str) -> None:
    """Raises RequestError where several processes would all do what only one is to do."""
    if command != "train" and rank().of > 1:
        raise RequestError(f"torchrun shares a training, and {command} is none", code="bad_setting",
                           hint="predict and evaluate take --jobs N")


def hush() -> None:
    """All but rank 0 say nothing from now on, nor does what they are made of."""
    if rank().number:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)
