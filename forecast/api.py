"""The door for Python: train, predict and evaluate on pandas data frames, by the rules of the commands.

    import forecast

    model = forecast.train(frame, horizon=12)           # a Model, saved and live in the store
    ahead = model.predict()                             # a DataFrame: id, time, yhat, the bands, ...
    scores = model.evaluate(frame)                      # Scores: .summary, .per_series, .by_step

The same checks, defaults, errors, store and numbers as the commands: data as a frame and as a file give the same
bytes. Nothing is printed, and nothing exits: what goes wrong raises a ForecastError (see forecast.errors) with `code`,
`row`, `column` and `hint`. A frame is left as it was. Two threads may use two models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.config import SETTINGS
from forecast.errors import ForecastError, Problem, RequestError
from forecast.system import machine
from forecast.tasks.teller import SILENT
from forecast.tasks.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from forecast.reading.reader import Reading
    from forecast.scoring.backtest import Scores
    from forecast.store.run import Run
    from forecast.tasks.check import Checked

PRESETS = ("quick", "best")
FIRST = ("data", "model", "train", "backtest")                          # sections, where a name stands in several


@dataclass(frozen=True)
class Model:
    """A trained run of a store. Made by `train` and `load`; its files are in `folder`."""

    run: Run = field(repr=False)
    workspace: Workspace = field(repr=False)
    data: Any = field(default=None, repr=False)         # the frame it was trained on, or None

    @property
    def id(self) -> str:
        """The run's id, as in `forecast models`."""
        return self.run.id

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def horizon(self) -> int:
        """Steps that it was trained to forecast."""
        return self.run.predictor.plan.horizon

    @property
    def season(self) -> tuple[int, ...]:
        """Steps in a season, the main one first."""
        return self.run.predictor.plan.seasons

    @property
    def levels(self) -> tuple[float, ...]:
        """Its bands, in percent."""
        return self.run.predictor.config.model.levels

    @property
    def serves(self) -> str:
        """What carries its forecasts, the largest share first."""
        return self.run.predictor.name

    @property
    def metrics(self) -> dict[str, Any]:
        """The scores of its backtest, as metrics.json has them; empty where the data were too short for one."""
        return dict(self.run.metrics)

    @property
    def is_live(self) -> bool:
        """Whether it is the model that serves in its store now."""
        return self.workspace.store.live() == self.id

    def __repr__(self) -> str:
        return f"<Model {self.id}: {self.serves}, horizon {self.horizon}, {len(self.run.contract.ids)} series>"

    def predict(self, data: Any = None, *, horizon: int | None = None, levels: Sequence[float] | None = None,
                series: Sequence[str] | None = None, mean: bool = False, allow_negative: bool = False,
                accept_scale: bool = False) -> pd.DataFrame:
        """The next steps of each series, a row a series and step, as `forecast predict` writes them.

        data: a DataFrame or a path with the history; by default what the model was trained on, as that stands now.
        Columns: the data's own id (where there is one) and time, yhat (the median), yhat_lo_80, ..., with `mean`
        yhat_mean, then cutoff, model, source. Times are time stamps. `.attrs["remarks"]` says what has to be known of
        some series. A forecast from here is not kept in the ledger: that is for what is issued by the command.

        Raises DataError, ModelError and RequestError."""
        import pyarrow as pa

        from forecast.ledger.options import Options
        from forecast.series.forecast import in_parts
        from forecast.tasks import issuing
        from forecast.tasks.predict import chosen
        from forecast.writing.layouts import Page, levels_of, table_of

        with _pythonic():
            reading = self._read(data)
            if not accept_scale:
                reading.check_scale()
            options = Options(series=tuple(series) if series else None, mean=mean, allow_negative=allow_negative)
            panel, _ = chosen(reading.panel, options.series).with_values()
            asked = None if levels is None else ",".join(f"{level:g}" for level in levels)
            page = Page(self.run.contract, levels_of(asked, self.levels), self.id, mean)
            forecaster = issuing.forecaster_of(self.run, options)
            parts = list(in_parts(forecaster, panel, horizon or self.horizon))
            frame: pd.DataFrame = pa.concat_tables([table_of(part, page, "default", typed=True) for part in parts]
                                                   ).to_pandas()
            self._zoned(frame, data)
            frame.attrs = {"model": self.id, "repairs": [r.message for r in reading.repairs],
                           "notes": list(reading.notes), "remarks": [r.message for p in parts for r in p.remarks]}
            return frame

    def evaluate(self, data: Any = None, **settings: Any) -> Scores:
        """Scores of a rolling backtest, as `forecast evaluate` gives them: data newer than the training data are scored
        by the model as it is; on its own data its settings are fitted on what stood before the first cutoff.

        settings: as in `train` (windows=5, step=1, test_size=24). `.summary` has a row a forecaster, `.per_series` one
        for each forecaster and series, `.by_step` one for each step; `.own` and `.reference` are rows as dictionaries.
        Raises DataError, ModelError and RequestError."""
        from forecast.tasks import evaluate as task

        with _pythonic():
            workspace = replace(self.workspace, flags=_flags(settings))
            given = self.data if data is None else data
            scores = task.evaluate(workspace, task.Request(given, model=self.id), SILENT).scores
            assert scores is not None                                   # those of issued forecasts alone may be none
            return scores

    def _zoned(self, frame: pd.DataFrame, data: Any) -> None:
        """Give times that are UTC their zone: that of the data given, else the one it was trained with, else UTC."""
        contract, given = self.run.contract, self.data if data is None else data
        if not (contract.utc and contract.calendar.is_time):
            return
        is_column = contract.time in getattr(given, "columns", ())
        times = given[contract.time] if is_column else getattr(given, "index", None)
        zone = getattr(getattr(times, "dtype", None), "tz", None) or contract.tz or "UTC"
        for name in (contract.time, "cutoff"):
            frame[name] = frame[name].dt.tz_localize("UTC").dt.tz_convert(zone)

    def _read(self, data: Any) -> Reading:
        given = self.data if data is None else data
        source = self.workspace.source_of(self.run) if given is None else self.workspace.source(given)
        return self.workspace.read_for(self.run, source)


def train(data: Any, *, store: str | Path | None = None, name: str | None = None, promote: str = "auto",
          settings: Mapping[str, Any] | None = None, **named: Any) -> Model:
    """Train on a DataFrame or a file, as `forecast train` does, and give back the model that was saved.

    data: long (an id column, a time column, a target), or wide (a time column or index, a column a series), or one
    series. Columns are found by their names, or named: id="store", time="date", target="sales".
    named: any setting by its own name, as horizon=12, season=12, levels=(80, 95), quick=True, seed=1; settings: the
    same by section, as {"train.lr": 0.003}. Those of forecast.toml and of the environment count, too.
    store: where runs are kept; by default .forecast here. promote: "auto", "always" or "never" go live.

    Raises DataError for data that cannot be used, RequestError for an unknown setting, BusyError, DiskError. A run
    that was not good enough to go live is no error: see `Model.is_live` and `Model.metrics`."""
    from forecast.tasks import train as task

    with _pythonic():
        if data is None:
            raise RequestError("there is nothing to train on", code="no_data", hint="Pass a DataFrame, or a path")
        machine.prepare()
        workspace = Workspace.at(Path(), store=store, flags=_flags({**(settings or {}), **named}))
        trained = task.train(workspace, task.Request(data, name=name, promote=promote), SILENT)
        return Model(workspace.run(trained.run), workspace, None if isinstance(data, (str, Path)) else data)


def load(name: str = "live", *, store: str | Path | None = None) -> Model:
    """A model of the store: "live", a run's id, its beginning, the name it was given, or a path. Raises ModelError."""
    with _pythonic():
        workspace = Workspace.at(Path(), store=store)
        return Model(workspace.run(name), workspace)


def read(data: Any, **named: Any) -> pd.DataFrame:
    """A file or frame as the commands read it, checked and regular: columns id (where there is one), time, target.

    named: settings of reading, as decimal=",", fill="zero". `.attrs` has "repairs", "notes" and "frequency". Raises
    DataError."""
    from forecast.tasks.check import as_read

    with _pythonic():
        workspace = Workspace.at(Path(), flags=_flags(named))
        reading = workspace.read(workspace.source(data))
        frame: pd.DataFrame = as_read(reading, typed=True).to_pandas()
        frame.attrs = {"repairs": [r.message for r in reading.repairs], "notes": list(reading.notes),
                       "frequency": reading.contract.calendar.freq}
        return frame


def check(data: Any, **named: Any) -> Checked:
    """What would become of a file or frame: `.outcome` ("exact", "repaired", "refused"), `.problems`, `.reading`, and
    all of it by `.to_dict()`. Data that are refused raise nothing here. named: settings of reading."""
    from forecast.errors import DataError
    from forecast.tasks.check import Checked

    with _pythonic():
        workspace = Workspace.at(Path(), flags=_flags(named))
        source = workspace.source(data)
        try:
            return Checked(source.name, workspace.read(source))
        except DataError as error:
            return Checked(source.name, None, _translated(error))


def _flags(named: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their own names or by section -> by section. Raises RequestError for one that is not there."""
    flags: dict[str, Any] = {}
    for name, value in named.items():
        if name in PRESETS:
            if value:
                flags["train.preset"] = name
            continue
        key = name if "." in name else next((f"{part}.{name}" for part in FIRST if f"{part}.{name}" in SETTINGS), name)
        if key not in SETTINGS:
            short = {key.split(".")[1]: key for key in SETTINGS}
            close = get_close_matches(name.split(".")[-1], [*short, *PRESETS], n=1)
            raise RequestError(f"there is no setting {name!r}", code="unknown_setting",
                               hint=f"Did you mean {close[0]}=?" if close else f"Known: {', '.join(short)}")
        flags[key] = value
    return flags


@contextmanager
def _pythonic() -> Iterator[None]:
    """Errors in here speak of keywords (decimal=) where the command line has flags (--decimal)."""
    try:
        yield
    except ForecastError as error:
        raise _translated(error) from error


def _translated(error: Any) -> Any:
    """The same error for a Python caller."""
    def keyword(flag: re.Match[str]) -> str:
        name, value = flag.group(1).replace("-", "_"), flag.group(2)
        choices = next((SETTINGS[f"{part}.{name}"].choices for part in FIRST if f"{part}.{name}" in SETTINGS), ())
        if value and (value in choices or value[0] in "'%" or value.lstrip("-")[:1].isdigit()):
            return f"{name}={value if value[0] == chr(39) else repr(value)}"
        return f"{name}=" + (f" {value}" if value else "")

    def said(text: str | None) -> str | None:
        return None if text is None else re.sub(r"--([a-z][a-z-]*)(?: ('[^']*'|[^\s,;]+))?", keyword, text)

    problems = [replace(p, message=said(p.message) or "", hint=said(p.hint)) for p in error.problems]
    first: Problem = problems[0]
    return type(error)(first, more=problems[1:])
