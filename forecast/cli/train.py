"""forecast train: read, plan, backtest, fit on everything, save, make live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.arguments import Data, StatusFile, Wait
from forecast.cli.options import MODEL, READING, Session, command

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.tasks.train import Trained

PARTIAL = 5


@command(settings=(*READING, *MODEL, "train.final_fit"))
def train(
    session: Session,
    data: Data,
    name: Annotated[str | None, typer.Option(help="a name to call the run by")] = None,
    promote: Annotated[str, typer.Option(metavar="auto|always|never", help="whether the run goes live: auto unless the "
                                         "live model is better on data new to both")] = "auto",
    min_skill: Annotated[float | None, typer.Option(
        metavar="X", help="go live only where it is better than simple forecasts by X or more (0.1: 10 %)")] = None,
    wait: Wait = None,
    status_file: StatusFile = None,
    origin: Annotated[str | None, typer.Option("--from", metavar="RUN", show_default=False, help="go on from the "
                                               "networks of a run (live), in a quarter of the steps")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a training of the same data and settings that "
                                         "was broken off")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say the plan and stop")] = False,
) -> int:
    """Read a file, train a model, score it on the past, and let it serve.

    It needs no flag, and says what it assumed. The scores are those of the networks before their final fit on all
    the data. A training that was broken off (130, 143) goes on with --resume. Exit 5: no network could be trained, and
    simpler forecasters serve."""
    from forecast.system import machine

    machine.spare_pandas()
    from forecast.cli.console import Console
    from forecast.system.monitor import reported
    from forecast.system.ranks import rank
    from forecast.tasks import train as task

    request = task.Request(data, name=name, promote=promote, min_skill=min_skill, origin=origin, dry_run=dry_run,
                           resume=resume, wait=wait)
    console, workspace = Console(session), session.workspace
    status_path = workspace.status_path(None if dry_run or rank().number else status_file)
    with reported(status_path, "train") as status:
        workspace.guard([status_path], workspace.inputs(workspace.source(data)))
        trained = task.train(workspace, request, console, status=status)
        status.watch(next(iter(trained.metrics.get("models", {}).values()), {}))
        status.numbers["data_age_seconds"] = trained.age
        console.document(trained.to_dict())
        return 0 if dry_run else _show(console, trained)


def _show(console: Console, trained: Trained) -> int:
    """What has become of the run, and what comes next. Raises GateError where it was to go live and may not."""
    if trained.refusal is not None:
        raise trained.refusal
    run, before, verdict = trained.run, trained.before, trained.verdict
    if before:
        tell = console.say if verdict.windows or not verdict.passed else console.warn   # unseen, one replaced the other
        tell("promotion", verdict.reason)
    console.say("model", f"{run}  is now live" + (f"   (before: {before})" if before else "") if verdict.passed
                else f"{run}  is saved, not live; {before or 'no model'} serves")
    console.say("forecasts", f"come from {trained.serves}")
    if console.session.quiet and not console.session.json:
        console.wrote(trained.folder)
    console.say("next", "forecast predict" if verdict.passed else f"forecast models promote {run}")
    if trained.diverged:
        console.warn("partial", "the loss of every network came to no number, four times at ever lower learning rates: "
                                f"{trained.serves} serves")
        return PARTIAL
    return 0
