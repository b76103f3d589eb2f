"""Windows of a panel: which there are, and the values gathered there from its array. Scaling is units.py's."""

# S series  W windows  B batch  L context  H horizon

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecast.series.arrays import Floats, Ints
from forecast.series.panel import Panel, Windows


@dataclass(frozen=True)
class AllWindows:
    """Every window of a panel, series by series; laid out only where taken, so that millions of them take no memory.

    first (S,) as in Windows · low, high (S,) the cuts of series s are low[s], low[s] + 1, ... below high[s]; or, where
    there are gaps, cuts[low[s]], ..., `cuts` (N,) being those of all series that lie outside gaps."""

    first: Ints
    low: Ints
    high: Ints
    cuts: Ints | None

    @cached_property
    def _behind(self) -> Ints:
        """(S + 1,) how many windows there are before each series."""
        return np.concatenate([[0], np.cumsum(np.maximum(self.high - self.low, 0))])

    def __len__(self) -> int:
        return int(self._behind[-1])

    def take(self, which: Ints) -> Windows:
        series = np.searchsorted(self._behind, which, side="right") - 1
        cut = self.low[series] + which - self._behind[series]
        return Windows(self.first[series], cut if self.cuts is None else self.cuts[cut], series)


def windows_of(panel: Panel, *, horizon: int, min_context: int, newest: int | None = None) -> AllWindows:
    """Every window whose target lies wholly inside its series, with `min_context` points or more before it.

    A series of n points has max(0, n - min_context - horizon + 1), less those cut inside a filled gap. With `newest`,
    only those whose target lies wholly inside the newest `newest` steps of the panel (validation)."""
    low = panel.first + min_context
    if newest is not None:
        low = np.maximum(low, panel.drop_last(newest).stop)
    high = panel.stop - horizon + 1
    if panel.filled is None:
        return AllWindows(panel.first, low, high, None)
    cuts = np.flatnonzero(~panel.filled) + 1
    return AllWindows(panel.first, np.searchsorted(cuts, low), np.searchsorted(cuts, high), cuts)


def ends_of(panel: Panel) -> Windows:
    """One window a series, at its end: where a forecast is made."""
    return Windows(panel.first, panel.stop, np.arange(len(panel)))


def evenly(count: int, most: int) -> Ints:
    """At most `most` of `count` positions, spread evenly."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.int64)


def contexts(y: Floats, windows: Windows, length: int) -> Floats:
    """(B, L): the last `length` points before each cut, NaN before the series begins."""
    begin = windows.cut - length
    if len(windows) and (begin >= windows.first).all():
        whole: Floats = sliding_window_view(y, length)[begin]
        return whole
    at = begin[:, None] + np.arange(length)
    inside = at >= windows.first[:, None]
    return np.where(inside, y[np.where(inside, at, 0)], np.nan)


def targets(y: Floats, windows: Windows, horizon: int) -> Floats:
    """(B, H): the points from each cut on."""
    ahead: Floats = y[windows.cut[:, None] + np.arange(horizon)]
    return ahead
