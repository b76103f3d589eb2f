"""forecast future: the rows of the horizon to fill in, for forecast predict --future."""

from __future__ import annotations

from forecast.cli.arguments import DataOfModel, Horizon, Model, Series, Table
from forecast.cli.options import Session, command


@command(settings=("data.covariates",))
def future(
    session: Session,
    data: DataOfModel = None,
    model: Model = "live",
    horizon: Horizon = None,
    output: Table = "plan.csv",
    series: Series = None,
) -> None:
    """Write the rows in which you fill in future prices, promotions and the like.

    One row a series and step, with ids and times as in the data, and what is known of it already. The file, filled in,
    is what forecast predict --future takes."""
    from forecast.cli.console import Console
    from forecast.tasks import future as task

    console = Console(session)
    request = task.Request(data, model, horizon, output, tuple(series or ()), session.workspace.said)
    console.document(task.future(session.workspace, request, console).to_dict())
