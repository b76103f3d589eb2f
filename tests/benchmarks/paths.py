"""Paths: how often totals are covered, and how good paths are, beside independent steps and one shape for all data.

    python -m tests.benchmarks.paths FOLDER             # trains at the defaults, once for each data set
    python -m tests.benchmarks.paths FOLDER --refits 8  # trains anew eight times, each time before an eighth of them
    python -m tests.benchmarks.paths FOLDER --prior     # without any training
    python -m tests.benchmarks.paths FOLDER --speed     # 10,000 series x 24 steps x 200 paths

FOLDER holds bike_hourly.csv, monthly-sunspots.csv, daily-min-temperatures.csv, m4_hourly.csv and nab_nyc_taxi.csv; the
shops come with the repository. What is learned ends before the windows that are scored. The second line of each is of
bands that learn (`predict --adapt`), had there been an issue at each cutoff."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from forecast.config import Config
from forecast.ledger.adaptation import FEWEST, MOST
from forecast.model.calibration import tracked, widened
from forecast.model.predictor import Predictor
from forecast.model.prior import shipped
from forecast.scoring.backtest import backtest
from forecast.scoring.joint import Cases, total_covered
from forecast.series.forecast import band_quantiles
from forecast.series.panel import Panel
from forecast.tasks.joint_scores import drawn_at, joint_scores
from forecast.tasks.prior import looking_back
from forecast.tasks.workspace import Workspace
from forecast.training.fit import finished, fit

SHOPS = Path(__file__).parents[2] / "data" / "shops.csv"
EVENTS = {"nab_nyc_taxi.csv": "3 in a row > 25000"}
# file: (settings, series taken, the horizon, cutoffs scored, points of each series)
DATA: dict[str, tuple[dict[str, object], int, int, int, int]] = {
    "shops.csv": ({}, 8, 14, 40, 700), "bike_hourly.csv": ({"data.target": "users"}, 1, 24, 220, 5_000),
    "monthly-sunspots.csv": ({}, 1, 12, 220, 2_820), "daily-min-temperatures.csv": ({}, 1, 14, 220, 3_650),
    "m4_hourly.csv": ({}, 30, 24, 8, 1_000), "nab_nyc_taxi.csv": ({}, 1, 48, 220, 5_000)}


def read(path: Path, settings: dict[str, object], series: int, horizon: int, points: int) -> tuple[Panel, Config]:
    """The newest points of some series, evenly chosen."""
    workspace = Workspace.at(Path(), store=None, flags={**settings, "model.horizon": horizon})
    panel = workspace.read(workspace.source(str(path)), workspace.config.data).panel.with_values()[0]
    panel = panel.take(np.unique(np.linspace(0, len(panel) - 1, min(series, len(panel))).round().astype(int)))
    return panel.recent(points), workspace.config


def cutoffs_of(panel: Panel, horizon: int, count: int) -> list[int]:
    """As many as asked for within the newer half of a usual series, the oldest first."""
    room = int(np.median(panel.lengths)) // 2 - horizon
    return sorted({int(k) for k in np.linspace(horizon, horizon + room, count)}, reverse=True)


def by_training(panel: Panel, config: Config, cutoffs: list[int]) -> Predictor:
    known = panel.drop_last(cutoffs[0])
    return finished(fit(Predictor.new(config, known), known))


def by_prior(panel: Panel, config: Config, cutoffs: list[int]) -> Predictor:
    """The prior as `predict` has it: with what it sees in past windows."""
    known = panel.drop_last(cutoffs[0])
    predictor = Predictor.of_prior(config, known, shipped())
    return looking_back(predictor, known, predictor.plan.horizon)


def learned(cases: Cases) -> Cases:
    """With the factors that `predict --adapt` would have set, each from the cutoffs before and the truth known then."""
    cutoffs, middle, values = np.unique(cases.cutoff).tolist(), cases.quantiles.index(0.5), cases.values.copy()
    horizon = cases.truth.shape[1]
    for n in range(FEWEST, len(cutoffs)):
        here, factors = cases.cutoff == cutoffs[n], np.ones(len(cases.quantiles))
        for k in range(middle):
            misses = []
            for earlier in cutoffs[max(0, n - MOST):n]:
                rows, known = cases.cutoff == earlier, min(horizon, cutoffs[n] - earlier)
                truth, bands = cases.truth[rows, :known], values[rows, :known]
                misses.append(float(((truth < bands[..., k]) | (truth > bands[..., -1 - k])).mean()))
            factors[[k, -1 - k]] = tracked(misses, 2 * cases.quantiles[k])
        values[here] = widened(values[here], factors, cases.quantiles)
    return replace(cases, values=values)


def steps_covered(cases: Cases, level: float = 80.0) -> float:
    low, high = (cases.values[:, :, cases.quantiles.index(q)] for q in band_quantiles(level))
    return float(((low <= cases.truth) & (cases.truth <= high)).mean())


def measure(folder: Path, name: str, *, prior: bool) -> None:
    settings, series, horizon, count, points = DATA[name]
    path = SHOPS if name == SHOPS.name else folder / name
    panel, config = read(path, settings, series, horizon, points)
    cutoffs = cutoffs_of(panel, horizon, count)
    predictor = (by_prior if prior else by_training)(panel, config, cutoffs)
    frame = backtest(panel, {"own": lambda known: predictor}, horizon=horizon, cutoffs=cutoffs,
                     levels=config.model.levels)
    found = joint_scores(frame, predictor, panel.drop_last(cutoffs[0]), EVENTS.get(name))
    assert found is not None
    d, energy, cases = predictor.dependence, found.energy, Cases.of(frame, config.model.levels, horizon)
    print(f"{name:<28} windows {found.windows:4}   steps covered {steps_covered(cases):.1%}   "
          f"totals {found.covered[80.0]:.1%}   "
          f"ends added up {found.ends[80.0]:.1%}   energy {energy['own']:.4g}  one shape {energy['one_rho']:.4g}  "
          f"independent {energy['independent']:.4g}   share {d.share:.2f} rho {d.rho:.2f} lasting {d.common:.2f} "
          f"between {d.between:.2f}", flush=True)
    adapted = learned(cases)
    drawn = drawn_at(adapted, d, panel.drop_last(cutoffs[0]), negative=config.model.allow_negative)
    print(f"    bands that learn   steps covered {steps_covered(adapted):.1%}   "
          f"totals {total_covered(drawn, adapted.truth, 80.0).mean():.1%}   "
          f"bands of 95 % {steps_covered(adapted, 95.0):.1%}, {steps_covered(cases, 95.0):.1%} as trained", flush=True)
    if found.event is not None:
        print(f"    {found.words()[-1]}")
        for fifth in found.event.reliability:
            print(f"    chance {fifth['chance']:.2f}   happened {fifth['happened']:.2f}   of {fifth['n']}")


def measure_refits(folder: Path, name: str, refits: int) -> None:
    """What is covered where the model is trained anew now and then, as by the lines of `forecast init`."""
    settings, series, horizon, count, points = DATA[name]
    panel, config = read(SHOPS if name == SHOPS.name else folder / name, settings, series, horizon, points)
    found: list[tuple[Cases, Predictor, Panel]] = []
    for some in np.array_split(np.array(cutoffs_of(panel, horizon, count)), refits):
        predictor = by_training(panel, config, some.tolist())
        frame = backtest(panel, {"own": lambda known, p=predictor: p}, horizon=horizon, cutoffs=some.tolist(),
                         levels=config.model.levels)
        found.append((Cases.of(frame, config.model.levels, horizon), predictor, panel.drop_last(int(some[0]))))
    parts = [cases for cases, _, _ in found]
    whole = Cases(parts[0].quantiles, *(np.concatenate([getattr(part, field) for part in parts])
                                        for field in ("values", "truth", "series", "cutoff")))
    for how, cases in (("as trained", whole), ("learned", learned(whole))):
        covered, begin = [], 0
        for part, predictor, known in found:
            mine = cases.take(np.arange(begin, begin := begin + len(part)))
            drawn = drawn_at(mine, predictor.dependence, known, negative=config.model.allow_negative)
            covered.append(total_covered(drawn, mine.truth, 80.0))
        print(f"{name:<28} {refits} trainings, {how:<10}   steps covered {steps_covered(cases):.1%}   "
              f"totals {np.concatenate(covered).mean():.1%}   bands of 95 % {steps_covered(cases, 95.0):.1%}",
              flush=True)


def speed() -> None:
    """Seconds and memory of 10,000 series x 24 steps x 200 paths, as Parquet."""
    from forecast.ledger.options import Options
    from forecast.model.plan import Plan
    from forecast.reading.contract import Contract
    from forecast.series.calendar import Calendar
    from forecast.series.forecast import Forecast, in_parts
    from forecast.tasks.joint import Answer, Asked
    from forecast.writing.layouts import Page
    from forecast.writing.places import Place

    rng, count, horizon = np.random.default_rng(0), 10_000, 24
    panel = Panel.of(list(rng.normal(100, 5, (count, 48))), Calendar.of("h"), ids=[f"s{k}" for k in range(count)])
    config = Config().override({"model.horizon": horizon}, source="here")
    predictor = Predictor.of_prior(config, panel, shipped())
    assert isinstance(predictor.plan, Plan)
    from forecast.methods.baselines import SeasonalNaive

    forecaster = SeasonalNaive(24, predictor.quantiles)
    contract = Contract(id="id", time="t", targets=("y",), layout="long", decimals=2, calendar=panel.calendar)
    page = Page(contract, config.model.levels, "prior")
    parts: list[Forecast] = list(in_parts(forecaster, panel, horizon, size=1_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for asked in (Asked(samples=200), Asked(total="all"), Asked(event="max > 120")):
        with tempfile.TemporaryDirectory() as folder:
            output, begun = Path(folder) / "out.parquet", time.perf_counter()
            answer = Answer(asked, predictor, page, Options(), panel, horizon)
            with answer.opened(Place(str(output)), None) as write:
                for part in parts:
                    write(part)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"{asked.file:<12} {time.perf_counter() - begun:.1f} s, {time.process_time():.1f} s of the processor "
                  f"so far, {(after - before) / 2**10:.0f} MiB more, {output.stat().st_size / 2**20:.0f} MiB written",
                  flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prior", action="store_true")
    parser.add_argument("--refits", type=int, default=1)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--only", nargs="*", choices=sorted(DATA))
    asked = parser.parse_args()
    if asked.speed:
        speed()
        return
    for name in asked.only or DATA:
        if asked.refits > 1:
            measure_refits(asked.folder, name, asked.refits)
            continue
        measure(asked.folder, name, prior=asked.prior)


if __name__ == "__main__":
    main()
