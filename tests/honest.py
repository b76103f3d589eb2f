"""Honest series of many kinds, in which nothing is amiss: for the tests that no alarm is false."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forecast.series.arrays import Floats


def honest(seed: int) -> Iterator[tuple[str, Floats]]:
    """One series (N,) of each kind, of a random length, level and spread."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 600))
    t, size, rate = np.arange(n), 10 ** rng.uniform(-3, 6), float(10 ** rng.uniform(-1.5, 3))
    rarely = rng.random(n) < rng.uniform(0.02, 0.5)
    few = rng.choice(n, 3, replace=False)
    yield "counts", rng.poisson(rate, n).astype(float)
    yield "counts of wide spread", rng.negative_binomial(0.5, 0.5 / (0.5 + rate), n).astype(float)
    yield "intermittent", rarely * rng.poisson(rate, n).astype(float)
    yield "lumpy", rarely * np.round(rng.lognormal(1, rng.uniform(0.5, 1.5), n))
    yield "counts with a cap", np.minimum(np.round(rng.lognormal(3, 1, n)), np.round(np.exp(rng.uniform(3, 5.5))))
    yield "capped sensor", np.minimum(rng.normal(80, 15, n).round(1), 99.9)
    yield "normal", np.round(size * (5 + rng.normal(0, 1, n)), 2)
    yield "around zero", np.round(size * rng.normal(0, 1, n), 2)
    yield "lognormal", np.round(size * rng.lognormal(0, rng.uniform(0.1, 1.5), n), 3)
    yield "a constant and spikes", _with(np.full(n, round(size, 2)), few, round(size * 10 ** rng.uniform(0.3, 3)))
    yield "a constant and round spikes", _with(np.full(n, round(size, 2)), few, rng.choice([1, 100, 500, 5000]))
    yield "outages at zero", _with(np.round(230 + 0.2 * rng.normal(size=n), 1), few, 0)
    yield "walk", np.round(np.exp(np.cumsum(rng.normal(0, 0.05, n))) * size, 3)
    yield "sun", np.round(np.maximum(0, np.sin(t * 2 * np.pi / 24)) * 5 * rng.uniform(0.2, 1, n), 3)
    yield "pay days", _with(rng.normal(0, 30, n).round(2), t[::30], 3000)
    yield "prices", rng.choice([7.99, 8.99, 9.99, 12.99, 99.99], n, p=[0.2, 0.3, 0.4, 0.09, 0.01])
    yield "trend", 1.0 * t
    yield "growth", np.round(10 * 2 ** (t / 20), 2)
    yield "temperature", np.round(20 + 10 * np.sin(t * 2 * np.pi / 365) + rng.normal(0, 3, n), 1)
    yield "rain", np.round(np.maximum(0, rng.normal(-1, 1, n)) * 5, 1)
    yield "yes or no", rng.integers(0, 2, n).astype(float)
    yield "big orders", _with(rng.poisson(20, n).astype(float), few, rng.choice([100, 200, 500]))


def new_levels(seed: int) -> Iterator[tuple[str, Floats]]:
    """Series whose level changes for good."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 600))
    y, at, factor = np.round(50 + 5 * rng.normal(size=n), 2), int(rng.integers(2, n - 1)), 10 ** rng.uniform(-3, 3)
    yield "a new level", np.where(np.arange(n) < at, y, np.round(y * factor, 2))
    yield "a level that stays exactly", np.where(np.arange(n) < at, y, round(50 * factor, 1))


def _with(y: Floats, at: np.ndarray, value: float) -> Floats:
    """The series with this value at some points."""
    return np.where(np.isin(np.arange(y.size), at), float(value), y)
