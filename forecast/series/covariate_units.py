"""Covariate units: what a batch holds of the columns beside the target, each in units of its own.

A number is standardised by what its series showed in the training part; flags of 0 and 1 stay as they are; a word is
one flag for each that is known, and one for any other. How far a column lies from its last season moves a target by so
much of its own units, whatever the unit of the window: `swing` translates between them. Nothing is seen but what
Covariates.past and .ahead give at a cut."""

# P series of the training  S series  B windows  L context  H horizon  N columns  C numbers of those that change  K of
# them known ahead  J of the static ones  F numbers that a step of the horizon is told

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forecast.series.arrays import Bools, Floats, Ints, finite_sums
from forecast.series.covariates import ROLES, Column, Covariates
from forecast.series.panel import Panel, Windows

FAR = 10.0                          # units from which on a value moves nothing further
LEAST = 0.01                        # of its mean, the smallest unit of a number
SWING = 20.0                        # times the usual unit that a window's own may be, and as little


@dataclass(frozen=True)
class Beside:
    """What covariates say of B windows; 0 where missing."""

    before: Floats                  # (B, L, 2 C + holes) at each point of the context: how far from the last season,
                                    # how far from the usual, and, of columns with holes, whether it is there
    ahead: Floats                   # (B, H, 2 K + holes) the same of what is known of the horizon
    around: Floats                  # (B, H, F) what a linear forecast reads at each step
    static: Floats                  # (B, J + 1) what stays, and the window's unit


@dataclass(frozen=True)
class CovariateUnits:
    """The columns as a training met them. loc, scale (P, N) of each series and column; usual (P,) how far its target
    moves from season to season, in units of its transformation."""

    columns: tuple[Column, ...]
    flags: tuple[bool, ...]         # (N,) only 0 and 1
    holed: tuple[bool, ...]         # (N,) something was missing
    lags: tuple[int, ...]           # steps back at which known values are looked at beside those of the step
    places: Mapping[str, int]       # series id -> its place
    loc: Floats
    scale: Floats
    usual: Floats

    @classmethod
    def of(cls, panel: Panel, lags: tuple[int, ...], forward: Callable[[Floats], Floats],
           like: CovariateUnits | None = None) -> CovariateUnits | None:
        """Fitted on a panel; None where it has nothing beside it. lags: the seasons, the main one first · forward: the
        target's transformation · like: which columns are flags, and which have holes, as these say."""
        if (beside := panel.beside) is None:
            return None
        seen = _seen(panel)
        changing = len(beside.columns) - beside.static.shape[1]
        values = [beside.values[:, k][seen] for k in range(changing)] + list(beside.static.T)
        flags = tuple(not column.words and bool(np.isin(v[~np.isnan(v)], (0, 1)).all())
                      for column, v in zip(beside.columns, values, strict=True))
        holed = tuple(bool(np.isnan(v).any()) for v in values)
        flags, holed = (like.flags, like.holed) if like else (flags, holed)
        places = {str(name): s for s, name in enumerate(panel.ids)}
        return cls(beside.columns, flags, holed, lags, places, *_fitted(panel, lags[0], forward))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives back equal units."""
        return {"columns": [asdict(column) for column in self.columns], "flags": self.flags, "holed": self.holed,
                "ids": list(self.places), "loc": self.loc.tolist(), "scale": self.scale.tolist(),
                "usual": [None if np.isnan(u) else u for u in self.usual.tolist()]}

    @classmethod
    def from_dict(cls, content: dict[str, Any], lags: tuple[int, ...]) -> CovariateUnits:
        """Raises ValueError, TypeError or KeyError for what cannot be some."""
        columns = tuple(Column(str(c["name"]), c["role"], tuple(map(str, c["words"]))) for c in content["columns"])
        places = {str(i): k for k, i in enumerate(content["ids"])}
        loc, scale = (np.asarray(content[k], dtype=np.float64).reshape(len(places), len(columns))
                      for k in ("loc", "scale"))
        usual = np.array([np.nan if u is None else u for u in content["usual"]], dtype=np.float64)
        flags, holed = (tuple(bool(f) for f in content[k]) for k in ("flags", "holed"))
        if not (np.isfinite(loc).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("units of covariates that are no units")
        if {len(flags), len(holed)} != {len(columns)} or len(usual) != len(places) or not places:
            raise ValueError("units of other covariates")
        if any(c.role not in ROLES for c in columns) or [*map(ROLES.index, (c.role for c in columns))] != sorted(
                ROLES.index(c.role) for c in columns):
            raise ValueError("covariates without a role, or out of order")
        return cls(columns, flags, holed, lags, places, loc, scale, usual)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Numbers in `before` and `ahead` at each point, in `around` at each step, and in `static`."""
        changing = [(c, h) for c, h in zip(self.columns, self.holed, strict=True) if c.role != "static"]
        ahead = [(c, h) for c, h in changing if c.role == "known"]
        static, known, past = (sum(_numbers(c) for c in self.columns if c.role == role)
                               for role in ("static", "known", "past"))
        around = known * (4 + len(self.lags)) + past * 2 + static + 1
        return (2 * (known + past) + sum(h * _numbers(c) for c, h in changing),
                2 * known + sum(h * _numbers(c) for c, h in ahead), around, static + 1)

    def beside(self, panel: Panel, windows: Windows, unit: Floats, *, context: int, horizon: int,
               forward: Callable[[Floats], Floats]) -> Beside:
        """Of these windows of a panel, whose target has this unit (B, 1)."""
        assert panel.beside is not None
        assert panel.row is not None
        row, cut = panel.row[windows.series], panel.cuts(windows)
        loc, scale, usual = self._of_series(panel, windows, forward)
        past, past_there = self._encoded(panel.beside.past(row, cut, context), 0, loc, scale)
        ahead, ahead_there = self._encoded(panel.beside.ahead(row, cut, horizon), 0, loc, scale)
        static, _ = self._encoded(panel.beside.static[row][:, None], len(self.columns) - panel.beside.static.shape[1],
                                  loc, scale)
        swing = np.nan_to_num(usual[:, None] / np.where(unit > 0, unit, np.nan), nan=1.0)
        swing = np.clip(swing, 1 / SWING, SWING)[:, :, None]
        level = _mean(past[:, -self.lags[0]:], past_there[:, -self.lags[0]:])               # (B, 1, C)
        before = np.where(past_there, past - level, 0) * swing
        after = np.where(ahead_there, ahead - level[:, :, :ahead.shape[2]], 0) * swing
        still = np.concatenate([static[:, 0], np.log(swing[:, 0])], axis=1)
        holes = self._holes()
        known = ahead.shape[2]
        return Beside(np.concatenate([before, past, past_there[:, :, holes]], axis=2),
                      np.concatenate([after, ahead, ahead_there[:, :, holes[holes < known]]], axis=2),
                      self._around(before, after, _mean(after, ahead_there), still), still)

    def _around(self, before: Floats, after: Floats, mean: Floats, still: Floats) -> Floats:
        """(B, H, F): of known columns the values at the step, its neighbours and the lags, and the mean over the
        horizon; of past ones the newest, and that of the same phase; of static ones what they are."""
        known, (length, horizon) = after.shape[2], (before.shape[1], after.shape[1])
        whole = np.concatenate([before[:, :, :known], after], axis=1)                       # (B, L + H, K)
        steps = length + np.arange(horizon)
        offsets = (-1, 0, 1, *(-lag for lag in self.lags))
        parts = [whole[:, np.clip(steps + offset, 0, length + horizon - 1)] for offset in offsets]
        mean = np.broadcast_to(mean, after.shape)
        other, season = before[:, :, known:], min(self.lags[0], length)
        same = other[:, length - season + np.arange(horizon) % season]
        newest = np.broadcast_to(other[:, -1:], same.shape)
        return np.concatenate([*parts, mean, newest, same, np.repeat(still[:, None], horizon, axis=1)], axis=2)

    def _encoded(self, values: Floats, begin: int, loc: Floats, scale: Floats) -> tuple[Floats, Bools]:
        """Columns from `begin` on (B, T, n) -> the numbers they are (B, T, .), 0 where missing, and which are there."""
        numbers, there = [], []
        for k in range(values.shape[2]):
            v, column = values[:, :, k, None], self.columns[begin + k]
            is_there = ~np.isnan(v)
            if column.words:
                number = (v == np.arange(len(column.words) + 1)).astype(np.float64)
                is_there = np.repeat(is_there, number.shape[2], axis=2)
            else:
                z = (v - loc[:, None, begin + k, None]) / scale[:, None, begin + k, None]
                number = np.clip(np.where(is_there, z, 0.0), -FAR, FAR)
            numbers.append(number)
            there.append(is_there)
        if not numbers:
            return np.empty((*values.shape[:2], 0)), np.empty((*values.shape[:2], 0), dtype=bool)
        return np.concatenate(numbers, axis=2), np.concatenate(there, axis=2)

    def _holes(self) -> Ints:
        """Which of the C numbers belong to columns with holes."""
        of_column = [h for c, h in zip(self.columns, self.holed, strict=True) if c.role != "static"
                     for _ in range(_numbers(c))]
        return np.flatnonzero(of_column)

    def _of_series(self, panel: Panel, windows: Windows, forward: Callable[[Floats], Floats]
                   ) -> tuple[Floats, Floats, Floats]:
        """loc, scale (B, N) and usual (B,) of the series of each window; one that was not there in training has those
        of its past; of static columns they are the training's."""
        known = np.array([self.places.get(i, -1) for i in panel.ids[windows.series]], dtype=np.int64)
        loc, scale, usual = self.loc[known], self.scale[known], self.usual[known]
        if (new := np.flatnonzero(known < 0)).size:
            static = np.array([column.role == "static" for column in self.columns])
            own = _fitted(panel.at(windows.take(new)), self.lags[0], forward)
            loc[new], scale[new] = (np.where(static, a[:1], b) for a, b in ((self.loc, own[0]), (self.scale, own[1])))
            usual[new] = own[2]
        loc[:, np.array(self.flags)], scale[:, np.array(self.flags)] = 0.0, 1.0
        return loc, scale, usual


def _numbers(column: Column) -> int:
    """How many numbers a column is."""
    return len(column.words) + 1 if column.words else 1


def _ends(panel: Panel, beside: Covariates, row: Ints) -> tuple[Ints, Ints]:
    """(S,) where the rows of each series begin in the covariates' values, and end at its cut."""
    first = beside.first[row]
    return first, first + np.clip(panel.end - beside.start[row], 0, beside.stop[row] - beside.start[row])


def _seen(panel: Panel) -> Bools:
    """Which rows of the covariates lie before the ends of their series."""
    assert panel.beside is not None
    assert panel.row is not None
    seen = np.zeros(len(panel.beside.values), dtype=bool)
    for first, stop in zip(*_ends(panel, panel.beside, panel.row), strict=True):
        seen[first:stop] = True
    return seen


def _fitted(panel: Panel, season: int, forward: Callable[[Floats], Floats]) -> tuple[Floats, Floats, Floats]:
    """loc, scale (S, N) and usual (S,) of each series by what it showed."""
    assert panel.beside is not None
    assert panel.row is not None
    beside, changing = panel.beside, len(panel.beside.columns) - panel.beside.static.shape[1]
    loc, scale = np.zeros((2, len(panel), len(beside.columns)))
    for s, (first, stop) in enumerate(zip(*_ends(panel, beside, panel.row), strict=True)):
        loc[s, :changing], scale[s, :changing] = _standard(beside.values[first:stop, :changing])
    loc[:, changing:], scale[:, changing:] = _standard(beside.static)
    y = forward(panel.truth)
    steps, count = finite_sums(np.abs(y - np.concatenate([np.full(season, np.nan), y[:-season]])[:len(y)]),
                               np.minimum(panel.first + season, panel.stop), panel.stop)
    usual = np.where((count > 0) & (steps > 0), steps / np.maximum(count, 1), np.nan)
    return loc, scale, usual


def _standard(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of columns (N, n); a unit is never nothing."""
    there = ~np.isnan(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(axis=0) / count)
    spread = np.maximum(spread, LEAST * np.abs(mean))
    return mean, np.where(spread > 0, spread, 1.0)


def _mean(values: Floats, there: Bools) -> Floats:
    """(B, 1, C) over time of what is there; 0 where nothing is."""
    return np.asarray(np.where(there, values, 0.0).sum(axis=1, keepdims=True)
                      / np.maximum(there.sum(axis=1, keepdims=True), 1))
