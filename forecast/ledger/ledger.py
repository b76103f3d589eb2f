"""Ledger: every forecast ever issued, in one SQLite file of the store.

It has a row for each issue (which run, which data, when, which options), and its values in blocks of series. It is
written after the forecasts' own file: what it holds was published. Recording the same forecast twice records it once.

One file, a rollback journal, no WAL: it is written once a run, can be copied, and can be read where nothing may be
written. Every row carries a digest of all that it holds. A file that is not this ledger is never touched. A ledger of
the format before, in which not every row had a digest, is read as it is; the next writer brings it to this format."""

# S series  H horizon  Q quantiles

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forecast.errors import BusyError, DiskError, ForecastError, ModelError
from forecast.ledger.columns import (
    FIELDS,
    FORMATS,
    PROVED,
    TABLES,
    VERSION,
    ahead_of,
    block_of,
    digest_of,
    drop,
    issue_in,
    plans_of,
    proof_of,
    put,
    put_plans,
    row_of,
    upgrade,
)
from forecast.ledger.issue import Block, Draft, Issue, LastSeen, prunable
from forecast.ledger.packing import packed_texts, texts_of, unzipped
from forecast.reading.contract import mark_of
from forecast.series.panel import Panel
from forecast.system.datasource import place_of

FILE = "ledger.db"
APPLICATION = 0x46434C47                                                # "FCLG", in the header of the file
PATIENCE = 10.0                                                         # seconds to wait for another writer
ASIDE = "Move it away: the next forecast begins a new one"

class _EmptyError(ModelError):
    """There is a file, and nothing in it."""


@dataclass(frozen=True)
class Ledger:
    """The file. Each call opens it, checks that it is a ledger, and closes it."""

    path: Path

    def record(self, draft: Draft, *, output: Path | str | None = None, output_sha256: str | None = None
               ) -> tuple[Issue, bool]:
        """Keep a draft, whole or not at all: once this returns, it is on disk. Returns the issue as kept, and whether
        it is new. The same forecast issued before is kept once; it becomes the newest again where another answer to its
        request came between. The output's place (a path or an address) and SHA-256 are kept beside it.

        Raises BusyError where another process writes for 10 s, DiskError, and ModelError for a file that is damaged or
        no ledger; the file is then as it was."""
        issue = replace(draft.issue, series=sum(len(ids) for ids, _ in draft.blocks))
        with self._connected(write=True) as ledger:
            before = self._by_key(ledger, issue.key)
            kept = before or self._insert(ledger, issue, draft)
            if before and self._is_superseded(ledger, before):
                kept = self._moved_up(ledger, before, replace(issue, issued=before.issued, as_of=before.as_of),
                                      draft)
            if output is not None:
                put(ledger, "outputs", (kept.number, place_of(output), output_sha256 or ""))
            self._see(ledger, kept, draft.known)
        return kept, before is None

    def _insert(self, ledger: sqlite3.Connection, issue: Issue, draft: Draft) -> Issue:
        number = 1 + ledger.execute("SELECT COALESCE(MAX(number), 0) FROM issues").fetchone()[0]
        issue = replace(issue, number=number)
        row = row_of(issue)
        ledger.execute(f"INSERT INTO issues ({', '.join(row)}, proof) VALUES ({', '.join('?' * len(row))}, ?)",
                       (*row.values(), proof_of("issues", tuple(row.values()))))
        for part, (ids, content) in enumerate(draft.blocks):
            packed = (self._name(ledger, ids), *content.values())
            ledger.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                           (number, part, *packed, digest_of(f"{number}:{part}", *packed)))
        put_plans(ledger, number, draft.plans)
        return issue

    def _is_superseded(self, ledger: sqlite3.Connection, issue: Issue) -> bool:
        """Whether the same request has a later issue at the same cutoff. That happens when a model was rolled back, or
        when the history was corrected."""
        later = ledger.execute(f"SELECT {_COLUMNS} FROM issues WHERE cutoff = ? AND number > ?",
                               (issue.cutoff, issue.number)).fetchall()
        return any(self._issue(row).request == issue.request for row in later)

    def _moved_up(self, ledger: sqlite3.Connection, before: Issue, issue: Issue, draft: Draft) -> Issue:
        """An issue recorded again behind all others, with what refers to it."""
        drop(ledger, [before.number])
        kept = self._insert(ledger, issue, draft)
        for table, names in PROVED.items():
            at = names.index("issue")
            for row in self._proved(ledger, table):
                if row[at] == before.number:
                    now = (*row[:at], kept.number, *row[at + 1:])
                    ledger.execute(f"UPDATE {table} SET issue = ?, proof = ? WHERE proof = ?",
                                   (kept.number, proof_of(table, now), proof_of(table, row)))
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
            matches = [(sha256 == digest, number) for number, place, sha256 in self._proved(ledger, "outputs")
                       if sha256 == digest or place == place_of(path)]
            return None if not matches else (self._by_number(ledger, max(matches)[1]), max(matches)[0])

    def add_output(self, issues: Sequence[Issue], output: Path | str, digest: str) -> None:
        """Keep that a file of this SHA-256 holds all of these. Raises as `record`."""
        with self._connected(write=True) as ledger:
            for issue in issues:
                put(ledger, "outputs", (issue.number, place_of(output), digest))

    def held(self, digest: str) -> list[Issue]:
        """The issues that a file of these bytes holds, the oldest cutoff first: the newest issue of each."""
        with self._connected() as ledger:
            numbers = sorted(number for number, _, sha256 in self._proved(ledger, "outputs") if sha256 == digest)
            newest = {issue.cutoff: issue for issue in (self._by_number(ledger, number) for number in numbers)}
        return [newest[cutoff] for cutoff in sorted(newest)]

    def answers(self, output: Path | str | None) -> list[Issue]:
        """The issues that a new one for this output must differ from, to say something new. That is the one written
        there last. Where none was, it is all that were written to files: the name may hold the date. For standard
        output (None) it is all there are."""
        if output is None:
            return self.issues()
        if not self._is_begun():
            return []
        with self._connected() as ledger:
            written = [(place, number) for number, place, _ in self._proved(ledger, "outputs")]
            there = [number for place, number in written if place == place_of(output)]
            return [self._by_number(ledger, n) for n in there[-1:] or dict.fromkeys(n for _, n in written)]

    def find(self, name: str) -> Issue:
        """By id, a beginning of it that is unique, or `last`. Raises ModelError that says which there are."""
        issues = self.issues()
        named = issues[-1:] if name == "last" else [i for i in issues if name and i.id.startswith(name)]
        if len(named) == 1:
            return named[0]
        shown = ", ".join(i.id for i in (named or issues)[-5:]) or "none; forecast predict makes one"
        raise ModelError(f"'{name}' names {len(named)} issues" if named else f"there is no issue '{name}'",
                         code="no_issue", hint=f"Issues here: {shown}")

    def blocks(self, issue: Issue) -> Iterator[Block]:
        """The values of an issue, block by block as they were added. Raises ModelError where one is damaged."""
        with self._connected() as ledger:
            rows = ledger.execute("SELECT part, names, ends, sources, places, numbers, digest FROM blocks "
                                  "WHERE issue = ? ORDER BY part", (issue.number,)).fetchall()
            ids = {row[1]: self._names(ledger, row[1]) for row in rows}
            plans = plans_of(ledger, issue.number)
        series = 0
        for part, names, *content, digest in rows:
            if digest_of(f"{issue.number}:{part}", names, *content) != digest:
                raise self._damaged(f"block {part} of issue {issue.id} differs from its digest")
            try:
                block = block_of(issue, ids[names], *content)
                if part in plans:
                    block = replace(block, ahead=ahead_of(issue, part, *plans[part]))
            except (ValueError, TypeError, zlib.error) as error:
                raise self._damaged(f"block {part} of issue {issue.id} is no block of forecasts") from error
            series += len(block.ids)
            yield block
        if series != issue.series:
            raise self._damaged(f"issue {issue.id} has {series} of its {issue.series} series")

    def last_seen(self, place: str, subject: str) -> LastSeen | None:
        """What the last issue about the file at this place (as in Issue) and this subject saw."""
        if not self._is_begun():
            return None
        with self._connected() as ledger:
            rows = [row[2:] for row in self._proved(ledger, "seen") if row[:2] == (place, subject)]
            if not rows:
                return None
            (number, packed), = rows
            issue = self._by_number(ledger, number)
        try:
            ids, marks = json.loads(unzipped(packed, None))
            return LastSeen(issue, dict(zip(ids, marks, strict=True)))
        except (ValueError, TypeError, zlib.error) as error:
            raise self._damaged("what was seen last is unreadable") from error

    def verify(self) -> int:
        """Read everything; how many issues there are. Raises ModelError naming the first damage."""
        issues = self.issues()
        if self._is_begun():
            with self._connected() as ledger:
                if (verdict := ledger.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                    raise self._damaged(str(verdict).splitlines()[-1])
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
            going = [i.number for i in prunable(issues, before=before, keep=keep) if i.number not in looked]
            drop(ledger, going)
            ledger.executemany("DELETE FROM outputs WHERE issue = ?", [(number,) for number in going])
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
                    upgrade(connection)
                yield connection
                connection.execute("COMMIT")
            else:
                with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                    connection.backup(copy)
                    upgrade(copy)
                    yield copy

    @contextlib.contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection; closing it rolls back what was not committed. EXTRA: the removal of the journal is on disk
        before a commit returns; else a power cut could bring the journal back, and undo what was said to be kept."""
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
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
        if not tables and not application and not version:
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
        if version not in FORMATS:
            raise ModelError(f"was written in format {version}, this program reads {VERSION}", file=str(self.path),
                             code="ledger_format", hint=f"Use the version of forecast that wrote it. {ASIDE}")
        if tuple(sql for (sql,) in tables) != FORMATS[version]:
            raise self._damaged("its tables are not those of a ledger")
        return bool(version < VERSION)

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
            issue = issue_in(row[:-2])
            whole = issue.key == row[-2]
        except (ValueError, TypeError, OverflowError) as error:
            raise self._damaged("a row is no issue") from error
        if not whole:
            raise self._damaged(f"the row of issue {issue.number} differs from its key")
        if proof_of("issues", row[:-1]) != row[-1]:
            raise self._damaged(f"the row of issue {issue.number} differs from its digest")
        return issue

    def _proved(self, ledger: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
        """All rows of a table, the first written first: a query would not find a row by what was changed in it. Raises
        ModelError where one differs from its digest."""
        rows = ledger.execute(f"SELECT {', '.join(PROVED[table])}, proof FROM {table} ORDER BY rowid").fetchall()
        if any(proof_of(table, row[:-1]) != row[-1] for row in rows):
            raise self._damaged(f"a row of {table} differs from its digest")
        return [row[:-1] for row in rows]

    def _name(self, ledger: sqlite3.Connection, ids: list[str]) -> bytes:
        """The digest of a list of ids. The list is kept once; a damaged one is written anew."""
        packed = packed_texts(ids)
        digest = hashlib.sha256(json.dumps(ids).encode()).digest()
        ledger.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (digest, packed))
        return digest

    def _names(self, ledger: sqlite3.Connection, digest: bytes) -> list[str]:
        row = ledger.execute("SELECT ids FROM names WHERE digest = ?", (digest,)).fetchone()
        try:
            ids = [] if row is None else texts_of(row[0])
        except (ValueError, TypeError, zlib.error):
            ids = []
        if hashlib.sha256(json.dumps(ids).encode()).digest() != digest:
            raise self._damaged("a list of ids differs from its digest")
        return ids

    def _see(self, ledger: sqlite3.Connection, issue: Issue, known: Panel) -> None:
        """Keep how the series looked, unless this makes up for a past day (--as-of) and a later cutoff has been
        seen."""
        row = ledger.execute("SELECT cutoff FROM seen JOIN issues ON issue = number WHERE seen.place = ? "
                             "AND seen.subject = ?", (issue.place, issue.subject)).fetchone()
        if row is not None and row[0] > issue.cutoff and issue.as_of is not None:
            return
        marks = [mark_of(int(known.start[s]), known.values(s)) for s in range(len(known))]
        packed = zlib.compress(json.dumps([[str(i) for i in known.ids], marks]).encode())
        put(ledger, "seen", (issue.place, issue.subject, issue.number, packed))


_OF_THE_DISK: dict[int, str | None] = {
    sqlite3.SQLITE_FULL: "Free some space and run it again", sqlite3.SQLITE_IOERR: "Check the disk",
    sqlite3.SQLITE_READONLY: "Check who may write there", sqlite3.SQLITE_PERM: "Check who may write there",
    sqlite3.SQLITE_CANTOPEN: "Check the folder and who may write there", sqlite3.SQLITE_NOMEM: None}
_COLUMNS = ", ".join((*FIELDS, "key", "proof"))
