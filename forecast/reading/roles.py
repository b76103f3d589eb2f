"""Roles: which column is the id, the time, the target, by name first and by what stands in it second; and which are
covariates, by name alone.

Where two columns could be meant, both are named and nothing is chosen."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from forecast.config import DataConfig
from forecast.errors import DataError, RequestError
from forecast.reading.aggregates import only_counts
from forecast.reading.contract import Contract
from forecast.reading.counters import PARTS, counts_rows, is_helper, rises
from forecast.reading.head import (
    ID_NAMES,
    MONTHS,
    Head,
    called,
    is_year_matrix,
    looks_turned,
    names_of_series,
    which,
    with_clock,
    year_matrix,
)
from forecast.reading.parsing.kinds import kind
from forecast.series.covariates import ROLES, Role
from forecast.series.ids import names_in
from forecast.text import listed, quoted, shorten

TIME_NAMES = ("ds", "timestamp", "date", "datetime", "time")
TARGET_NAMES = ("y", "target", "value", "sales", "demand", "load")
PERIOD_NAMES = ("year", "month", "quarter", "week", "day", "period", "date_time", "datum", "fecha", "jahr", "yearmonth")
OFFERED = " (use with --known, --past or --static)"
COUNTED = " (numbers the rows)"
STATIC = " (the same in all rows of a series: use with --static)"
NO_ID = "none"                      # --id none: no column names series
KNOWN = (*ID_NAMES, *TIME_NAMES, *TARGET_NAMES)


@dataclass(frozen=True)
class Roles:
    """Positions of the columns. `beside`: covariates, with their roles · `elsewhere`: covariates by name that another
    file must have · `spare`: columns left unread, with what they might be: "", OFFERED, COUNTED or STATIC · `choices`:
    how they were found without a contract."""

    id: int | None
    time: tuple[int, ...]
    targets: tuple[int, ...]
    layout: str
    spare: Mapping[int, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    beside: tuple[tuple[Role, int], ...] = ()
    elsewhere: tuple[tuple[Role, str], ...] = ()
    more_ids: tuple[int, ...] = ()  # columns that name the series together with the first

    @property
    def ids(self) -> tuple[int, ...]:
        """All columns that name the series."""
        return () if self.id is None else (self.id, *self.more_ids)

    def notes(self, names: Sequence[str]) -> list[str]:
        """The columns left unread, in words, and by which flags they would be read."""
        groups: dict[str, list[str]] = {"": [], COUNTED: [], OFFERED: [], STATIC: []}
        for k, hint in self.spare.items():
            groups[hint].append(names[k] or "a column without name")
        return [f"not used: {listed(some)}{hint}" for hint, some in groups.items() if some]


def find_roles(file: str, names: Sequence[str], rows: Sequence[Sequence[str]], options: DataConfig,
               contract: Contract | None = None) -> Roles:
    """Roles of the columns of a file. Raises DataError where they cannot be told, RequestError for two roles of one."""
    columns = Head(file, tuple(names), _filled(rows), options.missing or ())
    roles = _as_before(columns, contract) if contract is not None else _found(columns, options)
    for k in (*roles.ids, *roles.time, *roles.targets, *(k for _, k in roles.beside)):
        if columns.names.count(columns.names[k]) > 1:
            columns.find(columns.names[k], "used")                  # refuses: which of them is meant?
    return roles


def _filled(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The rows that say anything: a sheet often ends in rows of delimiters alone."""
    return [row for row in rows if any(map(str.strip, row))]


def find_beside(file: str, names: Sequence[str], rows: Sequence[Sequence[str]], like: Like) -> Roles:
    """Roles of the columns of a file of covariates that stands beside another one: its id and time are called as there.
    What is wanted and is not there is left out. Raises DataError."""
    columns = Head(file, tuple(names), _filled(rows))
    own = _own_ids(columns, like)
    wanted = [(role, k) for role, name in like.wanted for k in columns.named([name.strip().lower()])[:1]]
    if all(columns.named([t.strip().lower()]) for t in like.time):
        time: tuple[int, ...] = tuple(columns.find(t, "the time") for t in like.time)
    elif wanted and own and all(role == "static" for role, _ in wanted):
        time = ()                                                   # what never changes needs no time
    else:
        time = _time(columns, DataConfig(), {k for _, k in wanted})[0]
    used = {*own, *time, *(k for _, k in wanted)}
    spare = {k: OFFERED for k in range(len(columns.names)) if k not in used}
    return Roles(own[0] if own else None, time, (), "beside", spare, beside=tuple(wanted), more_ids=tuple(own[1:]))


def _own_ids(columns: Head, like: Like) -> list[int]:
    """The columns of ids of a file of covariates. Raises DataError where some of several are missing."""
    names = [] if like.id is None else names_in(like.id, columns.names)
    own = [columns.named([name.strip().lower()])[:1] for name in names]
    if any(own) and not all(own):
        gone = listed([name for name, found in zip(names, own, strict=True) if not found])
        raise DataError(f"has no column {gone}, and the series are named by {listed(names)}", file=columns.file,
                        row=1, code="missing_column", hint="Name each row by all of them")
    return [k for found in own for k in found]


@dataclass(frozen=True)
class Like:
    """What a file of covariates must be like: headers of the id and the times it is joined by, and what is wanted."""

    id: str | None
    time: tuple[str, ...]
    wanted: tuple[tuple[Role, str], ...]


def asked_roles(options: DataConfig) -> list[tuple[Role, str]]:
    """The covariates that settings name. Raises RequestError for a column in two roles."""
    asked = [(role, name) for role in ROLES for name in dict.fromkeys(getattr(options, role) or ())]
    flags = [("--id", options.id), ("--time", options.time), ("--target", options.target)]
    first = {name.strip().lower(): flag for flag, text in flags if text for name in names_in(text)}
    for role, name in asked:
        _check_one_role(name, first.setdefault(name.strip().lower(), f"--{role}"), f"--{role}")
    return asked


def _check_one_role(name: str, one: str, other: str) -> None:
    if one != other:
        raise RequestError(f"column {quoted(name)} has two roles: {one} and {other}", code="two_roles",
                           hint="Give it one of them")


def _as_before(columns: Head, contract: Contract) -> Roles:
    """The columns an earlier file had, matched by name in whatever order."""
    def at(name: str) -> int:
        return columns.find(name, "used by the model")

    ids = [at(name) for name in contract.id_names]
    time = tuple(at(name) for name in contract.time_columns)
    targets = tuple(at(name) for name in contract.targets)
    beside = tuple((b.role, at(b.name)) for b in contract.beside if b.source is None)
    elsewhere = tuple((b.role, b.name) for b in contract.beside if b.source is not None and not b.is_holiday)
    spare = _spare(columns, {*targets, *(k for _, k in beside)}, ids, time, contract.layout)
    return Roles(ids[0] if ids else None, time, targets, contract.layout, spare, (), beside, elsewhere, tuple(ids[1:]))


def _spare(columns: Head, used: Collection[int], ids: Sequence[int], time: tuple[int, ...], layout: str
           ) -> dict[int, str]:
    """The other columns, and what they might be. Those of a wide file may be anything."""
    others = [k for k in range(len(columns.names)) if k not in (*used, *time, *ids)]
    counters = columns.counters(others, time)

    def hint(k: int) -> str:
        if k in counters:
            return COUNTED
        if layout == "wide" or not columns.names[k].strip() or _is_helper(columns, k) or _is_index(columns, k) \
                or counts_rows(columns.cells(k), columns.stamps(time)):
            return ""
        return STATIC if ids and _is_constant(columns, k, ids) else OFFERED

    return {k: hint(k) for k in others}


def _is_constant(columns: Head, column: int, ids: Sequence[int]) -> bool:
    """Whether a column says one thing in all rows of a series, as far as the sample tells."""
    names = [tuple(row[k] for k in ids) for row in columns.rows]
    pairs = {(name, row[column]) for name, row in zip(names, columns.rows, strict=True)}
    return len(columns.rows) > len(pairs) == len({*names})


def _found(columns: Head, options: DataConfig) -> Roles:
    asked = asked_roles(options)
    here = {name.strip().lower() for name in columns.names}
    others = [pair for pair in asked if options.covariates and pair[1].strip().lower() not in here]
    beside = tuple((role, columns.find(name, f"--{role}")) for role, name in asked if (role, name) not in others)
    taken = {k for _, k in beside}
    time, said = _time(columns, options, taken)
    ids, named = _ident(columns, options, time, taken)
    time, clocked = with_clock(columns, options, time, ids, taken)
    said = (*(clocked or said), *named)
    targets, layout = _targets(columns, options, time, ids, taken)
    if layout == "wide" and options.target is None:
        _check_matrix(columns, time, targets)
    for role, k in beside:
        own = "--time" if k in time else "--id" if k in ids else "--target" if k in targets else f"--{role}"
        _check_one_role(columns.names[k], own, f"--{role}")
    spare = _spare(columns, {*targets, *taken}, ids, time, layout)
    wide = (f"wide file: {len(targets)} columns become {len(targets)} series",) if layout == "wide" else ()
    return Roles(ids[0] if ids else None, time, targets, layout, spare, (*said, *wide), beside, tuple(others), ids[1:])


def _check_matrix(columns: Head, time: tuple[int, ...], targets: Sequence[int]) -> None:
    """A row per year and a column per month is one series, not twelve. Raises DataError."""
    cells = [row[time[0]].strip() for row in columns.rows]
    if len(time) > 1 or not all(len(c) == 4 and c.isdigit() for c in cells if c):
        return
    names = {columns.names[k].strip().lower() for k in targets}
    months = {n[:3] for n in names if n[:3] in MONTHS}
    numbers, quarters = {str(k) for k in range(1, 13)}, {"q1", "q2", "q3", "q4"}
    part = "month" if len(months) == 12 or numbers <= {n.lstrip("0") for n in names} else \
        "quarter" if quarters <= names else ""
    if part:
        raise year_matrix(part, columns.file)


def _time(columns: Head, options: DataConfig, taken: Collection[int] = ()
          ) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if options.time is not None:
        return tuple(columns.find(name, "--time") for name in names_in(options.time, columns.names)), ()
    dated = ("date", "integer", "number")
    taken = {*taken, *_others(columns, options)}
    named = [k for k in columns.named(TIME_NAMES) if k not in taken]
    clocks = [k for k in named if columns.holds(k, "clock")]
    days = [k for k in named if columns.holds(k, "date")]
    if len(clocks) == 1 and len(days) == 1 and len(named) == 2:
        return (days[0], clocks[0]), (f"time={called(columns, days[0])},{called(columns, clocks[0])}: date and clock",)
    if len(named) == 1:
        return (named[0],), ()
    if len(named) > 1:
        raise which(columns, named, "time", "--time")
    parts = _spread(columns)
    if parts and not {*parts} & taken:
        return parts, (f"time={','.join(called(columns, k) for k in parts)}: spread over columns",)
    periods = [k for k in columns.named(PERIOD_NAMES) if k not in taken
               and (columns.holds(k, *dated) or columns.counts(k))]
    dates = [k for k in range(len(columns.names)) if k not in taken
             and (_all_dates(columns, k) or "%N" in columns.counts(k))]
    if len(dates) == 1:
        return (dates[0],), (f"time={called(columns, dates[0])}: the only column of dates",)
    if len(dates) > 1:
        raise which(columns, dates, "time", "--time")
    if len(periods) == 1:
        return (periods[0],), (f"time={called(columns, periods[0])}: by its name",)
    if not columns.rows:
        raise DataError("has a header and no rows", file=columns.file, code="no_rows")
    if is_year_matrix(columns.names, columns.rows):
        raise year_matrix("month", columns.file)
    if looks_turned(columns.names, columns.rows):
        raise DataError("no column of time stamps found: times stand in the headers", file=columns.file, row=1,
                        code="no_time", hint="Try --turn", remedy={"turn": True})
    raise DataError("no column of time stamps found", file=columns.file, row=1, code="no_time",
                    hint=_time_hint(columns))


def _others(columns: Head, options: DataConfig) -> list[int]:
    """Columns the caller gave another role."""
    given = [name for text in (options.id, options.target) if text for name in names_in(text, columns.names)]
    return [k for k, n in enumerate(columns.names) if n in given]


def _all_dates(columns: Head, column: int) -> bool:
    kinds = columns.kinds(column)
    return bool(kinds) and all(k == "date" for k in kinds)


def _time_hint(columns: Head) -> str:
    numeric = sum(columns.holds(k, "integer", "number") for k in range(len(columns.names)))
    head = columns.rows[0] if columns.nameless else columns.names
    stamped = sum(kind(n) == "date" or bool(re.fullmatch(r"(1[5-9]|2[01])\d\d", n.strip())) for n in head)
    if (numeric > 10 and numeric >= len(columns.names) - 2) or stamped > 1:
        return "If each row is a series, turn the table: one column per series, one row per time"
    first = columns.rows[0]
    shown = [f"{name} ({shorten(first[k], 20)})" for k, name in enumerate(columns.names)]
    return f"Name it with --time; columns: {listed(shown, 4)}"


def _spread(columns: Head) -> tuple[int, ...]:
    """year, month, day, hour: as many as there are, from the year down."""
    at = {n.strip().lower(): k for k, n in enumerate(columns.names)}
    parts = []
    for name in PARTS:
        if name not in at:
            break
        if not columns.holds(at[name], "integer") and not (name == "month" and _names_months(columns, at[name])):
            break
        parts.append(at[name])
    return tuple(parts) if len(parts) > 1 else ()


def _names_months(columns: Head, column: int) -> bool:
    cells = [row[column].strip().lower() for row in columns.rows]
    return bool(cells) and all(cell[:3] in MONTHS for cell in cells if cell)


def _ident(columns: Head, options: DataConfig, time: tuple[int, ...], taken: Collection[int]
           ) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The columns that name the series, and what there is to say of that choice."""
    if options.id == NO_ID and NO_ID not in columns.names:
        return (), ()
    if options.id is not None:
        return tuple(dict.fromkeys(columns.find(name, "--id") for name in names_in(options.id, columns.names))), ()
    named = [k for k in columns.named(ID_NAMES) if k not in (*time, *_others(columns, options))
             and not rises(columns.cells(k), columns.stamps(time))]
    named = [k for k in named if k not in taken] or named           # the only one, in two roles: that is refused
    taken = {*taken, *time, *_others(columns, options)}
    if not named and columns.nameless:
        words = [k for k in range(len(columns.names)) if k not in taken and columns.holds(k, "text")]
        return tuple(words) if len(words) == 1 else (), ()          # no header: the one column of words
    return names_of_series(columns, options, time, named, taken)


def _targets(columns: Head, options: DataConfig, time: tuple[int, ...], ids: tuple[int, ...],
             taken: Collection[int]) -> tuple[tuple[int, ...], str]:
    if options.target is not None:
        names = names_in(options.target, columns.names)
        targets = tuple(columns.find(name, "--target") for name in names)
        if len(targets) > 1 and ids:
            raise DataError("--target takes one column where an id column names the series", file=columns.file,
                            code="several_targets")
        return targets, "wide" if len(targets) > 1 else "long" if ids else "single"
    layout = "long" if ids else "single"
    free = [k for k in range(len(columns.names)) if k not in (*ids, *time) and k not in taken]
    named = [k for k in columns.named(TARGET_NAMES) if k in free]
    if len(named) == 1:
        return (named[0],), layout
    if len(named) > 1:
        raise which(columns, named, "target", "--target")
    numeric = [k for k in free if columns.holds(k, "integer", "number") and not _is_helper(columns, k)]
    if len(numeric) > 1:                                            # "index" may be the only thing measured
        numeric = [k for k in numeric if not _is_index(columns, k)] or numeric
        numeric = [k for k in numeric if k not in columns.counters(numeric, time)] or numeric
    if only_counts(options) and numeric:                            # of the rows, whatever the column
        return (numeric[0],), layout
    if len(numeric) == 1:
        return (numeric[0],), layout
    if not numeric:                                                 # a short file with damaged cells
        numeric = [k for k in free if columns.holds(k, "integer", "number", share=0.3) and not _is_helper(columns, k)]
        if len(numeric) != 1 and only_counts(options):
            return ((free or time)[0],), layout
        if len(numeric) != 1:
            raise _no_numbers(columns, free)
        return (numeric[0],), layout
    empty = [k for k in free if columns.names[k].strip() and not columns.kinds(k)]
    words = [k for k in free if k not in numeric and k not in empty and not _is_helper(columns, k)
             and not _is_index(columns, k) and k not in columns.counters(free, time)]
    if ids or words or columns.nameless:
        raise which(columns, numeric, "target", "--target")
    return tuple(sorted([*numeric, *empty])), "wide"


def _is_helper(columns: Head, column: int) -> bool:
    return is_helper(columns.names[column], columns.cells(column)[:1000])


def _is_index(columns: Head, column: int) -> bool:
    """The index of a data frame: whole numbers without a name of their own, each once."""
    cells = [row[column].strip() for row in columns.rows]
    return (columns.names[column].strip().lower() in ("", "index", "unnamed: 0") and columns.holds(
        column, "integer", share=1.0) and len(set(cells)) == len(cells))


def _no_numbers(columns: Head, free: Sequence[int]) -> DataError:
    if not columns.rows:
        return DataError("has a header and no rows", file=columns.file, code="no_rows")
    for k in free:
        if len(units := columns.units(k)) > 1:
            return DataError(f"numbers of several units stand in one column: {listed(units)}", file=columns.file,
                             column=shorten(columns.names[k], 60), code="several_units",
                             hint="Bring all values to one unit, written in every cell or in none")
    shown = f"column {quoted(columns.names[free[0]])} holds {quoted(columns.rows[0][free[0]])}" if free else "no other"
    return DataError(f"no column of numbers to forecast ({shown})", file=columns.file, code="no_target",
                     hint="Name it with --target, or count rows: --every day --aggregate count")
