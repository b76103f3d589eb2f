"""The cache: what it gives is what reading the file gives, to the bit, and nothing in it is believed over the file."""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import random
import shutil
import sys
import zoneinfo
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some

from forecast.config import DataConfig
from forecast.errors import DataError, DiskError
from forecast.reading import cache, reader
from forecast.reading.cache import KEPT, read_cached, readings
from forecast.reading.contract import Contract
from forecast.reading.reader import Reading, read_panel
from forecast.store.store import Store
from tests.tables import DAYS, changed, column, days
from tests.test_cli import AIR, SHOPS, Run, run

__all__ = ["run"]

FAST = ("--horizon", "4", "--season", "7", "--context", "21", "--hidden", "8", "--set", "train.steps=5",
        "--set", "model.blend=false")
LONG = "".join(f"{i},{d},{k + len(i)}.5\n" for i in ("b", "a ", "'=c", "ünï") for k, d in enumerate(DAYS))
WIDE = "date,left,right\n" + "".join(f"{d},{k},{'' if k in (3, 39) else -k}\n" for k, d in enumerate(DAYS))
HOURS = [f"{DAYS[0]:%Y-%m-%d} {k:02}:00" for k in range(24)] + [f"{DAYS[1]:%Y-%m-%d} {k:02}:00" for k in range(24)]
HOLES = "\n".join(line for k, line in enumerate(days().split("\n")) if k not in (7, 8, 20))


def parquet() -> bytes:
    with io.BytesIO() as stream:
        pq.write_table(pa.table({"ds": pa.array(DAYS), "y": pa.array([float(k) for k in range(len(DAYS))])}), stream)
        return stream.getvalue()


KINDS: dict[str, tuple[bytes | str, dict[str, Any]]] = {
    "air passengers": (AIR.read_bytes(), {}),
    "shops": (SHOPS.read_bytes(), {}),
    "one series": (days(), {}),
    "no header": (days().split("\n", 1)[1], {}),
    "integer steps": (column(range(5, 45)), {}),
    "months": (column([f"{2000 + k // 12}-{k % 12 + 1:02}" for k in range(40)], header="Month,n"), {}),
    "business days": (column([d for d in DAYS if d.weekday() < 5]), {}),
    "hours": (column(HOURS), {}),
    "hours of a zone": (column(HOURS), {"tz": "Europe/Berlin"}),
    "offsets": (column([f"{h}+02:00" for h in HOURS]), {}),
    "day first": (days("%d/%m/%Y"), {}),
    "decimal commas": (days(mark=";", header="date;value").replace(".5", ",5"), {}),
    "cp1252": (days(header="date,Menü").encode("cp1252"), {}),
    "utf-16": (days().encode("utf-16"), {}),
    "long": ("id,day,sales\n" + LONG, {}),
    "wide": (WIDE, {}),
    "unused columns": ("\n".join(line + ",x" for line in days().split("\n")[:-1]) + "\n", {}),
    "year, month, day": ("year,month,day,load\n" + "".join(f"{d:%Y,%m,%d},{d.day}\n" for d in DAYS), {}),
    "holes": (HOLES, {}),
    "holes, masked": (HOLES, {"fill": "mask"}),
    "holes, zeros": (HOLES, {"fill": "zero"}),
    "newest first": ("date,value\n" + "\n".join(reversed(days().strip().split("\n")[1:])) + "\n", {}),
    "duplicates": (days() + f"{DAYS[-1]},7\n", {"duplicates": "mean"}),
    "quarantine": (changed(days(), 9, lambda line: line + "oops"), {"bad_rows": "quarantine"}),
    "a series set aside": ("id,day,sales\n" + LONG + "gone,2020-01-01,?x\n", {"bad_rows": "quarantine"}),
    "missing words": (changed(days(), 9, lambda line: line.split(",")[0] + ",n/a"), {}),
    "a preamble": ("Exported by us\n\n" + days(), {}),
    "infinite and tiny": (changed(days(), 9, lambda line: line.split(",")[0] + ",1e-320"), {}),
    "not a line break at the end": (days()[:-1], {}),
    "constant": (column(DAYS, [7] * 40), {}),
    "a spike": (column(DAYS, [1e9 if k == 7 else k % 5 + 1 for k in range(40)]), {}),
    "a code told": (column(DAYS, [-9999 if k == 7 else k % 5 + 1 for k in range(40)]), {"missing": ("-9999",)}),
    "another unit": (column(DAYS, [(k % 5 + 50) * (1000 if k > 29 else 1) for k in range(40)]), {}),
    "a unit behind": (column(DAYS, [f"{k} kWh" for k in range(40)]), {}),
    "Parquet": (parquet(), {}),
    "gzip": (gzip.compress(days().encode()), {}),
}
ENDINGS = {"Parquet": ".parquet", "gzip": ".csv.gz"}


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LEAST", 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, one after the other."""
    files = []

    def counted(path: str | os.PathLike[str], options: DataConfig, contract: Contract | None) -> Reading:
        files.append(os.fspath(path))
        return read_panel(path, options, contract)

    monkeypatch.setattr(reader, "read_panel", counted)
    return files


def told(reading: Reading) -> list[object]:
    """All that is in a reading, arrays as their bytes; floats of the contract to the bit by their text."""
    panel = [(a.dtype.str, a.shape, a.tolist() if a.dtype == object else a.tobytes(), a.flags.writeable)
             if isinstance(a := getattr(reading.panel, field.name), np.ndarray) else a
             for field in dataclasses.fields(reading.panel)]
    return [panel, repr(reading.contract), *(repr(getattr(reading, field.name)) for field in dataclasses.fields(reading)
                                             if field.name not in ("panel", "contract"))]


def put(folder: Path, kind: str) -> tuple[Path, DataConfig]:
    content, options = KINDS[kind]
    path = folder / f"file{ENDINGS.get(kind, '.csv')}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path, DataConfig(**options)


def entry(store: Path) -> Path:
    return next((store / "cache").glob("*.reading"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_kept_is_what_a_fresh_reading_gives(tmp_path: Path, store: Path, parsed: list[str], kind: str) -> None:
    path, options = put(tmp_path, kind)
    fresh = read_panel(path, options)
    assert told(read_cached(path, options, store=store)) == told(fresh)
    assert told(read_cached(path, options, store=store)) == told(fresh)
    assert len(parsed) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_by_the_contract_of_the_file_comes_from_the_first(tmp_path: Path, store: Path, parsed: list[str],
                                                                    kind: str) -> None:
    path, options = put(tmp_path, kind)
    agreed = Contract.from_dict(read_cached(path, options, store=store).contract.to_dict())
    fresh = read_panel(path, options, agreed)
    assert told(read_cached(path, options, agreed, store=store)) == told(fresh)
    assert told(read_cached(path, options, agreed, store=store)) == told(fresh)
    assert len(parsed) == 1


@hypothesis_settings(max_examples=25)
@given(some.lists(some.lists(some.none() | some.floats(-1e300, 1e300, allow_nan=False), min_size=5, max_size=30),
                  min_size=1, max_size=4), some.sampled_from(["linear", "zero", "ffill", "mask"]))
def test_any_values_and_holes_come_back(tmp_path_factory: pytest.TempPathFactory, series: list[list[float | None]],
                                        fill: str) -> None:
    folder, options = tmp_path_factory.mktemp("any"), DataConfig(fill=fill)
    path = folder / "any.csv"
    rows = [f"s{s},{k},{'' if y is None else y!r}" for s, values in enumerate(series) for k, y in enumerate(values)]
    path.write_text("id,step,y\n" + "\n".join(rows) + "\n")
    try:
        fresh = read_panel(path, options)
    except DataError:
        return
    first = read_cached(path, options, store=folder)
    again = read_cached(path, options, store=folder)
    by_contract = read_cached(path, options, fresh.contract, store=folder)
    shutil.rmtree(folder / "cache")
    assert told(first) == told(again) == told(fresh)
    assert told(by_contract) == told(read_panel(path, options, fresh.contract))


def test_another_name_for_the_same_file_is_named_in_what_is_said(tmp_path: Path, store: Path, parsed: list[str],
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = put(tmp_path, "quarantine")
    read_cached(path, options, store=store)
    monkeypatch.chdir(tmp_path)
    found = read_cached("file.csv", options, store=store)
    assert len(parsed) == 1
    assert told(found) == told(read_panel("file.csv", options))
    assert [problem.file for problem in found.rejects] == ["file.csv"]


def test_a_changed_file_is_read_though_its_size_and_time_are_as_before(tmp_path: Path, store: Path) -> None:
    path, options = put(tmp_path, "one series")
    before = path.stat()
    read_cached(path, options, store=store)
    path.write_text(path.read_text().replace(",3.5", ",9.5"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = read_cached(path, options, store=store)
    assert found.panel.y[3] == 9.5
    assert told(read_cached(path, options, store=store)) == told(found) == told(read_panel(path, options))


@pytest.mark.parametrize("change", [{"fill": "zero"}, {"date_format": "%Y-%m-%d"}, {"tz": "Europe/Berlin"},
                                    {"missing": ("3.5",)}, {"spikes": "keep"}])
def test_other_settings_are_another_reading(tmp_path: Path, store: Path, parsed: list[str],
                                            change: dict[str, Any]) -> None:
    path, options = put(tmp_path, "holes")
    other = dataclasses.replace(options, **change)
    read_cached(path, options, store=store)
    assert told(read_cached(path, other, store=store)) == told(read_panel(path, other))
    assert len(parsed) == 2


@pytest.mark.parametrize(("change", "note"), [({"ids": ("b",)}, "3 series not seen in training"),
                                              ({"size": 0.01}, "times the size")])
def test_another_contract_is_another_reading(tmp_path: Path, store: Path, parsed: list[str], change: dict[str, Any],
                                             note: str) -> None:
    path, options = put(tmp_path, "long")
    other = dataclasses.replace(read_cached(path, options, store=store).contract, **change)
    for _ in range(2):
        assert note in "".join(read_cached(path, options, other, store=store).notes)
    assert len(parsed) == 2


@pytest.mark.parametrize("what", ["_program", "_rules"])
def test_another_program_or_time_zones_read_anew(tmp_path: Path, store: Path, parsed: list[str], what: str,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = put(tmp_path, "one series")
    read_cached(path, options, store=store)
    monkeypatch.setattr(cache, what, lambda *_: b"another")
    read_cached(path, options, store=store)
    read_cached(path, options, store=store)
    assert len(parsed) == 2
    assert len(readings(store)) == 1


def test_a_changed_line_anywhere_is_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reading").mkdir()
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    known = set()
    for text in ("a = 1\n", "a = 2\n"):
        (tmp_path / "reading" / "numbers.py").write_text(text)
        known.add(cache._program.__wrapped__())
    assert len(known) == 2


def test_other_rules_of_a_time_zone_are_seen_in_the_system_and_in_the_package(tmp_path: Path,
                                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tzdata" / "zoneinfo").mkdir(parents=True)
    (tmp_path / "tzdata" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tzdata", raising=False)
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    assert cache._rules(("Here",)) == b""
    (tmp_path / "tzdata" / "zoneinfo" / "Here").write_text("summer")
    assert cache._rules(("Here",)) == b"summer"
    (tmp_path / "Here").write_text("winter")
    assert cache._rules(("Here",)) == b"winter\0summer"


def test_what_depends_on_the_day_is_read_anew(tmp_path: Path, store: Path, parsed: list[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = put(tmp_path, "one series")
    for now, times in (("2020-01-15", 1), ("2020-01-15", 2), ("2021-01-15", 3), ("2021-07-15", 3), ("2022-01-15", 4),
                       ("2022-01-14", 5)):
        monkeypatch.setenv("FORECAST_NOW", now)
        assert told(read_cached(path, options, store=store)) == told(read_panel(path, options))
        assert len(parsed) == times, now
    path.write_text(days("%d/%m/%y"))
    monkeypatch.setenv("FORECAST_NOW", "2021-01-15")
    read_cached(path, options, store=store)
    read_cached(path, options, store=store)
    assert len(parsed) == 7


def test_no_damage_is_believed_and_every_one_is_mended(tmp_path: Path, store: Path, parsed: list[str]) -> None:
    path, options = put(tmp_path, "holes")
    fresh = told(read_cached(path, options, store=store))
    place = entry(store)
    whole, chance = place.read_bytes(), random.Random(0)
    flips = [chance.randrange(len(whole)) for _ in range(30)]
    damages = [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:] for at in flips]
    damages += [whole[:chance.randrange(len(whole))] for _ in range(10)]
    damages += [b"", whole + b"\0", whole[:8], bytes(len(whole)), whole[:8] + b"\xff" * 900, b"{}", os.urandom(4000)]
    for times, damage in enumerate(damages, start=2):
        place.write_bytes(damage)
        assert told(read_cached(path, options, store=store)) == fresh
        assert len(parsed) == times
        assert told(read_cached(path, options, store=store)) == fresh
        assert len(parsed) == times


def test_an_entry_of_another_file_is_not_believed(tmp_path: Path, store: Path, parsed: list[str]) -> None:
    path, options = put(tmp_path, "one series")
    other = tmp_path / "other.csv"
    other.write_text(path.read_text().replace(",3.5", ",9.5"))
    read_cached(other, options, store=store)
    foreign = entry(store)
    content = foreign.read_bytes()
    foreign.unlink()
    read_cached(path, options, store=store)
    entry(store).write_bytes(content)
    assert read_cached(path, options, store=store).panel.y[3] == 3.5
    assert len(parsed) == 3


def test_a_link_a_pipe_or_a_folder_in_the_place_of_an_entry_does_no_harm(tmp_path: Path, store: Path) -> None:
    path, options = put(tmp_path, "one series")
    fresh = told(read_cached(path, options, store=store))
    place, victim = entry(store), tmp_path / "victim"
    victim.write_text("precious")
    makers: list[Callable[[], object]] = [lambda: place.symlink_to(victim), lambda: os.mkfifo(place), place.mkdir]
    for make in makers:
        place.rmdir() if place.is_dir() else place.unlink()
        make()
        assert told(read_cached(path, options, store=store)) == fresh
    assert victim.read_text() == "precious"


def test_a_store_that_takes_nothing_changes_nothing(tmp_path: Path, store: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = put(tmp_path, "one series")
    fresh = told(read_panel(path, options))

    def full(*_: object) -> None:
        raise DiskError("cannot write: No space left on device")

    assert told(read_cached(path, options, store=tmp_path / "nowhere")) == fresh
    assert not (tmp_path / "nowhere").exists()
    (store / "cache").write_text("")                                # a file in its place
    assert told(read_cached(path, options, store=store)) == fresh
    (store / "cache").unlink()
    for name in ("replacing", "make_folders"):
        with monkeypatch.context() as patch:
            patch.setattr(cache, name, full)
            assert told(read_cached(path, options, store=store)) == fresh
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 100))    # type: ignore[attr-defined]
    assert told(read_cached(path, options, store=store)) == fresh
    assert readings(store) == []


def test_small_files_and_pipes_leave_nothing(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, options = put(tmp_path, "one series")
    monkeypatch.setattr(cache, "LEAST", path.stat().st_size + 1)
    read_cached(path, options, store=store)
    monkeypatch.setattr(cache, "LEAST", 1)
    inward, out = os.pipe()
    os.write(out, path.read_bytes())
    os.close(out)
    assert read_cached(f"/dev/fd/{inward}", options, store=store).rows == 40
    os.close(inward)
    with pytest.raises(DataError, match="no such file"):
        read_cached(tmp_path / "no.csv", options, store=store)
    assert list(store.iterdir()) == []


def test_a_file_called_dash_is_not_standard_input(tmp_path: Path, store: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text(days())
    for text in (days(), days().replace(",3.5", ",9.5")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        found = read_cached("-", DataConfig(), store=store)
    assert found.panel.y[3] == 9.5
    assert readings(store) == []


def test_the_newest_stay_and_each_file_has_one(tmp_path: Path, store: Path, parsed: list[str]) -> None:
    path, options = put(tmp_path, "one series")
    for k in range(3):
        path.write_text(days(count=20 + k))
        read_cached(path, options, store=store)
    assert len(readings(store)) == 1
    others = [tmp_path / f"{k}.csv" for k in range(KEPT)]
    for other in others:
        other.write_text(days())
        read_cached(other, options, store=store)
    assert len(readings(store)) == KEPT
    before = len(parsed)
    for other in (others[-1], others[1], path):
        read_cached(other, options, store=store)
    assert parsed[before:] == [str(path)]


def test_others_may_not_look_into_it(tmp_path: Path, store: Path) -> None:
    path, options = put(tmp_path, "one series")
    read_cached(path, options, store=store)
    assert (store / "cache").stat().st_mode & 0o777 == 0o700


def test_what_a_kill_left_goes_with_the_next_lock_and_no_more(tmp_path: Path, store: Path) -> None:
    path, options = put(tmp_path, "one series")
    read_cached(path, options, store=store)
    begun, kept = entry(store).with_name(f".{entry(store).name}.0123abcd.tmp"), entry(store)
    begun.write_bytes(b"half")
    with Store(store).lock() as removed:
        assert removed == [begun.name]
    assert (kept.exists(), begun.exists()) == (True, False)


def test_the_commands_parse_a_file_once(run: Run, tmp_path: Path, parsed: list[str]) -> None:
    steps = [DAYS[0] + timedelta(k) for k in range(120)]
    (tmp_path / "data.csv").write_text(column(steps, [10 + k % 7 + 0.1 * (k % 3) for k in range(120)]))
    assert run("train", "data.csv", *FAST, "-q").code == 0
    assert run("predict", "-q", "-o", "first.csv").code == 0
    assert run("predict", "data.csv", "-q", "--shard", "1/1", "-o", "again.csv").code == 0
    assert run("evaluate", "-q", "--windows", "1").code == 0
    assert run("replay", "first.csv", "-q").code == 0
    assert len(parsed) == 1
    found = run("doctor")
    assert found.code == 0
    assert "1 reading of large files" in found.out
    assert "leftovers  none" in found.out
    assert run("models", "prune", "--keep", "1").code == 0
    shutil.rmtree(tmp_path / ".forecast" / "cache")
    (tmp_path / ".forecast" / "cache").write_text("")
    assert run("predict", "-q", "-o", "parsed.csv").code == 0
    assert len(parsed) == 2
    assert (tmp_path / "parsed.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
