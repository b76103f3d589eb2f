"""Future: what is known ahead over the horizon: from the data, from a plan, from the calendar; and what is missing."""

# S series  H horizon  K columns known ahead

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from forecast.config import DataConfig
from forecast.errors import DataError, Problem
from forecast.reading.beside import Sheet, shown
from forecast.reading.contract import HOLIDAYS, Beside, Contract
from forecast.reading.holidays import holidays_at
from forecast.reading.joining import new_words, of_another_unit
from forecast.reading.reader import Reading
from forecast.reading.sheets import Main, opened_beside
from forecast.reading.sources.files import Source
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.ids import pasted
from forecast.series.panel import Panel
from forecast.text import listed, quoted

LISTED = 10_000                     # missing values listed one by one


def known_ahead(contract: Contract) -> list[Beside]:
    """The covariates that are known ahead (K), as a panel has them."""
    return [b for b in contract.beside if b.role == "known"]


def planned(reading: Reading, plan: Source | None, horizon: int, options: DataConfig) -> Reading:
    """The reading with the holidays of its horizon, and with what a plan says of it. The past is as the data have it.

    Raises DataError for a plan of other series, without a column, or with other values for the past."""
    panel, contract = reading.panel, reading.contract
    known = known_ahead(contract)
    is_needed = plan is not None or any(b.is_holiday for b in known)
    if panel.beside is None or panel.row is None or not known or not is_needed:
        return reading
    ahead, notes = panel.beside.ahead(panel.row, panel.end, horizon), list[str]()
    for k, b in enumerate(known):
        if b.is_holiday:
            ahead[:, :, k] = _holidays(b, panel, contract, horizon)
    if plan is not None:
        notes = _with_plan(ahead, reading, plan, known, options)
    beside = panel.beside.with_ahead(panel.row, panel.end, ahead)
    panel = replace(panel, beside=beside, row=np.arange(len(panel)))
    return replace(reading, panel=panel, notes=(*reading.notes, *notes))


def _holidays(b: Beside, panel: Panel, contract: Contract, horizon: int) -> Floats:
    first, stop = int(panel.end.min()), int(panel.end.max()) + horizon
    counts = holidays_at((b.source or "").removeprefix(HOLIDAYS), contract.calendar, np.arange(first, stop),
                         utc=contract.utc, tz=contract.tz)
    whole: Floats = counts[(panel.end - first)[:, None] + np.arange(horizon)]
    return whole


def _with_plan(ahead: Floats, reading: Reading, plan: Source, known: Sequence[Beside], options: DataConfig
               ) -> list[str]:
    """Write what a plan says into `ahead` (S, H, K); what there is to say of it. Raises DataError."""
    panel, contract = reading.panel, reading.contract
    wanted = tuple((b.role, b.name) for b in known if not b.is_holiday)
    main = Main(reading.file, [str(i) for i in panel.ids], contract.id_column or contract.id, contract.time_columns,
                contract.calendar, panel.start, panel.end, contract.utc, options, form=contract)
    sheet, opened, notes = opened_beside(plan, main, wanted, contract.beside)
    names = {s.agreed.name for s in sheet.strips}
    if lacking := [b.name for b in known if not b.is_holiday and b.name not in names]:
        _check_some(plan.file, lacking, len(wanted), opened.names)
        notes.append(f"{plan.file}: has no column {listed(lacking)}")
    if sheet.codes is None and len(panel) > 1:
        notes.append(f"{plan.file}: has no id, so its values hold for all series")
    for strip in sheet.strips:
        k = [b.name for b in known].index(strip.agreed.name)
        _check_past(sheet, strip.values, panel, k, strip.agreed)
        _put(sheet, strip.values, ahead[:, :, k], panel.end)
        said = [*([new_words(strip)] if strip.new else []),
                *of_another_unit(strip.agreed, strip.values, whose="its", than="in training")]
        notes += [f"{plan.file}: {note}" for note in said]
    return notes


def _check_some(file: str, lacking: Sequence[str], wanted: int, names: Sequence[str]) -> None:
    """Raises DataError for a plan without any column of the model."""
    if len(lacking) == wanted:
        raise DataError(f"has no column {listed(lacking)}, used by the model", file=file, row=1, code="missing_column",
                        hint=f"Columns: {listed(names, 8)}")


def _check_past(sheet: Sheet, values: Floats, panel: Panel, k: int, agreed: Beside) -> None:
    """Raises DataError where a plan says otherwise of the past than the data."""
    assert panel.beside is not None
    assert panel.row is not None
    assert sheet.ordinals is not None
    each = np.arange(len(panel)) if sheet.codes is None else None
    for s in each if each is not None else [None]:
        codes = sheet.codes if s is None else np.full(sheet.ordinals.size, s)
        assert codes is not None
        rows = np.flatnonzero((sheet.ordinals < panel.end[codes]) & ~np.isnan(values))
        there = panel.beside.past(panel.row[codes[rows]], sheet.ordinals[rows] + 1, 1)[:, 0, k]
        other = rows[~np.isnan(there) & (there != values[rows])]
        if other.size:
            row = int(other[0])
            old = float(there[np.flatnonzero(rows == row)[0]])
            whose = f" of {quoted(panel.ids[codes[row]], 30)}" if len(panel) > 1 else ""
            raise DataError(sheet.problem(row, "other_past", f"{shown(agreed, float(values[row]))} at {sheet.text(row)}"
                                          f"{whose}, which is past, and the data have {shown(agreed, old)} there",
                                          "A plan tells of what comes: leave such rows out, or mend the data",
                                          agreed.name))


def _put(sheet: Sheet, values: Floats, ahead: Floats, end: Ints) -> None:
    """Values of rows into `ahead` (S, H); what is missing there stays as it was."""
    assert sheet.ordinals is not None
    known = np.flatnonzero(~np.isnan(values))
    if sheet.codes is None:
        series, rows = np.repeat(np.arange(len(end)), known.size), np.tile(known, len(end))
    else:
        series, rows = sheet.codes[known], known
    step = sheet.ordinals[rows] - end[series]
    inside = (step >= 0) & (step < ahead.shape[1])
    ahead[series[inside], step[inside]] = values[rows[inside]]


@dataclass(frozen=True)
class Completed:
    """Series with all that is known of their horizon; `filled` (S,): those of which something was filled in."""

    panel: Panel
    filled: Bools


def completed(panel: Panel, contract: Contract, horizon: int, *, fill: str | None = None, season: int = 1,
              file: str = "") -> Completed:
    """The series with no gap in what is known ahead. Raises DataError that lists what is missing, where `fill` does not
    say how it is made up for."""
    none = np.zeros(len(panel), dtype=bool)
    known = known_ahead(contract)
    if panel.beside is None or panel.row is None or not known or not len(panel):
        return Completed(panel, none)
    ahead = panel.beside.ahead(panel.row, panel.end, horizon)
    missing = np.isnan(ahead)
    if not missing.any():
        return Completed(panel, none)
    if fill is not None:
        ahead = _filled(ahead, panel, known, fill, season)
    if (left := np.isnan(ahead)).any():
        raise _lacking(left, panel, contract, known, file, is_filled=fill is not None)
    beside = panel.beside.with_ahead(panel.row, panel.end, ahead)
    return Completed(replace(panel, beside=beside, row=np.arange(len(panel))), np.asarray(missing.any(axis=(1, 2))))


def _filled(ahead: Floats, panel: Panel, known: Sequence[Beside], rule: str, season: int) -> Floats:
    """`ahead` (S, H, K) without gaps: the last value, zero, or the value a season before."""
    assert panel.beside is not None
    assert panel.row is not None
    if rule == "zero":
        return np.where(np.isnan(ahead), [float(len(b.words)) for b in known], ahead)
    back = int(panel.lengths.max(initial=0))
    past = panel.beside.past(panel.row, panel.end, back)[:, :, :len(known)]
    whole = np.concatenate([past, ahead], axis=1)
    for h in range(back, whole.shape[1]):
        if rule == "seasonal" and h >= season:
            whole[:, h] = np.where(np.isnan(whole[:, h]), whole[:, h - season], whole[:, h])
    at = np.where(np.isnan(whole), -1, np.arange(whole.shape[1])[None, :, None])
    last = np.maximum.accumulate(at, axis=1)
    values: Floats = np.where(last >= 0, np.take_along_axis(whole, np.maximum(last, 0), axis=1), np.nan)
    return values[:, back:]


def _lacking(missing: Bools, panel: Panel, contract: Contract, known: Sequence[Beside], file: str, *, is_filled: bool
             ) -> DataError:
    """What is missing (S, H, K): how many, which, and how the rows to fill in are had."""
    places = np.argwhere(missing)
    times = contract.time_text(contract.calendar.times(panel.end[places[:LISTED, 0]] + places[:LISTED, 1]))
    named = [f"no value{f' of {quoted(panel.ids[s], 30)}' if contract.id is not None else ''} at {time}"
             for (s, _, _), time in zip(places[:LISTED].tolist(), times, strict=True)]
    hint = "Nothing before it tells what to fill in: name it in a plan" if is_filled else \
        f"forecast future {pasted(file) if file else ''} --horizon {missing.shape[1]} -o plan.csv writes the rows to " \
        "fill in, for --future plan.csv; or --fill-future last, zero or seasonal makes up for them"
    problems = [Problem("missing_ahead", name, file or None, None, known[k].name, None)
                for name, k in zip(named, places[:LISTED, 2].tolist(), strict=True)]
    asked = missing[:, :, [not b.is_holiday for b in known]].size
    head = f"{len(places):,} of {asked:,} values known ahead are missing over the horizon"
    return DataError(Problem("missing_ahead", head, file or None, hint=hint), more=problems)


def template(panel: Panel, contract: Contract, horizon: int, *, typed: bool = False) -> pa.Table:
    """The rows of the horizon to fill in: id and time as in the data, the columns known ahead, with what is known.
    Holidays are left out: the calendar knows them."""
    known = known_ahead(contract)
    assert panel.beside is not None
    assert panel.row is not None
    ahead = panel.beside.ahead(panel.row, panel.end, horizon)
    ordinals = (panel.end[:, None] + np.arange(horizon)).ravel()
    each = pa.array(np.repeat(np.arange(len(panel)), horizon))
    columns: dict[str, Any] = {header: pa.array(texts, pa.string()).take(each)
                               for header, texts in contract.id_cells(panel.ids).items()}
    times = contract.calendar.times(ordinals)
    is_text = contract.calendar.is_time and not typed
    columns[contract.time] = pa.array(contract.time_text(times)) if is_text else pa.array(times)
    for k, b in enumerate(known):
        if not b.is_holiday:
            columns[b.name] = cells_of(b, ahead[:, :, k].ravel())
    return pa.table(columns)


def cells_of(b: Beside, values: Floats) -> Any:
    """Values as a column of a table: words as they are written, numbers as numbers."""
    if b.words:
        return pa.array([shown(b, value) or None for value in values.tolist()], pa.string())
    gone = np.isnan(values)
    if (gone | (values == np.rint(values))).all() and np.abs(values[~gone]).max(initial=0) < 2**53:
        return pa.array(np.where(gone, 0, values).astype(np.int64), mask=gone)
    return pa.array(values, mask=gone)
