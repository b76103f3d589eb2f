"""Numbers: cells to float64, column-wide: one decimal mark, one way of grouping, one unit for all cells or a refusal.

A cell that is no number in the column's way of writing is named, never guessed at. Missing is a closed list."""

# N cells

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.reading.parsing.affixes import affixes_of, find_affixes, without_affixes
from forecast.reading.parsing.coding import pieces_of
from forecast.reading.parsing.kinds import MISSING
from forecast.series.arrays import Bools, Floats, Ints
from forecast.text import quoted

Result = TypeVar("Result")

_GROUPS = {"": "", ",": ",", ".": r"\.", "'": "['’]", " ": "[ \u00a0\u202f]"}
_EITHER = r"^[^0-9.,]*[1-9][0-9]{0,2}[.,][0-9]{3}\)?$"
EXACT = 2.0 ** 53
LARGEST = 1e300                     # sums and percentages of larger numbers are no numbers
EMPTY = "Leave the cell empty if it is missing"
UNIT = "Bring all values to one unit, written in every cell or in none"
_CODE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")


@dataclass(frozen=True)
class NumberStyle:
    """How a column writes its numbers."""

    decimal: str = "."
    group: str = ""                 # between thousands
    prefix: str = ""
    suffix: str = ""
    parentheses: bool = False       # (5) is -5

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> NumberStyle:
        return cls(**fields)

    @property
    def pattern(self) -> str:
        """Of a cell without its affixes."""
        mark = re.escape(self.decimal)
        whole = "[0-9]+" if not self.group else f"(?:[1-9][0-9]{{0,2}}(?:{_GROUPS[self.group]}[0-9]{{3}})+|[0-9]+)"
        number = rf"(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        return rf"^(?:[+-]?{number}" + (rf"|\({number}\))$" if self.parentheses else ")$")

    def words(self) -> str:
        """What to say of it: "decimal comma", "thousands ','"; empty where numbers are plain."""
        parts = ["decimal comma"] if self.decimal == "," else []
        parts += [f"thousands {quoted(self.group)}"] if self.group else []
        parts += [f"{quoted(affix.strip())} taken off" for affix in (self.prefix, self.suffix) if affix]
        parts += ["(5) read as -5"] if self.parentheses else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Fault:
    """A cell that is no number or no date: its row, and what to say."""

    row: int
    text: str
    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Faults:
    """Cells at fault: their rows (F,) ascending, and what to say of one, said only when asked: they may be many."""

    rows: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    explain: Callable[[int], Fault] = lambda row: Fault(row, "", "fault", "cannot be read")

    def __len__(self) -> int:
        return self.rows.size


@dataclass(frozen=True)
class Numbers:
    """values (N,), NaN where missing or at fault · missing: word -> how often."""

    values: Floats
    decimals: int
    style: NumberStyle
    missing: dict[str, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    underflows: int = 0             # written as not zero, zero as a float
    rounded: int = 0                # whole numbers of more digits than a float holds
    undecided: str = ""             # why the column cannot be read without being told


def ones(cells: Any, missing: Collection[str]) -> Numbers:
    """1 for each cell (N,) that holds anything, so that rows can be counted whatever they hold."""
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(cells.cast(pa.string())))
    absent = pc.is_in(texts, value_set=pa.array([*MISSING, *(text.lower() for text in missing)], pa.string()))
    return Numbers(np.where(np.asarray(absent, dtype=bool), np.nan, 1.0), 0, NumberStyle())


def read_numbers(cells: Any, *, decimal: str | None = None, style: NumberStyle | None = None,
                 comma_parted: bool = True, missing: Collection[str] = ()) -> Numbers:
    """Cells (N,) of text as numbers. `style` is what an earlier file of the kind used; `comma_parted`: commas part
    the fields of this file, and so are unlikely decimal marks; `missing`: texts and numbers that stand for none."""
    codes = codes_of(missing)
    if decimal in (None, ".") and style in (None, NumberStyle()):
        try:
            array = _floats(cells)
        except pa.ArrowInvalid:
            pass
        else:
            coded = np.isin(array, codes) if codes else np.array(False)
            numbers = array[~coded] if coded.any() else array
            if not numbers.size or (numbers.min() >= -LARGEST and numbers.max() <= LARGEST):
                plain = _plain_but(cells, array, coded) if coded.any() else _plain(cells, array)
                doubtful = decimal is None and style is None and plain.decimals == 3
                return replace(plain, undecided=_doubt(cells, comma_parted)) if doubtful else plain
    return _slow(cells, decimal, style, comma_parted, missing=missing, codes=codes)


def codes_of(missing: Collection[str]) -> list[float]:
    """The numbers among what stands for none."""
    return [float(text) for text in missing if _CODE.fullmatch(text)]


def _plain_but(cells: Any, array: Floats, coded: Bools) -> Numbers:
    """Plain numbers, some of which stand for none."""
    kept = _plain(cells.filter(pa.array(~coded)), array[~coded])
    return replace(kept, values=np.where(coded, np.nan, array), missing=_counts(cells.filter(pa.array(coded))))


def _counts(words: Any) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(words).to_pylist()}


def _floats(cells: Any) -> Floats:
    """Plain numbers, each piece put into its place. Raises ArrowInvalid."""
    values = np.empty(len(cells))
    stop = np.cumsum([len(piece) for piece in pieces_of(cells)])

    def put(piece: Any, end: int) -> None:
        values[end - len(piece):end] = _to_numpy(pc.cast(piece, pa.float64()))

    _of_pieces(put, pieces_of(cells), stop.tolist())
    return values


def _of_pieces(work: Callable[..., Result], *pieces: list[Any]) -> list[Result]:
    """The work done on each piece of a column, on several processors where there are several pieces."""
    if len(pieces[0]) < 2:
        return [work(*some) for some in zip(*pieces, strict=True)]
    with ThreadPoolExecutor(min(len(pieces[0]), pa.cpu_count())) as beside:
        return list(beside.map(work, *pieces))


def _to_numpy(values: Any) -> Floats:
    array: Floats = values.to_numpy(zero_copy_only=False)
    return array


def _plain(cells: Any, values: Floats) -> Numbers:
    zero = np.flatnonzero(values == 0)
    under = 0
    if zero.size:
        texts = pc.unique(cells.filter(pa.array(values == 0)))
        odd = texts.filter(pc.match_substring_regex(texts, "^[^eE]*[1-9]"))
        under = int(pc.sum(pc.is_in(cells, value_set=odd)).as_py() or 0) if len(odd) else 0
    return Numbers(values, most_decimals(cells), NumberStyle(), underflows=under, rounded=rounded_in(cells, values))


def rounded_in(cells: Any, values: Floats) -> int:
    """How many cells (N,), texts or whole numbers, hold a whole number of more digits than its float (N,)."""
    if not values.size or (values.max() < EXACT and values.min() > -EXACT):
        return 0
    texts = cells.filter(pa.array((np.abs(values) >= EXACT) & np.isfinite(values))).to_pylist()
    digits = [str(t).strip("+-").lstrip("0") for t in texts]             # not many: the number is finite
    return sum(1 for t in digits if t.isdigit() and int(t) != int(float(t)))


def most_decimals(cells: Any) -> int:
    """Most digits written behind the decimal point."""
    return max(_of_pieces(_decimals_in, pieces_of(cells)), default=0)


def _decimals_in(cells: Any) -> int:
    if not len(cells):
        return 0
    if (each := _behind_points(cells)) is not None:
        return min(each, 17)
    at = pc.find_substring(cells, ".").to_numpy(zero_copy_only=False)
    behind = pc.binary_length(cells).to_numpy(zero_copy_only=False) - at - 1
    most = behind.max() if at.min() >= 0 else np.where(at >= 0, behind, 0).max()
    powers = pc.or_(pc.match_substring(cells, "e"), pc.match_substring(cells, "E"))
    if pc.any(powers).as_py():
        whole = cells.filter(pc.invert(powers))
        texts = pc.unique(cells.filter(powers)).to_pylist()
        return max([_decimals_in(whole), *(_decimals_of(text) for text in texts)])
    return min(int(most), 17)


def _behind_points(cells: Any) -> int | None:
    """The most bytes behind a point, of texts (N,) that hold one point each and no power; None for others."""
    if not pa.types.is_string(cells.type) or cells.null_count:
        return None
    _, offsets, data = cells.buffers()
    edges = np.frombuffer(offsets, np.int32)[cells.offset:cells.offset + len(cells) + 1]
    text = np.frombuffer(data or b"", np.uint8)
    points = np.flatnonzero(text[edges[0]:edges[-1]] == ord(".")) + edges[0]
    if points.size != len(cells) or (points < edges[:-1]).any() or (points >= edges[1:]).any() \
            or (text[edges[0]:edges[-1]] | 32 == ord("e")).any():
        return None
    return int((edges[1:] - points).max()) - 1


def _decimals_of(text: str) -> int:
    number, _, power = text.lower().partition("e")
    digits = len(number.partition(".")[2])
    return int(min(max(0.0, digits - float(power or 0)), 17.0))     # a float takes powers of any length


def _slow(cells: Any, decimal: str | None, style: NumberStyle | None, comma_parted: bool, *,
          missing: Collection[str], codes: Sequence[float]) -> Numbers:
    """Any column: missing words apart, one style for the rest, and the misfits named."""
    texts = pc.utf8_trim_whitespace(cells)
    texts = pc.replace_substring(texts, "−", "-")                   # a typographic minus
    absent = _bools(pc.is_in(pc.utf8_lower(texts), value_set=pa.array(sorted(MISSING))))
    if missing:
        absent |= _bools(pc.is_in(texts, value_set=pa.array([text.replace("−", "-") for text in missing])))
    words = _counts(texts.filter(pa.array(absent))) if absent.any() else {}
    present, rows = texts.filter(pa.array(~absent)), np.flatnonzero(~absent)
    is_given = style is not None or decimal is not None
    usual = style if style is not None and decimal is None else None
    prefix, suffix = (usual.prefix, usual.suffix) if usual else find_affixes(present)
    bare, has = without_affixes(present, prefix, suffix)
    usual = usual or replace(_find_style(bare, decimal), prefix=prefix, suffix=suffix)
    undecided = "" if is_given else _doubt(bare, comma_parted)
    fits = _bools(pc.match_substring_regex(bare, usual.pattern)) & has
    good = _plainly(bare.filter(pa.array(fits)), usual)
    numbers = _to_numpy(pc.cast(good, pa.float64()))
    coded, over = np.isin(numbers, codes), ~(np.abs(numbers) <= LARGEST)
    if coded.any():
        words = Counter(words) + Counter(_counts(present.filter(pa.array(fits)).filter(pa.array(coded))))
    values = np.full(len(texts), np.nan)
    values[rows[fits]] = np.where(coded | over, np.nan, numbers)
    bad = np.union1d(rows[~fits], rows[fits][over & ~coded])
    number, kept = usual, good.filter(pa.array(~coded))
    return Numbers(values, most_decimals(kept), usual, dict(words),
                   Faults(bad, lambda row: fault_of(row, str(texts[row].as_py()), number)), undecided=undecided,
                   rounded=rounded_in(kept, numbers[~coded]), underflows=_underflows(kept, numbers[~coded]))


def _bools(mask: Any) -> Bools:
    return _to_numpy(mask).astype(bool)


def _underflows(texts: Any, values: Floats) -> int:
    zeros = texts.filter(pa.array(values == 0))
    return int(pc.sum(pc.match_substring_regex(zeros, "^[^eE]*[1-9]")).as_py() or 0) if len(zeros) else 0


def _plainly(texts: Any, style: NumberStyle) -> Any:
    """Cells of this style, their affixes off, as a float is written."""
    if style.group:
        texts = pc.replace_substring_regex(texts, _GROUPS[style.group], "")
    if style.decimal != ".":
        texts = pc.replace_substring(texts, style.decimal, ".")
    return pc.replace_substring_regex(texts, r"^\((.*)\)$", r"-\1") if style.parentheses else texts


def _find_style(texts: Any, decimal: str | None) -> NumberStyle:
    """The style that most cells fit, the plainest first."""
    groups = {".": ("", ",", "'", " "), ",": ("", ".", "'", " ")}
    marks = (decimal,) if decimal else (".", ",")
    parentheses = _has_parentheses(texts)
    styles = [NumberStyle(mark, group, parentheses=parentheses) for mark in marks for group in groups[mark]]
    return max(styles, key=lambda s: int(pc.sum(pc.match_substring_regex(texts, s.pattern)).as_py() or 0))


def _has_parentheses(texts: Any) -> bool:
    """Bookkeepers' negatives: several of them, and no minus sign beside them."""
    wrapped = pc.sum(pc.match_substring_regex(texts, r"^\(.*[0-9].*\)$")).as_py() or 0
    return wrapped > 1 and not pc.any(pc.match_substring_regex(texts, r"^\s*-")).as_py()


def _doubt(texts: Any, comma_parted: bool) -> str:
    """Why the mark may be a thousands mark in all cells: three digits behind each, and no cell tells otherwise.

    Where commas part the fields, a point is a decimal point (unless small whole numbers stand between), and a comma
    in quotes parts thousands."""
    marked = texts.filter(pc.match_substring_regex(texts, "[.,]"))
    if not len(marked) or not pc.all(pc.match_substring_regex(marked, _EITHER)).as_py():
        return ""
    whole = texts.filter(pc.match_substring_regex(texts, "^[+-]?[0-9]+$"))
    if len(whole) <= len(marked) and pc.any(pc.match_substring_regex(whole, "[0-9]{4}")).as_py():
        return ""                                                   # 1234 beside 1.234: nothing parts thousands
    points = pc.any(pc.match_substring(marked, ".")).as_py()
    if comma_parted and (not points or not len(whole)):
        return ""
    return f"{quoted(marked[0].as_py())} may be a thousand or a fraction, in every row"


def fault_of(row: int, text: str, style: NumberStyle) -> Fault:
    """Why a cell is no number of this style."""
    shown = quoted(text)
    bare, has = without_affixes(pa.array([text]), style.prefix, style.suffix)
    if has[0] and re.match(style.pattern, bare[0].as_py()):
        return Fault(row, text, "not_finite", f"{shown} is too large to compute with (more than {LARGEST:g})", None)
    if re.fullmatch(r"[+-]?inf(inity)?", text, re.IGNORECASE):
        return Fault(row, text, "not_finite", f"{shown} is not a finite number", EMPTY)
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", text) and ("," in text) == (style.decimal == "."):
        whole, part = re.split("[.,]", text)
        point, comma = (f"{whole}{part}", f"{whole}.{part}") if "," in text else (f"{whole}.{part}", f"{whole}{part}")
        return Fault(row, text, "ambiguous_number", f"{shown} may be {whole}{part} or {whole}.{part}",
                     f"Try --decimal . for {point}, or --decimal ',' for {comma}")
    if style.decimal == "." and re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", text):
        return Fault(row, text, "not_a_number", f"{shown} is not a number (thousands?)", "Try --decimal .")
    if style.decimal == "." and re.fullmatch(r"[+-]?[\d.' ]*,\d+", text):
        return Fault(row, text, "not_a_number", f"{shown} is not a number (decimal comma?)", "Try --decimal ','")
    if style.decimal == "," and re.fullmatch(r"[+-]?[\d,' ]*\.\d+", text):
        return Fault(row, text, "not_a_number", f"{shown} is not a number (decimal point?)", "Try --decimal .")
    if re.fullmatch(r"[<>≤≥~=]+\s?[\d.,]+", text):
        return Fault(row, text, "not_a_number", f"{shown} is a bound, not a number",
                     EMPTY if "," in text else f"--missing {shown} reads it as missing")
    if re.search(r"\d{1,2}[:/-]\d{1,2}", text):
        return Fault(row, text, "not_a_number", f"{shown} is not a number (a date or time?)", None)
    if wrong := _misfit(text, style.prefix, style.suffix):
        return Fault(row, text, "not_a_number", f"{shown} {wrong}", UNIT)
    return Fault(row, text, "not_a_number", f"{shown} is not a number",
                 f"{EMPTY}, or --bad-rows quarantine")


def _misfit(text: str, prefix: str, suffix: str) -> str:
    """What is wrong with the unit of a cell in a column whose cells have these affixes, in words; "" if nothing is."""
    usual, own = prefix or suffix, "".join(affixes_of(text))
    if not usual:
        return "is not a number (with a unit? the others have none)" if own else ""
    if not own:
        return f"has no unit, the others have {quoted(usual)}" if re.search(r"\d", text) else ""
    return f"has another unit than the others ({quoted(usual)})" if own != usual else ""
