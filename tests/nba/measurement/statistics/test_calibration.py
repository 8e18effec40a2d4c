"""Calibration where one customer has many rows: the customer is the unit, not the row."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.error_rates.error_trials_calibration import calibration_trials, weekly_rows
from nba.measurement.statistics.calibration import (
    CalibrationBins,
    CalibrationError,
    calibration,
    calibration_bins,
)
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.logistic_regression import fit_logistic


def found(bins: CalibrationBins) -> CalibrationError:
    error = calibration(bins)
    assert isinstance(error, CalibrationError)
    return error


@pytest.mark.parametrize("horizon_days", [30.0, 90.0])
def test_the_slope_of_a_perfect_model_is_covered_as_often_as_the_interval_says(
    horizon_days: float,
) -> None:
    """.95 over weekly rows; rows taken as customers covered .625 and .53 of the same sets."""
    trials = calibration_trials(np.random.default_rng(5), 250, horizon_days=horizon_days)
    slack = 2.0 * (0.95 * 0.05 / 250) ** 0.5
    assert 0.93 - slack <= trials.covered <= 0.97 + slack
    assert trials.alarms <= 0.01
    assert 0.93 - slack <= trials.rate_covered <= 0.98 + slack


def test_the_same_rows_again_are_no_more_evidence() -> None:
    """Every row four times, of the same customers: the interval stays, where it would halve."""
    once = weekly_rows(np.random.default_rng(1), customers=400, weeks=8, horizon_days=30.0)
    p, y, customers = (np.tile(column, 4) for column in once)
    one, four = found(calibration_bins(*once)), found(calibration_bins(p, y, customers))
    assert (four.slope_low, four.slope_high, four.ece_noise) == pytest.approx(
        (one.slope_low, one.slope_high, one.ece_noise), rel=1e-6
    )
    assert four.n == 4 * one.n


def test_rows_of_as_many_customers_have_the_textbook_error() -> None:
    """The inverse information of the same regression over 40,000 independent rows, within the 10 %
    that 64 groups know an error to."""
    rng = np.random.default_rng(3)
    odds = rng.normal(-1.0, 1.0, 40_000)
    p = 1.0 / (1.0 + np.exp(-odds))
    y = rng.random(len(p)) < p
    fit = fit_logistic(np.column_stack([np.ones(len(odds)), odds]), y)
    half = 1.998 * float(np.sqrt(fit.covariance[1, 1]))  # Student's t of 63 degrees of freedom
    error = found(calibration_bins(p, y, np.arange(len(p), dtype=np.uint64)))
    assert (error.slope_high - error.slope_low) / 2 == pytest.approx(half, rel=0.2)


def test_outcomes_of_a_few_customers_are_undecided_however_many_rows_they_have() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0.1, 0.9, 10_000)
    few = calibration_bins(p, rng.random(len(p)) < p, np.arange(len(p), dtype=np.uint64) % 12)
    error = calibration(few)
    assert isinstance(error, Undecided) and "12 of 64 groups" in error.reason


def test_fractional_outcomes_are_calibrated_as_they_are() -> None:
    """Outcomes that are their own probability: no error, slope 1."""
    p = np.linspace(0.02, 0.98, 4_000)
    error = found(calibration_bins(p, p, np.arange(len(p), dtype=np.uint64)))
    assert (error.slope, error.intercept) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert error.ece == pytest.approx(0.0, abs=1e-12) and error.brier == pytest.approx(0.0)
