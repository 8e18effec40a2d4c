"""Calibration: probabilities that can be taken at their word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit

from models.predictors.platt_scaling import (
    PlattScaling,
    expected_calibration_error,
    fit_platt_scaling,
)
from tests.fixtures.examples import examples


def sample(slope: float, intercept: float, n: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    scores = rng.normal(0, 1.5, n)
    labels = (rng.random(n) < expit(slope * scores + intercept)).astype(float)
    return scores, labels


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.0), (2.0, 0.7)])
def test_a_known_slope_and_intercept_are_recovered(slope: float, intercept: float) -> None:
    found = fit_platt_scaling(*sample(slope, intercept))
    assert found.slope == pytest.approx(slope, abs=0.05)
    assert found.intercept == pytest.approx(intercept, abs=0.05)


def test_calibrated_probabilities_have_the_base_rate_of_the_labels() -> None:
    scores, labels = sample(0.5, -1.0)
    assert fit_platt_scaling(scores, labels).probability(scores).mean() == pytest.approx(
        labels.mean(), abs=1e-3
    )


@given(
    st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=1, max_size=40),
)
@examples(60)
def test_calibration_never_turns_a_ranking_round(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    found = fit_platt_scaling(scores, np.array([float(label) for _, label in rows]))
    assert found.slope > 0
    sorted_ = found.probability(np.sort(scores))
    assert (np.diff(sorted_) >= 0).all()
    assert ((sorted_ >= 0) & (sorted_ <= 1)).all()


def test_few_rows_give_no_certainty() -> None:
    found = fit_platt_scaling(np.array([-1.0, 1.0]), np.array([0.0, 1.0]))
    probabilities = found.probability(np.array([-1.0, 1.0]))
    assert probabilities == pytest.approx([1 / 3, 2 / 3], abs=0.01)  # Platt's corrected targets


def test_no_calibration_is_the_logistic_function() -> None:
    scores = np.array([-2.0, 0.0, 3.0])
    assert PlattScaling().probability(scores).tolist() == expit(scores).tolist()


def test_the_calibration_error_of_the_published_vector() -> None:
    """V12: 0.1, 0.3 and 0.8 predicted, 15, 25 and 80 of 100 seen."""
    predicted = np.repeat([0.1, 0.3, 0.8], 100)
    seen = [np.arange(100) < n for n in (15, 25, 80)]
    error = expected_calibration_error(predicted, np.concatenate(seen).astype(float))
    assert round(error, 7) == 0.0333333


def test_perfect_certainty_has_no_calibration_error() -> None:
    labels = np.array([0.0, 1.0, 1.0, 0.0])
    assert expected_calibration_error(labels, labels) == 0.0
    assert expected_calibration_error(1.0 - labels, labels) == 1.0


def test_shares_are_calibrated_as_the_rows_that_they_stand_for() -> None:
    rng = np.random.default_rng(8)
    scores = rng.normal(size=300)
    tenths = rng.binomial(10, expit(0.6 * scores - 0.3))
    many, shares = np.repeat(scores, 10), np.repeat(tenths / 10.0, 10)
    known = (np.arange(10) < tenths[:, None]).astype(float).ravel()
    one, other = fit_platt_scaling(many, shares), fit_platt_scaling(many, known)
    assert one.slope == pytest.approx(other.slope, rel=1e-5)
    assert one.intercept == pytest.approx(other.intercept, abs=1e-5)


def test_where_every_label_is_two_fifths_so_is_every_probability() -> None:
    found = fit_platt_scaling(np.zeros(2_000), np.full(2_000, 0.4))
    assert found.probability(np.zeros(1)) == pytest.approx(0.4, abs=1e-5)
