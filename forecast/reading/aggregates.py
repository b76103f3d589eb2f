"""Aggregates: what --every and --aggregate ask for: the steps that events are brought to, and what becomes of the rows
of one step. How rows are brought there is events.py's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from forecast.config import DataConfig
from forecast.errors import DataError, RequestError
from forecast.series.calendar import DAY, HOUR, SECOND, WEEK, Calendar
from forecast.text import quoted

RULES = ("sum", "mean", "count", "last", "max")
ADDING = ("sum", "count")           # rules by which no row means 0
_UNITS = {"minute": "min", "hour": "h", "day": "D", "week": "W-MON", "month": "MS", "quarter": "QS", "year": "YS"}
_WORDS = re.compile(rf"(\d*) ?({'|'.join(_UNITS)})s?")


def grid_of(every: str) -> Calendar:
    """The steps of this name, on the wall clock: weeks begin on Monday, others with the hour, day, month or year.

    Raises RequestError for what is no such step."""
    words = _WORDS.fullmatch(every.strip().lower())
    number, unit = words.groups() if words else ("", "")
    name = f"{number}{_UNITS[unit]}" if words else "W-MON" if every == "W" else every
    try:
        grid = Calendar.of(name)
    except DataError:
        grid = Calendar.steps()
    short = grid.kind == "fixed" and SECOND <= grid.every <= DAY and DAY % grid.every == 0
    weeks = grid.kind == "fixed" and grid.every % WEEK == 0
    if not (short or weeks or (grid.kind == "month" and (grid.day, grid.clock) == (1, 0))):
        raise RequestError(f"--every {quoted(every)} is no step that rows can be brought to", code="bad_every",
                           hint="Known: 15min (or what else parts a day), hour, day, week, W-SUN, month, quarter, year")
    return grid


def is_on_the_wall(every: str | None) -> bool:
    """Whether the steps are those of a clock on the wall, a day of 23 hours among them, rather than equal lengths."""
    if every is None:
        return False
    grid = grid_of(every)
    return grid.kind != "fixed" or grid.every > HOUR


def rule_of(options: DataConfig, column: str) -> str:
    """What becomes of the rows of one step in a column. Raises RequestError where nothing says."""
    rules = rules_of(options)
    rule = rules.get(column, rules.get(""))
    if rule is None:
        raise RequestError(f"--aggregate does not say what becomes of column {quoted(column)}", code="no_aggregate",
                           hint=f"Add {column}=sum, or one of {', '.join(RULES[1:])}")
    return rule


def is_counted(options: DataConfig, column: str) -> bool:
    """Whether the rows of a column are counted, whatever they hold."""
    return options.every is not None and rule_of(options, column) == "count"


def only_counts(options: DataConfig) -> bool:
    """Whether rows are counted, and no column is named."""
    return options.every is not None and options.target is None and rules_of(options) == {"": "count"}


def rules_of(options: DataConfig) -> dict[str, str]:
    """What becomes of the rows of one step: column -> rule; "" stands for columns that are not named. Raises
    RequestError."""
    rules: dict[str, str] = {}
    for text in options.aggregate or ():
        column, _, rule = text.rpartition("=")
        column, rule = column.strip(), rule.strip().lower()
        if rule not in RULES or column in rules:
            what = f"{quoted(rule)} is no rule" if rule not in RULES else "gives two rules for one column"
            raise RequestError(f"--aggregate {','.join(options.aggregate or ())[:60]}: {what}", code="bad_aggregate",
                               hint=f"Known: {', '.join(RULES)}; amount=sum,price=mean for several columns")
        rules[column] = rule
    return rules


def as_asked(options: DataConfig) -> DataConfig:
    """The settings, with the columns that have rules of their own as targets where none are named. Raises RequestError
    for settings that do not go together."""
    if options.every is None:
        if options.aggregate:
            raise RequestError("--aggregate needs --every: which steps are the rows brought to?", code="no_every",
                               hint="As in --every day --aggregate sum")
        return options
    grid_of(options.every)
    rules = rules_of(options)
    if not rules:
        raise RequestError(f"--every {options.every} needs --aggregate: what becomes of the rows of one step?",
                           code="no_aggregate", hint=f"As in --every {options.every} --aggregate sum; known: "
                                                     f"{', '.join(RULES)}")
    if options.freq is not None:
        raise RequestError("--freq and --every both name the step", code="two_steps", hint="Give --every alone")
    if options.target is None and "" not in rules:
        return dataclasses.replace(options, target=",".join(rules))
    return options


def check_columns(options: DataConfig, targets: Sequence[str], beside: Sequence[tuple[str, int]]) -> None:
    """Raises RequestError for a rule of a column that is no target, for a target without a rule, and for covariates
    among the columns of events."""
    if beside:
        raise RequestError(f"--{beside[0][0]} takes columns of a file with a row a step, and --every brings events to "
                           "steps", code="events_beside", hint="Put them, a row a step, into a file for --covariates")
    for column in rules_of(options):
        if column and column not in targets:
            raise RequestError(f"--aggregate names column {quoted(column)}, which is not forecast", code="no_target",
                               hint=f"Forecast are: {', '.join(targets)[:80]}")
    for column in targets:
        rule_of(options, column)
