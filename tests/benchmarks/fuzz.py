"""Fuzz: bytes nobody meant, read for minutes. Each must end in a reading or a refusal: no traceback, no hang, no flood.

    python -m tests.benchmarks.fuzz [FILE...] [--seconds 600] [--seed 0]

Small tables of every kind (and the first lines of FILEs) are cut, spliced and rewritten at random. What fails is
written to fuzz-N.bin beside its error."""

from __future__ import annotations

import argparse
import gzip
import io
import random
import resource
import signal
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import FrameType

import openpyxl

from forecast.config import DataConfig
from forecast.errors import ForecastError
from forecast.reading.reader import read_panel
from forecast.text import safe

SLOW = 5.0                                                          # seconds
MEMORY = 1 << 30                                                    # bytes beyond what the imports took
SEEDS = (
    b"date,value\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3.5\n",
    b"id;ds;y\nA;1;1,5\nA;2;2,5\nB;1;-3\nB;2;1e5\n",
    b"\"unique_id\",\"ds\",\"y\"\n\"a\",\"2020-01-01 00:00\",\"1\"\n\"a\",\"2020-01-01 01:00\",\"NA\"\n",
    b"year,month,day,hour,load,temp\n2020,1,1,0,5,6\n2020,1,1,1,7,8\n",
    b"Title\n\ntime\tv1\tv2\n01/02/2020 5:00 PM\t$1,000\t(5)\n01/02/2020 6:00 PM\t$2,000\t6%\n",
    b"timestamp,value\n1577836800,1\n1577840400,2\n", b"Month,Sales\n2020Q1,5\n2020Q2,6\nJan-20,7\n",
    "time,y\n2020-03-29T01:00:00+01:00,1\n2020-03-29T03:00:00+02:00,2\n".encode("utf-16"),
    b"date,value\r2020-W01,1\r2020-W02,2\r", b"2020-01-01|1\n2020-01-02|2\n2020-01-03|\n",
    b"lat,lon,zone\n1.5,2.5,GMT\n\ntime,v (mm)\n2020-01-01T00:00,1\n2020-01-01T01:00,2\n",
    b"TOA5,a,b,c,d\nTIMESTAMP,RECORD,v\nTS,RN,kW\n,,Avg\n2020-01-01 00:00:00,0,1\n2020-01-01 01:00:00,1,2\n",
    b"Datum;Zeit von;Wert\n01.05.2020;00:00;1 kWh\n01.05.2020;00:15;2 kWh\n01.05.2020;00:30;3 kWh\n",
    b"Store,Dept,Date,Sales\n1,1,2020-01-01,1\n1,2,2020-01-01,2\n1,1,2020-01-02,3\n1,2,2020-01-02,4\n",
    b"name,area,1/1/20,1/2/20,1/3/20,1/4/20\na,x,1,2,3,4\n,y,5,6,7,8\n", b"id,d_1,d_2,d_3,d_4\na,1,2,3,4\nb,5,6,,8\n",
    b"Month,Sales\n" + b"".join(b"%d-%02d,<1\n%d-%02d,5\n" % (y, m, y, m + 1) for y in (1, 2) for m in range(1, 12, 2)))
PIECES = (
    b",", b";", b"\t", b"\n", b"\r\n", b"\r", b'"', b'""', b"'", b" ", b"\0", b"\xff", b"\xef\xbb\xbf", b"-", b".",
    b"e", b"9" * 30, b"0", b"NaN", b"inf", b"1e999", b"24:00", b"2020-02-30", b"+01:00", b"Z", b"%", b"\xc3", b"=",
    b"(", b")", b"#", b"Q5", b"W54", b"99999999999999", b"0000-00-00", b"9999-12-31", b"\x1f\x8b", b"PK\x03\x04",
    b"PAR1", b"\x1b[2J", b"," * 300, b"\n" * 50, b"-9223372036854775808", b"9223372036854775807", b"\xe2\x80\xae")


def workbook() -> bytes:
    """A small sheet of Excel."""
    book = openpyxl.Workbook()
    for row in (["date", "value"], *([datetime(2020, 1, day), 1.5 * day] for day in range(1, 9))):
        book.active.append(row)                                     # type: ignore[union-attr]
    place = io.BytesIO()
    book.save(place)
    return place.getvalue()


def repacked(rng: random.Random, data: bytes) -> bytes:
    """A workbook with accidents in the text of its parts, where those of its archive would only be damage."""
    place = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            part = bytearray(old.read(name))
            if rng.random() < 0.5 and ("sheet" in name or "shared" in name):
                for _ in range(rng.choice((1, 2, 5))):
                    at = rng.randrange(len(part))
                    part[at:at + rng.choice((0, 1, 4))] = rng.choice(PIECES)
            new.writestr(name, bytes(part))
    return place.getvalue()


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One of the seeds after a few accidents."""
    if rng.random() < 0.03:
        return repacked(rng, workbook())
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8, 30))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 5, 20)))
        accident = rng.randrange(6)
        if accident == 0:
            data[at:to] = b""
        elif accident == 1:
            data[at:at] = rng.choice(PIECES)
        elif accident == 2:
            data[at:to] = rng.choice(PIECES)
        elif accident == 3:
            data[at:at] = data[at:to] * rng.choice((1, 2, 10))
        elif accident == 4 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        else:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other))
            data[at:at] = other[begin:begin + rng.randrange(40)]
    return gzip.compress(bytes(data)) if rng.random() < 0.02 else bytes(data)


def some_options(rng: random.Random) -> DataConfig:
    """Mostly none."""
    changes: dict[str, object] = {
        "fill": "mask", "duplicates": "mean", "bad_rows": "quarantine", "decimal": ",", "dayfirst": True, "freq": "D",
        "max_gap": 3, "tz": "Europe/Berlin", "delimiter": ";", "encoding": "latin-1", "date_format": "%d.%m.%Y",
        "time": "date", "target": "value", "id": "id", "every": "day", "aggregate": ("sum",), "sheet": "Sheet",
        "turn": True, "header_line": 2}
    if rng.random() < 0.03:
        changes["id"] = "Store,Dept"
    picked = [key for key in changes if rng.random() < 0.06]
    return DataConfig(**{key: changes[key] for key in picked})      # type: ignore[arg-type]


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SLOW} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    seeds = [*SEEDS, *(file.read_bytes()[:1500] for file in options.files)]
    signal.signal(signal.SIGALRM, _too_slow)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    counts, failures, slowest = Counter[str](), 0, 0.0
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        while time.monotonic() < end:
            data, settings = mutated(rng, seeds), some_options(rng)
            path.write_bytes(data)
            begin = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, SLOW)
            try:
                reading = read_panel(path, settings)
                counts["repaired" if reading.repairs else "exact"] += 1
                reading.contract.time_text(reading.panel.times(0))
            except ForecastError as error:
                counts["refused"] += 1
                line = safe(str(error).replace(str(path), "f.csv"))     # as cli/ shows it
                if len(line) > 280 or any(ord(c) < 32 for c in line):
                    failures += 1
                    print(f"bad line ({len(line)}): {line!r}")
            except Exception:                                       # what this search is for
                failures += 1
                name = f"fuzz-{failures}.bin"
                Path(name).write_bytes(data)
                print(f"{name} {settings}\n{traceback.format_exc()}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, time.monotonic() - begin)
            if failures >= 20:
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
    print(f"{counts.total() + failures:,} files: {dict(counts)}, failures {failures}, slowest {slowest:.2f} s, "
          f"memory {peak / 2**20:,.0f} MiB ({'fine' if peak < MEMORY else 'TOO MUCH'})")


if __name__ == "__main__":
    main()
