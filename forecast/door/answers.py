"""Answers: tables of typed rows as data frames, their times as people read them."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.reading.contract import Contract


def frame_of(table: pa.Table, contract: Contract, zone: Any = None) -> pd.DataFrame:
    """Typed rows as a frame, their times in this zone, by default in that of the contract."""
    frame: pd.DataFrame = table.to_pandas()
    if contract.calendar.is_time:
        for name in dict.fromkeys(n for n in (contract.time, "cutoff") if n in frame):
            frame[name] = in_zone(pd.DatetimeIndex(frame[name]), contract, zone)
    return frame


def in_zone(times: pd.DatetimeIndex, contract: Contract, zone: Any = None) -> pd.DatetimeIndex:
    """Stamps of the calendar as people read them: in their zone where they have one, else as they are."""
    form = contract.time_format
    zone = zone or contract.tz or _fixed(form.offset)
    if contract.utc:
        return times.tz_localize("UTC").tz_convert(zone or "UTC")
    if contract.tz and form.has_offset:                                 # days of a zone
        return times.tz_localize(contract.tz, ambiguous=np.ones(len(times), dtype=bool), nonexistent="shift_forward")
    return times


def _fixed(offset: str) -> timezone | None:
    """+02:00 as a zone."""
    digits = offset.lstrip("+-").replace(":", "")
    if not digits.isdigit():
        return None
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(-size if offset.startswith("-") else size)
