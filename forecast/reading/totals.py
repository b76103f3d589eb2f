"""Totals: rows below the data that are none: blank ones, and sums and averages of those above."""

# N rows

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pyarrow.compute as pc

from forecast.errors import Problem
from forecast.reading.damage import Damage
from forecast.reading.opening import Opened
from forecast.reading.parsing.table import Cells, Table, as_texts
from forecast.series.arrays import Bools
from forecast.text import quoted

TOTAL = re.compile("((grand |sub)?totals?|sum|summe|gesamt|total général|totale|suma|average|mean|mittelwert):?",
                   re.IGNORECASE)   # in place of a date, in a row below all others
MOST_TOTALS = 3


def without_totals(table: Table, opened: Opened, damage: Damage) -> Table:
    """Rows without data are none: those that are blank, and totals below the others, which are counted as footers."""
    blank, at = _blank(table, opened), table.rows
    names = [table.columns[k] for k in opened.roles.time] + _first_names(table, opened)
    left = list[Problem]()
    while at > 0 and len(left) < MOST_TOTALS:
        at -= 1
        cells = [text for column in names if (text := str(column[at].as_py()).strip())]
        if not blank[at] and not (damage.bad[at] and len(cells) == 1 and TOTAL.fullmatch(cells[0])):
            break
        if not blank[at]:
            blank[at] = True
            left.append(Problem("footer", f"left out: {quoted(cells[0])}", table.file, table.lines.of(at)))
    damage.forgive(blank)
    return dataclasses.replace(table, left_out=(*table.left_out, *reversed(left)))


def _first_names(table: Table, opened: Opened) -> list[Cells]:
    """The column of the series' names; of several the first as it is written, for the name of a total is not whole."""
    roles = opened.roles
    if roles.id is None:
        return []
    alone = opened.read([roles.id], set_aside=True) if roles.more_ids else table
    return [alone.columns[roles.id]] if alone.rows == table.rows else []


def _blank(table: Table, opened: Opened) -> Bools:
    """Rows whose used cells are all empty."""
    blank = np.ones(table.rows, dtype=bool)
    for k in opened.used():
        blank &= np.asarray(pc.match_substring_regex(as_texts(table.columns[k]), r"^\s*$"), dtype=bool)
        if not blank.any():
            break
    return blank
