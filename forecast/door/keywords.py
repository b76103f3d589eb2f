"""Keywords: every setting by its own name, as Python gives it and as the settings take it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from forecast.config import SETTINGS
from forecast.errors import RequestError

Several = str | Sequence[str]
Ids = str | int | Sequence[str | int]             # of series: they are texts, so 7 means 7 as a file writes it


class Settings(TypedDict, total=False):
    """Settings by their own names; `forecast help settings` says what each means. One that is None is not given."""

    id: str
    time: Several
    target: Several
    freq: str | int
    fill: str
    duplicates: str
    every: str
    aggregate: Several
    bad_rows: str
    max_gap: int
    missing: Several | float | Sequence[float]
    spikes: str
    date_format: str
    dayfirst: bool
    decimal: str
    delimiter: str
    sheet: str
    turn: bool
    header_line: int
    encoding: str
    tz: str
    known: Several
    past: Several
    static: Several
    covariates: Several | os.PathLike[str]
    holidays: Several
    cell: str
    bidirectional: bool
    attention: bool
    head: str
    embedding: bool
    tune_skip: bool
    hidden: int
    layers: int
    horizon: int
    context: int
    season: int | Sequence[int]
    segment: int
    transform: str
    scaling: str
    blend: bool
    prior: bool
    members: int
    levels: float | Sequence[float]
    conformal: bool
    allow_negative: bool
    skip: bool
    init: str
    dropout: float
    seed: int
    device: str
    threads: int
    lr: float
    batch: int
    steps: int
    preset: str
    quick: bool
    best: bool
    effort: float
    epoch_steps: int
    time_limit: float | str
    precision: str
    averaging: float
    clip: float
    validation_size: int
    final_fit: bool
    windows: int
    step: int
    test_size: int
    refit: str


class Drawn(TypedDict, total=False):
    """What may be asked for in place of bands; `forecast help paths` says what each is."""

    samples: int
    sum: str
    by: Several
    event: str
    together: bool
    seed: int
    layout: str                         # "long": a row for each value of samples


class Workers(TypedDict, total=False):
    """Who works beside this process; the numbers are those of one. Processes are begun anew, so a script (a notebook
    does not) has to call from below `if __name__ == "__main__":`."""

    jobs: int                           # processes
    engine: str                         # "processes" of this machine, or "ray"
    address: str                        # with "ray": a cluster that runs already


class AtOnce(Settings, Drawn, Workers, total=False):
    """What may be asked of a forecast without any training."""


class Scored(Settings, Workers, total=False):
    """What else may be asked of a backtest."""


class Asked(Drawn, Workers, total=False):
    """What else may be asked of a forecast; see `forecast predict --help`."""

    future: Any                         # a frame, or a path
    fill_future: str
    nonnegative: bool
    allow_negative: bool
    round: bool
    accept_scale: bool
    max_age: str
    missing: Several | float | Sequence[float]
    spikes: str
    device: str
    adapt: bool                         # with record=True
    plot: Any                           # where a picture goes, .png or .svg


_KEYS = {key.split(".")[1]: key for key in SETTINGS}
_PRESETS = ("quick", "best")
ROLE_KEYS = ("data.known", "data.past", "data.static")


def check_known(given: Iterable[str], known: Collection[str], where: str, *, own: Collection[str] = ()) -> None:
    """Raises RequestError for a name that is not known, with the nearest one that is. own: those that the signature
    names itself, and that cannot be wrong."""
    known = [*own, *known]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name.split(".")[-1], known, n=1)
            raise RequestError(f"{where}: there is no '{name}'", code="unknown_setting",
                               hint=f"Did you mean {close[0]}=?" if close else f"Known: {', '.join(known)}")


def flags_of(keywords: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings by their whole names, each checked. Raises RequestError for one that is not known, with the nearest."""
    given = {**(settings or {}), **keywords}
    presets = [name for name in _PRESETS if given.pop(name, None)]
    if len(presets) > 1:
        raise RequestError("quick and best exclude each other", code="bad_setting", hint="Give one of them")
    flags: dict[str, Any] = {"train.preset": presets[0]} if presets else {}
    check_known([name for name in given if name not in SETTINGS], [*_KEYS, *_PRESETS], "settings")
    for name, value in given.items():
        if value is not None:
            key = _KEYS.get(name, name)
            flags[key] = SETTINGS[key].check(_plain(key, value), source=f"{name}={value!r}")
    return flags


def _plain(key: str, value: Any) -> Any:
    """A value as a setting takes it: numpy's scalars and arrays, lists of columns, frequencies of pandas."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if key in ("data.id", "data.time", "data.target", "data.freq"):
        several = value if isinstance(value, (list, tuple)) else [getattr(value, "freqstr", value)]
        return ",".join(map(str, several))
    if key == "data.covariates":
        several = value if isinstance(value, (list, tuple)) else [value]
        return [os.fspath(_file(part)) for part in several]
    if key in ROLE_KEYS and isinstance(value, str):
        return [value]                                                  # a name may hold a comma
    return [_plain("", part) for part in value] if isinstance(value, (list, tuple)) else value


def _file(value: Any) -> Any:
    """A path. Raises RequestError for a frame."""
    if not isinstance(value, (str, os.PathLike)):
        raise RequestError("covariates= takes the path of a file", code="bad_setting",
                           hint="Two frames are joined before: frame.merge(other, on=[...])")
    return value


def text_of(levels: float | Sequence[float] | str | None) -> str | None:
    """Bands as text: "80,95"."""
    if levels is None or isinstance(levels, str):
        return levels
    return ",".join(f"{x:g}" for x in (levels if isinstance(levels, Iterable) else [levels]))
