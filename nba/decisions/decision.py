"""A decision as it is logged: what was offered, refused and drawn, and what it takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec

from nba.customer.appraisal import AppraisedNode
from nba.customer.contact_history import ContactHistory
from nba.customer.sub_journey_keys import key_of
from nba.decisions.candidate import Candidate, Reason, Refused
from nba.decisions.request import Request
from nba.decisions.sub_journey_moves import SubJourneyMove, SubJourneyTimer
from nba.durations import HOUR_S
from nba.errors import InvalidInput
from nba.events.event import Event
from nba.events.names import ACTION_DECIDED, DECISION_PREFIX
from nba.journey.actions import NO_ACTION
from nba.journey.exploration import Exploration

ASK_AGAIN_S = 6 * HOUR_S  # an outbound step that came to nothing is tried again after that


class Mode(StrEnum):
    """How a decision came about."""

    LIVE = "live"  # scored by a bundle and drawn by the policy
    FALLBACK = "fallback"  # the owner's declared fallback, because a part was missing
    IMPORTED = "imported"  # taken by another system and read from its log
    SHADOW = "shadow"  # decided beside another system, whose action the customer got


class CapacityTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision takes of a capacity that all customers share."""

    capacity: str
    period: str  # the day, week or month, such as 2026-03-01, 2026-W09, 2026-03
    amount: float  # contacts or EUR
    most: float  # at the time of the decision


class LiftedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that would have removed actions, and was lifted for this customer to be priced."""

    rule: str
    action_ids: tuple[str, ...]


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """The customer's risk of leaving."""

    risk: float  # P(churn within horizon_days)
    horizon_days: float
    reasons: tuple[Reason, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One governed, explained, replayable answer, as it is logged."""

    decision_id: str
    request: Request
    decided_at: datetime  # UTC: the context's as_of
    mode: Mode
    action_id: str  # the drawn action, NO_ACTION for none
    treatment: str | None
    propensity: float  # P(action_id was drawn by the whole pipeline), in (0, 1]
    candidates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    reasons: tuple[Reason, ...]  # for the drawn action's p_accept
    churn: Churn | None
    known_customer: bool  # False: decided from an empty context
    context: bytes  # float64 little-endian, in the column order of context_schema
    context_schema: str  # hash of the column names and the kernel's layout
    context_seq: int  # the log position up to which the context was folded
    nodes: tuple[AppraisedNode, ...] = ()  # what the emotion was made of, oldest first
    emotion: dict[str, float | None] = {}  # its columns by name, None where unknown
    valences: str = "prior"  # version of the valences
    # what read texts then: a model's id, untrained, or none where no event has a text
    text_model: str = msgspec.field(default="none", name="words")
    bundle_id: str | None
    catalogue_version: str  # hash of the journey file
    policy: str
    seed: int
    note: str | None = None  # why there is no action, or why the fallback was used
    treatment_propensity: float = 1.0  # P(this treatment | the action was drawn)
    not_before: datetime | None = None  # quiet hours: to be shown from then on
    step: str = ""  # episode and step of the sub-journey that called for the action
    previous_id: str | None = None  # the decision before it in the same passage
    moves: tuple[SubJourneyMove, ...] = ()  # in sub-journeys, before the draw
    uses: tuple[CapacityTaken, ...] = ()  # of shared capacities
    watched: tuple[
        CapacityTaken, ...
    ] = ()  # what any candidate would take: there must be room for it
    used: dict[str, float] = {}  # what was taken of them before, as far as it was known
    # definitions that the customer is on and this replica did not know
    unknown_definitions: tuple[str, ...] = msgspec.field(default=(), name="unheard")
    lifted: tuple[LiftedRule, ...] = ()
    # what the policies read
    contact_history: ContactHistory = msgspec.field(default=ContactHistory(), name="ledger")
    contacts: bytes = b""  # (n, 3) float64 little-endian: Context.contacts, which a model reads
    exploration: Exploration = Exploration()  # how it was drawn
    policy_version: str | None = None  # what was learned online; None: the bundle alone
    learned_from: float = 0.0  # decisions, as that version counts them
    challenger: str | None = None  # the bundle that had a share of the draw
    arms: tuple[str, ...] = ()  # of experiments, as experiment.arm
    # rules, weights and levers that the customer's arms leave out
    dropped_rules: tuple[str, ...] = msgspec.field(default=(), name="without")

    @property
    def episode_id(self) -> str | None:
        """The passage through a sub-journey that it belongs to."""
        return self.step.rsplit("/", 1)[0] if self.step else None

    @property
    def key(self) -> str | None:
        """Which of the customer's passages side by side it belongs to, such as the cart."""
        return key_of(self.step)

    @property
    def beside_another_system(self) -> bool:
        """Whether the customer got the other system's action, whatever ours was."""
        return self.mode is Mode.SHADOW or self.request.baseline is not None

    @property
    def delivered_by_us(self) -> bool:
        """Whether the action goes out as a message of ours."""
        ours = self.action_id != NO_ACTION and not self.beside_another_system
        return self.request.outbound and ours

    @property
    def goes_out_at(self) -> datetime:
        """When its message is to be sent, where it has one."""
        return max(self.decided_at, self.not_before or self.decided_at)

    @property
    def timers(self) -> tuple[SubJourneyTimer, ...]:
        """What wakes up the steps that the customer has come to, and one that came to nothing."""
        customer_id = self.request.customer_id
        timers = [timer for move in self.moves for timer in move.timers(customer_id)]
        if self.request.asked_for and self.step != self.request.asked_for:
            again_at = self.decided_at + timedelta(seconds=ASK_AGAIN_S)
            timer_id = f"{self.request.asked_for}:{self.decision_id}"
            timers.append(
                SubJourneyTimer(timer_id=timer_id, customer_id=customer_id, due_at=again_at)
            )
        return tuple(timers)

    def to_json(self) -> bytes:
        """Canonical JSON, the bytes that are logged and replayed.

        Raises InvalidInput where a number is not finite: JSON has none, and what is written instead
        could not be read back.
        """
        numbers = [self.propensity, self.treatment_propensity, self.learned_from]
        for candidate in self.candidates:
            numbers += candidate.numbers()
        for reason in self.reasons:
            numbers += (reason.contribution, reason.value or 0.0)
        if self.churn is not None:
            numbers.append(self.churn.risk)
        if not all(map(isfinite, numbers)):
            remedy = "its record could not be read back; a decision needs finite numbers"
            raise InvalidInput(f"decision {self.decision_id}", "a number not finite", remedy)
        return msgspec.json.encode(self, order="deterministic")

    def as_events(self) -> tuple[Event, ...]:
        """The events that the log appends beside the decision; `Action Decided` is the last.

        Beside another system its action is that system's: that is what the customer got.
        """
        shadow = self.beside_another_system
        properties: dict[str, Any] = {
            "decision_id": self.decision_id,
            "action_id": (self.request.baseline or NO_ACTION) if shadow else self.action_id,
            "context_seq": self.context_seq,
        }
        if shadow:
            properties["shadow_action_id"] = self.action_id
        else:
            properties["propensity"] = self.propensity
        if self.request.channel is not None:
            properties["channel"] = self.request.channel
        if self.request.deferred:
            properties["deferred"] = True
        if self.step and not shadow:
            properties["step"] = self.step
            properties["episode_id"] = self.episode_id
            if self.key is not None:
                properties["key"] = self.key
            if self.previous_id is not None:
                properties["previous_id"] = self.previous_id
        if self.arms:
            properties["arms"] = list(self.arms)
        if self.request.asked_for:
            properties["asked_for"] = self.request.asked_for
        if self.not_before is not None and not shadow:
            properties["not_before"] = self.not_before.isoformat()
        decided = Event(
            event_id=DECISION_PREFIX + self.decision_id,
            customer_id=self.request.customer_id,
            name=ACTION_DECIDED,
            occurred_at=self.decided_at,
            received_at=self.decided_at,
            properties=properties,
        )
        customer_id = self.request.customer_id
        return (*(move.as_event(customer_id, self.decided_at) for move in self.moves), decided)


def decision_from_json(data: bytes | str) -> Decision:
    """The decision that `Decision.to_json` wrote."""
    return msgspec.json.decode(data, type=Decision)
