"""forecast init: forecast.toml for a file, with the columns it found, and the lines that run it every day."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import READING, Session, command

if TYPE_CHECKING:
    from forecast.calendar import Calendar
    from forecast.reader import Reading

SHOWN = {                                   # settings worth a line, in this order; what is not set stands as a comment
    "data": ("id", "time", "target", "freq", "fill", "duplicates", "bad_rows", "max_gap", "date_format", "decimal",
             "delimiter", "encoding", "tz"),
    "model": ("horizon", "season", "cell", "levels"),
    "train": ("seed", "time_limit"),
}
SCHEDULES = {                               # how often a forecast is due: cron and systemd, of train and of predict
    "hour": (("15 4 * * 0", "Sun 04:15"), ("5 * * * *", "*:05")),
    "day": (("15 4 * * 0", "Sun 04:15"), ("16 5 * * *", "05:16")),
    "week": (("15 4 1 * *", "*-*-01 04:15"), ("16 5 * * 1", "Mon 05:16")),
}


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "init", settings=READING)(init)


def init(
    session: Session,
    data: Annotated[str, typer.Argument(metavar="DATA", help="CSV file of one or many series", show_default=False)],
) -> int:
    """Write forecast.toml for a CSV file, and print crontab lines and systemd units.

    It holds the columns that were found, so that no later file is read in another way, and the settings worth knowing.
    An existing forecast.toml is never written over."""
    from forecast.cli.console import Console
    from forecast.config import FILE
    from forecast.errors import RequestError
    from forecast.reader import read_panel
    from forecast.storage import write_text

    path = session.path(FILE)
    if path.exists() or path.is_symlink():
        raise RequestError("is there already", file=str(path), code="overwrite", hint="Change it by hand, or move it")
    if data == "-":
        raise RequestError("init needs a file, not standard input", code="no_data")
    console, given = Console(session), session.given()
    reading = read_panel(session.data(data), session.config().data)
    console.reading(reading)
    text = settled(reading, given, session.data(data))
    write_text(path, text)
    console.wrote(path)
    lines = commands(session, data, max_age=max_age_of(reading.contract.calendar))
    rhythm = rhythm_of(reading.contract.calendar)
    if rhythm == "hour" and not (reading.contract.utc or reading.contract.tz):
        console.say("zone", "none is named, so --max-age takes the times for UTC; if they are not, set tz in [data]")
    table, units = crontab(lines, rhythm), systemd(lines, rhythm, session.directory.resolve(), user())
    blocks = {"crontab -e": "\n".join(table), **{f"/etc/systemd/system/{name}": unit for name, unit in units.items()}}
    for title, block in blocks.items():
        for line in ("", f"# {title}", *block.splitlines()):
            console.result(line)
    console.result("")
    console.result("# systemctl enable --now forecast-train.timer forecast-predict.timer")
    console.document({"file": str(path), "settings": text, "crontab": table, "systemd": units})
    return 0


def settled(reading: Reading, given: Mapping[str, Any], file: str | Path) -> str:
    """The text of forecast.toml. Columns are written only where the file, read with them, reads as it did without."""
    found = found_columns(reading)
    text = toml(reading, {**found, **given})
    return text if _reads_alike(text, reading, file) else toml(reading, given)


def found_columns(reading: Reading) -> dict[str, Any]:
    """The columns that were found. Those of a wide file are left open: tomorrow's may have a series more."""
    contract = reading.contract
    columns: dict[str, Any] = {"data.time": ",".join(contract.time_columns) or contract.time}
    if contract.layout != "wide":
        columns["data.target"] = ",".join(contract.targets)
    if contract.layout == "long" and contract.id_column:
        columns["data.id"] = contract.id_column
    return columns


def _reads_alike(text: str, reading: Reading, file: str | Path) -> bool:
    import tomllib

    from forecast.config import Config
    from forecast.errors import ForecastError
    from forecast.reader import read_panel

    try:
        text.encode()
        values = {f"{section}.{name}": v for section, keys in tomllib.loads(text).items() for name, v in keys.items()}
        again = read_panel(file, Config().override(values, source="forecast.toml").data)
    except (ForecastError, ValueError):
        return False
    return again.contract == reading.contract


def toml(reading: Reading, values: Mapping[str, Any]) -> str:
    """forecast.toml with these settings, each with its meaning; others worth knowing as comments with their default."""
    from forecast.config import SETTINGS
    from forecast.display import counted, safe

    lines = ["# Settings of forecast in this folder and those below. Flags, --set, the environment stand over them.",
             f"# {safe(Path(reading.file).name)}: {counted(reading.rows, 'row')}, "
             f"{counted(len(reading.panel), 'series')}, step {reading.contract.calendar.freq}, "
             f"{safe(' .. '.join(reading.span))}"]
    for section in ("data", "model", "train", "backtest"):
        extra = [key.split(".")[1] for key in values if key.startswith(f"{section}.")]
        names = list(dict.fromkeys((*SHOWN.get(section, ()), *extra)))
        lines += ["", f"[{section}]"] if names else []
        for name in names:
            setting, value = SETTINGS[f"{section}.{name}"], values.get(f"{section}.{name}")
            written = f"{name} = {_toml_value(value)}" if value is not None else \
                f"# {name} = {'...' if setting.default is None else _toml_value(setting.default)}"
            choices = f" ({', '.join(setting.choices)})" if setting.choices else ""
            lines.append(f"{written:<30} # {setting.meaning}{choices}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    """As TOML writes it; its texts are JSON's, but for one character."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def commands(session: Session, data: str, *, max_age: str) -> dict[str, list[str]]:
    """The words of the two commands, with whole paths: cron and systemd start anywhere. Both say when they should not
    be believed: a model no better than seasonal naive does not go live, and nothing is forecast from old data."""
    program = Path(sys.argv[0])
    own = [str(program.resolve())] if program.name == "forecast" else [sys.executable, "-m", "forecast"]
    folder = session.directory.resolve()
    start = [*own, "-C", str(folder)]
    if session.store_folder.resolve() != folder / ".forecast":
        start += ["--store", str(session.store_folder.resolve())]
    return {"train": [*start, "train", data, "-q", "--wait", "1h", "--min-skill", "0"],
            "predict": [*start, "predict", "-q", "--max-age", max_age, "-o", "predictions.csv"]}


def max_age_of(calendar: Calendar) -> str:
    """How old the newest point may be before something is amiss: two steps, since a stamp begins its step and the next
    is due when that has ended, and at least two runs of the schedule; over a weekend, four days."""
    from forecast.calendar import DAY, HOUR

    step = {"fixed": calendar.every, "business": 2 * DAY, "month": 31 * DAY * calendar.every}.get(calendar.kind, DAY)
    run = {"hour": HOUR, "day": DAY, "week": 7 * DAY}[rhythm_of(calendar)]
    hours = -(-2 * max(step, run) // HOUR)
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"


def rhythm_of(calendar: Calendar) -> str:
    """How often a new point comes, roughly: hour, day or week."""
    if calendar.kind == "month":
        return "week"
    microseconds = calendar.every if calendar.kind == "fixed" else 86_400_000_000
    return "hour" if microseconds < 86_400_000_000 else "day" if microseconds < 7 * 86_400_000_000 else "week"


def crontab(lines: Mapping[str, Sequence[str]], rhythm: str) -> list[str]:
    """One line a command: the path that -q says is thrown away, so that cron mails only what went wrong. A % is a new
    line to cron."""
    return [f"{when[0]:<12} {shlex.join(words)} >/dev/null".replace("%", r"\%")
            for when, words in zip(SCHEDULES[rhythm], lines.values(), strict=True)]


def user() -> str:
    """Who the services run as: whoever asks for them, else root's files would lock the owner of the store out of it."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError):                                         # one without a name
        return str(os.getuid())


def systemd(lines: Mapping[str, Sequence[str]], rhythm: str, folder: Path, user: str) -> dict[str, str]:
    """A service and a timer for each command; a missed run is made up for."""
    units = {}
    for when, (name, words) in zip(SCHEDULES[rhythm], lines.items(), strict=True):
        about = f"[Unit]\nDescription=forecast {name} in {str(folder).replace('%', '%%')}\n"
        units[f"forecast-{name}.service"] = (f"{about}\n[Service]\nType=oneshot\nUser={user}\n"
                                             f"ExecStart={_exec(words)}\n")
        units[f"forecast-{name}.timer"] = (f"{about}\n[Timer]\nOnCalendar={when[1]}\nPersistent=true\n\n"
                                           f"[Install]\nWantedBy=timers.target\n")
    return units


def _exec(words: Sequence[str]) -> str:
    """Words as ExecStart= takes them."""
    quoted = (w if shlex.quote(w) == w else '"' + w.replace("\\", r"\\").replace('"', r"\"") + '"' for w in words)
    return " ".join(quoted).replace("%", "%%").replace("$", "$$")
