"""replay: a past output made again from the same run and the same data, and whether it is identical."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from forecast import __version__
from forecast.errors import GateError
from forecast.ledger.issue import Issue
from forecast.ledger.reissue import BySeries, Deviation, cut_at, deviations, with_plans
from forecast.reading.contract import Contract
from forecast.tasks.past import issues_named, made_again, made_by
from forecast.tasks.teller import SILENT, Teller
from forecast.tasks.workspace import Workspace
from forecast.text import counted

MOST = 100                                                              # deviations in the JSON


@dataclass(frozen=True)
class Replayed:
    """An issue, and every number of it that came out otherwise."""

    what: str
    issue: Issue
    contract: Contract
    numbers: int
    deviations: list[Deviation]
    is_untouched: bool              # the file is what was written
    is_revised: bool | None         # the data hold another history than then; None: unknown, as of a part of the series
    issues: tuple[str, ...] = ()    # ids of all that the file holds, where it is of many days

    @property
    def is_identical(self) -> bool:
        return self.is_untouched and not self.deviations

    @property
    def difference(self) -> GateError | None:
        """What differs, if anything does."""
        if not self.is_untouched:
            return GateError(f"{self.what} is no longer what was written", code="changed", hint="The issue itself "
                             + ("differs too" if self.deviations else "can be made again, number for number"))
        if self.deviations:
            return GateError(f"{len(self.deviations):,} of {counted(self.numbers, 'number')} differ"
                             + (": the history has been revised" if self.is_revised else ""), code="differs")
        return None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"issue": self.issue.id, "issues": list(self.issues), "run": self.issue.run,
                "cutoff": self.issue.cutoff_text, "numbers": self.numbers, "identical": self.is_identical,
                "differ": len(self.deviations), "file_as_written": self.is_untouched,
                "data_revised": self.is_revised, "deviations": [asdict(d) for d in self.deviations[:MOST]]}


def replay(workspace: Workspace, what: str, data: str | None = None, teller: Teller = SILENT) -> Replayed:
    """Make a past output again: the same run, the data as they stood then, the same options.

    `what`: a file that predict wrote, of one day or of many, an issue's id or its beginning, or last. Raises
    RequestError, DataError, ModelError."""
    issues, untouched = issues_named(workspace, what)
    made = [_again(workspace, what, issue, untouched, data, teller) for issue in issues]
    return replace(made[-1], numbers=sum(one.numbers for one in made),
                   deviations=[deviation for one in made for deviation in one.deviations],
                   is_revised=next((one.is_revised for one in made if one.is_revised), made[-1].is_revised),
                   issues=tuple(issue.id for issue in issues))


def _again(workspace: Workspace, what: str, issue: Issue, untouched: bool, data: str | None, teller: Teller
           ) -> Replayed:
    """One issue made again."""
    run, reading = made_by(workspace, issue, data)
    kept = BySeries.kept(workspace.ledger.blocks(issue))
    differing = deviations(kept, made_again(run, issue, reading.panel, kept.ends, kept.plans), issue.quantiles)
    revised = None                                                      # the fingerprint is of all series
    if not issue.options.is_of_a_part and not issue.options.fill_future:    # nor is what was filled in known to it
        known = with_plans(cut_at(reading.panel, kept.ends), issue.horizon, kept.plans)
        revised = known.fingerprint(issue.horizon) != issue.fingerprint
    teller.say("issue", f"{issue.id}   {issue.series:,} series x {issue.horizon} steps after {issue.cutoff_text}, "
                        f"run {issue.run}")
    if revised:
        teller.say("data", f"{reading.file} holds another history before {issue.cutoff_text} than then")
    if issue.version != __version__:
        teller.say("program", f"{issue.version} then, {__version__} now")
    numbers = sum(values.size for _, values in kept.of.values())
    return Replayed(what, issue, run.contract, numbers, differing, untouched, revised)
