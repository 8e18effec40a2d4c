"""Feedback, the decider's mirror: what the log says of decisions, as changes to be learned.

What was learned at a position of the log is the sum over all decisions of their credits there. So
what a stretch of the log teaches is the credits at its end less those at its beginning: each
outcome is learned once however often it is sent, in whatever order, and is taken back where it is
revised. Nothing else needs to be remembered than the position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from nba.events.event import Event, micros
from nba.events.names import ACTION_DECIDED
from nba.rewards.attribution import Attribution
from nba.rewards.credit import Credit
from nba.stores.log import Log

PAGE = 5_000  # events of one stretch


class RewardChange(NamedTuple):
    """How one decision's credit has changed over a stretch of the log."""

    decision_id: str
    exposed: int  # 1: it counts now, -1: it does not any more, 0: as before
    reward: float  # what its reward has changed by


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the log was learned, and which decisions are left out."""

    position: int = 0  # seq of the last event
    end_s: float = 0.0  # when that was received, seconds since 1970 UTC
    begin: int = 0  # decisions up to here are left out
    settled_s: float = 0.0  # decisions whose window was over by then are left out: known before


class LogSegment(NamedTuple):
    """What a part of the log teaches, and where that part ends."""

    place: LogPosition
    events: int
    lessons: list[RewardChange]


def next_segment(
    log: Log, attribution: Attribution, place: LogPosition, limit: int = PAGE
) -> LogSegment:
    """The lessons of the next `limit` events. Raises StoreUnavailable.

    A reward that waits for what is known when its window closes is learned without those terms.
    """
    events = log.page_events(place.position, limit)
    if not events:
        return LogSegment(place, 0, [])
    end_s = max(place.end_s, *(micros(event.received_at) / 1e6 for event in events))
    after = msgspec.structs.replace(place, position=events[-1].seq, end_s=end_s)
    told = _concerned(log, attribution, events)
    old = _credits(attribution, told, place)
    new = _credits(attribution, told, after)
    lessons = []
    for decision_id, credit in new.items():
        before = old.get(decision_id)
        known = before is not None and before.closes_s <= place.settled_s
        known = known or credit.closes_s <= place.settled_s
        if known or credit.decision.seq <= place.begin:
            continue
        was = before is not None and before.counted
        reward = credit.reward - (before.reward if before is not None else 0.0)
        if credit.counted != was or reward != 0.0:
            lessons.append(RewardChange(decision_id, int(credit.counted) - int(was), reward))
    return LogSegment(after, len(events), lessons)


def first_after(log: Log, at_s: float) -> int:
    """The last position of the log whose events were received before `at_s`, about.

    Events are appended in the order in which they are received, but for imports; what an import
    has brought later is met where it stands.
    """
    low, high = 0, log.position()
    while low < high:
        middle = (low + high) // 2
        (event,) = log.page_events(middle, 1)
        if micros(event.received_at) / 1e6 < at_s:
            low = middle + 1
        else:
            high = middle
    return low


def _concerned(log: Log, attribution: Attribution, events: Sequence[Event]) -> list[Event]:
    """Every event that the credits of these events' decisions depend on, as far as the log goes."""
    telling = [event for event in events if attribution.concerns(event)]
    customers = {event.customer_id for event in telling}
    told = log.events_since(dict.fromkeys(customers, 0))
    ours = {one.decision_id for mine in told.values() for one in _decided(mine)}
    named = {event.decision_id for event in telling if event.decision_id} - ours
    others = {
        decision.request.customer_id
        for decision in log.decisions(sorted(one for one in named if one)).values()
    }
    told |= log.events_since(dict.fromkeys(others - customers, 0))
    decided = {one.decision_id for mine in told.values() for one in _decided(mine)}
    naming = log.outcomes_of(sorted(one for one in decided if one))
    return [*naming, *(event for mine in told.values() for event in mine)]


def _decided(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.name == ACTION_DECIDED]


def _credits(
    attribution: Attribution, told: Sequence[Event], place: LogPosition
) -> dict[str, Credit]:
    known = [event for event in told if event.seq <= place.position]
    found = attribution.carried(attribution.credits(known, place.end_s))
    return {credit.decision.decision_id or "": credit for credit in found}
