"""Dependence: how the steps of a horizon, and series beside each other, are missed together; and paths drawn by it.

What a truth was within its bands is a normal score: the quantile it was, as a value of the standard normal. Paths are
normal scores that hang together as those of held-out windows did, read through each series' own bands: a Gaussian
copula (Sklar 1959; for forecasts Pinson et al. 2009). So the bands of the paths are the bands of the forecast."""

# W windows  S series  N paths  H horizon  Q quantiles  R factors

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from forecast.series.arrays import Floats, Ints

FARTHEST = 3.5                      # no score counts as larger
MOST_STEPS = 400                    # of longer horizons only the shape is kept
MOST_FACTORS = 100
DIGITS = 4                          # of what is kept
WORTH = 6.0                         # independent windows by which the shape of the usual data counts
LEAST = 1e-4                        # added to a diagonal, so that a root can be taken
USUAL_RHO, USUAL_COMMON, USUAL_BETWEEN = 0.7, 0.17, 0.2        # means of public data: `forecast help decisions`


@dataclass(frozen=True)
class Dependence:
    """The correlation of normal scores. Between the steps h and k of one series it is
    (1 - share) * factors[h] @ factors[k] + share * shape(|h - k|), where shape(d) = common + (1 - common) * rho^d: an
    error that lasts, beside one that fades (AR(1)). Between two series at one step it is `between`.

    factors (H, R): rows of length 1; H is 0 where nothing but the shape is known."""

    factors: Floats
    share: float
    rho: float
    common: float
    between: float

    @classmethod
    def usual(cls) -> Dependence:
        """Of data of which nothing is known."""
        return cls(np.empty((0, 0)), 1.0, USUAL_RHO, USUAL_COMMON, USUAL_BETWEEN)

    @classmethod
    def of(cls, scores: Floats, series: Ints, cuts: Ints, *, independent: float) -> Dependence:
        """From the normal scores (W, H) of windows, NaN where unknown; their series and cutoffs (W,).

        independent: how many windows of one series share no value, times the series. The fewer they are, the more the
        shape counts in place of what was seen (the share of least expected error, Schaefer & Strimmer 2005), and the
        shape of the usual data in place of its own."""
        between, seen = between_of(scores, series, cuts), _correlation(scores)
        count = len(np.unique(series))
        apart = independent / (1 + max(0, count - 1) * (between or 0.0))        # series that err together are as fewer
        weight = apart / (apart + WORTH)
        if between is None:
            between = USUAL_BETWEEN
        if seen is None:
            usual = cls.usual()
            rho, common = _fitted(_by_lag_of_scores(scores), usual, weight)
            return cls(np.empty((0, 0)), 1.0, rho, common, between)
        rho, common = _fitted(_by_lag(seen), cls.usual(), weight)
        shape = shape_of(np.arange(len(seen)), rho, common)
        return cls(_factors(seen), _share(seen, shape, max(apart, 1.0)), rho, common, between)

    def lasting(self, share: float) -> Dependence:
        """With so much more of each error lasting over all steps, and as much less of what was seen."""
        apart, same = np.sqrt(1 - share), np.full((len(self.factors), 1), np.sqrt(share))
        factors = np.hstack([apart * self.factors, same]) if len(self.factors) else self.factors
        return replace(self, factors=factors, common=1 - (1 - share) * (1 - self.common))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, of few digits."""
        return {"factors": np.round(self.factors, DIGITS).tolist(), "share": round(self.share, DIGITS),
                "rho": round(self.rho, DIGITS), "common": round(self.common, DIGITS),
                "between": round(self.between, DIGITS)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], horizon: int) -> Dependence:
        """What `to_dict` gave, for a run of this horizon. Raises ValueError, TypeError or KeyError for another."""
        numbers = [float(fields[name]) for name in ("share", "rho", "common", "between")]
        factors = np.asarray(fields["factors"] or np.empty((0, 0)), dtype=np.float64)
        sizes = np.linalg.norm(factors, axis=1)
        if factors.ndim != 2 or len(factors) not in (0, horizon) or not np.allclose(sizes, 1, atol=0.01):
            raise ValueError("factors of other steps")
        if not all(0 <= number <= 1 for number in numbers) or max(numbers[1:]) == 1 or (numbers[0] < 1) > len(factors):
            raise ValueError("correlations that are none")
        return cls(factors, *numbers)

    def root(self, horizon: int) -> Floats:
        """(H, H) lower; root @ root.T is the correlation of the steps. Beyond the steps that were seen, of all of them
        the shape alone."""
        shape = shape_of(np.arange(horizon), self.rho, self.common)
        if horizon <= len(self.factors):
            known = self.factors[:horizon]
            shape = self.share * shape + (1 - self.share) * known @ known.T
        root = np.linalg.cholesky(shape + LEAST * np.eye(horizon))
        return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))

    def scores(self, normals: Floats) -> Floats:
        """Independent normals (N, H + 1) as scores (N, H) that hang together."""
        horizon = normals.shape[1] - 1
        if horizon <= MOST_STEPS:
            return np.asarray(normals[:, 1:] @ self.root(horizon).T)
        fading, new = np.empty((len(normals), horizon)), np.sqrt(1 - self.rho**2)
        fading[:, 0] = normals[:, 1]
        for h in range(1, horizon):
            fading[:, h] = self.rho * fading[:, h - 1] + new * normals[:, h + 1]
        return np.asarray(np.sqrt(self.common) * normals[:, :1] + np.sqrt(1 - self.common) * fading)


def paths(dependence: Dependence, values: Floats, quantiles: Sequence[float], *, count: int, ids: Iterable[object],
          seed: int = 0, together: bool = False) -> Floats:
    """(S, N, H) values that each series may take, step after step, from its quantiles (S, H, Q).

    They depend on the seed, the series' id and its own quantiles alone. together: series share a part of their luck,
    step by step, as large as `dependence.between` says; the same part for all series of one seed."""
    horizon = values.shape[1]
    normals = np.empty((len(values), count, horizon + 1))
    for s, name in enumerate(ids):
        normals[s] = _normals(seed, str(name), count, horizon)
    if together:
        shared = _normals(seed, None, count, horizon)
        normals = np.sqrt(dependence.between) * shared + np.sqrt(1 - dependence.between) * normals
    scores = dependence.scores(normals.reshape(-1, horizon + 1)).reshape(len(values), count, horizon)
    return at_scores(values, quantiles, scores)


def _normals(seed: int, name: str | None, count: int, horizon: int) -> Floats:
    """(N, H + 1) of one series, or of what all share; the first rows do not depend on how many there are."""
    mark = hashlib.blake2b(f"{seed}:{'' if name is None else ':' + name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(mark, "big"))).standard_normal((count, horizon + 1))


def at_scores(values: Floats, quantiles: Sequence[float], scores: Floats) -> Floats:
    """What lies at normal scores (S, N, H) of bands (S, H, Q): straight lines over the scores of the quantiles; beyond
    the last ones the line goes on, so that the tails are those of a normal."""
    at = scores_of(quantiles)
    found = np.repeat(values[:, None, :, 0], scores.shape[1], axis=1)
    for k in range(len(at) - 1):
        low, high = (None if k == 0 else at[k]), (None if k == len(at) - 2 else at[k + 1])
        within = scores if low is high is None else np.clip(scores, low, high)
        found += ((values[:, :, k + 1] - values[:, :, k]) / (at[k + 1] - at[k]))[:, None] * (within - at[k])
    return np.asarray(found)


def scores_of(quantiles: Sequence[float]) -> Floats:
    """The quantiles (Q,) as values of the standard normal."""
    return np.array([NormalDist().inv_cdf(q) for q in quantiles])


def normal_scores(values: Floats, quantiles: Sequence[float], truth: Floats) -> Floats:
    """The normal scores (W, H) of what came true (W, H) within bands (W, H, Q): `at_scores` the other way. Where
    several quantiles are the truth, the middle of their scores; NaN without a truth, or where the band has no width."""
    at, last = scores_of(quantiles), len(quantiles) - 1
    below, upto = (values < truth[..., None]).sum(axis=-1), (values <= truth[..., None]).sum(axis=-1)
    at_knots = (at[np.minimum(below, last)] + at[np.maximum(upto - 1, 0)]) / 2
    k = np.clip(below, 1, last)[..., None]
    low, high = (np.take_along_axis(values, j, axis=-1)[..., 0] for j in (k - 1, k))
    with np.errstate(all="ignore"):
        between = at[k[..., 0] - 1] + (truth - low) / (high - low) * (at[k[..., 0]] - at[k[..., 0] - 1])
    found = np.where(upto > below, at_knots, between)
    found = np.where(np.isnan(truth) | (values[..., 0] == values[..., -1]), np.nan, found)
    return np.asarray(np.clip(found, -FARTHEST, FARTHEST))


def shape_of(distance: Ints, rho: float, common: float) -> Floats:
    """(H, H) of distances (H,) from the first step."""
    apart = np.abs(distance[:, None] - distance[None, :])
    return np.asarray(common + (1 - common) * rho ** apart)


def _correlation(scores: Floats) -> Floats | None:
    """(H, H) of scores around 0: what all windows of a step are off by counts as luck they share. None where steps were
    never seen together, or there are too many."""
    known = np.isfinite(scores)
    if scores.shape[1] > MOST_STEPS or not len(scores):
        return None
    sizes = known.T.astype(float) @ known
    there = np.where(known, scores, 0.0)
    second = there.T @ there / np.maximum(sizes, 1)
    spread = np.sqrt(np.diag(second))
    if (sizes < 2).any() or (spread == 0).any():
        return None
    return np.asarray(np.clip(second / np.outer(spread, spread), -1, 1))


def _factors(correlation: Floats) -> Floats:
    """(H, R) rows of length 1, whose products are nearest to a correlation (its largest eigenvalues)."""
    values, vectors = np.linalg.eigh(correlation)
    keep = np.flatnonzero(values > LEAST)[::-1][:MOST_FACTORS]
    factors = vectors[:, keep] * np.sqrt(values[keep])
    return np.asarray(factors / np.linalg.norm(factors, axis=1, keepdims=True))


def _share(seen: Floats, shape: Floats, independent: float) -> float:
    """Of the shape, from 0 to 1: what the seen correlations err by, over their distance from it."""
    off = ~np.eye(len(seen), dtype=bool)
    error, distance = np.sum((1 - seen[off] ** 2) ** 2) / independent, np.sum((seen - shape)[off] ** 2)
    return float(np.clip(error / distance, 0.0, 1.0)) if distance > 0 else 1.0


def _by_lag(correlation: Floats) -> Floats:
    """(H - 1,) the mean correlation of steps that lie 1, 2, ... apart."""
    return np.array([np.mean(np.diagonal(correlation, k)) for k in range(1, len(correlation))])


def _by_lag_of_scores(scores: Floats, most: int = MOST_STEPS) -> Floats:
    """The same for the first lags of a horizon whose table would be too large; empty where there is none."""
    size = float(np.nanmean(scores**2)) if np.isfinite(scores).any() else 0.0
    found = [float(np.mean(pair[np.isfinite(pair)])) / size if np.isfinite(
        pair := scores[:, k:] * scores[:, :-k]).any() else np.nan
        for k in range(1, min(scores.shape[1], most))] if size else []
    return np.array(found)


def _fitted(by_lag: Floats, usual: Dependence, weight: float) -> tuple[float, float]:
    """(rho, common) of the shape nearest to correlations by lag, which count `weight` beside those of usual data."""
    lags, known = np.arange(1, len(by_lag) + 1), np.isfinite(by_lag)
    if not known.any():
        return usual.rho, usual.common
    theirs = usual.common + (1 - usual.common) * usual.rho ** lags
    wanted, size = weight * by_lag[known] + (1 - weight) * theirs[known], (len(by_lag) + 1 - lags)[known]
    best = (np.inf, usual.rho, usual.common)
    for rho in np.arange(0.0, 0.99, 0.01):
        fading = rho ** lags[known]
        total = float(np.sum(size * (1 - fading) ** 2))
        common = float(np.clip(np.sum(size * (1 - fading) * (wanted - fading)) / total, 0.0, 0.95))
        off = float(np.sum(size * (common + (1 - common) * fading - wanted) ** 2))
        best = min(best, (off, float(rho), common))
    return best[1], best[2]


def between_of(scores: Floats, series: Ints, cuts: Ints) -> float | None:
    """The correlation of two series at one cutoff and step, 0 to 0.95; None where no two were seen together."""
    known = np.isfinite(scores)
    there, pairs, products = np.where(known, scores, 0.0), 0.0, 0.0
    _, group = np.unique(cuts, return_inverse=True)
    for h in range(scores.shape[1]):
        count, total, squares = (np.bincount(group, weights=w) for w in
                                 (known[:, h].astype(float), there[:, h], there[:, h] ** 2))
        pairs += float(np.sum(count * (count - 1)))
        products += float(np.sum(total**2 - squares))
    size = float(np.sum(there**2)) / max(1, int(known.sum()))
    if len(np.unique(series)) < 2 or pairs < 2 or size == 0:
        return None
    return float(np.clip(products / pairs / size, 0.0, 0.95))
