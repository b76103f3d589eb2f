"""Joint scores: paths held against what came true: as totals, as a whole, and as chances of events."""

# W windows  N paths  H horizon  Q quantiles

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.forecast import band_quantiles, quantile_grid


@dataclass(frozen=True)
class Cases:
    """The windows of a backtest whose truth is known at every step: the bands as quantiles (W, H, Q), the truth (W, H),
    the series (W,) and the cutoff (W,)."""

    quantiles: tuple[float, ...]
    values: Floats
    truth: Floats
    series: Ints
    cutoff: Ints

    @classmethod
    def of(cls, frame: pd.DataFrame, levels: tuple[float, ...], horizon: int) -> Cases:
        """From the rows of one forecaster in a backtest frame."""
        rows = frame.sort_values(["series", "cutoff", "step"], kind="stable")
        sizes = rows.groupby(["series", "cutoff"], sort=False)["step"].transform("size")
        rows = rows[sizes == horizon]
        grid = quantile_grid(levels)
        names = {0.5: "yhat"} | {q: f"yhat_{side}_{level:g}" for level in levels
                                 for side, q in zip(("lo", "hi"), band_quantiles(level), strict=True)}
        values = rows[[names[q] for q in grid]].to_numpy().reshape(-1, horizon, len(grid))
        heads = rows.iloc[::horizon]
        return cls(grid, values, rows["y"].to_numpy().reshape(-1, horizon), heads["series"].to_numpy(dtype=np.int64),
                   heads["cutoff"].to_numpy(dtype=np.int64))

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, which: Ints) -> Cases:
        return Cases(self.quantiles, self.values[which], self.truth[which], self.series[which], self.cutoff[which])

    def ends_added_up(self, level: float) -> Bools:
        """Whether the total lay between the sums of the ends of a band (W,): what the total of bands is not."""
        low, high = (self.values[:, :, self.quantiles.index(q)].sum(axis=1) for q in band_quantiles(level))
        total = self.truth.sum(axis=1)
        return np.asarray((low <= total) & (total <= high))


def total_covered(paths: Floats, truth: Floats, level: float) -> Bools:
    """Whether the total of (W, H) lies in the band of the totals of paths (W, N, H): (W,)."""
    total = truth.sum(axis=1)
    low, high = np.quantile(paths.sum(axis=2), band_quantiles(level), axis=1)
    return np.asarray((low <= total) & (total <= high))


def energy_score(paths: Floats, truth: Floats) -> Floats:
    """(W,) E |X - y| - E |X - X'| / 2 with Euclidean distances over the horizon (Gneiting & Raftery 2007); of paths
    (W, N, H) each is held against the next one."""
    off = np.linalg.norm(paths - truth[:, None], axis=2).mean(axis=1)
    apart = np.linalg.norm(paths - np.roll(paths, 1, axis=1), axis=2).mean(axis=1)
    return np.asarray(off - apart / 2)


def brier(chance: Floats, happened: Bools) -> float:
    """The mean square of probability less outcome (Brier 1950)."""
    return float(np.mean((chance - happened) ** 2))


def reliability(chance: Floats, happened: Bools, *, bins: int = 5) -> list[dict[str, Any]]:
    """Of each fifth of the chances that were given: how many, their mean, and how often it happened."""
    which = np.minimum((chance * bins).astype(int), bins - 1)
    return [{"from": b / bins, "to": (b + 1) / bins, "n": int((which == b).sum()),
             "chance": float(chance[which == b].mean()), "happened": float(happened[which == b].mean())}
            for b in range(bins) if (which == b).any()]
