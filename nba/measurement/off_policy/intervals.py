"""Intervals around off-policy values: at a fixed n, over resampled customers, and at every n.

The last kind may be looked at as often as one likes, and stopped whenever one likes.
"""

from __future__ import annotations

import math

import numpy as np

from nba.measurement.off_policy.estimators import RatioEstimate
from nba.measurement.off_policy.logged_decisions import Floats
from nba.measurement.statistics.confidence_sequences import TUNING_N, half_width, rho
from nba.measurement.statistics.intervals import Interval, clustered_variance
from nba.randomization import generator

RESAMPLES = 1_000


def standard_error(scores: RatioEstimate, customers: np.ndarray) -> float:
    """Of the value, between customers."""
    return math.sqrt(clustered_variance(scores.influence, customers))


def bootstrap(
    scores: RatioEstimate, customers: np.ndarray, *, seed: int, confidence: float = 0.95
) -> Interval:
    """Percentiles over resampled customers.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Where few customers
    carry all of the value it is far too narrow: look at the overlap first.
    """
    sums = _sums(scores, customers)
    n = sums.shape[1]
    rng = generator(seed, "bootstrap")
    values = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        totals = sums @ np.bincount(rng.integers(0, n, n), minlength=n)
        ratios = totals[0::2] / np.where(totals[1::2] == 0.0, np.nan, totals[1::2])
        values[resample] = ratios[0] - ratios[1:].sum()
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail]).tolist()
    return Interval(low, high)


def _sums(scores: RatioEstimate, customers: np.ndarray) -> Floats:
    """Numerators and denominators by customer: (2, n_customers), of a difference (4, ...)."""
    rows = [scores.numerator, scores.denominator]
    if scores.subtracted is not None:
        rows += [scores.subtracted.numerator, scores.subtracted.denominator]
    return np.array([np.bincount(customers, weights=row) for row in rows])


def always_valid_interval(
    value: float,
    stderr: float,
    customers: int,
    *,
    confidence: float = 0.95,
    tuning_n: int = TUNING_N,
) -> Interval:
    """The asymptotic confidence sequence: at every number of customers at once.

    Of `statistics.confidence_sequences`, with the variance stderr^2 m of one of m customers.
    """
    half = (
        stderr
        * math.sqrt(customers)
        * float(half_width(customers, tuning_n=tuning_n, confidence=confidence))
    )
    return Interval(value - half, value + half)


def always_valid_lower_bound(
    value: float,
    stderr: float,
    customers: int,
    *,
    confidence: float = 0.95,
    tuning_n: int = TUNING_N,
) -> float:
    """The one-sided kind, lower: what the value is above at every number of customers at once.

    value - stderr sqrt(2 (m rho^2 + 1) / (m rho^2) log(1 + sqrt(m rho^2 + 1) / (2 alpha))).
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 2024, appendix B.1.
    """
    alpha = 1 - confidence
    m_rho2 = customers * rho(tuning_n, 1 - 2 * alpha) ** 2
    inside = math.log1p(math.sqrt(m_rho2 + 1) / (2 * alpha))
    return value - stderr * math.sqrt(2 * (m_rho2 + 1) / m_rho2 * inside)
