"""Exponential smoothing of many series at once: the Theta method, and Holt-Winters with a damped trend.

Each fits a few variants to a series (with and without season, additive and multiplicative) by least squares of the
one-step errors, and forecasts their mean under Akaike's weights (Burnham & Anderson 2002; Kolassa 2011). The corrected
criterion, AICc, and the usual autocorrelation test see no season in two or three of them, and were often twice as wrong
on short seasonal series.

Time is the only loop: a step moves all series and all candidate parameters. Series stand side by side with their ends
together, the longest first, so that those that have begun are the first columns; sums run in the order of time, so that
no digit of one depends on its neighbours. A missing value is no error: Holt-Winters goes on as it expected to, Theta's
level takes the value before."""

# S series  N values  B series, or fits to them, side by side  T time steps  H horizon  A steps ahead  G candidates
# k parameters  K states  m season

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from forecast.methods.fitting import (
    STEPS,
    Aligned,
    Fit,
    Gains,
    Kind,
    State,
    akaike,
    apart,
    errors,
    forecast_by,
    line_through,
    rough,
    roughly,
    seasonal_indices,
    side_by_side,
    squares,
    total_of,
)
from forecast.series.arrays import Bools, Floats, Ints

RIDGE = 1e-6                        # holds a first state that no value speaks of


def theta(y: Floats, first: Ints, stop: Ints, *, horizon: int, season: int) -> tuple[Floats, Floats, Bools]:
    """The dynamic optimised Theta method (Fiorucci et al. 2016): point, sigma (S, H) and able (S,).

    Series s is y[first[s]:stop[s]] of y (N,), NaN where missing. Variants: no season, an additive one, and, where all
    values are positive, a multiplicative one, by classical decomposition. h counts from the last value there is;
    sigma^2 = s^2 (1 + (h - 1) alpha^2), or as much larger as errors h steps ahead have been inside the series.
    Able with SHORTEST values, two seasons of them, and no gap behind them longer than LONGEST."""
    return forecast_by(_theta, y, first, stop, horizon, season)


def holt_winters(y: Floats, first: Ints, stop: Ints, *, horizon: int, season: int) -> tuple[Floats, Floats, Bools]:
    """Holt-Winters with a damped trend (Hyndman et al. 2008, ETS(A,Ad,A)) of y and of log y; arguments as of `theta`.

    Variants: with and without a trend, with and without a season, of y itself and, where all values are positive, of
    its logarithm. First states are exact least squares, for errors are linear in them; gains are the best of a grid,
    and, where the model is not hopeless by then, of smaller and smaller steps around it.
    sigma^2 = s^2 (1 + sum c_j^2), j = 1 .. h - 1, c_j = alpha + beta (phi + ... + phi^j) + gamma [m divides j]; of
    log y, that times the point squared."""
    return forecast_by(_holt_winters, y, first, stop, horizon, season)


# The Theta method

ALPHAS = np.linspace(0.1, 0.99, 10)[:, None]
SETTLED = 3                         # errors before this step count for nothing: a line through few points is none


def _theta(series: Aligned, m: int, ahead: int) -> list[Fit]:
    every, positive = np.arange(len(series.rows)), np.flatnonzero(np.nanmin(series.y, axis=0) > 0)
    columns, kind = side_by_side(*([every, every, positive] if m > 1 else [every]))
    wide = series.take(columns)
    phase = (np.arange(len(wide.y)) - len(wide.y)) % m
    factor, shift, cost = np.ones((m, len(columns))), np.zeros((m, len(columns))), np.zeros(len(columns))
    if m > 1:
        shift[:, kind == 1] = seasonal_indices(series, m, multiplicative=False)
        factor[:, kind == 2] = seasonal_indices(series.take(positive), m, multiplicative=True)
        usable = factor.min(axis=0) > 0.01
        factor[:, ~usable] = 1.0
        cost = np.where(usable, 2 * total_of(np.where(wide.seen, np.log(factor)[phase], 0.0)), np.inf)
    adjusted = replace(wide, y=(wide.y - shift[phase]) / factor[phase])
    fit = _theta_line(adjusted, ahead, np.where(kind > 0, m - 1, 0))
    again = np.arange(ahead) % m
    path = (adjusted.anchor + fit.path) * factor[again] + shift[again] - wide.anchor
    fit = Fit(path, fit.variance * factor[again] ** 2, fit.misfit + cost)
    return [apart(fit, kind == k, columns, len(every)) for k in range(int(kind.max()) + 1)]


def _theta_line(series: Aligned, ahead: int, spent: Ints) -> Fit:
    """The Theta method on seasonally adjusted values; `spent` (B,) parameters went into the adjustment.

    One-step forecasts are l + c D (Fiorucci et al. 2016, eq. 12-14, c = 1 - 1/theta), l the level of simple
    exponential smoothing and D what the line through all values so far adds. Their errors are linear in c and in the
    first level: for each alpha both have a closed form. c is held within 0 .. 1; 1 is the line itself."""
    own = np.arange(1.0, len(series.y) + 1)[:, None] - series.begin     # (T, B) each series' own time, from 1
    z = np.where(series.seen, series.y - series.anchor, 0.0)
    for t in (t for t, whole in enumerate(series.whole) if not whole and series.active[t]):
        n = series.active[t]
        z[t, :n] = np.where(series.seen[t, :n], z[t, :n], z[t - 1, :n])  # for the level; lines and errors pass it over
    settled = own > np.minimum(SETTLED, series.count // 4)
    scored = (series.seen & settled).astype(np.float64)
    sums = np.cumsum(_moments(own, z) * series.seen, axis=1)            # (5, T, B)
    lines = np.zeros((2, *z.shape))
    lines[:, 1:] = line_through(sums[:, :-1])
    level, c, alpha = _theta_parameters(series, z, scored, lines)
    begun, line = np.arange(len(z))[:, None] >= series.begin, sums[:, -1]
    decay, path = np.ones(len(level)), np.empty((len(z) + ahead, len(level)))
    for t in range(len(path)):                                          # behind z, its own forecasts are the values
        a, b = lines[:, t] if t < len(z) else line_through(line)
        path[t] = level + c * (decay * a + (1 - decay * (1 - alpha)) / alpha * b)
        if t >= len(z):
            line = line + _moments(own[-1] + t - len(z) + 1, path[t])
        moved = level + alpha * ((z if t < len(z) else path)[t] - level)
        now = begun[min(t, len(z) - 1)]
        level, decay = np.where(now, moved, level), np.where(now, decay * (1 - alpha), decay)
    known, future = np.split(path, [len(z)])
    left = total_of(scored)
    square = total_of(scored * (z - known) ** 2)
    misfit = akaike(square / left, series.count, 3 + spent)
    growth = 1 + np.arange(ahead)[:, None] * alpha ** 2
    slope = c * lines[1]
    for h in range(1, ahead):                                           # the line kept, step h + 1 is h c b further
        pairs = scored[h:] * settled[:-h]
        later = z[h:] - known[:-h]
        later -= h * slope[:-h]
        later *= later
        later *= pairs
        count = total_of(pairs)
        ratio = np.divide(total_of(later) * left, square * np.maximum(count, 1), out=np.zeros_like(square),
                          where=(square > 0) & (2 * count >= left))
        growth[h] = np.maximum(np.maximum(growth[h], growth[h - 1]), ratio)
    return Fit(future, square / np.maximum(left - 3 - spent, 1) * growth, misfit)


def _theta_parameters(series: Aligned, z: Floats, scored: Floats, lines: Floats) -> tuple[Floats, Floats, Floats]:
    """First level, c and alpha (B,), each, by least squares."""
    columns = np.arange(z.shape[1])
    alpha = np.repeat(ALPHAS, len(columns), axis=1)                     # (G, B)
    level, decay, products = np.zeros_like(alpha), np.ones_like(alpha), np.zeros((6, *alpha.shape))
    for t in range(int(series.begin[0]), len(z)):
        n = series.active[t]
        now, a, d, weight = level[:, :n], alpha[:, :n], decay[:, :n], scored[t, :n]
        left = d * (1 - a)
        e, u = z[t, :n] - now, d * weight
        v = (d * lines[0, t, :n] + (1 - left) / a * lines[1, t, :n]) * weight
        now += a * e
        d[:] = left
        e *= weight
        for k, (one, other) in enumerate(((e, e), (e, u), (e, v), (u, u), (u, v), (v, v))):
            products[k, :, :n] += one * other
    ee, eu, ev, uu, uv, vv = products
    uu = np.maximum(uu, 1e-100)
    spread = uu * vv - uv * uv
    clear = spread > 1e-10 * uu * vv
    c = np.where(clear, np.clip((uu * ev - uv * eu) / np.where(clear, spread, 1), 0, 1), 0.5)
    first = (eu - c * uv) / uu
    square = ee - 2 * first * eu - 2 * c * ev + first ** 2 * uu + 2 * first * c * uv + c ** 2 * vv
    best = square.argmin(axis=0)
    return first[best, columns], c[best, columns], alpha[best, columns]


def _moments(t: Floats, z: Floats) -> Floats:
    return np.stack([np.ones_like(z), t, t * t, z, t * z])


# Holt-Winters

START = (0.3, 0.1, 0.1, 0.7)                                            # alpha; beta, gamma and phi within their bounds
GRID = ((0.05, 0.2, 0.45, 0.75, 0.95), (0.01, 0.1, 0.4), (0.02, 0.2), (0.2, 0.5, 0.9))
AROUND = (0.3, 0.8, 1.6)                                                # distances searched at, in logits
PHI = (0.6, 0.995)
HOPELESS = 20.0                     # of AIC: a model so far behind the best one weighs nothing
BEYOND = np.log(1000.0)             # the logarithm may go this far out of its past range, or as far as that is wide


def _holt_winters(series: Aligned, m: int, ahead: int) -> list[Fit]:
    every, positive = np.arange(len(series.rows)), np.flatnonzero(np.nanmin(series.y, axis=0) > 0)
    columns, kind = side_by_side(every, positive)
    logs = kind == 1
    wide = series.take(columns)
    z = np.where(wide.seen, wide.y - wide.anchor, 0.0)
    known = np.log(np.where(wide.seen, wide.y, wide.anchor)[:, logs])
    z[:, logs] = known - np.log(wide.anchor[logs])
    low, high = z[:, logs].min(axis=0), z[:, logs].max(axis=0)
    cost = np.zeros(len(columns))
    cost[logs] = 2 * total_of(np.where(wide.seen[:, logs], known, 0.0))
    room = np.minimum(high - low, BEYOND)
    kinds = [Kind(damped, season) for damped, season in product((False, True), (0, m) if m > 1 else (0,))]
    begun = [begun_gains(wide, z, kind) for kind in kinds]
    least, fits = np.full(len(every), np.inf), []
    for _, misfit in begun:
        np.minimum.at(least, columns, misfit + cost)
    for model, (u, misfit) in zip(kinds, begun, strict=True):
        near = np.flatnonzero(misfit + cost <= least[columns] + HOPELESS)
        if not near.size:
            continue
        some, own, log = wide.take(near), z[:, near], logs[near]
        fit, there = smoothed(some, own, found_gains(some, own, u[..., near], model), model, ahead), near[log]
        at = np.searchsorted(np.flatnonzero(logs), there)               # of the logarithms' ranges
        ratio = np.clip(fit.path[:, log], (low - room)[at], np.minimum(high + room, 700)[at])   # e^710 is no number
        fit.path[:, log] = some.anchor[log] * np.expm1(ratio)
        fit.variance[:, log] *= (some.anchor[log] + fit.path[:, log]) ** 2
        fit = replace(fit, misfit=fit.misfit + cost[near])
        fits += [apart(fit, kind[near] == k, columns[near], len(every)) for k in (0, 1)]
    return fits


def smoothed(series: Aligned, z: Floats, gains: Gains, kind: Kind, ahead: int) -> Fit:
    """The fit of one kind of model to z (T, B), 0 where missing, by these gains (1, B) and first states by least
    squares."""
    states = first_states(series, z, gains, kind)
    state = State.of(states[:, None], gains, kind)
    total = np.zeros(len(series.rows))
    for _, e in errors(series, z, gains, state):
        total[:e.shape[1]] += e[0] ** 2
    variance = total / np.maximum(series.count - kind.parameters, 1)
    misfit = akaike(total / series.count, series.count, kind.parameters)
    alpha, beta, gamma, phi = (g[0] for g in gains)
    steps = np.arange(1, ahead + 1)[:, None]
    fading = np.cumsum(np.multiply.accumulate(np.broadcast_to(phi, (ahead, len(phi))), axis=0), axis=0)
    weight = alpha + beta * fading                                      # of an error in what comes after it
    path = np.repeat(state.level, ahead, axis=0)
    if state.trend is not None:
        path += state.trend * fading
    if state.season is not None:
        weight += gamma * (steps % kind.season == 0)
        path += state.season[(steps[:, 0] - 1) % kind.season, 0]
    grown = np.concatenate([np.ones((1, len(phi))), 1 + np.cumsum(weight[:-1] ** 2, axis=0)])
    return Fit(path, variance * grown, misfit)


def begun_gains(series: Aligned, z: Floats, kind: Kind) -> tuple[Floats, Floats]:
    """The best gains of a grid, as logits (4, 1, B), and what the model is to be believed by them: AIC (B,)."""
    used = kind.gains
    grid = np.array(list(product(*(GRID[d] if d in used else (START[d],) for d in range(4))))).T
    u = _logit(np.array(START))[:, None, None]
    states = first_states(series, rough(z), roughly(gains_of(u, kind)), kind)
    tried = _logit(grid)[:, :, None]                                    # (4, G, 1)
    square = squares(series, z, gains_of(tried, kind), states, kind)
    misfit = akaike(square.min(axis=0) / series.count, series.count, kind.parameters)
    return tried[:, square.argmin(axis=0)].transpose(0, 2, 1), misfit


def found_gains(series: Aligned, z: Floats, u: Floats, kind: Kind) -> Gains:
    """Gains (1, B) with a small sum of squared errors, by ever smaller steps around those that are known."""
    star = np.concatenate([np.zeros((4, 1)), *(r * s * np.eye(4)[:, kind.gains] for r in AROUND for s in (-1, 1))],
                          axis=1)
    states, columns = first_states(series, rough(z), roughly(gains_of(u, kind)), kind), np.arange(z.shape[1])
    for reach in (1.0, 0.5, 0.25):
        tried = np.clip(u + reach * star[:, :, None], -9, 9)            # (4, G, B)
        best = squares(series, z, gains_of(tried, kind), states, kind).argmin(axis=0)
        u = tried[:, best, columns][:, None]
    return gains_of(u, kind)


def first_states(series: Aligned, z: Floats, gains: Gains, kind: Kind) -> Floats:
    """The first states (K, B) with the least sum of squared errors, for gains (1, B) or (1, 1).

    In float32 where z and the gains are: good enough to search by. Errors are linear in them: those from zero, and what
    a unit of each adds. The products are summed in pieces that end where the series end, so that their digits do not
    depend on the length of the longest."""
    k, width = kind.states, z.shape[1]
    zero_and_units = np.repeat(np.eye(k, k + 1, 1, dtype=z.dtype)[:, :, None], width, axis=2)       # (K, 1 + K, B)
    piece = np.zeros((STEPS, k + 1, width))
    gram = np.zeros((width, k + 1, k + 1))
    for t, e in errors(series, z, gains, State.of(zero_and_units, gains, kind)):
        at = piece[t % STEPS, :, :e.shape[1]]
        at[0] = e[0]
        np.subtract(e[1:], e[0], out=at[1:])
        if (t + 1) % STEPS == 0:
            x = np.stack([piece[:, i].T for i in range(k + 1)], axis=1)                 # (B, 1 + K, STEPS)
            gram += x @ x.transpose(0, 2, 1)
    best = np.linalg.solve(gram[:, 1:, 1:] + RIDGE * np.eye(k), -gram[:, 1:, :1])
    return np.ascontiguousarray(best[:, :, 0].T)


def gains_of(u: Floats, kind: Kind) -> Gains:
    """Gains from their logits (4, G, B): 0 < beta < alpha < 1, 0 < gamma < 1 - alpha, phi within PHI; 0 where the kind
    has no use for one."""
    alpha, beta, gamma, phi = 1 / (1 + np.exp(-np.ascontiguousarray(u)))
    return alpha, kind.damped * alpha * beta, bool(kind.season) * (1 - alpha) * gamma, PHI[0] + (PHI[1] - PHI[0]) * phi


def _logit(p: Floats) -> Floats:
    logit: Floats = np.log(p / (1 - p))
    return logit
