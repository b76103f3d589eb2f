"""The linear skip: exact ridge regression from context to horizon, shrunk towards the seasonal naive forecast."""

# W windows  L context  H horizon  P penalties

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.series import Floats

PENALTIES = (*(10.0 ** np.arange(-4.0, 3.01, 1.0)).tolist(), float("inf"))


def seasonal_weights(length: int, horizon: int, season: int) -> Floats:
    """(L + 1, H): the weights of the seasonal naive forecast, which copies x[L - m + h mod m]; the last row is the
    intercept, 0. A season longer than the context is out of its sight: the last value is copied."""
    season = season if season <= length else 1
    weights = np.zeros((length + 1, horizon))
    weights[length - season + np.arange(horizon) % season, np.arange(horizon)] = 1.0
    return weights


def ridge(context: Floats, target: Floats, prior: Floats, penalties: Sequence[float]) -> list[Floats]:
    """Weights (L + 1, H) for each penalty, the last row the intercept.

    Minimises mean ||y - x W||^2 + penalty * t * ||W - prior||^2 in closed form (Hoerl & Kennard 1970), t the mean
    eigenvalue of the Gram matrix, so that a penalty means the same for any data; an infinite one gives the prior.
    context (W, L) and target (W, H) normalised, missing context 0; windows with a missing target are left out."""
    whole = ~np.isnan(target).any(axis=1)
    x, residual = with_intercept(context[whole]), target[whole]
    if not len(x):
        return [prior for _ in penalties]
    residual = residual - x @ prior
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ residual / len(x))
    return [prior + vectors @ (projected / (values + p * values.mean())[:, None]) for p in penalties]


def with_intercept(context: Floats) -> Floats:
    """(W, L) -> (W, L + 1) with a column of ones."""
    return np.concatenate([context, np.ones((len(context), 1))], axis=1)
