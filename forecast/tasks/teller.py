"""Teller: what somebody who waits for a task is told while it works; and what every task tells of what it was given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from forecast.config import SETTINGS
from forecast.system.clock import now
from forecast.system.datasource import DataSource, shown_path
from forecast.text import counted, listed, safe

if TYPE_CHECKING:
    from forecast.reading.contract import Contract
    from forecast.reading.reader import Reading
    from forecast.scoring.backtest import Scores
    from forecast.series.forecast import Remark
    from forecast.store.run import Run
    from forecast.training.loop import Epoch


class Teller(Protocol):
    """Whoever passes words on. A label says what they are about: `plan`, `data`, `partial`."""

    def say(self, label: str, text: str) -> None:
        """What is worth knowing."""

    def more(self, label: str, text: str) -> None:
        """What is worth knowing to whoever asks for more."""

    def warn(self, label: str, text: str) -> None:
        """What a person must look at."""

    def wrote(self, path: object, words: str = "", verb: str = "wrote") -> None:
        """A file that is there now."""

    def scores(self, scores: Scores, ids: Sequence[str]) -> None:
        """Scores that are known before the work is done; ids (S,) name the series."""

    def work(self, parts: Mapping[str, float]) -> AbstractContextManager[None]:
        """A block of long work: its parts in order, and about how many seconds each will take."""

    def begin(self, part: str) -> None:
        """One of these parts begins."""

    def advance(self, done: float) -> None:
        """So much of it is done, of 1."""

    def track(self, epochs: Iterable[Epoch], title: str, *, closing: bool = True) -> Iterator[Epoch]:
        """Pass the epochs of a training on, and show them; at the end how it went, where `closing`."""


class Silent:
    """Tells nobody: for whoever looks at results only."""

    def say(self, label: str, text: str) -> None: ...

    def more(self, label: str, text: str) -> None: ...

    def warn(self, label: str, text: str) -> None: ...

    def wrote(self, path: object, words: str = "", verb: str = "wrote") -> None: ...

    def scores(self, scores: Scores, ids: Sequence[str]) -> None: ...

    def work(self, parts: Mapping[str, float]) -> AbstractContextManager[None]:
        return nullcontext()

    def begin(self, part: str) -> None: ...

    def advance(self, done: float) -> None: ...

    def track(self, epochs: Iterable[Epoch], title: str, *, closing: bool = True) -> Iterator[Epoch]:
        yield from epochs


SILENT = Silent()


def tell_settings(teller: Teller, given: Mapping[str, Any]) -> None:
    """To whoever asks for more: every setting that was given, and every other one at its default."""
    teller.more("given", "  ".join(f"{k}={v}" for k, v in given.items()) or "nothing, all defaults")
    rest = {key: setting.default for key, setting in SETTINGS.items() if key not in given}
    teller.more("default", "  ".join(f"{k}={v}" for k, v in rest.items() if v is not None))


def tell_reading(teller: Teller, reading: Reading) -> None:
    """What was read from a file for the first time, what was assumed, what was repaired."""
    panel, contract = reading.panel, reading.contract
    calendar, (first, last) = contract.calendar, reading.span
    teller.say("data", f"{shown_path(reading.file)}   {counted(reading.rows, 'row')}, {counted(len(panel), 'series')}, "
                       f"{calendar.words}, {first} .. {last}")
    ident, time = contract.read_from
    columns = [f"time={time}", f"target={','.join(contract.targets[:6])}"
               + (f" and {len(contract.targets) - 6} more" if len(contract.targets) > 6 else "")]
    if contract.layout == "long":
        columns.insert(0, f"id={ident}")
    teller.say("columns", "  ".join(columns) + "   (change with --id --time --target)")
    tell_roles(teller, contract)
    tell_remarks(teller, reading, flags=True)


def tell_roles(teller: Teller, contract: Contract) -> None:
    """The covariates, where there are some."""
    for role, words in roles_of(contract).items():
        teller.say(role, words)


def roles_of(contract: Contract) -> dict[str, str]:
    """The covariates by their role, in words."""
    by_role: dict[str, list[str]] = {}
    for b in contract.beside:
        kinds = f" ({counted(len(b.words), 'word')})" if b.words else " (yes or no)" if b.flag else ""
        by_role.setdefault(b.role, []).append(f"{b.name}{kinds}")
    return {role: listed(names, 12) for role, names in by_role.items()}


def tell_remarks(teller: Teller, reading: Reading, *, flags: bool = False, told: Collection[str] = ()) -> None:
    """What was assumed of a file, and what was repaired; with the flags of train that change it. What was `told` before
    is for whoever asks for more."""
    for note in reading.notes:
        (teller.more if note in told else teller.say)("read", note)
    for repair in reading.repairs:
        say = teller.more if repair.message in told else teller.say
        say("repaired", repair.message + (f" ({repair.flag})" if repair.flag and flags else ""))


def tell_model(teller: Teller, run: Run, source: DataSource, reading: Reading) -> None:
    """Which model, how old, the data it speaks of, and what was mended there that its training did not tell. The prior
    was never trained: the data are read for the first time."""
    from forecast.reading.rows import newest_aside  # numpy: help does without

    if aside := newest_aside(reading.repairs):
        teller.warn("newest", f"{aside}: forecasts begin before it")
    if not run.record.created:
        teller.say("model", f"{run.id}, without any training")
        tell_reading(teller, reading)
        return
    made = datetime.fromisoformat(run.record.created)
    teller.say("model", f"{run.id} (made {_age((now() - made).total_seconds())} ago)")
    teller.say("data", f"{shown(source)}, last {reading.span[1]}")
    then = run.record.data
    tell_remarks(teller, reading, told={*then.notes, *(str(repair.get("message")) for repair in then.repairs)})


def shown(source: DataSource) -> str:
    """A path as people read it; an address as it is."""
    return safe(source.name) if source.is_database else shown_path(source.name)


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return "a minute" if seconds >= 60 else counted(max(0, round(seconds)), "second")


LABELS = {"level": "level", "silenced": "guard", "zeros": "zeros"}      # of the remarks on forecasts


def tell_forecast(teller: Teller, remarks: Sequence[Remark], *, most: int = 3) -> None:
    """What readers of these forecasts have to know: of each kind the first few series, and how many there are."""
    for code, label in LABELS.items():
        some, tell = [r for r in remarks if r.code == code], teller.say if code == "zeros" else teller.warn
        for remark in some[:most]:
            tell(label, f"{remark.series}: {remark.message}")
        if len(some) > most:
            tell(label, f"so it is in {len(some) - most:,} more series; --json lists all")
