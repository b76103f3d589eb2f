"""The linear skip: a linear forecast from what is seen of a window to its horizon, below every network.

Fitted as exact ridge regression, shrunk towards the seasonal naive forecast; applied as written here on numpy's arrays
and on torch's. Weights (K + 1, H) belong to the K columns of a design, the last row is the intercept. Where covariates
are read, each step of the horizon is told F numbers more, of its own hour and those around it; their effects (F, H) are
the step's own."""

# W windows  L context  K columns of the design  H horizon  F numbers that a step is told

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from forecast.series.arrays import Floats
from forecast.series.batch import Array, Batch

LEAST = 1e-6                        # of their mean square, the least penalty of numbers that may repeat each other
FREER = 0.1                         # times the penalty of the context that of the covariates is
PENALTIES = (*(10.0 ** np.arange(-4.0, 3.01, 1.0)).tolist(), float("inf"))


def design(batch: Batch) -> Array:
    """What the skip reads of each window (W, K): the context, 0 where missing. K = L."""
    return batch.known


def linear(read: Array, weights: Array) -> Array:
    """The forecast (W, H) from a design (W, K)."""
    return moved(read, weights) + weights[-1]


def said(batch: Batch, weights: Array, effects: Array | None = None) -> Array:
    """The forecast (W, H) from a batch, with the effects (F, H) of its covariates where they are read."""
    point = linear(design(batch), weights)
    return point if effects is None or not len(effects) else point + reacted(batch.around, effects)


def reacted(around: Array, effects: Array) -> Array:
    """How far covariates move the forecast (W, H): (W, H, F) with effects (F, H)."""
    return (around * effects.T).sum(-1)


def moved(change: Array, weights: Array) -> Array:
    """How far the forecast moves (W, H) where a design changes by so much (W, K)."""
    return change @ weights[:-1]


def seasonal_weights(length: int, horizon: int, season: int) -> Floats:
    """(L + 1, H): the weights of the seasonal naive forecast, which copies x[L - m + h mod m]; the intercept is 0. A
    season longer than the context is out of its sight: the last value is copied."""
    season = season if season <= length else 1
    weights = np.zeros((length + 1, horizon))
    weights[length - season + np.arange(horizon) % season, np.arange(horizon)] = 1.0
    return weights


def ridge(batch: Batch, prior: Floats, penalties: Sequence[float]) -> list[Floats]:
    """Weights (K + 1, H) for each penalty, from a batch with its targets.

    Minimises mean ||y - x W||^2 + penalty * t * ||W - prior||^2 in closed form (Hoerl & Kennard 1970), t the mean
    eigenvalue of the Gram matrix, so that a penalty means the same for any data; an infinite one gives the prior.
    Windows with a missing target are left out."""
    whole = ~np.isnan(batch.target).any(axis=1)
    if not whole.any():
        return [prior for _ in penalties]
    read = design(batch)[whole]
    x = np.concatenate([read, np.ones((len(read), 1))], axis=1)
    residual = batch.target[whole] - x @ prior
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ residual / len(x))
    return [prior + vectors @ (projected / (values + p * values.mean())[:, None]) for p in penalties]


def ridge_beside(batches: Iterable[Batch], prior: Floats, penalties: Sequence[float]) -> list[tuple[Floats, Floats]]:
    """Weights (L + 1, H) and effects (F, H) for each penalty, from batches with their targets, one after the other.

    As `ridge`, with the numbers that each step is told beside the context; their penalty is a tenth, in units of their
    own. All steps share the Gram matrix of the context, so that each has only F unknowns of its own: they are the
    solution of the Schur complement."""
    sums = None
    for batch in batches:
        whole = ~np.isnan(batch.target).any(axis=1)
        read = np.concatenate([design(batch)[whole], np.ones((int(whole.sum()), 1))], axis=1)
        residual = batch.target[whole] - read @ prior                   # (W, H)
        told = batch.around[whole]                                      # (W, H, F)
        by_step = np.ascontiguousarray(told.transpose(1, 2, 0))         # (H, F, W)
        rows = by_step.shape[0] * by_step.shape[1]
        cross = by_step.reshape(rows, len(read)) @ read                 # one product for all steps
        terms = [np.float64(len(read)), read.T @ read, read.T @ residual, cross.reshape(*by_step.shape[:2], -1),
                 np.stack([a @ a.T for a in by_step]), np.einsum("hfw,wh->hf", by_step, residual)]
        sums = terms if sums is None else [a + b for a, b in zip(sums, terms, strict=True)]
    if sums is None or not sums[0]:
        horizon, told_of = (prior.shape[1], 0) if sums is None else sums[5].shape
        return [(prior, np.zeros((told_of, horizon))) for _ in penalties]
    gram, pulled, cross, own, drawn = (a / sums[0] for a in sums[1:])
    values, vectors = np.linalg.eigh(gram)
    pulled, cross = vectors.T @ pulled, cross @ vectors                 # (K + 1, H), (H, F, K + 1)
    size = np.trace(own, axis1=1, axis2=2)[:, None, None] / max(1, own.shape[1]) + np.finfo(float).tiny
    found = []
    for penalty in penalties:
        if np.isinf(penalty):
            found.append((prior, np.zeros(drawn.T.shape)))
            continue
        inverse = 1 / (values + penalty * values.mean())
        left = own + (FREER * penalty + LEAST) * size * np.eye(own.shape[1]) - (cross * inverse) @ cross.swapaxes(1, 2)
        effects = np.linalg.solve(left, (drawn - (cross @ (inverse[:, None] * pulled).T[:, :, None])[:, :, 0])
                                  [:, :, None])[:, :, 0]                # (H, F)
        weights = inverse[:, None] * (pulled - (effects[:, None] @ cross)[:, 0].T)
        found.append((prior + vectors @ weights, effects.T))
    return found
