"""Confidence sequences of the mean of bounded values that are exact at every sample size.

They need the values in the order in which they came, each with the same mean given the past, and
nothing else: no distribution, no independence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import gammainc, gammaln

from nba.measurement.statistics.confidence_sequences import mixture_scale

_HALVINGS = 48


class ConfidenceSequence(NamedTuple):
    """Lower and upper ends after each of n values, both (..., n)."""

    low: np.ndarray
    high: np.ndarray


def mixture_bernstein(
    x: np.ndarray,
    *,
    v_opt: float,
    reach: tuple[float, float] = (0.0, 1.0),
    mean_within: tuple[float, float] | None = None,
    looks: np.ndarray | None = None,
    confidence: float = 0.95,
) -> ConfidenceSequence:
    """By a gamma-exponential mixture, for values (..., n) that lie within `reach`.

    mean -+ u(V) / t with V = sum (x_i - guess_i)^2; guess_i is the mean of the values before it,
    kept `mean_within` where the mean is known to lie (by default the whole reach), and the scale
    of u is how far a value can fall from its guess on that side. Narrowest at V = v_opt; told after
    each of the numbers of values in `looks`, by default after each value. Howard, Ramdas, McAuliffe
    and Sekhon, Annals of Statistics 2021, theorem 4 and proposition 9, at alpha / 2 on either side.
    """
    low, high = reach
    least, most = reach if mean_within is None else mean_within
    guesses = np.clip(_before(_running_mean(x), (least + most) / 2.0), least, most)
    t = _times(x) if looks is None else looks
    v = np.cumsum((x - guesses) ** 2, axis=-1)[..., t - 1]
    mean = np.cumsum(x, axis=-1)[..., t - 1] / t
    alpha = (1.0 - confidence) / 2.0
    above_by = gamma_exponential_bound(v, alpha=alpha, v_opt=v_opt, scale=most - low) / t
    below_by = gamma_exponential_bound(v, alpha=alpha, v_opt=v_opt, scale=high - least) / t
    return ConfidenceSequence(mean - above_by, mean + below_by)


def gamma_exponential_bound(
    v: float | np.ndarray, *, alpha: float, v_opt: float, scale: float
) -> np.ndarray:
    """A bound that S_t never crosses upwards, with probability 1 - alpha, at intrinsic times v.

    For sub-exponential increments of this scale, by bisection on the logarithm of the mixture: the
    same paper, proposition 9.
    """
    time = np.asarray(v, dtype=float) / scale**2
    precision = mixture_scale(v_opt, 2.0 * alpha) / scale**2
    lead = precision * math.log(precision) - _log_gamma_integral(precision, precision)

    def excess(s: np.ndarray) -> np.ndarray:
        k, z = time + precision, s + time + precision
        mixture = lead + _log_gamma_integral(k, z) - k * np.log(z) + s + time
        return np.asarray(mixture + math.log(alpha))

    return scale * _crossing(excess, time)


def _times(x: np.ndarray) -> np.ndarray:
    return np.arange(1, x.shape[-1] + 1)


def _running_mean(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.cumsum(x, axis=-1) / _times(x))


def _before(values: np.ndarray, first: float) -> np.ndarray:
    """What was there before each value."""
    moved = np.empty_like(values)
    moved[..., 1:], moved[..., :1] = values[..., :-1], first
    return moved


def _log_gamma_integral(k: float | np.ndarray, z: float | np.ndarray) -> np.ndarray:
    """log of the lower incomplete gamma function, not regularised."""
    return np.asarray(gammaln(k) + np.log(gammainc(k, z)))


def _crossing(excess: Callable[[np.ndarray], np.ndarray], time: np.ndarray) -> np.ndarray:
    """Where an increasing function crosses 0, elementwise."""
    low, high = np.zeros_like(time), time + 1.0
    while (short := excess(high) < 0.0).any():
        high = np.where(short, 2.0 * high, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        short = excess(middle) < 0.0
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray((low + high) / 2.0)
