"""Coding: a column of cells as its distinct texts, and which of them each cell is."""

# N cells

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.series.arrays import Ints


def encoded(cells: Any) -> Any:
    """Cells as a dictionary of distinct texts in the order of the file, and indices into it."""
    kept = _in_pieces(cells)
    return kept.combine_chunks() if isinstance(kept, pa.ChunkedArray) else kept


def distinct(cells: Any) -> tuple[Any, Ints]:
    """The distinct texts of cells in the order of the file, and which of them each cell is (N,)."""
    kept = _in_pieces(cells)
    pieces = pieces_of(kept) or [kept.combine_chunks()]
    codes, stop = np.empty(len(kept), dtype=np.int64), 0
    for piece in pieces:
        codes[stop:(stop := stop + len(piece))] = piece.indices.to_numpy(zero_copy_only=False)
    return pieces[0].dictionary, codes


def pieces_of(cells: Any) -> list[Any]:
    """The arrays that a column is made of."""
    return cells.chunks if isinstance(cells, pa.ChunkedArray) else [cells]


def _in_pieces(cells: Any) -> Any:
    """Encoded, the pieces of a column by one dictionary."""
    kept = cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)
    return kept.unify_dictionaries() if isinstance(kept, pa.ChunkedArray) else kept
