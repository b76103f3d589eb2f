"""Promises: how well issued forecasts came true, beside how well the backtests of their runs did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from forecast.errors import ModelError, RequestError
from forecast.ledger.issue import Issue, subject_of
from forecast.ledger.issued import Drift, Issued, drift_of
from forecast.model.knowledge import Knowledge
from forecast.reading.contract import Contract
from forecast.scoring.backtest import Scores
from forecast.scoring.backtest import evaluate as score
from forecast.series.arrays import Ints
from forecast.series.panel import Panel
from forecast.showing.tables import number, percent
from forecast.store.run import Run
from forecast.system.datasource import DataSource
from forecast.system.durations import seconds_of
from forecast.tasks.prior import is_of_prior
from forecast.tasks.teller import Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted

ALARM = 1.1                                                             # times the promised MASE, and beyond chance
NEWEST = 5                                                              # runs shown one by one


@dataclass(frozen=True)
class Promises:
    """Live beside promised.

    runs: of each run its rows, the windows of its backtest, the scores it promised, its live scores, and whether it is
    `compared`: a run whose backtest is gone is not."""

    live: dict[str, Any]
    promised: dict[str, float]      # weighed by how many rows of each run have come true
    runs: dict[str, dict[str, Any]]
    drift: Drift | None
    levels: list[float]
    cutoffs: int
    beside: int                     # rows of seasonal naive
    compared: int                   # rows

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        drift = None if self.drift is None else {"ratio": self.drift.ratio, "least": self.drift.least}
        return {"cutoffs": self.cutoffs, "beside": self.beside, "compared": self.compared, "promised": self.promised,
                "runs": self.runs, "drift": drift}

    def words(self) -> Iterator[str]:
        """Live beside promised: MASE, bias, what the bands cover; each run where there are several."""
        live, promised, runs = self.live, self.promised, self.runs
        yield f"bias          {number(live['bias'])} (above 0: too much was forecast)"
        if not promised:
            yield "promised      unknown: no backtest of these runs is there"
        else:
            parts = [f"MASE {number(live['mase'])} live, {number(promised['mase'])} promised"] if "mase" in live and \
                "mase" in promised else []
            parts += [f"{x:g}% covers {percent(live[key])} live, {percent(promised[key])} promised"
                      for x in self.levels if (key := f"coverage_{x:g}") in promised]
            yield "backtest      " + "   ".join(parts)
        if promised and (without := sum(r["rows"] for r in runs.values() if not r["compared"])):
            yield f"without       {without:,} rows are of runs whose backtest is not there: not compared"
        for name, run in sorted(runs.items())[-NEWEST:] if len(runs) > 1 else []:
            said = run["promised"].get("mase")
            yield (f"{name}   {run['rows']:,} rows   MASE {number(run['live'].get('mase', nan))} live, "
                   f"{'?' if said is None else number(said)} promised")

    @property
    def alarm(self) -> str | None:
        """Where it has drifted beyond chance."""
        drift = self.drift
        if drift is None or drift.least is None or drift.least <= 1 or drift.ratio <= ALARM:
            return None
        return (f"MASE is {drift.ratio:.2f} times what the backtests promised, at least "
                f"{drift.least:.2f} times with 95 % confidence: train anew")


def held_to(workspace: Workspace, issued: Issued, scores: Scores, known: Panel, *, beside: int) -> Promises:
    """The scores of what came true, beside what the backtests of its runs promised. beside: rows of naive."""
    levels, season = list(issued.levels), scores.season
    promised, runs = _promised(workspace, score(issued.frame, known, season=season, levels=levels))
    held = issued.frame[issued.frame["model"].isin([name for name, r in runs.items() if r["compared"]])]
    live = scores.own
    if 0 < len(held) < len(issued.frame):                               # rows without a promise are left out
        part = score(held.assign(model="issued"), known, season=season, levels=levels).own
        live |= {k: v for k, v in part.items() if _is_promise(k) and k != "bias"}
    drift = None
    if promised.get("mase") and live.get("mase", nan) == live.get("mase"):
        drift = drift_of(held, known, season=season, live=live["mase"], promised=promised["mase"],
                         windows=min(r["windows"] for r in runs.values() if r["compared"]),
                         horizon=int(held["step"].max()))
    return Promises(live, promised, runs, drift, levels, int(issued.frame["cutoff"].nunique()), beside, len(held))


def _promised(workspace: Workspace, by_run: Scores) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """`promised` and `runs` of Promises."""
    runs = dict[str, dict[str, Any]]()
    for live in by_run.summary.to_dict("records"):
        name = str(live["model"])
        try:
            metrics = workspace.run(name).metrics
        except ModelError:
            metrics = {}                                                # the run is gone
        said: dict[str, Any] = next(iter(metrics.get("models", {}).values()), {})
        shown = {k: float(v) for k, v in said.items() if _is_promise(str(k)) and isinstance(v, (int, float))}
        runs[name] = {"rows": live["rows"], "windows": int(metrics.get("windows", 0)), "promised": shown,
                      "live": {str(k): v for k, v in live.items() if _is_promise(str(k))}}
    by_mase = any("mase" in r["promised"] for r in runs.values())
    for r in runs.values():
        r["compared"] = "mase" in r["promised"] if by_mase else bool(r["promised"])
    compared = [r for r in runs.values() if r["compared"]]
    shared = set.intersection(*(set(r["promised"]) for r in compared)) if compared else set()
    rows = sum(r["rows"] for r in compared)
    return {key: sum(r["rows"] * r["promised"][key] for r in compared) / rows for key in sorted(shared)}, runs


def _is_promise(name: str) -> bool:
    return name in ("mase", "mae", "bias") or name.startswith("coverage_")


def issues_about(workspace: Workspace, source: DataSource, contract: Contract, run: Run | None) -> list[Issue]:
    """Issues about this file, or all that a run made whatever file it read; the oldest first. Raises RequestError where
    there are none."""
    issues = workspace.ledger.issues()
    if run is not None:
        matching, whose = [i for i in issues if i.run == run.id], run.id
    else:
        places = source.places(workspace.store.folder)
        matching, whose = [i for i in issues if {i.data, i.place} & places], str(source)
    matching = [i for i in matching if i.subject == subject_of(contract)]
    if not matching:
        others = list(dict.fromkeys(i.data for i in reversed(issues)))
        raise RequestError(f"{whose}: no forecast of these series was issued", code="no_issue",
                           hint="forecast predict issues them" if not others else
                           f"There are some of {', '.join(others[:3])}; --model RUN takes all of a run")
    return matching


def foretold(workspace: Workspace, teller: Teller, issues: list[Issue]) -> tuple[list[Issue], dict[str, int]]:
    """The issues whose run had not learned from what they forecast; and how many others there are, which is told.

    Only issues made --as-of a past time can be such others. Where the run of one is gone, what it had learned from is
    unknown: that issue is left out, too."""
    known = dict[str, Knowledge | None]()
    for name in {i.run for i in issues if i.as_of is not None}:
        try:
            known[name] = workspace.run(name).predictor.knowledge
        except ModelError:
            known[name] = None
    kept, left_out = [], {"hindsight": 0, "unknown": 0}
    for issue in issues:
        of_run = Knowledge() if issue.as_of is None or is_of_prior(issue.run) else known[issue.run]
        if of_run is None:
            left_out["unknown"] += 1
        elif issue.in_hindsight(of_run):
            left_out["hindsight"] += 1
        else:
            kept.append(issue)
    for why, words in (("hindsight", "made --as-of a time whose future their run had seen"),
                       ("unknown", "made --as-of a time, by a run that is gone: what it had seen is unknown")):
        if left_out[why]:
            teller.say("left out", f"{counted(left_out[why], 'issue')} {words}")
    return kept, left_out


def since(last: str | None, panel: Panel) -> Ints | None:
    """The first ordinal of each series (S,) in the last "30d", or the last N steps, before its newest.

    Raises RequestError."""
    if last is None:
        return None
    if last.isdigit():
        return panel.newest - int(last)
    if not panel.calendar.is_time:
        raise RequestError(f"--last {last}: integer steps have no length in time", code="bad_setting",
                           hint="Give a number of steps: --last 30")
    back = np.timedelta64(int(min(seconds_of(last, "--last"), 1e11) * 1e6), "us")
    newest = panel.calendar.times(panel.newest - 1).astype("datetime64[us]")
    first: Ints = panel.calendar.nearest(newest - back) + 1
    return first
