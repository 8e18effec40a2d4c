"""Sums by customer of the two sides that a rollout is judged by, and how their means differ.

Customers are the units: errors are between customers, whatever number of decisions each has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from nba.measurement.statistics.confidence_sequences import always_valid_effect
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import SampleMean, moments, ratio_mean
from nba.promotion.rollout import GuardrailLimits


class CustomerSums(NamedTuple):
    """Of one customer on one side, added up over their decisions."""

    decisions: float = 0.0
    reward_eur: float = 0.0  # less costs; after a promotion: beyond the champion before
    fallbacks: float = 0.0
    answers: float = 0.0  # rewards that came, or changed

    def plus(self, other: CustomerSums) -> CustomerSums:
        """Both together."""
        return CustomerSums(*(a + b for a, b in zip(self, other, strict=True)))


Side: TypeAlias = dict[str, CustomerSums]  # by customer


def mean_reward(side: Side) -> SampleMean | None:
    """EUR per decision; None for nobody."""
    return _mean_per_decision(side, [sums.reward_eur for sums in side.values()]) if side else None


def fallback_share(side: Side) -> SampleMean | None:
    """The share of decisions that came from the fallback; None for nobody.

    One decision of either kind is added, so that shares of 0 and 1 have an error: Agresti and
    Caffo, The American Statistician 2000.
    """
    if not side:
        return None
    added = {"+": CustomerSums(1.0, 0.0, 1.0), "-": CustomerSums(1.0)}
    fallbacks = [sums.fallbacks for sums in side.values()]
    return _mean_per_decision({**side, **added}, [*fallbacks, 1.0, 0.0])


def difference(
    side: SampleMean, rest: SampleMean | None, decisions: int, limits: GuardrailLimits
) -> Effect | Undecided:
    """Of a decision's mean on one side over the rest, or over 0 where there is no rest.

    The clock is that of decisions, and errors are between customers: they come back, so that the
    interval has to hold at looks between which there is no new customer.
    """
    value, error2 = side.mean, side.error2
    if rest is not None:
        value, error2 = value - rest.mean, error2 + rest.error2
    if error2 <= 0.0:
        return Undecided(reason="every customer has the same")
    return always_valid_effect(
        value,
        error2 * decisions,
        decisions,
        tuning_n=limits.tuning_n,
        confidence=limits.confidence,
    )


def _mean_per_decision(side: Side, values: Sequence[float]) -> SampleMean:
    counts = np.array([sums.decisions for sums in side.values()])
    return ratio_mean(moments(np.array(values), counts))
