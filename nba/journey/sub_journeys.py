"""Sub-journeys: responses in several steps to one need."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nba.journey.fields import Count, Identifier, JourneyPart, NonNegative, Positive, Share, Text

EXIT = "exit"  # the branch that ends a sub-journey
PropertyPath = Annotated[
    str,
    Meta(
        pattern=r"^[^\s.]+(\.[^\s.]+)*$",
        max_length=200,
        description="a property of events, such as cart_id",
    ),
]


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
    done: str = "decided"  # what ends it: a status of its contact, or a kind of event
    weight: Annotated[float, Meta(ge=0, le=10)] = 1.0  # on the context weight of its action
    outbound: bool = False  # we address the customer, without waiting for a channel to ask
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
    # of the events that begin it: one passage for each value, side by side; unset, and not a
    # default, so that the hashes of earlier files and definitions stay what they are
    per: PropertyPath | UnsetType = UNSET
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
        """A hash of its content: customers finish on the definition that they entered."""
        content = msgspec.json.encode(self, order="deterministic")
        return hashlib.sha256(content).hexdigest()[:12]
