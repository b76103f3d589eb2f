"""A large folder is read some series at a time, and reads as it does at once."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.config import DataConfig
from forecast.errors import DataError
from forecast.reading import portions
from forecast.reading.reader import Reading, read_panel
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, in_parts
from forecast.series.panel import Panel
from tests.test_cli import Run, run
from tests.test_folders import put

__all__ = ["run"]
DAYS = [date(2025, 1, 1) + timedelta(days=k) for k in range(40)]
STORES = ["007", "b c", "'=x", "9", "'9"]


def values(s: int) -> list[float]:
    return (np.arange(40) * (s + 1) % 11 + 0.5 * s).tolist()


def by_store(place: Path) -> None:
    for s, store in enumerate(STORES):
        put(place / f"store={store.replace(' ', '%20')}" / "0.parquet", date=DAYS, sales=values(s))


def by_day(place: Path) -> None:
    for k, day in enumerate(DAYS):
        order = STORES[::-1] if k % 2 else STORES
        put(place / f"{k:02}.parquet", date=[day] * 5, store=order, sales=[values(STORES.index(i))[k] for i in order])


def by_rows(place: Path) -> None:
    rows = [(store, day, value) for s, store in enumerate(STORES) for day, value in zip(DAYS, values(s), strict=True)]
    for k in range(0, len(rows), 30):
        ids, days, sales = zip(*rows[k:k + 30], strict=True)
        put(place / f"{k:04}.parquet", store=ids, date=days, sales=sales)


def with_faults(place: Path) -> None:
    """Days that lack, values that lack, an id that ends early."""
    by_store(place)
    keep = [k for k in range(40) if k not in (5, 6)]
    put(place / "store=007" / "0.parquet", date=[DAYS[k] for k in keep], sales=[values(0)[k] for k in keep])
    put(place / "store=b%20c" / "0.parquet", date=DAYS[:30], sales=[None, *values(1)[1:9], None, *values(1)[10:30]])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Portions of two series; how many there were."""
    seen: list[int] = []
    read = portions.read_source

    def counted(*given: Any) -> Reading:
        reading = read(*given)
        seen.append(len(reading.panel))
        return reading

    monkeypatch.setattr(portions, "ROWS", 80)
    monkeypatch.setattr(portions, "LEAST", 80)
    monkeypatch.setattr(portions, "read_source", counted)
    return seen


@pytest.mark.parametrize("write", [by_store, by_day, by_rows, with_faults])
def test_portions_are_the_reading_of_the_whole(tmp_path: Path, small: list[int], write: Any) -> None:
    write(tmp_path / "f")
    contract = replace(read_panel(tmp_path / "f").contract, ids=("007",), marks=())
    whole = read_panel(tmp_path / "f", contract=contract)
    parted = portions.read_whole(tmp_path / "f", DataConfig(), contract)
    assert len(small) == 3
    assert parted.panel.fingerprint() == whole.panel.fingerprint()
    assert parted.panel.truth.tobytes() == whole.panel.truth.tobytes()
    assert (parted.contract, parted.sha256, parted.rows) == (whole.contract, whole.sha256, whole.rows)
    assert sorted(parted.notes) == sorted(whole.notes)
    assert {r.kind: r.count for r in parted.repairs} == {r.kind: r.count for r in whole.repairs}


def test_a_portion_that_is_refused_is_refused_as_the_whole_is(tmp_path: Path, small: list[int]) -> None:
    by_store(tmp_path / "f")
    contract = read_panel(tmp_path / "f").contract
    path = tmp_path / "f" / "store='9" / "0.parquet"
    put(path, date=DAYS, sales=[*values(4)[:7], float("inf"), *values(4)[8:]])
    with pytest.raises(DataError) as of_whole:
        read_panel(tmp_path / "f", contract=contract)
    with pytest.raises(DataError) as of_portions:
        portions.read_whole(tmp_path / "f", DataConfig(), contract)
    assert of_portions.value.problems == of_whole.value.problems
    assert (of_portions.value.file, of_portions.value.row) == (str(path), 8)


def test_a_portion_does_not_say_of_all_rows_what_is_true_of_its_own(tmp_path: Path, small: list[int]) -> None:
    by_store(tmp_path / "f")
    open_days = [k for k, day in enumerate(DAYS) if day.weekday() != 6]
    for store in ("007", "b%20c", "'=x", "'9"):                         # closed on Sundays, as store 9 is not
        put(tmp_path / "f" / f"store={store}" / "0.parquet", date=[DAYS[k] for k in open_days],
            sales=[values(0)[k] for k in open_days])
    contract = read_panel(tmp_path / "f").contract
    (whole,), (parted,) = (reading.repairs for reading in (
        read_panel(tmp_path / "f", contract=contract), portions.read_whole(tmp_path / "f", DataConfig(), contract)))
    assert "Sunday" not in whole.message + parted.message
    assert len(small) == 3


def test_a_repair_in_a_portion_names_its_file_and_row(tmp_path: Path, small: list[int]) -> None:
    with_faults(tmp_path / "f")
    contract = read_panel(tmp_path / "f").contract
    whole = read_panel(tmp_path / "f", contract=contract)
    parted = portions.read_whole(tmp_path / "f", DataConfig(), contract)
    places = [{r.kind: {(p.file, p.row, p.column) for p in r.examples} for r in reading.repairs}
              for reading in (parted, whole)]
    assert places[0] == places[1]
    assert places[0]["missing"] == {(str(tmp_path / "f" / "store=b%20c" / "0.parquet"), 10, "sales")}


@pytest.mark.parametrize(("options", "wide"), [({"bad_rows": "quarantine"}, False), ({"holidays": "DE"}, False),
                                               ({}, True)])
def test_what_is_not_of_one_series_alone_is_read_at_once(tmp_path: Path, small: list[int], options: Any, wide: bool
                                                         ) -> None:
    by_store(tmp_path / "f")
    if wide:
        put(tmp_path / "w" / "0.parquet", date=DAYS, a=values(1), b=values(2))
    place = tmp_path / ("w" if wide else "f")
    contract = read_panel(place).contract
    assert portions.read_whole(place, DataConfig(**options), contract).rows == (40 if wide else 200)
    assert small == []


def test_a_pipe_is_read_once_by_a_contract(tmp_path: Path) -> None:
    """What is written into it is there for one reader, once."""
    text = "store,date,sales\n" + "".join(f"007,{day},{value}\n" for day, value in zip(DAYS, values(0), strict=True))
    (tmp_path / "f.csv").write_text(text)
    contract = read_panel(tmp_path / "f.csv").contract
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,))
    writer.start()
    reading = portions.read_whole(tmp_path / "pipe", DataConfig(), contract)
    writer.join()
    assert reading.panel.values(0).tolist() == values(0)


class Counting:
    """A forecaster that says how many series it was given."""

    name = "counting"

    def __init__(self) -> None:
        self.given: list[int] = []

    def predict(self, panel: Panel, horizon: int) -> Forecast:
        self.given.append(len(panel))
        return Forecast(panel, (0.5,), np.zeros((len(panel), horizon, 1)), np.full(len(panel), "none", dtype=object))


@pytest.mark.parametrize(("points", "expected"), [(2, [1000]), (5_000, [999, 1]), (1_000_000, [64] * 15 + [40])])
def test_fewer_long_series_are_forecast_at_a_time(points: int, expected: list[int]) -> None:
    edges = np.full(1000, points)
    panel = Panel(np.zeros(points), np.zeros(1000, dtype=np.int64), edges, np.zeros(1000, dtype=np.int64),
                  np.arange(1000).astype(str).astype(object), Calendar.steps())
    counting = Counting()
    assert sum(len(part.panel) for part in in_parts(counting, panel, 24)) == 1000
    assert counting.given == expected


def test_predict_says_the_same_of_portions(run: Run, tmp_path: Path, small: list[int]) -> None:
    by_day(tmp_path / "f")
    fast = ("--horizon", "3", "--hidden", "4", "--set", "train.steps=0", "--set", "model.members=1")
    assert run("train", "f", *fast).code == 0
    assert run("predict", "-o", "parted.csv").code == 0
    assert len(small) == 3
    portions.LEAST = 1 << 40
    assert run("predict", "-o", "whole.csv").code == 0
    assert Path("parted.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert run("replay", "parted.csv").out.startswith("identical")
