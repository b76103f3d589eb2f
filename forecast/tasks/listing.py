"""Listing: the series of a report, the worst first: what the list says of each, and the numbers of its chart."""

# S series  H horizon  Q quantiles

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from forecast.reporting.packing import packed
from forecast.series.arrays import Ints
from forecast.showing.fans import FEWEST, Fan, Said, before_of, past_of, said_of
from forecast.showing.tables import number, percent
from forecast.tasks.facts import WINDOWS, Facts
from forecast.text import safe, shorten

MOST = 500                              # series with a chart; of more, the worst WORST have one
WORST = 200
NUMBERS = 250_000                       # in the block of the page, about
LONGEST = 20_000                        # points of one series in it
TOGETHER = "All series added up"


@dataclass(frozen=True)
class Row:
    """A line of the list: its cells, the first a name; the size of what is forecast; and the share of the error of the
    simple forecast that is saved, NaN where that is not known."""

    cells: list[str]
    size: float
    skill: float


@dataclass(frozen=True)
class Listing:
    """series: positions in the panel, the worst first."""

    known: Facts
    series: list[int]

    @classmethod
    def of(cls, known: Facts) -> Listing:
        order = _worst_first(known)
        return cls(known, order if len(order) <= MOST else order[:WORST])

    @property
    def headers(self) -> list[str]:
        covers = [f"{level:g} % covers" for level in self.known.levels[:1]]
        return ["series", "MASE", "beside simple", *covers, "total ahead", "served by"]

    @cached_property
    def rows(self) -> list[Row]:
        return [self._row(s) for s in self.series]

    def still(self, s: int) -> Fan:
        """A series as it is drawn without a script: the recent past alone."""
        return self._fan(s, max(6 * self.known.horizon, FEWEST), WINDOWS)

    def block(self) -> str:
        """The numbers behind the charts, as the page holds them."""
        known = self.known
        points, windows = self._sizes()
        fans = [self._fan(s, points, windows) for s in self.series]
        said: list[dict[str, Any]] = [
            {"n": row.cells[0], "c": row.cells[1:], "t": row.size, "k": round(row.skill, 3) if row.skill == row.skill
             else None} for row in self.rows]
        if (together := _together(known, points)) is not None:
            total = known.sums.total if known.sums else 0.0
            fans.insert(0, together)
            cells = ["-"] * (len(self.headers) - 3) + [number(total), "-"]
            said.insert(0, {"n": TOGETHER, "c": cells, "t": 1e308, "k": None})
        calendar = known.reading.contract.calendar
        zone = known.reading.contract.tz if known.reading.contract.utc else None
        return packed(fans, said, calendar, levels=known.levels, zone=zone)

    def _sizes(self) -> tuple[int, int]:
        """How many points of the past and how many past forecasts a series has, for a block of about NUMBERS."""
        each, horizon = NUMBERS // max(1, len(self.series)), self.known.horizon
        left = each - horizon * (1 + 2 * len(self.known.levels))
        windows = min(WINDOWS, max(1, left // 2 // (3 * horizon)))
        return min(LONGEST, max(2 * horizon, left - 3 * horizon * windows)), windows

    def _fan(self, s: int, points: int, windows: int) -> Fan:
        known = self.known
        ordinals, y, filled = past_of(known.panel, s, points)
        first, row = int(ordinals[0]), self._place.get(str(known.panel.ids[s]))
        before = [said for said in self._before.get(s, ())[-windows:] if said.ordinals[0] >= first]
        ahead = None if known.forecast is None or row is None else said_of(known.forecast, row, known.levels)
        return Fan(self._name(s), ordinals, y, ahead, tuple(before), filled)

    @cached_property
    def _before(self) -> dict[int, tuple[Said, ...]]:
        if self.known.backtest is None:
            return {}
        own = self.known.backtest.own
        return before_of(own[own["series"].isin(self.series)], self.known.levels)

    @cached_property
    def _place(self) -> dict[str, int]:
        """Where a series stands in the forecast."""
        return {} if self.known.forecast is None else {str(i): k for k, i in enumerate(self.known.forecast.panel.ids)}

    def _name(self, s: int) -> str:
        contract = self.known.reading.contract
        return shorten(safe(self.known.panel.ids[s] if contract.id else contract.targets[0]), 80)

    def _row(self, s: int) -> Row:
        known, mase, skill, covers = self.known, math.nan, math.nan, math.nan
        if known.backtest is not None:
            scores = known.backtest.scores
            own, simple = (known.backtest.by_series.get(m, {}).get(s, {}) for m in (scores.name, scores.reference_name))
            mase = own.get("mase", math.nan)
            skill = 1 - own["mae"] / simple["mae"] if own and simple and simple["mae"] > 0 else math.nan
            covers = own.get(f"coverage_{known.levels[0]:g}", math.nan) if known.levels else math.nan
        total, served, row = math.nan, "-", self._place.get(str(known.panel.ids[s]))
        if known.forecast is not None and known.forecast.mean is not None and row is not None:
            total, served = float(np.nansum(known.forecast.mean[row])), str(known.forecast.source[row])
        beside = "-" if math.isnan(skill) else f"{abs(skill):.0%} {'better' if skill >= 0 else 'worse'}"
        cells = [self._name(s), number(mase), beside, *([percent(covers)] if known.levels else []), number(total),
                 served]
        return Row(cells, abs(total) if math.isfinite(total) else 0.0, skill)


def _worst_first(known: Facts) -> list[int]:
    """Positions in the panel, the largest MASE first (MAE where no series has one), then those that have none."""
    if known.backtest is None:
        return list(range(len(known.panel)))
    own = known.backtest.by_series[known.backtest.scores.name]
    by = "mase" if any(row["mase"] == row["mase"] for row in own.values()) else "mae"
    errors = np.array([own.get(s, {}).get(by, math.nan) for s in range(len(known.panel))])
    order: list[int] = np.argsort(-np.where(np.isnan(errors), -np.inf, errors), kind="stable").tolist()
    return order


def _together(known: Facts, points: int) -> Fan | None:
    """All series added up, where there are several and all end together: where all of them have a value."""
    panel, forecast = known.panel, known.forecast
    if len(panel) < 2 or forecast is None or known.sums is None or len(set(panel.end.tolist())) > 1 or len(
            forecast.panel) != len(panel):
        return None
    first, end = int(panel.start.min()), int(panel.end[0])
    series, at = panel.points()
    place = panel.start[series] + at - panel.first[series] - first
    finite = np.isfinite(panel.y[at])
    sums = np.bincount(place[finite], weights=panel.y[at][finite], minlength=end - first)
    y = np.where(np.bincount(place[finite], minlength=end - first) == len(panel), sums, np.nan)
    begun = np.flatnonzero(np.isfinite(y))
    if not begun.size:
        return None
    size = min(points, end - first - int(begun[0]))
    ahead = Said(forecast.ordinals[0], known.sums.expected, known.sums.bands)
    ordinals = np.arange(end - size, end)
    before = tuple(said for said in _sums_before(known) if said.ordinals[0] >= ordinals[0])
    return Fan(TOGETHER, ordinals, y[-size:], ahead, before)


def _sums_before(known: Facts) -> Sequence[Said]:
    """Past forecasts of all series added up, at the steps that all have; without bands, for these do not add up."""
    if known.backtest is None:
        return ()
    grouped = known.backtest.own.groupby(["cutoff", "step"])["yhat"]
    whole = grouped.sum()[grouped.size() == len(known.panel)]
    found = []
    for cutoff in whole.index.unique(level=0):
        part = whole.loc[cutoff]
        ordinals: Ints = int(cutoff) + part.index.to_numpy(dtype=np.int64)
        found.append(Said(ordinals, part.to_numpy(), {}))
    return found
