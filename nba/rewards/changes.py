"""How the rewards of decisions change from one position of the log to a later one.

What was learned at a position of the log is the sum over all decisions of their credits there. So
what a segment of the log changes is the credits at its end less those at its beginning: each
outcome is learned once however often it is sent, in whatever order, and is taken back where it is
revised. Nothing else needs to be remembered than the position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from nba.events.event import Event, micros
from nba.events.names import ACTION_DECIDED
from nba.rewards.attribution import Attribution
from nba.rewards.credit import Credit
from nba.stores.log import Log

PAGE = 5_000  # events of one segment


class RewardChange(NamedTuple):
    """How one decision's credit has changed over a segment of the log."""

    decision_id: str
    exposed: int  # 1: it counts now, -1: it does not any more, 0: as before
    before: float  # its reward so far; 0 where it did not count
    after: float
    reached: int = 0  # the same as `exposed` of having reached the customer: what costs

    @property
    def reward(self) -> float:
        """What its reward has changed by."""
        return self.after - self.before

    @property
    def teaches(self) -> bool:
        """Whether it changes what is learned, and not the cost alone."""
        return self.exposed != 0 or self.after != self.before


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the log was learned, and which decisions are left out."""

    position: int = 0  # seq of the last event
    end_s: float = 0.0  # when that was received, seconds since 1970 UTC
    begin: int = 0  # decisions up to here are left out
    settled_s: float = 0.0  # decisions whose reward was known by then are left out: learned before


class LogSegment(NamedTuple):
    """What a part of the log changes, and where that part ends."""

    end: LogPosition
    events: int
    changes: list[RewardChange]


def next_segment(
    log: Log, attribution: Attribution, begin: LogPosition, limit: int = PAGE
) -> LogSegment:
    """The reward changes of the next `limit` events. Raises StoreUnavailable.

    A reward that waits for what is known when its window closes is learned without those terms.
    """
    events = log.page_events(begin.position, limit)
    if not events:
        return LogSegment(begin, 0, [])
    end_s = max(begin.end_s, *(micros(event.received_at) / 1e6 for event in events))
    end = msgspec.structs.replace(begin, position=events[-1].seq, end_s=end_s)
    concerned = _concerned(log, attribution, events)
    old = _credits(attribution, concerned, begin)
    new = _credits(attribution, concerned, end)
    changes = []
    for decision_id, credit in new.items():
        before = old.get(decision_id)
        known = before is not None and before.settles_s <= begin.settled_s
        known = known or credit.settles_s <= begin.settled_s
        if known or credit.decision.seq <= begin.begin:
            continue
        change = RewardChange(
            decision_id,
            exposed=credit.counted - (before is not None and before.counted),
            before=before.reward if before is not None else 0.0,
            after=credit.reward,
            reached=credit.reached - (before is not None and before.reached),
        )
        if change.teaches or change.reached:
            changes.append(change)
    return LogSegment(end, len(events), changes)


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
    relevant = [event for event in events if attribution.concerns(event)]
    customers = {event.customer_id for event in relevant}
    histories = log.events_since(dict.fromkeys(customers, 0))
    elsewhere = {e.decision_id for e in relevant if e.decision_id} - _decision_ids(histories)
    others = {
        decision.request.customer_id for decision in log.decisions(sorted(elsewhere)).values()
    }
    histories |= log.events_since(dict.fromkeys(others - customers, 0))
    naming = log.outcomes_of(sorted(_decision_ids(histories)))
    return [*naming, *(event for history in histories.values() for event in history)]


def _decision_ids(histories: Mapping[str, Sequence[Event]]) -> set[str]:
    return {
        event.decision_id
        for history in histories.values()
        for event in history
        if event.name == ACTION_DECIDED and event.decision_id
    }


def _credits(
    attribution: Attribution, events: Sequence[Event], position: LogPosition
) -> dict[str, Credit]:
    known = [event for event in events if event.seq <= position.position]
    credits = attribution.carried(attribution.credits(known, position.end_s))
    return {credit.decision.decision_id or "": credit for credit in credits}
