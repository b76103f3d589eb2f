"""forecast train: read, plan, backtest, fit on everything, save, make live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import MODEL, READING, Session, command

if TYPE_CHECKING:
    from forecast.predictor import Predictor
    from forecast.reader import Reading

PARTIAL = 5


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "train", settings=(*READING, *MODEL, "train.final_fit"))(train)


def train(
    session: Session,
    data: Annotated[str, typer.Argument(metavar="DATA", help="CSV file of one or many series", show_default=False)],
    name: Annotated[str | None, typer.Option(help="a name to call the run by")] = None,
    min_skill: Annotated[float | None, typer.Option(
        metavar="X", help="go live only with a skill against seasonal naive of X or more (0.1: 10 % better)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say the plan and stop")] = False,
) -> int:
    """Read a CSV file, fit a forecaster, backtest it beside seasonal naive, and make it live.

    With no flag at all it works on any sensible file and says what it assumed. Exit 5: live, but no network could be
    trained, and simpler forecasters serve."""
    from forecast import hardware

    hardware.prepare()
    import time

    from forecast.artifact import save
    from forecast.cli.console import Console
    from forecast.cli.fitting import (
        REFERENCE,
        baseline_makers,
        expected,
        fitted,
        history_csv,
        reading_record,
        say_plan,
        say_settings,
        scored,
        scores_record,
        show_scores,
    )
    from forecast.errors import GateError, RequestError
    from forecast.loop import Epoch
    from forecast.plan import backtest_cutoffs, make_plan
    from forecast.reader import read_panel
    from forecast.registry import Store
    from forecast.training import refit

    if name is not None and name.strip() in ("", "live"):
        raise RequestError(f"--name {name!r}: a run cannot be called so", code="bad_setting")
    console, config, start = Console(session), session.config(), time.monotonic()
    reading = read_panel(session.data(data), config.data)
    say_settings(console, session)
    console.reading(reading)
    panel, _ = reading.panel.with_values()
    cutoffs = backtest_cutoffs(config, panel, make_plan(config, panel))
    known = panel.drop_last(cutoffs[0]) if cutoffs else panel
    plan = make_plan(config, known)
    say_plan(console, config, plan, cutoffs)
    rounds = 1 + config.train.final_fit * (2 if cutoffs else 1)
    summary: dict[str, Any] = {"data": reading_record(reading), "plan": plan, "settings": session.given(),
                               "seconds_expected": expected(console, config, known, rounds=rounds)}
    if dry_run:
        console.document(_plain(summary | {"backtest_cutoffs": cutoffs}))
        return 0

    store, history = Store(session.store_folder), list[Epoch]()
    with store.lock():
        predictor = fitted(console, config, known, title="training", rounds=rounds, history=history)
        metrics: dict[str, Any] = {}
        if cutoffs:
            levels = config.model.levels
            makers = {predictor.name: lambda _: predictor, **baseline_makers([REFERENCE], plan.season, levels)}
            _, scores = scored(panel, makers, plan=plan, cutoffs=cutoffs, levels=levels)
            show_scores(console, scores, list(panel.ids))
            metrics = scores_record(scores)
        served = predictor.name
        if cutoffs and config.train.final_fit:
            history += console.track(refit(predictor, panel), "final fit")
        run_id = store.new_id(predictor.config.model.cell)
        before = store.live()
        record = _record(session, run_id, name, reading, predictor, time.monotonic() - start)
        save(store.runs / run_id, predictor, reading.contract, record=record, metrics=metrics,
             history=history_csv(history))
        skill = metrics["models"][served].get("skill") if metrics else None
        passed = min_skill is None or (skill is not None and skill >= min_skill)
        if passed:
            store.promote(run_id)
    console.document(_plain(summary | {"run": run_id, "live": passed, "before": before, "metrics": metrics,
                                       "seconds": record["seconds"]}))
    if not passed:
        raise GateError(f"skill {'unknown' if skill is None else f'{skill:.3f}'} is below --min-skill {min_skill:g}: "
                        f"{run_id} is saved but not live", code="min_skill",
                        hint=f"{before or 'No model'} serves on")
    console.say("model", f"{run_id}  is now live" + (f"   (before: {before})" if before else ""))
    if session.quiet and not session.json:
        console.wrote(store.runs / run_id)
    console.say("next", "forecast predict")
    if all(member.diverged for member in predictor.members):
        console.warn("partial", "the loss of every network came to no number, four times at ever lower learning rates: "
                                f"{served} serves")
        return PARTIAL
    return 0


def _record(session: Session, run_id: str, name: str | None, reading: Reading, predictor: Predictor,
            seconds: float) -> dict[str, Any]:
    """run.json: what made this run, enough to make it again."""
    import os
    import platform
    from datetime import UTC, datetime
    from pathlib import Path

    import numpy
    import pandas
    import torch

    from forecast import __version__
    from forecast.cli.fitting import reading_record

    file = None if reading.file == "<stdin>" else Path(reading.file).resolve()
    return {
        "id": run_id, "name": name, "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "seconds": round(seconds, 1),
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
