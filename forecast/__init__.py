"""forecast: time series in, recurrent forecasts out.

From Python: `forecast.train(frame)`, `forecast.load("live").predict(frame)`, `forecast.predict(frame)`,
`forecast.read(path)`, `forecast.check(frame)`; see api.py, or `forecast help python`. They are imported when they are
asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.api import Check, Inside, Model, Scores, check, load, predict, read, train
    from forecast.errors import (
        BusyError,
        DataError,
        DiskError,
        ForecastError,
        GateError,
        ModelError,
        RequestError,
        StaleError,
    )

__version__ = "0.1.0"
__all__ = ["BusyError", "Check", "DataError", "DiskError", "ForecastError", "GateError", "Inside", "Model",
           "ModelError", "RequestError", "Scores", "StaleError", "__version__", "check", "load", "predict",
           "read", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'forecast' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("forecast.errors" if name.endswith("Error") else "forecast.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
