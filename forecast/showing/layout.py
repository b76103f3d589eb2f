"""Layout: words and tables within the columns of a terminal. Without a terminal, lines stay as long as they are.

Every command lays out what it says by this file alone. A width of None stands for no terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

LABEL = 11                              # columns of the label before a line of words
GAP = 2                                 # columns between those of a table
SMALL = 40                              # of fewer columns, little is spent on indents
LEAST = 12                              # of a terminal that says fewer, nothing is folded: it folds by itself

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Table:
    """Cells as text: the first column to the left, the others to the right. `spared` names the headers that are left
    out first where there is no room for all."""

    headers: Sequence[str]
    rows: Rows
    spared: Sequence[str] = ()

    def only(self, kept: Sequence[int]) -> Table:
        """Some columns of it."""
        headers, *rows = ([cells[k] for k in kept] for cells in (self.headers, *self.rows))
        return replace(self, headers=headers, rows=rows)

    @property
    def widths(self) -> list[int]:
        """Of its columns, each as wide as its widest cell."""
        return [max(map(cell_len, column)) for column in zip(self.headers, *self.rows, strict=True)]

    def fits(self, width: int | None) -> bool:
        """Whether a line holds all columns."""
        widths = self.widths
        return width is None or sum(widths) + GAP * (len(widths) - 1) <= width


def folded(label: str, text: str, width: int | None) -> str:
    """`plan       horizon 14, ...`, on further lines below itself where it is too long."""
    return wrapped(f"{label:<{LABEL - 1}} {text}", width, indent=LABEL)


def wrapped(line: str, width: int | None, *, indent: int) -> str:
    """A line in lines of this width, the further ones indented; no word is parted. What stands between wide gaps stays
    together where it can."""
    if width is None or width < LEAST or cell_len(line) <= width:
        return line
    words = line.lstrip(" ")
    lines, indent = [line[:len(line) - len(words)]], min(indent, width // (2 if width >= SMALL else 4))
    for part in re.split(r"(?<=[^ ])(?= {2,})", words):                 # each with the gap before it
        whole = part.lstrip(" ")
        if lines[-1].strip() and cell_len(lines[-1] + part) > width and cell_len(whole) <= width - indent:
            lines.append(" " * indent + whole)
            continue
        for word in re.findall(r" *[^ ]+", part):
            _put(lines, word, width, indent)
    return "\n".join(line.rstrip() for line in lines)


def _put(lines: list[str], word: str, width: int, indent: int) -> None:
    """A word behind the last line, or on a new one where it has no room there."""
    if not lines[-1].strip() or cell_len(lines[-1] + word) <= width:
        lines[-1] += word
    else:
        lines.append(" " * indent + word.lstrip(" "))


def table_lines(table: Table, width: int | None, *, whole: bool = False) -> list[str]:
    """The lines of a table. Where it is too wide, its spared columns are left out, which is said; `whole`: it goes on
    in a second table below instead. Where two columns are too wide already, each row is a list."""
    left, kept = list[str](), list(range(len(table.headers)))
    if not whole:
        for name in table.spared:
            if table.only(kept).fits(width):
                break
            left.append(name)
            kept.remove(list(table.headers).index(name))
    table = table.only(kept)
    lines: list[str] = []
    for k, part in enumerate(_in_parts(table, width)):
        lines += ([""] if k else []) + (_grid(part) if part.fits(width) else _lists(part, width))
    if left:
        lines += wrapped(f"(left out: {', '.join(left)}; -v shows them)", width, indent=1).splitlines()
    return lines


def _in_parts(table: Table, width: int | None) -> Iterator[Table]:
    """The table, or tables of as many of its columns as fit, each with the first one."""
    if table.fits(width) or not all(table.only([0, k]).fits(width) for k in range(1, len(table.headers))):
        yield table
        return
    taken: list[int] = [0]
    for k in range(1, len(table.headers)):
        if not table.only([*taken, k]).fits(width):
            yield table.only(taken)
            taken = [0]
        taken.append(k)
    yield table.only(taken)


def _grid(table: Table) -> list[str]:
    """A line a row, under the line of headers."""
    widths = table.widths
    return [(" " * GAP).join(_padded(cell, size, left=k == 0) for k, (cell, size) in
                             enumerate(zip(row, widths, strict=True))).rstrip() for row in (table.headers, *table.rows)]


def _padded(cell: str, size: int, *, left: bool) -> str:
    space = " " * (size - cell_len(cell))
    return cell + space if left else space + cell


def _lists(table: Table, width: int | None) -> list[str]:
    """For each row its first cell, and under it a line for each of the others."""
    lines: list[str] = []
    longest = max((cell_len(header) for header in table.headers[1:]), default=0)
    for row in table.rows:
        lines += wrapped(row[0], width, indent=2).splitlines()
        for header, cell in [pair for pair in zip(table.headers[1:], row[1:], strict=True) if pair[1]]:
            lines += wrapped(f"  {_padded(header, longest, left=True)} {cell}", width, indent=4).splitlines()
    return lines
