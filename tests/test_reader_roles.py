"""Which column is what, and which writing of a date is meant, where a first look misleads. Right, told, or refused."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from forecast.cli import main
from tests.tables import DAYS, column, days, read, refused, repairs, written

# dates of digits only

@pytest.mark.parametrize(("form", "count"), [
    ("%d%m%Y", 31), ("%m%d%Y", 40), ("%d%m%y", 40), ("%m%d%y", 40), ("%y%m%d", 40), ("%Y%j", 40), ("%Y%m%d", 31)])
def test_dates_of_digits_are_days_in_any_order(form: str, count: int) -> None:
    stamps = [d.strftime(form) for d in DAYS[:count]]
    reading = read(column(stamps))
    assert (reading.contract.calendar.freq, reading.contract.time_format.pattern) == ("D", form)
    assert written(reading) == stamps


def test_a_leading_zero_may_be_lost_and_stays_lost() -> None:
    stamps = [d.strftime("%d%m%Y").removeprefix("0") for d in DAYS]
    reading = read(column(stamps))
    assert reading.contract.calendar.freq == "D"
    assert written(reading) == stamps


@pytest.mark.parametrize(("form", "count"), [("%m%d%y", 12), ("%d%m%y", 24), ("%y%j", 40)])
def test_digits_that_make_even_steps_in_two_orders_are_asked_about(form: str, count: int) -> None:
    error = refused(days(form, count)).problem
    assert (error.code, error.row) == ("ambiguous_date", 2)
    assert form in (error.hint or "")
    assert read(days(form, count), date_format=form).contract.calendar.freq == "D"


def test_weeks_of_digits_are_weeks() -> None:
    assert read(column([f"2020{w:02}" for w in range(1, 53)])).contract.calendar.freq == "W-MON"
    assert read(column([f"2020{w:02}" for w in range(1, 13)], header="week,y")).contract.calendar.freq == "W-MON"
    assert read(column([f"2020{m:02}" for m in range(1, 13)], header="month,y")).contract.calendar.freq == "MS"


def test_digits_under_a_date_that_are_none_are_no_steps() -> None:
    error = refused(column(range(990000, 990040))).problem
    assert (error.code, error.row) == ("not_a_date", 2)
    assert "--date-format" in (error.hint or "")
    assert read(column(range(990000, 990040)), date_format="integer").contract.calendar.freq == "step"


def test_a_month_of_days_under_ds_is_a_month_of_days() -> None:
    reading = read(column([d.strftime("%Y%m%d") for d in DAYS[:31]], header="ds,y"))
    assert reading.contract.calendar.freq == "D"


def test_one_month_with_two_digits_may_be_days() -> None:
    error = refused(column([f"Jan-{k:02}" for k in range(1, 21)])).problem
    assert (error.code, error.row) == ("ambiguous_date", 2)
    assert read(column([f"Jan-{k:02}" for k in range(1, 21)]), date_format="%b-%y").contract.calendar.freq == "YS"


@pytest.mark.parametrize(("stamps", "freq"), [
    ([f"{y}q{q}" for y in (2018, 2019) for q in (1, 2, 3, 4)], "QS"), ([f"2018M{m}" for m in range(1, 13)], "MS"),
    ([f"2020-W{w}" for w in range(1, 20)], "W-MON"), ([f"{d:%Y%m%d}.0" for d in DAYS], "D")])
def test_rarer_writings(stamps: list[str], freq: str) -> None:
    reading = read(column(stamps))
    assert reading.contract.calendar.freq == freq
    assert written(reading) == stamps


def test_seconds_may_have_become_floats() -> None:
    assert read(column([f"{1577836800 + 3600 * k}.0" for k in range(30)])).contract.calendar.freq == "h"


# several series without an id

def stacked(header: str, parts: dict[str, range], *, before: bool = True) -> str:
    rows = [(name, 1950 + k, k) for name, years in parts.items() for k in years]
    return header + "\n" + "".join(f"{n},{y},{v}\n" if before else f"{y},{v},{n}\n" for n, y, v in rows)


def test_series_one_behind_the_other_are_not_one() -> None:
    text = stacked("country,year,value", {"A": range(20), "B": range(20, 40)})
    error = refused(text).problem
    assert (error.code, error.row) == ("stacked", 22)
    assert "--id country" in (error.hint or "")
    assert list(read(text, id="country").panel.ids) == ["A", "B"]
    assert read(text, id="none").panel.y.size == 40


def test_series_in_turns_are_not_one() -> None:
    text = "sensor,date,value\n" + "".join(f"{'AB'[k % 2]},{d},{k}\n" for k, d in enumerate(DAYS))
    assert refused(text).problem.code == "stacked"


@pytest.mark.parametrize("words", [
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ["yes", "no"], ["x"], ["rain", "rain", "sun", "rain", "sun"]])
def test_words_that_name_no_series_part_none(words: list[str]) -> None:
    text = "remark,date,value\n" + "".join(f"{words[k % len(words)]},{d},{k}\n" for k, d in enumerate(DAYS))
    assert read(text).panel.y.size == len(DAYS)


def test_hours_in_a_column_of_their_own_are_time() -> None:
    text = "date,hour,load\n" + "".join(f"{d},{h},{h}\n" for d in DAYS[:5] for h in range(24))
    assert "--time date,hour" in (refused(text).problem.hint or "")
    assert read(text, time="date,hour").contract.calendar.freq == "h"


# headers

@pytest.mark.parametrize("row", ["unknown,missing,x", "n/a,n/a,start", "closed,n/a,closed"])
def test_a_row_with_a_missing_word_is_no_second_header(row: str) -> None:
    text = f"date,value,remark\n{row}\n" + "".join(f"{d},{k},\n" for k, d in enumerate(DAYS))
    assert refused(text).problem.row == 2


def test_rows_around_the_header_are_left_out_with_a_word() -> None:
    reading = read("A title\ndate,value\nDatum,Wert\n" + days().partition("\n")[2])
    assert repairs(reading) == {"preamble": 1, "second_header": 1}
    assert [r.examples[0].row for r in reading.repairs] == [1, 3]


@pytest.mark.parametrize("above", [
    "Title,\nSource,ACME\n\n", "Source: a, b\n", "Station,Berlin\nLat,52.5\nLon,13.4\n\n"])
def test_a_preamble_of_as_many_fields_is_no_header(above: str) -> None:
    reading = read(above + days())
    assert (reading.contract.time, reading.contract.targets) == ("date", ("value",))
    assert list(repairs(reading)) == ["preamble"]


@pytest.mark.parametrize(("begin", "name"), [('[{"date": 1,', "JSON"), ("<!DOCTYPE html>\n<p>a,b", "HTML")])
def test_files_of_another_kind_are_named(begin: str, name: str) -> None:
    assert name in refused(begin + "\n" + days()).problem.message


# columns

@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_an_index_is_no_series(name: str) -> None:
    reading = read(f"{name},date,price\n" + "".join(f"{k * 7 % 40},{d},{k}\n" for k, d in enumerate(DAYS)))
    assert (reading.contract.targets, len(reading.panel)) == (("price",), 1)
    assert any(note.startswith("not used") for note in reading.notes)


def test_an_index_may_be_what_is_measured() -> None:
    assert read(column([str(d) for d in DAYS], range(100, 140), header="date,index")).contract.targets == ("index",)


def test_an_id_that_counts_rows_names_no_series() -> None:
    reading = read("id,date,value\n" + "".join(f"{k + 1},{d},{k}\n" for k, d in enumerate(DAYS)))
    assert (len(reading.panel), reading.notes) == (1, ("not used: id (numbers the rows)",))
    several = read("id,date,value\n" + "".join(f"{k},{d},{k}\n" for d in DAYS for k in (1, 2)))
    assert len(several.panel) == 2


@pytest.mark.parametrize("parts", [
    "Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec", "Q1,Q2,Q3,Q4", "1,2,3,4,5,6,7,8,9,10,11,12"])
def test_a_row_per_year_and_a_column_per_month_is_to_be_turned(parts: str) -> None:
    cells = ",".join("5" for _ in parts.split(","))
    error = refused(f"Year,{parts}\n" + "".join(f"{y},{cells}\n" for y in range(1990, 2000))).problem
    assert (error.code, error.row) == ("year_matrix", 1)


def test_a_column_per_year_is_to_be_turned() -> None:
    text = "Month,1958,1959,1960\n" + "".join(f"{m},1,2,3\n" for m in ("JAN", "FEB", "MAR", "APR"))
    assert "one row per month" in (refused(text).problem.hint or "")
    assert refused(text, turn=True).problem.code == "year_matrix"


@pytest.mark.parametrize("options", [{}, {"time": "Year,Month"}, {"time": "Year,Month", "date_format": "%Y %B"}])
def test_years_and_named_months_are_months(options: dict[str, str]) -> None:
    names = [date(2000, m, 1).strftime("%B") for m in range(1, 13)]
    text = "Year,Month,Sales\n" + "".join(f"{y},{m},{k}\n" for y in (2000, 2001) for k, m in enumerate(names))
    assert read(text, **options).contract.calendar.freq == "MS"


def test_years_and_quarters_are_quarters() -> None:
    text = "year,quarter,value\n" + "".join(f"{y},{q},{q}\n" for y in range(2000, 2004) for q in (1, 2, 3, 4))
    assert read(text, time="year,quarter").contract.calendar.freq == "QS"


def test_a_column_the_model_never_saw_is_told() -> None:
    def wide(names: str) -> str:
        return f"date,{names}\n" + "".join(f"{d}{',1' * len(names.split(','))}\n" for d in DAYS)

    contract = read(wide("a,b")).contract
    assert "not used: c" in read(wide("a,b,c"), contract=contract).notes


# check

def code(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_checked_files_are_never_written_over_each_other(tmp_path: Path) -> None:
    for name in ("sales.2020.csv", "sales.2021.csv", "sales.2020.txt"):
        (tmp_path / name).write_text(days())
    out = tmp_path / "out"
    one, two, three = (str(tmp_path / name) for name in ("sales.2020.csv", "sales.2021.csv", "sales.2020.txt"))
    assert code(["check", one, two, "-o", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["sales.2020.csv", "sales.2021.csv"]
    assert code(["check", one, three, "-o", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


def test_a_row_that_stands_twice_does_not_hide_the_column_that_names_the_series() -> None:
    some = [date(2025, 1, 1) + timedelta(days=k) for k in range(80)]
    rows = [f"{branch},{day},{10 + k % 7},sun" for branch in ("north", "south") for k, day in enumerate(some)]
    text = "\n".join(["branch,day,qty,weather", *rows, rows[-1]]) + "\n"
    error = refused(text, target="qty")
    assert (error.problem.code, error.problem.row) == ("duplicate_time", 162)
    assert "--duplicates last" in str(error.problem.hint)
    reading = read(text, target="qty", duplicates="last")
    assert reading.panel.ids.tolist() == ["north", "south"]
    assert reading.panel.lengths.tolist() == [80, 80]


def test_a_row_of_delimiters_alone_hides_no_column_that_names_the_series() -> None:
    rows = [f"{shop};{day};{k}" for shop in ("Bonn", "Ulm") for k, day in enumerate(DAYS[:20])]
    reading = read("\n".join(["Filiale;Datum;Umsatz", *rows, ";;"]) + "\n")
    assert list(reading.panel.ids) == ["Bonn", "Ulm"]
