"""Spoilt files and nonsense: never silently wrong, never a traceback. The long versions are in tests/benchmarks."""

from __future__ import annotations

import contextlib
import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.config import DataConfig
from forecast.display import safe
from forecast.errors import ForecastError
from forecast.reader import Reading, read_panel
from forecast.reading import regular
from tests.benchmarks.fuzz import SEEDS, mutated, some_options
from tests.benchmarks.pollution import Base, ours, outcome, pollutions, with_seconds
from tests.tables import DAYS, column, read


def base(*, ids: bool) -> Base:
    days = [date(2019, 3, 1) + timedelta(k) for k in range(30)]
    return Base(tuple((name, str(day), f"{k * 37 % 1000 + 0.25:.2f}") for name in (["W1", "W2"] if ids else [""])
                      for k, day in enumerate(days)), ids)


@pytest.mark.parametrize("ids", [False, True])
def test_no_pollution_is_silently_wrong_and_every_refusal_names_the_line(ids: bool, tmp_path: Path) -> None:
    table, reader = base(ids=ids), ours(tmp_path)
    results = [(kind, *outcome(with_seconds(table), spoilt, reader)[:2])
               for kind, spoilt in pollutions(table, random.Random(0))]
    assert [kind for kind, result, _ in results if result == "silent"] == []
    assert [kind for kind, _, right in results if right is False] == []
    assert sum(result in ("exact", "repaired") for _, result, _ in results) > len(results) / 3


def reading_or_line(path: Path, options: DataConfig) -> Reading | str:
    try:
        return read_panel(path, options)
    except ForecastError as error:
        return str(error)


def test_accidents_end_in_a_reading_or_in_one_short_line(tmp_path: Path) -> None:
    rng, path = random.Random(1), tmp_path / "f.csv"
    for _ in range(400):
        path.write_bytes(mutated(rng, list(SEEDS)))
        result = reading_or_line(path, some_options(rng))
        if isinstance(result, str):
            assert len(safe(result).replace(str(path), "f.csv")) <= 240
        else:
            assert int(result.panel.lengths.sum()) == result.panel.y.size


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_reading_or_a_refusal(data: bytes) -> None:
    for content in (data, b"date,value\n" + data):
        with contextlib.suppress(ForecastError):
            read(content)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8),
                min_size=1, max_size=5, unique_by=lambda t: t.strip()))
def test_any_id_reads_back_byte_for_byte(ids: list[str]) -> None:
    ids = [i for i in ids if i.strip() and not i.startswith(("'", "\ufeff"))] or ["a"]
    cells = ['"' + i.replace('"', '""') + '"' for i in ids]
    text = "id,ds,y\n" + "".join(f"{cell},{k},{k}\n" for cell in cells for k in range(3))
    assert list(read(text).panel.ids) == ids


def test_the_first_look_at_the_step_gives_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = [*DAYS[:6:2], *DAYS[6:]]
    whole = read(column(sparse))
    monkeypatch.setattr(regular, "FIRST_LOOK", 3)
    looked = read(column(sparse))
    assert looked.contract.calendar == whole.contract.calendar
    assert looked.panel.y.tolist() == whole.panel.y.tolist()


def test_what_was_given_is_left_as_it_was() -> None:
    options = DataConfig()
    contract = read(column(DAYS), fill="linear").contract
    before = contract.to_dict()
    read(column(DAYS), contract=contract)
    assert (contract.to_dict(), options) == (before, DataConfig())
