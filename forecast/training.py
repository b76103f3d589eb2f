"""Training: fit(predictor, panel) yields an Epoch at a time and ends with the predictor on its best weights.

First the closed forms (transformation, linear skip) are chosen on held-out windows, then the network learns what they
leave over, stopping by the same windows; at last both are fitted anew on all the data, for as many steps."""

# W windows  B batch  L context  H horizon  Q quantiles

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from forecast import hardware
from forecast.blending import Blend
from forecast.calibration import widths
from forecast.errors import DataError
from forecast.linear import PENALTIES, ridge, seasonal_weights, with_intercept
from forecast.metrics import seasonal_scale
from forecast.model import RecurrentForecaster, channels, pinball
from forecast.network import Network
from forecast.predictor import EXPERTS, LINEAR, NETWORK, Predictor
from forecast.scaling import TRANSFORMS, normalised, restored
from forecast.series import Floats, Ints, Panel
from forecast.windows import Windows, contexts, targets, windows_of

MOST_VALIDATION = 4_000             # windows looked at after each epoch, spread evenly
LEAST_WEIGHED = 200                 # of them, those by which forecasters are weighed: two a series where they are many,
MOST_WEIGHED = 1_000                # and at most so many, by which bands are widened, too
MOST_RIDGE = 40_000                 # windows behind the linear skip, spread evenly
WARM_UP = 0.1                       # share of the schedule in which the learning rate rises
ALIKE = 1.02                        # a last loss so near to the best one is as good
LONG = 100                          # steps of the cell from which on its memories are set by the context's length
CLOSED_FORMS = ("skip", "offset")   # what is not trained


@dataclass(frozen=True)
class Epoch:
    """One look at the validation windows (stage "train"), or the same number of steps of the final fit."""

    stage: str                      # "train" | "final fit"
    number: int
    of: int
    steps: int                      # training steps so far
    train_loss: float               # mean pinball loss, normalised units; nan before the first step
    valid_loss: float               # nan in the final fit
    best_loss: float
    best_epoch: int
    seconds: float                  # since the start of this stage


def fit(predictor: Predictor, panel: Panel) -> Iterator[Epoch]:
    """Choose, train and (unless train.final_fit is off) refit on everything in the panel, which is never changed.

    Deterministic for a seed, on one kind of machine with as many threads. Without a series that reaches into the newest
    steps there is nothing to choose by: the seasonal naive forecast serves. Raises RequestError where the device asked
    for is not there, DataError for a logarithm of values that are not positive."""
    plan, train = predictor.plan, predictor.config.train
    device = hardware.set_up(train.device, train.threads)
    known = panel.drop_last(plan.validation)
    training, held_out = _windows_of(predictor, known), _windows_of(predictor, panel, newest=plan.validation)
    held_out = held_out.take(_evenly(len(held_out), MOST_VALIDATION))
    known_truth = ~np.isnan(targets(panel.truth, held_out, plan.horizon)).all(axis=1)
    held_out = held_out.take(np.flatnonzero(known_truth))
    _choose_closed_forms(predictor, known, panel, training, held_out)
    if len(training) and len(held_out):
        yield from _learn(predictor, panel, training, held_out, device)
    _weigh(predictor, panel, known, held_out)
    _remember(predictor, panel)
    if train.final_fit:
        yield from refit(predictor, panel)


def refit(predictor: Predictor, panel: Panel) -> Iterator[Epoch]:
    """The choices a fit has made (transformation, penalty, steps, widths) applied anew to everything in a panel."""
    train = predictor.config.train
    device = hardware.set_up(train.device, train.threads)
    windows = _windows_of(predictor, panel)
    if not is_positive(panel):
        predictor.transform = "none"                                    # the newest data may end a choice of log
    _fit_scaler(predictor, panel)
    _fit_skip(predictor, panel, windows)
    yield from _relearn(predictor, panel, windows, device)
    _remember(predictor, panel)


def _windows_of(predictor: Predictor, panel: Panel, newest: int | None = None) -> Windows:
    plan = predictor.plan
    return windows_of(panel, horizon=plan.horizon, min_context=plan.min_context, newest=newest)


def _remember(predictor: Predictor, panel: Panel) -> None:
    """Where each series ended that this model has now seen."""
    predictor.seen = _ends(panel)


def _ends(panel: Panel) -> dict[str, int]:
    """Each series' id and the ordinal just behind its last point."""
    return dict(zip(panel.ids.tolist(), panel.end.tolist(), strict=True))


def is_positive(panel: Panel) -> bool:
    """Whether every known value is above 0; what lies behind the panel's end in its array is not looked at."""
    return bool(np.nanmin(panel.y[panel.points()[1]], initial=np.inf) > 0)


def _evenly(count: int, most: int) -> Ints:
    """At most `most` of `count` positions, spread evenly."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.int64)


def _fit_scaler(predictor: Predictor, panel: Panel) -> None:
    if predictor.config.model.scaling != "window":
        predictor.loc, predictor.scale = predictor.fit_scaler(panel)
        predictor.seen = _ends(panel)


def _windows(predictor: Predictor, panel: Panel, windows: Windows) -> tuple[Floats, Floats, Floats, Floats]:
    """Normalised context (W, L) and target (W, H), NaN where missing, with their loc and scale (W, 1)."""
    forward = TRANSFORMS[predictor.transform][0]
    with np.errstate(all="ignore"):
        context = forward(contexts(panel.y, windows, predictor.plan.context))
        target = forward(targets(panel.truth, windows, predictor.plan.horizon))
    context, target = (np.where(np.isfinite(a), a, np.nan) for a in (context, target))
    loc, scale = predictor.loc_scale(context, panel.ids[windows.series], panel.take(windows.series))
    target = np.where(scale > 0, target, np.nan)                        # a flat context has no unit to say it in
    return normalised(context, loc, scale), normalised(target, loc, scale), loc, scale


def _choose_closed_forms(predictor: Predictor, known: Panel, panel: Panel, training: Windows,
                         held_out: Windows) -> None:
    """Set transformation and penalty of the linear skip to the pair with the least error on the held-out windows.

    Error: absolute, in original units over each series' seasonal naive error (MASE), so transformations compare."""
    asked = predictor.config.model.transform
    positive = is_positive(panel)
    if asked == "log" and not positive:
        raise DataError("some values are not positive and have no logarithm", code="not_positive",
                        hint="Leave model.transform at auto")
    names = (("none", "log") if positive else ("none",)) if asked == "auto" else (asked,)
    unit = _units(predictor, known)[held_out.series]
    truth = targets(panel.truth, held_out, predictor.plan.horizon)
    best = (math.inf, names[0], math.inf)
    for name in names:
        predictor.transform = name
        _fit_scaler(predictor, known)
        candidates = _skips(predictor, known, training)
        context, _, loc, scale = _windows(predictor, panel, held_out)
        design = with_intercept(np.nan_to_num(context))
        for penalty, weights in zip(PENALTIES, candidates, strict=True):
            with np.errstate(over="ignore"):
                forecast = TRANSFORMS[name][1](restored(design @ weights, loc, scale))
            error = np.nanmean(np.abs(forecast - truth), axis=1) / unit if len(truth) else np.empty(0)
            error = error[~np.isnan(error)]
            score = float(np.mean(error)) if len(error) else math.inf
            if score < best[0]:
                best = (score, name, penalty)
    _, predictor.transform, predictor.penalty = best
    _fit_scaler(predictor, known)
    _fit_skip(predictor, known, training)


def _skips(predictor: Predictor, panel: Panel, windows: Windows, penalties: tuple[float, ...] = PENALTIES
           ) -> list[Floats]:
    chosen = windows.take(_evenly(len(windows), MOST_RIDGE))
    context, target, _, _ = _windows(predictor, panel, chosen)
    prior = seasonal_weights(predictor.plan.context, predictor.plan.horizon, predictor.plan.season)
    return ridge(np.nan_to_num(context), target, prior, penalties)


def _fit_skip(predictor: Predictor, panel: Panel, windows: Windows) -> None:
    """Set the skip, and the offsets to the quantiles of its errors."""
    weights, = _skips(predictor, panel, windows, (predictor.penalty,))
    if not predictor.config.model.skip:
        weights = np.zeros_like(weights)
    chosen = windows.take(_evenly(len(windows), MOST_VALIDATION))
    context, target, _, _ = _windows(predictor, panel, chosen)
    error = target - with_intercept(np.nan_to_num(context)) @ weights
    offset = np.zeros_like(predictor.widths)
    if (told := (~np.isnan(error)).any(axis=0)).any():
        offset[told] = np.nanquantile(error[:, told], predictor.quantiles, axis=0).T
    offset = offset - offset[:, [predictor.quantiles.index(0.5)]]
    predictor.network = Network.blank(predictor.network.shape).replace(skip=weights, offset=offset)


@dataclass
class _Loop:
    """Weights, their running average, AdamW's moments and the order of the windows: what one training carries along.

    AdamW (Loshchilov & Hutter 2019) is torch's function: its class imports two seconds of compiler."""

    predictor: Predictor
    panel: Panel
    windows: Windows
    device: torch.device
    total: int                                                          # steps of the schedule
    limit: float | None = None                                          # seconds within which to come to its end

    def __post_init__(self) -> None:
        train = self.predictor.config.train
        torch.manual_seed(train.seed)
        network = self.predictor.network
        model = RecurrentForecaster(network.shape, _memory(self.predictor)).load(network, CLOSED_FORMS)
        self.model = model.to(self.device).train()
        self.average = copy.deepcopy(self.model).eval()
        self.trained: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.means: list[Tensor] = [p for p in self.average.parameters() if p.requires_grad]
        self.moments = [[torch.zeros_like(p) for p in self.trained] for _ in range(2)]
        self.counts = [torch.zeros((), device=self.device) for _ in self.trained]
        self.random, self.queue = np.random.default_rng(train.seed), np.empty(0, dtype=np.int64)
        self.quantiles = torch.tensor(self.predictor.quantiles, dtype=torch.float32, device=self.device)
        self.batch = min(train.batch, len(self.windows))
        self.steps, self.start = 0, time.monotonic()

    def run(self, steps: int) -> float:
        """Take so many steps and give their mean loss; the windows are gathered and normalised once for all of them."""
        train = self.predictor.config.train
        context, target = self._sample(steps)
        losses = []
        for step in range(steps):
            rows = slice(step * self.batch, (step + 1) * self.batch)
            self.model.zero_grad(set_to_none=True)
            loss = pinball(self.model(channels(context[rows])), target[rows], self.quantiles)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.trained, train.clip)
            self._descend(self.predictor.plan.lr * one_cycle(self.progress))
            self.steps += 1
            keep = min(train.averaging, self.steps / (self.steps + 9))  # a short run is not an average of its start
            with torch.no_grad():
                torch._foreach_lerp_(self.means, self.trained, 1 - keep)
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    @property
    def progress(self) -> float:
        """The share of the schedule that is done: of its steps, or of its time where that is shorter."""
        spent = (time.monotonic() - self.start) / self.limit if self.limit else 0.0
        return min(1.0, max(self.steps / self.total, spent))

    def _descend(self, rate: float) -> None:
        gradients = [p.grad for p in self.trained if p.grad is not None]
        first, second = self.moments
        adamw(self.trained, gradients, first, second, [], self.counts, fused=True, amsgrad=False, beta1=0.9,
              beta2=0.999, lr=rate, weight_decay=0.01, eps=1e-8, maximize=False)

    def _sample(self, steps: int) -> tuple[Tensor, Tensor]:
        """Windows for these steps: every window once before any comes again."""
        while len(self.queue) < steps * self.batch:
            self.queue = np.concatenate([self.queue, self.random.permutation(len(self.windows))])
        drawn, self.queue = np.split(self.queue, [steps * self.batch])
        return _tensors(self.predictor, self.panel, self.windows.take(drawn), self.device)


def one_cycle(progress: float) -> float:
    """Share of the highest learning rate: up in the first tenth of the way, then down along a cosine (Smith & Topin
    2018), so that training ends at rest wherever it is told to end."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return max(1e-4, 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _memory(predictor: Predictor) -> float | None:
    """The longest memory for chrono initialisation, in steps of the cell; None for forget bias 1."""
    steps, init = predictor.network.shape.steps, predictor.config.model.init
    return steps if init == "chrono" or (init == "auto" and steps >= LONG) else None


def _tensors(predictor: Predictor, panel: Panel, windows: Windows, device: torch.device) -> tuple[Tensor, Tensor]:
    context, target, _, _ = _windows(predictor, panel, windows)
    return (torch.from_numpy(context.astype(np.float32)).to(device),
            torch.from_numpy(target.astype(np.float32)).to(device))


def _learn(predictor: Predictor, panel: Panel, training: Windows, held_out: Windows,
           device: torch.device) -> Iterator[Epoch]:
    """Train to the end of the schedule, looking at the held-out windows now and then; epoch 0 is the linear skip.

    The averaged weights of the last look stay, unless an earlier one was clearly better: then those do."""
    train, total = predictor.config.train, predictor.plan.steps
    loop = _Loop(predictor, panel, training, device, max(total, 1), train.time_limit)
    context, target = _tensors(predictor, panel, held_out, device)
    epochs = math.ceil(total / train.epoch_steps)
    best_epoch, best_loss, best, skip_loss = 0, math.inf, loop.average.network(), math.inf
    for number in range(epochs + 1):
        train_loss = loop.run(min(train.epoch_steps, total - loop.steps)) if number else math.nan
        with torch.no_grad():
            valid_loss = float(pinball(loop.average(channels(context)), target, loop.quantiles))
        if number == 0:
            skip_loss = valid_loss if predictor.config.model.skip else math.inf
        learned_anyway = number == 1 and math.isinf(skip_loss) and math.isfinite(valid_loss)
        if valid_loss < best_loss or learned_anyway:
            best_epoch, best_loss, best = number, valid_loss, loop.average.network()
            predictor.steps = loop.steps
        done = loop.progress >= 1 and number > 0
        if (done or number == epochs) and best_epoch and valid_loss <= best_loss * ALIKE and valid_loss < skip_loss:
            best_epoch, best_loss = number, valid_loss
            best, predictor.steps = loop.average.network(), loop.steps
        yield Epoch("train", number, epochs, loop.steps, train_loss, valid_loss, best_loss, best_epoch,
                    time.monotonic() - loop.start)
        if done or math.isnan(valid_loss):                              # what has no number comes to none
            break
    predictor.network, predictor.schedule = best, loop.steps
    predictor.validated = best


def _relearn(predictor: Predictor, panel: Panel, windows: Windows, device: torch.device) -> Iterator[Epoch]:
    """As many steps of the same schedule from a fresh start, on all the data."""
    size, validated = predictor.config.train.epoch_steps, predictor.validated
    loop = _Loop(predictor, panel, windows, device, predictor.schedule or predictor.plan.steps)
    epochs = math.ceil(predictor.steps / size)
    for number in range(1, epochs + 1):
        loss = loop.run(min(size, predictor.steps - loop.steps))
        yield Epoch("final fit", number, epochs, loop.steps, loss, math.nan, math.nan, number,
                    time.monotonic() - loop.start)
    if (learned := loop.average.network()).is_finite:
        predictor.network = learned
    elif validated is not None:                                         # it diverged here: the validated one is sound
        predictor.network = validated
    else:
        predictor.steps = 0


def _weigh(predictor: Predictor, panel: Panel, known: Panel, held_out: Windows) -> None:
    """Settle the weights of the forecasters, and the widths of the bands of what they say together, by windows that the
    network has not been trained on."""
    own = NETWORK if predictor.steps else LINEAR
    predictor.blend, predictor.widths = Blend.alone(own), np.ones_like(predictor.widths)
    if predictor.config.model.blend and predictor.config.model.skip:
        names = [own, *([LINEAR] if predictor.steps else []), *EXPERTS]
        few = held_out.take(_evenly(len(held_out), max(LEAST_WEIGHED, min(2 * len(panel), MOST_WEIGHED))))
        parts, truth, windows = _said(predictor, panel, few, names)
        middle, unit = predictor.quantiles.index(0.5), _units(predictor, known)[windows.series]
        errors = np.stack([np.abs(parts[n][:, :, middle] - truth) for n in names]) / unit[:, None]
        independent = len(np.unique(windows.series)) * predictor.plan.validation / predictor.plan.horizon
        predictor.blend = Blend.of(names, errors, panel.ids[windows.series], independent=independent)
    chosen = held_out.take(_evenly(len(held_out), MOST_WEIGHED))
    parts, truth, windows = _said(predictor, panel, chosen, predictor.blend.names)
    predictor.widths = _widths(predictor, predictor.blend.of_parts(parts, panel.ids[windows.series]), truth)


def _said(predictor: Predictor, panel: Panel, windows: Windows, names: Sequence[str]
          ) -> tuple[dict[str, Floats], Floats, Windows]:
    """What each forecaster says at the windows that all can serve, (W, H, Q) each, what came true (W, H), and where."""
    rows = replace(panel, first=windows.first, stop=windows.cut, start=panel.start[windows.series],
                   ids=panel.ids[windows.series])
    rows, _ = rows.with_values()
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


def _units(predictor: Predictor, known: Panel) -> Floats:
    """(S,) each series' seasonal naive error, by which errors of series compare; 1 for all where none has one."""
    unit = seasonal_scale(known.truth, known.first, known.stop, predictor.plan.season)
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, np.nan)
    return unit if np.isfinite(unit).any() else np.ones_like(unit)
