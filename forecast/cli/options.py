"""The flags of a command: its own, those made from the table of settings, and the global ones.

A command is declared with `@command(settings=...)` above its story, a function of a Session and of the arguments of its
own. The flags of the settings it names, and the global options, are added to its signature, with the meaning and
choices that config.py states."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.helping import GROUPS
from forecast.cli.session import Session, global_options, lightened, session_of
from forecast.config import SETTINGS, Setting
from forecast.errors import RequestError
from forecast.system import machine, ranks

if TYPE_CHECKING:
    from forecast.system.engine import Engine

__all__ = ["MODEL", "READING", "Session", "command"]

READING = tuple(key for key in SETTINGS if key.startswith("data."))
SIZES = ("model.season", "model.horizon", "model.context")
MODEL = (*SIZES, "model.cell", "model.bidirectional", "model.attention", "model.layers", "model.hidden", "model.levels",
         "train.validation_size", "train.seed", "train.device", "train.preset", "train.time_limit")
NAMED = dict.fromkeys(("data.known", "data.past", "data.static"), "COL") | {"data.holidays": "CC"}
FLAGS = {"train.final_fit": "--no-final-fit", "data.dayfirst": "--dayfirst", "data.turn": "--turn",
         "model.bidirectional": "--bidirectional",
         "model.attention": "--attention"}                              # switches, not values
MEANINGS = {"--no-final-fit": "serve the networks that were validated, without fitting them again on all the data"}


WORKERS: dict[str, tuple[Any, Any]] = {
    "jobs": (int | None, typer.Option("--jobs", metavar="N", show_default=False, help="processes that share the work; "
                                      "the bytes are those of one")),
    "engine": (str | None, typer.Option("--engine", metavar="processes|ray", show_default=False,
                                        help="whose processes: this machine's, or Ray's")),
    "address": (str | None, typer.Option("--address", metavar="HOST:PORT|auto", show_default=False,
                                         help="with --engine ray: a cluster that runs already"))}


def _check_said(ctx: Any, values: Mapping[str, Any]) -> None:
    """Raises RequestError for an empty text: a variable of a shell that is not set leaves one, and its default would
    be taken in silence."""
    for param in ctx.command.params if ctx else ():
        value = values.get(param.name or "")
        if isinstance(value, str) and not value.strip():
            name = param.opts[0] if param.opts[0].startswith("-") else str(param.metavar).strip("[]")
            raise RequestError(f"{name}: nothing is named, only {value!r}", code="empty",
                               hint="Name something, or leave it out; is a variable of the shell empty?")


def _engine(*asked: Any) -> Engine | None:
    if asked == (None,) * len(asked):
        return None
    from forecast.system.engine import engine_of

    return engine_of(*asked)


def options_of(key: str) -> dict[str, tuple[str, Any, Any]]:
    """The options of a setting: parameter -> (key, type, option). The preset is a switch for each kind of it."""
    if key == "train.preset":
        meanings = {"quick": "one network, half the steps", "best": "twice the networks, twice the steps"}
        return {f"preset_{name}": (key, bool, typer.Option(f"--{name}", help=text, show_default=False))
                for name, text in meanings.items()}
    return {key.replace(".", "_"): (key, *_flag(SETTINGS[key]))}


def _grouped(key: str, option: Any) -> Any:
    option.rich_help_panel = GROUPS[key.split(".")[0]]
    return option


def _settings(values: dict[str, Any], options: Mapping[str, tuple[str, Any, Any]]) -> dict[str, Any]:
    """What the options of settings were given, taken out of all values. Raises RequestError for two presets."""
    flags: dict[str, Any] = {}
    presets = [name.removeprefix("preset_") for name in options if name.startswith("preset_") and values.pop(name)]
    if len(presets) > 1:
        raise RequestError("--quick and --best exclude each other", hint="Give one of them")
    for name, (key, _, _) in options.items():
        value = next(iter(presets), None) if name.startswith("preset_") else values.pop(name)
        flags[key] = _joined(SETTINGS[key], value)
    if flags.get("train.final_fit") is not None:
        flags["train.final_fit"] = not flags["train.final_fit"]
    return flags


def _joined(setting: Setting, value: Any) -> Any:
    """What a flag was given: `--known a --known b` is `--known a,b`. None: nothing."""
    if value == [] or not (setting.is_tuple and isinstance(value, (list, tuple))):
        return None if value == [] else value
    return value if setting.key == "data.covariates" else ",".join(value)


def _flag(setting: Setting) -> tuple[Any, Any]:
    name = setting.key.split(".")[1]
    default = ",".join(f"{v:g}" for v in setting.default) if isinstance(setting.default, tuple) else setting.default
    said = "" if default is None or isinstance(default, bool) else f" (default {default})"
    if setting.key in FLAGS:
        flag = FLAGS[setting.key]
        return bool | None, typer.Option(flag, help=MEANINGS.get(flag, setting.meaning), show_default=False)
    kinds = {int: "N", float: "TIME" if setting.time else "X", str: "TEXT", bool: "YES|NO"}
    if setting.key == "data.covariates":
        return list[str] | None, typer.Option("--covariates", help=setting.meaning, metavar="FILE", show_default=False)
    metavar = "|".join(setting.choices) or NAMED.get(setting.key, kinds[setting.kind])
    if setting.is_tuple:
        metavar += f"[,{metavar}]"
    kind = list[str] | None if setting.is_tuple else str | None
    return kind, typer.Option("--" + name.replace("_", "-"), help=setting.meaning + said, metavar=metavar,
                              show_default=False)


def command(*, settings: Sequence[str] = (), after: str = "", sets: str = "checked", engines: bool = False
            ) -> Callable[[Callable[..., int | None]], Any]:
    """Make a story `(session, own arguments) -> exit code or None` the command of its name; its help is the story's
    docstring, and what comes `after` it.

    sets: what --set may give: what is "checked" to be a setting, "none", or "any" text: the story looks at that itself,
    and at the store. engines: others may work for it, as --jobs and --engine say."""
    options = {name: option for key in settings for name, option in options_of(key).items()}
    shared = global_options()

    def decorate(story: Callable[..., int | None]) -> Any:
        own = list(inspect.signature(story, eval_str=True).parameters.values())[1:]

        def run(ctx: typer.Context, **values: Any) -> None:
            ranks.hush()
            outer = ctx.parent.params if ctx.parent else {}
            for said, context in ((values, ctx), (outer, ctx.parent)):
                _check_said(context, {name: value for name, value in said.items() if name not in options})
            chosen = {k: values.pop(k) or outer.get(k) for k in shared}
            workers = [values.pop(name) for name in WORKERS] if engines else []
            session = session_of(chosen, outer, _settings(values, options))
            session = replace(session, engine=_engine(*workers))
            if sets != "any":
                session.workspace.check_store()
                session.workspace.check_sets(SETTINGS if sets == "checked" else (), user=f"forecast {story.__name__}",
                                            hint="Settings count in train, compare and evaluate")
            machine.prepare(threads=1)
            ranks.check_command(story.__name__)
            raise typer.Exit(story(session, **values) or 0)

        parameters = [Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context), *own]
        added = [(k, kind, _grouped(key, option)) for k, (key, kind, option) in options.items()]
        added += [(k, *option) for k, option in WORKERS.items()] if engines else []
        added += [(k, kind, option) for k, (kind, option) in shared.items()]
        parameters += [Parameter(k, Parameter.KEYWORD_ONLY, default=False if kind is bool else None,
                                 annotation=Annotated[kind, option]) for k, kind, option in added]
        run.__signature__ = Signature(parameters)                       # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(story.__name__, help=f"{inspect.getdoc(story)}\n\n{after}".strip())(run)
        return lightened(typer.main.get_command(alone))

    return decorate
