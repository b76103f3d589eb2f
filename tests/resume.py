"""Trainings broken off for test_resume.py; `python -m tests.resume kills FOLDER` prints its counts.

A process that has everything imported, and computed nothing, forks; the child trains, is broken off at a random time,
and another one goes on from what it left. A pipe tells how far the child has come."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from forecast.cli import main
from forecast.model.predictor import Predictor
from forecast.series.calendar import Calendar
from forecast.store.run import load
from forecast.store.store import Store
from forecast.system import files
from forecast.training import checkpoints
from forecast.training.checkpoints import Checkpoints
from forecast.training.fit import finished, fit, refit
from tests.conftest import quick, waves
from tests.days import rows

# The phases of `forecast train`, and the function that each of them begins with.
PHASES = {"reading": ("forecast.reading.reader", "read_panel"), "training": ("forecast.training.fit", "fit"),
          "backtest": ("forecast.tasks.fitting", "scored"), "final fit": ("forecast.training.fit", "refit"),
          "saving": ("forecast.store.run", "save")}
SIGNALS = {signal.SIGTERM: 143, signal.SIGINT: 130}
TRAIN = ("data.csv", "--horizon", "3", "--hidden", "8", "--promote", "always", "--set", "train.steps=60", "--set",
         "train.epoch_steps=5", "--set", "model.members=2", "--set", "train.threads=2")
DAILY = Calendar.of("D")
PATIENCE = 120.0                                                        # seconds for any child to end


def child(work: Callable[[int], int], words: Path | None = None) -> tuple[int, int]:
    """A fork at work: (pid, where what it tells comes out). `work` gets where to tell; `words` gets its stderr."""
    out, into = os.pipe()
    if pid := os.fork():
        os.close(into)
        return pid, out
    code = 70
    try:
        os.close(out)
        if words is not None:
            os.dup2(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = work(into)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """The exit code, or the signal's number below zero."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"the child did not end within {PATIENCE:g} s")


def told(out: int, wanted: bytes | None = None) -> list[tuple[bytes, float]]:
    """The bytes that come out, each with its time: up to the wanted one, else to the end."""
    found = list[tuple[bytes, float]]()
    while select.select([out], [], [], PATIENCE)[0] and (byte := os.read(out, 1)):
        found.append((byte, time.monotonic()))
        if byte == wanted:
            return found
    os.close(out)
    return found


def digest(predictor: Predictor) -> str:
    """Of all that training decides."""
    whole = hashlib.sha256()
    for member in predictor.members:
        for name, tensor in sorted(member.network.tensors.items()):
            whole.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
        whole.update(repr((member.steps, member.schedule, member.diverged, member.penalty)).encode())
    whole.update(repr(predictor.blend).encode() + np.ascontiguousarray(predictor.widths).tobytes())
    return whole.hexdigest()


def kills(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """So many trainings killed at random times, once to three times each, and gone on with to their end."""
    config, panel = quick(model_blend=True, train_threads=2, model_members=3), waves(length=100, calendar=DAILY)
    checkpoints.EVERY = 0.0                                              # every epoch leaves a checkpoint
    dice = random.Random(seed)

    def training(parent: Path, result: Path) -> Callable[[int], int]:
        def work(tell: int) -> int:
            os.write(tell, b"t")
            left = Checkpoints.of(parent, "x")
            predictor = finished(fit(Predictor.new(config, panel), panel, checkpoints=left))
            predictor = finished(refit(predictor, panel, checkpoints=left))
            result.write_text(digest(predictor))
            os.write(tell, b"e")
            return 0
        return work

    pid, out = child(training(folder / "whole", folder / "whole.txt"))
    (_, begin), (_, end) = told(out)
    assert ended(pid) == 0
    whole, length = (folder / "whole.txt").read_text(), end - begin
    same, landed, torn, found, problems = 0, 0, 0, Counter[int](), list[str]()
    for k in range(count):
        parent, result = folder / f"{k}", folder / f"{k}.txt"
        wanted = dice.choice((1, 1, 2, 3))
        while wanted:
            delay = dice.uniform(0, length)
            pid, out = child(training(parent, result))
            told(out, b"t")
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
            os.close(out)
            if ended(pid) == -signal.SIGKILL:
                landed, wanted = landed + 1, wanted - 1
            else:                                                       # it was done before
                length = max(0.9 * length, 0.05)
            result.unlink(missing_ok=True)
        found[Checkpoints.of(parent, "x").count()] += 1
        torn += len(list(parent.glob("*/.*.tmp")))
        pid, out = child(training(parent, result), folder / "words.txt")
        told(out)
        code = ended(pid)
        if code == 0 and result.read_text() == whole:
            same += 1
            shutil.rmtree(parent)
        else:
            problems.append(f"training {k}: exit {code} {(folder / 'words.txt').read_text()[-200:]}")
    return {"trainings": count, "kills": landed, "bit-identical": same, "half-written files left": torn,
            "networks with a checkpoint": dict(sorted(found.items())), "problems": problems}


def begun(folder: Path) -> Path:
    """A folder with data to train on."""
    folder.mkdir()
    rows().to_csv(folder / "data.csv", index=False)
    return folder


def command(folder: Path, *more: str) -> Callable[[int], int]:
    """`forecast train` in a child, which tells the number of each phase as it begins."""
    def work(tell: int) -> int:
        for number, (module, name) in enumerate(PHASES.values()):
            place = importlib.import_module(module)
            setattr(place, name, telling(getattr(place, name), tell, b"%d" % number))
        try:
            main(["-C", str(folder), "train", *TRAIN, *more])
        except SystemExit as end:
            return int(end.code or 0)
        return 70
    return work


def telling(function: Callable[..., Any], tell: int, byte: bytes) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        os.write(tell, byte)
        return function(*arguments, **named)
    return wrapped


def weights(store: Store, run: str) -> str:
    return files.sha256(store.runs / run / "weights.safetensors")


def debris(folder: Path) -> list[str]:
    """What a broken off train must not leave: half runs, temporary files, a lock that is held."""
    store = Store(folder / ".forecast")
    left = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.name.endswith((".tmp", ".partial"))]
    return left + ([f"lock of {held}"] if (held := files.holder(store.folder / "lock")) else [])


def trained(folder: Path, words: Path, *more: str) -> tuple[str, list[tuple[bytes, float]]]:
    """A train that ends well: the new run, and when its phases began."""
    pid, out = child(command(folder, *more), words)
    times = [*told(out), (b"", time.monotonic())]
    if (code := ended(pid)) != 0:
        raise RuntimeError(f"exit {code}: {words.read_text()}")
    live = Store(folder / ".forecast").live()
    assert live is not None
    return live, times


def signals(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """`forecast train` broken off in every phase, by both signals, so many times each, and resumed."""
    dice, words = random.Random(seed), folder / "words.txt"
    template, now = begun(folder / "template"), folder / "now"
    old, _ = trained(template, words, "--set", "train.seed=5")
    shutil.copytree(template, now)
    fresh, times = trained(now, words)
    whole, other = weights(Store(now / ".forecast"), fresh), weights(Store(template / ".forecast"), old)
    assert whole != other
    starts = [next(at for byte, at in times if byte == b"%d" % k) for k in range(len(PHASES))] + [times[-1][1]]
    longest, said, problems, done, after = 0.0, Counter[str](), list[str](), Counter[str](), 0
    for number, (phase, sent) in enumerate((p, s) for p in PHASES for s in SIGNALS for _ in range(count)):
        at, broken = list(PHASES).index(phase), False
        length = starts[at + 1] - starts[at]
        while not broken:
            shutil.rmtree(now)
            shutil.copytree(template, now)
            pid, out = child(command(now), words)
            told(out, b"%d" % at)
            time.sleep(dice.uniform(0, length))
            start = time.monotonic()
            os.kill(pid, sent)
            code = ended(pid)
            os.close(out)
            broken, length = code != 0, 0.8 * length                    # it was done before
        longest = max(longest, time.monotonic() - start)
        store = Store(now / ".forecast")
        left = debris(now)
        if code != SIGNALS[sent] or left:
            problems.append(f"{number} {phase} {sent.name}: exit {code}, left {left} {words.read_text()[-200:]}")
        if store.live() != old or store.ids() != [old]:                 # only when all of the new run was there already
            after += 1
            for run in set(store.ids()) - {old}:
                load(store.runs / run)
                if weights(store, run) != whole:                        # a slow machine may be a phase further on
                    problems.append(f"{number} {phase} {sent.name}: runs {store.ids()}, live {store.live()}")
        if weights(store, old) != other:
            problems.append(f"{number} {phase} {sent.name}: the old model has changed")
        resumed, _ = trained(now, words, "--resume")
        kind = "from checkpoints" if "a training that was broken off" in words.read_text() else "anew"
        if kind == "anew" and "nothing was left" not in words.read_text():
            problems.append(f"{number} {phase} {sent.name}: resumed without a word: {words.read_text()}")
        said[f"{phase}: {kind}"] += 1
        if weights(store, resumed) != whole:
            problems.append(f"{number} {phase} {sent.name}: resumed to other weights ({kind})")
        done[f"{phase} {sent.name}"] += 1
    again, _ = trained(now, words, "--resume")
    if "nothing was left" not in words.read_text() or weights(Store(now / ".forecast"), again) != whole:
        problems.append(f"--resume with nothing left: {words.read_text()}")
    return {"signals": sum(done.values()), "longest": round(longest, 2), "resumed": dict(said),
            "whole run kept already": after, "problems": problems}


def program(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """The program as cron starts it, sent signals at any time from its start on, the imports included."""
    dice, template, now = random.Random(seed), begun(folder / "template"), folder / "now"
    line = [sys.executable, "-m", "forecast", "-C", str(now), "train", *TRAIN]
    shutil.copytree(template, now)
    start = time.monotonic()
    subprocess.run(line, check=True, capture_output=True)
    length, ends, problems, longest = time.monotonic() - start, Counter[int](), list[str](), 0.0
    for k in range(count):
        sent = list(SIGNALS)[k % 2]
        shutil.rmtree(now)
        shutil.copytree(template, now)
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(dice.uniform(0, length))
        start = time.monotonic()
        process.send_signal(sent)
        said = process.communicate(timeout=PATIENCE)[1]
        longest = max(longest, time.monotonic() - start)
        left = debris(now)
        ends[process.returncode] += 1
        if process.returncode not in (0, SIGNALS[sent], -sent) or "Traceback" in said or left:
            problems.append(f"{k} {sent.name}: exit {process.returncode}, left {left}: {said[-300:]}")
    return {"signals": count, "ends": dict(ends), "longest": round(longest, 2), "problems": problems}


if __name__ == "__main__":
    experiment, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir(parents=True)
    usual = {"kills": 200, "signals": 3, "program": 20}[experiment]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else usual
    found = {"kills": kills, "signals": signals, "program": program}[experiment](place, count, seed=0)
    sys.stdout.write(json.dumps(found) + "\n")
