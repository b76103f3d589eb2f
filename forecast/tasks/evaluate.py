"""evaluate: a rolling-origin backtest that never scores a model on what it has seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.config import Config
from forecast.errors import GateError, ModelError, RequestError, about
from forecast.ledger.freshness import seconds_old
from forecast.methods.baselines import BASELINES
from forecast.model.events import event_of
from forecast.model.plan import seasons_of
from forecast.reading.reader import Reading
from forecast.scoring.formulas import METRICS, REFERENCE
from forecast.series.panel import Panel
from forecast.showing.ink import check_picture
from forecast.store.run import Run
from forecast.system import clock
from forecast.system.datasource import DataSource, shown_path
from forecast.system.engine import Engine
from forecast.tasks import prior
from forecast.tasks.backtests import Beside, backtested
from forecast.tasks.teller import SILENT, Teller, tell_model, tell_reading, tell_settings
from forecast.tasks.workspace import Workspace
from forecast.text import counted, listed
from forecast.writing.layouts import check_ending

if TYPE_CHECKING:
    import pandas as pd

    from forecast.ledger.issued import Drift, Issued
    from forecast.scoring.backtest import Scores
    from forecast.system.monitor import Status
    from forecast.tasks.joint_scores import JointScores
    from forecast.tasks.promises import Promises

GATED = ("mae", "rmse", "mase", "smape", "wape", "wql")                 # one number a forecaster, the less the better

# What needs torch is imported by the functions that need it: a wrong request is refused before.


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises RequestError for what cannot be asked, before any work."""

    data: str | Path | pd.DataFrame | None = None       # None: the file that the model was trained on
    model: str | Run | None = None          # None: the live one, where there is one
    baselines: str = f"{REFERENCE},naive"
    metrics: str | None = None              # to write; None: all
    output: str | None = None               # scores as .json, and a .csv of every series beside it
    predictions: str | None = None          # every backtest forecast
    plot: str | None = None                 # a picture of the worst and the largest series
    forecast: str | None = None             # score this file of forecasts
    issued: bool = False                    # score what predict issued, from the ledger
    last: str | None = None                 # with issued: only the last "30d", or N steps of the data
    fail_over: Sequence[str] = ()           # "mase=1.0"
    event: str | None = None                # whose chances are scored
    by: str | None = None                   # columns that name groups whose totals are scored
    accept_scale: bool = False              # also where the newest values have the size of another unit
    engine: Engine | None = None            # who works beside this process

    def __post_init__(self) -> None:
        if self.predictions:
            check_ending(self.predictions)
        if self.plot is not None:
            check_picture(self.plot)
        if self.output is not None and not self.output.lower().endswith(".json"):
            raise RequestError(f"-o {self.output}: scores are written as .json", code="bad_ending")
        if (self.issued and self.forecast) or (self.last and not self.issued):
            raise RequestError("--last goes with --issued" if self.last and not self.issued else
                               "--issued and --forecast both say what to score", code="bad_setting")
        for flag, asked in (("--event", self.event), ("--by", self.by)):
            if asked is not None and (self.issued or self.forecast):
                raise RequestError(f"{flag} is scored in a backtest: a file of forecasts has no paths",
                                   code="bad_setting")
        if self.event is not None:
            event_of(self.event)
        _ = self.gates, self.wanted, self.names

    @property
    def gates(self) -> dict[str, float]:
        """{"mase": 1.0}."""
        gates, gated = {}, (*GATED, "drift") if self.issued else GATED
        for text in self.fail_over:
            name, _, value = text.partition("=")
            try:
                limit = float(value)
            except ValueError:
                limit = float("nan")
            if name not in gated or limit != limit:
                raise RequestError(f"--fail-over {text}: write it as metric=number", code="bad_setting",
                                   hint=f"Metrics: {', '.join(gated)}")
            gates[name] = limit
        return gates

    @property
    def wanted(self) -> list[str]:
        """The metrics to write."""
        return _known(self.metrics or ",".join(METRICS), "--metrics", list(METRICS))

    @property
    def names(self) -> list[str]:
        """The baselines."""
        return _known(self.baselines, "--baselines", list(BASELINES))


@dataclass(frozen=True)
class Evaluated:
    """Scores, and the rows they were made from; no scores where nothing has come true yet."""

    request: Request
    source: DataSource
    reading: Reading
    how: str
    run: str | None
    frame: pd.DataFrame | None
    scores: Scores | None
    counts: dict[str, Any] = field(default_factory=dict)    # of --issued: what was scored, and how much was not
    promises: Promises | None = None
    joint: JointScores | None = None
    age: float = math.nan                   # seconds, of the newest data

    @property
    def ids(self) -> list[str]:
        """Of the series that scores speak of by number."""
        return list(self.reading.panel.with_values()[0].ids)

    def watched(self, status: Status) -> None:
        """Tell a monitor: how old the data are, how good the forecasts, how they hold to what was promised."""
        status.numbers["data_age_seconds"] = self.age
        if self.scores is None or self.frame is None:
            return
        status.rows = int((self.frame["model"] == self.scores.name).sum())
        status.watch(self.scores.own)
        if (held := self.promises) is not None:
            status.numbers |= {"promised_mase": held.promised.get("mase", math.nan)}
            status.numbers |= {} if held.drift is None else {"drift_ratio": held.drift.ratio,
                                                             "drift_alarm": float(held.alarm is not None)}

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        from forecast.tasks.fitting import scores_record

        record = {"data": str(self.source), "how": self.how} | self.counts
        if self.scores is None:
            return record
        record |= {} if self.joint is None else {"joint": self.joint.to_dict()}
        return record | {"run": self.run} | ({} if self.promises is None or self.frame is None else
                                             self.promises.to_dict()) | scores_record(self.scores, self.request.wanted)


def evaluate(workspace: Workspace, request: Request, teller: Teller = SILENT, *,
             guarded: Sequence[Path | None] = ()) -> Evaluated:
    """Score a forecaster on what came after rolling cutoffs, beside simple baselines; or score forecasts made before.

    guarded: other files the caller will write. Writes nothing: `write` does.
    Raises RequestError, DataError, ModelError."""
    untrained = prior.is_asked(workspace, request.model, request.data)
    unknown = untrained or (request.model is None and workspace.store.live() is None)
    run = None if unknown else workspace.run(request.model or "live")
    config = workspace.config if run is None else run.predictor.config.override(workspace.given, source="command line")
    if request.data is not None:
        source = workspace.source(request.data)
    elif run is not None:
        source = workspace.source_of(run)
    else:
        raise ModelError("there is no live model yet, so DATA must be named", file=str(workspace.store.folder),
                         code="no_live", hint="forecast evaluate DATA, or first forecast train DATA")
    given = workspace.source(request.forecast) if request.forecast else None
    workspace.guard([*outputs(workspace, request), *guarded], [*workspace.inputs(source, run), given])
    as_trained = run and run.predictor.config.train.precision == config.train.precision
    if not (request.issued or given or untrained or as_trained):
        workspace.check_precision(config, config.model.cell)            # else the run may be scored as it is
    tell_settings(teller, workspace.given)
    if untrained:
        run, reading = prior.prior_for(workspace, source)
    else:
        reading = workspace.read(source, config.data, run.contract if run else None)
    if not (request.accept_scale or untrained):
        reading.check_scale()
    if run:
        tell_model(teller, run, source, reading)
    else:
        tell_reading(teller, reading)
    panel, _ = reading.panel.with_values()
    age = seconds_old(panel, reading.contract, clock.now(), source)
    if request.issued:
        return replace(issued_scores(workspace, request, teller, source, reading, config, run), age=age)
    names = [REFERENCE, *request.names]
    if given:
        frame, scores, how = _given(given, panel, reading, config, run, names)
        together = None
    else:
        with about(source):
            frame, scores, how, together = backtested(workspace, teller, run, config, reading, Beside(
                names, request.event, request.by, request.engine))
    teller.say("scored", how)
    return Evaluated(request, source, reading, how, run.id if run else None, frame, scores, age=age, joint=together)


def outputs(workspace: Workspace, request: Request) -> list[Path | None]:
    """What `write` writes: scores as JSON and CSV, forecasts, a picture; None for what was not asked for."""
    scores = None if request.output is None else workspace.path(request.output)
    return [scores, scores and scores.with_suffix(".csv"),
            workspace.path(request.predictions) if request.predictions else None,
            workspace.path(request.plot) if request.plot else None]


def write(workspace: Workspace, evaluated: Evaluated, teller: Teller = SILENT) -> None:
    """metrics.json, metrics.csv with a row for each forecaster and series, and every forecast, where they were asked
    for. Raises DiskError."""
    import pyarrow as pa

    from forecast.system.files import to_json, write_text
    from forecast.tasks.fitting import is_wanted
    from forecast.writing.layouts import backtest_table, is_typed, write_table

    request, scores, frame = evaluated.request, evaluated.scores, evaluated.frame
    if scores is None or frame is None:
        return
    record, rows, predictions, plot = outputs(workspace, request)
    if record is not None and rows is not None:
        keep = [c for c in map(str, scores.per_series)
                if c in ("model", "series", "n") or is_wanted(c, request.wanted)]
        table = scores.per_series[keep].assign(series=[str(evaluated.ids[s]) for s in scores.per_series["series"]])
        write_text(record, to_json(evaluated.to_dict()))
        write_table(pa.Table.from_pandas(table, preserve_index=False), rows)
        teller.wrote(record)
        teller.wrote(rows)
    if predictions is not None:
        panel = evaluated.reading.panel.with_values()[0]
        contract = evaluated.reading.contract
        write_table(backtest_table(frame, panel, contract, typed=is_typed(predictions.name)), predictions)
        teller.wrote(predictions, f"{len(frame):,} rows")
    if plot is not None:
        _draw(plot, evaluated, frame, scores)
        teller.wrote(plot, verb="drew")


def _draw(path: Path, evaluated: Evaluated, frame: pd.DataFrame, scores: Scores) -> None:
    """The past forecasts over the truth: of all series where they are few, else of the worst and the largest."""
    from forecast.showing.pictures import draw_backtest

    contract, how = evaluated.reading.contract, evaluated.how.split(";")[0]
    what = contract.targets[0] if len(contract.targets) == 1 else f"{len(contract.targets)} columns"
    draw_backtest(path, frame, evaluated.reading.panel.with_values()[0], scores, has_names=contract.id is not None,
                  title=f"{what}: {how}")


def judge(evaluated: Evaluated, teller: Teller = SILENT) -> None:
    """Raises GateError where the first forecaster's metric is above its limit, or not defined; and where what was
    issued has drifted beyond its limit and beyond chance."""
    if evaluated.scores is None:
        return
    own, gates = evaluated.scores.own, evaluated.request.gates
    for name, limit in gates.items():
        value = own.get(name)
        if name == "drift":
            continue
        if value is None or value != value:
            raise GateError(f"{name} is not defined, so not within the limit of {limit:g}", code="fail_over")
        if value > limit:
            raise GateError(f"{name} is {value:.4g}, over the limit of {limit:g}", code="fail_over")
    if "drift" in gates:
        judge_drift(evaluated.promises.drift if evaluated.promises else None, gates["drift"], teller)


def judge_drift(drift: Drift | None, limit: float, teller: Teller = SILENT) -> None:
    """Raises GateError where the drift is above its limit and beyond chance. A drift that cannot be measured is no
    alarm."""
    if drift is None or drift.least is None:
        why = "no promised MASE to hold the live one against" if drift is None else \
            "fewer than three forecasts that do not overlap can be scored"
        teller.warn("drift", f"is unknown: {why}")
        return
    if drift.ratio > limit and drift.least > 1:
        raise GateError(f"drift is {drift.ratio:.4g}, over the limit of {limit:g}", code="fail_over")
    if drift.ratio > limit:
        teller.say("drift", f"{drift.ratio:.4g} is over the limit of {limit:g}, but may be chance: at least "
                            f"{drift.least:.4g} with 95 % confidence")


def _given(given: DataSource, panel: Panel, reading: Reading, config: Config, run: Run | None, names: Sequence[str]
           ) -> tuple[pd.DataFrame, Scores, str]:
    """Score the forecasts of a file, a folder or a table, beside baselines: joined to the data by id and time, never by
    position."""
    from forecast.ledger.issued import beside, read_issued, side_by_side
    from forecast.scoring.backtest import evaluate as score

    issued = read_issued(given.name if given.is_database else Path(given.name), panel, reading.contract)
    known = panel.before(issued.first)
    season = season_of(run, config, known)
    frames = {"forecast": issued.frame} | {name: beside(issued, panel, name, season) for name in dict.fromkeys(names)}
    frame = side_by_side({name: part for name, part in frames.items() if len(part)})
    scores = score(frame, known, season=season, levels=issued.levels)
    return frame, scores, f"{shown_path(given.name)}: {truth_known(issued)}"


def truth_known(issued: Issued) -> str:
    """How many rows of a forecast can be scored."""
    return f"the truth is known for {issued.matched:,} of {counted(issued.rows, 'row')}"


def issued_scores(workspace: Workspace, request: Request, teller: Teller, source: DataSource, reading: Reading,
                  config: Config, run: Run | None) -> Evaluated:
    """Score what the ledger holds about this file. Of each cutoff the issue of the usual request counts. Beside it
    stand seasonal naive of the same cutoffs, and what the backtests of the runs promised."""
    from forecast.ledger.issue import by_weight
    from forecast.ledger.issued import beside_naive, came_true, known_before, side_by_side
    from forecast.scoring.backtest import evaluate as score
    from forecast.tasks import promises
    from forecast.tasks.issuing import tell_empty

    panel, ledger = reading.panel.with_values()[0], workspace.ledger
    tell_empty(teller, ledger)
    of_run = run if request.model is not None else None
    issues, left_out = promises.foretold(workspace, teller, promises.issues_about(workspace, source, reading.contract,
                                                                                  of_run))
    since = promises.since(request.last, panel)
    wanted = [i for i in by_weight(issues) if since is None or i.cutoff + i.horizon >= since.min()]
    bands = list(dict.fromkeys(x for issue in wanted for x in issue.levels))
    issued = came_true((block for issue in wanted for block in ledger.blocks(issue)), panel, levels=bands, since=since)
    how = f"{counted(len(wanted), 'issue')}: {truth_known(issued)}"
    _tell_issued(teller, how, issued, bands)
    unscored = Evaluated(request, source, reading, how, run.id if run else None, issued.frame, None,
                         {"issues": len(wanted), "rows": issued.rows, "matched": issued.matched,
                          "passed_over": sum(issued.passed.values()), "left_out": left_out})
    if not issued.matched:
        (teller.warn if request.gates else teller.say)("wait", "nothing to score yet" + (
            ": --fail-over was held against nothing" if request.gates else ""))
        return unscored
    known = known_before(issued, panel)
    season = season_of(run, config, known)
    naive = beside_naive(issued, panel, season)
    both = side_by_side({"issued": issued.frame, REFERENCE: naive})
    scores = score(both, known, season=season, levels=list(issued.levels))
    held = promises.held_to(workspace, issued, scores, known, beside=len(naive))
    return replace(unscored, scores=scores, promises=held)


def _tell_issued(teller: Teller, how: str, issued: Issued, bands: Sequence[float]) -> None:
    """What is scored, and what is not."""
    teller.say("scored", how)
    if issued.passed:
        rows, others = counted(sum(issued.passed.values()), "row"), counted(len(issued.passed), "issue")
        teller.say("passed over", f"{rows} of {others}: of one cutoff counts the newest of the request that was "
                                  "answered at the most cutoffs")
    if missing := [f"{x:g}%" for x in bands if x not in issued.levels]:
        teller.say("bands", f"{listed(missing)} not scored: not in every issue")


def season_of(run: Run | None, config: Config, known: Panel) -> int:
    """The m of MASE: the one given, else the model's, else that of the data."""
    return run.predictor.plan.season if run and not config.model.season else seasons_of(config, known)[0][0]


def _known(text: str, flag: str, known: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise RequestError(f"{flag}: there is no {unknown[0]}", code="bad_setting", hint=f"Known: {', '.join(known)}")
    return names
