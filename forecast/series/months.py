"""Months: which day a month begins with, and the days of a month that a rule names."""
# N stamps; a stamp is microseconds since 1970-01-01 (wall clock or UTC), or a plain integer

from __future__ import annotations

import numpy as np

from forecast.series.arrays import Ints

MONTH_END = 31                      # day rules: 1..31 clipped to the month, and two that look at the weekday
FIRST_BUSINESS, LAST_BUSINESS = 0, 32


def months_of(days: Ints) -> Ints:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def first_day(months: Ints) -> Ints:
    """The day since 1970 with which each month since 1970 begins."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def day_of_month(months: Ints, day: int) -> Ints:
    """Days since 1970 of a day rule in these months."""
    first = first_day(months)
    if day == FIRST_BUSINESS:
        weekday = (first + 3) % 7
        return first + np.where(weekday > 4, 7 - weekday, 0)
    last = first_day(months + 1) - 1
    if day == LAST_BUSINESS:
        return last - np.maximum((last + 3) % 7 - 4, 0)
    return np.minimum(first + day - 1, last)


def day_rules(days: Ints, months: Ints) -> list[int]:
    """Day rules worth trying, the plainest first."""
    of_month = days - first_day(months) + 1
    usual, latest = int(np.bincount(of_month).argmax()), int(of_month.max())
    return [1, MONTH_END, usual, latest, FIRST_BUSINESS, LAST_BUSINESS]
