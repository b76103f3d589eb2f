"""Events: what may happen on a path, as people write it, and on which paths it does."""

# S series  N paths  H horizon

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.errors import RequestError
from forecast.series.arrays import Bools, Floats
from forecast.text import quoted

OVER: dict[str, Callable[[Floats], Floats]] = {                         # one number of a path
    "sum": lambda paths: paths.sum(axis=-1), "mean": lambda paths: paths.mean(axis=-1),
    "max": lambda paths: paths.max(axis=-1), "min": lambda paths: paths.min(axis=-1),
    "first": lambda paths: paths[..., 0], "last": lambda paths: paths[..., -1]}
COMPARED: dict[str, Callable[[Floats, float], Bools]] = {
    ">": lambda a, b: np.asarray(a > b), ">=": lambda a, b: np.asarray(a >= b),
    "<": lambda a, b: np.asarray(a < b), "<=": lambda a, b: np.asarray(a <= b)}
FORMS = 'As in "sum > 1200", "max > 90", "min <= 0" or "3 in a row > 80"'
_WORDS = re.compile(r"\s*([A-Za-z]+|[<>=!]+|[^\s<>=!]+)")


@dataclass(frozen=True)
class Event:
    """What of a path, or how many steps in a row, lies on which side of what value."""

    text: str
    over: str                       # of OVER; "" where steps in a row are meant
    row: int
    sign: str
    value: float

    def on(self, paths: Floats) -> Bools:
        """Whether it happens, (S, N) of paths (S, N, H)."""
        if self.over:
            return COMPARED[self.sign](OVER[self.over](paths), self.value)
        held = np.zeros(paths.shape[:-1], dtype=np.int64)
        longest = held.copy()
        for h in range(paths.shape[-1]):
            held = np.where(COMPARED[self.sign](paths[..., h], self.value), held + 1, 0)
            longest = np.maximum(longest, held)
        return np.asarray(longest >= self.row)


def event_of(text: str, horizon: int | None = None) -> Event:
    """An event as it is written. Raises RequestError that says at which character it cannot be read; and for more steps
    in a row than there are."""
    words = [(match.group(1), match.start(1)) for match in _WORDS.finditer(text)]
    words.append(("", len(text)))
    name = words[0][0].lower()
    behind = 1
    if name in OVER:
        over, row = name, 0
    elif re.fullmatch(r"[0-9]{1,6}", name) and int(name) > 0:
        over, row = "", int(name)
        for k, wanted in enumerate(("in", "a", "row"), 1):
            _expect(text, words[min(k, len(words) - 1)], words[min(k, len(words) - 1)][0].lower() == wanted,
                    f'"{wanted}"')
        behind = 4
    else:
        _expect(text, words[0], False, f"{', '.join(OVER)}, or a number of steps in a row")
    sign = words[min(behind, len(words) - 1)]
    _expect(text, sign, sign[0] in COMPARED, "one of > >= < <=")
    value = words[min(behind + 1, len(words) - 1)]
    _expect(text, value, _number(value[0]) is not None, "a number")
    if (more := words[behind + 2:-1]):
        _expect(text, more[0], False, "nothing more")
    if horizon is not None and row > horizon:
        raise RequestError(f'event "{text}": the horizon has {horizon} steps', code="bad_event",
                           hint="Give a longer --horizon")
    return Event(text, over, row, sign[0], float(value[0]))


def _expect(text: str, word: tuple[str, int], is_there: bool, wanted: str) -> None:
    if not is_there:
        found = quoted(word[0]) if word[0] else "the end"
        pointed = quoted(f"{text[:word[1]]}^{text[word[1]:]}")
        raise RequestError(f"event {pointed}: at character {word[1] + 1} stands {found}, wanted is {wanted}",
                           code="bad_event", hint=FORMS)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text) else None
