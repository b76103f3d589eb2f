"""One call of the program: the global options, what they say of it, and how its options become values."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.streams import write_out

if TYPE_CHECKING:
    from forecast.system.engine import Engine
    from forecast.tasks.workspace import Workspace


@dataclass(frozen=True)
class Session:
    """One call of the program: where it works, and how it speaks."""

    workspace: Workspace
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = False
    engine: Engine | None = None


def global_options() -> dict[str, tuple[Any, Any]]:
    option, panel = typer.Option, "Global options"
    return {
        "directory": (str | None, option("-C", metavar="DIR", help="run as if started in DIR", rich_help_panel=panel)),
        "store": (str | None, option("--store", metavar="DIR", rich_help_panel=panel,
                                      help="where models are kept (default .forecast, or FORECAST_STORE)")),
        "sets": (list[str] | None, option("--set", metavar="KEY=VALUE", rich_help_panel=panel,
                                          help="any setting, as in --set train.lr=0.003")),
        "json": (bool, option("--json", help="one JSON document on stdout", rich_help_panel=panel)),
        "quiet": (bool, option("-q", "--quiet", help="say nothing but the path of what was written",
                               rich_help_panel=panel)),
        "verbose": (bool, option("-v", "--verbose", help="say more", rich_help_panel=panel)),
        "no_color": (bool, option("--no-color", help="no colour (also NO_COLOR, TERM=dumb)", rich_help_panel=panel)),
        "debug": (bool, option("--debug", help="show the traceback of an error", rich_help_panel=panel)),
    }


def main_callback() -> Callable[..., None]:
    """The callback of the program itself: the global options before the command, and --version."""
    shared = global_options()

    def run(version: bool, **values: Any) -> None:
        """What the options say is read by the command that follows."""

    versioned = typer.Option("--version", help="show the version", is_eager=True, callback=_show_version)
    parameters = [Parameter("version", Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, versioned])]
    parameters += [Parameter(k, Parameter.KEYWORD_ONLY, default=False if kind is bool else None,
                             annotation=Annotated[kind, option]) for k, (kind, option) in shared.items()]
    run.__signature__ = Signature(parameters)                           # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _show_version(asked: bool) -> None:
    if asked:
        from forecast import __version__

        write_out(f"forecast {__version__}\n")
        raise typer.Exit


def _show_help(ctx: typer.Context, param: Any, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        write_out(ctx.get_help() + "\n")
        raise typer.Exit


def session_of(chosen: Mapping[str, Any], outer: Mapping[str, Any], flags: Mapping[str, Any]) -> Session:
    """What this call asked for: `chosen` of the global options, `outer` before the command, `flags` of settings."""
    from pathlib import Path

    from forecast.errors import RequestError
    from forecast.tasks.workspace import Workspace

    directory = Path(chosen["directory"] or ".")
    if not directory.is_dir():
        raise RequestError(f"-C {directory}: there is no such folder", code="no_folder")
    plain = chosen["no_color"] or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    sets = tuple(outer.get("sets") or ()) + tuple(chosen["sets"] or ())
    return Session(
        Workspace.at(directory, store=chosen["store"], flags=flags, sets=sets),
        json=bool(chosen["json"]), quiet=bool(chosen["quiet"]), verbose=bool(chosen["verbose"]),
        color=not plain and sys.stderr.isatty())


def lightened(command: Any) -> Any:
    """The same command, which asks typer to convert only what has to be: for that it imports pydantic, 0.1 s. Its help
    is written as all results are."""
    from forecast.cli.helping import WHOLE, help_of

    params_of, parse = command.get_params, command.parse_args

    def parse_args(ctx: typer.Context, args: list[str]) -> list[str]:
        ctx.meta[WHOLE] = ctx.meta.get(WHOLE, False) or not {"-v", "--verbose"}.isdisjoint(args)
        parsed: list[str] = parse(ctx, args)
        return parsed

    def params(ctx: typer.Context) -> list[Any]:
        parameters: list[Any] = params_of(ctx)                          # --help is among them, made here
        for param in parameters:
            if "process_value" not in vars(param):
                param.process_value = partial(_converted, param, param.process_value)
                param.shell_complete = partial(_offered, param, param.shell_complete)
                if param.name in ("install_completion", "show_completion"):
                    param.callback = partial(_for_a_shell, param.callback)
            if param.name == "help" and param.is_eager:
                param.callback = _show_help
        return parameters

    command.get_params, command.parse_args = params, parse_args
    command.get_help = partial(help_of, command)
    return command


def _offered(param: Any, usual: Callable[..., list[Any]], ctx: typer.Context, incomplete: str) -> list[Any]:
    from forecast.cli.completing import offered

    return offered(param, usual, ctx, incomplete)


def _for_a_shell(callback: Callable[..., Any], ctx: typer.Context, param: Any, value: Any) -> Any:
    from forecast.cli.completing import for_a_shell

    return for_a_shell(callback, ctx, param, value)


def _converted(param: Any, convert: Callable[..., Any], ctx: typer.Context, value: Any) -> Any:
    """What is not given, and what is of the right kind already, as they are."""
    is_as_asked = not param.required if value is None else type(value) is param.type_descriptor.annotation
    if not is_as_asked:
        return convert(ctx, value)
    value = () if value is None and (param.multiple or param.nargs == -1) else value
    return value if param.callback is None else param.callback(ctx, param, value)
