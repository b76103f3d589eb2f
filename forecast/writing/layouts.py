"""Layout: a Forecast as the rows of a file, in the words and units of the file it came from."""

# S series  H horizon  Q quantiles

from __future__ import annotations

import contextlib
import gzip
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from forecast.errors import RequestError
from forecast.reading.contract import Contract
from forecast.reading.sources.workbook import check_installed
from forecast.series.arrays import Floats, Ints
from forecast.series.forecast import Forecast, quantile_grid
from forecast.series.panel import Panel
from forecast.system.addresses import check_new_rows, is_database, shown
from forecast.system.files import replacing, replacing_folder, to_json
from forecast.text import csv_cell
from forecast.writing.database import rows_in
from forecast.writing.places import FOLDER, PART, Place
from forecast.writing.workbook import sheet_writer

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 7                                                              # significant, in what is written
MOST_DIGITS = 12                                                        # further ones differ between processors
ENDINGS = (".csv", ".csv.gz", ".parquet", ".json", ".xlsx")
POWERS: Floats = np.power(10.0, np.arange(23.0))                        # 10^22 is the last power a float holds exactly
Write = Callable[[Any], None]                                           # of a part: a Forecast, or an Arrow table


@dataclass(frozen=True)
class Page:
    """What the rows are written with: the contract's headers, the bands, the run that speaks, and whether the expected
    value stands beside the median."""

    contract: Contract
    levels: tuple[float, ...]
    run: str
    mean: bool = False


def rounded(values: Floats, decimals: int) -> Floats:
    """7 significant digits, or `decimals` of them behind the point where those are finer (but 12 digits at most).

    The result is the float next to a decimal number, so its shortest text is that number on every processor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    exponent = np.where(np.isfinite(exponent), exponent, 0.0)
    places = np.maximum(DIGITS - 1 - exponent, np.minimum(decimals, np.maximum(MOST_DIGITS - 1 - exponent, 0)))
    exact = (places < len(POWERS)) & (exponent < MOST_DIGITS)
    power = POWERS[np.where(exact, places, 0).astype(np.int8)]
    near: Floats = np.rint(values * power) / power + 0.0                # of two exact numbers; + 0.0: no -0
    digits = np.where(exponent < MOST_DIGITS, DIGITS, MOST_DIGITS)[~exact] - 1
    near[~exact] = [float(f"{value:.{d}e}") for value, d in zip(values[~exact], digits, strict=True)]
    return near


def table_of(forecast: Forecast, page: Page, layout: str, *, typed: bool = False) -> pa.Table:
    """The rows of a forecast, series by series in their order, H rows each, as an Arrow table.

    Layouts: default (id, time, yhat, yhat_lo_80, ..., cutoff, model, source), nixtla (unique_id, ds, model,
    model-lo-80, ...), quantile (id, time, 0.1, ...), long (id, time, quantile, value). Times are text as the file
    writes them, or with `typed` (Parquet) time stamps. Raises RequestError for an unknown layout."""
    return _plain(_encoded_table(forecast, page, layout, typed=typed))


def _encoded_table(forecast: Forecast, page: Page, layout: str, *, typed: bool) -> pa.Table:
    """The same, with texts that come again and again kept once."""
    check_layout(layout)
    return pa.table(LAYOUTS[layout](forecast, page, typed))


def _plain(table: pa.Table) -> pa.Table:
    """With every text written out."""
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    return pa.table(columns, names=table.column_names)


def _again(texts: Any, index: Ints) -> Any:
    """Texts (T,) taken at `index` (N,)."""
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(texts, pa.string()))


def keys_of(forecast: Forecast, page: Page, typed: bool, *, names: tuple[str, str] | None = None,
            repeat: int = 1) -> dict[str, Any]:
    """Id and time columns, by default under the file's own names, of S * H * repeat rows."""
    id, time = names or (None, page.contract.time)
    series = np.repeat(np.arange(len(forecast.panel)), forecast.horizon * repeat)
    cells = {id: forecast.panel.ids} if id else page.contract.id_cells(forecast.panel.ids)
    ids = {header: _again(texts, series) for header, texts in cells.items()}
    return ids | {time: _times(page.contract, forecast.ordinals.ravel(), typed=typed, repeat=repeat)}


def _times(contract: Contract, ordinals: Ints, *, typed: bool, repeat: int) -> Any:
    """Times of these ordinals, each `repeat` times; a text is made once for all series that share it."""
    if typed or not contract.calendar.is_time or not ordinals.size:
        return np.repeat(stamps(contract, ordinals, typed=typed), repeat)
    first, last = int(ordinals.min()), int(ordinals.max())
    if last - first <= ordinals.size:
        unique, where = np.arange(first, last + 1), ordinals - first
    else:
        unique, where = np.unique(ordinals, return_inverse=True)
    return _again(stamps(contract, unique), np.repeat(where, repeat))


def stamps(contract: Contract, ordinals: Ints, *, typed: bool = False) -> Any:
    """Times of these ordinals as the file writes them; time stamps with `typed`; plain steps are numbers either way."""
    times = contract.calendar.times(ordinals)
    return np.asarray(times if typed or contract.writes_numbers else contract.time_text(times))


def _default(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    values = _values(forecast, page, "yhat", "yhat_{side}_{level:g}", "yhat_mean")
    sources, source = np.unique(forecast.source.astype(str), return_inverse=True)
    return beside(keys_of(forecast, page, typed), values | {
        "cutoff": _times(page.contract, forecast.panel.end - 1, typed=typed, repeat=forecast.horizon),
        "model": _again([page.run], np.zeros(forecast.ordinals.size, dtype=np.int32)),
        "source": _again(sources, np.repeat(source, forecast.horizon))})


def _nixtla(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    keys = keys_of(forecast, page, typed, names=("unique_id", "ds"))
    return keys | _values(forecast, page, "forecast", "forecast-{side}-{level:g}", "forecast-mean")


def _quantile(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    return beside(keys_of(forecast, page, typed), {
        f"{q:g}": rounded(forecast.values[:, :, forecast.quantiles.index(q)].ravel(), page.contract.decimals)
        for q in quantile_grid(page.levels)})


def _long(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    grid = quantile_grid(page.levels)
    values = forecast.values[:, :, [forecast.quantiles.index(q) for q in grid]]
    return beside(keys_of(forecast, page, typed, repeat=len(grid)), {
        "quantile": np.tile(grid, forecast.ordinals.size), "value": rounded(values.ravel(), page.contract.decimals)})


def backtest_table(frame: pd.DataFrame, panel: Panel, contract: Contract, *, typed: bool = False) -> pa.Table:
    """Every forecast of a backtest frame about this panel: id, time, cutoff, step, y, yhat, bands, model, source."""
    series = pa.array(frame["series"].to_numpy())
    keys: dict[str, Any] = {header: pa.array(texts, pa.string()).take(series)
                            for header, texts in contract.id_cells(panel.ids).items()}
    keys |= {contract.time: stamps(contract, (frame["cutoff"] + frame["step"]).to_numpy(), typed=typed)}
    columns: dict[str, Any] = {"cutoff": stamps(contract, frame["cutoff"].to_numpy(), typed=typed),
                               "step": frame["step"].to_numpy(), "y": frame["y"].to_numpy()}
    columns |= {name: rounded(frame[name].to_numpy(), contract.decimals)
                for name in map(str, frame) if name.startswith("yhat")}
    texts = {name: frame[name].astype(str).to_numpy(dtype=object) for name in ("model", "source")}
    return pa.table(beside(keys, columns | texts))


def beside(keys: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Keys, then columns; where the file has a name of ours for its id or time, the file keeps it."""
    return keys | {f"forecast_{name}" if name in keys else name: column for name, column in columns.items()}


def _values(forecast: Forecast, page: Page, point: str, bound: str, mean: str) -> dict[str, Floats]:
    decimals = page.contract.decimals
    columns = {point: rounded(forecast.point.ravel(), decimals)}
    for level in page.levels:
        for side, values in zip(("lo", "hi"), forecast.band(level), strict=True):
            columns[bound.format(side=side, level=level)] = rounded(values.ravel(), decimals)
    if page.mean and forecast.mean is not None:
        columns[mean] = rounded(forecast.mean.ravel(), decimals)
    return columns


LAYOUTS: dict[str, Callable[[Forecast, Page, bool], dict[str, Any]]] = {
    "default": _default, "nixtla": _nixtla, "quantile": _quantile, "long": _long}


def check_layout(layout: str) -> None:
    """Raises RequestError for an unknown layout."""
    if layout not in LAYOUTS:
        raise RequestError(f"--layout {layout}: takes one of {', '.join(LAYOUTS)}", code="bad_setting")


def is_typed(path: str) -> bool:
    """Whether a file of this ending, a folder or a table holds typed columns."""
    return path.lower().endswith((".parquet", ".xlsx", FOLDER)) or is_database(path)


def check_ending(path: str, *, stdout: bool = False) -> None:
    """Raises RequestError for a path whose ending says nothing about what to write; "-" is one where `stdout` is."""
    if not (stdout and path == "-") and not path.lower().endswith(ENDINGS):
        raise RequestError(f"{shown(path)}: its ending does not say what to write", code="bad_ending",
                           hint=f"Use one of {' '.join(ENDINGS)}")
    if path.lower().endswith(".xlsx"):
        check_installed()


def check_output(name: str, layout: str | None) -> None:
    """Before any work: forecasts of this layout (None: paths, totals or chances) can be put where this names. Raises
    RequestError."""
    if is_database(name):
        if layout != "default":
            what = f"--layout {layout} does" if layout else "paths, totals and chances do"
            raise RequestError(f"{what} not go into a table, where a forecast is found by its cutoff",
                               code="bad_setting", hint="Write a file")
        check_new_rows(name)
    elif not name.endswith(FOLDER):
        check_ending(name, stdout=True)


@contextlib.contextmanager
def writing(place: Place | None, page: Page, layout: str, panel: Panel, *, into: BinaryIO | None = None
            ) -> Iterator[Write]:
    """Forecasts of one part of the panel after the other, to a place, or as CSV `into` an open file.

    What is yielded takes a Forecast; it is laid out and written while the next is made. Atomic: all is there when the
    block ends well. Raises DiskError, and RequestError for an unknown layout or a table that cannot take them."""
    check_layout(layout)
    typed = place is not None and is_typed(place.name)
    with contextlib.ExitStack() as stack:
        write = stack.enter_context(sink_at(place, _texts_of(page, layout, panel), page.contract, into=into))
        aside = stack.enter_context(ThreadPoolExecutor(1))
        under_way: list[Future[None]] = []

        def lay_out(part: Forecast) -> None:
            write(_encoded_table(part, page, layout, typed=typed))

        def hand_over(part: Forecast) -> None:
            settle()
            under_way.append(aside.submit(lay_out, part))

        def settle() -> None:
            while under_way:
                under_way.pop().result()

        yield hand_over
        settle()


def _texts_of(page: Page, layout: str, panel: Panel) -> list[Any]:
    """The texts that a file of forecasts will hold, as far as they may need quotes."""
    ids: Any = panel.ids if layout == "nixtla" or page.contract.id is not None else []
    times: Any = [] if page.contract.writes_numbers else stamps(page.contract, panel.end[:1])
    return [pa.array(list(texts), pa.string()) for texts in (ids, times, [page.run] if layout == "default" else [])]


@contextlib.contextmanager
def sink_at(place: Place | None, texts: Sequence[Any], contract: Contract, *, into: BinaryIO | None = None
            ) -> Iterator[Write]:
    """What takes tables of the same columns, to a file as its ending says, to a folder, a file for each, or to a table;
    or as CSV `into` an open file. texts: those among their cells that may need quotes. Atomic. Raises DiskError."""
    with contextlib.ExitStack() as stack:
        if place is not None and place.is_table:
            write = stack.enter_context(rows_in(place.address, contract))
            yield lambda table: write(_plain(table))
        elif place is not None and place.is_folder:
            folder, numbers = stack.enter_context(replacing_folder(Path(place.name))), itertools.count()
            yield lambda table: pyarrow.parquet.write_table(_plain(table), folder / PART.format(next(numbers)))
        else:
            name = "" if place is None else place.name
            file = into or stack.enter_context(replacing(Path(name)))
            yield stack.enter_context(_sink(name, file, quoting=_quoting(texts)))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as its ending says, atomically. Raises DiskError."""
    with replacing(path) as file, _sink(path.name, file, quoting=_quoting(_texts_in(table))) as write:
        write(table)


def write_at(place: Place, table: pa.Table, contract: Contract) -> None:
    """Write a table to a place, atomically. Raises DiskError, RequestError."""
    with sink_at(place, _texts_in(table), contract) as write:
        write(table)


def write_csv(table: pa.Table, file: BinaryIO) -> None:
    """A table as CSV text."""
    with _sink("", file, quoting=_quoting(_texts_in(table))) as write:
        write(table)


@contextlib.contextmanager
def _sink(name: str, file: BinaryIO, *, quoting: str) -> Iterator[Write]:
    """What takes tables of the same columns, and writes them one below the other as the name's ending says."""
    ending = name.lower()
    if ending.endswith(".parquet"):
        opened: list[Any] = []

        def write(table: pa.Table) -> None:
            table = _plain(table)
            if not opened:
                opened.append(pyarrow.parquet.ParquetWriter(file, table.schema))
            opened[0].write_table(table)

        yield write
        for writer in opened:
            writer.close()
    elif ending.endswith(".xlsx"):
        take, finish = sheet_writer()
        yield lambda table: take(_plain(table))
        finish(file)
    elif ending.endswith(".json"):
        rows: list[Any] = []
        yield lambda table: rows.extend(table.to_pylist())
        file.write(to_json(rows).encode())
    elif ending.endswith(".gz"):
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:        # the same bytes each time
            yield _csv_writer(packed, quoting)
    else:
        yield _csv_writer(file, quoting)


def _csv_writer(file: Any, quoting: str) -> Write:
    """CSV text that no spreadsheet takes for a formula, under one header."""
    begun: list[bool] = []

    def write(table: pa.Table) -> None:
        if not begun:
            begun.append(True)
            file.write((",".join(_header(name) for name in table.column_names) + "\n").encode())
        columns = [_marked(column) if _is_text(column) else column for column in table.columns]
        pyarrow.csv.write_csv(pa.table(columns, names=table.column_names), file,
                              pyarrow.csv.WriteOptions(include_header=False, quoting_style=quoting))

    return write


def _quoting(texts: Sequence[Any]) -> str:
    """Whether Arrow may leave quotes out: it quotes every text of a table that has one that must be, or none."""
    special = (pc.match_substring_regex(pc.unique(column), "[,\"\r\n]") for column in texts)
    return "needed" if any(pc.any(cells).as_py() for cells in special) else "none"


def _texts_in(table: pa.Table) -> list[Any]:
    return [column.combine_chunks() for column in table.columns if _is_text(column)]


def _is_text(column: Any) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _marked(column: Any) -> Any:
    """Texts marked where a spreadsheet would take them for a formula, each of them looked at once."""
    cells = column.combine_chunks()
    cells = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    marked = [csv_cell(text) for text in cells.dictionary.to_pylist()]
    return pa.array(marked, cells.type.value_type).take(cells.indices)


def _header(name: str) -> str:
    name = csv_cell(name)
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name


def levels_of(given: str | None, trained: Sequence[float]) -> tuple[float, ...]:
    """The bands to write: those asked for, among those trained. Raises RequestError."""
    if given is None:
        return tuple(trained)
    try:
        asked = tuple(float(text) for text in given.split(","))
    except ValueError:
        raise RequestError(f"--levels {given}: takes numbers, as in 80,95", code="bad_setting") from None
    if not set(asked) <= set(trained):
        known = ",".join(f"{level:g}" for level in trained)
        raise RequestError(f"--levels {given}: this model was trained for {known}", code="bad_setting",
                           hint=f"Train with --levels {given} to have them")
    return asked
