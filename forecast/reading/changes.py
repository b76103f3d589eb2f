"""Changes: what is known ahead, put otherwise for some steps of the horizon: promo=1 @ 2026-12-01..2026-12-07."""

# S series  H horizon

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import RequestError
from forecast.reading.beside import flag_of
from forecast.reading.contract import Beside, Contract
from forecast.reading.future import known_ahead
from forecast.series.arrays import Ints
from forecast.series.panel import Panel
from forecast.text import listed, quoted

FORM = 'As in "promo=1 @ 2026-12-01..2026-12-07"'


@dataclass(frozen=True)
class Change:
    """A column, what it is to be, and from which time to which; both as the file writes times."""

    column: str
    value: str
    first: str
    last: str

    @classmethod
    def of(cls, text: str) -> Change:
        """A change as it is written. Raises RequestError for what is none."""
        match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(.*?)\s*@\s*(.*?)\s*", text)
        if not match or not match.group(3):
            missing = "=" if "=" not in text else "@"
            where = f"has no {missing}" if missing not in text else "names no column, or no time"
            raise RequestError(f"change {quoted(text)} {where}", code="bad_change", hint=FORM)
        first, _, last = match.group(3).partition("..")
        return cls(match.group(1), match.group(2), first.strip(), last.strip() or first.strip())


def changed(panel: Panel, contract: Contract, horizon: int, changes: Sequence[Change]) -> Panel:
    """The series with their horizon put otherwise; nothing else is. Raises RequestError for a column that is not known
    ahead, a value that it cannot have, and times outside the horizon."""
    known = [b for b in known_ahead(contract) if not b.is_holiday]
    places = {b.name: k for k, b in enumerate(known_ahead(contract)) if not b.is_holiday}
    for change in changes:
        _check_column(change, contract, [b.name for b in known])
    assert panel.beside is not None
    assert panel.row is not None
    ahead = panel.beside.ahead(panel.row, panel.end, horizon)
    for change in changes:
        k = places[change.column]
        value = _value(change, known_ahead(contract)[k])
        ordinals = panel.end[:, None] + np.arange(horizon)
        inside = np.isin(ordinals, _ordinals(change, contract, ordinals))
        ahead[:, :, k] = np.where(inside, value, ahead[:, :, k])
    beside = panel.beside.with_ahead(panel.row, panel.end, ahead)
    return replace(panel, beside=beside, row=np.arange(len(panel)))


def unseen(base: Panel, other: Panel, contract: Contract, horizon: int) -> list[str]:
    """That a horizon was put to values outside of all that the column had in training, in words, by column."""
    if base.beside is None or base.row is None or other.beside is None or other.row is None:
        return []
    before = base.beside.ahead(base.row, base.end, horizon)
    after = other.beside.ahead(other.row, other.end, horizon)
    said = []
    for k, b in enumerate(known_ahead(contract)):
        if b.low is None or b.high is None:
            continue
        put = after[:, :, k][after[:, :, k] != before[:, :, k]]
        if (strange := put[(put < b.low) | (put > b.high)]).size:
            worst = strange[np.argmax(np.maximum(b.low - strange, strange - b.high))]
            said.append(f"{b.name}: {worst:.6g} lies outside of all that was seen of it ({b.low:.6g} to {b.high:.6g}): "
                        "what it would do is unknown")
    return said


def _check_column(change: Change, contract: Contract, known: Sequence[str]) -> None:
    if change.column not in known:
        role = next((f"its role is {b.role}" if b.role != "known" else "the calendar knows it" for b in contract.beside
                     if b.name == change.column), "the model does not read it")
        raise RequestError(f"change {change.column}: is not known ahead: {role}", code="bad_change",
                           hint=f"Known ahead: {listed(known)}" if known else
                           "forecast train DATA --known COLUMN trains a model that knows some")


def _value(change: Change, b: Beside) -> float:
    """What a column is to be, as a panel has it."""
    if b.words:
        if change.value not in b.words:
            raise RequestError(f"change {b.name}: {quoted(change.value)} is none of its words", code="bad_change",
                               hint=f"Words: {listed(b.words, 12)}")
        return float(b.words.index(change.value))
    value = flag_of(change.value.lower()) if b.flag else _number(change.value)
    if not np.isfinite(value):
        wanted = "neither yes nor no" if b.flag else "no number"
        raise RequestError(f"change {b.name}: {quoted(change.value)} is {wanted}", code="bad_change", hint=FORM)
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _ordinals(change: Change, contract: Contract, ordinals: Ints) -> Ints:
    """The steps of the horizon from its first time to its last. A date alone is all of its day. Raises RequestError for
    times outside the horizon."""
    steps = np.arange(int(ordinals.min()), int(ordinals.max()) + 1)
    texts = contract.time_text(contract.calendar.times(steps))
    found = []
    for text in (change.first, change.last):
        there = [k for k, written in enumerate(texts) if written == text or _is_of_day(written, text)]
        if not there:
            raise RequestError(f"change {change.column}: {quoted(text)} is no time of the horizon", code="bad_change",
                               hint=f"The horizon is {texts[0]}..{texts[-1]}")
        found.append((there[0], there[-1]))
    (first, _), (_, last) = found
    if last < first:
        raise RequestError(f"change {change.column}: {change.last} comes before {change.first}", code="bad_change",
                           hint=FORM)
    return np.asarray(steps[first:last + 1])


def _is_of_day(written: str, text: str) -> bool:
    """Whether a stamp with a clock stands in a day that is written without one."""
    return len(text) == 10 and written[:10] == text and written[10:11] in (" ", "T")
