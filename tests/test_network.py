"""The network on numpy, and its twin for training: one set of weights, one forecast."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from forecast.model.cells import CELLS, scan
from forecast.model.network import BLOCK, CLOSED_FORMS, HEADS, Network, Shape
from forecast.series.batch import Batch
from forecast.training.torch_network import RecurrentForecaster, forward_on
from tests.conftest import shaken

SIZES: dict[str, Any] = {"context": 12, "segment": 3, "hidden": 5, "horizon": 4, "quantiles": (0.1, 0.5, 0.9)}
NAMES = "cell", "layers", "bidirectional", "attention", "head"
ALL = [dict(zip(NAMES, each, strict=True))
       for each in itertools.product(CELLS, (1, 2), (False, True), (False, True), HEADS)]
SHAPES = [kind | {"embedding": bool(k % 3), "tuned": bool(k % 5)} for k, kind in enumerate(ALL)]
COVARIATES: dict[str, int] = {"before": 4, "known": 2, "around": 5, "static": 3}
READING = [kind | COVARIATES for kind in SHAPES[::3]]
every_shape = pytest.mark.parametrize("kind", SHAPES + READING, ids=lambda kind: "-".join(map(str, kind.values())))


def network(**changes: Any) -> Network:
    return shaken(Network.blank(Shape(**{"cell": "lstm", "layers": 1, **SIZES, **changes})), spread=0.5)


def contexts(rows: int) -> Any:
    return np.random.default_rng(0).normal(size=(rows, SIZES["context"]))


def batches(rows: int, shape: Shape) -> Batch:
    """Windows with covariates beside them, for a shape that reads them; others let them lie."""
    random, size = np.random.default_rng(3), SIZES
    return Batch(contexts(rows), before=random.normal(size=(rows, size["context"], shape.before)),
                 ahead=random.normal(size=(rows, size["horizon"], shape.known)),
                 around=random.normal(size=(rows, size["horizon"], shape.around)),
                 static=random.normal(size=(rows, shape.static)))


@every_shape
def test_numpy_and_torch_agree_to_twelve_digits(kind: dict[str, Any]) -> None:
    ours = network(**kind)
    theirs = RecurrentForecaster(ours.shape).load(ours).double().eval()
    batch = batches(7, ours.shape)
    batch.context[2, :5] = np.nan
    with torch.no_grad():
        expected, closed = (twin(batch.map(torch.from_numpy)) for twin in (theirs, theirs.closed))
    np.testing.assert_allclose(ours.forward(batch), expected.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.linear(batch), closed.numpy(), rtol=1e-12, atol=1e-12)


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
def test_the_weights_it_names_are_those_of_the_trained_one(kind: dict[str, Any]) -> None:
    shape = network(**kind).shape
    model = RecurrentForecaster(shape)
    assert shape.tensors == {name: tuple(t.shape) for name, t in model.state_dict().items()}
    assert shape.parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)
    for name, t in model.network().tensors.items():
        np.testing.assert_array_equal(t, model.state_dict()[name].numpy())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_is_the_same_to_the_bit_whatever_its_neighbours(cell: str, head: str) -> None:
    ours, context = network(cell=cell, head=head, attention=True, embedding=True, tuned=True), contexts(BLOCK + 9)
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


@pytest.mark.parametrize("kind", READING[::4], ids=str)
def test_each_of_the_covariates_moves_a_forecast(kind: dict[str, Any]) -> None:
    ours = network(**kind)
    batch = batches(2, ours.shape)
    for name in ("before", "ahead", "around", "static"):
        other = replace(batch, **{name: getattr(batch, name) + 1})
        assert (ours.forward(other) != ours.forward(batch)).all(), name


def test_what_is_known_of_a_step_moves_that_step_by_its_own_weights() -> None:
    """A decoder walks on, so that a later step is moved by earlier ones, but none by what comes after its segment."""
    ours = network(**READING[0] | {"head": "decoder", "tuned": False})
    batch = batches(2, ours.shape)
    ahead = batch.ahead.copy()
    ahead[:, 3] += 1                                                    # the first step of the second segment
    moved = ours.forward(replace(batch, ahead=ahead)) != ours.forward(batch)
    assert moved[:, 3].all()
    assert not moved[:, :3].any()


@pytest.mark.parametrize("head", HEADS)
def test_attention_weighs_every_step_and_sums_to_one(head: str) -> None:
    seen = network(attention=True, head=head).look(Batch(contexts(6)))[1]
    assert seen.attention is not None
    assert seen.attention.shape == (6, SIZES["horizon"], 4)
    assert (seen.attention > 0).all()
    np.testing.assert_allclose(seen.attention.sum(axis=-1), 1)


@pytest.mark.parametrize("head", HEADS)
def test_untrained_attention_changes_nothing_and_learns(head: str) -> None:
    shape = network(attention=True, head=head).shape
    model = RecurrentForecaster(shape)
    before = model.network().tensors
    ours = model.network()
    np.testing.assert_array_equal(ours.forward(Batch(contexts(3))), ours.linear(Batch(contexts(3))))
    context = torch.from_numpy(contexts(3)).float()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):                                                  # first the values, then what they are read by
        optimiser.zero_grad()
        (model(Batch(context)) - 1).square().sum().backward()
        optimiser.step()
    after = model.network().tensors
    assert [k for k in after if "attention" in k and np.array_equal(after[k], before[k])] == []


@pytest.mark.parametrize("kind", [kind for kind in SHAPES if kind["head"] == "decoder"][::7] + READING[::6], ids=str)
def test_the_untrained_network_is_its_closed_forms(kind: dict[str, Any]) -> None:
    ours = RecurrentForecaster(network(**kind).shape).network()
    closed = {name: np.random.default_rng(2).normal(size=t.shape) for name, t in ours.tensors.items()
              if name in CLOSED_FORMS}
    ours, batch = ours.replace(**closed), batches(3, ours.shape)
    np.testing.assert_array_equal(ours.forward(batch), ours.linear(batch))


def test_a_decoder_writes_segment_by_segment_and_what_leads_beyond_the_horizon_is_cut() -> None:
    """A segment of the horizon hangs on its own position and those before it; the last one is cut to a single step."""
    ours = network(head="decoder")
    positions = ours.tensors["positions"].copy()
    assert len(positions) == 2                                          # 3 and 1 of 4 steps
    positions[1] += 1
    changed = ours.replace(positions=positions)
    one, two = ours.forward(Batch(contexts(2))), changed.forward(Batch(contexts(2)))
    assert one.shape == (2, 4, 3)
    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    assert (one[:, 3] != two[:, 3]).all()


@pytest.mark.parametrize("cell", CELLS)
def test_the_decoder_begins_where_the_encoder_ends(cell: str) -> None:
    """Of weights and positions that are the encoder's own, so that it goes on as the encoder would have."""
    ours = network(cell=cell, head="decoder", embedding=True, context=12, horizon=12)
    taken = {name.replace("cell.", "decoder."): t for name, t in ours.tensors.items() if name.startswith("cell.")}
    batch = Batch(contexts(1))
    ours = ours.replace(**taken)
    ours = ours.replace(positions=ours.read(batch)[0])
    _, end, _ = scan(cell, np.concatenate([ours.read(batch)] * 2, axis=1), ours.weights("l0"))
    _, last, _ = scan(cell, ours.asked(batch), ours.weights("l0", "decoder"), ours.look(batch)[1].decoded[0])
    for one, two in zip(end, last, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)                 # positions are kept in float32


def test_a_skip_that_is_trained_along_leaves_the_closed_form_as_it_was() -> None:
    ours, batch = network(tuned=True, head="decoder"), Batch(contexts(2))
    still = ours.replace(tuned=np.zeros(ours.tensors["tuned"].shape))
    np.testing.assert_array_equal(ours.linear(batch), still.linear(batch))
    _, seen = ours.look(batch)
    np.testing.assert_allclose(seen.linear, batch.context @ ours.line[:-1] + ours.line[-1])
    assert not np.allclose(seen.linear, still.look(batch)[1].linear)


def test_a_network_of_fewer_channels_reads_those_alone() -> None:
    ours, context = network(channels=1), contexts(1)
    context[0, 3] = np.nan
    zero = np.nan_to_num(context)
    np.testing.assert_array_equal(ours.forward(Batch(context)), ours.forward(Batch(zero)))


def test_a_missing_value_is_not_a_zero() -> None:
    ours, context = network(), contexts(1)
    missing, zero = context.copy(), context.copy()
    missing[0, 3], zero[0, 3] = np.nan, 0.0
    assert not np.array_equal(ours.forward(Batch(missing)), ours.forward(Batch(zero)))
