"""The decider: governed, drawn with known probabilities, logged once, replayable."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import chisquare

from models.policy import EpsilonGreedy
from nba.arbitration import draw
from nba.decision import NO_ACTION, Decision, Mode, Request
from nba.errors import InvalidInput, StoreUnavailable
from nba.events import Event
from nba.journey import CONTACTS_KEPT, ContactCap
from nba.stores.memory import MemoryLog
from tests.house import JOURNEY, NOON, SmallHouse, StubScorer, changed, event, failed_search

ADA = Request(customer_id="ada", facts={"page": "home"})
IDS = [action.id for action in JOURNEY.actions]
# Everything is eligible, free, and of the owner's plain weight: a priority is p_accept x value.
OPEN = changed(
    actions=[
        msgspec.structs.replace(action, eligible=None, cost_eur=0.0, lever=1.0, value_eur=10.0)
        for action in JOURNEY.actions
    ],
    cap=None,
    no_action_value_eur=1.0,
)
SCORES = [0.5, 0.3, 0.2, 0.05, 0.0]


def open_house(scores: Sequence[float] = SCORES, **fields: Any) -> SmallHouse:
    return SmallHouse(fields.pop("journey", OPEN), scorer=StubScorer(scores), **fields)


def all_eligible() -> list[Event]:
    """A customer to whom each of the four actions may be offered."""
    traits = {"segment": "mass", "tenure_months": 12, "has_mortgage": False}
    return [event("identify", NOON, traits), failed_search(), event("Rage Click", NOON)]


def contacts(action_id: str, times: int) -> list[Event]:
    return [event("Action Decided", NOON, {"action_id": action_id}) for _ in range(times)]


def propensities(decision: Decision) -> dict[str, float]:
    return {one.action_id: one.propensity for one in decision.candidates}


# The rules


def test_each_stage_refuses_with_its_reason_code_in_order() -> None:
    house = SmallHouse(scorer=StubScorer(SCORES))
    house.log.append_events([*all_eligible(), *contacts("help_popup", 3)])
    request = Request(
        customer_id="ada",
        channel="web",
        placement="site_search",
        candidates=("help_popup", "card_offer", "loan_offer"),
    )
    [decision] = house.decide(request)
    assert [(one.action_id, one.stage.value, one.rule) for one in decision.refused] == [
        ("card_offer", "available", "other_channel"),
        ("agent_callback", "available", "not_a_candidate"),
        ("loan_offer", "available", "other_placement"),
        ("help_popup", "contact_policy", "contact_cap"),
    ]
    [decision] = house.decide(Request(customer_id="ada", channel="web"))
    assert [(one.action_id, one.stage.value, one.rule) for one in decision.refused] == [
        ("card_offer", "available", "other_channel"),
        ("agent_callback", "available", "other_channel"),
        ("loan_offer", "eligibility", "not_eligible"),
        ("help_popup", "contact_policy", "contact_cap"),
    ]
    assert (decision.action_id, decision.propensity) == (NO_ACTION, 1.0)
    assert decision.note == "every action was refused"


def test_every_action_is_a_candidate_or_refused_once() -> None:
    house = SmallHouse(scorer=StubScorer(SCORES))
    house.log.append_events([*all_eligible(), *contacts("card_offer", 3)])
    [decision] = house.decide(ADA)
    names = [one.action_id for one in (*decision.candidates, *decision.refused)]
    assert sorted(names) == sorted([*IDS, NO_ACTION])


def test_a_rule_sees_the_facts_of_the_request() -> None:
    house = SmallHouse(scorer=StubScorer(SCORES))
    house.log.append_events(all_eligible())
    offered = []
    for page in ("home", "account"):
        [decision] = house.draw(Request(customer_id="ada", facts={"page": page}))
        offered.append("loan_offer" in propensities(decision))
    assert offered == [True, False]


def test_an_outcome_on_one_channel_counts_for_the_next_decision_on_another_replica() -> None:
    here = SmallHouse(scorer=StubScorer(SCORES))
    there = SmallHouse(scorer=StubScorer(SCORES), log=here.log, name="t")
    here.log.append_events(all_eligible())
    there.decide(ADA)
    here.log.append_events([event("Complaint Filed", NOON)])
    [decision] = there.decide(ADA)
    assert {"card_offer", "loan_offer"} <= {one.action_id for one in decision.refused}


# The draw


def test_propensities_sum_to_one_and_the_logged_one_is_the_drawn_candidates() -> None:
    house = SmallHouse(scorer=StubScorer(SCORES))
    house.log.append_events(all_eligible())
    for _ in range(20):
        [decision] = house.decide(ADA)
        assert sum(propensities(decision).values()) == pytest.approx(1.0, abs=1e-12)
        assert decision.propensity == propensities(decision)[decision.action_id] > 0
        assert house.log.decision(decision.decision_id) == decision


def test_candidates_come_best_first_with_the_factors_of_their_priority() -> None:
    house = SmallHouse(scorer=StubScorer(SCORES))
    house.log.append_events(all_eligible())
    [decision] = house.decide(ADA)
    priorities = [one.priority for one in decision.candidates]
    assert None not in priorities and priorities == sorted(priorities, reverse=True)
    for one in decision.candidates:
        if one.action_id != NO_ACTION:
            factors = one.p_accept * one.context_weight * one.value_eur * one.lever - one.cost_eur
            assert one.priority == pytest.approx(factors)


@pytest.mark.parametrize("epsilon", [0.1, 0.4, 1.0])
def test_actions_are_drawn_as_often_as_their_propensity_says(epsilon: float) -> None:
    house = open_house(policy=EpsilonGreedy(epsilon))
    drawn = house.draw(*[Request(customer_id="ada")] * 4_000)
    said = propensities(drawn[0])
    assert all(propensities(decision) == said for decision in drawn)
    found = Counter(decision.action_id for decision in drawn)
    expected = [4_000 * said[name] for name in said]
    assert chisquare([found[name] for name in said], expected).pvalue > 0.01


def test_equal_priorities_share_the_best_ones_probability() -> None:
    [decision] = open_house([0.5, 0.5, 0.2, 0.5, 0.0], policy=EpsilonGreedy(0.1)).draw(ADA)
    best = 0.9 / 3 + 0.1 / 5
    assert propensities(decision) == pytest.approx(
        {"help_popup": best, "card_offer": best, "loan_offer": best}
        | {"agent_callback": 0.02, NO_ACTION: 0.02}
    )


def test_a_decision_can_be_drawn_again_from_what_it_logged() -> None:
    house = open_house(policy=EpsilonGreedy(0.5))
    for _ in range(20):
        [decision] = house.decide(ADA)
        said = propensities(decision)
        order = [*IDS, NO_ACTION]
        index = draw(np.array([said[name] for name in order]), np.random.default_rng(decision.seed))
        assert order[index] == decision.action_id


def test_a_decision_is_replayed_byte_for_byte_on_the_log_that_it_saw() -> None:
    house = SmallHouse(scorer=StubScorer(SCORES), policy=EpsilonGreedy(0.5))
    house.log.append_events([*all_eligible(), failed_search(customer_id="bob")])
    for hour in range(6):
        house.decide(ADA, later=timedelta(hours=hour))
    for _, decision in house.log.page_decisions():
        seen = MemoryLog()
        seen.append_events([e for e in house.log.page_events() if e.seq <= decision.context_seq])
        again = SmallHouse(
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
    [decision] = open_house([0.01, 0.02, 0.0, 0.05, 0.0], policy=EpsilonGreedy(0.0)).decide(ADA)
    assert (decision.action_id, decision.treatment, decision.propensity) == (NO_ACTION, None, 1.0)
    assert decision.note == "nothing is worth more than leaving the customer in peace"
    assert decision.candidates[0].action_id == NO_ACTION
    assert decision.reasons == ()


def test_no_action_drawn_to_explore_says_so() -> None:
    house = open_house(policy=EpsilonGreedy(1.0))
    drawn = house.draw(*[ADA] * 40)
    notes = {decision.action_id == NO_ACTION: decision.note for decision in drawn}
    assert notes == {True: "drawn to explore", False: None}


def test_without_a_bundle_the_owners_fallback_answers_and_is_marked() -> None:
    house = SmallHouse()
    house.log.append_events([failed_search()])
    [decision] = house.decide(ADA)
    assert (decision.mode, decision.policy, decision.bundle_id) == (
        *(Mode.FALLBACK, "fallback", None),
    )
    assert decision.note == "no bundle is promoted" == house.decider.pipeline.why_no_scorer
    assert (decision.action_id, decision.treatment, decision.propensity) == (
        *("help_popup", "popup", 1.0),
    )
    assert propensities(decision) == {"help_popup": 1.0, NO_ACTION: 0.0}
    assert {(one.p_accept, one.priority) for one in decision.candidates} == {(None, None)}
    assert decision.churn is None and decision.reasons == ()


def test_the_fallback_says_why_there_is_no_scorer() -> None:
    house = SmallHouse()
    house.decider.pipeline.take(None, "the bundle is of another journey")
    [decision] = house.decide(ADA)
    assert decision.note == "the bundle is of another journey"


def test_the_fallback_honours_the_rules_and_the_order_of_the_owner() -> None:
    journey = changed(fallback=["loan_offer", "help_popup"])
    house = SmallHouse(journey)
    assert house.decide(ADA)[0].action_id == NO_ACTION  # nothing is eligible
    house.log.append_events([failed_search()])
    assert house.decide(ADA)[0].action_id == "help_popup"
    house.log.append_events([event("identify", NOON, {"tenure_months": 12})])
    assert house.decide(ADA)[0].action_id == "loan_offer"
    house.log.append_events([*contacts("help_popup", 2), *contacts("loan_offer", 2)])
    [capped] = house.decide(ADA)
    assert (capped.action_id, capped.mode) == (NO_ACTION, Mode.FALLBACK)


def test_a_customer_of_whom_nothing_is_known_is_marked() -> None:
    house = open_house()
    [first] = house.decide(ADA)
    assert not first.known_customer and first.context_seq == 0
    assert first.decided_at == NOON
    [second] = house.decide(ADA)
    assert second.known_customer and second.context_seq == 1


def test_a_live_answer_holds_reasons_risk_and_the_bundle() -> None:
    [decision] = open_house(policy=EpsilonGreedy(0.0)).decide(ADA)
    assert (decision.mode, decision.action_id) == (Mode.LIVE, "help_popup")
    assert (decision.bundle_id, decision.policy) == ("bundle-stub", "epsilon_greedy(0)")
    assert [reason.value for reason in decision.reasons] == [0.0]  # of help_popup's code
    assert decision.churn is not None
    assert (decision.churn.risk, decision.churn.horizon_days) == (0.25, 30.0)
    assert decision.catalogue_version == OPEN.catalogue_version()


def test_a_scorer_that_learns_values_prices_no_action_too() -> None:
    for quiet, wins in ((3.0, "help_popup"), (5.0, NO_ACTION)):  # the owner adds 1 EUR to quiet
        scorer = StubScorer([5.0, -1.0, 2.0, 0.0, quiet], learns_value=True)
        [decision] = SmallHouse(OPEN, scorer=scorer, policy=EpsilonGreedy(0.0)).decide(ADA)
        assert decision.action_id == wins
        worth = {one.action_id: one.priority for one in decision.candidates}
        assert worth["help_popup"] == 5.0 and worth[NO_ACTION] == quiet + 1.0
        assert {one.p_accept for one in decision.candidates} == {None}
        assert len(decision.reasons) == 1  # a learned no_action has reasons as well


# Once, and on the newest context


def test_a_repeated_request_is_answered_with_its_first_decision() -> None:
    house = open_house(policy=EpsilonGreedy(1.0))
    request = Request(customer_id="ada", request_id="r-1")
    [first] = house.decide(request)
    house.log.append_events([failed_search()])
    again = SmallHouse(OPEN, scorer=StubScorer(SCORES), log=house.log, name="other")
    assert again.decide(request, request) == [first, first]
    assert [decision for _, decision in house.log.page_decisions()] == [first]
    [hers] = house.decide(Request(customer_id="bob", request_id="r-1"))
    assert hers.decision_id != first.decision_id


def test_one_request_twice_in_one_call_is_one_decision() -> None:
    house = open_house(policy=EpsilonGreedy(1.0))
    request = Request(customer_id="ada", request_id="r-1")
    one, other, third = house.decide(request, request, Request(customer_id="bob"))
    assert one == other != third
    assert len(house.log.page_decisions()) == 2


def test_many_requests_of_one_customer_in_one_call_see_each_other() -> None:
    house = open_house(journey=msgspec.structs.replace(OPEN, cap=ContactCap(times=2, days=7)))
    decisions = house.decide(*[Request(customer_id="ada")] * 20, Request(customer_id="bob"))
    assert [d.request.customer_id for d in decisions] == ["ada"] * 20 + ["bob"]
    hers = sorted(decisions[:20], key=lambda decision: decision.context_seq)
    assert len({decision.context_seq for decision in hers}) == 20
    shown = Counter(d.action_id for d in hers if d.action_id != NO_ACTION)
    assert set(shown.values()) == {2}
    assert len(house.log.page_decisions()) == 21


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
    house = SmallHouse(log=Interrupted(times=2))
    [decision] = house.decide(ADA)
    assert decision.context_seq == 2
    assert decision.action_id == "help_popup"  # for which only the new events make her eligible
    assert len(house.log.page_decisions()) == 1


def test_a_customer_who_never_holds_still_is_refused_and_nothing_is_logged() -> None:
    house = SmallHouse(log=Interrupted(times=1_000))
    with pytest.raises(StoreUnavailable, match="send it again"):
        house.decide(ADA)
    assert house.log.page_decisions() == []


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
    cap = ContactCap(times=3, days=7, per=per)
    journey = msgspec.structs.replace(OPEN, cap=cap)
    log = MemoryLog()
    houses = [open_house(journey=journey, log=log, name=f"replica-{n}-") for n in range(2)]
    gate = threading.Barrier(8)

    def ask(number: int) -> None:
        gate.wait()
        for _ in range(25):
            while True:
                try:
                    houses[number % 2].decide(Request(customer_id="ada"))
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
    house = open_house()
    with pytest.raises(InvalidInput) as caught:
        house.decide(ADA, Request(customer_id="ada", **fields))
    assert (caught.value.field, caught.value.remedy) == (field, remedy)
    assert house.log.position() == 0


def test_a_fact_that_is_null_is_unknown_and_allowed() -> None:
    house = open_house()
    house.decider.pipeline.check(Request(customer_id="ada", facts={"page": None}))


def test_other_actions_cannot_push_contacts_out_of_the_count() -> None:
    house = open_house(journey=msgspec.structs.replace(OPEN, cap=ContactCap(times=10, days=7)))
    decisions = [house.decide(Request(customer_id="ada"))[0] for _ in range(80)]
    shown = Counter(d.action_id for d in decisions if d.action_id != NO_ACTION)
    assert max(shown.values()) <= 10
    assert sum(shown.values()) == CONTACTS_KEPT
