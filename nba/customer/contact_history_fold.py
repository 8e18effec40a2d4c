"""Fold events into a contact history, one after the other, in order of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from nba.customer.consent_words import spelled
from nba.customer.contact_history import (
    ENTERED,
    EVERY,
    OUTBOUND_REQUEST,
    ConsentChange,
    Contact,
    ContactHistory,
    ContactHistoryRules,
    CountedEvent,
    SubJourneyExit,
    SubJourneyPosition,
    Suppression,
    outbound_request_kind,
    run_of,
)
from nba.customer.contact_history_room import contacts_within
from nba.customer.sub_journey_keys import with_keyed_event, without_crowd
from nba.events.event import Event, micros
from nba.events.names import (
    ACTION_ACCEPTED,
    ACTION_CLICKED,
    ACTION_DECIDED,
    ACTION_DISMISSED,
    ACTION_EXPIRED,
    ACTION_FEEDBACK,
    ACTION_SHOWN,
    CONSENT_GIVEN,
    CONSENT_WITHDRAWN,
    CONTACT_RESUMED,
    CONTACT_SUPPRESSED,
    SUB_JOURNEY_ENTERED,
    SUB_JOURNEY_LEFT,
    SUB_JOURNEY_MOVED,
)
from nba.journey.actions import NO_ACTION
from nba.journey.policies import ContactStatus

CONTACT_HISTORY_VERSION = 3  # raised when the fold's meaning changes
MAX_OUTBOUND_REQUESTS = 64  # decisions for outbound steps that are remembered
OUTCOME_STATUS: dict[str, ContactStatus] = {
    ACTION_SHOWN: "shown",
    ACTION_CLICKED: "clicked",
    ACTION_ACCEPTED: "accepted",
    ACTION_DISMISSED: "dismissed",
}


def fold(events: Iterable[tuple[Event, str | None]], rules: ContactHistoryRules) -> ContactHistory:
    """The contact history after these events, each with its kind, in order of time."""
    history = ContactHistory()
    for event, kind in events:
        history = advance(history, event, kind, rules)
    return history


def advance(
    history: ContactHistory, event: Event, kind: str | None, rules: ContactHistoryRules
) -> ContactHistory:
    """The contact history after one more event of this mapped kind, not earlier than the last."""
    at_s = micros(event.occurred_at) / 1e6
    name = event.name
    if kind is not None and kind in rules.kinds:
        history = _with_counted_event(history, CountedEvent(kind, at_s), rules.kinds[kind], rules)
    for keyed in rules.keyed:
        if kind is not None and (kind in keyed.enters or kind in keyed.ends):
            history = with_keyed_event(history, keyed, kind, event.properties, at_s)
    if name == ACTION_DECIDED:
        return _with_decision(history, event.properties, at_s, rules)
    if name in ACTION_FEEDBACK:
        return _with_feedback(history, name, event.properties, at_s, rules)
    if name in (CONSENT_GIVEN, CONSENT_WITHDRAWN):
        return _with_consent_change(history, event, at_s)
    if name in (CONTACT_SUPPRESSED, CONTACT_RESUMED):
        return _with_suppression(history, name == CONTACT_SUPPRESSED, event.properties)
    if name in (SUB_JOURNEY_ENTERED, SUB_JOURNEY_MOVED, SUB_JOURNEY_LEFT):
        return apply_sub_journey_move(history, name, event.properties, at_s)
    return history


def apply_sub_journey_move(
    history: ContactHistory, name: str, properties: dict[str, Any], at_s: float
) -> ContactHistory:
    """The contact history after a move into, within or out of a sub-journey."""
    sub_journey, episode = _text(properties, "sub_journey"), _text(properties, "episode_id")
    run = run_of(episode) if run_of(episode).startswith(f"{sub_journey}#") else sub_journey
    position = history.position(run)
    others = tuple(other for other in history.positions if other is not position)
    if name == SUB_JOURNEY_ENTERED:
        entered = SubJourneyPosition(
            sub_journey=run,
            definition=_text(properties, "definition"),
            episode=episode,
            entered_s=at_s,
            step=_text(properties, "step"),
            since_s=at_s,
            moves=1,
            held_out=properties.get("held_out") is True,
        )
        entry = CountedEvent(f"{ENTERED}{run}", at_s)
        counted = tuple(e for e in history.counted_events if e.kind != entry.kind)
        return replace(history, positions=(*others, entered), counted_events=(*counted, entry))
    if name == SUB_JOURNEY_LEFT and _text(properties, "exit") == "crowded":
        return without_crowd(history, sub_journey)
    if position is None or position.episode != episode:
        return history
    if name == SUB_JOURNEY_MOVED:
        step = _text(properties, "step")
        onward = replace(position, step=step, since_s=at_s, moves=position.moves + 1)
        return replace(history, positions=(*others, onward))
    last = SubJourneyExit(run, at_s, _text(properties, "exit"))
    exits = tuple(earlier for earlier in history.exits if earlier.sub_journey != run)
    return replace(history, positions=others, exits=(*exits, last))


def _with_decision(
    history: ContactHistory, properties: dict[str, Any], at_s: float, rules: ContactHistoryRules
) -> ContactHistory:
    asked_for = _text(properties, "asked_for")
    if asked_for:
        request = CountedEvent(outbound_request_kind(asked_for), at_s)
        history = _with_counted_event(history, request, 1, rules)
    action = _text(properties, "action_id")
    if not action or action == NO_ACTION:
        return history
    contact = Contact(
        action=action,
        channel=_text(properties, "channel"),
        at_s=at_s,
        decision_id=_text(properties, "decision_id"),
        counted=properties.get("deferred") is not True,
        step=_text(properties, "step"),
        not_before=_timestamp_s(_text(properties, "not_before")),
    )
    return _with_contacts(history, (*history.contacts, contact), at_s, rules)


def _with_consent_change(history: ContactHistory, event: Event, at_s: float) -> ContactHistory:
    """A consent is taken as narrowly, a withdrawal as widely as it can be read."""
    granted = event.name == CONSENT_GIVEN
    scope = [event.properties.get(name) for name in ("purpose", "channel")]
    scope = [spelled(word) if isinstance(word, str) else word for word in scope]
    readable = [isinstance(word, str) and word != "" for word in scope]
    if granted and any(
        word is not None and not is_text for word, is_text in zip(scope, readable, strict=True)
    ):
        return history
    purpose, channel = (
        str(word) if is_text else EVERY for word, is_text in zip(scope, readable, strict=True)
    )
    replaced = [
        change
        for change in history.consent_changes
        if (change.purpose, change.channel, change.granted) == (purpose, channel, granted)
    ]
    seq = event.seq if granted else max([event.seq, *(change.seq for change in replaced)])
    kept = [change for change in history.consent_changes if change not in replaced]
    change = ConsentChange(purpose, channel, granted, at_s, seq)
    return replace(history, consent_changes=(*kept, change))


def _with_feedback(
    history: ContactHistory,
    name: str,
    properties: dict[str, Any],
    at_s: float,
    rules: ContactHistoryRules,
) -> ContactHistory:
    decision_id, action = _text(properties, "decision_id"), _text(properties, "action_id")
    status = OUTCOME_STATUS.get(name)
    for index in range(len(history.contacts) - 1, -1, -1):
        contact = history.contacts[index]
        if not decision_id or contact.decision_id != decision_id:
            continue
        changed = _contact_after(contact, status, at_s, expired=name == ACTION_EXPIRED)
        contacts = (*history.contacts[:index], changed, *history.contacts[index + 1 :])
        return replace(history, contacts=contacts)
    if name == ACTION_EXPIRED or not action:
        return history
    unannounced = Contact(
        action=action,
        channel=_text(properties, "channel"),
        at_s=at_s,
        decision_id=decision_id,
        counted=status is None,
        step=_text(properties, "step"),
    )
    if status is not None:
        unannounced = replace(unannounced, **{status: at_s})
    return _with_contacts(history, (*history.contacts, unannounced), at_s, rules)


def _contact_after(
    contact: Contact, status: ContactStatus | None, at_s: float, *, expired: bool
) -> Contact:
    """A contact after an outcome (`status`), its activation or delivery (None), or its expiry."""
    reached = any(outcome_s is not None for outcome_s in _outcomes_s(contact))
    if expired:  # what the customer has seen did reach them
        return contact if reached else replace(contact, counted=False)
    if status is None or not (contact.counted or reached):  # whatever shows that it was activated
        contact = contact if contact.counted else replace(contact, counted=True, at_s=at_s)
        return contact if status is None else replace(contact, **{status: at_s})
    return contact if getattr(contact, status) is not None else replace(contact, **{status: at_s})


def _with_contacts(
    history: ContactHistory,
    contacts: tuple[Contact, ...],
    now_s: float,
    rules: ContactHistoryRules,
) -> ContactHistory:
    since_s = now_s - rules.horizon_s
    if contacts[0].at_s <= since_s:
        contacts = tuple(contact for contact in contacts if _last_s(contact) > since_s)
    return replace(history, contacts=contacts_within(contacts, history.positions, rules))


def _with_counted_event(
    history: ContactHistory, event: CountedEvent, kept: int, rules: ContactHistoryRules
) -> ContactHistory:
    """Of each kind as many as a rule asks about; more than that says nothing new."""
    since_s = event.at_s - rules.horizon_s
    events = [
        earlier
        for earlier in history.counted_events
        if earlier.at_s > since_s or earlier.kind.startswith(ENTERED)
    ]
    over = sum(earlier.kind == event.kind for earlier in events) + 1 - kept
    if over > 0:
        events.remove(next(earlier for earlier in events if earlier.kind == event.kind))
    requests = [earlier for earlier in events if earlier.kind.startswith(OUTBOUND_REQUEST)]
    if len(requests) > MAX_OUTBOUND_REQUESTS:
        events.remove(requests[0])
    return replace(history, counted_events=(*events, event))


def _outcomes_s(contact: Contact) -> tuple[float | None, ...]:
    return contact.shown, contact.clicked, contact.accepted, contact.dismissed


def _last_s(contact: Contact) -> float:
    return max([contact.at_s, *(at_s for at_s in _outcomes_s(contact) if at_s is not None)])


def _with_suppression(
    history: ContactHistory, stop: bool, properties: dict[str, Any]
) -> ContactHistory:
    channel = spelled(_text(properties, "channel")) or EVERY
    if not stop:
        kept = tuple(s for s in history.suppressions if channel not in (EVERY, s.channel))
        return replace(history, suppressions=kept)
    kept = tuple(s for s in history.suppressions if s.channel != channel)
    suppression = Suppression(channel, _timestamp_s(_text(properties, "until")))
    return replace(history, suppressions=(*kept, suppression))


def _timestamp_s(text: str) -> float | None:
    """An ISO 8601 time; one that cannot be read stops for good, which is the safe side."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()


def _text(properties: dict[str, Any], name: str) -> str:
    value = properties.get(name)
    return value if isinstance(value, str) else ""
