"""Axes of drawings: round numbers along a range, and where values lie on the paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forecast.series.arrays import Floats, Ints

Point = tuple[float, float]


@dataclass(frozen=True)
class Span:
    """A range of values, laid on paper from `at` (where low is) to `to` (where high is)."""

    low: float
    high: float
    at: float
    to: float

    def __call__(self, value: float) -> float:
        return round(self.at + (self.to - self.at) * (value - self.low) / (self.high - self.low), 1)


def span_of(values: Iterable[float], at: float, to: float) -> Span:
    """The range of the values that are numbers, with some air; around a single value or none, a range all the same."""
    finite = [v for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    air = (high / 2 - low / 2) * 0.1 or abs(low) * 0.1 or 1.0
    return Span(low - air, high + air, at, to) if math.isfinite(high - low + 2 * air) else Span(-1e308, 1e308, at, to)


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round numbers (1, 2, 5 times a power of ten) within a range."""
    rough = high / most - low / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step)
    return [round(k * step, 12 - math.floor(math.log10(step))) if step < 1 else k * step
            for k in range(first, math.floor(high / step) + 1)]


def runs(xs: Sequence[float] | Ints, ys: Sequence[float] | Floats, x: Span, y: Span) -> list[list[Point]]:
    """The points of a line on paper, in pieces: a new one behind each value that is missing."""
    pieces: list[list[Point]] = [[]]
    for a, b in zip(xs, ys, strict=True):
        if math.isfinite(b):
            pieces[-1].append((x(float(a)), y(float(b))))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
