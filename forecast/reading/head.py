"""Head: the headers of a table and its first rows, and what they tell of each column: what it holds, whether it may
name series, whether it is likely the one to forecast."""

# R rows of the sample

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.counters import CALENDAR_NAMES, numbers_rows
from forecast.reading.parsing.affixes import affixes_of, share_one_unit
from forecast.reading.parsing.counts import counted_pattern
from forecast.reading.parsing.kinds import kind
from forecast.series.ids import listed_names, pasted
from forecast.text import listed, quoted, safe

ID_NAMES = ("unique_id", "item_id", "series_id", "id", "series", "store", "sku")
ENTITIES = ("country", "region", "state", "city", "shop", "station", "site", "sensor", "device", "meter", "location",
            "product", "item", "symbol", "ticker", "customer", "branch", "plant", "machine", "category", "name",
            *ID_NAMES)
NAMERS = {
    *ENTITIES, "dept", "department", "family", "brand", "province", "district", "zone", "area", "market", "channel",
    "segment", "supplier", "vendor", "client", "account", "asset", "fund", "stock", "hospital", "school", "airport",
    "building", "household", "turbine", "route", "line", "geo", "entity", "indicator", "commodity", "species", "team",
    "company", "warehouse", "code", "filiale", "artikel", "produkt", "land", "kunde", "standort", "tienda", "producto",
    "pays", "magasin", "produit"}
MEASURES = (                        # words of headers, the likeliest first
    "y", "target", "sales", "demand", "amount", "value", "values", "price", "revenue", "turnover", "qty", "quantity",
    "count", "cnt", "total", "units", "sold", "volume", "close", "load", "consumption", "usage", "power", "energy",
    "users", "visitors", "visits", "passengers", "rides", "trips", "orders", "cases", "production", "umsatz", "menge",
    "verbrauch", "ventas", "ventes")
MOST_IDS = 4
REPEATED = 0.05                     # share of rows that repeat a series and time from which a name lacks something
SLIPS = 0.02                        # share of rows that may do so by mistake
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
QUARTERS = ("q1", "q2", "q3", "q4")
FEW_TIMES = 2                       # times in the headers of a turned table, at least
_YEAR = re.compile(r"(1[5-9]|2[01])\d\d")
_QUARTER = re.compile(r"(1[5-9]|2[01])\d\d\.[1-4]")
_COUNTED = re.compile(r"(\D*?)(\d+)")


def words_of(header: str) -> list[str]:
    """`WeeklySales_EUR` is weekly, sales, eur."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    return [word for word in re.split(r"[\W\d_]+", parted.lower()) if word]


@dataclass(frozen=True)
class Head:
    """Headers and a sample of rows (R, K). `absent`: texts that stand for a missing value here."""

    file: str
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    absent: Collection[str] = ()

    @property
    def nameless(self) -> bool:
        """Without a header: columns are called by their number."""
        return self.names == tuple(str(k + 1) for k in range(len(self.names)))

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

    def cells(self, column: int) -> list[str]:
        return [row[column].strip() for row in self.rows]

    def stamps(self, time: Sequence[int]) -> list[tuple[str, ...]]:
        return [tuple(row[k] for k in time) for row in self.rows]

    def counters(self, of: Collection[int], time: Sequence[int]) -> list[int]:
        """Those columns that number the rows."""
        stamps = self.stamps(time)
        return [k for k in of if numbers_rows(self.names[k], self.cells(k), stamps)]

    def counts(self, column: int) -> str:
        """How a column counts years and months, or steps, in words and numbers; "" where it does not."""
        return counted_pattern([cell for cell in dict.fromkeys(self.cells(column)) if cell])

    def repeated(self, columns: Sequence[int]) -> float:
        """The share of rows that say in these columns what an earlier row said."""
        keys = {tuple(row[k].strip() for k in columns) for row in self.rows}
        return 1 - len(keys) / max(1, len(self.rows))

    def likely_target(self, candidates: Sequence[int]) -> int:
        """The column most likely meant: by its name, else the last that holds more than two numbers."""
        for word in MEASURES:
            for k in candidates:
                if word in words_of(self.names[k]):
                    return k
        rich = [k for k in candidates
                if len({*self.cells(k)} - {""}) > 2 and self.names[k].strip().lower() not in CALENDAR_NAMES]
        return (rich or list(candidates))[-1]

    def namers(self, taken: Collection[int]) -> list[int]:
        """Columns that may name series: their header says so, and they hold words or codes that come again."""
        return [k for k, name in enumerate(self.names) if k not in taken and self._may_name(k, words_of(name))]

    def _may_name(self, k: int, words: Sequence[str]) -> bool:
        if not NAMERS & {*words, self.names[k].strip().lower()} or {*words} & {*MEASURES, *CALENDAR_NAMES}:
            return False
        cells = self.cells(k)
        return self.holds(k, "text", "integer", share=0.9) and 2 * len({*cells}) <= len(cells)

    def clocks(self, taken: Collection[int]) -> list[int]:
        """Columns of times of day, of more than one."""
        return [k for k in range(len(self.names)) if k not in taken and self.holds(k, "clock", share=0.95)
                and len({*self.cells(k)}) > 1]

    def parting(self, base: Sequence[int], time: Sequence[int], candidates: Sequence[int]) -> list[int]:
        """The fewest candidates that tell rows of one time apart, beside those of the base; [] where none do. Where
        none tell all of them apart, those that leave a few: slips.

        Raises DataError where other columns do so as well, and part the rows otherwise."""
        sizes = range(1, MOST_IDS - len(base) + 1)
        for most, size in ((most, size) for most in (0.0, SLIPS) for size in sizes):
            fit = [some for some in combinations(candidates, size) if self.repeated([*base, *some, *time]) <= most
                   and all(any(row[k].strip() for k in (*base, *some)) for row in self.rows)]
            if not fit:
                continue
            first = self._parts(fit[0])
            if other := next((some for some in fit if self._parts(some) != first), None):
                names = [listed_names([self.names[k] for k in (*base, *some)]) for some in (fit[0], other)]
                raise DataError(f"columns {names[0]} or {names[1]} may name the series", file=self.file, row=1,
                                code="several_ids", hint=f"Try --id {pasted(names[0])}",
                                remedy={"id": names[0]})
            return list(fit[0])
        return []

    def _parts(self, columns: Sequence[int]) -> list[int]:
        """Which rows belong together by these columns: a number for each, in order of appearance (R,)."""
        numbers: dict[tuple[str, ...], int] = {}
        return [numbers.setdefault(tuple(row[k].strip() for k in columns), len(numbers)) for row in self.rows]


def times_among(names: Sequence[str]) -> list[int]:
    """Positions of the headers that are times, written in one way: dates, years, quarters, or counted steps."""
    groups: dict[object, list[int]] = {}
    for k, name in enumerate(cell.strip() for cell in names):
        counted_as = _COUNTED.fullmatch(name)
        shape: object = "year" if _YEAR.fullmatch(name) else "quarter" if _QUARTER.fullmatch(name) else \
            "date" if kind(name) == "date" else ("count", counted_as[1]) if counted_as else None
        if shape is not None:
            groups.setdefault(shape, []).append(k)
    fit = [some for shape, some in groups.items() if len(some) >= FEW_TIMES and (
        isinstance(shape, str) or shape[1] == "" or counted_pattern([names[k].strip() for k in some]))]  # type: ignore[index]
    return max(fit, key=len, default=[])


def is_counted(headers: Sequence[str]) -> bool:
    """Whether these times are steps that are counted, no dates."""
    return all(_COUNTED.fullmatch(name) and not (_YEAR.fullmatch(name) or kind(name) == "date") for name in headers)


def looks_turned(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether times stand in the headers, over numbers."""
    times = times_among(names)
    cells = [kind(row[k]) for row in rows for k in times]
    return len(times) > FEW_TIMES and len(times) >= 0.5 * len(names) and bool(cells) and \
        sum(k in ("integer", "number", "missing") for k in cells) > 0.8 * len(cells)


def is_year_matrix(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a row is a month and a column a year: one series, not twelve."""
    times = times_among(names)
    cells = [[row[k].strip().lower() for row in rows] for k in range(len(names)) if k not in times]
    parts = (1 < len({*some}) == len(some) and all(cell[:3] in MONTHS or cell in QUARTERS for cell in some)
             for some in cells)
    return all(_YEAR.fullmatch(names[k].strip()) for k in times) and any(parts)


def year_matrix(part: str, file: str) -> DataError:
    return DataError(f"a row or a column holds the {part}s of a year: one row per {part} is needed", file=file, row=1,
                     code="year_matrix", hint=f"Turn it into two columns, date and value, with one row per {part}")


def which(columns: Head, candidates: Sequence[int], role: str, flag: str) -> DataError:
    names = [columns.names[k] for k in candidates]
    alike = len({n.strip().lower() for n in names}) == 1
    likely = columns.names[columns.likely_target(candidates) if role == "target" else candidates[0]]
    return DataError(f"several columns could be the {role}: {listed(names)}", file=columns.file, row=1,
                     code=f"several_{role}s", hint="Rename one" if alike else f"Try {flag} {pasted(likely)}",
                     remedy={} if alike else {role: listed_names([likely])})


def called(columns: Head, column: int) -> str:
    return safe(columns.names[column]) or "(no name)"


def names_of_series(columns: Head, options: DataConfig, time: tuple[int, ...], named: list[int], taken: Collection[int]
             ) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The columns called as ids are; and where rows repeat one time and may not, those that tell them apart."""
    several, once = len(named) > 1, options.duplicates in ("refuse", "last") and options.every is None
    if not several and (not once or columns.repeated([*named, *time]) <= REPEATED):
        return tuple(named), ()
    repeat = columns.repeated(time) > REPEATED
    if several and repeat and once and (some := columns.parting([], time, named)):
        more = tuple(some)
    elif several:
        raise which(columns, named, "id", "--id")
    else:
        more = (*named, *columns.parting(named, time, columns.namers({*taken, *named})))
    if more == tuple(named) and not several:
        return more, ()
    return more, (f"id={','.join(called(columns, k) for k in more)}: what tells rows of one time apart",)


def with_clock(columns: Head, options: DataConfig, time: tuple[int, ...], ids: tuple[int, ...], taken: Collection[int]
                ) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """A day, and beside it the time of day in a column of its own, where the day alone repeats."""
    if options.time is not None or len(time) != 1 or options.duplicates != "refuse" \
            or columns.repeated([*ids, *time]) <= REPEATED or not columns.holds(time[0], "date"):
        return time, ()
    clocks = [k for k in columns.clocks({*taken, *time, *ids}) if columns.repeated([*ids, *time, k]) <= REPEATED]
    if not clocks:
        return time, ()
    both = (time[0], clocks[0])
    return both, (f"time={','.join(called(columns, k) for k in both)}: date and clock",)
