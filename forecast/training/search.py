"""Searching settings: what is tried, what is hopeless, what mattered; a journal of all trials that outlives a kill.

The journal is Optuna's: a line of JSON for each event, to which several processes may write. Fitting and scoring are
others' business: here a trial is some changed settings, and the errors they came to."""

# P pairs: one for each series and past window

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.config import SETTINGS, Config
from forecast.errors import DataError, RequestError
from forecast.model.plan import Plan, make_plan
from forecast.series.arrays import Floats
from forecast.series.panel import Panel
from forecast.system.files import disk_errors, make_folders, remove_file, write_bytes

if TYPE_CHECKING:
    import optuna

NAME = "forecast"                       # of the one study in a journal
COVARIATES = "covariates"               # on, or off as if their columns had not been named
RATE = "train.lr"
FURTHEST = 5.0                          # times the usual rate, up or down
ALONE = 6                               # trials done before the first one that learns from others
HOPELESS = 0.2                          # chance below which a trial that looks worse than the best one is given up
REPEATED = "tried before"
BROKEN_OFF = "broken off"               # why a trial failed whose process ended
FEWEST = 6                              # trials without which nothing is said of what mattered
WAITING, RUNNING, DONE, HOPELESSLY, FAILED = "waiting", "running", "done", "given up", "failed"


@dataclass(frozen=True)
class Dimension:
    """One thing that is tried: its key, what it is by default, and its values; a rate has none of them, and lies within
    FURTHEST times its default."""

    key: str
    default: Any
    values: tuple[Any, ...]


def space(config: Config, known: Panel, plan: Plan, given: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """What is tried on this panel: every setting below that nobody gave, with values the data allow. plan: that of the
    defaults. A log is offered only to positive series, and covariates are left out only where there are some."""
    sizes = {"model.hidden": (plan.hidden, _times(plan.hidden, 2, 0.5, 0.25, low=4)),
             "model.context": (plan.context, _times(plan.context, 2, 0.5, low=2)),
             "model.segment": (plan.segment, _times(plan.segment, 0.5, 2, 0.25, low=1))}
    least = 1 if known.beside is None else 2
    kinds: dict[str, tuple[Any, Sequence[Any]]] = {
        "model.cell": (config.model.cell, SETTINGS["model.cell"].choices), **sizes, "model.layers": (
            config.model.layers, (1, 2)), "model.members": (plan.members, (4, least, 2)),
        "model.transform": (config.model.transform, ("none", "asinh", "auto", *(["log"] if known.is_positive else []))),
        "model.scaling": (config.model.scaling, SETTINGS["model.scaling"].choices)}
    if not (config.model.blend and config.model.skip):
        del kinds["model.members"]                                      # then there is one
    tried = [Dimension(key, default, _allowed(config, known, key, default, values))
             for key, (default, values) in kinds.items() if key not in given]
    tried += [Dimension(RATE, plan.lr, ())] if RATE not in given else []
    tried += [Dimension(COVARIATES, "on", ("on", "off"))] if known.beside is not None else []
    return tuple(d for d in tried if len(d.values) != 1)


def _times(size: int, *factors: float, low: int) -> list[int]:
    return [max(low, round(size * factor)) for factor in factors]


def _allowed(config: Config, known: Panel, key: str, default: Any, values: Sequence[Any]) -> tuple[Any, ...]:
    """The default first, and the other values with which a plan can be made."""
    allowed = [default]
    for value in values:
        try:
            make_plan(config.override({key: value}, source="tune"), known)
        except (DataError, RequestError):
            continue
        allowed.append(value)
    return tuple(dict.fromkeys(allowed))


@dataclass(frozen=True)
class Tried:
    """A trial. changes: the settings that are not the defaults · score: mean of the errors, nan for one not done ·
    errors, first (P,): after all steps of training, and after the first quarter of them."""

    number: int
    state: str
    changes: Mapping[str, Any]
    score: float = math.nan
    errors: Floats = field(default_factory=lambda: np.empty(0))
    first: Floats = field(default_factory=lambda: np.empty(0))
    seconds: float = 0.0
    reason: str = ""

    @property
    def is_ended(self) -> bool:
        """Whether it is known how good these settings are, or why they cannot be tried."""
        return self.state in (DONE, HOPELESSLY) or (self.state == FAILED and self.reason != BROKEN_OFF)


def chance(errors: Floats, others: Floats) -> float:
    """How likely errors (P,) that are no smaller than others' of the same pairs would look as much smaller as these do:
    Wilcoxon's signed-rank test, one-sided; pairs that are equal are split."""
    from scipy.stats import wilcoxon

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)                 # of pairs that are all equal
        p = float(wilcoxon(errors - others, alternative="less", zero_method="zsplit").pvalue)
    return p if p == p else 1.0


def is_hopeless(first: Floats, best: Tried | None) -> bool:
    """Whether errors after a quarter of the steps are worse than those the best trial had then, beyond chance."""
    return (best is not None and len(best.first) == len(first) and bool(first.mean() > best.first.mean())
            and chance(best.first, first) < HOPELESS)


class Study:
    """The trials of one search."""

    def __init__(self, storage: optuna.storages.BaseStorage, dimensions: Sequence[Dimension], seed: int) -> None:
        import optuna

        self._storage, self.dimensions = storage, dimensions
        there = [study.study_name for study in storage.get_all_studies()]  # to make one that is there writes, too
        make = optuna.load_study if NAME in there else optuna.create_study
        self._study = make(study_name=NAME, storage=storage)
        further = seed + len(self._study.get_trials(deepcopy=False))    # else a study gone on with draws the same again
        self._study.sampler = optuna.samplers.TPESampler(seed=further, multivariate=True, n_startup_trials=ALONE)

    @classmethod
    def opened(cls, path: Path, dimensions: Sequence[Dimension], about: Mapping[str, Any], *, seed: int) -> Study:
        """The study of a journal, begun where there is none: then its first trial is the default, and the next ones
        change one thing each. about: what it is a
        study of. Of one that holds trials already, this has to be the same; else RequestError says what differs.

        For one process at a time, whose own workers `joined` it: what a killed one left is taken away, and its trials
        wait to be tried again."""
        path = path.absolute()
        with disk_errors(path):
            make_folders(path.parent)
        _mend(path)
        remove_file(path.with_name(f"{path.name}.lock"))
        is_new, storage, said = not _size(path), _journal(path), json.loads(json.dumps(about))
        try:
            if not (is_new or storage.get_all_studies()):
                raise _no_study(path)
            study = cls(storage, dimensions, seed)
            kept = study._study.user_attrs.get("about")
            _check(path, kept, said)
            if kept is None:
                for values in _first(dimensions):
                    study._study.enqueue_trial(values)
                study._study.set_user_attr("about", said)
            study.release()
        except (KeyError, ValueError, TypeError, AssertionError) as error:
            raise _no_study(path) from error
        return study

    @classmethod
    def joined(cls, path: Path, dimensions: Sequence[Dimension], *, seed: int) -> Study:
        """The same for a worker of the process that opened it."""
        return cls(_journal(path.absolute()), dimensions, seed)

    def trials(self) -> list[Tried]:
        """All of them, in order."""
        return [_tried(trial) for trial in self._study.get_trials(deepcopy=False)]

    def best(self) -> Tried | None:
        """The done trial with the smallest score, the first of equals."""
        done = [trial for trial in self.trials() if trial.state == DONE]
        return min(done, key=lambda t: (t.score, t.number), default=None)

    def ask(self) -> Tried:
        """The next trial, which now runs."""
        trial = self._study.ask()
        changes: dict[str, Any] = {}
        for d in self.dimensions:
            value = trial.suggest_categorical(d.key, d.values) if d.values else _two_digits(
                trial.suggest_float(d.key, d.default / FURTHEST, d.default * FURTHEST, log=True))
            if value != d.default and not (d.key == RATE and value == _two_digits(d.default)):
                changes[d.key] = value
        trial.set_user_attr("changes", changes)
        return Tried(trial.number, RUNNING, changes)

    def tell(self, tried: Tried) -> None:
        """How a trial that runs ended: done, given up, or failed."""
        from optuna.trial import TrialState

        study = self._storage.get_study_id_from_name(NAME)
        trial = self._storage.get_trial_id_from_study_id_trial_number(study, tried.number)
        for key, value in {"errors": _rounded(tried.errors), "first": _rounded(tried.first),
                           "seconds": round(tried.seconds, 2), "reason": tried.reason}.items():
            self._storage.set_trial_user_attr(trial, key, value)
        state = {DONE: TrialState.COMPLETE, HOPELESSLY: TrialState.PRUNED, FAILED: TrialState.FAIL}[tried.state]
        self._study.tell(tried.number, tried.score if tried.state == DONE else None, state=state)

    def release(self, number: int | None = None) -> None:
        """Trials that run, or one of them, were broken off: each is to be tried again before any new one. One that was
        broken off before is not, since it may be what kills its process; the default always is."""
        trials = self._study.get_trials(deepcopy=False)
        broken = [_tried(trial).changes for trial in trials if _tried(trial).reason == BROKEN_OFF]
        for trial in trials:
            if _tried(trial).state == RUNNING and number in (None, trial.number):
                self.tell(Tried(trial.number, FAILED, {}, reason=BROKEN_OFF))
                changes, values = trial.user_attrs.get("changes"), trial.system_attrs.get("fixed_params", trial.params)
                if not changes or changes not in broken:
                    self._study.enqueue_trial(values)

    def importance(self) -> dict[str, float]:
        """Share of each dimension in how far the scores lie apart; {} of a few trials."""
        from optuna.importance import get_param_importances

        if sum(trial.state == DONE for trial in self.trials()) < FEWEST:
            return {}
        try:
            shares = get_param_importances(self._study)
        except (RuntimeError, ValueError):                              # all are as good as each other
            return {}
        return {key: float(share) for key, share in shares.items() if share > 0}

    def keep(self, key: str, value: Any) -> None:
        """A value that belongs to the whole study, as JSON has it."""
        self._study.set_user_attr(key, value)

    def kept(self, key: str) -> Any:
        return self._study.user_attrs.get(key)


def _first(dimensions: Sequence[Dimension]) -> list[dict[str, Any]]:
    """The defaults, and then each dimension by itself at its first other value; a rate at half."""
    default = {d.key: d.default for d in dimensions}
    return [default, *(default | {d.key: d.values[1] if d.values else d.default / 2} for d in dimensions)]


def _journal(path: Path) -> optuna.storages.BaseStorage:
    """Raises RequestError where Optuna is not installed, and for a file that is no study."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    except ImportError as error:
        raise RequestError("forecast tune needs the package optuna, which is not installed", code="no_extra",
                           hint="pip install optuna") from error
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with disk_errors(path):
            backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
            return optuna.storages.JournalStorage(backend)
    except (KeyError, ValueError, TypeError, AssertionError) as error:
        raise _no_study(path) from error


def _tried(trial: optuna.trial.FrozenTrial) -> Tried:
    from optuna.trial import TrialState

    states = {TrialState.WAITING: WAITING, TrialState.RUNNING: RUNNING, TrialState.COMPLETE: DONE,
              TrialState.PRUNED: HOPELESSLY, TrialState.FAIL: FAILED}
    kept = trial.user_attrs
    score = trial.value if trial.state == TrialState.COMPLETE and trial.value is not None else math.nan
    return Tried(trial.number, states[trial.state], kept.get("changes", {}), score, np.array(kept.get("errors", [])),
                 np.array(kept.get("first", [])), kept.get("seconds", 0.0), kept.get("reason", ""))


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _rounded(errors: Floats) -> list[float]:
    return [float(f"{e:.7g}") for e in errors]


def _mend(path: Path) -> None:
    """Take away a line that a killed process had not finished. Raises RequestError for a file that is no journal."""
    with disk_errors(path, "read"):
        content = path.read_bytes() if path.exists() else b""
    lines = content.splitlines(keepends=True)
    whole = [line for line in lines if _is_event(line)]
    if lines and not (whole and whole[0] == lines[0]):
        raise _no_study(path)
    if len(whole) < len(lines):
        write_bytes(path, b"".join(whole))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_event(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and "op_code" in dict(json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return False


def _no_study(path: Path) -> RequestError:
    return RequestError("is not a study of forecast tune, or is damaged", file=str(path), code="no_study",
                        hint="Give another --study")


def _check(path: Path, kept: Mapping[str, Any] | None, about: Mapping[str, Any]) -> None:
    """Raises RequestError where a study is not about this: of other data, or of another request."""
    if kept is None or kept == about:
        return
    if kept.get("data") != about["data"]:
        raise RequestError("is a study of other data, and its trials say nothing of these", file=str(path),
                           code="other_study", hint="Give another --study; data that have grown are other data, too")
    differ = [key for key in about if kept.get(key) != about[key]]
    raise RequestError(f"is a study of another request: {', '.join(differ)} differ", file=str(path),
                       code="other_study", hint="Ask as then, or give another --study")
