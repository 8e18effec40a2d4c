"""The laws of sub-journeys, on random definitions, events and times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, strategies as st
from msgspec.structs import replace

from features.context_store import ContextStore
from models.policies.epsilon_greedy import EpsilonGreedy
from nba.decisions.request import Request
from nba.journey.file import JourneyFile
from nba.stores.memory.log import MemoryLog
from tests.fixtures.examples import examples
from tests.fixtures.random_catalogues import HOUR, OPEN, SCORES, histories, sub_journeys
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

HAPPENS = ["Complaint Filed", "Order Completed", "Advice Given", "page", "Consent Withdrawn"]
journeys = st.builds(lambda found: replace(OPEN, sub_journeys=found), sub_journeys())
moments_ = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([None, None, *HAPPENS]), st.booleans()),
    min_size=1,
    max_size=8,
)


@examples(120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(journeys, histories(most=6), moments_)
def test_random_passages_keep_the_laws(
    journey: JourneyFile, events: list[Any], moments: list[tuple[int, str | None, bool]]
) -> None:
    replica = SmallReplica(journey, scorer=StubScorer(SCORES), policy=EpsilonGreedy(0.2))
    replica.log.append_events(events)
    governor = replica.decider.pipeline.governor
    now = NOON
    for hours, name, asks in moments:
        now += hours * HOUR
        if name is not None:
            replica.log.append_events([event(name, now)])
        if asks:
            replica.decide(Request(customer_id="ada"), now=now)
        replica.decider.advance_sub_journeys(["ada"], now, replica.chance)
        size = replica.log.position()
        replica.decider.advance_sub_journeys(["ada"], now, replica.chance)
        assert replica.log.position() == size  # attended twice is attended once
        [context] = replica.contexts.of(["ada"], now)
        [rebuilt] = ContextStore(replica.log, replica.fold).of(["ada"], now)
        assert context.contact_history == rebuilt.contact_history
        active = {
            position.sub_journey
            for position in context.contact_history.positions
            if not position.held_out
        }
        assert not {"s0", "s1"} <= active
        called = governor.sub_journeys.calls(context.contact_history, context.as_of)
        assert {call.sub_journey for call in called.values()} <= active
    _hold_passages(replica.log)
    for _, decision in replica.log.page_decisions():
        if decision.step:
            assert decision.step.split("/")[0] in {one for one, _ in _open(replica.log, decision)}


def _open(log: MemoryLog, decision: Any) -> set[tuple[str, datetime]]:
    """The passages that were under way at a decision, its own moves among them."""
    found: set[tuple[str, datetime]] = set()
    for one in log.page_events():
        if one.event_id == f"decision:{decision.decision_id}":
            break
        episode = one.properties.get("episode_id")
        if one.name == "Sub-journey Entered" and not one.properties.get("held_out"):
            found.add((episode, one.occurred_at))
        if one.name == "Sub-journey Left":
            found = {each for each in found if each[0] != episode}
    return found


def _hold_passages(log: MemoryLog) -> None:
    """Each passage: entered once, then moves, then left at most once; moves are numbered."""
    passages: dict[str, list[Any]] = {}
    for one in log.page_events():
        if one.name.startswith("Sub-journey"):
            passages.setdefault(one.properties["episode_id"], []).append(one)
    for episode, found in passages.items():
        names = [one.name.split()[1] for one in found]
        assert names[0] == "Entered" and set(names[1:-1]) <= {"Moved"}
        assert names[-1] in {"Entered", "Moved", "Left"}
        ids = [f"sub-journey:{episode}:{n + 1}" for n in range(len(found))]
        assert [one.event_id for one in found] == ids
