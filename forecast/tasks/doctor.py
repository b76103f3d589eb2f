"""doctor: is the installation whole, and is the store?"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from forecast import __version__
from forecast.errors import DiskError, ForecastError, ModelError, RequestError
from forecast.reading.cache import readings
from forecast.store.record import RunRecord
from forecast.store.run import load
from forecast.store.store import HISTORY, LOCK, Store
from forecast.system.clock import stamp
from forecast.system.files import holder, remove_file, write_bytes
from forecast.system.machine import usable_cpus
from forecast.tasks.workspace import Workspace
from forecast.text import counted

INSTALLATION, MODEL, DISK = 1, 4, 9                                     # exit codes
LITTLE = 100 * 2**20                                                    # bytes free


@dataclass(frozen=True)
class Finding:
    """What one look found. `exit` is the exit code for it: 0 for what is fine or only worth knowing."""

    check: str
    outcome: str                    # "ok" | "note" | "bad"
    message: str
    exit: int = 0


def doctor(workspace: Workspace) -> Iterator[Finding]:
    """Look at the installation, the settings, the disk, every run and the ledger. Changes nothing."""
    yield from installation()
    yield from settings(workspace)
    yield from disk(workspace.store)
    yield from runs(workspace.store)
    yield ledger(workspace)


def installation() -> Iterator[Finding]:
    """Versions against those asked for, threads, and whether torch can be imported and finds a GPU."""
    yield Finding("program", "ok", f"forecast {__version__}, Python {platform.python_version()}, {platform.machine()}")
    yield _versions()
    threads = os.environ.get("OMP_NUM_THREADS")
    yield Finding("threads", "ok", f"{usable_cpus()} CPUs may be used"
                  + (f"; OMP_NUM_THREADS={threads} is for numpy, --set train.threads for training" if threads else ""))
    try:
        import torch  # what is to be found out

        gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
        yield Finding("device", "ok", f"torch {torch.__version__} trains on " + (f"cuda ({gpu})" if gpu else "the CPU"))
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding("device", "bad", f"torch cannot be used: {error}", INSTALLATION)


def _versions() -> Finding:
    try:
        asked = [re.match(r"([\w-]+)>=([\d.]+)$", line) for line in metadata.requires("forecast") or []]
    except metadata.PackageNotFoundError:
        return Finding("versions", "note", "forecast runs from its source: what it needs is not known; pip install .")
    versions, wrong = [], []
    for name, least in (match.groups() for match in asked if match):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        versions.append(f"{name} {version}")
        if _numbers(version) < _numbers(least):
            wrong.append(f"{name} {version} is older than {least}")
    if wrong:
        return Finding("versions", "bad", f"{', '.join(wrong)}; pip install . again", INSTALLATION)
    return Finding("versions", "ok", ", ".join(versions))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def settings(workspace: Workspace) -> Iterator[Finding]:
    """Whether forecast.toml, the environment and --set can be read."""
    try:
        given = workspace.given
    except RequestError as error:
        yield Finding("settings", "bad", str(error), error.exit_code)
        return
    yield Finding("settings", "ok", f"{len(given)} given; {workspace.file or 'no forecast.toml'}")


def disk(store: Store) -> Iterator[Finding]:
    """Whether the store can be written, by whom, how much room there is, and who is writing now."""
    folder = next(f for f in (store.folder.absolute(), *store.folder.absolute().parents) if f.exists())
    try:
        if store.folder.is_dir():
            write_bytes(folder / ".doctor", bytes(4096))
            remove_file(folder / ".doctor")
        elif not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            why = "is a file, and the store has to be a folder" if folder == store.folder.absolute() else \
                "cannot write: Permission denied"
            raise DiskError(why, file=str(folder))
        free = shutil.disk_usage(folder).free
        yield Finding("store", "note" if free < LITTLE else "ok", f"{store.folder} "
                      + ("can be written" if store.folder.is_dir() else "is not there yet, and can be made")
                      + f"; {free / 2**30:,.1f} GiB free")
    except DiskError as error:
        yield Finding("store", "bad", str(error), DISK)
    kept = readings(store.folder)
    if kept:
        yield Finding("cache", "ok", f"{counted(len(kept), 'reading')} of large files, {sum(kept) / 2**20:,.0f} MiB: "
                                     f"may be removed at any time")
    if loose := [str(p) for p in (store.folder, store.runs) if _others_write(p)]:
        yield Finding("access", "note", f"everybody may write in {', '.join(loose)}, and so change the forecasts; "
                                        f"chmod o-w")
    if (who := holder(store.folder / LOCK)) is not None:
        yield Finding("lock", "note", f"{who} is writing to this store now")
    else:
        yield Finding("lock", "ok", "free")


def _others_write(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def runs(store: Store) -> Iterator[Finding]:
    """Whether every run agrees with its checksums, the live one is there, and nothing half made is left."""
    try:
        ids, live, left, spoilt = store.ids(), store.live(), store.leftovers(), store.spoilt()
    except ForecastError as error:
        yield Finding("runs", "bad", str(error), error.exit_code)
        return
    whole = []
    for run_id in ids:
        try:
            run = load(store.runs / run_id)
            whole.append(run_id)
        except ModelError as error:
            yield Finding("runs", "bad", f"{error}" + ("" if run_id == live else "; forecast models prune removes it"),
                          MODEL)
            continue
        if run_id == live:
            yield from data_of(run.record)
    yield Finding("runs", "ok", f"{counted(len(whole), 'run')} agree with their checksums and can be loaded")
    if live is None:
        yield Finding("live", "note" if ids else "ok", "no run is live" + ("; forecast models promote RUN" if ids else
                                                                           "; train one: forecast train DATA"))
    elif live in whole:
        yield Finding("live", "ok", live)
    else:
        yield Finding("live", "bad", f"{live} is named as live, and is no whole model here; forecast models rollback, "
                                     f"or promote RUN", MODEL)
    if spoilt:
        yield Finding("history", "bad", f"{store.folder / HISTORY}: line {spoilt[0]} tells no promotion, a rollback "
                                        f"passes it over; {counted(len(spoilt), 'such line')} may be removed", MODEL)
    if left:
        yield Finding("leftovers", "note", f"{', '.join(p.name for p in left)}; a run at work, or the next to hold the "
                                           f"lock removes them")
    else:
        yield Finding("leftovers", "ok", "none")


def ledger(workspace: Workspace) -> Finding:
    """Whether every issue can be read."""
    try:
        return Finding("ledger", "ok", f"{counted(workspace.ledger.verify(), 'issue')}, all whole")
    except ForecastError as error:
        return Finding("ledger", "bad", str(error), error.exit_code)


def data_of(record: RunRecord) -> Iterator[Finding]:
    """Whether the file that predict reads by default is there, and whether the clock has gone back since the
    training."""
    path = record.data.path
    if path is not None and not Path(path).exists():
        yield Finding("data", "note", f"{path}, which the live run was trained on, is not there: predict needs DATA "
                                      f"unless it has moved with the store")
    present = stamp(datetime.now(UTC))
    if record.created > present:
        yield Finding("clock", "note", f"the live run was made at {record.created}, and it is {present}: the clock has "
                                       f"gone back")
