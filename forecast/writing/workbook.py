"""Workbook: rows of a table as a sheet of Excel: dates as dates, numbers as numbers, texts as texts and never formulas.

The same rows give the same bytes, whenever they are written."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any, BinaryIO

from forecast.errors import RequestError

MOST_ROWS = 1_048_576               # of a sheet, its header among them
FIRST_YEAR = 1900                   # no date before it is one in Excel
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
EPOCH = (1980, 1, 1, 0, 0, 0)       # when an archive's members are said to have been made


def sheet_writer() -> tuple[Callable[[Any], None], Callable[[BinaryIO], None]]:
    """What takes tables of the same columns, and what writes them to a file at last, one below the other.

    Raises RequestError for more rows than a sheet has."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    rows = 0

    def take(table: Any) -> None:
        nonlocal rows
        names = [_cell(sheet, name) for name in table.column_names]
        rows += table.num_rows + (not rows)
        if rows > MOST_ROWS:
            raise RequestError(f"a sheet of Excel has {MOST_ROWS:,} rows, and there are more", code="too_large",
                               hint="Write .csv or .parquet")
        if rows == table.num_rows + 1:
            sheet.append(names)
        for cells in zip(*map(_shown, table.columns), strict=True):
            sheet.append([_cell(sheet, cell) for cell in cells])

    def write(file: BinaryIO) -> None:
        book.properties.created = book.properties.modified = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
        whole = io.BytesIO()
        book.save(whole)
        file.write(_undated(whole))

    return take, write


def _shown(column: Any) -> list[Any]:
    """The cells of a column; moments that are all at midnight as days."""
    cells: list[Any] = column.to_pylist()
    moments = [cell for cell in cells if isinstance(cell, datetime)]
    is_of_days = bool(moments) and all(cell.time() == time() for cell in moments)
    return [cell.date() if isinstance(cell, datetime) else cell for cell in cells] if is_of_days else cells


def _cell(sheet: Any, value: Any) -> Any:
    """A cell of its own kind; what looks like a formula stays a text."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.utils.escape import escape

    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (date, datetime)) and value.year < FIRST_YEAR:
        value = str(value)
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, escape(value))
    cell.data_type = "s"
    return cell


def _undated(whole: io.BytesIO) -> bytes:
    """The same archive, without the moment at which it was made."""
    plain = io.BytesIO()
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as copy:
        for member in archive.infolist():
            content = archive.read(member)
            if member.filename == "docProps/core.xml":
                content = _MODIFIED.sub(b"\\g<1>2000-01-01T00:00:00Z\\g<2>", content)
            copy.writestr(zipfile.ZipInfo(member.filename, EPOCH), content, zipfile.ZIP_DEFLATED)
    return plain.getvalue()
