"""Checkpoints: what an interrupted training needs to go on, to the bit, where it stopped.

Arrays by name, without pickle; what they mean is learning.py's business. A checkpoint belongs to one training of one
set of data with one set of settings: its folder is named by their fingerprint."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from forecast.system.files import disk_errors, write_bytes

Arrays = dict[str, NDArray[Any]]
EVERY = 30.0                                                            # seconds between two checkpoints of a network
FORGOTTEN = 30 * 86_400                                                 # seconds
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints, a file for each network in each round of training."""

    folder: Path

    @classmethod
    def of(cls, parent: Path, *identity: object) -> Checkpoints:
        """Those of the training that these values, as JSON, make what it is."""
        text = json.dumps(identity, sort_keys=True, default=str)
        return cls(parent / hashlib.sha256(text.encode()).hexdigest()[:16])

    def at(self, name: str) -> Place:
        return Place(self.folder / (name + SUFFIX))

    def count(self) -> int:
        """How many networks have something to go on from."""
        return len(list(self.folder.glob("*" + SUFFIX))) if self.folder.is_dir() else 0

    @staticmethod
    def any_in(parent: Path) -> bool:
        """Whether a training that was broken off has left something."""
        return any(parent.glob("*/*" + SUFFIX))

    def clear(self) -> None:
        """They are not needed any more; nor are those of other trainings that nobody has gone on with for long."""
        for folder in self.folder.parent.glob("*"):
            if folder == self.folder or time.time() - folder.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()                                  # where none is left


@dataclass
class Place:
    """Where one network's training leaves what it has come to."""

    file: Path | None = None                                            # None: nowhere
    saved_at: float = field(default_factory=time.monotonic)             # or made, where nothing was saved yet

    @property
    def is_due(self) -> bool:
        return self.file is not None and time.monotonic() - self.saved_at >= EVERY

    def save(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Whole or not at all. Raises DiskError."""
        if self.file is not None:
            with disk_errors(self.file):
                self.file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self.file, safetensors.numpy.save({k: np.asarray(v, order="C") for k, v in arrays.items()}))
            self.saved_at = time.monotonic()

    def load(self) -> Arrays | None:
        """What was left here; None where there is nothing, or nothing that can be read: then training starts anew."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            return dict(safetensors.numpy.load(self.file.read_bytes()))
        except (safetensors.SafetensorError, OSError, ValueError, KeyError):
            return None
