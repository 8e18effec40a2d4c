"""A training whose reward holds the value of staying and of feelings: each part has its model."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from features.fold import Fold
from models.bundles.bundle import ModelPart, load_bundle
from models.predictors.with_terms import WithTerms
from nba.journey.goals import RewardRule
from nba.journey_file.loader import load_journey
from tests.fixtures.files import BANK_JOURNEY
from training.data.history import events_from, history_of
from training.data.time_split import split_by_time
from training.fitting.fit import Fitted, Training, train
from training.simulation.history import RandomPolicy
from training.simulation.world import World, WorldConfig

BANK = load_journey(BANK_JOURNEY)
RULE = RewardRule(
    target="value", window_days=14, events=["purchase"], staying=True, feeling_eur=2.0
)


@pytest.fixture(scope="module")
def trained() -> Training:
    journey = msgspec.structs.replace(BANK, reward=RULE)
    events = events_from(World(WorldConfig(customers=500, seed=3)).play(RandomPolicy(3)))
    return train(history_of(Fold(journey), events), seed=5)


def test_what_is_served_is_the_truth_on_later_time_in_both_parts(trained: Training) -> None:
    """The mean of each part's predictions lies within four standard errors of what came."""
    bundle = load_bundle(trained.bundle.files())
    assert isinstance(trained.touchpoint, Fitted)
    model = bundle.touchpoint
    assert isinstance(model, WithTerms) and isinstance(bundle.manifest.terms, ModelPart)
    data = trained.decided.set
    test = data.part(split_by_time(data).test)
    assert test.terms is not None and np.count_nonzero(test.terms) > len(test.terms) / 2
    for predicted, came in (
        (model.predict(test.rows), test.labels),
        (model.observed.predict(test.rows), test.observed),
        (model.terms.predict(test.rows), test.terms),
    ):
        off = predicted - came
        customers, index = np.unique(test.customers.astype(str), return_inverse=True)
        by_customer = np.bincount(index, weights=off, minlength=len(customers))
        error = float(np.sqrt((by_customer**2).sum())) / len(off)
        assert abs(off.mean()) < 4.0 * error
