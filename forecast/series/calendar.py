"""Calendar: the regular grid on which time stamps stand, and which stamp comes next.

A stamp is an ordinal on the grid, so "the next twelve" is addition, whatever the rule: fixed steps, business days,
the last day or the 30th of each month, integers. What a stamp looks like in a file is dates.py's business."""

# N stamps; a stamp is microseconds since 1970-01-01 (wall clock or UTC), or a plain integer

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import DataError
from forecast.series.arrays import Bools, Ints
from forecast.series.months import FIRST_BUSINESS, LAST_BUSINESS, MONTH_END, day_of_month, day_rules, months_of

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
PIECE = 1 << 20                     # stamps worked on at a time
_UNITS = {"D": DAY, "h": HOUR, "min": MINUTE, "s": SECOND, "ms": 1000, "us": 1}
_OLD_NAMES = {"H": "h", "T": "min", "MIN": "min", "S": "s", "L": "ms", "d": "D", "M": "ME", "Q": "QE", "A": "YE",
              "Y": "YE", "AS": "YS", "w": "W", "BM": "BME"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_RULES = {"S": 1, "E": MONTH_END, "BS": FIRST_BUSINESS, "BE": LAST_BUSINESS}
_NAME = re.compile(r"(\d*)([A-Za-z]+)(?:-([A-Z]{3}|\d{1,2}))?")


@dataclass(frozen=True)
class Calendar:
    """A grid of stamps. `kind` says what the other fields mean:

    step      integers `phase + every * ordinal`
    fixed     the same in microseconds: hours, days, weeks
    business  Monday to Friday, `clock` after midnight
    month     every `every` months from month `phase` (0 = January 1970), on `day`, `clock` after midnight"""

    freq: str
    kind: str = "step"
    every: int = 1
    phase: int = 0
    day: int = 1
    clock: int = 0
    tz: str | None = None           # the grid is in UTC, and people see it in this zone

    @classmethod
    def of(cls, freq: str, origin: Any = None) -> Calendar:
        """The calendar of this name ("step", "h", "30min", "D", "B", "W-SUN", "MS", "ME", "QS", ...), laid through
        `origin` where one is given. Raises DataError for a name it does not know."""
        if freq == "step" or freq.isdigit():
            every = int(freq) if freq.isdigit() else 1
            if every < 1:
                raise _unknown(freq)
            return cls.steps(every, 0 if origin is None else int(origin))
        match = _NAME.fullmatch(freq)
        if not match:
            raise _unknown(freq)
        number, unit, anchor = match.groups()
        on_a_day = anchor is not None and anchor.isdigit()
        unit = unit if on_a_day else _OLD_NAMES.get(unit, unit)
        every = int(number or 1)
        at = None if origin is None else int(np.datetime64(origin, "us").astype(np.int64))
        if every < 1 or every > 1_000_000:
            raise _unknown(freq)
        if unit in _UNITS and not anchor:
            return cls.fixed(every * _UNITS[unit], at or 0)
        if unit == "W" and (anchor is None or anchor in _WEEKDAYS):
            day = (_WEEKDAYS.index(anchor) if anchor else 6) - 3    # 1970-01-01 is a Thursday
            return cls.fixed(every * WEEK, at if at is not None and not anchor else day * DAY)
        if unit == "B" and not anchor and every == 1:
            return cls.business((at or 0) % DAY)
        return cls._of_months(freq, every, unit, anchor, at)

    @classmethod
    def _of_months(cls, freq: str, every: int, unit: str, anchor: str | None, at: int | None) -> Calendar:
        unit, day = (unit, int(anchor)) if anchor and anchor.isdigit() else (_b_behind(unit), None)
        months = {"M": 1, "Q": 3, "Y": 12}.get(unit[:1])
        if months is None or (day is None and unit[1:] not in _MONTH_RULES) or (day is not None and unit[1:]):
            raise _unknown(freq)
        if day is not None and not 1 <= day <= 31:
            raise _unknown(freq)
        rule = _MONTH_RULES[unit[1:]] if day is None else day
        if anchor in _MONTHS:
            phase = _MONTHS.index(anchor)
        elif at is not None:
            phase = int(np.datetime64(at, "us").astype("datetime64[M]").astype(np.int64))
        else:
            phase = months - 1 if rule in (MONTH_END, LAST_BUSINESS) else 0
        return cls.months(every * months, phase, rule, 0 if at is None else at % DAY)

    @classmethod
    def steps(cls, every: int = 1, through: int = 0) -> Calendar:
        """Integers `every` apart."""
        return cls("step" if every == 1 else f"step {every}", "step", every, through % every)

    @classmethod
    def fixed(cls, every: int, through: int = 0, tz: str | None = None) -> Calendar:
        """Stamps `every` microseconds apart."""
        phase = through % every
        if every % WEEK == 0:
            weekday = _WEEKDAYS[(phase // DAY + 3) % 7]
            name = f"{_times(every // WEEK)}W-{weekday}"
        else:
            name = next(f"{_times(every // size)}{unit}" for unit, size in _UNITS.items() if every % size == 0)
        return cls(name, "fixed", every, phase, tz=tz)

    @classmethod
    def business(cls, clock: int = 0) -> Calendar:
        """Monday to Friday."""
        return cls("B", "business", clock=clock)

    @classmethod
    def months(cls, every: int, through: int, day: int, clock: int = 0) -> Calendar:
        """Every `every` months, on a day of the month."""
        phase = through % every
        rule = {1: "S", MONTH_END: "E", FIRST_BUSINESS: "BS", LAST_BUSINESS: "BE"}.get(day, f"-{day}")
        unit, size = next((u, s) for u, s in (("Y", 12), ("Q", 3), ("M", 1)) if every % s == 0)
        name = {"MBS": "BMS", "MBE": "BME", "QBS": "BQS", "QBE": "BQE", "YBS": "BYS", "YBE": "BYE"}.get(
            unit + rule, unit + rule)
        usual = size - 1 if day in (MONTH_END, LAST_BUSINESS) else 0
        anchored = rule[0] != "-" and unit != "M" and phase % size != usual
        return cls(f"{_times(every // size)}{name}" + (f"-{_MONTHS[phase % 12]}" if anchored else ""),
                   "month", every, phase, day, clock)

    @classmethod
    def infer(cls, times: ArrayLike, groups: ArrayLike | None = None, *, freq: str | None = None,
              tz: str | None = None) -> Calendar:
        """The grid these stamps stand on, gaps allowed. `groups` (N,) keeps several series apart.

        Raises DataError where there is none: fewer than two stamps, or stamps beside the grid."""
        stamps = np.asarray(times)
        calendar = cls.propose(stamps, groups, freq=freq, tz=tz)
        off = np.flatnonzero(calendar.off_grid(stamps))
        if off.size:
            raise DataError(f"{stamps[off[0]]} does not stand on the grid of the others ({calendar.freq})",
                            code="irregular", hint="Give the step with --freq")
        return calendar

    @classmethod
    def propose(cls, times: ArrayLike, groups: ArrayLike | None = None, *, freq: str | None = None,
                tz: str | None = None) -> Calendar:
        """The grid that most stamps stand on; `off_grid` tells the others. Raises DataError below two stamps."""
        stamps = np.asarray(times)
        numbers = _numbers(stamps)
        integers = stamps.dtype.kind in "iu"
        if freq is not None:
            return _given(freq, numbers, integers, tz)
        steps, at = _steps(numbers, groups)
        if not steps.size:
            raise DataError("one time stamp per series does not tell the step", code="too_short",
                            hint="Give more rows, or the step with --freq")
        if integers:
            every = _common_step(steps)
            return cls.steps(every, _common_phase(numbers, every))
        clocks = np.unique(numbers % DAY)
        if len(clocks) == 1 and tz is None:
            calendar = _by_month(numbers, steps, at) or _by_business_day(numbers, steps, at)
            if calendar:
                return calendar
        every = _common_step(steps)
        return cls.fixed(every, _common_phase(numbers, every), tz)

    def times(self, ordinals: ArrayLike) -> NDArray[Any]:
        """Stamps of these ordinals: datetime64[us], or int64 for integer steps."""
        index = np.asarray(ordinals, dtype=np.int64)
        if self.kind == "step":
            return self.phase + self.every * index
        if self.kind == "fixed":
            numbers = self.phase + self.every * index
        elif self.kind == "business":
            weeks, days = np.divmod(index + 3, 5)                   # ordinal 0 is Thursday, 1970-01-01
            numbers = (weeks * 7 + days - 3) * DAY + self.clock
        else:
            numbers = day_of_month(self.phase + self.every * index, self.day) * DAY + self.clock
        return numbers.astype("datetime64[us]")

    def ordinals(self, times: ArrayLike) -> Ints:
        """Ordinals of these stamps. Raises DataError for one beside the grid."""
        stamps = np.asarray(times)
        index = self.nearest(stamps)
        off = np.flatnonzero(_numbers(self.times(index)) != _numbers(stamps))
        if off.size:
            raise DataError(f"{np.ravel(stamps)[off[0]]} does not stand on the grid {self.freq}", code="irregular")
        return index

    def off_grid(self, times: ArrayLike) -> Bools:
        """Which stamps stand beside the grid (N,)."""
        return _piecewise(lambda numbers: _numbers(self.times(self._nearest(numbers))) != numbers, times, np.bool_)

    def nearest(self, times: ArrayLike) -> Ints:
        """The ordinal at or just before each stamp; in its month where the grid is of months."""
        return _piecewise(self._nearest, times, np.int64)

    def _nearest(self, numbers: Ints) -> Ints:
        if self.kind in ("step", "fixed"):
            return (numbers - self.phase) // self.every
        days = numbers // DAY
        if self.kind == "business":
            weeks, weekday = np.divmod(days + 3, 7)
            return weeks * 5 + np.minimum(weekday, 4) - 3
        return (months_of(days) - self.phase) // self.every

    @property
    def is_time(self) -> bool:
        """Dates and times, not plain integers."""
        return self.kind != "step"

    @property
    def seasons(self) -> tuple[int, ...]:
        """Usual season lengths, the main one first; () where the step tells none."""
        if self.kind == "business":
            return (5,)
        if self.kind == "month":
            return {1: (12,), 3: (4,), 12: (1,)}.get(self.every, (max(1, 12 // self.every),))
        if self.kind == "step":
            return ()
        if self.every == WEEK:
            return (52,)
        if self.every == DAY:
            return (7,)
        if self.every < DAY and DAY % self.every == 0:
            return (DAY // self.every, WEEK // self.every) if self.every >= MINUTE else (DAY // self.every,)
        return (1,)

    @property
    def horizon(self) -> int | None:
        """Steps that people usually ask for; None for integer steps."""
        if self.kind == "step":
            return None
        if self.kind == "business":
            return 10
        if self.kind == "month":
            return {1: 12, 3: 8, 12: 4}.get(self.every, 4)
        usual = {HOUR: 24, DAY: 14, WEEK: 13}.get(self.every)
        return usual or max(1, min(DAY // self.every, 1440) if self.every < DAY else 8)

    @property
    def unit(self) -> str:
        """The word for several steps: days, hours, months, 30-min steps."""
        if self.kind == "step":
            return "steps"
        if self.kind == "business":
            return "business days"
        if self.kind == "month":
            return {1: "months", 3: "quarters", 12: "years"}.get(self.every, f"{self.every}-month steps")
        words = {WEEK: "weeks", DAY: "days", HOUR: "hours", 30 * MINUTE: "half hours", MINUTE: "minutes",
                 SECOND: "seconds"}
        return words.get(self.every) or _apart(self.freq) + " steps"

    @property
    def words(self) -> str:
        """The step as people say it, with its name: monthly (MS), half hours (30min); integer steps."""
        if not self.is_time:
            return "integer steps"
        often = {"days": "daily", "hours": "hourly", "weeks": "weekly", "months": "monthly", "quarters": "quarterly",
                 "years": "yearly"}.get(self.unit, self.unit)
        return f"{often} ({self.freq})"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Calendar:
        return cls(**fields)


_PEOPLE = {"hour": "h", "dai": "D", "day": "D", "week": "W", "month": "MS (stamps at its start) or ME (at its end)",
           "quarter": "QS or QE", "year": "YS or YE", "annual": "YS or YE", "minut": "min, or as in 15min"}


def _unknown(freq: str) -> DataError:
    meant = next((name for word, name in _PEOPLE.items() if freq.lower().startswith(word)), None)
    return DataError(f"--freq {freq[:30]!r} is not a step", code="bad_frequency",
                     hint=f"Write {meant}" if meant else
                     "Known: s, min, 30min, h, D, B, W, W-SUN, MS, ME, QS, QE, YS, YE or a whole number")


def _b_behind(unit: str) -> str:
    """BMS, as pandas writes it, to M and BS."""
    return f"{unit[1]}B{unit[2:]}" if len(unit) == 3 and unit[0] == "B" else unit


def _times(number: int) -> str:
    return "" if number == 1 else str(number)


def _apart(freq: str) -> str:
    return re.sub(r"(\d+)(\D+)", r"\1-\2", freq)


def _numbers(stamps: NDArray[Any]) -> Ints:
    if stamps.dtype.kind == "M":
        return stamps.astype("datetime64[us]", copy=False).view(np.int64)
    return stamps.astype(np.int64, copy=False)


def _piecewise(work: Callable[[Ints], NDArray[Any]], times: ArrayLike, kind: Any) -> NDArray[Any]:
    """The work done on stamps a million at a time: quicker, and what it needs on the way stays small."""
    numbers = _numbers(np.asarray(times))
    if numbers.ndim != 1 or numbers.size <= PIECE:
        return work(numbers)
    done = np.empty(numbers.size, dtype=kind)
    for at in range(0, numbers.size, PIECE):
        done[at:at + PIECE] = work(numbers[at:at + PIECE])
    return done


def _steps(numbers: Ints, groups: ArrayLike | None) -> tuple[Ints, Ints]:
    """Positive steps between neighbours of one series in order of time, and the stamp each begins at."""
    codes = np.zeros(numbers.size, dtype=np.int64) if groups is None else np.asarray(groups)
    same = codes[1:] == codes[:-1]
    steps = np.diff(numbers)
    if ((steps < 0) & same).any() or (groups is not None and (np.diff(codes) < 0).any()):
        order = np.lexsort((numbers, codes))
        numbers, codes = numbers[order], codes[order]
        same, steps = codes[1:] == codes[:-1], np.diff(numbers)
    keep = same & (steps > 0)
    return (steps, numbers[:-1]) if keep.all() else (steps[keep], numbers[:-1][keep])


def _common_step(steps: Ints) -> int:
    """The usual step; the greatest common divisor where that is common too (a sparse series).

    One stray stamp also makes the divisor small; it does not make it common."""
    usual = int(steps[0])
    if (steps == usual).all():
        return usual
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[np.argmax(counts)])
    divisor = int(np.gcd.reduce(sizes))
    if divisor == usual:
        return usual
    smallest = counts[sizes == divisor].sum()
    return divisor if smallest >= 0.2 * counts.sum() else usual


def _common_phase(numbers: Ints, every: int) -> int:
    phases = numbers % every
    if (phases == phases[0]).all():
        return int(phases[0])
    values, counts = np.unique(phases, return_counts=True)
    return int(values[np.argmax(counts)])


def _by_month(numbers: Ints, steps: Ints, at: Ints) -> Calendar | None:
    if np.median(steps) < 27.9 * DAY:
        return None
    days, clock = np.unique(numbers // DAY), int(numbers[0] % DAY)
    months = months_of(days)
    shares = {day: float(np.mean(day_of_month(months, day) == days)) for day in day_rules(days, months)}
    day = max(shares, key=lambda rule: shares[rule])
    if shares[day] < 0.9:
        return None
    between = months_of((at + steps) // DAY) - months_of(at // DAY)
    between = between[between > 0]
    if not between.size:
        return None
    every = _common_step(between)
    return Calendar.months(every, _common_phase(months, every), day, clock)


def _by_business_day(numbers: Ints, steps: Ints, at: Ints) -> Calendar | None:
    """Daily steps, and weekends passed over from Friday to Monday."""
    over_weekend = (steps == 3 * DAY) & ((at // DAY + 3) % 7 == 4)
    if numbers.size < 4 or not over_weekend.any() or np.median(steps) != DAY:
        return None
    weekend = np.mean((numbers // DAY + 3) % 7 > 4)
    return Calendar.business(int(numbers[0] % DAY)) if weekend <= 0.01 else None


def _given(freq: str, numbers: Ints, integers: bool, tz: str | None) -> Calendar:
    """The calendar of this name, laid through the stamps."""
    named = Calendar.of(freq)
    if integers != (named.kind == "step"):
        held = "integers" if integers else "dates"
        raise DataError(f"--freq {freq} does not fit: the time column holds {held}", code="bad_frequency")
    if named.kind == "step":
        return Calendar.steps(named.every, _common_phase(numbers, named.every))
    if named.kind == "fixed":
        anchored = "-" in freq and named.every % WEEK == 0
        return Calendar.fixed(named.every, named.phase if anchored else _common_phase(numbers, named.every), tz)
    clock = int(numbers[0] % DAY)
    if named.kind == "business":
        return Calendar.business(clock)
    months = months_of(numbers // DAY)
    loose = re.fullmatch(r"\d*[MQYA]", freq)
    rules = day_rules(numbers // DAY, months) if loose else [named.day]
    day = max(rules, key=lambda rule: float(np.mean(day_of_month(months, rule) == numbers // DAY)))
    phase = named.phase if "-" in freq and not freq[-1].isdigit() else _common_phase(months, named.every)
    return Calendar.months(named.every, phase, day, clock)
