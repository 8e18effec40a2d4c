"""The events of one body: those that can be taken, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from features.encoder import Encoder
from features.event_notes import event_notes
from nba.errors import InvalidInput
from nba.events.event import Event
from nba.events.names import LOG_EVENTS
from nba.events.parsing import parse_event
from serving.api.schemas import RejectedEvent

MOST_NOTES = 20  # in one answer


class EventBatch(NamedTuple):
    """What a body holds."""

    events: list[Event]
    rejected: list[RejectedEvent]
    error: InvalidInput | None  # of the first that was rejected


def read_events(
    payload: object, now: datetime, *, most: int, check: Callable[[Event], None]
) -> EventBatch:
    """One event, a list, or a list under `events` or `batch`.

    `check` raises InvalidInput for what the journey file does not take of an event. Raises
    InvalidInput where there are more than `most`.
    """
    batch = EventBatch([], [], None)
    for index, item in enumerate(_items(payload, most)):
        try:
            event = parse_event(item, now)
            if event.name in LOG_EVENTS:
                raise InvalidInput("name", event.name, "reserved: the log itself appends it")
            check(event)
            batch.events.append(event)
        except InvalidInput as error:
            batch = batch._replace(error=batch.error or error)
            batch.rejected.append(
                RejectedEvent(
                    index=index, field=error.field, value=error.value, remedy=error.remedy
                )
            )
    return batch


def notes_of(events: Sequence[Event], encoder: Encoder) -> list[str]:
    """What was taken and has no effect as it is: names that the journey file does not map, and
    categories that it does not list; each once."""
    notes: dict[str, None] = {}
    for event in events:
        notes |= dict.fromkeys(event_notes(encoder, event))
    return list(notes)[:MOST_NOTES]


def _items(payload: object, most: int) -> list[object]:
    """The events of a body: itself, a list, or a list under `events` or `batch`."""
    items: list[object] = [payload]
    if isinstance(payload, list):
        items = payload
    elif isinstance(payload, dict):
        events = payload.get("events", payload.get("batch"))
        if isinstance(events, list):
            sent_at = payload.get("sent_at", payload.get("sentAt"))
            items = [_sent(item, sent_at) for item in events] if sent_at is not None else events
    if len(items) > most:
        raise InvalidInput("events", len(items), f"send at most {most} events in one call")
    return items


def _sent(item: object, sent_at: object) -> object:
    """The item, with its batch's sending time where it has none of its own."""
    if not isinstance(item, dict) or "sent_at" in item or "sentAt" in item:
        return item
    return {**item, "sent_at": sent_at}
