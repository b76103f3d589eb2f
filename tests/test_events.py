"""Events: rows at any times brought to steps, against pandas and by hand; and what is refused names the way."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import api
from forecast.config import DataConfig
from forecast.errors import DataError, RequestError
from forecast.reading.counters import numbers_rows
from forecast.reading.frames import read_frame
from forecast.reading.reader import Reading, read_panel
from tests.test_cli import Run, run

__all__ = ["run"]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path, every: str, *rules: str, **more: object) -> Reading:
    return read_panel(path, DataConfig(every=every, aggregate=rules, **more))   # type: ignore[arg-type]


def told(reading: Reading) -> str:
    return "\n".join([*reading.notes, *(repair.message for repair in reading.repairs)])


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """Three whole days, and the beginning of a fourth."""
    return written(tmp_path / "orders.csv", "order_id,order_date,amount",
                   "1001,2024-01-01 00:05,10.10", "1002,2024-01-01 12:00,0.20", "1003,2024-01-03 09:30,5",
                   "1004,2024-01-03 23:00,7", "1005,2024-01-04 08:00,1")


def random_events(rows: int = 4_000, series: int = 7) -> pd.DataFrame:
    """From the first second of a day to the last of another, in no order."""
    rng = np.random.default_rng(3)
    seconds = rng.integers(0, 60 * 86_400, rows)
    seconds[:2] = 0, 60 * 86_400 - 1
    names = np.array([f"s{k}" for k in range(series)])
    return pd.DataFrame({"id": names[rng.integers(0, series, rows)],
                         "time": pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, "s"),
                         "value": rng.gamma(2, 20, rows).round(2)})


@pytest.mark.parametrize(("every", "freq"), [("day", "D"), ("hour", "h"), ("6h", "6h"), ("week", "W-MON"),
                                             ("month", "MS")])
@pytest.mark.parametrize("rule", ["sum", "mean", "count", "last", "max"])
def test_steps_are_those_of_pandas_in_whatever_order_the_rows_stand(tmp_path: Path, every: str, freq: str, rule: str
                                                                     ) -> None:
    events = random_events()
    events.to_csv(tmp_path / "e.csv", index=False)
    panel = read(tmp_path / "e.csv", every, rule, fill="mask").panel
    in_time = events.sort_values("time", kind="stable").set_index("time").groupby("id")["value"]
    closed = {"closed": "left", "label": "left"} if every == "week" else {}
    theirs = in_time.resample(freq, **closed).agg(rule)                 # type: ignore[call-overload]
    for s, name in enumerate(panel.ids):
        ours = pd.Series(panel.values(s), index=pd.DatetimeIndex(panel.times(s)))
        own = theirs[name].reindex(ours.index)                          # partial steps are not ours; zeros may follow
        np.testing.assert_allclose(ours, own.fillna(0) if rule in ("sum", "count") else own, rtol=1e-12)
        assert len(ours) >= len(theirs[name]) - 2


def test_steps_without_rows_are_zero_for_sums_and_the_step_that_is_cut_off_is_left_out(orders: Path) -> None:
    reading = read(orders, "day", "sum")
    assert reading.panel.values(0).tolist() == [10.3, 0.0, 12.0]
    assert reading.span == ("2024-01-01 00:00", "2024-01-03 00:00")
    assert [r.message for r in reading.repairs] == [
        "1 row left out: the last day, 2024-01-04, which the file holds until 2024-01-04 08:00",
        "1 day without rows -> 0"]
    assert [note for note in reading.notes if "order_id" in note] == ["not used: order_id (numbers the rows)"]
    assert "5 rows brought to days: sum of amount" not in reading.notes
    assert "4 rows brought to days: sum of amount" in reading.notes


def test_means_are_missing_where_no_row_is(orders: Path) -> None:
    assert read(orders, "day", "mean").panel.values(0).tolist() == [5.15, 5.575, 6.0]
    masked = read(orders, "day", "mean", fill="mask")
    assert np.isnan(masked.panel.values(0)).tolist() == [False, True, False]
    assert "1 missing day -> linear" in told(read(orders, "day", "mean"))


@pytest.mark.parametrize(("rule", "values"), [("count", [2, 0, 2]), ("last", [0.2, 3.6, 7]), ("max", [10.1, 8.55, 7])])
def test_each_rule_by_hand(orders: Path, rule: str, values: list[float]) -> None:
    assert read(orders, "day", rule).panel.values(0) == pytest.approx(values)


def test_a_file_of_days_that_ends_within_a_week_or_month_loses_that_step(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", "2024-03-20")                    # a Monday, a Wednesday
    path = written(tmp_path / "d.csv", "date,y", *(f"{day:%Y-%m-%d},1" for day in days))
    assert read(path, "week", "sum").panel.values(0).tolist() == [7.0] * 11
    assert read(path, "month", "sum").panel.values(0).tolist() == [31.0, 29.0]
    assert read(path, "W-WED", "sum").panel.values(0).tolist() == [7.0] * 11    # the first two and the last one day
    assert "weeks begin on Monday" in read(path, "week", "sum").notes
    whole = written(tmp_path / "w.csv", "date,y", *(f"{day:%Y-%m-%d},1" for day in days[:60]))      # to 29 February
    assert read(whole, "month", "sum").panel.values(0).tolist() == [31.0, 29.0]


def test_months_make_quarters_only_where_all_three_are_there(tmp_path: Path) -> None:
    months = pd.date_range("2023-01-01", "2024-05-01", freq="MS")
    path = written(tmp_path / "m.csv", "month,y", *(f"{month:%Y-%m},1" for month in months))
    assert read(path, "quarter", "sum").panel.values(0).tolist() == [3.0] * 5


def test_the_day_that_is_not_over_yet_is_left_out_until_it_is(orders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(orders.parent / "days.csv", "date,y", *(f"2024-01-0{d},{d}" for d in range(1, 6) for _ in range(2)))
    monkeypatch.setenv("FORECAST_NOW", "2024-01-05T09:00:00")
    assert read(path, "day", "sum").panel.values(0).tolist() == [2, 4, 6, 8]
    assert "which is not over yet" in told(read(path, "day", "sum"))
    monkeypatch.setenv("FORECAST_NOW", "2024-01-06T00:10:00")
    assert read(path, "day", "sum").panel.values(0).tolist() == [2, 4, 6, 8, 10]


def test_at_the_end_a_series_sold_nothing_for_as_long_as_it_ever_did_and_else_has_ended(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "item,date,y", *(f"a,2024-01-0{d},1" for d in range(1, 8)), "b,2024-01-02,5",
                   "b,2024-01-05,5", "c,2024-01-02,5", "c,2024-01-03,5", "b,2024-01-02,1")
    reading = read(path, "day", "sum", id="item")
    assert [reading.panel.values(s).tolist() for s in (0, 1, 2)] == [[1.0] * 7, [6, 0, 0, 5, 0, 0], [5, 5]]
    assert "4 days without rows in 1 series -> 0; without rows at their end: b" in told(reading)


def test_columns_may_have_rules_of_their_own(tmp_path: Path) -> None:
    lines = [f"2024-01-0{d},{d},{2 * d}" for d in (1, 1, 2, 2, 3, 3)]
    path = written(tmp_path / "two.csv", "date,amount,price", *lines)
    reading = read(path, "day", "amount=sum", "price=mean")
    assert [reading.panel.values(s).tolist() for s in (0, 1)] == [[2, 4, 6], [2, 4, 6]]
    assert "6 rows brought to days: sum of amount, mean of price" not in reading.notes   # a row for each column
    assert "12 rows brought to days: sum of amount, mean of price" in reading.notes
    with pytest.raises(RequestError, match="names column \"prize\", which is not forecast"):
        read(path, "day", "sum", "prize=mean")


def test_quarters_of_an_hour_are_added_to_hours_through_both_changes_of_the_clock(tmp_path: Path) -> None:
    for first, hours in (("2024-03-30", 47), ("2024-10-26", 49)):
        stamps = pd.date_range(first, periods=hours * 4, freq="15min", tz="Europe/Berlin")
        path = written(tmp_path / "q.csv", "time,kwh", *(f"{stamp:%Y-%m-%d %H:%M},0.25" for stamp in stamps))
        assert read(path, "hour", "sum", tz="Europe/Berlin").panel.values(0).tolist() == [1.0] * hours
        assert read(path, "day", "sum", tz="Europe/Berlin").panel.values(0).tolist() == [24.0, hours - 24.0]


def test_days_of_a_zone_are_cut_at_its_own_midnight(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-06-01", periods=72, freq="h", tz="America/New_York").tz_convert("UTC")
    path = written(tmp_path / "z.csv", "time,y", *(f"{stamp:%Y-%m-%dT%H:%M:%S}+00:00,1" for stamp in stamps))
    assert read(path, "day", "sum", tz="America/New_York").panel.values(0).tolist() == [24.0] * 3
    utc = read(path, "day", "sum")
    assert utc.panel.values(0).tolist() == [24.0] * 2
    assert "days are those of UTC or of the offset written (--tz names a place)" in utc.notes


def test_hours_of_a_zone_half_an_hour_off_begin_with_its_own_hour(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-06-01", periods=12, freq="10min")
    path = written(tmp_path / "i.csv", "time,y", *(f"{stamp:%Y-%m-%d %H:%M},1" for stamp in stamps))
    reading = read(path, "hour", "sum", tz="Asia/Kolkata")
    assert reading.panel.values(0).tolist() == [6.0, 6.0]
    assert reading.span == ("2024-06-01 00:00", "2024-06-01 01:00")


def test_readings_of_a_clock_that_stand_twice_are_not_added_up_in_silence(tmp_path: Path) -> None:
    stamps = [f"{stamp:%Y-%m-%d %H:%M},1" for stamp in pd.date_range("2024-06-01", periods=96, freq="15min")]
    path = written(tmp_path / "q.csv", "time,kwh", *sorted([*stamps, *stamps[46:50]]))
    with pytest.raises(DataError, match="stands twice"):
        read(path, "hour", "sum")
    assert read(path, "hour", "sum", duplicates="last").panel.values(0).tolist() == [4.0] * 24
    path = written(tmp_path / "h.csv", "time,kwh", *stamps[:50], *stamps[52:])
    assert "1 hour of fewer than 4 rows" in read(path, "hour", "sum").notes


def test_a_series_of_readings_that_begins_or_ends_within_a_week_loses_that_week(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-01-01", "2024-03-03")]     # whole weeks
    lines = [*(f"a,{day},1" for day in days), *(f"b,{day},1" for day in days[3:40])]
    path = written(tmp_path / "d.csv", "id,date,y", *lines)
    reading = read(path, "week", "sum")
    assert [reading.panel.values(s).tolist() for s in (0, 1)] == [[7.0] * 9, [7.0] * 4]
    assert "9 rows left out: the week within which a series begins or ends: b" in told(reading)


def test_a_code_for_missing_is_found_before_it_is_averaged(tmp_path: Path) -> None:
    rows = [f"2024-01-0{1 + k // 24} {k % 24:02}:{7 * k % 60:02},{20 + k % 5}" for k in range(96)]
    rows[40] = rows[40].split(",")[0] + ",-9999"
    path = written(tmp_path / "s.csv", "time,temp", *rows)
    with pytest.raises(DataError, match="-9999 stands once"):
        read(path, "day", "mean")
    assert read(path, "day", "mean", missing=("-9999",)).panel.y.min() > 20


def test_text_is_counted_and_has_no_sum(tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", "timestamp,level,message",
                   *(f"2024-01-0{d} {h:02}:00:00,INFO,started" for d in (1, 2, 3) for h in (0, 9, 23)))
    assert read(path, "day", "count").panel.values(0).tolist() == [3.0, 3.0, 3.0]   # of whole hours the last is 23:00
    assert read(path, "12h", "count").panel.values(0).tolist() == [2.0, 1.0] * 3
    with pytest.raises(DataError) as caught:
        read(path, "day", "sum", target="level")
    assert caught.value.code == "aggregate_of_text"
    assert str(caught.value).endswith('column \'level\': holds texts such as "INFO", and a sum of texts is none. '
                                      "--aggregate count counts the rows")


@pytest.mark.parametrize(("every", "rules", "more", "message"), [
    ("day", (), {}, "needs --aggregate"), (None, ("sum",), {}, "--aggregate needs --every"),
    ("fortnight", ("sum",), {}, "is no step"), ("B", ("sum",), {}, "is no step"), ("7h", ("sum",), {}, "is no step"),
    ("day", ("total",), {}, "is no rule"), ("day", ("sum", "mean"), {}, "two rules"),
    ("day", ("sum",), {"freq": "D"}, "both name the step"),
    ("day", ("sum",), {"known": ("order_id",)}, "--known takes columns of a file with a row a step")])
def test_flags_that_do_not_go_together_are_refused(orders: Path, every: str | None, rules: tuple[str, ...],
                                                   more: dict[str, object], message: str) -> None:
    options = DataConfig(every=every, aggregate=rules or None, target="amount", **more)     # type: ignore[arg-type]
    with pytest.raises(RequestError, match=message):
        read_panel(orders, options)


def test_steps_that_the_times_do_not_tell_are_refused(tmp_path: Path) -> None:
    days = written(tmp_path / "d.csv", "date,y", *(f"2024-01-{d:02},1" for d in range(1, 20)))
    with pytest.raises(DataError, match="does not tell the steps of --every hour"):
        read(days, "hour", "mean")
    numbers = written(tmp_path / "n.csv", "t,y", *(f"{d},1" for d in range(1, 20)))
    with pytest.raises(DataError, match="holds whole numbers"):
        read(numbers, "day", "sum", time="t")
    short = written(tmp_path / "s.csv", "time,y", *(f"2024-01-01 {h:02}:30,1" for h in range(9, 20)))
    with pytest.raises(DataError, match="holds 0 whole days; at least 2 are needed"):
        read(short, "day", "sum")


def flags_in(hint: str) -> tuple[str, str]:
    match = re.search(r"--every (\S+) --aggregate (\S+)", hint)
    assert match is not None, hint
    return match.group(1), match.group(2)


ORDERS = ["order_id,order_date,amount", *(f"{7000 + k},2024-{1 + k // 280:02}-{1 + k // 10 % 28:02},{9 + k % 7}.50"
                                          for k in range(700))]
BURSTS = ["time,temperature", *(
    f"2024-01-{1 + k // 90:02} {k % 90 // 6:02}:{k * k % 60:02}:{k * 7 % 60:02},{20 + k % 3}.5" for k in range(900))]
ITEMS = ["item,order_date,qty", *(f"{'ab'[k % 2]},2024-01-{1 + k // 20:02},{1 + k % 4}" for k in range(400))]


@pytest.mark.parametrize(("lines", "every", "rule"), [(ORDERS, "day", "sum"), (BURSTS, "hour", "mean"),
                                                      (ITEMS, "day", "sum")])
def test_what_is_refused_as_uneven_or_repeated_names_flags_that_work(tmp_path: Path, run: Run, lines: list[str],
                                                                     every: str, rule: str) -> None:
    path = written(tmp_path / "events.csv", *lines)
    more = ["--id", "item"] if lines is ITEMS else []
    ended = run("train", str(path), *more)
    assert ended.code == 3
    assert flags_in(ended.err) == (every, rule)
    assert run("check", str(path), "--every", every, "--aggregate", rule, *more).code == 0


def test_a_lone_repeated_row_is_a_slip_and_no_event(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d},{day.day}" for day in pd.date_range("2024-01-01", periods=80)]
    with pytest.raises(DataError) as caught:
        read_panel(written(tmp_path / "d.csv", "date,y", *days[:40], *days[39:]))
    assert caught.value.hint == "Try --duplicates last, mean or sum"


def test_a_model_of_events_reads_the_next_file_in_the_same_way(tmp_path: Path, run: Run) -> None:
    def events(days: int) -> list[str]:
        return [f"2024-01-01 {h:02}:10:00".replace("01-01", f"{1 + d // 28:02}-{1 + d % 28:02}") + f",{1 + (d + h) % 5}"
                for d in range(days) for h in (0, 8, 17, 23)]
    path = written(tmp_path / "e.csv", "time,amount", *events(80))
    small = ["--set", "train.steps=2", "--hidden", "2", "--horizon", "3", "--season", "7"]
    trained = run("train", str(path), "--every", "day", "--aggregate", "sum", *small)
    assert trained.code == 0, trained.err
    written(path, "time,amount", *events(100), "2024-04-17 00:10:00,1")
    ended = run("predict", "-o", "p.csv")
    assert ended.code == 0, ended.err
    assert Path("p.csv").read_text().splitlines()[1].startswith("2024-04-17 00:00:00,")
    assert run("evaluate", "--windows", "1").code == 0


def test_init_writes_the_steps_down_so_that_they_hold_for_every_command(orders: Path, run: Run) -> None:
    assert run("init", str(orders), "--every", "day", "--aggregate", "sum").code == 0
    text = Path("forecast.toml").read_text()
    assert 'every = "day"' in text
    assert 'aggregate = ["sum"]' in text
    checked = run("check", str(orders))
    assert (checked.code, "daily (D)" in checked.out) == (0, True)


def test_a_frame_of_events_is_brought_to_the_steps_of_its_file(tmp_path: Path) -> None:
    events = random_events()
    events.to_csv(tmp_path / "e.csv", index=False)
    ours = read_frame(events, DataConfig(every="day", aggregate=("sum",))).panel
    np.testing.assert_array_equal(ours.y, read(tmp_path / "e.csv", "day", "sum").panel.y)
    assert api.check(events, every="day", aggregate="sum").outcome == "exact"
    with pytest.raises(DataError, match=r"every='\w+' aggregate='\w+'"):
        api.read(events.drop(columns="id"))


def test_numbers_of_rows_are_told_from_measurements() -> None:
    days = [f"2024-01-{d:02}" for d in range(1, 29)]
    count = [str(k) for k in range(100, 128)]
    assert numbers_rows("order_id", count[::-1], days)
    assert numbers_rows("OrderID", count, days)
    assert numbers_rows("Invoice No.", count, days)
    assert not numbers_rows("population", count, days)                  # it grows, a value a day
    assert numbers_rows("bon_lfd", count, [*days[:14], *days[:14]])     # it grows beside days that come again
    assert not numbers_rows("orders", count, days)
    assert not numbers_rows("order_id", [*count[:-1], count[0]], days)


def test_an_id_that_is_another_in_each_row_names_orders_and_no_series(tmp_path: Path) -> None:
    lines = [f"{500 + 3 * k},2024-01-{1 + k // 3:02},2" for k in range(60)]
    path = written(tmp_path / "o.csv", "id,date,amount", *lines)
    reading = read(path, "day", "sum")
    assert (len(reading.panel), reading.panel.values(0).tolist()) == (1, [6.0] * 20)
    assert "not used: id (numbers the rows)" in reading.notes


def test_rows_at_odd_moments_are_refused_by_that_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    seconds = np.cumsum(rng.integers(1, 7_200, 400)) + np.repeat([0, 900_000], 200)
    stamps = (np.datetime64("2024-01-01T00:00:00") + seconds).astype(str)
    with pytest.raises(DataError) as caught:
        read_panel(written(tmp_path / "e.csv", "time,amount", *(f"{s},{k % 9}" for k, s in enumerate(stamps))))
    assert [problem.code for problem in caught.value.problems] == ["irregular"]
    assert "beside the most likely one" in caught.value.problem.message
    assert "s)" not in caught.value.problem.message                     # of seconds: tells nobody anything
