"""forecast evaluate: a rolling-origin backtest that never scores a model on what it has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import MODEL, READING, Session, command, guard
from forecast.formulas import METRICS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from forecast.artifact import Run
    from forecast.backtesting import Scores
    from forecast.cli.console import Console
    from forecast.config import Config
    from forecast.contract import Contract
    from forecast.issued import Drift, Issued
    from forecast.ledger import Issue, Ledger
    from forecast.reader import Reading
    from forecast.series import Ints, Panel

GATED = ("mae", "rmse", "mase", "smape", "wape", "wql")                 # one number a forecaster, the less the better
ALARM = 1.1                                                             # times the promised MASE, and beyond chance
BACKTEST = ("backtest.windows", "backtest.step", "backtest.test_size", "backtest.refit")


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "evaluate", settings=(*BACKTEST, *READING, *MODEL, "train.final_fit"), after=formulas())(evaluate)


def formulas() -> str:
    """The metrics for --help, a line each; \\b keeps the lines as they are."""
    return "\b\n" + "\n".join(f"{name:<9} {metric.formula}" for name, metric in METRICS.items())


def evaluate(
    session: Session,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", show_default=False,
                                               help="CSV file; by default the one the model was trained on")] = None,
    model: Annotated[str | None, typer.Option(metavar="RUN", show_default=False,
                                              help="the model whose settings are scored; live, or none at all")] = None,
    baselines: Annotated[str, typer.Option(metavar="NAME[,NAME]",
                                           help="forecasters to stand beside it")] = "seasonal_naive,naive",
    metrics: Annotated[str | None, typer.Option(metavar="NAME[,NAME]", show_default=False,
                                                help="metrics to write; all by default")] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PATH.json",
                                        help="scores; a .csv of every series beside it")] = "metrics.json",
    predictions: Annotated[str | None, typer.Option(metavar="PATH", help="write every backtest forecast")] = None,
    forecast: Annotated[str | None, typer.Option(metavar="OLD.csv", help="score this file of forecasts")] = None,
    issued: Annotated[bool, typer.Option("--issued", help="score what predict issued, from the ledger")] = False,
    last: Annotated[str | None, typer.Option(metavar="SPAN", help="with --issued: only what was forecast of the last "
                                             "30d (or 36h), or N steps of the data")] = None,
    accept_scale: Annotated[bool, typer.Option("--accept-scale", help="score even where the newest values of a series "
                                               "have the size of another unit")] = False,
    fail_over: Annotated[list[str] | None, typer.Option(metavar="METRIC=X", help="exit 6 where a metric is above X; "
                                                        "drift: live MASE over the promised one")] = None,
) -> int:
    """Score a forecaster on what came after rolling cutoffs, beside simple baselines.

    On the file a model was trained on, its settings are fitted anew on what stood before the first cutoff. On data
    that came after its training, the model is scored as it is.

    Metrics, per series and then averaged (y truth, f forecast):
    """
    from forecast import hardware

    hardware.prepare(threads=1)
    from forecast.cache import read_cached
    from forecast.cli.console import Console
    from forecast.cli.fitting import REFERENCE, say_settings, scores_record, show_scores
    from forecast.cli.predict import training_file
    from forecast.errors import RequestError
    from forecast.layout import check_ending

    if predictions:
        check_ending(predictions)
    if not output.endswith(".json"):
        raise RequestError(f"-o {output}: scores are written as .json", code="bad_ending")
    if (issued and forecast) or (last and not issued):
        raise RequestError("--last goes with --issued" if last and not issued else
                           "--issued and --forecast both say what to score", code="bad_setting")
    gates = _gates(fail_over or [], issued=issued)
    wanted = _known(metrics or ",".join(METRICS), "--metrics", list(METRICS))
    names = _known(baselines, "--baselines", _baseline_names())
    console, run = Console(session), _run(session, model)
    config = _settings(session, run)
    if data is not None:
        file = session.data(data)
    elif run is not None:
        file = training_file(session, run)
    else:
        raise RequestError("there is no model yet, so DATA must be named", code="no_data",
                           hint="forecast evaluate DATA")
    written = session.path(output), session.path(output).with_suffix(".csv")
    given = session.path(forecast) if forecast else None
    guard([*written, session.path(predictions) if predictions else None], [file, given])
    say_settings(console, session)
    reading = read_cached(file, config.data, contract=run.contract if run else None, store=session.store_folder)
    if not accept_scale:
        reading.check_scale()
    console.reading(reading)
    panel, _ = reading.panel.with_values()
    if issued:
        return _evaluate_issued(session, console, Asked(file, model, last, written, predictions, wanted, gates),
                                reading, panel, config, run)
    if given:
        frame, scores, how = _given(given, panel, reading.contract, config, run)
    else:
        frame, scores, how = _backtested(console, run, config, panel, [REFERENCE, *names])
    console.say("scored", how)
    show_scores(console, scores, list(panel.ids))
    record = {"data": str(file), "how": how, "run": run.id if run else None} | scores_record(scores, wanted)
    _write(console, record, scores, panel, written, wanted)
    if predictions:
        _write_predictions(session.path(predictions), frame, panel, reading.contract)
        console.wrote(session.path(predictions), f"{len(frame):,} rows")
    console.document(record)
    return _judge(scores, gates)


def _run(session: Session, model: str | None) -> Run | None:
    """The model named, or the live one where there is one."""
    from forecast.artifact import load
    from forecast.registry import Store

    store = Store(session.store_folder)
    if model is None and store.live() is None:
        return None
    return load(store.find(model or "live"))


def _settings(session: Session, run: Run | None) -> Config:
    """The run's settings, with what this call gives over them."""
    return session.config() if run is None else run.predictor.config.override(session.given(), source="command line")


def _backtested(console: Console, run: Run | None, config: Config, panel: Panel, names: list[str]
                ) -> tuple[pd.DataFrame, Scores, str]:
    from forecast.cli.fitting import backtest_plan, baseline_makers, expected, fitted, scored
    from forecast.display import counted

    cutoffs = _unseen(run, config, panel) if run else None
    if run and cutoffs:
        predictor = run.predictor
        plan, how = predictor.plan, f"{run.id} as it is: every test point is newer than its training data"
        makers: dict[str, Any] = {predictor.name: lambda known: predictor}
    else:
        cutoffs, known, plan = backtest_plan(console, config, panel)
        how = (f"settings of {run.id}" if run else "settings given") + ", fitted before the first cutoff"
        if config.backtest.refit == "each":
            how += " and anew at each"
            makers = {config.model.cell: lambda known: fitted(console, config, known, title="training")}
        else:
            rounds = 2 if config.train.final_fit else 1
            expected(console, config, known, rounds=rounds, plan=plan)
            fit = fitted(console, config, known, title="training", rounds=rounds, plan=plan)
            makers = {fit.name: lambda known: fit}
    makers |= baseline_makers(list(dict.fromkeys(names)), plan.season, config.model.levels)
    season = config.model.season[0] if config.model.season else plan.season
    frame, scores = scored(panel, makers, plan=plan, cutoffs=cutoffs, levels=config.model.levels,
                           refit=config.backtest.refit, season=season)
    return frame, scores, f"{counted(len(cutoffs), 'window')} of {plan.horizon} steps; {how}"


def _unseen(run: Run, config: Config, panel: Panel) -> list[int] | None:
    """Cutoffs whose tests all lie behind what the model has seen; None where the data hold no such test, or other
    settings were asked for than the model has (where it computes apart).

    A series that the model has not seen counts as wholly new."""
    from forecast.errors import RequestError
    from forecast.plan import backtest_cutoffs
    from forecast.promotion import unseen_steps

    predictor, asked = run.predictor, config.backtest
    same_place = replace(config.train, device=predictor.config.train.device, threads=predictor.config.train.threads)
    if (config.model, same_place) != (predictor.config.model, predictor.config.train):
        return None
    new = min(unseen_steps(predictor, panel), int(panel.lengths.max(initial=0)))
    horizon = predictor.plan.horizon
    if new < horizon:
        return None
    if asked.windows is None and asked.test_size is None:
        step = asked.step or horizon
        return [horizon + k * step for k in reversed(range(min(4, (new - horizon) // step + 1)))]
    try:
        cutoffs = backtest_cutoffs(config, panel, predictor.plan)
    except RequestError:
        return None
    return cutoffs if cutoffs and cutoffs[0] <= new else None


def _given(path: Path, panel: Panel, contract: Contract, config: Config, run: Run | None
           ) -> tuple[pd.DataFrame, Scores, str]:
    """Score a file of forecasts: its rows are joined to the data by id and time, never by position."""
    from forecast.backtesting import evaluate as score
    from forecast.issued import read_issued
    from forecast.plan import seasons_of

    issued = read_issued(path, panel, contract)
    known = panel.before(issued.first)
    season = run.predictor.plan.season if run and not config.model.season else seasons_of(config, known)[0][0]
    scores = score(issued.frame, known, season=season, levels=issued.levels)
    return issued.frame, scores, f"{path}: {issued.matched:,} of {issued.rows:,} rows have come true"


@dataclass(frozen=True)
class Asked:
    """What was asked of --issued."""

    file: str | Path
    model: str | None
    last: str | None
    written: tuple[Path, Path]
    predictions: str | None
    wanted: list[str]
    gates: dict[str, float]


def _evaluate_issued(session: Session, console: Console, asked: Asked, reading: Reading, panel: Panel, config: Config,
                     run: Run | None) -> int:
    """Score what the ledger holds about this file: of each cutoff the issue of the usual request, beside seasonal
    naive of the same cutoffs, and beside what the backtests of the runs promised."""
    import numpy as np
    import pandas as pd

    from forecast.backtesting import evaluate as score
    from forecast.cli.fitting import REFERENCE, scores_record, show_scores
    from forecast.cli.issuing import say_empty
    from forecast.display import counted, listed
    from forecast.issued import beside_naive, came_true, known_before
    from forecast.ledger import FILE, Ledger, by_weight
    from forecast.plan import seasons_of

    ledger = Ledger(session.store_folder / FILE)
    say_empty(console, ledger)
    issues, left_out = _foretold(session, console, _issues_about(ledger, session, asked, reading.contract, run))
    since = _since(asked.last, panel)
    wanted = [i for i in by_weight(issues) if since is None or i.cutoff + i.horizon >= since.min()]
    bands = list(dict.fromkeys(x for issue in wanted for x in issue.levels))
    told = came_true((block for issue in wanted for block in ledger.blocks(issue)), panel, levels=bands, since=since)
    levels = list(told.levels)
    how = f"{counted(len(wanted), 'issue')}: {told.matched:,} of {told.rows:,} rows have come true"
    console.say("scored", how)
    if told.passed:
        rows, others = counted(sum(told.passed.values()), "row"), counted(len(told.passed), "issue")
        console.say("passed over", f"{rows} of {others}: of one cutoff counts the newest of the request that was "
                                   "answered at the most cutoffs")
    if missing := [f"{x:g}%" for x in bands if x not in levels]:
        console.say("bands", f"{listed(missing)} not scored: not in every issue")
    record: dict[str, Any] = {"data": str(asked.file), "how": how, "issues": len(wanted), "rows": told.rows,
                              "matched": told.matched,
                              "passed_over": sum(told.passed.values()), "left_out": left_out}
    if not told.matched:
        (console.warn if asked.gates else console.say)("wait", "nothing to score yet" + (
            ": --fail-over was held against nothing" if asked.gates else ""))
        console.document(record)
        return 0
    known = known_before(told, panel)
    season = run.predictor.plan.season if run and not config.model.season else seasons_of(config, known)[0][0]
    naive, speakers = beside_naive(told, panel, season), pd.Index(["issued", REFERENCE])
    both = [frame.assign(model=pd.Categorical.from_codes(np.full(len(frame), k), speakers), source=None)
            for k, frame in enumerate([told.frame, naive])]
    scores = score(pd.concat(both, ignore_index=True), known, season=season, levels=levels)
    show_scores(console, scores, list(panel.ids))
    kept, drift = _held_to_promises(console, session, told, scores, known, season)
    record |= {"run": run.id if run else None, "cutoffs": int(told.frame["cutoff"].nunique()), "beside": len(naive)}
    record |= kept | scores_record(scores, asked.wanted)
    _write(console, record, scores, panel, asked.written, asked.wanted)
    if asked.predictions:
        _write_predictions(session.path(asked.predictions), told.frame, panel, reading.contract)
        console.wrote(session.path(asked.predictions), f"{told.matched:,} rows")
    console.document(record)
    _judge(scores, {name: limit for name, limit in asked.gates.items() if name != "drift"})
    return _judge_drift(console, drift, asked.gates.get("drift"))


def _held_to_promises(console: Console, session: Session, told: Issued, scores: Scores, known: Panel, season: int
                      ) -> tuple[dict[str, Any], Drift | None]:
    """What came true beside what the backtests of its runs promised, said and for the record; and the drift, where it
    can be told."""
    from forecast.backtesting import evaluate as score
    from forecast.issued import drift_of

    levels = list(told.levels)
    promised, runs = _promises(session, score(told.frame, known, season=season, levels=levels))
    held = told.frame[told.frame["model"].isin([name for name, r in runs.items() if r["compared"]])]
    live = {str(k): v for k, v in scores.summary.iloc[0].items()}
    if 0 < len(held) < len(told.frame):                                 # what no backtest promised is held against none
        beside = score(held.assign(model="issued"), known, season=season, levels=levels)
        live |= {str(k): v for k, v in beside.summary.iloc[0].items() if _is_promise(str(k)) and k != "bias"}
    drift = None
    if promised.get("mase") and live["mase"] == live["mase"]:
        drift = drift_of(held, known, season=season, live=live["mase"], promised=promised["mase"],
                         windows=min(r["windows"] for r in runs.values() if r["compared"]),
                         horizon=int(held["step"].max()))
    _say_promises(console, live, promised, runs, drift, levels)
    return {"compared": len(held), "promised": promised, "runs": runs,
            "drift": None if drift is None else {"ratio": drift.ratio, "least": drift.least}}, drift


def _issues_about(ledger: Ledger, session: Session, asked: Asked, contract: Contract, run: Run | None) -> list[Issue]:
    """Issues about this file, the oldest first; with --model those of that run, whatever file it read. Raises
    RequestError where there are none."""
    import os
    from pathlib import Path

    from forecast.errors import RequestError
    from forecast.ledger import STDIN, subject_of

    issues = ledger.issues()
    if asked.model is not None and run is not None:
        found, whose = [i for i in issues if i.run == run.id], run.id
    else:
        path = None if str(asked.file) == STDIN else Path(asked.file).resolve()
        places = {STDIN} if path is None else {str(path), os.path.relpath(path, session.store_folder.resolve())}
        found, whose = [i for i in issues if {i.data, i.place} & places], str(asked.file)
    found = [i for i in found if i.subject == subject_of(contract)]
    if not found:
        others = list(dict.fromkeys(i.data for i in reversed(issues)))
        raise RequestError(f"{whose}: no forecast of these series was issued", code="no_issue",
                           hint="forecast predict issues them" if not others else
                           f"There are some of {', '.join(others[:3])}; --model RUN takes all of a run")
    return found


def _foretold(session: Session, console: Console, issues: list[Issue]) -> tuple[list[Issue], dict[str, int]]:
    """The issues whose run had not seen the truth; how many others there are, which is said. Only --as-of can ask a run
    of what it has seen, and what a run had seen that is gone is unknown."""
    from forecast.artifact import load
    from forecast.display import counted
    from forecast.errors import ModelError
    from forecast.registry import Store

    store, seen = Store(session.store_folder), dict[str, dict[str, int] | None]()
    for name in {i.run for i in issues if i.as_of is not None}:
        try:
            seen[name] = load(store.find(name)).predictor.seen
        except ModelError:
            seen[name] = None
    kept, left_out = [], {"hindsight": 0, "unknown": 0}
    for issue in issues:
        of_run = {} if issue.as_of is None else seen[issue.run]
        if of_run is None:
            left_out["unknown"] += 1
        elif issue.in_hindsight(of_run):
            left_out["hindsight"] += 1
        else:
            kept.append(issue)
    for why, words in (("hindsight", "made --as-of a time whose future their run had seen"),
                       ("unknown", "made --as-of a time, by a run that is gone: what it had seen is unknown")):
        if left_out[why]:
            console.say("left out", f"{counted(left_out[why], 'issue')} {words}")
    return kept, left_out


def _since(last: str | None, panel: Panel) -> Ints | None:
    """The first ordinal of each series that --last reaches. Raises RequestError."""
    if last is None:
        return None
    import numpy as np

    from forecast.durations import seconds_of
    from forecast.errors import RequestError

    if last.isdigit():
        return panel.newest - int(last)
    if not panel.calendar.is_time:
        raise RequestError(f"--last {last}: integer steps have no length in time", code="bad_setting",
                           hint="Give a number of steps: --last 30")
    back = np.timedelta64(int(min(seconds_of(last, "--last"), 1e11) * 1e6), "us")
    newest = panel.calendar.times(panel.newest - 1).astype("datetime64[us]")
    since: Ints = panel.calendar.nearest(newest - back) + 1
    return since


def _promises(session: Session, by_run: Scores) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """What the backtests of the runs promised, weighed by how many of their rows have come true; and, of each run,
    what it promised, what came of it, and whether it is `compared`: one whose backtest is not there cannot be."""
    from forecast.artifact import load
    from forecast.errors import ModelError
    from forecast.registry import Store

    store, runs = Store(session.store_folder), dict[str, dict[str, Any]]()
    for live in by_run.summary.to_dict("records"):
        name = str(live["model"])
        try:
            metrics = load(store.find(name)).metrics
        except ModelError:
            metrics = {}                                                # gone since
        said: dict[str, Any] = next(iter(metrics.get("models", {}).values()), {})
        shown = {k: float(v) for k, v in said.items() if _is_promise(str(k)) and isinstance(v, (int, float))}
        runs[name] = {"rows": live["rows"], "windows": int(metrics.get("windows", 0)), "promised": shown,
                      "live": {str(k): v for k, v in live.items() if _is_promise(str(k))}}
    by_mase = any("mase" in r["promised"] for r in runs.values())
    for r in runs.values():
        r["compared"] = "mase" in r["promised"] if by_mase else bool(r["promised"])
    told = [r for r in runs.values() if r["compared"]]
    shared = set.intersection(*(set(r["promised"]) for r in told)) if told else set()
    rows = sum(r["rows"] for r in told)
    return {key: sum(r["rows"] * r["promised"][key] for r in told) / rows for key in sorted(shared)}, runs


def _is_promise(name: str) -> bool:
    return name in ("mase", "mae", "bias") or name.startswith("coverage_")


def _say_promises(console: Console, live: dict[str, Any], promised: dict[str, float], runs: dict[str, dict[str, Any]],
                  drift: Drift | None, levels: list[float]) -> None:
    """Live beside promised: MASE, bias, what the bands cover; each run where there are several; the alarm."""
    from forecast.report import number, percent

    console.result(f"bias          {number(live['bias'])} (above 0: too much was forecast)")
    if not promised:
        console.result("promised      unknown: no backtest of these runs is there")
    else:
        told = [f"MASE {number(live['mase'])} live, {number(promised['mase'])} promised"] if "mase" in promised else []
        told += [f"{x:g}% covers {percent(live[key])} live, {percent(promised[key])} promised" for x in levels
                 if (key := f"coverage_{x:g}") in promised]
        console.result("backtest      " + "   ".join(told))
    if promised and (without := sum(r["rows"] for r in runs.values() if not r["compared"])):
        console.result(f"without       {without:,} rows are of runs whose backtest is not there: not compared")
    for name, run in sorted(runs.items())[-5:] if len(runs) > 1 else []:
        said = run["promised"].get("mase")
        console.result(f"{name}   {run['rows']:,} rows   MASE {number(run['live']['mase'])} live, "
                       f"{'?' if said is None else number(said)} promised")
    if drift is not None and drift.least is not None and drift.least > 1 and drift.ratio > ALARM:
        console.warn("drift", f"MASE is {drift.ratio:.2f} times what the backtests promised, at least "
                              f"{drift.least:.2f} times with 95 % confidence: train anew")


def _known(text: str, flag: str, known: list[str]) -> list[str]:
    from forecast.errors import RequestError

    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise RequestError(f"{flag}: there is no {unknown[0]}", code="bad_setting", hint=f"Known: {', '.join(known)}")
    return names


def _baseline_names() -> list[str]:
    from forecast.baselines import BASELINES

    return list(BASELINES)


def _write(console: Console, record: dict[str, Any], scores: Scores, panel: Panel, paths: tuple[Path, Path],
           wanted: list[str]) -> None:
    """metrics.json, and metrics.csv with a row for each forecaster and series."""
    import pyarrow as pa

    from forecast.cli.fitting import is_wanted
    from forecast.layout import write_table
    from forecast.storage import to_json, write_text

    keep = [c for c in map(str, scores.per_series) if c in ("model", "series", "n") or is_wanted(c, wanted)]
    table = scores.per_series[keep].assign(series=[str(panel.ids[s]) for s in scores.per_series["series"]])
    write_text(paths[0], to_json(record))
    write_table(pa.Table.from_pandas(table, preserve_index=False), paths[1])
    for path in paths:
        console.wrote(path)


def _write_predictions(path: Path, frame: pd.DataFrame, panel: Panel, contract: Contract) -> None:
    from forecast.layout import backtest_table, is_typed, write_table

    write_table(backtest_table(frame, panel, contract, typed=is_typed(str(path))), path)


def _gates(texts: list[str], *, issued: bool = False) -> dict[str, float]:
    """{"mase": 1.0} from "mase=1.0". Raises RequestError."""
    from forecast.errors import RequestError

    gates, gated = {}, (*GATED, "drift") if issued else GATED
    for text in texts:
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


def _judge(scores: Scores, gates: dict[str, float]) -> int:
    """0, or GateError where the first forecaster's metric is above its limit (or not defined)."""
    from forecast.errors import GateError

    own = {str(k): v for k, v in scores.summary.iloc[0].items()}
    for name, limit in gates.items():
        value = own.get(name)
        if value is None or value != value:
            raise GateError(f"{name} is not defined, so not within the limit of {limit:g}", code="fail_over")
        if value > limit:
            raise GateError(f"{name} is {value:.4g}, over the limit of {limit:g}", code="fail_over")
    return 0


def _judge_drift(console: Console, drift: Drift | None, limit: float | None) -> int:
    """0, or GateError where the drift is above its limit and beyond chance. One that cannot be told is no alarm."""
    from forecast.errors import GateError

    if limit is None:
        return 0
    if drift is None or drift.least is None:
        why = "no promised MASE to hold the live one against" if drift is None else \
            "fewer than three forecasts that do not overlap have come true"
        console.warn("drift", f"cannot be told: {why}")
        return 0
    if drift.ratio > limit and drift.least > 1:
        raise GateError(f"drift is {drift.ratio:.4g}, over the limit of {limit:g}", code="fail_over")
    if drift.ratio > limit:
        console.say("drift", f"{drift.ratio:.4g} is over the limit of {limit:g}, but may be chance: at least "
                             f"{drift.least:.4g} with 95 % confidence")
    return 0
