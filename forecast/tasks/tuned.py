"""Tuned: what a search of settings came to: its trials, the judgement on windows it had not seen, and words on it."""

# P pairs: one for each series and past window

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forecast.model.plan import Plan
from forecast.series.arrays import Floats
from forecast.showing.tables import score_text
from forecast.showing.trials import changed
from forecast.store.record import DataRecord
from forecast.tasks.trials import FEWEST_CUTOFFS
from forecast.text import counted, duration
from forecast.training.search import (
    BROKEN_OFF,
    COVARIATES,
    DONE,
    FAILED,
    HOPELESSLY,
    REPEATED,
    WAITING,
    Dimension,
    Tried,
    chance,
)

CHANCE = 0.05                           # of settings that are no better being called better
ROLES = ("data.known", "data.past", "data.static", "data.covariates", "data.holidays")


@dataclass(frozen=True)
class Judgement:
    """The best settings beside the defaults, fitted anew with several seeds on all that stood before the unseen
    windows. default, tried: (P,) errors with each seed, in the same order; cutoffs, series: of these pairs; looks:
    settings judged on these windows so far."""

    default: Sequence[Floats]
    tried: Sequence[Floats]
    naive: float
    looks: int
    cutoffs: int
    series: int

    @property
    def means(self) -> tuple[float, float]:
        """Of the defaults, and of the settings tried."""
        return float(np.mean(self.default)), float(np.mean(self.tried))

    @property
    def p(self) -> float:
        """How likely settings that are no better would look so much better: by Wilcoxon's test over the pairs."""
        return chance(np.mean(self.tried, axis=0), np.mean(self.default, axis=0))

    @property
    def limit(self) -> float:
        """What p has to be below: parted among all the settings that these windows have judged."""
        return CHANCE / self.looks

    @property
    def ahead(self) -> int:
        """The seeds with which the settings err less than the defaults."""
        return sum(bool(t.mean() < d.mean()) for t, d in zip(self.tried, self.default, strict=True))

    @property
    def is_better(self) -> bool:
        """Beyond chance: of windows by the test, of seeds in that each of them says so; on a few days alone nothing
        is."""
        return self.p < self.limit and self.ahead == len(self.tried) and self.cutoffs >= FEWEST_CUTOFFS

    @property
    def where(self) -> str:
        """On which windows: `15 windows (5 cutoffs of 3 series)`."""
        return (f"{counted(len(self.tried[0]), 'window')} ({counted(self.cutoffs, 'cutoff')} of "
                f"{counted(self.series, 'series')})")

    def to_dict(self) -> dict[str, Any]:
        default, tried = self.means
        return {"default": default, "tried": tried, "seasonal_naive": self.naive, "p": self.p, "limit": self.limit,
                "pairs": len(self.tried[0]), "cutoffs": self.cutoffs, "series": self.series, "seeds": len(self.tried),
                "seeds_ahead": self.ahead, "looks": self.looks, "better_beyond_chance": self.is_better}


@dataclass(frozen=True)
class Tuned:
    """A search, as far as it has come. cutoffs and unseen: of the windows, in steps back; stopped: the exit code of the
    signal that ended it, 0 for none; spent: what ended it else: the time, the trials, the settings."""

    data: DataRecord
    source: str
    target: str
    plan: Plan
    settings: dict[str, Any]
    said: Mapping[str, Any]                 # those of this call alone, as they were written
    dimensions: Sequence[Dimension]
    study: Path
    budget: float
    cutoffs: list[int]
    unseen: list[int]
    metric: str                             # mase, or mae where no series has a MASE
    naive: float
    spent: str = "time"
    stopped: int = 0
    seconds: float = 0.0
    trials: Sequence[Tried] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    judgement: Judgement | None = None

    @property
    def ranking(self) -> list[Tried]:
        """The trials that are done, the smallest error first."""
        return sorted((t for t in self.trials if t.state == DONE), key=lambda t: (t.score, t.number))

    @property
    def default(self) -> Tried | None:
        return next((t for t in self.ranking if not t.changes), None)

    @property
    def best(self) -> Tried | None:
        return next(iter(self.ranking), None)

    @property
    def is_better(self) -> bool:
        """Whether the best settings are better than the defaults beyond chance."""
        return self.judgement is not None and self.judgement.is_better

    @property
    def toml(self) -> list[str]:
        """The best settings as lines of forecast.toml."""
        return toml_of(self.best.changes, self.target) if self.best else []

    @property
    def words(self) -> list[tuple[str, str]]:
        """What it came to: labels and lines."""
        return [*_of_trials(self), *_of_importance(self), ("certain", self.verdict), *_next(self)]

    @property
    def verdict(self) -> str:
        """Whether the best settings hold on windows that the search had not seen."""
        best, default = self.best, self.default
        if best is None:
            return "nothing: no trial is done"
        if not best.changes:
            return ("no better than the defaults: nothing that was tried errs less on the "
                    f"{counted(len(self.cutoffs), 'window')} of the search")
        judged = self.judgement
        if judged is None:
            gain = "" if default is None else f", {1 - best.score / default.score:.1%} less than the defaults"
            return (f"nothing yet: trial {best.number} errs least on the windows of the search{gain}, and was not "
                    f"judged on the {counted(len(self.unseen), 'unseen cutoff')}")
        usual, tried = (score_text(mean, self.metric) for mean in judged.means)
        found = (f"on {judged.where} that the search had not seen the best settings err by {tried}, the defaults by "
                 f"{usual}, seasonal naive by {score_text(judged.naive, self.metric)} (p {judged.p:.2g}, "
                 f"smaller with {judged.ahead} of {counted(len(judged.tried), 'seed')})")
        if judged.is_better:
            return f"better than the defaults beyond chance: {found}"
        few = judged.cutoffs < FEWEST_CUTOFFS and "; so few cutoffs cannot show a difference"
        return f"no better than the defaults beyond chance: {found}{few or ''}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        best, default = self.best, self.default
        return {"data": self.data.reading, "plan": asdict(self.plan), "settings": self.settings,
                "study": str(self.study), "budget": self.budget, "seconds": round(self.seconds, 1),
                "ended_by": "signal" if self.stopped else self.spent, "metric": self.metric,
                "windows": self.cutoffs, "unseen": self.unseen,
                "space": {d.key: {"default": d.default, "values": list(d.values) or None} for d in self.dimensions},
                "trials": [_row(t) for t in self.trials if t.state != WAITING],
                "best": best and best.number, "default": default and default.score, "seasonal_naive": self.naive,
                "changes": dict(best.changes) if best else None, "toml": "\n".join(self.toml),
                "importance": dict(self.importance), "judgement": self.judgement and self.judgement.to_dict(),
                "words": dict(self.words)}


def _row(t: Tried) -> dict[str, Any]:
    return {"number": t.number, "state": t.state, "changes": dict(t.changes), "score": t.score,
            "after_a_quarter": float(t.first.mean()) if len(t.first) else None, "seconds": t.seconds,
            "reason": t.reason or None}


def toml_of(changes: Mapping[str, Any], target: str) -> list[str]:
    """Changed settings as lines of forecast.toml. Without covariates the target has to be named, so that nothing else
    becomes one."""
    sections: dict[str, list[str]] = {}
    for key, value in changes.items():
        if key == COVARIATES:
            names = ", ".join(role.split(".")[1] for role in ROLES)
            sections["data"] = [f"# leave out {names}: the search did better without", f"target = {_toml(target)}"]
            continue
        section, name = key.split(".")
        sections.setdefault(section, []).append(f"{name} = {_toml(value)}")
    return [line for section in sorted(sections) for line in (f"[{section}]", *sections[section])]


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _of_trials(tuned: Tuned) -> list[tuple[str, str]]:
    """How many trials there are, and what became of those that are not ranked."""
    done, hopeless = (sum(t.state == state and t.reason != REPEATED for t in tuned.trials)
                      for state in (DONE, HOPELESSLY))
    reasons = [t for t in tuned.trials if t.state == FAILED and t.reason != BROKEN_OFF]
    broken = sum(t.state == FAILED for t in tuned.trials) - len(reasons)
    lines = [("trials", f"{done} done, {hopeless} given up early, {len(reasons)} failed"
                        + (f", {broken} broken off" if broken else "") + f"; {duration(tuned.seconds)} this time")]
    lines += [("failed", f"trial {t.number} ({changed(t.changes)}): {t.reason}") for t in reasons[:3]]
    if len(reasons) > 3:
        lines.append(("failed", f"so did {len(reasons) - 3} more; --json lists all"))
    return lines


def _of_importance(tuned: Tuned) -> list[tuple[str, str]]:
    """What mattered, the most important first."""
    top = sorted(tuned.importance.items(), key=lambda item: -item[1])[:5]
    said = ", ".join(f"{key.split('.')[-1]} {share:.0%}" for key, share in top if share >= 0.01)
    return [("mattered", f"{said} (of how far the scores lie apart, by {counted(len(tuned.ranking), 'trial')})")
            ] if said else []


def _next(tuned: Tuned) -> list[tuple[str, str]]:
    """What to do with it."""
    better = tuned.best.changes if tuned.best and tuned.is_better else {}
    asked = {key: value for key, value in tuned.said.items() if COVARIATES not in better or key not in ROLES}
    sets = [f"--set {key}={value}" for key, value in {**asked, **better}.items() if key != COVARIATES]
    lines = [("next", " ".join(["forecast train", tuned.source, *sets]))]
    if tuned.stopped or tuned.spent != "settings":
        lines.append(("more", "the same command goes on from here" if tuned.stopped else
                      "the same command again goes on with this study"))
    if tuned.toml:
        lines.append(("settings", f"of trial {tuned.best.number if tuned.best else 0}, as lines of forecast.toml:"))
    return lines

