"""The network on numpy, and its twin for training: one set of weights, one forecast."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from forecast.model.cells import CELLS
from forecast.model.network import BLOCK, Network, Shape
from forecast.series.batch import Batch
from forecast.training.torch_network import RecurrentForecaster, forward_on
from tests.conftest import shaken

SIZES: dict[str, Any] = {"context": 12, "segment": 3, "hidden": 5, "horizon": 4, "quantiles": (0.1, 0.5, 0.9)}
every_shape = pytest.mark.parametrize(("cell", "layers", "bidirectional", "attention"),
                                      list(itertools.product(CELLS, (1, 2), (False, True), (False, True))))


def network(**changes: Any) -> Network:
    return shaken(Network.blank(Shape(**{"cell": "lstm", "layers": 1, **SIZES, **changes})), spread=0.5)


def contexts(rows: int) -> Any:
    return np.random.default_rng(0).normal(size=(rows, SIZES["context"]))


@every_shape
def test_numpy_and_torch_agree_to_twelve_digits(cell: str, layers: int, bidirectional: bool, attention: bool) -> None:
    ours = network(cell=cell, layers=layers, bidirectional=bidirectional, attention=attention)
    theirs = RecurrentForecaster(ours.shape).load(ours).double().eval()
    context = contexts(7)
    context[2, :5] = np.nan
    with torch.no_grad():
        expected = theirs(Batch(torch.from_numpy(context)))
    np.testing.assert_allclose(ours.forward(Batch(context)), expected.numpy(), rtol=1e-12, atol=1e-12)


def test_a_forecast_computed_by_torch_on_a_device_agrees_to_nine_digits() -> None:
    ours = network(attention=True)
    batch = Batch(contexts(9))
    np.testing.assert_allclose(forward_on(ours, torch.device("cpu"))(batch), ours.forward(batch), rtol=1e-9)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_nine_digits() -> None:
    for cell in CELLS:
        ours = network(cell=cell, layers=2, bidirectional=True, attention=True)
        given = forward_on(ours, torch.device("cuda"))(Batch(contexts(9)))
        np.testing.assert_allclose(given, ours.forward(Batch(contexts(9))), rtol=1e-9, atol=1e-12)


@every_shape
def test_the_weights_it_names_are_those_of_the_trained_one(cell: str, layers: int, bidirectional: bool,
                                                           attention: bool) -> None:
    shape = network(cell=cell, layers=layers, bidirectional=bidirectional, attention=attention).shape
    model = RecurrentForecaster(shape)
    assert shape.tensors == {name: tuple(t.shape) for name, t in model.state_dict().items()}
    assert shape.parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)
    for name, t in model.network().tensors.items():
        np.testing.assert_array_equal(t, model.state_dict()[name].numpy())


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours(cell: str) -> None:
    ours, context = network(cell=cell, attention=True), contexts(BLOCK + 9)
    whole = ours.forward(Batch(context))
    for rows in (slice(0, 1), slice(5, 8), slice(BLOCK - 1, BLOCK + 2), slice(BLOCK + 8, None)):
        np.testing.assert_array_equal(ours.forward(Batch(context[rows])), whole[rows])


def test_the_forward_direction_cannot_see_what_is_behind_it_and_the_backward_one_can() -> None:
    ours, context = network(bidirectional=True), contexts(1)
    changed = context.copy()
    changed[0, -1] += 1
    one, two = ours.look(Batch(context))[1].hidden, ours.look(Batch(changed))[1].hidden
    forward, backward = one[0, :-1, :5] - two[0, :-1, :5], one[0, :-1, 5:] - two[0, :-1, 5:]
    assert not forward.any()
    assert backward.all()


def test_attention_weighs_every_step_and_sums_to_one() -> None:
    seen = network(attention=True).look(Batch(contexts(6)))[1]
    assert seen.attention is not None
    assert seen.attention.shape == (6, SIZES["horizon"], 4)
    assert (seen.attention > 0).all()
    np.testing.assert_allclose(seen.attention.sum(axis=-1), 1)


def test_untrained_attention_changes_nothing_and_learns() -> None:
    shape = network(attention=True).shape
    model = RecurrentForecaster(shape)
    before = model.network().tensors
    without = Network(network().shape, {k: v for k, v in before.items() if "attention" not in k})
    np.testing.assert_array_equal(model.network().forward(Batch(contexts(3))), without.forward(Batch(contexts(3))))
    context = torch.from_numpy(contexts(3)).float()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):                                                  # first the values, then what they are read by
        optimiser.zero_grad()
        (model(Batch(context)) - 1).square().sum().backward()
        optimiser.step()
    after = model.network().tensors
    assert [k for k in after if "attention" in k and np.array_equal(after[k], before[k])] == []


def test_a_missing_value_is_not_a_zero() -> None:
    ours, context = network(), contexts(1)
    missing, zero = context.copy(), context.copy()
    missing[0, 3], zero[0, 3] = np.nan, 0.0
    assert not np.array_equal(ours.forward(Batch(missing)), ours.forward(Batch(zero)))
