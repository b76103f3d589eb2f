"""Layout: a Forecast as the rows of a file, in the words and units of the file it came from."""

# S series  H horizon  Q quantiles

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from forecast.contract import Contract
from forecast.display import csv_cell
from forecast.errors import RequestError
from forecast.forecasts import Forecast, quantile_grid
from forecast.series import Floats, Ints, Panel
from forecast.storage import replacing, to_json

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 7                                                              # significant, in what is written
MOST_DIGITS = 12                                                        # further ones differ between processors
ENDINGS = (".csv", ".csv.gz", ".parquet", ".json")


@dataclass(frozen=True)
class Page:
    """What the rows are written with: the contract's headers, the bands, and the run that speaks."""

    contract: Contract
    levels: tuple[float, ...]
    run: str


def rounded(values: Floats, decimals: int) -> Floats:
    """7 significant digits, or `decimals` of them behind the point where those are finer (but 12 digits at most).

    The result is the float next to a decimal number, so its shortest text is that number on every processor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    exponent = np.where(np.isfinite(exponent), exponent, 0.0)
    places = np.maximum(DIGITS - 1 - exponent, np.minimum(decimals, np.maximum(MOST_DIGITS - 1 - exponent, 0)))
    exact = (places <= 22) & (exponent < MOST_DIGITS)                   # 10^22 is the last power a float holds exactly
    power = 10.0 ** np.where(exact, places, 0)
    near = np.rint(values * power) / power + 0.0                        # of two exact numbers; + 0.0: no -0
    digits = np.where(exponent < MOST_DIGITS, DIGITS, MOST_DIGITS)[~exact] - 1
    near[~exact] = [float(f"{value:.{d}e}") for value, d in zip(values[~exact], digits, strict=True)]
    return near


def table_of(forecast: Forecast, page: Page, layout: str, *, typed: bool = False) -> pa.Table:
    """The rows of a forecast, series by series in their order, H rows each, as an Arrow table.

    Layouts: default (id, time, yhat, yhat_lo_80, ..., cutoff, model, source), nixtla (unique_id, ds, model,
    model-lo-80, ...), quantile (id, time, 0.1, ...), long (id, time, quantile, value). Times are text as the file
    writes them, or with `typed` (Parquet) time stamps. Raises RequestError for an unknown layout."""
    if layout not in LAYOUTS:
        raise RequestError(f"--layout {layout}: takes one of {', '.join(LAYOUTS)}", code="bad_setting")
    return pa.table(LAYOUTS[layout](forecast, page, typed))


def _keys(forecast: Forecast, page: Page, typed: bool, *, names: tuple[str | None, str] | None = None,
          repeat: int = 1) -> dict[str, Any]:
    """Id and time columns, by default under the file's own names, of S * H * repeat rows."""
    id, time = names or (page.contract.id, page.contract.time)
    series = np.repeat(np.arange(len(forecast.panel)), forecast.horizon * repeat)
    ids = {} if id is None else {id: pa.array(forecast.panel.ids, pa.string()).take(pa.array(series))}
    return ids | {time: np.repeat(stamps(page.contract, forecast.ordinals.ravel(), typed=typed), repeat)}


def stamps(contract: Contract, ordinals: Ints, *, typed: bool = False) -> Any:
    """Times of these ordinals as the file writes them; time stamps with `typed`; plain steps are numbers either way."""
    times = contract.calendar.times(ordinals)
    return np.asarray(times if typed or not contract.calendar.is_time else contract.time_text(times))


def _default(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    cutoffs = stamps(page.contract, forecast.panel.end - 1, typed=typed)
    values = _values(forecast, page, "yhat", "yhat_{side}_{level:g}")
    return _beside(_keys(forecast, page, typed), values | {
        "cutoff": np.repeat(cutoffs, forecast.horizon), "model": np.repeat(page.run, forecast.ordinals.size),
        "source": np.repeat(forecast.source, forecast.horizon)})


def _nixtla(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    keys = _keys(forecast, page, typed, names=("unique_id", "ds"))
    return keys | _values(forecast, page, "forecast", "forecast-{side}-{level:g}")


def _quantile(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    return _beside(_keys(forecast, page, typed), {
        f"{q:g}": rounded(forecast.values[:, :, forecast.quantiles.index(q)].ravel(), page.contract.decimals)
        for q in quantile_grid(page.levels)})


def _long(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    grid = quantile_grid(page.levels)
    values = forecast.values[:, :, [forecast.quantiles.index(q) for q in grid]]
    return _beside(_keys(forecast, page, typed, repeat=len(grid)), {
        "quantile": np.tile(grid, forecast.ordinals.size), "value": rounded(values.ravel(), page.contract.decimals)})


def backtest_table(frame: pd.DataFrame, panel: Panel, contract: Contract, *, typed: bool = False) -> pa.Table:
    """Every forecast of a backtest frame about this panel: id, time, cutoff, step, y, yhat, bands, model, source."""
    keys = {} if contract.id is None else {contract.id: pa.array(panel.ids[frame["series"].to_numpy()], pa.string())}
    keys |= {contract.time: stamps(contract, (frame["cutoff"] + frame["step"]).to_numpy(), typed=typed)}
    columns: dict[str, Any] = {"cutoff": stamps(contract, frame["cutoff"].to_numpy(), typed=typed),
                               "step": frame["step"].to_numpy(), "y": frame["y"].to_numpy()}
    columns |= {name: rounded(frame[name].to_numpy(), contract.decimals)
                for name in map(str, frame) if name.startswith("yhat")}
    texts = {name: frame[name].astype(str).to_numpy(dtype=object) for name in ("model", "source")}
    return pa.table(_beside(keys, columns | texts))


def _beside(keys: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Keys, then columns; where the file has a name of ours for its id or time, the file keeps it."""
    return keys | {f"forecast_{name}" if name in keys else name: column for name, column in columns.items()}


def _values(forecast: Forecast, page: Page, point: str, bound: str) -> dict[str, Floats]:
    decimals = page.contract.decimals
    columns = {point: rounded(forecast.point.ravel(), decimals)}
    for level in page.levels:
        for side, values in zip(("lo", "hi"), forecast.band(level), strict=True):
            columns[bound.format(side=side, level=level)] = rounded(values.ravel(), decimals)
    return columns


LAYOUTS: dict[str, Callable[[Forecast, Page, bool], dict[str, Any]]] = {
    "default": _default, "nixtla": _nixtla, "quantile": _quantile, "long": _long}


def is_typed(path: str) -> bool:
    """Whether a file of this ending holds typed columns."""
    return path.endswith(".parquet")


def check_ending(path: str, *, stdout: bool = False) -> None:
    """Raises RequestError for a path whose ending says nothing about what to write; "-" is one where `stdout` is."""
    if not (stdout and path == "-") and not path.endswith(ENDINGS):
        raise RequestError(f"{path}: its ending does not say what to write", code="bad_ending",
                           hint=f"Use one of {' '.join(ENDINGS)}")


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as its ending says, atomically. Raises DiskError."""
    with replacing(path) as file:
        if path.name.endswith(".parquet"):
            pyarrow.parquet.write_table(table, file)
        elif path.name.endswith(".json"):
            file.write(to_json(table.to_pylist()).encode())
        elif path.name.endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:    # the same bytes each time
                write_csv(table, packed)
        else:
            write_csv(table, file)


def write_csv(table: pa.Table, file: Any) -> None:
    """CSV text that no spreadsheet takes for a formula, quoted only where it must be: Arrow quotes every text of a
    table, or none."""
    file.write((",".join(_header(name) for name in table.column_names) + "\n").encode())
    columns = [_marked(column) if _is_text(column) else column for column in table.columns]
    special = (pc.match_substring_regex(pc.unique(c), "[,\"\r\n]") for c in columns if _is_text(c))
    style = "needed" if any(pc.any(cells).as_py() for cells in special) else "none"
    pyarrow.csv.write_csv(pa.table(columns, names=table.column_names), file,
                          pyarrow.csv.WriteOptions(include_header=False, quoting_style=style))


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _marked(column: Any) -> Any:
    cells = column.combine_chunks().dictionary_encode()                 # ids and sources come again and again
    return pa.array([csv_cell(text) for text in cells.dictionary.to_pylist()], column.type).take(cells.indices)


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
        asked = ()
    if not asked or not set(asked) <= set(trained):
        known = ",".join(f"{level:g}" for level in trained)
        raise RequestError(f"--levels {given}: this model was trained for {known}", code="bad_setting",
                           hint=f"Train with --levels {given} to have them")
    return asked
