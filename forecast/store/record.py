"""RunRecord: what run.json of a model folder holds: what made the run, and whether it went live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """Whether a new run may go live, and why; the errors are MASE, or MAE where no series has a MASE."""

    passed: bool
    reason: str
    new: float | None = None
    live: float | None = None
    windows: int = 0


@dataclass(frozen=True)
class DataRecord:
    """What was read: how much of it, what was assumed and mended, and where it lay (no path: in no file)."""

    rows: int = 0
    series: int = 0
    sha256: str = ""
    notes: tuple[str, ...] = ()
    repairs: tuple[Mapping[str, Any], ...] = ()     # kind, count, message
    path: str | None = None
    from_store: str | None = None                   # the same, seen from the store, which may move with it
    first: str | None = None
    last: str | None = None

    @property
    def reading(self) -> dict[str, Any]:
        """What is said of the reading, without the places where the file lay."""
        return {"rows": self.rows, "series": self.series, "sha256": self.sha256, "notes": list(self.notes),
                "repairs": list(self.repairs)}


@dataclass(frozen=True)
class RunRecord:
    """Enough to know a run by, and to make it again."""

    id: str = ""
    name: str | None = None         # given by --name
    created: str = ""               # UTC
    seconds: float = 0.0            # of its training
    seed: int | None = None
    threads: int | None = None
    device: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    data: DataRecord = DataRecord()
    origin: str | None = None       # the run whose networks it goes on from; "from" in the file
    promotion: Verdict | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives back an equal record."""
        return {"from" if name == "origin" else name: value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RunRecord:
        """A field that is missing takes its default, which means: not known. Raises TypeError, ValueError or
        AttributeError for what is no record."""
        known = _of(cls, {"origin" if name == "from" else name: value for name, value in content.items()})
        data = _of(DataRecord, known.pop("data", {}))
        data |= {name: tuple(data[name]) for name in ("notes", "repairs") if name in data}
        promotion, name = known.pop("promotion", None), known.pop("name", None)
        return cls(**known, name=None if name is None else str(name), data=DataRecord(**data),
                   promotion=None if promotion is None else Verdict(**_of(Verdict, promotion)))


def _of(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """What a table says of the fields of a kind."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in content.items() if name in names}
