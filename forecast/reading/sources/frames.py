"""Frames: a pandas DataFrame as a source of columns, to be read by the same rules as a file.

A frame is never changed. Its columns stand beside each other as in a Parquet file: time stamps, numbers and texts keep
their types until the reader asks for them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from forecast.errors import DataError
from forecast.reading.sources.files import Source, Text
from forecast.text import quoted, safe

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("decimal", "mixed-integer-float")                            # objects that are numbers all the same
NAME = "<frame>"                                                        # what a frame is called where a file has a path


@dataclass(frozen=True)
class FrameColumns:
    """The columns of a frame, by position."""

    table: Any                      # pyarrow.Table

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.table.column_names)

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any:
        """The wanted columns, or their first rows."""
        table = self.table.select(list(wanted))
        return table if rows is None else table[:rows]


def source_of(frame: pd.DataFrame) -> Source:
    """A frame as the reader takes it: its index first, where that has a name or holds times, then its columns.

    Raises DataError for what is no frame, and naming the column that holds what no cell of a file could."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a {type(frame).__name__} is no pandas DataFrame", file=NAME, code="no_frame",
                        hint="Pass a DataFrame, or the path of a file")
    columns = _columns(frame)
    names = [name for name, _ in columns]
    table = pa.Table.from_arrays([_array(name, values) for name, values in columns], names=names)
    text = Text(b"")
    return Source(NAME, text, lambda: _digest(table), "utf-8", columns=FrameColumns(table))


def _columns(frame: pd.DataFrame) -> list[tuple[str, Any]]:
    import pandas as pd

    index, levels = frame.index, []
    if isinstance(index, pd.MultiIndex):
        levels = [(str(name or f"level_{k}"), index.get_level_values(k)) for k, name in enumerate(index.names)]
    elif isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)) or index.name is not None:
        levels = [(str(index.name or "time"), index)]
    return [*levels, *((str(name), frame.iloc[:, k]) for k, name in enumerate(frame.columns))]


def _array(name: str, values: Any) -> Any:
    """A column as Arrow has it. Raises DataError."""
    import pandas as pd

    values = pd.Series(values).reset_index(drop=True)
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        values = values.astype(kind.categories.dtype)
        kind = values.dtype
    if isinstance(kind, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    elif pd.api.types.is_bool_dtype(kind):
        values = values.astype("string").str.lower()                    # a word in each cell, as in a file
    elif pd.api.types.is_complex_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind):
        raise DataError(f"column {quoted(name, 40)} holds {kind}, neither numbers nor time stamps", file=NAME,
                        column=name, code="wrong_type", hint="Give numbers, time stamps or texts")
    elif pd.api.types.is_numeric_dtype(kind):
        _refuse_infinite(name, values)
    elif pd.api.types.is_object_dtype(kind) and pd.api.types.infer_dtype(values, skipna=True) in NUMBERS:
        values = values.astype("float64")
        _refuse_infinite(name, values)
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"column {quoted(name, 40)} holds values of several kinds: {safe(error)[:80]}", file=NAME,
                        column=name, code="mixed_column",
                        hint="Give it one type, as in frame[name].astype(float)") from error


def _refuse_infinite(name: str, values: Any) -> None:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    if (rows := np.flatnonzero(np.isinf(numbers))).size:
        raise DataError("is not finite", file=NAME, row=int(rows[0]) + 1, column=name, value=str(numbers[rows[0]]),
                        code="not_finite", hint="Replace it, or set it missing (NaN)")


def _digest(table: Any) -> str:
    """SHA-256 of names, types and values: the same for equal frames."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()
