"""How the program speaks: the result to stdout, words to stderr, progress where somebody looks: the Teller of cli/."""

from __future__ import annotations

import io
import math
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from forecast.cli.session import Session
from forecast.cli.streams import write_out
from forecast.system.files import to_json
from forecast.text import counted, duration, safe

if TYPE_CHECKING:
    from rich.table import Table

    from forecast.scoring.backtest import Scores
    from forecast.training.loop import Epoch

WIDE = 400                                                              # columns where there is no terminal to fit
NARROW = 30                                                             # with fewer, or none, the terminal folds lines
EVERY = 30.0                                                            # seconds between lines of long work


class Console:
    """The two streams of a session, and how much is said on them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.terminal = sys.stderr.isatty()
        self._words = RichConsole(stderr=True, markup=False, emoji=False, highlight=False, no_color=not session.color,
                                  width=None if self.terminal else WIDE, soft_wrap=True)

    def say(self, label: str, text: str) -> None:
        """A line of words: `plan       horizon 14, ...`."""
        if not self.session.quiet:
            self._words.print(self._line_of(label, text))

    def warn(self, label: str, text: str) -> None:
        """A line of words that is said even with --quiet: something a person must look at."""
        self._words.print(self._line_of(label, text))

    def _line_of(self, label: str, text: str) -> str:
        return folded(label, text, self._words.width if self.terminal else WIDE)

    @property
    def width(self) -> int | None:
        """Columns of the terminal that shows the result; None where it goes elsewhere."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def more(self, label: str, text: str) -> None:
        """A line of words for --verbose."""
        if self.session.verbose:
            self.say(label, text)

    def table(self, table: Table) -> None:
        """A table for people: on stdout, unless that belongs to --json or --quiet."""
        if not (self.session.json or self.session.quiet):
            text = io.StringIO()
            RichConsole(file=text, width=WIDE, no_color=True, markup=False, emoji=False, highlight=False).print(table)
            lines = (line.rstrip() for line in text.getvalue().splitlines())
            write_out("\n".join(_wrapped(line, self.width or WIDE, indent=4) for line in lines) + "\n")

    def result(self, text: str, *, fold: int = 12) -> None:
        """A line of the result for people; at a terminal folded below this column."""
        if not (self.session.json or self.session.quiet):
            write_out(_wrapped(safe(text), self.width or WIDE, indent=fold) + "\n")

    def wrote(self, path: object, words: str = "", verb: str = "wrote") -> None:
        """What was written, and where: the only thing that --quiet says."""
        if self.session.quiet and not self.session.json:
            write_out(safe(path) + "\n")
        else:
            self.say(verb, f"{path}   {words}".rstrip())

    def scores(self, scores: Scores, ids: Sequence[str]) -> None:
        """The table, and under it what it leaves out."""
        from forecast.showing.tables import band_line, in_words, score_table, step_line, worst_series

        self.table(score_table(scores, self.width))
        if (words := in_words(scores)) is not None:
            self.result(f"in words      {words}", fold=14)
        if bands := band_line(scores):
            self.result(f"bands         {bands}", fold=14)
        self.result(f"MAE by step   {step_line(scores, scores.name)}", fold=14)
        if len(set(scores.per_series["series"])) > 1:
            self.result(f"worst series  {worst_series(scores, scores.name, ids)}", fold=14)
        if left := scores.left_out.get("mase"):
            self.result(f"MASE leaves out {counted(left, 'series')} that repeat exactly or are too short")

    def document(self, content: Any) -> None:
        """The one JSON document of --json."""
        if self.session.json:
            write_out(to_json(content))

    def track(self, epochs: Iterable[Epoch], title: str, *, closing: bool = True) -> Iterator[Epoch]:
        """Pass epochs on and show them: a live bar at a terminal, else a dated line now and then; then how it went."""
        start = time.monotonic()
        last: dict[int, Epoch] = {}
        shown = self._bar(epochs, title) if self.terminal and not self.session.quiet else self._lines(epochs, title)
        for epoch in shown:
            if epoch.stage == "train":
                last[epoch.member] = epoch
            yield epoch
        if last and closing:
            self.say(title, f"{_ended(list(last.values()))}, {duration(time.monotonic() - start)}")

    def _bar(self, epochs: Iterable[Epoch], title: str) -> Iterator[Epoch]:
        columns = (TextColumn("{task.description:<10}"), BarColumn(bar_width=20), TextColumn("{task.fields[text]} "),
                   TimeElapsedColumn(), TextColumn(" left <="), TimeRemainingColumn(compact=True))
        with Progress(*columns, console=self._words, transient=True) as progress:
            task = progress.add_task(title, total=None, text="")
            stage, last = "", dict[int, Epoch]()
            for epoch in epochs:
                if epoch.stage != stage:
                    stage, last = epoch.stage, {}
                    progress.reset(task)
                last[epoch.member] = epoch
                still = epoch.of * (epoch.members - len(last))          # of those that have not begun
                progress.update(task, total=sum(e.of for e in last.values()) + still,
                                completed=sum(e.number for e in last.values()), text=_line(epoch))
                yield epoch

    def _lines(self, epochs: Iterable[Epoch], title: str) -> Iterator[Epoch]:
        last_said = time.monotonic()
        for epoch in epochs:
            if time.monotonic() - last_said >= EVERY:
                last_said = time.monotonic()
                self.say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", f"{title} {_line(epoch)}")
            yield epoch


def folded(label: str, text: str, width: int) -> str:
    """`plan       horizon 14, ...`, on further lines below itself where it is too long; no word is parted."""
    return _wrapped(f"{label:<10} {safe(text)}", width, indent=11)


def _wrapped(line: str, width: int, *, indent: int) -> str:
    return line if len(line) <= width or not NARROW <= width < WIDE else "\n".join(textwrap.wrap(
        line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False))


def _line(epoch: Epoch) -> str:
    which = f"network {epoch.member + 1}/{epoch.members}  " if epoch.members > 1 else ""
    if math.isnan(epoch.valid_loss):
        return f"{which}{epoch.stage} {epoch.number}/{epoch.of}  loss {epoch.train_loss:.3f}"
    return (f"{which}epoch {epoch.number}/{epoch.of}  train {epoch.train_loss:.3f}  valid {epoch.valid_loss:.3f}  "
            f"best {epoch.best_loss:.3f}@{epoch.best_epoch}")


def _ended(last: list[Epoch]) -> str:
    """How the trainings of all networks went, from the last epoch of each."""
    idle = sum(epoch.best_epoch == 0 for epoch in last)
    if len(last) == 1:
        serving = f"weights of epoch {last[0].best_epoch}" if not idle else \
            "the network did not better its linear skip and is not used"
        return f"{counted(last[0].number, 'epoch')}, {serving}"
    rest = "it began with and is" if idle == 1 else "they began with and are"
    unused = f", {idle} of them did not better what {rest} not used" if idle else ""
    return f"{len(last)} networks, {counted(max(epoch.number for epoch in last), 'epoch')} each{unused}"
