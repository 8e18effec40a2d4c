"""Decide whether training is due: on schedule or after drift, and never right after the last one.

A trigger that stays lit trains once and then rests for the cool-down, so that noise cannot flap.
Drift that bad data explain is no reason to learn from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from nba.analytics.monitoring.health_report import HealthReport
from nba.errors import InvalidInput

REFERENCE_DAYS = 7  # before the last training: has the world moved since?
WINDOWS_DAYS = (7, 2)  # that are looked at: the second sees at once what is large
TRIGGERS = ("context_drift", "score_drift", "calibration", "reward_drop")
HINDRANCES = ("propensity_audit", "unit_change", "null_column", "volume")


class RetrainingDue(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: train now, or when next."""

    due: bool
    why: str  # one plain sentence
    next_at: datetime | None = None  # at the latest, where it is not due


def retrain_due(
    read_reports: Callable[[], Sequence[HealthReport]],
    trained_at: datetime | None,
    now: datetime,
    *,
    schedule_days: float,
    cool_down_days: float,
) -> RetrainingDue:
    """Whether to train now.

    `read_reports`: with the last training as their anchor, on periods of any length; read only
    where the schedule leaves the question open.

    Raises InvalidInput for a cool-down that is longer than the schedule.
    """
    if cool_down_days > schedule_days:
        remedy = f"at most the schedule's {schedule_days:g} days"
        raise InvalidInput("cool_down_days", cool_down_days, remedy)
    if trained_at is None:
        return RetrainingDue(due=True, why="nothing was trained yet")
    next_at = trained_at + timedelta(days=schedule_days)
    age = now - trained_at
    if now >= next_at:
        why = f"the last training is {age / timedelta(days=1):.1f} days old"
        return RetrainingDue(due=True, why=f"{why}; the schedule is {schedule_days:g}")
    red = [
        (health, check)
        for health in read_reports()
        for check in map(health.check, TRIGGERS)
        if check.state == "red"
    ]
    if not red:
        return RetrainingDue(due=False, why="nothing has drifted", next_at=next_at)
    health, first = red[0]
    drift = f"{first.name}: {first.text}"
    hindered = [name for name in HINDRANCES if health.check(name).state == "red"]
    if hindered:
        why = f"{drift}; but {', '.join(hindered)} is red: mend the data first"
        return RetrainingDue(due=False, why=why, next_at=next_at)
    rested_at = trained_at + timedelta(days=cool_down_days)
    if now < rested_at:
        why = f"{drift}; trained {age / timedelta(days=1):.1f} days ago, it rests"
        return RetrainingDue(due=False, why=why, next_at=min(rested_at, next_at))
    return RetrainingDue(due=True, why=drift)
