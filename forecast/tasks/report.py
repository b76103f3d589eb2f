"""report: all that is known of a forecast as one HTML page: can it be trusted, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forecast.errors import RequestError
from forecast.reporting.drawing import fan_drawing
from forecast.reporting.page import Reason, Sheet, Table, render
from forecast.system.clock import minute, now, stamp
from forecast.system.files import write_text
from forecast.tasks import chapters, facts, trust
from forecast.tasks.facts import Facts
from forecast.tasks.listing import Listing
from forecast.tasks.remembered import Remembered, changes_of, key_of, recalled, remember
from forecast.tasks.teller import SILENT, Teller, tell_model
from forecast.tasks.workspace import Workspace
from forecast.text import counted

ENDINGS = (".html", ".htm")
STILL = 5                               # series drawn without a script
LISTED = 50                             # series in the list without a script
INSIDE = 3                              # series whose covariates are looked at


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises RequestError for a name that is no page's."""

    data: str | None = None                 # None: the file that the model was trained on
    model: str = "live"
    output: str = "report.html"
    horizon: int | None = None              # steps to forecast; None: as trained
    future: str | None = None               # a plan: what is known of the horizon
    fill_future: str | None = None          # how values missing over the horizon are made up for
    command: str = "forecast report"        # to make it again by

    def __post_init__(self) -> None:
        if not self.output.lower().endswith(ENDINGS):
            raise RequestError(f"-o {self.output}: a report is written as .html", code="bad_ending")


@dataclass(frozen=True)
class Reported:
    """What the first screen says, and where the page lies."""

    output: Path
    run: str
    state: str
    verdict: str
    gist: str
    reasons: list[Reason]
    changes: list[str]
    series: int
    shown: int                              # of them with a chart

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self) | {"output": str(self.output)}


def report(workspace: Workspace, request: Request, teller: Teller = SILENT) -> Reported:
    """Gather what is known, and write it as one page. What is not there is said in the page.

    Raises RequestError, DataError, ModelError, DiskError."""
    output = workspace.path(request.output)
    run, source, reading = facts.read_for(workspace, request.model, request.data, horizon=request.horizon)
    plan = [] if request.future is None else [workspace.source(request.future)]
    workspace.guard([output], [*workspace.inputs(source, run), *plan])
    known = facts.gathered(workspace, run, source, reading, horizon=request.horizon, future=request.future,
                           fill=request.fill_future)
    tell_model(teller, run, source, reading)
    facts.tell(teller, known)

    reasons = trust.reasons_of(known)
    state, verdict = trust.verdict_of(reasons)
    folder = workspace.store.folder
    key, fresh = key_of(folder, known), Remembered.of(known, state)
    changes = changes_of(recalled(folder, key), fresh, known)
    sheet, shown = _sheet(known, request, reasons, changes)
    write_text(output, render(sheet))
    remember(folder, key, fresh, teller)
    teller.say("trust", verdict)
    teller.wrote(output, f"{output.stat().st_size / 1e6:.2f} MB, {_listed(known, shown)}")
    return Reported(output, run.id, state, verdict, sheet.gist, reasons, changes, len(known.panel), shown)


def _sheet(known: Facts, request: Request, reasons: Sequence[Reason], changes: Sequence[str]) -> tuple[Sheet, int]:
    """The page, and how many series have a chart."""
    state, verdict = trust.verdict_of(reasons)
    listing = Listing.of(known)
    contract, unit = known.reading.contract, known.reading.contract.calendar.unit
    target = ", ".join(contract.targets[:3]) + (f" and {len(contract.targets) - 3} more" if len(contract.targets) > 3
                                                else "")
    calibrated = [("history", "known"), *([("before", "forecast of the past")] if known.backtest else []),
                  ("forecast", "forecast"), *((f"band{k}", f"{x:g} % band") for k, x in
                                              enumerate(sorted(known.levels, reverse=True)))]
    pages = [chapters.totals(known), chapters.scores(known), chapters.live(known),
             chapters.inside(known, listing.series[:INSIDE]), chapters.reading(known),
             chapters.receipt(known, request.command)]
    sheet = Sheet(
        title=f"{target}: {counted(known.horizon, unit.removesuffix('s'), unit)} after " + (
            known.reading.span[1] if len(set(known.panel.end.tolist())) == 1 else "the end of each series"),
        about=f"{counted(len(known.panel), 'series')} of {known.source.path and known.source.path.name}, by "
              f"{known.run.predictor.name.replace('_', ' ')}, model {known.run.id}",
        made=f"Made {minute(stamp(now()))} by {request.command}", state=state, verdict=verdict,
        gist=trust.gist_of(known), reasons=reasons, changes=changes, figures=trust.figures_of(known),
        worst=[fan_drawing(listing.still(s), known.time_texts) for s in listing.series[:STILL]],
        series=Table(listing.headers, [row.cells for row in listing.rows[:LISTED]], "" if len(listing.rows) <= LISTED
                     else f"The worst {LISTED}; with scripts on, all {len(listing.rows):,}."),
        listed=_listed(known, len(listing.series)) + ".", order=_order(known), sections=pages,
        block=listing.block(), key=calibrated)
    return sheet, len(listing.series)


def _order(known: Facts) -> str:
    return "worst first" if known.backtest else "as in the file"


def _listed(known: Facts, shown: int) -> str:
    if shown < len(known.panel):
        return f"the {shown} worst of {len(known.panel):,} series, and the totals of all"
    return f"{counted(shown, 'series')}, {_order(known)}" if shown > 1 else "1 series"
