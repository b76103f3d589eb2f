"""Ledger: every forecast ever issued, in one SQLite file of the store.

A row for each issue (which run, which data, when, asked for how), and its values in blocks of series. It is written
after the forecasts' own file: what it holds was published. Recording the same forecast twice records it once.

One file, a rollback journal, no WAL: it is written once a run, can be copied, and can be read where nothing may be
written. Every row carries a digest of all that it holds; a file that is not this ledger is never touched. One of the
format before, where not all rows had one, is read as it is, and brought to this format by the next writer."""

# S series  H horizon  Q quantiles

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import BusyError, DiskError, ForecastError, ModelError
from forecast.ledger.options import Options
from forecast.model.knowledge import Knowledge
from forecast.reading.contract import Contract, mark_of
from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.system.datasource import DataSource, storable
from forecast.writing.layouts import rounded

FILE = "ledger.db"
APPLICATION = 0x46434C47                                                # "FCLG", in the header of the file
VERSION = 2                         # 1: without the proofs
PATIENCE = 10.0                                                         # seconds to wait for another writer
MOST_PLACES = 15                                                        # behind the decimal mark, as whole numbers
MOST_TEXT = 256 * 2**20                                                 # bytes of a list of ids, far above any real one
ASIDE = "Move it away: the next forecast begins a new one"

TABLES = (
    "CREATE TABLE issues (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, run TEXT NOT NULL, data TEXT NOT NULL, "
    "from_store TEXT, subject TEXT NOT NULL, fingerprint TEXT NOT NULL, file_sha256 TEXT NOT NULL, "
    "cutoff INTEGER NOT NULL, cutoff_text TEXT NOT NULL, as_of TEXT, issued TEXT NOT NULL, version TEXT NOT NULL, "
    "horizon INTEGER NOT NULL, levels TEXT NOT NULL, options TEXT NOT NULL, series INTEGER NOT NULL, proof BLOB)",
    "CREATE TABLE outputs (issue INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, proof BLOB, "
    "PRIMARY KEY (issue, path))",
    "CREATE TABLE names (digest BLOB PRIMARY KEY, ids BLOB NOT NULL)",
    "CREATE TABLE blocks (issue INTEGER NOT NULL, part INTEGER NOT NULL, names BLOB NOT NULL, ends BLOB NOT NULL, "
    "sources BLOB NOT NULL, places BLOB NOT NULL, numbers BLOB NOT NULL, digest BLOB NOT NULL, "
    "PRIMARY KEY (issue, part))",
    "CREATE TABLE seen (place TEXT NOT NULL, subject TEXT NOT NULL, issue INTEGER NOT NULL, marks BLOB NOT NULL, "
    "proof BLOB, PRIMARY KEY (place, subject))",
)
OLD_TABLES = tuple(sql.replace(", proof BLOB", "") for sql in TABLES)
PROVED = {"outputs": ("issue", "path", "sha256"), "seen": ("place", "subject", "issue", "marks")}


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
        told = [self.run, self.place, self.subject, self.fingerprint, self.cutoff, self.horizon, self.levels,
                sorted(self.options.to_dict().items())]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def request(self) -> str:
        """What was asked for, of which data, whichever run answered; two of one request and fingerprint differ in
        nothing that the data could say. How far bands were adapted is an answer, that they were to be is asked."""
        told = {name: sorted(v) if isinstance(v, list) else v for name, v in self.options.to_dict().items() if v}
        told["adapt"] = self.options.adapt is not None
        return json.dumps([self.place, self.subject, self.horizon, sorted(self.levels), told], sort_keys=True)

    @property
    def place(self) -> str:
        """The file as it lies from the store, so that both may move together."""
        return self.data if self.from_store is None else self.from_store

    def in_hindsight(self, knowledge: Knowledge) -> bool:
        """Whether its run, which knew so much, had learned from what came after the cutoff; what one series went
        through later tells of the others, too."""
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

    ids, sources (S,) · ends (S,) the ordinal of each first forecast · values (S, H, Q) at quantile_grid(levels)"""

    issue: int                      # the higher, the newer
    run: str
    ids: NDArray[np.object_]
    ends: Ints
    sources: NDArray[np.object_]
    levels: tuple[float, ...]
    values: Floats

    def at(self, quantile: float) -> Floats:
        """(S, H)"""
        return self.values[:, :, quantile_grid(self.levels).index(quantile)]


@dataclass(frozen=True)
class Seen:
    """The series as the last issue about a file saw them: a mark each, as `contract.mark_of` makes them."""

    issue: Issue
    marks: dict[str, str]


class _EmptyError(ModelError):
    """There is a file, and nothing in it."""


@dataclass
class Draft:
    """An issue on its way into the ledger; blocks of series are added as they are made, packed small at once."""

    issue: Issue
    known: Panel                                # all series of the file as they were known
    blocks: list[tuple[list[str], dict[str, bytes]]] = field(default_factory=list)

    def add(self, forecast: Forecast, decimals: int) -> None:
        """A block of series, with the digits that the file has (`decimals` as in layout.rounded)."""
        order = [forecast.quantiles.index(q) for q in self.issue.quantiles]
        chosen = forecast.values[:, :, order]
        values = rounded(chosen.ravel(), decimals).reshape(chosen.shape)
        places, numbers = pack(values)
        self.blocks.append(([str(i) for i in forecast.panel.ids], {
            "ends": zlib.compress(np.asarray(forecast.panel.end, dtype="<i8").tobytes()),
            "sources": _packed_texts([str(s) for s in forecast.source]), "places": places, "numbers": numbers}))


def by_weight(issues: Iterable[Issue]) -> list[Issue]:
    """The issues of one cutoff, the one that speaks for it first.

    That is the issue of the request which was made at the most cutoffs: what is published every day, not a single look.
    Where two requests were made as often, the longer horizon comes first, then the one with more bands. Of one request
    the newest issue comes first."""
    issues = list(issues)
    often = Counter(request for request, _ in {(i.request, i.cutoff) for i in issues})
    return sorted(issues, key=lambda i: (often[i.request], i.horizon, len(i.levels), i.number), reverse=True)


def prunable(issues: Iterable[Issue], *, before: str, keep: int) -> list[Issue]:
    """Issues made before a moment (as in Issue.issued), but for those whose forecasts reach into the time since: behind
    the cutoff of the first one made since then. Of each file and subject those of the newest `keep` cutoffs stay."""
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
        subject=subject_of(contract), fingerprint=panel.fingerprint(), file_sha256=file_sha256, cutoff=cutoff,
        cutoff_text=contract.time_text(contract.calendar.times([cutoff]))[0], issued=issued, version=version,
        horizon=horizon, levels=tuple(float(x) for x in levels), options=options, as_of=as_of)


def subject_of(contract: Contract) -> str:
    """What is forecast: forecasts of one subject are about the same numbers where id and time are the same. The
    columns of a wide file are its series, so there the target says nothing."""
    calendar = contract.calendar
    told = {"layout": contract.layout, "targets": None if contract.layout == "wide" else list(contract.targets),
            "calendar": [calendar.kind, calendar.every, calendar.phase, calendar.day, calendar.clock],
            "utc": contract.utc}
    return json.dumps(told)


def pack(values: Floats) -> tuple[bytes, bytes]:
    """Values (S, H, Q) as whole numbers of 10^-places, places (S,) the fewest that lose nothing; quantiles as steps
    from one to the next, bytes of one weight side by side, zlib. A series of other values keeps its bits (places -1).

    Of 7 significant digits a value takes 2.8 bytes, a third of its float64; `unpack` gives back the same floats."""
    places = np.full(len(values), -1, dtype=np.int8)
    whole = np.ascontiguousarray(values, dtype="<f8").view("<i8").copy()
    for p in range(MOST_PLACES + 1):
        if not (todo := np.flatnonzero(places < 0)).size:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(values[todo] * 10.0 ** p)
            exact = ((scaled / 10.0 ** p == values[todo]) & (np.abs(scaled) < 2.0 ** 53)).all(axis=(1, 2))
        places[todo[exact]] = p
        whole[todo[exact]] = scaled[exact].astype(np.int64)
    steps = np.diff(whole, axis=2, prepend=np.int64(0)).transpose(2, 1, 0)
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 8).T
    return places.tobytes(), zlib.compress(np.ascontiguousarray(planes).tobytes())


def unpack(places: bytes, numbers: bytes, horizon: int, quantiles: int) -> Floats:
    """Values (S, H, Q) as they were packed. Raises ValueError or zlib.error for what is no packing of that size."""
    count = len(places) * horizon * quantiles
    planes = np.frombuffer(_unzipped(numbers, 8 * count), dtype=np.uint8).reshape(8, count)
    steps = np.ascontiguousarray(planes.T).view("<i8").reshape(quantiles, horizon, len(places))
    whole = np.ascontiguousarray(np.cumsum(steps, axis=0, dtype=np.int64).transpose(2, 1, 0))
    at = np.frombuffer(places, dtype=np.int8)
    values: Floats = whole / 10.0 ** np.maximum(at, 0)[:, None, None]
    values[at < 0] = whole[at < 0].view("<f8")
    return values


@dataclass(frozen=True)
class Ledger:
    """The file. Each call opens it, checks that it is a ledger, and closes it."""

    path: Path

    def record(self, draft: Draft, *, output: Path | None = None, output_sha256: str | None = None
               ) -> tuple[Issue, bool]:
        """Keep a draft, whole or not at all: once this returns, it is on disk. The issue as kept, and whether it is
        new; the same forecast issued before stays as it was, but is the newest again where another answer to its
        request came between. Where it was written, and what, is kept beside it.

        Raises BusyError where another process writes for 10 s, DiskError, and ModelError for a file that is damaged or
        no ledger; the file is then as it was."""
        issue = replace(draft.issue, series=sum(len(ids) for ids, _ in draft.blocks))
        with self._connected(write=True) as ledger:
            found = self._by_key(ledger, issue.key)
            kept = found or self._insert(ledger, issue, draft)
            if found and self._is_superseded(ledger, found):
                kept = self._moved_up(ledger, found, replace(issue, issued=found.issued, as_of=found.as_of),
                                      draft)
            if output is not None:
                _put(ledger, "outputs", (kept.number, storable(output.resolve()), output_sha256 or ""))
            self._see(ledger, kept, draft.known)
        return kept, found is None

    def _insert(self, ledger: sqlite3.Connection, issue: Issue, draft: Draft) -> Issue:
        number = 1 + ledger.execute("SELECT COALESCE(MAX(number), 0) FROM issues").fetchone()[0]
        issue = replace(issue, number=number)
        row = _row_of(issue)
        ledger.execute(f"INSERT INTO issues ({', '.join(row)}, proof) VALUES ({', '.join('?' * len(row))}, ?)",
                       (*row.values(), _proof("issues", tuple(row.values()))))
        for part, (ids, content) in enumerate(draft.blocks):
            told = (self._name(ledger, ids), *content.values())
            ledger.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                           (number, part, *told, _digest(f"{number}:{part}", *told)))
        return issue

    def _is_superseded(self, ledger: sqlite3.Connection, issue: Issue) -> bool:
        """Whether the same request has a later issue at the same cutoff. That happens when a model was rolled back, or
        when the history was corrected."""
        later = ledger.execute(f"SELECT {_COLUMNS} FROM issues WHERE cutoff = ? AND number > ?",
                               (issue.cutoff, issue.number)).fetchall()
        return any(self._issue(row).request == issue.request for row in later)

    def _moved_up(self, ledger: sqlite3.Connection, found: Issue, issue: Issue, draft: Draft) -> Issue:
        """An issue recorded again behind all others, with what refers to it."""
        ledger.execute("DELETE FROM blocks WHERE issue = ?", (found.number,))
        ledger.execute("DELETE FROM issues WHERE number = ?", (found.number,))
        kept = self._insert(ledger, issue, draft)
        for table, names in PROVED.items():
            at = names.index("issue")
            for row in self._proved(ledger, table):
                if row[at] == found.number:
                    now = (*row[:at], kept.number, *row[at + 1:])
                    ledger.execute(f"UPDATE {table} SET issue = ?, proof = ? WHERE proof = ?",
                                   (kept.number, _proof(table, now), _proof(table, row)))
        return kept

    def issues(self) -> list[Issue]:
        """All of them, the first recorded first; none where there is no ledger yet."""
        if not self._is_begun():
            return []
        with self._connected() as ledger:
            return [self._issue(row) for row in ledger.execute(f"SELECT {_COLUMNS} FROM issues ORDER BY number")]

    def written(self, path: Path, digest: str) -> tuple[Issue, bool] | None:
        """The newest issue that was written with these bytes, wherever they lie now (True); else the newest that was
        written to this path, with other bytes (False)."""
        if not self._is_begun():
            return None
        with self._connected() as ledger:
            found = [(sha256 == digest, number) for number, place, sha256 in self._proved(ledger, "outputs")
                     if sha256 == digest or place == storable(path.resolve())]
            return None if not found else (self._by_number(ledger, max(found)[1]), max(found)[0])

    def answers(self, output: Path | None) -> list[Issue]:
        """What a new issue for this output must differ from, to say something new: what was written there last; all
        that was written to files, where nothing was (its name may have the date in it); all there is for standard
        output (None)."""
        if output is None:
            return self.issues()
        if not self._is_begun():
            return []
        with self._connected() as ledger:
            written = [(place, number) for number, place, _ in self._proved(ledger, "outputs")]
            there = [number for place, number in written if place == storable(output.resolve())]
            return [self._by_number(ledger, n) for n in there[-1:] or dict.fromkeys(n for _, n in written)]

    def find(self, name: str) -> Issue:
        """By id, a beginning of it that is unique, or `last`. Raises ModelError that says which there are."""
        issues = self.issues()
        found = issues[-1:] if name == "last" else [i for i in issues if name and i.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        shown = ", ".join(i.id for i in (found or issues)[-5:]) or "none; forecast predict makes one"
        raise ModelError(f"'{name}' names {len(found)} issues" if found else f"there is no issue '{name}'",
                         code="no_issue", hint=f"Issues here: {shown}")

    def blocks(self, issue: Issue) -> Iterator[Block]:
        """The values of an issue, block by block as they were added. Raises ModelError where one is damaged."""
        with self._connected() as ledger:
            rows = ledger.execute("SELECT part, names, ends, sources, places, numbers, digest FROM blocks "
                                  "WHERE issue = ? ORDER BY part", (issue.number,)).fetchall()
            ids = {row[1]: self._names(ledger, row[1]) for row in rows}
        told = 0
        for part, names, *content, digest in rows:
            if _digest(f"{issue.number}:{part}", names, *content) != digest:
                raise self._damaged(f"block {part} of issue {issue.id} differs from its digest")
            try:
                block = _block(issue, ids[names], *content)
            except (ValueError, TypeError, zlib.error) as error:
                raise self._damaged(f"block {part} of issue {issue.id} is no block of forecasts") from error
            told += len(block.ids)
            yield block
        if told != issue.series:
            raise self._damaged(f"issue {issue.id} has {told} of its {issue.series} series")

    def seen(self, place: str, subject: str) -> Seen | None:
        """What the last issue about the file at this place (as in Issue) and this subject saw."""
        if not self._is_begun():
            return None
        with self._connected() as ledger:
            found = [row[2:] for row in self._proved(ledger, "seen") if row[:2] == (place, subject)]
            if not found:
                return None
            (number, packed), = found
            issue = self._by_number(ledger, number)
        try:
            ids, marks = json.loads(_unzipped(packed, None))
            return Seen(issue, dict(zip(ids, marks, strict=True)))
        except (ValueError, TypeError, zlib.error) as error:
            raise self._damaged("what was seen last is unreadable") from error

    def verify(self) -> int:
        """Read everything; how many issues there are. Raises ModelError naming the first damage."""
        issues = self.issues()
        if self._is_begun():
            with self._connected() as ledger:
                if (told := ledger.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                    raise self._damaged(str(told).splitlines()[-1])
                for table in PROVED:
                    self._proved(ledger, table)
        for issue in issues:
            for _ in self.blocks(issue):
                pass
        return len(issues)

    def prune(self, before: str, *, keep: int) -> tuple[int, int]:
        """Remove the issues that `prunable` names: how many went, how many are left. `shrink` gives their room back."""
        with self._connected(write=True) as ledger:
            issues = [self._issue(row) for row in ledger.execute(f"SELECT {_COLUMNS} FROM issues ORDER BY number")]
            looked = {number for _, _, number, _ in self._proved(ledger, "seen")}
            going = [(i.number,) for i in prunable(issues, before=before, keep=keep) if i.number not in looked]
            for table, column in (("blocks", "issue"), ("outputs", "issue"), ("issues", "number")):
                ledger.executemany(f"DELETE FROM {table} WHERE {column} = ?", going)
            ledger.execute("DELETE FROM names WHERE digest NOT IN (SELECT names FROM blocks)")
        return len(going), len(issues) - len(going)

    def shrink(self) -> None:
        """Give unused room back to the disk. Raises DiskError, where there is too little for a copy; all is kept."""
        with self._refusals(), self._opened("rw") as ledger:
            ledger.execute("VACUUM")

    @property
    def is_empty(self) -> bool:
        """A file without a byte, left by a crash at the first issue or by a full disk: the next issue fills it."""
        return self.path.is_file() and not self.path.is_symlink() and self.path.stat().st_size == 0

    def _is_begun(self) -> bool:
        """Whether there is a ledger; a first issue that was killed leaves an empty file, which is none."""
        if not self.path.exists():
            return False
        try:
            with self._connected():
                return True
        except _EmptyError:
            if self.path.stat().st_size:                                # cut off by somebody else
                raise
            return False

    def _damaged(self, what: str) -> ModelError:
        return ModelError(f"is damaged: {what}", file=str(self.path), code="ledger_corrupt", hint=ASIDE)

    @contextlib.contextmanager
    def _connected(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection in one transaction, committed when the block ends well."""
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise ModelError("is not a plain file", file=str(self.path), code="ledger_foreign", hint=ASIDE)
        broken_off = self.path.with_name(self.path.name + "-journal").exists()      # by a crash: reading mends it
        mode = "rwc" if write else "rw" if broken_off else "ro"
        with self._refusals(), self._opened(mode) as connection:
            connection.execute(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            if not (is_old := self._check(connection, write=write)) or write:
                if is_old:
                    _upgrade(connection)
                yield connection
                connection.execute("COMMIT")
            else:
                with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                    connection.backup(copy)
                    _upgrade(copy)
                    yield copy

    @contextlib.contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection; closing it rolls back what was not committed. EXTRA: the end of the journal is on disk, too,
        before a commit returns, else a power cut would bring it back, and undo what was said to be kept."""
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=PATIENCE,
                                     isolation_level=None)
        with contextlib.closing(connection):
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "synchronous = EXTRA"):
                connection.execute(f"PRAGMA {pragma}")
            yield connection

    def _check(self, connection: sqlite3.Connection, *, write: bool) -> bool:
        """A ledger with our tables and nothing else; a new, empty one becomes that where it may be written. Whether it
        is of the format before. Raises ModelError."""
        application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0]
                                for name in ("application_id", "user_version"))
        found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
        if not found and not application and not version:
            for sql in TABLES if write else ():
                connection.execute(sql)
            if write:
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            else:
                raise _EmptyError("is empty", file=str(self.path), code="ledger_foreign", hint=ASIDE)
            return False
        if application != APPLICATION:
            raise ModelError("is a database of another program", file=str(self.path), code="ledger_foreign", hint=ASIDE)
        if version not in (VERSION - 1, VERSION):
            raise ModelError(f"was written in format {version}, this program reads {VERSION}", file=str(self.path),
                             code="ledger_format", hint=f"Use the version of forecast that wrote it. {ASIDE}")
        if tuple(sql for (sql,) in found) != (TABLES if version == VERSION else OLD_TABLES):
            raise self._damaged("its tables are not those of a ledger")
        return bool(version != VERSION)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """What SQLite refuses, as our errors."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.Error | OSError) -> ForecastError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
        where: dict[str, Any] = {"file": str(self.path)}
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return BusyError(f"another process is writing to it for more than {PATIENCE:g} s", code="busy",
                             hint="Run it again when that has ended", **where)
        if isinstance(error, OSError) or code in _OF_THE_DISK:
            return DiskError(f"cannot be {'read or ' if code == sqlite3.SQLITE_CANTOPEN else ''}written: {error}",
                             code="disk", hint=_OF_THE_DISK.get(code), **where)
        if code == sqlite3.SQLITE_NOTADB:
            return ModelError("is not a ledger", code="ledger_foreign", hint=ASIDE, **where)
        return self._damaged(str(error))

    def _by_key(self, ledger: sqlite3.Connection, key: str) -> Issue | None:
        row = ledger.execute(f"SELECT {_COLUMNS} FROM issues WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._issue(row)

    def _by_number(self, ledger: sqlite3.Connection, number: int) -> Issue:
        row = ledger.execute(f"SELECT {_COLUMNS} FROM issues WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise self._damaged(f"issue {number} is not there")
        return self._issue(row)

    def _issue(self, row: Sequence[Any]) -> Issue:
        """A row of _COLUMNS. Raises ModelError where it is no issue, differs from its key, a digest of what an issue
        depends on, or from its proof, a digest of all that the row holds."""
        try:
            issue = _issue_of(row[:-2])
            whole = issue.key == row[-2]
        except (ValueError, TypeError, OverflowError) as error:
            raise self._damaged("a row is no issue") from error
        if not whole:
            raise self._damaged(f"the row of issue {issue.number} differs from its key")
        if _proof("issues", row[:-1]) != row[-1]:
            raise self._damaged(f"the row of issue {issue.number} differs from its digest")
        return issue

    def _proved(self, ledger: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
        """All rows of a table, the first written first; one that was changed would not be found by what it held.
        Raises ModelError where one differs from its digest."""
        rows = ledger.execute(f"SELECT {', '.join(PROVED[table])}, proof FROM {table} ORDER BY rowid").fetchall()
        if any(_proof(table, row[:-1]) != row[-1] for row in rows):
            raise self._damaged(f"a row of {table} differs from its digest")
        return [row[:-1] for row in rows]

    def _name(self, ledger: sqlite3.Connection, ids: list[str]) -> bytes:
        """The digest of a list of ids, which is kept once; one that was damaged is whole again."""
        packed = _packed_texts(ids)
        digest = hashlib.sha256(json.dumps(ids).encode()).digest()
        ledger.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (digest, packed))
        return digest

    def _names(self, ledger: sqlite3.Connection, digest: bytes) -> list[str]:
        row = ledger.execute("SELECT ids FROM names WHERE digest = ?", (digest,)).fetchone()
        try:
            ids = [] if row is None else _texts(row[0])
        except (ValueError, TypeError, zlib.error):
            ids = []
        if hashlib.sha256(json.dumps(ids).encode()).digest() != digest:
            raise self._damaged("a list of ids differs from its digest")
        return ids

    def _see(self, ledger: sqlite3.Connection, issue: Issue, known: Panel) -> None:
        """Keep how the series looked, unless a later cutoff has been seen (a day made up for)."""
        row = ledger.execute("SELECT cutoff FROM seen JOIN issues ON issue = number WHERE seen.place = ? "
                             "AND seen.subject = ?", (issue.place, issue.subject)).fetchone()
        if row is not None and row[0] > issue.cutoff and issue.as_of is not None:
            return
        marks = [mark_of(int(known.start[s]), known.values(s)) for s in range(len(known))]
        told = zlib.compress(json.dumps([[str(i) for i in known.ids], marks]).encode())
        _put(ledger, "seen", (issue.place, issue.subject, issue.number, told))


_OF_THE_DISK: dict[int, str | None] = {
    sqlite3.SQLITE_FULL: "Free some space and run it again", sqlite3.SQLITE_IOERR: "Check the disk",
    sqlite3.SQLITE_READONLY: "Check who may write there", sqlite3.SQLITE_PERM: "Check who may write there",
    sqlite3.SQLITE_CANTOPEN: "Check the folder and who may write there", sqlite3.SQLITE_NOMEM: None}
_FIELDS = tuple(f.name for f in fields(Issue))
_COLUMNS = ", ".join((*_FIELDS, "key", "proof"))


def _row_of(issue: Issue) -> dict[str, Any]:
    row = {name: getattr(issue, name) for name in _FIELDS}
    texts = {"levels": json.dumps(issue.levels), "options": json.dumps(issue.options.to_dict())}
    return row | texts | {"key": issue.key}


def _issue_of(row: Sequence[Any]) -> Issue:
    """Raises ValueError or TypeError for what is no issue."""
    told = dict(zip(_FIELDS, row, strict=True))
    levels, options = json.loads(told["levels"]), Options.from_dict(json.loads(told["options"]))
    issue = Issue(**told | {"levels": tuple(map(float, levels)), "options": options})
    if not (type(issue.horizon) is type(issue.cutoff) is int and issue.horizon > 0):
        raise ValueError("no horizon or no cutoff")
    return issue


def _block(issue: Issue, ids: list[str], ends: bytes, sources: bytes, places: bytes, numbers: bytes) -> Block:
    """Raises ValueError, TypeError or zlib.error for what is no block of these ids."""
    texts = _texts(sources)
    if not len(ids) == len(places) == len(texts):
        raise ValueError("a block of other series")
    return Block(issue.number, issue.run, np.array(ids, dtype=object),
                 np.frombuffer(_unzipped(ends, 8 * len(ids)), dtype="<i8").astype(np.int64),
                 np.array(texts, dtype=object), issue.levels,
                 unpack(places, numbers, issue.horizon, len(issue.quantiles)))


def _packed_texts(texts: list[str]) -> bytes:
    """A list of texts, each different one once."""
    different = list(dict.fromkeys(texts))
    place = {text: k for k, text in enumerate(different)}
    codes = None if len(different) == len(texts) else [place[t] for t in texts]
    return zlib.compress(json.dumps([different, codes], separators=(",", ":")).encode())


def _texts(packed: bytes) -> list[str]:
    different, codes = json.loads(_unzipped(packed, None))
    return [str(t) for t in different] if codes is None else [str(different[k]) for k in codes]


def _unzipped(packed: bytes, size: int | None) -> bytes:
    """`size` bytes, or any number up to MOST_TEXT; never more. Raises ValueError or zlib.error."""
    machine = zlib.decompressobj()
    content = machine.decompress(packed, (MOST_TEXT if size is None else size) + 1)
    if not machine.eof or (size is not None and len(content) != size):
        raise ValueError("another size than promised")
    return content


def _put(ledger: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> None:
    """A row of a table of PROVED, in the place of one with the same key."""
    ledger.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(PROVED[table])}, proof) "
                   f"VALUES ({', '.join('?' * len(row))}, ?)", (*row, _proof(table, row)))


def _upgrade(ledger: sqlite3.Connection) -> None:
    """From the format before to this one. What was changed in its rows until now cannot be told."""
    columns = PROVED | {"issues": (*_FIELDS, "key")}
    for table, names in columns.items():
        ledger.execute(f"ALTER TABLE {table} ADD COLUMN proof BLOB")
        rows = ledger.execute(f"SELECT rowid, {', '.join(names)} FROM {table}").fetchall()
        ledger.executemany(f"UPDATE {table} SET proof = ? WHERE rowid = ?",
                           [(_proof(table, row[1:]), row[0]) for row in rows])
    ledger.execute(f"PRAGMA user_version = {VERSION}")


def _proof(table: str, row: Sequence[Any]) -> bytes:
    return _digest(table, *(v if isinstance(v, bytes) else json.dumps(v).encode() for v in row))


def _digest(what: str, *content: bytes) -> bytes:
    digest = hashlib.blake2b(what.encode(), digest_size=16)
    for piece in content:
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return digest.digest()

