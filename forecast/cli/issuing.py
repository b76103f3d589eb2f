"""What predict does beside forecasting: looks whether the data are fresh, and keeps what was issued in the ledger."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.cli.console import Console
from forecast.cli.options import Session
from forecast.errors import ForecastError

if TYPE_CHECKING:
    from forecast.adaptation import Track
    from forecast.artifact import Run
    from forecast.ledger import Draft, Issue, Ledger
    from forecast.reader import Reading
    from forecast.series import Panel


def begin(session: Session, run: Run, file: str | Path, reading: Reading, *, horizon: int, levels: Sequence[float],
          options: dict[str, Any], as_of: str | None = None) -> Draft:
    """A draft of this issue. `draft.known` is all of the file's panel as it is to be known, cut where `as_of` says.

    Raises RequestError for an `as_of` that is no time of the data, or a FORECAST_NOW that is no time."""
    from forecast import __version__, freshness
    from forecast.clock import now, stamp
    from forecast.ledger import Draft, issue_of

    known: Panel = reading.panel.with_values()[0]
    if as_of is not None and len(known):
        known = freshness.as_of(known, reading.contract, as_of)
    if not len(known):
        from forecast.errors import DataError

        raise DataError("holds no value to forecast from", file=str(file), code="no_values")
    issue = issue_of(run=run.id, file=file, store=session.store_folder, file_sha256=reading.sha256, panel=known,
                     contract=reading.contract, issued=stamp(now()), version=__version__, horizon=horizon,
                     levels=levels, options=options, as_of=as_of)
    return Draft(issue, known)


def check_fresh(console: Console, session: Session, run: Run, draft: Draft, file: str | Path, reading: Reading, *,
                max_age: str | None = None, require_new: bool = False, output: Path | None = None
                ) -> ForecastError | None:
    """Say what has changed since the last issue about this file; why that is unknown, where the ledger could not be
    read. Raises StaleError where the data are older than `max_age`, or hold nothing new for `output` (None: standard
    output) and something new is required; RequestError for what is no length of time."""
    from datetime import timedelta

    from forecast import clock, freshness
    from forecast.durations import seconds_of
    from forecast.ledger import FILE, Ledger

    now = clock.now()
    if os.environ.get(clock.VARIABLE):
        console.say("clock", f"{clock.stamp(now)} ({clock.VARIABLE})")
    if draft.issue.as_of is not None:
        console.say("as of", f"{draft.issue.as_of}: last known {draft.issue.cutoff_text}")
        if draft.issue.in_hindsight(seen := run.predictor.seen):
            last = run.contract.time_text(run.contract.calendar.times([max(seen.values()) - 1]))[0]
            console.warn("as of", f"{draft.issue.as_of}: the model has seen what came after (data to {last})")
    if max_age is not None:
        most = timedelta(seconds=min(seconds_of(max_age, "--max-age"), 1e12))
        freshness.check_age(freshness.age_of(draft.known, reading.contract, now, file), most, file)
    ledger = Ledger(session.store_folder / FILE)
    say_empty(console, ledger)
    try:
        past = ledger.seen(draft.issue.place, draft.issue.subject)
        answers = ledger.answers(output) if require_new else []
    except ForecastError as error:
        return error
    freshness.check_new(answers, draft.issue, file)
    if past is None or (draft.issue.as_of is not None and draft.issue.cutoff < past.issue.cutoff):
        return None                                                     # a day made up for is compared with nothing
    for note, is_alarm in freshness.changes(past, draft.known, reading.contract, now, draft.issue.fingerprint):
        (console.warn if is_alarm else console.say)("since last", note)
    return None


def adapted_draft(console: Console, session: Session, draft: Draft) -> tuple[Draft, list[Track] | None]:
    """The draft with the factors of its bands among its options, as the misses of the issues before it ask for, and
    what they were told from. None where the ledger could not be read: it is said, and the bands stay (exit 5)."""
    from forecast.adaptation import FEWEST, factors_of, tracks
    from forecast.display import counted
    from forecast.ledger import FILE, Ledger

    ledger = Ledger(session.store_folder / FILE)
    if not ledger.path.exists():
        console.say("adapted", "no band: there is no ledger yet, so nothing that was issued")
        return draft, []
    try:
        found = tracks(ledger, draft.issue, draft.known)
    except ForecastError as error:
        console.warn("partial", f"the bands are as trained, since the ledger could not be read: {error}")
        return draft, None
    for track in found:
        if track.factor is None or track.missed is None:
            console.say("adapted", f"{track.level:g} % band: as trained, {track.issues} of the {FEWEST} issues that "
                                   "it takes have come true")
        else:
            console.say("adapted", f"{track.level:g} % band: {100 * track.missed:.0f} % of "
                                   f"{counted(track.values, 'value')} missed it in {counted(track.issues, 'issue')} "
                                   f"-> x {track.factor:.2f}")
    factors = factors_of(found)
    options = draft.issue.options | ({"adapt": factors} if factors else {})
    return replace(draft, issue=replace(draft.issue, options=options)), found


def keep(console: Console, session: Session, draft: Draft, output: Path | None) -> Issue | None:
    """Put the draft into the ledger, after its file has been written. None where that could not be done: it is said,
    and the forecast stands (exit 5). A crash before this leaves a file that is not in the ledger; the same command
    again writes the same file and records it."""
    from forecast.ledger import FILE, Ledger
    from forecast.storage import disk_errors, sha256

    try:
        with disk_errors(session.store_folder):
            session.store_folder.mkdir(parents=True, exist_ok=True)
            digest = None if output is None else sha256(output)
        issue, is_new = Ledger(session.store_folder / FILE).record(draft, output=output, output_sha256=digest)
    except ForecastError as error:
        console.warn("partial", f"the forecast stands, but could not be kept in the ledger: {error}")
        return None
    console.say("issue", issue.id + ("" if is_new else "   as issued before"))
    return issue


def say_empty(console: Console, ledger: Ledger) -> None:
    """An empty file is taken for a ledger that has not begun; it may have been one."""
    if ledger.is_empty:
        console.warn("ledger", f"{ledger.path} is an empty file: no issue is known, the next one begins it anew")
