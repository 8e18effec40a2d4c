"""Inverse gap weighting: the further below the best, the less often drawn."""

from __future__ import annotations

import numpy as np

from nba.engine.policy import Floats, Worth


class GapWeighting:
    """p_i = 1 / (n + gamma sqrt(1 + exposures) gap_i), and what is left for the best.

    The gap to the best is in units of p_accept: EUR divided by the largest `gain_eur` of the
    candidates, the span of what a reward can be. It needs no spread: it explores
    less the more decisions were learned from. Candidates that tie for the best share evenly.

    Foster and Rakhlin, Beyond UCB: Optimal and Efficient Contextual Bandits with Regression
    Oracles, ICML 2020, algorithm 1 (SquareCB); gamma = 100 was measured good.
    """

    def __init__(self, gamma: float = 100.0) -> None:
        self.gamma = gamma
        self.name = f"gap_weighting({gamma:g})"

    def probabilities(self, worth: Worth) -> Floats:
        mean = worth.mean_eur
        span = np.abs(worth.gain_eur).max() or 1.0
        gamma = self.gamma * np.sqrt(1.0 + worth.exposures)
        with np.errstate(over="ignore"):  # a gap larger than a float64 has the probability 0
            gaps = np.minimum((mean.max() - mean) / span, np.finfo(np.float64).max)
            p: Floats = 1.0 / (len(mean) + gamma * gaps)
        best = gaps == 0.0
        p[best] = 0.0
        p[best] = (1.0 - p.sum()) / np.count_nonzero(best)
        return p
