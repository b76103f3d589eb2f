"""Shards: what a file written by predict --shard I/N says of itself, in a small file beside it, by which merge knows
whether some files are the whole of one forecast."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecast.errors import DataError, RequestError
from forecast.ledger.issue import Issue
from forecast.series.forecast import part_size
from forecast.series.panel import Panel
from forecast.system.files import disk_errors, sha256, to_json, write_text
from forecast.text import listed

SUFFIX = ".shard.json"                                                  # behind the name of the file it speaks of
AGAIN = "Make all shards again with one command, from one file and one model"
WORDS = {                                                               # what all shards of one forecast share
    "version": "version of the program", "device": "device", "model": "model", "subject": "target or calendar",
    "data": "state of the data", "series_in_all": "number of series", "cutoff": "last known time",
    "horizon": "horizon", "levels": "bands", "options": "options", "rows_at_once": "way of writing"}


@dataclass(frozen=True)
class Shard:
    """A file of forecasts that is the `part`-th of so many `parts`; `shared`: what it has in common with the others."""

    file: Path
    part: int
    parts: int
    series: int                     # that it holds
    rows: int
    fell_back: int                  # of its series, to a simpler forecast or to none
    sha256: str
    source: str                     # the data it was made from, as they lay there; "" where they were no file
    shared: dict[str, Any]


def share_of(shard: str | None) -> tuple[int, int]:
    """(1, 4) of "1/4": which part of how many. Raises RequestError."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", shard or "1/1")
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise RequestError(f"--shard {shard}: takes I/N with I from 1 to N", code="bad_setting",
                           hint="As in --shard 1/4")
    return part, parts


def part_of(panel: Panel, shard: str | None) -> Panel:
    """The series of this part; the parts one behind the other are the panel."""
    part, parts = share_of(shard)
    size = len(panel)
    return panel if shard is None else panel.take(np.arange(size * (part - 1) // parts, size * part // parts))


def beside(output: Path) -> Path:
    """Where a shard's file says what it is."""
    return output.with_name(output.name + SUFFIX)


def note(output: Path | None, issue: Issue, whole: Panel, rows: int, *, series: int, fell: int, device: str | None
         ) -> None:
    """Say beside a shard's file, if there is one, what it is. whole: the series of all shards; fell: how many of
    its own fell back. Raises DiskError."""
    if output is None:
        return
    of_a_series = issue.horizon * (len(issue.quantiles) if issue.options.layout == "long" else 1)
    options = {name: value for name, value in issue.options.to_dict().items() if name != "shard"}
    shared = dict(zip(WORDS, (issue.version, device, issue.run, issue.subject, issue.fingerprint, len(whole),
                              issue.cutoff_text, issue.horizon, list(issue.levels), options,
                              part_size(whole, issue.horizon) * of_a_series), strict=True))
    write_text(beside(output), to_json({
        "shard": issue.options.shard, "series": series, "rows": rows, "fell_back": fell,
        "sha256": sha256(output), "source": issue.data if Path(issue.data).is_file() else ""} | shared))


def read(file: Path) -> Shard:
    """A shard, as it was written. Raises DataError for a file that does not say what it is, or has been changed."""
    if not file.is_file():
        raise DataError("there is no such file", file=str(file), code="no_file")
    try:
        said = json.loads(beside(file).read_text("utf-8"))
        part, parts = map(int, said["shard"].split("/"))
        shard = Shard(file, part, parts, int(said["series"]), int(said["rows"]), int(said["fell_back"]),
                      str(said["sha256"]), str(said["source"]), {name: said[name] for name in WORDS})
    except FileNotFoundError:
        raise DataError(f"is no shard: there is no {beside(file).name} beside it", file=str(file), code="no_shard",
                        hint="forecast predict --shard I/N writes both files; bring both here") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError("does not say what the shard is", file=str(beside(file)), code="no_shard",
                        hint="Make the shard again") from None
    with disk_errors(file, "read"):
        if sha256(file) != shard.sha256:
            raise DataError(f"is not what {beside(file).name} speaks of: it was changed, or written anew",
                            file=str(file), code="changed", hint="Make the shard again")
    return shard


def in_order(shards: Sequence[Shard]) -> list[Shard]:
    """All shards of one forecast, the first one first. Raises DataError for one that belongs to another forecast, for
    two that overlap, and where some are missing."""
    first = shards[0]
    for shard in shards[1:]:
        _check_together(first, shard)
    there: dict[int, Shard] = {}
    for shard in shards:
        if (other := there.setdefault(shard.part, shard)) is not shard:
            raise DataError(f"is shard {shard.part}/{shard.parts}, and so is {other.file}", file=str(shard.file),
                            code="overlap", hint="Give each shard once")
    if missing := [f"{k}/{first.parts}" for k in range(1, first.parts + 1) if k not in there]:
        raise DataError(f"{len(missing)} of {first.parts} shards {'is' if len(missing) == 1 else 'are'} missing: "
                        f"{listed(missing)}", code="missing", hint=f"Make it with --shard {missing[0]}")
    return [there[k] for k in sorted(there)]


def _check_together(first: Shard, shard: Shard) -> None:
    if shard.parts != first.parts:
        raise DataError(f"is one of {shard.parts} shards, and {first.file} is one of {first.parts}",
                        file=str(shard.file), code="foreign", hint=AGAIN)
    for name, word in WORDS.items():
        if shard.shared[name] != first.shared[name]:
            raise DataError(f"differs from {first.file} in its {word}{_difference(first, shard, name)}",
                            file=str(shard.file), code="foreign", hint=AGAIN)


def _difference(first: Shard, shard: Shard, name: str) -> str:
    ours, theirs = shard.shared[name], first.shared[name]
    if name == "options" and isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        return f": {', '.join(names)}"
    return "" if name in ("data", "subject") else f": {ours}, not {theirs}"


def check_kind(files: Sequence[Path], output: Path, endings: Sequence[str]) -> str:
    """The ending that all these files have. Raises RequestError for another one, and for one that cannot be merged."""
    kind = next((ending for ending in endings if output.name.lower().endswith(ending)), None)
    if kind is None:
        raise RequestError(f"{output}: shards of this kind are not merged", code="bad_ending",
                           hint=f"Write them as one of {' '.join(endings)}")
    if others := [file for file in files if not file.name.lower().endswith(kind)]:
        raise RequestError(f"{others[0]}: is no {kind}, as {output} is to be", code="bad_ending",
                           hint="Give -o the ending of the shards")
    return kind
