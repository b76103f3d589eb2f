"""Comparing cells: sizes of as many parameters, rounds within a budget of time, a ranking, and what of it is chance.

Training, scoring and printing are others' business."""

# R rounds: in each, every cell is trained once with the round's seed

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median

import numpy as np
from scipy.special import stdtrit

from forecast.config import SETTINGS
from forecast.errors import RequestError
from forecast.model.network import Shape
from forecast.series.arrays import Floats

ERROR = 0.05                            # share of comparisons of equals in which some pair is called different
MOST_UNITS = int(SETTINGS["model.hidden"].high or 0)


@dataclass(frozen=True)
class Trial:
    """One fit of a cell with a seed, and what the backtest says of it."""

    seed: int
    metrics: Mapping[str, float]        # mae, mase, ..., skill
    seconds: float                      # of the fit, without its scoring
    epochs: int
    best_epoch: int
    steps: int                          # training steps behind the weights; 0: the linear skip alone
    hurried: bool                       # whether the limit of time left it fewer steps than planned


@dataclass(frozen=True)
class Contender:
    """A cell in its size, with a trial of each round, in the order of the rounds."""

    cell: str
    hidden: int
    parameters: int
    trials: tuple[Trial, ...]

    def values(self, metric: str) -> Floats:
        """(R,) of one metric."""
        return np.array([t.metrics[metric] for t in self.trials])

    def mean(self, metric: str) -> float:
        return float(self.values(metric).mean())

    def deviation(self, metric: str) -> float:
        """Standard deviation over the seeds; nan for one."""
        return float(self.values(metric).std(ddof=1)) if len(self.trials) > 1 else math.nan

    @property
    def seconds(self) -> float:
        return float(np.mean([t.seconds for t in self.trials]))

    @property
    def best_epoch(self) -> float:
        return median(t.best_epoch for t in self.trials)

    @property
    def steps(self) -> float:
        return median(t.steps for t in self.trials)

    @property
    def learned(self) -> int:
        """The seeds with which the network bettered its linear skip on the validation windows."""
        return sum(t.steps > 0 for t in self.trials)

    @property
    def hurried(self) -> int:
        """The seeds whose training was short of time."""
        return sum(t.hurried for t in self.trials)


@dataclass(frozen=True)
class Difference:
    """Mean over the seeds of one cell's score minus another's; beyond chance where it is larger than `chance`."""

    better: str
    worse: str
    mean: float
    chance: float                       # inf for one seed

    @property
    def is_beyond_chance(self) -> bool:
        return abs(self.mean) > self.chance


def matched(shape: Shape, cell: str) -> Shape:
    """The shape with another cell, and the units that bring its trained parameters nearest to those it had."""
    def sized(hidden: int) -> Shape:
        return replace(shape, cell=cell, hidden=hidden)

    def parameters(hidden: int) -> int:
        return sized(hidden).parameters

    enough = 1 + bisect_left(range(1, MOST_UNITS), shape.parameters, key=parameters)
    return sized(min((max(enough - 1, 1), enough), key=lambda hidden: abs(parameters(hidden) - shape.parameters)))


def share(budget: float, *, spent: float, fits: int, beside: float) -> float:
    """Seconds that each of so many fits may train, where each takes `beside` seconds more for what is not training.

    Raises RequestError where nothing is left to train in."""
    seconds = (budget - spent) / fits - beside
    if seconds <= 0:
        raise RequestError(f"--budget: {budget:g} s leave nothing to train in", code="budget_too_short",
                           hint=f"Give {math.ceil(spent + fits * (beside + 1))}s or more, or fewer --cells")
    return seconds


def rounds(seeds: Iterable[int], *, budget: float, start: float,
           clock: Callable[[], float] = time.monotonic) -> Iterator[int]:
    """The first seed, and the next ones for as long as the longest round so far would end within the budget.

    start: the clock's time from which the budget counts. A round lasts until the next seed is asked for."""
    longest = 0.0
    for seed in seeds:
        begun = clock()
        if longest and begun - start + longest > budget:
            return
        yield seed
        longest = max(longest, clock() - begun)


def ranked(contenders: Iterable[Contender], metric: str) -> list[Contender]:
    """The least mean first; one without a number last."""
    return sorted(contenders, key=lambda c: (math.isnan(c.mean(metric)), c.mean(metric)))


def differences(ranking: Sequence[Contender], metric: str) -> list[Difference]:
    """Every pair, in the order of the ranking, paired seed by seed.

    Chance is Student's t interval of the mean difference at 95 %, corrected for the number of pairs (Bonferroni)."""
    pairs = list(combinations(ranking, 2))
    return [_difference(a, b, metric, ERROR / len(pairs)) for a, b in pairs]


def _difference(better: Contender, worse: Contender, metric: str, error: float) -> Difference:
    gaps = better.values(metric) - worse.values(metric)                 # (R,)
    n = len(gaps)
    chance = stdtrit(n - 1, 1 - error / 2) * gaps.std(ddof=1) / math.sqrt(n) if n > 1 else math.inf
    return Difference(better.cell, worse.cell, float(gaps.mean()), float(chance))


def verdict(ranking: Sequence[Contender], pairs: Sequence[Difference]) -> str:
    """What the ranking is worth, in a sentence."""
    if len(ranking[0].trials) < 2:
        return "nothing: with one seed the ranking may be chance"
    apart = [d for d in pairs if d.is_beyond_chance]
    if not apart:
        return "no difference between these cells: other seeds alone make differences as large"
    first = ranking[0].cell
    behind = {cell: [d.worse for d in apart if d.better == cell] for cell in dict.fromkeys(d.better for d in apart)}
    near = [c.cell for c in ranking[1:] if c.cell not in behind.get(first, [])]
    better = "; ".join(f"{cell} is better than {joined(worse)}" for cell, worse in behind.items())
    return better + (f"; whether {first} is better than {joined(near)} may be chance" if near else "")


def in_budget_text(seconds: float) -> str:
    """A time that `seconds_of` reads, no shorter: `45s`, `7m`."""
    return f"{math.ceil(seconds)}s" if seconds <= 90 else f"{math.ceil(seconds / 60)}m"


def joined(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
