"""The log in memory, for simulation and tests: the same contract, gone with the process."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from nba.decision import Decision
from nba.errors import NotFound
from nba.events import Event
from nba.stores.acceptance import (
    Stand,
    accepted,
    claimed_decision,
    decision_event_id,
    unsaved_bundle,
)
from nba.stores.log import Snapshot, StoredBundle


class MemoryLog:
    """A `Log` in dictionaries, under one lock. The event at index i has seq i + 1."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._events: list[Event] = []
        self._event_ids: set[str] = set()
        self._by_customer: dict[str, list[Event]] = {}
        self._by_decision: dict[str, list[Event]] = {}
        self._decisions: list[tuple[int, Decision]] = []
        self._decision_by_id: dict[str, Decision] = {}
        self._decision_by_key: dict[tuple[str, str], Decision] = {}
        self._decisions_by_customer: dict[str, list[Decision]] = {}
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        self._bundles: dict[str, StoredBundle] = {}
        self._aliases: dict[str, str] = {}

    def append_events(self, events: Sequence[Event]) -> list[int | None]:
        """As `Log.append_events`."""
        with self._lock:
            return [self._append(event) for event in events]

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        """As `Log.append_decisions`."""
        with self._lock:
            answers, new = accepted(decisions, [self._stand(decision) for decision in decisions])
            for decision in new:
                seq = self._append(decision.as_event())
                assert seq is not None  # `accepted` refuses a taken id
                self._decisions.append((seq, decision))
                self._decision_by_id[decision.decision_id] = decision
                request = decision.request
                if request.request_id is not None:
                    key = (request.customer_id, request.request_id)
                    self._decision_by_key[key] = decision
                self._decisions_by_customer.setdefault(request.customer_id, []).append(decision)
            return answers

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        """As `Log.events_since`."""
        with self._lock:
            found = {
                customer_id: _after(self._by_customer.get(customer_id, []), after)
                for customer_id, after in positions.items()
            }
        return {customer_id: events for customer_id, events in found.items() if events}

    def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
        """As `Log.page_events`."""
        with self._lock:
            return self._events[max(after, 0) : max(after, 0) + limit]

    def page_decisions(self, after: int = 0, limit: int = 1_000) -> list[tuple[int, Decision]]:
        """As `Log.page_decisions`."""
        with self._lock:
            first = bisect_right(self._decisions, after, key=lambda row: row[0])
            return self._decisions[first : first + limit]

    def decision(self, decision_id: str) -> Decision | None:
        """As `Log.decision`."""
        with self._lock:
            return self._decision_by_id.get(decision_id)

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """As `Log.answered`."""
        with self._lock:
            found = self._decision_by_key
            return {key: found[key] for key in keys if key in found}

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """As `Log.customer_decisions`."""
        with self._lock:
            return self._decisions_by_customer.get(customer_id, [])[::-1][:limit]

    def outcomes(self, decision_id: str) -> list[Event]:
        """As `Log.outcomes`."""
        with self._lock:
            own = decision_event_id(decision_id)
            events = self._by_decision.get(decision_id, [])
            return [event for event in events if event.event_id != own]

    def position(self) -> int:
        """As `Log.position`."""
        with self._lock:
            return len(self._events)

    def snapshots(self, customer_ids: Sequence[str], kernel: str) -> dict[str, Snapshot]:
        """As `Log.snapshots`."""
        with self._lock:
            found = ((one, self._snapshots.get((one, kernel))) for one in customer_ids)
            return {customer_id: snapshot for customer_id, snapshot in found if snapshot}

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """As `Log.save_snapshots`."""
        with self._lock:
            for snapshot in snapshots:
                key = (snapshot.customer_id, snapshot.kernel)
                present = self._snapshots.get(key)
                if present is None or snapshot.seq >= present.seq:
                    self._snapshots[key] = snapshot

    def save_bundle(self, bundle_id: str, files: Mapping[str, bytes]) -> None:
        """As `Log.save_bundle`."""
        with self._lock:
            bundle = StoredBundle(bundle_id=bundle_id, files=dict(files))
            self._bundles.setdefault(bundle_id, bundle)

    def set_alias(self, alias: str, bundle_id: str, at: datetime) -> None:
        """As `Log.set_alias`."""
        with self._lock:
            if bundle_id not in self._bundles:
                raise NotFound(unsaved_bundle(alias, bundle_id))
            self._aliases[alias] = bundle_id

    def alias(self, alias: str) -> str | None:
        """As `Log.alias`."""
        with self._lock:
            return self._aliases.get(alias)

    def bundle(self, bundle_id: str) -> StoredBundle | None:
        """As `Log.bundle`."""
        with self._lock:
            return self._bundles.get(bundle_id)

    def close(self) -> None:
        """As `Log.close`."""

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

    def _stand(self, decision: Decision) -> Stand:
        request = decision.request
        events = self._by_customer.get(request.customer_id)
        earlier = self._decision_by_id.get(decision.decision_id)
        if earlier is not None and earlier.request.customer_id != request.customer_id:
            earlier = None
        if request.request_id is not None:
            key = (request.customer_id, request.request_id)
            earlier = self._decision_by_key.get(key, earlier)
        return Stand(
            position=events[-1].seq if events else 0,
            earlier=earlier,
            taken=decision_event_id(decision.decision_id) in self._event_ids,
        )


def _after(events: list[Event], seq: int) -> list[Event]:
    return events[bisect_right(events, seq, key=_seq) :]


def _seq(event: Event) -> int:
    return event.seq
