"""Strays: lines spoilt by a quote that stands where none may, taken out so that they do not spoil the others."""

from __future__ import annotations

from forecast.errors import Problem
from forecast.reading.parsing.records import Records, find_records
from forecast.text import quoted

MOST = 100                          # such lines; a file of more is refused
ASIDE = 'Remove it, or write "" for a quote inside quotes'


def without_strays(data: bytes, delimiter: str, quote: str, file: str, body: int) -> tuple[bytes, tuple[Problem, ...]]:
    """The text with the spoilt lines left empty, so that no line moves, and those lines. Unchanged where the quotes of
    the lines above the byte `body` are spoilt, or too many."""
    cleaned, problems = data, list[Problem]()
    while (at := _stray(find_records(cleaned, delimiter, quote))) is not None:
        begin = max(cleaned.rfind(b"\n", 0, at), cleaned.rfind(b"\r", 0, at)) + 1
        ends = [end for mark in (b"\n", b"\r") if (end := cleaned.find(mark, at)) >= 0]
        end = min(ends, default=len(cleaned))
        if begin < body or len(problems) == MOST:
            return data, ()
        line = 1 + cleaned.count(b"\n", 0, begin) + cleaned.count(b"\r", 0, begin) - cleaned.count(b"\r\n", 0, begin)
        text = cleaned[begin:end].decode("utf-8", "replace")
        problems.append(Problem("stray_quote", f"a quote stands inside a field or is never closed: {quoted(text, 60)}",
                                file, line, None, text[:200], ASIDE))
        cleaned = cleaned[:begin] + cleaned[end:]
    return cleaned, tuple(sorted(problems, key=lambda p: p.row or 0))


def _stray(records: Records) -> int | None:
    """Where the first quote stands that spoils its line."""
    return records.stray if records.stray is not None else records.open_quote
