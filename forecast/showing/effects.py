"""Effects of covariates: as plain values, in sentences, and in a picture of bars, step by step."""

# H horizon

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forecast.explaining.effects import Effect
from forecast.reading.beside import shown
from forecast.series.windows import evenly
from forecast.showing.ink import FAN, INK, blank, plain, save
from forecast.showing.tables import number
from forecast.text import safe

DRAWN = 8                                                               # of the strongest columns
DATED = 5                                                               # steps whose times are written


def described(effects: Sequence[Effect], times: Sequence[str]) -> list[dict[str, Any]]:
    """One entry a column, the strongest first; times (H,) of the steps, as the file writes them."""
    return [{"column": effect.column.name, "role": effect.column.role, "neutral": _value(effect, effect.neutral),
             "mean_change": effect.size,
             "by_step": [{"time": time, "value": None if np.isnan(value) else _value(effect, value), "moved": moved}
                         for time, value, moved in _steps(effect, times)]}
            for effect in effects]


def _steps(effect: Effect, times: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    return zip(times, effect.ahead.tolist(), effect.moved.tolist(), strict=True)


def _value(effect: Effect, value: float) -> Any:
    """As it stands in the file, or nearly: a word, on or off, a number."""
    if effect.column.words:
        return shown(effect.column, value)
    if effect.flag:
        return "on" if value else "off"
    return value


def lines_of(document: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """A line a column: how far it moves the forecast, and where most."""
    for entry in document:
        if not entry["mean_change"]:
            usual = all(step["value"] == entry["neutral"] for step in entry["by_step"])
            yield "moved by", f"{safe(entry['column'])}: not at all" + (
                f" ({_said(entry['neutral'])} at every step, as usual)" if usual else "")
            continue
        most = max(entry["by_step"], key=lambda step: abs(step["moved"]))
        steps = [step["moved"] for step in entry["by_step"]]
        neutral, value = _said(entry["neutral"]), most["value"]
        what = f"beside {neutral} all along" if value is None else "by what stands at the steps around" \
            if value == entry["neutral"] else f"{_said(value)} in place of {neutral}"
        yield "moved by", (f"{safe(entry['column'])}: {_signed(sum(steps) / len(steps))} a step on average, most "
                           f"{_signed(most['moved'])} at {most['time']} ({what})")


def _said(value: Any) -> str:
    return safe(value) if isinstance(value, str) else number(value)


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def draw(path: Path, document: Sequence[dict[str, Any]], *, title: str, target: str) -> None:
    """A row of bars a column, what it moved at each step, in units of the target, over the times of the steps. Raises
    DiskError."""
    some = document[:DRAWN]
    figure = blank(9, 1 + 1.2 * len(some))
    axes = figure.subplots(len(some), 1, sharex=True, squeeze=False)[:, 0]
    for axis, entry in zip(axes, some, strict=True):
        moved = [step["moved"] for step in entry["by_step"]]
        axis.bar(range(1, len(moved) + 1), moved, color=[INK if m >= 0 else FAN for m in moved])
        axis.axhline(0, color="black", linewidth=0.5)
        axis.set_title(plain(f"{entry['column']}, against {_said(entry['neutral'])}"), loc="left", fontsize=9)
    times = [step["time"] for step in some[0]["by_step"]]
    marked = evenly(len(times), DATED)
    axes[-1].set_xticks(marked + 1, [plain(times[k]) for k in marked], fontsize=8)
    figure.supylabel(plain(f"{target}, more or less because of it"), fontsize=9)
    figure.suptitle(plain(title), fontsize=10)
    save(figure, path)
