"""forecast evaluate: a rolling-origin backtest that never scores a model on what it has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.arguments import DataOfModel, StatusFile
from forecast.cli.options import MODEL, READING, Session, command
from forecast.scoring.formulas import METRICS, REFERENCE

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.tasks.evaluate import Evaluated

BACKTEST = ("backtest.windows", "backtest.step", "backtest.test_size", "backtest.refit")
FORMULAS = "\b\n" + "\n".join(f"{name:<9} {metric.formula}" for name, metric in METRICS.items())   # \b: lines as here


@command(settings=(*BACKTEST, *READING, *MODEL, "train.final_fit"), after=FORMULAS, engines=True)
def evaluate(
    session: Session,
    data: DataOfModel = None,
    model: Annotated[str | None, typer.Option(metavar="RUN", show_default=False,
                                              help="the model whose settings are scored; live by default")] = None,
    baselines: Annotated[str, typer.Option(metavar="NAME[,NAME]",
                                           help="forecasters to stand beside it")] = f"{REFERENCE},naive",
    metrics: Annotated[str | None, typer.Option(metavar="NAME[,NAME]", show_default=False,
                                                help="metrics to write; all by default")] = None,
    output: Annotated[str | None, typer.Option(
        "-o", "--output", metavar="PATH.json", show_default=False, help="scores; a .csv of every series beside it "
        "(default metrics.json, metrics-issued.json with --issued, metrics-forecast.json with --forecast)")] = None,
    predictions: Annotated[str | None, typer.Option(metavar="PATH", help="write every backtest forecast")] = None,
    plot: Annotated[str | None, typer.Option(metavar="PATH.png|svg", help="draw past forecasts of the worst and the "
                                             "largest series")] = None,
    forecast: Annotated[str | None, typer.Option(metavar="OLD.csv", help="score this file of forecasts")] = None,
    issued: Annotated[bool, typer.Option("--issued", help="score what predict issued, from the ledger")] = False,
    last: Annotated[str | None, typer.Option(metavar="SPAN", help="with --issued: only what was forecast of the last "
                                             "30d (or 36h), or N steps of the data")] = None,
    event: Annotated[str | None, typer.Option(metavar="TEXT", show_default=False, help='score how likely it was: "sum '
                     '> 1200", "3 in a row > 80"')] = None,
    by: Annotated[str | None, typer.Option(metavar="COL[,COL]", show_default=False, help="score totals of groups of "
                                           "series, as predict --by makes them")] = None,
    accept_scale: Annotated[bool, typer.Option("--accept-scale", help="score even where the newest values of a series "
                                               "have the size of another unit")] = False,
    fail_over: Annotated[list[str] | None, typer.Option(metavar="METRIC=X", help="exit 6 where a metric is above X; "
                                                        "drift: live MASE over the promised one")] = None,
    status_file: StatusFile = None,
) -> None:
    """Score forecasts of the past, beside simple forecasts.

    On the file of the training, the scores of the training are shown at once. On newer data the model is scored as it
    is. For other windows, data or settings, a model is fitted anew on what stood before them; how long that takes is
    said first.

    Metrics, per series and then averaged (y truth, f forecast):
    """
    from forecast.cli.console import Console
    from forecast.system.monitor import reported
    from forecast.tasks import evaluate as task

    kind = "-issued" if issued else "-forecast" if forecast else ""
    request = task.Request(data, model=model, baselines=baselines, metrics=metrics,
                           output=output or f"metrics{kind}.json",
                           predictions=predictions, plot=plot, forecast=forecast, issued=issued, last=last,
                           fail_over=fail_over or (), accept_scale=accept_scale, event=event, by=by,
                           engine=session.engine)
    console, workspace = Console(session), session.workspace
    status_path = workspace.status_path(status_file)
    with reported(status_path, "evaluate") as status:
        evaluated = task.evaluate(workspace, request, console, guarded=[status_path])
        evaluated.watched(status)
        _show(console, evaluated)
        task.write(workspace, evaluated, console)
        console.document(evaluated.to_dict())
        task.judge(evaluated, console)


def _show(console: Console, evaluated: Evaluated) -> None:
    """The scores, and how what was issued held to what was promised."""
    if evaluated.scores is None:
        return
    console.scores(evaluated.scores, evaluated.ids)
    for line in evaluated.joint.words() if evaluated.joint else ():
        console.result(line, fold=14)
    if evaluated.promises is not None:
        for line in evaluated.promises.words():
            console.result(line, fold=14)
        if (alarm := evaluated.promises.alarm) is not None:
            console.warn("drift", alarm)
