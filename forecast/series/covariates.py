"""Covariates: columns beside the target, and how much of them may be seen at a cut.

Their rows are found by ordinals of the calendar, never by positions in a panel's values: they may begin before a series
and go on behind its end. Whoever asks at a cut gets nothing that was not known there."""

# R series of the file  N rows  W windows  L context  H horizon  C columns that change  K of them known ahead  J static

from __future__ import annotations

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
