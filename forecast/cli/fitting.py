"""What train and evaluate share: fitting with progress shown, scoring beside the baselines, and the words for both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from forecast.baselines import BASELINES
from forecast.checkpoint import Checkpoints
from forecast.cli.console import Console
from forecast.cli.options import Session
from forecast.config import SETTINGS, Config
from forecast.display import counted, duration, safe
from forecast.errors import DataError
from forecast.forecasts import Forecaster, quantile_grid
from forecast.formulas import METRICS
from forecast.loop import Epoch
from forecast.plan import Plan, backtest_cutoffs, make_plan
from forecast.predictor import Predictor
from forecast.reader import Reading
from forecast.series import Panel
from forecast.training import Start, fit, pace

if TYPE_CHECKING:                                                       # pandas is not needed before the scores
    from forecast.backtesting import Scores

REFERENCE = "seasonal_naive"


def say_settings(console: Console, session: Session) -> None:
    """With --verbose: every setting that was given, and every other one at its default."""
    given = session.given()
    console.more("given", "  ".join(f"{k}={v}" for k, v in given.items()) or "nothing, all defaults")
    rest = {key: setting.default for key, setting in SETTINGS.items() if key not in given}
    console.more("default", "  ".join(f"{k}={v}" for k, v in rest.items() if v is not None))


def say_plan(console: Console, config: Config, plan: Plan, cutoffs: Sequence[int]) -> None:
    """The sizes, before any work."""
    seasons, model = ",".join(str(m) for m in plan.seasons), config.model
    ways = (" in both directions" if model.bidirectional else "") + (" with attention" if model.attention else "")
    times = f", {counted(plan.members, 'network')} of {counted(plan.steps, 'step')}" if plan.steps else ""
    console.say("plan", f"horizon {plan.horizon}, context {plan.context} in segments of {plan.segment}, "
                        f"season {seasons} ({plan.season_source}), {model.cell.upper()} "
                        f"{model.layers}x{plan.hidden}{ways}{times}, validated on the last {plan.validation} steps, "
                        + (f"{counted(len(cutoffs), 'backtest window')}" if cutoffs else "too short for a backtest"))


def planned(config: Config, panel: Panel) -> tuple[list[int], Panel, Plan]:
    """Cutoffs, what is known before the first one, and the plan for that.

    Where the data are too short for a backtest there is no cutoff, and all is known. Raises what make_plan and
    backtest_cutoffs raise."""
    plan = make_plan(config, panel)
    known, cutoffs = panel, backtest_cutoffs(config, panel, plan)
    if cutoffs:
        known = panel.drop_last(cutoffs[0])
        plan = make_plan(config, known)
    return cutoffs, known, plan


def backtest_plan(console: Console, config: Config, panel: Panel) -> tuple[list[int], Panel, Plan]:
    """As `planned`, and the plan is said. Raises DataError, too, where the data are too short for a backtest."""
    cutoffs, known, plan = planned(config, panel)
    if not cutoffs:
        longest, needed = panel.lengths.max(), plan.least + plan.horizon
        raise DataError(f"the data are too short for a backtest: the longest series has {longest} points",
                        code="too_short", hint="Give --windows 1" if longest >= needed else
                             f"Give a shorter --horizon; one of {plan.horizon} needs {needed} points")
    say_plan(console, config, plan, cutoffs)
    return cutoffs, known, plan


def expected(console: Console, config: Config, known: Panel, *, rounds: float, plan: Plan | None = None) -> float:
    """Say about how long the training will take; the seconds."""
    seconds = rounds * pace(Predictor.new(config, known, plan), known)
    limit = config.train.time_limit
    if seconds:
        console.say("time", f"about {duration(min(seconds, limit or seconds))} of training"
                    + (f", within the limit of {duration(limit)}" if limit and limit < seconds else ""))
    return seconds


def reading_record(reading: Reading) -> dict[str, Any]:
    """What a reading assumed and repaired, for JSON."""
    return {"rows": reading.rows, "series": len(reading.panel), "sha256": reading.sha256,
            "notes": list(reading.notes),
            "repairs": [{"kind": r.kind, "count": r.count, "message": r.message} for r in reading.repairs]}


def fitted(console: Console, config: Config, known: Panel, *, title: str, rounds: int = 2,
           plan: Plan | None = None, history: list[Epoch] | None = None, checkpoints: Checkpoints | None = None,
           start: Start | None = None) -> Predictor:
    """A predictor fitted on what was known, its epochs shown and kept."""
    predictor = Predictor.new(config, known, plan)
    for epoch in console.track(fit(predictor, known, rounds=rounds, checkpoints=checkpoints, start=start), title):
        if history is not None:
            history.append(epoch)
    return predictor


def baseline_makers(names: Sequence[str], season: int, levels: Sequence[float]
                    ) -> dict[str, Callable[[Panel], Forecaster]]:
    """Makers of baselines, by name; they learn nothing from the panel they are made on."""
    def make(name: str, known: Panel) -> Forecaster:
        return BASELINES[name](season, quantile_grid(tuple(levels)))

    return {name: partial(make, name) for name in names}


def scored(panel: Panel, makers: dict[str, Callable[[Panel], Forecaster]], *, plan: Plan, cutoffs: Sequence[int],
           levels: Sequence[float], refit: str = "never", season: int | None = None) -> tuple[Any, Scores]:
    """(backtest frame, scores)."""
    from forecast.backtesting import backtest, evaluate

    frame = backtest(panel, makers, horizon=plan.horizon, cutoffs=cutoffs, levels=levels, refit=refit)
    scores = evaluate(frame, panel.drop_last(cutoffs[0]), season=season or plan.season, levels=levels)
    return frame, scores


def show_scores(console: Console, scores: Scores, ids: Sequence[str]) -> None:
    """The table, and under it what it leaves out."""
    from forecast.report import score_table, step_line, worst_series

    model = str(scores.summary["model"].iloc[0])
    console.table(score_table(scores, console.width))
    if REFERENCE in set(scores.summary["model"]):
        console.result(f"in words      {_in_words(scores)}", fold=14)
    console.result(f"MAE by step   {step_line(scores, model)}", fold=14)
    if len(set(scores.per_series["series"])) > 1:
        console.result(f"worst series  {worst_series(scores, model, ids)}", fold=14)
    if left := scores.left_out.get("mase"):
        console.result(f"MASE leaves out {counted(left, 'series')} that repeat exactly or are too short")


def _in_words(scores: Scores) -> str:
    """The first line of the table beside seasonal naive, for whoever has not met its abbreviations."""
    own, naive = scores.summary.iloc[0], scores.summary.set_index("model").loc[REFERENCE]
    skill = float(own["skill"])
    told = f": {abs(skill):.0%} {'better' if skill >= 0 else 'worse'}" if math.isfinite(skill) else ""
    return (f"on {counted(scores.windows, 'past window')} it erred by {own['mae']:.4g} on average, repeating the last "
            f"season by {naive['mae']:.4g}{told}")


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
    return {"season": scores.season, "windows": scores.windows, "mase_left_out": scores.left_out.get("mase", 0),
            "models": entries}


def history_csv(history: Sequence[Epoch]) -> str:
    """One row an epoch."""
    rows: Iterator[dict[str, Any]] = (asdict(e) for e in history)
    names = ("stage", "member", "number", "steps", "train_loss", "valid_loss", "best_epoch", "seconds")
    lines = [",".join(names)]
    lines += [",".join("" if row[n] != row[n] else safe(round(row[n], 6) if isinstance(row[n], float) else row[n])
                       for n in names) for row in rows]
    return "\n".join(lines) + "\n"
