"""forecast future: the rows of the horizon to fill in, for forecast predict --future."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.options import Session, command


@command(settings=("data.covariates",))
def future(
    session: Session,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", show_default=False,
                                               help="CSV file; by default the one the model was trained on")] = None,
    model: Annotated[str, typer.Option(metavar="RUN",
                                       help="run id, its beginning, a --name, a path, or live")] = "live",
    horizon: Annotated[int | None, typer.Option(metavar="N", min=1, max=10_000,
                                                help="steps to forecast; as trained by default")] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PATH",
                                        help=".csv .csv.gz .parquet .json .xlsx")] = "plan.csv",
    series: Annotated[list[str] | None, typer.Option(metavar="ID", help="only this series; may be repeated")] = None,
) -> None:
    """Write the rows in which you fill in future prices, promotions and the like.

    One row a series and step, with ids and times as in the data, and what is known of it already. The file, filled in,
    is what forecast predict --future takes."""
    from forecast.cli.console import Console
    from forecast.tasks import future as task

    console = Console(session)
    request = task.Request(data, model, horizon, output, tuple(series or ()), session.workspace.said)
    console.document(task.future(session.workspace, request, console).to_dict())
