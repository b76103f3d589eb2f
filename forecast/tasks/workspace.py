"""Workspace: where tasks work: a folder, its store, its settings resolved once, and what is read from there."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.config import Config, DataConfig, find_file, layers, resolve, set_by
from forecast.errors import DiskError, RequestError
from forecast.store.store import Store, is_run
from forecast.system.datasource import DataSource, check_file, guard, shown_path
from forecast.system.durations import seconds_of
from forecast.system.monitor import check_status_path
from forecast.tasks.teller import Teller

if TYPE_CHECKING:
    import pandas as pd

    from forecast.ledger.ledger import Ledger
    from forecast.reading.contract import Contract
    from forecast.reading.reader import Reading
    from forecast.store.run import Run
    from forecast.writing.places import Place

ROLE_KEYS = ("data.known", "data.past", "data.static", "data.holidays")

OWN = re.compile(r"(runs|cache|resume|studies|live|lock|promotions|reports|ledger)(\..*)?")      # names in a store

# What needs numpy or pyarrow is imported by the methods that need it: a list of models need not wait for them.


@dataclass(frozen=True)
class Workspace:
    """`flags` are the strongest settings ({"model.horizon": "12"}; None is not given), then `sets` ("train.lr=0.003"),
    the environment's FORECAST_SECTION_NAME, and the forecast.toml found upward from the folder."""

    folder: Path
    store: Store
    flags: Mapping[str, Any] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def at(cls, folder: Path = Path(), *, store: Path | str | None = None, flags: Mapping[str, Any] | None = None,
           sets: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> Workspace:
        """store: a path from the folder. By default it is FORECAST_STORE, else .forecast beside the nearest
        forecast.toml, else .forecast in the folder."""
        environment = os.environ if environment is None else environment
        named, file = store or environment.get("FORECAST_STORE"), find_file(folder)
        place = folder / named if named else (file.parent if file else folder) / ".forecast"
        return cls(folder, Store(place), flags or {}, sets, environment)

    @cached_property
    def config(self) -> Config:
        """The settings, each from the strongest that gives it. Raises RequestError."""
        settled = resolve(self.flags, sets=self.sets, environment=self.environment, file=self.file)
        for source, values in layers(self.flags, sets=self.sets, environment=self.environment, file=self.file):
            self._judge(values, source)
        return settled

    @cached_property
    def given(self) -> dict[str, Any]:
        """The settings that somebody gave, and what they were set to. Raises RequestError."""
        settled = self.config.to_dict()
        layered = layers(self.flags, sets=self.sets, environment=self.environment, file=self.file)
        keys = [key.split(".") for _, values in layered for key in values]
        return {f"{section}.{name}": settled[section][name] for section, name in keys}

    @property
    def said(self) -> dict[str, Any]:
        """The settings of this call alone, by flag or --set. Raises RequestError."""
        sets, flags = set_by(self.sets), {key: value for key, value in self.flags.items() if value is not None}
        self._judge(sets, "--set")
        self._judge(flags, "command line")
        return sets | flags

    @staticmethod
    def _judge(values: Mapping[str, Any], source: str) -> None:
        if any(key.startswith("data.") for key in values):              # only who sets how to read waits for readers
            from forecast.reading.asked import judge

            judge(values, source)

    def check_sets(self, takes: Collection[str], *, user: str, hint: str) -> None:
        """Raises RequestError for a --set that is no setting, or none of those that its user takes."""
        if idle := [key for key in set_by(self.sets) if key not in takes]:
            raise RequestError(f"--set {idle[0]}: has no effect on {user}", code="no_effect", hint=hint)

    def check_store(self) -> None:
        """Raises DiskError where a file stands in the place of the store."""
        if self.store.folder.exists() and not self.store.folder.is_dir():
            raise DiskError("is a file, and the store has to be a folder", file=str(self.store.folder),
                            code="no_folder", hint="Give another --store, or remove the file")

    def guard(self, outputs: Sequence[Path | None], inputs: Sequence[DataSource | None], *, place: Place | None = None,
              makes_folder: bool = False) -> None:
        """Before any work, all that a command writes: no output lies where the store keeps its own or in the folder of
        a run, nor over what is read, forecast.toml or another output, nor where no file can be made.

        outputs: files · place: where forecasts go, which may be a folder or a table · makes_folder: the folder of the
        files is made where there is none. Raises RequestError, DiskError."""
        for output in filter(None, (*outputs, None if place is None else place.file)):
            self._keep_out(output)
        for output in filter(None, (*outputs, None if place is None or place.is_folder else place.path)):
            check_file(output)
        settings = None if self.file is None else DataSource(str(self.file))
        guard([None if place is None else place.path, *outputs], [*inputs, settings], makes_folder=makes_folder)

    def _keep_out(self, output: Path) -> None:
        store, place = self.store.folder.resolve(), output.resolve()
        inside = place.relative_to(store).parts if place.is_relative_to(store) else ()
        if store.is_relative_to(place) or (inside and OWN.fullmatch(inside[0])):
            raise RequestError(f"{shown_path(str(output))}: belongs to the store, which keeps models there",
                               code="overwrite", hint="Choose another name")
        if any(is_run(folder) for folder in (place, *place.parents[:2])):
            raise RequestError(f"{shown_path(str(output))}: would be written into a model, which never changes",
                               code="overwrite", hint="Choose another name")

    def status_path(self, name: str | None) -> Path | None:
        """Where the status of a command goes; None for no name. Raises RequestError, DiskError."""
        path = None if name is None else self.path(name)
        check_status_path(path)
        self.guard([path], [])
        return path

    def inputs(self, source: DataSource, run: Run | None = None) -> list[DataSource]:
        """All files that are read with some data: these, and those of covariates beside them, as a run's contract or
        the settings name them. Raises RequestError."""
        kept = [source.path.parent / b.source for b in run.contract.beside if b.source and not b.is_holiday
                ] if run and source.path else []
        named = run.predictor.config.override(self.said, source="command line") if run else self.config
        return [source, *(DataSource(str(path)) for path in (*kept, *(self.placed(named.data).covariates or ())))]

    @staticmethod
    def check_precision(config: Config, *cells: str) -> None:
        """Before any work: these cells can be trained here as train.precision asks. Raises RequestError."""
        if config.train.precision == "bfloat16":                        # only who asks for it waits for torch
            from forecast.system.machine import set_up
            from forecast.training.torch_network import check_bfloat16

            device = set_up(config.train.device, config.train.threads)
            for cell in cells:
                check_bfloat16(cell, device)

    @property
    def file(self) -> Path | None:
        """The forecast.toml that counts here."""
        return find_file(self.folder)

    @property
    def ledger(self) -> Ledger:
        from forecast.ledger.ledger import FILE, Ledger

        return Ledger(self.store.folder / FILE)

    def path(self, name: str | Path) -> Path:
        """A path as it was given, seen from the folder."""
        return self.folder / name

    def source(self, name: str | Path | pd.DataFrame) -> DataSource:
        """Data as they were named: a path, - for standard input, or a data frame. An address on a network is kept as it
        is: whoever reads it refuses it."""
        return DataSource.seen_from(self.folder, name)

    def source_of(self, run: Run) -> DataSource:
        """The file a run was trained on: where it lies from the store, else where it lay. Raises RequestError for
        none."""
        if run.record.data.path is None:
            raise RequestError("the model was trained from standard input or a data frame, so DATA must be named",
                               code="no_data", hint="forecast predict DATA")
        return DataSource.kept(self.store.folder, run.record.data.path, run.record.data.from_store)

    def read(self, source: DataSource, options: DataConfig | None = None, contract: Contract | None = None) -> Reading:
        """Read data, or take them from the cache. `options`: by default those of the settings. Raises DataError, and
        ModelError where they are not as the contract says."""
        options = self.placed(self.config.data if options is None else options)
        if source.frame is not None:
            from forecast.reading.frames import read_frame

            return read_frame(source.frame, options, contract)
        from forecast.reading.cache import read_cached

        return read_cached(source.name, options, contract=contract, store=self.store.folder)

    def placed(self, options: DataConfig) -> DataConfig:
        """The settings of reading, with the files of covariates as seen from the folder."""
        files = tuple(str(self.path(name)) for name in options.covariates or ())
        return replace(options, covariates=files or None)

    def read_for(self, run: Run, source: DataSource, given: Mapping[str, Any] | None = None) -> Reading:
        """Read data as the run's own were read, but for the settings given ("data.missing"). Where its covariates lie
        the contract knows, unless other files are given. Raises RequestError for roles: training chose them."""
        given = given or {}
        if roles := [key for key in given if key in ROLE_KEYS]:
            raise RequestError(f"--{roles[0].removeprefix('data.')}: has no effect on {run.id}: it is trained already",
                               code="no_effect", hint="The roles of columns are chosen in forecast train")
        config = run.predictor.config.override({"data.covariates": None} | dict(given), source="command line")
        return self.read(source, config.data, run.contract)

    def run(self, name: str | os.PathLike[str] | Run = "live", *, validated: bool = False) -> Run:
        """A run by name: `live`, an id, its beginning, a --name, or a path. A loaded run is returned as it is.
        validated: with its networks as they were before the final fit. Raises ModelError."""
        from forecast.store.run import Run, load

        if isinstance(name, Run):
            return name
        name = os.fspath(name) if isinstance(name, os.PathLike) else name
        if not isinstance(name, str):
            raise RequestError(f"a model is named by a text, not by {name!r}", code="bad_name",
                               hint="As in live, a run's id or its beginning, its name, or a path")

        return load(self.store.find(name), validated=validated)

    @contextmanager
    def locked(self, teller: Teller, wait: str | None = None) -> Iterator[None]:
        """Hold the store's lock, after waiting for it at most `wait` ("10m"). What a killed run had left is removed.

        Raises BusyError, and RequestError for what is no time."""
        seconds = seconds_of(wait, "--wait") if wait is not None else 0.0
        with self.store.lock(wait=seconds, waiting=lambda holder: teller.say("waiting", f"{holder} is writing to this "
                                                                                       "store")) as left:
            if left:
                teller.say("cleaned", f"what a killed run had left in the store: {', '.join(left)}")
            yield
