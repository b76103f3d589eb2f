"""Answers: tables of typed rows as data frames, their times as people read them; and the scores of past forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.reading.contract import Contract
from forecast.writing.layouts import backtest_table

if TYPE_CHECKING:
    from forecast.tasks.evaluate import Evaluated


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


@dataclass(frozen=True, repr=False)
class Scores:
    """The scores of past forecasts. `forecast help metrics` says what each means.

    summary: a row for each forecaster, the model first · per_series: one for each forecaster and series · by_step: the
    mean absolute error at each step ahead · predictions: every forecast beside what came true (id, time, cutoff, step,
    y, yhat, bands, model, source) · metrics: the same as a dict, as in metrics.json."""

    how: str                            # what was scored, and what it had learned from
    season: int                         # m of MASE
    windows: int
    summary: pd.DataFrame
    per_series: pd.DataFrame
    by_step: pd.DataFrame
    predictions: pd.DataFrame
    metrics: dict[str, Any]

    @classmethod
    def of(cls, evaluated: Evaluated) -> Scores:
        """What a task has found, in frames."""
        from forecast.tasks.fitting import scores_record

        scores, backtest, reading = evaluated.scores, evaluated.frame, evaluated.reading
        assert scores is not None
        assert backtest is not None
        ids, contract = np.array(evaluated.ids, dtype=object), reading.contract
        named = scores.per_series.assign(series=ids[scores.per_series["series"].to_numpy()])
        rows = backtest_table(backtest, reading.panel.with_values()[0], contract, typed=True)
        return cls(evaluated.how, scores.season, scores.windows, scores.summary, named, scores.by_step,
                   frame_of(rows, contract), scores_record(scores) | (
                       {} if evaluated.joint is None else {"joint": evaluated.joint.to_dict()}))

    @property
    def own(self) -> dict[str, Any]:
        """The scores of the model itself, over all series."""
        return {str(name): value for name, value in self.summary.iloc[0].items()}

    def __repr__(self) -> str:
        return f"<Scores: {self.how}>\n{self.summary.to_string(index=False, float_format='{:.4g}'.format)}"
