"""What the command line writes and says, as SHA-256 sums that two checkouts can be compared by.

    python tests/same_bytes.py DATA_FOLDER OUTPUT_FOLDER [--checkout FOLDER] [--short]

Runs `python -m forecast` of the checkout (by default the one this file lies in) with a fixed clock on AirPassengers
and shops, and, unless --short, on nab_nyc_taxi.csv and m4_weekly.csv of DATA_FOLDER; prints a line for every file and
every stream. What must differ (the random end of a run's id, seconds of work, room on the disk) is masked."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
OURS = ("airpassengers.csv", "shops.csv")
THEIRS = {"nab_nyc_taxi.csv": (), "m4_weekly.csv": ("--horizon", "13")}     # with what train needs to be told
CLOCK = "2026-09-{:02}T04:{:02}:00"                                     # day, and the number of the command
MASKS = (
    (r"^\d{4}-\d\d-\d\dT[\d:]+Z +(training|final fit) .*\n", ""),        # a line for every 30 s
    (r"\b\d{8}T\d{6}Z-[a-z_]+-[0-9a-f]{4}\b", "RUN"), (r"\b\d{8}T\d{6}Z-[0-9a-f]{6}\b", "ISSUE"),
    (r"(\"seconds(?:_expected|)\": )[\d.e+-]+", r"\1T"), (r"\b\d+(\.\d)? s\b", "T"), (r"\b\d?\d:\d\d(:\d\d)?\b", "T"),
    (r"(%\s+)\d+\.\d(?=\s+\d+\s+\d+ of \d+$)", r"\1T"), (r"[\d.,]+ GiB free", "ROOM"), (r"[\d.]+ MB", "SIZE"),
    (r"(\"bytes\w*\": )\d+", r"\1SIZE"))
FILES = ("weights.safetensors", "validated.safetensors", "config.json", "contract.json", "series.json",
         "calibration.json", "metrics.json", "run.json", "history.csv")
FAST = ("--set", "train.steps=10", "--hidden", "8")
STORY = (                                   # every command once or more, and refusals: (day, arguments)
    (1, ("train", "air.csv", *FAST, "--name", "first", "--status-file", "train.prom")),
    (1, ("predict", "--plot", "air.png", "--status-file", "predict.prom", "-v")),
    (2, ("predict", "--as-of", "1960-06", "-o", "then.csv", "--nonnegative", "--round")),
    (2, ("predict", "--json", "-o", "-", "--horizon", "3")), (2, ("predict", "-o", "-", "--layout", "long")),
    (2, ("predict", "-q", "-o", "quiet.csv", "--shard", "1/2", "--adapt")),
    (2, ("predict", "--require-new", "--max-age", "100y")), (2, ("predict", "--max-age", "2d")),
    (2, ("predict", "--series", "nobody")), (2, ("predict", "--levels", "50")), (2, ("predict", "-o", "x.png")),
    (2, ("predict", "nothing.csv")), (2, ("predict", "--model", "nobody")), (2, ("predict", "-o", "air.csv")),
    (3, ("train", "air.csv", *FAST, "--promote", "always", "--cell", "gru", "--json", "-v")),
    (3, ("train", "air.csv", *FAST, "--min-skill", "0.9")), (3, ("train", "air.csv", "--dry-run", "--best")),
    (3, ("train", "air.csv", "--dry-run", "--json")), (3, ("train", "air.csv", "--name", "live")),
    (3, ("train", "air.csv", "--min-skill", "1", "--promote", "never")), (3, ("train", "-q", "air.csv", *FAST)),
    (4, ("predict",)), (4, ("replay", "last")), (4, ("replay", "predictions.csv", "--json")),
    (4, ("replay", "then.csv")), (4, ("replay", "nobody")), (4, ("diff",)), (4, ("diff", "--json")),
    (4, ("evaluate", "air.csv", *FAST, "--predictions", "backtest.csv")),
    (4, ("evaluate", "air.csv", "--forecast", "then.csv", "--json")),
    (4, ("evaluate", "--issued", "--fail-over", "drift=0.1")), (4, ("evaluate", "--issued", "--json", "--last", "3")),
    (4, ("evaluate", "air.csv", *FAST, "--fail-over", "mase=0.01", "-q")), (4, ("evaluate", "--metrics", "mas")),
    (4, ("evaluate", "--last", "3")), (4, ("evaluate", "--issued", "--last", "30d")),
    (4, ("evaluate", "--windows", "2", "--refit", "each", *FAST)),
    (5, ("explain",)), (5, ("explain", "--json", "-o", "again.png")), (5, ("explain", "nobody")),
    (5, ("compare", "air.csv", "--cells", "gru,rnn", "--seeds", "1", "--set", "train.steps=0", "-o", "cells.json")),
    (5, ("compare", "air.csv", "--cells", "lstn")), (5, ("check", "air.csv", "bad.csv", "--rejects", "rejects.csv")),
    (5, ("check", "air.csv", "bad.csv", "--json", "-o", "read")), (5, ("check", "air.csv", "-o", "air.parquet")),
    (6, ("models",)), (6, ("models", "--json")), (6, ("models", "show", "live")), (6, ("models", "show", "first")),
    (6, ("models", "show", "first", "--json")), (6, ("models", "rollback")), (6, ("models", "promote", "first")),
    (6, ("models", "prune", "--keep", "1", "--ledger", "1d", "-v")), (6, ("models", "rollback", "--json")),
    (6, ("models", "drop")), (7, ("doctor",)), (7, ("doctor", "--json")), (7, ("init", "air.csv")),
    (7, ("init", "air.csv")), (7, ("doctor", "-q")), (7, ("predict", "bad.csv")), (7, ("nonsense",)),
    (7, ("train",)), (7, ("-C", "nowhere", "predict")), (7, ("--version",)))


class Checkout:
    """The program of one checkout, run in a folder of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder, self.number = folder, 0
        told = {"PYTHONPATH": str(root), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("FORECAST_")} | told

    def run(self, *arguments: str, day: int = 1) -> None:
        """Run a command; a line for what it said and how it ended."""
        command = [sys.executable, "-m", "forecast", *arguments]
        self.number += 1                                                # no two runs of one second: they have an order
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, check=False,
                               env=self.environment | {"FORECAST_NOW": CLOCK.format(day, self.number % 60)})
        for name, content in (("stdout", ended.stdout), ("stderr", ended.stderr)):
            self.tell(f"{ended.returncode} {name} of {' '.join(arguments)}", content)

    def tell(self, name: str, content: bytes) -> None:
        """The sum of some bytes, and under OUTPUT_FOLDER/said the masked text itself."""
        content = self.masked(content)
        print(f"{hashlib.sha256(content).hexdigest()[:16]}  {self.folder.name}: {name}", flush=True)
        said = self.folder.parent / "said"
        said.mkdir(exist_ok=True)
        number = len(list(said.iterdir()))
        (said / f"{number:04} {self.folder.name} {re.sub(r'[^a-zA-Z0-9.=-]+', ' ', name)[:90]}").write_bytes(content)

    def masked(self, content: bytes) -> bytes:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return content
        text = text.replace(str(self.folder), "FOLDER")
        for pattern, word in MASKS:
            text = re.sub(pattern, word, text, flags=re.MULTILINE)
        return text.encode()

    def files(self) -> None:
        """A line for every file of the live run, and for all that commands wrote in the folder."""
        store = self.folder / ".forecast"
        live = store / "runs" / (store / "live").read_text().strip()
        for name in FILES:
            content = (live / name).read_bytes()
            if name == "history.csv":                                   # networks side by side; their seconds last
                content = b"\n".join(sorted(re.sub(rb",[^,]*$", b"", line) for line in content.splitlines()))
            self.tell(name, content)
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file() and store not in p.parents):
            if path.suffix == ".prom":
                self.tell(path.name, re.sub(rb"(duration_seconds\{.*\}|timestamp.*\}) [\d.]+", rb"\1 T",
                                            path.read_bytes()))
            elif path.name == "cells.json":
                self.tell(path.name, without_seconds(path))
            else:
                self.tell(path.name, path.read_bytes())


def without_seconds(path: Path) -> bytes:
    """The record of a comparison without what depends on the speed of the machine."""
    record = json.loads(path.read_text())
    record.pop("time_limit")
    return json.dumps(record).encode()


def whole(root: Path, source: Path, output: Path, *settings: str) -> None:
    """Train by --quick, predict, evaluate."""
    folder = output / source.stem
    folder.mkdir(parents=True)
    shutil.copy(source, folder / "data.csv")
    checkout = Checkout(root, folder)
    checkout.run("train", "data.csv", "--quick", *settings)
    checkout.run("predict", day=2)
    checkout.run("evaluate", "--quick", "--windows", "2", "--set", "train.steps=40", day=2)
    checkout.files()


def story(root: Path, output: Path) -> None:
    """Every command on AirPassengers, with models of a few steps."""
    folder = output / "story"
    folder.mkdir(parents=True)
    lines = (root / "data" / OURS[0]).read_text()
    (folder / "air.csv").write_text(lines)
    (folder / "bad.csv").write_text(lines + "1961-01,many\n1961-02,9\n1961-02,8\n")
    checkout = Checkout(root, folder)
    for day, arguments in STORY:
        checkout.run(*arguments, day=day)
    checkout.files()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    root, output = given.checkout.resolve(), given.output.resolve()
    story(root, output)
    for name in OURS:
        whole(root, root / "data" / name, output)
    for name, settings in () if given.short else THEIRS.items():
        whole(root, given.data / name, output, *settings)


if __name__ == "__main__":
    main()
