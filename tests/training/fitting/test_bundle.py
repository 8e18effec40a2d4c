"""Either model alone serves: what stands in for the one that could not be fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.bundles.prior import guesses
from nba.journey.goals import RewardRule
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.small_replica import FOLD, JOURNEY, event
from tests.fixtures.training_history import CLOSING, after, history
from training.data.training_sets import churn_set
from training.fitting.bundle import LEAST_LEFT, churn_in_place, touchpoint_in_place

WHY = Undecided(reason="too few rows")


def test_everybodys_risk_is_the_share_who_left_once_enough_have() -> None:
    made = history(*(event("page", after(7 * n)) for n in range(12)))
    data = churn_set(made, CLOSING)
    left = np.arange(len(data.labels)) < LEAST_LEFT
    share = churn_in_place(made, replace(data, labels=left.astype(float)), WHY)
    assert share.model is not None and share.model.is_probability
    risks = share.model.predict(np.zeros((2, len(FOLD.schema.columns))))
    assert risks.tolist() == [left.mean()] * 2
    assert str(share.missing).startswith("too few rows; everybody's risk is ")
    none = churn_in_place(made, replace(data, labels=0.0 * data.labels), WHY)
    assert (none.model, none.missing) == (None, "too few rows")


def test_the_guesses_of_the_file_stand_in_for_a_touchpoint_model_and_are_learned_on() -> None:
    part, warm = touchpoint_in_place(history(), RewardRule(target="response"), WHY)
    assert part.model is not None
    assert part.model.to_bytes() == guesses(FOLD.schema).to_bytes()
    assert "guesses of the journey file stand in" in str(part.missing)
    assert warm.settled_s == 0.0
    assert warm.sums.actions == tuple(action.id for action in JOURNEY.actions)
