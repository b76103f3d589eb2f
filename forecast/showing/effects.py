"""Effects of covariates: as plain values, in sentences, and in a picture of bars, step by step."""

# H horizon

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forecast.explaining.effects import Effect
from forecast.reading.beside import shown
from forecast.showing.ink import FAN, INK, blank, plain, save
from forecast.showing.tables import number
from forecast.text import listed, safe, shorten

DRAWN = 8                                                               # of the strongest columns
LETTERS = 110                                                           # that have room below the bars


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
    """A row of bars a column, what it moved at each step, all in units of the target and on one scale; columns that
    moved nothing are named. Raises DiskError."""
    moving = [entry for entry in document if entry["mean_change"]][:DRAWN]
    still = [safe(entry["column"]) for entry in document if not entry["mean_change"]]
    figure = blank(10, 1.4 + 1.3 * max(1, len(moving)))
    axes = figure.subplots(max(1, len(moving)), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axis, entry in zip(axes, moving, strict=False):
        moved = [step["moved"] for step in entry["by_step"]]
        axis.bar(range(len(moved)), moved, color=[INK if m >= 0 else FAN for m in moved])
        axis.axhline(0, color="black", linewidth=0.7)
        axis.set_title(plain(f"{entry['column']}, {_signed(sum(moved) / len(moved))} on average"), loc="left",
                       fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.25)
    if moving:
        times = [safe(step["time"]) for step in moving[0]["by_step"]]
        at = list(range(0, len(times), max(1, -(-len(times) * (max(map(len, times)) + 2) // LETTERS))))
        axes[-1].set_xticks(at, [times[k] for k in at])
        figure.supylabel(plain(shorten(f"moves {target} by", 40)), fontsize=10)
    else:
        axes[0].axis("off")
    said = "\n" + plain(f"moves nothing: {listed(still)}") if still else ""
    figure.suptitle(plain(title) + said, x=0.01, ha="left", fontsize=11)
    save(figure, path)
