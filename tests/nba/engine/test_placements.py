"""Several placements in one question: no action twice, each propensity given the earlier ones."""

from __future__ import annotations

import pytest

from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.decision import Decision
from nba.decisions.request import Request, at_place
from nba.engine.policy import NO_ACTION_CODE
from nba.errors import InvalidInput
from nba.journey.actions import NO_ACTION
from tests.fixtures.random_catalogues import SCORES, governed
from tests.fixtures.small_replica import SmallReplica, StubScorer

PLACES = ["site_search", "website", "site_search", "banking_app"]


def replica_of(epsilon: float) -> SmallReplica:
    assert NO_ACTION_CODE < 0
    return SmallReplica(governed(), scorer=StubScorer(SCORES), policy=EpsilonGreedy(epsilon))


def asked_at(replica: SmallReplica, request: Request, placements: list[str]) -> list[Decision]:
    """One decision a placement, as the desk asks for them."""
    decisions: list[Decision] = []
    for placement in placements:
        taken = tuple(decision.action_id for decision in decisions)
        decisions += replica.decide(at_place(request, placement, taken))
    return decisions


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_no_action_is_repeated(epsilon: float) -> None:
    replica = replica_of(epsilon)
    for n in range(20):
        request = Request(customer_id=f"c{n}")
        decisions = asked_at(replica, request, PLACES)
        assert [decision.request.placement for decision in decisions] == PLACES
        drawn = [decision.action_id for decision in decisions if decision.action_id != NO_ACTION]
        assert len(drawn) == len(set(drawn))
        for at, decision in enumerate(decisions):
            taken = {before.action_id for before in decisions[:at]} - {NO_ACTION}
            assert not taken & {candidate.action_id for candidate in decision.candidates}
            assert sum(c.propensity for c in decision.candidates) == pytest.approx(1.0)
            assert replica.log.decision(decision.decision_id) == decision


def test_a_repeated_question_gets_the_same_answers() -> None:
    replica = replica_of(1.0)
    request = Request(customer_id="ada", request_id="r")
    first = asked_at(replica, request, PLACES[:2])
    assert [one.request.request_id for one in first] == ["r/site_search", "r/website"]
    assert asked_at(replica, request, PLACES[:2]) == first


def test_an_unknown_placement_is_refused() -> None:
    replica = replica_of(0.0)
    with pytest.raises(InvalidInput, match="did you mean 'website'"):
        asked_at(replica, Request(customer_id="ada"), ["web_site"])
