"""Periods: the days, weeks and months that steps add up to, on the clock of the file; and how many steps each has."""

# T steps, one behind the other  P periods

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import RequestError
from forecast.reading.contract import Contract
from forecast.reading.parsing.zones import from_utc
from forecast.series.arrays import Ints
from forecast.series.calendar import DAY, WEEK
from forecast.writing.layouts import stamps

ALL, STEP = "all", "step"
MONDAY = 3                          # days from a Monday to 1970-01-01
LONGEST = {"day": DAY, "week": WEEK, "month": 31 * DAY}
KEYS: dict[str, Callable[[NDArray[Any]], Ints]] = {
    "day": lambda stamps: stamps.astype("datetime64[D]").astype(np.int64),
    "week": lambda stamps: (stamps.astype("datetime64[D]").astype(np.int64) + MONDAY) // 7,
    "month": lambda stamps: stamps.astype("datetime64[M]").astype(np.int64)}
NAMES: dict[str, Callable[[int], str]] = {                              # a week by its Monday
    "day": lambda key: str(np.datetime64(key, "D")),
    "week": lambda key: str(np.datetime64(7 * key - MONDAY, "D")),
    "month": lambda key: str(np.datetime64(key, "M"))}
KINDS = (STEP, *KEYS, ALL)


@dataclass(frozen=True)
class Periods:
    """Where each of T steps from `first` on belongs: code (T,), names (P,); whole (P,) the steps that a period has."""

    kind: str
    first: int
    code: Ints
    names: tuple[str, ...]
    whole: Ints

    @classmethod
    def of(cls, contract: Contract, kind: str, *, first: int, stop: int) -> Periods:
        """Of the steps at ordinals from `first` up to `stop`. Raises RequestError where a period has no whole step."""
        if kind == ALL:
            return cls(kind, first, np.zeros(stop - first, dtype=np.int64), (ALL,), np.array([stop - first]))
        if kind == STEP:
            names = [str(text) for text in stamps(contract, np.arange(first, stop))]
            return cls(kind, first, np.arange(stop - first), tuple(names), np.ones(stop - first, dtype=np.int64))
        if not contract.calendar.is_time:
            raise RequestError(f"--sum {kind}: the times of these data are numbers, not dates", code="bad_setting",
                               hint="Use --sum all")
        at = contract.calendar.times(np.array([first, first + 1])).astype(np.int64)
        step = int(at[1] - at[0])
        if step > LONGEST[kind]:
            raise RequestError(f"--sum {kind}: a step of these data is longer, {contract.calendar.words}",
                               code="bad_setting", hint="Use --sum all")
        room = LONGEST[kind] // max(1, step) + 2
        keys = KEYS[kind](_on_the_clock(contract, np.arange(first - room, stop + room)))
        inside = keys[room:len(keys) - room]
        known, code = np.unique(inside, return_inverse=True)
        whole = np.searchsorted(keys, known, side="right") - np.searchsorted(keys, known, side="left")
        return cls(kind, first, code, tuple(NAMES[kind](int(key)) for key in known), whole)

    def of_steps(self, ordinals: Ints) -> Ints:
        """The period of each of these ordinals."""
        return np.asarray(self.code[ordinals - self.first])


def _on_the_clock(contract: Contract, ordinals: Ints) -> NDArray[Any]:
    stamps = contract.calendar.times(ordinals).astype("datetime64[us]")
    if contract.tz is None or not contract.utc:
        return stamps
    local = from_utc(stamps.view(np.int64), contract.tz)
    return np.maximum.accumulate(local).view("datetime64[us]")          # an hour told twice stays in its day
