"""What is new, how old it is, and the file as it stood on an earlier day."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecast.config import DataConfig
from forecast.errors import RequestError, StaleError
from forecast.ledger.freshness import age_of, as_of, changes, check_age, check_new
from forecast.ledger.issue import LastSeen, issue_of
from forecast.ledger.options import Options
from forecast.reading.contract import mark_of
from forecast.reading.reader import Reading, read_panel
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.system.clock import in_words, now, told_apart
from forecast.system.datasource import DataSource
from tests.conftest import waves
from tests.tables import column, read
from tests.test_ledger import CONTRACT

NOON = datetime(2026, 9, 19, 12, tzinfo=UTC)


# the clock

def test_the_clock_can_be_told_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORECAST_NOW", raising=False)
    assert abs(now() - datetime.now(UTC)) < timedelta(minutes=1)
    for text in ("2026-09-19T12:00:00", "2026-09-19T12:00:00Z", "2026-09-19T14:00:00+02:00", "2026-09-19 12:00"):
        monkeypatch.setenv("FORECAST_NOW", text)
        assert now() == NOON
    monkeypatch.setenv("FORECAST_NOW", "noon")
    with pytest.raises(RequestError, match="FORECAST_NOW=noon is no time"):
        now()


def test_lengths_of_time_are_told_in_two_digits_or_so() -> None:
    assert [in_words(timedelta(hours=h)) for h in (0.5, 30, 80)] == ["30 minutes", "30 hours", "3.3 days"]
    assert in_words(timedelta(seconds=119)) == "119 seconds"
    assert told_apart(timedelta(hours=24.5), timedelta(days=1)) == ("24.5 hours", "24.0 hours")
    assert told_apart(timedelta(hours=36), timedelta(days=1)) == ("36 hours", "24 hours")
    assert told_apart(timedelta(days=9, microseconds=1), timedelta(days=9))[0] > "9.0 days"


# as of

def daily(count: int = 60, **options: object) -> Reading:
    days = np.datetime64("2026-08-01") + np.arange(count)
    return read(column(days.tolist()), **options)


@pytest.mark.parametrize(("text", "last"), [("2026-08-10", "2026-08-10"), ("2026-08", "2026-08-31"),
                                            ("2026-08-10T23:59", "2026-08-10"), ("2027", "2026-09-29")])
def test_a_panel_is_cut_behind_the_period_that_is_named(text: str, last: str) -> None:
    reading = daily()
    cut = as_of(reading.panel, reading.contract, text)
    assert str(cut.times(0)[-1])[:10] == last
    assert cut.values(0).tolist() == reading.panel.values(0)[:cut.lengths[0]].tolist()


def test_times_are_also_read_as_the_file_writes_them() -> None:
    reading = read(column([f"{d:02}.08.2026" for d in range(1, 32)]))
    assert as_of(reading.panel, reading.contract, "14.08.2026").lengths.tolist() == [14]
    hours = [f"2026-08-01 {h:02}:30" for h in range(24)]
    reading = read(column(hours))
    assert as_of(reading.panel, reading.contract, "2026-08-01 07").lengths.tolist() == [8]
    assert as_of(reading.panel, reading.contract, "2026-08-01 07:29").lengths.tolist() == [7]
    reading = read(column(range(1, 41)))
    assert as_of(reading.panel, reading.contract, "30").lengths.tolist() == [30]


def test_a_zone_is_minded() -> None:
    hours = np.datetime64("2026-08-01T00") + np.arange(48)
    reading = read(column([f"{h}:00+02:00" for h in hours]), tz="Europe/Berlin")
    cut = as_of(reading.panel, reading.contract, "2026-08-01")
    assert reading.contract.time_text(cut.times(0))[-1].startswith("2026-08-01")
    assert cut.lengths.tolist() == [24]


@pytest.mark.parametrize("text", ["2026-13-01", "soon", "", "2026-07-31", "20260810", "2026-02-30"])
def test_what_is_no_time_of_the_data_is_refused(text: str) -> None:
    reading = daily()
    with pytest.raises(RequestError):
        as_of(reading.panel, reading.contract, text)


def test_a_cut_inside_a_hole_gives_what_the_file_held_on_that_day(tmp_path: Path) -> None:
    days = (np.datetime64("2026-08-01") + np.arange(60)).tolist()
    text = "id,date,y\n" + "".join(f"{i},{d},{k * 1.5 + 0.25}\n" for i in "ab" for k, d in enumerate(days)
                                   if not (i == "b" and 20 <= k < 25))
    text += "".join(f"c,{d},{k}.5\n" for k, d in enumerate(days) if k > 30)
    lines = text.splitlines(keepends=True)
    (tmp_path / "all.csv").write_text(text)
    for rule in ("linear", "ffill", "mask"):
        whole = read_panel(tmp_path / "all.csv", DataConfig(fill=rule))
        for last in (18, 19, 20, 22, 24, 25, 26, 45):
            then = "".join(line for line in lines if line[:2] == "id" or line[2:12] <= str(days[last]))
            (tmp_path / "then.csv").write_text(then)
            day = read_panel(tmp_path / "then.csv", DataConfig(fill=rule), contract=whole.contract)
            cut = as_of(whole.panel, whole.contract, str(days[last]))
            assert cut.fingerprint() == day.panel.fingerprint(), (rule, last)


# age

def test_the_age_is_that_of_the_newest_point_anywhere(tmp_path: Path) -> None:
    reading = daily(49)                                                 # until 2026-09-18
    age = age_of(reading.panel, reading.contract, NOON, DataSource("data.csv"))
    assert (age.age, age.newest) == (timedelta(hours=36), "2026-09-18")
    check_age(age, timedelta(days=2), DataSource("data.csv"))
    with pytest.raises(StaleError, match=r"^data.csv: the newest point is 2026-09-18, 36 hours old: more than 24 hours"
                                         r".* if its times are not UTC, train with --tz$"):
        check_age(age, timedelta(days=1), DataSource("data.csv"))
    with pytest.raises(StaleError, match=r"old: more than 23 hours. Look at what should have brought new data$"):
        check_age(age, timedelta(hours=23), DataSource("data.csv"))                 # no zone is so far west
    assert StaleError.exit_code == 7


def test_the_age_of_zoned_times_is_that_of_the_moment() -> None:
    hours = np.datetime64("2026-09-18T00") + np.arange(36)              # until 11:00, 09:00 UTC
    for stamps in ([f"{h}:00+02:00" for h in hours], [f"{h}:00" for h in hours]):
        reading = read(column(stamps), tz="Europe/Berlin")
        assert age_of(reading.panel, reading.contract, NOON, DataSource("data.csv")).age == timedelta(hours=3)


def test_integer_steps_are_as_old_as_their_file(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x")
    os.utime(tmp_path / "data.csv", (NOON.timestamp() - 7200,) * 2)
    age = age_of(waves(), CONTRACT, NOON, DataSource(str(tmp_path / "data.csv")))
    assert age.age == timedelta(hours=2)
    assert "last change at 2026-09-19T10:00:00Z" in age.newest
    with pytest.raises(RequestError, match="in no file have no age"):
        age_of(waves(), CONTRACT, NOON, DataSource("-"))


# what has changed since the last issue

def seen(panel: Panel) -> LastSeen:
    issue = issue_of(run="r", source=DataSource("data.csv"), store=Path(), file_sha256="", panel=panel,
                     contract=CONTRACT, issued="2026-09-18T12:00:00Z", version="0", horizon=1, levels=(80.0,),
                     options=Options())
    return LastSeen(issue, {str(i): mark_of(int(panel.start[s]), panel.values(s)) for s, i in enumerate(panel.ids)})


def found(before: Panel, after: Panel, moment: datetime = NOON) -> str:
    changed = changes(seen(before), after, CONTRACT, moment, after.fingerprint())
    return " | ".join(text for text, _ in changed)


def test_nothing_new_is_said_and_refused_where_new_data_are_required() -> None:
    panel = waves(3, 200)
    assert found(panel, waves(3, 200)) == \
        "the data are as they were for the forecast of 2026-09-18T12:00:00Z"
    last = seen(panel).issue
    with pytest.raises(StaleError, match="nothing new since the issue of 2026-09-18T12:00:00Z"):
        check_new([last], dataclasses.replace(last, run="another", number=0), DataSource("data.csv"))
    check_new([], last, DataSource("data.csv"))
    for other in ({"fingerprint": "00"}, {"horizon": 2}, {"levels": (95.0,)}, {"options": Options(series=("s1",))},
                  {"options": Options(shard="1/2")}, {"subject": "other"}, {"from_store": "elsewhere.csv"}):
        check_new([last], dataclasses.replace(last, **other), DataSource("data.csv"))   # type: ignore[arg-type]


def test_growth_is_new_and_no_reason_for_words() -> None:
    panel = waves(3, 200)
    assert found(panel.drop_last(3), panel) == ""
    assert changes(None, panel, CONTRACT, NOON, "") == changes(None, panel, CONTRACT, NOON, "other")


def test_revised_vanished_new_and_shorter_series_are_named() -> None:
    panel = waves(3, 200)
    values = panel.y.copy()
    values[panel.first[1] + 5] += 1
    assert found(panel.drop_last(1), dataclasses.replace(panel, y=values)) == (
        "1 series has a revised history since the last issue: s1")
    assert found(panel, panel.take([0, 2])) == "1 series vanished since the last issue: s1"
    assert found(panel.take([0, 2]), panel) == "1 series appeared since the last issue: s1"
    shorter = found(panel, dataclasses.replace(panel, stop=panel.stop - np.array([0, 0, 4])))
    assert shorter == "1 series ends earlier than at the last issue: s2"


def test_a_clock_that_went_back_is_told() -> None:
    panel = waves(3, 200)
    told = found(panel.drop_last(1), panel, datetime(2026, 9, 1, tzinfo=UTC))
    assert told == "the clock says 2026-09-01T00:00:00Z, which is before the last issue, 2026-09-18T12:00:00Z"


def test_the_calendar_of_business_days_is_cut_on_a_weekend() -> None:
    days = [d for d in (np.datetime64("2026-08-03") + np.arange(60)) if np.is_busday(d)]
    reading = read(column([str(d) for d in days]))
    assert reading.contract.calendar.kind == Calendar.business().kind
    cut = as_of(reading.panel, reading.contract, "2026-08-16")          # a Sunday
    assert str(cut.times(0)[-1])[:10] == "2026-08-14"
