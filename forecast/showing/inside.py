"""Picture: one PNG of an Inspection: the series above, what the cell does with it below, aligned in time; the horizon,
and what the decoder does there, beside the context."""

# L context  T steps of the encoder  H horizon  U steps of the decoder  D hidden

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecast.explaining.exposure import CLASSES
from forecast.explaining.influence import by_cycle
from forecast.explaining.inspection import Driver, Inspection, Layer, bounds_of, classes_of, names_of
from forecast.series.arrays import Floats
from forecast.series.calendar import DAY, HOUR, MINUTE, SECOND, WEEK, Calendar
from forecast.showing.ink import DATES, FAN, INK, blank, check_picture, plain, save
from forecast.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#e3a857", "#5b9aa0", INK)                                   # of short, seasonal and long memories
GREY = "#c8c8c8"
HEIGHTS = {"series": 1.5, "reads": 1.3, "forgets": 1.9, "lets_in": 1.1, "exposes": 1.1, "attends": 1.1}
LEAST_STEPS = 6                                                         # from which on a unit has a usual value
NAMED = 6                                                               # lags named in the picture
MOST_WEEKDAYS = 62                                                      # days of context whose weekdays are told


def spoken(points: float, calendar: Calendar, digits: int = 2) -> str:
    """A length of time in words: `1.8 days` for 86 half hours, `7 years` for 84 months, `27 months`, `5 steps`."""
    if not math.isfinite(points):
        return "-" if math.isnan(points) else "no end"
    size, unit = _size_and_unit(points, calendar)
    is_long = abs(size) >= 10 ** (digits - 1) or size == round(size)
    text = f"{size:,.0f}" if is_long else f"{size:.{digits}g}"
    return f"{text} {unit[:-1] if text == '1' else unit}"


def _size_and_unit(points: float, calendar: Calendar) -> tuple[float, str]:
    if calendar.kind == "month":
        months = points * calendar.every
        in_years = months >= 24 and (months % 12 == 0 or months != round(months) or months >= 120)
        return (months / 12, "years") if in_years or calendar.every % 12 == 0 else (months, "months")
    if calendar.kind != "fixed":
        return points, "business days" if calendar.kind == "business" else "steps"
    time = points * calendar.every
    if time >= 730 * DAY:
        return time / (365.25 * DAY), "years"
    units = (("weeks", WEEK),) if calendar.every % WEEK == 0 else (("days", DAY), ("hours", HOUR), ("minutes", MINUTE))
    return next(((time / size, unit) for unit, size in units if time >= size * (1 - 1e-9)),
                (time / units[0][1], units[0][0]) if len(units) == 1 else (time / SECOND, "seconds"))


def driver_words(driver: Driver, calendar: Calendar) -> str:
    return f"{driver.name} in {spoken(driver.period, calendar)}" if driver.period else driver.name


def draw(path: Path, look: Inspection, calendar: Calendar, *, title: str, target: str) -> None:
    """A picture of what was found; `title` says it in a line or two, `target` names the values.

    Raises RequestError for another ending than .png or .svg, DiskError."""
    check_picture(path.name, "-o")
    rows = _Rows(look, calendar, target)
    heights = [HEIGHTS[name] for name in rows.names] + [1.5]
    figure = blank(15, 1.2 + 1.75 * sum(heights))
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(3, 1))
    left: list[Axes] = []
    for k, name in enumerate(rows.names):
        left.append(figure.add_subplot(grid[k, 0], sharex=left[0] if left else None))
        left[-1].tick_params(labelbottom=k == len(rows.names) - 1)
        beside = figure.add_subplot(grid[k, 1])
        getattr(rows, name)(figure, left[-1], beside)
        left[-1].axvline(0, color="black", linewidth=0.7)              # from here on it is the future
        beside.set_visible(beside.has_data())
    _time_axis(left[0], left[-1], look, calendar)
    rows.by_lag(figure.add_subplot(grid[-1, :]))
    figure.suptitle("\n".join(map(plain, title.split("\n"))), x=0.008, ha="left", fontsize=13)
    save(figure, path, dpi=110)


class _Rows:
    """The rows of the picture: each draws along time to the left, and what sums it up to the right."""

    def __init__(self, look: Inspection, calendar: Calendar, target: str) -> None:
        self.look, self.calendar, self.target, self.length = look, calendar, target, len(look.y)
        main = look.main
        self.names = ["series", "reads"]
        if main is not None:
            self.names += ["forgets", *(["lets_in"] if main.let_in is not None else []), "exposes"]
        if look.attention is not None:
            self.names.append("attends")

    @property
    def main(self) -> Layer:
        assert self.look.main is not None
        return self.look.main

    def series(self, figure: Figure, axis: Axes, beside: Axes) -> None:
        marker = "." if self.length <= 60 else ""
        axis.plot(np.arange(-self.length, 0) + 0.5, self.look.y, color=INK, linewidth=1.1, marker=marker)
        ahead, quantiles = np.arange(len(self.look.forecast)) + 0.5, self.look.forecast
        axis.fill_between(ahead, quantiles[:, 0], quantiles[:, -1], color=FAN, alpha=0.25, linewidth=0)
        axis.plot(ahead, quantiles[:, quantiles.shape[1] // 2], color=FAN, linewidth=1.1, marker=marker)
        axis.set_ylabel(plain(shorten(self.target, 24)))
        self._shade_resets(axis)
        _title(axis, "the series, over all that the model reads, and the forecast" + (
            "; shaded: it forgets clearly more than usual" if self.look.resets else ""))
        _open(axis)
        if self.look.main is None or self.main.disturbance is None:
            return
        back = np.arange(len(self.main.disturbance)) * self.look.plan.segment
        beside.plot(back, self.main.disturbance, color=INK, marker="." if len(back) <= 40 else "")
        beside.axhline(0.5, color="black", linewidth=0.7, linestyle=":")
        beside.set_ylim(0, 1.05 * max(1.0, float(self.main.disturbance.max())))
        ticks = np.unique(np.linspace(0, len(back) - 1, 3).astype(int)) * self.look.plan.segment
        beside.set_xticks(ticks, ["at once", *(f"after {spoken(t, self.calendar)}" for t in ticks[1:])])
        _title(beside, "what is left of a disturbance of the memory")
        _open(beside)

    def reads(self, figure: Figure, axis: Axes, beside: Axes) -> None:
        """Which past point moves which step: a copied season is a diagonal."""
        influence, plan = self.look.influence, self.look.plan
        points = influence.by_point(influence.whole)[::-1].T            # (H, L), the oldest first
        top = float(np.quantile(points, 0.999)) or float(points.max()) or 1.0
        self._image(axis, np.sqrt(points / top), "Greys", (0, 1), (0.5, plan.horizon + 0.5))
        _title(axis, "which past value moves which step of the forecast (dark: much; diagonals: one lag for all steps; "
                     "upright: all steps alike)")
        _steps_ahead(axis, self.look.plan.horizon)
        labelled: list[float] = []
        for lag, *_ in influence.top(influence.whole, 4, plan.season) if plan.horizon > 1 else []:
            x, y = (plan.horizon + 1) / 2 - lag - 0.015 * self.length, (plan.horizon + 1) / 2
            if -0.9 * self.length < x < 0 and all(abs(x - other) > 0.1 * self.length for other in labelled):
                axis.text(x, y, spoken(lag, self.calendar, 3), color=FAN, fontsize=9, va="center", ha="right",
                          weight="bold", bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1})
                labelled.append(x)
        if plan.season > 1:
            shares, alike = (by_cycle(part, plan.season) for part in (
                influence.by_lag(influence.whole), influence.alike(influence.whole)))
            beside.bar(np.arange(len(shares)), shares, color=INK, width=0.75)
            beside.bar(np.arange(len(alike)), alike, color="none", edgecolor=FAN, width=0.75,
                       label="if all steps were moved alike")
            beside.legend(frameon=False, fontsize=8, loc="upper right")
            beside.set_xlabel(f"cycles of {spoken(plan.season, self.calendar)} back (0: less than half of one)",
                              fontsize=8)
            beside.locator_params(axis="x", integer=True)
            _percent(beside)
            _title(beside, "share of the influence, cycle by cycle")
            _open(beside)

    def forgets(self, figure: Figure, axis: Axes, beside: Axes) -> None:
        main = self.main
        words = "forget gate: how much of the memory stays" if "forget" in main.gates else \
            "update gate z: how much of the memory stays"
        if main.keep is None:
            words = "slope of tanh, 1 - h²: at 0 a unit is saturated and deaf"
        gate, written = self._both(lambda layer: layer.gates["slope"] if layer.keep is None else layer.keep)
        gate = np.where(main.seen[:, None], gate, np.nan)
        self._heat(figure, axis, gate, written, words + " (line: mean over units)")
        self._shade_resets(axis, edges_only=True)
        short, long = bounds_of(self.look.plan)
        lives = main.half_lives[main.order]
        finite = lives[np.isfinite(lives) & (lives > 0)]
        low, high = min([short / 3, *finite]), max([3 * long, *finite])
        classes = classes_of(lives, self.look.plan)
        shown = np.clip(np.nan_to_num(lives, nan=low, posinf=high), low, high)
        beside.barh(np.arange(len(lives)) + 0.5, shown - low, left=low, height=1.0, linewidth=0,
                    color=[COLOURS[c] for c in classes])
        beside.set_xscale("log")
        beside.set(xlim=(low, high), ylim=(0, len(lives)), yticks=[])
        beside.set_xticks([short, long], [spoken(bound, self.calendar) for bound in (short, long)])
        beside.minorticks_off()
        for bound in (short, long):
            beside.axvline(bound, color="black", linewidth=0.7, linestyle=":")
        counts = np.bincount(classes[classes >= 0], minlength=CLASSES)
        for k, name in enumerate(names_of(self.look.plan)):
            beside.text(0.97, 0.04 + 0.09 * k, f"{counts[k]} {name}", color=COLOURS[k], ha="right", weight="bold",
                        transform=beside.transAxes,
                        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
        _title(beside, f"half-life of each unit: median {spoken(main.quantile(0.5), self.calendar)}")

    def lets_in(self, figure: Figure, axis: Axes, beside: Axes) -> None:
        gate, written = self._both(lambda layer: layer.let_in)
        name = "input gate" if "input" in self.main.gates else "1 - z"
        self._relative(figure, axis, gate, written, f"{name}: how far the memory is open for the new")
        shown = self.look.drivers[:5][::-1]
        if not shown:
            beside.text(0.02, 0.6, "too few windows to tell\nwhat opens the gate", transform=beside.transAxes)
            beside.axis("off")
            beside.plot([], [])
            return
        beside.barh(np.arange(len(shown)), [d.r for d in shown], height=0.6,
                    color=[FAN if d.stands_out else GREY for d in shown])
        beside.set_yticks([])
        for k, driver in enumerate(shown):
            side = -1 if driver.r >= 0 else 1
            beside.text(0.03 * side, k, driver_words(driver, self.calendar), va="center", fontsize=8,
                        ha="right" if side < 0 else "left")
        beside.axvline(0, color="black", linewidth=0.7)
        beside.set_xlim(-1, 1)
        _title(beside, "what opens it: correlation (grey: may be chance)")
        _open(beside)

    def exposes(self, figure: Figure, axis: Axes, beside: Axes) -> None:
        exposure, plan = self.look.exposure, self.look.plan
        if self.main.expose is not None:
            gate, written = self._both(lambda layer: layer.expose)
            self._relative(figure, axis, gate, written, "output gate: how much of the memory is shown")
        else:
            hidden, written = self._both(lambda layer: layer.hidden)
            self._own(figure, axis, hidden, written, 1.0)
            _title(axis, "the memory itself, which is shown as it is: h")
        assert exposure is not None
        steps, base = np.arange(1, plan.horizon + 1), np.zeros(plan.horizon)
        for name, colour, shares in zip(names_of(plan), COLOURS, exposure.shares.T, strict=True):
            part = shares * exposure.correction
            beside.bar(steps, part, bottom=base, width=1.0, color=colour, linewidth=0, label=name)
            base = base + part
        beside.set_ylim(0, 1.3 * max(1e-3, float(base.max())))
        beside.set_xlim(0.5, plan.horizon + 0.5)
        beside.set_xlabel("step ahead", fontsize=8)
        _percent(beside)
        beside.legend(frameon=False, fontsize=8, ncols=3, loc="upper right", handlelength=1, borderaxespad=0)
        _title(beside, "the network's share of the movement")
        _open(beside)

    def attends(self, figure: Figure, axis: Axes, beside: Axes) -> None:
        weights = self.look.attention
        assert weights is not None
        image = self._image(axis, weights, "Greys", (0, float(weights.max())), (0.5, len(weights) + 0.5))
        figure.colorbar(image, ax=axis, pad=0.005, fraction=0.02)
        _title(axis, "attention: where each step of the forecast looks")
        _steps_ahead(axis, self.look.plan.horizon)

    def by_lag(self, axis: Axes) -> None:
        influence, plan = self.look.influence, self.look.plan
        shares, network = influence.by_lag(influence.whole), influence.by_lag(influence.network)
        axis.fill_between(np.arange(len(shares)), shares, color=INK, step="mid", linewidth=0, alpha=0.85,
                          label="the whole model" if self.look.layers else "the linear skip")
        if self.look.layers:
            size = influence.network.sum() / max(float(influence.whole.sum()), 1e-300)
            axis.plot(network, color=FAN, linewidth=1.2, drawstyle="steps-mid",
                      label=f"the network's part, on its own scale ({size:.0%} as large in all)")
        if plan.horizon > 1:
            axis.plot(influence.alike(influence.whole), color="black", linewidth=0.8, linestyle=":",
                      label="if every value moved all steps alike")
        high = 1.15 * max(1e-9, float(shares.max(initial=0.0)), float(network.max(initial=0.0)))
        labelled: list[int] = []
        for lag, share, _ in influence.top(influence.whole, NAMED, plan.season):
            if all(abs(lag - other) > 0.04 * len(shares) for other in labelled):
                axis.annotate(spoken(lag, self.calendar, 3), (lag, share), textcoords="offset points", xytext=(0, 3),
                              ha="center", fontsize=8)
                labelled.append(lag)
        units = (m * k for m in sorted(plan.seasons) for k in (1, 2, 3, 4, 5) if m > 1)
        unit = next((unit for unit in units if len(shares) <= 16 * unit), max(1, round(len(shares) / 10)))
        ticks = list(range(0, len(shares), unit))
        axis.set_xticks(ticks, [spoken(t, self.calendar, 3) if t else "0" for t in ticks])
        axis.set(xlim=(0, len(shares)), ylim=(0, high))
        _percent(axis)
        axis.legend(frameon=False, fontsize=9, loc="upper right")
        _title(axis, "influence by lag: from the value read to the step forecast")
        _open(axis)

    def _both(self, what: Callable[[Layer], Floats | None]) -> tuple[Floats, Floats | None]:
        """(T, D) of the encoder, (U, D) of the decoder where there is one."""
        gate, last = what(self.main), self.look.writes
        assert gate is not None
        return gate, None if last is None else what(last)

    def _heat(self, figure: Figure, axis: Axes, gate: Floats, written: Floats | None, words: str) -> None:
        """A gate (T, D), and that of the decoder (U, D), between 0 and 1."""
        self._units(figure, axis, gate, written, "YlGnBu", (0, 1))
        self._mean(axis, gate, written)
        _title(axis, words)

    def _relative(self, figure: Figure, axis: Axes, gate: Floats, written: Floats | None, words: str) -> None:
        """A gate (T, D), and that of the decoder (U, D), beside each unit's own median, where there are steps enough
        for one."""
        if len(gate) < LEAST_STEPS:
            self._heat(figure, axis, gate, written, words)
            return
        usual = np.median(gate, axis=0)
        own = gate - usual
        self._own(figure, axis, own, None if written is None else written - usual,
                  max(0.1, float(np.quantile(np.abs(own), 0.98))))
        self._mean(axis, gate, written)
        _title(axis, words + " (line: mean; blue more, red less than a unit mostly does)")

    def _own(self, figure: Figure, axis: Axes, values: Floats, written: Floats | None, top: float) -> None:
        self._units(figure, axis, values, written, "RdBu", (-top, top))
        self._unit_axis(axis)

    def _units(self, figure: Figure, axis: Axes, values: Floats, written: Floats | None, colours: str,
               scale: tuple[float, float]) -> None:
        """The encoder's units over the context, the decoder's, in the same order, over the horizon."""
        order, rows = self.main.order, (0.0, float(values.shape[1]))
        image = self._image(axis, values[:, order].T, colours, scale, rows)
        if written is not None:
            self._image(axis, written[:, order].T, colours, scale, rows, (0, len(written) * self.look.plan.segment))
        figure.colorbar(image, ax=axis, pad=0.005, fraction=0.02)

    def _mean(self, axis: Axes, gate: Floats, written: Floats | None) -> None:
        """The mean over units: 0 at the lower edge, 1 at the upper."""
        edges = np.linspace(-self.length, 0, len(gate) + 1)
        if written is not None:
            gate = np.concatenate([gate, written])
            edges = np.concatenate([edges, self.look.plan.segment * np.arange(1, len(written) + 1)])
        axis.stairs(gate.mean(axis=1) * gate.shape[1], edges, color=FAN, linewidth=1.8, baseline=None)
        self._unit_axis(axis)

    def _image(self, axis: Axes, values: Floats, colours: str, scale: tuple[float, float],
               rows: tuple[float, float], span: tuple[float, float] | None = None) -> Any:
        """Rows from bottom to top, columns over the whole context, or a span; grey where there is nothing."""
        axis.set_facecolor("#e8e8e8")
        begin, end = span or (-self.length, 0)
        return axis.imshow(values, aspect="auto", origin="lower", interpolation="nearest", cmap=colours, vmin=scale[0],
                           vmax=max(scale[1], 1e-300), extent=(begin, end, *rows))

    def _unit_axis(self, axis: Axes) -> None:
        axis.set_yticks([])
        axis.set_ylabel("units by memory\nshort → long")

    def _shade_resets(self, axis: Axes, *, edges_only: bool = False) -> None:
        for reset in self.look.resets:
            begin, end = (n - self.look.first - self.length for n in (reset.first, reset.last + 1))
            if edges_only:
                for edge in (begin, end):
                    axis.axvline(edge, color=FAN, linewidth=1.2, linestyle=":")
            else:
                axis.axvspan(begin, end, color=FAN, alpha=0.3, linewidth=0)


def _time_axis(first: Axes, last: Axes, look: Inspection, calendar: Calendar) -> None:
    """Dates below the last of the rows that share time."""
    length, horizon = len(look.y), len(look.forecast)
    first.set_xlim(-length, horizon)
    times = calendar.times(look.first + np.arange(length + horizon))
    places = np.arange(-length, horizon) + 0.5
    if not calendar.is_time:
        shown = np.unique(np.linspace(0, length + horizon - 1, 8).astype(int))
        last.set_xticks(places[shown], [str(t) for t in times[shown]])
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num, num2date

    locator = AutoDateLocator(minticks=5, maxticks=16)                  # type: ignore[no-untyped-call]
    begin, end = times[[0, -1]].astype(object)
    dates: NDArray[Any] = np.asarray(date2num(times))                   # type: ignore[no-untyped-call]
    ticks = np.asarray(locator.tick_values(begin, end))                 # type: ignore[no-untyped-call]
    ticks = ticks[(ticks >= dates[0]) & (ticks <= dates[-1])]
    gaps = np.diff(ticks, prepend=-np.inf)
    ticks = ticks[gaps > 0.6 * np.median(gaps[1:])] if len(ticks) > 2 else ticks            # the 31st, and the 1st
    labels = ConciseDateFormatter(locator, **DATES).format_ticks(ticks)     # type: ignore[no-untyped-call]
    if (ticks == np.round(ticks)).all() and dates[-1] - dates[0] <= MOST_WEEKDAYS:
        labels = [f"{num2date(t):%a\n%d %b}" for t in ticks]            # type: ignore[no-untyped-call]
    last.set_xticks(np.interp(ticks, dates, places), labels)


def _steps_ahead(axis: Axes, horizon: int) -> None:
    axis.set_ylabel("step ahead")
    if horizon < 4:
        axis.set_yticks(range(1, horizon + 1))
    else:
        axis.locator_params(axis="y", integer=True)


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, loc="left", fontsize=10)


def _percent(axis: Axes) -> None:
    axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def _open(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.25)
