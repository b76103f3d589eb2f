"""Counters: a column that numbers the rows (orders, tickets, invoices), or tells a part of the date again, is neither
an id of series nor a target."""

# N rows

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

PARTS = ("year", "month", "day", "hour", "minute")
CALENDAR_NAMES = (*PARTS, "weekday", "dayofweek", "day_of_week", "week", "quarter", "dayofyear")
_WHOLE = re.compile(r"[+]?\d+")
_CALLED = ("id", "ids", "no", "nr", "num", "number", "nummer", "key", "order", "invoice", "transaction", "ticket",
           "receipt", "booking", "record", "row", "event", "line", "index", "serial", "bon", "beleg", "auftrag",
           "rechnung", "bestellnr", "bestellnummer", "pedido", "factura", "commande")
_NUMBERING = ("", "index", "unnamed: 0", "no", "row", "nr", "record", "#")
FEW = 3                             # rows that hardly tell


def is_helper(name: str, cells: Sequence[str]) -> bool:
    """Parts of the date given again, and counters of rows."""
    name = name.strip().lower()
    return name in CALENDAR_NAMES or (name in _NUMBERING and _counts(cells))


def counts_rows(cells: Sequence[str], stamps: Sequence[object]) -> bool:
    """1, 2, 3 ... beside stamps that are all different: numbers of rows, not of series."""
    return len(cells) >= FEW and len(set(stamps)) == len(cells) and _counts(cells)


def _counts(cells: Sequence[str]) -> bool:
    counts = [str(k) for k in range(len(cells) + 1)]
    return [cell.strip() for cell in cells] in (counts[:-1], counts[1:])


def numbers_rows(name: str, cells: Sequence[str], stamps: Sequence[object]) -> bool:
    """Whether whole numbers (N,), each once, name the rows rather than measure anything: by their header, or because
    they rise from row to row where time stamps repeat."""
    texts = [cell.strip() for cell in cells]
    if len(texts) < FEW or not all(map(_WHOLE.fullmatch, texts)) or len(set(texts)) < len(texts):
        return False
    words = re.findall(r"[a-z#]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if words and (words[-1] in _CALLED or words[0] == "id"):
        return True
    return rises(texts, stamps) and len(set(stamps)) < len(texts)


def rises(cells: Sequence[str], stamps: Sequence[object]) -> bool:
    """Whether whole numbers (N,) rise from row to row, over more than one time."""
    texts = [cell.strip() for cell in cells]
    if len(texts) < FEW or not all(map(_WHOLE.fullmatch, texts)) or len(set(stamps)) < 2:
        return False
    numbers = [int(text) for text in texts]
    return all(one < other for one, other in pairwise(numbers))
