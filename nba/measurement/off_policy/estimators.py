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

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nba.measurement.off_policy.logged_decisions import Floats, LoggedDecisions
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import clustered_variance

NO_MODEL = Undecided(reason="no predictions of a reward model")
THRESHOLDS = 30  # values of tau and lambda that are tried


@dataclass(frozen=True, eq=False)
class RatioEstimate:
    """sum numerator / sum denominator over rows, minus the same of `subtracted` on these rows."""

    numerator: Floats
    denominator: Floats
    subtracted: RatioEstimate | None = None

    @property
    def value(self) -> float:
        other = 0.0 if self.subtracted is None else self.subtracted.value
        return float(self.numerator.sum() / self.denominator.sum()) - other

    @property
    def influence(self) -> Floats:
        """(n,) what each row adds to the error, with mean 0.

        (numerator - value denominator) / mean denominator, the delta method for a ratio: Owen,
        Monte Carlo theory, chapter 9.2.
        """
        ratio = self.numerator.sum() / self.denominator.sum()
        residuals = self.numerator - ratio * self.denominator
        influence: Floats = residuals / self.denominator.mean()
        return influence if self.subtracted is None else influence - self.subtracted.influence

    def minus(self, other: RatioEstimate) -> RatioEstimate:
        """The difference on the same rows: what both have in common cancels."""
        return RatioEstimate(self.numerator, self.denominator, other)

    def of_rows(self, rows: NDArray[np.bool_]) -> RatioEstimate:
        """The same over some of the rows, (n,)."""
        other = None if self.subtracted is None else self.subtracted.of_rows(rows)
        return RatioEstimate(self.numerator[rows], self.denominator[rows], other)

    def __add__(self, other: RatioEstimate) -> RatioEstimate:
        """The rows of both. Raises ValueError for a value and a difference."""
        if (self.subtracted is None) != (other.subtracted is None):
            raise ValueError("a value and a difference are not of one kind")
        subtracted = None
        if self.subtracted is not None and other.subtracted is not None:
            subtracted = self.subtracted + other.subtracted
        return RatioEstimate(
            np.concatenate([self.numerator, other.numerator]),
            np.concatenate([self.denominator, other.denominator]),
            subtracted,
        )


class TruncatedEstimate(NamedTuple):
    """An estimator that limits heavy weights, and from where on."""

    scores: RatioEstimate
    at: float  # tau or lambda
    bias: float  # bound on the bias that this brings


def _mean(values: Floats) -> RatioEstimate:
    return RatioEstimate(values, np.ones(len(values)))


def logged_mean(decisions: LoggedDecisions) -> RatioEstimate:
    """The logged policy itself: the mean reward."""
    return _mean(decisions.rewards)


def ips(decisions: LoggedDecisions) -> RatioEstimate:
    """Inverse propensity scores."""
    return _mean(decisions.weights * decisions.rewards)


def snips(decisions: LoggedDecisions) -> RatioEstimate | Undecided:
    """Self-normalised inverse propensity scores."""
    if not decisions.weights.any():
        return Undecided(reason="the target draws nothing that was drawn")
    return RatioEstimate(decisions.weights * decisions.rewards, decisions.weights)


def dm(decisions: LoggedDecisions) -> RatioEstimate | Undecided:
    """Direct method: no reward corrects the model, and no interval shows its error."""
    return NO_MODEL if decisions.q_target is None else _mean(decisions.q_target)


def dr(decisions: LoggedDecisions) -> RatioEstimate | Undecided:
    """Doubly robust: the model, corrected by the rewards of what both would draw."""
    return _corrected(decisions, decisions.weights)


def switch_dr(
    decisions: LoggedDecisions, tau: float | None = None
) -> TruncatedEstimate | Undecided:
    """DR where w <= tau; by default tau is chosen by the bound on the mean squared error."""
    w = decisions.weights
    return _truncated(decisions, lambda at: np.where(w <= at, w, 0.0), _thresholds(w), tau)


def dros(decisions: LoggedDecisions, lam: float | None = None) -> TruncatedEstimate | Undecided:
    """DR with optimistically shrunk weights; lambda is chosen as tau is."""
    w = decisions.weights
    return _truncated(decisions, lambda at: w * at / (w**2 + at), _thresholds(w) ** 2, lam)


def _corrected(decisions: LoggedDecisions, weights: Floats) -> RatioEstimate | Undecided:
    if decisions.q_logged is None or decisions.q_target is None:
        return NO_MODEL
    return _mean(decisions.q_target + weights * (decisions.rewards - decisions.q_logged))


def _thresholds(weights: Floats) -> Floats:
    """Thresholds from the median weight that is not 0 to the largest, which truncates nothing."""
    positive = weights[weights > 0]
    if len(positive) == 0:
        return np.ones(1)
    return np.unique(np.quantile(positive, np.linspace(0.5, 1.0, THRESHOLDS)))


def _truncated(
    decisions: LoggedDecisions,
    shrunk: Callable[[float], Floats],
    thresholds: Floats,
    fixed: float | None,
) -> TruncatedEstimate | Undecided:
    """With the least bound on the mean squared error: clustered variance + bias bound squared.

    The bias of smaller weights v is at most E[w - v] times the range of the rewards (Wang et al.,
    section 3.3, with the observed range).
    """
    if decisions.q_logged is None or decisions.q_target is None:
        return NO_MODEL
    span = float(np.ptp(decisions.rewards)) if decisions.n else 0.0
    best: tuple[float, TruncatedEstimate] | None = None
    for at in thresholds.tolist() if fixed is None else [fixed]:
        weights = shrunk(at)
        scores = _corrected(decisions, weights)
        assert isinstance(scores, RatioEstimate)
        bias = float((decisions.weights - weights).mean()) * span
        variance = clustered_variance(scores.influence, decisions.customers)
        if best is None or variance + bias**2 < best[0]:
            best = (variance + bias**2, TruncatedEstimate(scores, at, bias))
    assert best is not None
    return best[1]
