"""The rows that `PostgresLog` hands over as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from nba.decisions.decision import Decision, decision_from_json
from nba.events.event import Event
from nba.stores.acceptance import AppendState, claimed_decision, decision_event_id, last_id
from nba.stores.log import GuardedEvents


class EventRow(msgspec.Struct):
    """A row of `events` before it has a seq."""

    event_id: str
    customer_id: str
    name: str
    occurred_at: datetime
    received_at: datetime
    decision_id: str | None
    properties: dict[str, Any]


class DecisionRow(msgspec.Struct):
    """A row of `decisions`, by the event whose seq it gets."""

    event_id: str
    decision_id: str
    customer_id: str
    request_id: str | None
    decided_at: datetime
    record: msgspec.Raw  # Decision.to_json, kept byte for byte


class Lookup(msgspec.Struct, kw_only=True):
    """What `APPEND_STATES` and `ANSWERED` look up."""

    customer_id: str
    request_id: str | None = None
    decision_id: str | None = None
    event_id: str | None = None


class UsedRow(msgspec.Struct):
    """What is taken of a capacity, or whose total is asked for."""

    capacity: str
    period: str
    used: float = 0.0


def as_json(value: object) -> str:
    """Rows as the one parameter of their statement."""
    return msgspec.json.encode(value).decode()


def event_row(event: Event) -> EventRow:
    """The row of one event."""
    return EventRow(
        event_id=event.event_id,
        customer_id=event.customer_id,
        name=event.name,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        decision_id=claimed_decision(event),
        properties=event.properties,
    )


def decision_row(decision: Decision) -> DecisionRow:
    """The row of one decision."""
    return DecisionRow(
        event_id=decision_event_id(decision.decision_id),
        decision_id=decision.decision_id,
        customer_id=decision.request.customer_id,
        request_id=decision.request.request_id,
        decided_at=decision.decided_at,
        record=msgspec.Raw(decision.to_json()),
    )


def decision_lookup(decision: Decision) -> Lookup:
    """What is looked up before a decision is appended."""
    return Lookup(
        customer_id=decision.request.customer_id,
        request_id=decision.request.request_id,
        decision_id=decision.decision_id,
        event_id=decision_event_id(decision.decision_id),
    )


def guarded_lookup(append: GuardedEvents) -> Lookup:
    """What is looked up before guarded events are appended."""
    return Lookup(customer_id=append.customer_id, event_id=last_id(append))


def append_state(position: int, earlier: str | None, taken: bool) -> AppendState:
    """What the log holds about an append, from a row of `APPEND_STATES`."""
    record = None if earlier is None else decision_from_json(earlier)
    return AppendState(position=position, earlier=record, taken=taken)
