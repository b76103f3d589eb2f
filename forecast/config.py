"""Every setting, once: its default, its meaning and its check. TOML in, JSON out.

Where a value comes from (flag > environment > forecast.toml > default) is decided in `resolve`; what it does is
said beside its default. A tuple setting is written `24,168` in text."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from forecast.errors import RequestError
from forecast.system.durations import seconds_of

FILE = "forecast.toml"
ENVIRONMENT = "FORECAST_"
PERIODS = ("hour", "dai", "day", "week", "month", "quarter", "year", "annual")


def setting(default: Any, meaning: str, *, choices: tuple[str, ...] = (), low: float | None = None,
            high: float | None = None, time: bool = False) -> Any:
    """A dataclass field that knows its meaning and which values it takes; a time in seconds may be written `10m`."""
    return field(default=default, metadata={"meaning": meaning, "choices": choices, "low": low, "high": high,
                                            "time": time})


@dataclass(frozen=True)
class DataConfig:
    """How a file is read. A setting without a default is found in the file, and what was found is said."""

    id: str | None = setting(None, "column that names the series, several by comma; none if all rows are one series")
    time: str | None = setting(None, "column of time stamps; several, by comma, where time is spread over columns")
    target: str | None = setting(None, "column to forecast; several, by comma, in a wide file")
    freq: str | None = setting(None, "step between time stamps: 30min, h, D, B, W, MS, ME, QS, YS or an integer")
    fill: str = setting("linear", "how missing steps inside a series are filled",
                        choices=("linear", "zero", "ffill", "mask"))
    duplicates: str = setting("refuse", "what to do with two rows for one series and time",
                              choices=("refuse", "last", "mean", "sum"))
    every: str | None = setting(None, "bring rows at any times to steps: 15min, hour, day, week, month, quarter, year")
    aggregate: tuple[str, ...] | None = setting(None, "what becomes of the rows of one step: sum, mean, count, last or "
                                                      "max; amount=sum,price=mean for several columns")
    bad_rows: str = setting("refuse", "what to do with rows that cannot be read", choices=("refuse", "quarantine"))
    max_gap: int | None = setting(None, "longest run of missing steps that may be filled", low=0)
    missing: tuple[str, ...] | None = setting(None, "numbers and texts that stand for a missing value, beside the "
                                                    "usual words; none if numbers that look so are real")
    spikes: str = setting("missing", "what a lone value is that lies absurdly far from all around it",
                          choices=("missing", "keep"))
    date_format: str | None = setting(None, "format of the time column, as in %d.%m.%Y")
    dayfirst: bool | None = setting(None, "read 01/02/2020 as 1 February")
    decimal: str | None = setting(None, "decimal mark", choices=(".", ","))
    header_line: int | None = setting(None, "line on which the names of the columns stand, counted from 1", low=1)
    turn: bool = setting(False, "each row is a series, and the headers are its times")
    delimiter: str | None = setting(None, "character between fields; 'tab' for a tabulator")
    sheet: str | None = setting(None, "sheet of an Excel workbook, or a part of it: Sales or 'Sales!A1:C200'")
    encoding: str | None = setting(None, "encoding of the file, as in utf-8 or cp1252")
    tz: str | None = setting(None, "time zone of local time stamps, as in Europe/Berlin")
    known: tuple[str, ...] | None = setting(None, "columns whose values over the horizon are known when a forecast is "
                                                  "made, such as prices and promotions")
    past: tuple[str, ...] | None = setting(None, "columns known up to the last target only, such as visitors")
    static: tuple[str, ...] | None = setting(None, "columns with one value a series, such as a region")
    covariates: tuple[str, ...] | None = setting(None, "a second file of such columns, joined by id and time, or by "
                                                       "time alone; may be repeated")
    holidays: tuple[str, ...] | None = setting(None, "country whose public holidays are a column known ahead: DE, or "
                                                     "US-CA")


@dataclass(frozen=True)
class ModelConfig:
    """What the forecaster is. A setting without a default follows from the data."""

    cell: str = setting("lstm", "recurrent cell", choices=("lstm", "gru", "rnn", "peephole", "coupled"))
    bidirectional: bool = setting(False, "read the context in both directions")
    attention: bool = setting(False, "let each step of the horizon weigh all steps of the context")
    head: str = setting("decoder", "how a memory becomes a forecast: by a recurrent decoder, step for step through the "
                                   "segments of the horizon, or flat, all at once", choices=("decoder", "flat"))
    embedding: bool = setting(True, "bring each segment to as many numbers as the cell has units, before it is read")
    tune_skip: bool = setting(True, "train the linear skip along with the network, from its closed form on")
    hidden: int | None = setting(None, "units of the cell; 16, 64 or 128 by the number of windows", low=1, high=4096)
    layers: int = setting(1, "stacked recurrent layers", low=1, high=16)
    horizon: int | None = setting(None, "steps to forecast", low=1, high=100_000)
    context: int | None = setting(None, "steps the model looks back", low=2, high=1_000_000)
    season: tuple[int, ...] | None = setting(None, "steps in a season, the main one first; 1 for none", low=1)
    segment: int | None = setting(None, "points the cell reads at one step", low=1)
    transform: str = setting("auto", "logarithms of the values (log, for positive series), or their inverse hyperbolic "
                                     "sine in units of each window (asinh, for spikes); auto takes what validation "
                                     "windows favour", choices=("auto", "none", "log", "asinh"))
    scaling: str = setting("window", "units of each window's own, or of each series by a scikit-learn scaler",
                           choices=("window", "standard", "robust", "minmax"))
    blend: bool = setting(True, "weigh the network, its linear skip and classical experts by their errors on held-out "
                                "windows; else the network alone")
    prior: bool = setting(True, "let the network that comes with the program, trained on synthetic series, have a say")
    members: int = setting(2, "networks to train and weigh: with and without the linear skip, of values and of their "
                              "logarithms, then with other seeds", low=1, high=100)
    levels: tuple[float, ...] = setting((80.0, 95.0), "bands to give, in percent", low=1.0, high=99.8)
    conformal: bool = setting(True, "widen or narrow the bands as held-out windows needed it")
    allow_negative: bool = setting(False, "let forecasts fall below 0 where no value ever was")
    skip: bool = setting(True, "let the network learn what a linear forecast leaves over; without it the cell does the "
                               "whole job, unblended")
    init: str = setting("auto", "forget gates before training: bias 1, or memories up to the length of the context "
                                "(chrono); auto is chrono where the cell takes 100 steps or more",
                        choices=("auto", "one", "chrono"))
    dropout: float = setting(0.1, "share of the context the head does not see while training", low=0.0, high=0.9)


@dataclass(frozen=True)
class TrainConfig:
    """How the forecaster is fitted."""

    seed: int = setting(0, "seed of everything random", low=0, high=2**31 - 1)
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    threads: int | None = setting(None, "CPU threads; by default those this process may use", low=1, high=1024)
    lr: float | None = setting(None, "highest learning rate of AdamW; 0.003, or 0.01 by the number of windows",
                               low=1e-8, high=10.0)
    batch: int = setting(256, "windows in a batch", low=1, high=1_000_000)
    steps: int | None = setting(None, "batches to train on; 400 to 1000 by the number of windows; 0 trains "
                                      "no network", low=0, high=10_000_000)
    preset: str = setting("default", "a set of other defaults: quick takes about an eighth of the time, best four "
                                     "times as much", choices=("quick", "default", "best"))
    effort: float = setting(1.0, "times the usual number of steps, where train.steps is not given", low=0.01, high=100)
    epoch_steps: int = setting(25, "batches between two looks at the validation windows", low=1)
    time_limit: float | None = setting(None, "time for the whole command, as in 10m: the schedule is shortened to fit",
                                       low=0, time=True)
    precision: str = setting("auto", "numbers of the cell's products while training; auto is bfloat16 for an LSTM of "
                                     "64 units or more where the CPU has instructions for it",
                             choices=("auto", "float32", "bfloat16"))
    averaging: float = setting(0.99, "share of the old weights in their running average", low=0.0, high=0.99999)
    clip: float = setting(1.0, "largest gradient norm", low=1e-6)
    validation_size: int | None = setting(None, "last steps of each series held out for early stopping", low=1)
    final_fit: bool = setting(True, "refit on all the data after validation")


@dataclass(frozen=True)
class BacktestConfig:
    """How a forecaster is scored."""

    windows: int | None = setting(None, "rolling windows in the backtest; by default up to 4, as the data allow", low=1)
    step: int | None = setting(None, "steps between two cutoffs; the horizon by default", low=1)
    test_size: int | None = setting(None, "last steps of each series that are the test", low=1)
    refit: str = setting("never", "fit once before the first cutoff, or before each", choices=("never", "each"))


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    backtest: BacktestConfig = BacktestConfig()

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain JSON values; `from_dict` gives back an equal Config."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, sections: Mapping[str, Mapping[str, Any]], *, source: str = "config.json") -> Config:
        """Raises RequestError naming `source` for an unknown key or a value that fails its check."""
        return cls().override({f"{s}.{k}": v for s, keys in sections.items() for k, v in keys.items()}, source=source)

    def override(self, values: Mapping[str, Any], *, source: str) -> Config:
        """A copy with `{"train.lr": 0.003}` applied; text values are read by the setting's own type."""
        changed: dict[str, dict[str, Any]] = {}
        known = SETTINGS
        for key, value in values.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                raise RequestError(f"{source}: unknown setting '{key}'", code="unknown_setting",
                                   hint=f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}")
            section, name = key.split(".")
            changed.setdefault(section, {})[name] = known[key].check(value, source=source)
        return dataclasses.replace(self, **{section: dataclasses.replace(getattr(self, section), **names)
                                            for section, names in changed.items()})


@dataclass(frozen=True)
class Setting:
    """One row of the table of settings: `train.lr`, its type, default, meaning and bounds."""

    key: str
    type: Any
    default: Any
    meaning: str
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    time: bool                          # seconds, which may be written 90s, 10m, 1h30m

    @property
    def kind(self) -> type:
        """The type of one value: int, float, bool or str."""
        kinds = [t for t in _leaves(self.type) if t is not type(None)]
        return kinds[0]

    @property
    def is_tuple(self) -> bool:
        return "tuple" in str(self.type)

    @property
    def optional(self) -> bool:
        return type(None) in get_args(self.type)

    def check(self, value: Any, *, source: str) -> Any:
        """The value in its own type. Raises RequestError naming source, setting, value and what it takes."""
        if value is None:
            if self.optional:
                return None
            raise self._refusal(value, source)
        try:
            if self.is_tuple:
                parts = value.split(",") if isinstance(value, str) else value
                parts = parts if isinstance(parts, (list, tuple)) else [parts]
                checked = tuple(self._one(p) for p in parts)
                if not checked:
                    raise ValueError
                return checked
            return self._one(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._refusal(value, source) from error

    def _one(self, value: Any) -> Any:
        read: Callable[[Any], Any] = {bool: _bool, int: _int, float: _float, str: _text}[self.kind]
        if self.kind is str and self.is_tuple:
            read = _word
        result = seconds_of(value, self.key) if self.time and isinstance(value, str) else read(value)
        if isinstance(result, str) and result.lower() in self.choices:
            result = result.lower()
        bounded = isinstance(result, (int, float)) and not isinstance(result, bool)
        if (self.choices and result not in self.choices) or (bounded and not (
                (self.low is None or result >= self.low) and (self.high is None or result <= self.high))):
            raise ValueError
        return result

    @property
    def takes(self) -> str:
        """Which values it takes, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.time:
            words = "a time such as 90s or 10m"
        elif self.low is not None:
            words += f" of {_plain(self.low)} or more" if self.high is None else \
                f" from {_plain(self.low)} to {_plain(self.high)}"
        return words + (", or several by comma" if self.is_tuple else "")

    def _refusal(self, value: Any, source: str) -> RequestError:
        flag = "--" + self.key.split(".")[1].replace("_", "-")
        said = flag if source == "command line" else f"{source}: {self.key}"
        near = difflib.get_close_matches(str(value).lower(), self.choices, n=1)
        hint = f"Did you mean {near[0]}?" if near else None
        if self.key == "model.season" and any(word in str(value).lower() for word in PERIODS):
            hint = "It is counted in steps: 7 is a week of daily data, 24 a day of hourly, 12 a year of monthly"
        return RequestError(f"{said} takes {self.takes}, not {value!r}", code="bad_setting", hint=hint)


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _leaves(kind: Any) -> list[type]:
    inner = [t for t in get_args(kind) if t is not Ellipsis]
    return [leaf for t in inner for leaf in _leaves(t)] if inner else [kind]


def _bool(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _word(value: Any) -> str:
    """One text of several, or a number as text, as TOML may hold it."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    return _text(_text(value).strip())


def _table() -> dict[str, Setting]:
    rows = {}
    for section in fields(Config):
        cls: type[Any] = type(section.default)
        types = get_type_hints(cls)
        for f in fields(cls):
            key = f"{section.name}.{f.name}"
            rows[key] = Setting(key, types[f.name], f.default, **f.metadata)
    return rows


SETTINGS = _table()
PRESETS: dict[str, dict[str, Any]] = {                                  # defaults in place of the usual ones
    "quick": {"model.members": 1, "train.effort": 0.5},
    "default": {},
    "best": {"model.members": 8, "train.effort": 2.0},
}


def find_file(folder: Path) -> Path | None:
    """The nearest forecast.toml in `folder` or above it."""
    whole = folder.absolute()
    return next((d / FILE for d in (whole, *whole.parents) if (d / FILE).is_file()), None)


def layers(flags: Mapping[str, Any], *, sets: tuple[str, ...] = (), environment: Mapping[str, str],
           file: Path | None) -> list[tuple[str, dict[str, Any]]]:
    """What was given, and by whom, the weakest first: the preset, forecast.toml, FORECAST_SECTION_NAME, --set, flag.

    `flags` maps `model.horizon` to a value or None (not given). Raises RequestError."""
    variables = {ENVIRONMENT + key.replace(".", "_").upper(): key for key in SETTINGS}
    ours = tuple(f"{ENVIRONMENT}{section.name.upper()}_" for section in fields(Config))
    given = [(str(file), {} if file is None else _from_toml(file)),
            ("environment", {variables.get(v, v): environment[v] for v in sorted(environment) if v.startswith(ours)}),
            ("--set", _from_pairs(sets)), ("command line", {k: v for k, v in flags.items() if v is not None})]
    asked = [values["train.preset"] for _, values in given if "train.preset" in values]
    return [("preset", PRESETS.get(str(asked[-1]), {}) if asked else {}), *given]


def resolve(flags: Mapping[str, Any], *, sets: tuple[str, ...] = (), environment: Mapping[str, str],
            file: Path | None) -> Config:
    """The settings of a run: every layer over the ones before it, the defaults below all. Raises RequestError."""
    config = Config()
    for source, values in layers(flags, sets=sets, environment=environment, file=file):
        config = config.override(values, source=source)
    return config


def set_by(sets: tuple[str, ...]) -> dict[str, str]:
    """The settings of some --set, as they were written. Raises RequestError for what is none, or not its value."""
    pairs = _from_pairs(sets)
    Config().override(pairs, source="--set")
    return pairs


def _from_toml(file: Path) -> dict[str, Any]:
    try:
        sections = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror}", file=str(file), code="bad_toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"is not TOML: {error}", file=str(file), code="bad_toml") from error
    flat: dict[str, Any] = {}
    for section, keys in sections.items():
        if not isinstance(keys, dict):
            raise RequestError(f"'{section}' stands outside a section", file=str(file), code="bad_toml",
                               hint=f"Sections: {', '.join(f'[{f.name}]' for f in fields(Config))}")
        flat |= {f"{section}.{name}": value for name, value in keys.items()}
    return flat


def _from_pairs(sets: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise RequestError(f"--set {text}: write it as section.name=value", code="bad_setting",
                               hint="As in --set train.lr=0.003")
        pairs[key.strip()] = value.strip()
    return pairs
