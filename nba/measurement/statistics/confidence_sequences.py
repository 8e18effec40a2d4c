"""Intervals that hold at every look: asymptotic confidence sequences and the mixture bound.

An interval of level 1 - alpha that is read every day is wrong far more often than alpha; these are
wrong at any time at all with a probability of alpha at most, so that a test may be watched and
stopped at will. Bounded values have exact ones: `nba.measurement.statistics.bounded_sequences`.
"""

from __future__ import annotations

import math

import numpy as np

from nba.measurement.statistics.effect import Effect, contrast
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.moments import SampleMean

TUNING_N = 5_000  # customers at which the interval is narrowest, fixed before the start


def always_valid(
    a: SampleMean,
    b: SampleMean,
    *,
    tuning_n: int = TUNING_N,
    relative: bool = False,
    confidence: float = 0.95,
) -> Effect | Undecided:
    """The asymptotic confidence sequence of b - a, or of b / a - 1.

    Its clock is the customers of both arms together. Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas, Time-uniform central limit theory and asymptotic confidence sequences, Annals of
    Statistics 2024, theorem 2.2 and appendix B.2.
    """
    effect = contrast(a, b, relative=relative)
    if isinstance(effect, Undecided):
        return effect
    value, variance = effect
    return always_valid_effect(
        value,
        variance * (a.n + b.n),
        a.n + b.n,
        tuning_n=tuning_n,
        relative=relative,
        confidence=confidence,
    )


def always_valid_effect(
    value: float,
    variance: float,
    n: int,
    *,
    tuning_n: int = TUNING_N,
    relative: bool = False,
    confidence: float = 0.95,
) -> Effect:
    """The same, of a mean of n units, each with this variance around it."""
    half = math.sqrt(variance) * float(half_width(n, tuning_n=tuning_n, confidence=confidence))
    return Effect(
        value=value,
        low=value - half,
        high=value + half,
        p=anytime_p(value, variance, n, tuning_n=tuning_n, confidence=confidence),
        n=n,
        confidence=confidence,
        relative=relative,
        tuning_n=tuning_n,
    )


def rho(tuning_n: int, confidence: float = 0.95) -> float:
    """The mixture's scale for which the half width is least at `tuning_n`.

    sqrt((-2 log alpha + log(1 - 2 log alpha)) / N*), the approximation that other platforms use.
    """
    logs = -2.0 * math.log(1.0 - confidence)
    return math.sqrt((logs + math.log1p(logs)) / tuning_n)


def half_width(
    n: int | np.ndarray, *, tuning_n: int = TUNING_N, confidence: float = 0.95
) -> np.ndarray:
    """Of the mean of n units of variance 1; n may be an array.

    sqrt(2 (n rho^2 + 1) / (n rho)^2 log(sqrt(n rho^2 + 1) / alpha)).
    """
    size = np.asarray(n, dtype=float)
    scale = rho(tuning_n, confidence)
    t = size * scale**2 + 1.0
    logs = 0.5 * np.log(t) - math.log(1.0 - confidence)
    return np.asarray(np.sqrt(2.0 * t * logs) / (size * scale))


def anytime_p(
    value: float, variance: float, n: int, *, tuning_n: int = TUNING_N, confidence: float = 0.95
) -> float:
    """1 / the mixture's likelihood ratio against a mean of 0, at most 1."""
    scale2 = rho(tuning_n, confidence) ** 2
    t = n * scale2 + 1.0
    exponent = scale2 * n**2 * value**2 / (2.0 * t * variance) - 0.5 * math.log(t)
    return math.exp(-exponent) if exponent > 0.0 else 1.0


def mixture_scale(v_opt: float, alpha: float) -> float:
    """The mixture's precision that makes the bound narrowest near v_opt (the same, eq. 26)."""
    logs = -2.0 * math.log(alpha)
    return v_opt / (logs + math.log1p(logs))
