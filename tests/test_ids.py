"""Series that several columns name together: from the file to every output and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forecast
from forecast.series.ids import joined_id, listed_names, names_in, split_id
from tests.tables import read, refused
from tests.test_cli import LEAN, Run, run

__all__ = ["run"]
WEEK = [50, 53, 56, 59, 66, 72, 57]
DAYS = [str(np.datetime64("2024-01-01") + k) for k in range(63)]
SHOPS = [("1", "a/b"), ("1", "c"), ("2", "a/b"), ("2", "c, d")]


def shops(header: str = "store,item,date,sales", *, of: list[tuple[str, str]] = SHOPS) -> str:
    rows = [f'{s},"{i}",{day},{(n + 1) * WEEK[k % 7]}' for n, (s, i) in enumerate(of) for k, day in enumerate(DAYS)]
    return "\n".join([header, *rows]) + "\n"


def names(path: Path) -> set[tuple[str, str]]:
    table = pd.read_csv(path, dtype=str)
    return set(zip(table["store"], table["item"], strict=True))


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_a_joined_name_gives_back_its_parts(parts: list[str]) -> None:
    assert split_id(joined_id(parts), len(parts)) == parts


def test_two_names_are_never_joined_to_one() -> None:
    names = [("a/b", "c"), ("a", "b/c"), ("a\\", "b"), ("a", "\\b"), ("a\\/b", "c"), ("", "a/b/c")]
    assert len({joined_id(parts) for parts in names}) == len(names)


def test_names_of_columns_are_read_as_they_are_listed() -> None:
    for names in (["store"], ["store", "item"], ["a,b", "c"], ['say "x"', "b"]):
        assert names_in(listed_names(names), names) == names
    assert names_in("a,b", ["a,b"]) == ["a,b"]


def test_series_are_named_by_both_columns() -> None:
    reading = read(shops(), id="store,item")
    assert reading.panel.ids.tolist() == ["1/a\\/b", "1/c", "2/a\\/b", "2/c, d"]
    assert reading.contract.id_cells(reading.panel.ids) == {
        "store": ["1", "1", "2", "2"], "item": ["a/b", "c", "a/b", "c, d"]}


def test_columns_that_tell_rows_of_one_time_apart_are_found_by_their_headers() -> None:
    found = read(shops("Region,Product,date,sales"))
    assert (found.contract.id_names, len(found.panel)) == (("Region", "Product"), 4)
    assert "id=Region,Product: what tells rows of one time apart" in found.notes
    one = read(shops("Region,Product,date,sales", of=[("x", "a"), ("x", "b")]))
    assert (one.contract.id, one.panel.ids.tolist()) == ("Product", ["a", "b"])
    assert read(shops("note,Product,date,sales", of=[("x", "a"), ("y", "a")]), duplicates="sum").panel.ids.tolist() == [
        "sales"]                                                    # who sums rows asked for one series


def test_columns_that_part_the_rows_in_two_ways_are_both_named() -> None:
    rows = "".join(f"{c},{s},{day},1\n" for day in DAYS for c, s in (("x", "p"), ("y", "q")))
    swapped = "".join(f"{c},{s},{day},1\n" for day in DAYS for c, s in (("x", "q"), ("y", "p")))
    error = refused("country,shop,date,sales\n" + rows + swapped.replace("2024", "2025"))
    assert error.code == "several_ids"
    assert "country or shop" in str(error)
    assert error.hint == "Try --id country"


def test_series_without_a_header_that_names_things_are_parted_by_the_columns_that_do() -> None:
    text = shops("k1,k2,date,sales")
    hint = refused(text).hint
    assert hint == "Columns 'k1' and 'k2' together separate them: --id k1,k2"
    assert len(read(text, id="k1,k2").panel) == 4
    assert refused(text, id="k1").hint == "Column 'k2' also parts the series: --id k1,k2"


def test_an_id_column_that_holds_nothing_is_named() -> None:
    error = refused(shops(of=[("1", ""), ("2", "")]), id="store,item")
    assert (error.code, error.column, error.hint) == ("empty_id", "item", "Leave it out of --id")
    assert len(read(shops(of=[("1", ""), ("2", "")]), id="store").panel) == 2


def test_a_row_that_lacks_a_part_of_its_name_is_damaged() -> None:
    lines = shops().split("\n")
    lines[9] = lines[9].replace('"a/b"', "")
    error = refused("\n".join(lines), id="store,item")
    assert (error.code, error.row, error.column) == ("no_id", 10, "store,item")
    kept = read("\n".join(lines), id="store,item", bad_rows="quarantine")
    assert (len(kept.panel), [p.row for p in kept.rejects]) == (4, [10])


def test_whole_series_may_lack_a_part_of_their_name() -> None:
    reading = read(shops("province,country,date,cases", of=[("", "x"), ("p", "y"), ("q", "y")]), id="province,country")
    assert reading.panel.ids.tolist() == ["/x", "p/y", "q/y"]


def test_a_missing_or_repeated_column_is_said() -> None:
    assert refused(shops(), id="store,nope").code == "missing_column"
    assert len(read(shops(of=[("1", "a"), ("2", "b")]), id="store,store").panel) == 2


def test_frames_are_read_alike() -> None:
    frame = pd.DataFrame([(s, i, pd.Timestamp(d), 1.0 + k) for s, i in SHOPS for k, d in enumerate(DAYS)],
                         columns=["store", "item", "date", "sales"])
    tidy = forecast.read(frame, id="store,item")
    assert tidy.columns.tolist()[:2] == ["store", "item"]
    assert set(zip(tidy["store"], tidy["item"], strict=True)) == set(SHOPS)


def test_every_command_keeps_both_columns(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "shops.csv"
    path.write_text(shops())
    assert "id=store,item" in run("train", path, *LEAN, "--id", "store,item").err
    assert run("predict", "--json").code == 0
    assert names(tmp_path / "predictions.csv") == set(SHOPS)
    assert run("replay", "predictions.csv").code == 0
    assert run("predict", "--series", "2/c, d", "-o", "one.csv").code == 0
    assert names(tmp_path / "one.csv") == {("2", "c, d")}
    assert run("predict", "--layout", "nixtla", "-o", "n.csv").code == 0
    assert set(pd.read_csv(tmp_path / "n.csv")["unique_id"]) == {joined_id(parts) for parts in SHOPS}
    later = "".join(f'{s},"{i}",2024-03-{4 + k:02},{(n + 1) * WEEK[k % 7]}\n'
                    for n, (s, i) in enumerate(SHOPS) for k in range(7))
    path.write_text(shops() + later)
    for how in (("--forecast", "predictions.csv"), ("--issued",)):
        ended = run("evaluate", *how, "--json", "--debug")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["models"], how
    assert run("check", path, "--id", "store,item", "-o", "read.csv").code == 0
    assert (tmp_path / "read.csv").read_text().startswith("store,item,date,sales\n")
    assert run("init", path, "--id", "store,item").code == 0
    assert 'id = "store,item"' in (tmp_path / "forecast.toml").read_text()


@pytest.mark.parametrize("layout", ["quantile", "long"])
def test_every_layout_keeps_both_columns(run: Run, tmp_path: Path, layout: str) -> None:
    path = tmp_path / "shops.csv"
    path.write_text(shops())
    assert run("predict", path, "--id", "store,item", "--horizon", "2", "--layout", layout, "--model", "prior",
               "-o", "out.csv").code == 0
    assert (tmp_path / "out.csv").read_text().startswith("store,item,date,")


def test_a_total_below_series_of_two_names_is_left_out() -> None:
    reading = read(shops() + "Total,,,123\n")
    assert reading.panel.ids.tolist() == read(shops()).panel.ids.tolist()
    np.testing.assert_array_equal(reading.panel.y, read(shops()).panel.y)
    assert [p.message for r in reading.repairs for p in r.examples] == ['left out: "Total"']
    assert refused(shops() + "Totally,,,123\n").problem.code == "no_id"
