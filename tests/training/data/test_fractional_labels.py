"""A response of 0.4 is 4 of 10: to objectives, calibration, figures and estimators alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from lightgbm import LGBMClassifier
from scipy.special import expit
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nba.errors import InvalidInput
from tests.fixtures.examples import examples
from tests.fixtures.training_sets import made_set, parts_of
from training.data.fractional_labels import is_fractional, split_rows
from training.diagnostics.intervals import auc
from training.diagnostics.leakage import telling
from training.fitting.estimators import EstimatorSpec
from training.fitting.fit import Fitted, classification, fit_model
from training.fitting.recipe import Recipe

DATA = made_set()
SPLIT = parts_of(DATA)
# tenths whose expectation rises with the first column
TRUTH = expit(np.nan_to_num(DATA.rows[:, 0]) - 0.5)
TENTHS = np.random.default_rng(4).binomial(10, TRUTH) / 10.0


def logistic() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=1e6))


MAKES = [
    None,
    lambda: HistGradientBoostingClassifier(max_iter=30),
    lambda: LGBMClassifier(n_estimators=30, n_jobs=1, verbosity=-1),
    logistic,
]


def fitted(make: Callable[[], Any] | None, labels: np.ndarray) -> Fitted:
    spec = None if make is None else EstimatorSpec("own:make", make)
    recipe = Recipe(classes=True, estimator=spec)
    found = fit_model(replace(DATA, labels=labels), SPLIT, recipe, seed=1)
    assert isinstance(found, Fitted)
    return found


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30))
@examples(200)
def test_a_label_is_a_positive_and_a_negative_whose_weights_add_up_to_one_row(
    tenths: list[int],
) -> None:
    labels = np.array(tenths) / 10.0
    rows, classes, weights = split_rows(labels)
    assert np.bincount(rows, weights, len(labels)) == pytest.approx(np.ones(len(labels)))
    assert np.bincount(rows, weights * classes, len(labels)) == pytest.approx(labels)
    assert (weights > 0.0).all() and (np.diff(rows) >= 0).all()
    assert is_fractional(labels) == (len(rows) > len(labels))


@pytest.mark.parametrize("make", MAKES)
def test_where_every_label_is_two_fifths_every_prediction_is(
    make: Callable[[], Any] | None,
) -> None:
    found = fitted(make, np.full(len(DATA.labels), 0.4))
    assert found.predicted == pytest.approx(np.full(len(found.predicted), 0.4), abs=2e-3)
    assert found.metrics["auc"] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("make", MAKES)
def test_shares_are_learned_as_shares_and_better_than_their_rounding(
    make: Callable[[], Any] | None,
) -> None:
    shares, rounded = fitted(make, TENTHS), fitted(make, np.round(TENTHS))
    assert shares.predicted.mean() == pytest.approx(TENTHS[SPLIT.test].mean(), abs=0.03)
    far, further = (np.abs(each.predicted - TRUTH[SPLIT.test]).mean() for each in (shares, rounded))
    assert far < 0.05 and far < 0.5 * further


def test_an_estimator_that_takes_no_weights_is_refused_for_shares() -> None:
    def discriminant() -> Any:
        return make_pipeline(SimpleImputer(), LinearDiscriminantAnalysis())

    with pytest.raises(InvalidInput, match="fit takes no sample_weight") as refused:
        fitted(discriminant, TENTHS)
    assert refused.value.field == "own:make"


rows = st.lists(
    st.tuples(st.floats(0.05, 0.95).map(lambda p: round(p, 1)), st.integers(0, 10)),
    min_size=2,
    max_size=30,
).filter(lambda rows: 0 < sum(tenths for _, tenths in rows) < 10 * len(rows))


@given(rows)
@examples(200)
def test_figures_of_shares_are_those_of_ten_rows_each(found: list[tuple[float, int]]) -> None:
    predicted, labels = np.array([p for p, _ in found]), np.array([t for _, t in found]) / 10.0
    many = np.repeat(predicted, 10)
    known = np.concatenate([np.arange(10) < tenths for _, tenths in found]).astype(int)
    figures = classification(predicted, labels)
    assert figures["auc"] == pytest.approx(roc_auc_score(known, many))
    assert figures["log_loss"] == pytest.approx(log_loss(known, many))
    assert figures["brier"] == pytest.approx(np.mean((predicted - labels) ** 2))
    one = np.ones((1, len(found)))
    assert auc(one, predicted, labels)[0] == pytest.approx(figures["auc"])


def test_a_column_that_orders_shares_tells_them_wholly_and_noise_does_not() -> None:
    test = replace(DATA, labels=TENTHS).part(SPLIT.test)
    test.rows[:, 1] = -test.labels
    test.rows[:, 2] = np.random.default_rng(1).normal(size=len(test.labels))
    strengths = telling(test, classes=True)
    assert strengths[1] == pytest.approx(1.0, abs=1e-9) and strengths[2] < 0.65
    same = telling(replace(test, labels=np.full(len(test.labels), 0.4)), classes=True)
    assert same == pytest.approx(np.full(len(same), 0.5))
