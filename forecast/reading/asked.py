"""Asked: settings of reading that can be judged before any data are seen: step, zone, encoding, format, delimiter."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from encodings.aliases import aliases
from typing import Any

from forecast.config import DataConfig
from forecast.errors import DataError, ForecastError, RequestError
from forecast.reading.aggregates import RULES, grid_of, rules_of
from forecast.reading.parsing.dates import check_pattern
from forecast.reading.parsing.dialect import mark_of
from forecast.reading.parsing.zones import check_zone
from forecast.reading.sources.encoding import check_encoding
from forecast.series.calendar import Calendar

KNOWN_STEPS = ("hour", "day", "week", "month", "quarter", "year")


def _rules(text: str) -> object:
    return rules_of(DataConfig(aggregate=tuple(text.split(","))))


JUDGES: Mapping[str, Callable[[str], object]] = {
    "data.freq": Calendar.of, "data.tz": check_zone, "data.encoding": check_encoding,
    "data.date_format": check_pattern, "data.delimiter": mark_of, "data.every": grid_of, "data.aggregate": _rules}


def judge(values: Mapping[str, Any], source: str) -> None:
    """Settings as somebody gave them ({"data.tz": "Europe/Berlin"}). Raises RequestError for one that is none, named as
    its source names it, with the nearest that is one. source: "command line", or where else it was given."""
    for key, value in values.items():
        if key not in JUDGES or value is None:
            continue
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        flag = "--" + key.removeprefix("data.").replace("_", "-")
        try:
            JUDGES[key](text)
        except ForecastError as error:
            said = error.problem.message
            if source != "command line":
                said = f"{source}: {said.replace(flag, key, 1)}"
            raise RequestError(said, code=error.code, hint=_nearest(key, text) or error.hint) from error


def _nearest(key: str, text: str) -> str | None:
    """The nearest value that is one, in words."""
    near: Sequence[str] = ()
    if key == "data.tz":
        zones = {name.lower(): name for name in zoneinfo.available_timezones()}
        ends = {name.rpartition("/")[2]: name for name in sorted(zones, reverse=True)}
        found = difflib.get_close_matches(text.lower().replace(" ", "_"), [*zones, *ends], n=1, cutoff=0.75)
        near = [zones[ends.get(name, name)] for name in found]
    elif key == "data.encoding":
        with suppress(DataError):                                       # some recode no text
            near = [check_encoding(name) for name in difflib.get_close_matches(text.lower(), list(aliases), n=1)]
    elif key == "data.every":
        near = difflib.get_close_matches(text.lower(), KNOWN_STEPS, n=1)
    elif key == "data.aggregate":
        near = difflib.get_close_matches(text.lower(), RULES, n=1)
    return f"Did you mean {near[0]}?" if near else None
