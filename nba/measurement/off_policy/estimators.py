"""Estimators of a policy's value from logged decisions; each is a ratio of two sums over rows.

    IPS          w r                               / 1      Horvitz and Thompson, JASA 1952
    SNIPS        w r                               / w      Swaminathan and Joachims, NeurIPS 2015
    DM           sum_a pi(a | x) q(x, a)           / 1
    DR           DM + w (r - q(x, drawn))          / 1      Dudik et al., ICML 2011
    SWITCH-DR    DR where w <= tau, else DM        / 1      Wang et al., ICML 2017
    DRos         DR with w lambda / (w^2 + lambda) / 1      Su et al., ICML 2020

w = pi(drawn | x) / propensity. Rows of days, segments and shards are put together by `+`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nba.measurement.off_policy.logged_decisions import Floats, LoggedDecisions
from nba.measurement.statistics.estimate import Undecided

NO_MODEL = Undecided(reason="no predictions of a reward model")
CHOICES = 30  # values of tau and lambda that are tried


@dataclass(frozen=True, eq=False)
class RatioEstimate:
    """sum top / sum bottom, minus the same of `less` on the same rows."""

    top: Floats
    bottom: Floats
    less: RatioEstimate | None = None

    @property
    def value(self) -> float:
        other = 0.0 if self.less is None else self.less.value
        return float(self.top.sum() / self.bottom.sum()) - other

    @property
    def influence(self) -> Floats:
        """(n,) what each row adds to the error, with mean 0: (top - value bottom) / mean bottom.

        The delta method for a ratio: Owen, Monte Carlo theory, chapter 9.2.
        """
        ratio = self.top.sum() / self.bottom.sum()
        found: Floats = (self.top - ratio * self.bottom) / self.bottom.mean()
        return found if self.less is None else found - self.less.influence

    def minus(self, other: RatioEstimate) -> RatioEstimate:
        """The difference on the same rows: what both have in common cancels."""
        return RatioEstimate(self.top, self.bottom, other)

    def __add__(self, other: RatioEstimate) -> RatioEstimate:
        """The rows of both."""
        if (self.less is None) != (other.less is None):
            raise ValueError("a value and a difference are not of one kind")
        less = None
        if self.less is not None and other.less is not None:
            less = self.less + other.less
        return RatioEstimate(
            np.concatenate([self.top, other.top]),
            np.concatenate([self.bottom, other.bottom]),
            less,
        )


class TruncatedEstimate(NamedTuple):
    """An estimator that gives up some of the heavy weights, and where it begins to."""

    scores: RatioEstimate
    at: float  # tau or lambda
    bias: float  # bound on what that may hide


def _mean(values: Floats) -> RatioEstimate:
    return RatioEstimate(values, np.ones(len(values)))


def logged_mean(evidence: LoggedDecisions) -> RatioEstimate:
    """The logged policy itself: the mean reward."""
    return _mean(evidence.rewards)


def ips(evidence: LoggedDecisions) -> RatioEstimate:
    """Inverse propensity scores."""
    return _mean(evidence.weights * evidence.rewards)


def snips(evidence: LoggedDecisions) -> RatioEstimate | Undecided:
    """Self-normalised inverse propensity scores."""
    if not evidence.weights.any():
        return Undecided(reason="the target draws nothing that was drawn")
    return RatioEstimate(evidence.weights * evidence.rewards, evidence.weights)


def dm(evidence: LoggedDecisions) -> RatioEstimate | Undecided:
    """The reward model's word for it: no reward corrects it, and no interval shows its error."""
    return NO_MODEL if evidence.q_target is None else _mean(evidence.q_target)


def dr(evidence: LoggedDecisions) -> RatioEstimate | Undecided:
    """Doubly robust: the model, corrected by the rewards of what both would draw."""
    return _corrected(evidence, evidence.weights)


def switch_dr(evidence: LoggedDecisions, tau: float | None = None) -> TruncatedEstimate | Undecided:
    """DR where w <= tau; by default tau is chosen by the bound on the mean squared error."""
    w = evidence.weights
    return _truncated(evidence, lambda at: np.where(w <= at, w, 0.0), _spaced(w), tau)


def dros(evidence: LoggedDecisions, lam: float | None = None) -> TruncatedEstimate | Undecided:
    """DR with optimistically shrunk weights; lambda is chosen as tau is."""
    w = evidence.weights
    return _truncated(evidence, lambda at: w * at / (w**2 + at), _spaced(w) ** 2, lam)


def _corrected(evidence: LoggedDecisions, weights: Floats) -> RatioEstimate | Undecided:
    if evidence.q_logged is None or evidence.q_target is None:
        return NO_MODEL
    return _mean(evidence.q_target + weights * (evidence.rewards - evidence.q_logged))


def _spaced(weights: Floats) -> Floats:
    """Thresholds from the median weight that is not 0 to the largest, which truncates nothing."""
    some = weights[weights > 0]
    if len(some) == 0:
        return np.ones(1)
    return np.unique(np.quantile(some, np.linspace(0.5, 1.0, CHOICES)))


def _truncated(
    evidence: LoggedDecisions,
    shrunk: Callable[[float], Floats],
    choices: Sequence[float] | Floats,
    given: float | None,
) -> TruncatedEstimate | Undecided:
    """With the least bound on the mean squared error: clustered variance + bias bound squared.

    The bias of smaller weights v is at most E[w - v] times the range of the rewards (Wang et al.,
    section 3.3, with the observed range).
    """
    if evidence.q_logged is None or evidence.q_target is None:
        return NO_MODEL
    span = float(np.ptp(evidence.rewards)) if evidence.n else 0.0
    best: tuple[float, TruncatedEstimate] | None = None
    for at in [float(one) for one in choices] if given is None else [given]:
        weights = shrunk(at)
        scores = _corrected(evidence, weights)
        assert isinstance(scores, RatioEstimate)
        bias = float((evidence.weights - weights).mean()) * span
        variance = clustered_variance(scores.influence, evidence.customers)
        if best is None or variance + bias**2 < best[0]:
            best = (variance + bias**2, TruncatedEstimate(scores, at, bias))
    assert best is not None
    return best[1]


def clustered_variance(influence: Floats, customers: np.ndarray) -> float:
    """Of a mean of (n,) influences, between customers: a sandwich with the m / (m - 1) factor.

    Liang and Zeger, Biometrika 1986.
    """
    sums = np.bincount(customers, weights=influence)
    many = len(sums)
    if many < 2:
        return float("inf")
    return float((sums**2).sum()) * many / (many - 1) / len(influence) ** 2
