"""Folders of Parquet files: one table, in the order of names; columns by names of folders; errors name the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading.reader import Reading, read_panel
from tests.test_cli import Run, run

__all__ = ["run"]

DAYS = [date(2025, 1, 1) + timedelta(days=k) for k in range(40)]


def put(path: Path, **columns: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shops in folders of their own, each in two files; promo is there in the later ones alone."""
    place = tmp_path / "sales"
    for store in ("007", "b c"):
        hive = place / f"store={store.replace(' ', '%20')}"
        put(hive / "0.parquet", date=DAYS[:20], sales=range(20))
        put(hive / "1.parquet", promo=[k % 2 for k in range(20)], sales=np.arange(20) + 0.5, date=DAYS[20:])
    (place / "_SUCCESS").write_text("")
    return place


def refused(place: Path, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read_panel(place, DataConfig(**options))
    return caught.value


def facts(reading: Reading) -> Mapping[str, list[float]]:
    return {i: reading.panel.values(s).tolist() for s, i in enumerate(reading.panel.ids.tolist())}


def test_a_folder_is_one_table_and_the_names_of_folders_are_a_column(folder: Path) -> None:
    reading = read_panel(folder)
    values = [*map(float, range(20)), *(np.arange(20) + 0.5)]
    assert facts(reading) == {"007": values, "b c": values}
    assert (reading.contract.id, reading.contract.time, reading.rows) == ("store", "date", 80)
    assert "a folder of 4 Parquet files, in the order of their names" in reading.notes


def test_it_reads_as_one_file_of_all_rows_does(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    values = [*map(float, range(20)), *(np.arange(20) + 0.5)]
    put(whole, store=["007"] * 40 + ["b c"] * 40, date=DAYS * 2, sales=values * 2)
    assert read_panel(folder).panel.fingerprint() == read_panel(whole).panel.fingerprint()


def test_a_column_that_older_files_lack_is_missing_there(folder: Path) -> None:
    beside = read_panel(folder, DataConfig(past=("promo",))).panel.beside
    assert beside is not None
    assert np.isnan(beside.values[:20, 0]).all()
    assert beside.values[20:40, 0].tolist() == [k % 2 for k in range(20)]


def test_what_is_wrong_is_named_by_its_file_and_the_row_there(folder: Path) -> None:
    path = folder / "store=b%20c" / "1.parquet"
    put(path, date=DAYS[20:], sales=[*range(4), float("inf"), *range(15)])
    problem = refused(folder).problem
    assert (problem.file, problem.row, problem.column) == (str(path), 5, "sales")


def test_files_that_contradict_each_other_are_refused_by_name_and_column(folder: Path) -> None:
    path = folder / "store=b%20c" / "1.parquet"
    put(path, date=DAYS[20:], sales=["many"] * 20)
    problem = refused(folder).problem
    assert (problem.code, problem.file, problem.column) == ("mixed_folder", str(path), "sales")
    assert "Write all files with one schema" in str(problem)


@pytest.mark.parametrize(("name", "code"), [("store=9/x.csv", "mixed_folder"), ("extra.parquet", "mixed_folder")])
def test_other_files_beside_them_are_refused(folder: Path, name: str, code: str) -> None:
    if name.endswith(".csv"):
        (folder / "store=9").mkdir()
        (folder / name).write_text("date,sales\n")
    else:
        put(folder / name, date=DAYS, sales=range(40))
    assert refused(folder).problem.code == code


def test_a_half_written_file_is_named(folder: Path) -> None:
    path = folder / "store=007" / "1.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    problem = refused(folder).problem
    assert (problem.file, problem.code) == (str(path), "bad_archive")


def test_a_folder_of_other_files_says_what_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("date,y\n")
    assert "Name a file in it" in str(refused(tmp_path).problem)


def test_a_model_is_trained_on_a_folder_and_forecasts_what_it_holds_later(
        run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fast = ("--horizon", "3", "--hidden", "4", "--set", "train.steps=0", "--set", "model.members=1")
    assert run("train", "sales", *fast).code == 0
    for store in ("007", "b%20c"):
        put(folder / f"store={store}" / "2.parquet", date=[date(2025, 2, 10)], sales=[3], promo=[0])
    ended = run("predict")
    assert ended.code == 0, ended.err
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1].startswith("007,2025-02-11,")
    assert run("predict", "--require-new").code == 7
    assert run("replay", "last").out.startswith("identical")
    ended = run("predict", "-o", "sales/predictions.csv")
    assert ended.code == 2
    assert "would be written over a file that this command reads" in ended.err
