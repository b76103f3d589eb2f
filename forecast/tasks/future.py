"""future: the rows of the horizon in which columns known ahead are to be filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import DataError, RequestError
from forecast.tasks.plans import planned_for
from forecast.tasks.predict import chosen
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted
from forecast.writing.layouts import check_ending, is_typed, write_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from forecast.store.run import Run


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises RequestError for what cannot be asked, before any work."""

    data: str | Path | pd.DataFrame | None = None       # None: the file that the model was trained on
    model: str | Run = "live"
    horizon: int | None = None              # None: as trained
    output: str | None = None               # None: the rows are in the result alone
    series: tuple[str, ...] = ()            # only these
    read: Mapping[str, Any] = field(default_factory=dict)
    typed: bool = False                     # time stamps, not text

    def __post_init__(self) -> None:
        if self.output is not None:
            check_ending(self.output)


@dataclass(frozen=True)
class Future:
    """The rows, and how many of their cells are empty."""

    table: pa.Table
    output: Path | None
    empty: int

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"output": self.output and str(self.output), "rows": self.table.num_rows, "empty": self.empty,
                "columns": self.table.column_names}


def future(workspace: Workspace, request: Request, teller: Teller = SILENT) -> Future:
    """Write the rows to fill in. Raises RequestError where the model has no use for them, DataError, ModelError,
    DiskError."""
    from forecast.reading.future import template

    run = workspace.run(request.model)
    if not any(b.role == "known" and not b.is_holiday for b in run.contract.beside):
        raise RequestError(f"{run.id} uses no column that has to be known ahead", code="no_effect",
                           hint="forecast train DATA --known COLUMN trains one that does")
    source = workspace.source_of(run) if request.data is None else workspace.source(request.data)
    output = None if request.output is None else workspace.path(request.output)
    workspace.guard([output], workspace.inputs(source, run))
    reading = workspace.read_for(run, source, request.read)
    steps = request.horizon or run.predictor.plan.horizon
    typed = request.typed or bool(output and is_typed(output.name))

    def rows(plan: Path | None) -> tuple[pa.Table, int]:
        panel = chosen(planned_for(workspace, run, reading, plan, steps).panel.with_values()[0], request.series)
        return template(panel, reading.contract, steps, typed=typed), len(panel)

    table, count = rows(None)
    empty = _empty(table)
    if output is not None and output.exists():
        _check_blank(output, empty, lambda: _empty(rows(output)[0]))
    if output is not None:
        write_table(table, output)
        teller.wrote(output, f"{table.num_rows:,} rows = {count:,} series x {steps} "
                             f"{reading.contract.calendar.unit}, {counted(empty, 'cell')} to fill in")
        teller.say("next", f"forecast predict --future {request.output}")
    return Future(table, output, empty)


def _empty(table: pa.Table) -> int:
    return sum(column.null_count for column in table.columns)


def _check_blank(output: Path, empty: int, with_it: Callable[[], int]) -> None:
    """Raises RequestError where the file that stands there says something of the horizon that would be lost, or cannot
    be read as a plan: somebody may have worked on it."""
    try:
        if with_it() == empty:
            return
    except DataError:
        pass
    raise RequestError(f"{output}: stands there and may have been filled in; it would be lost", code="exists",
                       hint="Name another file with -o, or remove it")
