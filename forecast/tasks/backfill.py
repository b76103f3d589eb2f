"""backfill: forecasts of many past days, each from what was known then, in one file and in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from forecast.errors import RequestError
from forecast.ledger.freshness import cutoffs_between
from forecast.system.datasource import DataSource
from forecast.tasks import predict
from forecast.tasks.issuing import keep_file
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted
from forecast.writing.layouts import is_typed, write_at
from forecast.writing.places import Place

BETWEEN = ".."
APART = ("require_new", "max_age", "plot", "future")                    # which speak of one forecast


@dataclass(frozen=True)
class Filled:
    """The forecasts that were made, the oldest first."""

    made: list[predict.Predicted]
    output: Place

    @property
    def is_partial(self) -> bool:
        return any(one.is_partial for one in self.made)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.made)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"output": str(self.output), "rows": self.rows, "issues": [one.to_dict() | {"forecasts": None}
                                                                          for one in self.made]}


def is_range(as_of: str | None) -> bool:
    """Whether FROM..TO was asked for."""
    return as_of is not None and BETWEEN in as_of


def backfill(workspace: Workspace, request: predict.Request, teller: Teller = SILENT, *,
             guarded: Sequence[Path | None] = ()) -> Filled:
    """Forecast as of each step of the data in a range of times, FROM..TO; both belong to it.

    guarded: other files the caller will write. Raises what `predict` raises, RequestError for a range of no step."""
    if given := [name for name in APART if getattr(request, name)]:
        raise RequestError(f"--{given[0].replace('_', '-')} does not go with a range in --as-of", code="bad_setting",
                           hint="Leave it out, or give one time")
    if request.output in (None, predict.STDOUT):
        raise RequestError("a range in --as-of is written to a file", code="bad_setting", hint="As in -o past.csv")
    output = Place.seen_from(workspace.folder, str(request.output))
    run, source, reading = predict.read_for(workspace, request, output, guarded)
    times = cutoffs_between(reading.panel.with_values()[0], reading.contract, *str(request.as_of).split(BETWEEN, 1))
    teller.say("as of", f"{times[0]} .. {times[-1]}: {counted(len(times), 'forecast')}, each from what was known then")
    made, typed = list[predict.Predicted](), is_typed(output.name)
    with teller.work({"forecasting": 0.1 * len(times)}):
        for k, time in enumerate(times):
            one = replace(request, model=run, data=_named(request, source), output=None, as_of=time, typed=typed)
            made.append(predict.predict(workspace, one, SILENT))
            teller.advance((k + 1) / len(times))
    seen = [one.issue for one in made if one.issue and one.issue.in_hindsight(run.predictor.knowledge)]
    if seen:
        teller.warn("hindsight", f"in {len(seen)} of {counted(len(times), 'forecast')} {run.id} had seen what came "
                                 "after: evaluate --issued leaves these out")
    write_at(output, pa.concat_tables([table for one in made for table in one.tables]), made[0].page.contract)
    if issues := [one.issue for one in made if one.issue]:
        keep_file(workspace, teller, issues, output)
    teller.wrote(output, f"{sum(one.rows for one in made):,} rows = {counted(len(times), 'forecast')}")
    return Filled(made, output)


def _named(request: predict.Request, source: DataSource) -> Any:
    return request.data if source.path is None else str(source.path)
