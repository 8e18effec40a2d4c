"""The log: what happens is appended and never edited.

Two implementations, `memory.MemoryLog` and `postgres.PostgresLog`, pass one contract suite
(`tests/contracts/test_log.py`). Appends are idempotent, and take effect as a whole: a call
returns after its commit, and what it returned is never lost. `seq` grows in commit order, so
that a reader who has seen position n never meets a later event with a smaller seq.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from nba.decision import Decision
from nba.events import Event


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A cached fold: the customer's state after every event up to `seq`. It holds no truth."""

    customer_id: str
    kernel: str  # hash of the kernel's layout; another layout cannot read the state
    seq: int
    state: bytes  # float64 little-endian


class StoredBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A promoted bundle as the service reads it."""

    bundle_id: str
    files: dict[str, bytes]


class Log(Protocol):
    """Where events and decisions are kept; every method raises StoreUnavailable when it cannot."""

    def append_events(self, events: Sequence[Event]) -> list[int | None]:
        """Append; per event its new seq, or None where its event_id was already there.

        One transaction: all or none. Within one call, the first of two equal ids wins.
        """

    def append_decisions(self, decisions: Sequence[Decision]) -> list[Decision | None]:
        """Append each decision and its `Action Decided` event, in one transaction.

        Per decision: itself once stored; the earlier decision where the same customer's
        request_id was already answered; None where the customer's log has moved past
        `context_seq` (by anything, an earlier decision of this call included), so that the
        caller decides again on the newer context.
        """

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        """Per customer id, the events with seq > the given position, by seq; {} values omitted."""

    def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
        """The whole log by seq, `limit` events after position `after`."""

    def page_decisions(self, after: int = 0, limit: int = 1_000) -> list[tuple[int, Decision]]:
        """(position, decision) in the order of commit, `limit` after position `after`."""

    def decision(self, decision_id: str) -> Decision | None:
        """The decision with this id."""

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """The decisions already given to these (customer_id, request_id)."""

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """The customer's decisions, newest first."""

    def outcomes(self, decision_id: str) -> list[Event]:
        """Events that name this decision, without its own `Action Decided`, by seq."""

    def position(self) -> int:
        """The seq of the last event, 0 for an empty log."""

    def snapshots(self, customer_ids: Sequence[str], kernel: str) -> dict[str, Snapshot]:
        """The stored snapshots of these customers under this kernel."""

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Replace; an older snapshot never replaces a newer one of the same kernel."""

    def save_bundle(self, bundle_id: str, files: Mapping[str, bytes]) -> None:
        """Keep a bundle; saving the same id again changes nothing."""

    def set_alias(self, alias: str, bundle_id: str, at: datetime) -> None:
        """Point `alias` at a saved bundle. Raises NotFound for an unknown bundle."""

    def alias(self, alias: str) -> str | None:
        """The bundle id that `alias` points at."""

    def bundle(self, bundle_id: str) -> StoredBundle | None:
        """The bundle with this id."""

    def close(self) -> None:
        """Release connections; the log stays as it is."""
