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
from forecast.errors import DataError, ForecastError
from forecast.reading import regular
from forecast.reading.parsing.dialect import Dialect
from forecast.reading.parsing.records import find_records
from forecast.reading.parsing.table import Lines
from forecast.reading.reader import Reading, read_panel
from forecast.reading.sources.files import Text, open_source
from forecast.text import safe
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


def told(result: Reading | str) -> object:
    """Everything a reading says and holds."""
    if isinstance(result, str):
        return result
    panel = result.panel
    values = [panel.y.tobytes(), panel.first.tolist(), panel.stop.tolist(), panel.start.tolist(), list(panel.ids)]
    return (*values, None if panel.filled is None else panel.filled.tolist(), result.contract, result.rows,
            result.sha256, result.notes, result.repairs, result.rejects)


@pytest.mark.parametrize("contract", [False, True])
def test_a_large_file_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contract: bool) -> None:
    """Parsed in many pieces, hashed beside that, let go of and read again for a line: nothing said or held differs."""
    table, path, agreed = base(ids=True), tmp_path / "f.csv", None
    options = DataConfig(bad_rows="quarantine" if contract else "refuse")
    if contract:
        path.write_bytes(next(s.data for _, s in pollutions(table, random.Random(0))))
        agreed = read_panel(path).contract
    files = [spoilt.data for _, spoilt in pollutions(table, random.Random(0))][2 * contract::4]

    def results() -> list[object]:
        found = []
        for data in files:
            path.write_bytes(data)
            try:
                found.append(told(read_panel(path, options, agreed)))
            except ForecastError as error:
                found.append([str(problem) for problem in error.problems])
        return found

    small = results()
    monkeypatch.setattr("forecast.reading.parsing.table.BLOCK", 300)
    monkeypatch.setattr("forecast.reading.sources.files.LARGE", 0)
    monkeypatch.setattr("forecast.reading.sources.files.CHUNK", 256)
    monkeypatch.setattr("forecast.series.calendar.PIECE", 7)
    assert results() == small
    assert len(small) > 40


def test_a_file_that_changes_between_two_looks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.reading.sources.files.LARGE", 0)
    path = tmp_path / "f.csv"
    path.write_bytes(b"ds,y\n1,2\n2,3\n")
    source = open_source(path)
    source.text.let_go()
    assert source.data == b"ds,y\n1,2\n2,3\n"
    source.text.let_go()
    path.write_bytes(b"ds,y\n1,2\n2,4\n")
    with pytest.raises(DataError, match="changed while it was read"):
        source.text.data  # noqa: B018


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["1,2", '1,"2"', "", "1,2\r", '"a\nb",2', "  ,"]), min_size=1, max_size=6),
       st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_the_line_of_a_row_is_that_of_its_record(rows: list[str], end: str, last: bool) -> None:
    data = (f"ds,y{end}" + end.join(rows) + (end if last else "")).encode()
    records = find_records(data, ",")
    dialect = Dialect(",", '"', ("ds", "y"), 1, int(records.start[1]) if len(records) > 1 else len(data))
    lines = Lines(Text(data), dialect, len(records) - 1)
    assert [lines.of(k) for k in range(len(records) - 1)] == records.line[1:].tolist()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_reading_or_a_refusal(data: bytes) -> None:
    for content in (data, b"date,value\n" + data):
        with contextlib.suppress(ForecastError):
            read(content)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, -1.0, 5.5, 1e300, -1e300, 1e-320, -9999.0, 1e20]), min_size=2, max_size=8),
       st.lists(st.sampled_from([3, 9, 30]), min_size=8, max_size=8), st.sampled_from(["linear", "zero", "mask"]))
def test_values_of_any_size_end_in_a_reading_or_a_refusal(values: list[float], times: list[int], fill: str) -> None:
    cells = [v for v, count in zip(values, times, strict=False) for v in [v] * (count - 1) + [v * 0.5]]
    text = column(range(len(cells)), cells)
    with contextlib.suppress(ForecastError):
        half = read(column(range(len(cells) // 2 + 1), cells[:len(cells) // 2 + 1]), fill=fill, missing=("none",))
        reading = read(text, fill=fill, missing=("none",), contract=half.contract)
        assert all(len(str(problem)) < 400 for problem in reading.rescaled)
    with contextlib.suppress(ForecastError):
        read(text, fill=fill)


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
