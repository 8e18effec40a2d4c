"""Notes on events that are taken and have no effect as they are."""

from __future__ import annotations

from collections.abc import Iterator

from features.encoder import Encoder
from nba.errors import did_you_mean, shown
from nba.events.event import Event
from nba.events.names import ACTION_OUTCOMES, GOVERNANCE_EVENTS, IDENTIFY, REWARD_GIVEN

KNOWN = (IDENTIFY, REWARD_GIVEN, *GOVERNANCE_EVENTS, *ACTION_OUTCOMES)  # read without a mapping


def is_unmapped(encoder: Encoder, event: Event) -> bool:
    """Whether the journey file says nothing of an event that has no meaning of its own."""
    return event.name not in KNOWN and encoder.kind(event) is None


def event_notes(encoder: Encoder, event: Event) -> Iterator[str]:
    """What of an event is without effect: its name, traits that are not declared as it has them."""
    journey = encoder.journey
    if is_unmapped(encoder, event):
        names = {mapping.event for mapping in journey.events}
        if event.name in names:
            why = "no `when` of its mappings holds"
        else:
            why = did_you_mean(event.name, {*names, *KNOWN})
        yield f"unmapped: {shown(event.name)}: {why}"
    if event.name == IDENTIFY:
        for name, trait in journey.traits.items():
            value = event.properties.get(name)
            if trait.type == "category" and value is not None and value not in (trait.values or []):
                listed = did_you_mean(str(value), trait.values or [])
                yield f"traits.{name}: {shown(value)} is not declared, read as missing: {listed}"
