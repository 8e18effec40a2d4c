"""Retraining: on schedule, by drift, and never by noise or twice in a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import pytest

from nba.analytics.monitoring.health_report import DatedSummary, health_report
from nba.analytics.monitoring.retraining import (
    REFERENCE_DAYS,
    WINDOWS_DAYS,
    RetrainingDue,
    retrain_due,
)
from nba.errors import InvalidInput
from tests.fixtures.simulated_days import CLEAN, World, days_of, end_of, facts

WARM_UP = 35
MOVED = msgspec.structs.replace(CLEAN, moved=1.0)


def asked(
    days: Sequence[DatedSummary], trained_at: datetime | None, schedule_days: float = 7.0
) -> RetrainingDue:
    now = end_of(days)
    reports = [
        health_report(
            *(days, now, facts(anchor=trained_at)), window_days=one, reference_days=REFERENCE_DAYS
        )
        for one in WINDOWS_DAYS
    ]
    return retrain_due(
        lambda: reports, trained_at, now, schedule_days=schedule_days, cool_down_days=3.0
    )


def played(worlds: Sequence[World], seed: int, schedule_days: float = 7.0) -> list[int]:
    """The days on which it is trained, asked each night from the `WARM_UP`th on, which trains."""
    days = days_of(worlds, seed)
    trained_at, found = end_of(days[:WARM_UP]), []
    for n in range(WARM_UP + 1, len(days) + 1):
        if asked(days[:n], trained_at, schedule_days).due:
            trained_at = end_of(days[:n])
            found.append(n - WARM_UP)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_thirty_days_without_drift_train_on_schedule_alone(seed: int) -> None:
    assert played([CLEAN] * (WARM_UP + 30), seed) == [7, 14, 21, 28]


def test_drift_trains_within_two_days_and_not_again_within_the_cool_down() -> None:
    found = played([CLEAN] * (WARM_UP + 10) + [MOVED] * 12, 4, schedule_days=60.0)
    assert found[0] in (11, 12)
    assert all(later - earlier >= 3 for earlier, later in zip(found, found[1:], strict=False))
    assert len(found) <= 3  # what was trained on is no news


def test_the_first_training_is_always_due() -> None:
    due = retrain_due(tuple, None, end_of(days_of([CLEAN], 1)), schedule_days=7, cool_down_days=3)
    assert due.due and "nothing was trained" in due.why


def test_what_is_not_due_says_when_it_will_be() -> None:
    days = days_of([CLEAN] * 40, 1)
    trained_at = end_of(days) - timedelta(days=2)
    due = asked(days, trained_at)
    assert not due.due and due.next_at == trained_at + timedelta(days=7)


def test_drift_in_the_cool_down_waits_for_its_end() -> None:
    days = days_of([CLEAN] * 38 + [MOVED] * 2, 1)
    trained_at = end_of(days) - timedelta(days=2)
    due = asked(days, trained_at)
    assert not due.due and due.next_at == trained_at + timedelta(days=3)
    assert "context_drift" in due.why


def test_drift_that_comes_with_broken_data_is_not_learned() -> None:
    broken = msgspec.structs.replace(MOVED, unit=100.0)
    days = days_of([CLEAN] * 36 + [broken] * 4, 1)
    due = asked(days, end_of(days) - timedelta(days=4))
    assert not due.due and "unit_change" in due.why and "mend" in due.why


def test_a_cool_down_that_outlasts_the_schedule_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cool_down_days"):
        retrain_due(tuple, None, end_of(days_of([CLEAN], 1)), schedule_days=2, cool_down_days=3)
