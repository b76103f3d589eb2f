"""Facts: what a report is about: the forecast as predict would make it now, the model's backtest on what it had not
learned from, and what the ledger knows of forecasts that were issued."""

# S series  H horizon

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from forecast.errors import DataError, ForecastError, RequestError
from forecast.ledger.issue import Issue
from forecast.ledger.options import Options
from forecast.methods.baselines import BASELINES
from forecast.model.predictor import Predictor
from forecast.scoring.formulas import SIMPLE
from forecast.series.arrays import Ints
from forecast.series.forecast import Forecast, in_parts, quantile_grid
from forecast.series.panel import Panel
from forecast.store.run import Run
from forecast.system.datasource import STDIN, DataSource
from forecast.tasks import evaluate, issuing, plans, prior
from forecast.tasks.ended import Ended, endings, serves_since
from forecast.tasks.promises import issues_about
from forecast.tasks.sums import Sums, sums_of
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from forecast.reading.reader import Reading
    from forecast.scoring.backtest import Scores
    from forecast.tasks.evaluate import Evaluated

WINDOWS = 4                             # past forecasts of each series
MOST_ROWS = 2_000_000                   # of a backtest, a forecaster: more series have fewer windows
TRIES = 2                               # of reading a ledger from which somebody removes old issues meanwhile


@dataclass(frozen=True)
class Backtest:
    """Past forecasts of the model beside simple ones: the frame of scoring/backtest.py, and its scores."""

    frame: pd.DataFrame
    scores: Scores
    left_out: int                           # series of which the model may have learned up to the end

    @property
    def own(self) -> pd.DataFrame:
        """The rows of the model."""
        return self.frame[self.frame["model"] == self.scores.name]

    @cached_property
    def by_series(self) -> dict[str, dict[int, dict[str, float]]]:
        """The scores of each forecaster, of each series by its position."""
        rows: dict[str, dict[int, dict[str, float]]] = {}
        for row in cast(list[dict[str, Any]], self.scores.per_series.to_dict("records")):
            rows.setdefault(str(row["model"]), {})[int(row["series"])] = row
        return rows


@dataclass(frozen=True)
class Facts:
    """What is known. Where something is not there, its reason stands in `missing`: "forecast", "backtest", "live"."""

    run: Run
    source: DataSource
    reading: Reading
    panel: Panel                            # the series that have a value
    valueless: Sequence[str]
    levels: tuple[float, ...]
    options: Options                        # of the newest issue: what is published
    forecast: Forecast | None
    backtest: Backtest | None
    live: Evaluated | None                  # what was issued, beside what came true
    issues: Sequence[Issue]                 # about these data, the oldest first
    missing: dict[str, str]
    ended: Sequence[Ended] = ()             # how the last runs of commands ended
    since: str | None = None                # when the model went live

    @property
    def horizon(self) -> int:
        return self.run.predictor.plan.horizon if self.forecast is None else self.forecast.horizon

    @property
    def last(self) -> Issue | None:
        """The newest issue."""
        return max(self.issues, key=lambda i: (i.cutoff, i.number), default=None)

    @cached_property
    def forecaster(self) -> Predictor:
        """Who draws the paths that sums are made of."""
        return prior.looking_back(issuing.forecaster_of(self.run, self.options), self.panel, self.horizon)

    @cached_property
    def sums(self) -> Sums | None:
        """What all series come to together; None without a forecast."""
        if self.forecast is None:
            return None
        return sums_of(self.forecast, self.forecaster, self.options, self.levels)

    def time_texts(self, ordinals: Sequence[int]) -> list[str]:
        """Times as the file writes them."""
        contract = self.reading.contract
        return contract.time_text(contract.calendar.times(np.asarray(ordinals, dtype=np.int64)))


def gathered(workspace: Workspace, run: Run, source: DataSource, reading: Reading, *, horizon: int | None = None,
             future: str | None = None, fill: str | None = None) -> Facts:
    """All of it. `run`: loaded as it was validated, too. horizon: steps, by default those of the newest issue of a
    prior, or as trained. Raises RequestError, DataError for a plan that is wrong."""
    panel, valueless = reading.panel.with_values()
    if not len(panel):
        raise DataError("holds no value to forecast from", file=str(source), code="no_values")
    missing: dict[str, str] = {}
    issues = _told(missing, "live", lambda: _issues(workspace, source, reading)) or []
    newest = max(issues, key=lambda i: (i.cutoff, i.number), default=None)
    options = Options() if newest is None else replace(newest.options, series=None, shard=None, layout="default")
    if horizon is None:
        horizon = newest.horizon if newest and prior.is_of_prior(run.id) else run.predictor.plan.horizon
    steps = horizon
    levels = tuple(run.predictor.config.model.levels)
    planned = plans.planned_for(workspace, run, reading, future, horizon)
    forecast = _told(missing, "forecast", lambda: _forecast(run, source, planned.panel.with_values()[0], steps,
                                                            options, fill or options.fill_future))
    backtest = _told(missing, "backtest", lambda: _backtest(run, panel))
    live = None
    if issues:
        asked = evaluate.Request(source.name, issued=True)
        for _ in range(TRIES):
            missing.pop("live", None)
            live = _told(missing, "live", lambda: evaluate.issued_scores(
                workspace, asked, SILENT, source, reading, run.predictor.config, run))
            if live is not None:
                break
    return Facts(run, source, reading, panel, valueless, levels, options, forecast, backtest, live, issues, missing,
                 endings(workspace.folder), serves_since(workspace.store, run.id))


def _told(missing: dict[str, str], what: str, find: Any) -> Any:
    """What is found; else None, and the reason among what is missing."""
    try:
        return find()
    except ForecastError as error:
        if error.code == "no_issue":
            missing[what] = "nothing was issued of these data yet; forecast predict does"
            return None
        missing[what] = str(error.problem.message) + (f". {error.problem.hint}" if error.problem.hint else "")
        return None


def _issues(workspace: Workspace, source: DataSource, reading: Reading) -> list[Issue]:
    return issues_about(workspace, source, reading.contract, None)


def _forecast(run: Run, source: DataSource, panel: Panel, horizon: int, options: Options, fill: str | None
              ) -> Forecast:
    """Of all series, as predict would make it now."""
    panel, filled = plans.completed_for(SILENT, run, source, panel, horizon, fill)
    forecaster = issuing.forecaster_of(run, options)
    parts = [plans.marked(issuing.as_optioned(part, options), filled, fill)
             for part in in_parts(forecaster, panel, horizon)]
    means = [part.point if part.mean is None else part.mean for part in parts]
    return replace(parts[0], panel=panel, values=np.concatenate([part.values for part in parts]),
                   source=np.concatenate([part.source for part in parts]), mean=np.concatenate(means),
                   remarks=tuple(remark for part in parts for remark in part.remarks))


def _backtest(run: Run, panel: Panel) -> Backtest:
    """The model before its final fit, on the newest windows that it had not learned from, beside simple forecasts.
    Raises DataError where there is no such window."""
    from forecast.scoring.backtest import backtest, evaluate

    predictor = run.predictor if prior.is_of_prior(run.id) else run.predictor.as_validated()
    horizon, levels = predictor.plan.horizon, predictor.config.model.levels
    windows, which = unseen_windows(predictor, panel)
    if not windows:
        raise DataError("the data hold no past window that the model had not learned from", code="too_short",
                        hint=f"A window takes {horizon} steps")
    most = max(1, min(WINDOWS, MOST_ROWS // (len(panel) * horizon)))
    cutoffs = [horizon * k for k in reversed(range(1, min(most, windows) + 1))]
    simple = {name: (lambda known, name=name: BASELINES[name](predictor.plan.season, quantile_grid(tuple(levels))))
              for name in SIMPLE}
    frame = backtest(panel.take(which), {predictor.name: lambda known: predictor, **simple}, horizon=horizon,
                     cutoffs=cutoffs, levels=levels)
    frame = frame.assign(series=which[frame["series"].to_numpy()])
    scores = evaluate(frame, panel.drop_last(cutoffs[0]), season=predictor.plan.season, levels=levels)
    return Backtest(frame, scores, len(panel) - len(which))


def unseen_windows(predictor: Predictor, panel: Panel) -> tuple[int, Ints]:
    """How many whole windows of at least half of the series the predictor had not learned from, and which series those
    are. Where fewer have one, it is one of those. On a calendar what it had learned up to counts for all series."""
    newest = np.asarray(panel.newest, dtype=np.int64)
    longest = int(panel.lengths.max(initial=0)) - 1
    unseen = newest - np.maximum(predictor.knowledge.reach(panel), newest - longest)
    whole = np.clip(unseen // predictor.plan.horizon, 0, WINDOWS)
    if not whole.any():
        return 0, np.zeros(0, dtype=np.int64)
    windows = max((k for k in range(1, WINDOWS + 1) if 2 * (whole >= k).sum() >= len(panel)), default=1)
    return windows, np.flatnonzero(whole >= windows)


def read_for(workspace: Workspace, model: str, data: str | None, *, horizon: int | None = None
             ) -> tuple[Run, DataSource, Reading]:
    """The model and the data to report on, as predict takes them. horizon: of a prior. Raises RequestError, DataError,
    ModelError."""
    if data == STDIN:
        raise RequestError("a report looks at its data more than once: standard input cannot be", code="no_data",
                           hint="forecast report DATA")
    if prior.is_asked(workspace, model, data):
        source = workspace.source(str(prior.named(data)))
        run, reading = prior.prior_for(workspace, source, workspace.said or None, horizon=horizon)
        return run, source, reading
    run = workspace.run(model, validated=True)
    source = workspace.source_of(run) if data is None else workspace.source(data)
    return run, source, workspace.read_for(run, source, workspace.said or None)


def tell(teller: Teller, facts: Facts) -> None:
    """What is not there."""
    for what, why in facts.missing.items():
        teller.say(f"no {what}", why)
