"""Exposure: how the memory reaches the median forecast, and how much of its movement is the network's.

Numbers only, in normalised units."""

# W windows  H horizon  U steps of the decoder  R units that the head reads  Q quantiles

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.model.network import Network, Seen
from forecast.series.arrays import Floats, Ints

CLASSES = 3                         # of memory: short, seasonal, long


@dataclass(frozen=True)
class Exposure:
    """How the memory reaches the median forecast, averaged over windows."""

    shares: Floats                      # (H, 3) of |head weight x h| summed over units, by the class of their memory
    correction: Floats                  # (H,) mean |network| / (mean |network| + mean |linear skip|)
    output_gate: Floats | None          # (H,) where the head reads, units weighted by what they contribute


def exposure_of(network: Network, moves: Floats, linear: Floats, output: Floats | None, classes: Ints) -> Exposure:
    """What the units of each class contribute to the median, and how much all of it is beside the linear skip, whose
    movement is its distance from loc.

    moves (W, H, R) of `moves_of` · linear (W, H) · output (W, U, D) or (W, 1, E), the output gates where the head reads
    · classes (R,) of the memory of the units that it reads."""
    size = np.abs(moves).mean(axis=0)                                   # (H, R)
    size = size / np.maximum(size.sum(axis=1, keepdims=True), 1e-300)
    learned = np.abs(moves.sum(axis=2) + bias_of(network)).mean(axis=0)
    beside = np.abs(linear).mean(axis=0)
    return Exposure(np.stack([size[:, classes == c].sum(axis=1) for c in range(CLASSES)], axis=1),
                    learned / np.maximum(learned + beside, 1e-300),
                    None if output is None else _shown(size, output.mean(axis=0), network.shape.segment))


def _shown(size: Floats, output: Floats, segment: int) -> Floats:
    """(H,) the output gate (U, D) of the units, weighted by their part (H, R) of the movement; those come first."""
    gates = np.repeat(output, segment, axis=0)[:len(size)] if len(output) > 1 else output
    part = size[:, :gates.shape[1]]
    return np.asarray((part * gates).sum(axis=1) / np.maximum(part.sum(axis=1), 1e-300))


def moves_of(network: Network, seen: Seen) -> Floats:
    """(W, H, R) what each unit that the head reads adds to the median; attention's part where a flat head has one."""
    shape, middle = network.shape, network.shape.quantiles.index(0.5)
    head = network.tensors["head.weight"].astype(np.float64).reshape(-1, len(shape.quantiles), seen.read.shape[-1])
    moves = head[:, middle] * seen.read[:, :, None]                     # (W, U, segment or H, R)
    moves = moves.reshape(len(moves), -1, moves.shape[-1])[:, :shape.horizon]
    if shape.head == "flat" and seen.attention is not None:
        value = network.tensors["attention.value"].astype(np.float64)[..., middle]
        moves = moves + value * (seen.attention @ seen.hidden)
    return np.asarray(moves)


def bias_of(network: Network) -> Floats:
    """(H,) what the head adds to the median whatever it reads."""
    shape = network.shape
    bias = network.tensors["head.bias"].astype(np.float64).reshape(-1, len(shape.quantiles))
    return np.asarray(np.resize(bias[:, shape.quantiles.index(0.5)], shape.horizon))        # again for each segment
