"""Words: what is said to people at a terminal, said to whoever calls from Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from forecast.errors import ForecastError, Problem
from forecast.system.datasource import FRAME

_FLAG = re.compile(r"--([a-z][a-z-]*)(?: ('[^']*'|\"[^\"]*\"|[^\s;)]+))?")
_PLAN = re.compile(r"forecast future .*? -o plan\.csv writes")
_PROSE = ("with", "takes", "keeps", "reads", "changes", "says", "sets", "allows", "if", "is", "or", "and", "in", "to",
          "right?", "where", "may", "has", "goes", "are", "names")
_SWITCHES = ("quick", "best", "resume", "accept-scale", "dayfirst", "turn", "bidirectional", "attention",
             "allow-negative", "nonnegative", "mean", "round", "together")


def _keyword(flag: re.Match[str]) -> str:
    """`--decimal ','` as decimal=','; what follows and is no value stays where it was."""
    name, value = flag.group(1), flag.group(2) or ""
    rest = f" {value}" if value else ""
    if name == "set" and "=" in value:
        key, _, text = value.partition("=")
        return f"settings={{'{key}': '{text.rstrip(',.')}'}}" + value[len(value.rstrip(",.")):]
    if name in _SWITCHES or name == "no-final-fit":
        return ("final_fit=False" if name == "no-final-fit" else f"{name.replace('-', '_')}=True") + rest
    name = name.replace("-", "_") + "="
    if value in ("", ",", ":") or value in _PROSE:
        return name + rest
    bare = value if value in (".", ",") or value[0] in "'\"" else value.rstrip(".,:")
    tail = value[len(bare):]
    if re.fullmatch(r"N|-?\d+(\.\d+)?", bare) or bare[0] in "'\"":
        return name + bare + tail
    return f"{name}'{bare}'{tail}"


def spoken(text: str, *, of_frame: bool = False) -> str:
    """A text that names flags, lines and commands, in the words of Python; a frame has rows in place of lines."""
    text = _FLAG.sub(_keyword, _PLAN.sub("model.future() gives", text).replace("for --future plan.csv", "for --future"))
    text = text.replace("forecast predict DATA", "predict(frame)").replace("DATA must be named", "data must be named")
    return re.sub(r"(?<!\")\bline (\d)", r"row \1", text) if of_frame else text     # not in what a cell holds


def said(problem: Problem) -> Problem:
    is_frame = problem.file == FRAME
    return replace(problem, message=spoken(problem.message, of_frame=is_frame),
                   hint=problem.hint and spoken(problem.hint, of_frame=is_frame))


@contextmanager
def in_python() -> Iterator[None]:
    """What is refused in here is said in the words of Python."""
    try:
        yield
    except ForecastError as error:
        error.problems = tuple(map(said, error.problems))
        error.args = (str(error.problem),)
        raise
