"""Channels: what a cell reads at each point of a context, on numpy's arrays and on torch's.

A network reads the first `count` of them, a number of its shape: a channel that is added to the end of the list leaves
older networks as they are."""

# B batch  L context  C channels

from __future__ import annotations

from collections.abc import Callable

from forecast.model.cells import stacked
from forecast.series.batch import Array, Batch


def value(batch: Batch) -> Array:
    """In the batch's units, 0 where missing."""
    return batch.known


def there(batch: Batch) -> Array:
    """1 where there is a value, 0 where it is missing."""
    is_there = batch.context == batch.context                           # NaN is not itself
    return is_there * (0 * batch.known + 1)                             # in the context's own precision


CHANNELS: tuple[Callable[[Batch], Array], ...] = (value, there)


def channels(batch: Batch, count: int = len(CHANNELS)) -> Array:
    """The first `count` channels at each point of the context (B, L, C)."""
    return stacked([channel(batch) for channel in CHANNELS[:count]], axis=-1)
