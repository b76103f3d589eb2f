"""Joint: paths, totals and chances as the rows of a file, in the words and units of the file they came from."""

# S series  N paths  H horizon  P periods  Q quantiles  R rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast, band_quantiles, quantile_grid
from forecast.writing.layouts import Page, beside, keys_of, rounded, stamps
from forecast.writing.periods import ALL, Periods


def samples_table(forecast: Forecast, paths: Floats, page: Page, *, long: bool, typed: bool) -> pa.Table:
    """Paths (S, N, H): a row a series and step with a column for each path; or `long`, a row for each value."""
    count, decimals = paths.shape[1], page.contract.decimals
    by_step = rounded(paths, decimals).swapaxes(1, 2)                   # (S, H, N)
    if long:
        sample = np.tile(np.arange(1, count + 1), forecast.ordinals.size)
        return pa.table(beside(keys_of(forecast, page, typed, repeat=count),
                               {"sample": sample, "value": by_step.ravel()}))
    columns = np.ascontiguousarray(by_step.reshape(-1, count).T)
    return pa.table(beside(keys_of(forecast, page, typed),
                           {f"sample_{n + 1}": column for n, column in enumerate(columns)}))


@dataclass
class Totals:
    """What steps add up to on each path, for series or for groups of them, period by period."""

    sums: Floats                    # (S, N, P)
    means: Floats                   # (S, P)
    steps: Ints                     # (S, P) how many steps of the horizon lie in a period; 0: no row
    first: Ints                     # (S, P) the first of them, and just behind the last
    stop: Ints

    @classmethod
    def blank(cls, groups: int, count: int, periods: int) -> Totals:
        none, ordinals = np.zeros((groups, periods), dtype=np.int64), np.iinfo(np.int64)
        return cls(np.zeros((groups, count, periods)), np.zeros((groups, periods)), none,
                   none + ordinals.max, none + ordinals.min)             # below 0 before 1970

    def add(self, which: Ints, ordinals: Ints, means: Floats, paths: Floats, periods: Periods) -> None:
        """Add series to the groups `which` (S,): what lies at ordinals (S, H), expected (S, H) and on paths
        (S, N, H)."""
        for s, group in enumerate(which.tolist()):
            code = periods.of_steps(ordinals[s])
            begin = np.flatnonzero(np.diff(code, prepend=-1))
            there, sizes = code[begin], np.diff(np.append(begin, len(code)))
            self.sums[group][:, there] += np.add.reduceat(paths[s], begin, axis=1)
            self.means[group, there] += np.add.reduceat(means[s], begin)
            self.steps[group, there] = np.maximum(self.steps[group, there], sizes)
            at = ordinals[s][begin]
            self.first[group, there] = np.minimum(self.first[group, there], at)
            self.stop[group, there] = np.maximum(self.stop[group, there], at + sizes)


def totals_table(totals: Totals, keys: Mapping[str, Sequence[str]], periods: Periods, page: Page, cutoff: Ints,
                 *, typed: bool = False) -> pa.Table:
    """A row for each group and period: keys (S,) each, period, steps, of (the steps the period has), the median, the
    bands and the mean of the total, cutoff (S,), model."""
    group, period = np.nonzero(totals.steps)
    grid = quantile_grid(page.levels)
    found = np.moveaxis(np.quantile(totals.sums, grid, axis=1), 0, -1)[group, period]        # (R, Q)
    decimals = page.contract.decimals

    def at(q: float) -> Floats:
        return rounded(found[:, grid.index(q)], decimals)

    columns: dict[str, Any] = {"period": _names(totals, periods, page, group, period),
                               "steps": totals.steps[group, period], "of": totals.steps[group, period]
                               if periods.kind == ALL else periods.whole[period], "yhat": at(0.5)}
    for level in page.levels:
        for side, q in zip(("lo", "hi"), band_quantiles(level), strict=True):
            columns[f"yhat_{side}_{level:g}"] = at(q)
    columns["yhat_mean"] = rounded(totals.means[group, period], decimals)
    columns["cutoff"] = stamps(page.contract, cutoff[group], typed=typed)
    columns["model"] = [page.run] * len(group)
    return pa.table(beside({header: pa.array([cells[g] for g in group.tolist()], pa.string())
                            for header, cells in keys.items()}, columns))


def _names(totals: Totals, periods: Periods, page: Page, group: Ints, period: Ints) -> list[str]:
    """Of the period of each row; where all steps are one, its first and last time."""
    if periods.kind != ALL:
        return [periods.names[p] for p in period.tolist()]
    ends = [[str(text) for text in stamps(page.contract, at[group, period])] for at in
            (totals.first, totals.stop - 1)]
    return [f"{first}..{last}" for first, last in zip(*ends, strict=True)]


def chances_table(forecast: Forecast, chances: Floats, event: str, page: Page, *, typed: bool = False) -> pa.Table:
    """A row a series: the event, its probability (S,), the steps it is asked of, cutoff, model."""
    size = len(forecast.panel)
    keys: dict[str, Any] = {header: pa.array(texts, pa.string())
                            for header, texts in page.contract.id_cells(forecast.panel.ids).items()}
    return pa.table(beside(keys, {"event": pa.array([event] * size, pa.string()), "probability": np.round(chances, 4),
                                  "steps": np.full(size, forecast.horizon),
                                  "cutoff": stamps(page.contract, forecast.panel.end - 1, typed=typed),
                                  "model": pa.array([page.run] * size, pa.string())}))
