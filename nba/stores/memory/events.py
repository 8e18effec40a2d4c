"""The events of the log in memory."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from nba.events.event import Event
from nba.stores.acceptance import claimed_decision, decision_event_id


class MemoryEvents:
    """Events in dictionaries, under one lock. The event at index i has seq i + 1."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._events: list[Event] = []
        self._event_ids: set[str] = set()
        self._by_customer: dict[str, list[Event]] = {}
        self._by_decision: dict[str, list[Event]] = {}

    def append_events(self, events: Sequence[Event]) -> list[int | None]:
        """As `Log.append_events`."""
        with self._lock:
            return [self._append(event) for event in events]

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        """As `Log.events_since`."""
        with self._lock:
            by_customer = {
                customer_id: _after(self._by_customer.get(customer_id, []), after)
                for customer_id, after in positions.items()
            }
        return {customer_id: events for customer_id, events in by_customer.items() if events}

    def events_from(self, moments: Mapping[str, datetime]) -> dict[str, list[Event]]:
        """As `Log.events_from`; a list in memory is looked through as a whole."""
        with self._lock:
            by_customer = {
                customer_id: [
                    e for e in self._by_customer.get(customer_id, []) if e.occurred_at >= at
                ]
                for customer_id, at in moments.items()
            }
        return {customer_id: events for customer_id, events in by_customer.items() if events}

    def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
        """As `Log.page_events`."""
        with self._lock:
            return self._events[max(after, 0) : max(after, 0) + limit]

    def outcomes(self, decision_id: str) -> list[Event]:
        """As `Log.outcomes`."""
        with self._lock:
            own = decision_event_id(decision_id)
            events = self._by_decision.get(decision_id, [])
            return [event for event in events if event.event_id != own]

    def outcomes_of(self, decision_ids: Sequence[str]) -> list[Event]:
        """As `Log.outcomes_of`."""
        with self._lock:
            ids = dict.fromkeys(decision_ids)
            return sorted((e for decision_id in ids for e in self.outcomes(decision_id)), key=_seq)

    def events_of(self, decision_ids: Sequence[str]) -> list[Event]:
        """As `Log.events_of`."""
        with self._lock:
            ids = dict.fromkeys(decision_ids)
            return sorted((e for name in ids for e in self._by_decision.get(name, [])), key=_seq)

    def position(self) -> int:
        """As `Log.position`."""
        with self._lock:
            return len(self._events)

    def _append(self, event: Event) -> int | None:
        if event.event_id in self._event_ids:
            return None
        seq = len(self._events) + 1
        event = replace(event, seq=seq)
        self._events.append(event)
        self._event_ids.add(event.event_id)
        self._by_customer.setdefault(event.customer_id, []).append(event)
        claimed = claimed_decision(event)
        if claimed is not None:
            self._by_decision.setdefault(claimed, []).append(event)
        return seq

    def _position(self, customer_id: str) -> int:
        events = self._by_customer.get(customer_id)
        return events[-1].seq if events else 0


def _after(events: list[Event], seq: int) -> list[Event]:
    return events[bisect_right(events, seq, key=_seq) :]


def _seq(event: Event) -> int:
    return event.seq
