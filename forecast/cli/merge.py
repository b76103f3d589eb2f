"""forecast merge: the shards of one forecast as one file."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.options import Session, command

PARTIAL = 5


@command(sets="none")
def merge(
    session: Session,
    shards: Annotated[list[str], typer.Argument(metavar="FILE...", show_default=False,
                                                help="files that predict --shard I/N wrote, in any order")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="PATH", help="with the ending of the shards")
                      ] = "predictions.csv",
) -> int:
    """Join the files of predict --shard, byte for byte as one process would have written them.

    Refuses shards that do not belong together (another model, other data, another request), that overlap, or are
    missing. Beside each file must lie what predict wrote with it, PATH.shard.json. Exit 5: some series fell back to a
    simpler forecast or have none."""
    from forecast.cli.console import Console
    from forecast.tasks import merge as task

    console = Console(session)
    merged = task.merge(session.workspace, shards, output, console)
    console.document(merged.to_dict())
    return PARTIAL if merged.fell_back else 0
