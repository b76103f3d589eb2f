"""Windows: positions in a Panel, and the batches gathered there from its one flat array. Scaling is scaling.py's."""

# W windows  B batch  L context  H horizon

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.series import Floats, Ints, Panel, ranges


@dataclass(frozen=True)
class Windows:
    """Where windows lie: window w looks back from `cut[w]`, not further than `first[w]`.

    first, cut (W,) positions in the panel's y: context is y[cut-L:cut], target y[cut:cut+H] · series (W,)."""

    first: Ints
    cut: Ints
    series: Ints

    def __len__(self) -> int:
        return len(self.cut)

    def take(self, which: Ints) -> Windows:
        return Windows(self.first[which], self.cut[which], self.series[which])


def windows_of(panel: Panel, *, horizon: int, min_context: int, newest: int | None = None) -> Windows:
    """Every window whose target lies wholly inside its series, with `min_context` points or more before it.

    A series of n points has max(0, n - min_context - horizon + 1), less those cut inside a filled gap. With `newest`,
    only those whose target lies wholly inside the newest `newest` steps of the panel (validation)."""
    low = panel.first + min_context
    if newest is not None:
        low = np.maximum(low, panel.drop_last(newest).stop)
    series, cut = ranges(low, np.maximum(panel.stop - horizon + 1 - low, 0))
    windows = Windows(panel.first[series], cut, series)
    return windows if panel.filled is None else windows.take(np.flatnonzero(~panel.filled[cut - 1]))


def ends_of(panel: Panel) -> Windows:
    """One window a series, at its end: where a forecast is made."""
    return Windows(panel.first, panel.stop, np.arange(len(panel)))


def contexts(y: Floats, windows: Windows, length: int) -> Floats:
    """(B, L): the last `length` points before each cut, NaN before the series begins."""
    at = windows.cut[:, None] + np.arange(-length, 0)
    inside = at >= windows.first[:, None]
    if inside.all():
        whole: Floats = y[at]
        return whole
    return np.where(inside, y[np.where(inside, at, 0)], np.nan)


def targets(y: Floats, windows: Windows, horizon: int) -> Floats:
    """(B, H): the points from each cut on."""
    ahead: Floats = y[windows.cut[:, None] + np.arange(horizon)]
    return ahead
