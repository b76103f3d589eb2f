"""init: forecast.toml for a file, with the columns it found, and the lines that run it every day."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.config import FILE, SETTINGS, Config, DataConfig
from forecast.errors import ForecastError, RequestError
from forecast.reading.reader import Reading, read_panel
from forecast.series.calendar import DAY, HOUR, Calendar
from forecast.series.covariates import ROLES
from forecast.series.ids import listed_names
from forecast.system.datasource import DataSource, shown_path
from forecast.system.files import disk_errors, write_text
from forecast.tasks.teller import SILENT, Teller, tell_reading
from forecast.tasks.workspace import Workspace
from forecast.text import counted, safe

Placed = Callable[[DataConfig], DataConfig]                              # files of covariates as seen from here
SHOWN = {                                   # settings worth a line, in this order; what is not set stands as a comment
    "data": ("id", "time", "target", "freq", "fill", "duplicates", "bad_rows", "max_gap", "date_format", "decimal",
             "delimiter", "encoding", "tz"),
    "model": ("horizon", "season", "cell", "levels"),
    "train": ("seed", "time_limit"),
}
SCHEDULES = {                               # how often: cron and systemd, of train, predict and evaluate
    "hour": (("15 4 * * 0", "Sun 04:15"), ("5 * * * *", "*:05"), ("45 4 * * *", "04:45")),
    "day": (("15 4 * * 0", "Sun 04:15"), ("16 5 * * *", "05:16"), ("45 5 * * *", "05:45")),
    "week": (("15 4 1 * *", "*-*-01 04:15"), ("16 5 * * 1", "Mon 05:16"), ("45 5 * * 1", "Mon 05:45")),
}
SPANS = {"hour": "7d", "day": "30d", "week": "2y"}                       # of what was issued, to be scored
FAILED = "forecast-failed@"                                             # the unit that tells of a service that failed


@dataclass(frozen=True)
class Begun:
    """The settings that were written, and what runs train and predict by themselves."""

    path: Path
    settings: str
    crontab: list[str]
    systemd: dict[str, str]                 # name of a unit -> its text

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"file": str(self.path), "settings": self.settings, "crontab": self.crontab, "systemd": self.systemd}


def init(workspace: Workspace, data: str, program: Sequence[str], teller: Teller = SILENT) -> Begun:
    """Write forecast.toml for a file, never over another: one that is there stays, and the file is read by it.
    `program`: the words that start this program.

    Raises RequestError, also for settings of this call that a forecast.toml would have to take up; DataError,
    DiskError."""
    path, source = workspace.path(FILE), workspace.source(data)
    is_there = path.exists() or path.is_symlink()
    if is_there and workspace.said:
        raise RequestError("is there already, and takes up no other settings", file=str(path), code="overwrite",
                           hint="Change it by hand, or move it")
    if source.is_stdin:
        raise RequestError("init needs a file, not standard input", code="no_data")
    if not is_there:
        workspace.guard([path], [source])
    given = workspace.given
    reading = read_panel(source.name, workspace.placed(workspace.config.data))
    tell_reading(teller, reading)
    with disk_errors(path):
        text = path.read_text(encoding="utf-8") if is_there else settled(reading, given, source, workspace.placed)
    if is_there:
        teller.say("kept", f"{shown_path(str(path))}   as it is there already; to have it written anew, move it")
    else:
        write_text(path, text)
        teller.wrote(path)
    calendar = reading.contract.calendar
    rhythm = rhythm_of(calendar)
    lines = commands(workspace, data, program, max_age=max_age_of(calendar),
                     rhythm=rhythm if calendar.is_time else None)
    if rhythm == "hour" and not (reading.contract.utc or reading.contract.tz):
        teller.say("zone", "none is named, so --max-age takes the times for UTC; if they are not, set tz in [data]")
    return Begun(path, text, crontab(lines, rhythm), systemd(lines, rhythm, workspace.folder.resolve(), user()))


def settled(reading: Reading, given: Mapping[str, Any], source: DataSource, placed: Placed = lambda x: x) -> str:
    """The text of forecast.toml. Columns are written only where the file, read with them, reads as it did without."""
    columns = found_columns(reading)
    text = toml(reading, {**columns, **given})
    return text if _reads_alike(text, reading, source, placed) else toml(reading, given)


def found_columns(reading: Reading) -> dict[str, Any]:
    """The columns that were found. Those of a wide file are left open: tomorrow's may have a series more."""
    contract = reading.contract
    columns: dict[str, Any] = {"data.time": listed_names(contract.time_columns or (contract.time,))}
    if contract.layout != "wide":
        columns["data.target"] = listed_names(contract.targets)
    if contract.layout == "long" and contract.id_column:
        columns["data.id"] = contract.id_column
    for role in ROLES:
        if names := [b.name for b in contract.beside if b.role == role and not b.is_holiday]:
            columns[f"data.{role}"] = names
    return columns


def _reads_alike(text: str, reading: Reading, source: DataSource, placed: Placed) -> bool:
    try:
        text.encode()
        values = {f"{section}.{name}": v for section, keys in tomllib.loads(text).items() for name, v in keys.items()}
        options = Config().override(values, source="forecast.toml").data
        again = read_panel(source.name, placed(options))
    except (ForecastError, ValueError):
        return False
    return again.contract == reading.contract


def toml(reading: Reading, values: Mapping[str, Any]) -> str:
    """forecast.toml with these settings, each with its meaning; others worth knowing as comments with their default."""
    lines = ["# Settings of forecast in this folder and those below. Flags, --set, the environment stand over them.",
             f"# {safe(Path(reading.file).name)}: {counted(reading.rows, 'row')}, "
             f"{counted(len(reading.panel), 'series')}, {reading.contract.calendar.words}, "
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
    """As TOML writes it. Texts are written as in JSON, but for one character."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def commands(workspace: Workspace, data: str, program: Sequence[str], *, max_age: str, rhythm: str | None
             ) -> dict[str, list[str]]:
    """The words of the commands, with absolute paths, since cron and systemd start anywhere. A model no better than
    seasonal naive does not go live, nothing is forecast from old data, and a drift beyond chance is a failure.

    rhythm: None where steps have no length in time."""
    folder, store = workspace.folder.resolve(), workspace.store.folder.resolve()
    start = [*program, "-C", str(folder)]
    if store != folder / ".forecast":
        start += ["--store", str(store)]
    last = ["--last", SPANS[rhythm]] if rhythm else []

    def status(command: str) -> list[str]:
        return ["--status-file", f"{named(folder, command)}.prom"]

    return {"train": [*start, "train", data, "-q", "--wait", "1h", "--min-skill", "0", *status("train")],
            "predict": [*start, "predict", "-q", "--adapt", "--max-age", max_age, "-o", "predictions.csv",
                        *status("predict")],
            "evaluate": [*start, "evaluate", "--issued", "-q", *last, "--fail-over", "drift=1.5",
                         *status("evaluate")]}


def named(folder: Path, command: str) -> str:
    """What a command is called among those of other folders: forecast-sales-train."""
    return f"forecast-{re.sub('[^A-Za-z0-9_]+', '-', folder.name).strip('-') or 'data'}-{command}"


def max_age_of(calendar: Calendar) -> str:
    """How old the newest point may be before something is amiss. That is two steps: a stamp stands for the beginning of
    its step, so the next point is known two steps after it. It is at least two runs of the schedule, and four days
    where weekends have no points."""
    step = {"fixed": calendar.every, "business": 2 * DAY, "month": 31 * DAY * calendar.every}.get(calendar.kind, DAY)
    run = {"hour": HOUR, "day": DAY, "week": 7 * DAY}[rhythm_of(calendar)]
    hours = -(-2 * max(step, run) // HOUR)
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"


def rhythm_of(calendar: Calendar) -> str:
    """How often a new point comes, roughly: hour, day or week."""
    if calendar.kind == "month":
        return "week"
    microseconds = calendar.every if calendar.kind == "fixed" else DAY
    return "hour" if microseconds < DAY else "day" if microseconds < 7 * DAY else "week"


def crontab(lines: Mapping[str, Sequence[str]], rhythm: str) -> list[str]:
    """One line a command. The path that -q says is thrown away, so that cron mails only what went wrong. A % is
    escaped: cron takes it for the end of a line."""
    return [f"{when[0]:<12} {shlex.join(words)} >/dev/null".replace("%", r"\%")
            for when, words in zip(SCHEDULES[rhythm], lines.values(), strict=True)]


def user() -> str:
    """Who the services run as: whoever asks for them. Files of root in the store would lock its owner out."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):                                         # a user without a name
        return str(os.getuid())


def systemd(lines: Mapping[str, Sequence[str]], rhythm: str, folder: Path, user: str) -> dict[str, str]:
    """A service and a timer for each command; a missed run is made up for. Of one that fails another unit tells."""
    units = {}
    for when, (name, words) in zip(SCHEDULES[rhythm], lines.items(), strict=True):
        about = f"[Unit]\nDescription=forecast {name} in {str(folder).replace('%', '%%')}\n"
        unit = named(folder, name)
        units[f"{unit}.service"] = (f"{about}OnFailure={FAILED}%n.service\n\n[Service]\nType=oneshot\n"
                                             f"User={user}\nExecStart={_exec(words)}\n")
        units[f"{unit}.timer"] = (f"{about}\n[Timer]\nOnCalendar={when[1]}\nPersistent=true\n\n"
                                           f"[Install]\nWantedBy=timers.target\n")
    units[f"{FAILED}.service"] = ("[Unit]\nDescription=%i has failed\n\n[Service]\nType=oneshot\n"
                                  "# what tells you: put the line here that sends a mail or a message\n"
                                  "ExecStart=/usr/bin/logger -p user.err -t forecast %i has failed\n")
    return units


def _exec(words: Sequence[str]) -> str:
    """Words as ExecStart= takes them."""
    quoted = (w if shlex.quote(w) == w else '"' + w.replace("\\", r"\\").replace('"', r"\"") + '"' for w in words)
    return " ".join(quoted).replace("%", "%%").replace("$", "$$")
