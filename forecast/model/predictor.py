"""Predictor: plan, scaling and weights in one: a panel in, a Forecast in original units out.

Training fills it, store/run.py writes it; it never learns from what it predicts on."""

# S series  B block  L context  H horizon  Q quantiles

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from forecast.config import Config
from forecast.methods.baselines import BASELINES, SeasonalNaive
from forecast.model import guard
from forecast.model.blending import Blend
from forecast.model.block import Block, extremes
from forecast.model.calibration import mean_above_median, widened
from forecast.model.dependence import Dependence
from forecast.model.knowledge import Knowledge
from forecast.model.member import LINEAR, NETWORK, Member, part, shape_of
from forecast.model.network import BLOCK, Network
from forecast.model.plan import Plan, make_plan, untrained
from forecast.model.prior import PRIOR, TUNED, Prior, Tuned, shipped
from forecast.model.sight import reach
from forecast.scoring.formulas import SIMPLE
from forecast.scoring.metrics import seasonal_scale
from forecast.series.arrays import Bools, Floats, Ints, finite_sums
from forecast.series.batch import Batch
from forecast.series.forecast import Forecast, Remark, quantile_grid
from forecast.series.levels import Changes, levelled, with_return
from forecast.series.panel import Panel
from forecast.series.units import TRANSFORMS, Units
from forecast.system.beside import side_by_side

EXPERTS = (*SIMPLE, "seasonal_naive_drift", "theta", "holt_winters", PRIOR, TUNED)
ROWS = 8 * BLOCK                            # series brought to unit size and forecast at a time


@dataclass(frozen=True)
class Predictor:
    """What a run is made of."""

    config: Config
    plan: Plan
    members: tuple[Member, ...]
    widths: Floats                          # (H, Q) calibration factors
    knowledge: Knowledge                    # what the members have learned from
    validated_networks: tuple[Network, ...] = ()    # of the members before the final fit; () where they were not read
    validated_knowledge: Knowledge = field(default_factory=Knowledge)           # what those had
    blend: Blend = field(default_factory=lambda: Blend.alone(part(NETWORK, 0)))     # what each forecaster weighs
    without: Blend | None = None            # of those that read no covariates; None where none is read
    kept_back: str = ""                     # why the final fit was not taken; "" where it was
    not_missed: tuple[str, ...] = ()        # slow forecasters that are not asked: the blend is as good without them
    mean_factor: float = 1.0                # how far the mean lies from the median, over what the quantiles tell
    dependence: Dependence = field(default_factory=Dependence.usual)    # of the errors of its steps, and of its series
    usual_step: float = 0.0                 # of a series of the training data, relative to its values (median)
    prior: Prior | None = None              # None: it has no say
    tuned: Tuned | None = None              # on the training data
    validated_prior: Prior | None = None    # the tuned one before the final fit
    forwards: Mapping[int, Callable[[Batch], Floats]] = field(default_factory=dict)     # by member, on another device

    @classmethod
    def new(cls, config: Config, panel: Panel, plan: Plan | None = None) -> Predictor:
        """Untrained, with the sizes settled for this panel, unless they are given. Raises what make_plan raises."""
        plan = plan or make_plan(config, panel)
        lags = plan.lags if panel.beside is not None else ()
        units = Units.of("none", config.model.scaling, plan.season, panel, lags=lags)
        shape = shape_of(config, plan, units.covariates)
        member = Member(Network.blank(shape), units)
        return cls(config=config, plan=plan, members=(member,),
                   widths=np.ones((plan.horizon, len(shape.quantiles))), knowledge=Knowledge(),
                   prior=shipped() if config.model.prior else None)

    @classmethod
    def of_prior(cls, config: Config, panel: Panel, prior: Prior) -> Predictor:
        """The prior alone, which has seen nothing of any data. Raises RequestError where the horizon must be given."""
        plan = untrained(config, panel)
        widths = np.ones((plan.horizon, len(quantile_grid(config.model.levels))))
        return cls(config=config, plan=plan, members=(), widths=widths, knowledge=Knowledge(), blend=Blend.alone(PRIOR),
                   prior=prior)

    @property
    def name(self) -> str:
        """What serves, the largest share first: `lstm`, `theta+linear`; `blend:` before what is a baseline's name."""
        said, = self.blend.sources(np.array([None], dtype=object), self.titles)
        return f"blend:{said}" if said in BASELINES else said

    @property
    def titles(self) -> dict[str, str]:
        """What the parts of the members are called in public."""
        cell = self.config.model.cell
        linear = "linear" if self.config.model.skip else "mean"
        return {part(kind, k): cell if kind == NETWORK and member.steps else linear
                for k, member in enumerate(self.members) for kind in (NETWORK, LINEAR)}

    def shares(self, series: str) -> dict[str, float]:
        """What each forecaster weighs in the forecast of a series, by their public names."""
        return self._named(self.blend.weights(np.array([series], dtype=object))[:, 0].tolist())

    @property
    def mean_shares(self) -> dict[str, float]:
        """The same for a series that was not met: what they weigh in general."""
        return self._named(self.blend.weights(np.array([None], dtype=object))[:, 0].tolist())

    def _named(self, weights: Sequence[float]) -> dict[str, float]:
        shares: dict[str, float] = {}
        for name, weight in zip(self.blend.names, weights, strict=True):
            title = self.titles.get(name, name)
            shares[title] = shares.get(title, 0.0) + weight
        return shares

    @property
    def leader(self) -> Member:
        """The member whose network weighs most; look at `is_used` before looking into it."""
        return self.members[int(np.argmax(self._weights_of_networks()))]

    @property
    def is_used(self) -> bool:
        """Whether a trained network carries some of the forecast."""
        return bool(self.members) and self.leader.steps > 0 and max(self._weights_of_networks()) > 0

    @property
    def reads_covariates(self) -> bool:
        """Whether a member does."""
        return any(member.reads_covariates for member in self.members)

    def is_moved_by_covariates(self, name: str) -> bool:
        """Whether a forecaster of the blend reads them."""
        owned = self._owned(name)
        return owned is not None and self.members[owned[1]].reads_covariates

    @property
    def transform(self) -> str:
        """In which the bands are widened."""
        return self.leader.units.transform if self.members else "none"

    def _weights_of_networks(self) -> list[float]:
        weights = dict(zip(self.blend.names, self.blend.pooled, strict=True))
        return [weights.get(part(NETWORK, k), 0.0) for k in range(len(self.members))]

    @cached_property
    def quantiles(self) -> tuple[float, ...]:
        """Those of every member."""
        return quantile_grid(self.config.model.levels)

    @property
    def context(self) -> int:
        """The longest of the members'; without any, what the prior looks back on."""
        return max((member.shape.context for member in self.members), default=reach(*self.two_seasons))

    @property
    def two_seasons(self) -> tuple[int, int]:
        """The main season and the next; 0 for none."""
        main, second, *_ = (*self.plan.seasons, 0)
        return main, second

    def plan_of(self, member: Member) -> Plan:
        """The plan with the sizes that one member has."""
        shape = member.shape
        return replace(self.plan, context=shape.context, segment=shape.segment, hidden=shape.hidden)

    def unseen_steps(self, panel: Panel) -> int:
        """Steps of the panel, back from its newest, of which this model has seen nothing."""
        return self.knowledge.over(self.validated_knowledge).unseen_steps(panel)

    def as_validated(self) -> Predictor:
        """As it was before its final fit. What it has seen ends where its validation ended."""
        members = tuple(replace(m, network=n) for m, n in zip(self.members, self.validated_networks, strict=True))
        tuned = self.tuned and replace(self.tuned, prior=self.validated_prior or self.tuned.prior)
        knowledge = self.validated_knowledge.later(self.plan.validation)
        return replace(self, members=members, tuned=tuned, knowledge=knowledge, validated_knowledge=Knowledge())

    def untaught_steps(self, panel: Panel) -> int:
        """Steps of the panel, back from its newest, that no network has learned from: those by which it was validated
        are among them, unless a final fit came behind. Of the prior alone, all of the longest series."""
        if not self.members:
            return int(panel.lengths.max(initial=0))
        is_validated = len(self.validated_networks) == len(self.members) and all(
            m.network is n for m, n in zip(self.members, self.validated_networks, strict=True))
        return self.knowledge.unseen_steps(panel) + (self.plan.validation if is_validated else 0)

    def without_covariates(self) -> Predictor | None:
        """What it would be had there been none; None where none is read."""
        return replace(self, blend=self.without, without=None) if self.without else None

    def predict(self, panel: Panel, horizon: int) -> Forecast:
        """The next `horizon` steps of each series. A horizon beyond the trained one is reached by reading the median
        forecast as history; the spreads of the parts add in quadrature.

        A series whose level changed for good is read as if it had always stood where it stands now, and its bands
        leave room for a return. A forecaster of the blend that leaves what the series ever showed has no say in it.
        `remarks` name both. A series that is too short, or not positive where every member needs it, is served by the
        seasonal naive forecast, and its `source` says so; the same goes for one that moved once but stood still for
        the whole context, which then says nothing of its unit. `values` are always finite, within guard.kept."""
        near = panel.trimmed() if horizon == self.plan.horizon else panel.trimmed().foreseen(horizon)
        level, changes = levelled(near, self.plan.season)
        history = guard.History.of(near)
        seen = guard.History.of(level) if changes.series.size else history
        values, reasons, silent, voices = self._quantiles(level, seen)
        parts, longer = [values], level
        while sum(p.shape[1] for p in parts) < horizon:
            longer = longer.extended(parts[-1][:, :, self.quantiles.index(0.5)])
            further, _, _, speak = self._quantiles(longer, guard.History.of(longer))
            voices &= speak
            parts.append(_spread_from(parts[-1][:, -1:, :], further, self.quantiles))
        values = np.concatenate(parts, axis=1)[:, :horizon]
        source = np.array(self.blend.sources(panel.ids, self.titles), dtype=object)
        source = np.where(reasons == "", source, reasons)
        finite = np.isfinite(values).all(axis=(1, 2))
        source[(reasons == "") & ~finite] = "fallback:not_finite"
        if (poor := np.flatnonzero((reasons != "") | ~finite)).size:
            values[poor] = self._plain(level.take(poor), horizon)
        if (short := np.flatnonzero(source == "fallback:short")).size:
            said = self._foreseen(PRIOR, level.take(short), horizon)
            able = short[np.isfinite(said).all(axis=(1, 2))]
            values[able], source[able] = said[np.isin(short, able)], PRIOR
        values, mean = self._signed(values, level, history, changes)
        return Forecast(panel, self.quantiles, values, source, self._remarks(panel, changes, silent, reasons), mean,
                        voices)

    def _plain(self, panel: Panel, horizon: int) -> Floats:
        """The seasonal naive forecast, as wide as other series of the run were where one of a single value says nothing
        of its spread."""
        values = SeasonalNaive(self.plan.season, self.quantiles).predict(panel, horizon).values
        _, known = finite_sums(panel.y, panel.first, panel.stop)
        if (single := np.flatnonzero(known == 1)).size and self.usual_step > 0:
            spread = self.usual_step * np.abs(values[single, :, :1]) * np.sqrt(np.arange(1, horizon + 1))[:, None]
            values[single] += spread * np.array([NormalDist().inv_cdf(q) for q in self.quantiles])
        return values

    def _signed(self, values: Floats, level: Panel, history: guard.History, changes: Changes) -> tuple[Floats, Floats]:
        """Quantiles (S, H, Q) and means (S, H) as they may be issued, of a panel that was read as `level`."""
        if (moved := changes.series).size:
            old = (values[moved] - changes.shift[moved, None, None]) / changes.factor[moved, None, None]
            values[moved] = with_return(values[moved], changes.steps[moved], old, self.quantiles)
        phases = guard.Phases.of(level, self.plan.season, values.shape[1])
        still, negative = None if phases is None else phases.still, self.config.model.allow_negative
        bounded = guard.kept(values, history, negative=negative, whole=False)
        values = guard.thickened(bounded, level, history, self.quantiles)
        median = values[:, :, self.quantiles.index(0.5)]
        mean = median + self.mean_factor * mean_above_median(values, self.quantiles)
        means = guard.kept(mean[:, :, None], history, still=still, negative=negative, whole=False)
        return guard.kept(values, history, still=still, negative=negative), means[:, :, 0]

    def remarks_on(self, panel: Panel) -> tuple[Remark, ...]:
        """What is known of a panel before any forecast: changes of level."""
        return self._remarks(panel, levelled(panel, self.plan.season)[1], {}, np.full(len(panel), "", dtype=object))

    def _remarks(self, panel: Panel, changes: Changes, silent: Mapping[str, Ints], reasons: NDArray[np.object_]
                 ) -> tuple[Remark, ...]:
        """What a reader of the forecast has to know: changes of level, and who had no say."""
        when = [str(panel.calendar.times(panel.end[[s]] - changes.steps[s])[0]).removesuffix(".000000")
                .removesuffix("T00:00:00").replace("T", " ") for s in changes.series]
        moved = [Remark(str(panel.ids[s]), "level", f"its level changed from about {changes.before[s]:.4g} to "
                        f"{changes.after[s]:.4g} on {at}; what came before is read at the new level")
                 for s, at in zip(changes.series.tolist(), when, strict=True)]
        names: dict[int, list[str]] = {}
        for name, which in silent.items():
            for s in which[reasons[which] != "fallback:short"].tolist():
                names.setdefault(s, []).append(self.titles.get(name, name))
        return (*moved, *(Remark(str(panel.ids[s]), "silenced", f"not asked, being far from all that is known of it: "
                                 f"{', '.join(dict.fromkeys(who))}") for s, who in sorted(names.items())))

    def _quantiles(self, panel: Panel, history: guard.History
                   ) -> tuple[Floats, NDArray[np.object_], dict[str, Ints], Bools]:
        """(S, H, Q) forecasts of the trained horizon; (S,) why a series can't be served ("" where it can); who has
        no say in which series; and (S, M) who has one."""
        parts, reasons = self.parts(panel, self.blend.names)
        spoke = np.any([np.isfinite(said).all(axis=(1, 2)) for said in parts.values()], axis=0)
        silent = self._silenced(panel, parts, history)
        voices = np.stack([np.isfinite(parts[name]).all(axis=(1, 2)) for name in self.blend.names], axis=1)
        mute = ~voices.any(axis=1)
        reasons[spoke & mute & (reasons == "")] = "fallback:guard"      # all that spoke were far from what is known
        return self.widened(self.blended(parts, panel)), reasons, silent, voices

    def blended(self, parts: Mapping[str, Floats], panel: Panel) -> Floats:
        """What all say together, (S, H, Q); its spread by the phase of the season, where that decides on it."""
        values = self.blend.of_parts(parts, panel.ids)
        phases = guard.Phases.of(panel, self.plan.season, self.plan.horizon)
        return values if phases is None else phases.weighed(values, self.quantiles.index(0.5))

    def _silenced(self, panel: Panel, parts: dict[str, Floats], history: guard.History) -> dict[str, Ints]:
        """Put NaN into the parts of forecasters that may not speak for a series; those series, by forecaster. Who reads
        covariates is held against others who do: what a promotion does is unknown to the rest."""
        middle, silent = self.quantiles.index(0.5), {}
        unit = seasonal_scale(panel.truth, panel.first, panel.stop, self.plan.season)
        witnesses = guard.witnesses(panel, self.plan.season, self.plan.horizon)
        for reads in (False, True):
            names = [name for name in self.blend.names if self.is_moved_by_covariates(name) == reads]
            if not names:
                continue
            medians = np.stack([parts[name][:, :, middle] for name in names])
            mutes = guard.silenced(medians, witnesses[:0] if reads else witnesses, history, unit)
            for name, mute in zip(names, mutes, strict=True):
                if mute.any() and name not in SIMPLE and self.members:  # the prior alone speaks, kept within bounds
                    silent[name] = np.flatnonzero(mute)
                    parts[name][mute] = np.nan
        return {name: silent[name] for name in self.blend.names if name in silent}

    def parts(self, panel: Panel, names: Sequence[str]) -> tuple[dict[str, Floats], NDArray[np.object_]]:
        """What each of these forecasters says, (S, H, Q) in original units, NaN where it has nothing to say; and (S,)
        why a series can't be served. Blocks of series on all cores: no series sees another one."""
        reasons = np.full(len(panel), "", dtype=object)
        said = {name: np.full((len(panel), self.plan.horizon, len(self.quantiles)), np.nan) for name in names}
        near = np.argsort(panel.stop, kind="stable")                    # those of a block lie together
        blocks = [near[k:k + ROWS] for k in range(0, len(panel), ROWS)]

        def speak(rows: Ints) -> None:
            block = Block(panel.take(rows).trimmed())
            reasons[rows] = self._reasons(block)
            for name in names:
                owned = self._owned(name)
                said[name][rows] = self._said(*owned, block) if owned else self._of_expert(name, block)

        side_by_side(speak, blocks, most=1 if self.forwards else None)
        return said, reasons

    @property
    def _stand_in(self) -> int | None:
        """The member whose linear skip speaks for a lost expert. It reads covariates only where the blend does."""
        reads = any(map(self.is_moved_by_covariates, self.blend.names))
        return next((k for k, member in enumerate(self.members) if reads or not member.reads_covariates), None)

    def _owned(self, name: str) -> tuple[str, int] | None:
        kind, _, k = name.partition(".")
        return (kind, int(k)) if kind in (NETWORK, LINEAR) else None

    def _reasons(self, block: Block) -> NDArray[np.object_]:
        """(S,) why a series can't be served, "" where it can."""
        panel, context = block.panel, block.context(self.context)
        reasons = np.full(len(panel), "", dtype=object)
        reasons[panel.lengths < self.plan.min_context] = "fallback:short"
        if self.members and all(member.units.transform == "log" for member in self.members):
            reasons[np.any(context <= 0, axis=1)] = "fallback:not_positive"
        reasons[np.all(np.isnan(context[:, -self.plan.min_context:]), axis=1)] = "fallback:no_data"
        low, high = extremes(context)
        still = np.flatnonzero((low == high)[:, 0] & (reasons == "") & (self.config.model.scaling == "window"))
        moved = [s for s in still.tolist() if np.ptp(panel.values(s)[~np.isnan(panel.values(s))]) > 0]
        reasons[moved] = "seasonal_naive"
        return reasons

    def _said(self, kind: str, k: int, block: Block) -> Floats:
        """One member's word on a block of series (S, H, Q)."""
        member = self.members[k]
        batch = block.batch(member)
        forward = self.forwards.get(k, member.network.forward) if kind == NETWORK else member.network.linear
        values = member.units.restored(forward(batch), batch)
        if self.config.model.scaling != "window":
            return values
        low, high = block.bounds(member.shape.context)
        return np.where(np.isfinite(values), np.clip(values, low, high), values)

    def _of_expert(self, name: str, block: Block) -> Floats:
        """An expert's word on a block of series (S, H, Q). It reads all of the past: one absurd value can lead it
        anywhere, and beyond three ranges of the context, absurd values apart, the linear skip speaks in its place; so
        it does where there is an absurd value in the context itself."""
        panel, (low, high) = block.panel, block.bounds(self.context)
        if name in (PRIOR, TUNED):                                      # it passes over what is absurd itself
            return np.clip(self._foreseen(name, panel, self.plan.horizon), low, high)
        absurd = np.any(np.isnan(block.sane(self.context)) & ~np.isnan(block.context(self.context)), axis=1)
        values = BASELINES[name](self.plan.season, self.quantiles).predict(panel, self.plan.horizon).values
        if (lost := np.flatnonzero(absurd | np.any((values < low) | (values > high), axis=(1, 2)))).size:
            values[lost] = (np.clip(values[lost], low[lost], high[lost]) if (k := self._stand_in) is None else
                            self._said(LINEAR, k, Block(panel.take(lost))))
        return values

    def _foreseen(self, name: str, panel: Panel, horizon: int) -> Floats:
        """What the prior says (S, H, Q), as it came or tuned; NaN where it has nothing to say."""
        if (prior := self.prior if name == PRIOR else self._own_prior) is None:
            return np.full((len(panel), horizon, len(self.quantiles)), np.nan)
        most = None if name == PRIOR else self.plan.horizon
        return prior.predict(panel, horizon, self.two_seasons, self.quantiles, most=most)

    @cached_property
    def _own_prior(self) -> Prior | None:
        """The tuned one as it speaks."""
        tuned = self.tuned
        return (self.prior or tuned.prior).towards(tuned.prior, tuned.share) if tuned else None

    def widened(self, values: Floats) -> Floats:
        """Bands brought to the width they had to have on held-out windows, in the units the model thinks in."""
        forward, backward = TRANSFORMS[self.transform]
        fits = np.all(values > 0, axis=(1, 2), keepdims=True) if self.transform == "log" else np.array(True)
        with np.errstate(all="ignore"):
            thought = widened(np.where(fits, forward(np.where(fits, values, 1.0)), values), self.widths, self.quantiles)
            return np.where(fits, backward(thought), thought)


def _spread_from(last: Floats, further: Floats, quantiles: tuple[float, ...]) -> Floats:
    """`further` (S, H, Q) with the spread of the step it starts from, `last` (S, 1, Q), added in quadrature."""
    middle = quantiles.index(0.5)
    median = further[:, :, middle, None]
    reach = np.hypot(further - median, last - last[:, :, middle, None])
    return np.asarray(median + np.sign(np.arange(len(quantiles)) - middle) * reach)
