"""The moves of customers through sub-journeys, and the timers that they set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from nba.customer.sub_journey_keys import key_of
from nba.events.event import Event
from nba.events.names import MOVE_PREFIX


class SubJourneyTimer(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a customer's sub-journey is looked at again, whatever happens."""

    timer_id: str  # names the step: the same step sets it once
    customer_id: str
    due_at: datetime


class SubJourneyMove(msgspec.Struct, frozen=True, kw_only=True):
    """A customer enters a sub-journey, comes to another step, or leaves it."""

    name: str  # of the event
    sub_journey: str
    definition: str  # hash of the version that the customer is on
    episode_id: str  # of this passage
    number: int  # of the move within the passage, from 1
    step: str = ""
    exit: str = ""  # why they leave, such as success or time_out
    held_out: bool = False
    why: str = ""  # the fact that moved them
    due: tuple[datetime, ...] = ()  # when the step is looked at again

    @property
    def key(self) -> str | None:
        """Which of the customer's passages side by side it is, None where there is but one."""
        return key_of(self.episode_id)

    def as_event(self, customer_id: str, at: datetime) -> Event:
        """The event that the log appends."""
        properties: dict[str, Any] = {
            "sub_journey": self.sub_journey,
            "definition": self.definition,
            "episode_id": self.episode_id,
            "step": self.step,
            "why": self.why,
        }
        if self.key is not None:
            properties["key"] = self.key
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
