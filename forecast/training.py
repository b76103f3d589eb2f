"""Training: fit(predictor, panel) yields an Epoch at a time and ends with the predictor on its best weights.

First the closed forms (linear skip, spread of its errors) are set for each transformation, then the members' networks
learn what they leave over, looking at held-out windows; the same windows say how much each member and each expert
weighs, and how wide the bands are; at last all networks are fitted anew on all the data, for as many steps."""

# W windows  L context  H horizon  Q quantiles

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch

from forecast import hardware
from forecast.blending import Blend
from forecast.calibration import mean_factor, widths
from forecast.checkpoint import Checkpoints, Place
from forecast.errors import DataError, ModelError
from forecast.guard import History, silenced
from forecast.levels import levelled
from forecast.loop import Course, Epoch, Learned, Material, learn, relearn, together
from forecast.metrics import finite_sums, seasonal_scale
from forecast.model import is_rough
from forecast.network import Network
from forecast.predictor import EXPERTS, LINEAR, NETWORK, SIMPLE, Member, Predictor, part, reach, shape_of
from forecast.scaling import TRANSFORMS, Units
from forecast.series import Floats, Ints, Panel, Windows
from forecast.skip import PENALTIES, design, linear, ridge, seasonal_weights
from forecast.windows import AllWindows, targets, windows_of

MOST_VALIDATION = 4_000             # windows looked at after each epoch, spread evenly
LEAST_WEIGHED = 200                 # of them, those by which forecasters are weighed: two a series where they are many,
MOST_WEIGHED = 1_000                # and at most so many, by which bands are widened, too
MOST_RIDGE = 40_000                 # windows behind the linear skip, spread evenly
CACHED = 200_000                    # values looked at together, so that they stay in the processor's cache
MOST_ASKED = 5_000                  # series from which on the experts, who take 2 ms for each, are not asked
WORSE = 1.5                         # times the validated members' error: a final fit that errs so much is not taken,
STRAY = 0.02                        # nor one that leads beyond the history in so many of the series where they did not
SHORTER = 0.25                      # of the usual steps, where a training goes on from another run
LONG = 100                          # steps of the cell from which on its memories are set by the context's length
Kind = tuple[str, bool, int]


@dataclass(frozen=True)
class Start:
    """Another run's networks, from which a training goes on, in a quarter of the steps: those it validated for what is
    to be validated, its final ones for the final fit. By what each is upon: transformation, with a skip or without it,
    and which of these. What they have learned from, what goes on from them has, too: `taught` and `seen`."""

    validated: Mapping[Kind, Network]
    final: Mapping[Kind, Network]
    taught: Mapping[str, int]
    seen: Mapping[str, int]

    @classmethod
    def of(cls, older: Predictor, predictor: Predictor, panel: Panel) -> Start:
        """For a fit of `predictor` on this panel by a run read with its validated networks. Raises ModelError where
        they are of another shape, came to nothing, or have learned from what this fit is to be validated on."""
        theirs, shape = asdict(older.members[0].network.shape), asdict(shape_of(predictor.config, predictor.plan))
        if other := [f"{name} {theirs[name]}, not {size}" for name, size in shape.items() if theirs[name] != size]:
            raise ModelError(f"its networks are of another shape ({'; '.join(other)})", code="shape")
        known = panel.drop_last(predictor.plan.validation)
        if (reach(older.taught, known) > known.newest).any():
            raise ModelError("it has learned from what this training is to be validated on", code="has_seen")
        kinds = _kinds(older.members)
        trained = [k for k, m in enumerate(older.members) if m.steps]
        if not trained:
            raise ModelError("none of its networks bettered the linear skip", code="shape")
        return cls({kinds[k]: older.validated[k] for k in trained},
                   {kinds[k]: older.members[k].network for k in trained}, older.taught, older.seen)

    def count(self, predictor: Predictor) -> int:
        """How many members of a fitted predictor have gone on from one of these."""
        return sum(origin is not None for origin in _origins(predictor.members, self.validated))

    def for_all_of(self, panel: Panel) -> Mapping[Kind, Network]:
        """Those for a final fit: the final ones, unless they have seen more than there is here."""
        return self.validated if (reach(self.seen, panel) > panel.newest).any() else self.final

    def share(self, members: int) -> float:
        """About which part of the usual steps so many members will take."""
        return 1 - (1 - SHORTER) * min(1.0, len(self.validated) / members)


def _kinds(members: Sequence[Member]) -> list[Kind]:
    alike = [(m.units.transform, m.skip) for m in members]
    return [(*kind, alike[:k].count(kind)) for k, kind in enumerate(alike)]


def _origins(members: Sequence[Member], networks: Mapping[Kind, Network]) -> list[Network | None]:
    return [networks.get(kind) for kind in _kinds(members)]


def fit(predictor: Predictor, panel: Panel, *, rounds: int = 2, checkpoints: Checkpoints | None = None,
        start: Start | None = None) -> Iterator[Epoch]:
    """Choose, train and (unless train.final_fit is off) refit on everything in the panel, which is never changed.

    `rounds` trainings of all members are to fit into train.time_limit. What `checkpoints` hold of an interrupted fit on
    the same panel is gone on from, to the bit. Deterministic for a seed, on one kind of machine
    with as many threads. Without a series that reaches into the newest steps there is nothing to choose by: the
    seasonal naive forecast serves. Raises RequestError where the device or the precision asked for is not
    there, DataError for a logarithm of values that are not positive."""
    plan, config = predictor.plan, predictor.config
    device = hardware.set_up(config.train.device, config.train.threads)
    panel, _ = levelled(panel, plan.season)
    known = panel.drop_last(plan.validation)
    training, newest = _windows_of(predictor, known), _windows_of(predictor, panel, newest=plan.validation)
    held_out = newest.take(_evenly(len(newest), MOST_VALIDATION))
    known_truth = ~np.isnan(targets(panel.truth, held_out, plan.horizon)).all(axis=1)
    held_out = held_out.take(np.flatnonzero(known_truth))
    predictor.members = tuple(_blanks(predictor, known, panel, training, held_out))
    if len(training) and len(held_out):
        origins, fewer = _origins(predictor.members, start.validated if start else {}), math.ceil(SHORTER * plan.steps)
        jobs = [partial(learn, m.network, _material(predictor, m.units, known, training),
                        _material(predictor, m.units, panel, held_out),
                        _course(predictor, k, device, fewer if origin else plan.steps, rounds,
                                _place(checkpoints, "validated", k)), skip=m.skip, origin=origin)
                for k, (m, origin) in enumerate(zip(predictor.members, origins, strict=True))]
        learned = yield from together(jobs, *_hands(predictor, device))
        predictor.members = tuple(_taught(m, found) for m, found in zip(predictor.members, learned, strict=True))
    _weigh(predictor, panel, known, held_out)
    predictor.usual_step = _usual_step(known)
    predictor.seen, predictor.taught = _ends(panel), _ends(known)
    if start:
        own = {i: max(end, start.taught.get(i, end)) for i, end in predictor.taught.items()}
        gone = {} if known.calendar.is_time else start.seen             # on a calendar, the newest of all tells
        predictor.taught = {**start.taught, **gone, **own}
    predictor.validated = tuple(m.network for m in predictor.members)
    if config.train.final_fit:
        yield from refit(predictor, panel, checkpoints=checkpoints, start=start)


def refit(predictor: Predictor, panel: Panel, *, checkpoints: Checkpoints | None = None, start: Start | None = None
          ) -> Iterator[Epoch]:
    """The choices a fit has made (penalties, steps, weights, widths) applied anew to everything in a panel.

    Where a member's training diverges here, or ends in a member that has left what was validated, all stay as they
    were validated: `predictor.kept_back` says why."""
    device = hardware.set_up(predictor.config.train.device, predictor.config.train.threads)
    panel, _ = levelled(panel, predictor.plan.season)
    windows = _windows_of(predictor, panel)
    units = {t: _units_of(predictor, t, panel) for t in {m.units.transform for m in predictor.members}}
    blanks = _on_forms(predictor, predictor.members, units, panel, windows, {})
    origins = _origins(blanks, start.for_all_of(panel) if start else {})
    jobs = [partial(relearn, m.network, _material(predictor, m.units, panel, windows),
                    _course(predictor, k, device, m.schedule or predictor.plan.steps,
                            place=_place(checkpoints, f"fitted-{int(panel.lengths.sum())}", k)),
                    m.steps, m.rate, origin=origins[k])
            for k, m in enumerate(blanks)]
    networks = yield from together(jobs, *_hands(predictor, device))
    refitted = tuple(replace(m, network=n) for m, n in zip(blanks, networks, strict=True))
    predictor.kept_back = "" if all(n.is_finite for n in networks) else "the loss of the final fit came to no number"
    predictor.kept_back = predictor.kept_back or _has_left(predictor, refitted, panel)
    if not predictor.kept_back:
        predictor.members = refitted
    predictor.seen = _ends(panel)


def _has_left(predictor: Predictor, refitted: Sequence[Member], panel: Panel) -> str:
    """Why a final fit cannot be taken, "" where it can: on the newest windows, which it has learned from, one of its
    members errs far more than it did before it knew them; or it leads beyond the history where it did not."""
    held_out = _windows_of(predictor, panel, newest=predictor.plan.validation)
    chosen = held_out.take(_evenly(len(held_out), LEAST_WEIGHED))
    ends = panel.take(_evenly(len(panel), MOST_WEIGHED)).with_values()[0]
    history, middle = History.of(ends), predictor.quantiles.index(0.5)
    after = replace(predictor, members=tuple(refitted))
    for k, member in enumerate(predictor.members):
        names = [part(NETWORK, k)] if member.steps else [part(LINEAR, k)]
        if not set(names) & set(predictor.blend.names):
            continue
        sizes, left = [], []
        for who in (predictor, after):
            parts, truth, windows = _said(who, panel, chosen, names)
            unit = _naive_errors(predictor, panel)[windows.series]
            error = np.abs(parts[names[0]][:, :, middle] - truth) / unit[:, None]
            sizes.append(float(np.nanmean(error)) if np.any(~np.isnan(error)) else math.nan)
            ahead = who.parts(ends, names)[0][names[0]][:, :, middle]
            left.append(silenced(ahead[None], np.empty((0, *ahead.shape)), history, np.full(len(ends), np.inf))[0])
        if sizes[1] > WORSE * sizes[0]:
            return "the final fit errs more on the newest windows than the networks that had not seen them"
        if np.count_nonzero(left[1] & ~left[0]) > STRAY * len(ends):
            return "the final fit leads beyond all that was seen, where the validated networks did not"
    return ""


def _usual_step(panel: Panel) -> float:
    """The median over the series of the mean step between neighbours, relative to the mean value; 0 if unknown."""
    steps, count = finite_sums(np.abs(np.diff(panel.truth, append=np.nan)), panel.first, panel.stop - 1)
    sizes, there = finite_sums(np.abs(panel.truth), panel.first, panel.stop)
    some = (count > 0) & (sizes > 0)
    if not some.any():
        return 0.0
    return float(np.median(steps[some] / count[some] / (sizes[some] / there[some])))


def pace(predictor: Predictor, panel: Panel) -> float:
    """About how many seconds one round of training all members will take, by some steps taken now, as many networks
    side by side as there will be."""
    plan, steps = predictor.plan, 4
    device = hardware.set_up(predictor.config.train.device, predictor.config.train.threads)
    windows = _windows_of(predictor, panel)
    if not len(windows) or not plan.steps:
        return 0.0
    predictor.members = predictor.members[:1] * plan.members
    workers, threads = _hands(predictor, device)
    course = _course(predictor, 0, device, steps)
    course = replace(course, train=replace(course.train, epoch_steps=1))
    material = _material(predictor, predictor.members[0].units, panel, windows)
    jobs = [partial(relearn, predictor.members[0].network, material, course, steps)] * workers
    ended = np.zeros(steps)
    for epoch in together(jobs, workers, threads):
        ended[epoch.number - 1] = max(ended[epoch.number - 1], epoch.seconds)
    seconds = (ended[-1] - ended[0]) / (steps - 1)                      # the first step warms up
    return float(seconds * plan.steps * math.ceil(plan.members / workers))


def _hands(predictor: Predictor, device: torch.device) -> tuple[int, int]:
    """How many networks are trained at a time, on how many threads in all. A GPU is kept busy by one."""
    threads = predictor.config.train.threads or hardware.usable_cpus()
    return (min(threads, len(predictor.members)) if device.type == "cpu" else 1), threads


def _place(checkpoints: Checkpoints | None, stage: str, member: int) -> Place:
    return checkpoints.at(f"{stage}-{member}") if checkpoints else Place()


def _course(predictor: Predictor, k: int, device: torch.device, steps: int, rounds: int | None = None,
            place: Place | None = None) -> Course:
    member, train = predictor.members[k], predictor.config.train
    shape, init, count = member.network.shape, predictor.config.model.init, len(predictor.members)
    chrono = init == "chrono" or (init == "auto" and shape.steps >= LONG)
    workers, _ = _hands(predictor, device)
    limit = train.time_limit / rounds / math.ceil(count / workers) if train.time_limit and rounds else None
    return Course(train, member.seed, steps, predictor.plan.lr, shape.steps if chrono else None, limit, device,
                  is_rough(train.precision, shape, device), k, count, place or Place())


def _taught(member: Member, learned: Learned) -> Member:
    return replace(member, network=learned.network, steps=learned.steps, schedule=learned.schedule,
                   rate=learned.rate, diverged=learned.diverged)


def _windows_of(predictor: Predictor, panel: Panel, newest: int | None = None) -> AllWindows:
    plan = predictor.plan
    return windows_of(panel, horizon=plan.horizon, min_context=plan.min_context, newest=newest)


def _material(predictor: Predictor, units: Units, panel: Panel, windows: Windows | AllWindows) -> Material:
    return Material(panel, windows, units, predictor.plan.context, predictor.plan.horizon)


def _ends(panel: Panel) -> dict[str, int]:
    """The ordinal just behind the last point of each series."""
    return dict(zip(panel.ids.tolist(), np.minimum(panel.end, panel.newest).tolist(), strict=True))


def is_positive(panel: Panel) -> bool:
    """Whether every known value is above 0; what lies behind the panel's end in its array is not looked at."""
    others = np.flatnonzero(panel.y <= 0)
    return not bool(np.any(np.searchsorted(others, panel.stop) > np.searchsorted(others, panel.first)))


def _evenly(count: int, most: int) -> Ints:
    """At most `most` of `count` positions, spread evenly."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.int64)


def _units_of(predictor: Predictor, transform: str, panel: Panel) -> Units:
    """Units fitted on a panel. Newer data may end a choice of log."""
    if transform == "log" and not is_positive(panel):
        transform = "none"
    return Units.of(transform, predictor.config.model.scaling, predictor.plan.season, panel)


def _blanks(predictor: Predictor, known: Panel, panel: Panel, training: AllWindows, held_out: Windows
            ) -> list[Member]:
    """The members before they are trained: on the closed forms of each transformation, the better one first, with and
    without the linear skip, and then again with another seed."""
    model, train = predictor.config.model, predictor.config.train
    blank = Network.blank(shape_of(predictor.config, predictor.plan))
    forms = _closed_forms(predictor, known, panel, training, held_out)
    kinds = [Member(blank, form.units, skip, penalty=form.penalty)
             for form in forms for skip in ((True, False) if model.skip else (False,))]
    members = [replace(kinds[k % len(kinds)], seed=train.seed + k) for k in range(predictor.plan.members)]
    weights = {(form.units.transform, form.penalty): form.weights for form in forms}
    units = {form.units.transform: form.units for form in forms}
    return _on_forms(predictor, members, units, known, training, weights)


@dataclass(frozen=True)
class _Form:
    """A transformation with its linear skip."""

    units: Units
    penalty: float
    weights: Floats                     # (L + 1, H)
    score: float                        # error on the held-out windows


def _closed_forms(predictor: Predictor, known: Panel, panel: Panel, training: AllWindows, held_out: Windows
                  ) -> list[_Form]:
    """Each transformation with the penalty of its linear skip that has the least error on the held-out windows; the
    transformation with the least error first.

    Error: absolute, in original units over each series' seasonal naive error (MASE), so transformations compare."""
    asked = predictor.config.model.transform
    positive = is_positive(panel)
    if asked == "log" and not positive:
        raise DataError("some values are not positive and have no logarithm", code="not_positive",
                        hint="Leave model.transform at auto")
    names = (("none", "log") if positive else ("none",)) if asked == "auto" else (asked,)
    unit = _naive_errors(predictor, known)[held_out.series]
    truth = targets(panel.truth, held_out, predictor.plan.horizon)
    found = []
    for name in names:
        units = _units_of(predictor, name, known)
        candidates = _skips(predictor, _material(predictor, units, known, training))
        batch = _material(predictor, units, panel, held_out).batch()
        read, scores = design(batch), []
        for weights in candidates:
            forecast = units.restored(linear(read, weights), batch)
            error = np.nanmean(np.abs(forecast - truth), axis=1) / unit if len(truth) else np.empty(0)
            error = error[~np.isnan(error)]
            scores.append(float(np.mean(error)) if len(error) else math.inf)
        best = int(np.argmin(scores)) if np.isfinite(scores).any() else len(PENALTIES) - 1
        found.append(_Form(units, PENALTIES[best], candidates[best], scores[best]))
    return sorted(found, key=lambda form: form.score)


def _skips(predictor: Predictor, material: Material, penalties: tuple[float, ...] = PENALTIES) -> list[Floats]:
    batch = material.take(_evenly(len(material.windows), MOST_RIDGE)).batch()
    prior = seasonal_weights(predictor.plan.context, predictor.plan.horizon, predictor.plan.season)
    return ridge(batch, prior, penalties)


def _on_forms(predictor: Predictor, members: Sequence[Member], units: Mapping[str, Units], panel: Panel,
              windows: AllWindows, weights: Mapping[tuple[str, float], Floats]) -> list[Member]:
    """The members with blank networks but for the skip and the quantiles of its errors.

    units: those fitted on the panel in place of each transformation · weights: linear skips by transformation and
    penalty, where they are known; the others are computed."""
    known = dict(weights)
    all_of = {t: _material(predictor, u, panel, windows) for t, u in units.items()}
    few = _evenly(len(windows), MOST_VALIDATION)
    batches = {t: material.take(few).batch() for t, material in all_of.items()}
    blanks = []
    for member in members:
        shape, key = member.network.shape, (member.units.transform, member.penalty)
        if member.skip and key not in known:
            known[key], = _skips(predictor, all_of[key[0]], (member.penalty,))
        skip = known[key] if member.skip else np.zeros((shape.context + 1, shape.horizon))
        batch = batches[key[0]]
        offset = _offset(batch.target - linear(design(batch), skip), predictor.quantiles)
        blanks.append(replace(member, units=units[key[0]],
                              network=Network.blank(shape).replace(skip=skip, offset=offset)))
    return blanks


def _offset(error: Floats, quantiles: tuple[float, ...]) -> Floats:
    """(H, Q) quantiles of errors (W, H) around their median; 0 where none is known."""
    offset = np.zeros((error.shape[1], len(quantiles)))
    if (told := (~np.isnan(error)).any(axis=0)).any():
        offset[told] = np.nanquantile(error[:, told], quantiles, axis=0).T
    return np.asarray(offset - offset[:, [quantiles.index(0.5)]])


def _weigh(predictor: Predictor, panel: Panel, known: Panel, held_out: Windows) -> None:
    """Settle the weights of the forecasters, and the widths of the bands of what they say together, by windows that the
    networks have not been trained on."""
    config, members = predictor.config, predictor.members
    names = [part(NETWORK, k) for k, m in enumerate(members) if m.steps] or [part(LINEAR, 0)]
    predictor.blend, predictor.widths = Blend.alone(names[0]), np.ones_like(predictor.widths)
    if config.model.blend and config.model.skip:
        skips = {m.units.transform: part(LINEAR, k) for k, m in reversed(list(enumerate(members))) if m.skip}
        names = list(dict.fromkeys([*names, *skips.values(), *(EXPERTS if len(panel) <= MOST_ASKED else SIMPLE)]))
        few = held_out.take(_evenly(len(held_out), max(LEAST_WEIGHED, min(2 * len(panel), MOST_WEIGHED))))
        parts, truth, windows = _said(predictor, panel, few, names)
        middle, unit = predictor.quantiles.index(0.5), _naive_errors(predictor, known)[windows.series]
        errors = _both_errors(np.stack([parts[n][:, :, middle] for n in names]), truth, unit[:, None])
        independent = len(np.unique(windows.series)) * predictor.plan.validation / predictor.plan.horizon
        predictor.blend = Blend.of(names, errors, panel.ids[windows.series], independent=independent)
    chosen = held_out.take(_evenly(len(held_out), MOST_WEIGHED))
    parts, truth, windows = _said(predictor, panel, chosen, predictor.blend.names)
    values = predictor.blended(parts, panel.at(windows))
    if config.model.conformal:
        predictor.widths = _widths(predictor, values, truth)
    predictor.mean_factor = mean_factor(predictor.widened(values), truth,
                                        _naive_errors(predictor, known)[windows.series], predictor.quantiles)


def _both_errors(forecast: Floats, truth: Floats, unit: Floats) -> Floats:
    """Absolute errors in units of seasonal naive's (as MASE) and relative to the values (as sMAPE), each over its mean:
    a series near zero counts in the second, one that is easy to forecast in the first. Where the truth is 0, whatever
    else is said is wrong by 200 %, and the first alone counts. (M, W, H), (W, H), (W, 1)."""
    size = np.abs(forecast - truth)
    relative = size / np.maximum(np.abs(forecast) + np.abs(truth), np.finfo(float).tiny)
    relative[:, truth == 0] = np.nan
    scaled, relative = _over_mean(size / unit), _over_mean(relative)
    return scaled + np.where(truth == 0, scaled, relative)


def _over_mean(errors: Floats) -> Floats:
    """(M, W, H) over the mean, over windows and steps, of what the forecasters usually err there; over the mean of all
    where most of them are exact everywhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)                 # without any truth there is no error
        usual = float(np.nanmean(np.nanmedian(errors, axis=0))) or float(np.nanmean(errors)) or 1.0
        return np.asarray(errors / usual)


def _said(predictor: Predictor, panel: Panel, windows: Windows, names: Sequence[str]
          ) -> tuple[dict[str, Floats], Floats, Windows]:
    """What each forecaster says at the windows that all can serve, (W, H, Q) each, what came true (W, H), and where."""
    rows, _ = panel.at(windows).with_values()
    if len(rows) < len(windows):
        windows = windows.take(np.flatnonzero(np.isin(windows.cut, rows.stop)))
    parts, able = predictor.parts(rows, names)
    served = np.flatnonzero((able == "") & np.all([np.isfinite(parts[n]).all(axis=(1, 2)) for n in names], axis=0))
    truth = targets(panel.truth, windows.take(served), predictor.plan.horizon)
    return {n: parts[n][served] for n in names}, truth, windows.take(served)


def _widths(predictor: Predictor, values: Floats, truth: Floats) -> Floats:
    """Factors (H, Q) in the units the model thinks in; values (W, H, Q), truth (W, H)."""
    forward = TRANSFORMS[predictor.transform][0]
    fits = np.all(values > 0, axis=(1, 2)) if predictor.transform == "log" else np.ones(len(values), dtype=bool)
    with np.errstate(all="ignore"):
        return widths(forward(values[fits]), forward(truth[fits]), predictor.quantiles)


def _naive_errors(predictor: Predictor, known: Panel) -> Floats:
    """(S,) each series' seasonal naive error, by which errors of series compare; 1 for all where none has one."""
    unit, size = np.full(len(known), np.nan), max(1, CACHED // max(1, int(known.lengths.max(initial=0))))
    for begin in range(0, len(known), size):
        first, stop = known.first[begin:begin + size], known.stop[begin:begin + size]
        low, high = first.min(), stop.max()
        unit[begin:begin + size] = seasonal_scale(known.truth[low:high], first - low, stop - low,
                                                  predictor.plan.season)
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)
    return unit if np.isfinite(unit).any() else np.ones_like(unit)
