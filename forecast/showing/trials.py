"""A search as a table: its trials by rank, beside the defaults and the seasonal naive forecast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from forecast.scoring.formulas import REFERENCE
from forecast.showing.layout import Table
from forecast.showing.tables import score_text
from forecast.text import shorten
from forecast.training.search import Tried

MOST = 10                               # trials shown
WIDE = 40                               # columns for what was changed


def trials_table(ranking: Sequence[Tried], default: Tried | None, naive: float, *, metric: str, season: int) -> Table:
    """A row for each of the first trials, and unranked ones for the references, by their score."""
    shown = [*ranking[:MOST], *([default] if default and default not in ranking[:MOST] else [])]
    usual = default.score if default else math.nan
    scored = [(t.score, [f"{ranking.index(t) + 1:<6}{t.number}", score_text(t.score, metric), _beside(t.score, usual),
                         f"{t.seconds:.1f}", shorten(changed(t.changes), WIDE)]) for t in shown]
    scored.append((naive, [f"{'':<6}{REFERENCE}", score_text(naive, metric), _beside(naive, usual), "", ""]))
    rows = [row for _, row in sorted(scored, key=lambda s: (math.isnan(s[0]), s[0]))]
    headers: list[str] = ["rank  trial", f"MASE(m={season})" if metric == "mase" else "MAE", "beside", "s", "changed"]
    width = max(len(row[-1]) for row in [headers, *rows])
    return Table([*headers[:-1], headers[-1].ljust(width)], [[*row[:-1], row[-1].ljust(width)] for row in rows], ["s"])


def changed(changes: Mapping[str, Any]) -> str:
    """`hidden=32 lr=0.004`; `the defaults` for nothing."""
    return "  ".join(f"{key.split('.')[-1]}={value}" for key, value in changes.items()) or "the defaults"


def _beside(score: float, usual: float) -> str:
    """By how much a score is smaller than that of the defaults."""
    gain = 1 - score / usual if usual > 0 else math.nan
    return f"{gain:+.1%}" if math.isfinite(gain) and gain else "0%" if gain == 0 else "-"
