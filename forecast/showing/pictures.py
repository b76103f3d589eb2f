"""Pictures: forecasts, backtests and comparisons, readable at a glance; of many series a page of small multiples."""

# S series  H horizon  R seeds

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast
from forecast.series.panel import Panel
from forecast.showing.fans import FEWEST, Fan, Said, before_of, fan_of, joined, past_of
from forecast.showing.ink import BEFORE, FAN, INK, PALE, blank, dated, plain, save
from forecast.text import shorten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from forecast.scoring.backtest import Scores
    from forecast.training.comparison import Contender

MOST = 12                                                               # series on a page
HALF = MOST // 2
LARGEST, UNSURE, WORST = "largest", "least sure", "worst"


@dataclass
class Gallery:
    """Which series of a forecast that is made part by part are drawn: all where they are few, or were named; else the
    largest, and those whose band is widest for what the series itself usually varies."""

    levels: Sequence[float]
    names: bool                         # whether series have names
    keeps_order: bool = False           # the first ones, as they were named
    seen: int = 0
    _first: list[Fan] = field(default_factory=list)
    _large: list[tuple[float, int, Fan]] = field(default_factory=list)
    _unsure: list[tuple[float, int, Fan]] = field(default_factory=list)

    def add(self, part: Forecast) -> None:
        """The next series, in the order of the file."""
        sizes, doubts = _sizes(part), _doubts(part, self.levels)
        for kept, by in ((self._large, sizes), (self._unsure, doubts)):
            best = np.argsort(-by, kind="stable")[:MOST].tolist()
            kept += [(float(by[s]), -(self.seen + s), self._fan(part, s)) for s in best]
            kept.sort(key=lambda entry: entry[:2], reverse=True)
            del kept[MOST:]
        self._first += [self._fan(part, s) for s in range(min(len(part.panel), MOST - len(self._first)))]
        self.seen += len(part.panel)

    def _fan(self, part: Forecast, s: int) -> Fan:
        return fan_of(part, s, self.levels, name=str(part.panel.ids[s]) if self.names else "")

    @property
    def fans(self) -> list[Fan]:
        """Those to be drawn."""
        if self.keeps_order or self.seen <= MOST:
            return self._first
        return both(self._large, self._unsure, UNSURE)


def both(large: Sequence[tuple[float, int, Fan]], others: Sequence[tuple[float, int, Fan]], word: str) -> list[Fan]:
    """Half a page of the largest, and half of others that are not among them. Entries: (by, minus position, fan)."""
    top = large[:HALF]
    rest = [entry for entry in others if entry[1] not in {e[1] for e in top}][:HALF]
    return [replace(fan, note=LARGEST) for _, _, fan in top] + [replace(fan, note=word) for _, _, fan in rest]


def _sizes(part: Forecast) -> Any:
    with np.errstate(all="ignore"):
        return np.nan_to_num(np.abs(part.point).mean(axis=1), nan=-1.0)


def _doubts(part: Forecast, levels: Sequence[float]) -> Any:
    """The mean width of the first band, over what the recent past of the series varies (S,)."""
    if not levels:
        return np.zeros(len(part.panel))
    low, high = part.band(levels[0])
    recent = part.panel.recent(6 * part.horizon)
    usual = np.array([np.nanstd(v) if np.isfinite(v := recent.values(s)).any() else np.nan for s in range(len(recent))])
    with np.errstate(all="ignore"):
        return np.nan_to_num((high - low).mean(axis=1) / np.where(usual > 0, usual, np.nan), nan=-1.0, posinf=-1.0)


def draw_fans(path: Path, fans: Sequence[Fan], calendar: Calendar, *, title: str, of: int,
              steps: Scores | None = None) -> None:
    """A panel a series: its recent past, its forecast in bands, and what was forecast before; and one of the error by
    step, where scores are given. `of`: how many series there are. Raises DiskError."""
    panels = len(fans) + (steps is not None)
    columns = 1 if panels < 3 else 2 if panels <= 6 else 3
    rows = -(-panels // columns)
    figure = blank({1: 10, 2: 14, 3: 17}[columns], 1 + (3.4 if columns < 3 else 2.7) * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis, fan in zip(axes, fans, strict=False):
        _draw_fan(axis, fan, calendar)
    if steps is not None:
        _draw_steps(axes[len(fans)], steps)
    for axis in axes[panels:]:
        axis.set_visible(False)
    handles = {label: handle for axis in axes[:len(fans)] for handle, label in
               zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=len(handles), frameon=False)
    figure.suptitle(plain(title) + (f"   ({_which(fans)} of {of:,} series)" if len(fans) < of else ""), x=0.01,
                    ha="left")
    save(figure, path)


def _which(fans: Sequence[Fan]) -> str:
    counts = {note: sum(f.note == note for f in fans) for note in dict.fromkeys(f.note for f in fans)}
    return ", ".join(f"the {count} {note}" if note else f"the first {count}" for note, count in counts.items())


def _draw_fan(axis: Axes, fan: Fan, calendar: Calendar) -> None:
    def times(ordinals: Any) -> Any:
        return calendar.times(np.asarray(ordinals))

    axis.plot(times(fan.ordinals), fan.y, color=INK, linewidth=1.2, label="known",
              marker="o" if len(fan.y) == 1 else None)
    for said in fan.before:
        _draw_said(axis, said, times(said.ordinals), BEFORE, "forecast of the past", most=1)
    if fan.ahead is not None:
        ahead = joined(fan, fan.ahead)
        _draw_said(axis, ahead, times(ahead.ordinals), FAN, "forecast", most=4, alone=len(fan.ahead.point) == 1)
        axis.axvline(times(fan.ordinals[-1:])[0], color="0.5", linewidth=0.8, linestyle=":")
    head = " · ".join(part for part in (shorten(fan.name, 50), fan.note) if part)
    axis.set_title(plain(head), loc="left", fontsize=10)
    if calendar.is_time:
        dated(axis)
    _plainly(axis)


def _draw_said(axis: Axes, said: Said, times: Any, colour: str, label: str, *, most: int, alone: bool = False) -> None:
    """A forecast as a line within its bands, the narrowest band the darkest. alone: of one step, marked by a dot."""
    for level in sorted(said.bands, reverse=True)[-most:]:
        widest = level == max(said.bands) and len(said.bands) > 1 and most > 1
        axis.fill_between(times, *said.bands[level], color=colour, alpha=0.18 if widest or most == 1 else 0.35,
                          linewidth=0, label=f"{level:g} % band" if most > 1 else f"its {level:g} % band")
    axis.plot(times, said.point, color=colour, linewidth=1.8 if most > 1 else 1.2, linestyle="-" if most > 1 else "--",
              label=label, marker="o" if alone or len(said.point) == 1 else None, markevery=[-1])


def _draw_steps(axis: Axes, scores: Scores) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, colour, style in ((scores.name, FAN, "o-"), (scores.reference_name, PALE, "s--")):
        part = scores.by_step[scores.by_step["model"] == name]
        axis.plot(part["step"], part["mae"], style, color=colour, linewidth=1.6, markersize=3,
                  label=name.replace("_", " "))
    axis.legend(frameon=False, fontsize=9)
    axis.set_title("mean absolute error by step ahead", loc="left", fontsize=10)
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _plainly(axis)


def _plainly(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.25)
    axis.margins(x=0.01)
    axis.yaxis.set_major_formatter(lambda value, place: f"{value:,.10g}")


def draw_backtest(path: Path, frame: pd.DataFrame, panel: Panel, scores: Scores, *, has_names: bool,
                  title: str) -> None:
    """Past forecasts over the truth, of the forecaster that is scored: all series where they are few, else the largest
    and those with the largest MASE (MAE where there is none); and the error by step. Raises DiskError."""
    own = frame if frame["model"].nunique() == 1 else frame[frame["model"].isin(_models_of(frame, scores))]
    table = scores.per_series[scores.per_series["model"] == scores.name].set_index("series")
    scored = table.index.to_numpy()
    if len(scored) < MOST:
        chosen = {int(s): "" for s in scored}
    else:
        by = "mase" if table["mase"].notna().any() else "mae"
        large = own.groupby("series")["y"].apply(lambda y: y.abs().mean()).sort_values(ascending=False).index[:HALF]
        worst = [s for s in table[by].sort_values(ascending=False, kind="stable").index if s not in set(large)]
        chosen = {int(s): WORST for s in worst[:HALF - 1]} | {int(s): LARGEST for s in large}
    before = before_of(own[own["series"].isin(chosen)], scores.levels[:1])
    fans = []
    for s, note in chosen.items():
        first = int(before[s][0].ordinals[0])
        points = max(FEWEST, 3 * (int(panel.end[s]) - first))
        ordinals, y, filled = past_of(panel, s, points)
        fans.append(Fan(str(panel.ids[s]) if has_names else "", ordinals, y, None, before[s], filled, note))
    draw_fans(path, fans, panel.calendar, title=title, of=len(scored), steps=scores)


def _models_of(frame: pd.DataFrame, scores: Scores) -> list[str]:
    """The rows of the one that is scored; what was issued is told by run, and all of it is."""
    names = set(frame["model"].astype(str))
    return [scores.name] if scores.name in names else sorted(names)


def draw_comparison(path: Path, ranking: Sequence[Contender], references: Mapping[str, Mapping[str, float]], *,
                    metric: str, season: int, title: str) -> None:
    """A row a cell: a dot a seed, the mean, and the standard deviation; upright lines for what stands beside them.
    Raises DiskError."""
    figure = blank(10, 1.8 + 0.5 * len(ranking))
    axis = figure.subplots()
    for row, contender in enumerate(ranking):
        values, mean, deviation = contender.values(metric), contender.mean(metric), contender.deviation(metric)
        axis.plot(values, np.full(len(values), row), "o", color=INK, alpha=0.45, markersize=6,
                  label="a seed" if row == 0 else None)
        axis.errorbar(mean, row, xerr=None if math.isnan(deviation) else deviation, fmt="D", color=FAN, markersize=7,
                      capsize=4, label="mean ± standard deviation" if row == 0 else None)
    for (name, scores), colour, style in zip(references.items(), (PALE, BEFORE, "0.4", "0.6"), ("--", "-.", ":", "-"),
                                             strict=False):
        if math.isfinite(scores[metric]):
            axis.axvline(scores[metric], color=colour, linestyle=style, linewidth=1.5, label=name.replace("_", " "))
    axis.set_yticks(range(len(ranking)), [plain(c.cell) for c in ranking])
    axis.set_ylim(len(ranking) - 0.5, -0.5)
    axis.set_xlabel(f"MASE (m={season}), less is better" if metric == "mase" else "MAE, less is better")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside lower left", ncols=5, frameon=False)
    figure.suptitle(plain(title), x=0.01, ha="left")
    save(figure, path)
