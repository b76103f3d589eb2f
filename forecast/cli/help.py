"""forecast help: the handbook."""

from __future__ import annotations

from typing import Annotated

import typer

from forecast.cli.options import Session, command


@command(sets="none")
def help(
    session: Session,
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", show_default=False,
                                                help="a page of the handbook; by default their list")] = None,
) -> None:
    """Show the handbook: the list of its pages, or one of them.

    At a terminal a topic is shown through PAGER, or else less -R."""
    from forecast.cli import COMMANDS
    from forecast.cli.console import Console
    from forecast.cli.pages import columns, rendered, show
    from forecast.tasks.help import TOPICS, known, page_of

    console = Console(session)
    if topic is None:
        pages = [page_of(name, flags_of) for name in TOPICS]
        for page in pages:
            console.result(f"{page.name:<12} {page.summary}", fold=13)
        console.say("next", "forecast help TOPIC; forecast COMMAND --help for the options of a command")
        console.document({"topics": [{"name": p.name, "title": p.title, "summary": p.summary} for p in pages]})
        return
    page = page_of(known(topic, [row.name for row in COMMANDS]), flags_of)
    console.document(page._asdict())
    if not (session.json or session.quiet):
        show(rendered(page.text, width=columns(), styled=session.color and console.width is not None))


def flags_of(key: str) -> tuple[str, ...]:
    """The flags that some command has for a setting."""
    from forecast.cli.evaluate import BACKTEST
    from forecast.cli.options import MODEL, READING, options_of

    if key not in (*READING, *MODEL, *BACKTEST, "train.final_fit"):
        return ()
    return tuple(str(option.default) for _, _, option in options_of(key).values())    # where typer keeps its name
