"""forecast check: everything wrong with each file, and which flag mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.options import READING, Session, command

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.errors import ForecastError, Problem
    from forecast.reading.reader import Reading

SHOWN = 3                                                               # lines of one kind of problem
UNUSABLE = 3


@command(settings=READING)
def check(
    session: Session,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", show_default=False,
                                               help="files to look at; - for standard input")],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="PATH", help="write the series as they would "
                                               "be read: .csv .csv.gz .parquet .json .xlsx; a folder for "
                                               "several")] = None,
    rejects: Annotated[str | None, typer.Option(metavar="PATH", help="write every bad row to a CSV file")] = None,
) -> int:
    """Say everything that is wrong with a file, and which flag mends it.

    A file is exact, repaired (each repair is counted) or refused. Exit 3 if any is refused."""
    from forecast.cli.console import Console
    from forecast.tasks import check as task

    console, entries = Console(session), []
    for checked in task.check(session.workspace, task.Request(files, output, rejects), console):
        if checked.refusal is not None:
            _show_refusal(console, checked.file, checked.refusal)
        elif checked.reading is not None:
            _show_reading(console, checked.reading, checked.outcome)
        entries.append(checked.to_dict())
    console.document(entries)
    return UNUSABLE if any(entry["outcome"] == "refused" for entry in entries) else 0


def _show_refusal(console: Console, file: str, error: ForecastError) -> None:
    """Problems by kind: how many, the flag beside them, the first lines of each."""
    from forecast.text import counted

    kinds: dict[str, list[Problem]] = {}
    for problem in error.problems:
        kinds.setdefault(problem.code, []).append(problem)
    console.result(f"{error.problem.file or file}   refused, {counted(len(error.problems), 'problem')}")
    for code, problems in kinds.items():
        hints = list(dict.fromkeys(p.hint for p in problems if p.hint))
        more = " (and others, by line)" if len(hints) > 1 else ""
        times = f", {len(problems):,} times" if len(problems) > 1 else ""
        console.result(f"  {code.replace('_', ' ')}{times}" + (f"   {hints[0]}{more}" if hints else ""))
        _show_lines(console, problems)


def _show_reading(console: Console, reading: Reading, outcome: str) -> None:
    from forecast.system.datasource import shown_path
    from forecast.tasks.teller import roles_of
    from forecast.text import counted, listed

    panel, contract = reading.panel, reading.contract
    first, last = contract.time_text(contract.calendar.times([int(panel.start.min()), int(panel.end.max()) - 1]))
    console.result(f"{shown_path(reading.file)}   {outcome}, {counted(reading.rows, 'row')}, "
                   f"{counted(len(panel), 'series')}, {contract.calendar.words}, {first} .. {last}", fold=12)
    name, time = contract.read_from
    ident = f"id={name}  " if contract.layout == "long" else ""
    console.result(f"  columns   {ident}time={time}  target={listed(contract.targets)}", fold=12)
    for role, words in roles_of(contract).items():
        console.result(f"  {role:<9} {words}", fold=12)
    for note in reading.notes:
        console.result(f"  read      {note}", fold=12)
    for repair in reading.repairs:
        console.result(f"  repaired  {repair.message}" + (f"   ({repair.flag})" if repair.flag else ""), fold=12)
        _show_lines(console, repair.examples, repair.count)


def _show_lines(console: Console, problems: Sequence[Problem], count: int | None = None) -> None:
    for problem in problems[:SHOWN]:
        place = "" if problem.row is None else f"line {problem.row:,}"
        column = "" if problem.column is None else f"column '{problem.column}': "
        console.result(f"    {place:<14}{column}{problem.message}")
    if len(problems) > SHOWN and (more := (count or len(problems)) - SHOWN) > 0:
        console.result(f"    {'':<14}and {more:,} more")
