"""Intervals at a fixed sample size: of means, of shares, with errors between customers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtri


class Interval(NamedTuple):
    """From low to high."""

    low: float
    high: float


def critical_value(confidence: float = 0.95) -> float:
    """The two-sided normal quantile, 1.96 for 95 %."""
    return float(ndtri(0.5 + confidence / 2))


def normal_interval(value: float, stderr: float, confidence: float = 0.95) -> Interval:
    """value -+ z stderr."""
    half = critical_value(confidence) * stderr
    return Interval(value - half, value + half)


def clustered_variance(influence: np.ndarray, customers: np.ndarray) -> float:
    """Of a mean of (n,) influences, between customers: a sandwich with the m / (m - 1) factor.

    `customers` (n,): codes from 0, without gaps. Infinite for fewer than two. Liang and Zeger,
    Biometrika 1986.
    """
    sums = np.bincount(customers, weights=influence)
    n_customers = len(sums)
    if n_customers < 2:
        return math.inf
    return float((sums**2).sum()) * n_customers / (n_customers - 1) / len(influence) ** 2


def share_interval(hits: np.ndarray, customers: np.ndarray) -> Interval:
    """Wilson's interval of the share of (n,) truth values, with (n,) `customers` as the units.

    Of n / design effect rows: how many times as much the customers' sums vary as they would if
    every row were of a customer of its own, at least 1. Kish, Survey Sampling (1965), section 8.2.
    """
    n, share = len(hits), float(hits.mean()) if len(hits) else 0.0
    if not 0.0 < share < 1.0:
        units = len(np.unique(customers))
        return wilson(share * units, units)
    codes = np.unique(customers, return_inverse=True)[1]
    between = np.bincount(codes, weights=hits - share)
    effect = max(1.0, math.fsum(between**2) / (n * share * (1.0 - share)))
    return wilson(float(hits.sum()) / effect, n / effect)


def wilson(successes: float, n: float) -> Interval:
    """Wilson's 95 % interval of a share (JASA 1927); [0, 1] where n is 0."""
    if n == 0:
        return Interval(0.0, 1.0)
    z = critical_value()
    share, z2 = successes / n, z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Interval(low, high)


def clopper_pearson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """The exact interval of a share of n > 0 (Clopper and Pearson, Biometrika 1934)."""

    def upper(hits: float) -> float:
        return 1.0 if hits >= n else float(betaincinv(hits + 1, n - hits, 0.5 + confidence / 2))

    return Interval(1.0 - upper(n - successes), upper(successes))
