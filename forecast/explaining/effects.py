"""Effects: what each covariate moved in the newest forecast of a series, by occlusion, in the target's own units.

A column known ahead is made neutral over the horizon, a past one over the context; then all that serve forecast anew.
Neutral is off for a flag, the commonest word for a word, and the mean of the series' past for a number."""

# H horizon

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats
from forecast.series.covariates import Column
from forecast.series.panel import Panel


@dataclass(frozen=True)
class Effect:
    """How far a column moved the median at each step (H,): the forecast less what it were with the column neutral."""

    column: Column
    neutral: float                      # as in the column: a number, or the position of a word
    flag: bool                          # only 0 and 1
    ahead: Floats                       # (H,) its values over the horizon, NaN where unknown; of a past one all NaN
    moved: Floats                       # (H,)

    @property
    def size(self) -> float:
        """Mean absolute movement."""
        return float(np.abs(self.moved).mean())


def effects_of(predictor: Predictor, panel: Panel) -> tuple[Effect, ...]:
    """Of all columns that change, on a panel of one series, the strongest first; () where none is read."""
    if panel.beside is None or panel.row is None or predictor.without is None:
        return ()
    horizon = predictor.plan.horizon
    panel = panel.foreseen(horizon)
    beside = panel.beside
    assert beside is not None
    point, cut = predictor.predict(panel, horizon).point[0], int(panel.end[0] - beside.start[0])
    effects = []
    for k in range(beside.values.shape[1]):
        column, past = beside.columns[k], beside.values[:max(cut, 0), k]
        neutral, flag = _neutral(column, past[~np.isnan(past)])
        rows = slice(max(cut, 0), max(cut + horizon, 0)) if k < beside.known else \
            slice(max(cut - predictor.context, 0), max(cut, 0))
        values, ahead = beside.values.copy(), np.full(horizon, np.nan)
        there = values[rows, k].copy()
        values[rows, k] = np.where(np.isnan(there), np.nan, neutral)
        if k < beside.known:
            ahead[:len(there)] = there
        without = predictor.predict(replace(panel, beside=replace(beside, values=values)), horizon).point[0]
        effects.append(Effect(column, neutral, flag, ahead, point - without))
    return tuple(sorted(effects, key=lambda effect: -effect.size))


def _neutral(column: Column, past: Floats) -> tuple[float, bool]:
    """What a column says when it says nothing, from the values it had; and whether it is a flag."""
    if not past.size:
        return 0.0, False
    if column.words:
        return float(np.argmax(np.bincount(past.astype(np.int64)))), False
    flag = bool(np.isin(past, (0, 1)).all())
    return 0.0 if flag else float(past.mean()), flag
