"""Trust: whether a forecast may be relied on, in words, with a reason for each thing that was looked at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from forecast.errors import RequestError
from forecast.ledger.freshness import age_of
from forecast.reporting.page import Reason
from forecast.scoring.backtest import Scores
from forecast.scoring.formulas import REFERENCE
from forecast.showing.tables import in_words, number, percent
from forecast.system.clock import in_words as lasting
from forecast.system.clock import minute, now, stamp
from forecast.tasks.facts import Facts
from forecast.tasks.prior import is_of_prior
from forecast.text import counted, listed

LEAST_SKILL = 0.05                      # below it a model hardly betters the simple forecast
FEWEST = 3                              # windows that share no value: fewer tell little
FAR = 0.2                               # of the share that a band should cover: so far off it is wrong
FILLED = 0.05                           # share of the values that were invented
REMARKED = 0.05                         # share of the series of which something must be known
LATE = 2                                # steps that should have come
LAST_SEASON = "repeating the last season"
YEAR = timedelta(days=365.25)
OLD = 2 * YEAR                          # told in years from then on
WORSE = 1.25                            # error lately over that before: above it a person should look
LEAST = 8                               # cutoffs, to compare the newest with those before
HELD = 1.1                              # live over promised error: below it is as promised
VERDICTS = {"good": "Yes: nothing speaks against it.", "look": "Yes, with care: look at the points marked with !.",
            "bad": "No, not as it is: see the points marked with ✗.",
            "unknown": "Nobody can tell yet: it has not been scored."}


def verdict_of(reasons: Sequence[Reason]) -> tuple[str, str]:
    """The state, and the verdict in words: as bad as the worst reason; unknown where nothing was scored."""
    states = {r.state for r in reasons}
    state = next((s for s in ("bad", "look") if s in states), "good")
    scored = {r.label: r.state for r in reasons}
    if scored.get("score") == "unknown" and scored.get("live") == "unknown" and state != "bad":
        state = "unknown"
    return state, VERDICTS[state]


def reasons_of(facts: Facts) -> list[Reason]:
    """What was looked at, the weightiest first."""
    return [look(facts) for look in (_score, _bands, _live, _series, _sources, _units, _repaired, _late, _runs)]


def gist_of(facts: Facts) -> str:
    """The score beside the simple forecast, in a sentence."""
    if facts.backtest is None:
        return f"It was not scored: {facts.missing['backtest']}."
    said, plan = in_words(facts.backtest.scores) or "", facts.run.predictor.plan
    unit = facts.reading.contract.calendar.unit
    season = f"{LAST_SEASON} ({counted(plan.season, unit.removesuffix('s'), unit)} before)"
    return said[:1].upper() + said[1:].replace(LAST_SEASON, season) + "."


def _score(facts: Facts) -> Reason:
    if facts.backtest is None:
        return Reason("unknown", "score", f"none: {facts.missing['backtest']}")
    scores = facts.backtest.scores
    skill, name = float(scores.own.get("skill", math.nan)), _simple(scores)
    if not math.isfinite(skill):
        return Reason("look", "score", f"it cannot be told from {name}, which made no error here")
    if simple := facts.run.metrics.get("worse_than"):
        return Reason("look", "score", f"in training it was worse than {simple.replace('_', ' ')} ({_gain(skill)} here)"
                      + ("" if facts.run.metrics.get("serves") != simple else ": that serves in its place"))
    text = f"{_gain(skill)} than {name}, by MASE over {counted(len(facts.panel), 'series')}"
    if skill < 0:
        return Reason("bad", "score", text)
    if skill < LEAST_SKILL:
        return Reason("look", "score", f"{text}: hardly any")
    if scores.independent < FEWEST:
        return Reason("look", "score", f"{text}; but {counted(max(1, round(scores.independent)), 'past window')} may "
                      "be chance")
    return Reason("good", "score", text)


def _gain(skill: float) -> str:
    return f"{abs(skill):.0%} {'better' if skill >= 0 else 'worse'}"


def _simple(scores: Scores) -> str:
    return LAST_SEASON if scores.reference_name == REFERENCE else "repeating the last value"


def _bands(facts: Facts) -> Reason:
    """Whether the share that each band covers may be the one it promises."""
    if facts.backtest is None or not facts.levels:
        return Reason("unknown", "coverage", "not scored")
    parts, state = [], "good"
    for level, (share, low, high) in facts.backtest.scores.covered.items():
        parts.append(f"the {level:g} % band covers {percent(share)}")
        if not low <= level / 100 <= high:
            state = "bad" if share < level / 100 - FAR else "look" if state == "good" else state
    words = {"good": "no further off than chance explains", "look": "beyond what chance explains",
             "bad": "far less than it should"}[state]
    return Reason(state, "coverage", f"{', '.join(parts)}: {words}")


def _live(facts: Facts) -> Reason:
    """How what was issued came true."""
    if not facts.issues:
        return Reason("unknown", "live", facts.missing.get("live", "nothing was issued yet"))
    if facts.live is None:
        return Reason("look", "live", f"the ledger could not be scored: {facts.missing['live']}")
    if facts.live.scores is None or facts.live.promises is None:
        return Reason("unknown", "live", f"of {counted(len(facts.issues), 'issue')} nothing has come true yet")
    scores, held = facts.live.scores, facts.live.promises
    told = f"{counted(facts.live.counts['matched'], 'issued value')} came true"
    skill = float(scores.own.get("skill", math.nan))
    if math.isfinite(skill):
        told += f", {_gain(skill)} than {_simple(scores)}"
    if held.alarm is not None:
        return Reason("bad", "live", f"{told}; {held.alarm}")
    if held.drift is None:
        lately, state = lately_of(facts), "look" if skill < 0 else "good"
        if lately is not None and lately.before > 0:
            told += f"; of forecasts after {lately.since} the error is {lately.ratio:.2f} times that before"
            state = "look" if lately.ratio > WORSE else state
        return Reason(state, "live", told)
    ratio = f"{told}; the error is {held.drift.ratio:.2f} times what was promised"
    if held.drift.ratio <= HELD:
        return Reason("good" if not skill < 0 else "look", "live", ratio)
    return Reason("look", "live", f"{ratio}, which may be chance")


@dataclass(frozen=True)
class Lately:
    """The mean absolute error of the newest quarter of the cutoffs, beside that of those before. since: its first."""

    since: str
    error: float
    before: float

    @property
    def ratio(self) -> float:
        """Above 1 it has become worse."""
        return self.error / self.before


def lately_of(facts: Facts) -> Lately | None:
    """Of what came true; None of fewer than LEAST cutoffs."""
    frame = None if facts.live is None else facts.live.frame
    cutoffs = np.unique(frame["cutoff"].to_numpy()) if frame is not None else np.zeros(0, dtype=np.int64)
    if frame is None or len(cutoffs) < LEAST:
        return None
    first = int(cutoffs[-(len(cutoffs) // 4)])
    error, is_new = (frame["y"] - frame["yhat"]).abs(), frame["cutoff"] >= first
    return Lately(facts.time_texts([first])[0], float(error[is_new].mean()), float(error[~is_new].mean()))


def _series(facts: Facts) -> Reason:
    """How many series are worse off than with the simple forecast."""
    if facts.backtest is None or len(facts.panel) < 2:
        return Reason("good" if facts.backtest else "unknown", "series", counted(len(facts.panel), "series"))
    scores = facts.backtest.scores
    scored, better = int(scores.own["series"]), int(scores.own.get("better_on", 0))
    worse = scored - better
    if not worse:
        return Reason("good", "series", f"all {scored:,} are better than {_simple(scores)}")
    own, simple = (facts.backtest.by_series.get(m, {}) for m in (scores.name, scores.reference_name))
    gaps = {s: own[s]["mae"] - simple[s]["mae"] for s in own if s in simple and not own[s]["mae"] < simple[s]["mae"]}
    named = [str(facts.panel.ids[s]) for s in sorted(gaps, key=lambda s: -gaps[s] / max(own[s]["mae"], 1e-300))]
    text = f"{worse:,} of {scored:,} are no better than {_simple(scores)}: {listed(named, 5)}"
    return Reason("good" if worse <= scored / 4 else "look", "series", text)


def _sources(facts: Facts) -> Reason:
    """What serves the series, and which fell back or have no forecast."""
    if facts.forecast is None:
        return Reason("bad", "forecast", f"there is none: {facts.missing['forecast']}")
    counts = Counter(str(name) for name in facts.forecast.source)
    fell = [str(i) for i, name in zip(facts.forecast.panel.ids, facts.forecast.source, strict=True)
            if str(name).startswith("fallback")]
    several = len(facts.forecast.panel) > 1
    text = "served by " + ", ".join(f"{name.replace('_', ' ')}{f' ({count:,})' if several else ''}"
                                    for name, count in counts.most_common(4))
    if fell:
        text += f"; {counted(len(fell), 'series')} fell back to seasonal naive: {listed(fell, 4)}"
    if facts.valueless:
        text += f"; {counted(len(facts.valueless), 'series')} without any value: {listed(facts.valueless, 4)}"
    remarks = [f"{r.series}: {r.message}" if len(facts.panel) > 1 else r.message for r in facts.forecast.remarks]
    if remarks:
        text += f"; {listed_whole(remarks)}"
    many = len(remarks) > REMARKED * len(facts.panel)
    return Reason("look" if fell or facts.valueless or many else "good", "forecast", text)


def listed_whole(texts: Sequence[str], most: int = 3) -> str:
    """The first few, whole, and how many more there are."""
    return "; ".join(texts[:most]) + (f"; and {len(texts) - most:,} more" if len(texts) > most else "")


def _units(facts: Facts) -> Reason:
    if not facts.reading.rescaled:
        return Reason("good", "units", "the newest values have the size of those before")
    return Reason("bad", "units", listed_whole([str(p.message) for p in facts.reading.rescaled]))


def _repaired(facts: Facts) -> Reason:
    """What was mended in the data."""
    repairs = [r.message for r in facts.reading.repairs]
    if not repairs:
        return Reason("good", "repaired", "nothing had to be")
    filled = facts.panel.filled
    share = 0.0 if filled is None or not len(filled) else float(filled.mean())
    return Reason("look" if share > FILLED else "good", "repaired", listed_whole(repairs)
                  + (f" ({percent(share)} of the values are invented)" if share > FILLED else ""))


def _late(facts: Facts) -> Reason:
    """What should have come by now, and which series end before the others."""
    panel, contract = facts.panel, facts.reading.contract
    early = [str(i) for i in panel.ids[panel.end < panel.newest]]
    tail = "" if not early else (f"; {counted(len(early), 'series ends', 'series end')} before the others: "
                                 f"{listed(early, 4)}")
    try:
        age = age_of(panel, contract, now(), facts.source)
    except (RequestError, OSError):
        return Reason("look" if early else "unknown", "late", f"how old the data are cannot be told{tail}")
    told = f"the newest point is {age.newest}, {_long(max(age.age, timedelta()))} old"
    if not contract.calendar.is_time:
        told = f"numbers of steps tell no time: {age.newest}, {_long(max(age.age, timedelta()))} ago"
        return Reason("unknown", "late", told + tail)
    missing = overdue(facts, age.age)
    if missing >= facts.horizon:
        told += ": all that is forecast here lies in the past"
    elif missing:
        unit = contract.calendar.unit
        told += f": {counted(missing, unit.removesuffix('s'), unit)} should have come since"
    return Reason("look" if early or missing >= LATE else "good", "late", told + tail)


def _runs(facts: Facts) -> Reason:
    """How the last runs of commands ended."""
    if not facts.ended:
        return Reason("unknown", "runs", "no status file beside the data tells how the last ones ended; "
                      "--status-file writes it")
    told = [f"{e.command} {'wrote its output' if e.is_good else f'failed with exit code {e.exit_code}'} "
            f"({lasting(max(now() - e.at, timedelta()))} ago" + ("" if e.is_good else "; the last good one was " + (
                "never" if e.succeeded is None else minute(stamp(e.succeeded)))) + ")" for e in facts.ended]
    return Reason("good" if all(e.is_good for e in facts.ended) else "look", "runs", listed_whole(told, 4))


def _long(age: timedelta) -> str:
    return lasting(age) if age < OLD else f"{age / YEAR:.0f} years"


def overdue(facts: Facts, age: timedelta) -> int:
    """Steps behind the newest point that are over by now."""
    calendar, newest = facts.reading.contract.calendar, int(facts.panel.end.max()) - 1
    moment = calendar.times([newest]).astype("datetime64[us]")[0] + np.timedelta64(age)
    after = int(calendar.nearest(np.array([moment]))[0])
    while calendar.times([after]).astype("datetime64[us]")[0] > moment:
        after -= 1
    return max(0, after - 1 - newest)


def figures_of(facts: Facts) -> list[tuple[str, str]]:
    """The few numbers that people ask for."""
    unit = facts.reading.contract.calendar.unit
    figures = []
    if facts.sums is not None:
        band = "".join(f" ({level:g} %: {number(low)} to {number(high)})"
                       for level, (low, high) in list(facts.sums.whole.items())[:1])
        figures.append((f"total of the next {counted(facts.horizon, unit.removesuffix('s'), unit)}",
                        number(facts.sums.total) + band))
    figures.append(("data until", facts.reading.span[1]))
    since = "" if facts.since is None else f", live since {minute(facts.since)}"
    figures.append(("model", ("the prior, trained on nothing of these data" if is_of_prior(facts.run.id) else
                              facts.run.id) + since))
    figures.append(("last issue", f"{minute(facts.last.issued)}, after {facts.last.cutoff_text}" if facts.last else
                    "none"))
    return figures
