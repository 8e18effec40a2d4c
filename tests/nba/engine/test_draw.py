"""The draw: known probabilities, drawn again from what was logged; and when nothing is drawn."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from scipy.stats import chisquare

from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.decision import Mode
from nba.decisions.request import Request
from nba.engine.policy import choose
from nba.journey.actions import NO_ACTION
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import (
    ADA,
    IDS,
    OPEN,
    SCORES,
    all_eligible,
    contacts,
    open_replica,
    propensities,
)
from tests.fixtures.small_replica import (
    NOON,
    SmallReplica,
    StubScorer,
    changed,
    event,
    failed_search,
)


def test_propensities_sum_to_one_and_the_logged_one_is_the_drawn_candidates() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES))
    replica.log.append_events(all_eligible())
    for _ in range(20):
        [decision] = replica.decide(ADA)
        assert sum(propensities(decision).values()) == pytest.approx(1.0, abs=1e-12)
        assert decision.propensity == propensities(decision)[decision.action_id] > 0
        assert replica.log.decision(decision.decision_id) == decision


def test_candidates_come_best_first_with_the_factors_of_their_priority() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES))
    replica.log.append_events(all_eligible())
    [decision] = replica.decide(ADA)
    priorities = [candidate.priority for candidate in decision.candidates]
    assert None not in priorities and priorities == sorted(priorities, reverse=True)
    for candidate in decision.candidates:
        if candidate.action_id != NO_ACTION:
            factors = (
                candidate.p_accept
                * candidate.context_weight
                * candidate.value_eur
                * candidate.lever
                - candidate.cost_eur
            )
            assert candidate.priority == pytest.approx(factors)


@pytest.mark.parametrize("epsilon", [0.1, 0.4, 1.0])
def test_actions_are_drawn_as_often_as_their_propensity_says(epsilon: float) -> None:
    replica = open_replica(policy=EpsilonGreedy(epsilon))
    drawn = replica.draw(*[Request(customer_id="ada")] * 4_000)
    said = propensities(drawn[0])
    assert all(propensities(decision) == said for decision in drawn)
    found = Counter(decision.action_id for decision in drawn)
    expected = [4_000 * said[name] for name in said]
    assert chisquare([found[name] for name in said], expected).pvalue > 0.01


def test_equal_priorities_share_the_best_ones_probability() -> None:
    [decision] = open_replica([0.5, 0.5, 0.2, 0.5, 0.0], policy=EpsilonGreedy(0.1)).draw(ADA)
    best = 0.9 / 3 + 0.1 / 5
    assert propensities(decision) == pytest.approx(
        {"help_popup": best, "card_offer": best, "loan_offer": best}
        | {"agent_callback": 0.02, NO_ACTION: 0.02}
    )


def test_a_decision_can_be_drawn_again_from_what_it_logged() -> None:
    replica = open_replica(policy=EpsilonGreedy(0.5))
    for _ in range(20):
        [decision] = replica.decide(ADA)
        said = propensities(decision)
        order = [*IDS, NO_ACTION]
        chances = np.array([said[name] for name in order])
        index = choose(chances, np.random.default_rng(decision.seed)).at
        assert order[index] == decision.action_id


def test_a_decision_is_replayed_byte_for_byte_on_the_log_that_it_saw() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES), policy=EpsilonGreedy(0.5))
    replica.log.append_events([*all_eligible(), failed_search(customer_id="bob")])
    for hour in range(6):
        replica.decide(ADA, later=timedelta(hours=hour))
    for _, decision in replica.log.page_decisions():
        seen = MemoryLog()
        seen.append_events([e for e in replica.log.page_events() if e.seq <= decision.context_seq])
        again = SmallReplica(
            scorer=StubScorer(SCORES),
            policy=EpsilonGreedy(0.5),
            log=seen,
            now=decision.decided_at,
            new_seed=lambda seed=decision.seed: seed,  # type: ignore[misc]
        )
        [drawn] = again.draw(decision.request)
        same = msgspec.structs.replace(
            drawn, decision_id=decision.decision_id, context_seq=decision.context_seq
        )
        assert same.to_json() == decision.to_json()


# No action, fallback, strangers


def test_no_action_wins_where_nothing_is_worth_it_and_says_why() -> None:
    [decision] = open_replica([0.01, 0.02, 0.0, 0.05, 0.0], policy=EpsilonGreedy(0.0)).decide(ADA)
    assert (decision.action_id, decision.treatment, decision.propensity) == (NO_ACTION, None, 1.0)
    assert decision.note == "nothing is worth more than leaving the customer in peace"
    assert decision.candidates[0].action_id == NO_ACTION
    assert decision.reasons == ()


def test_no_action_drawn_to_explore_says_so() -> None:
    replica = open_replica(policy=EpsilonGreedy(1.0))
    drawn = replica.draw(*[ADA] * 40)
    notes = {decision.action_id == NO_ACTION: decision.note for decision in drawn}
    assert notes == {True: "drawn to explore", False: None}


def test_without_a_bundle_the_owners_fallback_answers_and_is_marked() -> None:
    replica = SmallReplica()
    replica.log.append_events([failed_search()])
    [decision] = replica.decide(ADA)
    assert (decision.mode, decision.policy, decision.bundle_id) == (
        *(Mode.FALLBACK, "fallback", None),
    )
    assert (
        decision.note
        == "no bundle is promoted"
        == replica.decider.pipeline.strategy.fallback_reason
    )
    assert (decision.action_id, decision.treatment, decision.propensity) == (
        *("help_popup", "popup", 1.0),
    )
    assert propensities(decision) == {"help_popup": 1.0, NO_ACTION: 0.0}
    assert {(candidate.p_accept, candidate.priority) for candidate in decision.candidates} == {
        (None, None)
    }
    assert decision.churn is None and decision.reasons == ()


def test_the_fallback_says_why_there_is_no_scorer() -> None:
    replica = SmallReplica()
    replica.decide_by(scorer=None, fallback_reason="the bundle is of another journey")
    [decision] = replica.decide(ADA)
    assert decision.note == "the bundle is of another journey"


def test_the_fallback_honours_the_rules_and_the_order_of_the_owner() -> None:
    journey = changed(fallback=["loan_offer", "help_popup"])
    replica = SmallReplica(journey)
    assert replica.decide(ADA)[0].action_id == NO_ACTION  # nothing is eligible
    replica.log.append_events([failed_search()])
    assert replica.decide(ADA)[0].action_id == "help_popup"
    replica.log.append_events([event("identify", NOON, {"tenure_months": 12})])
    assert replica.decide(ADA)[0].action_id == "loan_offer"
    replica.log.append_events([*contacts("help_popup", 2), *contacts("loan_offer", 2)])
    [capped] = replica.decide(ADA)
    assert (capped.action_id, capped.mode) == (NO_ACTION, Mode.FALLBACK)


def test_a_customer_of_whom_nothing_is_known_is_marked() -> None:
    replica = open_replica()
    [first] = replica.decide(ADA)
    assert not first.known_customer and first.context_seq == 0
    assert first.decided_at == NOON
    [second] = replica.decide(ADA)
    assert second.known_customer and second.context_seq == 1


def test_a_live_answer_holds_reasons_risk_and_the_bundle() -> None:
    [decision] = open_replica(policy=EpsilonGreedy(0.0)).decide(ADA)
    assert (decision.mode, decision.action_id) == (Mode.LIVE, "help_popup")
    assert (decision.bundle_id, decision.policy) == ("bundle-stub", "epsilon_greedy(0)")
    assert [reason.value for reason in decision.reasons] == [0.0]  # of help_popup's code
    assert decision.churn is not None
    assert (decision.churn.risk, decision.churn.horizon_days) == (0.25, 30.0)
    assert decision.catalogue_version == OPEN.catalogue_version()


def test_a_scorer_that_learns_values_prices_no_action_too() -> None:
    for quiet, wins in ((3.0, "help_popup"), (5.0, NO_ACTION)):  # the owner adds 1 EUR to quiet
        scorer = StubScorer([5.0, -1.0, 2.0, 0.0, quiet], learns_value=True)
        [decision] = SmallReplica(OPEN, scorer=scorer, policy=EpsilonGreedy(0.0)).decide(ADA)
        assert decision.action_id == wins
        worth = {candidate.action_id: candidate.priority for candidate in decision.candidates}
        assert worth["help_popup"] == 5.0 and worth[NO_ACTION] == quiet + 1.0
        assert {candidate.p_accept for candidate in decision.candidates} == {None}
        assert len(decision.reasons) == 1  # a learned no_action has reasons as well
