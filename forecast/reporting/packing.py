"""Packing: the numbers behind the charts as one block of JSON, small: whole numbers, each as its step from the one
before. report.js reads it.

A number is kept to five digits of the largest of its series. `null` is a value that is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.showing.fans import Fan, Said

DIGITS = 5                                                              # of the largest value of a series


@dataclass(frozen=True)
class Sized:
    """Values as whole numbers of 10^exponent."""

    exponent: int

    @classmethod
    def of(cls, fan: Fan) -> Sized:
        parts = [fan.y, *(v for s in _all(fan) for v in (s.point, *(b for pair in s.bands.values() for b in pair)))]
        largest = max((float(np.nanmax(np.abs(p))) for p in parts if np.isfinite(p).any()), default=0.0)
        return cls(math.floor(math.log10(largest)) + 1 - DIGITS if largest > 0 else 0)

    def steps(self, values: Floats) -> list[int | None]:
        """Each value less the one before, the first less 0."""
        scaled = np.rint(values / 10.0 ** self.exponent if self.exponent >= -300 else values * 10.0 ** -self.exponent)
        known = np.isfinite(scaled)
        found = np.full(len(scaled), None, dtype=object)
        found[known] = np.diff(scaled[known], prepend=0.0).astype(np.int64).tolist()
        return found.tolist()


def _all(fan: Fan) -> list[Said]:
    return [*fan.before, *([] if fan.ahead is None else [fan.ahead])]


def packed(fans: Sequence[Fan], rows: Sequence[dict[str, Any]], calendar: Calendar, *, levels: Sequence[float],
           zone: str | None) -> str:
    """The block, safe inside a page. rows: what the list says of each fan, in the same order · zone: in which times of
    a calendar in UTC are shown."""
    if not fans:
        return _text({"series": []})
    first = min(int(f.ordinals[0]) for f in fans)
    last = max(end for f in fans for end in (int(f.ordinals[-1]), *(int(s.ordinals[-1]) for s in _all(f))))
    block = {"x": _axis(calendar, first, last, zone), "levels": list(levels), "horizon": max(
                 (len(f.ahead.point) for f in fans if f.ahead is not None), default=12),
             "series": [row | _series(fan, first, levels) for fan, row in zip(fans, rows, strict=True)]}
    return _text(block)


def _axis(calendar: Calendar, first: int, last: int, zone: str | None) -> dict[str, Any]:
    """Every time from the first ordinal to the last: where it begins, and its steps in runs (step, how often)."""
    times = calendar.times(np.arange(first, last + 1))
    if not calendar.is_time:
        return {"time": False, "at": int(times[0]), "unit": 1, "steps": _runs(np.diff(times))}
    stamps = times.astype("datetime64[us]").view(np.int64)
    steps = np.diff(stamps)
    unit = int(np.gcd.reduce(steps)) if len(steps) else 1
    return {"time": True, "at": int(stamps[0]), "unit": unit, "steps": _runs(steps // unit), "zone": zone or "UTC",
            "letters": letters(times) if zone is None else 16}


def letters(times: Any) -> int:
    """How many letters of 2026-09-19 04:15:00 tell these times apart and whole."""
    stamps = np.asarray(times).astype("datetime64[us]")
    for size, unit in ((4, "Y"), (7, "M"), (10, "D"), (16, "m")):
        if (stamps.astype(f"datetime64[{unit}]") == stamps).all():
            return size
    return 19


def _runs(steps: Any) -> list[list[int]]:
    return [[int(step), len(list(same))] for step, same in groupby(steps.tolist())]


def _series(fan: Fan, first: int, levels: Sequence[float]) -> dict[str, Any]:
    sized = Sized.of(fan)
    found: dict[str, Any] = {"o": int(fan.ordinals[0]) - first, "e": sized.exponent, "y": sized.steps(fan.y)}
    if fan.ahead is not None:
        found["f"] = _said(fan.ahead, sized, first, levels)
    if fan.before:
        found["b"] = [_said(said, sized, first, levels[:1]) for said in fan.before]
    if fan.filled is not None and len(fan.filled):
        found["z"] = np.diff(fan.filled, prepend=0).tolist()
    return found


def _said(said: Said, sized: Sized, first: int, levels: Sequence[float]) -> dict[str, Any]:
    """A forecast may leave out steps of which the truth is unknown: its ordinals are told where they have gaps."""
    at = said.ordinals - first
    place = int(at[0]) if (np.diff(at) == 1).all() else np.diff(at, prepend=0).tolist()
    return {"o": place, "p": sized.steps(said.point),
            "b": [sized.steps(side) for level in levels if level in said.bands for side in said.bands[level]]}


def _text(block: Any) -> str:
    """JSON that cannot end the element it stands in, in which only ASCII stands."""
    text = json.dumps(block, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
