"""A year of daily forecasts in the ledger, beside the same numbers as raw float64 files.

    python -m tests.benchmarks.ledger [SERIES] [DAYS]

Written and read in one run, on one disk: size, time to keep a day, time of what `evaluate --issued` joins, scores."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from forecast.ledger.issue import Draft, issue_of
from forecast.ledger.issued import beside_naive, came_true, known_before
from forecast.ledger.ledger import Ledger
from forecast.ledger.options import Options
from forecast.reading.contract import Contract
from forecast.scoring.backtest import evaluate
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.system.datasource import DataSource
from forecast.writing.layouts import rounded

HORIZON, LEVELS, HISTORY = 14, (80.0, 95.0), 400
GRID = quantile_grid(LEVELS)


def panel_of(series: int, days: int) -> Panel:
    """Positive daily series of a week's season, whose levels differ widely."""
    random, t = np.random.default_rng(0), np.arange(HISTORY + days)
    level = np.exp(random.normal(4, 2, (series, 1)))
    y = level * (1 + 0.3 * np.sin(2 * np.pi * t / 7) + 0.1 * random.normal(size=(series, len(t))))
    return Panel.of(list(y), Calendar.of("D"), ids=[f"store-{s:05}" for s in range(series)])


def forecast_of(known: Panel, day: int) -> Forecast:
    """Last week, and noise in every number, so that all seven digits are to be kept."""
    random = np.random.default_rng(day)
    last = np.stack([known.values(s)[-7:] for s in range(len(known))])
    point = last[:, np.arange(HORIZON) % 7, None]
    spread = np.array([-1.96, -1.28, 0.0, 1.28, 1.96]) * (1 + 0.05 * random.normal(size=(*point.shape[:2], 5)))
    return Forecast(known, GRID, point + 0.1 * np.abs(point) * np.sort(spread, axis=2),
                    np.full(len(known), "lstm+theta", dtype=object))


def main(series: int, days: int) -> None:
    panel = panel_of(series, days)
    contract = Contract(id="store", time="date", targets=("sales",), layout="long", decimals=2, calendar=panel.calendar)
    with tempfile.TemporaryDirectory() as name:
        folder, keeping, raw = Path(name), [], []
        ledger = Ledger(folder / "ledger.db")
        for day in range(days):
            known = panel.drop_last(days - day)
            forecast = forecast_of(known, day)
            start = time.perf_counter()
            draft = Draft(issue_of(run="run", source=DataSource(str(folder / "data.csv")), store=folder,
                                   file_sha256="", panel=known, contract=contract,
                                   issued=f"2026-01-01T00:00:{day:02}Z", version="0",
                                   horizon=HORIZON, levels=LEVELS, options=Options()), known)
            draft.add(forecast, contract.decimals)
            ledger.record(draft)
            keeping.append(time.perf_counter() - start)
            values = rounded(forecast.values.ravel(), contract.decimals)
            start = time.perf_counter()
            with (folder / f"{day}.npy").open("wb") as file:
                np.save(file, values)
                file.flush()
                os.fsync(file.fileno())
            raw.append(time.perf_counter() - start)
        size, floor = ledger.path.stat().st_size, sum(f.stat().st_size for f in folder.glob("*.npy"))
        count = series * HORIZON * days
        print(f"{series:,} series x {HORIZON} steps x {days} days = {count:,} forecasts of {len(GRID)} numbers")
        print(f"size     ledger {size / 1e6:7.1f} MB   raw float64 {floor / 1e6:7.1f} MB   ratio {size / floor:.2f}   "
              f"{size / count / len(GRID):.2f} bytes a number")
        print(f"a day    ledger {1e3 * np.median(keeping):7.1f} ms   raw float64 {1e3 * np.median(raw):7.1f} ms   "
              f"ratio {np.median(keeping) / np.median(raw):.1f}   (median; the last ten days "
              f"{1e3 * np.median(keeping[-10:]):.1f} ms)")
        start = time.perf_counter()
        for day in range(days):
            np.load(folder / f"{day}.npy")
        read_raw = time.perf_counter() - start
        start = time.perf_counter()
        issues = ledger.issues()
        for issue in issues:
            for _ in ledger.blocks(issue):
                pass
        read = time.perf_counter() - start
        start = time.perf_counter()
        told = came_true((b for i in reversed(issues) for b in ledger.blocks(i)), panel, levels=LEVELS)
        join = time.perf_counter() - start
        start = time.perf_counter()
        naive, known = beside_naive(told, panel, 7), known_before(told, panel)
        beside = time.perf_counter() - start
        start = time.perf_counter()
        evaluate(told.frame, known, season=7, levels=LEVELS)
        scored = time.perf_counter() - start
        print(f"read     ledger {read:7.2f} s    raw float64 {read_raw:7.2f} s    ratio {read / read_raw:.1f}")
        print(f"query    read and join {join:.2f} s ({told.matched:,} rows have come true)   seasonal naive beside it "
              f"{beside:.2f} s ({len(naive):,} rows)   scores {scored:.2f} s")
        print(f"memory   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB at most")


if __name__ == "__main__":
    asked = [int(a) for a in sys.argv[1:3]]
    main(*(asked + [1_000, 365][len(asked):]))
