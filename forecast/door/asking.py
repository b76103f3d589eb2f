"""Asking: what is asked of a forecast by keywords, as the tasks take it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from forecast.door.keywords import Asked, Ids, Several, flags_of
from forecast.door.words import spoken
from forecast.errors import RequestError
from forecast.ledger.options import Options
from forecast.reading.contract import Contract
from forecast.series.ids import listed_names
from forecast.system.engine import Engine, engine_of
from forecast.tasks import joint
from forecast.tasks.teller import Silent


def named_by(columns: Several | None) -> str | None:
    """Columns as --by takes them."""
    return columns if columns is None or isinstance(columns, str) else listed_names(list(map(str, columns)))


class Heard(Silent):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        self.warnings = list[str]()

    def warn(self, label: str, text: str) -> None:
        self.warnings.append(spoken(text))


def engine_for(given: Mapping[str, Any]) -> Engine | None:
    """Who works beside this process. Raises RequestError."""
    jobs = given.get("jobs")
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, (int, np.integer))):
        raise RequestError(f"--jobs {jobs}: takes a number from 1", code="bad_setting")
    return engine_of(None if jobs is None else int(jobs), given.get("engine"), given.get("address"))


def without(given: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def ids_of(series: Ids | None) -> tuple[str, ...] | None:
    """Ids as texts; an integer is the text that it is written as."""
    if series is None:
        return None
    return (str(series),) if isinstance(series, str) or not isinstance(series, Iterable) else tuple(map(str, series))


def moment_of(as_of: Any, contract: Contract) -> str | None:
    """A time as text, as --as-of takes it."""
    if isinstance(as_of, datetime):
        stamp = pd.Timestamp(as_of)
        as_of = stamp if stamp.tz is None else stamp.tz_convert(contract.tz or "UTC").tz_localize(None)
    return None if as_of is None else str(as_of)


def options_of(asked: Asked, series: Ids | None, *, mean: bool) -> Options:
    read = flags_of({name: asked.get(name) for name in ("missing", "spikes")})
    return Options(
        series=ids_of(series), adapt={} if asked.get("adapt") else None,
        nonnegative=asked.get("nonnegative", False), round=asked.get("round", False), mean=mean,
        allow_negative=asked.get("allow_negative", False), fill_future=asked.get("fill_future"),
        read={key: value if isinstance(value, str) else ",".join(value) for key, value in read.items()} or None)


def drawn_of(given: Mapping[str, Any]) -> joint.Asked | None:
    """What is asked for in place of bands. Raises RequestError for what cannot be asked."""
    layout = given.get("layout")
    drawn = joint.asked(samples=given.get("samples"), total=given.get("sum"), event=given.get("event"),
                        by=named_by(given.get("by")),
                        together=given.get("together"), seed=given.get("seed"), layout=layout)
    if layout is not None and drawn is None:
        raise RequestError("layout= goes with samples=", code="bad_setting")
    return drawn
