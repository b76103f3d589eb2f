"""Block: some series at their ends, as the members of a predictor see them."""

# S series  L context

from __future__ import annotations

import warnings

import numpy as np

from forecast.model.member import Member
from forecast.series.arrays import Floats
from forecast.series.batch import Batch
from forecast.series.panel import Panel
from forecast.series.units import without_absurd
from forecast.series.windows import contexts, ends_of

REACH = 3.0                                 # ranges of the context


class Block:
    """Some series at their ends: what is looked at there, gathered once for all who look as far back."""

    def __init__(self, panel: Panel) -> None:
        self.panel, self.windows = panel, ends_of(panel)
        self._contexts, self._sane = dict[int, Floats](), dict[int, Floats]()
        self._batches: dict[tuple[str, int, bool], Batch] = {}

    def context(self, length: int) -> Floats:
        """(S, L) in original units."""
        if length not in self._contexts:
            self._contexts[length] = contexts(self.panel.y, self.windows, length)
        return self._contexts[length]

    def sane(self, length: int) -> Floats:
        """The same without absurd values."""
        if length not in self._sane:
            self._sane[length] = without_absurd(self.context(length))
        return self._sane[length]

    def bounds(self, length: int) -> tuple[Floats, Floats]:
        """(S, 1, 1) each: three ranges below and above it. Beyond that nobody may lead: the exponential of a spread
        that was learned across a change of level leads anywhere."""
        low, high = extremes(self.sane(length))
        return (low - REACH * (high - low))[:, :, None], (high + REACH * (high - low))[:, :, None]

    def batch(self, member: Member) -> Batch:
        """What a member sees; members of the same units and context see the same."""
        key = member.units.transform, member.shape.context, member.reads_covariates
        if key not in self._batches:
            self._batches[key] = member.batch(self.panel, self.windows)
        return self._batches[key]


def extremes(context: Floats) -> tuple[Floats, Floats]:
    """(S, 1) each: the least and the greatest value of a context."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)                 # a context without a value bounds nothing
        return np.nanmin(context, axis=1, keepdims=True), np.nanmax(context, axis=1, keepdims=True)
