"""A year of daily forecasts and weekly trainings with everything that goes wrong in one; expected beside found.

    python -m tests.benchmarks.year FOLDER [--days N]

FOLDER holds nab_nyc_taxi.csv: 10,320 half-hours. A "day" is 24 of them, so that 1,560 half-hours (32 real days) are
known before the first one, and 365 follow. Each day the file as delivered so far is written, FORECAST_NOW is set, and
`predict` runs; every 7th day `train`. What was issued is kept here, too, and scored again by a few lines of Python."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from forecast.cli import main
from forecast.ledger.ledger import FILE, Ledger
from forecast.store.run import load
from forecast.store.store import Store
from forecast.system.files import sha256

DAY, YEAR, SEASON = 24, 365, 48                                         # half-hours, days, half-hours
TRAIN = ("train", "data.csv", "--quick", "--horizon", str(DAY), "--hidden", "8", "--max-gap", "200", "--set",
         "train.steps=60", "--set", "model.blend=false", "--set", f"model.context={2 * SEASON}")
SHIFT, MISSING, REVISED, TWICE, ROWS, FULL, STALE = 0.2, 0.35, 0.6, 0.67, 0.72, 0.8, 0.9      # when, as shares
WEEK = 7
TIMES = 3                                                               # the level's shift


@dataclass
class Ended:
    """How a command ended."""

    code: int
    said: str
    seconds: float


@dataclass
class Year:
    """What was issued, what was asked of each event, and what was found."""

    folder: Path
    rows: list[tuple[datetime, float]]
    days: int
    delivered: list[tuple[datetime, float]] = field(default_factory=list)
    issued: dict[datetime, Path] = field(default_factory=dict)          # cutoff -> the newest file
    kept: list[Path] = field(default_factory=list)
    different: set[tuple[str, str]] = field(default_factory=set)        # data and model: what makes an issue a new one
    table: list[tuple[str, str, str, bool]] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"predict": [], "train": [], "evaluate": []})

    def day_of(self, share: float) -> int:
        return round(share * self.days)

    def call(self, *arguments: str) -> Ended:
        """The program, in this process."""
        words, start = io.TextIOWrapper(io.BytesIO(), write_through=True), time.perf_counter()
        with contextlib.redirect_stderr(words), contextlib.redirect_stdout(words):
            try:
                main(["-C", str(self.folder), *arguments])
            except SystemExit as end:
                code = int(end.code or 0)
        words.seek(0)
        ended = Ended(code, words.read(), time.perf_counter() - start)
        self.seconds[arguments[0]].append(ended.seconds) if arguments[0] in self.seconds else None
        return ended

    def deliver(self, more: str = "") -> None:
        lines = "".join(f"{t:%Y-%m-%d %H:%M:%S},{y:g}\n" for t, y in self.delivered)
        (self.folder / "data.csv").write_text("timestamp,value\n" + lines + more)

    def predict(self, day: int, *more: str) -> Ended:
        name = f"day-{day:03}.csv"
        ended = self.call("predict", "-o", f"out/{name}", "--max-age", "36h", *more)
        if ended.code in (0, 5):
            path = self.folder / "out" / name
            self.issued[self.delivered[-1][0]] = path
            self.kept.append(path)
            with path.open() as file:
                self.different.add((sha256(self.folder / "data.csv"), next(csv.DictReader(file))["model"]))
        return ended

    def expect(self, event: str, wanted: str, ended: Ended, *, code: int, words: str = "") -> None:
        """A row of the table: the exit code, and what must have been said."""
        told = next((line.strip() for line in ended.said.splitlines() if words and words in line), "")
        right = ended.code == code and (not words or bool(told))
        self.table.append((event, wanted, f"exit {ended.code}  {told or ended.said.strip()[-150:]}", right))

    def hold(self, event: str, wanted: str, found: object, right: bool) -> None:
        self.table.append((event, wanted, str(found), right))


def clock(moment: datetime) -> None:
    os.environ["FORECAST_NOW"] = f"{moment:%Y-%m-%dT%H:%M:%S}"


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[bool]:
    """A folder on a disk of 4 KiB where root may mount one (True); else one whose every write fails by our own hand."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        try:
            (folder / "other").write_bytes(bytes(4096))
            yield True
        finally:
            subprocess.run(["umount", str(folder)], check=True)
            folder.rmdir()
        return
    sync, os.fsync = os.fsync, _no_space
    try:
        yield False
    finally:
        os.fsync = sync
        folder.rmdir()


def _no_space(descriptor: Any) -> None:
    raise OSError(28, "No space left on device")


def normal(year: Year, day: int) -> None:
    ended = year.predict(day)
    if ended.code != 0:
        year.expect(f"day {day}", "exit 0", ended, code=0)


def lived(year: Year) -> None:
    """Day after day."""
    start = len(year.rows) - YEAR * DAY
    shift, missing, revised = year.day_of(SHIFT), year.day_of(MISSING), year.day_of(REVISED)
    events: dict[int, Callable[[Year, int], None]] = {
        revised: of_revision, year.day_of(TWICE): of_same_file, year.day_of(ROWS): of_same_rows,
        year.day_of(FULL): of_full_disk, year.day_of(STALE): of_stale_data}
    year.delivered = year.rows[:start]
    year.deliver()
    clock(year.delivered[-1][0] + timedelta(hours=1))
    year.expect("first training", "exit 0, live", year.call(*TRAIN), code=0, words="is now live")
    for day in range(year.days):
        fresh = year.rows[start + day * DAY:start + (day + 1) * DAY]
        clock(fresh[-1][0] + timedelta(hours=1))
        if missing <= day < missing + WEEK:                             # never delivered
            ended = year.predict(day)
            if day == missing + WEEK - 1:
                year.expect("missing week: no delivery", "exit 7, its age", ended, code=7, words="old: more than")
            continue
        year.delivered += [(t, y * TIMES) for t, y in fresh] if day >= shift else fresh
        year.deliver()
        if day == missing + WEEK:
            year.expect("missing week: after it", "exit 0, 168 counted as filled", year.predict(day), code=0,
                        words=f"{WEEK * DAY} missing")
        else:
            events.get(day, normal)(year, day)
        if day in (shift - 1, shift + 4):
            ended = year.call("evaluate", "--issued", "--last", f"{5 * DAY}", "--fail-over", "drift=1.7", "-o",
                              "drift.json")
            if day > shift:
                year.expect("level shift", "exit 6, drift", ended, code=6, words="over the limit")
            else:
                year.expect("before the shift", "exit 0", ended, code=0, words="live")
        if day % WEEK == WEEK - 1:
            ended = year.call(*TRAIN)
            if ended.code not in (0, 6):
                year.expect(f"training of day {day}", "exit 0 or 6", ended, code=0)


def of_revision(year: Year, day: int) -> None:
    week = slice(-(WEEK + 3) * DAY, -3 * DAY)
    year.delivered[week] = [(t, round(1.1 * y)) for t, y in year.delivered[week]]
    year.deliver()
    year.expect("revised week", "exit 0, said", year.predict(day), code=0, words="revised history since the last issue")


def of_same_file(year: Year, day: int) -> None:
    normal(year, day)
    before = len(Ledger(year.folder / ".forecast" / FILE).issues())
    ended = year.predict(day)
    year.expect("the same file twice", "exit 0, nothing new", ended, code=0, words="as they were for the forecast of")
    year.expect("the same file twice: ledger", "as issued before", ended, code=0, words="as issued before")
    year.hold("the same file twice: issues", "none more", *_same(before, year))
    year.expect("the same with --require-new", "exit 7", year.predict(day, "--require-new"), code=7)


def _same(before: int, year: Year) -> tuple[str, bool]:
    now = len(Ledger(year.folder / ".forecast" / FILE).issues())
    return f"{now - before} more", now == before


def of_same_rows(year: Year, day: int) -> None:
    again = "".join(f"{t:%Y-%m-%d %H:%M:%S},{y:g}\n" for t, y in year.delivered[-DAY:])
    year.deliver(again)
    before = set(os.listdir(year.folder / "out"))
    year.expect("rows delivered twice", "exit 3, the line named", year.predict(day), code=3, words="data.csv:")
    left = sorted(set(os.listdir(year.folder / "out")) - before)
    year.hold("rows delivered twice: output", "none", left, not left)
    year.deliver()
    normal(year, day)


def of_full_disk(year: Year, day: int) -> None:
    before = len(Ledger(year.folder / ".forecast" / FILE).issues())
    with full_disk(year.folder / "full") as mounted:
        ended = year.call("predict", "-o", "full/out.csv")
        left = [n for n in os.listdir(year.folder / "full") if n != "other"]
    year.expect("full disk", f"exit 9 ({'tmpfs' if mounted else 'by hand'})", ended, code=9, words="No space left")
    year.hold("full disk: half an output", "none", left, not left)
    year.hold("full disk: issues", "none more", *_same(before, year))
    normal(year, day)


def of_stale_data(year: Year, day: int) -> None:
    normal(year, day)
    clock(year.delivered[-1][0] + timedelta(hours=37))
    year.expect("stale data", "exit 7, its age", year.predict(day), code=7, words="old: more than")


def scores(year: Year) -> dict[str, float]:
    """From the files that were kept and the last file delivered, without the program."""
    truth = {t: y for t, y in year.delivered}
    first = min(year.issued)
    past = [y for t, y in year.delivered if t <= first]
    scale = sum(abs(a - b) for a, b in zip(past[SEASON:], past, strict=False)) / (len(past) - SEASON)
    errors, inside = [], 0
    for path in year.issued.values():
        with path.open() as file:
            for row in csv.DictReader(file):
                if (y := truth.get(datetime.fromisoformat(row["timestamp"]))) is not None:
                    errors.append(float(row["yhat"]) - y)
                    inside += float(row["yhat_lo_80"]) <= y <= float(row["yhat_hi_80"])
    mae = sum(map(abs, errors)) / len(errors)
    return {"n": len(errors), "mae": mae, "rmse": (sum(e * e for e in errors) / len(errors)) ** 0.5,
            "bias": sum(errors) / len(errors), "mase": mae / scale, "coverage_80": inside / len(errors)}


def judged(year: Year) -> None:
    """Nothing lost, and the live scores are those of the files."""
    store, ledger = Store(year.folder / ".forecast"), Ledger(year.folder / ".forecast" / FILE)
    lost = [p.name for p in year.kept if (w := ledger.written(p, sha256(p))) is None or not w[1]]
    year.hold("files in the ledger", f"all {len(set(year.kept))}", f"{len(set(year.kept)) - len(set(lost))}", not lost)
    year.hold("issues", f"{len(year.different)}, all whole", n := ledger.verify(), n == len(year.different))
    trained, runs = len(year.seconds["train"]), [load(store.runs / i).id for i in store.ids()]
    year.hold("runs, live or kept", f"{trained}, all whole", len(runs), len(runs) == trained)
    year.expect("doctor", "exit 0", year.call("doctor"), code=0)
    left = [p.name for p in year.folder.rglob("*") if p.name.endswith((".tmp", ".partial", "-journal"))]
    year.hold("left lying about", "nothing", left, not left)
    year.expect("evaluate --issued", "exit 0", year.call("evaluate", "--issued"), code=0, words="have come true")
    said = json.loads((year.folder / "metrics.json").read_text())
    own, live = scores(year), said["models"]["issued"]
    for name, value in own.items():
        found = said["matched"] if name == "n" else live[name]
        year.hold(f"live {name}", f"{value:.6g}", f"{found:.6g}", abs(found - value) <= 1e-6 * max(1, abs(value)))


def shown(year: Year) -> int:
    """The table and the figures; how many differences."""
    for event, wanted, found, right in year.table:
        sys.stdout.write(f"{'  ' if right else '! '}{event:<32} {wanted:<32} {found[:150]}\n")
    size = sum(p.stat().st_size for p in (year.folder / ".forecast").rglob("*") if p.is_file())
    ledger = (year.folder / ".forecast" / FILE).stat().st_size
    sys.stdout.write(f"\n{year.days} days, {len(year.kept)} forecasts; store {size / 2**20:.1f} MiB, of it ledger "
                     f"{ledger / 2**20:.2f} MiB\n")
    for name, seconds in year.seconds.items():
        if seconds:
            middle = sorted(seconds)[len(seconds) // 2]
            sys.stdout.write(f"{name:<9} {len(seconds):4} times, median {middle:.2f} s, longest {max(seconds):.2f} s\n")
    wrong = sum(not right for *_, right in year.table)
    sys.stdout.write(f"{len(year.table)} expectations, {wrong} not met\n")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=YEAR)
    asked = parser.parse_args()
    with (asked.folder / "nab_nyc_taxi.csv").open() as file:
        rows = [(datetime.fromisoformat(r["timestamp"]), float(r["value"])) for r in csv.DictReader(file)]
    place = Path(tempfile.mkdtemp(prefix="year-"))
    try:
        (place / "out").mkdir()
        year = Year(place, rows, min(asked.days, YEAR))
        lived(year)
        judged(year)
    finally:
        wrong = shown(year)
        shutil.rmtree(place)
    sys.exit(1 if wrong else 0)
