"""Intervals of the IPS value that hold for bounded rewards, without a normal approximation.

As in the estimators of the Vowpal Wabbit project (vw-estimators 0.2.2), whose figures they give.
Rewards lie in [0, 1] here; scale them before.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv, gammainc, gammaln, ndtri, stdtrit

from nba.errors import InvalidInput
from nba.measurement.off_policy.intervals import Interval
from nba.measurement.off_policy.logged_decisions import Floats, Logged

PRIOR = 1.0  # variance at which the mixture of the confidence sequence is centred
HALVINGS = 80


def gaussian(evidence: Logged, confidence: float = 0.95) -> Interval:
    """mean(w r) -+ z s / sqrt(n), s^2 the sample variance."""
    scores = evidence.weights * evidence.rewards
    half = float(ndtri(0.5 + confidence / 2) * scores.std(ddof=1)) / math.sqrt(len(scores))
    return Interval(float(scores.mean()) - half, float(scores.mean()) + half)


def clopper_pearson(evidence: Logged, confidence: float = 0.95) -> Interval:
    """Biometrika 1934, on n / max w trials with sum w r / max w successes."""
    w, r = evidence.weights, _unit(evidence.rewards)
    tail, heaviest = (1 - confidence) / 2, float(w.max())
    trials, hits = evidence.n / heaviest, float((w * r).sum()) / heaviest
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return Interval(low, high)


def cressie_read(evidence: Logged, confidence: float = 0.95) -> Interval:
    """Empirical likelihood with the Cressie-Read(-2) divergence, weights in [0, inf).

    Karampatziakis, Langford and Mineiro, Empirical Likelihood for Contextual Bandits, NeurIPS 2020.
    """
    w, r, n = evidence.weights, _unit(evidence.rewards), evidence.n
    sums = (float(w.sum()), float((w**2).sum()))
    delta = float(stdtrit(n, 0.5 + confidence / 2)) ** 2  # the F(1, n) quantile
    heavier = 1 + 1 / n if sums[0] < n else _unclaimed(n, *sums)
    phi = (-heavier - delta) / (2 * (1 + n))
    low = _nearest(w, r, phi)
    high = 1.0 - _nearest(w, 1.0 - r, phi)
    return Interval(low, high)


def _unclaimed(n: int, w: float, w2: float) -> float:
    """The likelihood's maximum where the weights sum to more than n: the missing row weighs 0."""
    mean, square = w / (1 + n), w2 / (1 + n)
    return (1 + n) * (mean - 1) ** 2 / (square - mean**2)


def _nearest(w: Floats, r: Floats, phi: float) -> float:
    """The least value in [0, 1] that the divergence leaves possible."""
    n, wr = len(w), w * r
    found = []
    # a further row of any weight: of no weight, or of as much as one likes, with reward 0
    mean, square = w.sum() / (1 + n), (w**2).sum() / (1 + n)
    mean_r, cross, square_r = wr.sum() / (1 + n), (w * wr).sum() / (1 + n), (wr**2).sum() / (1 + n)
    spread = square - mean**2
    if spread > 0:
        slope = (cross - mean * mean_r) / spread
        found += _root(
            mean_r + (1 - mean) * slope,
            slope**2 * spread - (square_r - mean_r**2),
            phi + (1 - mean) ** 2 / (2 * spread),
        )
    found += _root(
        wr.sum() / n,
        wr.sum() ** 2 / (n * (1 + n)) - (wr**2).sum() / (1 + n),
        phi + 1 / (2 * n),
    )
    return min(1.0, max(0.0, min(found))) if found else 0.0


def _root(x: float, y: float, z: float) -> list[float]:
    return [float(x - math.sqrt(max(0.0, 2 * y * z)))] if z <= 0 and y * z >= 0 else []


def always_bounded(evidence: Logged, confidence: float = 0.95) -> Interval:
    """A confidence sequence that is exact at every n, without any assumption on the weights.

    Two lower bounds at half the error: of w r, and of w (1 - r). Karampatziakis, Mineiro and
    Ramdas, Off-Policy Confidence Sequences, ICML 2021, section 5.2.
    """
    w, r, alpha = evidence.weights, _unit(evidence.rewards), 1 - confidence
    return Interval(
        bernstein_above(w * r, 1 - alpha / 2), 1.0 - bernstein_above(w * (1.0 - r), 1 - alpha / 2)
    )


def gain_always_above(evidence: Logged, confidence: float = 0.95) -> float:
    """What target minus logged is above at every n: a bound on (w - 1) r, which is never below -1.

    Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, Anytime-valid off-policy inference for
    contextual bandits, 2022, section 3.3.
    """
    shifted = ((evidence.weights - 1.0) * _unit(evidence.rewards) + 1.0) / 2.0
    return 2.0 * bernstein_above(shifted, confidence) - 1.0


def bernstein_above(values: Floats, confidence: float = 0.95) -> float:
    """What the mean of values in [0, inf) is above, at every n; the mean itself lies in [0, 1].

    Empirical Bernstein with a predictable plug-in: the values' variance around the mean of those
    before, and a gamma mixture over the stake. Howard, Ramdas, McAuliffe and Sekhon, Annals of
    Statistics 2021, proposition 9, as in the paper of `always_bounded`.
    """
    n = len(values)
    if n == 0:
        return 0.0
    total = np.cumsum(values)
    before = (np.concatenate([[0.0], total[:-1]]) + 0.5) / np.arange(1, n + 1)
    variance = float(((values - before) ** 2).sum())
    summed, wanted = float(total[-1]), -math.log(1 - confidence)
    low, high = 0.0, min(1.0, summed / n)
    if _log_wealth(summed, variance) <= wanted:
        return 0.0
    if _log_wealth(summed - n * high, variance) >= wanted:
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _log_wealth(summed - n * middle, variance) > wanted:
            low = middle
        else:
            high = middle
    return low


def _log_wealth(won: float, variance: float) -> float:
    """Of a gambler who bet that the mean is higher, after `won` with this variance."""
    shape, at = variance + PRIOR, won + variance + PRIOR
    if at <= 0:
        return -math.inf
    mixed = float(gammainc(shape, at))
    if mixed == 0.0:
        return -math.inf
    prior = math.log(float(gammainc(PRIOR, PRIOR))) + float(gammaln(PRIOR))
    return (
        (won + variance + PRIOR * math.log(PRIOR) - shape * math.log(at))
        + (math.log(mixed) + float(gammaln(shape)))
        - prior
    )


def _unit(rewards: Floats) -> Floats:
    if len(rewards) and (rewards.min() < 0.0 or rewards.max() > 1.0):
        raise InvalidInput("rewards", float(np.abs(rewards).max()), "scale them to [0, 1]")
    return rewards
