"""Frames: data frames of pandas, and whatever turns into one, as columns of Arrow.

A column becomes numbers, texts, truths or moments when it is asked for; what they mean is reading/frames.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.errors import DataError, RequestError
from forecast.reading.parsing.kinds import kind
from forecast.system.datasource import FRAME
from forecast.text import quoted

OBJECTS = ("decimal", "date", "string", "empty")                        # Arrow would take True among numbers for 1


def as_frame(data: Any) -> pd.DataFrame:
    """A data frame of pandas: as it is, of a series, or of anything that has a `to_pandas` (polars, Arrow).

    Raises RequestError for anything else."""
    if isinstance(data, pd.Series):
        return data.to_frame("value" if data.name is None else data.name)
    if not isinstance(data, pd.DataFrame) and hasattr(data, "to_pandas") and not isinstance(data, type):
        data = data.to_pandas()
    if not isinstance(data, pd.DataFrame):
        raise RequestError(f"data are a path or a data frame, not {quoted(type(data).__name__)}", code="no_data",
                           hint="pandas.DataFrame makes one of lists and arrays")
    return data


def zone_of(frame: pd.DataFrame, name: str) -> Any:
    """The zone of the time stamps in a column or level of this name; None where they know none."""
    columns = FrameColumns.of(frame)
    held = columns.series[columns.names.index(name)].dtype if name in columns.names else None
    return getattr(held, "tz", None) or getattr(getattr(held, "pyarrow_dtype", None), "tz", None)


@dataclass(frozen=True)
class FrameColumns:
    """The columns of a frame, behind those levels of its index that tell something. A column becomes an Arrow array
    when it is asked for."""

    names: tuple[str, ...]
    series: tuple[pd.Series, ...]
    kept: dict[int, Any] = field(default_factory=dict)
    file: str = FRAME

    @classmethod
    def of(cls, frame: pd.DataFrame) -> FrameColumns:
        """Raises DataError where there is no row, or a header of several levels."""
        if frame.columns.nlevels > 1:
            raise DataError("has headers of several levels", file=FRAME, code="headers",
                            hint="Give each column one name: frame.columns = [...]")
        if not len(frame):
            raise DataError("has no rows", file=FRAME, code="no_rows")
        if not len(frame.columns) and frame.index.nlevels == 1:
            raise DataError("has no columns", file=FRAME, code="no_columns")
        names = ["" if name is None else str(name) for name in frame.columns]
        series = [frame.iloc[:, k] for k in range(len(names))]
        index = _of_index(frame.index, names, series)
        return cls(tuple([name for name, _ in index] + names), tuple([column for _, column in index] + series))

    @property
    def rows(self) -> int:
        return len(self.series[0])

    def cells(self, k: int) -> Any:
        """A column as an Arrow array of numbers, texts, truths or moments; null where nothing is known."""
        if k not in self.kept:
            self.kept[k] = _arrow(self.series[k])
        return self.kept[k]

    def check(self, wanted: Sequence[int]) -> None:
        """Raises DataError for one of these columns that is of a type which no cell of a file has."""
        types = pd.api.types
        for held, name in ((self.series[k].dtype, self.names[k]) for k in wanted):
            if types.is_complex_dtype(held) or types.is_timedelta64_dtype(held) or isinstance(held, pd.IntervalDtype):
                raise DataError(f"holds {held}, neither numbers nor time stamps", file=FRAME, column=name,
                                code="wrong_type", hint="Give numbers, time stamps or texts")

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any:
        """The columns at these positions as a pyarrow.Table, or their first rows."""
        arrays = [self.cells(k) if rows is None else _arrow(self.series[k].iloc[:rows]) for k in wanted]
        return pa.Table.from_arrays(arrays, [self.names[k] for k in wanted])


def _of_index(index: pd.Index, names: Sequence[str], series: Sequence[pd.Series]) -> list[tuple[str, pd.Series]]:
    """The levels of an index that have a name or tell times; numbers without a name only count the rows."""
    levels: list[tuple[str, pd.Series]] = []
    for level in range(index.nlevels):
        values = index.get_level_values(level)
        if values.name is None and index.nlevels == 1 and not _tells_times(values):
            continue
        taken = [*names, *(name for name, _ in levels)]
        usual = "time" if _tells_times(values) else "id"
        name = str(values.name) if values.name is not None else usual if usual not in taken else f"index {level}"
        if name in names and values.equals(pd.Index(series[names.index(name)])):
            continue                                                    # set_index(drop=False): it stands there twice
        levels.append((name, values.to_series(index=pd.RangeIndex(len(values)))))
    return levels


def _tells_times(values: pd.Index) -> bool:
    if isinstance(values, (pd.DatetimeIndex, pd.PeriodIndex)):
        return True
    return isinstance(values[0], str) and kind(values[0]) == "date"


def _arrow(series: pd.Series) -> Any:
    """An Arrow array of numbers, texts, truths or moments; whatever else there is becomes text."""
    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    if series.dtype == object:
        series = series.infer_objects()
        if series.dtype == object and pd.api.types.infer_dtype(series) not in OBJECTS:
            return _as_texts(series)
    if isinstance(series.dtype, pd.SparseDtype):
        series = pd.Series(np.asarray(series))
    try:
        cells = pa.array(series, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _as_texts(series)
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    return cells if _is_known(cells.type) else _as_texts(series)


def _is_known(kind: Any) -> bool:
    t = pa.types
    tests = (t.is_integer, t.is_floating, t.is_decimal, t.is_boolean, t.is_string, t.is_large_string, t.is_timestamp,
             t.is_date, t.is_time)
    return any(test(kind) for test in tests)


def _as_texts(series: pd.Series) -> Any:
    absent = series.isna().to_numpy(dtype=bool)
    return pa.array([None if gone else str(value) for value, gone in zip(series, absent, strict=True)], pa.string())
