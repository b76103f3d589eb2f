"""Tables from scores and forecasts; what they say is settled elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forecast.scoring.formulas import REFERENCE
from forecast.text import counted, safe, shorten

if TYPE_CHECKING:
    from rich.table import Table

    from forecast.scoring.backtest import Scores
    from forecast.training.comparison import Contender


def number(value: float) -> str:
    """Four significant digits, thousands apart; - for what is undefined."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.4g}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3e}"


def percent(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else "-"


def plain_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table without lines: the first column to the left, the others to the right, nothing cut."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for k, header in enumerate(headers):
        table.add_column(header, justify="left" if k == 0 else "right", no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*row)
    return table


def score_table(scores: Scores, width: int | None = None) -> Table:
    """One row a forecaster: errors, what the bands cover and how wide they are, the skill against the better simple
    forecast; one column each, where a row would be wider than `width`."""
    reference = scores.reference_name.replace("_", " ")
    headers = ["", "MAE", "RMSE", f"MASE(m={scores.season})", "sMAPE", "WAPE", "WQL",
               *(f"{level:g}% covers (width)" for level in scores.levels), f"skill vs {reference}"]
    rows = [headers, *(_score_row(dict(row), scores) for _, row in scores.summary.iterrows())]
    columns = [list(column) for column in zip(*rows, strict=True)]
    if width is not None and sum(2 + max(map(len, column)) for column in columns) - 2 > width:
        rows = columns
    return plain_table(rows[0], rows[1:])


def _score_row(row: dict[str, Any], scores: Scores) -> list[str]:
    skill = row.get("skill", float("nan"))
    is_reference = row["model"] == scores.reference_name
    said = "0%" if is_reference else f"{skill:+.0%}" if math.isfinite(skill) else "-"
    if row["series"] > 1 and "better_on" in row and not is_reference:
        said += f" (better on {row['better_on']} of {row['series']} series)"
    return [row["model"], number(row["mae"]), number(row["rmse"]), number(row["mase"]), number(row["smape"]),
            percent(row["wape"]), number(row["wql"]),
            *(f"{percent(row[f'coverage_{level:g}'])} ({number(row[f'width_{level:g}'])})" for level in scores.levels),
            said]


def comparison_table(ranking: Sequence[Contender], references: Mapping[str, Mapping[str, float]], *, metric: str,
                     season: int, has_skip: bool) -> Table:
    """A row for each cell, and unranked ones for the references, by their mean score."""
    headers = ["rank  cell", "units", "params", "seeds", f"MASE(m={season}) ± sd" if metric == "mase" else "MAE ± sd",
               "min .. max", "skill", "s/fit", "best epoch", *(["bettered skip"] if has_skip else [])]
    scored = [(c.mean(metric), _cell_row(c, rank, metric, has_skip)) for rank, c in enumerate(ranking, 1)]
    for name, row in references.items():
        skill = _signed_percent(row["skill"]) if row["skill"] else "0%"
        scored.append((row[metric], [f"      {name}", "", "", "", score_text(row[metric], metric), "", skill, "", "",
                                     *([""] if has_skip else [])]))
    return plain_table(headers, [row for _, row in sorted(scored, key=lambda s: (math.isnan(s[0]), s[0]))])


def _cell_row(c: Contender, rank: int, metric: str, has_skip: bool) -> list[str]:
    values = c.values(metric)
    several = len(values) > 1
    mean = score_text(c.mean(metric), metric) + (f" ± {score_text(c.deviation(metric), metric)}" if several else "")
    return [f"{rank:<6}{c.cell}", f"{c.hidden:,}", f"{c.parameters:,}", str(len(values)), mean,
            f"{score_text(values.min(), metric)} .. {score_text(values.max(), metric)}" if several else "",
            _signed_percent(c.mean("skill")), f"{c.seconds:.1f}", f"{c.best_epoch:g}",
            *([f"{c.learned} of {len(values)}"] if has_skip else [])]


def score_text(value: float, metric: str) -> str:
    """Three decimals of a MASE, four digits of what is in units of the target."""
    return f"{value:.3f}" if metric == "mase" and value < 1000 else number(value)


def _signed_percent(value: float) -> str:
    return f"{value:+.0%}" if math.isfinite(value) else "-"


def in_words(scores: Scores) -> str | None:
    """The first line of the table beside the better simple forecast, for whoever has not met its abbreviations. Figures
    and percent are of one metric, the mean absolute error."""
    own, simple = scores.own, scores.reference
    if simple is None:
        return None
    gain = 1 - own["mae"] / simple["mae"] if simple["mae"] > 0 else math.nan
    gained = f": {abs(gain):.0%} {'better' if gain >= 0 else 'worse'}" if math.isfinite(gain) else ""
    how = "repeating the last season" if scores.reference_name == REFERENCE else "repeating the last value"
    return (f"on {counted(scores.windows, 'past window')} it erred by {own['mae']:.4g} on average, {how} by "
            f"{simple['mae']:.4g}{gained}")


def band_line(scores: Scores) -> str:
    """What the bands cover on these windows, and where the share that they would cover of many lies."""
    bands = [f"{level:g} %: covers {share:.0%}, true share {low:.0%} to {high:.0%}"
             for level, (share, low, high) in scores.covered.items()]
    windows = counted(max(1, round(scores.independent)), "independent window")
    return f"{'   '.join(bands)}   (95 % sure, by {windows})" if bands else ""


def step_line(scores: Scores, model: str) -> str:
    """The mean absolute error along the horizon: some of its steps, the last among them."""
    part = scores.by_step[scores.by_step["model"] == model]
    steps, errors = part["step"].to_numpy(), part["mae"].to_numpy()
    shown = sorted({0, len(steps) - 1, *(len(steps) * k // 4 for k in (1, 2, 3))}) if len(steps) else []
    return "   ".join(f"step {steps[k]}: {number(errors[k])}" for k in shown)


def worst_series(scores: Scores, model: str, ids: Sequence[str], most: int = 3) -> str:
    """The series with the largest MASE (MAE where there is none), named."""
    part = scores.per_series[scores.per_series["model"] == model]
    by = "mase" if part["mase"].notna().any() else "mae"
    worst = part.sort_values(by, ascending=False, kind="stable").head(most)
    return "   ".join(f"{safe(shorten(ids[s], 30))} ({by.upper()} {number(v)})"
                      for s, v in zip(worst["series"], worst[by], strict=True))
