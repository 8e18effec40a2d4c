"""Attending: sub-journeys go on by events and time alone, and steps address the customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.decision import ASK_AGAIN_S, Decision, Mode
from nba.engine.decider import Decider, IdsAndSeeds
from nba.engine.policy import ExplorationPolicy
from nba.engine.scorer import CalibratedScorer
from nba.errors import StoreUnavailable
from nba.journey.actions import NO_ACTION
from nba.journey.policies import Cap, ContactRules, QuietHours
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


@pytest.mark.parametrize("seed", range(8))
def test_an_outbound_step_sends_its_own_action_or_none(seed: int) -> None:
    """Every other action of its channel is worth more, and a third of the draw is uniform."""
    replica = replica_of(RESCUE)
    replica.decide_by(
        scorer=CalibratedScorer(StubScorer([0.9, 0.01, 0.9, 0.9, 0.0])),
        exploration_policy=ExplorationPolicy(EpsilonGreedy(0.3)),
    )
    [decision] = replica.decider.advance_sub_journeys(
        ["ada"], NOON, IdsAndSeeds(replica.chance.new_id, lambda *_: seed)
    )
    assert {each.action_id for each in decision.candidates} == {"card_offer", "no_action"}
    assert decision.action_id in ("card_offer", "no_action")
    others = {each.action_id: each.code for each in decision.refused}
    assert others["help_popup"] == others["loan_offer"] == "not_a_candidate"


@pytest.mark.parametrize(
    ("fallback", "sent", "note"),
    [
        (["help_popup", "card_offer"], "card_offer", "no champion"),
        (["help_popup"], "no_action",
         "no champion; the step's action card_offer is not in `fallback`"),
    ],
)  # fmt: skip
def test_without_a_champion_an_outbound_step_sends_no_other_action(
    fallback: list[str], sent: str, note: str
) -> None:
    replica = replica_of(RESCUE, fallback=fallback)
    replica.decide_by(scorer=None, fallback_reason="no champion")
    [decision] = replica.decider.advance_sub_journeys(["ada"], NOON, replica.chance)
    assert (decision.action_id, decision.note) == (sent, note)
    assert decision.mode is Mode.FALLBACK and decision.step == ("" if sent == "no_action" else
        decision.request.asked_for)  # fmt: skip


def test_a_step_that_is_over_before_its_decision_sends_nothing() -> None:
    """Its goal is reached between the question and the decision."""
    replica = replica_of(replace(RESCUE, goal="purchase"))
    decide_each = Decider.decide_each

    class Late(Decider):
        def decide_each(self, *given: Any, **more: Any) -> Any:
            replica.log.append_events([event("Order Completed", NOON + HOUR)])
            return decide_each(self, given[0], NOON + HOUR, *given[2:], **more)

    late = Late(pipeline=replica.decider.pipeline, contexts=replica.contexts, log=replica.log)
    [decision] = late.advance_sub_journeys(["ada"], NOON, replica.chance)
    assert [move.name for move in decision.moves] == ["Sub-journey Left"]
    assert decision.action_id == "no_action" and not decision.delivered_by_us
    assert {(each.action_id, each.code, each.detail) for each in decision.refused} >= {
        ("card_offer", "no_step", "the step that asked is over")
    }


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


def test_two_messages_to_one_customer_are_kept_apart_by_default() -> None:
    """A step that ends on what was decided, and no wait before the next."""
    first = Step(id="mail", action="help_popup", outbound=True)
    then = Step(id="call", action="card_offer", outbound=True)
    replica = replica_of(replace(RESCUE, steps=[first, then]))
    sent: list[Decision] = []
    for minute in range(0, 14 * 60, 10):
        at = NOON + timedelta(minutes=minute)
        sent += replica.decider.advance_sub_journeys(["ada"], at, replica.chance)
    mail, refused, call = sent
    assert (mail.action_id, refused.action_id, call.action_id) == (
        "help_popup",
        NO_ACTION,
        "card_offer",
    )
    assert {one.code for one in refused.refused if one.action_id == "card_offer"} == {"too_soon"}
    assert call.decided_at - mail.decided_at >= timedelta(hours=4)


def test_a_message_that_quiet_hours_keep_is_kept_apart_from_the_next_one() -> None:
    night = QuietHours(id="night", from_="11:00", until="20:00", blocked="next_allowed")
    first = Step(id="mail", action="help_popup", outbound=True)
    then = Step(id="call", action="card_offer", outbound=True)
    replica = replica_of(
        replace(RESCUE, steps=[first, then]), contact_policy=ContactRules(quiet_hours=[night])
    )
    sent: list[Decision] = []
    for hour in range(40):
        sent += replica.decider.advance_sub_journeys(["ada"], NOON + hour * HOUR, replica.chance)
    mail, call = (one for one in sent if one.action_id != NO_ACTION)
    assert mail.not_before == NOON + 7 * HOUR
    assert (call.not_before or call.decided_at) - mail.not_before >= timedelta(hours=4)


def test_a_file_that_says_so_sends_at_once_and_transactional_actions_are_exempt() -> None:
    first = Step(id="mail", action="help_popup", outbound=True)
    then = Step(id="call", action="card_offer", outbound=True)
    both = replace(RESCUE, steps=[first, then])
    actions = [
        replace(action, type="transactional") if action.id == "card_offer" else action
        for action in governed().actions
    ]
    for fields in ({"contact_policy": ContactRules(gap_hours=0.0)}, {"actions": actions}):
        replica = replica_of(both, **fields)
        sent = [
            one.action_id
            for _ in range(3)
            for one in replica.decider.advance_sub_journeys(["ada"], NOON, replica.chance)
        ]
        assert sent == ["help_popup", "card_offer"]
