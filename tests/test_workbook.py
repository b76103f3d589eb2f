"""Excel: the same cells read as from CSV, what a sheet may hold besides is refused by its cell, and sheets written."""

from __future__ import annotations

import datetime as dt
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.reader import Reading, read_panel
from forecast.reading.sources.workbook import letter_of
from forecast.writing.layouts import write_table
from tests.test_cli import Run, run

__all__ = ["run"]

DAYS = [dt.datetime(2024, 1, 1) + dt.timedelta(days=k) for k in range(30)]
TABLE: list[list[Any]] = [["date", "sales"], *([day, 10.5 + k] for k, day in enumerate(DAYS))]
Edit = Callable[[Any, Any], object]


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    """What writes rows to a workbook: (rows, edit=a change made to (book, sheet))."""
    def write(rows: Sequence[Sequence[Any]], edit: Edit = lambda book, sheet: None) -> Path:
        whole = openpyxl.Workbook()
        sheet = whole.active
        assert sheet is not None
        sheet.title = "Sales"
        for row in rows:
            sheet.append(list(row))
        edit(whole, sheet)
        whole.save(tmp_path / "t.xlsx")
        return tmp_path / "t.xlsx"

    return write


def changed(row: int, column: int, value: object) -> list[list[Any]]:
    """The table with another value in a cell, counted from 1 as Excel does."""
    rows = [list(cells) for cells in TABLE]
    rows[row - 1][column - 1] = value
    return rows


def read(path: Path, **options: Any) -> Reading:
    return read_panel(path, DataConfig(**options))


def test_a_sheet_reads_as_its_cells_in_csv_do(book: Callable[..., Path], tmp_path: Path) -> None:
    rows = [["store", "time", "value"], *(["007", dt.datetime(2024, 3, 1, h), 1.25 * h - 3] for h in range(20)),
            *(["b, c", dt.datetime(2024, 3, 1, h), 7] for h in range(20))]
    lines = [",".join(f'"{cell}"' for cell in row) for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    ours, theirs = read(book(rows)), read(tmp_path / "t.csv")
    assert ours.panel.ids.tolist() == theirs.panel.ids.tolist() == ["007", "b, c"]
    np.testing.assert_array_equal(ours.panel.y, theirs.panel.y)
    assert (ours.span, ours.contract.calendar) == (theirs.span, theirs.contract.calendar)
    assert ours.notes == ('sheet "Sales"', *theirs.notes)


@pytest.mark.parametrize("decimal", [None, ".", ","])
def test_a_number_is_what_excel_keeps_whatever_the_decimal_mark_of_texts(book: Callable[..., Path],
                                                                         decimal: str | None) -> None:
    values = [1.234, 1234.567, 0.123456789012345, 1e-7, 12, -3.5]
    rows = [["date", "y"], *([day, value] for day, value in zip(DAYS, values, strict=False))]
    assert read(book(rows), decimal=decimal, spikes="keep").panel.values(0).tolist() == values


def test_moments_are_kept_as_fractions_of_days_and_read_to_the_second(book: Callable[..., Path]) -> None:
    hours = [DAYS[0] + dt.timedelta(hours=k) for k in range(50)]
    reading = read(book([["time", "y"], *([hour, k] for k, hour in enumerate(hours))]))
    assert (reading.contract.calendar.freq, reading.span) == ("h", ("2024-01-01 00:00:00", "2024-01-03 01:00:00"))


def test_days_counted_from_1904_are_the_days_they_show(book: Callable[..., Path]) -> None:
    def of_1904(whole: Any, sheet: Any) -> None:
        whole.epoch = CALENDAR_MAC_1904

    reading = read(book(TABLE, of_1904))
    assert reading.span == ("2024-01-01", "2024-01-30")
    assert "days are counted from 1904" in reading.notes
    plain = [["date", "sales"], *([43830 + k, 10 + k] for k in range(30))]
    with pytest.raises(DataError) as caught:
        read(book(plain, of_1904))
    assert caught.value.code == "days_of_1904"
    assert read(book(plain)).span == ("43830", "43859")


def header_merged(whole: Any, sheet: Any) -> None:
    sheet.merge_cells("A1:B1")


def ids_merged(whole: Any, sheet: Any) -> None:
    sheet.merge_cells("A5:A7")


def formula(whole: Any, sheet: Any) -> None:
    sheet["B9"] = "=B8+1"


def below(whole: Any, sheet: Any) -> None:
    for row in ([], [], ["city", "visitors"], ["Rome", 3], ["Bern", 4]):
        sheet.append(row)


def beside(whole: Any, sheet: Any) -> None:
    for k, row in enumerate(TABLE[:9], start=1):
        sheet.cell(k, 4, row[0])
        sheet.cell(k, 5, row[1])


@pytest.mark.parametrize(("rows", "edit", "code", "told"), [
    (changed(17, 2, "abc"), None, "not_a_number", "t.xlsx:17: column 'sales': cell B17: \"abc\" is not a number"),
    (changed(17, 2, "#DIV/0!"), None, "not_a_number", "cell B17: \"#DIV/0!\" is not a number"),
    (changed(17, 1, "17.01.2024"), None, "mixed_dates", 'cell A17: "17.01.2024" is a text, and A2 is a date'),
    (changed(17, 1, "2024-01-16"), None, "mixed_dates", 'cell A17: "2024-01-16" is a text, and A2 is a date'),
    (changed(17, 1, None), None, "no_time", "cell A17: has no time stamp"),
    (TABLE, header_merged, "merged_cells", "t.xlsx:1: cell A1: the cells A1:B1 are merged"),
    (TABLE, ids_merged, "merged_cells", "t.xlsx:5: cell A5: the cells A5:A7 are merged"),
    (TABLE, formula, "no_value", 't.xlsx:9: cell B9: the formula "=B8+1" has no value: it was never computed'),
    (TABLE, below, "two_tables", "t.xlsx:34: cell A34: another table begins below the first"),
    (TABLE, beside, "two_tables", "t.xlsx:1: cell D1: another table stands beside the first")])
def test_what_a_sheet_may_hold_besides_a_table_is_refused_by_its_cell(
        book: Callable[..., Path], rows: list[list[Any]], edit: Edit | None, code: str, told: str) -> None:
    with pytest.raises(DataError) as caught:
        read(book(rows, edit) if edit else book(rows))
    assert caught.value.code == code
    assert told in str(caught.value)
    assert len(str(caught.value).replace(str(caught.value.file), "t.xlsx")) <= 240


@pytest.mark.parametrize(("edit", "values"), [(below, 30), (beside, 30)])
def test_the_part_that_a_refusal_proposes_is_read(book: Callable[..., Path], edit: Edit, values: int) -> None:
    path = book(TABLE, edit)
    with pytest.raises(DataError) as caught:
        read(path)
    part = str(caught.value.hint).split("'")[1]
    assert read(path, sheet=part).panel.y.size == values
    assert read(book(TABLE, beside), sheet="Sales!D1:E9").panel.y.size == 8


def test_a_title_above_and_a_table_that_begins_further_in_are_no_fault(book: Callable[..., Path]) -> None:
    rows = [[None, "Sales of 2024"], [], *([None, *row] for row in changed(17, 2, "abc"))]
    path = book(rows, lambda whole, sheet: sheet.merge_cells("B1:C1"))
    assert read(path, bad_rows="quarantine").rejects[0].message.startswith("cell C19: ")


def test_of_several_sheets_one_is_named(book: Callable[..., Path]) -> None:
    path = book(TABLE, lambda whole, sheet: whole.create_sheet("Other one").append(["x", "y"]))
    with pytest.raises(DataError, match=r"holds 2 sheets: Sales, Other one. Try --sheet Sales"):
        read(path)
    assert read(path, sheet="Sales").panel.y.size == 30
    with pytest.raises(DataError, match=r'has no sheet "July". Sheets: Sales, Other one'):
        read(path, sheet="July")
    empty = book(TABLE, lambda whole, sheet: whole.create_sheet("Empty"))
    assert read(empty).panel.y.size == 30
    with pytest.raises(DataError, match="holds no cell"):
        read(book([]))


def test_a_text_file_has_no_sheet(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("date,y\n2024-01-01,1\n2024-01-02,2\n")
    with pytest.raises(DataError, match="is no Excel workbook"):
        read(tmp_path / "t.csv", sheet="Sales")


def test_a_password_an_old_workbook_and_a_damaged_one_are_each_said(book: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "p.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(DataError, match="is protected by a password"):
        read(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600)
    with pytest.raises(DataError, match="is an old Excel workbook"):
        read(path)
    with zipfile.ZipFile(book(TABLE)) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name)[:200])
    with pytest.raises(DataError, match="is no sound workbook"):
        read(path)


def test_many_thousand_rows_of_style_alone_are_no_rows(book: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "styled.xlsx"
    rows = b"".join(b'<row r="%d"><c r="A%d" s="0"/><c r="B%d" s="0"/></row>' % (k, k, k) for k in range(32, 60_000))
    with zipfile.ZipFile(book(TABLE)) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as styled:
        for name in plain.namelist():
            styled.writestr(name, plain.read(name).replace(b"</sheetData>", rows + b"</sheetData>"))
    assert (read(path).rows, read(path).repairs) == (30, ())


def test_a_forecast_in_a_workbook_is_the_one_in_csv_and_is_scored(book: Callable[..., Path], run: Run) -> None:
    path = book([["date", "sales"], *([day, 10 + k % 7] for k, day in enumerate(DAYS))])
    assert run("predict", str(path), "--horizon", "3", "-o", "f.xlsx").code == 0
    assert run("predict", str(path), "--horizon", "3", "-o", "f.csv").code == 0
    sheet = openpyxl.load_workbook("f.xlsx").active
    assert sheet is not None
    header, *rows = sheet.iter_rows(values_only=True)
    lines = Path("f.csv").read_text().splitlines()
    assert ",".join(map(str, header)) == lines[0]
    for row, line in zip(rows, lines[1:], strict=True):
        day, *numbers = row[:6]
        assert [f"{day:%Y-%m-%d}", *(f"{number:g}" for number in numbers if isinstance(number, (int, float)))] == [
            cell if k == 0 else f"{float(cell):g}" for k, cell in enumerate(line.split(",")[:6])]
    before = Path("f.xlsx").read_bytes()
    assert run("predict", str(path), "--horizon", "3", "-o", "f.xlsx").code == 0
    assert Path("f.xlsx").read_bytes() == before                        # whenever it is written


def test_no_text_in_a_workbook_is_a_formula(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "@x", "plain", "a\x07b"]
    write_table(pa.table({"id": texts, "y": [1.5, 2, float("nan"), None, 3]}), tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    assert sheet is not None
    assert [row[0].data_type for row in sheet.iter_rows(min_row=2)] == ["s"] * 5
    assert [row[0].value for row in sheet.iter_rows(min_row=2)][:4] == texts[:4]
    assert [row[1].value for row in sheet.iter_rows(min_row=2)] == [1.5, 2, None, None, 3]
    assert os.listdir(tmp_path) == ["t.xlsx"]


def test_columns_are_lettered_as_in_excel() -> None:
    assert [letter_of(k) for k in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
