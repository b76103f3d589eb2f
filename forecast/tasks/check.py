"""check: everything wrong with each file, and which flag mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from forecast.errors import DataError, Problem, RequestError
from forecast.reading.future import cells_of
from forecast.reading.reader import Reading, read_panel
from forecast.series.arrays import Ints
from forecast.series.covariates import ROLES
from forecast.system.files import disk_errors
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace
from forecast.text import quoted
from forecast.writing.layouts import check_ending, is_typed, stamps, write_table

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat", ".gz", ".zst", ".zip", ".bz2", ".xz", ".parquet", ".pq", ".json",
           ".xlsx", ".xlsm")


@dataclass(frozen=True)
class Request:
    """The files to look at. output: where the series are written as they would be read, a file, or a folder for
    several. rejects: where every bad row is written."""

    files: Sequence[str]
    output: str | None = None
    rejects: str | None = None


@dataclass(frozen=True)
class Checked:
    """A file, and its reading or why it was refused."""

    file: str
    reading: Reading | None
    refusal: DataError | None = None

    @property
    def outcome(self) -> str:
        """exact, repaired or refused."""
        return "refused" if self.reading is None else "repaired" if self.reading.repairs else "exact"

    @property
    def problems(self) -> Sequence[Problem]:
        """Its bad rows."""
        return self.refusal.problems if self.refusal else self.reading.rejects if self.reading else ()

    def to_dict(self) -> dict[str, Any]:
        """The entry of the file, for JSON."""
        problems, reading = [asdict(p) for p in self.problems], self.reading
        if reading is None:
            named = self.refusal and self.refusal.problem.file
            return {"file": named or self.file, "outcome": self.outcome, "problems": problems, "repairs": [],
                    "columns": None, "frequency": None, "series": None, "rows": None}
        contract = reading.contract
        repairs = [{"kind": r.kind, "count": r.count, "message": r.message, "flag": r.flag,
                    "examples": [asdict(p) for p in r.examples]} for r in reading.repairs]
        return {"file": self.file, "outcome": self.outcome, "problems": problems, "repairs": repairs,
                "columns": {"id": contract.id, "time": contract.time, "target": list(contract.targets)} | {
                    role: [b.name for b in contract.beside if b.role == role] for role in ROLES if contract.beside},
                "frequency": contract.calendar.freq, "series": len(reading.panel), "rows": reading.rows,
                "notes": list(reading.notes), "early": early_ends(reading)}


def early_ends(reading: Reading) -> list[dict[str, Any]]:
    """The series that end before the others: name, last time, and how many steps before."""
    panel, contract = reading.panel.with_values()[0], reading.contract
    behind = panel.behind
    early = np.flatnonzero(behind)
    last = contract.time_text(contract.calendar.times(panel.end[early] - 1)) if early.size else []
    return [{"series": str(panel.ids[s]), "last": time, "steps": int(behind[s])}
            for s, time in zip(early.tolist(), last, strict=True)]


def check(workspace: Workspace, request: Request, teller: Teller = SILENT) -> Iterator[Checked]:
    """Look at each file in turn. Its series are written when the next file is asked for; all bad rows, at the end.

    Raises RequestError before any work for places that cannot be written as asked, and DiskError."""
    target = None if request.output is None else workspace.path(request.output)
    into_folder = target is not None and (len(request.files) > 1 or target.is_dir())
    if request.output is not None and not into_folder:
        check_ending(request.output)
    if target is not None and into_folder:
        _check_places(target, request.files)
    written = {_named(target, file) for file in request.files} if target is not None and into_folder else {target}
    rejects = None if request.rejects is None else workspace.path(request.rejects)
    sources = [workspace.source(file) for file in request.files]
    beside = [read for source in sources for read in workspace.inputs(source)]
    workspace.guard([*written, rejects], beside, makes_folder=into_folder)
    bad: list[Problem] = []
    for file in request.files:
        checked = looked_at(workspace, file)
        yield checked
        bad += checked.problems
        if target is not None and checked.reading is not None:
            path = _place(target, file) if into_folder else target
            write_table(as_read(checked.reading, typed=is_typed(path.name)), path)
            teller.wrote(path, f"{checked.reading.panel.y.size:,} rows")
    if rejects is not None:
        write_table(_rejects(bad), rejects)
        teller.wrote(rejects, f"{len(bad):,} problems")


def looked_at(workspace: Workspace, data: str | pd.DataFrame) -> Checked:
    """Read one file, always anew, or a data frame."""
    source, options = workspace.source(data), workspace.placed(workspace.config.data)
    name = data if isinstance(data, str) else source.name
    try:
        return Checked(name, read_panel(source.name, options) if source.frame is None else
                       workspace.read(source, options))
    except DataError as error:
        return Checked(name, None, error)


def _check_places(folder: Path, files: Sequence[str]) -> None:
    """Raises RequestError where two files would be written to one."""
    first: dict[Path, str] = {}
    for file in files:
        other = first.setdefault(_named(folder, file), file)
        if other is not file:
            raise RequestError(f"{quoted(other, 60)} and {quoted(file, 60)} would both be written to "
                               f"{quoted(_named(folder, file).name)}", hint="Rename one, or check one at a time")


def _place(folder: Path, file: str) -> Path:
    """Where the series of one of several files go. Raises DiskError."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return _named(folder, file)


def _named(folder: Path, file: str) -> Path:
    """The file in the folder: the same name, with .csv in place of the known endings."""
    name = Path(file).name
    while (stem := Path(name).stem) != name and Path(name).suffix.lower() in ENDINGS:
        name = stem
    return folder / f"{'series' if name in ('', '-') else name}.csv"


def as_read(reading: Reading, *, typed: bool = False) -> pa.Table:
    """The series as a table: id, time, target, covariates, with the rows of the future that those have. Times are text
    as the file writes it, or time stamps where `typed`. A missing value is an empty cell."""
    panel, contract = reading.panel, reading.contract
    sizes = panel.lengths if panel.beside is None else np.maximum(panel.lengths, panel.beside.stop - panel.start)
    series = np.repeat(np.arange(len(panel)), sizes)
    step = np.arange(series.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    inside = step < panel.lengths[series]
    values = np.where(inside, panel.y[np.where(inside, panel.first[series] + step, 0)], np.nan)
    target = contract.targets[0] if contract.layout != "wide" else "value"
    columns: dict[str, Any] = {}
    for header, texts in contract.id_cells(panel.ids).items():
        columns[header] = pa.array(texts, pa.string()).take(pa.array(series))
    columns[contract.time] = stamps(contract, panel.start[series] + step, typed=typed)
    columns[target] = pa.array(values, mask=np.isnan(values))
    return pa.table(columns | _covariates(reading, series, panel.start[series] + step))


def _covariates(reading: Reading, series: Ints, ordinals: Ints) -> dict[str, Any]:
    """The cells of the covariates at these points (N,)."""
    beside = reading.panel.beside
    if beside is None:
        return {}
    values = np.concatenate([beside.past(series, ordinals + 1, 1)[:, 0], beside.static[series]], axis=1)
    return {b.name: cells_of(b, values[:, k]) for k, b in enumerate(reading.contract.beside)}


def _rejects(problems: Sequence[Problem]) -> pa.Table:
    """One row a problem."""
    texts = ("file", "column", "code", "message", "value", "hint")
    columns: dict[str, Any] = {
        name: pa.array([str(getattr(p, name) or "") for p in problems], pa.string()) for name in texts}
    columns["line"] = pa.array([p.row for p in problems], pa.int64())
    return pa.table({name: columns[name] for name in ("file", "line", *texts[1:])})
