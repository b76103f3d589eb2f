"""forecast compare: several cells of as many parameters, under one budget of time, with the same seeds and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import MODEL, READING, Session, check_precision, command, guard
from forecast.config import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from forecast.cli.console import Console
    from forecast.comparison import Contender, Difference, Trial
    from forecast.config import Config
    from forecast.network import Shape
    from forecast.plan import Plan
    from forecast.predictor import Predictor
    from forecast.series import Panel

CELLS = SETTINGS["model.cell"].choices
WINDOWS = ("backtest.windows", "backtest.step", "backtest.test_size")
LINEAR = "linear"
COLUMNS = """\b
units          those that bring the trained parameters nearest to the LSTM's
MASE ± sd      mean and standard deviation over the seeds (MAE where no series has a MASE)
min .. max     the best and the worst seed
skill          1 - MASE / that of seasonal naive, mean over the seeds
s/fit          seconds of a fit, mean
best epoch     of the weights kept, median
bettered skip  seeds whose network was better than its linear skip on the validation windows
linear         the linear skip alone, without a network"""


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    sizes = tuple(key for key in MODEL if key != "model.cell")
    command(app, "compare", settings=(*WINDOWS, *READING, *sizes), after=COLUMNS)(compare)


def compare(
    session: Session,
    data: Annotated[str, typer.Argument(metavar="DATA", help="CSV file of one or many series", show_default=False)],
    cells: Annotated[str, typer.Option(metavar="NAME[,NAME]", help="cells to compare")] = ",".join(CELLS),
    budget: Annotated[str, typer.Option(metavar="TIME", help="time for everything: 90s, 5m, 1h30m")] = "5m",
    seeds: Annotated[int, typer.Option(metavar="N", min=1,
                                       help="seeds at most for each cell: --seed, and the next ones")] = 5,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="PATH.json", show_default=False,
                                               help="write everything here, each seed's scores too")] = None,
) -> int:
    """Train several cells under one budget of time, and rank them beside seasonal naive.

    Every cell has as many trained parameters as the LSTM that train would take, the same seeds, the same time for a fit
    at most, and the backtest of train. Below the table stands which cells can be told apart. No model is kept.
    """
    import time

    from forecast import hardware

    start = time.monotonic()
    hardware.prepare(threads=1)
    from forecast.cache import read_cached
    from forecast.cli.console import Console
    from forecast.cli.fitting import backtest_plan, reading_record, say_settings
    from forecast.comparison import Contender, differences, matched, ranked, rounds, share
    from forecast.display import counted, duration
    from forecast.durations import seconds_of
    from forecast.predictor import shape_of
    from forecast.storage import to_json, write_text

    names, allowed = _cells(cells), seconds_of(budget, "--budget")
    target = _target(session, output, data)
    alone = {"model.cell": "lstm", "model.blend": False}
    console, config = Console(session), session.config().override(alone, source="compare")
    check_precision(config, *names)
    say_settings(console, session)
    reading = read_cached(session.data(data), config.data, store=session.store_folder)
    console.reading(reading)
    panel, _ = reading.panel.with_values()
    cutoffs, known, plan = backtest_plan(console, config, panel)
    bench = _Bench(console, config, panel, known, plan, cutoffs)
    shapes = {name: matched(shape_of(config, plan), name) for name in names}
    console.say("cells", _sizes(shapes))

    begun = time.monotonic()
    references = bench.references()
    metric = "mae" if math.isnan(references[LINEAR]["mase"]) else "mase"
    now = time.monotonic()
    limit = share(allowed, spent=now - start, fits=len(names), beside=now - begun)
    console.say("budget", f"{duration(allowed)} for everything, {duration(limit)} of training at most for each fit, "
                          f"{counted(seeds, 'seed')} at most")
    trials: dict[str, list[Trial]] = {name: [] for name in names}
    for seed in rounds(range(config.train.seed, config.train.seed + seeds), budget=allowed, start=start):
        for name, shape in shapes.items():
            trials[name].append(bench.trial(shape, seed=seed, limit=limit))
        console.say(f"seed {seed}", f"{metric.upper()}  " + "  ".join(
            f"{name} {_score(done[-1].metrics[metric], metric)}" for name, done in trials.items())
            + f"   {duration(time.monotonic() - start)} of {duration(allowed)}")
    ranking = ranked((Contender(name, s.hidden, s.parameters, tuple(trials[name])) for name, s in shapes.items()),
                     metric)
    spent = time.monotonic() - start
    console.table(_table(ranking, references, metric=metric, season=plan.season, skip=config.model.skip))
    found = differences(ranking, metric)
    said = _words(ranking, found, references, metric=metric, config=config, seeds=seeds, before=now - start,
                  spent=spent)
    for label, text in said:
        console.result(f"{label:<12}{text}")
    record = {"data": reading_record(reading), "plan": asdict(plan), "settings": session.given(),
              "backtest_cutoffs": cutoffs, "budget": allowed, "time_limit": limit, "seconds": round(spent, 1),
              "metric": metric, "season": plan.season, "seeds": [t.seed for t in trials[names[0]]],
              "ranking": [_record(c, rank, metric) for rank, c in enumerate(ranking, 1)], "references": references,
              "differences": [asdict(d) | {"beyond_chance": d.is_beyond_chance} for d in found], "words": dict(said)}
    if target:
        write_text(target, to_json(record))
        console.wrote(target)
    console.document(record)
    return 0


@dataclass(frozen=True)
class _Bench:
    """What every fit has in common: the data, the plan, the windows."""

    console: Console
    config: Config
    panel: Panel
    known: Panel
    plan: Plan
    cutoffs: Sequence[int]

    def references(self) -> dict[str, dict[str, float]]:
        """The scores of seasonal naive, and of the linear skip alone."""
        from forecast.cli.fitting import REFERENCE
        from forecast.predictor import Predictor
        from forecast.training import fit

        config = self._changed({"model.skip": True, "train.steps": 0, "train.precision": "float32"})
        predictor = Predictor.new(config, self.known)
        for _ in fit(predictor, self.known, rounds=1):
            pass
        scores = self._scores(LINEAR, predictor)
        return {name: scores[name] for name in (LINEAR, REFERENCE)}

    def trial(self, shape: Shape, *, seed: int, limit: float) -> Trial:
        """Fit one cell with one seed, and score it."""
        import time

        from forecast.comparison import Trial
        from forecast.loop import Epoch
        from forecast.predictor import Predictor
        from forecast.training import fit

        history, start = list[Epoch](), time.monotonic()
        limit = min(limit, self.config.train.time_limit or limit)
        config = self._changed({"model.cell": shape.cell, "model.hidden": shape.hidden, "train.seed": seed,
                                "train.time_limit": limit})
        predictor = Predictor.new(config, self.known)
        for epoch in self.console.track(fit(predictor, self.known, rounds=1), f"{shape.cell} {seed}", closing=False):
            history.append(epoch)
        seconds = time.monotonic() - start
        number, best = (history[-1].number, history[-1].best_epoch) if history else (0, 0)
        return Trial(seed=seed, metrics=self._scores(shape.cell, predictor)[shape.cell], seconds=seconds,
                     epochs=number, best_epoch=best, steps=predictor.members[0].steps,
                     hurried=bool(history) and history[-1].steps < self.plan.steps)

    def _changed(self, changes: dict[str, Any]) -> Config:
        return self.config.override({"train.final_fit": False} | changes, source="compare")

    def _scores(self, name: str, predictor: Predictor) -> dict[str, dict[str, float]]:
        """Forecaster -> metric -> value, with seasonal naive beside it."""
        from forecast.cli.fitting import REFERENCE, baseline_makers, scored

        levels = self.config.model.levels
        makers = {name: lambda _: predictor} | baseline_makers([REFERENCE], self.plan.season, levels)
        _, scores = scored(self.panel, makers, plan=self.plan, cutoffs=self.cutoffs, levels=levels)
        rows = scores.summary.drop(columns=["series", "rows"]).to_dict("records")
        return {str(row.pop("model")): {str(k): float(v) for k, v in row.items()} for row in rows}


def _cells(text: str) -> list[str]:
    """The cells asked for, each once. Raises RequestError."""
    from forecast.errors import RequestError

    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in CELLS]
    if unknown or not names:
        raise RequestError(f"--cells: there is no cell {unknown[0]!r}" if unknown else "--cells names no cell",
                           code="bad_setting", hint=f"Known: {', '.join(CELLS)}")
    return names


def _target(session: Session, output: str | None, data: str) -> Path | None:
    """Where the record is written, settled before any work. Raises RequestError."""
    from forecast.errors import RequestError

    if output is None:
        return None
    if not output.endswith(".json"):
        raise RequestError(f"-o {output}: a comparison is written as .json", code="bad_ending")
    guard([session.path(output)], [session.data(data)])
    return session.path(output)


def _sizes(shapes: dict[str, Shape]) -> str:
    """The units of each cell, and how near their parameters are to each other."""
    counts = [shape.parameters for shape in shapes.values()]
    return "  ".join(f"{name} {shape.hidden}" for name, shape in shapes.items()) + (
        f" units: {min(counts):,} to {max(counts):,} trained parameters each")


def _table(ranking: Sequence[Contender], references: dict[str, dict[str, float]], *, metric: str, season: int,
           skip: bool) -> Table:
    """A row for each cell, and unranked ones for the references, by their mean score."""
    from forecast.report import plain_table

    headers = ["rank  cell", "units", "params", "seeds", f"MASE(m={season}) ± sd" if metric == "mase" else "MAE ± sd",
               "min .. max", "skill", "s/fit", "best epoch", *(["bettered skip"] if skip else [])]
    scored = [(c.mean(metric), _row(c, rank, metric, skip)) for rank, c in enumerate(ranking, 1)]
    for name, row in references.items():
        skill = _percent(row["skill"]) if row["skill"] else "0%"
        scored.append((row[metric], [f"      {name}", "", "", "", _score(row[metric], metric), "", skill, "", "",
                                     *([""] if skip else [])]))
    return plain_table(headers, [row for _, row in sorted(scored, key=lambda s: (math.isnan(s[0]), s[0]))])


def _row(c: Contender, rank: int, metric: str, skip: bool) -> list[str]:
    values = c.values(metric)
    several = len(values) > 1
    mean = _score(c.mean(metric), metric) + (f" ± {_score(c.deviation(metric), metric)}" if several else "")
    return [f"{rank:<6}{c.cell}", f"{c.hidden:,}", f"{c.parameters:,}", str(len(values)), mean,
            f"{_score(values.min(), metric)} .. {_score(values.max(), metric)}" if several else "",
            _percent(c.mean("skill")), f"{c.seconds:.1f}", f"{c.best_epoch:g}",
            *([f"{c.learned} of {len(values)}"] if skip else [])]


def _score(value: float, metric: str) -> str:
    from forecast.report import number

    return f"{value:.3f}" if metric == "mase" and value < 1000 else number(value)


def _percent(value: float) -> str:
    return f"{value:+.0%}" if math.isfinite(value) else "-"


def _words(ranking: Sequence[Contender], found: Sequence[Difference], references: dict[str, dict[str, float]], *,
           metric: str, config: Config, seeds: int, before: float, spent: float) -> list[tuple[str, str]]:
    """What the table is worth. before: seconds until the first round; seeds: those asked for."""
    from forecast.comparison import in_budget_text, joined, verdict
    from forecast.display import counted

    count, lines = len(ranking[0].trials), list[tuple[str, str]]()
    if len(ranking) > 1:
        lines.append(("told apart", verdict(ranking, found)))
    if count > 1 and found:
        lines.append(("rule", f"95 % by Student's t, paired over {count} seeds, corrected for "
                              f"{counted(len(found), 'pair')}; other windows may rank otherwise"))
    if count < seeds:
        needed = in_budget_text(before + 1.1 * seeds * (spent - before) / count)
        lines.append(("more", f"--budget {needed} should do for {counted(seeds, 'seed')}"))
    elif len(ranking) > 1 and not any(d.is_beyond_chance for d in found):
        lines.append(("more", f"--seeds {max(2 * seeds, 5)} would tell smaller differences apart"))
    if cut := [f"{c.cell} {c.hurried} of {count}" for c in ranking if c.hurried]:
        lines.append(("hurried", f"{', '.join(cut)} took fewer steps than planned, for want of time: more --budget may "
                                 "rank them otherwise"))
    if ahead := [name for name, row in references.items() if row[metric] <= ranking[0].mean(metric)]:
        lines.append(("network", "adds nothing here on average: no cell is better than "
                                 f"{joined(ahead).replace(' and ', ' or ')}"))
    if config.model.skip:
        lines.append(("next", "--set model.skip=false compares the cells without the linear skip under them"))
    return lines


def _record(c: Contender, rank: int, metric: str) -> dict[str, Any]:
    """A row of the table with all that is behind it, for JSON."""
    values = c.values(metric)
    return {"rank": rank, "cell": c.cell, "hidden": c.hidden, "parameters": c.parameters,
            "mean": c.mean(metric), "deviation": c.deviation(metric), "min": values.min(), "max": values.max(),
            "skill": c.mean("skill"), "seconds": c.seconds, "best_epoch": c.best_epoch, "steps": c.steps,
            "bettered_linear": c.learned, "hurried": c.hurried,
            "trials": [asdict(t) for t in c.trials]}
