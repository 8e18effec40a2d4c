"""The report of an experiment, end to end: decisions of a replica, their outcomes, the answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.durations import DAY_S
from nba.experiments.experiment import ArmSpec, MetricSpec, Slot
from nba.experiments.report import ExperimentReport
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.verdict import GuardrailVerdict, MetricVerdict
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import open_replica
from tests.fixtures.running_experiment import (
    an_experiment,
    arms_in,
    decide_each,
    in_arm,
    in_force,
    live_on,
    names,
    report,
)
from tests.fixtures.small_replica import NOON, event

N = 1_200


def light(found: ExperimentReport, name: str) -> bool:
    return next(check.red for check in found.checks if check.name == name)


def primary(found: ExperimentReport) -> Effect:
    (effect,) = [
        comparison.effect for comparison in found.comparisons if comparison.role == "primary"
    ]
    assert isinstance(effect, Effect)
    return effect


@pytest.fixture(scope="module")
def decided() -> tuple[MemoryLog, list[Decision]]:
    """A replica's log after everybody was decided once in an A/A test."""
    log = MemoryLog()
    replica = open_replica(log=log)
    arms_in(replica, in_force(an_experiment(), log))
    return log, decide_each(replica, names(N))


def copied(log: MemoryLog, leave: set[str] = frozenset()) -> MemoryLog:  # type: ignore[assignment]
    """Another log with the same events and decisions, those of some decisions left out."""
    other = MemoryLog()
    other.append_events(
        [replace(one, seq=0) for one in log.page_events() if one.decision_id not in leave]
    )
    return other


def test_everybody_is_exposed_once_in_the_arm_that_her_id_gives(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log, decisions = decided
    started = in_force(an_experiment(), log)
    for decision in decisions:
        arm = started.arm_of(decision.request.customer_id)
        assert arm is not None
        assert decision.arms == (f"colour.{arm.id}",)


def test_the_same_in_both_arms_is_no_claim_and_the_lights_are_green(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.3, seed=1)
    found = report(log, in_force(an_experiment(), log))
    assert not any(check.red for check in found.checks)
    assert found.complete == N == sum(found.exposed.values())
    assert not found.ready
    assert found.answer.startswith("not enough evidence that buyers differs between b and a")
    assert "to show a difference of 5 points" in found.missing[0]


def test_a_planted_effect_is_found_with_its_interval(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.45 if in_arm(one, "b") else 0.25, seed=2)
    found = report(log, in_force(an_experiment(), log))
    effect = primary(found)
    assert effect.tuning_n == 1_000
    assert 0.0 < effect.low < 0.2 < effect.high
    assert found.ready == ["b"]
    assert "points higher with b than with a (95 % always-valid interval" in found.answer
    (guard,) = [comparison for comparison in found.comparisons if comparison.role == "guardrail"]
    assert (
        guard.verdict is GuardrailVerdict.HELD
    )  # nobody complained at all, in 600 customers of each


def test_a_harmful_arm_is_called_worse_and_may_not_be_shipped(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.25 if in_arm(one, "b") else 0.45, seed=2)
    found = report(log, in_force(an_experiment(), log))
    assert "lower with b than with a" in found.answer
    assert "which is worse" in found.answer
    assert not found.ready


def test_a_broken_guardrail_holds_a_better_arm_back(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    log.append_events(
        [
            event("Complaint Filed", one.decided_at + timedelta(hours=1), customer_id=who)
            for n, one in enumerate(decided[1])
            if in_arm(one, "b") and n % 3 == 0
            for who in [one.request.customer_id]
        ]
    )
    live_on(log, decided[1], lambda one: 0.45 if in_arm(one, "b") else 0.25, seed=2)
    found = report(log, in_force(an_experiment(), log))
    (guard,) = [comparison for comparison in found.comparisons if comparison.role == "guardrail"]
    assert guard.verdict is GuardrailVerdict.BROKEN
    assert not found.ready
    assert any("guardrail complaints is broken for b" in one for one in found.missing)


def test_results_are_withheld_where_one_arm_loses_its_customers(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    lost = {one.decision_id for n, one in enumerate(decided[1]) if in_arm(one, "b") and n % 3 == 0}
    log = copied(decided[0], lost)
    live_on(log, decided[1], lambda one: 0.45 if in_arm(one, "b") else 0.25, seed=2)
    found = report(log, in_force(an_experiment(), log))
    assert light(found, "sample ratio")
    assert not found.comparisons
    assert not found.ready
    assert found.answer.startswith("results are withheld: sample ratio: customers: a")
    assert "customers of one arm were lost on the way" in found.withheld


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("colour.c", "1 customers in an arm 'c'"),
        ("colour.a", "in two arms"),
    ],
)
def test_what_cannot_be_withholds_too(
    decided: tuple[MemoryLog, list[Decision]], label: str, told: str
) -> None:
    log = copied(decided[0])
    who = "stranger"
    if label == "colour.a":
        who = next(one.request.customer_id for one in decided[1] if in_arm(one, "b"))
    properties = {"decision_id": "x", "action_id": "no_action", "arms": [label]}
    log.append_events(
        [event("Action Decided", NOON + timedelta(days=3), properties, customer_id=who)]
    )
    live_on(log, decided[1], lambda one: 0.3, seed=1)
    found = report(log, in_force(an_experiment(), log))
    assert light(found, "impossible arms")
    assert told in found.withheld


def test_a_customer_in_the_arm_of_another_id_is_misplaced(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.3, seed=1)
    found = report(log, in_force(an_experiment(salt="another"), log))
    assert "in another arm than their id gives" in found.withheld


def test_only_customers_whose_window_is_over_count(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    half = [one for one in decided[1] if one.decided_at <= decided[1][N // 2].decided_at]
    now = half[-1].decided_at + timedelta(days=7)
    log.append_events([event("page", now, customer_id="somebody else")])
    found = report(log, in_force(an_experiment(), log))
    assert found.complete == len(half) < N


def test_after_its_end_nothing_is_counted_any_more(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.3, seed=1)
    ended = decided[1][N // 2].decided_at + timedelta(days=7)
    found = report(log, in_force(an_experiment(), log, ended_at=ended))
    assert 0 < found.complete < N
    assert found.days == pytest.approx((ended - NOON).total_seconds() / DAY_S)


def test_a_replica_that_stops_a_little_later_is_no_red_light(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.3, seed=1)
    last = decided[1][-1].decided_at
    soon, long_ago = last - timedelta(minutes=1), last - timedelta(days=1)
    assert not light(report(log, in_force(an_experiment(), log, ended_at=soon)), "impossible arms")
    assert light(report(log, in_force(an_experiment(), log, ended_at=long_ago)), "impossible arms")


def test_what_was_known_before_narrows_the_interval(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.1, seed=3, before=True)
    with_it = primary(report(log, in_force(an_experiment(), log)))
    without = primary(report(log, in_force(an_experiment(covariate_days=0.0), log)))
    assert with_it.high - with_it.low < without.high - without.low


def test_the_fixed_analysis_is_made_once_and_does_not_change_with_looks(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = copied(decided[0])
    experiment = an_experiment(analysis="fixed", customers=600, min_days=1.0)
    started = in_force(experiment, log)
    log.append_events([event("page", decided[1][500].decided_at, customer_id="somebody else")])
    early = report(log, started)
    (one,) = [each for each in early.comparisons if each.role == "primary"]
    assert isinstance(one.effect, Undecided)
    assert "the 600 customers of the single look are not complete" in early.answer
    live_on(log, decided[1], lambda one: 0.45 if in_arm(one, "b") else 0.25, seed=2)
    found = report(log, started)
    effect = primary(found)
    assert effect.tuning_n is None
    assert 600 <= effect.n < N  # those after are not in it
    assert "(95 % interval" in found.answer
    later = event("Order Completed", NOON + timedelta(days=90), customer_id=names(1)[0])
    log.append_events([later])
    assert primary(report(log, started)) == effect


def test_no_claim_is_made_in_the_first_days(decided: tuple[MemoryLog, list[Decision]]) -> None:
    log = copied(decided[0])
    live_on(log, decided[1], lambda one: 0.6 if in_arm(one, "b") else 0.1, seed=2)
    found = report(log, in_force(an_experiment(min_days=60.0), log))
    assert "of at least 60 days" in found.answer
    assert not found.ready


def test_three_arms_and_two_metrics_are_families_under_holm(
    decided: tuple[MemoryLog, list[Decision]],
) -> None:
    log = MemoryLog()
    arms = [ArmSpec("a", 0.4), ArmSpec("b", 0.3), ArmSpec("c", 0.3)]
    pages = MetricSpec(id="orders", measure="count", events=["purchase"], window_days=7.0)
    started = in_force(an_experiment(arms=arms, secondary=[pages]), log)
    replica = open_replica(log=log)
    arms_in(replica, started)
    decisions = decide_each(replica, names(900))
    live_on(log, decisions, lambda one: 0.55 if in_arm(one, "b") else 0.25, seed=2)
    found = report(log, started)
    by_arm = {
        comparison.arm: comparison
        for comparison in found.comparisons
        if comparison.role == "primary"
    }
    assert by_arm["b"].verdict is MetricVerdict.BETTER
    assert by_arm["c"].verdict is MetricVerdict.NO_EVIDENCE
    assert isinstance(by_arm["b"].effect, Effect) and by_arm["b"].effect.confidence == 0.975
    assert {
        comparison.arm for comparison in found.comparisons if comparison.role == "secondary"
    } == {"b", "c"}


def test_shadow_decisions_expose_nobody() -> None:
    log = MemoryLog()
    started = in_force(an_experiment(), log)
    replica = open_replica(log=log)
    arms_in(replica, started)
    replica.decide(Request(customer_id="ada", baseline="loan_offer"))
    assert sum(report(log, started).exposed.values()) == 0


def test_a_share_of_a_layer_is_all_that_is_exposed() -> None:
    log = MemoryLog()
    started = in_force(an_experiment(), log, slots=(Slot(0.0, 0.3),))
    replica = open_replica(log=log)
    arms_in(replica, started)
    decide_each(replica, names(400))
    assert 80 < sum(report(log, started).exposed.values()) < 160
