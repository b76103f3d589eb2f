"""Joint scores of a backtest: how often totals were covered, how good the paths are as a whole, what chances were
worth."""

# W windows  N paths  H horizon

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.model.dependence import Dependence, paths
from forecast.model.events import event_of
from forecast.model.guard import History, kept
from forecast.model.predictor import Predictor
from forecast.scoring.joint import Cases, brier, energy_score, reliability, total_covered
from forecast.scoring.metrics import seasonal_scale
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.panel import Panel
from forecast.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from forecast.tasks.group_scores import GroupScores

PATHS = 500                         # of a window
AT_ONCE = 2_000_000                 # numbers drawn at a time
OWN, STEADY, APART = "own", "one_rho", "independent"


@dataclass(frozen=True)
class EventScore:
    """What chances of an event were worth, beside how often it happened in the past of each series."""

    event: str
    rate: float                     # how often it happened
    brier: float
    brier_of_past: float
    reliability: list[dict[str, Any]] = field(default_factory=list)

    @property
    def skill(self) -> float:
        return 1 - self.brier / self.brier_of_past if self.brier_of_past > 0 else float("nan")


@dataclass(frozen=True)
class JointScores:
    """covered, ends: by band, the share of windows whose total over the horizon lay in the band of totals, and between
    the ends of the steps' bands added up. energy: the energy score, in usual errors of repeating the last season, of
    paths as drawn, of paths whose steps hang together as in usual data, and of independent steps."""

    windows: int
    horizon: int
    covered: dict[float, float]
    ends: dict[float, float]
    energy: dict[str, float]
    event: EventScore | None = None
    groups: GroupScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        event = None if self.event is None else asdict(self.event) | {"skill": self.event.skill}
        return {"windows": self.windows, "horizon": self.horizon, "energy": self.energy,
                "totals": {f"{level:g}": {"covers": share, "ends_added_up": self.ends[level]}
                           for level, share in self.covered.items()}} | (
                    {} if event is None else {"event": event}) | (
                    {} if self.groups is None else {"groups": self.groups.to_dict()})

    def words(self) -> list[str]:
        """What of it people want to know."""
        bands = ", ".join(f"the {level:g} % band {share:.0%} (ends added up {self.ends[level]:.0%})"
                          for level, share in self.covered.items())
        totals, steps = counted(self.windows, "total"), counted(self.horizon, "step")
        lines = [f"totals        of {totals} over {steps}, covered: {bands}",
                 f"paths         energy score {self.energy[OWN]:.4g} (smaller is better); if steps were independent "
                 f"{self.energy[APART]:.4g}, if they hung together as in most data {self.energy[STEADY]:.4g}"]
        if self.event is not None:
            e = self.event
            lines.append(f'event         "{e.event}" happened in {e.rate:.0%}: Brier {e.brier:.4g}, by its rate in the '
                         f"past {e.brier_of_past:.4g}" + (f" ({e.skill:+.0%})" if e.skill == e.skill else ""))
        return lines if self.groups is None else [*lines, *self.groups.words()]


def joint_scores(frame: pd.DataFrame, predictor: Predictor, known: Panel, event: str | None = None
                 ) -> JointScores | None:
    """Of one forecaster's rows in a backtest frame; `known` is the panel before the first cutoff. None where no window
    has a truth at each step."""
    horizon, levels = predictor.plan.horizon, predictor.config.model.levels
    cases = Cases.of(frame, levels, horizon)
    unit = seasonal_scale(known.truth, known.first, known.stop, predictor.plan.season)
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)[cases.series]
    ways = {OWN: predictor.dependence, STEADY: Dependence.usual(), APART: _apart()}
    energy: dict[str, list[Floats]] = {name: [] for name in ways}
    covered: dict[float, list[Bools]] = {level: [] for level in levels}
    chances: list[Floats] = []
    size = max(1, AT_ONCE // (PATHS * horizon))
    for begin in range(0, len(cases), size):
        some = cases.take(np.arange(begin, min(begin + size, len(cases))))
        drawn = {name: drawn_at(some, way, known, negative=predictor.config.model.allow_negative)
                 for name, way in ways.items()}
        for name, those in drawn.items():
            energy[name].append(energy_score(those, some.truth))
        for level in levels:
            covered[level].append(total_covered(drawn[OWN], some.truth, level))
        if event is not None:
            chances.append(event_of(event, horizon).on(drawn[OWN]).mean(axis=1))
    if not len(cases):
        return None
    shares = {level: float(np.concatenate(parts).mean()) for level, parts in covered.items()}
    ends = {level: float(cases.ends_added_up(level).mean()) for level in levels}
    found = JointScores(len(cases), horizon, shares, ends, _mean_over(energy, unit))
    return found if event is None else replace(found, event=_event_score(event, np.concatenate(chances), cases, known))


def _apart() -> Dependence:
    """Of steps that have nothing to do with each other."""
    return Dependence(np.empty((0, 0)), 1.0, 0.0, 0.0, 0.0)


def _mean_over(energy: Mapping[str, list[Floats]], unit: Floats) -> dict[str, float]:
    """Means in the usual error of each series; over those that have one, where any has."""
    unit = unit if np.isfinite(unit).any() else np.ones_like(unit)
    return {name: float(np.nanmean(np.concatenate(parts) / unit)) for name, parts in energy.items()}


def drawn_at(cases: Cases, dependence: Dependence, known: Panel, *, negative: bool, count: int = PATHS) -> Floats:
    """Paths (W, N, H) of windows, each with luck of its own."""
    names = [f"{s}:{c}" for s, c in zip(cases.series.tolist(), cases.cutoff.tolist(), strict=True)]
    drawn = paths(dependence, cases.values, cases.quantiles, count=count, ids=names)
    history = History.of(known.take(cases.series))
    return kept(drawn.swapaxes(1, 2), history, negative=negative).swapaxes(1, 2)


def _event_score(event: str, chance: Floats, cases: Cases, known: Panel) -> EventScore:
    what, horizon = event_of(event), cases.truth.shape[1]
    happened = what.on(cases.truth[:, None])[:, 0]
    rates = {s: _rate(event, known.take(np.array([s])), horizon) for s in np.unique(cases.series).tolist()}
    pooled = float(np.nanmean(list(rates.values()))) if np.isfinite(list(rates.values())).any() else 0.5
    past = np.array([rates[s] if np.isfinite(rates[s]) else pooled for s in cases.series.tolist()])
    return EventScore(event, float(happened.mean()), brier(chance, happened), brier(past, happened),
                      reliability(chance, happened))


def _rate(event: str, series: Panel, horizon: int) -> float:
    """How often it happened in all stretches of so many steps of one series, NaN where there is none."""
    values = series.truth[series.first[0]:series.stop[0]]
    if len(values) < horizon:
        return float("nan")
    stretches = np.lib.stride_tricks.sliding_window_view(values, horizon)
    whole: Ints = np.flatnonzero(~np.isnan(stretches).any(axis=1))
    return float(event_of(event).on(stretches[whole][:, None])[:, 0].mean()) if whole.size else float("nan")
