"""Records: where the rows of a text begin and end, how many fields each has, and on which physical line it stands.

Counted over bytes with numpy, so that a line can be named in any file; which field means what is not known here."""

# R records of B bytes; positions are byte offsets

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.series.arrays import Ints

Bytes = NDArray[np.uint8]

LF, CR = 10, 13
_PIECE = 1 << 24


@dataclass(frozen=True)
class Records:
    """start, stop (R,) of each record that is not empty, line breaks left out; line (R,) where it begins.

    stray: position of the first quote that neither opens nor closes a field (RFC 4180); open_quote: of one that is
    never closed. With either, the records behind it mean nothing."""

    data: bytes
    delimiter: int
    quote: int | None
    start: Ints
    stop: Ints
    line: Ints
    stray: int | None = None
    open_quote: int | None = None
    broken_lines: bool = False      # a line break stands inside a quoted field

    def __len__(self) -> int:
        return len(self.start)

    def text(self, record: int) -> str:
        return self.data[self.start[record]:self.stop[record]].decode("utf-8", "replace")

    @cached_property
    def fields(self) -> Ints:
        """Fields of each record (R,)."""
        at = np.concatenate([_outside(self.data, lo, hi, self.delimiter, self.quotes)
                             for lo, hi in _pieces(len(self.data))] or [np.empty(0, np.int64)])
        return np.searchsorted(at, self.stop) - np.searchsorted(at, self.start) + 1

    @cached_property
    def quotes(self) -> Ints:
        return _positions(self.data, self.quote)


def find_records(data: bytes, delimiter: str, quote: str | None = '"') -> Records:
    """The records of a text."""
    mark = None if quote is None or quote.encode() not in data else ord(quote)
    quotes = _positions(data, mark)
    breaks = np.concatenate([_line_breaks(data, lo, hi) for lo, hi in _pieces(len(data))] or [np.empty(0, np.int64)])
    inside = np.searchsorted(quotes, breaks) % 2 == 1 if quotes.size else np.zeros(breaks.size, dtype=bool)
    ends = breaks[~inside]
    start = np.concatenate([[0], ends + 1])
    stop = np.concatenate([ends, [len(data)]])
    line = 1 + np.searchsorted(breaks, start)
    codes = np.frombuffer(data, dtype=np.uint8)
    if codes.size:                                                  # a CR LF ends where its CR stands
        before = np.maximum(stop - 1, 0)
        stop = np.where((stop > start) & (codes[before] == CR) & (stop < len(data)), stop - 1, stop)
    keep = stop > start
    stray, open_quote = _misplaced(codes, quotes, ord(delimiter)) if quotes.size else (None, None)
    return Records(data, ord(delimiter), mark, start[keep], stop[keep], line[keep], stray, open_quote,
                   bool(inside.any()))


def _pieces(size: int) -> list[tuple[int, int]]:
    return [(at, min(at + _PIECE, size)) for at in range(0, size, _PIECE)]


def _positions(data: bytes, mark: int | None) -> Ints:
    if mark is None:
        return np.empty(0, dtype=np.int64)
    codes = np.frombuffer(data, dtype=np.uint8)
    return np.concatenate([np.flatnonzero(codes[lo:hi] == mark) + lo for lo, hi in _pieces(len(data))])


def _outside(data: bytes, lo: int, hi: int, mark: int, quotes: Ints) -> Ints:
    """Positions of a byte outside quotes."""
    at: Ints = np.flatnonzero(np.frombuffer(data, dtype=np.uint8)[lo:hi] == mark) + lo
    return at[np.searchsorted(quotes, at) % 2 == 0] if quotes.size else at


def _line_breaks(data: bytes, lo: int, hi: int) -> Ints:
    """Last byte of each line break: LF, or a CR that no LF follows."""
    codes = np.frombuffer(data, dtype=np.uint8)
    piece = codes[lo:hi]
    breaks = piece == LF
    returns = np.flatnonzero(piece == CR)
    if returns.size:
        following = codes[np.minimum(returns + lo + 1, codes.size - 1)]
        lone = (following != LF) | (returns + lo + 1 >= codes.size)
        breaks[returns[lone]] = True
    return np.flatnonzero(breaks) + lo


def _misplaced(codes: Bytes, quotes: Ints, delimiter: int) -> tuple[int | None, int | None]:
    """The first quote out of place, and the opening one that nothing closes."""
    edge = np.zeros(256, dtype=bool)
    edge[[delimiter, LF, CR]] = True
    opening, closing = quotes[::2], quotes[1::2]
    doubled = np.zeros(opening.size, dtype=bool)
    doubled[1:] = closing[:opening.size - 1] + 1 == opening[1:]
    opens = (opening == 0) | edge[codes[np.maximum(opening - 1, 0)]] | doubled
    last = closing + 1 >= codes.size
    after = codes[np.minimum(closing + 1, codes.size - 1)]
    reopened = np.zeros(closing.size, dtype=bool)
    behind = opening[1:1 + closing.size]
    reopened[:behind.size] = closing[:behind.size] + 1 == behind
    closes = last | edge[after] | reopened
    wrong = np.concatenate([opening[~opens], opening[:closing.size][~closes]])     # a bad end: named where it opened
    stray = int(wrong.min()) if wrong.size else None
    return stray, int(opening[-1]) if quotes.size % 2 else None
