"""Damage: cells that cannot be read, kept until it is settled whether the file is refused or their rows set aside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.display import shorten
from forecast.errors import DataError, Problem
from forecast.reading.numbers import Fault, Faults
from forecast.reading.table import Table

LISTED = 20_000                     # problems told one by one


class Damage:
    """Cells that cannot be read, until it is settled whether the file is refused or their rows set aside."""

    def __init__(self, table: Table, file: str) -> None:
        self.table, self.file = table, file
        self.found: list[tuple[Faults, str]] = []
        self.blank = np.zeros(table.rows, dtype=bool)

    def add(self, faults: Faults, column: str) -> None:
        if len(faults):
            self.found.append((faults, shorten(column, 60)))

    def forgive(self, blank: NDArray[np.bool_]) -> None:
        """Rows without a single used cell are no rows: left out, and no fault."""
        self.blank = blank

    @property
    def bad(self) -> NDArray[np.bool_]:
        bad = np.zeros(self.table.rows, dtype=bool)
        for faults, _ in self.found:
            bad[faults.rows] = True
        return bad & ~self.blank

    def settle(self, *, set_aside: bool) -> tuple[int, tuple[Problem, ...]]:
        """How many rows are set aside, and what is wrong with them. Raises DataError where none may be."""
        problems = self._problems()
        if problems and not set_aside:
            raise DataError(problems[0], more=problems[1:])
        count = len(self.table.faults) + int(self.bad.sum())
        rejects = (*self.table.faults, *problems)
        if 2 * count > self.table.rows:
            raise DataError(rejects[0], more=rejects[1:])
        return count, tuple(sorted(rejects, key=lambda p: p.row or 0))

    def _problems(self) -> list[Problem]:
        """In the order of the rows; the first of very many."""
        places = sorted((int(row), k) for k, (faults, _) in enumerate(self.found) for row in faults.rows[:LISTED]
                        if not self.blank[row])
        listed = [self._problem(self.found[k][0].explain(row), self.found[k][1]) for row, k in places[:LISTED]]
        more = sum(len(faults) for faults, _ in self.found) - int(self.blank.sum()) - len(listed)
        return [*listed, *([Problem("more", f"{more:,} more of them", self.file)] if len(listed) == LISTED else [])]

    def _problem(self, fault: Fault, column: str) -> Problem:
        return Problem(fault.code, fault.message, self.file, self.table.lines.of(fault.row), column, fault.text[:200],
                       fault.hint)
