"""Joining: all covariates of a file together, on the calendar of its series; and what there is to say of them."""

# N rows  S series  P points

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.reading.beside import Strip, laid_beside, ordered
from forecast.reading.contract import Beside
from forecast.reading.filling import Regular
from forecast.reading.roles import Roles
from forecast.reading.rows import Rows
from forecast.reading.sheets import Main, holiday_sheets, joined_files, sheet_among
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.covariates import Covariates
from forecast.series.panel import ranges
from forecast.text import counted, listed

SAME = 0.99999                      # correlation from which a column is the target again
OUTSIDE = 0.1                       # share of the old range by which new values must lie outside of it, to be told
NEARLY = 0.99                       # of the first SAMPLE points, that it may be so of all
SOME, SAMPLE = 3, 1000              # points that tell a correlation


@dataclass(frozen=True)
class Joined:
    """Covariates of the series, what the contract keeps of them, what there is to say, and a digest of the files
    beside the data."""

    covariates: Covariates | None = None
    agreed: tuple[Beside, ...] = ()
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    content: str = ""


def joined_to(regular: Regular, main: Main, roles: Roles, rows: Rows, ahead: Bools, strips: Sequence[Strip],
              kept: Bools) -> Joined:
    """The covariates of these series. rows (N,): as they were read · ahead (N,): those behind the last target · strips:
    covariates among their columns · kept: rows of the table that were read. Raises DataError, RequestError."""
    sheets = [sheet_among(strips, rows, kept, ahead, main.calendar, main.options)] if strips else []
    files, notes, choices, content = joined_files(main, roles.elsewhere)
    sheets += files
    stops = [int(s.ordinals.max()) + 1 for s in sheets if s.ordinals is not None and s.ordinals.size]
    sheets += holiday_sheets(main, max([int(main.end.max()), *stops]))
    if not sheets:
        return Joined(None, (), tuple(notes), tuple(choices), content)
    covariates = laid_beside(sheets, main.ids, start=main.start, end=main.end)
    every = ordered([s for sheet in sheets for s in sheet.strips])
    agreed, times = tuple(s.agreed for s in every), _Times.of(covariates, main.end)
    if main.contract is None:
        agreed = tuple(_with_range(b, covariates, k, times) for k, b in enumerate(agreed))
    said = [*notes, *_future(rows, ahead), *(new_words(s) for s in every if s.new),
            *_of_values(covariates, agreed, main, times), *_again(covariates, regular)]
    return Joined(covariates, agreed, tuple(said), tuple(choices), content)


def _future(rows: Rows, ahead: Bools) -> list[str]:
    """That rows lie behind the last target, in words."""
    number = int(ahead.reshape(len(rows.ids), -1).all(axis=0).sum() if rows.wide else ahead.sum())
    what = "target" if rows.wide else rows.target
    return [f"{counted(number, 'row')} behind the last {what}: what they say is known ahead"] if number else []


def new_words(strip: Strip) -> str:
    """The words that training had not seen, in a sentence."""
    number = counted(len(strip.new), "word")
    return f"{strip.agreed.name}: {number} not seen in training, read as other: {listed(strip.new, 4)}"


@dataclass(frozen=True)
class _Times:
    """When each row of the values is (N,), and whether that is before the last target of all."""

    ordinals: Ints
    past: Bools

    @classmethod
    def of(cls, covariates: Covariates, end: Ints) -> _Times:
        apart = np.unique(np.column_stack([covariates.first, covariates.start, covariates.stop]), axis=0)
        _, at = ranges(apart[:, 1], apart[:, 2] - apart[:, 1])
        return cls(at, at < end.max())

    def before(self, values: Floats) -> Floats:
        return values if self.past.all() else values[self.past]


def _with_range(agreed: Beside, covariates: Covariates, k: int, times: _Times) -> Beside:
    if agreed.role == "static" or agreed.words or agreed.flag or agreed.is_holiday:
        return agreed
    past = times.before(covariates.values[:, k])
    low, high = np.fmin.reduce(past, initial=np.nan), np.fmax.reduce(past, initial=np.nan)
    return agreed if np.isnan(low) else replace(agreed, low=float(low), high=float(high))


def _of_values(covariates: Covariates, agreed: Sequence[Beside], main: Main, times: _Times) -> list[str]:
    """Columns whose newest values lie outside of all before, and those without a value for some series."""
    last = main.contract.last if main.contract is not None else None
    new_rows, notes = np.flatnonzero(times.ordinals >= (int(main.end.max()) if last is None else last + 1)), []
    for k, b in enumerate(agreed):
        if b.low is not None:
            notes += of_another_unit(b, covariates.values[new_rows, k], whose="the newest", than="before")
    for j, name in enumerate(b.name for b in agreed if b.role == "static"):
        without = [main.ids[s] for s in np.flatnonzero(np.isnan(covariates.static[:, j])).tolist()]
        notes += [f"{name}: no value for {counted(len(without), 'series')}: {listed(without, 4)}"] if without else []
    return notes


def of_another_unit(agreed: Beside, values: Floats, *, whose: str, than: str) -> list[str]:
    """That most of some values lie outside of all that training knew."""
    low, high = agreed.low, agreed.high
    if low is None or high is None or not high > low or (low, high) == (0, 1):
        return []
    some, room = values[~np.isnan(values)], OUTSIDE * (high - low)
    if not some.size or 2 * np.sum((some < low - room) | (some > high + room)) <= some.size:
        return []
    return [f"{agreed.name}: {whose} values ({some.min():.6g} to {some.max():.6g}) lie outside of all {than} "
            f"({low:.6g} to {high:.6g}): another unit?"]


def _again(covariates: Covariates, regular: Regular) -> list[str]:
    """Columns that are the target again, or move exactly with it."""
    truth = regular.y if regular.filled is None else np.where(regular.filled, np.nan, regular.y)
    series, at = ranges(regular.first, regular.stop - regular.first)
    truth = truth if at.size == truth.size else truth[at]
    place, notes = _places(covariates, series, regular.start[series] + at - regular.first[series]), []
    for k, column in enumerate(c for c in covariates.columns if c.role != "static"):
        if column.words or not len(covariates.values):
            continue
        few = place[:SAMPLE]
        if _differ(covariates.values[few, k], truth[:SAMPLE], few) or not _move_alike(
                np.where(place >= 0, covariates.values[place, k], np.nan), truth):
            continue
        hint = "a column that is not known before the target belongs in --past" if column.role == "known" else \
            "it adds nothing"
        notes.append(f"{column.name} repeats the target (correlation 1 at the same time): {hint}")
    return notes


def _places(covariates: Covariates, series: Ints, ordinals: Ints) -> Ints:
    """The row of the values for each series and time (P,); -1 where there is none."""
    inside = (ordinals >= covariates.start[series]) & (ordinals < covariates.stop[series])
    return np.where(inside, ordinals + (covariates.first - covariates.start)[series], -1)


def _differ(some: Floats, truth: Floats, place: Ints) -> bool:
    """Whether a few points show already that a column moves otherwise than the target."""
    known = ~(np.isnan(some) | np.isnan(truth)) & (place >= 0)
    return bool(known.sum() >= SOME and np.ptp(some[known]) > 0 and np.ptp(truth[known]) > 0
                and not _move_alike(some[known], truth[known], NEARLY))


def _move_alike(one: Floats, other: Floats, least: float = SAME) -> bool:
    both = ~(np.isnan(one) | np.isnan(other))
    one, other = one[both], other[both]
    if one.size < SOME:
        return False
    one, other = one - one.mean(), other - other.mean()
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        size = np.sqrt(np.sum(one * one) * np.sum(other * other))
        return bool(size > 0 and np.isfinite(size) and abs(np.sum(one * other)) > least * size)
