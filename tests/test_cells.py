"""The cells as equations (cells.py), and their fast twins (torch_cells.py): equal to each other, to torch.nn, to plain
numbers."""

# B batch  T steps  IN inputs  D hidden

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forecast.model import cells
from forecast.model.cells import Gates, State, Weights, scan
from forecast.model.channels import CHANNELS
from forecast.model.network import Shape
from forecast.training import torch_cells
from forecast.training.torch_cells import open_gates

B, T, D = 3, 7, 5
IN = 2 * len(CHANNELS)                                                  # segments of two points
EVERY = sorted(cells.CELLS)
GATED = ("coupled", "gru", "lstm", "peephole")
LSTMS = ("coupled", "lstm", "peephole")
OURS = ("coupled", "peephole")
DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}                    # how near is equal


def module_of(name: str, *, num_layers: int = 1, bidirectional: bool = False,
              dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return torch_cells.CELLS[name](IN, D, num_layers, batch_first=True, bidirectional=bidirectional).to(dtype)


def weights_of(module: nn.Module, end: str = "l0") -> Weights:
    found = dict(module.named_parameters())
    return Weights(*(found[f"{name}_{end}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
                   p=found.get(f"peephole_{end}"))


def in_numpy(weights: Weights) -> Weights:
    return Weights(*(None if k is None else k.detach().numpy()
                     for k in (weights.w, weights.u, weights.b, weights.b_u, weights.p)))


def inputs(*, dtype: torch.dtype = torch.float64, steps: int = T) -> Tensor:
    return torch.randn(B, steps, IN, generator=torch.Generator().manual_seed(1), dtype=dtype)


def first_state(name: str, entries: int, dtype: torch.dtype) -> State:
    generator = torch.Generator().manual_seed(2)
    return tuple(torch.randn(entries, B, D, generator=generator, dtype=dtype) for _ in range(cells.CELLS[name].states))


def fast(module: nn.Module, x: Tensor, state: State) -> tuple[Tensor, State]:
    """As torch wants a state (h alone where there is no c), and back."""
    hidden, last = module(x, state if len(state) == 2 else state[0])
    return hidden, last if len(state) == 2 else (last,)


def plain(name: str, module: nn.Module, x: Tensor, state: State, ends: list[list[str]]) -> tuple[Tensor, State]:
    """scan() through `ends`, a list of directions a layer."""
    last: list[State] = []
    for layer in ends:
        outputs = []
        for end in layer:
            order = [1] if end.endswith("_reverse") else []             # the dimension to turn round
            hidden, after, _ = scan(name, x.flip(order), weights_of(module, end), tuple(s[len(last)] for s in state))
            outputs.append(hidden.flip(order))
            last.append(after)
        x = torch.cat(outputs, dim=-1)
    return x, tuple(torch.stack(each) for each in zip(*last, strict=True))


def gates_of(name: str) -> Gates:
    return scan(name, inputs(), weights_of(module_of(name)))[2]


# The two ways are one

@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", EVERY)
def test_the_fast_twin_equals_scan_in_outputs_states_and_gradients(
        name: str, num_layers: int, bidirectional: bool, dtype: torch.dtype) -> None:
    module = module_of(name, num_layers=num_layers, bidirectional=bidirectional, dtype=dtype)
    x = inputs(dtype=dtype).requires_grad_()
    directions = ["", "_reverse"] if bidirectional else [""]
    ends = [[f"l{layer}{direction}" for direction in directions] for layer in range(num_layers)]
    state = tuple(s.requires_grad_() for s in first_state(name, num_layers * len(directions), dtype))
    results = []
    for hidden, last in (fast(module, x, state), plain(name, module, x, state, ends)):
        loss = sum(((k + 1) * part.sin()).sum() for k, part in enumerate((hidden, *last)))
        results.append((hidden, last, torch.autograd.grad(loss, [x, *state, *module.parameters()])))
    torch.testing.assert_close(results[0], results[1], atol=DTYPES[dtype], rtol=DTYPES[dtype])


@pytest.mark.parametrize("name", EVERY)
def test_without_a_state_both_ways_start_at_zero(name: str) -> None:
    module, x = module_of(name), inputs()
    zero = tuple(torch.zeros_like(s) for s in first_state(name, 1, x.dtype))
    expected = fast(module, x, zero)[0]
    torch.testing.assert_close(module(x)[0], expected)
    torch.testing.assert_close(scan(name, x, weights_of(module))[0], expected)


@pytest.mark.parametrize("name", EVERY)
def test_numpy_and_torch_say_the_same(name: str) -> None:
    weights = weights_of(module_of(name))
    hidden, state, gates = scan(name, inputs(), weights)
    as_numpy = scan(name, inputs().numpy(), in_numpy(weights))
    assert isinstance(as_numpy[0], np.ndarray)
    for ours, theirs in zip((hidden, *state, *gates.values()), (as_numpy[0], *as_numpy[1], *as_numpy[2].values()),
                            strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-14)
    assert gates.keys() == as_numpy[2].keys()


@pytest.mark.parametrize(("name", "torchs"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn", nn.RNN)])
def test_where_torch_has_the_cell_the_fast_twin_is_torchs(name: str, torchs: Callable[..., nn.Module]) -> None:
    assert torch_cells.CELLS[name] is torchs


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", EVERY)
def test_weights_are_named_and_shaped_as_the_network_file_says(
        name: str, num_layers: int, bidirectional: bool) -> None:
    segment = IN // len(CHANNELS)
    shape = Shape(name, context=3 * segment, segment=segment, hidden=D, layers=num_layers, horizon=3, quantiles=(0.5,),
                  bidirectional=bidirectional, channels=len(CHANNELS))
    said = {key.removeprefix("cell."): size for key, size in shape.tensors.items() if key.startswith("cell.")}
    module = module_of(name, num_layers=num_layers, bidirectional=bidirectional)
    assert {key: tuple(weight.shape) for key, weight in module.named_parameters()} == said


def test_both_tables_hold_the_same_cells() -> None:
    assert torch_cells.CELLS.keys() == cells.CELLS.keys()


@pytest.mark.gpu
@pytest.mark.parametrize("name", EVERY)
def test_a_gpu_says_the_same_and_warns_of_nothing(name: str) -> None:
    module, x = module_of(name, num_layers=2, bidirectional=True), inputs()
    here = module(x)[0].detach()
    there = module.cuda()(x.cuda())[0]
    there.sum().backward()
    torch.testing.assert_close(there.detach().cpu(), here)


# What each cell is

@pytest.mark.parametrize("way", ["scan", "fast"])
def test_a_peephole_step_in_plain_numbers(way: str) -> None:
    """One unit, two steps (the first meets c = 0), by hand: i and f see the old cell, o the new one."""
    w, u, b, b_u = (0.5, -0.4, 0.9, 0.3), (0.2, 0.7, -0.6, 0.8), (0.1, 0.6, -0.2, -0.3), (-0.3, 0.2, 0.4, 0.5)
    p_i, p_f, p_o = 0.8, -0.9, 1.1
    h = c = 0.0
    expected = []
    for x in (1.5, -0.7):
        a_i, a_f, a_g, a_o = (w[k] * x + b[k] + u[k] * h + b_u[k] for k in range(4))
        i, f = 1 / (1 + math.exp(-a_i - p_i * c)), 1 / (1 + math.exp(-a_f - p_f * c))
        c = f * c + i * math.tanh(a_g)
        h = math.tanh(c) / (1 + math.exp(-a_o - p_o * c))
        expected.append(h)
    steps = torch.tensor([[[1.5], [-0.7]]], dtype=torch.float64)
    module = torch_cells.PeepholeLSTM(1, 1).double()
    values = {"weight_ih_l0": w, "weight_hh_l0": u, "bias_ih_l0": b, "bias_hh_l0": b_u, "peephole_l0": (p_i, p_f, p_o)}
    for name, weight in module.named_parameters():
        weight.detach()[:] = torch.tensor(values[name], dtype=torch.float64).view(weight.shape)
    hidden = module(steps)[0] if way == "fast" else scan("peephole", steps, weights_of(module))[0]
    assert hidden.flatten().tolist() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("way", ["scan", "fast"])
def test_zero_peepholes_give_back_lstm(way: str) -> None:
    module, lstm = module_of("peephole"), module_of("lstm")
    module.get_parameter("peephole_l0").detach().zero_()
    lstm.load_state_dict({name: k for name, k in module.named_parameters() if name != "peephole_l0"})
    hidden = module(inputs())[0] if way == "fast" else scan("peephole", inputs(), weights_of(module))[0]
    torch.testing.assert_close(hidden, lstm(inputs())[0])


@pytest.mark.parametrize("way", ["scan", "fast"])
def test_coupled_is_an_lstm_whose_input_rows_are_the_negated_forget_rows(way: str) -> None:
    module, lstm = module_of("coupled"), module_of("lstm")
    lstm.load_state_dict({name: torch.cat([-k[:D], k]) for name, k in module.named_parameters()})
    hidden = module(inputs())[0] if way == "fast" else scan("coupled", inputs(), weights_of(module))[0]
    torch.testing.assert_close(hidden, lstm(inputs())[0])


@pytest.mark.parametrize("name", EVERY)
def test_only_the_gru_needs_both_its_biases(name: str) -> None:
    """Its reset gate stands between them; elsewhere their sum is all that matters."""
    weights = weights_of(module_of(name))
    merged = Weights(weights.w, weights.u, weights.b + weights.b_u, 0 * weights.b_u, weights.p)
    apart = (scan(name, inputs(), merged)[0] - scan(name, inputs(), weights)[0]).abs().max()
    assert (float(apart.detach()) > 1e-3) == (name == "gru")


@pytest.mark.parametrize("name", GATED)
def test_gates_lie_between_0_and_1(name: str) -> None:
    for gate in gates_of(name).keys() & {"forget", "input", "output", "update", "reset"}:
        values = gates_of(name)[gate]
        assert values.shape == (B, T, D)
        assert bool(((values > 0) & (values < 1)).all())


@pytest.mark.parametrize("name", LSTMS)
def test_the_gates_that_are_shown_make_the_hidden_state_that_is_returned(name: str) -> None:
    hidden, (h, c), gates = scan(name, inputs(), weights_of(module_of(name)))
    before = torch.cat([torch.zeros(B, 1, D), gates["cell"][:, :-1]], dim=1)
    torch.testing.assert_close(gates["cell"], gates["forget"] * before + gates["input"] * gates["candidate"])
    torch.testing.assert_close(hidden, gates["output"] * gates["cell"].tanh())
    torch.testing.assert_close((h, c), (hidden[:, -1], gates["cell"][:, -1]))


def test_the_gates_that_a_gru_shows_make_the_hidden_state_that_is_returned() -> None:
    hidden, _, gates = scan("gru", inputs(), weights_of(module_of("gru")))
    before = torch.cat([torch.zeros(B, 1, D), hidden[:, :-1]], dim=1)
    torch.testing.assert_close(hidden, (1 - gates["update"]) * gates["candidate"] + gates["update"] * before)


def test_the_slope_that_an_rnn_shows_is_its_gradient() -> None:
    weights = weights_of(module_of("rnn"))
    hidden, _, gates = scan("rnn", inputs(steps=1), weights)
    torch.testing.assert_close(gates["slope"].sum(dim=(0, 1)), torch.autograd.grad(hidden.sum(), weights.b)[0])


def test_coupled_lets_in_what_it_forgets() -> None:
    gates = gates_of("coupled")
    torch.testing.assert_close(gates["forget"] + gates["input"], torch.ones(B, T, D, dtype=torch.float64))


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_the_sigmoid_overflows_nowhere(make: Callable[..., cells.Array]) -> None:
    with np.errstate(all="raise"):
        assert cells.sigmoid(make([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
    assert cells.sigmoid(make([-2.0, 3.0])).tolist() == pytest.approx([1 / (1 + math.exp(2)), 1 / (1 + math.exp(-3))])


# Time and gradients

@pytest.mark.parametrize("name", EVERY)
def test_the_state_carries(name: str) -> None:
    """7 steps = 4 then 3, both ways."""
    module, weights, x = module_of(name, num_layers=2), weights_of(module_of(name)), inputs(steps=7)
    whole, end = module(x)
    begun, between = module(x[:, :4])
    ended, again = module(x[:, 4:], between)
    torch.testing.assert_close((torch.cat([begun, ended], dim=1), again), (whole, end))
    whole, end, _ = scan(name, x, weights)
    begun, between, _ = scan(name, x[:, :4], weights)
    ended, again, _ = scan(name, x[:, 4:], weights, between)
    torch.testing.assert_close((torch.cat([begun, ended], dim=1), again), (whole, end))


def test_gradients_of_the_peephole_cell_are_the_slopes_of_its_values() -> None:
    torch.manual_seed(0)
    sizes = {"a": (4, 2, 12), "h": (2, 3), "c": (2, 3), "u": (12, 3), "p": (3, 3)}
    given = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes.values()]
    assert torch.autograd.gradcheck(torch_cells.Peephole.apply, given)


@pytest.mark.parametrize("name", OURS)
def test_what_a_layer_was_given_it_leaves_as_it_was_and_gradients_can_be_asked_for_twice(name: str) -> None:
    module, x, state = module_of(name), inputs().requires_grad_(), first_state(name, 1, torch.float64)
    given = [x, *state, *module.parameters()]
    before = [part.detach().clone() for part in given]
    hidden, (_, c) = module(x, state)
    above = [torch.ones_like(hidden), torch.ones_like(c)]
    wanted = [x, *module.parameters()]
    once = torch.autograd.grad([hidden, c], wanted, above, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad([hidden, c], wanted, above), once, atol=0, rtol=0)
    torch.testing.assert_close([part.detach() for part in given], before, atol=0, rtol=0)
    assert all(bool((part == 1).all()) for part in above)


def test_a_second_derivative_of_the_peephole_cell_is_refused_not_wrong() -> None:
    module, x = module_of("peephole"), inputs().requires_grad_()
    with pytest.raises(NotImplementedError, match="create_graph"):
        torch.autograd.grad(module(x)[0].sum(), x, create_graph=True)


# How weights begin

@pytest.mark.parametrize("name", OURS)
def test_new_weights_are_drawn_as_torch_draws_them(name: str) -> None:
    torch.manual_seed(0)
    for weight in torch_cells.CELLS[name](IN, 100, 1, batch_first=True).parameters():
        assert 0.09 < float(weight.detach().abs().max()) <= 0.1         # uniform within 1 / sqrt(D)
        assert abs(float(weight.detach().mean())) < 0.02


@pytest.mark.parametrize("name", OURS)
def test_a_batch_that_does_not_come_first_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="batch_first"):
        torch_cells.CELLS[name](IN, D, 1, batch_first=False)


def biases(name: str, memory: float | None, *, seed: int = 0, size: int = D) -> list[tuple[Tensor, Tensor]]:
    """Those beside W and those beside U, (G, D), of two layers in both directions after open_gates."""
    torch.manual_seed(seed)
    module = torch_cells.CELLS[name](IN, size, 2, batch_first=True, bidirectional=True)
    open_gates(name, module, size, memory)
    found = [bias.detach().view(-1, size) for key, bias in module.named_parameters() if key.startswith("bias")]
    return list(zip(found[::2], found[1::2], strict=True))


FORGET = {"lstm": 1, "peephole": 1, "coupled": 0, "gru": 1}             # rows of the gate that keeps the state


@pytest.mark.parametrize("name", LSTMS)
def test_forget_gates_begin_open_with_bias_1(name: str) -> None:
    for beside_w, beside_u in biases(name, None):
        assert (beside_w + beside_u)[FORGET[name]].tolist() == [1.0] * D


@pytest.mark.parametrize("name", GATED)
def test_chrono_biases_of_the_forget_gate_are_logs_of_times_up_to_the_memory(name: str) -> None:
    for beside_w, beside_u in biases(name, memory=20, size=300):
        times = (beside_w + beside_u)[FORGET[name]].exp()
        assert 1 <= float(times.min()) < 1.5
        assert 18.5 < float(times.max()) <= 19 + 1e-4
        assert float(times.mean()) == pytest.approx(10, abs=1)          # uniform in time; its deviation here is 0.3


@pytest.mark.parametrize("name", GATED)
def test_with_a_long_memory_the_gate_that_keeps_the_state_stands_open(name: str) -> None:
    module = module_of(name)
    open_gates(name, module, D, 1000)
    gates = scan(name, inputs(), weights_of(module))[2]
    assert float(gates["update" if name == "gru" else "forget"].detach().mean()) > 0.9


@pytest.mark.parametrize("name", ["lstm", "peephole"])
def test_chrono_biases_of_the_input_gate_are_the_negatives(name: str) -> None:
    for beside_w, beside_u in biases(name, memory=20):
        total = beside_w + beside_u
        assert torch.equal(total[0], -total[1])


@pytest.mark.parametrize("memory", [None, 1000.0])
@pytest.mark.parametrize("name", GATED)
def test_biases_of_other_gates_stay_as_torch_has_them(name: str, memory: float | None) -> None:
    redrawn = {FORGET[name]} | ({0} if memory and name in ("lstm", "peephole") else set())
    for beside_w, beside_u in biases(name, memory):
        for row in set(range(len(beside_w))) - redrawn:
            assert 0 < float(beside_w[row].abs().max()) <= D ** -0.5
            assert 0 < float(beside_u[row].abs().max()) <= D ** -0.5


@pytest.mark.parametrize(("name", "memory"), [("rnn", None), ("rnn", 20.0), ("gru", None)])
def test_where_no_gate_is_opened_the_biases_stay_as_torch_has_them(name: str, memory: float | None) -> None:
    torch.manual_seed(0)
    untouched = torch_cells.CELLS[name](IN, D, 2, batch_first=True, bidirectional=True)
    expected = [bias.detach() for key, bias in untouched.named_parameters() if key.startswith("bias")]
    torch.testing.assert_close([b.flatten() for pair in biases(name, memory) for b in pair], expected, atol=0, rtol=0)


def test_a_seed_repeats_chrono_biases_and_another_draws_others() -> None:
    first, again, other = (biases("lstm", memory=20, seed=seed) for seed in (3, 3, 4))
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first[0][0][1], other[0][0][1])


def test_a_memory_of_a_single_step_opens_nothing() -> None:
    for beside_w, beside_u in biases("lstm", memory=1):
        assert (beside_w + beside_u)[1].tolist() == [0.0] * D
