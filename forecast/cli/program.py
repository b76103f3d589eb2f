"""The program as typer sees it: the global options, and commands that are imported when they are called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from forecast.cli import COMMANDS
from forecast.cli.session import lightened, main_callback

HELP = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The rows of COMMANDS. Their names and help stand in `commands`; get_command imports the one that is meant."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {row.name: TyperCommand(row.name, help=row.help) for row in COMMANDS}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return getattr(import_module(f"forecast.cli.{cmd_name}"), cmd_name) if cmd_name in self.commands else None


def program() -> Any:
    """What `main(arguments)` runs."""
    app = typer.Typer(name="forecast", cls=Commands, rich_markup_mode=None, context_settings=HELP,
                      help="Forecast time series: read a CSV file, write the next values with bands.",
                      epilog="forecast COMMAND --help tells of a command; forecast help shows the handbook.")
    app.callback()(main_callback())
    return lightened(typer.main.get_command(app))
