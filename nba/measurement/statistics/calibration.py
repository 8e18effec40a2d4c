"""Calibration of probabilities: predictions against outcomes, and whether that drifts."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.intervals import normal_interval
from nba.measurement.statistics.logistic_regression import fit_logistic

BINS = 20  # of equal width in the predicted probability
MIN_OUTCOMES = 50  # of either kind
MAX_ECE = 0.02
SLOPES = (0.8, 1.2)


class CalibrationBins(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of predictions p and outcomes y (0 or 1) by bins of p; days and shards add up."""

    n: tuple[int, ...] = (0,) * BINS
    p: tuple[float, ...] = (0.0,) * BINS
    y: tuple[int, ...] = (0,) * BINS
    p2: float = 0.0
    py: float = 0.0

    def __add__(self, other: CalibrationBins) -> CalibrationBins:
        if len(self.n) != len(other.n):
            raise InvalidInput("bins", len(other.n), f"as many as the other's {len(self.n)}")
        return CalibrationBins(
            n=tuple(a + b for a, b in zip(self.n, other.n, strict=True)),
            p=tuple(a + b for a, b in zip(self.p, other.p, strict=True)),
            y=tuple(a + b for a, b in zip(self.y, other.y, strict=True)),
            p2=self.p2 + other.p2,
            py=self.py + other.py,
        )

    @property
    def total(self) -> int:
        return sum(self.n)


class CalibrationError(msgspec.Struct, frozen=True, kw_only=True):
    """How far predictions are from outcomes."""

    n: int
    ece: float  # expected calibration error, in probability
    brier: float
    slope: float  # of the log odds: below 1 the predictions are too sure of themselves
    slope_low: float
    slope_high: float
    intercept: float  # of the log odds at the given slope

    @property
    def good(self) -> bool:
        return self.ece <= MAX_ECE and SLOPES[0] <= self.slope <= SLOPES[1]


def calibration_bins(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> CalibrationBins:
    """The sums of (n,) predictions and outcomes. Raises InvalidInput for a p outside [0, 1]."""
    if len(p) and not (0.0 <= p.min() and p.max() <= 1.0):
        raise InvalidInput("p", float(np.abs(p).max()), "a probability")
    bin_of = np.minimum((p * bins).astype(np.int64), bins - 1)
    outcomes = y.astype(float)
    return CalibrationBins(
        n=tuple(np.bincount(bin_of, minlength=bins).tolist()),
        p=tuple(np.bincount(bin_of, weights=p, minlength=bins).tolist()),
        y=tuple(np.bincount(bin_of, weights=outcomes, minlength=bins).astype(int).tolist()),
        p2=float(p @ p),
        py=float(p @ outcomes),
    )


def ece(bins: CalibrationBins) -> float:
    """sum over bins of n_b / n |mean p - mean y|; 0 where there is nothing."""
    gaps = sum(abs(p - y) for p, y in zip(bins.p, bins.y, strict=True))
    return gaps / bins.total if bins.total else 0.0


def brier(bins: CalibrationBins) -> float:
    """Mean (p - y)^2; 0 where there is nothing."""
    return (bins.p2 - 2.0 * bins.py + sum(bins.y)) / bins.total if bins.total else 0.0


def calibration(bins: CalibrationBins, *, confidence: float = 0.95) -> CalibrationError | Undecided:
    """Error, Brier score, and the slope and intercept of y on the log odds of p.

    The regression is fitted to the bins, at each one's mean p. Cox, Two further applications of a
    model for binary regression, Biometrika 1958.
    """
    positives = sum(bins.y)
    if min(positives, bins.total - positives) < MIN_OUTCOMES:
        reason = f"{positives} of {bins.total} outcomes are positive: {MIN_OUTCOMES} of either kind"
        return Undecided(reason=f"{reason} are needed")
    n, y = np.array(bins.n, float), np.array(bins.y, float)
    filled = n > 0.0
    mean = np.clip(np.array(bins.p)[filled] / n[filled], 1e-6, 1.0 - 1e-6)
    if len(mean) < 2:
        return Undecided(reason="all predictions fall into one bin: there is no slope")
    odds = np.log(mean / (1.0 - mean))
    design = np.column_stack([np.ones(2 * len(odds)), np.tile(odds, 2)])
    labels = np.repeat([True, False], len(odds))
    fit = fit_logistic(
        design, labels, row_weights=np.concatenate([y[filled], n[filled] - y[filled]])
    )
    slope = float(fit.weights[1])
    stderr = math.sqrt(float(fit.covariance[1, 1]))
    low, high = normal_interval(slope, stderr, confidence)
    return CalibrationError(
        n=bins.total,
        ece=ece(bins),
        brier=brier(bins),
        slope=slope,
        slope_low=low,
        slope_high=high,
        intercept=float(fit.weights[0]),
    )


def calibration_drifted(now: CalibrationError) -> bool:
    """Whether the predictions are off, and surely so: the slope's interval lies outside `SLOPES`,
    or the error is above its limit and above what chance alone gives."""
    surely_off = now.slope_high < SLOPES[0] or now.slope_low > SLOPES[1]
    return surely_off or now.ece > MAX_ECE + ece_noise(now.n)


def ece_noise(n: int, bins: int = BINS) -> float:
    """What the error of n calibrated predictions is by chance at most, roughly: 2 x its mean.

    A bin's mean is off by sqrt(2 p (1 - p) / (pi n_b)) on average; p = 1/2 and even bins are the
    worst.
    """
    return 2.0 * math.sqrt(2.0 * 0.25 * bins / (math.pi * n)) if n else math.inf
