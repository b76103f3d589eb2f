"""Kinds: what a cell looks like at a glance (number, date, missing, text), to find dialects, headers and columns.

A glance decides what is tried; whether a cell really is a number or a date, numbers.py and dates.py decide."""

from __future__ import annotations

import re

MISSING = frozenset({"", "-", "--", "---", "?", ".", "..", "...", "*", "na", "n/a", "n.a.", "#n/a", "#na", "<na>",
                     "nan", "-nan", "null", "nil", "none", "missing", "#null!", "(null)", "nat", "–", "—", "\\n"})
_NUMBER = re.compile(r"[(]?[+\-−]?\s?(?:[$€£¥]|USD|EUR|GBP|CHF)?\s?[+\-]?(?:\d[\d.,'\u2019\u00a0\u202f ]*|[.,]\d+)"
                     r"(?:[eE][+-]?\d+)?\s?(?:[%$€£¥]|USD|EUR|GBP|CHF)?[)]?")
_DATE = re.compile(
    r"\d{4}([-/. ])\d{1,2}(\1\d{1,2})?([T ]\s*\d{1,2}(:\d{2}(:\d{2}(,\d+)?)?)?[^,;|\t]*)?"
    r"|\d{1,2}([-/. ])\d{1,2}\7\d{2,4}([T ,]\s*\d{1,2}(:\d{2}){1,2}[^,;|\t]*)?"
    r"|\d{1,2}[-/.]\d{4}|\d{4}[- ]?Q[1-4]|Q[1-4][- /]?\d{4}|\d{4}-?W\d{2}(-\d)?|\d{4}M\d{2}"
    r"|(\d{1,2}[- ./]?)?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-, ./](?=.*\d{2})[^,;|\t]*"
    r"(,\s+\d{2,4}[^,;|\t]*|,\d{4}[^,;|\t]*)?"
    r"|\d{2,4}[- ](jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[^,;|\t]*"
    r"|\d{1,2}(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\d{2,4}[^,;|\t]*",
    re.IGNORECASE)
LONGEST_DATE = 64                   # characters; the pattern would be slow on very long cells
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(\s?[AaPp]\.?[Mm]\.?)?")
_INTEGER = re.compile(r"[+-]?\d+")


def kind(text: str) -> str:
    """"missing", "integer", "number", "date", "clock" or "text"."""
    cell = text.strip()
    if cell.lower() in MISSING:
        return "missing"
    if _INTEGER.fullmatch(cell):
        return "integer"
    if len(cell) <= LONGEST_DATE and _DATE.fullmatch(cell):
        return "number" if _is_plain_number(cell) else "date"
    if _NUMBER.fullmatch(cell):
        return "number"
    return "clock" if _CLOCK.fullmatch(cell) else "text"


def _is_plain_number(cell: str) -> bool:
    """2020.5 and 1234.56 are numbers before they are months."""
    whole, point, rest = cell.partition(".")
    return bool(point) and whole.isdigit() and rest.isdigit()
