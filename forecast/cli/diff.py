"""forecast diff: why the newest forecast differs from the one before: new data, revised history, new model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.options import Session, command

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.ledger import Issue, Ledger
    from forecast.reissue import Step

SHOWN = 10                                                              # series printed one by one


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "diff")(diff)


def diff(
    session: Session,
    new: Annotated[str, typer.Argument(metavar="[NEW]", help="an issue, or a file that predict wrote")] = "last",
    old: Annotated[str | None, typer.Argument(metavar="[OLD]", show_default=False,
                                              help="the one to compare with; the issue before it")] = None,
    data: Annotated[str | None, typer.Option(metavar="FILE", show_default=False,
                                             help="the data, where they lie elsewhere now")] = None,
) -> int:
    """Why a forecast differs from the one before, over the times that both forecast.

    The old model is run again on today's file, cut where the old issue was cut (what changes is revised history), then
    where the new one was (new data); then the new model (new model). The parts add up to the whole change."""
    from forecast import hardware

    hardware.prepare(threads=1)
    from dataclasses import asdict

    from forecast.artifact import load
    from forecast.cli.console import Console
    from forecast.cli.replay import data_of, forecast_again, issue_named
    from forecast.display import counted
    from forecast.errors import DataError
    from forecast.ledger import FILE, Ledger
    from forecast.registry import Store
    from forecast.reissue import Told, cut_at, taken_apart, total_of

    console, ledger, store = Console(session), Ledger(session.store_folder / FILE), Store(session.store_folder)
    newer, new_untouched = issue_named(session, ledger, new)
    older, old_untouched = issue_named(session, ledger, old) if old else (before(ledger, newer), True)
    runs = {name: load(store.find(name)) for name in (older.run, newer.run)}
    panel = data_of(session, newer, runs[newer.run], data).panel

    def told(issue: Issue, ends: dict[str, int]) -> Told:
        known, run = cut_at(panel, ends), runs[issue.run]
        return Told.made(forecast_again(run, issue, known), issue.quantiles, run.contract.decimals) if len(known) \
            else Told({})

    was, now = Told.kept(ledger.blocks(older)), Told.kept(ledger.blocks(newer))
    chain = [was, told(older, was.ends), told(older, now.ends), told(newer, now.ends), now]
    places = [issue.quantiles.index(0.5) for issue in (older, older, older, newer, newer)]
    steps = taken_apart(chain, places)
    if not steps:
        raise DataError(f"{older.id} and {newer.id} tell of no common time of any series", code="nothing_common",
                        hint="Name another OLD issue")
    total = total_of(steps)
    changed = [name for name, untouched in ((old, old_untouched), (new, new_untouched)) if not untouched]
    for name in changed:
        console.warn("changed", f"{name} is no longer what was written: compared is what the ledger kept of its issue")
    for label, issue in (("old", older), ("new", newer)):
        console.say(label, f"{issue.id}   after {issue.cutoff_text}, run {issue.run}")
    show(console, steps, total)
    console.document({"old": older.id, "new": newer.id, "runs": [older.run, newer.run], "changed": changed,
                      "total": asdict(total), "series": [asdict(s) for s in steps],
                      "left_out": sorted(set(was.ends) ^ {s.series for s in steps})})
    if left := len(was.ends) - len(steps):
        console.say("left out", f"{counted(left, 'series')} without a common time")
    return 0


def before(ledger: Ledger, issue: Issue) -> Issue:
    """The issue before this one about the same file and the same part of its series, of another cutoff or another run.
    Raises RequestError."""
    from forecast.errors import RequestError

    found = [i for i in ledger.issues() if i.number < issue.number and i.place == issue.place
             and i.subject == issue.subject
             and all(i.options.get(part) == issue.options.get(part) for part in ("series", "shard"))
             and (i.cutoff, i.run, i.fingerprint) != (
                 issue.cutoff, issue.run, issue.fingerprint)]
    if not found:
        raise RequestError(f"there is no issue before {issue.id} about the same file", code="no_issue",
                           hint="Name OLD: forecast diff NEW OLD")
    return found[-1]


def show(console: Console, steps: list[Step], total: Step) -> None:
    """A sentence, and the series that changed most."""
    from forecast.display import counted, safe, shorten
    from forecast.report import number, plain_table

    change = total.now - total.before
    share = f" ({change / abs(total.before):+.1%})" if total.before else ""
    told = [f"{words} {_signed(getattr(total, part))}" for part, words in WORDS.items() if getattr(total, part)]
    why = f" = {', '.join(told)}" if told else ", no change"
    console.result(f"{counted(total.steps, 'common step')} of {counted(len(steps), 'series')}: "
                   f"{number(total.before)} -> {number(total.now)}{share}{why}")
    shown = sorted(steps, key=lambda s: -abs(s.now - s.before))[:SHOWN]
    rows = [[safe(shorten(s.series, 30)), number(s.before), number(s.now), _signed(s.now - s.before),
             *(_signed(getattr(s, part)) for part in WORDS)] for s in [*shown, *([total] if len(steps) > 1 else [])]]
    console.table(plain_table(["series", "before", "now", "change", *WORDS.values()], rows))


WORDS = {"revised": "revised history", "new_data": "new data", "new_model": "new model", "since": "revised since"}


def _signed(value: float) -> str:
    from forecast.report import number

    return "0" if value == 0 else ("+" if value > 0 else "-") + number(abs(value))
