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
        settlement.credit.decision.decision_id: settlement.reported_eur
        for settlement in settled(history, attribution, risk)
        if settlement.credit.decision.decision_id is not None
    }
