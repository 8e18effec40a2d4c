"""Perfect predictions over weekly rows of the same customers, for `error_rates.py`.

Each customer's events come by a rate of their own, and a row's label is whether one comes within
the horizon: `p` is its true probability. Rows of a week share most of their label with those of
the weeks around them, as the churn model's do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nba.analytics.monitoring.outcome_join import join_rate, outcome_join
from nba.measurement.statistics.calibration import (
    CalibrationError,
    calibration,
    calibration_bins,
    calibration_drifted,
)
from nba.measurement.statistics.estimate import Undecided

BASE = 0.15  # of an event within 30 days, at the middle customer
SPREAD = 0.8  # of the log rate between customers


class WeeklyRows(NamedTuple):
    """(n,) arrays: true probabilities, labels and customers, week after week."""

    p: np.ndarray
    y: np.ndarray
    customers: np.ndarray  # uint64


class CalibrationTrials(NamedTuple):
    """Of many runs, the share in which."""

    covered: float  # the slope's interval holds 1
    alarms: float  # the check says that the predictions have drifted
    rate_covered: float  # the interval of the share of positives holds its true value


def weekly_rows(
    rng: np.random.Generator, *, customers: int, weeks: int, horizon_days: float
) -> WeeklyRows:
    """Rows of every customer in every week."""
    middle = -np.log1p(-BASE) / 30.0
    rates = middle * np.exp(rng.normal(0.0, SPREAD, customers))
    at = 7.0 * np.arange(weeks)
    end = at[-1] + horizon_days
    labels = np.zeros((weeks, customers))
    for customer, rate in enumerate(rates):
        came = np.sort(rng.random(rng.poisson(rate * end)) * end)
        following = np.append(came, np.inf)[np.searchsorted(came, at)]
        labels[:, customer] = following <= at + horizon_days
    return WeeklyRows(
        np.tile(-np.expm1(-rates * horizon_days), weeks),
        labels.ravel(),
        np.tile(np.arange(customers, dtype=np.uint64), weeks),
    )


def calibration_trials(
    rng: np.random.Generator,
    runs: int,
    *,
    horizon_days: float,
    customers: int = 300,
    weeks: int = 26,
) -> CalibrationTrials:
    """How often the interval of a perfect model's slope holds 1, and how often it alarms."""
    covered = alarms = rate_covered = 0
    middle = -np.log1p(-BASE) / 30.0 * horizon_days
    rates = middle * np.exp(SPREAD * np.random.default_rng(0).normal(size=1_000_000))
    truth = float(-np.expm1(-rates).mean())
    for _ in range(runs):
        rows = weekly_rows(rng, customers=customers, weeks=weeks, horizon_days=horizon_days)
        found = calibration(calibration_bins(rows.p, rows.y, rows.customers))
        assert isinstance(found, CalibrationError)
        covered += found.slope_low <= 1.0 <= found.slope_high
        alarms += calibration_drifted(found)
        rate = join_rate(outcome_join(rows.customers, rows.y))
        assert not isinstance(rate, Undecided)
        rate_covered += rate.low <= truth <= rate.high
    return CalibrationTrials(covered / runs, alarms / runs, rate_covered / runs)
