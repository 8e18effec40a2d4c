"""Decide which decisions count, and which of them reached the customer: one rule for learning and
for reports.

Every decision counts from when it was made, whatever was drawn and whatever became of it: it is
judged as it was decided (intention to treat). One that was never activated, or that expired, is
worth what came of it all the same, by silence the default. Counting only those that arrived would
choose decisions by their draw: `no_action` always arrives.

What reached the customer decides which costs were paid, and from when outcomes that name a decision
count: a deferred one waits for the first `Action Activated`, `Action Delivered` or outcome that
names it. `Action Expired` ends that it reached them, unless the customer had seen it before or any
such sign comes after, as in `nba.customer.contact_history_fold`.
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

# waiting: deferred, not activated yet; malformed: without an action, so that it does not count
Reach: TypeAlias = Literal["reached", "waiting", "expired", "malformed"]


def reach_of(decision: Event, named: Iterable[Event]) -> tuple[Reach, float]:
    """Whether a decision reached the customer, and when (of one that did not: when it was made).

    `decision`: its `Action Decided`. `named`: the events that name it, in order of time.
    """
    made_s = at_s(decision)
    action = decision.properties.get("action_id")
    if not isinstance(action, str):
        return "malformed", made_s
    if action == NO_ACTION:
        return "reached", made_s
    first_s: float | None = None
    seen = expired = False
    for event in named:
        if event.name == ACTION_EXPIRED:
            expired = not seen
        elif event.name in ACTION_FEEDBACK:
            expired = False
            first_s = at_s(event) if first_s is None else first_s
            seen = seen or event.name in ACTION_OUTCOMES
    if expired:
        return "expired", made_s
    if not is_deferred(decision):
        return "reached", made_s
    return ("waiting", made_s) if first_s is None else ("reached", max(made_s, first_s))


def is_deferred(decision: Event) -> bool:
    """Whether it was asked for to be activated later, or never: known before the draw."""
    return decision.properties.get("deferred") is True


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
