"""forecast: time series in, recurrent forecasts out. `forecast.train(frame)` is the beginning; see forecast.api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.api import Model as Model
    from forecast.api import check as check
    from forecast.api import load as load
    from forecast.api import read as read
    from forecast.api import train as train

__version__ = "0.1.0"
_DOOR = ("Model", "check", "load", "read", "train")


def __getattr__(name: str) -> Any:
    """What the door for Python gives, imported when it is first asked for."""
    if name not in _DOOR:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    from forecast import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_DOOR})
