"""Checks of the loop: a clean week raises nothing, and each planted fault its own alarm."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st

from nba.analytics.monitoring.check import ComparedPeriods
from nba.analytics.monitoring.context_bins import count_contexts
from nba.analytics.monitoring.daily_summary import DailySummary, DecisionCounts
from nba.analytics.monitoring.drift_checks import context_drift
from nba.analytics.monitoring.health_report import (
    CHECKS,
    DatedSummary,
    HealthReport,
    LearnerProgress,
    health_report,
)
from nba.analytics.monitoring.sketches import KEPT, DistinctCount, customer_hash, distinct_count
from nba.measurement.off_policy.propensity_audit import draw_counts
from tests.fixtures.examples import examples
from tests.fixtures.files import ROOT
from tests.fixtures.simulated_days import (
    ACTIONS,
    BUNDLE,
    CLEAN,
    COLUMNS,
    CUT,
    SCHEMA,
    World,
    days_of,
    end_of,
    facts,
)

DAYS = 44
WINDOWS = 200


def plant(**fault: Any) -> World:
    return msgspec.structs.replace(CLEAN, **fault)


def health(days: list[DatedSummary], **fields: Any) -> HealthReport:
    return health_report(days, end_of(days), facts(), **fields)


def alarms(found: HealthReport) -> dict[str, str]:
    return {alarm.name: alarm.state for alarm in found.alarms()}


@pytest.fixture(scope="module")
def clean() -> list[DatedSummary]:
    return days_of([CLEAN] * DAYS, 1)


def with_last(clean: list[DatedSummary], world: World, days: int) -> list[DatedSummary]:
    """The clean days, the last of them another world's."""
    late = days_of([world] * days, 9)
    dates = [when for when, _ in clean[-days:]]
    return clean[:-days] + [(when, day) for when, (_, day) in zip(dates, late, strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_a_clean_week_raises_nothing_and_leaves_nothing_undecided(seed: int) -> None:
    found = health(days_of([CLEAN] * DAYS, seed))
    assert [check.name for check in found.checks] == list(CHECKS)
    assert {check.state for check in found.checks} == {"ok"}, found.alarms()
    assert all(check.text and "\n" not in check.text for check in found.checks)


@pytest.mark.parametrize(
    ("world", "days", "alarm", "state"),
    [
        (plant(moved=0.4), 7, "context_drift", "warn"),
        (plant(moved=1.0), 7, "context_drift", "red"),
        (plant(tilt=1.0), 7, "calibration", "red"),
        (plant(answer=0.6), 7, "reward_drop", "red"),
        (plant(joined=0.8, decisions=5_000), 1, "join_rate", "red"),
        (plant(lag_h=20.0), 7, "reward_lag", "warn"),
        (plant(logged=(0.05, 0.05, 0.1, 0.8), acted=(0.04, 0.04, 0.08, 0.84)), 7,
         "propensity_audit", "red"),
        (plant(logged=(0.0004, 0.2, 0.3, 0.4996), acted=(0.0004, 0.2, 0.3, 0.4996)), 7,
         "least_propensity", "warn"),
        (plant(logged=(0.0001, 0.2, 0.3, 0.4999), acted=(0.0001, 0.2, 0.3, 0.4999)), 7,
         "starved", "warn"),
        (plant(logged=(0.001, 0.001, 0.001, 0.997), acted=(0.001, 0.001, 0.001, 0.997)), 7,
         "concentration", "warn"),
        (plant(logged=(0.001, 0.001, 0.001, 0.997), acted=(0.001, 0.001, 0.001, 0.997)), 7,
         "exploration", "warn"),
        (plant(logged=(0.0, 0.0, 0.6, 0.4), acted=(0.0, 0.0, 0.6, 0.4)), 7, "coverage", "warn"),
        (plant(fallback=0.02), 7, "fallback", "warn"),
        (plant(fallback=0.1), 7, "fallback", "red"),
        (plant(schema="schema-2"), 7, "passed_over", "red"),
        (plant(unknown="Checkout Begun"), 1, "unknown_event", "warn"),
        (plant(unlisted=0.1), 1, "new_category", "warn"),
        (plant(unit=100.0), 1, "unit_change", "red"),
        (plant(unit=0.01), 1, "unit_change", "red"),
        (plant(null=True), 1, "null_column", "red"),
        (plant(events=1_500), 1, "volume", "red"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_each_fault_raises_its_own_alarm(
    clean: list[DatedSummary], world: World, days: int, alarm: str, state: str
) -> None:
    found = with_last(clean, world, days)
    now = end_of(found) + (timedelta(hours=1) if alarm == "volume" else timedelta())
    report = health_report(found, now, facts())
    assert alarms(report)[alarm] == state
    assert report.red == ("red" in alarms(report).values())


def test_a_fault_of_the_data_raises_no_alarm_of_the_models(clean: list[DatedSummary]) -> None:
    for world in (plant(unit=100.0), plant(null=True), plant(unknown="x"), plant(unlisted=0.1)):
        found = with_last(clean, world, 1)
        names = set(alarms(health_report(found, end_of(found) + timedelta(hours=1), facts())))
        assert len(names) == 1


def test_probabilities_that_are_none_are_red_whatever_was_drawn(clean: list[DatedSummary]) -> None:
    when, day = clean[-1]
    bad = msgspec.structs.replace(day, decisions=msgspec.structs.replace(day.decisions, unsound=1))
    assert alarms(health([*clean[:-1], (when, bad)]))["propensity_audit"] == "red"


def test_decisions_that_are_learned_from_by_what_was_drawn_are_red(
    clean: list[DatedSummary],
) -> None:
    """All draws are right, and of those that count a third of one action is missing."""
    when, day = clean[-1]
    actions, p = ("call", "no_action"), np.tile([0.5, 0.5], (2_500, 1))
    fair = draw_counts(actions, p, np.repeat([0, 1], [1_250, 1_250]))
    chosen = draw_counts(actions, p[:2_100], np.repeat([0, 1], [850, 1_250]))
    for draws, state in ((fair, "ok"), (chosen, "red")):
        settled = msgspec.structs.replace(day.settled, draws=draws)
        last = (when, msgspec.structs.replace(day, settled=settled))
        check = health([*clean[:-1], last]).check("propensity_audit")
        assert check.state == state
    assert "depends on what was drawn" in check.text and "850 times" in check.text


def test_a_wrong_propensity_is_seen_within_5000_decisions() -> None:
    wrong = plant(logged=(0.05, 0.05, 0.1, 0.8), acted=(0.04, 0.04, 0.08, 0.84), decisions=5_000)
    missed = 0
    for seed in range(20):
        (one,) = days_of([wrong], seed)
        missed += health([one]).check("propensity_audit").state != "red"
    assert missed <= 1


def side(rng: np.random.Generator, n: int, moved: float = 0.0, times: int = 1) -> DailySummary:
    """Contexts of n customers, each decided for so many times."""
    rows = rng.normal(size=(n, len(COLUMNS)))
    rows[:, 0] += moved
    customers = distinct_count(rng.integers(0, 2**64, n, dtype=np.uint64).tolist())
    contexts = count_contexts(np.repeat(rows, times, axis=0), CUT)
    return DailySummary(decisions=DecisionCounts(customers=customers, contexts=contexts))


def period(before: DailySummary, now: DailySummary) -> ComparedPeriods:
    return ComparedPeriods(
        reference=before, now=now, last=now, own=before, bins=CUT, champion=BUNDLE,
        catalogue=ACTIONS, schema=SCHEMA,
    )  # fmt: skip


def test_contexts_that_do_not_drift_alarm_in_under_5_percent_of_windows() -> None:
    rng = np.random.default_rng(11)
    false = 0
    for _ in range(WINDOWS):
        false += context_drift(period(side(rng, 1_000), side(rng, 600))).state in ("warn", "red")
    assert false <= 0.05 * WINDOWS


def test_a_shift_of_three_tenths_of_a_deviation_is_seen_in_2000_customers() -> None:
    rng = np.random.default_rng(12)
    seen = 0
    for _ in range(40):
        found = context_drift(period(side(rng, 8_000), side(rng, 2_000, moved=0.3)))
        seen += found.state == "warn" and COLUMNS[0] in found.text
    assert seen >= 36


def test_customers_who_come_often_are_no_drift() -> None:
    """A hundred decisions of each customer, on the same context: as many as there are customers."""
    rng = np.random.default_rng(5)
    found = context_drift(period(side(rng, 600, times=100), side(rng, 600, times=100)))
    assert found.state == "ok"


def test_without_a_past_nothing_is_made_up(clean: list[DatedSummary]) -> None:
    report = health_report(clean[:1], end_of(clean[:1]), facts(anchor=None, learning=None))
    unknown = {check.name for check in report.checks if check.state == "undecided"}
    assert {"context_drift", "score_drift", "reward_drop", "join_rate", "volume"} <= unknown
    assert not report.alarms()
    nothing = health_report([], end_of(clean[:1]), facts())
    assert {check.state for check in nothing.checks} <= {"undecided", "ok"}


def test_a_learner_that_is_paused_or_far_behind_is_told(clean: list[DatedSummary]) -> None:
    def state(learning: LearnerProgress) -> str:
        return health_report(clean, end_of(clean), facts(learning=learning)).check(
            "learner_behind"
        ).state  # fmt: skip

    assert state(LearnerProgress(behind=10)) == "ok"
    assert state(LearnerProgress(behind=10, paused=True)) == "warn"
    assert state(LearnerProgress(behind=50_000)) == "warn"
    assert state(LearnerProgress(behind=1_000_000)) == "red"


def test_a_weekend_is_compared_with_weekends(clean: list[DatedSummary]) -> None:
    """In a window of two days, what every weekend has is no drift."""
    weekly = [plant(moved=1.0) if n % 7 in (5, 6) else CLEAN for n in range(42)]
    days = days_of(weekly, 3)
    assert health(days, window_days=2).check("context_drift").state == "ok"


def test_every_check_is_explained_with_what_to_do() -> None:
    table = (ROOT / "docs" / "health.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert [name for name, *_ in rows] == list(CHECKS)


@examples(25)
@given(st.lists(st.sampled_from([CLEAN, plant(moved=1.0), plant(unknown="x")]), min_size=2,
                max_size=4), st.integers(0, 1_000))  # fmt: skip
def test_days_add_up_in_any_order_and_grouping(worlds: list[World], seed: int) -> None:
    small = [msgspec.structs.replace(world, decisions=60) for world in worlds]
    days = [day for _, day in days_of(small, seed)]
    forwards = sum(days, DailySummary())
    backwards = DailySummary()
    for day in reversed(days):
        backwards = day + backwards
    grouped = days[0] + sum(days[1:], DailySummary())
    for other in (backwards, grouped):
        assert other.events.unmapped == forwards.events.unmapped
        assert other.decisions.contexts == forwards.decisions.contexts
        assert other.decisions.customers == forwards.decisions.customers
        assert other.decisions.scores == forwards.decisions.scores
        assert other.settled.counts == forwards.settled.counts
        assert other.early.rewards.n == forwards.early.rewards.n
        np.testing.assert_allclose(
            other.decisions.draws.expected, forwards.decisions.draws.expected
        )


@pytest.mark.parametrize("n", [0, 5, KEPT - 1, KEPT, 5_000, 100_000])
def test_customers_are_counted_about_right_whoever_saw_them_twice(n: int) -> None:
    ids = [f"customer-{number}" for number in range(n)]
    one = distinct_count(customer_hash(name) for name in ids[: n // 2 + n // 4])
    other = distinct_count(customer_hash(name) for name in ids[n // 4 :])
    assert (one + other).count == (n if n < KEPT else pytest.approx(n, rel=0.2))
    assert one + one == one and one + DistinctCount() == one
