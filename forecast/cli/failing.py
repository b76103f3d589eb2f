"""How a command fails: an error becomes a line on stderr, JSON with --json, and an exit code."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace

from forecast.cli.streams import columns_of
from forecast.errors import DiskError, ForecastError, Problem
from forecast.showing.layout import wrapped
from forecast.system.datasource import shown_path
from forecast.system.files import REMEDIES, to_json
from forecast.system.monitor import exit_code_of
from forecast.text import safe

PLAIN = {                               # what typer says of a number -> what is said
    r"Input should be a valid integer.*": "takes a whole number", r"Input should be a valid number.*": "takes a number",
    r"Input should be greater than or equal to (\S+)": r"takes a number from \1",
    r"Input should be less than or equal to (\S+)": r"takes a number up to \1"}
SHOWN = 10                                                              # problems of one kind printed one by one


def ended(error: Exception, arguments: Sequence[str]) -> int:
    """Say what went wrong; the exit code. What nobody foresaw is a bug: said in a line, shown with --debug."""
    if isinstance(error, ForecastError):
        return _failed(error, arguments)
    if (code := _stopped(error)) is not None:
        return code
    if isinstance(error, OSError):
        return _failed(_disk(error), arguments, error)
    if isinstance(error, ImportError):
        return _failed(ForecastError(f"the installation is broken: {error}", code="installation",
                                     hint="forecast doctor looks at all of it"), arguments, error)
    import typer

    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.BadParameter.__bases__[0]):              # UsageError: typer gives no name to it
        return _failed(_usage(error, arguments), arguments)
    return _failed(ForecastError(f"{type(error).__name__}: {error}", code="bug",
                                 hint="This is a bug in forecast; --debug shows where"), arguments, error)


def _stopped(error: BaseException) -> int | None:
    """The exit code of a signal that became another error on its way, as in the middle of an import; else None."""
    behind: BaseException | None = error
    met: set[int] = set()
    while behind is not None and id(behind) not in met:
        if isinstance(behind, (KeyboardInterrupt, SystemExit)):
            return exit_code_of(behind)
        met.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return None


def _disk(error: OSError) -> DiskError:
    """What the operating system refused where nobody thought of it."""
    return DiskError(f"cannot go on: {error.strerror or error}", code="disk", hint=REMEDIES.get(error.errno or 0),
                     file=None if error.filename is None else str(error.filename))


class _Usage(ForecastError):
    exit_code = 2


def _usage(error: Exception, arguments: Sequence[str]) -> ForecastError:
    from forecast.cli import COMMANDS

    context = getattr(error, "ctx", None)
    named = [word for word in arguments if word in {row.name for row in COMMANDS}]
    where = context.command_path if context else " ".join(["forecast", *named[:1]])
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    for pattern, words in PLAIN.items():
        message = re.sub(pattern, words, message)
    return _Usage(message.rstrip("."), code="usage", hint=f"See {where} --help")


def _failed(error: ForecastError, arguments: Sequence[str], cause: BaseException | None = None) -> int:
    if "--debug" in arguments:
        traceback.print_exception(cause or error)
    if "--json" in arguments:
        lines = to_json({"error": error.to_dict()})
    else:
        width = columns_of(sys.stderr)
        lines = "".join(wrapped(safe(_with_file_first(p)), width, indent=2) + "\n" for p in error.problems[:SHOWN])
        if (more := len(error.problems) - SHOWN) > 0:
            lists = "--json" if error.code == "missing_ahead" else "forecast check FILE --rejects rejects.csv"
            lines += f"... and {more} more; {lists} lists them all\n"
    sys.stderr.write(lines)
    return error.exit_code


def _with_file_first(problem: Problem) -> str:
    if problem.file and ("/../" in problem.file or problem.file.startswith("./")):
        problem = replace(problem, file=shown_path(problem.file))
    return str(problem) if problem.file else f"forecast: {problem}"
