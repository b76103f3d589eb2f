"""The ledger: what was issued is read back as it was written, once, or the damage is named."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import BusyError, DiskError, ForecastError, ModelError
from forecast.ledger import columns
from forecast.ledger import ledger as module
from forecast.ledger.issue import Draft, Issue, by_weight, issue_of
from forecast.ledger.ledger import Ledger
from forecast.ledger.options import Options
from forecast.ledger.packing import pack, unpack
from forecast.methods.baselines import SeasonalNaive
from forecast.reading.contract import Contract
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.system.datasource import DataSource
from forecast.writing.layouts import rounded
from tests.conftest import waves

CONTRACT = Contract(id="id", time="t", targets=("y",), layout="long", decimals=2, calendar=Calendar.of("step"))
LEVELS = (80.0, 95.0)


def draft(panel: Panel, tmp_path: Path, *, horizon: int = 4, blocks: int = 1, **changes: object) -> Draft:
    """A seasonal naive forecast of a panel, ready to be recorded."""
    told = {"run": "run-1", "source": DataSource(str(tmp_path / "data.csv")), "store": tmp_path, "file_sha256": "00",
            "panel": panel, "contract": CONTRACT, "issued": "2026-09-19T04:16:12Z", "version": "1.0",
            "horizon": horizon, "levels": LEVELS, "options": Options()} | changes
    made = Draft(issue_of(**told), panel)                               # type: ignore[arg-type]
    forecast = SeasonalNaive(6, made.issue.quantiles)
    for rows in np.array_split(np.arange(len(panel)), blocks):
        made.add(forecast.predict(panel.take(rows), horizon), CONTRACT.decimals)
    return made


def test_what_was_recorded_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    panel, store = waves(), Ledger(tmp_path / "ledger.db")
    kept, new = store.record(draft(panel, tmp_path, blocks=2), output=tmp_path / "p.csv", output_sha256="ab")
    assert (new, kept.series, kept.cutoff) == (True, 3, 89)
    assert store.issues() == [kept]
    assert store.verify() == 1
    blocks = list(store.blocks(kept))
    assert [list(b.ids) for b in blocks] == [["s0", "s1"], ["s2"]]
    told = SeasonalNaive(6, kept.quantiles).predict(panel, 4)
    expected = rounded(told.values.ravel(), CONTRACT.decimals).reshape(told.values.shape)
    assert np.array_equal(np.concatenate([b.values for b in blocks]), expected)
    assert np.array_equal(np.concatenate([b.ends for b in blocks]), panel.end)
    assert np.concatenate([b.sources for b in blocks]).tolist() == told.source.tolist()


@pytest.mark.parametrize("values", [[1.5, -2.25, 0.0], [1234567.0, 0.001234567, 9.876543e-9], [1e300, -1e-300, 5e-324],
                                    [2.0 ** 53, 1 / 3, -0.1], [np.nan, np.inf, 1.0]])
@pytest.mark.parametrize("together", [True, False], ids=["one series", "series each"])
def test_packing_loses_nothing(values: list[float], together: bool) -> None:
    array = np.array(values).reshape((1, 1, 3) if together else (3, 1, 1))
    horizon, quantiles = array.shape[1:]
    assert np.array_equal(unpack(*pack(array), horizon, quantiles), array, equal_nan=True)


def test_packing_loses_nothing_of_seven_digits_and_halves_their_size() -> None:
    random = np.random.default_rng(0)
    values = np.exp(random.normal(0, 8, (400, 1, 1))) * (1 + 0.1 * random.normal(size=(400, 7, 3)))
    values = rounded(values.ravel(), 0).reshape(values.shape)
    places, numbers = pack(values)
    assert np.array_equal(unpack(places, numbers, 7, 3), values)
    assert len(places) + len(numbers) < values.nbytes / 2


def test_the_same_forecast_is_recorded_once_and_another_is_not_taken_for_it(tmp_path: Path) -> None:
    panel, store = waves(), Ledger(tmp_path / "ledger.db")
    first, _ = store.record(draft(panel, tmp_path), output=tmp_path / "a.csv", output_sha256="aa")
    again, new = store.record(draft(panel, tmp_path, issued="2026-09-20T00:00:00Z"), output=tmp_path / "b.csv",
                              output_sha256="bb")
    assert not new
    assert (again.number, again.issued) == (first.number, first.issued)
    assert store.issues() == [first]
    for path, digest, untouched in (("a.csv", "aa", True), ("elsewhere.csv", "bb", True), ("b.csv", "aa", True),
                                    ("b.csv", "cc", False)):
        assert store.written(tmp_path / path, digest) == (first, untouched)
    assert store.written(tmp_path / "c.csv", "cc") is None
    others = [{"run": "run-2"}, {"horizon": 3}, {"levels": (80.0,)}, {"options": Options(layout="long")},
              {"panel": panel.drop_last(1)}, {"source": DataSource(str(tmp_path / "other.csv"))}]
    for change in others:
        assert store.record(draft(**({"panel": panel, "tmp_path": tmp_path} | change)))[1]     # type: ignore[arg-type]
    assert len({i.id for i in store.issues()}) == 1 + len(others)


def test_what_is_issued_again_after_another_answer_to_its_request_is_the_newest_again(tmp_path: Path) -> None:
    panel, store = waves(), Ledger(tmp_path / "ledger.db")
    other, _ = store.record(draft(panel.drop_last(1), tmp_path), output=tmp_path / "o.csv", output_sha256="oo")
    first, _ = store.record(draft(panel, tmp_path, blocks=2), output=tmp_path / "p.csv", output_sha256="aa")
    second, _ = store.record(draft(panel, tmp_path, run="run-2"), output=tmp_path / "p.csv", output_sha256="bb")
    values = [b.values.tolist() for b in store.blocks(first)]
    again, new = store.record(draft(panel, tmp_path, blocks=2, issued="2026-09-20T00:00:00Z", as_of="89"),
                              output=tmp_path / "p.csv", output_sha256="aa")   # the model was rolled back
    assert not new
    assert again == dataclasses.replace(first, number=4)
    assert store.issues() == [other, second, again]
    assert by_weight(store.issues())[0] == store.find("last") == again
    assert [b.values.tolist() for b in store.blocks(again)] == values
    assert [store.written(tmp_path / "p.csv", d) for d in ("aa", "bb")] == [(again, True), (second, True)]
    assert store.answers(tmp_path / "p.csv") == [again]
    assert store.verify() == 3
    assert store.record(draft(panel, tmp_path, blocks=2))[0] == again   # nothing came between


def test_a_damaged_list_of_ids_is_whole_again_when_it_is_next_written(tmp_path: Path) -> None:
    store, _ = recorded(tmp_path)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE names SET ids = x'00'")
    connection.close()
    with pytest.raises(ModelError, match="a list of ids differs"):
        store.verify()
    store.record(draft(waves().drop_last(1), tmp_path))
    assert store.verify() == 2


def test_the_fingerprint_is_that_of_what_is_known() -> None:
    panel = waves()
    assert panel.fingerprint() == waves().fingerprint()
    later = dataclasses.replace(panel, y=np.append(panel.y, 1.0))
    assert later.fingerprint() == panel.fingerprint()                     # nothing behind the slices counts
    changed = panel.y.copy()
    changed[-1] += 1e-9
    for other in (dataclasses.replace(panel, y=changed), panel.drop_last(1), panel.take([0, 2, 1]),
                  dataclasses.replace(panel, start=panel.start + 1)):
        assert other.fingerprint() != panel.fingerprint()


def test_an_issue_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    store = Ledger(tmp_path / "ledger.db")
    with pytest.raises(ModelError, match="none; forecast predict makes one"):
        store.find("last")
    first, _ = store.record(draft(waves(), tmp_path))
    second, _ = store.record(draft(waves(), tmp_path, issued="2026-09-20T04:16:12Z", run="run-2"))
    assert [store.find(name).number for name in (first.id, "20260920", "last")] == [1, 2, 2]
    assert second.id.startswith("20260920T041612Z-")
    with pytest.raises(ModelError, match="names 2 issues"):
        store.find("2026")


def test_what_was_seen_last_is_kept_and_a_day_made_up_for_does_not_change_it(tmp_path: Path) -> None:
    panel, store = waves(), Ledger(tmp_path / "ledger.db")
    now, _ = store.record(draft(panel, tmp_path))
    store.record(draft(panel.drop_last(5), tmp_path, as_of="84"))
    seen = store.last_seen(now.place, now.subject)
    assert seen is not None
    assert seen.issue == now
    assert list(seen.marks) == ["s0", "s1", "s2"]
    assert store.last_seen("elsewhere.csv", now.subject) is None


# what may stand in its place

def recorded(tmp_path: Path) -> tuple[Ledger, Issue]:
    store = Ledger(tmp_path / "ledger.db")
    return store, store.record(draft(waves(), tmp_path))[0]


FOREIGN = {"text": b"no database at all, but long enough to have a header " * 40, "zeros": bytes(4096)}


@pytest.mark.parametrize("what", [*FOREIGN, "database", "version", "table", "folder", "link"])
def test_what_is_no_ledger_is_refused_and_left_as_it_was(tmp_path: Path, what: str) -> None:
    path = tmp_path / "ledger.db"
    if what in FOREIGN:
        path.write_bytes(FOREIGN[what])
    elif what == "folder":
        path.mkdir()
    elif what == "link":
        recorded(tmp_path)
        shutil.move(path, tmp_path / "elsewhere.db")
        path.symlink_to(tmp_path / "elsewhere.db")
    else:
        if what != "database":
            recorded(tmp_path)
        connection = sqlite3.connect(path)
        connection.execute({"database": "CREATE TABLE t (x)", "version": "PRAGMA user_version = 4",
                            "table": "CREATE TRIGGER t AFTER INSERT ON issues BEGIN DELETE FROM issues; END"}[what])
        connection.commit()
        connection.close()
    before = path.read_bytes() if path.is_file() else None
    for call in (Ledger(path).issues, lambda: Ledger(path).record(draft(waves(), tmp_path))):
        with pytest.raises(ModelError) as caught:
            call()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_damage_anywhere_is_named_or_does_no_harm(tmp_path: Path) -> None:
    store, issue = recorded(tmp_path)
    expected = [b.values.tolist() for b in store.blocks(issue)]
    whole, seen = store.path.read_bytes(), 0
    for at in [at for at, byte in enumerate(whole) if byte][::31]:
        store.path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        try:
            store.verify()
            found = store.issues()
            assert [b.values.tolist() for i in found for b in store.blocks(i)] == expected, at
        except (ModelError, DiskError):
            seen += 1
    assert seen > 10
    for size in (1, 100, 512, 4096, len(whole) // 2, len(whole) - 1):
        store.path.write_bytes(whole[:size])
        with pytest.raises(ForecastError):
            store.verify()


@pytest.mark.parametrize("change", ["levels = '[80.0, 90.0]'", "horizon = 3", "cutoff = 88", "run = 'other'",
                                    "subject = ''", "options = '{}'", "key = 'ab'", "cutoff = 'x'", "levels = '{'",
                                    "issued = '2026'", "version = '2'", "as_of = '88'", "cutoff_text = ''",
                                    "series = 2", "file_sha256 = ''", "data = '-'", "number = 2", "proof = NULL"])
def test_a_row_that_was_changed_is_damage(tmp_path: Path, change: str) -> None:
    store, issue = recorded(tmp_path)
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"UPDATE issues SET {change}")
    connection.close()
    calls = (store.verify, store.issues, lambda: store.find("last"),
             lambda: store.last_seen(issue.place, issue.subject))
    for call in calls:
        with pytest.raises(ModelError, match=r"ledger.db: is damaged: .*(differs from its |is no issue|not there)"):
            call()


@pytest.mark.parametrize("change", ["outputs SET path = ''", "outputs SET sha256 = 'cd'", "outputs SET issue = 2",
                                    "outputs SET proof = NULL", "seen SET place = ''", "seen SET subject = ''",
                                    "seen SET issue = 2", "seen SET marks = x'00'"])
def test_a_changed_row_of_another_table_is_damage_and_not_overlooked(tmp_path: Path, change: str) -> None:
    store = Ledger(tmp_path / "ledger.db")
    issue, _ = store.record(draft(waves(), tmp_path), output=tmp_path / "p.csv", output_sha256="ab")
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"UPDATE {change}")
    connection.close()
    asked = {"outputs": (lambda: store.written(tmp_path / "p.csv", "ab"), lambda: store.answers(tmp_path / "p.csv")),
             "seen": (lambda: store.last_seen(issue.place, issue.subject),)}
    for call in (*asked[change.split()[0]], store.verify):
        with pytest.raises(ModelError, match="differs from its digest"):
            call()


def test_a_ledger_of_the_format_before_is_read_as_it_is_and_upgraded_by_the_next_writer(tmp_path: Path) -> None:
    store = Ledger(tmp_path / "ledger.db")
    first, _ = store.record(draft(waves().drop_last(1), tmp_path), output=tmp_path / "p.csv", output_sha256="ab")
    seen = store.last_seen(first.place, first.subject)
    with sqlite3.connect(store.path) as connection:
        for table in ("issues", "outputs", "seen"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN proof")
        connection.execute("PRAGMA user_version = 1")
        told = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    connection.close()
    assert tuple(sql for (sql,) in told) == columns.OLD_TABLES
    before = store.path.read_bytes()
    values = [b.values.tolist() for b in store.blocks(first)]
    assert (store.issues(), store.verify(), store.written(tmp_path / "p.csv", "ab")) == ([first], 1, (first, True))
    assert store.last_seen(first.place, first.subject) == seen
    assert store.path.read_bytes() == before                            # reading changes nothing
    second, new = store.record(draft(waves(), tmp_path))
    assert (new, store.issues(), store.verify()) == (True, [first, second], 2)
    assert [b.values.tolist() for b in store.blocks(first)] == values
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        connection.execute("UPDATE issues SET version = '2'")
    connection.close()
    with pytest.raises(ModelError, match="differs from its digest"):
        store.issues()


def test_an_answer_is_what_the_file_was_last_written_with_and_any_file_for_a_new_name(tmp_path: Path) -> None:
    store, panel = Ledger(tmp_path / "ledger.db"), waves()
    assert store.answers(tmp_path / "a.csv") == store.answers(None) == []
    one, two = tmp_path / "a.csv", tmp_path / "b.csv"
    first, _ = store.record(draft(panel.drop_last(2), tmp_path), output=one)
    second, _ = store.record(draft(panel.drop_last(1), tmp_path), output=one)
    third, _ = store.record(draft(panel, tmp_path), output=two)
    shown, _ = store.record(draft(panel, tmp_path, horizon=9))
    assert [store.answers(path) for path in (one, two, tmp_path / "c.csv", None)] == [
        [second], [third], [first, second, third], [first, second, third, shown]]
    store.record(draft(panel.drop_last(2), tmp_path), output=one)       # as it was before
    assert store.answers(one) == [first]


# what may leave it

def test_what_was_issued_long_ago_goes_and_what_reaches_into_the_kept_time_stays(tmp_path: Path) -> None:
    store, panel = Ledger(tmp_path / "ledger.db"), waves()
    kept = [store.record(draft(panel.drop_last(20 - k), tmp_path, issued=f"2026-01-{1 + k:02}T00:00:00Z"),
                         output=tmp_path / f"{k}.csv", output_sha256=str(k))[0] for k in range(20)]
    elsewhere = DataSource(str(tmp_path / "other.csv"))
    other, _ = store.record(draft(panel, tmp_path, source=elsewhere, issued="2025-01-01T00:00:00Z"))
    made_up, _ = store.record(draft(panel.drop_last(19), tmp_path, as_of="70", issued="2026-02-01T00:00:00Z", run="b"))
    long, _ = store.record(draft(panel.drop_last(18), tmp_path, horizon=10, issued="2026-01-03T00:00:00Z"))
    blocks = {i.number: [b.values.tolist() for b in store.blocks(i)] for i in store.issues()}
    size = store.path.stat().st_size
    assert store.prune("2026-01-11T00:00:00Z", keep=3) == (7, 16)       # a horizon of 4 before the eleventh: from 8 on
    assert store.issues() == [*kept[7:], other, made_up, long]
    assert {i.number: [b.values.tolist() for b in store.blocks(i)] for i in store.issues()} == {
        n: values for n, values in blocks.items() if n > 7}
    assert (store.verify(), store.written(tmp_path / "3.csv", "3")) == (16, None)
    assert store.written(tmp_path / "9.csv", "9") == (kept[9], True)
    seen = store.last_seen(kept[0].place, kept[0].subject)
    assert seen is not None
    assert seen.issue == long                                           # looked at last, so it stays for ever
    store.shrink()
    assert (store.verify(), store.path.stat().st_size < size) == (16, True)
    assert store.answers(tmp_path / "19.csv") == [kept[19]]
    assert store.prune("2027-01-01T00:00:00Z", keep=3) == (8, 8)        # the last three cutoffs, and what reaches there
    assert store.prune("2027-01-01T00:00:00Z", keep=3) == (0, 8)
    assert store.issues() == [*kept[14:], other, long]


def test_a_reader_needs_no_right_to_write(tmp_path: Path) -> None:
    store, issue = recorded(tmp_path)
    store.path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert store.issues() == [issue]
        assert {f.name for f in tmp_path.iterdir()} == {"ledger.db"}
    finally:
        tmp_path.chmod(0o755)


def test_an_empty_file_left_by_a_crash_becomes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    empty = Ledger(tmp_path / "ledger.db")
    assert (empty.is_empty, empty.issues(), empty.verify(), empty.last_seen("data.csv", "")) == (True, [], 0, None)
    assert (empty.issues(), empty.verify(), empty.written(tmp_path / "out.csv", ""), empty.last_seen("", "")) == (
        [], 0, None, None)
    store, issue = recorded(tmp_path)
    assert (store.issues(), store.is_empty) == ([issue], False)


def test_another_writer_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, issue = recorded(tmp_path)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with pytest.raises(BusyError, match="another process is writing"):
        store.record(draft(waves(), tmp_path, run="run-2"))
    assert store.issues() == [issue]                                    # readers go on
    other.execute("ROLLBACK")
    other.close()
    assert store.record(draft(waves(), tmp_path, run="run-2"))[1]


def test_a_folder_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="Check the folder"):
        Ledger(tmp_path / "nowhere" / "ledger.db").record(draft(waves(), tmp_path))


def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    store, issue = recorded(tmp_path)
    before = store.path.read_bytes()
    made, limits = draft(waves(12), tmp_path, run="run-2", horizon=200), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(DiskError):
            store.record(made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.issues() == [issue]
    assert store.path.read_bytes() == before


@pytest.mark.slow
def test_a_killed_writer_leaves_every_issue_it_reported_and_no_half_of_another(tmp_path: Path) -> None:
    code = ("import sys\nfrom pathlib import Path\nfrom tests.test_ledger import Ledger, draft, waves\n"
            "folder, panel = Path(sys.argv[1]), waves(12)\nfor k in range(10_000):\n"
            "    Ledger(folder / 'ledger.db').record(draft(panel, folder, run=f'run-{k}'))\n"
            "    print(k, flush=True)\n")
    random = np.random.default_rng(0)
    for trial in range(6):
        folder = tmp_path / str(trial)
        folder.mkdir()
        with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.uniform(0, 0.6))
            os.kill(writer.pid, 9)
            said = 1 + len([line for line in writer.stdout if line.endswith("\n")])
        store = Ledger(folder / "ledger.db")
        assert said <= store.verify() <= said + 1
        assert store.record(draft(waves(), folder))[1]
