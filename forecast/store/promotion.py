"""Promotion: whether a new run may take the place of the one that serves.

Both forecast the same windows of the newest data, which neither has been trained on: the new run with the weights of
before its final fit, the live one as it is. Where nothing is new they cannot be compared."""

# P pairs: one for each series and window that both have forecast

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import DataError
from forecast.model.plan import Plan
from forecast.model.predictor import Predictor
from forecast.reading.contract import Contract
from forecast.scoring.backtest import backtest
from forecast.scoring.formulas import SIMPLE
from forecast.scoring.metrics import seasonal_scale
from forecast.series.arrays import Floats, finite_sums
from forecast.series.forecast import band_quantiles
from forecast.series.panel import Panel
from forecast.store.record import Verdict
from forecast.store.run import Run
from forecast.text import counted

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 1.05                           # a forecaster is worse than another if its error is so many times the other's
CHANCE = 0.2                            # and chance does not explain that at this level (Student's t, over pairs)
ALONE = 1.5                             # in place of both where there is one pair, which has no spread
RARE = 1 / 3                            # share of values that are 0: a series where something happens now and then


def judged(fresh: Predictor, live: Run, panel: Panel, contract: Contract, *, cutoffs: Sequence[int],
           plan: Plan) -> Verdict:
    """The verdict on a validated run that was trained on nothing after the first of these cutoffs (steps back).

    Where the live run has learned from all the data, it is compared as it was before its final fit, on the windows that
    it had not learned from by then."""
    if not _is_of(live, panel, contract):
        return Verdict(True, f"{live.id} was trained on other data and cannot be compared")
    older, unseen, how = live.predictor, live.predictor.unseen_steps(panel), "that neither has learned from"
    if unseen < 1 and live.predictor.validated_networks:
        older, how = live.predictor.as_validated(), "that neither had learned from before its final fit"
        unseen = older.unseen_steps(panel)
    windows = [k for k in cutoffs if k <= unseen]
    if not windows and unseen >= 1 and older is live.predictor:
        windows = [unseen]                                              # less than a horizon is better than nothing
    if not windows:
        return Verdict(True, f"{live.id} cannot be compared: it has seen all that there is")
    try:
        new, old = _errors(fresh, older, panel, windows, plan)
    except DataError:
        new = old = np.empty(0)
    if not len(new):
        return Verdict(True, f"{live.id} cannot be compared: nothing in its new windows is known")
    passed = not is_worse(new, old)
    reason = (f"its error is {new.mean():.4g}, that of {live.id} is {old.mean():.4g}, on "
              f"{counted(len(windows), 'past window')} {how}")
    return Verdict(passed, reason, float(new.mean()), float(old.mean()), len(windows))


def is_worse(new: Floats, old: Floats) -> bool:
    """Whether errors (P,) are worse than others of the same series and windows, by more than margin and chance."""
    gap = new - old
    if not old.any():                                                   # nothing is as good as no error at all
        return bool(new.any())
    if len(gap) < 2:
        return bool(new.mean() > ALONE * old.mean())
    if not new.mean() > MARGIN * old.mean():
        return False
    from scipy.special import stdtrit  # a tenth of a second

    least = stdtrit(len(gap) - 1, 1 - CHANCE) * gap.std(ddof=1) / math.sqrt(len(gap))
    return bool(gap.mean() > least)


def outdone(frame: pd.DataFrame, model: str, known: Panel, season: int) -> str | None:
    """The best simple forecaster of a backtest frame, where the model is clearly worse than it; else None. known: the
    panel before the first cutoff.

    Errors are absolute errors of the median. Where a third of a series or more is 0, a median of 0 errs least for ever;
    there the mean quantile loss of median and bands counts."""
    errors = pairs_of(frame.assign(loss=losses_of(frame, known)), known, season)
    worse = {name: float(errors[name].mean()) for name in SIMPLE
             if name in errors and is_worse(errors[model].to_numpy(), errors[name].to_numpy())}
    return min(worse, key=lambda name: worse[name], default=None)


def _is_of(live: Run, panel: Panel, contract: Contract) -> bool:
    """Whether it is about these series, counted on this calendar."""
    theirs = live.contract
    return (theirs.calendar == contract.calendar and bool(set(theirs.targets) & set(contract.targets))
            and live.predictor.knowledge.has_met(panel))


def _errors(fresh: Predictor, live: Predictor, panel: Panel, windows: Sequence[int], plan: Plan
            ) -> tuple[Floats, Floats]:
    """Mean absolute errors of both, (P,) each, over each series' seasonal naive error before the first window."""
    frame = backtest(panel, {"new": lambda _: fresh, "live": lambda _: live}, cutoffs=windows, levels=(),
                     horizon=min(plan.horizon, windows[-1]))
    pairs = pairs_of(frame, panel.drop_last(windows[0]), plan.season)
    return pairs["new"].to_numpy(), pairs["live"].to_numpy()


def losses_of(frame: pd.DataFrame, known: Panel) -> Floats:
    """The error of each row of a backtest frame, as `outdone` counts it."""
    y = frame["y"].to_numpy()
    error: Floats = np.abs(y - frame["yhat"].to_numpy())
    zeros, _ = finite_sums((known.truth == 0).astype(np.float64), known.first, known.stop)
    _, count = finite_sums(known.truth, known.first, known.stop)
    rare = (zeros >= RARE * np.maximum(count, 1))[frame["series"].to_numpy()]
    bounds = {band_quantiles(float(name.rsplit("_", 1)[1]))[side]: frame[name].to_numpy()
              for side, end in enumerate(("yhat_lo_", "yhat_hi_")) for name in map(str, frame) if name.startswith(end)}
    if not rare.any() or not bounds:
        return error
    losses = [np.maximum(q * (y - f), (q - 1) * (y - f)) for q, f in (bounds | {0.5: frame["yhat"].to_numpy()}).items()]
    return np.where(rare, 2 * np.mean(losses, axis=0), error)


def pairs_of(frame: pd.DataFrame, known: Panel, season: int) -> pd.DataFrame:
    """Mean absolute error of each forecaster (a column), for each series and window that all have forecast (a row),
    over the series' seasonal naive error in what was known."""
    scale = seasonal_scale(known.truth, known.first, known.stop, season)
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, np.nan)
    if not np.isfinite(scale[frame["series"].unique()]).any():
        scale = np.ones_like(scale)
    loss = frame["loss"] if "loss" in frame else (frame["y"] - frame["yhat"]).abs()
    error = loss / scale[frame["series"]]
    columns = frame[["model", "series", "cutoff"]].assign(model=frame["model"].astype(str), error=error)
    return columns.groupby(["model", "series", "cutoff"])["error"].mean().unstack("model").dropna()
