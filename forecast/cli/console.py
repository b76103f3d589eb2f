"""How the program speaks: the result to stdout, words to stderr, progress where somebody looks: the Teller of cli/."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from forecast.cli.session import Session
from forecast.cli.streams import USUAL, columns_of, write_out
from forecast.showing.layout import LABEL, Table, folded, table_lines, wrapped
from forecast.showing.progress import Progress, line, thinned
from forecast.system.datasource import shown_path
from forecast.system.files import to_json
from forecast.text import clock_text, counted, duration, safe, sparkline

if TYPE_CHECKING:
    from rich.live import Live

    from forecast.scoring.backtest import Scores
    from forecast.series.forecast import Forecast
    from forecast.training.loop import Epoch
    from forecast.writing.layouts import Page

EVERY = 30.0                                                            # seconds between lines of long work
SCORES = 14                                                             # columns of the labels below scores


class Console:
    """The two streams of a session, and how much is said on them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.terminal = sys.stderr.isatty()
        self.plain = not _writes_bars(sys.stderr)
        self._progress: Progress | None = None
        self._live: Live | None = None
        self._text, self._losses, self._said = "", list[float](), 0.0

    def say(self, label: str, text: str) -> None:
        """A line of words: `plan       horizon 14, ...`."""
        if not self.session.quiet:
            self.warn(label, text)

    def warn(self, label: str, text: str) -> None:
        """A line of words that is said even with --quiet: something a person must look at."""
        with self._undisturbed():
            sys.stderr.write(folded(label, safe(text), columns_of(sys.stderr)) + "\n")

    @property
    def width(self) -> int | None:
        """Columns of the terminal that shows the result; None where it goes elsewhere."""
        return columns_of(sys.stdout)

    def more(self, label: str, text: str) -> None:
        """A line of words for --verbose."""
        if self.session.verbose:
            self.say(label, text)

    def table(self, table: Table) -> None:
        """A table for people: on stdout, unless that belongs to --json or --quiet."""
        if not (self.session.json or self.session.quiet):
            with self._undisturbed():
                write_out("\n".join(table_lines(table, self.width, whole=self.session.verbose)) + "\n")

    def result(self, text: str, *, fold: int | None = LABEL) -> None:
        """A line of the result for people; at a terminal folded below this column, or left whole for None."""
        if not (self.session.json or self.session.quiet):
            with self._undisturbed():
                write_out(wrapped(safe(text), None if fold is None else self.width, indent=fold or 0) + "\n")

    def wrote(self, path: object, words: str = "", verb: str = "wrote") -> None:
        """What was written, and where: the only thing that --quiet says."""
        if self.session.quiet and not self.session.json:
            write_out(safe(path) + "\n")
        else:
            self.say(verb, f"{shown_path(str(path))}   {words}".rstrip())

    def scores(self, scores: Scores, ids: Sequence[str]) -> None:
        """The table, and under it what it leaves out."""
        from forecast.showing.tables import score_lines, score_table

        self.table(score_table(scores))
        for label, text in score_lines(scores, ids):
            self.result(f"{label:<{SCORES - 1}} {text}", fold=SCORES)

    def sparks(self, forecast: Forecast, page: Page) -> None:
        """The first series as bars, at a terminal."""
        from forecast.showing.tables import spark_lines

        if self.terminal and not self.session.json:
            name = "" if page.contract.id else page.contract.targets[0]
            for label, text in spark_lines(forecast, page.levels[0], plain=self.plain, name=name):
                self.say(label, text)

    def document(self, content: Any) -> None:
        """The one JSON document of --json."""
        if self.session.json:
            write_out(to_json(content))

    @contextmanager
    def work(self, parts: Mapping[str, float]) -> Iterator[None]:
        """Show how far a block is that does these parts, each with the seconds it is expected to take."""
        self._progress, self._said, self._text = Progress(parts, time.monotonic()), time.monotonic(), ""
        try:
            if self.terminal and not self.session.quiet and os.environ.get("TERM") not in (None, "", "dumb"):
                self._live = self._lit()
            yield
        finally:
            if self._live is not None:
                self._live.stop()
            self._progress = self._live = None

    def begin(self, part: str) -> None:
        """One of the parts of the work begins."""
        if self._progress is not None:
            self._text, self._losses = "", []
            self._progress.begin(part, time.monotonic())
            self._log()

    def advance(self, done: float) -> None:
        """So much of the present part is done, of 1."""
        if self._progress is not None:
            self._progress.advance(done, time.monotonic())
            self._log()

    def track(self, epochs: Iterable[Epoch], title: str, *, closing: bool = True) -> Iterator[Epoch]:
        """Pass epochs on and show them: a live line at a terminal, else a dated line now and then; then how it went."""
        if self._progress is None:
            with self.work({title: 0.0}):
                yield from self.track(epochs, title, closing=closing)
            return
        start, stage, seen = time.monotonic(), "", list[float]()
        last: dict[int, Epoch] = {}
        losses: dict[int, list[float]] = {}
        ended: list[Epoch] = []
        for epoch in epochs:
            if epoch.stage != stage:
                stage, last, losses = epoch.stage, {}, {}
                self.begin(title if stage == "train" else stage)
            last[epoch.member] = epoch
            losses.setdefault(epoch.member, []).append(_loss(epoch))
            self._losses, self._text = thinned(losses[min(losses)]), _line(epoch)
            if stage == "train":
                ended, seen = list(last.values()), self._losses
            self.advance(sum(e.number for e in last.values()) / max(1, epoch.whole, sum(e.of for e in last.values())))
            yield epoch
            if stage == "train" and len(last) == epoch.members and all(e.number == e.of for e in last.values()):
                self.begin("weighing")
        if ended and closing:
            self.say(title, f"{trained_words(ended)}, {duration(time.monotonic() - start)}{self._course(seen)}")

    def _course(self, losses: Sequence[float]) -> str:
        """How a loss went, from its first value to its last; at a terminal as bars, too."""
        if len(losses) < 2:
            return ""
        bars = f" {sparkline(losses, plain=self.plain)}" if self.terminal else ""
        return f"   loss {losses[0]:.3f} -> {losses[-1]:.3f}{bars}"

    def _lit(self) -> Live:
        """A line at the bottom of the terminal that tells how far the work is, four times a second."""
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.text import Text

        def shown() -> Text:
            assert self._progress is not None
            return Text(line(self._progress, self._text, self._losses, time.monotonic(), plain=self.plain,
                             width=columns_of(sys.stderr) or USUAL), no_wrap=True, overflow="crop")

        words = RichConsole(stderr=True, markup=False, emoji=False, highlight=False, no_color=not self.session.color,
                            width=columns_of(sys.stderr))
        live = Live(get_renderable=shown, console=words, transient=True, redirect_stdout=False, redirect_stderr=False)
        live.start()
        return live

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """The live line is away while something is written where it stands."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _log(self) -> None:
        """Without a live line: a dated line, where the last one is some time ago."""
        if self._progress is None or self._live is not None or time.monotonic() - self._said < EVERY:
            return
        now = self._said = time.monotonic()
        self.say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                 f"{self._progress.name}   {self._progress.share(now):.0%} of all is done, about "
                 f"{clock_text(self._progress.left(now))} left   {self._text}".rstrip()
                 + (f"   loss {self._losses[-1]:.3f}" if self._text and self._losses else ""))


def _writes_bars(stream: TextIO) -> bool:
    """Whether what a stream is written in has bars for lines and losses."""
    try:
        "━─▁█".encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _loss(epoch: Epoch) -> float:
    return epoch.train_loss if math.isnan(epoch.valid_loss) else epoch.valid_loss


def _line(epoch: Epoch) -> str:
    which = "" if epoch.members == 1 else "prior " if epoch.is_prior else f"network {epoch.member + 1} "
    return f"{which}epoch {epoch.number}/{epoch.of}"


def trained_words(last: list[Epoch]) -> str:
    """How the trainings of all networks went, and that of the prior, from the last epoch of each."""
    said = [_networks(networks)] if (networks := [epoch for epoch in last if not epoch.is_prior]) else []
    return "; ".join([*said, *(f"the prior, tuned: weights of epoch {epoch.best_epoch} of {epoch.number}"
                               if epoch.best_epoch else "the prior, unchanged: tuning it made it no better"
                               for epoch in last if epoch.is_prior)])


def _networks(last: list[Epoch]) -> str:
    idle = sum(epoch.best_epoch == 0 for epoch in last)
    if len(last) == 1:
        serving = f"weights of epoch {last[0].best_epoch}" if not idle else \
            "the network ended no better than its linear start and is not used"
        return f"{counted(last[0].number, 'epoch')}, {serving}"
    rest = "it began and is" if idle == 1 else "they began and are"
    unused = f", {idle} of them ended no better than {rest} not used" if idle else ""
    return f"{len(last)} networks, {counted(max(epoch.number for epoch in last), 'epoch')} each{unused}"
