"""whatif: the difference that a change of what is known ahead makes, beside the forecast without it."""

# S series  N paths  H horizon

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from forecast.errors import DataError, RequestError
from forecast.ledger.options import Options
from forecast.reading.changes import Change, changed, unseen
from forecast.series.arrays import Floats
from forecast.series.forecast import Forecast, Remark, band_quantiles, in_parts
from forecast.tasks import plans, predict
from forecast.tasks.joint import AT_ONCE, PATHS, drawn_of, taken
from forecast.tasks.teller import SILENT, Teller, tell_forecast, tell_model
from forecast.tasks.workspace import Workspace
from forecast.text import counted, listed
from forecast.writing.layouts import Page, beside, check_ending, is_typed, keys_of, levels_of, rounded, write_table

if TYPE_CHECKING:
    import pandas as pd

    from forecast.model.predictor import Predictor
    from forecast.series.panel import Panel
    from forecast.store.run import Run

MOST = 3                            # series whose totals are told


@dataclass(frozen=True)
class Request:
    """What is asked for: changes, or a second plan. Raises RequestError for what cannot be asked."""

    data: str | pd.DataFrame | None = None
    model: str | Run = "live"
    horizon: int | None = None
    changes: tuple[str, ...] = ()
    future: str | pd.DataFrame | None = None        # the plan of the base
    instead: str | pd.DataFrame | None = None       # the plan that it is held against
    fill_future: str | None = None
    series: tuple[str, ...] | None = None
    output: str | None = "whatif.csv"       # None: the rows are in the result alone, with time stamps
    seed: int = 0
    read: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.changes and self.instead is None:
            raise RequestError("nothing is changed", code="bad_change", hint="Give --change or --instead")
        plans.check_fill(self.fill_future)
        if self.output is not None:
            check_ending(self.output, stdout=False)
        _ = self.asked

    @property
    def asked(self) -> list[Change]:
        return [Change.of(text) for text in self.changes]


@dataclass(frozen=True)
class Difference:
    """Over the whole horizon, of one series: the medians of the totals, and what the change makes of them."""

    series: str
    base: float
    changed: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class WhatIf:
    """What came of it."""

    run: str
    output: Path | None
    rows: int
    horizon: int
    level: float
    totals: list[Difference]
    table: pa.Table = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        output = None if self.output is None else str(self.output)
        return {"model": self.run, "output": output, "rows": self.rows, "horizon": self.horizon, "level": self.level,
                "totals": [vars(d) for d in self.totals]}


def whatif(workspace: Workspace, request: Request, teller: Teller = SILENT) -> WhatIf:
    """Forecast twice, with and without a change, by the same luck, and write both and their difference.

    Nothing of it goes into the ledger: nobody said that it will be so. Raises RequestError, DataError, ModelError,
    DiskError."""
    output = None if request.output is None else workspace.path(request.output)
    named = [plan for plan in (request.future, request.instead) if plan is not None]
    workspace.guard([output], [workspace.source(plan) for plan in named])
    asked = predict.Request(request.data, model=request.model, horizon=request.horizon, future=request.future,
                            options=Options(series=request.series, read=request.read), record=False)
    run, source, reading = predict.read_for(workspace, asked, None, [output])
    steps = request.horizon or run.predictor.plan.horizon
    page = Page(run.contract, levels_of(None, run.predictor.config.model.levels), run.id)
    tell_model(teller, run, source, reading)

    def planned(plan: str | pd.DataFrame | None) -> Panel:
        known = plans.planned_for(workspace, run, reading, plan, request.horizon).panel
        panel = predict.chosen(known, request.series).with_values()[0]
        if not len(panel):
            raise DataError("holds no value to forecast from", file=str(source), code="no_values")
        return plans.completed_for(teller, run, source, panel, steps, request.fill_future)[0]

    base = planned(request.future)
    other = base if request.instead is None else planned(request.instead)
    other = changed(other, run.contract, steps, request.asked) if request.changes else other
    for remark in unseen(base, other, run.contract, steps):
        teller.warn("change", remark)
    tables, totals, remarks = [], list[Difference](), list[Remark]()
    joined, apart = list[str](), list[str]()
    for before, after in zip(in_parts(run.predictor, base, steps), in_parts(run.predictor, other, steps), strict=True):
        before, after, some_joined = alike(run.predictor, before, after)
        joined += some_joined
        table, some = _compared(run, before, after, page, request,
                                typed=output is None or is_typed(output.name))
        tables.append(table)
        totals += some
        remarks += after.remarks
        apart += _served_apart(before, after)
    _tell_served(teller, remarks, joined, apart)
    whole = pa.concat_tables(tables)
    if output is not None:
        write_table(whole, output)
        teller.wrote(output, f"{whole.num_rows:,} rows = {counted(len(base), 'series')} x {steps} "
                             f"{run.contract.calendar.unit}")
    return WhatIf(run.id, output, whole.num_rows, steps, page.levels[0], totals, whole)


def alike(predictor: Predictor, before: Forecast, after: Forecast) -> tuple[Forecast, Forecast, list[str]]:
    """Both forecasts, where other forecasters serve a series on one side made anew by those who can serve both, and the
    ids of such series. A series stays as it was where none of those reads covariates: they cannot tell what a change
    does."""
    ids = [str(i) for i in before.panel.ids]
    reads = np.array([predictor.is_moved_by_covariates(name) for name in predictor.blend.names])
    asked = predictor.blend.weights(before.panel.ids).T > 0              # (S, M)
    joined = np.zeros(len(ids), dtype=bool)
    while True:
        assert before.voices is not None
        assert after.voices is not None
        both = asked & before.voices & after.voices
        differ = np.any(asked & (before.voices != after.voices), axis=1)
        fresh = differ & np.any(both & reads, axis=1)
        if not fresh.any():
            return before, after, [i for i, one in zip(ids, joined & ~differ, strict=True) if one]
        asked[fresh], joined = both[fresh], joined | fresh
        heard = replace(predictor, blend=predictor.blend.limited({ids[s]: asked[s] for s in np.flatnonzero(joined)}))
        before, after = (heard.predict(f.panel, f.horizon) for f in (before, after))


def _served_apart(before: Forecast, after: Forecast) -> list[str]:
    """The series that other forecasters serve with the change than without it."""
    pair = [{r.series: r.message for r in f.remarks if r.code == "silenced"} for f in (before, after)]
    return [i for i, one, other in zip(map(str, before.panel.ids), before.source, after.source, strict=True)
            if one != other or pair[0].get(i) != pair[1].get(i)]


def _tell_served(teller: Teller, remarks: Sequence[Remark], joined: Sequence[str], apart: Sequence[str]) -> None:
    """What a reader of the changed forecasts has to know, as predict tells it; and of which differences."""
    tell_forecast(teller, remarks)
    if joined:
        teller.warn("change", f"in {counted(len(joined), 'series')} a forecaster cannot serve both sides, and is left "
                              "out of both: the difference is that of the change, but the base is not what predict "
                              f"says: {listed(joined, 4)}")
    if apart := [i for i in apart if i not in set(joined)]:
        teller.warn("change", f"other forecasters serve {counted(len(apart), 'series')} with the change than without "
                              "it, and none that reads columns serves both, so the difference is not that of the "
                              f"change alone: {listed(apart, 4)}")


def _compared(run: Run, before: Forecast, after: Forecast, page: Page, request: Request, *, typed: bool
              ) -> tuple[pa.Table, list[Difference]]:
    """The rows of some series, and the differences of their totals."""
    size = max(1, AT_ONCE // (PATHS * before.horizon))
    low, high = band_quantiles(page.levels[0])
    steps, totals = list[Floats](), list[Floats]()
    for begin in range(0, len(before.panel), size):
        which = np.arange(begin, min(begin + size, len(before.panel)))
        pair = [drawn_of(taken(f, which), run.predictor, Options(), PATHS, seed=request.seed)
                for f in (before, after)]
        moved = pair[1] - pair[0]
        steps.append(np.quantile(moved, (low, 0.5, high), axis=1))
        total = [p.sum(axis=2) for p in (*pair, moved)]
        totals.append(np.stack([*(np.median(t, axis=1) for t in total[:2]),
                                *np.quantile(total[2], (0.5, low, high), axis=1)]))
    by_step, decimals = np.concatenate(steps, axis=1), page.contract.decimals
    columns: dict[str, Floats] = {}
    for name, forecast in (("base", before), ("changed", after)):
        columns[name] = forecast.point
        for level in page.levels:
            for side, end in zip(("lo", "hi"), forecast.band(level), strict=True):
                columns[f"{name}_{side}_{level:g}"] = end
    columns["difference"] = by_step[1]
    for side, k in (("lo", 0), ("hi", 2)):
        columns[f"difference_{side}_{page.levels[0]:g}"] = by_step[k]
    table = pa.table(beside(keys_of(before, page, typed),
                            {name: rounded(values.ravel(), decimals) for name, values in columns.items()}))
    table = pa.table([c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns],
                     names=table.column_names)
    found = [Difference(str(i), *map(float, row)) for i, row in
             zip(before.panel.ids, np.concatenate(totals, axis=1).T, strict=True)]
    return table, found


def words(found: WhatIf, number: Any) -> Sequence[str]:
    """The first series' totals, in words."""
    lines = [f"{d.series}: the {found.horizon} steps add up to {number(d.base)}, with the change {number(d.changed)}: "
             f"{'+' if d.difference >= 0 else ''}{number(d.difference)} ({found.level:g} %: {number(d.low)} .. "
             f"{number(d.high)})" for d in found.totals[:MOST]]
    more = len(found.totals) - MOST
    see = f": see {found.output.name}" if found.output else ""
    return [*lines, f"and {more:,} more series{see}"] if more > 0 else lines
