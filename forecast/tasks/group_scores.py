"""Group scores of a backtest: totals of groups over the horizon, as predict makes them, beside the same added up from
the series, and beside seasonal naive's."""

# K cutoffs  S series  G groups  U groups of several  N paths  H horizon

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.ledger.options import Options
from forecast.model.dependence import paths
from forecast.model.guard import History, kept
from forecast.model.predictor import Predictor
from forecast.model.reconciling import Agreement, by_luck_of, within
from forecast.scoring.formulas import REFERENCE
from forecast.scoring.joint import Cases
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.forecast import band_quantiles, quantile_grid
from forecast.series.panel import Panel
from forecast.tasks.groups import Groups, agreement_of, may_be_negative, own_forecast, sharing
from forecast.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from forecast.reading.contract import Contract

PATHS = 500                         # of a window
AT_ONCE = 4_000_000                 # numbers drawn at a time
ISSUED, ADDED = "issued", "added_up"


@dataclass(frozen=True)
class GroupScores:
    """covered: by way and band, the share of totals that lay in it. error: by way, the mean absolute error of the
    totals over that of seasonal naive added up, a mean over groups. how: which way predict takes."""

    groups: int
    windows: int
    horizon: int
    covered: dict[str, dict[float, float]]
    error: dict[str, float]
    how: str

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"groups": self.groups, "windows": self.windows, "horizon": self.horizon, "how": self.how,
                "error": self.error, "totals": {way: {f"{level:g}": share for level, share in by.items()}
                                                for way, by in self.covered.items()}}

    def words(self) -> list[str]:
        """What of it people want to know."""
        bands = ", ".join(f"the {level:g} % band {share:.0%}" + (
            "" if self.is_added_up else f" (added up {self.covered[ADDED][level]:.0%})")
            for level, share in self.covered[ISSUED].items())
        beside = "" if self.is_added_up else f", {self.error[ADDED]:.4g} added up"
        totals = f"{counted(self.windows, 'total')} of {counted(self.groups, 'group')}"
        return [f"groups        of {totals} over {counted(self.horizon, 'step')}, covered: {bands}; they err "
                f"{self.error[ISSUED]:.4g} of what seasonal naive does{beside}", f"              {self.how}"]

    @property
    def is_added_up(self) -> bool:
        return self.error[ISSUED] == self.error[ADDED]


def group_scores(frame: pd.DataFrame, name: str, predictor: Predictor, judge: Predictor, panel: Panel,
                 contract: Contract, by: str) -> GroupScores | None:
    """Of the rows of forecaster `name` in a backtest frame, and of seasonal naive's; judge: the forecaster before its
    final fit. None where no window has a truth at each step of all series that are usually there."""
    horizon, levels = predictor.plan.horizon, predictor.config.model.levels
    cases = {model: Cases.of(frame[frame["model"] == model], levels, horizon) for model in (name, REFERENCE)}
    which, cutoffs = _usually_there(cases[name])
    if not cutoffs.size:
        return None
    some = panel.take(which)
    groups, known = Groups.of(some, contract, by), some.before(int(cutoffs[0]) + 1)
    agreed = agreement_of(groups, judge, known, horizon, Options())
    predictor = sharing(predictor, known, horizon, agreed)
    asked, negative = groups.asked, may_be_negative(known, predictor, Options())
    found: dict[str, list[Floats]] = {ISSUED: [], ADDED: []}
    truth, naive = [], []
    for cutoff in cutoffs.tolist():
        rows = _rows_at(cases[name], which, cutoff)
        added, issued = _totals(rows, predictor, some.before(cutoff + 1), agreed, asked, negative=negative)
        for way, totals in ((ADDED, added), (ISSUED, issued)):
            found[way].append(np.quantile(totals, quantile_grid(levels), axis=1))
        truth.append(asked @ rows.truth.sum(axis=1))
        middle = cases[REFERENCE].quantiles.index(0.5)
        naive.append(asked @ _rows_at(cases[REFERENCE], which, cutoff).values[:, :, middle].sum(axis=1))
    y = np.stack(truth)                                                 # (K, G)
    usual = np.abs(y - np.stack(naive)).mean(axis=0)
    said = {way: dict(zip(quantile_grid(levels), np.stack(parts, axis=1), strict=True))
            for way, parts in found.items()}                            # by quantile, (K, G)
    return GroupScores(len(asked), y.size, horizon, {way: _covered(q, y, levels) for way, q in said.items()},
                       {way: _error(q[0.5], y, usual) for way, q in said.items()}, agreed.words())


def _usually_there(cases: Cases) -> tuple[Ints, Ints]:
    """The series with a case at half of the cutoffs or more, and the cutoffs at which all of these have one."""
    names, s = np.unique(cases.series, return_inverse=True)
    cutoffs, k = np.unique(cases.cutoff, return_inverse=True)
    there = np.zeros((len(names), len(cutoffs)), dtype=bool)
    there[s, k] = True
    usual = 2 * there.sum(axis=1) >= len(cutoffs)
    return names[usual], cutoffs[there[usual].all(axis=0)] if usual.any() else cutoffs[:0]


def _rows_at(cases: Cases, which: Ints, cutoff: int) -> Cases:
    """Those of these series, in their order, at one cutoff."""
    return cases.take(np.flatnonzero((cases.cutoff == cutoff) & np.isin(cases.series, which)))


def _totals(rows: Cases, predictor: Predictor, known: Panel, agreed: Agreement, asked: Bools, *, negative: bool
            ) -> tuple[Floats, Floats]:
    """Totals over the horizon on each path, (G, N): added up from the series, and as they are issued."""
    allowed, horizon = predictor.config.model.allow_negative, rows.truth.shape[1]
    added = np.zeros((len(asked), PATHS))
    sums = np.zeros((0 if agreed.is_added_up else len(agreed.parts), PATHS, horizon))
    size = max(1, AT_ONCE // (PATHS * horizon))
    for begin in range(0, len(rows), size):
        mine = np.arange(begin, min(begin + size, len(rows)))
        drawn = paths(predictor.dependence, rows.values[mine], rows.quantiles, count=PATHS, ids=known.ids[mine],
                      seed=int(rows.cutoff[0]) % 2**31, together=True)
        drawn = kept(drawn.swapaxes(1, 2), History.of(known.take(mine)), negative=allowed).swapaxes(1, 2)
        added += asked[:, mine].astype(np.float64) @ drawn.sum(axis=2)
        if len(sums):
            sums += np.tensordot(agreed.parts[:, mine].astype(np.float64), drawn, axes=1)
    if agreed.is_added_up:
        return added, added
    own = own_forecast(predictor, known, agreed, horizon)
    shift = agreed.shift(asked, (by_luck_of(sums, own) - sums).sum(axis=2))
    return added, added + (shift if negative else within(added, shift))


def _covered(said: Mapping[float, Floats], truth: Floats, levels: tuple[float, ...]) -> dict[float, float]:
    ends = {level: [said[q] for q in band_quantiles(level)] for level in levels}
    return {level: float(((low <= truth) & (truth <= high)).mean()) for level, (low, high) in ends.items()}


def _error(medians: Floats, truth: Floats, usual: Floats) -> float:
    """Of the medians (K, G), over the usual error (G,); over groups that have one, where any has."""
    error = np.abs(truth - medians).mean(axis=0)
    there = usual > 0
    return float((error[there] / usual[there]).mean()) if there.any() else float(error.mean())
