"""Activation: a deferred decision counts when the channel shows it, and only where it still may."""

from __future__ import annotations

from typing import Any

from nba.catalogue import Cap, Capacity, ContactRules
from nba.decision import Decision, Request
from tests.governing import HOUR, SCORES, governed
from tests.house import NOON, SmallHouse, StubScorer, event


def house_of(**limits: Any) -> SmallHouse:
    journey = governed(contact_policy=ContactRules(**limits), no_action_value_eur=-99.0)
    return SmallHouse(journey, scorer=StubScorer(SCORES))


def deferred(house: SmallHouse, customer_id: str = "ada", **asked: Any) -> Decision:
    request = Request(
        customer_id=customer_id, candidates=("card_offer",), deferred=True, channel="app", **asked
    )
    while True:
        [decision] = house.decide(request)
        if decision.action_id != "no_action":
            return decision


def touches(house: SmallHouse) -> list[Any]:
    [context] = house.contexts.of(["ada"], NOON + HOUR)
    return [one for one in context.ledger.touches if one.counted]


def test_a_deferred_decision_is_no_contact_until_it_is_activated() -> None:
    house = house_of(caps=[Cap(id="one", times=1, days=7)])
    decision = deferred(house)
    [context] = house.contexts.of(["ada"], NOON)
    assert touches(house) == [] and context.contacts == () and decision.uses == ()
    assert house.decider.activate(decision, NOON + HOUR) == ()
    [touch] = touches(house)
    assert (touch.action, touch.at_s) == ("card_offer", (NOON + HOUR).timestamp())
    [context] = house.contexts.of(["ada"], NOON + HOUR)
    assert len(context.contacts) == 1


def test_a_second_activation_changes_nothing() -> None:
    house = house_of(capacities=[Capacity(id="room", most=5)])
    decision = deferred(house)
    for later in (1, 2):
        assert house.decider.activate(decision, NOON + later * HOUR) == ()
    assert house.log.used([("room", "2026-03-01")]) == {("room", "2026-03-01"): 1.0}
    assert len(touches(house)) == 1


def test_what_became_forbidden_meanwhile_is_refused() -> None:
    house = house_of(caps=[Cap(id="one", times=1, days=7)])
    first, second = deferred(house), deferred(house)
    assert house.decider.activate(first, NOON) == ()
    [refused] = house.decider.activate(second, NOON)
    assert (refused.action_id, refused.code, refused.rule) == ("card_offer", "contact_cap", "one")
    assert len(touches(house)) == 1
    free = house_of()
    third = deferred(free)
    free.log.append_events([event("Consent Withdrawn", NOON, {"purpose": "marketing"})])
    assert [one.code for one in free.decider.activate(third, NOON)] == ["no_consent"]


def test_activations_share_the_capacities() -> None:
    house = house_of(capacities=[Capacity(id="room", most=1)])
    hers, his = deferred(house), deferred(house, "bob")
    assert house.decider.activate(hers, NOON) == ()
    [refused] = house.decider.activate(his, NOON)
    assert (refused.code, refused.rule) == ("no_capacity", "room")
