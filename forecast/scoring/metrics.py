"""How wrong a forecast was: formulas on arrays, each in its docstring.

Everything is flat: row r says that series `series[r]` had the truth `y[r]` where the forecast said `yhat[r]`. Every
metric is per series; what to average, print or gate on is the caller's business. A row whose truth is missing (NaN)
is left out; a forecast that is NaN makes its series' score NaN. NaN is also the score of a series where a metric is
undefined: no row at all, or a division by zero."""

# M rows  S series  Q quantiles  N values of a panel

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.series.arrays import Floats, Ints, finite_sums


def mae(y: Floats, yhat: Floats, *, series: Ints, n: int) -> Floats:
    """Mean absolute error per series (S,): mean |y - f|.

    y, yhat (M,) · series (M,) codes in 0 .. n-1, in any order · n the number of series S."""
    return _mean(np.abs(y - yhat), y, series, n)


def rmse(y: Floats, yhat: Floats, *, series: Ints, n: int) -> Floats:
    """Root mean squared error per series (S,): sqrt(mean (y - f)^2). Arguments as for `mae`.

    Squares are taken in units of the largest error's size, so that 1e200 and 1e-200 stay in the range of a float."""
    error = np.abs(y - yhat)
    unit = np.ldexp(0.5, np.frexp(np.max(error[np.isfinite(error)], initial=0.0))[1])       # a power of 2: exact
    root: Floats = unit * np.sqrt(_mean((error / unit) ** 2, y, series, n))
    return root


def bias(y: Floats, yhat: Floats, *, series: Ints, n: int) -> Floats:
    """Mean error per series (S,): mean (f - y), positive where too much was forecast. Arguments as for `mae`."""
    return _mean(yhat - y, y, series, n)


def mase(y: Floats, yhat: Floats, *, series: Ints, n: int, scale: Floats) -> Floats:
    """Mean absolute scaled error per series (S,), Hyndman & Koehler 2006: mean |y - f| / scale.

    scale (S,) from `seasonal_scale`, of the past before the first cutoff; NaN or 0 gives NaN."""
    return _ratio(mae(y, yhat, series=series, n=n), scale)


def smape(y: Floats, yhat: Floats, *, series: Ints, n: int) -> Floats:
    """Symmetric mean absolute percentage error per series (S,), as in M4: mean 200 |y - f| / (|y| + |f|), 0/0 = 0.

    In percent, 0 .. 200. Arguments as for `mae`."""
    size = np.abs(y) + np.abs(yhat)
    error = np.divide(200 * np.abs(y - yhat), size, out=np.zeros_like(size), where=size != 0)
    return _mean(error, y, series, n)


def wape(y: Floats, yhat: Floats, *, series: Ints, n: int) -> Floats:
    """Weighted absolute percentage error per series (S,), as a share: sum |y - f| / sum |y|.

    NaN where every truth is 0. Arguments as for `mae`."""
    return _ratio(_sum(np.abs(y - yhat), y, series, n), _sum(np.abs(y), y, series, n))


def coverage(y: Floats, lo: Floats, hi: Floats, *, series: Ints, n: int) -> Floats:
    """Share of the rows inside their band per series (S,): mean (lo <= y <= hi).

    lo, hi (M,) the bounds; a bound that is NaN makes the score NaN. Other arguments as for `mae`."""
    inside = ((lo <= y) & (y <= hi)).astype(np.float64)
    return _mean(np.where(np.isnan(lo) | np.isnan(hi), np.nan, inside), y, series, n)


def likely_share(share: float, count: float) -> tuple[float, float]:
    """Between which true shares `share` of `count` independent trials may come about, with 95 % confidence (Wilson
    1927)."""
    z, count = 1.959963984540054, max(count, 1.0)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def width(y: Floats, lo: Floats, hi: Floats, *, series: Ints, n: int) -> Floats:
    """Mean width of a band per series (S,): mean (hi - lo), over the rows that coverage counts."""
    return _mean(hi - lo, y, series, n)


def wql(y: Floats, q_hat: Floats, q: Sequence[float], *, series: Ints, n: int) -> Floats:
    """Weighted quantile loss per series (S,): mean over q of 2 sum pinball_q / sum |y|.

    pinball_q = max(q (y - f_q), (q - 1) (y - f_q)) (Koenker & Bassett 1978).
    q_hat (M, Q) the forecasts of the quantiles q (Q,); NaN where every truth is 0."""
    losses = [_sum(_pinball(y, q_hat[:, k], level), y, series, n) for k, level in enumerate(q)]
    return _ratio(2 * np.mean(losses, axis=0), _sum(np.abs(y), y, series, n))


def seasonal_scale(y: Floats, first: Ints, stop: Ints, m: int) -> Floats:
    """What seasonal naive was wrong by inside each series (S,), the scale of MASE: mean |y_t - y_(t-m)|.

    Series s is y[first[s]:stop[s]] of y (N,); slices may overlap. A pair with a missing value is left out. NaN for a
    series without a pair (m points or fewer) and for one that repeats itself exactly (scale 0): MASE is undefined."""
    step = np.abs(y[m:] - y[:-m])
    total, count = finite_sums(step, first, stop - m)
    return _ratio(np.where(total > 0, total, np.nan), count)


def mean_over_series(values: Floats) -> tuple[float, int, int]:
    """Mean of the scores that are defined, how many they are, and how many series were left out.

    values (S,); the mean is NaN where none is defined."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan"), len(defined), len(values) - len(defined)


def _pinball(y: Floats, q_hat: Floats, q: float) -> Floats:
    return np.maximum(q * (y - q_hat), (q - 1) * (y - q_hat))


def _sum(error: Floats, y: Floats, series: Ints, n: int) -> Floats:
    """Sum of error (M,) over the rows that have a truth, per series (S,)."""
    known = ~np.isnan(y)
    return np.bincount(series[known], weights=error[known], minlength=n).astype(np.float64)


def _mean(error: Floats, y: Floats, series: Ints, n: int) -> Floats:
    count = np.bincount(series[~np.isnan(y)], minlength=n)
    return _ratio(_sum(error, y, series, n), count.astype(np.float64))


def _ratio(over: Floats, under: Floats) -> Floats:
    """over / under, NaN where under is 0."""
    return np.divide(over, under, out=np.full_like(over, np.nan), where=under != 0)
