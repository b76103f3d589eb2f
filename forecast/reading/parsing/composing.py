"""Composing: the parts of dates and clocks, as columns of text, to stamps."""
# N cells; stamps are int64 microseconds since 1970-01-01, or plain integers

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.reading.parsing.timeformat import (
    DAY,
    LONG,
    MONTHS,
    SECOND,
    ZERO,
    offset_minutes,
)
from forecast.series.arrays import Bools, Ints
from forecast.series.months import first_day

Reading = tuple[Ints, Bools, dict[str, Any]]


def compose(parts: Mapping[str, Any], good: Bools) -> Reading:
    seen: dict[str, Any] = {}
    number = {name: _integers(parts[name], good) for name in parts if name not in "bpzf"}
    if "V" in number:
        days, fine = _week_days(number["G"], number["V"], number.get("u"))
    else:
        days, fine = _calendar_days(number, parts, good, seen)
    clock, clock_fine = _clock(number, parts, seen)
    if "z" in parts:
        seen["z"] = parts["z"]
        clock = clock - _offsets(parts["z"])
    good = good & fine & clock_fine
    if "late" in seen:
        seen["late"] &= good
    return np.where(good, days * DAY + clock, 0), good, seen


def _integers(cells: Any, good: Bools) -> Ints:
    padded = pc.if_else(pc.equal(cells, ""), "0", cells)
    result: Ints = pc.cast(padded, pa.int64()).to_numpy(zero_copy_only=False)
    return np.where(good, result, 1)


def _calendar_days(number: Mapping[str, Ints], parts: Mapping[str, Any], good: Bools,
                   seen: dict[str, Any]) -> tuple[Ints, Bools]:
    if "K" in number:
        return _begin_of(ZERO + 1 + (number["K"] - 1) // 12, (number["K"] - 1) % 12 + 1), number["K"] >= 1
    year = number["Y"] if "Y" in number else ZERO + number["N"] if "N" in number else _full_year(number["y"])
    if "j" in number:
        first = _begin_of(year, np.ones_like(year))
        days = first + number["j"] - 1
        return days, (number["j"] >= 1) & (days < _begin_of(year + 1, np.ones_like(year)))
    if "b" in parts:
        month = _month_numbers(parts["b"])
        seen["b"] = parts["b"]
    else:
        month = number["m"] if "m" in number else (number["q"] - 1) * 3 + 1 if "q" in number else np.ones_like(year)
    day = number.get("d", np.ones_like(year))
    fine = (month >= 1) & (month <= 12) & (day >= 1)
    month = np.clip(month, 1, 12)
    first = _begin_of(year, month)
    return first + day - 1, fine & (day <= _begin_of(year, month + 1) - first)


def _begin_of(year: Ints, month: Ints) -> Ints:
    return first_day((year - 1970) * 12 + month - 1)


def _full_year(short: Ints) -> Ints:
    return np.where(short < 69, 2000 + short, 1900 + short)         # as POSIX has it


def _month_numbers(names: Any) -> Ints:
    table = {name: k + 1 for words in (MONTHS, LONG, ("", "", "", "", "", "", "", "", "sept", "", "", ""))
             for k, name in enumerate(words) if name}
    return np.array([table.get(str(n).lower().rstrip("."), 0) for n in names.to_pylist()], dtype=np.int64)


def _week_days(year: Ints, week: Ints, weekday: Ints | None) -> tuple[Ints, Bools]:
    """ISO 8601: week 1 holds 4 January; a week stands for its Monday."""
    fourth = _begin_of(year, np.ones_like(year)) + 3
    monday = fourth - (fourth + 3) % 7
    next_fourth = _begin_of(year + 1, np.ones_like(year)) + 3
    weeks = (next_fourth - (next_fourth + 3) % 7 - monday) // 7
    return monday + (week - 1) * 7 + (0 if weekday is None else weekday - 1), (week >= 1) & (week <= weeks)


def _clock(number: Mapping[str, Ints], parts: Mapping[str, Any], seen: dict[str, Any]) -> tuple[Ints, Bools]:
    zero = np.zeros_like(next(iter(number.values())))
    hour, minute, second = (number.get(k, zero) for k in "HMS")
    fine = (hour <= 24) & (minute < 60) & (second < 60)
    if "I" in number:
        afternoon = np.array([str(p)[:1] in "pP" for p in parts["p"].to_pylist()], dtype=bool)
        fine &= (number["I"] >= 1) & (number["I"] <= 12)
        hour = number["I"] % 12 + 12 * afternoon
        seen["p"] = parts["p"]
    fraction = zero
    if "f" in parts:
        seen["f"] = parts["f"]
        six = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["f"], 6, "0"), 0, 6)
        fraction = pc.cast(six, pa.int64()).to_numpy(zero_copy_only=False)
        fine &= ~pc.match_substring_regex(parts["f"], "^.{6}.*[1-9]").to_numpy(zero_copy_only=False).astype(bool)
    late = hour == 24
    if late.any():
        fine &= ~late | ((minute == 0) & (second == 0) & (fraction == 0))
        seen["late"] = late
    return ((hour * 60 + minute) * 60 + second) * SECOND + fraction, fine


def _offsets(cells: Any) -> Ints:
    """UTC offsets in microseconds."""
    unique = pc.dictionary_encode(cells)
    sizes = np.array([offset_minutes(str(t)) for t in unique.dictionary.to_pylist()], dtype=np.int64)
    index = unique.indices.to_numpy(zero_copy_only=False)
    result: Ints = sizes[index] * 60 * SECOND
    return result
