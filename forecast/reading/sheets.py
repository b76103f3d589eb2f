"""Sheets: what stands beside the series, joined to them: covariates among the data, in files beside them, and holidays.

A plan, which comes later, is another one's."""

# N rows  S series

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.config import DataConfig
from forecast.errors import DataError, about
from forecast.reading.beside import Sheet, Strip, check_not_empty, is_missing, read_strip
from forecast.reading.contract import HOLIDAYS, Beside, Contract
from forecast.reading.damage import Damage
from forecast.reading.holidays import check_country, holidays_at
from forecast.reading.opening import Opened, open_beside
from forecast.reading.parsing.coding import distinct
from forecast.reading.parsing.dates import Times
from forecast.reading.parsing.numbers import Faults, Numbers
from forecast.reading.parsing.table import Table
from forecast.reading.roles import OFFERED, Like, asked_roles
from forecast.reading.rows import Rows
from forecast.reading.sources.files import Source, open_source
from forecast.reading.stamps import joined, read_stamps
from forecast.series.arrays import Bools, Ints
from forecast.series.calendar import Calendar
from forecast.series.covariates import Role
from forecast.text import counted, from_csv_cell, listed, quoted, shorten

GOES_ON = 2                         # steps behind the last target from which a column is taken for known ahead
FILLED = 0.5                        # share of them that it must have


@dataclass(frozen=True)
class Main:
    """The series that covariates are joined to: their ids (S,), where they begin and end, and how their file writes
    ids and times."""

    file: str
    ids: Sequence[str]
    id_header: str | None
    time_headers: tuple[str, ...]
    calendar: Calendar
    start: Ints
    end: Ints
    utc: bool
    options: DataConfig
    contract: Contract | None = None    # of the training file
    form: Contract | None = None        # how another file is to write its times


def with_found(opened: Opened, table: Table, numbers: Sequence[Numbers], times: Times, options: DataConfig
               ) -> tuple[Opened, Table]:
    """With those columns as covariates, known ahead, whose values go on behind the last target of all, where nothing
    was said of any."""
    roles = opened.roles
    likely = [k for k, kind in roles.spare.items() if kind == OFFERED]
    if roles.layout == "wide" or roles.beside or roles.elsewhere or asked_roles(options) or not likely:
        return opened, table
    known = ~np.isnan(numbers[0].values)
    if not known.any() or (known[-1] and times.stamps[-1] == times.stamps.max()):
        return opened, table
    ahead = np.flatnonzero((times.stamps > times.stamps[known].max()) & ~known)
    if np.unique(times.stamps[ahead]).size < GOES_ON:
        return opened, table
    more = opened.read(likely, set_aside=options.bad_rows == "quarantine")
    if more.rows != table.rows:
        return opened, table
    going = [k for k in likely if _share_of(more.columns[k], ahead) >= FILLED]
    if not going:
        return opened, table
    said = f"known ahead: {listed([table.names[k] for k in going])}, as their values go on behind the last target"
    roles = dataclasses.replace(roles, beside=tuple(("known", k) for k in going), choices=(*roles.choices, said),
                                spare={k: kind for k, kind in roles.spare.items() if k not in going})
    columns = table.columns | {k: more.columns[k] for k in going}
    return dataclasses.replace(opened, roles=roles), dataclasses.replace(table, columns=columns)


def _share_of(cells: Any, rows: Ints) -> float:
    texts = [str(cells[int(row)].as_py()) for row in rows[:1000]]
    return sum(not is_missing(text) for text in texts) / len(texts)


def strips_of(opened: Opened, table: Table, options: DataConfig, before: Sequence[Beside], damage: Damage,
              decimal: str | None) -> tuple[Strip, ...]:
    """The covariates among the columns of a table, read as `before`. Raises DataError."""
    known, read = {b.name.strip().lower(): b for b in before}, []
    commas = opened.dialect is None or opened.dialect.delimiter == ","
    for role, k in opened.roles.beside:
        agreed = known.get(table.names[k].strip().lower())
        with about(table.file):
            strip = read_strip(table.columns[k], table.names[k], role, agreed=agreed, decimal=decimal,
                               comma_parted=commas, missing=options.missing or ())
        damage.add(strip.faults, table.names[k])
        read.append(strip)
    return tuple(read)


def without_future(rows: Rows) -> tuple[Rows, Bools]:
    """Rows up to the last known value of their series; and which rows lie behind it. A series without any value keeps
    its rows: that it has none is said."""
    known = ~np.isnan(rows.values)
    least = np.iinfo(np.int64).min
    last = np.full(len(rows.ids), least)
    np.maximum.at(last, rows.codes[known], rows.stamps[known])
    ahead = (rows.stamps > last[rows.codes]) & (last[rows.codes] > least)
    return (rows.take(~ahead) if ahead.any() else rows), ahead


def sheet_among(strips: Sequence[Strip], rows: Rows, kept: Bools, ahead: Bools, calendar: Calendar, options: DataConfig,
                ) -> Sheet:
    """The covariates that stand in the rows (N,) of the data. kept: rows of the table that were read · ahead (N,): rows
    behind the last target. Raises DataError for such rows that repeat a time, or stand beside the step."""
    wide = rows.wide
    strips = tuple(dataclasses.replace(s, values=s.values[kept]) for s in strips)
    size = int(kept.sum())
    codes, stamps = rows.codes[:size], rows.stamps[:size]
    stamps = stamps.view("datetime64[us]") if rows.is_time else stamps
    sheet = Sheet(rows.file, strips, None if wide else codes, calendar.nearest(stamps), rows.line, rows.text)
    _check_grid(sheet, stamps, calendar, np.flatnonzero(ahead[:size]))
    _check_once(sheet, np.flatnonzero(ahead[:size]), options.duplicates, rows.ids.tolist())
    check_not_empty(sheet)
    return sheet


def _check_grid(sheet: Sheet, stamps: Any, calendar: Calendar, rows: Ints) -> None:
    """Raises DataError for a row that stands beside the step of the series."""
    off = rows[calendar.off_grid(stamps[rows])] if rows.size else rows
    if off.size:
        row = int(off[0])
        beside = f"{quoted(sheet.text(row))} stands beside the step of the series ({calendar.freq})"
        raise DataError(sheet.problem(row, "off_grid", beside, "Bring its times to that step"))


def _check_once(sheet: Sheet, rows: Ints, rule: str, ids: Sequence[str]) -> None:
    """Raises DataError for a second row of one series and time, where duplicates are refused."""
    if rule != "refuse" or rows.size < 2 or sheet.ordinals is None:
        return
    codes = np.zeros(sheet.ordinals.size, dtype=np.int64) if sheet.codes is None else sheet.codes
    order = rows[np.lexsort((sheet.ordinals[rows], codes[rows]))]
    again = order[1:][(np.diff(codes[order]) == 0) & (np.diff(sheet.ordinals[order]) == 0)]
    if again.size:
        row = int(again.min())
        whose = f" in {quoted(ids[codes[row]], 30)}" if sheet.codes is not None and len(ids) > 1 else ""
        raise DataError(sheet.problem(row, "duplicate_time", f"{quoted(sheet.text(row))} stands twice{whose}",
                                      "Leave one of the rows, or --duplicates last"))


def opened_beside(source: Source, main: Main, wanted: Sequence[tuple[Role, str]], before: Sequence[Beside], *,
                  auto: bool = False) -> tuple[Sheet, Opened, list[str]]:
    """A file of covariates as a sheet on the calendar of the series, and what there is to say of it. auto: its columns
    that go on behind the last target are wanted, where no other is. Raises DataError."""
    like = Like(main.id_header, main.time_headers, tuple(wanted))
    options = dataclasses.replace(main.options, delimiter=None, encoding=None, id=None, time=None, target=None)
    opened, table = open_beside(source, options, like)
    damage = Damage(table.without(table.columns), source.file)
    codes, left, notes = _codes_in(opened, table, main)
    stamps = _stamps_in(opened, table, codes, options, main, damage)
    if auto and not opened.roles.beside:
        opened, table = _going_on(opened, table, stamps, main)
    strips = strips_of(opened, table, options, before, damage, options.decimal)
    damage.settle(set_aside=False)
    texts = None if stamps is None else joined(table, opened.roles)
    sheet = Sheet(source.file, strips, codes, None if stamps is None else main.calendar.nearest(stamps), table.lines.of,
                  lambda row: "" if texts is None else str(texts[row].as_py()))
    if stamps is not None:
        _check_grid(sheet, stamps, main.calendar, np.flatnonzero(~left))
        _check_once(sheet, np.flatnonzero(~left), options.duplicates, main.ids)
    if left.any():
        sheet = _kept(sheet, ~left, table)
    return sheet, opened, notes


def _kept(sheet: Sheet, rows: Bools, table: Table) -> Sheet:
    at = np.flatnonzero(rows)
    strips = tuple(dataclasses.replace(s, values=s.values[at]) for s in sheet.strips)
    line, text = sheet.line, sheet.text
    return Sheet(sheet.file, strips, None if sheet.codes is None else sheet.codes[at],
                 None if sheet.ordinals is None else sheet.ordinals[at], lambda row: line(int(at[row])),
                 lambda row: text(int(at[row])))


def _codes_in(opened: Opened, table: Table, main: Main) -> tuple[Ints | None, Bools, list[str]]:
    """The series of each row, None where there is no id; the rows of series that the data have not; and words.

    Raises DataError where no row is about any series of the data."""
    none = np.zeros(table.rows, dtype=bool)
    if opened.roles.id is None:
        return None, none, []
    texts, codes = distinct(table.columns[opened.roles.id])
    names = [str(text) for text in texts.to_pylist()]
    unmarked = names if opened.roles.more_ids else [from_csv_cell(name) for name in names]
    names = unmarked if len(set(unmarked)) == len(names) else names
    place = {name: k for k, name in enumerate(main.ids)}
    found = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    codes = found[codes]
    strange = [name for name, k in zip(names, found.tolist(), strict=True) if k < 0]
    if len(strange) == len(names):
        raise DataError(f"is of other series: it has {listed(names, 3)}, the data {listed(main.ids, 3)}",
                        file=table.file, column=shorten(table.names[opened.roles.id], 60), code="other_series",
                        hint="Give the file of these series")
    words = f"{table.file}: {counted(len(strange), 'series')} not in the data: {listed(strange, 4)}"
    return codes, codes < 0, [words] if strange else []


def _stamps_in(opened: Opened, table: Table, codes: Ints | None, options: DataConfig, main: Main, damage: Damage
               ) -> Any:
    """The times of the rows, as the calendar counts them; None where there are none. Raises DataError."""
    if not opened.roles.time:
        return None
    groups = np.zeros(table.rows, dtype=np.int64) if codes is None else codes - min(0, int(codes.min()))
    times = read_stamps(table, opened.roles, groups, options, main.form, damage)
    damage.settle(set_aside=False)
    if times.format.is_integer == main.calendar.is_time:
        held = "integers" if times.format.is_integer else "dates"
        raise DataError(f"holds {held} as times, the data {'dates' if main.calendar.is_time else 'integers'}",
                        file=table.file, column=shorten(table.names[opened.roles.time[0]], 60), code="other_times")
    if times.utc != main.utc and main.calendar.is_time:
        raise DataError("has times with an offset from UTC, the data have none" if times.utc else
                        "has times without an offset from UTC, the data have some", file=table.file,
                        column=shorten(table.names[opened.roles.time[0]], 60), code="other_times",
                        hint="Write both one way, or --tz")
    return times.values


def _going_on(opened: Opened, table: Table, stamps: Any, main: Main) -> tuple[Opened, Table]:
    """The columns that have values behind the last target of all."""
    if stamps is None:
        return opened, table
    ahead = np.flatnonzero(main.calendar.nearest(stamps) >= main.end.max())
    more = opened.read(list(opened.roles.spare), set_aside=False) if ahead.size and opened.roles.spare else None
    going = [] if more is None else [k for k in opened.roles.spare if _share_of(more.columns[k], ahead) >= FILLED]
    roles = dataclasses.replace(opened.roles, beside=tuple(("known", k) for k in going),
                                spare={k: kind for k, kind in opened.roles.spare.items() if k not in going})
    columns = table.columns if more is None else table.columns | {k: more.columns[k] for k in going}
    return dataclasses.replace(opened, roles=roles), dataclasses.replace(table, columns=columns)


def beside_at(file: str, options: DataConfig, contract: Contract | None) -> list[tuple[str, str]]:
    """The files of covariates of some data: how each is kept in the contract, and where it lies now."""
    folder = "" if file.startswith(("<", "-")) else os.path.dirname(file)
    if options.covariates:
        return [(_from(folder, path), path) for path in options.covariates]
    kept = [] if contract is None else [b.source for b in contract.beside if b.source and not b.is_holiday]
    return [(path, os.path.join(folder, path)) for path in dict.fromkeys(kept)]


def _from(folder: str, path: str) -> str:
    """A path as seen from the folder of the data; one that was given whole stays whole."""
    return path if os.path.isabs(path) and not os.path.isabs(folder) else os.path.relpath(path, folder or ".")


def joined_files(main: Main, elsewhere: Sequence[tuple[Role, str]]) -> tuple[list[Sheet], list[str], list[str], str]:
    """The sheets of all files of covariates: (sheets, notes, choices, a digest of their bytes). Raises DataError, where
    a column that was asked for is in none of them."""
    sheets, notes, choices, digests, places = list[Sheet](), list[str](), list[str](), list[str](), dict[str, str]()
    for kept, path in beside_at(main.file, main.options, main.contract):
        source = open_source(path, None)
        before = () if main.contract is None else main.contract.beside
        sheet, opened, said = opened_beside(source, main, elsewhere, before, auto=not asked_roles(main.options)
                                            and main.contract is None)
        names = [s.agreed.name for s in sheet.strips]
        for name in names:
            if name in places:
                raise DataError(f"column {quoted(name)} stands also in {places[name]}", file=path, code="double_column",
                                hint="Rename one")
            places[name] = path
        unused = opened.roles.notes(opened.names)
        notes += [f"{path}: {note}" for note in unused] + said
        if main.contract is None:
            by = "time alone" if sheet.codes is None else "id" if sheet.ordinals is None else "id and time"
            choices.append(f"{path}: {listed(names)} joined by {by}" if names else f"{path}: no column of it is used")
        check_not_empty(sheet)
        sheets.append(_from_file(sheet, kept))
        digests.append(source.sha256)
    missing = [(role, name) for role, name in elsewhere if name.strip().lower() not in
               {n.strip().lower() for n in places}]
    if missing:
        raise _nowhere(main, missing[0])
    return [s for s in sheets if s.strips], notes, choices, hashlib.sha256("".join(digests).encode()).hexdigest()


def _from_file(sheet: Sheet, kept: str) -> Sheet:
    return dataclasses.replace(sheet, strips=tuple(dataclasses.replace(
        s, agreed=dataclasses.replace(s.agreed, source=kept)) for s in sheet.strips))


def _nowhere(main: Main, wanted: tuple[Role, str]) -> DataError:
    files = [os.path.basename(path) for _, path in beside_at(main.file, main.options, main.contract)]
    where = f"neither the data nor {listed(files, 3)} have" if files else "there is"
    used = "used by the model" if main.contract is not None else f"--{wanted[0]}"
    return DataError(f"{where} {'a' if files else 'no'} column {quoted(wanted[1])} ({used})", file=main.file,
                     code="missing_column", hint="Name its file with --covariates")


def holiday_sheets(main: Main, stop: int) -> list[Sheet]:
    """Public holidays from the first row up to `stop`. Raises RequestError."""
    if main.contract is not None:
        codes = [(b.source or "").removeprefix(HOLIDAYS) for b in main.contract.beside if b.is_holiday]
    else:
        codes = list(main.options.holidays or ())
    sheets = []
    for code in codes:
        check_country(code)
        ordinals = np.arange(int(main.start.min()), stop)
        values = holidays_at(code, main.calendar, ordinals, utc=main.utc, tz=main.options.tz)
        agreed = Beside(f"holidays {code}", "known", source=f"{HOLIDAYS}{code}")
        strip = Strip(agreed, values, Faults())
        sheets.append(Sheet(agreed.name, (strip,), None, ordinals, lambda row: row, str))
    return sheets
