"""Closed forms: the members as they are before any training, their linear skips and the spread of its errors.

Which transformation and which penalty is best is settled here, on held-out windows."""

# W windows  L context  H horizon  Q quantiles

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, product

import numpy as np

from forecast.errors import DataError
from forecast.model.member import Member, shape_of
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.model.skip import PENALTIES, ridge, ridge_beside, said, seasonal_weights
from forecast.series.arrays import Floats
from forecast.series.batch import Batch
from forecast.series.covariate_units import CovariateUnits
from forecast.series.panel import Panel, Windows
from forecast.series.units import Units
from forecast.series.windows import AllWindows, evenly, targets
from forecast.training.loop import Material
from forecast.training.weighing import naive_errors

MOST_VALIDATION = 4_000             # windows behind the spread of errors, spread evenly
BENT = 0.95                         # asinh is taken below so many times the least other error: it hides large errors
MOST_RIDGE = 40_000                 # windows behind the linear skip, spread evenly
MOST_WORK, LEAST_RIDGE = 5e10, 4_000            # products behind one with covariates: some seconds
PLAIN = 4                           # the last of so many members reads no covariates


def blanks(predictor: Predictor, known: Panel, panel: Panel, training: AllWindows, held_out: Windows) -> list[Member]:
    """The members before they are trained: on the closed forms of each transformation, the better one first, with and
    without the linear skip, and then again with another seed. Where there are covariates, the last member of every four
    reads none.

    known: what the `training` windows lie in · panel: what the held-out ones lie in."""
    model, train, count = predictor.config.model, predictor.config.train, predictor.plan.members
    forms = _forms(predictor, known, panel, training, held_out)
    kinds = [replace(form.member, skip=skip) for form in forms for skip in ((True, False) if model.skip else (False,))]
    if predictor.reads_covariates:
        turns = {reads: cycle([m for m in kinds if m.reads_covariates == reads]) for reads in (True, False)}
        kinds = [next(turns[count == 1 or k % PLAIN != min(PLAIN, count) - 1]) for k in range(count)]
    members = [replace(kinds[k % len(kinds)], seed=train.seed + k) for k in range(count)]
    return on_forms(members, predictor.plan.season, known, training, {_key(f.member): f.weights for f in forms})


def on_forms(members: Iterable[Member], season: int, panel: Panel, windows: AllWindows,
             weights: Mapping[_Key, _Skip] | None = None) -> list[Member]:
    """The members with blank networks, but for the skip and the spread of its errors, fitted on these windows.

    weights: linear skips that are known; the others are computed."""
    known, batches, made = dict(weights or {}), dict[tuple[str, int, bool], Batch](), list[Member]()
    few = evenly(len(windows), MOST_VALIDATION)
    for member in members:
        key, shape, material = _key(member), member.shape, Material(member, panel, windows)
        if member.skip and key not in known:
            known[key], = _skips(material, season, (member.penalty,))
        nothing = Network.blank(shape)
        skip = known[key] if member.skip else (nothing.closed, nothing.effects)
        if key[:3] not in batches:
            batches[key[:3]] = material.take(few).batch(slim=True)
        batch = batches[key[:3]]
        network = nothing.replace(skip=skip[0], offset=_offset(batch.target - said(batch, *skip), shape.quantiles))
        made.append(replace(member, network=network if skip[1] is None else network.replace(effects=skip[1])))
    return made


def units_of(predictor: Predictor, transform: str, panel: Panel, *, reads: bool = False,
             like: CovariateUnits | None = None) -> Units:
    """Units fitted on a panel, with those of its covariates if they are to be read, in the form of others of their
    kind. Newer data may end a choice of log."""
    if transform == "log" and not panel.is_positive:
        transform = "none"
    return Units.of(transform, predictor.config.model.scaling, predictor.plan.season, panel,
                    lags=predictor.plan.lags if reads else (), like=like)


def units_again(predictor: Predictor, transform: str, panel: Panel, like: CovariateUnits | None) -> Units:
    """Units for a final fit. Those of covariates stay as they were, for the weights were validated in them; a choice of
    log that newer data end takes others."""
    units = units_of(predictor, transform, panel)
    if like is None or units.transform == transform:
        return replace(units, covariates=like)
    return units_of(predictor, transform, panel, reads=True, like=like)


_Key = tuple[str, int, bool, float]     # of a linear skip: the transformation, the context, whether it reads
                                        # covariates, the penalty
_Skip = tuple[Floats, Floats | None]    # weights (L + 1, H), and the effects of covariates (F, H) where they are read


def _key(member: Member) -> _Key:
    return member.units.transform, member.shape.context, member.reads_covariates, member.penalty


@dataclass(frozen=True)
class _Form:
    """A transformation with its linear skip."""

    member: Member                      # a blank one upon it
    weights: _Skip
    score: float                        # error on the held-out windows


def _forms(predictor: Predictor, known: Panel, panel: Panel, training: AllWindows, held_out: Windows) -> list[_Form]:
    """Each transformation, with covariates and without, with the penalty of its linear skip that has the least error on
    the held-out windows; the one with the least error first, asinh where it is clearly better.

    Error: absolute, in original units over each series' seasonal naive error (MASE), so transformations compare."""
    ways = (True, False) if predictor.reads_covariates else (False,)
    unit = naive_errors(known, predictor.plan.season)[held_out.series]
    truth = targets(panel.truth, held_out, predictor.plan.horizon)
    forms = []
    for name, reads in product(_transforms(predictor.config.model.transform, panel), ways):
        units = units_of(predictor, name, known, reads=reads)
        member = Member(Network.blank(shape_of(predictor.config, predictor.plan, units.covariates)), units)
        candidates = _skips(Material(member, known, training), predictor.plan.season)
        batch = Material(member, panel, held_out).batch(slim=True)
        scores = [_score(member.units.restored(said(batch, *skip), batch), truth, unit) for skip in candidates]
        best = int(np.argmin(scores)) if np.isfinite(scores).any() else len(PENALTIES) - 1
        forms.append(_Form(replace(member, penalty=PENALTIES[best]), candidates[best], scores[best]))
    return sorted(forms, key=lambda form: form.score / (BENT if form.member.units.transform == "asinh" else 1.0))


def _transforms(asked: str, panel: Panel) -> tuple[str, ...]:
    """Those to try. Raises DataError for a logarithm of values that are not positive."""
    if asked == "log" and not panel.is_positive:
        raise DataError("some values are not positive and have no logarithm", code="not_positive",
                        hint="Leave model.transform at auto")
    if asked != "auto":
        return (asked,)
    return ("none", "asinh", *(("log",) if panel.is_positive else ()))


def _score(forecast: Floats, truth: Floats, unit: Floats) -> float:
    """Mean absolute error of forecasts (W, H) in units (W,) of each window; inf where none is known."""
    error = np.nanmean(np.abs(forecast - truth), axis=1) / unit if len(truth) else np.empty(0)
    error = error[~np.isnan(error)]
    return float(np.mean(error)) if len(error) else math.inf


def _skips(material: Material, season: int, penalties: Sequence[float] = PENALTIES) -> list[_Skip]:
    """The skip for each penalty."""
    shape = material.member.shape
    prior = seasonal_weights(shape.context, shape.horizon, season)
    if not shape.around:
        few = evenly(len(material.windows), MOST_RIDGE)
        return [(weights, None) for weights in ridge(material.take(few).batch(), prior, penalties)]
    most = min(MOST_RIDGE, max(LEAST_RIDGE, int(MOST_WORK / (shape.horizon * shape.context * shape.around))))
    parts = material.take(evenly(len(material.windows), most)).parts()
    return list(ridge_beside((part.slim for part in parts), prior, penalties))


def _offset(error: Floats, quantiles: tuple[float, ...]) -> Floats:
    """(H, Q) quantiles of errors (W, H) around their median; 0 where none is known."""
    offset = np.zeros((error.shape[1], len(quantiles)))
    known = (~np.isnan(error)).any(axis=0)
    if known.any():
        offset[known] = np.nanquantile(error[:, known], quantiles, axis=0).T
    return np.asarray(offset - offset[:, [quantiles.index(0.5)]])
