"""Cells that look like other cells, quotes that pair by chance, and files that are larger or slower than they seem."""

from __future__ import annotations

import os
import threading
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.parsing import table
from forecast.reading.parsing.kinds import kind
from forecast.reading.parsing.numbers import read_numbers
from forecast.reading.reader import Reading, read_panel
from forecast.reading.sources import files
from tests.tables import DAYS, changed, column, days, read, refused, repairs, written

VALUES = np.arange(40) + 0.5


def refused_path(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_panel(path, DataConfig(**options))
    return caught.value


# Parquet

def parquet(folder: Path, **columns: object) -> Path:
    path = folder / "f.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(("first", "step"), [("2020-01-01", "1h"), ("2020-01-01 12:00", "1D"),
                                             ("2020-01-01", "1s"), ("2020-01-01", "1D")])
def test_parquet_stamps_keep_their_time_of_day(unit: str, first: str, step: str, tmp_path: Path) -> None:
    every = {"1h": timedelta(hours=1), "1D": timedelta(1), "1s": timedelta(seconds=1)}[step]
    stamps = [datetime.fromisoformat(first) + k * every for k in range(40)]
    reading = read_panel(parquet(tmp_path, ds=pa.array(stamps, pa.timestamp(unit)), y=VALUES))
    assert [datetime.fromisoformat(text) for text in written(reading)] == stamps
    assert not reading.repairs
    np.testing.assert_array_equal(reading.panel.y, VALUES)


def test_a_small_parquet_file_that_grows_without_bound_is_refused(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_GROWTH", 1 << 20)
    text = "x" * 100_000
    path = parquet(tmp_path, ds=[str(d) for d in DAYS] * 100, y=np.arange(4000.0),
                   store=pa.array([text] * 4000))
    before = pa.total_allocated_bytes()
    assert refused_path(path, target="y").problem.code == "too_large"
    assert pa.total_allocated_bytes() - before < 64 << 20


def test_parquet_columns_without_a_role_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_GROWTH", 1 << 20)
    monkeypatch.setattr(files, "MAX_RATIO", 1)
    stamps = [date(2010, 1, 1) + timedelta(k) for k in range(2000)]
    notes = ["n"] * 1900 + ["n" * 40_000] * 100
    path = parquet(tmp_path, ds=pa.array(stamps), y=np.arange(2000.0), note=pa.array(notes))
    np.testing.assert_array_equal(read_panel(path).panel.y, np.arange(2000))
    assert refused_path(path, target="note").problem.code == "too_large"


# quotes

NOTED = "date,note,value\n" + "".join(f"{d},n{k},{k + 0.5}\n" for k, d in enumerate(DAYS))


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("header", ["date,note,value", "date,id,value"])
def test_two_stray_quotes_do_not_join_two_rows(ending: str, header: str) -> None:
    text = changed(changed(NOTED, 7, lambda line: line.replace("n5", '"n5')), 8, lambda line: line.replace("n6", 'n6"'))
    error = refused(text.replace("date,note,value", header).replace("\n", ending))
    assert (error.problem.code, error.problem.row) == ("stray_quote", 7)


def test_stray_quotes_beside_quoted_fields_do_not_join_rows() -> None:
    text = 'date,place,note,value\n' + "".join(f'{d},"a, b",n,{k}\n' for k, d in enumerate(DAYS))
    text = changed(changed(text, 7, lambda line: line.replace(",n,", ',"n,')), 8,
                   lambda line: line.replace('"a, b",n,', 'a,n",'))
    assert refused(text).problem.code == "stray_quote"


@pytest.mark.parametrize("note", ["first\nall, fine, really", "first\r\nsecond", "a\n\nb, c\n", "1, 2, 3\n4"])
def test_notes_of_several_lines_are_read(note: str) -> None:
    text = changed(NOTED, 7, lambda line: line.replace("n5", f'"{note}"'))
    reading = read(text, target="value")
    assert not reading.repairs
    np.testing.assert_array_equal(reading.panel.y, VALUES)


# delimiters at the end

def padded(count: int = 140) -> str:
    return "date,value\n" + "".join(f"{date(2020, 1, 1) + timedelta(k)},{k},\n" for k in range(count))


def test_a_delimiter_at_the_end_of_every_row_is_none_of_the_fields() -> None:
    assert read(padded()).panel.y.size == 140


@pytest.mark.parametrize("header", ["date,value", "date,value,"])
def test_a_cell_behind_the_last_name_is_a_field_too_many(header: str) -> None:
    text = changed(padded(), 120, lambda line: line + "5").replace("date,value", header)
    error = refused(text)
    assert (error.problem.code, error.problem.row) == ("extra_field", 120)
    reading = read(text, bad_rows="quarantine")
    assert [p.row for p in reading.rejects] == [120]
    assert repairs(reading) == {"quarantined": 1, "gaps": 1}
    broken = changed(text, 130, lambda line: line[:11] + "abc,")
    assert [p.row for p in read(broken, bad_rows="quarantine").rejects] == [120, 130]


# numbers

def test_a_later_cell_that_may_be_two_numbers_is_shown_as_both() -> None:
    first = read(days(values=[1000 + k for k in range(40)]))
    text = changed(days(values=[1000 + k for k in range(40)]), 9, lambda line: line[:11] + '"1,100"')
    with pytest.raises(DataError) as caught:
        read(text, contract=first.contract)
    problem = caught.value.problem
    assert (problem.code, problem.row) == ("ambiguous_number", 9)
    assert "1100 or 1.100" in problem.message
    assert problem.hint == "Try --decimal . for 1100, or --decimal ',' for 1.100"
    assert read(text, contract=first.contract, decimal=".").panel.y[7] == 1100


def test_a_later_cell_with_a_point_before_thousands_is_shown_as_both() -> None:
    style = read_numbers(pa.array(["1,5", "2,25"])).style
    numbers = read_numbers(pa.array(["1,5", "1.100"]), style=style)
    assert numbers.faults.explain(1).hint == "Try --decimal . for 1.100, or --decimal ',' for 1100"


# text

@pytest.mark.parametrize(("text", "encoding"), [
    ("Plzeň, Jihlavě", "cp1250"), ("Győr", "cp1250"), ("Plzeň, Bečov", "cp1250"), ("Győr", "iso8859-2")])
def test_central_european_letters_are_asked_about(text: str, encoding: str) -> None:
    rows = "".join(f"{text};{d};{k}\n" for k, d in enumerate(DAYS))
    error = refused(("id;date;value\n" + rows).encode(encoding))
    assert (error.problem.code, error.problem.row) == ("bad_encoding", 2)
    assert "cp1250" in (error.problem.hint or "")
    assert list(read(("id;date;value\n" + rows).encode(encoding), encoding=encoding).panel.ids) == [text]


@pytest.mark.parametrize("text", ["São João, Camões", "Forlì, Città", "Málaga", "Tromsø", "Genève"])
def test_western_letters_are_read(text: str) -> None:
    rows = "".join(f"{text};{d};{k}\n" for k, d in enumerate(DAYS))
    assert list(read(("id;date;value\n" + rows).encode("cp1252")).panel.ids) == [text]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-be"])
def test_the_byte_order_mark_decides_where_the_flag_does_not(codec: str) -> None:
    text = ("\ufeff" + days()).encode(codec)
    np.testing.assert_array_equal(read(text, encoding=codec[:6]).panel.y, VALUES)


# headers

def test_a_second_header_is_never_set_aside() -> None:
    text = column(DAYS[:20]) + column(DAYS[20:], header="date,price")
    error = refused(text, bad_rows="quarantine")
    assert (error.problem.code, error.problem.row) == ("second_header", 22)
    assert refused(text).problem.row == 22


# cost

def in_time(content: str | bytes, seconds: float = 3.0, **options: object) -> Reading | DataError:
    start = time.process_time()
    try:
        return read(content, **options)
    except DataError as error:
        return error
    finally:
        assert time.process_time() - start < seconds


@pytest.mark.parametrize("cell", ["x" * 200_000, "1" + "€" * 200_000 + "1", "5" + "x " * 100_000 + "-", "1" * 200_000,
                                  "1,111" * 40_000, "jan " + "1" * 200_000 + "x", "(" * 200_000, " " * 200_000 + "x"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_long_cells_cost_no_more_than_their_length(cell: str, place: int) -> None:
    rows = [[str(d), "n", "5"] for d in DAYS]
    rows[3][place] = f'"{cell}"'
    in_time("date,note,value\n" + "\n".join(",".join(row) for row in rows))


@pytest.mark.parametrize("cell", ["jan " + "1" * 5000 + "\nx", "2020-01-01 " + "1" * 5000 + "\n", "1 jan" + "a" * 5000])
def test_a_glance_at_a_long_cell_is_short(cell: str) -> None:
    start = time.process_time()
    assert kind(cell) == "text"
    assert time.process_time() - start < 0.5


def test_a_date_swallows_no_further_fields() -> None:
    assert kind("01/01/2020,8:00,0,X,€") == "text"
    for cell in ("01/01/2020, 8:00", "Jan 5, 2020", "5 Jan 2020 10:00 PM", "2020-01-01T10:00:00,123Z", "2020-Jan-05",
                 "01/01/2020 08:00 AM +02:00", "05jan2020", "January 5, 2020 10:00"):
        assert kind(cell) == "date", cell


def test_a_line_without_end_is_refused_before_its_quotes_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_LINE", 1 << 20)
    for text in ('"' * (3 << 20), "date,value\n2020-01-01,1\n" + '"' * (3 << 20), days() + "x" * (3 << 20)):
        assert refused(text).problem.code == "long_line"
    assert refused("date,value\r2020-01-01,1\r" + '"' * (3 << 20)).problem.row == 3


def test_gaps_of_centuries_are_refused_whatever_may_be_filled() -> None:
    text = "date,value\n1800-01-01 00:00:00,1\n1800-01-01 00:00:01,2\n1800-01-01 00:00:02,3\n2020-01-01 00:00:00,4\n"
    error = refused(text, max_gap=10**12)
    assert (error.problem.code, error.problem.row) == ("mostly_gaps", 5)
    long = column([*DAYS[:3], DAYS[2] + timedelta(9000)])
    assert read(long, max_gap=10_000).panel.y.size == 9003


# what is no file

def test_devices_are_refused_by_name() -> None:
    assert refused_path(Path("/dev/zero")).problem.code == "device"


def test_a_pipe_without_a_writer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FIFO_WAIT", 0.2)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refused_path(path).problem.code == "no_writer"


def test_a_slow_writer_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FIFO_WAIT", 0.2)
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("w") as stream:
            time.sleep(0.6)
            stream.write(days())

    writer = threading.Thread(target=write)
    writer.start()
    assert read_panel(path).rows == 40
    writer.join()


def test_a_pipe_of_the_shell_is_read() -> None:
    out, into = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(into, days().encode()), os.close(into)))
    writer.start()
    assert read_panel(f"/dev/fd/{out}").rows == 40
    writer.join()
    os.close(out)


def test_a_stream_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_STREAM", 1 << 20)
    out, into = os.pipe()

    def write() -> None:
        try:
            for _ in range(100):
                os.write(into, b"\0" * (1 << 16))
        except BrokenPipeError:
            pass
        os.close(into)

    writer = threading.Thread(target=write)
    writer.start()
    assert refused_path(Path(f"/dev/fd/{out}")).problem.code == "too_large"
    os.close(out)
    writer.join()
