"""The log: what happens is appended and never edited.

Two implementations, `memory.MemoryLog` and `postgres.PostgresLog`, pass one contract suite
(`tests/contracts`). Appends are idempotent, and take effect as a whole: a call
returns after its commit, and what it returned is never lost. `seq` grows in commit order, so
that a reader who has seen position n never meets a later event with a smaller seq.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from nba.decisions.decision import CapacityTaken, Decision
from nba.decisions.sub_journey_moves import SubJourneyTimer
from nba.events.event import Event


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A cached fold: the customer's state after every event up to `seq`. It holds no truth."""

    customer_id: str
    kernel: str  # hash of the kernel's layout; another layout cannot read the state
    seq: int
    state: bytes  # float64 little-endian
    contact_history: bytes = b""  # JSON of the contact history beside it


class GuardedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one customer that are valid only on the log as the caller knows it."""

    customer_id: str
    seen_seq: int  # of the customer's last event, as the caller knows the log
    events: tuple[Event, ...]  # at least one, of this customer
    uses: tuple[CapacityTaken, ...] = ()
    timers: tuple[SubJourneyTimer, ...] = ()


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message that goes out: one for each outbound decision."""

    decision_id: str
    customer_id: str
    state: Literal["waiting", "delivered", "dead"]
    due_at: datetime  # not before then
    attempts: int = 0
    error: str | None = None  # of the last attempt


class AliasChange(msgspec.Struct, frozen=True, kw_only=True):
    """Who pointed an alias at what: the audit trail."""

    alias: str
    before: str | None
    after: str
    at: datetime
    by: str
    why: str


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
        """Append each decision and its `as_events()`, in one transaction.

        With it go its timers, what it takes of shared capacities, and a waiting delivery (due at
        `not_before`, else at `decided_at`) where it is `delivered_by_us`. Per decision: itself
        once stored; the earlier decision where the same customer's request_id was already
        answered; None where the customer's log has moved past `context_seq` (by anything, an
        earlier decision of this call included), or where a capacity that it uses has no room
        (used + amount > most; earlier decisions of this call count), so that the caller decides
        again on what is there now.
        """

    def append_guarded(self, appends: Sequence[GuardedEvents]) -> list[bool]:
        """Append the events of each, in one transaction, under the rule of `append_decisions`.

        Per append: True where it is stored, or where its last event's id was stored before
        (nothing is taken twice); False where the customer's log has moved past `seen_seq`, or a
        capacity has no room.
        """

    def used(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """What was taken of these (capacity, period) so far; those of which nothing was: absent."""

    def fire_timers(self, now: datetime, limit: int = 100) -> list[Event]:
        """Append a `Timer Fired` event for timers that are due, and remove them.

        The event: id `TIMER_PREFIX + timer_id`, at `now`, property `timer_id`. Each timer fires
        once, whoever calls at the same time and whenever a caller is killed: event and removal
        are one transaction, and timers that another call holds are passed over.
        """

    def claim_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[Delivery]:
        """Waiting deliveries that are due, earliest first, with one attempt more.

        They are due again after `lease_s`, so that a caller who dies loses none; calls at the
        same time claim different ones.
        """

    def settle_delivery(self, delivery: Delivery, event: Event | None = None) -> None:
        """Store the state, due_at, attempts and error of a delivery; with it the event, if any.

        A delivery that was settled as delivered or dead stays so, unless `delivery` is waiting
        again with 0 attempts: an operator sends it once more. After a later claim, only that it
        was delivered counts of an earlier attempt. What does not count appends no event.
        Raises NotFound for a decision that has no delivery.
        """

    def deliveries(self, state: str, limit: int = 100) -> list[Delivery]:
        """Deliveries in this state, the earliest due first."""

    def cursor(self, name: str) -> int:
        """The position that a reader of the log has saved under this name, 0 at first."""

    def save_cursor(self, name: str, seq: int) -> None:
        """Save it; it never goes back."""

    def turn(self, name: str) -> AbstractContextManager[bool]:
        """True for one holder at a time in the whole deployment, False for all others.

        It does not wait, and is free again when its holder ends, however it ends.
        """

    def events_since(self, positions: Mapping[str, int]) -> dict[str, list[Event]]:
        """Per customer id, the events with seq > the given position, by seq; {} values omitted."""

    def events_from(self, moments: Mapping[str, datetime]) -> dict[str, list[Event]]:
        """Per customer id, the events that occurred then or later, by seq; {} values omitted.

        It costs what it gives, however long the customer's history before is.
        """

    def page_events(self, after: int = 0, limit: int = 10_000) -> list[Event]:
        """The whole log by seq, `limit` events after position `after`."""

    def page_decisions(self, after: int = 0, limit: int = 1_000) -> list[tuple[int, Decision]]:
        """(position, decision) in the order of commit, `limit` after position `after`."""

    def decision(self, decision_id: str) -> Decision | None:
        """The decision with this id."""

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """Those of these decisions that are there, by id."""

    def answered(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Decision]:
        """The decisions already given to these (customer_id, request_id)."""

    def customer_decisions(self, customer_id: str, limit: int = 100) -> list[Decision]:
        """The customer's decisions, newest first."""

    def outcomes(self, decision_id: str) -> list[Event]:
        """Events that name this decision, without its own `Action Decided`, by seq."""

    def outcomes_of(self, decision_ids: Sequence[str]) -> list[Event]:
        """The `outcomes` of several decisions, by seq."""

    def events_of(self, decision_ids: Sequence[str]) -> list[Event]:
        """The `Action Decided` of these decisions and their `outcomes`, by seq."""

    def position(self) -> int:
        """The seq of the last event, 0 for an empty log."""

    def snapshots(self, customer_ids: Sequence[str], kernel: str) -> dict[str, Snapshot]:
        """The stored snapshots of these customers under this kernel."""

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Replace; an older snapshot never replaces a newer one of the same kernel."""

    def save_bundle(self, bundle_id: str, files: Mapping[str, bytes]) -> None:
        """Keep a bundle; saving the same id again changes nothing."""

    def strip_bundles(self, bundle_ids: Sequence[str]) -> None:
        """Let the files of these bundles go, but of those that an alias points at; the trail keeps
        their names."""

    def set_alias(
        self, alias: str, bundle_id: str, at: datetime, *, by: str = "", why: str = ""
    ) -> None:
        """Point `alias` at a saved bundle and note who did. Raises NotFound for an unknown one."""

    def alias_changes(self, alias: str, limit: int = 20) -> list[AliasChange]:
        """What the alias pointed at, newest first."""

    def alias(self, alias: str) -> str | None:
        """The bundle id that `alias` points at."""

    def bundle(self, bundle_id: str) -> StoredBundle | None:
        """The bundle with this id."""

    def close(self) -> None:
        """Release connections; the log stays as it is."""
