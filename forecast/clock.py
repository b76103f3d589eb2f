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
    told = os.environ.get(VARIABLE)
    if not told:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise RequestError(f"{VARIABLE}={told[:40]} is no time", code="bad_clock",
                           hint="Write it as 2026-09-19T04:15:00") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """2026-09-19T04:15:12Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def told(length: timedelta) -> str:
    """`26 hours`, `3.2 days`: two digits or so."""
    hours = length.total_seconds() / 3600
    if abs(hours) < 2:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.0f} hours" if abs(hours) < 48 else f"{hours / 24:.1f} days"
