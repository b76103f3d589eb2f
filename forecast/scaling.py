"""Scaling: the (loc, scale) that brings values to unit size, and back.

Per window (computed from the context alone, so any series of any unit will do) or per series (by a scikit-learn
scaler fitted on the training part). Transformations of the values themselves (log) stand here too."""

# S series  T longest series  B windows  L context

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from forecast.series import Floats, Panel

BLOCK = 4_000_000                                                       # values in one (T, S) matrix


def window_loc_scale(context: Floats, season: int) -> tuple[Floats, Floats]:
    """loc (B, 1): mean of the last season; scale (B, 1): standard deviation around it. context (B, L), NaN missing.

    A constant window has scale 0: what is multiplied by it on the way back is exactly its loc."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)                 # all-NaN seasons are mended below
        loc = np.nanmean(context[:, -season:], axis=1, keepdims=True)
        loc = np.where(np.isnan(loc), np.nanmean(context, axis=1, keepdims=True), loc)
        size = np.nanmax(np.abs(context - loc), axis=1, keepdims=True)  # squares of 1e200 overflow
        unit = np.where(size > 0, size, 1.0)
        scale = size * np.sqrt(np.nanmean(((context - loc) / unit) ** 2, axis=1, keepdims=True))
        highest = np.nanmax(context, axis=1, keepdims=True)
        flat = highest == np.nanmin(context, axis=1, keepdims=True)
    return np.where(flat, highest, loc), np.where(flat, 0.0, scale)


def normalised(values: Floats, loc: Floats, scale: Floats) -> Floats:
    """(values - loc) / scale; a scale of 0 divides by 1."""
    return (values - loc) / np.where(scale > 0, scale, 1.0)


def restored(values: Floats, loc: Floats, scale: Floats) -> Floats:
    """The inverse of `normalised`; where scale is 0, exactly loc."""
    return loc + values * scale


def _affine(scaler: Any) -> tuple[Floats, Floats]:
    """(loc, scale) of a fitted scikit-learn scaler with one column per series."""
    kind = type(scaler).__name__
    if kind == "StandardScaler":
        return scaler.mean_, np.sqrt(scaler.var_)
    if kind == "RobustScaler":
        return scaler.center_, scaler.scale_
    return scaler.data_min_, scaler.data_range_


def _scaler(name: str) -> Any:
    from sklearn import preprocessing  # 1 s: only per-series scaling pays it

    kinds = {"standard": preprocessing.StandardScaler, "robust": preprocessing.RobustScaler,
             "minmax": preprocessing.MinMaxScaler}
    return kinds[name]()


def series_loc_scale(panel: Panel, name: str) -> tuple[Floats, Floats]:
    """(S,) loc and (S,) scale of each series by a scikit-learn scaler: standard, robust or minmax.

    Series are columns of one matrix padded with NaN, which these scalers pass over: one call fits them all
    (in blocks of some million values). A constant series has scale 0, one without a value NaN."""
    loc, scale = np.full(len(panel), np.nan), np.full(len(panel), np.nan)
    step = max(1, BLOCK // max(1, int(panel.lengths.max(initial=1))))
    for begin in range(0, len(panel), step):
        rows = np.arange(begin, min(begin + step, len(panel)))
        matrix = aligned(panel.take(rows))                              # (T, S)
        known = ~np.isnan(matrix).all(axis=0)
        rows, matrix = rows[known], matrix[:, known]
        if not rows.size:
            continue
        size = np.nanmax(np.abs(matrix), axis=0)
        unit = np.where(size > 0, size, 1.0)
        fitted = _scaler(name).fit(matrix / unit)
        flat = np.nanmax(matrix, axis=0) == np.nanmin(matrix, axis=0)
        center, spread = _affine(fitted)
        loc[rows] = np.where(flat, np.nanmax(matrix, axis=0), center * unit)
        scale[rows] = np.where(flat, 0.0, spread * unit)
    return loc, scale


def aligned(panel: Panel) -> Floats:
    """All series as columns, ending together, NaN before they begin: (T, S)."""
    longest = int(panel.lengths.max(initial=0))
    at = panel.stop[None, :] - longest + np.arange(longest)[:, None]
    inside = at >= panel.first[None, :]
    return np.where(inside, panel.y[np.where(inside, at, 0)], np.nan)


def _same(values: Floats) -> Floats:
    return values


TRANSFORMS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "none": (_same, _same),
    "log": (np.log, np.exp),
}
