"""Inspection: what the cell of a predictor forgets, lets in and exposes on one series, reading and writing.

Numbers only, in normalised units; words are words.py's, the picture is inside.py's, which past values count is
influence.py's. Times are counted in points of the series, unless they are called steps (of the cell)."""

# W windows  L context  T steps of the encoder  H horizon  U steps of the decoder  D hidden  E = D, or 2 D in both
# directions  R units that the head reads

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.explaining.exposure import Exposure, exposure_of, moves_of
from forecast.explaining.influence import MOST_WINDOWS, Influence, cuts, influence_of, windows_at
from forecast.model.cells import CELLS, Gates, State, Weights, scan
from forecast.model.network import Network
from forecast.model.plan import Plan
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats, Ints
from forecast.series.batch import Batch
from forecast.series.panel import Panel
from forecast.series.windows import contexts, ends_of

REACH = 200                         # steps that a disturbance is followed back
DEEP, RARE = 0.1, 3.0               # a reset lies so far below the usual gate, and so many robust deviations
CHANCE = 0.05                       # that any of the properties seems to open the input gate of a cell it does not
LEAST_R, LEAST_STEPS = 0.3, 12      # a correlation below that says little, of fewer steps nothing
EPSILON = 1e-6                      # of the central differences
REFUSALS = {"fallback:short": "is too short for the model", "seasonal_naive": "has stood still for a whole context",
            "fallback:no_data": "ends in a context without a value",
            "fallback:not_positive": "is not positive, and the model takes logarithms",
            "fallback:not_finite": "gets no finite forecast from the model"}


@dataclass(frozen=True)
class Layer:
    """One layer in one direction over the newest context; or of the decoder over the horizon, where U stands for T."""

    gates: Gates                        # gate -> (T, D), in the order of time
    hidden: Floats                      # (T, D) h, what the layer shows
    seen: NDArray[np.bool_]             # (T,) steps inside the series at which there was something to forget
    half_lives: Floats                  # (D,) points; inf where nothing is forgotten, NaN where no step is seen
    disturbance: Floats | None          # what is left of a disturbance of the memory, by steps since; [0] is 1

    @property
    def keep(self) -> Floats | None:
        """(T, D) what stays of the memory: f, or the GRU's z."""
        return self.gates.get("forget", self.gates.get("update"))

    @property
    def let_in(self) -> Floats | None:
        """(T, D) how far the memory is open for the new: i, or the GRU's 1 - z."""
        return 1 - self.gates["update"] if "update" in self.gates else self.gates.get("input")

    @property
    def expose(self) -> Floats | None:
        """(T, D) how much of the memory is shown: o."""
        return self.gates.get("output")

    @property
    def order(self) -> Ints:
        """Units, the shortest memory first."""
        return np.argsort(self.half_lives, kind="stable")

    def quantile(self, share: float) -> float:
        """Of the half-lives, points; always that of a unit."""
        return float(np.quantile(self.half_lives, share, method="nearest"))


@dataclass(frozen=True)
class Reset:
    """Steps in a row at which the forget gate, averaged over units, falls clearly below its usual level."""

    first: int                          # ordinals of the first and the last point read there
    last: int
    level: float                        # the lowest mean forget gate there
    depth: float                        # how far that is below the usual


@dataclass(frozen=True)
class Driver:
    """A property of the segments that are read, and how the mean input gate goes with it."""

    name: str
    period: int                         # of the season whose phase it is; 0 for others
    r: float                            # correlation; multiple, and so never below 0, for a phase
    limit: float                        # what |r| must exceed to stand out

    @property
    def stands_out(self) -> bool:
        return abs(self.r) > self.limit


@dataclass(frozen=True)
class Inspection:
    """A look at one series. Where the network is not used, `layers` is empty and so is what rests on it."""

    series: str
    plan: Plan                          # with the sizes of the leading member
    cell: str
    first: int                          # ordinal of the oldest point of the context
    y: Floats                           # (L,) the newest context in original units, NaN before the series begins
    forecast: Floats                    # (H, Q) what is forecast from it by all that serve
    influence: Influence
    layers: dict[str, Layer]            # "l0", "l0_reverse", "l1", ...
    decoder: dict[str, Layer] = field(default_factory=dict)             # "l0", ...; empty where the head is flat
    windows: int = 0                    # a segment apart, behind the usual level, the drivers and the exposure
    usual: float | None = None          # median over their steps of the unit-mean forget gate
    resets: tuple[Reset, ...] = ()
    drivers: tuple[Driver, ...] = ()    # the strongest first
    exposure: Exposure | None = None
    attention: Floats | None = None     # (H, T) on the newest context

    @property
    def main(self) -> Layer | None:
        """The last layer's forward direction."""
        return next((v for k, v in reversed(self.layers.items()) if not k.endswith("_reverse")), None)

    @property
    def writes(self) -> Layer | None:
        """The decoder's last layer."""
        return next(reversed(self.decoder.values()), None)


def inspect(predictor: Predictor, panel: Panel) -> Inspection:
    """Look into the predictor on the newest context of a panel of one series, and on windows before it.

    Raises DataError where the predictor would leave the series to a simpler forecast."""
    plan, network, name = predictor.plan_of(predictor.leader), predictor.leader.network, str(panel.ids[0])
    forecast = predictor.predict(panel, plan.horizon)
    source = str(forecast.source[0]) if panel.lengths[0] >= plan.min_context else "fallback:short"
    if source in REFUSALS:
        raise DataError(f"series {name} {REFUSALS[source]}: there is nothing to explain",
                        code="not_served", hint="Choose another series")
    first, y = int(panel.end[0]) - plan.context, contexts(panel.y, ends_of(panel), plan.context)[0]
    influence = influence_of(predictor, panel)
    if not predictor.is_used:
        return Inspection(name, plan, network.shape.cell, first, y, forecast.values[0], influence, {})

    batch = windows_at(predictor, panel, cuts(panel, plan.context, MOST_WINDOWS, plan.segment))
    before = max(0, plan.context - int(panel.lengths[0])) // plan.segment                   # steps before the series
    layers, pool = layers_of(network, batch.take([-1]), before), _pool(network, batch)
    ends = [layer for key, layer in layers.items() if key.startswith(f"l{network.shape.layers - 1}")]
    usual, resets = None, list[Reset]()
    if pool.keep is not None and ends[0].seen.any():
        usual, spans = resets_of(pool.keep[-1], ends[0].seen, pool.keep[:, ends[0].seen].ravel())
        resets = [Reset(first + a * plan.segment, first + b * plan.segment - 1, low, usual - low)
                  for a, b, low in spans]
    decoder, lives = decoder_of(network, batch.take([-1])), np.concatenate([layer.half_lives for layer in ends])
    if decoder:
        written = decoder[f"l{network.shape.layers - 1}"].half_lives
        lives = np.concatenate([written, lives]) if network.shape.attention else written
    classes = classes_of(lives, plan)
    return Inspection(
        name, plan, network.shape.cell, first, y, forecast.values[0], influence, layers, decoder, len(batch), usual,
        tuple(resets),
        () if pool.let_in is None else tuple(drivers_of(pool.let_in, properties_of(batch.context, plan))),
        exposure_of(network, pool.moves, pool.linear, pool.output, classes), pool.attention)


@dataclass(frozen=True)
class _Pool:
    """Of the last layer on many windows; gates averaged over units, forward."""

    keep: Floats | None                 # (W, T)
    let_in: Floats | None               # (W,) at the last step
    output: Floats | None               # (W, U, D) or (W, 1, E) where the head reads
    moves: Floats                       # (W, H, R) of the median forecast by each unit that the head reads
    attention: Floats | None            # (H, T) of the newest window
    linear: Floats                      # (W, H)


def _pool(network: Network, batch: Batch) -> _Pool:
    shape = network.shape
    rows = max(1, 2**22 // (shape.steps * shape.encoded + shape.horizon * (shape.hidden + shape.encoded)))
    looks = [network.look(batch.take(slice(begin, begin + rows)))[1] for begin in range(0, len(batch), rows)]
    last = f"l{shape.layers - 1}"
    layers = [[_layer(gates) for key, gates in seen.gates.items() if key.startswith(last)] for seen in looks]
    weights = looks[-1].attention
    return _Pool(
        keep=_joined([None if forward.keep is None else forward.keep.mean(axis=2) for forward, *_ in layers]),
        let_in=_joined([None if forward.let_in is None else forward.let_in[:, -1].mean(axis=1)
                        for forward, *_ in layers]),
        output=_joined([_layer(seen.decoder[last]).expose if seen.decoder else _at_the_ends(part)
                        for part, seen in zip(layers, looks, strict=True)]),
        moves=np.concatenate([moves_of(network, seen) for seen in looks]),
        attention=None if weights is None else weights[-1], linear=np.concatenate([seen.linear for seen in looks]))


def _layer(gates: Gates) -> Layer:
    return Layer(gates, np.empty(0), np.empty(0, bool), np.empty(0), None)


def _at_the_ends(directions: list[Layer]) -> Floats | None:
    """(W, 1, E) the output gates where each direction ends."""
    shown = [layer.expose[:, -k] for k, layer in enumerate(directions, 1) if layer.expose is not None]
    return np.concatenate(shown, axis=-1)[:, None] if shown else None


def _joined(parts: list[Floats | None]) -> Floats | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


# memory

def layers_of(network: Network, batch: Batch, before: int = 0) -> dict[str, Layer]:
    """Every layer and direction on a batch of one window, whose first `before` steps lie before the series.

    A half-life comes from the gate that keeps, by the mean of its logarithm over steps. The first step meets an empty
    state and has nothing to forget. The RNN has no gate; there, it is how long a disturbance of the unit is felt."""
    shape, result = network.shape, dict[str, Layer]()
    steps = network.read(batch)
    for layer in range(shape.layers):
        outputs = []
        for direction in shape.directions:
            order = slice(None, None, -1 if direction else 1)
            seen = np.arange(shape.steps) >= before
            seen[-1 if direction else before] = False
            one = _walked(network, steps[:, order], network.weights(f"l{layer}{direction}"), seen[order],
                          summarised=layer == shape.layers - 1 and not direction)
            one = replace(one, gates={name: gate[order] for name, gate in one.gates.items()}, hidden=one.hidden[order],
                          seen=seen)
            result[f"l{layer}{direction}"] = one
            outputs.append(one.hidden)
        steps = np.concatenate(outputs, axis=-1)[None]
    return result


def decoder_of(network: Network, batch: Batch) -> dict[str, Layer]:
    """Every layer of the decoder on a batch of one window; {} where there is none. From its first step on there is
    something to forget: what the encoder handed over."""
    result = dict[str, Layer]()
    if network.shape.head == "flat":
        return result
    steps, begun = network.asked(batch), network.look(batch)[1].decoded
    for layer, state in enumerate(begun):
        one = _walked(network, steps, network.weights(f"l{layer}", "decoder"), np.ones(network.shape.ahead, dtype=bool),
                      state, summarised=layer == len(begun) - 1)
        result[f"l{layer}"] = one
        steps = one.hidden[None]
    return result


def _walked(network: Network, x: Floats, weights: Weights, seen: NDArray[np.bool_], state: State | None = None, *,
            summarised: bool) -> Layer:
    """A layer along x (1, T, I), in the order it walks; how a disturbance fades where that is asked for or needed."""
    shape, gain, by_unit = network.shape, None, np.empty((0, 0))
    hidden, _, gates = scan(shape.cell, x, weights, state)
    one = Layer({name: gate[0] for name, gate in gates.items()}, hidden[0], seen, np.empty(0), None)
    if one.keep is None or summarised:
        gain, by_unit = disturbance(shape.cell, x[0], weights, int(seen.sum()), state)
    half_lives = half_lives_of(one.keep[seen]) if one.keep is not None else np.array(
        [fading(unit) if seen.any() else math.nan for unit in by_unit.T])
    return replace(one, half_lives=half_lives * shape.segment, disturbance=gain)


def half_lives_of(keep: Floats) -> Floats:
    """(D,) steps until half is left, from what is kept at each step (T, D): ln 0.5 / mean ln f, n for f = 2^(-1/n)."""
    if not len(keep):
        return np.full(keep.shape[1], np.nan)
    with np.errstate(divide="ignore"):
        rate = np.log(keep).mean(axis=0)
    return np.where(rate < 0, math.log(0.5) / np.where(rate < 0, rate, 1.0), np.inf)


def disturbance(name: str, x: Floats, weights: Weights, reach: int, first: State | None = None
                ) -> tuple[Floats, Floats]:
    """What is left at the last step of a disturbance of the memory made some steps before: (N + 1,) of one in a random
    direction, (N + 1, D) of one of each unit, up to N = `reach` steps before. `first`: the state, if not 0.

    It is the norm of the product of the Jacobians of the steps between (Pascanu et al. 2013), taken by central
    differences; the RNN's are diag(1 - h^2) U. x (T, I) in the order the cell walks. The memory, disturbed there and
    measured here, is c, or h where there is no c."""
    cell, d = CELLS[name], weights.u.shape[1]
    size = cell.states * d
    a = x @ weights.w.T + weights.b                                     # (T, G*D)
    nudges = np.concatenate([np.eye(size), -np.eye(size)]) * EPSILON

    def step(t: int, rows: Floats) -> Floats:
        state = tuple(rows[:, k * d:(k + 1) * d] for k in range(cell.states))
        return np.concatenate(cell.step(a[t:t + 1], state, weights)[0], axis=1)

    state = np.zeros((1, size)) if first is None else np.concatenate(first, axis=1)
    jacobians = list[Floats]()
    for t in range(len(x)):
        if t >= len(x) - min(reach, REACH):
            after = step(t, state + nudges)
            jacobians.append((after[:size] - after[size:]) / (2 * EPSILON))                 # row: from, column: to
        state = step(t, state)
    product, units = np.eye(size), [np.ones(d)]
    for jacobian in reversed(jacobians):
        product = jacobian @ product
        units.append(np.linalg.norm(product[-d:, -d:], axis=1))
    by_unit = np.stack(units)
    return np.sqrt((by_unit ** 2).mean(axis=1)), by_unit


def fading(gain: Floats) -> float:
    """Steps until a curve that begins at 1 is below a half for good, its logarithm taken as straight between steps;
    inf where it never is."""
    k = int(np.flatnonzero(gain >= 0.5)[-1])
    if k == len(gain) - 1:
        return math.inf
    with np.errstate(divide="ignore"):
        high, low = np.log2(gain[k:k + 2])
    return k + float((high + 1) / (high - low))


def bounds_of(plan: Plan) -> tuple[float, float]:
    """Points: a memory is short below half the main season, long beyond two of the longest; without a season, below
    an eighth and beyond a half of the context."""
    if plan.seasons == (1,):
        return plan.context / 8, plan.context / 2
    return plan.season / 2, 2.0 * max(plan.seasons)


def names_of(plan: Plan) -> tuple[str, str, str]:
    """What the three classes of memory are called."""
    return ("short", "middle", "long") if plan.seasons == (1,) else ("short", "seasonal", "long")


def classes_of(half_lives: Floats, plan: Plan) -> Ints:
    """(E,) 0, 1 or 2: short, seasonal or long; -1 where a single step of the cell tells of no memory."""
    short, long = bounds_of(plan)
    return np.where(np.isnan(half_lives), -1, np.where(half_lives < short, 0, np.where(half_lives > long, 2, 1)))


def resets_of(keep: Floats, seen: NDArray[np.bool_], pool: Floats) -> tuple[float, list[tuple[int, int, float]]]:
    """The usual level, and the spans of steps [a, b) that lie clearly below it, with the lowest value of each.

    keep (T,) unit-mean gate of the newest context; pool (N,) the same of many. Clearly: by DEEP, and by RARE robust
    standard deviations (1.4826 median absolute deviations)."""
    level = float(np.median(pool))
    spread = 1.4826 * float(np.median(np.abs(pool - level)))
    low = (keep < level - max(RARE * spread, DEEP)) & seen
    edges = np.flatnonzero(np.diff(np.pad(low.astype(np.int8), 1)))
    return level, [(int(a), int(b), float(keep[a:b].min())) for a, b in zip(edges[::2], edges[1::2], strict=True)]


# what opens the input gate

def properties_of(z: Floats, plan: Plan) -> dict[tuple[str, int], Floats]:
    """(name, period) -> (W, 1), or (W, 2) for the phase in a season: of the last segment of each context.

    z (W, L) normalised, a segment apart, so that each window has one segment that the one before has not."""
    segments = z.reshape(len(z), -1, plan.segment)                      # (W, T, segment)
    last, before = segments[:, -1], segments[:, max(-2, -segments.shape[1])]
    level = _mean(last)
    change = level - _mean(before)
    properties = {"level": level, "spread": np.sqrt(_mean((last - level[:, None]) ** 2)), "change": change,
             "size of the change": np.abs(change), "share of missing values": np.isnan(last).mean(axis=1)}
    if longest := max((m for m in plan.seasons if m > 1 and m + plan.segment <= plan.context), default=0):
        properties["distance from a season ago"] = _mean(np.abs(last - z[:, -plan.segment - longest:-longest]))
    named = {(name, 0): values[:, None] for name, values in properties.items()}
    angles = {m: 2 * np.pi * np.arange(len(z)) * plan.segment / m for m in plan.seasons if m > 2 * plan.segment}
    return named | {("phase", m): np.stack([np.cos(angle), np.sin(angle)], axis=1) for m, angle in angles.items()}


def _mean(values: Floats) -> Floats:
    """Over the last axis, of what is there; NaN of nothing."""
    count = (~np.isnan(values)).sum(axis=-1)
    return np.asarray(np.nansum(values, axis=-1) / np.where(count > 0, count, np.nan))


def drivers_of(gate: Floats, properties: dict[tuple[str, int], Floats]) -> list[Driver]:
    """How the gate (W,) goes with each property, the strongest first.

    Steps in a row resemble each other: their number is cut to that of independent ones, by the autocorrelations of
    both (Bartlett 1935). The limit is that of all properties together (Bonferroni), by Fisher's z."""
    drivers = []
    for (name, period), values in properties.items():
        known = ~np.isnan(values).any(axis=1)
        y, x = gate[known], values[known]
        if len(y) < LEAST_STEPS or y.std() < 1e-9 or (x.std(axis=0) < 1e-9).any():
            continue
        y, x = (y - y.mean()) / y.std(), (x - x.mean(axis=0)) / x.std(axis=0)
        weights = np.linalg.lstsq(x, y, rcond=None)[0]
        r = min(1.0, float(np.sqrt(np.mean((x @ weights) ** 2))))
        alike = float(np.mean(y[1:] * y[:-1]) * np.mean(x[1:] * x[:-1]))
        count = len(y) * min(1.0, (1 - alike) / (1 + alike))
        drivers.append(Driver(name, period, r if period else math.copysign(r, float(weights[0])),
                            _limit(count, len(properties), degrees=x.shape[1])))
    return sorted(drivers, key=lambda driver: -abs(driver.r))


def _limit(count: float, tests: int, degrees: int) -> float:
    """The |r| of `count` independent steps that chance exceeds in CHANCE of the times, in any of so many tests."""
    if count <= 4:
        return 1.0
    p = CHANCE / tests
    deviance = NormalDist().inv_cdf(1 - p / 2) ** 2 if degrees == 1 else -2 * math.log(p)   # chi-squared, 1 or 2
    return max(LEAST_R, math.tanh(math.sqrt(deviance / (count - 3))))
