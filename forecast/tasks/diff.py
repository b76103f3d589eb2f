"""diff: why the newest forecast differs from the one before: new data, revised history, new model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from forecast.errors import DataError, RequestError
from forecast.ledger.issue import Issue
from forecast.ledger.ledger import Ledger
from forecast.ledger.reissue import BySeries, Plans, Step, taken_apart, total_of
from forecast.tasks.past import issue_named, made_again, made_by
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace


@dataclass(frozen=True)
class TakenApart:
    """The change from an older issue to a newer one, over the time steps that both tell of."""

    older: Issue
    newer: Issue
    changed: list[str]              # files that are no longer what was written
    steps: list[Step]               # a series each
    total: Step
    left_out: list[str]             # series without a common time
    series: int                     # of the older issue

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"old": self.older.id, "new": self.newer.id, "runs": [self.older.run, self.newer.run],
                "changed": self.changed, "total": asdict(self.total), "series": [asdict(s) for s in self.steps],
                "left_out": self.left_out}


def diff(workspace: Workspace, new: str = "last", old: str | None = None, data: str | None = None,
         teller: Teller = SILENT) -> TakenApart:
    """Take the difference of two issues apart; `old`: by default the one before `new`.

    The old model is run again on today's file, cut where the old issue was cut (what changes is revised history), then
    where the new one was (new data), then with what is known ahead now (new plans); then the new model (new model).
    Raises RequestError, DataError, ModelError."""
    ledger = workspace.ledger
    newer, new_untouched = issue_named(workspace, new)
    older, old_untouched = issue_named(workspace, old) if old else (before(ledger, newer), True)
    old_run, _ = made_by(workspace, older, data)
    new_run, reading = made_by(workspace, newer, data)
    runs, panel = {older.run: old_run, newer.run: new_run}, reading.panel

    was, now = BySeries.kept(ledger.blocks(older)), BySeries.kept(ledger.blocks(newer))

    def again(issue: Issue, ends: dict[str, int], *plans: Plans) -> BySeries:
        return made_again(runs[issue.run], issue, panel, ends, *plans)

    carried = again(older, now.ends, was.plans, now.plans)              # the old plans, as far as they reach
    planned = again(older, now.ends, now.plans) if was.plans or now.plans else carried
    chain = [was, again(older, was.ends, was.plans), carried, planned, again(newer, now.ends, now.plans), now]
    places = [issue.quantiles.index(0.5) for issue in (older, older, older, older, newer, newer)]
    steps = taken_apart(chain, places)
    if not steps:
        raise DataError(f"{older.id} and {newer.id} tell of no common time of any series", code="nothing_common",
                        hint="Name another OLD issue")
    total = total_of(steps)
    changed = [str(name) for name, untouched in ((old, old_untouched), (new, new_untouched)) if not untouched]
    for name in changed:
        teller.warn("changed", f"{name} is no longer what was written: compared is what the ledger kept of its issue")
    for label, issue in (("old", older), ("new", newer)):
        teller.say(label, f"{issue.id}   after {issue.cutoff_text}, run {issue.run}")
    return TakenApart(older, newer, changed, steps, total, sorted(set(was.ends) ^ {s.series for s in steps}),
                      len(was.ends))


def before(ledger: Ledger, issue: Issue) -> Issue:
    """The issue before this one about the same file and the same part of its series, of another cutoff or another run.
    Raises RequestError."""
    def part(other: Issue) -> tuple[object, ...]:
        return other.place, other.subject, other.options.series, other.options.shard

    earlier = [i for i in ledger.issues() if i.number < issue.number and i.place == issue.place]
    alike = [i for i in earlier if part(i) == part(issue)]
    if others := [i for i in alike if (i.cutoff, i.run, i.fingerprint) != (issue.cutoff, issue.run, issue.fingerprint)]:
        return others[-1]
    why = "it is the first of its file" if not earlier else \
        "those before it tell of other columns, other --series or another --shard" if not alike else \
        "those before it say the same: neither the data nor the model had changed"
    raise RequestError(f"there is no issue to compare {issue.id} with: {why}", code="no_issue",
                       hint="Name OLD: forecast diff NEW OLD" if earlier and not alike else
                            "Forecast again when the data have grown")
