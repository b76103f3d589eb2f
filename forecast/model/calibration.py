"""Calibration: how far each quantile must move from the median so that it holds as often as it says."""

# W windows  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.series.arrays import Floats

ENOUGH = 200                                                            # windows for a factor of a step's own
NARROWEST, WIDEST = 0.3, 5.0                                            # factors; with few windows none below 1
RATE = 0.1                                                              # of the logarithm of a tracked factor, an issue
TRACKED = (0.5, 3.0)                                                    # bounds of a tracked factor


def widths(values: Floats, truth: Floats, quantiles: tuple[float, ...]) -> Floats:
    """(H, Q) factors on the distance from the median, from forecasts whose truth is known.

    For a quantile below the median, r = (y - median) / (value - median) exceeds its factor with probability q; the
    factor is the matching empirical quantile of r over the windows (split conformal, Vovk et al. 2005, with its
    (n + 1) / n correction; one-sided as in Romano et al. 2019), per step where there are windows enough, else over
    all steps, and then no band is made narrower: a few lucky windows are no proof.
    values (W, H, Q), truth (W, H) with NaN where missing, one unit for both."""
    windows, horizon, _ = values.shape
    median = values[:, :, quantiles.index(0.5)]
    factors = np.ones((horizon, len(quantiles)))
    for k, q in enumerate(quantiles):
        if q == 0.5:
            continue
        distance = values[:, :, k] - median
        usable = ~np.isnan(truth) & (distance != 0)
        ratio = np.where(usable, truth - median, np.nan) / np.where(usable, distance, 1.0)
        tail = min(q, 1 - q)
        if windows >= ENOUGH:
            least = np.where(usable.sum(axis=0) >= ENOUGH, NARROWEST, 1.0)
            factors[:, k] = [_conformal(ratio[:, h], tail, least[h]) for h in range(horizon)]
        else:
            factors[:, k] = _conformal(ratio.ravel(), tail, 1.0)
    return factors


def _conformal(ratio: Floats, tail: float, least: float) -> float:
    there = ratio[~np.isnan(ratio)]
    if len(there) < 2:
        return 1.0
    rank = min(1.0, (1 - tail) * (len(there) + 1) / len(there))
    return float(np.clip(np.quantile(there, rank), least, WIDEST))


def widened(values: Floats, factors: Floats, quantiles: tuple[float, ...]) -> Floats:
    """values (B, H, Q) with each quantile's distance from the median times its factor, ascending again."""
    median = values[:, :, quantiles.index(0.5), None]
    return np.asarray(np.sort(median + (values - median) * factors, axis=-1))


def mean_above_median(values: Floats, quantiles: Sequence[float]) -> Floats:
    """(B, H) how far the mean of a distribution lies above its median, from its quantiles (B, H, Q). Straight lines run
    between the quantiles; beyond the last ones there is nothing."""
    grid = np.asarray(quantiles)
    weight = np.diff(np.concatenate([[0.0], (grid[1:] + grid[:-1]) / 2, [1.0]]))            # of each quantile's value
    return np.asarray(values @ weight - values[:, :, int(np.argmin(np.abs(grid - 0.5)))])


def mean_factor(values: Floats, truth: Floats, unit: Floats, quantiles: Sequence[float]) -> float:
    """How many times `mean_above_median` the truth lay above the median on held-out windows, by least squares, 0 to 3:
    a few quantiles do not tell the tails. values (W, H, Q), truth (W, H) NaN where missing, unit (W,) of each window;
    1 where nothing tells."""
    lift = mean_above_median(values, quantiles) / unit[:, None]
    gap = (truth - values[:, :, int(np.argmin(np.abs(np.asarray(quantiles) - 0.5)))]) / unit[:, None]
    known = np.isfinite(gap) & np.isfinite(lift)
    total = float(np.sum(lift[known] ** 2))
    return float(np.clip(np.sum(lift[known] * gap[known]) / total, 0.0, 3.0)) if total > 0 else 1.0


def tracked(misses: Sequence[float], alpha: float, start: float = 1.0) -> float:
    """The factor on a band's distance from the median, from how often it was missed: exp(theta) with
    theta = log start + RATE * sum(miss - alpha), within TRACKED (online conformal control, Gibbs &
    Candes 2021; quantile tracking, Angelopoulos et al. 2023, here of the logarithm of the width, so that no unit
    matters).

    misses: the share of values outside the band as issued, one an issue; alpha: the share that should be, 0.2 for a
    band of 80 %; start: the factor that the first of these issues bore. The control is closed: the bands of later
    issues bear the factor, so the sum stands still where they hold. `start` without any issue."""
    theta = np.log(start) + RATE * float(np.sum(np.asarray(misses, dtype=np.float64) - alpha))
    return float(np.exp(np.clip(theta, *np.log(TRACKED))))
