"""Damage: cells that cannot be read, kept until it is settled whether the file is refused or their rows set aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DataError, Problem
from forecast.reading.parsing.kinds import kind
from forecast.reading.parsing.numbers import Fault, Faults
from forecast.reading.parsing.table import Table
from forecast.text import quoted, shorten

MOST_BOUNDS = 8                     # texts such as <1 that a hint lists
LISTED = 20_000                     # problems listed one by one


class Damage:
    """Cells that cannot be read, until it is settled whether the file is refused or their rows set aside."""

    def __init__(self, table: Table, file: str) -> None:
        self.table, self.file = table, file
        self.faults: list[tuple[Faults, str]] = []
        self.blank = np.zeros(table.rows, dtype=bool)

    def add(self, faults: Faults, column: str) -> None:
        if len(faults):
            self.faults.append((faults, shorten(column, 60)))

    def forgive(self, blank: NDArray[np.bool_]) -> None:
        """Rows without a single used cell are no rows: left out, and no fault."""
        self.blank = blank

    @property
    def bad(self) -> NDArray[np.bool_]:
        bad = np.zeros(self.table.rows, dtype=bool)
        for faults, _ in self.faults:
            bad[faults.rows] = True
        return bad & ~self.blank

    def settle(self, *, set_aside: bool) -> tuple[int, tuple[Problem, ...]]:
        """How many rows are set aside, and what is wrong with them. Raises DataError where none may be."""
        if set_aside:
            self._check_tables()
        problems = self._problems()
        if problems and not set_aside:
            remedy, hint = _remedy(problems)
            raise DataError(replace(problems[0], hint=hint), more=problems[1:], remedy=remedy)
        count = len(self.table.faults) + int(self.bad.sum())
        rejects = (*self.table.faults, *problems)
        if 2 * count > self.table.rows:
            raise DataError(rejects[0], more=rejects[1:])
        return count, tuple(sorted(rejects, key=lambda p: p.row or 0))

    def _check_tables(self) -> None:
        """Raises DataError for the header of another table: a row with words in two columns of numbers or times. It is
        not set aside, for the rows below it would then join this table."""
        faults = np.bincount(np.concatenate([f.rows for f, _ in self.faults] or [np.empty(0, dtype=np.int64)]),
                             minlength=self.table.rows)
        for row in np.flatnonzero((faults > 1) & ~self.blank)[:LISTED]:
            texts = {column: f.explain(int(row)).text for f, column in self.faults if row in f.rows}
            if sum(kind(text) == "text" and text[:1].isalpha() for text in texts.values()) > 1:
                raise DataError(f"is a second header: {quoted(' '.join(texts.values()), 60)}", file=self.file,
                                row=self.table.lines.of(int(row)), code="second_header",
                                hint="Put each table in a file of its own, or remove the line")

    def _problems(self) -> list[Problem]:
        """In the order of the rows; the first of very many."""
        places = sorted((int(row), k) for k, (faults, _) in enumerate(self.faults) for row in faults.rows[:LISTED]
                        if not self.blank[row])
        listed = [self._problem(self.faults[k][0].explain(row), self.faults[k][1]) for row, k in places[:LISTED]]
        more = sum(len(faults) for faults, _ in self.faults) - int(self.blank.sum()) - len(listed)
        return [*listed, *([Problem("more", f"{more:,} more of them", self.file)] if len(listed) == LISTED else [])]

    def _problem(self, fault: Fault, column: str) -> Problem:
        lines = self.table.lines
        return Problem(fault.code, fault.message, self.file, lines.of(fault.row), lines.header(fault.row, column),
                       fault.text[:200], fault.hint)


def _remedy(problems: list[Problem]) -> tuple[dict[str, Any], str | None]:
    """The settings that mend these cells, where one flag mends all of them, and the hint of the first."""
    first = problems[0]
    bounds = list(dict.fromkeys(p.value or "" for p in problems if (p.hint or "").startswith("--missing")))
    if bounds and len(bounds) <= MOST_BOUNDS:
        several = f"--missing {quoted(','.join(bounds), 60)} reads them as missing"
        return {"missing": tuple(bounds)}, first.hint if len(bounds) == 1 or first.value not in bounds else several
    return ({"decimal": ","} if first.hint == "Try --decimal ','" else {}), first.hint
