"""forecast predict: the live model, the present contents of the file, one file of forecasts."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.arguments import DataOfModel, FillFuture, Horizon, ModelOrPrior, Plan, Series, StatusFile
from forecast.cli.options import READING, Session, command

PARTIAL = 5


@command(settings=(*READING, "model.season"), engines=True)
def predict(
    session: Session,
    data: DataOfModel = None,
    model: ModelOrPrior = "live",
    horizon: Horizon = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="PATH", show_default=False, help=".csv "
                      ".csv.gz .parquet .json .xlsx, FOLDER/, a table, or - for stdout (predictions.csv)")] = None,
    series: Series = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="only the I-th of N parts of the series, in their "
                                              "order in the file: for several machines")] = None,
    levels: Annotated[str | None, typer.Option(metavar="X[,X]", help="bands to write, among those trained")] = None,
    layout: Annotated[str, typer.Option(metavar="default|nixtla|quantile|long",
                                        help="columns of the file")] = "default",
    nonnegative: Annotated[bool, typer.Option("--nonnegative", help="no value below 0")] = False,
    allow_negative: Annotated[bool, typer.Option("--allow-negative", help="values below 0 where none was")] = False,
    mean: Annotated[bool, typer.Option("--mean", help="add a column of means: for totals add these up")] = False,
    whole: Annotated[bool, typer.Option("--round", help="whole numbers")] = False,
    adapt: Annotated[bool, typer.Option("--adapt", help="widen or narrow the bands by how often "
                                        "earlier ones missed")] = False,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", show_default=False, help="forecast from what "
                                              "was known at that time; FROM..TO: at each step of a range")] = None,
    max_age: Annotated[str | None, typer.Option("--max-age", metavar="SPAN", show_default=False, help="exit 7 where "
                                                "the newest point is older: 2d, 36h")] = None,
    require_new: Annotated[bool, typer.Option("--require-new", help="exit 7 where nothing is new since the "
                                              "same request was last answered in -o")] = False,
    accept_scale: Annotated[bool, typer.Option("--accept-scale", help="go on where the unit seems new")] = False,
    device: Annotated[str | None, typer.Option(metavar="cpu|cuda|mps", help="where to compute; by default on the CPU, "
                                               "without torch")] = None,
    future: Plan = None,
    fill_future: FillFuture = None,
    samples: Annotated[int | None, typer.Option(metavar="N", min=1, show_default=False, help="write N possible "
                       "courses of each series in place of bands (samples.csv)")] = None,
    total: Annotated[str | None, typer.Option("--sum", metavar="step|day|week|month|all", show_default=False,
                                              help="write totals with their bands (totals.csv)")] = None,
    by: Annotated[str | None, typer.Option(metavar="COL[,COL]", show_default=False, help="totals of groups of series, "
                                           "by static columns or ids; all: of all series")] = None,
    event: Annotated[str | None, typer.Option(metavar="TEXT", show_default=False, help='write how likely it is: "sum > '
                     '1200", "max > 90", "3 in a row > 80" (chances.csv)')] = None,
    together: Annotated[bool, typer.Option("--together", help="series miss together, as they did")] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="of the paths")] = 0,
    plot: Annotated[str | None, typer.Option(metavar="PATH.png|svg", help="draw the forecasts")] = None,
    status_file: StatusFile = None,
) -> int:
    """Forecast with the live model, from its file as it is today or from DATA.

    Where there is no model yet, DATA is forecast at once by the prior, a network that comes with the program.
    Writes one row for each series and step: id, time, yhat (the forecast), its bands, the last time known, the
    model, and what made the forecast. The ledger keeps it. Exit 5: some series fell back to a simpler forecast or
    have none, or the ledger failed. Exit 7: the data are old, and nothing was written."""
    from forecast.system.machine import spare_pandas
    spare_pandas()
    from forecast.cli.console import Console
    from forecast.cli.streams import write_bytes_out
    from forecast.ledger.options import Options
    from forecast.system.monitor import reported
    from forecast.tasks import joint
    from forecast.tasks import predict as task
    from forecast.tasks.backfill import backfill, is_range

    drawn = joint.asked(samples=samples, total=total, by=by, event=event, together=together, seed=seed, layout=layout)
    options = Options(series=tuple(series) if series else None, nonnegative=nonnegative, round=whole, shard=shard,
                      layout="default" if drawn else layout, adapt={} if adapt else None,
                      allow_negative=allow_negative, mean=mean, fill_future=fill_future,
                      read=session.workspace.said or None)
    output = output or (drawn.file if drawn else "predictions.csv")
    request = task.Request(data, model=model, horizon=horizon, output=output, options=options, levels=levels,
                           drawn=drawn, as_of=as_of, max_age=max_age, require_new=require_new, device=device, plot=plot,
                           accept_scale=accept_scale, future=future, engine=session.engine)
    console, workspace = Console(session), session.workspace
    status_path = workspace.status_path(status_file)
    with reported(status_path, "predict") as status:
        if is_range(as_of):
            filled = backfill(workspace, request, console, guarded=[status_path])
            console.document(filled.to_dict())
            status.rows, status.exit_code = filled.rows, PARTIAL if filled.is_partial else 0
            return status.exit_code
        out = None if session.json else write_bytes_out
        predicted = task.predict(workspace, request, console, guarded=[status_path], out=out)
        console.sparks(predicted.first, predicted.page)
        console.document(predicted.to_dict())
        status.rows, status.exit_code = predicted.rows, PARTIAL if predicted.is_partial else 0
        status.numbers["data_age_seconds"] = predicted.age
        return status.exit_code
