"""Order, repetition, gaps and steps: series become gapless, or it is said which line stands in the way."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from forecast.errors import ModelError
from forecast.reading import reader, regular
from tests.tables import DAYS, changed, column, days, read, refused, repairs

HOURS = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(72)]


# order

def test_newest_first_is_put_in_order_and_said() -> None:
    reading = read(column(DAYS[::-1], range(40)))
    assert (repairs(reading), reading.panel.y[0]) == ({"order": 39}, 39)


def test_two_rows_in_each_others_place_are_put_in_order() -> None:
    reading = read(column([*DAYS[:9], DAYS[10], DAYS[9], *DAYS[11:]]))
    assert repairs(reading) == {"order": 1}


def test_blocks_in_another_order_are_put_in_order() -> None:
    assert repairs(read(column([*DAYS[20:], *DAYS[:20]]))) == {"order": 1}


def test_a_clock_that_steps_back_is_refused_where_it_does() -> None:
    stamps = [*HOURS[:30], *HOURS[27:60]]
    error = refused(column(stamps))
    assert (error.problem.code, error.problem.row) == ("backward_step", 32)
    assert [p.row for p in error.problems[1:]] == [32, 33, 34]


# repetition

@pytest.mark.parametrize(("rule", "value"), [("last", 7.0), ("mean", 5.75), ("sum", 11.5)])
def test_repeated_stamps_are_merged_only_when_asked(rule: str, value: float) -> None:
    text = changed(days(), 6, lambda line: line + "\n2020-01-05,7")
    error = refused(text)
    assert (error.problem.code, error.problem.row) == ("duplicate_time", 7)
    assert "first on line 6" in error.problem.message
    reading = read(text, duplicates=rule)
    assert (reading.panel.y[4], repairs(reading)) == (value, {"duplicates": 1})
    assert reading.repairs[0].flag == "--duplicates"


def test_a_clock_fault_is_mended_by_merging_what_overlaps() -> None:
    assert repairs(read(column([*HOURS[:30], *HOURS[27:60]]), duplicates="mean"))["duplicates"] == 3


def test_a_collapsed_hour_is_named_as_such() -> None:
    stamps = [datetime(2014, 3, 9) + timedelta(minutes=10 * k) for k in range(60)]
    stamps = [datetime(2014, 3, 9, 3) if 12 <= k < 18 else s for k, s in enumerate(stamps)]
    error = refused(column(stamps))
    assert error.problem.row == 15
    assert "stands 7 times" in error.problem.message
    assert "looks like a DST change (2014-03-09)" in error.problem.message


# gaps

@pytest.mark.parametrize("size", [1, 4, 5, 19, 1 << 18])
def test_gaps_are_counted_with_their_lines_and_filled_by_the_rule(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are looked at together."""
    monkeypatch.setattr(regular, "PIECE", size)
    stamps = DAYS[:5] + DAYS[6:20] + DAYS[23:]
    reading = read(column(stamps, [d.day for d in stamps]))
    (gap,) = reading.repairs
    assert (gap.count, gap.message, gap.flag) == (4, "4 missing days, the longest 3 -> linear", "--fill")
    assert [(p.row, p.message) for p in gap.examples] == [
        (7, "1 day missing after 2020-01-05"), (21, "3 days missing after 2020-01-20")]
    assert reading.panel.y[5] == 6


@pytest.mark.parametrize(("closed", "said"), [
    ([6], "; no row is on a Sunday: zero if that means closed"),
    ([2, 6], "; no row is on a Wednesday or Sunday: zero if that means closed"), ([5, 6], None)])
def test_days_of_the_week_that_never_have_a_row_are_named(closed: list[int], said: str | None) -> None:
    """Saturdays and Sundays together are no gaps: these are business days."""
    stamps = [datetime(2020, 1, 1) + timedelta(days=k) for k in range(60)]
    text = column([s for s in stamps if s.weekday() not in closed])
    assert [r.message.partition(" -> linear")[2] for r in read(text).repairs] == ([] if said is None else [said])
    assert all(r.message.endswith("-> zero") for r in read(text, fill="zero").repairs)
    chance = column([s for s in stamps if s.weekday() != 6 or s.day == 19])
    assert read(chance).repairs[0].message.endswith("-> linear")


def test_a_day_that_begins_on_the_day_before_by_utc_is_not_named_by_another_one() -> None:
    days = [day for day in (datetime(2020, 1, 1) + timedelta(days=k) for k in range(60)) if day.weekday() != 6]
    for offset, said in (("+01:00", ""), ("Z", "; no row is on a Sunday: zero if that means closed")):
        reading = read("t,y\n" + "".join(f"{day.isoformat()}{offset},{day.day}\n" for day in days))
        assert [r.message.partition(" -> linear")[2] for r in reading.repairs] == [said]


def test_gaps_longer_than_allowed_are_refused() -> None:
    stamps = DAYS[:5] + DAYS[6:20] + DAYS[23:]
    error = refused(column(stamps), max_gap=2)
    assert (error.problem.code, error.problem.row) == ("long_gap", 21)
    assert repairs(read(column(stamps), max_gap=3)) == {"gaps": 4}


def test_series_that_would_be_mostly_invented_are_refused_until_told() -> None:
    stamps = [*DAYS[:5], *(d + timedelta(300) for d in DAYS[:5])]
    assert refused(column(stamps)).problem.code == "mostly_gaps"
    assert repairs(read(column(stamps), fill="zero"))["gaps"] == 295
    assert repairs(read(column(stamps), max_gap=400))["gaps"] == 295
    absurd = [*DAYS[:5], DAYS[5].replace(year=2199)]
    assert refused(column(absurd), fill="zero").problem.row == 7


def test_gaps_at_the_edges_of_other_series_are_none() -> None:
    text = "id,ds,y\n" + "".join(f"a,{k},{k}\n" for k in range(20)) + "".join(f"b,{k},{k}\n" for k in range(10, 15))
    reading = read(text)
    assert (reading.repairs, reading.panel.start.tolist(), reading.panel.lengths.tolist()) == ((), [0, 10], [20, 5])


# steps

def test_a_shift_of_phase_is_refused_where_it_begins() -> None:
    stamps = [datetime(2020, 1, 1) + timedelta(days=k, hours=12 if k >= 30 else 0) for k in range(45)]
    error = refused(column(stamps))
    assert (error.problem.code, error.problem.row) == ("irregular", 32)


@pytest.mark.parametrize(("first", "second"), [(1, 24), (24, 1)])
def test_another_step_from_some_line_on_is_refused(first: int, second: int) -> None:
    start = datetime(2020, 1, 1)
    stamps = [start + timedelta(hours=first * k) for k in range(40)]
    stamps += [stamps[-1] + timedelta(hours=second * k) for k in range(1, 40)]
    error = refused(column(stamps))
    assert error.problem.code in ("step_changes", "mostly_gaps", "irregular")
    assert "step_changes" in [p.code for p in error.problems] or error.problem.code != "step_changes"


def test_series_of_different_phase_are_refused() -> None:
    text = "id,ds,y\n" + "".join(f"a,{h},1\n" for h in HOURS) + "".join(
        f"b,{h + timedelta(minutes=30)},1\n" for h in HOURS[:9])
    error = refused(text)
    assert (error.problem.code, error.problem.row) == ("off_grid", 74)


def test_one_stamp_beside_the_step_is_refused_at_its_line() -> None:
    stamps = [str(h) for h in HOURS]
    stamps[20] = stamps[20].replace(":00:00", ":07:00")
    error = refused(column(stamps))
    assert (error.problem.code, error.problem.row) == ("off_grid", 22)


@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_another_step_than_the_models_is_refused_wherever_it_begins(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PIECE", size)
    contract = read(days()).contract
    assert read(column([*DAYS[:25], *DAYS[26:]]), contract=contract).panel.lengths.tolist() == [40]
    with pytest.raises(ModelError, match="steps of D, and this file has steps of 2D"):
        read(column([*DAYS[:2], *DAYS[3::2]]), contract=contract)


def test_a_told_step_that_does_not_fit_is_refused() -> None:
    assert refused(column(HOURS), freq="D").problem.code == "irregular"
    assert refused(column(HOURS), freq="nope").problem.code == "bad_frequency"
    assert refused(column(range(9)), freq="D").problem.code == "bad_frequency"
    assert read(column(HOURS[::2]), freq="h", max_gap=1).panel.y.size == 71


# odd series

def test_odd_series_are_kept_and_named() -> None:
    text = "id,ds,y\n" + "".join(f"a,{k},{k}\nflat,{k},5\nempty,{k},\n" for k in range(10)) + "short,3,1\n"
    reading = read(text)
    assert list(reading.panel.ids) == ["a", "flat", "empty", "short"]
    assert reading.panel.lengths.tolist() == [10, 10, 0, 1]
    assert repairs(reading)["all_missing"] == 1
    assert any(note.startswith("constant: flat") for note in reading.notes)
    assert any("short" in note for note in reading.notes)


def test_what_was_read_is_not_changed_by_filling() -> None:
    plain = read(days()).panel.y
    holes = read(changed(days(), 20, lambda line: line[:11])).panel.y
    np.testing.assert_allclose(holes, plain)
