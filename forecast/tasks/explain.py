"""explain: what the cell forgets, lets in and exposes on one series, and which past values count."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.errors import RequestError
from forecast.explaining.effects import effects_of
from forecast.explaining.inspection import Inspection, inspect
from forecast.series.panel import Panel
from forecast.showing import effects, words
from forecast.showing.ink import check_picture
from forecast.showing.inside import draw
from forecast.showing.layout import Table
from forecast.store.run import Run
from forecast.system.datasource import DataSource
from forecast.tasks import plans
from forecast.tasks.teller import SILENT, Teller, tell_model
from forecast.tasks.workspace import Workspace
from forecast.text import listed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Request:
    """What is asked for: a series (None: the first of the file), of which data, by which model, where to draw it."""

    series: str | None = None
    data: str | Path | pd.DataFrame | None = None       # None: the file that the model was trained on
    model: str | Run = "live"
    output: str = "explain.png"
    lags: int = 5                           # strongest ones to name
    future: str | Path | pd.DataFrame | None = None     # a plan: what is known of the horizon
    fill_future: str | None = None          # how what it lacks is filled

    def __post_init__(self) -> None:
        plans.check_fill(self.fill_future)
        check_picture(self.output, "-o")


@dataclass(frozen=True)
class Explained:
    """An inspection, as plain values and in words; `draw` makes the picture."""

    run: Run
    source: DataSource
    path: Path
    inspection: Inspection
    document: dict[str, Any]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Labels and lines; every number in them stands in the document."""
        return [*words.lines_of(self.document), *effects.lines_of(self.document["covariates"])]

    @property
    def table(self) -> Table:
        """How far a change moves the forecast, by how long ago it is."""
        return words.back_table(self.document)

    def draw(self, teller: Teller = SILENT) -> Path:
        """Write the picture, and tell where it lies and whether it took the place of another. Raises DiskError."""
        targets, stood = self.run.contract.targets, os.path.exists(self.path)
        target = targets[0] if len(targets) == 1 else self.inspection.series
        draw(self.path, self.inspection, self.run.contract.calendar, title=words.headline(self.document),
             target=target)
        teller.wrote(self.path, "replaced the one there" if stood else "", verb="drew")
        if self.document["covariates"]:
            effects.draw(beside(self.path), self.document["covariates"], target=target,
                         title=f"What covariates moved in the forecast of {self.inspection.series}")
            teller.wrote(beside(self.path), verb="drew")
        return self.path


def explain(workspace: Workspace, request: Request, teller: Teller = SILENT) -> Explained:
    """Look into a model while it reads the context of its next forecast. Raises RequestError, DataError, ModelError."""
    run = workspace.run(request.model)
    source = workspace.source_of(run) if request.data is None else workspace.source(request.data)
    path = workspace.path(request.output)
    plan = [] if request.future is None else [workspace.source(request.future)]
    workspace.guard([path, beside(path)], [*workspace.inputs(source, run), *plan])
    reading = plans.planned_for(workspace, run, workspace.read_for(run, source), request.future, None)
    panel = one_series(reading.panel, request.series)
    tell_model(teller, run, source, reading)
    panel, _ = plans.completed_for(teller, run, source, panel, run.predictor.plan.horizon, request.fill_future)
    if not request.series and len(reading.panel) > 1:
        teller.say("series", f"{panel.ids[0]}, the first of {len(reading.panel):,}; another: forecast explain SERIES")
    inspection = inspect(run.predictor, panel)
    document: dict[str, Any] = {"model": run.id, "data": str(source), "picture": str(path)}
    document |= words.described(inspection, run, request.lags)
    steps = panel.calendar.times(panel.end[0] + np.arange(run.predictor.plan.horizon))
    document["covariates"] = effects.described(effects_of(run.predictor, panel), run.contract.time_text(steps))
    return Explained(run, source, path, inspection, document)


def beside(path: Path) -> Path:
    """Where the picture of covariates lies, if there are some."""
    return path.with_name(f"{path.stem}-covariates{path.suffix}")


def one_series(panel: Panel, name: str | None) -> Panel:
    """The series of this id, or the first. Raises RequestError for one that is not there."""
    if name is None:
        return panel.take([0])
    if name not in set(panel.ids):
        file = ". A file is named with --data" if name.endswith((".csv", ".gz", ".parquet", ".zip", ".zst")) else ""
        raise RequestError(f"there is no series {listed([name])}", code="no_series",
                           hint=f"There are {listed(list(panel.ids))}{file}")
    return panel.take(np.flatnonzero(panel.ids == name))
