"""Blending: several forecasters of the same series, weighed by what each did on held-out windows.

Who they are, and how they forecast, is predictor.py's business."""

# M forecasters  W windows  S series  H horizon  Q quantiles

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.series.arrays import Bools, Floats, Ints

POWER = 12.0                        # a weight is 1 / error to this power where there are many windows,
FEW = 2.0                           # and to the power FEW + their number where that is less
OWN = 0.5                           # how far a series' own errors are believed: 0 not at all, 1 wholly
TILT = 6.0                          # the power of what they change in its weights
WORST = 10.0                        # an error counts as at most so many times the usual one
LEAST = 0.02                        # a pooled weight below this is 0
NAMED = 0.2                         # a forecaster of this weight or more is named as a source


@dataclass(frozen=True)
class Blend:
    """How much each forecaster weighs: `own` for the series whose past errors are known, `pooled` for any other."""

    names: tuple[str, ...]
    pooled: tuple[float, ...]           # (M,) sum 1
    errors: tuple[float, ...]           # (M,) mean error on the held-out windows; () if unknown
    own: Mapping[str, Sequence[float]]  # series id -> (M,) sum 1

    @classmethod
    def alone(cls, name: str) -> Blend:
        return cls((name,), (1.0,), (), {})

    @classmethod
    def of(cls, names: Sequence[str], errors: Floats, ids: NDArray[np.object_], *, independent: float,
           odds: Sequence[float] | None = None) -> Blend:
        """From errors (M, W, H) on windows of the series ids (W,), in one unit for all; NaN where unknown.

        A pooled weight is the mean error to the power -12, nearer to shares as the `odds` (equal by default) where
        there are only few `independent` windows to tell by. In each series it is tilted by how its own errors differ
        from what the means over all series let expect in a series as hard as this one."""
        series, which = np.unique(ids.astype(str), return_inverse=True)
        errors = _window_means(errors, which)                           # (M, W)
        known: NDArray[np.bool_] = np.all(~np.isnan(errors), axis=0, keepdims=True)[0]
        if not known.any():
            return cls.alone(names[0])
        count = np.bincount(which[known], minlength=len(series))        # (S,)
        sums = np.stack([np.bincount(which[known], e[known], minlength=len(series)) for e in errors])
        measured = count > 0                                            # (S,) series with a known error
        own = sums[:, measured] / count[measured]                       # (M, S)
        mean = own.mean(axis=1)                                         # (M,)
        expected = mean[:, None] * own.mean(axis=0) / max(mean.mean(), np.finfo(float).tiny)
        least = np.finfo(float).tiny
        before = np.zeros(len(names)) if odds is None else np.log(odds)
        pooled = _shares(before - min(POWER, FEW + independent) * np.log(np.maximum(mean, least)))
        kept = np.flatnonzero(pooled >= LEAST)
        believed = np.log(np.maximum(OWN * own + (1 - OWN) * expected, least) / np.maximum(expected, least))
        weights = _shares(np.log(pooled[kept])[:, None] - TILT * believed[kept])
        return cls(tuple(names[int(k)] for k in kept), tuple((pooled[kept] / pooled[kept].sum()).tolist()),
                   tuple(mean[kept].tolist()), dict(zip(series[measured].tolist(), weights.T.tolist(), strict=True)))

    def weights(self, ids: NDArray[np.object_]) -> Floats:
        """(M, S)."""
        return np.array([self.own.get(i, self.pooled) for i in ids]).reshape(len(ids), len(self.names)).T

    def limited(self, voices: Mapping[str, Bools]) -> Blend:
        """The same where in these series only those have a say who have a voice (M,); another one of no weight."""
        own = dict(self.own)
        for name, able in voices.items():
            weights = np.where(able, self.own.get(name, self.pooled), 0.0)
            own[name] = (weights / max(weights.sum(), np.finfo(float).tiny)).tolist()
        return replace(self, own=own)

    def of_parts(self, parts: Mapping[str, Floats], ids: NDArray[np.object_]) -> Floats:
        """The weighed mean of quantiles (S, H, Q) over the parts that are finite; NaN where none is. What all parts
        agree on, it says to the bit."""
        values = [parts[name] for name in self.names]
        able = np.stack([np.isfinite(v).all(axis=(1, 2)) for v in values])                  # (M, S)
        weights = self.weights(ids) * able
        weights = weights / np.maximum(weights.sum(axis=0), np.finfo(float).tiny)
        first = values[0].copy()                                        # of those that are there
        for other, there in zip(values[1:], able[1:], strict=True):
            late = there & ~np.isfinite(first).all(axis=(1, 2))
            first[late] = other[late]
        mixed = first.copy()
        for v, w, there in zip(values, weights, able, strict=True):
            mixed[there] += w[there, None, None] * (v[there] - first[there])
        return mixed

    def sources(self, ids: NDArray[np.object_], titles: Mapping[str, str]) -> list[str]:
        """What serves each series: `lstm`, `theta+linear`; the largest share first."""
        names = list(dict.fromkeys(titles.get(name, name) for name in self.names))
        shares = np.zeros((len(names), len(ids)))
        for name, weights in zip(self.names, self.weights(ids), strict=True):
            shares[names.index(titles.get(name, name))] += weights
        order = np.argsort(-shares, axis=0, kind="stable")
        named = np.take_along_axis(shares, order, axis=0) >= NAMED
        named[0] = True
        kinds, which = np.unique(np.where(named, order, -1), axis=1, return_inverse=True)
        texts = ["+".join(names[k] for k in kind if k >= 0) for kind in kinds.T]
        return [texts[k] for k in which.ravel()]


def _window_means(errors: Floats, which: Ints) -> Floats:
    """(M, W, H) of series `which` (W,) -> (M, W), no error above some times the usual one of the series' best
    forecaster: an absurd value among the truths, which nobody foresees, would drown all that there is to tell."""
    means = np.full(errors.shape[:2], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)                 # a window without any truth has no error
        for s in np.unique(which):
            at = np.flatnonzero(which == s)
            usual = np.nanmedian(errors[:, at], axis=(1, 2)).min()
            means[:, at] = np.nanmean(np.minimum(errors[:, at], WORST * usual if usual > 0 else np.inf), axis=2)
    return means


def _shares(logarithms: Floats) -> Floats:
    """Logarithms of weights (M, ...) -> shares that sum to 1 along the first axis."""
    weights = np.exp(logarithms - logarithms.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))
