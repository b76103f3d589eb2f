"""Issuing: what predict does beside forecasting: it looks whether the data are fresh, and keeps what was issued.

The options of an issue are applied here, too, for predict and for whoever makes the issue again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from forecast import __version__
from forecast.errors import DataError, ForecastError
from forecast.ledger import freshness
from forecast.ledger.adaptation import FEWEST, Track, adapted, factors_of, tracks
from forecast.ledger.issue import Draft, Issue, issue_of
from forecast.ledger.ledger import Ledger
from forecast.ledger.options import Options
from forecast.model.guard import History, kept
from forecast.model.predictor import Predictor
from forecast.reading.contract import Contract
from forecast.reading.reader import Reading
from forecast.reading.rows import newest_aside
from forecast.series.forecast import Forecast
from forecast.store.run import Run
from forecast.system import clock
from forecast.system.datasource import DataSource
from forecast.system.durations import seconds_of
from forecast.system.files import disk_errors
from forecast.tasks.teller import Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted
from forecast.writing.places import Place


def begin(workspace: Workspace, run: Run, source: DataSource, reading: Reading, *, horizon: int,
          levels: Sequence[float], options: Options, as_of: str | None = None) -> Draft:
    """A draft of this issue. `draft.known` holds all series of the file, cut where `as_of` says.

    Raises RequestError for an `as_of` that is no time of the data, or a FORECAST_NOW that is no time."""
    known = reading.panel.with_values()[0]
    if as_of is not None and len(known):
        known = freshness.as_of(known, reading.contract, as_of)
    if not len(known):
        raise DataError("holds no value to forecast from", file=str(source), code="no_values")
    issue = issue_of(run=run.id, source=source, store=workspace.store.folder, file_sha256=reading.sha256, panel=known,
                     contract=reading.contract, issued=clock.stamp(clock.now()), version=__version__, horizon=horizon,
                     levels=levels, options=options, as_of=as_of)
    return Draft(issue, known)


def tell_moment(teller: Teller, run: Run, draft: Draft) -> None:
    """Tell where FORECAST_NOW set the clock, and from which time --as-of forecasts."""
    if os.environ.get(clock.VARIABLE):
        teller.say("clock", f"{clock.stamp(clock.now())} ({clock.VARIABLE})")
    if draft.issue.as_of is not None:
        teller.say("as of", f"{draft.issue.as_of}: last known {draft.issue.cutoff_text}" + (
            "; what is known ahead is as it stands in the file now, and may have been revised since"
            if draft.known.beside is not None and draft.known.beside.known else ""))
        if draft.issue.in_hindsight(known := run.predictor.knowledge):
            last = run.contract.time_text(run.contract.calendar.times([known.end - 1]))[0]
            teller.warn("as of", f"{draft.issue.as_of}: the model has seen what came after (data to {last})")


def check_age(draft: Draft, reading: Reading, source: DataSource, max_age: str) -> None:
    """Raises StaleError where the data are older than `max_age`; RequestError for what is no length of time."""
    most = timedelta(seconds=min(seconds_of(max_age, "--max-age"), 1e12))
    age = freshness.age_of(draft.known, reading.contract, clock.now(), source)
    freshness.check_age(age, most, source, aside=newest_aside(reading.repairs))


def since_last(workspace: Workspace, teller: Teller, draft: Draft, contract: Contract, source: DataSource, *,
               require_new: bool, output: Place | None) -> ForecastError | None:
    """Tell what has changed since the last issue about this file. Returns why that is unknown, where the ledger could
    not be read.

    With `require_new`, raises StaleError where the data hold nothing new for `output` (None: standard output)."""
    ledger, issue = workspace.ledger, draft.issue
    tell_empty(teller, ledger)
    try:
        past = ledger.last_seen(issue.place, issue.subject)
        answers = ledger.answers(None if output is None else output.identity) if require_new else []
    except ForecastError as error:
        return error
    freshness.check_new(answers, issue, source)
    if past is None or (issue.as_of is not None and issue.cutoff < past.issue.cutoff):
        return None                                                     # a day made up for: nothing stands before it
    for note, is_alarm in freshness.changes(past, draft.known, contract, clock.now(), issue.fingerprint):
        (teller.warn if is_alarm else teller.say)("since last", note)
    return None


def adapted_draft(workspace: Workspace, teller: Teller, draft: Draft) -> tuple[Draft, list[Track] | None]:
    """The draft with factors for its bands among its options, and the tracks of earlier issues that they come from.

    Where the ledger could not be read, that is told, the bands stay as trained, and the tracks are None (exit 5)."""
    ledger = workspace.ledger
    if not ledger.path.exists():
        teller.say("adapted", "no band: there is no ledger yet, so nothing that was issued")
        return draft, []
    try:
        held = tracks(ledger, draft.issue, draft.known)
    except ForecastError as error:
        teller.warn("partial", f"the bands are as trained, since the ledger could not be read: {error}")
        return draft, None
    for track in held:
        if track.factor is None or track.missed is None:
            teller.say("adapted", f"{track.level:g} % band: as trained, {track.issues} of the {FEWEST} issues that "
                                  "it takes can be scored")
        else:
            teller.say("adapted", f"{track.level:g} % band: {100 * track.missed:.0f} % of "
                                  f"{counted(track.values, 'value')} missed it in {counted(track.issues, 'issue')} "
                                  f"-> x {track.factor:.2f}")
    options = replace(draft.issue.options, adapt=factors_of(held))
    return replace(draft, issue=replace(draft.issue, options=options)), held


def keep(workspace: Workspace, teller: Teller, draft: Draft, output: Place | None) -> Issue | None:
    """Put the draft into the ledger, after its rows have been written. Where that fails it is told, the forecast
    stands, and None is returned (exit 5). A crash before this leaves rows that are not in the ledger; the same command
    again writes the same and records them."""
    folder = workspace.store.folder
    try:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            place, digest = (None, None) if output is None else (output.identity, output.sha256())
        issue, is_new = workspace.ledger.record(draft, output=place, output_sha256=digest)
    except ForecastError as error:
        teller.warn("partial", f"the forecast stands, but could not be kept in the ledger: {error}")
        return None
    teller.say("issue", issue.id + ("" if is_new else "   as issued before"))
    return issue


def keep_file(workspace: Workspace, teller: Teller, issues: Sequence[Issue], output: Place) -> None:
    """Put into the ledger that a file holds all of these issues, so that it can be replayed. Where that fails it is
    told, and the file stands."""
    try:
        with disk_errors(workspace.store.folder):
            digest = output.sha256()
        if digest is not None:                                          # a table is told from no other by its bytes
            workspace.ledger.add_output(issues, output.identity, digest)
    except ForecastError as error:
        teller.warn("ledger", f"that {output.name} holds these issues could not be kept: {error}")


def tell_empty(teller: Teller, ledger: Ledger) -> None:
    """Tell of an empty file. It counts as a ledger that has not begun, but may be what is left of one."""
    if ledger.is_empty:
        teller.warn("ledger", f"{ledger.path} is an empty file: no issue is known, the next one begins it anew")


def forecaster_of(run: Run, options: Options) -> Predictor:
    """The run's predictor. By the options of an issue it may forecast below 0."""
    model = run.predictor.config.model
    if not options.allow_negative or model.allow_negative:
        return run.predictor
    config = replace(run.predictor.config, model=replace(model, allow_negative=True))
    return replace(run.predictor, config=config)


def as_optioned(forecast: Forecast, options: Options) -> Forecast:
    """The forecast as the options of its issue have it: bands adapted, then clamped at 0, then rounded."""
    if options.adapt:
        forecast = adapted(forecast, options.adapt)
        forecast = replace(forecast, values=kept(forecast.values, History.of(forecast.panel),
                                                 negative=options.allow_negative))
    values, mean = forecast.values, forecast.mean
    if options.nonnegative:
        values, mean = np.maximum(values, 0.0), None if mean is None else np.maximum(mean, 0.0)
    return replace(forecast, values=np.rint(values) + 0.0 if options.round else values, mean=mean)
