"""Help of a command: what it does, its common options, two examples; all other options, by groups, with --verbose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from forecast.cli.pages import columns
from forecast.showing.layout import wrapped

COMMON = {                                                              # what is shown without --verbose; else all
    "train": ("horizon", "id", "time", "target", "season", "levels", "known", "quick", "best", "time-limit", "name",
              "min-skill", "resume", "dry-run"),
    "predict": ("output", "horizon", "series", "levels", "model", "as-of", "future", "plot", "round", "nonnegative",
                "max-age"),
    "evaluate": ("windows", "horizon", "model", "baselines", "output", "predictions", "forecast", "issued", "last",
                 "fail-over"),
    "check": ("output", "rejects", "id", "time", "target", "freq", "decimal", "date-format", "missing"),
    "compare": ("cells", "budget", "seeds", "output", "windows", "horizon"),
    "tune": ("budget", "study", "jobs", "trials", "output", "horizon", "windows", "known"),
    "init": ("id", "time", "target", "freq"),
}
EXAMPLES = {
    "": ("train data.csv", "predict"),
    "train": ("train data.csv", "train sales.csv --id store --horizon 28 --quick"),
    "predict": ("predict", "predict data.csv --horizon 30 -o next.csv --plot next.png"),
    "merge": ("merge part*.csv -o all.csv", "merge shard-*.parquet -o all.parquet"),
    "whatif": ("whatif --change 'promo=1 @ 2026-12-01..2026-12-07'", "whatif --future other.csv"),
    "future": ("future", "future --horizon 28 -o plan.csv"),
    "evaluate": ("evaluate", "evaluate --issued --last 30d"),
    "diff": ("diff", "diff today.csv yesterday.csv"),
    "replay": ("replay predictions.csv", "replay last"),
    "report": ("report", "report data.csv -o sales.html"),
    "compare": ("compare data.csv", "compare data.csv --cells lstm,gru --budget 10m"),
    "tune": ("tune data.csv", "tune sales.csv --id store --budget 2h --jobs 4"),
    "explain": ("explain", "explain s1 --lags 10 -o s1.png"),
    "check": ("check data.csv", "check data.csv --decimal , --rejects bad.csv"),
    "models": ("models", "models prune --keep 10"),
    "doctor": ("doctor", "doctor --store /srv/models"),
    "init": ("init data.csv", "init sales.csv --id store"),
    "help": ("help", "help reading"),
}
GROUPS = {"data": "Reading the file", "model": "Model and training", "train": "Model and training",
          "backtest": "Past windows"}
NARROW = 60                                                             # of fewer columns, names stand alone
WHOLE = "forecast.whole"                                                # key of a context's meta: whether -v was given


def help_of(command: Any, context: Any) -> str:
    """The help of a command, as wide as the terminal."""
    width = columns()
    name = "" if context.parent is None else command.name
    lines = [*_wrapped(f"Usage: {_usage(command, context)}", width, 7), "", *_prose(command.help or "", width)]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    if arguments:
        lines += ["", "Arguments:", *_listed([_record(p, context) for p in arguments], width)]
    if hasattr(command, "commands"):
        lines += ["", "Commands:", *_listed([(n, c.help) for n, c in command.commands.items()], width)]
    lines += _options(command, context, width, COMMON.get(name, ()))
    lines += ["", "Examples:"]
    for example in EXAMPLES[name]:
        lines += _wrapped(f"  forecast {example}", width, 6)
    if command.epilog:
        lines += ["", *_prose(command.epilog, width)]
    return "\n".join(lines)


def _usage(command: Any, context: Any) -> str:
    pieces = " ".join(command.collect_usage_pieces(context))
    pieces = re.sub(r"\[(\[[^\]]*\](?:\.\.\.)?)\]", r"\1", pieces)      # [[DATA]], since its metavar says so, too
    return f"{context.command_path} {re.sub(r'[{}]', '', pieces).replace('......', '...')}"


def _options(command: Any, context: Any, width: int, common: Sequence[str]) -> Iterator[str]:
    """Sections of options: the common ones; then the other groups, or a line that says which there are."""
    groups: dict[str, list[Any]] = {}
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden:
            is_common = not common or any(flag.removeprefix("--") in common for flag in param.opts)
            group = param.rich_help_panel or "Other options"
            own = "Options" if group == "Other options" or hasattr(command, "commands") else group
            groups.setdefault("Common options" if common and is_common else own if not common else group,
                              []).append(param)
    first = "Common options" if common else "Options"
    whole = context.meta.get(WHOLE, False)
    shown = [first, *(group for group in groups if group != first)] if whole else [first]
    for group in shown:
        if group in groups:
            yield from ("", f"{group}:", *_listed([_record(p, context) for p in _sorted(groups[group], common)], width))
    if rest := {group: len(some) for group, some in groups.items() if group not in shown}:
        named = ", ".join(f"{group[0].lower()}{group[1:]} ({count})" for group, count in rest.items())
        yield from ("", *_wrapped(f"More: {named}.", width, 6))
        yield from _wrapped(f"      {context.command_path} --help -v shows all", width, 6)


def _sorted(params: Sequence[Any], common: Sequence[str]) -> list[Any]:
    """In the order in which they are worth knowing, where there is one."""
    def place(param: Any) -> int:
        return min((common.index(f.removeprefix("--")) for f in param.opts if f.removeprefix("--") in common),
                   default=len(common))

    return sorted(params, key=place)


def _record(param: Any, context: Any) -> tuple[str, str]:
    name, text = param.get_help_record(context) or ("", "")
    return re.sub(r" <[^>]+>$", "", name), text.removesuffix("  [required]").replace("  [", " [")


def _prose(text: str, width: int) -> Iterator[str]:
    """Paragraphs as wide as there is room; a block that begins with \\b keeps its lines."""
    for k, block in enumerate(text.strip().split("\n\n")):
        if k:
            yield ""
        lines = block.strip("\n").splitlines()
        if lines and lines[0].strip() == "\b":
            for line in lines[1:]:
                named = re.match(r"\S+(?: \S+)* {2,}", line)
                yield from _wrapped(f"  {line}", width, 2 + (named.end() if named else 2))
        else:
            yield from _wrapped("  " + " ".join(line.strip() for line in lines), width, 2)


def _listed(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """A name and what it means, side by side; a long name has a line of its own."""
    size = min(max((len(name) for name, _ in pairs), default=0) + 4, width // 3 if width >= NARROW else 8)
    for name, text in pairs:
        if len(name) + 4 > size:
            yield from _wrapped(f"  {name}", width, 4)
            yield from _wrapped(" " * size + text, width, size)
        else:
            yield from _wrapped(f"  {name}".ljust(size) + text, width, size)


def _wrapped(line: str, width: int, indent: int) -> list[str]:
    return wrapped(line, width, indent=indent).splitlines()
