"""Logistic regression against scikit-learn, by-customer errors against laws and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nba.measurement.statistics.logistic_regression import fit_logistic


def sample(n: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    chance = 1.0 / (1.0 + np.exp(-design @ np.array([-1.0, 0.8, -0.5, 0.0])))
    return design, rng.random(n) < chance


def test_weights_are_those_of_scikit_learn_without_a_penalty() -> None:
    design, labels = sample()
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=500)
    theirs.fit(design, labels)
    ours = fit_logistic(design, labels)
    assert ours.weights == pytest.approx(theirs.coef_[0], abs=1e-5)


@pytest.mark.parametrize("strength", [0.5, 20.0])
def test_weights_are_those_of_scikit_learn_with_ridge(strength: float) -> None:
    design, labels = sample()
    theirs = LogisticRegression(C=1.0 / strength, fit_intercept=False, tol=1e-10, max_iter=500)
    theirs.fit(design, labels)
    ours = fit_logistic(design, labels, precision=np.full(4, strength))
    assert ours.weights == pytest.approx(theirs.coef_[0], abs=1e-5)
    full = fit_logistic(design, labels, precision=strength * np.eye(4))
    assert full.weights == pytest.approx(ours.weights)


def test_a_strong_prior_holds_its_mean_and_a_weak_one_does_not() -> None:
    design, labels = sample()
    mean = np.array([0.0, 2.0, 2.0, 2.0])
    held = fit_logistic(design, labels, precision=np.full(4, 1e7), mean=mean)
    assert held.weights == pytest.approx(mean, abs=1e-3)
    free = fit_logistic(design, labels, precision=np.full(4, 1e-7), mean=mean)
    assert free.weights == pytest.approx(fit_logistic(design, labels).weights, abs=1e-4)


def test_a_row_weight_is_as_good_as_so_many_copies() -> None:
    design, labels = sample(200)
    times = np.random.default_rng(1).integers(0, 4, 200)
    weighted = fit_logistic(design, labels, row_weights=times.astype(float))
    copied = fit_logistic(np.repeat(design, times, axis=0), np.repeat(labels, times))
    assert weighted.weights == pytest.approx(copied.weights)
    assert weighted.covariance == pytest.approx(copied.covariance)


def test_copies_of_a_customer_add_no_certainty() -> None:
    design, labels = sample(300)
    alone = fit_logistic(design, labels, clusters=np.arange(300))
    many = fit_logistic(
        np.repeat(design, 5, axis=0), np.repeat(labels, 5), clusters=np.repeat(np.arange(300), 5)
    )
    assert many.covariance == pytest.approx(alone.covariance, rel=1e-6)
    naive = fit_logistic(np.repeat(design, 5, axis=0), np.repeat(labels, 5))
    assert np.diag(naive.covariance).sum() < 0.5 * np.diag(many.covariance).sum()


def test_the_order_of_rows_and_the_names_of_customers_do_not_matter() -> None:
    design, labels = sample(300)
    clusters = np.repeat(np.arange(100), 3)
    order = np.random.default_rng(2).permutation(300)
    one = fit_logistic(design, labels, clusters=clusters)
    other = fit_logistic(design[order], labels[order], clusters=1_000 - clusters[order])
    assert other.weights == pytest.approx(one.weights)
    assert other.covariance == pytest.approx(one.covariance)


def test_the_wald_test_rejects_what_is_not_there_as_often_as_it_says() -> None:
    """Rows of one customer share their column and their luck; the naive test rejects too often."""
    rejected, naive = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(80), 6)
        shared = rng.normal(size=80)[clusters]
        design = np.column_stack([np.ones(480), shared])
        chance = 1.0 / (1.0 + np.exp(-1.5 * rng.normal(size=80)[clusters]))
        labels = rng.random(480) < chance
        rejected += fit_logistic(design, labels, clusters=clusters).wald([1])[1] < 0.05
        naive += fit_logistic(design, labels).wald([1])[1] < 0.05
    assert rejected <= 24 < naive


def test_separable_data_and_doubled_columns_do_not_break_it() -> None:
    x = np.linspace(-1, 1, 50)
    doubled = np.column_stack([np.ones(50), x, x])
    fit = fit_logistic(doubled, x > 0.1, clusters=np.arange(50))
    assert np.isfinite(fit.weights).all() and np.isfinite(fit.covariance).all()
    assert fit.weights[1] == pytest.approx(fit.weights[2])


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="300 rows"):
        fit_logistic(np.ones((300, 1)), np.zeros(299, dtype=bool))
