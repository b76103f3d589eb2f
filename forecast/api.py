"""The Python door: data frames in, data frames out, by the rules, settings, store and numbers of the commands.

    import forecast

    model = forecast.train(frame, horizon=12)       # or a path
    model.predict()                                 # what follows, as a data frame
    model.evaluate()                                # past forecasts beside simple ones
    model.explain("north")                          # gates, memory, which past values count
    forecast.load("live").predict(newer_frame)      # later, or elsewhere
    forecast.predict(frame)                         # at once, without any training

Nothing is printed and nothing exits. What cannot be done raises a class of errors.py, with `code`, `row`, `column` and
`hint`; a frame stays as it was. One training runs at a time in a process; forecasts may be made beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Unpack

import pandas as pd
import pyarrow as pa

from forecast.door.answers import Scores, frame_of
from forecast.door.asking import Heard, drawn_of, engine_for, ids_of, moment_of, named_by, options_of, without
from forecast.door.inside import Inside
from forecast.door.keywords import (
    Asked,
    AtOnce,
    Drawn,
    Ids,
    Scored,
    Settings,
    Several,
    Workers,
    check_known,
    flags_of,
    text_of,
)
from forecast.door.words import in_python, said, spoken
from forecast.errors import GateError, Problem, RequestError
from forecast.ledger.options import Options
from forecast.reading.contract import Contract
from forecast.reading.rows import Repair
from forecast.reading.sources.frames import as_frame, zone_of
from forecast.store.record import RunRecord
from forecast.system import machine
from forecast.tasks import check as checking
from forecast.tasks import predict as predicting
from forecast.tasks.workspace import Workspace

if TYPE_CHECKING:
    from forecast.store.run import Run

    class Turns(Protocol):
        """What turns into a data frame: tables of polars, of Arrow."""

        def to_pandas(self) -> pd.DataFrame: ...

    Data: TypeAlias = str | os.PathLike[str] | pd.DataFrame | pd.Series[Any] | Turns

__all__ = ["Check", "Inside", "Model", "Scores", "check", "load", "predict", "read", "train"]
_TRAINING = threading.Lock()            # torch has one set of settings for the whole process


def _workspace(store: str | os.PathLike[str] | None, flags: Mapping[str, Any] | None = None) -> Workspace:
    workspace = Workspace.at(Path(), store=None if store is None else Path(store), flags=flags)
    workspace.check_store()
    return workspace


def _named(data: Data) -> str | pd.DataFrame:
    """A path as text, or a data frame."""
    return str(os.fspath(data)) if isinstance(data, (str, os.PathLike)) else as_frame(data)


@contextmanager
def _alone() -> Iterator[None]:
    """One training at a time; torch's settings are as they were afterwards."""
    with _TRAINING, machine.lent():
        yield


def _attrs_of(repairs: Sequence[Repair], notes: Sequence[str], *, of_frame: bool) -> dict[str, list[str]]:
    return {"repairs": [spoken(r.message + (f" ({r.flag})" if r.flag else ""), of_frame=of_frame) for r in repairs],
            "notes": [spoken(note, of_frame=of_frame) for note in notes]}


@in_python()
def read(path: Data, /, *, settings: Mapping[str, Any] | None = None, **keywords: Unpack[Settings]) -> pd.DataFrame:
    """The series of a file, or of a frame, as every command reads them: id (where there are several), time, target.

    Rows are in order, gaps filled by `fill` ("mask" leaves NaN), times real time stamps. `.attrs` says what was done:
    "repairs" and "notes" (lists of str), "frequency".

    settings by name: time="date", target="sales", id="store", decimal=",", tz="Europe/Berlin", ...
    Raises DataError for what cannot be read, RequestError for a setting that is not known."""
    data = _named(path)
    checked = checking.looked_at(_workspace(None, flags_of(keywords, settings)), data)
    if checked.reading is None:
        assert checked.refusal is not None
        raise checked.refusal
    reading = checked.reading
    frame = frame_of(checking.as_read(reading, typed=True), reading.contract)
    frame.attrs |= _attrs_of(reading.repairs, reading.notes, of_frame=not isinstance(data, str))
    frame.attrs["frequency"] = reading.contract.calendar.freq
    return frame


@dataclass(frozen=True)
class Check:
    """What was found in data. outcome: "exact", "repaired" or "refused"; the last four are None where it is refused."""

    outcome: str
    problems: tuple[Problem, ...]       # why it is refused, or what was set aside: code, message, row, column, hint
    repairs: tuple[Repair, ...]         # what was mended: kind, count, message, flag (the setting), examples
    notes: tuple[str, ...]              # what was assumed
    columns: dict[str, Any] | None      # id, time, target (a list)
    frequency: str | None
    series: int | None
    rows: int | None

    @property
    def is_usable(self) -> bool:
        return self.outcome != "refused"

    def __str__(self) -> str:
        head = self.outcome if self.columns is None else (
            f"{self.outcome}: {self.rows} rows, {self.series} series, step {self.frequency}, columns {self.columns}")
        return "\n".join([head, *(f"problem   {p}" for p in self.problems),
                          *(f"repaired  {r.message}" for r in self.repairs), *(f"note      {n}" for n in self.notes)])


@in_python()
def check(data: Data, /, *, settings: Mapping[str, Any] | None = None, **keywords: Unpack[Settings]) -> Check:
    """Everything that is wrong with a file or a frame, and the setting that mends it. Data that are refused raise
    nothing: the outcome says so.

    Raises RequestError for a setting that is not known, or what is no data at all."""
    named = _named(data)
    checked = checking.looked_at(_workspace(None, flags_of(keywords, settings)), named)
    content, reading, is_frame = checked.to_dict(), checked.reading, not isinstance(named, str)
    repairs = tuple(replace(r, message=spoken(r.message, of_frame=is_frame), flag=r.flag and spoken(r.flag).strip("="),
                            examples=tuple(map(said, r.examples))) for r in (reading.repairs if reading else ()))
    notes = tuple(spoken(note, of_frame=is_frame) for note in (reading.notes if reading else ()))
    return Check(checked.outcome, tuple(map(said, checked.problems)), repairs, notes, content["columns"],
content["frequency"], content["series"], content["rows"])


@in_python()
def train(data: Data, /, *, store: str | os.PathLike[str] | None = None, name: str | None = None,
          promote: str = "auto", min_skill: float | None = None, start: str | None = None, resume: bool = False,
          wait: str | None = None, settings: Mapping[str, Any] | None = None, **keywords: Unpack[Settings]) -> Model:
    """Fit a forecaster on a data frame or a file, backtest it, keep it in the store, and make it live.

    With no setting at all it works on any sensible data: a column (or index) of times, one of numbers, and one that
    names the series where there are several; or one column a series.

    settings by name: horizon=12, season=12, levels=(80, 95), quick=True, seed=1, ...; or by their whole names,
    settings={"train.lr": 0.003}; a keyword stands above FORECAST_* variables and forecast.toml.
    store: folder of the models, `.forecast` here by default. name: to call the run by. promote: "auto" makes it live
    unless the live model is better on data new to both, "always", "never". min_skill: go live only so much better than
    the better simple forecast. start: go on from the networks of this run ("live"). resume: go on with a training that
    was broken off. wait: so long for another process that writes to the store ("10m"); else BusyError.

    Raises DataError, RequestError, ModelError, BusyError, DiskError; and GateError where a run does not reach
    min_skill: it is saved, and `forecast.load` has it. One that the live model outdoes is no error: see is_live."""
    from forecast.tasks import train as training

    named = _named(data)
    workspace = _workspace(store, flags_of(keywords, settings))
    request = training.Request(named, name=name, promote=promote, min_skill=min_skill, origin=start, resume=resume,
                               wait=wait)
    with _alone():
        trained = training.train(workspace, request)
    if (refusal := trained.refusal) is not None and min_skill is not None:
        raise GateError(replace(refusal.problem, hint=f"{trained.before or 'No model'} serves; "
                                f"forecast.load({trained.run!r}) has this one, and promote='always' overrules"))
    return Model(workspace.run(trained.run), workspace.store.folder, None if isinstance(named, str) else named)


@in_python()
def predict(data: Data, /, *, series: Ids | None = None, mean: bool = False,
            settings: Mapping[str, Any] | None = None, **keywords: Unpack[AtOnce]) -> pd.DataFrame:
    """Forecast a data frame or a file at once, without any training, by the network that comes with the program.

    settings by name, as in `train`: horizon=12, season=12, levels=(80, 95), time="date", ... series: only these ids.
    mean: a column of expected values beside the median. samples, sum, by, event, together, seed: paths, totals or
    chances in place of bands, as of Model.predict, and so are the columns; nothing is kept. jobs: processes that share
    the work (in a script, below `if __name__ == "__main__":`); engine, address: Ray in their place.
    Raises DataError, RequestError."""
    named = _named(data)
    asked = Drawn.__annotations__.keys() - {"seed"}                     # which is a setting, too
    drawn = drawn_of(keywords) if keywords.keys() & asked else None
    flags = flags_of(without(keywords, asked | Workers.__annotations__.keys()), settings)
    request = predicting.Request(named, model="prior", options=Options(series=ids_of(series), mean=mean), typed=True,
                                 record=False, drawn=drawn, engine=engine_for(keywords))
    predicted = predicting.predict(_workspace(None, flags), request)
    return _answer(predicted, predicted.page.contract, None if isinstance(named, str) else named)


@in_python()
def load(name: str | os.PathLike[str] = "live", *, store: str | os.PathLike[str] | None = None) -> Model:
    """A model of the store: "live", a run's id or its beginning, the name it was given, or a path to its folder.

    Raises ModelError where it is missing, or not as it was written, RequestError for what is no name."""
    workspace = _workspace(store)
    return Model(workspace.run(name), workspace.store.folder)


def _answer(predicted: predicting.Predicted, contract: Contract, given: pd.DataFrame | None) -> pd.DataFrame:
    """The forecasts as a frame, times in the zone of the frame that was given, if its stamps know one."""
    of_frame, zone = given is not None, None if given is None else zone_of(given, contract.time)
    answer = frame_of(pa.concat_tables(predicted.tables), contract, zone)
    answer.attrs |= {
        "model": predicted.run, "fingerprint": predicted.fingerprint, "fell_back": predicted.fell_back,
        "issue": predicted.issue and predicted.issue.id,
        "repairs": [spoken(text, of_frame=of_frame) for text in predicted.repairs],
        "notes": [spoken(text, of_frame=of_frame) for text in predicted.notes],
        "remarks": [f"{remark.series}: {remark.message}" for remark in predicted.remarks]}
    return answer


class Model:
    """A trained forecaster. It is in memory: what happens to its folder, or which model is live, changes nothing."""

    def __init__(self, run: Run, store: Path, data: pd.DataFrame | None = None) -> None:
        """`store`: the folder whose settings and ledger count. `data`: the frame it was trained on."""
        self._run, self._store, self._data = run, store.absolute(), data

    @property
    def id(self) -> str:
        """The run, as `forecast models` lists it."""
        return self._run.id

    @property
    def horizon(self) -> int:
        """Steps it forecasts, unless other ones are asked for."""
        return self._run.predictor.plan.horizon

    @property
    def season(self) -> int:
        """Steps in a season, the main one; 1 for none."""
        return self._run.predictor.plan.season

    @property
    def levels(self) -> tuple[float, ...]:
        """The bands it gives, in percent."""
        return self._run.predictor.config.model.levels

    @property
    def metrics(self) -> dict[str, Any]:
        """The scores of its backtest, as in metrics.json; {} where the data were too short for one."""
        return dict(self._run.metrics)

    @property
    def record(self) -> RunRecord:
        """What made it, as in run.json."""
        return self._run.record

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self._run.folder.absolute()

    @property
    def is_live(self) -> bool:
        """Whether `forecast predict` would use it now."""
        return _workspace(self._store).store.live() == self.id

    def __repr__(self) -> str:
        run, data = self._run, self._run.record.data
        serves = str(self.metrics.get("serves", run.predictor.name))
        own = self.metrics.get("models", {}).get(serves, {})
        scores = [f"MASE {own['mase']:.3g}"] if own.get("mase") is not None else []
        scores += [f"skill {own['skill']:+.0%}"] if own.get("skill") is not None else []
        return (f"<Model {self.id} ({'live' if self.is_live else 'not live'}): {self.horizon} "
                f"{run.contract.calendar.unit} ahead, season {self.season}, served by {serves}; trained on {data.rows} "
                f"rows of {data.series} series, {data.first} .. {data.last}"
                + (f"; backtest {', '.join(scores)}" if scores else "") + ">")

    @in_python()
    def predict(self, frame: Data | None = None, *, horizon: int | None = None,
                levels: float | Sequence[float] | str | None = None, series: Ids | None = None,
                mean: bool = False, as_of: str | date | pd.Period | None = None, record: bool = False,
                **options: Unpack[Asked]) -> pd.DataFrame:
        """What follows a data frame, or a file; without either, what follows its training data as they are now.

        The columns are those of predictions.csv: id (where there are several series) and time as the data call them,
        yhat (the median), yhat_lo_80, yhat_hi_80, ..., cutoff, model, source. Times are time stamps, in the zone of the
        data where they have one. The numbers are those of the command, to the bit.
        `.attrs`: "model", "fingerprint" of the data, "repairs", "notes", "remarks", "fell_back" (series that a simpler
        forecast served, or none), "issue".

        horizon: steps, shorter or longer than trained. levels: bands, among those trained. series: only these ids.
        mean: a column of expected values, for totals. as_of: from what was known then. options: future, what is known
        of the horizon, a frame or a file of ids, times, columns (`model.future()` has the rows); fill_future="last",
        nonnegative, allow_negative, round, accept_scale, max_age="2d", missing, spikes, device; plot="x.png"; adapt, by
        how often earlier bands missed, with record=True; jobs, engine, address as of forecast.predict.
        In place of bands (`forecast help paths`): samples=100, paths; sum="week", totals, and by="region" those of
        groups; event="max > 90", its chance. seed, together, layout="long" as of the command.
        record: keep the forecast in the ledger. A forecast that is only looked at is issued to nobody, so by default it
        is not kept. A frame lies in no place by which the ledger could find it again, so it cannot be.

        Raises DataError, RequestError, ModelError, StaleError."""
        check_known(options, Asked.__annotations__, "predict()",
                    own=("horizon", "levels", "series", "mean", "as_of", "record"))
        data, contract = self._of(frame), self._run.contract
        if record and isinstance(data, pd.DataFrame):
            raise RequestError("a frame has no place that the ledger could name", code="no_place",
                               hint="Give the file it was read from, or leave out record=True")
        steps = flags_of({"horizon": horizon}).get("model.horizon")
        request = predicting.Request(
            data, model=self._run, horizon=steps, options=options_of(options, series, mean=mean),
            levels=text_of(levels), as_of=moment_of(as_of, contract), max_age=options.get("max_age"),
            device=options.get("device"), typed=True, plot=options.get("plot"), engine=engine_for(options),
            accept_scale=options.get("accept_scale", False), record=record, drawn=drawn_of(options),
            future=None if options.get("future") is None else _named(options["future"]))
        with _alone() if request.device else nullcontext():
            predicted = predicting.predict(_workspace(self._store), request)
        return _answer(predicted, contract, data if isinstance(data, pd.DataFrame) else None)

    @in_python()
    def future(self, frame: Data | None = None, *, horizon: int | None = None) -> pd.DataFrame:
        """The rows of the horizon in which columns known ahead are to be filled in, for `predict(future=...)`: ids,
        times, and what is known of these columns already. Raises RequestError where the model uses none, DataError."""
        from forecast.tasks import future as planning

        data, steps = self._of(frame), flags_of({"horizon": horizon}).get("model.horizon")
        rows = planning.future(_workspace(self._store), planning.Request(data, self._run, steps, typed=True)).table
        zone = zone_of(data, self._run.contract.time) if isinstance(data, pd.DataFrame) else None
        return frame_of(rows, self._run.contract, zone)

    @in_python()
    def whatif(self, change: Several = (), frame: Data | None = None, *, instead: Data | None = None,
               future: Data | None = None, fill_future: str | None = None, horizon: int | None = None,
               series: Ids | None = None) -> pd.DataFrame:
        """The forecast with and without a change of what is known ahead, and their difference, as in whatif.csv.

        change: "promo=1 @ 2026-12-01..2026-12-07", or several. instead: a second plan, in place of `future`. The rest
        is as of predict(). `.attrs`: "totals" over the horizon by series, "remarks", whose difference is to be doubted.
        Raises RequestError, DataError."""
        from forecast.tasks import whatif as task

        asked, heard = (change,) if isinstance(change, str) else tuple(change), Heard()
        data, steps = self._of(frame), flags_of({"horizon": horizon}).get("model.horizon")
        request = task.Request(data, self._run, steps, asked, fill_future=fill_future, series=ids_of(series),
                               future=None if future is None else _named(future), output=None,
                               instead=None if instead is None else _named(instead))
        found = task.whatif(_workspace(self._store), request, heard)
        zone = zone_of(data, self._run.contract.time) if isinstance(data, pd.DataFrame) else None
        answer = frame_of(found.table, self._run.contract, zone)
        answer.attrs |= {"totals": [vars(d) for d in found.totals], "remarks": heard.warnings}
        return answer

    @in_python()
    def evaluate(self, frame: Data | None = None, *, baselines: Several = ("seasonal_naive", "naive"),
                 accept_scale: bool = False, event: str | None = None, by: Several | None = None,
                 settings: Mapping[str, Any] | None = None, **keywords: Unpack[Scored]) -> Scores:
        """Score it on what came after rolling cutoffs, beside simple baselines; nothing is written.

        It is never scored on data it has seen: on newer data it is taken as it is, else its settings are fitted anew on
        what stood before the first cutoff. settings by name: windows=4, step=1, test_size=30, refit="each", season=7.
        jobs, engine, address: as of forecast.predict.

        Raises DataError, RequestError, ModelError."""
        from forecast.tasks import evaluate as evaluating

        workspace = _workspace(self._store, flags_of(without(keywords, Workers.__annotations__), settings))
        names = baselines if isinstance(baselines, str) else ",".join(baselines)
        request = evaluating.Request(self._of(frame), model=self._run, baselines=names, accept_scale=accept_scale,
                                     event=event, by=named_by(by), engine=engine_for(keywords))
        with _alone():
            return Scores.of(evaluating.evaluate(workspace, request))

    @in_python()
    def explain(self, series: str | int | None = None, *, frame: Data | None = None, lags: int = 5,
                future: Data | None = None, fill_future: str | None = None) -> Inside:
        """What the cell forgets, lets in and exposes while it reads the context of the next forecast of a series (by
        default the first one), and which past values move that forecast: frames, and a picture by `.draw("x.png")`.

        lags: so many that stand out are named in `.summary`. future, fill_future: as of predict().
        Raises DataError for a series that no network serves, RequestError for one that is not there, ModelError."""
        from forecast.tasks import explain as explaining

        request = explaining.Request(None if series is None else str(series), self._of(frame), self._run, lags=lags,
                                     fill_future=fill_future, future=None if future is None else _named(future))
        return Inside.of(explaining.explain(_workspace(self._store), request))

    def _of(self, data: Data | None) -> str | pd.DataFrame | None:
        return self._data if data is None else _named(data)
