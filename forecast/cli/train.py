"""forecast train: read, plan, backtest, fit on everything, save, make live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import MODEL, READING, Session, check_precision, command, guard

if TYPE_CHECKING:
    from forecast.checkpoint import Checkpoints
    from forecast.cli.console import Console
    from forecast.config import Config
    from forecast.plan import Plan
    from forecast.predictor import Predictor
    from forecast.promotion import Verdict
    from forecast.reader import Reading
    from forecast.registry import Store
    from forecast.series import Panel
    from forecast.status import Status
    from forecast.training import Start

PARTIAL = 5
RESUME = "resume"
PROMOTE = ("auto", "always", "never")


@dataclass(frozen=True)
class Ask:
    """What this call of train asks for beside settings."""

    data: str
    name: str | None
    promote: str
    min_skill: float | None
    origin: str | None
    dry_run: bool
    resume: bool


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "train", settings=(*READING, *MODEL, "train.final_fit"))(train)


def train(
    session: Session,
    data: Annotated[str, typer.Argument(metavar="DATA", help="CSV file of one or many series", show_default=False)],
    name: Annotated[str | None, typer.Option(help="a name to call the run by")] = None,
    promote: Annotated[str, typer.Option(metavar="auto|always|never", help="whether the run goes live: auto unless the "
                                         "live model is better on data new to both")] = "auto",
    min_skill: Annotated[float | None, typer.Option(
        metavar="X", help="go live only with a skill against seasonal naive of X or more (0.1: 10 % better)")] = None,
    wait: Annotated[str | None, typer.Option(metavar="TIME", show_default=False,
                                             help="wait so long for another run to end: 30s, 10m, 2h")] = None,
    status_file: Annotated[str | None, typer.Option(metavar="PATH.prom", show_default=False, help="write how it ended, "
                                                    "for node_exporter's textfile collector")] = None,
    origin: Annotated[str | None, typer.Option("--from", metavar="RUN", show_default=False, help="go on from the "
                                               "networks of a run (live), in a quarter of the steps")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a training of the same data and settings that "
                                         "was broken off")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say the plan and stop")] = False,
) -> int:
    """Read a CSV file, fit a forecaster, backtest it beside seasonal naive, and make it live.

    With no flag at all it works on any sensible file and says what it assumed. Its backtest scores the networks before
    their final fit. Broken off (130, 143), it leaves checkpoints for --resume. Exit 5: live, but no network could be
    trained, and simpler forecasters serve."""
    from forecast import hardware

    hardware.prepare(threads=1)
    hardware.spare_pandas()
    from forecast.cli.console import Console
    from forecast.cli.locking import locked
    from forecast.errors import RequestError
    from forecast.registry import Store
    from forecast.status import check_status_path, reported

    if name is not None and name.strip() in ("", "live"):
        raise RequestError(f"--name {name!r}: a run cannot be called so", code="bad_setting")
    if min_skill is not None and min_skill != min_skill:
        raise RequestError("--min-skill nan: takes a number", code="bad_setting")
    if promote not in PROMOTE:
        raise RequestError(f"--promote {promote}: takes one of {', '.join(PROMOTE)}", code="bad_setting")
    if promote != "auto" and min_skill is not None:
        raise RequestError(f"--min-skill and --promote {promote} contradict each other", code="bad_setting",
                           hint="Leave out one of them")
    status_path = session.path(status_file) if status_file and not dry_run else None
    check_status_path(status_path)
    guard([status_path], [session.data(data)])
    console, store = Console(session), Store(session.store_folder)
    ask = Ask(data, name, promote, min_skill, origin, dry_run, resume)
    with reported(status_path, "train") as status:
        if dry_run:
            return _trained(console, store, ask, status)
        with locked(console, store, wait), _broken_off(console, store):
            return _trained(console, store, ask, status)


@contextmanager
def _broken_off(console: Console, store: Store) -> Iterator[None]:
    """Where a training is interrupted, say how to go on with it."""
    from forecast.checkpoint import Checkpoints

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        left = Checkpoints.any_in(store.folder / RESUME)
        console.warn("stopped", "the same command with --resume goes on from here" if left else
                     "before there was anything to go on from")
        raise


def _trained(console: Console, store: Store, ask: Ask, status: Status) -> int:
    """The work of train, its store being locked."""
    import time

    began, reading = time.monotonic(), _read(console, ask)

    from forecast.artifact import save
    from forecast.cli.fitting import expected, fitted, history_csv, planned, reading_record, say_plan, say_settings
    from forecast.display import counted
    from forecast.loop import Epoch
    from forecast.training import refit

    session = console.session
    config, status.rows = session.config(), reading.rows
    say_settings(console, session)
    console.reading(reading)
    panel, _ = reading.panel.with_values()
    cutoffs, known, plan = planned(config, panel)
    say_plan(console, config, plan, cutoffs)
    start, origin = _start(console, store, ask, config, plan, known)
    rounds = 2 if config.train.final_fit else 1
    seconds = expected(console, config, known, rounds=rounds * (start.share(plan.members) if start else 1), plan=plan)
    summary: dict[str, Any] = {"data": reading_record(reading), "plan": plan, "settings": session.given(),
                               "from": origin, "seconds_expected": seconds}
    if ask.dry_run:
        console.document(_plain(summary | {"backtest_cutoffs": cutoffs}))
        return 0

    history = list[Epoch]()
    checkpoints = _checkpoints(console, store, ask, config, reading, origin)
    validated = replace(config, train=replace(config.train, final_fit=config.train.final_fit and not cutoffs))
    predictor = fitted(console, validated, known, title="training", rounds=rounds, plan=plan, history=history,
                       checkpoints=checkpoints, start=start)
    predictor.config = config
    if start and (anew := len(predictor.members) - start.count(predictor)):
        console.say("from", f"{anew} of {counted(len(predictor.members), 'network')} began anew: {origin} has no "
                            "trained one upon the same transformation and skip")
    metrics, verdict = _judged(console, store, ask, predictor, reading, cutoffs)
    if cutoffs and config.train.final_fit:
        history += console.track(refit(predictor, panel, checkpoints=checkpoints, start=start), "final fit")
    run_id, before = store.new_id(predictor.config.model.cell), store.live()
    record = _record(session, run_id, ask.name, reading, predictor, time.monotonic() - began)
    save(store.runs / run_id, predictor, reading.contract,
         record=record | {"from": origin, "promotion": verdict.to_dict()},
         metrics=metrics, history=history_csv(history))
    if verdict.passed:
        store.promote(run_id)
    checkpoints.clear()
    console.document(_plain(summary | {"run": run_id, "live": verdict.passed, "before": before, "metrics": metrics,
                                       "promotion": verdict.to_dict(), "seconds": record["seconds"]}))
    _tell(console, store, ask, run_id, before, verdict)
    if all(member.diverged for member in predictor.members):
        console.warn("partial", "the loss of every network came to no number, four times at ever lower learning rates: "
                                f"{predictor.name} serves")
        return PARTIAL
    return 0


def _read(console: Console, ask: Ask) -> Reading:
    """The data; beside a large file torch is imported, which takes as long as to read millions of rows."""
    from concurrent.futures import ThreadPoolExecutor
    from importlib import import_module

    from forecast.cache import is_large, read_cached

    session = console.session
    data, config = session.data(ask.data), session.config()
    check_precision(config, config.model.cell)
    ahead = ThreadPoolExecutor(1).submit(import_module, "torch") if is_large(data) else None
    reading = read_cached(data, config.data, store=session.store_folder)
    if ahead:
        ahead.result()                                                  # why it failed: a second try may hide it
    return reading


def _judged(console: Console, store: Store, ask: Ask, predictor: Predictor, reading: Reading, cutoffs: list[int]
            ) -> tuple[dict[str, Any], Verdict]:
    """The backtest's scores, shown, and whether the run may go live."""
    from forecast.cli.fitting import REFERENCE, baseline_makers, scored, scores_record, show_scores
    from forecast.promotion import Verdict

    metrics, skill = dict[str, Any](), None
    verdict = Verdict(True, "the data are too short for a backtest: nothing was compared")
    if cutoffs:
        panel, levels, plan = reading.panel.with_values()[0], predictor.config.model.levels, predictor.plan
        makers = {predictor.name: lambda _: predictor, **baseline_makers([REFERENCE], plan.season, levels)}
        _, scores = scored(panel, makers, plan=plan, cutoffs=cutoffs, levels=levels)
        show_scores(console, scores, list(panel.ids))
        metrics = scores_record(scores)
        skill = metrics["models"][predictor.name].get("skill")
        verdict = _against_live(store, predictor, reading, cutoffs)
    return metrics, _asked_for(ask, verdict, skill)


def _tell(console: Console, store: Store, ask: Ask, run_id: str, before: str | None, verdict: Verdict) -> None:
    """What has become of the run, and what comes next. Raises GateError where it was to go live and may not."""
    from forecast.errors import GateError

    if not verdict.passed and ask.promote == "auto":
        raise GateError(f"{run_id} is saved but not live: {verdict.reason}", code="not_better",
                        hint=(f"{before} serves on" if before else "No model serves yet")
                             + f"; forecast models promote {run_id} overrules")
    if before:
        tell = console.say if verdict.windows or not verdict.passed else console.warn   # unseen, one replaced the other
        tell("promotion", verdict.reason)
    console.say("model", f"{run_id}  is now live" + (f"   (before: {before})" if before else "") if verdict.passed
                else f"{run_id}  is saved, not live; {before or 'no model'} serves")
    if console.session.quiet and not console.session.json:
        console.wrote(store.runs / run_id)
    console.say("next", "forecast predict" if verdict.passed else f"forecast models promote {run_id}")


def _start(console: Console, store: Store, ask: Ask, config: Config, plan: Plan, known: Panel
           ) -> tuple[Start | None, str | None]:
    """The networks to go on from, and the run's id; where they will not do, that is said.

    Raises ModelError for a run that is not there."""
    from forecast.artifact import load
    from forecast.display import counted
    from forecast.errors import ModelError
    from forecast.predictor import Predictor
    from forecast.training import Start

    if ask.origin is None:
        return None, None
    if ask.origin == "live" and store.live() is None:
        console.say("from", "no model is live yet: training begins anew")
        return None, None
    folder = store.find(ask.origin)
    try:
        run = load(folder, validated=True)
        if run.contract.calendar != known.calendar:
            raise ModelError("it counts on another calendar", code="calendar")
        start = Start.of(run.predictor, Predictor.new(config, known, plan), known)
    except ModelError as error:
        console.say("from", f"{folder.name} cannot be gone on from: {error.problem.message}; training begins anew")
        return None, None
    console.say("from", f"{counted(len(start.final), 'network')} of {folder.name}, in a quarter of the steps")
    return start, folder.resolve().name


def _checkpoints(console: Console, store: Store, ask: Ask, config: Config, reading: Reading, origin: str | None
                 ) -> Checkpoints:
    """Where this training, and no other, leaves what it takes to go on; emptied unless it is to be resumed."""
    import numpy
    import torch

    from forecast import __version__
    from forecast.checkpoint import Checkpoints
    from forecast.display import counted

    identity = (__version__, torch.__version__, numpy.__version__, torch.get_num_threads(), config.to_dict(),
                reading.sha256, origin)
    checkpoints = Checkpoints.of(store.folder / RESUME, *identity)
    if not ask.resume:
        checkpoints.clear()
    elif found := checkpoints.found():
        console.say("resume", f"{counted(found, 'network')} as left by a training that was broken off")
    else:
        console.say("resume", "nothing was left by a training of these data with these settings: it starts anew")
    return checkpoints


def _against_live(store: Store, predictor: Predictor, reading: Reading, cutoffs: list[int]) -> Verdict:
    """Whether the validated run may follow the live one; what cannot be compared may."""
    from forecast.artifact import load
    from forecast.errors import ModelError
    from forecast.promotion import Verdict, judged

    if store.live() is None:
        return Verdict(True, "the first model of this store")
    try:
        live = load(store.find("live"), validated=True)
    except ModelError as error:
        return Verdict(True, f"the live model cannot be read: {error}")
    return judged(predictor, live, reading.panel.with_values()[0], reading.contract, cutoffs=cutoffs,
                  plan=predictor.plan)


def _asked_for(ask: Ask, verdict: Verdict, skill: float | None) -> Verdict:
    """The verdict under what was asked for: always, never, or a least skill."""
    from dataclasses import replace

    if ask.promote != "auto":
        return replace(verdict, passed=ask.promote == "always", reason=f"--promote {ask.promote}; {verdict.reason}")
    if ask.min_skill is not None and (skill is None or not skill >= ask.min_skill):
        told = "unknown" if skill is None else f"{skill:.3f}"
        return replace(verdict, passed=False, reason=f"skill {told} is below --min-skill {ask.min_skill:g}")
    return verdict


def _record(session: Session, run_id: str, name: str | None, reading: Reading, predictor: Predictor,
            seconds: float) -> dict[str, Any]:
    """run.json: what made this run, enough to make it again."""
    import os
    import platform
    from pathlib import Path

    import numpy
    import pandas
    import torch

    from forecast import __version__
    from forecast.cli.fitting import reading_record
    from forecast.clock import now, stamp

    file = None if reading.file == "<stdin>" else Path(reading.file).resolve()
    return {
        "id": run_id, "name": name, "created": stamp(now()), "seconds": round(seconds, 1),
        "seed": predictor.config.train.seed, "threads": torch.get_num_threads(),
        "device": predictor.config.train.device,
        "versions": {"forecast": __version__, "python": platform.python_version(), "torch": torch.__version__,
                     "numpy": numpy.__version__, "pandas": pandas.__version__},
        "data": reading_record(reading) | {"path": file and str(file), "from_store": file and os.path.relpath(
                                               file, session.store_folder.resolve()),
                                           **dict(zip(("first", "last"), reading.span, strict=True))},
    }


def _plain(summary: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    return summary | {"plan": asdict(summary["plan"])}
