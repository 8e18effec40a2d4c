"""Arms that a bandit fills: compared by what was drawn and with which probability.

Where the shares of the arms follow the results, and the results drift, the mean of an arm is the
mean of the days on which it was liked. Weighted by the logged propensities it is not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np

from nba.errors import InvalidInput
from nba.measurement.statistics.bounded_sequences import ConfidenceSequence, mixture_bernstein
from nba.measurement.statistics.confidence_sequences import TUNING_N, always_valid_effect
from nba.measurement.statistics.effect import Effect, fixed_horizon_effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import Moments, moments, per_customer, ratio_mean


class ArmCounts(NamedTuple):
    """How often an arm was drawn, and how often something came of it."""

    pulls: int
    successes: int

    def and_more(self, other: ArmCounts) -> ArmCounts:
        return ArmCounts(self.pulls + other.pulls, self.successes + other.successes)


MIN_COUNTS = ArmCounts(pulls=200, successes=50)  # of either arm, before they are compared


class ArmScores(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: its pulls, and per customer the sum of its scores (y) over their decisions (x).

    Shards add up where each holds customers of its own.
    """

    pulls: ArmCounts = ArmCounts(0, 0)
    scores: Moments = Moments()

    def __add__(self, other: ArmScores) -> ArmScores:
        return ArmScores(pulls=self.pulls.and_more(other.pulls), scores=self.scores + other.scores)


class ArmContrast(msgspec.Struct, frozen=True, kw_only=True):
    """Two arms on the same decisions: their pulls, and the differences of their scores, b - a.

    Per customer the sum of these (y) over their decisions (x), as in `ArmScores`.
    """

    a: ArmCounts = ArmCounts(0, 0)
    b: ArmCounts = ArmCounts(0, 0)
    scores: Moments = Moments()

    def __add__(self, other: ArmContrast) -> ArmContrast:
        return ArmContrast(
            a=self.a.and_more(other.a),
            b=self.b.and_more(other.b),
            scores=self.scores + other.scores,
        )


class ScoredDecisions(NamedTuple):
    """n logged decisions; arms are columns 0..k-1."""

    drawn: np.ndarray  # (n,) the arm
    rewards: np.ndarray  # (n,)
    scores: np.ndarray  # (n, k) AIPW: unbiased for the reward of each arm, drawn or not
    customers: np.ndarray | None = None  # (n,); None: every decision is a customer of its own


def aipw_scores(
    drawn: np.ndarray,
    propensity: np.ndarray,
    rewards: np.ndarray,
    predictions: np.ndarray,
    customers: np.ndarray | None = None,
) -> ScoredDecisions:
    """AIPW scores q_a + 1[drawn = a] (r - q_a) / propensity of every arm.

    `propensity` (n,) of the arm that was drawn, as it was logged; `predictions` (n, k) of the
    reward, made from what was known before each decision (`past_means`, the logged p_accept, or
    zeros: IPW). Raises InvalidInput for a propensity outside (0, 1].
    """
    if len(propensity) and not (0.0 < propensity.min() and propensity.max() <= 1.0):
        raise InvalidInput("propensity", float(propensity.min()), "it lies in (0, 1]")
    scores = np.array(predictions, dtype=float)
    rows = np.arange(len(drawn))
    scores[rows, drawn] += (rewards - scores[rows, drawn]) / propensity
    return ScoredDecisions(drawn, rewards, scores, customers)


def past_means(
    drawn: np.ndarray, rewards: np.ndarray, arms: int, *, prior: float, weight: float = 10.0
) -> np.ndarray:
    """(n, k) mean reward of each arm before each decision, beside `weight` rewards of `prior`.

    Only where every reward was known by the next decision; with delays, predict otherwise.
    """
    is_drawn = drawn[:, None] == np.arange(arms)
    count = np.cumsum(is_drawn, axis=0) - is_drawn
    own = np.where(is_drawn, rewards[:, None], 0.0)
    total = np.cumsum(own, axis=0) - is_drawn * rewards[:, None]
    return np.asarray((total + weight * prior) / (count + weight))


def arm_scores(draws: ScoredDecisions, arm: int) -> ArmScores:
    """The additive record of one arm."""
    return ArmScores(pulls=_counts(draws, arm), scores=_sums(draws, draws.scores[:, arm]))


def arm_contrast(draws: ScoredDecisions, a: int, b: int) -> ArmContrast:
    """The additive record of the difference between two arms."""
    return ArmContrast(
        a=_counts(draws, a),
        b=_counts(draws, b),
        scores=_sums(draws, draws.scores[:, b] - draws.scores[:, a]),
    )


def arm_difference(
    record: ArmContrast,
    *,
    names: tuple[str, str] = ("A", "B"),
    tuning_n: int | None = TUNING_N,
    minimum: ArmCounts = MIN_COUNTS,
    confidence: float = 0.95,
) -> Effect | Undecided:
    """b - a per decision, once both arms have events enough.

    At every look, or where `tuning_n` is None at one whose time was chosen before. The asymptotic
    confidence sequence of AIPW scores: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro,
    Anytime-valid off-policy inference for contextual bandits, 2022. Without the minimum it is wrong
    up to a fifth of the time while one arm holds a handful of successes. The interval of one look
    is Student's with twice the rarer arm's successes as degrees of freedom: a variance that rests
    on k rare events is as uncertain as one of 2 k degrees.
    """
    counts = record.a, record.b
    missing = [
        f"{name} has {arm.pulls} of {minimum.pulls} decisions and {arm.successes} of "
        f"{minimum.successes} successes"
        for name, arm in zip(names, counts, strict=True)
        if arm.pulls < minimum.pulls or arm.successes < minimum.successes
    ]
    if missing:
        return Undecided(reason="; ".join(missing))
    difference = ratio_mean(record.scores)
    value, variance, n = difference
    if variance <= 0.0 or not math.isfinite(variance):
        return Undecided(reason="the scores do not vary between customers")
    if tuning_n is None:
        degrees = 2.0 * max(min(arm.successes for arm in counts), 1)
        return fixed_horizon_effect(
            value, difference.error2, n, degrees=degrees, confidence=confidence
        )
    return always_valid_effect(value, variance, n, tuning_n=tuning_n, confidence=confidence)


def exact_confidence_sequence(
    draws: ScoredDecisions,
    a: int,
    b: int,
    *,
    floor: float,
    base: float,
    looks: np.ndarray,
    tuning_n: int = TUNING_N,
    confidence: float = 0.95,
) -> ConfidenceSequence:
    """b - a after each number of decisions in `looks`: exact at every look, and wide.

    Rewards and predictions in [0, 1], decisions in the order in which they were made; fixed before
    the start are `floor`, the least propensity that either arm may have, and `base`, the expected
    reward, at which the interval is narrowest after `tuning_n` decisions. A score difference is
    within 1 / floor of 0 and its mean within 1. Decisions of one customer count each for
    themselves: each draw is random given all before it. Raises InvalidInput for what is outside.
    """
    if not 0.0 < base < 1.0:
        raise InvalidInput("base", base, "the expected reward lies between 0 and 1")
    if draws.rewards.min() < 0.0 or draws.rewards.max() > 1.0:
        raise InvalidInput("rewards", float(np.abs(draws.rewards).max()), "scale them to [0, 1]")
    difference = draws.scores[:, b] - draws.scores[:, a]
    furthest = float(np.abs(difference).max())
    if not 0.0 < floor <= 1.0 or furthest > 1.0 / floor + 1e-9:
        remedy = f"a score lies {furthest:.1f} from 0: the least propensity was lower"
        raise InvalidInput("floor", floor, remedy)
    return mixture_bernstein(
        difference,
        v_opt=tuning_n * base * (1.0 - base) / floor,
        reach=(-1.0 / floor, 1.0 / floor),
        mean_within=(-1.0, 1.0),
        looks=looks,
        confidence=confidence,
    )


def _counts(draws: ScoredDecisions, arm: int) -> ArmCounts:
    is_drawn = draws.drawn == arm
    return ArmCounts(int(is_drawn.sum()), int((draws.rewards[is_drawn] > 0.0).sum()))


def _sums(draws: ScoredDecisions, values: np.ndarray) -> Moments:
    if draws.customers is None:
        return moments(values, np.ones(len(values)))
    return moments(*per_customer(draws.customers, values))
