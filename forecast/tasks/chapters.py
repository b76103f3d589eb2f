"""Chapters: the parts of a report below its first screen, from facts; each says so where there is nothing to show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from forecast import __version__
from forecast.config import SETTINGS
from forecast.errors import ForecastError
from forecast.explaining.effects import effects_of
from forecast.explaining.inspection import inspect
from forecast.ledger.issued import Issued, known_before
from forecast.reporting.drawing import Drawing, line_drawing
from forecast.reporting.page import Section, Table
from forecast.scoring.metrics import seasonal_scale
from forecast.series.arrays import Floats
from forecast.series.forecast import band_quantiles
from forecast.showing import effects, words
from forecast.showing.tables import column, number, percent
from forecast.system.clock import minute
from forecast.system.files import sha256
from forecast.tasks import trust
from forecast.tasks.facts import Backtest, Facts
from forecast.tasks.teller import roles_of
from forecast.text import counted

if TYPE_CHECKING:
    from forecast.scoring.backtest import Scores

NEWEST = 20                             # issues shown one by one
STEPS = 400                             # of the horizon shown one by one
FEW = 14                                # of them shown unasked
MANIFEST = "manifest.json"


def totals(facts: Facts) -> Section:
    """What all series come to together: as a whole, and step by step."""
    title, sums, forecast = "What it adds up to", facts.sums, facts.forecast
    if sums is None or forecast is None:
        return Section("totals", title, "Totals", empty=f"There is no forecast: {facts.missing['forecast']}")
    together = len(set(forecast.panel.end.tolist())) == 1
    first = int(forecast.panel.end[0])
    names = facts.time_texts(range(first, first + forecast.horizon)) if together else [
        f"step {k}" for k in range(1, forecast.horizon + 1)]
    bands, whole = list(sums.bands.items())[:1], list(sums.whole.items())[:1]
    steps = [column(part) for part in (sums.expected, *(side for _, pair in bands for side in pair))]
    headers = ["expected", *(f"{side} {level:g} %" for level, _ in whole for side in ("low", "high"))]
    lines = [f"The expected values{'' if len(forecast.panel) == 1 else f' of {len(forecast.panel):,} series'}, added "
             "up."]
    if whole:
        errors = "errors of steps" if len(forecast.panel) == 1 else "errors of steps and of series"
        lines.append(f"A sum has the band of paths on which {errors} go together as "
                     + ("they did on the past" if len(facts.forecaster.dependence.factors) else
                        "they usually do in public data")
                     + ": narrower than the bounds of its parts added up, for some errors cancel.")
    unit = facts.reading.contract.calendar.unit
    alone = Table(["", *headers], [[f"all {counted(forecast.horizon, unit.removesuffix('s'), unit)}", *column(
        [sums.total, *(side for _, pair in whole for side in pair)])]])
    note = "" if len(names) <= STEPS else f"The first {STEPS} of {len(names)} steps."
    rows = [list(row) for row in zip(names, *steps, strict=True)][:STEPS]
    by_step = Table(["time", *headers], rows, note, folded="Step by step" if len(rows) > FEW else "")
    return Section("totals", title, "Totals", lines, tables=[alone, by_step])


def scores(facts: Facts) -> Section:
    """The backtest: scores beside simple forecasts, the error by step, and what the bands cover."""
    title = "How it did on the past"
    if facts.backtest is None:
        return Section("past", title, "On the past", empty=f"It was not scored: {facts.missing['backtest']}.")
    told = facts.backtest.scores
    lines = [f"Each forecast was made from what was known before it, by the model as it was before it learned from "
             f"what it is scored on: {counted(told.windows, 'past window')} of {facts.run.predictor.plan.horizon} "
             f"steps, {counted(int(told.own['rows']), 'value')}.",
             "A MASE below 1 is a smaller error than repeating the last season had on the data before. The others are "
             "explained by: forecast help metrics."]
    if left := facts.backtest.left_out:
        lines.append(f"Not scored: {counted(left, 'series')}, of which the model may have learned up to the end.")
    covers = Table(["band", "covers", "in the long run, 95 % sure"],
                   [[f"{level:g} %", percent(share), f"{low:.0%} to {high:.0%}"]
                    for level, (share, low, high) in told.covered.items()],
                   f"By {counted(max(1, round(told.independent)), 'window')} that share no value.")
    return Section("past", title, "On the past", lines, [_by_step(facts.backtest), *_calibration(facts)],
                   [_scores(told), *([covers] if covers.rows else [])])


def _scores(scores: Scores) -> Table:
    """A row a forecaster."""
    shown = [("mae", "MAE"), ("rmse", "RMSE"), ("mase", "MASE"), ("smape", "sMAPE")]
    headers = ["", *(title if name != "mase" else f"MASE (m={scores.season})" for name, title in shown),
               *(f"{level:g} % covers" for level in scores.levels), f"beside {scores.reference_name.replace('_', ' ')}"]
    rows = []
    for row in scores.summary.to_dict("records"):
        skill = float(row.get("skill", math.nan))
        beside = "" if row["model"] == scores.reference_name or not math.isfinite(skill) else \
            f"{abs(skill):.0%} {'better' if skill >= 0 else 'worse'}"
        rows.append([str(row["model"]).replace("_", " "), *(number(float(row[name])) for name, _ in shown),
                     *(percent(float(row[f"coverage_{level:g}"])) for level in scores.levels), beside])
    return Table(headers, rows)


def _by_step(backtest: Backtest) -> Drawing:
    told = backtest.scores
    lines = []
    for name, style in ((told.name, "forecast"), (told.reference_name, "naive")):
        part = told.by_step[told.by_step["model"] == name]
        if len(part):
            lines.append((style, name.replace("_", " "), part["step"].tolist(), part["mae"].to_numpy()))
    return line_drawing("Mean absolute error by step ahead", "Mean absolute error by step ahead: "
                        f"{number(float(lines[0][3][0]))} at step 1, {number(float(lines[0][3][-1]))} at the last",
                        lines)


def _calibration(facts: Facts) -> Iterator[Drawing]:
    """How often the truth lay below each quantile, beside how often it should."""
    if not facts.levels or facts.backtest is None:
        return
    own = facts.backtest.own
    y = own["y"].to_numpy()
    columns = {0.5: "yhat"} | {q: f"yhat_{end}_{level:g}" for level in facts.levels
                               for end, q in zip(("lo", "hi"), band_quantiles(level), strict=True)}
    quantiles = sorted(columns)
    below = np.array([(y <= own[columns[q]].to_numpy()).mean() for q in quantiles])
    shown = [100 * q for q in quantiles]
    yield line_drawing("Share of values below each quantile, in percent", "Calibration: " + ", ".join(
        f"{b:.0%} below the {q:g} % quantile" for b, q in zip(below, shown, strict=True)),
        [("level", "as it should be", [0.0, 100.0], np.array([0.0, 100.0])),
         ("forecast", "as it was", shown, 100 * below)])


def live(facts: Facts) -> Section:
    """What was issued, and how it came true."""
    title = "Live: what was issued, and what came true"
    if not facts.issues:
        why = facts.missing.get("live", "nothing was issued")
        return Section("issued", title, "Live", empty=f"Nothing to show: {why}.")
    issues = sorted(facts.issues, key=lambda i: i.number)
    rows = [[i.cutoff_text, minute(i.issued), i.run, str(i.horizon), f"{i.series:,}", i.id]
            for i in issues[:-NEWEST - 1:-1]]
    note = f"The newest {NEWEST} of {len(issues):,}." if len(issues) > NEWEST else ""
    table = Table(["after", "issued", "model", "steps", "series", "issue"], rows, note)
    told = facts.live
    if told is None or told.scores is None or told.frame is None or told.promises is None:
        why = facts.missing.get("live", "none of it has come true yet")
        return Section("issued", title, "Live", [f"Not scored: {why}."], tables=[table])
    rows = [["known", told.how], *([["drift", told.promises.alarm]] if told.promises.alarm else [])]
    if (lately := trust.lately_of(facts)) is not None:
        rows.append(["lately", f"the mean absolute error of forecasts made after {lately.since} and later is "
                     f"{number(lately.error)}; of those before it was {number(lately.before)}"])
    rows += [line.split(maxsplit=1) for line in told.promises.words()]
    held = Table(["what", "how it came true"], rows, texts=True)
    return Section("issued", title, "Live", [], list(_over_time(facts)), [held, _scores(told.scores), table])


def _over_time(facts: Facts) -> Iterator[Drawing]:
    """The error and the coverage of each cutoff, beside what was promised."""
    told = facts.live
    assert told is not None
    assert told.frame is not None
    assert told.promises is not None
    frame = told.frame
    issued = Issued(frame, 0, len(frame), len(frame), facts.levels)
    known = known_before(issued, facts.panel)
    scale = seasonal_scale(known.truth, known.first, known.stop, facts.run.predictor.plan.season)
    error = (frame["y"] - frame["yhat"]).abs().to_numpy() / scale[frame["series"].to_numpy()]
    promised, name = told.promises.promised.get("mase"), "MASE"
    if not np.isfinite(error).any():
        error, promised, name = (frame["y"] - frame["yhat"]).abs().to_numpy(), told.promises.promised.get("mae"), "MAE"
    yield _drawn_by_cutoff(facts, f"{name}, by the last time known", np.asarray(error),
                           None if promised is None else float(promised))
    for level in told.promises.levels[:1]:
        inside = ((frame["y"] >= frame[f"yhat_lo_{level:g}"]) & (frame["y"] <= frame[f"yhat_hi_{level:g}"])).to_numpy()
        yield _drawn_by_cutoff(facts, f"Percent in the {level:g} % band, by the last time known",
                               np.where(inside, 100.0, 0.0), level)


def _drawn_by_cutoff(facts: Facts, title: str, values: Floats, level: float | None) -> Drawing:
    frame = None if facts.live is None else facts.live.frame
    assert frame is not None
    cutoffs, place = np.unique(frame["cutoff"].to_numpy(), return_inverse=True)
    finite = np.isfinite(values)
    count = np.bincount(place[finite], minlength=len(cutoffs))
    means = np.bincount(place[finite], weights=values[finite], minlength=len(cutoffs)) / np.where(count, count, np.nan)
    lines = [("forecast", "as it came true", cutoffs.tolist(), means)]
    drawing = line_drawing(title, f"{title}: {number(float(np.nanmean(means)))} on average", lines,
                           times=facts.time_texts, level=level)
    key = [*drawing.key, *([("level", f"promised: {number(level)}")] if level is not None else [])]
    return replace(drawing, key=key)


def inside(facts: Facts, series: Sequence[int]) -> Section:
    """What each covariate moved, and what the cell remembers, for some series of the panel."""
    predictor, lines, tables = facts.run.predictor, list[str](), list[Table]()
    roles = roles_of(facts.reading.contract)
    lines += [f"Columns beside the target, {role}: {names}." for role, names in roles.items()]
    source = facts.panel if facts.forecast is None else facts.forecast.panel
    for s in series if roles else ():
        panel = source.take([s])
        steps = facts.time_texts(range(int(panel.end[0]), int(panel.end[0]) + predictor.plan.horizon))
        document = effects.described(effects_of(predictor, panel), steps)
        rows = [[name, text] for entry in document for _, line in effects.lines_of([entry])
                for name, text in [line.split(": ", 1)]]
        if rows:
            tables.append(Table([f"column, in {panel.ids[0]}", "moves the forecast by"], rows, texts=True))
    if not predictor.members:
        lines.append("The prior serves: a network that came with the program and has learned nothing from these data.")
        return Section("inside", "What moves it", "What moves it", lines, tables=tables)
    panel = source.take(list(series[:1]))
    try:
        told = words.lines_of(words.described(inspect(predictor, panel), facts.run, 5))
        rows = [[label, text] for label, text in told]
        tables.append(Table([f"the cell, in {panel.ids[0]}" if len(source) > 1 else "the cell", "what it does"], rows,
                            texts=True))
    except ForecastError as error:
        lines.append(f"What the cell remembers cannot be shown: {error.problem.message}.")
    return Section("inside", "What moves it, and what it remembers", "What moves it", lines, tables=tables)


def reading(facts: Facts) -> Section:
    """How the file was read."""
    told, contract = facts.reading, facts.reading.contract
    ident, time = contract.read_from
    columns = f"Columns: time is {time}, target is {', '.join(contract.targets[:6])}" + (
        f", series are named by {ident}" if contract.layout == "long" else "") + "."
    lines = [f"{counted(told.rows, 'row')}, {counted(len(told.panel), 'series')}, step {contract.calendar.freq}, from "
             f"{told.span[0]} to {told.span[1]}.", columns,
             *(f"Noted: {note}{'' if note.endswith('?') else '.'}" for note in told.notes)]
    lines += [f"Repaired: {r.message}{f' (another way: {r.flag})' if r.flag else ''}." for r in told.repairs]
    if not told.repairs:
        lines.append("Nothing had to be repaired.")
    return Section("reading", "How the data were read", "Data", lines)


def receipt(facts: Facts, command: str) -> Section:
    """Everything it takes to make this again."""
    run, record = facts.run, facts.run.record
    rows = [["command", command], ["forecast", __version__], ["model", run.id]]
    if record.created:
        rows += [["made", f"{record.created}, in {record.seconds:g} s, on {record.device}, {record.threads} threads"],
                 ["seed", str(record.seed)], ["trained on", record.data.path or "standard input or a data frame"],
                 ["trained until", record.data.last or "not known"], ["SHA-256 of that file", record.data.sha256],
                 ["SHA-256 of the model's manifest", sha256(run.folder / MANIFEST)],
                 ["versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())],
                 ["why it is live", record.promotion.reason if record.promotion else "not known"]]
    rows += [["data", str(facts.source.path or facts.source.name)], ["SHA-256 of the data", facts.reading.sha256],
             ["fingerprint of the series", facts.panel.fingerprint()]]
    lines = []
    if facts.last is not None:
        lines.append(f"The last issue is made again, and compared number for number, by: forecast replay "
                     f"{facts.last.id}")
    lines.append("The report is made again by the command below, from the same data and the same store.")
    given = run.predictor.config.to_dict()
    settings = [[key, str(value)] for key in SETTINGS
                for value in [given[key.split(".")[0]][key.split(".")[1]]] if value is not None]
    return Section("receipt", "Can I make this again?", "Make it again", lines,
                   tables=[Table(["what", "which"], rows, texts=True),
                           Table(["setting", "value"], settings, texts=True, folded="All settings"),
                           Table(["size", "value"], [[k, str(v)] for k, v in asdict(run.predictor.plan).items()],
                                 texts=True, folded="Sizes that follow from them")])
