"""Remembered: what the last report of some data said, kept in the store: the next one tells what has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from forecast.errors import DiskError
from forecast.ledger.issue import subject_of
from forecast.showing.tables import number
from forecast.system.clock import minute, now, stamp
from forecast.system.datasource import storable
from forecast.system.files import disk_errors, to_json, write_text
from forecast.tasks.facts import Facts
from forecast.tasks.teller import Teller
from forecast.text import counted, listed

FILE = "reports.json"
MOST = 2_000                            # series whose names are kept


@dataclass(frozen=True)
class Remembered:
    """What one report said. cutoff: the last ordinal · fingerprint: of the series up to there."""

    made: str
    run: str
    cutoff: int
    last: str                           # the same as the file writes it
    fingerprint: str
    ids: tuple[str, ...]
    series: int
    state: str
    mase: float | None
    total: float | None

    @classmethod
    def of(cls, facts: Facts, state: str) -> Remembered:
        ids, own = [str(i) for i in facts.panel.ids], facts.backtest and facts.backtest.scores.own
        mase = float(own["mase"]) if own else float("nan")
        total = facts.sums.total if facts.sums else float("nan")
        return cls(made=stamp(now()), run=facts.run.id, cutoff=int(facts.panel.end.max()) - 1,
                   last=facts.reading.span[1], fingerprint=facts.panel.fingerprint(), ids=tuple(ids[:MOST]),
                   series=len(ids), state=state, mase=mase if mase == mase else None,
                   total=total if total == total else None)


def key_of(folder: Path, facts: Facts) -> str:
    """Reports of one key are about the same data, and are compared."""
    return storable(f"{facts.source.place(folder) or facts.source.identity} {subject_of(facts.reading.contract)}")


def recalled(folder: Path, key: str) -> Remembered | None:
    """What the last report said; None where there was none, or where it cannot be read."""
    content = _content(folder).get(key)
    names = {f.name for f in fields(Remembered)}
    if not isinstance(content, dict) or set(content) != names or not isinstance(content["cutoff"], int):
        return None
    numbers = [content[name] for name in ("mase", "total") if content[name] is not None]
    texts = [*(content[name] for name in ("made", "run", "last", "fingerprint", "state")), *content["ids"]]
    if not all(isinstance(v, (int, float)) for v in (*numbers, content["series"])) or not all(
            isinstance(t, str) for t in texts):
        return None
    return Remembered(**content | {"ids": tuple(content["ids"])})


def _content(folder: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(folder: Path, key: str, remembered: Remembered, teller: Teller) -> None:
    """Keep it for the next report. Where that fails it is told, and the report stands."""
    try:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / FILE, to_json({**_content(folder), key: asdict(remembered)}))
    except DiskError as error:
        teller.warn("partial", f"the report stands, but the next one will not know of it: {error}")


def changes_of(before: Remembered | None, fresh: Remembered, facts: Facts) -> list[str]:
    """What has changed since the last report, in sentences."""
    if before is None:
        return ["There was no report of these data before this one."]
    told = [f"The last report was made {minute(before.made)}."]
    if fresh.run != before.run:
        told.append(f"The model is another one: {fresh.run}, then {before.run}.")
    if steps := fresh.cutoff - before.cutoff:
        unit = facts.reading.contract.calendar.unit
        size = counted(abs(steps), unit.removesuffix("s"), unit)
        told.append(f"The data reach {size} further: to {fresh.last}, then to {before.last}." if steps > 0 else
                    f"The data end {size} earlier than then: at {fresh.last}, then at {before.last}.")
    told += _of_series(before, fresh, facts)
    if fresh.mase is not None and before.mase is not None and round(fresh.mase, 3) != round(before.mase, 3):
        told.append(f"MASE on past windows is {number(fresh.mase)}, then {number(before.mase)}.")
    if fresh.total is not None and before.total is not None and number(fresh.total) != number(before.total):
        told.append(f"The forecast adds up to {number(fresh.total)}, then to {number(before.total)}.")
    if fresh.state != before.state:
        told.append(f"The verdict is another one: {_WORDS[fresh.state]}, then {_WORDS.get(before.state, '?')}.")
    return told if len(told) > 1 else [*told, "Nothing has changed since."]


_WORDS = {"good": "yes", "look": "yes, with care", "bad": "no", "unknown": "nobody can tell"}


def _of_series(before: Remembered, fresh: Remembered, facts: Facts) -> list[str]:
    """Series that came and went; else whether their past was revised."""
    came = [i for i in fresh.ids if i not in set(before.ids)]
    went = [i for i in before.ids if i not in set(fresh.ids)]
    told = [f"{counted(len(names), 'series')} {verb}: {listed(names, 4)}."
            for names, verb in ((came, "came"), (went, "went")) if names]
    if told or before.series != fresh.series:
        return told or [f"There are {counted(fresh.series, 'series')}, then {before.series:,}."]
    if fresh.cutoff >= before.cutoff and facts.panel.before(before.cutoff + 1).fingerprint() != before.fingerprint:
        return [f"Values up to {before.last} were revised."]
    return []
