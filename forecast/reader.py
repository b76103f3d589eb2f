"""Reader: a file becomes a checked Panel and a contract, or a refusal that names the line.

The story only: where bytes come from, how they are parted, what cells mean and how series become regular is told in
source, dialect, table, roles, dates, zones, numbers and regular."""

# N rows  S series

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.calendar import DAY, Calendar
from forecast.config import DataConfig
from forecast.contract import Contract
from forecast.dates import FIRST_YEAR, LAST_YEAR, TimeFormat, Times, check_pattern, read_times
from forecast.dialect import Dialect, find_dialect, split
from forecast.display import counted, from_csv_cell, listed, quoted, safe, shorten
from forecast.errors import DataError, ModelError, Problem
from forecast.numbers import Fault, Faults, Numbers, NumberStyle, read_numbers
from forecast.records import find_records
from forecast.regular import Regular, Repair, Rows, describe_constant, make_regular
from forecast.roles import KNOWN, Roles, find_roles
from forecast.series import Panel
from forecast.source import Source, open_source
from forecast.table import ASIDE, Table, from_columns, read_table, with_doubled_quotes, without_spaces
from forecast.zones import check_zone, from_utc, to_utc

Ints = NDArray[np.int64]
SAMPLE_ROWS = 1000
LISTED = 20_000                     # problems told one by one
SHORT = 3                           # rows below which a series is named

__all__ = ["Reading", "Repair", "read_panel"]


@dataclass(frozen=True)
class Reading:
    """What a file holds, what was assumed and what was mended. `rejects`: rows set aside."""

    panel: Panel
    contract: Contract
    rows: int
    sha256: str
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...]
    file: str
    rejects: tuple[Problem, ...] = ()


def read_panel(path: str | os.PathLike[str], options: DataConfig = DataConfig(),
               contract: Contract | None = None) -> Reading:
    """Read a file. `contract`: read it as the model's own file was read.

    Raises DataError naming the lines, or ModelError for a file of another kind than the contract's."""
    source = open_source(path, options.encoding)
    options = _as_agreed(options, contract)
    if options.tz is not None:
        check_zone(options.tz)
    opened, table = _columns(source, options, contract)
    roles, dialect = opened.roles, opened.dialect
    _check_rows(table, source.file)
    damage = _Damage(table, source.file)
    codes, ids = _series_codes(table, roles, dialect, damage)
    times = _stamps(table, roles, codes, options, contract, damage)
    numbers = _values(table, roles, options, contract, dialect, damage)
    if damage.found:
        damage.forgive(_blank(table, roles))
    rows = _long(table, roles, codes, ids, times, numbers, ~(damage.bad | damage.blank), source.file)
    aside, rejects = damage.settle(set_aside=options.bad_rows == "quarantine")
    regular = _regular(rows, opened, times, options, contract)
    written = _contract(table, roles, regular, times, numbers, ids, options, source, dialect)
    if contract is not None:
        written = _held_against(contract, written, source.file)
    panel = Panel(regular.y, regular.first, regular.stop, regular.start, rows.ids, regular.calendar)
    notes = _notes(source, dialect, roles, times, numbers, table, regular, contract, rows)
    repairs = _repairs(table, times, numbers, aside, rejects, regular, ids)
    return Reading(panel, written, table.rows, source.sha256, notes, repairs, source.file, rejects)


def _as_agreed(options: DataConfig, contract: Contract | None) -> DataConfig:
    """With a contract, what was found in the first file holds unless a flag says otherwise."""
    if contract is None:
        return options
    return dataclasses.replace(options, tz=options.tz or contract.tz)


@dataclass(frozen=True)
class _Opened:
    """A file whose further columns can be looked at."""

    source: Source
    dialect: Dialect | None
    roles: Roles

    def spare(self) -> Table:
        wanted = self.roles.spare[:20]
        if self.dialect is None:
            return from_columns(self.source.columns, self.source.file, wanted)
        return read_table(self.source.data, self.dialect, self.source.file, wanted, set_aside=True)


def _columns(source: Source, options: DataConfig, contract: Contract | None) -> tuple[_Opened, Table]:
    """What is known of the file, and its used columns as text."""
    if source.columns is not None:
        names = tuple(source.columns.column_names)
        head = from_columns(source.columns.slice(0, SAMPLE_ROWS), source.file, range(len(names)))
        sample = list(zip(*(head.columns[k].to_pylist() for k in range(len(names))), strict=True))
        roles = find_roles(source.file, names, sample, options, contract)
        return _Opened(source, None, roles), from_columns(source.columns, source.file, _used(roles))
    known = (*KNOWN, *(n.lower() for n in _named_by(options, contract)))
    dialect = find_dialect(source.data, source.file, delimiter=options.delimiter, known=known)
    tight = without_spaces(with_doubled_quotes(source.data, dialect), dialect)
    if tight is not source.data:
        source = dataclasses.replace(source, data=tight)
        dialect = find_dialect(tight, source.file, delimiter=options.delimiter, known=known)
    roles = find_roles(source.file, dialect.names, _sample(source.data, dialect), options, contract)
    aside = options.bad_rows == "quarantine"
    table = read_table(source.data, dialect, source.file, _used(roles), set_aside=aside)
    return _Opened(source, dialect, roles), table


def _named_by(options: DataConfig, contract: Contract | None) -> list[str]:
    given = [name for text in (options.id, options.time, options.target) if text for name in text.split(",")]
    if contract is not None and contract.has_header:
        given += [name for name in (contract.id, *contract.time_columns, *contract.targets) if name]
    return given


def _used(roles: Roles) -> list[int]:
    return sorted({*([] if roles.id is None else [roles.id]), *roles.time, *roles.targets})


def _sample(data: bytes, dialect: Dialect) -> list[list[str]]:
    """The first rows, and the last: enough to tell what a column holds."""
    body = data[dialect.offset:dialect.offset + (1 << 17)]
    records = find_records(body, dialect.delimiter, dialect.quote)
    whole = len(records) - (len(body) == 1 << 17)                   # the last one may be cut
    rows = [split(records.text(r), dialect.delimiter, dialect.quote, skip_space=dialect.skip_space)
            for r in range(min(whole, SAMPLE_ROWS))]
    return [row for row in rows if len(row) == dialect.fields]


def _check_rows(table: Table, file: str) -> None:
    if not table.rows:
        if table.faults:
            raise DataError(table.faults[0], more=table.faults[1:])
        raise DataError("has a header and no rows", file=file, code="no_rows")


class _Damage:
    """Cells that cannot be read, until it is settled whether the file is refused or their rows set aside."""

    def __init__(self, table: Table, file: str) -> None:
        self.table, self.file = table, file
        self.found: list[tuple[Faults, str]] = []
        self.blank = np.zeros(table.rows, dtype=bool)

    def add(self, faults: Faults, column: str) -> None:
        if len(faults):
            self.found.append((faults, shorten(column, 60)))

    def forgive(self, blank: NDArray[np.bool_]) -> None:
        """Rows without a single used cell are no rows: left out, and no fault."""
        self.blank = blank

    @property
    def bad(self) -> NDArray[np.bool_]:
        bad = np.zeros(self.table.rows, dtype=bool)
        for faults, _ in self.found:
            bad[faults.rows] = True
        return bad & ~self.blank

    def settle(self, *, set_aside: bool) -> tuple[int, tuple[Problem, ...]]:
        """How many rows are set aside, and what is wrong with them. Raises DataError where none may be."""
        problems = self._problems()
        if problems and not set_aside:
            raise DataError(problems[0], more=problems[1:])
        count = len(self.table.faults) + int(self.bad.sum())
        rejects = (*self.table.faults, *problems)
        if 2 * count > self.table.rows:
            raise DataError(rejects[0], more=rejects[1:])
        return count, tuple(sorted(rejects, key=lambda p: p.row or 0))

    def _problems(self) -> list[Problem]:
        """In the order of the rows; the first of very many."""
        places = sorted((int(row), k) for k, (faults, _) in enumerate(self.found) for row in faults.rows[:LISTED]
                        if not self.blank[row])
        listed = [self._problem(self.found[k][0].explain(row), self.found[k][1]) for row, k in places[:LISTED]]
        more = sum(len(faults) for faults, _ in self.found) - int(self.blank.sum()) - len(listed)
        return [*listed, *([Problem("more", f"{more:,} more of them", self.file)] if len(listed) == LISTED else [])]

    def _problem(self, fault: Fault, column: str) -> Problem:
        return Problem(fault.code, fault.message, self.file, self.table.lines.of(fault.row), column, fault.text[:200],
                       fault.hint)


def _blank(table: Table, roles: Roles) -> NDArray[np.bool_]:
    """Rows whose used cells are all empty."""
    blank = np.ones(table.rows, dtype=bool)
    for k in _used(roles):
        blank &= np.asarray(pc.match_substring_regex(table.columns[k], r"^\s*$"), dtype=bool)
        if not blank.any():
            break
    return blank


def _series_codes(table: Table, roles: Roles, dialect: Dialect | None, damage: _Damage) -> tuple[Ints, list[str]]:
    """The series of each row, counted in the order of the file, and their ids, byte for byte."""
    if roles.id is None:
        named = dialect is None or dialect.has_header or len(roles.targets) > 1
        return np.zeros(table.rows, dtype=np.int64), [table.names[k] for k in roles.targets] if named else ["value"]
    cells = _encoded(table.columns[roles.id])
    ids = cells.dictionary.to_pylist()
    codes: Ints = cells.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    nameless = [k for k, text in enumerate(ids) if not text.strip()]
    if nameless:
        damage.add(Faults(np.flatnonzero(np.isin(codes, nameless)),
                          lambda row: Fault(row, "", "no_id", "has no id", ASIDE)), table.names[roles.id])
    if dialect is not None and dialect.skip_space and roles.id > 0:
        ids = [text.removeprefix(" ") for text in ids]
    unmarked = [from_csv_cell(text) for text in ids]
    return codes, unmarked if len(set(unmarked)) == len(ids) else ids


def _encoded(cells: Any) -> Any:
    """Cells as a dictionary of distinct texts in the order of the file, and indices into it."""
    if isinstance(cells, pa.ChunkedArray):
        return pc.dictionary_encode(cells).unify_dictionaries().combine_chunks()
    return pc.dictionary_encode(cells)


def _stamps(table: Table, roles: Roles, codes: Ints, options: DataConfig, contract: Contract | None,
            damage: _Damage) -> Times:
    """The one reading of the time column that is meant."""
    cells = _joined(table, roles)
    header = _time_header(table, roles)
    pattern = None if options.date_format is None else check_pattern(options.date_format)
    if _is_spread(table, roles):
        pattern = "-".join(_SPREAD[:len(roles.time)])
    elif contract is not None and pattern is None:
        pattern = contract.time_format.pattern
    name = header.lower()
    date_like = name not in ("ds", "step", "t", "index", "time", "timestamp")
    readings = read_times(cells, pattern=pattern, dayfirst=options.dayfirst, date_like=date_like)
    if contract is not None and 2 * len(readings[0].faults) > table.rows:      # written another way than agreed
        readings = read_times(cells, dayfirst=options.dayfirst, date_like=date_like)
    times = readings[0] if len(readings) == 1 else _settled(readings, cells, codes, table, header)
    if _is_spread(table, roles):
        times = dataclasses.replace(times, format=TimeFormat("%Y-%m-%d" if len(roles.time) < 4 else "%Y-%m-%d %H:%M"))
    damage.add(times.faults, header)
    damage.add(_impossible_years(times, cells), header)
    return _zoned(times, cells, codes, options.tz, damage, header)


def _is_spread(table: Table, roles: Roles) -> bool:
    """Year, month, ... in columns of their own, rather than a date and a clock."""
    return len(roles.time) > 2 or (len(roles.time) == 2 and table.names[roles.time[1]].strip().lower() == "month")


def _joined(table: Table, roles: Roles) -> Any:
    """Time spread over columns, as one column of text."""
    if len(roles.time) == 1:
        return table.columns[roles.time[0]]
    cells = [pc.utf8_trim_whitespace(table.columns[k]) for k in roles.time]
    return pc.binary_join_element_wise(*cells, "-" if _is_spread(table, roles) else " ")


def _time_header(table: Table, roles: Roles) -> str:
    return "date" if _is_spread(table, roles) else table.names[roles.time[0]]


def _settled(readings: Sequence[Times], cells: Any, codes: Ints, table: Table, header: str) -> Times:
    """Of several readings the one that makes the step even. Raises DataError where that tells nothing."""
    scores = [_evenness(times, codes) for times in readings]
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    best, second = readings[order[0]], readings[order[1]]
    if scores[order[0]] >= 0.8 and scores[order[1]] <= 0.6 * scores[order[0]]:
        return best
    where = next((row for row in range(min(table.rows, 100_000)) if best.stamps[row] != second.stamps[row]), 0)
    flag = f"--date-format '{best.format.pattern}'"
    raise DataError(f"{quoted(cells[where].as_py())} may be {_day(best, where)} or {_day(second, where)}, "
                    f"and both make {'even' if scores[order[1]] > 0.5 else 'uneven'} steps", file=table.file,
                    row=table.lines.of(where), column=shorten(header, 60), code="ambiguous_date",
                    hint=f"Try {flag} or '{second.format.pattern}'")


def _day(times: Times, row: int) -> str:
    return str(times.values[row])[:10] if times.format.pattern != "integer" else "a number"


def _evenness(times: Times, codes: Ints) -> float:
    """The share of the grid that is filled; 0 where there is no grid."""
    good = np.ones(codes.size, dtype=bool)
    good[times.faults.rows] = False
    values, groups = times.values[good], codes[good]
    try:
        calendar = Calendar.propose(values, groups)
    except DataError:
        return 0.0
    if float(np.mean(calendar.off_grid(values))) > 0.05:
        return 0.0
    ordinals = calendar.nearest(values)
    lowest, highest = np.full(groups.max() + 1, np.iinfo(np.int64).max), np.full(groups.max() + 1, -(2**62))
    np.minimum.at(lowest, groups, ordinals)
    np.maximum.at(highest, groups, ordinals)
    seen = np.unique(groups)
    return min(1.0, values.size / float((highest[seen] - lowest[seen] + 1).sum()))


def _impossible_years(times: Times, cells: Any) -> Faults:
    """Years that no record has, and two-digit years that would lie ahead."""
    if times.format.is_integer or not times.stamps.size:
        return Faults()
    first, last = (int(np.datetime64(f"{year}-01-01", "us").astype(np.int64)) for year in (FIRST_YEAR, LAST_YEAR + 1))
    short = "%y" in times.format.pattern
    if short:
        last = int(np.datetime64(datetime.now(UTC).date(), "us").astype(np.int64)) + 366 * DAY
    if int(times.stamps.min()) >= first and int(times.stamps.max()) < last:
        return Faults()
    rows = np.setdiff1d(np.flatnonzero((times.stamps < first) | (times.stamps >= last)), times.faults.rows)
    message = "has a two-digit year that would lie ahead" if short else f"is not between {FIRST_YEAR} and {LAST_YEAR}"
    hint = "Write years with four digits" if short else "Mend the year"
    return Faults(rows, lambda row: _fault_of(cells, row, "year", message, hint))


def _fault_of(cells: Any, row: int, code: str, message: str, hint: str) -> Fault:
    text = str(cells[row].as_py())
    return Fault(row, text, code, f"{quoted(text)} {message}", hint)


def _zoned(times: Times, cells: Any, codes: Ints, tz: str | None, damage: _Damage, header: str) -> Times:
    """Local stamps of a zone in UTC where steps are shorter than a day, in wall clock where they are days or longer."""
    if tz is None or times.format.is_integer:
        return times
    if times.utc:
        local = from_utc(times.stamps, tz)
        if (local % DAY == local[0] % DAY).all() and local.size > 1:
            return dataclasses.replace(times, stamps=local, utc=False)
        return times
    if (times.stamps % DAY == times.stamps[0] % DAY).all():
        return times
    utc, missing, doubtful = to_utc(times.stamps, codes, tz)
    gone = f"does not exist in {safe(tz)}: the clock was put forward"
    damage.add(Faults(np.flatnonzero(missing), lambda row: _fault_of(cells, row, "no_such_hour", gone,
                                                                     "Is --tz right?")), header)
    twice = f"happened twice in {safe(tz)} and stands once"
    damage.add(Faults(np.flatnonzero(doubtful), lambda row: _fault_of(cells, row, "doubled_hour", twice,
                                                                      "Write the UTC offset, as in 02:30+01:00")),
               header)
    return dataclasses.replace(times, stamps=utc, utc=True)


def _values(table: Table, roles: Roles, options: DataConfig, contract: Contract | None, dialect: Dialect | None,
            damage: _Damage) -> list[Numbers]:
    """Each target column as numbers."""
    style: NumberStyle | None = None if contract is None else contract.numbers
    commas = dialect is None or dialect.delimiter == ","
    found = []
    for k in roles.targets:
        numbers = read_numbers(table.columns[k], decimal=options.decimal, style=style, comma_parted=commas)
        if numbers.undecided:
            raise DataError(numbers.undecided, file=table.file, column=shorten(table.names[k], 60),
                            code="ambiguous_number", hint="Try --decimal . or --decimal ','")
        damage.add(numbers.faults, table.names[k])
        found.append(numbers)
    return found


def _long(table: Table, roles: Roles, codes: Ints, ids: Sequence[str], times: Times, numbers: Sequence[Numbers],
          good: NDArray[np.bool_], file: str) -> Rows:
    """One row per series and stamp, the columns of a wide file one below the other."""
    width, where = len(numbers), np.arange(table.rows)
    values = numbers[0].values if width == 1 else np.concatenate([n.values for n in numbers])
    stamps = times.stamps if width == 1 else np.tile(times.stamps, width)
    if width > 1:
        codes = np.repeat(np.arange(width), table.rows)
        where, good = np.tile(where, width), np.tile(good, width)
    header = _time_header(table, roles)
    cells = _joined(table, roles)
    target = table.names[roles.targets[0]]
    names = np.array(list(ids), dtype=object)
    line: Callable[[int], int] = lambda row: table.lines.of(int(where[row]))  # noqa: E731 - two short twins
    text: Callable[[int], str] = lambda row: str(cells[int(where[row])].as_py())  # noqa: E731
    rows = Rows(codes, stamps, values, names, not times.format.is_integer, times.utc, line, text, file,
                shorten(header, 60), shorten(target, 60))
    return rows if good.all() else _with_rows(rows.take(good))


def _with_rows(rows: Rows) -> Rows:
    """Without the ids whose rows were all set aside."""
    present, codes = np.unique(rows.codes, return_inverse=True)
    return dataclasses.replace(rows, codes=codes, ids=rows.ids[present])


def _regular(rows: Rows, opened: _Opened, times: Times, options: DataConfig, contract: Contract | None) -> Regular:
    """Series on their calendar; with a contract, on the model's."""
    if contract is not None and options.freq is None:
        _check_step(rows, contract)
        options = dataclasses.replace(options, freq=_freq_name(contract.calendar))
    try:
        return make_regular(rows, options, options.tz if times.utc else None)
    except DataError as error:
        separators = _separators(rows, opened) if error.problem.code in _STACKED else ""
        if not separators:
            raise
        first = dataclasses.replace(error.problem, hint=separators)
        raise DataError(first, more=error.problems[1:]) from error


_SPREAD = ("%Y", "%m", "%d", "%H", "%M")
_STACKED = ("duplicate_time", "backward_step", "late_midnight")


def _freq_name(calendar: Calendar) -> str:
    return str(calendar.every) if calendar.kind == "step" else calendar.freq


def _check_step(rows: Rows, contract: Contract) -> None:
    """A file of another step than the model's is another kind of file."""
    agreed = contract.calendar
    if rows.is_time != agreed.is_time:
        found = "dates" if rows.is_time else "integers"
        raise ModelError(f"model: {agreed.freq}, file: {found} in the time column", file=rows.file, code="frequency")
    try:
        found_calendar = Calendar.propose(rows.times, rows.codes if len(rows.ids) > 1 else None)
    except DataError:
        return                                                      # too few rows to tell
    beside = float(np.mean(agreed.off_grid(rows.times)))
    same = (found_calendar.kind, found_calendar.every) == (agreed.kind, agreed.every) and beside < 0.5
    if not same and beside < 0.2 and found_calendar.kind == agreed.kind:
        same = found_calendar.every % agreed.every == 0 and rows.codes.size < 8
    if not same and {found_calendar.kind, agreed.kind} != {"business", "fixed"}:
        raise ModelError(f"model: {agreed.freq}, file: {found_calendar.freq}", file=rows.file, code="frequency",
                         hint="Train a model on data of this step")


def _separators(rows: Rows, opened: _Opened) -> str:
    """The column left unread that tells rows of one stamp apart: several series stacked without an id."""
    if len(opened.roles.targets) > 1 or not opened.roles.spare:
        return ""
    table = opened.spare()
    if table.rows != rows.codes.size:
        return ""
    stamps = np.unique(rows.stamps, return_inverse=True)[1]
    for k, cells in table.columns.items():
        groups = _encoded(cells)
        codes = groups.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        count = len(groups.dictionary)
        keys = (rows.codes * count + codes) * (int(stamps.max()) + 1) + stamps
        if 2 * count <= rows.codes.size and np.unique(keys).size == keys.size:
            name = safe(table.names[k])[:40]
            if opened.roles.id is not None:
                return f"Column '{name}' also parts the series: join it and the id into one column"
            return f"Column '{name}' separates them: --id {name}"
    return ""


def _contract(table: Table, roles: Roles, regular: Regular, times: Times, numbers: Sequence[Numbers],
              ids: Sequence[str], options: DataConfig, source: Source, dialect: Dialect | None) -> Contract:
    known = regular.y[~np.isnan(regular.y)]
    header = dialect is None or dialect.has_header
    time = _time_header(table, roles) if header else "time"
    ident = {"single": None, "wide": "series"}.get(roles.layout, "")
    if ident == "":
        ident = table.names[roles.id] if roles.id is not None and header else "id"
    return Contract(
        id=ident, time=time, targets=tuple(table.names[k] for k in roles.targets), layout=roles.layout,
        decimals=max(n.decimals for n in numbers), calendar=regular.calendar,
        time_columns=tuple(table.names[k] for k in roles.time), time_format=times.format, numbers=numbers[0].style,
        utc=times.utc, tz=options.tz if not times.format.is_integer else None, encoding=source.encoding, ids=tuple(ids),
        low=float(known.min()) if known.size else None, high=float(known.max()) if known.size else None,
        size=float(np.median(np.abs(known))) if known.size else None,
        last=int((regular.start + regular.stop - regular.first).max()) - 1, has_header=header)


def _held_against(agreed: Contract, found: Contract, file: str) -> Contract:
    """The contract of a later file: as agreed, with what may differ from file to file."""
    return dataclasses.replace(found, id=agreed.id, time=agreed.time, targets=agreed.targets, layout=agreed.layout,
                               decimals=max(agreed.decimals, found.decimals), time_format=agreed.time_format)


def _notes(source: Source, dialect: Dialect | None, roles: Roles, times: Times, numbers: Sequence[Numbers],
           table: Table, regular: Regular, contract: Contract | None, rows: Rows) -> tuple[str, ...]:
    """Assumptions in words, short."""
    notes = [*source.notes, *(dialect.notes if dialect else ()), *roles.notes]
    form: TimeFormat = times.format
    if not form.is_integer and not form.pattern.startswith("%Y-%m"):
        notes.append(f"dates read as {form.pattern}")
    if contract is not None and form.pattern != contract.time_format.pattern:
        notes.append(f"dates are written as {form.pattern}, in training as {contract.time_format.pattern}")
    ahead = _ahead(times)
    notes += [ahead] if ahead else []
    if form.is_integer and times.stamps.size and times.stamps.min() >= 20_000 and times.stamps.max() <= 80_000:
        notes.append("times read as plain numbers (--date-format excel if they are days of a spreadsheet)")
    words = {n.style.words() for n in numbers} - {""}
    notes += sorted(words)
    flat = describe_constant(regular.y, regular.first, regular.stop, list(rows.ids))
    notes += [flat] if flat else []
    short = [str(name) for name in rows.ids[(regular.stop - regular.first) < SHORT]]
    notes += [f"fewer than {SHORT} rows: {listed(short, 5)}"] if short else []
    if source.data and source.data[-1:] not in b"\r\n":
        notes.append("no line break behind the last row: is the file complete?")
    return tuple(notes) + (_differences(contract, regular, rows, table) if contract is not None else ())


def _ahead(times: Times) -> str:
    """Rows that lie in the future, in words."""
    if times.format.is_integer or not times.stamps.size:
        return ""
    now = int(datetime.now(UTC).timestamp()) * 1_000_000
    later = int((times.stamps > now + DAY).sum())
    return f"{counted(later, 'row')} in the future, until {_day(times, int(times.stamps.argmax()))}" if later else ""


def _differences(contract: Contract, regular: Regular, rows: Rows, table: Table) -> tuple[str, ...]:
    """What is not as in the training file, and does not stand in the way."""
    notes = []
    if contract.layout != "single":
        before, now = set(contract.ids), set(rows.ids)
        new = [i for i in rows.ids if i not in before]
        gone = [i for i in contract.ids if i not in now]
        notes += [f"{counted(len(new), 'series')} not seen in training: {listed(new, 4)}"] if new else []
        notes += [f"{counted(len(gone), 'series')} of the training file not there: {listed(gone, 4)}"] if gone else []
    end = int((regular.start + regular.stop - regular.first).max()) - 1
    if contract.last is not None and end < contract.last:
        last, before = regular.calendar.times([end, contract.last])
        notes.append(f"history ends {last}, before the end of the training file ({before})")
    known = regular.y[~np.isnan(regular.y)]
    if contract.size and known.size:
        ratio = float(np.median(np.abs(known))) / contract.size
        if ratio > 100 or ratio < 0.01:
            notes.append(f"values are {ratio:,.4g} times the size of those the model learned from: another unit?")
    return tuple(notes)


def _alike(ids: Sequence[str]) -> list[str]:
    """Ids that another id would be, were it not for spaces."""
    plain = {text for text in ids if text == text.strip()}
    return [text for text in ids if text not in plain and text.strip() in plain]


def _repairs(table: Table, times: Times, numbers: Sequence[Numbers], aside: int,
             rejects: Sequence[Problem], regular: Regular, ids: Sequence[str]) -> tuple[Repair, ...]:
    """Everything mended, in the order it happened."""
    found = []
    alike = _alike(ids)
    if alike:
        found.append(Repair("similar_ids", len(alike), f"{counted(len(alike), 'id')} differing from another in spaces "
                            f"only, kept apart: {', '.join(quoted(i) for i in alike[:3])}", "--id"))
    if table.left_out:
        found.append(Repair("footer", len(table.left_out), f"{counted(len(table.left_out), 'line')} below the table "
                            "left out", None, table.left_out))
    if aside:
        found.append(Repair("quarantined", aside, f"{counted(aside, 'bad row')} set aside", "--bad-rows",
                            tuple(rejects)))
    if times.midnights:
        found.append(Repair("midnight", times.midnights,
                            f"{counted(times.midnights, 'stamp')} at 24:00 -> 00:00 of the next day"))
    under = sum(n.underflows for n in numbers)
    if under:
        found.append(Repair("underflow", under, f"{counted(under, 'value')} too small for a float -> 0"))
    rounded = sum(n.rounded for n in numbers)
    if rounded:
        found.append(Repair("rounded", rounded, f"{counted(rounded, 'whole number')} of more digits than a float holds "
                            "-> rounded"))
    words = sorted({word for n in numbers for word in n.missing if word})
    if words:
        total = sum(count for n in numbers for word, count in n.missing.items() if word)
        found.append(Repair("missing_words", total, f"{counted(total, 'cell')} read as missing: "
                            f"{', '.join(quoted(w) for w in words[:6])}"))
    return (*found, *regular.repairs)
