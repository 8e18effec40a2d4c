"""A journey in which every detector runs, and a log of one customer to run them on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from features.fold import Fold
from features.replay.visits import EmotionHistoryNode, NodePart, emotion_history
from nba.events.event import Event
from nba.journey.file import JourneyFile
from nba.journey.mapping import EmotionRule, EventMapping, SignalRule
from nba.journey_file.checks import check_journey
from tests.house import JOURNEY, NOON, changed, event

PLACES = {
    **{"site_search": ("search", "result_click"), "website": ("click", "error", "page", "view")},
    "contract_letter": ("field", "field_error", "submit", "refund_request", "refund_paid"),
    "adviser_call": ("contact", "contact_end"),
    "banking_app": ("failure", "success", "nps", "csat", "ces", "survey_sent"),
}
EVENTS = [
    EventMapping(id=f"on_{role}", event=role, role=role, touchpoint=place)
    for place, roles in PLACES.items()
    for role in roles
]
EVENTS += [
    EventMapping(id="branch_contact", event="branch_contact", role="contact", touchpoint="branch"),
    EventMapping(id="loan_page", event="loan_page", role="page", touchpoint="contract_letter"),
    EventMapping(id="quiet", event="quiet", touchpoint="complaint_desk"),
]


def signal_journey(**signals: SignalRule) -> JourneyFile:
    """The small journey with every role mapped and these changes of signals."""
    journey = changed(
        JOURNEY,
        events=[*JOURNEY.events[:1], *EVENTS, *JOURNEY.events[1:]],
        emotion=EmotionRule(signals={"rage_click": SignalRule(), **signals}),
    )
    events = [e for e in journey.events if e.id not in ("rage_click", "page")]
    journey = changed(journey, events=events)
    assert not list(check_journey(journey)), list(check_journey(journey))
    return journey


JOURNEY_OF_SIGNALS = signal_journey()
FOLD_OF_SIGNALS = Fold(JOURNEY_OF_SIGNALS)


@dataclass(frozen=True)
class Told:
    """What one customer did: (seconds from noon, event name, properties)."""

    fold: Fold
    events: tuple[Event, ...]

    def nodes(self, after_s: float = 0.0) -> list[EmotionHistoryNode]:
        last = max(event.occurred_at for event in self.events)
        return list(
            emotion_history(self.fold, self.events, last + timedelta(seconds=after_s)).nodes
        )

    def parts(self, after_s: float = 0.0) -> list[NodePart]:
        return [part for node in self.nodes(after_s) for part in node.parts]

    def fired(self, signal: str, after_s: float = 0.0) -> list[NodePart]:
        return [part for part in self.parts(after_s) if part.signal and part.kind == signal]


def told(*steps: tuple[Any, ...], fold: Fold = FOLD_OF_SIGNALS) -> Told:
    """The log in which these steps happened, in this order."""
    events = []
    for number, (at_s, name, *rest) in enumerate(steps, start=1):
        made = event(
            name,
            NOON + timedelta(seconds=at_s),
            rest[0] if rest else None,
            event_id=f"{name}@{at_s:g}",
        )
        events.append(changed(made, seq=number))
    return Told(fold, tuple(events))
