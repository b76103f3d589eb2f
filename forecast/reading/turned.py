"""Turned: a table whose rows are series and whose headers are times, as columns of ids, times and values."""

# R rows of the table  T times  N = R * T cells

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from forecast.errors import DataError
from forecast.reading.head import FEW_TIMES, MOST_IDS, is_counted, is_year_matrix, times_among, year_matrix
from forecast.reading.parsing.kinds import kind
from forecast.reading.parsing.table import Lines, Table, as_texts
from forecast.series.ids import names_in
from forecast.text import counted, listed


@dataclass(frozen=True)
class Turned:
    """The columns of a turned table: those of ids, then its times and values; a cell of it is a row here."""

    names: tuple[str, ...]
    ids: tuple[pa.Array, ...]       # of R texts each
    times: tuple[str, ...]          # T
    cells: tuple[pa.Array, ...]     # T columns of R texts
    lines: _CellLines

    def read(self, wanted: Sequence[int], rows: int | None = None) -> pa.Table:
        """The wanted columns, or their first rows; the cells of one series stand together."""
        most = self.lines.rows if rows is None else rows
        return pa.table([self._column(k).slice(0, most) for k in wanted], [self.names[k] for k in wanted])

    def _column(self, k: int) -> pa.Array:
        size, times = len(self.cells[0]), len(self.times)
        if k < len(self.ids):
            return self.ids[k].take(pa.array(np.repeat(np.arange(size), times)))
        if k == len(self.ids):
            return pa.array(self.times).take(pa.array(np.tile(np.arange(times), size)))
        whole = pa.concat_arrays(list(self.cells))                  # time by time
        return whole.take(pa.array(np.arange(size * times).reshape(times, size).T.ravel()))


class _CellLines(Lines):
    """A cell stands on the line of its row, under the header of its time."""

    def __init__(self, of_rows: Lines, times: Sequence[str], rows: int) -> None:
        self._of_rows, self._times, self.rows = of_rows, times, rows

    def of(self, row: int) -> int:
        return self._of_rows.of(row // len(self._times))

    def header(self, row: int, column: str) -> str:
        return self._times[row % len(self._times)] if column == "value" else column

    def text(self, row: int) -> str:
        return ""


def turned(table: Table, ident: str | None) -> tuple[Turned, str]:
    """A table of all columns turned, and what there is to say of it. ident: the columns that name its rows; by default
    those of words that tell them apart. Raises DataError."""
    times = times_among(table.names)
    if times[:1] == [0] and is_counted([table.names[0].strip()]) and _holds_words(table.columns[0]):
        times = times[1:]                                           # V1 names the rows, V2 and on are times
    if len(times) < FEW_TIMES:
        raise DataError(f"--turn: no headers that are times (columns: {listed(table.names, 6)})", file=table.file,
                        row=1, code="not_turned", hint="Without --turn, each row is a time")
    texts = {k: _plain(table.columns[k]) for k in range(len(table.names))}
    others = [k for k in texts if k not in times]
    ids = _ids(table, texts, others, ident)
    left = [table.names[k] or "a column without name" for k in others if k not in ids]
    names = tuple(table.names[k] for k in ids)
    headers = tuple(table.names[k].strip() for k in times)
    usual = "time" if is_counted(headers) else "date", "value"
    time, value = (name if name not in names else f"{name}_" for name in usual)
    if is_year_matrix(table.names, list(zip(*(texts[k].slice(0, 100).to_pylist() for k in texts), strict=True))):
        raise year_matrix("month", table.file)
    lines = _CellLines(table.lines, headers, table.rows * len(times))
    said = f"turned: {counted(table.rows, 'row is a', 'rows are')} series, {counted(len(times), 'header')} are times" \
        + (f"; not used: {listed(left)}" if left else "")
    return Turned((*names, time, value), tuple(texts[k] for k in ids), headers, tuple(texts[k] for k in times),
                  lines), said


def _holds_words(cells: object) -> bool:
    """Whether most of the first cells are words: names of the rows under a header like the others."""
    kinds = [kind(text) for text in _plain(cells).slice(0, 100).to_pylist()]
    return 2 * kinds.count("text") > len(kinds)


def _plain(cells: object) -> pa.Array:
    texts = as_texts(cells)
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def _ids(table: Table, texts: dict[int, pa.Array], others: Sequence[int], ident: str | None) -> list[int]:
    """The columns that name the rows. Raises DataError where rows are named alike."""
    if ident is not None:
        wanted = [name.strip().lower() for name in names_in(ident, table.names)]
        chosen = [k for name in wanted for k in others if table.names[k].strip().lower() == name]
        if len(chosen) != len(wanted):
            raise DataError(f"no column {ident!r} (--id)", file=table.file, row=1, code="missing_column",
                            hint=f"Columns: {listed([table.names[k] for k in others], 8)}")
        return chosen
    if table.rows == 1:
        return []
    kinds = {k: {kind(text) for text in texts[k][:1000].to_pylist()} for k in others if table.names[k].strip()}
    words = [k for k, some in kinds.items() if "text" in some]
    codes = [k for k, some in kinds.items() if some == {"integer"}]
    for some in (words, [*words, *codes]):
        for size in range(1, MOST_IDS + 1):
            for columns in combinations(some, size):
                if _tell_apart([texts[k] for k in columns]):
                    return list(columns)
    raise DataError("--turn: no columns name each row by itself", file=table.file, row=table.lines.of(0),
                    code="no_id", hint="Name them with --id; several by comma")


def _tell_apart(columns: Sequence[pa.Array]) -> bool:
    names = set(zip(*(c.to_pylist() for c in columns), strict=True))
    return len(names) == len(columns[0]) and all(any(part.strip() for part in name) for name in names)
