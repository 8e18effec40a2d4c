"""Decide which decisions count, and from when: one rule for learning and for reports.

A decision counts from when it was made. A deferred one counts from its activation: the first
`Action Activated`, `Action Delivered` or outcome that names it; without one it does not count.
`no_action` counts from when it was decided, deferred or not: nobody can activate it, and leaving it
out would choose decisions by what was drawn. `Action Expired` ends that a decision counts, unless
the customer had seen it before or any such sign comes after, as in
`nba.customer.contact_history_fold`; then it counts from where it would have without.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeAlias

from nba.events.event import Event, micros
from nba.events.names import (
    ACTION_EXPIRED,
    ACTION_FEEDBACK,
    ACTION_OUTCOMES,
)
from nba.journey.actions import NO_ACTION

# waiting: deferred, not activated yet; malformed: without an action
Validity: TypeAlias = Literal["counted", "waiting", "expired", "malformed"]


def validity_of(decision: Event, named: Iterable[Event]) -> tuple[Validity, float]:
    """Whether a decision counts, and from when (of one that does not: when it was made).

    `decision`: its `Action Decided`. `named`: the events that name it, in order of time.
    """
    made_s = at_s(decision)
    action = decision.properties.get("action_id")
    if not isinstance(action, str):
        return "malformed", made_s
    if action == NO_ACTION:
        return "counted", made_s
    first_s: float | None = None
    reached = expired = False
    for event in named:
        if event.name == ACTION_EXPIRED:
            expired = not reached
        elif event.name in ACTION_FEEDBACK:
            expired = False
            first_s = at_s(event) if first_s is None else first_s
            reached = reached or event.name in ACTION_OUTCOMES
    if expired:
        return "expired", made_s
    if decision.properties.get("deferred") is not True:
        return "counted", made_s
    return ("waiting", made_s) if first_s is None else ("counted", max(made_s, first_s))


def in_order(events: Iterable[Event]) -> list[Event]:
    """Each event once, in order of time; of a repeated id the one that the log has first."""
    by_id: dict[str, Event] = {}
    for event in events:
        known = by_id.setdefault(event.event_id, event)
        if event.seq < known.seq:
            by_id[event.event_id] = event
    return sorted(by_id.values(), key=when)


def when(event: Event) -> tuple[datetime, int, str]:
    """The key that orders events by time."""
    return event.occurred_at, event.seq, event.event_id


def at_s(event: Event) -> float:
    """When it occurred, seconds since 1970 UTC."""
    return micros(event.occurred_at) / 1e6
