"""forecast replay: a past output made again from the same run and the same data, and whether it is identical."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.options import Session, command

SHOWN = 5                                                               # deviations printed one by one


@command(sets="none")
def replay(
    session: Session,
    what: Annotated[str, typer.Argument(metavar="FORECAST|ISSUE", show_default=False,
                                        help="a file that predict wrote, an issue's id or its beginning, or last")],
    data: Annotated[str | None, typer.Option(metavar="FILE", show_default=False,
                                             help="the data, where they lie elsewhere now")] = None,
) -> None:
    """Make a past forecast again, and say whether every number is identical.

    By the same run, from the data as they stood then, with the same options. Exit 6 where a number is not identical, or
    where the file is no longer what was written."""
    from forecast.cli.console import Console
    from forecast.tasks import replay as task
    from forecast.text import counted

    console = Console(session)
    replayed = task.replay(session.workspace, what, data, console)
    contract = replayed.contract
    for d in replayed.deviations[:SHOWN]:
        time = contract.time_text(contract.calendar.times([d.ordinal]))[0]
        console.result(f"{d.series}  {time}  quantile {d.quantile:g}: was {d.was!r}, now "
                       f"{'not forecast any more' if d.now is None else repr(d.now)}")
    console.document(replayed.to_dict())
    if replayed.difference is not None:
        raise replayed.difference
    console.result(f"identical: {counted(replayed.numbers, 'number')}")
