"""Rows of a training set know what was known at their moment, and nothing later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given, strategies as st

from nba.decisions.request import Request
from nba.events.event import Event
from tests.fixtures.examples import examples
from tests.fixtures.small_replica import (
    FOLD,
    NOON,
    SmallReplica,
    event,
    failed_search,
)
from tests.fixtures.training_history import (
    CLOSING,
    HOUR,
    RESPONSE,
    after,
    column,
    decided,
    history,
)
from training.data.history import read_history
from training.data.training_sets import PastDecisions, churn_set, decided_set

# What was known


def served(late: Sequence[Event]) -> tuple[SmallReplica, PastDecisions]:
    """Three decisions with events in between; `late` is appended after them."""
    replica = SmallReplica()
    for day in range(3):
        replica.log.append_events([failed_search(after(day))])
        replica.decide(Request(customer_id="ada"), now=after(day) + HOUR)
    replica.log.append_events([*late, event("page", after(60), customer_id="the end")])
    return replica, decided_set(read_history(FOLD, replica.log), RESPONSE)


def test_our_own_decision_is_learned_on_the_context_that_it_was_made_on() -> None:
    """Events that happened before it and came later are not in its row."""
    late = [event("Complaint Filed", after(day) - HOUR, received_at=after(50)) for day in range(3)]
    replica, data = served(late)
    decisions = [decision for _, decision in replica.log.page_decisions()]
    width = len(FOLD.schema.columns)
    assert [row[:width].astype("<f8").tobytes() for row in data.set.rows] == [
        decision.context for decision in decisions
    ]
    assert data.propensity.tolist() == [1.0] * 3
    # the fallback chose with certainty: it says nothing about other policies
    assert data.candidates == [()] * 3


def test_our_own_decision_sees_those_before_it_and_not_itself() -> None:
    _, data = served([])
    assert column(data.set, "contact.web.total") == [0.0, 1.0, 2.0]
    assert column(data.set, "offered.times") == [0.0, 1.0, 2.0]


def test_an_imported_decision_does_not_see_itself_either() -> None:
    made = history(failed_search(after(0)), *(decided(f"d{n}", after(n + 1)) for n in range(3)))
    data = decided_set(made, RESPONSE)
    assert column(data.set, "contact.web.total") == [0.0, 1.0, 2.0]
    assert column(data.set, "offered.times") == [0.0, 1.0, 2.0]
    assert column(data.set, "search_failed.total") == [1.0, 1.0, 1.0]


def test_an_imported_decision_knows_what_had_been_received() -> None:
    late = event("Complaint Filed", after(0), received_at=after(2))
    made = history(late, decided("d0", after(1)), decided("d1", after(2)), decided("d2", after(3)))
    assert column(decided_set(made, RESPONSE).set, "complaint.total") == [0.0, 1.0, 1.0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["page", "Complaint Filed", "Order Completed", "Action Decided"]),
            st.integers(0, 60),  # days after noon
            st.integers(0, 30),  # days of delay
        ),
        min_size=1,
        max_size=15,
    )
)
@examples(40)
def test_no_row_uses_an_event_that_was_received_later(made: list[tuple[str, int, int]]) -> None:
    """Each row is the fold of what had been received by its moment."""
    events = [
        event(
            name,
            after(day),
            {"action_id": "help_popup", "revenue": day},
            received_at=after(day + (0 if name == "Action Decided" else delay)),
        )
        for name, day, delay in made
    ]
    whole = history(*events)
    width = len(FOLD.schema.columns)
    for data in (churn_set(whole, CLOSING), decided_set(whole, RESPONSE).set):
        for row, at_s, customer_id in zip(data.rows, data.at_s, data.customers, strict=True):
            moment = NOON + timedelta(seconds=at_s - NOON.timestamp())
            seen = [
                one
                for one in whole.events
                if one.customer_id == customer_id and one.received_at <= moment
            ]
            if len(row) > width:  # an imported decision is looked at one microsecond before it
                moment -= timedelta(microseconds=1)
            seen = [one for one in seen if one.occurred_at <= moment]
            state = FOLD.advance(FOLD.empty, seen)
            assert state is not None
            expected = FOLD.context(customer_id, state, moment).values
            assert row[:width].tobytes() == expected.tobytes()
