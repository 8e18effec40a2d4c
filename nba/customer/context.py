"""Context: one customer as of one moment, as a row of named numbers.

The column order and its hash follow from the journey file alone; `features.fold` fills the row.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

import msgspec
import numpy as np

from nba.content_ids import content_id
from nba.customer.appraisal import Appraisal, AppraisedNode, appraisals_of
from nba.customer.contact_history import ContactHistory
from nba.durations import DAY_S
from nba.events.event import micros
from nba.events.signals import PRIOR_VERSION
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.journey.map import NODE_MINUTES

CONTACTS_KEPT = 32  # in the contact ring, from which a model knows what was offered
HALF_LIVES_DAYS = {"1h": 1 / 24, "1d": 1.0, "7d": 7.0, "30d": 30.0}
FOLD_VERSION = 3  # raised when the fold's meaning changes
UNMAPPED = "unmapped"  # the kind of every event that the journey file does not map
STAGE = "journey.stage"


def emotion_columns(nodes: int) -> tuple[str, ...]:
    """The columns of emotion over the last `nodes` nodes, in order; `docs/signals.md` has each."""
    names = [f"sum{nodes}", f"sign{nodes}", f"mean{nodes}", f"min{nodes}", "last", "peak_end"]
    names += ["ewma_70", "ewma_88", "ewma_95", "decayed_3d", f"slope{nodes}", "negative_streak"]
    names += [f"negative{nodes}", f"arousal{nodes}", "same_issue_failures_30d"]
    names += ["days_since_negative", "nodes", "coverage", "confidence"]
    return tuple(f"emotion.{name}" for name in names)


class ContextSchema:
    """The columns of a journey's contexts.

    `columns`: names in order. `kinds`: event kinds in order: the mapped ones, `unmapped`,
    `contact.<channel>` per action channel, and the signals that are detected. `schema_hash` names
    the columns and what they mean, the valences of `table` among it; `kernel_hash` also the
    actions, whose codes the contact ring holds.
    """

    def __init__(self, journey: JourneyFile, table: ValenceTable | None = None) -> None:
        self.journey = journey
        self.table = table or ValenceTable()
        self.detectors = journey.detectors()
        self.signals = [detector.signal for detector in self.detectors]
        self.kinds = [mapping.id for mapping in journey.events]
        self.kinds += [UNMAPPED, *(f"contact.{channel}" for channel in journey.channels())]
        self.kinds += self.signals
        self.with_amount = {mapping.id for mapping in journey.events if mapping.amount}
        self.emotion = emotion_columns(journey.emotion.nodes)
        self.stages = [stage.id for _, _, stage in journey.stages()]
        self.traits = list(journey.traits)
        self.columns = [*self._kind_columns(), *self.emotion, STAGE, "journey.days_in_stage"]
        self.columns += ["customer.days_known", *(f"traits.{trait}" for trait in self.traits)]
        self.index = {name: position for position, name in enumerate(self.columns)}
        self.categories = {STAGE: self.stages} | {
            f"traits.{name}": list(trait.values)
            for name, trait in journey.traits.items()
            if trait.values
        }
        self.booleans = {
            f"traits.{name}" for name, trait in journey.traits.items() if trait.type == "boolean"
        }

    def _kind_columns(self) -> list[str]:
        columns = []
        for kind in self.kinds:
            columns += [f"{kind}.count_{window}" for window in HALF_LIVES_DAYS]
            columns += [f"{kind}.total", f"{kind}.days_since"]
            if kind in self.with_amount:
                columns += [f"{kind}.sum_{window}" for window in HALF_LIVES_DAYS]
                columns += [f"{kind}.sum_total"]
        return columns

    @cached_property
    def _appraisals(self) -> dict[tuple[str, str | None], Appraisal]:
        return appraisals_of(self.journey, self.kinds, self.table)

    def appraisal(self, kind: str, touchpoint: str | None) -> Appraisal:
        """How customers take an event or signal of this kind at this touchpoint."""
        return self._appraisals.get((kind, touchpoint)) or self._appraisals[kind, None]

    def emotion_of(self, values: np.ndarray) -> dict[str, float | None]:
        """The emotion columns of a row without their prefix, None where unknown."""
        first = self.index[self.emotion[0]]
        row = values[first : first + len(self.emotion)].tolist()
        return {
            name.split(".")[1]: None if value != value else value
            for name, value in zip(self.emotion, row, strict=True)
        }

    @cached_property
    def schema_hash(self) -> str:
        return _digest(
            "context",
            [FOLD_VERSION, PRIOR_VERSION, NODE_MINUTES, HALF_LIVES_DAYS, self.columns],
            self.journey.scenes,
            self.journey.events,
            self.journey.emotion,
            self.journey.traits,
            self.table,
        )

    @cached_property
    def kernel_hash(self) -> str:
        actions = [(action.id, action.channel) for action in self.journey.actions]
        return _digest("kernel", [self.schema_hash, CONTACTS_KEPT], actions)

    def value(self, column: str, number: float) -> float | str | bool | None:
        """A number of the row as people write it: a category's name, a truth value, None."""
        if np.isnan(number):
            return None
        if column in self.categories:
            return self.categories[column][int(number)]
        return bool(number) if column in self.booleans else float(number)


def _digest(prefix: str, *parts: object) -> str:
    return content_id(prefix, msgspec.json.encode(parts, order="deterministic"))


class RingContact(msgspec.Struct, frozen=True, kw_only=True):
    """One time that we addressed the customer."""

    at_s: float  # seconds since 1970 UTC
    action: int  # index in the journey's actions, -1 for one that is no longer there
    channel: int  # index in the journey's action channels, -1 for another


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One customer as of one moment."""

    customer_id: str
    as_of: datetime  # UTC
    seq: int  # the log position up to which it was folded
    known: bool  # False where the log holds nothing of this customer
    values: np.ndarray  # (n_columns,) float64, NaN where unknown
    contacts: tuple[RingContact, ...] = ()  # the last CONTACTS_KEPT, oldest first
    nodes: tuple[AppraisedNode, ...] = ()  # those that the emotion is made of, oldest first
    contact_history: ContactHistory = ContactHistory()

    def contact_bytes(self) -> bytes:
        """(n, 3) float64 little-endian: time, action and channel of each contact."""
        rows = [(contact.at_s, contact.action, contact.channel) for contact in self.contacts]
        return np.array(rows, dtype="<f8").tobytes()


def contacts_from(data: bytes) -> tuple[RingContact, ...]:
    """The contacts that `Context.contact_bytes` wrote."""
    rows = np.frombuffer(data, dtype="<f8").reshape(-1, 3).tolist()
    return tuple(
        RingContact(at_s=at_s, action=int(action), channel=int(channel))
        for at_s, action, channel in rows
    )


OFFERED = ("offered.days_since", "offered.times")


def offered_columns(context: Context, n_actions: int) -> np.ndarray:
    """(n_actions, 2): per action the OFFERED columns, from the contacts that the context keeps."""
    offered = np.zeros((n_actions, 2))
    offered[:, 0] = np.nan
    as_of_s = micros(context.as_of) / 1e6
    for contact in context.contacts:
        if 0 <= contact.action < n_actions:
            offered[contact.action, 0] = (as_of_s - contact.at_s) / DAY_S
            offered[contact.action, 1] += 1.0
    return offered
