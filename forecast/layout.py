"""Layout: a Forecast as the rows of a file, in the words and units of the file it came from."""

# S series  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from forecast.contract import Contract
from forecast.display import csv_cell
from forecast.errors import RequestError
from forecast.forecasts import Forecast
from forecast.series import Floats
from forecast.storage import replacing, to_json

DIGITS = 7                                                              # significant, in what is written
ENDINGS = (".csv", ".csv.gz", ".parquet", ".json")


@dataclass(frozen=True)
class Page:
    """What the rows are written with: the contract's headers, the bands, and the run that speaks."""

    contract: Contract
    levels: tuple[float, ...]
    run: str


def rounded(values: Floats, decimals: int) -> Floats:
    """7 significant digits, or `decimals` of them behind the point where those are finer.

    The result is the float next to a decimal number, so its shortest text is that number on every processor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    places = np.where(np.isfinite(exponent), np.maximum(DIGITS - 1 - exponent, decimals), decimals)
    exact = places <= 22                                                # 10^22 is the last power a float holds exactly
    power = 10.0 ** np.where(exact, places, 0)
    with np.errstate(over="ignore"):
        scaled = np.rint(values * power)
    near = np.where(np.abs(scaled) < 2.0**53, scaled / power, values) + 0.0
    tiny = [float(f"{v:.{DIGITS - 1}e}") for v in values[~exact]]
    near[~exact] = tiny
    return near


def table_of(forecast: Forecast, page: Page, layout: str, *, typed: bool = False) -> pa.Table:
    """The rows of a forecast, series by series in their order, H rows each, as an Arrow table.

    Layouts: default (id, time, yhat, yhat_lo_80, ..., cutoff, model, source), nixtla (unique_id, ds, model,
    model-lo-80, ...), quantile (id, time, 0.1, ...), long (id, time, quantile, value). Times are text as the file
    writes them, or with `typed` (Parquet) time stamps. Raises RequestError for an unknown layout."""
    if layout not in LAYOUTS:
        raise RequestError(f"--layout {layout}: takes one of {', '.join(LAYOUTS)}", code="bad_setting")
    return pa.table(LAYOUTS[layout](forecast, page, typed))


def _keys(forecast: Forecast, page: Page, typed: bool, *, repeat: int = 1) -> tuple[Any, Any, Any]:
    """(id, time, cutoff) columns of S * H * repeat rows."""
    each = forecast.horizon * repeat
    ids = [str(i) if typed else csv_cell(str(i)) for i in forecast.panel.ids]
    calendar = page.contract.calendar
    write: Callable[[Any], Any] = (lambda t: t) if typed else page.contract.time_text
    times = np.repeat(np.asarray(write(calendar.times(forecast.ordinals.ravel()))), repeat)
    cutoffs = np.repeat(np.asarray(write(calendar.times(forecast.panel.end - 1))), each)
    return pa.array(ids).take(pa.array(np.repeat(np.arange(len(ids)), each))), pa.array(times), pa.array(cutoffs)


def _default(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    ids, times, cutoffs = _keys(forecast, page, typed)
    columns: dict[str, Any] = {} if page.contract.id is None else {page.contract.id: ids}
    columns[page.contract.time] = times
    columns |= _values(forecast, page, "yhat", "yhat_{side}_{level:g}")
    columns["cutoff"] = cutoffs
    columns["model"] = pa.array([page.run] * len(times))
    columns["source"] = pa.array(np.repeat(forecast.source, forecast.horizon))
    return columns


def _nixtla(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    ids, times, _ = _keys(forecast, page, typed)
    return {"unique_id": ids, "ds": times} | _values(forecast, page, "forecast", "forecast-{side}-{level:g}")


def _quantile(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    ids, times, _ = _keys(forecast, page, typed)
    columns: dict[str, Any] = {} if page.contract.id is None else {page.contract.id: ids}
    columns[page.contract.time] = times
    for k, q in enumerate(forecast.quantiles):
        columns[f"{q:g}"] = rounded(forecast.values[:, :, k].ravel(), page.contract.decimals)
    return columns


def _long(forecast: Forecast, page: Page, typed: bool) -> dict[str, Any]:
    count = len(forecast.quantiles)
    ids, times, _ = _keys(forecast, page, typed, repeat=count)
    columns: dict[str, Any] = {} if page.contract.id is None else {page.contract.id: ids}
    columns[page.contract.time] = times
    columns["quantile"] = np.tile(forecast.quantiles, len(times) // count)
    columns["value"] = rounded(forecast.values.ravel(), page.contract.decimals)
    return columns


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


def check_ending(path: str) -> None:
    """Raises RequestError for a path whose ending says nothing about what to write."""
    if path != "-" and not path.endswith(ENDINGS):
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
            with pa.CompressedOutputStream(pa.PythonFile(file, "w"), "gzip") as packed:
                write_csv(table, packed)
        else:
            write_csv(table, file)


def write_csv(table: pa.Table, file: Any) -> None:
    """CSV text, quoted only where it must be: Arrow quotes every text of a table, or none."""
    file.write((",".join(_header(name) for name in table.column_names) + "\n").encode())
    texts = (pc.match_substring_regex(pc.unique(c), "[,\"\r\n]") for c in table.columns if pa.types.is_string(c.type))
    style = "needed" if any(pc.any(t).as_py() for t in texts) else "none"
    pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=False, quoting_style=style))


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
