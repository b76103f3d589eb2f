"""Options: what was asked for when a forecast was issued, beside its data, run and horizon.

They are kept in the ledger, so that the issue can be made again. The key of an issue is made of them, and so depends on
how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

ALWAYS = ("series", "nonnegative", "round", "layout")                   # written also where they were not asked for


@dataclass(frozen=True)
class Options:
    """A field that is not in ALWAYS is written only where it differs from its default. So a new field changes the key
    of no issue that was made before it."""

    series: tuple[str, ...] | None = None           # only these; None: all of the file
    nonnegative: bool = False                       # no value below 0
    round: bool = False                             # whole numbers
    layout: str = "default"                         # columns of the output
    shard: str | None = None                        # "1/4": the first of four parts of the series
    adapt: Mapping[str, float] | None = None        # factors of the bands by level; None: not asked for
    allow_negative: bool = False                    # below 0 even where no value ever was
    mean: bool = False                              # the expected value beside the median
    read: Mapping[str, Any] | None = None           # settings of reading that were given ("data.missing")
    fill_future: str | None = None                  # how values missing over the horizon were made up for
    others: Mapping[str, Any] = field(default_factory=dict)     # of another version, kept as they were

    @property
    def is_of_a_part(self) -> bool:
        """Whether only some series of the file were asked for."""
        return bool(self.series or self.shard)

    def to_dict(self) -> dict[str, Any]:
        """As the ledger keeps them."""
        known = {f.name: getattr(self, f.name) for f in fields(self)
                 if f.name in ALWAYS or (f.name != "others" and getattr(self, f.name) != f.default)}
        return known | {"series": None if self.series is None else list(self.series)} | dict(self.others)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Options:
        """What `to_dict` gave. Raises TypeError or ValueError for what cannot be options."""
        names = {f.name for f in fields(cls)} - {"others"}
        known = {name: value for name, value in content.items() if name in names}
        if known.get("series") is not None:
            known["series"] = tuple(known["series"])
        if not isinstance(known.get("adapt", {}), dict):
            raise TypeError("factors that are no table")
        return cls(**known, others={name: value for name, value in content.items() if name not in names})
