"""Backtests: who is scored: a run as it is, its networks as its own backtest scored them, or its settings anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from forecast.config import Config
from forecast.errors import DataError, ForecastError, RequestError
from forecast.model.plan import Plan, backtest_cutoffs
from forecast.reading.reader import Reading
from forecast.series.forecast import Forecaster
from forecast.series.panel import Panel
from forecast.store.run import Run
from forecast.system.engine import Engine
from forecast.tasks import prior
from forecast.tasks.groups import Groups, judge_of
from forecast.tasks.teller import Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from forecast.model.predictor import Predictor
    from forecast.scoring.backtest import Scores
    from forecast.tasks.joint_scores import JointScores

# What needs torch is imported by the functions that train: scores of what is trained already do without.

Makers = dict[str, Callable[[Panel], Forecaster]]


@dataclass(frozen=True)
class Tested:
    """Who is to be scored, at which cutoffs (steps back from the newest time), and how that is no hindsight."""

    makers: Makers
    plan: Plan
    cutoffs: Sequence[int]
    how: str
    predictor: Predictor | None             # None: another one at each cutoff


@dataclass(frozen=True)
class Beside:
    """What is scored beside the forecasts, and who works beside this process."""

    names: Sequence[str]                    # of baselines
    event: str | None = None                # whose chances are scored
    by: str | None = None                   # columns that name groups whose totals are scored
    engine: Engine | None = None


def backtested(workspace: Workspace, teller: Teller, run: Run | None, config: Config, reading: Reading,
               beside: Beside) -> tuple[pd.DataFrame, Scores, str, JointScores | None]:
    """Past forecasts beside those of baselines, their scores, how they came about, and the scores of paths and totals.

    Nothing is trained where the data are new to the run, or where the run holds this very backtest."""
    from forecast.tasks.fitting import baseline_makers, scored, tell_covariates, tell_windows

    panel, by = reading.panel.with_values()[0], beside.by
    if by is not None:
        Groups.of(panel, reading.contract, by)                          # what is no column is refused before any work
    tested = (_as_it_is(run, config, panel) or _held(workspace, run, config, reading) if run else None) or \
        _fitted(teller, run, config, panel)
    if tested.predictor is not None:
        tested = replace(tested, predictor=prior.looking_back(
            tested.predictor, panel.drop_last(tested.cutoffs[0]), tested.plan.horizon))
    makers = tested.makers | baseline_makers(list(dict.fromkeys(beside.names)), tested.plan.season, config.model.levels)
    season = config.model.season[0] if config.model.season else tested.plan.season
    frame, scores = scored(panel, makers, plan=tested.plan, cutoffs=tested.cutoffs, levels=config.model.levels,
                           refit=config.backtest.refit, season=season, engine=beside.engine)
    tell_windows(teller, scores, tested.cutoffs)
    tell_covariates(teller, scores)
    how = f"{counted(len(tested.cutoffs), 'window')} of {tested.plan.horizon} steps; {tested.how}"
    joint = _joint(teller, frame, scores, tested, panel, beside.event)
    if by is not None and joint is not None and tested.predictor is not None:
        from forecast.tasks.group_scores import group_scores

        is_as_it_is = run is not None and tested.predictor is run.predictor
        judge = judge_of(workspace, run) if run is not None and is_as_it_is else tested.predictor
        groups = group_scores(frame, scores.name, tested.predictor, judge, panel, reading.contract, by)
        joint = replace(joint, groups=groups)
        if groups is None:
            teller.say("groups", "not scored: no window has a truth at every step of all series")
    return frame, scores, how, joint


def _joint(teller: Teller, frame: pd.DataFrame, scores: Scores, tested: Tested, panel: Panel, event: str | None
           ) -> JointScores | None:
    """Scores of the forecaster's paths, where one forecaster made all forecasts."""
    from forecast.tasks.joint_scores import joint_scores

    if tested.predictor is None:
        teller.say("totals", "not scored: with --refit each, several forecasters make the paths")
        return None
    known = panel.drop_last(tested.cutoffs[0])
    found = joint_scores(frame[frame["model"] == scores.name], tested.predictor, known, event)
    if found is None:
        teller.say("totals", "not scored: no window has a truth at every step")
    return found


def _as_it_is(run: Run, config: Config, panel: Panel) -> Tested | None:
    """The run, on data that came after its training; None where there are too few. Raises DataError for the prior,
    which is never trained, where the series are too short."""
    from forecast.tasks.fitting import own_makers

    if cutoffs := _unseen(run, config, panel):
        return Tested(own_makers(run.predictor), run.predictor.plan, cutoffs,
                      f"{run.id} as it is: every test point is newer than its training data", run.predictor)
    if prior.is_of_prior(run.id):
        raise DataError(f"the longest series has {panel.lengths.max(initial=0)} points: too few for the past "
                        f"windows of {run.predictor.plan.horizon} steps", code="too_short",
                        hint="Give fewer --windows, or a shorter --horizon")
    return None


def _unseen(run: Run, config: Config, panel: Panel) -> list[int] | None:
    """Cutoffs whose tests lie wholly in what the model has not learned from. None where the data hold no such test, or
    where other settings were asked for than the model's own.

    A series that the model has not learned from counts as wholly new."""
    predictor, asked = run.predictor, config.backtest
    if _others(run, config):
        return None
    new = min(predictor.unseen_steps(panel), int(panel.lengths.max(initial=0)))
    horizon = predictor.plan.horizon
    if new < horizon:
        return None
    if asked.windows is None and asked.test_size is None:
        step = asked.step or horizon
        return [horizon + k * step for k in reversed(range(min(4, (new - horizon) // step + 1)))]
    try:
        cutoffs = backtest_cutoffs(config, panel, predictor.plan)
    except RequestError:
        if prior.is_of_prior(run.id):
            raise
        return None
    return cutoffs if cutoffs and cutoffs[0] <= new else None


def _others(run: Run, config: Config) -> list[str]:
    """The settings of a run that are asked for otherwise than it was trained. On which device it computes does not
    count, nor does a horizon that is its own."""
    own, plan = run.predictor.config, run.predictor.plan
    same_place = replace(config.train, device=own.train.device, threads=own.train.threads)
    horizon = own.model.horizon if config.model.horizon in (None, plan.horizon) else config.model.horizon
    pairs = {"model": (replace(config.model, horizon=horizon), own.model), "train": (same_place, own.train)}
    return [f"{section}.{name}" for section, (asked, trained) in pairs.items() for name, value in vars(asked).items()
            if value != getattr(trained, name)]


def _held(workspace: Workspace, run: Run, config: Config, reading: Reading) -> Tested | None:
    """The networks of a run as its own backtest scored them, before their final fit: where the data are those it was
    trained on, and the windows are among those of that backtest. None otherwise."""
    from forecast.tasks.fitting import own_makers, planned

    own, panel, data = run.predictor.config, reading.panel.with_values()[0], run.record.data
    is_same = data.sha256 and data.sha256 == reading.sha256 and config.data == own.data
    if not is_same or _others(run, config) or config.backtest.refit == "each":
        return None
    try:
        held, _, plan = planned(own, panel)
        asked = planned(config, panel)[0]
        validated = workspace.run(run.folder, validated=True)
    except ForecastError:
        return None
    if plan != run.predictor.plan or not asked or not set(asked) <= set(held):
        return None
    which = "" if len(asked) == len(held) else f"{len(asked)} of the {len(held)} windows of "
    predictor = validated.predictor.as_validated()
    return Tested(own_makers(predictor), plan, asked, f"{which}the backtest that {run.id} holds; nothing was trained",
                  predictor)


def _fitted(teller: Teller, run: Run | None, config: Config, panel: Panel) -> Tested:
    """The settings, fitted on what stood before the first cutoff; what that will take is told before."""
    from forecast.model.predictor import Predictor
    from forecast.tasks.fitting import backtest_plan, expected, fitted, own_makers, within

    cutoffs, known, plan = backtest_plan(teller, config, panel)
    how = (f"settings of {run.id}" if run else "settings given") + ", fitted before the first cutoff"
    untrained, each = Predictor.new(config, known, plan), config.backtest.refit == "each"
    teller.say("to fit", (f"the settings of {run.id}" if run else "the settings given")
               + (" anew before each window" if each else " on what stood before the first window") + _why(run, config))
    wanted = expected(teller, untrained, known, rows=len(cutoffs) * len(known), times=len(cutoffs) if each else 1)
    if each:
        makers: dict[str, Any] = {config.model.cell: lambda known: fitted(teller, Predictor.new(config, known), known,
                                                                          title="training")}
        return Tested(makers, plan, cutoffs, how + " and anew at each", None)
    with teller.work(wanted.parts):
        fit = fitted(teller, within(wanted, untrained, known), known, title="training", limit=wanted.limit)
    return Tested(own_makers(fit), plan, cutoffs, how, fit)


def _why(run: Run | None, config: Config) -> str:
    """Why a run's own backtest does not serve."""
    if run is None:
        return ""
    others = _others(run, config)
    changed = " and ".join(f"another {key.split('.')[1].replace('_', ' ')}" for key in others[:3])
    return f": its own backtest has {changed}" if others else \
        ": its own backtest has other data or windows"
