"""Intervals of a model's figures, by resampling customers: rows of one customer are not apart."""

from __future__ import annotations

import numpy as np

from nba.measurement.statistics.estimate import Estimate
from nba.randomization import generator

RESAMPLES = 200
BINS = 10


class Resamples:
    """Poisson weights of customers, for every figure over one set of rows.

    Each customer counts Poisson(1) times in a resample (Chamandy et al., Estimating uncertainty
    for massive data streams, Google 2012, section 3); row 0 is the data as they are.
    """

    def __init__(self, customers: np.ndarray, *, seed: int, resamples: int = RESAMPLES) -> None:
        names, self._codes = np.unique(customers.astype(str), return_inverse=True)
        counts = generator(seed, "resamples of customers").poisson(
            1.0, size=(resamples, len(names))
        )
        self._counts = np.vstack([np.ones((1, len(names))), counts])

    def of(self, chosen: np.ndarray) -> np.ndarray:
        """(resamples + 1, n_chosen) weights of the chosen rows, a mask (n,)."""
        weights: np.ndarray = self._counts[:, self._codes[chosen]]
        return weights

    def customers(self, chosen: np.ndarray) -> int:
        """How many customers the chosen rows are of."""
        return len(np.unique(self._codes[chosen]))

    def estimate(self, values: np.ndarray, chosen: np.ndarray) -> Estimate:
        """The figure with its percentile interval, of (resamples + 1,) values."""
        low, high = np.nanquantile(values[1:], (0.025, 0.975))
        value = float(values[0])
        return Estimate(
            value=value,
            low=float(min(low, value)),
            high=float(max(high, value)),
            n=int(chosen.sum()),
            ess=float(self.customers(chosen)),
        )


def auc(weights: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(r,) the area under the ROC curve in each of (r, n) weightings; NaN where a class is absent.

    The weighted share of pairs in order, ties counting half: Mann and Whitney's U. A label between
    0 and 1 counts for both, as `training.data.fractional_labels` has it.
    """
    order = np.argsort(predicted, kind="stable")
    starts = np.flatnonzero(np.diff(predicted[order], prepend=np.nan) != 0)
    ones = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    zeros = np.add.reduceat(weights[:, order] * (1.0 - labels[order]), starts, axis=1)
    below = np.cumsum(zeros, axis=1) - zeros / 2
    pairs = ones.sum(axis=1) * zeros.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((ones * below).sum(axis=1) / np.where(pairs > 0, pairs, np.nan))


def ece(weights: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(r,) `platt_scaling.expected_calibration_error` in each of (r, n) weightings."""
    bin_of = np.minimum((predicted * BINS).astype(int), BINS - 1)
    member = np.eye(BINS)[bin_of] * (labels - predicted)[:, None]
    return np.asarray(np.abs(weights @ member).sum(axis=1) / weights.sum(axis=1))


def mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(r,) the mean of (n,) values in each of (r, n) weightings."""
    return np.asarray(weights @ values / weights.sum(axis=1))
