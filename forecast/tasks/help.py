"""help: the handbook, Markdown files in forecast/help/; tables that the code knows are filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import resources
from typing import NamedTuple

from forecast.config import SETTINGS
from forecast.errors import EXIT_CODES, RequestError

TOPICS = ("words", "reading", "files", "covariates", "output", "paths", "many-series", "cron", "report", "store",
          "ledger", "promotion", "metrics", "model", "prior", "cells", "tune", "explain", "python", "benchmarks",
          "settings", "exit-codes", "decisions", "development", "house")                            # in reading order
Flags = Callable[[str], Sequence[str]]                                   # setting -> flags that commands have for it


class Topic(NamedTuple):
    """One page: its name, its title, what it is for in a sentence, and all of it as Markdown."""

    name: str
    title: str
    summary: str
    text: str


def page_of(name: str, flags: Flags = lambda key: ()) -> Topic:
    """A topic, its tables filled in from the code."""
    text = resources.files("forecast").joinpath("help", f"{name}.md").read_text(encoding="utf-8")
    tables = {"settings": lambda: settings_list(flags), "exit-codes": codes_table}
    for mark, table in tables.items():
        text = text.replace(f"<!-- {mark} -->", table()) if f"<!-- {mark} -->" in text else text
    title, summary, *_ = text.split("\n\n")
    return Topic(name, title.removeprefix("# "), summary.replace("\n", " "), text)


def known(topic: str, commands: Sequence[str]) -> str:
    """The name of a topic. Raises RequestError with the nearest names where there is none."""
    name = topic.lower().removesuffix(".md").replace("_", "-")
    if name in TOPICS:
        return name
    if name in commands:
        raise RequestError(f"there is no topic {name!r}", code="no_topic",
                           hint=f"Its options: forecast {name} --help. Topics: forecast help")
    close = get_close_matches(name, TOPICS, n=3) or [t for t in TOPICS if name[:3] == t[:3]]
    raise RequestError(f"there is no topic {topic[:40]!r}", code="no_topic",
                       hint=f"Did you mean {' or '.join(close)}?" if close else f"Topics: {', '.join(TOPICS)}")


def settings_list(flags: Flags) -> str:
    """Every setting of config.py as Markdown: a section for each of its groups, a line for each setting."""
    from dataclasses import fields

    from forecast.config import Config

    lines: list[str] = []
    for group in fields(Config):
        lines += [f"### {group.name}", "", type(group.default).__doc__ or "", ""]
        lines += [_setting_line(key, flags(key)) for key in SETTINGS if key.startswith(f"{group.name}.")] + [""]
    return "\n".join(lines).rstrip()


def _setting_line(key: str, names: Sequence[str]) -> str:
    setting = SETTINGS[key]
    flags = " ".join(f"`{flag}`" for flag in names)
    values = setting.default if setting.is_tuple and setting.default else (setting.default,)
    said = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    default = "" if setting.default is None else f" Default: {said.lower()}."
    takes = " or ".join((", ".join(setting.choices[:-1]), setting.choices[-1])) if setting.choices else setting.takes
    takes = "" if takes == "text" else f" Takes {takes}."
    return f"- **{key}**{f' ({flags})' if flags else ''}: {setting.meaning}.{takes}{default}"


def codes_table() -> str:
    """The exit codes of errors.py as a Markdown table."""
    rows = [f"| {code} | {meaning} | {remedy} |" for code, (meaning, remedy) in EXIT_CODES.items()]
    return "\n".join(["| code | meaning | what to do |", "|---|---|---|", *rows])
