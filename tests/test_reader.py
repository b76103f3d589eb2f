"""The form of a file: bytes, dialect, header, rows and columns. Right, or refused where it is wrong."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.reader import read_panel
from tests.tables import DAYS, changed, column, days, read, refused, repairs, written

VALUES = np.arange(40) + 0.5
LONG = "store,date,y\n" + "".join(f"{s},{d},{k}\n" for s in "AB" for k, d in enumerate(DAYS))


def is_right(content: str | bytes, repaired: dict[str, int] | None = None, **options: object) -> None:
    reading = read(content, **options)                                  # type: ignore[arg-type]
    np.testing.assert_array_equal(reading.panel.y, VALUES)
    assert reading.contract.calendar.freq == "D"
    assert repairs(reading) == (repaired or {})


# dialects

@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " ", ", "])
def test_every_usual_delimiter_is_found(mark: str) -> None:
    is_right(days(header=f"date{mark}value", mark=mark))


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n", "\r\n\r\n"])
def test_every_line_end_is_read(end: str) -> None:
    is_right(days().replace("\n", end))


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("mark", [",", ";", ", "])
def test_quoted_cells_are_the_same_cells(quote: str, mark: str) -> None:
    rows = [line.split(",") for line in days().split()]
    is_right("\n".join(mark.join(f"{quote}{cell}{quote}" for cell in row) for row in rows))


def test_a_told_delimiter_is_used_and_a_bad_one_refused() -> None:
    is_right(days(header="date:value", mark=":"), delimiter=":")
    is_right(days(header="date\tvalue", mark="\t"), delimiter="tab")
    assert refused(days(), delimiter="ab").problem.code == "bad_delimiter"


def test_remarks_with_commas_quotes_and_line_breaks_leave_lines_numbered_as_they_are() -> None:
    rows = [f'{d},"first, ""one""\nsecond",{v}' for d, v in zip(DAYS, VALUES, strict=True)]
    text = "date,remark,value\n" + "\n".join(rows) + "\n"
    is_right(text)
    error = refused(text.replace(",4.5\n", ",x\n"))
    assert (error.problem.row, error.problem.column) == (10, "value")


def test_backslashes_before_quotes_and_columns_of_spaces() -> None:
    rows = [f'{d},"a \\"b\\", c",{v}' for d, v in zip(DAYS, VALUES, strict=True)]
    is_right("date,remark,value\n" + "\n".join(rows) + "\n")
    is_right("date          value\n" + "".join(f"{d}   {v:>6}\n" for d, v in zip(DAYS, VALUES, strict=True)))


# encodings

@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_that_show_themselves(encoding: str) -> None:
    is_right(days().encode(encoding))
    is_right(b"\xef\xbb\xbf" + days().encode("utf-8-sig"))
    is_right(days().encode() + b"\x1a")


def test_western_letters_are_read_and_said() -> None:
    reading = read(LONG.replace("A", "Zürich").encode("latin-1"))
    assert list(reading.panel.ids) == ["Zürich", "B"]
    assert any("cp1252" in note for note in reading.notes)


def test_other_letters_are_asked_about_and_read_when_told() -> None:
    data = LONG.replace("A", "東京").encode("shift_jis")
    error = refused(data)
    assert (error.problem.code, error.problem.row) == ("bad_encoding", 2)
    assert "shift_jis" in (error.problem.hint or "")
    assert read(data, encoding="shift_jis").panel.ids[0] == "東京"
    assert refused(LONG.encode() + "Zürich,2020-01-01,1\n".encode("latin-1") + "é\n".encode()).problem.row == 82
    assert refused(days(), encoding="no-such").problem.code == "bad_encoding"


def test_nul_bytes_are_refused_by_line() -> None:
    assert refused(days().replace("4.5", "4\0.5")).problem.row == 6


# header, preamble, footer

def test_titles_above_and_notes_below_the_table() -> None:
    is_right("A title\n\n# made by hand\n" + days(), repaired={"preamble": 2})
    is_right("sep=;\n" + days(header="date;value", mark=";"))
    is_right("A title,\n,\n" + days(), repaired={"preamble": 2})
    is_right(days(header=",value"))
    reading = read(days() + "\nSource: an office\n")
    assert repairs(reading) == {"footer": 1}
    assert reading.repairs[0].examples[0].row == 43


def test_no_header_is_no_loss() -> None:
    is_right("\n".join(days().split("\n")[1:]))
    reading = read("\n".join(LONG.split("\n")[1:]))
    assert list(reading.panel.ids) == ["A", "B"]
    assert (reading.contract.id, reading.contract.time) == ("id", "time")


def test_a_series_called_as_a_column_might_be_is_no_header() -> None:
    reading = read("".join(f"store,{d},{k}\n" for k, d in enumerate(DAYS)))
    assert (list(reading.panel.ids), reading.rows) == (["store"], 40)


def test_several_columns_of_numbers_without_names_are_asked_about() -> None:
    text = "".join(f"{d},{k},5\n" for k, d in enumerate(DAYS))             # perhaps 0,5 and 1,5
    assert refused(text).problem.code == "several_targets"
    assert list(read(text, target="2,3").panel.ids) == ["2", "3"]


def test_a_header_repeated_or_followed_by_units_is_not_data() -> None:
    for text in ("date,value\n" + days(), changed(days(), 1, lambda line: line + "\n,kW")):
        is_right(text, repaired={"second_header": 1})
    assert refused(days() + days()).problem.row == 42


def test_a_word_among_years_is_named() -> None:
    text = "Year,value\n" + "".join(f"{year},1\n" for year in range(1960, 1970)) + "Year,value\n"
    assert refused(text).problem.row == 12


def test_rows_longer_than_the_header_are_refused_at_the_header() -> None:
    text = "date,value\n" + "".join(f"{d},{k},7\n" for k, d in enumerate(DAYS))
    error = refused(text)
    assert (error.problem.row, error.problem.message) == (1, "header has 2 names, rows have 3")
    is_right("date,value\n" + "".join(f"{d},{v},\n" for d, v in zip(DAYS, VALUES, strict=True)))


# rows

@pytest.mark.parametrize(("change", "code"), [
    (lambda line: line + ",", "extra_field"), (lambda line: "," + line, "extra_field"),
    (lambda line: line.replace(",", ""), "missing_field"), (lambda line: line.replace(",", ";"), "missing_field"),
    (lambda line: '"' + line, "stray_quote"), (lambda line: line.replace("-", '-"', 1), "stray_quote"),
    (lambda line: line + '"', "stray_quote"), (lambda line: line.replace(",", ',"'), "stray_quote")])
@pytest.mark.parametrize("at", [2, 17, 41])
def test_a_broken_row_is_refused_at_its_line(change: object, code: str, at: int) -> None:
    error = refused(changed(days(), at, change))                        # type: ignore[arg-type]
    assert (error.problem.code, error.problem.row) == (code, at)


def test_all_broken_rows_are_named() -> None:
    text = changed(changed(days(), 5, lambda line: line + ",1"), 30, lambda line: line + ",1")
    assert [p.row for p in refused(text).problems] == [5, 30]


def test_two_stray_quotes_do_not_swallow_the_rows_between() -> None:
    text = changed(changed(days(), 9, lambda line: '"' + line), 12, lambda line: line + '"')
    error = refused(text)
    assert (error.problem.code, error.problem.row) == ("stray_quote", 9)


@pytest.mark.parametrize("blank", ["", "   ", ",", " , "])
def test_blank_lines_are_no_rows(blank: str) -> None:
    is_right(changed(days(), 12, lambda line: f"{blank}\n{line}"))


def test_bad_rows_are_set_aside_named_and_counted_when_asked() -> None:
    text = changed(changed(days(), 9, lambda line: line + ",1"), 12, lambda line: line.replace("10.5", "abc"))
    reading = read(text, bad_rows="quarantine")
    assert [p.row for p in reading.rejects] == [9, 12]
    assert repairs(reading) == {"quarantined": 2, "gaps": 2}
    np.testing.assert_array_equal(reading.panel.y, VALUES)              # filled by the straight line


def test_when_most_rows_are_bad_nothing_is_set_aside() -> None:
    text = "date,value\n" + "".join(f"{d},{'abc' if k > 9 else k}\n" for k, d in enumerate(DAYS))
    refused(text, target="value", bad_rows="quarantine")


@pytest.mark.parametrize(("text", "code"), [
    ("", "empty"), (" \n \n", "empty"), ("date,value\n", "no_rows"), ("date,value\n2020-01-01,5\n", "too_short"),
    ("value\n1\n2\n", "one_column"), ("date,value\n2020-01-01,\n2020-01-02,\n", "all_missing")])
def test_files_without_enough_in_them(text: str, code: str) -> None:
    assert refused(text).problem.code == code


def test_a_line_without_end_is_refused() -> None:
    assert refused(days() + "2020-02-10," + "9" * (17 << 20)).problem.code == "long_line"


# columns

def test_columns_are_found_by_name_in_any_case_and_order() -> None:
    reading = read("Y,DS,Unique_ID\n" + "".join(f"{k},{d},a\n" for k, d in enumerate(DAYS)))
    contract = reading.contract
    assert (contract.id, contract.time, contract.targets, contract.layout) == ("Unique_ID", "DS", ("Y",), "long")


def test_the_only_column_of_dates_and_of_numbers_will_do() -> None:
    reading = read("Month,Passengers\n1949-01,112\n1949-02,118\n1949-03,132\n")
    assert (reading.contract.time, reading.contract.targets, reading.contract.calendar.freq) == (
        "Month", ("Passengers",), "MS")
    assert "time=Month: the only column of dates" in reading.notes


@pytest.mark.parametrize(("header", "code"), [
    ("id,store,date,y", "several_ids"), ("id,date,price,promo", "several_targets"), ("id,ds,date,y", "several_times"),
    ("id,date,y,value", "several_targets"), ("date,date,y,x", "several_times")])
def test_several_candidates_are_named_and_none_is_chosen(header: str, code: str) -> None:
    row = ",".join("2020-01-{:02}" if n in ("date", "ds") else "{:02}" if n not in ("id", "store") else "A"
                   for n in header.split(","))
    text = header + "\n" + "".join(row.replace("{:02}", f"{k:02}") + "\n" for k in range(1, 20))
    error = refused(text)
    assert error.problem.code == code
    assert ("Rename" if header.startswith("date,date") else "--") in (error.problem.hint or "")


def test_flags_settle_the_columns_and_name_those_that_are_missing() -> None:
    text = "a,b,c,d\n" + "".join(f"x,{d},{k},{k}\n" for k, d in enumerate(DAYS))
    reading = read(text, id="a", time="B", target="d")
    assert (reading.contract.targets, reading.notes) == (("d",), ("not used: c",))
    error = refused(text, target="nope")
    assert error.problem.code == "missing_column"
    assert "a, b, c, d" in (error.problem.hint or "")


def test_a_wide_file_is_a_series_per_column() -> None:
    reading = read("date,north,south\n" + "".join(f"{d},{k},{-k}\n" for k, d in enumerate(DAYS)))
    assert (list(reading.panel.ids), reading.contract.id, reading.contract.layout) == (
        ["north", "south"], "series", "wide")
    np.testing.assert_array_equal(reading.panel.values(1), -np.arange(40))
    some = read("date,a,b,c\n" + "".join(f"{d},{k},{-k},7\n" for k, d in enumerate(DAYS)), target="a,c")
    assert list(some.panel.ids) == ["a", "c"]


def test_parts_of_the_date_given_again_are_no_series() -> None:
    text = ",date,year,month,value\n" + "".join(f"{k},{d},{d.year},{d.month},{k + 0.5}\n" for k, d in enumerate(DAYS))
    is_right(text)


def test_series_in_rows_are_refused_with_the_remedy() -> None:
    text = "id," + ",".join(f"V{k}" for k in range(20)) + "\n" + "".join(
        f"D{r}," + ",".join(str(k) for k in range(20)) + "\n" for r in range(5))
    assert refused(text).problem.hint == "Try --turn"
    assert read(text, turn=True).panel.ids.tolist() == [f"D{r}" for r in range(5)]


def test_series_stacked_without_an_id_are_told_apart_by_name() -> None:
    text = "symbol,date,price\n" + "".join(f"{s},{d},{k}\n" for s in ("x", "y") for k, d in enumerate(DAYS))
    reading = read(text)
    assert reading.panel.ids.tolist() == ["x", "y"]
    assert "id=symbol: what tells rows of one time apart" in reading.notes
    error = refused(text.replace("symbol", "kind"))
    assert (error.problem.row, error.problem.hint) == (42, "Column 'kind' separates them: --id kind")
    assert len(read(text.replace("symbol", "kind"), id="kind").panel) == 2
    assert "--id" not in str(refused(text.replace("symbol", "kind" * 30)).problem.hint)    # a line that is no name


def test_time_spread_over_columns() -> None:
    rows = [(d, h) for d in DAYS[:4] for h in range(24)]
    parts = "year,month,day,hour,value\n" + "".join(f"{d.year},{d.month},{d.day},{h},1\n" for d, h in rows)
    reading = read(parts)
    assert (reading.contract.time, reading.contract.calendar.freq) == ("date", "h")
    assert written(reading)[:2] == ["2020-01-01 00:00", "2020-01-01 01:00"]
    clock = "date,time,value\n" + "".join(f"{d},{h:02}:00,1\n" for d, h in rows)
    assert written(read(clock))[1] == "2020-01-01 01:00"
    told = clock.replace("date,time", "day1,clock1")
    assert written(read(told, time="day1,clock1"))[1] == "2020-01-01 01:00"


def test_a_name_that_stands_twice_is_refused_where_it_is_used() -> None:
    text = "date,value,value\n" + "".join(f"{d},1,2\n" for d in DAYS)
    assert refused(text).problem.code == "several_targets"
    assert refused(text, target="value").problem.code == "double_column"
    is_right("date,value,x,x\n" + "".join(f"{d},{v},1,2\n" for d, v in zip(DAYS, VALUES, strict=True)))


IDS = ("NA", "null", "None", "nan", "00123", "1e5", "1.0", "TRUE", "2020-01-01", "-", "?", "é", "日本", " a", "a  b",
       "0", "'quoted'", "[/]", ":warning:", "N/A")


def test_ids_are_text_byte_for_byte() -> None:
    text = "id,ds,y\n" + "".join(f"{i},{k},{k}\n" for i in IDS for k in range(3))
    reading = read(text)
    assert list(reading.panel.ids) == list(IDS)
    assert reading.contract.ids == IDS


def test_a_neutralised_id_reads_back_as_it_was() -> None:
    reading = read("id,ds,y\n" + "".join(f"{i},{k},{k}\n" for i in ("'=1+1", "'-x", "b") for k in range(3)))
    assert list(reading.panel.ids) == ["=1+1", "-x", "b"]
    both = read("id,ds,y\n" + "".join(f"{i},{k},{k}\n" for i in ("'-x", "-x") for k in range(3)))
    assert list(both.panel.ids) == ["'-x", "-x"]


def test_ids_that_differ_in_spaces_are_kept_apart_and_said() -> None:
    reading = read("id,ds,y\n" + "".join(f"{i},{k},{k}\n" for i in ("A", "A ") for k in range(3)))
    assert repairs(reading) == {"similar_ids": 1}
    assert refused(LONG.replace("A,2020-01-05", ",2020-01-05")).problem.row == 6


@pytest.mark.parametrize(("first", "second"), [("007", "7"), ("Nord 1", "nord 1"), ("Nord 01", "Nord 1")])
def test_a_series_that_goes_on_under_another_spelling_is_asked_about(first: str, second: str) -> None:
    """Not where both are there at one time, nor where names differ in more."""
    def notes(first: str, second: str, begins: int) -> str:
        rows = [(first, k) for k in range(5)] + [(second, k) for k in range(begins, begins + 5)]
        return " / ".join(read("id,ds,y\n" + "".join(f"{name},{k},{k}\n" for name, k in rows)).notes)

    asked = f'one series under two names? "{first}" ends before "{second}" begins'
    assert asked in notes(first, second, 5)
    assert "two names" not in notes(first, second, 4)
    assert "two names" not in notes(first, f"{second}0", 5)


# where bytes come from

def test_compressed_files(tmp_path: Path) -> None:
    plain = days().encode()
    is_right(gzip.compress(plain), ending=".csv.gz")
    is_right(gzip.compress(plain[:300]) + gzip.compress(plain[300:]), ending=".csv.gz")
    path = tmp_path / "f.csv.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write(plain)
    is_right(path.read_bytes(), ending=".csv.zst")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("f.csv", plain)
    is_right(archive.getvalue(), ending=".zip")


def test_archives_that_lie() -> None:
    plain = days().encode()
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as members:
        members.writestr("a.csv", plain)
        members.writestr("b.csv", plain)
    packed = gzip.compress(plain)
    cases = {"not packed": (plain, ".csv.gz"), "cut": (packed[:-20], ".csv.gz"),
             "twice": (gzip.compress(packed), ".csv.gz"),
             "two members": (two.getvalue(), ".zip"), "cut zip": (two.getvalue()[:50], ".zip"),
             "torn": (packed[:40] + b"xxxx" + packed[44:], ".csv.gz")}
    codes = {name: refused(data, ending=ending).problem.code for name, (data, ending) in cases.items()}
    assert codes == dict.fromkeys(cases, "bad_archive")


@pytest.mark.slow
def test_a_bomb_is_refused_before_it_goes_off() -> None:
    assert refused(gzip.compress(b"0" * (600 << 20)), ending=".csv.gz").problem.code == "too_large"


def test_parquet_reads_as_the_csv_would(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    frame = pd.DataFrame({"id": ["007"] * 40, "ds": pd.to_datetime(DAYS), "y": VALUES})
    frame.to_parquet(path)
    reading = read_panel(path)
    np.testing.assert_array_equal(reading.panel.y, VALUES)
    assert (written(reading)[0], list(reading.panel.ids)) == ("2020-01-01", ["007"])
    assert refused(path.read_bytes()[:200], ending=".parquet").problem.code == "bad_archive"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(days().encode())))
    reading = read_panel("-")
    assert (reading.file, reading.rows) == ("<stdin>", 40)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(days().encode()))
    writer.start()
    assert read_panel(path).rows == 40
    writer.join()


@pytest.mark.parametrize("address", ["https://user:secret@host/f.csv", "s3://bucket/f.csv", "/x/https:/host/f.csv"])
def test_addresses_are_refused_without_their_passwords(address: str) -> None:
    with pytest.raises(DataError) as caught:
        read_panel(address)
    assert caught.value.problem.code == "url"
    assert "secret" not in str(caught.value.to_dict())


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "is_folder"), (tmp_path / "none.csv", "no_file")):
        with pytest.raises(DataError) as caught:
            read_panel(path)
        assert caught.value.problem.code == code
    assert refused(b"%PDF-1.4 ...", ending=".csv").problem.code == "not_text"


# the whole reading

def test_the_slow_way_gives_what_the_fast_way_gives() -> None:
    fast = read(LONG)
    slow = read(changed(LONG, 30, lambda line: "\n" + line + "\n   "))      # a line of spaces is no row of fields
    np.testing.assert_array_equal(fast.panel.y, slow.panel.y)
    assert list(fast.panel.ids) == list(slow.panel.ids)


def test_row_order_does_not_matter() -> None:
    lines = LONG.split("\n")[1:-1]
    mixed = [lines[k] for k in np.random.default_rng(0).permutation(len(lines))]
    reading = read("\n".join(["store,date,y", *mixed]) + "\n")
    names = list(reading.panel.ids)
    for name in "AB":
        np.testing.assert_array_equal(reading.panel.values(names.index(name)), np.arange(40))


def test_the_reading_says_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(days())
    reading = read_panel(path, DataConfig())
    assert (reading.file, reading.rows, len(reading.sha256)) == (str(path), 40, 64)


def test_columns_may_be_many_but_not_endless() -> None:
    header = "date," + ",".join(f"c{k}" for k in range(500))
    rows = [f"{d}," + ",".join("1" for _ in range(500)) for d in DAYS[:5]]
    assert len(read("\n".join([header, *rows])).panel) == 500
    endless = "date" + ",x" * 20_000 + "\n" + ("2020-01-01" + ",1" * 20_000 + "\n") * 3
    assert refused(endless).problem.code == "too_many_columns"


def test_column_headers_may_be_hostile() -> None:
    header = "date,\x1b[31mred[/]\u202e"
    reading = read(column(DAYS, header=header))
    assert not any("\x1b" in note for note in reading.notes)
    error = refused(column(DAYS, ["x"] + [1] * 39, header=header))
    assert "\x1b" not in error.problem.message
