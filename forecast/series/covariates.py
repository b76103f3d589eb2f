"""Covariates: columns beside the target, and how much of them may be seen at a cut.

Their rows are found by ordinals of the calendar, never by positions in a panel's values: they may begin before a series
and go on behind its end. Whoever asks at a cut gets nothing that was not known there."""

# R series of the file  N rows  W windows  L context  H horizon  C columns that change  K of them known ahead  J static

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from forecast.series.arrays import Floats, Ints

Role = Literal["known", "past", "static"]
ROLES: tuple[Role, ...] = ("known", "past", "static")


@dataclass(frozen=True)
class Column:
    """A covariate. `words` are those of a categorical one: value k stands for words[k], len(words) for any other."""

    name: str
    role: Role
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Covariates:
    """The values of all covariates of all series of a file; NaN where missing.

    columns: those known ahead first, then those known up to the cut, then the static ones ·
    values (N, C) · first (R,) where each series begins in `values` · start, stop (R,) the ordinals of its first row
    and just behind its last · static (R, J)"""

    columns: tuple[Column, ...]
    values: Floats
    first: Ints
    start: Ints
    stop: Ints
    static: Floats

    @cached_property
    def known(self) -> int:
        """K, how many columns are known ahead."""
        return sum(column.role == "known" for column in self.columns)

    def past(self, row: Ints, cut: Ints, length: int) -> Floats:
        """What changed in the `length` steps before each cut (W, L, C): row (W,) of the file, cut (W,) its ordinal."""
        return self._at(row, cut[:, None] - length + np.arange(length), slice(None))

    def ahead(self, row: Ints, cut: Ints, horizon: int) -> Floats:
        """What is known at each cut of the `horizon` steps from it on (W, H, K)."""
        return self._at(row, cut[:, None] + np.arange(horizon), slice(self.known))

    def known_at(self, row: Ints, cut: Ints, horizon: int) -> Iterator[bytes]:
        """All that is known at each cut (S,) and up to `horizon` steps ahead, as bytes: equal where that is equal."""
        yield json.dumps([[c.name, c.role, c.words] for c in self.columns]).encode()
        yield _bytes_of(self.static[row])
        yield _bytes_of(self.ahead(row, cut, horizon))
        sizes = np.clip(cut, self.start[row], self.stop[row]) - self.start[row]
        yield np.column_stack([self.start[row], sizes]).astype("<i8").tobytes()
        for first, size in zip(self.first[row].tolist(), sizes.tolist(), strict=True):
            yield _bytes_of(self.values[first:first + size])

    def with_ahead(self, row: Ints, cut: Ints, ahead: Floats) -> Covariates:
        """The covariates of these rows (W,) up to their cuts, and from there on `ahead` (W, H, K): a row of the result
        is a row of `row`."""
        start, steps = self.start[row], ahead.shape[1]
        past = np.maximum(cut - start, 0)
        start, stop = np.minimum(start, cut), cut + steps
        first = np.cumsum(stop - start) - (stop - start)
        values = np.full((int((stop - start).sum()), self.values.shape[1]), np.nan)
        which = np.repeat(np.arange(len(row)), past)
        at = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(past) - past, past)
        ordinals = start[which] + at - first[which]
        values[at] = self._at(row[which], ordinals[:, None], slice(None))[:, 0]
        there = (first + cut - start)[:, None] + np.arange(steps)
        values[there, :self.known] = ahead
        return Covariates(self.columns, values, first, start, stop, self.static[row])

    def as_known(self, row: Ints, cut: Ints, horizon: int) -> Covariates:
        """Of these series (S,), as one each, only what is known at their cuts (S,) when so many steps are forecast."""
        size = self.stop[row] - self.start[row]
        which = np.repeat(np.arange(len(row)), size)
        begin = np.cumsum(size) - size
        step = np.arange(len(which)) - begin[which]
        values = self.values[self.first[row][which] + step]
        late = self.start[row][which] + step - cut[which]
        values[np.ix_(late >= 0, np.arange(self.known, values.shape[1]))] = np.nan
        values[late >= horizon] = np.nan
        return Covariates(self.columns, values, begin, self.start[row], self.stop[row], self.static[row])

    def _at(self, row: Ints, ordinal: Ints, columns: slice) -> Floats:
        """Values (W, T, ...) at ordinals (W, T); NaN where there is no row."""
        inside = (ordinal >= self.start[row, None]) & (ordinal < self.stop[row, None])
        found = self.values[np.where(inside, self.first[row, None] + ordinal - self.start[row, None], 0), columns] \
            if len(self.values) else np.full((*ordinal.shape, self.values[:, columns].shape[1]), np.nan)
        return np.where(inside[..., None], found, np.nan)


def _bytes_of(values: Floats) -> bytes:
    """The same for every kind of NaN."""
    return np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
