"""Tables from scores and forecasts; what they say is settled elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forecast.scoring.formulas import REFERENCE
from forecast.series.arrays import Floats
from forecast.series.forecast import Forecast
from forecast.showing.layout import Table
from forecast.text import counted, safe, shorten, sparkline

if TYPE_CHECKING:
    from forecast.scoring.backtest import Scores
    from forecast.training.comparison import Contender

MOST_STEPS = 14                                                         # of a horizon shown one by one
SPARK = 30                                                              # bars of history, and of a forecast


def number(value: float) -> str:
    """Four significant digits, thousands apart; - for what is undefined."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.4g}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3e}"


def column(values: Sequence[float] | Floats) -> list[str]:
    """Numbers below each other: as many decimals for all as four digits of the largest take."""
    finite = [abs(float(v)) for v in values if math.isfinite(v)]
    largest = max(finite, default=0.0)
    if not 1e-3 <= largest < 1e9:
        return [number(float(v)) for v in values]
    decimals = max(0, 3 - math.floor(math.log10(largest)))
    texts = [f"{v:,.{decimals}f}" if math.isfinite(v) else "-" for v in values]
    return [text.removesuffix("." + "0" * decimals) for text in texts] if all(
        text.endswith("." + "0" * decimals) for text in texts if text != "-") else texts


def percent(value: float) -> str:
    return f"{value:.1%}" if math.isfinite(value) else "-"


def score_table(scores: Scores) -> Table:
    """One row a forecaster: errors, what the bands cover and how wide they are, the skill against the better simple
    forecast."""
    covers = [f"{level:g}% covers" for level in scores.levels]
    widths = [f"{level:g}% width" for level in scores.levels]
    bands = [header for pair in zip(covers, widths, strict=True) for header in pair]
    rows = [_score_row(dict(row), scores) for _, row in scores.summary.iterrows()]
    headers = ["", "MAE", "RMSE", f"MASE(m={scores.season})", "sMAPE", "WAPE", "WQL", *bands, "skill"]
    better = ["better on"] if any(row[-1] for row in rows) else []
    return Table([*headers, *better], [row[:len(headers) + len(better)] for row in rows],
                 ["WAPE", "WQL", *widths[::-1], "RMSE", *covers[:0:-1], "sMAPE", *better])


def _score_row(row: dict[str, Any], scores: Scores) -> list[str]:
    skill = row.get("skill", float("nan"))
    is_reference = row["model"] == scores.reference_name
    said = "0%" if is_reference else f"{skill:+.0%}" if math.isfinite(skill) else "-"
    better = f"{row['better_on']} of {row['series']} series" if row["series"] > 1 and "better_on" in row and \
        not is_reference else ""
    bands = ((percent(row[f"coverage_{level:g}"]), number(row[f"width_{level:g}"])) for level in scores.levels)
    return [row["model"], number(row["mae"]), number(row["rmse"]), number(row["mase"]), number(row["smape"]),
            percent(row["wape"]), number(row["wql"]), *(cell for pair in bands for cell in pair), said, better]


def score_lines(scores: Scores, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is said below the table of scores: labels and lines."""
    if (words := in_words(scores)) is not None:
        yield "in words", words
    if scores.reference is not None:
        yield "skill", skill_line(scores)
    if bands := band_line(scores):
        yield "bands", bands
    yield "MAE by step", step_line(scores, scores.name)
    if len(set(scores.per_series["series"])) > 1:
        yield "worst series", worst_series(scores, scores.name, ids)
    if left := scores.left_out.get("mase"):
        yield "MASE", f"leaves out {counted(left, 'series')}: too short, or the same in every season"


def skill_line(scores: Scores) -> str:
    """What skill is, and of which error; of several series MASE and MAE say different percents."""
    assert scores.reference is not None
    is_scaled = all(math.isfinite(row["mase"]) for row in (scores.own, scores.reference))
    several = len(set(scores.per_series["series"])) > 1
    other = "; the percent in words is by MAE, in which large series weigh most" if is_scaled and several else ""
    return (f"how much smaller the {'MASE' if is_scaled else 'MAE'} is than that of {scores.reference_name}; "
            f"below 0 it is larger{other}")


def comparison_table(ranking: Sequence[Contender], references: Mapping[str, Mapping[str, float]], *, metric: str,
                     season: int, has_skip: bool) -> Table:
    """A row for each cell, and unranked ones for the references, by their mean score."""
    headers = ["rank  cell", "units", "params", "seeds", f"MASE(m={season}) ± sd" if metric == "mase" else "MAE ± sd",
               "min .. max", "skill", "s/fit", "best epoch", *(["network helped"] if has_skip else [])]
    scored = [(c.mean(metric), _cell_row(c, rank, metric, has_skip)) for rank, c in enumerate(ranking, 1)]
    for name, row in references.items():
        skill = _signed_percent(row["skill"]) if row["skill"] else "0%"
        scored.append((row[metric], [f"      {name}", "", "", "", score_text(row[metric], metric), "", skill, "", "",
                                     *([""] if has_skip else [])]))
    rows = [row for _, row in sorted(scored, key=lambda s: (math.isnan(s[0]), s[0]))]
    return Table(headers, rows, ["params", "units", "s/fit", "best epoch", "seeds", "min .. max", *headers[9:]])


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
    bands = [f"{level:g} %: covers {share:.0%} here, in the long run {low:.0%} to {high:.0%}"
             for level, (share, low, high) in scores.covered.items()]
    windows = counted(max(1, round(scores.independent)), "independent window")
    return f"{'   '.join(bands)}   (95 % sure, by {windows})" if bands else ""


def step_line(scores: Scores, model: str) -> str:
    """The mean absolute error along the horizon: each of its steps up to 14, else some of them, the last among them."""
    part = scores.by_step[scores.by_step["model"] == model]
    steps, errors = part["step"].to_numpy(), part["mae"].to_numpy()
    every = len(steps) <= MOST_STEPS
    shown = range(len(steps)) if every else sorted({0, len(steps) - 1, *(len(steps) * k // 4 for k in (1, 2, 3))})
    return "   ".join(f"{'' if every else 'step '}{steps[k]}: {number(errors[k])}" for k in shown)


def worst_series(scores: Scores, model: str, ids: Sequence[str], most: int = 3) -> str:
    """The series with the largest MASE (MAE where there is none), named."""
    part = scores.per_series[scores.per_series["model"] == model]
    by = "mase" if part["mase"].notna().any() else "mae"
    worst = part.sort_values(by, ascending=False, kind="stable").head(most)
    return "   ".join(f"{safe(shorten(ids[s], 30))} ({by.upper()} {number(v)})"
                      for s, v in zip(worst["series"], worst[by], strict=True))


def spark_lines(forecast: Forecast, level: float, *, plain: bool, name: str = "", most: int = 3
                ) -> Iterator[tuple[str, str]]:
    """The first series as bars, their past | their forecast, with the next value and its band; name: of a series that
    bears none."""
    low, high = forecast.band(level)
    for s in range(min(most, len(forecast.panel))):
        past, ahead = forecast.panel.values(s)[-SPARK:].tolist(), forecast.point[s].tolist()
        bars = sparkline([*past, *ahead[:SPARK]], plain=plain)
        yield shorten(name or str(forecast.panel.ids[s]), 10), (
            f"{bars[:len(past)]}|{bars[len(past):]}   next {number(ahead[0])} ({level:g}%: {number(low[s][0])} .. "
            f"{number(high[s][0])})")
