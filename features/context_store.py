"""The current context of customers: a cached fold, brought up to the log on every call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from features.fold import CustomerState, Fold
from nba.customer.contact_history import ContactHistory
from nba.customer.context import Context
from nba.stores.log import Log, Snapshot

REBUILT_AT_ONCE = 500  # customers
SNAPSHOT_AFTER = 64  # events folded in one go that make a stored snapshot worth its row


class ContextStore:
    """Contexts as of now, from the log alone.

    Each call reads what the log holds beyond the cached position, so that whatever any replica
    has appended counts in the next answer. The cache holds `kept` customers and may be dropped
    at any moment.
    """

    def __init__(self, log: Log, fold: Fold, *, kept: int = 100_000) -> None:
        self._log = log
        self._fold = fold
        self._kept = kept
        self._cache: OrderedDict[str, CustomerState] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, customer_ids: Sequence[str], now: datetime) -> list[Context]:
        """The context of each customer at `now`. Raises StoreUnavailable."""
        states = self._states(list(dict.fromkeys(customer_ids)))
        return [
            self._fold.context(customer_id, states[customer_id], now)
            for customer_id in customer_ids
        ]

    def cached(self) -> list[str]:
        """The customers in the cache, the longest unused first."""
        with self._lock:
            return list(self._cache)

    def rebuild(self, customer_ids: Sequence[str]) -> None:
        """Fold these customers' logs and keep the states. Raises StoreUnavailable."""
        for begin in range(0, len(customer_ids), REBUILT_AT_ONCE):
            self._states(customer_ids[begin : begin + REBUILT_AT_ONCE])

    def _states(self, customer_ids: Sequence[str]) -> dict[str, CustomerState]:
        """The folded state of each customer, up to the last event that the log has of them."""
        with self._lock:
            cached = {customer_id: self._cache.get(customer_id) for customer_id in customer_ids}
        uncached = [customer_id for customer_id, state in cached.items() if state is None]
        stored = self._stored(uncached) if uncached else {}
        states = {
            customer_id: state or stored.get(customer_id, self._fold.empty)
            for customer_id, state in cached.items()
        }
        new_events = self._log.events_since(
            {customer_id: state.seq for customer_id, state in states.items()}
        )
        stale = []
        snapshots = []
        for customer_id, events in new_events.items():
            state = self._fold.advance(states[customer_id], events)
            if state is None:
                stale.append(customer_id)
                continue
            states[customer_id] = state
            if len(events) >= SNAPSHOT_AFTER:
                snapshots.append(self._snapshot(customer_id, state))
        if stale:
            for customer_id, events in self._log.events_since(dict.fromkeys(stale, 0)).items():
                state = self._fold.advance(self._fold.empty, events)
                assert state is not None  # the empty state is never ahead of an event
                states[customer_id] = state
                snapshots.append(self._snapshot(customer_id, state))
        if snapshots:
            self._log.save_snapshots(snapshots)
        self._keep(states)
        return states

    def _stored(self, customer_ids: Sequence[str]) -> dict[str, CustomerState]:
        snapshots = self._log.snapshots(customer_ids, self._fold.snapshot_hash)
        return {
            customer_id: CustomerState(
                seq=snapshot.seq,
                values=np.frombuffer(snapshot.state, dtype="<f8").copy(),
                contact_history=msgspec.json.decode(snapshot.contact_history, type=ContactHistory),
            )
            for customer_id, snapshot in snapshots.items()
            if snapshot.contact_history
        }

    def _snapshot(self, customer_id: str, state: CustomerState) -> Snapshot:
        return Snapshot(
            customer_id=customer_id,
            kernel=self._fold.snapshot_hash,
            seq=state.seq,
            state=state.values.astype("<f8").tobytes(),
            contact_history=msgspec.json.encode(state.contact_history),
        )

    def _keep(self, states: dict[str, CustomerState]) -> None:
        with self._lock:
            for customer_id, state in states.items():
                cached = self._cache.get(customer_id)
                if state.seq > 0 and (cached is None or cached.seq <= state.seq):
                    self._cache[customer_id] = state
                    self._cache.move_to_end(customer_id)
            while len(self._cache) > self._kept:
                self._cache.popitem(last=False)
