"""Arguments that several commands share: which data, which model, how far ahead, what is known there, where it goes."""

from __future__ import annotations

from typing import Annotated

import typer

OURS = "a file of one or many series; by default the one the model was trained on"
RUN = "run id, its beginning, a --name, a path"

Data = Annotated[str, typer.Argument(metavar="DATA", help="a file of one or many series", show_default=False)]
DataOfModel = Annotated[str | None, typer.Argument(metavar="[DATA]", help=OURS, show_default=False)]
Model = Annotated[str, typer.Option(metavar="RUN", help=f"{RUN}, or live")]
ModelOrPrior = Annotated[str, typer.Option(metavar="RUN", help=f"{RUN}, live, or prior")]
Horizon = Annotated[int | None, typer.Option(metavar="N", min=1, max=10_000,
                                             help="steps to forecast; as trained by default")]
Series = Annotated[list[str] | None, typer.Option(metavar="ID", help="only this series; may be repeated")]
Plan = Annotated[str | None, typer.Option(metavar="PLAN", help="a file of columns known ahead, over the horizon")]
FillFuture = Annotated[str | None, typer.Option(metavar="last|zero|seasonal", help="for what the plan lacks")]
Table = Annotated[str, typer.Option("-o", "--output", metavar="PATH", help=".csv .csv.gz .parquet .json .xlsx")]
Wait = Annotated[str | None, typer.Option(metavar="TIME", show_default=False,
                                          help="wait so long for another run to end: 30s, 10m, 2h")]
StatusFile = Annotated[str | None, typer.Option(metavar="PATH.prom", show_default=False, help="write how it ended, "
                                                "for node_exporter's textfile collector")]
