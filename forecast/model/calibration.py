"""Calibration: how far each quantile must move from the median so that it holds as often as it says."""

# W windows  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.series.arrays import Floats

WIDEST = 5.0                                                            # factor; none is below 1
USUAL_FACTOR = 0.5                                                      # of the mean, and 1 is what it varies by
RATE = 0.1                                                              # of the logarithm of a tracked factor, an issue
TRACKED = (0.5, 3.0)                                                    # bounds of a tracked factor


def widths(values: Floats, truth: Floats, quantiles: tuple[float, ...]) -> Floats:
    """(H, Q) factors on the distance from the median, from forecasts whose truth is known; the same for every step.

    Both ends of a band bear the same one: the empirical quantile, at the band's level, of |y - median| over the
    distance of the end on y's side, over all windows and steps (split conformal, Vovk et al. 2005, with its (n + 1) / n
    correction, n the windows: the steps of one are no proof of each other). No band is made narrower: the forecasters
    were chosen by these windows, and series that end on one day share its luck.
    values (W, H, Q), truth (W, H) with NaN where missing, one unit for both; quantiles symmetric around 0.5."""
    middle, factors = quantiles.index(0.5), np.ones(len(quantiles))
    median = values[:, :, middle]
    for k in range(middle):
        pair = [k, len(quantiles) - 1 - k]
        end = values[:, :, pair]
        distance = np.abs(np.where(truth < median, end[..., 0], end[..., 1]) - median)
        usable = ~np.isnan(truth) & (distance > 0)
        ratio = np.abs(truth - median)[usable] / distance[usable]
        windows = int(usable.any(axis=1).sum())
        if windows >= 2:
            rank = min(1.0, (quantiles[pair[1]] - quantiles[k]) * (windows + 1) / windows)
            factors[pair] = np.clip(np.quantile(ratio, rank), 1.0, WIDEST)
    return np.tile(factors, (values.shape[1], 1))


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


def mean_factor(values: Floats, truth: Floats, unit: Floats, quantiles: Sequence[float], *, independent: float
                ) -> float:
    """How many times `mean_above_median` the truth lay above the median on held-out windows, by least squares, 0 to 3:
    a few quantiles do not tell the tails. The less sure that is, the nearer to USUAL_FACTOR.

    values (W, H, Q), truth (W, H) NaN where missing, unit (W,) of each window; independent: how many of the windows are
    proof of their own, which its error is estimated by (windows are clusters, Liang & Zeger 1986)."""
    lift = mean_above_median(values, quantiles) / unit[:, None]
    gap = (truth - values[:, :, int(np.argmin(np.abs(np.asarray(quantiles) - 0.5)))]) / unit[:, None]
    known = np.isfinite(gap) & np.isfinite(lift)
    both, square = (np.sum(np.where(known, part, 0.0), axis=1) for part in (lift * gap, lift**2))
    total = float(square.sum())
    if total == 0:
        return USUAL_FACTOR
    found = float(both.sum()) / total
    error = float(np.sum((both - found * square) ** 2)) / total**2 * max(1.0, len(truth) / independent)
    return USUAL_FACTOR + (float(np.clip(found, 0.0, 3.0)) - USUAL_FACTOR) / (1 + error)


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
