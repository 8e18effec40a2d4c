"""What came of a decision, as a channel tells it: an outcome or a reward becomes an event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from nba.decisions.decision import Decision
from nba.errors import InvalidInput
from nba.events.event import Event
from nba.events.names import (
    ACTION_ACCEPTED,
    ACTION_CLICKED,
    ACTION_DISMISSED,
    ACTION_SHOWN,
    LOG_PREFIXES,
    REWARD_GIVEN,
)
from nba.events.parsing import checked_id
from serving.api.schemas import FeedbackRequest

OUTCOME_EVENTS = {
    "shown": ACTION_SHOWN,
    "clicked": ACTION_CLICKED,
    "accepted": ACTION_ACCEPTED,
    "dismissed": ACTION_DISMISSED,
}


def feedback_event(body: FeedbackRequest, decision: Decision, now: datetime) -> Event:
    """The event that a feedback stands for. Raises InvalidInput."""
    if (body.outcome is None) == (body.reward is None):
        raise InvalidInput("outcome", body.outcome, "send either an outcome or a reward")
    # in shadow mode the customer got the other system's action
    action_id = decision.request.baseline or decision.action_id
    if body.action_id is not None and body.action_id != action_id:
        who = "decision drew" if decision.request.baseline is None else "customer got"
        remedy = f"the {who} {action_id!r}"
        raise InvalidInput("action_id", body.action_id, remedy)
    occurred_at = body.occurred_at or now
    if occurred_at.tzinfo is None:
        remedy = "give an ISO 8601 time with its offset, such as 2026-01-31T09:30:00Z"
        raise InvalidInput("occurred_at", occurred_at.isoformat(), remedy)
    properties: dict[str, Any] = {
        "decision_id": decision.decision_id,
        "action_id": action_id,
    }
    if body.reward is not None:
        properties["reward"] = body.reward
    kind = body.outcome or "reward"
    event_id = body.event_id or f"feedback:{decision.decision_id}:{kind}"
    if event_id.startswith(LOG_PREFIXES):
        remedy = f"ids that begin with {event_id.split(':')[0] + ':'!r} are the log's own"
        raise InvalidInput("event_id", event_id, remedy)
    return Event(
        event_id=checked_id("event_id", event_id),
        customer_id=decision.request.customer_id,
        name=OUTCOME_EVENTS[body.outcome] if body.outcome else REWARD_GIVEN,
        occurred_at=min(max(occurred_at, decision.decided_at), max(now, decision.decided_at)),
        received_at=max(now, decision.decided_at),
        properties=properties,
    )


def check_same_reward(event: Event, known: Sequence[Event]) -> None:
    """Whether a reward that was there already says the same; `known`: what names its decision.

    Raises InvalidInput where it says another: the one that is stored would stay, unseen.
    """
    stored = next((one for one in known if one.event_id == event.event_id), None)
    if stored is None or stored.properties.get("reward") == event.properties.get("reward"):
        return
    remedy = (
        f"{event.event_id!r} is stored with {stored.properties.get('reward')!r}; to correct it, "
        "send this one with an event_id of its own: the last reward of a decision counts"
    )
    raise InvalidInput("reward", event.properties.get("reward"), remedy)
