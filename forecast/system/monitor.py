"""What a monitor reads: how the last run of a command ended, as a textfile for Prometheus' node_exporter.

The file is replaced whole. A run that is killed writes nothing: that its stamps stand still is what to alert on."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forecast.errors import DiskError, ForecastError, RequestError, StaleError
from forecast.system import clock
from forecast.system.files import write_text

ENDING = ".prom"
OURS = b"# HELP forecast_"                                             # how each of our files begins
GOOD = (0, 5)                                                           # exit codes of a run that wrote its output
SUCCESS = "forecast_last_success_timestamp_seconds"
HELP = {
    "forecast_last_run_timestamp_seconds": "When the command last ended, however it ended.",
    SUCCESS: "When it last wrote its output (exit 0 or 5); 0 for never.",
    "forecast_exit_code": "How it last ended; forecast help exit-codes lists the codes.",
    "forecast_duration_seconds": "How long that took.",
    "forecast_rows": "Rows it read (train), wrote (predict) or scored (evaluate).",
    "forecast_data_age_seconds": "How old the newest point of the data was.",
    "forecast_mase": "MASE of what was scored: a backtest, or with evaluate --issued what was really issued.",
    "forecast_skill": "How much smaller the error is than that of the better simple forecast, as a share.",
    "forecast_coverage": "The share of values inside the band of this level.",
    "forecast_promised_mase": "MASE that the backtests had promised for what was issued.",
    "forecast_drift_ratio": "MASE of what was issued over the promised one.",
    "forecast_drift_alarm": "1 where that is too much, and beyond chance: train anew.",
}


@dataclass
class Status:
    """Filled while a command runs; the exit code of an exception stands over the one set here."""

    exit_code: int = 0
    rows: int | None = None
    numbers: dict[str, float] = field(default_factory=dict)     # name without "forecast_" -> value
    coverage: dict[str, float] = field(default_factory=dict)    # level of a band -> the share that it covers

    def watch(self, scores: Mapping[str, Any]) -> None:
        """What a monitor is told of these metrics of a forecaster."""
        self.numbers |= {name: scores[name] for name in ("mase", "skill") if scores.get(name) is not None}
        self.coverage = {name.removeprefix("coverage_"): value for name, value in scores.items()
                         if name.startswith("coverage_")}

    def lines(self, labels: str) -> Iterator[tuple[str, str]]:
        """Name and line of each number that is defined."""
        for name, value in self.numbers.items():
            if math.isfinite(value):
                yield f"forecast_{name}", f"forecast_{name}{{{labels}}} {value:.6g}"
        for level, share in self.coverage.items():
            if math.isfinite(share):
                yield "forecast_coverage", f'forecast_coverage{{{labels},level="{level}"}} {share:.6g}'


def check_status_path(path: Path | None) -> None:
    """Before any work: node_exporter reads no other ending, and the folder must be there. Raises RequestError."""
    if path is None:
        return
    if path.suffix != ENDING:
        raise RequestError(f"--status-file {path}: node_exporter reads files that end in {ENDING}", code="bad_ending")
    if path.is_dir():
        raise RequestError(f"--status-file {path}: is a folder", code="bad_ending", hint="Name a file in it")
    if not path.parent.is_dir():
        raise RequestError(f"--status-file {path}: there is no folder {path.parent}", code="no_folder")
    if path.is_file() and not _is_ours(path):
        raise RequestError(f"--status-file {path}: holds something else, which would be written over",
                           code="overwrite", hint="Choose another --status-file")


def _is_ours(path: Path) -> bool:
    """Whether a status file stands there, or nothing."""
    try:
        with path.open("rb") as file:
            return file.read(len(OURS)) in (b"", OURS)
    except OSError:
        return True                                                     # whoever writes there will say it


@contextmanager
def reported(path: Path | None, command: str) -> Iterator[Status]:
    """Run a block and write how it ended; without a path, only run it.

    Raises DiskError where that cannot be written, unless the block has failed: its own error is the news then."""
    status, start = Status(), time.monotonic()
    try:
        yield status
    except BaseException as error:
        status.exit_code = exit_code_of(error)
        if isinstance(error, StaleError) and error.data_age is not None:
            status.numbers["data_age_seconds"] = error.data_age
        with suppress(DiskError):
            _write(path, command, status, time.monotonic() - start)
        raise
    _write(path, command, status, time.monotonic() - start)


def exit_code_of(error: BaseException) -> int:
    """What the program ends with where nobody stops this: 1 for what nobody foresaw."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    code = error.exit_code if isinstance(error, ForecastError) else getattr(error, "exit_code",
                                                                            getattr(error, "code", 1))
    return code if isinstance(code, int) else 1


def _write(path: Path | None, command: str, status: Status, seconds: float) -> None:
    if path is None:
        return
    now = f"{_now().timestamp():.0f}"
    succeeded = now if status.exit_code in GOOD else _last_success(path)
    labels = f'task="{_escaped(path.name.removesuffix(ENDING))}",command="{command}"'
    values = zip(HELP, (now, succeeded, status.exit_code, f"{seconds:.3f}", status.rows), strict=False)
    lines = {name: [f"{name}{{{labels}}} {value}"] for name, value in values if value is not None}
    for name, line in status.lines(labels):
        lines.setdefault(name, []).append(line)
    write_text(path, "".join(f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n" + "\n".join(lines[name]) + "\n"
                             for name in HELP if name in lines))


def _now() -> datetime:
    """As FORECAST_NOW says; where that is no time, which ends the command, the machine's clock tells when."""
    try:
        return clock.now()
    except RequestError:
        return datetime.now(UTC)


def _last_success(path: Path) -> str:
    """As the file that stands there tells it; "0" where it does not."""
    try:
        before = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "0"
    match = re.search(rf"^{SUCCESS}{{.*}} (\d+)$", before, flags=re.MULTILINE)
    return match.group(1) if match else "0"


def _escaped(text: str) -> str:
    """A label's value as the exposition format writes it, in UTF-8."""
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return plain.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
