"""Fit: a predictor trained, an Epoch at a time, and fitted anew on all the data.

`fit` sets the closed forms (linear skip, spread of its errors) for each transformation; the members' networks learn
what they leave over, with looks at held-out windows; the same windows say what each member and each expert weighs, and
how wide the bands are. `refit` lets them learn from everything. Both are generators whose return value is the new
predictor: see Training and finished."""

# W windows  L context  H horizon  Q quantiles

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch

from forecast.model.guard import History, silenced
from forecast.model.knowledge import Knowledge
from forecast.model.member import LINEAR, NETWORK, Member, part
from forecast.model.network import Network
from forecast.model.plan import Plan
from forecast.model.predictor import Predictor
from forecast.model.prior import Prior, Tuned
from forecast.series.arrays import finite_sums
from forecast.series.levels import levelled
from forecast.series.panel import Panel, Windows
from forecast.series.windows import AllWindows, evenly, targets, windows_of
from forecast.system import machine
from forecast.training.checkpoints import Checkpoints, Place
from forecast.training.closed_forms import MOST_VALIDATION, blanks, on_forms, units_again
from forecast.training.learning import Learned, learn, relearn
from forecast.training.loop import Course, Epoch, Material
from forecast.training.start import SHORTER, Start, origins
from forecast.training.team import ALONE, Team
from forecast.training.together import together
from forecast.training.torch_network import is_rough
from forecast.training.tuning import LOOKED_AT, RATE, STEPS, Lessons, batch_of, retune, tune
from forecast.training.weighing import LEAST_WEIGHED, MOST_WEIGHED, naive_errors, said_at, weighed

WORSE = 1.5                         # a final fit is not taken if it errs more than so many times as before,
STRAY = 0.02                        # or newly leads beyond the history in more than this share of the series
FEW = 500                           # windows, below which a final fit begins anew
TRIED, LEAST_TRIED = 40, 4          # steps of each training, at most and at least, that are taken to see how long
TRYING = 0.25                       # one takes: no more once so many seconds are over
QUICK = 0.25                        # of the steps tried this one counts: other work holds some of them up
BACK = 3                            # times as long as a look at windows takes a step that learns from as many
LONG = 100                          # a cell of so many steps begins with memories up to the context's length
T = TypeVar("T")
Job = Callable[[], Generator[Epoch, None, T]]


class Training(Generic[T]):
    """The epochs of a training as they are made; behind the last one, `result` is what it came to."""

    result: T

    def __init__(self, epochs: Generator[Epoch, None, T]) -> None:
        self._epochs = epochs

    def __iter__(self) -> Iterator[Epoch]:
        self.result = yield from self._epochs


def finished(epochs: Generator[Epoch, None, T]) -> T:
    """What a training comes to, for whoever does not look at its epochs."""
    training = Training(epochs)
    for _ in training:
        pass
    return training.result


def rounds_of(predictor: Predictor, panel: Panel) -> float:
    """How long all trainings take together, where the fit takes 1: the final fit has its share."""
    if not predictor.config.train.final_fit:
        return 1.0
    return 1.0 + _share(_windows_of(predictor.plan, panel))


def _share(windows: AllWindows) -> float:
    """Of the steps of a fit, those of its final fit: of many windows a quarter, from the validated weights on; of few
    windows, all of them, anew."""
    return SHORTER if len(windows) >= FEW else 1.0


def fit(predictor: Predictor, panel: Panel, *, limit: float | None = None, checkpoints: Checkpoints | None = None,
        start: Start | None = None, team: Team = ALONE) -> Generator[Epoch, None, Predictor]:
    """Choose, train and validate on a panel, which is never changed; what comes back has not learned from its newest
    steps, by which it was validated. `refit` is the caller's to call.

    limit: seconds that the trainings may take; train.time_limit where it is not given. A fit on the same panel that
    was interrupted is gone on from what `checkpoints` hold of it, to the bit. The same seed gives the same bits on
    one kind of machine with as many threads. Without a series that reaches into the newest steps there is nothing
    to choose by, and the seasonal naive forecast serves. Raises RequestError where the device or the precision
    asked for is not there, DataError for a logarithm of values that are not positive."""
    plan, config = predictor.plan, predictor.config
    limit = config.train.time_limit if limit is None else limit
    device = machine.set_up(config.train.device, config.train.threads)
    panel, _ = levelled(panel, plan.season)
    known = panel.drop_last(plan.validation)
    training, held_out = _windows_of(plan, known), held_out_windows(plan, panel)
    members = blanks(predictor, known, panel, training, held_out)
    predictor = replace(predictor, members=tuple(members))
    if len(training) and len(held_out):
        from_others, fewer = origins(members, start.validated if start else {}), math.ceil(SHORTER * plan.steps)
        lengths = [fewer if origin else plan.steps for origin in from_others]
        whole = _epochs(predictor, [*lengths, _steps_of_prior(predictor) if _is_tuned(predictor) else 0])
        jobs: list[Job[Learned] | Job[Tuned]] = [
            partial(learn, Material(m, known, training), Material(m, panel, held_out),
                    replace(_course(predictor, k, device, steps, limit, _place(checkpoints, "validated", k), team),
                            whole=whole), origin)
            for k, (m, origin, steps) in enumerate(zip(members, from_others, lengths, strict=True))]
        if predictor.prior and _is_tuned(predictor):
            held_out_lessons = Lessons(panel, held_out, predictor.two_seasons, plan.horizon)
            course = _course_of_prior(predictor, device, "validated", checkpoints, limit, team)
            jobs.insert(0, partial(tune, predictor.prior, _lessons(predictor, known), held_out_lessons,
                                   replace(course, whole=whole)))
        results = yield from together(jobs, *_hands(predictor, device))
        learned = [result for result in results if isinstance(result, Learned)]
        tuned = next((result for result in results if isinstance(result, Tuned) and result.steps), None)
        predictor = replace(predictor, members=tuple(map(_trained, members, learned)), tuned=tuned)
    predictor = weighed(predictor, panel, known, held_out)
    return replace(predictor, usual_step=_relative_step(known), knowledge=Knowledge.of(panel), kept_back="",
                   validated_knowledge=start.knowledge_with(known) if start else Knowledge.of(known),
                   validated_networks=tuple(m.network for m in predictor.members),
                   validated_prior=predictor.tuned.prior if predictor.tuned else None)


def _is_tuned(predictor: Predictor) -> bool:
    """Whether the prior is to be tuned on the user's data, beside the networks."""
    return predictor.prior is not None and predictor.plan.steps > 0 and predictor.config.model.blend


def _lessons(predictor: Predictor, panel: Panel) -> Lessons:
    return Lessons(panel, _windows_of(predictor.plan, panel), predictor.two_seasons, predictor.plan.horizon)


def _course_of_prior(predictor: Predictor, device: torch.device, stage: str, checkpoints: Checkpoints | None,
                     limit: float | None = None, team: Team = ALONE) -> Course:
    """How the prior is tuned; in a final fit, for as many steps as it was when it was validated."""
    train, count = predictor.config.train, len(predictor.members)
    return Course(train, train.seed, _steps_of_prior(predictor), RATE, None, _limit(predictor, device, limit), device,
                  member=count, members=_jobs(predictor), place=_place(checkpoints, f"{stage}-prior", 0),
                  team=team.another())


def _steps_of_prior(predictor: Predictor) -> int:
    train = predictor.config.train
    usual = max(1, round(STEPS * train.effort)) if train.steps is None else min(STEPS, train.steps)
    return predictor.tuned.schedule if predictor.tuned else usual


def _epochs(predictor: Predictor, lengths: Sequence[int]) -> int:
    """Epochs of trainings of so many steps, together."""
    return sum(math.ceil(steps / predictor.config.train.epoch_steps) for steps in lengths)


def refit(predictor: Predictor, panel: Panel, *, checkpoints: Checkpoints | None = None, team: Team = ALONE
          ) -> Generator[Epoch, None, Predictor]:
    """The predictor with its members trained on everything in a panel: from the validated weights on, or anew where
    there are few windows. What the fit chose stays: penalties, steps, weights and widths.

    Where a member comes to no number, or to one far from what was validated, all members stay as they were, and
    `kept_back` says why."""
    device = machine.set_up(predictor.config.train.device, predictor.config.train.threads)
    panel, _ = levelled(panel, predictor.plan.season)
    windows = _windows_of(predictor.plan, panel)
    kinds = {(m.units.transform, m.reads_covariates): m.units.covariates for m in predictor.members}
    units = {(t, reads): units_again(predictor, t, panel, like) for (t, reads), like in kinds.items()}
    members = on_forms([replace(m, units=units[m.units.transform, m.reads_covariates]) for m in predictor.members],
                       predictor.plan.season, panel, windows)
    share, place, tuned = _share(windows), f"fitted-{int(panel.lengths.sum())}", predictor.tuned
    lengths = [math.ceil(share * steps) for steps in (*(m.steps for m in members), tuned.steps if tuned else 0)]
    whole = _epochs(predictor, lengths)
    jobs: list[Job[Network] | Job[Prior]] = [
        partial(relearn, Material(replace(m, steps=lengths[k]), panel, windows), replace(
            _course(predictor, k, device, math.ceil(share * (m.schedule or predictor.plan.steps)),
                    place=_place(checkpoints, place, k), team=team), whole=whole),
            validated.network if share < 1 else None)
        for k, (m, validated) in enumerate(zip(members, predictor.members, strict=True))]
    if tuned and predictor.prior:
        course = _course_of_prior(predictor, device, place, checkpoints, team=team)
        course = replace(course, steps=math.ceil(share * course.steps), whole=whole)
        jobs.insert(0, partial(retune, tuned.prior if share < 1 else predictor.prior, _lessons(predictor, panel),
                               course, lengths[-1]))
    results = yield from together(jobs, *_hands(predictor, device))
    networks = [result for result in results if isinstance(result, Network)]
    tuned = next((replace(tuned, prior=result) for result in results if tuned and isinstance(result, Prior)), None)
    refitted = tuple(replace(m, network=n) for m, n in zip(members, networks, strict=True))
    kept_back = "" if all(n.is_finite for n in networks) else "the loss of the final fit came to no number"
    kept_back = kept_back or _has_left(predictor, refitted, panel)
    return replace(predictor, members=predictor.members if kept_back else refitted, kept_back=kept_back,
                   tuned=predictor.tuned if kept_back else tuned, knowledge=Knowledge.of(panel))


def pace(predictor: Predictor, panel: Panel) -> float:
    """About how many seconds a fit will take, by some steps taken now, as many trainings side by side as there will be:
    steps of a network, and of the prior where it is tuned, and the looks at held-out windows between them."""
    plan, train, began = predictor.plan, predictor.config.train, time.monotonic()
    device = machine.set_up(train.device, train.threads)
    looked_at, panel = len(held_out_windows(plan, panel)), panel.drop_last(plan.validation)
    windows = _windows_of(plan, panel)                                  # a step takes longer where there is more past
    if not len(windows) or not plan.steps:
        return 0.0
    member = replace(predictor.members[0], steps=TRIED)
    predictor = replace(predictor, members=(member,) * plan.members)
    workers, threads = _hands(predictor, device)
    jobs: list[Job[Network] | Job[Prior]] = [
        partial(relearn, Material(member, panel, windows), _tried(_course(predictor, k, device, TRIED)))
        for k in range(min(workers, plan.members))]
    look = looked_at / (BACK * min(train.batch, len(windows)) * train.epoch_steps)
    lengths = [plan.steps * (1 + look)] * plan.members
    if predictor.prior and _is_tuned(predictor):
        course = _course_of_prior(predictor, device, "", None)
        lessons = _lessons(predictor, panel)
        jobs = [*jobs[:workers - 1], partial(retune, predictor.prior, lessons, _tried(course), TRIED)]
        look = 2 * min(looked_at, LOOKED_AT) / (BACK * batch_of(len(windows)) * train.epoch_steps)
        lengths.insert(0, course.steps * (1 + look))                    # it begins first
    moments: dict[int, list[float]] = {}                                # by job: at the end of each step
    trying = together(jobs, workers, threads)
    for epoch in trying:
        moments.setdefault(epoch.member, []).append(epoch.seconds)
        enough = len(moments) == len(jobs) and min(map(len, moments.values())) >= LEAST_TRIED
        if enough and time.monotonic() - began > TRYING:
            break
    trying.close()
    step = {k: float(np.quantile(np.diff(ended), QUICK)) for k, ended in moments.items()}   # the first warms up
    prior, networks = step.pop(plan.members, 0.0), list(step.values())
    network = float(np.mean(networks)) if networks else prior
    seconds = [prior] * (len(lengths) - plan.members) + [network] * plan.members
    return _side_by_side([each * steps for each, steps in zip(seconds, lengths, strict=True)], workers)


def _tried(course: Course) -> Course:
    """The course with an epoch for each step."""
    return replace(course, train=replace(course.train, epoch_steps=1))


def _side_by_side(seconds: Sequence[float], workers: int) -> float:
    """How long trainings take together, so many at a time: each begins where a hand is free first."""
    hands = [0.0] * workers
    for one in seconds:
        hands[hands.index(min(hands))] += one
    return float(max(hands))


def _windows_of(plan: Plan, panel: Panel, newest: int | None = None) -> AllWindows:
    return windows_of(panel, horizon=plan.horizon, min_context=plan.min_context, newest=newest)


def held_out_windows(plan: Plan, panel: Panel) -> Windows:
    """The windows to validate by: some of the newest, those with any truth."""
    newest = _windows_of(plan, panel, newest=plan.validation)
    some = newest.take(evenly(len(newest), MOST_VALIDATION))
    return some.take(np.flatnonzero(~np.isnan(targets(panel.truth, some, plan.horizon)).all(axis=1)))


def _trained(member: Member, learned: Learned) -> Member:
    return replace(member, network=learned.network, steps=learned.steps, schedule=learned.schedule,
                   rate_factor=learned.rate_factor, diverged=learned.diverged)


def _jobs(predictor: Predictor) -> int:
    """Trainings of a round: the networks, and the prior where it is tuned; once they are validated, where it was."""
    validated = bool(predictor.validated_networks)
    return len(predictor.members) + (predictor.tuned is not None if validated else _is_tuned(predictor))


def _hands(predictor: Predictor, device: torch.device) -> tuple[int, int]:
    """How many trainings run at a time, on how many threads in all. A GPU is kept busy by one."""
    threads = predictor.config.train.threads or machine.usable_cpus()
    return (min(threads, _jobs(predictor)) if device.type == "cpu" else 1), threads


def _place(checkpoints: Checkpoints | None, stage: str, member: int) -> Place:
    return checkpoints.at(f"{stage}-{member}") if checkpoints else Place()


def _course(predictor: Predictor, k: int, device: torch.device, steps: int, limit: float | None = None,
            place: Place | None = None, team: Team = ALONE) -> Course:
    member, train = predictor.members[k], predictor.config.train
    shape, init, count = member.shape, predictor.config.model.init, _jobs(predictor)
    chrono = init == "chrono" or (init == "auto" and shape.steps >= LONG)
    return Course(train, member.seed, steps, predictor.plan.lr, shape.steps if chrono else None,
                  _limit(predictor, device, limit), device, is_rough(train.precision, shape, device), k, count,
                  place or Place(), team.another())


def _limit(predictor: Predictor, device: torch.device, limit: float | None) -> float | None:
    """Seconds that one training may take, where all of them together have a limit."""
    return limit / math.ceil(_jobs(predictor) / _hands(predictor, device)[0]) if limit else None


def _has_left(predictor: Predictor, refitted: Sequence[Member], panel: Panel) -> str:
    """Why a final fit is not taken, "" where it is: on the newest windows a member errs far more than before it had
    learned from them, or its forecasts lead beyond the history where they did not."""
    held_out = _windows_of(predictor.plan, panel, newest=predictor.plan.validation)
    chosen = held_out.take(evenly(len(held_out), LEAST_WEIGHED))
    ends = panel.take(evenly(len(panel), MOST_WEIGHED)).with_values()[0]
    history, middle = History.of(ends), predictor.quantiles.index(0.5)
    after = replace(predictor, members=tuple(refitted))
    for k, member in enumerate(predictor.members):
        name = part(NETWORK if member.steps else LINEAR, k)
        if name not in predictor.blend.names:
            continue
        errors, strays = [], []
        for forecaster in (predictor, after):
            parts, truth, windows = said_at(forecaster, panel, chosen, [name])
            unit = naive_errors(panel, predictor.plan.season)[windows.series]
            error = np.abs(parts[name][:, :, middle] - truth) / unit[:, None]
            errors.append(float(np.nanmean(error)) if np.any(~np.isnan(error)) else math.nan)
            ahead = forecaster.parts(ends, [name])[0][name][:, :, middle]
            strays.append(silenced(ahead[None], np.empty((0, *ahead.shape)), history, np.full(len(ends), np.inf))[0])
        if errors[1] > WORSE * errors[0]:
            return "the final fit errs more on the newest windows than the networks that had not seen them"
        if np.count_nonzero(strays[1] & ~strays[0]) > STRAY * len(ends):
            return "the final fit leads beyond all that was seen, where the validated networks did not"
    return ""


def _relative_step(panel: Panel) -> float:
    """The median over the series of the mean step between neighbours, relative to the mean value; 0 if unknown."""
    steps, count = finite_sums(np.abs(np.diff(panel.truth, append=np.nan)), panel.first, panel.stop - 1)
    sizes, there = finite_sums(np.abs(panel.truth), panel.first, panel.stop)
    some = (count > 0) & (sizes > 0)
    if not some.any():
        return 0.0
    return float(np.median(steps[some] / count[some] / (sizes[some] / there[some])))
