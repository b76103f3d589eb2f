"""The files in data/: the real series is the real one, the synthetic one is what its generator writes."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_airpassengers_are_the_144_published_months() -> None:
    passengers = [int(r["Passengers"]) for r in rows("airpassengers.csv")]
    assert (len(passengers), sum(passengers), passengers[0], passengers[-1]) == (144, 40363, 112, 432)
    assert sum(month * p for month, p in enumerate(passengers, start=1)) == 3_587_478   # two swapped months would show
    assert max(passengers) == 622
    assert passengers.index(622) == 138                                 # July 1960


def test_airpassengers_run_month_by_month() -> None:
    months = [f"{1949 + k // 12}-{k % 12 + 1:02d}" for k in range(144)]
    assert [r["Month"] for r in rows("airpassengers.csv")] == months


def test_the_generator_writes_the_shops_file_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DATA / "make_shops.py", tmp_path / "again.csv"], check=True)
    assert (tmp_path / "again.csv").read_bytes() == (DATA / "shops.csv").read_bytes()


def test_shops_have_the_oddities_their_readme_promises() -> None:
    shops = rows("shops.csv")
    days = Counter(r["store"] for r in shops)
    assert days == {"007": 730, "012": 730, "101": 730, "118": 40, "204": 725, "305": 730, "311": 730, "A20": 730}
    assert all(int(r["sales"]) >= 0 for r in shops)
    assert {r["store"] for r in shops if r["sales"] == "0"} == {"101"}
    assert {r["date"] for r in shops if r["store"] == "007"} - {r["date"] for r in shops if r["store"] == "204"} == {
        "2025-02-11", "2025-08-03", "2025-08-04", "2025-08-05", "2026-03-22"}


def test_temperature_is_one_per_region_and_day() -> None:
    seen: dict[tuple[str, str], str] = {}
    for r in rows("shops.csv"):
        assert seen.setdefault((r["region"], r["date"]), r["temperature"]) == r["temperature"]
