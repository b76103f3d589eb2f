"""Rows: what was read, one (series, stamp, value) each, and the line each stands on; and Repair, something mended."""

# N rows  S series

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Problem
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.calendar import DAY
from forecast.text import counted, quoted, shorten

PIECE = 1 << 18                     # values of a lot of series


@dataclass(frozen=True)
class Repair:
    """Something mended: how often, in words, by which flag it may be changed, and where it stands. `newest`: how many
    of these were values of the newest step of the file, which are missed by whoever forecasts from it."""

    kind: str
    count: int
    message: str
    flag: str | None = None
    examples: tuple[Problem, ...] = ()
    newest: int = 0


def newest_aside(repairs: Iterable[Repair]) -> str:
    """How many values of the newest step were read as missing, in words; "" for none."""
    count = sum(repair.newest for repair in repairs)
    return f"{counted(count, 'value')} of the newest step read as missing, being absurdly far from all around " \
           "(--spikes keep if right)" if count else ""


@dataclass(frozen=True)
class Rows:
    """Checked rows. codes (N,) count series in the order of the file, ids (S,) names them."""

    codes: Ints
    stamps: Ints
    values: Floats
    ids: NDArray[np.object_]
    is_time: bool
    utc: bool
    line: Callable[[int], int]      # physical line of a row
    text: Callable[[int], str]      # its time stamp as the file writes it
    file: str
    time: str                       # header of the time column
    target: str
    wide: bool = False              # each series is a column, named as the series is

    def take(self, order: Ints | Bools) -> Rows:
        where = np.arange(self.codes.size)[order]
        line, text = self.line, self.text
        return Rows(self.codes[order], self.stamps[order], self.values[order], self.ids, self.is_time, self.utc,
                    lambda row: line(int(where[row])), lambda row: text(int(where[row])), self.file, self.time,
                    self.target, self.wide)

    @property
    def times(self) -> NDArray[np.generic]:
        return self.stamps.view("datetime64[us]") if self.is_time else self.stamps

    @cached_property
    def has_clock(self) -> bool:
        """Stamps within the day, not days."""
        return self.is_time and self.stamps.size > 0 and bool((self.stamps % DAY != self.stamps[0] % DAY).any())

    @cached_property
    def same(self) -> Bools:
        """Whether a row and the one before it are of one series (N - 1,)."""
        same: Bools = self.codes[1:] == self.codes[:-1]
        return same

    def of_series(self, row: int) -> str:
        return f" in {quoted(self.ids[self.codes[row]], 30)}" if len(self.ids) > 1 else ""

    def column_of(self, row: int) -> str:
        """The header of the column in which a row's value stands."""
        return shorten(str(self.ids[self.codes[row]]), 60) if self.wide else self.target


def pieces(first: Ints, stop: Ints, size: int = PIECE) -> Iterator[tuple[int, int]]:
    """Series that stand one behind the other, in lots of about `size` values: (number of the first, behind the last).
    What is computed of a lot stays in the processor's cache."""
    at = 0
    while at < first.size:
        to = max(at + 1, int(np.searchsorted(stop, first[at] + size, side="right")))
        yield at, to
        at = to
