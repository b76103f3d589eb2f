"""Lone absurd values are read as missing and named; new levels, zeros and what comes again and again stay."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.reading.filling import ROUNDING
from forecast.reading.spikes import _in_block, find_spikes
from forecast.series.arrays import Floats
from tests.honest import honest, new_levels
from tests.tables import DAYS, changed, column, days, read, repairs

METER = [round(0.06 + 0.01 * (k * 7 % 5), 3) for k in range(40)]


def meter(**spikes: float) -> str:
    cells = list(METER)
    for place, value in spikes.items():
        cells[int(place[1:])] = value
    return column(DAYS, cells, header="date,kwh")


def spikes_of(y: Floats) -> list[int]:
    return find_spikes(y, np.array([0]), np.array([y.size])).tolist()


def test_a_lone_absurd_value_is_missing_filled_counted_and_named() -> None:
    reading = read(meter(n20=23944.275))
    assert reading.panel.y[20] == pytest.approx((METER[19] + METER[21]) / 2)
    assert np.flatnonzero(reading.panel.filled).tolist() == [20]
    assert np.isnan(reading.panel.truth[20])
    repair = reading.repairs[0]
    assert (repair.kind, repair.count, repair.flag) == ("spikes", 1, "--spikes")
    assert "23944.275 at 2020-01-21 (line 22)" in repair.message
    problem = repair.examples[0]
    assert (problem.row, problem.column, problem.value) == (22, "kwh", "23944.275")


def test_it_may_be_kept() -> None:
    reading = read(meter(n20=23944.275), spikes="keep")
    assert reading.panel.y[20] == 23944.275
    assert reading.repairs == ()


@pytest.mark.parametrize(("fill", "value", "filled"), [("zero", 0.0, True), ("ffill", METER[19], True),
                                                       ("mask", np.nan, False)])
def test_it_is_filled_by_the_rule_and_no_truth_under_any(fill: str, value: float, filled: bool) -> None:
    panel = read(meter(n20=23944.275), fill=fill).panel
    np.testing.assert_equal(panel.y[20], value)
    assert (panel.filled is not None) == filled
    assert np.isnan(panel.truth[20])
    assert np.isnan(panel.truth).sum() == 1


def test_a_zero_that_stands_for_no_row_stays_a_truth_beside_a_spike() -> None:
    lines = meter(n20=23944.275).split("\n")
    panel = read("\n".join(lines[:10] + lines[11:]), fill="zero").panel
    assert panel.y[9] == 0
    assert np.flatnonzero(panel.filled).tolist() == [20]


def test_each_is_named_with_its_series_and_line() -> None:
    text = "id,ds,y\n" + "".join(f"{name},{day},{METER[k] if k != at else 1e6}\n" for name, at in (("a", 3), ("b", 39))
                                 for k, day in enumerate(DAYS))
    reading = read(text)
    message = reading.repairs[0].message
    assert '1000000 at 2020-01-04 in "a" (line 5), 1000000 at 2020-02-09 in "b" (line 81)' in message
    assert reading.panel.lengths.tolist() == [40, 39]                   # the last one cannot be told from its future


@pytest.mark.parametrize("at", [0, 1, 39])
def test_it_is_found_at_either_end_too(at: int) -> None:
    assert repairs(read(meter(**{f"n{at}": -5e4})))["spikes"] == 1


def test_what_stays_far_away_is_a_new_level() -> None:
    assert read(meter(n38=500.0, n39=501.0)).panel.y[-2:].tolist() == [500, 501]
    for pair in ([500.0, 501.0], [500.0, 60_000.0], [60_000.0, 500.0]):
        assert read(meter(n20=pair[0], n21=pair[1])).panel.y[20:22].tolist() == pair


def test_a_zero_is_an_outage_and_no_spike() -> None:
    y = 230 + np.arange(60) * 7 % 5 / 10
    y[30] = 0
    assert spikes_of(y) == []
    y[30] = 1
    assert spikes_of(y) == [30]


def test_where_half_the_values_are_one_nothing_is_absurd() -> None:
    assert spikes_of(np.array([0.0] * 30 + [900.0] + [1.0] * 20)) == []
    assert spikes_of(np.array([0.5, 0.6] * 20 + [900.0] + [0.5, 0.6])) == [40]


def test_the_bound_is_a_thousand_median_deviations() -> None:
    y = np.array([8.0, 9, 10, 11, 12] * 20)                             # median 10, deviation 1
    for value, found in ((1009.0, []), (1011.0, [52]), (-989.0, []), (-991.0, [52])):
        y[52] = value
        assert spikes_of(y) == found


def test_a_value_that_others_come_near_is_no_spike() -> None:
    y = np.array([8.0, 9, 10, 11, 12] * 40)
    y[52] = 5000
    assert spikes_of(y) == [52]
    y[[102, 103]] = 700                                                 # a burst of a seventh of it
    assert spikes_of(y) == []


def test_an_old_level_far_away_hides_no_spike() -> None:
    y = np.concatenate([1e6 + np.arange(3000) % 7, np.arange(3000) % 7.0])
    y[4500] = 5e4
    assert spikes_of(y) == [4500]


@pytest.mark.parametrize("seed", range(30))
def test_no_honest_value_is_read_as_missing_and_a_glance_hides_none(seed: int) -> None:
    for name, y in (*honest(seed), *new_levels(seed)):
        assert spikes_of(y) == [], name
        spoilt = y.copy()
        spoilt[y.size // 2] = 1e12
        if y.size < 2000:
            assert spikes_of(spoilt) == _in_block(spoilt).tolist(), name


def test_series_are_judged_one_by_one() -> None:
    small, large = np.arange(50) % 7 + 1.0, 1e5 * (np.arange(50) % 7 + 1.0)
    y, first = np.concatenate([small, large, small]), np.array([0, 50, 100])
    assert find_spikes(y, first, first + 50).tolist() == []
    y[[20, 110]] = 1e5
    assert find_spikes(y, first, first + 50).tolist() == [20, 110]


def test_missing_values_are_passed_over() -> None:
    y = np.array([8.0, 9, np.nan, 11, 12] * 20)
    y[52] = 1e6
    assert spikes_of(y) == [52]
    assert spikes_of(np.full(50, np.nan)) == []


def test_a_number_said_to_be_real_is_no_spike_either() -> None:
    cells = [50 + k % 7 for k in range(40)]
    cells[7] = -9999
    assert -9999 in read(column(DAYS, cells), missing=("none",)).panel.y


@pytest.mark.parametrize(("before", "behind", "steps"), [(0.0, 0.0, 3), (0.1, -0.2, 2), (0.3, -0.1, 3), (-0.7, 0.7, 5)])
def test_a_line_through_zero_is_zero_there(before: float, behind: float, steps: int) -> None:
    cells: list[object] = [1.5, before, *[""] * steps, behind, 2.5, *[1.0] * 8]
    y = read(column(DAYS[:len(cells)], cells)).panel.y[2:2 + steps]
    line = before + (behind - before) * np.arange(1, steps + 1) / (steps + 1)
    np.testing.assert_allclose(y, line, atol=1e-12)
    assert ((y == 0) == (np.abs(line) < ROUNDING)).all()


def test_a_straight_line_is_as_it_was() -> None:
    assert read(changed(days(), 6, lambda line: line[:11])).panel.y[4] == 4.5
