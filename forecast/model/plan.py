"""Plan: the sizes a run takes, settled from settings and data before any work, so that they can be shown first."""

# S series  L context  H horizon  V validation

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forecast.config import Config
from forecast.errors import DataError, RequestError
from forecast.model.prior import LEAST
from forecast.series.arrays import Floats, Ints
from forecast.series.panel import Panel

MOST_SERIES = 1_000                 # looked at for seasons
MAX_LAG = 400                       # longest season looked for
CLEAR_OF_NOISE = 4                  # standard errors above 0: the highest of many lags is looked at
STANDS_OUT = 0.005                  # autocorrelation above its neighbours' that makes a multiple a season
LONG_SEASON = 48                    # beyond it, a quarter of the season is a segment
LONGEST_SEASON = 100                # from here on two seasons of context are enough
SHORT_CONTEXT = 16                  # least context where no season is known
SIZES = ((500, 16, 400, 0.003), (50_000, 64, 600, 0.003), (np.inf, 128, 1000, 0.01))   # below so many windows: units,
                                                                        # training steps, learning rate
WINDOWS = 4                         # rolling windows of a backtest where the data allow them
KEPT_FOR_TRAINING = 0.6             # share of the longest series that a default backtest leaves for training


@dataclass(frozen=True)
class Plan:
    """The settled sizes, in steps. `min_context` points make a window; a shorter one is padded on the left."""

    horizon: int
    seasons: tuple[int, ...]        # the main one first; (1,) for none
    season_source: str              # "given", "by frequency", "found in the data", "none found"
    context: int
    segment: int
    min_context: int
    validation: int
    hidden: int
    steps: int                      # training steps, and
    lr: float                       # the highest learning rate
    members: int                    # networks that are trained and weighed

    @property
    def season(self) -> int:
        return self.seasons[0]

    @property
    def lags(self) -> tuple[int, ...]:
        """Steps back at which covariates are looked at, the main season first; all lie in the context."""
        return tuple(m for m in self.seasons if m <= self.context) or (1,)

    @property
    def least(self) -> int:
        """Points that one series must have for a fit: a window to train on, and one to validate on."""
        return self.min_context + 2 * self.horizon


def make_plan(config: Config, panel: Panel) -> Plan:
    """Sizes for this panel: given ones as given, the others by frequency and length of the data.

    Raises RequestError where the horizon must be given, DataError where no series is long enough."""
    horizon = _horizon(config, panel)
    longest = int(panel.lengths.max(initial=0))
    seasons, source = seasons_of(config, panel)
    validation = config.train.validation_size or max(2 * horizon, min(longest // 10, 20 * horizon))
    room = longest - 2 * horizon
    context = config.model.context or max(2, min(_context(seasons, horizon), max(seasons[0], room // 2)))
    segment = min(config.model.segment or _segment(seasons[0], context), context)
    context = -(-context // segment) * segment                          # whole segments
    plan = Plan(horizon=horizon, seasons=seasons, season_source=source, context=context, segment=segment,
                min_context=min(context, max(2, seasons[0], context // 4)), validation=validation,
                hidden=0, steps=0, lr=0.0, members=0)
    if longest < plan.least:
        raise DataError(f"the longest series has {longest} points; a horizon of {horizon} needs {plan.least} "
                        f"(season {plan.season})", code="too_short",
                        hint="Give a shorter --horizon" + (", or --season 1" if plan.season > 1 else ""))
    windows = int(np.maximum(panel.lengths - plan.min_context - horizon + 1, 0).sum())
    units, steps, rate = next(sizes for most, *sizes in SIZES if windows < most)
    train = config.train
    return replace(plan, validation=int(np.clip(validation, horizon, longest - plan.min_context - horizon)),
                   hidden=config.model.hidden or int(units), lr=train.lr or rate,
                   steps=max(1, round(train.effort * int(steps))) if train.steps is None else train.steps,
                   members=_members(config, panel))


def _members(config: Config, panel: Panel) -> int:
    """Networks to train and weigh; where there are covariates, one of two or more reads none."""
    model = config.model
    if not (model.blend and model.skip):
        return 1
    least = 1 if panel.beside is None else 2
    return max(least, model.members if config.train.steps != 0 else 1)


def untrained(config: Config, panel: Panel) -> Plan:
    """The plan of a forecast without any training: the horizon and the seasons alone. Raises RequestError."""
    seasons, source = seasons_of(config, panel)
    return Plan(horizon=_horizon(config, panel), seasons=seasons, season_source=source, context=LEAST, segment=1,
                min_context=LEAST, validation=1, hidden=1, steps=0, lr=0.0, members=0)


def _horizon(config: Config, panel: Panel) -> int:
    if (horizon := config.model.horizon or panel.calendar.horizon) is None:
        raise RequestError("integer time steps say nothing about how far to forecast", code="horizon_needed",
                           hint="Give --horizon N")
    return horizon


def seasons_of(config: Config, panel: Panel) -> tuple[tuple[int, ...], str]:
    """The seasons, the main one first, and where they come from."""
    longest = int(panel.lengths.max(initial=0))
    if config.model.season:
        return config.model.season, "given"
    if panel.calendar.seasons:
        fitting = tuple(m for m in panel.calendar.seasons if 2 * m <= longest)
        return fitting or (1,), "by frequency"
    seasons = find_seasons(panel)
    return seasons, "found in the data" if seasons != (1,) else "none found"


def _context(seasons: tuple[int, ...], horizon: int) -> int:
    """Two or three of the longest season; some more of a short one."""
    longest = max(seasons)
    if longest >= LONGEST_SEASON:
        return 2 * longest
    return max(3 * longest if longest >= 12 else 8 * longest, SHORT_CONTEXT, 2 * horizon)


def _segment(season: int, context: int) -> int:
    """The main season where it is a handful of points or more, else about a sixteenth of the context."""
    if 4 <= season <= context // 2:
        return season if season <= LONG_SEASON else -(-season // 4)
    return max(1, round(context / 16))


def find_seasons(panel: Panel) -> tuple[int, ...]:
    """The lags at which the differences of the series repeat themselves, the main one first; (1,) where they do not.

    The autocorrelations are those of up to 1,000 series together. The main season is the shortest local
    maximum that is clear of noise and within a tenth of the highest; a multiple of it that stands out among the
    multiples (the week of hourly data) is a second one."""
    some = panel.take(np.arange(0, len(panel), -(-len(panel) // MOST_SERIES)))
    matrix = np.diff(some.recent(4 * MAX_LAG).aligned(), axis=0)        # (T, S)
    lags = min(MAX_LAG, matrix.shape[0] // 3)
    if lags < 3:
        return (1,)
    acf = _autocorrelations(matrix, lags)
    noise = CLEAR_OF_NOISE / np.sqrt(len(matrix) - np.arange(lags + 1))
    peaks = _peaks(acf, np.maximum(0.2, noise))
    if not len(peaks):
        return (1,)
    main = int(peaks[acf[peaks] >= 0.9 * acf[peaks].max()][0])
    multiples = acf[::main]
    above = np.zeros_like(multiples)
    above[2:-1] = multiples[2:-1] - (multiples[1:-2] + multiples[3:]) / 2
    second = int(np.argmax(above))
    moving = np.count_nonzero(np.nan_to_num(matrix)) / len(matrix)      # series' worth of points that change
    pooled = np.clip(np.sqrt(moving), 1, 4)                             # series help, but they are not independent
    clear = above[second] > STANDS_OUT + noise[second * main] / pooled * (1 - multiples[second])
    return (main, second * main) if clear and multiples[second] > 0.9 * acf[main] else (main,)


def _peaks(values: Floats, least: Floats) -> Ints:
    """Positions of the local maxima above `least`, ends apart."""
    inner = values[1:-1]
    return np.flatnonzero((inner > values[:-2]) & (inner >= values[2:]) & (inner > least[1:-1])) + 1


def _autocorrelations(matrix: Floats, lags: int) -> Floats:
    """(lags + 1,) mean product of the standardised columns with themselves, over all pairs that are there."""
    there = ~np.isnan(matrix)
    count = np.maximum(there.sum(axis=0), 1)
    size = np.abs(np.where(there, matrix, 0.0)).max(axis=0)
    unit = np.where(there, matrix, 0.0) / np.where(size > 0, size, 1.0)                     # squares of 1e200 overflow
    unit = np.where(there, unit - unit.sum(axis=0) / count, 0.0)
    spread = np.sqrt((unit ** 2).sum(axis=0) / count)
    unit /= np.where(spread > 0, spread, 1.0)
    pairs = (there & (spread > 0)).astype(np.float64)
    return _products(unit, lags) / np.maximum(_products(pairs, lags), 1.0)


def _products(columns: Floats, lags: int) -> Floats:
    """(lags + 1,) sums of x[t] x[t + lag] over all columns, by the Fourier transform (Wiener 1930)."""
    spectrum = np.abs(np.fft.rfft(columns, 2 * len(columns), axis=0)) ** 2
    return np.fft.irfft(spectrum.sum(axis=1))[:lags + 1]


def backtest_cutoffs(config: Config, panel: Panel, plan: Plan) -> list[int]:
    """Steps back from the newest time at which a rolling backtest cuts, the earliest first; [] where it can't.

        test_size 24, horizon 12, step 12:    train ........|------------|            cut 24 back
                                                             ...........|------------|  cut 12 back
    Raises RequestError for sizes that contradict each other or leave too little to train on."""
    asked, horizon = config.backtest, plan.horizon
    step = asked.step or horizon
    room = int(panel.lengths.max(initial=0)) - plan.least
    if asked.test_size is not None:
        if asked.windows is not None:
            raise RequestError("--test-size and --windows both say how long the test is", hint="Give one of them")
        size = asked.test_size
    elif asked.windows is not None:
        size = horizon + (asked.windows - 1) * step
    else:
        share = int(panel.lengths.max(initial=0) * (1 - KEPT_FOR_TRAINING))
        windows = min(WINDOWS, (min(room, share) - horizon) // step + 1)
        return [horizon + k * step for k in reversed(range(max(0, windows)))]
    if size < horizon:
        raise RequestError(f"a test of {size} steps cannot hold a forecast of {horizon}", code="test_too_short",
                           hint="Give a larger --test-size or a shorter --horizon")
    if size > room:
        most = (room - horizon) // step + 1                             # windows
        raise RequestError(f"a test of {size} steps leaves too little before it: the longest series has "
                           f"{panel.lengths.max()} points, and {plan.least} must come before", code="test_too_long",
                           hint=f"Give a test of at most {max(room, 0)} steps" + (
                               f", that is --windows {most}" if most > 0 and asked.windows is not None else ""))
    return list(range(size, horizon - 1, -step))
