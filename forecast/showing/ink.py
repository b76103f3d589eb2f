"""Ink: what all pictures share: their colours, which the colour-blind tell apart, their endings, and how they are kept.

matplotlib is imported by who draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import RequestError
from forecast.system.files import replacing
from forecast.text import safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAN, BEFORE, PALE = "#1f3b57", "#d9822b", "#00796b", "#8a6fb3"     # history, forecast, past forecast, simple one
ENDINGS = (".png", ".svg")


def check_picture(path: Path | str, flag: str = "--plot") -> None:
    """Raises RequestError for a name that is no picture's."""
    if not str(path).lower().endswith(ENDINGS):
        raise RequestError(f"{flag} {path}: a picture is written as .png or .svg", code="bad_ending")


def save(figure: Figure, path: Path, dpi: int = 120) -> None:
    """PNG or SVG by the ending, the same bytes for the same figure. Raises DiskError."""
    import matplotlib

    kind = path.suffix.lower()[1:]
    undated = {"Date": None} if kind == "svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "forecast", "svg.fonttype": "path"}), replacing(path) as file:
        figure.savefig(file, format=kind, dpi=dpi, metadata=undated)


DATES = {"formats": ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
         "zero_formats": ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
         "offset_formats": ["", "%Y", "%Y", "%Y", "%Y-%m-%d", "%Y-%m-%d %H:%M"]}   # a day is told with its month


def dated(axis: Axes) -> None:
    """Dates along an axis that do not collide; the year beside them where they do not say it."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=7)                               # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, **DATES))      # type: ignore[no-untyped-call]


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: no control characters, no $math$."""
    return safe(text).replace("$", r"\$")


def blank(width: float, height: float) -> Figure:
    """A figure without a window, in inches."""
    import logging

    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.ERROR)             # without a HOME it warns of its cache
    return Figure(figsize=(width, height), layout="constrained")
