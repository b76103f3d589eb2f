"""What every command shares: the global options, the flags made from the table of settings, and how a command ends.

A command is declared with `command(app, name, settings=...)` above its story, a function of a Session and of the
arguments of its own. The flags of the settings it names, and the global options, are added to its signature, with the
meaning and choices that config.py states."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from forecast.config import SETTINGS, Config, Setting, find_file, layers, resolve
from forecast.errors import RequestError

READING = tuple(key for key in SETTINGS if key.startswith("data."))
SIZES = ("model.season", "model.horizon", "model.context")
MODEL = (*SIZES, "model.cell", "model.bidirectional", "model.attention", "model.layers", "model.hidden", "model.levels",
         "train.validation_size", "train.seed", "train.device", "train.preset", "train.time_limit")
FLAGS = {"train.final_fit": "--no-final-fit", "data.dayfirst": "--dayfirst", "model.bidirectional": "--bidirectional",
         "model.attention": "--attention"}                              # switches, not values


def _global_options() -> dict[str, tuple[Any, Any]]:
    option, panel = typer.Option, "Global options"
    return {
        "directory": (Path | None, option("-C", metavar="DIR", help="run as if started in DIR", rich_help_panel=panel)),
        "store": (Path | None, option("--store", metavar="DIR", rich_help_panel=panel,
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


@dataclass(frozen=True)
class Session:
    """One call of the program: where it runs, how it speaks, and what was asked for on the command line."""

    directory: Path
    store_folder: Path
    json: bool
    quiet: bool
    verbose: bool
    color: bool
    sets: tuple[str, ...]
    flags: Mapping[str, Any]            # setting key -> text given, None where not

    def config(self) -> Config:
        """Flag over environment over forecast.toml over default. Raises RequestError."""
        return resolve(self.flags, sets=self.sets, environment=os.environ, file=find_file(self.directory))

    def given(self) -> dict[str, Any]:
        """The settings that flags, --set, environment or file name, and what they were set to."""
        settled = self.config().to_dict()
        given = layers(self.flags, sets=self.sets, environment=os.environ, file=find_file(self.directory))
        keys = [key.split(".") for _, values in given for key in values]
        return {f"{section}.{name}": settled[section][name] for section, name in keys}

    def path(self, name: str | Path) -> Path:
        """A path given on the command line, seen from -C."""
        return self.directory / name

    def data(self, name: str) -> str | Path:
        """A data file given on the command line; - is standard input, and an address stays as it is to be refused."""
        return name if name == "-" or "://" in name else self.path(name)


def guard(outputs: Sequence[str | Path | None], inputs: Sequence[str | Path | None]) -> None:
    """Before any work: no output may be an input, or another output. Raises RequestError."""
    taken = {Path(i).resolve() for i in inputs if i not in (None, "-")}
    for output in outputs:
        if output is None or str(output) == "-":
            continue
        place = Path(output).resolve()
        if place in taken:
            raise RequestError(f"{output}: would be written over a file that this command reads or writes",
                               code="overwrite", hint="Choose another -o")
        taken.add(place)


def check_precision(config: Config, *cells: str) -> None:
    """Before any work: these cells can be trained here as train.precision asks. Raises RequestError."""
    if config.train.precision == "bfloat16":                            # only who asks for it waits for torch
        from forecast.hardware import set_up
        from forecast.model import check_bfloat16

        device = set_up(config.train.device, config.train.threads)
        for cell in cells:
            check_bfloat16(cell, device)


def project_folder(directory: Path) -> Path:
    """Where the store lies by default: beside the nearest forecast.toml, else here."""
    file = find_file(directory)
    return file.parent if file else directory


def options_of(key: str) -> dict[str, tuple[str, Any, Any]]:
    """The options of a setting: parameter -> (key, type, option). The preset is a switch for each kind of it."""
    if key == "train.preset":
        meanings = {"quick": "one network, half the steps", "best": "twice the networks, twice the steps"}
        return {f"preset_{name}": (key, bool, typer.Option(f"--{name}", help=text, show_default=False))
                for name, text in meanings.items()}
    return {key.replace(".", "_"): (key, *_flag(SETTINGS[key]))}


def _settings(values: dict[str, Any], options: Mapping[str, tuple[str, Any, Any]]) -> dict[str, Any]:
    """What the options of settings were given, taken out of all values. Raises RequestError for two presets."""
    flags: dict[str, Any] = {}
    presets = [name.removeprefix("preset_") for name in options if name.startswith("preset_") and values.pop(name)]
    if len(presets) > 1:
        raise RequestError("--quick and --best exclude each other", hint="Give one of them")
    for name, (key, _, _) in options.items():
        flags[key] = next(iter(presets), None) if name.startswith("preset_") else values.pop(name)
    if flags.get("train.final_fit") is not None:
        flags["train.final_fit"] = not flags["train.final_fit"]
    return flags


def _flag(setting: Setting) -> tuple[Any, Any]:
    name = setting.key.split(".")[1]
    default = ",".join(f"{v:g}" for v in setting.default) if isinstance(setting.default, tuple) else setting.default
    said = "" if default is None or isinstance(default, bool) else f" (default {default})"
    if setting.key in FLAGS:
        flag = FLAGS[setting.key]
        meaning = f"do not {setting.meaning}" if flag.startswith("--no-") else setting.meaning
        return bool | None, typer.Option(flag, help=meaning, show_default=False)
    kinds = {int: "N", float: "TIME" if setting.time else "X", str: "TEXT", bool: "YES|NO"}
    metavar = "|".join(setting.choices) or kinds[setting.kind]
    if setting.is_tuple:
        metavar += f"[,{metavar}]"
    return str | None, typer.Option("--" + name.replace("_", "-"), help=setting.meaning + said, metavar=metavar,
                                    show_default=False)


def command(app: typer.Typer, name: str, *, settings: Sequence[str] = (), after: str = "") -> Callable[..., Any]:
    """Register a story `(session, own arguments) -> exit code or None` as a command; its help is the story's docstring,
    and what comes `after` it."""
    options = {name: option for key in settings for name, option in options_of(key).items()}
    shared = _global_options()

    def decorate(story: Callable[..., int | None]) -> Callable[..., int | None]:
        own = list(inspect.signature(story, eval_str=True).parameters.values())[1:]

        def run(ctx: typer.Context, **values: Any) -> None:
            outer = ctx.parent.params if ctx.parent else {}
            chosen = {k: values.pop(k) or outer.get(k) for k in shared}
            flags = _settings(values, options)
            raise typer.Exit(story(_session(chosen, outer, flags), **values) or 0)

        parameters = [Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context), *own]
        added = [(k, kind, option) for k, (_, kind, option) in options.items()]
        added += [(k, kind, option) for k, (kind, option) in shared.items()]
        parameters += [Parameter(k, Parameter.KEYWORD_ONLY, default=False if kind is bool else None,
                                 annotation=Annotated[kind, option]) for k, kind, option in added]
        run.__signature__ = Signature(parameters)                       # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name, help=f"{inspect.getdoc(story)}\n\n{after}".strip())(run)
        return story

    return decorate


def main_callback() -> Callable[..., None]:
    """The callback of the program itself: the global options before the command, and --version."""
    shared = _global_options()

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

        typer.echo(f"forecast {__version__}")
        raise typer.Exit


def _session(chosen: Mapping[str, Any], outer: Mapping[str, Any], flags: Mapping[str, Any]) -> Session:
    directory = Path(chosen["directory"] or ".")
    if not directory.is_dir():
        raise RequestError(f"-C {directory}: there is no such folder", code="no_folder")
    store = chosen["store"] or os.environ.get("FORECAST_STORE")
    plain = chosen["no_color"] or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Session(
        directory=directory, store_folder=directory / store if store else project_folder(directory) / ".forecast",
        json=bool(chosen["json"]), quiet=bool(chosen["quiet"]), verbose=bool(chosen["verbose"]),
        color=not plain and sys.stderr.isatty(),
        sets=tuple(outer.get("sets") or ()) + tuple(chosen["sets"] or ()), flags=flags)
