"""The handbook: Markdown files in forecast/help/; tables that the code knows are filled in."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import ClassVar, NamedTuple

TOPICS = ("reading", "output", "many-series", "cron", "store", "ledger", "promotion", "metrics", "model", "cells",
          "explain", "benchmarks", "settings", "exit-codes", "decisions", "development", "house")    # in reading order


class Topic(NamedTuple):
    """One page: its name, its title, what it is for in a sentence, and all of it as Markdown."""

    name: str
    title: str
    summary: str
    text: str


def page_of(name: str) -> Topic:
    """A topic, its tables filled in from the code."""
    text = resources.files("forecast").joinpath("help", f"{name}.md").read_text(encoding="utf-8")
    for mark, table in TABLES.items():
        text = text.replace(f"<!-- {mark} -->", table()) if f"<!-- {mark} -->" in text else text
    title, summary, *_ = text.split("\n\n")
    return Topic(name, title.removeprefix("# "), summary.replace("\n", " "), text)


def settings_list() -> str:
    """Every setting of config.py as Markdown: a section for each of its groups, a line for each setting."""
    from dataclasses import fields

    from forecast.config import SETTINGS, Config

    lines: list[str] = []
    for group in fields(Config):
        lines += [f"### {group.name}", "", type(group.default).__doc__ or "", ""]
        lines += [_setting_line(key) for key in SETTINGS if key.startswith(f"{group.name}.")] + [""]
    return "\n".join(lines).rstrip()


def _setting_line(key: str) -> str:
    from forecast.config import SETTINGS

    setting = SETTINGS[key]
    flags = " ".join(f"`{flag}`" for flag in flags_of(key))
    values = setting.default if setting.is_tuple and setting.default else (setting.default,)
    said = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    default = "" if setting.default is None else f" Default: {said.lower()}."
    takes = " or ".join((", ".join(setting.choices[:-1]), setting.choices[-1])) if setting.choices else setting.takes
    takes = "" if takes == "text" else f" Takes {takes}."
    return f"- **{key}**{f' ({flags})' if flags else ''}: {setting.meaning}.{takes}{default}"


def flags_of(key: str) -> tuple[str, ...]:
    """The flags that some command has for a setting."""
    from forecast.cli.evaluate import BACKTEST
    from forecast.cli.options import MODEL, READING, options_of

    if key not in (*READING, *MODEL, *BACKTEST, "train.final_fit"):
        return ()
    return tuple(str(option.default) for _, _, option in options_of(key).values())    # where typer keeps its name


def codes_table() -> str:
    """The exit codes of errors.py as a Markdown table."""
    from forecast.errors import EXIT_CODES

    rows = [f"| {code} | {meaning} | {remedy} |" for code, (meaning, remedy) in EXIT_CODES.items()]
    return "\n".join(["| code | meaning | what to do |", "|---|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {"settings": settings_list, "exit-codes": codes_table}


def rendered(text: str, *, width: int, styled: bool) -> str:
    """Markdown as plain text of this many columns; `styled` adds bold and italic, never a colour."""
    import io

    from rich import markdown
    from rich.console import Console as RichConsole
    from rich.console import RenderResult
    from rich.padding import Padding
    from rich.text import Text

    class Heading(markdown.Heading):
        def __rich_console__(self, console: object, options: object) -> RenderResult:
            yield Text(self.text.plain, style="bold")
            yield Text({"h1": "=", "h2": "-"}.get(self.tag, "~") * self.text.cell_len)

    class Code(markdown.CodeBlock):
        def __rich_console__(self, console: object, options: object) -> RenderResult:
            yield Padding(Text(str(self.text).rstrip()), (0, 0, 0, 2))

    class Page(markdown.Markdown):
        elements: ClassVar = {**markdown.Markdown.elements, "heading_open": Heading, "fence": Code}

    written = io.StringIO()
    console = RichConsole(file=written, width=width, no_color=True, force_terminal=styled, highlight=False)
    console.print(Page(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text), hyperlinks=False))
    lines = "\n".join(line.rstrip() for line in written.getvalue().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"
