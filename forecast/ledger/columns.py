"""Columns: how issues and blocks stand in the tables of the ledger."""
# S series  H horizon  Q quantiles

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from forecast.ledger.issue import Block, Issue
from forecast.ledger.options import Options
from forecast.ledger.packing import texts_of, unpack, unzipped

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
