"""The policies that govern decisions: engagement rules, contact limits, quiet hours, consent.

A rule is a text here (`nba.rules.rule` reads it). A part that says `group`, `channel` or `actions`
concerns only those, and without any of them all.
"""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import UNSET, UnsetType

from nba.durations import HOUR_S
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

Layer = Literal["eligibility", "applicability", "suitability"]
Per = Literal["customer", "channel", "group", "action"]
ContactStatus = Literal["decided", "shown", "clicked", "accepted", "dismissed"]
CONTACT_STATUSES: tuple[ContactStatus, ...] = get_args(ContactStatus)
GAP_HOURS, STALE_HOURS = 4.0, 168.0
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


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
    # whole days of the customer's own clock, today the last; unset it is in no version's hash
    calendar: bool | UnsetType = UNSET
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
    after: ContactStatus = "dismissed"
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

    # between two messages of ours to one customer; unset it is GAP_HOURS, and in no version's hash
    gap_hours: NonNegative | UnsetType = UNSET
    # after its time, and a message is not sent any more; unset it is STALE_HOURS
    stale_hours: Positive | UnsetType = UNSET
    caps: list[Cap] = []
    cool_downs: list[CoolDown] = []
    pauses: list[Pause] = []
    quiet_hours: list[QuietHours] = []
    capacities: list[Capacity] = []

    @property
    def stale_s(self) -> float:
        """How long after its time a message may still be sent."""
        return (STALE_HOURS if self.stale_hours is UNSET else self.stale_hours) * HOUR_S

    @property
    def gap_s(self) -> float:
        """Between two outbound contacts of one customer."""
        return (GAP_HOURS if self.gap_hours is UNSET else self.gap_hours) * HOUR_S


class TimeZoneRule(JourneyPart, frozen=True):
    """Whose clock counts: the customer's, by a trait, or the owner's."""

    trait: Identifier | None = None
    fallback: Text = "UTC"  # of the owner, and of customers whose zone is unknown


class Consent(JourneyPart, frozen=True):
    """A purpose for which customers give or withdraw their consent."""

    default: Literal["withheld", "granted"] = "withheld"  # of those who have said nothing
    name: Text | None = None
