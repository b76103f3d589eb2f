"""Files as people have them: turned tables, counted months, tables above tables, hints that work."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.tables import DAYS, read, refused, written
from tests.test_cli import Run, run
from tests.test_public_files import flags_in

__all__ = ["run"]
CLOCKED = "".join(f"{d};{h:02}:00;{h + 1:02}:00;{h}\n" for d in DAYS[:5] for h in range(23))


# all at once

def test_all_flags_are_told_at_once_and_work_when_pasted() -> None:
    text = "pump no,k1,when,reading,extra word,note\n" + "".join(
        f'{p},{q},{d},{k},{"<1" if k == 7 else k + 0.5},ok\n' for p in (1, 2) for q in ("a", "b")
        for k, d in enumerate(DAYS))
    error = refused(text)
    assert error.hint == 'Try --target "extra word" --missing "<1" --id "pump no,k1"'
    assert {p.code for p in error.problems} == {"several_targets", "not_a_number", "backward_step"}
    assert len(read(text, **flags_in(error.hint)).panel) == 4


@pytest.mark.parametrize(("header", "likely"), [
    ("date,temp,sales amount,price,note", "sales amount"), ("date,WindSpeed,UnitsSold,flag,note", "UnitsSold"),
    ("date,aa,bb,cc,note", "cc"), ("date,month,y2,weekday,note", "y2")])
def test_the_likely_target_is_proposed(header: str, likely: str) -> None:
    rows = "".join(f"{d},{k},{2 * k},{3 * k},x\n" for k, d in enumerate(DAYS))
    text = f"{header}\n{rows}"
    if "month" in header:                                           # parts of the date are no targets
        assert read(text).contract.targets == (likely,)
    else:
        assert flags_in(refused(text).hint or "")["target"] == likely


def test_a_flag_that_does_not_help_is_not_given() -> None:
    cells = [f"{k}.5" for k in range(40)]
    cells[5] = "7,5"
    text = "date;v\n" + "".join(f"{d};{c}\n" for d, c in zip(DAYS, cells, strict=True))
    assert "--decimal" not in str(refused(text))


def test_names_are_quoted_for_the_shell() -> None:
    text = "date,my $x,it's,note\n" + "".join(f"{d},{k},{k},n\n" for k, d in enumerate(DAYS))
    hint = refused(text).hint or ""
    assert shlex.split(hint)[1:] == ["--target", "it's"]
    assert read(text, **flags_in(hint)).contract.targets == ("it's",)


def test_a_bound_with_a_comma_is_no_two_texts() -> None:
    text = "date;v\n" + "".join(f"{d};{'<1,5' if k == 3 else f'{k},5'}\n" for k, d in enumerate(DAYS))
    assert "--missing" not in (refused(text).hint or "")


# day and clock

@pytest.mark.parametrize("header", ["Datum;Zeit von;Zeit bis;Wert", "jour;début;fin;valeur", "a;b;c;d"])
def test_a_day_and_a_clock_in_two_columns_are_found_by_their_cells(header: str) -> None:
    reading = read(f"{header}\n{CLOCKED}", fill="mask")
    assert reading.contract.time_columns == tuple(header.split(";")[:2])
    assert written(reading)[:2] == ["2020-01-01 00:00", "2020-01-01 01:00"]


def test_a_clock_beside_days_that_do_not_repeat_is_no_time() -> None:
    text = "date,sunrise,y\n" + "".join(f"{d},07:{k:02},{k}\n" for k, d in enumerate(DAYS))
    assert read(text).contract.time_columns == ("date",)


def test_a_clock_is_never_advised_as_an_id() -> None:
    hint = refused("Datum;Zeit von;Zeit bis;Wert\n" + CLOCKED, time="Datum").hint or ""
    assert hint.endswith('--time "Datum,Zeit von"')


def test_dotted_dates_are_day_first() -> None:
    text = "d,y\n" + "".join(f"{k:02}.05.2024,{k}\n" for k in range(1, 11))
    assert read(text).contract.time_format.pattern == "%d.%m.%Y"
    lines = text.split("\n")
    lines[4] = "05.13.2024,4"                                       # fits month first as all others do
    assert refused("\n".join(lines)).row == 5


# counted times

def test_months_of_years_counted_from_one() -> None:
    counted = [(y, m) for y in (1, 2, 3) for m in range(1, 13)]
    for cells in ([f"{y}-{m:02}" for y, m in counted], [f"Y{y}-M{m:02}" for y, m in counted],
                  [f"Year {y} Month {m}" for y, m in counted], [f"Month {k + 1}" for k in range(36)],
                  [f"{y}/{m}" for y, m in counted]):
        reading = read("Month,Sales\n" + "".join(f'"{c}",{k}.5\n' for k, c in enumerate(cells)))
        assert reading.contract.calendar.freq == "MS"
        assert written(reading) == cells
        assert any("counted from year 1, kept as 2001" in note for note in reading.notes)
        ahead = reading.contract.time_text(reading.contract.calendar.times(reading.panel.end + np.arange(1)))
        assert ahead[0] in ("4-01", "Y4-M01", "Year 4 Month 1", "Month 37", "4/1")


def test_a_day_of_a_month_is_no_year() -> None:
    days = [f"{d}-{m:02}" for m in (1, 2) for d in range(1, 29)]
    assert refused("Month,Sales\n" + "".join(f"{c},{k}\n" for k, c in enumerate(days))).code == "no_time"


def test_steps_counted_behind_a_word_are_written_so_again() -> None:
    reading = read("week,y\n" + "".join(f"Week {k},{k}\n" for k in range(1, 41)))
    assert (reading.contract.calendar.freq, written(reading)[-1]) == ("step", "Week 40")


def test_quarters_behind_a_point() -> None:
    for mark in ".-/":
        quarters = [f"{y}{mark}{q}" for y in range(2014, 2020) for q in (1, 2, 3, 4)]
        reading = read("Quarter,GDP\n" + "".join(f"{q},{k}\n" for k, q in enumerate(quarters)))
        assert (reading.contract.calendar.freq, written(reading)[5]) == ("QS", f"2015{mark}2")
    assert read("d,y\n2014-1,1\n2014-2,2\n2014-3,4\n2014-4,5\n").contract.calendar.freq == "MS"


# lines above

def test_a_table_above_the_table_is_left_out_and_said() -> None:
    text = "lat,lon,height,zone\n52.5,13.4,38,GMT\n\nwhen,a,b\n" + "".join(f"{d},{k},{k}\n" for k, d in enumerate(DAYS))
    reading = read(text)
    assert (len(reading.panel), [p.row for p in reading.repairs[0].examples]) == (2, [1, 2])
    reading = read("x;y\nz\n" * 15 + "day;v\n" + "".join(f"{d};{k}\n" for k, d in enumerate(DAYS)), header_line=31)
    assert reading.panel.values(0)[-1] == 39


def test_two_tables_of_data_are_no_preamble() -> None:
    first = "d,v\n" + "".join(f"{d},{k}\n" for k, d in enumerate(DAYS[:5]))
    second = "d,v,w\n" + "".join(f"{d},{k},{k}\n" for k, d in enumerate(DAYS))
    assert refused(first + "\n" + second).code == "bad_header"


def test_the_line_of_the_header_may_be_named() -> None:
    body = "".join(f"{d},{k}\n" for k, d in enumerate(DAYS))
    reading = read("a,b\nc,d\ndate,v\n" + body, header_line=3)
    assert (reading.contract.targets, reading.panel.values(0)[0]) == (("v",), 0)
    faulty = refused("a,b\nc,d\ndate,v\n" + body.replace(",7\n", ",x\n"), header_line=3)
    assert faulty.row == 11
    assert refused("date,v\n" + body, header_line=99).row == 99
    assert refused("date,v\n" + body, header_line=3, target="v").code in ("missing_column", "no_time")


# turned

TURNED = "shop,kind,2024-01-01,2024-01-02,2024-01-03,2024-01-04\na,x,1,2,3,4\nb,x,5,6,,8\n"


def test_a_turned_table_is_refused_with_the_flag_that_reads_it() -> None:
    error = refused(TURNED)
    assert (error.code, error.hint) == ("no_time", "Try --turn")
    reading = read(TURNED, turn=True)
    assert reading.panel.ids.tolist() == ["a", "b"]
    assert reading.panel.values(1).tolist() == [5, 6, 7, 8]
    assert any(note.startswith("turned: 2 rows are series, 4 headers are times; not used: kind")
               for note in reading.notes)


def test_a_bad_cell_of_a_turned_table_is_named_by_its_line_and_header() -> None:
    error = refused(TURNED.replace("6", "six"), turn=True)
    assert (error.row, error.column, error.problem.value) == (3, "2024-01-02", "six")


def test_rows_that_are_named_alike_and_tables_without_times_are_not_turned() -> None:
    assert refused(TURNED.replace("b,x", "a,x"), turn=True).code == "no_id"
    assert refused("a,b\nx,1\ny,2\n", turn=True).code == "not_turned"
    assert read(TURNED, turn=True, id="shop,kind").panel.ids.tolist() == ["a/x", "b/x"]


def test_a_model_of_a_turned_table_reads_the_next_one(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    head = ",".join(str(np.datetime64("2024-01-01") + k) for k in range(40))
    path.write_text(f"shop,{head}\n" + "".join(f"{s}," + ",".join(str(n + k % 7) for k in range(40)) + "\n"
                                               for n, s in enumerate("ab")))
    assert run("predict", path, "--turn", "--model", "prior", "--horizon", "2").code == 0
    assert (tmp_path / "predictions.csv").read_text().startswith("shop,date,yhat")


# the tail, the ends

def test_last_rows_with_last_years_number_are_refused() -> None:
    days = [np.datetime64("2011-01-08") + k for k in range(360)]
    days = [d if d < np.datetime64("2012-01-02") else d - 365 for d in days]
    text = "Date,Used\n" + "".join(f"{d},{k}\n" for k, d in enumerate(days))
    error = refused(text)
    assert (error.code, error.row) == ("old_tail", 361)
    assert "from 2012-01-01 to 2011-01-02" in str(error)
    ordered = "\n".join(["Date,Used", *sorted(text.split("\n")[1:-1])]) + "\n"
    assert "order" not in [r.kind for r in read(ordered).repairs]   # sorted or mended, as the hint says
    lines = text.split("\n")
    mended = [*lines[:360], *(line.replace("2011", "2012") for line in lines[360:])]
    assert read("\n".join(mended)).repairs == ()


def test_glued_blocks_are_put_in_order() -> None:
    for cut in (12, 20, 28):
        days = DAYS[cut:] + DAYS[:cut]
        reading = read("Date,Used\n" + "".join(f"{d},{k}\n" for k, d in enumerate(days)))
        assert [r.kind for r in reading.repairs] == ["order"]


def test_series_that_end_early_are_told_by_name_and_how_far(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ends.csv"
    lengths = {"full": 40, "cut": 33, "last": 39}
    path.write_text("item,day,qty\n" + "".join(f"{i},{d},{k % 7 + 1}\n" for i, n in lengths.items()
                                               for k, d in enumerate(DAYS[:n])))
    said = "2 series end before the others: cut by 7 days, last by 1 day"
    assert said in run("check", path).out
    entry = json.loads(run("check", path, "--json").out)[0]
    assert entry["early"] == [{"series": "cut", "last": "2020-02-02", "steps": 7},
                              {"series": "last", "last": "2020-02-08", "steps": 1}]
    assert said in json.loads(run("train", path, "--dry-run", "--json").out)["data"]["notes"]
    assert said in json.loads(run("predict", path, "--model", "prior", "--json").out)["notes"]


# a stray quote

@pytest.mark.parametrize("cell", ['"abc', 'ab"c', 'abc"', '"a"b"'])
def test_a_row_with_a_stray_quote_is_set_aside_alone(cell: str) -> None:
    rows = [f'"{d}",{k}.5,"note, {k}"' for k, d in enumerate(DAYS)]
    rows[7] = f"{DAYS[7]},7.5,{cell}"
    text = "date,v,note\n" + "\n".join(rows) + "\n"
    assert refused(text, target="v").code == "stray_quote"
    reading = read(text, target="v", bad_rows="quarantine")
    assert [p.row for p in reading.rejects] == [9]
    assert reading.rows == 39
    assert reading.panel.values(0).tolist() == [k + 0.5 for k in range(40)]     # row 9 filled between its neighbours
