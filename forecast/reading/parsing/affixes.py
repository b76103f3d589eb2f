"""Affixes: the unit or sign that stands before or behind the number in every cell of a column, and the cells without.

What is taken off is the same text in every cell or the cell is a fault; what the number says is numbers.py's."""

# N cells

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

LONGEST = 64                        # characters of a cell that may tell an affix: the search is slow on long ones
LOOK = 1000                         # cells that tell which unit the column has
_GAP = "[\\s\u00a0\u202f]*"
_MONEY = "$€£¥₹₽₩₿¢"
_FIRST = rf"(?:[^\W\d_]|[{_MONEY}%‰°µ])"
_NUMBER = r"\d(?:[\d.,'’\u00a0\u202f ]*\d)?[.,]?(?:[eE][+-]?\d+)?"
_INSIDE = r"[^\d()+\r\n,;\".-]|(?<=[^\W\d_])\."                      # of a unit in front: a point ends a word only
_BEFORE = re.compile(rf"[(+-]*{_GAP}(?P<unit>{_FIRST}(?:{_INSIDE}){{0,12}}?){_GAP}[+-]?"
                     rf"(?:{_NUMBER}|(?<=[{_MONEY}])[.,]\d+)\)?")
_BEHIND = re.compile(rf"[(+-]*{_GAP}[+-]?(?:{_NUMBER}|[.,]\d+(?:[eE][+-]?\d+)?){_GAP}"
                     rf"(?P<unit>{_FIRST}[^()\r\n,;\"]{{0,24}}?){_GAP}\)?")
_POWER = re.compile(r"[eE][+-]?\d.*")


@lru_cache(1 << 14)
def affixes_of(text: str) -> tuple[str, str]:
    """What stands before and behind the number of one cell: ("", "kWh"); ("", "") for a plain number or none at all."""
    if not 1 < len(text) <= LONGEST:
        return "", ""
    if (match := _BEHIND.fullmatch(text)) and not _POWER.fullmatch(match["unit"]):
        return "", match["unit"]
    return (match["unit"], "") if (match := _BEFORE.fullmatch(text)) else ("", "")


def find_affixes(texts: Any) -> tuple[str, str]:
    """The affixes of most of the first cells (N,); ("", "") where most have none."""
    seen = Counter(affixes_of(text) for text in texts[:LOOK].to_pylist())
    return max(seen, key=lambda pair: seen[pair]) if seen else ("", "")


def share_one_unit(cells: Iterable[str]) -> bool:
    """Whether all these cells, two or more, are numbers with one and the same unit behind."""
    units = [affixes_of(text.strip()) for text in cells]
    return len(units) > 1 and len(set(units)) == 1 and bool(units[0][1])


def without_affixes(texts: Any, prefix: str, suffix: str) -> tuple[Any, NDArray[np.bool_]]:
    """The cells (N,) less their affixes, signs and parentheses kept; and which of them had these affixes (N,)."""
    if not (prefix or suffix):
        return texts, np.ones(len(texts), dtype=bool)
    before = f"{_GAP}{re.escape(prefix)}{_GAP}" if prefix else ""
    behind = f"{_GAP}{re.escape(suffix)}{_GAP}" if suffix else ""
    first = "[0-9]" if prefix and prefix[-1] not in _MONEY else "[0-9.,]"       # "Rs.500" is no half
    pattern = rf"^(\(?[+-]?){before}([+-]?)({first}.*?){behind}(\)?)$"
    has: NDArray[np.bool_] = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False).astype(bool)
    bare = pc.replace_substring_regex(texts.filter(pa.array(has)), pattern, r"\1\2\3\4")
    return pc.replace_with_mask(_whole(texts), pa.array(has), _whole(bare)), has


def _whole(texts: Any) -> Any:
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
