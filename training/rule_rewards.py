"""What came of our own decisions, by id: the rewards that a rule's price rests on."""

from __future__ import annotations

from nba.context import DAY_S
from nba.events import (
    ACTION_ACTIVATED,
    ACTION_DECIDED,
    ACTION_EXPIRED,
    ACTION_OUTCOMES,
    micros,
)
from training.history import History
from training.rewards import rewards


def mature_rewards(history: History) -> dict[str, float]:
    """EUR less costs by decision id, of the decisions whose reward window is over.

    Deferred ones that nobody activated and those that never reached the customer are not there.
    """
    journey = history.fold.schema.journey
    window_s = journey.reward.window_days * DAY_S
    activated, expired = set(), set()
    for event in history.events:
        if event.name == ACTION_ACTIVATED or event.name in ACTION_OUTCOMES:
            activated.add(event.decision_id)
        elif event.name == ACTION_EXPIRED:
            expired.add(event.decision_id)
    decided = [
        event
        for event in history.events
        if event.name == ACTION_DECIDED
        and event.decision_id is not None
        and event.decision_id not in expired
        and (event.properties.get("deferred") is not True or event.decision_id in activated)
        and micros(event.occurred_at) / 1e6 + window_s <= history.end_s
    ]
    response = journey.reward.target == "response"
    worth = {action.id: action.value_eur if response else 1.0 for action in journey.actions}
    cost = {action.id: action.cost_eur for action in journey.actions}
    found = {}
    for event, label in zip(decided, rewards(history, decided, journey.reward), strict=True):
        action = str(event.properties.get("action_id"))
        value = float(label) * worth.get(action, 0.0 if response else 1.0)
        found[str(event.decision_id)] = value - cost.get(action, 0.0)
    return found
