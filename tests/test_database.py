"""Databases: a table or a query is read as a file of the same rows is; nothing is written there, no password kept."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from forecast.config import DataConfig
from forecast.errors import DataError, ForecastError, RequestError
from forecast.reading.reader import read_panel
from forecast.system.addresses import address_of, is_database, seen_from, shown
from tests.test_cli import Run, run

__all__ = ["run"]
sqlalchemy = pytest.importorskip("sqlalchemy")
pytest.importorskip("psycopg")
FAST = ("--horizon", "3", "--hidden", "4", "--set", "train.steps=0", "--set", "model.members=1")
ROWS = [(store, date(2025, 1, 1) + timedelta(days=k), 10 + (7 * k + j) % 9, round(1.25 + k % 3, 2))
        for j, store in enumerate(("007", "b c")) for k in range(40)]
CREATE = "CREATE TABLE sales (store text, date {date}, sales integer, price numeric(8, 2), PRIMARY KEY (store, date))"


def text_of_rows() -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("store", "date", "sales", "price"), *ROWS])
    return text.getvalue()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as base:
        base.execute(CREATE.format(date="text"))
        base.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", [(s, str(d), y, p) for s, d, y, p in ROWS])
        base.commit()
    (tmp_path / "sales.csv").write_text(text_of_rows())
    return tmp_path / "shop.db"


def url(path: Path, asked: str = "table=sales") -> str:
    return f"sqlite:////{str(path).lstrip('/')}?{asked}"


def refused(name: str, **options: Any) -> ForecastError:
    with pytest.raises((DataError, RequestError)) as caught:
        read_panel(name, DataConfig(**options))
    return caught.value


def test_a_table_reads_as_a_file_of_its_rows_does(shop: Path) -> None:
    options = DataConfig(target="sales", known=("price",))
    table, file = read_panel(url(shop), options), read_panel(shop.parent / "sales.csv", options)
    assert table.panel.fingerprint() == file.panel.fingerprint()
    assert table.panel.ids.tolist() == ["007", "b c"]
    assert table.rows == len(ROWS)


def test_a_query_is_taken_as_it_stands(shop: Path) -> None:
    query = "query=SELECT date, sales AS y FROM sales WHERE store = '007' AND price <> 'a&b' ORDER BY date;"
    reading = read_panel(url(shop, query))
    assert reading.panel.values(0).tolist() == [y for s, _, y, _ in ROWS if s == "007"]


@pytest.mark.parametrize(("asked", "code", "word"), [
    ("table=sale", "no_table", "There are sales"), ("query=SELEC 1", "bad_query", "syntax error"),
    ("query=DELETE FROM sales", "bad_query", "only reads"), ("query=DROP TABLE sales", "bad_query", "only reads"),
    ("table=", "bad_address", "?table=NAME"), ("x=1", "bad_address", "?table=NAME")])
def test_what_names_no_rows_is_refused_and_nothing_is_changed(shop: Path, asked: str, code: str, word: str) -> None:
    before = shop.read_bytes()
    error = refused(url(shop, asked))
    assert error.code == code
    assert word in str(error)
    assert shop.read_bytes() == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert refused(url(tmp_path / "none.db")).code == "no_file"
    assert not (tmp_path / "none.db").exists()


def test_cells_of_two_kinds_are_refused_by_row(shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as base:
        base.execute("UPDATE sales SET sales = 'many' WHERE store = '007' AND date = '2025-01-05'")
        base.commit()
    error = refused(url(shop), target="sales")
    assert (error.problem.row, error.problem.column, error.problem.value) == (5, "sales", "many")


@pytest.mark.parametrize("name", ["postgresql://u:s3cret@h/d?table=t", "postgresql://u@h/d?password=s3cret&table=t"])
def test_a_password_in_an_address_is_refused_and_never_shown(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        seen_from(tmp_path, name)
    assert caught.value.code == "password"
    assert "s3cret" not in f"{caught.value}{shown(name)}"
    ended = run("-C", tmp_path, "train", name, *FAST)
    assert ended.code == 2
    assert "s3cret" not in ended.out + ended.err


def test_an_address_names_a_file_from_the_folder_and_a_server_as_it_is(tmp_path: Path) -> None:
    assert seen_from(tmp_path, "sqlite:///a/b.db?table=t") == f"sqlite:///{tmp_path}/a/b.db?table=t"
    assert seen_from(tmp_path, "sqlite:////b.db?table=t") == "sqlite:////b.db?table=t"
    assert address_of("postgresql://h/d?sslmode=require&table=s.t").url == "postgresql+psycopg://h/d?sslmode=require"
    names = ("postgres://h/d", "s3://b/c", "a.csv", "sqlite:///x")
    assert [is_database(name) for name in names] == [True, False, False, True]


def test_nobody_answers(tmp_path: Path) -> None:
    error = refused("postgresql://nobody@127.0.0.1:9/x?table=t")
    assert error.code == "no_database"
    assert "PGPASSWORD" in str(error)


def served(run: Run, folder: Path, address: str) -> bytes:
    """The forecast of a model that was trained on this address, without the model's own name."""
    assert run("-C", folder, "train", address, "--target", "sales", *FAST).code == 0
    ended = run("-C", folder, "predict")
    assert ended.code == 0, ended.err
    assert run("-C", folder, "predict", "--require-new").code == 7
    assert run("-C", folder, "replay", "last").out.startswith("identical")
    lines = (folder / "predictions.csv").read_text().splitlines()
    return "\n".join(",".join(line.split(",")[:-2]) for line in lines).encode()


def test_a_model_is_trained_on_a_table_and_forecasts_what_it_holds_later(run: Run, shop: Path) -> None:
    of_table = served(run, shop.parent, "sqlite:///shop.db?table=sales")
    other = shop.parent / "other"
    other.mkdir()
    shutil.copy(shop.parent / "sales.csv", other)
    assert of_table == served(run, other, "sales.csv")
    with closing(sqlite3.connect(shop)) as base:
        base.executemany("INSERT INTO sales VALUES (?, '2025-02-10', 12, 2)", [("007",), ("b c",)])
        base.commit()
    assert run("predict", "--require-new").code == 0
    assert (shop.parent / "predictions.csv").read_text().splitlines()[1].startswith("007,2025-02-11,")


# PostgreSQL, a server of our own in a folder

@contextmanager
def server(folder: Path) -> Iterator[str]:
    """An address of a fresh server, less what is asked of it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(p).parent for p in [shutil.which("initdb")] if p]
    if not found:
        pytest.skip("PostgreSQL is not installed here")
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder, **as_user}
    binary, data = found[-1], folder / "data"
    subprocess.run([binary / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"], check=True, **quiet)
    command = [binary / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with subprocess.Popen(command, **quiet) as process:
        try:
            for _ in range(200):
                if subprocess.run([binary / "pg_isready", "-h", folder, "-q"], check=False).returncode == 0:
                    break
                process.poll()
                subprocess.run(["sleep", "0.1"], check=True)
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)              # at once, whoever is connected


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="forecast-pg-") as folder, server(Path(folder)) as address:
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(address, autocommit=True) as base, base.cursor() as cursor:
            cursor.execute(CREATE.format(date="date"))
            cursor.executemany("INSERT INTO sales VALUES (%s, %s, %s, %s)", ROWS)
            cursor.execute("CREATE TABLE moments (at timestamptz, y double precision)")
            cursor.executemany("INSERT INTO moments VALUES (%s, %s)", [
                (f"2025-03-{29 + k // 24:02d} {k % 24:02d}:00+00", k % 24 + 0.5) for k in range(60)])
        yield address


def test_postgres_gives_what_a_file_gives(run: Run, shop: Path, postgres: str) -> None:
    (shop.parent / "pg").mkdir()
    (shop.parent / "file").mkdir()
    shutil.copy(shop.parent / "sales.csv", shop.parent / "file")
    of_table = served(run, shop.parent / "pg", f"{postgres}&table=sales")
    assert of_table == served(run, shop.parent / "file", "sales.csv")


def test_postgres_keeps_zones_and_numerics_exact(postgres: str) -> None:
    reading = read_panel(f"{postgres}&table=moments")
    assert (reading.rows, str(reading.panel.calendar.times(reading.panel.start)[0])) == (
        60, "2025-03-29T00:00:00.000000")
    prices = read_panel(f"{postgres}&query=SELECT date, price FROM sales WHERE store = '007'")
    assert prices.panel.values(0).tolist() == [p for s, _, _, p in ROWS if s == "007"]


@pytest.mark.parametrize(("asked", "code"), [("query=DELETE FROM sales RETURNING *", "bad_query"),
                                             ("query=SELECT nothing FROM sales", "bad_query"), ("table=t", "no_table")])
def test_postgres_refuses_what_writes_or_is_not_there(postgres: str, asked: str, code: str) -> None:
    assert refused(f"{postgres}&{asked}").code == code
    assert read_panel(f"{postgres}&table=sales", DataConfig(target="sales")).rows == len(ROWS)
