"""forecast replay: a past output made again from the same run and the same data, and whether it is identical."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.options import Session, command

if TYPE_CHECKING:
    from pathlib import Path

    from forecast.artifact import Run
    from forecast.forecasts import Forecast
    from forecast.ledger import Issue, Ledger
    from forecast.reader import Reading
    from forecast.series import Panel

SHOWN = 5                                                               # deviations printed one by one


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "replay")(replay)


def replay(
    session: Session,
    what: Annotated[str, typer.Argument(metavar="FORECAST|ISSUE", show_default=False,
                                        help="a file that predict wrote, an issue's id or its beginning, or last")],
    data: Annotated[str | None, typer.Option(metavar="FILE", show_default=False,
                                             help="the data, where they lie elsewhere now")] = None,
) -> int:
    """Make a past output again: the same run, the data as they stood then, the same options. Says whether every number
    is identical; exit 6 where one is not, or where the file is no longer what was written."""
    from forecast import hardware

    hardware.prepare(threads=1)
    from dataclasses import asdict

    from forecast import __version__
    from forecast.artifact import load
    from forecast.cli.console import Console
    from forecast.display import counted
    from forecast.errors import GateError
    from forecast.ledger import FILE, Ledger, fingerprint
    from forecast.registry import Store
    from forecast.reissue import Told, cut_at, deviations

    console, ledger = Console(session), Ledger(session.store_folder / FILE)
    issue, untouched = issue_named(session, ledger, what)
    run = load(Store(session.store_folder).find(issue.run))
    reading = data_of(session, issue, run, data)
    kept = Told.kept(ledger.blocks(issue))
    known = cut_at(reading.panel, kept.ends)
    made = Told.made(forecast_again(run, issue, known), issue.quantiles, run.contract.decimals) if len(known) \
        else Told({})
    found = deviations(kept, made, issue.quantiles)
    partly = issue.options.get("series") or issue.options.get("shard")  # the fingerprint is of all series
    revised = None if partly else fingerprint(known) != issue.fingerprint
    console.say("issue", f"{issue.id}   {issue.series:,} series x {issue.horizon} steps after {issue.cutoff_text}, "
                         f"run {issue.run}")
    numbers = sum(values.size for _, values in kept.of.values())
    if revised:
        console.say("data", f"{reading.file} holds another history before {issue.cutoff_text} than then")
    if issue.version != __version__:
        console.say("program", f"{issue.version} then, {__version__} now")
    for d in found[:SHOWN]:
        time = run.contract.time_text(run.contract.calendar.times([d.ordinal]))[0]
        console.result(f"{d.series}  {time}  quantile {d.quantile:g}: was {d.was!r}, now "
                       f"{'not forecast any more' if d.now is None else repr(d.now)}")
    console.document({"issue": issue.id, "run": issue.run, "cutoff": issue.cutoff_text, "numbers": numbers,
                      "identical": not found and untouched, "differ": len(found), "file_as_written": untouched,
                      "data_revised": revised, "deviations": [asdict(d) for d in found[:100]]})
    if not untouched:
        raise GateError(f"{what} is no longer what was written", code="changed",
                        hint=f"The issue itself {'differs too' if found else 'can be made again, number for number'}")
    if found:
        raise GateError(f"{len(found):,} of {counted(numbers, 'number')} differ"
                        + (": the history has been revised" if revised else ""), code="differs")
    console.result(f"identical: {counted(numbers, 'number')}")
    return 0


def issue_named(session: Session, ledger: Ledger, what: str) -> tuple[Issue, bool]:
    """The issue that a file or a name means, and whether the file is still what was written (True for a name).

    Raises ModelError."""
    from forecast.storage import sha256

    path = session.path(what)
    if not path.is_file():
        return ledger.find(what), True
    return ledger.written(path, sha256(path)) or (ledger.find(what), True)


def data_of(session: Session, issue: Issue, run: Run, data: str | None) -> Reading:
    """Today's contents of the file an issue was made from. Raises RequestError where it must be named."""
    from pathlib import Path

    from forecast.cache import read_cached
    from forecast.errors import RequestError
    from forecast.ledger import STDIN

    if data is None and issue.data == STDIN:
        raise RequestError("the issue was made from standard input, so its data must be named", code="no_data",
                           hint="Give --data FILE")
    moved = session.store_folder.resolve() / issue.place
    file: str | Path = session.data(data) if data else moved if moved.exists() else Path(issue.data)
    config = run.predictor.config.override(issue.options.get("read", {}), source="issue")
    return read_cached(file, config.data, contract=run.contract, store=session.store_folder)


def forecast_again(run: Run, issue: Issue, known: Panel) -> Forecast:
    """What this run says of this panel, by the options of the issue."""
    from forecast.cli.predict import as_optioned

    return as_optioned(run.predictor.predict(known, issue.horizon), issue.options)
