"""The fold of the ledger: one event after the other, in order of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from nba.customer.contact_history import (
    ANY,
    ASKED,
    ConsentChange,
    Contact,
    ContactHistory,
    ContactHistoryRules,
    CountedEvent,
    SubJourneyExit,
    SubJourneyPosition,
    Suppression,
    asked_mark,
)
from nba.events.event import Event, micros
from nba.events.names import (
    ACTION_ACCEPTED,
    ACTION_ACTIVATED,
    ACTION_CLICKED,
    ACTION_DECIDED,
    ACTION_DELIVERED,
    ACTION_DISMISSED,
    ACTION_EXPIRED,
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

LEDGER_VERSION = 2  # raised when the fold's meaning changes
TOUCHES_KEPT = 256
ASKED_KEPT = 64  # decisions for outbound steps that are remembered
SIGN_OF = {
    ACTION_SHOWN: "shown",
    ACTION_CLICKED: "clicked",
    ACTION_ACCEPTED: "accepted",
    ACTION_DISMISSED: "dismissed",
}


def advance(
    contact_history: ContactHistory, event: Event, kind: str | None, rules: ContactHistoryRules
) -> ContactHistory:
    """The ledger after one more event of this mapped kind, not earlier than the last."""
    at_s = micros(event.occurred_at) / 1e6
    name = event.name
    if kind is not None and kind in rules.kinds:
        contact_history = _marked(
            contact_history, CountedEvent(kind, at_s), rules.kinds[kind], rules
        )
    if name == ACTION_DECIDED:
        return _decided(contact_history, event.properties, at_s, rules)
    if name in SIGN_OF or name in (ACTION_ACTIVATED, ACTION_DELIVERED, ACTION_EXPIRED):
        return _signed(contact_history, name, event.properties, at_s, rules)
    if name in (CONSENT_GIVEN, CONSENT_WITHDRAWN):
        return _said(contact_history, event, at_s)
    if name in (CONTACT_SUPPRESSED, CONTACT_RESUMED):
        return _suppressed(contact_history, name == CONTACT_SUPPRESSED, event.properties)
    if name in (SUB_JOURNEY_ENTERED, SUB_JOURNEY_MOVED, SUB_JOURNEY_LEFT):
        return moved(contact_history, name, event.properties, at_s)
    return contact_history


def moved(
    contact_history: ContactHistory, name: str, properties: dict[str, Any], at_s: float
) -> ContactHistory:
    """The ledger after a step into, within or out of a sub-journey."""
    sub_journey = _text(properties, "sub_journey")
    present = contact_history.position(sub_journey)
    others = tuple(one for one in contact_history.positions if one is not present)
    if name == SUB_JOURNEY_ENTERED:
        entered = SubJourneyPosition(
            sub_journey=sub_journey,
            definition=_text(properties, "definition"),
            episode=_text(properties, "episode_id"),
            entered_s=at_s,
            step=_text(properties, "step"),
            since_s=at_s,
            moves=1,
            held_out=properties.get("held_out") is True,
        )
        return replace(contact_history, positions=(*others, entered))
    if present is None or present.episode != _text(properties, "episode_id"):
        return contact_history
    if name == SUB_JOURNEY_MOVED:
        step = _text(properties, "step")
        onward = replace(present, step=step, since_s=at_s, moves=present.moves + 1)
        return replace(contact_history, positions=(*others, onward))
    ended = SubJourneyExit(sub_journey, at_s, _text(properties, "exit"))
    left = tuple(one for one in contact_history.left if one.sub_journey != sub_journey)
    return replace(contact_history, positions=others, left=(*left, ended))


def _decided(
    contact_history: ContactHistory,
    properties: dict[str, Any],
    at_s: float,
    rules: ContactHistoryRules,
) -> ContactHistory:
    asked_for = _text(properties, "asked_for")
    if asked_for:
        contact_history = _marked(
            contact_history, CountedEvent(asked_mark(asked_for), at_s), 1, rules
        )
    action = _text(properties, "action_id")
    if not action or action == NO_ACTION:
        return contact_history
    touch = Contact(
        action,
        _text(properties, "channel"),
        at_s,
        _text(properties, "decision_id"),
        properties.get("deferred") is not True,
        _text(properties, "step"),
        not_before=_moment_s(_text(properties, "not_before")),
    )
    return _touched(contact_history, (*contact_history.touches, touch), at_s, rules)


def _said(contact_history: ContactHistory, event: Event, at_s: float) -> ContactHistory:
    """A consent is taken as narrowly, a withdrawal as widely as it can be read."""
    granted = event.name == CONSENT_GIVEN
    told = [event.properties.get(name) for name in ("purpose", "channel")]
    if granted and any(one is not None and not (isinstance(one, str) and one) for one in told):
        return contact_history
    purpose, channel = (one if isinstance(one, str) and one else ANY for one in told)
    before = [
        one
        for one in contact_history.said
        if (one.purpose, one.channel, one.granted) == (purpose, channel, granted)
    ]
    seq = event.seq if granted else max([event.seq, *(one.seq for one in before)])
    kept = [one for one in contact_history.said if one not in before]
    return replace(
        contact_history, said=(*kept, ConsentChange(purpose, channel, granted, at_s, seq))
    )


def _signed(
    contact_history: ContactHistory,
    name: str,
    properties: dict[str, Any],
    at_s: float,
    rules: ContactHistoryRules,
) -> ContactHistory:
    decision_id, action = _text(properties, "decision_id"), _text(properties, "action_id")
    sign = SIGN_OF.get(name)
    for index in range(len(contact_history.touches) - 1, -1, -1):
        touch = contact_history.touches[index]
        if not decision_id or touch.decision_id != decision_id:
            continue
        reached = any(one is not None for one in _signs(touch))
        if name == ACTION_EXPIRED:  # what she has seen did reach her
            changed = touch if reached else replace(touch, counted=False)
        elif sign is None or not (touch.counted or reached):  # whatever shows that it was activated
            changed = touch if touch.counted else replace(touch, counted=True, at_s=at_s)
            if sign is not None:
                changed = replace(changed, **{sign: at_s})
        else:
            earlier = getattr(touch, sign)
            changed = touch if earlier is not None else replace(touch, **{sign: at_s})
        touches = (*contact_history.touches[:index], changed, *contact_history.touches[index + 1 :])
        return replace(contact_history, touches=touches)
    if name == ACTION_EXPIRED or not action:
        return contact_history
    channel, step = _text(properties, "channel"), _text(properties, "step")
    lone = Contact(action, channel, at_s, decision_id, sign is None, step)
    if sign is not None:
        lone = replace(lone, **{sign: at_s})
    return _touched(contact_history, (*contact_history.touches, lone), at_s, rules)


def _touched(
    contact_history: ContactHistory,
    touches: tuple[Contact, ...],
    now_s: float,
    rules: ContactHistoryRules,
) -> ContactHistory:
    since_s = now_s - rules.horizon_s
    cut_s = contact_history.cut_s
    if touches[0].at_s <= since_s:
        touches = tuple(one for one in touches if _last_s(one) > since_s)
    if len(touches) > TOUCHES_KEPT:
        cut = [_last_s(one) for one in touches[:-TOUCHES_KEPT]]
        cut_s = max(cut if cut_s is None else [cut_s, *cut])
        touches = touches[-TOUCHES_KEPT:]
    return replace(contact_history, touches=touches, cut_s=cut_s)


def _marked(
    contact_history: ContactHistory, mark: CountedEvent, kept: int, rules: ContactHistoryRules
) -> ContactHistory:
    """Of each kind as many as a rule asks about; more than that says nothing new."""
    since_s = mark.at_s - rules.horizon_s
    marks = [one for one in contact_history.marks if one.at_s > since_s]
    over = sum(one.kind == mark.kind for one in marks) + 1 - kept
    if over > 0:
        marks.remove(next(one for one in marks if one.kind == mark.kind))
    asked = [one for one in marks if one.kind.startswith(ASKED)]
    if len(asked) > ASKED_KEPT:
        marks.remove(asked[0])
    return replace(contact_history, marks=(*marks, mark))


def _signs(touch: Contact) -> tuple[float | None, ...]:
    return touch.shown, touch.clicked, touch.accepted, touch.dismissed


def _last_s(touch: Contact) -> float:
    return max([touch.at_s, *(one for one in _signs(touch) if one is not None)])


def _suppressed(
    contact_history: ContactHistory, stop: bool, properties: dict[str, Any]
) -> ContactHistory:
    channel = _text(properties, "channel") or ANY
    if not stop:
        kept = tuple(one for one in contact_history.suppressed if channel not in (ANY, one.channel))
        return replace(contact_history, suppressed=kept)
    kept = tuple(one for one in contact_history.suppressed if one.channel != channel)
    until = Suppression(channel, _moment_s(_text(properties, "until")))
    return replace(contact_history, suppressed=(*kept, until))


def _moment_s(text: str) -> float | None:
    """An ISO 8601 time; one that cannot be read stops for good, which is the safe side."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _text(properties: dict[str, Any], name: str) -> str:
    value = properties.get(name)
    return value if isinstance(value, str) else ""


def fold(events: Iterable[tuple[Event, str | None]], rules: ContactHistoryRules) -> ContactHistory:
    """The ledger after these events, each with its kind, in order of time."""
    contact_history = ContactHistory()
    for event, kind in events:
        contact_history = advance(contact_history, event, kind, rules)
    return contact_history
