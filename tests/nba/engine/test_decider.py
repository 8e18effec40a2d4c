"""The decider: governed, logged once, and on the newest context."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.errors import InvalidInput, StoreUnavailable
from nba.journey.actions import NO_ACTION
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import (
    ADA,
    IDS,
    OPEN,
    SCORES,
    all_eligible,
    capped,
    contacts,
    open_replica,
    propensities,
)
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event, failed_search

# The rules


def test_each_stage_refuses_with_its_reason_code_in_order() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES))
    replica.log.append_events([*all_eligible(), *contacts("help_popup", 3)])
    request = Request(
        customer_id="ada",
        channel="web",
        placement="site_search",
        candidates=("help_popup", "card_offer", "loan_offer"),
    )
    [decision] = replica.decide(request)
    assert [(one.action_id, one.stage.value, one.code) for one in decision.refused] == [
        ("agent_callback", "available", "not_a_candidate"),
        ("card_offer", "available", "other_channel"),
        ("loan_offer", "available", "other_placement"),
        ("help_popup", "contact_policy", "contact_cap"),
    ]
    [decision] = replica.decide(Request(customer_id="ada", channel="web"))
    assert [(one.action_id, one.stage.value, one.code) for one in decision.refused] == [
        ("card_offer", "available", "other_channel"),
        ("agent_callback", "available", "other_channel"),
        ("loan_offer", "eligibility", "not_eligible"),
        ("help_popup", "contact_policy", "contact_cap"),
    ]
    assert (decision.action_id, decision.propensity) == (NO_ACTION, 1.0)
    assert decision.note == "every action was refused"


def test_every_action_is_a_candidate_or_refused_once() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES))
    replica.log.append_events([*all_eligible(), *contacts("card_offer", 3)])
    [decision] = replica.decide(ADA)
    names = [one.action_id for one in (*decision.candidates, *decision.refused)]
    assert sorted(names) == sorted([*IDS, NO_ACTION])


def test_a_rule_sees_the_facts_of_the_request() -> None:
    replica = SmallReplica(scorer=StubScorer(SCORES))
    replica.log.append_events(all_eligible())
    offered = []
    for page in ("home", "account"):
        [decision] = replica.draw(Request(customer_id="ada", facts={"page": page}))
        offered.append("loan_offer" in propensities(decision))
    assert offered == [True, False]


def test_an_outcome_on_one_channel_counts_for_the_next_decision_on_another_replica() -> None:
    here = SmallReplica(scorer=StubScorer(SCORES))
    there = SmallReplica(scorer=StubScorer(SCORES), log=here.log, name="t")
    here.log.append_events(all_eligible())
    there.decide(ADA)
    here.log.append_events([event("Complaint Filed", NOON)])
    [decision] = there.decide(ADA)
    assert {"card_offer", "loan_offer"} <= {one.action_id for one in decision.refused}


# Once, and on the newest context


def test_a_repeated_request_is_answered_with_its_first_decision() -> None:
    replica = open_replica(policy=EpsilonGreedy(1.0))
    request = Request(customer_id="ada", request_id="r-1")
    [first] = replica.decide(request)
    replica.log.append_events([failed_search()])
    again = SmallReplica(OPEN, scorer=StubScorer(SCORES), log=replica.log, name="other")
    assert again.decide(request, request) == [first, first]
    assert [decision for _, decision in replica.log.page_decisions()] == [first]
    [hers] = replica.decide(Request(customer_id="bob", request_id="r-1"))
    assert hers.decision_id != first.decision_id


def test_one_request_twice_in_one_call_is_one_decision() -> None:
    replica = open_replica(policy=EpsilonGreedy(1.0))
    request = Request(customer_id="ada", request_id="r-1")
    one, other, third = replica.decide(request, request, Request(customer_id="bob"))
    assert one == other != third
    assert len(replica.log.page_decisions()) == 2


def test_many_requests_of_one_customer_in_one_call_see_each_other() -> None:
    replica = open_replica(journey=capped(times=2, days=7, per="action"))
    decisions = replica.decide(*[Request(customer_id="ada")] * 20, Request(customer_id="bob"))
    assert [d.request.customer_id for d in decisions] == ["ada"] * 20 + ["bob"]
    hers = sorted(decisions[:20], key=lambda decision: decision.context_seq)
    assert len({decision.context_seq for decision in hers}) == 20
    shown = Counter(d.action_id for d in hers if d.action_id != NO_ACTION)
    assert set(shown.values()) == {2}
    assert len(replica.log.page_decisions()) == 21


class Interrupted(MemoryLog):
    """Where a decision is about to be appended, the customer does something first."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        if self.times > 0:
            self.times -= 1
            self.append_events([failed_search()])
        return super().append_decisions(decisions)


def test_a_decision_on_a_context_that_moved_is_made_again() -> None:
    replica = SmallReplica(log=Interrupted(times=2))
    [decision] = replica.decide(ADA)
    assert decision.context_seq == 2
    assert decision.action_id == "help_popup"  # for which only the new events make her eligible
    assert len(replica.log.page_decisions()) == 1


def test_a_customer_who_never_holds_still_is_refused_and_nothing_is_logged() -> None:
    replica = SmallReplica(log=Interrupted(times=1_000))
    with pytest.raises(StoreUnavailable, match="send it again"):
        replica.decide(ADA)
    assert replica.log.page_decisions() == []


@pytest.fixture
def _busy_interpreter() -> Iterator[None]:
    """Threads that change places all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_busy_interpreter")
@pytest.mark.parametrize("per", ["action", "channel", "customer"])
def test_racing_requests_never_exceed_the_cap(per: Any) -> None:
    """Eight threads on two replicas, all for one customer."""
    journey = capped(times=3, days=7, per=per)
    log = MemoryLog()
    replicas = [open_replica(journey=journey, log=log, name=f"replica-{n}-") for n in range(2)]
    gate = threading.Barrier(8)

    def ask(number: int) -> None:
        gate.wait()
        for _ in range(25):
            while True:
                try:
                    replicas[number % 2].decide(Request(customer_id="ada"))
                    break
                except StoreUnavailable:
                    continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    decisions = [decision for _, decision in log.page_decisions()]
    assert len(decisions) == 200
    # each was made on all that came before it
    assert [d.context_seq for d in decisions] == list(range(200))
    channel = {action.id: action.channel for action in journey.actions}
    shown = [d.action_id for d in decisions if d.action_id != NO_ACTION]
    key = {"action": str, "channel": channel.__getitem__, "customer": lambda _: "all"}[per]
    assert set(Counter(map(key, shown)).values()) == {3}


# What a request may name


@pytest.mark.parametrize(
    ("fields", "field", "remedy"),
    [
        ({"channel": "wep"}, "channel", "did you mean 'web'?"),
        ({"placement": "site_serch"}, "placement", "did you mean 'site_search'?"),
        ({"placement": "billboard"}, "placement",
         "known names: adviser_call, banking_app, site_search, website"),
        ({"candidates": ("card_ofer",)}, "candidates", "did you mean 'card_offer'?"),
        ({"facts": {"pge": "home"}}, "context.pge", "did you mean 'page'?"),
        ({"facts": {"page": "loan"}}, "context.page", "did you mean 'loans'?"),
        ({"facts": {"page": 7}}, "context.page", "known names: account, home, loans, search"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_a_suggestion(
    fields: dict[str, Any], field: str, remedy: str
) -> None:
    replica = open_replica()
    with pytest.raises(InvalidInput) as caught:
        replica.decide(ADA, Request(customer_id="ada", **fields))
    assert (caught.value.field, caught.value.remedy) == (field, remedy)
    assert replica.log.position() == 0


def test_a_fact_that_is_null_is_unknown_and_allowed() -> None:
    replica = open_replica()
    replica.decider.pipeline.check(Request(customer_id="ada", facts={"page": None}))
