"""The friction report: visits, felt as this deployment's own log says, put to the test.

Valences that were learned from the losses that they are tested on would find accumulation in
noise. So customers are halved, and each half is felt with what the other half has taught (cross-
fitting: Chernozhukov et al., Econometrics Journal 2018, section 1). Where a half has too few losses
to learn from, the valences in force hold for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nba.measurement.estimate import Undecided
from nba.measurement.friction import Friction, friction
from nba.measurement.signs import LossRate, loss_by_sign
from training.emotion import Evidence, learn_valences
from training.evidence import evidence_of, units_of
from training.history import History
from training.visits import Followed, follow


@dataclass(frozen=True, slots=True)
class FrictionReport:
    """The verdict, loss by the sign of emotion, and which valences they rest on."""

    friction: Friction
    rates: tuple[LossRate, ...]
    valences: str  # learned by cross-fitting, or the version in force


def report_friction(history: History, *, seed: int) -> FrictionReport:
    """Test the visits of a log. The same history and seed give the same report."""
    followed = follow(history)
    rates = loss_by_sign(followed.visits())
    felt = _cross_fitted(history, followed, seed)
    valences = history.fold.schema.table.version if felt is None else "learned, cross-fitted"
    return FrictionReport(friction((felt or followed).visits()), rates, valences)


def _cross_fitted(history: History, followed: Followed, seed: int) -> Followed | None:
    """The visits felt with valences learned from other customers, None where too few are lost."""
    evidence = evidence_of(history, followed)
    units, unit_of = units_of(history, followed)
    sides = np.random.default_rng(seed).integers(0, 2, len(history.rows.customers))
    part_valences = followed.table.parts["valence"].astype(float).copy()
    for side in (0, 1):
        taught = _of(evidence, sides[evidence.customers] == side)
        found = learn_valences(taught, seed=seed, bootstraps=0)
        if isinstance(found, Undecided):
            return None
        learned = {(one.kind, one.touchpoint): one.valence for one in found}
        table = np.array([learned.get((u.kind, u.touchpoint), u.prior) for u in units])
        other = (unit_of >= 0) & (sides[followed.table.part_customers] != side)
        part_valences[other] = table[unit_of[other]]
    return followed.felt_as(part_valences)


def _of(evidence: Evidence, chosen: np.ndarray) -> Evidence:
    labels = evidence.labels[chosen]
    share = chosen.mean() if len(chosen) else 0.0
    return Evidence(
        counts=evidence.counts[chosen],
        units=evidence.units,
        controls=evidence.controls[chosen],
        customers=evidence.customers[chosen],
        labels=labels,
        losses=round(evidence.losses * share),
        low_surveys=round(evidence.low_surveys * share),
    )
