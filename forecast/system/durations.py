"""Lengths of time as people write them: 30s, 10m, 1h30m, 2d, 1y."""

from __future__ import annotations

import math
import re

from forecast.errors import RequestError

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in "ydhms"))
_SIZES = (31_536_000, 86_400, 3_600, 60, 1)


def seconds_of(text: str, flag: str) -> float:
    """5400.0 from `1h30m`; also `90s`, `5m`, `2d`, `1y` (365 days), or plain seconds. Raises RequestError that names
    the flag."""
    written = text.strip().lower()
    match = _DURATION.fullmatch(written + "s" if re.fullmatch(_NUMBER, written) else written)
    parts = [float(part or 0) for part in match.groups()] if match else []
    seconds = sum(part * size for part, size in zip(parts, _SIZES, strict=False))
    if not 0 < seconds < math.inf:
        raise RequestError(f"{flag} takes a time such as 90s, 5m, 1h30m, 30d or plain seconds, not {text!r}",
                           code="bad_setting")
    return seconds
