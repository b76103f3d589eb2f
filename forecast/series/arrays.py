"""Arrays: their types, and sums over slices of them."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def median(values: Floats, axis: int) -> Floats:
    """The median of what is there, NaN where nothing is; quick where nothing is missing."""
    if not np.isnan(values).any():
        return np.asarray(np.median(values, axis=axis))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=axis))


def finite_sums(a: Floats, first: Ints, stop: Ints) -> tuple[Floats, Floats]:
    """Sum and number of the finite values in each slice a[first[s]:stop[s]] (S,), (S,); an empty slice gives 0, 0.

    Slices may overlap. Each is summed on its own, so that no series' size can blur another's sum, as the difference
    of two cumulative sums would."""
    finite = np.isfinite(a)
    return _slice_sums(np.where(finite, a, 0.0), first, stop), _slice_sums(finite.astype(np.float64), first, stop)


def any_of(flags: Bools, first: Ints, stop: Ints) -> Bools:
    """Whether each slice flags[first[s]:stop[s]] has one that is set (S,); an empty slice has none."""
    bounds = np.stack([np.clip(first, 0, len(flags)), np.clip(stop, 0, len(flags))], axis=1)
    found: Bools = np.logical_or.reduceat(np.append(flags, False), bounds.ravel())[::2]
    return found & (bounds[:, 0] < bounds[:, 1])


def _slice_sums(a: Floats, first: Ints, stop: Ints) -> Floats:
    """Sum of each slice; reduceat wants bounds inside the array and reads an empty slice as one value."""
    bounds = np.stack([np.clip(first, 0, len(a)), np.clip(stop, 0, len(a))], axis=1)
    sums: Floats = np.add.reduceat(np.append(a, 0.0), bounds.ravel())[::2]
    return np.where(bounds[:, 0] < bounds[:, 1], sums, 0.0)
