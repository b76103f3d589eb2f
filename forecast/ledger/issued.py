"""Issued: forecasts read back, from a file or from the ledger, and joined to what came true, by id and time."""

# S series  H horizon  Q quantiles

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forecast.errors import DataError
from forecast.ledger.issue import Block
from forecast.methods.baselines import BASELINES, SeasonalNaive
from forecast.reading.contract import Contract
from forecast.reading.sources.database import open_database
from forecast.reading.sources.workbook import check_installed
from forecast.scoring import backtest
from forecast.scoring.metrics import seasonal_scale
from forecast.series.arrays import Ints, finite_sums
from forecast.series.forecast import band_quantiles, quantile_grid
from forecast.series.panel import Panel
from forecast.text import from_csv_cell, listed

LOWER = "yhat_lo_"
MOST_SPREAD = 2.0                   # times the promised error, of chance


@dataclass(frozen=True)
class Issued:
    """`frame` as backtesting scores it; `first` the earliest ordinal forecast; `matched` of `rows` have come true."""

    frame: pd.DataFrame
    first: int
    rows: int
    matched: int
    levels: tuple[float, ...]
    passed: Mapping[int, int] = field(default_factory=dict)     # issue -> its rows that another issue stood in for


def read_issued(path: Path | str, panel: Panel, contract: Contract) -> Issued:
    """Read what predict wrote in its default layout, of one cutoff or of several, to a file, a folder or a table (its
    address); or the past forecasts that evaluate wrote: of these, the rows of the first forecaster. Raises DataError
    naming file, row and column."""
    table = _texts(path, contract)
    keys = list(ours := _keys(contract))
    table = table.rename(columns={header: key for key, header in ours.items()}
                         | {f"forecast_{header}": header for header in ours.values()})
    if {"model", "cutoff", "step"} <= set(table) and len(table):
        table = table[table["model"] == table["model"].iloc[0]]
    apart = [*keys, "cutoff"] if "cutoff" in table else keys
    if missing := [ours.get(name, name) for name in (*keys, "yhat") if name not in table]:
        raise DataError(f"has no column {listed(missing)}", file=str(path), code="missing_column",
                        hint="Score a file in the default layout of forecast predict")
    if twice := table.index[table.duplicated(apart)].tolist():
        raise DataError("a second forecast for one series and time", file=str(path), row=twice[0] + 2, code="duplicate")
    values = [c for c in map(str, table) if c == "yhat" or c.startswith((LOWER, "yhat_hi_"))]
    numbers = pd.DataFrame({name: _numbers(table[name], path) for name in values})
    truth = _truth(panel, contract)
    rows = table[apart].assign(row=np.arange(len(table)))
    joined = rows.merge(truth, on=keys, how="inner", sort=False).sort_values("row")
    if joined.empty:
        raise DataError("the data hold the truth of none of its rows", file=str(path), code="nothing_matched",
                        hint=f"Its times run {table[keys[-1]].iloc[0]} .. {table[keys[-1]].iloc[-1]}"
                        if len(table) else "It has no rows")
    frame = pd.concat([_places(joined), numbers.iloc[joined["row"]].reset_index(drop=True)], axis=1)
    return Issued(frame, int(joined["ordinal"].min()), len(table), len(joined),
                  tuple(float(c.removeprefix(LOWER)) for c in values if c.startswith(LOWER)))


def _keys(contract: Contract) -> dict[str, str]:
    """The columns that say which series and time a row is about, the time last: a name that is none of ours -> the
    file's own header, which may be one of ours."""
    return {f"key {k}": header for k, header in enumerate((*contract.id_headers, contract.time))}


def _texts(path: Path | str, contract: Contract) -> pd.DataFrame:
    """The cells as predict writes them in CSV."""
    if isinstance(path, str):
        columns = open_database(path)
        return _of_typed(columns.read(range(len(columns.names))).rename_columns(columns.names).to_pandas(), contract)
    try:
        if path.suffix.lower() == ".xlsx":
            return _of_typed(_sheet(path), contract)
        if path.suffix.lower() == ".parquet" or path.is_dir():
            return _of_typed(pd.read_parquet(path), contract)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        return table.map(from_csv_cell)
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError("no such file", file=str(path), code="unreadable") from error
        reason = error.strerror if isinstance(error, OSError) else str(error).strip().splitlines()[-1]
        raise DataError(f"cannot be read: {reason}", file=str(path), code="unreadable") from error


def _of_typed(typed: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Numbers and time stamps as texts; times that are texts stay."""
    texts = {str(c): typed[c].map(repr if typed[c].dtype == float else str) for c in typed}
    if contract.time in typed and len(typed) and not isinstance(typed[contract.time].iloc[0], str):
        times = typed[contract.time]
        stamps = pd.to_datetime(times, utc=contract.utc).dt.tz_localize(None) if contract.calendar.is_time else times
        texts[contract.time] = pd.Series(contract.time_text(stamps.to_numpy()), typed.index)
    return pd.DataFrame(texts, dtype=object)


def _sheet(path: Path) -> pd.DataFrame:
    """The only sheet of a workbook. Raises DataError for a damaged one, RequestError without openpyxl."""
    check_installed()
    try:
        return pd.read_excel(path, keep_default_na=False)
    except (ValueError, KeyError, zipfile.BadZipFile, SyntaxError) as error:    # an XML parser's error is the last
        raise DataError("is no sound workbook", file=str(path), code="unreadable") from error


def _numbers(texts: pd.Series, path: Path | str) -> list[float]:
    numbers = []
    for row, text in zip((texts.index + 2).tolist(), texts, strict=True):
        try:
            numbers.append(float(text))
        except ValueError as error:
            raise DataError(f'"{text}" is not a number', file=str(path), row=row, column=str(texts.name), value=text,
                            code="not_a_number") from error
    return numbers


def _truth(panel: Panel, contract: Contract) -> pd.DataFrame:
    """The keys (the time as written), series, ordinal and y of every value that is known."""
    series, at = panel.points()
    ordinal = panel.start[series] + at - panel.first[series]
    table = pd.DataFrame({"series": series, "ordinal": ordinal, "y": panel.truth[at]})
    cells = contract.id_cells(panel.ids)
    for key, header in _keys(contract).items():
        if header in cells:
            table[key] = np.array(cells[header], dtype=object)[series]
    table[key] = contract.time_text(contract.calendar.times(ordinal))
    return table[table["y"].notna()]


def _places(joined: pd.DataFrame) -> pd.DataFrame:
    """The columns of a backtest frame that do not come from the forecaster; steps count from the first row of each
    series, and of each cutoff where the file names it."""
    of_one = joined.groupby(["series", "cutoff"] if "cutoff" in joined else "series")
    step = joined["ordinal"] - of_one["ordinal"].transform("min") + 1
    return pd.DataFrame({"model": "forecast", "series": joined["series"].to_numpy(),
                         "cutoff": (joined["ordinal"] - step).to_numpy(), "step": step.to_numpy(),
                         "y": joined["y"].to_numpy(), "source": "file"})


def came_true(blocks: Iterable[Block], panel: Panel, *, levels: Sequence[float],
              since: Ints | None = None) -> Issued:
    """What the ledger kept, beside the truth of the panel, as `read_issued` does for a file.

    blocks: of several about one series and cutoff the first counts, and the others are passed over. levels: the bands
    wanted; the result has those that every block has which came true. since (S,): rows about earlier ordinals are left
    out. In the result `rows` counts all forecasts of the panel's series, come true or not; `model` is the run."""
    place = {name: s for s, name in enumerate(panel.ids)}
    done: dict[int, NDArray[np.bool_]] = {}                             # end -> (S,) counted already
    vocabulary: dict[str, int] = {}
    parts: list[dict[str, Any]] = []
    rows, passed = 0, dict[int, int]()
    for block in blocks:
        series = np.array([place.get(i, -1) for i in block.ids], dtype=np.int64)
        before = _counted_before(done, series, block.ends, len(panel))
        ordinals = block.ends[:, None] + np.arange(block.values.shape[1])           # (S, H)
        all_wanted = ordinals >= (np.iinfo(np.int64).min if since is None else since[series, None])
        if over := int(all_wanted[(series >= 0) & before].sum()):
            passed[block.issue] = passed.get(block.issue, 0) + over
        which = np.flatnonzero((series >= 0) & ~before)
        ordinal, wanted = ordinals[which], all_wanted[which]
        rows += int(wanted.sum())
        truth = np.where(wanted, panel.truth_at(series[which], ordinal), np.nan)
        row, step = np.nonzero(~np.isnan(truth))
        if not len(row):
            continue
        levels = [x for x in levels if x in block.levels]
        part = {"model": _codes([block.run], vocabulary)[np.zeros(len(row), dtype=np.int64)],
                "series": series[which][row], "cutoff": block.ends[which][row] - 1, "step": step + 1,
                "y": truth[row, step], "yhat": block.at(0.5)[which[row], step]}
        for level in levels:
            for side, quantile in zip(("lo", "hi"), band_quantiles(level), strict=True):
                part[f"yhat_{side}_{level:g}"] = block.at(quantile)[which[row], step]
        parts.append(part | {"source": _codes(block.sources, vocabulary)[which[row]]})
    return replace(_issued_of(parts, list(vocabulary), rows, tuple(levels)), passed=passed)


def _counted_before(done: dict[int, NDArray[np.bool_]], series: Ints, ends: Ints, count: int) -> NDArray[np.bool_]:
    """Which of these (series, end) were counted before; all of them have been now. Series -1 is nobody."""
    before = np.zeros(len(series), dtype=bool)
    for end in np.unique(ends).tolist():
        of_end = done.setdefault(end, np.zeros(count + 1, dtype=bool))  # one more place, for -1
        here = ends == end
        before[here] = of_end[series[here]]
        of_end[series[here]] = True
    return before


def _codes(texts: Iterable[str], vocabulary: dict[str, int]) -> Ints:
    return np.array([vocabulary.setdefault(str(t), len(vocabulary)) for t in texts], dtype=np.int64)


def _issued_of(parts: list[dict[str, Any]], words: list[str], rows: int, levels: tuple[float, ...]) -> Issued:
    """One frame of all parts, with the columns that all have: a band may be missing in some."""
    shared = [name for name in (parts[0] if parts else ()) if all(name in p for p in parts)]
    columns: dict[str, Any] = {name: np.concatenate([p[name] for p in parts]) for name in shared}
    for name in ("model", "source") if parts else ():
        columns[name] = pd.Categorical.from_codes(columns[name], pd.Index(words)).remove_unused_categories()
    frame = pd.DataFrame(columns)
    return Issued(frame, int((frame["cutoff"] + frame["step"]).min()) if len(frame) else 0, rows, len(frame), levels)


def known_before(issued: Issued, panel: Panel) -> Panel:
    """What was known of each series before the first of its forecasts: the sample behind MASE's scale."""
    first = np.asarray(panel.end, dtype=np.int64).copy()
    np.minimum.at(first, issued.frame["series"].to_numpy(), issued.frame["cutoff"].to_numpy() + 1)
    return panel.before(first)


@dataclass(frozen=True)
class Drift:
    """Live MASE against the promised one: `ratio`, and the least it is with 95 % confidence (None with fewer than
    three forecasts that do not overlap)."""

    live: float
    promised: float
    ratio: float
    least: float | None


def drift_of(frame: pd.DataFrame, known: Panel, *, season: int, live: float, promised: float, windows: int,
             horizon: int) -> Drift:
    """How far the live error has moved from the error that a backtest of so many windows promised.

    The test is Student's t, one-sided. Its spread is that of the mean scaled errors of the cutoffs. The spread counts
    up to twice the promised error: a drift makes the errors uneven, and must not hide behind that. Forecasts that
    overlap are not independent, so only as many count as horizons fit into the span of the cutoffs."""
    from scipy.special import stdtrit  # a tenth of scipy.stats' second

    scale = seasonal_scale(known.truth, known.first, known.stop, season)
    scaled = ((frame["y"] - frame["yhat"]).abs() / scale[frame["series"].to_numpy()]).groupby(frame["cutoff"]).mean()
    scaled = scaled.dropna()
    apart = min(len(scaled), 1 + int(np.ptp(scaled.index.to_numpy())) // horizon) if len(scaled) else 0
    ratio = live / promised
    if apart < 3:
        return Drift(live, promised, ratio, None)
    error = min(float(scaled.std(ddof=1)), MOST_SPREAD * promised) * np.sqrt(1 / apart + 1 / max(windows, 1))
    return Drift(live, promised, ratio, float((live - stdtrit(apart - 1, 0.95) * error) / promised))


def beside_naive(issued: Issued, panel: Panel, season: int) -> pd.DataFrame:
    """Seasonal naive for the same series, cutoffs and steps, as `beside` makes it."""
    return beside(issued, panel, SeasonalNaive.name, season)


def beside(issued: Issued, panel: Panel, name: str, season: int) -> pd.DataFrame:
    """A baseline for the same series, cutoffs and steps, made from the values before each cutoff that were not filled
    in. Where there are none, its rows are missing."""
    pairs = issued.frame[["series", "cutoff"]].drop_duplicates()
    series = pairs["series"].to_numpy()
    known = panel.as_truth().take(series).before(pairs["cutoff"].to_numpy() + 1)
    has_past = finite_sums(known.y, known.first, known.stop)[1] > 0
    rows = np.flatnonzero(has_past & (known.end == pairs["cutoff"].to_numpy() + 1))     # nothing of it cut off since
    known, series = known.take(rows), series[rows]
    horizon = int(issued.frame["step"].max())
    said = BASELINES[name](season, quantile_grid(issued.levels)).predict(known, horizon)
    frame = backtest.frame_of(said, name, series, panel, issued.levels)
    keys = ["series", "cutoff", "step"]
    return frame.merge(issued.frame[keys], on=keys, how="inner")


def side_by_side(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other. The column `model` holds the name of each frame, whatever it held before."""
    names = pd.Index(list(frames))
    return pd.concat([frame.assign(model=pd.Categorical.from_codes(np.full(len(frame), k), names), source=None)
                      for k, frame in enumerate(frames.values())], ignore_index=True)
