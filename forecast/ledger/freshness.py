"""Freshness: whether there is anything new to say, how old the newest point is, what has changed since the last issue,
and the file as it stood at an earlier time."""

# S series

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from forecast.errors import RequestError, StaleError
from forecast.ledger.issue import Issue, LastSeen
from forecast.reading.contract import Contract
from forecast.reading.parsing.zones import to_utc
from forecast.series.panel import Panel
from forecast.system.clock import told_apart
from forecast.system.datasource import DataSource
from forecast.text import counted, listed, quoted

WESTMOST = timedelta(hours=12)                                          # behind UTC
PERIOD = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?)?)?")


def as_of(panel: Panel, contract: Contract, text: str) -> Panel:
    """The panel as it stood at a time, that time included: no later point, and no point that was filled in from later
    ones. `text` is a time as the file writes it, or the beginning of an ISO time, which stands for its whole period:
    2026-09 is all of September. A series that had not begun is left out.

    Values revised since then are as they are now. Raises RequestError for what is no such time, or before all data."""
    cut = panel.before(_ordinal_at(panel, contract, text) + 1).ended_on_truth()
    cut = cut.take(np.flatnonzero(cut.lengths > 0))
    if not len(cut):
        raise RequestError(f"--as-of {text}: the data begin later", code="bad_time")
    return cut


def cutoffs_between(panel: Panel, contract: Contract, begin: str, end: str) -> list[str]:
    """Each step of the data from one time to another, both of which belong to it, as the file writes it. Times are
    given as in `as_of`; nothing stands for the first or last of the data.

    Raises RequestError for what is no such time, and where no step lies between."""
    first, newest = int(panel.start.min()), int(panel.newest.max()) - 1
    since = _ordinal_at(panel, contract, begin.strip(), last=False) if begin.strip() else first
    until = _ordinal_at(panel, contract, end.strip()) if end.strip() else newest
    ordinals = np.arange(max(since, first), min(until, newest) + 1)
    if not ordinals.size:
        raise RequestError(f"--as-of {begin[:30]}..{end[:30]}: no step of the data lies there", code="bad_time",
                           hint="Write it as FROM..TO, as in 2026-08-01..2026-08-31")
    return contract.time_text(contract.calendar.times(ordinals))


def _ordinal_at(panel: Panel, contract: Contract, text: str, *, last: bool = True) -> int:
    """The last ordinal at or before a time; or the first at or after it."""
    calendar, first, end = contract.calendar, int(panel.start.min()), int(panel.end.max())
    if calendar.is_time and PERIOD.fullmatch(text):
        try:
            begin = np.datetime64(text.replace(" ", "T"))
        except ValueError:
            raise _no_time(contract, text) from None
        tick = np.timedelta64(1, "us")                                  # a period from its first moment to its last
        at = np.array([(begin + 1).astype("datetime64[us]") - tick if last else begin.astype("datetime64[us]") - tick])
        if contract.utc and contract.tz:
            at = to_utc(at.view(np.int64), np.zeros(1, dtype=np.int64), contract.tz)[0].view("datetime64[us]")
        ordinals = np.arange(first - 1, end)
        times = calendar.times(ordinals)
        return int(ordinals[max(0, np.searchsorted(times, at[0], side="right") - 1)]) + (not last)
    if not calendar.is_time and re.fullmatch(r"-?\d{1,18}", text):
        return int(calendar.nearest(np.array([int(text)], dtype=np.int64))[0])
    texts = contract.time_text(calendar.times(np.arange(first, end)))
    if text not in texts:
        raise _no_time(contract, text)
    return first + len(texts) - 1 - texts[::-1].index(text)


def _no_time(contract: Contract, text: str) -> RequestError:
    example = "2026-09-19, or a time of the file as it writes it" if contract.calendar.is_time else "a number"
    return RequestError(f"--as-of {text[:40]!r} is no time of the data", code="bad_time", hint=f"Write {example}")


@dataclass(frozen=True)
class Age:
    """How old the newest data are, and the stamp, or the change of the file, that this is counted from."""

    age: timedelta
    newest: str
    names_zone: bool = True         # else it counts as UTC


def age_of(panel: Panel, contract: Contract, now: datetime, source: DataSource) -> Age:
    """The time since the newest stamp; stamps without a zone count as UTC. Integer steps tell no time: there the
    file's own date of change counts. Raises RequestError for such data where there is no file."""
    if contract.calendar.is_time:
        newest = contract.calendar.times([int(panel.end.max()) - 1])
        numbers = newest.astype("datetime64[us]").view(np.int64)
        if contract.tz and not contract.utc:
            numbers = to_utc(numbers, np.zeros(1, dtype=np.int64), contract.tz)[0]
        moment = datetime.fromtimestamp(int(numbers[0]) // 1_000_000, UTC) if abs(numbers[0]) < 4e17 else now
        return Age(now - moment, contract.time_text(newest)[0], names_zone=contract.utc or bool(contract.tz))
    changed = source.changed()
    if changed is None:
        raise RequestError("--max-age: integer steps that stand in no file have no age", code="no_age",
                           hint="Give a file")
    return Age(now - changed, f"the file's last change at {changed:%Y-%m-%dT%H:%M:%SZ}")


def seconds_old(panel: Panel, contract: Contract, now: datetime, source: DataSource) -> float:
    """The age of the newest data in seconds; NaN for data that have none."""
    try:
        return age_of(panel, contract, now, source).age.total_seconds()
    except (RequestError, OSError):
        return math.nan


def check_age(age: Age, most: timedelta, source: DataSource, *, aside: str = "") -> None:
    """Raises StaleError where the data are older than `most`. aside: which of the newest were read as missing."""
    if age.age > most:
        old, limit = told_apart(age.age, most)
        may_be_zone = not age.names_zone and age.age - WESTMOST <= most
        raise StaleError(f"the newest point is {age.newest}, {old} old: more than {limit}", file=str(source),
                         code="max_age", hint=aside or "Look at what should have brought new data" + (
                             "; if its times are not UTC, train with --tz" if may_be_zone else ""))


def changes(seen: LastSeen | None, panel: Panel, contract: Contract, now: datetime, fingerprint: str
            ) -> list[tuple[str, bool]]:
    """What has happened to the series since the last issue about the same file. Of each change the words, and whether
    a person must look at it.

    panel: all series of the file, as known now; fingerprint: the ledger's, of that panel."""
    if seen is None:
        return []
    notes = _of_the_clock(seen.issue, now)
    if fingerprint == seen.issue.fingerprint:
        return [(f"the data are as they were for the forecast of {seen.issue.issued}", False), *notes]
    ids = [str(i) for i in panel.ids]
    there = set(ids)
    then = replace(contract, ids=tuple(seen.marks), marks=tuple(seen.marks.values()))
    revised = [name for s, name in enumerate(ids) if then.was_revised(name, int(panel.start[s]), panel.values(s))]
    shorter = [name for s, name in enumerate(ids) if name in seen.marks and panel.end[s] < _end(seen.marks[name])]
    has, ends = "has" if len(revised) == 1 else "have", "ends" if len(shorter) == 1 else "end"
    for names, words, is_alarm in (
            ([i for i in ids if i not in seen.marks], "appeared since the last issue", False),
            ([i for i in seen.marks if i not in there], "vanished since the last issue", True),
            (revised, f"{has} a revised history since the last issue", False),
            (shorter, f"{ends} earlier than at the last issue", True)):
        if names:
            notes.append((f"{counted(len(names), 'series')} {words}: {listed(names, 4)}", is_alarm))
    return notes


def check_new(issues: Iterable[Issue], issue: Issue, source: DataSource) -> None:
    """Raises StaleError where this very request was answered from the same data already, by one of `issues`
    (Ledger.answers). What was issued of other series, another shard, or with other bands, makes nothing old."""
    same = [i for i in issues if (i.fingerprint, i.request) == (issue.fingerprint, issue.request)]
    if same:
        raise StaleError(f"nothing new since the issue of {same[-1].issued} (last {quoted(same[-1].cutoff_text)})",
                         file=str(source), code="nothing_new", hint="Without --require-new it is forecast again")


def _of_the_clock(last: Issue, now: datetime) -> list[tuple[str, bool]]:
    """A clock that went back would give the newest issue an old date."""
    if f"{now:%Y-%m-%dT%H:%M:%SZ}" < last.issued:
        return [(f"the clock says {now:%Y-%m-%dT%H:%M:%SZ}, which is before the last issue, {last.issued}", True)]
    return []


def _end(mark: str) -> int:
    """Ordinal behind the last point of a marked series."""
    start, length, *_ = mark.split(":")
    return int(start) + int(length)

