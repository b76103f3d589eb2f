"""The past: an issue that is named, its data as they lie now, and its forecast made again."""

from __future__ import annotations

from pathlib import Path

from forecast.errors import ModelError, RequestError
from forecast.ledger.issue import Issue
from forecast.ledger.ledger import Ledger
from forecast.ledger.reissue import BySeries, Plans, cut_at, with_plans
from forecast.reading.reader import Reading
from forecast.series.panel import Panel
from forecast.store.run import Run
from forecast.system.addresses import is_database, shown
from forecast.system.datasource import STDIN, DataSource
from forecast.tasks.issuing import as_optioned, forecaster_of
from forecast.tasks.prior import is_of_prior, prior_for
from forecast.tasks.workspace import Workspace
from forecast.text import safe
from forecast.writing.places import FOLDER, Place


def issue_named(workspace: Workspace, what: str) -> tuple[Issue, bool]:
    """The issue that a file, a folder or a name means, and whether what lies there is as written (True for a name).

    Raises ModelError, and RequestError for a table, which holds many."""
    if is_database(what):
        raise RequestError(f"{shown(what)}: a table holds many forecasts", code="no_issue",
                           hint="Name an issue, or last")
    path, ledger = workspace.path(what), workspace.ledger
    if not path.exists():
        return _found(ledger, what, "there is no such file, and no issue of this name"), True
    return ledger.written(path, _digest(path)) or (_found(ledger, what, "is no forecast that this store knows"), True)


def _found(ledger: Ledger, what: str, otherwise: str) -> Issue:
    """The issue of this name. Raises ModelError: in these words where there is none."""
    if what != "last" and not any(issue.id.startswith(what) for issue in ledger.issues()):
        known = ", ".join(issue.id for issue in ledger.issues()[-5:]) or "none; forecast predict makes one"
        raise ModelError(f"{safe(what)}: {otherwise}", code="no_issue", hint=f"Issues here: {known}")
    return ledger.find(what)


def issues_named(workspace: Workspace, what: str) -> tuple[list[Issue], bool]:
    """The same of a file that may hold the issues of many days, the oldest first. Raises ModelError."""
    issue, untouched = issue_named(workspace, what)
    path = workspace.path(what)
    return workspace.ledger.held(_digest(path)) if untouched and path.exists() else [issue], untouched


def _digest(path: Path) -> str:
    """Of a file, or of a folder of forecasts."""
    return str(Place(f"{path}{FOLDER}" if path.is_dir() else str(path)).sha256())


def made_by(workspace: Workspace, issue: Issue, data: str | None) -> tuple[Run, Reading]:
    """The run that made an issue, and today's contents of the file it was made from.

    Raises RequestError where the file must be named, ModelError for a run that is gone, DataError."""
    if data is None and issue.data == STDIN:
        raise RequestError("the issue was made from standard input, so its data must be named", code="no_data",
                           hint="Give --data FILE")
    source = workspace.source(data) if data else DataSource.kept(workspace.store.folder, issue.data, issue.place)
    if is_of_prior(issue.run):
        return prior_for(workspace, source, issue.options.read, horizon=issue.horizon, name=issue.run,
                         levels=",".join(f"{level:g}" for level in issue.levels))
    run = workspace.run(issue.run)
    return run, workspace.read_for(run, source, issue.options.read)


def made_again(run: Run, issue: Issue, panel: Panel, ends: dict[str, int], *plans: Plans) -> BySeries:
    """What this run says, by the options of the issue, of the series as they were known before these ends, and with
    what the plans knew ahead."""
    known = with_plans(cut_at(panel, ends), issue.horizon, *plans)
    if not len(known):
        return BySeries({})
    forecast = as_optioned(forecaster_of(run, issue.options).predict(known, issue.horizon), issue.options)
    return BySeries.made(forecast, issue.quantiles, run.contract.decimals)
