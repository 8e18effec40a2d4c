"""The catalogue: what may be done, under which rules, at what price, and in which order.

These parts of the journey file govern decisions. Rules are texts here (`nba.rules.rule` reads
them);
a part that says `group`, `channel` or `actions` concerns only those, and without any of them all.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nba.journey.fields import (
    Count,
    Day,
    Identifier,
    JourneyPart,
    NonNegative,
    Positive,
    Share,
    Text,
    TimeOfDay,
)

NO_ACTION = "no_action"  # the action id of leaving the customer in peace

Aggregate = Literal["sum", "max", "earliest"]
Layer = Literal["eligibility", "applicability", "suitability"]
Per = Literal["customer", "channel", "group", "action"]
Sign = Literal["decided", "shown", "clicked", "accepted", "dismissed"]
Factor = Literal["p_accept", "context_weight", "value", "lever", "cost", "annoyance", "retention"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Treatment(JourneyPart, frozen=True):
    """One way to render an action."""

    id: Identifier
    name: Text | None = None
    eligible: str | None = None
    applicable: str | None = None
    suitable: str | None = None


class ActionReward(JourneyPart, frozen=True):
    """What shows that an action was worth it, in place of what the file's `reward` says."""

    events: list[Identifier] = []  # kinds of her later events that count; none: the file's
    minus: list[Identifier] = []  # kinds that count against it
    window_days: Positive | None = None  # they count for so long; none: the file's
    window_hours: Positive | None = None  # the same in hours
    worth: float | None = None  # of each event; none: its amount, of a response 1
    aggregate: Aggregate | None = None  # of several; none: the file's
    default: float | None = None  # the reward of silence; none: the file's


class Action(JourneyPart, frozen=True):
    """Something that we may do at a touchpoint, on a channel."""

    id: Identifier
    channel: Identifier
    touchpoint: Identifier  # where it belongs
    also_at: list[Identifier] = []  # further touchpoints of the same channel that can show it
    name: Text | None = None
    group: Identifier | None = None
    type: Literal["marketing", "service", "transactional"] = "marketing"
    purpose: Identifier | None = None  # the consent that it needs; none: no consent
    treatment: Text | None = None  # how it is rendered, where there is one way
    treatments: list[Treatment] = []  # where there are several: the draw takes an allowed one
    value_eur: float = 0.0  # worth of one good response
    cost_eur: NonNegative = 0.0  # of offering it once
    keeps: Share = 0.0  # of the risk of leaving, what a good response takes away
    begins: Day | None = None  # the first day on which it may be offered
    ends: Day | None = None  # the last
    eligible: str | None = None  # may we: law, product
    applicable: str | None = None  # does it make sense now
    suitable: str | None = None  # is it good for her
    only_in_sub_journey: bool = False  # offered only where a step calls for it
    features: dict[Identifier, float] = {}  # what the model may know of it
    reward: ActionReward | None = None  # what shows that it was worth it; none: the file's


class EngagementRule(JourneyPart, frozen=True):
    """A condition that must hold for the actions that it concerns."""

    id: Identifier
    layer: Layer
    when: str
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []
    begins: Day | None = None
    ends: Day | None = None
    why: Text | None = None
    lifted_share: Share = 0.0  # of the customers, for whom it is lifted so that it has a price


class Cap(JourneyPart, frozen=True):
    """At most `times` within `days`, counted per `per`."""

    id: Identifier
    times: Count
    days: Positive
    per: Per = "customer"
    on: str = "decided"  # decided, shown, clicked, accepted, dismissed, or a kind of event
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []
    lifted_share: Share = 0.0


class CoolDown(JourneyPart, frozen=True):
    """Nothing more for `hours` after a contact."""

    id: Identifier
    hours: Positive
    per: Per = "customer"
    after: str = "decided"  # as `on` of a cap
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []
    lifted_share: Share = 0.0


class Pause(JourneyPart, frozen=True):
    """After `times` of an outcome within `days`, nothing for `pause_days`."""

    id: Identifier
    times: Count
    days: Positive
    pause_days: Positive
    after: Sign = "dismissed"
    per: Per = "action"
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []
    lifted_share: Share = 0.0


class QuietHours(JourneyPart, frozen=True, rename={"from_": "from"}):
    """Hours of the customer's own clock in which we keep still."""

    id: Identifier
    from_: TimeOfDay
    until: TimeOfDay
    days: list[Weekday] = []  # on which it begins; none: every day
    blocked: Literal["drop", "next_allowed"] = "drop"  # what becomes of a message
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []


class Capacity(JourneyPart, frozen=True):
    """What all customers together may take of something scarce; all replicas share it."""

    id: Identifier
    most: NonNegative
    unit: Literal["contacts", "cost_eur"] = "contacts"
    every: Literal["day", "week", "month"] = "day"
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []


class ContactRules(JourneyPart, frozen=True):
    """What we must not do, however good the offer. Transactional actions are exempt, except from
    capacities."""

    caps: list[Cap] = []
    cool_downs: list[CoolDown] = []
    pauses: list[Pause] = []
    quiet_hours: list[QuietHours] = []
    capacities: list[Capacity] = []


class TimeZoneRule(JourneyPart, frozen=True):
    """Whose clock counts: the customer's, by a trait, or the owner's."""

    trait: Identifier | None = None
    fallback: Text = "UTC"  # of the owner, and of customers whose zone is unknown


class Consent(JourneyPart, frozen=True):
    """A purpose for which customers give or withdraw their consent."""

    default: Literal["withheld", "granted"] = "withheld"  # of those who have said nothing
    name: Text | None = None


class Weight(JourneyPart, frozen=True):
    """Context weight: what counts more, or less, while a condition holds."""

    id: Identifier
    when: str
    factor: Annotated[float, Meta(ge=0, le=10)]
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []


class Lever(JourneyPart, frozen=True):
    """The owner's thumb on the scale, for a time."""

    id: Identifier
    factor: Annotated[float, Meta(ge=0.2, le=5)]
    ends: Day
    begins: Day | None = None
    group: Identifier | None = None
    channel: Identifier | None = None
    actions: list[Identifier] = []
    why: Text | None = None


class ArbitrationRules(JourneyPart, frozen=True):
    """How candidates compete."""

    without: list[Factor] = []  # factors that are switched off
    annoyance_eur: NonNegative = 0.0  # price of a contact, for each of the last 7 days (decayed)
    customer_value_eur: NonNegative = 0.0  # worth of a customer who stays


class Branch(JourneyPart, frozen=True):
    """Where a sub-journey goes on."""

    to: Identifier  # a later step, or `exit`
    when: str | None = None


class Step(JourneyPart, frozen=True):
    """One step of a sub-journey: its action competes while the step lasts."""

    id: Identifier
    action: Identifier | None = None  # none: the step only waits
    when: str | None = None  # skipped where it does not hold
    wait_hours: NonNegative = 0.0  # before it begins
    time_out_hours: Positive | None = None  # after which it is over
    done: str = "decided"  # what ends it: a sign of its action, or a kind of event
    weight: Annotated[float, Meta(ge=0, le=10)] = 1.0  # on the context weight of its action
    outbound: bool = False  # we address her, without waiting for a channel to ask
    next: list[Branch] = []  # the first whose condition holds; none: the following step


class Budget(JourneyPart, frozen=True):
    """What one passage may take."""

    contacts: Count | None = None
    cost_eur: NonNegative | None = None


class SubJourney(JourneyPart, frozen=True):
    """A response in several steps to one need."""

    id: Identifier
    enter: str  # a rule: who begins it
    steps: Annotated[list[Step], Meta(min_length=1)]
    name: Text | None = None
    owner: Text | None = None
    goal: Identifier | None = None  # the kind of event that is its success
    leave: str | None = None  # a rule: it makes no sense any more
    time_out_days: Positive = 30.0
    again_after_days: NonNegative | None = None  # none: once in a lifetime
    priority: int = 0  # of two that conflict, the higher one is run
    conflicts: list[Identifier] = []  # sub-journeys that cannot be run at the same time
    purpose: Identifier | None = None  # a consent whose withdrawal ends it
    budget: Budget = Budget()
    holdout: Share = 0.0  # of the customers, who enter and are left in peace: what it is worth

    def definition(self) -> str:
        """A hash of its content: who has entered finishes on the one that she entered."""
        content = msgspec.json.encode(self, order="deterministic")
        return hashlib.sha256(content).hexdigest()[:12]
