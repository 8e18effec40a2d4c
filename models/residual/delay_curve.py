"""Delay curves: which share of an action's rewards has arrived at each age of its exposures.

Rewards that are still to come are not seen: arrivals are right-truncated at the age of their
exposure. Of those that arrived by one age, the share that arrived just before it is not biased by
that, where the exposures had all reached the age. The curve is the product of these reverse
hazards, counted back from the end of the window, where it is 1: the estimator of Lynden-Bell for
truncated data (Monthly Notices of the Royal Astronomical Society 155, 1971), which is that of
Kaplan and Meier with time turned round, and Greenwood's variance.

Each hazard has a beta prior. For the actions with one window together it is that of delays uniform
over the window, worth PSEUDO_ARRIVALS; for each action it is what the others show, worth as many
arrivals as make what is seen most likely (empirical Bayes, a beta-binomial likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln

from nba.engine.policy import Floats

PARTS = 16  # equal parts of the window; its first part is halved again and again
AGES: Floats = np.array(  # the knots of the curve, in windows
    [0.0, *(2.0**-power for power in range(10, 4, -1)), *(n / PARTS for n in range(1, PARTS + 1))]
)
BUCKETS = len(AGES) - 1
PSEUDO_ARRIVALS = 2.0  # of the prior that delays are uniform over the window
LIKENESS = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0)  # arrivals that the other actions may be worth


@dataclass(frozen=True, slots=True, eq=False)
class DelayCurves:
    """A curve for each of k actions; both arrays are (k, BUCKETS + 1), at AGES."""

    share: Floats  # arrived by that age, from 0 to 1, never falling
    error: Floats  # its standard deviation, as a share of it

    def at(self, ages: Floats) -> tuple[Floats, Floats]:
        """(share, standard deviation) at (k, n) ages in windows: (0, ...) before, (1, 0) after."""
        pairs = zip(ages, self.share, self.error, strict=True)
        found = [(np.interp(a, AGES, s), np.interp(a, AGES, s * e)) for a, s, e in pairs]
        share, deviation = zip(*found, strict=True)
        return np.array(share), np.array(deviation)


def fit_delay_curves(within: Floats, by: Floats, windows_s: Floats) -> DelayCurves:
    """Curves from numbers of arrivals, both (k, BUCKETS), of exposures older than each bucket.

    `within`: that arrived in the bucket. `by`: that arrived in it or before. `windows_s`: (k,);
    actions learn from those with the same one.
    """
    by = np.maximum(by, 0.0)
    within = np.clip(within, 0.0, by)
    uniform = 1.0 - AGES[:-1] / AGES[1:]
    same = (windows_s[:, None] == windows_s).astype(float) - np.eye(len(windows_s))
    worth = same @ by + PSEUDO_ARRIVALS
    mean = (same @ within + PSEUDO_ARRIVALS * uniform) / worth
    likely = [_log_likelihood(within, by, mean, _joint(worth, likeness)) for likeness in LIKENESS]
    prior = _joint(worth, LIKENESS[int(np.argmax(likely))])
    hazard = (within + prior * mean) / (by + prior)
    hazard = hazard[:, 1:]  # of what has arrived by the first knot all arrived before it
    left = np.log1p(-np.minimum(hazard, 1.0 - 1e-9))
    variance = hazard / ((1.0 - np.minimum(hazard, 1.0 - 1e-9)) * (by + prior + 1.0)[:, 1:])
    share, error = np.ones((2, len(by), BUCKETS + 1))
    share[:, 0], share[:, 1:-1] = 0.0, np.exp(_from_the_end(left))
    error[:, -1], error[:, 1:-1] = 0.0, np.sqrt(_from_the_end(variance))
    error[:, 0] = error[:, 1]
    return DelayCurves(share, error)


def _joint(worth: Floats, likeness: float) -> Floats:
    """How many arrivals the prior is worth: no more than it was counted from."""
    joint: Floats = 1.0 / (1.0 / worth + 1.0 / likeness)
    return joint


def _log_likelihood(within: Floats, by: Floats, mean: Floats, prior: Floats) -> float:
    alpha, beta = (prior * mean)[:, 1:], (prior * (1.0 - mean))[:, 1:]
    seen = betaln(within[:, 1:] + alpha, (by - within)[:, 1:] + beta)
    return float((seen - betaln(alpha, beta)).sum())


def _from_the_end(values: Floats) -> Floats:
    """(k, n) sums of each value and all after it."""
    return np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
