"""Issued: forecasts read back from a file and joined, by id and time, to what came true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.contract import Contract
from forecast.display import from_csv_cell, listed
from forecast.errors import DataError
from forecast.series import Panel

LOWER = "yhat_lo_"


@dataclass(frozen=True)
class Issued:
    """`frame` as backtesting scores it; `first` the earliest ordinal forecast; `matched` of `rows` have come true."""

    frame: pd.DataFrame
    first: int
    rows: int
    matched: int
    levels: tuple[float, ...]


def read_issued(path: Path, panel: Panel, contract: Contract) -> Issued:
    """Read a file that predict wrote in its default layout. Raises DataError naming file, row and column."""
    table = _texts(path, contract)
    keys = [*([contract.id] if contract.id else []), contract.time]
    if missing := [name for name in (*keys, "yhat") if name not in table]:
        raise DataError(f"has no column {listed(missing)}", file=str(path), code="missing_column",
                        hint="Score a file in the default layout of forecast predict")
    if twice := np.flatnonzero(table.duplicated(keys)).tolist():
        raise DataError("a second forecast for one series and time", file=str(path), row=twice[0] + 2, code="duplicate")
    values = [c for c in map(str, table) if c == "yhat" or c.startswith((LOWER, "yhat_hi_"))]
    numbers = pd.DataFrame({name: _numbers(table[name], path) for name in values})
    truth = _truth(panel, contract)
    told = table[keys].assign(row=np.arange(len(table)))
    joined = told.merge(truth, on=keys, how="inner", sort=False).sort_values("row")
    if joined.empty:
        raise DataError("none of its rows has come true in the data", file=str(path), code="nothing_matched",
                        hint=f"Its times run {table[contract.time].iloc[0]} .. {table[contract.time].iloc[-1]}"
                        if len(table) else "It has no rows")
    frame = pd.concat([_places(joined), numbers.iloc[joined["row"]].reset_index(drop=True)], axis=1)
    return Issued(frame, int(joined["ordinal"].min()), len(table), len(joined),
                  tuple(float(c.removeprefix(LOWER)) for c in values if c.startswith(LOWER)))


def _texts(path: Path, contract: Contract) -> pd.DataFrame:
    """The file's cells as predict writes them in CSV."""
    try:
        if path.suffix == ".parquet":
            typed = pd.read_parquet(path)
            times = contract.time_text(typed[contract.time].to_numpy()) if contract.time in typed else []
            texts = {str(c): typed[c].map(repr if typed[c].dtype == float else str) for c in typed}
            return pd.DataFrame(texts | ({contract.time: times} if len(times) else {}), dtype=object)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        return table.map(from_csv_cell)
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).strip().splitlines()[-1]
        raise DataError(f"cannot be read: {reason}", file=str(path), code="unreadable") from error


def _numbers(texts: pd.Series, path: Path) -> list[float]:
    numbers = []
    for row, text in enumerate(texts, start=2):
        try:
            numbers.append(float(text))
        except ValueError as error:
            raise DataError(f'"{text}" is not a number', file=str(path), row=row, column=str(texts.name), value=text,
                            code="not_a_number") from error
    return numbers


def _truth(panel: Panel, contract: Contract) -> pd.DataFrame:
    """id, time (as written), series, ordinal and y of every value that is known."""
    series, at = panel.points()
    ordinal = panel.start[series] + at - panel.first[series]
    table = pd.DataFrame({"series": series, "ordinal": ordinal, "y": panel.truth[at]})
    if contract.id:
        table[contract.id] = panel.ids[series]
    table[contract.time] = contract.time_text(contract.calendar.times(ordinal))
    return table[table["y"].notna()]


def _places(joined: pd.DataFrame) -> pd.DataFrame:
    """The columns of a backtest frame that do not come from the forecaster; steps count from each series' first row."""
    step = joined["ordinal"] - joined.groupby("series")["ordinal"].transform("min") + 1
    return pd.DataFrame({"model": "forecast", "series": joined["series"].to_numpy(),
                         "cutoff": (joined["ordinal"] - step).to_numpy(), "step": step.to_numpy(),
                         "y": joined["y"].to_numpy(), "source": "file"})
