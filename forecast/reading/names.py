"""Names: several columns that name a series together, joined to one column of ids."""

# N rows

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from forecast.errors import DataError
from forecast.reading.parsing.coding import distinct
from forecast.reading.parsing.table import Table
from forecast.series.arrays import Ints
from forecast.series.ids import joined_id
from forecast.text import from_csv_cell, shorten

SOME = 0.5                          # share of the usual number of rows from which a name that is empty in part is meant


def with_joined_ids(table: Table, ids: Sequence[int], *, spaced: bool) -> Table:
    """The table with one column of ids in the place of the first of these. A row that lacks a part of its name has
    none, unless whole series lack it. Raises DataError for a column that holds nothing. spaced: a space stands before
    the cells of all columns but the first."""
    coded = [_codes(table.columns[k], spaced=spaced and k > 0) for k in ids]
    for k, (_, words) in zip(ids, coded, strict=True):
        if table.rows and not any(word.strip() for word in words):
            raise DataError("names no series: every cell of it is empty", file=table.file, row=table.lines.of(0),
                            column=shorten(table.names[k], 60), code="empty_id", hint="Leave it out of --id")
    pairs = np.column_stack([codes for codes, _ in coded])
    unique, first, codes, counts = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    parts = [[words[c] for (_, words), c in zip(coded, combo, strict=True)] for combo in unique[order].tolist()]
    whole = np.array([all(part.strip() for part in some) for some in parts], dtype=bool)
    usual = float(np.median(counts[order][whole])) if whole.any() else 0.0
    kept = whole | (counts[order] >= SOME * usual)
    names = [joined_id(some) if keep and any(map(str.strip, some)) else ""
             for some, keep in zip(parts, kept, strict=True)]
    column = pa.DictionaryArray.from_arrays(pa.array(place[codes.ravel()].astype(np.int32)),
                                            pa.array(names, pa.string()))
    return dataclasses.replace(table, columns=table.columns | {ids[0]: column})


def _codes(cells: object, *, spaced: bool) -> tuple[Ints, list[str]]:
    """The distinct texts of a column as they were meant, and which of them each row has (N,)."""
    texts, codes = distinct(cells)
    words = [str(text).removeprefix(" ") if spaced else str(text) for text in texts.to_pylist()]
    unmarked = [from_csv_cell(word) for word in words]
    return codes, unmarked if len(set(unmarked)) == len(words) else words
