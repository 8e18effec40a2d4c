"""The fold of one customer, online: snapshot + the events since = context.

The same compiled functions as in `features.frame`, so that a replayed context equals a served one
bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from features import kernel
from features.encoder import Encoder, stage_codes
from nba.context import Contact, Context, ContextSchema
from nba.events import Event, from_micros, micros
from nba.journey import CONTACTS_KEPT, NODES_KEPT, JourneyFile


class CustomerState(msgspec.Struct, frozen=True, kw_only=True):
    """A fold up to the log position `seq`, 0 for a customer of whom the log holds nothing."""

    seq: int
    values: np.ndarray  # (Fold.size,) float64, never changed once it is here

    @property
    def last_micros(self) -> int:
        """When the last folded event happened, in microseconds since 1970 UTC; -1 for none."""
        if self.values[kernel.EVENTS] == 0.0:
            return -1
        return round(float(self.values[kernel.LAST]) * 1e6)


class Fold:
    """Everything that the kernel needs to know of a journey."""

    def __init__(self, journey: JourneyFile) -> None:
        self.schema = ContextSchema(journey)
        self.encoder = Encoder(self.schema)
        n_kinds = len(self.schema.kinds)
        nodes = kernel.HEAD + kernel.KIND * n_kinds
        contacts = nodes + kernel.NODE * NODES_KEPT
        traits = contacts + kernel.CONTACT_SIZE * CONTACTS_KEPT
        n_traits = len(self.schema.traits)
        self.layout = np.array([n_kinds, nodes, contacts, traits, n_traits], dtype=np.int64)
        self.size = traits + n_traits
        self.stage_of = stage_codes(journey)
        amounts = {mapping.id for mapping in journey.events if mapping.amount}
        self.has_amount = np.array([kind in amounts for kind in self.schema.kinds])
        empty = np.empty(self.size)
        kernel.clear(empty, self.layout)
        self.empty = CustomerState(seq=0, values=empty)

    def advance(self, state: CustomerState, events: Sequence[Event]) -> CustomerState | None:
        """The state after `events`, all later in the log than the state.

        None where one of them happened before the state's last event: the state is stale, and
        the caller folds the customer's whole log from `empty` instead.
        """
        if not events:
            return state
        ordered = sorted(events, key=lambda event: (event.occurred_at, event.seq))
        if micros(ordered[0].occurred_at) < state.last_micros:
            return None
        values = state.values.copy()
        rows = self.encoder.array(ordered)
        if len(rows):
            kernel.fold(values, self.layout, self.stage_of, rows)
        return CustomerState(
            seq=max(state.seq, max(event.seq for event in events)),
            values=values,
        )

    def context(self, customer_id: str, state: CustomerState, now: datetime) -> Context:
        """The context at `now`, or at the last event where the log's clock is ahead."""
        last = state.last_micros
        as_of = now if last < 0 else max(now, from_micros(last))
        out = np.empty(len(self.schema.columns))
        seconds = micros(as_of) / 1e6
        kernel.emit(state.values, self.layout, self.has_amount, seconds, out)
        return Context(
            customer_id=customer_id,
            as_of=as_of,
            seq=state.seq,
            known=state.seq > 0,
            values=out,
            contacts=self._contacts(state.values),
        )

    def _contacts(self, values: np.ndarray) -> tuple[Contact, ...]:
        made = int(values[kernel.N_CONTACTS])
        contacts = []
        for number in range(max(0, made - CONTACTS_KEPT), made):
            slot = int(self.layout[2]) + kernel.CONTACT_SIZE * (number % CONTACTS_KEPT)
            at_s, action, channel = values[slot : slot + kernel.CONTACT_SIZE]
            contacts.append(Contact(at_s=float(at_s), action=int(action), channel=int(channel)))
        return tuple(contacts)

    def warm(self) -> None:
        """Compile or load the kernel now, so that no request waits for it."""
        values = self.empty.values.copy()
        kernel.fold(values, self.layout, self.stage_of, np.zeros(1, dtype=kernel.ROW))
        out = np.empty(len(self.schema.columns))
        kernel.emit(self.empty.values, self.layout, self.has_amount, 0.0, out)

    def state_bytes(self) -> int:
        """The size of one customer's state."""
        return self.size * 8
