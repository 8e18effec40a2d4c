"""A deployment in which nothing was trained decides, learns and replays as any other does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from models.bundles.prior import prior_bundle
from models.learning.versions import policy_state
from models.residual.warm_start import WARM_START_PREFIX
from nba.customer.context import ContextSchema
from nba.decisions.decision import Decision, Mode
from nba.events.event import Event
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration
from nba.journey.goals import RewardRule
from nba.journey.policies import EngagementRule
from nba.randomization import RANDOM_SLICE
from nba.stores.memory.log import MemoryLog
from tests.fixtures.cold_bank import COLD, CUSTOMERS, GUESSES, assert_replays, drawn, guessed
from tests.fixtures.learning_bank import Bank, answered, learner_on, promote, teachable
from tests.fixtures.open_replica import IDS, propensities
from tests.fixtures.small_replica import changed, event
from tests.models.bundles.test_bundle import made


def test_the_first_decision_is_live_and_scored_by_the_guesses() -> None:
    bank = Bank(MemoryLog(), COLD)
    replica = bank.replica()
    prior = prior_bundle(ContextSchema(COLD))
    (first,) = bank.decide(replica, ["ada"])
    assert (first.mode, first.note) == (Mode.LIVE, None)
    assert first.bundle_id == prior.bundle_id and first.churn is None
    assert first.policy_version is not None
    assert first.policy_version.startswith(WARM_START_PREFIX)
    accepted = {one.action_id: one.p_accept for one in first.candidates}
    assert accepted == pytest.approx(dict(zip(IDS, GUESSES, strict=True)) | {NO_ACTION: None})
    assert sum(propensities(first).values()) == pytest.approx(1.0, abs=1e-12)
    assert min(propensities(first).values()) >= 0.2 / 5 - 1e-12
    stored = bank.log.bundle(prior.bundle_id)
    assert stored is not None and stored.files == prior.files()
    assert_replays(bank.log, [first])


def test_its_propensities_are_the_frequencies_of_its_draws() -> None:
    replica = Bank(MemoryLog(), COLD).replica()
    draws = 2_000
    decisions = drawn(replica, ["ada"] * draws)
    said = propensities(decisions[0])
    assert all(propensities(one) == said for one in decisions)
    assert len(said) == 5 and len(set(said.values())) > 2
    found = Counter(one.action_id for one in decisions)
    for action, p in said.items():
        error = (p * (1 - p) / draws) ** 0.5
        assert found[action] / draws == pytest.approx(p, abs=4 * error), action


@pytest.mark.parametrize("target", ["response", "value"])
def test_what_customers_answer_is_learned_and_every_decision_can_be_replayed(target: str) -> None:
    journey = COLD
    if target == "value":
        journey = changed(COLD, reward=RewardRule(target="value", events=["purchase"]))
    bank = Bank(MemoryLog(), journey)
    replica = bank.replica()
    learner = learner_on(replica)
    decisions = bank.decide(replica, CUSTOMERS)
    liked = [one for one in decisions if one.action_id == IDS[1]]  # guessed a little less
    assert liked
    bank.log.append_events([rewarded(bank, one, target) for one in liked])
    bank.now += timedelta(days=8)  # their windows are over
    bank.log.append_events([event("page", bank.now, customer_id="zed")])
    done = learner.step()
    assert done is not None and done.version is not None
    teaching = {*IDS, NO_ACTION} if target == "value" else {*IDS}
    assert done.changes == sum(one.action_id in teaching for one in decisions)
    state = policy_state(bank.log)
    assert state is not None and state.version == done.version

    replica.reload()
    later = bank.decide(replica, [f"later-{name}" for name in CUSTOMERS])
    assert {one.policy_version for one in later} == {done.version}
    assert worth(later, IDS[1]) > worth(decisions, IDS[1])
    assert worth(later, IDS[0]) < worth(decisions, IDS[0])  # shown, and nobody answered
    assert np.mean([propensities(one)[IDS[1]] for one in later]) > np.mean(
        [propensities(one)[IDS[1]] for one in decisions]
    )

    assert_replays(bank.log, [*decisions, *later])
    again = Bank(bank.log, journey, name="again").replica()  # after a restart
    after = drawn(again, ["eve"])
    assert after[0].policy_version == done.version
    promote(bank.log, teachable(made()) if target == "response" else made("value"))
    again.reload()
    assert_replays(bank.log, [*decisions, *later])  # whatever was promoted since


def rewarded(bank: Bank, decision: Decision, target: str) -> Event:
    """The customer accepts, or buys for 30 EUR."""
    if target == "response":
        return bank.outcome(decision, "Action Accepted")
    bought = bank.outcome(decision, "Order Completed")
    return msgspec.structs.replace(bought, properties={**bought.properties, "revenue": 30.0})


def worth(decisions: Sequence[Decision], action: str) -> float:
    """The mean score of an action: p_accept, or EUR where these are learned."""
    scores = [
        one.priority if one.p_accept is None else one.p_accept
        for decision in decisions
        for one in decision.candidates
        if one.action_id == action
    ]
    return float(np.mean(scores))


def test_a_restart_before_anything_was_learned_goes_on_with_the_same_bundle() -> None:
    bank = Bank(MemoryLog(), COLD)
    first = bank.decide(bank.replica(), ["ada"])
    second = bank.decide(bank.replica(), ["bob"])
    assert first[0].bundle_id == second[0].bundle_id
    assert_replays(bank.log, [*first, *second])


def test_another_guess_is_learned_anew_from_the_same_outcomes() -> None:
    bank = Bank(MemoryLog(), COLD)
    replica = bank.replica()
    decisions = bank.decide(replica, CUSTOMERS)
    accepted = answered(decisions, np.random.default_rng(1))
    bank.log.append_events([bank.outcome(one, "Action Accepted") for one in accepted])
    before = learner_on(replica).step()
    assert before is not None and before.changes

    actions = [msgspec.structs.replace(action, p_accept=0.5) for action in COLD.actions]
    other = Bank(bank.log, changed(COLD, actions=actions), name="other")
    other.now = bank.now
    changed_replica = other.replica()
    (first,) = drawn(changed_replica, ["eve"])
    assert first.bundle_id != decisions[0].bundle_id
    again = learner_on(changed_replica).step()
    assert again is not None and again.version is not None
    assert (again.changes, again.passed_over) == (before.changes, before.passed_over)


def test_random_draws_are_uniform_from_the_first_decision() -> None:
    journey = guessed(exploration=Exploration(policy="random", epsilon=0.0))
    bank = Bank(MemoryLog(), journey)
    decisions = bank.decide(bank.replica(), CUSTOMERS)
    for one in decisions:
        assert one.mode is Mode.LIVE
        assert list(propensities(one).values()) == pytest.approx([0.2] * 5)
    assert {one.action_id for one in decisions} == {*IDS, NO_ACTION}
    assert_replays(bank.log, decisions)


def test_half_of_the_customers_may_be_drawn_for_uniformly_from_the_first_decision() -> None:
    journey = guessed(exploration=Exploration(epsilon=0.2, random_share=0.5))
    bank = Bank(MemoryLog(), journey)
    decisions = bank.decide(bank.replica(), CUSTOMERS)
    uniform = [one for one in decisions if RANDOM_SLICE in one.arms]
    others = [one for one in decisions if RANDOM_SLICE not in one.arms]
    assert 40 < len(uniform) < 80
    assert all(one.mode is Mode.LIVE for one in decisions)
    for one in uniform:
        assert list(propensities(one).values()) == pytest.approx([0.2] * 5)
    for one in others:
        assert len(set(propensities(one).values())) > 2
    assert_replays(bank.log, decisions)


@pytest.mark.parametrize("when", ["churn.risk > 0.2", "churn.risk <= 0.2"])
def test_a_rule_that_reads_the_risk_of_leaving_holds_for_nobody_while_none_is_known(
    when: str,
) -> None:
    rule = EngagementRule(id="by_risk", layer="suitability", when=when, actions=[IDS[0]])
    bank = Bank(MemoryLog(), changed(COLD, engagement=[rule]))
    (one,) = bank.decide(bank.replica(), ["ada"])
    assert one.mode is Mode.LIVE and one.churn is None
    assert set(propensities(one)) == {*IDS[1:], NO_ACTION}
    (refused,) = one.refused
    assert (refused.action_id, refused.rule) == (IDS[0], "by_risk")
    assert refused.detail.startswith("churn.risk is unknown")
    assert_replays(bank.log, [one])


def test_keeping_customers_is_worth_nothing_while_nobodys_risk_is_known() -> None:
    """A priority is p_accept x value, and finite, whatever a kept customer would be worth."""
    actions = [msgspec.structs.replace(action, keeps=0.5) for action in COLD.actions]
    rules = msgspec.structs.replace(COLD.arbitration, customer_value_eur=1_000.0)
    bank = Bank(MemoryLog(), changed(COLD, actions=actions, arbitration=rules))
    plain = Bank(MemoryLog(), COLD)
    found = [each.decide(each.replica(), ["ada"])[0] for each in (bank, plain)]
    assert all(one.mode is Mode.LIVE for one in found)
    assert [each.priority for each in found[0].candidates] == [
        each.priority for each in found[1].candidates
    ]
