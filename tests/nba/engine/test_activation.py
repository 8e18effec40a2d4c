"""Activation: a deferred decision counts when the channel shows it, and only where it still may."""

from __future__ import annotations

from typing import Any

from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.journey.policies import Cap, Capacity, ContactRules, EngagementRule, QuietHours
from tests.fixtures.random_catalogues import HOUR, SCORES, governed
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event


def replica_of(**limits: Any) -> SmallReplica:
    journey = governed(contact_policy=ContactRules(**limits), no_action_value_eur=-99.0)
    return SmallReplica(journey, scorer=StubScorer(SCORES))


def deferred(replica: SmallReplica, customer_id: str = "ada", **asked: Any) -> Decision:
    request = Request(
        customer_id=customer_id, candidates=("card_offer",), deferred=True, channel="app", **asked
    )
    while True:
        [decision] = replica.decide(request)
        if decision.action_id != "no_action":
            return decision


def touches(replica: SmallReplica) -> list[Any]:
    [context] = replica.contexts.of(["ada"], NOON + HOUR)
    return [contact for contact in context.contact_history.contacts if contact.counted]


def test_a_deferred_decision_is_no_contact_until_it_is_activated() -> None:
    replica = replica_of(caps=[Cap(id="one", times=1, days=7)])
    decision = deferred(replica)
    [context] = replica.contexts.of(["ada"], NOON)
    assert touches(replica) == [] and context.contacts == () and decision.uses == ()
    assert replica.decider.activate(decision, NOON + HOUR) == ((), None)
    [touch] = touches(replica)
    assert (touch.action, touch.at_s) == ("card_offer", (NOON + HOUR).timestamp())
    [context] = replica.contexts.of(["ada"], NOON + HOUR)
    assert len(context.contacts) == 1


def test_a_second_activation_changes_nothing() -> None:
    replica = replica_of(capacities=[Capacity(id="room", most=5)])
    decision = deferred(replica)
    for later in (1, 2):
        assert replica.decider.activate(decision, NOON + later * HOUR) == ((), None)
    assert replica.log.used([("room", "2026-03-01")]) == {("room", "2026-03-01"): 1.0}
    assert len(touches(replica)) == 1


def test_what_became_forbidden_meanwhile_is_refused() -> None:
    replica = replica_of(caps=[Cap(id="one", times=1, days=7)])
    first, second = deferred(replica), deferred(replica)
    assert replica.decider.activate(first, NOON) == ((), None)
    [refused], _ = replica.decider.activate(second, NOON)
    assert (refused.action_id, refused.code, refused.rule) == ("card_offer", "contact_cap", "one")
    assert len(touches(replica)) == 1
    free = replica_of()
    third = deferred(free)
    free.log.append_events([event("Consent Withdrawn", NOON, {"purpose": "marketing"})])
    assert [one.code for one in free.decider.activate(third, NOON)[0]] == ["no_consent"]


def test_all_rules_are_asked_again() -> None:
    night = QuietHours(id="night", from_="12:30", until="20:00", blocked="next_allowed")
    replica = replica_of(quiet_hours=[night])
    decision = deferred(replica)
    refused, not_before = replica.decider.activate(decision, NOON + HOUR)
    assert (refused, not_before) == ((), NOON + 7 * HOUR)  # 20:00 on her clock
    over = SmallReplica(governed(no_action_value_eur=-99.0), scorer=StubScorer(SCORES))
    late = deferred(over)
    over.log.append_events([event("Complaint Filed", NOON)])
    rule = EngagementRule(id="calm", layer="suitability", when="complaint.total < 1")
    stricter = SmallReplica(
        governed(engagement=[rule]), scorer=StubScorer(SCORES), log=over.log, name="s"
    )
    [refused_], _ = stricter.decider.activate(late, NOON + HOUR)
    assert (refused_.code, refused_.rule) == ("not_suitable", "calm")


def test_what_was_shown_already_counts_and_takes_whether_there_is_room_or_not() -> None:
    replica = replica_of(capacities=[Capacity(id="room", most=1)])
    for shown in [deferred(replica, customer_id) for customer_id in ("ada", "bob", "cid")]:
        assert replica.decider.activate(shown, NOON, anyway=True) == ((), None)
    assert replica.log.used([("room", "2026-03-01")]) == {("room", "2026-03-01"): 3.0}


def test_activations_share_the_capacities() -> None:
    replica = replica_of(capacities=[Capacity(id="room", most=1)])
    hers, his = deferred(replica), deferred(replica, "bob")
    assert replica.decider.activate(hers, NOON) == ((), None)
    [refused], _ = replica.decider.activate(his, NOON)
    assert (refused.code, refused.rule) == ("no_capacity", "room")
