"""forecast help: the handbook, Markdown files in forecast/help/; tables that the code knows are filled in."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import Annotated, Any, ClassVar, NamedTuple

import typer

from forecast.cli.options import Session, command

TOPICS = ("reading", "output", "many-series", "cron", "store", "ledger", "promotion", "metrics", "model", "cells",
          "explain", "benchmarks", "settings", "exit-codes", "decisions", "development", "house")    # in reading order
WIDEST = 100                                                            # columns that are read with ease
PAGER = "less -R"


class Topic(NamedTuple):
    """One page: its name, its title, what it is for in a sentence, and all of it as Markdown."""

    name: str
    title: str
    summary: str
    text: str


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "help")(show_help)


def show_help(
    session: Session,
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", show_default=False,
                                                help="a page of the handbook; by default their list")] = None,
) -> None:
    """Show the handbook: the list of its topics, or one of them.

    At a terminal a topic is shown through PAGER, or else less -R."""
    from forecast.cli.console import Console

    console = Console(session)
    if topic is None:
        pages = [page_of(name) for name in TOPICS]
        for page in pages:
            console.result(f"{page.name:<12} {page.summary}", fold=13)
        console.say("next", "forecast help TOPIC; forecast COMMAND --help for the options of a command")
        console.document({"topics": [{"name": p.name, "title": p.title, "summary": p.summary} for p in pages]})
        return
    page = page_of(_known(topic))
    console.document(page._asdict())
    if not (session.json or session.quiet):
        _show(rendered(page.text, width=_width(), styled=session.color and console.width is not None))


def page_of(name: str) -> Topic:
    """A topic, its tables filled in from the code."""
    text = resources.files("forecast").joinpath("help", f"{name}.md").read_text(encoding="utf-8")
    for mark, table in TABLES.items():
        text = text.replace(f"<!-- {mark} -->", table()) if f"<!-- {mark} -->" in text else text
    title, summary, *_ = text.split("\n\n")
    return Topic(name, title.removeprefix("# "), summary.replace("\n", " "), text)


def _known(topic: str) -> str:
    """The name of a topic. Raises RequestError with the nearest names where there is none."""
    import difflib

    from forecast.errors import RequestError

    name = topic.lower().removesuffix(".md").replace("_", "-")
    if name in TOPICS:
        return name
    if name in _commands():
        raise RequestError(f"there is no topic {name!r}", code="no_topic",
                           hint=f"Its options: forecast {name} --help. Topics: forecast help")
    close = difflib.get_close_matches(name, TOPICS, n=3) or [t for t in TOPICS if name[:3] == t[:3]]
    raise RequestError(f"there is no topic {topic[:40]!r}", code="no_topic",
                       hint=f"Did you mean {' or '.join(close)}?" if close else f"Topics: {', '.join(TOPICS)}")


def _commands() -> list[str]:
    from forecast.cli import app

    program: Any = typer.main.get_command(app)
    names: list[str] = program.list_commands(None)
    return names


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


def _width() -> int:
    """Columns of the terminal, or COLUMNS, or 80; within what can be read."""
    import shutil

    from forecast.cli.console import NARROW

    return min(max(shutil.get_terminal_size().columns, NARROW), WIDEST)


def _show(text: str) -> None:
    """To standard output; through a pager where somebody sits before it."""
    import os
    import subprocess
    import sys

    from forecast.cli.console import write_out

    pager = os.environ.get("PAGER") or PAGER
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        return write_out(text)
    import signal

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)               # Ctrl-C is the pager's
    try:
        ended = subprocess.run(pager, shell=True, input=text.encode(), check=False)
    finally:
        signal.signal(signal.SIGINT, before)
    if ended.returncode in (126, 127):                                  # the shell found no such program
        write_out(text)
