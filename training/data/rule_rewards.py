"""What came of our own decisions, by id: the rewards that a rule's price rests on."""

from __future__ import annotations

from training.data.history import History
from training.data.rewards import Risk, attribution_of, settled


def mature_rewards(history: History, risk: Risk | None = None) -> dict[str, float]:
    """EUR less costs by decision id, of the decisions that count and whose reward is complete:
    those of `training.data.rewards.settled`.
    """
    attribution = attribution_of(history, history.fold.schema.journey.reward)
    return {
        one.credit.decision.decision_id: one.reported_eur
        for one in settled(history, attribution, risk)
        if one.credit.decision.decision_id is not None
    }
