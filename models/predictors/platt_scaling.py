"""Platt scaling: a score in log-odds becomes a probability that can be taken at its word.

J. Platt, Probabilistic Outputs for Support Vector Machines, 1999, section 2, with his prior-
corrected targets, so that few rows cannot give certainty.
"""

from __future__ import annotations

import msgspec
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


class PlattScaling(msgspec.Struct, frozen=True, kw_only=True):
    """p = 1 / (1 + exp(-(slope x score + intercept)))."""

    slope: float = 1.0
    intercept: float = 0.0

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """(n,) log-odds scores to (n,) probabilities."""
        result: np.ndarray = expit(self.slope * scores + self.intercept)
        return result


def fit_platt_scaling(scores: np.ndarray, labels: np.ndarray) -> PlattScaling:
    """The maximum likelihood `PlattScaling` of (n,) log-odds `scores` to (n,) labels from 0 to 1.

    A label between is a share: 0.4 counts as 4 of 10 rows of 1. The slope is kept positive:
    calibration never turns a ranking round.
    """
    positives = float(labels.sum())
    negatives = float(len(labels) - positives)
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    targets = labels * high + (1.0 - labels) * low

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        margin = slope * scores + parameters[1]
        value = np.mean(np.logaddexp(0.0, margin) - targets * margin)
        slip = expit(margin) - targets
        return float(value), np.array([np.mean(slip * scores) * slope, np.mean(slip)])

    fit = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-3, 3), (-20, 20)])
    return PlattScaling(slope=float(np.exp(fit.x[0])), intercept=float(fit.x[1]))


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 10
) -> float:
    """Mean |observed - predicted| over equal-width bins, weighted by their size.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.

    >>> p = np.repeat([0.1, 0.3, 0.8], 100)
    >>> y = np.concatenate([np.arange(100) < 15, np.arange(100) < 25, np.arange(100) < 80])
    >>> round(expected_calibration_error(p, y.astype(float)), 7)
    0.0333333
    """
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=labels - probabilities, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
