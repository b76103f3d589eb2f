"""forecast models: which runs there are, which of them serves, and how to change that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.arguments import Wait
from forecast.cli.options import Session, command

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.tasks.models import Models, Shown

ACTIONS = ("list", "show", "promote", "rollback", "delete", "prune")
NAMING = ("show", "promote", "delete")                                            # actions on one run


@command(sets="none")
def models(
    session: Session,
    action: Annotated[str, typer.Argument(metavar="[ACTION]", show_default=False,
                                          help=f"{', '.join(ACTIONS)}; list by default")] = "list",
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", show_default=False,
                                              help="which: its id, the beginning of that, --name, live")] = None,
    keep: Annotated[int | None, typer.Option(metavar="N", min=0, show_default=False,
                                             help="for prune: how many of the newest runs stay")] = None,
    ledger: Annotated[str | None, typer.Option(metavar="SPAN", show_default=False, help="for prune: forecasts issued "
                                               "longer ago leave the ledger: 2y, 400d")] = None,
    wait: Wait = None,
) -> None:
    """List the models, or change which one serves.

    show RUN tells all of one. promote RUN makes it live, after its files have been checked. rollback brings back
    the run that served before; a second time, the one before that. delete RUN removes one that is not live. prune
    --keep N removes all but the newest N; the live one and the one before it always stay. prune --ledger 2y removes
    forecasts issued longer ago, but for those of the newest 100 cutoffs of each file, and those that reach into
    these two years."""
    from forecast.cli.console import Console
    from forecast.errors import RequestError
    from forecast.tasks import models as task

    if action not in ACTIONS:
        raise RequestError(f"models {action}: takes one of {', '.join(ACTIONS)}", code="bad_setting")
    if (run is not None) != (action in NAMING):
        raise RequestError(f"models {action} {'needs a RUN' if action in NAMING else 'takes no RUN'}", code="usage",
                           hint="forecast models lists them")
    if ((keep, ledger) != (None, None)) != (action == "prune"):
        raise RequestError("models prune needs --keep N or --ledger SPAN" if action == "prune" else
                           f"--{'ledger' if keep is None else 'keep'} is for prune, not {action}", code="usage",
                           hint="As in forecast models prune --keep 5")
    console, workspace = Console(session), session.workspace
    if action == "list":
        _list(console, task.models(workspace))
    elif action == "show":
        _show(console, task.show(workspace, str(run)))
    elif action == "promote":
        _show_live(console, *task.promote(workspace, str(run), console, wait=wait))
    elif action == "rollback":
        _show_live(console, *task.rollback(workspace, console, wait=wait))
    elif action == "delete":
        console.document(task.delete(workspace, str(run), console, wait=wait).to_dict())
    else:
        console.document(task.prune(workspace, console, keep=keep, ledger=ledger, wait=wait).to_dict())


def _list(console: Console, models: Models) -> None:
    from forecast.showing.layout import Table
    from forecast.text import safe

    rows = [[run.id, "live" if run.id == models.live else "before" if run.id == models.before else "",
             safe(run.name or ""), *run.scores, safe(run.serves or ""), safe(run.last or "")]
            for run in models.runs]
    if rows:
        console.table(Table(["model", "", "name", "MASE", "skill", "serves", "data to"], rows, ["data to"]))
    else:
        console.say("models", f"none yet in {models.store.folder}; train one: forecast train DATA")
    if not models.is_live_there:
        console.warn("live", f"{models.live} is named as live, and is no whole model here; forecast doctor says more")
    console.document(models.to_dict())


def _show(console: Console, shown: Shown) -> None:
    console.document(shown.to_dict())
    for label, text in shown.lines():
        console.result(f"{label:<10} {text}", fold=11)


def _show_live(console: Console, live: str | None, before: str | None) -> None:
    same = live == before
    console.say("model", f"{live}  {'is live already' if same else 'is now live'}"
                + (f"   (before: {before})" if before and not same else ""))
    console.document({"live": live, "before": before})
