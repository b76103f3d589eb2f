"""Portions: a large folder of Parquet files read some series at a time, so that its rows are never all in memory.

What is kept of each portion is its panel, eight bytes a point. The reading is that of the folder read at once."""

# N rows  S series

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.config import DataConfig
from forecast.errors import DataError, ForecastError, Problem
from forecast.reading import reader
from forecast.reading.aggregates import as_asked
from forecast.reading.contract import Contract
from forecast.reading.opening import open_columns
from forecast.reading.parsing.coding import encoded
from forecast.reading.parsing.table import as_written
from forecast.reading.reader import Reading, as_agreed, read_source
from forecast.reading.regular import NO_ROW
from forecast.reading.remarks import LISTED, notes_of_series, usual_size, words_of
from forecast.reading.roles import find_roles
from forecast.reading.rows import Repair
from forecast.reading.sources.files import Source, open_source
from forecast.reading.sources.folders import FolderColumns, Part
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.panel import Panel

ROWS = 4_000_000                    # of a portion; a series is never parted
LEAST = 2 * ROWS                    # of a folder: a smaller one is read at once


def read_whole(path: Any, options: DataConfig, contract: Contract | None) -> Reading:
    """What `read_panel` returns or raises. Where a portion is refused all is read at once: it tells whether all is."""
    if contract is not None and _may_be_parted(options, contract) and os.path.isdir(path):
        try:
            source = open_source(path, options.encoding, sheet=options.sheet, decimal=options.decimal)
            if isinstance(source.columns, FolderColumns) and source.columns.rows >= LEAST:
                return _read(source, source.columns, as_agreed(as_asked(options), contract), contract)
        except ForecastError:
            pass
    return reader.read_panel(path, options, contract)                   # by its module: there it can be timed


def _may_be_parted(options: DataConfig, contract: Contract) -> bool:
    """Whether what is read of a series depends on its own rows alone."""
    beside = contract.beside or options.covariates or options.holidays
    return contract.layout == "long" and len(contract.id_names) == 1 and not beside and options.every is None and \
        not options.turn and options.bad_rows != "quarantine"


def _read(source: Source, columns: FolderColumns, options: DataConfig, contract: Contract) -> Reading:
    """Portion by portion. Raises what read_panel raises."""
    roles = open_columns(source, partial(find_roles, options=options, contract=contract)).roles
    whole = _Whole(contract)
    for portion in _portions(columns, roles.ids[0]):
        whole.add(read_source(dataclasses.replace(source, columns=portion, hashed=lambda: ""), options, contract))
        pa.default_memory_pool().release_unused()
    return whole.reading(source.sha256)


@dataclass(frozen=True)
class _Portion:
    """The rows of some series, wherever in the folder they stand."""

    folder: FolderColumns
    column: int                     # of the ids
    parts: Sequence[Part]
    ids: Any                        # as texts, an array of Arrow

    @property
    def names(self) -> tuple[str, ...]:
        return self.folder.names

    @cached_property
    def _rows(self) -> list[tuple[Part, Any]]:
        """Which rows of which files."""
        found = []
        for part in self.parts:
            cells = _ids_of(self.folder, part, self.column)
            ours = pc.is_in(cells.dictionary, self.ids).to_numpy(zero_copy_only=False)[cells.indices.to_numpy()]
            found += [(part, pa.array(ours))] if ours.any() else []
        return found

    def read(self, wanted: Sequence[int], rows: int | None = None) -> Any:
        """The wanted columns, or their first rows. Raises DataError."""
        tables, left = [], rows
        for part, mask in self._rows:
            tables.append(_plain(self.folder.of_part(part, wanted).filter(mask)))
            left = None if left is None else left - tables[-1].num_rows
            if left is not None and left <= 0:
                break
        return pa.concat_tables(tables).slice(0, rows)

    def placed(self, problem: Problem) -> Problem:
        """The problem with the file that it stands in, and its row there."""
        row = (problem.row or 0) - 1
        for part, mask in self._rows:
            at = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
            if 0 <= row < at.size and problem.file == self.folder.folder:
                return dataclasses.replace(problem, file=str(part.path), row=int(at[row]) + 1)
            row -= at.size
        return problem


def _plain(table: Any) -> Any:
    """With its texts written out: each file's dictionary would be kept for the few rows that are wanted."""
    return pa.table([c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns],
                    names=table.column_names)


def _ids_of(folder: FolderColumns, part: Part, column: int) -> Any:
    """The ids of a file's rows, coded: as texts, an empty one where there is none."""
    cells = folder.of_part(part, [column]).column(0)
    return encoded(as_written(cells) if cells.null_count or not pa.types.is_dictionary(cells.type) else cells)


def _portions(folder: FolderColumns, column: int) -> Iterator[_Portion]:
    """Ids in the order in which they first appear, as many as have ROWS rows together, and the files that hold them."""
    code, counts, spans = dict[str, int](), list[int](), list[tuple[int, int]]()
    for part in folder.parts:
        cells = _ids_of(folder, part, column)
        present, first, often = np.unique(cells.indices.to_numpy(), return_index=True, return_counts=True)
        texts, order = cells.dictionary.to_pylist(), np.argsort(first)
        codes = [code.setdefault(texts[k], len(code)) for k in present[order].tolist()]
        counts += [0] * (len(code) - len(counts))
        for k, count in zip(codes, often[order].tolist(), strict=True):
            counts[k] += count
        spans.append((min(codes, default=0), max(codes, default=-1)))
    group, ids = (np.cumsum(counts) - 1) // ROWS, np.array(list(code), dtype=object)
    for number in np.unique(group):
        first, last = np.flatnonzero(group == number)[[0, -1]].tolist()
        parts = [part for part, (low, high) in zip(folder.parts, spans, strict=True) if low <= last and high >= first]
        yield _Portion(folder, column, parts, pa.array(ids[first:last + 1], pa.string()))


@dataclass
class _Whole:
    """What is kept of the portions read so far. y, filled (N,) · edges: first, stop and start (S,) of each."""

    contract: Contract
    y: Floats = field(default_factory=lambda: np.empty(0))
    filled: Bools = field(default_factory=lambda: np.empty(0, dtype=bool))
    edges: list[Ints] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)               # without their values

    def add(self, reading: Reading) -> None:
        """One more portion; its values are copied."""
        panel, size = reading.panel, self.y.size
        self.y = _behind(self.y, panel.y)
        self.filled = _behind(self.filled, np.zeros(panel.y.size, dtype=bool) if panel.filled is None else panel.filled)
        self.edges.append(np.stack([panel.first + size, panel.stop + size, panel.start]))
        self.ids.append(panel.ids)
        own = {*notes_of_series(panel, self.contract), *words_of(reading.rescaled)}       # said again of all
        self.notes += [note for note in reading.notes if note not in own and note not in self.notes]
        self.readings.append(dataclasses.replace(reading, panel=Panel.of([], panel.calendar)))

    def reading(self, sha256: str) -> Reading:
        """Of all of them. Raises DataError where two have an id in common."""
        first, stop, start = np.concatenate(self.edges, axis=1)
        ids, one = np.concatenate(self.ids), self.readings[0]
        if len(set(ids)) < len(ids):
            raise DataError("has ids that are told apart by quotes alone", code="ids")
        panel = Panel(self.y, first, stop, start, ids, one.contract.calendar,
                      self.filled if self.filled.any() else None)
        agreed = dataclasses.replace(
            one.contract, ids=tuple(ids), decimals=max(r.contract.decimals for r in self.readings),
            low=float(np.nanmin(self.y)), high=float(np.nanmax(self.y)), size=usual_size(self.y),
            last=int(panel.end.max()) - 1)
        rescaled = tuple(problem for r in self.readings for problem in r.rescaled)[:LISTED]
        return dataclasses.replace(
            one, panel=panel, contract=agreed, rows=sum(r.rows for r in self.readings), sha256=sha256,
            notes=(*self.notes, *notes_of_series(panel, self.contract), *words_of(rescaled)),
            repairs=_together([repair for r in self.readings for repair in r.repairs]), rescaled=rescaled)


def _behind(whole: Any, more: Any) -> Any:
    """One array, grown where it lies: beside a copy there would be no room for the rest."""
    size = whole.size
    whole.resize(size + more.size, refcheck=False)
    whole[size:] = more
    return whole


def _together(repairs: Sequence[Repair]) -> tuple[Repair, ...]:
    """One repair of each kind: of several, the words of the first, and how often in all; not what is said of all rows
    there are, as other portions have others."""
    kinds = dict[tuple[str, str | None], list[Repair]]()
    for repair in repairs:
        said = dataclasses.replace(repair, message=repair.message.partition(NO_ROW)[0])
        kinds.setdefault((repair.kind, repair.flag), []).append(said)
    return tuple(same[0] if len(same) == 1 else dataclasses.replace(
        same[0], count=(total := sum(r.count for r in same)), message=f"{same[0].message}, and so on: {total:,} in all",
        examples=tuple(problem for r in same for problem in r.examples)) for same in kinds.values())
