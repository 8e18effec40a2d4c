"""The decision: bytes that come back as they went in, and the event beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, strategies as st

from nba.customer.contact_history import Contact, ContactHistory
from nba.decisions.candidate import Candidate, Reason, Refused, Stage
from nba.decisions.decision import (
    CapacityTaken,
    Churn,
    Decision,
    LiftedRule,
    Mode,
    decision_from_json,
)
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove
from nba.journey.actions import NO_ACTION
from tests.fixtures.examples import examples

AT = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
optional = st.none() | numbers
reasons = st.builds(Reason, column=texts, value=optional, contribution=numbers, text=texts)
moments = st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC))
moves = st.builds(
    SubJourneyMove, name=texts, sub_journey=texts, definition=texts, episode_id=texts,
    number=st.integers(1, 9), due=st.lists(moments, max_size=2).map(tuple),
)  # fmt: skip
uses = st.builds(CapacityTaken, capacity=texts, period=texts, amount=numbers, most=numbers)
ledgers = st.builds(
    ContactHistory,
    contacts=st.lists(st.builds(Contact, action=texts, channel=texts, at_s=numbers)).map(tuple),
    cut_s=optional,
)
decisions = st.builds(
    Decision,
    decision_id=texts,
    request=st.builds(
        Request,
        customer_id=texts,
        channel=st.none() | texts,
        placement=st.none() | texts,
        request_id=st.none() | texts,
        candidates=st.none() | st.lists(texts, max_size=3).map(tuple),
        facts=st.dictionaries(texts, st.none() | st.booleans() | numbers | texts, max_size=3),
    ),
    decided_at=st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC)),
    mode=st.sampled_from(Mode),
    action_id=texts,
    treatment=st.none() | texts,
    propensity=st.floats(0, 1, exclude_min=True),
    candidates=st.lists(
        st.builds(
            Candidate,
            action_id=texts,
            p_accept=optional,
            context_weight=numbers,
            value_eur=numbers,
            lever=numbers,
            cost_eur=numbers,
            priority=optional,
            propensity=st.floats(0, 1),
        ),
        max_size=3,
    ).map(tuple),
    refused=st.lists(
        st.builds(
            Refused,
            action_id=texts,
            stage=st.sampled_from(Stage),
            code=texts,
            rule=texts,
            detail=texts,
        ),
        max_size=3,
    ).map(tuple),
    reasons=st.lists(reasons, max_size=3).map(tuple),
    churn=st.none() | st.builds(Churn, risk=numbers, horizon_days=numbers),
    known_customer=st.booleans(),
    context=st.binary(max_size=40),
    context_schema=texts,
    context_seq=st.integers(0, 2**53),
    bundle_id=st.none() | texts,
    catalogue_version=texts,
    policy=texts,
    seed=st.integers(0, 2**63),
    note=st.none() | texts,
    treatment_propensity=st.floats(0, 1),
    not_before=st.none() | moments,
    step=texts,
    moves=st.lists(moves, max_size=2).map(tuple),
    uses=st.lists(uses, max_size=2).map(tuple),
    used=st.dictionaries(texts, numbers, max_size=2),
    lifted=st.lists(st.builds(LiftedRule, rule=texts, action_ids=st.just(("a",))), max_size=2).map(
        tuple
    ),
    contact_history=ledgers,
    contacts=st.binary(max_size=24),
)


@given(decisions)
@examples(150)
def test_a_decision_comes_back_from_its_json_and_gives_the_same_bytes(decision: Decision) -> None:
    written = decision.to_json()
    again = decision_from_json(written)
    assert again == decision
    assert again.to_json() == written
    assert decision_from_json(written.decode()) == decision


def decided(**fields: Any) -> Decision:
    given: dict[str, Any] = {
        "decision_id": "d-1",
        "request": Request(customer_id="ada", channel="web"),
        "decided_at": AT,
        "mode": Mode.LIVE,
        "action_id": "help_popup",
        "treatment": None,
        "propensity": 0.95,
        "candidates": (),
        "refused": (),
        "reasons": (),
        "churn": None,
        "known_customer": True,
        "context": b"",
        "context_schema": "context-0",
        "context_seq": 41,
        "bundle_id": None,
        "catalogue_version": "catalogue-0",
        "policy": "p",
        "seed": 1,
    }
    return Decision(**{**given, **fields})


def test_the_order_of_facts_does_not_show_in_the_bytes() -> None:
    one = decided(request=Request(customer_id="ada", facts={"a": 1, "b": 2}))
    other = decided(request=Request(customer_id="ada", facts={"b": 2, "a": 1}))
    assert one.to_json() == other.to_json()


def test_the_event_of_a_decision_says_what_training_needs() -> None:
    event = decided().as_events()[-1]
    assert event.event_id == "decision:d-1"
    assert (event.customer_id, event.name) == ("ada", "Action Decided")
    assert event.occurred_at == event.received_at == AT
    assert event.properties == {
        "decision_id": "d-1",
        "action_id": "help_popup",
        "propensity": 0.95,
        "context_seq": 41,
        "channel": "web",
    }


def test_the_event_of_a_request_for_any_channel_names_none() -> None:
    event = decided(request=Request(customer_id="ada"), action_id=NO_ACTION).as_events()[-1]
    assert "channel" not in event.properties
    assert event.properties["action_id"] == NO_ACTION


def test_moves_come_before_the_decision_and_wake_their_steps() -> None:
    entered = SubJourneyMove(
        name="Sub-journey Entered", sub_journey="rescue", definition="abc", episode_id="e1",
        number=1, step="call", due=(AT, AT + timedelta(hours=2)),
    )  # fmt: skip
    decision = decided(moves=(entered,), step="e1/call")
    first, last = decision.as_events()
    assert (first.event_id, first.name) == ("sub-journey:e1:1", "Sub-journey Entered")
    assert first.properties["step"] == "call" and last.properties["step"] == "e1/call"
    assert [(timer.timer_id, timer.due_at) for timer in decision.timers] == [
        ("e1:1:0", AT), ("e1:1:1", AT + timedelta(hours=2)),
    ]  # fmt: skip


def test_an_outbound_step_that_came_to_nothing_is_tried_again() -> None:
    asked = Request(customer_id="ada", outbound=True, asked_for="e1/call")
    assert decided(request=asked, step="e1/call").timers == ()
    for other in ({"action_id": NO_ACTION}, {"step": ""}):  # nothing, or something else was drawn
        [again] = decided(request=asked, **other).timers
        assert (again.timer_id, again.due_at) == ("e1/call:d-1", AT + timedelta(hours=6))
    assert decided(request=asked).delivered_by_us
    assert not decided(request=asked, action_id=NO_ACTION).delivered_by_us


def test_in_shadow_mode_the_event_names_what_the_customer_got() -> None:
    request = Request(customer_id="ada", baseline="card_offer", outbound=True)
    decision = decided(request=request, mode=Mode.SHADOW)
    [event] = decision.as_events()
    assert event.properties["action_id"] == "card_offer"
    assert event.properties["shadow_action_id"] == "help_popup"
    assert "propensity" not in event.properties and not decision.delivered_by_us
