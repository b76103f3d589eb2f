"""Scales: series whose newest values have the size of another unit (Wh after kWh), each judged by its own past.

The usual size must differ by a factor of 20 or more, from one row to the next, and no stretch of the past may come near
the new values. Zeros tell no size, and whole numbers that dwindle may just be few."""

# N values  S series  B blocks

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.series.arrays import Bools, Floats, Ints

FACTOR = 20.0                       # between two units, at least; half of it between the few values on both sides
APART, WIDE = 3.0, 10.0             # between new stretches and past ones: with many of these, with few
MANY = 30                           # stretches
NEAR = 7                            # values on either side of a change
PAST = 8                            # values other than zero before the change, at least
BLOCK = 50                          # values of a stretch, at most
HEAD, TAIL, LAST = 48, 12, 3        # values at the beginning and at the end that tell where to look closely
LOT = 2048                          # series looked at together
GLANCE = 0.9                        # decades between them
TAME = 5.0                          # times the usual size that no value of a tame past exceeds or falls short of


@dataclass(frozen=True)
class Change:
    """From position `at` of y on, the values of a series are `factor` times those before."""

    series: int
    at: int
    factor: float


def find_changes(y: Floats, first: Ints, stop: Ints, since: Ints, *, new: Bools) -> list[Change]:
    """Changes of unit in series (S,) of y (N,), NaN where nothing was measured, that begin at position `since` (S,) or
    later and last to the end. Of series that are `new` (S,) only clear ones count."""
    changes = []
    lots = [slice(at, at + LOT) for at in range(0, first.size, LOT)]
    odd = [lot.start + np.flatnonzero(_may_have(y, first[lot], stop[lot], since[lot])) for lot in lots]
    for s in np.concatenate([*odd, np.empty(0, dtype=np.int64)]).tolist():
        change = _change(y[first[s]:stop[s]], int(since[s] - first[s]), clear=bool(new[s]))
        changes += [Change(s, int(first[s]) + change[0], change[1])] if change else []
    return changes


def _may_have(y: Floats, first: Ints, stop: Ints, since: Ints) -> Bools:
    """Series (S,) whose last sizes are far from those just before `since`, or from the first ones."""
    begin = np.maximum(first, np.minimum(since, stop) - HEAD)
    head = _sizes(y, begin, np.minimum(begin + HEAD, stop), HEAD)
    tail = _sizes(y, np.maximum(first, stop - TAIL), stop, TAIL)
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.nansum(head, axis=1) / np.sum(~np.isnan(head), axis=1)
        high = np.fmax.reduce(tail, axis=1) - usual
        last = np.fmax.reduce(_sizes(y, np.maximum(first, stop - LAST), stop, LAST), axis=1) - usual
        odd: Bools = (since < stop) & ((high >= GLANCE) | (np.where(np.isnan(last), high, last) <= -GLANCE))
    return odd


def _sizes(y: Floats, first: Ints, stop: Ints, width: int) -> Floats:
    """Decades of the values from first to stop (S, width); NaN where there is none, or zero."""
    at = first[:, None] + np.arange(width)
    inside = at < stop[:, None]
    values = np.where(inside, np.abs(y[np.where(inside, at, 0)]) if y.size else np.nan, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values), np.nan)


def _change(y: Floats, since: int, *, clear: bool) -> tuple[int, float] | None:
    """Where the unit of one series (N,) changes, and the factor."""
    at = np.flatnonzero((y != 0) & ~np.isnan(y))
    begin = max(PAST, int(np.searchsorted(at, since)))
    if begin >= at.size:
        return None
    split = _step(np.log10(np.abs(y[at])), begin)
    past, new = y[at[:split]], y[at[split:]]
    with np.errstate(all="ignore"):                                 # from 1e-320 to 1e300
        usual = np.median(np.abs(past[-max(PAST, min(new.size, BLOCK)):]))
        factor = float(np.clip(np.median(np.abs(new)) / usual, 1e-300, 1e300))
        return (int(at[split]), factor) if _is_unit(past, new, factor, clear=clear) else None


def _step(sizes: Floats, begin: int) -> int:
    """The split of sizes (N,), at `begin` or later, whose two means leave least over (least squares)."""
    count = np.arange(begin, sizes.size)
    total = np.cumsum(sizes)
    before = total[count - 1] / count
    behind = (total[-1] - total[count - 1]) / (sizes.size - count)
    return begin + int(np.argmax((behind - before) ** 2 * count * (sizes.size - count)))


def _is_unit(past: Floats, new: Floats, factor: float, *, clear: bool) -> bool:
    """Whether values other than zero before and after a split are in two units."""
    whole = not (np.any(past % 1) or np.any(new % 1))
    if (past.min() > 0 and new.max() < 0) or (past.max() < 0 and new.min() > 0):
        return False                                                # no unit turns the sign
    past, new = np.abs(past), np.abs(new)
    if factor < 1:                                                  # the same, turned over
        if whole and new.size < 2 * PAST:
            return False
        past, new, factor = 1 / past, 1 / new, 1 / factor
    beside = np.median(new[:NEAR]) / np.median(past[-min(NEAR, new.size):])
    back = np.mean(new <= np.median(past))                          # a burst, and it is over
    if factor < FACTOR or beside < FACTOR / 2 or back > 0.1:
        return False
    if new.size < 3:
        tame = new.size > 1 or (past.size >= BLOCK and past.max() <= TAME * np.median(past) <= TAME**2 * past.min())
        return bool(not clear and tame and past.size >= 20 and new.min() >= WIDE * past.max())
    size = min(new.size, BLOCK, past.size)
    before, after = _medians(past[past.size % size:], size), _medians(new[:new.size - new.size % size], size)
    apart = after.min() / before.max()
    return bool(apart >= (WIDE if before.size < MANY else APART) and (not clear or new.size >= PAST))


def _medians(values: Floats, size: int) -> Floats:
    medians: Floats = np.median(values.reshape(-1, size), axis=1)
    return medians
