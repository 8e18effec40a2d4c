"""Uplift: who an action does more for is found where there is something, and not where not."""

from __future__ import annotations

import numpy as np
import pytest

from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.cross_fitting import customer_folds
from nba.measurement.statistics.estimate import Undecided
from tests.fixtures.small_replica import FOLD, JOURNEY
from training.data.history import history_of
from training.data.training_sets import PastDecisions, TrainingSet
from training.diagnostics.uplift import FOLDS, UpliftFigures, expectations, uplift, uplift_of


def world(seed: int, *, differs: float, n: int = 2_400) -> UpliftFigures:
    """Three arms of a third each; the action gives 0.1, and `differs` more or less by a column."""
    rng = np.random.default_rng(seed)
    rows = np.where(rng.random((n, 4)) < 0.2, np.nan, rng.normal(size=(n, 4)))
    customers = np.array([f"c{at % 800}" for at in range(n)])
    arms = rng.integers(-1, 2, n)
    effect = 0.1 + differs * np.sign(np.nan_to_num(rows[:, 0]))
    outcome = np.nan_to_num(rows[:, 1]) + effect * (arms == 1) + rng.normal(scale=0.5, size=n)
    fold, known = customer_folds(customers, FOLDS, seed), np.ones(n, dtype=bool)
    expected = expectations(rows, outcome, fold, known, seed=seed)
    third = np.full(n, 1 / 3)
    return uplift(rows, arms, third, outcome, expected, fold, customers, seed=seed)


def test_an_effect_that_differs_is_found_with_its_size() -> None:
    found = world(1, differs=0.5)
    assert found.varies
    assert found.effect.low < 0.1 < found.effect.high
    # a perfect ranking gains 0.25 per decision at its best share: Qini 0.125 less what is unknown
    assert 0.07 < found.qini.low < found.qini.value < 0.14
    assert found.auuc.value == pytest.approx(found.qini.value + found.effect.value / 2)
    shares, gains = zip(*found.curve, strict=True)
    assert (shares[0], gains[0], shares[-1]) == (0.0, 0.0, 1.0)
    assert gains[-1] == pytest.approx(found.effect.value)


def test_an_effect_that_is_the_same_for_all_is_not_claimed_to_differ() -> None:
    found = [world(seed, differs=0.0) for seed in range(8)]
    assert sum(one.varies for one in found) <= 1
    assert abs(np.mean([one.qini.value for one in found])) < 0.01
    assert sum(one.effect.low < 0.1 < one.effect.high for one in found) >= 7


def test_the_same_seed_gives_the_same_figures() -> None:
    assert world(3, differs=0.2, n=900) == world(3, differs=0.2, n=900)


def decided(actions: list[str], propensity: float, candidates: tuple[str, ...]) -> PastDecisions:
    from features.replay.point_in_time import ContextQuestions

    n = len(actions)
    customers = np.array([f"c{at % 90}" for at in range(n)], dtype=object)
    width = len(FOLD.schema.columns)
    return PastDecisions(
        set=TrainingSet(
            columns=tuple(FOLD.schema.columns),
            rows=np.random.default_rng(1).random((n, width)),
            labels=np.random.default_rng(2).random(n),
            at_s=np.arange(float(n)),
            horizon_s=1.0,
            customers=customers,
        ),
        actions=np.array(actions, dtype=object),
        arms=np.full(n, ""),
        propensity=np.full(n, propensity),
        reward_eur=np.zeros(n),
        candidates=[candidates] * n,
        factors=[{}] * n,
        moments=ContextQuestions.at(customers, np.arange(float(n))),
        target="value",
        decision_ids=[None] * n,
        deferred=np.zeros(n, dtype=bool),
        arrivals=[()] * n,
    )


HISTORY = history_of(FOLD, [])
ACTION = JOURNEY.actions[0].id


@pytest.mark.parametrize(
    ("actions", "propensity", "candidates"),
    [
        ([ACTION] * 500, 0.5, (ACTION, NO_ACTION)),  # never drew it
        ([ACTION, NO_ACTION] * 250, float("nan"), (ACTION, NO_ACTION)),  # logged none
        ([ACTION, NO_ACTION] * 250, 1.0, (ACTION, NO_ACTION)),  # no chance in it
        ([ACTION, NO_ACTION] * 250, 0.5, ()),
    ],
)
def test_without_a_randomised_no_action_there_is_no_uplift(
    actions: list[str], propensity: float, candidates: tuple[str, ...]
) -> None:
    found = uplift_of(HISTORY, decided(actions, propensity, candidates), seed=1)
    assert isinstance(found, Undecided)
    assert "drew no_action by chance" in found.reason


def test_each_action_is_told_with_its_arms_or_why_not() -> None:
    made = decided([ACTION, NO_ACTION] * 250, 0.5, (ACTION, NO_ACTION))
    found = uplift_of(HISTORY, made, seed=1)
    assert isinstance(found, tuple)
    first, *others = found
    assert (first.action, first.outcome, first.treated, first.control) == (
        *(ACTION, "value_eur", 250, 250),
    )
    assert isinstance(first.figures, UpliftFigures)
    why = Undecided(reason="0 decisions with it and 0 without, 200 of each are needed")
    assert [other.figures for other in others] == [why] * len(others)
