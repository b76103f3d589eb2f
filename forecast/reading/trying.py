"""Trying: the flags of a hint are run before they are given, and what they leave in the way is told with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from forecast.config import DataConfig
from forecast.errors import DataError, ForecastError
from forecast.series.ids import pasted

ROUNDS = 5
LONGEST = 120                       # characters of all flags together
OTHERWISE = {"not_a_number": "Write all numbers of the column one way"}   # where no flag mends it
Read = Callable[[DataConfig], object]


def tried(error: DataError, options: DataConfig, read: Read) -> DataError:
    """The refusal with a hint that helps: all the flags that are needed, one after the other found by reading with
    those before. What no flag mends stands below it. A flag that changes nothing is not given."""
    changes: dict[str, Any] = {}
    refusals = [error]
    while refusals[-1].remedy and len(refusals) <= ROUNDS:
        further = with_remedy(options, changes, refusals[-1].remedy)
        try:
            read(replace(options, **further))
        except DataError as later:
            if further == changes or not _is_progress(refusals, later):
                return _told(refusals, changes, is_idle=True)
            changes = further
            refusals.append(later)
        except ForecastError:
            break
        else:
            return _told(refusals, further)
    return _told(refusals, changes)


def _is_progress(refusals: list[DataError], later: DataError) -> bool:
    """Whether what stands in the way now is something else, or less, than what stood there before."""
    alike = [r for r in refusals if (r.code, r.column) == (later.code, later.column)]
    return all(len(later.problems) < len(r.problems) for r in alike)


def with_remedy(options: DataConfig, changes: Mapping[str, Any], remedy: Mapping[str, Any]) -> dict[str, Any]:
    """The changes and one more remedy; several values of a setting stand together."""
    whole = dict(changes)
    for name, value in remedy.items():
        if isinstance(value, tuple):
            before = whole.get(name, getattr(options, name)) or ()
            value = (*before, *(v for v in value if v not in before))
        whole[name] = value
    return {name: value for name, value in whole.items() if value != getattr(options, name)}


def _told(refusals: list[DataError], changes: Mapping[str, Any], *, is_idle: bool = False) -> DataError:
    """One refusal of all. is_idle: the remedy of the last one changes nothing."""
    heads = [refusal.problem for refusal in refusals]
    if is_idle:
        heads[-1] = replace(heads[-1], hint=OTHERWISE.get(heads[-1].code))
    if len(refusals) == 1:
        return DataError(heads[0], more=refusals[0].problems[1:], remedy={} if is_idle else refusals[0].remedy)
    flags = flags_of(changes)
    if flags:
        heads[0] = replace(heads[0], hint=f"Try {flags}")
    rest = [problem for refusal in refusals for problem in refusal.problems[1:]]
    return DataError(heads[0], more=[*heads[1:], *rest], remedy=changes)


def flags_of(changes: Mapping[str, Any]) -> str:
    """Settings of data as flags, ready to be pasted; "" where they are too long for a message."""
    texts = []
    for name, value in changes.items():
        flag = "--" + name.replace("_", "-")
        given = ",".join(value) if isinstance(value, tuple) else str(value)
        texts.append(flag if value is True else f"{flag} {pasted(given)}")
    text = " ".join(texts)
    return text if len(text) <= LONGEST else ""
