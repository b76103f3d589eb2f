"""Inside: what the cell of a model does on one series, as data frames: gates, memory, and which past values count."""

# T steps of the encoder  U steps of the decoder  D hidden  L context  H horizon

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast.door.answers import in_zone
from forecast.series.arrays import Ints
from forecast.showing.ink import check_picture

if TYPE_CHECKING:
    from forecast.explaining.inspection import Inspection, Layer
    from forecast.reading.contract import Contract
    from forecast.tasks.explain import Explained


@dataclass(frozen=True, repr=False)
class Inside:
    """A look into a model while it reads the context of its next forecast of one series.

    gates: a row for each layer, step of the cell (T) and unit (D): layer ("l0", "l0_reverse", ...), step, begin and end
    (the first and the last time read there), unit, half_life (points of the series until half is forgotten), the gates
    by their names (forget, input, candidate, output and the cell state `cell` of an LSTM; update, reset and candidate
    of a GRU; slope of an RNN) and `hidden`. decoder: the same over the horizon (U steps); no rows where there is none.
    Both are empty where no network serves.
    influence: lag (points from a value to the step forecast, 1 .. L + H - 1), and the share of the movement of the
    median that is due to it, of all that serves (whole) and of the network alone (network).
    attention: a row a step ahead, a column a step of the cell; None without attention.
    summary: all of it in short, as `forecast explain --json` has it."""

    series: str
    cell: str
    gates: pd.DataFrame
    decoder: pd.DataFrame
    influence: pd.DataFrame
    attention: pd.DataFrame | None
    summary: dict[str, Any]
    _explained: Explained = field(compare=False)

    @classmethod
    def of(cls, explained: Explained) -> Inside:
        """What a task has found, in frames."""
        look, contract = explained.inspection, explained.run.contract
        attention = None if look.attention is None else pd.DataFrame(
            look.attention, index=pd.RangeIndex(1, len(look.attention) + 1, name="ahead"),
            columns=pd.RangeIndex(look.attention.shape[1], name="step"))
        by_lag = {name: look.influence.by_lag(table)[1:] for name, table in
                  (("whole", look.influence.whole), ("network", look.influence.network))}
        influence = pd.DataFrame({"lag": np.arange(1, len(by_lag["whole"]) + 1), **by_lag})
        summary = {key: value for key, value in explained.document.items() if key != "picture"}
        return cls(look.series, look.cell, _rows(look.layers, look, contract, look.first),
                   _rows(look.decoder, look, contract, look.first + look.plan.context), influence, attention, summary,
                   explained)

    def draw(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture of `forecast explain`, .png or .svg. Raises RequestError for another ending, DiskError."""
        check_picture(str(path), "path")
        return replace(self._explained, path=Path(path).absolute()).draw()

    def __repr__(self) -> str:
        lines = "\n".join(f"{label:<10} {text}" for label, text in self._explained.lines)
        return f"<Inside {self.series}>\n{lines}"


def _rows(layers: Mapping[str, Layer], look: Inspection, contract: Contract, first: int) -> pd.DataFrame:
    """The layers one behind the other; `first` is the ordinal of the first point that they read, or write."""
    parts, segment = list[pd.DataFrame](), look.plan.segment
    for name, layer in layers.items():
        steps, units = layer.hidden.shape
        begin = first + segment * np.arange(steps)
        parts.append(pd.DataFrame({
            "layer": name, "step": np.repeat(np.arange(steps), units),
            "begin": np.repeat(_times(begin, contract), units), "end": np.repeat(_times(begin + segment - 1, contract),
                                                                                   units),
            "unit": np.tile(np.arange(units), steps), "half_life": np.tile(layer.half_lives, steps),
            **{gate: values.ravel() for gate, values in layer.gates.items()}, "hidden": layer.hidden.ravel()}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _times(ordinals: Ints, contract: Contract) -> Any:
    times = contract.calendar.times(ordinals)
    return in_zone(pd.DatetimeIndex(times), contract) if contract.calendar.is_time else times
