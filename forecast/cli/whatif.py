"""forecast whatif: the difference that a change of what is known ahead makes."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.arguments import DataOfModel, FillFuture, Horizon, Model, Plan, Series, Table
from forecast.cli.options import READING, Session, command


@command(settings=READING)
def whatif(
    session: Session,
    data: DataOfModel = None,
    change: Annotated[list[str] | None, typer.Option(metavar="TEXT", show_default=False, help='"promo=1 @ '
                      '2026-12-01..2026-12-07"; may be repeated')] = None,
    instead: Annotated[str | None, typer.Option(metavar="PLAN", help="a second plan, in place of --future")] = None,
    model: Model = "live",
    horizon: Horizon = None,
    future: Plan = None,
    fill_future: FillFuture = None,
    series: Series = None,
    output: Table = "whatif.csv",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="of the paths")] = 0,
) -> None:
    """Forecast with and without a change, such as a promotion, and write the difference.

    Writes both forecasts and their difference. The band of the difference does not hold the doubt whether the model
    has learned the effect rightly. Nothing is kept in the ledger."""
    from forecast.cli.console import Console
    from forecast.showing.tables import number
    from forecast.tasks import whatif as task

    console = Console(session)
    request = task.Request(data, model, horizon, tuple(change or ()), future, instead, fill_future,
                           tuple(series) if series else None, output, seed, session.workspace.said or None)
    found = task.whatif(session.workspace, request, console)
    for line in task.words(found, number):
        console.say("change", line)
    console.document(found.to_dict())
