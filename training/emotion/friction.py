"""The friction report: visits, felt as this deployment's own log says, put to the test.

Valences that were learned from the losses that they are tested on would find accumulation in
noise. So customers are halved, and each half is felt with what the other half has taught (cross-
fitting: Chernozhukov et al., Econometrics Journal 2018, section 1). Where a half has too few losses
to learn from, the valences in force hold for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nba.analytics.journeys.friction import Friction, friction
from nba.analytics.journeys.loss_by_emotion import LossRate, loss_by_sign
from nba.measurement.statistics.estimate import Undecided
from nba.randomization import generator
from training.data.history import History
from training.emotion.evidence import evidence_of, units_of
from training.emotion.valences import ValenceEvidence, learn_valences
from training.emotion.visits import FollowedVisits, follow


@dataclass(frozen=True, slots=True)
class FrictionReport:
    """The verdict, loss by the sign of emotion, and which valences they rest on."""

    friction: Friction
    rates: tuple[LossRate, ...]
    valences: str  # learned by cross-fitting, or the version in force


def report_friction(history: History, *, seed: int) -> FrictionReport:
    """Test the visits of a log. The same history and seed give the same report."""
    followed = follow(history)
    felt = _cross_fitted(history, followed, seed)
    valences = history.fold.schema.table.version if felt is None else "learned, cross-fitted"
    visits = (felt or followed).visits()
    return FrictionReport(friction(visits), loss_by_sign(visits), valences)


def _cross_fitted(history: History, followed: FollowedVisits, seed: int) -> FollowedVisits | None:
    """The visits felt with valences learned from other customers, None where too few are lost."""
    evidence = evidence_of(history, followed)
    units, unit_of = units_of(history, followed)
    sides = generator(seed, "sides of friction").integers(0, 2, len(history.rows.customers))
    part_valences = followed.table.parts["valence"].astype(float).copy()
    schema = history.fold.schema
    in_force = np.array([schema.appraisal(u.kind, u.touchpoint).valence for u in units])
    worded = {mapping.id for mapping in schema.journey.events if mapping.text}
    says = np.array([u.kind in worded for u in units])
    for side in (0, 1):
        taught = _of(evidence, followed.lost, sides[evidence.customers] == side)
        valences = learn_valences(taught, seed=seed, bootstraps=0)
        if isinstance(valences, Undecided):
            return None
        learned = {(estimate.kind, estimate.touchpoint): estimate.valence for estimate in valences}
        table = np.array([learned.get((u.kind, u.touchpoint), u.prior) for u in units])
        other = (unit_of >= 0) & (sides[followed.table.part_customers] != side)
        unit = unit_of[other]
        own = part_valences[other] - in_force[unit]  # what this very event was worse or better by
        moved = np.clip(table[unit] + own, -1.0, 1.0)
        part_valences[other] = np.where(says[unit] & (own != 0.0), part_valences[other], moved)
    return followed.felt_as(part_valences)


def _of(evidence: ValenceEvidence, lost: np.ndarray, chosen: np.ndarray) -> ValenceEvidence:
    labels = evidence.labels[chosen]
    return ValenceEvidence(
        counts=evidence.counts[chosen],
        units=evidence.units,
        controls=evidence.controls[chosen],
        customers=evidence.customers[chosen],
        labels=labels,
        losses=int(lost[chosen].sum()),
        low_surveys=int((labels & ~lost[chosen]).sum()),
    )
