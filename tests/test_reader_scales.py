"""Another unit in the newest rows of a series: told by its own past, and by nothing an honest series does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from forecast.errors import DataError
from forecast.reading.contract import Contract
from forecast.reading.reader import Reading
from forecast.reading.scales import Change, find_changes
from forecast.series.arrays import Floats
from tests.honest import honest
from tests.tables import read

LEVELS = {"s1": 50.0, "s2": 80.0}
WEEK = [0, 3, 6, 9, 16, 22, 7]


def table(known: int, new: int, *, factor: float = 1, names: Sequence[str] = ("s1", "s2"), which: str = "s1",
          begin: int | None = None) -> str:
    """Daily series of these names, `known` days and `new` ones; from `begin` on those of one are in another unit."""
    start, changed = np.datetime64("2024-01-01"), known if begin is None else begin
    rows = []
    for name in names:
        for k in range(known + new):
            value = LEVELS.get(name, 60.0) + WEEK[k % 7] + k % 3 / 2
            unit = factor if name == which and k >= changed else 1
            rows.append(f"{name},{start + k},{value * unit:.10g}")
    return "unique_id,ds,y\n" + "\n".join(rows) + "\n"


def contract() -> Contract:
    return read(table(120, 0)).contract


def later(text: str) -> Reading:
    return read(text, contract=contract())


def changes(y: Floats, since: int, *, new: bool = False) -> list[Change]:
    return find_changes(y, np.array([0]), np.array([y.size]), np.array([since]), new=np.array([new]))


@pytest.mark.parametrize("factor", [1000, 1 / 1000, 100, 1 / 100, 60, 1 / 60, 1e6, 25])
@pytest.mark.parametrize("new", [3, 7, 40])
def test_newest_rows_in_another_unit_are_named_with_series_time_line_and_factor(factor: float, new: int) -> None:
    reading = later(table(120, new, factor=factor))
    with pytest.raises(DataError) as caught:
        reading.check_scale()
    problem = caught.value.problem
    assert (problem.code, problem.row, problem.column) == ("rescaled", 122, "y")
    assert 'from 2024-04-30 on the values in "s1"' in problem.message
    assert "--accept-scale" in str(problem.hint)
    told = problem.message.split("about ")[1].split(" times")[0].replace(",", "")
    assert told.startswith("1/") == (factor < 1)
    assert float(told.removeprefix("1/")) == pytest.approx(max(factor, 1 / factor), rel=0.3)
    assert any('"s1"' in note and "(line 122)" in note for note in reading.notes)


def test_a_change_behind_rows_that_were_fine_is_found() -> None:
    reading = later(table(120, 30, factor=1000, begin=143))
    assert [p.row for p in reading.rescaled] == [145]


@pytest.mark.parametrize("factor", [1000, 1 / 1000])
@pytest.mark.parametrize(("new", "begin"), [(0, 106), (0, 92), (7, 100)])
def test_values_the_model_knew_otherwise_are_told_where_they_are_beyond_all_it_knows(factor: float, new: int,
                                                                                    begin: int) -> None:
    assert [p.row for p in later(table(120, new, factor=factor, begin=begin)).rescaled] == [begin + 2]


def test_a_change_that_the_model_was_trained_on_is_no_news_whatever_else_was_revised() -> None:
    text = table(120, 0, factor=1000, begin=100)
    known = read(text).contract
    assert read(text, contract=known).rescaled == ()
    assert read(text.replace("2024-01-05,66", "2024-01-05,67"), contract=known).rescaled == ()
    assert "2024-01-05,66" in text


@pytest.mark.parametrize("factor", [1, 2, 0.4, 8, 1 / 8, 15, 1 / 15])
def test_a_level_that_moves_is_no_unit(factor: float) -> None:
    assert later(table(120, 7, factor=factor)).rescaled == ()


def test_every_series_is_named() -> None:
    text = table(120, 7, factor=1000).split("\n")
    both = [*text[:128], *table(120, 7, factor=1000, which="s2").split("\n")[128:]]
    assert [(p.row, '"s1"' in p.message) for p in later("\n".join(both)).rescaled] == [(122, True), (249, False)]


def test_in_a_training_file_it_is_a_note() -> None:
    reading = read(table(120, 20, factor=1000))
    assert 'from 2024-04-30 on the values in "s1" are about' in " ".join(reading.notes)


def test_what_the_model_has_learned_from_is_no_news() -> None:
    known = read(table(120, 20, factor=1000)).contract
    again = read(table(120, 27, factor=1000), contract=known)
    assert again.rescaled == ()


def test_a_whole_file_in_another_unit_is_a_note_as_ever() -> None:
    reading = later(table(120, 7, factor=1000, begin=0, names=("s1",)))
    assert reading.rescaled == ()
    assert "times the size" in " ".join(reading.notes)


def test_a_new_series_is_judged_within_the_file_only_if_clear() -> None:
    names = ("s1", "s2", "new")
    assert [p.row for p in later(table(120, 20, factor=1000, names=names, which="new")).rescaled] == [402]
    assert later(table(120, 5, factor=1000, names=names, which="new")).rescaled == ()


def test_wide_files_name_the_column() -> None:
    def wide(count: int) -> str:
        return "date,north,south\n" + "".join(
            f"{np.datetime64('2024-01-01') + k},{50 + k % 7},{(20 + k % 5) * (1000 if k > 99 else 1)}\n"
            for k in range(count))

    reading = read(wide(110), contract=read(wide(100)).contract)
    assert [(p.row, p.column) for p in reading.rescaled] == [(102, "south")]


def test_an_older_contract_that_knows_only_its_end_will_do() -> None:
    reading = read(table(120, 7, factor=1000), contract=replace(contract(), marks=()))
    assert [p.row for p in reading.rescaled] == [122]


def test_one_new_row_will_do_in_a_tame_series_and_two_in_any() -> None:
    tame, wild = 50.0 + np.arange(100) % 7, np.exp(np.arange(100) * 37 % 23 / 5)
    for y, enough in ((tame, 1), (wild, 2)):
        for count in (1, 2):
            newest = y.copy()
            newest[-count:] *= 1e4
            assert bool(changes(newest, y.size - count)) == (count >= enough)


def test_whole_numbers_that_dwindle_may_be_few() -> None:
    y = np.concatenate([500.0 + np.arange(100) % 7, [3, 5, 2, 4, 3, 2, 5]])
    assert changes(y, 100) == []
    assert len(changes(np.where(np.arange(107) < 100, y, y / 8), 100)) == 1


def test_a_burst_that_is_over_and_growth_are_no_units() -> None:
    base, t = 50.0 + np.arange(100) % 7, np.arange(200)
    assert changes(np.concatenate([base, 1e4 + np.arange(9.0), base[:3]]), 100) == []
    assert len(changes(np.concatenate([base, 1e4 + np.arange(12.0)]), 100)) == 1
    assert changes(10 * 2 ** (t / 8), 0) == []


def test_what_was_as_large_once_before_is_no_new_unit() -> None:
    base = 50.0 + np.arange(100) % 7
    assert changes(np.concatenate([base, 20 * base[:21], base, 25 * base[:7]]), 221) == []
    assert len(changes(np.concatenate([base, 2 * base[:21], base, 25 * base[:7]]), 221)) == 1


def test_no_unit_turns_the_sign() -> None:
    y = np.concatenate([50.0 + np.arange(100) % 7, -5000.0 - np.arange(7)])
    assert changes(y, 100) == []
    assert len(changes(-np.abs(y), 100)) == 1


def test_zeros_tell_nothing() -> None:
    y = np.concatenate([500.0 + np.arange(100) % 7, np.zeros(20)])
    assert changes(y, 100) == []
    assert changes(np.zeros(50), 30) == []


@pytest.mark.parametrize("seed", range(30))
def test_no_honest_series_changes_its_unit(seed: int) -> None:
    for name, y in honest(seed):
        for new in (1, 2, 3, 7, 15):
            assert changes(y, max(0, y.size - new)) == [], name


@pytest.mark.parametrize("seed", range(5))
def test_in_most_honest_series_of_one_size_a_thousandfold_week_is_found(seed: int) -> None:
    for name, y in honest(seed):
        if name in ("normal", "walk", "temperature", "outages at zero", "big orders", "capped sensor") and y.size > 40:
            rescaled = np.where(np.arange(y.size) < y.size - 7, y, 1000 * y)
            found = changes(rescaled, y.size - 7)
            assert [(c.series, c.at) for c in found] == [(0, y.size - 7)], name
