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


class Customers:
    """Contexts as of now, from the log alone.

    Each call reads what the log holds beyond the cached position, so that whatever any replica
    has appended counts in the next answer. The cache holds `kept` customers and may be dropped
    at any moment.
    """

    def __init__(self, log: Log, fold: Fold, *, kept: int = 100_000) -> None:
        self._log = log
        self._fold = fold
        self._kept = kept
        self._states: OrderedDict[str, CustomerState] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, customer_ids: Sequence[str], now: datetime) -> list[Context]:
        """The context of each customer at `now`. Raises StoreUnavailable."""
        states = self.states(list(dict.fromkeys(customer_ids)))
        return [self._fold.context(one, states[one], now) for one in customer_ids]

    def known(self) -> list[str]:
        """The customers in the cache, the longest unused first."""
        with self._lock:
            return list(self._states)

    def rebuild(self, customer_ids: Sequence[str]) -> None:
        """Fold these customers' logs and keep the states. Raises StoreUnavailable."""
        for begin in range(0, len(customer_ids), REBUILT_AT_ONCE):
            self.states(customer_ids[begin : begin + REBUILT_AT_ONCE])

    def states(self, customer_ids: Sequence[str]) -> dict[str, CustomerState]:
        """The folded state of each customer, up to the log's last event of hers."""
        with self._lock:
            known = {one: self._states.get(one) for one in customer_ids}
        cold = [one for one, state in known.items() if state is None]
        stored = self._restored(cold) if cold else {}
        states = {one: state or stored.get(one, self._fold.empty) for one, state in known.items()}
        events = self._log.events_since({one: state.seq for one, state in states.items()})
        stale = []
        snapshots = []
        for one, new in events.items():
            state = self._fold.advance(states[one], new)
            if state is None:
                stale.append(one)
                continue
            states[one] = state
            if len(new) >= SNAPSHOT_AFTER:
                snapshots.append(self._snapshot(one, state))
        if stale:
            for one, every in self._log.events_since(dict.fromkeys(stale, 0)).items():
                state = self._fold.advance(self._fold.empty, every)
                assert state is not None  # the empty state is never ahead of an event
                states[one] = state
                snapshots.append(self._snapshot(one, state))
        if snapshots:
            self._log.save_snapshots(snapshots)
        self._keep(states)
        return states

    def _restored(self, customer_ids: Sequence[str]) -> dict[str, CustomerState]:
        kernel = self._fold.snapshot_hash
        return {
            one: CustomerState(
                seq=s.seq,
                values=np.frombuffer(s.state, dtype="<f8").copy(),
                contact_history=msgspec.json.decode(s.contact_history, type=ContactHistory),
            )
            for one, s in self._log.snapshots(customer_ids, kernel).items()
            if s.contact_history
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
            for one, state in states.items():
                held = self._states.get(one)
                if state.seq > 0 and (held is None or held.seq <= state.seq):
                    self._states[one] = state
                    self._states.move_to_end(one)
            while len(self._states) > self._kept:
                self._states.popitem(last=False)
