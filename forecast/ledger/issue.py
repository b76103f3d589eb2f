"""Issue: a forecast that was issued, its numbers by block, and the draft of one."""
# S series  H horizon  Q quantiles

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecast.ledger.options import Options
from forecast.ledger.packing import pack, packed_texts
from forecast.model.knowledge import Knowledge
from forecast.reading.contract import Contract
from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.system.datasource import DataSource, storable
from forecast.writing.layouts import rounded


@dataclass(frozen=True)
class Issue:
    """One issue: everything that is needed to make it again, but for the data themselves."""

    run: str
    data: str                       # the file, absolute; "-" for standard input
    from_store: str | None          # the same, seen from the store, which may move with it
    subject: str                    # what is forecast: layout, target, calendar; two of one subject can be joined
    fingerprint: str                # SHA-256 of the series that were known, as read and cut
    file_sha256: str                # of the bytes of the file
    cutoff: int                     # ordinal of the last time known
    cutoff_text: str
    issued: str                     # UTC
    version: str                    # of the program
    horizon: int
    levels: tuple[float, ...]       # bands, in percent
    options: Options
    as_of: str | None = None        # the cut that was asked for
    series: int = 0
    number: int = 0                 # in the order of recording; 0: not recorded

    @property
    def key(self) -> str:
        """The same for the same forecast: run, data, cutoff and options, whatever the clock says."""
        identity = [self.run, self.place, self.subject, self.fingerprint, self.cutoff, self.horizon, self.levels,
                    sorted(self.options.to_dict().items())]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @property
    def request(self) -> str:
        """What was asked for, of which data, whichever run answered. An issue of the same request and fingerprint as an
        earlier one has no new data. That bands are to be adapted is part of the request; by how much, of the answer."""
        options = {name: sorted(v) if isinstance(v, list) else v for name, v in self.options.to_dict().items() if v}
        options["adapt"] = self.options.adapt is not None
        return json.dumps([self.place, self.subject, self.horizon, sorted(self.levels), options], sort_keys=True)

    @property
    def place(self) -> str:
        """The file as it lies from the store, so that both may move together."""
        return self.data if self.from_store is None else self.from_store

    def in_hindsight(self, knowledge: Knowledge) -> bool:
        """Whether its run had learned from what came after the cutoff. knowledge: of the run. One series that reaches
        further is enough, for it tells of the others, too."""
        return self.as_of is not None and knowledge.reaches_behind(self.cutoff + 1)

    @property
    def id(self) -> str:
        """What people call it: 20260919T041612Z-3f7ac2."""
        return f"{self.issued.replace('-', '').replace(':', '')}-{self.key[:6]}"

    @property
    def quantiles(self) -> tuple[float, ...]:
        return quantile_grid(self.levels)


@dataclass(frozen=True)
class Block:
    """What one issue said of some series.

    ids, sources (S,) · ends (S,) the ordinal of each first forecast · values (S, H, Q) at quantile_grid(levels) ·
    ahead (S, H, K): the covariates known ahead that it was made with"""

    issue: int                      # the higher, the newer
    run: str
    ids: NDArray[np.object_]
    ends: Ints
    sources: NDArray[np.object_]
    levels: tuple[float, ...]
    values: Floats
    ahead: Floats | None = None

    def at(self, quantile: float) -> Floats:
        """(S, H)"""
        return self.values[:, :, quantile_grid(self.levels).index(quantile)]


@dataclass(frozen=True)
class LastSeen:
    """The series as the last issue about a file saw them: a mark each, as `contract.mark_of` makes them."""

    issue: Issue
    marks: dict[str, str]


@dataclass
class Draft:
    """An issue on its way into the ledger; blocks of series are added as they are made, packed small at once."""

    issue: Issue
    known: Panel                                # all series of the file as they were known
    blocks: list[tuple[list[str], dict[str, bytes]]] = field(default_factory=list)
    plans: dict[int, tuple[int, bytes, bytes]] = field(default_factory=dict)   # of blocks: what was known ahead

    def add(self, forecast: Forecast, decimals: int) -> None:
        """A block of series, with the digits that the file has (`decimals` as in layout.rounded)."""
        order = [forecast.quantiles.index(q) for q in self.issue.quantiles]
        chosen = forecast.values[:, :, order]
        values = rounded(chosen.ravel(), decimals).reshape(chosen.shape)
        places, numbers = pack(values)
        if forecast.panel.beside is not None and forecast.panel.row is not None and forecast.panel.beside.known:
            ahead = forecast.panel.beside.ahead(forecast.panel.row, forecast.panel.end, self.issue.horizon)
            self.plans[len(self.blocks)] = (ahead.shape[2], *pack(ahead))
        self.blocks.append(([str(i) for i in forecast.panel.ids], {
            "ends": zlib.compress(np.asarray(forecast.panel.end, dtype="<i8").tobytes()),
            "sources": packed_texts([str(s) for s in forecast.source]), "places": places, "numbers": numbers}))


def by_weight(issues: Iterable[Issue]) -> list[Issue]:
    """The issues of one cutoff, the one that speaks for it first.

    That is the issue of the request which was made at the most cutoffs: what is published every day, not a single look.
    Where two requests were made as often, the longer horizon comes first, then the one with more bands. Of one request
    the newest issue comes first."""
    issues = list(issues)
    often = Counter(request for request, _ in {(i.request, i.cutoff) for i in issues})
    return sorted(issues, key=lambda i: (often[i.request], i.horizon, len(i.levels), i.number), reverse=True)


def prunable(issues: Iterable[Issue], *, before: str, keep: int) -> list[Issue]:
    """The issues that may go: made before the moment `before` (written as Issue.issued), and with no forecast beyond
    the cutoff of the first issue made since. Of each file and subject those of the newest `keep` cutoffs stay."""
    groups: dict[tuple[str, str], list[Issue]] = {}
    for issue in issues:
        groups.setdefault((issue.place, issue.subject), []).append(issue)
    going = []
    for group in groups.values():
        since = sorted({i.cutoff for i in group})[-keep:][:1]
        since += [i.cutoff for i in group if i.issued >= before and i.as_of is None]
        going += [i for i in group if i.issued < before and i.cutoff + i.horizon <= min(since)]
    return going


def issue_of(*, run: str, source: DataSource, store: Path, file_sha256: str, panel: Panel, contract: Contract,
             issued: str, version: str, horizon: int, levels: Sequence[float], options: Options,
             as_of: str | None = None) -> Issue:
    """The issue that a forecast of this panel would be. `panel`: all series of the file, cut where it was cut."""
    place = source.place(store)
    cutoff = int(panel.end.max()) - 1
    return Issue(
        run=run, data=source.identity, from_store=None if place is None else storable(place),
        subject=subject_of(contract), fingerprint=panel.fingerprint(horizon), file_sha256=file_sha256, cutoff=cutoff,
        cutoff_text=contract.time_text(contract.calendar.times([cutoff]))[0], issued=issued, version=version,
        horizon=horizon, levels=tuple(float(x) for x in levels), options=options, as_of=as_of)


def subject_of(contract: Contract) -> str:
    """What is forecast: forecasts of one subject are about the same numbers where id and time are the same. The
    columns of a wide file are its series, so there the target says nothing."""
    calendar = contract.calendar
    subject = {"layout": contract.layout, "targets": None if contract.layout == "wide" else list(contract.targets),
               "calendar": [calendar.kind, calendar.every, calendar.phase, calendar.day, calendar.clock],
               "utc": contract.utc}
    return json.dumps(subject)
