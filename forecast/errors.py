"""Everything that can end a command, drawn as a tree. Only cli/ catches these, prints them and exits.

    ForecastError            1   a bug, if it ever surfaces bare
    ├── RequestError         2   the request: unknown option, impossible combination
    ├── DataError            3   the data: unusable as given
    ├── ModelError           4   the model: missing, corrupt, of another shape than the data
    ├── GateError            6   a quality gate was not passed; nothing promoted
    ├── StaleError           7   the data are older than asked for, or hold nothing new
    ├── BusyError            8   another run holds the lock
    └── DiskError            9   full, read-only, I/O error; what stood before still stands

Exit 5 (partial: output written, some series fell back) is an outcome, not an exception: see cli/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing wrong, where it stands and what would help.

    `row` is the physical line in the file (1 is the first), `column` the header as the file writes it."""

    code: str                   # stable, for scripts: "not_a_number"
    message: str                # what was found: '"1.234,50" is not a number (decimal comma?)'
    file: str | None = None
    row: int | None = None
    column: str | None = None
    value: str | None = None
    hint: str | None = None     # the remedy: "Try --decimal ','"

    def __str__(self) -> str:
        """One line: `sales.csv:1042: column 'qty': "1.234,50" is not a number. Try --decimal ','`."""
        place = self.file or ""
        if self.file and self.row is not None:
            place += f":{self.row}"
        parts = [place] if place else []
        if self.column is not None:
            parts.append(f"column '{self.column}'")
        parts.append(self.message)
        said = ": ".join(parts)
        return said if not self.hint else f"{said}{'' if said.endswith('?') else '.'} {self.hint}"


class ForecastError(Exception):
    """What went wrong, as one problem or several of one kind; the first is the headline.

    remedy: the settings of data that its hint amounts to, by name, where the hint is a flag."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: Problem | str, *, hint: str | None = None, code: str | None = None,
                 more: Sequence[Problem] = (), remedy: Mapping[str, Any] | None = None, **where: Any) -> None:
        if isinstance(problem, str):
            problem = Problem(code or type(self).__name__.removesuffix("Error").lower(), problem, hint=hint, **where)
        self.problems: tuple[Problem, ...] = (problem, *more)
        self.remedy: Mapping[str, Any] = remedy or {}
        super().__init__(str(problem))

    @property
    def problem(self) -> Problem:
        return self.problems[0]

    @property
    def code(self) -> str:
        """What went wrong, for scripts: "not_a_number"."""
        return self.problem.code

    @property
    def file(self) -> str | None:
        return self.problem.file

    @property
    def row(self) -> int | None:
        """The line of a file, 1 the first; or the position of a row in a frame, as in `frame.iloc[row]`."""
        return self.problem.row

    @property
    def column(self) -> str | None:
        return self.problem.column

    @property
    def hint(self) -> str | None:
        """What would help."""
        return self.problem.hint

    def __str__(self) -> str:
        return str(self.problem)

    def to_dict(self) -> dict[str, Any]:
        """The `error` object of --json: code, exit, message, file, row, column, value, hint (and `more`)."""
        fields = asdict(self.problem)
        head = {"code": fields.pop("code"), "exit": self.exit_code, **fields}
        return head | ({"more": [asdict(p) for p in self.problems[1:]]} if len(self.problems) > 1 else {})


@contextmanager
def about(file: object) -> Iterator[None]:
    """Data that are refused in here without a name are those of this file."""
    try:
        yield
    except DataError as error:
        if error.problem.file is not None:
            raise
        raise DataError(replace(error.problem, file=str(file)), more=error.problems[1:],
                        remedy=error.remedy) from error


class RequestError(ForecastError):
    exit_code = 2


class DataError(ForecastError):
    exit_code = 3


class ModelError(ForecastError):
    exit_code = 4


class GateError(ForecastError):
    exit_code = 6


class StaleError(ForecastError):
    exit_code = 7
    data_age: float | None = None           # seconds, of the newest data, where they are known


class BusyError(ForecastError):
    exit_code = 8


class DiskError(ForecastError):
    exit_code = 9


EXIT_CODES = {                                                          # code: what it means, what to do about it
    0: ("done, or nothing to do", "-"),
    1: ("a bug in the program, or a broken installation", "`forecast doctor`; `--debug` shows where"),
    2: ("the request: an unknown option, or an impossible combination", "`forecast COMMAND --help`"),
    3: ("the data: they cannot be used as they are", "`forecast check FILE` says which flag mends it"),
    4: ("the model: missing, corrupt, or of another shape than the data", "`forecast models`, `forecast doctor`"),
    5: ("partial: the output is written, but some series fell back, each of them named; or the ledger failed",
        "look at the series that are named"),
    6: ("a quality gate was not passed (`--min-skill`, `--fail-over`, the live model is better), or a replay differs; "
        "nothing was promoted", "look at the scores; `forecast models promote RUN` overrules"),
    7: ("stale: the data are older than `--max-age`, or hold nothing new (`--require-new`)",
        "look at what should have brought new data"),
    8: ("busy: another run holds the lock", "run it again later; `train` and `models` wait for it with `--wait 10m`"),
    9: ("the disk: full, read-only, or broken; what stood before still stands", "make room, then run it again"),
    130: ("interrupted", "where a training says so, the same command with `--resume` goes on"),
    143: ("terminated", "as after 130"),
}
