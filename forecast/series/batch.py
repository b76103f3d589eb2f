"""Batch: what a forecaster sees of some windows, each in units of its own.

Units.batch gathers it from a panel; the arrays are numpy's, or torch's where a network is trained."""

# B windows  L context  H horizon

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

Array = Any                                                             # numpy.ndarray or torch.Tensor


@dataclass(frozen=True)
class Batch:
    """B windows, normalised: loc + scale * z is what z stands for in transformed units. None is what nobody needs."""

    context: Array                      # (B, L), NaN where missing
    loc: Array = None                   # (B, 1)
    scale: Array = None                 # (B, 1); NaN where the window cannot be said in these units
    target: Array = None                # (B, H), NaN where missing
    before: Array = None                # (B, L, .) covariates, see covariate_units: at each point of the context,
    ahead: Array = None                 # (B, H, .) at each step of the horizon,
    around: Array = None                # (B, H, F) what a linear forecast is told at each step,
    static: Array = None                # (B, .) and what stays

    @classmethod
    def joined(cls, parts: Iterable[Batch], count: int) -> Batch:
        """The parts, one after the other; `count` windows in all. Only one part is held beside the whole."""
        whole, begin = dict[str, Array](), 0
        for part in parts:
            for name, array in part._arrays():
                if name not in whole:
                    whole[name] = np.empty((count, *array.shape[1:]))
                whole[name][begin:begin + len(array)] = array
            begin += len(part)
        return cls(**whole)

    def __len__(self) -> int:
        return len(self.context)

    @property
    def known(self) -> Array:
        """The context (B, L), 0 where missing."""
        context = self.context
        return np.nan_to_num(context) if isinstance(context, np.ndarray) else context.nan_to_num()

    @property
    def slim(self) -> Batch:
        """What the linear skip reads of it."""
        return replace(self, before=None, ahead=None, static=None)

    def take(self, rows: Any) -> Batch:
        """The windows at these positions, or of a slice."""
        return self.map(lambda array: array[rows])

    def map(self, function: Callable[[Array], Array]) -> Batch:
        """Each of the arrays through a function."""
        return Batch(**{name: function(array) for name, array in self._arrays()})

    def _arrays(self) -> list[tuple[str, Array]]:
        return [(f.name, array) for f in fields(self) if (array := getattr(self, f.name)) is not None]
