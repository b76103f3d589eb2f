"""merge: the shards of one forecast, made anywhere, as the one file that one process would have written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.system.datasource import DataSource, shown_path
from forecast.tasks import shards
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted
from forecast.writing.merging import MERGERS
from forecast.writing.merging import merge as put_together


@dataclass(frozen=True)
class Merged:
    """The file that was written, and the shards it was made of, in order."""

    output: Path
    shards: list[shards.Shard]

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def series(self) -> int:
        return sum(shard.series for shard in self.shards)

    @property
    def fell_back(self) -> int:
        return sum(shard.fell_back for shard in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        shared = self.shards[0].shared
        return {"output": str(self.output), "model": shared["model"], "cutoff": shared["cutoff"], "rows": self.rows,
                "series": self.series, "fell_back": self.fell_back, "shards": [str(s.file) for s in self.shards]}


def merge(workspace: Workspace, files: Sequence[str], output: str, teller: Teller = SILENT) -> Merged:
    """Put shards together, whatever their order, and leave them as they are.

    Raises RequestError for kinds of files that are not merged, DataError for files that are no shards or not those of
    one whole forecast, DiskError."""
    paths, to = [workspace.path(name) for name in files], workspace.path(output)
    shards.check_kind(paths, to, tuple(MERGERS))
    workspace.guard([to], [DataSource(str(path)) for given in paths for path in (given, shards.beside(given))])
    ordered = shards.in_order([shards.read(path) for path in paths])
    workspace.guard([to], [DataSource(shard.source) for shard in ordered if shard.source])
    merged = Merged(to, ordered)
    put_together([shard.file for shard in ordered], to, rows_at_once=int(ordered[0].shared["rows_at_once"]))
    teller.say("model", str(ordered[0].shared["model"]))
    teller.wrote(to, f"{merged.rows:,} rows = {merged.series:,} series from {counted(len(ordered), 'shard')}")
    if merged.fell_back:
        where = [shown_path(str(shard.file)) for shard in ordered if shard.fell_back]
        teller.warn("partial", f"{counted(merged.fell_back, 'series')} fell back or have no forecast, in "
                               f"{counted(len(where), 'shard')}: {where[0]}{' ...' if where[1:] else ''}")
    return merged
