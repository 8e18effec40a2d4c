"""The JSON bodies and answers of the HTTP routes; `serving.api.answers` fills them.

Field names follow the field's conventions; inside, `bundle_id` and `catalogue_version` are what
the API calls `model_version` and `config_version`, and a `Refused` action is `filtered`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from features.replay.visits import EmotionHistoryNode
from nba.customer.appraisal import AppraisedNode
from nba.customer.contact_history import ConsentChange, Contact
from nba.decisions.candidate import Reason
from nba.decisions.decision import Churn, LiftedRule
from nba.decisions.sub_journey_moves import SubJourneyMove
from serving.api.refusals import Filtered, FilteredByRule

Id = Annotated[str, Meta(min_length=1, max_length=200)]


class DecideRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel asks what to do for a customer now."""

    customer_id: Id
    channel: Id | None = None  # none: any channel
    placement: Id | None = None  # the touchpoint where the action would show
    context: dict[str, Any] = {}  # the request facts that the journey file declares
    candidates: Annotated[list[Id], Meta(max_length=1000)] | None = None  # action ids
    decision_request_id: Id | None = None  # a repeat gets the first answer again
    placements: Annotated[list[Id], Meta(min_length=1, max_length=10)] | None = None  # one each
    dry_run: bool = False  # decide, and log nothing
    defer_activation: bool = False  # it counts from POST /activate on, and not before
    shadow_of: Id | None = None  # the action that another system takes; ours is only compared
    # short: refusals by rule, reasons in words. full, true: each refusal, reasons with their
    # columns. false: without candidates, refusals, emotion and reasons of the risk
    explain: bool | Literal["short", "full"] = "short"


class ActivateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deferred decision has reached the customer, or is about to."""

    decision_id: Id


class ActivateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`activated` is false where consent, a limit or a capacity leaves no room any more."""

    decision_id: str
    action_id: str
    activated: bool
    refused: list[Filtered] = []
    not_before: datetime | None = None  # quiet hours: show it from then on


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A decision computed again from what it logged."""

    decision_id: str
    equal: bool  # byte for byte
    logged_sha256: str
    replayed_sha256: str
    differs: list[str]  # the fields that differ, none where equal
    model_version: str | None
    config_version: str


class FeedbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of a decision: an outcome, or a reward."""

    decision_id: Id
    outcome: Literal["shown", "clicked", "accepted", "dismissed"] | None = None
    reward: float | None = None
    action_id: Id | None = None  # checked against the decision where given
    event_id: Id | None = None  # a repeat of the same id changes nothing
    occurred_at: datetime | None = None


class FeedbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`stored` is false where the same feedback was there already."""

    decision_id: str
    event_id: str
    stored: bool
    late: bool = False  # after the decision's window: nothing is learned from it


class IncomingEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event, in canonical or Segment spelling; `customer_id` or `userId`, `name` or `event`."""

    customer_id: Id | None = None
    userId: Id | None = None
    anonymousId: Id | None = None
    name: Id | None = None
    event: Id | None = None
    type: str | None = None
    event_id: Id | None = None
    messageId: Id | None = None
    occurred_at: datetime | None = None
    timestamp: datetime | None = None
    sent_at: datetime | None = None
    sentAt: datetime | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    channel: str | None = None


class IncomingEvents(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of events."""

    events: list[IncomingEvent]
    sent_at: datetime | None = None


class RejectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a batch that was not taken."""

    index: int
    field: str
    value: str
    remedy: str


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`accepted` new events are in the log; `duplicates` were there already."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent] = []
    notes: list[str] = []  # what was taken, and has no effect as it is


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """An action that passed every rule, with its factors; `no_action` is one of them."""

    action_id: str
    p_accept: float | None
    context_weight: float
    value_eur: float
    retention_eur: float
    lever: float
    cost_eur: float
    annoyance_eur: float
    priority: float | None
    propensity: float
    because: tuple[str, ...]
    batch_score: float | None = None  # the model's own, where more was learned since
    spread_eur: float = 0.0  # how unsure the priority is, a standard deviation


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """priority = p_accept x context_weight x (value_eur + retention_eur) x lever
    - cost_eur - annoyance_eur."""

    p_accept: float | None
    context_weight: float
    value_eur: float
    retention_eur: float
    lever: float
    cost_eur: float
    annoyance_eur: float
    because: tuple[str, ...]  # the weights, levers and steps that are in the factors


class ChosenAction(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now."""

    action_id: str
    treatment: str | None
    channel: str
    placement: str
    not_before: datetime | None  # quiet hours: show it from then on
    sub_journey: str | None  # the step that called for it, such as onboarding.welcome
    key: str | msgspec.UnsetType = msgspec.UNSET  # which passage, where there is one per cart
    rank: int
    priority: float | None
    p_accept: float | None
    propensity: float
    factors: Factors
    reasons: tuple[Reason, ...]


class EmotionParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the emotion is made of: the sum of the nodes' valences is its `sum` column."""

    valences: str  # `prior`, or the version of the learned table
    # what reads texts: a model; `untrained`: they are neutral; `none` mapped
    text_model: str = msgspec.field(name="words")
    age_s: float | None  # from the last node to this answer, in seconds
    nodes: tuple[AppraisedNode, ...]  # oldest first


class DecideAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One decision."""

    decision_id: str
    customer_id: str
    decided_at: datetime
    mode: str  # live, fallback, shadow, or dry_run
    actions: list[ChosenAction]  # empty where no_action
    no_action: bool
    fallback_used: bool
    known_customer: bool
    propensity: float  # P(this answer | context, candidates)
    note: str | None
    candidates: list[Option]  # what passed every rule, best first
    filtered: list[Filtered]  # each, where everything is to be explained
    filtered_by_rule: list[FilteredByRule] | msgspec.UnsetType = msgspec.UNSET  # otherwise
    churn: Churn | None
    emotion: dict[str, float | None]
    emotion_parts: EmotionParts
    policy: str
    model_version: str | None
    config_version: str
    seed: int
    logged: bool
    placement: str | None = None
    deferred: bool = False
    shadow_of: str | None = None  # what the other system did
    lifted: tuple[LiftedRule, ...] = ()  # rules that were lifted for them, to be priced
    sub_journeys: tuple[SubJourneyMove, ...] = ()  # where the customer moved with it
    policy_version: str | None = None  # what was learned on top of the model
    challenger: str | None = None  # the bundle that had a share of the draw
    arms: tuple[str, ...] = ()  # of experiments, as experiment.arm


class PlacementsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One decision a placement, in the order of the question; no action twice."""

    customer_id: str
    decisions: list[DecideAnswer]


class DecisionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The customer's decisions, newest first."""

    customer_id: str
    decisions: list[DecideAnswer]


class SubJourneyStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Where a customer is in a sub-journey."""

    sub_journey: str
    key: str | msgspec.UnsetType = msgspec.UNSET  # which passage, where there is one per cart
    step: str
    entered_at: datetime
    since: datetime  # when they came to this step
    held_out: bool


class CustomerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One customer as of now; context columns that are zero or unknown are left out."""

    customer_id: str
    as_of: datetime
    traits: dict[str, float | str | bool | None]
    stage: str | None
    emotion: dict[str, float | None]
    emotion_parts: EmotionParts
    churn: Churn | None
    context: dict[str, float | str | bool]
    decisions: list[str]
    sub_journeys: list[SubJourneyStanding]
    consents: list[ConsentChange]  # what the customer said, the last word last
    contacts: list[Contact]  # what counts for the contact policy, oldest first


class EmotionCurve(msgspec.Struct, frozen=True, kw_only=True):
    """How a customer's emotion came about, visit by visit; computed from all their events."""

    customer_id: str
    as_of: datetime
    valences: str  # `prior`, or the version of the learned table
    text_model: str = msgspec.field(name="words")  # as in EmotionParts
    nodes_in_all: int
    nodes: tuple[
        EmotionHistoryNode, ...
    ]  # the last 200, oldest first, with their events and signals


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error: what is wrong, with which value, and what to do."""

    error: str
    message: str
    field: str | None = None
    value: str | None = None
    remedy: str | None = None
