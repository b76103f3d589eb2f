"""Odd little files, of the kinds that data in the world come in: one whole number, one case, always the same."""

# T times

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CODES = ("", "NA", "null", "-", "-9999", "-999", "9999", "99999", "999999")
UNITS = ("{} kg", "{}%", "${}", "{} EUR", "~{}", "<{}")


@dataclass(frozen=True)
class Step:
    """How often values come. `horizon`: that is asked for; None leaves it to the program."""

    frequency: str | None           # of pandas; None for integers
    form: str
    season: int
    longest: int


STEPS = {
    "hour": Step("h", "%Y-%m-%d %H:%M", 24, 120), "day": Step("D", "%Y-%m-%d", 7, 80),
    "week": Step("W-MON", "%Y-%m-%d", 52, 130), "month": Step("MS", "%Y-%m", 12, 80),
    "quarter": Step("QS", "%Y-%m-%d", 4, 44), "year": Step("YS", "%Y-%m-%d", 1, 40), "number": Step(None, "", 6, 60),
}


@dataclass(frozen=True)
class Case:
    """A file and what is true of it."""

    seed: int
    kinds: tuple[str, ...]          # what was done to it, for whoever looks into a failure
    text: str                       # of the CSV file
    series: tuple[Floats, ...]      # (T,) each, as written; NaN where nothing, or a code, is written
    shown: tuple[Floats, ...]       # the same, with codes that are numbers for what they are
    season: int
    horizon: int | None             # to train for; None leaves it to the program
    ahead: int                      # times the trained horizon that is asked of predict
    settled: tuple[int, ...]        # of each series: so many values stand behind its last change of level

    def __str__(self) -> str:
        return f"seed {self.seed}: {', '.join(self.kinds)}"


def odd_case(seed: int) -> Case:
    """The case of a number."""
    random = np.random.default_rng([7, seed])
    name = str(random.choice(list(STEPS)))
    step = STEPS[name]
    count = int(random.choice([1, 1, 1, 1, 2, 3]))
    short = random.random() < 0.15
    longest = int(random.integers(2, 13) if short else random.integers(16, step.longest + 1))
    kinds, series, settled = [name, f"{count} series of {longest}"], list[Floats](), list[int]()
    for _ in range(count):
        length = max(2, longest - int(random.choice([0, 0, 0, 1, 5])))
        said, values, behind = _one(random, length, step.season)
        kinds.append("+".join(said))
        series.append(values)
        settled.append(behind)
    text, known, shown, dressed = _written(random, series, step)
    horizon = int(random.integers(1, 7)) if short or step.frequency is None or random.random() < 0.3 else None
    ahead = 2 if random.random() < 0.15 else 1
    return Case(seed, (*kinds, *dressed, f"horizon {horizon or 'by frequency'} x {ahead}"), text, tuple(known),
                tuple(shown), step.season, horizon, ahead, tuple(settled))


def _one(random: Generator, length: int, season: int) -> tuple[list[str], Floats, int]:
    """A base, and up to three things that happen to it; how many values stand behind the last change of level."""
    base = str(random.choice(list(BASES)))
    values = BASES[base](random, np.arange(float(length)), season)
    said, behind = [base], length
    for twist in random.choice(list(TWISTS), size=random.choice(4, p=[0.1, 0.6, 0.2, 0.1]), p=OFTEN):
        at = int(_distance(random, length, season))
        told, values = TWISTS[str(twist)](random, values, length - at)
        behind = min(behind, at) if str(twist) in ("level", "trend", "flat") else behind
        said.append(f"{told} {at} before the end")
    if random.random() < 0.4:
        size = int(random.integers(-4, 7))
        said, values = [*said, f"x 1e{size}"], values * 10.0 ** size
    digits = int(random.choice([0, 2, 2, 6])) if base not in ("counts", "sparse") else 6
    return said, np.round(values, digits) + 0.0, behind


def _distance(random: Generator, length: int, season: int) -> int:
    """From the end: a step, a few, a season and its neighbours, several seasons, anywhere."""
    near = [1, 2, 3, season - 1, season, season + 1, 2 * season, 3 * season, int(random.integers(1, length + 1))]
    return int(np.clip(random.choice(near), 1, length - 1))


def _wave(t: Floats, season: int) -> Floats:
    return np.asarray(np.sin(2 * np.pi * t / max(season, 5)))


def _sparse(random: Generator, t: Floats, season: int) -> Floats:
    return np.asarray(np.where(random.random(len(t)) < 0.08, random.integers(1, 40, len(t)), 0).astype(float))


def _exact(random: Generator, t: Floats, season: int) -> Floats:
    return np.resize(np.round(random.normal(50, 20, max(season, 2)), 1), len(t))


BASES: dict[str, Callable[[Generator, Floats, int], Floats]] = {
    "noise": lambda random, t, m: random.normal(100, 5, len(t)),
    "season": lambda random, t, m: 100 + 30 * _wave(t, m) + random.normal(0, 4, len(t)),
    "growing": lambda random, t, m: 50 * np.exp(t / len(t) + 0.3 * _wave(t, m) + random.normal(0, 0.05, len(t))),
    "repeating": _exact,
    "line": lambda random, t, m: 10 + 2 * t,
    "walk": lambda random, t, m: np.cumsum(random.normal(0, 1, len(t))),
    "signed": lambda random, t, m: random.normal(0, 10, len(t)),
    "counts": lambda random, t, m: random.poisson(random.choice([0.1, 0.7, 3, 20]), len(t)).astype(float),
    "sparse": _sparse,
    "night": lambda random, t, m: np.maximum(0, _wave(t, m)) * random.lognormal(5, 0.3, len(t)),
    "constant": lambda random, t, m: np.full(len(t), float(random.choice([1, 7.5, 100, -3]))),
    "nothing": lambda random, t, m: np.zeros(len(t)),
}


def _level(random: Generator, values: Floats, at: int) -> tuple[str, Floats]:
    changed = values.copy()
    if random.random() < 0.6:
        factor = float(10 ** random.uniform(-2, 2))
        changed[at:] *= factor
        return f"level x {factor:.3g}", changed
    spread = float(np.nanstd(values)) or 1.0
    shift = float(random.choice([-1, 1]) * 10 ** random.uniform(-0.5, 2) * spread)
    changed[at:] += shift
    return f"level {shift:+.3g}", changed


def _trend(random: Generator, values: Floats, at: int) -> tuple[str, Floats]:
    changed, slope = values.copy(), float(random.normal()) * (float(np.nanstd(values)) or 1.0)
    changed[at:] += slope * np.arange(1, len(values) - at + 1)
    return f"trend {slope:+.3g} a step", changed


def _flat(random: Generator, values: Floats, at: int) -> tuple[str, Floats]:
    changed = values.copy()
    changed[at:] = random.choice([values[at - 1], 0.0])
    return "constant", changed


def _spikes(random: Generator, values: Floats, at: int) -> tuple[str, Floats]:
    changed, size = values.copy(), float(10 ** random.uniform(0.5, 4))
    where = np.unique(np.append(random.integers(0, len(values), int(random.integers(0, 3))), at))
    changed[where] = (np.abs(changed[where]) + 1) * size * random.choice([-1, 1])
    return f"{len(where)} spikes x {size:.3g}", changed


def _gap(random: Generator, values: Floats, at: int) -> tuple[str, Floats]:
    changed, size = values.copy(), int(random.integers(1, max(2, len(values) // 3)))
    changed[max(1, at - size):max(at, 2)][:-1 if len(values) > 2 else 0] = np.nan
    return f"gap of {size}", changed


def _holes(random: Generator, values: Floats, at: int) -> tuple[str, Floats]:
    changed = np.where(random.random(len(values)) < random.choice([0.05, 0.3]), np.nan, values)
    changed[[0, -1]] = values[[0, -1]]
    return "holes", changed


TWISTS: dict[str, Callable[[Generator, Floats, int], tuple[str, Floats]]] = {
    "level": _level, "trend": _trend, "flat": _flat, "spikes": _spikes, "gap": _gap, "holes": _holes,
}
OFTEN = [0.4, 0.12, 0.12, 0.12, 0.12, 0.12]


def _written(random: Generator, series: list[Floats], step: Step) -> tuple[str, list[Floats], list[Floats], list[str]]:
    """The CSV file, what of the series is in it (without codes, and with them), what is odd about the writing."""
    told, code = list[str](), str(random.choice(CODES)) if random.random() < 0.3 else None
    unit = str(random.choice(UNITS)) if random.random() < 0.05 else None
    if code is not None:
        told.append(f"missing written {code!r}")
    if unit is not None:
        told.append(f"values written {unit!r}")
    everywhere = random.random() < 0.5
    lines, known = ["id,time,y" if len(series) > 1 else "time,y"], list[Floats]()
    for k, values in enumerate(series):
        if code is not None and not np.isnan(values).any() and len(values) > 4:
            values = values.copy()
            values[random.integers(1, len(values) - 1, 2)] = np.nan
        known.append(values)
        for place, (stamp, value) in enumerate(zip(_stamps(step, len(values)), values.tolist(), strict=True)):
            cell = code if value != value else f"{value:.10g}"
            if cell is None:
                continue                                                # the row is not there
            if unit is not None and value == value and (everywhere or place == len(values) // 2):
                cell = unit.format(cell)
            lines.append(f"s{k},{stamp},{cell}" if len(series) > 1 else f"{stamp},{cell}")
    number = float(code) if code and code.lstrip("-").isdigit() else np.nan
    shown = [np.where(np.isnan(values), number, values) for values in known]
    return "\n".join(lines) + "\n", known, shown, told


def _stamps(step: Step, length: int) -> list[str]:
    if step.frequency is None:
        return [str(k) for k in range(length)]
    return pd.date_range("2015-01-01", periods=length, freq=step.frequency).strftime(step.form).tolist()
