"""The prior in the place of a trained model: when it answers, and the run that it is for some data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import ModelError, RequestError
from forecast.model.hindsight import hanging_together
from forecast.system.datasource import DataSource
from forecast.tasks.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from forecast.model.predictor import Predictor
    from forecast.reading.reader import Reading
    from forecast.series.panel import Panel
    from forecast.store.run import Run

NAME = "prior"                          # with --model


def is_asked(workspace: Workspace, model: str | Run | None, data: str | Path | pd.DataFrame | None) -> bool:
    """Whether the prior answers: where it is named, and where data are named in a store without any run.

    Raises RequestError where it is named without data."""
    if model == NAME:
        return named(data) is not None
    return model == "live" and data is not None and not workspace.store.ids()


def named(data: str | Path | pd.DataFrame | None) -> str | Path | pd.DataFrame:
    """Data that were named. Raises RequestError where they were not."""
    if data is None:
        raise RequestError("the prior has no data of its own, so DATA must be named", code="no_data",
                           hint="forecast predict DATA --model prior")
    return data


def check_device(name: str | None) -> None:
    """The prior is numpy alone. Raises RequestError for a device that it cannot use."""
    if name not in (None, "auto", "cpu"):
        raise RequestError(f"--device {name}: the prior computes on the CPU", code="no_device",
                           hint="Leave out --device, or train a model")


def looking_back(predictor: Predictor, panel: Panel, steps: int) -> Predictor:
    """The prior with how its errors hang together on the past of these series, none of which it has learned from; a
    trained model, which has that from held-out windows, as it is."""
    found = None if predictor.members else hanging_together(predictor, panel.with_values()[0], steps)
    return predictor if found is None else replace(predictor, dependence=found)


def is_of_prior(run: str) -> bool:
    """Whether an issue was made by a prior, by the name of its run."""
    return run.startswith(NAME + "-")


def prior_for(workspace: Workspace, source: DataSource, given: Mapping[str, Any] | None = None, *,
              horizon: int | None = None, levels: str | None = None, name: str | None = None) -> tuple[Run, Reading]:
    """The prior as a run that was never trained, and the data as they are read for the first time.

    given: settings stronger than those of the workspace · name: of the run that it has to be. Raises RequestError where
    the horizon must be given, DataError, and ModelError for the prior of another version."""
    from forecast.model.predictor import Predictor
    from forecast.model.prior import shipped
    from forecast.store.record import RunRecord
    from forecast.store.run import Run

    prior = shipped()
    if name not in (None, own := f"{NAME}-{prior.mark}"):
        raise ModelError(f"{name} is the prior of another version of this program, which has {own}", code="no_model",
                         hint="Install that version to make its forecasts again")
    sizes = {key: value for key, value in (("model.horizon", horizon), ("model.levels", levels)) if value is not None}
    config = workspace.config.override({**(given or {}), **sizes}, source="command line")
    reading = workspace.read(source, config.data)
    predictor = Predictor.of_prior(config, reading.panel.with_values()[0], prior)
    return Run(own, workspace.store.folder, predictor, reading.contract, RunRecord(id=own), {}), reading
