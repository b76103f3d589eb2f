"""Plans: what is known of the horizon when a forecast is made, and the rows that are to be filled in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import RequestError
from forecast.system.datasource import DataSource
from forecast.tasks.prior import is_of_prior
from forecast.tasks.teller import Teller
from forecast.text import counted, listed

if TYPE_CHECKING:
    import pandas as pd

    from forecast.reading.reader import Reading
    from forecast.reading.sources.files import Source
    from forecast.series.forecast import Forecast
    from forecast.series.panel import Panel
    from forecast.store.run import Run
    from forecast.tasks.workspace import Workspace

FILLS = ("last", "zero", "seasonal")


def check_fill(fill: str | None) -> None:
    """Raises RequestError for a way to fill that is none."""
    if fill not in (None, *FILLS):
        raise RequestError(f"--fill-future {fill}: takes one of {', '.join(FILLS)}", code="bad_setting")


def planned_for(workspace: Workspace, run: Run, reading: Reading, plan: str | Path | pd.DataFrame | None,
                horizon: int | None) -> Reading:
    """The reading with what a plan and the calendar know of the horizon. Raises RequestError for a plan that a model
    has no use for, DataError."""
    has_use = any(b.role == "known" for b in reading.contract.beside) and not is_of_prior(run.id)
    if plan is not None and not has_use:
        raise RequestError(f"--future has no effect: {run.id} uses no column that is known ahead", code="no_effect",
                           hint="forecast train DATA --known COLUMN trains one that does")
    if not has_use:
        return reading
    from forecast.reading.future import planned

    options = workspace.placed(run.predictor.config.data)
    return planned(reading, None if plan is None else _source(workspace.source(plan)),
                   horizon or run.predictor.plan.horizon, options)


def _source(plan: DataSource) -> Source:
    if plan.frame is not None:
        from forecast.reading.frames import source_of
        from forecast.reading.sources.frames import FrameColumns

        return replace(source_of(FrameColumns.of(plan.frame)), file="<future>")
    from forecast.reading.sources.files import open_source

    return open_source(plan.name, None)


def completed_for(teller: Teller, run: Run, source: DataSource, panel: Panel, horizon: int, fill: str | None
                  ) -> tuple[Panel, Collection[str]]:
    """The series without a gap in what is known ahead, and the ids of those in which something was filled. Raises
    DataError that lists what is missing."""
    if panel.beside is None or not panel.beside.known or is_of_prior(run.id):
        return panel, ()
    from forecast.reading.future import completed

    whole = completed(panel, run.contract, horizon, fill=fill, season=run.predictor.plan.season,
                      file="" if source.is_stdin else str(source))
    filled = [str(i) for i in panel.ids[whole.filled]]
    if filled:
        teller.warn("filled", f"what is missing of the plans of {counted(len(filled), 'series')}, by --fill-future "
                              f"{fill}: {listed(filled, 4)}")
    return whole.panel, set(filled)


def marked(forecast: Forecast, filled: Collection[str], fill: str | None) -> Forecast:
    """The forecast whose source says where something was filled in."""
    if not filled:
        return forecast
    source = np.array([f"{name} (filled {fill})" if str(i) in filled else name
                       for i, name in zip(forecast.panel.ids, forecast.source, strict=True)], dtype=object)
    return replace(forecast, source=source)
