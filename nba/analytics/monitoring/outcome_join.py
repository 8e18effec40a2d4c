"""Join rate: the share of decisions that an outcome was joined to, and whether it fell."""

from __future__ import annotations

import msgspec

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import clopper_pearson


class OutcomeJoin(msgspec.Struct, frozen=True, kw_only=True):
    """How many decisions an outcome was joined to; days and shards add up."""

    decisions: int = 0  # whose reward window is over
    joined: int = 0

    def __add__(self, other: OutcomeJoin) -> OutcomeJoin:
        return OutcomeJoin(
            decisions=self.decisions + other.decisions, joined=self.joined + other.joined
        )


class ShareEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its exact binomial interval."""

    value: float
    low: float
    high: float
    n: int


def join_rate(join: OutcomeJoin, *, confidence: float = 0.95) -> ShareEstimate | Undecided:
    """The share of decisions with an outcome. Raises InvalidInput for more than all of them."""
    n, joined = join.decisions, join.joined
    if n == 0:
        return Undecided(reason="no decision whose reward window is over")
    if not 0 <= joined <= n:
        raise InvalidInput("joined", joined, f"between 0 and the {n} decisions")
    low, high = clopper_pearson(joined, n, confidence)
    return ShareEstimate(value=joined / n, low=low, high=high, n=n)


def join_rate_fell(
    before: OutcomeJoin, now: OutcomeJoin, *, confidence: float = 0.999
) -> bool | Undecided:
    """Whether the two intervals part, the newer below: outcomes have stopped to arrive."""
    rate_before = join_rate(before, confidence=confidence)
    rate_now = join_rate(now, confidence=confidence)
    if isinstance(rate_before, Undecided):
        return rate_before
    return rate_now if isinstance(rate_now, Undecided) else rate_now.high < rate_before.low
