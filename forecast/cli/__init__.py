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
    Row("check", "Say everything that is wrong with a file, and which flag mends it."),
    Row("train", "Read a file, train a model, score it on the past, and let it serve."),
    Row("predict", "Forecast with the live model, from its file as it is today or from DATA."),
    Row("evaluate", "Score forecasts of the past, beside simple forecasts."),
    Row("report", "Write one HTML page: can this forecast be trusted, and why."),
    Row("explain", "Show which past values move the forecast of a series, and what the network remembers."),
    Row("future", "Write the rows in which you fill in future prices, promotions and the like."),
    Row("whatif", "Forecast with and without a change, such as a promotion, and write the difference."),
    Row("diff", "Say why a forecast differs from the one before."),
    Row("replay", "Make a past forecast again, and say whether every number is identical."),
    Row("compare", "Train several kinds of recurrent cells under one budget of time, and rank them."),
    Row("tune", "Search settings under a budget of time, and say whether any are better than the defaults."),
    Row("models", "List the models, or change which one serves."),
    Row("merge", "Join the files of predict --shard, byte for byte as one process would have written them."),
    Row("doctor", "Check the installation and the stored models."),
    Row("init", "Write forecast.toml for a file, and print lines for crontab and systemd."),
    Row("help", "Show the handbook: the list of its pages, or one of them."),
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
