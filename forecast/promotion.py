"""Promotion: whether a new run may take the place of the one that serves.

Both forecast the same windows of the newest data, which neither has been trained on: the new run with the weights of
before its final fit, the live one as it is. Where nothing is new they cannot be compared."""

# P pairs: one for each series and window that both have forecast

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from forecast.artifact import Run
from forecast.backtesting import backtest
from forecast.contract import Contract
from forecast.display import counted
from forecast.errors import DataError
from forecast.metrics import seasonal_scale
from forecast.plan import Plan
from forecast.predictor import Predictor, reach
from forecast.record import Verdict
from forecast.series import Floats, Panel

MARGIN = 1.05                           # a new run may be so much worse,
ERRORS = 2.0                            # and more where that is within so many standard errors over the pairs;
ALONE = 1.5                             # one pair has no spread: then by so much


def unseen_steps(predictor: Predictor, panel: Panel) -> int:
    """Steps of the panel, back from its newest, of which this model has seen nothing. A series that it has never met
    is new as a whole and bounds nothing."""
    ends = {**predictor.taught, **predictor.seen}                       # taught: of series known from an older run, too
    met = [s for s, i in enumerate(panel.ids) if i in ends]
    return int(np.min(panel.newest[met] - reach(ends, panel)[met], initial=np.iinfo(np.int64).max))


def judged(fresh: Predictor, live: Run, panel: Panel, contract: Contract, *, cutoffs: Sequence[int],
           plan: Plan) -> Verdict:
    """The verdict on a validated run that was trained on nothing after the first of these cutoffs (steps back)."""
    if not _is_of(live, panel, contract):
        return Verdict(True, f"{live.id} was trained on other data and cannot be compared")
    unseen = unseen_steps(live.predictor, panel)
    if unseen < 1:
        return Verdict(True, f"{live.id} cannot be compared: it has seen all that there is")
    windows = [k for k in cutoffs if k <= unseen] or [unseen]           # less than a horizon is better than nothing
    try:
        new, old = _errors(fresh, live.predictor, panel, windows, plan)
    except DataError:
        new = old = np.empty(0)
    if not len(new):
        return Verdict(True, f"{live.id} cannot be compared: nothing in its new windows is known")
    passed = not is_worse(new, old)
    reason = (f"error {new.mean():.4g}, {live.id} {old.mean():.4g}, in {counted(len(windows), 'window')} that neither "
              f"has seen")
    return Verdict(passed, reason, float(new.mean()), float(old.mean()), len(windows))


def is_worse(new: Floats, old: Floats) -> bool:
    """Whether errors (P,) are worse than others of the same series and windows, by more than margin and chance."""
    gap = new - old
    if len(gap) < 2:
        return bool(new.mean() > ALONE * old.mean())
    return bool(new.mean() > MARGIN * old.mean() and gap.mean() > ERRORS * gap.std(ddof=1) / math.sqrt(len(gap)))


def _is_of(live: Run, panel: Panel, contract: Contract) -> bool:
    """Whether it is about these series, counted on this calendar."""
    theirs = live.contract
    return (theirs.calendar == contract.calendar and bool(set(theirs.targets) & set(contract.targets))
            and bool(set(live.predictor.seen) & set(panel.ids)))


def _errors(fresh: Predictor, live: Predictor, panel: Panel, windows: Sequence[int], plan: Plan
            ) -> tuple[Floats, Floats]:
    """Mean absolute errors of both, (P,) each, over each series' seasonal naive error before the first window."""
    frame = backtest(panel, {"new": lambda _: fresh, "live": lambda _: live}, cutoffs=windows, levels=(),
                     horizon=min(plan.horizon, windows[-1]))
    known = panel.drop_last(windows[0])
    scale = seasonal_scale(known.truth, known.first, known.stop, plan.season)
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, np.nan)
    if not np.isfinite(scale[frame["series"].unique()]).any():
        scale = np.ones_like(scale)
    frame["error"] = (frame["y"] - frame["yhat"]).abs() / scale[frame["series"]]
    pairs = frame.groupby(["model", "series", "cutoff"], observed=True)["error"].mean().unstack("model").dropna()
    return pairs["new"].to_numpy(), pairs["live"].to_numpy()
