"""Completion: what a shell offers behind TAB where typer does not know: columns of the file given, runs, choices.
Nothing heavy is loaded for it, and what cannot be read offers nothing. Paths are the shell's own business."""

from __future__ import annotations

import csv
import gzip
import os
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from forecast.errors import ForecastError, RequestError

COLUMNS = ("data_id", "data_time", "data_target", "data_known", "data_past", "data_static")
RUNS = ("model", "run", "origin")
SHELLS = ("bash", "zsh", "fish")
HEAD = 65_536                                                           # bytes of a file that are looked at
CHOICES = re.compile(r"\[?([\w-]+(?:\|[\w-]+)+)")


class Item(NamedTuple):
    """What is offered, as typer's shells take it."""

    value: str
    help: str | None = None
    type: str = "plain"


def offered(param: Any, usual: Callable[..., list[Any]], ctx: Any, incomplete: str) -> list[Any]:
    """What may stand in the place of a parameter; where we know of nothing, what typer has."""
    kept, begun = "", incomplete
    if param.name in COLUMNS or "," in incomplete:                      # a list: its last word is completed
        kept, _, begun = incomplete.rpartition(",")
        kept += "," if kept or incomplete.startswith(",") else ""
    try:
        words = _words(param, ctx)
    except (OSError, ForecastError, csv.Error, EOFError):
        words = []
    found = [kept + word for word in dict.fromkeys(words) if word.startswith(begun)]
    quoted = os.environ.get("_FORECAST_COMPLETE", "").endswith("bash")
    return [Item(shlex.quote(word) if quoted else word) for word in found] or usual(ctx, incomplete)


def _words(param: Any, ctx: Any) -> Iterable[str]:
    folder = Path(_given(ctx, "directory") or ".")
    if param.name in COLUMNS:
        given = (folder / name for name in (ctx.params.get("data"), *ctx.args) if isinstance(name, str))
        return next((found for path in given if (found := headers(path))), [])
    if param.name in RUNS:
        from forecast.tasks.workspace import Workspace

        store = Workspace.at(folder, store=_given(ctx, "store")).store
        names = [name for run in store.ids() if (name := store.record(run).name)]
        return ["live", *reversed(store.ids()), *names]
    if param.name == "topic":
        from forecast.tasks.help import TOPICS

        return TOPICS
    chosen = CHOICES.match(param.metavar or "")
    return chosen[1].split("|") if chosen and chosen[1].islower() else []


def _given(ctx: Any, name: str) -> Any:
    """A global option, behind the command or before it."""
    return ctx.params.get(name) or (ctx.parent.params.get(name) if ctx.parent else None)


def headers(path: Path) -> list[str]:
    """The cells of the first line of a text file, parted by what stands in it most often. Raises OSError."""
    if not path.is_file():
        return []
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        text = file.read(HEAD).decode("utf-8-sig", "replace")
    line = next((line for line in text.splitlines() if line.strip()), "")
    if "\x00" in line or "�" in line or not line.replace("\t", "").isprintable():
        return []
    delimiter = max(",;\t|", key=line.count)
    return [cell.strip() for row in csv.reader([line], delimiter=delimiter) for cell in row if cell.strip()]


def for_a_shell(callback: Callable[..., Any], ctx: Any, param: Any, value: Any) -> Any:
    """--install-completion and --show-completion, refused where the shell is none that is known."""
    if value and not ctx.resilient_parsing:
        import shellingham  # comes with typer

        try:
            shell = value if isinstance(value, str) else shellingham.detect_shell()[0].lower()
        except shellingham.ShellDetectionFailure:
            shell = "this"
        if shell not in SHELLS:
            raise RequestError(f"{param.opts[0]}: {shell} is no shell that completion is made for", code="no_shell",
                               hint=f"Run it in {', '.join(SHELLS)}")
    return callback(ctx, param, value)
