"""Start: another run's networks, from which a training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from forecast.errors import ModelError
from forecast.model.knowledge import Knowledge
from forecast.model.member import Member, shape_of
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.series.panel import Panel

SHORTER = 0.25                      # of the usual steps
Kind = tuple[str, bool, bool, int]  # of a member: its transformation, whether it has a skip, whether it reads
                                    # covariates, how many alike come before


@dataclass(frozen=True)
class Start:
    """The trained networks of another run by the kind of their members. A fit goes on from the validated ones, a final
    fit from the final ones, in a quarter of the steps. What these have learned from, the new ones have, too."""

    validated: Mapping[Kind, Network]
    final: Mapping[Kind, Network]
    validated_knowledge: Knowledge  # what the validated ones have learned from
    knowledge: Knowledge            # what the final ones have

    @classmethod
    def of(cls, older: Predictor, predictor: Predictor, panel: Panel) -> Start:
        """For a fit of `predictor` on this panel by a run read with its validated networks. Raises ModelError where
        they are of another shape, came to nothing, or have learned from what this fit is to be validated on."""
        shapes = {m.reads_covariates: asdict(m.shape) for m in predictor.members}
        shapes[False] = asdict(shape_of(predictor.config, predictor.plan))
        if other := list(dict.fromkeys(f"{name} {size}, not {shape[name]}" for m in older.members
                                       for shape in [shapes.get(m.reads_covariates, shapes[False])]
                                       for name, size in asdict(m.shape).items() if size != shape[name])):
            raise ModelError(f"its networks are of another shape ({'; '.join(other)})", code="shape")
        known = panel.drop_last(predictor.plan.validation)
        if older.validated_knowledge.exceeds(known):
            raise ModelError("it has learned from what this training is to be validated on", code="has_seen")
        of_member = kinds(older.members)
        trained = [k for k, m in enumerate(older.members) if m.steps]
        if not trained:
            raise ModelError("none of its networks bettered the linear skip", code="shape")
        return cls({of_member[k]: older.validated_networks[k] for k in trained},
                   {of_member[k]: older.members[k].network for k in trained},
                   older.validated_knowledge, older.knowledge)

    def count(self, predictor: Predictor) -> int:
        """How many members of a fitted predictor have gone on from one of these."""
        return sum(origin is not None for origin in origins(predictor.members, self.validated))

    def for_all_of(self, panel: Panel) -> Mapping[Kind, Network]:
        """Those for a final fit: the final ones, unless they have seen more than there is here."""
        return self.validated if self.knowledge.exceeds(panel) else self.final

    def knowledge_with(self, known: Panel) -> Knowledge:
        """What networks have learned from that go on from these and learn from what is known. On a calendar the newest
        of all tells, and the final networks are not gone on from; elsewhere they may be, in a final fit."""
        older = self.validated_knowledge
        own = Knowledge.of(known).at_least(older)
        return own.over(older if known.calendar.is_time else self.knowledge.over(older))

    def share(self, members: int) -> float:
        """About which part of the usual steps so many members will take."""
        return 1 - (1 - SHORTER) * min(1.0, len(self.validated) / members)


def kinds(members: Sequence[Member]) -> list[Kind]:
    alike = [(m.units.transform, m.skip, m.reads_covariates) for m in members]
    return [(*kind, alike[:k].count(kind)) for k, kind in enumerate(alike)]


def origins(members: Sequence[Member], networks: Mapping[Kind, Network]) -> list[Network | None]:
    return [networks.get(kind) for kind in kinds(members)]
