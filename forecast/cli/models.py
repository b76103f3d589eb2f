"""forecast models: which runs there are, which of them serves, and how to change that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import Session, command

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.registry import Store

ACTIONS = ("list", "show", "promote", "rollback", "prune")
NAMING = ("show", "promote")                                            # actions on one run
LIKELY = 3                                                              # promotions shown with a run


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "models")(models)


def models(
    session: Session,
    action: Annotated[str, typer.Argument(metavar="[" + "|".join(ACTIONS) + "]", show_default=False,
                                          help="what to do; list by default")] = "list",
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", show_default=False,
                                              help="for show and promote: id, its beginning, --name, live")] = None,
    keep: Annotated[int | None, typer.Option(metavar="N", min=0, show_default=False,
                                             help="for prune: how many of the newest runs stay")] = None,
    ledger: Annotated[str | None, typer.Option(metavar="SPAN", show_default=False, help="for prune: forecasts issued "
                                               "longer ago leave the ledger: 2y, 400d")] = None,
    wait: Annotated[str | None, typer.Option(metavar="TIME", show_default=False,
                                             help="wait so long for another run to end: 30s, 10m, 2h")] = None,
) -> int:
    """List the models of the store, or change which one serves.

    show tells all of one. promote makes it live, after its files have been checked. rollback brings back the one that
    served before; again, and it is the one before that. prune --keep N removes all but the newest N; the live one and
    the one a rollback would bring back always stay. prune --ledger 2y removes what was issued longer ago from the
    ledger, but for what reaches into the time since, and the newest 100 cutoffs of each file."""
    from forecast.cli.console import Console
    from forecast.cli.locking import locked
    from forecast.errors import RequestError
    from forecast.registry import Store

    if action not in ACTIONS:
        raise RequestError(f"models {action}: takes one of {', '.join(ACTIONS)}", code="bad_setting")
    if (run is not None) != (action in NAMING):
        raise RequestError(f"models {action} {'needs a RUN' if action in NAMING else 'takes no RUN'}", code="usage",
                           hint="forecast models lists them")
    if ((keep, ledger) != (None, None)) != (action == "prune"):
        raise RequestError("models prune needs --keep N or --ledger SPAN" if action == "prune" else
                           f"--{'ledger' if keep is None else 'keep'} is for prune, not {action}", code="usage",
                           hint="As in forecast models prune --keep 5")
    before = _long_ago(ledger)
    console, store = Console(session), Store(session.store_folder)
    if action in ("list", "show"):
        _list(console, store) if action == "list" else _show(console, store, str(run))
        return 0
    work: dict[str, Callable[[], None]] = {
        "promote": lambda: _promote(console, store, str(run)), "rollback": lambda: _rollback(console, store),
        "prune": lambda: _prune(console, store, keep, before)}
    if action == "promote":
        store.find(str(run))                                            # a name that is wrong needs no lock
    if not store.folder.is_dir():
        raise _nothing(store)
    with locked(console, store, wait):
        work[action]()
    return 0


def _nothing(store: Store) -> Exception:
    from forecast.errors import ModelError

    return ModelError("there are no models yet", file=str(store.folder), code="no_model",
                      hint="Train one: forecast train DATA")


def summary(store: Store, run_id: str) -> dict[str, Any]:
    """What a list says of a run; None for what a damaged one does not tell."""
    record, scores = store.told(run_id, "run.json"), _part(store.told(run_id, "metrics.json"), "models")
    served = next((name for name in scores if name != "seasonal_naive"), "")
    own, data = _part(scores, served), _part(record, "data")
    return {"id": run_id, "name": record.get("name"), "created": record.get("created"), "serves": served or None,
            "mase": own.get("mase"), "skill": own.get("skill"), "data": data.get("path"), "last": data.get("last")}


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    part = content.get(key)
    return part if isinstance(part, dict) else {}


def _list(console: Console, store: Store) -> None:
    from forecast.display import safe
    from forecast.report import number, plain_table

    live = store.live()
    before = store.before(live)
    entries = [summary(store, i) | {"live": i == live, "before": i == before} for i in store.ids()]
    rows = [[entry["id"], "live" if entry["live"] else "before" if entry["before"] else "", safe(entry["name"] or ""),
             _number(entry["mase"], number), _number(entry["skill"], lambda v: f"{v:+.0%}"),
             safe(entry["serves"] or ""), safe(entry["last"] or "")] for entry in entries]
    if rows:
        console.table(plain_table(["model", "", "name", "MASE", "skill", "serves", "data to"], rows))
    else:
        console.say("models", f"none yet in {store.folder}; train one: forecast train DATA")
    if live is not None and live not in [entry["id"] for entry in entries]:
        console.warn("live", f"{live} is named as live, and is no whole model here; forecast doctor says more")
    console.document({"store": str(store.folder), "live": live, "before": before, "models": entries})


def _number(value: object, written: Callable[[float], str]) -> str:
    return written(float(value)) if isinstance(value, (int, float)) else "-"


def _show(console: Console, store: Store, name: str) -> None:
    from forecast.artifact import load
    from forecast.display import counted, duration
    from forecast.report import number

    run = load(store.find(name))
    entry, plan, record = summary(store, run.id), run.predictor.plan, run.record
    history = [asdict(p) for p in store.history() if run.id in (p.run, p.before)]
    live = store.live()
    console.document({**entry, "live": run.id == live, "folder": str(run.folder), "promotions": history,
                      "plan": asdict(plan), "record": record, "metrics": run.metrics})
    data, versions = record["data"], record.get("versions", {})
    for label, text in (
            ("model", run.id + ("  (live)" if run.id == live else "")),
            ("folder", str(run.folder)),
            ("name", record.get("name")),
            ("made", f"{record['created']} in {duration(float(record.get('seconds') or 0))}, seed "
                     f"{record.get('seed')}, " + ", ".join(f"{k} {v}" for k, v in versions.items())),
            ("data", f"{data['path'] or 'standard input'}   {counted(data.get('rows') or 0, 'row')}, "
                     f"{counted(len(run.predictor.seen), 'series')}, {data.get('first')} .. {data.get('last')}"),
            ("plan", f"horizon {plan.horizon}, context {plan.context} in segments of {plan.segment}, season "
                     f"{plan.season}, {run.predictor.config.model.cell.upper()} "
                     f"{run.predictor.config.model.layers}x{plan.hidden}"),
            ("scores", f"MASE {_number(entry['mase'], number)}, skill "
                       f"{_number(entry['skill'], lambda v: f'{v:+.0%}')} over seasonal naive, mostly "
                       f"{entry['serves']}" if entry["serves"] else "too short for a backtest"),
            ("promotion", (record.get("promotion") or {}).get("reason")),
            *((p["how"], f"{p['at']}  {p['run']}  (before: {p['before']})") for p in history[-LIKELY:])):
        if text:
            console.result(f"{label:<10} {text}")


def _promote(console: Console, store: Store, name: str) -> None:
    from forecast.artifact import load
    from forecast.errors import ModelError

    run, before = load(store.find(name)), store.live()
    if run.folder.resolve() != (store.runs / run.id).resolve():
        raise ModelError(f"{name} is not a model of this store", file=str(store.folder), code="no_model",
                         hint="See which are: forecast models")
    store.promote(run.id, how="promote")
    _say_live(console, store, before)


def _rollback(console: Console, store: Store) -> None:
    from forecast.artifact import load

    before, back = store.live(), store.before(store.live())
    if back in store.ids():
        load(store.runs / str(back))                                    # a damaged one must not go live
    store.rollback()
    _say_live(console, store, before)


def _say_live(console: Console, store: Store, before: str | None) -> None:
    live = store.live()
    same = live == before
    console.say("model", f"{live}  {'was live before' if same else 'is now live'}"
                + (f"   (before: {before})" if before and not same else ""))
    console.document({"live": live, "before": before})


def _long_ago(span: str | None) -> str | None:
    """The stamp of the moment before which --ledger removes. Raises RequestError for what is no span."""
    from datetime import timedelta

    from forecast import clock
    from forecast.durations import seconds_of

    if span is None:
        return None
    now, seconds = clock.now(), seconds_of(span, "--ledger")
    return clock.stamp(now - timedelta(seconds=min(seconds, (now - now.replace(year=1)).total_seconds())))


def _prune(console: Console, store: Store, keep: int | None, before: str | None) -> None:
    from forecast.display import counted

    going = [] if keep is None else store.prunable(keep)
    for run_id in going:
        store.remove(run_id)
        console.more("removed", run_id)
    left = store.ids()
    if keep is not None:
        console.say("pruned", f"{counted(len(going), 'model')} removed, {counted(len(left), 'model')} left")
    issues = None if before is None else _prune_ledger(console, store, before)
    console.document({"removed": going, "left": left} | ({} if issues is None else {"issues": issues}))


def _prune_ledger(console: Console, store: Store, before: str) -> dict[str, int]:
    """How many issues went and are left, and how large the file was and is."""
    from forecast.adaptation import MOST
    from forecast.display import counted
    from forecast.errors import DiskError
    from forecast.ledger import FILE, Ledger

    ledger = Ledger(store.folder / FILE)
    issues = ledger.issues()
    size = ledger.path.stat().st_size if issues else 0
    removed, left = ledger.prune(before, keep=MOST) if size else (0, 0)
    if removed:
        try:
            ledger.shrink()
        except DiskError as error:
            console.warn("ledger", f"the issues are gone, and the file keeps its size: {error}")
    now = ledger.path.stat().st_size if size else 0
    console.say("pruned", f"{counted(removed, 'issue')} made before {before} removed from the ledger, {left:,} left; "
                          f"{size / 1e6:.1f} MB -> {now / 1e6:.1f} MB")
    if stay := sum(issue.issued < before for issue in issues) - removed:
        console.say("stay", f"{counted(stay, 'older issue')}: forecast times since then, or are of the newest "
                            f"{MOST} cutoffs of a file, from which --adapt learns")
    return {"removed": removed, "left": left, "bytes_before": size, "bytes": now}
