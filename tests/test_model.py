from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from forecast.model.cells import CELLS
from forecast.model.channels import channels
from forecast.model.network import Shape
from forecast.series.batch import Batch
from forecast.training.torch_network import RecurrentForecaster, pinball

QUANTILES = (0.1, 0.5, 0.9)


def network(cell: str = "lstm", **changes: Any) -> RecurrentForecaster:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"context": 12, "segment": 3, "hidden": 5, "layers": 1, "horizon": 4} | changes
    return RecurrentForecaster(Shape(cell=cell, quantiles=QUANTILES, dropout=0.0, **sizes))


def test_the_untrained_network_is_its_linear_skip_plus_the_offsets() -> None:
    model, context = network(), torch.randn(6, 12)
    with torch.no_grad():
        model.skip.normal_()
        model.offset.copy_(torch.tensor([[-1.0, 0.0, 2.0]]).expand(4, 3))
    forecast = model.eval()(Batch(context)).detach()
    linear = context @ model.skip[:-1] + model.skip[-1]
    torch.testing.assert_close(forecast[..., 1], linear)
    torch.testing.assert_close(forecast[..., 2] - forecast[..., 0], torch.full((6, 4), 3.0))


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_something_the_linear_skip_cannot_say(cell: str) -> None:
    """The sign of the product of two inputs is not linear in them."""
    torch.manual_seed(0)
    context = torch.randn(256, 12)
    target = (context[:, :1] * context[:, 4:5]).sign().repeat(1, 4)
    model = network(cell, hidden=24)
    quantiles = torch.tensor(QUANTILES)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    before = float(pinball(model(Batch(context)), target, quantiles).detach())
    for _ in range(80):
        optimiser.zero_grad()
        loss = pinball(model(Batch(context)), target, quantiles)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * before


def test_forecasts_ascend_along_the_quantiles_whatever_the_weights() -> None:
    model = network()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=3)
    forecast = model.eval()(Batch(torch.randn(50, 12)))
    assert bool((forecast.diff(dim=-1) >= 0).all())


def test_missing_values_enter_as_zero_and_are_marked() -> None:
    both = channels(Batch(torch.tensor([[1.5, float("nan")]])))
    torch.testing.assert_close(both, torch.tensor([[[1.5, 1.0], [0.0, 0.0]]]))


def test_the_last_segments_reach_the_forecast_and_so_do_the_first() -> None:
    model = network()
    torch.nn.init.normal_(model.head.weight)
    context = torch.randn(1, 12, requires_grad=True)
    model(Batch(context)).sum().backward()
    assert bool((context.grad != 0).all())


def test_pinball_equals_the_loop_and_passes_over_missing_targets() -> None:
    random = np.random.default_rng(1)
    forecast, target = random.normal(size=(5, 4, 3)), random.normal(size=(5, 4))
    target[2, 1] = np.nan
    total = []
    for b in range(5):
        for h in range(4):
            if not np.isnan(target[b, h]):
                errors = [target[b, h] - forecast[b, h, k] for k in range(3)]
                total.append(np.mean([2 * max(q * e, (q - 1) * e) for q, e in zip(QUANTILES, errors, strict=True)]))
    loss = pinball(torch.tensor(forecast), torch.tensor(target), torch.tensor(QUANTILES, dtype=torch.float64))
    assert float(loss) == pytest.approx(np.mean(total))
