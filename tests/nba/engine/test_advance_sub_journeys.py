"""Attending: sub-journeys go on by events and time alone, and steps address the customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.decision import ASK_AGAIN_S
from nba.errors import StoreUnavailable
from nba.journey.policies import Cap, ContactRules
from nba.journey.sub_journeys import Step, SubJourney
from nba.stores.log import GuardedEvents
from nba.stores.memory.log import MemoryLog
from tests.fixtures.random_catalogues import DAY, HOUR, SCORES, governed
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event, failed_search

REMIND = Step(id="remind", action="card_offer", outbound=True, done="accepted")
RESCUE = SubJourney(id="rescue", enter="segment.upset", steps=[REMIND])


def replica_of(*given: SubJourney, **fields: object) -> SmallReplica:
    log = fields.pop("log", None) or MemoryLog()
    journey = governed(sub_journeys=list(given), **fields)
    replica = SmallReplica(
        journey,
        scorer=StubScorer(SCORES),
        policy=EpsilonGreedy(0.0),
        log=log,  # type: ignore[arg-type]
    )
    replica.log.append_events([event("Complaint Filed")])
    return replica


def test_nothing_is_logged_of_who_is_in_no_sub_journey() -> None:
    replica = replica_of(RESCUE)
    replica.log.append_events([failed_search(customer_id="bob")])
    assert replica.decider.advance_sub_journeys(["bob", "eve"], NOON, replica.chance) == []
    assert replica.log.position() == 2
    assert replica_of().decider.advance_sub_journeys(["ada"], NOON, replica.chance) == []


def test_an_outbound_step_addresses_her_once() -> None:
    replica = replica_of(RESCUE)
    [decision] = replica.decider.advance_sub_journeys(["ada", "ada"], NOON, replica.chance)
    assert decision.action_id == "card_offer" and decision.request.outbound
    assert decision.request.channel == "app"
    assert decision.step == decision.request.asked_for
    assert [delivery.decision_id for delivery in replica.log.deliveries("waiting")] == [
        decision.decision_id
    ]
    size = replica.log.position()
    for later in (timedelta(), HOUR):
        assert replica.decider.advance_sub_journeys(["ada"], NOON + later, replica.chance) == []
    assert replica.log.position() == size


def test_a_step_that_waits_for_an_answer_is_sent_once() -> None:
    waiting = replace(REMIND, done="accepted", time_out_hours=200.0)
    replica = replica_of(replace(RESCUE, steps=[waiting]))
    sent = []
    for visit in range(5):
        at = NOON + 7 * visit * HOUR
        replica.log.append_events([failed_search(at)])
        sent += replica.decider.advance_sub_journeys(["ada"], at, replica.chance)
    assert len(sent) == 1 and sent[0].request.placement == "banking_app"


def test_what_a_step_waits_for_wakes_it_up() -> None:
    replica = replica_of(replace(RESCUE, steps=[replace(REMIND, wait_hours=24.0)]))
    assert replica.decider.advance_sub_journeys(["ada"], NOON, replica.chance) == []
    assert replica.log.fire_timers(NOON + 23 * HOUR) == []
    [fired] = replica.log.fire_timers(NOON + DAY)
    assert fired.customer_id == "ada"
    [decision] = replica.decider.advance_sub_journeys(["ada"], NOON + DAY, replica.chance)
    assert decision.action_id == "card_offer"


def test_a_step_that_came_to_nothing_is_tried_again_after_hours() -> None:
    cap = Cap(id="one", times=1, days=1)
    replica = replica_of(RESCUE, contact_policy=ContactRules(caps=[cap]))
    contact = {"action_id": "card_offer", "channel": "app"}
    replica.log.append_events([event("Action Decided", NOON - 20 * HOUR, contact)])
    [nothing] = replica.decider.advance_sub_journeys(["ada"], NOON, replica.chance)
    assert nothing.action_id == "no_action"
    assert replica.decider.advance_sub_journeys(["ada"], NOON + HOUR, replica.chance) == []
    assert len(replica.log.fire_timers(NOON + HOUR)) == 1  # of the step's beginning
    again = NOON + timedelta(seconds=ASK_AGAIN_S)
    assert [fire_timer.occurred_at for fire_timer in replica.log.fire_timers(again)] == [again]
    [decision] = replica.decider.advance_sub_journeys(["ada"], again, replica.chance)
    assert decision.action_id == "card_offer"


def test_two_replicas_that_attend_at_once_move_her_once() -> None:
    class Raced(MemoryLog):
        """Another replica is faster, once."""

        def append_guarded(self, appends: Sequence[GuardedEvents]) -> list[bool]:
            if not self.raced:
                self.raced = True
                other.decider.advance_sub_journeys(["ada"], NOON, other.chance)
            return super().append_guarded(appends)

        raced = False

    replica = replica_of(RESCUE, log=Raced())
    other = SmallReplica(replica.journey, scorer=StubScorer(SCORES), log=replica.log, name="o")
    replica.decider.advance_sub_journeys(["ada"], NOON, replica.chance)
    names = [one.name for one in replica.log.page_events()]
    assert names.count("Sub-journey Entered") == names.count("Action Decided") == 1


def test_a_log_that_cannot_be_reached_is_said() -> None:
    class Lost(MemoryLog):
        def append_guarded(self, appends: Sequence[GuardedEvents]) -> list[bool]:
            raise StoreUnavailable("gone")

    replica = replica_of(RESCUE, log=Lost())
    with pytest.raises(StoreUnavailable):
        replica.decider.advance_sub_journeys(["ada"], NOON, replica.chance)
