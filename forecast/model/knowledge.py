"""Knowledge: up to where a model has learned from each series, and so what of a panel is new to it."""

# S series

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forecast.series.arrays import Ints
from forecast.series.panel import Panel


@dataclass(frozen=True)
class Knowledge:
    """Of a series that is not named nothing was learned. On a calendar, what tells of one series tells of all."""

    ends: Mapping[str, int] = field(default_factory=dict)   # id -> ordinal just behind the last point learned from

    @classmethod
    def of(cls, panel: Panel) -> Knowledge:
        """Of all that a panel holds."""
        return cls(dict(zip(panel.ids.tolist(), np.minimum(panel.end, panel.newest).tolist(), strict=True)))

    def __len__(self) -> int:
        """How many series."""
        return len(self.ends)

    @property
    def end(self) -> int:
        """The ordinal just behind the newest point of any series."""
        return max(self.ends.values())

    def reaches_behind(self, ordinal: int) -> bool:
        """Whether it knows a point at or after this ordinal."""
        return len(self) > 0 and self.end > ordinal

    def has_met(self, panel: Panel) -> bool:
        """Whether it knows any of these series."""
        return not self.ends.keys().isdisjoint(panel.ids)

    def reach(self, panel: Panel) -> Ints:
        """Up to which ordinal something is known of each series (S,)."""
        least = np.iinfo(np.int64).min
        if panel.calendar.is_time:
            return np.full(len(panel), max(self.ends.values(), default=least))
        return np.array([self.ends.get(i, least) for i in panel.ids], dtype=np.int64)

    def exceeds(self, panel: Panel) -> bool:
        """Whether it knows what lies behind the end of the panel."""
        return bool((self.reach(panel) > panel.newest).any())

    def unseen_steps(self, panel: Panel) -> int:
        """Steps of the panel, back from its newest, that are all new. A series that was never met is new as a whole and
        bounds nothing."""
        met = [s for s, i in enumerate(panel.ids) if i in self.ends]
        return int(np.min(panel.newest[met] - self.reach(panel)[met], initial=np.iinfo(np.int64).max))

    def later(self, steps: int) -> Knowledge:
        """Of so many steps more of each series."""
        return Knowledge({i: end + steps for i, end in self.ends.items()})

    def at_least(self, older: Knowledge) -> Knowledge:
        """Of its series, each up to where either knows it."""
        return Knowledge({i: max(end, older.ends.get(i, end)) for i, end in self.ends.items()})

    def over(self, older: Knowledge) -> Knowledge:
        """With the series that only an older one knows."""
        return Knowledge({**older.ends, **self.ends})
