"""Sub-journeys per cart: one passage for each value of a property, side by side."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from features.context_store import ContextStore
from models.policies.epsilon_greedy import EpsilonGreedy
from nba.customer.contact_history import SubJourneyPosition
from nba.decisions.decision import Decision
from nba.engine.pipeline import make_pipeline
from nba.engine.redecision import redecided
from nba.engine.strategy import SameArm
from nba.journey.mapping import EventMapping
from nba.journey.policies import Cap, ContactRules
from nba.journey.sub_journeys import Budget, Step, SubJourney
from nba.journey_file.checks import check_journey
from nba.stores.memory.log import MemoryLog
from tests.fixtures.open_replica import OPEN
from tests.fixtures.random_catalogues import HOUR, SCORES, governed
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

EVENTS = [*OPEN.events, EventMapping(id="cart_added", event="Product Added")]
WAIT = Step(id="wait", wait_hours=1)
REMIND = Step(id="remind", action="card_offer", outbound=True)
CART = SubJourney(
    id="cart", enter="cart_added.total > 0.5", per="cart_id", steps=[WAIT, REMIND], goal="purchase"
)
MINUTE = timedelta(minutes=1)
AT_ONCE = ContactRules(gap_hours=0.0)  # what is tested are the passages, not the gap between them


def replica_of(*given: SubJourney, log: Any = None, **fields: Any) -> SmallReplica:
    fields = {"sub_journeys": list(given), "events": EVENTS, "contact_policy": AT_ONCE, **fields}
    return SmallReplica(
        governed(**fields),
        scorer=StubScorer(SCORES),
        policy=EpsilonGreedy(0.0),
        log=log or MemoryLog(),
    )


class Shopper:
    """One customer, whom the orchestrator looks after at the moments given."""

    def __init__(self, replica: SmallReplica) -> None:
        self.replica = replica
        self.sent: list[Decision] = []

    def does(self, name: str, later: timedelta, **properties: Any) -> Shopper:
        self.replica.log.append_events([event(name, NOON + later, properties)])
        return self.attended(later)

    def adds(self, cart: object, later: timedelta = timedelta()) -> Shopper:
        return self.does("Product Added", later, cart_id=cart)

    def attended(self, later: timedelta) -> Shopper:
        """Until nothing is left to do."""
        now, decider = NOON + later + timedelta(seconds=1), self.replica.decider
        while found := decider.advance_sub_journeys(["ada"], now, self.replica.chance):
            self.sent += found
        return self

    @property
    def positions(self) -> dict[str, SubJourneyPosition]:
        [context] = self.replica.contexts.of(["ada"], NOON)
        return {at.sub_journey: at for at in context.contact_history.positions}

    def exits(self, *, crowded: bool = False) -> list[tuple[str | None, str]]:
        """(key, exit) of the passages that ended."""
        left = [e.properties for e in self.replica.log.page_events(limit=10_000)
                if e.name == "Sub-journey Left"]  # fmt: skip
        return [(p.get("key"), p["exit"]) for p in left if (p["exit"] == "crowded") == crowded]

    @property
    def reminded(self) -> list[str | None]:
        return [decision.key for decision in self.sent if decision.action_id == "card_offer"]


def test_two_carts_at_once_get_a_reminder_each() -> None:
    shopper = Shopper(replica_of(CART)).adds("A17").adds("B 4/2#:x", 10 * MINUTE)
    assert set(shopper.positions) == {"cart#A17", "cart#B%204%2F2%23%3Ax"}
    assert shopper.attended(HOUR + MINUTE).reminded == ["A17"]
    assert shopper.attended(HOUR + 11 * MINUTE).reminded == ["A17", "B 4/2#:x"]
    assert shopper.exits() == [("A17", "done"), ("B 4/2#:x", "done")]
    assert len({decision.step for decision in shopper.sent}) == 2
    assert all(decision.step == decision.request.asked_for for decision in shopper.sent)
    entered = [e for e in shopper.replica.log.page_events() if e.name == "Sub-journey Entered"]
    assert [e.properties["sub_journey"] for e in entered] == ["cart", "cart"]


def test_both_are_open_at_the_same_moment_and_each_sends_its_own() -> None:
    shopper = Shopper(replica_of(CART)).adds("A").adds("B")
    assert sorted(map(str, shopper.attended(HOUR + MINUTE).reminded)) == ["A", "B"]


def test_the_purchase_of_one_cart_ends_that_one_alone() -> None:
    shopper = Shopper(replica_of(CART)).adds("A").adds("B")
    shopper.does("Order Completed", 20 * MINUTE, cart_id="B", revenue=10)
    assert set(shopper.positions) == {"cart#A"}
    assert shopper.attended(2 * HOUR).reminded == ["A"]
    assert shopper.exits() == [("B", "success"), ("A", "done")]


def test_a_purchase_that_names_no_cart_ends_every_one() -> None:
    shopper = Shopper(replica_of(CART)).adds("A").adds("B")
    shopper.does("Order Completed", 20 * MINUTE, revenue=10)
    assert shopper.positions == {} and shopper.exits() == [("A", "success"), ("B", "success")]
    shopper.does("Order Completed", 30 * MINUTE, cart_id="C", revenue=10)
    assert shopper.attended(5 * HOUR).reminded == []


def test_a_cart_is_entered_once_however_often_something_is_added() -> None:
    shopper = Shopper(replica_of(CART)).adds("A").adds("A", MINUTE).adds("A", 2 * MINUTE)
    assert list(shopper.positions) == ["cart#A"]
    shopper.attended(2 * HOUR).adds("A", 3 * HOUR).attended(30 * HOUR)
    assert shopper.reminded == ["A"] and shopper.positions == {}


def test_a_cart_is_entered_again_after_its_own_days_and_by_its_own_event() -> None:
    again = replace(CART, again_after_days=2.0)
    shopper = Shopper(replica_of(again)).adds("A").attended(2 * HOUR)
    shopper.adds("B", 24 * HOUR).attended(26 * HOUR)
    shopper.attended(100 * HOUR).adds("B", 101 * HOUR)  # B's; of A nothing new came
    assert list(shopper.positions) == ["cart#B"]
    shopper.attended(110 * HOUR).adds("A", 120 * HOUR).attended(130 * HOUR)
    assert shopper.reminded == ["A", "B", "B", "A"]


@pytest.mark.parametrize("value", [None, "", "  ", 1.5, True, [1], {"id": 1}, "x" * 101, 10**18])
def test_an_event_without_a_value_that_can_be_one_begins_nothing(value: object) -> None:
    assert Shopper(replica_of(CART)).adds(value).positions == {}


def test_a_whole_number_is_a_key_and_the_same_as_its_text() -> None:
    shopper = Shopper(replica_of(CART)).adds(17).adds("17", MINUTE).adds(" 17 ", 2 * MINUTE)
    assert list(shopper.positions) == ["cart#17"]


def test_of_forty_carts_the_newest_32_are_kept_and_what_left_is_told() -> None:
    """Those that had begun are never dropped: the forty-first waits until one is over."""
    replica = replica_of(replace(CART, steps=[replace(WAIT, wait_hours=50)]))
    shopper = Shopper(replica)
    for n in range(40):
        shopper.adds(f"c{n}", n * MINUTE)
    assert list(shopper.positions) == [f"cart#c{n}" for n in range(32)]
    assert len(shopper.exits(crowded=True)) == 7 and shopper.exits() == []
    shopper.attended(51 * HOUR)
    assert [key for key, _ in shopper.exits()] == [f"c{n}" for n in range(32)]
    assert list(shopper.positions) == ["cart#c39"]


def test_finished_carts_make_room_without_a_word() -> None:
    shopper = Shopper(replica_of(replace(CART, steps=[WAIT])))
    for n in range(50):
        shopper.adds(f"c{n}", 2 * n * HOUR).attended(2 * n * HOUR + 90 * MINUTE)
    assert len(shopper.exits()) == 50 and shopper.exits(crowded=True) == []
    [context] = shopper.replica.contexts.of(["ada"], NOON)
    assert len(context.contact_history.exits) == 32
    assert len(context.contact_history.counted_events) < 3 * 34


def test_caps_and_budgets_hold_over_all_carts() -> None:
    cap = ContactRules(
        gap_hours=0.0, caps=[Cap(id="one", times=1, days=1.0, actions=["card_offer"])]
    )
    shopper = Shopper(replica_of(CART, contact_policy=cap)).adds("A").adds("B")
    assert len(shopper.attended(2 * HOUR).reminded) == 1
    spent = replace(CART, budget=Budget(contacts=1), steps=[REMIND, replace(REMIND, id="again")])
    shopper = Shopper(replica_of(spent)).adds("A").adds("B")
    assert sorted(map(str, shopper.attended(5 * HOUR).reminded)) == ["A", "B"]
    assert sorted(shopper.exits()) == [("A", "budget"), ("B", "budget")]


def test_a_restart_changes_nothing() -> None:
    """The position is in the log alone: whoever takes over waits for each cart as long."""
    first = Shopper(replica_of(CART)).adds("A").adds("B", 30 * MINUTE)
    second = Shopper(replica_of(CART, log=first.replica.log))
    second.replica.contexts = ContextStore(first.replica.log, second.replica.fold)  # type: ignore[assignment]
    assert second.attended(HOUR + MINUTE).reminded == ["A"]
    assert second.attended(HOUR + 31 * MINUTE).reminded == ["A", "B"]


def test_decisions_of_carts_are_replayed_byte_for_byte() -> None:
    shopper = Shopper(replica_of(CART)).adds("A").adds("B").attended(2 * HOUR)
    replica = shopper.replica
    for decision in shopper.sent:
        before = [e for e in replica.log.page_events() if e.seq <= decision.context_seq]
        log = MemoryLog()
        log.append_events(before)
        [context] = ContextStore(log, replica.fold).of(["ada"], decision.decided_at)
        strategy = replica.decider.pipeline.strategy
        pipeline = make_pipeline(replica.fold.schema, strategy, arms=SameArm())
        [again] = redecided(pipeline, [decision], [context])
        assert again == decision and again.key in ("A", "B")


def test_an_inbound_question_gets_the_step_of_one_cart() -> None:
    inbound = replace(CART, steps=[replace(REMIND, outbound=False, time_out_hours=5)])
    shopper = Shopper(replica_of(inbound)).adds("A").adds("B")
    [context] = shopper.replica.contexts.of(["ada"], NOON)
    calls = shopper.replica.decider.pipeline.governor.sub_journeys.calls
    by_first, by_b = (
        calls(context.contact_history, NOON + MINUTE, asked)["card_offer"].step_key
        for asked in ("", f"{shopper.positions['cart#B'].episode}/remind")
    )
    assert by_first.startswith("cart#A:") and by_b.startswith("cart#B:")


def test_rules_see_that_the_customer_is_in_it_whichever_cart() -> None:
    other = SubJourney(id="other", enter="sub_journey.cart", steps=[WAIT])
    shopper = Shopper(replica_of(CART, other)).adds("A")
    assert set(shopper.positions) == {"cart#A", "other"}


def test_a_rival_of_higher_priority_overtakes_every_cart() -> None:
    rescue = SubJourney(
        id="rescue", enter="segment.upset", steps=[WAIT], priority=5, conflicts=["cart"]
    )
    shopper = Shopper(replica_of(CART, rescue)).adds("A").adds("B")
    shopper.does("Complaint Filed", 5 * MINUTE)
    assert set(shopper.positions) == {"rescue"}
    assert sorted(shopper.exits()) == [("A", "overtaken"), ("B", "overtaken")]


def test_sub_journeys_that_start_each_other_come_to_rest() -> None:
    """Each enters where the other was; what we do ourselves is no news, so that neither is
    entered again."""
    first = SubJourney(
        id="first", enter="complaint.total > 0.5", steps=[REMIND], again_after_days=1.0
    )
    second = SubJourney(
        id="second", enter="sub_journey.first or action_shown.total > 0.5", again_after_days=1.0,
        steps=[replace(REMIND, id="too", action="help_popup")],
    )  # fmt: skip
    cap = ContactRules(gap_hours=0.0, caps=[Cap(id="some", times=3, days=1.0)])
    shopper = Shopper(replica_of(first, second, contact_policy=cap))
    shopper.does("Complaint Filed", timedelta())
    for hour in range(1, 24 * 20):
        shopper.attended(hour * HOUR)
        if hour % 5 == 0 and shopper.sent:
            shown = {"decision_id": shopper.sent[-1].decision_id}
            shopper.replica.log.append_events([event("Action Shown", NOON + hour * HOUR, shown)])
    assert len(shopper.sent) <= 3


def problems(**fields: Any) -> list[str]:
    journey = replace(OPEN, events=EVENTS, sub_journeys=[replace(CART, **fields)])
    return [str(error) for error in check_journey(journey)]


def test_what_cannot_be_a_key_is_told_with_the_remedy() -> None:
    assert problems() == []
    [told] = problems(per="properties.cart_id")
    assert "sub_journeys[0].per" in told and "per: cart_id" in told
    [told] = problems(enter="emotion.sum10 < -0.5")
    assert "sub_journeys[0].per" in told and "cart_added.count_1h > 0" in told
    [told] = problems(enter="action_shown.total > 0.5")
    assert "sub_journeys[0].per" in told


def test_the_definition_of_one_without_it_stays_what_it_was() -> None:
    plain = SubJourney(id="cart", enter="cart_added.total > 0.5", steps=[WAIT])
    assert "per" not in str(plain.definition()) and plain.definition() != CART.definition()
