"""Groups: totals of groups of series and of all of them, gathered part by part, and brought to agree."""

# S series  G groups that are asked for  U those of several series  N paths  H horizon  P periods

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import ForecastError, RequestError
from forecast.ledger.options import Options
from forecast.model.guard import History
from forecast.model.hindsight import expected
from forecast.model.predictor import Predictor
from forecast.model.reconciling import Agreement, agreement, by_luck_of, groups_of, within
from forecast.reading.beside import shown
from forecast.series.arrays import Bools, Floats
from forecast.series.forecast import Forecast
from forecast.series.ids import names_in
from forecast.tasks import prior
from forecast.text import listed
from forecast.writing.joint import Totals
from forecast.writing.periods import ALL, Periods

if TYPE_CHECKING:
    from forecast.reading.contract import Contract
    from forecast.series.panel import Panel
    from forecast.store.run import Run
    from forecast.tasks.workspace import Workspace


@dataclass(frozen=True)
class Groups:
    """Groups by the columns `names`: keys (G,), the words of each, "" in the columns below its level; and asked (G, S),
    which series are in it."""

    names: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    asked: Bools

    @classmethod
    def of(cls, panel: Panel, contract: Contract, by: str) -> Groups:
        """By the names of `by`; with "all" among them, of each level from the whole down. Raises RequestError for a
        column that may not name groups."""
        columns = columns_of(contract)
        names = names_in(by, columns)
        is_whole = ALL in names and ALL not in columns
        names = [name for name in names if name != ALL] if is_whole else names
        labels = _labels(panel, contract, names)
        levels = range(len(names) + 1) if is_whole else [len(names)]
        blank = ("",) * len(names)
        rows: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for level in levels:
            for s, label in enumerate(labels):
                rows.setdefault((level, label[:level] + blank[level:]), []).append(s)
        asked = np.zeros((len(rows), len(panel)), dtype=bool)
        for row, which in zip(asked, rows.values(), strict=True):
            row[which] = True
        return cls(tuple(names), tuple(key for _, key in rows), asked)

    @property
    def cells(self) -> Mapping[str, list[str]]:
        """By column, the words of each group."""
        return {name: [key[k] for key in self.keys] for k, name in enumerate(self.names)}


def columns_of(contract: Contract) -> list[str]:
    """The columns that may name groups of series."""
    return [*(b.name for b in contract.beside if b.role == "static"), *contract.id_headers]


def _labels(panel: Panel, contract: Contract, by: list[str]) -> list[tuple[str, ...]]:
    """The words of each series (S,) in these static columns or columns of ids. Raises RequestError for a column that
    is neither."""
    static = [b for b in contract.beside if b.role == "static"]
    cells = contract.id_cells(panel.ids)
    labels = []
    for name in by:
        if name in cells:
            labels.append(cells[name])
        elif name in (names := [b.name for b in static]) and panel.beside is not None and panel.row is not None:
            b, values = static[names.index(name)], panel.beside.static[panel.row, names.index(name)]
            labels.append([shown(b, value) for value in values.tolist()])
        else:
            role = next((f" changes within a series (its role is {b.role}), so it names no group"
                         for b in contract.beside if b.name == name), ": there is no such static column")
            known = [*columns_of(contract), ALL]
            hint = f"There is {listed(known)}" if len(known) > 1 else "--by all is the total of all"
            raise RequestError(f"--by {name}{role}", code="bad_setting",
                               hint=f"{hint}; forecast train DATA --static COLUMN makes one known")
    return list(zip(*labels, strict=True)) if labels else [()] * len(panel)


@dataclass
class Gathered:
    """Totals of groups while their series are forecast, part by part."""

    groups: Groups
    agreement: Agreement
    totals: Totals                  # of the groups asked for
    sums: Floats                    # (U, N, H) of the series of each group of several; empty where they are added up
    means: Floats                   # (U, H)
    seen: int = field(default=0)    # series

    @classmethod
    def blank(cls, groups: Groups, agreed: Agreement, count: int, periods: int, steps: int) -> Gathered:
        several = 0 if agreed.is_added_up else len(agreed.parts)
        return cls(groups, agreed, Totals.blank(len(groups.keys), count, periods), np.zeros((several, count, steps)),
                   np.zeros((several, steps)))

    def add(self, some: Forecast, paths: Floats, periods: Periods) -> None:
        """The next series, with their paths (S, N, H). What is forecast of a time before that of the periods is left
        out: it is no part of the horizon that they share."""
        mine = slice(self.seen, self.seen + len(paths))
        self.seen += len(paths)
        means, before = expected(some), (some.ordinals < periods.first).sum(axis=1)
        for s, group in zip(*np.nonzero(self.groups.asked[:, mine].T), strict=True):
            if (k := int(before[s])) < some.horizon:
                self.totals.add(np.array([group]), some.ordinals[[s], k:], means[[s], k:], paths[[s], :, k:], periods)
        if len(self.sums):
            part = self.agreement.parts[:, mine].astype(np.float64)
            self.sums += np.tensordot(part, paths, axes=1)
            self.means += part @ means

    def agree(self, own: Forecast, periods: Periods, *, negative: bool) -> None:
        """Bring the totals to agree with what is said of the groups themselves (U, H, Q)."""
        off = np.concatenate([by_luck_of(self.sums, own) - self.sums, (expected(own) - self.means)[:, None]], axis=1)
        shift = self.agreement.shift(self.groups.asked, off)            # (G, N + 1, H), the last for the means
        ordinals = np.repeat(own.ordinals[:1], len(shift), axis=0)
        shifts = Totals.blank(len(shift), shift.shape[1], len(periods.names))
        shifts.add(np.arange(len(shift)), ordinals, shift[:, -1], shift, periods)
        before = np.concatenate([self.totals.sums, self.totals.means[:, None]], axis=1)
        moved = shifts.sums if negative else within(before, shifts.sums)
        self.totals.sums += moved[:, :-1]
        self.totals.means += moved[:, -1]


def agreement_of(groups: Groups, judge: Predictor, panel: Panel, steps: int, options: Options) -> Agreement:
    """How the groups' totals are made; judge: the forecaster before its final fit."""
    none = Agreement(parts := groups_of(groups.asked), np.zeros((len(panel), len(parts))))
    if options.round or options.adapt is not None:
        return replace(none, why="--round and --adapt speak of single series")
    if (of_sums := for_sums(judge)) is None:
        return replace(none, why="the model can't forecast their sums: it reads covariates or has one scale for all")
    return agreement(judge, of_sums, panel, groups.asked, horizon=steps, unseen=judge.untaught_steps(panel))


def for_sums(predictor: Predictor) -> Predictor | None:
    """Who forecasts sums of series, which have no covariates; None where nobody does."""
    plain = predictor.without_covariates() or predictor
    is_moved = any(map(plain.is_moved_by_covariates, plain.blend.names))
    return None if is_moved or (plain.members and plain.config.model.scaling != "window") else plain


def own_forecast(predictor: Predictor, panel: Panel, agreed: Agreement, steps: int) -> Forecast:
    """What is said of the groups themselves."""
    of_sums = for_sums(predictor)
    assert of_sums is not None
    return of_sums.predict(panel.summed(agreed.parts), steps)


def judge_of(workspace: Workspace, run: Run) -> Predictor:
    """The run's forecaster as it was validated; as it is, where that is all there is."""
    if prior.is_of_prior(run.id):
        return run.predictor
    try:
        return workspace.run(run.folder, validated=True).predictor.as_validated()
    except ForecastError:
        return run.predictor


def may_be_negative(panel: Panel, forecaster: Predictor, options: Options) -> bool:
    """Whether totals may lie below 0: where a value did, or where that is allowed."""
    allowed = options.allow_negative or forecaster.config.model.allow_negative
    return not options.nonnegative and (allowed or bool((History.of(panel).low < 0).any()))
