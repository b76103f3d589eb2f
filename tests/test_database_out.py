"""Forecasts in a table: by id, time and cutoff, all of them or none; twice is not double; no password anywhere."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import Run, run
from tests.test_database import CREATE, FAST, ROWS, server, shop, text_of_rows, url

__all__ = ["run", "shop"]
psycopg = pytest.importorskip("psycopg")
OUT = "sqlite:///out.db?table=forecasts"
READ = ("--target", "sales")


def rows_of(table: str = "forecasts") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("out.db")) as base:
        return base.execute(f"SELECT * FROM {table} ORDER BY 1, 2, cutoff").fetchall()


def rows_in_file(path: str | Path) -> list[tuple[Any, ...]]:
    with Path(path).open() as file:
        rows = list(csv.DictReader(file))
    return sorted(tuple(float(v) if k.startswith("yhat") else v for k, v in row.items()) for row in rows)


def made(statement: str) -> None:
    with closing(sqlite3.connect("out.db")) as base:
        base.executescript(statement)


# SQLite

def test_a_table_is_made_and_holds_what_a_file_does_and_twice_is_not_double(run: Run, shop: Path) -> None:
    for output in ("p.csv", OUT, OUT):
        ended = run("predict", "sales.csv", *READ, "-o", output)
        assert ended.code == 0, ended.err
    assert rows_of() == rows_in_file("p.csv")
    assert run("predict", "sales.csv", *READ, "-o", OUT, "--as-of", "2025-01-30..2025-02-01").code == 0
    assert sorted({row[7] for row in rows_of()}) == ["2025-01-30", "2025-01-31", "2025-02-01", "2025-02-09"]
    assert [row for row in rows_of() if row[7] == "2025-02-09"] == rows_in_file("p.csv")


def test_bands_that_a_later_forecast_lacks_do_not_stand_beside_it(run: Run, shop: Path) -> None:
    run("predict", "sales.csv", *READ, "-o", OUT)
    assert run("predict", "sales.csv", *READ, "-o", OUT, "--levels", "80", "--round").code == 0
    with closing(sqlite3.connect("out.db")) as base:
        assert base.execute("SELECT DISTINCT yhat_lo_95, yhat_hi_95 FROM forecasts").fetchall() == [(None, None)]


def test_the_promises_of_a_file_hold_for_a_table(run: Run, shop: Path) -> None:
    asked = ("predict", "sales.csv", *READ, "-o", OUT, "--require-new", "--status-file", "s.prom")
    ended = run("--json", *asked)
    assert ended.code == 0
    assert '"output": "sqlite:////' in ended.out
    assert 'forecast_rows{task="s",command="predict"} 28' in Path("s.prom").read_text()
    again = run(*asked)
    assert (again.code, "nothing new since" in again.err) == (7, True)
    assert run("replay", "last").out.startswith("identical")
    assert run("-q", "predict", "sales.csv", *READ, "-o", OUT).out == f"sqlite:///{Path.cwd()}/out.db?table=forecasts\n"


@pytest.mark.parametrize(("create", "code", "word"), [
    ("store text, date text, yhat real, cutoff text, PRIMARY KEY (store, date, cutoff)", "no_column", "yhat_lo_80"),
    ("store text, date text, {bands}, cutoff text, model text, source text", "no_key", "store, date, cutoff"),
    ("store text, date text, {whole}, cutoff text, model text, source text, PRIMARY KEY (store, date, cutoff)",
     "bad_column", "digits behind the point"),
    ("store integer, date text, {bands}, cutoff text, model text, source text, UNIQUE (cutoff, store, date)",
     "bad_column", "does not hold texts"),
    ("store text, date integer, {bands}, cutoff text, model text, source text, UNIQUE (cutoff, store, date)",
     "bad_column", "times of no zone")])
def test_a_table_that_cannot_take_them_is_refused_and_stays(run: Run, shop: Path, create: str, code: str, word: str
                                                            ) -> None:
    names = ("yhat", "yhat_lo_80", "yhat_hi_80", "yhat_lo_95", "yhat_hi_95")
    made(f"CREATE TABLE forecasts ({create});".format(bands=", ".join(f"{n} real" for n in names),
                                                      whole=", ".join(f"{n} integer" for n in names)))
    before = Path("out.db").read_bytes()
    ended = run("--json", "predict", "sales.csv", *READ, "-o", OUT)
    assert (ended.code, f'"code": "{code}"' in ended.err, word in ended.err) == (2, True, True), ended.err
    assert Path("out.db").read_bytes() == before


def test_a_table_of_other_types_and_more_columns_takes_them(run: Run, shop: Path) -> None:
    bands = ", ".join(f"{name} numeric" for name in ("yhat", "yhat_lo_80", "yhat_hi_80", "yhat_lo_95", "yhat_hi_95"))
    made(f"CREATE TABLE forecasts (note text DEFAULT 'new', store varchar(9), date date, {bands}, cutoff timestamp, "
         "model, source, UNIQUE (cutoff, store, date));")
    ended = run("predict", "sales.csv", *READ, "-o", OUT)
    assert ended.code == 0, ended.err
    assert rows_of()[0][:3] == ("new", "007", "2025-02-10")
    assert rows_of()[0][8] == "2025-02-09 00:00:00.000000"


def test_a_constraint_that_refuses_a_row_leaves_none(run: Run, shop: Path) -> None:
    run("predict", "sales.csv", *READ, "-o", OUT)
    made("CREATE TRIGGER stop BEFORE UPDATE ON forecasts WHEN NEW.store = 'b c' BEGIN "
         "SELECT RAISE(ABORT, 'not b c'); END; UPDATE forecasts SET model = 'before' WHERE store = '007';")
    before = rows_of()
    ended = run("predict", "sales.csv", *READ, "-o", OUT)
    assert (ended.code, "cannot write: not b c" in ended.err, rows_of() == before) == (9, True, True)


@pytest.mark.parametrize(("output", "more", "word"), [
    ("sqlite:///out.db?query=SELECT 1", (), "?table=NAME"), ("sqlite:///out.db", (), "?table=NAME"),
    (OUT, ("--layout", "long"), "cutoff"), (OUT, ("--samples", "3"), "cutoff"),
    ("sqlite:///out.db?mode=ro&table=f", (), "takes no options"), ("sqlite:///:memory:?table=f", (), "gone at once"),
    ("sqlite://?table=f", (), "names no file"), ("sqlite:///out.db?table=e&table=f", (), "is no name for a table"),
    ("sqlite:///out.db?table=e#x", (), "is no name for a table"),
    ("sqlite:///shop.db?table=sales", (), "is the table that this command reads"),
    ("postgresql://u:s3cret@h/d?table=t", (), "PGPASSWORD"), ("mysql://h/d?table=t", (), "its ending")])
def test_what_is_no_table_to_write_to_is_refused_before_any_work(run: Run, shop: Path, output: str,
                                                                 more: tuple[str, ...], word: str) -> None:
    before = shop.read_bytes()
    ended = run("predict", "sqlite:///shop.db?table=sales", *READ, "-o", output, *more)
    assert (ended.code, word in ended.err, "s3cret" in ended.out + ended.err) == (2, True, False), ended.err
    assert shop.read_bytes() == before
    assert not Path("out.db").exists()
    assert not Path(":memory:").exists()


def test_the_ledger_of_the_store_takes_no_table(run: Run, shop: Path) -> None:
    assert run("predict", "sales.csv", *READ, "-o", "p.csv").code == 0
    before = Path(".forecast/ledger.db").read_bytes()
    ended = run("predict", "sales.csv", *READ, "-o", "sqlite:///.forecast/ledger.db?table=f")
    assert (ended.code, "belongs to the store" in ended.err) == (2, True)
    assert Path(".forecast/ledger.db").read_bytes() == before


@pytest.mark.parametrize("address", ["sqlite://k.db?table=f", "postgresql://me@host:abc/shop?table=f"])
def test_an_address_with_a_slip_is_refused_with_one_that_has_none(run: Run, shop: Path, address: str) -> None:
    ended = run("predict", "sales.csv", *READ, "-o", address)
    assert ended.code == 2
    assert "is no address" in ended.err
    assert "sqlite:///shop.db?table=sales" in ended.err


def test_a_file_that_is_no_database_is_left_as_it_is(run: Run, shop: Path) -> None:
    Path("out.db").write_text("a letter, and no database at all\n" * 50)
    ended = run("predict", "sales.csv", *READ, "-o", OUT)
    assert (ended.code, "not a database" in ended.err) == (9, True)
    assert Path("out.db").read_text().startswith("a letter")


def test_what_databases_need_is_named_where_it_is_not_installed(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
                                                                ) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    ended = run("predict", "sales.csv", *READ, "-o", OUT)
    assert (ended.code, "pip install sqlalchemy" in ended.err) == (2, True)


KILLED = """
import os, signal
import pyarrow as pa
from forecast.system.addresses import address_of
from forecast.writing.database import rows_in
from forecast.reading.contract import Contract
from forecast.series.calendar import Calendar
import numpy as np
contract = Contract(id="store", time="date", targets=("y",), layout="long", decimals=0, calendar=Calendar.of("D"))
day = np.array(["2025-02-10"], "datetime64[us]")
same = {{"date": day, "yhat": [1.5], "cutoff": day, "model": ["m"], "source": ["s"]}}
with rows_in(address_of({address!r}), contract) as write:
    for k in range(300):
        write(pa.table({{"store": [str(k)], **same}}))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(address: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED.format(address=address)], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_a_writer_that_is_killed_leaves_what_stood_there(run: Run, shop: Path) -> None:
    killed(OUT)
    with closing(sqlite3.connect("out.db")) as base:
        assert base.execute("SELECT count(*) FROM sqlite_master").fetchall() == [(0,)]
    assert run("predict", "sales.csv", *READ, "-o", OUT, "--levels", "80").code == 0
    made("ALTER TABLE forecasts RENAME TO kept; CREATE TABLE forecasts (store text, date text, yhat real, cutoff text, "
         "model text, source text, PRIMARY KEY (store, date, cutoff)); INSERT INTO forecasts VALUES "
         "('1', '2025-02-10', 7, '2025-02-10', 'old', 'old')")
    killed(OUT)
    assert rows_of() == [("1", "2025-02-10", 7.0, "2025-02-10", "old", "old")]


# PostgreSQL, a server of our own

@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="forecast-pg-") as folder, server(Path(folder)) as address:
        with psycopg.connect(address, autocommit=True) as base, base.cursor() as cursor:
            cursor.execute(CREATE.format(date="date"))
            cursor.executemany("INSERT INTO sales VALUES (%s, %s, %s, %s)", ROWS)
        yield address


@pytest.fixture
def base(postgres: str) -> Iterator[Any]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS forecasts, moments")
        yield connection


def test_a_model_of_a_query_forecasts_into_a_table_what_one_of_the_file_writes(run: Run, shop: Path, base: Any,
                                                                               postgres: str) -> None:
    query, table = f"{postgres}&query=SELECT date, store, sales FROM sales ORDER BY store, date", f"{postgres}&table="
    assert run("--store", "of-table", "train", query, *READ, *FAST).code == 0
    assert run("--store", "of-file", "train", "sales.csv", *READ, *FAST).code == 0
    for _ in range(2):
        assert run("--store", "of-table", "predict", "-o", f"{table}forecasts").code == 0
    assert run("--store", "of-file", "predict", "-o", "p.csv").code == 0
    found = base.execute("SELECT store, date::text, yhat, yhat_lo_80, yhat_hi_80, yhat_lo_95, yhat_hi_95, cutoff::text "
                         "FROM forecasts ORDER BY store, date").fetchall()
    assert found == [row[:8] for row in rows_in_file("p.csv")]
    kinds = dict(base.execute("SELECT column_name, data_type FROM information_schema.columns "
                              "WHERE table_name = 'forecasts'").fetchall())
    assert [kinds[name] for name in ("store", "date", "yhat", "cutoff")] == ["text", "date", "double precision", "date"]


def test_a_writer_that_is_killed_in_its_transaction_leaves_nothing(run: Run, shop: Path, base: Any, postgres: str
                                                                   ) -> None:
    out = f"{postgres}&table=forecasts"
    assert run("predict", "sales.csv", *READ, "-o", out, "--as-of", "2025-02-01").code == 0
    before = base.execute("SELECT * FROM forecasts ORDER BY 1, 2").fetchall()
    with waiting(postgres, base, out) as process:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert base.execute("SELECT * FROM forecasts ORDER BY 1, 2").fetchall() == before
    assert run("predict", "sales.csv", *READ, "-o", out).code == 0
    assert base.execute("SELECT count(*) FROM forecasts").fetchone() == (2 * len(before),)


def test_a_connection_that_drops_in_the_middle_is_told_and_leaves_nothing(run: Run, shop: Path, base: Any, postgres: str
                                                                          ) -> None:
    out = f"{postgres}&table=forecasts"
    assert run("predict", "sales.csv", *READ, "-o", out, "--as-of", "2025-02-01").code == 0
    before = base.execute("SELECT * FROM forecasts ORDER BY 1, 2").fetchall()
    with waiting(postgres, base, out) as process:
        base.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        _, words = process.communicate(timeout=60)
    assert process.returncode == 9
    assert "cannot write: terminating connection" in words
    assert "what stood there stands" in words
    assert base.execute("SELECT * FROM forecasts ORDER BY 1, 2").fetchall() == before


class waiting:
    """The program, started on its own, held in the middle of its transaction by another one's lock."""

    def __init__(self, postgres: str, base: Any, out: str) -> None:
        self.base, self.out, self.other = base, out, psycopg.connect(postgres)

    def __enter__(self) -> subprocess.Popen[str]:
        self.other.execute("INSERT INTO forecasts (store, date, cutoff) VALUES ('b c', '2025-02-12', '2025-02-09')")
        command = [sys.executable, "-m", "forecast", "predict", "sales.csv", *READ, "-o", self.out]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(600):
            if self.base.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone():
                return self.process
            time.sleep(0.1)
        raise AssertionError("it did not come to wait")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.other.rollback()
        self.other.close()


def test_moments_have_their_zone_and_numerics_their_digits(run: Run, shop: Path, base: Any, postgres: str) -> None:
    first = datetime(2025, 3, 29, tzinfo=UTC)
    at = [first + timedelta(hours=k) for k in range(100)]
    Path("moments.csv").write_text("at,y\n" + "".join(f"{t:%Y-%m-%dT%H:%M:%SZ},{k % 24 + 0.5}\n"
                                                      for k, t in enumerate(at)))
    out = f"{postgres}&table=moments"
    assert run("predict", "moments.csv", "-o", out, "--horizon", "3").code == 0
    assert base.execute("SELECT at, cutoff FROM moments ORDER BY at").fetchall() == [
        (at[-1] + timedelta(hours=k), at[-1]) for k in (1, 2, 3)]
    base.execute("ALTER TABLE moments ALTER yhat TYPE numeric")
    assert run("predict", "moments.csv", "-o", out, "--horizon", "3").code == 0
    run("predict", "moments.csv", "-o", "p.csv", "--horizon", "3")
    assert [row[0] for row in base.execute("SELECT yhat FROM moments ORDER BY at").fetchall()] == [
        Decimal(line.split(",")[1]) for line in Path("p.csv").read_text().splitlines()[1:]]
    base.execute("ALTER TABLE moments ALTER at TYPE timestamp")
    ended = run("predict", "moments.csv", "-o", out, "--horizon", "3")
    assert (ended.code, "moments in UTC" in ended.err) == (2, True)


def scores_of(run: Run, forecast: str) -> dict[str, list[float]]:
    ended = run("evaluate", "sales.csv", *READ, "--forecast", forecast, "-o", "m.json", "--set", "train.steps=0")
    assert ended.code == 0, ended.err
    models = json.loads(Path("m.json").read_text())["models"]
    return {name: [round(scores[of], 9) for of in ("rows", "mae", "mase", "coverage_80", "wql")]
            for name, scores in models.items()}


def test_a_table_and_a_folder_are_scored_as_a_file_of_the_same_rows_is(run: Run, shop: Path, base: Any, postgres: str
                                                                       ) -> None:
    outputs = ("p.csv", OUT, f"{postgres}&table=forecasts", "out/", "p.parquet")
    for output in outputs:
        assert run("predict", "sales.csv", *READ, "-o", output, "--as-of", "2025-01-20..2025-01-25").code == 0
    first, *others = [scores_of(run, output) for output in outputs]
    assert first["forecast"][0] == 2 * 14 * 6
    assert others == [first] * 4


def test_headers_of_any_kind_are_columns(run: Run, shop: Path, base: Any, postgres: str) -> None:
    Path("odd.csv").write_text(text_of_rows().replace("store", '"a (b) %s: ""c"""', 1).replace("date", "cutoff", 1))
    base.execute('DROP SCHEMA IF EXISTS "of ours" CASCADE; CREATE SCHEMA "of ours"')
    for output in (f"{postgres}&table=of ours.out", OUT):
        ended = run("predict", "odd.csv", *READ, "--id", 'a (b) %s: "c"', "-o", output)
        assert ended.code == 0, ended.err
    assert base.execute('SELECT "a (b) %s: ""c""", cutoff, forecast_cutoff FROM "of ours".out ORDER BY 1, 2 LIMIT 1'
                        ).fetchone() == ("007", date(2025, 2, 10), date(2025, 2, 9))
    with closing(sqlite3.connect("out.db")) as other:
        assert other.execute('SELECT "a (b) %s: ""c""", cutoff, forecast_cutoff FROM forecasts LIMIT 1').fetchone() == (
            "007", "2025-02-10", "2025-02-09")


def test_no_password_reaches_what_is_kept_or_said(run: Run, shop: Path, base: Any, postgres: str,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    ended = run("--debug", "-v", "predict", "sales.csv", *READ, "-o", f"{postgres}&table=forecasts")
    assert ended.code == 0, ended.err
    failed = run("--debug", "predict", "sales.csv", *READ, "-o", "postgresql://nobody@127.0.0.1:9/x?table=t")
    assert (failed.code, "cannot write" in failed.err) == (9, True)
    kept = b"".join(path.read_bytes() for path in Path(".forecast").rglob("*") if path.is_file())
    assert "s3cret" not in ended.out + ended.err + failed.out + failed.err
    assert b"s3cret" not in kept
    assert url(shop).encode() not in kept
