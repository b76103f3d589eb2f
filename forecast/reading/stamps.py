"""Stamps: the time column of a table, in the one reading that is meant, as wall clock or UTC.

Which writings a cell may have is for dates.py; which of several is meant is decided here, by the step it makes."""

# N rows

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.aggregates import is_on_the_wall
from forecast.reading.contract import Contract
from forecast.reading.damage import Damage
from forecast.reading.parsing.dates import FIRST_YEAR, LAST_YEAR, Times, check_pattern, read_times
from forecast.reading.parsing.numbers import Fault, Faults
from forecast.reading.parsing.table import Table
from forecast.reading.parsing.timeformat import TimeFormat
from forecast.reading.parsing.zones import from_utc, to_utc
from forecast.reading.roles import Roles
from forecast.series.arrays import Bools, Ints
from forecast.series.calendar import DAY, Calendar
from forecast.system import clock
from forecast.text import quoted, safe, shorten

_SPREAD = ("%Y", "%m", "%d", "%H", "%M")
_DATED = re.compile(r"date|datum|fecha|day|month|week|year|quarter")      # above them plain numbers are no times


def read_stamps(table: Table, roles: Roles, codes: Ints, options: DataConfig, contract: Contract | None,
            damage: Damage) -> Times:
    """The one reading of the time column that is meant."""
    cells = joined(table, roles)
    header = time_header(table, roles)
    pattern = None if options.date_format is None else check_pattern(options.date_format)
    if _is_spread(table, roles):
        pattern = "-".join(_SPREAD[:len(roles.time)])
    elif contract is not None and pattern is None:
        pattern = contract.time_format.pattern
    name = header.lower()
    date_like = name not in ("ds", "step", "t", "index", "time", "timestamp")
    plain = not _DATED.search(name)
    readings = read_times(cells, pattern=pattern, dayfirst=options.dayfirst, date_like=date_like, plain=plain)
    if contract is not None and 2 * len(readings[0].faults) > table.rows:      # written another way than agreed
        readings = read_times(cells, dayfirst=options.dayfirst, date_like=date_like, plain=plain)
    readings = _weeks_or_months(readings, name)
    times = readings[0] if len(readings) == 1 else _settled(readings, cells, codes, table, header)
    if pattern is None:
        _check_years(times, cells, table, header)
    if _is_spread(table, roles):
        times = dataclasses.replace(times, format=TimeFormat("%Y-%m-%d" if len(roles.time) < 4 else "%Y-%m-%d %H:%M"))
    damage.add(times.faults, header)
    return placed(times, cells, codes, options, damage, header)


def placed(times: Times, cells: Any, codes: Ints, options: DataConfig, damage: Damage, header: str) -> Times:
    """Stamps in years that may be, as wall clock or UTC. cells (N,): as they are written, for messages."""
    damage.add(_impossible_years(times, cells), header)
    if options.tz is not None and is_on_the_wall(options.every):
        return _on_the_wall(times, cells, options.tz, damage, header)
    return _zoned(times, cells, codes, options.tz, damage, header)


def _is_spread(table: Table, roles: Roles) -> bool:
    """Year, month, ... in columns of their own, rather than a date and a clock."""
    if len(roles.time) < 2 or _part(table, roles) != "month":
        return len(roles.time) > 2
    return len(roles.time) > 2 or bool(pc.any(pc.match_substring_regex(table.columns[roles.time[1]], "[0-9]")).as_py())


def _part(table: Table, roles: Roles) -> str:
    return table.names[roles.time[1]].strip().lower()


def joined(table: Table, roles: Roles) -> Any:
    """Time spread over columns, as one column of text."""
    if len(roles.time) == 1:
        return table.columns[roles.time[0]]
    cells = [pc.utf8_trim_whitespace(table.columns[k]) for k in roles.time]
    if _is_spread(table, roles):
        return pc.binary_join_element_wise(*cells, "-")
    plain = pc.all(pc.match_substring_regex(cells[1], "^[0-9]{1,2}$")).as_py()
    mark = {"quarter": "Q", "week": "-W"}.get(_part(table, roles), " ") if plain else " "     # 2020Q1, 2020-W1
    return pc.binary_join_element_wise(*cells, mark)


def time_header(table: Table, roles: Roles) -> str:
    return "date" if _is_spread(table, roles) else table.names[roles.time[0]]


def _settled(readings: Sequence[Times], cells: Any, codes: Ints, table: Table, header: str) -> Times:
    """Of several readings the one that makes the step even. Raises DataError where that tells nothing."""
    _check_mixed(readings, cells, table, header)
    scores = [_evenness(times, codes) for times in readings]
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    best, second = readings[order[0]], readings[order[1]]
    if scores[order[0]] >= 0.8 and scores[order[1]] <= 0.6 * scores[order[0]]:
        return best
    where = next((row for row in range(min(table.rows, 100_000)) if best.stamps[row] != second.stamps[row]), 0)
    tied = [readings[k].format.pattern for k in order if scores[k] > 0.6 * scores[order[0]]][:4]
    either = " or ".join(f"'{p}'" for p in (tied if len(tied) > 1 else (best.format.pattern, second.format.pattern)))
    raise DataError(f"{quoted(cells[where].as_py())} may be {_day(best, where)} or {_day(second, where)}, "
                    f"and both make {'even' if scores[order[1]] > 0.5 else 'uneven'} steps", file=table.file,
                    row=table.lines.of(where), column=shorten(header, 60), code="ambiguous_date",
                    hint=f"Try --date-format {either}")


def _check_mixed(readings: Sequence[Times], cells: Any, table: Table, header: str) -> None:
    """Raises DataError where a tenth or more of the cells are written in another way than the most."""
    most = min(readings, key=lambda times: len(times.faults))
    if 10 * len(most.faults) < table.rows or len(most.faults) in (0, table.rows):
        return
    fits = np.ones(table.rows, dtype=bool)
    fits[most.faults.rows] = False
    one, other = int(np.flatnonzero(fits)[0]), int(most.faults.rows[0])
    ways = " and ".join(f"{int(count):,} like {quoted(cells[row].as_py())} (line {table.lines.of(row)})" for row, count
                        in sorted(((one, fits.sum()), (other, (~fits).sum()))))
    raise DataError(f"two ways of writing dates are mixed: {ways}", file=table.file, code="mixed_dates",
                    row=table.lines.of(max(one, other)), column=shorten(header, 60), hint="Write all dates one way")


def _weeks_or_months(readings: list[Times], name: str) -> list[Times]:
    """202001 to 202012 are months, unless the header speaks of weeks; 200101 is no week where it may be a day."""
    patterns = [times.format.pattern for times in readings]
    if len(patterns) < 2 or "%G%V" not in patterns:
        return readings
    other = "%Y%m" if "week" in name else "%G%V"
    return [times for times in readings if times.format.pattern != other]


def _check_years(times: Times, cells: Any, table: Table, header: str) -> None:
    """Jan-01 to Jan-20 may be years or days. Raises DataError."""
    pattern = times.format.pattern
    if not ("%b" in pattern and "%y" in pattern and "%d" not in pattern) or len(times.faults):
        return
    months = np.unique(times.stamps.view("datetime64[us]").astype("datetime64[M]").astype(np.int64))
    years = 1970 + months // 12
    if months.size > 1 and np.unique(months % 12).size == 1 and years.min() > 2000 and years.max() <= 2031:
        raise DataError(f"{quoted(cells[0].as_py())} may be a month of a year or a day without its year",
                        file=table.file, row=table.lines.of(0), column=shorten(header, 60), code="ambiguous_date",
                        hint=f"Try --date-format '{pattern}', or write years with four digits")


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
        last = int(np.datetime64(clock.now().date(), "us").astype(np.int64)) + 366 * DAY
    if int(times.stamps.min()) >= first and int(times.stamps.max()) < last:
        return Faults()
    rows = np.setdiff1d(np.flatnonzero((times.stamps < first) | (times.stamps >= last)), times.faults.rows)
    message = "has a two-digit year that would lie ahead" if short else f"is not between {FIRST_YEAR} and {LAST_YEAR}"
    hint = "Write years with four digits" if short else "Mend the year"
    return Faults(rows, lambda row: _fault_of(cells, row, "year", message, hint))


def _fault_of(cells: Any, row: int, code: str, message: str, hint: str) -> Fault:
    text = str(cells[row].as_py())
    return Fault(row, text, code, f"{quoted(text)} {message}", hint)


def _on_the_wall(times: Times, cells: Any, tz: str, damage: Damage, header: str) -> Times:
    """Stamps as a clock in the zone shows them: for days it does not matter which of two equal hours it is."""
    if times.format.is_integer:
        return times
    if times.utc:
        return dataclasses.replace(times, stamps=from_utc(times.stamps, tz), utc=False)
    missing = to_utc(times.stamps, np.arange(times.stamps.size), tz)[1]
    damage.add(_gone(cells, missing, tz), header)
    return times


def _gone(cells: Any, missing: Bools, tz: str) -> Faults:
    words = f"does not exist in {safe(tz)}: the clock was put forward"
    return Faults(np.flatnonzero(missing), lambda row: _fault_of(cells, row, "no_such_hour", words, "Is --tz right?"))


def _zoned(times: Times, cells: Any, codes: Ints, tz: str | None, damage: Damage, header: str) -> Times:
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
    damage.add(_gone(cells, missing, tz), header)
    twice = f"happened twice in {safe(tz)} and stands once"
    damage.add(Faults(np.flatnonzero(doubtful), lambda row: _fault_of(cells, row, "doubled_hour", twice,
                                                                      "Write the UTC offset, as in 02:30+01:00")),
               header)
    return dataclasses.replace(times, stamps=utc, utc=True)
