"""What came of our own decisions, by id: the rewards that a rule's price rests on."""

from __future__ import annotations

from training.history import History
from training.rewards import rewards
from training.standing import settled


def mature_rewards(history: History) -> dict[str, float]:
    """EUR less costs by decision id, of the decisions that count and whose reward window is over:
    those of `training.standing.settled`.
    """
    journey = history.fold.schema.journey
    decided = [one for one in settled(history, journey.reward) if one.event.decision_id is not None]
    response = journey.reward.target == "response"
    worth = {action.id: action.value_eur if response else 1.0 for action in journey.actions}
    cost = {action.id: action.cost_eur for action in journey.actions}
    found = {}
    for one, label in zip(decided, rewards(history, decided, journey.reward), strict=True):
        action = str(one.event.properties.get("action_id"))
        value = float(label) * worth.get(action, 0.0 if response else 1.0)
        found[str(one.event.decision_id)] = value - cost.get(action, 0.0)
    return found
