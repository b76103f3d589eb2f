"""Progress: how far a command is: its parts, the share that is done, the time that is left, and a line that shows them.

The time left counts every part still to come, each as long as was expected, times how much slower the parts so far were
than expected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

from forecast.text import clock_text, sparkline

BAR = 16                                # columns of the bar, at most
SPARKS = 12                             # bars of the loss, at most
SURE = 0.1                              # of a part has to be done until its own pace alone counts


class Progress:
    """The parts of a command, in order, and how many seconds each was expected to take. Moments are in seconds, of one
    clock."""

    def __init__(self, expected: Mapping[str, float], now: float) -> None:
        self.expected = {name: max(seconds, 0.01) for name, seconds in expected.items()}
        self.start = self.began = now
        self.name, self.done, self.at = next(iter(expected), ""), 0.0, now
        self.past: dict[str, float] = {}                                # seconds that finished parts took

    def begin(self, name: str, now: float) -> None:
        """Another part begins; one that is not expected takes no time."""
        if name == self.name:
            return
        if self.name:
            self.past[self.name] = self.past.get(self.name, 0.0) + now - self.began
        self.name, self.done, self.began, self.at = name, 0.0, now, now

    def advance(self, done: float, now: float) -> None:
        """So much of the present part is done, of 1."""
        self.done, self.at = min(1.0, done), now

    def left(self, now: float) -> float:
        """Seconds that are left of all."""
        slower = self._slower()
        later = [n for n in self.expected if n != self.name and n not in self.past and self._is_later(n)]
        return self._left_here(now, slower) + slower * sum(self.expected[name] for name in later)

    def share(self, now: float) -> float:
        """The share of all that is done, by time."""
        spent, left = now - self.start, self.left(now)
        return spent / (spent + left) if spent + left > 0 else 0.0

    def _is_later(self, name: str) -> bool:
        order = list(self.expected)
        return self.name not in order or order.index(name) > order.index(self.name)

    def _left_here(self, now: float, slower: float) -> float:
        """Of the present part: by what was expected, and by its own pace, the more the further it is."""
        guess = slower * self.expected.get(self.name, 0.0) * (1 - self.done)
        if not self.done:
            return max(0.0, guess - (now - self.began))
        own, sure = (self.at - self.began) / self.done * (1 - self.done), min(1.0, self.done / SURE)
        return max(0.0, sure * own + (1 - sure) * guess - (now - self.at))

    def _slower(self) -> float:
        """How many times as long as expected the parts so far took, and what is done of the present one."""
        done = {name: self.expected[name] for name in self.past if name in self.expected}
        took = sum(self.past[name] for name in done)
        planned = sum(done.values())
        if self.name in self.expected and self.done:
            took, planned = took + self.at - self.began, planned + self.expected[self.name] * self.done
        sure = min(1.0, planned / (SURE * sum(self.expected.values())))
        return 1.0 + sure * (took / planned - 1.0) if planned else 1.0


def line(progress: Progress, text: str, losses: Sequence[float], now: float, *, width: int, plain: bool) -> str:
    """`training   ━━━━━━━─────  58%  2:10 left  loss 0.412 ▇▅▃▂▁  epoch 5/20`: as much of it as has room."""
    share, spent = progress.share(now), now - progress.start
    full, empty = ("#", "-") if plain else ("━", "─")
    known = any(progress.expected.values())
    left = f"{clock_text(progress.left(now))} left" if known else f"{clock_text(spent)} so far"
    head = f"{progress.name:<10} "
    tail = f"{f'{share:4.0%}  ' if known else ''}{left}"
    room = width - 1 - cell_len(head) - cell_len(tail)
    bar = ""
    if known and room >= 6:
        size = min(BAR, room - 1)
        bar = (full * round(share * size)).ljust(size, empty) + " "
    shown = head + bar + tail
    loss = f"loss {losses[-1]:.3f} {sparkline(losses[-SPARKS:], plain=plain)}" if losses else ""
    for more in (loss, text):
        if more and cell_len(shown) + 2 + cell_len(more) < width:
            shown += "  " + more
    return shown[:max(1, width - 1)]


def thinned(losses: Sequence[float], most: int = SPARKS) -> list[float]:
    """At most so many of the losses, evenly, the first and the last among them."""
    some = [loss for loss in losses if math.isfinite(loss)]
    if len(some) <= most:
        return some
    return [some[round(k * (len(some) - 1) / (most - 1))] for k in range(most)]
