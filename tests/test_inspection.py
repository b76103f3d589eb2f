from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from forecast.errors import DataError
from forecast.explaining.exposure import bias_of, moves_of
from forecast.explaining.influence import Influence, by_cycle, influence_of, windows_at
from forecast.explaining.inspection import (
    decoder_of,
    disturbance,
    drivers_of,
    fading,
    half_lives_of,
    inspect,
    layers_of,
    properties_of,
    resets_of,
)
from forecast.model.cells import Weights, scan
from forecast.model.channels import CHANNELS
from forecast.model.network import HEADS, Network
from forecast.model.predictor import Predictor
from forecast.series.arrays import Floats
from forecast.series.batch import Batch
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from tests.conftest import altered, in_units, quick, shaken, trained

PLAIN = {"model_head": "flat", "model_embedding": False}                # so that what weights do can be said in numbers
KEEPS = {"lstm": 1, "peephole": 1, "coupled": 0, "gru": 1}              # block of rows of the gate that keeps


def handmade(y: Floats, *, cell: str = "lstm", hidden: int = 2, context: int = 30, segment: int = 1, season: int = 6,
             horizon: int = 1, **more: object) -> tuple[Predictor, Panel]:
    """A predictor whose weights are all 0 and whose network counts as used, and a panel of one series."""
    panel = Panel.of([y], Calendar.of("step"), ids=["a"])
    config = quick(model_cell=cell, model_hidden=hidden, model_context=context, model_segment=segment,
                   model_season=(season,), model_horizon=horizon, **PLAIN | more)
    return altered(Predictor.new(config, panel), steps=1), panel


def weighted(predictor: Predictor, **tensors: Floats) -> Predictor:
    """With `cell.bias_ih_l0` given as cell__bias_ih_l0, and so on."""
    named = {name.replace("__", "."): value for name, value in tensors.items()}
    return altered(predictor, network=predictor.members[0].network.replace(**named))


def gate_rows(cell: str, hidden: int, values: Floats, columns: int = 1) -> Floats:
    """Weights (rows of all gates, columns) that are 0 but for the gate that keeps."""
    blocks = {"coupled": 3, "gru": 3}.get(cell, 4)
    rows = np.zeros((blocks, hidden, columns))
    rows[KEEPS[cell]] = np.reshape(values, (hidden, -1))
    return rows.reshape(blocks * hidden, columns)


def seen_as(value: float, there: float = 0.0) -> list[float]:
    """Weights of the channels of one point."""
    return [value, there] + [0.0] * (len(CHANNELS) - 2)


def logit(p: Floats) -> Floats:
    return np.log(p / (1 - p))


def noise(length: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=length)


# memory

@pytest.mark.parametrize("cell", KEEPS)
def test_a_forget_gate_of_2_to_the_minus_1_over_n_has_a_half_life_of_n_steps(cell: str) -> None:
    steps = np.array([0.5, 3.0, 40.0])
    predictor, panel = handmade(noise(90), cell=cell, hidden=3, segment=2)
    bias = gate_rows(cell, 3, logit(2 ** (-1 / steps)))[:, 0]
    main = inspect(weighted(predictor, cell__bias_ih_l0=bias), panel).main
    assert main is not None
    assert main.half_lives == pytest.approx(2 * steps, rel=1e-5)        # points: two a step
    assert list(main.order) == [0, 1, 2]


def test_a_gate_that_never_closes_has_no_end_and_one_that_is_shut_no_beginning() -> None:
    assert list(half_lives_of(np.array([[1.0, 0.0], [1.0, 0.5]]))) == [math.inf, 0.0]


@pytest.mark.parametrize("cell", KEEPS)
def test_the_gate_closes_at_a_marker_and_that_moment_is_reported_and_no_other(cell: str) -> None:
    y = np.random.default_rng(1).uniform(0.9, 1.1, 120)
    y[105] = 9.0                                                        # within the newest context of 30
    predictor, panel = handmade(y, cell=cell)
    columns = np.array([seen_as(-3.0)] * 2)
    found = inspect(weighted(predictor, cell__weight_ih_l0=gate_rows(cell, 2, columns, len(CHANNELS)),
                             cell__bias_ih_l0=gate_rows(cell, 2, np.full(2, 5.0))[:, 0]), panel)
    reset, = found.resets
    assert (reset.first, reset.last) == (105, 105)
    assert reset.level == pytest.approx(0, abs=1e-3)
    assert reset.depth + reset.level == found.usual
    assert found.usual == pytest.approx(1, abs=0.02)


def test_a_marker_in_a_segment_is_reported_as_that_segment_and_neighbours_as_one_span() -> None:
    y = np.random.default_rng(1).uniform(0.9, 1.1, 150)
    y[[133, 137]] = 9.0                                                 # segments 130..134 and 135..139
    predictor, panel = handmade(y, context=40, segment=5)
    columns = np.tile(seen_as(-3.0), (2, 5))
    found = inspect(weighted(predictor, cell__weight_ih_l0=gate_rows("lstm", 2, columns, 5 * len(CHANNELS)),
                             cell__bias_ih_l0=gate_rows("lstm", 2, np.full(2, 5.0))[:, 0]), panel)
    assert [(r.first, r.last) for r in found.resets] == [(130, 139)]


def test_a_calm_gate_has_no_moments_and_the_first_step_has_nothing_to_forget() -> None:
    predictor, panel = handmade(noise(120))
    assert inspect(predictor, panel).resets == ()
    keep = np.array([0.0, 0.9, 0.9, 0.9])
    assert resets_of(keep, np.array([False, True, True, True]), keep[1:]) == (0.9, [])


def test_a_gate_that_always_swings_and_one_that_hardly_moves_have_no_moments() -> None:
    seen = np.ones(60, dtype=bool)
    swinging, still = np.tile([0.2, 0.8], 30), np.full(60, 0.9)
    still[30] = 0.85
    assert resets_of(swinging, seen, swinging)[1] == resets_of(still, seen, still)[1] == []
    still[30] = 0.75
    assert resets_of(still, seen, still)[1] == [(30, 31, 0.75)]


def test_a_series_shorter_than_the_context_is_looked_at_where_it_is() -> None:
    predictor, _ = handmade(noise(90), context=40, segment=5)
    short = Panel.of([noise(22)], Calendar.of("step"), ids=["a"])
    main = inspect(predictor, short).main
    assert main is not None
    assert main.seen.tolist() == [False] * 4 + [True] * 4              # 3 steps before it, one that meets nothing


def test_the_rnn_forgets_by_its_jacobian() -> None:
    predictor, panel = handmade(noise(90), cell="rnn", hidden=1, context=20)
    found = inspect(weighted(predictor, cell__weight_hh_l0=np.array([[0.9]])), panel)
    assert found.main is not None
    assert found.main.half_lives == pytest.approx(math.log(0.5) / math.log(0.9), rel=1e-5)
    assert found.main.disturbance == pytest.approx(0.9 ** np.arange(20), rel=1e-5)
    assert (found.resets, found.usual, found.drivers) == ((), None, ())


def test_a_disturbance_of_the_rnn_is_the_product_of_diag_slope_times_u() -> None:
    random = np.random.default_rng(3)
    k = Weights(random.normal(size=(4, 2)), 0.7 * random.normal(size=(4, 4)), random.normal(size=4), np.zeros(4))
    x = random.normal(size=(7, 2))
    slope = scan("rnn", x[None], k)[2]["slope"][0]                      # (T, D)
    product, expected = np.eye(4), [1.0]
    for t in reversed(range(1, 7)):
        product = product @ (np.diag(slope[t]) @ k.u)                   # dh_T / dh_(t-1), columns: from
        expected.append(np.linalg.norm(product) / 2)
    gain, by_unit = disturbance("rnn", x, k, reach=6)
    assert gain == pytest.approx(np.array(expected), rel=1e-6)
    assert by_unit[-1] == pytest.approx(np.linalg.norm(product, axis=0), rel=1e-6)


def test_without_feedback_a_disturbance_of_the_memory_fades_by_the_forget_gates() -> None:
    random = np.random.default_rng(4)
    k = Weights(random.normal(size=(12, 2)), np.zeros((12, 3)), random.normal(size=12), np.zeros(12))
    x = random.normal(size=(9, 2))
    forget = scan("lstm", x[None], k)[2]["forget"][0]
    _, by_unit = disturbance("lstm", x, k, reach=8)
    assert by_unit[1:] == pytest.approx(np.cumprod(forget[:0:-1], axis=0), rel=1e-5)


def test_a_curve_has_faded_when_it_stays_below_a_half() -> None:
    assert fading(np.array([1, 0.25])) == 0.5
    assert fading(np.array([1, 0.4, 0.5, 0.25])) == 2
    assert fading(np.array([1, 0.0])) == 0
    assert fading(np.array([1, 0.9, 0.8])) == math.inf


def test_every_layer_and_direction_is_there_in_the_order_of_time() -> None:
    predictor, panel = handmade(noise(120), hidden=2, model_layers=2, model_bidirectional=True)
    found = inspect(predictor, panel)
    assert list(found.layers) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert found.main is found.layers["l1"]
    assert not found.layers["l1"].seen[0]
    assert not found.layers["l1_reverse"].seen[-1]


def test_the_layers_are_those_that_the_network_walks() -> None:
    random = np.random.default_rng(5)
    predictor, _ = handmade(noise(120), cell="gru", hidden=3, model_layers=2, model_bidirectional=True)
    shape = predictor.members[0].network.shape
    network = Network(shape, {name: random.normal(size=s).astype(np.float32) for name, s in shape.tensors.items()})
    batch = Batch(random.normal(size=(1, shape.context)))
    _, seen = network.look(batch)
    layers = layers_of(network, batch)
    for end, gates in seen.gates.items():
        for name, gate in gates.items():
            np.testing.assert_array_equal(layers[end].gates[name], gate[0])
    np.testing.assert_array_equal(np.concatenate([layers["l1"].hidden, layers["l1_reverse"].hidden], axis=1),
                                  seen.hidden[0])


def test_a_cell_of_one_step_remembers_nothing() -> None:
    predictor, panel = handmade(noise(120), context=12, segment=12)
    found = inspect(predictor, panel)
    assert found.main is not None
    assert np.isnan(found.main.half_lives).all()
    assert found.resets == ()


# what opens the input gate

@pytest.mark.parametrize(("cell", "blocks", "block", "sign"), [("lstm", 4, 0, 1), ("gru", 3, 1, -1)])
def test_an_input_gate_that_follows_the_level_is_told_so(cell: str, blocks: int, block: int, sign: int) -> None:
    predictor, panel = handmade(noise(200), cell=cell)
    rows = np.zeros((blocks, 2, len(CHANNELS)))
    rows[block, :, 0] = sign                                            # the gate sees the value
    driver, *_ = inspect(weighted(predictor, cell__weight_ih_l0=rows.reshape(2 * blocks, -1)), panel).drivers
    assert (driver.name, driver.stands_out) == ("level", True)
    assert driver.r > 0.95


@pytest.mark.parametrize(("width", "memory"), [(1, 0.8), (2, 0.0)])
def test_what_is_chance_stands_out_seldom_also_where_steps_resemble_each_other(width: int, memory: float) -> None:
    random, stood_out = np.random.default_rng(6), 0
    for _ in range(300):
        columns = random.normal(size=(64, 1 + 5 * width))
        for t in range(1, 64):
            columns[t] += memory * columns[t - 1]
        found = drivers_of(columns[:, 0], {(str(k), k * (width - 1)): columns[:, k:k + width]
                                           for k in range(1, 1 + 5 * width, width)})
        stood_out += any(driver.stands_out for driver in found)
    assert stood_out < 0.1 * 300


def test_a_phase_of_a_longer_season_is_told_by_its_length() -> None:
    predictor, panel = handmade(np.sin(2 * np.pi * np.arange(200) / 10) + 0.01 * noise(200), season=10)
    z = noise(64 * 30).reshape(64, 30)
    properties = properties_of(z, predictor.plan)
    best, *_ = drivers_of(np.sin(2 * np.pi * np.arange(64) / 10 + 1), properties)
    assert (best.name, best.period, best.r) == ("phase", 10, pytest.approx(1))
    assert len(panel) == 1


def test_few_steps_tell_nothing() -> None:
    assert drivers_of(noise(8), {("level", 0): noise(8)[:, None]}) == []


# exposure

def test_exposure_is_what_units_of_each_memory_contribute() -> None:
    predictor, panel = handmade(noise(150), hidden=3, horizon=3)
    quantiles, middle = len(predictor.quantiles), predictor.quantiles.index(0.5)
    forget = gate_rows("lstm", 3, logit(2 ** (-1 / np.array([1.0, 8.0, 100.0]))))[:, 0]     # the season is 6
    forget[6:9] = 1.0                                                   # the candidate: something to remember
    head = np.zeros((3, quantiles, 3))
    head[0, middle], head[1, middle], head[2, middle] = (1, 0, 0), (0, -1, 0), (0, 0, 1)
    found = inspect(weighted(predictor, cell__bias_ih_l0=forget, head__weight=head.reshape(-1, 3)), panel)
    assert found.exposure is not None
    assert found.exposure.shares == pytest.approx(np.eye(3))
    assert found.exposure.correction == pytest.approx(1)                # the skip says nothing
    assert found.exposure.output_gate == pytest.approx(0.5)


def test_a_network_that_says_nothing_makes_none_of_the_movement() -> None:
    predictor, panel = handmade(noise(150))
    skip = np.zeros((31, 1))
    skip[-2] = 1.0
    exposure = inspect(weighted(predictor, skip=skip), panel).exposure
    assert exposure is not None
    assert exposure.correction == pytest.approx(0)


def test_a_network_that_moves_as_much_as_the_skip_makes_half_of_the_movement() -> None:
    predictor, panel = handmade(noise(150))
    skip = np.zeros((31, 1))
    skip[-1] = -3.0                                                     # the intercept
    exposure = inspect(weighted(predictor, skip=skip, head__bias=np.full(len(predictor.quantiles), 3.0)),
                       panel).exposure
    assert exposure is not None
    assert exposure.correction == pytest.approx(0.5)


def test_attention_to_a_marker_is_found_at_its_step() -> None:
    y = np.random.default_rng(1).uniform(0.9, 1.1, 120)
    y[105] = 9.0
    predictor, panel = handmade(y, cell="rnn", hidden=1, horizon=2, model_attention=True)
    found = inspect(weighted(predictor, cell__weight_ih_l0=np.array([seen_as(1.0)]), attention__step=np.ones((2, 1)),
                             attention__key__weight=np.array([[50.0]])), panel)
    assert found.attention is not None
    assert found.attention.shape == (2, 30)
    assert found.attention.argmax(axis=1).tolist() == [15, 15]          # the context begins at 90
    assert found.attention.max(axis=1) == pytest.approx(1, abs=1e-6)


# the decoder

def test_a_decoder_forgets_what_it_was_handed_from_its_first_step_on() -> None:
    predictor, panel = handmade(noise(150), hidden=3, horizon=6, segment=2, model_head="decoder")
    steps = np.array([0.5, 3.0, 40.0])
    bias = gate_rows("lstm", 3, logit(2 ** (-1 / steps)))[:, 0]
    found = inspect(weighted(predictor, decoder__bias_ih_l0=bias), panel)
    assert found.writes is not None
    assert found.writes.half_lives == pytest.approx(2 * steps, rel=1e-5)                    # points: two a step
    assert found.writes.hidden.shape == (3, 3)
    left = np.sqrt((2 ** (-2 * np.arange(4)[:, None] / steps)).mean(axis=1))
    assert found.writes.disturbance == pytest.approx(left, rel=1e-5)    # of the state that the encoder handed over
    assert found.forecast.shape == (6, len(predictor.quantiles))


def test_the_decoders_layers_are_those_that_the_network_walks() -> None:
    random = np.random.default_rng(5)
    predictor, _ = handmade(noise(120), cell="gru", hidden=3, horizon=5, segment=2, model_layers=2,
                            model_bidirectional=True, model_head="decoder", model_embedding=True)
    shape = predictor.members[0].network.shape
    network = Network(shape, {name: random.normal(size=s).astype(np.float32) for name, s in shape.tensors.items()})
    batch = Batch(random.normal(size=(1, shape.context)))
    _, seen = network.look(batch)
    layers = decoder_of(network, batch)
    assert list(layers) == list(seen.decoder) == ["l0", "l1"]
    for end, gates in seen.decoder.items():
        for name, gate in gates.items():
            np.testing.assert_array_equal(layers[end].gates[name], gate[0])
    np.testing.assert_array_equal(layers["l1"].hidden, seen.read[0])


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_what_the_units_add_is_what_the_network_adds_to_the_skip(head: str, attention: bool) -> None:
    predictor, panel = handmade(noise(150), hidden=3, horizon=5, segment=3, model_head=head, model_attention=attention)
    network = shaken(predictor.members[0].network, spread=0.5)
    quiet = network.replace(offset=np.zeros(network.tensors["offset"].shape),
                            **{"head.weight": np.repeat(network.tensors["head.weight"].reshape(
                                -1, len(predictor.quantiles), network.tensors["head.weight"].shape[1])[:, :1],
                                len(predictor.quantiles), axis=1).reshape(network.tensors["head.weight"].shape)})
    if head == "flat" and attention:
        value = network.tensors["attention.value"]
        quiet = quiet.replace(**{"attention.value": np.repeat(value[..., :1], value.shape[-1], axis=-1)})
    quiet = quiet.replace(**{"head.bias": np.full(network.tensors["head.bias"].shape, 0.25)})
    batch = Batch(noise(2 * 30, seed=3).reshape(2, 30))                 # all quantiles are the median now
    values, seen = quiet.look(batch)
    added = moves_of(quiet, seen).sum(axis=2) + bias_of(quiet)
    np.testing.assert_allclose(values[..., 0], seen.linear + added, atol=1e-12)
    assert len(panel) == 1


# influence

@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("lag", [1, 5, 30])
def test_a_skip_that_copies_a_lag_has_all_its_influence_there(steps: int, lag: int) -> None:
    predictor, panel = handmade(noise(150))
    skip = np.zeros((31, 1))
    skip[30 - lag] = 1.0
    influence = influence_of(altered(weighted(predictor, skip=skip), steps=steps), panel)
    assert influence.top(influence.whole, 3, 6) == [(lag, pytest.approx(1), 0)]
    assert influence.network.sum() == pytest.approx(0)


def test_a_season_copied_to_every_step_is_one_lag() -> None:
    predictor, panel = handmade(noise(150), horizon=4)
    skip = np.zeros((31, 4))
    skip[30 - 6 + np.arange(4), np.arange(4)] = 1.0
    influence = influence_of(weighted(predictor, skip=skip), panel)
    assert influence.by_lag(influence.whole)[6] == pytest.approx(1)
    assert by_cycle(influence.by_lag(influence.whole), 6)[1] == pytest.approx(1)
    (lag, share, alike), = influence.top(influence.whole, 3, 6)
    assert (lag, share) == (6, pytest.approx(1))
    assert alike < 0.5


def test_a_cycle_is_what_lies_within_half_a_season_of_it() -> None:
    assert by_cycle(np.arange(16.0), 6).tolist() == [0 + 1 + 2, 3 + 4 + 5 + 6 + 7 + 8, 9 + 10 + 11 + 12 + 13 + 14, 15]


def test_a_network_that_reads_one_place_of_the_last_segment_has_all_its_influence_there() -> None:
    predictor, panel = handmade(noise(150), cell="rnn", hidden=1, segment=6)
    weights = np.zeros((1, 6 * len(CHANNELS)))
    weights[0, 2 * len(CHANNELS)] = 0.1                                 # the third of six: lag 4
    influence = influence_of(weighted(predictor, cell__weight_ih_l0=weights,
                                      head__weight=np.ones((len(predictor.quantiles), 1))), panel)
    assert influence.top(influence.network, 3, 6) == [(4, pytest.approx(1), 0)]
    assert influence.network == pytest.approx(influence.whole)


def test_a_level_read_from_one_point_moves_all_steps_alike_and_no_lag_stands_out() -> None:
    predictor, panel = handmade(noise(150), horizon=4)
    skip = np.zeros((31, 4))
    skip[28] = 1.0                                                      # the second point from the end
    influence = influence_of(weighted(predictor, skip=skip), panel)
    assert influence.top(influence.whole, 3, 6) == []
    assert influence.alike(influence.whole) == pytest.approx(influence.by_lag(influence.whole))
    assert influence.reach(influence.whole) == 2


def test_how_far_back_a_change_still_moves_the_forecast_is_told_in_distances_that_double() -> None:
    table = np.array([[8.0], [4.0], [0.0], [2.0], [1.0], [0.0], [0.0]])
    influence = Influence(table, table / 2, size=1, windows=1, context=7)
    assert [(b.first, b.last) for b in influence.back()] == [(1, 1), (2, 2), (3, 4), (5, 7)]
    assert [b.moves for b in influence.back()] == pytest.approx([1, 1 / 2, 1 / 8, 1 / 24])
    assert [b.network for b in influence.back()] == pytest.approx([1 / 2, 1 / 4, 1 / 16, 1 / 48])
    assert [b.up_to for b in influence.back()] == pytest.approx([8 / 15, 12 / 15, 14 / 15, 1])
    assert [influence.still(share) for share in (0.9, 0.5, 0.25, 0.2, 0.1)] == [1, 2, 4, 4, 5]
    assert replace(influence, whole=0 * table).still(0.1) == 0


@pytest.mark.parametrize("context", range(1, 20))
def test_the_distances_hold_every_point_of_the_context_once(context: int) -> None:
    table = np.ones((context, 2))
    spans = Influence(table, table, size=1, windows=1, context=context).back()
    assert [k for b in spans for k in range(b.first, b.last + 1)] == list(range(1, context + 1))
    assert spans[-1].up_to == pytest.approx(1)


def test_blocks_of_points_hold_the_influence_of_their_points() -> None:
    table = np.array([[2.0], [0.0], [3.0]])                             # points 1 2 | 3 4 | 5
    influence = Influence(table, table, size=2, windows=1, context=5)
    assert influence.by_point(table)[:, 0].tolist() == [1, 1, 0, 0, 3]
    assert influence.by_lag(table).tolist() == [0, 0.2, 0.2, 0, 0, 0.6]


def test_a_long_context_is_occluded_in_blocks_that_hold_the_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = 30 * 2 + 1 * 2                                             # steps of the encoder and the decoder, x units
    monkeypatch.setattr("forecast.explaining.influence.BUDGET", 12 * walked * 10)           # ten rows for each window
    predictor, panel = handmade(noise(150))
    skip = np.zeros((31, 1))
    skip[30 - 8] = 1.0
    influence = influence_of(weighted(predictor, skip=skip), panel)
    assert (influence.size, influence.windows) == (3, 12)
    assert influence.by_lag(influence.whole)[7:10] == pytest.approx(1 / 3)


def test_units_do_not_matter_to_what_counts() -> None:
    y = noise(150)
    predictor, panel = handmade(y, horizon=2)
    skip = np.random.default_rng(7).normal(size=(31, 2))
    predictor = weighted(predictor, skip=skip)
    moved = influence_of(predictor, replace(panel, y=1000 * y - 70))
    assert moved.whole == pytest.approx(influence_of(predictor, panel).whole)


def test_the_old_points_of_a_growing_series_count_for_their_season_not_for_the_growth() -> None:
    predictor, panel = handmade(np.arange(150.0), season=5)
    skip = np.ones((31, 1))
    influence = influence_of(weighted(predictor, skip=skip), panel)
    assert influence.whole[2:28] == pytest.approx(0, abs=1e-9)          # a point on a line is the mean around it


def test_a_missing_point_has_no_influence() -> None:
    y = noise(150)
    y[-4] = np.nan
    predictor, panel = handmade(y)
    skip = np.ones((31, 1))
    predictor = weighted(predictor, skip=skip)
    only_end = replace(panel, first=np.array([120]), start=np.array([120]))                 # one window
    influence = influence_of(predictor, only_end)
    assert influence.windows == 1
    assert influence.whole[3] == 0
    assert (influence.whole[:3] > 0).all()


def test_an_occluded_point_is_not_told_to_be_missing_nor_a_missing_one_to_be_there() -> None:
    y = noise(150)
    y[-4] = np.nan
    predictor, panel = handmade(y, cell="rnn", hidden=1)
    sees_whether_there = weighted(predictor, cell__weight_ih_l0=np.array([seen_as(0.0, 1.0)]),
                                  head__weight=np.ones((len(predictor.quantiles), 1)))
    assert influence_of(sees_whether_there, panel).whole == pytest.approx(0)


def test_a_series_of_yesterdays_week_is_read_a_week_back() -> None:
    random, y = np.random.default_rng(8), list(noise(7, 9))
    for _ in range(400):
        y.append(0.9 * y[-7] + 0.4 * random.normal())
    panel = Panel.of([y], Calendar.of("step"), ids=["a"])
    predictor = trained(quick(model_season=(7,), model_context=28, model_horizon=7, model_skip=False, model_hidden=16,
                              train_steps=600, train_epoch_steps=50, train_lr=0.01), panel)
    influence = inspect(predictor, panel).influence
    shares = influence.by_lag(influence.network)
    assert int(shares.argmax()) == 7
    assert shares[7] > 4 * np.delete(shares, 7).max()


# the whole

def test_a_network_that_is_not_used_is_not_shown() -> None:
    predictor, panel = handmade(noise(150))
    found = inspect(altered(predictor, steps=0), panel)
    assert (found.layers, found.main, found.exposure, found.usual) == ({}, None, None, None)


@pytest.mark.parametrize(("y", "words"), [(noise(3), "too short"), (np.r_[noise(50), np.zeros(60)], "stood still")])
def test_a_series_that_something_simpler_serves_is_refused(y: Floats, words: str) -> None:
    predictor, _ = handmade(noise(150))
    with pytest.raises(DataError, match=words):
        inspect(predictor, Panel.of([y], Calendar.of("step"), ids=["a"]))


def test_inspecting_leaves_predictor_and_panel_as_they_were(predictor: Predictor, panel: Panel) -> None:
    one = panel.take([0])
    before = one.y.copy(), {k: v.copy() for k, v in predictor.members[0].network.tensors.items()}
    found = inspect(altered(predictor, steps=1), one)
    np.testing.assert_array_equal(one.y, before[0])
    for name, tensor in predictor.members[0].network.tensors.items():
        np.testing.assert_array_equal(tensor, before[1][name])
    assert found.first == one.end[0] - predictor.plan.context


def test_the_logarithm_is_taken_before_looking() -> None:
    x = 0.3 * noise(150)
    skip = np.random.default_rng(7).normal(size=(31, 1))
    predictor, panel = handmade(x)
    straight = influence_of(weighted(predictor, skip=skip), panel)
    logged = influence_of(in_units(weighted(predictor, skip=skip), "log", panel), replace(panel, y=np.exp(x)))
    assert logged.whole == pytest.approx(straight.whole)


def test_a_series_scaled_by_its_own_scaler_is_seen_in_it() -> None:
    panel = Panel.of([50 + noise(150)], Calendar.of("step"), ids=["a"])
    predictor = trained(quick(model_scaling="standard", train_steps=0), panel)
    batch = windows_at(predictor, panel, panel.stop)
    assert batch.context[0] == pytest.approx((panel.y[-18:] - panel.y.mean()) / panel.y.std())
    assert (batch.loc[0, 0], batch.scale[0, 0]) == pytest.approx((panel.y.mean(), panel.y.std()))
