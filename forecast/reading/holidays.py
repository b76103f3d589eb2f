"""Holidays: the public holidays of a country as a column that is known ahead, from the package of that name."""

# T steps

from __future__ import annotations

import difflib
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np

from forecast.errors import RequestError
from forecast.reading.parsing.zones import from_utc
from forecast.series.arrays import Floats, Ints
from forecast.series.calendar import DAY, Calendar
from forecast.series.months import LAST_BUSINESS, MONTH_END

INSTALL = "pip install holidays"


def check_country(code: str) -> None:
    """Raises RequestError for a country, or a part of one, that is not known, with the near ones; and where the package
    is missing."""
    _of_years(code, 2000, 2000)


def holidays_at(code: str, calendar: Calendar, ordinals: Ints, *, utc: bool = False, tz: str | None = None) -> Floats:
    """How many public holidays there are in each step (T,): of a day and of what is shorter, 1 or 0.

    A step is the time from its stamp to the next; of a calendar of months, the months that it stands for."""
    if not calendar.is_time:
        raise RequestError("--holidays: integer steps have no dates", code="no_dates", hint="Leave it out")
    begin, stop = _days(calendar, ordinals, utc=utc, tz=tz)
    if not begin.size:
        return np.zeros(0)
    ends = np.array([begin.min(), stop.max()]).astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    days = _of_years(code, 1970 + int(ends[0]), 1970 + int(ends[1]))
    counts: Floats = (np.searchsorted(days, stop) - np.searchsorted(days, begin)).astype(np.float64)
    return counts


def _days(calendar: Calendar, ordinals: Ints, *, utc: bool, tz: str | None) -> tuple[Ints, Ints]:
    """The first day of each step since 1970, and the day behind its last."""
    if calendar.kind == "month":
        stamps = calendar.times(ordinals).astype("datetime64[M]").astype(np.int64)
        first = stamps - calendar.every + 1 if calendar.day in (MONTH_END, LAST_BUSINESS) else stamps
        months = np.concatenate([first, first + calendar.every]).astype("datetime64[M]").astype("datetime64[D]")
        days = months.astype(np.int64)
        return days[:first.size], days[first.size:]
    numbers = calendar.times(ordinals).astype("datetime64[us]").view(np.int64)
    if utc and tz:
        numbers = from_utc(numbers, tz)
    begin = numbers // DAY
    return begin, begin + max(1, calendar.every // DAY if calendar.kind == "fixed" else 1)


@lru_cache
def _of_years(code: str, first: int, last: int) -> Ints:
    """The days since 1970 that are public holidays, ascending."""
    package = _package()
    country, _, part = code.strip().upper().partition("-")
    known = package.list_supported_countries(include_aliases=True)
    if country not in known:
        raise _unknown(code, country, sorted(known))
    if part and part not in known[country]:
        raise _unknown(code, part, [f"{country}-{name}" for name in known[country]])
    days = package.country_holidays(country, subdiv=part or None, years=range(first, last + 1))
    return np.array(sorted((day - date(1970, 1, 1)).days for day in days), dtype=np.int64)


def _package() -> Any:
    try:
        import holidays
    except ImportError:
        raise RequestError("--holidays needs the package holidays, which is not installed", code="no_package",
                           hint=INSTALL) from None
    return holidays


def _unknown(code: str, word: str, known: list[str]) -> RequestError:
    plain = {name.rpartition("-")[2] if "-" in name else name: name for name in known}
    close = difflib.get_close_matches(word, plain, n=4, cutoff=0.4) or [w for w in plain if w[:1] == word[:1]][:4]
    near = ", ".join(plain[w] for w in close) or ", ".join(known[:6])
    return RequestError(f"--holidays {code[:20]}: no such country", code="no_country",
                        hint=f"Near ones: {near}. Countries are two letters, as in DE or US-CA")
