"""Kills, faults and crowds for test_crash.py; `python -m tests.crash EXPERIMENT TEMPLATE FOLDER` prints its counts.

A process that has everything imported forks; strace attaches to the child, which then saves a model, makes it live,
writes an output, or keeps an issue in the ledger, and is killed, or refused a system call, at one point. What stands
then is looked at from here."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from forecast.errors import BusyError, DiskError, ModelError
from forecast.ledger.issue import Draft, issue_of
from forecast.ledger.ledger import FILE, Ledger
from forecast.ledger.options import Options
from forecast.reading.contract import Contract
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.store.run import Run, load, save
from forecast.store.store import Store
from forecast.system.datasource import DataSource
from forecast.system.files import replacing
from forecast.tasks.issuing import keep as keep_issue
from forecast.tasks.teller import Silent
from forecast.tasks.workspace import Workspace
from forecast.writing.places import Place

OLD, NEW = "20260914T041512Z-lstm-7f3a", "20260915T041512Z-lstm-1c9e"
CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat",
         "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "ftruncate", "fchmod", "close")
CHUNK = b"0123456789abcdef" * 8192                                      # 128 KiB: past every buffer
HELD = 0.3                                                              # seconds that a writer keeps the lock
LATE = 88                                                               # exit code of a writer that was told late
LEVELS = (80.0, 95.0)

Work = Callable[[Path], None]


def marked(run: Run, mark: int) -> Any:
    """The same model, with weights that are all one number."""
    members = [replace(m, network=m.network.replace(**{n: np.full_like(t, mark) for n, t in m.network.tensors.items()}))
               for m in run.predictor.members]
    return replace(run.predictor, members=tuple(members))


def keep(run: Run, folder: Path, run_id: str, mark: int) -> None:
    save(folder, marked(run, mark), run.contract, record=replace(run.record, id=run_id, seed=mark),
         metrics={"mark": mark}, history=f"epoch\n{mark}\n")


def is_whole(run: Run) -> bool:
    """Whether record, scores and weights are of one model."""
    tensors = [t for m in run.predictor.members for t in m.network.tensors.values()]
    return {run.record.seed, run.metrics["mark"], *(float(v) for t in tensors for v in (t.min(), t.max()))} == {
        run.record.seed}


def forked(work: Callable[[], None]) -> tuple[int, int]:
    """A child that works once a byte comes down the pipe: (pid, where to write it). Its exit code is the program's, or
    the one that the work exits with."""
    go_out, go_in = os.pipe()
    if pid := os.fork():
        os.close(go_out)
        return pid, go_in
    code = 1
    try:
        os.close(go_in)
        os.read(go_out, 1)
        work()
        code = 0
    except (DiskError, BusyError) as error:
        code = error.exit_code
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
    finally:
        os._exit(code)


def traced(work: Callable[[], None], log: Path, inject: str | None = None) -> int:
    """How a child ended whose system calls were traced, one of them spoiled: its exit code, or -9."""
    pid, go = forked(work)
    command = ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}", "-p", str(pid)]
    command += ["-e", f"inject={inject}"] if inject else []
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    os.write(go, b"x")
    os.close(go)
    _, status = os.waitpid(pid, 0)
    tracer.communicate()
    if "attached" not in said:
        sys.exit(f"strace: {said}")
    return os.waitstatus_to_exitcode(status)


def points(work: Callable[[], None], log: Path) -> Iterator[tuple[str, int]]:
    """Every system call of the work that touches files: (name, how many of its name came before, and it)."""
    assert traced(work, log) == 0
    counted = Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(), flags=re.MULTILINE))
    assert {"openat", "write", "fsync", "rename"} <= set(counted) or {"openat", "pwrite64", "unlink"} <= set(counted)
    for name in sorted(counted):
        for n in range(1, counted[name] + 1):
            yield name, n


def tree(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted(folder.rglob("*")) if f.is_file() and f.name != "lock"}


class Model:
    """The work of a train: lock, save, make live."""

    refused = 9                                                         # the exit code of a disk that fails

    def __init__(self, template: Path, folder: Path) -> None:
        self.run, self.folder, self.before = load(template), folder, folder / "before"
        store = Store(self.before)
        keep(self.run, store.runs / OLD, OLD, 1)
        store.promote(OLD)
        self.old = tree(self.before)

    def fresh(self) -> Path:
        shutil.rmtree(self.folder / "now", ignore_errors=True)
        shutil.copytree(self.before, self.folder / "now")
        return self.folder / "now"

    def work(self, place: Path) -> None:
        store = Store(place)
        with store.lock():
            keep(self.run, store.runs / NEW, NEW, 2)
            store.promote(NEW)

    def problem(self, place: Path, code: int, call: str) -> str | None:
        """What is wrong with what stands after the work ended so; None where nothing is."""
        store, now = Store(place), tree(place)
        live = store.live()
        if code == 0 and live != NEW:
            return "said to be done, and is not"
        if live not in (OLD, NEW) or not all(is_whole(load(store.runs / i)) for i in store.ids()):
            return f"live is {live}, runs {store.ids()}"
        if {k: v for k, v in now.items() if OLD in k} != {k: v for k, v in self.old.items() if OLD in k}:
            return "the old run has changed"
        if code == 9:
            if now["live"] != self.old["live"]:
                return "failed, and yet the pointer moved"
            if store.leftovers() and call not in ("unlink", "unlinkat", "rmdir"):
                return f"failed, and left {store.leftovers()}"
        with store.lock():
            expected = {"live", "lock", "promotions.jsonl", "runs"}
            if {f.name for f in place.iterdir()} != expected or set(os.listdir(store.runs)) != set(store.ids()):
                return f"left {sorted(os.listdir(place))} {sorted(os.listdir(store.runs))}"
        return None


class Output:
    """The work of a predict: one file in several writes."""

    refused = 9

    def __init__(self, template: Path, folder: Path) -> None:
        self.folder, self.old, self.new = folder, b"old\n" * 1000, CHUNK * 4

    def fresh(self) -> Path:
        shutil.rmtree(self.folder / "now", ignore_errors=True)
        (self.folder / "now").mkdir(parents=True)
        (self.folder / "now" / "out.csv").write_bytes(self.old)
        return self.folder / "now"

    def work(self, place: Path) -> None:
        with replacing(place / "out.csv") as file:
            for _ in range(4):
                file.write(CHUNK)

    def problem(self, place: Path, code: int, call: str) -> str | None:
        content, names = (place / "out.csv").read_bytes(), os.listdir(place)
        if content not in (self.old, self.new):
            return f"half an output: {len(content)} bytes"
        if code in (0, 9) and content != (self.new if code == 0 else self.old):
            return f"exit {code}, and the other content"
        if code == 9 and names != ["out.csv"] and call != "unlink":
            return f"failed, and left {names}"
        return None


class Listener(Silent):
    """A teller that needs no system call to be heard: what it says is seen in memory shared with the parent."""

    def __init__(self, heard: mmap.mmap) -> None:
        self.heard = heard

    def say(self, label: str, text: str) -> None:
        if label == "issue":
            self.heard[0] = 1

    def warn(self, label: str, text: str) -> None:
        if label == "partial":
            self.heard[1] = 1


class Issues:
    """The work of a predict once its file is written: the issue goes into a ledger that holds others."""

    refused = 5
    before = 2                                                          # issues kept already

    def __init__(self, template: Path, folder: Path) -> None:
        self.folder, self.heard = folder, mmap.mmap(-1, 2)
        self.reported = 0
        (folder / "before").mkdir(parents=True)
        for day in range(self.before):
            self.keep(folder / "before", day)
            self.heard[:] = bytes(2)
        (folder / "before" / "out.csv").write_bytes(CHUNK)

    def keep(self, place: Path, day: int) -> bool:
        """Whether the issue of a day could be kept."""
        known = Panel.of([np.arange(40.0 + day), np.arange(70.0 + day)], Calendar.of("D"), ids=["a", "b"])
        contract = Contract(id="store", time="date", targets=("sales",), layout="long", decimals=2,
                            calendar=known.calendar)
        draft = Draft(issue_of(run="run", source=DataSource(str(place / "data.csv")), store=place,
                               file_sha256=str(day), panel=known, contract=contract,
                               issued=f"2026-01-{1 + day:02}T00:00:00Z", version="0", horizon=14,
                               levels=LEVELS, options=Options()), known)
        values = np.arange(2 * 14 * 5, dtype=float).reshape(2, 14, 5) + day
        draft.add(Forecast(known, quantile_grid(LEVELS), values, np.full(2, "lstm", dtype=object)), 2)
        (place / "out.csv").touch()
        out = Place(str(place / "out.csv"))
        return keep_issue(Workspace(place, Store(place)), Listener(self.heard), draft, out) is not None

    def fresh(self) -> Path:
        shutil.rmtree(self.folder / "now", ignore_errors=True)
        shutil.copytree(self.folder / "before", self.folder / "now")
        self.heard[:] = bytes(2)
        return self.folder / "now"

    def work(self, place: Path) -> None:
        sys.exit(0 if self.keep(place, self.before) else 5)

    def problem(self, place: Path, code: int, call: str) -> str | None:
        said, warned = self.heard[:]
        ledger = Ledger(place / FILE)
        there = [i.file_sha256 for i in ledger.issues()]
        self.reported += said
        if there not in (days := [str(d) for d in range(self.before)], [*days, str(self.before)]):
            return f"holds {there}"
        if said and len(there) == self.before:
            return "said to be written, and is lost"
        if code in (0, 5) and (said, warned) != (code == 0, code == 5):
            return f"exit {code}, and said {said}, warned {warned}"
        if (place / "out.csv").read_bytes() != CHUNK:
            return "the forecast does not stand"
        if there and ledger.verify() != len(there):
            return "cannot be verified"
        for issue in ledger.issues() if there else []:
            told = np.concatenate([b.values for b in ledger.blocks(issue)])
            if told.shape != (2, 14, 5) or told[0, 0, 0] != int(issue.file_sha256):
                return f"issue {issue.id} holds other values"
        if not self.keep(place, self.before) or Ledger(place / FILE).verify() != self.before + 1:
            return "the same command again does not record it"
        return None


class First(Issues):
    """The first issue, which makes the ledger."""

    before = 0


def swept(template: Path, folder: Path, fault: str) -> dict[str, Any]:
    """All works, spoiled at every point in turn by `signal=KILL`, `error=ENOSPC` or `error=EIO`."""
    problems, ends, log, reported = [], Counter[str](), folder / "strace.log", 0
    for kind in (Model, Output, Issues, First):
        subject: Any = kind(template, folder / kind.__name__)
        work: Work = subject.work
        place = subject.fresh()
        for name, n in list(points(lambda work=work, place=place: work(place), log)):      # type: ignore[misc]
            place = subject.fresh()
            code = traced(lambda work=work, place=place: work(place), log,                 # type: ignore[misc]
                          f"{name}:{fault}:when={n}")
            ends[f"{kind.__name__} {code}"] += 1
            told = subject.problem(place, code, name)
            if told is None and code not in ((-9, ) if "KILL" in fault else (0, subject.refused)):
                told = f"ended with {code}"
            if told:
                problems.append(f"{kind.__name__}: {name} {n}: {told}")
        reported += getattr(subject, "reported", 0)
    return {"points": sum(ends.values()), "ends": dict(ends), "issues reported": reported, "problems": problems}


CALL = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?(?: .*)?")
JOURNAL = "-journal"


class Durable:
    """What a disk may still forget, as the system calls go by; `problems` where it may forget the wrong thing.

    Before a file or a folder takes its place, all that it holds must be synced, and so must every name that was given
    before; before a journal goes, its database; before a database changes, its journal, name and content. At the end
    nothing that matters may be left unsynced."""

    def __init__(self, place: Path) -> None:
        self.known = {str(place), *map(str, place.rglob("*"))}
        self.content, self.names = set[str](), dict[str, set[str]]()        # unsynced: files; folder -> names in it
        self.counts, self.problems = Counter[str](), list[str]()

    def see(self, call: str, told: str, opened: str | None) -> None:
        paths = re.findall(r'"([^"]*)"', told)
        place = (re.match(r"\d+<([^>]*)>", told) or [None, None])[1]
        if call == "openat" and "O_CREAT" in told and opened not in self.known and opened is not None:
            self.name(opened)
        elif call in ("write", "pwrite64", "ftruncate") and place in self.known:
            self.write(str(place))
        elif call in ("fsync", "fdatasync"):
            self.counts["syncs"] += 1
            self.content.discard(str(place))
            self.names.pop(str(place), None)
        elif call in ("mkdir", "mkdirat", "link", "linkat"):
            self.name(paths[-1])
        elif call in ("rename", "renameat", "renameat2"):
            self.rename(*paths)
        elif call in ("unlink", "unlinkat"):
            self.unlink(paths[-1])

    def name(self, path: str) -> None:
        self.known.add(path)
        if not path.endswith(("/lock", ".tmp", ".partial")):            # may come back, or be gone: nobody minds
            self.names.setdefault(os.path.dirname(path), set()).add(path)

    def write(self, path: str) -> None:
        self.counts["writes"] += 1
        if path + JOURNAL in self.known:
            self.must_be_synced(path + JOURNAL, f"{path} changes")
            self.must_be_named(f"{path} changes")
        if not path.endswith("/lock"):
            self.content.add(path)

    def rename(self, old: str, new: str) -> None:
        self.counts["renames"] += 1
        self.must_be_synced(old, f"{new} takes its place")
        self.must_be_named(f"{new} takes its place", besides=old)
        self.known |= {new + path[len(old):] for path in self.known if path == old or path.startswith(old + "/")}
        self.names.get(os.path.dirname(old), set()).discard(old)
        self.name(new)

    def unlink(self, path: str) -> None:
        self.known.discard(path)
        self.content.discard(path)
        self.names.get(os.path.dirname(path), set()).discard(path)
        if path.endswith(JOURNAL):
            self.counts["commits"] += 1
            self.must_be_synced(path.removesuffix(JOURNAL), "its journal goes")
            self.names.setdefault(os.path.dirname(path), set()).add(path)

    def must_be_synced(self, path: str, before: str) -> None:
        late = {p for p in self.content if p == path or p.startswith(path + "/")}
        late |= {name for folder, names in self.names.items() if f"{folder}/".startswith(path + "/") for name in names}
        self.problems += [f"{p} is not synced before {before}" for p in sorted(late)]

    def must_be_named(self, before: str, besides: str = "") -> None:
        late = {name for names in self.names.values() for name in names if name != besides}
        self.problems += [f"the name {name} is not synced before {before}" for name in sorted(late)]

    def end(self) -> None:
        self.must_be_named("the end")
        self.problems += [f"{path} is not synced at the end" for path in sorted(self.content)]


def synced(template: Path, folder: Path) -> dict[str, Any]:
    """In what order all works put things on disk."""
    problems, counts, log = list[str](), Counter[str](), folder / "strace.log"
    for kind in (Model, Output, Issues, First):
        subject: Any = kind(template, folder / kind.__name__)
        place = subject.fresh().resolve()
        disk = Durable(place)
        assert traced(lambda subject=subject, place=place: subject.work(place), log) == 0          # type: ignore[misc]
        for line in log.read_text().splitlines():
            if match := CALL.fullmatch(line):
                call, told, result, opened = match.groups()
                if not result.startswith("-"):
                    disk.see(call, told, opened)
            elif "unfinished" in line or "resumed" in line:
                problems.append(f"{kind.__name__}: two threads at once: {line}")
        disk.end()
        problems += [f"{kind.__name__}: {problem}" for problem in disk.problems]
        counts += Counter({f"{kind.__name__} {what}": n for what, n in disk.counts.items()})
    return {"counts": dict(counts), "problems": problems}


def pairs(template: Path, folder: Path, count: int) -> dict[str, Any]:
    """Two writers at once, again and again; `late` counts those that were told after more than a second."""
    run, store, problems, late = load(template), Store(folder / "store"), [], 0

    def write(k: int) -> None:
        start = time.monotonic()
        try:
            with store.lock():
                run_id = store.new_id("lstm")
                keep(run, store.runs / run_id, run_id, k)
                store.promote(run_id)
                time.sleep(HELD)
        except BusyError:
            if time.monotonic() - start > 1:
                os._exit(LATE)
            raise

    for k in range(count):
        children = [forked(lambda k=k: write(k)) for _ in range(2)]     # type: ignore[misc]
        for _, go in children:
            os.write(go, b"x")
            os.close(go)
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children)
        live = load(store.find("live"))
        late += LATE in codes
        if codes not in ([0, 8], [0, LATE]) or not is_whole(live) or live.record.seed != k:
            problems.append(f"pair {k}: {codes}")
        for run_id in store.prunable(2):
            store.remove(run_id)
    return {"pairs": count, "problems": problems, "late": late}


def crowd(template: Path, folder: Path, promotions: int, loads: int) -> dict[str, Any]:
    """One writer, who also prunes, and a reader who asks for the live model all the time."""
    run, store, seen = load(template), Store(folder / "store"), set[int]()
    problems, refused = list[str](), list[str]()

    def write() -> None:
        for mark in range(promotions):
            with store.lock():
                run_id = store.new_id("lstm")
                keep(run, store.runs / run_id, run_id, mark)
                store.promote(run_id)
                for old in store.prunable(1):
                    store.remove(old)
            time.sleep(0.05)

    pid, go = forked(write)
    os.write(go, b"x")
    done, ended = 0, None
    while ended is None or done < loads:
        if ended is None and os.waitpid(pid, os.WNOHANG)[0]:
            ended = done
        if store.live() is None:
            continue
        try:
            live = load(store.find("live"))
        except ModelError as error:                                     # pruned in the middle of it: said, not mixed
            refused.append(str(error))
            continue
        done += 1
        seen.add(live.record.seed)
        if not is_whole(live):
            problems.append(f"mixed: {live.id}")
    return {"loads": done, "while writing": ended, "models seen": len(seen), "refused": refused, "problems": problems}


def main() -> None:
    experiment, template, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True)
    found = {"kill": lambda: swept(template, folder, "signal=KILL"),
             "full": lambda: swept(template, folder, "error=ENOSPC"),
             "broken": lambda: swept(template, folder, "error=EIO"), "synced": lambda: synced(template, folder),
             "pairs": lambda: pairs(template, folder, 100),
             "crowd": lambda: crowd(template, folder, 50, 500)}[experiment]()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
