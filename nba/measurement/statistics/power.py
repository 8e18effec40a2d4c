"""What an experiment can show before it starts: sample size, power, the least effect it would see.

`sd` is the standard deviation of the metric between customers; of a share p, `sd_of_share(p)`.
Sizes are of both arms together, of which `share` is in B. With `tuning_n` the test is the
always-valid one, and its power that at the last look: looks before only add to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
from scipy.special import ndtri

from nba.errors import InvalidInput
from nba.measurement.statistics.confidence_sequences import half_width
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import critical_value

MAX_CUSTOMERS = 2**40


class HoldoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a holdout of this size could show."""

    share: float
    customers: int
    detectable_relative: float  # the least effect, as a share of the base rate


def sd_of_share(p: float) -> float:
    """Of a yes or no with this probability."""
    return math.sqrt(p * (1.0 - p))


def detectable_effect(
    n: int,
    sd: float,
    *,
    share: float = 0.5,
    confidence: float = 0.95,
    at_power: float = 0.8,
    tuning_n: int | None = None,
) -> float:
    """The least absolute effect that n customers show with this power."""
    return (_critical(n, confidence, tuning_n) + float(ndtri(at_power))) * _error(n, sd, share)


def sample_size(
    effect: float,
    sd: float,
    *,
    share: float = 0.5,
    confidence: float = 0.95,
    at_power: float = 0.8,
    tuning_n: int | None = None,
) -> int | Undecided:
    """The least number of customers that show this absolute effect with this power."""
    if effect == 0.0:
        return Undecided(reason="no number of customers shows an effect of 0")

    def enough(n: int) -> bool:
        least = detectable_effect(
            n, sd, share=share, confidence=confidence, at_power=at_power, tuning_n=tuning_n
        )
        return least <= abs(effect)

    n = least_sample(enough)
    if n is None:
        return Undecided(reason=f"an effect of {effect:g} asks for over {MAX_CUSTOMERS:,}")
    return n


def least_sample(enough: Callable[[int], bool], start: int = 2) -> int | None:
    """The least n above 1 that is enough, where more are enough too; None beyond MAX_CUSTOMERS."""
    low, high = 1, start
    while not enough(high):
        low, high = high, 2 * high
        if high > MAX_CUSTOMERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def holdout_table(
    base: float,
    *,
    shares: tuple[float, ...] = (0.05, 0.1),
    customers: tuple[int, ...] = (20_000, 100_000, 1_000_000),
    confidence: float = 0.95,
    at_power: float = 0.8,
) -> tuple[HoldoutRow, ...]:
    """What holdouts can show of a rate of this base, to be read before one is set up."""
    if not 0.0 < base < 1.0:
        raise InvalidInput("base", base, "a rate between 0 and 1")
    sd = sd_of_share(base)
    return tuple(
        HoldoutRow(
            share=share,
            customers=n,
            detectable_relative=detectable_effect(
                n, sd, share=share, confidence=confidence, at_power=at_power
            )
            / base,
        )
        for share in shares
        for n in customers
    )


def _error(n: int, sd: float, share: float) -> float:
    """The standard error of the difference of two means."""
    for name, value in (("n", n), ("sd", sd)):
        if value <= 0:
            raise InvalidInput(name, value, "above 0")
    if not 0.0 < share < 1.0:
        raise InvalidInput("share", share, "the part of customers in B, between 0 and 1")
    return sd * math.sqrt(1.0 / (n * share) + 1.0 / (n * (1.0 - share)))


def _critical(n: int, confidence: float, tuning_n: int | None) -> float:
    """The half width of an interval, in standard errors."""
    if tuning_n is None:
        return critical_value(confidence)
    return math.sqrt(n) * float(half_width(n, tuning_n=tuning_n, confidence=confidence))
