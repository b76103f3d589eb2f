"""Drawings: charts as SVG inside the page. They take the page's colours, and need no script.

Coordinates are made here; what is written, and how it is escaped, stands in drawing.svg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forecast.reporting.axes import Point, Span, round_ticks, runs, span_of
from forecast.series.arrays import Floats
from forecast.showing.fans import Fan, Said, joined
from forecast.showing.tables import number
from forecast.text import safe

WIDE, HIGH = 480, 230                                                   # of the paper
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 12, 30                               # its margins; LEFT grows with what stands there
LETTER = 6.6                                                            # width of a letter of the axes
Names = Callable[[Sequence[int]], Sequence[str]]                        # ordinals -> times as the file writes them


@dataclass(frozen=True)
class Stroke:
    """A line in pieces, drawn in a style of the page: "history", "forecast", "before", "naive", "plain"."""

    style: str
    pieces: Sequence[Sequence[Point]]
    dots: bool = False


@dataclass(frozen=True)
class Drawing:
    """What drawing.svg writes. areas: closed lines with their style · marks: upright lines · ticks: (place, text)."""

    title: str
    words: str                                                          # what it shows, for who does not see it
    strokes: Sequence[Stroke]
    areas: Sequence[tuple[str, Sequence[Point]]] = ()
    marks: Sequence[float] = ()
    across: Sequence[tuple[float, str, str]] = ()                       # x, text, anchor
    up: Sequence[tuple[float, str]] = ()
    key: Sequence[tuple[str, str]] = ()                                 # style, what it stands for
    size: tuple[int, int] = (WIDE, HIGH)
    left: float = LEFT                                                  # where the paper of the lines begins

    @property
    def box(self) -> tuple[float, int, int, int]:
        """Left, top, right and bottom of it."""
        return self.left, TOP, self.size[0] - RIGHT, self.size[1] - BOTTOM


def fan_drawing(fan: Fan, times: Names) -> Drawing:
    """A series: its past, its forecast in bands, and what was forecast before."""
    said = [*fan.before, *([fan.ahead] if fan.ahead else [])]
    last = max([int(fan.ordinals[-1]), *(int(s.ordinals[-1]) for s in said)])
    shown = [v for s in said for pair in ((s.point,), *s.bands.values()) for side in pair for v in side.tolist()]
    y = span_of([*fan.y.tolist(), *shown], HIGH - BOTTOM, TOP)
    up = _number_ticks(y)
    x = Span(float(fan.ordinals[0]), max(float(last), fan.ordinals[0] + 1.0), _left(up), WIDE - RIGHT)
    areas = [(f"band{k}", _area(joined(fan, s), level, x, y)) for s in ([fan.ahead] if fan.ahead else [])
             for k, level in enumerate(sorted(s.bands, reverse=True))]
    strokes = [Stroke("history", runs(fan.ordinals, fan.y, x, y))]
    strokes += [Stroke("before", runs(s.ordinals, s.point, x, y)) for s in fan.before]
    strokes += [Stroke("forecast", runs(s.ordinals, s.point, x, y)) for s in ([joined(fan, fan.ahead)] if fan.ahead
                                                                              else [])]
    texts = times([int(fan.ordinals[0]), last])
    words = f"{fan.name}, {texts[0]} to {texts[1]}"
    if fan.ahead is not None:
        words += f"; the forecast ends at {number(float(fan.ahead.point[-1]))}"
    return Drawing(fan.name, words, strokes, areas, [x(float(fan.ordinals[-1]))] if fan.ahead else [],
                   _time_ticks(x, times), up, left=x.at)


def _area(said: Said, level: float, x: Span, y: Span) -> list[Point]:
    low, high = said.bands[level]
    there = np.isfinite(low) & np.isfinite(high)
    along, lower, upper = said.ordinals[there].tolist(), low[there].tolist(), high[there].tolist()
    return [(x(a), y(b)) for a, b in zip(along, upper, strict=True)] + [
        (x(a), y(b)) for a, b in zip(along[::-1], lower[::-1], strict=True)]


def line_drawing(title: str, words: str, lines: Sequence[tuple[str, str, Sequence[float], Floats]], *,
                 times: Names | None = None, level: float | None = None) -> Drawing:
    """Several lines over one axis. lines: (style, meaning, x (N,), y (N,)); times: what an x is called, or None;
    level: a value drawn as a line of its own, to be compared with."""
    along = [a for _, _, xs, _ in lines for a in xs]
    values = [v for _, _, _, ys in lines for v in np.asarray(ys).tolist()]
    y = span_of([0.0, *values, *([] if level is None else [level])], HIGH - BOTTOM, TOP)
    y = Span(max(y.low, 0.0) if min(values, default=0) >= 0 else y.low, y.high, y.at, y.to)
    up = _number_ticks(y)
    x = Span(min(along), max(max(along), min(along) + 1), _left(up), WIDE - RIGHT)
    strokes = [Stroke(style, runs(xs, ys, x, y), dots=style != "level" and len(xs) <= 40) for style, _, xs, ys in lines]
    if level is not None:
        strokes.insert(0, Stroke("level", [[(x.at, y(level)), (x.to, y(level))]]))
    across = _time_ticks(x, times) if times else [
        (x(a), number(a), "middle") for a in round_ticks(x.low, x.high, most=8) if a == int(a)]
    return Drawing(title, words, strokes, across=across, up=up, left=x.at,
                   key=[(style, meaning) for style, meaning, _, _ in lines])


def _time_ticks(x: Span, times: Names) -> list[tuple[float, str, str]]:
    """As many times as have room, the first and the last among them."""
    low, high = int(x.low), int(x.high)
    widest = max(len(safe(t).removesuffix(":00")) for t in times([low, high]))
    most = max(2, min(5, high - low + 1, int((x.to - x.at) / (LETTER * (widest + 3)))))
    places = [round(low + k * (high - low) / (most - 1)) for k in range(most)]
    anchors = ["start", *["middle"] * (most - 2), "end"]
    texts = [safe(t) for t in times(places)]
    while all(t.endswith(":00") and t.count(":") > 1 for t in texts):       # no seconds where all are whole minutes
        texts = [t.removesuffix(":00") for t in texts]
    return [(x(o), t, anchor) for o, t, anchor in zip(places, texts, anchors, strict=True)]


def _left(up: Sequence[tuple[float, str]]) -> float:
    """Where the lines may begin beside such numbers, a little larger than on a wide screen."""
    return max(float(LEFT), 12 + 1.3 * LETTER * max((len(text) for _, text in up), default=0))


def _number_ticks(y: Span) -> list[tuple[float, str]]:
    return [(y(v), number(v)) for v in round_ticks(y.low, y.high)]
