"""Arbitration: how candidates compete."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from nba.journey.fields import Day, Identifier, JourneyPart, NonNegative, Text

Factor = Literal["p_accept", "context_weight", "value", "lever", "cost", "annoyance", "retention"]


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
