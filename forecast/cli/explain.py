"""forecast explain: what the cell forgets, lets in and exposes on one series, and which past values count."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.arguments import OURS, FillFuture, Model, Plan
from forecast.cli.options import Session, command


@command(sets="none")
def explain(
    session: Session,
    series: Annotated[str | None, typer.Argument(metavar="[SERIES]", show_default=False,
                                                 help="id of a series; by default the first of the file")] = None,
    data: Annotated[str | None, typer.Option(metavar="DATA", show_default=False, help=OURS)] = None,
    model: Model = "live",
    output: Annotated[str, typer.Option("-o", "--output", "--plot", metavar="PATH.png|svg", help="the picture")
                      ] = "explain.png",
    lags: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="strongest lags to name")] = 5,
    future: Plan = None,
    fill_future: FillFuture = None,
) -> None:
    """Show which past values move the forecast of a series, and what the network remembers.

    Says how fast the units of the network forget, when they let go of more than usual, what opens their input gate,
    and how far a change long ago still moves the forecast. Draws it, too. Where the network was no better than its
    linear part, it is not used: then only the influence of past values is shown."""
    from forecast.cli.console import Console
    from forecast.tasks import explain as task
    from forecast.tasks.teller import shown

    console = Console(session)
    request = task.Request(series, data=data, model=model, output=output, lags=lags, future=future,
                           fill_future=fill_future)
    explained = task.explain(session.workspace, request, console)
    for label, text in explained.lines:
        console.result(f"{label:<10} {text}", fold=11)
    console.table(explained.table)
    explained.draw(console)
    if not explained.inspection.layers:
        console.say("next", f"forecast train {shown(explained.source)} --set model.skip=false   "
                            "(a cell that does the whole job)")
    console.document(explained.document)
