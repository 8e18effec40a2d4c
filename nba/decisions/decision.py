"""The decision and its parts: what was offered, refused, drawn, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from nba.customer.appraisal import AppraisedNode
from nba.customer.contact_history import ContactHistory
from nba.events.event import ACTION_DECIDED, DECISION_PREFIX, MOVE_PREFIX, NO_ACTION, Event
from nba.journey.exploration import Exploration

ASK_AGAIN_S = 6 * 3_600.0  # an outbound step that came to nothing is tried again after that


class Stage(StrEnum):
    """The stages of a decision that can refuse an action, in order."""

    AVAILABLE = "available"
    ELIGIBILITY = "eligibility"
    APPLICABILITY = "applicability"
    SUITABILITY = "suitability"
    CONSENT = "consent"
    CONTACT_POLICY = "contact_policy"
    SCORE = "score"


class Mode(StrEnum):
    """How a decision came about."""

    LIVE = "live"  # scored by a bundle and drawn by the policy
    FALLBACK = "fallback"  # the owner's declared fallback, because a part was missing
    IMPORTED = "imported"  # taken by another system and read from its log
    SHADOW = "shadow"  # decided beside another system, whose action the customer got


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that moved a score."""

    column: str  # context column or action feature
    value: float | None  # its value, None where unknown
    contribution: float  # share of the score, in log-odds for a probability, else in its unit
    text: str


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An action that a rule removed."""

    action_id: str
    stage: Stage
    code: str  # the reason code, listed in docs/reasons.md
    rule: str  # the owner's rule that removed it: its id, or where it stands
    detail: str  # the fact that failed


class CapacityTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision takes of a capacity that all customers share."""

    capacity: str
    period: str  # the day, week or month, such as 2026-03-01, 2026-W09, 2026-03
    amount: float  # contacts or EUR
    most: float  # at the time of the decision


class SubJourneyTimer(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a customer's sub-journey is looked at again, whatever happens."""

    timer_id: str  # names the step: the same step sets it once
    customer_id: str
    due_at: datetime


class SubJourneyMove(msgspec.Struct, frozen=True, kw_only=True):
    """A customer enters a sub-journey, comes to another step, or leaves it."""

    name: str  # of the event
    sub_journey: str
    definition: str  # hash of the version that she is on
    episode_id: str  # of this passage
    number: int  # of the move within the passage, from 1
    step: str = ""
    exit: str = ""  # where she leaves: success, time_out, opt_out, overtaken, left, budget, done
    held_out: bool = False
    why: str = ""  # the fact that moved her
    due: tuple[datetime, ...] = ()  # when the step is looked at again

    def as_event(self, customer_id: str, at: datetime) -> Event:
        """The event that the log appends."""
        properties: dict[str, Any] = {
            "sub_journey": self.sub_journey,
            "definition": self.definition,
            "episode_id": self.episode_id,
            "step": self.step,
            "why": self.why,
        }
        if self.exit:
            properties["exit"] = self.exit
        if self.held_out:
            properties["held_out"] = True
        return Event(
            event_id=f"{MOVE_PREFIX}{self.episode_id}:{self.number}",
            customer_id=customer_id,
            name=self.name,
            occurred_at=at,
            received_at=at,
            properties=properties,
        )

    def timers(self, customer_id: str) -> Iterator[SubJourneyTimer]:
        """What wakes the step up."""
        for nth, due_at in enumerate(self.due):
            timer_id = f"{self.episode_id}:{self.number}:{nth}"
            yield SubJourneyTimer(timer_id=timer_id, customer_id=customer_id, due_at=due_at)


class Candidate(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """An action that passed every rule, with its factors; `no_action` is one of them.

    priority = p_accept x context_weight x (value_eur + retention_eur) x lever
               - cost_eur - annoyance_eur
    """

    action_id: str
    p_accept: float | None  # P(responds well | context, action); None: value_eur is learned
    context_weight: float
    value_eur: float
    retention_eur: float = 0.0  # worth of the risk of leaving that a good response takes away
    lever: float
    cost_eur: float
    annoyance_eur: float = 0.0  # price of one more contact on top of the recent ones
    priority: float | None  # EUR; None where nothing was scored
    propensity: float  # P(drawn | context, candidates), in [0, 1]; they sum to 1
    because: tuple[str, ...] = ()  # ids of the weights, levers and steps that are in the factors
    batch_score: float | None = None  # the bundle's own score, where more was learned since
    spread_eur: float = 0.0  # how unsure the priority is, a standard deviation


class LiftedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that would have removed actions, and was lifted for this customer to be priced."""

    rule: str
    action_ids: tuple[str, ...]


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """The customer's risk of leaving."""

    risk: float  # P(churn within horizon_days)
    horizon_days: float
    reasons: tuple[Reason, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's question. `facts` are the request context that the journey declares."""

    customer_id: str
    channel: str | None = None  # None: any channel
    placement: str | None = None  # the touchpoint where the action would show; None: any
    request_id: str | None = None  # the caller's key: the same key answers with the same decision
    candidates: tuple[str, ...] | None = None  # action ids to choose from; None: the catalogue
    facts: dict[str, Any] = {}
    without: tuple[str, ...] = ()  # action ids drawn for other placements of the same question
    deferred: bool = False  # it counts from its activation on, and not before
    outbound: bool = False  # nobody asks: we address her
    asked_for: str = ""  # the open step of a sub-journey for which we address her
    baseline: str | None = None  # shadow mode: the action that the other system takes


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
    words: str = "none"  # what read texts then: a model, untrained, or none where none is mapped
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
    without: tuple[str, ...] = ()  # rules, weights and levers that her arms leave out

    @property
    def episode_id(self) -> str | None:
        """The passage through a sub-journey that it belongs to."""
        return self.step.rsplit("/", 1)[0] if self.step else None

    @property
    def delivered_by_us(self) -> bool:
        """Whether the action goes out as a message of ours."""
        return (
            self.request.outbound and self.action_id != NO_ACTION and self.mode is not Mode.SHADOW
        )

    @property
    def timers(self) -> tuple[SubJourneyTimer, ...]:
        """What wakes up the steps that she has come to, and one for which nothing was done."""
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
        """Canonical JSON, the bytes that are logged and replayed."""
        return msgspec.json.encode(self, order="deterministic")

    def as_events(self) -> tuple[Event, ...]:
        """The events that the log appends beside the decision; `Action Decided` is the last.

        In shadow mode its action is the other system's: that is what the customer got.
        """
        shadow = self.mode is Mode.SHADOW
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
