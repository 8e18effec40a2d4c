"""Off-policy evaluation: what another policy would have been worth on the decisions we logged."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from scipy.special import ndtri

from nba.measurement.estimate import Estimate, Undecided

MIN_ESS = 30.0


class WeightedRewards(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over logged decisions, with w = pi(action | context) / propensity and reward r.

    Days, segments and shards add up: `a + b`, in any order up to rounding.
    """

    n: int = 0
    w: float = 0.0
    w2: float = 0.0
    wr: float = 0.0
    w2r: float = 0.0
    w2r2: float = 0.0

    def __add__(self, other: WeightedRewards) -> WeightedRewards:
        return WeightedRewards(
            n=self.n + other.n,
            w=self.w + other.w,
            w2=self.w2 + other.w2,
            wr=self.wr + other.wr,
            w2r=self.w2r + other.w2r,
            w2r2=self.w2r2 + other.w2r2,
        )

    @property
    def ess(self) -> float:
        """Effective sample size, (sum w)^2 / sum w^2 (Kish)."""
        return self.w**2 / self.w2 if self.w2 > 0 else 0.0


def weigh(target: np.ndarray, propensity: np.ndarray, rewards: np.ndarray) -> WeightedRewards:
    """The sums of (n,) target probabilities of the drawn actions, propensities and rewards."""
    w = target / propensity
    return WeightedRewards(
        n=len(w),
        w=float(w.sum()),
        w2=float((w**2).sum()),
        wr=float((w * rewards).sum()),
        w2r=float((w**2 * rewards).sum()),
        w2r2=float((w**2 * rewards**2).sum()),
    )


def snips(sums: WeightedRewards, *, confidence: float = 0.95) -> Estimate | Undecided:
    """Self-normalised inverse propensity score with its linearised normal interval.

    v = sum w r / sum w, var = sum w^2 (r - v)^2 / (sum w)^2. Swaminathan and Joachims, The
    Self-Normalized Estimator for Counterfactual Learning, NeurIPS 2015, section 4; Owen, Monte
    Carlo theory, chapter 9.2.
    """
    if sums.ess < MIN_ESS:
        reason = f"effective sample size {sums.ess:.1f} of {sums.n} decisions, under {MIN_ESS:.0f}"
        return Undecided(reason=reason)
    value = sums.wr / sums.w
    variance = (sums.w2r2 - 2 * value * sums.w2r + value**2 * sums.w2) / sums.w**2
    half = float(ndtri(0.5 + confidence / 2)) * math.sqrt(max(variance, 0.0))
    return Estimate(value=value, low=value - half, high=value + half, n=sums.n, ess=sums.ess)
