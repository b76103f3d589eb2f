"""Proposals: for rows at uneven or repeated times, the flags that bring them to steps, each tried before it is told."""

# N rows

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from functools import partial

import numpy as np

from forecast.config import DataConfig
from forecast.errors import DataError, Problem
from forecast.reading.aggregates import grid_of
from forecast.reading.events import in_steps
from forecast.reading.parsing.dates import Times
from forecast.reading.regular import make_regular
from forecast.reading.rows import Rows
from forecast.series.calendar import DAY, Calendar

STEPS = ("minute", "hour", "day", "week", "month", "year")
SOME = 0.02                         # share of rows that repeat a time from which they are events, not slips
FILLED = 0.5                        # share of the steps that should hold rows
LEAST = 8                           # steps that are worth a forecast
NARROW = 0.25                       # spread, as a share of the mean, below which values are a level rather than amounts
_LEVELS = re.compile(r"temp|press|humid|price|rate|level|speed|volt|percent|ratio|score|wind|co2|ph\b|mean|avg|average")
_AMOUNTS = re.compile(r"amount|qty|quantity|sales|orders|revenue|units|count|total|sold|visit|kwh|consumption|paid")


def with_proposal(error: DataError, rows: Rows, times: Times, decimals: Sequence[int], options: DataConfig
                  ) -> DataError:
    """The refusal of rows (N,) at uneven or repeated times, with the flags that bring them to steps in its hints; as it
    was where none does."""
    problems = error.problems
    uneven = any(p.code in ("irregular", "off_grid") for p in problems)
    often = sum(p.code == "duplicate_time" for p in problems) > SOME * rows.codes.size
    if not (uneven or often) or not rows.is_time or options.every is not None:
        return error
    flags = _proposed(rows, times, decimals, options)
    if not flags:
        return error
    told = partial(_told, flags=flags)
    return DataError(told(problems[0]), more=tuple(map(told, problems[1:])))


def _told(problem: Problem, flags: str) -> Problem:
    if problem.code == "duplicate_time" and "--duplicates last" in (problem.hint or ""):
        return dataclasses.replace(problem, hint=f"{flags} brings them to steps; --duplicates last keeps one of each")
    if problem.code in ("irregular", "off_grid") and "--freq" in (problem.hint or ""):
        return dataclasses.replace(problem, hint=f"{flags} brings them to even steps, or give the step with --freq")
    return problem


def _proposed(rows: Rows, times: Times, decimals: Sequence[int], options: DataConfig) -> str:
    """The shortest steps of which most hold rows, else longer ones; "" where none of them can be read."""
    rule = _rule(rows)
    shares = {name: _filled(rows, grid_of(name)) for name in STEPS}
    good = [name for name, (share, steps) in shares.items() if share >= FILLED and steps >= LEAST]
    for name in (*good, *(name for name in STEPS if name not in good and shares[name][1] >= 2)):
        trial = dataclasses.replace(options, every=name, aggregate=(rule,))
        if not (name in ("minute", "hour") and not (rows.stamps % DAY).any()) and _reads(rows, times, decimals, trial):
            return f"--every {name} --aggregate {rule}"
    return ""


def _reads(rows: Rows, times: Times, decimals: Sequence[int], options: DataConfig) -> bool:
    try:
        steps = in_steps(rows, times, decimals, options)
        make_regular(steps.rows, options, None, steps.calendar)
    except DataError:
        return False
    return True


def _filled(rows: Rows, calendar: Calendar) -> tuple[float, int]:
    """The share of a usual series' steps that hold rows, and how many steps there are."""
    ordinals = calendar.nearest(rows.times)
    size = int(ordinals.max() - ordinals.min()) + 1
    held = np.unique(rows.codes * size + ordinals - ordinals.min()).size
    return held / (size * len(rows.ids)), size


def _rule(rows: Rows) -> str:
    """Amounts are added, levels averaged: by the header first, by the values second."""
    values = rows.values[~np.isnan(rows.values)]
    if _AMOUNTS.search(rows.target.lower()):
        return "sum"
    if not values.size or _LEVELS.search(rows.target.lower()):
        return "mean"
    center = float(np.abs(values.mean()))
    is_level = bool((values < 0).any()) or float(values.std()) < NARROW * center
    return "mean" if is_level and not (values == np.round(values)).all() else "sum"
