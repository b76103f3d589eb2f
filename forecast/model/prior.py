"""The prior: a network trained on synthetic series alone, which forecasts any series at once. On numpy, in float64.

    h = LSTM(points)    f = W_o relu(W_m relu(W_q query + W_h h + b_q) + b_m) + b_o,   one query a step of the horizon

f are quantiles upon the seasonal naive forecast, in units of a series' mean step from season to season. What it was
trained on is training/world.py; what it sees of a series, sight.py. Its weights come with the program; a run keeps
those it was made with."""

# B series  N points  T steps  D hidden  H horizon  Q quantiles

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import NormalDist

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from forecast.errors import ForecastError
from forecast.model.cells import Weights
from forecast.model.sight import GROUP, OWN, POINT, QUERY, Sight, look, points_read, reach
from forecast.model.walk import Walk
from forecast.series.arrays import Floats
from forecast.series.panel import Panel
from forecast.series.units import without_absurd
from forecast.series.windows import contexts, ends_of

PRIOR, TUNED = "prior", "tuned_prior"       # names among the forecasters of a blend: as it came, and tuned on the data
LEAST = 3                                   # values that a series must have
QUANTILES = (.01, .025, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .975, .99)
HIDDEN = 128
BLOCK = 64                                  # series computed together, always: a row's bits do not depend on others
SHIPPED = Path(__file__).with_name("prior.safetensors")


def shapes(hidden: int = HIDDEN) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array of weights."""
    d, q = hidden, len(QUANTILES)
    return {"cell.weight_ih_l0": (4 * d, GROUP * POINT), "cell.weight_hh_l0": (4 * d, d), "cell.bias_ih_l0": (4 * d,),
            "cell.bias_hh_l0": (4 * d,), "query.weight": (d, QUERY), "query.bias": (d,), "state.weight": (d, d),
            "middle.weight": (d, d), "middle.bias": (d,), "head.weight": (q, d), "head.bias": (q,)}


@dataclass(frozen=True)
class Prior:
    """Its weights, float16 or float32 as they are kept."""

    tensors: Mapping[str, NDArray[np.floating]]

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[np.floating]]) -> Prior:
        """Of these weights. Raises ValueError for those of another network, and for what is no number."""
        if {name: t.shape for name, t in tensors.items()} != shapes():
            raise ValueError("weights of another network")
        if not all(np.issubdtype(t.dtype, np.floating) and np.isfinite(t).all() for t in tensors.values()):
            raise ValueError("weights that are no numbers")
        return cls(tensors)

    def __reduce__(self) -> tuple[type[Prior], tuple[Mapping[str, NDArray[np.floating]]]]:
        """The weights travel, what was found on the way stays here."""
        return Prior, (self.tensors,)

    @cached_property
    def mark(self) -> str:
        """Eight characters that tell these weights from others."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:8]

    def towards(self, other: Prior, share: float) -> Prior:
        """The prior a share of the way to another one of its kind. The mean of their weights says what the mean of
        their forecasts does (Wortsman et al. 2022), at half the price."""
        if share == 1:
            return other
        return Prior({name: (t + share * (other.tensors[name] - t.astype(np.float64))).astype(np.float32)
                      for name, t in self.tensors.items()})

    def to_bytes(self) -> bytes:
        return safetensors.numpy.save({name: np.ascontiguousarray(t) for name, t in self.tensors.items()})

    @cached_property
    def _float64(self) -> dict[str, Floats]:
        return {name: t.astype(np.float64) for name, t in self.tensors.items()}

    def forward(self, sight: Sight) -> Floats:
        """(B, H, Q) what it says of the horizon, ascending, in the units of the sight."""
        k, hidden = self._float64, self._read(sight.points)
        asked = np.ascontiguousarray(sight.queries.swapaxes(0, 1))      # (H, B, ...): products of always the same shape
        first = asked @ k["query.weight"].T
        first += k["query.bias"] + hidden @ k["state.weight"].T
        middle = np.maximum(first, 0, out=first) @ k["middle.weight"].T
        middle += k["middle.bias"]
        said = np.maximum(middle, 0, out=middle) @ k["head.weight"].T + k["head.bias"]
        return np.sort(said.swapaxes(0, 1), axis=-1)

    def _read(self, points: Floats) -> Floats:
        """(B, T, G * POINT) -> the last hidden state (B, D), as scan() has it."""
        k = self._float64
        shared = np.ascontiguousarray(points[0][:, ~OWN])               # (T, 3 G): ages, the same for all series
        key = len(points), shared.tobytes()
        if key not in self._walks:
            cell = Weights(k["cell.weight_ih_l0"], k["cell.weight_hh_l0"], k["cell.bias_ih_l0"], k["cell.bias_hh_l0"])
            self._walks[key] = Walk(cell, np.flatnonzero(OWN), shared, len(points))
        return self._walks[key].end(np.ascontiguousarray(points[:, :, OWN].transpose(1, 2, 0)))

    @cached_property
    def _walks(self) -> dict[tuple[int, bytes], Walk]:
        """By the number of series and what they share."""
        return {}

    def predict(self, panel: Panel, horizon: int, seasons: tuple[int, int], quantiles: Sequence[float], *,
                most: int | None = None) -> Floats:
        """(S, H, Q) forecasts of each series, in its own units; NaN for one of fewer than three values.

        The mean of what it says of the values and of their logarithms, where all are positive. A horizon beyond the
        `most` it was trained for is reached by reading its median as history. seasons: the main one and the next, or
        0."""
        most = most or most_ahead(seasons[0])
        past = contexts(panel.truth, ends_of(panel), reach(*seasons))
        values = np.full((len(panel), horizon, len(quantiles)), np.nan)
        length, between = points_read(past), _between(quantiles)
        enough = np.count_nonzero(~np.isnan(past), axis=1) >= LEAST
        for points in np.unique(length[enough]).tolist():
            rows = np.flatnonzero(enough & (length == points))
            for begin in range(0, len(rows), BLOCK):
                some = rows[begin:begin + BLOCK]
                block = np.repeat(past[some[:1]], BLOCK, axis=0)        # filled up with copies of the first
                block[:len(some)] = past[some]
                said = self._block(without_absurd(block), horizon, seasons, most)
                values[some] = said[:len(some)] @ between
        return values

    def _block(self, past: Floats, horizon: int, seasons: tuple[int, int], most: int) -> Floats:
        """(B, H, Q) by its own quantiles."""
        parts: list[Floats] = []
        while (done := sum(p.shape[1] for p in parts)) < horizon:
            part = self._mean(past, min(most, horizon - done), seasons)
            if parts:
                part = _spread_from(parts[-1][:, -1:], part)
            parts.append(part)
            past = np.concatenate([past, part[:, :, QUANTILES.index(.5)]], axis=1)[:, -past.shape[1]:]
        return np.concatenate(parts, axis=1)

    def _mean(self, past: Floats, horizon: int, seasons: tuple[int, int]) -> Floats:
        sight = look(past, *seasons, horizon, from_zero=True)
        values = sight.restored(self.forward(sight))
        positive = np.flatnonzero(np.nanmin(past, axis=1) > 0)
        if positive.size:
            filled = np.where((np.arange(len(past)) == positive[:, None]).any(axis=0)[:, None], past, 1.0)
            sight = look(np.log(filled), *seasons, horizon, from_zero=False)
            with np.errstate(over="ignore"):
                logs = np.exp(sight.restored(self.forward(sight)))
            positive = positive[np.isfinite(logs[positive]).all(axis=(1, 2))]
            values[positive] = (values[positive] + logs[positive]) / 2
        return values


@dataclass(frozen=True)
class Tuned:
    """The prior tuned on a user's series. `steps` 0: as it was."""

    prior: Prior
    steps: int                              # behind the weights
    schedule: int                           # that the schedule of the learning rate took
    share: float = 1.0                      # of the way there from the prior as it came, at which it speaks


def most_ahead(season: int) -> int:
    """Steps ahead that the prior has been trained for."""
    return round(max(24, min(2.5 * season, 96)))


def _between(quantiles: Sequence[float]) -> Floats:
    """(15, Q) weights that make these quantiles of its own: on the line between the two beside, on the scale of a
    normal distribution; beyond the last on the line through the last two."""
    z, wanted = ([NormalDist().inv_cdf(q) for q in some] for some in (QUANTILES, quantiles))
    at = np.clip(np.searchsorted(z, wanted) - 1, 0, len(z) - 2)
    share = [(w - z[k]) / (z[k + 1] - z[k]) for w, k in zip(wanted, at, strict=True)]
    weights = np.zeros((len(z), len(wanted)))
    weights[at, np.arange(len(wanted))] = 1 - np.array(share)
    weights[at + 1, np.arange(len(wanted))] = share
    return weights


def _spread_from(last: Floats, further: Floats) -> Floats:
    """`further` (B, H, Q) with the spread of the step it starts from, `last` (B, 1, Q), added in quadrature."""
    middle = QUANTILES.index(.5)
    median = further[:, :, [middle]]
    reach_ = np.hypot(further - median, last - last[:, :, [middle]])
    return np.asarray(median + np.sign(np.arange(len(QUANTILES)) - middle) * reach_)


@cache
def shipped() -> Prior:
    """The prior that came with the program. Raises ForecastError where the installation is damaged."""
    try:
        return Prior.of(safetensors.numpy.load(SHIPPED.read_bytes()))
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise ForecastError(f"the prior of this installation cannot be used: {error}", file=str(SHIPPED),
                            code="installation", hint="Install forecast again") from error
