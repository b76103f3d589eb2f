"""forecast check: everything wrong with each file, and which flag mends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import READING, Session, command, guard

if TYPE_CHECKING:
    import pyarrow as pa

    from forecast.cli.console import Console
    from forecast.errors import ForecastError, Problem
    from forecast.reader import Reading

SHOWN = 3                                                               # lines of one kind of problem
UNUSABLE = 3
ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat", ".gz", ".zst", ".zip", ".bz2", ".xz", ".parquet", ".pq", ".json")


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "check", settings=READING)(check)


def check(
    session: Session,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", show_default=False,
                                               help="files to look at; - for standard input")],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="PATH", help="write the series as they would "
                                               "be read: .csv .csv.gz .parquet .json; a folder for several")] = None,
    rejects: Annotated[str | None, typer.Option(metavar="PATH", help="write every bad row to a CSV file")] = None,
) -> int:
    """Say everything wrong with each file and which flag mends it.

    A file is exact, repaired (each repair is counted) or refused. Exit 3 if any is refused."""
    from forecast.cli.console import Console, write_out
    from forecast.layout import check_ending, is_typed, write_table
    from forecast.storage import to_json

    console = Console(session)
    target = None if output is None else session.path(output)
    into_folder = target is not None and (len(files) > 1 or target.is_dir())
    if output is not None and not into_folder:
        check_ending(output)
    if target is not None and into_folder:
        _check_places(target, files)
    guard([*({_named(target, file) for file in files} if target is not None and into_folder else {target}),
           session.path(rejects) if rejects else None], [session.data(file) for file in files])
    entries: list[dict[str, Any]] = []
    bad: list[Problem] = []
    for file in files:
        entry, problems, reading = _looked_at(console, session, file)
        entries.append(entry)
        bad += problems
        if target is not None and reading is not None:
            path = _place(target, file) if into_folder else target
            write_table(as_read(reading, typed=is_typed(path.name)), path)
            console.wrote(path, f"{reading.panel.y.size:,} rows")
    if rejects is not None:
        write_table(_rejects(bad), session.path(rejects))
        console.wrote(session.path(rejects), f"{len(bad):,} problems")
    if session.json:
        write_out(to_json(entries))
    return UNUSABLE if any(entry["outcome"] == "refused" for entry in entries) else 0


def _looked_at(console: Console, session: Session, file: str
               ) -> tuple[dict[str, Any], Sequence[Problem], Reading | None]:
    """The entry of one file for JSON, its bad rows, and the reading unless it is refused; said on the way."""
    from forecast.errors import DataError
    from forecast.reader import read_panel

    try:
        reading = read_panel(session.data(file), session.config().data)
    except DataError as error:
        _show_refusal(console, file, error)
        return _refused(file, error), error.problems, None
    _show_reading(console, reading)
    return _accepted(file, reading), reading.rejects, reading


def _check_places(folder: Path, files: Sequence[str]) -> None:
    """Raises RequestError where two files would be written to one."""
    from forecast.display import quoted
    from forecast.errors import RequestError

    first: dict[Path, str] = {}
    for file in files:
        other = first.setdefault(_named(folder, file), file)
        if other is not file:
            raise RequestError(f"{quoted(other, 60)} and {quoted(file, 60)} would both be written to "
                               f"{quoted(_named(folder, file).name)}", hint="Rename one, or check one at a time")


def _place(folder: Path, file: str) -> Path:
    """Where the series of one of several files go. Raises DiskError."""
    from forecast.storage import disk_errors

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return _named(folder, file)


def _named(folder: Path, file: str) -> Path:
    """The file in the folder: the same name, with .csv in place of the known endings."""
    name = Path(file).name
    while (stem := Path(name).stem) != name and Path(name).suffix.lower() in ENDINGS:
        name = stem
    return folder / f"{'series' if name in ('', '-') else name}.csv"


def _refused(file: str, error: ForecastError) -> dict[str, Any]:
    from dataclasses import asdict

    return {"file": error.problem.file or file, "outcome": "refused",
            "problems": [asdict(p) for p in error.problems], "repairs": [], "columns": None, "frequency": None,
            "series": None, "rows": None}


def _accepted(file: str, reading: Reading) -> dict[str, Any]:
    from dataclasses import asdict

    contract = reading.contract
    repairs = [{"kind": r.kind, "count": r.count, "message": r.message, "flag": r.flag,
                "examples": [asdict(p) for p in r.examples]} for r in reading.repairs]
    return {"file": file, "outcome": "repaired" if repairs else "exact",
            "problems": [asdict(p) for p in reading.rejects], "repairs": repairs,
            "columns": {"id": contract.id, "time": contract.time, "target": list(contract.targets)},
            "frequency": contract.calendar.freq, "series": len(reading.panel), "rows": reading.rows,
            "notes": list(reading.notes)}


def _show_refusal(console: Console, file: str, error: ForecastError) -> None:
    """Problems by kind: how many, the flag beside them, the first lines of each."""
    from forecast.display import counted

    kinds: dict[str, list[Problem]] = {}
    for problem in error.problems:
        kinds.setdefault(problem.code, []).append(problem)
    console.result(f"{error.problem.file or file}   refused, {counted(len(error.problems), 'problem')}")
    for code, problems in kinds.items():
        hints = list(dict.fromkeys(p.hint for p in problems if p.hint))
        more = " (and others, by line)" if len(hints) > 1 else ""
        console.result(f"  {code.replace('_', ' ')}, {len(problems):,}" + (f"   {hints[0]}{more}" if hints else ""))
        _show_lines(console, problems)


def _show_reading(console: Console, reading: Reading) -> None:
    from forecast.display import counted, listed

    panel, contract = reading.panel, reading.contract
    first, last = contract.time_text(contract.calendar.times([int(panel.start.min()), int(panel.end.max()) - 1]))
    outcome = "repaired" if reading.repairs else "exact"
    console.result(f"{reading.file}   {outcome}, {counted(reading.rows, 'row')}, {counted(len(panel), 'series')}, "
                   f"step {contract.calendar.freq}, {first} .. {last}")
    ident = f"id={contract.id}  " if contract.layout == "long" else ""
    console.result(f"  columns   {ident}time={contract.time}  target={listed(contract.targets)}")
    for note in reading.notes:
        console.result(f"  read      {note}")
    for repair in reading.repairs:
        console.result(f"  repaired  {repair.message}" + (f"   ({repair.flag})" if repair.flag else ""))
        _show_lines(console, repair.examples, repair.count)


def _show_lines(console: Console, problems: Sequence[Problem], count: int | None = None) -> None:
    for problem in problems[:SHOWN]:
        place = "" if problem.row is None else f"line {problem.row:,}"
        column = "" if problem.column is None else f"column '{problem.column}': "
        console.result(f"    {place:<14}{column}{problem.message}")
    if len(problems) > SHOWN and (more := (count or len(problems)) - SHOWN) > 0:
        console.result(f"    {'':<14}and {more:,} more")


def as_read(reading: Reading, *, typed: bool = False) -> pa.Table:
    """The series as a table: id, time (as the file writes it, or with `typed` time stamps), target; the holes that are
    left open are empty."""
    import numpy as np
    import pyarrow as pa

    from forecast.layout import stamps

    panel, contract = reading.panel, reading.contract
    series = np.repeat(np.arange(len(panel)), panel.lengths)
    step = np.arange(series.size) - np.repeat(np.cumsum(panel.lengths) - panel.lengths, panel.lengths)
    values = panel.y[panel.first[series] + step]
    target = contract.targets[0] if contract.layout != "wide" else "value"
    columns: dict[str, Any] = {}
    if contract.id is not None:
        columns[contract.id] = pa.array([str(i) for i in panel.ids], pa.string()).take(pa.array(series))
    columns[contract.time] = stamps(contract, panel.start[series] + step, typed=typed)
    columns[target] = pa.array(values, mask=np.isnan(values))
    return pa.table(columns)


def _rejects(problems: Sequence[Problem]) -> pa.Table:
    """One row a problem."""
    import pyarrow as pa

    texts = ("file", "column", "code", "message", "value", "hint")
    columns: dict[str, Any] = {
        name: pa.array([str(getattr(p, name) or "") for p in problems], pa.string()) for name in texts}
    columns["line"] = pa.array([p.row for p in problems], pa.int64())
    return pa.table({name: columns[name] for name in ("file", "line", *texts[1:])})
