"""Clock: what time it is, asked in one place, so that a past day can be lived again.

The environment variable FORECAST_NOW (ISO 8601, UTC unless it says otherwise) stands in for the machine's clock.
Durations are measured elsewhere, by the monotonic clock."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from forecast.errors import RequestError

VARIABLE = "FORECAST_NOW"


def now() -> datetime:
    """The present moment in UTC. Raises RequestError where FORECAST_NOW is no time."""
    text = os.environ.get(VARIABLE)
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{VARIABLE}={text[:40]} is no time", code="bad_clock",
                           hint="Write it as 2026-09-19T04:15:00") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """2026-09-19T04:15:12Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def minute(stamped: str) -> str:
    """A stamp as people read it: 2026-09-19 04:15 UTC."""
    return f"{stamped[:10]} {stamped[11:16]} UTC"


def in_words(length: timedelta, finer: int = 0) -> str:
    """`90 seconds`, `26 hours`, `3.2 days`: two digits or so, and `finer` more."""
    seconds = length.total_seconds()
    for unit, size, most in (("seconds", 1, 120), ("minutes", 60, 7_200), ("hours", 3_600, 172_800)):
        if abs(seconds) < most:
            return f"{seconds / size:.{finer}f} {unit}"
    return f"{seconds / 86_400:.{1 + finer}f} days"


def told_apart(more: timedelta, less: timedelta) -> tuple[str, str]:
    """Two different lengths in words, with as many digits as it takes to read differently."""
    pairs = [(in_words(more, finer), in_words(less, finer)) for finer in range(12)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])
