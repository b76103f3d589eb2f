"""Asking: what is asked of a forecast by keywords, as the tasks take it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from forecast.door.keywords import Asked, Ids, Several, flags_of
from forecast.errors import RequestError
from forecast.ledger.options import Options
from forecast.series.ids import listed_names
from forecast.tasks import joint


def named_by(columns: Several | None) -> str | None:
    """Columns as --by takes them."""
    return columns if columns is None or isinstance(columns, str) else listed_names(list(map(str, columns)))


def ids_of(series: Ids | None) -> tuple[str, ...] | None:
    """Ids as texts; an integer is the text that it is written as."""
    if series is None:
        return None
    return (str(series),) if isinstance(series, str) or not isinstance(series, Iterable) else tuple(map(str, series))


def options_of(asked: Asked, series: Ids | None, *, mean: bool) -> Options:
    read = flags_of({name: asked.get(name) for name in ("missing", "spikes")})
    return Options(
        series=ids_of(series),
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
