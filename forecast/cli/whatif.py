"""forecast whatif: the difference that a change of what is known ahead makes."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.options import READING, Session, command


@command(settings=READING)
def whatif(
    session: Session,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", show_default=False,
                                               help="CSV file; by default the one the model was trained on")] = None,
    change: Annotated[list[str] | None, typer.Option(metavar="TEXT", show_default=False, help='"promo=1 @ '
                      '2026-12-01..2026-12-07"; may be repeated')] = None,
    instead: Annotated[str | None, typer.Option(metavar="PLAN", help="a second plan, in place of --future")] = None,
    model: Annotated[str, typer.Option(metavar="RUN", help="run id, a --name, a path, or live")] = "live",
    horizon: Annotated[int | None, typer.Option(metavar="N", min=1, max=10_000, help="steps; as trained by default")
                       ] = None,
    future: Annotated[str | None, typer.Option(metavar="PLAN", help="a file of what is known of the horizon")] = None,
    fill_future: Annotated[str | None, typer.Option(metavar="last|zero|seasonal", help="for what it lacks")] = None,
    series: Annotated[list[str] | None, typer.Option(metavar="ID", help="only this series; may be repeated")] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PATH",
                                        help=".csv .csv.gz .parquet .json .xlsx")] = "whatif.csv",
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
