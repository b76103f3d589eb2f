"""Seconds and memory of the program, each beside a yardstick that runs turn by turn with it.

    python tests/benchmarks/speed.py [SECTION ...] [--repeats 3] [--scale 1] [--picture growth.png] [--peers VENV]
                                     [--data FOLDER] [--keep DIR]

Every figure is a median over the repeats of a process of its own, from its start to its end; its ratio is to the
first row of its section in the same run; peak is the most memory the process held at any time. --scale 0.1 makes all
files a tenth as long. A section is one function of a Bench below; its name selects it. --peers stands
neuralforecast's LSTM and statsforecast's models beside ours, in the environment of `make peers`; --data is where
m4_hourly.csv lies, which `goal` needs; --keep is where their minutes of training for it are kept."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Command = Sequence[str]
PYTHON = (sys.executable, "-c")
FORECAST = (sys.executable, "-m", "forecast")
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
HERE = Path(__file__).resolve().parent
SECTIONS: dict[str, Callable[[Bench], None]] = {}
PANDAS = "import pandas, sys; pandas.read_csv(sys.argv[1])"
PANDAS_DATES = "import pandas, sys; t = pandas.read_csv(sys.argv[1]); t['date'] = pandas.to_datetime(t['date'])"
READ = "import sys; from forecast.reading.reader import read_panel; read_panel(sys.argv[1])"
PANDAS_EVENTS = PANDAS_DATES.replace("'date'", "'time'") + """
sums = t.set_index("time").groupby("id")["amount"].resample("D").sum()
"""
READ_EVENTS = """
import sys
from forecast.config import DataConfig
from forecast.reading.reader import read_panel
panel = read_panel(sys.argv[1], DataConfig(every="day", aggregate=("sum",))).panel
"""
SAME_EVENTS = PANDAS_EVENTS + READ_EVENTS + """
import numpy
lower, upper = t["time"].min().ceil("D"), t["time"].max().floor("D")      # days that the file holds a part of
for s, name in enumerate(panel.ids):
    ours = pandas.Series(panel.values(s), pandas.DatetimeIndex(panel.times(s)))
    theirs = sums[name].loc[lower:upper - pandas.Timedelta(days=1)]
    both = ours.index.union(theirs.index)
    numpy.testing.assert_allclose(ours.reindex(both, fill_value=0), theirs.reindex(both, fill_value=0), atol=1e-6)
"""
MAKE_EVENTS = """
import numpy, pyarrow, pyarrow.csv, sys
rows, rng = int(sys.argv[1]), numpy.random.default_rng(0)
seconds = numpy.sort(rng.integers(3600, 1000 * 86_400 - 3600, rows)).astype("timedelta64[s]")
stamps = numpy.char.replace(numpy.datetime_as_string(numpy.datetime64("2021-01-01T00:00:00") + seconds), "T", " ")
ids = numpy.array([f"s{k:04}" for k in range(2000)])[rng.integers(0, 2000, rows)]
table = pyarrow.table({"id": ids, "time": stamps, "amount": rng.gamma(2, 20, rows).round(2)})
pyarrow.csv.write_csv(table, sys.argv[2], pyarrow.csv.WriteOptions(quoting_style="none"))
"""
READ_BESIDE_TORCH = READ.replace("sys;", "sys, torch;")
FIRST_STEP = """
import os, sys
from forecast.cli import main
from forecast.cli.console import Console
track = Console.track
def tracked(console, epochs, title, **more):
    from forecast.training.loop import Loop
    descend = Loop._descend
    def first(loop, rate):
        descend(loop, rate)
        os._exit(0)
    Loop._descend = first
    return track(console, epochs, title, **more)
Console.track = tracked
main(["--store", sys.argv[2], "train", sys.argv[1]])
"""
TIMED = """
import sys, time
from forecast.reading import reader
read = reader.read_panel
def timed(*given, **named):
    found = read(*given, **named)
    print("\\nread", time.monotonic(), file=sys.stderr)
    return found
reader.read_panel = timed
from forecast.cli import main
main(sys.argv[1:])
"""
SHAPES = {                                                              # ours and theirs read context and horizon alike
    "as neuralforecast's: 168 steps, 2 x 128": {"context": 168, "segment": 1, "hidden": 128, "layers": 2, "batch": 128,
                                               "horizon": 24, "steps": 3},
    "our default: 14 segments of 24, 1 x 128": {"context": 336, "segment": 24, "hidden": 128, "layers": 1, "batch": 256,
                                               "horizon": 24, "steps": 25}}
ROWS = {"float32": "ours, float32", "bfloat16": "ours, bfloat16", "plain": "plain nn.LSTM", "peer": "neuralforecast"}
BUDGETS = (10, 20, 40, 80)                                              # seconds of --time-limit
PANDAS_WRITE = """
import numpy, pandas, sys
rows = int(sys.argv[1])
table = pandas.DataFrame({"id": numpy.repeat(numpy.arange(rows // 24).astype(str), 24), "date": "2024-07-19",
                          **{name: numpy.random.default_rng(0).gamma(2, 50, rows).round(4) for name in "abcde"}})
table.to_csv(sys.argv[2], index=False)
"""
WRITE = """
import numpy, sys
from forecast.series.calendar import Calendar
from forecast.reading.contract import Contract
from forecast.series.forecast import Forecast, quantile_grid
from forecast.writing.layouts import Page, writing
from forecast.writing.places import Place
from forecast.series.panel import Panel
calendar, series = Calendar.of("D"), int(sys.argv[1]) // 24
page = Page(Contract("id", "date", ("y",), "long", 2, calendar), (80.0, 95.0), "run")
grid = quantile_grid((80.0, 95.0))
values = numpy.sort(numpy.random.default_rng(0).gamma(2, 50, (series, 24, len(grid))), axis=-1)
panel = Panel(numpy.zeros(series), numpy.arange(series), numpy.arange(series) + 1, numpy.full(series, 19000),
              numpy.arange(series).astype(str).astype(object), calendar)
with writing(Place(sys.argv[2]), page, "default", panel) as write:
    write(Forecast(panel, grid, values, numpy.full(series, "lstm", dtype=object)))
"""


@dataclass(frozen=True)
class Taken:
    """One process: wall seconds, CPU seconds, most memory held in MiB, wall seconds behind reading where it told."""

    seconds: float
    cpu: float
    peak: float
    rest: float = math.nan


@dataclass
class Bench:
    """Where files lie, how often and how large; `grown` collects what the picture shows."""

    folder: Path
    repeats: int = 3
    scale: float = 1.0
    peers: Path | None = None                                           # an environment
    data: Path | None = None
    keep: Path | None = None
    grown: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)

    def file(self, series: int, steps: int, unit: str = "D") -> Path:
        """A long CSV of that many weekly waves; made once, in a process of its own, so that this one stays small."""
        path = self.folder / f"{series}x{steps}{unit}.csv"
        if not path.exists():
            subprocess.run([sys.executable, __file__, "--make", str(series), str(steps), unit, str(path)], check=True)
        return path

    def model(self, context: int = 42) -> str:
        """A model of a few training steps, by its name."""
        name = f"context{context}"
        if not (self.folder / name).exists():
            (self.folder / "store").mkdir(exist_ok=True)
            (self.folder / "store/cache").touch()                       # a file in its place: every run parses
            forecast(self, "train", self.file(50, max(200, 4 * context)), "--name", name, "--context", context,
                     "--season", 7, "--horizon", 24, "--set", "train.steps=5", "--set", "model.blend=false")
            (self.folder / name).touch()
        return name

    def predict(self, file: Path, *, horizon: int = 24, context: int = 42, program: Command = FORECAST,
                store: str = "store") -> Command:
        return [*program, "--store", str(self.folder / store), "predict", str(file), "-q", "--horizon", str(horizon),
                "--model", self.model(context), "-o", str(self.folder / "out.csv")]

    def peer(self, *arguments: object) -> Command:
        """Something that peers.py does."""
        return [str(self.peers and self.peers / "bin/python"), "-W", "ignore", str(HERE / "peers.py"),
                *map(str, arguments)]


def section(story: Callable[[Bench], None]) -> Callable[[Bench], None]:
    SECTIONS[story.__name__] = story
    return story


def forecast(bench: Bench, *arguments: object) -> None:
    subprocess.run([*FORECAST, "--store", str(bench.folder / "store"), *map(str, arguments)], check=True,
                   capture_output=True)


def taken(command: Command, *, fails: bool = False) -> Taken:
    """Run a command to its end. Raises RuntimeError with what it said where it fails and should not."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=INSTALLED)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds, end = time.perf_counter() - start, time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not fails:
        raise RuntimeError(f"{' '.join(command)[:200]}: {process.returncode}\n{said.decode()}")
    peak = used.ru_maxrss / (1 << 10 if sys.platform == "linux" else 1 << 20)
    read = re.search(rb"^read ([0-9.]+)$", said, re.MULTILINE)
    return Taken(seconds, used.ru_utime + used.ru_stime, peak, end - float(read[1]) if read else math.nan)


def turn_by_turn(bench: Bench, commands: Mapping[str, Command], *, fails: Sequence[str] = ()) -> dict[str, Taken]:
    """Each command in turn, again and again; medians, printed with their ratio to the first."""
    runs: dict[str, list[Taken]] = {name: [] for name in commands}
    for _ in range(bench.repeats):
        for name, command in commands.items():
            runs[name].append(taken(command, fails=name in fails))
    whats = "seconds", "cpu", "peak", "rest"
    found = {name: Taken(*(statistics.median(getattr(t, what) for t in times) for what in whats))
             for name, times in runs.items()}
    floor = next(iter(found.values()))
    print(f"  {'':<34} seconds   ratio   least..most      cpu     peak   ratio   (load {os.getloadavg()[0]:.1f})")
    for name, it in found.items():
        least, most = min(t.seconds for t in runs[name]), max(t.seconds for t in runs[name])
        print(f"  {name:<34} {it.seconds:7.3f} {it.seconds / floor.seconds:7.2f} {least:7.3f}..{most:<7.3f} "
              f"{it.cpu:6.2f} {it.peak:6.0f} MiB {it.peak / floor.peak:5.2f}", flush=True)
    return found


def grows(bench: Bench, what: str, sizes: Sequence[int], command: Callable[[int], Command],
          beside: Mapping[str, Command] | None = None) -> None:
    """How seconds and memory grow with a size: the exponent of each step, 1 being in proportion."""
    found = turn_by_turn(bench, {**(beside or {}), **{f"{what} {size:,}": command(size) for size in sizes}})
    points = [(size, found[f"{what} {size:,}"].seconds, found[f"{what} {size:,}"].peak) for size in sizes]
    bench.grown[what] = points
    for (n, seconds, peak), (more, longer, higher) in itertools.pairwise(points):
        wide = math.log(more / n)
        print(f"  {what} {n:,} -> {more:,}: seconds ^ {math.log(longer / seconds) / wide:.2f}, "
              f"memory ^ {math.log(higher / peak) / wide:.2f}")


@section
def startup(bench: Bench) -> None:
    """How long the program takes to say something; goals, beside typer: --help 1.5 times, --version 1.3 times, the help
    of a command 2 times; a small predict below torch."""
    one = bench.file(1, 200)
    typer, goals = 'python -c "import typer"', {"forecast --help": 1.5, "forecast --version": 1.3,
                                                "forecast train --help": 2.0}
    commands: dict[str, Command] = {
        typer: (*PYTHON, "import typer"), "forecast --help": (*FORECAST, "--help"),
        "forecast --version": (*FORECAST, "--version"), "forecast train --help": (*FORECAST, "train", "--help"),
        "forecast train --bogus": (*FORECAST, "train", "--bogus"),
        "forecast predict, 1 series": bench.predict(one), 'python -c "import pandas"': (*PYTHON, "import pandas"),
        'python -c "import torch"': (*PYTHON, "import torch")}
    for command in commands.values():
        taken(command, fails=True)                                      # once to warm the disk
    found = turn_by_turn(Bench(bench.folder, max(11, bench.repeats)), commands, fails=["forecast train --bogus"])
    for name, goal in goals.items():
        ratio = found[name].seconds / found[typer].seconds
        print(f"  {name} {ratio:.2f} times typer{within(ratio, goal)}")


@section
def reading(bench: Bench) -> None:
    """10 million rows, of few series and of many, beside pandas; and `forecast train` from its start to the first step
    of its networks, by default: goals 3 times pandas, and beside what reading and torch hold 3 times the values in
    float32."""
    store, first = str(bench.folder / "first"), "train, first step"
    (bench.folder / "first").mkdir()
    (bench.folder / "first/cache").touch()                              # a file in its place: every run parses
    for series, steps, unit in ((1000, 10_000, "h"), (50_000, 200, "D")):
        series = max(1, round(series * bench.scale))
        path = str(bench.file(series, steps, unit))
        print(f"  {series:,} series of {steps:,} points")
        found = turn_by_turn(bench, {
            "pandas.read_csv": (*PYTHON, PANDAS, path), "with to_datetime": (*PYTHON, PANDAS_DATES, path),
            "read_panel": (*PYTHON, READ, path), "read_panel, torch": (*PYTHON, READ_BESIDE_TORCH, path),
            first: (*PYTHON, FIRST_STEP, path, store)})
        slower = found[first].seconds / found["pandas.read_csv"].seconds
        more = (found[first].peak - found["read_panel, torch"].peak) / (series * steps * 4 / (1 << 20))
        print(f"  first step {slower:.1f} times pandas{within(slower, 3)}; beside what reading and torch hold "
              f"{more:.1f} times the values in float32{within(more, 3)}")


@section
def events(bench: Bench) -> None:
    """5 million events of 2,000 series to days, beside pandas' groupby().resample(), whose sums must be the same."""
    rows, path = str(max(10_000, round(5_000_000 * bench.scale))), str(bench.folder / "events.csv")
    subprocess.run((*PYTHON, MAKE_EVENTS, rows, path), check=True)
    turn_by_turn(bench, {"pandas, to_datetime, resample": (*PYTHON, PANDAS_EVENTS, path),
                         "read_panel, --every day": (*PYTHON, READ_EVENTS, path)})
    subprocess.run((*PYTHON, SAME_EVENTS, path), check=True)
    print("  the same sums")


@section
def writing(bench: Bench) -> None:
    """2.4 million rows of forecasts as CSV, beside pandas."""
    rows, out = str(max(1, round(100_000 * bench.scale)) * 24), str(bench.folder / "written.csv")
    turn_by_turn(bench, {"DataFrame.to_csv": (*PYTHON, PANDAS_WRITE, rows, out),
                         "layout.writing": (*PYTHON, WRITE, rows, out)})


@section
def predict(bench: Bench) -> None:
    """From file to file: 1, 1,000 and 100,000 series of 200 days, 24 ahead; goal for most: 20 s and 1.5 GiB."""
    sizes = [1, max(10, round(1000 * bench.scale)), max(100, round(100_000 * bench.scale))]
    largest = str(bench.file(sizes[-1], 200))
    grows(bench, "series predicted", sizes, lambda n: bench.predict(bench.file(n, 200)),
          {f"pandas.read_csv of {sizes[-1]:,}": (*PYTHON, PANDAS, largest)})


@section
def defaults(bench: Bench) -> None:
    """What people run, with no settings: predict of 1, 1,000 and 100,000 series by a default model of 300 others (goals
    60 s and 1.5 GiB for most, 2 s for 1,000); and, with --peers, 1,000 beside statsforecast's AutoETS and AutoTheta,
    which write the mean and bands of each (goal: 20 times faster)."""
    some = bench.file(max(30, round(300 * bench.scale)), 200)
    (bench.folder / "store").mkdir(exist_ok=True)
    (bench.folder / "store/cache").touch()                              # a file in its place: every run parses
    forecast(bench, "train", some, "--horizon", 24, "--name", "default")
    sizes = [1, max(10, round(1000 * bench.scale)), max(100, round(100_000 * bench.scale))]

    def by_default(count: int) -> Command:
        return [*FORECAST, "--store", str(bench.folder / "store"), "predict", str(bench.file(count, 200)), "-q",
                "--model", "default", "-o", str(bench.folder / "out.csv")]

    grows(bench, "series predicted by default", sizes, by_default)
    if bench.peers:
        ours, theirs = turn_by_turn(Bench(bench.folder, 1), {
            f"series predicted by default {sizes[1]:,}": by_default(sizes[1]), "AutoETS and AutoTheta, two cores":
            bench.peer("--statistical", bench.file(sizes[1], 200), bench.folder / "theirs.csv")}).values()
        print(f"  {theirs.seconds / ours.seconds:.1f} times faster{met(theirs.seconds / ours.seconds, 20)}")


@section
def trained(bench: Bench) -> None:
    """What people run, with no settings: train of one series of 144 months (goal 5 s), by --quick (2.5 s), of 300
    series of 200 days (45 s), and of ten and 67 times as many (20,000: 5 min); CPU seconds a second tell how many cores
    were busy."""
    month, once = HERE.parents[1] / "data/airpassengers.csv", Bench(bench.folder, 1)
    new = [*FORECAST, "--store", str(bench.folder / "new"), "train", "-q"]
    turn_by_turn(bench, {"train, one series of 144": [*new, str(month)],
                         "the same, --quick": [*new, str(month), "--quick"]})
    sizes = [max(30, round(n * bench.scale)) for n in (300, 3000, 20_000)]
    grows(once, "series trained by default", sizes, lambda n: [*new, str(bench.file(n, 200)), "--horizon", "24"])
    bench.grown |= once.grown


@section
def plan(bench: Bench) -> None:
    """Six kinds of data trained as people do: what was said of the time beside what it took, from the first part to the
    last, and the most by which the time left has grown (goals: within a third, on free cores). pressure: the share of
    that time in which something had to wait for a core."""
    many, here = max(50, round(300 * bench.scale)), HERE.parents[1] / "data"
    kinds: dict[str, Command] = {
        "1 x 144": [str(here / "airpassengers.csv")], "the same, --quick": [str(here / "airpassengers.csv"), "--quick"],
        "50 x 200": [str(bench.file(50, 200))], f"{many} x 200": [str(bench.file(many, 200))],
        "1 x 10,000, hourly": [str(bench.file(1, 10_000, "h"))], "covariates: shops.csv": [str(here / "shops.csv")]}
    print(f"  {'':<24} expected   taken   ratio   left grew   pressure   parts: expected/taken")
    for name, command in kinds.items():
        waited, began = pressure(), time.monotonic()
        said = subprocess.run([sys.executable, str(HERE / "plan.py"), str(bench.folder / f"plan{name}"), *command],
                              check=True, capture_output=True, text=True, env=INSTALLED).stdout
        told = json.loads(said.splitlines()[-1])
        parts, took = told["expected"], told["taken"]
        waiting = (pressure() - waited) / (time.monotonic() - began)
        expected, whole = sum(parts.values()), sum(took.values())
        print(f"  {name:<24} {expected:6.1f} s {whole:6.1f} s {expected / whole:7.2f} {told['growth']:10.0%} "
              f"{waiting:10.0%}   ", end="")
        print(f"{told['asked']:.1f} to find out; " + ", ".join(
            f"{part} {seconds:.1f}/{took.get(part, 0):.1f}" for part, seconds in parts.items()), flush=True)


def pressure() -> float:
    """Seconds in which something waited for a core, since the machine began; NaN where Linux does not count them."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except OSError:
        return math.nan


@section
def again(bench: Bench) -> None:
    """predict of a file that has not changed, 10 million rows: without a cache, filling it, from it."""
    cache = bench.folder / "kept/cache"
    for series, steps in ((max(400, round(50_000 * bench.scale)), 200), (max(9, round(1100 * bench.scale)), 9000)):
        file = bench.file(series, steps)
        parsing, kept = bench.predict(file), bench.predict(file, store="kept")
        shutil.copytree(bench.folder / "store/runs", bench.folder / "kept/runs", dirs_exist_ok=True)
        first = ["sh", "-c", 'rm -rf "$0"; exec "$@"', str(cache), *kept]
        cpu = [it.cpu for it in turn_by_turn(bench, {f"{series:,} x {steps:,}": parsing, "the first": first,
                                                     "again": kept}).values()]
        size = sum(entry.stat().st_size for entry in cache.iterdir()) / 2**20
        print(f"  CPU of the first {cpu[1] / cpu[0]:.2f}, again {cpu[2] / cpu[0]:.2f}; {size:,.0f} MiB kept")


@section
def growth(bench: Bench) -> None:
    """Ten times the rows, series, horizon, context."""
    few, many = max(10, round(1000 * bench.scale)), max(100, round(10_000 * bench.scale))
    grows(bench, "rows per series", [200, 2000, 20_000], lambda n: bench.predict(bench.file(few // 10, n)))
    grows(bench, "series", [few // 10, few, many], lambda n: bench.predict(bench.file(n, 500)))
    grows(bench, "horizon", [24, 240, 2400], lambda n: bench.predict(bench.file(few // 10, 500), horizon=n))
    grows(bench, "context", [42, 420], lambda n: bench.predict(bench.file(few, 500), context=n))


@section
def beside(bench: Bench) -> None:
    """predict beside neuralforecast's LSTM, CSV to CSV; goals: 3 times faster, and 5 times behind reading."""
    if not bench.peers:
        return print("  passed over: --peers VENV says where neuralforecast is")
    saved = bench.folder / "neuralforecast"
    taken(bench.peer("--fit", bench.file(50, 200), saved))
    for series in (1, max(10, round(1000 * bench.scale)), max(100, round(100_000 * bench.scale))):
        file = bench.file(series, 200)
        once = Bench(bench.folder, bench.repeats if series <= 1000 else 1)
        ours, theirs = turn_by_turn(once, {
            f"forecast predict, {series:,}": bench.predict(file, program=[*PYTHON, TIMED]),
            "neuralforecast": bench.peer("--predict", file, saved, bench.folder / "theirs.csv")}).values()
        print(f"  {theirs.seconds / ours.seconds:.1f} times faster{met(theirs.seconds / ours.seconds, 3)}; behind "
              f"reading ({theirs.rest:.2f} s, {ours.rest:.2f} s) {theirs.rest / ours.rest:.1f} times"
              f"{met(theirs.rest / ours.rest, 5)}", flush=True)
    return None


@section
def training(bench: Bench) -> None:
    """Windows a second of the training loop, by the floors of this machine; goals: 45 % of the full one in float32,
    1.8 times that in bfloat16, 8 times neuralforecast at its own shape."""
    for name, shape in SHAPES.items():
        for threads in (2, 1):
            rounds = [measured(bench, {**shape, "threads": threads}) for _ in range(bench.repeats)]
            print(f"  {name}, {threads} thread{'s' * (threads > 1)}   (load {os.getloadavg()[0]:.1f})\n"
                  f"  {'':<16} windows/s  of the GEMM floor  of the full   by plain             by neuralforecast")
            for row in [row for row in ROWS if row in rounds[0]]:
                found = statistics.median(r[row] for r in rounds)
                to = "16" if row == "bfloat16" else ""

                def ratio(one: str, row: str = row, rounds: list[dict[str, float]] = rounds) -> str:
                    if one not in rounds[0]:
                        return "-"
                    times = [r[one] / r[row] for r in rounds]
                    return f"{statistics.median(times):.2f} ({min(times):.2f}..{max(times):.2f})"

                gemm, full = (statistics.median(r[f"{f}{to}"] / r[row] for r in rounds) for f in ("gemm", "full"))
                print(f"  {ROWS[row]:<16} {shape['batch'] / found:9,.0f} {gemm:18.0%} {full:12.0%}   "
                      f"{ratio('plain'):<20} {ratio('peer')}", flush=True)
            reached = {"of the full floor": (statistics.median(r["full"] / r["float32"] for r in rounds), 0.45),
                       "bfloat16 over float32": (statistics.median(r["float32"] / r["bfloat16"] for r in rounds), 1.8)}
            if "peer" in rounds[0]:
                reached["the better over neuralforecast"] = (statistics.median(
                    r["peer"] / min(r["float32"], r["bfloat16"]) for r in rounds), 8)
            print("  " + ", ".join(f"{what} {value:.2f}{met(value, aim)}" for what, (value, aim) in reached.items()))


def measured(bench: Bench, shape: Mapping[str, int]) -> dict[str, float]:
    """Seconds a step of each loop, one after the other, and of the floors."""
    environment = INSTALLED | {"OMP_NUM_THREADS": str(shape["threads"])}
    commands: list[Command] = [[sys.executable, str(HERE / "steps.py"), json.dumps(shape)]]
    if bench.peers:
        commands.append(bench.peer("--steps", json.dumps(shape)))
    said = [json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True,
                                      cwd=bench.folder).stdout.splitlines()[-1]) for command in commands]
    return {**said[0], **({"peer": said[1]} if bench.peers else {})}


def met(value: float, goal: float) -> str:
    return f" (goal {goal:g}{'' if value >= goal else ': missed'})"


def within(value: float, most: float) -> str:
    return f" (at most {most:g}{'' if value <= most else ': missed'})"


@section
def goal(bench: Bench) -> None:
    """Seconds from a CSV to an accuracy: M4 Hourly, its last 48 held out, MASE; ours from start to end of `train` and
    `predict` by --time-limit, neuralforecast's LSTM by step of one training, without imports and reading."""
    import hashlib

    import pandas as pd

    file = bench.data and bench.data / "m4_hourly.csv"
    if file is None or not file.is_file():
        return print("  passed over: --data FOLDER says where m4_hourly.csv is")
    table = pd.read_csv(file)
    held = table.groupby("unique_id", sort=False).cumcount(ascending=False) < 48
    known, truth, short = table[~held], table[held], bench.folder / "short.csv"
    known.to_csv(short, index=False)
    scale = known.groupby("unique_id")["y"].agg(lambda y: y.diff(24).abs().mean())

    def mase(said: pd.DataFrame) -> float:
        both = truth.merge(said, on=["unique_id", "ds"], validate="one_to_one")
        assert len(both) == len(truth)
        return float(((both["y"] - both["yhat"]).abs().groupby(both["unique_id"]).mean() / scale).mean())

    last = known.groupby("unique_id", sort=False).tail(24)
    naive = mase(pd.concat([last.assign(ds=last["ds"] + 24 * k, yhat=last["y"]) for k in (1, 2)])
                 .drop(columns="y"))
    print(f"  seasonal naive: MASE {naive:.3f}   (load {os.getloadavg()[0]:.1f})", flush=True)
    ours = []
    for budget in BUDGETS:
        start, out = time.perf_counter(), bench.folder / "goal.csv"
        forecast(bench, "train", short, "--horizon", 48, "--time-limit", f"{budget}s", "--promote", "always")
        forecast(bench, "predict", short, "-o", out)
        ours.append((time.perf_counter() - start, mase(pd.read_csv(out))))
        print(f"  forecast, --time-limit {budget:<4} {ours[-1][0]:7.1f} s   MASE {ours[-1][1]:.3f}   "
              f"(load {os.getloadavg()[0]:.1f})", flush=True)
    if not bench.peers and not bench.keep:
        return None
    key = hashlib.sha256(short.read_bytes()).hexdigest()[:8]
    kept = (bench.keep or bench.folder) / f"m4_hourly-curve-LSTM-{key}.json"
    if not kept.exists() and bench.peers:
        taken(bench.peer("--curve", file, 168, 48, kept))
    theirs = [tuple(look) for look in json.loads(kept.read_text())] if kept.exists() else []
    for seconds, score in theirs:
        print(f"  neuralforecast            {seconds:7.1f} s   MASE {score:.3f}", flush=True)
    for what, mark in (("seasonal naive's", naive), *((("their last", theirs[-1][1]),) if theirs else ())):
        first = (next((f"{seconds:.0f} s" for seconds, score in run if score <= mark), "-") for run in (ours, theirs))
        print(f"  to {what} MASE: forecast {next(first)}, neuralforecast {next(first)}")
    return None


def make(series: int, steps: int, unit: str, path: Path) -> None:
    """Write `series` noisy weekly waves of `steps` points each: id, date, sales."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    rng, step = np.random.default_rng(0), np.arange(steps)
    stamps = np.datetime64("2000-01-01", "D" if unit == "D" else "s") + step.astype(f"timedelta64[{unit}]")
    times, block = pa.array(stamps).cast(pa.string()), max(1, 1_000_000 // steps)
    with path.open("wb") as stream:
        stream.write(b"id,date,sales\n")
        for first in range(0, series, block):
            count = min(block, series - first)
            wave = 1 + 0.3 * np.sin(2 * np.pi * step / 7 + rng.uniform(0, 6, (count, 1)))
            sales = rng.gamma(2.0, 50.0, (count, 1)) * (wave + 0.1 * rng.normal(size=(count, steps)))
            names = pa.array([f"item_{k:06}" for k in range(first, first + count)])
            table = pa.table({"id": names.take(pa.array(np.repeat(np.arange(count), steps))),
                              "date": times.take(pa.array(np.tile(step, count))), "sales": np.round(sales, 2).ravel()})
            csv.write_csv(table, stream, csv.WriteOptions(include_header=False, quoting_style="none"))


def draw(grown: Mapping[str, Sequence[tuple[int, float, float]]], path: Path) -> None:
    """Seconds and memory over size, both axes logarithmic, one panel a size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullLocator

    figure, axes = pyplot.subplots(1, len(grown), figsize=(3.6 * len(grown), 3.6), squeeze=False, sharey=True,
                                   layout="constrained")
    for axis, (what, points) in zip(axes[0], grown.items(), strict=True):
        sizes, seconds, peaks = zip(*points, strict=True)
        axis.loglog(sizes, seconds, "o-", label="seconds")
        axis.loglog(sizes, [peak / 1024 for peak in peaks], "s--", label="GiB at most")
        axis.set_xlabel(what)
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
    axes[0][0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    print(f"drew {path}")


def main() -> None:
    if sys.argv[1:2] == ["--make"]:
        series, steps, unit, path = sys.argv[2:]
        return make(int(series), int(steps), unit, Path(path))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--picture", type=Path, default=Path("growth.png"), help="where growth is drawn")
    parser.add_argument("--peers", type=Path, metavar="VENV", help="their environment, by `make peers`: .venv-peers")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where m4_hourly.csv lies")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where what the peers did is kept")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.repeats, options.scale, options.peers and options.peers.absolute(),
                      options.data, options.keep and options.keep.absolute())
        for name in options.sections or SECTIONS:
            print(f"{name}: {SECTIONS[name].__doc__}")
            SECTIONS[name](bench)
        if "growth" in (options.sections or SECTIONS):
            draw(bench.grown, options.picture)
    return None


if __name__ == "__main__":
    main()
