"""Weighing: what each forecaster weighs, and how wide the bands are, by windows that no network has learned from."""

# M forecasters  W windows  H horizon  Q quantiles

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forecast.model.blending import Blend
from forecast.model.calibration import mean_factor, widths
from forecast.model.dependence import Dependence, normal_scores
from forecast.model.guard import History, kept
from forecast.model.member import LINEAR, NETWORK, part
from forecast.model.predictor import EXPERTS, Predictor
from forecast.model.prior import PRIOR, TUNED
from forecast.scoring.formulas import SIMPLE
from forecast.scoring.metrics import seasonal_scale
from forecast.series.arrays import Floats
from forecast.series.panel import Panel, Windows
from forecast.series.units import TRANSFORMS
from forecast.series.windows import evenly, targets

LEAST_WEIGHED = 200                 # windows that forecasters are weighed by: two a series, but not fewer than this
MOST_WEIGHED = 1_000                # and not more than this; the widths of bands come from as many
ODDS = {PRIOR: 8.0, TUNED: 8.0}     # before any window is looked at, where another forecaster has 1;
FADING = 20                         # horizons in a usual series at which half of their logarithm is left
MOST_ASKED = 5_000                  # of more series the experts, who take 2 ms for each, are not asked
HELPED = 0.99                       # covariates have a say if the error with them is below so much of that without
SLOW = ("holt_winters", "theta")    # of all forecasters these take the most time, and are left out
NOT_MISSED = 1.002                  # where the blend errs no more than so many times as much without them,
SURE = 200                          # by so many independent windows or more
LASTS = 0.12                        # of an error of a model that grows older, more than windows soon after show
CACHED = 200_000                    # values looked at together, so that they stay in the processor's cache


def weighed_by(series: int) -> int:
    """How many windows forecasters of so many series are weighed by."""
    return max(LEAST_WEIGHED, min(2 * series, MOST_WEIGHED))


def weighed(predictor: Predictor, panel: Panel, known: Panel, held_out: Windows) -> Predictor:
    """The predictor with weights of the forecasters, widths of the bands of what they say together, the mean's distance
    from the median, and how steps are missed together: by windows of the panel that its networks have not been trained
    on.

    known: the part that they have."""
    blend, without, spared = _blends(predictor, panel, known, held_out)
    predictor = replace(predictor, blend=blend, without=without, not_missed=spared)
    parts, truth, windows = said_at(predictor, panel, held_out.take(evenly(len(held_out), MOST_WEIGHED)),
                                    predictor.blend.names)
    rows = panel.at(windows)
    values = predictor.blended(parts, rows)
    factors = _widths(predictor, values, truth) if predictor.config.model.conformal else np.ones_like(predictor.widths)
    predictor = replace(predictor, widths=factors)
    unit = naive_errors(known, predictor.plan.season)[windows.series]
    issued = kept(predictor.widened(values), History.of(rows), negative=predictor.config.model.allow_negative,
                  whole=False)
    independent = _independent(predictor, windows)
    together = Dependence.of(normal_scores(issued, predictor.quantiles, truth), windows.series, panel.cuts(windows),
                             independent=independent)
    factor = mean_factor(issued, truth, unit, predictor.quantiles, independent=max(1.0, independent))
    return replace(predictor, mean_factor=factor, dependence=together.lasting(LASTS))


def _independent(predictor: Predictor, windows: Windows) -> float:
    """How many windows of one series share no value, times the series."""
    return len(np.unique(windows.series)) * predictor.plan.validation / predictor.plan.horizon


def _blends(predictor: Predictor, panel: Panel, known: Panel, held_out: Windows
            ) -> tuple[Blend, Blend | None, tuple[str, ...]]:
    """Of all networks that learned something, the linear skips and the experts; of the first network alone where no
    blend was asked for. The second is of those among them that read no covariates, where others do; it is both where
    covariates do not help. And which of them were left out, being slow and not missed. The prior as it came gives way
    to the tuned one, which holds it."""
    model, members, plan = predictor.config.model, predictor.members, predictor.plan
    names = [part(NETWORK, k) for k, m in enumerate(members) if m.steps] or [part(LINEAR, 0)]
    if not (model.blend and model.skip):
        return Blend.alone(names[0]), None, ()
    skips = {(m.units.transform, m.shape.context, m.reads_covariates): part(LINEAR, k)
             for k, m in reversed(list(enumerate(members))) if m.skip}
    there = {PRIOR: predictor.prior is not None and predictor.tuned is None, TUNED: predictor.tuned is not None}
    experts = [name for name in EXPERTS if there.get(name, True)]
    names = list(dict.fromkeys([*names, *skips.values(), *(experts if len(panel) <= MOST_ASKED else SIMPLE)]))
    few = held_out.take(evenly(len(held_out), weighed_by(len(panel))))
    parts, truth, windows = said_at(predictor, panel, few, names)
    middle, unit = predictor.quantiles.index(0.5), naive_errors(known, plan.season)[windows.series]
    errors = _both_errors(np.stack([parts[n][:, :, middle] for n in names]), truth, unit[:, None])
    independent = _independent(predictor, windows)
    left = FADING / (FADING + float(np.mean(known.lengths)) / plan.horizon)

    def of(some: Sequence[int]) -> Blend:
        chosen = [names[k] for k in some]
        odds = [ODDS.get(name, 1.0) ** left for name in chosen]
        return Blend.of(chosen, errors[some], panel.ids[windows.series], independent=independent, odds=odds)

    def error_of(blends: Sequence[Blend]) -> Floats:
        medians = np.stack([b.of_parts(parts, panel.ids[windows.series])[:, :, middle] for b in blends])
        return np.asarray(np.nanmean(_both_errors(medians, truth, unit[:, None]), axis=(1, 2)))

    asked, spared = of(range(len(names))), list[str]()
    for name in SLOW if independent >= SURE else ():
        others = [k for k, other in enumerate(names) if other in asked.names and other != name]
        if name in asked.names and others:
            whole, less = error_of((asked, fewer := of(others)))
            if less <= NOT_MISSED * whole:
                asked, spared = fewer, [*spared, name]
    plain = [k for k, name in enumerate(names) if name not in spared and not predictor.is_moved_by_covariates(name)]
    if not 0 < len(plain) < len(names) - len(spared):
        return asked, None, tuple(spared)
    without = of(plain)
    if len(windows):
        with_them, less = error_of((asked, without))
        asked = asked if with_them < HELPED * less else without
    return asked, without, tuple(spared)


def _both_errors(forecast: Floats, truth: Floats, unit: Floats) -> Floats:
    """Absolute errors in units of seasonal naive's (as MASE) and relative to the values (as sMAPE), each over its mean:
    a series near zero counts in the second, one that is easy to forecast in the first. Where the truth is 0, whatever
    else is said is wrong by 200 %, and the first alone counts. (M, W, H), (W, H), (W, 1)."""
    size = np.abs(forecast - truth)
    relative = size / np.maximum(np.abs(forecast) + np.abs(truth), np.finfo(float).tiny)
    relative[:, truth == 0] = np.nan
    scaled, relative = _over_mean(size / unit), _over_mean(relative)
    return scaled + np.where(truth == 0, scaled, relative)


def _over_mean(errors: Floats) -> Floats:
    """(M, W, H) over the mean, over windows and steps, of what the forecasters usually err there; over the mean of all
    where most of them are exact everywhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)                 # without any truth there is no error
        usual = float(np.nanmean(np.nanmedian(errors, axis=0))) or float(np.nanmean(errors)) or 1.0
        return np.asarray(errors / usual)


def said_at(predictor: Predictor, panel: Panel, windows: Windows, names: Sequence[str]
            ) -> tuple[dict[str, Floats], Floats, Windows]:
    """What each forecaster says at the windows that all can serve, (W, H, Q) each, what came true (W, H), and where."""
    rows, _ = panel.at(windows).with_values()
    if len(rows) < len(windows):
        windows = windows.take(np.flatnonzero(np.isin(windows.cut, rows.stop)))
    parts, reasons = predictor.parts(rows, names)
    served = np.flatnonzero((reasons == "") & np.all([np.isfinite(parts[n]).all(axis=(1, 2)) for n in names], axis=0))
    truth = targets(panel.truth, windows.take(served), predictor.plan.horizon)
    return {n: parts[n][served] for n in names}, truth, windows.take(served)


def _widths(predictor: Predictor, values: Floats, truth: Floats) -> Floats:
    """Factors (H, Q) in the units the model thinks in; values (W, H, Q), truth (W, H)."""
    forward = TRANSFORMS[predictor.transform][0]
    fits = np.all(values > 0, axis=(1, 2)) if predictor.transform == "log" else np.ones(len(values), dtype=bool)
    with np.errstate(all="ignore"):
        return widths(forward(values[fits]), forward(truth[fits]), predictor.quantiles)


def naive_errors(known: Panel, season: int) -> Floats:
    """(S,) each series' seasonal naive error, by which errors of series compare; 1 for all where none has one."""
    unit, size = np.full(len(known), np.nan), max(1, CACHED // max(1, int(known.lengths.max(initial=0))))
    for begin in range(0, len(known), size):
        first, stop = known.first[begin:begin + size], known.stop[begin:begin + size]
        low, high = first.min(), stop.max()
        unit[begin:begin + size] = seasonal_scale(known.truth[low:high], first - low, stop - low, season)
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)
    return unit if np.isfinite(unit).any() else np.ones_like(unit)
