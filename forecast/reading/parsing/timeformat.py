"""TimeFormat: how a column writes its stamps, and stamps written so again."""
# N cells; stamps are int64 microseconds since 1970-01-01, or plain integers

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECOND = 1_000_000
DAY = 86_400 * SECOND
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONG = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
         "december")
SHORT = ("%d%m%Y", "%m%d%Y")       # 7 digits where a spreadsheet has dropped the leading zero
NUMERIC = ("integer", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "excel")
EPOCHS = {"epoch_s": SECOND, "epoch_ms": 1000, "epoch_us": 1, "epoch_ns": 0.001}
ZERO = 2000                        # the year that a counted year 0 is kept as
EXCEL_ZERO = -25_569               # days from 1970-01-01 back to 1899-12-30
_QUICK: dict[str, Any] = {           # what numpy writes as well, and faster
    "%Y-%m": "M", "%Y-%m-%d": "D", "%Y-%m-%d %H:%M": "m", "%Y-%m-%d %H:%M:%S": "s", "%Y-%m-%dT%H:%M:%S": "s"}


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes its stamps."""

    pattern: str = "%Y-%m-%d"
    padded: bool = True             # 01, not 1
    offset: str = ""                # the one UTC offset all cells carry, as written
    late_midnight: bool = False     # midnight is 24:00 of the day before
    upper: bool = False             # JAN, not Jan
    long: bool = False              # January, not Jan
    digits: int = 6                 # of the fraction of a second
    sign: str = "AM"                # as in AM, am, a.m.

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TimeFormat:
        return cls(**fields)

    @property
    def is_integer(self) -> bool:
        """Plain steps, no dates."""
        return self.pattern == "integer" or "%i" in self.pattern

    @property
    def has_offset(self) -> bool:
        return "%z" in self.pattern or self.pattern.startswith("epoch")

    def text(self, stamps: NDArray[Any]) -> list[str]:
        """Stamps (N,) as the file would write them; equal ones are written once."""
        numbers = stamps.astype("datetime64[us]").view(np.int64) if stamps.dtype.kind == "M" else stamps
        if self.pattern in _QUICK and not self.late_midnight and self.padded:
            texts = np.datetime_as_string(numbers.view("datetime64[us]"), unit=_QUICK[self.pattern])
            quick: list[str] = (np.char.replace(texts, "T", " ") if " " in self.pattern else texts).tolist()
            return quick
        unique, where = np.unique(numbers, return_inverse=True)
        written = np.array([self._one(int(n)) for n in unique], dtype=object)
        return list(written[where])

    def _one(self, number: int) -> str:
        if self.pattern in NUMERIC or self.is_integer:
            return _number_text(self.pattern, number)
        shift = offset_minutes(self.offset) if self.offset else 0
        moment = datetime(1970, 1, 1) + timedelta(microseconds=number, minutes=shift)
        if self.late_midnight and (moment.hour, moment.minute, moment.second) == (0, 0, 0):
            before = moment - timedelta(days=1)
            return "".join("24" if part == "%H" else self._part(part, before) for part in parts_of(self.pattern))
        if self.pattern in SHORT and not self.padded:
            return replace(self, padded=True)._one(number).removeprefix("0")
        return "".join(self._part(part, moment) for part in parts_of(self.pattern))

    def _part(self, part: str, t: datetime) -> str:
        if part[0] != "%":
            return part
        return _write(part[1], t, self)


def _write(letter: str, t: datetime, style: TimeFormat) -> str:
    width = "02" if style.padded else ""
    plain = {"Y": f"{t.year:04}", "y": f"{t.year % 100:02}", "M": f"{t.minute:02}", "S": f"{t.second:02}",
             "N": f"{t.year - ZERO}", "K": f"{12 * (t.year - ZERO - 1) + t.month}",
             "q": f"{(t.month + 2) // 3}", "u": f"{t.isoweekday()}", "z": style.offset or "+00:00"}
    if letter in plain:
        return plain[letter]
    if letter in "mdHI":
        value = {"m": t.month, "d": t.day, "H": t.hour, "I": (t.hour + 11) % 12 + 1}[letter]
        return f"{value:{width}}"
    if letter == "f":
        return f"{t.microsecond:06}"[:style.digits].ljust(style.digits, "0")
    if letter == "p":
        sign = style.sign if t.hour < 12 else style.sign.replace("A", "P").replace("a", "p")
        return sign
    if letter == "b":
        name = (LONG if style.long else MONTHS)[t.month - 1].capitalize()
        return name.upper() if style.upper else name
    if letter == "j":
        return f"{t.timetuple().tm_yday:03}"
    return f"{t.isocalendar()[0]:04}" if letter == "G" else f"{t.isocalendar()[1]:{width}}"


def _number_text(pattern: str, number: int) -> str:
    if pattern == "integer":
        return str(number)
    if "%i" in pattern:
        return pattern.replace("%i", str(number))
    if pattern == "epoch_ns":
        return str(number * 1000)
    if pattern == "excel":
        days = number / DAY - EXCEL_ZERO
        return str(int(days)) if days == int(days) else f"{days:.10f}".rstrip("0")
    return str(number // int(EPOCHS[pattern]))


def parts_of(pattern: str) -> list[str]:
    return re.findall(r"%.|[^%]+", pattern)


def offset_minutes(text: str) -> int:
    match = re.fullmatch(r"([+-])(\d{2}):?(\d{2})?", text.strip())
    if not match:
        return 0
    size = int(match.group(2)) * 60 + int(match.group(3) or 0)
    return -size if match.group(1) == "-" else size
