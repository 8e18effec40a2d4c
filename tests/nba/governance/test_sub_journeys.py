"""Sub-journeys: who enters, how steps follow, how they end; all of it from the log alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from features.context_store import ContextStore
from models.policies.epsilon_greedy import EpsilonGreedy
from nba.customer.contact_history import SubJourneyPosition
from nba.decisions.request import Request
from nba.durations import DAY_S
from nba.engine.pipeline import make_pipeline
from nba.engine.policy import ExplorationPolicy
from nba.journey.sub_journeys import Branch, Budget, Step, SubJourney
from nba.randomization import in_share
from tests.fixtures.random_catalogues import DAY, HOUR, SCORES, governed
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event, failed_search

CALL = Step(id="call", action="agent_callback", time_out_hours=24)
MAIL = Step(id="mail", action="card_offer", time_out_hours=24)
RESCUE = SubJourney(id="rescue", enter="segment.upset", steps=[CALL, MAIL], goal="purchase")


def replica_of(*given_: SubJourney, **fields: Any) -> SmallReplica:
    journey = governed(sub_journeys=list(given_), **fields)
    return SmallReplica(journey, scorer=StubScorer(SCORES), policy=EpsilonGreedy(0.0))


class Path:
    """What happens to one customer, seen from outside: attended at every moment."""

    def __init__(self, replica: SmallReplica, customer_id: str = "ada") -> None:
        self.replica, self.customer_id = replica, customer_id

    def at(self, later: timedelta, *events: Any) -> Path:
        now = NOON + later
        self.replica.log.append_events(
            [event(name, now, customer_id=self.customer_id) for name in events]
        )
        self.replica.decider.advance_sub_journeys(
            [self.customer_id], now + timedelta(seconds=1), self.replica.chance
        )
        return self

    def position(self, sub_journey: str = "rescue") -> SubJourneyPosition | None:
        [context] = self.replica.contexts.of([self.customer_id], NOON)
        return context.contact_history.position(sub_journey)

    @property
    def step(self) -> str | None:
        position = self.position()
        return None if position is None else position.step

    @property
    def exit(self) -> tuple[str, str]:
        """(exit, why) of the last one that she left."""
        left = [e for e in self.replica.log.page_events() if e.name == "Sub-journey Left"]
        return left[-1].properties["exit"], left[-1].properties["why"]


def upset(*given_: SubJourney, **fields: Any) -> Path:
    """A customer who has just become upset, so that she has entered."""
    return Path(replica_of(*given_, **fields)).at(timedelta(), "Complaint Filed")


def test_who_enters_stands_at_the_first_step() -> None:
    position = upset(RESCUE).position()
    assert position is not None and (position.step, position.moves) == ("call", 1)
    assert position.definition == RESCUE.definition()
    assert Path(replica_of(RESCUE)).at(timedelta(), "page").position() is None


def test_a_step_that_times_out_leads_to_the_next_and_the_last_to_the_exit() -> None:
    path = upset(RESCUE)
    assert path.at(23 * HOUR).step == "call"
    assert path.at(25 * HOUR).step == "mail"
    assert path.at(48 * HOUR).step == "mail"
    assert path.at(50 * HOUR).step is None
    assert path.exit == ("done", "24 hours are over")


def test_a_step_competes_with_its_weight_and_is_over_when_it_is_done() -> None:
    call = replace(CALL, weight=3.0)
    replica = replica_of(replace(RESCUE, steps=[call, MAIL]))
    replica.log.append_events([event("Complaint Filed")])
    [decision] = replica.decide(Request(customer_id="ada", candidates=("agent_callback",)))
    assert [move.name for move in decision.moves] == ["Sub-journey Entered"]
    assert decision.step.endswith("/call") and decision.action_id == "agent_callback"
    assert decision.candidates[0].because == ("rescue.call",)
    assert decision.candidates[0].context_weight == 3.0
    path = Path(replica).at(HOUR)
    assert path.step == "mail"


@pytest.mark.parametrize("done", ["shown", "clicked", "accepted"])
def test_a_step_may_wait_for_a_sign_of_its_action(done: str) -> None:
    path = upset(replace(RESCUE, steps=[replace(CALL, done=done), MAIL]))
    [decision] = path.replica.decide(
        Request(customer_id="ada", candidates=("agent_callback",)), later=HOUR
    )
    assert path.at(2 * HOUR).step == "call"
    outcome = {"decision_id": decision.decision_id, "action_id": decision.action_id}
    path.replica.log.append_events([event(f"Action {done.capitalize()}", NOON + 3 * HOUR, outcome)])
    assert path.at(4 * HOUR).step == "mail"


def test_a_step_may_wait_for_an_event_and_one_event_ends_one_step() -> None:
    steps = [Step(id="a", done="page"), Step(id="b", done="page")]
    path = upset(replace(RESCUE, steps=steps))
    assert path.at(HOUR, "page").step == "b"
    assert path.at(2 * HOUR).step == "b"
    assert path.at(3 * HOUR, "page").exit == ("done", "page happened")


def test_a_step_waits_before_it_begins_and_is_skipped_where_its_condition_fails() -> None:
    wait = replace(CALL, wait_hours=5.0)
    path = upset(replace(RESCUE, steps=[wait, MAIL]))
    journey = path.replica.decider.pipeline.governor.sub_journeys
    [context] = path.replica.contexts.of(["ada"], NOON)
    assert journey.calls(context.contact_history, NOON + 4 * HOUR) == {}
    assert list(journey.calls(context.contact_history, NOON + 6 * HOUR)) == ["agent_callback"]
    path = upset(replace(RESCUE, steps=[replace(CALL, when="not segment.upset"), MAIL]))
    assert path.step == "mail"  # at once


def test_a_changed_emotion_skips_a_step_that_has_begun() -> None:
    path = upset(replace(RESCUE, steps=[replace(CALL, when="segment.upset"), MAIL]))
    assert path.at(HOUR, "page").step == "call"
    assert path.at(2 * HOUR, "Advice Given").step == "mail"


@pytest.mark.parametrize(("glad", "step"), [(True, "mail"), (False, None)])
def test_branches_are_tried_in_order(glad: bool, step: str | None) -> None:
    first = replace(
        CALL,
        time_out_hours=2.0,
        next=[Branch(to="exit", when="segment.upset"), Branch(to="mail")],
    )
    spare = Step(id="spare", action="loan_offer")
    path = upset(replace(RESCUE, goal=None, steps=[first, MAIL, spare]))
    path.at(HOUR, *(["Order Completed"] if glad else []))
    assert path.at(3 * HOUR).step == step


@pytest.mark.parametrize(
    ("change", "events", "ended"),
    [
        ({}, ["Order Completed"], ("success", "purchase happened")),
        ({"time_out_days": 0.01}, [], ("time_out", "0.01 days are over")),
        ({"leave": "complaint.total >= 2"}, ["Complaint Filed"], ("left", "complaint.total >= 2")),
        ({"purpose": "marketing"}, ["Consent Withdrawn"],
         ("opt_out", "consent to marketing was withdrawn")),
    ],
)  # fmt: skip
def test_ways_out(change: dict[str, Any], events: list[str], ended: tuple[str, str]) -> None:
    path = upset(replace(RESCUE, **change)).at(HOUR, *events)
    assert path.position() is None and path.exit == ended
    assert path.at(2 * HOUR, "Complaint Filed").position() is None  # once in a lifetime


def test_a_withdrawal_on_every_channel_of_its_actions_ends_it() -> None:
    pause = Step(id="pause", wait_hours=100.0)
    path = upset(replace(RESCUE, purpose="marketing", steps=[pause, MAIL]))
    about = {"purpose": "marketing", "channel": "app"}
    path.replica.log.append_events([event("Consent Withdrawn", NOON + HOUR, about)])
    assert path.at(2 * HOUR).exit[0] == "opt_out"


@pytest.mark.parametrize("budget", [Budget(contacts=1), Budget(cost_eur=7.0)])
def test_a_budget_that_is_spent_ends_it(budget: Budget) -> None:
    path = upset(replace(RESCUE, budget=budget))
    path.replica.decide(Request(customer_id="ada", candidates=("agent_callback",)), later=HOUR)
    assert path.at(2 * HOUR).exit[0] == "budget"


def test_she_may_enter_again_after_a_while() -> None:
    again = replace(RESCUE, again_after_days=2.0)
    path = upset(again).at(HOUR, "Order Completed")
    assert path.at(2 * HOUR, "Complaint Filed", "Complaint Filed").position() is None
    later = path.at(3 * DAY, "Complaint Filed").position()
    assert later is not None and later.entered_s > NOON.timestamp() + 2 * DAY_S


def test_who_enters_again_has_done_something_new() -> None:
    """The condition stays true for good; only what it speaks of brings her in again."""
    again = replace(RESCUE, enter="complaint.total >= 1", again_after_days=0.0, goal=None,
                    steps=[Step(id="rest", wait_hours=1.0)])  # fmt: skip
    path = Path(replica_of(again)).at(timedelta(), "Complaint Filed")
    for hours in range(2, 30):
        path.at(hours * HOUR, "page")
    names = [one.name for one in path.replica.log.page_events()]
    assert names.count("Sub-journey Entered") == names.count("Sub-journey Left") == 1
    assert path.at(40 * HOUR, "Complaint Filed").position() is not None
    path.at(40.5 * HOUR, "Complaint Filed").at(42 * HOUR)  # in the passage: later than its entry
    path.at(43 * HOUR).at(44 * HOUR).at(50 * HOUR)
    names = [one.name for one in path.replica.log.page_events()]
    assert names.count("Sub-journey Entered") == names.count("Sub-journey Left") == 3


def test_of_two_in_conflict_the_higher_priority_runs() -> None:
    help_ = replace(RESCUE, id="help", enter="search_failed.total >= 1", priority=1)
    care = replace(RESCUE, priority=2, conflicts=["help"], goal=None)
    path = Path(replica_of(help_, care))
    path.replica.log.append_events([failed_search()])
    assert path.at(HOUR).position("help") is not None
    path.at(2 * HOUR, "Complaint Filed", "Complaint Filed")
    assert path.position("help") is None and path.position("rescue") is not None
    assert path.exit == ("overtaken", "by rescue")


def test_the_held_out_enter_and_are_left_in_peace() -> None:
    help_ = replace(RESCUE, id="help", enter="search_failed.total >= 1", priority=1)
    care = replace(RESCUE, priority=2, conflicts=["help"], holdout=0.5)
    replica = replica_of(help_, care)
    names = [f"c{n}" for n in range(40)]
    for name in names:
        replica.log.append_events([failed_search(customer_id=name)])
        path = Path(replica, name).at(HOUR).at(2 * HOUR, *["Complaint Filed"] * 2)
        held_out = in_share("holdout:rescue", 0.5, name)
        position = path.position()
        assert position is not None and position.held_out is held_out
        assert (path.position("help") is not None) is held_out  # as if rescue did not exist
        [context] = replica.contexts.of([name], NOON + 3 * HOUR)
        assert replica.decider.pipeline.governor.sub_journeys.calls(
            context.contact_history, context.as_of
        )["agent_callback"].sub_journey == ("help" if held_out else "rescue")
        assert path.at(4 * HOUR, "Order Completed").position() is None  # its success is measured
    assert 8 < sum(in_share("holdout:rescue", 0.5, name) for name in names) < 32


def test_a_customer_in_flight_finishes_on_the_definition_that_she_entered() -> None:
    before = replica_of(RESCUE)
    Path(before).at(timedelta(), "Complaint Filed")
    changed = replace(RESCUE, steps=[Step(id="letter", action="loan_offer")])
    after = replica_of(changed)
    after.contexts = type(after.contexts)(ContextStore(before.log, after.fold))
    strategy = after.decider.pipeline.strategy._replace(
        scorer=None, exploration_policy=ExplorationPolicy(EpsilonGreedy(0.0))
    )
    pipeline = make_pipeline(after.fold.schema, strategy, earlier=[RESCUE])
    after.decider = type(after.decider)(pipeline=pipeline, contexts=after.contexts, log=before.log)
    after.log = before.log
    path = Path(after)
    assert path.at(25 * HOUR).step == "mail"
    assert path.at(50 * HOUR).exit == ("done", "24 hours are over")
    newcomer = Path(after, "bob").at(51 * HOUR, "Complaint Filed")
    assert newcomer.step == "letter"


def test_a_replica_that_has_not_heard_of_her_definition_leaves_her_where_she_is() -> None:
    ahead = replica_of(RESCUE)
    Path(ahead).at(timedelta(), "Complaint Filed")
    behind = SmallReplica(governed(sub_journeys=[replace(RESCUE, name="old")]), log=ahead.log)
    assert Path(behind).at(HOUR).step == "call"
    assert behind.decider.advance_sub_journeys(["ada"], NOON + HOUR, behind.chance) == []
