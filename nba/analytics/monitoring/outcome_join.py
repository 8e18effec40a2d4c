"""Join rate: the share of decisions that an outcome was joined to, and whether it fell."""

from __future__ import annotations

import msgspec
import numpy as np

from nba.measurement.statistics.calibration import GROUPS
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import clopper_pearson


class OutcomeJoin(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions and how many of them an outcome was joined to, by groups of customers.

    Days and shards add up. A customer is in one group on all days, so that what makes their
    decisions alike is within it.
    """

    made: tuple[int, ...] = (0,) * GROUPS  # decisions whose reward window is over
    answered: tuple[int, ...] = (0,) * GROUPS

    def __add__(self, other: OutcomeJoin) -> OutcomeJoin:
        return OutcomeJoin(
            made=tuple(a + b for a, b in zip(self.made, other.made, strict=True)),
            answered=tuple(a + b for a, b in zip(self.answered, other.answered, strict=True)),
        )

    @property
    def decisions(self) -> int:
        return sum(self.made)

    @property
    def joined(self) -> int:
        return sum(self.answered)

    @property
    def design_effect(self) -> float:
        """How many times as much the rate varies between the groups as it would if every decision
        were of a customer of its own; at least 1."""
        n, y = np.array(self.made, dtype=float), np.array(self.answered, dtype=float)
        filled, total = int((n > 0.0).sum()), n.sum()
        rate = y.sum() / total if total else 0.0
        if filled < 2 or not 0.0 < rate < 1.0:
            return 1.0
        between = ((y - rate * n) ** 2).sum() * filled / (filled - 1)
        return max(1.0, float(between / (total * rate * (1.0 - rate))))


class ShareEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its interval, by customer."""

    value: float
    low: float
    high: float
    n: int


def outcome_join(hashes: np.ndarray, joined: np.ndarray) -> OutcomeJoin:
    """Of n decisions: (n,) uint64 hashes of their customers, and whether an outcome was joined."""
    groups = (hashes % np.uint64(GROUPS)).astype(np.int64)
    return OutcomeJoin(
        made=tuple(np.bincount(groups, minlength=GROUPS).tolist()),
        answered=tuple(np.bincount(groups[joined.astype(bool)], minlength=GROUPS).tolist()),
    )


def join_rate(
    join: OutcomeJoin, *, confidence: float = 0.95, design_effect: float | None = None
) -> ShareEstimate | Undecided:
    """The share of decisions with an outcome.

    Its interval is the exact binomial one of the decisions that as many customers would have made,
    n / design effect: Korn and Graubard, Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data, Survey Methodology 1998.
    """
    n, joined = join.decisions, join.joined
    if n == 0:
        return Undecided(reason="no decision whose reward window is over")
    effect = join.design_effect if design_effect is None else design_effect
    low, high = clopper_pearson(joined / effect, n / effect, confidence)
    return ShareEstimate(value=joined / n, low=low, high=high, n=n)


def join_rate_fell(
    before: OutcomeJoin, now: OutcomeJoin, *, confidence: float = 0.999
) -> bool | Undecided:
    """Whether the two intervals part, the newer below: outcomes have stopped to arrive.

    Where nothing is joined any more, how customers differ is known from before alone.
    """
    effect = max(before.design_effect, now.design_effect)
    rate_before = join_rate(before, confidence=confidence)
    rate_now = join_rate(now, confidence=confidence, design_effect=effect)
    if isinstance(rate_before, Undecided):
        return rate_before
    return rate_now if isinstance(rate_now, Undecided) else rate_now.high < rate_before.low
