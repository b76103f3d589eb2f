"""Zones: local wall clock to UTC and back, with the hours that do not exist or exist twice.

An hour that stands twice in the file is told apart by its order there; one that stands once stays in doubt."""

# N stamps, int64 microseconds

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.errors import DataError
from forecast.series.arrays import Bools, Ints
from forecast.text import quoted

# zones whose changes cover the habits of most of the world
USUAL = ("America/New_York", "Europe/Berlin", "Europe/London", "Australia/Sydney", "America/Sao_Paulo",
          "America/Santiago", "Pacific/Auckland", "Asia/Jerusalem", "Africa/Cairo", "Asia/Tehran")


def check_zone(name: str) -> str:
    """The name, where the time zone database knows it. Raises DataError."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(f"--tz {quoted(name)} is no time zone", code="bad_zone", hint="As in Europe/Berlin") from error
    return name


def to_utc(local: Ints, groups: Ints, zone: str) -> tuple[Ints, Bools, Bools]:
    """UTC of local stamps, which of them do not exist, and which stand once in an hour that exists twice.

    Within one of `groups` (N,), the first of two equal stamps is the earlier; where the file runs backwards, the
    second."""
    stamps = pa.array(local, pa.int64()).cast(pa.timestamp("us"))
    early = _assume(stamps, zone, "earliest")
    late = _assume(stamps, zone, "latest")
    missing = from_utc(early, zone) != local
    twice = (early != late) & ~missing
    if not twice.any():
        return early, missing, np.zeros(local.size, dtype=bool)
    second, alone = _told_apart(np.flatnonzero(twice), local, groups)
    utc = early.copy()
    utc[second] = late[second]
    doubtful = np.zeros(local.size, dtype=bool)
    doubtful[alone] = True
    return utc, missing, doubtful


def _assume(stamps: Any, zone: str, choice: str) -> Ints:
    aware = pc.assume_timezone(stamps, zone, ambiguous=choice, nonexistent=choice)
    result: Ints = aware.cast(pa.int64()).to_numpy()
    return result


def _told_apart(rows: Ints, local: Ints, groups: Ints) -> tuple[Ints, Ints]:
    """Of rows in a doubled hour: those that are the second time round, and those that stand alone."""
    keys = list(zip(groups[rows].tolist(), local[rows].tolist(), strict=True))
    seen: dict[tuple[int, int], int] = {}
    turn = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        turn.append(seen[key])
    backward = local.size > 1 and float(np.mean(np.diff(local) < 0)) > 0.5
    wanted = 1 if backward else 2
    second = [row for row, key, n in zip(rows.tolist(), keys, turn, strict=True) if seen[key] == 2 and n == wanted]
    alone = [row for row, key in zip(rows.tolist(), keys, strict=True) if seen[key] == 1]
    return np.array(second, dtype=np.int64), np.array(alone, dtype=np.int64)


def from_utc(utc: Ints, zone: str) -> Ints:
    """Local wall clock of UTC stamps."""
    aware = pa.array(utc, pa.int64()).cast(pa.timestamp("us", tz=zone))
    local: Ints = pc.local_timestamp(aware).cast(pa.int64()).to_numpy()
    return local


@lru_cache(maxsize=10_000)
def changes_clock(day: date) -> bool:
    """Whether clocks somewhere change on this day."""
    noon = datetime(day.year, day.month, day.day, 12)
    return any(_offset(noon, name) != _offset(noon - timedelta(days=1), name) for name in USUAL)


def _offset(moment: datetime, zone: str) -> timedelta | None:
    return moment.replace(tzinfo=zoneinfo.ZoneInfo(zone)).utcoffset()
