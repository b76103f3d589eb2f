"""What a text becomes before people or spreadsheets see it: no control byte, no formula, no endless line.

Colour, tables and layout are the callers' business."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

# C0, DEL, C1, line and paragraph separators, bidi and other invisible controls, lone surrogates, non-characters
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
                     "\ud800-\udfff\U000e0000-\U000e0fff]")
_FORMULA = re.compile("'*[=+\\-@\t\r]")
_MARKED = re.compile("'+[=+\\-@\t\r]")
_BARS, _PLAIN = "▁▂▃▄▅▆▇█", "_.-~=+*#"


def safe(text: object) -> str:
    """The text with every character that could steer a terminal written as \\xNN, \\uNNNN or \\UNNNNNNNN."""
    return _UNSAFE.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def shorten(text: str, limit: int = 40) -> str:
    """At most `limit` characters; what is cut is shown as an ellipsis."""
    return text if len(text) <= limit else text[:limit - 1] + "…"


def quoted(text: object, limit: int = 40) -> str:
    """A cell as messages show it: safe, short, in double quotes."""
    return f'"{shorten(safe(str(text)[:limit + 1]), limit)}"'


def listed(names: Sequence[object], limit: int = 6) -> str:
    """`a, b, c and 4 more`, safe and short."""
    shown = ", ".join(shorten(safe(str(name)[:31]), 30) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 day`, `1,200 days`, `2 series`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or (noun if noun.endswith('s') else noun + 's')}"


def cell_name(kind: str) -> str:
    """A recurrent cell as people call it: LSTM, GRU, peephole LSTM."""
    return kind.upper() if kind in ("rnn", "gru", "lstm") else f"{kind} LSTM"


def csv_cell(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula: a leading `'` before = + - @ TAB CR.

    Text that already looks marked gets a further mark, so that `from_csv_cell` gives back every text as it was."""
    return "'" + text if _FORMULA.match(text) else text


def from_csv_cell(text: str) -> str:
    """The text that `csv_cell` was given."""
    return text[1:] if _MARKED.match(text) else text


def sparkline(values: Sequence[float], *, plain: bool = False) -> str:
    """One bar per value, from the lowest to the highest of them; a space where there is none. plain: in ASCII."""
    bars = _PLAIN if plain else _BARS
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return " " * len(values)
    low, high = min(finite), max(finite)
    unit = high / 2 - low / 2                                       # halves: high - low may overflow
    heights = [(v / 2 - low / 2) / unit if unit > 0 and math.isfinite(v) else 0.5 for v in values]
    return "".join(bars[min(7, int(8 * h))] if math.isfinite(v) else " " for h, v in zip(heights, values, strict=True))


def duration(seconds: float) -> str:
    """`0.4 s`, `58 s`, `1 min 10 s`, `2 h 3 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def clock_text(seconds: float) -> str:
    """`0:07`, `2:10`, `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
