"""forecast predict: the live model, the present contents of the file, one file of forecasts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.cli.options import Session, command, guard

if TYPE_CHECKING:
    from pathlib import Path

    from forecast.artifact import Run
    from forecast.cli.console import Console
    from forecast.forecasts import Forecast
    from forecast.layout import Page
    from forecast.series import Panel

SPARK = 40                                                              # bars of history beside a forecast
PARTIAL = 5


def declare(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "predict", settings=("data.missing", "data.spikes"))(predict)


def predict(
    session: Session,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", show_default=False,
                                               help="CSV file; by default the one the model was trained on")] = None,
    model: Annotated[str, typer.Option(metavar="RUN",
                                       help="run id, its beginning, a --name, a path, or live")] = "live",
    horizon: Annotated[int | None, typer.Option(metavar="N", min=1, max=100_000,
                                                help="steps to forecast; as trained by default")] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="PATH",
                                        help=".csv .csv.gz .parquet .json, or - for stdout")] = "predictions.csv",
    series: Annotated[list[str] | None, typer.Option(metavar="ID", help="only this series; may be repeated")] = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="only the I-th of N parts of the series, in their "
                                              "order in the file: for several machines")] = None,
    levels: Annotated[str | None, typer.Option(metavar="X[,X]", help="bands to write, among those trained")] = None,
    layout: Annotated[str, typer.Option(metavar="default|nixtla|quantile|long",
                                        help="columns of the file")] = "default",
    nonnegative: Annotated[bool, typer.Option("--nonnegative", help="no value below 0")] = False,
    whole: Annotated[bool, typer.Option("--round", help="whole numbers")] = False,
    adapt: Annotated[bool, typer.Option("--adapt", help="bands wider or narrower by how often those issued before "
                                        "were missed")] = False,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", show_default=False, help="forecast from what "
                                              "was known then, that time included")] = None,
    max_age: Annotated[str | None, typer.Option("--max-age", metavar="SPAN", show_default=False, help="exit 7 where "
                                                "the newest point is older: 2d, 36h")] = None,
    require_new: Annotated[bool, typer.Option("--require-new", help="exit 7 where nothing is new since the "
                                              "same request was last written there")] = False,
    accept_scale: Annotated[bool, typer.Option("--accept-scale", help="forecast even where the newest values of a "
                                               "series have the size of another unit")] = False,
    device: Annotated[str | None, typer.Option(metavar="cpu|cuda|mps", help="where to compute; by default on the CPU, "
                                               "without torch")] = None,
    plot: Annotated[str | None, typer.Option(metavar="PATH.png", help="draw the forecasts")] = None,
    status_file: Annotated[str | None, typer.Option(metavar="PATH.prom", show_default=False, help="write how it ended, "
                                                    "for node_exporter's textfile collector")] = None,
) -> int:
    """Forecast with the live model from the present contents of its file, or from DATA.

    Writes one row a series and step: the file's own id and time columns, yhat (the median), the bands, the last time
    known, the run and what served the series; keeps it in the ledger. Exit 5: written, but some series fell back to a
    simpler forecast or have no value to forecast from, or the ledger failed. Exit 7: stale, nothing written."""
    from forecast import hardware

    hardware.prepare(threads=1)
    hardware.spare_pandas()
    from forecast.artifact import load
    from forecast.cache import read_cached
    from forecast.cli.console import Console
    from forecast.cli.issuing import adapted_draft, begin, check_fresh, keep
    from forecast.errors import DataError, RequestError
    from forecast.forecasts import in_parts, quantile_grid
    from forecast.layout import Page, check_ending, check_layout, levels_of, table_of
    from forecast.registry import Store
    from forecast.status import check_status_path, reported

    check_ending(output, stdout=True)
    check_layout(layout)
    share_of(shard)
    if plot is not None and not plot.endswith(".png"):
        raise RequestError(f"--plot {plot}: a picture is written as .png", code="bad_ending")
    console, store = Console(session), Store(session.store_folder)
    status_path = session.path(status_file) if status_file else None
    check_status_path(status_path)
    with reported(status_path, "predict") as status:
        run = load(store.find(model))
        if device is not None:
            from forecast.model import forward_on

            place = hardware.set_up(device)
            run.predictor.forwards = {k: forward_on(m.network, place) for k, m in enumerate(run.predictor.members)}
        file = session.data(data) if data else training_file(session, run)
        guard([output if output == "-" else session.path(output), session.path(plot) if plot else None, status_path],
              [file])
        asked = {key: value for key, value in session.flags.items() if value is not None}
        settings = run.predictor.config.override(asked, source="command line").data
        reading = read_cached(file, settings, contract=run.contract, store=session.store_folder)
        if not accept_scale:
            reading.check_scale()
        steps = horizon or run.predictor.plan.horizon
        page = Page(run.contract, levels_of(levels, run.predictor.config.model.levels), run.id)
        draft = begin(session, run, file, reading, horizon=steps, levels=page.levels, as_of=as_of,
                      options={"series": series, "nonnegative": nonnegative, "round": whole, "layout": layout}
                      | ({"shard": shard} if shard else {}) | ({"adapt": {}} if adapt else {})
                      | ({"read": asked} if asked else {}))
        panel, valueless = part_of(chosen(draft.known if as_of else reading.panel, series), shard).with_values()
        say_model(console, run, file, reading.span[1])
        console.remarks(reading)
        if not len(panel) and shard is None:
            raise DataError("holds no value to forecast from", file=str(file), code="no_values")
        unread = check_fresh(console, session, run, draft, file, reading, max_age=max_age, require_new=require_new,
                             output=None if output == "-" else session.path(output))

        draft, tracks = adapted_draft(console, session, draft) if adapt else (draft, [])

        told, document = Told(), []
        with opened(session, output, page, layout, panel) as write:
            for part in in_parts(run.predictor, panel, steps):
                part = as_optioned(part, draft.issue.options)
                told.add(part)
                draft.add(part, run.contract.decimals)
                write(part)
                if output == "-" and session.json:
                    document += table_of(part, page, layout).to_pylist()
        rows = len(panel) * steps * (len(quantile_grid(page.levels)) if layout == "long" else 1)
        if output != "-":
            console.wrote(session.path(output), f"{rows:,} rows = {len(panel):,} series x {steps} "
                                                f"{run.contract.calendar.unit}")
        first = replace(told.first, panel=panel)
        if plot and len(panel):
            picture(session.path(plot), first, page)
            console.wrote(session.path(plot), verb="drew")
        fell = say_sources(console, told, valueless)
        issue = keep(console, session, draft, None if output == "-" else session.path(output))
        if unread and issue:                                            # else keep has said that the ledger failed
            console.warn("partial", f"what has changed since the last issue is unknown: {unread}")
        spark(console, first, page)
        console.document({
            "model": run.id, "issue": issue and issue.id, "data": str(file),
            "output": None if output == "-" else str(session.path(output)),
            "plot": str(session.path(plot)) if plot and len(panel) else None,
            "rows": rows, "series": len(panel), "horizon": steps,
            "sources": dict(told.sources), "fell_back": fell,
            "repairs": [r.message for r in reading.repairs], "notes": list(reading.notes),
            "forecasts": document if output == "-" else None}
            | ({"adapted": None if tracks is None else [asdict(t) for t in tracks]} if adapt else {}))
        status.rows, status.exit_code = rows, PARTIAL if fell or issue is None or tracks is None or unread else 0
        return status.exit_code


@dataclass
class Told:
    """What is said of the forecasts when all are written. `first`: those of the first series."""

    sources: Counter[str] = field(default_factory=Counter)
    fell: list[str] = field(default_factory=list)
    parts: list[Forecast] = field(default_factory=list)

    def add(self, part: Forecast) -> None:
        sources = part.source.tolist()
        self.sources.update(sources)
        if any(name.startswith("fallback") for name in set(sources)):
            self.fell += [str(i) for i, name in zip(part.panel.ids, sources, strict=True)
                          if name.startswith("fallback")]
        self.parts = self.parts or [part]

    @property
    def first(self) -> Forecast:
        return self.parts[0]


@contextlib.contextmanager
def opened(session: Session, output: str, page: Page, layout: str, panel: Panel
           ) -> Iterator[Callable[[Forecast], None]]:
    """Where the forecasts go: a file, standard output when all are made, or nowhere, where they are in the document."""
    import io

    from forecast.cli.console import write_bytes_out
    from forecast.layout import writing

    if output != "-":
        with writing(session.path(output), page, layout, panel) as write:
            yield write
    elif session.json:
        yield lambda part: None
    else:
        buffer = io.BytesIO()
        with writing(None, page, layout, panel, into=buffer) as write:
            yield write
        write_bytes_out(buffer.getvalue())


def training_file(session: Session, run: Run) -> Path:
    """The file the run was trained on: as it lies from the store (which may have moved with it), else as it lay."""
    import os
    from pathlib import Path

    from forecast.errors import RequestError

    data = run.record["data"]
    if data["path"] is None:
        raise RequestError("the model was trained from standard input, so DATA must be named", code="no_data",
                           hint="forecast predict DATA")
    moved = session.store_folder.resolve() / data["from_store"]
    return Path(os.path.normpath(moved)) if moved.exists() else Path(data["path"])


def chosen(panel: Panel, ids: Sequence[str] | None) -> Panel:
    """The series asked for, in the order of the file. Raises RequestError for one that is not there."""
    if not ids:
        return panel
    import numpy as np

    from forecast.display import listed
    from forecast.errors import RequestError

    known = set(panel.ids)
    if missing := [i for i in ids if i not in known]:
        raise RequestError(f"--series: there is no {listed(missing)}", code="no_series",
                           hint=f"There are {listed(list(panel.ids))}")
    return panel.take(np.flatnonzero(np.isin(panel.ids.astype(str), ids)))


def share_of(shard: str | None) -> tuple[int, int]:
    """Which part of how many. Raises RequestError."""
    import re

    from forecast.errors import RequestError

    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", shard or "1/1")
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise RequestError(f"--shard {shard}: takes I/N with I from 1 to N", code="bad_setting",
                           hint="As in --shard 1/4")
    return part, parts


def part_of(panel: Panel, shard: str | None) -> Panel:
    """The series of this part; the parts one behind the other are the panel."""
    import numpy as np

    part, parts = share_of(shard)
    size = len(panel)
    return panel if shard is None else panel.take(np.arange(size * (part - 1) // parts, size * part // parts))


def say_model(console: Console, run: Run, file: str | Path, last: str) -> None:
    from datetime import datetime

    from forecast.clock import now

    made = datetime.fromisoformat(run.record["created"])
    console.say("model", f"{run.id} (made {_age((now() - made).total_seconds())} ago)")
    console.say("data", f"{shown(file)}, last {last}")


def shown(file: str | Path) -> str:
    """A path as people read it: from here where it lies below, else whole."""
    from pathlib import Path

    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return "a minute"


def as_optioned(forecast: Forecast, options: Mapping[str, Any]) -> Forecast:
    """The forecast as the options of its issue have it: bands adapted, then clamped, then rounded."""
    if factors := options.get("adapt"):
        from forecast.adaptation import adapted

        forecast = adapted(forecast, factors)
    return limited(forecast, nonnegative=bool(options.get("nonnegative")), whole=bool(options.get("round")))


def limited(forecast: Forecast, *, nonnegative: bool, whole: bool) -> Forecast:
    """The forecast clamped at 0, or rounded to whole numbers, where asked for."""
    import numpy as np

    values = np.maximum(forecast.values, 0.0) if nonnegative else forecast.values
    return replace(forecast, values=np.rint(values) + 0.0 if whole else values)


def picture(path: Path, forecast: Forecast, page: Page) -> None:
    from forecast.report import plot as draw

    contract = page.contract
    names = [str(i) for i in forecast.panel.ids] if contract.id else [""]
    cutoff = contract.time_text(contract.calendar.times([int(forecast.panel.end.max()) - 1]))[0]
    what = contract.targets[0] if len(contract.targets) == 1 else f"{len(contract.targets)} columns"
    draw(path, forecast, page.levels, title=f"{what}: {forecast.horizon} {contract.calendar.unit} after {cutoff}",
         names=names)


def say_sources(console: Console, told: Told, valueless: list[str]) -> list[str]:
    """How many series each source served; those that fell back or have no value at all, named. Returns their ids."""
    from forecast.display import counted, listed

    console.say("source", "   ".join(f"{name} {count}" for name, count in told.sources.most_common()))
    if fell := told.fell:
        console.warn("partial", f"{counted(len(fell), 'series')} fell back to seasonal naive: {listed(fell)}")
    if valueless:
        console.warn("partial", f"no forecast for {counted(len(valueless), 'series')} without any value: "
                               f"{listed(valueless)}")
    return fell + valueless


def spark(console: Console, forecast: Forecast, page: Page, most: int = 3) -> None:
    """The first series as bars: their past | their forecast, and the sum of the forecast."""
    if console.session.json or not console.terminal:
        return
    from forecast.display import shorten, sparkline
    from forecast.report import number

    for s in range(min(most, len(forecast.panel))):
        past = forecast.panel.values(s)[-SPARK:].tolist()
        bars = sparkline(past + forecast.point[s].tolist())
        name = shorten(str(forecast.panel.ids[s]), 10) if page.contract.id else shorten(page.contract.targets[0], 10)
        low, high = forecast.band(page.levels[0])
        console.say(name, f"{bars[:len(past)]}|{bars[len(past):]}   next {number(forecast.point[s][0])} "
                          f"({page.levels[0]:g}%: {number(low[s][0])} .. {number(high[s][0])})")
