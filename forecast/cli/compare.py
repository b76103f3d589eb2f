"""forecast compare: several cells of as many parameters, under one budget of time, with the same seeds and windows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forecast.cli.arguments import Data
from forecast.cli.options import MODEL, READING, Session, command
from forecast.config import SETTINGS

CELLS = SETTINGS["model.cell"].choices
WINDOWS = ("backtest.windows", "backtest.step", "backtest.test_size")
SIZES = tuple(key for key in MODEL if key != "model.cell")
COLUMNS = """\b
units           those that bring the trained parameters nearest to the LSTM's
MASE ± sd       mean and standard deviation over the seeds (MAE where no series has a MASE)
min .. max      the best and the worst seed
skill           1 - MASE / that of seasonal naive, mean over the seeds
s/fit           seconds of a fit, mean
best epoch      of the weights kept, median
network helped  seeds whose network was better than its linear part alone, on the validation windows
linear          that linear part alone, without a network"""


@command(settings=(*WINDOWS, *READING, *SIZES), after=COLUMNS)
def compare(
    session: Session,
    data: Data,
    cells: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="cells to compare")] = ",".join(CELLS),
    budget: Annotated[str, typer.Option(metavar="TIME", help="time for everything: 90s, 5m, 1h30m")] = "5m",
    seeds: Annotated[int, typer.Option(metavar="N", min=1,
                                       help="seeds at most for each cell: --seed, and the next ones")] = 5,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="PATH.json", show_default=False,
                                               help="write everything here, each seed's scores too")] = None,
    plot: Annotated[str | None, typer.Option(metavar="PATH.png|svg", help="draw the scores of every seed")] = None,
) -> None:
    """Train several kinds of recurrent cells under one budget of time, and rank them.

    Every cell has as many trained parameters, the same seeds, the same time and the same windows. Below the table
    stands which differences are more than chance. No model is kept.
    """
    import time

    start = time.monotonic()
    from forecast.cli.console import Console
    from forecast.showing.tables import comparison_table
    from forecast.system.files import to_json, write_text
    from forecast.tasks import compare as task

    console, workspace = Console(session), session.workspace
    request = task.Request(data, cells=cells, budget=budget, seeds=seeds, output=output, plot=plot)
    compared = task.compare(workspace, request, console, since=start)
    console.table(comparison_table(compared.ranking, compared.references, metric=compared.metric,
                                   season=compared.plan.season, has_skip=compared.has_skip))
    for label, text in compared.words:
        console.result(f"{label:<12}{text}", fold=12)
    if output is not None:
        write_text(workspace.path(output), to_json(compared.to_dict()))
        console.wrote(workspace.path(output))
    if plot is not None:
        from forecast.showing.pictures import draw_comparison

        draw_comparison(workspace.path(plot), compared.ranking, compared.references, metric=compared.metric,
                        season=compared.plan.season, title=f"cells compared on {Path(data).name}")
        console.wrote(workspace.path(plot), verb="drew")
    console.document(compared.to_dict())
