"""forecast init: forecast.toml for a file, with the columns it found, and the lines that run it every day."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from forecast.cli.arguments import Data
from forecast.cli.options import READING, Session, command


@command(settings=READING)
def init(session: Session, data: Data) -> None:
    """Write forecast.toml for a file, and print lines for crontab and systemd.

    It holds the columns that were found, so that no later file is read in another way, and the settings worth knowing.
    An existing forecast.toml is never written over: it stays, and the lines are printed again."""
    from forecast.cli.console import Console
    from forecast.tasks import init as task

    program = Path(sys.argv[0])
    own = [str(program.resolve())] if program.name == "forecast" else [sys.executable, "-m", "forecast"]
    console = Console(session)
    begun = task.init(session.workspace, data, own, console)
    blocks = {"crontab -e": "\n".join(begun.crontab),
              **{f"/etc/systemd/system/{name}": unit for name, unit in begun.systemd.items()}}
    for title, block in blocks.items():
        for line in ("", f"# {title}", *block.splitlines()):
            console.result(line, fold=None)                             # to be pasted
    console.result("")
    timers = " ".join(name for name in begun.systemd if name.endswith(".timer"))
    console.result(f"# systemctl enable --now {timers}", fold=None)
    console.say("monitor", "--status-file writes forecast-*.prom into the folder; where node_exporter's textfile "
                           "collector looks elsewhere, give a path there")
    console.say("next", f"forecast train {shlex.quote(data)}   once, by hand: until then the line of predict ends with "
                        "exit 4, for there is no model")
    console.document(begun.to_dict())
