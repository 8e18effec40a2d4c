"""Out-of-fold predictions: no row is predicted by a model that has seen its customer."""

from __future__ import annotations

import numpy as np

from models.calibration import expected_calibration_error
from nba.measurement.estimate import Undecided
from tests.training.making import made_set
from training.dataset import TrainingSet
from training.fit import classification
from training.out_of_fold import out_of_fold
from training.recipe import Recipe

RECIPE = Recipe(classes=True, parameters={"num_threads": 1})


def test_every_row_is_predicted_calibrated_and_better_than_chance() -> None:
    data = made_set()
    found = out_of_fold(data, RECIPE, seed=1)
    assert isinstance(found, np.ndarray)
    assert found.shape == data.labels.shape and ((found > 0) & (found < 1)).all()
    assert classification(found, data.labels)["auc"] > 0.75
    assert expected_calibration_error(found, data.labels) < 0.06


def test_a_customer_who_tells_everything_tells_nothing_about_herself() -> None:
    """Labels that depend on the customer alone: in-sample they are learned, out of fold not."""
    rng = np.random.default_rng(3)
    customers = np.repeat(np.arange(150), 10)
    labels = (rng.random(150) < 0.5).astype(float)[customers]
    data = TrainingSet(
        columns=("who",),
        rows=rng.permutation(150)[customers].astype(float)[:, None],
        labels=labels,
        at_s=np.arange(1_500.0),
        horizon_s=1.0,
        customers=customers.astype(str).astype(object),
    )
    recipe = Recipe(classes=True, parameters={"num_threads": 1, "min_data_in_leaf": 5})
    everything = np.ones(len(labels), dtype=bool)
    inside = recipe.fit(data, everything, everything, seed=1).predict(data.rows)
    outside = out_of_fold(data, recipe, seed=1)
    assert isinstance(outside, np.ndarray)
    assert classification(inside, labels)["auc"] > 0.9
    assert abs(classification(outside, labels)["auc"] - 0.5) < 0.1


def test_the_same_seed_gives_the_same_predictions_and_another_seed_others() -> None:
    data = made_set()
    first, again, other = (out_of_fold(data, RECIPE, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_rows_are_undecided() -> None:
    found = out_of_fold(made_set(300, customers=60), RECIPE, seed=1)
    assert isinstance(found, Undecided)
    assert found.reason.startswith("without one fold in 5: ")


def test_each_finished_fold_is_told() -> None:
    told: list[int] = []
    out_of_fold(made_set(), RECIPE, seed=1, folds=3, progress=told.append)
    assert told == [0, 1, 2]
