"""compare: several cells of as many parameters, under one budget of time, with the same seeds and windows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forecast.config import SETTINGS, Config
from forecast.errors import RequestError, about
from forecast.model.member import shape_of
from forecast.model.network import Shape
from forecast.model.plan import Plan
from forecast.model.predictor import Predictor
from forecast.scoring.formulas import REFERENCE
from forecast.series.panel import Panel
from forecast.showing.ink import check_picture
from forecast.showing.tables import score_text
from forecast.store.record import DataRecord
from forecast.system.durations import seconds_of
from forecast.tasks.fitting import backtest_plan, baseline_makers, record_of, scored, tracked
from forecast.tasks.teller import SILENT, Teller, tell_reading, tell_settings
from forecast.tasks.workspace import Workspace
from forecast.text import counted, duration
from forecast.training.comparison import (
    Contender,
    Difference,
    Trial,
    differences,
    in_budget_text,
    joined,
    matched,
    ranked,
    rounds,
    share,
    verdict,
)
from forecast.training.fit import finished, fit

CELLS = SETTINGS["model.cell"].choices
LINEAR = "linear"


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises RequestError for an unknown cell, and for a budget that is no time."""

    data: str | Path
    cells: str = ",".join(CELLS)
    budget: str = "5m"                      # for everything
    seeds: int = 5                          # at most, for each cell
    output: str | None = None               # where the caller writes all of it
    plot: str | None = None                 # where the caller draws it

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in CELLS]
        if unknown or not self.names:
            raise RequestError(f"--cells: there is no cell {unknown[0]!r}" if unknown else "--cells names no cell",
                               code="bad_setting", hint=f"Known: {', '.join(CELLS)}")
        seconds_of(self.budget, "--budget")
        if self.plot is not None:
            check_picture(self.plot)
        if self.output is not None and not self.output.lower().endswith(".json"):
            raise RequestError(f"-o {self.output}: a comparison is written as .json", code="bad_ending")

    @property
    def names(self) -> list[str]:
        """The cells, each once."""
        return list(dict.fromkeys(name.strip() for name in self.cells.split(",") if name.strip()))


@dataclass(frozen=True)
class Compared:
    """The cells by their mean score, what stands beside them, and what the ranking is worth in words."""

    data: DataRecord
    plan: Plan
    settings: dict[str, Any]
    cutoffs: list[int]
    budget: float
    time_limit: float                       # of each fit
    seconds: float
    metric: str                             # mase, or mae where no series has a MASE
    has_skip: bool
    ranking: list[Contender]
    references: dict[str, dict[str, float]]
    differences: list[Difference]
    words: list[tuple[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"data": self.data.reading, "plan": asdict(self.plan), "settings": self.settings,
                "backtest_cutoffs": self.cutoffs, "budget": self.budget, "time_limit": self.time_limit,
                "seconds": round(self.seconds, 1), "metric": self.metric, "season": self.plan.season,
                "seeds": [t.seed for t in self.ranking[0].trials],
                "ranking": [_row(c, rank, self.metric) for rank, c in enumerate(self.ranking, 1)],
                "references": self.references,
                "differences": [asdict(d) | {"beyond_chance": d.is_beyond_chance} for d in self.differences],
                "words": dict(self.words)}


def compare(workspace: Workspace, request: Request, teller: Teller = SILENT, *, since: float | None = None
            ) -> Compared:
    """Fit every cell with as many seeds as the budget allows, each as large as the LSTM that train would take, and rank
    them. `since`: the monotonic time from which the budget counts, by default now. Keeps no model.

    Raises RequestError, DataError."""
    start = time.monotonic() if since is None else since
    allowed, source = seconds_of(request.budget, "--budget"), workspace.source(request.data)
    workspace.guard([None if name is None else workspace.path(name) for name in (request.output, request.plot)],
                    workspace.inputs(source))
    config = workspace.config.override({"model.cell": "lstm", "model.blend": False}, source="compare")
    workspace.check_precision(config, *request.names)
    tell_settings(teller, workspace.given)
    reading = workspace.read(source, config.data)
    tell_reading(teller, reading)
    panel, _ = reading.panel.with_values()
    with about(source):
        cutoffs, known, plan = backtest_plan(teller, config, panel)
    bench = Bench(teller, config, panel, known, plan, cutoffs)
    shapes = {name: matched(shape_of(config, plan), name) for name in request.names}
    teller.say("cells", _sizes(shapes))

    begun = time.monotonic()
    references = bench.references()
    metric = "mae" if math.isnan(references[LINEAR]["mase"]) else "mase"
    now = time.monotonic()
    limit = share(allowed, spent=now - start, fits=len(shapes), beside=now - begun)
    teller.say("budget", f"{duration(allowed)} for everything, {duration(limit)} of training at most for each fit, "
                         f"{counted(request.seeds, 'seed')} at most")
    trials: dict[str, list[Trial]] = {name: [] for name in shapes}
    for seed in rounds(range(config.train.seed, config.train.seed + request.seeds), budget=allowed, start=start):
        with teller.work({f"{name} {seed}": limit for name in shapes}):
            for name, shape in shapes.items():
                teller.begin(f"{name} {seed}")
                trials[name].append(bench.trial(shape, seed=seed, limit=limit))
        teller.say(f"seed {seed}", f"{metric.upper()}  " + "  ".join(
            f"{name} {score_text(done[-1].metrics[metric], metric)}" for name, done in trials.items())
            + f"   {duration(time.monotonic() - start)} of {duration(allowed)}")
    ranking = ranked((Contender(name, s.hidden, s.parameters, tuple(trials[name])) for name, s in shapes.items()),
                     metric)
    spent, pairs = time.monotonic() - start, differences(ranking, metric)
    count = len(ranking[0].trials)
    needed = in_budget_text(now - start + 1.1 * request.seeds * (spent - (now - start)) / count)
    words = [*_worth(ranking, pairs), *_wanting(ranking, pairs, seeds=request.seeds, needed=needed),
             *_beside(ranking, references, metric, config)]
    return Compared(record_of(reading, source, workspace), plan, workspace.given, cutoffs, allowed, limit, spent,
                    metric, config.model.skip, ranking, references, pairs, words)


@dataclass(frozen=True)
class Bench:
    """What every fit has in common: the data, the plan, the windows."""

    teller: Teller
    config: Config
    panel: Panel
    known: Panel
    plan: Plan
    cutoffs: Sequence[int]

    def references(self) -> dict[str, dict[str, float]]:
        """The scores of seasonal naive, and of the linear skip alone."""
        config = self._changed({"model.skip": True, "train.steps": 0, "train.precision": "float32"})
        predictor = finished(fit(Predictor.new(config, self.known), self.known))
        scores = self._scores(LINEAR, predictor)
        return {name: scores[name] for name in (LINEAR, REFERENCE)}

    def trial(self, shape: Shape, *, seed: int, limit: float) -> Trial:
        """Fit one cell with one seed, and score it."""
        start = time.monotonic()
        limit = min(limit, self.config.train.time_limit or limit)
        config = self._changed({"model.cell": shape.cell, "model.hidden": shape.hidden, "train.seed": seed,
                                "train.time_limit": limit})
        predictor, history = tracked(self.teller, fit(Predictor.new(config, self.known), self.known),
                                     f"{shape.cell} {seed}", closing=False)
        seconds = time.monotonic() - start
        number, best = (history[-1].number, history[-1].best_epoch) if history else (0, 0)
        return Trial(seed=seed, metrics=self._scores(shape.cell, predictor)[shape.cell], seconds=seconds,
                     epochs=number, best_epoch=best, steps=predictor.members[0].steps,
                     hurried=bool(history) and history[-1].steps < self.plan.steps)

    def _changed(self, changes: dict[str, Any]) -> Config:
        return self.config.override(changes, source="compare")

    def _scores(self, name: str, predictor: Predictor) -> dict[str, dict[str, float]]:
        """Forecaster -> metric -> value, with seasonal naive beside it."""
        levels = self.config.model.levels
        makers = {name: lambda _: predictor} | baseline_makers([REFERENCE], self.plan.season, levels)
        _, scores = scored(self.panel, makers, plan=self.plan, cutoffs=self.cutoffs, levels=levels)
        rows = scores.summary.drop(columns=["series", "rows"]).to_dict("records")
        return {str(row.pop("model")): {str(k): float(v) for k, v in row.items()} for row in rows}


def _sizes(shapes: dict[str, Shape]) -> str:
    """The units of each cell, and by how much their numbers of parameters differ."""
    counts = [shape.parameters for shape in shapes.values()]
    return "  ".join(f"{name} {shape.hidden}" for name, shape in shapes.items()) + (
        f" units: {min(counts):,} to {max(counts):,} trained parameters each")


def _worth(ranking: Sequence[Contender], pairs: Sequence[Difference]) -> list[tuple[str, str]]:
    """What the ranking is worth, and by which rule."""
    count, lines = len(ranking[0].trials), list[tuple[str, str]]()
    if len(ranking) > 1:
        lines.append(("certain", verdict(ranking, pairs)))
    if count > 1 and pairs:
        lines.append(("rule", f"95 % by Student's t, paired over {count} seeds, corrected for "
                              f"{counted(len(pairs), 'pair')}; other windows may rank otherwise"))
    return lines


def _wanting(ranking: Sequence[Contender], pairs: Sequence[Difference], *, seeds: int, needed: str
             ) -> list[tuple[str, str]]:
    """What would tell more. seeds: how many were asked for; needed: the budget that would do for them."""
    count, lines = len(ranking[0].trials), list[tuple[str, str]]()
    if count < seeds:
        lines.append(("more", f"--budget {needed} should do for {counted(seeds, 'seed')}"))
    elif len(ranking) > 1 and not any(d.is_beyond_chance for d in pairs):
        lines.append(("more", f"--seeds {max(2 * seeds, 5)} would show smaller differences"))
    if cut := [f"{c.cell} {c.hurried} of {count}" for c in ranking if c.hurried]:
        lines.append(("hurried", f"{', '.join(cut)} took fewer steps than planned, for want of time: more --budget may "
                                 "rank them otherwise"))
    return lines


def _beside(ranking: Sequence[Contender], references: dict[str, dict[str, float]], metric: str, config: Config
            ) -> list[tuple[str, str]]:
    """What the networks add to what stands beside them."""
    lines = list[tuple[str, str]]()
    if ahead := [name for name, row in references.items() if row[metric] <= ranking[0].mean(metric)]:
        lines.append(("network", "adds nothing here on average: no cell is better than "
                                 f"{joined(ahead).replace(' and ', ' or ')}"))
    if config.model.skip:
        lines.append(("next", "--set model.skip=false compares the cells without the linear skip under them"))
    return lines


def _row(c: Contender, rank: int, metric: str) -> dict[str, Any]:
    """A row of the table with all that is behind it, for JSON."""
    values = c.values(metric)
    return {"rank": rank, "cell": c.cell, "hidden": c.hidden, "parameters": c.parameters,
            "mean": c.mean(metric), "deviation": c.deviation(metric), "min": values.min(), "max": values.max(),
            "skill": c.mean("skill"), "seconds": c.seconds, "best_epoch": c.best_epoch, "steps": c.steps,
            "bettered_linear": c.learned, "hurried": c.hurried,
            "trials": [asdict(t) for t in c.trials]}
