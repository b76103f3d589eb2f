"""What train, evaluate and compare share: the plan, fitting with progress told, scoring beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from forecast.config import Config
from forecast.errors import DataError
from forecast.methods.baselines import BASELINES
from forecast.model.plan import Plan, backtest_cutoffs, make_plan
from forecast.model.predictor import Predictor
from forecast.reading.reader import Reading
from forecast.scoring.formulas import METRICS
from forecast.series.forecast import Forecaster, quantile_grid
from forecast.series.panel import Panel
from forecast.store.record import DataRecord
from forecast.system.datasource import DataSource
from forecast.system.engine import Engine
from forecast.tasks.teller import Teller
from forecast.tasks.workspace import Workspace
from forecast.text import cell_name, counted, duration, safe

WITHOUT = "without covariates"
HELPS = 0.99                            # times the error without covariates: below it they help

if TYPE_CHECKING:                                                       # pandas is not needed before the scores
    from forecast.scoring.backtest import Scores
    from forecast.training.expecting import Expected
    from forecast.training.loop import Epoch

# torch is imported by the functions that train: scores are shown without it.


def tell_plan(teller: Teller, config: Config, plan: Plan, cutoffs: Sequence[int]) -> None:
    """The sizes, before any work."""
    seasons, model = ",".join(str(m) for m in plan.seasons), config.model
    ways = (" in both directions" if model.bidirectional else "") + (" with attention" if model.attention else "")
    tuned = " and the prior, tuned" if model.prior and model.blend else ""
    times = f", {counted(plan.members, 'network')} of {counted(plan.steps, 'step')}{tuned}" if plan.steps else ""
    teller.say("plan", f"horizon {plan.horizon}, context {plan.context} in segments of {plan.segment}, "
                       f"season {seasons} ({plan.season_source}), {cell_name(model.cell)} "
                       f"{model.layers}x{plan.hidden}{ways}{times}, validated on the last {plan.validation} steps, "
                       + (f"{counted(len(cutoffs), 'backtest window')}" if cutoffs else "too short for a backtest"))


def tell_recorded(teller: Teller, panel: Panel, cutoffs: Sequence[int]) -> None:
    """That a backtest takes what is known ahead as it was recorded, where there is such a thing."""
    if cutoffs and panel.beside is not None and panel.beside.known:
        teller.say("backtest", "reads columns known ahead as recorded, not as foreseen then")


def planned(config: Config, panel: Panel) -> tuple[list[int], Panel, Plan]:
    """The cutoffs of the backtest, the panel as it stood at the first one, and the plan for that panel.

    Where the data are too short for a backtest there is no cutoff, and the panel is the whole one. Raises what
    make_plan and backtest_cutoffs raise."""
    plan = make_plan(config, panel)
    known, cutoffs = panel, backtest_cutoffs(config, panel, plan)
    if cutoffs:
        known = panel.drop_last(cutoffs[0])
        plan = make_plan(config, known)
    return cutoffs, known, plan


def backtest_plan(teller: Teller, config: Config, panel: Panel) -> tuple[list[int], Panel, Plan]:
    """As `planned`, and the plan is told. Raises DataError, too, where the data are too short for a backtest."""
    cutoffs, known, plan = planned(config, panel)
    if not cutoffs:
        longest, needed = panel.lengths.max(), plan.least + plan.horizon
        raise DataError(f"the data are too short for a backtest: the longest series has {longest} points",
                        code="too_short", hint="Give --windows 1" if longest >= needed else
                             f"Give a shorter --horizon; one of {plan.horizon} needs {needed} points")
    tell_plan(teller, config, plan, cutoffs)
    tell_recorded(teller, panel, cutoffs)
    return cutoffs, known, plan


def expected(teller: Teller, predictor: Predictor, known: Panel, *, share: float = 1.0, rows: int = 0,
             times: int = 1, spent: float = 0.0) -> Expected:
    """Tell about how long it will take to fit a blank predictor and to score so many forecasts of it.

    share: of the usual steps; times: how often it is fitted; spent: seconds of the time limit that are over."""
    from forecast.training.expecting import expect

    found, limit = expect(predictor, known, rows, share=share, spent=spent), predictor.config.train.time_limit
    about = duration(times * sum(found.parts.values()))
    if found.is_too_short and limit:
        teller.warn("limit", f"{duration(limit)} is too short to train in: that takes about {duration(found.least)} or "
                             f"more. Closed forms and the prior serve; to weigh them takes about {about}")
    else:
        teller.say("time", f"about {about} of training and scoring"
                   + (f", within the limit of {duration(limit)}" if limit else ""))
    return found


def within(wanted: Expected, untrained: Predictor, known: Panel) -> Predictor:
    """The blank predictor; one that trains nothing where the limit leaves no time to."""
    if not wanted.is_too_short:
        return untrained
    return Predictor.new(untrained.config, known, replace(untrained.plan, steps=0, members=1))


def record_of(reading: Reading, source: DataSource, workspace: Workspace) -> DataRecord:
    """What a run or a comparison keeps of the data it was made from."""
    first, last = reading.span
    return DataRecord(
        rows=reading.rows, series=len(reading.panel), sha256=reading.sha256, notes=reading.notes,
        repairs=tuple({"kind": r.kind, "count": r.count, "message": r.message} for r in reading.repairs),
        path=source.name if source.is_database else None if source.path is None else str(source.path),
        from_store=source.place(workspace.store.folder), first=first, last=last)


def tracked(teller: Teller, epochs: Generator[Epoch, None, Predictor], title: str, *, closing: bool = True
            ) -> tuple[Predictor, list[Epoch]]:
    """Run a training to its end and tell its epochs. Returns the predictor, and the epochs."""
    from forecast.training.fit import Training

    training = Training(epochs)
    history = list(teller.track(training, title, closing=closing))
    return training.result, history


def fitted(teller: Teller, predictor: Predictor, known: Panel, *, title: str, limit: float | None = None) -> Predictor:
    """The predictor fitted with part of `known` held out, then on all of it unless the settings leave that out.
    limit: seconds for the first of it; by default its share of the time limit."""
    from forecast.training.fit import fit, refit, rounds_of

    if limit is None and predictor.config.train.time_limit:
        limit = predictor.config.train.time_limit / rounds_of(predictor, known)

    def both() -> Generator[Epoch, None, Predictor]:
        fresh = yield from fit(predictor, known, limit=limit)
        teller.begin("final fit")
        return (yield from refit(fresh, known)) if fresh.config.train.final_fit else fresh

    return tracked(teller, both(), title)[0]


def own_makers(predictor: Predictor) -> dict[str, Callable[[Panel], Forecaster]]:
    """Makers of a predictor; and of what it would be without covariates, where it reads some."""
    makers: dict[str, Callable[[Panel], Forecaster]] = {predictor.name: lambda known: predictor}
    if (without := predictor.without_covariates()) is not None:
        makers[WITHOUT] = lambda known: without
    return makers


def tell_covariates(teller: Teller, scores: Scores) -> None:
    """What covariates are worth in this backtest, where some are read."""
    rows = {str(row["model"]): row for row in scores.summary.to_dict("records")}
    if WITHOUT not in rows:
        return
    by = "mase" if all(row["mase"] == row["mase"] for row in rows.values()) else "mae"
    own, without = (float(rows[name][by]) for name in (scores.name, WITHOUT))
    found = f"with covariates {own:.4g} ({by.upper()}), without {without:.4g}: "
    if own < HELPS * without:
        teller.say("covariates", found + f"they take off {1 - own / without:.0%} of the error")
    else:
        teller.warn("covariates", found + "they do not help on these windows")


def baseline_makers(names: Sequence[str], season: int, levels: Sequence[float]
                    ) -> dict[str, Callable[[Panel], Forecaster]]:
    """Makers of baselines, by name; they learn nothing from the panel they are made on."""
    def make(name: str, known: Panel) -> Forecaster:
        return BASELINES[name](season, quantile_grid(tuple(levels)))

    return {name: partial(make, name) for name in names}


def scored(panel: Panel, makers: dict[str, Callable[[Panel], Forecaster]], *, plan: Plan, cutoffs: Sequence[int],
           levels: Sequence[float], refit: str = "never", season: int | None = None, engine: Engine | None = None
           ) -> tuple[Any, Scores]:
    """(backtest frame, scores)."""
    from forecast.scoring.backtest import backtest, evaluate

    frame = backtest(panel, makers, horizon=plan.horizon, cutoffs=cutoffs, levels=levels, refit=refit, engine=engine)
    scores = evaluate(frame, panel.drop_last(cutoffs[0]), season=season or plan.season, levels=levels)
    return frame, scores


def tell_windows(teller: Teller, scores: Scores, cutoffs: Sequence[int]) -> None:
    """Where some windows of the plan were not scored, how many and why."""
    if scores.windows < len(cutoffs):
        teller.say("scored", f"on {scores.windows} of {counted(len(cutoffs), 'window')}: in the others nothing was "
                             "measured, or they begin in a gap")


def is_wanted(column: str, metrics: Sequence[str]) -> bool:
    """Whether a column of scores (`mase`, `coverage_80`) is one of these metrics."""
    return column.split("_")[0] in metrics


def scores_record(scores: Scores, metrics: Sequence[str] = tuple(METRICS)) -> dict[str, Any]:
    """The scores as JSON: one entry a forecaster with these metrics, and its error by step."""
    kept = [c for c in map(str, scores.summary) if c in ("series", "rows", "skill", "better_on")
            or is_wanted(c, metrics)]
    entries = {}
    for name, row in zip(scores.summary["model"], scores.summary[kept].to_dict("records"), strict=True):
        part = scores.by_step[scores.by_step["model"] == name]
        entries[str(name)] = row | {"mae_by_step": part["mae"].tolist()}
    bands = {f"{level:g}": {"covers": share, "low": low, "high": high}
             for level, (share, low, high) in scores.covered.items()}
    return {"season": scores.season, "bands": bands, "skill_against": scores.reference_name, "windows": scores.windows,
            "mase_left_out": scores.left_out.get("mase", 0), "models": entries}


def history_csv(history: Sequence[Epoch]) -> str:
    """One row an epoch."""
    rows: Iterator[dict[str, Any]] = (asdict(e) for e in history)
    names = ("stage", "member", "number", "steps", "train_loss", "valid_loss", "best_epoch", "seconds")
    lines = [",".join(names)]
    lines += [",".join("" if row[n] != row[n] else safe(round(row[n], 6) if isinstance(row[n], float) else row[n])
                       for n in names) for row in rows]
    return "\n".join(lines) + "\n"
