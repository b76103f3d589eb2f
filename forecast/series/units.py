"""Scaling: the units in which a network sees values: a transformation (log), then (loc, scale), and back.

Per window (computed from the context alone, so any series of any unit will do) or per series (by a scikit-learn
scaler fitted on the training part). With asinh it is the other way round: median and median absolute deviation of the
window, then the inverse hyperbolic sine, which draws spikes in (Uniejewski, Weron & Ziel 2018)."""

# S series  T longest series  B windows  L context  H horizon

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from forecast.series.arrays import Floats, Ints
from forecast.series.batch import Batch
from forecast.series.covariate_units import CovariateUnits
from forecast.series.panel import Panel, Windows
from forecast.series.windows import contexts, targets

BLOCK = 4_000_000                                                       # values in one (T, S) matrix
NORMAL = 1.4826                                                         # median deviations in a standard one
FAR = 1_000.0                                                           # median deviations: no spike of a sane series


@dataclass(frozen=True)
class Units:
    """A transformation, then (loc, scale) of the window or of the series; and the way back."""

    transform: str                      # one of TRANSFORMS
    scaling: str                        # "window", or the scikit-learn scaler of each series
    season: int
    places: Mapping[str, int]           # series id -> its place in loc and scale; empty with "window"
    loc: Floats                         # (S,) in transformed units
    scale: Floats
    covariates: CovariateUnits | None = None        # of what stands beside the target; None where that is not read

    @classmethod
    def of(cls, transform: str, scaling: str, season: int, panel: Panel, *, lags: tuple[int, ...] = (),
           like: CovariateUnits | None = None) -> Units:
        """Fitted on a panel, where that is needed. With `lags`, covariates are read, also so many steps back; `like`:
        in as many numbers as these."""
        covariates = CovariateUnits.of(panel, lags, partial(_finite, transform), like) if lags else None
        if scaling == "window":
            return cls(transform, scaling, season, {}, np.empty(0), np.empty(0), covariates)
        places = {str(name): k for k, name in enumerate(panel.ids)}
        return cls(transform, scaling, season, places, *_fitted(panel, transform, scaling), covariates)

    def batch(self, panel: Panel, windows: Windows, *, context: int, horizon: int = 0, ahead: int = 0) -> Batch:
        """What a forecaster sees of these windows of a panel: the one place where values are gathered and normalised.

        With a horizon, what came true after them, too: NaN where a flat context has no unit to say it in. The scale is
        NaN where a value of the context has no logarithm and these units need one. `ahead`: so many steps of what is
        known ahead, where covariates are read."""
        original = contexts(panel.y, windows, context)
        values, loc, scale = self._read(original, panel, windows)
        target = targets(panel.truth, windows, horizon) if horizon else None
        if self.transform == "log":
            scale = np.where(np.any(original <= 0, axis=1, keepdims=True), np.nan, scale)
        if target is not None:
            target = self._bent(np.where(scale > 0, self._forward(target), np.nan), loc, scale)
        batch = Batch(values, loc, scale, target)
        if self.covariates is None:
            return batch
        beside = self.covariates.beside(panel, windows, scale, context=context, horizon=ahead, forward=self._forward)
        return replace(batch, **vars(beside))

    def _read(self, original: Floats, panel: Panel, windows: Windows) -> tuple[Floats, Floats, Floats]:
        """Contexts (B, L) in original units -> the same normalised, NaN where there is no number; loc, scale (B, 1)."""
        context = self._forward(original)
        if self.scaling == "window":
            measured = median_mad if self.transform == "asinh" else window_loc_scale
            loc, scale = measured(context, self.season)
            if (odd := _led_by_few(context, loc, scale)).size:
                context[odd] = self._forward(without_absurd(original[odd]))
                loc[odd], scale[odd] = measured(context[odd], self.season)
        else:
            loc, scale = (values[:, None] for values in self._of_series(panel, windows))
        return self._bent(context, loc, scale), loc, scale

    def _of_series(self, panel: Panel, windows: Windows) -> tuple[Floats, Floats]:
        """(B,) loc and scale of the series of each window; one that was not there in training has that of its past."""
        known = np.array([self.places.get(i, -1) for i in panel.ids[windows.series]], dtype=np.int64)
        known[np.isnan(self.loc[known])] = -1                           # it had no value yet
        loc, scale = self.loc[known], self.scale[known]
        if (new := np.flatnonzero(known < 0)).size:
            loc[new], scale[new] = _fitted(panel.at(windows.take(new)), self.transform, self.scaling)
        return loc, scale

    def restored(self, values: Floats, batch: Batch) -> Floats:
        """What is said of a batch in its units (B, ...), in original units."""
        more = (...,) + (None,) * (values.ndim - batch.loc.ndim)
        with np.errstate(over="ignore"):
            values = np.sinh(values) if self.transform == "asinh" else values
            return TRANSFORMS[self.transform][1](restored(values, batch.loc[more], batch.scale[more]))

    def _bent(self, values: Floats, loc: Floats, scale: Floats) -> Floats:
        """Transformed values in units of the window, as a forecaster sees them."""
        values = normalised(values, loc, scale)
        return np.arcsinh(values) if self.transform == "asinh" else values

    def _forward(self, values: Floats) -> Floats:
        return _finite(self.transform, values)


def _led_by_few(context: Floats, loc: Floats, scale: Floats) -> Ints:
    """Windows in which some value is as far out as only one of four or fewer can be: those to look at closely."""
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(np.any(np.abs(context - loc) > scale * np.sqrt(context.shape[1] / 4), axis=1))


def without_absurd(context: Floats) -> Floats:
    """(B, L) with NaN for each value that lies more than 1,000 median absolute deviations from the median of its
    window, while those beside it do not: one absurd value, which no window of a sane series holds, would make all
    others the same. What stays far away is a new level. Where half the values are one, as in an intermittent series,
    nothing is absurd."""
    loc, scale = window_loc_scale(context, context.shape[1])
    odd = _led_by_few(context, loc, scale)
    if not odd.size:
        return context
    some = context[odd]
    middle = np.nanmedian(some, axis=1, keepdims=True)
    spread = np.nanmedian(np.abs(some - middle), axis=1, keepdims=True)
    far = np.abs(some - middle) > np.where(spread > 0, FAR * spread, np.inf)
    beside = np.pad(far, ((0, 0), (1, 1)))
    cleared = context.copy()
    cleared[odd] = np.where(far & ~beside[:, :-2] & ~beside[:, 2:], np.nan, some)
    return cleared


def _finite(transform: str, values: Floats) -> Floats:
    """Transformed values, NaN where there is no number."""
    with np.errstate(all="ignore"):
        values = TRANSFORMS[transform][0](values)
    return np.where(np.isfinite(values), values, np.nan)


def _fitted(panel: Panel, transform: str, scaling: str) -> tuple[Floats, Floats]:
    """Per-series (loc, scale), each (S,), of transformed values."""
    return series_loc_scale(panel.as_truth().mapped(partial(_finite, transform)), scaling)  # a filled gap knows its end


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


def median_mad(context: Floats, season: int) -> tuple[Floats, Floats]:
    """loc (B, 1): the median; scale (B, 1): the median absolute deviation, times 1.4826 as a standard deviation. Where
    half of the values or more are one, scale is as in `window_loc_scale`; so is all of a constant window."""
    loc, scale = window_loc_scale(context, season)
    middle = _median(context)
    spread = NORMAL * _median(np.abs(context - middle))
    return np.where(scale > 0, middle, loc), np.where((scale > 0) & (spread > 0), spread, scale)


def _median(values: Floats) -> Floats:
    """(B, 1) of what is there in (B, L); NaN where nothing is. As np.nanmedian, many times as fast."""
    ordered, count = np.sort(values, axis=1), (~np.isnan(values)).sum(axis=1, keepdims=True)
    low, high = (np.take_along_axis(ordered, np.clip(k, 0, values.shape[1] - 1), axis=1)
                 for k in ((count - 1) // 2, count // 2))
    return np.asarray(np.where(count > 0, low / 2 + high / 2, np.nan))


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
        matrix = panel.take(rows).aligned()                              # (T, S)
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


def _same(values: Floats) -> Floats:
    return values


TRANSFORMS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "none": (_same, _same),
    "log": (np.log, np.exp),
    "asinh": (_same, _same),                                            # bent only once it is in units of the window
}
