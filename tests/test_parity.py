"""The law: the context that was served is the context that training replays, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from features.context_store import ContextStore
from features.replay.point_in_time import ContextQuestions, encode, replay
from nba.customer.context import Context, offered_columns
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.events.event import Event, micros
from nba.stores.log import Log
from nba.stores.memory.log import MemoryLog
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import NOON, SmallReplica, StubScorer, event

CUSTOMERS = ("ada", "ada", "bob", "ada", "bob", "cid")  # few, so that histories grow
ACTIONS = ("help_popup", "card_offer", "agent_callback", "loan_offer", "gone_offer", "no_action")
WAITS = (
    *(timedelta(), timedelta(), timedelta(microseconds=1), timedelta(seconds=70)),
    *(timedelta(minutes=20), timedelta(hours=3), timedelta(days=2), timedelta(days=40)),
)
DELAYS = (
    *(timedelta(), timedelta(), timedelta(), timedelta(microseconds=1)),
    *(timedelta(minutes=10), timedelta(hours=5), timedelta(days=3)),
)

SETTINGS = examples(60)


@pytest.fixture(autouse=True)
def _early_snapshots() -> Iterator[None]:
    """Snapshots after a few events, so that small logs have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.context_store.SNAPSHOT_AFTER", 3)
        yield


odd = st.sampled_from([None, "text", True, 7, -1.5, [1], {"a": 1}])
decided_ids = st.sampled_from(["d1", "d2", "d3", "nobody"])
traits = st.fixed_dictionaries(
    {},
    optional={
        "segment": st.sampled_from(["mass", "affluent", "private", "royal"]) | odd,
        "tenure_months": st.floats(0, 500) | odd,
        "has_mortgage": st.booleans() | odd,
        "shoe_size": st.integers(30, 50),
    },
)
amounts = st.floats(-1e6, 1e6) | st.sampled_from([1e308, 12, "12", None, False])
contents: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    st.tuples(st.just("identify"), traits),
    st.tuples(
        st.just("Products Searched"),
        st.fixed_dictionaries({}, optional={"results_count": st.sampled_from([0, 0, 5]) | odd}),
    ),
    st.tuples(st.just("Order Completed"), st.fixed_dictionaries({"revenue": amounts})),
    st.tuples(
        st.sampled_from(
            ["page", "Rage Click", "Application Opened", "Complaint Filed", "Branch Visited"]
        ),
        st.just({}),
    ),
    st.tuples(
        st.sampled_from(["Action Shown", "Action Accepted", "Action Dismissed"]),
        st.fixed_dictionaries({"decision_id": decided_ids}),
    ),
    st.tuples(
        st.just("Action Decided"),  # of another system
        st.fixed_dictionaries(
            {"action_id": st.sampled_from(ACTIONS) | odd},
            optional={"channel": st.sampled_from(["web", "app", "out_of_home"]) | odd},
        ),
    ),
    st.tuples(st.just("Never Heard Of"), st.just({"n": 1})),
)
appends = st.lists(
    st.tuples(
        st.sampled_from(CUSTOMERS),
        contents,
        st.sampled_from(DELAYS),
        st.none() | st.integers(0, 9),  # None, or a small number space in which ids collide
    ),
    min_size=1,
    max_size=5,
)
decides = st.tuples(
    st.lists(st.sampled_from(CUSTOMERS), min_size=1, max_size=3),
    st.sampled_from([timedelta(), timedelta(), timedelta(hours=1)]),  # how slow this clock is
    st.integers(0, 1),  # which replica
)
append_step = st.tuples(st.just("append"), appends)
decide_step = st.tuples(st.just("decide"), decides)
restart_step = st.tuples(st.just("restart"), st.integers(0, 1))
steps = st.lists(
    st.tuples(
        st.sampled_from(WAITS),
        st.one_of(append_step, decide_step, append_step, decide_step, restart_step),
    ),
    min_size=8,
    max_size=25,
)


def received(appended: list[Any], now: datetime) -> list[Event]:
    events = []
    for customer_id, (name, properties), delay, number in appended:
        event_id = None if number is None else f"repeated-{number}"
        made = event(name, now - delay, properties, customer_id=customer_id, received_at=now)
        events.append(made if event_id is None else _with_id(made, event_id))
    return events


def _with_id(made: Event, event_id: str) -> Event:
    return event(
        made.name,
        made.occurred_at,
        made.properties,
        customer_id=made.customer_id,
        received_at=made.received_at,
        event_id=event_id,
    )


def live(script: list[Any], scored: bool) -> tuple[Log, SmallReplica, dict[Any, Context]]:
    """Play the script on one log with two replicas; gives every context that was served."""
    log = MemoryLog()
    served: dict[Any, Context] = {}

    def opened_replica(number: int, generation: int) -> SmallReplica:
        scorer = StubScorer([0.9, 0.4, 0.5, 0.3, 0.0]) if scored else None
        replica = SmallReplica(
            log=log, scorer=scorer, kept=1 + 9 * number, name=f"r{number}.{generation}-"
        )
        replica.contexts.served = served
        return replica

    replicas = [opened_replica(0, 0), opened_replica(1, 0)]
    now = NOON
    for generation, (wait, (what, content)) in enumerate(script, start=1):
        now += wait
        if what == "append":
            log.append_events(received(content, now))
        elif what == "restart":
            replicas[content] = opened_replica(content, generation)
        else:
            customers, slow, number = content
            requests = [Request(customer_id=customer) for customer in customers]
            replicas[number].decide(*requests, now=now - slow)
    return log, replicas[0], served


def moments_of(decisions: list[Decision], action: int = -1) -> ContextQuestions:
    """What `training.data.training_sets` asks about our own decisions."""
    return ContextQuestions(
        customers=np.array([d.request.customer_id for d in decisions], dtype=object),
        as_of=np.array([micros(d.decided_at) / 1e6 for d in decisions]),
        seen_seq=np.array([d.context_seq for d in decisions], dtype=np.int64),
        seen_received=np.full(len(decisions), np.inf),
        actions=np.full(len(decisions), action),
    )


def bits(row: np.ndarray) -> bytes:
    return row.astype("<f8").tobytes()


@given(steps, st.booleans())
@SETTINGS
def test_every_served_context_is_replayed_bit_for_bit(script: list[Any], scored: bool) -> None:
    log, replica, _ = live(script, scored)
    decisions = [decision for _, decision in log.page_decisions()]
    rows = encode(replica.fold, log.page_events())
    values, _ = replay(replica.fold, rows, moments_of(decisions))
    for decision, row in zip(decisions, values, strict=True):
        assert bits(row) == decision.context


@given(steps, st.booleans())
@SETTINGS
def test_a_fresh_fold_of_what_was_seen_gives_the_served_context(
    script: list[Any], scored: bool
) -> None:
    log, replica, served = live(script, scored)
    for _, decision in log.page_decisions():
        customer_id = decision.request.customer_id
        seen = [
            one
            for one in log.page_events()
            if one.customer_id == customer_id and one.seq <= decision.context_seq
        ]
        state = replica.fold.advance(replica.fold.empty, seen)
        assert state is not None
        context = replica.fold.context(customer_id, state, decision.decided_at)
        assert bits(context.values) == decision.context
        assert context.as_of == decision.decided_at
        key = (customer_id, decision.context_seq, decision.decided_at)
        assert context.contacts == served[key].contacts
        assert context.known == decision.known_customer == bool(seen)


@given(steps)
@SETTINGS
def test_what_was_offered_before_is_replayed_as_it_was_served(script: list[Any]) -> None:
    log, replica, served = live(script, scored=True)
    decisions = [decision for _, decision in log.page_decisions()]
    contexts = [served[d.request.customer_id, d.context_seq, d.decided_at] for d in decisions]
    rows = encode(replica.fold, log.page_events())
    n_actions = len(replica.journey.actions)
    for action in range(n_actions):
        _, offered = replay(replica.fold, rows, moments_of(decisions, action))
        for context, row in zip(contexts, offered, strict=True):
            assert bits(row) == bits(offered_columns(context, n_actions)[action])
    _, offered = replay(replica.fold, rows, moments_of(decisions, action=-1))
    for row in offered:  # no_action was never offered, whatever left the journey file
        assert bits(row) == bits(np.array([np.nan, 0.0]))


@given(
    st.lists(st.tuples(st.sampled_from(("ada", "bob")), contents), min_size=1, max_size=20).flatmap(
        lambda made: st.tuples(st.just(made), st.permutations(range(len(made))))
    ),
    st.sets(st.integers(1, 19)),
)
@SETTINGS
def test_the_order_of_arrival_does_not_matter_once_all_has_arrived(
    case: tuple[list[tuple[str, tuple[str, dict[str, Any]]]], list[int]], looks: set[int]
) -> None:
    """Each event has its own time: of two at one time, the log's order says which came first."""
    made, order = case
    end = NOON + timedelta(days=1)
    events = [
        event(name, NOON + timedelta(minutes=7 * n), properties, customer_id=who, received_at=end)
        for n, (who, (name, properties)) in enumerate(made)
    ]
    contexts = []
    for arrival in ([*range(len(events))], order):
        log = MemoryLog()
        replica = SmallReplica(log=log)
        store = ContextStore(log, replica.fold)
        for number, position in enumerate(arrival):
            log.append_events([events[position]])
            if number in looks:  # what is cached on the way must not show
                store.of(("ada", "bob"), end)
        contexts.append(store.of(("ada", "bob"), end))
    for one, other in zip(*contexts, strict=True):
        assert bits(one.values) == bits(other.values)
        assert one.contacts == other.contacts
        assert (one.known, one.as_of) == (other.known, other.as_of)
