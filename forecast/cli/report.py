"""forecast report: all that is known of a forecast, as one HTML page."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from forecast.cli.arguments import DataOfModel, FillFuture, Horizon, ModelOrPrior, Plan
from forecast.cli.options import READING, Session, command


@command(settings=(*READING, "model.season"))
def report(
    session: Session,
    data: DataOfModel = None,
    model: ModelOrPrior = "live",
    horizon: Horizon = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PATH.html", help="the page")] = "report.html",
    future: Plan = None,
    fill_future: FillFuture = None,
) -> None:
    """Write one HTML page: can this forecast be trusted, and why.

    The page is one file, and needs no network. It holds the verdict with its reasons, a chart of every series (of
    more than 500, the worst 200), scores of the past, what was forecast and how it came true, what moves the
    forecast, how the data were read, and how to make it again."""
    from forecast.cli.console import Console
    from forecast.tasks import report as task

    console = Console(session)
    request = task.Request(data, model=model, horizon=horizon, output=output, future=future, fill_future=fill_future,
                           command=shlex.join(["forecast", *sys.argv[1:]]))
    reported = task.report(session.workspace, request, console)
    for reason in reported.reasons:
        console.result(f"{reason.mark} {reason.state:<8} {reason.label:<9} {reason.text}", fold=21)
    console.document(reported.to_dict())
