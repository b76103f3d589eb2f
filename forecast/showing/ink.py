"""Ink: what all pictures share: their colours, which the colour-blind tell apart, their endings, and how they are kept.

matplotlib is imported by who draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import RequestError
from forecast.system.files import replacing
from forecast.text import safe

if TYPE_CHECKING:
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
    dated = {"Date": None} if kind == "svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "forecast", "svg.fonttype": "path"}), replacing(path) as file:
        figure.savefig(file, format=kind, dpi=dpi, metadata=dated)


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: no control characters, no $math$."""
    return safe(text).replace("$", r"\$")


def blank(width: float, height: float) -> Figure:
    """A figure without a window, in inches."""
    import logging

    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.ERROR)             # without a HOME it warns of its cache
    return Figure(figsize=(width, height), layout="constrained")
