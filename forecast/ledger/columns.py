"""Columns: how issues and blocks stand in the tables of the ledger."""
# S series  H horizon  Q quantiles

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from forecast.ledger.issue import Block, Issue
from forecast.ledger.options import Options
from forecast.ledger.packing import texts_of, unpack, unzipped
from forecast.series.arrays import Floats

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
PLANS = ("CREATE TABLE plans (issue INTEGER NOT NULL, part INTEGER NOT NULL, columns INTEGER NOT NULL, "
         "places BLOB NOT NULL, numbers BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (issue, part))")
VERSION = 2                         # 1: without the proofs
WITH_PLANS = 3                      # from the first issue on that was made with what is known ahead
FORMATS = {1: OLD_TABLES, VERSION: TABLES, WITH_PLANS: (*TABLES, PLANS)}
PROVED = {"outputs": ("issue", "path", "sha256"), "seen": ("place", "subject", "issue", "marks")}
FIELDS = tuple(f.name for f in fields(Issue))


def row_of(issue: Issue) -> dict[str, Any]:
    row = {name: getattr(issue, name) for name in FIELDS}
    texts = {"levels": json.dumps(issue.levels), "options": json.dumps(issue.options.to_dict())}
    return row | texts | {"key": issue.key}


def issue_in(row: Sequence[Any]) -> Issue:
    """Raises ValueError or TypeError for what is no issue."""
    content = dict(zip(FIELDS, row, strict=True))
    levels, options = json.loads(content["levels"]), Options.from_dict(json.loads(content["options"]))
    issue = Issue(**content | {"levels": tuple(map(float, levels)), "options": options})
    if not (type(issue.horizon) is type(issue.cutoff) is int and issue.horizon > 0):
        raise ValueError("no horizon or no cutoff")
    return issue


def block_of(issue: Issue, ids: list[str], ends: bytes, sources: bytes, places: bytes, numbers: bytes) -> Block:
    """Raises ValueError, TypeError or zlib.error for what is no block of these ids."""
    texts = texts_of(sources)
    if not len(ids) == len(places) == len(texts):
        raise ValueError("a block of other series")
    return Block(issue.number, issue.run, np.array(ids, dtype=object),
                 np.frombuffer(unzipped(ends, 8 * len(ids)), dtype="<i8").astype(np.int64),
                 np.array(texts, dtype=object), issue.levels,
                 unpack(places, numbers, issue.horizon, len(issue.quantiles)))


def ahead_of(issue: Issue, part: int, columns: int, places: bytes, numbers: bytes, digest: bytes) -> Floats:
    """The values known ahead (S, H, K) of a block. Raises ValueError, TypeError or zlib.error for what is no plan."""
    if plan_digest(issue.number, part, columns, places, numbers) != digest:
        raise ValueError("a plan that differs from its digest")
    return unpack(places, numbers, issue.horizon, columns)


def plan_digest(number: int, part: int, columns: int, places: bytes, numbers: bytes) -> bytes:
    return digest_of(f"plan {number}:{part}:{columns}", places, numbers)


def put(ledger: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> None:
    """A row of a table of PROVED, in the place of one with the same key."""
    ledger.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(PROVED[table])}, proof) "
                   f"VALUES ({', '.join('?' * len(row))}, ?)", (*row, proof_of(table, row)))


def proof_of(table: str, row: Sequence[Any]) -> bytes:
    return digest_of(table, *(v if isinstance(v, bytes) else json.dumps(v).encode() for v in row))


def digest_of(what: str, *content: bytes) -> bytes:
    digest = hashlib.blake2b(what.encode(), digest_size=16)
    for piece in content:
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return digest.digest()


def upgrade(ledger: sqlite3.Connection) -> None:
    """From the format before to this one. Whether its rows were changed until now cannot be known."""
    columns = PROVED | {"issues": (*FIELDS, "key")}
    for table, names in columns.items():
        ledger.execute(f"ALTER TABLE {table} ADD COLUMN proof BLOB")
        rows = ledger.execute(f"SELECT rowid, {', '.join(names)} FROM {table}").fetchall()
        ledger.executemany(f"UPDATE {table} SET proof = ? WHERE rowid = ?",
                           [(proof_of(table, row[1:]), row[0]) for row in rows])
    ledger.execute(f"PRAGMA user_version = {VERSION}")


def has_plans(ledger: sqlite3.Connection) -> bool:
    return bool(ledger.execute("PRAGMA user_version").fetchone()[0] == WITH_PLANS)


def put_plans(ledger: sqlite3.Connection, number: int, plans: Mapping[int, tuple[int, bytes, bytes]]) -> None:
    """What was known ahead of the blocks of an issue; the first brings the table."""
    if plans and not has_plans(ledger):
        ledger.execute(PLANS)
        ledger.execute(f"PRAGMA user_version = {WITH_PLANS}")
    for part, plan in plans.items():
        ledger.execute("INSERT INTO plans VALUES (?, ?, ?, ?, ?, ?)",
                       (number, part, *plan, plan_digest(number, part, *plan)))


def plans_of(ledger: sqlite3.Connection, number: int) -> dict[int, list[Any]]:
    """The same, as the table holds it, by part."""
    rows = ledger.execute("SELECT part, columns, places, numbers, digest FROM plans WHERE issue = ?", (number,)) \
        if has_plans(ledger) else []
    return {part: plan for part, *plan in rows}


def drop(ledger: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Remove issues, and what was kept of each."""
    tables = [("blocks", "issue"), ("issues", "number"), *([("plans", "issue")] if has_plans(ledger) else [])]
    for table, column in tables:
        ledger.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(number,) for number in numbers])
