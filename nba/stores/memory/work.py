"""Timers, deliveries, shared capacities, cursors and bundles in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from msgspec.structs import replace

from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.errors import NotFound
from nba.events.event import Event
from nba.stores.acceptance import Period, unsaved_bundle
from nba.stores.log import AliasChange, Delivery, Snapshot, StoredBundle
from nba.stores.memory.events import MemoryEvents
from nba.stores.scheduled_work import fired, settles, unknown_delivery


class MemoryWork(MemoryEvents):
    """Timers, deliveries, shared capacities, cursors and turns, beside the events."""

    def __init__(self) -> None:
        super().__init__()
        self._used: dict[Period, float] = {}
        self._timers: dict[str, SubJourneyTimer] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._cursors: dict[str, int] = {}
        self._turns: set[str] = set()

    def used(self, keys: Sequence[Period]) -> dict[Period, float]:
        """As `Log.used`."""
        with self._lock:
            return {key: self._used[key] for key in keys if key in self._used}

    def fire_timers(self, now: datetime, limit: int = 100) -> list[Event]:
        """As `Log.fire_timers`."""
        with self._lock:
            due = sorted(
                (timer for timer in self._timers.values() if timer.due_at <= now),
                key=lambda timer: (timer.due_at, timer.timer_id),
            )[:limit]
            events = []
            for timer in due:
                event = fired(timer.timer_id, timer.customer_id, now)
                seq = self._append(event)
                if seq is not None:
                    events.append(replace(event, seq=seq))
                del self._timers[timer.timer_id]
            return events

    def claim_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[Delivery]:
        """As `Log.claim_deliveries`."""
        with self._lock:
            due = [d for d in self._in_state("waiting") if d.due_at <= now][:limit]
            until = now + timedelta(seconds=lease_s)
            claimed = [replace(d, attempts=d.attempts + 1, due_at=until) for d in due]
            self._deliveries.update({d.decision_id: d for d in claimed})
            return claimed

    def settle_delivery(self, delivery: Delivery, event: Event | None = None) -> None:
        """As `Log.settle_delivery`."""
        with self._lock:
            present = self._deliveries.get(delivery.decision_id)
            if present is None:
                raise NotFound(unknown_delivery(delivery.decision_id))
            if settles(present, delivery):
                self._deliveries[delivery.decision_id] = delivery
                if event is not None:
                    self._append(event)

    def deliveries(self, state: str, limit: int = 100) -> list[Delivery]:
        """As `Log.deliveries`."""
        with self._lock:
            return self._in_state(state)[:limit]

    def cursor(self, name: str) -> int:
        """As `Log.cursor`."""
        with self._lock:
            return self._cursors.get(name, 0)

    def save_cursor(self, name: str, seq: int) -> None:
        """As `Log.save_cursor`."""
        with self._lock:
            self._cursors[name] = max(seq, self._cursors.get(name, 0))

    @contextmanager
    def turn(self, name: str) -> Iterator[bool]:
        """As `Log.turn`."""
        with self._lock:
            is_ours = name not in self._turns
            self._turns.add(name)
        try:
            yield is_ours
        finally:
            if is_ours:
                with self._lock:
                    self._turns.remove(name)

    def _in_state(self, state: str) -> list[Delivery]:
        deliveries = (d for d in self._deliveries.values() if d.state == state)
        return sorted(deliveries, key=lambda d: (d.due_at, d.decision_id))


class MemoryArtifacts:
    """Snapshots, bundles and aliases."""

    def __init__(self) -> None:
        self._artifacts_lock = threading.RLock()
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        self._bundles: dict[str, StoredBundle] = {}
        self._alias_changes: dict[str, list[AliasChange]] = {}  # oldest first

    def snapshots(self, customer_ids: Sequence[str], kernel: str) -> dict[str, Snapshot]:
        """As `Log.snapshots`."""
        with self._artifacts_lock:
            return {
                customer_id: snapshot
                for customer_id in customer_ids
                if (snapshot := self._snapshots.get((customer_id, kernel)))
            }

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """As `Log.save_snapshots`."""
        with self._artifacts_lock:
            for snapshot in snapshots:
                key = (snapshot.customer_id, snapshot.kernel)
                present = self._snapshots.get(key)
                if present is None or snapshot.seq >= present.seq:
                    self._snapshots[key] = snapshot

    def save_bundle(self, bundle_id: str, files: Mapping[str, bytes]) -> None:
        """As `Log.save_bundle`."""
        with self._artifacts_lock:
            bundle = StoredBundle(bundle_id=bundle_id, files=dict(files))
            self._bundles.setdefault(bundle_id, bundle)

    def bundle(self, bundle_id: str) -> StoredBundle | None:
        """As `Log.bundle`."""
        with self._artifacts_lock:
            return self._bundles.get(bundle_id)

    def strip_bundles(self, bundle_ids: Sequence[str]) -> None:
        """As `Log.strip_bundles`."""
        with self._artifacts_lock:
            kept = {changes[-1].after for changes in self._alias_changes.values()}
            for bundle_id in bundle_ids:
                if bundle_id in self._bundles and bundle_id not in kept:
                    self._bundles[bundle_id] = StoredBundle(bundle_id=bundle_id, files={})

    def set_alias(
        self, alias: str, bundle_id: str, at: datetime, *, by: str = "", why: str = ""
    ) -> None:
        """As `Log.set_alias`."""
        with self._artifacts_lock:
            if bundle_id not in self._bundles:
                raise NotFound(unsaved_bundle(alias, bundle_id))
            before = self.alias(alias)
            change = AliasChange(alias=alias, before=before, after=bundle_id, at=at, by=by, why=why)
            self._alias_changes.setdefault(alias, []).append(change)

    def alias(self, alias: str) -> str | None:
        """As `Log.alias`."""
        with self._artifacts_lock:
            changes = self._alias_changes.get(alias)
            return changes[-1].after if changes else None

    def alias_changes(self, alias: str, limit: int = 20) -> list[AliasChange]:
        """As `Log.alias_changes`."""
        with self._artifacts_lock:
            return self._alias_changes.get(alias, [])[::-1][:limit]
