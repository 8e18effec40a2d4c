"""The map: scenes, their journeys, the stages of these, and touchpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from nba.journey.fields import Identifier, JourneyPart, Text

NODE_MINUTES = 30  # visits to one touchpoint within this time are one node


class Touchpoint(JourneyPart, frozen=True):
    """A place where customer and company meet."""

    id: Identifier
    kind: Literal["digital", "physical", "human", "spatial"]
    channel: Identifier
    owner: Text  # the department that answers for it
    name: Text | None = None
    importance: Annotated[int, Meta(ge=1, le=4)] = 2  # 4 is a moment of truth


class JourneyStage(JourneyPart, frozen=True):
    """A step of the customer's journey, in order."""

    id: Identifier
    touchpoints: Annotated[list[Touchpoint], Meta(min_length=1)]
    name: Text | None = None
    leaving: bool = False  # the stage in which the relationship ends; one is needed


class Journey(JourneyPart, frozen=True):
    """The bridge between a scene and its touchpoints."""

    id: Identifier
    stages: Annotated[list[JourneyStage], Meta(min_length=1)]
    name: Text | None = None
    actor: Literal["customer", "employee", "partner"] = "customer"  # emotion: customers' alone


class Scene(JourneyPart, frozen=True):
    """A situation in the customer's life."""

    id: Identifier
    journeys: Annotated[list[Journey], Meta(min_length=1)]
    name: Text | None = None
