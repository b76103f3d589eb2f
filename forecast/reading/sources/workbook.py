"""Workbook: a sheet of Excel as the text of a table, a line a row, so that all that is promised of text holds for it.

Numbers are written as Excel keeps them, dates as ISO, texts as they are. What a line of text cannot say (merged cells,
formulas without a value, dates among texts, two tables on a sheet) is refused here, by its cell."""

# R rows that hold anything

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from forecast.errors import DataError, Problem, RequestError
from forecast.series.ids import pasted
from forecast.text import listed, quoted, safe, shorten

MEMBER = "xl/workbook.xml"          # which every workbook holds, and no other archive
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
DAYS_OF_1904 = "days are counted from 1904"
MANY = 3                            # rows below a header that make a table, rather than a few words above one
HEAD = 60                           # rows among which a header is sought
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*?ref="([A-Z]+\d+:[A-Z]+\d+)"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{0,7})(?::\$?([A-Z]{1,3})\$?(\d{0,7}))?")
_DATE = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}\b|\d{1,2}[-. ]?[A-Za-z]{3,9}[-., ]+\d{2,4}\b"
                   r"|[A-Za-z]{3,9}[-. ]+(\d{1,2}, ?)?\d{4}$")
_EMPTY = re.compile(rb"<row\b(?=[^>]* r=)[^>]*(?:/>|>(?:<c\b[^>]*(?:/>|></c>))*</row>)")
Rows = dict[int, tuple[Any, ...]]   # number of the row, from 1 -> its cells from column A on


@dataclass(frozen=True)
class Sheet:
    """A sheet as text, its name, what there is to say, and the letters of its columns by their headers."""

    text: bytes
    notes: tuple[str, ...]
    letters: Mapping[str, str]

    def placed(self, problem: Problem) -> Problem:
        """The problem with its cell, where its row and its column are known."""
        letter = self.letters.get(problem.column or "")
        if problem.row is None or letter is None or problem.message.startswith("cell "):
            return problem
        return replace(problem, message=f"cell {letter}{problem.row}: {problem.message}")


def is_workbook(raw: bytes) -> bool:
    """Whether these bytes are a workbook of Excel 2007 or later."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return MEMBER in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def check_installed(file: str | None = None) -> None:
    """Raises RequestError where openpyxl is not there."""
    try:
        import openpyxl  # noqa: F401, only workbooks pay for it
    except ImportError as error:
        raise RequestError("Excel workbooks need openpyxl, which is not installed", file=file, code="no_extra",
                           hint="pip install openpyxl") from error


def read_sheet(raw: bytes, file: str, asked: str | None, decimal: str | None, limit: int) -> Sheet:
    """The sheet that was asked for, or the only one that holds anything. Raises DataError, and RequestError where
    openpyxl is not installed. limit: bytes that the workbook may unpack to."""
    check_installed(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                         # of styles and charts, which are not read
            return _read(raw, file, asked, decimal, limit)
    except (DataError, MemoryError):
        raise
    except Exception as error:                                      # openpyxl meets a damaged workbook in many ways
        raise DataError(f"is no sound workbook: {safe(error)[:80]}", file=file, code="bad_archive",
                        hint="Open and save it in Excel, or export the sheet as CSV") from error


def _read(raw: bytes, file: str, asked: str | None, decimal: str | None, limit: int) -> Sheet:
    from openpyxl import load_workbook
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(member.file_size for member in archive.infolist()) > limit:
            raise DataError(f"unpacks to more than {limit:,} bytes", file=file, code="too_large",
                            hint="If that is right, export the sheet as CSV")
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
        name, box, rows = _chosen(book, file, asked)
        text = _written(book[name])
    if _FORMULA.search(text):
        formulas = load_workbook(io.BytesIO(raw), read_only=True, keep_links=False)
        _check_computed(rows, _within(formulas[name], box), file)
    _check_merged(rows, [ref.decode() for ref in dict.fromkeys(_MERGED.findall(text))], file)
    rows, first = _trimmed(rows)
    _check_one_table(rows, first, name, file)
    _check_dates(rows, first, file)
    notes = [f"sheet {quoted(name)}"] + ([DAYS_OF_1904] if book.epoch == CALENDAR_MAC_1904 else [])
    return Sheet(_text(rows, decimal), tuple(notes), _letters(rows, first))


def letter_of(column: int) -> str:
    """The letters of a column, counted from 0: A, B, ... Z, AA."""
    text = ""
    while column >= 0:
        column, rest = divmod(column, 26)
        text, column = chr(65 + rest) + text, column - 1
    return text


def _number_of(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


# which sheet

Box = tuple[int, int, int, int]     # first column, first row, last column, last row, from 1


def _chosen(book: Any, file: str, asked: str | None) -> tuple[str, Box | None, Rows]:
    names = [sheet.title for sheet in book.worksheets]
    if asked is None:
        held = {name: rows for name in names if (rows := _within(book[name], None))}
        if not held:
            raise DataError("holds no cell with anything in it", file=file, code="empty")
        if len(held) > 1:
            raise DataError(f"holds {len(held)} sheets: {listed(list(held), 5)}", file=file, code="several_sheets",
                            hint=f"Try --sheet {pasted(next(iter(held)))}")
        name, rows = next(iter(held.items()))
        return name, None, rows
    title, box = (asked, None) if asked in names else _parted(asked)
    found = [name for name in names if name == title] or [name for name in names if name.lower() == title.lower()]
    if not found:
        raise DataError(f"has no sheet {quoted(title)}", file=file, code="no_sheet", hint=f"Sheets: {listed(names, 5)}")
    rows = _within(book[found[0]], box)
    if not rows:
        raise DataError(f"sheet {quoted(asked)} holds no cell with anything in it", file=file, code="empty")
    return found[0], box, rows


def _parted(asked: str) -> tuple[str, Box | None]:
    """Sales!A1:C200 as the sheet and the part of it."""
    title, mark, part = asked.rpartition("!")
    box = _RANGE.fullmatch(part.upper()) if mark else None
    if box is None:
        return asked, None
    left, top, right, bottom = box.groups()
    last = right or left
    return title.strip("'"), (_number_of(left), int(top or 1), _number_of(last),
                              int(bottom or (top if right is None and top else 1 << 20)))


def _within(sheet: Any, box: Box | None) -> Rows:
    """The rows of a sheet that hold anything, by their number; of a part of it, with nothing around."""
    text = _EMPTY.sub(b"", _written(sheet))                         # rows of a style alone, perhaps a million of them
    sheet._get_source = lambda: io.BytesIO(text)
    sheet.reset_dimensions()                                        # they may be wrong
    rows: Rows = {}
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        if box is not None:
            if not box[1] <= number <= box[3]:
                continue
            cells = (*[None] * (box[0] - 1), *cells[box[0] - 1:box[2]])
        if any(cell is not None and cell != "" for cell in cells):
            rows[number] = cells
    return rows


def _written(sheet: Any) -> bytes:
    """The XML of a sheet."""
    text: bytes = sheet.parent._archive.read(sheet._worksheet_path)
    return text


# what is refused

def _refused(file: str, row: int, column: int, message: str, code: str, hint: str) -> DataError:
    return DataError(f"cell {letter_of(column)}{row}: {message}", file=file, row=row, code=code, hint=hint)


def _check_computed(rows: Rows, formulas: Rows, file: str) -> None:
    for number, cells in formulas.items():
        values = rows.get(number, ())
        for k, cell in enumerate(cells):
            is_formula = (isinstance(cell, str) and cell.startswith("=")) or hasattr(cell, "ref")
            if is_formula and (k >= len(values) or values[k] is None):
                raise _refused(file, number, k, f"the formula {quoted(getattr(cell, 'text', cell))} has no value: it "
                               "was never computed", "no_value", "Open the workbook in Excel and save it")


def _check_merged(rows: Rows, merged: Sequence[str], file: str) -> None:
    """A title alone in its row, with a header below it, may span columns; cells of a table may not."""
    for ref in merged:
        match = _RANGE.fullmatch(ref)
        assert match is not None
        left, top, bottom = _number_of(match[1]) - 1, int(match[2]), int(match[4])
        held = [k for number in range(top, min(bottom, max(rows)) + 1) for k, cell in enumerate(rows.get(number, ()))
                if cell not in (None, "")]
        below = next((cells for number, cells in rows.items() if number > bottom), ())
        is_title = held == [left] and all(isinstance(cell, str) for cell in below if cell is not None)
        if top in rows and held and not is_title:
            raise _refused(file, top, left, f"the cells {ref} are merged", "merged_cells",
                           "Unmerge them, so that every column has its own name and every row its own cells")


def _trimmed(rows: Rows) -> tuple[Rows, int]:
    """The rows from the first column on that holds anything to the last, and the number of the first."""
    held = {k for cells in rows.values() for k, cell in enumerate(cells) if cell not in (None, "")}
    first, stop = min(held), max(held) + 1
    return {number: (*cells[first:stop], *[None] * (stop - max(first, len(cells)))) for number, cells in rows.items()
            }, first


def _check_one_table(rows: Rows, first: int, name: str, file: str) -> None:
    """Raises DataError for a column with nothing in it between others, and for a second header further down."""
    width, top, bottom = len(next(iter(rows.values()))), min(rows), max(rows)
    empty = [k for k in range(width) if all(cells[k] in (None, "") for cells in rows.values())]
    if empty:
        row = next(number for number, cells in rows.items() if any(c not in (None, "") for c in cells[empty[0] + 1:]))
        at = next(k for k in range(empty[0] + 1, width) if rows[row][k] not in (None, ""))
        part = f"{name}!{letter_of(first)}{top}:{letter_of(first + empty[0] - 1)}{bottom}"
        raise _refused(file, row, first + at, "another table stands beside the first", "two_tables",
                       f"Name the part to read: --sheet '{safe(part)}'")
    tables = [block for block in _blocks(rows) if _is_table(rows, block)]
    if len(tables) > 1 and len(tables[0]) > MANY:
        row = tables[1][0]
        at = next(k for k, cell in enumerate(rows[row]) if cell not in (None, ""))
        part = f"{name}!{letter_of(first)}{top}:{letter_of(first + width - 1)}{tables[1][0] - 1}"
        raise _refused(file, row, first + at, "another table begins below the first", "two_tables",
                       f"Name the part to read: --sheet '{safe(part)}'")


def _blocks(rows: Rows) -> Iterator[list[int]]:
    """Rows without an empty one between them, by their numbers."""
    block: list[int] = []
    for number in rows:
        if block and number > block[-1] + 1:
            yield block
            block = []
        block.append(number)
    yield block


def _is_table(rows: Rows, block: Sequence[int]) -> bool:
    """A header of texts, and below it rows that hold anything but texts."""
    def texts(number: int) -> list[bool]:
        return [isinstance(cell, str) for cell in rows[number] if cell not in (None, "")]

    heads = texts(block[0])
    return len(block) > 1 and len(heads) > 1 and all(heads) and not all(texts(block[1]))


def _check_dates(rows: Rows, first: int, file: str) -> None:
    """Raises DataError for a date as text in a column of dates: which of day and month comes first is Excel's guess."""
    dated: dict[int, int] = {}                                      # column -> the first row with a date
    texts: dict[int, int] = {}
    for number, cells in rows.items():
        for k, cell in enumerate(cells):
            if isinstance(cell, datetime):
                dated.setdefault(k, number)
            elif isinstance(cell, str) and k not in texts and _DATE.match(cell.strip()):
                texts[k] = number
    for k in dated.keys() & texts.keys():
        other = f"{letter_of(first + k)}{dated[k]}"
        raise _refused(file, texts[k], first + k, f"{quoted(rows[texts[k]][k])} is a text, and {other} is a date",
                       "mixed_dates", "Make all of the column dates in Excel: Data, Text to Columns")


# as text

def _text(rows: Rows, decimal: str | None) -> bytes:
    """A line a row, the empty ones too, so that lines count as rows do."""
    width = len(next(iter(rows.values())))
    clocks = [_has_clock(cells[k] for cells in rows.values()) for k in range(width)]
    text, before = io.StringIO(), 0
    writer = csv.writer(text, lineterminator="\n")
    for number, cells in rows.items():
        text.write("\n" * (number - before - 1))
        writer.writerow([_cell(cell, clock, decimal) for cell, clock in zip(cells, clocks, strict=True)])
        before = number
    return text.getvalue().encode("utf-8", "replace")


def _has_clock(cells: Iterable[Any]) -> bool:
    return any(isinstance(cell, datetime) and _rounded(cell).time() != time() for cell in cells)


def _rounded(moment: datetime) -> datetime:
    """To the millisecond: a day is kept as a fraction, which does not hold more."""
    return (moment + timedelta(microseconds=500)).replace(microsecond=0) if moment.microsecond >= 999_500 else \
        moment.replace(microsecond=(moment.microsecond + 500) // 1000 * 1000)


def _cell(cell: Any, clock: bool, decimal: str | None) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return repr(cell).replace(".", decimal or ".")
    if isinstance(cell, datetime):
        moment = _rounded(cell)
        return moment.isoformat(" ", "milliseconds" if moment.microsecond else "seconds") if clock else \
            moment.date().isoformat()
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    return re.sub(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", str(cell))


def _letters(rows: Rows, first: int) -> dict[str, str]:
    """Header, as it is shown -> letter."""
    letters: dict[str, str] = {}
    for cells in list(rows.values())[:HEAD]:
        for k, cell in enumerate(cells):
            if cell not in (None, ""):
                letters.setdefault(shorten(_cell(cell, clock=False, decimal=None), 60), letter_of(first + k))
    return letters
