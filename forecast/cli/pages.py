"""Pages: Markdown as text that a terminal shows, and the pager that shows it."""

from __future__ import annotations

import re
from typing import ClassVar

NARROWEST, WIDEST = 30, 100                                             # columns that are read with ease
PAGER = "less -R"


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


def columns() -> int:
    """Columns of the terminal, or COLUMNS, or 80; within what can be read."""
    import shutil

    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)


def show(text: str) -> None:
    """To standard output; through a pager where somebody sits before it."""
    import os
    import subprocess
    import sys

    from forecast.cli.streams import write_out

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
