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
from forecast.model.hindsight import expected
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast
from forecast.system.machine import memory
from forecast.tasks.groups import Gathered, Groups, agreement_of, may_be_negative, own_forecast
from forecast.tasks.teller import Teller
from forecast.text import counted, listed
from forecast.writing.joint import Totals, chances_table, samples_table, totals_table
from forecast.writing.layouts import Page, is_typed, sink_at, stamps
from forecast.writing.periods import ALL, KINDS, STEP, Periods
from forecast.writing.places import Place

if TYPE_CHECKING:
    import pyarrow as pa

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
    total: str | None = None        # of each "step", "day", "week" or "month", or of "all" steps
    by: str | None = None           # columns, by comma, that name groups of series; of each step, without a total
    event: str | None = None        # whose chance is asked for
    seed: int = 0
    together: bool = False          # series share a part of their luck
    layout: str = "default"

    def __post_init__(self) -> None:
        given = [flag for flag, value in (("--samples", self.samples), ("--sum", self.total), ("--by", self.by),
                                          ("--event", self.event)) if value is not None]
        if len(given) != 1 and given != ["--sum", "--by"]:
            raise RequestError(f"{' and '.join(given)} are files of their own" if given else
                               "--together goes with --samples, or --by", code="bad_setting",
                               hint="Give one at a time" if given else None)
        if self.total not in (None, *KINDS):
            raise RequestError(f"--sum {self.total}: takes one of {', '.join(KINDS)}", code="bad_setting")
        if self.together and self.samples is None and self.by is None:
            raise RequestError("--together goes with --samples, or --by", code="bad_setting")
        if self.layout not in (("default", "long") if self.samples else ("default",)):
            raise RequestError(f"{given[0]} has no --layout {self.layout}", code="bad_setting")
        for flag, number, least in (("--samples", self.samples, 1), ("--seed", self.seed, 0)):
            if number is not None and not (isinstance(number, (int, np.integer)) and number >= least):
                raise RequestError(f"{flag} {number}: takes a whole number from {least}", code="bad_setting")
        if self.event is not None:
            event_of(self.event)
        if self.by is not None and not self.by.replace(",", "").strip():
            raise RequestError("--by names no column", code="bad_setting", hint="As in --by region, or --by all")
        if self.samples is not None and self.samples > MOST_COLUMNS and self.layout == "default":
            raise RequestError(f"--samples {self.samples} would be as many columns, and {MOST_COLUMNS:,} are the most",
                               code="bad_setting", hint="Use --layout long")

    @property
    def file(self) -> str:
        """What is written by default."""
        return "samples.csv" if self.samples else "chances.csv" if self.event else "totals.csv"

    @property
    def count(self) -> int:
        return self.samples or PATHS

    @property
    def kind(self) -> str:
        """The periods that steps add up to."""
        return self.total or (ALL if self.by is None else STEP)


def asked(**given: object) -> Asked | None:
    """What is asked for beside the bands; None where nothing is."""
    defaults = Asked(samples=1)
    there = {name: value for name, value in given.items() if value is not None and value is not False}
    is_any = set(there) & {"samples", "total", "by", "event", "together"}
    if not is_any and there.get("seed", 0) != 0:
        raise RequestError("--seed goes with --samples, --sum or --event", code="bad_setting")
    return Asked(**{"layout": defaults.layout, **there}) if is_any else None     # type: ignore[arg-type]


def check_memory(asked: Asked, steps: int, each: int | None = None, size: int = 8) -> None:
    """Raises RequestError where so many paths do not fit, with the most that do. each: numbers that a path takes, by
    default while it is drawn; size: bytes of one."""
    one, there = (steps * COPIES if each is None else each) * size, memory()
    if asked.count * one <= there:
        return
    what = f"--samples {asked.count}: so many" if asked.samples else f"{asked.count:,}"
    most = there // one if asked.samples else 0
    raise RequestError(f"{what} paths of {counted(steps, 'step')} need {asked.count * one / 2**30:,.0f} GiB of memory, "
                       f"and this machine has {there / 2**30:,.0f}", code="too_large",
                       hint=f"At most --samples {most} will do" if most else
                       "Ask for fewer series, or for a shorter --horizon")


@dataclass
class Answer:
    """Parts of a forecast turned into rows, one after the other; `tables` are kept where no file takes them."""

    asked: Asked
    forecaster: Predictor
    page: Page
    options: Options
    panel: Panel
    steps: int
    typed: bool = False             # the rows that no file takes hold time stamps, not text
    judge: Callable[[], Predictor] | None = None    # the forecaster before its final fit, by which groups are judged
    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0

    def __post_init__(self) -> None:
        """Raises RequestError where the memory will not do, and for columns and events that these data do not have."""
        if self.asked.event is not None:
            event_of(self.asked.event, self.steps)
        periods = len(self.periods.names)
        check_memory(self.asked, self.steps)
        self._groups = None if self.asked.by is None else self._gathered(self.asked.by, periods)
        self._series = 0

    @cached_property
    def periods(self) -> Periods:
        """Those of all series; groups share the horizon that begins where the newest of them end."""
        ends = self.panel.end if len(self.panel) else np.zeros(1, dtype=np.int64)
        return Periods.of(self.page.contract, self.asked.kind, stop=int(ends.max()) + self.steps,
                          first=int(ends.min() if self.asked.by is None else ends.max()))

    def _gathered(self, by: str, periods: int) -> Gathered:
        groups = Groups.of(self.panel, self.page.contract, by)
        check_memory(self.asked, self.steps, len(groups.keys) * (3 * periods + COPIES * self.steps))
        judge = self.judge() if self.judge else self.forecaster
        agreed = agreement_of(groups, judge, self.panel, self.steps, self.options)
        return Gathered.blank(groups, agreed, self.asked.count, periods, self.steps)

    def kept_whole(self, *, is_text: bool) -> None:
        """Say that all rows will be held before they are written. Raises RequestError where the memory will not do."""
        if self.asked.samples:
            check_memory(self.asked, self.steps, len(self.panel) * self.steps, CELL if is_text else 24)

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
                                              self.asked.event, page, typed=self.typed))
        elif self._groups is None:
            totals = Totals.blank(len(some.panel), self.asked.count, len(self.periods.names))
            totals.add(np.arange(len(some.panel)), some.ordinals, expected(some), drawn, self.periods)
            yield self._counted(totals_table(totals, page.contract.id_cells(some.panel.ids), self.periods, page,
                                             some.panel.end - 1, typed=self.typed))
        else:
            self._groups.add(some, drawn, self.periods)

    def rest(self) -> Iterator[pa.Table]:
        """What is known only when all parts have been seen: totals of groups."""
        if (gathered := self._groups) is None:
            return
        if not gathered.agreement.is_added_up:
            own = own_forecast(self.forecaster, self.panel, gathered.agreement, self.steps)
            gathered.agree(own, self.periods, negative=may_be_negative(self.panel, self.forecaster, self.options))
        asked, least = gathered.groups.asked, np.iinfo(np.int64).min
        cutoff = np.where(asked, self.panel.end - 1, least).max(axis=1, initial=least)
        yield self._counted(totals_table(gathered.totals, gathered.groups.cells, self.periods, self.page, cutoff,
                                         typed=self.typed))

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
        if self._groups is not None:
            teller.say("groups", self._groups.agreement.words())
            self._tell_ended(teller)
        return self.rows, self._words()

    def _tell_ended(self, teller: Teller) -> None:
        if len(ended := self.panel.ids[self.panel.behind > 0]):
            last, = stamps(self.page.contract, self.panel.end.max(keepdims=True) - 1)
            teller.warn("groups", f"{counted(len(ended), 'series')} ended before the others: of them totals hold only "
                                  f"what is forecast of times after {last}: {listed(list(ended), 4)}")

    def _words(self) -> str:
        unit = self.page.contract.calendar.unit
        if self.asked.samples:
            return (f"{counted(self.rows, 'row')} = {len(self.panel):,} series x {self.steps} {unit}"
                    + (f" x {self.asked.samples:,} samples" if self.asked.layout == "long" else
                       f", {self.asked.samples:,} samples each"))
        if self.asked.event:
            return (f"{counted(self.rows, 'row')} = {len(self.panel):,} series, "
                    f"\"{self.asked.event}\" in {self.steps} {unit}")
        groups = None if self._groups is None else self._groups.groups
        whose = counted(len(self.panel), "series") if groups is None else counted(len(groups.keys), "group")
        spans = "all steps" if self.asked.kind == ALL else \
            counted(len(self.periods.names), self.asked.kind)
        return f"{counted(self.rows, 'row')} = {whose} x {spans}"

    @contextmanager
    def opened(self, output: Place | None, out: Callable[[bytes], None] | None) -> Iterator[Callable[[Forecast], None]]:
        """Where the rows go: a file or folder, whoever takes the bytes, or `tables`."""
        ids = self.panel.ids if self._groups is None else [text for key in self._groups.groups.keys for text in key]
        texts = [*ids, *stamps(self.page.contract, self.panel.end[:1])]
        if output is None and out is None:
            self.kept_whole(is_text=True)
            yield lambda part: self.tables.extend(self.of_part(part, typed=self.typed))
            self.tables.extend(self.rest())
            return
        name, buffer = "" if output is None else output.name, io.BytesIO()
        if output is None or name.lower().endswith((".json", ".xlsx")):
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
                   source=forecast.source[which], mean=None if forecast.mean is None else forecast.mean[which],
                   voices=None if forecast.voices is None else forecast.voices[which])


def drawn_of(forecast: Forecast, forecaster: Predictor, options: Options, count: int, *, seed: int,
             together: bool = False) -> Floats:
    """Paths (S, N, H) of a forecast, as the options of its issue have it: within what its series may be."""
    drawn = paths(forecaster.dependence, forecast.values, forecast.quantiles, count=count, ids=forecast.panel.ids,
                  seed=seed, together=together)
    negative = forecaster.config.model.allow_negative
    within = kept(drawn.swapaxes(1, 2), History.of(forecast.panel), negative=negative).swapaxes(1, 2)
    within = np.maximum(within, 0.0) if options.nonnegative else within
    return np.rint(within) + 0.0 if options.round else within
