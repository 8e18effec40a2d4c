"""Histogram boosting as LightGBM text: the same numbers, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from models.predictors.histogram_trees import histogram_text
from models.predictors.lightgbm_trees import trees_from_text

COLUMNS = ("search.count_1h", "calls.count_7d", "traits.age")
RNG = np.random.default_rng(8)
ROWS = np.where(RNG.random((1_500, 3)) < 0.2, np.nan, RNG.normal(size=(1_500, 3)))
ROWS[:, 1] = np.round(ROWS[:, 1], 1)  # ties at the thresholds
ROWS[:, 2] = RNG.integers(18, 80, 1_500)  # never missing in training
LABELS = (np.nan_to_num(ROWS[:, 0]) + np.isnan(ROWS[:, 1]) + ROWS[:, 2] / 80 > 1).astype(int)
ASKED = np.vstack([ROWS, np.full((1, 3), np.nan), np.full((1, 3), 1e300)])


@pytest.mark.parametrize(
    "made",
    [
        HistGradientBoostingClassifier(max_iter=30, random_state=1),
        HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=2, random_state=1),
        HistGradientBoostingRegressor(max_iter=30, random_state=1),
        HistGradientBoostingRegressor(min_samples_leaf=1_400, random_state=1),  # never splits
    ],
)
def test_scores_are_the_estimators_to_the_last_bit(made: Any) -> None:
    made.fit(ROWS, LABELS)
    probability = hasattr(made, "predict_proba")
    text = histogram_text(made, COLUMNS, probability=probability)
    booster = trees_from_text(text, COLUMNS, None).booster
    expected = made.decision_function(ASKED) if probability else made.predict(ASKED)
    assert np.array_equal(booster.predict(ASKED, raw_score=True), expected)
    shares = booster.predict(ASKED, pred_contrib=True)
    assert shares.sum(axis=1) == pytest.approx(expected, abs=1e-9)


def test_the_text_survives_being_read_and_written() -> None:
    made = HistGradientBoostingClassifier(max_iter=10, random_state=1).fit(ROWS, LABELS)
    once = trees_from_text(histogram_text(made, COLUMNS, probability=True), COLUMNS, None)
    twice = trees_from_text(once.to_text(), COLUMNS, None)
    assert twice.to_text() == once.to_text()
    assert np.array_equal(once.predict(ASKED), twice.predict(ASKED))
