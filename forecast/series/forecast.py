"""Forecast: what a forecaster says of every series of a panel; and the promise that every forecaster keeps."""

# S series  H horizon  Q quantiles

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.panel import Panel
from forecast.system.engine import Engine

ROWS = 240_000                      # of forecasts made at a time: memory is bounded however many series there are
POINTS = 5_000_000                  # of the histories that are looked at for them
FEWEST = 64                         # series of a part, however far ahead or long
PIECE = 1_024                       # of a part, for one worker


@dataclass(frozen=True)
class Remark:
    """What a reader of the forecast of one series has to know. `code`: "level" (its level changed), "silenced" (some
    forecasters had no say in it) or "zeros" (its median is 0, its mean is not)."""

    series: str
    code: str
    message: str


@dataclass(frozen=True)
class Forecast:
    """Quantiles of the next H steps of each series, in original units.

    values (S, H, Q) float64, ascending along Q · quantiles (Q,) ascending, 0.5 among them ·
    source (S,) str: what served each series ("lstm", "seasonal_naive", "fallback:short") · mean (S, H): the expected
    value beside the median, which is what totals are made of; None from a forecaster that does not tell it · voices
    (S, M): which of M forecasters blended had a say at every step; None from one that blends none."""

    panel: Panel                    # what was known; each forecast begins at panel.end
    quantiles: tuple[float, ...]
    values: Floats
    source: NDArray[np.object_]
    remarks: tuple[Remark, ...] = ()
    mean: Floats | None = None
    voices: Bools | None = None

    @property
    def horizon(self) -> int:
        return int(self.values.shape[1])

    @property
    def point(self) -> Floats:
        """The median (S, H)."""
        return self.values[:, :, self.quantiles.index(0.5)]

    @property
    def ordinals(self) -> Ints:
        """Calendar ordinals forecast (S, H)."""
        return self.panel.end[:, None] + np.arange(self.horizon)

    def band(self, level: float) -> tuple[Floats, Floats]:
        """Lower and upper bound (S, H) of a band in percent: 80 runs from the 10 % to the 90 % quantile."""
        low, high = band_quantiles(level)
        return self.values[:, :, self.quantiles.index(low)], self.values[:, :, self.quantiles.index(high)]


class Forecaster(Protocol):
    """Anything that can be backtested: a trained predictor or a baseline."""

    @property
    def name(self) -> str: ...

    def predict(self, panel: Panel, horizon: int) -> Forecast: ...


def part_size(panel: Panel, horizon: int) -> int:
    """Series that are forecast at a time: some thousand, fewer of long ones."""
    points = int(panel.lengths.sum()) // max(1, len(panel)) + 1         # of a series, as they are on average
    return max(FEWEST, min(ROWS // horizon, POINTS // points))


def in_parts(forecaster: Forecaster, panel: Panel, horizon: int, *, size: int | None = None,
             engine: Engine | None = None) -> Iterator[Forecast]:
    """The forecast of a panel, `size` series (by default some thousand, fewer of long ones) at a time, in their
    order. An empty panel is one part. Whether others work on it changes no bit: no series sees another one."""
    parts = _cut(panel, size or part_size(panel, horizon))
    if engine is None:
        yield from (forecaster.predict(part, horizon) for part in parts)
        return
    under_way = deque[tuple[Panel, int]]()

    def pieces() -> Iterator[Panel]:
        for part in parts:
            under_way.append((part, len(range(0, max(1, len(part)), PIECE))))
            yield from (piece.trimmed().foreseen(horizon) for piece in _cut(part, PIECE))

    said = engine.map(partial(_said_of, forecaster, horizon), pieces())
    for first in said:
        part, count = under_way.popleft()
        yield _joined(part, [first, *islice(said, count - 1)])


def _cut(panel: Panel, size: int) -> Iterator[Panel]:
    for begin in range(0, max(1, len(panel)), size):
        yield panel.take(np.arange(begin, min(begin + size, len(panel))))


def _said_of(forecaster: Forecaster, horizon: int, piece: Panel) -> Forecast:
    """The forecast of a piece, without the piece."""
    forecast = forecaster.predict(piece, horizon)
    return replace(forecast, panel=Panel.of([], piece.calendar))


def _joined(panel: Panel, pieces: Sequence[Forecast]) -> Forecast:
    """The forecast of a panel of those of its pieces."""
    remarks = [remark for piece in pieces for remark in piece.remarks]
    means, voices = ([said for piece in pieces if (said := getattr(piece, name)) is not None] for name in
                     ("mean", "voices"))
    return Forecast(panel, pieces[0].quantiles, np.concatenate([piece.values for piece in pieces]),
                    np.concatenate([piece.source for piece in pieces]),
                    tuple(sorted(remarks, key=lambda remark: remark.code == "silenced")),  # behind all changes of level
                    np.concatenate(means) if means else None, np.concatenate(voices) if voices else None)


def band_quantiles(level: float) -> tuple[float, float]:
    """The two quantiles of a band in percent, as the same floats wherever they are asked for."""
    low = round((100 - level) / 200, 6)
    return low, round(1 - low, 6)


def quantile_grid(levels: tuple[float, ...]) -> tuple[float, ...]:
    """The quantiles a forecaster must give for these bands: both ends of each, and the median."""
    return tuple(sorted({0.5, *(q for level in levels for q in band_quantiles(level))}))
