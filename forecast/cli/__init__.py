"""The program `forecast`: its commands, and how an error becomes a line and an exit code."""

from __future__ import annotations

import signal
import sys
import traceback
from types import FrameType

import typer

from forecast.cli import check, compare, diff, doctor, evaluate, explain, help, init, models, predict, replay, train
from forecast.cli.options import main_callback
from forecast.display import safe
from forecast.errors import ForecastError, Problem
from forecast.storage import to_json

SHOWN = 10                                                              # problems of one kind printed one by one
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

app = typer.Typer(name="forecast", rich_markup_mode=None, context_settings=HELP,
                  pretty_exceptions_enable=False,
                  help="Forecast time series in CSV files with recurrent networks.",
                  epilog="forecast train data.csv, then forecast predict; forecast help shows the handbook.")
app.callback()(main_callback())
for command in (train, predict, evaluate, diff, replay, compare, explain, check, models, doctor, init, help):
    command.declare(app)

UsageError: type[Exception] = typer.BadParameter.__bases__[0]           # typer gives no name to it


def main(arguments: list[str] | None = None) -> None:
    """Run and exit. Every expected failure is one line on stderr (JSON with --json) and its own exit code."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(arguments, prog_name="forecast", standalone_mode=False)
    except ForecastError as error:
        code = _fail(error, arguments)
    except UsageError as error:
        code = _fail(_usage(error), arguments)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except ImportError as error:
        code = _fail(ForecastError(f"the installation is broken: {error}", code="installation",
                                   hint="forecast doctor looks at all of it"), arguments, error)
    except Exception as error:                                          # a bug: said in a line, shown with --debug
        code = _fail(ForecastError(f"{type(error).__name__}: {error}", code="bug",
                                   hint="This is a bug in forecast; --debug shows where"), arguments, error)
    sys.exit(code or 0)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)                                      # unwinds: temporary files go, locks are let go


class _Usage(ForecastError):
    exit_code = 2


def _usage(error: Exception) -> ForecastError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "forecast"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return _Usage(message.rstrip("."), code="usage", hint=f"See {where} --help")


def _fail(error: ForecastError, arguments: list[str], cause: BaseException | None = None) -> int:
    if "--debug" in arguments:
        traceback.print_exception(cause or error)
    if "--json" in arguments:
        lines = to_json({"error": error.to_dict()})
    else:
        lines = "".join(f"{safe(_with_file_first(p))}\n" for p in error.problems[:SHOWN])
        if (more := len(error.problems) - SHOWN) > 0:
            lines += f"... and {more} more; forecast check FILE --rejects rejects.csv lists them all\n"
    sys.stderr.write(lines)
    return error.exit_code


def _with_file_first(problem: Problem) -> str:
    return str(problem) if problem.file else f"forecast: {problem}"
