"""Columns beside the target: found, named, read, joined; and what is refused of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.config import DataConfig
from forecast.errors import DataError, ForecastError, RequestError
from forecast.reading.reader import Reading, read_panel
from tests.tables import read, refused

DAYS = [date(2026, 1, 1) + timedelta(k) for k in range(60)]


def shops(count: int = 40, ahead: int = 0, **cells: Any) -> str:
    """Two shops, price and promo; `ahead` rows without sales behind the last. cells: other columns, by function."""
    lines = [",".join(["store", "date", "sales", "price", "promo", *cells])]
    for s, name in enumerate(("north", "south")):
        for k in range(count + ahead):
            sales = "" if k >= count else str(20 + 5 * s + (k * 7) % 11)
            more = [str(make(s, k)) for make in cells.values()]
            lines.append(",".join([name, str(DAYS[k]), sales, str(5 + k % 3), str(int(k % 5 == 0)), *more]))
    return "\n".join(lines) + "\n"


def beside(reading: Reading) -> Any:
    assert reading.panel.beside is not None
    return reading.panel.beside


def test_columns_that_nothing_is_said_of_are_not_used_and_the_flags_are_named() -> None:
    reading = read(shops(region=lambda s, k: "ab"[s]))
    assert reading.panel.beside is None
    assert reading.notes == ("not used: price, promo (use with --known, --past or --static)",
                             "not used: region (the same in all rows of a series: use with --static)")


def test_named_columns_are_known_past_and_static_in_this_order() -> None:
    reading = read(shops(region=lambda s, k: "ab"[s], visitors=lambda s, k: k), past=("visitors",), known=("promo",),
                   static=("REGION",))
    columns = beside(reading).columns
    assert [(c.name, c.role, c.words) for c in columns] == [
        ("promo", "known", ()), ("visitors", "past", ()), ("region", "static", ("a", "b"))]
    assert beside(reading).values[:6].tolist() == [[1, 0], [0, 1], [0, 2], [0, 3], [0, 4], [1, 5]]
    assert beside(reading).static.tolist() == [[0], [1]]
    assert reading.contract.targets == ("sales",)


def test_the_one_number_that_has_no_role_is_the_target() -> None:
    text = "date,price,load,wind\n" + "".join(f"{d},{k},{k * k % 7},{k % 5}\n" for k, d in enumerate(DAYS))
    assert read(text, known=("load", "wind")).contract.targets == ("price",)


def test_values_that_go_on_behind_the_last_target_are_known_ahead_and_that_is_said() -> None:
    reading = read(shops(ahead=3))
    assert [(c.name, c.role) for c in beside(reading).columns] == [("price", "known"), ("promo", "known")]
    assert "known ahead: price, promo, as their values go on behind the last target" in reading.notes
    assert "6 rows behind the last sales: what they say is known ahead" in reading.notes


def test_rows_of_the_future_move_neither_the_cutoff_nor_the_lengths_and_are_no_repair() -> None:
    plain, longer = read(shops(), known=("price",)), read(shops(ahead=9), known=("price",))
    assert longer.panel.end.tolist() == plain.panel.end.tolist()
    assert (longer.repairs, longer.contract.last) == ((), plain.contract.last)
    ahead = beside(longer).ahead(np.array([1]), longer.panel.end[1:], 9)[0, :, 0]
    assert ahead.tolist() == [5 + k % 3 for k in range(40, 49)]


def test_a_row_without_a_target_at_the_end_is_no_plan_by_itself() -> None:
    assert read(shops(ahead=1)).panel.beside is None


def test_what_is_missing_stays_missing_and_a_gap_is_a_gap() -> None:
    lines = shops(price2=lambda s, k: "" if k == 3 else k).splitlines()
    reading = read("\n".join(lines[:8] + lines[9:]), known=("price2",))        # the eighth day is gone
    values = beside(reading).values[:9, 0]
    np.testing.assert_array_equal(values, [0, 1, 2, np.nan, 4, 5, 6, np.nan, 8])
    assert [r.kind for r in reading.repairs] == ["gaps"]


def test_yes_and_no_are_one_and_zero() -> None:
    reading = read(shops(open=lambda s, k: ("yes", "No", "TRUE", "0", "")[k % 5]), known=("open",))
    np.testing.assert_array_equal(beside(reading).values[:5, 0], [1, 0, 1, 0, np.nan])
    assert reading.contract.beside[0].flag


def test_words_are_categories_and_the_rare_ones_share_one() -> None:
    reading = read(shops(day=lambda s, k: "once" if (s, k) == (0, 7) else ("wet", "dry")[k % 2]), past=("day",))
    assert beside(reading).columns[0].words == ("dry", "wet")
    assert beside(reading).values[5:9, 0].tolist() == [0, 1, 2, 1]


def test_a_new_word_of_a_later_file_is_said_and_read_as_other() -> None:
    first = read(shops(day=lambda s, k: ("wet", "dry")[k % 2]), past=("day",))
    later = read(shops(41, day=lambda s, k: "snow" if k == 40 else ("wet", "dry")[k % 2]), contract=first.contract)
    assert beside(later).values[40, 0] == 2
    assert "day: 1 word not seen in training, read as other: snow" in later.notes
    assert later.contract.beside == first.contract.beside


def test_holidays_are_a_column_known_ahead() -> None:
    pytest.importorskip("holidays")
    reading = read(shops(), holidays=("DE", "US-CA"))
    values = beside(reading).values[:, :]
    assert [c.name for c in beside(reading).columns] == ["holidays DE", "holidays US-CA"]
    assert np.flatnonzero(values[:, 0]).tolist() == [0]                 # New Year
    assert np.flatnonzero(values[:, 1]).tolist() == [0, 18]             # and Martin Luther King's day


def test_an_unknown_country_is_refused_with_near_ones() -> None:
    pytest.importorskip("holidays")
    with pytest.raises(RequestError, match=r"--holidays XD: no such country. Near ones: .*"):
        read(shops(), holidays=("XD",))
    with pytest.raises(RequestError, match=r"--holidays US-CX: no such country. Near ones: .*US-CA"):
        read(shops(), holidays=("US-CX",))


def test_without_the_package_holidays_are_refused_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch
                                                                                ) -> None:
    monkeypatch.setitem(__import__("sys").modules, "holidays", None)
    with pytest.raises(RequestError, match=r"not installed. pip install holidays$"):
        read(shops(), holidays=("XX",))


# a second file

def files(folder: Path, data: str, **others: str) -> tuple[Path, tuple[str, ...]]:
    for name, text in {"data": data, **others}.items():
        (folder / f"{name}.csv").write_text(text)
    return folder / "data.csv", tuple(str(folder / f"{name}.csv") for name in others)


def weather(count: int = 50, first: int = 0) -> str:
    return "date,wind\n" + "".join(f"{DAYS[k]},{k}\n" for k in range(first, count))


def test_a_file_without_ids_is_joined_by_time_alone_for_all_series(tmp_path: Path) -> None:
    path, more = files(tmp_path, shops(), weather=weather())
    reading = read_panel(path, DataConfig(known=("wind", "promo"), covariates=more))
    assert [b.source for b in reading.contract.beside] == [None, "weather.csv"]
    both = beside(reading).ahead(np.array([0, 1]), reading.panel.end, 3)
    assert both[:, :, 1].tolist() == [[40, 41, 42]] * 2
    assert np.isnan(both[:, :, 0]).all()
    assert any(note.endswith("wind joined by time alone") for note in reading.notes)


def test_a_file_of_ids_and_times_is_joined_by_both_and_strange_ids_are_said(tmp_path: Path) -> None:
    text = "date,store,wind\n" + "".join(f"{DAYS[k]},{s},{k + 100 * (s == 'south')}\n" for k in range(50)
                                         for s in ("south", "north", "west"))
    path, more = files(tmp_path, shops(), weather=text)
    reading = read_panel(path, DataConfig(known=("wind",), covariates=more))
    assert beside(reading).ahead(np.array([0, 1]), reading.panel.end, 2)[:, :, 0].tolist() == [[40, 41], [140, 141]]
    assert any("1 series not in the data: west" in note for note in reading.notes)


def test_a_file_of_ids_alone_gives_static_values(tmp_path: Path) -> None:
    path, more = files(tmp_path, shops(), info="store,size\nsouth,7\nnorth,3\n")
    assert beside(read_panel(path, DataConfig(static=("size",), covariates=more))).static.tolist() == [[3], [7]]


def test_a_wide_file_shares_its_covariates_among_all_series() -> None:
    text = "date,a,b,temp\n" + "".join(f"{d},{k % 7},{k % 5},{k}\n" for k, d in enumerate(DAYS))
    reading = read(text, known=("temp",))
    assert reading.contract.targets == ("a", "b")
    assert beside(reading).past(np.array([0, 1]), reading.panel.end, 2)[:, :, 0].tolist() == [[58, 59]] * 2


def test_the_model_finds_the_files_beside_the_data_wherever_both_have_moved(tmp_path: Path) -> None:
    path, more = files(tmp_path, shops(), weather=weather())
    first = read_panel(path, DataConfig(known=("wind",), covariates=more))
    moved = tmp_path / "moved"
    moved.mkdir()
    files(moved, shops(), weather=weather())
    again = read_panel(moved / "data.csv", DataConfig(), first.contract)
    assert again.panel.fingerprint(5) == first.panel.fingerprint(5)
    (moved / "weather.csv").unlink()
    with pytest.raises(DataError, match=r"weather\.csv"):
        read_panel(moved / "data.csv", DataConfig(), first.contract)


# what is refused, and what is said

BAD = {                                                                 # settings, columns -> error, its words
    "no such column": ({"known": ("prize",)}, {}, DataError, r'no column "prize" \(--known\)'),
    "two roles": ({"known": ("promo",), "past": ("promo",)}, {}, RequestError,
                  r'column "promo" has two roles: --known and --past. Give it one of them'),
    "the target, too": ({"known": ("sales",), "target": "sales"}, {}, RequestError, "two roles: --target and --known"),
    "the id, too": ({"static": ("store",)}, {}, RequestError, "two roles: --id and --static"),
    "a static value that changes": (
        {"static": ("region",)}, {"region": lambda s, k: "b" if (s, k) == (1, 30) else "a"}, DataError,
        r"csv:72: column 'region': a static value changes in \"south\": a, b. --past region if it may change"),
    "a category of 10,000 words": ({"past": ("note",)}, {"note": lambda s, k: f"w{s}x{k}"}, DataError,
                                   r"column 'note': holds 80 different words: too many for categories"),
    "an empty column": ({"known": ("gone",)}, {"gone": lambda s, k: ""}, DataError,
                        r"column 'gone': holds no value at all. Leave it out of --known"),
    "text among numbers": ({"known": ("wind",)}, {"wind": lambda s, k: "calm" if (s, k) == (0, 9) else k}, DataError,
                           r"csv:11: column 'wind': \"calm\" is not a number"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_fault_has_its_own_sentence_and_exit_code(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options, cells, error, words = BAD[case]
    monkeypatch.setattr("forecast.reading.beside.MOST_WORDS", 70)
    with pytest.raises(error, match=words) as caught:
        read(shops(**cells), **options)
    assert caught.value.exit_code == (2 if error is RequestError else 3)


def test_ten_thousand_words_are_too_many() -> None:
    text = "date,y,note\n" + "".join(f"{date(1990, 1, 1) + timedelta(k)},{k % 7},n{k}\n" for k in range(10_000))
    assert "10,000 different words" in str(refused(text, past=("note",)))


def test_a_later_file_that_lacks_a_column_is_refused_by_name() -> None:
    first = read(shops(wind=lambda s, k: k), known=("wind",))
    with pytest.raises(DataError, match=r'no column "wind" \(used by the model\)'):
        read(shops(), contract=first.contract)


def test_text_in_a_later_file_where_numbers_were_is_refused_with_its_line() -> None:
    first = read(shops(wind=lambda s, k: k), known=("wind",))
    with pytest.raises(DataError, match=r":2: column 'wind': \"calm\" is not a number"):
        read(shops(wind=lambda s, k: "calm"), contract=first.contract)


def test_rows_of_the_future_twice_or_beside_the_step_are_refused() -> None:
    text = shops(ahead=3)
    with pytest.raises(DataError, match=r'"2026-02-12" stands twice in "south"'):
        read(text + "south,2026-02-12,,5,0\n", known=("price",))
    weekly = "date,y,x\n" + "".join(f"{DAYS[0] + timedelta(7 * k)},{k},{k}\n" for k in range(30))
    with pytest.raises(DataError, match=r'"2026-08-01" stands beside the step of the series \(W-THU\)'):
        read(weekly + "2026-08-01,,5\n", known=("x",))


def test_degrees_of_another_unit_are_said() -> None:
    def celsius(s: int, k: int) -> float:
        return 5 + k % 20

    first = read(shops(temp=celsius), known=("temp",))
    later = read(shops(40, ahead=7, temp=lambda s, k: celsius(s, k) * 9 / 5 + 32 if k >= 40 else celsius(s, k)),
                 contract=first.contract)
    assert [n for n in later.notes if "another unit?" in n] == [
        "temp: the newest values (41 to 51.8) lie outside of all before (5 to 24): another unit?"]
    assert not [n for n in first.notes if "unit" in n]


@pytest.mark.parametrize(("role", "words"), [("known", "belongs in --past"), ("past", "it adds nothing")])
def test_a_column_that_repeats_the_target_is_said(role: str, words: str) -> None:
    def again(s: int, k: int) -> int:
        return 3 * (20 + 5 * s + (k * 7) % 11) + 1

    reading = read(shops(turnover=again), **{role: ("turnover",)})
    assert [n for n in reading.notes if "turnover repeats the target" in n and words in n]
    assert not [n for n in read(shops(), **{role: ("price",)}).notes if "repeats" in n]


def test_a_file_of_other_series_is_refused(tmp_path: Path) -> None:
    path, more = files(tmp_path, shops(), weather="store,date,wind\nwest,2026-01-01,3\n")
    with pytest.raises(DataError, match="is of other series: it has west, the data north, south"):
        read_panel(path, DataConfig(known=("wind",), covariates=more))


def test_a_column_that_no_file_has_is_refused_with_all_their_names(tmp_path: Path) -> None:
    path, more = files(tmp_path, shops(), weather=weather())
    with pytest.raises(DataError, match=r'neither the data nor .*weather.csv have a column "rain" \(--known\)'):
        read_panel(path, DataConfig(known=("rain",), covariates=more))


@given(st.integers(0, 2**31), st.integers(1, 6))
def test_nothing_behind_the_cutoff_or_the_horizon_changes_a_byte_of_what_is_given(seed: int, horizon: int) -> None:
    """Past values behind the cutoff, and known ones behind the horizon."""
    reading = read(TEXT, known=("price", "promo"), past=("visitors",))
    random = np.random.default_rng(seed)
    steps = int(random.integers(0, 20))
    panel = reading.panel.drop_last(steps)
    covariates, row = beside(reading), panel.row
    values = covariates.values.copy()
    ordinal = np.concatenate([np.arange(a, b) for a, b in zip(covariates.start, covariates.stop, strict=True)])
    end = np.repeat(panel.end, covariates.stop - covariates.start)
    values[ordinal >= end, 2] = random.normal(size=int((ordinal >= end).sum()))
    values[ordinal >= end + horizon] = random.normal(size=(int((ordinal >= end + horizon).sum()), 3))
    other = replace(covariates, values=values)
    for one, two in ((covariates.past(row, panel.end, 30), other.past(row, panel.end, 30)),
                     (covariates.ahead(row, panel.end, horizon), other.ahead(row, panel.end, horizon))):
        assert one.tobytes() == two.tobytes()
    assert replace(panel, beside=other).fingerprint(horizon) == panel.fingerprint(horizon)


TEXT = shops(ahead=15, visitors=lambda s, k: (k * 3) % 13)


def test_a_new_plan_within_the_horizon_is_another_fingerprint() -> None:
    other = TEXT.replace("north,2026-02-11,,7", "north,2026-02-11,,9")
    one, two = (read(text, known=("price",)) for text in (TEXT, other))
    assert one.panel.fingerprint(2) != two.panel.fingerprint(2)
    assert one.panel.fingerprint(1) == two.panel.fingerprint(1) != one.panel.fingerprint(2)


def test_a_contract_without_covariates_is_written_as_before() -> None:
    assert "beside" not in read(shops()).contract.to_dict()


def test_every_refusal_is_foreseen() -> None:
    assert all(issubclass(error, ForecastError) for _, _, error, _ in BAD.values())
