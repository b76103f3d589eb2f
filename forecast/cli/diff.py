"""forecast diff: why the newest forecast differs from the one before: new data, revised history, new model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.cli.options import Session, command

if TYPE_CHECKING:
    from forecast.cli.console import Console
    from forecast.ledger.reissue import Step

SHOWN = 10                                                              # series printed one by one
WORDS = {"revised": "revised history", "new_data": "new data", "new_plans": "new plans", "new_model": "new model",
         "since": "revised since"}


@command(sets="none")
def diff(
    session: Session,
    new: Annotated[str, typer.Argument(metavar="[NEW]", help="an issue, or a file that predict wrote")] = "last",
    old: Annotated[str | None, typer.Argument(metavar="[OLD]", show_default=False,
                                              help="the one to compare with; the issue before it")] = None,
    data: Annotated[str | None, typer.Option(metavar="FILE", show_default=False,
                                             help="the data, where they lie elsewhere now")] = None,
) -> None:
    """Say why a forecast differs from the one before.

    Over the times that both forecast, the change is parted: revised history (the old model, from today's file up to
    the old cutoff), new data (up to the new cutoff), new plans (what is known ahead now), new model. The parts add
    up to the whole change."""
    from forecast.cli.console import Console
    from forecast.tasks import diff as task
    from forecast.text import counted

    console = Console(session)
    apart = task.diff(session.workspace, new, old, data, console)
    _show(console, apart.steps, apart.total)
    console.document(apart.to_dict())
    if left := apart.series - len(apart.steps):
        console.say("left out", f"{counted(left, 'series')} without a common time")


def _show(console: Console, steps: list[Step], total: Step) -> None:
    """A sentence, and the series that changed most."""
    from forecast.showing.layout import Table
    from forecast.showing.tables import number
    from forecast.text import counted, safe, shorten

    change = total.now - total.before
    share = f" ({change / abs(total.before):+.1%})" if total.before else ""
    parts = [f"{words} {_signed(getattr(total, part))}" for part, words in WORDS.items() if getattr(total, part)]
    why = f" = {', '.join(parts)}" if parts else ", no change"
    console.result(f"{counted(total.steps, 'common step')} of {counted(len(steps), 'series')}: "
                   f"{number(total.before)} -> {number(total.now)}{share}{why}")
    shown = sorted(steps, key=lambda s: -abs(s.now - s.before))[:SHOWN]
    words = {part: name for part, name in WORDS.items() if any(getattr(step, part) for step in steps)}
    rows = [[safe(shorten(s.series, 30)), number(s.before), number(s.now), _signed(s.now - s.before),
             *(_signed(getattr(s, part)) for part in words)] for s in [*shown, *([total] if len(steps) > 1 else [])]]
    console.table(Table(["series", "before", "now", "change", *words.values()], rows))


def _signed(value: float) -> str:
    from forecast.showing.tables import number

    return "0" if value == 0 else ("+" if value > 0 else "-") + number(abs(value))
