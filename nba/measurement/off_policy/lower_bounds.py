"""Lower bounds by IPS that hold for bounded rewards at every n, without a normal approximation.

As in the estimators of the Vowpal Wabbit project (vw-estimators 0.2.2), whose figures they give.
Rewards lie in [0, 1] here; scale them before.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammainc, gammaln

from nba.errors import InvalidInput
from nba.measurement.off_policy.logged_decisions import Floats, LoggedDecisions

PRIOR = 1.0  # variance at which the mixture of the confidence sequence is centred
HALVINGS = 80


def gain_lower_bound(decisions: LoggedDecisions, confidence: float = 0.95) -> float:
    """What target minus logged is above at every n: a bound on (w - 1) r, which is never below -1.

    Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, Anytime-valid off-policy inference for
    contextual bandits, 2022, section 3.3.
    """
    shifted = ((decisions.weights - 1.0) * _unit(decisions.rewards) + 1.0) / 2.0
    return 2.0 * bernstein_lower_bound(shifted, confidence) - 1.0


def bernstein_lower_bound(values: Floats, confidence: float = 0.95) -> float:
    """What the mean of values in [0, inf) is above, at every n; the mean itself lies in [0, 1].

    Empirical Bernstein with a predictable plug-in: the values' variance around the mean of those
    before, and a gamma mixture over the bet. Howard, Ramdas, McAuliffe and Sekhon, Annals of
    Statistics 2021, proposition 9, as in Karampatziakis, Mineiro and Ramdas, Off-Policy Confidence
    Sequences, ICML 2021, section 5.2.
    """
    n = len(values)
    if n == 0:
        return 0.0
    total = np.cumsum(values)
    before = (np.concatenate([[0.0], total[:-1]]) + 0.5) / np.arange(1, n + 1)
    variance = float(((values - before) ** 2).sum())
    summed, threshold = float(total[-1]), -math.log(1 - confidence)
    low, high = 0.0, min(1.0, summed / n)
    if _log_wealth(summed, variance) <= threshold:
        return 0.0
    if _log_wealth(summed - n * high, variance) >= threshold:
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _log_wealth(summed - n * middle, variance) > threshold:
            low = middle
        else:
            high = middle
    return low


def _log_wealth(gain: float, variance: float) -> float:
    """Of a gambler who bets that the mean is higher, after this gain with this variance."""
    shape, x = variance + PRIOR, gain + variance + PRIOR
    if x <= 0:
        return -math.inf
    mixed = float(gammainc(shape, x))
    if mixed == 0.0:
        return -math.inf
    prior = math.log(float(gammainc(PRIOR, PRIOR))) + float(gammaln(PRIOR))
    return (
        (gain + variance + PRIOR * math.log(PRIOR) - shape * math.log(x))
        + (math.log(mixed) + float(gammaln(shape)))
        - prior
    )


def _unit(rewards: Floats) -> Floats:
    if len(rewards) and (rewards.min() < 0.0 or rewards.max() > 1.0):
        raise InvalidInput("rewards", float(np.abs(rewards).max()), "scale them to [0, 1]")
    return rewards
