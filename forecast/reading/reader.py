"""Reader: a file becomes a checked Panel and a contract, or a refusal that names the line.

It tells the story only. Where bytes come from is in sources/, how they are parted and which column is which in
opening.py, what cells mean in stamps.py and numbers.py, how series become gapless in regular.py, what is said in
remarks.py."""

# N rows  S series

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.config import DataConfig
from forecast.errors import DataError, ModelError, Problem
from forecast.reading.aggregates import as_asked, check_columns, is_counted, rule_of
from forecast.reading.beside import Strip
from forecast.reading.contract import Contract, mark_of
from forecast.reading.damage import Damage
from forecast.reading.events import Steps, in_steps
from forecast.reading.filling import Regular
from forecast.reading.joining import Joined, joined_to
from forecast.reading.opening import Opened, open_table
from forecast.reading.parsing.coding import distinct
from forecast.reading.parsing.dates import Times
from forecast.reading.parsing.numbers import Fault, Faults, Numbers, ones, read_numbers
from forecast.reading.parsing.table import ASIDE, Table
from forecast.reading.parsing.zones import check_zone
from forecast.reading.proposals import with_proposal
from forecast.reading.regular import make_regular
from forecast.reading.remarks import (
    Parsed,
    notes_of_cells,
    notes_of_series,
    repairs_of,
    rescaled_in,
    usual_size,
    words_of,
)
from forecast.reading.rows import PIECE, Repair, Rows
from forecast.reading.sheets import Main, strips_of, with_found, without_future
from forecast.reading.sources.files import Source, open_source
from forecast.reading.sources.workbook import DAYS_OF_1904
from forecast.reading.stacked import check_stacked, separators
from forecast.reading.stamps import joined, read_stamps, time_header
from forecast.reading.totals import without_totals
from forecast.reading.trying import tried
from forecast.series.arrays import Ints
from forecast.series.calendar import DAY, Calendar
from forecast.series.ids import listed_names
from forecast.series.panel import Panel
from forecast.system.machine import spare_pandas
from forecast.text import counted, from_csv_cell, quoted, shorten

__all__ = ["Cells", "Reading", "Repair", "as_agreed", "beside_of", "read_column", "read_panel", "read_source",
           "reading_of", "series_codes", "values_of"]


@dataclass(frozen=True)
class Reading:
    """What a file holds, what was assumed and what was mended. `rejects`: rows set aside · `choices`: those of the
    notes that a contract makes needless · `rescaled`: series whose newest values seem to be in another unit."""

    panel: Panel
    contract: Contract
    rows: int
    sha256: str
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...]
    file: str
    rejects: tuple[Problem, ...] = ()
    choices: tuple[str, ...] = ()
    rescaled: tuple[Problem, ...] = ()
    content: str = ""               # a digest of the files beside it

    def check_scale(self) -> None:
        """Raises DataError where newest values seem to be in another unit than their past: no forecast or score of both
        makes sense."""
        if self.rescaled:
            raise DataError(self.rescaled[0], more=self.rescaled[1:])

    @property
    def span(self) -> tuple[str, str]:
        """First and last time of the series that have a value, as the file writes them."""
        panel, calendar = self.panel.with_values()[0], self.contract.calendar
        first, last = self.contract.time_text(calendar.times(np.array([panel.start.min(), panel.end.max() - 1])))
        return first, last


@dataclass(frozen=True)
class Cells:
    """What the used cells of a table hold, row by row: the series (N,) and their ids, the stamps, the numbers of each
    target; `text`: the stamp of a row as it is written there; `strips`: the covariates."""

    codes: Ints
    ids: list[str]
    times: Times
    numbers: list[Numbers]
    text: Callable[[int], str]
    strips: tuple[Strip, ...] = ()


def read_panel(path: str | os.PathLike[str], options: DataConfig = DataConfig(),
               contract: Contract | None = None) -> Reading:
    """Read a file. `contract`: read it as the model's own file was read.

    Raises DataError naming the lines, or ModelError for a file of another kind than the contract's. The flags of its
    hint were tried, where the file is no large one."""
    spare_pandas()
    try:
        return _opened(path, options, contract)
    except DataError as error:
        if not error.remedy or not _is_small(path):
            raise
        raise tried(error, options, lambda changed: _opened(path, changed, contract)) from error


def _is_small(path: str | os.PathLike[str]) -> bool:
    """A file that may be read several times over."""
    return os.path.isfile(path) and os.path.getsize(path) <= SMALL


def _opened(path: str | os.PathLike[str], options: DataConfig, contract: Contract | None) -> Reading:
    options = as_asked(options)
    source = open_source(path, options.encoding, sheet=options.sheet, decimal=options.decimal)
    return read_source(source, as_agreed(options, contract), contract)


def read_source(source: Source, options: DataConfig, contract: Contract | None) -> Reading:
    """The same of a source that is open, by settings as agreed. Raises what read_panel raises."""
    return _placed(source, lambda: _read(source, options, contract))


def _read(source: Source, options: DataConfig, contract: Contract | None) -> Reading:
    if source.sheet is not None:                                    # its numbers are written in one way
        options = dataclasses.replace(options, decimal=options.decimal or ".")
    opened, table = open_table(source, options, contract)
    damage = Damage(table.without(table.columns), source.file)
    codes, ids = series_codes(opened, table, damage)
    times = read_stamps(table, opened.roles, codes, options, contract, damage)
    if DAYS_OF_1904 in source.notes and times.format.pattern == "excel":
        raise DataError("holds days as plain numbers, and this workbook counts them from 1904", file=source.file,
                        column=shorten(time_header(table, opened.roles), 60), code="days_of_1904",
                        hint="Format the column as dates in Excel")
    numbers = values_of(opened, table, damage,
                        lambda k: read_column(opened, k, table.columns[k], options, contract))
    opened, table, strips = beside_of(opened, table, numbers, times, options, contract, damage)
    if damage.faults:
        table = without_totals(table, opened, damage)
    else:                                                           # only the stamps are asked for again
        table = table.without({*table.columns} - {*opened.roles.time})
    stamps = joined(table, opened.roles)
    cells = Cells(codes, ids, times, numbers, lambda row: str(stamps[row].as_py()), strips)
    return reading_of(opened, table, cells, damage, options, contract)


def _placed(source: Source, read: Callable[[], Reading]) -> Reading:
    """A reading of a workbook names cells, one of a folder its files, in what it refuses too."""
    placed = source.sheet.placed if source.sheet else getattr(source.columns, "placed", None)
    if placed is None:
        return read()
    try:
        reading = read()
    except DataError as error:
        raise DataError(placed(error.problem), more=tuple(map(placed, error.problems[1:])),
                        remedy=error.remedy) from error
    repairs = tuple(dataclasses.replace(r, examples=tuple(map(placed, r.examples))) for r in reading.repairs)
    return dataclasses.replace(reading, repairs=repairs, rejects=tuple(map(placed, reading.rejects)),
                               rescaled=tuple(map(placed, reading.rescaled)))


def beside_of(opened: Opened, table: Table, numbers: list[Numbers], times: Times, options: DataConfig,
              contract: Contract | None, damage: Damage) -> tuple[Opened, Table, tuple[Strip, ...]]:
    """The covariates among the columns, found or named. Raises DataError."""
    if options.every is not None:
        check_columns(options, [table.names[k] for k in opened.roles.targets], opened.roles.beside)
    elif contract is None:
        opened, table = with_found(opened, table, numbers, times, options)
    decimal = options.decimal or ("," if numbers[0].style.decimal == "," else None)
    before = () if contract is None else contract.beside
    return opened, table, strips_of(opened, table, options, before, damage, decimal)


def reading_of(opened: Opened, table: Table, cells: Cells, damage: Damage, options: DataConfig,
               contract: Contract | None) -> Reading:
    """What the cells come to: gapless series on one calendar, or a refusal. Raises what read_panel raises."""
    source, times, numbers = opened.source, cells.times, cells.numbers
    kept = ~(damage.bad | damage.blank)
    every = _long(opened, table, cells, kept)
    aside, rejects = damage.settle(set_aside=options.bad_rows == "quarantine")
    has_more = cells.strips or options.covariates or options.holidays or (contract is not None and contract.beside)
    rows, ahead = without_future(every) if has_more else (every, np.zeros(every.codes.size, dtype=bool))
    steps = None if options.every is None else in_steps(rows, times, [n.decimals for n in numbers], options)
    rows = rows if steps is None else steps.rows
    regular = _regular(rows, opened, cells, options, contract, steps)
    parsed = Parsed(source, opened.dialect, opened.roles, table, cells.ids, times, numbers, aside, rejects)
    agreed = _contract(parsed, rows.ids.tolist(), regular, options, marked=contract is None)
    more = Joined()
    if has_more:
        main = Main(source.file, rows.ids.tolist(), agreed.id_column or ("series" if rows.wide else None),
                    agreed.time_columns, regular.calendar, regular.start, regular.start + regular.stop - regular.first,
                    times.utc, options, contract)
        more = joined_to(regular, main, opened.roles, every, ahead, cells.strips, kept)
        agreed = dataclasses.replace(agreed, beside=more.agreed)
    if contract is not None:
        agreed = _held_against(contract, agreed)
    panel = Panel(regular.y, regular.first, regular.stop, regular.start, rows.ids, regular.calendar, regular.filled,
                  more.covariates, None if more.covariates is None else np.arange(len(rows.ids)))
    rescaled = rescaled_in(regular, rows, contract)
    units = words_of(rescaled)
    notes = (*notes_of_cells(parsed, contract), *notes_of_series(panel, contract), *(steps.notes if steps else ()),
             *more.choices, *more.notes, *units)
    return Reading(panel, agreed, table.rows, source.sha256, notes, repairs_of(parsed, regular), source.file, rejects,
                   (*opened.roles.choices, *more.choices, *units), rescaled, more.content)


def as_agreed(options: DataConfig, contract: Contract | None) -> DataConfig:
    """With a contract, the zone of the first file holds unless a flag names another. Raises DataError."""
    if options.tz is not None:
        check_zone(options.tz)
    return options if contract is None else dataclasses.replace(options, tz=options.tz or contract.tz)


def series_codes(opened: Opened, table: Table, damage: Damage) -> tuple[Ints, list[str]]:
    """The series of each row, counted in the order of the file, and their ids, byte for byte."""
    roles, dialect = opened.roles, opened.dialect
    if roles.id is None:
        named = opened.has_header or len(roles.targets) > 1
        return np.zeros(table.rows, dtype=np.int64), [table.names[k] for k in roles.targets] if named else ["value"]
    texts, codes = distinct(table.columns[roles.id])
    ids: list[str] = texts.to_pylist()
    nameless = [k for k, text in enumerate(ids) if not text.strip()]
    if nameless:
        damage.add(Faults(np.flatnonzero(np.isin(codes, nameless)),
                          lambda row: Fault(row, "", "no_id", "has no id", ASIDE)),
                   listed_names([table.names[k] for k in roles.ids]))
    if roles.more_ids:
        return codes, ids
    if dialect is not None and dialect.skip_space and roles.id > 0:
        ids = [text.removeprefix(" ") for text in ids]
    unmarked = [from_csv_cell(text) for text in ids]
    return codes, unmarked if len(set(unmarked)) == len(ids) else ids


def read_column(opened: Opened, column: int, cells: Any, options: DataConfig, contract: Contract | None) -> Numbers:
    """A target column of text; where its rows are counted, whether they hold anything."""
    if is_counted(options, opened.names[column]):
        return ones(cells, options.missing or ())
    style = None if contract is None else contract.numbers
    commas = opened.dialect is None or opened.dialect.delimiter == ","
    numbers = read_numbers(cells, decimal=options.decimal, style=style, comma_parted=commas,
                           missing=options.missing or ())
    if options.every is not None and 2 * len(numbers.faults) > len(cells):
        fault = numbers.faults.explain(int(numbers.faults.rows[0]))
        raise DataError(f"holds texts such as {quoted(fault.text)}, and a {rule_of(options, opened.names[column])} of "
                        "texts is none", file=opened.source.file, column=shorten(opened.names[column], 60),
                        code="aggregate_of_text", hint="--aggregate count counts the rows")
    return numbers


def values_of(opened: Opened, table: Table, damage: Damage, read: Callable[[int], Numbers]) -> list[Numbers]:
    """Each target column as numbers. Raises DataError for one that may be read in two ways."""
    columns = []
    for k in opened.roles.targets:
        numbers = read(k)
        if numbers.undecided:
            row = next((r for r in range(min(table.rows, 100_000)) if not str(table.columns[k][r]).isdigit()), 0)
            raise DataError(numbers.undecided, file=table.file, row=table.lines.of(row),
                            column=shorten(table.names[k], 60),
                            code="ambiguous_number", hint="Try --decimal . or --decimal ','")
        damage.add(numbers.faults, table.names[k])
        columns.append(numbers)
    return columns


def _long(opened: Opened, table: Table, cells: Cells, good: NDArray[np.bool_]) -> Rows:
    """One row per series and stamp, the columns of a wide file one below the other; only the `good` rows (N,)."""
    roles, times, codes, numbers = opened.roles, cells.times, cells.codes, cells.numbers
    width, size = len(numbers), table.rows
    values, stamps = numbers[0].values, times.stamps
    if width > 1:
        values, stamps = np.concatenate([n.values for n in numbers]), np.tile(stamps, width)
        codes, good = np.repeat(np.arange(width), size), np.tile(good, width)
    headers = time_header(table, roles), table.names[roles.targets[0]]
    rows = Rows(codes, stamps, values, np.array(cells.ids, dtype=object), not times.format.is_integer, times.utc,
                lambda row: table.lines.of(row % size), lambda row: cells.text(row % size),
                table.file, shorten(headers[0], 60), shorten(headers[1], 60), roles.layout == "wide")
    return rows if good.all() else _with_rows(rows.take(good))


def _with_rows(rows: Rows) -> Rows:
    """Without the ids whose rows were all set aside."""
    present, codes = np.unique(rows.codes, return_inverse=True)
    return dataclasses.replace(rows, codes=codes, ids=rows.ids[present])


SMALL = 4 << 20                     # bytes of a file on which hints are tried
_STACKED = ("duplicate_time", "backward_step", "late_midnight")
_SHORTEST_MONTH = 27 * DAY           # steps from which they may be months
FEW = 8                             # rows that hardly tell a step


def _regular(rows: Rows, opened: Opened, cells: Cells, options: DataConfig, contract: Contract | None,
             steps: Steps | None) -> Regular:
    """Series on their calendar; with a contract, on the model's; `steps`: on those that events were brought to."""
    times, numbers = cells.times, cells.numbers
    if contract is not None:
        _check_step(rows, contract.calendar, is_given=options.freq is not None)
    try:
        regular = make_regular(rows, options, options.tz if times.utc else None,
                            contract.calendar if contract else steps.calendar if steps else None)
    except DataError as error:
        hint, remedy = separators(rows, opened.roles, opened) if error.problem.code in _STACKED else ("", {})
        if not hint:
            raise with_proposal(error, rows, times, [n.decimals for n in numbers], options) from error
        more = f" (and {counted(len(error.problems) - 1, 'such row')} more)" if len(error.problems) > 1 else ""
        raise DataError(dataclasses.replace(error.problem, message=error.problem.message + more, hint=hint),
                        remedy=remedy) from error
    if steps is not None:
        return dataclasses.replace(regular, repairs=(*steps.repairs, *regular.repairs))
    if contract is None and options.id is None and opened.has_header:
        check_stacked(rows, opened.roles, opened.names, lambda wanted: opened.read(wanted, set_aside=True))
    return regular


def _check_step(rows: Rows, agreed: Calendar, *, is_given: bool) -> None:
    """A file of another step than the model's is another kind of file. Raises ModelError.

    Of few rows, or where the step was given, it is enough that they stand on the model's grid."""
    calendar = Calendar.steps()
    if rows.is_time == agreed.is_time:
        beside = float(np.mean(agreed.off_grid(rows.times)))
        even = agreed.kind == "step" or (agreed.kind == "fixed" and agreed.every < _SHORTEST_MONTH)
        if even and beside == 0 and _mostly(rows, agreed.every):
            return
        try:
            calendar = Calendar.propose(rows.times, rows.codes if len(rows.ids) > 1 else None)
        except DataError:
            calendar = agreed                                       # one row of each series
        alike = (calendar.kind, calendar.every) == (agreed.kind, agreed.every)
        if beside < 0.5 and (alike or is_given or (rows.codes.size < FEW and beside == 0) or _week(calendar, agreed)):
            return
    what = f"steps of {calendar.freq}" if rows.is_time else "whole numbers in the time column"
    shifted = " at another time of day" if calendar.freq == agreed.freq else ""
    raise ModelError(f"the model was trained on steps of {agreed.freq}, and this file has {what}{shifted}",
                     file=rows.file, code="frequency",
                     hint="Train a model on data of this step")


def _mostly(rows: Rows, step: int) -> bool:
    """Whether rows in order of time are mostly one step of their grid apart: the step that would be found in them."""
    ours = onward = 0
    for at in range(0, rows.codes.size - 1, PIECE):
        steps = np.diff(rows.stamps[at:at + PIECE + 1])[rows.same[at:at + PIECE]]
        if (steps < 0).any():
            return False
        ours, onward = ours + int((steps == step).sum()), onward + int((steps > 0).sum())
    return 2 * ours > onward


def _week(one: Calendar, other: Calendar) -> bool:
    """A few days without a weekend between them may be business days."""
    return {one.freq, other.freq} == {"B", "D"}


def _contract(parsed: Parsed, ids: list[str], regular: Regular, options: DataConfig, *, marked: bool) -> Contract:
    """What the next file must look like, as found in this one; `marked` by its values too, for a model's own file."""
    roles, table = parsed.roles, parsed.table
    header = parsed.dialect is None or parsed.dialect.has_header
    id_columns = tuple(table.names[k] for k in roles.ids)
    id_column = listed_names(id_columns) if id_columns else None
    ident = {"single": None, "wide": "series"}.get(roles.layout, id_column if header else "id")
    sizes: dict[str, Any] = {"low": float(np.nanmin(regular.y)), "high": float(np.nanmax(regular.y)),
                             "size": usual_size(regular.y)}
    return Contract(
        id=ident, id_column=id_column, time=time_header(table, roles) if header else "time",
        time_columns=tuple(table.names[k] for k in roles.time), targets=tuple(table.names[k] for k in roles.targets),
        layout=roles.layout, decimals=max(n.decimals for n in parsed.numbers), calendar=regular.calendar,
        time_format=parsed.times.format, numbers=parsed.numbers[0].style, utc=parsed.times.utc,
        tz=None if parsed.times.format.is_integer else options.tz, encoding=parsed.source.encoding, ids=tuple(ids),
        last=int((regular.start + regular.stop - regular.first).max()) - 1, has_header=header, **sizes,
        id_columns=id_columns if len(id_columns) > 1 else (),
        marks=tuple(mark_of(start, regular.y[first:stop]) for start, first, stop in zip(
            regular.start.tolist(), regular.first.tolist(), regular.stop.tolist(), strict=True)) if marked else ())


def _held_against(agreed: Contract, now: Contract) -> Contract:
    """The contract of a later file: as agreed, with what may differ from file to file."""
    return dataclasses.replace(now, id=agreed.id, time=agreed.time, layout=agreed.layout,
                               decimals=max(agreed.decimals, now.decimals), time_format=agreed.time_format,
                               beside=agreed.beside, id_columns=agreed.id_columns)
