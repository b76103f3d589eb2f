"""Reconciling: series, and groups of them that are forecast by themselves as well, brought to agree.

    b~ = b + J (u - A b)        J = (W_bb A' - W_bu) (W_uu - W_ub A' - A W_bu + A W_bb A')^-1

b is said of the series, u of the groups, A says which series a group has, and W is the covariance of the errors of
both. This is MinT, (S' W^-1 S)^-1 S' W^-1 of both (Wickramasuriya et al. 2019), with one small matrix to invert; J = 0
adds up the series. J is the same on each step, so totals over steps agree as well."""

# S series  U groups of several series  G groups that are asked for  K cutoffs  N paths  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from forecast.model.dependence import at_scores
from forecast.model.hindsight import WINDOWS, comparable, count_apart, cutoffs_of, past_errors, room_of
from forecast.series.arrays import Bools, Floats, Ints
from forecast.series.forecast import Forecast, Forecaster
from forecast.series.panel import Panel
from forecast.text import counted

MOST_SERIES = 500                   # of more, W would be too large
GAIN = 0.98                         # reconciled, groups must err less than so many times as much as added up


@dataclass(frozen=True)
class Agreement:
    """Which series (S) are in which group (U, S); how far each series goes towards what a group is off by, (S, U): 0
    where they are added up; how much groups err in past windows, reconciled, over how much added up; and why they were
    not tried."""

    parts: Bools
    pull: Floats
    error: float = float("nan")
    windows: int = 0
    why: str = ""

    @property
    def is_added_up(self) -> bool:
        return not self.pull.any()

    def words(self) -> str:
        """What was chosen, and by what."""
        if self.why:
            return f"added up from the series: {self.why}"
        percent = round(100 * (self.error - 1))
        by = f"on {counted(self.windows, 'past window')} groups err " + (
            f"{abs(percent)}% {'more' if percent > 0 else 'less'}" if percent else "as much")
        if self.is_added_up:
            return f"added up from the series: {by} if they are also forecast by themselves"
        return f"forecasts of the groups themselves have a say, all reconciled (MinT): {by} than added up"

    def shift(self, groups: Bools, off: Floats) -> Floats:
        """What comes on top of the sums of the series for each group asked for, (G, ...) of groups (G, S), where what
        is said of the groups is `off` (U, ...) from these sums."""
        return np.tensordot(groups @ self.pull, off, axes=1)


def groups_of(groups: Bools) -> Bools:
    """Those (U, S) of the groups (G, S) that have several series, each once."""
    several = np.unique(groups[groups.sum(axis=1) > 1], axis=0)
    return several.reshape(-1, groups.shape[1])


def mint(covariance: Floats, parts: Bools) -> Floats:
    """J (S, U) from the covariance (U + S, U + S) of the errors of groups and series."""
    count, a = len(parts), parts.astype(np.float64)
    uu, ub, bb = covariance[:count, :count], covariance[:count, count:], covariance[count:, count:]
    towards = bb @ a.T - ub.T
    between = uu - ub @ a.T - a @ ub.T + a @ bb @ a.T
    return np.asarray(towards @ np.linalg.pinv(between, hermitian=True))


def shrunk(errors: Floats, independent: float) -> Floats:
    """The covariance (M, M) of errors (R, M) around 0, its correlations shrunk towards none by the share of least
    expected error (Schaefer & Strimmer 2005); independent: how many of the rows count."""
    second = errors.T @ errors / len(errors)
    spread = np.sqrt(np.diag(second))
    size = np.outer(spread, spread)
    seen = np.divide(second, size, out=np.zeros_like(second), where=size > 0)
    off = ~np.eye(len(seen), dtype=bool)
    error, distance = np.sum((1 - seen[off] ** 2) ** 2) / independent, np.sum(seen[off] ** 2)
    share = min(1.0, error / distance) if distance > 0 else 1.0
    return np.asarray(np.where(off, (1 - share) * seen, 1.0) * size)


def agreement(series: Forecaster, groups: Forecaster, panel: Panel, asked: Bools, *, horizon: int, unseen: int
              ) -> Agreement:
    """Whether groups asked for (G, S) are added up from the series of a panel, or reconciled with what a forecaster
    says of their sums: what errs less in windows within the newest `unseen` steps, which neither has learned from."""
    usable = comparable(panel)
    parts = groups_of(asked & usable)
    none = Agreement(parts, np.zeros((len(panel), len(parts))))
    if not len(parts):
        return replace(none, why="no group has several of one length")
    if len(panel) > MOST_SERIES:
        return replace(none, why=f"there are more than {MOST_SERIES:,}")
    some, sums = panel.take(np.flatnonzero(usable)), panel.summed(parts)
    cutoffs = cutoffs_of(room_of(sums, horizon, unseen), horizon, len(some) + len(parts))
    if len(cutoffs) >= WINDOWS[0]:
        both = [past_errors(who, data, cutoffs, horizon)[0] for who, data in ((groups, sums), (series, some))]
        errors = np.concatenate(both, axis=1).swapaxes(1, 2)            # (K, H, U + S)
        errors[np.isnan(errors).any(axis=2)] = np.nan                   # a step counts where all is known
        errors = errors[np.isfinite(errors[..., 0]).any(axis=1)]
        if len(errors) >= WINDOWS[0]:
            found = chosen(errors, parts[:, usable], asked[:, usable], independent=count_apart(cutoffs, horizon))
            none.pull[usable] = found.pull
            return replace(found, parts=parts, pull=none.pull)
    return replace(none, why="there are too few past windows to tell whether something else is better")


def chosen(errors: Floats, parts: Bools, asked: Bools, *, independent: float) -> Agreement:
    """By errors (K, H, U + S) of groups and series, the oldest first; steps without a truth are NaN. Each half of the
    windows is reconciled by what the other one tells, so that nothing is judged by what it was made of."""
    added, agreed = [], []
    for learned, judged in _halves(errors):
        pull = mint(shrunk(_rows(learned), max(1.0, independent / 2)), parts)
        own = judged[..., len(parts):]
        off = own @ parts.T - judged[..., :len(parts)]                  # u - A b, as the truth adds up
        added.append(own @ asked.T)
        agreed.append((own - off @ pull.T) @ asked.T)
    before, after = (np.nanmean(np.concatenate(part) ** 2, axis=(0, 1)) for part in (added, agreed))
    usable = before > 0
    error = float(np.sqrt(np.mean(after[usable] / before[usable]))) if usable.any() else 1.0
    pull = mint(shrunk(_rows(errors), independent), parts)
    return Agreement(parts, pull if error < GAIN else np.zeros_like(pull), error, len(errors))


def _halves(errors: Floats) -> Iterator[tuple[Floats, Floats]]:
    older, newer = errors[:len(errors) // 2], errors[len(errors) // 2:]
    yield older, newer
    yield newer, older


def _rows(errors: Floats) -> Floats:
    rows = errors.reshape(-1, errors.shape[-1])
    return rows[np.isfinite(rows[:, 0])]


def by_luck_of(sums: Floats, forecast: Forecast) -> Floats:
    """Paths (U, N, H) of groups within their own bands, where each has the luck of the sums (U, N, H) of their series:
    the path on which the sum is the tenth of a hundred has the tenth of the own values as well."""
    count = sums.shape[1]
    normal = NormalDist()
    levels = np.array([normal.inv_cdf((n + 0.5) / count) for n in range(count)])
    place: Ints = sums.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return at_scores(forecast.values, forecast.quantiles, levels[place])


def within(sums: Floats, shift: Floats) -> Floats:
    """The shift (G, ...) of sums (G, ...), as much of it as leaves no sum below 0: of one path as much for all groups,
    so that they still add up."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(sums + shift < 0, np.maximum(sums, 0.0) / -shift, 1.0)
    return np.asarray(shift * np.clip(room, 0.0, 1.0).min(axis=0))
