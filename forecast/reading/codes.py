"""Codes: numbers that by all appearances stand for a missing value, such as -9999 among values near 50.

A code repeats exactly (a classic one may stand once), is an extreme of its series and lies far outside of all others.
Only whoever writes the file knows for sure. So it is refused, and told are the flag that reads the number as missing
and the flag that keeps it."""

# N rows  S series

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.errors import Problem
from forecast.reading.rows import Rows, pieces
from forecast.series.arrays import Bools, Floats, Ints
from forecast.text import safe, shorten

REAL = "none"                       # --missing none: numbers that look like codes are real
LOOKED_AT = 2_000                   # series looked at closely
SHOWN = 5_000                       # rows of a code among which the first line is sought
MOST = 4                            # codes on either side, beside the classic ones
FEW = 3                             # other values that a series must have
SEVERAL = 8                         # the same, where the number is no classic code
BEYOND = 5.0                        # ranges of the others between them and a code
FAR = 100.0                         # the same, where nothing else tells
ALONE = 20.0                        # the same, for a classic code that stands once
_SPECIAL = (127.0, 32767.0, 32768.0, 65535.0, 999.25, 2147483647.0, 2147483648.0, 4294967295.0, 2.0**63, 1e20, 1e30,
            1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 9.96921e36, 9.9692e36, 9.969209968386869e36, 1.70141e38,
            1.70141183460469e38, 3.4e38, 3.40282e38, 3.402823e38, 3.4028235e38, 3.402823466e38, 3.4028234663852886e38)


def _repeated(digit: int, least: int) -> list[tuple[float, int]]:
    """-999, -99.9, ...: the number, and how many digits it has behind the point."""
    return [(int(str(digit) * size) / 10**places, places) for size in range(least, 10) for places in range(4)
            if size > places + (places > 0)]


_NINES, _OTHERS = _repeated(9, 2), [pair for digit in (6, 7, 8) for pair in _repeated(digit, 3) if not pair[1]]
CLASSIC = np.unique([-127.0, *(-v for v, _ in _NINES), *(v for v, _ in _NINES if v >= 99.9),
                     *(-v for v, _ in _OTHERS), *(v for v, _ in _OTHERS if v > 1000),
                     *(v for v in _SPECIAL if v != 127), *(-v for v in _SPECIAL if v > 999)])
PLAIN = np.array([v for v, places in (*_NINES, *_OTHERS) if v >= 99 and places < 2 and v != 99] + list(_SPECIAL))


def code_problems(rows: Rows, missing: Sequence[str]) -> list[Problem]:
    """One problem for each number that looks like a code in rows (N,) that stand series by series, in order of time;
    none where `missing` says that they are real."""
    if REAL in missing:
        return []
    first = np.flatnonzero(np.concatenate([[True], ~rows.same]))
    stop = np.append(first[1:], rows.codes.size)
    suspect = _suspects(rows.values, first, stop)[:LOOKED_AT]
    codes = sorted({code for s in suspect for code in codes_in(rows.values[first[s]:stop[s]])}, key=abs, reverse=True)
    names = [*missing, *(f"{code:.15g}" for code in codes)]
    return [_problem(rows, code, names, missing) for code in codes]


def _problem(rows: Rows, code: float, names: Sequence[str], missing: Sequence[str]) -> Problem:
    where = np.flatnonzero(rows.values == code)
    row = min((*where[:SHOWN].tolist(), *where[-SHOWN:].tolist()), key=rows.line)
    own = rows.values[rows.codes == rows.codes[row]]
    others = own[~np.isnan(own) & ~np.isin(own, [float(name) for name in names[len(missing):]])]
    beside = f"far from the others ({others.min():.6g} to {others.max():.6g})" if others.size else "and nothing else"
    number, times = f"{code:.15g}", "once" if where.size == 1 else f"{where.size:,} times"
    return Problem("missing_code", f"{number} stands {times}{rows.of_series(row)}, {beside}, like a code for missing",
                   rows.file, rows.line(row), rows.column_of(row), number,
                   f"{_flag(names)} reads it as missing, {_flag([*missing, REAL])} keeps it")


def _flag(names: Sequence[str]) -> str:
    text = ",".join(names)
    shown = shorten(safe(text), 60)
    return f"--missing {shown}" if all(c.isalnum() or c in ",.+-_" for c in text) else f"--missing '{shown}'"


def _suspects(y: Floats, first: Ints, stop: Ints) -> Ints:
    """Series whose lowest or highest value may be a code."""
    suspects = [at + np.flatnonzero(_may_hold(y[first[at]:stop[to - 1]], first[at:to] - first[at]))
                for at, to in pieces(first, stop)]
    return np.concatenate(suspects or [np.empty(0, dtype=np.int64)])


def _may_hold(y: Floats, heads: Ints) -> Bools:
    """Whether the lowest or highest value of each series (S,) may be a code, also where another code stands beside it.
    The series begin at these heads. True for all in which a close look would find one, and for few others."""
    lengths = np.diff([*heads, y.size])
    low, high = np.fmin.reduceat(y, heads), np.fmax.reduceat(y, heads)
    at_low, at_high = y == np.repeat(low, lengths), y == np.repeat(high, lengths)
    again = np.add.reduceat(at_low, heads, dtype=np.int64) > 1, np.add.reduceat(at_high, heads, dtype=np.int64) > 1
    second = np.fmin.reduceat(np.where(at_low, np.nan, y), heads)
    before = np.fmax.reduceat(np.where(at_high, np.nan, y), heads)
    with np.errstate(invalid="ignore", over="ignore"):
        down, up = second - low, high - before
        classic = (second >= 0) | ~(down < before - second) | np.isin(second, CLASSIC)
        classic &= np.isin(low, CLASSIC) & (low < 0)
        classic |= np.isin(high, CLASSIC) & (high > 0) & (up >= BEYOND * (before - second))
        lower = down >= np.where((low < 0) & (second >= 0), BEYOND, FAR) * (high - second)
        suspect: Bools = classic | (again[0] & lower) | (again[1] & (up >= FAR * (before - low)))
    return suspect


def is_classic(value: float) -> bool:
    """Whether this number stands for missing in many a file."""
    return bool(np.isin(value, CLASSIC))


def codes_in(y: Floats) -> list[float]:
    """The numbers of one series (N,), in order of time, that look like codes."""
    y = y[~np.isnan(y)]
    values, counts = np.unique(y, return_counts=True)
    usual = ~np.isin(values, CLASSIC)
    codes = list[float]()
    for _ in range(MOST):                                           # one hides another
        core, weights = values[usual], counts[usual]
        out = [v for v in core[[0, -1]].tolist() if _is_code(y, v, core[core != v], weights[core != v])] \
            if core.size > 1 else []
        if not out:
            break
        codes += out
        usual &= ~np.isin(values, out)
    classic = values[np.isin(values, CLASSIC)].tolist()
    return [*codes, *(v for v in classic if _is_code(y, v, values[usual], counts[usual]))]


def _is_code(y: Floats, value: float, others: Floats, weights: Ints) -> bool:
    """`others` (O,) ascending, and how often each stands."""
    plain = bool(np.isin(abs(value), PLAIN))
    if not others.size:                                             # a series of nothing else
        return plain and value < -99
    low, high = float(others[0]), float(others[-1])
    away = low - value if value < low else value - high
    if weights.sum() < FEW and not (plain and value < -99 and low >= 0):
        return False
    return away > 0 and away >= _needed(y, value, plain, others, weights) * (high - low)


def _needed(y: Floats, value: float, plain: bool, others: Floats, weights: Ints) -> float:
    """How many ranges of the others must lie between them and a number that is a code; inf where it is none at any
    distance."""
    where = np.flatnonzero(y == value)
    count, ends = where.size, bool(2 * where.size >= y.size - where[0])     # once there it stays: a level, perhaps
    lone = value < 0 <= others[0]                                       # the only negative number
    flat = bool(2 * weights.max() >= weights.sum())                     # of one value by half: distance tells nothing
    if not np.isin(value, CLASSIC):
        honest = count < 2 or value == 0 or ends or flat or weights.sum() < SEVERAL
        return np.inf if honest else BEYOND if lone else FAR if count > 2 else 10 * FAR
    if value < 0:
        return (1.0 if count == 1 else 0.0) if lone and plain else 2.0 if count == 1 else 1.0
    alike = (flat or not plain) if count == 1 else others.size == 1
    if value < 9999 and (ends or alike or _are_prices(value, others, weights)):
        return np.inf                                                   # a new price, or a spike of something constant
    return ALONE if count == 1 else BEYOND


def _are_prices(value: float, others: Floats, weights: Ints) -> bool:
    """Whether most of the others, too, end in a nine where the value does: 9.99, 19.99, 99.99."""
    unit = next((10**k for k in range(4) if (value * 10**k).is_integer()), 1)
    return bool(2 * weights[np.rint(others * unit) % 10 == 9].sum() > weights.sum())
