"""Closed forms: the members as they are before any training, their linear skips and the spread of its errors.

Which transformation and which penalty is best is settled here, on held-out windows."""

# W windows  L context  H horizon  Q quantiles

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import DataError
from forecast.model.member import Member, shape_of
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.model.skip import PENALTIES, design, linear, ridge, seasonal_weights
from forecast.series.arrays import Floats
from forecast.series.batch import Batch
from forecast.series.panel import Panel, Windows
from forecast.series.units import Units
from forecast.series.windows import AllWindows, evenly, targets
from forecast.training.loop import Material
from forecast.training.weighing import naive_errors

MOST_VALIDATION = 4_000             # windows behind the spread of errors, spread evenly
MOST_RIDGE = 40_000                 # windows behind the linear skip, spread evenly


def blanks(predictor: Predictor, known: Panel, panel: Panel, training: AllWindows, held_out: Windows) -> list[Member]:
    """The members before they are trained: on the closed forms of each transformation, the better one first, with and
    without the linear skip, and then again with another seed.

    known: what the `training` windows lie in · panel: what the held-out ones lie in."""
    model, train = predictor.config.model, predictor.config.train
    forms = _forms(predictor, known, panel, training, held_out)
    kinds = [replace(form.member, skip=skip) for form in forms for skip in ((True, False) if model.skip else (False,))]
    members = [replace(kinds[k % len(kinds)], seed=train.seed + k) for k in range(predictor.plan.members)]
    return on_forms(members, predictor.plan.season, known, training, {_key(f.member): f.weights for f in forms})


def on_forms(members: Iterable[Member], season: int, panel: Panel, windows: AllWindows,
             weights: Mapping[_Key, Floats] | None = None) -> list[Member]:
    """The members with blank networks, but for the skip and the spread of its errors, fitted on these windows.

    weights: linear skips that are known; the others are computed."""
    known, batches, made = dict(weights or {}), dict[tuple[str, int], Batch](), list[Member]()
    few = evenly(len(windows), MOST_VALIDATION)
    for member in members:
        key, shape, material = _key(member), member.shape, Material(member, panel, windows)
        if member.skip and key not in known:
            known[key], = _skips(material, season, (member.penalty,))
        skip = known[key] if member.skip else np.zeros((shape.context + 1, shape.horizon))
        if key[:2] not in batches:
            batches[key[:2]] = material.take(few).batch()
        batch = batches[key[:2]]
        offset = _offset(batch.target - linear(design(batch), skip), shape.quantiles)
        made.append(replace(member, network=Network.blank(shape).replace(skip=skip, offset=offset)))
    return made


def units_of(predictor: Predictor, transform: str, panel: Panel) -> Units:
    """Units fitted on a panel. Newer data may end a choice of log."""
    if transform == "log" and not panel.is_positive:
        transform = "none"
    return Units.of(transform, predictor.config.model.scaling, predictor.plan.season, panel)


_Key = tuple[str, int, float]           # of a linear skip: the transformation, the context, the penalty


def _key(member: Member) -> _Key:
    return member.units.transform, member.shape.context, member.penalty


@dataclass(frozen=True)
class _Form:
    """A transformation with its linear skip."""

    member: Member                      # a blank one upon it
    weights: Floats                     # (L + 1, H) of the skip
    score: float                        # error on the held-out windows


def _forms(predictor: Predictor, known: Panel, panel: Panel, training: AllWindows, held_out: Windows) -> list[_Form]:
    """Each transformation with the penalty of its linear skip that has the least error on the held-out windows; the
    transformation with the least error first.

    Error: absolute, in original units over each series' seasonal naive error (MASE), so transformations compare."""
    blank = Network.blank(shape_of(predictor.config, predictor.plan))
    unit = naive_errors(known, predictor.plan.season)[held_out.series]
    truth = targets(panel.truth, held_out, predictor.plan.horizon)
    forms = []
    for name in _transforms(predictor.config.model.transform, panel):
        member = Member(blank, units_of(predictor, name, known))
        candidates = _skips(Material(member, known, training), predictor.plan.season)
        batch = Material(member, panel, held_out).batch()
        scores = [_score(member.units.restored(linear(design(batch), weights), batch), truth, unit)
                  for weights in candidates]
        best = int(np.argmin(scores)) if np.isfinite(scores).any() else len(PENALTIES) - 1
        forms.append(_Form(replace(member, penalty=PENALTIES[best]), candidates[best], scores[best]))
    return sorted(forms, key=lambda form: form.score)


def _transforms(asked: str, panel: Panel) -> tuple[str, ...]:
    """Those to try. Raises DataError for a logarithm of values that are not positive."""
    if asked == "log" and not panel.is_positive:
        raise DataError("some values are not positive and have no logarithm", code="not_positive",
                        hint="Leave model.transform at auto")
    if asked != "auto":
        return (asked,)
    return ("none", "log") if panel.is_positive else ("none",)


def _score(forecast: Floats, truth: Floats, unit: Floats) -> float:
    """Mean absolute error of forecasts (W, H) in units (W,) of each window; inf where none is known."""
    error = np.nanmean(np.abs(forecast - truth), axis=1) / unit if len(truth) else np.empty(0)
    error = error[~np.isnan(error)]
    return float(np.mean(error)) if len(error) else math.inf


def _skips(material: Material, season: int, penalties: Sequence[float] = PENALTIES) -> list[Floats]:
    """Weights of the skip for each penalty."""
    shape = material.member.shape
    prior = seasonal_weights(shape.context, shape.horizon, season)
    return ridge(material.take(evenly(len(material.windows), MOST_RIDGE)).batch(), prior, penalties)


def _offset(error: Floats, quantiles: tuple[float, ...]) -> Floats:
    """(H, Q) quantiles of errors (W, H) around their median; 0 where none is known."""
    offset = np.zeros((error.shape[1], len(quantiles)))
    known = (~np.isnan(error)).any(axis=0)
    if known.any():
        offset[known] = np.nanquantile(error[:, known], quantiles, axis=0).T
    return np.asarray(offset - offset[:, [quantiles.index(0.5)]])
