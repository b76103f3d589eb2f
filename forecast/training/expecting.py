"""Expecting: about how long a training and its scores will take, part by part, by a little of each done now.

On a busy machine a short piece of work may be held up: of several alike the fastest counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from forecast.model.member import NETWORK, part
from forecast.model.predictor import EXPERTS, ROWS, Predictor
from forecast.model.prior import PRIOR, TUNED
from forecast.scoring.formulas import SIMPLE
from forecast.series.panel import Panel, Windows
from forecast.series.windows import evenly
from forecast.system.beside import workers
from forecast.training.fit import held_out_windows, pace, rounds_of
from forecast.training.weighing import MOST_ASKED, MOST_WEIGHED, said_at, weighed_by

PREPARING = 0.03                        # of a fit's steps: the closed forms before it
EARLY = 0.5                             # of the steps of a fit of few windows: those that only get worse end before
TAKEN = 0.15                            # of the steps of a final fit that begins anew: the best look comes early
SCORING = 0.4                           # seconds until there are tables of scores
MANY, SOME = 64, 8                      # windows at which all are asked now, beside one; fewer
BRIEF = 0.1                             # where that one takes more seconds


@dataclass(frozen=True)
class Expected:
    """Seconds of each part, in order; those left to the first trainings where there is a limit; and the least limit
    within which something is trained."""

    parts: dict[str, float]
    limit: float | None
    least: float

    @property
    def is_too_short(self) -> bool:
        """Whether the limit leaves no time to train in."""
        return self.limit is not None and self.limit <= 0


def expect(predictor: Predictor, known: Panel, rows: int, *, share: float = 1.0, spent: float = 0.0) -> Expected:
    """How long it takes to fit a blank predictor and to score so many forecasts. Of a time limit, which is for all of
    it, `spent` seconds are over.

    share: of the usual steps."""
    rounds, windows = rounds_of(predictor, known), held_out_windows(predictor.plan, known)
    train = predictor.config.train
    steps, asked = share * pace(predictor, known), asking(predictor, known, windows)
    taken, again = (1.0, rounds - 1) if rounds < 2 else (EARLY, TAKEN * (rounds - 1))
    weighing = [min(len(windows), most) for most in (weighed_by(len(known)), MOST_WEIGHED)]
    parts = {"preparing": PREPARING * (1 + steps), "training": taken * steps, "weighing": sum(map(asked, weighing)),
             "backtest": asked(rows) + SCORING * (rows > 0), "final fit": again * steps}
    beside = spent + sum(parts.values()) - (taken + again) * steps
    first_look = (1 + again) * steps * min(1.0, train.epoch_steps / max(1, predictor.plan.steps))
    if not train.time_limit or not steps:
        return Expected(parts, None, beside + first_look)
    room = train.time_limit - beside
    limit = room / (1 + again) if room >= first_look else 0.0
    cut = min(1.0, limit / steps)
    parts |= {"training": taken * cut * steps, "final fit": again * cut * steps}
    return Expected(parts, limit, beside + first_look)


def asking(predictor: Predictor, known: Panel, windows: Windows) -> Callable[[int], float]:
    """About how many seconds it takes to ask all forecasters at so many windows, by some of these."""
    model, count = predictor.config.model, predictor.plan.members
    names = [part(NETWORK, k) for k in range(count)]
    if model.blend and model.skip:
        experts = [name for name in EXPERTS if name != TUNED and (name != PRIOR or predictor.prior)]
        names += experts if len(known) <= MOST_ASKED else SIMPLE
    predictor = replace(predictor, members=predictor.members[:1] * count)

    if not len(windows):
        return lambda rows: 0.0

    def asked(count: int) -> float:
        """Seconds for so many."""
        began = time.perf_counter()
        said_at(predictor, known, windows.take(evenly(len(windows), count)), names)
        return time.perf_counter() - began

    one = min(asked(1) for _ in range(3))                               # the first one warms up
    many = min(MANY if one < BRIEF else SOME, len(windows))
    each = max(0.0, asked(many) - one) / (many - 1) if many > 1 else 0.0

    def seconds(rows: int) -> float:
        blocks = math.ceil(rows / ROWS)                                 # they are asked a block at a time, side by side
        return (blocks * max(0.0, one - each) + rows * each) / max(1, min(blocks, workers()))

    return seconds
