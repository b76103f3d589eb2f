"""models: which runs there are, which of them serves, and how to change that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from forecast.errors import DiskError, ModelError, RequestError
from forecast.scoring.formulas import SIMPLE
from forecast.store.store import Promotion, Store
from forecast.system import clock
from forecast.system.durations import seconds_of
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace
from forecast.text import cell_name, counted, duration

if TYPE_CHECKING:
    from forecast.store.run import Run

NEWEST = 3                                                              # promotions shown with a run

# What needs numpy is imported by the functions that need it: a list need not wait for it.


@dataclass(frozen=True)
class Listed:
    """What a list says of a run; None for what a damaged one does not tell."""

    id: str
    name: str | None
    created: str | None
    serves: str | None              # the forecaster that does most of it
    mase: Any
    skill: Any
    data: str | None
    last: str | None                # time of the data

    @property
    def scores(self) -> tuple[str, str]:
        """MASE and skill as text."""
        from forecast.showing.tables import number

        mase, skill = self.mase, self.skill
        return (number(float(mase)) if isinstance(mase, (int, float)) else "-",
                f"{float(skill):+.0%}" if isinstance(skill, (int, float)) else "-")


@dataclass(frozen=True)
class Models:
    """The runs of a store, the oldest first."""

    store: Store
    live: str | None
    before: str | None              # what a rollback brings back
    runs: list[Listed]

    @property
    def is_live_there(self) -> bool:
        return self.live is None or self.live in [run.id for run in self.runs]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        models = [asdict(run) | {"live": run.id == self.live, "before": run.id == self.before} for run in self.runs]
        return {"store": str(self.store.folder), "live": self.live, "before": self.before, "models": models}


@dataclass(frozen=True)
class Shown:
    """All of one run."""

    run: Run
    listed: Listed
    is_live: bool
    promotions: list[Promotion]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**asdict(self.listed), "live": self.is_live, "folder": str(self.run.folder),
                "promotions": [asdict(p) for p in self.promotions], "plan": asdict(self.run.predictor.plan),
                "record": self.run.record.to_dict(), "metrics": self.run.metrics}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Labels and lines for people."""
        run, record, plan = self.run, self.run.record, self.run.predictor.plan
        model, data, (mase, skill) = run.predictor.config.model, record.data, self.listed.scores
        yield "model", run.id + ("  (live)" if self.is_live else "")
        yield "folder", str(run.folder)
        if record.name:
            yield "name", record.name
        yield "made", (f"{record.created} in {duration(float(record.seconds))}, seed {record.seed}, "
                       + ", ".join(f"{k} {v}" for k, v in record.versions.items()))
        yield "data", (f"{data.path or 'standard input or a data frame'}   {counted(data.rows, 'row')}, "
                       f"{counted(len(run.predictor.knowledge), 'series')}, {data.first} .. {data.last}")
        yield "plan", (f"horizon {plan.horizon}, context {plan.context} in segments of {plan.segment}, season "
                       f"{plan.season}, {cell_name(model.cell)} {model.layers}x{plan.hidden}")
        yield "serves", " + ".join(f"{name} {share:.0%}" for name, share in _largest(run.predictor.mean_shares))
        yield "scores", (f"MASE {mase}, skill {skill} over the better simple forecast" if self.listed.serves else
                         "too short for a backtest")
        if record.promotion:
            yield "promotion", record.promotion.reason
        for p in self.promotions[-NEWEST:]:
            yield p.how, f"{p.at}  {p.run}  ({f'before: {p.before}' if p.before else 'the first one'})"


@dataclass(frozen=True)
class Pruned:
    """What was removed and what is left: runs, and of the ledger issues and bytes (None: it was not asked for)."""

    removed: list[str]
    left: list[str]
    issues: dict[str, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"removed": self.removed, "left": self.left} | ({} if self.issues is None else {"issues": self.issues})


def models(workspace: Workspace) -> Models:
    """The runs of the store, unverified: a damaged one hides no other."""
    store = workspace.store
    live = store.live()
    return Models(store, live, store.before(live), [summary(store, run) for run in store.ids()])


def summary(store: Store, run: str) -> Listed:
    """What a list says of a run."""
    record, metrics = store.record(run), store.content(run, "metrics.json")
    scores, serving = _part(metrics, "models"), metrics.get("serves")
    served = serving if serving in scores else next((name for name in scores if name not in SIMPLE), "")
    own = _part(scores, served)
    return Listed(run, record.name, record.created or None, served or None, own.get("mase"), own.get("skill"),
                  record.data.path, record.data.last)


def _largest(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    """Those of a percent or more, the largest first."""
    return sorted(((name, share) for name, share in shares.items() if share >= 0.005), key=lambda pair: -pair[1])


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    part = content.get(key)
    return part if isinstance(part, dict) else {}


def show(workspace: Workspace, name: str) -> Shown:
    """All of one run. Raises ModelError."""
    run, store = workspace.run(name), workspace.store
    return Shown(run, summary(store, run.id), run.id == store.live(),
                 [p for p in store.history() if run.id in (p.run, p.before)])


def promote(workspace: Workspace, name: str, teller: Teller = SILENT, *, wait: str | None = None
            ) -> tuple[str | None, str | None]:
    """Make a run live, after its files have been checked: (live, before). Raises ModelError, BusyError, DiskError."""
    store = workspace.store
    store.find(name)                                                    # a name that is wrong needs no lock
    _check_begun(store)
    with workspace.locked(teller, wait):
        run, before = workspace.run(name), store.live()
        if run.folder.resolve() != (store.runs / run.id).resolve():
            raise ModelError(f"{name} is not a model of this store", file=str(store.folder), code="no_model",
                             hint="See which are: forecast models")
        store.promote(run.id, how="promote")
        return store.live(), before


def rollback(workspace: Workspace, teller: Teller = SILENT, *, wait: str | None = None
             ) -> tuple[str | None, str | None]:
    """Bring back what served before the live run: (live, before). Raises ModelError, BusyError, DiskError."""
    from forecast.store.run import load

    store = workspace.store
    _check_begun(store)
    with workspace.locked(teller, wait):
        before, back = store.live(), store.before(store.live())
        if back in store.ids():
            load(store.runs / str(back))                                # a damaged one must not go live
        store.rollback()
        return store.live(), before


def delete(workspace: Workspace, name: str, teller: Teller = SILENT, *, wait: str | None = None) -> Pruned:
    """Remove one run. Raises RequestError for the live one, ModelError, BusyError, DiskError."""
    store = workspace.store
    _check_begun(store)
    with workspace.locked(teller, wait):
        run = store.find(name).name
        if run not in store.ids():
            raise ModelError(f"{name} is not a model of this store", file=str(store.folder), code="no_model",
                             hint="See which are: forecast models")
        if run == store.live():
            raise RequestError(f"{run} is live, and the live model is not removed", code="is_live",
                               hint="Make another one live first: forecast models promote RUN, or rollback")
        store.remove(run)
        teller.say("removed", run)
        return Pruned([run], store.ids())


def prune(workspace: Workspace, teller: Teller = SILENT, *, keep: int | None = None, ledger: str | None = None,
          wait: str | None = None) -> Pruned:
    """Remove all runs but the newest `keep`, and what was issued longer ago than `ledger` ("2y"). None removes nothing.

    The live run and the one a rollback would bring back stay. Raises RequestError, ModelError, BusyError, DiskError."""
    store, before = workspace.store, None if ledger is None else long_ago(ledger)
    _check_begun(store)
    with workspace.locked(teller, wait):
        going = [] if keep is None else store.prunable(keep)
        for run in going:
            store.remove(run)
            teller.more("removed", run)
        left = store.ids()
        if keep is not None:
            teller.say("pruned", f"{counted(len(going), 'model')} removed, {counted(len(left), 'model')} left")
        return Pruned(going, left, None if before is None else _prune_ledger(workspace, teller, before))


def long_ago(span: str) -> str:
    """The stamp of the moment so long before now. Raises RequestError for what is no length of time."""
    now, seconds = clock.now(), seconds_of(span, "--ledger")
    return clock.stamp(now - timedelta(seconds=min(seconds, (now - now.replace(year=1)).total_seconds())))


def _check_begun(store: Store) -> None:
    if not store.folder.is_dir():
        raise ModelError("there are no models yet", file=str(store.folder), code="no_model",
                         hint="Train one: forecast train DATA")


def _prune_ledger(workspace: Workspace, teller: Teller, before: str) -> dict[str, int]:
    """How many issues went and are left, and how large the file was and is."""
    from forecast.ledger.adaptation import MOST

    ledger = workspace.ledger
    issues = ledger.issues()
    size = ledger.path.stat().st_size if issues else 0
    removed, left = ledger.prune(before, keep=MOST) if size else (0, 0)
    if removed:
        try:
            ledger.shrink()
        except DiskError as error:
            teller.warn("ledger", f"the issues are gone, and the file keeps its size: {error}")
    now = ledger.path.stat().st_size if size else 0
    teller.say("pruned", f"{counted(removed, 'issue')} made before {before} removed from the ledger, {left:,} left; "
                         f"{size / 1e6:.1f} MB -> {now / 1e6:.1f} MB")
    if stay := sum(issue.issued < before for issue in issues) - removed:
        teller.say("stay", f"{counted(stay, 'older issue')}: forecast times since then, or are of the newest "
                           f"{MOST} cutoffs of a file, from which --adapt learns")
    return {"removed": removed, "left": left, "bytes_before": size, "bytes": now}
