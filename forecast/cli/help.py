"""forecast help: the handbook at a terminal, in a pipe, and for a program."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli import COMMANDS
from forecast.cli.handbook import TOPICS, page_of, rendered
from forecast.cli.options import Session, command

WIDEST = 100                                                            # columns that are read with ease
PAGER = "less -R"


@command()
def help(
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


def _known(topic: str) -> str:
    """The name of a topic. Raises RequestError with the nearest names where there is none."""
    import difflib

    from forecast.errors import RequestError

    name = topic.lower().removesuffix(".md").replace("_", "-")
    if name in TOPICS:
        return name
    if name in [row.name for row in COMMANDS]:
        raise RequestError(f"there is no topic {name!r}", code="no_topic",
                           hint=f"Its options: forecast {name} --help. Topics: forecast help")
    close = difflib.get_close_matches(name, TOPICS, n=3) or [t for t in TOPICS if name[:3] == t[:3]]
    raise RequestError(f"there is no topic {topic[:40]!r}", code="no_topic",
                       hint=f"Did you mean {' or '.join(close)}?" if close else f"Topics: {', '.join(TOPICS)}")


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
