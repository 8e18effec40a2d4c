"""The events that a page of the log can change credits by: as far back as its longest window.

What is read of a customer does not grow with their history. An event can count only for decisions
that were made within the longest window before it; so that is where reading begins. Further back
go only the decisions that the page itself names (a feedback may be revised at any time), and those
to which later steps of their passage carry back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from nba.events.event import Event
from nba.events.names import ACTION_DECIDED
from nba.rewards.attribution import Attribution
from nba.stores.log import Log

_FIRST = datetime(1, 1, 2, tzinfo=UTC)


def concerned_events(log: Log, attribution: Attribution, page: Sequence[Event]) -> list[Event]:
    """Every event that the credits of these events' decisions depend on, as far as the log goes;
    some of them twice. Raises StoreUnavailable."""
    relevant = [event for event in page if attribution.concerns(event)]
    named = log.events_of(_named(relevant))
    since: dict[str, datetime] = {}
    for event in (*relevant, *(event for event in named if event.name == ACTION_DECIDED)):
        begin = _before(event.occurred_at, attribution.horizon_s)
        since[event.customer_id] = min(since.get(event.customer_id, begin), begin)
    read = log.events_from(since)
    if attribution.rule.carry:
        read |= log.events_from(_lowered_to_first_steps(log, since, read.values()))
    events = [event for own in read.values() for event in own]
    return [*events, *log.events_of(_named(e for e in events if e.name == ACTION_DECIDED))]


def events_of_customers(log: Log, customer_ids: Sequence[str]) -> list[Event]:
    """Their whole histories, and what names their decisions; some twice.

    Raises StoreUnavailable.
    """
    events = [e for own in log.events_since(dict.fromkeys(customer_ids, 0)).values() for e in own]
    return [*events, *log.events_of(_named(e for e in events if e.name == ACTION_DECIDED))]


def _lowered_to_first_steps(
    log: Log, since: dict[str, datetime], read: Iterable[Sequence[Event]]
) -> dict[str, datetime]:
    """From when the customers are to be read whose steps carry back to earlier ones."""
    made = {e.decision_id: e for own in read for e in own if e.name == ACTION_DECIDED}
    lowered: dict[str, datetime] = {}
    seen = set(made)
    ahead = _previous(made.values()) - seen
    while ahead:
        seen |= ahead
        earlier = [e for e in log.events_of(sorted(ahead)) if e.name == ACTION_DECIDED]
        for event in earlier:
            begin = lowered.get(event.customer_id, since.get(event.customer_id, event.occurred_at))
            lowered[event.customer_id] = min(begin, event.occurred_at)
        ahead = _previous(earlier) - seen
    return lowered


def _previous(decided: Iterable[Event]) -> set[str]:
    names = (event.properties.get("previous_id") for event in decided)
    return {name for name in names if isinstance(name, str) and name}


def _named(events: Iterable[Event]) -> list[str]:
    return sorted({event.decision_id for event in events if event.decision_id})


def _before(at: datetime, seconds: float) -> datetime:
    """So long before, or the first day of all."""
    if seconds >= (at - _FIRST).total_seconds():
        return _FIRST
    return at - timedelta(seconds=seconds)
