"""Ids: the name of a series that several columns name together, joined to one text and parted again."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence

MARK = "/"                          # between the parts; \\/ and \\\\ stand for a mark and a backslash inside a part
_PART = re.compile(r"(?:[^\\/]|\\.)*", re.DOTALL)
_PLAIN = re.compile(r"(?!,$)[\w./:@%+,-]+")


def joined_id(parts: Sequence[str]) -> str:
    """`1/98` of 1 and 98; `split_id` gives back every text as it was."""
    return MARK.join(part.replace("\\", "\\\\").replace(MARK, "\\" + MARK) for part in parts)


def split_id(name: str, parts: int) -> list[str]:
    """The parts that were joined; a name of another number of parts is the first of them, beside empty ones."""
    found, at = [], 0
    while at <= len(name):
        match = _PART.match(name, at)
        assert match is not None                                    # it may be empty
        found.append(re.sub(r"\\(.)", r"\1", match.group(), flags=re.DOTALL))
        at = match.end() + 1
    return found if len(found) == parts else [name, *[""] * (parts - 1)]


def names_in(text: str, known: Collection[str] = ()) -> list[str]:
    """The column names of a flag: one that is known as a whole, else several by comma; '"a,b",c' is "a,b" and "c"."""
    if text in known or "," not in text:
        return [text]
    row = next(csv.reader(io.StringIO(text)), [text])
    return row if all(row) else text.split(",")


def listed_names(names: Sequence[str]) -> str:
    """The names as `names_in` reads them."""
    if len(names) == 1:
        return names[0]
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(names)
    return out.getvalue()


def pasted(text: str) -> str:
    """A value of a flag as it is typed at a shell: quoted where it must be."""
    if _PLAIN.fullmatch(text):
        return text
    if text in (",", ";"):
        return f"'{text}'"
    return f'"{text}"' if not set(text) & set('"$`\\!') else "'" + text.replace("'", "'\\''") + "'"
