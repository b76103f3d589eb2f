"""The linear skip: a linear forecast from what is seen of a window to its horizon, below every network.

Fitted as exact ridge regression, shrunk towards the seasonal naive forecast; applied as written here on numpy's arrays
and on torch's. Weights (K + 1, H) belong to the K columns of a design, the last row is the intercept."""

# W windows  L context  K columns of the design  H horizon

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.series.arrays import Floats
from forecast.series.batch import Array, Batch

PENALTIES = (*(10.0 ** np.arange(-4.0, 3.01, 1.0)).tolist(), float("inf"))


def design(batch: Batch) -> Array:
    """What the skip reads of each window (W, K): the context, 0 where missing. K = L."""
    return batch.known


def linear(read: Array, weights: Array) -> Array:
    """The forecast (W, H) from a design (W, K)."""
    return moved(read, weights) + weights[-1]


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
