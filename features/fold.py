"""The fold of one customer, online: snapshot + the events since = context.

The same compiled functions as in `features.replay.point_in_time`, so that a replayed context
equals a served one bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np

from features.encoder import Encoder
from features.kernel import fold_events as kernel
from features.kernel.layout import (
    CHANNELS,
    CONTACT_SIZE,
    CONTACT_SUBJECT,
    CONTACT_TIME,
    CONTACTS_AT,
    LAST_NODE,
    LAST_TIME,
    N_CONTACTS,
    N_EVENTS,
    N_NODES,
    NEXT_DUE,
    NODE_SIZE,
    NODES_AT,
    NODES_KEPT,
    ROW,
    SIZE,
    STRONGEST,
    TRACE_COLUMNS,
)
from features.kernel.plan import plan_of
from nba.customer.appraisal import AppraisedNode
from nba.customer.contact_history import ContactHistory
from nba.customer.contact_history_fold import CONTACT_HISTORY_VERSION, advance
from nba.customer.contact_history_limits import contact_history_rules
from nba.customer.context import CONTACTS_KEPT, Context, ContextSchema, RingContact
from nba.events.event import Event, from_micros, micros
from nba.events.signals import AGENCIES, SURVEYS
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.journey.sub_journeys import SubJourney


class CustomerState(msgspec.Struct, frozen=True, kw_only=True):
    """A fold up to the log position `seq`, 0 for a customer of whom the log holds nothing."""

    seq: int
    values: np.ndarray  # (Fold.size,) float64, never changed in place
    contact_history: ContactHistory = ContactHistory()

    @property
    def last_micros(self) -> int:
        """When the last folded event happened, in microseconds since 1970 UTC; -1 for none."""
        if self.values[N_EVENTS] == 0.0:
            return -1
        return round(float(self.values[LAST_TIME]) * 1e6)


class Fold:
    """Everything that the kernel needs to know of a journey and of the valences in force."""

    def __init__(
        self,
        journey: JourneyFile,
        table: ValenceTable | None = None,
        earlier: Sequence[SubJourney] = (),
    ) -> None:
        """`earlier`: definitions of sub-journeys that customers may still be on."""
        self.schema = ContextSchema(journey, table)
        self.encoder = Encoder(self.schema)
        self.plan = plan_of(self.schema)
        self.size = int(self.plan[SIZE])
        self.contact_history_rules = contact_history_rules(journey, earlier)
        self._touchpoints = [touchpoint.id for touchpoint in journey.touchpoints()]
        self._stating = {  # kinds whose events may state their own valence
            mapping.id for mapping in journey.events if mapping.text or mapping.role in SURVEYS
        }
        empty = np.empty(self.size)
        kernel.clear(empty, self.plan)
        self.empty = CustomerState(seq=0, values=empty)

    @cached_property
    def snapshot_hash(self) -> str:
        """Names the schema and rules of a fold: a stored snapshot of another hash is not used."""
        rules = self.contact_history_rules
        read: list[object] = [
            CONTACT_HISTORY_VERSION,
            rules.horizon_s,
            sorted(rules.kinds.items()),
            sorted(rules.most.items()),
            rules.pauses,
        ]
        read += [rules.keyed] if rules.keyed else []
        digest = hashlib.sha256(msgspec.json.encode(read)).hexdigest()
        return f"{self.schema.kernel_hash}-{digest[:8]}"

    def advance(self, state: CustomerState, events: Sequence[Event]) -> CustomerState | None:
        """The state after `events`, all later in the log than the state.

        None where one of them happened before the state's last event: the state is stale, and
        the caller folds the customer's whole log from `empty` instead.
        """
        if not events:
            return state
        ordered = sorted(events, key=lambda event: (event.occurred_at, event.seq))
        if micros(ordered[0].occurred_at) < max(state.last_micros, state.contact_history.at_micros):
            return None
        values = state.values.copy()
        rows = self.encoder.array(ordered)
        if len(rows):
            kernel.fold(values, self.plan, rows, untraced())
        contact_history = state.contact_history
        counts_kinds = bool(self.contact_history_rules.kinds or self.contact_history_rules.keyed)
        for event in ordered:
            kind = self.encoder.kind(event) if counts_kinds else None
            contact_history = advance(contact_history, event, kind, self.contact_history_rules)
        contact_history = msgspec.structs.replace(
            contact_history, at_micros=micros(ordered[-1].occurred_at)
        )
        return CustomerState(
            seq=max(state.seq, max(event.seq for event in events)),
            values=values,
            contact_history=contact_history,
        )

    def context(self, customer_id: str, state: CustomerState, now: datetime) -> Context:
        """The context at `now`, or at the last event where the log's clock is ahead."""
        last = max(state.last_micros, state.contact_history.at_micros)
        as_of = now if last < 0 else max(now, from_micros(last))
        as_of_s = micros(as_of) / 1e6
        row = np.empty(len(self.schema.columns))
        after_silence = np.empty(self.size)
        kernel.emit(state.values, self.plan, as_of_s, after_silence, untraced(), row)
        is_due = state.values[NEXT_DUE] <= as_of_s
        return Context(
            customer_id=customer_id,
            as_of=as_of,
            seq=state.seq,
            known=state.seq > 0,
            values=row,
            contacts=self._contacts(state.values),
            nodes=self._nodes(after_silence if is_due else state.values),
            contact_history=state.contact_history,
        )

    def _contacts(self, values: np.ndarray) -> tuple[RingContact, ...]:
        count = int(values[N_CONTACTS])
        contacts = []
        for number in range(max(0, count - CONTACTS_KEPT), count):
            slot = int(self.plan[CONTACTS_AT]) + CONTACT_SIZE * (number % CONTACTS_KEPT)
            action, channel = divmod(int(values[slot + CONTACT_SUBJECT]), CHANNELS)
            at_s = float(values[slot + CONTACT_TIME])
            contacts.append(RingContact(at_s=at_s, action=action - 1, channel=channel - 1))
        return tuple(contacts)

    def _nodes(self, values: np.ndarray) -> tuple[AppraisedNode, ...]:
        count, kept = int(values[N_NODES]), int(self.plan[NODES_KEPT])
        first, last = int(self.plan[NODES_AT]), int(values[LAST_NODE])
        nodes = []
        for back in range(min(count, kept) - 1, -1, -1):
            slot = first + (last - first - NODE_SIZE * back) % (NODE_SIZE * kept)
            node = values[slot : slot + NODE_SIZE].tolist()
            code, valence, time, arousal, confidence, strongest = node
            kind_code, place = divmod(int(code), STRONGEST)
            kind = self.schema.kinds[kind_code - 1] if kind_code else None
            touchpoint = self._touchpoints[place >> 2]
            nodes.append(
                AppraisedNode(
                    touchpoint=touchpoint,
                    at=from_micros(round(time * 1e6)),
                    valence=valence,
                    arousal=arousal,
                    confidence=confidence,
                    agency=AGENCIES[place & 3],
                    because=kind,
                    source=self._source(kind, touchpoint, strongest),
                )
            )
        return tuple(nodes)

    def _source(
        self, kind: str | None, touchpoint: str, valence: float
    ) -> Literal["prior", "learned", "said"]:
        if kind is None:
            return "prior"
        appraisal = self.schema.appraisal(kind, touchpoint)
        if kind in self._stating and valence != appraisal.valence:
            return "said"
        return "learned" if appraisal.learned else "prior"

    def compile(self) -> None:
        """Compile or load the kernel now, so that no request waits for it."""
        values = self.empty.values.copy()
        row = np.zeros(1, dtype=ROW)
        row["touchpoint"] = -1
        kernel.fold(values, self.plan, row, untraced())
        out = np.empty(len(self.schema.columns))
        kernel.emit(self.empty.values, self.plan, 0.0, values, untraced(), out)


def untraced() -> np.ndarray:
    """A trace with room for no part: what the fold takes where nobody asks for its parts."""
    return np.zeros((1, TRACE_COLUMNS))
