"""The page: one HTML file that needs nothing else, from facts that were settled elsewhere.

The template escapes whatever it is given. What is not escaped is ours: styles, scripts, drawings, and the block of
numbers, in which no markup can stand. The page's own policy lets nothing else run, and nothing be fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from forecast.reporting.drawing import Drawing
from forecast.text import safe

MARKS = {"good": "✓", "look": "!", "bad": "✗", "unknown": "?"}          # of the states of reasons
STYLES = ("uplot.min.css", "report.css")
SCRIPTS = ("uplot.min.js", "report.js")


@dataclass(frozen=True)
class Reason:
    """Why the page may be trusted or not. state: "good", "look" (a person should look), "bad", or "unknown"."""

    state: str
    label: str
    text: str

    @property
    def mark(self) -> str:
        """The state as one character."""
        return MARKS[self.state]


@dataclass(frozen=True)
class Table:
    """Headers and rows of text; the first column is text, the others are numbers, or `texts`, too. note: what a reader
    must know · folded: under this title until it is opened."""

    headers: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    note: str = ""
    texts: bool = False
    folded: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page below the first screen. empty: what is said in place of a part that has nothing to show."""

    name: str
    title: str
    nav: str                                                            # the same in a word or two
    lines: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    empty: str = ""


@dataclass(frozen=True)
class Sheet:
    """All that the page says."""

    title: str
    about: str                                                          # one line: what is forecast, after when
    made: str
    state: str                                                          # of the verdict, as in Reason
    verdict: str
    gist: str                                                           # one sentence of figures
    reasons: Sequence[Reason]
    changes: Sequence[str]                                              # since the last report
    figures: Sequence[tuple[str, str]]                                  # the few numbers people ask for
    worst: Sequence[Drawing]                                            # drawn without any script
    series: Table
    listed: str                                                         # which series are in the list
    order: str                                                          # and how they are ordered
    sections: Sequence[Section]
    block: str                                                          # of packing.py
    key: Sequence[tuple[str, str]] = field(default=())                  # of the chart


def render(sheet: Sheet) -> str:
    """The page as text. Raises jinja2.UndefinedError for a template that asks for what is not there: a bug."""
    styles, scripts = ([_asset(name) for name in names] for names in (STYLES, SCRIPTS))
    policy = ("default-src 'none'; script-src " + " ".join(map(_digest, scripts)) + "; style-src "
              + " ".join(map(_digest, styles)) + "; base-uri 'none'; form-action 'none'")
    return _templates().get_template("report.html").render(
        sheet=sheet, marks=MARKS, block=Markup(sheet.block), policy=policy,
        licence=escape(_asset("uplot.LICENSE").strip()), styles=list(map(Markup, styles)),
        scripts=list(map(Markup, scripts)))


def _asset(name: str) -> str:
    return resources.files("forecast").joinpath("reporting", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _templates() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(_asset), trim_blocks=True,
                       lstrip_blocks=True, finalize=_shown)


def _shown(value: Any) -> Any:
    """Text without characters that could turn or hide what stands beside it; markup of ours as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else safe(value)
