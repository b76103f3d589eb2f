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
from forecast.reading.counters import PARTS, counts_rows, is_helper, numbers_rows, rises
from forecast.reading.parsing.affixes import affixes_of, share_one_unit
from forecast.reading.parsing.kinds import kind
from forecast.series.covariates import ROLES, Role
from forecast.text import listed, quoted, safe, shorten

ID_NAMES = ("unique_id", "item_id", "series_id", "id", "series", "store", "sku")
TIME_NAMES = ("ds", "timestamp", "date", "datetime", "time")
TARGET_NAMES = ("y", "target", "value", "sales", "demand", "load")
PERIOD_NAMES = ("year", "month", "quarter", "week", "day", "period", "date_time", "datum", "fecha", "jahr", "yearmonth")
ENTITIES = ("country", "region", "state", "city", "shop", "station", "site", "sensor", "device", "meter", "location",
            "product", "item", "symbol", "ticker", "customer", "branch", "plant", "machine", "category", "name",
            *ID_NAMES)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
OFFERED = " (use with --known, --past or --static)"
STATIC = " (the same in all rows of a series: use with --static)"
NO_ID = "none"                      # --id none: no column names series
KNOWN = (*ID_NAMES, *TIME_NAMES, *TARGET_NAMES)


@dataclass(frozen=True)
class Roles:
    """Positions of the columns. `beside`: covariates, with their roles · `elsewhere`: covariates by name that another
    file must have · `spare`: columns left unread, with what they might be: "", OFFERED or STATIC · `choices`: how they
    were found without a contract."""

    id: int | None
    time: tuple[int, ...]
    targets: tuple[int, ...]
    layout: str
    spare: Mapping[int, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    beside: tuple[tuple[Role, int], ...] = ()
    elsewhere: tuple[tuple[Role, str], ...] = ()

    def notes(self, names: Sequence[str]) -> list[str]:
        """The columns left unread, in words, and by which flags they would be read."""
        groups: dict[str, list[str]] = {"": [], OFFERED: [], STATIC: []}
        for k, hint in self.spare.items():
            groups[hint].append(names[k] or "a column without name")
        return [f"not used: {listed(some)}{hint}" for hint, some in groups.items() if some]


@dataclass(frozen=True)
class _Columns:
    """Headers and a sample of rows (R, K). `absent`: texts that stand for a missing value here."""

    file: str
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    absent: Collection[str] = ()

    @property
    def nameless(self) -> bool:
        """Without a header: columns are called by their number."""
        return self.names == tuple(str(k + 1) for k in range(len(self.names)))

    def cells(self, column: int) -> list[str]:
        return [row[column] for row in self.rows]

    def stamps(self, time: Sequence[int]) -> list[tuple[str, ...]]:
        return [tuple(row[k] for k in time) for row in self.rows]

    def counters(self, of: Collection[int], time: Sequence[int]) -> list[int]:
        """Those columns that number the rows."""
        stamps = self.stamps(time)
        return [k for k in of if numbers_rows(self.names[k], self.cells(k), stamps)]

    def kinds(self, column: int) -> list[str]:
        kind_of = {text: k for row in self.rows if (text := row[column].strip()) not in self.absent
                   and (k := kind(text)) != "missing"}
        of_cells = [kind_of[text] for row in self.rows if (text := row[column].strip()) in kind_of]
        return ["number"] * len(of_cells) if set(of_cells) == {"text"} and share_one_unit(kind_of) else of_cells

    def holds(self, column: int, *kinds: str, share: float = 0.8) -> bool:
        of_cells = self.kinds(column)
        return bool(of_cells) and sum(k in kinds for k in of_cells) >= share * len(of_cells)

    def units(self, column: int) -> list[str]:
        """The units behind the numbers of a column that holds nothing else."""
        cells = [text for row in self.rows if (text := row[column].strip()) and text not in self.absent]
        units = [affixes_of(text)[1] for text in cells]
        return list(dict.fromkeys(units)) if all(units) else []

    def find(self, name: str, flag: str) -> int:
        """The column of this header, in its own case or else in any. Raises DataError."""
        hits = [k for k, n in enumerate(self.names) if n == name]
        hits = hits or [k for k, n in enumerate(self.names) if n.strip().lower() == name.strip().lower()]
        if len(hits) == 1:
            return hits[0]
        what = f"no column {quoted(name)}" if not hits else f"{len(hits)} columns are called {quoted(name)}"
        raise DataError(f"{what} ({flag})", file=self.file, row=1, code="missing_column" if not hits else
                        "double_column", hint="Rename one" if hits else f"Columns: {listed(self.names, 8)}")

    def named(self, names: Sequence[str]) -> list[int]:
        return [k for k, n in enumerate(self.names) if n.strip().lower() in names]


def find_roles(file: str, names: Sequence[str], rows: Sequence[Sequence[str]], options: DataConfig,
               contract: Contract | None = None) -> Roles:
    """Roles of the columns of a file. Raises DataError where they cannot be told, RequestError for two roles of one."""
    columns = _Columns(file, tuple(names), rows, options.missing or ())
    roles = _as_before(columns, contract) if contract is not None else _found(columns, options)
    for k in (roles.id, *roles.time, *roles.targets, *(k for _, k in roles.beside)):
        if k is not None and columns.names.count(columns.names[k]) > 1:
            columns.find(columns.names[k], "used")                  # refuses: which of them is meant?
    return roles


def find_beside(file: str, names: Sequence[str], rows: Sequence[Sequence[str]], like: Like) -> Roles:
    """Roles of the columns of a file of covariates that stands beside another one: its id and time are called as there.
    What is wanted and is not there is left out. Raises DataError."""
    columns = _Columns(file, tuple(names), rows)
    own = columns.named([like.id.strip().lower()]) if like.id is not None else []
    wanted = [(role, k) for role, name in like.wanted for k in columns.named([name.strip().lower()])[:1]]
    if all(columns.named([t.strip().lower()]) for t in like.time):
        time: tuple[int, ...] = tuple(columns.find(t, "the time") for t in like.time)
    elif wanted and own and all(role == "static" for role, _ in wanted):
        time = ()                                                   # what never changes needs no time
    else:
        time = _time(columns, DataConfig(), {k for _, k in wanted})[0]
    used = {*own[:1], *time, *(k for _, k in wanted)}
    spare = {k: OFFERED for k in range(len(columns.names)) if k not in used}
    return Roles(own[0] if own else None, time, (), "beside", spare, beside=tuple(wanted))


@dataclass(frozen=True)
class Like:
    """What a file of covariates must be like: headers of the id and the times it is joined by, and what is wanted."""

    id: str | None
    time: tuple[str, ...]
    wanted: tuple[tuple[Role, str], ...]


def asked_roles(options: DataConfig) -> list[tuple[Role, str]]:
    """The covariates that settings name. Raises RequestError for a column in two roles."""
    asked = [(role, name) for role in ROLES for name in dict.fromkeys(getattr(options, role) or ())]
    targets = (options.target or "").split(",")
    flags = [("--id", options.id), ("--time", options.time), *(("--target", name) for name in targets)]
    first: dict[str, str] = {name.strip().lower(): flag for flag, name in flags if name}
    for role, name in asked:
        _check_one_role(name, first.setdefault(name.strip().lower(), f"--{role}"), f"--{role}")
    return asked


def _check_one_role(name: str, one: str, other: str) -> None:
    if one != other:
        raise RequestError(f"column {quoted(name)} has two roles: {one} and {other}", code="two_roles",
                           hint="Give it one of them")


def _as_before(columns: _Columns, contract: Contract) -> Roles:
    """The columns an earlier file had, matched by name in whatever order."""
    def at(name: str) -> int:
        return columns.find(name, "used by the model")

    ident = None if contract.id_column is None else at(contract.id_column)
    time = tuple(at(name) for name in contract.time_columns)
    targets = tuple(at(name) for name in contract.targets)
    beside = tuple((b.role, at(b.name)) for b in contract.beside if b.source is None)
    elsewhere = tuple((b.role, b.name) for b in contract.beside if b.source is not None and not b.is_holiday)
    spare = _spare(columns, {*targets, *(k for _, k in beside)}, ident, time, contract.layout)
    return Roles(ident, time, targets, contract.layout, spare, (), beside, elsewhere)


def _spare(columns: _Columns, used: Collection[int], ident: int | None, time: tuple[int, ...], layout: str
           ) -> dict[int, str]:
    """The other columns, and what they might be. Those of a wide file may be anything."""
    def hint(k: int) -> str:
        if layout == "wide" or not columns.names[k].strip() or _is_helper(columns, k) or _is_index(columns, k) \
                or counts_rows(columns.cells(k), columns.stamps(time)):
            return ""
        return STATIC if ident is not None and _is_constant(columns, k, ident) else OFFERED

    return {k: hint(k) for k in range(len(columns.names)) if k not in (*used, *time, ident)}


def _is_constant(columns: _Columns, column: int, ident: int) -> bool:
    """Whether a column says one thing in all rows of a series, as far as the sample tells."""
    pairs = {(row[ident], row[column]) for row in columns.rows}
    return len(columns.rows) > len(pairs) == len({row[ident] for row in columns.rows})


def _found(columns: _Columns, options: DataConfig) -> Roles:
    asked = asked_roles(options)
    here = {name.strip().lower() for name in columns.names}
    others = [pair for pair in asked if options.covariates and pair[1].strip().lower() not in here]
    beside = tuple((role, columns.find(name, f"--{role}")) for role, name in asked if (role, name) not in others)
    taken = {k for _, k in beside}
    time, said = _time(columns, options, taken)
    ident = _ident(columns, options, time, taken)
    targets, layout = _targets(columns, options, time, ident, taken)
    if layout == "wide" and options.target is None:
        _check_matrix(columns, time, targets)
    for role, k in beside:
        own = "--time" if k in time else "--id" if k == ident else "--target" if k in targets else f"--{role}"
        _check_one_role(columns.names[k], own, f"--{role}")
    spare = _spare(columns, {*targets, *taken}, ident, time, layout)
    said = (*said, *(f"{_name(columns, k)} numbers the rows: not forecast" for k in columns.counters(spare, time)))
    wide = (f"wide file: {len(targets)} columns become {len(targets)} series",) if layout == "wide" else ()
    return Roles(ident, time, targets, layout, spare, (*said, *wide), beside, tuple(others))


def _check_matrix(columns: _Columns, time: tuple[int, ...], targets: Sequence[int]) -> None:
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
        raise DataError(f"a row holds the {part}s of a year: one row per {part} is needed", file=columns.file, row=1,
                        code="year_matrix", hint=f"Turn it into two columns, date and value, with one row per {part}")


def _time(columns: _Columns, options: DataConfig, taken: Collection[int] = ()
          ) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if options.time is not None:
        names = [options.time] if options.time in columns.names else options.time.split(",")
        return tuple(columns.find(name, "--time") for name in names), ()
    dated = ("date", "integer", "number")
    taken = {*taken, *_others(columns, options)}
    named = [k for k in columns.named(TIME_NAMES) if k not in taken]
    clocks = [k for k in named if columns.holds(k, "clock")]
    days = [k for k in named if columns.holds(k, "date")]
    if len(clocks) == 1 and len(days) == 1 and len(named) == 2:
        return (days[0], clocks[0]), (f"time={_name(columns, days[0])},{_name(columns, clocks[0])}: date and clock",)
    if len(named) == 1:
        return (named[0],), ()
    if len(named) > 1:
        raise _which(columns, named, "time", "--time")
    parts = _spread(columns)
    if parts and not {*parts} & taken:
        return parts, (f"time={','.join(_name(columns, k) for k in parts)}: spread over columns",)
    periods = [k for k in columns.named(PERIOD_NAMES) if k not in taken and columns.holds(k, *dated)]
    dates = [k for k in range(len(columns.names)) if k not in taken and _all_dates(columns, k)]
    if len(dates) == 1:
        return (dates[0],), (f"time={_name(columns, dates[0])}: the only column of dates",)
    if len(dates) > 1:
        raise _which(columns, dates, "time", "--time")
    if len(periods) == 1:
        return (periods[0],), (f"time={_name(columns, periods[0])}: by its name",)
    if not columns.rows:
        raise DataError("has a header and no rows", file=columns.file, code="no_rows")
    raise DataError("no column of time stamps found", file=columns.file, row=1, code="no_time",
                    hint=_time_hint(columns))


def _others(columns: _Columns, options: DataConfig) -> list[int]:
    """Columns the caller gave another role."""
    given = [options.id, *(options.target.split(",") if options.target else [])]
    return [k for k, n in enumerate(columns.names) if n in given]


def _all_dates(columns: _Columns, column: int) -> bool:
    kinds = columns.kinds(column)
    return bool(kinds) and all(k == "date" for k in kinds)


def _time_hint(columns: _Columns) -> str:
    numeric = sum(columns.holds(k, "integer", "number") for k in range(len(columns.names)))
    head = columns.rows[0] if columns.nameless else columns.names
    stamped = sum(kind(n) == "date" or bool(re.fullmatch(r"(1[5-9]|2[01])\d\d", n.strip())) for n in head)
    if (numeric > 10 and numeric >= len(columns.names) - 2) or stamped > 1:
        return "If each row is a series, turn the table: one column per series, one row per time"
    first = columns.rows[0]
    shown = [f"{name} ({shorten(first[k], 20)})" for k, name in enumerate(columns.names)]
    return f"Name it with --time; columns: {listed(shown, 4)}"


def _spread(columns: _Columns) -> tuple[int, ...]:
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


def _names_months(columns: _Columns, column: int) -> bool:
    cells = [row[column].strip().lower() for row in columns.rows]
    return bool(cells) and all(cell[:3] in MONTHS for cell in cells if cell)


def _ident(columns: _Columns, options: DataConfig, time: tuple[int, ...], taken: Collection[int]) -> int | None:
    if options.id == NO_ID and NO_ID not in columns.names:
        return None
    if options.id is not None:
        return columns.find(options.id, "--id")
    named = [k for k in columns.named(ID_NAMES) if k not in (*time, *_others(columns, options))
             and not rises(columns.cells(k), columns.stamps(time))]
    named = [k for k in named if k not in taken] or named           # the only one, in two roles: that is refused
    taken = {*taken, *time, *_others(columns, options)}
    if len(named) > 1:
        raise _which(columns, named, "id", "--id")
    if not named and columns.nameless:
        words = [k for k in range(len(columns.names)) if k not in taken and columns.holds(k, "text")]
        return words[0] if len(words) == 1 else None                # no header: the one column of words
    return named[0] if named else None


def _targets(columns: _Columns, options: DataConfig, time: tuple[int, ...], ident: int | None,
             taken: Collection[int]) -> tuple[tuple[int, ...], str]:
    if options.target is not None:
        names = [options.target] if options.target in columns.names else options.target.split(",")
        targets = tuple(columns.find(name, "--target") for name in names)
        if len(targets) > 1 and ident is not None:
            raise DataError("--target takes one column where an id column names the series", file=columns.file,
                            code="several_targets")
        return targets, "wide" if len(targets) > 1 else "single" if ident is None else "long"
    layout = "single" if ident is None else "long"
    free = [k for k in range(len(columns.names)) if k != ident and k not in time and k not in taken]
    named = [k for k in columns.named(TARGET_NAMES) if k in free]
    if len(named) == 1:
        return (named[0],), layout
    if len(named) > 1:
        raise _which(columns, named, "target", "--target")
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
    if ident is not None or words or columns.nameless:
        raise _which(columns, numeric, "target", "--target")
    return tuple(sorted([*numeric, *empty])), "wide"


def _is_helper(columns: _Columns, column: int) -> bool:
    return is_helper(columns.names[column], columns.cells(column)[:1000])


def _is_index(columns: _Columns, column: int) -> bool:
    """The index of a data frame: whole numbers without a name of their own, each once."""
    cells = [row[column].strip() for row in columns.rows]
    return (columns.names[column].strip().lower() in ("", "index", "unnamed: 0") and columns.holds(
        column, "integer", share=1.0) and len(set(cells)) == len(cells))


def _no_numbers(columns: _Columns, free: Sequence[int]) -> DataError:
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


def _which(columns: _Columns, candidates: Sequence[int], role: str, flag: str) -> DataError:
    names = [columns.names[k] for k in candidates]
    alike = len({n.strip().lower() for n in names}) == 1
    return DataError(f"several columns could be the {role}: {listed(names)}", file=columns.file, row=1,
                     code=f"several_{role}s", hint="Rename one" if alike else f"Try {flag} {safe(names[0])[:40]}")


def _name(columns: _Columns, column: int) -> str:
    return safe(columns.names[column]) or "(no name)"
