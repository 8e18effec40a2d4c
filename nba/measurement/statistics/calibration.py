"""Calibration of probabilities: predictions against outcomes, and whether that drifts.

Rows of one customer are alike: a weekly row with a horizon of 30 days shares its outcome with four
others. So sums are kept by groups of customers, and every error is taken between the groups.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from scipy.special import stdtrit

from nba.errors import InvalidInput
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.logistic_regression import fit_logistic

BINS = 20  # of equal width in the predicted probability
GROUPS = 64  # of customers, by their hash: a customer is in one on all days and in all shards
MIN_OUTCOMES = 50  # of either kind
MIN_GROUPS = 20  # that hold outcomes of either kind
MAX_ECE = 0.02
SLOPES = (0.8, 1.2)


class CalibrationBins(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of predictions p and outcomes y in [0, 1], flat: bin b of group g is at g BINS + b.

    Days and shards add up.
    """

    n: tuple[int, ...] = (0,) * (GROUPS * BINS)
    p: tuple[float, ...] = (0.0,) * (GROUPS * BINS)
    y: tuple[float, ...] = (0.0,) * (GROUPS * BINS)
    p2: float = 0.0
    py: float = 0.0
    y2: float = 0.0

    def __add__(self, other: CalibrationBins) -> CalibrationBins:
        return CalibrationBins(
            n=tuple(a + b for a, b in zip(self.n, other.n, strict=True)),
            p=tuple(a + b for a, b in zip(self.p, other.p, strict=True)),
            y=tuple(a + b for a, b in zip(self.y, other.y, strict=True)),
            p2=self.p2 + other.p2,
            py=self.py + other.py,
            y2=self.y2 + other.y2,
        )

    @property
    def total(self) -> int:
        return sum(self.n)


class CalibrationError(msgspec.Struct, frozen=True, kw_only=True):
    """How far predictions are from outcomes."""

    n: int
    ece: float  # expected calibration error, in probability
    ece_noise: float  # what it is by chance at most, roughly
    brier: float
    slope: float  # of the log odds: below 1 the predictions are too sure of themselves
    slope_low: float
    slope_high: float
    intercept: float  # of the log odds at the given slope

    @property
    def good(self) -> bool:
        return self.ece <= MAX_ECE and SLOPES[0] <= self.slope <= SLOPES[1]


def calibration_bins(p: np.ndarray, y: np.ndarray, hashes: np.ndarray) -> CalibrationBins:
    """The sums of (n,) predictions and outcomes; `hashes` (n,) uint64 of their customers.

    Raises InvalidInput for a p or y outside [0, 1].
    """
    outcomes = y.astype(float)
    for name, values in (("p", p), ("y", outcomes)):
        if len(values) and not (0.0 <= values.min() and values.max() <= 1.0):
            raise InvalidInput(name, float(np.abs(values).max()), "in [0, 1]")
    bin_of = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    at = (hashes % np.uint64(GROUPS)).astype(np.int64) * BINS + bin_of
    cells = GROUPS * BINS
    return CalibrationBins(
        n=tuple(np.bincount(at, minlength=cells).tolist()),
        p=tuple(np.bincount(at, weights=p, minlength=cells).tolist()),
        y=tuple(np.bincount(at, weights=outcomes, minlength=cells).tolist()),
        p2=float(p @ p),
        py=float(p @ outcomes),
        y2=float(outcomes @ outcomes),
    )


def ece(bins: CalibrationBins) -> float:
    """sum over bins of n_b / n |mean p - mean y|; 0 where there is nothing."""
    _, p, y = _by_group(bins)
    gaps = float(np.abs(p.sum(axis=0) - y.sum(axis=0)).sum())
    return gaps / bins.total if bins.total else 0.0


def brier(bins: CalibrationBins) -> float:
    """Mean (p - y)^2; 0 where there is nothing."""
    squares = bins.p2 - 2.0 * bins.py + bins.y2
    return max(squares, 0.0) / bins.total if bins.total else 0.0


def calibration(bins: CalibrationBins, *, confidence: float = 0.95) -> CalibrationError | Undecided:
    """Error, Brier score, and the slope and intercept of y on the log odds of p.

    The regression is fitted to the bins, at each one's mean p. Cox, Two further applications of a
    model for binary regression, Biometrika 1958. The slope's interval is by the jackknife over
    the G groups of customers, one Newton step each (CR3), and Student's t of G - 1 degrees of
    freedom: Cameron and Miller, A Practitioner's Guide to Cluster-Robust Inference, Journal of
    Human Resources 2015, section VI.
    """
    n, p, y = _by_group(bins)
    positives = float(y.sum())
    if min(positives, bins.total - positives) < MIN_OUTCOMES:
        reason = f"{positives:.0f} of {bins.total} outcomes are positive: {MIN_OUTCOMES} of either"
        return Undecided(reason=f"{reason} kind are needed")
    groups = min(int((y.sum(axis=1) > 0.0).sum()), int(((n - y).sum(axis=1) > 0.0).sum()))
    if groups < MIN_GROUPS:
        return Undecided(
            reason=f"the outcomes are of so few customers that {groups} of {GROUPS} groups of them "
            f"hold either kind: {MIN_GROUPS} are needed"
        )
    filled = n.sum(axis=0) > 0.0
    if filled.sum() < 2:
        return Undecided(reason="all predictions fall into one bin: there is no slope")
    n, p, y = n[:, filled], p[:, filled], y[:, filled]
    slope, intercept, stderr = _slope(n, p, y)
    half = float(stdtrit(_groups(n) - 1, 0.5 + confidence / 2)) * stderr
    return CalibrationError(
        n=bins.total,
        ece=ece(bins),
        ece_noise=_ece_noise(n, p, y),
        brier=brier(bins),
        slope=slope,
        slope_low=slope - half,
        slope_high=slope + half,
        intercept=intercept,
    )


def calibration_drifted(now: CalibrationError) -> bool:
    """Whether the predictions are off, and surely so: the slope's interval lies outside `SLOPES`,
    or the error is above its limit and above what chance alone gives."""
    surely_off = now.slope_high < SLOPES[0] or now.slope_low > SLOPES[1]
    return surely_off or now.ece > MAX_ECE + now.ece_noise


def _by_group(bins: CalibrationBins) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n, p and y: (GROUPS, BINS) each."""
    n, p, y = (
        np.array(sums, dtype=float).reshape(GROUPS, BINS) for sums in (bins.n, bins.p, bins.y)
    )
    return n, p, y


def _groups(n: np.ndarray) -> int:
    """How many groups hold anything."""
    return int((n.sum(axis=1) > 0.0).sum())


def _slope(n: np.ndarray, p: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope, intercept and the slope's standard error, of (G, k) sums over filled bins."""
    total, came = n.sum(axis=0), y.sum(axis=0)
    mean = np.clip(p.sum(axis=0) / total, 1e-6, 1.0 - 1e-6)
    design = np.column_stack([np.ones(len(mean)), np.log(mean / (1.0 - mean))])
    fit = fit_logistic(
        np.vstack([design, design]),
        np.repeat([True, False], len(mean)),
        row_weights=np.concatenate([came, total - came]),
    )
    intercept, slope = fit.weights.tolist()
    expected = 1.0 / (1.0 + np.exp(-(design @ fit.weights)))
    # a bin's mean p is an estimate too: where a group's own p lies elsewhere, so do its outcomes
    moves = slope * expected * (1.0 - expected) / (mean * (1.0 - mean))
    scores = (y - n * expected - moves * (p - n * mean)) @ design
    information = np.einsum("gb,bi,bj->gij", n * (expected * (1.0 - expected)), design, design)
    without = np.linalg.pinv(information.sum(axis=0) - information, hermitian=True)
    moved = np.einsum("gij,gj->gi", without, scores)[:, 1]  # the slope, without each group
    groups = _groups(n)
    return slope, intercept, math.sqrt(float(moved @ moved) * (groups - 1) / groups)


def _ece_noise(n: np.ndarray, p: np.ndarray, y: np.ndarray) -> float:
    """2 x the mean of the error of calibrated predictions, of (G, k) sums over filled bins.

    A bin's gap has the mean sqrt(2 v / pi), with v its variance between the groups.
    """
    total, groups = n.sum(axis=0), _groups(n)
    gaps = y - p
    gaps = gaps - n * gaps.sum(axis=0) / total
    variance = (gaps**2).sum(axis=0) * groups / (groups - 1)
    return float(2.0 * np.sqrt(2.0 * variance / math.pi).sum() / total.sum())
