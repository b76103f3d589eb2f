"""The store: which runs there are, which of them is live, and which were before. What is inside a run is run.py's.

Only the holder of the lock writes here. The pointer is flipped by one rename, after its line is in the history. After
a crash between the two the last line names a run that is not live, and misleads nobody: the pointer counts."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forecast.errors import ModelError
from forecast.store.record import RunRecord
from forecast.system.clock import now, stamp
from forecast.system.files import (
    CACHE,
    PARTIAL,
    disk_errors,
    exclusive,
    remove_file,
    remove_folder,
    temporaries,
    write_text,
)

RUN_FILE = "run.json"
LIVE, HISTORY, LOCK = "live", "promotions.jsonl", "lock"
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[a-z_]+-[0-9a-f]{4}")
READING_BEGUN = re.compile(r"\.[0-9a-f]{16}\.reading\.[0-9a-f]{8}\.tmp")
MOST_NAME = 1_000                                                       # a longer text is no path


def is_run(folder: Path) -> bool:
    """Whether a folder holds a model, wherever it lies."""
    return all((folder / name).is_file() for name in (RUN_FILE, "manifest.json", "weights.safetensors"))


@dataclass(frozen=True)
class Promotion:
    """A line of promotions.jsonl: when which run went live, and which one a rollback brings back then."""

    at: str
    run: str
    before: str | None
    how: str                        # "train" | "promote" | "rollback"


@dataclass(frozen=True)
class Store:
    """A folder with `runs/`, the file `live` that names the run which serves, `promotions.jsonl`, `lock`, and `cache/`,
    into which readers write, too, without the lock."""

    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @contextmanager
    def lock(self, *, wait: float = 0.0, waiting: Callable[[str], None] = lambda holder: None) -> Iterator[list[str]]:
        """Hold the lock that every writer holds. Yields the names of what a killed writer had left, now removed.

        Raises BusyError where another process holds it, at once or after `wait` seconds; `waiting` is told for whom."""
        with exclusive(self.folder / LOCK, by=" ".join(["forecast", *sys.argv[1:]]), wait=wait, waiting=waiting):
            yield self._cleaned()

    def leftovers(self) -> list[Path]:
        """What a killed writer left behind, or one at work has not finished. No file of anybody else is among them."""
        parts = [d for d in self._folders() if d.name.endswith(PARTIAL) and RUN_ID.fullmatch(d.name[:-len(PARTIAL)])]
        parts += [t for name in (LIVE, HISTORY) for t in temporaries(self.folder / name)]
        with suppress(OSError):                                         # readings are begun without the lock
            parts += sorted(file for file in (self.folder / CACHE).iterdir() if READING_BEGUN.fullmatch(file.name))
        return parts

    def _cleaned(self) -> list[str]:
        left = self.leftovers()
        for path in left:
            (remove_folder if path.name.endswith(PARTIAL) else remove_file)(path)
        return [path.name for path in left]

    def new_id(self, cell: str) -> str:
        """A run id that sorts by the time it was made: 20260919T041512Z-lstm-7f3a."""
        return f"{now():%Y%m%dT%H%M%SZ}-{cell}-{secrets.token_hex(2)}"

    def ids(self) -> list[str]:
        """Complete runs, the oldest first."""
        return [d.name for d in self._folders() if (d / "manifest.json").is_file() and not d.name.endswith(PARTIAL)]

    def _folders(self) -> list[Path]:
        with disk_errors(self.runs, "read"), suppress(FileNotFoundError, NotADirectoryError):
            return sorted(d for d in self.runs.iterdir() if d.is_dir() and not d.is_symlink())
        return []

    def live(self) -> str | None:
        """The id of the run that serves, if any."""
        return self._text(LIVE).strip() or None

    def before(self, run_id: str | None) -> str | None:
        """The run that a rollback from this one brings back, if any."""
        return next((p.before for p in reversed(self.history()) if p.run == run_id), None)

    def promote(self, run_id: str, how: str = "train") -> None:
        """Make a run live, and remember what served before it. Raises DiskError; the old one then serves on."""
        live = self.live()
        if live != run_id:
            self._flip(run_id, before=live if live in self.ids() else self.before(live), how=how)

    def rollback(self) -> str:
        """Make live what served before the live run; called again, what served before that. Returns its id.

        Raises ModelError where there is none, or it is gone."""
        live, known, gone = self.live(), set(self.ids()), set[str]()
        before = self.before(live)
        while before is not None and before not in known | gone:
            gone.add(before)
            before = self.before(before)
        if live is None or before is None or before not in known:
            why = "what served before {} is gone" if gone else "nothing is known to have served before {}"
            raise ModelError(why.format(live or "a first model"), file=str(self.folder), code="no_model",
                             hint="Name one: forecast models promote RUN")
        self._flip(before, before=self.before(before), how="rollback")
        return before

    def _flip(self, run_id: str, *, before: str | None, how: str) -> None:
        line = json.dumps(asdict(Promotion(stamp(now()), run_id, before, how)))
        lines = self._text(HISTORY)
        write_text(self.folder / HISTORY, lines + ("\n" if lines and not lines.endswith("\n") else "") + line + "\n")
        write_text(self.folder / LIVE, run_id + "\n")

    def history(self) -> list[Promotion]:
        """Every promotion, the oldest first; a line that does not tell one is passed over."""
        return [told for told in self._lines() if told is not None]

    def spoilt(self) -> list[int]:
        """The lines of the history that tell no promotion, 1 the first."""
        return [number for number, told in enumerate(self._lines(), 1) if told is None]

    def _lines(self) -> Iterator[Promotion | None]:
        for line in self._text(HISTORY).splitlines():
            try:
                yield Promotion(**json.loads(line))
            except (ValueError, TypeError, RecursionError):
                yield None

    def _text(self, name: str) -> str:
        """What a file of the store says; nothing where it is not there. Raises ModelError for a folder in its place."""
        path = self.folder / name
        if path.is_dir():
            raise ModelError("is a folder, and has to be a file", file=str(path), code="bad_store",
                             hint="Remove it, then name the live model anew: forecast models promote RUN")
        with disk_errors(path, "read"), suppress(FileNotFoundError, NotADirectoryError):
            return path.read_text(encoding="utf-8", errors="replace")
        return ""

    def prunable(self, keep: int) -> list[str]:
        """Runs beside the newest `keep`, the live one, and the one before it."""
        live = self.live()
        ids = self.ids()
        spared = {live, self.before(live), *ids[len(ids) - min(keep, len(ids)):]}
        return [i for i in ids if i not in spared]

    def remove(self, run_id: str) -> None:
        """Raises DiskError."""
        remove_folder(self.runs / run_id)

    def find(self, name: str) -> Path:
        """The folder of a run: by "live", id, unique prefix of one, --name, or path.

        Raises ModelError that says which there are."""
        if name == "live":
            live = self.live()
            if live is None:
                raise ModelError("there is no live model yet", file=str(self.folder), code="no_model",
                                 hint="Train one: forecast train DATA")
            if live not in self.ids():
                raise ModelError(f"names {live}, which is no whole model here", file=str(self.folder / LIVE),
                                 code="no_model", hint="See which there are: forecast models")
            return self.runs / live
        ids = self.ids()
        matches = ([i for i in ids if i == name] or [i for i in ids if name and i.startswith(name)]
                   or self._named(name, ids))
        if len(matches) == 1:
            return self.runs / matches[0]
        if not matches and len(name) < MOST_NAME and (Path(name) / "manifest.json").is_file():
            return Path(name)
        shown = ", ".join((matches or ids)[-5:]) or "none; train one: forecast train DATA"
        problem = f"'{name}' names {len(matches)} models" if matches else f"there is no model '{name}'"
        raise ModelError(problem, code="no_model", hint=f"Models here: {shown}")

    def _named(self, name: str, ids: list[str]) -> list[str]:
        """Runs with this --name; the newest where several bear it."""
        return [i for i in ids if self._name(i) == name][-1:]

    def _name(self, run_id: str) -> str | None:
        return self.record(run_id).name

    def record(self, run_id: str) -> RunRecord:
        """What a run says of itself, as `content` reads it."""
        with suppress(TypeError, ValueError, AttributeError):
            return RunRecord.from_dict(self.content(run_id, RUN_FILE))
        return RunRecord()

    def content(self, run_id: str, file: str) -> dict[str, Any]:
        """A JSON file of a run, unverified, for lists. A damaged one is {}: load says what is wrong with it."""
        try:
            content = json.loads((self.runs / run_id / file).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}
