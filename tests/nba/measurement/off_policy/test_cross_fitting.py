"""Cross-fitting: nobody is predicted by a model that has seen her."""

from __future__ import annotations

import numpy as np
import pytest

from nba.errors import InvalidInput
from nba.measurement.off_policy.cross_fitting import CandidateRows, cross_fit, customer_folds


class Remembering:
    """Predicts 1 for every customer whose rows it has seen, else 0."""

    def fit(self, rows: np.ndarray, rewards: np.ndarray) -> Remembering:
        self._seen = set(rows[:, 0].tolist())
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.array([float(one in self._seen) for one in rows[:, 0].tolist()])


class Mean:
    """Predicts the mean reward of what it has seen."""

    def fit(self, rows: np.ndarray, rewards: np.ndarray) -> Mean:
        self._mean = float(rewards.mean())
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), self._mean)


CUSTOMERS = np.repeat(np.arange(40), 5)
ROWS = CUSTOMERS[:, None].astype(float)
OFFERED = CandidateRows(
    np.repeat(np.arange(200), 3), lambda m: ROWS[np.repeat(np.arange(200), 3)[m]]
)


def test_no_model_predicts_a_customer_that_it_has_seen() -> None:
    found = cross_fit(lambda fold: Remembering(), ROWS, np.zeros(200), CUSTOMERS, OFFERED)
    assert not found.logged.any()
    assert not found.offered.any()


def test_each_fold_is_predicted_from_the_others() -> None:
    fold = customer_folds(CUSTOMERS, 5, seed=3)
    found = cross_fit(lambda one: Mean(), ROWS, fold.astype(float), CUSTOMERS, OFFERED, seed=3)
    for one in range(5):
        others = fold[fold != one].mean()
        assert found.logged[fold == one] == pytest.approx(others)
    assert found.offered == pytest.approx(np.repeat(found.logged, 3))


def test_what_a_policy_expects_is_the_mean_over_its_candidates() -> None:
    found = cross_fit(lambda one: Mean(), ROWS, np.ones(200), CUSTOMERS, OFFERED)
    shares = np.tile([0.5, 0.3, 0.1], 200)
    assert found.expected(OFFERED, shares) == pytest.approx(np.full(200, 0.9))


def test_a_customers_fold_does_not_depend_on_who_else_is_there() -> None:
    some = customer_folds(CUSTOMERS[:50], 5, seed=1)
    assert (some == customer_folds(CUSTOMERS, 5, seed=1)[:50]).all()
    assert (customer_folds(CUSTOMERS, 5, seed=2)[:50] != some).any()


def test_one_customer_alone_leaves_nobody_to_learn_from() -> None:
    alone = np.zeros(200)
    with pytest.raises(InvalidInput, match="customers"):
        cross_fit(lambda one: Mean(), ROWS, alone, alone, OFFERED)
