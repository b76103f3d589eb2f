"""What several tests need: small panels, and forecasters that train in a blink."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.pop("COLUMNS", None)                            # readline, which pytest imports, tells it to what it starts
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")        # as the commands have it: small products, side by side

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from forecast.config import Config
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.series.calendar import Calendar
from forecast.series.covariates import Column, Covariates
from forecast.series.panel import Panel
from forecast.series.units import Units
from forecast.training.fit import finished, fit, refit

settings.register_profile("steady", derandomize=True, deadline=None)    # the same examples in every run
settings.load_profile("steady")

QUICK = {"model.horizon": 4, "model.season": (6,), "model.context": 18, "model.hidden": 8, "train.steps": 15,
         "train.epoch_steps": 5, "train.batch": 32, "train.threads": 1, "model.blend": False}


def quick(**changes: object) -> Config:
    """Settings that train in a fraction of a second; `train_seed=1` changes train.seed."""
    return Config().override(QUICK | {k.replace("_", ".", 1): v for k, v in changes.items()}, source="test")


def waves(count: int = 3, length: int = 90, *, seed: int = 0, calendar: Calendar | None = None) -> Panel:
    """Positive series of season 6 with a trend and noise, of different sizes and lengths."""
    random = np.random.default_rng(seed)
    series = []
    for s in range(count):
        t = np.arange(length - 7 * s)
        series.append((s + 1) * (20 + 0.1 * t + 3 * np.sin(2 * np.pi * t / 6) + random.normal(0, 0.5, len(t))))
    return Panel.of(series, calendar or Calendar.of("step"), ids=[f"s{s}" for s in range(count)])


def shops(count: int = 3, length: int = 90, *, beyond: int = 12, seed: int = 0) -> Panel:
    """Series of season 6 that rise by 8 where a promotion stands, and by what visitors were a step before; beside them
    a promotion (known ahead), a price (known ahead, with holes), visitors (past) and a region."""
    random, panel = np.random.default_rng(seed), waves(count, length, seed=seed)
    rows = panel.lengths + beyond
    values = np.stack([random.random(rows.sum()) < 0.3, 5 + random.random(rows.sum()),
                       random.normal(100, 10, rows.sum())], axis=1).astype(np.float64)
    values[random.random(rows.sum()) < 0.05, 1] = np.nan
    first = np.cumsum(rows) - rows
    y = panel.y.copy()
    for s in range(count):
        own = values[first[s]:first[s] + panel.lengths[s]]
        y[panel.first[s]:panel.stop[s]] += (s + 1) * (8 * own[:, 0] + 0.1 * np.r_[0, own[:-1, 2] - 100])
    columns = (Column("promo", "known"), Column("price", "known"), Column("visitors", "past"),
               Column("region", "static", ("north", "south")))
    beside = Covariates(columns, values, first, panel.start, panel.start + rows,
                        np.arange(count, dtype=np.float64)[:, None] % 3)
    return replace(panel, y=y, beside=beside, row=np.arange(count))


def trained(config: Config, panel: Panel) -> Predictor:
    predictor = finished(fit(Predictor.new(config, panel), panel))
    return finished(refit(predictor, panel)) if config.train.final_fit else predictor


def altered(predictor: Predictor, **changes: object) -> Predictor:
    """The predictor with fields of its first member changed: network=..., steps=..."""
    member = replace(predictor.members[0], **changes)                   # type: ignore[arg-type]
    return replace(predictor, members=(member, *predictor.members[1:]))


def in_units(predictor: Predictor, transform: str, panel: Panel) -> Predictor:
    """The predictor thinking in these units, fitted on a panel."""
    units = Units.of(transform, predictor.config.model.scaling, predictor.plan.season, panel)
    return altered(predictor, units=units)


def shaken(network: Network, *, seed: int = 1, spread: float = 0.1) -> Network:
    """The same shape with random weights everywhere: properties of the pipeline hold for any."""
    random = np.random.default_rng(seed)
    return network.replace(**{name: spread * random.standard_normal(t.shape) for name, t in network.tensors.items()})


@pytest.fixture(autouse=True)
def _denormals_as_found() -> Iterator[None]:
    """Training flushes denormals in its process; hypothesis, which draws them, must not meet that."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def panel() -> Panel:
    return waves()


@pytest.fixture(scope="session")
def predictor(panel: Panel) -> Predictor:
    """Trained once; tests must leave it as it was."""
    return trained(quick(), panel)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """To stand in: a copy of the folder that a file of tests has `trained` a model in."""
    shutil.copytree(request.getfixturevalue("trained"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
