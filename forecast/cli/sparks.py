"""The first series of a forecast as bars at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.tasks.predict import Predicted

SPARK = 40                                                              # bars of history beside a forecast


def spark(console: Console, predicted: Predicted, most: int = 3) -> None:
    """The first series as bars: their past | their forecast, and the sum of the forecast."""
    if console.session.json or not console.terminal:
        return
    from forecast.showing.tables import number
    from forecast.text import shorten, sparkline

    forecast, page = predicted.first, predicted.page
    for s in range(min(most, len(forecast.panel))):
        bars = sparkline((past := forecast.panel.values(s)[-SPARK:].tolist()) + forecast.point[s].tolist())
        name = shorten(str(forecast.panel.ids[s]) if page.contract.id else page.contract.targets[0], 10)
        low, high = forecast.band(page.levels[0])
        console.say(name, f"{bars[:len(past)]}|{bars[len(past):]}   next {number(forecast.point[s][0])} "
                          f"({page.levels[0]:g}%: {number(low[s][0])} .. {number(high[s][0])})")
