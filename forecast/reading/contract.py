"""Contract: what the next file must look like. Saved with the model, and held against every later file.

It keeps what was found in the training file: columns, layout, writing of stamps and numbers, calendar, ids, ranges."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.reading.parsing.numbers import NumberStyle
from forecast.reading.parsing.timeformat import TimeFormat
from forecast.reading.parsing.zones import from_utc, to_utc
from forecast.series.calendar import Calendar
from forecast.series.covariates import Column, Role
from forecast.series.ids import split_id

HOLIDAYS = "holidays:"              # before a country, in the place of a file
TAIL = 100                          # last points by which a series that begins later is compared


@dataclass(frozen=True)
class Beside:
    """A covariate as the training file had it.

    words: of a categorical one, as in series.covariates.Column · flag: yes and no, read as 1 and 0 · low, high: the
    range of its numbers up to the last target · source: the file beside the data, as seen from their folder; None: it
    stands among the data; HOLIDAYS and a country: it is made"""

    name: str
    role: Role
    words: tuple[str, ...] = ()
    flag: bool = False
    low: float | None = None
    high: float | None = None
    source: str | None = None

    @property
    def is_holiday(self) -> bool:
        return self.source is not None and self.source.startswith(HOLIDAYS)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Beside:
        return cls(**{**fields, "words": tuple(fields["words"])})


@dataclass(frozen=True)
class Contract:
    """Headers are as the file writes them. `time` is the header for outputs; `time_columns` those it is read from."""

    id: str | None                  # None: one series; a wide file writes "series"
    time: str
    targets: tuple[str, ...]
    layout: str                     # "single", "long" or "wide"
    decimals: int                   # behind the decimal mark of the target, the most seen
    calendar: Calendar
    id_column: str | None = None    # the header it is read from; "1" where there are no headers
    time_columns: tuple[str, ...] = ()
    time_format: TimeFormat = field(default_factory=TimeFormat)
    numbers: NumberStyle = field(default_factory=NumberStyle)
    utc: bool = False               # stamps on the calendar are UTC, not wall clock
    tz: str | None = None           # the zone in which the file writes them
    encoding: str = "utf-8"
    ids: tuple[str, ...] = ()
    low: float | None = None        # smallest and largest value, and the usual size
    high: float | None = None
    size: float | None = None
    last: int | None = None         # the last ordinal of all series
    marks: tuple[str, ...] = ()     # of each series: where it began, how long it was, hashes of its values
    has_header: bool = True
    beside: tuple[Beside, ...] = ()     # covariates: known ahead, then past, then static ones
    id_columns: tuple[str, ...] = ()    # where several columns name a series: their headers; id and id_column list them

    @property
    def columns(self) -> tuple[Column, ...]:
        """The covariates, as a panel has them."""
        return tuple(Column(b.name, b.role, b.words) for b in self.beside)

    @property
    def read_from(self) -> tuple[str | None, str]:
        """The headers of the columns of ids and of times; where there are no headers, their positions."""
        return (self.id, self.time) if self.has_header else (self.id_column, ",".join(self.time_columns))

    @property
    def id_names(self) -> tuple[str, ...]:
        """The headers of the columns of ids, as a file has them."""
        return self.id_columns or (() if self.id_column is None else (self.id_column,))

    @property
    def id_headers(self) -> tuple[str, ...]:
        """The headers of ids in what is written."""
        if not self.id_columns:
            return () if self.id is None else (self.id,)
        return self.id_columns if self.has_header else tuple(f"id{k}" for k in range(1, len(self.id_columns) + 1))

    def id_cells(self, ids: Iterable[object]) -> dict[str, list[str]]:
        """The columns of ids (N,) in what is written: header -> N texts."""
        names = [str(name) for name in ids]
        if not self.id_columns:
            return {header: names for header in self.id_headers}
        parts = [split_id(name, len(self.id_columns)) for name in names]
        return {header: [part[k] for part in parts] for k, header in enumerate(self.id_headers)}

    @property
    def writes_numbers(self) -> bool:
        """Times are plain numbers, without a word before them."""
        return not self.calendar.is_time and "%i" not in self.time_format.pattern

    def was_revised(self, name: str, start: int, values: NDArray[np.float64]) -> bool:
        """Whether a series of the training file reads otherwise now, as far as both tell of the same times.

        start: ordinal of the first of its values (N,) now. Where the series begins later than it did in training, only
        its last points of then are compared. Where they are gone, or the series is new, nothing can be compared, and
        nothing counts as revised."""
        if name not in self._marked:
            return False
        began, length, whole, tail = self._marked[name].split(":")
        stop = int(began) + int(length) - start
        first, mark = (int(began) - start, whole) if int(began) >= start else (max(0, stop - TAIL), tail)
        if first > stop or stop > len(values) or (mark is tail and stop < min(TAIL, int(length))):
            return False
        return _hash(values[first:stop]) != mark

    def known_until(self, name: str) -> int | None:
        """Ordinal just behind the last point that the training file held of a series; None where it held none."""
        if not self.marks and self.last is not None:                # a contract of an older kind: when all ended
            return self.last + 1
        if name not in self._marked:
            return None
        began, length, *_ = self._marked[name].split(":")
        return int(began) + int(length)

    @cached_property
    def _marked(self) -> dict[str, str]:
        return dict(zip(self.ids, self.marks, strict=False))            # none in a contract made by hand

    def time_text(self, times: NDArray[Any]) -> list[str]:
        """Stamps of the calendar, written as the file writes them."""
        if self.writes_numbers:
            return [str(number) for number in np.asarray(times).tolist()]
        if not self.calendar.is_time:
            return self.time_format.text(np.asarray(times))
        stamps = np.asarray(times).astype("datetime64[us]")
        if self.tz is None:
            return self.time_format.text(stamps)
        numbers = stamps.view(np.int64)
        if "%z" in self.time_format.pattern:
            utc = numbers if self.utc else to_utc(numbers, np.arange(numbers.size), self.tz)[0]
            return self._with_offsets(utc, from_utc(utc, self.tz))
        local = from_utc(numbers, self.tz) if self.utc and not self.time_format.has_offset else numbers
        return self.time_format.text(local.view("datetime64[us]"))

    def _with_offsets(self, utc: NDArray[np.int64], local: NDArray[np.int64]) -> list[str]:
        """Each stamp with the offset its zone has at that moment."""
        minutes = (local - utc) // 60_000_000
        texts = np.empty(utc.size, dtype=object)
        for offset in np.unique(minutes):
            style = dataclasses.replace(self.time_format, offset=f"{'-' if offset < 0 else '+'}"
                                        f"{abs(offset) // 60:02}:{abs(offset) % 60:02}")
            texts[minutes == offset] = style.text(utc[minutes == offset].view("datetime64[us]"))
        return list(texts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; covariates and several columns of ids only where there are some."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if value or name not in ("beside", "id_columns")}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Contract:
        whole: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        whole["calendar"] = Calendar.from_dict(fields["calendar"])
        whole["time_format"] = TimeFormat.from_dict(fields["time_format"])
        whole["numbers"] = NumberStyle.from_dict(fields["numbers"])
        whole["beside"] = tuple(map(Beside.from_dict, fields.get("beside", ())))
        return cls(**whole)


def mark_of(start: int, values: NDArray[np.float64]) -> str:
    """What tells a series from a revised one: `ordinal:length:hash:hash of the last points`."""
    return f"{start}:{len(values)}:{_hash(values)}:{_hash(values[-TAIL:])}"


def _hash(values: NDArray[np.float64]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=8).hexdigest()
