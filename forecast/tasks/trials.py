"""Trials: the past windows that a search may look at and those it may not, and settings tried on such windows."""

# P pairs: one for each series and past window

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.config import Config
from forecast.errors import DataError, ForecastError, RequestError
from forecast.model.plan import KEPT_FOR_TRAINING, Plan, backtest_cutoffs, make_plan
from forecast.model.predictor import Predictor
from forecast.scoring.backtest import backtest
from forecast.scoring.formulas import REFERENCE
from forecast.series.arrays import Floats
from forecast.series.panel import Panel
from forecast.series.windows import evenly
from forecast.store.promotion import losses_of, pairs_of
from forecast.tasks.fitting import baseline_makers
from forecast.training.fit import fit
from forecast.training.search import COVARIATES, DONE, FAILED, HOPELESSLY, REPEATED, Study, Tried, is_hopeless

if TYPE_CHECKING:
    import pandas as pd

MOST_SERIES = 500                       # of a search: those of more say the same
FEWEST_CUTOFFS = 5                      # unseen: series of one day have its weather in common, and count as one
SEARCHED, UNSEEN = (60, 20, 4), (36, 12, FEWEST_CUTOFFS)    # pairs wanted; cutoffs at most, and where series are many
QUARTER = 0.25                          # of the steps of training, before a first look at the windows
MOST_REPEATED = 12                      # settings in a row that were tried before: then everything was
Watch = Callable[[], None]              # is called now and then; ends a fit by raising


class TimeUp(Exception):
    """There is no time left for what is being fitted."""


@dataclass(frozen=True)
class Split:
    """The windows of the search, on a panel that ends before the unseen ones; and the unseen ones, the newest of all.

    cutoffs: steps back from the end of `searched`; unseen: steps back from the end of `panel`; the earliest first."""

    panel: Panel
    searched: Panel
    known: Panel                            # before the first window of the search
    plan: Plan                              # of the defaults, on `known`
    cutoffs: list[int]
    unseen: list[int]


def split(config: Config, panel: Panel) -> Split:
    """Part a panel into what is learned from, the windows of the search and the unseen ones. Nothing but the lengths of
    the series is asked before the unseen windows are cut off. A setting of the backtest says which windows are
    searched. Raises DataError where the data are too short, RequestError as make_plan and backtest_cutoffs."""
    if len(panel) > MOST_SERIES:
        panel = panel.take(np.union1d(evenly(len(panel), MOST_SERIES - 1), np.argmax(panel.end)))
    horizon, longest = config.model.horizon or panel.calendar.horizon, int(panel.lengths.max())
    if horizon is None:
        raise RequestError("integer time steps say nothing about how far to forecast", code="horizon_needed",
                           hint="Give --horizon N")
    wanted, last = (min(most, max(least, -(-pairs // len(panel)))) for pairs, most, least in (SEARCHED, UNSEEN))
    given = config.backtest.windows or config.backtest.test_size
    room = max(2, int(longest * (1 - KEPT_FOR_TRAINING)) // horizon)    # windows of both kinds
    last = min(last, max(1, room * last // (wanted + last), min(FEWEST_CUTOFFS, room // 2)))
    wanted = wanted if given else min(wanted, max(1, room - last))
    unseen, searched, fits = _cut_off(config, panel, horizon, last)
    if fits < 1:
        raise DataError(f"the data are too short for a search: the longest series has {longest} points, the newest "
                        f"{unseen[0]} of which it may not see", code="too_short", hint="Give a shorter --horizon")
    if not given:
        config = config.override({"backtest.windows": min(wanted, fits)}, source="tune")
    cutoffs = backtest_cutoffs(config, searched, make_plan(config, searched))
    known = searched.drop_last(cutoffs[0])
    return Split(panel, searched, known, make_plan(config, known), cutoffs, unseen)


def _cut_off(config: Config, panel: Panel, horizon: int, last: int) -> tuple[list[int], Panel, int]:
    """The unseen cutoffs, `last` of them or as many as leave something to search by; what stands before them; and how
    many windows fit in there."""
    unseen = [horizon * (k + 1) for k in reversed(range(last))]
    searched = panel.drop_last(unseen[0]).ended_on_truth().with_values()[0]     # a gap filled across the cut is cut off
    try:
        fits = (int(searched.lengths.max(initial=0)) - make_plan(config, searched).least) // horizon
    except DataError:
        fits = 0
    return _cut_off(config, panel, horizon, last - 1) if fits < 1 < last else (unseen, searched, fits)


@dataclass(frozen=True)
class Bench:
    """Where settings are tried: they are fitted on what stood before the first of these cutoffs of a panel, as train
    fits for its backtest, and err on all of them."""

    config: Config
    panel: Panel
    cutoffs: list[int]
    plan: Plan                              # of the defaults, whose season is the unit of errors

    @cached_property
    def known(self) -> Panel:
        """What may be learned from."""
        return self.panel.drop_last(self.cutoffs[0])

    @cached_property
    def naive(self) -> pd.Series[float]:
        """(P,) errors of the seasonal naive forecast, in the order of all errors: by series and cutoff."""
        frame = backtest(self.panel, baseline_makers([REFERENCE], self.plan.season, self.config.model.levels),
                         horizon=self.plan.horizon, cutoffs=self.cutoffs, levels=self.config.model.levels)
        return self._errors(frame)[REFERENCE]

    def errors(self, changes: Mapping[str, Any], watch: Watch, *, share: float = 1.0, seed: int | None = None
               ) -> Floats:
        """(P,) errors of the defaults with these changes, after this share of the steps of training: mean absolute
        errors in units of the series' seasonal naive error in what was known; of quantiles where zeros are many.

        Raises ForecastError where they can't be fitted, or come to no number."""
        config = self.changed(changes, share, seed)
        panel, known = (replace(p, beside=None, row=None) if changes.get(COVARIATES) == "off" else p
                        for p in (self.panel, self.known))
        predictor = self._fitted(config, known, watch)
        frame = backtest(panel, {"tried": lambda _: predictor}, horizon=self.plan.horizon, cutoffs=self.cutoffs,
                         levels=config.model.levels)
        errors: Floats = self._errors(frame)["tried"].reindex(self.naive.index).to_numpy()
        if not np.isfinite(errors).all():
            raise DataError("its forecasts come to no number", code="not_finite")
        return errors

    def changed(self, changes: Mapping[str, Any], share: float, seed: int | None) -> Config:
        """The settings of a trial."""
        values = {key: value for key, value in changes.items() if key != COVARIATES}
        values |= {} if seed is None else {"train.seed": seed}
        train = self.config.train
        if share < 1 and train.steps is not None:
            values["train.steps"] = max(1, round(share * train.steps)) if train.steps else 0
        elif share < 1:
            values["train.effort"] = max(0.01, share * train.effort)
        return self.config.override(values, source="tune")

    @staticmethod
    def _fitted(config: Config, known: Panel, watch: Watch) -> Predictor:
        epochs = fit(Predictor.new(config, known), known)
        while True:
            watch()
            try:
                next(epochs)
            except StopIteration as end:
                predictor: Predictor = end.value
                break
        if predictor.members and all(member.diverged for member in predictor.members):
            raise DataError("every network diverged", code="diverged")
        return predictor

    def _errors(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pairs_of(frame.assign(loss=losses_of(frame, self.known)), self.known, self.plan.season)


@dataclass(frozen=True)
class Limits:
    """When a search ends: at a moment of the monotonic clock, after so many trials. typical: seconds of one trial, as
    long as none is done."""

    end: float
    trials: int | None
    typical: float


def search(study: Study, bench: Bench, limits: Limits, watch: Watch, tell: Callable[[Tried], None]) -> str:
    """Try settings until the time, the trials, or the settings are spent; says which. A trial that the time ends is to
    be tried again. Whatever `watch` raises goes on to the caller, its trial being released, too."""
    count = repeated = 0
    while (limits.trials is None or count < limits.trials) and repeated < MOST_REPEATED:
        trials = study.trials()
        took = [t.seconds for t in trials if t.state == DONE] or [limits.typical]
        if time.monotonic() + float(np.median(took)) > limits.end:
            return "time"
        asked = study.ask()
        if any(t.is_ended and t.changes == asked.changes for t in trials):
            repeated += 1
            study.tell(replace(asked, state=HOPELESSLY, reason=REPEATED))
            continue
        repeated = 0
        try:
            tried = _tried(study, bench, asked, until(limits.end, watch))
        except TimeUp:
            study.release(asked.number)
            return "time"
        except BaseException:
            study.release(asked.number)
            raise
        study.tell(tried)
        tell(tried)
        count += 1
    return "trials" if repeated < MOST_REPEATED else "settings"


def until(end: float, watch: Watch) -> Watch:
    """The same, which raises TimeUp after a moment of the monotonic clock."""
    def checked() -> None:
        watch()
        if time.monotonic() > end:
            raise TimeUp

    return checked


def _tried(study: Study, bench: Bench, asked: Tried, watch: Watch) -> Tried:
    """A trial: a quarter of the steps first, and all of them unless it is hopeless by then. What it fails of is its
    reason."""
    began = time.monotonic()

    def ended(state: str, **fields: Any) -> Tried:
        return replace(asked, state=state, seconds=time.monotonic() - began, **fields)

    try:
        first = bench.errors(asked.changes, watch, share=QUARTER)
        if is_hopeless(first, study.best()):
            return ended(HOPELESSLY, first=first, reason="worse than the best after a quarter of the steps")
        errors = bench.errors(asked.changes, watch)
    except TimeUp:
        raise
    except ForecastError as error:
        return ended(FAILED, reason=error.problem.message)
    except MemoryError:
        return ended(FAILED, reason="out of memory")
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        return ended(FAILED, reason=f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}")
    return ended(DONE, errors=errors, first=first, score=float(errors.mean()))
