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
    kept = cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)
    return kept.unify_dictionaries().combine_chunks() if isinstance(kept, pa.ChunkedArray) else kept


def codes_of(cells: Any) -> Ints:
    """Which of its distinct texts each of the encoded cells is (N,)."""
    codes: Ints = cells.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
