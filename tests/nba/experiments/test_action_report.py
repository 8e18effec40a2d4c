"""Actions that a bandit draws, compared by logged propensities; and the audit of these."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from features.encoder import kinds_of
from nba.analytics.experiments import compare_actions, report_drawn_arms
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.experiments.action_report import ActionReport, report_actions
from nba.experiments.experiment import ArmSpec
from nba.experiments.validity_checks import audit_decisions
from nba.journey.exploration import Exploration
from nba.measurement.statistics.effect import Effect
from nba.measurement.statistics.estimate import Undecided
from nba.measurement.statistics.verdict import MetricVerdict
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import OPEN, open_replica
from tests.fixtures.running_experiment import an_experiment, in_force, names
from tests.fixtures.small_replica import FOLD, JOURNEY, NOON, SmallReplica, changed, event

TRUE = {"help_popup": 0.2, "card_offer": 0.5, "agent_callback": 0.2, "loan_offer": 0.2}


def drifting(rounds: int, per_round: int, seed: int) -> MemoryLog:
    """A log in which the policy comes to like what did well, while all customers get keener.

    So the plain mean of what is drawn late is too high: help_popup and agent_callback are alike.
    """
    rng, log = np.random.default_rng(seed), MemoryLog()
    for n in range(rounds):
        late = n / rounds
        scores = [0.5, 0.4, 0.5 - 0.5 * late, 0.4, 0.0]
        journey = changed(OPEN, exploration=Exploration(policy="softmax", epsilon=0.3))
        replica: SmallReplica = open_replica(scores, journey=journey, log=log, name=f"r{n}-")
        replica.new_seed = lambda: int(rng.integers(2**48))
        now = NOON + timedelta(hours=n)
        requests = [Request(customer_id=c) for c in names(per_round, f"r{n}c")]
        decisions = replica.decide(*requests, now=now)
        log.append_events(
            [
                event(
                    "Action Accepted",
                    now + timedelta(minutes=5),
                    {"decision_id": decision.decision_id},
                    customer_id=decision.request.customer_id,
                )
                for decision in decisions
                if rng.random() < TRUE.get(decision.action_id, 0.0) * (0.6 + 0.8 * late)
            ]
        )
    log.append_events([event("page", NOON + timedelta(days=30), customer_id="somebody else")])
    return log


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return drifting(rounds=20, per_round=150, seed=4)


def compare_drawn(log: MemoryLog, *actions: str) -> ActionReport:
    return compare_actions(
        log, OPEN, actions, since=NOON, kinds_of=kinds_of, progress=lambda n: None
    )


def test_the_better_action_is_told_from_the_control(log: MemoryLog) -> None:
    found = compare_drawn(log, "help_popup", "card_offer")
    (one,) = found.comparisons
    assert isinstance(one.effect, Effect)
    assert one.effect.low < 0.3 < one.effect.high
    assert one.verdict is MetricVerdict.BETTER
    assert "points higher with card_offer than with help_popup" in found.answer
    assert not any(light.red for light in found.checks)


def test_equal_actions_are_equal_however_the_policy_came_to_like_one(log: MemoryLog) -> None:
    arms = [ArmSpec("a", action="agent_callback"), ArmSpec("b", action="help_popup")]
    started = in_force(an_experiment(arms=arms, allocation="bandit"), log, slots=())
    found = report_drawn_arms(log, started, kinds_of=kinds_of, progress=lambda n: None)
    (one,) = found.comparisons
    assert one.verdict is MetricVerdict.NO_EVIDENCE
    pages = [decision for _, decision in log.page_decisions(limit=10_000)]
    accepted = {e.decision_id for e in log.page_events(0, 100_000) if e.name == "Action Accepted"}
    naive = {
        action: np.mean([d.decision_id in accepted for d in pages if d.action_id == action])
        for action in ("agent_callback", "help_popup")
    }
    lift = naive["help_popup"] - naive["agent_callback"]
    assert abs(one.action_mean - one.control_mean) < lift  # plain means are carried by the drift


def test_what_has_too_few_events_is_undecided_and_says_what_is_missing(log: MemoryLog) -> None:
    found = compare_drawn(log, "help_popup", "no_action")
    assert isinstance(found.comparisons[0].effect, Undecided)
    assert "no_action has" in found.answer
    assert "of 50 successes" in found.answer


def tampered(decision: Decision) -> Decision:
    """Logged as if the first candidate had been drawn half as often as it was."""
    first, *others = decision.candidates
    shift = first.propensity / 2
    rest = sum(other.propensity for other in others)
    changed_ones = [
        replace(other, propensity=other.propensity * (1.0 + shift / rest)) for other in others
    ]
    candidates = (replace(first, propensity=first.propensity - shift), *changed_ones)
    own = next(candidate for candidate in candidates if candidate.action_id == decision.action_id)
    return replace(decision, candidates=candidates, propensity=own.propensity)


def test_wrong_propensities_are_a_red_light_and_nothing_is_said(log: MemoryLog) -> None:
    decisions = [decision for _, decision in log.page_decisions(limit=10_000)]

    def pages() -> Iterator[list[Decision]]:
        yield [tampered(decision) for decision in decisions]

    found = report_actions(
        ["help_popup", "card_offer"],
        JOURNEY,
        FOLD.encoder.kind,
        [log.page_events(0, 100_000)],
        pages(),
    )
    assert found.checks[0].red
    assert not found.comparisons
    assert "not drawn as often as their propensities say" in found.answer


def test_probabilities_that_do_not_sum_to_one_are_no_log(log: MemoryLog) -> None:
    (_, one), *_ = log.page_decisions()
    first, *others = one.candidates
    broken = replace(one, candidates=(replace(first, propensity=0.99), *others))
    found = audit_decisions([[broken]], lambda each: True)
    assert isinstance(found, str) and "every row sums to one" in found
