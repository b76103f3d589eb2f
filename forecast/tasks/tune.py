"""tune: search settings under a budget of time, and judge the best ones on past windows the search has not seen."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forecast import __version__
from forecast.config import Config
from forecast.errors import ForecastError, RequestError, about
from forecast.model.predictor import Predictor
from forecast.scoring.metrics import seasonal_scale
from forecast.showing.tables import score_text
from forecast.showing.trials import changed
from forecast.system import signals
from forecast.system.durations import seconds_of
from forecast.system.files import exclusive
from forecast.system.machine import usable_cpus
from forecast.tasks.apart import side_by_side
from forecast.tasks.fitting import expected, record_of, tell_plan, tell_recorded
from forecast.tasks.teller import SILENT, Teller, shown, tell_reading, tell_settings
from forecast.tasks.trials import FEWEST_CUTOFFS, Bench, Limits, Split, TimeUp, search, split, until
from forecast.tasks.tuned import Judgement, Tuned
from forecast.tasks.workspace import Workspace
from forecast.text import counted, duration
from forecast.training.comparison import in_budget_text
from forecast.training.search import DONE, FAILED, FURTHEST, REPEATED, Dimension, Study, Tried, space

STUDIES = "studies"                     # folder of the store
SEEDS = 3                               # fits of the best settings and of the defaults before the unseen windows
FOR_JUDGING = 0.4                       # of the budget, at most
LATE = 1.05                             # times the budget, when the last fit is ended
TRIAL = 1.25                            # times a fit: a trial begins with a quarter of the steps
PAIR = 2.2 / TRIAL                      # times a trial: the defaults and the best settings, fitted with one seed


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises RequestError for what is no time or cannot be written."""

    data: str | Path
    budget: str = "30m"                     # for everything
    study: str | None = None                # the journal; by default one in the store
    jobs: int = 1                           # processes
    trials: int | None = None               # at most
    output: str | None = None               # where the caller writes all of it

    def __post_init__(self) -> None:
        seconds_of(self.budget, "--budget")
        if self.output is not None and not self.output.lower().endswith(".json"):
            raise RequestError(f"-o {self.output}: a search is written as .json", code="bad_ending")


@dataclass(frozen=True)
class _Work:
    """A search at work: its panel and windows, its study, its time."""

    teller: Teller
    config: Config
    parts: Split
    study: Study
    path: Path
    request: Request
    start: float
    allowed: float

    def run(self, begun: Tuned) -> Tuned:
        """Search, then judge; a signal ends either."""
        bench = Bench(self.config, self.parts.searched, self.parts.cutoffs, self.parts.plan)
        naive, spent, stopped = float(bench.naive.mean()), "time", 0
        try:
            typical = self._typical()
            with self.teller.work({"tuning": self.allowed}):
                spent = self._searched_in_time(bench, typical)
                self._judge()
        except KeyboardInterrupt:
            stopped = 130
        except SystemExit as end:
            stopped = end.code if isinstance(end.code, int) else 143
        return replace(begun, naive=naive, spent=spent, stopped=stopped, trials=self.study.trials(),
                       importance=self.study.importance(), judgement=self._judgement())

    def _searched_in_time(self, bench: Bench, typical: float) -> str:
        """Search until no more is left of the budget than judging takes. As long as nothing is better than the defaults
        there is nothing to judge, and what was kept for all seeds but one is searched in, too."""
        begun, spent = self._ended(), "time"
        for kept in (self._reserve(typical), PAIR * typical):
            best, asked = self.study.best(), self.request.trials
            if spent != "time" or (best is not None and best.changes and self._ended() > begun):
                break
            trials = None if asked is None else asked - (self._ended() - begun)
            spent = self._searched(bench, Limits(self.start + self.allowed - kept, trials, typical))
        return spent

    def _ended(self) -> int:
        return sum(t.is_ended and t.reason != REPEATED for t in self.study.trials())

    def _typical(self) -> float:
        """About the seconds of a trial: those of the defaults, once they are tried. The budget is told.

        Raises RequestError where it is too short for the defaults, with one that would do to judge by, too."""
        trials = self.study.trials()
        done = [t.seconds for t in trials if t.state == DONE]
        if ended := sum(t.is_ended for t in trials):
            self.teller.say("study", f"goes on with {counted(ended, 'trial')} of before, {len(done)} of them done; "
                                     f"{self.path}")
        seconds = done[0] if done else TRIAL * self._guessed()
        spent = time.monotonic() - self.start
        if not done and spent + (1 + PAIR) * seconds > self.allowed:     # less would end before the first trial
            raise RequestError(f"--budget: {self.allowed:g} s is too short: the defaults alone take "
                               f"about {seconds:.0f} s, and to judge anything takes {PAIR * seconds:.0f} s more",
                               code="budget_too_short", hint="Give "
                               f"{in_budget_text(1.2 * (spent + seconds * (1 + 2 / TRIAL)))} or more")
        about_so_many = max(1, int(self.request.jobs * (self.allowed - spent - self._reserve(seconds)) / seconds))
        self.teller.say("budget", f"{duration(self.allowed)} for everything: about {counted(about_so_many, 'trial')} "
                                  f"as long as that of the defaults ({duration(seconds)}), then fits before the unseen "
                                  "windows")
        return seconds

    def _guessed(self) -> float:
        """Seconds of the defaults, before they are tried."""
        known, blank = self.parts.known, Predictor.new(self.config, self.parts.known)
        parts = expected(SILENT, blank, known, rows=len(self.parts.cutoffs) * len(known)).parts
        return parts["preparing"] + parts["training"] + parts["backtest"]

    def _reserve(self, typical: float) -> float:
        """Seconds kept for judging: for as many seeds as have room in that share of the budget, at least one."""
        pair = PAIR * typical
        return pair * min(SEEDS, max(1, int(FOR_JUDGING * self.allowed / pair)))

    def _watch(self) -> None:
        signals.check()
        self.teller.advance((time.monotonic() - self.start) / self.allowed)

    def _tell(self, tried: Tried) -> None:
        """How a trial ended, and which is the best so far."""
        best, metric = self.study.best(), _metric(self.parts)
        found = {DONE: f"{metric.upper()} {score_text(tried.score, metric)}", FAILED: f"failed: {tried.reason}"}
        text = found.get(tried.state, f"given up: {tried.reason}")
        if best is not None and best.number != tried.number:
            text += f"   best {score_text(best.score, metric)} (trial {best.number})"
        self.teller.say(f"trial {tried.number}", f"{text}   {changed(tried.changes)}")

    def _searched(self, bench: Bench, limits: Limits) -> str:
        if self.request.jobs == 1:
            return search(self.study, bench, limits, self._watch, self._tell)
        return side_by_side(self.study, self.path, bench, limits, jobs=self.request.jobs, watch=self._watch,
                            tell=self._tell)

    def _judge(self) -> None:
        """Fit the defaults and the best settings with some seeds on all that stood before the unseen windows, and keep
        how they err on these. What was kept of the same settings is not fitted again."""
        best = self.study.best()
        if best is None or not best.changes:
            return
        self.teller.say("judging", f"the defaults and trial {best.number}, on "
                                   f"{counted(len(self.parts.unseen), 'window')} that the search has not seen")
        bench = Bench(self.config, self.parts.panel, self.parts.unseen, self.parts.plan)
        longest, first = 0.0, self.config.train.seed
        for seed in range(first, first + SEEDS):
            began, last = time.monotonic(), self.start + LATE * self.allowed
            if began + longest > last:
                return
            for who, changes in (("default", {}), (str(best.number), best.changes)):
                judged = self.study.kept("judged") or {}
                if str(seed) in judged.get(who, {}):
                    continue
                try:
                    errors = bench.errors(changes, until(last, self._watch), seed=seed)
                except TimeUp:
                    return
                except ForecastError as error:
                    self.teller.warn("judging", f"{changed(changes)}: {error.problem.message}")
                    return
                fresh = judged | {who: judged.get(who, {}) | {str(seed): errors.tolist()}}
                self.study.keep("judged", fresh)
            longest = max(longest, time.monotonic() - began)

    def _judgement(self) -> Judgement | None:
        """Of the best settings, as far as it is kept."""
        best, judged = self.study.best(), self.study.kept("judged") or {}
        if best is None or not best.changes or str(best.number) not in judged or "default" not in judged:
            return None
        seeds = sorted(judged["default"].keys() & judged[str(best.number)].keys())
        if not seeds:
            return None
        default, tried = ([np.array(judged[who][seed]) for seed in seeds] for who in ("default", str(best.number)))
        bench = Bench(self.config, self.parts.panel, self.parts.unseen, self.parts.plan)
        pairs = bench.naive.index
        return Judgement(default, tried, float(bench.naive.mean()), looks=len(judged) - 1,
                         cutoffs=pairs.unique("cutoff").size, series=pairs.unique("series").size)


def tune(workspace: Workspace, request: Request, teller: Teller = SILENT, *, since: float | None = None) -> Tuned:
    """Search the settings nobody gave, on past windows; then judge the best ones on newer windows. Goes on with a study
    that is there. `since`: the monotonic time from which the budget counts, by default now. Keeps no model.

    A signal ends it with what is known until then. Raises RequestError, DataError, BusyError, DiskError."""
    start = time.monotonic() if since is None else since
    allowed, source = seconds_of(request.budget, "--budget"), workspace.source(request.data)
    output, journal = (None if name is None else workspace.path(name) for name in (request.output, request.study))
    if journal is not None and journal.is_dir():
        raise RequestError(f"--study {request.study}: is a folder", code="bad_setting",
                           hint="Name a file, which is made where there is none")
    studies = workspace.store.folder / STUDIES
    is_kept = journal is not None and journal.resolve().parent == studies.resolve()     # one of before, to go on with
    workspace.guard([output, None if is_kept else journal], workspace.inputs(source))
    config = workspace.config.override({"train.final_fit": False}, source="tune")
    workspace.check_precision(config, config.model.cell)
    tell_settings(teller, workspace.given)
    reading = workspace.read(source, config.data)
    tell_reading(teller, reading)
    panel = reading.panel.with_values()[0]
    with about(source):
        parts = split(config, panel)
    dimensions = space(config, parts.known, parts.plan, workspace.given)
    tell_plan(teller, config, parts.plan, parts.cutoffs)
    tell_recorded(teller, parts.searched, parts.cutoffs)
    _tell_search(teller, parts, dimensions)
    if request.jobs > 1 and config.train.threads is None:
        config = config.override({"train.threads": max(1, usable_cpus() // request.jobs)}, source="tune")
    said = {"data": panel.fingerprint(), "settings": workspace.given, "windows": [parts.cutoffs, parts.unseen],
            "space": [[d.key, d.default, list(d.values)] for d in dimensions], "version": __version__}
    path = journal or studies / f"{_digest(said)}.journal"
    begun = Tuned(record_of(reading, source, workspace), shown(source), ",".join(reading.contract.targets), parts.plan,
                  workspace.given, _written(workspace.said), dimensions, path, allowed, parts.cutoffs, parts.unseen,
                  _metric(parts), np.nan)
    with exclusive(path.with_name(f"{path.name}.owner"), by="forecast tune"):
        study = Study.opened(path, dimensions, said, seed=config.train.seed)
        ended = _Work(teller, config, parts, study, path, request, start, allowed).run(begun)
    return replace(ended, seconds=time.monotonic() - start)


def _written(said: Mapping[str, Any]) -> dict[str, str]:
    """Settings as --set takes them; those of the backtest are no business of train."""
    texts = {key: ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
             for key, value in said.items()}
    return {key: f"'{text}'" if " " in text else text for key, text in texts.items() if not key.startswith("backtest.")}


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _metric(parts: Split) -> str:
    """mase, or mae where no series has a MASE."""
    scale = seasonal_scale(parts.known.truth, parts.known.first, parts.known.stop, parts.plan.season)
    return "mase" if bool((np.isfinite(scale) & (scale > 0)).any()) else "mae"


def _tell_search(teller: Teller, parts: Split, dimensions: Sequence[Dimension]) -> None:
    """What is tried, and on which windows."""
    series = counted(len(parts.panel), "series")
    teller.say("windows", f"{len(parts.cutoffs)} of {parts.plan.horizon} steps to search by, and the newest "
                          f"{len(parts.unseen)}, which the search does not see, to judge by; {series}")
    if (few := len(parts.unseen)) < FEWEST_CUTOFFS:
        teller.warn("windows", f"{counted(few, 'unseen cutoff')} cannot show that settings are better beyond chance: "
                               f"that takes {FEWEST_CUTOFFS}; longer data or a shorter --horizon have more")
    if not dimensions:
        raise RequestError("every setting that could be tried is given", code="nothing_to_try",
                           hint="Leave out some of them")
    teller.say("tried", "  ".join(f"{d.key.split('.')[-1]} " + (",".join(map(str, d.values)) if d.values else
                                  f"{d.default / FURTHEST:.2g}..{d.default * FURTHEST:.2g}") for d in dimensions))
    teller.more("fixed", "every other setting, and each that was given")
