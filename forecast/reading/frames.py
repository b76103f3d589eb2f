"""Frames: a data frame to a Panel and a contract, by the rules that hold for a file.

Numbers and time stamps are taken as they are. Text, whether of dates or of numbers, is read as in a file. A row is
named by its position, `frame.iloc[row]`. The frame stays as it was, and nothing made of it shares memory with it."""

# N rows

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.aggregates import as_asked, is_counted
from forecast.reading.contract import Contract
from forecast.reading.damage import Damage
from forecast.reading.names import with_joined_ids
from forecast.reading.opening import Opened, open_columns
from forecast.reading.parsing.dates import FIRST_YEAR, LAST_YEAR, Times
from forecast.reading.parsing.numbers import (
    EXACT,
    LARGEST,
    Fault,
    Faults,
    Numbers,
    NumberStyle,
    codes_of,
    fault_of,
    most_decimals,
    rounded_in,
)
from forecast.reading.parsing.table import ASIDE, Lines, Table, as_written
from forecast.reading.parsing.timeformat import TimeFormat
from forecast.reading.reader import (
    Cells,
    Reading,
    as_agreed,
    beside_of,
    read_column,
    reading_of,
    series_codes,
    values_of,
)
from forecast.reading.roles import find_roles
from forecast.reading.sources.files import Source, Text
from forecast.reading.sources.frames import FrameColumns
from forecast.reading.stamps import joined, placed, read_stamps
from forecast.reading.trying import tried
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.calendar import DAY, SECOND
from forecast.series.panel import Panel
from forecast.system.datasource import FRAME
from forecast.text import quoted

SMALL = 200_000                     # rows of a frame on which hints are tried
WRITTEN = 9                         # decimals up to which they are counted without writing the numbers
PERIODS = {"Y-DEC": "%Y", "Q-DEC": "%YQ%q", "M": "%Y-%m", "h": "%Y-%m-%d %H:%M", "min": "%Y-%m-%d %H:%M"}
UNITS = {"s": SECOND, "ms": 1000, "us": 1}                              # microseconds


def read_frame(frame: pd.DataFrame, options: DataConfig = DataConfig(), contract: Contract | None = None) -> Reading:
    """Read a frame as read_panel reads a file. `contract`: read it as the model's own data were read.

    Time stamps that know their zone are taken in it, as by data.tz. Raises DataError naming the positions of the rows,
    or ModelError for a frame of another kind than the contract's. The flags of its hint were tried."""
    if options.turn:
        raise DataError("turn=True is for files", file=FRAME, code="turned",
                        hint="Turn the frame itself, as by frame.melt(id_vars=[...], var_name='time')")
    try:
        return _read(frame, options, contract)
    except DataError as error:
        if not error.remedy or len(frame) > SMALL:
            raise
        raise tried(error, options, lambda changed: _read(frame, changed, contract)) from error


def _read(frame: pd.DataFrame, options: DataConfig, contract: Contract | None) -> Reading:
    columns, options = FrameColumns.of(frame), as_asked(options)
    opened = _opened(columns, options, contract)
    roles = opened.roles
    columns.check(opened.used())
    direct = roles.time[0] if len(roles.time) == 1 and _is_stamp(columns.cells(roles.time[0])) else None
    options = as_agreed(options, contract)
    if direct is not None and options.tz is None:
        options = dataclasses.replace(options, tz=_zone(columns.cells(direct)))
    table = _table(opened, columns, direct)
    damage = Damage(table.without(table.columns), FRAME)
    codes, ids = series_codes(opened, table, damage)
    if direct is None:
        times = read_stamps(table, roles, codes, options, contract, damage)
        stamps = joined(table, roles)
    else:
        times = _stamps(columns, direct, codes, options, damage)
        stamps = _Written(columns.cells(direct), times.format)
        if contract is not None and contract.calendar.is_time and contract.utc == times.utc:
            times = dataclasses.replace(times, format=contract.time_format)     # moments are in no format
    numbers = values_of(opened, table, damage, lambda k: _numbers(opened, columns, k, options, contract))
    opened, table, strips = beside_of(opened, table, numbers, times, options, contract, damage)
    if damage.faults:
        damage.forgive(_blank(opened, columns))
    cells = Cells(codes, ids, times, numbers, lambda row: str(stamps[row].as_py()), strips)
    reading = reading_of(opened, table, cells, damage, options, contract)
    return dataclasses.replace(reading, sha256=_identity(reading.panel))


def _opened(columns: FrameColumns, options: DataConfig, contract: Contract | None) -> Opened:
    """Which column is which. Raises DataError; headers have no row."""
    try:
        return open_columns(source_of(columns), partial(find_roles, options=options, contract=contract))
    except DataError as error:
        raise DataError(dataclasses.replace(error.problem, row=None), more=error.problems[1:],
                        remedy=error.remedy) from None


def _table(opened: Opened, columns: FrameColumns, direct: int | None) -> Table:
    """The columns that are read as text: ids, numbers written as text, and times but for the one taken as it is."""
    roles, texts = opened.roles, {}
    for k in ({*roles.ids, *roles.time} - {direct}):
        texts[k] = _encoded(columns.cells(k))
    texts |= {k: as_written(columns.cells(k)) for k in roles.targets if _is_text(columns.cells(k).type)}
    texts |= {k: as_written(columns.cells(k)) for _, k in roles.beside}
    if len(roles.time) > 1:
        texts |= {k: texts[k].cast(pa.string()) for k in roles.time}
    table = Table(FRAME, columns.names, texts, columns.rows, _Positions(Text(b""), None, columns.rows))
    return with_joined_ids(table, roles.ids, spaced=False) if roles.more_ids else table


def source_of(columns: FrameColumns) -> Source:
    """A frame in the place of a file."""
    return Source(FRAME, Text(b""), str, "utf-8", (), columns)


class _Positions(Lines):
    """Rows have no lines; they are counted as `iloc` counts them."""

    def of(self, row: int) -> int:
        return row


def _encoded(cells: Any) -> Any:
    """Cells as a dictionary of distinct texts, in order of appearance, as a file would hold them."""
    coded = pc.dictionary_encode(cells, null_encoding="encode")
    values = coded.dictionary
    plain = pa.types.is_floating(values.type) or pa.types.is_boolean(values.type)
    texts = pa.array(["" if v is None else str(v) for v in values.to_pylist()], pa.string()) if plain else \
        as_written(values)
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return pa.DictionaryArray.from_arrays(coded.indices, texts)


def _blank(opened: Opened, columns: FrameColumns) -> Bools:
    """Rows whose used cells are all empty."""
    empty = [columns.cells(k).is_null().to_numpy(zero_copy_only=False) for k in opened.used()]
    blank: Bools = np.logical_and.reduce(empty)
    return blank


def _identity(panel: Panel) -> str:
    """SHA-256 of what was read, in place of a file's bytes."""
    filled = b"" if panel.filled is None else panel.filled.tobytes()
    beside = b"" if panel.beside is None else panel.beside.values.tobytes()
    return hashlib.sha256(panel.fingerprint().encode() + repr(panel.calendar).encode() + filled + beside).hexdigest()


# time stamps

def _is_stamp(cells: Any) -> bool:
    return bool(pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type))


def _zone(cells: Any) -> str | None:
    """The zone of stamps that know it by name; a plain offset from UTC is none."""
    zone = getattr(cells.type, "tz", None)
    return zone if zone and zone != "UTC" and zone[0] not in "+-" else None


def _offset(cells: Any) -> str:
    """The offset from UTC of all stamps, as it is written; "" where their zone has several or they have none."""
    zone = getattr(cells.type, "tz", None) or ""
    return "+00:00" if zone == "UTC" else zone if zone[:1] in ("+", "-") else ""


def _stamps(columns: FrameColumns, k: int, codes: Ints, options: DataConfig, damage: Damage) -> Times:
    """A column of moments as they are, on the wall clock or in UTC."""
    cells, header = columns.cells(k), columns.names[k]
    stamps, faults = _microseconds(cells)
    aware = getattr(cells.type, "tz", None) is not None
    form = TimeFormat(_pattern(columns.series[k], stamps, cells), offset=_offset(cells),
                      digits=6 if (stamps % 1000).any() or not (stamps % SECOND).any() else 3)
    damage.add(faults, header)
    return placed(Times(stamps, form, faults, utc=aware), cells, codes, options, damage, header)


def _microseconds(cells: Any) -> tuple[Ints, Faults]:
    """Microseconds since 1970 (N,), 0 where at fault: no moment, between two microseconds, or in no year that has
    records."""
    if pa.types.is_date(cells.type):
        cells = cells.cast(pa.timestamp("s"))
    unit = cells.type.unit
    gone = cells.is_null().to_numpy(zero_copy_only=False)
    raw = cells.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    first, stop = (int(np.datetime64(f"{year}-01-01", unit).astype(np.int64)) for year in (
        max(FIRST_YEAR, 1678 if unit == "ns" else 0), LAST_YEAR + 1))
    outside, between = (raw < first) | (raw >= stop), (raw % 1000 != 0) & (unit == "ns")
    good = ~(gone | outside | between)
    scaled = raw // 1000 if unit == "ns" else np.where(good, raw, 0) * UNITS[unit]

    def explain(row: int) -> Fault:
        if gone[row]:
            return Fault(row, "", "no_time", "has no time stamp", ASIDE)
        shown = str(np.datetime64(int(raw[row]), unit)).replace("T", " ")
        if outside[row]:
            return Fault(row, shown, "year", f"{quoted(shown)} is not between {FIRST_YEAR} and {LAST_YEAR}",
                         "Mend the year")
        return Fault(row, shown, "too_fine", f"{quoted(shown)} stands between two microseconds",
                     "Round the time stamps, as by .dt.round('us')")

    return np.where(good, scaled, 0), Faults(np.flatnonzero(~good), explain)


def _pattern(series: pd.Series, stamps: Ints, cells: Any) -> str:
    """How a CSV file of the frame would write its stamps."""
    step = series.dtype.name[len("period["):-1].lstrip("0123456789")   # Q-DEC; "" where it is no period
    if isinstance(series.dtype, pd.PeriodDtype) and step in PERIODS:
        return PERIODS[step]
    aware = getattr(cells.type, "tz", None) is not None
    if not aware and not (stamps % DAY).any():
        return "%Y-%m-%d"
    return "%Y-%m-%d %H:%M:%S" + (".%f" if (stamps % SECOND).any() else "") + ("%z" if aware else "")


@dataclass(frozen=True)
class _Written:
    """Stamps as a CSV file of the frame would write them, for messages."""

    cells: Any
    form: TimeFormat

    def __getitem__(self, row: int) -> Any:
        moment = self.cells[row].as_py()
        if getattr(self.cells.type, "tz", None) is not None:
            return pa.scalar(str(moment))
        return pa.scalar(self.form.text(np.array([moment], dtype="datetime64[us]"))[0])


# numbers

def _numbers(opened: Opened, columns: FrameColumns, k: int, options: DataConfig, contract: Contract | None) -> Numbers:
    """A target column. Raises DataError where it holds anything but numbers, or text that may be some."""
    cells = columns.cells(k)
    if _is_text(cells.type) or is_counted(options, columns.names[k]):
        return read_column(opened, k, as_written(cells), options, contract)
    if pa.types.is_float16(cells.type) or pa.types.is_float32(cells.type):
        cells = cells.cast(pa.float32()).cast(pa.string()).cast(pa.float64())     # a float32 of 0.1 means 0.1
    if not (pa.types.is_integer(cells.type) or pa.types.is_float64(cells.type)):
        raise DataError(f"holds {columns.series[k].dtype}, not numbers", file=FRAME, column=columns.names[k],
                        code="wrong_type",
                        hint="Choose another column with --target, or turn it into numbers, as by .astype(int)")
    whole = pa.types.is_integer(cells.type)
    values = np.array(cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    coded = np.isin(values, codes_of(options.missing or ()))
    codes, counts = np.unique(values[coded], return_counts=True)
    known = ~np.isnan(values) & ~coded
    bad = np.flatnonzero(known & ~(np.abs(values) <= LARGEST))
    seen = {f"{code:.15g}": int(count) for code, count in zip(codes, counts, strict=True)}
    good = known & (np.abs(values) <= LARGEST)
    decimals = 0 if whole else decimals_of(values[good])
    faults = Faults(bad, lambda row: fault_of(row, str(cells[row].as_py()), NumberStyle()))
    rounded = rounded_in(cells, values) if whole else 0
    return Numbers(np.where(good, values, np.nan), decimals, NumberStyle(), seen, faults, rounded=rounded)


def _is_text(kind: Any) -> bool:
    """Whether cells of this type are read by how they are written: texts and decimals."""
    return bool(pa.types.is_decimal(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def decimals_of(values: Floats) -> int:
    """The most digits behind the point that `to_csv` would write of finite numbers (N,): 12.0 has one."""
    most, rest = 0, values
    for places in range(1, WRITTEN + 1):
        with np.errstate(over="ignore"):
            scaled = rest * 10.0**places
            exact = (np.rint(scaled) / 10.0**places == rest) & (np.abs(scaled) < EXACT)
        most = places if exact.any() else most
        rest = rest[~exact]
        if not rest.size:
            return most
    return max(most, most_decimals(pa.array(np.unique(rest)).cast(pa.string())))
