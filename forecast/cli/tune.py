"""forecast tune: settings searched under a budget of time, and judged on past windows that the search has not seen."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.arguments import Data
from forecast.cli.options import MODEL, READING, Session, command

COLUMNS = """\b
trial     its number, in the order of trying; 0 is the defaults
MASE      mean over series and past windows of the search (MAE where no series has a MASE)
beside    how much less it errs than the defaults
changed   the settings that are not the defaults"""


@command(settings=("backtest.windows", *READING, *MODEL), after=COLUMNS)
def tune(
    session: Session,
    data: Data,
    budget: Annotated[str, typer.Option(metavar="TIME", help="time for everything: 90s, 5m, 1h30m")] = "30m",
    study: Annotated[str | None, typer.Option(metavar="FILE", show_default=False, help="the journal of the trials, to "
                                              "go on with; by default one in the store")] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, max=256, help="processes that try side by side")] = 1,
    trials: Annotated[int | None, typer.Option(metavar="N", min=1, show_default=False, help="trials at most")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="PATH.json", show_default=False,
                                               help="write everything here, each trial's too")] = None,
) -> int:
    """Search settings under a budget of time, and say whether any are better than the defaults.

    Settings that are given stay as they are; sizes, rate, cell, transform, scaling and covariates are tried. The first
    trial is the defaults. After a kill the same command goes on. Needs the package optuna. No model is kept."""
    import time

    start = time.monotonic()
    from forecast.cli.console import Console
    from forecast.showing.trials import trials_table
    from forecast.system.files import to_json, write_text
    from forecast.tasks import tune as task

    console, workspace = Console(session), session.workspace
    request = task.Request(data, budget=budget, study=study, jobs=jobs, trials=trials, output=output)
    tuned = task.tune(workspace, request, console, since=start)
    if tuned.ranking:
        console.table(trials_table(tuned.ranking, tuned.default, tuned.naive, metric=tuned.metric,
                                   season=tuned.plan.season))
    for label, text in tuned.words:
        console.result(f"{label:<10} {text}", fold=11)
    for line in tuned.toml:
        console.result(f"           {line}", fold=None)
    if output is not None:
        write_text(workspace.path(output), to_json(tuned.to_dict()))
        console.wrote(workspace.path(output))
    elif session.quiet:
        console.wrote(tuned.study)
    console.document(tuned.to_dict())
    return tuned.stopped
