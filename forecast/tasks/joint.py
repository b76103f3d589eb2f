"""Joint: what predict writes beside the bands: paths, totals over periods and groups, and chances of events."""

# S series  N paths  H horizon

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from forecast.errors import RequestError
from forecast.ledger.options import Options
from forecast.model.dependence import paths
from forecast.model.events import event_of
from forecast.model.guard import History, kept
from forecast.model.predictor import Predictor
from forecast.reading.beside import shown
from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast
from forecast.series.ids import names_in
from forecast.system.machine import memory
from forecast.tasks.teller import Teller
from forecast.text import counted, listed
from forecast.writing.joint import Totals, chances_table, samples_table, totals_table
from forecast.writing.layouts import Page, is_typed, sink_at, stamps
from forecast.writing.periods import ALL, KINDS, Periods
from forecast.writing.places import Place

if TYPE_CHECKING:
    from forecast.reading.contract import Contract
    from forecast.series.panel import Panel

PATHS = 2_000                       # behind totals and chances
AT_ONCE = 4_000_000                 # numbers drawn at a time
COPIES = 10                         # of a number there are while it is drawn, read, rounded and written
CELL = 100                          # bytes of a cell that is kept as text or as an object
MOST_COLUMNS = 10_000


@dataclass(frozen=True)
class Asked:
    """What is asked for: one of samples, total and event. Raises RequestError for what cannot be asked."""

    samples: int | None = None      # so many paths
    total: str | None = None        # of each "day", "week" or "month", or of "all" steps
    by: str | None = None           # columns, by comma, that name groups of series for a total
    event: str | None = None        # whose chance is asked for
    seed: int = 0
    together: bool = False          # series share a part of their luck
    layout: str = "default"

    def __post_init__(self) -> None:
        given = [flag for flag, value in (("--samples", self.samples), ("--sum", self.total), ("--event", self.event))
                 if value is not None]
        if len(given) != 1:
            raise RequestError(f"{' and '.join(given)} are files of their own" if given else
                               "--by goes with --sum" if self.by else "--together goes with --samples, or --sum --by",
                               code="bad_setting", hint="Give one at a time" if given else None)
        if self.total not in (None, *KINDS):
            raise RequestError(f"--sum {self.total}: takes one of {', '.join(KINDS)}", code="bad_setting")
        if self.by is not None and self.total is None:
            raise RequestError("--by goes with --sum", code="bad_setting")
        if self.together and self.samples is None and self.by is None:
            raise RequestError("--together goes with --samples, or --sum --by", code="bad_setting")
        if self.layout not in (("default", "long") if self.samples else ("default",)):
            raise RequestError(f"{given[0]} has no --layout {self.layout}", code="bad_setting")
        if self.event is not None:
            event_of(self.event)
        if self.samples is not None and self.samples > MOST_COLUMNS and self.layout == "default":
            raise RequestError(f"--samples {self.samples} would be as many columns", code="bad_setting",
                               hint="Use --layout long")

    @property
    def file(self) -> str:
        """What is written by default."""
        return "samples.csv" if self.samples else "totals.csv" if self.total else "chances.csv"

    @property
    def count(self) -> int:
        return self.samples or PATHS


def asked(**given: object) -> Asked | None:
    """What is asked for beside the bands; None where nothing is."""
    defaults = Asked(samples=1)
    there = {name: value for name, value in given.items() if value not in (None, False)}
    is_any = set(there) & {"samples", "total", "by", "event", "together"}
    if not is_any and there.get("seed", 0) != 0:
        raise RequestError("--seed goes with --samples, --sum or --event", code="bad_setting")
    return Asked(**{"layout": defaults.layout, **there}) if is_any else None     # type: ignore[arg-type]


@dataclass
class Answer:
    """Parts of a forecast turned into rows, one after the other; `tables` are kept where no file takes them."""

    asked: Asked
    forecaster: Predictor
    page: Page
    options: Options
    panel: Panel
    steps: int
    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0

    def __post_init__(self) -> None:
        """Raises RequestError where the memory will not do, and for columns and events that these data do not have."""
        if self.asked.event is not None:
            event_of(self.asked.event, self.steps)
        _ = self.periods
        self._groups = Totals.blank(0, 0, 0)
        if self.asked.by is not None:
            self._check_memory(len(set(self.labels)) * self.asked.count * len(self.periods.names) * 3)
            self._groups = Totals.blank(len(self._keys), self.asked.count, len(self.periods.names))
        self._check_memory(self.asked.count * self.steps * COPIES)
        self._series = 0

    @cached_property
    def periods(self) -> Periods:
        ends = self.panel.end if len(self.panel) else np.zeros(1, dtype=np.int64)
        return Periods.of(self.page.contract, self.asked.total or ALL, first=int(ends.min()),
                          stop=int(ends.max()) + self.steps)

    @cached_property
    def labels(self) -> list[tuple[str, ...]]:
        """The group of each series (S,)."""
        return labels_of(self.panel, self.page.contract, self.asked.by or "")

    @cached_property
    def _keys(self) -> list[tuple[str, ...]]:
        return list(dict.fromkeys(self.labels))

    @cached_property
    def _which(self) -> Ints:
        """The group of each series (S,), by number."""
        place = {key: g for g, key in enumerate(self._keys)}
        return np.array([place[label] for label in self.labels], dtype=np.int64)

    def _check_memory(self, numbers: int, size: int = 8) -> None:
        if numbers * size > (there := memory()):
            raise RequestError(f"{self.asked.count:,} paths of {counted(self.steps, 'step')} need about "
                               f"{numbers * size / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f}",
                               code="too_large", hint="Ask for fewer, or for a shorter --horizon")

    def kept_whole(self, *, is_text: bool) -> None:
        """Say that all rows will be held before they are written. Raises RequestError where the memory will not do."""
        if self.asked.samples:
            self._check_memory(len(self.panel) * self.steps * self.asked.samples, CELL if is_text else 24)

    def of_part(self, part: Forecast, *, typed: bool) -> Iterator[pa.Table]:
        """The rows of some series, in few bytes at a time."""
        size = max(1, AT_ONCE // (self.asked.count * self.steps))
        for begin in range(0, max(1, len(part.panel)), size):
            some = taken(part, np.arange(begin, min(begin + size, len(part.panel))))
            drawn = drawn_of(some, self.forecaster, self.options, self.asked.count, seed=self.asked.seed,
                             together=self.asked.together or self.asked.by is not None)
            yield from self._rows(some, drawn, typed=typed)
            self._series += len(some.panel)

    def _rows(self, some: Forecast, drawn: Floats, *, typed: bool) -> Iterator[pa.Table]:
        page = self.page
        if self.asked.samples:
            yield self._counted(samples_table(some, drawn, page, long=self.asked.layout == "long", typed=typed))
        elif self.asked.event:
            yield self._counted(chances_table(some, event_of(self.asked.event).on(drawn).mean(axis=1),
                                              self.asked.event, page))
        elif self.asked.by is None:
            totals = Totals.blank(len(some.panel), self.asked.count, len(self.periods.names))
            totals.add(np.arange(len(some.panel)), some, drawn, self.periods)
            yield self._counted(totals_table(totals, page.contract.id_cells(some.panel.ids), self.periods, page,
                                             some.panel.end - 1))
        else:
            which = self._which[self._series:self._series + len(some.panel)]
            self._groups.add(which, some, drawn, self.periods)

    def rest(self) -> Iterator[pa.Table]:
        """What is known only when all parts have been seen: totals of groups."""
        if self.asked.by is not None:
            cutoff = np.full(len(self._keys), np.iinfo(np.int64).min)
            np.maximum.at(cutoff, self._which, self.panel.end - 1)
            names = names_in(self.asked.by, _columns(self.page.contract))
            keys = {name: [key[k] for key in self._keys] for k, name in enumerate(names)}
            yield self._counted(totals_table(self._groups, keys, self.periods, self.page, cutoff))

    def _counted(self, table: pa.Table) -> pa.Table:
        self.rows += table.num_rows
        return table

    def told(self, teller: Teller) -> tuple[int, str]:
        """How many rows were made, and what they are; how far the first and last period lie within the horizon, where
        they do not lie in it as a whole, is told."""
        inside = np.bincount(self.periods.code, minlength=len(self.periods.names))
        cut = [f"{name} has {n} of its {whole} {self.page.contract.calendar.unit}" for name, n, whole in
               zip(self.periods.names, inside.tolist(), self.periods.whole.tolist(), strict=True) if n < whole]
        if self.asked.total is not None and cut:
            teller.say("periods", f"in the horizon, {listed(cut, 2)}")
        return self.rows, self._words()

    def _words(self) -> str:
        unit, contract = self.page.contract.calendar.unit, self.page.contract
        if self.asked.samples:
            return (f"{self.rows:,} rows = {len(self.panel):,} series x {self.steps} {unit}"
                    + (f" x {self.asked.samples:,} samples" if self.asked.layout == "long" else
                       f", {self.asked.samples:,} samples each"))
        if self.asked.event:
            return f"{self.rows:,} rows = {len(self.panel):,} series, \"{self.asked.event}\" in {self.steps} {unit}"
        whose = counted(len(self.panel) if self.asked.by is None else len(self._keys),
                        "series" if self.asked.by is None else "group")
        spans = "all steps" if self.asked.total == ALL or not contract.calendar.is_time else \
            counted(len(self.periods.names), str(self.asked.total))
        return f"{self.rows:,} rows = {whose} x {spans}"

    @contextmanager
    def opened(self, output: Place | None, out: Callable[[bytes], None] | None) -> Iterator[Callable[[Forecast], None]]:
        """Where the rows go: a file or folder, whoever takes the bytes, or `tables`."""
        ids = self.panel.ids if self.asked.by is None else [text for key in self._keys for text in key]
        texts = [*ids, *stamps(self.page.contract, self.panel.end[:1])]
        if output is None and out is None:
            self.kept_whole(is_text=True)
            yield lambda part: self.tables.extend(self.of_part(part, typed=False))
            self.tables.extend(self.rest())
            return
        name, buffer = "" if output is None else output.name, io.BytesIO()
        if output is None or name.endswith((".json", ".xlsx")):
            self.kept_whole(is_text=True)
        quotable = [pa.array([str(text) for text in texts], pa.string())]
        with sink_at(output, quotable, self.page.contract, into=None if output else buffer) as write:
            def put(part: Forecast) -> None:
                for table in self.of_part(part, typed=is_typed(name)):
                    write(table)

            yield put
            for table in self.rest():
                write(table)
        if out is not None and output is None:
            out(buffer.getvalue())


def taken(forecast: Forecast, which: Ints) -> Forecast:
    """The forecast of some of its series."""
    return replace(forecast, panel=forecast.panel.take(which), values=forecast.values[which],
                   source=forecast.source[which], mean=None if forecast.mean is None else forecast.mean[which])


def drawn_of(forecast: Forecast, forecaster: Predictor, options: Options, count: int, *, seed: int,
             together: bool = False) -> Floats:
    """Paths (S, N, H) of a forecast, as the options of its issue have it: within what its series may be."""
    drawn = paths(forecaster.dependence, forecast.values, forecast.quantiles, count=count, ids=forecast.panel.ids,
                  seed=seed, together=together)
    negative = forecaster.config.model.allow_negative
    within = kept(drawn.swapaxes(1, 2), History.of(forecast.panel), negative=negative).swapaxes(1, 2)
    within = np.maximum(within, 0.0) if options.nonnegative else within
    return np.rint(within) + 0.0 if options.round else within


def _columns(contract: Contract) -> list[str]:
    """The columns that may name groups of series."""
    return [*(b.name for b in contract.beside if b.role == "static"), *contract.id_headers]


def labels_of(panel: Panel, contract: Contract, by: str) -> list[tuple[str, ...]]:
    """The group of each series (S,): its words in these static columns or columns of ids. Raises RequestError for a
    column that is neither."""
    static = [b for b in contract.beside if b.role == "static"]
    cells = contract.id_cells(panel.ids)
    labels = []
    for name in names_in(by, _columns(contract)):
        if name in cells:
            labels.append(cells[name])
        elif name in (names := [b.name for b in static]) and panel.beside is not None and panel.row is not None:
            b, values = static[names.index(name)], panel.beside.static[panel.row, names.index(name)]
            labels.append([shown(b, value) for value in values.tolist()])
        else:
            role = next((f": its role is {b.role}, it changes within a series" for b in contract.beside
                         if b.name == name), ": there is no such static column")
            known = _columns(contract)
            raise RequestError(f"--by {name}{role}", code="bad_setting",
                               hint=f"There is {listed(known)}" if known else
                               "forecast train DATA --static COLUMN makes one known")
    return list(zip(*labels, strict=True))
