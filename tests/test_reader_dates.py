"""Time stamps: every usual writing is read and written back; what may mean two things is asked about."""

from __future__ import annotations

import contextlib
import json
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import DataError, ModelError
from forecast.reading.contract import Contract
from forecast.reading.parsing.coding import distinct
from forecast.reading.parsing.dates import read_iso
from forecast.reading.parsing.timeformat import TimeFormat
from tests.tables import DAYS, changed, column, days, read, refused, repairs, written

MONTHS = [date(2017 + k // 12, k % 12 + 1, 1) for k in range(36)]
HOURS = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(60)]


# writings

def test_a_column_of_several_pieces_is_read_as_one() -> None:
    parts = [pa.array(texts, pa.string()).dictionary_encode()
             for texts in (["2020-01-02", "2020-01-01"], [], ["2020-01-01", "2020-01-03"])]
    cells = pa.chunked_array(parts)
    for whole in (cells, cells.cast(pa.string())):
        texts, codes = distinct(whole)
        assert (texts.to_pylist(), codes.tolist()) == (["2020-01-02", "2020-01-01", "2020-01-03"], [0, 1, 1, 2])
        times = read_iso(whole)
        assert times is not None
        assert [str(day)[:10] for day in times.values] == whole.to_pylist()
    assert read_iso(pa.chunked_array([["2020-01-02 00:00"], ["2020-01-02 00:00:00"]])) is None


@pytest.mark.parametrize("form", [
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%m/%d/%y",
    "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%b %d %Y", "%Y%m%d", "%Y-%j", "%Y-%m-%dT00:00:00", "%Y-%m-%d 00:00:00.000"])
def test_days_in_every_usual_writing(form: str) -> None:
    reading = read(days(form))
    assert (reading.contract.calendar.freq, str(reading.panel.times(0)[0])[:10]) == ("D", "2020-01-01")
    assert written(reading) == [d.strftime(form) for d in DAYS]


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d %B %Y", "%d-%b-%y"])
def test_days_without_leading_zeros_are_written_without_them(form: str) -> None:
    stamps = [d.strftime(form).replace(d.strftime("%d"), str(d.day), 1) if form[1] == "d" else
              f"{d.month}/{d.day}/{d.year}" for d in DAYS]
    if "%m" in form and form[1] == "d":
        stamps = [f"{d.day}{form[2]}{d.month}{form[2]}{d.year}" for d in DAYS]
    assert written(read(column(stamps))) == stamps


@pytest.mark.parametrize("form", ["%Y-%m", "%Y/%m", "%m/%Y", "%b-%Y", "%b %Y", "%b-%y", "%Y%m", "%YM%m", "%Y.%m",
                                  "%B %Y", "%d/%m/%Y", "%Y-%m-%d"])
def test_months_in_every_usual_writing(form: str) -> None:
    reading = read(column([m.strftime(form) for m in MONTHS]))
    assert (reading.contract.calendar.freq, str(reading.panel.times(0)[0])[:10]) == ("MS", "2017-01-01")
    assert written(reading) == [m.strftime(form) for m in MONTHS]


@pytest.mark.parametrize("form", [
    "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+02:00", "%d.%m.%Y %H:%M",
    "%Y-%m-%d %I:%M %p", "%Y-%m-%dT%H", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%d-%b-%Y %H:%M:%S"])
def test_hours_in_every_usual_writing(form: str) -> None:
    reading = read(column([h.strftime(form) for h in HOURS]))
    assert reading.contract.calendar.freq == "h"
    assert written(reading) == [h.strftime(form) for h in HOURS]


@pytest.mark.parametrize(("stamps", "freq", "first", "following"), [
    ([f"{2010 + k // 4}Q{k % 4 + 1}" for k in range(10)], "QS", "2010-01-01", "2012Q3"),
    ([f"Q{k % 4 + 1} {2010 + k // 4}" for k in range(10)], "QS", "2010-01-01", "Q3 2012"),
    ([f"2020-W{k + 1:02}" for k in range(53)], "W-MON", "2019-12-30", "2021-W01"),
    ([str(1950 + k) for k in range(10)], "YS", "1950-01-01", "1960"),
    ([str(1577836800 + 3600 * k) for k in range(10)], "h", "2020-01-01", "1577872800"),
    ([str(1577836800000 + 3600000 * k) for k in range(10)], "h", "2020-01-01", "1577872800000"),
    ([str((1577836800 + 60 * k) * 10**9) for k in range(10)], "min", "2020-01-01", "1577837400000000000"),
    ([str(43831 + k) for k in range(10)], "D", "2020-01-01", "43841")])
def test_quarters_weeks_years_and_numbers_that_stand_for_times(stamps: Sequence[str], freq: str, first: str,
                                                              following: str) -> None:
    reading = read(column(stamps))
    calendar = reading.contract.calendar
    assert (calendar.freq, str(reading.panel.times(0)[0])[:10]) == (freq, first)
    assert written(reading) == stamps
    assert reading.contract.time_text(calendar.times(reading.panel.end)) == [following]


def test_whole_numbers_are_steps_unless_they_can_only_be_times() -> None:
    assert read(column(range(1, 30), header="ds,y")).contract.calendar.freq == "step"
    assert read(column(range(43831, 43860), header="ds,y")).contract.calendar.freq == "step"
    assert read(column(range(43831, 43860), header="ds,y"), date_format="excel").contract.calendar.freq == "D"
    assert read(days("%Y%m%d", header="ds,y")).contract.calendar.freq == "D"


def test_seconds_before_1990_are_counts() -> None:
    assert read(column(range(500_000_000, 500_000_040), header="ds,y")).contract.calendar.freq == "step"


def test_a_format_of_the_callers_own() -> None:
    reading = read(days("%Y_%d_%m"), date_format="%Y_%d_%m", time="date")
    assert written(reading)[31] == "2020_01_02"
    for bad in ("%", "abc", "%Y-%Q", "%Y %Y", "%m"):
        assert refused(days(), date_format=bad).problem.code == "bad_date_format"


@given(st.integers(-150 * 365, 150 * 365), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%b %d, %Y", "%G-W%V-%u", "%Y-%j"]))
def test_a_day_is_written_as_strftime_writes_it(day: int, form: str) -> None:
    moment = date(1970, 1, 1) + timedelta(day)
    stamp = np.array([day]).astype("datetime64[D]")
    assert TimeFormat(form).text(stamp) == [moment.strftime(form)]


# what may mean two things

def test_day_and_month_are_told_apart_by_the_step() -> None:
    assert read(column([f"01/{m:02}/{y}" for y in (2018, 2019) for m in range(1, 13)])).contract.calendar.freq == "MS"
    assert read(column([f"{m:02}/01/{y}" for y in (2018, 2019) for m in range(1, 13)])).contract.calendar.freq == "MS"


def test_when_both_readings_are_even_it_is_asked() -> None:
    text = days("%d/%m/%Y", count=12)
    error = refused(text)
    assert (error.problem.code, error.problem.row) == ("ambiguous_date", 3)
    assert "%d/%m/%Y" in (error.problem.hint or "")
    assert "%m/%d/%Y" in (error.problem.hint or "")
    assert read(text, dayfirst=True).contract.calendar.freq == "D"
    assert read(text, dayfirst=False).contract.calendar.freq == "MS"
    assert read(text, date_format="%d/%m/%Y").contract.calendar.freq == "D"


def test_two_digit_years_ahead_of_us_are_refused() -> None:
    error = refused(days("%d/%m/%y").replace("/20,", "/61,"))
    assert (error.problem.code, error.problem.row) == ("year", 2)
    assert read(days("%d/%m/%y").replace("/20,", "/75,")).contract.calendar.freq == "D"


@pytest.mark.parametrize(("cell", "code"), [
    ("2020-02-30", "no_such_date"), ("2020-13-01", "no_such_date"), ("abc", "not_a_date"), ("", "no_time"),
    ("2020-01-05 00:00:00", "mixed_dates"), ("05/01/2020", "mixed_dates"), ("9999-01-01", "year"),
    ("1066-10-14", "year"), ("20200105", "mixed_dates"), ("43835", "not_a_date"), ("2020-01", "mixed_dates")])
def test_one_stamp_unlike_the_others_is_refused_at_its_line(cell: str, code: str) -> None:
    error = refused(changed(days(), 6, lambda line: cell + line[10:]))
    assert (error.problem.code, error.problem.row, error.problem.column) == (code, 6, "date")


def test_offsets_beside_none_are_refused() -> None:
    text = column([h.strftime("%Y-%m-%dT%H:%M:%SZ") for h in HOURS])
    assert refused(text.replace("05:00:00Z", "05:00:00", 1)).problem.row == 7


# midnight

def test_24_00_is_the_next_day_and_is_written_back() -> None:
    stamps = [f"2020-01-{1 + k // 24:02} {k % 24 + 1:02}:00" for k in range(72)]
    reading = read(column(stamps))
    assert repairs(reading) == {"midnight": 3}
    assert written(reading) == stamps
    assert refused(column(stamps).replace("24:00", "24:30", 1)).problem.row == 25


def test_midnight_dated_a_day_early_is_named() -> None:
    stamps = [f"2020-01-{1 + k // 24:02} {(k + 1) % 24:02}:00" for k in range(240)]
    error = refused(column(stamps))
    assert (error.problem.code, error.problem.row, len(error.problems)) == ("late_midnight", 25, 10)


# zones

def local(zone: str, start: datetime, hours: int, form: str = "%Y-%m-%d %H:%M", minutes: int = 60) -> list[str]:
    """Wall clock of a zone, step by step of real time."""
    here = zoneinfo.ZoneInfo(zone)
    first = start.replace(tzinfo=UTC)
    return [(first + timedelta(minutes=minutes * k)).astimezone(here).strftime(form) for k in range(hours)]


def test_local_time_across_both_changes_with_its_zone() -> None:
    for start in (datetime(2020, 3, 28), datetime(2020, 10, 24)):
        stamps = local("Europe/Berlin", start, 72)
        reading = read(column(stamps), tz="Europe/Berlin")
        assert (reading.panel.y.size, reading.contract.calendar.freq, reading.repairs) == (72, "h", ())
        assert written(reading) == stamps


def test_a_forecast_across_a_change_is_in_wall_clock() -> None:
    stamps = local("Europe/Berlin", datetime(2020, 3, 27), 72)
    reading = read(column(stamps[:40]), tz="Europe/Berlin")
    calendar, end = reading.contract.calendar, int(reading.panel.end[0])
    assert reading.contract.time_text(calendar.times(np.arange(end, end + 32))) == stamps[40:]


def test_without_the_zone_the_doubled_hour_is_named() -> None:
    error = refused(column(local("Europe/Berlin", datetime(2020, 10, 24), 72)))
    assert (error.problem.code, error.problem.row) == ("duplicate_time", 27)
    assert "looks like a DST change (2020-10-25)" in error.problem.message
    spring = read(column(local("Europe/Berlin", datetime(2020, 3, 28), 72)))
    assert repairs(spring) == {"gaps": 1}
    assert "DST change (2020-03-29)" in (spring.repairs[0].examples[0].hint or "")
    assert spring.repairs[0].message == ("1 missing hour -> linear; looks like a DST change (2020-03-29); --tz reads "
                                         "local time")


def test_hours_that_do_not_exist_or_are_in_doubt_are_refused() -> None:
    plain = [f"2020-03-29 {h:02}:00" for h in range(24)]
    assert refused(column(plain), tz="Europe/Berlin").problem.code == "no_such_hour"
    once = local("Europe/Berlin", datetime(2020, 10, 24), 72)
    once.remove("2020-10-25 02:00")
    error = refused(column(once), tz="Europe/Berlin")
    assert (error.problem.code, error.problem.row) == ("doubled_hour", 26)
    assert refused(column(once), tz="Mars/Olympus").problem.code == "bad_zone"


def test_changing_offsets_are_exact_in_utc_and_local_with_the_zone() -> None:
    stamps = local("Europe/Berlin", datetime(2020, 3, 28), 72, "%Y-%m-%dT%H:%M:%S%z")
    assert written(read(column(stamps)))[0] == "2020-03-28T00:00:00+00:00"
    zoned = written(read(column(stamps), tz="Europe/Berlin"))
    assert [datetime.fromisoformat(z) for z in zoned] == [datetime.fromisoformat(s) for s in stamps]
    assert [z[:22] for z in zoned] == [s[:22] for s in stamps]


def test_days_of_a_zone_are_days_though_their_length_differs() -> None:
    stamps = [f"{d}T00:00:00{'+01:00' if d < date(2020, 3, 30) else '+02:00'}"
              for d in (date(2020, 3, 20) + timedelta(k) for k in range(20))]
    assert "--tz" in (refused(column(stamps)).problem.hint or "")
    reading = read(column(stamps), tz="Europe/Berlin")
    assert (reading.contract.calendar.freq, written(reading)) == ("D", stamps)


def changes(zone: str, first: int, last: int) -> list[datetime]:
    """Moments (UTC) at which a zone changes its offset, to the quarter of an hour."""
    here = zoneinfo.ZoneInfo(zone)
    step = timedelta(days=7)
    found, at = [], datetime(first, 1, 1, tzinfo=UTC)
    while at.year <= last:
        if at.astimezone(here).utcoffset() != (at + step).astimezone(here).utcoffset():
            low, high = at, at + step
            while high - low > timedelta(minutes=15):
                middle = low + (high - low) / 2
                middle -= timedelta(minutes=middle.minute % 15, seconds=middle.second, microseconds=middle.microsecond)
                if middle in (low, high):
                    break
                same = middle.astimezone(here).utcoffset() == low.astimezone(here).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at += step
    return found


def right_or_refused(zone: str, change: datetime) -> bool:
    """Half hours around a change: read with the zone they are the real ones; without it they are refused or filled."""
    start = (change - timedelta(hours=20)).replace(tzinfo=None)
    stamps = local(zone, start, 80, minutes=30)
    real = np.datetime64(start, "us") + np.arange(80) * np.timedelta64(30, "m")
    try:
        reading = read(column(stamps), tz=zone)
    except DataError:
        return False
    assert written(reading) == stamps
    np.testing.assert_array_equal(reading.panel.times(0), real)
    with contextlib.suppress(DataError):
        assert read(column(stamps)).repairs
    return True


def test_some_zones_changes_are_right() -> None:
    zones = ("America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "Pacific/Apia")
    results = [right_or_refused(zone, change) for zone in zones for change in changes(zone, 2019, 2020)]
    assert sum(results) >= 0.9 * len(results)


@pytest.mark.slow
def test_every_zones_changes_from_2015_to_2025_are_right_or_refused() -> None:
    results = [right_or_refused(zone, change) for zone in sorted(zoneinfo.available_timezones())
               if not zone.startswith(("posix/", "right/", "System")) and zone not in ("localtime", "Factory")
               for change in changes(zone, 2015, 2025)]
    print(f"{len(results)} changes, {sum(results)} read right, the others refused")
    assert sum(results) > 0.95 * len(results)


# the next file

def again(contract: Contract) -> Contract:
    return Contract.from_dict(json.loads(json.dumps(contract.to_dict())))


@pytest.mark.parametrize("make", [
    lambda: read(days("%d.%m.%Y")), lambda: read(column([h.strftime("%Y-%m-%d %I:%M %p") for h in HOURS])),
    lambda: read("id;ds;y\n" + "".join(f"{i};{d};{k},5\n" for i in "AB" for k, d in enumerate(DAYS))),
    lambda: read(column(range(9))), lambda: read("t,a,b\n" + "".join(f"{d},1,2\n" for d in DAYS))])
def test_a_contract_survives_json(make: Callable[[], object]) -> None:
    contract = make().contract                                          # type: ignore[attr-defined]
    assert again(contract) == contract


def test_the_format_found_is_used_for_the_next_file() -> None:
    contract = read(days("%d/%m/%Y")).contract
    later = column([f"{d:02}/03/2020" for d in range(1, 11)])
    refused(later)                                                      # alone it could be either
    reading = read(later, contract=contract)
    assert str(reading.panel.times(0)[0])[:10] == "2020-03-01"


def test_columns_of_a_later_file_are_matched_by_name() -> None:
    text = "id,ds,y\n" + "".join(f"{i},{d},{k + 1}\n" for i in "AB" for k, d in enumerate(DAYS))
    contract = again(read(text).contract)
    other = "y,extra,ds,id\n" + "".join(f"{k + 1},x,{d},{i}\n" for i in "AC" for k, d in enumerate(DAYS))
    reading = read(other, contract=contract)
    assert list(reading.panel.ids) == ["A", "C"]
    assert "1 series not seen in training: C" in reading.notes
    assert "1 series of the training file not there: B" in reading.notes
    for change in ("id,ds,yy", "id,date,y", "store,ds,y"):
        error = refused(text.replace("id,ds,y", change), contract=contract)
        assert error.problem.code == "missing_column"


@pytest.mark.parametrize("stamps", [HOURS, range(40), MONTHS, [date(2020, 1, 1) + timedelta(7 * k) for k in range(20)]])
def test_a_file_of_another_step_is_not_for_this_model(stamps: Sequence[object]) -> None:
    contract = read(days()).contract
    with pytest.raises(ModelError, match="the model was trained on steps of D, and this file has "):
        read(column(stamps), contract=contract)


@pytest.mark.parametrize(("stamps", "inside", "behind", "named"), [
    (["2026-03-29", "2026-03-30", "2026-03-31"], "2026-03-31T05:16:00", "2026-04-01T00:00:00", "day, 2026-03-31"),
    (["2026-01-01", "2026-02-01", "2026-03-01"], "2026-03-31T23:59:59", "2026-04-01T00:00:00", "month, 2026-03-01"),
    (["2026-01-31", "2026-02-28", "2026-03-31"], None, "2026-03-31T12:00:00", ""),      # a month that ends there
    ([f"2026-03-31T0{h}:00" for h in range(3)], None, "2026-03-31T02:30:00", "")])
def test_a_newest_day_or_month_that_goes_on_by_the_clock_is_asked_about(
        monkeypatch: pytest.MonkeyPatch, stamps: list[str], inside: str | None, behind: str, named: str) -> None:
    said = []
    for now in (inside, behind):
        monkeypatch.setenv("FORECAST_NOW", now or behind)
        notes = read("ds,y\n" + "".join(f"{stamp},1{k}\n" for k, stamp in enumerate(stamps))).notes
        said.append(f"the newest {named}, is not over yet: is its value whole?" in notes)
        assert any("not over" in note for note in notes) == said[-1]
    assert said == [inside is not None, False]


def test_differences_that_do_not_stand_in_the_way_are_said() -> None:
    contract = read(days()).contract
    notes = " / ".join(read(days(count=20, values=[1000.0 * k + 1 for k in range(20)]), contract=contract).notes)
    assert "times the size" in notes
    assert "history ends 2020-01-20, before the end of the training file (2020-02-09)" in notes


@settings(max_examples=30, deadline=None)
@given(st.datetimes(datetime(1900, 1, 1), datetime(2030, 1, 1)), st.sampled_from(
    ["1s", "7s", "1min", "5min", "15min", "1h", "6h", "1D", "7D"]), st.integers(8, 40))
def test_any_grid_is_read_as_it_was_written(start: datetime, step: str, count: int) -> None:
    size = {"s": 1, "min": 60, "h": 3600, "D": 86400}
    number, unit = int(step.rstrip("sminhD")), step.lstrip("0123456789")
    first = np.datetime64(start.replace(microsecond=0), "s")
    stamps = first + np.arange(count) * np.timedelta64(number * size[unit], "s")
    reading = read(column(str(t).replace("T", " ") for t in stamps))
    np.testing.assert_array_equal(reading.panel.times(0), stamps.astype("datetime64[us]"))
    assert not reading.repairs


@pytest.mark.parametrize("share", [0.5, 0.3, 0.8])
def test_two_ways_of_writing_dates_are_told_with_counts_and_lines(share: float) -> None:
    first = round(share * len(DAYS))
    stamps = [d.strftime("%d/%m/%Y") if k < first else str(d) for k, d in enumerate(DAYS)]
    stamps = [s for s, d in zip(stamps, DAYS, strict=True) if d.day < 13]           # day or month first: both fit
    error = refused(column(stamps))
    assert error.code == "mixed_dates"
    if share == 0.5:
        assert 'mixed: 12 like "01/01/2020" (line 2) and 9 like "2020-02-01" (line 14)' in str(error)
    assert error.hint == "Write all dates one way"


@pytest.mark.parametrize("word", ["Total", "total", "Grand total", "Summe", "Sum", "TOTAL:"])
def test_a_total_below_the_rows_is_a_footer(word: str) -> None:
    reading = read(days() + f"{word},12345\n")
    assert (reading.panel.y.size, reading.panel.y.max()) == (40, 39.5)
    assert [(r.kind, r.count, r.examples[0].row) for r in reading.repairs] == [("footer", 1, 42)]
    assert refused(changed(days(), 20, lambda line: f"{word},3")).code == "not_a_date"    # amid the rows
    assert refused(days() + "yesterday,3\n").code == "not_a_date"


def test_a_total_beside_an_empty_date_is_a_footer_too() -> None:
    rows = "".join(f"{name},{d},{k}\n" for name in "ab" for k, d in enumerate(DAYS[:10]))
    reading = read("store,date,sales\n" + rows + ",,\nTotal,,90\n\n")
    assert (list(reading.panel.ids), repairs(reading)) == (["a", "b"], {"footer": 1})


def test_one_stamp_far_ahead_is_one_problem() -> None:
    stamps = [*map(str, DAYS[:20]), "2052-01-01", *map(str, DAYS[21:])]
    error = refused(column(stamps))
    assert [p.code for p in error.problems] == ["backward_step"]


def test_without_a_header_columns_are_named_by_their_position() -> None:
    reading = read("".join(f"{d},{k}\n" for k, d in enumerate(DAYS)))
    assert (reading.contract.time, reading.contract.read_from) == ("time", (None, "1"))
