"""train: read, plan, backtest, fit on everything, save, make live."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast import __version__
from forecast.errors import GateError, ModelError, RequestError, about
from forecast.ledger.freshness import seconds_old
from forecast.reading.cache import is_large
from forecast.scoring.formulas import SIMPLE
from forecast.series.windows import evenly
from forecast.store.record import DataRecord, RunRecord, Verdict
from forecast.system.clock import now, stamp
from forecast.system.datasource import STDIN, DataSource
from forecast.system.machine import usable_cpus
from forecast.system.monitor import Status
from forecast.system.ranks import rank
from forecast.tasks.teller import SILENT, Teller, tell_forecast, tell_reading, tell_settings
from forecast.tasks.workspace import Workspace
from forecast.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from forecast.model.plan import Plan
    from forecast.model.predictor import Predictor
    from forecast.reading.reader import Reading
    from forecast.scoring.backtest import Scores
    from forecast.series.panel import Panel
    from forecast.training.checkpoints import Checkpoints
    from forecast.training.loop import Epoch
    from forecast.training.start import Start
    from forecast.training.team import Team

RESUME = "resume"
PROMOTE = ("auto", "always", "never")
MOST_SCORED = 2_000                     # series of a backtest: the scores of more say the same
WORSE = 1.2                             # times the error of a simple forecast: that is told
UNTRAINED = Verdict(False, "nothing was trained")

# What needs torch is imported by the functions that need it: a file that cannot be read is refused before.


@dataclass(frozen=True)
class Request:
    """What is asked for beside settings. Raises RequestError for what contradicts itself."""

    data: str | Path | pd.DataFrame
    name: str | None = None                 # to call the run by
    promote: str = "auto"                   # whether the run goes live: one of PROMOTE
    min_skill: float | None = None          # only with a skill of so much
    origin: str | None = None               # go on from the networks of this run
    dry_run: bool = False                   # plan, and stop
    resume: bool = False                    # go on with a training that was broken off
    wait: str | None = None                 # for another run to end

    def __post_init__(self) -> None:
        if self.name is not None and self.name.strip() in ("", "live"):
            raise RequestError(f"--name {self.name!r}: a run cannot be called so", code="bad_setting")
        if self.min_skill is not None and not self.min_skill <= 1:
            raise RequestError(f"--min-skill {self.min_skill:g}: is a share of the error to be saved, at most 1",
                               code="bad_setting", hint=_as_share(self.min_skill))
        if self.promote not in PROMOTE:
            raise RequestError(f"--promote {self.promote}: takes one of {', '.join(PROMOTE)}", code="bad_setting")
        if self.promote != "auto" and self.min_skill is not None:
            raise RequestError(f"--min-skill and --promote {self.promote} contradict each other", code="bad_setting",
                               hint="Leave out one of them")


def _as_share(skill: float) -> str:
    return f"For {skill:g} % write --min-skill {skill / 100:g}" if 1 < skill <= 100 else "As in --min-skill 0.1"


@dataclass(frozen=True)
class Trained:
    """What was planned; and, unless that was all, the run that was saved."""

    request: Request
    data: DataRecord
    plan: Plan
    settings: dict[str, Any]                # those that were given
    origin: str | None                      # the run it goes on from
    seconds_expected: float
    cutoffs: list[int]                      # of the backtest, steps back
    run: str = ""
    folder: Path | None = None
    before: str | None = None               # what was live until then
    verdict: Verdict = UNTRAINED
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    serves: str = ""
    diverged: bool = False                  # every network: simpler forecasters serve
    age: float = np.nan                     # seconds, of the newest data

    @property
    def refusal(self) -> GateError | None:
        """Why the run is not live, where its merits had to decide."""
        if self.verdict.passed or self.request.promote != "auto" or not self.run:
            return None
        return GateError(f"{self.run} is saved but not live: {self.verdict.reason}", code="not_better",
                         hint=(f"{self.before} serves on" if self.before else "No model serves yet")
                              + f"; forecast models promote {self.run} overrules")

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        record = {"data": self.data.reading, "plan": asdict(self.plan), "settings": self.settings, "from": self.origin,
                  "seconds_expected": self.seconds_expected}
        if not self.run:
            return record | {"backtest_cutoffs": self.cutoffs}
        return record | {"run": self.run, "live": self.verdict.passed, "before": self.before, "metrics": self.metrics,
                         "promotion": asdict(self.verdict), "seconds": self.seconds}


def train(workspace: Workspace, request: Request, teller: Teller = SILENT, *, status: Status | None = None) -> Trained:
    """Read, plan, fit, backtest beside seasonal naive, fit on everything, save, and make live what may be.

    `status` learns how many rows were read. A run that may not go live is saved all the same: `refusal` says why.
    Raises ForecastError of every kind but GateError."""
    status, own = status or Status(), rank()
    if own.of > 1 and (request.resume or request.data == STDIN):
        raise RequestError(f"{'--resume' if request.resume else 'standard input'} is for one process",
                           code="bad_setting", hint="Leave out torchrun")
    if request.dry_run or own.number:                                   # they write nothing
        return _trained(workspace, request, teller, status)
    with workspace.locked(teller, request.wait), _broken_off(workspace, teller):
        return _trained(workspace, request, teller, status)


@contextmanager
def _broken_off(workspace: Workspace, teller: Teller) -> Iterator[None]:
    """Where a training is interrupted, tell how to go on with it."""
    from forecast.training.checkpoints import Checkpoints

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        left = Checkpoints.any_in(workspace.store.folder / RESUME)
        teller.warn("stopped", "the same command with --resume goes on from here" if left else
                    "before there was anything to go on from")
        raise


def _trained(workspace: Workspace, request: Request, teller: Teller, status: Status) -> Trained:
    """The work of train, its store being locked."""
    began, source = time.monotonic(), workspace.source(request.data)
    reading = _read(workspace, source)

    from forecast.model.predictor import Predictor
    from forecast.tasks import fitting
    from forecast.training.fit import fit
    from forecast.training.team import joined

    config, status.rows = workspace.config, reading.rows
    tell_settings(teller, workspace.given)
    tell_reading(teller, reading)
    panel, _ = reading.panel.with_values()
    with about(source):
        cutoffs, known, plan = fitting.planned(config, panel)
    fitting.tell_plan(teller, config, plan, cutoffs)
    fitting.tell_recorded(teller, panel, cutoffs)
    start, origin = _start(workspace, request, teller, plan, known)
    untrained = Predictor.new(config, known, plan)
    wanted = fitting.expected(teller, untrained, known, rows=len(cutoffs) * min(len(known), MOST_SCORED),
                              share=start.share(plan.members) if start else 1.0, spent=time.monotonic() - began)
    untrained = fitting.within(wanted, untrained, known)
    made = Trained(request, fitting.record_of(reading, source, workspace), untrained.plan, workspace.given, origin,
                   sum(wanted.parts.values()), cutoffs, seconds=time.monotonic() - began,
                   age=seconds_old(panel, reading.contract, now(), source))
    if request.dry_run:
        return made
    with teller.work(wanted.parts), joined(
            config.train.device, program=__version__, data=known.fingerprint(), settings=config.to_dict(),
            number_of_cores=usable_cpus()) as team:
        first_fit = partial(fit, untrained, known, limit=wanted.limit, start=start, team=team)
        return _worked(workspace, made, teller, reading, first_fit, start, team)


def _worked(workspace: Workspace, made: Trained, teller: Teller, reading: Reading,
            first_fit: Callable[..., Generator[Epoch, None, Predictor]], start: Start | None, team: Team) -> Trained:
    """Fit, backtest, fit on everything, save."""
    from forecast.tasks import fitting
    from forecast.training.fit import refit

    began, request, panel = time.monotonic(), made.request, reading.panel.with_values()[0]
    checkpoints = None if team.size > 1 else _checkpoints(workspace, request, teller, reading, made.plan, made.origin)
    predictor, history = fitting.tracked(teller, first_fit(checkpoints=checkpoints), "training",
                                         closing=made.plan.steps > 0)
    if predictor.not_missed:
        teller.say("not asked", f"{' and '.join(predictor.not_missed)}: slow, and held-out windows do not miss what "
                                "they say")
    if start and (anew := len(predictor.members) - start.count(predictor)):
        teller.say("from", f"{anew} of {counted(len(predictor.members), 'network')} began anew: {made.origin} has no "
                           "trained one upon the same transformation and skip")
    teller.begin("backtest")
    predictor, metrics, verdict = _judged(workspace, request, teller, predictor, reading, made.cutoffs)
    teller.begin("final fit")
    if predictor.config.train.final_fit and set(predictor.blend.names) - set(SIMPLE):
        predictor, epochs = fitting.tracked(teller, refit(predictor, panel, checkpoints=checkpoints, team=team),
                                             "final fit")
        history += epochs
    if predictor.kept_back:
        teller.warn("final fit", f"not taken: {predictor.kept_back}; the validated networks serve")
    tell_forecast(teller, predictor.remarks_on(panel))
    made = replace(made, metrics=metrics, verdict=verdict, serves=predictor.name,
                   diverged=all(member.diverged for member in predictor.members),
                   seconds=round(made.seconds + time.monotonic() - began, 1))
    made = made if team.number else _kept(workspace, made, predictor, reading, fitting.history_csv(history))
    if checkpoints:
        checkpoints.clear()
    return made


def _read(workspace: Workspace, source: DataSource) -> Reading:
    """The data; beside a large file torch is imported, which takes as long as to read millions of rows."""
    workspace.check_precision(workspace.config, workspace.config.model.cell)
    ahead = ThreadPoolExecutor(1).submit(import_module, "torch") if is_large(source.name) else None
    reading = workspace.read(source)
    if ahead:
        ahead.result()                                                  # why it failed: a second try may hide it
    return reading


def _kept(workspace: Workspace, made: Trained, predictor: Predictor, reading: Reading, history: str) -> Trained:
    """Save the run, and make it live where it may be."""
    from forecast.store.run import save

    store = workspace.store
    run, before = store.new_id(predictor.config.model.cell), store.live()
    save(store.runs / run, predictor, reading.contract, record=_record(made, run, predictor), metrics=made.metrics,
         history=history)
    if made.verdict.passed:
        store.promote(run)
    return replace(made, run=run, before=before, folder=store.runs / run)


def _record(made: Trained, run: str, predictor: Predictor) -> RunRecord:
    """run.json: what made this run, enough to make it again."""
    import numpy
    import pandas
    import torch

    return RunRecord(
        id=run, name=made.request.name, created=stamp(now()), seconds=made.seconds, seed=predictor.config.train.seed,
        threads=torch.get_num_threads(), device=predictor.config.train.device,
        versions={"forecast": __version__, "python": platform.python_version(), "torch": torch.__version__,
                  "numpy": numpy.__version__, "pandas": pandas.__version__},
        data=made.data, origin=made.origin, promotion=made.verdict)


def _judged(workspace: Workspace, request: Request, teller: Teller, predictor: Predictor, reading: Reading,
            cutoffs: list[int]) -> tuple[Predictor, dict[str, Any], Verdict]:
    """What is to serve, the backtest's scores, and whether the run may go live. The scores are told."""
    from forecast.tasks.fitting import baseline_makers, own_makers, scored, scores_record, tell_covariates, tell_windows

    metrics, skill = dict[str, Any](), None
    verdict = Verdict(True, "the data are too short for a backtest: nothing was compared")
    if cutoffs:
        panel, levels, plan = _to_score(teller, reading), predictor.config.model.levels, predictor.plan
        makers = {**own_makers(predictor), **baseline_makers(SIMPLE, plan.season, levels)}
        frame, scores = scored(panel, makers, plan=plan, cutoffs=cutoffs, levels=levels)
        tell_windows(teller, scores, cutoffs)
        teller.scores(scores, list(panel.ids))
        tell_covariates(teller, scores)
        metrics, skill = scores_record(scores), scores.own.get("skill")
        predictor, serving = _serving(teller, predictor, frame, panel.drop_last(cutoffs[0]), scores)
        metrics |= serving
        verdict = _against_live(workspace, predictor, panel, reading, cutoffs)
    return predictor, metrics, as_asked(request, verdict, skill)


def _to_score(teller: Teller, reading: Reading) -> Panel:
    """The series of the backtest: of very many some, spread evenly, and one that reaches to the newest time, so that
    cutoffs are counted back from there."""
    panel, _ = reading.panel.with_values()
    if len(panel) <= MOST_SCORED:
        return panel
    which = np.union1d(evenly(len(panel), MOST_SCORED - 1), np.argmax(panel.end))
    teller.say("backtest", f"of {len(which):,} of the {len(panel):,} series, spread evenly over them")
    return panel.take(which)


def _serving(teller: Teller, predictor: Predictor, frame: pd.DataFrame, known: Panel, scores: Scores
             ) -> tuple[Predictor, dict[str, Any]]:
    """What is to serve, and what the metrics keep of it.

    That is the predictor, unless it was clearly worse than a simple forecast in its own backtest. Then it is a
    predictor that repeats the simple forecast, and that is told."""
    from forecast.model.blending import Blend
    from forecast.store.promotion import outdone

    simple, name = outdone(frame, predictor.name, known, predictor.plan.season), predictor.name
    if simple is None:
        return predictor, {"serves": name, "worse_than": _only_by_median(teller, scores)}
    if not (predictor.config.model.blend and predictor.config.model.skip):
        teller.warn("worse", f"{name} is clearly worse than {simple} on these windows; it serves, since the settings "
                             "ask for it alone")
        return predictor, {"serves": name, "worse_than": simple}
    teller.warn("worse", f"{name} is clearly worse than {simple} on these windows: {simple} serves")
    simply = replace(predictor, blend=Blend.alone(simple), widths=np.ones_like(predictor.widths))
    return simply, {"serves": simple, "worse_than": simple}


def _only_by_median(teller: Teller, scores: Scores) -> str | None:
    """The better simple forecast, where the model's median errs over a fifth more than its median. That is told."""
    own, simple = scores.own, scores.reference
    by = "mase" if own["mase"] == own["mase"] else "mae"
    if simple is None or not own[by] > WORSE * simple[by]:
        return None
    teller.warn("worse", f"the median of {own['model']} errs by {own[by]:.4g} ({by.upper()}), {simple['model']} by "
                         f"{simple[by]:.4g}; that it is worse may be chance, or its bands are better")
    return str(simple["model"])


def _start(workspace: Workspace, request: Request, teller: Teller, plan: Plan, known: Panel
           ) -> tuple[Start | None, str | None]:
    """The networks to go on from, and the run's id. Where they do not fit, that is told, and there are none.

    Raises ModelError for a run that is not there."""
    from forecast.model.predictor import Predictor
    from forecast.store.run import load
    from forecast.training.start import Start

    if request.origin is None:
        return None, None
    if request.origin == "live" and workspace.store.live() is None:
        teller.say("from", "no model is live yet: training begins anew")
        return None, None
    folder = workspace.store.find(request.origin)
    try:
        run = load(folder, validated=True)
        if run.contract.calendar != known.calendar:
            raise ModelError("it counts on another calendar", code="calendar")
        start = Start.of(run.predictor, Predictor.new(workspace.config, known, plan), known)
    except ModelError as error:
        teller.say("from", f"{folder.name} cannot be gone on from: {error.problem.message}; training begins anew")
        return None, None
    teller.say("from", f"{counted(len(start.validated), 'network')} of {folder.name}, in a quarter of the steps")
    return start, folder.resolve().name


def _checkpoints(workspace: Workspace, request: Request, teller: Teller, reading: Reading, plan: Plan,
                 origin: str | None) -> Checkpoints:
    """Where this training, and no other, leaves what it takes to go on; emptied unless it is to be resumed."""
    import numpy
    import torch

    from forecast.model.member import shape_of
    from forecast.store.run import FORMAT
    from forecast.training.checkpoints import Checkpoints

    identity = (__version__, FORMAT, torch.__version__, numpy.__version__, torch.get_num_threads(),
                workspace.config.to_dict(), asdict(shape_of(workspace.config, plan)), reading.sha256, reading.content,
                origin)
    checkpoints = Checkpoints.of(workspace.store.folder / RESUME, *identity)
    if not request.resume:
        checkpoints.clear()
    elif left := checkpoints.count():
        teller.say("resume", f"{counted(left, 'network')} as left by a training that was broken off")
    else:
        teller.say("resume", "nothing was left by a training of these data with these settings: it starts anew")
    return checkpoints


def _against_live(workspace: Workspace, predictor: Predictor, panel: Panel, reading: Reading, cutoffs: list[int]
                  ) -> Verdict:
    """Whether the validated run may follow the live one. It may where the two cannot be compared."""
    from forecast.store.promotion import judged

    if workspace.store.live() is None:
        return Verdict(True, "the first model of this store")
    try:
        live = workspace.run("live", validated=True)
    except ModelError as error:
        return Verdict(True, f"the live model cannot be read: {error}")
    return judged(predictor, live, panel, reading.contract, cutoffs=cutoffs, plan=predictor.plan)


def as_asked(request: Request, verdict: Verdict, skill: float | None) -> Verdict:
    """The verdict under what was asked for: always, never, or a least skill."""
    if request.promote != "auto":
        return replace(verdict, passed=request.promote == "always",
                       reason=f"--promote {request.promote}; {verdict.reason}")
    if request.min_skill is not None and (skill is None or not skill >= request.min_skill):
        shown = "unknown" if skill is None else f"{skill:.3f}"
        return replace(verdict, passed=False, reason=f"skill {shown} is below --min-skill {request.min_skill:g}")
    return verdict
