"""forecast check: grouped for people, complete for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from forecast.cli import main
from forecast.reading.reader import read_panel
from tests.tables import DAYS, column, days, read


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["check", *map(str, arguments)])
    return int(end.value.code or 0)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    texts = {"exact": days(),
             "repaired": "".join(line for line in days().splitlines(keepends=True) if "2020-01-08" not in line),
             "refused": column(DAYS, ["abc" if k > 34 else k for k in range(40)])}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return {name: tmp_path / f"{name}.csv" for name in texts}


def test_each_outcome_is_said_with_lines_and_flags(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*files.values()) == 3
    out = capsys.readouterr().out
    assert "exact.csv   exact, 40 rows, 1 series, daily (D), 2020-01-01 .. 2020-02-09" in out
    assert "1 missing day -> linear   (--fill)" in out
    assert "line 9" in out
    assert "refused, 5 problems" in out
    assert "not a number, 5 times   Leave the cell empty" in out
    assert "line 37       column 'value': \"abc\" is not a number" in out
    assert "and 2 more" in out


def test_a_gap_that_would_be_filled_is_no_reason_to_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = days().splitlines(keepends=True)
    (tmp_path / "d.csv").write_text("".join([*lines[:10], *lines[15:30], lines[29], *lines[30:]]))
    assert run(tmp_path / "d.csv") == 3
    out = capsys.readouterr().out
    assert "refused, 1 problem\n" in out
    assert "--fill" not in out
    assert run(tmp_path / "d.csv", "--duplicates", "last") == 0
    assert "5 missing days -> linear   (--fill)" in capsys.readouterr().out


def test_a_flag_that_takes_several_may_be_repeated_and_none_of_them_is_lost(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{day},{k},{k % 5},{k % 2}" for k, day in enumerate(DAYS)]
    (tmp_path / "d.csv").write_text("\n".join(["day,sales,price,promo", *rows]))
    assert run(tmp_path / "d.csv", "--target", "sales", "--known", "price", "--known", "promo") == 0
    repeated = capsys.readouterr().out
    assert run(tmp_path / "d.csv", "--target", "sales", "--known", "price,promo") == 0
    assert repeated == capsys.readouterr().out


def test_json_is_a_list_with_every_problem(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*files.values(), "--json") == 3
    entries = json.loads(capsys.readouterr().out)
    assert [e["outcome"] for e in entries] == ["exact", "repaired", "refused"]
    assert [p["row"] for p in entries[2]["problems"]] == [37, 38, 39, 40, 41]
    assert (entries[1]["repairs"][0]["count"], entries[1]["frequency"], entries[1]["rows"]) == (1, "D", 39)
    assert entries[0]["columns"] == {"id": None, "time": "date", "target": ["value"]}


def test_the_series_as_read_are_written_and_read_back(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    assert run(files["repaired"], "-o", target, "-q") == 0
    assert read(target.read_bytes()).panel.y.tolist() == [k + 0.5 for k in range(40)]
    folder = tmp_path / "out"
    assert run(files["exact"], files["repaired"], "-o", folder, "-q") == 0
    assert sorted(p.name for p in folder.iterdir()) == ["exact.csv", "repaired.csv"]


def test_parquet_holds_time_stamps_and_reads_back_the_same(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    assert run(files["repaired"], "-o", target, "-q") == 0
    time, value = pyarrow.parquet.read_table(target).columns
    assert pyarrow.types.is_timestamp(time.type)
    assert [str(t)[:10] for t in time.to_pylist()] == [str(day) for day in DAYS]
    assert read(target.read_bytes(), ending=".parquet").panel.y.tolist() == value.to_pylist()
    (tmp_path / "s.csv").write_text("ds,y\n" + "".join(f"{k},{k}.5\n" for k in range(1, 30)))
    assert run(tmp_path / "s.csv", "-o", target, "-q") == 0             # plain steps stay numbers
    assert read_panel(target).panel.times(0).tolist() == list(range(1, 30))


def test_ids_are_written_as_no_formula(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,ds,y\n" + "".join(f'"{i}",{k},1\n' for i in ("=1+1", "a,b") for k in range(3)))
    assert run(source, "-o", target, "-q") == 0
    assert "'=1+1" in target.read_text()
    assert list(read(target.read_bytes()).panel.ids) == ["=1+1", "a,b"]


def test_rejects_are_every_bad_row(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "rejects.csv"
    assert run(files["refused"], "--rejects", target, "-q") == 3
    with target.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["line"] for row in rows] == ["37", "38", "39", "40", "41"]
    assert run(files["refused"], "--rejects", target, "--bad-rows", "quarantine", "-q") == 0


def test_quiet_is_silent(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files["exact"], "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_reading_flags_mend(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(days("%d/%m/%Y", count=12))
    assert run(source) == 3
    assert run(source, "--dayfirst") == 0
