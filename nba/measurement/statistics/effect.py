"""The difference between two arms, with an interval at a sample size fixed beforehand."""

from __future__ import annotations

import math

import msgspec
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import SampleMean

MIN_CUSTOMERS = 30  # of an arm, on whom an interval can rest
MIN_BASELINE = 3.0  # standard errors from 0, below which nothing is relative to it


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What B does over A: its mean minus the other's, or that as a share of A's mean."""

    value: float
    low: float
    high: float
    p: float  # of "there is no difference", two-sided
    n: int  # customers of both arms
    confidence: float
    relative: bool
    tuning_n: int | None = None  # the interval holds at every look; None: at one, chosen before


def fixed_horizon(
    a: SampleMean, b: SampleMean, *, relative: bool = False, confidence: float = 0.95
) -> Effect | Undecided:
    """Welch's interval of b - a, for one look at a size chosen before (Biometrika 1947).

    With `relative`, of b / a - 1 by the delta method.
    """
    difference = contrast(a, b, relative=relative)
    if isinstance(difference, Undecided):
        return difference
    value, error2 = difference
    degrees = (a.error2 + b.error2) ** 2 / (a.error2**2 / (a.n - 1) + b.error2**2 / (b.n - 1))
    return fixed_horizon_effect(
        value, error2, a.n + b.n, degrees=degrees, relative=relative, confidence=confidence
    )


def fixed_horizon_effect(
    value: float,
    error2: float,
    n: int,
    *,
    degrees: float | None = None,
    relative: bool = False,
    confidence: float = 0.95,
) -> Effect:
    """The interval of an estimate of n customers with this squared standard error.

    Student's, where that error is known only to so many degrees of freedom, else the normal one.
    """
    error, tail = math.sqrt(error2), 0.5 + confidence / 2
    at = -abs(value) / error
    critical = ndtri(tail) if degrees is None else stdtrit(degrees, tail)
    half = float(critical) * error
    return Effect(
        value=value,
        low=value - half,
        high=value + half,
        p=2.0 * float(ndtr(at) if degrees is None else stdtr(degrees, at)),
        n=n,
        confidence=confidence,
        relative=relative,
    )


def contrast(a: SampleMean, b: SampleMean, *, relative: bool) -> tuple[float, float] | Undecided:
    """(difference, its squared standard error), or why there is none."""
    for name, arm in (("A", a), ("B", b)):
        if arm.n < MIN_CUSTOMERS:
            return Undecided(reason=f"{arm.n} customers in {name}, under {MIN_CUSTOMERS}")
    if a.variance + b.variance <= 0.0:
        return Undecided(reason="every customer of both arms has the same value")
    if not relative:
        return b.mean - a.mean, a.error2 + b.error2
    if abs(a.mean) <= MIN_BASELINE * math.sqrt(a.error2):
        reason = f"A's mean of {a.mean:.4g} is within {MIN_BASELINE:.0f} standard errors of 0"
        return Undecided(reason=f"{reason}: nothing is relative to it")
    variance = b.error2 / a.mean**2 + a.error2 * b.mean**2 / a.mean**4
    return b.mean / a.mean - 1.0, variance
