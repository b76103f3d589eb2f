"""The program `forecast`: its commands, and how an error becomes a line and an exit code.

A command is imported when it is called; until then its row of COMMANDS is all that is known of it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import NamedTuple

from forecast import __version__
from forecast.system import signals


class Row(NamedTuple):
    """A command: its name, and the first line of its help. The file of that name in this folder declares it."""

    name: str
    help: str


COMMANDS = (
    Row("train", "Read a CSV file, fit a forecaster, backtest it beside seasonal naive, and make it live."),
    Row("predict", "Forecast with the live model from the present contents of its file, or from DATA."),
    Row("merge", "Put the files of predict --shard together: the bytes that one process would have written."),
    Row("whatif", "Forecast with and without a change of what is known ahead, and write both and the difference."),
    Row("future", "Write the rows of the horizon in which columns known ahead are to be filled in."),
    Row("evaluate", "Score a forecaster on what came after rolling cutoffs, beside simple baselines."),
    Row("diff", "Why a forecast differs from the one before, over the times that both forecast."),
    Row("replay", "Make a past output again, and say whether every number is identical."),
    Row("compare", "Train several cells under one budget of time, and rank them beside seasonal naive."),
    Row("tune", "Search settings under a budget of time, and judge the best ones on windows the search has not seen."),
    Row("explain", "Show what the cell remembers of one series, over the context of its next forecast."),
    Row("report", "Write one HTML page: can this forecast be trusted, and all that is known of it."),
    Row("check", "Say everything wrong with each file and which flag mends it."),
    Row("models", "List the models of the store, or change which one serves."),
    Row("doctor", "Check the installation and the store."),
    Row("init", "Write forecast.toml for a CSV file, and print crontab lines and systemd units."),
    Row("help", "Show the handbook: the list of its topics, or one of them."),
)


def main(arguments: list[str] | None = None) -> None:
    """Run and exit. Every expected failure is one line on stderr (JSON with --json) and its own exit code."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    signals.listen()
    try:
        code = _called(arguments)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        from forecast.cli.failing import ended

        code = ended(error, arguments)
    heard = signals.answered()
    sys.exit(code or heard)


def _called(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from forecast.cli.streams import write_out

        write_out(f"forecast {__version__}\n")
        return 0
    from forecast.cli.program import program

    return int(program().main(arguments, prog_name="forecast", standalone_mode=False) or 0)


def run() -> None:
    """The program: `main`, and then an end at once. Threads that C++ libraries leave behind have been seen to abort a
    process that was already done (once in some hundred runs on a busy machine); its exit code would be lost."""
    try:
        from forecast.cli.streams import secure

        secure()
        gc.set_threshold(50_000)                                        # imports leave nothing to be collected
        main()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):                  # whoever read it may be gone
            stream.flush()
    os._exit(code)
