"""predict: the live model, the present contents of the file, one file of forecasts, one line in the ledger."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.config import SETTINGS
from forecast.errors import DataError, ForecastError, RequestError, StaleError
from forecast.ledger.freshness import seconds_old
from forecast.ledger.options import Options
from forecast.series.forecast import Forecast, Remark, in_parts, part_size, quantile_grid
from forecast.showing.ink import check_picture
from forecast.showing.pictures import Gallery, draw_fans
from forecast.system import clock, machine
from forecast.system.datasource import DataSource
from forecast.system.engine import Engine
from forecast.tasks import issuing, joint, plans, prior, shards
from forecast.tasks.groups import judge_of
from forecast.tasks.teller import SILENT, Teller, tell_forecast, tell_model
from forecast.tasks.workspace import Workspace
from forecast.text import counted, listed
from forecast.writing.layouts import Page, check_layout, check_output, levels_of, table_of, writing
from forecast.writing.places import FOLDER, Place

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from forecast.ledger.adaptation import Track
    from forecast.ledger.issue import Draft, Issue
    from forecast.reading.reader import Reading
    from forecast.series.panel import Panel
    from forecast.store.run import Run

STDOUT = "-"
DEVICES = SETTINGS["train.device"].choices
MOST_SOURCES = 4                        # told one by one


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises RequestError for what cannot be asked, before any work.

    output: a path, a folder with a / behind it, an address of a table, "-" for whoever takes the bytes, or None: the
    rows are in the result alone."""

    data: str | Path | pd.DataFrame | None = None       # None: the file that the model was trained on
    model: str | Run = "live"
    horizon: int | None = None              # None: as trained
    output: str | Path | None = None
    options: Options = field(default_factory=Options)
    levels: str | None = None               # bands, "80,95"; None: those trained
    as_of: str | None = None                # forecast from what was known then
    max_age: str | None = None              # the newest point may be so old
    require_new: bool = False               # refuse where nothing is new since the last answer
    accept_scale: bool = False              # also where the newest values have the size of another unit
    future: str | Path | pd.DataFrame | None = None     # a plan: what is known of the horizon
    device: str | None = None               # None: the CPU, without torch
    plot: str | Path | None = None
    size: int | None = None                 # series at a time; None: as many as memory should be spent on
    typed: bool = False                     # the rows of the result hold time stamps, not text
    drawn: joint.Asked | None = None        # what is written in place of the bands: paths, totals or chances
    engine: Engine | None = None            # who works beside this process
    record: bool = True                     # keep the issue in the ledger, and tell what is new since the last one

    def __post_init__(self) -> None:
        if self.output is not None:
            check_output(str(self.output), self.options.layout if self.drawn is None else None)
        if self.drawn is None:
            check_layout(self.options.layout)
        if self.options.mean and self.options.layout not in ("default", "nixtla"):
            raise RequestError(f"--mean has no column in --layout {self.options.layout}", code="bad_setting",
                               hint="Use --layout default or nixtla")
        shards.share_of(self.options.shard)
        if self.options.shard and self.drawn is not None and self.drawn.by is not None:
            raise RequestError("--by: a group may have series in several shards, and --shard knows those of one",
                               code="bad_setting", hint="Leave out --shard")
        if self.options.shard and self.output is not None and str(self.output).endswith((FOLDER, ".xlsx")):
            raise RequestError(f"--shard: -o {self.output} cannot hold a part of a forecast", code="bad_ending",
                               hint=f"Name a file, as in -o part-{self.options.shard.partition('/')[0]}.parquet")
        if self.device not in (None, *DEVICES):
            raise RequestError(f"--device {self.device}: takes one of {', '.join(DEVICES)}", code="bad_setting")
        if self.engine is not None and self.device is not None:
            raise RequestError("--device is for one process, and workers compute on CPUs", code="bad_setting",
                               hint="Leave out --device, or --jobs and --engine")
        if not self.record and (self.output is not None or self.require_new or self.options.adapt is not None):
            raise RequestError("what is written, or goes by earlier issues, is recorded", code="bad_setting")
        plans.check_fill(self.options.fill_future)
        if self.plot is not None:
            check_picture(self.plot)


@dataclass
class Tally:
    """What is counted while forecasts are made part by part, and said at the end. parts: only the first of them.
    tables: the rows, where no file takes them."""

    sources: Counter[str] = field(default_factory=Counter)
    fell: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    parts: list[Forecast] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    gallery: Gallery | None = None          # of who is to be drawn

    def add(self, part: Forecast, table: pa.Table | None) -> None:
        sources = part.source.tolist()
        self.sources.update(sources)
        if any(name.startswith("fallback") for name in set(sources)):
            self.fell += [str(i) for i, name in zip(part.panel.ids, sources, strict=True)
                          if name.startswith("fallback")]
        self.remarks += part.remarks
        self.parts = self.parts or [part]
        if self.gallery is not None:
            self.gallery.add(part)
        self.tables += [] if table is None else [table]


def _zeros(forecast: Forecast) -> list[Remark]:
    """On series where nothing is the likeliest at every step, but not what is to be expected over them all."""
    if forecast.mean is None:
        return []
    expected = forecast.mean.mean(axis=1)
    return [Remark(str(forecast.panel.ids[s]), "zeros", "yhat, the median, is 0 at every step: more often than not "
                   f"there is nothing. About {expected[s]:.2g} a step are to be expected: --mean writes that, too")
            for s in np.flatnonzero((forecast.point == 0).all(axis=1) & (expected > 0)).tolist()]


@dataclass(frozen=True)
class Predicted:
    """What was forecast, from what, and what became of it."""

    request: Request
    run: str
    source: DataSource
    issue: Issue | None                     # None: the ledger failed, or was not to hold it
    fingerprint: str                        # of the data
    output: Place | None
    plot: Path | None
    rows: int
    series: int
    horizon: int
    sources: dict[str, int]                 # what served how many series
    fell_back: list[str]                    # series served by a simpler forecast, or by none
    repairs: list[str]
    notes: list[str]
    remarks: list[Remark]                   # what a reader of some series' forecasts has to know
    tracks: list[Track] | None              # how bands were adapted; None: the ledger could not be read
    is_unread: bool                         # what has changed since the last issue is unknown
    page: Page
    first: Forecast                         # of the first series
    tables: list[pa.Table]                  # the rows, where they went nowhere else
    age: float                              # seconds, of the newest data

    @property
    def is_partial(self) -> bool:
        lost = self.request.record and self.issue is None
        return bool(self.fell_back) or lost or self.tracks is None or self.is_unread

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        adapted = None if self.tracks is None else [asdict(t) for t in self.tracks]
        return {"model": self.run, "issue": self.issue and self.issue.id, "data": str(self.source),
                "output": self.output and str(self.output), "plot": self.plot and str(self.plot), "rows": self.rows,
                "series": self.series, "horizon": self.horizon, "sources": self.sources, "fell_back": self.fell_back,
                "repairs": self.repairs, "notes": self.notes, "remarks": [asdict(r) for r in self.remarks],
                "forecasts": None if self.output else [row for table in self.tables for row in table.to_pylist()],
                } | ({} if self.request.options.adapt is None else {"adapted": adapted})


def predict(workspace: Workspace, request: Request, teller: Teller = SILENT, *,
            out: Callable[[bytes], None] | None = None, guarded: Sequence[Path | None] = ()) -> Predicted:
    """Forecast with a model from the present contents of its file, or from other data; write that, and keep it in the
    ledger. `out` takes the bytes of an output "-" when all are made; without it the rows are in the result.

    guarded: other files the caller will write. Raises RequestError, DataError, ModelError, StaleError, DiskError."""
    output = None if request.output in (None, STDOUT) else Place.seen_from(workspace.folder, str(request.output))
    plot = None if request.plot is None else workspace.path(request.plot)
    shard = output.path if output and not output.is_folder and request.options.shard and not request.drawn else None
    run, source, reading = read_for(workspace, request, output, [plot, *guarded, shard and shards.beside(shard)])
    reading = plans.planned_for(workspace, run, reading, request.future, request.horizon)
    steps, layout, page = request.horizon or run.predictor.plan.horizon, request.options.layout, _page(run, request)
    _tell_reach(teller, steps, run.predictor.plan.horizon)
    forecaster = issuing.forecaster_of(run, request.options)
    draft = issuing.begin(workspace, run, source, reading, horizon=steps, levels=page.levels, as_of=request.as_of,
                          options=request.options)
    whole, panel, valueless = _asked_for(request, draft, reading)
    tell_model(teller, run, source, reading)
    if not len(panel) and request.options.shard is None:
        raise DataError("holds no value to forecast from", file=str(source), code="no_values")
    panel, filled = plans.completed_for(teller, run, source, panel, steps, request.options.fill_future)
    answer = None if request.drawn is None else joint.Answer(
        request.drawn, prior.looking_back(forecaster, _known(request, draft, reading), steps), page, request.options,
        panel, steps, request.typed, lambda: judge_of(workspace, run))
    draft, tracks, unread = _prepared(workspace, request, teller, run, draft, source, reading, output)

    tally = Tally(gallery=Gallery(page.levels, page.contract.id is not None, keeps_order=bool(request.options.series))
                  if plot else None)
    with answer.opened(output, out) if answer else _opened(output, page, layout, whole.with_values()[0], out) as write:
        size = request.size or part_size(whole, steps)
        for part in in_parts(forecaster, panel, steps, size=size, engine=request.engine):
            part = plans.marked(issuing.as_optioned(part, draft.issue.options), filled, request.options.fill_future)
            tally.add(part, None if output or out or answer else table_of(part, page, layout, typed=request.typed))
            tally.remarks += [] if page.mean else _zeros(part)
            if request.record:
                draft.add(part, run.contract.decimals)
            write(part)
    rows, words = _size(panel, steps, page, layout) if answer is None else answer.told(teller)
    tally.tables += answer.tables if answer else []
    if output is not None:
        teller.wrote(output, words)
    first = replace(tally.parts[0], panel=panel)
    _draw(teller, plot, tally.gallery, first, page, "" if answer is None else "the bands of the series, step by step")
    fell = _tell_sources(teller, tally, valueless)
    shards.note(shard, draft.issue, whole, rows, fell=len(fell), series=len(panel), device=request.device)
    issue = _kept(workspace, teller, draft, output, unread) if request.record else None
    return Predicted(request, run.id, source, issue, draft.issue.fingerprint, output, plot if len(panel) else None,
                     rows, len(panel), steps, dict(tally.sources), fell, [r.message for r in reading.repairs],
                     list(reading.notes), tally.remarks, tracks, unread is not None, page, first, tally.tables,
                     seconds_old(draft.known, run.contract, clock.now(), source))


def _page(run: Run, request: Request) -> Page:
    levels = levels_of(request.levels, run.predictor.config.model.levels)
    return Page(run.contract, levels, run.id, request.options.mean)


def _tell_reach(teller: Teller, steps: int, trained: int) -> None:
    if steps > trained:
        teller.say("horizon", f"{steps} steps, and {trained} were trained: the later ones read the forecasts of the "
                              "earlier ones, and no backtest has scored them; train --horizon does")


def read_for(workspace: Workspace, request: Request, output: Place | None, others: Sequence[Path | None] = ()
             ) -> tuple[Run, DataSource, Reading]:
    """The model, or the prior, and the data it is to speak of, which none of the outputs overwrites."""
    plan = [] if request.future is None else [workspace.source(request.future)]

    def guarded(source: DataSource, run: Run | None = None) -> DataSource:
        workspace.guard(others, [*workspace.inputs(source, run), *plan], place=output)
        if output is not None:
            output.check_apart(source)
        if request.drawn is not None:
            joint.check_memory(request.drawn, request.horizon or (run.predictor.plan.horizon if run else 1))
        return source

    if prior.is_asked(workspace, request.model, request.data):
        prior.check_device(request.device)
        source = guarded(workspace.source(prior.named(request.data)))
        run, reading = prior.prior_for(workspace, source, request.options.read, horizon=request.horizon,
                                       levels=request.levels)
    else:
        run = _run(workspace, request)
        source = guarded(workspace.source_of(run) if request.data is None else workspace.source(request.data), run)
        reading = workspace.read_for(run, source, request.options.read)
        if not request.accept_scale:                                    # a first reading knows of no other unit
            reading.check_scale()
    return run, source, reading


def _run(workspace: Workspace, request: Request) -> Run:
    """The model, on the device that was asked for. Raises RequestError for --set of what only a training decides."""
    run = workspace.run(request.model)
    workspace.check_sets([key for key in SETTINGS if key.startswith("data.") or key == "model.season"],
                         user=f"{run.id}: it is trained already", hint="Such settings count in forecast train")
    if request.device is not None:
        from forecast.training.torch_network import forward_on  # torch: only who names a device pays for it

        place = machine.set_up(request.device)
        forwards = {k: forward_on(m.network, place) for k, m in enumerate(run.predictor.members)}
        return replace(run, predictor=replace(run.predictor, forwards=forwards))
    return run


def _known(request: Request, draft: Draft, reading: Reading) -> Panel:
    """All series of the data, as far as they were known at the moment of the forecast."""
    return draft.known if request.as_of else reading.panel


def _asked_for(request: Request, draft: Draft, reading: Reading) -> tuple[Panel, Panel, list[str]]:
    """The series of all shards; those to forecast, and the ids of those among them that have no value."""
    panel = chosen(_known(request, draft, reading), request.options.series)
    return panel, *shards.part_of(panel, request.options.shard).with_values()


def _prepared(workspace: Workspace, request: Request, teller: Teller, run: Run, draft: Draft, source: DataSource,
              reading: Reading, output: Place | None) -> tuple[Draft, list[Track] | None, ForecastError | None]:
    """The draft, its bands adapted where asked for; the tracks they were adapted by (None: unreadable); and why it is
    unknown what is new, or None. Raises StaleError."""
    issuing.tell_moment(teller, run, draft)
    try:
        if request.max_age is not None:
            issuing.check_age(draft, reading, source, request.max_age)
        if not request.record:
            return draft, [], None
        unread = issuing.since_last(workspace, teller, draft, reading.contract, source,
                                    require_new=request.require_new, output=output)
    except StaleError as error:
        error.data_age = seconds_old(draft.known, reading.contract, clock.now(), source)
        raise
    if request.options.adapt is None:
        return draft, [], unread
    return *issuing.adapted_draft(workspace, teller, draft), unread


def _kept(workspace: Workspace, teller: Teller, draft: Draft, output: Place | None, unread: ForecastError | None
          ) -> Issue | None:
    """Put the draft into the ledger; None where that failed, which is told."""
    issue = issuing.keep(workspace, teller, draft, output)
    if unread and issue:                                                # else keep has told that the ledger failed
        teller.warn("partial", f"what has changed since the last issue is unknown: {unread}")
    return issue


@contextmanager
def _opened(output: Place | None, page: Page, layout: str, panel: Panel, out: Callable[[bytes], None] | None
            ) -> Iterator[Callable[[Forecast], None]]:
    """Where the forecasts go: a place, whoever takes the bytes when all are made, or nowhere."""
    if output is not None:
        with writing(output, page, layout, panel) as write:
            yield write
    elif out is None:
        yield lambda part: None
    else:
        buffer = io.BytesIO()
        with writing(None, page, layout, panel, into=buffer) as write:
            yield write
        out(buffer.getvalue())


def sources_in_words(sources: Mapping[str, int]) -> list[str]:
    """What served how many series. Many blends are told by their parts: in how many series each has a say."""
    if len(sources) <= MOST_SOURCES:
        return [f"{name} {count}" for name, count in Counter(sources).most_common()]
    parts, total = Counter[str](), sum(sources.values())
    for name, count in sources.items():
        parts.update(dict.fromkeys(name.split("+"), count))
    return [f"{len(sources)} blends of", *(f"{name} in {count / total:.0%}" for name, count in parts.most_common())]


def _size(panel: Panel, steps: int, page: Page, layout: str) -> tuple[int, str]:
    """How many rows that are, and the same in words."""
    rows = len(panel) * steps * (len(quantile_grid(page.levels)) if layout == "long" else 1)
    return rows, f"{rows:,} rows = {len(panel):,} series x {steps} {page.contract.calendar.unit}"


def chosen(panel: Panel, ids: Sequence[str] | None) -> Panel:
    """The series asked for, in the order of the file. Raises RequestError for one that is not there."""
    if not ids:
        return panel
    known = set(panel.ids)
    if missing := [i for i in ids if i not in known]:
        raise RequestError(f"--series: there is no {listed(missing)}", code="no_series",
                           hint=f"There are {listed(list(panel.ids))}")
    return panel.take(np.flatnonzero(np.isin(panel.ids.astype(str), ids)))


def _draw(teller: Teller, path: Path | None, gallery: Gallery | None, forecast: Forecast, page: Page, words: str
          ) -> None:
    """The picture, where one was asked for and there is something to draw."""
    if path is None or gallery is None or not len(forecast.panel):
        return
    contract = page.contract
    cutoff = contract.time_text(contract.calendar.times([int(forecast.panel.end.max()) - 1]))[0]
    what = contract.targets[0] if len(contract.targets) == 1 else f"{len(contract.targets)} columns"
    draw_fans(path, gallery.fans, contract.calendar, of=gallery.seen,
              title=f"{what}: {forecast.horizon} {contract.calendar.unit} after {cutoff}")
    teller.wrote(path, words, verb="drew")


def _tell_sources(teller: Teller, tally: Tally, valueless: list[str]) -> list[str]:
    """How many series each source served; those that fell back or have no value at all, named. Returns their ids."""
    teller.say("source", "   ".join(sources_in_words(tally.sources)))
    if fell := tally.fell:
        teller.warn("partial", f"{counted(len(fell), 'series')} fell back to seasonal naive: {listed(fell)}")
    if valueless:
        teller.warn("partial", f"no forecast for {counted(len(valueless), 'series')} without any value: "
                               f"{listed(valueless)}")
    tell_forecast(teller, tally.remarks)
    return fell + valueless
