"""The store: which runs there are, and which of them is live. What is inside a run is artifact.py's."""

from __future__ import annotations

import json
import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forecast.errors import ModelError
from forecast.storage import exclusive, write_text

RUN_FILE = "run.json"
MOST_NAME = 1_000                                                       # a longer text is no path


@dataclass(frozen=True)
class Store:
    """A folder with `runs/`, the file `live` that names the run which serves, and `lock`."""

    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def lock(self) -> AbstractContextManager[None]:
        """Held by whoever writes here. Raises BusyError at once where another process does."""
        return exclusive(self.folder / "lock")

    def new_id(self, cell: str) -> str:
        """A run id that sorts by the time it was made: 20260919T041512Z-lstm-7f3a."""
        return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{cell}-{secrets.token_hex(2)}"

    def ids(self) -> list[str]:
        """Complete runs, the oldest first."""
        if not self.runs.is_dir():
            return []
        return sorted(d.name for d in self.runs.iterdir() if (d / "manifest.json").is_file()
                      and not d.name.endswith(".partial"))

    def live(self) -> str | None:
        """The id of the run that serves, if any."""
        pointer = self.folder / "live"
        return pointer.read_text(encoding="utf-8", errors="replace").strip() or None if pointer.is_file() else None

    def promote(self, run_id: str) -> None:
        """Make a run live by one rename."""
        write_text(self.folder / "live", run_id + "\n")

    def find(self, name: str) -> Path:
        """The folder of a run: by "live", id, unique prefix of one, --name, or path.

        Raises ModelError that says which there are."""
        if name == "live":
            live = self.live()
            if live is None:
                raise ModelError("there is no live model yet", file=str(self.folder), code="no_model",
                                 hint="Train one: forecast train DATA")
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
        try:
            record = json.loads((self.runs / run_id / RUN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):                   # a damaged run has no name; load tells of it
            return None
        name = record.get("name") if isinstance(record, dict) else None
        return str(name) if name is not None else None
